//! Serving: memory, cost, latency and utilisation of a model behind a pipeline of GPUs.

use std::collections::BTreeMap;

use super::{Formula, FormulaError, Spec, Work, formula, needs, takes};
use crate::claims::unit::Kind;
use crate::cost::memory::Room;
use crate::cost::serving::{self, Deployment, Load, Served};
use crate::cost::{Figure, Roofline, communication, memory, moe, money};
use crate::llm::{KvShape, Layout, Weights};

const LAYERS: Spec = needs("layers", Kind::Count, "transformer layers");
const KV_HEADS: Spec = needs("kv_heads", Kind::Count, "heads with keys and values of their own");
const HEAD_SIZE: Spec = needs("head_size", Kind::Count, "values per head");
const KV_BYTES: Spec = takes("kv_bytes", Kind::BytesPerParameter, "bytes of a number in the KV cache", 2.0);
const TENSOR: Spec = takes("tensor", Kind::Count, "tensor-parallel ranks", 1.0);
const PIPELINE: Spec = takes("pipeline", Kind::Count, "pipeline stages", 1.0);
const PARAMETERS: Spec = needs("parameters", Kind::Parameters, "parameters read for a token");
const BYTES: Spec = needs("bytes", Kind::BytesPerParameter, "bytes of a stored parameter");
const CONTEXT: Spec = needs("context", Kind::Tokens, "average context of a sequence");
const PRICE: Spec = needs("price", Kind::MoneyPerHour, "price of a GPU-hour");
const BANDWIDTH: Spec = needs("bandwidth", Kind::ByteRate, "memory bandwidth of a GPU");

const KV: &[Spec] = &[LAYERS, KV_HEADS, HEAD_SIZE, KV_BYTES, TENSOR, PIPELINE];
/// A model's weights in memory; a dense model is all shared.
const HELD: &[Spec] = &[
    needs("shared", Kind::Parameters, "parameters every token reads"),
    takes("expert", Kind::Parameters, "parameters of one expert", 0.0),
    takes("experts", Kind::Count, "experts", 1.0),
    takes("routed", Kind::Count, "experts each token is sent to", 1.0),
    BYTES,
];
const CEILINGS: &[Spec] = &[
    BANDWIDTH,
    needs("compute", Kind::FlopRate, "matrix throughput of a GPU"),
    takes("uniform_routing", Kind::Ratio, "1: experts reached under uniform routing; 0: every expert is read", 0.0),
];
const MEMORY: &[Spec] = &[
    needs("capacity", Kind::Bytes, "memory of a GPU"),
    takes("reserved", Kind::Bytes, "memory of a GPU kept for other things", 0.0),
];

const HOLD: &[Spec] =
    &[needs("bytes", Kind::Bytes, "bytes to hold"), needs("capacity", Kind::Bytes, "memory of a GPU")];

pub(super) static FORMULAS: &[Formula] = &[
    formula(
        "kv_per_token",
        "2 x layers x KV heads x head size x bytes: kept once",
        Kind::BytesPerToken,
        &[&[LAYERS, KV_HEADS, HEAD_SIZE, KV_BYTES]],
        |work| Ok(kv(work)?.bytes_per_token()),
    ),
    formula(
        "kv_per_token_per_gpu",
        "2 x (layers / pipeline) x max(1, KV heads / tensor) x head size x bytes",
        Kind::BytesPerToken,
        &[KV],
        |work| Ok(kv(work)?.bytes_per_token_per_gpu(layout(work)?)?),
    ),
    formula(
        "cached_tokens",
        "(capacity - weights of a GPU) / KV bytes of a token on a GPU: tokens all GPUs together can keep",
        Kind::Tokens,
        &[HELD, KV, MEMORY],
        |work| Ok(room(work)?.tokens.value()),
    ),
    formula(
        "sequences_that_fit",
        "cached tokens / context, with memory full",
        Kind::Count,
        &[HELD, KV, MEMORY, &[CONTEXT]],
        |work| {
            let context = work.figure("context")?;
            Ok(room(work)?.sequences(context)?.value())
        },
    ),
    formula(
        "serving_rate",
        "micro-batch / stage time, memory full: tokens/s of all GPUs together",
        Kind::TokenRate,
        &[HELD, KV, CEILINGS, MEMORY, &[CONTEXT]],
        |work| Ok(served(work)?.0.throughput_tok_s.value()),
    ),
    formula(
        "serving_cost",
        "GPUs x price / tokens per hour, memory full",
        Kind::MoneyPerToken,
        &[HELD, KV, CEILINGS, MEMORY, &[CONTEXT, PRICE]],
        |work| {
            let (served, deployment) = served(work)?;
            let (gpus, price) = (deployment.gpus(), work.figure("price")?);
            Ok(money::usd_per_1000_tokens(gpus, price, served.throughput_tok_s)?.value() / money::PRICED_TOKENS)
        },
    ),
    formula(
        "serving_latency",
        "stages x stage time, memory full: time between two tokens of one sequence",
        Kind::Time,
        &[HELD, KV, CEILINGS, MEMORY, &[CONTEXT]],
        |work| Ok(served(work)?.0.token_latency_s.value()),
    ),
    formula(
        "serving_utilisation",
        "tokens/s x 2 x active parameters / (GPUs x peak), memory full; prompt tokens, which are computed and not \
         read for, at the utilisation of training",
        Kind::Ratio,
        &[
            HELD,
            KV,
            CEILINGS,
            MEMORY,
            &[
                CONTEXT,
                takes("generated", Kind::Ratio, "share of the tokens that are generated", 1.0),
                takes("prompt_utilisation", Kind::Ratio, "utilisation on prompt tokens", 1.0),
            ],
        ],
        serving_utilisation,
    ),
    formula(
        "context_at_utilisation",
        "the average context below which the utilisation is reached: context x utilisation there / target",
        Kind::Tokens,
        &[HELD, KV, CEILINGS, MEMORY, &[CONTEXT, needs("target", Kind::Ratio, "the utilisation")]],
        |work| {
            // With memory full the step's time is fixed and sequences are tokens over context.
            let here = served(work)?.0.utilisation;
            work.note("utilisation at that context", here, "%");
            Ok(work.get("context")? * here.value() / work.divisor("target")?)
        },
    ),
    formula(
        "context_at_cost",
        "the longest average context at which the serving cost is reached, memory full",
        Kind::Tokens,
        &[HELD, KV, CEILINGS, MEMORY, &[PRICE, needs("cost", Kind::MoneyPerToken, "the cost")]],
        context_at_cost,
    ),
    formula(
        "sequences_at_cost",
        "cached tokens / the longest average context at which the serving cost is reached",
        Kind::Count,
        &[HELD, KV, CEILINGS, MEMORY, &[PRICE, needs("cost", Kind::MoneyPerToken, "the cost")]],
        |work| {
            let context = context_at_cost(work)?;
            work.step("that average context", context, "tokens");
            let sequences = room(work)?.sequences(Figure::exact(context)?)?;
            Ok(sequences.value())
        },
    ),
    formula(
        "batch_share_at_cost",
        "the share of a full batch at which a token costs `factor` times as much",
        Kind::Ratio,
        &[HELD, KV, CEILINGS, MEMORY, &[CONTEXT, needs("factor", Kind::Ratio, "how many times as much")]],
        |work| {
            let (_, deployment) = served(work)?;
            let load = load(work)?;
            Ok(serving::batch_share_at_cost(&deployment, load, work.figure("factor")?)?.value())
        },
    ),
    formula(
        "cost_at_batch_share",
        "cost of a token with that share of the sequences over its cost with memory full",
        Kind::Ratio,
        &[HELD, KV, CEILINGS, MEMORY, &[CONTEXT, needs("share", Kind::Ratio, "share of the sequences")]],
        |work| {
            let (full, deployment) = served(work)?;
            let load = load(work)?;
            let fewer = Load { sequences: load.sequences.scaled(work.get("share")?)?, ..load };
            let fewer = serving::decode(&deployment, fewer)?.throughput_tok_s;
            work.note("tokens/s with fewer", fewer, "tokens/s");
            Ok(full.throughput_tok_s.value() / fewer.value())
        },
    ),
    formula(
        "user_rate",
        "1 / (stages x max(weights read x bytes / (GPUs x bandwidth), 2 x active x micro-batch / (GPUs x compute))): tokens/s \
         of one user at most, KV cache left out",
        Kind::TokenRate,
        &[
            HELD,
            &[TENSOR, PIPELINE],
            CEILINGS,
            &[takes(
                "sequences",
                Kind::Count,
                "sequences that meet a layer together; none given: enough to read every expert, and computing takes no time",
                0.0,
            )],
        ],
        user_rate,
    ),
    formula(
        "one_stream_rate",
        "bandwidth / (parameters x bytes): tokens/s of one sequence at most",
        Kind::TokenRate,
        &[&[PARAMETERS, BYTES, BANDWIDTH]],
        |work| {
            let (n, bytes) = (work.figure("parameters")?, work.get("bytes")?);
            Ok(serving::one_stream_tok_s(n, bytes, work.figure("bandwidth")?)?.value())
        },
    ),
    formula(
        "largest_at_rate",
        "bandwidth / (bytes x tokens/s): parameters that can be read that often",
        Kind::Parameters,
        &[&[BANDWIDTH, BYTES, needs("rate", Kind::TokenRate, "tokens per second")]],
        |work| {
            let (bandwidth, bytes) = (work.figure("bandwidth")?, work.get("bytes")?);
            Ok(serving::largest_at_rate(bandwidth, bytes, work.figure("rate")?)?.value())
        },
    ),
    formula("gpus_to_hold", "bytes / memory of a GPU, not rounded", Kind::Count, &[HOLD], |work| {
        Ok(work.get("bytes")? / work.divisor("capacity")?)
    }),
    formula("whole_gpus_to_hold", "bytes / memory of a GPU, rounded up", Kind::Count, &[HOLD], |work| {
        Ok(memory::least_gpus(work.figure("bytes")?, work.figure("capacity")?)?.value())
    }),
    formula(
        "tokens_beside",
        "(GPUs x memory - bytes held) / KV bytes of a token",
        Kind::Tokens,
        &[&[
            needs("gpus", Kind::Count, "GPUs"),
            needs("capacity", Kind::Bytes, "memory of one GPU"),
            needs("held", Kind::Bytes, "bytes held already"),
            needs("per_token", Kind::BytesPerToken, "KV cache of a token"),
        ]],
        tokens_beside,
    ),
    formula(
        "parameters_that_fill",
        "share x memory / bytes of a parameter",
        Kind::Parameters,
        &[&[
            needs("share", Kind::Ratio, "share of the memory"),
            needs("capacity", Kind::Bytes, "memory of a GPU"),
            BYTES,
        ]],
        |work| Ok(work.get("share")? * work.get("capacity")? / work.divisor("bytes")?),
    ),
    formula(
        "live_activations",
        "tokens x 10 hidden x bytes + heads x tokens x context x bytes: tensors of one layer alive while serving",
        Kind::Bytes,
        &[&[
            needs("tokens", Kind::Tokens, "tokens in one pass"),
            CONTEXT,
            needs("hidden", Kind::Count, "width of the residual stream"),
            takes("heads", Kind::Count, "heads whose scores are kept; 0 where attention is fused", 0.0),
            KV_BYTES,
        ]],
        |work| {
            let (tokens, context) = (work.figure("tokens")?, work.figure("context")?);
            let (hidden, heads) = (work.whole("hidden")?, work.whole("heads")?);
            Ok(memory::live_activations_b(tokens, context, hidden, heads, work.get("kv_bytes")?)?.value())
        },
    ),
    formula(
        "tensor_speed_up",
        "step on one GPU / (step / t + all-reduces): two all-reduces a layer of one token's activations",
        Kind::Ratio,
        &[&[
            PARAMETERS,
            BYTES,
            BANDWIDTH,
            LAYERS,
            needs("hidden", Kind::Count, "width of the residual stream"),
            needs("tensor", Kind::Count, "tensor-parallel ranks"),
            needs("link", Kind::ByteRate, "bandwidth to the other GPUs"),
            takes("latency", Kind::Time, "time of an all-reduce of nothing", 0.0),
        ]],
        tensor_speed_up,
    ),
    formula(
        "room_gain",
        "(M - W/shrink) / (M - W): tokens that fit beside weights made smaller, W as a share of the memory M",
        Kind::Ratio,
        &[&[
            needs("share", Kind::Ratio, "weights over memory"),
            needs("shrink", Kind::Ratio, "how many times smaller"),
        ]],
        |work| Ok(memory::room_gain(work.figure("share")?, work.figure("shrink")?)?.value()),
    ),
    formula(
        "share_for_room_gain",
        "(g - 1) / (g - 1/shrink): share of memory that weights must fill for shrinking them to let g times more fit",
        Kind::Ratio,
        &[&[needs("gain", Kind::Ratio, "the gain"), needs("shrink", Kind::Ratio, "how many times smaller")]],
        |work| Ok(memory::share_for_room_gain(work.figure("gain")?, work.figure("shrink")?)?.value()),
    ),
];

fn tokens_beside(work: &mut Work<'_>) -> Result<f64, FormulaError> {
    let all = work.get("gpus")? * work.get("capacity")?;
    let held = work.get("held")?;
    work.step("memory of all GPUs", all, "GB");
    memory::fits("what is held", Figure::exact(held)?, Figure::exact(all)?)?;
    let free = work.step("left beside what is held", all - held, "GB");
    Ok(free / work.divisor("per_token")?)
}

fn kv(work: &Work<'_>) -> Result<KvShape, FormulaError> {
    let (layers, kv_heads, head_dim) = (work.whole("layers")?, work.whole("kv_heads")?, work.whole("head_size")?);
    Ok(KvShape { layers, kv_heads, head_dim, bytes_per_value: work.get("kv_bytes")? })
}

/// Averaged, as on paper: 120 layers over 16 stages are 7.5 each.
fn layout(work: &Work<'_>) -> Result<Layout, FormulaError> {
    Ok(Layout::new(work.whole("tensor")?, work.whole("pipeline")?)?.averaged())
}

fn weights(work: &Work<'_>) -> Result<Weights, FormulaError> {
    let shared = work.get("shared")?;
    match work.get("expert")? {
        0.0 => Ok(Weights::dense(shared)),
        each => Ok(Weights::mixture(shared, work.whole("experts")?, work.whole("routed")?, each)),
    }
}

fn room(work: &mut Work<'_>) -> Result<Room, FormulaError> {
    let usable = work.get("capacity")? - work.get("reserved")?;
    let (weights, bytes) = (weights(work)?, work.get("bytes")?);
    let room = memory::room(&weights, bytes, &kv(work)?, layout(work)?, Figure::exact(usable)?)?;
    work.note("weights of one GPU", room.weights_b, "GB");
    work.note("free for the KV cache", room.free_b, "GB");
    work.note("KV cache of a token on one GPU", room.kv_token_b, "B/token");
    work.note("tokens all GPUs together can keep", room.tokens, "tokens");
    Ok(room)
}

fn deployment(work: &Work<'_>) -> Result<Deployment, FormulaError> {
    let routing = if work.get("uniform_routing")? > 0.0 { moe::Routing::Uniform } else { moe::Routing::EveryExpert };
    let roofline = Roofline { bandwidth_b_s: work.figure("bandwidth")?, compute_flop_s: work.figure("compute")? };
    Ok(Deployment {
        weights: weights(work)?,
        bytes_per_parameter: work.get("bytes")?,
        kv: kv(work)?,
        layout: layout(work)?,
        routing,
        roofline,
        attention_width: 0,
        overhead_s: Figure::exact(0.0)?,
    })
}

/// The deployment that the inputs of a serving formula describe, with the memory of one GPU: for the curve that runs
/// through a recomputed point.
///
/// # Errors
/// [`FormulaError::Missing`] for inputs of another formula.
pub fn deployed(inputs: &BTreeMap<String, f64>) -> Result<(Deployment, Figure), FormulaError> {
    let work = Work::new(inputs);
    let usable = work.get("capacity")? - work.get("reserved")?;
    Ok((deployment(&work)?, Figure::exact(usable)?))
}

/// As many sequences as fit.
fn load(work: &mut Work<'_>) -> Result<Load, FormulaError> {
    let context = work.figure("context")?;
    let sequences = room(work)?.sequences(context)?;
    Ok(Load::new(sequences, context))
}

fn served(work: &mut Work<'_>) -> Result<(Served, Deployment), FormulaError> {
    let deployment = deployment(work)?;
    let load = load(work)?;
    work.note("sequences in flight", load.sequences, "sequences");
    let served = serving::decode(&deployment, load)?;
    work.note("sequences that meet a layer together", served.micro_batch, "sequences");
    work.note("time of one stage", served.stage_time_s, "ms");
    work.note("tokens/s of all GPUs together", served.throughput_tok_s, "tokens/s");
    work.note("share of the peak", served.utilisation, "%");
    Ok((served, deployment))
}

fn serving_utilisation(work: &mut Work<'_>) -> Result<f64, FormulaError> {
    let generated = work.get("generated")?;
    if !(0.0..=1.0).contains(&generated) {
        return Err(FormulaError::Domain(format!("`generated` is a share from 0 to 1, and is {generated}")));
    }
    let decode = served(work)?.0.utilisation.value();
    // Times add: each token takes 1/utilisation of its ideal time.
    Ok(1.0 / (generated / decode + (1.0 - generated) / work.divisor("prompt_utilisation")?))
}

fn context_at_cost(work: &mut Work<'_>) -> Result<f64, FormulaError> {
    let deployment = deployment(work)?;
    let capacity = Figure::exact(work.get("capacity")? - work.get("reserved")?)?;
    let cost = work.figure("cost")?.scaled(money::PRICED_TOKENS)?;
    Ok(serving::context_at_cost(&deployment, capacity, work.figure("price")?, cost)?.value())
}

fn user_rate(work: &mut Work<'_>) -> Result<f64, FormulaError> {
    let (weights, sequences) = (weights(work)?, work.get("sequences")?);
    let read = match sequences {
        0.0 => weights.total(),
        sequences => moe::parameters_read(&weights, Figure::exact(sequences)?, moe::Routing::Uniform)?.value(),
    };
    work.step("parameters read for a token", read, "parameters");
    let tensor = work.divisor("tensor")?;
    // A token passes every stage, each a p-th of the weights on t GPUs: p x 1/(t p) of the whole per GPU.
    let reading = read * work.get("bytes")? / (tensor * work.divisor("bandwidth")?);
    let computing = 2.0 * weights.active() * sequences / (tensor * work.divisor("compute")?);
    let latency = reading.max(computing);
    Ok(1.0 / work.step("time of a token through all stages", latency, "ms"))
}

fn tensor_speed_up(work: &mut Work<'_>) -> Result<f64, FormulaError> {
    let alone = work.get("parameters")? * work.get("bytes")? / work.divisor("bandwidth")?;
    work.step("reading the weights on one GPU", alone, "ms");
    let (layers, hidden, ranks) = (work.figure("layers")?, work.whole("hidden")?, work.whole("tensor")?);
    let sent = communication::tensor_forward_bytes(layers, hidden, 1.into(), 2.0, ranks)?;
    work.note("bytes each rank sends for a token", sent, "MB");
    let all_reduces = 2.0 * work.get("layers")? * work.get("latency")?;
    let exchange = work.step("time of that", sent.value() / work.divisor("link")? + all_reduces, "ms");
    let shared = work.step("reading a share of the weights on each", alone / f64::from(ranks), "ms");
    Ok(alone / (shared + exchange))
}
