//! stub
use super::{Model, ModelError};
/// a
pub fn parse_hf_config(_t: &str, _f: &str) -> Result<Model, ModelError> {
    Err(ModelError::Number { what: "", value: 0, must: String::new() })
}
