//! How well a sample knows its median.

use super::Sorted;

/// Two ends, `low <= high`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Interval {
    /// The lower end.
    pub low: f64,
    /// The upper end.
    pub high: f64,
}

impl Interval {
    /// Whether the two have a point in common.
    pub fn overlaps(&self, other: &Self) -> bool {
        self.low <= other.high && other.low <= self.high
    }

    /// Whether it holds a value.
    pub fn contains(&self, value: f64) -> bool {
        self.low <= value && value <= self.high
    }

    /// Half the distance between the ends, as a share of `value` (without its sign). 0 for a point, even at
    /// zero; infinite for anything wider than a point around zero.
    pub fn half_width_of(&self, value: f64) -> f64 {
        let half = (self.high - self.low) / 2.0;
        if half == 0.0 { 0.0 } else { half / value.abs() }
    }
}

/// The interval that holds the median of the distribution the sample was drawn from, with at least the
/// `confidence` asked for (0.95 for 95 %).
///
/// The ends are order statistics whose ranks follow from the binomial distribution of how many samples
/// fall below the median, so nothing is assumed of the distribution's shape (David and Nagaraja, *Order
/// Statistics*, section 7.1). Ties only make it wider than needed. With too few samples for the
/// confidence (below 6 at 95 %) it is the range, and its confidence is what the range has.
///
/// `effective` is how many independent samples these are worth ([`super::effective_count`]). Correlation
/// multiplies the variance of the median's rank by `len / effective`, so the ranks move out by its root.
pub fn median_interval(sample: &Sorted, effective: f64, confidence: f64) -> Interval {
    let n = sample.len();
    let range = Interval { low: sample.min(), high: sample.max() };
    let Some(rank) = lower_rank(n, (1.0 - confidence) / 2.0) else {
        return range;
    };
    let middle = (n as f64 + 1.0) / 2.0;
    let inflation = (n as f64 / effective.clamp(1.0, n as f64)).sqrt();
    let widened = (middle - (middle - rank as f64) * inflation).floor();
    // Beyond the ends there is only the range; and so where `effective` is NaN, which converts to 0.
    match (widened as usize).checked_sub(1) {
        Some(low) => Interval { low: sample.as_slice()[low], high: sample.as_slice()[n - 1 - low] },
        None => range,
    }
}

/// The largest rank `k` (from 1) with `P(Binomial(n, 1/2) < k) <= tail`; `None` if even rank 1 has more
/// than that below it. Terms are summed as logarithms, since `2^-n` underflows beyond n = 1074.
fn lower_rank(n: usize, tail: f64) -> Option<usize> {
    let mut log_term = -(n as f64) * std::f64::consts::LN_2;
    let mut below = 0.0;
    for k in 0..n {
        below += log_term.exp();
        if below > tail {
            return (k > 0).then_some(k);
        }
        log_term += ((n - k) as f64 / (k + 1) as f64).ln();
    }
    None
}
