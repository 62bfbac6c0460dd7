//! What cases of imported benchmarks are made of, and the work they declare.
//!
//! Bytes are compulsory traffic: every input is read once and every output written once, whatever is kept or read again;
//! scales of quantised weights are not counted. Operations are two per multiply-add. The formulas are those the field
//! uses; `docs/METHOD.md` lists them.

use crate::record::{Case, Precision, Quantity, Work};
use crate::units::{ByteCount, FlopCount};

/// Why a case declares no work.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NoWork {
    /// The benchmark is none of [`BENCHMARKS`].
    #[error("'{0}' is no benchmark with a known formula")]
    Benchmark(String),
    /// An axis is missing or of the wrong kind.
    #[error("axis '{0}' is missing, or is no {1}")]
    Axis(&'static str, &'static str),
    /// A number format that records do not know.
    #[error("number format '{0}' is not known")]
    Precision(String),
}

/// Benchmarks with a formula for their work, each with what its figure is.
pub const BENCHMARKS: [(&str, Quantity); 5] = [
    ("matmul", Quantity::Throughput),
    ("attention", Quantity::Duration),
    ("moe", Quantity::Duration),
    ("collective", Quantity::Duration),
    ("memory", Quantity::Bandwidth),
];

/// The figure that answers a benchmark's question; `None` for one without a formula.
pub fn quantity(benchmark: &str) -> Option<Quantity> {
    BENCHMARKS.iter().find(|(id, _)| *id == benchmark).map(|(_, quantity)| *quantity)
}

/// The work of a case, from its axes.
///
/// # Errors
/// [`NoWork`] if its benchmark has no formula, or the formula's axes are not all there.
pub fn work(case: &Case) -> Result<Work, NoWork> {
    match case.benchmark.as_str() {
        "matmul" => matmul(case),
        "attention" => attention(case),
        "moe" => moe(case),
        "collective" => collective(case),
        "memory" => memory(case),
        other => Err(NoWork::Benchmark(other.to_owned())),
    }
}

/// Formats that only weights are stored in, with their bits.
const WEIGHTS: [(&str, u64); 4] = [("fp8_e4m3_block", 8), ("i4", 4), ("mxfp4", 4), ("nvfp4", 4)];

/// Bits of one stored value of a format.
fn bits(word: &str) -> Result<u64, NoWork> {
    let weights = WEIGHTS.iter().find(|(name, _)| *name == word).map(|(_, bits)| *bits);
    let precision = || word.parse::<Precision>().ok().map(|precision| 8 * precision.size());
    weights.or_else(precision).ok_or_else(|| NoWork::Precision(word.to_owned()))
}

fn count(case: &Case, axis: &'static str) -> Result<u64, NoWork> {
    case.count(axis).ok_or(NoWork::Axis(axis, "number"))
}

fn word<'a>(case: &'a Case, axis: &'static str) -> Result<&'a str, NoWork> {
    case.word(axis).ok_or(NoWork::Axis(axis, "word"))
}

fn precision(case: &Case) -> Result<Precision, NoWork> {
    let word = word(case, "precision")?;
    word.parse().map_err(|_| NoWork::Precision(word.to_owned()))
}

/// Bits of a stored weight: of the axis `weights`, or of the precision where that is missing.
fn weight_bits(case: &Case, precision: Precision) -> Result<u64, NoWork> {
    case.word("weights").map_or(Ok(8 * precision.size()), bits)
}

/// A product that an absurd table cannot overflow.
fn product(factors: &[u64]) -> u64 {
    factors.iter().fold(1, |product: u64, factor| product.saturating_mul(*factor))
}

/// Bytes of so many values of so many bits.
fn bytes(values: u64, bits: u64) -> u64 {
    u64::try_from((u128::from(values) * u128::from(bits)).div_ceil(8)).unwrap_or(u64::MAX)
}

fn declared(read: u64, written: u64, flop: Option<(Precision, u64)>) -> Work {
    Work {
        bytes_read_b: ByteCount(read),
        bytes_written_b: ByteCount(written),
        flop: flop.map(|(precision, count)| (precision, FlopCount(count))).into_iter().collect(),
        accesses: 0,
    }
}

/// `c[m, n] = a[m, k] b[k, n]`: a and the weights b read, c written in 16 bits or wider; 2 m n k operations.
fn matmul(case: &Case) -> Result<Work, NoWork> {
    let (m, n, k, precision) = (count(case, "m")?, count(case, "n")?, count(case, "k")?, precision(case)?);
    let inputs = bytes(product(&[m, k]), 8 * precision.size());
    let weights = bytes(product(&[n, k]), weight_bits(case, precision)?);
    let outputs = product(&[m, n, precision.size().max(2)]);
    Ok(declared(inputs.saturating_add(weights), outputs, Some((precision, product(&[2, m, n, k])))))
}

/// Queries, keys and values read, outputs written. Decoding, one query of each sequence meets `context` keys and values
/// of the cache; in the context phase each of a prompt's tokens meets those before it and itself. A window keeps only the
/// last so many. Two products: 4 operations per query, key and channel.
fn attention(case: &Case) -> Result<Work, NoWork> {
    let (batch, heads, kv_heads) = (count(case, "batch")?, count(case, "heads")?, count(case, "kv_heads")?);
    let (size, context, precision) = (count(case, "head_dim")?, count(case, "context")?, precision(case)?);
    let kv_bits = bits(word(case, "kv_precision")?)?;
    let window = case.count("window").filter(|window| *window > 0).unwrap_or(u64::MAX);
    let seen = context.min(window);
    let (queries, cached, pairs) = match word(case, "phase")? {
        "decode" => (1, seen, seen),
        "context" => {
            // The first tokens see what is there, all later ones a whole window.
            let growing = u128::from(seen) * (u128::from(seen) + 1) / 2;
            let pairs = growing + u128::from(context - seen) * u128::from(seen);
            (context, context, u64::try_from(pairs).unwrap_or(u64::MAX))
        }
        _ => return Err(NoWork::Axis("phase", "'decode' or 'context'")),
    };
    let vectors = product(&[batch, queries, heads, size, precision.size()]);
    let cache = bytes(product(&[2, batch, cached, kv_heads, size]), kv_bits);
    let flop = product(&[4, batch, heads, size, pairs]);
    Ok(declared(vectors.saturating_add(cache), vectors, Some((precision, flop))))
}

/// A layer of experts on one of its `tensor` x `expert_parallel` GPUs: the weights of every expert that a token of this
/// step chose, tokens read and written. Of E experts, T tokens choosing k each reach min(E, T k) if routing is balanced, and
/// E (1 - (1 - k/E)^T) are expected if it is random. An expert has three matrices, or `matrices` of them.
fn moe(case: &Case) -> Result<Work, NoWork> {
    let (tokens, hidden, inner) = (count(case, "tokens")?, count(case, "hidden")?, count(case, "intermediate")?);
    let (chosen, experts) = (count(case, "top_k")?, count(case, "experts")?);
    let (tensor, spread) = (count(case, "tensor")?.max(1), count(case, "expert_parallel")?.max(1));
    let (precision, matrices) = (precision(case)?, case.count("matrices").unwrap_or(3));
    let routed = product(&[tokens, chosen]);
    let reached = match word(case, "routing")? {
        "balanced" => experts.min(routed) as f64,
        _ => distinct(experts, chosen, tokens),
    };
    let here = reached / spread as f64;
    let expert = product(&[matrices, hidden, inner]) as f64 / tensor as f64;
    let weights = (here * expert * weight_bits(case, precision)? as f64 / 8.0) as u64;
    let vectors = product(&[tokens, hidden, precision.size().max(2)]);
    let flop = product(&[2, routed, matrices, hidden, inner]) / (tensor * spread);
    Ok(declared(vectors.saturating_add(weights), vectors, Some((precision, flop))))
}

/// How many of `experts` at least one of `tokens` chose, expected where every choice of `chosen` is as likely.
fn distinct(experts: u64, chosen: u64, tokens: u64) -> f64 {
    let missed = 1.0 - chosen.min(experts) as f64 / experts.max(1) as f64;
    experts as f64 * (1.0 - missed.powf(tokens as f64))
}

/// What each of n GPUs must send so that all have the result, by rings: 2 (n-1)/n of the message for an all-reduce,
/// (n-1)/n for the others. Over the time this is the bandwidth NCCL calls that of the bus. Memory is not counted.
fn collective(case: &Case) -> Result<Work, NoWork> {
    let (gpus, size) = (count(case, "gpus")?.max(1), count(case, "size")?);
    let times = if word(case, "operation")? == "all_reduce" { 2 } else { 1 };
    let sent = u128::from(size) * u128::from(times * (gpus - 1)) / u128::from(gpus);
    Ok(declared(u64::try_from(sent).unwrap_or(u64::MAX), 0, None))
}

/// Streams of `size` bytes: read, write, copy (two) or triad (three).
fn memory(case: &Case) -> Result<Work, NoWork> {
    let size = count(case, "size")?;
    let (read, written) = match word(case, "kernel")? {
        "read" => (size, 0),
        "write" => (0, size),
        "copy" => (size, size),
        "triad" => (size.saturating_mul(2), size),
        _ => return Err(NoWork::Axis("kernel", "'read', 'write', 'copy' or 'triad'")),
    };
    Ok(declared(read, written, None))
}
