//! JSON of other tools: read whole, with messages that name the file and what was expected in it.

use serde::de::DeserializeOwned;

use super::ImportError;

/// Reads a JSON document; `wanted` is what messages say the file should be.
///
/// # Errors
/// [`ImportError::Format`] with line and column.
pub(super) fn read<T: DeserializeOwned>(bytes: &[u8], name: &str, wanted: &'static str) -> Result<T, ImportError> {
    serde_json::from_slice(bytes).map_err(|error| ImportError::Format {
        name: name.to_owned(),
        wanted,
        problem: error.to_string(),
    })
}
