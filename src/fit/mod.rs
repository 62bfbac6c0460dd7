//! Records to ceilings and laws: what the device achieves, as the roofline and the cost model use it.
//!
//! [`Ceilings`] are measured: the best of each kind. [`Calibration`] is fitted: the time of each operation as a
//! function of its sizes, with every constant's uncertainty and the errors on cases held out.

mod attention;
mod bandwidth;
mod calibration;
mod collective;
mod decoding;
mod experts;
mod fitted;
mod foretell;
mod held_out;
mod kinds;
mod known;
mod law;
mod matmul;
mod solve;
mod staircase;
mod step;

use std::cmp::Ordering;

pub use calibration::{Allowed, CALIBRATION_VERSION, Calibration, Ceiling, FitError, Source};
pub use decoding::{Breakdown, CROSSOVER, CurveFit, DecodeCurve, DecodeStep, FITTED_LEAST, LayerCost, decode_curves};
pub use fitted::{CLUSTERS_LEAST, Constant, Fitted, Missing};
pub use foretell::{ForetellError, Foretold};
pub use held_out::{CONFIDENCE, Errors, HeldOut};
pub use matmul::{Product, products};
pub use solve::DRAWS;
pub use staircase::{HOLDS, Level, Staircase, Step, staircases};
pub use step::PRODUCTS;

pub use crate::stats::Discrepancy;

use crate::record::{Precision, Quantity, Record, Run};
use crate::summary::{Estimate, Summary};

/// A memory ceiling: the best bandwidth headline of a kernel at a working set past the caches.
#[derive(Debug, Clone, PartialEq)]
pub struct MemoryCeiling {
    /// Kernel: `read`, `copy` …
    pub kernel: String,
    /// Bytes per second.
    pub rate: Estimate,
    /// Key of the case behind it.
    pub case: String,
}

/// A compute ceiling of one precision.
#[derive(Debug, Clone, PartialEq)]
pub struct ComputeCeiling {
    /// Benchmark behind it: `fma`, `mma` or `matmul`.
    pub benchmark: String,
    /// Precision of its inputs.
    pub precision: Precision,
    /// Operations per second.
    pub rate: Estimate,
    /// Key of the case behind it.
    pub case: String,
    /// A product by rooflint's own kernels on a device whose vendor has a library: a lower bound of what users get.
    pub own: bool,
}

/// A measured kernel on the roofline's plane.
#[derive(Debug, Clone, PartialEq)]
pub struct Point {
    /// Key of the case.
    pub case: String,
    /// Benchmark id.
    pub benchmark: String,
    /// Precision it computes in.
    pub precision: Precision,
    /// Operations per byte.
    pub intensity: f64,
    /// Operations per second.
    pub rate: Estimate,
}

/// Where a compute ceiling meets the memory ceiling.
#[derive(Debug, Clone, PartialEq)]
pub struct Ridge {
    /// Index into [`Ceilings::compute`].
    pub compute: usize,
    /// Operations per byte, with the interval that both ceilings' intervals span.
    pub intensity: Estimate,
}

/// Whether bandwidth had stopped falling with the working set: the proof that memory was measured, not a cache.
#[derive(Debug, Clone, PartialEq)]
pub struct Plateau {
    /// Bytes of the working set over the last cache's capacity, with the read bandwidth there.
    pub steps: Vec<(f64, Estimate)>,
    /// Bandwidth at the second largest over that at the largest working set, less 1.
    pub drift: f64,
    /// Whether bandwidth falls by no more than [`PLATEAU_TOLERANCE`], or within both intervals.
    pub flat: bool,
}

impl Plateau {
    /// Whether the two largest working sets are larger than the last cache and give one bandwidth: what
    /// entitles a memory ceiling to its name.
    pub fn shows_memory(&self) -> bool {
        self.flat && self.steps.iter().rev().nth(1).is_some_and(|(size, _)| *size > 1.0)
    }
}

/// Largest change between the two largest working sets at which memory bandwidth counts as a plateau.
pub const PLATEAU_TOLERANCE: f64 = 0.02;

/// The ceilings of one device in one run.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Ceilings {
    /// Memory, fastest first.
    pub memory: Vec<MemoryCeiling>,
    /// Compute, fastest first; one per benchmark and precision, and another for our own products.
    pub compute: Vec<ComputeCeiling>,
    /// Ridge points of every compute ceiling against the read ceiling (or the fastest, if read is missing).
    pub ridges: Vec<Ridge>,
    /// Every measured case with both operations and bytes.
    pub points: Vec<Point>,
    /// The working-set check; `None` if the run has fewer than two working sets.
    pub plateau: Option<Plateau>,
}

/// Benchmarks whose throughput is a compute ceiling.
const COMPUTE: [&str; 3] = ["fma", "mma", "matmul"];

/// A measured record beside its summary.
struct Measured<'a> {
    record: &'a Record,
    summary: Summary,
}

impl Ceilings {
    /// The read ceiling, where the run shows that memory was measured and not a cache ([`Plateau::shows_memory`]).
    pub fn shown_read(&self) -> Option<&MemoryCeiling> {
        let shown = self.plateau.as_ref().is_some_and(Plateau::shows_memory);
        self.memory.iter().find(|ceiling| ceiling.kernel == "read").filter(|_| shown)
    }

    /// The ceilings of the run's `device`-th device. Records of other devices, and those that were not
    /// measured, are passed over.
    pub fn of(run: &Run, device: u32) -> Self {
        let measured = measured(run, device);
        let cache = run.header.devices.get(device as usize).and_then(|info| info.last_cache());

        let memory = memory(&measured);
        let compute = compute(&measured, slope(&memory));
        let ridges = ridges(&compute, &memory);
        let plateau = cache.and_then(|cache| plateau(&measured, cache.0 as f64));
        Self { memory, compute, ridges, points: measured.iter().filter_map(point).collect(), plateau }
    }
}

/// The measured records of the run's `device`-th device.
fn measured(run: &Run, device: u32) -> Vec<Measured<'_>> {
    let records = run.records.iter().filter(|record| record.device == device);
    records.filter_map(|record| Some(Measured { record, summary: Summary::of(record)? })).collect()
}

/// Highest first.
fn fastest_first(a: Estimate, b: Estimate) -> Ordering {
    b.value.total_cmp(&a.value)
}

/// Kernel, bytes of a stream and summary of every memory bandwidth.
fn bandwidths<'a>(measured: &'a [Measured]) -> impl Iterator<Item = (&'a str, u64, &'a Measured<'a>)> {
    measured.iter().filter_map(|item| {
        let case = &item.record.case;
        let wanted = case.benchmark == "memory" && item.summary.quantity == Quantity::Bandwidth;
        wanted.then_some((case.word("kernel")?, case.count("size")?, item))
    })
}

/// The largest working set of every kernel, and the fastest case there.
fn memory(measured: &[Measured]) -> Vec<MemoryCeiling> {
    let mut rows: Vec<_> = bandwidths(measured).collect();
    rows.sort_by(|(kernel_a, size_a, a), (kernel_b, size_b, b)| {
        let fastest = || fastest_first(a.summary.headline, b.summary.headline);
        kernel_a.cmp(kernel_b).then(size_b.cmp(size_a)).then_with(fastest)
    });
    rows.dedup_by_key(|(kernel, ..)| *kernel);
    let ceiling = |(kernel, _, item): (&str, u64, &Measured)| MemoryCeiling {
        kernel: kernel.to_owned(),
        rate: item.summary.headline,
        case: item.record.case.key(),
    };
    let mut ceilings: Vec<_> = rows.into_iter().map(ceiling).collect();
    ceilings.sort_by(|a, b| fastest_first(a.rate, b.rate));
    ceilings
}

/// The read ceiling, or the fastest memory ceiling without one.
fn slope(memory: &[MemoryCeiling]) -> Option<&MemoryCeiling> {
    memory.iter().find(|ceiling| ceiling.kernel == "read").or(memory.first())
}

/// Whether a case tells how fast the device computes: neither is it left of the ridge point of its vector units, nor
/// would reading at the memory ceiling take half of its time. A product of a few rows tells of memory alone.
fn is_bound_by_arithmetic(item: &Measured, vector: f64, slope: f64) -> bool {
    let Some(intensity) = item.summary.intensity else { return true };
    let memory_roof = intensity.get() * slope;
    memory_roof >= vector && memory_roof >= 2.0 * item.summary.headline.value
}

/// The fastest case of every benchmark and precision, our own products apart. Other data than random flatter a device.
fn compute(measured: &[Measured], slope: Option<&MemoryCeiling>) -> Vec<ComputeCeiling> {
    let vector = measured
        .iter()
        .filter(|item| item.record.case.benchmark == "fma" && item.summary.precision == Some(Precision::F32))
        .map(|item| item.summary.headline.value)
        .fold(0.0, f64::max);
    let mut ceilings: Vec<ComputeCeiling> = Vec::new();
    for item in measured {
        if slope.is_some_and(|slope| !is_bound_by_arithmetic(item, vector, slope.rate.value)) {
            continue;
        }
        let Measured { record, summary } = item;
        let benchmark = &record.case.benchmark;
        let Some(precision) = summary.precision.filter(|_| summary.quantity == Quantity::Throughput) else {
            continue;
        };
        let real = record.case.word("data").is_none_or(|data| data == "random");
        if COMPUTE.contains(&benchmark.as_str()) && real {
            let (benchmark, case) = (benchmark.clone(), record.case.key());
            let own = record.case.word("library") == Some("own");
            ceilings.push(ComputeCeiling { benchmark, precision, rate: summary.headline, case, own });
        }
    }
    ceilings.sort_by(|a, b| fastest_first(a.rate, b.rate));
    let mut seen = Vec::new();
    ceilings.retain(|ceiling| {
        let id = (ceiling.benchmark.clone(), ceiling.precision, ceiling.own);
        let new = !seen.contains(&id);
        seen.push(id);
        new
    });
    ceilings
}

/// Where each compute ceiling meets the slope.
fn ridges(compute: &[ComputeCeiling], memory: &[MemoryCeiling]) -> Vec<Ridge> {
    let Some(slope) = slope(memory) else { return Vec::new() };
    let meet = |(index, ceiling): (usize, &ComputeCeiling)| {
        let (flat, slope) = (ceiling.rate, slope.rate);
        let (value, low, high) = (flat.value / slope.value, flat.low / slope.high, flat.high / slope.low);
        Ridge { compute: index, intensity: Estimate { value, low, high } }
    };
    compute.iter().enumerate().map(meet).collect()
}

/// The record on the roofline's plane; `None` if it computes nothing or moves nothing. Work of several
/// precisions counts under the one most of its operations are in.
fn point(measured: &Measured) -> Option<Point> {
    let Measured { record, summary } = measured;
    let intensity = summary.intensity?.get();
    let (precision, _) = record.work.flop.iter().max_by_key(|(_, count)| **count)?;
    let rate = Estimate::rate(record.work.operations().0 as f64, summary.time);
    (intensity > 0.0 && rate.high.is_finite()).then(|| Point {
        case: record.case.key(),
        benchmark: record.case.benchmark.clone(),
        precision: *precision,
        intensity,
        rate,
    })
}

/// Read bandwidth over working sets, smallest first. `None` below two of them, or without a cache to
/// compare with.
fn plateau(measured: &[Measured], cache_b: f64) -> Option<Plateau> {
    let mut rows: Vec<(u64, Estimate)> = bandwidths(measured)
        .filter(|(kernel, ..)| *kernel == "read")
        .map(|(_, size, item)| (size, item.summary.headline))
        .collect();
    rows.sort_by(|(size_a, a), (size_b, b)| size_a.cmp(size_b).then(fastest_first(*a, *b)));
    rows.dedup_by_key(|(size, _)| *size);
    let [.., (_, before), (_, last)] = rows.as_slice() else {
        return None;
    };
    let drift = before.value / last.value - 1.0;
    // A cache makes the smaller working set the faster one. Where it is the slower one, a launch's fixed cost shows.
    let flat = drift <= PLATEAU_TOLERANCE || before.overlaps(last);
    let steps = rows.iter().map(|(size, rate)| (*size as f64 / cache_b, *rate)).collect();
    (cache_b > 0.0).then_some(Plateau { steps, drift, flat })
}
