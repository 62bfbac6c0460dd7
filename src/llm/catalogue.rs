//! stub
use super::{Model, ModelError};
/// a
pub fn catalogue() -> Result<Vec<Model>, ModelError> {
    Ok(vec![])
}
/// a
pub fn find(_id: &str) -> Result<Model, ModelError> {
    catalogue()?.pop().ok_or(ModelError::Number { what: "", value: 0, must: String::new() })
}
/// a
pub fn parse_toml(_t: &str, _f: &str) -> Result<Vec<Model>, ModelError> {
    Ok(vec![])
}
