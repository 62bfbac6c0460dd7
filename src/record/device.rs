//! What a device says of itself, and how well its clock can be trusted.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::units::{ByteCount, Hertz, Ratio, Seconds};

/// Whether a result speaks of silicon.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum DeviceKind {
    /// A real processor.
    Hardware,
    /// A software renderer standing in for a GPU: real times, of the CPU below it.
    Software,
    /// Device code run by an emulator: right answers, meaningless times.
    Emulated,
    /// Scripted answers, for tests.
    Fake,
}

/// One level of cache.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Cache {
    /// 1 is nearest the core.
    pub level: u32,
    /// Capacity of one instance.
    pub size_b: ByteCount,
    /// Instances on the device.
    pub instances: u32,
}

/// A device's description of itself.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct DeviceInfo {
    /// The backend that speaks to it: `cpu`, `wgpu`, `cuda`.
    pub backend: String,
    /// What a user types to select it: `cpu`, `wgpu:0`. Good within one machine only.
    pub selector: String,
    /// PCI address, or a hash of the UUID: what tells two equal devices apart, and what two runs of one
    /// device share. `None` where the device has neither.
    pub identity: Option<String>,
    /// The product's name.
    pub name: String,
    /// Instruction set or compute capability: `x86_64+avx512f`, `sm_90`.
    pub architecture: String,
    /// Hardware, or something standing in for it.
    pub kind: DeviceKind,
    /// Cores or multiprocessors.
    pub compute_units: u32,
    /// Memory the device can allocate from.
    pub memory_b: Option<ByteCount>,
    /// Caches, nearest first; empty where the device does not tell.
    pub caches: Vec<Cache>,
    /// The highest clock the device states. `None` where it states none, as in most virtual machines.
    pub clock_max_hz: Option<Hertz>,
    /// Driver and its version; `None` for the CPU.
    pub driver: Option<String>,
    /// Precisions and instructions it supports, sorted.
    pub features: Vec<String>,
}

impl DeviceInfo {
    /// Capacity of the cache nearest memory, all instances together: what a working set must exceed.
    pub fn last_cache(&self) -> Option<ByteCount> {
        let last = self.caches.iter().max_by_key(|cache| cache.level)?;
        Some(ByteCount(last.size_b.0 * u64::from(last.instances)))
    }

    /// Whether its times mean anything about hardware.
    pub fn is_publishable(&self) -> bool {
        matches!(self.kind, DeviceKind::Hardware | DeviceKind::Software)
    }
}

/// A device's clock, measured when the device is opened.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
pub struct TimerInfo {
    /// Which clock: `clock_monotonic_raw`, `cuda_event`.
    pub clock: String,
    /// The smallest step seen between two readings.
    pub resolution_s: Seconds,
    /// What an empty window costs.
    pub overhead_s: Seconds,
    /// Device time over host time across at least 100 ms; 1.0 is perfect. `None` where both are one clock.
    pub agreement: Option<Ratio>,
}
