//! One case's result: its samples, how they were taken, and what became of it.

use std::collections::BTreeMap;
use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::case::{Case, Quantity, Work};
use super::device::TimerInfo;
use crate::units::{Celsius, Hertz, Ratio, Seconds, Watts};

/// One case in a run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Record {
    /// What was asked.
    pub case: Case,
    /// Index into the header's devices.
    pub device: u32,
    /// The figure that answers the benchmark's question.
    pub quantity: Quantity,
    /// What one repeat moves and computes.
    pub work: Work,
    /// Time since the run started at which the case began.
    pub started_s: Seconds,
    /// Time the case took, set-up and checks included.
    pub elapsed_s: Seconds,
    /// What became of it.
    pub outcome: Outcome,
}

/// What became of a case: exactly one of these, always.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// It ran, and its results were right before and after.
    Measured(Box<Measurement>),
    /// It was not run, and why; not a fault.
    Skipped(String),
    /// The device or the worker failed.
    Failed(String),
    /// It ran and computed something wrong. Its times are not kept: they are of another computation.
    Wrong(CheckFailure),
}

impl Outcome {
    /// The word that names it in tables.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Measured(_) => "measured",
            Self::Skipped(_) => "skipped",
            Self::Failed(_) => "failed",
            Self::Wrong(_) => "wrong",
        }
    }

    /// The measurement, if there is one.
    pub fn measurement(&self) -> Option<&Measurement> {
        match self {
            Self::Measured(measurement) => Some(measurement),
            _ => None,
        }
    }
}

/// How a result differed from its reference.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema, thiserror::Error)]
#[error("wrong result at {place}: expected {expected}, found {found}")]
pub struct CheckFailure {
    /// Where: `c[17, 4]`.
    pub place: String,
    /// What the reference gives, with the tolerance.
    pub expected: String,
    /// What the device gave. Text, since it may be NaN.
    pub found: String,
}

/// What a passed check looked at.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
pub struct CheckPassed {
    /// Elements compared with the reference.
    pub compared: u64,
    /// The largest error seen, as a share of the tolerance. 0 for exact comparisons.
    pub worst: Ratio,
}

/// The samples of a case and how they were taken.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Measurement {
    /// Which way of running it was measured: kernel variant, tile or library algorithm.
    pub variant: String,
    /// The races that chose the variant, one per step that could be run in several ways.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub races: Vec<Race>,
    /// The clock it was timed with. All zero where others measured and do not tell.
    #[serde(default, skip_serializing_if = "is_untold")]
    pub timer: TimerInfo,
    /// The parameters in force. All zero where others measured and do not tell.
    #[serde(default, skip_serializing_if = "is_untold")]
    pub protocol: Protocol,
    /// The operations that its steps belong to, where it was timed step by step.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub operations: Vec<OperationWork>,
    /// Repeats of the program in each sample.
    pub repeats: u32,
    /// How the device was brought to a steady rate. All zero where others measured and do not tell.
    #[serde(default, skip_serializing_if = "is_untold")]
    pub warm_up: WarmUp,
    /// Every sample, in order, the rejected ones too.
    pub samples: Vec<Sample>,
    /// Why sampling ended.
    pub stop: StopReason,
    /// What the check of the timed output looked at.
    pub check: CheckPassed,
    /// What the backend reports of this case's surroundings: page size, denormal mode …
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub conditions: BTreeMap<String, String>,
}

/// An operation of a program, and what one repeat moves and computes for it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct OperationWork {
    /// Its name.
    pub name: String,
    /// All its steps together.
    pub work: Work,
}

/// Whether others measured and did not tell how: nothing of it is written.
fn is_untold<T: Default + PartialEq>(told: &T) -> bool {
    *told == T::default()
}

/// A short contest between the ways to run a step. The winner is measured on fresh samples, so that
/// choosing it does not flatter it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Race {
    /// The kernel's id, or `matmul`.
    pub step: String,
    /// All who ran, in the order the device offered them.
    pub candidates: Vec<Candidate>,
}

/// One way to run a step, and how it did in the race.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Candidate {
    /// Its name.
    pub variant: String,
    /// Median time of a repeat in the race; `None` if it failed.
    pub median_s: Option<Seconds>,
    /// Why it failed, if it did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<String>,
}

/// The parameters of the protocol, as used for one case.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
pub struct Protocol {
    /// Shortest sample asked for.
    pub sample_min_s: Seconds,
    /// Fewest samples before stopping is considered.
    pub samples_min: u32,
    /// Most samples taken.
    pub samples_max: u32,
    /// Longest time spent on samples.
    pub time_max_s: Seconds,
    /// Relative half-width of the median's interval at which sampling may stop.
    pub half_width_target: Ratio,
    /// Shortest and longest warm-up.
    pub warm_up_min_s: Seconds,
    /// Longest warm-up, whether or not the rate has settled.
    pub warm_up_max_s: Seconds,
}

/// How the device was brought to a steady rate before sampling.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
pub struct WarmUp {
    /// Device time spent.
    pub elapsed_s: Seconds,
    /// Windows run.
    pub windows: u32,
    /// Whether the rate settled before the time was up.
    pub settled: bool,
}

/// One timed window. Kept even when rejected, so that a reader can redo the judgement.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Sample {
    /// Time since the case began sampling.
    pub at_s: Seconds,
    /// Device time of the whole window (all its repeats).
    pub elapsed_s: Seconds,
    /// Host time around the same window.
    pub host_elapsed_s: Seconds,
    /// Core or SM clock measured beside the window.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub clock_hz: Option<Hertz>,
    /// Clock of the device's memory, as its driver tells it after the window.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory_clock_hz: Option<Hertz>,
    /// Power drawn.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub power_w: Option<Watts>,
    /// Temperature of the chip.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub temperature_c: Option<Celsius>,
    /// Share of the window in which a measuring thread was ready but not running.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub preempted: Option<Ratio>,
    /// Share of the host's processor time that the hypervisor gave to others.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stolen: Option<Ratio>,
    /// Share of the window for which a control group's quota held this process back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quota_throttled: Option<Ratio>,
    /// Reasons the device gives for a lowered clock, sorted.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub throttle: Vec<String>,
    /// Time of each of the measurement's operations, where the program was timed step by step.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub steps_s: Vec<Seconds>,
    /// Why it does not count; `None` for an accepted sample.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rejected: Option<Rejection>,
}

/// Why a sample does not count.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Rejection {
    /// Other work ran on the measuring threads' cores.
    Preempted,
    /// The hypervisor ran other machines on these cores.
    Stolen,
    /// A control group's quota held the process back.
    QuotaThrottled,
    /// The device lowered its clock for heat, power supply or a fault.
    Throttled,
    /// The clock was well below the case's own median.
    ClockDropped,
    /// Device time and host time disagree, or device time is zero or unordered.
    TimerDisagrees,
}

impl Rejection {
    /// What happened, in words.
    pub fn meaning(self) -> &'static str {
        match self {
            Self::Preempted => "other processes ran on the measuring cores",
            Self::Stolen => "the hypervisor gave the cores to other machines",
            Self::QuotaThrottled => "the container's CPU quota held the process back",
            Self::Throttled => "the device lowered its clock (heat, power or fault)",
            Self::ClockDropped => "the clock fell well below its median",
            Self::TimerDisagrees => "device and host clocks disagree",
        }
    }
}

impl fmt::Display for Rejection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.meaning())
    }
}

/// Why sampling ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum StopReason {
    /// The median's interval is as narrow as asked.
    Precise,
    /// More samples stopped narrowing the interval.
    Plateau,
    /// The time for this case was used up.
    TimeLimit,
    /// The most samples allowed were taken.
    SampleLimit,
}
