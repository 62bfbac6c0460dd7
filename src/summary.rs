//! A record's samples turned into figures: the headline with its interval, the spread, the flags.
//!
//! Derived on demand and never stored. The headline is the median with an order-statistic interval;
//! best-of figures are shown as such and never as the headline.

use std::fmt;

use crate::record::{Measurement, Precision, Quantity, Record, Sample, Work};
use crate::stats::{Interval, Sorted, bimodal, effective_count, median_interval};
use crate::units::{Intensity, Ratio, Seconds, with_prefix};

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

impl Estimate {
    /// The rate at which `amount` is done in a time of `time`: the ends change places.
    pub fn rate(amount: f64, time: Self) -> Self {
        Self { value: amount / time.value, low: amount / time.high, high: amount / time.low }
    }

    /// The same in other units.
    pub fn scaled(self, factor: f64) -> Self {
        Self { value: self.value * factor, low: self.low * factor, high: self.high * factor }
    }

    /// Whether the two intervals have a point in common.
    pub fn overlaps(&self, other: &Self) -> bool {
        self.interval().overlaps(&other.interval())
    }

    /// The interval alone.
    pub fn interval(&self) -> Interval {
        Interval { low: self.low, high: self.high }
    }

    /// Half the interval's width as a share of the value.
    pub fn half_width(&self) -> Ratio {
        share(self.interval().half_width_of(self.value))
    }
}

/// A share of any size; what a ratio cannot hold becomes the largest it can.
fn share(value: f64) -> Ratio {
    Ratio::new(value.min(f64::MAX)).unwrap_or(Ratio::ZERO)
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

/// Samples below which the interval is their range.
const FEW: usize = 10;

/// Change from the first to the last third of the samples above which a drift is flagged, if the
/// intervals of the two do not meet.
const DRIFT: f64 = 0.01;

/// Least length of a sample in steps of the timer.
const TIMER_STEPS: f64 = 100.0;

impl Summary {
    /// The summary of a measured record; `None` for any other outcome, or without a single usable sample.
    ///
    /// The accepted samples are used; all of them where more than half were rejected, with a flag that
    /// says so. A sample of no length is never used. There is no summary either of a rate whose work is
    /// nothing.
    pub fn of(record: &Record) -> Option<Self> {
        let measurement = record.outcome.measurement()?;
        let rejected = measurement.samples.iter().filter(|sample| sample.rejected.is_some()).count();
        let disturbed = 2 * rejected > measurement.samples.len();
        let used: Vec<&Sample> =
            measurement.samples.iter().filter(|sample| disturbed || sample.rejected.is_none()).collect();
        let repeats = f64::from(measurement.repeats);
        let times: Vec<f64> =
            used.iter().map(|sample| sample.elapsed_s.get() / repeats).filter(|time| *time > 0.0).collect();

        let sorted = Sorted::new(times.iter().copied())?;
        let effective = effective_count(&times);
        let time = estimate(&sorted, effective);
        let headline = headline(&record.work, record.quantity, time)?;
        let quantiles = [0.0, 0.25, 0.5, 0.75, 1.0].map(|q| Seconds::new(sorted.quantile(q)).unwrap_or(Seconds::ZERO));
        let precision = record.work.precision();
        Some(Self {
            headline,
            unit: unit(record.quantity, precision),
            quantity: record.quantity,
            time,
            quantiles,
            spread: share((sorted.quantile(0.75) - sorted.quantile(0.25)) / time.value),
            accepted: (measurement.samples.len() - rejected) as u32,
            rejected: rejected as u32,
            effective,
            intensity: record.work.intensity(),
            precision,
            flags: flags(measurement, &times, &sorted, headline),
        })
    }

    /// Half the width of the headline's interval, as a share of the headline.
    pub fn half_width(&self) -> Ratio {
        self.headline.half_width()
    }

    /// The headline with its unit: `52.13 GB/s`, `1.904 TFLOP/s`, `812 ns`.
    pub fn display_headline(&self) -> String {
        rate_label(self.headline.value, self.unit)
    }
}

/// A value of a summary with its unit, scaled to be read: `rate_label(52.13e9, "B/s")` is `52.13 GB/s`.
/// Times of minutes and more are given as such.
pub fn rate_label(value: f64, unit: &str) -> String {
    match Seconds::new(value) {
        Some(time) if unit == "s" => time.to_string(),
        _ => with_prefix(value, unit),
    }
}

/// The median with its interval: the range of a few samples, order statistics of more.
fn estimate(sorted: &Sorted, effective: f64) -> Estimate {
    let interval = match sorted.len() {
        n if n < FEW => Interval { low: sorted.min(), high: sorted.max() },
        _ => median_interval(sorted, effective, CONFIDENCE),
    };
    Estimate { value: sorted.median(), low: interval.low, high: interval.high }
}

/// The figure that answers the question, from the time of a repeat; `None` unless it is positive and finite.
fn headline(work: &Work, quantity: Quantity, time: Estimate) -> Option<Estimate> {
    let headline = match quantity {
        Quantity::Bandwidth => Estimate::rate(work.bytes().0 as f64, time),
        Quantity::Throughput => Estimate::rate(work.operations().0 as f64, time),
        Quantity::Duration => match work.accesses {
            0 => time,
            accesses => time.scaled(1.0 / accesses as f64),
        },
    };
    (headline.low > 0.0 && headline.high.is_finite()).then_some(headline)
}

/// The unit of a headline. Operations of mixed precision are counted as FLOP.
fn unit(quantity: Quantity, precision: Option<Precision>) -> &'static str {
    match quantity {
        Quantity::Bandwidth => "B/s",
        Quantity::Throughput => precision.map_or("FLOP/s", Precision::rate_unit),
        Quantity::Duration => "s",
    }
}

/// What to know before trusting the figures, gravest first. `times` are those used, in order.
fn flags(measurement: &Measurement, times: &[f64], sorted: &Sorted, headline: Estimate) -> Vec<Flag> {
    let total = measurement.samples.len() as f64;
    let rejected = measurement.samples.iter().filter(|sample| sample.rejected.is_some()).count() as f64;
    let rejected = share(rejected / total);
    let shortest = sorted.min() * f64::from(measurement.repeats);
    let half_width = headline.half_width();

    let flags = [
        (rejected.get() > 0.5).then_some(Flag::Disturbed(rejected)),
        (shortest < TIMER_STEPS * measurement.timer.resolution_s.get()).then_some(Flag::ShortForTimer),
        (!measurement.warm_up.settled).then_some(Flag::Unsettled),
        drift(times).map(Flag::Drift),
        bimodal(sorted).then_some(Flag::Bimodal),
        (half_width.get() > WIDE).then_some(Flag::Wide(half_width)),
        (times.len() < FEW).then_some(Flag::FewSamples(times.len() as u32)),
        (rejected > Ratio::ZERO && rejected.get() <= 0.5).then_some(Flag::Rejected(rejected)),
    ];
    flags.into_iter().flatten().collect()
}

/// By how much the time of a repeat changed from the first to the last third, if that is more than
/// [`DRIFT`] and more than the intervals of both thirds allow for.
fn drift(times: &[f64]) -> Option<Ratio> {
    let third = times.len() / 3;
    let part = |times: &[f64]| {
        let sorted = Sorted::new(times.iter().copied())?;
        Some(Estimate { value: sorted.median(), ..estimate(&sorted, sorted.len() as f64) })
    };
    let (first, last) = (part(&times[..third])?, part(&times[times.len() - third..])?);
    let change = (last.value / first.value - 1.0).abs();
    (change > DRIFT && !first.overlaps(&last)).then(|| share(change))
}

impl fmt::Display for Flag {
    /// What is the matter, and the way out.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Wide(half_width) => {
                write!(f, "the interval is wide (±{half_width}): close other programs or use --profile standard")
            }
            Self::Rejected(share) => {
                write!(f, "{share} of the samples were disturbed and do not count: the others stand")
            }
            Self::Disturbed(share) => write!(
                f,
                "{share} of the samples were disturbed, so all are used and show the machine as it was: \
                 stop what else runs on it and measure again"
            ),
            Self::Unsettled => {
                write!(f, "the rate had not settled after the longest warm-up: let the device idle and measure again")
            }
            Self::Drift(share) => write!(
                f,
                "the rate drifted by {share} while it was measured: fix the clock, or warm the device up and measure again"
            ),
            Self::Bimodal => write!(
                f,
                "the times fall into two groups, and the median lies in one of them: look at the samples, and fix the clock"
            ),
            Self::FewSamples(count) => {
                let samples = if *count == 1 { "sample" } else { "samples" };
                write!(f, "only {count} {samples}, so the interval is their range: use --profile standard")
            }
            Self::ShortForTimer => {
                write!(f, "a sample is shorter than 100 steps of the timer: use a larger case or longer samples")
            }
        }
    }
}
