//! The cases of a run, in order, before any of them is measured: what `--dry-run` prints.

use std::collections::{BTreeMap, HashSet};

use crate::measure::settings::Settings;
use crate::record::{AxisValue, Case, DeviceInfo};
use crate::suite::{Axis, Benchmark, Load, Request, together};
use crate::units::{ByteCount, Seconds};

/// One case of a plan.
#[derive(Clone)]
pub struct Planned {
    /// Index of its device in the plan.
    pub device: u32,
    /// The question.
    pub benchmark: &'static dyn Benchmark,
    /// The point of its axes.
    pub case: Case,
    /// Device memory it needs.
    pub footprint: ByteCount,
}

/// The cases of a run.
#[derive(Clone)]
pub struct Plan {
    /// The devices, in the order given.
    pub devices: Vec<DeviceInfo>,
    /// The cases, device by device; last, those that all devices run together.
    pub cases: Vec<Planned>,
}

/// A request that no benchmark can answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PlanError {
    /// No chosen benchmark has such an axis.
    #[error("unknown axis '{name}'; the chosen benchmarks have: {known}")]
    UnknownAxis {
        /// As typed.
        name: String,
        /// Those there are.
        known: String,
    },
    /// The axis cannot hold the value.
    #[error("axis '{axis}' of '{benchmark}' cannot be '{value}'; it takes {takes}")]
    BadValue {
        /// Whose axis.
        benchmark: &'static str,
        /// Which axis.
        axis: &'static str,
        /// As typed.
        value: String,
        /// What it takes.
        takes: String,
    },
    /// A case that the user asked for makes no sense on a device.
    #[error("{benchmark}: {reason}")]
    Refused {
        /// Whose case.
        benchmark: &'static str,
        /// Why, and the way out.
        reason: String,
    },
    /// Nothing is left to run.
    #[error("the request leaves no case to run")]
    Empty,
}

/// The plan for some devices and benchmarks.
pub fn plan(
    devices: Vec<DeviceInfo>,
    benchmarks: &[&'static dyn Benchmark],
    request: &Request,
) -> Result<Plan, PlanError> {
    validate(benchmarks, &request.axes)?;
    let mut cases = Vec::new();
    for (index, device) in (0..).zip(&devices) {
        for benchmark in benchmarks {
            let mut seen = HashSet::new();
            // Sizes that follow from a device's caches can fall together.
            for case in benchmark.cases(device, request).into_iter().filter(|case| seen.insert(case.key())) {
                if let Some(reason) = benchmark.refuses(device, &case) {
                    return Err(PlanError::Refused { benchmark: benchmark.meta().id, reason });
                }
                let footprint = benchmark.footprint(device, &case);
                cases.push(Planned { device: index, benchmark: *benchmark, case, footprint });
            }
        }
    }
    if cases.is_empty() {
        return Err(PlanError::Empty);
    }
    if devices.len() > 1 && !request.axes.contains_key("load") {
        let with_others = |planned: &Planned| Some(Planned { case: together(&planned.case)?, ..planned.clone() });
        cases.extend(cases.iter().filter_map(with_others).collect::<Vec<_>>());
    }
    Ok(Plan { devices, cases: at_the_end(cases) })
}

/// The cases with those at the end that all devices run together: the first of every device, the second of every device …
fn at_the_end(cases: Vec<Planned>) -> Vec<Planned> {
    let (shared, mut alone): (Vec<_>, Vec<_>) =
        cases.into_iter().partition(|planned| Load::of(&planned.case) == Load::Together);
    let mut counts: BTreeMap<u32, usize> = BTreeMap::new();
    let mut ranked: Vec<(usize, Planned)> = Vec::new();
    for planned in shared {
        let rank = counts.entry(planned.device).or_default();
        ranked.push((*rank, planned));
        *rank += 1;
    }
    ranked.sort_by_key(|(rank, planned)| (*rank, planned.device));
    alone.extend(ranked.into_iter().map(|(_, planned)| planned));
    alone
}

/// An axis given by the user must be one of a chosen benchmark, and its values such that each benchmark
/// with that axis can hold them.
fn validate(benchmarks: &[&'static dyn Benchmark], axes: &BTreeMap<String, Vec<AxisValue>>) -> Result<(), PlanError> {
    for (name, values) in axes {
        let mut found = false;
        for meta in benchmarks.iter().map(|benchmark| benchmark.meta()) {
            let Some(axis) = meta.axes.iter().find(|axis| axis.name == name) else { continue };
            found = true;
            if let Some(value) = values.iter().find(|value| !accepts(axis, value)) {
                let (value, takes) = (value.to_string(), takes(axis));
                return Err(PlanError::BadValue { benchmark: meta.id, axis: axis.name, value, takes });
            }
        }
        if !found {
            let known = benchmarks.iter().flat_map(|benchmark| {
                let meta = benchmark.meta();
                meta.axes.iter().map(|axis| format!("{}.{}", meta.id, axis.name))
            });
            let known = known.collect::<Vec<_>>().join(", ");
            return Err(PlanError::UnknownAxis { name: name.clone(), known });
        }
    }
    Ok(())
}

fn accepts(axis: &Axis, value: &AxisValue) -> bool {
    match value {
        AxisValue::Count(count) => axis.words.is_empty() && (axis.range[0]..=axis.range[1]).contains(count),
        AxisValue::Word(word) => axis.words.contains(&word.as_str()),
    }
}

fn takes(axis: &Axis) -> String {
    match axis.words {
        [] => format!("numbers from {} to {}", axis.range[0], axis.range[1]),
        words => words.join(", "),
    }
}

impl Plan {
    /// The time the plan is expected to take.
    pub fn estimate(&self, settings: &Settings) -> Seconds {
        self.cases.iter().map(|planned| settings.estimate(planned.benchmark.effort())).sum()
    }
}
