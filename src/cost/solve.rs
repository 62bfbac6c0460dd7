//! Reading a monotone formula backwards.

/// Halvings of the logarithmic range: enough to reach the last digits of a double from any range here.
const HALVINGS: u32 = 200;

/// The largest `x` in `[low, high]` (both above 0) with `holds(x)`, for a condition that is true up to
/// some point and false from there on. `None` if it is false throughout; `high` if it is true throughout.
pub(super) fn largest<E>(low: f64, high: f64, mut holds: impl FnMut(f64) -> Result<bool, E>) -> Result<Option<f64>, E> {
    if !holds(low)? {
        return Ok(None);
    }
    if holds(high)? {
        return Ok(Some(high));
    }
    let (mut low, mut high) = (low, high);
    for _ in 0..HALVINGS {
        // Geometric: the ranges span many orders of magnitude.
        let middle = (low * high).sqrt();
        if middle <= low || middle >= high {
            break;
        }
        match holds(middle)? {
            true => low = middle,
            false => high = middle,
        }
    }
    Ok(Some(low))
}
