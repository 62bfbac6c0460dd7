//! Decode steps: the curve over the batch, what it comes to of the device's own ceilings, and where the time goes.

use std::collections::BTreeMap;

use super::cases::CaseData;
use super::plots::{Curve, Curves, Drawn, Mark, Segment, Stack, Stacks, Threshold};
use super::text::clean;
use super::{Cell, Column, Row, Table};
use crate::fit::{Breakdown, CROSSOVER, Ceilings, DecodeCurve};
use crate::report::number::{self, Shown, percent};
use crate::summary::Estimate;
use crate::units::{prefix, with_prefix};

/// Tokens per second that the articles want of a chat.
const WANTED: f64 = 30.0;
/// Tokens per second of a reader: 238 words per minute (Brysbaert 2019) at four tokens for three words, as the claims take it.
const READING: f64 = 5.29;
/// Operations shown by themselves in the picture: the others are one segment, and there are six colours.
const SEGMENTS: usize = 4;

/// All that a report shows of a device's decode steps.
pub(super) struct Decoding<'a> {
    pub curves: &'a [DecodeCurve],
    pub ceilings: &'a Ceilings,
    /// Whether the device has matrix units.
    pub matrix_units: bool,
}

impl Decoding<'_> {
    /// The tables, in order.
    pub fn tables(&self) -> Vec<Table> {
        let mut tables: Vec<Table> = self.curves.iter().filter_map(|curve| self.steps(curve)).collect();
        tables.extend(self.curves.iter().filter_map(costs));
        tables.extend(self.curves.iter().filter_map(breakdown));
        tables
    }

    /// Steps by batch, and what they come to.
    fn steps(&self, curve: &DecodeCurve) -> Option<Table> {
        let has_joules = is_whole(curve) && curve.steps.iter().any(|step| step.joules.is_some());
        let mut columns = vec![
            Column::number("Batch"),
            Column::number("Step (ms)"),
            Column::number("Tokens/s"),
            Column::number("Each sequence (tokens/s)"),
            Column::number("Bytes (GB)"),
            Column::number("GFLOP"),
            Column::number("Of read bandwidth"),
            Column::number("Utilisation"),
            Column::number("Of its bound"),
        ];
        if has_joules {
            columns.push(Column::number("J/token"));
        }
        let share = |share: Option<f64>| share.map_or(Cell::Empty, |share| Cell::text(percent(share)));
        // With some of the layers a step is no step of the model.
        let whole = is_whole(curve);
        let tokens = |rate: f64| if whole { Cell::text(number::significant(rate)) } else { Cell::Empty };
        let row = |step: &crate::fit::DecodeStep| {
            let batch = step.batch as f64;
            let mut cells = vec![
                Cell::text(step.batch.to_string()),
                interval(step.time, 1e-3),
                tokens(batch / step.time.value),
                tokens(1.0 / step.time.value),
                Cell::text(number::significant(step.work.bytes().0 as f64 / 1e9)),
                Cell::text(number::significant(step.work.operations().0 as f64 / 1e9)),
                share(curve.of_bandwidth(step, self.ceilings)),
                share(curve.utilisation(step, self.ceilings, self.matrix_units)),
                share(curve.of_bound(step, self.ceilings, self.matrix_units)),
            ];
            if has_joules {
                cells.push(step.joules.map_or(Cell::Empty, |joules| Cell::text(number::significant(joules))));
            }
            Row { anchor: None, cells }
        };
        let rows: Vec<Row> = curve.steps.iter().map(row).collect();
        let caption = format!("Decode step of {}, by batch. {}", name(curve), crossover(curve));
        (!rows.is_empty()).then_some(Table { caption, columns, rows })
    }

    /// The step's time and the tokens per second, over the batch.
    pub fn pictures(&self) -> Vec<(&'static str, &'static str, String, Drawn)> {
        let mut pictures = Vec::new();
        let curves: Vec<&DecodeCurve> = self.curves.iter().filter(|curve| curve.steps.len() > 1).collect();
        if !curves.is_empty() {
            let drawn = self.over_batch(
                &curves,
                "Seconds of a step",
                |_, time| time,
                &[("30 tokens/s for each", 1.0 / WANTED), ("reading speed", 1.0 / READING)],
            );
            pictures.push(("decode", "Decode step against batch", caption(&curves), drawn));
            let drawn = self.over_batch(&curves, "Tokens per second, all sequences", |batch, time| batch / time, &[]);
            let caption =
                "All sequences together. While the step's time is flat every sequence more is a gain; past the \
                           crossover the arithmetic, or the KV cache, is what is paid for."
                    .to_owned();
            pictures.push(("tokens", "Tokens per second against batch", caption, drawn));
        }
        if let Some(stacks) = stacks(self.curves) {
            let caption =
                "Median time of each operation, all its layers together, each timed by itself; the gaps are what \
                           the step takes besides when it is timed as a whole."
                    .to_owned();
            pictures.push(("breakdown", "Where a decode step's time goes", caption, Drawn::Stacks(stacks)));
        }
        pictures
    }

    fn over_batch(&self, curves: &[&DecodeCurve], y: &str, of: fn(f64, f64) -> f64, lines: &[(&str, f64)]) -> Drawn {
        let mut drawn = Vec::new();
        let mut marks = Vec::new();
        for curve in curves {
            let points = curve.steps.iter().map(|step| (step.batch as f64, of(step.batch as f64, step.time.value)));
            let band = curve.steps.iter().map(|step| {
                let [a, b] = [step.time.low, step.time.high].map(|time| of(step.batch as f64, time));
                (step.batch as f64, a.min(b), a.max(b))
            });
            drawn.push(Curve { name: name(curve), points: points.collect(), band: band.collect() });
            let bound = curve.steps.iter().filter_map(|step| {
                Some((step.batch as f64, of(step.batch as f64, curve.bound_s(step, self.ceilings, self.matrix_units)?)))
            });
            let bound: Vec<_> = bound.collect();
            if bound.len() > 1 && has_room(curves) {
                drawn.push(Curve { name: format!("{}: its bound", name(curve)), points: bound, band: Vec::new() });
            }
            if let Some(fit) = curve.fit.as_ref().filter(|_| has_room(curves)) {
                let steps = curve.steps.iter().zip(&fit.times_s);
                let points = steps.map(|(step, time)| (step.batch as f64, of(step.batch as f64, *time))).collect();
                drawn.push(Curve { name: format!("{}: the fit", name(curve)), points, band: Vec::new() });
            }
            if let (Some(crossover), Some(first)) = (curve.crossover, curve.steps.first()) {
                let time = CROSSOVER * first.time.value;
                marks.push(Mark {
                    name: format!("crossover at {}", number::significant(crossover.value)),
                    x: crossover.value,
                    y: of(crossover.value, time),
                });
            }
        }
        // A line far from everything would only press the curves together.
        let (low, high) = drawn.iter().flat_map(|curve| &curve.points).fold((f64::INFINITY, 0.0), range);
        let whole = curves.iter().all(|curve| is_whole(curve));
        let near = |(_, y): &&(&str, f64)| whole && (low / 4.0..high * 4.0).contains(y);
        let thresholds = lines.iter().filter(near).map(|(name, y)| Threshold { name: (*name).to_owned(), y: *y });
        Drawn::Curves(Curves {
            x: "Batch (sequences)".to_owned(),
            y: y.to_owned(),
            curves: drawn,
            marks,
            marked: format!("{CROSSOVER} times the step of one sequence"),
            thresholds: thresholds.collect(),
        })
    }
}

fn range((low, high): (f64, f64), (_, y): &(f64, f64)) -> (f64, f64) {
    (low.min(*y), high.max(*y))
}

/// Whether all layers of the share were measured, so that a step is one of the model's (or of its share).
fn is_whole(curve: &DecodeCurve) -> bool {
    curve.share_layers.is_none_or(|share| share <= curve.layers)
}

/// What a curve is of: `smollm2_135m bf16, context 256`.
fn name(curve: &DecodeCurve) -> String {
    let layers = match curve.share_layers {
        Some(share) if share > curve.layers => format!(", {} of {share} layers", curve.layers),
        _ => String::new(),
    };
    let unusual = if curve.unusual.is_empty() { String::new() } else { format!(", {}", clean(&curve.unusual)) };
    format!("{} {}, context {}{layers}{unusual}", clean(&curve.model), curve.precision, curve.context)
}

fn crossover(curve: &DecodeCurve) -> String {
    match (curve.crossover, curve.steps.first(), curve.steps.last()) {
        (Some(at), ..) => format!(
            "A step takes {CROSSOVER} times as long as that of one sequence at a batch of {} ({} {}).",
            number::significant(at.value),
            number::significant(at.low),
            if at.high.is_finite() { format!("to {}", number::significant(at.high)) } else { "and up".to_owned() }
        ),
        (None, Some(first), Some(last)) if first.batch == 1 && last.batch > 1 => {
            format!(
                "Up to a batch of {} a step takes less than {CROSSOVER} times as long as that of one sequence.",
                last.batch
            )
        }
        _ => String::new(),
    }
}

/// Whether there is room for bounds and fits beside the curves.
fn has_room(curves: &[&DecodeCurve]) -> bool {
    curves.len() <= 2
}

/// The fit in a sentence. Its throughput is told only where arithmetic takes as long as reading at the last batch: elsewhere
/// it rests on what was supposed before.
fn fit(curve: &DecodeCurve) -> Option<String> {
    let (fit, last) = (curve.fit.as_ref()?, curve.steps.last()?);
    let read = last.work.bytes().0 as f64 / fit.bandwidth;
    let compute = last.work.operations().0 as f64 / fit.throughput;
    let computes = match compute >= read {
        true => format!("computes at {}", with_prefix(fit.throughput, "FLOP/s")),
        false => "is bound by arithmetic at none of these batches".to_owned(),
    };
    let bandwidth = with_prefix(fit.bandwidth, "B/s");
    Some(format!("The fit of {} reads at {bandwidth} and {computes}, gaps and attention within.", name(curve)))
}

fn caption(curves: &[&DecodeCurve]) -> String {
    let crossovers: Vec<String> = curves.iter().map(|curve| crossover(curve)).filter(|text| !text.is_empty()).collect();
    let fits: Vec<String> = curves.iter().filter(|_| has_room(curves)).filter_map(|curve| fit(curve)).collect();
    format!(
        "One new token for every sequence of the batch. While reading the parameters is what takes the time, more sequences \
         cost little; then the line rises. Its bound is what the device's own read bandwidth and arithmetic ask for. {} {}",
        crossovers.join(" "),
        fits.join(" ")
    )
}

fn interval(time: Estimate, unit: f64) -> Cell {
    let Shown { value, half } = number::shown(time, unit);
    Cell::Interval { value, half }
}

/// What a step and its layers cost, from two numbers of layers.
fn costs(curve: &DecodeCurve) -> Option<Table> {
    let columns = vec![
        Column::number("Batch"),
        Column::number("Each layer (µs)"),
        Column::number("Beside the layers (µs)"),
        Column::number("All layers (ms)"),
    ];
    let row = |cost: &crate::fit::LayerCost| Row {
        anchor: None,
        cells: vec![
            Cell::text(cost.batch.to_string()),
            interval(cost.layer, 1e-6),
            interval(cost.step, 1e-6),
            interval(cost.whole, 1e-3),
        ],
    };
    let rows: Vec<Row> = curve.costs.iter().map(row).collect();
    let depth = curve.share_layers.map_or_else(String::new, |share| match share > curve.layers {
        true => format!("; all its {share} layers by extrapolation"),
        false => String::new(),
    });
    let caption =
        format!("Cost of a layer and of the step around them: {}, by two numbers of layers{depth}", name(curve));
    (!rows.is_empty()).then_some(Table { caption, columns, rows })
}

/// Time by operation, a column for each batch.
fn breakdown(curve: &DecodeCurve) -> Option<Table> {
    let first = curve.breakdowns.first()?;
    let mut columns = vec![Column::text("Operation")];
    for Breakdown { batch, .. } in &curve.breakdowns {
        columns.push(Column::number(&format!("Batch {batch} (µs)")));
        columns.push(Column::number("Share"));
        columns.push(Column::number("GB/s"));
        columns.push(Column::number("GFLOP/s"));
    }
    let rate = |amount: u64, time: f64| match amount {
        0 => Cell::Empty,
        amount => Cell::text(number::significant(amount as f64 / time / 1e9)),
    };
    let mut rows: Vec<Row> = Vec::new();
    for (index, (operation, _)) in first.operations.iter().enumerate() {
        let mut cells = vec![Cell::text(clean(&operation.name))];
        for breakdown in &curve.breakdowns {
            let sum: f64 = breakdown.operations.iter().map(|(_, time)| time).sum();
            let Some((operation, time)) = breakdown.operations.get(index).filter(|(_, time)| *time > 0.0) else {
                cells.extend([Cell::Empty, Cell::Empty, Cell::Empty, Cell::Empty]);
                continue;
            };
            let bytes = operation.work.bytes().0;
            cells.extend([
                Cell::text(number::significant(time * 1e6)),
                Cell::text(percent(time / breakdown.whole_s.unwrap_or(sum).max(sum))),
                rate(bytes, *time),
                rate(operation.work.operations().0, *time),
            ]);
        }
        rows.push(Row { anchor: None, cells });
    }
    let mut cells = vec![Cell::text("not attributed")];
    for breakdown in &curve.breakdowns {
        let left = breakdown.not_attributed_s();
        let sum: f64 = breakdown.operations.iter().map(|(_, time)| time).sum();
        let share = left.zip(breakdown.whole_s).map(|(left, whole)| left / whole.max(sum));
        cells.push(left.map_or(Cell::Empty, |left| Cell::text(number::significant(left * 1e6))));
        cells.push(share.map_or(Cell::Empty, |share| Cell::text(percent(share))));
        cells.extend([Cell::Empty, Cell::Empty]);
    }
    rows.push(Row { anchor: None, cells });
    let caption = format!(
        "Where the time goes: {}; every operation timed by itself, shares of the step timed as a whole or of their sum, if that is more",
        name(curve)
    );
    Some(Table { caption, columns, rows })
}

/// The operations that take most of all steps together, each step counting alike.
fn largest(curves: &[DecodeCurve]) -> Vec<&str> {
    let mut totals: BTreeMap<&str, f64> = BTreeMap::new();
    for breakdown in curves.iter().flat_map(|curve| &curve.breakdowns) {
        let sum: f64 = breakdown.operations.iter().map(|(_, time)| time).sum();
        for (operation, time) in &breakdown.operations {
            *totals.entry(&operation.name).or_default() += time / sum;
        }
    }
    let mut totals: Vec<(&str, f64)> = totals.into_iter().collect();
    totals.sort_by(|(_, a), (_, b)| b.total_cmp(a));
    totals.into_iter().take(SEGMENTS).map(|(name, _)| name).collect()
}

fn stacks(curves: &[DecodeCurve]) -> Option<Stacks> {
    let mut stacks = Vec::new();
    let largest = largest(curves);
    for curve in curves {
        for breakdown in &curve.breakdowns {
            let sum: f64 = breakdown.operations.iter().map(|(_, time)| time).sum();
            let whole = breakdown.whole_s.unwrap_or(sum).max(sum);
            // Shares of each step: batches differ by orders of magnitude.
            let share = |time: f64| 100.0 * time / whole;
            let shown = breakdown.operations.iter().filter(|(operation, _)| largest.contains(&operation.name.as_str()));
            let mut parts: Vec<(String, f64)> =
                shown.map(|(operation, time)| (clean(&operation.name), share(*time))).collect();
            let told: f64 = parts.iter().map(|(_, share)| share).sum();
            parts.push(("others".to_owned(), share(sum) - told));
            parts.push(("not attributed".to_owned(), share(whole - sum)));
            stacks.push(Stack {
                group: name(curve),
                label: format!("batch {}", breakdown.batch),
                segments: parts.into_iter().map(|(name, value)| Segment { name, value }).collect(),
                limit: f64::INFINITY,
            });
        }
    }
    (!stacks.is_empty()).then_some(Stacks { x: "Share of the step's time".to_owned(), unit: "%".to_owned(), stacks })
}

/// The device's decode steps in a sentence: the largest model's.
pub(super) fn sentence(curves: &[DecodeCurve]) -> Option<String> {
    let most = |curve: &&DecodeCurve| curve.steps.first().map_or(0, |step| step.work.bytes().0);
    // A sequence by itself, of a whole model, is what the sentence is about.
    let told = |curve: &&DecodeCurve| {
        let alone = curve.steps.first().is_some_and(|step| step.batch == 1);
        curve.steps.len() > 1 && alone && is_whole(curve)
    };
    let curve = curves.iter().filter(told).max_by_key(most)?;
    let (first, last) = (curve.steps.first()?, curve.steps.last()?);
    let (scale, symbol) = prefix(first.time.value);
    Some(format!(
        "A decode step of {} takes {} {symbol}s for one sequence ({} tokens/s), and {} tokens/s come of a batch of {}. {}",
        name(curve),
        number::significant(first.time.value / scale),
        number::significant(1.0 / first.time.value),
        number::significant(last.batch as f64 / last.time.value),
        last.batch,
        crossover(curve)
    ))
}

/// KV heads, heads, batch and format of attention.
type Heads = (u64, u64, u64, String);

/// Attention's time over the context, a curve for each kind of heads and batch; `None` where only one context was measured.
pub(super) fn attention(cases: &[CaseData<'_>]) -> Option<Curves> {
    let mut groups: BTreeMap<Heads, Vec<(f64, f64)>> = BTreeMap::new();
    for data in cases.iter().filter(|data| data.record.case.benchmark == "attention") {
        let case = &data.record.case;
        let (Some(summary), false) = (&data.summary, case.axes.contains_key("page")) else { continue };
        let [Some(heads), Some(kv_heads), Some(batch), Some(context)] =
            ["heads", "kv_heads", "batch", "context"].map(|axis| case.count(axis))
        else {
            continue;
        };
        let precision = clean(case.word("precision").unwrap_or(""));
        groups.entry((kv_heads, heads, batch, precision)).or_default().push((context as f64, summary.time.value));
    }
    let curve = |((kv_heads, heads, batch, precision), mut points): (Heads, Vec<(f64, f64)>)| {
        points.sort_by(|(a, _), (b, _)| a.total_cmp(b));
        let name = format!("{heads} heads over {kv_heads}, batch {batch}, {precision}");
        (points.len() > 1).then_some(Curve { name, points, band: Vec::new() })
    };
    let curves: Vec<Curve> = groups.into_iter().filter_map(curve).collect();
    let y = "Seconds of a layer's attention".to_owned();
    (!curves.is_empty()).then(|| Curves {
        x: "Context (tokens)".to_owned(),
        y,
        curves,
        marks: Vec::new(),
        marked: String::new(),
        thresholds: Vec::new(),
    })
}
