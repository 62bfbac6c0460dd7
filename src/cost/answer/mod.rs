//! Whole answers to the four questions people ask: what does training cost, what does serving cost, what must memory
//! hold, how many GPUs does a demand take. Each is one question in, one plain structure out, for a table or JSON.

mod demand;
mod memory;
mod serve;
mod train;

pub use demand::{DemandAnswer, DemandQuestion, demand};
pub use memory::{MemoryAnswer, MemoryQuestion, StateUnder, memory};
pub use serve::{CurvePoint, ServeAnswer, ServeQuestion, serve};
pub use train::{TrainAnswer, TrainQuestion, train};

use serde::Serialize;

use super::{CostError, Figure, Roofline};
use crate::hardware::{Gpu, Rate};

/// A GPU as the questions see it: what bounds it, and where that is from.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Accelerator {
    /// Its name in print.
    pub name: String,
    /// Where its ceilings are from: a datasheet, an import, a measurement.
    pub source: String,
    /// Its ceilings.
    pub roofline: Roofline,
    /// Bytes of its memory that can be used.
    pub capacity_b: Figure,
}

/// Which of a datasheet's two capacities to use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Capacity {
    /// As sold, in 10^9 bytes.
    Sold,
    /// As the driver reports it; as sold where no report is known.
    Reported,
}

impl Accelerator {
    /// A GPU at its datasheet's ceilings, which are upper bounds.
    ///
    /// # Errors
    /// [`CostError::NoPeak`] if the datasheet states no peak for that rate.
    pub fn datasheet(gpu: &Gpu, rate: Rate, capacity: Capacity) -> Result<Self, CostError> {
        let none = || {
            let has: Vec<&str> = gpu.peaks.keys().map(|rate| rate.name()).collect();
            CostError::NoPeak { gpu: gpu.name.clone(), rate: rate.name(), has: has.join(", ") }
        };
        let compute = gpu.peak(rate).ok_or_else(none)?;
        let bandwidth = Figure::exact(gpu.bandwidth_gb_s * 1e9)?;
        let reported = gpu.capacity_reported().filter(|_| capacity == Capacity::Reported);
        Ok(Self {
            name: gpu.name.clone(),
            source: format!("datasheet, dense {} ({})", rate.name(), gpu.source),
            roofline: Roofline { bandwidth_b_s: bandwidth, compute_flop_s: compute.into() },
            capacity_b: reported.unwrap_or(gpu.capacity_sold()).into(),
        })
    }
}
