//! A sample in order: what every order statistic starts from.

/// At least one finite number, in ascending order. Because the constructor is the only way in, no
/// statistic below has to think of an empty sample or a NaN.
#[derive(Debug, Clone, PartialEq)]
pub struct Sorted(Vec<f64>);

impl Sorted {
    /// The numbers in order; `None` if there are none, or if any is infinite or not a number.
    pub fn new(values: impl IntoIterator<Item = f64>) -> Option<Self> {
        let mut values: Vec<f64> = values.into_iter().collect();
        if values.is_empty() || values.iter().any(|value| !value.is_finite()) {
            return None;
        }
        values.sort_by(f64::total_cmp);
        Some(Self(values))
    }

    /// How many numbers there are, at least 1.
    #[expect(clippy::len_without_is_empty, reason = "never empty by construction")]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// The numbers, ascending.
    pub fn as_slice(&self) -> &[f64] {
        &self.0
    }

    /// The smallest.
    pub fn min(&self) -> f64 {
        self.0[0]
    }

    /// The largest.
    pub fn max(&self) -> f64 {
        self.0[self.0.len() - 1]
    }

    /// The `q`-quantile, `q` between 0 and 1 (clamped), by linear interpolation between neighbours: type 7
    /// of Hyndman and Fan (1996), the default of R and NumPy.
    pub fn quantile(&self, q: f64) -> f64 {
        let position = (self.0.len() - 1) as f64 * q.clamp(0.0, 1.0);
        let below = position.floor() as usize;
        let above = position.ceil() as usize;
        self.0[below] + (position - below as f64) * (self.0[above] - self.0[below])
    }

    /// The middle number, or the mean of the two in the middle.
    pub fn median(&self) -> f64 {
        self.quantile(0.5)
    }

    /// The median absolute deviation from the median, unscaled: for normal data 0.674 standard deviations.
    pub fn mad(&self) -> f64 {
        let median = self.median();
        let mut deviations: Vec<f64> = self.0.iter().map(|value| (value - median).abs()).collect();
        deviations.sort_by(f64::total_cmp);
        Self(deviations).median()
    }
}
