//! A run in the formats of other tools: one file each, and one table of them.

pub mod claims;
mod csv;
mod json;
mod md;
mod table;

use crate::record::Run;

/// A format that a run can be shown in.
pub struct Format {
    /// What a user types to select it.
    pub id: &'static str,
    /// What it is, in a line.
    pub about: &'static str,
    /// The run in this format. Pure: the same run gives the same text.
    pub render: fn(&Run) -> Result<String, ExportError>,
}

/// Every format. To add one: its file, and a row here.
pub static FORMATS: &[Format] = &[table::FORMAT, json::FORMAT, csv::FORMAT, md::FORMAT];

/// Why a run could not be written in a format.
#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    /// JSON could not be written.
    #[error("the run cannot be written as JSON: {0}")]
    Json(#[from] serde_json::Error),
    /// CSV could not be written.
    #[error("the run cannot be written as CSV: {0}")]
    Csv(String),
}

/// The format with an id.
///
/// # Errors
///
/// An id that names no format; the message lists those there are.
pub fn find(id: &str) -> Result<&'static Format, UnknownFormat> {
    FORMATS
        .iter()
        .find(|format| format.id == id)
        .ok_or_else(|| UnknownFormat::new(id, FORMATS.iter().map(|format| format.id)))
}

/// An id that names no format.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnknownFormat {
    id: String,
    known: String,
}

impl UnknownFormat {
    fn new<'a>(id: &str, known: impl Iterator<Item = &'a str>) -> Self {
        Self { id: id.to_owned(), known: known.collect::<Vec<_>>().join(", ") }
    }
}

impl std::fmt::Display for UnknownFormat {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "unknown format '{}'; known: {}", self.id, self.known)
    }
}

impl std::error::Error for UnknownFormat {}
