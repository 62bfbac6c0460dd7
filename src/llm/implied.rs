//! Reading a parameter count backwards: the hidden size it implies.

use super::ModelError;

/// The hidden size `d` of `layers` layers with `squares x d^2` parameters each: 4 for multi-head attention, 8 for an
/// MLP four times as wide, 12 for both.
///
/// # Errors
/// [`ModelError::Number`] without layers or squares.
pub fn hidden_from(parameters: f64, layers: u32, squares: u32) -> Result<f64, ModelError> {
    hidden_from_quadratic(parameters, layers, squares, 0.0)
}

/// The hidden size `d` of `layers` layers of multi-query attention: `2 d^2 + 2 d x head size` parameters each.
///
/// # Errors
/// [`ModelError::Number`] without layers.
pub fn hidden_from_multi_query(parameters: f64, layers: u32, head_dim: u32) -> Result<f64, ModelError> {
    hidden_from_quadratic(parameters, layers, 2, 2.0 * f64::from(head_dim))
}

/// The positive root of `squares d^2 + linear d = parameters / layers`.
fn hidden_from_quadratic(parameters: f64, layers: u32, squares: u32, linear: f64) -> Result<f64, ModelError> {
    if let Some((what, _)) = [("layers", layers), ("squares", squares)].into_iter().find(|(_, count)| *count == 0) {
        return Err(ModelError::Number { what, value: 0, must: "at least 1".to_owned() });
    }
    let (a, c) = (f64::from(squares), parameters / f64::from(layers));
    Ok(((linear * linear + 4.0 * a * c).sqrt() - linear) / (2.0 * a))
}
