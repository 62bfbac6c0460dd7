//! Training: operations, time, utilisation.
//!
//! Sources: the 6N-per-token rule is of Kaplan et al. (arXiv 2001.08361, section 2.1), quoted by
//! gpt35-sizing; model FLOP utilisation (MFU) is defined in the PaLM paper (arXiv 2204.02311, appendix B).

use super::CostError;
use super::figure::{Figure, corner, positive, share};

/// Operations per parameter and trained token: 2 forward, 4 backward.
pub const FLOP_PER_PARAMETER_TRAINED: f64 = 6.0;

/// Operations per parameter and served token: one multiply-add.
pub const FLOP_PER_PARAMETER_SERVED: f64 = 2.0;

/// Seconds of a day: training times are told in days.
pub const DAY_S: f64 = 86_400.0;

/// Operations of one petaFLOP/s-day.
pub const PF_DAY_FLOP: f64 = 1e15 * DAY_S;

/// Training operations `6 N D`, in FLOP. `parameters` are those active per token.
///
/// # Errors
/// [`CostError::Invalid`] beyond the range of a double.
pub fn flop(parameters: Figure, tokens: Figure) -> Result<Figure, CostError> {
    corner([parameters, tokens], |[n, d]| FLOP_PER_PARAMETER_TRAINED * n * d)
}

/// Operations of attention that `6 N D` leaves out, in FLOP: `12 x layers x width x context` per token
/// (6 of them if the causal half is skipped). `width` is heads times head size.
///
/// # Errors
/// [`CostError::Invalid`] beyond the range of a double.
pub fn attention_flop(
    layers: u32,
    width: u32,
    context: Figure,
    tokens: Figure,
    causal: bool,
) -> Result<Figure, CostError> {
    let per_pair = if causal { 6.0 } else { 12.0 } * f64::from(layers) * f64::from(width);
    corner([context, tokens], |[context, tokens]| per_pair * context * tokens)
}

/// Time of a run, in seconds: `FLOP / (GPUs x peak x MFU)`.
///
/// # Errors
/// [`CostError::Zero`] without GPUs, peak or utilisation; [`CostError::AboveOne`] for an MFU above 1.
pub fn time_s(flop: Figure, gpus: Figure, peak_flop_s: Figure, mfu: Figure) -> Result<Figure, CostError> {
    let inputs = [flop, positive("GPUs", gpus)?, positive("peak FLOP/s", peak_flop_s)?, share("MFU", mfu)?];
    corner(inputs, |[flop, gpus, peak, mfu]| flop / (gpus * peak * mfu))
}

/// What each GPU achieves, in FLOP/s: `FLOP / (GPUs x time)`.
///
/// # Errors
/// [`CostError::Zero`] without GPUs or time.
pub fn achieved_flop_s(flop: Figure, gpus: Figure, time_s: Figure) -> Result<Figure, CostError> {
    let inputs = [flop, positive("GPUs", gpus)?, positive("time", time_s)?];
    corner(inputs, |[flop, gpus, time]| flop / (gpus * time))
}

/// Model FLOP utilisation, as a share: `FLOP / (GPUs x peak x time)`. Above 1 where a claim cannot be.
///
/// # Errors
/// [`CostError::Zero`] without GPUs, peak or time.
pub fn mfu(flop: Figure, gpus: Figure, peak_flop_s: Figure, time_s: Figure) -> Result<Figure, CostError> {
    let inputs = [flop, positive("GPUs", gpus)?, positive("peak FLOP/s", peak_flop_s)?, positive("time", time_s)?];
    corner(inputs, |[flop, gpus, peak, time]| flop / (gpus * peak * time))
}

/// GPU-seconds of a run at the rate each GPU achieves: `FLOP / rate`.
///
/// # Errors
/// [`CostError::Zero`] for a rate of zero.
pub fn gpu_seconds(flop: Figure, achieved_flop_s: Figure) -> Result<Figure, CostError> {
    corner([flop, positive("achieved FLOP/s", achieved_flop_s)?], |[flop, rate]| flop / rate)
}

/// Tokens trained with `flop` operations: `FLOP / 6N`.
///
/// # Errors
/// [`CostError::Zero`] without parameters.
pub fn tokens(flop: Figure, parameters: Figure) -> Result<Figure, CostError> {
    corner([flop, positive("parameters", parameters)?], |[flop, n]| flop / (FLOP_PER_PARAMETER_TRAINED * n))
}

/// Time of one optimizer step, in seconds: a run's time over its steps, `time x batch tokens / tokens`.
///
/// # Errors
/// [`CostError::Zero`] without tokens.
pub fn step_time_s(time_s: Figure, batch_tokens: Figure, tokens: Figure) -> Result<Figure, CostError> {
    corner([time_s, batch_tokens, positive("tokens", tokens)?], |[time, batch, tokens]| time * batch / tokens)
}
