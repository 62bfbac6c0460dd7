//! What a law leaves over, as a smooth field over the sizes of its cases: kernels have favourite shapes, and a law of
//! few constants cannot know them.
//!
//! Nadaraya (1964) and Watson (1964): at each node of a grid the mean of the residuals around it, with weights that
//! fall off as a Gaussian, shrunk to nothing where there are none; linear between nodes. It is kept where it lowers
//! the error on cases held out, and nowhere else.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Width of the weights in doublings of a size.
const WIDTH: f64 = 0.6;

/// Weight of "no residual" at each node: a third of a row right there.
const SHRINK: f64 = 0.3;

/// Nodes on either side of a row that it reaches: beyond three widths a weight is nothing.
const REACH: i64 = 2;

/// Decimals kept of a log residual.
const STEPS: f64 = 1e4;

/// Most nodes: sizes from one row to the next are at most 2^20 apart on two axes.
const NODES_MOST: usize = 1 << 16;

/// A field over three sizes, each by its base-2 logarithm, with a node at every doubling.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Discrepancy {
    /// The first node.
    pub origin: [i64; 3],
    /// Nodes along each size.
    pub nodes: [usize; 3],
    /// Natural logarithm of measured over predicted at every node, the last size fastest.
    pub values: Vec<f64>,
}

impl Discrepancy {
    /// The field of residuals at places. `None` without any, or if they are spread too far.
    pub fn of(places: &[[f64; 3]], residuals: &[f64]) -> Option<Self> {
        let end = |pick: fn(f64, f64) -> f64, from: f64| {
            let mut ends = [from; 3];
            places.iter().for_each(|at| (0..3).for_each(|axis| ends[axis] = pick(ends[axis], at[axis])));
            ends
        };
        let (low, high) = (end(f64::min, f64::INFINITY), end(f64::max, f64::NEG_INFINITY));
        if places.is_empty() || low.iter().chain(&high).any(|place| !(place.abs() < 60.0)) {
            return None;
        }
        let origin = low.map(|place| place.floor() as i64);
        let nodes: [usize; 3] = std::array::from_fn(|axis| (high[axis].ceil() as i64 - origin[axis]) as usize + 1);
        let count = nodes.iter().product::<usize>();
        if count > NODES_MOST {
            return None;
        }
        let (mut sums, mut weights) = (vec![0.0; count], vec![SHRINK; count]);
        for (at, residual) in places.iter().zip(residuals) {
            spread(*at, origin, nodes, |node, weight| {
                sums[node] += weight * residual;
                weights[node] += weight;
            });
        }
        let rounded = |(sum, weight): (f64, f64)| (sum / weight * STEPS).round() / STEPS;
        Some(Self { origin, nodes, values: sums.into_iter().zip(weights).map(rounded).collect() })
    }

    /// The log residual to expect at a place; beyond the grid, that of its edge.
    pub fn at(&self, place: [f64; 3]) -> f64 {
        let mut corner = [0; 3];
        let mut part = [0.0; 3];
        for axis in 0..3 {
            let last = (self.nodes[axis] - 1) as f64;
            let along = (place[axis] - self.origin[axis] as f64).clamp(0.0, last);
            corner[axis] = (along as usize).min(self.nodes[axis].saturating_sub(2));
            part[axis] = along - corner[axis] as f64;
        }
        (0..8_usize)
            .map(|pick| {
                let up = |axis: usize| (pick >> axis & 1).min(self.nodes[axis] - 1);
                let weight: f64 =
                    (0..3).map(|axis| if pick >> axis & 1 == 1 { part[axis] } else { 1.0 - part[axis] }).product();
                let index = index(std::array::from_fn(|axis| corner[axis] + up(axis)), self.nodes);
                weight * self.values.get(index).copied().unwrap_or(0.0)
            })
            .sum()
    }
}

fn index(node: [usize; 3], nodes: [usize; 3]) -> usize {
    (node[0] * nodes[1] + node[1]) * nodes[2] + node[2]
}

/// Gives each node near a place its weight.
fn spread(at: [f64; 3], origin: [i64; 3], nodes: [usize; 3], mut give: impl FnMut(usize, f64)) {
    let near: [Vec<(usize, f64)>; 3] = std::array::from_fn(|axis| {
        let middle = at[axis].round() as i64 - origin[axis];
        let within = (middle - REACH..=middle + REACH).filter(|node| (0..nodes[axis] as i64).contains(node));
        let weigh = |node: i64| {
            let far = ((origin[axis] + node) as f64 - at[axis]) / WIDTH;
            (node as usize, (-0.5 * far * far).exp())
        };
        within.map(weigh).collect()
    });
    for &(i, wi) in &near[0] {
        for &(j, wj) in &near[1] {
            for &(k, wk) in &near[2] {
                give(index([i, j, k], nodes), wi * wj * wk);
            }
        }
    }
}
