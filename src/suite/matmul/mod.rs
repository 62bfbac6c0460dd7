//! `matmul`: matrix products, square and skinny.

mod check;
mod library;

use std::collections::{BTreeMap, HashSet};

use self::check::Checker;
use super::check::seed_of;
use super::sizes::last_cache;
use super::{
    Axis, Benchmark, CheckError, Meta, Outputs, PRECISIONS, Profile, Request, SIDE, Stop, WORDS_ONLY, expand, has,
    load, places_work_groups,
};
use crate::device::{Device, MatmulDesc, Pattern, Place, Program, Provider, Slot, Step, Submit};
use crate::record::{AxisValue, Case, CheckPassed, DeviceInfo, DeviceKind, MatmulShape, Precision, Quantity, Work};
use crate::units::{ByteCount, FlopCount};

/// The row of this benchmark.
pub(super) struct Matmul;

static META: Meta = Meta {
    id: "matmul",
    question: "How fast does this device multiply matrices, large square ones and those of a small batch?",
    formula: "2 m n k / median time of a repeat of c[m, n] = a[m, k] b[k, n]. Bytes: a and b read once, c written once.",
    caveats: &[
        "Which library computes it is part of the figure: a crate on the CPU, cuBLASLt on NVIDIA's GPUs where it is \
         installed, and this project's own kernels elsewhere, as through wgpu and for 16-bit formats on the CPU. On GPUs \
         with matrix units the case says whose code it was. The variant names the plan that won the race: of the vendor's \
         library, the best of the eight that its heuristic likes most.",
        "f16 and bf16 are the format of a, b and c alike; sums are in f32 and rounded once. Products of 16-bit numbers \
         are exact in f32, so only the sums and the last rounding err. With fp8_e4m3 c is bf16, and b is stored as \
         [n, k], as matrix units take it; its sums may keep 13 bits behind the point of the largest term, as those of \
         compute capability 9.0 do (what libraries call fast accumulation), unless accumulate=full. tf32 is f32 in memory \
         and 19 bits in the product. With i8 c is i32, exact, and b is stored as [n, k].",
        "Where fewer than 1024 operations are made per byte of b, repeats rotate through copies of b that together \
         exceed the last cache four times, as a model's weights do; a and c stay warm, as activations do. A larger m \
         is bound by arithmetic wherever b lies, and has one b.",
        "A small m is bound by reading b: compare its bytes per second with memory's read. On the CPU the crate's path \
         for m = 1 in f32 reads b at well under half of that, where OpenBLAS comes near it.",
        "Data are random over [-1, 1) with full significands, unless data says otherwise. Zeros or small integers toggle \
         fewer wires and run faster on devices limited by power: ask with --data random,integers,zeros. Only random \
         data make a ceiling.",
        "A GPU's power limit holds large products down within tens of milliseconds, so that a burst (windows of a fifth \
         of a second, and the host between them) and a sustained load of seconds can differ by several per cent. Both \
         are results: ask with --axis load=burst,sustained.",
    ],
    quantity: Quantity::Throughput,
    axes: &[
        Axis {
            name: "m",
            about: "rows of a and c: the batch (4096 where only n or k is given)",
            words: &[],
            range: SIDE,
        },
        Axis { name: "n", about: "columns of b and c (4096 where only m or k is given)", words: &[], range: SIDE },
        Axis { name: "k", about: "columns of a, rows of b (4096 where only m or n is given)", words: &[], range: SIDE },
        Axis { name: "precision", about: "number format of all operands", words: &PRECISIONS, range: WORDS_ONLY },
        Axis {
            name: "accumulate",
            about: "how sums are made where that is not the usual: f16 (of f16), full (of fp8_e4m3: no bits lost)",
            words: &["f16", "full"],
            range: WORDS_ONLY,
        },
        Axis {
            name: "library",
            about: "whose code computes it on a device with matrix units: the vendor's library, by name and version, or \
                    rooflint's own kernels",
            words: &["vendor", "own"],
            range: WORDS_ONLY,
        },
        Axis {
            name: "data",
            about: "what a and b hold: random over [-1, 1), integers from -4 to 4, zeros",
            words: &["random", "integers", "zeros"],
            range: WORDS_ONLY,
        },
        load::AXIS,
    ],
};

/// With this many operations per byte of b, reading b takes little time on any device: the highest ridge
/// point of a datasheet is 590 FLOP/byte (H100 SXM, dense FP8 over HBM3).
const ARITHMETIC_BOUND: u64 = 1024;
/// The same for a renderer on the cores of a CPU, whose ridge point is a tenth of that.
const SOFTWARE_BOUND: u64 = 128;
/// Copies of b together are at least this many times the last cache …
const COLD: u64 = 4;
/// … but no more than this many copies.
const COPIES_MAX: u64 = 64;

impl Benchmark for Matmul {
    fn meta(&self) -> &'static Meta {
        &META
    }

    fn cases(&self, device: &DeviceInfo, request: &Request) -> Vec<Case> {
        let precision = ("precision", vec![AxisValue::from("f32")]);
        let data = ("data", vec![AxisValue::from("random")]);
        let sides = ["m", "n", "k"];
        let cases = if sides.iter().any(|axis| request.axes.contains_key(*axis)) {
            let [m, n, k] = sides.map(|side| (side, vec![AxisValue::Count(4096)]));
            expand(META.id, request, &[m, n, k, precision, data])
        } else {
            let point = |MatmulShape { m, n, k, precision: own }| {
                let axes = [("m", m), ("n", n), ("k", k)].map(|(name, side)| (name, vec![AxisValue::Count(side)]));
                let [m, n, k] = axes;
                let mut request = request.clone();
                if let Some(own) = own {
                    request.axes.insert("precision".to_owned(), vec![own.name().into()]);
                }
                expand(META.id, &request, &[m, n, k, precision.clone(), data.clone()])
            };
            shapes(request, device).into_iter().flat_map(point).collect()
        };
        let cases = library::by_libraries(library::with_sums(cases, device, request), device, request);
        let headlines = largest_squares(&cases, device, request);
        load::under_loads(cases, device, request, |case| headlines.contains(&case.key()))
    }

    fn work(&self, case: &Case) -> Work {
        let shape = Shape::of(case);
        let size = shape.precision.size();
        Work {
            bytes_read_b: ByteCount((shape.m * shape.k + shape.k * shape.n) * size),
            bytes_written_b: shape.result_bytes(),
            flop: [(shape.precision, FlopCount(2 * shape.m * shape.n * shape.k))].into(),
            ..Work::default()
        }
    }

    fn footprint(&self, device: &DeviceInfo, case: &Case) -> ByteCount {
        let shape = Shape::of(case);
        let b = shape.k * shape.n * shape.copies(device);
        ByteCount((shape.m * shape.k + b) * shape.precision.size()) + shape.result_bytes()
    }

    fn prepare(&self, case: &Case, device: &mut dyn Device) -> Result<Program, Stop> {
        let shape = Shape::of(case);
        let size = shape.precision.size();
        let (Some(pattern_a), Some(_)) = (shape.a(case), shape.b(case, 0)) else {
            return Err(Stop::Skip(format!("there is no filling for {}", shape.precision)));
        };
        let step = shape.step(library::provider(case, &shape, device)?);
        let a = device.alloc(ByteCount(shape.m * shape.k * size), Place::Device)?;
        device.fill(a, pattern_a)?;
        let c = device.alloc(shape.result_bytes(), Place::Device)?;
        device.fill(c, Pattern::Poison)?;
        let mut bindings = Vec::new();
        for pattern_b in (0..shape.copies(device.info())).map_while(|copy| shape.b(case, copy)) {
            let b = device.alloc(ByteCount(shape.k * shape.n * size), Place::Device)?;
            device.fill(b, pattern_b)?;
            bindings.push(vec![a, b, c]);
        }
        Ok(Program { steps: vec![step], bindings, outputs: vec![c], submit: Submit::Stream })
    }

    fn check(&self, case: &Case, outputs: &mut dyn Outputs) -> Result<CheckPassed, CheckError> {
        Checker::new(case)?.check(case, outputs)
    }
}

/// The product of these sides, `[m, n, k]`, by whom a case asks for: the vendor's library where the device has it for them,
/// else our own kernels.
pub(super) fn product(
    case: &Case,
    [m, n, k]: [u64; 3],
    precision: Precision,
    device: &mut dyn Device,
) -> Result<MatmulDesc, Stop> {
    let shape = Shape { m, n, k, precision, sums: None };
    Ok(shape.desc(library::provider(case, &shape, device)?))
}

/// Keys of the largest square products in each format of the matrix units: those that a power limit holds down most, and
/// that are measured under sustained load too. None in a quick run, nor of shapes or data that the user chose.
fn largest_squares(cases: &[Case], device: &DeviceInfo, request: &Request) -> HashSet<String> {
    let chosen = !request.shapes.is_empty() || ["m", "n", "k"].iter().any(|side| request.axes.contains_key(*side));
    if request.profile == Profile::Quick || chosen || !has(device, "matrix_units") {
        return HashSet::new();
    }
    let square = |case: &&Case| {
        let Shape { m, n, k, precision, sums } = Shape::of(case);
        let usual = sums.is_none() && case.word("data").is_none_or(|data| data == "random");
        m == n && n == k && is_narrow(precision) && usual && library::speaks(case, device)
    };
    let mut sides: BTreeMap<Precision, u64> = BTreeMap::new();
    for Shape { m, precision, .. } in cases.iter().filter(square).map(Shape::of) {
        sides.entry(precision).and_modify(|side| *side = m.max(*side)).or_insert(m);
    }
    let largest = |case: &&Case| sides.get(&Shape::of(case).precision) == case.count("m").as_ref();
    cases.iter().filter(square).filter(largest).map(Case::key).collect()
}

/// The user's shapes, or the profile's. Shapes of a precision other than the default come after the others, and not
/// where the user names precisions.
fn shapes(request: &Request, device: &DeviceInfo) -> Vec<MatmulShape> {
    if !request.shapes.is_empty() {
        return request.shapes.clone();
    }
    let (squares, batches) = sides(request.profile, device.kind);
    let layer = match device.kind {
        DeviceKind::Emulated => EMULATED_LAYER,
        DeviceKind::Software => SOFTWARE_LAYER,
        _ => LAYER,
    };
    let of = |precision, squares: &[u64], batches: &[u64]| of(precision, squares, batches, layer);
    // A model's layers are computed by matrix units where there are such.
    let brief =
        request.profile == Profile::Quick && has(device, "matrix_units") && !request.axes.contains_key("precision");
    let mut shapes = of(None, squares, if brief { &[] } else { batches });
    if request.axes.contains_key("precision") {
        return shapes;
    }
    // The 16-bit format that the device computes in: a GPU's units know f16, and a CPU's, if any, bf16.
    let (first, second) = match places_work_groups(device) {
        true => (Precision::F16, Precision::Bf16),
        false => (Precision::Bf16, Precision::F16),
    };
    if has(device, "matrix_units") {
        let squares = large_sides(request.profile, device.kind);
        let eight_bits = has(device, "fp8_e4m3").then_some(Precision::Fp8E4m3);
        if library::name(device).is_some() {
            let largest = &squares[squares.len() - 1..];
            shapes.extend([Precision::Tf32, Precision::I8].into_iter().flat_map(|form| of(Some(form), largest, &[])));
        }
        for precision in [Some(first), Some(second), eight_bits].into_iter().flatten() {
            // Products of the two formats of 16 bits take the same time.
            let twice = brief && precision == Precision::F16;
            shapes.extend(of(Some(precision), squares, if twice { &[] } else { batches }));
            if request.profile == Profile::Full && device.kind != DeviceKind::Emulated {
                shapes.extend(of(Some(precision), &[], &LARGE_BATCHES));
            }
        }
        return shapes;
    }
    let narrow = match (request.profile, device.kind) {
        (Profile::Quick, DeviceKind::Software) => Vec::new(),
        (Profile::Quick, _) => of(Some(first), &[], &batches[..1]),
        (Profile::Standard, DeviceKind::Software) => of(Some(first), &squares[..1], &batches[..1]),
        // Not the largest: without units of its own a CPU takes a second over one, and seconds over its check.
        (Profile::Standard, _) => of(Some(first), &squares[squares.len() - 2..squares.len() - 1], batches),
        (Profile::Full, _) => [first, second].into_iter().flat_map(|form| of(Some(form), squares, batches)).collect(),
    };
    shapes.extend(narrow);
    shapes
}

/// A profile's sides of square matrices, and its batches.
fn sides(profile: Profile, kind: DeviceKind) -> (&'static [u64], &'static [u64]) {
    match profile {
        // A renderer on the cores of a CPU takes seconds over what a GPU does in milliseconds.
        Profile::Quick if kind == DeviceKind::Software => (&[512], &[1]),
        Profile::Standard if kind == DeviceKind::Software => (&[512, 1024], &[1, 2, 4, 8, 16, 32]),
        // An emulator's answers are the same at any size.
        Profile::Quick if kind == DeviceKind::Emulated => (&[128], &[1, 8, 64]),
        _ if kind == DeviceKind::Emulated => (&[128, 256], &[1, 2, 4, 8, 16, 32, 64, 128]),
        Profile::Quick => (&[2048], &[1, 8, 64]),
        Profile::Standard => (&[1024, 2048, 4096], &[1, 2, 4, 8, 16, 32, 64, 128, 256, 512]),
        Profile::Full => (&[512, 1024, 2048, 4096, 8192], &[1, 2, 4, 8, 16, 32, 64, 96, 128, 192, 256, 384, 512]),
    }
}

/// A profile's sides of square matrices in the formats of matrix units, which need more to be kept busy.
fn large_sides(profile: Profile, kind: DeviceKind) -> &'static [u64] {
    match profile {
        Profile::Quick if kind == DeviceKind::Emulated => &[128],
        _ if kind == DeviceKind::Emulated => &[128, 256],
        Profile::Quick => &[4096],
        Profile::Standard => &[4096, 8192],
        Profile::Full => &[2048, 4096, 8192, 16_384],
    }
}

/// Batches of a full run on matrix units beside the others; the largest is a square product of the same side.
const LARGE_BATCHES: [u64; 2] = [1024, 2048];
/// Side of the layer that batches are multiplied with.
const LAYER: u64 = 4096;
/// The same for a renderer on the cores of a CPU.
const SOFTWARE_LAYER: u64 = 2048;
/// The same on an emulated device.
const EMULATED_LAYER: u64 = 256;

/// Shapes of a precision: square, and batches on a layer.
fn of(precision: Option<Precision>, squares: &[u64], batches: &[u64], layer: u64) -> Vec<MatmulShape> {
    let squares = squares.iter().map(|side| [*side; 3]);
    let shapes = squares.chain(batches.iter().map(|batch| [*batch, layer, layer]));
    shapes.map(|[m, n, k]| MatmulShape { m, n, k, precision }).collect()
}

/// The axes of a case.
struct Shape {
    m: u64,
    n: u64,
    k: u64,
    precision: Precision,
    /// How sums are made, where that is not the usual.
    sums: Option<Sums>,
}

/// Unusual ways to make sums.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Sums {
    /// Of binary16, in binary16.
    F16,
    /// Of 8-bit floating point, with no bits lost.
    Full,
}

/// Whether a format has fewer bits than the `F32` of its sums.
fn is_narrow(precision: Precision) -> bool {
    matches!(precision, Precision::Tf32 | Precision::F16 | Precision::Bf16 | Precision::Fp8E4m3)
}

impl Shape {
    fn of(case: &Case) -> Self {
        let side = |axis| case.count(axis).unwrap_or(1);
        let precision = case.word("precision").and_then(|word| word.parse().ok()).unwrap_or(Precision::F32);
        let sums = match case.word("accumulate") {
            Some("f16") => Some(Sums::F16),
            Some("full") => Some(Sums::Full),
            _ => None,
        };
        Self { m: side("m"), n: side("n"), k: side("k"), precision, sums }
    }

    /// Format of the sums.
    fn accumulate(&self) -> Precision {
        match (self.precision, self.sums) {
            (_, Some(Sums::F16)) => Precision::F16,
            (Precision::I8, _) => Precision::I32,
            (precision, _) if is_narrow(precision) => Precision::F32,
            (precision, _) => precision,
        }
    }

    fn step(&self, provider: Provider) -> Step {
        Step::Matmul { desc: self.desc(provider), plan: String::new(), a: Slot(0), b: Slot(1), c: Slot(2) }
    }

    fn desc(&self, provider: Provider) -> MatmulDesc {
        MatmulDesc {
            m: self.m,
            n: self.n,
            k: self.k,
            a: self.precision,
            b: self.precision,
            c: self.result(),
            accumulate: self.accumulate(),
            b_transposed: self.b_by_columns(),
            full_sums: self.sums == Some(Sums::Full),
            provider,
        }
    }

    /// Format of c.
    fn result(&self) -> Precision {
        match self.precision {
            Precision::Fp8E4m3 => Precision::Bf16,
            Precision::Tf32 => Precision::F32,
            Precision::I8 => Precision::I32,
            precision => precision,
        }
    }

    fn result_bytes(&self) -> ByteCount {
        ByteCount(self.m * self.n * self.result().size())
    }

    /// Whether b is stored as `[n, k]`.
    fn b_by_columns(&self) -> bool {
        matches!(self.precision, Precision::Fp8E4m3 | Precision::I8)
    }

    /// Where an element of b is stored.
    fn index_of_b(&self, k: u64, column: u64) -> u64 {
        if self.b_by_columns() { column * self.k + k } else { k * self.n + column }
    }

    /// Copies of b that repeats rotate through.
    fn copies(&self, device: &DeviceInfo) -> u64 {
        let bound = if device.kind == DeviceKind::Software { SOFTWARE_BOUND } else { ARITHMETIC_BOUND };
        if 2 * self.m / self.precision.size() >= bound {
            return 1;
        }
        (COLD * last_cache(device)).div_ceil(self.k * self.n * self.precision.size()).clamp(1, COPIES_MAX)
    }

    fn a(&self, case: &Case) -> Option<Pattern> {
        self.pattern(case, 0)
    }

    fn b(&self, case: &Case, copy: u64) -> Option<Pattern> {
        self.pattern(case, 1 + copy)
    }

    /// What the `stream`-th operand holds.
    fn pattern(&self, case: &Case, stream: u64) -> Option<Pattern> {
        let seed = seed_of(case, stream);
        match case.word("data") {
            Some("zeros") => Some(Pattern::Zeros),
            Some("integers") => Pattern::integers(self.precision, seed),
            _ => Pattern::uniform(self.precision, seed),
        }
    }
}
