//! Decoding by a law fitted to measurements, in place of a datasheet's ceilings.
//!
//! Time of a stage: `per step + per layer x layers + per sequence and layer x both + (tm^p + tc^p)^(1/p) + KV bytes / KV
//! bandwidth`, with `tm` the time of reading the weights and `tc` that of the work on them; and, among tensor ranks, two
//! all-reduces a layer. Where the fit found that some batches and contexts take longer in every model, all of it is that much
//! longer. Uncertainty is pushed through as draws: every draw is one answer.

use serde::Serialize;

use super::figure::{Figure, positive};
use super::moe::Routing;
use super::serving::{Bound, Deployment, Load, Served, Stage, decode};
use super::training::FLOP_PER_PARAMETER_SERVED;
use super::{CostError, communication};
use crate::stats::{Discrepancy, Sorted};

/// The constants of a step of decoding on one GPU, in SI units.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct StepConstants {
    /// Time of a step whatever it does.
    pub per_step_s: f64,
    /// Time of a layer whatever it does.
    pub per_layer_s: f64,
    /// Time of each sequence in each layer.
    pub per_layer_sequence_s: f64,
    /// Rate at which weights are read.
    pub bandwidth_b_s: f64,
    /// Rate of the work on them.
    pub throughput_flop_s: f64,
    /// How the two join: 1 is one after the other, without end the longer of the two.
    pub exponent: f64,
    /// Rate at which keys and values are read.
    pub kv_bandwidth_b_s: f64,
    /// All-reduces among tensor ranks; without them they cost nothing.
    pub all_reduce: Option<AllReduce>,
    /// How unevenly tokens choose experts, in place of the deployment's routing.
    pub skew: Option<f64>,
    /// Natural logarithm of measured over predicted time: 0 in the best estimate, an error seen on held-out cases in a
    /// draw.
    pub error: f64,
}

/// What an all-reduce takes: `latency + per GPU x (GPUs - 2) + ring bytes / bandwidth`.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct AllReduce {
    /// Time of one between two GPUs, whatever its size.
    pub latency_s: f64,
    /// Time each further GPU adds.
    pub per_gpu_s: f64,
    /// Rate of the bytes each GPU sends.
    pub bandwidth_b_s: f64,
}

/// A fitted step: the best estimate, and draws that span its uncertainty.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct StepLaw {
    /// The best estimate.
    pub best: StepConstants,
    /// Draws from what the measurements leave open.
    #[serde(skip)]
    pub draws: Vec<StepConstants>,
    /// What the constants leave over, by the base-2 logarithms of batch and context, where a fit found some.
    #[serde(skip)]
    pub discrepancy: Option<Discrepancy>,
    /// What it rests on, in words.
    pub source: String,
}

impl StepLaw {
    /// By how much steps of these sequences and tokens of context are longer than the constants say.
    fn factor(&self, sequences: f64, context: f64) -> f64 {
        let place = [sequences.max(1.0).log2(), context.max(1.0).log2(), 0.0];
        self.discrepancy.as_ref().map_or(1.0, |field| field.at(place).exp())
    }
}

/// What a stage does, as the constants see it.
struct Work {
    layers: f64,
    sequences: f64,
    weights_b: f64,
    kv_b: f64,
    flop: f64,
    ranks: f64,
    /// Bytes of the activations that are all-reduced.
    reduced_b: f64,
}

impl StepConstants {
    fn time_s(&self, work: &Work) -> f64 {
        let (read, compute) = (work.weights_b / self.bandwidth_b_s, work.flop / self.throughput_flop_s);
        let longer = read.max(compute);
        let joint = match longer > 0.0 {
            true => {
                let power = |time: f64| (time / longer).powf(self.exponent);
                longer * (power(read) + power(compute)).powf(1.0 / self.exponent)
            }
            false => 0.0,
        };
        let reduces = self.all_reduce.filter(|_| work.ranks > 1.0).map_or(0.0, |reduce| {
            let sent = 2.0 * (work.ranks - 1.0) / work.ranks * work.reduced_b;
            let each = reduce.latency_s + reduce.per_gpu_s * (work.ranks - 2.0) + sent / reduce.bandwidth_b_s;
            2.0 * work.layers * each
        });
        let fixed = self.per_step_s + work.layers * (self.per_layer_s + self.per_layer_sequence_s * work.sequences);
        (fixed + joint + work.kv_b / self.kv_bandwidth_b_s + reduces) * self.error.exp()
    }
}

/// Ends of the interval given: 5 % and 95 % of the draws.
const TAIL: f64 = 0.05;

/// [`decode`] by a fitted law. `hidden` is the width that tensor ranks all-reduce, in values of two bytes.
///
/// # Errors
/// As [`decode`].
pub fn decode_fitted(deployment: &Deployment, load: Load, law: &StepLaw, hidden: u32) -> Result<Served, CostError> {
    // Whatever does not depend on the times, and the refusals.
    let served = decode(&routed(deployment, &law.best), load)?;
    let overhead = deployment.overhead_s;
    let times =
        |constants: &StepConstants, sequences: f64, context: f64, overhead: f64| -> Result<[f64; 2], CostError> {
            let deployment = &routed(deployment, constants);
            let micro_batches = deployment.micro_batches(load);
            let stage = deployment.stage(sequences, context, micro_batches, 1.0)?;
            let work = work(deployment, &stage, hidden);
            let time = constants.time_s(&work) * law.factor(work.sequences, context) + overhead;
            let stages = f64::from(deployment.layout.pipeline());
            Ok([time, (sequences / stage.micro_batch).max(stages) * time])
        };
    let best = times(&law.best, load.sequences.value(), load.context.value(), overhead.value())?;
    let throughput = load.sequences.value() / best[1];
    let useful = FLOP_PER_PARAMETER_SERVED * deployment.weights.active();
    let peak = f64::from(deployment.layout.gpus()) * deployment.roofline.compute_flop_s.value();
    // Stage time, latency, throughput: at both ends of the load, over all draws.
    let mut spans = [[best[0]; 2], [best[1]; 2], [throughput; 2]];
    let ends: [fn(Figure) -> f64; 2] = [Figure::low, Figure::high];
    for (sequences_end, context_end) in ends.into_iter().flat_map(|one| ends.map(|other| (one, other))) {
        let sequences = sequences_end(load.sequences);
        let drawn =
            law.draws.iter().map(|draw| times(draw, sequences, context_end(load.context), context_end(overhead)));
        let drawn = drawn.collect::<Result<Vec<_>, _>>()?;
        let columns = [
            drawn.iter().map(|[time, _]| *time).collect::<Vec<_>>(),
            drawn.iter().map(|[_, latency]| *latency).collect(),
            drawn.iter().map(|[_, latency]| sequences / latency).collect(),
        ];
        for (span, column) in spans.iter_mut().zip(columns) {
            if let Some(sorted) = Sorted::new(column) {
                *span = [span[0].min(sorted.quantile(TAIL)), span[1].max(sorted.quantile(1.0 - TAIL))];
            }
        }
    }
    let figure = |value: f64, [low, high]: [f64; 2]| Figure::between(value, low, high);
    let latency = positive("time of a step", figure(best[1], spans[1])?)?;
    let throughput_tok_s = figure(throughput, spans[2])?;
    Ok(Served {
        stage_time_s: figure(best[0], spans[0])?,
        throughput_tok_s,
        token_latency_s: latency,
        user_tok_s: figure(1.0 / best[1], [1.0 / latency.high(), 1.0 / latency.low()])?,
        utilisation: throughput_tok_s.scaled(useful / peak)?,
        bound: bound(deployment, load, &law.best)?,
        ..served
    })
}

/// A deployment whose tokens choose experts as the constants say, where they say it.
fn routed(deployment: &Deployment, constants: &StepConstants) -> Deployment {
    let routing = constants.skew.map_or(deployment.routing, |skew| Routing::Skewed { skew });
    Deployment { routing, ..*deployment }
}

fn work(deployment: &Deployment, stage: &Stage, hidden: u32) -> Work {
    let expert = f64::from(deployment.layout.expert());
    let sequences = stage.micro_batch / expert;
    Work {
        layers: (f64::from(deployment.kv.layers) / f64::from(deployment.layout.pipeline())).ceil(),
        sequences,
        weights_b: stage.weights_b,
        kv_b: stage.kv_b,
        flop: stage.weights_flop,
        ranks: f64::from(deployment.layout.tensor()),
        reduced_b: sequences * f64::from(hidden) * communication::ACTIVATION_B,
    }
}

/// Which takes longer at the law's own rates: reading weights and cache, or the work on the weights.
fn bound(deployment: &Deployment, load: Load, constants: &StepConstants) -> Result<Bound, CostError> {
    let (sequences, context) = (load.sequences.value(), load.context.value());
    let deployment = routed(deployment, constants);
    let stage = deployment.stage(sequences, context, deployment.micro_batches(load), 1.0)?;
    let read = stage.weights_b / constants.bandwidth_b_s + stage.kv_b / constants.kv_bandwidth_b_s;
    let computes = stage.weights_flop / constants.throughput_flop_s > read;
    Ok(if computes { Bound::Compute } else { Bound::Memory })
}
