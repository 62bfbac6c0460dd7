//! Numbers as a reader sees them: four significant digits at most, and never more than the interval supports.

use crate::summary::Estimate;
use crate::units::{digits, prefix};

/// Most significant digits shown.
const SIGNIFICANT: i32 = 4;

/// Most in a sentence, and of a value whose interval is not known.
const BRIEF: i32 = 3;

/// A value and the half-width of its interval, rounded alike: `52.1` and `0.4`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shown {
    /// The value.
    pub value: String,
    /// The larger half of the interval: a number, `<0.01` where it is below the last digit shown, or
    /// [`UNKNOWN`].
    pub half: String,
}

/// Stands for the half-width of an interval without width: a single sample, or a timer too coarse to see
/// any spread. `± 0` would claim the opposite of what is known.
pub const UNKNOWN: &str = "?";

/// The larger side of an interval: what stands behind `±`.
pub fn half_width(estimate: Estimate) -> f64 {
    (estimate.high - estimate.value).max(estimate.value - estimate.low).max(0.0)
}

/// An estimate in units of `scale`.
pub fn shown(estimate: Estimate, scale: f64) -> Shown {
    rounded(estimate, scale, SIGNIFICANT)
}

fn rounded(estimate: Estimate, scale: f64, significant: i32) -> Shown {
    let (value, half) = (estimate.value / scale, half_width(estimate) / scale);
    if half == 0.0 {
        let value = at_place(value, magnitude(value) - (BRIEF - 1));
        return Shown { value, half: UNKNOWN.to_owned() };
    }
    let place = half_place(half).max(magnitude(value) - (significant - 1));
    let half = match half {
        half if half < 0.5 * 10f64.powi(place) => format!("<{}", at_place(10f64.powi(place), place)),
        half => at_place(half, place),
    };
    Shown { value: at_place(value, place), half }
}

/// An estimate with the prefix that suits it and without its interval: `52.1 GB/s`.
pub fn plain(estimate: Estimate, unit: &str) -> String {
    let (scale, prefix) = prefix(estimate.value);
    spaced(&shown(estimate, scale).value, &format!("{prefix}{unit}"))
}

/// The same in three digits at most, for sentences.
pub fn brief(estimate: Estimate, unit: &str) -> String {
    let (scale, prefix) = prefix(estimate.value);
    spaced(&rounded(estimate, scale, BRIEF).value, &format!("{prefix}{unit}"))
}

/// An estimate with the prefix that suits it and its half-width: `52.1 ± 0.4 GB/s`.
pub fn with_half(estimate: Estimate, unit: &str) -> String {
    let (scale, prefix) = prefix(estimate.value);
    let Shown { value, half } = shown(estimate, scale);
    spaced(&format!("{value} ± {half}"), &format!("{prefix}{unit}"))
}

/// A number in three significant digits, where no interval is known or it stands beside.
pub fn significant(value: f64) -> String {
    at_place(value, magnitude(value) - (BRIEF - 1))
}

/// A share as a whole percentage, with one decimal below ten: `95 %`, `3.2 %`, `3 %`.
pub fn percent(share: f64) -> String {
    match share * 100.0 {
        percent if percent.abs() >= 9.95 || percent == 0.0 => format!("{percent:.0} %"),
        percent if percent.abs() < 0.05 => "<0.1 %".to_owned(),
        percent => format!("{} %", digits((percent * 10.0).round() / 10.0)),
    }
}

/// A multiple: `1.05 times`, `12 times`.
pub fn times(ratio: f64) -> String {
    match ratio {
        ratio if ratio >= 9.95 => format!("{ratio:.0} times"),
        ratio => format!("{} times", digits((ratio * 100.0).round() / 100.0)),
    }
}

/// Digits after the point.
pub fn decimals(number: &str) -> usize {
    number.split_once('.').map_or(0, |(_, decimals)| decimals.len())
}

fn spaced(number: &str, unit: &str) -> String {
    format!("{number} {unit}").trim_end().to_owned()
}

/// The power of ten of the leading digit.
fn magnitude(value: f64) -> i32 {
    if value == 0.0 { 0 } else { value.abs().log10().floor() as i32 }
}

/// The power of ten of the last digit worth showing beside this half-width: its leading digit, and one
/// more after a 1, where rounding to one digit would change it by up to half.
fn half_place(half: f64) -> i32 {
    let leading = magnitude(half);
    if half / 10f64.powi(leading) < 1.95 { leading - 1 } else { leading }
}

fn at_place(value: f64, place: i32) -> String {
    if place >= 0 {
        let step = 10f64.powi(place);
        format!("{:.0}", (value / step).round() * step)
    } else {
        format!("{value:.*}", place.unsigned_abs() as usize)
    }
}
