//! What does training cost?

use serde::Serialize;

use super::Accelerator;
use crate::cost::figure::corner;
use crate::cost::memory::{MIXED_ADAM, State, Zero, fits, training_state};
use crate::cost::scaling::CHINCHILLA_TOKENS_PER_PARAMETER;
use crate::cost::{CostError, Figure, communication, money, pipeline, scaling, training};
use crate::llm::{Layout, Model, ModelError};

/// A training run.
#[derive(Debug, Clone, PartialEq)]
pub struct TrainQuestion {
    /// What is trained.
    pub model: Model,
    /// On what.
    pub accelerator: Accelerator,
    /// How many of it.
    pub gpus: Figure,
    /// Tokens it is trained on.
    pub tokens: Figure,
    /// Model FLOP utilisation: of the accelerator's compute ceiling, whatever that is.
    pub mfu: Figure,
    /// Rent of one GPU for an hour.
    pub price_usd_h: Figure,
    /// How one replica is split.
    pub layout: Layout,
    /// What replicas share.
    pub zero: Zero,
    /// Tokens of one sequence.
    pub context: Figure,
    /// Tokens of one optimizer step, for the pipeline's idle share.
    pub batch_tokens: Option<Figure>,
    /// Chunks of layers interleaved on each stage; 1 for none.
    pub interleaved: u32,
}

/// What it takes.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct TrainAnswer {
    /// The model's parameters.
    pub parameters: Figure,
    /// Those active per token.
    pub parameters_active: Figure,
    /// Operations, `6 N D`.
    pub flop: Figure,
    /// Operations of attention on top, which MFU does not count here; its causal half.
    pub attention_flop: Figure,
    /// What each GPU achieves.
    pub achieved_flop_s: Figure,
    /// How long it takes.
    pub time_s: Figure,
    /// GPU-hours.
    pub gpu_hours: Figure,
    /// Rent.
    pub cost_usd: Figure,
    /// Tokens per parameter.
    pub tokens_per_parameter: Figure,
    /// Tokens at which the compute would be best spent on this size, after Hoffmann et al.
    pub tokens_best: Figure,
    /// Replicas of the model.
    pub replicas: Figure,
    /// Weights, gradients and optimizer state of one GPU. Activations come on top.
    pub state: State,
    /// What one GPU has.
    pub capacity_b: Figure,
    /// Bytes each GPU sends in a step to all-reduce its gradients.
    pub gradients_sent_b: Figure,
    /// Micro-batches of one sequence in a step of a replica.
    pub micro_batches: Option<Figure>,
    /// Share of a step in which a stage waits.
    pub idle_share: Option<Figure>,
}

/// Answers.
///
/// # Errors
/// [`CostError::DoesNotFit`] when the state exceeds the memory, by how much; [`CostError::Model`] for a layout that
/// does not divide the model; [`CostError::Zero`] and [`CostError::AboveOne`] for what cannot be.
pub fn train(question: &TrainQuestion) -> Result<TrainAnswer, CostError> {
    let TrainQuestion { model, accelerator, gpus, tokens, layout, .. } = question;
    model.check(*layout)?;
    if gpus.low() < f64::from(layout.gpus()) {
        let must = format!("at most the {} GPUs there are", gpus.low());
        return Err(ModelError::Number { what: "GPUs of one replica", value: layout.gpus().into(), must }.into());
    }
    let weights = model.weights();
    let (parameters, active) = (Figure::exact(weights.total())?, Figure::exact(weights.active())?);
    let flop = training::flop(active, *tokens)?;
    let time_s = training::time_s(flop, *gpus, accelerator.roofline.compute_flop_s, question.mfu)?;
    // Without the GPUs, whose number cancels: an interval of it must not widen what does not depend on it.
    let achieved_flop_s = corner([accelerator.roofline.compute_flop_s, question.mfu], |[peak, mfu]| peak * mfu)?;
    let gpu_seconds = training::gpu_seconds(flop, achieved_flop_s)?;
    let replicas = pipeline::replicas(*gpus, layout.gpus())?;
    let state = training_state(parameters, layout.gpus(), replicas, question.zero, MIXED_ADAM)?;
    fits("training state", state.total_b, accelerator.capacity_b)?;
    let micro_batches =
        question.batch_tokens.map(|batch| pipeline::micro_batches(batch, question.context, replicas)).transpose()?;
    let idle = |micro_batches| pipeline::idle_share(layout.pipeline(), micro_batches, question.interleaved);
    let gradients = Figure::exact(weights.total() * MIXED_ADAM.gradients / f64::from(layout.gpus()))?;
    Ok(TrainAnswer {
        parameters,
        parameters_active: active,
        flop,
        attention_flop: training::attention_flop(
            model.layers,
            model.attention_width(),
            question.context,
            *tokens,
            true,
        )?,
        achieved_flop_s,
        time_s,
        gpu_hours: gpu_seconds.scaled(1.0 / money::HOUR_S)?,
        cost_usd: money::rent_usd(1.into(), gpu_seconds, question.price_usd_h)?,
        tokens_per_parameter: scaling::tokens_per_parameter(*tokens, parameters)?,
        tokens_best: parameters.scaled(CHINCHILLA_TOKENS_PER_PARAMETER)?,
        replicas,
        state,
        capacity_b: accelerator.capacity_b,
        gradients_sent_b: communication::all_reduce_bytes(gradients, replicas)?,
        micro_batches,
        idle_share: micro_batches.map(idle).transpose()?,
    })
}
