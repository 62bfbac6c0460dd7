//! Order statistics, intervals, stopping rules: pure functions of numbers.
//!
//! What speaks of samples rests on ranks or medians, never on means and standard deviations: times on a shared
//! machine are skewed, tied by the timer's step and correlated with their neighbours, and one preempted
//! sample must not move a figure. What fits share stands beside it: Student's distribution, and a smooth field of
//! residuals. All of it is deterministic; the bootstrap takes its seed.

mod autocorrelation;
mod bimodal;
mod bootstrap;
mod discrepancy;
mod interval;
mod sorted;
mod stopping;
mod student;
mod trend;

pub use autocorrelation::{effective_count, lag1};
pub use bimodal::bimodal;
pub use bootstrap::{SplitMix64, median_ratio};
pub use discrepancy::Discrepancy;
pub use interval::{Interval, median_interval};
pub use sorted::Sorted;
pub use stopping::{Stop, StoppingRule};
pub use student::student;
pub use trend::{Trend, settled, theil_sen};
