//! Speculative decoding: a small model drafts, the large one checks the whole draft in one step.
//!
//! Source: Leviathan et al., "Fast inference from transformers via speculative decoding"
//! (arXiv 2211.17192, equation 1 and theorem 3.8), with the verifying step's own cost kept.

use super::CostError;
use super::figure::{Figure, corner, corners, positive};
use super::serving::{self, Deployment, Load};

/// A draft: how long it is, how often one of its tokens is accepted, and what it costs.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Draft {
    /// Tokens drafted before each check.
    pub length: u32,
    /// Probability that the large model accepts a drafted token, given the ones before it.
    pub acceptance: Figure,
    /// Time of drafting one token over a plain step of the large model.
    pub cost: Figure,
}

/// Tokens gained per check: `(1 - a^(g+1)) / (1 - a)`; `g + 1` when all are accepted.
///
/// # Errors
/// [`CostError::AboveOne`] for an acceptance above 1.
pub fn tokens_per_check(length: u32, acceptance: Figure) -> Result<Figure, CostError> {
    probability(acceptance)?;
    corner([acceptance], |[a]| gained(length, a))
}

/// Probability that a whole draft is accepted: `a^g`.
///
/// # Errors
/// [`CostError::AboveOne`] for an acceptance above 1.
pub fn whole_draft(length: u32, acceptance: Figure) -> Result<Figure, CostError> {
    probability(acceptance)?;
    corner([acceptance], |[a]| a.powf(f64::from(length)))
}

/// Speed with drafting over speed without: `E / (c g + r)`, where `check_ratio` is the checking step's
/// time over a plain step's. 1 is where it neither helps nor hurts.
///
/// # Errors
/// [`CostError::AboveOne`] for an acceptance above 1, [`CostError::Zero`] for a free check.
pub fn speed_up(draft: Draft, check_ratio: Figure) -> Result<Figure, CostError> {
    probability(draft.acceptance)?;
    let ratio = positive("check ratio", check_ratio)?;
    let length = f64::from(draft.length);
    corner([draft.acceptance, draft.cost, ratio], |[a, cost, ratio]| gained(draft.length, a) / (cost * length + ratio))
}

/// The check ratio at which drafting stops to pay: `E - c g`.
///
/// # Errors
/// [`CostError::AboveOne`] for an acceptance above 1; [`CostError::Invalid`] where drafting costs more than it gains.
pub fn break_even_check_ratio(draft: Draft) -> Result<Figure, CostError> {
    probability(draft.acceptance)?;
    let length = f64::from(draft.length);
    corner([draft.acceptance, draft.cost], |[a, cost]| gained(draft.length, a) - cost * length)
}

/// Time of a checking step over a plain one: linear layers and experts meet `batch x (g+1)` tokens, while
/// the KV cache is read once per sequence.
///
/// # Errors
/// As [`serving::decode`].
pub fn check_ratio(deployment: &Deployment, load: Load, length: u32) -> Result<Figure, CostError> {
    serving::step_ratio(deployment, load, f64::from(length) + 1.0)
}

/// Batches at which drafting pays, from the first to the last of each run of them, looked for from 1 to `most`: at
/// the figures' values, for sequences with `context` tokens that meet a layer together.
///
/// A dense model has one run that starts at 1 and ends in the compute-bound range. A mixture of experts can start
/// later, since the draft's tokens wake experts that a single token does not.
///
/// # Errors
/// As [`check_ratio`] and [`speed_up`].
pub fn batches_that_pay(
    deployment: &Deployment,
    context: Figure,
    draft: Draft,
    most: u32,
) -> Result<Vec<(u32, u32)>, CostError> {
    let mut runs: Vec<(u32, u32)> = Vec::new();
    for batch in 1..=most {
        let load = Load { micro_batches: Some(1), ..Load::new(batch.into(), context) };
        let ratio = check_ratio(deployment, load, draft.length)?;
        if speed_up(draft, ratio)?.value() <= 1.0 {
            continue;
        }
        match runs.last_mut() {
            Some((_, last)) if *last + 1 == batch => *last = batch,
            _ => runs.push((batch, batch)),
        }
    }
    Ok(runs)
}

/// The length, up to `longest`, with the highest [`speed_up`], for a check that costs as much as a plain
/// step whatever its length (memory-bound, dense). The first of equals.
///
/// # Errors
/// As [`speed_up`].
pub fn best_length(acceptance: Figure, cost: Figure, check_ratio: Figure, longest: u32) -> Result<u32, CostError> {
    let mut best = (0, 1.0);
    for length in 1..=longest {
        let speed = speed_up(Draft { length, acceptance, cost }, check_ratio)?.value();
        if speed > best.1 {
            best = (length, speed);
        }
    }
    Ok(best.0)
}

/// Bytes of weights a checking step reads over those of a plain one, for a mixture of experts.
///
/// # Errors
/// As [`super::moe::parameters_read`], and [`CostError::Zero`] without a batch.
pub fn bytes_ratio(
    weights: &crate::llm::Weights,
    batch: Figure,
    length: u32,
    routing: super::moe::Routing,
) -> Result<Figure, CostError> {
    super::moe::check(weights)?;
    let queries = f64::from(length) + 1.0;
    let read = |tokens| super::moe::touched(weights, tokens, routing);
    corners([positive("batch", batch)?], |[b]| Ok([read(b * queries) / read(b)])).map(|[ratio]| ratio)
}

fn probability(acceptance: Figure) -> Result<(), CostError> {
    match acceptance.high() {
        high if high <= 1.0 => Ok(()),
        value => Err(CostError::AboveOne { what: "acceptance", value }),
    }
}

/// The geometric sum, added up: exact at an acceptance of 1 too, where the closed form is 0/0.
fn gained(length: u32, acceptance: f64) -> f64 {
    (0..length).fold(1.0, |sum, _| sum * acceptance + 1.0)
}
