//! A run: one header, one record per case, one footer, each a line of JSON.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::card::OtherProcesses;
use super::case::{AxisValue, Precision};
use super::device::DeviceInfo;
use super::measurement::Record;
use crate::units::{ByteCount, Ratio, Seconds};

/// A line of a run file.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "line", rename_all = "snake_case")]
pub enum Line {
    /// The first line.
    Header(Box<Header>),
    /// One finished case.
    Record(Box<Record>),
    /// The last line of a run that came to an end. A resumed run has one per attempt; the last counts.
    Footer(Footer),
}

/// Where a run's figures come from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Provenance {
    /// Measured by this tool on the device named.
    Measured,
    /// Somebody else's measurement.
    Imported {
        /// Where it was published.
        source: String,
        /// Which version of it.
        version: String,
        /// The licence it came under.
        licence: String,
    },
    /// The maker's datasheet.
    Datasheet {
        /// Where it was published.
        source: String,
    },
    /// One of the documents under judgement.
    Claimed {
        /// Its short name.
        document: String,
    },
}

/// What was run, where and with which settings.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Header {
    /// The layout's version: [`super::SCHEMA_VERSION`].
    pub schema: u32,
    /// A random name for this run.
    pub run_id: String,
    /// When it started, UTC, RFC 3339.
    pub started_at: String,
    /// The program that wrote it.
    pub tool: ToolInfo,
    /// Where the figures come from.
    pub provenance: Provenance,
    /// What was asked for.
    pub request: RunRequest,
    /// The machine around the device.
    pub environment: Environment,
    /// The devices measured.
    pub devices: Vec<DeviceInfo>,
    /// Cases planned, over all devices.
    pub planned: u32,
    /// The inference framework behind imported figures; `None` where there is none, or none is told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub framework: Option<Framework>,
}

/// An inference framework, whose kernels were measured.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Framework {
    /// Its name, as its source spells it: `trtllm`, `vllm`.
    pub name: String,
    /// Its version.
    pub version: String,
}

/// The program that wrote a run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ToolInfo {
    /// The package's version.
    pub version: String,
    /// Whether it was built with optimisation; figures of an unoptimised build are not to be published.
    pub optimised: bool,
    /// The target it was built for.
    pub target: String,
}

/// What the user asked for: enough to run it again.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct RunRequest {
    /// Profile's name.
    pub profile: String,
    /// Time allowed for the whole run, if limited.
    pub budget_s: Option<Seconds>,
    /// Seed of all data.
    pub seed: u64,
    /// Device selectors, as typed.
    pub devices: Vec<String>,
    /// Benchmarks, in order.
    pub benchmarks: Vec<String>,
    /// Axis overrides.
    pub axes: BTreeMap<String, Vec<AxisValue>>,
    /// The user's own matrix products, instead of the profile's.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub shapes: Vec<MatmulShape>,
}

/// A matrix product `c[m, n] = a[m, k] b[k, n]` that a user asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct MatmulShape {
    /// Rows of a and c.
    pub m: u64,
    /// Columns of b and c.
    pub n: u64,
    /// Columns of a, rows of b.
    pub k: u64,
    /// Number format; the benchmark's usual one where none is given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub precision: Option<Precision>,
}

/// The machine around the device. Nothing here names the host, its user or its address.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema, Default)]
pub struct Environment {
    /// Operating system and kernel release.
    pub os: String,
    /// Processor name.
    pub cpu: String,
    /// Cores this process may use.
    pub cores_usable: u32,
    /// Cores of the machine.
    pub cores_total: u32,
    /// Memory of the machine.
    pub memory_b: Option<ByteCount>,
    /// Memory free when the run started.
    pub memory_available_b: Option<ByteCount>,
    /// Whether a hypervisor is present; `None` where that cannot be told.
    pub virtual_machine: Option<bool>,
    /// Cores' worth of processor time the control group may use; `None` if unlimited or not told.
    pub quota_cores: Option<Ratio>,
    /// Frequency governor; `None` where the machine does not tell.
    pub governor: Option<String>,
    /// Setting of transparent huge pages; `None` where the machine does not tell.
    pub huge_pages: Option<String>,
    /// Share of one core that other processes used just before the run.
    pub other_load: Option<Ratio>,
    /// Processes of others that computed on the devices just before the run; none of devices that do not tell of any.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub other_processes: Vec<OtherProcesses>,
    /// What the user should know about this environment, each with what to do.
    #[serde(default)]
    pub warnings: Vec<String>,
}

/// How a run ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Footer {
    /// When it ended, UTC, RFC 3339.
    pub finished_at: String,
    /// Whether the user stopped it early.
    pub interrupted: bool,
    /// Processes of others that computed on the devices just after the run; none of devices that do not tell of any.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub other_processes: Vec<OtherProcesses>,
}

/// A whole run, as loaded from a file.
#[derive(Debug, Clone, PartialEq)]
pub struct Run {
    /// The first line.
    pub header: Header,
    /// The finished cases, in order.
    pub records: Vec<Record>,
    /// The last line; `None` if the run was cut off.
    pub footer: Option<Footer>,
}

impl Run {
    /// The device a record was measured on; `None` if the file names one it does not list.
    pub fn device(&self, record: &Record) -> Option<&DeviceInfo> {
        self.header.devices.get(record.device as usize)
    }
}
