//! How many independent samples a series is worth.
//!
//! Correlations are of ranks, not of values (Spearman's): one preempted sample then weighs as much as
//! any other, where with values it would hide the correlation of all the rest.

/// Rank correlation of each sample with its successor, between -1 and 1. 0 for a series that is constant
/// or has fewer than three samples.
pub fn lag1(series: &[f64]) -> f64 {
    if series.len() < 3 {
        return 0.0;
    }
    Ranks::of(series).map_or(0.0, |ranks| ranks.correlation(1))
}

/// The number of independent samples that know the median as well as this series does, between 1 and its
/// length: the length over the integrated autocorrelation time.
///
/// The sum over lags is cut off by Geyer's initial positive sequence (*Practical Markov Chain Monte
/// Carlo*, 1992): neighbouring pairs of lags are added while their sum is positive. A constant series
/// gives its length: it leaves no doubt about its median. Negative correlation is not credited:
/// alternation is no reason to trust a median more.
pub fn effective_count(series: &[f64]) -> f64 {
    let n = series.len();
    let Some(ranks) = Ranks::of(series) else {
        return n as f64;
    };
    let mut time = -1.0;
    for lag in (0..n.saturating_sub(1)).step_by(2) {
        let pair = ranks.correlation(lag) + ranks.correlation(lag + 1);
        if pair <= 0.0 {
            break;
        }
        time += 2.0 * pair;
    }
    (n as f64 / time.max(1.0)).max(1.0)
}

/// A series' ranks less their mean, in the series' order.
struct Ranks {
    centred: Vec<f64>,
    variance: f64,
}

impl Ranks {
    /// Equal values share the mean of their ranks. `None` for a constant or empty series.
    fn of(series: &[f64]) -> Option<Self> {
        let n = series.len();
        let mut order: Vec<usize> = (0..n).collect();
        order.sort_by(|a, b| series[*a].total_cmp(&series[*b]));
        let mut centred = vec![0.0; n];
        let mut first = 0;
        for tied in order.chunk_by(|a, b| series[*a] == series[*b]) {
            let rank = first as f64 + (tied.len() as f64 - 1.0) / 2.0;
            for index in tied {
                centred[*index] = rank - (n as f64 - 1.0) / 2.0;
            }
            first += tied.len();
        }
        let variance: f64 = centred.iter().map(|rank| rank * rank).sum();
        (variance > 0.0).then_some(Self { centred, variance })
    }

    /// The sample autocorrelation at a lag.
    fn correlation(&self, lag: usize) -> f64 {
        let later = self.centred.iter().skip(lag);
        self.centred.iter().zip(later).map(|(a, b)| a * b).sum::<f64>() / self.variance
    }
}
