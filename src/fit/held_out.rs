//! How well a law foretells cases that it has not seen: whole shapes, whole models, never single rows.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::law::{Join, Law, Row};
use super::solve::{DRAWS, few, solve};
use crate::stats::{Discrepancy, Sorted, SplitMix64, student};

/// Groups of clusters, each held out in turn; with as many clusters or fewer, each is a group.
const FOLDS: usize = 5;
/// Clusters up to which each is held out by itself.
const ALONE: usize = 8;
/// The interval given for a case holds this share of them.
pub const CONFIDENCE: f64 = 0.9;

/// Draws of what the cases of a cluster not seen yet have in common, and of what each has of its own.
const EFFECTS: usize = 200;

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
    /// Shares that such intervals may truly hold, at [`CONFIDENCE`], given how few clusters were seen.
    #[serde(default = "any_share")]
    pub coverage_within: [f64; 2],
    /// Median width of that interval, as a share of the predicted time.
    pub width: f64,
    /// Log of measured over predicted time: evenly spaced quantiles, in no order. One goes with each draw.
    pub residuals: Vec<f64>,
    /// Errors of those held-out rows that decoding is made of: few rows of a large matrix. Absent elsewhere.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub decode: Option<Errors>,
}

/// What a file without it says of [`HeldOut::coverage_within`].
fn any_share() -> [f64; 2] {
    [0.0, 1.0]
}

/// Which cluster each row is of, and which group it is held out with.
struct Groups {
    cluster: Vec<usize>,
    of_row: Vec<usize>,
    count: usize,
    /// Whether each cluster is a group.
    alone: bool,
}

fn groups(rows: &[&Row], seed: u64) -> Groups {
    let mut clusters: BTreeMap<&str, usize> = rows.iter().map(|row| (row.cluster.as_str(), 0)).collect();
    clusters.values_mut().enumerate().for_each(|(at, place)| *place = at);
    let alone = clusters.len() <= ALONE;
    let count = if alone { clusters.len() } else { FOLDS };
    let mut order: Vec<usize> = (0..clusters.len()).map(|at| at % count).collect();
    shuffle(&mut order, &mut SplitMix64::new(seed));
    let cluster: Vec<usize> = rows.iter().map(|row| clusters[row.cluster.as_str()]).collect();
    Groups { of_row: cluster.iter().map(|at| order[*at]).collect(), cluster, count, alone }
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

impl Errors {
    /// Of residuals, `ln(measured / predicted)`; `None` without any.
    pub(super) fn of(residuals: impl IntoIterator<Item = f64>) -> Option<Self> {
        let sorted = Sorted::new(residuals.into_iter().map(|residual| ((-residual).exp() - 1.0).abs()))?;
        let mean = sorted.as_slice().iter().sum::<f64>() / sorted.len() as f64;
        Some(Self { mean, median: sorted.median() })
    }
}

/// A law on rows of which groups are held out in turn.
struct Trial<'a> {
    law: &'a Law,
    rows: &'a [&'a Row],
    groups: Groups,
    /// Where fits begin, which saves most of their steps and has no part in where they end.
    start: &'a [f64],
    seed: u64,
}

impl<'a> Trial<'a> {
    fn new(law: &'a Law, rows: &'a [&'a Row], start: &'a [f64], seed: u64) -> Self {
        Self { law, rows, groups: groups(rows, seed), start, seed }
    }

    /// Rows that are not of a group, and the places of those that are.
    fn without(&self, held: usize) -> (Vec<&'a Row>, Vec<usize>) {
        let (mut seen, mut places) = (Vec::new(), Vec::new());
        for (at, row) in self.rows.iter().enumerate() {
            if self.groups.of_row[at] == held { places.push(at) } else { seen.push(*row) }
        }
        (seen, places)
    }

    /// Residuals of every row, predicted by a law that has not seen its group: without a discrepancy and, if one may be, with.
    fn residuals(&self, smooth: bool) -> Option<[Vec<f64>; 2]> {
        let mut left = [vec![0.0; self.rows.len()], vec![0.0; self.rows.len()]];
        for held in 0..self.groups.count {
            let (seen, places) = self.without(held);
            let logs = solve(self.law, &seen, Some(self.start))?;
            let field = if smooth { discrepancy(&seen, &residuals(self.law, &logs, &seen)) } else { None };
            let unseen: Vec<&Row> = places.iter().map(|at| self.rows[*at]).collect();
            for ((at, row), residual) in places.iter().zip(&unseen).zip(residuals(self.law, &logs, &unseen)) {
                left[0][*at] = residual;
                left[1][*at] = residual - field.as_ref().map_or(0.0, |field| field.at(row.at));
            }
        }
        Some(left)
    }

    /// What a law that has not seen a group leaves over on other rows that it has not seen either: of each with its cluster.
    /// Where clusters are few, the one held out shows in the others' residuals, since each shifts what is fitted to the rest.
    /// Those are then made again without it.
    fn elsewhere(&self, held: usize, left: &[f64], keeps: bool) -> Option<Vec<(usize, f64)>> {
        if self.groups.alone {
            let (seen, _) = self.without(held);
            let inner = Trial::new(self.law, &seen, self.start, self.seed);
            let [plain, corrected] = inner.residuals(keeps)?;
            return Some(inner.groups.cluster.into_iter().zip(if keeps { corrected } else { plain }).collect());
        }
        let all = self.groups.of_row.iter().zip(&self.groups.cluster).zip(left);
        let others = all.filter(|((group, _), _)| **group != held);
        Some(others.map(|((_, cluster), residual)| (*cluster, *residual)).collect())
    }

    /// How many rows of each cluster there are, how many of them lie in the interval that the others' residuals give, and the
    /// median width of that interval.
    fn inside(&self, left: &[f64], keeps: bool) -> Option<(Vec<[f64; 2]>, f64)> {
        let tail = (1.0 - CONFIDENCE) / 2.0;
        let clusters = self.groups.cluster.iter().max().map_or(0, |last| last + 1);
        let (mut counts, mut widths) = (vec![[0.0; 2]; clusters], Vec::new());
        for held in 0..self.groups.count {
            let others = Sorted::new(spread(&self.elsewhere(held, left, keeps)?))?;
            let (low, high) = (others.quantile(tail), others.quantile(1.0 - tail));
            for at in self.without(held).1 {
                let [rows, inside] = &mut counts[self.groups.cluster[at]];
                *rows += 1.0;
                *inside += f64::from((low..=high).contains(&left[at]));
                widths.push(high.exp() - low.exp());
            }
        }
        Some((counts, Sorted::new(widths)?.median()))
    }
}

/// Holds out every group in turn, and says whether a discrepancy helps. `smooth` asks whether one may; `logs` are the
/// law's parameters fitted to all rows. `None` for fewer than two clusters.
pub fn held_out(law: &Law, rows: &[&Row], logs: &[f64], smooth: bool, seed: u64) -> Option<(HeldOut, bool)> {
    let trial = Trial::new(law, rows, logs, seed);
    if trial.groups.count < 2 {
        return None;
    }
    let [plain, corrected] = trial.residuals(smooth)?;
    let (smooth_errors, corrected_errors) = (Errors::of(plain.clone())?, Errors::of(corrected.clone())?);
    let keeps = smooth && corrected_errors.mean < smooth_errors.mean;
    let errors = if keeps { corrected_errors } else { smooth_errors };
    let left = if keeps { corrected } else { plain };
    let other = |join| {
        let [plain, _] = Trial::new(&law.joined(join), rows, logs, seed).residuals(false)?;
        Errors::of(plain)
    };
    let (counts, width) = trial.inside(&left, keeps)?;
    let (coverage, coverage_within) = share(&counts);
    let decoding = rows.iter().zip(&left).filter(|(row, _)| row.decodes).map(|(_, residual)| *residual);
    let decode = Errors::of(decoding);
    let all: Vec<(usize, f64)> = trial.groups.cluster.iter().copied().zip(left.iter().copied()).collect();
    let held = HeldOut {
        groups: trial.groups.count as u32,
        errors,
        smooth: smooth_errors,
        maximum: other(Join::Maximum)?,
        sum: other(Join::Sum)?,
        coverage,
        coverage_within,
        width,
        residuals: kept(&spread(&all), seed)?,
        decode,
    };
    Some((held, keeps))
}

/// Errors as they are to be expected of a cluster not seen yet. What the rows of a cluster have in common was seen as often
/// as there are clusters and no more.
///
/// Of few clusters, what they have in common is taken as normal around nothing, since a law is as often too slow as too
/// fast: of one more it is Student's distribution times the root mean square seen, with as many degrees of freedom as there
/// are clusters. What each row has beside it is added to every draw of that. Many clusters show what the distribution is.
/// Each residual is moved away from the clusters' common mean, by its own cluster's distance from it and as much as that
/// distribution says for one observation more.
fn spread(residuals: &[(usize, f64)]) -> Vec<f64> {
    let mut means: BTreeMap<usize, (f64, f64)> = BTreeMap::new();
    for (cluster, residual) in residuals {
        let (sum, count) = means.entry(*cluster).or_default();
        *sum += residual;
        *count += 1.0;
    }
    let mean = |cluster: &usize| means.get(cluster).map_or(0.0, |(sum, count)| sum / count);
    let number = means.len().max(1) as f64;
    if means.len() > ALONE {
        let middle = means.keys().map(mean).sum::<f64>() / number;
        let further = few(means.len()) * (1.0 + 1.0 / number).sqrt() - 1.0;
        return residuals.iter().map(|(cluster, residual)| residual + further * (mean(cluster) - middle)).collect();
    }
    let common = (means.keys().map(|cluster| mean(cluster).powi(2)).sum::<f64>() / number).sqrt();
    let Some(own) = Sorted::new(residuals.iter().map(|(cluster, residual)| residual - mean(cluster))) else {
        return Vec::new();
    };
    let effects = student(means.len(), EFFECTS);
    let place = |at: usize| (at as f64 + 0.5) / EFFECTS as f64;
    let own: Vec<f64> = (0..EFFECTS).map(|at| own.quantile(place(at))).collect();
    effects.iter().flat_map(|effect| own.iter().map(move |own| common * effect + own)).collect()
}

/// The share of rows inside, from how many each cluster has and how many of those are inside; and the shares that may be true.
///
/// Wilson's interval (Journal of the American Statistical Association 22, 1927) for as many independent rows as would
/// scatter like the clusters do: no more than there are rows, no fewer than clusters; with Student's quantile in place of
/// the normal's, since that number is known from the clusters alone.
fn share(counts: &[[f64; 2]]) -> (f64, [f64; 2]) {
    let sum = |of: usize| counts.iter().map(|count| count[of]).sum::<f64>();
    let (rows, clusters) = (sum(0), counts.len() as f64);
    let share = sum(1) / rows;
    let off = counts.iter().map(|[rows, inside]| (inside - share * rows).powi(2)).sum::<f64>();
    let variance = clusters / (clusters - 1.0) * off / (rows * rows);
    let alike = share * (1.0 - share);
    // All inside, or none: clusters that agree so say no more than each once.
    let number = if alike > 0.0 { (alike / variance).clamp(clusters, rows.max(clusters)) } else { clusters };
    // The 5 % quantile, as the median of the lowest tenth.
    let t = student(counts.len() - 1, 10)[0];
    let (square, middle) = (t * t / number, share + t * t / (2.0 * number));
    let half = (t * t * alike / number + square * square / 4.0).sqrt();
    (share, [-half, half].map(|side| ((middle + side) / (1.0 + square)).clamp(0.0, 1.0)))
}

/// As many quantiles as there are draws, in no order, so that they are independent of the draws.
fn kept(residuals: &[f64], seed: u64) -> Option<Vec<f64>> {
    let sorted = Sorted::new(residuals.iter().copied())?;
    let quantile = |at: usize| sorted.quantile((at as f64 + 0.5) / DRAWS as f64);
    let mut quantiles: Vec<f64> = (0..DRAWS).map(quantile).map(super::fitted::short).collect();
    shuffle(&mut quantiles, &mut SplitMix64::new(seed ^ 0x5eed));
    Some(quantiles)
}
