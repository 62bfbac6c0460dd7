//! What the plots show, as numbers; [`crate::report::plots`] decides how they look.

use std::collections::BTreeSet;

use super::cases::CaseData;
use super::heat::{Heat, heat};
use super::text::{Anchors, clean, label_without};
use super::{Stairs, Subject, Table};
use crate::record::{AxisValue, Precision, Quantity};
use crate::report::number;
use crate::summary::{CONFIDENCE, Estimate};

/// One plot.
#[derive(Debug, Clone, PartialEq)]
pub struct Plot {
    /// Stem of its files, unique in the report.
    pub name: String,
    /// Its anchor.
    pub anchor: String,
    /// Its title.
    pub title: String,
    /// How to read it.
    pub caption: String,
    /// Written across it when its figures speak of no hardware.
    pub watermark: Option<String>,
    /// What is drawn.
    pub drawn: Drawn,
}

impl Plot {
    /// The same figures as a table, where they stand in no other.
    pub fn table(&self) -> Option<&Table> {
        match &self.drawn {
            Drawn::Heat(heat) => Some(&heat.table),
            _ => None,
        }
    }
}

/// What a plot shows.
#[derive(Debug, Clone, PartialEq)]
pub enum Drawn {
    /// The roofline.
    Roofline(Roofline),
    /// Bandwidth or latency by working set.
    Staircase(Stairs),
    /// Matrix products by size.
    Matmul(Bars),
    /// Matrix products by shape and precision.
    Heat(Heat),
    /// Every sample of every case.
    Samples(Strips),
    /// Errors of fitted laws on cases held out.
    Residuals(Strips),
    /// Curves over a quantity, both axes logarithmic.
    Curves(Curves),
    /// Amounts that add up, against a limit.
    Stacks(Stacks),
}

/// Curves with marked points and thresholds.
#[derive(Debug, Clone, PartialEq)]
pub struct Curves {
    /// What the horizontal axis shows.
    pub x: String,
    /// What the vertical axis shows.
    pub y: String,
    /// The curves, in the order of the legend.
    pub curves: Vec<Curve>,
    /// Points of their own.
    pub marks: Vec<Mark>,
    /// What they are, for the legend.
    pub marked: String,
    /// Horizontal lines.
    pub thresholds: Vec<Threshold>,
}

/// One curve; its numbers are positive.
#[derive(Debug, Clone, PartialEq)]
pub struct Curve {
    /// Its name in the legend.
    pub name: String,
    /// Its points, from left to right.
    pub points: Vec<(f64, f64)>,
    /// Where it may lie, between what is known of its inputs: place, lower and upper end, from left to right. Empty where all
    /// of them are exact.
    pub band: Vec<(f64, f64, f64)>,
}

/// A marked point.
#[derive(Debug, Clone, PartialEq)]
pub struct Mark {
    /// What it is.
    pub name: String,
    /// Where, on the horizontal axis.
    pub x: f64,
    /// Where, on the vertical axis.
    pub y: f64,
}

/// A horizontal line.
#[derive(Debug, Clone, PartialEq)]
pub struct Threshold {
    /// What it is.
    pub name: String,
    /// Where.
    pub y: f64,
}

/// Amounts that add up, one row each.
#[derive(Debug, Clone, PartialEq)]
pub struct Stacks {
    /// What the axis shows.
    pub x: String,
    /// Its unit, without prefix.
    pub unit: String,
    /// The rows, in the order they are drawn.
    pub stacks: Vec<Stack>,
}

/// One row of amounts.
#[derive(Debug, Clone, PartialEq)]
pub struct Stack {
    /// Heading it stands under.
    pub group: String,
    /// Its name.
    pub label: String,
    /// The amounts, from the left.
    pub segments: Vec<Segment>,
    /// What there is room for; infinite where nothing bounds it.
    pub limit: f64,
}

/// One amount.
#[derive(Debug, Clone, PartialEq)]
pub struct Segment {
    /// What it is.
    pub name: String,
    /// How much.
    pub value: f64,
}

/// Ceilings and measured kernels over operational intensity.
#[derive(Debug, Clone, PartialEq)]
pub struct Roofline {
    /// Memory ceilings; the first is the one the roofline stands on.
    pub memory: Vec<MemoryRoof>,
    /// Compute ceilings, fastest first.
    pub compute: Vec<ComputeRoof>,
    /// Where compute ceilings meet the first memory ceiling.
    pub ridges: Vec<Ridge>,
    /// Measured kernels.
    pub points: Vec<Point>,
}

/// A sloped ceiling.
#[derive(Debug, Clone, PartialEq)]
pub struct MemoryRoof {
    /// Level of the memory hierarchy: `memory`, `L2` …
    pub level: String,
    /// Kernel that reached it.
    pub kernel: String,
    /// Bytes per second.
    pub rate: Estimate,
}

/// A flat ceiling.
#[derive(Debug, Clone, PartialEq)]
pub struct ComputeRoof {
    /// Precision of its inputs.
    pub precision: Precision,
    /// Benchmark that reached it.
    pub benchmark: String,
    /// Operations per second.
    pub rate: Estimate,
}

/// A corner of the roofline.
#[derive(Debug, Clone, PartialEq)]
pub struct Ridge {
    /// Precision of its compute ceiling.
    pub precision: Precision,
    /// Operations per byte.
    pub intensity: Estimate,
    /// Operations per second there.
    pub rate: f64,
    /// Whether it is the one the verdict speaks of.
    pub main: bool,
}

/// A measured kernel.
#[derive(Debug, Clone, PartialEq)]
pub struct Point {
    /// Key of its case.
    pub case: String,
    /// Its case in short.
    pub label: String,
    /// Benchmark id.
    pub benchmark: String,
    /// Precision it computes in.
    pub precision: Precision,
    /// Operations per byte.
    pub intensity: f64,
    /// Operations per second.
    pub rate: Estimate,
    /// Share of what the roofline allows there.
    pub share: Option<f64>,
}

/// Throughput of matrix products.
#[derive(Debug, Clone, PartialEq)]
pub struct Bars {
    /// One bar per case, in the order they are drawn.
    pub bars: Vec<Bar>,
}

/// One matrix product.
#[derive(Debug, Clone, PartialEq)]
pub struct Bar {
    /// Heading it stands under.
    pub group: String,
    /// Its shape.
    pub label: String,
    /// Key of its case.
    pub case: String,
    /// Precision of its inputs.
    pub precision: Precision,
    /// Operations per second.
    pub rate: Estimate,
    /// What the roofline allows at its operational intensity.
    pub roof: Option<f64>,
}

/// Samples of every case, each case relative to its own median.
#[derive(Debug, Clone, PartialEq)]
pub struct Strips {
    /// One row per case.
    pub strips: Vec<Strip>,
}

/// The samples of one case: time of a repeat over the median time, less 1.
#[derive(Debug, Clone, PartialEq)]
pub struct Strip {
    /// Heading it stands under: the benchmark.
    pub group: String,
    /// The case in short.
    pub label: String,
    /// Key of the case.
    pub case: String,
    /// Samples that count.
    pub accepted: Vec<f64>,
    /// Samples that do not.
    pub rejected: Vec<f64>,
    /// Lower end of the median's interval.
    pub low: f64,
    /// Upper end of the median's interval.
    pub high: f64,
    /// The median time of a repeat.
    pub median: String,
}

/// Whether a case is a matrix product of random data: it has a shape and its answer is a throughput. Other data
/// may run faster, and are compared with random ones elsewhere.
pub(super) fn is_product(case: &CaseData<'_>) -> bool {
    let shape = ["m", "n", "k"].iter().all(|axis| case.record.case.count(axis).is_some());
    let random = case.record.case.word("data").is_none_or(|data| data == "random");
    shape && random && case.record.quantity == Quantity::Throughput
}

impl Subject<'_> {
    pub(super) fn plots(&self, position: usize, cases: &[CaseData<'_>], anchors: &mut Anchors) -> Vec<Plot> {
        let watermark = super::watermark(std::iter::once(self.info));
        let mut plots = Vec::new();
        let mut add = |stem: &str, title: &str, caption: String, drawn: Drawn| {
            let name = if position == 0 { stem.to_owned() } else { format!("{stem}-{}", position + 1) };
            let anchor = anchors.take(&format!("plot-{name}"));
            plots.push(Plot { name, anchor, title: title.to_owned(), caption, watermark: watermark.clone(), drawn });
        };
        if let Some(roofline) = self.roofline(cases) {
            add("roofline", "Roofline", roofline_caption(), Drawn::Roofline(roofline));
        }
        for (benchmark, title) in [("cache", "Bandwidth by working set"), ("latency", "Latency by working set")] {
            if let Some((stairs, caption)) = self.stairs(benchmark) {
                add(benchmark, title, caption, Drawn::Staircase(stairs));
            }
        }
        for (stem, title, caption, drawn) in self.decoding().pictures() {
            add(stem, title, caption, drawn);
        }
        if let Some(curves) = super::decoding::attention(cases) {
            let caption = "One layer, one new token for every sequence: the time to read the keys and values of all tokens \
                           before it, and to compute with them.";
            add("attention", "Attention against context", caption.to_owned(), Drawn::Curves(curves));
        }
        if let Some(bars) = self.bars(cases) {
            add("matmul", "Matrix products by size", matmul_caption(), Drawn::Matmul(bars));
        }
        if let Some(heat) = heat(cases) {
            add("heat", "Matrix products by shape and precision", heat_caption(), Drawn::Heat(heat));
        }
        if let Some(strips) = strips(cases) {
            add("samples", "Samples", samples_caption(), Drawn::Samples(strips));
        }
        if let Some((reached, caption)) = self.reached() {
            add("reached", "How near products come to the fitted roofline", caption, Drawn::Curves(reached));
        }
        if let Some((strips, caption)) = self.residuals() {
            add("residuals", "What the fitted laws leave over", caption, Drawn::Residuals(strips));
        }
        plots
    }

    fn roofline(&self, cases: &[CaseData<'_>]) -> Option<Roofline> {
        let mut memory: Vec<MemoryRoof> = Vec::new();
        let base = self.memory();
        let others =
            self.ceilings.memory.iter().filter(|ceiling| base.is_none_or(|base| base.kernel != ceiling.kernel));
        for ceiling in base.into_iter().chain(others) {
            memory.push(MemoryRoof { level: "memory".to_owned(), kernel: clean(&ceiling.kernel), rate: ceiling.rate });
        }
        let stairs = self.stairs_of("cache").into_iter().next().map_or(&[][..], |stairs| &stairs.levels);
        let (slowest, caches): (Vec<_>, Vec<_>) = stairs.iter().partition(|level| level.name == "memory");
        // The staircase's memory stands in where `memory` was not run.
        let slowest = slowest.into_iter().filter(|_| base.is_none());
        for level in slowest.chain(caches) {
            memory.push(MemoryRoof { level: clean(&level.name), kernel: "read".to_owned(), rate: level.value });
        }
        let roofs = self.roofs();
        let spoken = self.spokesman().map(|(index, _)| index);
        let ridges = roofs.iter().filter_map(|(index, roof)| {
            let ridge = self.ridge(*index)?;
            let (precision, rate) = (roof.precision, roof.rate.value);
            Some(Ridge { precision, intensity: ridge.intensity, rate, main: spoken == Some(*index) })
        });
        let ridges = ridges.collect();
        let compute: Vec<ComputeRoof> = roofs
            .iter()
            .map(|(_, roof)| ComputeRoof {
                precision: roof.precision,
                benchmark: clean(&roof.benchmark),
                rate: roof.rate,
            })
            .collect();
        if memory.is_empty() && compute.is_empty() {
            return None;
        }
        let points = self.ceilings.points.iter().filter(|point| point.intensity > 0.0 && point.rate.value > 0.0);
        let points = points.map(|point| {
            let case = cases.iter().find(|case| case.record.case.key() == point.case);
            Point {
                case: clean(&point.case),
                label: case
                    .filter(|case| names_points(case))
                    .map_or_else(String::new, |case| shape(&case.label, point.precision)),
                benchmark: clean(&point.benchmark),
                precision: point.precision,
                intensity: point.intensity,
                rate: point.rate,
                share: self.roof(point.precision, point.intensity).map(|roof| point.rate.value / roof),
            }
        });
        Some(Roofline { memory, compute, ridges, points: points.collect() })
    }

    fn bars(&self, cases: &[CaseData<'_>]) -> Option<Bars> {
        let mut sorted: Vec<(bool, u128, Bar)> = Vec::new();
        for case in cases.iter().filter(|case| is_product(case)) {
            let Some(summary) = &case.summary else { continue };
            let Some(precision) = summary.precision else { continue };
            let [m, n, k] = ["m", "n", "k"].map(|axis| case.record.case.count(axis).unwrap_or(0));
            let square = m == n && n == k;
            let size = u128::from(m) * u128::from(n) * u128::from(k);
            let roof = summary.intensity.and_then(|intensity| self.roof(precision, intensity.get()));
            let group = format!("{precision}, {}", if square { "square (m = n = k)" } else { "other (m × n × k)" });
            let bar = Bar {
                group,
                label: shape(&case.label, precision),
                case: case.key.clone(),
                precision,
                rate: summary.headline,
                roof,
            };
            sorted.push((!square, size, bar));
        }
        sorted.sort_by(|(a_other, a_size, a), (b_other, b_size, b)| {
            (a.precision, a_other, a_size, &a.case).cmp(&(b.precision, b_other, b_size, &b.case))
        });
        let bars: Vec<Bar> = sorted.into_iter().map(|(_, _, bar)| bar).collect();
        if bars.is_empty() { None } else { Some(Bars { bars }) }
    }
}

/// Whether the points of a case's benchmark get names: those of `intensity` have the horizontal axis for one.
fn names_points(case: &CaseData<'_>) -> bool {
    case.record.case.benchmark != "intensity"
}

/// A case's label without its precision, which the plot's colours say.
fn shape(label: &str, precision: Precision) -> String {
    label.strip_prefix(precision.name()).unwrap_or(label).trim_start().to_owned()
}

fn strips(cases: &[CaseData<'_>]) -> Option<Strips> {
    let mut strips: Vec<Strip> = Vec::new();
    for of_one in cases.chunk_by(|a, b| a.record.case.benchmark == b.record.case.benchmark) {
        // A name that would be cut off leaves out what all cases of its benchmark share.
        let long = of_one.iter().any(|case| case.label.chars().count() > LABEL_MOST);
        let shared = if long { shared_axes(of_one) } else { BTreeSet::new() };
        let named =
            |case: &CaseData<'_>| Some(Strip { label: label_without(&case.record.case, &shared), ..strip(case)? });
        strips.extend(of_one.iter().filter_map(named));
    }
    if strips.is_empty() { None } else { Some(Strips { strips }) }
}

/// Characters of a name that there is room for beside a row.
const LABEL_MOST: usize = 30;

/// Axes on which several cases have the same value.
fn shared_axes<'a>(cases: &'a [CaseData<'_>]) -> BTreeSet<&'a str> {
    let [first, others @ ..] = cases else { return BTreeSet::new() };
    let shared = |(name, value): &(&String, &AxisValue)| {
        // Sides of a product are one name.
        let alone = !others.is_empty() && !["m", "n", "k"].contains(&name.as_str());
        alone && others.iter().all(|other| other.record.case.axes.get(*name) == Some(*value))
    };
    first.record.case.axes.iter().filter(shared).map(|(name, _)| name.as_str()).collect()
}

fn strip(case: &CaseData<'_>) -> Option<Strip> {
    let (summary, measurement) = (case.summary.as_ref()?, case.record.outcome.measurement()?);
    let median = summary.time.value;
    if median <= 0.0 || measurement.repeats == 0 {
        return None;
    }
    let relative = |time: f64| time / median - 1.0;
    let (mut accepted, mut rejected) = (Vec::new(), Vec::new());
    for sample in &measurement.samples {
        let deviation = relative(sample.elapsed_s.get() / f64::from(measurement.repeats));
        if sample.rejected.is_none() { accepted.push(deviation) } else { rejected.push(deviation) }
    }
    Some(Strip {
        group: clean(&case.record.case.benchmark),
        label: case.label.clone(),
        case: case.key.clone(),
        accepted,
        rejected,
        low: relative(summary.time.low),
        high: relative(summary.time.high),
        median: number::plain(summary.time, "s"),
    })
}

fn roofline_caption() -> String {
    format!(
        "What a kernel can reach (vertical) by how many operations it does per byte of memory traffic (horizontal). \
         Left of a ridge point memory is the limit, right of it the arithmetic units. Each point is a measured kernel \
         with the {} interval of its median. Both axes are logarithmic. A point above the slope was \
         served by a cache; one without room for its name tells it on hover.",
        number::percent(CONFIDENCE)
    )
}

fn matmul_caption() -> String {
    format!(
        "Throughput of matrix products, with the {} interval of each median. The tick is what the roofline allows at \
         the product's operational intensity.",
        number::percent(CONFIDENCE)
    )
}

fn heat_caption() -> String {
    "Throughput of each shape in each precision, and its share of the best that was measured in that precision: pale \
     cells are shapes that leave most of the arithmetic units idle, as those do that are bound by memory. Compare \
     precisions by the numbers, shapes by the colour."
        .to_owned()
}

fn samples_caption() -> String {
    format!(
        "How far each sample's time lay from its case's median; a taller block is more samples. The bar below marks \
         the median's {} interval, crosses are rejected samples, and a number at the edge counts samples beyond it.",
        number::percent(CONFIDENCE)
    )
}
