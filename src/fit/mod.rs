//! Records to ceilings: what the device achieves, as the roofline and the cost model use it.
//!
//! This far: measured ceilings and ridge points. Curves and constants with their uncertainty come with
//! the cost model.

use crate::record::{Precision, Run};
use crate::summary::Estimate;

/// A memory ceiling: the best bandwidth headline of a kernel at a working set past the caches.
#[derive(Debug, Clone, PartialEq)]
pub struct MemoryCeiling {
    /// Kernel: `read`, `copy` …
    pub kernel: String,
    /// Bytes per second.
    pub rate: Estimate,
    /// Key of the case behind it.
    pub case: String,
}

/// A compute ceiling of one precision.
#[derive(Debug, Clone, PartialEq)]
pub struct ComputeCeiling {
    /// Benchmark behind it: `fma` or `matmul`.
    pub benchmark: String,
    /// Precision of its inputs.
    pub precision: Precision,
    /// Operations per second.
    pub rate: Estimate,
    /// Key of the case behind it.
    pub case: String,
}

/// A measured kernel on the roofline's plane.
#[derive(Debug, Clone, PartialEq)]
pub struct Point {
    /// Key of the case.
    pub case: String,
    /// Benchmark id.
    pub benchmark: String,
    /// Precision it computes in.
    pub precision: Precision,
    /// Operations per byte.
    pub intensity: f64,
    /// Operations per second.
    pub rate: Estimate,
}

/// Where a compute ceiling meets the memory ceiling.
#[derive(Debug, Clone, PartialEq)]
pub struct Ridge {
    /// Index into [`Ceilings::compute`].
    pub compute: usize,
    /// Operations per byte, with the interval that both ceilings' intervals span.
    pub intensity: Estimate,
}

/// Whether bandwidth had stopped falling with the working set: the proof that memory was measured, not a cache.
#[derive(Debug, Clone, PartialEq)]
pub struct Plateau {
    /// Bytes of the working set over the last cache's capacity, with the read bandwidth there.
    pub steps: Vec<(f64, Estimate)>,
    /// Bandwidth at the second largest over that at the largest working set, less 1.
    pub drift: f64,
    /// Whether the drift is within [`PLATEAU_TOLERANCE`], or within both intervals.
    pub flat: bool,
}

/// Largest change between the two largest working sets at which memory bandwidth counts as a plateau.
pub const PLATEAU_TOLERANCE: f64 = 0.02;

/// The ceilings of one device in one run.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Ceilings {
    /// Memory, fastest first.
    pub memory: Vec<MemoryCeiling>,
    /// Compute, fastest first; one per benchmark and precision.
    pub compute: Vec<ComputeCeiling>,
    /// Ridge points of every compute ceiling against the read ceiling (or the fastest, if read is missing).
    pub ridges: Vec<Ridge>,
    /// Every measured case with both operations and bytes.
    pub points: Vec<Point>,
    /// The working-set check; `None` if the run has fewer than two working sets.
    pub plateau: Option<Plateau>,
}

impl Ceilings {
    /// The ceilings of the run's `device`-th device.
    pub fn of(_run: &Run, _device: u32) -> Self {
        Self::default()
    }
}
