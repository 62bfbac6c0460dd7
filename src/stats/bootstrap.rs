//! Intervals of what is no order statistic.

use super::{Interval, Sorted};

/// Steele, Lea and Flood's generator (2014): 64 bits of state, every seed good. Not for secrets. It is
/// here so that an interval is the same on every machine and in every release.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SplitMix64(u64);

impl SplitMix64 {
    /// The sequence that a seed starts.
    pub const fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// The next 64 bits.
    pub const fn next_u64(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut bits = self.0;
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        bits ^ (bits >> 31)
    }

    /// The next number, uniform in [0, 1), in steps of 2^-53.
    pub const fn next_f64(&mut self) -> f64 {
        (self.next_u64() >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// The next index below `bound`, which must not be 0; uneven by less than `bound` in 2^64.
    const fn next_below(&mut self, bound: usize) -> usize {
        ((self.next_u64() as u128 * bound as u128) >> 64) as usize
    }
}

/// Resamples drawn: the ends then wander by about a fifth of a per cent of rank.
const RESAMPLES: usize = 2000;

/// The interval of the ratio of two medians, `numerator` over `denominator`, at `confidence`: the
/// percentile bootstrap (Efron 1979) over 2000 resamples of both sides. `None` unless every number of the
/// denominator is positive and the ratios are finite.
///
/// It speaks of these two samples only and treats each as independent draws. Two runs differ by more
/// than that: compare runs by their spread from run to run, not by this alone.
pub fn median_ratio(numerator: &Sorted, denominator: &Sorted, confidence: f64, seed: u64) -> Option<Interval> {
    if denominator.min() <= 0.0 {
        return None;
    }
    let mut random = SplitMix64::new(seed);
    let mut indices = Vec::new();
    let ratios = (0..RESAMPLES).map(|_| {
        resampled_median(numerator, &mut indices, &mut random)
            / resampled_median(denominator, &mut indices, &mut random)
    });
    let ratios = Sorted::new(ratios)?;
    let tail = (1.0 - confidence) / 2.0;
    Some(Interval { low: ratios.quantile(tail), high: ratios.quantile(1.0 - tail) })
}

/// The median of as many draws, with replacement, as the sample has. Sorting ranks sorts values.
fn resampled_median(sample: &Sorted, indices: &mut Vec<usize>, random: &mut SplitMix64) -> f64 {
    let n = sample.len();
    indices.clear();
    indices.extend((0..n).map(|_| random.next_below(n)));
    let (before, middle, _) = indices.select_nth_unstable(n / 2);
    let values = sample.as_slice();
    let upper = values[*middle];
    match before.iter().max() {
        Some(lower) if n.is_multiple_of(2) => values[*lower] + (upper - values[*lower]) / 2.0,
        _ => upper,
    }
}
