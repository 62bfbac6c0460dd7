//! One datasheet.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::units::{ByteCount, ByteRate, FlopRate, Hertz, Watts};

/// What a GPU's datasheet states.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Gpu {
    /// What a user types: `a100_sxm_40gb`.
    pub id: String,
    /// Its name in print.
    pub name: String,
    /// Names under which drivers report it, without the maker's.
    pub device_names: Vec<String>,
    /// Where the figures come from.
    pub source: String,
    /// What a reader must know about them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
    /// Streaming multiprocessors or compute units.
    pub units: u32,
    /// The highest clock it states, in MHz.
    pub boost_mhz: f64,
    /// Kind of memory.
    pub memory: String,
    /// Capacity as sold, in 10^9 bytes.
    pub capacity_gb: f64,
    /// Capacity as the driver reports it, in 2^20 bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reported_mib: Option<u64>,
    /// Memory bandwidth, in 10^9 bytes per second.
    pub bandwidth_gb_s: f64,
    /// Level-2 cache, in 2^20 bytes.
    pub l2_mib: u64,
    /// A cache between that and memory, in 2^20 bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_cache_mib: Option<u64>,
    /// Thermal design power, in watts.
    pub power_w: f64,
    /// How it reaches other GPUs.
    pub link: Link,
    /// The shares of its bandwidth that kernels reach on cards in order: from published measurements of copies and
    /// triads over working sets of at least four times the cache (BabelStream, RRZE gpu-benches, and others).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub healthy_bandwidth: Option<[f64; 2]>,
    /// Dense peaks.
    pub peaks: BTreeMap<Rate, Peak>,
}

/// How a GPU reaches others of its node.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Link {
    /// Its name.
    pub kind: String,
    /// Both directions together, in 10^9 bytes per second.
    pub gb_s: f64,
}

/// What a peak is the peak of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Rate {
    /// Binary64 on the vector units.
    F64,
    /// Binary64 on the matrix units.
    F64Tensor,
    /// Binary32 on the vector units.
    F32,
    /// 19-bit products of binary32 inputs, on the matrix units.
    Tf32,
    /// Binary16 on the matrix units.
    F16,
    /// The upper half of binary32, on the matrix units.
    Bf16,
    /// 8-bit floating point, on the matrix units.
    Fp8,
    /// 8-bit integers, on the matrix units.
    I8,
    /// 4-bit floating point, on the matrix units.
    Fp4,
}

/// A dense peak and the clock it is stated at.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Peak {
    /// 10^12 operations per second, two per multiply-add.
    pub tflop_s: f64,
    /// Operations of one unit in one cycle.
    pub per_unit_clock: u32,
    /// The clock behind the figure, in MHz.
    pub clock_mhz: f64,
}

impl Gpu {
    /// Capacity as sold.
    pub fn capacity_sold(&self) -> ByteCount {
        ByteCount((self.capacity_gb * 1e9).round() as u64)
    }

    /// Capacity as its driver reports it.
    pub fn capacity_reported(&self) -> Option<ByteCount> {
        self.reported_mib.map(ByteCount::mib)
    }

    /// Memory bandwidth; `None` only for a datasheet that is not one.
    pub fn bandwidth(&self) -> Option<ByteRate> {
        ByteRate::new(self.bandwidth_gb_s * 1e9)
    }

    /// The dense peak of a rate, if the GPU has it.
    pub fn peak(&self, rate: Rate) -> Option<FlopRate> {
        FlopRate::new(self.peaks.get(&rate)?.tflop_s * 1e12)
    }

    /// The dense peak at another clock than the one it is stated at: `units x operations per cycle x clock`.
    pub fn peak_at(&self, rate: Rate, clock: Hertz) -> Option<FlopRate> {
        let peak = self.peaks.get(&rate)?;
        FlopRate::new(f64::from(self.units) * f64::from(peak.per_unit_clock) * clock.get())
    }

    /// Bytes per second it sends to other GPUs of its node: one direction of its link.
    pub fn link_one_way(&self) -> Option<ByteRate> {
        ByteRate::new(self.link.gb_s * 1e9 / 2.0)
    }

    /// Thermal design power.
    pub fn power(&self) -> Option<Watts> {
        Watts::new(self.power_w)
    }
}

impl Rate {
    /// Every rate with its name, widest first.
    pub const ALL: [(Self, &'static str); 9] = [
        (Self::F64, "f64"),
        (Self::F64Tensor, "f64_tensor"),
        (Self::F32, "f32"),
        (Self::Tf32, "tf32"),
        (Self::F16, "f16"),
        (Self::Bf16, "bf16"),
        (Self::Fp8, "fp8"),
        (Self::I8, "i8"),
        (Self::Fp4, "fp4"),
    ];

    /// Its name, as in a datasheet's file.
    pub fn name(self) -> &'static str {
        Self::ALL.iter().find(|(rate, _)| *rate == self).map_or("", |(_, name)| name)
    }

    /// The rate of that name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.iter().find(|(_, known)| *known == name).map(|(rate, _)| *rate)
    }
}
