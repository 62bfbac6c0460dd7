//! Judged claims in the formats of other tools: one file each, and one table of them.

mod json;
mod md;
mod table;

use super::{ExportError, UnknownFormat};
use crate::report::Judged;
use crate::report::terminal::Terminal;

/// A format that judged claims can be shown in.
pub struct Format {
    /// What a user types to select it.
    pub id: &'static str,
    /// The claims in this format, for a terminal where that matters.
    pub render: fn(&Judged<'_>, &Terminal) -> Result<String, ExportError>,
}

/// Every format. To add one: its file, and a row here.
pub static FORMATS: &[Format] = &[table::FORMAT, json::FORMAT, md::FORMAT];

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
