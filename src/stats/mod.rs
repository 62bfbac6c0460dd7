//! Order statistics, intervals, stopping rules: pure functions of numbers.
//!
//! Everything here rests on ranks or medians, never on means and standard deviations: times on a shared
//! machine are skewed, tied by the timer's step and correlated with their neighbours, and one preempted
//! sample must not move a figure. All of it is deterministic; the bootstrap takes its seed.

mod autocorrelation;
mod bimodal;
mod bootstrap;
mod interval;
mod sorted;
mod stopping;
mod trend;

pub use autocorrelation::{effective_count, lag1};
pub use bimodal::bimodal;
pub use bootstrap::{SplitMix64, median_ratio};
pub use interval::{Interval, median_interval};
pub use sorted::Sorted;
pub use stopping::{Stop, StoppingRule};
pub use trend::{Trend, settled, theil_sen};
