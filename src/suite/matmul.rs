//! `matmul`: matrix products, square and skinny.

use super::check::{read_words, seed_of, within};
use super::sizes::last_cache;
use super::{Axis, Benchmark, CheckError, Meta, Outputs, PRECISIONS, Profile, Request, SIDE, Stop, WORDS_ONLY, expand};
use crate::device::{Device, MatmulDesc, Pattern, Place, Program, Provider, Slot, Step, Submit};
use crate::record::{
    AxisValue, Case, CheckFailure, CheckPassed, DeviceInfo, DeviceKind, MatmulShape, Precision, Quantity, Work,
};
use crate::units::{ByteCount, FlopCount, Ratio};

/// The row of this benchmark.
pub(super) struct Matmul;

static META: Meta = Meta {
    id: "matmul",
    question: "How fast does this device multiply matrices, large square ones and those of a small batch?",
    formula: "2 m n k / median time of a repeat of c[m, n] = a[m, k] b[k, n]. Bytes: a and b read once, c written once.",
    caveats: &[
        "Which library computes it is part of the figure: a crate on the CPU, the vendor's on a GPU, and this project's \
         own kernels where no library can be called, as through wgpu. The variant names the plan that won the race.",
        "Where fewer than 1024 operations are made per byte of b, repeats rotate through copies of b that together \
         exceed the last cache four times, as a model's weights do; a and c stay warm, as activations do. A larger m \
         is bound by arithmetic wherever b lies, and has one b.",
        "A small m is bound by reading b: compare its bytes per second with memory's read. On the CPU the crate's path \
         for m = 1 reads b at well under half of that, where OpenBLAS comes near it.",
        "Data are random over [-1, 1) with full significands, unless data says otherwise. Zeros or small integers toggle \
         fewer wires and run faster on devices limited by power: ask with --data random,integers,zeros. Only random \
         data make a ceiling.",
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
            name: "data",
            about: "what a and b hold: random over [-1, 1), integers from -4 to 4, zeros",
            words: &["random", "integers", "zeros"],
            range: WORDS_ONLY,
        },
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
/// Elements compared one by one.
const SPOTS: u64 = 64;

impl Benchmark for Matmul {
    fn meta(&self) -> &'static Meta {
        &META
    }

    fn cases(&self, device: &DeviceInfo, request: &Request) -> Vec<Case> {
        let precision = ("precision", vec![AxisValue::from("f32")]);
        let data = ("data", vec![AxisValue::from("random")]);
        if ["m", "n", "k"].iter().any(|axis| request.axes.contains_key(*axis)) {
            let side = vec![AxisValue::Count(4096)];
            return expand(META.id, request, &[("m", side.clone()), ("n", side.clone()), ("k", side), precision, data]);
        }
        let shapes = shapes(request, device.kind).into_iter();
        let point = |MatmulShape { m, n, k, precision: own }| {
            let axes = [("m", m), ("n", n), ("k", k)].map(|(name, side)| (name, vec![AxisValue::Count(side)]));
            let [m, n, k] = axes;
            let mut request = request.clone();
            if let Some(own) = own {
                request.axes.insert("precision".to_owned(), vec![own.name().into()]);
            }
            expand(META.id, &request, &[m, n, k, precision.clone(), data.clone()])
        };
        shapes.flat_map(point).collect()
    }

    fn work(&self, case: &Case) -> Work {
        let shape = Shape::of(case);
        let size = shape.precision.size();
        Work {
            bytes_read_b: ByteCount((shape.m * shape.k + shape.k * shape.n) * size),
            bytes_written_b: ByteCount(shape.m * shape.n * size),
            flop: [(shape.precision, FlopCount(2 * shape.m * shape.n * shape.k))].into(),
            ..Work::default()
        }
    }

    fn footprint(&self, device: &DeviceInfo, case: &Case) -> ByteCount {
        let shape = Shape::of(case);
        let b = shape.k * shape.n * shape.copies(device);
        ByteCount((shape.m * shape.k + b + shape.m * shape.n) * shape.precision.size())
    }

    fn prepare(&self, case: &Case, device: &mut dyn Device) -> Result<Program, Stop> {
        let shape = Shape::of(case);
        let size = shape.precision.size();
        let (Some(pattern_a), Some(_)) = (shape.a(case), shape.b(case, 0)) else {
            return Err(Stop::Skip(format!("there is no filling for {}", shape.precision)));
        };
        // The library users would call, where there is one.
        let mut step = shape.step(Provider::Vendor);
        if device.options(&step)?.is_empty() {
            step = shape.step(Provider::Own);
            if device.options(&step)?.is_empty() {
                return Err(Stop::Skip(format!("the device has no matrix product of {}", shape.precision)));
            }
        }
        let a = device.alloc(ByteCount(shape.m * shape.k * size), Place::Device)?;
        device.fill(a, pattern_a)?;
        let c = device.alloc(ByteCount(shape.m * shape.n * size), Place::Device)?;
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

/// The user's shapes, or the profile's.
fn shapes(request: &Request, kind: DeviceKind) -> Vec<MatmulShape> {
    if !request.shapes.is_empty() {
        return request.shapes.clone();
    }
    let (squares, batches): (&[u64], &[u64]) = match request.profile {
        // A renderer on the cores of a CPU takes seconds over what a GPU does in milliseconds.
        Profile::Quick if kind == DeviceKind::Software => (&[512], &[1, 8]),
        Profile::Standard if kind == DeviceKind::Software => (&[512, 1024], &[1, 2, 4, 8, 16, 32, 64]),
        Profile::Quick => (&[2048], &[1, 8, 64]),
        Profile::Standard => (&[1024, 2048, 4096], &[1, 2, 4, 8, 16, 32, 64, 128, 256, 512]),
        Profile::Full => (&[512, 1024, 2048, 4096, 8192], &[1, 2, 4, 8, 16, 32, 64, 96, 128, 192, 256, 384, 512]),
    };
    let squares = squares.iter().map(|side| [*side; 3]);
    let shapes = squares.chain(batches.iter().map(|batch| [*batch, 4096, 4096]));
    shapes.map(|[m, n, k]| MatmulShape { m, n, k, precision: None }).collect()
}

/// The axes of a case.
struct Shape {
    m: u64,
    n: u64,
    k: u64,
    precision: Precision,
}

impl Shape {
    fn of(case: &Case) -> Self {
        let side = |axis| case.count(axis).unwrap_or(1);
        let precision = case.word("precision").and_then(|word| word.parse().ok()).unwrap_or(Precision::F32);
        Self { m: side("m"), n: side("n"), k: side("k"), precision }
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
            c: self.precision,
            accumulate: self.precision,
            b_transposed: false,
            provider,
        }
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

/// Compares c with the product in binary64: some elements one by one, and every row as a whole.
struct Checker {
    shape: Shape,
    a: Pattern,
    /// Allowed error of one element.
    element: f64,
    /// Allowed error of a row's signed sum.
    row: f64,
}

impl Checker {
    /// Rounding errors of a sum of k products of numbers in [-1, 1) add up like a random walk: their
    /// standard deviation is about 0.14 k u, u being half the distance from 1 to the next number. Twice
    /// k u is some 15 of those; the signed sum of n elements has the square root of n times as much.
    /// The reference's own rounding is allowed for in the same way.
    fn new(case: &Case) -> Result<Self, CheckFailure> {
        let shape = Shape::of(case);
        let a = shape.a(case).ok_or_else(|| CheckFailure {
            place: "precision".to_owned(),
            expected: "a format with a reference".to_owned(),
            found: shape.precision.to_string(),
        })?;
        let unit = if shape.precision == Precision::F64 { f64::EPSILON } else { f64::from(f32::EPSILON) } / 2.0;
        let (n, k) = (shape.n as f64, shape.k as f64);
        let element = 2.0 * k * (unit + f64::EPSILON);
        let row = 2.0 * k * n.sqrt() * unit + f64::EPSILON * (k * n.sqrt() + n * k.sqrt());
        Ok(Self { shape, a, element, row })
    }

    fn check(&self, case: &Case, outputs: &mut dyn Outputs) -> Result<CheckPassed, CheckError> {
        let b = self.identify(case, outputs)?;
        let mut worst = 0.0_f64;
        for spot in 0..SPOTS {
            let [row, column] = self.spot(case, spot);
            let expected = self.product_at(b, row, column);
            worst = worst.max(self.judge_element(outputs, row, column, expected)?);
        }
        worst = worst.max(self.check_rows(case, b, outputs)?);
        let compared = SPOTS + self.shape.m * self.shape.n;
        Ok(CheckPassed { compared, worst: Ratio::new(worst).unwrap_or(Ratio::ZERO) })
    }

    /// The copy of b that c was computed from last: the one that gives its first spot. The first copy
    /// where none does; its failure is then reported.
    fn identify(&self, case: &Case, outputs: &mut dyn Outputs) -> Result<Pattern, CheckError> {
        let [row, column] = self.spot(case, 0);
        let found = self.element_at(outputs, row, column)?;
        let mut copies = (0..COPIES_MAX).map_while(|copy| self.shape.b(case, copy));
        let fits = |b: &Pattern| (self.product_at(*b, row, column) - found).abs() <= self.element;
        Ok(copies.find(fits).or_else(|| self.shape.b(case, 0)).unwrap_or(self.a))
    }

    /// Row and column of a hashed-random element.
    fn spot(&self, case: &Case, spot: u64) -> [u64; 2] {
        let hash = Pattern::Words { seed: seed_of(case, u64::from(u32::MAX)) };
        [u64::from(hash.word(2 * spot)) % self.shape.m, u64::from(hash.word(2 * spot + 1)) % self.shape.n]
    }

    fn number(&self, pattern: Pattern, index: u64) -> f64 {
        match self.shape.precision {
            Precision::F64 => pattern.f64_at(index),
            _ => f64::from(pattern.f32_at(index)),
        }
    }

    fn product_at(&self, b: Pattern, row: u64, column: u64) -> f64 {
        let term = |k: u64| self.number(self.a, row * self.shape.k + k) * self.number(b, k * self.shape.n + column);
        (0..self.shape.k).map(term).sum()
    }

    fn element_at(&self, outputs: &mut dyn Outputs, row: u64, column: u64) -> Result<f64, CheckError> {
        let mut element = [0.0];
        self.read_numbers(outputs, row * self.shape.n + column, &mut element)?;
        Ok(element[0])
    }

    /// Elements of c from `at` on.
    fn read_numbers(&self, outputs: &mut dyn Outputs, at: u64, into: &mut [f64]) -> Result<(), CheckError> {
        let words_each = self.shape.precision.size() / 4;
        let count = into.len() * words_each as usize;
        let (mut bytes, mut words) = (vec![0; count * 4], vec![0; count]);
        read_words(outputs, 0, at * words_each, &mut bytes, &mut words)?;
        for (number, words) in into.iter_mut().zip(words.chunks_exact(words_each as usize)) {
            *number = match words {
                [low, high] => f64::from_bits(u64::from(*high) << 32 | u64::from(*low)),
                _ => f64::from(f32::from_bits(words[0])),
            };
        }
        Ok(())
    }

    /// The error of an element as a share of the tolerance.
    fn judge_element(
        &self,
        outputs: &mut dyn Outputs,
        row: u64,
        column: u64,
        expected: f64,
    ) -> Result<f64, CheckError> {
        let found = self.element_at(outputs, row, column)?;
        let error = (found - expected).abs();
        if !within(error, self.element) {
            let expected = format!("{expected} within {:.1e}", self.element);
            return Err(
                CheckFailure { place: format!("c[{row}, {column}]"), expected, found: found.to_string() }.into()
            );
        }
        Ok(error / self.element)
    }

    /// Freivalds' check with a vector of random signs: c r against a (b r), row by row. An element that is
    /// off shows in its row's sum by just as much; one that is not finite makes the sum so.
    fn check_rows(&self, case: &Case, b: Pattern, outputs: &mut dyn Outputs) -> Result<f64, CheckError> {
        let Shape { m, n, k, .. } = self.shape;
        let hash = Pattern::Words { seed: seed_of(case, u64::from(u32::MAX) - 1) };
        let signs: Vec<f64> = (0..n).map(|column| if hash.word(column) & 1 == 0 { 1.0 } else { -1.0 }).collect();
        let mut numbers = vec![0.0; n.max(k) as usize];
        let mut signed_sum = |pattern: Pattern, row: u64, weights: &[f64]| {
            let numbers = &mut numbers[..weights.len()];
            self.fill(pattern, row * weights.len() as u64, numbers);
            dot(numbers, weights)
        };
        let b_signs: Vec<f64> = (0..k).map(|row| signed_sum(b, row, &signs)).collect();
        let mut worst = 0.0_f64;
        let mut elements = vec![0.0; n as usize];
        for row in 0..m {
            let expected = signed_sum(self.a, row, &b_signs);
            self.read_numbers(outputs, row * n, &mut elements)?;
            let found = dot(&elements, &signs);
            let error = (found - expected).abs();
            if !within(error, self.row) {
                let expected = format!("{expected} within {:.1e}", self.row);
                let place = format!("signed sum of c[{row}, ..]");
                return Err(CheckFailure { place, expected, found: found.to_string() }.into());
            }
            worst = worst.max(error / self.row);
        }
        Ok(worst)
    }

    /// Elements of a pattern from `start` on.
    fn fill(&self, pattern: Pattern, start: u64, into: &mut [f64]) {
        for (index, number) in (start..).zip(into) {
            *number = self.number(pattern, index);
        }
    }
}

/// Eight sums side by side, so that the additions need not wait for one another.
fn dot(left: &[f64], right: &[f64]) -> f64 {
    let (left, left_rest) = left.as_chunks::<8>();
    let (right, right_rest) = right.as_chunks::<8>();
    let mut sums = [0.0; 8];
    for (left, right) in left.iter().zip(right) {
        for (sum, (left, right)) in sums.iter_mut().zip(left.iter().zip(right)) {
            *sum += left * right;
        }
    }
    let rest: f64 = left_rest.iter().zip(right_rest).map(|(left, right)| left * right).sum();
    sums.iter().sum::<f64>() + rest
}
