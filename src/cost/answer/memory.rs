//! What must a GPU's memory hold?

use serde::Serialize;

use super::Accelerator;
use crate::cost::figure::corner;
use crate::cost::memory::{self as formulas, MIXED_ADAM, State, Zero};
use crate::cost::{CostError, Figure, pipeline};
use crate::llm::{Layout, Model};

/// A model on GPUs.
#[derive(Debug, Clone, PartialEq)]
pub struct MemoryQuestion {
    /// The model.
    pub model: Model,
    /// The GPU.
    pub accelerator: Accelerator,
    /// How one replica is split.
    pub layout: Layout,
    /// Bytes of one parameter when serving.
    pub bytes_per_parameter: f64,
    /// Bytes of one value in the KV cache.
    pub bytes_per_kv_value: f64,
    /// Average tokens of a sequence.
    pub context: Figure,
    /// GPUs of a training run, to share its state among their replicas.
    pub training_gpus: Figure,
}

/// Training state of one GPU under one stage of ZeRO.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct StateUnder {
    /// What replicas share.
    pub zero: Zero,
    /// The state.
    pub state: State,
    /// Whether it fits, before activations.
    pub fits: bool,
}

/// What memory holds.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct MemoryAnswer {
    /// The model's parameters.
    pub parameters: Figure,
    /// Parameters of the rank that has most.
    pub rank_parameters: Figure,
    /// Bytes of weights there when serving.
    pub weights_b: Figure,
    /// What one GPU has.
    pub capacity_b: Figure,
    /// Bytes left beside the weights; `None` where there is none.
    pub free_b: Option<Figure>,
    /// Bytes by which the weights exceed the memory; `None` where they fit.
    pub missing_b: Option<Figure>,
    /// Bytes of one cached token on one GPU.
    pub kv_token_b: Figure,
    /// Bytes of one sequence's cache over all GPUs, copies included.
    pub kv_sequence_b: Figure,
    /// How often each KV head is kept.
    pub kv_copies: f64,
    /// Sequences that fit beside the weights.
    pub sequences: Option<Figure>,
    /// Fewest GPUs whose memory together holds the weights.
    pub least_gpus: Figure,
    /// Training state under each stage of ZeRO.
    pub training: Vec<StateUnder>,
}

/// Answers. What does not fit is part of the answer here.
///
/// # Errors
/// [`CostError::Model`] for a layout that does not divide the model; [`CostError::Zero`] for what must not be.
pub fn memory(question: &MemoryQuestion) -> Result<MemoryAnswer, CostError> {
    let MemoryQuestion { model, layout, bytes_per_parameter, .. } = question;
    let capacity_b = question.accelerator.capacity_b;
    let weights = model.weights();
    let parameters = Figure::exact(weights.total())?;
    let rank_parameters = Figure::exact(model.rank_parameters(*layout)?)?;
    let weights_b = rank_parameters.scaled(*bytes_per_parameter)?;
    let kv = model.kv(question.bytes_per_kv_value);
    let kv_token_b = Figure::exact(kv.bytes_per_token_per_gpu(*layout)?)?;
    let gpus = f64::from(layout.tensor()) * f64::from(layout.pipeline());
    let kept = question.context.value().min(model.window.map_or(f64::INFINITY, f64::from));
    let fits = weights_b.value() <= capacity_b.value();
    let beyond = |larger, smaller| corner([larger, smaller], |[larger, smaller]| f64::max(larger - smaller, 0.0));
    let free_b = fits.then(|| beyond(capacity_b, weights_b)).transpose()?;
    let replicas = pipeline::replicas(question.training_gpus, layout.gpus())?;
    let stages = [Zero::Nothing, Zero::Optimizer, Zero::Gradients, Zero::Weights];
    let training = stages.into_iter().map(|zero| {
        let state = formulas::training_state(parameters, layout.gpus(), replicas, zero, MIXED_ADAM)?;
        Ok(StateUnder { zero, state, fits: formulas::fits("training state", state.total_b, capacity_b).is_ok() })
    });
    Ok(MemoryAnswer {
        parameters,
        rank_parameters,
        weights_b,
        capacity_b,
        free_b,
        missing_b: (!fits).then(|| beyond(weights_b, capacity_b)).transpose()?,
        kv_token_b,
        kv_sequence_b: kv_token_b.scaled(kept * gpus)?,
        kv_copies: kv.copies(*layout)?,
        sequences: free_b
            .map(|free| free.scaled(f64::from(layout.expert()) / (kv_token_b.value() * kept)))
            .transpose()?,
        least_gpus: formulas::least_gpus(parameters.scaled(*bytes_per_parameter)?, capacity_b)?,
        training: training.collect::<Result<_, CostError>>()?,
    })
}
