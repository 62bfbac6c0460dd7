//! Others' results, read into records: bytes in, records out. The command line opens the files.
//!
//! Every source has a file here and a row in [`SOURCES`]. What a case of an imported benchmark is made of, and which
//! work it declares, is in [`operations`]; [`lint`] holds every row against physics and quarantines what cannot be.

pub mod aiconfigurator;
mod archive;
mod columns;
mod error;
pub mod lint;
pub mod operations;
mod origin;
pub mod subset;

pub use archive::{Archive, Wheel};
pub use error::ImportError;
pub use origin::{Origin, Stamp, device_named};

use crate::record::{Header, Record};

/// A format that can be imported. To add one: its file, and a row in [`SOURCES`].
#[derive(Debug)]
pub struct Source {
    /// What a user types.
    pub id: &'static str,
    /// What it is.
    pub about: &'static str,
}

/// Every format, in the order help lists them.
pub static SOURCES: &[&Source] = &[&aiconfigurator::SOURCE];

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
}

impl Import {
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
        let all: Box<dyn Iterator<Item = Record> + '_> = match &self.records {
            Rows::Tables(tables) => Box::new(tables.iter().flat_map(aiconfigurator::Table::records)),
        };
        match self.subset {
            true => Box::new(all.filter(|record| subset::keeps(&record.case))),
            false => all,
        }
    }
}
