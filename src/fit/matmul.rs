//! Matrix products: a fixed cost, and reading joined with computing. One law for each precision and format of weights.

use std::collections::BTreeMap;

use super::fitted::Prepared;
use super::known::{Known, exponent};
use super::law::{Join, Law, Role, Row};
use super::{Measured, measured};
use crate::record::{Precision, Run};

/// Its id.
pub const ID: &str = "matmul";

/// Elements of the weights from which a product is of memory and not of a cache, nor all fixed cost.
const WEIGHTS_LEAST: u64 = 4_000_000;

/// Most rows of a decode batch.
const DECODE_MOST: u64 = 512;

/// Every kind of product that was measured.
pub fn prepare(known: &Known, items: &[Measured]) -> Vec<Prepared> {
    let mut kinds: BTreeMap<(Precision, String), Vec<Row>> = BTreeMap::new();
    for item in items.iter().filter(|item| item.record.case.benchmark == ID) {
        let weights = item.record.case.word("weights").unwrap_or("");
        let Some(precision) = item.summary.precision else { continue };
        let rows = kinds.entry((precision, weights.to_owned())).or_default();
        rows.extend(row(item));
    }
    kinds.into_iter().map(|((precision, weights), rows)| prepared(known, precision, &weights, rows)).collect()
}

/// A product as a row; `None` for small weights, and for data that flatters a device.
fn row(item: &Measured) -> Option<Row> {
    let case = &item.record.case;
    let [m, n, k] = [case.count("m")?, case.count("n")?, case.count("k")?];
    let real = case.word("data").is_none_or(|data| data == "random");
    (real && n.checked_mul(k)? >= WEIGHTS_LEAST && m > 0).then(|| Row {
        time_s: item.summary.time.value,
        cluster: format!("n={n} k={k}"),
        amounts: [1.0, 0.0, 0.0, 0.0],
        bytes: item.record.work.bytes().0 as f64,
        flop: item.record.work.operations().0 as f64,
        reached: None,
        at: [m, n, k].map(|size| (size as f64).log2()),
        decodes: m <= DECODE_MOST,
    })
}

/// The kind of a product: its precision, and the format of its weights where that is another.
fn subject(precision: Precision, weights: &str) -> String {
    match weights {
        "" => precision.to_string(),
        weights => format!("{precision}, weights {weights}"),
    }
}

/// A measured product.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Product {
    /// m, n and k.
    pub shape: [u64; 3],
    /// Bytes read and written.
    pub bytes: f64,
    /// Operations.
    pub flop: f64,
    /// Its time, in seconds.
    pub time_s: f64,
}

/// Products of a device that a law of that kind rests on.
pub fn products(run: &Run, device: u32, kind: &str) -> Vec<Product> {
    let products = measured(run, device).into_iter().filter_map(|item| {
        let case = &item.record.case;
        let own = subject(item.summary.precision?, case.word("weights").unwrap_or(""));
        let row = row(&item).filter(|_| case.benchmark == ID && own == kind)?;
        let shape = [case.count("m")?, case.count("n")?, case.count("k")?];
        Some(Product { shape, bytes: row.bytes, flop: row.flop, time_s: row.time_s })
    });
    products.collect()
}

fn prepared(known: &Known, precision: Precision, weights: &str, rows: Vec<Row>) -> Prepared {
    let parameters = vec![
        known.fixed("fixed", 0, 1.0),
        known.bandwidth(Role::Bandwidth, 0.1, &rows, |row| row.bytes),
        known.throughput(precision, 1.0, 0.2, &rows),
        exponent(),
    ];
    let subject = subject(precision, weights);
    let measure = format!(
        "matmul in {precision} at three or more sizes n x k of 4 million elements and more, each at m = 1, 64, 256 and 4096"
    );
    Prepared { operation: ID, subject, law: Law { parameters, join: Join::Smooth }, rows, smooth: true, measure }
}
