//! The closed list of units a claim may be written in, and how a value reads in one.
//!
//! A value is held in the base unit of its kind; a unit is a name, its kind and its scale. Kinds keep a
//! count of tokens from being taken for a count of parameters; scale keeps GB (10^9 bytes) and GiB
//! (2^30 bytes) apart.

use crate::units::digits;

/// What a number counts or measures. Two values of one kind can be compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A pure number: a share, a factor, a probability.
    Ratio,
    /// Things: layers, GPUs, stages, sequences.
    Count,
    /// Model parameters.
    Parameters,
    /// Tokens.
    Tokens,
    /// Tokens per parameter.
    TokensPerParameter,
    /// Tokens per second.
    TokenRate,
    /// Characters or words of text.
    Text,
    /// Characters or words per token.
    TextPerToken,
    /// Words per second.
    TextRate,
    /// Floating-point operations.
    Flop,
    /// Operations per parameter.
    FlopPerParameter,
    /// Operations per second.
    FlopRate,
    /// Operations per byte.
    Intensity,
    /// Bytes.
    Bytes,
    /// Bytes per parameter.
    BytesPerParameter,
    /// Bytes per token.
    BytesPerToken,
    /// Bytes per second.
    ByteRate,
    /// Time.
    Time,
    /// Time on one GPU.
    GpuTime,
    /// Money.
    Money,
    /// Money per hour of one GPU.
    MoneyPerHour,
    /// Money per token.
    MoneyPerToken,
    /// Yuan per dollar.
    Exchange,
    /// Whatever its inputs make it: the result of a bare quotient, product or sum.
    Any,
}

impl Kind {
    /// Whether a value of this kind can stand where `other` is asked for.
    pub fn fits(self, other: Self) -> bool {
        self == other || self == Self::Any || other == Self::Any
    }
}

/// A unit: its name in files and reports, what it measures, and how much of the base unit it is.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Unit {
    /// Its name.
    pub name: &'static str,
    /// What it measures.
    pub kind: Kind,
    /// How many of the kind's base unit it is.
    pub scale: f64,
}

const fn unit(name: &'static str, kind: Kind, scale: f64) -> Unit {
    Unit { name, kind, scale }
}

/// Seconds in a day.
pub const DAY: f64 = 86_400.0;
/// Seconds in a year of 365 days, as the documents count.
pub const YEAR: f64 = 365.0 * DAY;

/// Every unit. To add one: a row here.
pub static UNITS: &[Unit] = &[
    unit("1", Kind::Ratio, 1.0),
    unit("x", Kind::Ratio, 1.0),
    unit("%", Kind::Ratio, 0.01),
    unit("count", Kind::Count, 1.0),
    unit("layers", Kind::Count, 1.0),
    unit("experts", Kind::Count, 1.0),
    unit("heads", Kind::Count, 1.0),
    unit("channels", Kind::Count, 1.0),
    unit("elements", Kind::Count, 1.0),
    unit("GPUs", Kind::Count, 1.0),
    unit("nodes", Kind::Count, 1.0),
    unit("stages", Kind::Count, 1.0),
    unit("replicas", Kind::Count, 1.0),
    unit("sequences", Kind::Count, 1.0),
    unit("micro-batches", Kind::Count, 1.0),
    unit("users", Kind::Count, 1.0),
    unit("bits", Kind::Count, 1.0),
    unit("parameters", Kind::Parameters, 1.0),
    unit("tokens", Kind::Tokens, 1.0),
    unit("tokens/parameter", Kind::TokensPerParameter, 1.0),
    unit("tokens/s", Kind::TokenRate, 1.0),
    unit("tokens/day", Kind::TokenRate, 1.0 / DAY),
    unit("characters", Kind::Text, 1.0),
    unit("words", Kind::Text, 1.0),
    unit("words/token", Kind::TextPerToken, 1.0),
    unit("characters/token", Kind::TextPerToken, 1.0),
    unit("words/s", Kind::TextRate, 1.0),
    unit("words/min", Kind::TextRate, 1.0 / 60.0),
    unit("FLOP", Kind::Flop, 1.0),
    unit("TFLOP", Kind::Flop, 1e12),
    unit("PF-days", Kind::Flop, 1e15 * DAY),
    unit("FLOP/parameter", Kind::FlopPerParameter, 1.0),
    unit("FLOP/s", Kind::FlopRate, 1.0),
    unit("TFLOP/s", Kind::FlopRate, 1e12),
    unit("PFLOP/s", Kind::FlopRate, 1e15),
    unit("FLOP/B", Kind::Intensity, 1.0),
    unit("B", Kind::Bytes, 1.0),
    unit("MB", Kind::Bytes, 1e6),
    unit("GB", Kind::Bytes, 1e9),
    unit("TB", Kind::Bytes, 1e12),
    unit("GiB", Kind::Bytes, (1_u64 << 30) as f64),
    unit("B/parameter", Kind::BytesPerParameter, 1.0),
    unit("B/token", Kind::BytesPerToken, 1.0),
    unit("MB/token", Kind::BytesPerToken, 1e6),
    unit("B/s", Kind::ByteRate, 1.0),
    unit("GB/s", Kind::ByteRate, 1e9),
    unit("TB/s", Kind::ByteRate, 1e12),
    unit("Gbit/s", Kind::ByteRate, 0.125e9),
    unit("s", Kind::Time, 1.0),
    unit("ms", Kind::Time, 1e-3),
    unit("h", Kind::Time, 3600.0),
    unit("days", Kind::Time, DAY),
    unit("years", Kind::Time, YEAR),
    unit("GPU-days", Kind::GpuTime, DAY),
    unit("GPU-years", Kind::GpuTime, YEAR),
    unit("USD", Kind::Money, 1.0),
    unit("USD/h", Kind::MoneyPerHour, 1.0),
    unit("USD/1000 tokens", Kind::MoneyPerToken, 1e-3),
    unit("CNY/USD", Kind::Exchange, 1.0),
];

/// The unit of that name.
pub fn find(name: &str) -> Option<&'static Unit> {
    UNITS.iter().find(|unit| unit.name == name)
}

/// The unit with which a kind is shown when no claim says which.
pub fn base(kind: Kind) -> &'static Unit {
    UNITS.iter().find(|unit| unit.kind == kind && unit.scale == 1.0).unwrap_or(&UNITS[0])
}

/// The unit in which a kind reads best where none is said: of GPUs' rates and memories the one of their datasheets.
pub fn readable(kind: Kind) -> &'static Unit {
    let name = match kind {
        Kind::FlopRate => "TFLOP/s",
        Kind::ByteRate => "GB/s",
        Kind::Bytes => "GB",
        _ => return base(kind),
    };
    find(name).unwrap_or(base(kind))
}

impl Unit {
    /// A value given in the base unit, in this unit.
    pub fn of(&self, base: f64) -> f64 {
        base / self.scale
    }

    /// Whether its name is an English plural: of things, and of longer times.
    fn is_plural(&self) -> bool {
        self.name.len() > 3 && self.name.ends_with('s') && !self.name.contains('/')
    }

    /// A value given in the base unit, as a number with this unit's name.
    pub fn show(&self, base: f64) -> String {
        let number = number(self.of(base));
        match self.name {
            "1" => number,
            "x" => format!("{number}x"),
            "micro-batches" if number == "1" => "1 micro-batch".to_owned(),
            name if number == "1" && self.is_plural() => format!("1 {}", name.trim_end_matches('s')),
            name => format!("{number} {name}"),
        }
    }

    /// A span given in the base unit: `31.85 to 35.39 %`, or one number where both ends read the same.
    pub fn show_span(&self, low: f64, high: f64) -> String {
        let (from, to) = (number(self.of(low)), number(self.of(high)));
        if from == to { self.show(low) } else { format!("{from} to {}", self.show(high)) }
    }
}

/// A number as tables print it: four significant digits, and a power of ten where zeros would not be read. Counts up
/// to 10^15 have the powers of thousands that people speak of: `175e9`, `1.8e12`.
pub fn number(value: f64) -> String {
    let magnitude = value.abs();
    if value == 0.0 || (1e-4..999_950.0).contains(&magnitude) {
        return digits(value);
    }
    if magnitude >= 1.0
        && let Some(power) = [6, 9, 12].into_iter().find(|&power| magnitude / 10_f64.powi(power) < 999.95)
    {
        return format!("{}e{power}", digits(value / 10_f64.powi(power)));
    }
    let text = format!("{value:.3e}");
    match text.split_once('e') {
        Some((mantissa, exponent)) => {
            format!("{}e{exponent}", mantissa.trim_end_matches('0').trim_end_matches('.'))
        }
        None => text,
    }
}

/// The units of a kind, for messages.
pub fn names(kind: Kind) -> String {
    let names: Vec<_> = UNITS.iter().filter(|unit| unit.kind == kind).map(|unit| unit.name).collect();
    names.join(", ")
}
