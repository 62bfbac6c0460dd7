//! A training pipeline: how much of a step its stages wait.
//!
//! Source: Narayanan et al., "Efficient large-scale language model training on GPU clusters using
//! Megatron-LM" (arXiv 2104.04473, section 2.2).

use super::CostError;
use super::figure::{Figure, corner, positive, share};

/// Micro-batches each replica runs in one step: `batch tokens / (tokens per micro-batch x replicas)`,
/// with `GPUs / (tensor x pipeline)` replicas.
///
/// # Errors
/// [`CostError::Zero`] without GPUs, ranks or tokens.
pub fn micro_batches(batch_tokens: Figure, micro_batch_tokens: Figure, replicas: Figure) -> Result<Figure, CostError> {
    let inputs =
        [batch_tokens, positive("tokens per micro-batch", micro_batch_tokens)?, positive("replicas", replicas)?];
    corner(inputs, |[batch, micro, replicas]| batch / (micro * replicas))
}

/// Replicas of a model of `gpus_each` GPUs on `gpus`; a share of one counts.
///
/// # Errors
/// [`CostError::Zero`] for a replica of no GPUs.
pub fn replicas(gpus: Figure, gpus_each: u32) -> Result<Figure, CostError> {
    corner([gpus, positive("GPUs per replica", gpus_each.into())?], |[gpus, each]| gpus / each)
}

/// Share of a step in which a stage has nothing to do: `(p-1) / (v m + p - 1)` with `p` stages, `m`
/// micro-batches and `v` interleaved chunks of layers per stage.
///
/// # Errors
/// [`CostError::Zero`] without stages, chunks or micro-batches.
pub fn idle_share(stages: u32, micro_batches: Figure, interleaved: u32) -> Result<Figure, CostError> {
    positive("pipeline stages", stages.into())?;
    positive("interleaved chunks", interleaved.into())?;
    let (others, chunks) = (f64::from(stages.saturating_sub(1)), f64::from(interleaved));
    corner([positive("micro-batches", micro_batches)?], |[m]| others / (chunks * m + others))
}

/// Utilisation with the pipeline's idle share taken out: `MFU / (1 - idle)`.
///
/// # Errors
/// [`CostError::AboveOne`] for an idle share above 1, [`CostError::Zero`] for one of exactly 1.
pub fn busy_mfu(mfu: Figure, idle: Figure) -> Result<Figure, CostError> {
    if idle.high() > 0.0 {
        share("idle share", Figure::exact(idle.high())?)?;
    }
    let busy = positive("busy share", corner([idle], |[idle]| 1.0 - idle)?)?;
    corner([mfu, busy], |[mfu, busy]| mfu / busy)
}
