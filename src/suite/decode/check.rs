//! What is checked of a decode step, for some of its sequences.
//!
//! Of the last layer and both ends every operation by itself, from the inputs that the device holds, within the rounding of
//! one operation: what is wrong in one of them shows. And the logits against the whole step in binary64, within what the
//! rounding of all operations comes to: a layer whose MLP reads the weights of another, or nothing, shows. What attention adds in
//! the middle of a deep model at a long context is too little to show there.

use std::sync::{Mutex, PoisonError};

use super::Point;
use super::program::{Output, written};
use super::reference::{self, Cache};
use super::weights::{Large, Numbers, PRODUCTS, Small, loaded};
use crate::device::Pattern;
use crate::record::{Case, CheckFailure, CheckPassed, Precision};
use crate::suite::check::{seed_of, within};
use crate::suite::{CheckError, Outputs, Stop, parallel};
use crate::units::{ByteCount, Ratio};

/// Sequences whose operations are checked.
const SEQUENCES: u64 = 4;
/// Of them, those whose whole step is computed.
const WHOLE: usize = 2;
/// Columns of a product that are checked in each of these sequences.
const COLUMNS: u64 = 48;
/// Errors of binary32 arithmetic, as a share of the sum of all magnitudes: sums of thousands of terms come to a few 2^-24.
const ARITHMETIC: f64 = 1.0 / (1 << 20) as f64;
/// The same of attention, whose scores are such sums too and are raised to the power of e.
pub(in crate::suite) const ATTENTION: f64 = 1.0 / (1 << 15) as f64;
/// The error of a whole step for each square root of an operation on the way, in units of [`rounding`], which is four times
/// the mean error of one: four times what chance brings together.
const GROWTH: f64 = 0.5;

/// The last whole steps computed, so that the check after timing need not compute them again.
static KNOWN: Mutex<Option<(String, Vec<Vec<f64>>)>> = Mutex::new(None);

/// Checks the outputs of a case.
pub(super) fn check(
    case: &Case,
    numbers: &Numbers,
    point: &Point,
    outputs: &mut dyn Outputs,
) -> Result<CheckPassed, CheckError> {
    let sequences = chosen(case, point.batch);
    let mut passed = CheckPassed::default();
    let mut last = Vec::new();
    for sequence in &sequences {
        let row = Row::read(numbers, *sequence, outputs)?;
        let judged = Judge { case, numbers, point, row: &row, sequence: *sequence }.operations().map_err(unprepared)?;
        for judged in judged {
            add(&mut passed, judged?);
        }
        last.push(row);
    }
    let whole = &sequences[..WHOLE.min(sequences.len())];
    let steps = known(case, || reference::step(numbers, point, whole)).map_err(unprepared)?;
    let output = if numbers.shape.vocab == 0 { Output::HeadIn } else { Output::Logits };
    for ((sequence, row), expected) in whole.iter().zip(&last).zip(&steps) {
        add(&mut passed, compare_whole(numbers, *sequence, row.of(output), expected)?);
    }
    Ok(passed)
}

fn add(passed: &mut CheckPassed, more: CheckPassed) {
    passed.compared += more.compared;
    passed.worst = passed.worst.max(more.worst);
}

/// A reference that cannot be made is a program that should not have been prepared.
fn unprepared(stop: Stop) -> CheckError {
    let text = stop.to_string();
    CheckFailure { place: "reference".to_owned(), expected: "a filling for every buffer".to_owned(), found: text }
        .into()
}

fn known(case: &Case, compute: impl FnOnce() -> Result<Vec<Vec<f64>>, Stop>) -> Result<Vec<Vec<f64>>, Stop> {
    let key = format!("{} seed={}", case.key(), case.seed);
    let mut held = KNOWN.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some((_, steps)) = held.as_ref().filter(|(known, _)| *known == key) {
        return Ok(steps.clone());
    }
    let steps = compute()?;
    *held = Some((key, steps.clone()));
    Ok(steps)
}

/// The first and the last sequence, and some between.
fn chosen(case: &Case, batch: u64) -> Vec<u64> {
    let mut all = vec![0, batch - 1];
    let words = Pattern::Words { seed: seed_of(case, 77) };
    all.extend((0..SEQUENCES - 2).map(|index| u64::from(words.word(index)) % batch));
    let mut unique = Vec::new();
    for sequence in all {
        if !unique.contains(&sequence) {
            unique.push(sequence);
        }
    }
    unique
}

/// Half a unit of the last place of a format, as a share of a number; doubled, for numbers just above a power of two and
/// for sums that round the other way.
pub(in crate::suite) fn rounding(precision: Precision) -> f64 {
    match precision {
        Precision::F16 => 1.0 / f64::from(1 << 10),
        Precision::Bf16 => 1.0 / f64::from(1 << 7),
        _ => 1.0 / f64::from(1 << 23),
    }
}

/// The least step of a format near zero.
fn least(precision: Precision) -> f64 {
    if precision == Precision::F16 { 6e-8 } else { 1e-37 }
}

/// One sequence's part of all outputs.
struct Row {
    outputs: Vec<(Output, Vec<f64>)>,
}

impl Row {
    fn read(numbers: &Numbers, sequence: u64, outputs: &mut dyn Outputs) -> Result<Self, CheckError> {
        let size = numbers.precision.size();
        let mut all = Vec::new();
        for (index, output) in written(&numbers.shape).into_iter().enumerate() {
            let width = output.width(&numbers.shape);
            let mut bytes = vec![0; (width * size) as usize];
            outputs.read(index, ByteCount(sequence * width * size), &mut bytes)?;
            all.push((output, loaded(numbers.precision, &bytes)));
        }
        Ok(Self { outputs: all })
    }

    fn of(&self, output: Output) -> &[f64] {
        self.outputs.iter().find(|(known, _)| *known == output).map_or(&[], |(_, row)| row)
    }
}

/// Judges one sequence's operations.
struct Judge<'a> {
    case: &'a Case,
    numbers: &'a Numbers,
    point: &'a Point,
    row: &'a Row,
    sequence: u64,
}

/// What is expected of an output, and the size that arithmetic errors are held against.
struct Expected {
    output: Output,
    /// Which columns; all, in order, where empty.
    columns: Vec<u64>,
    numbers: Vec<f64>,
    sizes: Vec<f64>,
    arithmetic: f64,
}

type Judged = Result<CheckPassed, CheckFailure>;

impl Judge<'_> {
    fn operations(&self) -> Result<Vec<Judged>, Stop> {
        let (shape, row) = (&self.numbers.shape, |output| self.row.of(output));
        let last = shape.layers - 1;
        let entry = reference::entry(self.numbers, self.point, self.sequence)?;
        let mut judged = Vec::new();
        if shape.embeds {
            // The norm of an embedding reads numbers that were rounded once before.
            let before = if shape.embedding_norm { rounding(self.numbers.precision) } else { 0.0 };
            let mean = (entry.iter().map(|x| x * x).sum::<f64>() / entry.len() as f64).sqrt();
            let sizes = entry.iter().map(|x| x.abs().max(mean)).collect();
            let (output, numbers) = (Output::Entry, entry.clone());
            judged.push(self.judge(Expected { output, columns: Vec::new(), numbers, sizes, arithmetic: before }));
        }
        let given = if shape.embeds { row(Output::Entry).to_vec() } else { entry };
        let stream = if shape.layers > 1 { row(Output::Before) } else { &given };
        let vector = |small| self.numbers.vector(small);
        let normed = |output, from: &[f64], gain, shift| {
            all(output, reference::norm(shape.norm, from, &vector(gain), &vector(shift)), ARITHMETIC)
        };
        let summed = |output, from: &[f64], delta: &[f64], bias| {
            all(output, reference::plus(&reference::plus(from, delta), &vector(bias)), ARITHMETIC)
        };
        let (gain, shift) = (|which| Small::Gain(last, which), |which| Small::Shift(last, which));
        judged.push(self.judge(normed(Output::AttentionIn, stream, gain(0), shift(0))));
        judged.push(self.judge(self.product(Output::Qkv, 0, row(Output::AttentionIn))?));
        judged.extend(self.attention(last)?);
        judged.push(self.judge(self.product(Output::AttentionOut, 1, row(Output::Attended))?));
        judged.push(self.judge(summed(Output::Between, stream, row(Output::AttentionOut), Small::Bias(last, 1))));
        judged.push(self.judge(normed(Output::MlpIn, row(Output::Between), gain(1), shift(1))));
        judged.push(self.judge(self.product(Output::Up, 2, row(Output::MlpIn))?));
        let up = reference::plus(row(Output::Up), &vector(Small::Bias(last, 2)));
        judged.push(self.judge(all(Output::Activated, reference::activated(shape.gated, &up), ARITHMETIC)));
        judged.push(self.judge(self.product(Output::MlpOut, 3, row(Output::Activated))?));
        judged.push(self.judge(summed(Output::After, row(Output::Between), row(Output::MlpOut), Small::Bias(last, 3))));
        judged.push(self.judge(normed(Output::HeadIn, row(Output::After), Small::FinalGain, Small::FinalShift)));
        if shape.vocab > 0 {
            let head = self.columns(Output::Logits, Large::Head, shape.vocab, row(Output::HeadIn))?;
            judged.push(self.judge(head));
        }
        Ok(judged)
    }

    fn attention(&self, layer: u64) -> Result<Vec<Judged>, Stop> {
        let numbers = self.numbers;
        let angles = numbers.angles(self.point.context - 1);
        let [q, keys, values] = reference::split(numbers, layer, self.row.of(Output::Qkv), &angles);
        // The cache holds rounded keys and values, and attention reads rounded queries.
        let [keys, values] = [keys, values].map(|row| {
            row.into_iter().map(|number| super::weights::round(numbers.precision, number)).collect::<Vec<_>>()
        });
        let cache = Cache::new(numbers, self.point, layer)?;
        let (attended, sizes) = cache.attend(self.sequence, self.row.of(Output::Q), &keys, &values);
        let attended =
            Expected { output: Output::Attended, columns: Vec::new(), numbers: attended, sizes, arithmetic: ATTENTION };
        Ok(vec![self.judge(all(Output::Q, q, ARITHMETIC)), self.judge(attended)])
    }

    /// Some columns of a layer's product.
    fn product(&self, output: Output, which: usize, input: &[f64]) -> Result<Expected, Stop> {
        let n = self.numbers.shape.product(PRODUCTS[which]).map_or(0, |product| product.n);
        self.columns(output, Large::Matrix(self.numbers.shape.layers - 1, which), n, input)
    }

    fn columns(&self, output: Output, large: Large, n: u64, input: &[f64]) -> Result<Expected, Stop> {
        let pattern = self.numbers.pattern(large)?;
        let words = Pattern::Words { seed: seed_of(self.case, 78 + output as u64) };
        let mut columns = vec![0, n - 1];
        columns.extend((0..COLUMNS - 2).map(|index| u64::from(words.word(self.sequence * COLUMNS + index)) % n));
        let sums = parallel::map(columns.len(), |index| {
            let terms = (0..).zip(input).map(|(k, input): (u64, &f64)| {
                input * pattern.number_at(self.numbers.precision, k * n + columns[index])
            });
            terms.fold((0.0, 0.0), |(sum, size): (f64, f64), term| (sum + term, size + term.abs()))
        });
        let (numbers, sizes) = sums.into_iter().unzip();
        Ok(Expected { output, columns, numbers, sizes, arithmetic: ARITHMETIC })
    }

    fn judge(&self, expected: Expected) -> Judged {
        let found = self.row.of(expected.output);
        let (rounding, least) = (rounding(self.numbers.precision), least(self.numbers.precision));
        let mut passed = CheckPassed::default();
        for (index, (number, size)) in expected.numbers.iter().zip(&expected.sizes).enumerate() {
            let column = expected.columns.get(index).map_or(index, |column| *column as usize);
            let found = found.get(column).copied().unwrap_or(f64::NAN);
            let tolerance = rounding * number.abs() + expected.arithmetic * size + least;
            let error = (found - number).abs();
            if !within(error, tolerance) {
                let place = format!("{:?}[{}, {column}]", expected.output, self.sequence);
                let (expected, found) = (format!("{number:e} within {tolerance:e}"), format!("{found:e}"));
                return Err(CheckFailure { place, expected, found });
            }
            passed.compared += 1;
            passed.worst = passed.worst.max(Ratio::new(error / tolerance).unwrap_or(Ratio::ZERO));
        }
        Ok(passed)
    }
}

/// All numbers of an output, each held against itself.
fn all(output: Output, numbers: Vec<f64>, arithmetic: f64) -> Expected {
    let sizes = numbers.iter().map(|number| number.abs().max(1.0)).collect();
    Expected { output, columns: Vec::new(), numbers, sizes, arithmetic }
}

/// A whole step's row against the reference: the length of their difference, as a share of the reference's length.
fn compare_whole(numbers: &Numbers, sequence: u64, found: &[f64], expected: &[f64]) -> Judged {
    let length = |row: &mut dyn Iterator<Item = f64>| row.map(|number| number * number).sum::<f64>().sqrt();
    let whole = length(&mut expected.iter().copied());
    let apart = if found.len() == expected.len() {
        length(&mut found.iter().zip(expected).map(|(found, expected)| found - expected))
    } else {
        f64::NAN
    };
    // Five operations of a layer round what goes on along the stream.
    let operations = (5 * numbers.shape.layers + 3) as f64;
    let each = GROWTH * rounding(numbers.precision) + 2.0 * ARITHMETIC;
    let tolerance = (each * operations.sqrt()).min(0.5) * whole;
    if !within(apart, tolerance) {
        return Err(CheckFailure {
            place: format!("the whole step of sequence {sequence}"),
            expected: format!("logits of length {whole:e}, within {tolerance:e}"),
            found: format!("they are {apart:e} apart"),
        });
    }
    Ok(CheckPassed { compared: expected.len() as u64, worst: Ratio::new(apart / tolerance).unwrap_or(Ratio::ZERO) })
}
