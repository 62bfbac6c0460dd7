//! The product's kernels of matrix units (`kernels/mma`, `kernels/matmul`) against plain arithmetic, entry by entry.

use rooflint_emulator::number::{BF16, E4M3, F16, Format, Rounding};

use crate::bench::{Buffer, Text};
use crate::support::numbers;

macro_rules! ptx {
    ($name:literal) => {
        include_str!(concat!("../../../../kernels/ptx/", $name, ".ptx"))
    };
}

/// A number of a pattern of small whole ones: see the contract of mma.
fn small(index: u32, limit: u32) -> i64 {
    let mut x = index;
    x ^= x >> 16;
    x = x.wrapping_mul(0x7feb_352d);
    x ^= x >> 15;
    x = x.wrapping_mul(0x846c_a68b);
    x ^= x >> 16;
    i64::from(x % (2 * limit + 1)) - i64::from(limit)
}

/// Every sum of `mma` for a format, in whole numbers.
fn sums(tiles: u32, rounds: u32, k: u32, [limit_a, limit_b]: [u32; 2]) -> Vec<i64> {
    let b = |k: u32, column: u32| small(0x8000_0000 | (column * 32 + k), limit_b);
    let sum = |row: u32, column: u32| {
        let product: i64 = (0..k).map(|k| small(row * 32 + k, limit_a) * b(k, column)).sum();
        i64::from(rounds) * b(row % k, column) + product
    };
    (0..tiles * 64).flat_map(|row| (0..256).map(move |column| sum(row, column))).collect()
}

/// The formats of mma: name, k's of a product, and the largest elements of a and b.
const FORMATS: [(&str, u32, [u32; 2]); 6] = [
    ("f16", 16, [100, 100]),
    ("bf16", 16, [100, 100]),
    ("tf32", 8, [100, 100]),
    ("i8", 32, [100, 100]),
    ("fp8_e4m3", 32, [15, 7]),
    ("fp8_e5m2", 32, [7, 7]),
];

fn issues(text: &Text, ways: &[(&str, u32)], formats: &[&str], [tiles, blocks, rounds]: [u32; 3]) {
    for (format, k, limits) in FORMATS.iter().filter(|(name, ..)| formats.contains(name)) {
        let expected = sums(tiles, rounds, *k, *limits);
        for (way, threads) in ways {
            let out = Buffer::of(&vec![0x7fc0_dead_u32; (tiles * 64 * 256) as usize]);
            let entry = format!("mma_{format}_{way}");
            text.run(&entry, [blocks, *threads], 0, &[&out, &0_u32, &u64::from(tiles), &u64::from(rounds)])
                .unwrap_or_else(|trap| panic!("{entry}: {}", trap.why));
            for (index, (found, expected)) in out.read::<u32>().into_iter().zip(&expected).enumerate() {
                let found = if *format == "i8" { f64::from(found as i32) } else { f64::from(f32::from_bits(found)) };
                assert!(found == *expected as f64, "{entry}: sum {index} is {found}, not {expected}");
            }
        }
    }
}

#[test]
fn products_of_warps_are_counted_exactly() {
    let ways = [("c4", 256), ("c8", 256)];
    for shape in [[1, 1, 2], [1, 5, 0]] {
        issues(&Text::new(ptx!("mma")), &ways, &["f16", "bf16", "tf32", "i8"], shape);
        issues(&Text::new(ptx!("mma_sm_89")), &ways, &["fp8_e4m3", "fp8_e5m2"], shape);
    }
}

#[test]
fn products_of_warpgroups_are_counted_exactly() {
    let text = Text::new(ptx!("mma_sm_90a"));
    let all = FORMATS.map(|(name, ..)| name);
    issues(&text, &[("n128", 512), ("n256", 256)], &all, [1, 1, 2]);
    // Fewer tiles than warpgroups, more tiles than blocks, more blocks than tiles.
    issues(&text, &[("n128", 512), ("n256", 256)], &["f16"], [5, 3, 0]);
    issues(&text, &[("n128", 512), ("n256", 256)], &["fp8_e4m3"], [1, 7, 1]);
}

/// A way to multiply: entry, its tile, threads and dynamic shared memory.
struct Way {
    entry: String,
    tile: [usize; 2],
    threads: u32,
    shared: usize,
}

fn way(format: &str, name: &str, tile: [usize; 2], threads: u32, shared: usize) -> Way {
    Way { entry: format!("matmul_{format}_{name}"), tile, threads, shared }
}

/// The ways of mma.sync, for formats of 16 and of 8 bits alike.
fn warps(format: &str) -> Vec<Way> {
    vec![
        way(format, "warps_128x256", [128, 256], 256, (3 * 24) << 10),
        way(format, "warps_128x128", [128, 128], 128, (4 * 16) << 10),
        way(format, "warps_64x64", [64, 64], 128, (4 * 16) << 10),
        way(format, "warps_16x64", [16, 64], 128, (6 * 10) << 10),
    ]
}

fn groups(format: &str) -> Vec<Way> {
    vec![
        way(format, "groups_128x256", [128, 256], 256, (4 * 48) << 10),
        way(format, "groups_128x128", [128, 128], 256, (5 * 32) << 10),
        way(format, "groups_64x128", [64, 128], 128, (4 * 24) << 10),
    ]
}

fn cores(format: &str, rows: usize, pack: usize) -> Vec<Way> {
    let width = 32 * pack;
    vec![
        way(format, "cores_64x64", [64, 64], 256, 0),
        way(format, "rows_1", [1, width], 256, 0),
        way(format, &format!("rows_{rows}"), [rows, width], 256, 0),
    ]
}

/// Operands of a format: bytes, and what they are worth.
#[derive(Clone, Copy)]
enum Form {
    Narrow(Format),
    Byte(Format),
    F32,
    F64,
}

impl Form {
    fn of(self, values: &[f32]) -> (Buffer, Vec<f64>) {
        let encode = |format: Format, value: &f32| format.encode(f64::from(*value), Rounding::NearestEven, false);
        match self {
            Self::Narrow(format) => {
                let bits: Vec<u16> = values.iter().map(|value| encode(format, value) as u16).collect();
                (Buffer::of(&bits), bits.iter().map(|bits| format.decode(u32::from(*bits))).collect())
            }
            Self::Byte(format) => {
                let bits: Vec<u8> = values.iter().map(|value| encode(format, value) as u8).collect();
                (Buffer::of(&bits), bits.iter().map(|bits| format.decode(u32::from(*bits))).collect())
            }
            Self::F32 => (Buffer::of(values), values.iter().map(|value| f64::from(*value)).collect()),
            Self::F64 => {
                let values: Vec<f64> = values.iter().map(|value| f64::from(*value)).collect();
                (Buffer::of(&values), values)
            }
        }
    }

    /// Results, and their largest relative error.
    fn results(self, c: &Buffer) -> (Vec<f64>, f64) {
        let narrow = |format: Format| c.read::<u16>().iter().map(|bits| format.decode(u32::from(*bits))).collect();
        match self {
            Self::Narrow(format) => (narrow(format), if format.decode(0x3c00) == 1.0 { 6e-4 } else { 4e-3 }),
            Self::Byte(_) => (narrow(BF16), 4e-3),
            Self::F32 => (c.read::<f32>().into_iter().map(f64::from).collect(), 2e-5),
            Self::F64 => (c.read::<f64>(), 1e-13),
        }
    }

    fn result_bytes(self) -> usize {
        match self {
            Self::Narrow(_) | Self::Byte(_) => 2,
            Self::F32 => 4,
            Self::F64 => 8,
        }
    }
}

/// Multiplies by one way, and compares every element.
fn multiplies(text: &Text, way: &Way, form: Form, [m, n, k]: [usize; 3], splits: usize) {
    let by_columns = matches!(form, Form::Byte(_));
    let (a, a_values) = form.of(&numbers(m * k, 11));
    let (b, b_values) = form.of(&numbers(n * k, 12));
    let size = form.result_bytes();
    // Not a number in every format, and a guard behind the last element.
    let c = Buffer::of(&vec![0xff_u8; m * n * size + 64]);
    let parts = Buffer::new(if splits > 1 { splits * m * n * size.max(4) } else { 16 });
    let blocks = m.div_ceil(way.tile[0]) * n.div_ceil(way.tile[1]) * splits;
    let told = format!("{} with {m} x {n} x {k} in {splits}", way.entry);
    // Twice: the second finds what the first left.
    for _ in 0..if splits > 1 { 2 } else { 1 } {
        let shape = [m as u32, n as u32, k as u32, splits as u32];
        let arguments: [&dyn crate::bench::Argument; 8] =
            [&a, &b, &c, &parts, &shape[0], &shape[1], &shape[2], &shape[3]];
        text.run(&way.entry, [blocks as u32, way.threads], way.shared, &arguments)
            .unwrap_or_else(|trap| panic!("{told}: {}", trap.why));
    }
    let (found, unit) = form.results(&c);
    for (index, found) in found[..m * n].iter().enumerate() {
        let (row, column) = (index / n, index % n);
        let at = |i: usize| if by_columns { column * k + i } else { i * n + column };
        let expected: f64 = (0..k).map(|i| a_values[row * k + i] * b_values[at(i)]).sum();
        let error = (found - expected).abs();
        assert!(error <= unit * (expected.abs() + 1.0), "{told}: c[{row}, {column}] is {found}, not {expected}");
    }
    assert!(c.read::<u8>()[m * n * size..].iter().all(|byte| *byte == 0xff), "{told} writes past its end");
}

/// A way at its own tile, at a ragged shape of several tiles, and with the k's in parts.
fn multiplies_well(text: &Text, ways: &[Way], form: Form, pack: usize) {
    for way in ways {
        let [rows, columns] = way.tile;
        let short = if way.entry.contains("rows") { 8 } else { pack };
        multiplies(text, way, form, [rows, columns, 256], 1);
        multiplies(text, way, form, [rows + rows.div_ceil(3), columns + pack, 128 + short], 1);
        multiplies(text, way, form, [rows.div_ceil(2), columns / 2 + pack, 512 + short], 3);
        multiplies(text, way, form, [1, pack, short], 1);
    }
}

#[test]
fn the_plain_units_multiply() {
    let text = Text::new(ptx!("matmul"));
    let mut f32s = cores("f32", 8, 4);
    f32s.push(way("f32", "cores_128x128", [128, 128], 256, 0));
    multiplies_well(&text, &f32s, Form::F32, 4);
    multiplies_well(&text, &cores("f64", 8, 2), Form::F64, 2);
    multiplies_well(&text, &cores("f16", 4, 8), Form::Narrow(F16), 8);
    multiplies_well(&text, &cores("bf16", 4, 8), Form::Narrow(BF16), 8);
    // Rows that are no whole packs.
    for (form, format) in [(Form::F32, "f32"), (Form::F64, "f64"), (Form::Narrow(F16), "f16")] {
        multiplies(&text, &cores(format, 1, 1)[0], form, [3, 67, 17], 1);
        multiplies(&text, &cores(format, 1, 1)[0], form, [65, 1, 33], 2);
    }
}

#[test]
fn products_of_warps_multiply() {
    let text = Text::new(ptx!("matmul"));
    multiplies_well(&text, &warps("f16"), Form::Narrow(F16), 8);
    multiplies_well(&text, &warps("bf16"), Form::Narrow(BF16), 8);
    multiplies_well(&Text::new(ptx!("matmul_sm_89")), &warps("fp8_e4m3"), Form::Byte(E4M3), 16);
}

#[test]
fn products_of_warpgroups_multiply() {
    let text = Text::new(ptx!("matmul_sm_90a"));
    multiplies_well(&text, &groups("f16"), Form::Narrow(F16), 8);
    multiplies_well(&text, &groups("bf16"), Form::Narrow(BF16), 8);
    multiplies_well(&text, &groups("fp8_e4m3"), Form::Byte(E4M3), 16);
}
