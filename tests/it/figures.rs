//! What the tests of costs share: figures, and comparing one with a told number.

use rooflint::cost::Figure;

pub fn exact(value: f64) -> Figure {
    Figure::exact(value).unwrap()
}

pub fn between(value: f64, low: f64, high: f64) -> Figure {
    Figure::between(value, low, high).unwrap()
}

/// `found` is `told` to its `last_digit`, rounded.
#[track_caller]
pub fn reads(what: &str, found: Figure, told: f64, last_digit: f64) {
    is_rounded(what, found.value(), told, last_digit);
}

/// The interval of `found` is the one told.
#[track_caller]
pub fn ranges(what: &str, found: Figure, low: f64, high: f64, last_digit: f64) {
    is_rounded(what, found.low(), low, last_digit);
    is_rounded(what, found.high(), high, last_digit);
}

#[track_caller]
fn is_rounded(what: &str, found: f64, told: f64, last_digit: f64) {
    // A hair more than half a digit, for figures that were rounded from decimals.
    assert!((found - told).abs() <= 0.5001 * last_digit, "{what}: found {found}, told {told}");
}
