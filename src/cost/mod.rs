//! What it costs to train and to serve a model: the formulas the documents use, one function each.
//!
//! Real-valued inputs are [`Figure`]s: a value with its interval, so that a datasheet (exact), an
//! import or a measurement can stand behind every ceiling, price and duration. Each formula is
//! monotone in each of them, and the interval of the answer is exact. Base SI units throughout, with
//! USD, tokens, parameters and hours where a name says so. Nothing here knows a device or a file.

mod error;
mod figure;
mod solve;

pub mod answer;
pub mod communication;
pub mod demand;
pub mod fitted;
pub mod memory;
pub mod moe;
pub mod money;
pub mod pipeline;
pub mod scaling;
pub mod serving;
pub mod speculation;
pub mod training;

pub use error::CostError;
pub use figure::Figure;

use serde::Serialize;

/// The two ceilings of one GPU that a cost rests on.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Roofline {
    /// Memory bandwidth, in bytes per second.
    pub bandwidth_b_s: Figure,
    /// Matrix throughput at the precision computed in, in FLOP per second.
    pub compute_flop_s: Figure,
}

impl Roofline {
    /// Where both ceilings meet: operations per byte.
    ///
    /// # Errors
    /// [`CostError::Zero`] without bandwidth.
    pub fn ridge_flop_b(&self) -> Result<Figure, CostError> {
        let bandwidth = figure::positive("memory bandwidth", self.bandwidth_b_s)?;
        figure::corner([self.compute_flop_s, bandwidth], |[compute, bandwidth]| compute / bandwidth)
    }

    /// The batch at which a dense model's weights, read once a step at `bytes_per_parameter`, take as
    /// long as the work on them: `ridge x bytes / 2` tokens.
    ///
    /// # Errors
    /// [`CostError::Zero`] without bandwidth.
    pub fn ridge_batch(&self, bytes_per_parameter: f64) -> Result<Figure, CostError> {
        self.ridge_flop_b()?.scaled(bytes_per_parameter / training::FLOP_PER_PARAMETER_SERVED)
    }
}
