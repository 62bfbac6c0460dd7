//! When enough samples have been taken.

use super::{Sorted, effective_count, median_interval};

/// Why a rule says to stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stop {
    /// The median's interval is as narrow as asked.
    Precise,
    /// More samples have stopped narrowing it.
    Plateau,
    /// The most samples allowed were taken.
    SampleLimit,
}

/// Decides, as samples come in, whether they suffice. Time is the caller's to watch.
///
/// It looks only when the number of samples has doubled since the last look. Looking after every sample
/// would stop at the first moment the interval happens to be narrow, and so report intervals that are
/// too narrow and miss more often than their confidence says; a handful of looks keeps that small.
#[derive(Debug, Clone, PartialEq)]
pub struct StoppingRule {
    samples_max: usize,
    half_width_target: f64,
    confidence: f64,
    next_look: usize,
    /// Half-widths at the last look and at the one before.
    seen: [Option<f64>; 2],
}

/// A plateau: since two looks ago, with four times the samples, the half-width fell to no less than this
/// share. Independent samples would halve it. One look back is not enough: of independent samples about
/// one in seven then shows a plateau that is only luck at the earlier look.
const PLATEAU_SHARE: f64 = 0.95;

impl StoppingRule {
    /// First looks at `samples_min` samples, stops in any case at `samples_max`, and is content when the
    /// median's interval at `confidence` has a half-width of at most `half_width_target` of the median.
    pub fn new(samples_min: usize, samples_max: usize, half_width_target: f64, confidence: f64) -> Self {
        Self { samples_max, half_width_target, confidence, next_look: samples_min.max(1), seen: [None; 2] }
    }

    /// The samples at which the rule looks next; before that [`Self::decide`] says `None`. A caller may
    /// take all samples up to here in one go.
    pub fn next_look(&self) -> usize {
        self.next_look.min(self.samples_max)
    }

    /// Whether to stop with these samples: all so far, in order. Never `Precise` or `Plateau` if one of
    /// them is not finite.
    pub fn decide(&mut self, series: &[f64]) -> Option<Stop> {
        let n = series.len();
        if n < self.next_look() {
            return None;
        }
        let half_width = self.half_width(series);
        let [last, before] = self.seen;
        self.seen = [half_width, last];
        self.next_look = 2 * n.max(1);
        match (half_width, before) {
            (Some(now), _) if now <= self.half_width_target => Some(Stop::Precise),
            _ if n >= self.samples_max => Some(Stop::SampleLimit),
            (Some(now), Some(before)) if now >= PLATEAU_SHARE * before => Some(Stop::Plateau),
            _ => None,
        }
    }

    /// Half-width of the median's interval, as a share of the median.
    fn half_width(&self, series: &[f64]) -> Option<f64> {
        let sample = Sorted::new(series.iter().copied())?;
        let interval = median_interval(&sample, effective_count(series), self.confidence);
        Some(interval.half_width_of(sample.median()))
    }
}
