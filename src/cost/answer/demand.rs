//! How many GPUs does a demand take?

use serde::Serialize;

use super::Accelerator;
use crate::cost::figure::positive;
use crate::cost::training::DAY_S;
use crate::cost::{CostError, Figure, demand as formulas, money};
use crate::llm::Model;

/// A demand for tokens.
#[derive(Debug, Clone, PartialEq)]
pub struct DemandQuestion {
    /// What serves it.
    pub model: Model,
    /// On what.
    pub accelerator: Accelerator,
    /// Users of a day.
    pub users: Figure,
    /// Tokens each of them takes a day.
    pub tokens_each: Figure,
    /// The busiest moment over the mean.
    pub peak_factor: Figure,
    /// Share of the compute ceiling that serving reaches. Decoding reaches much less than training.
    pub utilisation: Figure,
    /// Rent of one GPU for an hour.
    pub price_usd_h: Figure,
}

/// What it takes.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct DemandAnswer {
    /// Tokens of a day.
    pub tokens_per_day: Figure,
    /// Tokens per second, on average.
    pub mean_tok_s: Figure,
    /// Ceiling the fleet needs for the average.
    pub mean_flop_s: Figure,
    /// GPUs for the busiest moment, not rounded.
    pub gpus: Figure,
    /// Rent of a day.
    pub usd_per_day: Figure,
    /// Cost of 1000 tokens, idle hours paid.
    pub usd_per_1000_tokens: Figure,
}

/// Answers.
///
/// # Errors
/// [`CostError::Zero`] without users, tokens, a price or a ceiling; [`CostError::AboveOne`] for a utilisation above 1.
pub fn demand(question: &DemandQuestion) -> Result<DemandAnswer, CostError> {
    let active = Figure::exact(question.model.weights().active())?;
    for (what, count) in [("users", question.users), ("tokens of a user", question.tokens_each)] {
        positive(what, count)?;
    }
    let tokens_per_day = formulas::tokens_per_day(question.users, question.tokens_each, 1.into())?;
    let mean_flop_s = formulas::flop_s(tokens_per_day, active, question.utilisation)?;
    let gpus = formulas::gpus(mean_flop_s, question.peak_factor, question.accelerator.roofline.compute_flop_s)?;
    // Of one token a second: an uncertain number of users makes no token dearer.
    let one = formulas::flop_s(Figure::exact(DAY_S)?, active, question.utilisation)?;
    let one = formulas::gpus(one, question.peak_factor, question.accelerator.roofline.compute_flop_s)?;
    Ok(DemandAnswer {
        tokens_per_day,
        mean_tok_s: tokens_per_day.scaled(1.0 / DAY_S)?,
        mean_flop_s,
        gpus,
        usd_per_day: money::rent_usd(gpus, Figure::exact(DAY_S)?, question.price_usd_h)?,
        usd_per_1000_tokens: money::usd_per_1000_tokens(one, question.price_usd_h, 1.into())?,
    })
}
