//! A record's samples turned into figures: the headline with its interval, the spread, the flags.
//!
//! Derived on demand and never stored. The headline is the median with an order-statistic interval;
//! best-of figures are shown as such and never as the headline.

use crate::record::{Precision, Quantity, Record};
use crate::units::{Intensity, Ratio, Seconds};

/// A value with the interval that holds it at [`CONFIDENCE`]. Rates and times alike, SI.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Estimate {
    /// The median.
    pub value: f64,
    /// Lower end of the interval.
    pub low: f64,
    /// Upper end of the interval.
    pub high: f64,
}

/// Confidence of every interval shown.
pub const CONFIDENCE: f64 = 0.95;

/// Something a reader must know before trusting a figure.
#[derive(Debug, Clone, PartialEq)]
pub enum Flag {
    /// The interval's half-width is more than [`WIDE`] of the median.
    Wide(Ratio),
    /// Samples were rejected, this share of them.
    Rejected(Ratio),
    /// More than half were rejected: the figures use all of them, and speak of the machine as it was.
    Disturbed(Ratio),
    /// The rate had not settled when warm-up time was up.
    Unsettled,
    /// The rate drifted by this share from the first to the last third of the samples.
    Drift(Ratio),
    /// The samples fall into two groups.
    Bimodal,
    /// Fewer than ten samples: the interval is the range.
    FewSamples(u32),
    /// A sample is short for the timer: less than 100 times its resolution.
    ShortForTimer,
}

/// Half-width, as a share of the median, above which a figure is flagged as wide.
pub const WIDE: f64 = 0.03;

/// What the samples of one record say.
#[derive(Debug, Clone, PartialEq)]
pub struct Summary {
    /// The figure that answers the question: byte rate, operation rate or time, by the record's quantity.
    pub headline: Estimate,
    /// Its unit: `B/s`, `FLOP/s`, `OP/s`, `s`.
    pub unit: &'static str,
    /// What the headline measures.
    pub quantity: Quantity,
    /// Time of one repeat.
    pub time: Estimate,
    /// Fastest, quartiles and slowest time of one repeat over the samples used.
    pub quantiles: [Seconds; 5],
    /// Interquartile range over median.
    pub spread: Ratio,
    /// Samples that count.
    pub accepted: u32,
    /// Samples that do not.
    pub rejected: u32,
    /// Samples after autocorrelation is discounted.
    pub effective: f64,
    /// Operational intensity of the work.
    pub intensity: Option<Intensity>,
    /// Precision of the work, if it is one.
    pub precision: Option<Precision>,
    /// What to know before trusting the headline.
    pub flags: Vec<Flag>,
}

impl Summary {
    /// The summary of a measured record; `None` for any other outcome, or without a single usable sample.
    pub fn of(_record: &Record) -> Option<Self> {
        None
    }
}
