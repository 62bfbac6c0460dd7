//! Whether c is the product: some elements one by one, and every row as a whole, against binary64.

use super::{COPIES_MAX, Shape, is_narrow};
use crate::device::Pattern;
use crate::record::{Case, CheckFailure, CheckPassed, Precision};
use crate::suite::check::{seed_of, within};
use crate::suite::{CheckError, Outputs, parallel};
use crate::units::{ByteCount, Ratio};

/// Elements compared one by one.
const SPOTS: u64 = 64;
/// Spots by which the copy of b is told that c was computed from: with 16-bit numbers, and with whole ones, another copy
/// may give the same element.
const TELLING: u64 = 8;
/// Columns of a signed sum of 16-bit numbers. The roundings of the elements add up in it, and with few of them a single
/// wrong element still stands out.
const SEGMENT: u64 = 128;

/// Compares c with the product in binary64.
pub(super) struct Checker {
    shape: Shape,
    a: Pattern,
    tolerance: Tolerance,
}

/// What TF32 takes from a product of two numbers, at most.
const TF32_PAIR: f64 = 1.0 / 512.0;

/// Rows of c that are read before they are judged together.
const ROWS_AT_ONCE: u64 = 256;

/// What rounding may do.
struct Tolerance {
    /// Error of one sum of k products.
    sum: f64,
    /// Error of one sum as a share of the largest that its partial sums become, in units that round them to few bits.
    partial: f64,
    /// Error of a signed sum of a segment's columns, before they are rounded to the format of c.
    segment: f64,
    /// Largest relative error of rounding a sum to the format of c, where that is another than the sum's: else 0.
    unit: f64,
    /// Largest error of rounding a sum that is below the normal range of the format of c.
    tiny: f64,
}

impl Tolerance {
    /// Rounding errors of a sum of k products of numbers in [-1, 1) add up like a random walk: their
    /// standard deviation is about 0.14 k u, u being half the distance from 1 to the next number. Twice
    /// k u is some 15 of those; the signed sum of n elements has the square root of n times as much.
    /// The reference's own rounding is allowed for in the same way.
    ///
    /// 16-bit formats sum in binary32 and round once, by half the distance to the next number: a share of 2^-11 of
    /// the element at most (binary16) or 2^-8 (bfloat16). Devices may take what is below the normal range for zero.
    ///
    /// TF32 cuts 13 bits off both operands, by less than a share of 2^-10 of each: a share of the product, and of the sum's
    /// spread. Where sums are kept in binary16, each addition of 16 products rounds by a share of 2^-11 of the sum so far:
    /// as a random walk, four times its standard deviation.
    ///
    /// Products of 8-bit floating point are rounded to bfloat16, and each of the k / 32 additions to a sum may lose all
    /// behind the 13th bit of its largest term (compute capability 9.0 cuts it off: DeepSeek-V3, arXiv:2412.19437,
    /// section 3.5.2).
    fn of(shape: &Shape, columns: u64) -> Self {
        let sums = if shape.precision == Precision::F64 { f64::EPSILON } else { f64::from(f32::EPSILON) } / 2.0;
        let (n, k) = (columns as f64, shape.k as f64);
        let (unit, tiny) = match shape.result() {
            Precision::F16 => (2.0_f64.powi(-11), 2.0_f64.powi(-14)),
            Precision::Bf16 => (2.0_f64.powi(-8), 2.0_f64.powi(-126)),
            _ => (0.0, 0.0),
        };
        let (unit, partial) = match shape.precision {
            Precision::Fp8E4m3 => (unit, (k / 32.0).ceil() * 2.0_f64.powi(-13)),
            Precision::Tf32 => (TF32_PAIR, TF32_PAIR),
            Precision::F16 if shape.accumulate() == Precision::F16 => (unit, 4.0 * (k / 16.0).sqrt() * unit),
            _ => (unit, 0.0),
        };
        if shape.precision == Precision::I8 {
            // Exact, as is the reference: half of the least difference there is.
            return Self { sum: 0.5, partial, segment: 0.5, unit, tiny };
        }
        Self {
            partial,
            sum: 2.0 * k * (sums + f64::EPSILON),
            segment: 2.0 * k * n.sqrt() * sums + f64::EPSILON * (k * n.sqrt() + n * k.sqrt()),
            unit,
            tiny,
        }
    }

    /// Allowed error of an element that should be `expected`: what is rounded to c's format is that with the error
    /// of its sum. `spread` is the standard deviation of such elements; partial sums are taken to stay within six of
    /// those.
    fn element(&self, expected: f64, spread: f64) -> f64 {
        let sum = self.sum + self.partial * 6.0 * spread;
        sum + self.unit * (expected.abs() + sum) + self.tiny
    }

    /// Allowed error of a segment's signed sum whose elements have a standard deviation of `spread`. Rounding
    /// moves an element by a share of `unit` at most and, as roundings are independent, n elements by some root of n
    /// of that: their standard deviation is below 0.6 unit spread √n. Six times unit spread √n is ten of those,
    /// and covers a single element up to six standard deviations from zero.
    fn row(&self, spread: f64, columns: u64) -> f64 {
        let n = columns as f64;
        self.segment + 6.0 * (self.unit + self.partial) * spread * n.sqrt() + self.tiny * n
    }
}

/// b, as every row of c meets it.
struct SignedB {
    /// Random signs of the columns.
    signs: Vec<f64>,
    /// For each segment of columns, the signed sum of every row of b there.
    sums: Vec<Vec<f64>>,
    /// Root mean square of b's elements.
    size: f64,
}

impl Checker {
    /// A check of a case's output; fails where a format has no reference.
    pub(super) fn new(case: &Case) -> Result<Self, CheckFailure> {
        let shape = Shape::of(case);
        let a = shape.a(case).ok_or_else(|| CheckFailure {
            place: "precision".to_owned(),
            expected: "a format with a reference".to_owned(),
            found: shape.precision.to_string(),
        })?;
        let tolerance = Tolerance::of(&shape, segment(&shape));
        Ok(Self { shape, a, tolerance })
    }

    /// Compares.
    pub(super) fn check(&self, case: &Case, outputs: &mut dyn Outputs) -> Result<CheckPassed, CheckError> {
        let b = self.identify(case, outputs)?;
        let mut worst = 0.0_f64;
        for spot in 0..SPOTS {
            let [row, column] = self.spot(case, spot);
            let (expected, spread) = self.product_at(b, row, column);
            let found = self.element_at(outputs, row, column)?;
            let tolerance = self.tolerance.element(expected, spread);
            worst = worst.max(self.judge(format!("c[{row}, {column}]"), expected, found, tolerance)?);
        }
        worst = worst.max(self.check_rows(case, b, outputs)?);
        let compared = SPOTS + self.shape.m * self.shape.n;
        Ok(CheckPassed { compared, worst: Ratio::new(worst).unwrap_or(Ratio::ZERO) })
    }

    /// The copy of b that c was computed from last: the one that gives its first spots. The first copy
    /// where none does; its failure is then reported.
    fn identify(&self, case: &Case, outputs: &mut dyn Outputs) -> Result<Pattern, CheckError> {
        let mut spots = Vec::new();
        for spot in 0..TELLING {
            let [row, column] = self.spot(case, spot);
            spots.push((row, column, self.element_at(outputs, row, column)?));
        }
        let mut copies = (0..COPIES_MAX).map_while(|copy| self.shape.b(case, copy));
        let fits = |b: &Pattern| {
            spots.iter().all(|(row, column, found)| {
                let (expected, spread) = self.product_at(*b, *row, *column);
                within((expected - found).abs(), self.tolerance.element(expected, spread))
            })
        };
        Ok(copies.find(fits).or_else(|| self.shape.b(case, 0)).unwrap_or(self.a))
    }

    /// Row and column of a hashed-random element.
    fn spot(&self, case: &Case, spot: u64) -> [u64; 2] {
        let hash = Pattern::Words { seed: seed_of(case, u64::from(u32::MAX)) };
        [u64::from(hash.word(2 * spot)) % self.shape.m, u64::from(hash.word(2 * spot + 1)) % self.shape.n]
    }

    fn number(&self, pattern: Pattern, index: u64) -> f64 {
        pattern.number_at(self.shape.precision, index)
    }

    /// An element, and the standard deviation of sums of as many products of numbers as large.
    fn product_at(&self, b: Pattern, row: u64, column: u64) -> (f64, f64) {
        let (mut sum, mut a_squares, mut b_squares) = (0.0, 0.0, 0.0);
        for k in 0..self.shape.k {
            let a = self.number(self.a, row * self.shape.k + k);
            let b = self.number(b, self.shape.index_of_b(k, column));
            sum += a * b;
            a_squares += a * a;
            b_squares += b * b;
        }
        (sum, (a_squares * b_squares / self.shape.k as f64).sqrt())
    }

    fn element_at(&self, outputs: &mut dyn Outputs, row: u64, column: u64) -> Result<f64, CheckError> {
        let mut element = [0.0];
        self.read_numbers(outputs, row * self.shape.n + column, &mut element)?;
        Ok(element[0])
    }

    /// Elements of c from `at` on.
    fn read_numbers(&self, outputs: &mut dyn Outputs, at: u64, into: &mut [f64]) -> Result<(), CheckError> {
        let size = self.shape.result().size();
        let mut bytes = vec![0; into.len() * size as usize];
        outputs.read(0, ByteCount(at * size), &mut bytes)?;
        for (number, bytes) in into.iter_mut().zip(bytes.chunks_exact(size as usize)) {
            *number = number_of(self.shape.result(), bytes);
        }
        Ok(())
    }

    /// The error as a share of the tolerance.
    fn judge(&self, place: String, expected: f64, found: f64, tolerance: f64) -> Result<f64, CheckError> {
        let error = (found - expected).abs();
        if !within(error, tolerance) {
            let expected = format!("{expected} within {tolerance:.1e}");
            return Err(CheckFailure { place, expected, found: found.to_string() }.into());
        }
        Ok(error / tolerance)
    }

    /// Freivalds' check with a vector of random signs: c r against a (b r), row by row and segment by segment of
    /// columns. An element that is off shows in its segment's sum by just as much; one that is not finite makes the
    /// sum so.
    fn check_rows(&self, case: &Case, b: Pattern, outputs: &mut dyn Outputs) -> Result<f64, CheckError> {
        let Shape { m, n, k, .. } = self.shape;
        let b = self.signed_b(case, b);
        let columns = segment(&self.shape) as usize;
        let size = self.shape.result().size() as usize;
        let mut worst = 0.0_f64;
        let judge = |row: u64, bytes: &[u8]| {
            let (mut elements, mut numbers) = (vec![0.0; n as usize], vec![0.0; k as usize]);
            self.fill(self.a, row * k, &mut numbers);
            for (number, bytes) in elements.iter_mut().zip(bytes.chunks_exact(size)) {
                *number = number_of(self.shape.result(), bytes);
            }
            // An element is a sum of products of a row of a with independent numbers as large as b's.
            let spread = b.size * dot(&numbers, &numbers).sqrt();
            let segments = elements.chunks(columns).zip(b.signs.chunks(columns)).zip(&b.sums);
            let mut worst = 0.0_f64;
            for (index, ((elements, signs), sums)) in segments.enumerate() {
                let (found, expected) = (dot(elements, signs), dot(&numbers, sums));
                let from = index * columns;
                let place = format!("signed sum of c[{row}, {from}..{}]", from + elements.len());
                let tolerance = self.tolerance.row(spread, elements.len() as u64);
                worst = worst.max(self.judge(place, expected, found, tolerance)?);
            }
            Ok::<f64, CheckError>(worst)
        };
        let row_b = n as usize * size;
        let mut bytes = vec![0; row_b * m.min(ROWS_AT_ONCE) as usize];
        for first in (0..m).step_by(ROWS_AT_ONCE as usize) {
            let rows = &mut bytes[..row_b * (m - first).min(ROWS_AT_ONCE) as usize];
            outputs.read(0, ByteCount(first * row_b as u64), rows)?;
            let rows: Vec<&[u8]> = rows.chunks_exact(row_b).collect();
            for error in parallel::map(rows.len(), |row| judge(first + row as u64, rows[row])) {
                worst = worst.max(error?);
            }
        }
        Ok(worst)
    }

    fn signed_b(&self, case: &Case, b: Pattern) -> SignedB {
        let Shape { n, k, .. } = self.shape;
        let hash = Pattern::Words { seed: seed_of(case, u64::from(u32::MAX) - 1) };
        let signs: Vec<f64> = (0..n).map(|column| if hash.word(column) & 1 == 0 { 1.0 } else { -1.0 }).collect();
        let columns = segment(&self.shape) as usize;
        // For every row of b, the sums of its segments and of its squares.
        let rows = parallel::map(k as usize, |row| {
            let number = |column| self.number(b, self.shape.index_of_b(row as u64, column));
            let numbers: Vec<f64> = (0..n).map(number).collect();
            let segments = numbers.chunks(columns).zip(signs.chunks(columns));
            (segments.map(|(numbers, signs)| dot(numbers, signs)).collect::<Vec<_>>(), dot(&numbers, &numbers))
        });
        let squares: f64 = rows.iter().map(|(_, squares)| squares).sum();
        let sums =
            (0..(n as usize).div_ceil(columns)).map(|segment| rows.iter().map(|(sums, _)| sums[segment]).collect());
        SignedB { sums: sums.collect(), size: (squares / (n * k) as f64).sqrt(), signs }
    }

    /// Elements of a pattern from `start` on.
    fn fill(&self, pattern: Pattern, start: u64, into: &mut [f64]) {
        for (index, number) in (start..).zip(into) {
            *number = self.number(pattern, index);
        }
    }
}

/// Columns of a signed sum.
fn segment(shape: &Shape) -> u64 {
    if is_narrow(shape.precision) { shape.n.min(SEGMENT) } else { shape.n }
}

/// The number with these bytes; NaN if they are too few.
fn number_of(precision: Precision, bytes: &[u8]) -> f64 {
    match (precision, bytes) {
        (Precision::F16, [low, high]) => half::f16::from_le_bytes([*low, *high]).to_f64(),
        (Precision::Bf16, [low, high]) => half::bf16::from_le_bytes([*low, *high]).to_f64(),
        (Precision::I32, [a, b, c, d]) => f64::from(i32::from_le_bytes([*a, *b, *c, *d])),
        (Precision::F32, [a, b, c, d]) => f64::from(f32::from_le_bytes([*a, *b, *c, *d])),
        (Precision::F64, bytes) => bytes.try_into().map_or(f64::NAN, f64::from_le_bytes),
        _ => f64::NAN,
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
