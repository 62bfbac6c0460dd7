//! Serving: what one decoded token costs in time, through a pipeline of tensor-parallel stages.
//!
//! Sources: Pope et al. (arXiv 2211.05102) for decode bound by weights and KV cache; the pipeline as
//! gpt4-leak describes it: the sequences in flight are split into as many micro-batches as stages, each
//! stage serves one at a time, and a token passes every stage.

use serde::Serialize;

use super::figure::{Figure, corner, corners, positive};
use super::memory::{self, Room};
use super::moe::{self, Routing};
use super::training::FLOP_PER_PARAMETER_SERVED;
use super::{CostError, Roofline, money, solve};
use crate::llm::{KvShape, Layout, Weights};

/// A model on GPUs.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Deployment {
    /// The model's parameters.
    pub weights: Weights,
    /// Bytes of one parameter as stored: 2 for FP16, 1 for FP8 or int8, 4.125/8 for int4 with scales.
    pub bytes_per_parameter: f64,
    /// Its KV cache.
    pub kv: KvShape,
    /// How it is split.
    pub layout: Layout,
    /// How its tokens choose experts, if it has any.
    pub routing: Routing,
    /// The ceilings of one GPU.
    pub roofline: Roofline,
    /// Heads times head size, to count attention's own work; 0 leaves it out, as the documents do.
    pub attention_width: u32,
    /// Time each stage takes whatever it serves (launches, all-reduces); 0 on paper.
    pub overhead_s: Figure,
}

/// What is being served.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Load {
    /// Sequences in flight in the whole replica.
    pub sequences: Figure,
    /// Their average context, in tokens.
    pub context: Figure,
    /// Micro-batches they are split into; `None` for one per stage. One is all sequences in one pass.
    pub micro_batches: Option<u32>,
}

impl Load {
    /// Sequences of an average context, one micro-batch per stage.
    pub fn new(sequences: Figure, context: Figure) -> Self {
        Self { sequences, context, micro_batches: None }
    }
}

/// Which ceiling a step runs into.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Bound {
    /// Reading weights and KV cache takes longer.
    Memory,
    /// Computing takes longer.
    Compute,
}

/// What a deployment achieves under a load.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Served {
    /// Sequences that meet a layer together.
    pub micro_batch: Figure,
    /// Parameters that one micro-batch reads, over all stages.
    pub parameters_read: Figure,
    /// Time of one stage over one micro-batch.
    pub stage_time_s: Figure,
    /// Tokens per second of the whole replica.
    pub throughput_tok_s: Figure,
    /// Time between two tokens of one sequence.
    pub token_latency_s: Figure,
    /// Tokens per second that one user sees.
    pub user_tok_s: Figure,
    /// Useful operations (2 per active parameter and token) over the GPUs' ceilings.
    pub utilisation: Figure,
    /// Which ceiling binds.
    pub bound: Bound,
}

/// Work of one stage on one GPU over one micro-batch.
pub(super) struct Stage {
    pub(super) micro_batch: f64,
    pub(super) weights_b: f64,
    pub(super) kv_b: f64,
    /// Operations on the weights.
    pub(super) weights_flop: f64,
    parameters_read: f64,
    bytes: f64,
    flop: f64,
}

impl Deployment {
    fn check(&self) -> Result<(), CostError> {
        moe::check(&self.weights)?;
        positive("bytes per parameter", Figure::exact(self.bytes_per_parameter)?)?;
        positive("memory bandwidth", self.roofline.bandwidth_b_s)?;
        positive("compute ceiling", self.roofline.compute_flop_s)?;
        Ok(())
    }

    /// GPUs of the replica.
    pub fn gpus(&self) -> Figure {
        self.layout.gpus().into()
    }

    /// Room for its KV cache on GPUs with `capacity_b` usable bytes each.
    ///
    /// # Errors
    /// As [`memory::room`].
    pub fn room(&self, capacity_b: Figure) -> Result<Room, CostError> {
        memory::room(&self.weights, self.bytes_per_parameter, &self.kv, self.layout, capacity_b)
    }

    /// Work of a stage for `queries` tokens of each sequence of a micro-batch.
    pub(super) fn stage(
        &self,
        sequences: f64,
        context: f64,
        micro_batches: f64,
        queries: f64,
    ) -> Result<Stage, CostError> {
        let (ranks, expert) =
            (f64::from(self.layout.tensor()) * f64::from(self.layout.pipeline()), f64::from(self.layout.expert()));
        // A micro-batch is at least one sequence: with fewer sequences than micro-batches some stages idle.
        let micro_batch = (sequences / micro_batches).max(1.0);
        let tokens = micro_batch * queries;
        let parameters_read = moe::touched(&self.weights, tokens, self.routing);
        let experts = parameters_read - self.weights.shared;
        let weights = (self.weights.shared + experts / expert) * self.bytes_per_parameter / ranks;
        let kv = micro_batch / expert * context * self.kv.bytes_per_token_per_gpu(self.layout)?;
        let attention = attention_flop(self.kv.layers, self.attention_width, context);
        let dense = FLOP_PER_PARAMETER_SERVED * self.weights.active();
        let shared = tokens / (ranks * expert);
        Ok(Stage {
            micro_batch,
            weights_b: weights,
            kv_b: kv,
            weights_flop: dense * shared,
            parameters_read,
            bytes: weights + kv,
            flop: (dense + attention) * shared,
        })
    }

    /// Time of [`Self::stage`] at given ceilings.
    fn stage_time(&self, stage: &Stage, bandwidth: f64, compute: f64, overhead: f64) -> f64 {
        (stage.bytes / bandwidth).max(stage.flop / compute) + overhead
    }

    pub(super) fn micro_batches(&self, load: Load) -> f64 {
        f64::from(load.micro_batches.unwrap_or(self.layout.pipeline()))
    }
}

/// Decoding under a load: `stage time = max(bytes / bandwidth, FLOP / compute) + overhead`, where the bytes of
/// a GPU are its weights read and its KV cache of the micro-batch. One token of each sequence takes
/// `max(micro-batches, stages)` stage times.
///
/// # Errors
/// [`CostError::Zero`] for a load or ceiling of zero; [`CostError::Model`] for a layout that does not divide the
/// model; [`CostError::AboveOne`] for more routed experts than there are.
pub fn decode(deployment: &Deployment, load: Load) -> Result<Served, CostError> {
    deployment.check()?;
    let m = deployment.micro_batches(load);
    positive("micro-batches", Figure::exact(m)?)?;
    let stages = f64::from(deployment.layout.pipeline());
    let gpus = f64::from(deployment.layout.gpus());
    let roofline = &deployment.roofline;
    let inputs = [
        roofline.bandwidth_b_s,
        roofline.compute_flop_s,
        deployment.overhead_s,
        positive("batch", load.sequences)?,
        load.context,
    ];
    let served = corners(inputs, |[bandwidth, compute, overhead, sequences, context]| {
        let stage = deployment.stage(sequences, context, m, 1.0)?;
        let time = deployment.stage_time(&stage, bandwidth, compute, overhead);
        let latency = (sequences / stage.micro_batch).max(stages) * time;
        let throughput = sequences / latency;
        let useful = FLOP_PER_PARAMETER_SERVED * deployment.weights.active() * throughput;
        let utilisation = useful / (gpus * compute);
        Ok([stage.micro_batch, stage.parameters_read, time, throughput, latency, 1.0 / latency, utilisation])
    })?;
    let stage = deployment.stage(load.sequences.value(), load.context.value(), m, 1.0)?;
    let ridge = roofline.compute_flop_s.value() / roofline.bandwidth_b_s.value();
    let bound = if stage.flop > ridge * stage.bytes { Bound::Compute } else { Bound::Memory };
    let [micro_batch, parameters_read, stage_time_s, throughput_tok_s, token_latency_s, user_tok_s, utilisation] =
        served;
    Ok(Served {
        micro_batch,
        parameters_read,
        stage_time_s,
        throughput_tok_s,
        token_latency_s,
        user_tok_s,
        utilisation,
        bound,
    })
}

/// Decoding with memory full: as many sequences of an average `context` as the KV cache has room for.
///
/// # Errors
/// As [`memory::room`] and [`decode`].
pub fn decode_full(deployment: &Deployment, capacity_b: Figure, context: Figure) -> Result<Served, CostError> {
    let sequences = deployment.room(capacity_b)?.sequences(context)?;
    decode(deployment, Load::new(sequences, context))
}

/// USD per 1000 tokens of a deployment under a load.
///
/// # Errors
/// As [`decode`], and [`CostError::Zero`] for a price of zero.
pub fn usd_per_1000_tokens(deployment: &Deployment, load: Load, price_usd_h: Figure) -> Result<Figure, CostError> {
    money::usd_per_1000_tokens(deployment.gpus(), price_usd_h, decode(deployment, load)?.throughput_tok_s)
}

/// The longest average context at which a deployment with memory full costs at most `usd_per_1000`.
///
/// # Errors
/// As [`decode_full`]; [`CostError::Unreachable`] if even a context of one token costs more.
pub fn context_at_cost(
    deployment: &Deployment,
    capacity_b: Figure,
    price_usd_h: Figure,
    usd_per_1000: Figure,
) -> Result<Figure, CostError> {
    let room = deployment.room(capacity_b)?;
    let roofline = deployment.roofline;
    let inputs = [roofline.bandwidth_b_s, roofline.compute_flop_s, room.tokens, price_usd_h, usd_per_1000];
    corners(inputs, |[bandwidth, compute, tokens, price, target]| {
        let roofline = Roofline { bandwidth_b_s: Figure::exact(bandwidth)?, compute_flop_s: Figure::exact(compute)? };
        let deployment = Deployment { roofline, ..*deployment };
        let affordable = |context: f64| -> Result<bool, CostError> {
            let load = Load::new(Figure::exact(tokens / context)?, Figure::exact(context)?);
            Ok(usd_per_1000_tokens(&deployment, load, Figure::exact(price)?)?.value() <= target)
        };
        // One sequence of every cached token is the longest context there can be.
        let context = solve::largest(1.0, tokens, affordable)?;
        Ok([context.ok_or_else(|| CostError::Unreachable {
            what: "average context",
            low: 1.0,
            high: tokens,
            target: format!("{target} USD per 1000 tokens"),
        })?])
    })
    .map(|[context]| context)
}

/// Share of a load's batch at which a token costs `factor` times as much: how far utilisation may fall.
///
/// # Errors
/// As [`decode`]; [`CostError::Unreachable`] for a factor below 1 or one that no batch reaches.
pub fn batch_share_at_cost(deployment: &Deployment, load: Load, factor: Figure) -> Result<Figure, CostError> {
    decode(deployment, load)?;
    let roofline = deployment.roofline;
    let inputs = [roofline.bandwidth_b_s, roofline.compute_flop_s, load.sequences, load.context, factor];
    corners(inputs, |[bandwidth, compute, sequences, context, factor]| {
        let roofline = Roofline { bandwidth_b_s: Figure::exact(bandwidth)?, compute_flop_s: Figure::exact(compute)? };
        let deployment = Deployment { roofline, ..*deployment };
        let rate = |share: f64| -> Result<f64, CostError> {
            let load = Load { sequences: Figure::exact(sequences * share)?, context: Figure::exact(context)?, ..load };
            Ok(decode(&deployment, load)?.throughput_tok_s.value())
        };
        let target = rate(1.0)? / factor;
        let least = 1.0 / sequences.max(1.0);
        let share = solve::largest(least, 1.0, |share| Ok::<_, CostError>(rate(share)? <= target))?;
        Ok([share.ok_or_else(|| CostError::Unreachable {
            what: "share of the batch",
            low: least,
            high: 1.0,
            target: format!("{factor} times the cost"),
        })?])
    })
    .map(|[share]| share)
}

/// Time of a step with `queries` tokens of each sequence over one with a single token: the KV cache is read
/// once per sequence, weights and work follow the tokens.
///
/// # Errors
/// As [`decode`].
pub fn step_ratio(deployment: &Deployment, load: Load, queries: f64) -> Result<Figure, CostError> {
    deployment.check()?;
    let m = deployment.micro_batches(load);
    positive("micro-batches", Figure::exact(m)?)?;
    let roofline = &deployment.roofline;
    let inputs = [
        roofline.bandwidth_b_s,
        roofline.compute_flop_s,
        deployment.overhead_s,
        positive("batch", load.sequences)?,
        load.context,
    ];
    corners(inputs, |[bandwidth, compute, overhead, sequences, context]| {
        let time = |queries| -> Result<f64, CostError> {
            let stage = deployment.stage(sequences, context, m, queries)?;
            Ok(deployment.stage_time(&stage, bandwidth, compute, overhead))
        };
        Ok([time(queries)? / time(1.0)?])
    })
    .map(|[ratio]| ratio)
}

/// Operations of one served token's matrix products, `2 N`, in FLOP.
///
/// # Errors
/// [`CostError::Invalid`] beyond the range of a double.
pub fn flop_per_token(parameters: Figure) -> Result<Figure, CostError> {
    parameters.scaled(FLOP_PER_PARAMETER_SERVED)
}

/// Operations of attention beside `2 N`, in FLOP per decoded token: `4 x layers x context x width`. A causal
/// prefill does half of it on average.
///
/// # Errors
/// [`CostError::Invalid`] beyond the range of a double.
pub fn attention_flop_per_token(layers: u32, width: u32, context: Figure) -> Result<Figure, CostError> {
    corner([context], |[context]| attention_flop(layers, width, context))
}

fn attention_flop(layers: u32, width: u32, context: f64) -> f64 {
    4.0 * f64::from(layers) * f64::from(width) * context
}

/// Tokens per second of one sequence, bound by reading the weights once each: `bandwidth / (N x bytes)`.
///
/// # Errors
/// [`CostError::Zero`] without parameters.
pub fn one_stream_tok_s(
    parameters: Figure,
    bytes_per_parameter: f64,
    bandwidth_b_s: Figure,
) -> Result<Figure, CostError> {
    let held = positive("weights", parameters.scaled(bytes_per_parameter)?)?;
    corner([held, bandwidth_b_s], |[held, bandwidth]| bandwidth / held)
}

/// The largest model that one sequence can read `tok_s` times a second: `bandwidth / (bytes x tokens/s)`.
///
/// # Errors
/// [`CostError::Zero`] for a rate or width of zero.
pub fn largest_at_rate(bandwidth_b_s: Figure, bytes_per_parameter: f64, tok_s: Figure) -> Result<Figure, CostError> {
    let each = positive("bytes per second and parameter", tok_s.scaled(bytes_per_parameter)?)?;
    corner([bandwidth_b_s, each], |[bandwidth, each]| bandwidth / each)
}

/// Computing time over reading time of a step at an intensity: `intensity / ridge`.
///
/// # Errors
/// [`CostError::Zero`] for a ceiling of zero.
pub fn compute_over_read(roofline: &Roofline, intensity_flop_b: Figure) -> Result<Figure, CostError> {
    let ridge = positive("ridge", roofline.ridge_flop_b()?)?;
    corner([intensity_flop_b, ridge], |[intensity, ridge]| intensity / ridge)
}
