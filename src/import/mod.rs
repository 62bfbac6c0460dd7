//! Others' results, read into records: bytes in, records out. The command line opens the files.
//!
//! Every source has a file here and a row in [`SOURCES`]. What a case of an imported benchmark is made of, and which
//! work it declares, is in [`operations`]; [`lint`] holds every row against physics and quarantines what cannot be.

pub mod aiconfigurator;
mod archive;
mod columns;
pub mod csv;
mod error;
pub mod google_benchmark;
mod json;
pub mod lint;
pub mod llama_bench;
pub mod nvbandwidth;
pub mod nvbench;
pub mod operations;
mod origin;
pub mod subset;
mod taken;

use std::collections::BTreeMap;

pub use archive::{Archive, Wheel};
pub use error::ImportError;
pub use origin::{Origin, Stamp, device_named};

use crate::record::{DeviceInfo, Header, Record};

/// A format that can be imported. To add one: its file, and a row in [`SOURCES`].
#[derive(Debug)]
pub struct Source {
    /// What a user types.
    pub id: &'static str,
    /// What it is.
    pub about: &'static str,
}

/// Every format, in the order help lists them.
pub static SOURCES: &[&Source] = &[
    &aiconfigurator::SOURCE,
    &csv::SOURCE,
    &google_benchmark::SOURCE,
    &nvbench::SOURCE,
    &nvbandwidth::SOURCE,
    &llama_bench::SOURCE,
];

/// An import: a run file's header and its records.
#[derive(Debug)]
pub struct Import {
    /// What its file is called where the user names none, without an ending.
    pub name: String,
    /// The header.
    pub header: Header,
    /// Rows read, before equal cases were joined.
    pub rows: usize,
    records: Rows,
    subset: bool,
}

/// Where records come from: tables make theirs one by one, since a hundred thousand of them at once fill memory.
#[derive(Debug)]
enum Rows {
    Tables(Vec<aiconfigurator::Table>),
    Records(Vec<Record>),
}

impl Import {
    /// An import of few records: those of `file`, whose stem names it. Rows that ask the same question are samples of one
    /// case.
    ///
    /// # Errors
    /// [`ImportError::Nothing`] if no record has a time.
    fn of(
        file: &str,
        origin: &Origin,
        devices: Vec<DeviceInfo>,
        records: Vec<Record>,
        stamp: &Stamp,
    ) -> Result<Self, ImportError> {
        let rows = records.len();
        let records = taken::joined(records);
        if !records.iter().any(|record| record.outcome.measurement().is_some()) {
            let problem = format!("none of its {rows} rows has a time above zero");
            return Err(ImportError::Nothing { name: file.to_owned(), problem });
        }
        let mut benchmarks: Vec<String> = records.iter().map(|record| record.case.benchmark.clone()).collect();
        benchmarks.sort();
        benchmarks.dedup();
        let file = file.rsplit(['/', '\\']).next().unwrap_or(file);
        let name = file.rsplit_once('.').map_or(file, |(stem, _)| stem).to_owned() + "-imported";
        let header = origin.header(&name, BTreeMap::new(), benchmarks, devices, records.len(), stamp);
        Ok(Self { name, header, rows, records: Rows::Records(records), subset: false })
    }

    /// The records that are on the small grid of [`subset`], and no others.
    #[must_use]
    pub fn subset(mut self) -> Self {
        self.subset = true;
        let kept: Vec<usize> =
            self.records().map(|record| record.outcome.measurement().map_or(1, |taken| taken.samples.len())).collect();
        (self.rows, self.header.planned) = (kept.iter().sum(), u32::try_from(kept.len()).unwrap_or(u32::MAX));
        self
    }

    /// The records, made afresh each time, as published: nothing is judged.
    pub fn records(&self) -> Box<dyn Iterator<Item = Record> + '_> {
        match self.subset {
            true => Box::new(self.every_record().filter(|record| subset::keeps(&record.case))),
            false => self.every_record(),
        }
    }

    /// Also those that a subset leaves out: labels are judged by all that bear them.
    pub fn every_record(&self) -> Box<dyn Iterator<Item = Record> + '_> {
        match &self.records {
            Rows::Tables(tables) => Box::new(tables.iter().flat_map(aiconfigurator::Table::records)),
            Rows::Records(records) => Box::new(records.iter().cloned()),
        }
    }
}
