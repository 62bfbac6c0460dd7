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

use super::fitted::{StepConstants, StepLaw};
use super::{CostError, Figure, Roofline};
use crate::hardware::{Gpu, Rate};
use crate::stats::Sorted;

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
    /// A law fitted to measurements of it, which then decides how fast it decodes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub law: Option<StepLaw>,
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
            law: None,
        })
    }

    /// The same GPU by a law fitted to measurements of it. Ceilings become those of the law.
    ///
    /// # Errors
    /// [`CostError::Invalid`] for constants that are no numbers.
    pub fn fitted(self, law: StepLaw) -> Result<Self, CostError> {
        let span = |of: fn(&StepConstants) -> f64| {
            let sorted = Sorted::new(law.draws.iter().map(of));
            let best = of(&law.best);
            let end = |q: f64| sorted.as_ref().map_or(best, |sorted| sorted.quantile(q));
            Figure::between(best, end(0.05).min(best), end(0.95).max(best))
        };
        let roofline = Roofline {
            bandwidth_b_s: span(|constants| constants.bandwidth_b_s)?,
            compute_flop_s: span(|constants| constants.throughput_flop_s)?,
        };
        Ok(Self { source: law.source.clone(), roofline, law: Some(law), ..self })
    }
}

/// How weights are stored, and which of a GPU's peaks then works on them.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct WeightFormat {
    /// What a user types: `fp8`.
    pub name: &'static str,
    /// Bytes of one parameter, scales included.
    pub bytes_per_parameter: f64,
    /// The peak.
    pub rate: Rate,
}

impl WeightFormat {
    /// Every format, widest first. `i4` has an FP16 scale for every 128 weights and is widened to FP16 to multiply.
    pub const ALL: [Self; 6] = [
        Self { name: "f32", bytes_per_parameter: 4.0, rate: Rate::F32 },
        Self { name: "f16", bytes_per_parameter: 2.0, rate: Rate::F16 },
        Self { name: "bf16", bytes_per_parameter: 2.0, rate: Rate::Bf16 },
        Self { name: "fp8", bytes_per_parameter: 1.0, rate: Rate::Fp8 },
        Self { name: "i8", bytes_per_parameter: 1.0, rate: Rate::I8 },
        Self { name: "i4", bytes_per_parameter: 4.125 / 8.0, rate: Rate::F16 },
    ];

    /// The format of that name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|format| format.name == name)
    }
}
