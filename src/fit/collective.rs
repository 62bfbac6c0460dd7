//! Collectives: a latency, one more for each further GPU, and the bytes of a ring at the links' bandwidth.
//!
//! No limit is set: switches that reduce on the way move less than a ring's bytes.

use std::collections::BTreeMap;

use super::Measured;
use super::fitted::Prepared;
use super::known::Known;
use super::law::{Join, Law, Parameter, Role, Row};

/// Its id.
pub const ID: &str = "collective";

/// Share of one direction of the links that collectives usually reach.
const LINK_SHARE: f64 = 0.6;

/// Every operation, library, precision and way of the library that was measured: launched one by one and as a graph differ
/// by ten times in latency.
pub fn prepare(known: &Known, items: &[Measured]) -> Vec<Prepared> {
    let mut kinds: BTreeMap<String, Vec<Row>> = BTreeMap::new();
    for item in items.iter().filter(|item| item.record.case.benchmark == ID) {
        let case = &item.record.case;
        let words: Vec<&str> =
            ["operation", "library", "precision", "kernel_source"].iter().filter_map(|axis| case.word(axis)).collect();
        kinds.entry(words.join(", ")).or_default().extend(row(item));
    }
    kinds.into_iter().map(|(subject, rows)| prepared(known, subject, rows)).collect()
}

/// Bytes each GPU sends of `size`, as NCCL counts bus bandwidth.
fn ring(operation: &str, gpus: f64) -> f64 {
    let passes = if operation == "all_reduce" { 2.0 } else { 1.0 };
    passes * (gpus - 1.0) / gpus
}

fn row(item: &Measured) -> Option<Row> {
    let case = &item.record.case;
    let (gpus, size) = (case.count("gpus")?, case.count("size")?);
    let sent = ring(case.word("operation")?, gpus as f64) * size as f64;
    (gpus > 1 && size > 0).then(|| Row {
        time_s: item.summary.time.value,
        cluster: format!("size={size}"),
        amounts: [1.0, gpus as f64 - 2.0, sent, 0.0],
        bytes: 0.0,
        flop: 0.0,
        reached: None,
        at: [(size as f64).log2(), (gpus as f64).log2(), 0.0],
        decodes: false,
    })
}

fn prepared(known: &Known, subject: String, rows: Vec<Row>) -> Prepared {
    let best = rows.iter().map(|row| row.amounts[2] / row.time_s).fold(1.0, f64::max);
    let link = known.gpu.as_ref().and_then(|gpu| gpu.link_one_way());
    let prior = link.map_or(best, |link| LINK_SHARE * link.get());
    let parameters = vec![
        known.fixed("latency", 0, 2.0),
        known.fixed("per_gpu", 1, 0.2),
        Parameter { name: "bandwidth", unit: "B/s", role: Role::Rate(2), prior, sigma: 0.3, limit: None },
    ];
    let measure = "the collective over sizes from 1 KiB to 512 MiB".to_owned();
    Prepared { operation: ID, subject, law: Law { parameters, join: Join::Smooth }, rows, smooth: true, measure }
}
