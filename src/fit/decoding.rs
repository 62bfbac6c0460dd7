//! Measured decode steps as curves over the batch: where they leave the flat part, what a layer costs, and what each
//! operation takes.

use std::collections::BTreeMap;

use super::known::{Known, exponent};
use super::law::{AMOUNTS, Join, Law, Role, Row};
use super::solve::solve;
use super::step::{kv_bytes, share};
use super::{Ceilings, ComputeCeiling, Measured, measured};
use crate::record::{Case, OperationWork, Precision, Run, Work};
use crate::stats::Sorted;
use crate::summary::Estimate;

/// A batch is past the flat part where its step takes this many times as long as that of one sequence.
pub const CROSSOVER: f64 = 1.25;

/// The steps of one model's share at one context, by batch.
#[derive(Debug, Clone, PartialEq)]
pub struct DecodeCurve {
    /// The model's id.
    pub model: String,
    /// Format of weights, cache and activations.
    pub precision: Precision,
    /// Tokens of a sequence.
    pub context: u64,
    /// What is unusual: `tensor=4`, `submit=graph`, `page=16`; empty otherwise.
    pub unusual: String,
    /// Layers measured.
    pub layers: u64,
    /// Layers of the share, where the catalogue has the model.
    pub share_layers: Option<u64>,
    /// The steps, by batch.
    pub steps: Vec<DecodeStep>,
    /// What layers cost, at batches that were measured with two numbers of them.
    pub costs: Vec<LayerCost>,
    /// The largest batch whose step takes up to [`CROSSOVER`] times as long as that of one sequence; `None` where no
    /// measured batch is past it. Its upper end is infinite where no measured batch is past it beyond doubt.
    pub crossover: Option<Estimate>,
    /// What each operation takes, at batches that were timed step by step.
    pub breakdowns: Vec<Breakdown>,
    /// The curve as two rates, where it has [`FITTED_LEAST`] steps and more.
    pub fit: Option<CurveFit>,
}

/// Fewest batches that a curve is fitted to: one more than it has constants.
pub const FITTED_LEAST: usize = 4;

/// A curve's steps as reading joined with computing, by the one form of every law: at what rates this model's steps read
/// and compute, gaps and attention within them.
#[derive(Debug, Clone, PartialEq)]
pub struct CurveFit {
    /// Bytes per second.
    pub bandwidth: f64,
    /// Operations per second.
    pub throughput: f64,
    /// Seconds of each of the curve's steps.
    pub times_s: Vec<f64>,
}

/// One step.
#[derive(Debug, Clone, PartialEq)]
pub struct DecodeStep {
    /// Sequences.
    pub batch: u64,
    /// Seconds.
    pub time: Estimate,
    /// What it moves and computes.
    pub work: Work,
    /// Bytes of it that are keys and values; `None` where the catalogue lacks the model.
    pub kv_b: Option<u64>,
    /// Joules drawn for each token, where the device tells its power.
    pub joules: Option<f64>,
    /// Key of its case.
    pub case: String,
}

/// What a step and its layers cost, from two numbers of layers.
#[derive(Debug, Clone, PartialEq)]
pub struct LayerCost {
    /// Sequences.
    pub batch: u64,
    /// Seconds of a layer.
    pub layer: Estimate,
    /// Seconds of a step beside its layers.
    pub step: Estimate,
    /// Seconds of a step with all layers of the share.
    pub whole: Estimate,
}

/// A step by operation.
#[derive(Debug, Clone, PartialEq)]
pub struct Breakdown {
    /// Sequences.
    pub batch: u64,
    /// Operations with the median time of each, in seconds, and their work.
    pub operations: Vec<(OperationWork, f64)>,
    /// Seconds of the same step timed as a whole, where it was.
    pub whole_s: Option<f64>,
}

impl Breakdown {
    /// Seconds of the whole step that no operation accounts for: the gaps between them. Below zero where timing every
    /// operation by itself costs more than the gaps.
    pub fn not_attributed_s(&self) -> Option<f64> {
        let sum: f64 = self.operations.iter().map(|(_, time)| time).sum();
        self.whole_s.map(|whole| whole - sum)
    }
}

impl DecodeCurve {
    /// The share of its bound that a step reaches: the time that the device's own ceilings ask for its bytes or its
    /// operations, whichever is more, over the time it took.
    pub fn of_bound(&self, step: &DecodeStep, ceilings: &Ceilings, matrix_units: bool) -> Option<f64> {
        let (read, compute) = (read(ceilings)?, compute(ceilings, self.precision, matrix_units)?);
        Some(bound_s(&step.work, read, compute) / step.time.value)
    }

    /// The share of the compute ceiling that a step reaches: its utilisation.
    pub fn utilisation(&self, step: &DecodeStep, ceilings: &Ceilings, matrix_units: bool) -> Option<f64> {
        Some(step.work.operations().0 as f64 / step.time.value / compute(ceilings, self.precision, matrix_units)?)
    }

    /// The share of the read bandwidth that a step reaches.
    pub fn of_bandwidth(&self, step: &DecodeStep, ceilings: &Ceilings) -> Option<f64> {
        Some(step.work.bytes().0 as f64 / step.time.value / read(ceilings)?)
    }

    /// Seconds that the ceilings ask for a step's work.
    pub fn bound_s(&self, step: &DecodeStep, ceilings: &Ceilings, matrix_units: bool) -> Option<f64> {
        Some(bound_s(&step.work, read(ceilings)?, compute(ceilings, self.precision, matrix_units)?))
    }
}

fn bound_s(work: &Work, read: f64, compute: f64) -> f64 {
    f64::max(work.bytes().0 as f64 / read, work.operations().0 as f64 / compute)
}

/// The read ceiling, else the fastest of memory.
fn read(ceilings: &Ceilings) -> Option<f64> {
    let memory = &ceilings.memory;
    let read = memory.iter().find(|ceiling| ceiling.kernel == "read").or(memory.first())?;
    (read.rate.value > 0.0).then_some(read.rate.value)
}

/// The fastest compute ceiling of a format: on a device with matrix units theirs, since its products use them; elsewhere that
/// of binary32 too, to which its numbers can be widened.
fn compute(ceilings: &Ceilings, precision: Precision, matrix_units: bool) -> Option<f64> {
    let narrow = precision != Precision::F32;
    let counts = |ceiling: &&ComputeCeiling| match matrix_units && narrow {
        true => ceiling.precision == precision && ceiling.benchmark != "fma",
        false => [precision, Precision::F32].contains(&ceiling.precision),
    };
    let most = ceilings.compute.iter().filter(counts).map(|ceiling| ceiling.rate.value).fold(0.0, f64::max);
    (most > 0.0).then_some(most)
}

/// What cases of a curve have in common; the number of layers apart.
type Kind = (String, Precision, u64, String);

fn kind(case: &Case) -> Option<Kind> {
    let precision = case.word("precision")?.parse().ok()?;
    let usual = ["model", "precision", "batch", "context", "layers", "detail"];
    let unusual = case.axes.iter().filter(|(axis, _)| !usual.contains(&axis.as_str()));
    let unusual = unusual.filter(|(_, value)| !["1", "0", "stream"].contains(&value.to_string().as_str()));
    let unusual: Vec<String> = unusual.map(|(axis, value)| format!("{axis}={value}")).collect();
    Some((case.word("model")?.to_owned(), precision, case.count("context")?, unusual.join(" ")))
}

/// The decode steps of the run's `device`-th device, as curves.
pub fn decode_curves(run: &Run, device: u32) -> Vec<DecodeCurve> {
    let measured = measured(run, device);
    let mut kinds: BTreeMap<Kind, Vec<&Measured>> = BTreeMap::new();
    for item in measured.iter().filter(|item| item.record.case.benchmark == "decode") {
        if let Some(kind) = kind(&item.record.case) {
            kinds.entry(kind).or_default().push(item);
        }
    }
    if kinds.is_empty() {
        return Vec::new();
    }
    let known = Known::of(&[(run, device)], None);
    let fitted = |mut curve: DecodeCurve| {
        curve.fit = fitted(&known, &curve);
        curve
    };
    kinds.into_iter().filter_map(|(kind, items)| curve(kind, &items)).map(fitted).collect()
}

/// Wide priors: the device's ceilings say about where the rates lie, and the curve says where.
fn fitted(known: &Known, curve: &DecodeCurve) -> Option<CurveFit> {
    let row = |step: &DecodeStep| Row {
        time_s: step.time.value,
        cluster: String::new(),
        amounts: [0.0; AMOUNTS],
        bytes: step.work.bytes().0 as f64,
        flop: step.work.operations().0 as f64,
        reached: None,
        at: [0.0; 3],
        decodes: true,
    };
    let rows: Vec<Row> = curve.steps.iter().map(row).collect();
    if rows.len() < FITTED_LEAST {
        return None;
    }
    let parameters = vec![
        known.bandwidth(Role::Bandwidth, 1.0, &rows, |row| row.bytes),
        known.throughput(curve.precision, 1.0, 1.0, &rows),
        exponent(),
    ];
    let law = Law { parameters, join: Join::Smooth };
    let logs = solve(&law, &rows.iter().collect::<Vec<_>>(), None)?;
    let at = law.at(&logs);
    let times_s = rows.iter().map(|row| at.time(row, &mut [0.0; 3])).collect();
    Some(CurveFit { bandwidth: logs[0].exp(), throughput: logs[1].exp(), times_s })
}

fn curve((model, precision, context, unusual): Kind, items: &[&Measured]) -> Option<DecodeCurve> {
    let by_operation = |item: &&&Measured| item.record.case.word("detail") == Some("operations");
    let of = |layers: u64| {
        let steps = items.iter().filter(move |item| item.record.case.count("layers") == Some(layers));
        let mut steps: Vec<DecodeStep> =
            steps.filter(|item| !by_operation(item)).filter_map(|item| step(item)).collect();
        steps.sort_by_key(|step| step.batch);
        steps
    };
    let mut counts: Vec<u64> = items.iter().filter_map(|item| item.record.case.count("layers")).collect();
    counts.sort_unstable();
    counts.dedup();
    let layers = *counts.last()?;
    let steps = of(layers);
    let share_layers = share(&items.first()?.record.case, None).map(|shape| shape.layers);
    let fewer: Vec<(u64, DecodeStep)> =
        counts[..counts.len() - 1].iter().flat_map(|count| of(*count).into_iter().map(|step| (*count, step))).collect();
    let cost = |step: &DecodeStep| {
        let (count, fewer) = fewer.iter().find(|(_, fewer)| fewer.batch == step.batch)?;
        Some(layer_cost(step, layers, fewer, *count, share_layers.unwrap_or(layers)))
    };
    let costs = steps.iter().filter_map(cost).collect();
    let breakdown = |item: &&Measured| {
        let case = &item.record.case;
        (case.count("layers") == Some(layers)).then(|| breakdown(item, &steps)).flatten()
    };
    let breakdowns = items.iter().filter(by_operation).filter_map(breakdown).collect();
    let crossover = crossover(&steps);
    Some(DecodeCurve {
        model,
        precision,
        context,
        unusual,
        layers,
        share_layers,
        steps,
        costs,
        crossover,
        breakdowns,
        fit: None,
    })
}

fn step(item: &Measured) -> Option<DecodeStep> {
    let batch = item.record.case.count("batch").filter(|batch| *batch > 0)?;
    let time = item.summary.time;
    let samples = item.record.outcome.measurement()?.samples.iter().filter(|sample| sample.rejected.is_none());
    let power = Sorted::new(samples.filter_map(|sample| sample.power_w).map(|power| power.get()));
    let joules = power.map(|power| power.median() * time.value / batch as f64);
    let case = &item.record.case;
    let kv_b = case.count("layers").zip(case.count("context"));
    let kv_b = kv_b.and_then(|(layers, context)| kv_bytes(case, layers, batch, context));
    Some(DecodeStep { batch, time, work: item.record.work.clone(), kv_b, joules, case: case.key() })
}

/// Both costs from the line through two points; their intervals from the ends of both times.
fn layer_cost(more: &DecodeStep, layers: u64, less: &DecodeStep, fewer: u64, share: u64) -> LayerCost {
    let apart = (layers - fewer) as f64;
    let (a, b) = (more.time, less.time);
    let layer =
        Estimate { value: (a.value - b.value) / apart, low: (a.low - b.high) / apart, high: (a.high - b.low) / apart };
    // The line at no layers and at all of them, both further along the same line than the points are.
    let at = |count: f64| {
        let along = (count - layers as f64) / apart;
        let of = |a: f64, b: f64| a + along * (a - b);
        let ends = [of(a.low, b.low), of(a.low, b.high), of(a.high, b.low), of(a.high, b.high)];
        let (low, high) =
            ends.iter().fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), end| (low.min(*end), high.max(*end)));
        Estimate { value: of(a.value, b.value), low, high }
    };
    LayerCost { batch: more.batch, layer, step: at(0.0), whole: at(share as f64) }
}

fn breakdown(item: &Measured, steps: &[DecodeStep]) -> Option<Breakdown> {
    let measurement = item.record.outcome.measurement()?;
    let batch = item.record.case.count("batch")?;
    // As everywhere: where all samples were disturbed, all count.
    let none = measurement.samples.iter().all(|sample| sample.rejected.is_some());
    let median = |operation: usize| {
        let counted = measurement.samples.iter().filter(|sample| none || sample.rejected.is_none());
        let times = counted.filter_map(|sample| sample.steps_s.get(operation)).map(|time| time.get());
        Some(Sorted::new(times)?.median() / f64::from(measurement.repeats.max(1)))
    };
    let operations = measurement.operations.iter().enumerate();
    let operations: Vec<_> =
        operations.filter_map(|(index, operation)| Some((operation.clone(), median(index)?))).collect();
    let whole_s = steps.iter().find(|step| step.batch == batch).map(|step| step.time.value);
    (!operations.is_empty()).then_some(Breakdown { batch, operations, whole_s })
}

/// The batch at which the step's time reaches [`CROSSOVER`] times that of one sequence, between measured ones along the
/// straight line of both logarithms. Its interval is where the ends of the times' intervals do.
fn crossover(steps: &[DecodeStep]) -> Option<Estimate> {
    let first = steps.first().filter(|step| step.batch == 1)?;
    // The last time it is passed: a batch whose product is made another way may take longer than the next.
    let reaches = |limit: f64, of: fn(&Estimate) -> f64| {
        let passes = steps.windows(2).rfind(|pair| of(&pair[0].time) <= limit && of(&pair[1].time) > limit)?;
        let [(b0, t0), (b1, t1)] = [0, 1].map(|index: usize| (passes[index].batch as f64, of(&passes[index].time)));
        let along = ((limit / t0).ln() / (t1 / t0).ln()).clamp(0.0, 1.0);
        Some(b0 * (b1 / b0).powf(along))
    };
    let value = reaches(CROSSOVER * first.time.value, |time| time.value)?;
    let low = reaches(CROSSOVER * first.time.low, |time| time.high).unwrap_or(1.0);
    // Open where the interval's end is not reached.
    let high = reaches(CROSSOVER * first.time.high, |time| time.low).unwrap_or(f64::INFINITY);
    Some(Estimate { value, low: low.min(value), high: high.max(value) })
}
