//! A number with the interval that holds it, and how an interval passes through a formula.

use serde::Serialize;

use super::CostError;
use crate::summary::Estimate;
use crate::units::{ByteCount, ByteRate, FlopCount, FlopRate, Ratio, Seconds, Usd};

/// A finite, non-negative value with the interval that holds it; `low <= value <= high`.
///
/// The unit is the base SI unit (or USD, tokens, parameters), spelled in the name of whatever holds
/// the figure: `bandwidth_b_s`, `price_usd_h`. A datasheet's figure is exact; a measured or imported
/// one carries its interval, and every formula of this module passes the interval on.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Figure {
    value: f64,
    low: f64,
    high: f64,
}

impl Figure {
    /// A figure that is known exactly, or taken as such.
    ///
    /// # Errors
    /// [`CostError::Invalid`] for a value that is negative, infinite or NaN.
    pub fn exact(value: f64) -> Result<Self, CostError> {
        Self::between(value, value, value)
    }

    /// An exact figure that somebody states and that must be more than zero: a price, a batch, a number of GPUs.
    ///
    /// # Errors
    /// [`CostError::NotPositive`], naming it.
    pub fn stated(what: &'static str, value: f64) -> Result<Self, CostError> {
        let positive = value.is_finite() && value > 0.0;
        if positive { Self::exact(value) } else { Err(CostError::NotPositive { what, value }) }
    }

    /// A figure with its interval.
    ///
    /// # Errors
    /// [`CostError::Invalid`] unless `0 <= low <= value <= high` and all are finite.
    pub fn between(value: f64, low: f64, high: f64) -> Result<Self, CostError> {
        if 0.0 <= low && low <= value && value <= high && high.is_finite() {
            Ok(Self { value, low, high })
        } else {
            Err(CostError::Invalid { value, low, high })
        }
    }

    /// The figure itself.
    pub const fn value(self) -> f64 {
        self.value
    }

    /// Lower end of its interval.
    pub const fn low(self) -> f64 {
        self.low
    }

    /// Upper end of its interval.
    pub const fn high(self) -> f64 {
        self.high
    }

    /// Whether the interval is a point.
    pub fn is_exact(self) -> bool {
        self.low == self.high
    }

    /// The figure times an exact factor.
    ///
    /// # Errors
    /// [`CostError::Invalid`] when the factor is negative or not finite.
    pub fn scaled(self, factor: f64) -> Result<Self, CostError> {
        corners([self], |[x]| Ok([x * factor])).map(|[y]| y)
    }
}

impl TryFrom<Estimate> for Figure {
    type Error = CostError;
    fn try_from(estimate: Estimate) -> Result<Self, CostError> {
        Self::between(estimate.value, estimate.low, estimate.high)
    }
}

impl From<Figure> for Estimate {
    fn from(figure: Figure) -> Self {
        Self { value: figure.value, low: figure.low, high: figure.high }
    }
}

/// Exact figures from types that are finite and not negative already.
macro_rules! exact_from {
    ($($quantity:ty => $number:expr),* $(,)?) => {$(
        impl From<$quantity> for Figure {
            fn from(quantity: $quantity) -> Self {
                let number: fn($quantity) -> f64 = $number;
                let value = number(quantity);
                Self { value, low: value, high: value }
            }
        }
    )*};
}
exact_from!(
    ByteRate => ByteRate::get,
    FlopRate => FlopRate::get,
    Ratio => Ratio::get,
    Seconds => Seconds::get,
    Usd => Usd::get,
    ByteCount => |bytes| bytes.0 as f64,
    FlopCount => |flop| flop.0 as f64,
    u32 => f64::from,
);

/// A formula's results over the intervals of its inputs.
///
/// The value comes from the inputs' values; each interval is spanned by the results at every corner
/// of the inputs' box. That is exact for a formula monotone in each input, whichever the direction,
/// as every one in this module is; and an input that appears twice is not counted twice, as it would
/// be under interval arithmetic (bandwidth cancels in a ratio of two bandwidth-bound times).
pub(super) fn corners<const N: usize, const M: usize>(
    inputs: [Figure; N],
    formula: impl Fn([f64; N]) -> Result<[f64; M], CostError>,
) -> Result<[Figure; M], CostError> {
    let values = formula(inputs.map(Figure::value))?;
    let (mut low, mut high) = (values, values);
    // Bit i of a corner picks the upper end of input i; an exact input has one end only.
    let exact = (0..N).filter(|&i| inputs[i].is_exact()).fold(0_usize, |mask, i| mask | 1 << i);
    for corner in (0..1_usize << N).filter(|corner| corner & exact == 0) {
        let mut at = inputs.map(Figure::low);
        for (i, input) in inputs.iter().enumerate().filter(|(i, _)| corner >> i & 1 == 1) {
            at[i] = input.high();
        }
        for (m, result) in formula(at)?.into_iter().enumerate() {
            low[m] = low[m].min(result);
            high[m] = high[m].max(result);
        }
    }
    let mut figures = [Figure { value: 0.0, low: 0.0, high: 0.0 }; M];
    for (m, figure) in figures.iter_mut().enumerate() {
        *figure = Figure::between(values[m], low[m], high[m])?;
    }
    Ok(figures)
}

/// [`corners`] of a formula with one result.
pub(super) fn corner<const N: usize>(
    inputs: [Figure; N],
    formula: impl Fn([f64; N]) -> f64,
) -> Result<Figure, CostError> {
    corners(inputs, |at| Ok([formula(at)])).map(|[figure]| figure)
}

/// The figure, if no part of its interval is zero: it will be divided by, or zero makes no sense.
pub(super) fn positive(what: &'static str, figure: Figure) -> Result<Figure, CostError> {
    if figure.low > 0.0 { Ok(figure) } else { Err(CostError::Zero { what }) }
}

/// The figure, if it is a share: above 0 and at most 1.
pub(super) fn share(what: &'static str, figure: Figure) -> Result<Figure, CostError> {
    match positive(what, figure)? {
        share if share.high <= 1.0 => Ok(share),
        beyond => Err(CostError::AboveOne { what, value: beyond.high }),
    }
}
