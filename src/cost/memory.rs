//! What one GPU must hold: training state under ZeRO, weights and KV cache when serving.
//!
//! Sources: Rajbhandari et al., "ZeRO" (arXiv 1910.02054, sections 3 and 5) for the state and its stages;
//! Shazeer (arXiv 1911.02150) for the KV cache with fewer heads.

use serde::Serialize;

use super::CostError;
use super::figure::{Figure, corner, corners, positive, share};
use crate::llm::{KvShape, Layout, Weights};

/// What data-parallel replicas share among themselves instead of each keeping its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Zero {
    /// Nothing: stage 0, plain data parallelism.
    Nothing,
    /// Optimizer state: stage 1.
    Optimizer,
    /// Optimizer state and gradients: stage 2.
    Gradients,
    /// Weights too: stage 3, fully sharded data parallelism.
    Weights,
}

/// Bytes of training state per parameter.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct StateBytes {
    /// Weights that the forward pass reads.
    pub weights: f64,
    /// Gradients.
    pub gradients: f64,
    /// Optimizer: master weights and moments.
    pub optimizer: f64,
}

/// Mixed precision with Adam: FP16 weights and gradients; FP32 master weights, momentum and variance.
pub const MIXED_ADAM: StateBytes = StateBytes { weights: 2.0, gradients: 2.0, optimizer: 12.0 };

/// Training state of one GPU, in bytes. Activations come on top.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct State {
    /// Weights.
    pub weights_b: Figure,
    /// Gradients.
    pub gradients_b: Figure,
    /// Optimizer state.
    pub optimizer_b: Figure,
    /// All three.
    pub total_b: Figure,
}

/// Training state of one GPU of `gpus` that share a replica, one of `replicas`:
/// `N/gpus x (weights + gradients + optimizer)`, each divided by the replicas where ZeRO shares it.
///
/// # Errors
/// [`CostError::Zero`] without GPUs or replicas.
pub fn training_state(
    parameters: Figure,
    gpus: u32,
    replicas: Figure,
    zero: Zero,
    bytes: StateBytes,
) -> Result<State, CostError> {
    let inputs = [parameters, positive("replicas", replicas)?, positive("GPUs per replica", gpus.into())?];
    let state = corners(inputs, |[parameters, replicas, gpus]| {
        let shared = |from: Zero| if zero >= from { replicas.max(1.0) } else { 1.0 };
        let each = parameters / gpus;
        let weights = each * bytes.weights / shared(Zero::Weights);
        let gradients = each * bytes.gradients / shared(Zero::Gradients);
        let optimizer = each * bytes.optimizer / shared(Zero::Optimizer);
        Ok([weights, gradients, optimizer, weights + gradients + optimizer])
    })?;
    let [weights_b, gradients_b, optimizer_b, total_b] = state;
    Ok(State { weights_b, gradients_b, optimizer_b, total_b })
}

/// Fewest pipeline stages whose GPUs, `tensor` each, hold `bytes`: `bytes / (tensor x capacity)`, rounded up.
///
/// # Errors
/// [`CostError::Zero`] without ranks or capacity.
pub fn least_stages(bytes: Figure, tensor: u32, capacity_b: Figure) -> Result<Figure, CostError> {
    least_gpus(bytes, corner([positive("tensor ranks", tensor.into())?, capacity_b], |[ranks, each]| ranks * each)?)
}

/// Fewest GPUs of `capacity_b` that hold `bytes`, rounded up.
///
/// # Errors
/// [`CostError::Zero`] for no capacity.
pub fn least_gpus(bytes: Figure, capacity_b: Figure) -> Result<Figure, CostError> {
    corner([bytes, positive("GPU memory", capacity_b)?], |[bytes, each]| (bytes / each).ceil())
}

/// Activations alive at once while serving, in bytes: of one layer `tokens x 10 hidden x bytes` (input, query,
/// key, value, attention's result, the MLP's four-fold inner layer and its result), and, where attention is
/// not fused, `heads x tokens x context` scores.
///
/// # Errors
/// [`CostError::Invalid`] beyond the range of a double.
pub fn live_activations_b(
    tokens: Figure,
    context: Figure,
    hidden: u32,
    heads: u32,
    bytes_per_value: f64,
) -> Result<Figure, CostError> {
    let (rows, scores) = (10.0 * f64::from(hidden) * bytes_per_value, f64::from(heads) * bytes_per_value);
    corner([tokens, context], |[tokens, context]| tokens * rows + scores * tokens * context)
}

/// Bytes of weights on one GPU of a layout: every expert divided among the expert ranks, the rest not.
pub fn weights_b(weights: &Weights, bytes_per_parameter: f64, layout: Layout) -> f64 {
    let ranks = f64::from(layout.tensor()) * f64::from(layout.pipeline());
    let experts = weights.total() - weights.shared;
    (weights.shared + experts / f64::from(layout.expert())) * bytes_per_parameter / ranks
}

/// What is left on a GPU beside the weights, and the tokens whose keys and values fit there.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Room {
    /// Bytes of weights on one GPU.
    pub weights_b: Figure,
    /// Bytes left for the KV cache on one GPU.
    pub free_b: Figure,
    /// Bytes of one cached token on one GPU.
    pub kv_token_b: Figure,
    /// Tokens that the whole replica can keep.
    pub tokens: Figure,
}

impl Room {
    /// Sequences of an average `context` that fit: `tokens / context`. Not rounded.
    ///
    /// # Errors
    /// [`CostError::Zero`] for a context of zero.
    pub fn sequences(&self, context: Figure) -> Result<Figure, CostError> {
        corner([self.tokens, positive("context", context)?], |[tokens, context]| tokens / context)
    }

    /// Average context that `sequences` can have.
    ///
    /// # Errors
    /// [`CostError::Zero`] without sequences.
    pub fn context(&self, sequences: Figure) -> Result<Figure, CostError> {
        corner([self.tokens, positive("batch", sequences)?], |[tokens, sequences]| tokens / sequences)
    }
}

/// The room for a KV cache on GPUs with `capacity_b` usable bytes each: `capacity - weights`, over the bytes
/// of a token. Every expert rank keeps tokens of its own.
///
/// # Errors
/// [`CostError::DoesNotFit`] when the weights alone exceed the capacity, by how much;
/// [`CostError::Model`] for a layout that does not divide the model.
pub fn room(
    weights: &Weights,
    bytes_per_parameter: f64,
    kv: &KvShape,
    layout: Layout,
    capacity_b: Figure,
) -> Result<Room, CostError> {
    let held = weights_b(weights, bytes_per_parameter, layout);
    fits("the weights' share", Figure::exact(held)?, capacity_b)?;
    room_beside(held, kv, layout, capacity_b)
}

/// The room for a KV cache beside `held` bytes of weights on every GPU: the fullest one's, where they are not alike.
///
/// # Errors
/// As [`room`], but for weights that exceed the capacity, which is then [`CostError::Invalid`].
pub fn room_beside(held: f64, kv: &KvShape, layout: Layout, capacity_b: Figure) -> Result<Room, CostError> {
    let token = kv.bytes_per_token_per_gpu(layout)?;
    let kv_token_b = positive("KV bytes per token", Figure::exact(token)?)?;
    let own = f64::from(layout.expert());
    let [free_b, tokens] = corners([capacity_b], |[capacity]| {
        let free = capacity - held;
        Ok([free, free / token * own])
    })?;
    Ok(Room { weights_b: Figure::exact(held)?, free_b, kv_token_b, tokens })
}

/// Fails where `needs_b` exceeds `has_b` at their values, saying by how much.
///
/// # Errors
/// [`CostError::DoesNotFit`].
pub fn fits(what: &'static str, needs_b: Figure, has_b: Figure) -> Result<(), CostError> {
    let (needs_b, has_b) = (needs_b.value(), has_b.value());
    if needs_b <= has_b { Ok(()) } else { Err(CostError::DoesNotFit { what, needs_b, has_b }) }
}

/// How many times more tokens fit beside weights `shrink` times smaller: `(M - W/shrink) / (M - W)`, with `W`
/// as a share of the memory. With memory full, throughput grows by as much.
///
/// # Errors
/// [`CostError::AboveOne`] for weights that do not fit, [`CostError::Zero`] for ones that leave no room.
pub fn room_gain(weights_share: Figure, shrink: Figure) -> Result<Figure, CostError> {
    share("weights over memory", weights_share)?;
    positive("free memory", corner([weights_share], |[w]| 1.0 - w)?)?;
    corner([weights_share, positive("shrink factor", shrink)?], |[w, shrink]| (1.0 - w / shrink) / (1.0 - w))
}

/// Share of memory that weights must fill for [`room_gain`] to reach `gain`: `(g - 1) / (g - 1/shrink)`.
///
/// # Errors
/// [`CostError::Zero`] for a shrink factor of zero; [`CostError::Invalid`] for a gain below 1.
pub fn share_for_room_gain(gain: Figure, shrink: Figure) -> Result<Figure, CostError> {
    let inputs = [gain, positive("shrink factor", shrink)?];
    corner(inputs, |[gain, shrink]| (gain - 1.0) / (gain - 1.0 / shrink))
}
