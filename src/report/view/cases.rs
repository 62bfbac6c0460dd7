//! A device's cases by benchmark, ready for tables.

use std::collections::BTreeSet;

use super::text::{Anchors, axis_rank, axis_value, clean, label};
use super::{About, Badge, CaseRef, Cell, Column, Level, Row, Subject, Table};
use crate::record::{Candidate, Measurement, Outcome, Quantity, Race, Record};
use crate::report::number;
use crate::stats::Sorted;
use crate::summary::{CONFIDENCE, Estimate, Flag, Summary};
use crate::units::prefix;

/// Share of the roof above which data must have come from a cache: memory alone cannot do it.
pub(super) const ABOVE_ROOF: f64 = 1.05;

/// A record with its summary, made once.
pub(super) struct CaseData<'a> {
    pub record: &'a Record,
    pub summary: Option<Summary>,
    /// The case's key, safe to show.
    pub key: String,
    /// The case without its benchmark, in short.
    pub label: String,
    /// Share of what the roofline allows at the case's operational intensity.
    pub share: Option<f64>,
}

impl CaseData<'_> {
    /// The headline with its unit.
    pub fn headline(&self) -> Option<(Estimate, &'static str)> {
        self.summary.as_ref().map(|summary| (summary.headline, summary.unit))
    }
}

/// One benchmark's part of a report.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BenchmarkView {
    /// The benchmark's id, safe to show.
    pub id: String,
    /// Anchor of its part: the id itself for the first device.
    pub anchor: String,
    /// The question it answers; empty where the suite's words were not handed over.
    pub question: String,
    /// How its headline is computed.
    pub formula: String,
    /// What to know before trusting it.
    pub caveats: Vec<String>,
    /// What its headline is: `Bandwidth`, `Throughput`, `Time`.
    pub quantity: &'static str,
    /// The unit of all its headlines; `None` where they differ.
    pub unit: Option<String>,
    /// Its axes, in the order of [`CaseView::axes`].
    pub axes: Vec<String>,
    /// Its cases, in the order they ran.
    pub cases: Vec<CaseView>,
    /// The contests that chose a variant.
    pub races: Option<Table>,
}

/// One case.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CaseView {
    /// Its key.
    pub key: String,
    /// Anchor of its row.
    pub anchor: String,
    /// Its key without the benchmark, in short.
    pub label: String,
    /// The value of each axis of its benchmark; empty where it has none.
    pub axes: Vec<String>,
    /// What became of it, in a word.
    pub outcome: &'static str,
    /// Why it has no result, where it has none.
    pub reason: Option<String>,
    /// Its figures.
    pub result: Option<ResultView>,
    /// What to know before trusting them.
    pub badges: Vec<Badge>,
    /// The same as data, for notices.
    pub(super) flags: Vec<&'static str>,
}

impl CaseView {
    /// A reference to its row.
    pub fn reference(&self, detail: Option<String>) -> CaseRef {
        CaseRef { key: self.key.clone(), anchor: self.anchor.clone(), detail }
    }
}

/// The figures of a measured case, as text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ResultView {
    /// The headline: a median.
    pub value: String,
    /// Half-width of its interval.
    pub half: String,
    /// The unit of both.
    pub unit: String,
    /// Median time of a repeat.
    pub time: String,
    /// Interquartile range over median.
    pub spread: String,
    /// Samples that count, and of how many where some do not.
    pub samples: String,
    /// Share of what the roofline allows; only for cases that both move and compute.
    pub share: Option<String>,
    /// Median clock beside the samples, where one was measured.
    pub clock: Option<String>,
    /// Which way of running it was measured.
    pub variant: String,
}

impl Subject<'_> {
    /// The device's records, summarised.
    pub(super) fn cases(&self) -> Vec<CaseData<'_>> {
        let records = self.run.records.iter().filter(|record| record.device == self.index);
        let case = |record: &'_ Record| {
            let summary = Summary::of(record);
            let share = summary.as_ref().and_then(|summary| self.share(summary));
            (summary, share)
        };
        records
            .map(|record| {
                let (summary, share) = case(record);
                CaseData { record, summary, key: clean(&record.case.key()), label: label(&record.case), share }
            })
            .collect()
    }

    /// What share of the roofline a case reaches. Cases that move nothing or compute nothing have no place on it.
    fn share(&self, summary: &Summary) -> Option<f64> {
        let (intensity, precision) = (summary.intensity?.get(), summary.precision?);
        if summary.quantity != Quantity::Throughput || intensity <= 0.0 {
            return None;
        }
        let roof = self.roof(precision, intensity)?;
        (roof > 0.0).then(|| summary.headline.value / roof)
    }

    pub(super) fn benchmarks(&self, cases: &[CaseData<'_>], anchors: &mut Anchors) -> Vec<BenchmarkView> {
        let mut ids: Vec<&str> = Vec::new();
        for case in cases {
            if !ids.contains(&case.record.case.benchmark.as_str()) {
                ids.push(&case.record.case.benchmark);
            }
        }
        let of = |id: &str| cases.iter().filter(|case| case.record.case.benchmark == id).collect::<Vec<_>>();
        ids.iter().map(|id| benchmark(id, &of(id), anchors)).collect()
    }
}

fn benchmark(id: &str, cases: &[&CaseData<'_>], anchors: &mut Anchors) -> BenchmarkView {
    let names: BTreeSet<&str> =
        cases.iter().flat_map(|case| case.record.case.axes.keys().map(String::as_str)).collect();
    let mut axes: Vec<&str> = names.into_iter().collect();
    axes.sort_by_key(|name| axis_rank(name));
    // One prefix for all, so that a column can be read down.
    let largest =
        cases.iter().filter_map(|case| case.headline()).map(|(estimate, _)| estimate.value).fold(0.0, f64::max);
    let (scale, prefix) = prefix(largest);
    let units: BTreeSet<&str> = cases.iter().filter_map(|case| case.headline()).map(|(_, unit)| unit).collect();
    let unit = match units.len() {
        1 => units.first().map(|unit| format!("{prefix}{unit}")),
        _ => None,
    };
    let id = clean(id);
    let anchor = anchors.take(&id);
    let views = cases.iter().map(|case| case_view(case, &axes, (scale, prefix), anchors)).collect();
    BenchmarkView {
        anchor,
        question: String::new(),
        formula: String::new(),
        caveats: Vec::new(),
        quantity: cases.first().map_or("", |case| quantity_word(case.record.quantity)),
        unit,
        axes: axes.iter().map(|name| clean(name)).collect(),
        cases: views,
        races: races(cases),
        id,
    }
}

fn case_view(case: &CaseData<'_>, axes: &[&str], scale: (f64, &str), anchors: &mut Anchors) -> CaseView {
    let record = case.record;
    let values =
        axes.iter().map(|name| record.case.axes.get(*name).map_or(String::new(), |value| axis_value(name, value)));
    let reason = match &record.outcome {
        Outcome::Measured(_) if case.summary.is_none() => Some("it kept no usable sample".to_owned()),
        Outcome::Measured(_) => None,
        Outcome::Skipped(reason) | Outcome::Failed(reason) => Some(clean(reason)),
        Outcome::Wrong(failure) => Some(clean(&failure.to_string())),
    };
    let (mut badges, mut flags) = (Vec::new(), Vec::new());
    if reason.is_some() {
        let level = if matches!(record.outcome, Outcome::Skipped(_)) { Level::Note } else { Level::Fault };
        badges.push(Badge {
            level,
            text: if case.summary.is_none() && record.outcome.measurement().is_some() {
                "no sample".to_owned()
            } else {
                record.outcome.word().to_owned()
            },
        });
    }
    for flag in case.summary.iter().flat_map(|summary| &summary.flags) {
        badges.push(badge(flag));
        flags.push(cause(flag));
    }
    if case.share.is_some_and(|share| share > ABOVE_ROOF) {
        badges.push(Badge { level: Level::Note, text: "from cache".to_owned() });
        flags.push("from_cache");
    }
    let measured = case.summary.as_ref().zip(record.outcome.measurement());
    CaseView {
        anchor: anchors.take(&case.key),
        key: case.key.clone(),
        label: case.label.clone(),
        axes: values.collect(),
        outcome: record.outcome.word(),
        reason,
        result: measured.map(|(summary, measurement)| result(case, summary, measurement, scale)),
        badges,
        flags,
    }
}

fn result(
    case: &CaseData<'_>,
    summary: &Summary,
    measurement: &Measurement,
    (scale, prefix): (f64, &str),
) -> ResultView {
    let number::Shown { value, half } = number::shown(summary.headline, scale);
    let taken = summary.accepted + summary.rejected;
    ResultView {
        value,
        half,
        unit: format!("{prefix}{}", summary.unit),
        time: number::plain(summary.time, "s"),
        spread: number::percent(summary.spread.get()),
        samples: if summary.rejected == 0 { taken.to_string() } else { format!("{} of {taken}", summary.accepted) },
        share: case.share.map(number::percent),
        clock: median_clock(measurement),
        variant: clean(&measurement.variant),
    }
}

fn median_clock(measurement: &Measurement) -> Option<String> {
    let clocks: Vec<f64> = measurement.samples.iter().filter_map(|sample| sample.clock_hz).map(f64::from).collect();
    let median = Sorted::new(clocks)?.median();
    Some(format!("{:.2} GHz", median / 1e9))
}

/// The name a flag's cause goes by, for grouping and for tools.
pub(crate) const fn cause(flag: &Flag) -> &'static str {
    match flag {
        Flag::Wide(_) => "wide",
        Flag::Rejected(_) => "rejected",
        Flag::Disturbed(_) => "disturbed",
        Flag::Unsettled => "unsettled",
        Flag::Drift(_) => "drift",
        Flag::Bimodal => "bimodal",
        Flag::FewSamples(_) => "few_samples",
        Flag::ShortForTimer => "short_for_timer",
    }
}

fn badge(flag: &Flag) -> Badge {
    let text = match flag {
        Flag::Wide(half) => format!("wide ±{}", number::percent(half.get())),
        Flag::Rejected(share) => format!("{} rejected", number::percent(share.get())),
        Flag::Disturbed(share) => format!("disturbed {}", number::percent(share.get())),
        Flag::Unsettled => "unsettled".to_owned(),
        Flag::Drift(share) => format!("drift {}", number::percent(share.get())),
        Flag::Bimodal => "two modes".to_owned(),
        Flag::FewSamples(count) => format!("few samples ({count})"),
        Flag::ShortForTimer => "short for timer".to_owned(),
    };
    let level = if matches!(flag, Flag::Rejected(_)) { Level::Note } else { Level::Caution };
    Badge { level, text }
}

pub(super) const fn quantity_word(quantity: Quantity) -> &'static str {
    match quantity {
        Quantity::Bandwidth => "Bandwidth",
        Quantity::Throughput => "Throughput",
        Quantity::Duration => "Time",
    }
}

fn races(cases: &[&CaseData<'_>]) -> Option<Table> {
    let raced = |case: &&&CaseData<'_>| case.record.outcome.measurement().is_some_and(|found| !found.races.is_empty());
    let rows: Vec<Row> = cases.iter().filter(raced).flat_map(|case| race_rows(case)).collect();
    if rows.is_empty() {
        return None;
    }
    let columns =
        vec![Column::text("Case"), Column::text("Variant"), Column::number("Time in the race"), Column::text("")];
    Some(Table { caption: "Variants tried before measuring".to_owned(), columns, rows })
}

fn race_rows(case: &CaseData<'_>) -> Vec<Row> {
    let Some(measurement) = case.record.outcome.measurement() else { return Vec::new() };
    let several = measurement.races.len() > 1;
    let candidates = measurement.races.iter().flat_map(|race| race.candidates.iter().map(move |found| (race, found)));
    let row = |index: usize, (race, candidate): (&Race, &Candidate)| {
        // With several steps the measurement names the winner of each, in order.
        let chosen = measurement.variant.split(", ").any(|winner| winner == candidate.variant);
        let time = candidate.median_s.map(|time| time.to_string());
        let remark = match &candidate.failure {
            Some(failure) => clean(failure),
            None if chosen => "chosen, then measured afresh".to_owned(),
            None => String::new(),
        };
        let name = if index == 0 { Cell::text(case.label.clone()) } else { Cell::Empty };
        let variant = clean(&candidate.variant);
        let variant = if several { format!("{}: {variant}", clean(&race.step)) } else { variant };
        let cells = vec![name, Cell::text(variant), Cell::text(time.unwrap_or_default()), Cell::text(remark)];
        Row { anchor: None, cells }
    };
    candidates.enumerate().map(|(index, found)| row(index, found)).collect()
}

impl BenchmarkView {
    pub(super) fn explain(&mut self, about: &About) {
        about.question.clone_into(&mut self.question);
        about.formula.clone_into(&mut self.formula);
        self.caveats = about.caveats.iter().map(|caveat| (*caveat).to_owned()).collect();
    }

    /// Its cases as a table. Columns that would be empty throughout are left out.
    pub fn table(&self) -> Table {
        let results = || self.cases.iter().filter_map(|case| case.result.as_ref());
        let timed = self.quantity != "Time";
        let shared = results().any(|result| result.share.is_some());
        let clocked = results().any(|result| result.clock.is_some());
        let variants: BTreeSet<&str> = results().map(|result| result.variant.as_str()).collect();
        let varied = variants.len() > 1;
        let mixed = self.unit.is_none() && results().next().is_some();
        let mut columns: Vec<Column> = self.axes.iter().map(|axis| Column::text(axis)).collect();
        columns.push(Column::number(&match &self.unit {
            Some(unit) => format!("{} ({unit})", self.quantity),
            None => self.quantity.to_owned(),
        }));
        let optional = [
            (mixed, "Unit"),
            (shared, "Of roof"),
            (timed, "Time"),
            (true, "IQR"),
            (true, "Samples"),
            (clocked, "Clock"),
        ];
        let shown = optional.iter().filter(|(wanted, _)| *wanted);
        columns
            .extend(shown.map(|(_, title)| if *title == "Unit" { Column::text(title) } else { Column::number(title) }));
        columns.extend(varied.then(|| Column::text("Variant")));
        columns.push(Column::text("Flags"));
        let wanted = Wanted { mixed, shared, timed, clocked, varied };
        let rows = self.cases.iter().map(|case| case.row(&wanted)).collect();
        let variant = match (varied, variants.first()) {
            (false, Some(variant)) if !variant.is_empty() => format!(" All by variant {variant}."),
            _ => String::new(),
        };
        let (quantity, confidence) = (self.quantity.to_lowercase(), number::percent(CONFIDENCE));
        let caption = format!(
            "Median {quantity} of each case, ± half-width of its {confidence} interval. IQR: interquartile range over \
             median.{variant}"
        );
        Table { caption, columns, rows }
    }
}

/// Which optional columns a table has.
struct Wanted {
    mixed: bool,
    shared: bool,
    timed: bool,
    clocked: bool,
    varied: bool,
}

impl CaseView {
    fn row(&self, wanted: &Wanted) -> Row {
        let mut cells: Vec<Cell> = self.axes.iter().map(Cell::text).collect();
        let badges = match (self.badges.is_empty(), &self.reason) {
            (true, None) => Cell::Empty,
            (_, reason) => Cell::Badges { badges: self.badges.clone(), detail: reason.clone() },
        };
        let Some(result) = &self.result else {
            cells.push(badges);
            return Row { anchor: Some(self.anchor.clone()), cells };
        };
        cells.push(Cell::Interval { value: result.value.clone(), half: result.half.clone() });
        let mut push = |wanted: bool, text: Option<&String>| {
            if wanted {
                cells.push(text.map_or(Cell::Empty, Cell::text));
            }
        };
        push(wanted.mixed, Some(&result.unit));
        push(wanted.shared, result.share.as_ref());
        push(wanted.timed, Some(&result.time));
        push(true, Some(&result.spread));
        push(true, Some(&result.samples));
        push(wanted.clocked, result.clock.as_ref());
        push(wanted.varied, Some(&result.variant));
        cells.push(badges);
        Row { anchor: Some(self.anchor.clone()), cells }
    }
}
