//! A whole step of decoding: a cost per step, per layer and per sequence in a layer, the weights read joined with the
//! work on them, and the KV cache at a bandwidth of its own.
//!
//! Steps of one model cannot tell what a layer costs from how fast weights are read, so the operations' laws are its
//! priors. Without measured steps the same constants are put together from those laws.

use std::collections::BTreeMap;

use super::Measured;
use super::fitted::{Fitted, Prepared};
use super::known::{Known, exponent};
use super::law::{Join, Law, Parameter, Role, Row};
use super::{attention, matmul};
use crate::llm;
use crate::record::{Case, Precision};

/// Its id.
pub const ID: &str = "decode_step";

/// The benchmark that measures steps here.
const OWN: &str = "decode";

/// Products of a layer: query, key and value together; attention's output; the MLP up; the MLP down.
pub const PRODUCTS: f64 = 4.0;

/// Steps by precision. Only those of one GPU: of several, links take part.
pub fn prepare(known: &Known, items: &[Measured], laws: &[Fitted]) -> Vec<Prepared> {
    let mut kinds: BTreeMap<Precision, Vec<Row>> = BTreeMap::new();
    for item in items.iter().filter(|item| [ID, OWN].contains(&item.record.case.benchmark.as_str())) {
        if let Some(precision) = item.summary.precision {
            kinds.entry(precision).or_default().extend(row(item));
        }
    }
    kinds.into_iter().map(|(precision, rows)| prepared(known, precision, rows, laws)).collect()
}

fn row(item: &Measured) -> Option<Row> {
    let case = &item.record.case;
    let [layers, batch, context] = [case.count("layers")?, case.count("batch")?, case.count("context")?];
    // Timed operation by operation, or as a graph, a step has other gaps.
    let usual = case.word("detail").is_none_or(|detail| detail == "whole")
        && case.word("submit").is_none_or(|submit| submit == "stream");
    let kv = case.count("kv_bytes").or_else(|| kv_bytes(case, layers, batch, context)).filter(|_| usual)?;
    let alone = case.count("tensor").is_none_or(|ranks| ranks == 1);
    let [l, b] = [layers, batch].map(|count| count as f64);
    (alone && layers > 0 && batch > 0).then(|| Row {
        time_s: item.summary.time.value,
        cluster: case.word("model").unwrap_or("").to_owned(),
        amounts: [1.0, l, l * b, kv as f64],
        bytes: item.record.work.bytes().0.saturating_sub(kv) as f64,
        flop: item.record.work.operations().0 as f64,
        reached: None,
        // What kernels favour goes with the batch and the context, in every model alike.
        at: [b.log2(), (context.max(1) as f64).log2(), 0.0],
        decodes: true,
    })
}

/// One GPU's share of a model of the catalogue, with so many layers of it or all.
pub(super) fn share(case: &Case, layers: Option<u64>) -> Option<llm::DecodeShape> {
    let model = llm::find(case.word("model")?).ok()?;
    let ranks = |axis| case.count(axis).and_then(|count| u32::try_from(count).ok()).unwrap_or(1);
    llm::DecodeShape::new(&model, ranks("tensor"), ranks("pipeline"), layers).ok()
}

/// Bytes of keys and values that a step of a share of a model of the catalogue reads.
pub(super) fn kv_bytes(case: &Case, layers: u64, batch: u64, context: u64) -> Option<u64> {
    let shape = share(case, Some(layers))?;
    let precision: Precision = case.word("precision")?.parse().ok()?;
    let read = |operation: llm::DecodeOperation| operation.instances * operation.kv_read;
    Some(shape.operations(batch, context).into_iter().map(read).sum::<u64>() * precision.size())
}

fn prepared(known: &Known, precision: Precision, rows: Vec<Row>, laws: &[Fitted]) -> Prepared {
    let product = laws.iter().find(|law| law.operation == matmul::ID && law.subject == precision.name());
    let attention = laws.iter().find(|law| law.operation == attention::DECODE && law.subject == precision.name());
    let from = |parameter: Parameter, law: Option<&Fitted>, name: &str| Parameter {
        prior: law.and_then(|law| law.value(name)).unwrap_or(parameter.prior),
        ..parameter
    };
    let per_layer = product
        .zip(attention)
        .and_then(|(product, attention)| Some(PRODUCTS * product.value("fixed")? + attention.value("fixed")?));
    let layer = known.fixed("per_layer", 1, 8.0);
    let kv = known.bandwidth(Role::Rate(3), 0.2, &rows, |row| row.amounts[3]);
    let parameters = vec![
        known.fixed("per_step", 0, 20.0),
        Parameter { prior: per_layer.unwrap_or(layer.prior), ..layer },
        known.fixed("per_layer_sequence", 2, 0.01),
        from(known.bandwidth(Role::Bandwidth, 0.1, &rows, |row| row.bytes), product, "bandwidth"),
        from(known.throughput(precision, 1.0, 0.2, &rows), product, "throughput"),
        from(exponent(), product, "exponent"),
        Parameter { name: "kv_bandwidth", ..from(kv, attention, "bandwidth") },
    ];
    let measure = "decode of three or more models, over batches and contexts".to_owned();
    let subject = precision.to_string();
    Prepared { operation: ID, subject, law: Law { parameters, join: Join::Smooth }, rows, smooth: true, measure }
}
