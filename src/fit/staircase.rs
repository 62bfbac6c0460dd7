//! Curves over the working set to the levels of the memory hierarchy: what each cache gives, and how far
//! it reaches.

use std::cmp::Ordering;
use std::collections::BTreeMap;

use super::{Measured, measured};
use crate::record::{Case, DeviceInfo, Quantity, Run};
use crate::summary::Estimate;
use crate::units::ByteCount;

/// One curve of `cache` or `latency` over its sizes.
#[derive(Debug, Clone, PartialEq)]
pub struct Staircase {
    /// The benchmark behind it.
    pub benchmark: String,
    /// What its cases have in common: `slice` and `threads`, or `stride` and `chains`.
    pub series: BTreeMap<String, String>,
    /// What it measures: bandwidth, or duration of an access.
    pub quantity: Quantity,
    /// Its points, smallest working set first.
    pub steps: Vec<Step>,
    /// The capacities it should bend at, by the device's own account, nearest first: name and bytes of the
    /// working set that fills them.
    pub caches: Vec<(String, f64)>,
    /// What it reads on each flat part, nearest level first; those it has no point of are missing.
    pub levels: Vec<Level>,
}

/// One point of a staircase.
#[derive(Debug, Clone, PartialEq)]
pub struct Step {
    /// Bytes of the working set.
    pub size_b: u64,
    /// Bytes per second, or seconds per access.
    pub value: Estimate,
    /// Key of the case.
    pub case: String,
}

/// A level of the memory hierarchy as a staircase shows it.
#[derive(Debug, Clone, PartialEq)]
pub struct Level {
    /// `L1`, `L2` … or `memory`.
    pub name: String,
    /// The value of the flat part: that of the middle one of its points.
    pub value: Estimate,
    /// The largest working set that still gives it, within [`HOLDS`]; `None` for memory.
    pub reach: Option<ByteCount>,
    /// Key of the case behind the value.
    pub case: String,
}

/// A point belongs to a level's flat part from this many times the level before …
const FROM: f64 = 1.25;
/// … up to this share of its own capacity: near the ends a point measures two levels.
const TO: f64 = 0.8;
/// Memory is what is measured from this many last caches on.
const MEMORY_FROM: f64 = 2.0;
/// A working set is held by a level where it gives this share of the level's rate.
pub const HOLDS: f64 = 0.8;

/// Bytes of a line in `latency`.
const LINE: f64 = 64.0;

/// Every staircase of the run's `device`-th device: curves of three points or more.
pub fn staircases(run: &Run, device: u32) -> Vec<Staircase> {
    let Some(info) = run.header.devices.get(device as usize) else { return Vec::new() };
    let measured = measured(run, device);
    let mut curves: Vec<(BTreeMap<String, String>, Vec<&Measured>)> = Vec::new();
    for item in measured.iter().filter(|item| ["cache", "latency"].contains(&item.record.case.benchmark.as_str())) {
        let series = series(&item.record.case);
        let same = |(known, items): &&mut (BTreeMap<String, String>, Vec<&Measured>)| {
            *known == series && items.iter().all(|known| known.record.case.benchmark == item.record.case.benchmark)
        };
        match curves.iter_mut().find(same) {
            Some((_, items)) => items.push(item),
            None => curves.push((series, vec![item])),
        }
    }
    curves.into_iter().filter_map(|(series, items)| staircase(info, series, &items)).collect()
}

/// The axes of a case other than its size, and than the accesses that `latency` makes for it.
fn series(case: &Case) -> BTreeMap<String, String> {
    let others = case.axes.iter().filter(|(name, _)| !["size", "accesses"].contains(&name.as_str()));
    others.map(|(name, value)| (name.clone(), value.to_string())).collect()
}

fn staircase(info: &DeviceInfo, series: BTreeMap<String, String>, items: &[&Measured]) -> Option<Staircase> {
    let first = items.first()?;
    let mut steps: Vec<Step> = items
        .iter()
        .filter_map(|item| {
            let (size_b, value) = (item.record.case.count("size")?, item.summary.headline);
            Some(Step { size_b, value, case: item.record.case.key() })
        })
        .collect();
    steps.sort_by_key(|step| step.size_b);
    if steps.len() < 3 {
        return None;
    }
    let quantity = first.summary.quantity;
    let caches = capacities(info, &first.record.case);
    let levels = levels(&steps, &caches, quantity);
    Some(Staircase { benchmark: first.record.case.benchmark.clone(), series, quantity, steps, caches, levels })
}

/// The working set that fills each level of cache, in the terms of a case's sizes.
///
/// Parts of their own fill as many caches as units use; what all share, and what one chain goes through,
/// must fit one. A chain that visits one line of each stride fills a cache with a range as much larger.
fn capacities(info: &DeviceInfo, case: &Case) -> Vec<(String, f64)> {
    let users = match case.word("slice") {
        Some("private") => case.count("threads").unwrap_or(1),
        _ => 1,
    };
    let spread = case.count("stride").map_or(1.0, |stride| (stride as f64 / LINE).max(1.0));
    let mut capacities: BTreeMap<u32, f64> = BTreeMap::new();
    for cache in &info.caches {
        let instances = u64::from(cache.instances).min(users);
        *capacities.entry(cache.level).or_default() += cache.size_b.0 as f64 * instances as f64 * spread;
    }
    capacities.into_iter().map(|(level, bytes)| (format!("L{level}"), bytes)).collect()
}

fn levels(steps: &[Step], caches: &[(String, f64)], quantity: Quantity) -> Vec<Level> {
    let mut levels = Vec::new();
    let mut before = 0.0;
    for (name, capacity) in caches {
        let within = |from: f64, to: f64| -> Vec<usize> {
            (0..steps.len()).filter(|index| (from..=to).contains(&(steps[*index].size_b as f64))).collect()
        };
        let flat = match within(FROM * before, TO * capacity) {
            flat if flat.is_empty() => within(before + 1.0, *capacity),
            flat => flat,
        };
        before = *capacity;
        if let Some(middle) = middle(steps, &flat) {
            let reach = reach(steps, &flat, middle.value.value, quantity).map(ByteCount);
            levels.push(Level { name: name.clone(), value: middle.value, reach, case: middle.case.clone() });
        }
    }
    let memory = steps.last().filter(|step| before > 0.0 && step.size_b as f64 >= MEMORY_FROM * before);
    levels.extend(memory.map(|step| Level {
        name: "memory".to_owned(),
        value: step.value,
        reach: None,
        case: step.case.clone(),
    }));
    levels
}

/// The point with the middle value.
fn middle<'a>(steps: &'a [Step], flat: &[usize]) -> Option<&'a Step> {
    let mut sorted: Vec<&Step> = flat.iter().map(|index| &steps[*index]).collect();
    sorted.sort_by(|a, b| a.value.value.partial_cmp(&b.value.value).unwrap_or(Ordering::Equal));
    sorted.get(sorted.len().saturating_sub(1) / 2).copied()
}

/// The largest working set from the flat part on that still gives its value.
fn reach(steps: &[Step], flat: &[usize], value: f64, quantity: Quantity) -> Option<u64> {
    let holds = |step: &&Step| match quantity {
        Quantity::Duration => step.value.value * HOLDS <= value,
        _ => step.value.value >= HOLDS * value,
    };
    let start = flat.iter().copied().find(|index| holds(&&steps[*index]))?;
    steps[start..].iter().take_while(holds).last().map(|step| step.size_b)
}
