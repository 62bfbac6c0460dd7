//! Whether a series climbs or falls.

use super::{Interval, Sorted};

/// A line through a series.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Trend {
    /// Change from one index to the next.
    pub slope: f64,
    /// The 95 % interval of the slope; `None` below six points, which cannot give one.
    pub interval: Option<Interval>,
}

/// The 97.5 % point of the standard normal distribution.
const Z: f64 = 1.959_963_984_540_054;

/// The median of the slopes between every two points (Theil 1950), with Sen's interval (1968): up to
/// 29 % of the points may be anything at all. Takes time and space quadratic in the length. `None` with
/// fewer than two points, or if one is not finite.
pub fn theil_sen(series: &[f64]) -> Option<Trend> {
    let n = series.len();
    let pairs = (0..n).flat_map(|i| (i + 1..n).map(move |j| (i, j)));
    let slopes = Sorted::new(pairs.map(|(i, j)| (series[j] - series[i]) / (j - i) as f64))?;
    let count = slopes.len() as f64;
    // Variance of Kendall's S without trend. Ties would lower it, so leaving them out only widens.
    let points = n as f64;
    let deviation = (points * (points - 1.0) * (2.0 * points + 5.0) / 18.0).sqrt();
    let rank = ((count - Z * deviation) / 2.0).floor();
    let interval = (rank >= 1.0).then(|| {
        let low = rank as usize - 1;
        Interval { low: slopes.as_slice()[low], high: slopes.as_slice()[slopes.len() - 1 - low] }
    });
    Some(Trend { slope: slopes.median(), interval })
}

/// Blocks that must agree.
const AGREEING: usize = 3;

/// Blocks over which a trend is looked for.
const WINDOW: usize = 8;

/// Whether a rate has settled, from the medians of successive blocks of samples: the last three lie
/// within `tolerance` of each other (a share of their median: 0.01 is 1 %), and over the last eight there
/// is no trend that is both significant and larger than `tolerance` in all.
pub fn settled(block_medians: &[f64], tolerance: f64) -> bool {
    let Some(tail) = block_medians.len().checked_sub(AGREEING) else {
        return false;
    };
    let window = &block_medians[block_medians.len().saturating_sub(WINDOW)..];
    let (Some(last), Some(trend)) = (Sorted::new(block_medians[tail..].iter().copied()), theil_sen(window)) else {
        return false;
    };
    let allowed = tolerance * last.median().abs();
    let agree = last.max() - last.min() <= allowed;
    let significant = trend.interval.is_some_and(|interval| !interval.contains(0.0));
    let drift = trend.slope.abs() * (window.len() - 1) as f64;
    agree && (drift <= allowed || !significant)
}
