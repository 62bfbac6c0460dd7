//! Users to tokens, tokens to GPUs.
//!
//! Source: the derivation of gpt35-sizing, with the utilisation left open.

use super::CostError;
use super::figure::{Figure, corner, positive, share};
use super::training::{DAY_S, FLOP_PER_PARAMETER_SERVED};

/// Tokens of a day: `users x characters each x tokens per character`.
///
/// # Errors
/// [`CostError::Invalid`] beyond the range of a double.
pub fn tokens_per_day(
    users: Figure,
    characters_each: Figure,
    tokens_per_character: Figure,
) -> Result<Figure, CostError> {
    corner([users, characters_each, tokens_per_character], |[users, each, tokens]| users * each * tokens)
}

/// Ceiling that a fleet must have to serve `tokens_per_day` evenly, in FLOP/s:
/// `tokens/s x 2N / utilisation`.
///
/// # Errors
/// [`CostError::Zero`] and [`CostError::AboveOne`] for a utilisation that is no share.
pub fn flop_s(tokens_per_day: Figure, parameters: Figure, utilisation: Figure) -> Result<Figure, CostError> {
    let inputs = [tokens_per_day, parameters, share("utilisation", utilisation)?];
    corner(inputs, |[tokens, n, utilisation]| tokens * FLOP_PER_PARAMETER_SERVED * n / (utilisation * DAY_S))
}

/// GPUs for a fleet's ceiling of `flop_s` with `peak_factor` times the mean at the busiest:
/// `peak factor x FLOP/s / peak`. Not rounded.
///
/// # Errors
/// [`CostError::Zero`] for a peak of zero.
pub fn gpus(flop_s: Figure, peak_factor: Figure, peak_flop_s: Figure) -> Result<Figure, CostError> {
    let inputs = [flop_s, peak_factor, positive("peak FLOP/s", peak_flop_s)?];
    corner(inputs, |[flop, factor, peak]| factor * flop / peak)
}

/// GPUs for `tokens_per_day` where one serves `gpu_tokens_s`: what a measured decode rate asks for.
///
/// # Errors
/// [`CostError::Zero`] for a GPU that serves nothing.
pub fn gpus_at_rate(tokens_per_day: Figure, peak_factor: Figure, gpu_tokens_s: Figure) -> Result<Figure, CostError> {
    let inputs = [tokens_per_day, peak_factor, positive("tokens per second of a GPU", gpu_tokens_s)?];
    corner(inputs, |[tokens, factor, rate]| factor * tokens / (DAY_S * rate))
}

/// Utilisation that a stated number of GPUs implies: `peak factor x tokens/s x 2N / (GPUs x peak)`.
///
/// # Errors
/// [`CostError::Zero`] without GPUs or peak.
pub fn implied_utilisation(
    tokens_per_day: Figure,
    parameters: Figure,
    peak_factor: Figure,
    gpus: Figure,
    peak_flop_s: Figure,
) -> Result<Figure, CostError> {
    let inputs =
        [tokens_per_day, parameters, peak_factor, positive("GPUs", gpus)?, positive("peak FLOP/s", peak_flop_s)?];
    corner(inputs, |[tokens, n, factor, gpus, peak]| {
        factor * tokens * FLOP_PER_PARAMETER_SERVED * n / (DAY_S * gpus * peak)
    })
}

/// Words a minute at a rate of tokens: `tokens/s x words per token x 60`.
///
/// # Errors
/// [`CostError::Invalid`] beyond the range of a double.
pub fn words_per_minute(tok_s: Figure, words_per_token: Figure) -> Result<Figure, CostError> {
    corner([tok_s, words_per_token], |[rate, words]| rate * words * 60.0)
}

/// Days until `tokens_per_day` add up to `tokens`.
///
/// # Errors
/// [`CostError::Zero`] without demand.
pub fn days_to_serve(tokens: Figure, tokens_per_day: Figure) -> Result<Figure, CostError> {
    corner([tokens, positive("tokens per day", tokens_per_day)?], |[tokens, day]| tokens / day)
}
