//! Memory bandwidth as a curve over the working set: a fixed cost, then bytes at the rate of memory. It falls short of
//! that rate by half where reading takes as long as the fixed cost.

use std::collections::BTreeMap;

use super::fitted::Prepared;
use super::known::Known;
use super::law::{Join, Law, Role, Row};
use super::{Measured, bandwidths};

/// Its id.
pub const ID: &str = "memory";

/// One curve for each kernel: reading, copying …
pub fn prepare(known: &Known, items: &[Measured], last_cache_b: f64) -> Vec<Prepared> {
    let mut kernels: BTreeMap<String, Vec<Row>> = BTreeMap::new();
    for (kernel, size, item) in bandwidths(items).filter(|(_, size, _)| *size as f64 > last_cache_b) {
        let bytes = item.record.work.bytes().0 as f64;
        kernels.entry(kernel.to_owned()).or_default().push(Row {
            time_s: item.summary.time.value,
            cluster: format!("size={size}"),
            amounts: [1.0, bytes, 0.0, 0.0],
            bytes: 0.0,
            flop: 0.0,
            reached: None,
            at: [(size as f64).log2(), 0.0, 0.0],
            decodes: false,
        });
    }
    let prepared = |(subject, rows): (String, Vec<Row>)| {
        let bandwidth = known.bandwidth(Role::Rate(1), 0.1, &rows, |row| row.amounts[1]);
        let law = Law { parameters: vec![known.fixed("fixed", 0, 1.0), bandwidth], join: Join::Smooth };
        let measure = format!("memory, kernel {subject}, at three or more sizes past the last cache");
        Prepared { operation: ID, subject, law, rows, smooth: false, measure }
    };
    kernels.into_iter().map(prepared).collect()
}
