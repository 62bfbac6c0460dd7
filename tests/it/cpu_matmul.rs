//! The CPU backend's matrix products: every plan of every instruction set, b stored either way.

use rooflint::device::{Device, DeviceError, MatmulDesc, Pattern, Place, Program, Provider, Slot, Step, Submit};
use rooflint::record::Precision;
use rooflint::units::ByteCount;

use crate::conformance::once;
use crate::cpu::open;

/// A product in one format, by the provider that computes it here.
pub fn desc([m, n, k]: [u64; 3], format: Precision, b_transposed: bool) -> MatmulDesc {
    let narrow = matches!(format, Precision::F16 | Precision::Bf16);
    MatmulDesc {
        m,
        n,
        k,
        a: format,
        b: format,
        c: format,
        accumulate: if narrow { Precision::F32 } else { format },
        b_transposed,
        full_sums: false,
        provider: if narrow { Provider::Own } else { Provider::Vendor },
    }
}

/// The matrix product of two patterns in binary64.
fn reference(desc: &MatmulDesc, a: Pattern, b: Pattern) -> Vec<f64> {
    let numbers = |pattern: Pattern, count: u64| -> Vec<f64> {
        (0..count).map(|index| pattern.number_at(desc.a, index)).collect()
    };
    let (a, b) = (numbers(a, desc.m * desc.k), numbers(b, desc.k * desc.n));
    let (m, n, k) = (desc.m as usize, desc.n as usize, desc.k as usize);
    let b_at = |row: usize, column: usize| if desc.b_transposed { b[column * k + row] } else { b[row * n + column] };
    let element =
        |row: usize, column: usize| -> f64 { (0..k).map(|index| a[row * k + index] * b_at(index, column)).sum() };
    (0..m * n).map(|index| element(index / n, index % n)).collect()
}

/// Numbers of a buffer.
fn numbers(device: &mut dyn Device, buffer: rooflint::device::BufferId, format: Precision, count: u64) -> Vec<f64> {
    let mut bytes = vec![0; (count * format.size()) as usize];
    device.read(buffer, ByteCount::ZERO, &mut bytes).unwrap();
    let number = |bytes: &[u8]| match format {
        Precision::F64 => f64::from_le_bytes(bytes.try_into().unwrap()),
        Precision::F32 => f64::from(f32::from_le_bytes(bytes.try_into().unwrap())),
        Precision::F16 => half::f16::from_le_bytes(bytes.try_into().unwrap()).to_f64(),
        _ => half::bf16::from_le_bytes(bytes.try_into().unwrap()).to_f64(),
    };
    bytes.chunks_exact(format.size() as usize).map(number).collect()
}

/// The largest error that an element may have: sums of up to some hundred products, and the rounding of c.
fn tolerance(format: Precision, expected: f64) -> f64 {
    match format {
        Precision::F16 => 1e-4 + expected.abs() * 2.0_f64.powi(-11),
        Precision::Bf16 => 1e-4 + expected.abs() * 2.0_f64.powi(-8),
        _ => 1e-4,
    }
}

/// Operands of a product on a device: a and b filled, c beside them.
pub struct Operands {
    row: [rooflint::device::BufferId; 3],
    expected: Vec<f64>,
}

impl Operands {
    /// Allocates and fills them.
    pub fn new(device: &mut dyn Device, desc: &MatmulDesc) -> Self {
        let [a, b] = [1, 2].map(|seed| Pattern::uniform(desc.a, seed).unwrap());
        let sizes = [desc.m * desc.k, desc.k * desc.n, desc.m * desc.n + 3];
        let row = sizes.map(|elements| device.alloc(ByteCount(elements * desc.a.size()), Place::Device).unwrap());
        device.fill(row[0], a).unwrap();
        device.fill(row[1], b).unwrap();
        Self { row, expected: reference(desc, a, b) }
    }

    /// Computes by a plan, and compares every element; nothing past the last may be written.
    pub fn compare(&self, device: &mut dyn Device, desc: &MatmulDesc, plan: &str) -> Result<(), DeviceError> {
        let step = Step::Matmul { desc: *desc, plan: plan.to_owned(), a: Slot(0), b: Slot(1), c: Slot(2) };
        let (steps, bindings, outputs) = (vec![step], vec![self.row.to_vec()], vec![self.row[2]]);
        let recorded = device.record(&Program { steps, bindings, outputs, submit: Submit::Stream })?;
        let size = desc.a.size() as usize;
        let mut before = vec![0; 3 * size];
        let end = ByteCount(desc.m * desc.n * desc.a.size());
        device.fill(self.row[2], Pattern::Poison).unwrap();
        device.read(self.row[2], end, &mut before).unwrap();
        device.run(recorded, &once(2)).unwrap();
        let found = numbers(device, self.row[2], desc.a, desc.m * desc.n);
        for (index, (found, expected)) in found.iter().zip(&self.expected).enumerate() {
            let error = (found - expected).abs();
            assert!(error <= tolerance(desc.a, *expected), "{desc:?} by {plan} at {index}: {found} for {expected}");
        }
        let mut after = vec![0; 3 * size];
        device.read(self.row[2], end, &mut after).unwrap();
        assert_eq!(before, after, "{desc:?} by {plan} wrote past c");
        Ok(())
    }
}

#[test]
fn matrices_are_multiplied_whichever_way_b_is_stored() {
    let mut cpu = open();
    for shape in [[1, 1, 1], [1, 9, 5], [9, 1, 5], [2, 2, 64], [17, 33, 19], [40, 24, 32], [65, 130, 7]] {
        for desc in [false, true].map(|b_transposed| desc(shape, Precision::F32, b_transposed)) {
            let mark = cpu.mark();
            let operands = Operands::new(cpu.as_mut(), &desc);
            let step = Step::Matmul { desc, plan: String::new(), a: Slot(0), b: Slot(1), c: Slot(2) };
            for option in cpu.options(&step).unwrap() {
                operands.compare(cpu.as_mut(), &desc, option.variant()).unwrap();
            }
            cpu.release(mark).unwrap();
        }
    }
}

/// Every method by every build: those of lesser instruction sets too, which are never raced.
#[test]
fn products_of_16_bit_numbers_are_right_by_every_plan_of_every_instruction_set() {
    // Few rows and many, over and off every register, band, block and pair.
    let shapes = [
        [1, 1, 1],
        [1, 9, 5],
        [1, 4100, 40],
        [1, 100, 129],
        [2, 47, 66],
        [3, 2060, 33],
        [4, 64, 64],
        [5, 530, 70],
        [7, 33, 95],
        [8, 130, 64],
        [9, 1, 5],
        [33, 50, 300],
        [200, 481, 17],
        [100, 1000, 260],
    ];
    let mut cpu = open();
    for format in [Precision::F16, Precision::Bf16] {
        let mut ran = std::collections::BTreeSet::new();
        for (shape, b_transposed) in shapes.into_iter().flat_map(|shape| [(shape, false), (shape, true)]) {
            let desc = desc(shape, format, b_transposed);
            let mark = cpu.mark();
            let operands = Operands::new(cpu.as_mut(), &desc);
            operands.compare(cpu.as_mut(), &desc, "").unwrap();
            let step = Step::Matmul { desc, plan: String::new(), a: Slot(0), b: Slot(1), c: Slot(2) };
            let options = cpu.options(&step).unwrap();
            assert!(!options.is_empty(), "{desc:?}");
            for option in options {
                operands.compare(cpu.as_mut(), &desc, option.variant()).unwrap();
            }
            for method in ["stream", "split", "block_rows", "block_columns", "block_grid"] {
                for build in ["avx512_bf16", "avx512", "avx2", "portable"] {
                    let plan = format!("{method}_{build}");
                    match operands.compare(cpu.as_mut(), &desc, &plan) {
                        Ok(()) => _ = ran.insert(plan),
                        Err(error) => assert!(matches!(error, DeviceError::Unsupported(_)), "{plan}: {error}"),
                    }
                }
            }
            cpu.release(mark).unwrap();
        }
        assert!(["stream_portable", "block_columns_portable"].iter().all(|plan| ran.contains(*plan)), "{ran:?}");
    }
}

#[test]
fn an_operand_too_small_for_its_matrix_is_refused() {
    let mut cpu = open();
    for format in [Precision::F32, Precision::Bf16] {
        let bytes = 16 * format.size();
        let small = cpu.alloc(ByteCount(bytes - 1), Place::Device).unwrap();
        let large = cpu.alloc(ByteCount(bytes), Place::Device).unwrap();
        for short in 0..3 {
            let mut row = vec![large; 3];
            row[short] = small;
            let desc = desc([4, 4, 4], format, false);
            let steps = vec![Step::Matmul { desc, plan: String::new(), a: Slot(0), b: Slot(1), c: Slot(2) }];
            let program = Program { steps, bindings: vec![row], outputs: Vec::new(), submit: Submit::Stream };
            assert!(matches!(cpu.record(&program), Err(DeviceError::Call { .. })), "{format}, operand {short}");
        }
    }
}
