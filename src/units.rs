//! Quantities as types: a number that reaches another module carries its unit with it.
//!
//! Everything is SI inside (seconds, bytes, hertz, watts, joules); a prefix appears only in
//! [`std::fmt::Display`]. A rate or a time is finite and never negative, and the constructors and
//! the deserialisers enforce that, so that a NaN cannot enter through a run file. Where types end
//! (JSON, CSV, flags) the name spells the unit: `elapsed_s`, `bytes_read_b`, `clock_hz`.

use std::cmp::Ordering;
use std::fmt;
use std::iter::Sum;
use std::ops::{Add, Mul};
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// Why a number cannot be a quantity: it is negative, infinite or not a number.
#[derive(Debug, Clone, Copy, PartialEq, thiserror::Error)]
#[error("{value} is not a valid number of {unit}: it must be finite and not negative")]
pub struct InvalidQuantity {
    value: f64,
    unit: &'static str,
}

/// Declares a finite, non-negative `f64` newtype. One place, so that no unit forgets a check.
macro_rules! quantity {
    ($(#[$doc:meta])* $name:ident, $unit:literal) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
        #[serde(try_from = "f64", into = "f64")]
        pub struct $name(f64);

        impl $name {
            /// None at all.
            pub const ZERO: Self = Self(0.0);

            /// The quantity, or `None` for a value that is negative, infinite or NaN.
            pub fn new(value: f64) -> Option<Self> {
                (value.is_finite() && value >= 0.0).then_some(Self(value))
            }

            /// The bare SI number, for formulas and for the borders where types end.
            pub const fn get(self) -> f64 {
                self.0
            }

            /// This quantity times a bare factor; `None` if the factor makes it invalid.
            pub fn scaled(self, factor: f64) -> Option<Self> {
                Self::new(self.0 * factor)
            }

            /// This over another of the same unit; `None` when the other is zero.
            pub fn ratio_to(self, other: Self) -> Option<Ratio> {
                Ratio::new(self.0 / other.0)
            }
        }

        impl TryFrom<f64> for $name {
            type Error = InvalidQuantity;
            fn try_from(value: f64) -> Result<Self, Self::Error> {
                Self::new(value).ok_or(InvalidQuantity { value, unit: $unit })
            }
        }

        impl From<$name> for f64 {
            fn from(quantity: $name) -> f64 {
                quantity.0
            }
        }

        // Total, since NaN is never constructed.
        impl Eq for $name {}
        impl Ord for $name {
            fn cmp(&self, other: &Self) -> Ordering {
                self.0.total_cmp(&other.0)
            }
        }
        impl PartialOrd for $name {
            fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
                Some(self.cmp(other))
            }
        }

        // Sums and products of finite values stay in range for any machine this side of 1e308.
        impl Add for $name {
            type Output = Self;
            fn add(self, other: Self) -> Self {
                Self(self.0 + other.0)
            }
        }
        impl Sum for $name {
            fn sum<I: Iterator<Item = Self>>(terms: I) -> Self {
                terms.fold(Self::ZERO, Add::add)
            }
        }

        impl schemars::JsonSchema for $name {
            fn schema_name() -> std::borrow::Cow<'static, str> {
                stringify!($name).into()
            }
            fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
                schemars::json_schema!({ "type": "number", "minimum": 0, "description": concat!("in ", $unit) })
            }
        }
    };
}

quantity!(
    /// A span of time, in seconds.
    Seconds, "seconds"
);
quantity!(
    /// Bytes moved per second. Displayed with decimal prefixes: 1 GB/s is 1e9 B/s.
    ByteRate, "bytes per second"
);
quantity!(
    /// Arithmetic operations per second (FLOP/s, or OP/s for integers).
    FlopRate, "operations per second"
);
quantity!(
    /// Operational intensity: operations per byte of compulsory memory traffic.
    Intensity, "operations per byte"
);
quantity!(
    /// A frequency, in hertz.
    Hertz, "hertz"
);
quantity!(
    /// Power, in watts.
    Watts, "watts"
);
quantity!(
    /// Energy, in joules.
    Joules, "joules"
);
quantity!(
    /// A temperature in degrees Celsius, above freezing: chips that report less are not trusted.
    Celsius, "degrees Celsius"
);
quantity!(
    /// A pure number: 1.0 is 100 %.
    Ratio, "(a ratio)"
);
quantity!(
    /// Money, in United States dollars.
    Usd, "US dollars"
);

/// A number of bytes. Capacities are displayed in binary units (GiB is 2^30 bytes).
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize, schemars::JsonSchema,
)]
#[serde(transparent)]
pub struct ByteCount(pub u64);

/// A number of arithmetic operations; a fused multiply-add is two.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize, schemars::JsonSchema,
)]
#[serde(transparent)]
pub struct FlopCount(pub u64);

impl ByteCount {
    /// No bytes.
    pub const ZERO: Self = Self(0);

    /// `count` times 2^10 bytes.
    pub const fn kib(count: u64) -> Self {
        Self(count << 10)
    }

    /// `count` times 2^20 bytes.
    pub const fn mib(count: u64) -> Self {
        Self(count << 20)
    }

    /// `count` times 2^30 bytes.
    pub const fn gib(count: u64) -> Self {
        Self(count << 30)
    }

    /// The rate at which these bytes move in `time`; `None` when the time is zero.
    pub fn per(self, time: Seconds) -> Option<ByteRate> {
        ByteRate::new(self.0 as f64 / time.get())
    }
}

impl FlopCount {
    /// No operations.
    pub const ZERO: Self = Self(0);

    /// The rate at which these operations run in `time`; `None` when the time is zero.
    pub fn per(self, time: Seconds) -> Option<FlopRate> {
        FlopRate::new(self.0 as f64 / time.get())
    }

    /// Operational intensity against `bytes` of traffic; `None` when no byte moves.
    pub fn per_byte(self, bytes: ByteCount) -> Option<Intensity> {
        Intensity::new(self.0 as f64 / bytes.0 as f64)
    }
}

impl Add for ByteCount {
    type Output = Self;
    /// Saturates: an imported file may hold any count.
    fn add(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }
}

impl Sum for ByteCount {
    fn sum<I: Iterator<Item = Self>>(terms: I) -> Self {
        terms.fold(Self::ZERO, Add::add)
    }
}

impl Add for FlopCount {
    type Output = Self;
    /// Saturates: an imported file may hold any count.
    fn add(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }
}

impl Sum for FlopCount {
    fn sum<I: Iterator<Item = Self>>(terms: I) -> Self {
        terms.fold(Self::ZERO, Add::add)
    }
}

impl Mul<Intensity> for ByteRate {
    type Output = FlopRate;
    /// The roofline's slope: what a byte rate allows at an operational intensity.
    fn mul(self, intensity: Intensity) -> FlopRate {
        FlopRate(self.0 * intensity.0)
    }
}

impl FlopRate {
    /// The ridge point: the operational intensity at which this compute ceiling meets a memory
    /// ceiling of `memory`. `None` when the memory ceiling is zero.
    pub fn ridge(self, memory: ByteRate) -> Option<Intensity> {
        Intensity::new(self.0 / memory.get())
    }
}

impl Watts {
    /// Energy of this power held for `time`.
    pub fn during(self, time: Seconds) -> Joules {
        Joules(self.0 * time.0)
    }
}

impl From<Duration> for Seconds {
    fn from(duration: Duration) -> Self {
        Self(duration.as_secs_f64())
    }
}

impl From<Seconds> for Duration {
    /// Saturates: a time beyond what a `Duration` holds becomes the longest one.
    fn from(seconds: Seconds) -> Self {
        Duration::try_from_secs_f64(seconds.get()).unwrap_or(Duration::MAX)
    }
}

impl Seconds {
    /// Whole nanoseconds of a clock, as seconds.
    pub fn from_nanos(nanos: u64) -> Self {
        Self(nanos as f64 * 1e-9)
    }

    /// This time less another, or zero where the other is longer.
    pub fn saturating_sub(self, other: Self) -> Self {
        Self((self.0 - other.0).max(0.0))
    }
}

/// Four significant digits at most, without a trailing point: what measurements here support.
pub fn digits(value: f64) -> String {
    if value == 0.0 {
        return "0".to_owned();
    }
    let magnitude = value.abs().log10().floor() as i32;
    let decimals = (3 - magnitude).clamp(0, 9) as usize;
    let text = format!("{value:.decimals$}");
    match text.contains('.') {
        true => text.trim_end_matches('0').trim_end_matches('.').to_owned(),
        false => text,
    }
}

/// The decimal prefix that keeps a value between 1 and 1000, with its factor: `prefix(2.5e9)` is `(1e9, "G")`.
/// Zero, and what is smaller than any prefix, take no part in the choice and get the nearest.
pub fn prefix(value: f64) -> (f64, &'static str) {
    const PREFIXES: [(f64, &str); 9] = [
        (1e15, "P"),
        (1e12, "T"),
        (1e9, "G"),
        (1e6, "M"),
        (1e3, "k"),
        (1.0, ""),
        (1e-3, "m"),
        (1e-6, "µ"),
        (1e-9, "n"),
    ];
    if value == 0.0 {
        return (1.0, "");
    }
    // 0.99995 of a prefix rounds up to it, so 999.96e6 reads 1 G and not 1000 M.
    let found = PREFIXES.iter().find(|(scale, _)| value.abs() >= scale * 0.99995);
    *found.unwrap_or(&PREFIXES[PREFIXES.len() - 1])
}

/// A value with the decimal prefix that keeps it between 1 and 1000: `with_prefix(2.5e9, "B/s")` is `2.5 GB/s`.
pub fn with_prefix(value: f64, unit: &str) -> String {
    let (scale, prefix) = prefix(value);
    format!("{} {prefix}{unit}", digits(value / scale))
}

impl fmt::Display for Seconds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            s if s >= 99.5 => {
                let whole = s.round() as u64;
                match whole / 3600 {
                    0 => f.pad(&format!("{} min {:02} s", whole / 60, whole % 60)),
                    hours => f.pad(&format!("{hours} h {:02} min", whole % 3600 / 60)),
                }
            }
            s if s >= 1.0 => f.pad(&format!("{} s", digits(s))),
            s => f.pad(&with_prefix(s, "s")),
        }
    }
}

/// Displays through [`with_prefix`], honouring width and alignment.
macro_rules! display_prefixed {
    ($($name:ident => $unit:literal),* $(,)?) => {$(
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(&with_prefix(self.0, $unit))
            }
        }
    )*};
}
display_prefixed!(ByteRate => "B/s", FlopRate => "FLOP/s", Hertz => "Hz", Watts => "W", Joules => "J");

impl fmt::Display for Intensity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&format!("{} FLOP/B", digits(self.0)))
    }
}

impl fmt::Display for Celsius {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&format!("{} °C", digits(self.0)))
    }
}

impl fmt::Display for Ratio {
    /// As a percentage.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&format!("{} %", digits(self.0 * 100.0)))
    }
}

impl fmt::Display for Usd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            v if (0.995..1e4).contains(&v) => f.pad(&format!("{v:.2} USD")),
            v if v >= 1e4 => f.pad(&with_prefix(v, "USD")),
            v => f.pad(&format!("{} USD", digits(v))),
        }
    }
}

impl fmt::Display for ByteCount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const UNITS: [(u64, &str); 4] = [(1 << 40, "TiB"), (1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB")];
        match UNITS.iter().find(|(scale, _)| self.0 >= *scale) {
            Some((scale, unit)) => f.pad(&format!("{} {unit}", digits(self.0 as f64 / *scale as f64))),
            None => f.pad(&format!("{} B", self.0)),
        }
    }
}

impl fmt::Display for FlopCount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&with_prefix(self.0 as f64, "FLOP"))
    }
}
