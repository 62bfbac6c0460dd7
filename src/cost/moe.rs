//! Mixtures of experts: which experts a batch reads, and how many tokens each one sees.
//!
//! Source: elementary probability; that expected distinct experts, not the routed ones nor all of them,
//! fit measured MoE layers is the finding of fits to published kernel measurements (median error 4 to 10 %).

use std::collections::BTreeMap;

use serde::Serialize;

use super::CostError;
use super::figure::{Figure, corner, positive};
use crate::llm::Weights;

/// How tokens choose experts.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Routing {
    /// Each token picks its experts evenly at random, independently of every other.
    Uniform,
    /// Some experts are likelier than others: the chance of the i-th falls as `i^-skew`. A skew of 0 is uniform.
    Skewed {
        /// The exponent.
        skew: f64,
    },
    /// Every expert is read in every step: the bound for large batches.
    EveryExpert,
}

/// Distinct experts that `tokens` reach: `E (1 - (1 - k/E)^b)` under uniform routing, and `sum of 1 - (1 - q_i)^b` under
/// skewed, with `q_i = min(1, k i^-skew / sum of j^-skew)`.
///
/// # Errors
/// [`CostError::Zero`] without experts or routed experts; [`CostError::AboveOne`] with more routed than there are.
pub fn experts_read(experts: u32, routed: u32, tokens: Figure, routing: Routing) -> Result<Figure, CostError> {
    let share = routed_share(experts, routed)?;
    corner([tokens], |[tokens]| coverage(experts, share, tokens, routing))
}

/// Parameters that a step over `tokens` reads: the shared ones and the experts reached.
///
/// # Errors
/// As [`experts_read`].
pub fn parameters_read(weights: &Weights, tokens: Figure, routing: Routing) -> Result<Figure, CostError> {
    check(weights)?;
    corner([tokens], |[tokens]| touched(weights, tokens, routing))
}

/// Tokens the average expert sees: `b k / E`.
///
/// # Errors
/// As [`experts_read`].
pub fn tokens_per_expert(experts: u32, routed: u32, tokens: Figure) -> Result<Figure, CostError> {
    tokens.scaled(routed_share(experts, routed)?)
}

/// Operations per byte of weights read: `2 b x active / (read x bytes)`. A dense model's is `2 b / bytes`.
///
/// # Errors
/// As [`experts_read`], and [`CostError::Zero`] without tokens.
pub fn intensity_flop_b(
    weights: &Weights,
    tokens: Figure,
    bytes_per_parameter: f64,
    routing: Routing,
) -> Result<Figure, CostError> {
    check(weights)?;
    let tokens = positive("batch", tokens)?;
    corner([tokens], |[b]| 2.0 * b * weights.active() / (touched(weights, b, routing) * bytes_per_parameter))
}

/// [`parameters_read`] of weights known to be sound.
pub(super) fn touched(weights: &Weights, tokens: f64, routing: Routing) -> f64 {
    let experts = weights.experts.map_or(0.0, |experts| {
        let share = f64::from(experts.routed) / f64::from(experts.count);
        experts.each * coverage(experts.count, share, tokens, routing)
    });
    weights.shared + experts
}

/// Fails for weights that no step could read.
pub(super) fn check(weights: &Weights) -> Result<(), CostError> {
    if let Some(experts) = weights.experts {
        routed_share(experts.count, experts.routed)?;
    }
    positive("parameters", Figure::exact(weights.total())?).map(|_| ())
}

fn routed_share(experts: u32, routed: u32) -> Result<f64, CostError> {
    positive("experts", experts.into())?;
    positive("routed experts", routed.into())?;
    match f64::from(routed) / f64::from(experts) {
        share if share <= 1.0 => Ok(share),
        value => Err(CostError::AboveOne { what: "routed experts over experts", value }),
    }
}

fn coverage(experts: u32, routed_share: f64, tokens: f64, routing: Routing) -> f64 {
    let all = f64::from(experts);
    let met = |chance: f64| 1.0 - (1.0 - chance).powf(tokens);
    match routing {
        Routing::Uniform => all * met(routed_share),
        Routing::EveryExpert => all,
        Routing::Skewed { skew } => {
            let likeness = |expert: u32| f64::from(expert).powf(-skew);
            let sum: f64 = (1..=experts).map(likeness).sum();
            (1..=experts).map(|expert| met((routed_share * all * likeness(expert) / sum).min(1.0))).sum()
        }
    }
}

/// How the load of a layer's experts is spread under uniform routing. Exact.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Load {
    /// Probability that the busiest expert sees exactly this many tokens, from 0 up to the batch.
    pub busiest: Vec<f64>,
    /// Expected tokens of the busiest expert.
    pub busiest_mean: f64,
    /// Expected share of experts that see none.
    pub idle_share: f64,
    /// Probability that some expert sees the whole batch.
    pub all_on_one: f64,
}

impl Load {
    /// Probability that the busiest expert sees at least `tokens`.
    pub fn at_least(&self, tokens: usize) -> f64 {
        self.busiest.iter().skip(tokens).sum()
    }
}

/// Most tokens times routed experts that [`load`] works out: the states number the partitions of it.
pub const LOAD_MOST: u32 = 48;

/// The exact spread of `tokens` over `experts`, each token on `routed` distinct experts drawn evenly.
///
/// # Errors
/// As [`experts_read`]; [`CostError::TooLarge`] for more than [`LOAD_MOST`] tokens times routed experts.
pub fn load(experts: u32, routed: u32, tokens: u32) -> Result<Load, CostError> {
    routed_share(experts, routed)?;
    let value = u64::from(tokens) * u64::from(routed);
    if value > u64::from(LOAD_MOST) {
        return Err(CostError::TooLarge { what: "tokens times routed experts", value, most: LOAD_MOST.into() });
    }
    // A state is how many experts have seen 0, 1, 2 … tokens; experts are interchangeable.
    let mut start = vec![0; tokens as usize + 1];
    start[0] = experts;
    let mut states = BTreeMap::from([(start, 1.0)]);
    for _ in 0..tokens {
        let mut next = BTreeMap::new();
        for (state, probability) in &states {
            draw(state, routed, experts, *probability, &mut next);
        }
        states = next;
    }
    let mut busiest = vec![0.0; tokens as usize + 1];
    let mut idle_share = 0.0;
    for (state, probability) in &states {
        busiest[state.iter().rposition(|&count| count > 0).unwrap_or(0)] += probability;
        idle_share += probability * f64::from(state[0]) / f64::from(experts);
    }
    let busiest_mean = busiest.iter().enumerate().map(|(tokens, p)| tokens as f64 * p).sum();
    let all_on_one = busiest.last().copied().unwrap_or(0.0);
    Ok(Load { busiest, busiest_mean, idle_share, all_on_one })
}

/// Adds to `next` every state that one token on `routed` distinct experts can make of `state`.
fn draw(state: &[u32], routed: u32, experts: u32, probability: f64, next: &mut BTreeMap<Vec<u32>, f64>) {
    // Experts of each load are chosen level by level, from the busiest down, so that one just served is
    // not drawn again: the chance of a choice is a product of binomials over the whole.
    fn level(at: usize, left: u32, state: &[u32], made: &mut Vec<u32>, ways: f64, into: &mut dyn FnMut(&[u32], f64)) {
        if left == 0 {
            return into(made, ways);
        }
        // The level of those that have seen none is the last: it takes all that are left.
        let fewest = if at == 0 { left } else { 0 };
        for taken in fewest..=left.min(state[at]) {
            made[at] -= taken;
            made[at + 1] += taken;
            level(at.saturating_sub(1), left - taken, state, made, ways * binomial(state[at], taken), into);
            made[at] += taken;
            made[at + 1] -= taken;
        }
    }
    let all = binomial(experts, routed);
    // The busiest level has no expert yet: it takes those that every token so far has met.
    let top = state.len() - 2;
    let mut made = state.to_vec();
    level(top, routed, state, &mut made, 1.0, &mut |state, ways| {
        *next.entry(state.to_vec()).or_insert(0.0) += probability * ways / all;
    });
}

fn binomial(n: u32, k: u32) -> f64 {
    (0..k).map(|i| f64::from(n - i) / f64::from(i + 1)).product()
}
