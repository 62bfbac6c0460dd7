//! Rows by kind. Where several kernels did one kind of work, the one with most cases bears the kind's plain name, and
//! each other is a kind of its own: an average of two kernels is the time of neither.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use super::Measured;
use super::law::Row;

/// Rows of each kind and kernel.
pub struct Kinds<K> {
    rows: BTreeMap<K, BTreeMap<String, Vec<Row>>>,
}

impl<K> Default for Kinds<K> {
    fn default() -> Self {
        Self { rows: BTreeMap::new() }
    }
}

/// The kernel of a case, as whoever measured it names it.
pub fn kernel<'a>(item: &'a Measured) -> &'a str {
    item.record.case.word("kernel_source").unwrap_or("")
}

/// The name of a kind, with that of its kernel where it is not the usual one.
pub fn named(kind: String, kernel: Option<String>) -> String {
    match kernel {
        Some(kernel) => format!("{kind}, {kernel}"),
        None => kind,
    }
}

impl<K: Ord + Clone> Kinds<K> {
    /// Adds a row; a kind that has none is known all the same.
    pub fn add(&mut self, kind: K, kernel: &str, row: Option<Row>) {
        self.rows.entry(kind).or_default().entry(kernel.to_owned()).or_default().extend(row);
    }

    /// Each kind with its rows; the kernel where it is not the usual one of its kind.
    pub fn into_each(self) -> Vec<(K, Option<String>, Vec<Row>)> {
        let mut each = Vec::new();
        for (kind, mut kernels) in self.rows {
            let usual = kernels.iter().max_by_key(|(name, rows)| (rows.len(), Reverse(*name)));
            let usual = usual.map(|(name, _)| name.clone()).unwrap_or_default();
            let rows = kernels.remove(&usual).unwrap_or_default();
            each.push((kind.clone(), None, rows));
            each.extend(kernels.into_iter().map(|(kernel, rows)| (kind.clone(), Some(kernel), rows)));
        }
        each
    }
}
