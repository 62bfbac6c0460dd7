//! Training: operations, time, utilisation, memory, what GPUs wait for and exchange, rent.

use super::{Formula, FormulaError, Spec, Work, formula, needs, takes};
use crate::claims::unit::Kind;
use crate::cost::{Figure, communication, memory, money, pipeline, scaling, training};

const PARAMETERS: Spec = needs("parameters", Kind::Parameters, "parameters");
const ACTIVE: Spec = needs("parameters", Kind::Parameters, "parameters active per token");
const TOKENS: Spec = needs("tokens", Kind::Tokens, "training tokens");
const FLOP: Spec = needs("flop", Kind::Flop, "training operations");
const GPUS: Spec = needs("gpus", Kind::Count, "GPUs");
const TIME: Spec = needs("time", Kind::Time, "duration");
const PEAK: Spec = needs("peak", Kind::FlopRate, "peak of one GPU");
const TENSOR: Spec = needs("tensor", Kind::Count, "tensor-parallel ranks");
const PIPELINE: Spec = needs("pipeline", Kind::Count, "pipeline stages");
const BYTES: Spec = needs("bytes", Kind::BytesPerParameter, "bytes of a stored parameter");
const BATCH: Spec = needs("batch", Kind::Tokens, "tokens of a batch");

pub(super) static FORMULAS: &[Formula] = &[
    formula("training_flop", "6 x parameters x tokens", Kind::Flop, &[&[ACTIVE, TOKENS]], |work| {
        Ok(training::flop(work.figure("parameters")?, work.figure("tokens")?)?.value())
    }),
    formula("trained_tokens", "FLOP / (6 x parameters)", Kind::Tokens, &[&[FLOP, ACTIVE]], |work| {
        Ok(training::tokens(work.figure("flop")?, work.figure("parameters")?)?.value())
    }),
    formula("achieved_rate", "FLOP / (GPUs x time)", Kind::FlopRate, &[&[FLOP, GPUS, TIME]], |work| {
        Ok(training::achieved_flop_s(work.figure("flop")?, work.figure("gpus")?, work.figure("time")?)?.value())
    }),
    formula("training_mfu", "FLOP / (GPUs x peak x time)", Kind::Ratio, &[&[FLOP, GPUS, PEAK, TIME]], training_mfu),
    formula(
        "gpu_time",
        "FLOP / achieved FLOP/s: time on one GPU",
        Kind::GpuTime,
        &[&[FLOP, needs("rate", Kind::FlopRate, "what one GPU achieves")]],
        |work| Ok(training::gpu_seconds(work.figure("flop")?, work.figure("rate")?)?.value()),
    ),
    formula(
        "training_time",
        "FLOP / (processors x achieved FLOP/s)",
        Kind::Time,
        &[&[FLOP, GPUS, needs("rate", Kind::FlopRate, "what one processor achieves")]],
        |work| {
            let alone = training::gpu_seconds(work.figure("flop")?, work.figure("rate")?)?.value();
            Ok(work.step("time on one", alone, "years") / work.divisor("gpus")?)
        },
    ),
    formula(
        "rent",
        "GPUs x hours x price",
        Kind::Money,
        &[&[GPUS, TIME, needs("price", Kind::MoneyPerHour, "price of a GPU-hour")]],
        |work| Ok(money::rent_usd(work.figure("gpus")?, work.figure("time")?, work.figure("price")?)?.value()),
    ),
    formula(
        "rent_of_gpu_time",
        "GPU-hours x price",
        Kind::Money,
        &[&[
            needs("gpu_time", Kind::GpuTime, "time on one GPU"),
            needs("price", Kind::MoneyPerHour, "price of a GPU-hour"),
        ]],
        |work| Ok(money::rent_usd(1.into(), work.figure("gpu_time")?, work.figure("price")?)?.value()),
    ),
    formula(
        "weights_per_gpu",
        "parameters x bytes / (tensor x pipeline)",
        Kind::Bytes,
        &[&[PARAMETERS, BYTES, TENSOR, PIPELINE]],
        |work| {
            let all = work.get("parameters")? * work.get("bytes")?;
            work.step("all weights", all, "GB");
            Ok(all / (work.divisor("tensor")? * work.divisor("pipeline")?))
        },
    ),
    formula(
        "training_state_per_gpu",
        "parameters / (tensor x pipeline) x (weights + gradients + optimizer bytes), each divided by the replicas \
         where ZeRO shards it",
        Kind::Bytes,
        &[&[
            PARAMETERS,
            TENSOR,
            PIPELINE,
            GPUS,
            takes("zero_stage", Kind::Ratio, "ZeRO stage: 1 shards the optimizer, 2 gradients too, 3 weights too", 1.0),
            takes("gradient_bytes", Kind::BytesPerParameter, "bytes of a gradient", 2.0),
        ]],
        training_state,
    ),
    formula(
        "least_stages",
        "parameters x bytes / (tensor x capacity), rounded up",
        Kind::Count,
        &[&[PARAMETERS, BYTES, TENSOR, needs("capacity", Kind::Bytes, "memory of one GPU")]],
        |work| {
            let all = work.get("parameters")? * work.get("bytes")?;
            work.step("bytes to hold", all, "TB");
            let (tensor, capacity) = (work.whole("tensor")?, work.figure("capacity")?);
            Ok(memory::least_stages(Figure::exact(all)?, tensor, capacity)?.value())
        },
    ),
    formula(
        "micro_batches",
        "batch / (context x sequences per micro-batch) / (GPUs / (tensor x pipeline)): those of one replica in a step",
        Kind::Count,
        &[BUBBLE],
        |work| micro_batches(work).map(Figure::value),
    ),
    formula(
        "pipeline_idle",
        "(p - 1) / (v m + p - 1): p stages, m micro-batches of one replica in a step, v chunks of layers per stage",
        Kind::Ratio,
        &[BUBBLE, &[takes("interleaved", Kind::Count, "chunks of layers per stage", 1.0)]],
        |work| {
            let m = micro_batches(work)?;
            work.note("micro-batches of one replica in a step", m, "micro-batches");
            Ok(pipeline::idle_share(work.whole("pipeline")?, m, work.whole("interleaved")?)?.value())
        },
    ),
    formula(
        "busy_mfu",
        "MFU / (1 - idle share)",
        Kind::Ratio,
        &[&[needs("mfu", Kind::Ratio, "utilisation"), needs("idle", Kind::Ratio, "idle share of the pipeline")]],
        |work| Ok(pipeline::busy_mfu(work.figure("mfu")?, work.figure("idle")?)?.value()),
    ),
    formula(
        "gradient_exchange",
        "2 (r-1)/r x gradient bytes of a GPU: what each sends in a step, r = GPUs / (tensor x pipeline)",
        Kind::Bytes,
        &[EXCHANGE],
        |work| gradient_exchange(work).map(Figure::value),
    ),
    formula(
        "gradient_exchange_time",
        "gradient exchange / bandwidth of a GPU",
        Kind::Time,
        &[EXCHANGE, &[LINK]],
        |work| Ok(gradient_exchange(work)?.value() / work.divisor("link")?),
    ),
    formula("step_time", "time of a run / (tokens / batch)", Kind::Time, &[&[BATCH, TOKENS, TIME]], |work| {
        Ok(training::step_time_s(work.figure("time")?, work.figure("batch")?, work.figure("tokens")?)?.value())
    }),
    formula(
        "rented_time",
        "cost / (GPUs x price)",
        Kind::Time,
        &[&[needs("cost", Kind::Money, "the rent"), GPUS, needs("price", Kind::MoneyPerHour, "price of a GPU-hour")]],
        |work| Ok(work.get("cost")? / (work.divisor("gpus")? * work.divisor("price")?) * money::HOUR_S),
    ),
    formula(
        "gradient_exchange_share",
        "gradient exchange / bandwidth of a GPU, over the time of a step, not overlapped",
        Kind::Ratio,
        &[EXCHANGE, &[LINK, BATCH, TOKENS, TIME]],
        gradient_exchange_share,
    ),
    formula(
        "rule_parameters",
        "tokens / (tokens per parameter)",
        Kind::Parameters,
        &[&[TOKENS, needs("rule", Kind::TokensPerParameter, "the law's tokens per parameter")]],
        |work| Ok(scaling::parameters(work.figure("tokens")?, work.figure("rule")?)?.value()),
    ),
    formula(
        "rule_tokens",
        "parameters x (tokens per parameter)",
        Kind::Tokens,
        &[&[PARAMETERS, needs("rule", Kind::TokensPerParameter, "the law's tokens per parameter")]],
        |work| Ok(scaling::tokens(work.figure("parameters")?, work.figure("rule")?)?.value()),
    ),
    formula(
        "tokens_per_parameter",
        "tokens / parameters",
        Kind::TokensPerParameter,
        &[&[TOKENS, PARAMETERS]],
        |work| Ok(scaling::tokens_per_parameter(work.figure("tokens")?, work.figure("parameters")?)?.value()),
    ),
    formula(
        "tokens_until_serving_costs_more",
        "3 x training tokens: where serving's 2N T passes training's 6N D",
        Kind::Tokens,
        &[&[TOKENS]],
        |work| Ok(scaling::served_tokens_equal_to_training(work.figure("tokens")?)?.value()),
    ),
];

const LINK: Spec = needs("link", Kind::ByteRate, "network bandwidth of one GPU");

const BUBBLE: &[Spec] = &[
    BATCH,
    needs("context", Kind::Tokens, "tokens of a sequence"),
    GPUS,
    TENSOR,
    PIPELINE,
    takes("sequences", Kind::Count, "sequences of a micro-batch", 1.0),
];

const EXCHANGE: &[Spec] =
    &[PARAMETERS, TENSOR, PIPELINE, GPUS, takes("gradient_bytes", Kind::BytesPerParameter, "bytes of a gradient", 2.0)];

fn training_mfu(work: &mut Work<'_>) -> Result<f64, FormulaError> {
    let (flop, gpus, time) = (work.figure("flop")?, work.figure("gpus")?, work.figure("time")?);
    work.note("FLOP / (GPUs x time), of each GPU", training::achieved_flop_s(flop, gpus, time)?, "TFLOP/s");
    Ok(training::mfu(flop, gpus, work.figure("peak")?, time)?.value())
}

/// GPUs of one replica and the number of replicas; a share of one counts.
fn replicas(work: &mut Work<'_>) -> Result<(u32, Figure), FormulaError> {
    let each = work.whole("tensor")? * work.whole("pipeline")?;
    let replicas = pipeline::replicas(work.figure("gpus")?, each)?;
    work.note("replicas: GPUs / (tensor x pipeline)", replicas, "replicas");
    Ok((each, replicas))
}

fn training_state(work: &mut Work<'_>) -> Result<f64, FormulaError> {
    let (each, replicas) = replicas(work)?;
    let zero = match work.whole("zero_stage")? {
        0 => memory::Zero::Nothing,
        1 => memory::Zero::Optimizer,
        2 => memory::Zero::Gradients,
        3 => memory::Zero::Weights,
        other => return Err(FormulaError::Domain(format!("ZeRO has stages 0 to 3, not {other}"))),
    };
    let bytes = memory::StateBytes { gradients: work.get("gradient_bytes")?, ..memory::MIXED_ADAM };
    let state = memory::training_state(work.figure("parameters")?, each, replicas, zero, bytes)?;
    work.note("FP16 weights of one GPU", state.weights_b, "GB");
    work.note("gradients", state.gradients_b, "GB");
    work.note("optimizer: 12 B per parameter over the replicas that share it", state.optimizer_b, "GB");
    Ok(state.total_b.value())
}

fn micro_batches(work: &mut Work<'_>) -> Result<Figure, FormulaError> {
    let (_, replicas) = replicas(work)?;
    let tokens = Figure::exact(work.get("context")? * work.get("sequences")?)?;
    Ok(pipeline::micro_batches(work.figure("batch")?, tokens, replicas)?)
}

fn gradient_exchange(work: &mut Work<'_>) -> Result<Figure, FormulaError> {
    let (each, replicas) = replicas(work)?;
    let held = work.get("parameters")? / f64::from(each) * work.get("gradient_bytes")?;
    work.step("gradients of one GPU", held, "GB");
    Ok(communication::all_reduce_bytes(Figure::exact(held)?, replicas)?)
}

fn gradient_exchange_share(work: &mut Work<'_>) -> Result<f64, FormulaError> {
    let sent = gradient_exchange(work)?;
    work.note("2 (r-1)/r of them, sent by each GPU", sent, "GB");
    let exchange = work.step("time at that bandwidth", sent.value() / work.divisor("link")?, "s");
    let step = training::step_time_s(work.figure("time")?, work.figure("batch")?, work.figure("tokens")?)?;
    work.note("time of a step: run / (tokens / batch)", step, "s");
    Ok(exchange / step.value())
}
