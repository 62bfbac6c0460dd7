//! How well a law foretells cases that it has not seen: whole shapes, whole models, never single rows.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::discrepancy::Discrepancy;
use super::law::{Join, Law, Row};
use super::solve::{DRAWS, few, solve};
use crate::stats::{Sorted, SplitMix64};

/// Groups of clusters, each held out in turn; with as many clusters or fewer, each is a group.
const FOLDS: usize = 5;
/// Clusters up to which each is held out by itself.
const ALONE: usize = 8;
/// The interval given for a case holds this share of them.
pub const CONFIDENCE: f64 = 0.9;

/// Relative errors of predicted times, `|predicted / measured - 1|`.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Errors {
    /// Their mean.
    pub mean: f64,
    /// Their median.
    pub median: f64,
}

/// What came of holding clusters out.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct HeldOut {
    /// Groups held out, one after the other.
    pub groups: u32,
    /// Of the law as it is given: with its discrepancy, if it has one.
    pub errors: Errors,
    /// Of the smooth law alone.
    pub smooth: Errors,
    /// With the longer of reading and computing in place of the smooth joint.
    pub maximum: Errors,
    /// With their sum.
    pub sum: Errors,
    /// Share of held-out cases in the interval that the other groups' errors gave.
    pub coverage: f64,
    /// Median width of that interval, as a share of the predicted time.
    pub width: f64,
    /// Log of measured over predicted time: evenly spaced quantiles, in no order. One goes with each draw.
    pub residuals: Vec<f64>,
    /// Errors of those held-out rows that decoding is made of: few rows of a large matrix. Absent elsewhere.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub decode: Option<Errors>,
}

/// Which cluster each row is of, and which group it is held out with.
struct Groups {
    cluster: Vec<usize>,
    of_row: Vec<usize>,
    count: usize,
}

fn groups(rows: &[&Row], seed: u64) -> Groups {
    let mut clusters: BTreeMap<&str, usize> = rows.iter().map(|row| (row.cluster.as_str(), 0)).collect();
    clusters.values_mut().enumerate().for_each(|(at, place)| *place = at);
    let count = if clusters.len() <= ALONE { clusters.len() } else { FOLDS };
    let mut order: Vec<usize> = (0..clusters.len()).map(|at| at % count).collect();
    shuffle(&mut order, &mut SplitMix64::new(seed));
    let cluster: Vec<usize> = rows.iter().map(|row| clusters[row.cluster.as_str()]).collect();
    Groups { of_row: cluster.iter().map(|at| order[*at]).collect(), cluster, count }
}

/// Fisher and Yates's.
fn shuffle<T>(items: &mut [T], random: &mut SplitMix64) {
    for last in (1..items.len()).rev() {
        items.swap(last, (random.next_f64() * (last + 1) as f64) as usize);
    }
}

/// Log of measured over predicted time of rows under a law.
pub fn residuals(law: &Law, logs: &[f64], rows: &[&Row]) -> Vec<f64> {
    let (at, mut gradient) = (law.at(logs), vec![0.0; logs.len()]);
    rows.iter().map(|row| row.time_s.ln() - at.time(row, &mut gradient).ln()).collect()
}

/// The field that a law leaves over on rows.
pub fn discrepancy(rows: &[&Row], residuals: &[f64]) -> Option<Discrepancy> {
    let places: Vec<[f64; 3]> = rows.iter().map(|row| row.at).collect();
    Discrepancy::of(&places, residuals)
}

/// Residuals of every row, predicted by a law that has not seen its group: without a discrepancy and, if one may be, with.
/// The fits begin at `start`, which saves most of their steps and has no part in where they end.
fn predicted(law: &Law, rows: &[&Row], groups: &Groups, start: &[f64], smooth: bool) -> Option<[Vec<f64>; 2]> {
    let mut left = [vec![0.0; rows.len()], vec![0.0; rows.len()]];
    let group = &groups.of_row;
    for held in 0..groups.count {
        let (mut seen, mut places) = (Vec::new(), Vec::new());
        for (at, row) in rows.iter().enumerate() {
            if group[at] == held { places.push(at) } else { seen.push(*row) }
        }
        let logs = solve(law, &seen, Some(start))?;
        let field = if smooth { discrepancy(&seen, &residuals(law, &logs, &seen)) } else { None };
        let unseen: Vec<&Row> = places.iter().map(|at| rows[*at]).collect();
        for ((at, row), residual) in places.iter().zip(&unseen).zip(residuals(law, &logs, &unseen)) {
            left[0][*at] = residual;
            left[1][*at] = residual - field.as_ref().map_or(0.0, |field| field.at(row.at));
        }
    }
    Some(left)
}

impl Errors {
    /// Of residuals, `ln(measured / predicted)`; `None` without any.
    pub(super) fn of(residuals: impl IntoIterator<Item = f64>) -> Option<Self> {
        let sorted = Sorted::new(residuals.into_iter().map(|residual| ((-residual).exp() - 1.0).abs()))?;
        let mean = sorted.as_slice().iter().sum::<f64>() / sorted.len() as f64;
        Some(Self { mean, median: sorted.median() })
    }
}

/// Holds out every group in turn, and says whether a discrepancy helps. `smooth` asks whether one may; `logs` are the
/// law's parameters fitted to all rows. `None` for fewer than two clusters.
pub fn held_out(law: &Law, rows: &[&Row], logs: &[f64], smooth: bool, seed: u64) -> Option<(HeldOut, bool)> {
    let groups = groups(rows, seed);
    if groups.count < 2 {
        return None;
    }
    let [plain, corrected] = predicted(law, rows, &groups, logs, smooth)?;
    let (smooth_errors, corrected_errors) = (Errors::of(plain.clone())?, Errors::of(corrected.clone())?);
    let keeps = smooth && corrected_errors.mean < smooth_errors.mean;
    let errors = if keeps { corrected_errors } else { smooth_errors };
    let left = if keeps { corrected } else { plain };
    let other = |join| Errors::of(predicted(&law.joined(join), rows, &groups, logs, false)?.into_iter().next()?);
    let (coverage, width) = coverage(&left, &groups)?;
    let decoding = rows.iter().zip(&left).filter(|(row, _)| row.decodes).map(|(_, residual)| *residual);
    let decode = Errors::of(decoding);
    let all: Vec<(usize, f64)> = groups.cluster.iter().copied().zip(left.iter().copied()).collect();
    let held = HeldOut {
        groups: groups.count as u32,
        errors,
        smooth: smooth_errors,
        maximum: other(Join::Maximum)?,
        sum: other(Join::Sum)?,
        coverage,
        width,
        residuals: kept(&spread(&all), seed)?,
        decode,
    };
    Some((held, keeps))
}

/// Errors as they are to be expected of a cluster not seen yet. What the rows of a cluster have in common was seen as often
/// as there are clusters and no more: few of them spread less than the next will, by what Student's distribution says of
/// an observation to come. Each residual is therefore moved away from the clusters' common mean, by its own cluster's
/// distance from it times that. Many clusters stay as they are.
fn spread(residuals: &[(usize, f64)]) -> Vec<f64> {
    let mut means: BTreeMap<usize, (f64, f64)> = BTreeMap::new();
    for (cluster, residual) in residuals {
        let (sum, count) = means.entry(*cluster).or_default();
        *sum += residual;
        *count += 1.0;
    }
    let mean = |cluster: &usize| means.get(cluster).map_or(0.0, |(sum, count)| sum / count);
    let number = means.len().max(1) as f64;
    let middle = means.keys().map(mean).sum::<f64>() / number;
    let further = few(means.len()) * (1.0 + 1.0 / number).sqrt() - 1.0;
    residuals.iter().map(|(cluster, residual)| residual + further * (mean(cluster) - middle)).collect()
}

/// Share of rows inside the interval that the other groups' residuals give, and that interval's median width.
fn coverage(residuals: &[f64], groups: &Groups) -> Option<(f64, f64)> {
    let tail = (1.0 - CONFIDENCE) / 2.0;
    let (mut inside, mut widths) = (0_usize, Vec::new());
    for held in 0..groups.count {
        let (mut own, mut others) = (Vec::new(), Vec::new());
        for ((residual, group), cluster) in residuals.iter().zip(&groups.of_row).zip(&groups.cluster) {
            if *group == held { own.push(*residual) } else { others.push((*cluster, *residual)) }
        }
        let others = Sorted::new(spread(&others))?;
        let (low, high) = (others.quantile(tail), others.quantile(1.0 - tail));
        for residual in own {
            inside += usize::from((low..=high).contains(&residual));
            widths.push(high.exp() - low.exp());
        }
    }
    Some((inside as f64 / residuals.len() as f64, Sorted::new(widths)?.median()))
}

/// As many quantiles as there are draws, in no order, so that they are independent of the draws.
fn kept(residuals: &[f64], seed: u64) -> Option<Vec<f64>> {
    let sorted = Sorted::new(residuals.iter().copied())?;
    let quantile = |at: usize| sorted.quantile((at as f64 + 0.5) / DRAWS as f64);
    let mut quantiles: Vec<f64> = (0..DRAWS).map(quantile).map(super::fitted::short).collect();
    shuffle(&mut quantiles, &mut SplitMix64::new(seed ^ 0x5eed));
    Some(quantiles)
}
