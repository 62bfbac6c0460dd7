//! What a run file holds: plain data, with no behaviour beyond reading itself.
//!
//! A run is one invocation; it holds one [`Record`] per case, and a record keeps every sample. No
//! derived figure (median, rate, interval) is stored: [`crate::summary`] computes them, so that a
//! better statistic can be applied to an old file. A file holds no host name, user or address.

mod card;
mod case;
mod device;
mod measurement;
mod run;

pub use card::{Card, Link, OtherProcesses, Process, Reading, Unknown};
pub use case::{AxisValue, Case, Precision, Quantity, Work};
pub use device::{Cache, DeviceInfo, DeviceKind, TimerInfo};
pub use measurement::{
    Candidate, CheckFailure, CheckPassed, Measurement, OperationWork, Outcome, Protocol, Race, Record, Rejection,
    Sample, StopReason, WarmUp,
};
pub use run::{Environment, Footer, Framework, Header, Line, MatmulShape, Provenance, Run, RunRequest, ToolInfo};

/// The version of the run file's layout. A change adds a golden file to `tests/data`; every older
/// version loads for ever.
pub const SCHEMA_VERSION: u32 = 1;
