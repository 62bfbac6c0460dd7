//! Attention. Decoding reads keys and values at a bandwidth of its own; a prompt's attention computes.

use super::Measured;
use super::fitted::Prepared;
use super::kinds::{Kinds, kernel, named};
use super::known::{Known, exponent};
use super::law::{Join, Law, Role, Row};
use crate::record::Precision;

/// Id of attention while decoding.
pub const DECODE: &str = "decode_attention";
/// Id of attention over a prompt.
pub const CONTEXT: &str = "context_attention";

/// Fewest tokens of context: below, time is the launch's alone.
const CONTEXT_LEAST: u64 = 64;

/// Contexts and prompts, by precision and format of keys and values; kernels but for the usual one apart.
pub fn prepare(known: &Known, items: &[Measured]) -> Vec<Prepared> {
    let mut kinds = Kinds::default();
    for item in items.iter().filter(|item| item.record.case.benchmark == "attention") {
        let case = &item.record.case;
        let Some(precision) = item.summary.precision else { continue };
        let decodes = case.word("phase") == Some("decode");
        let kv = case.word("kv_precision").unwrap_or_else(|| precision.name()).to_owned();
        kinds.add((decodes, precision, kv), kernel(item), row(item, decodes));
    }
    let prepared = |((decodes, precision, kv), kernel, rows): ((bool, Precision, String), Option<String>, Vec<Row>)| {
        let subject = if kv == precision.name() { kv } else { format!("{precision}, keys and values {kv}") };
        let subject = named(subject, kernel);
        if decodes { decode(known, subject, rows) } else { context(known, precision, subject, rows) }
    };
    kinds.into_each().into_iter().map(prepared).collect()
}

fn row(item: &Measured, decodes: bool) -> Option<Row> {
    let case = &item.record.case;
    let [batch, heads, kv_heads, head_dim, context] =
        ["batch", "heads", "kv_heads", "head_dim", "context"].map(|axis| case.count(axis).unwrap_or(0));
    let windowed = case.count("window").is_some_and(|window| window > 0 && window < context);
    let bytes = item.record.work.bytes().0 as f64;
    (batch > 0 && kv_heads > 0 && head_dim > 0 && context >= CONTEXT_LEAST && !windowed).then(|| Row {
        time_s: item.summary.time.value,
        cluster: format!("heads={heads} kv_heads={kv_heads} head_dim={head_dim}"),
        amounts: [1.0, if decodes { bytes } else { 0.0 }, 0.0, 0.0],
        bytes: if decodes { 0.0 } else { bytes },
        flop: if decodes { 0.0 } else { item.record.work.operations().0 as f64 },
        reached: None,
        at: [(batch as f64 * kv_heads as f64).log2(), (context as f64).log2(), (heads as f64 / kv_heads as f64).log2()],
        decodes,
    })
}

fn decode(known: &Known, subject: String, rows: Vec<Row>) -> Prepared {
    let bandwidth = known.bandwidth(Role::Rate(1), 0.15, &rows, |row| row.amounts[1]);
    let law = Law { parameters: vec![known.fixed("fixed", 0, 2.0), bandwidth], join: Join::Smooth };
    let measure =
        "attention while decoding, at three or more shapes of heads, each over batches and contexts".to_owned();
    Prepared { operation: DECODE, subject, law, rows, smooth: true, measure }
}

fn context(known: &Known, precision: Precision, subject: String, rows: Vec<Row>) -> Prepared {
    let parameters = vec![
        known.fixed("fixed", 0, 2.0),
        known.bandwidth(Role::Bandwidth, 0.15, &rows, |row| row.bytes),
        known.throughput(precision, 0.7, 0.4, &rows),
        exponent(),
    ];
    let measure = "attention over prompts, at three or more shapes of heads, each over batches and lengths".to_owned();
    Prepared { operation: CONTEXT, subject, law: Law { parameters, join: Join::Smooth }, rows, smooth: true, measure }
}
