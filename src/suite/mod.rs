//! The questions put to a device: one file each, and one table of them.
//!
//! A benchmark declares its axes, its cases, the bytes and FLOP of a case, the program that runs it and
//! the check that proves the program right. It never times anything and never sees a backend: the
//! protocol is [`crate::measure`]'s business.

mod attention;
mod cache;
mod check;
mod decode;
mod fma;
pub mod grid;
mod intensity;
mod latency;
mod launch;
mod load;
mod matmul;
mod memory;
mod mma;
mod parallel;
pub mod shapes;
mod sizes;
mod transfer;

pub use load::{Load, together};

use std::collections::BTreeMap;

use crate::device::{BufferId, Detail, Device, DeviceError, Program, Wait};
use crate::record::{
    AxisValue, Case, CheckFailure, CheckPassed, DeviceInfo, DeviceKind, MatmulShape, Precision, Quantity, Work,
};
use crate::units::ByteCount;

/// Every benchmark, in the order they run. To add one: its file, its kernels, and a row here.
pub static ALL: &[&dyn Benchmark] = &[
    &memory::Memory,
    &cache::Cache,
    &latency::Latency,
    &fma::Fma,
    &intensity::Intensity,
    &mma::Mma,
    &matmul::Matmul,
    &launch::Launch,
    &transfer::Transfer,
    &attention::Attention,
    &decode::Decode,
];

/// The effort that points of a curve are worth: their neighbours support them.
const CURVE_EFFORT: f64 = 0.2;

/// The benchmark with an id.
pub fn find(id: &str) -> Option<&'static dyn Benchmark> {
    ALL.iter().copied().find(|benchmark| benchmark.meta().id == id)
}

/// How much to run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Profile {
    /// The headlines, in well under a minute.
    Quick,
    /// Every case most users want, in minutes.
    Standard,
    /// Every case there is.
    Full,
}

impl Profile {
    /// Every profile with its name.
    pub const ALL: [(Self, &'static str); 3] =
        [(Self::Quick, "quick"), (Self::Standard, "standard"), (Self::Full, "full")];

    /// The name used on the command line and in files.
    pub fn name(self) -> &'static str {
        Self::ALL.iter().find(|(profile, _)| *profile == self).map_or("?", |(_, name)| name)
    }
}

/// What the user asked of the suite.
#[derive(Debug, Clone, PartialEq)]
pub struct Request {
    /// Which cases.
    pub profile: Profile,
    /// Axes whose values the user gave.
    pub axes: BTreeMap<String, Vec<AxisValue>>,
    /// Matrix products instead of the profile's; none for those of the profile.
    pub shapes: Vec<MatmulShape>,
    /// Seed of all data.
    pub seed: u64,
}

/// An axis of a benchmark.
#[derive(Debug, Clone, Copy)]
pub struct Axis {
    /// Its name, as in `--axis NAME=VALUE`.
    pub name: &'static str,
    /// What it is, with its unit.
    pub about: &'static str,
    /// The words it may hold; empty for an axis of numbers.
    pub words: &'static [&'static str],
    /// The least and the largest number it may hold (axes of numbers only); their products must fit 64 bits.
    pub range: [u64; 2],
}

/// Precisions of matrix products.
const PRECISIONS: [&str; 7] = ["f64", "f32", "tf32", "f16", "bf16", "fp8_e4m3", "i8"];

/// Whether a device says that it has something.
fn has(device: &DeviceInfo, feature: &str) -> bool {
    device.features.iter().any(|known| known == feature)
}

/// How kernels' `precision` argument spells a format; one that none of them knows for a format that kernels with such an
/// argument have no form for.
const fn spelled(precision: Precision) -> u32 {
    match precision {
        Precision::F64 => 0,
        Precision::F32 => 1,
        Precision::I32 => 2,
        Precision::F16 => 3,
        Precision::I8 => 4,
        Precision::Bf16 => 5,
        Precision::Tf32 | Precision::Fp8E4m3 | Precision::Fp8E5m2 => u32::MAX,
    }
}

/// The range of an axis of words.
pub const WORDS_ONLY: [u64; 2] = [0, 0];

/// The range of the side of a matrix: up to a million, so that `2 m n k` fits 64 bits.
pub const SIDE: [u64; 2] = [1, 1 << 20];

/// The range of a number of threads or compute units.
pub const THREADS: [u64; 2] = [1, 1 << 16];

/// Whether a device spreads every launch over all its units by itself, as GPUs do: work cannot be kept to
/// some of them. Such devices say so among their features.
fn places_work_groups(device: &DeviceInfo) -> bool {
    has(device, "workgroups")
}

/// The units of a device that spreads its work itself; `None` where it does not tell them, spreads none, or
/// is emulated, where few are enough.
fn units_told(device: &DeviceInfo) -> Option<u64> {
    let told = places_work_groups(device) && device.compute_units > 1 && device.kind != DeviceKind::Emulated;
    told.then_some(device.compute_units.into())
}

/// What a benchmark is.
#[derive(Debug, Clone, Copy)]
pub struct Meta {
    /// Its id: file stem, kernel folder, record field and report anchor.
    pub id: &'static str,
    /// The question it answers, as one sentence with a question mark.
    pub question: &'static str,
    /// How the headline is computed: the byte and FLOP formula in words.
    pub formula: &'static str,
    /// What a reader should know before trusting a figure: known biases, what it does not show.
    pub caveats: &'static [&'static str],
    /// The figure that answers the question.
    pub quantity: Quantity,
    /// Its axes.
    pub axes: &'static [Axis],
}

/// Why a case cannot be prepared.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum Stop {
    /// It does not apply to this device: a fact, not a fault.
    #[error("{0}")]
    Skip(String),
    /// The device failed.
    #[error(transparent)]
    Device(DeviceError),
}

impl From<DeviceError> for Stop {
    fn from(error: DeviceError) -> Self {
        match error {
            DeviceError::Unsupported(reason) => Self::Skip(reason),
            error => Self::Device(error),
        }
    }
}

/// The buffers a check reads, wherever they are.
pub trait Outputs {
    /// Reads bytes of the `index`-th output of the program.
    fn read(&mut self, index: usize, at: ByteCount, into: &mut [u8]) -> Result<(), DeviceError>;
}

/// Why a check did not pass.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum CheckError {
    /// The result is wrong.
    #[error(transparent)]
    Wrong(#[from] CheckFailure),
    /// The result could not be read.
    #[error(transparent)]
    Device(#[from] DeviceError),
}

/// Buffers that outlive a case, for the cases after it that need the same.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Keep {
    /// What they hold: those of another text are of no use.
    pub what: String,
    /// How much of it: more serves those that need less.
    pub amount: u64,
}

/// A kind of work that a program's steps do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Operation {
    /// Its name.
    pub name: &'static str,
    /// What one repeat moves and computes for it.
    pub work: Work,
}

/// One question put to a device. Pure, except `keep` and `prepare`.
pub trait Benchmark: Sync {
    /// What it is.
    fn meta(&self) -> &'static Meta;

    /// The cases for a device, in running order. Axes the user gave replace the profile's values; values
    /// were validated against [`Meta::axes`] before.
    fn cases(&self, device: &DeviceInfo, request: &Request) -> Vec<Case>;

    /// What one repeat of a case moves and computes.
    fn work(&self, case: &Case) -> Work;

    /// Device memory the case needs, to be compared with what is free before it is prepared.
    fn footprint(&self, device: &DeviceInfo, case: &Case) -> ByteCount;

    /// Why a case that the user asked for makes no sense on the device, and the way out; `None` for one that does.
    fn refuses(&self, _device: &DeviceInfo, _case: &Case) -> Option<String> {
        None
    }

    /// What of a case's buffers is worth keeping for the cases after it.
    fn keeps(&self, _case: &Case) -> Option<Keep> {
        None
    }

    /// Allocates and fills what [`Self::keeps`] names.
    fn keep(&self, _case: &Case, _device: &mut dyn Device) -> Result<Vec<BufferId>, Stop> {
        Ok(Vec::new())
    }

    /// [`Self::prepare`] over kept buffers: those that [`Self::keep`] gave for this case or one that keeps more of the same.
    fn prepare_with(&self, case: &Case, device: &mut dyn Device, _kept: &[BufferId]) -> Result<Program, Stop> {
        self.prepare(case, device)
    }

    /// Allocates and fills the buffers of a case, and gives the program over them.
    fn prepare(&self, case: &Case, device: &mut dyn Device) -> Result<Program, Stop>;

    /// The share of a profile's time that a case of this benchmark is worth: 1 for one that is an answer by
    /// itself, less for a point of a curve.
    fn effort(&self) -> f64 {
        1.0
    }

    /// Whether a case moves data over the link between the device and the host, so that how the link is while it does
    /// belongs to its conditions.
    fn crosses_link(&self, _case: &Case) -> bool {
        false
    }

    /// The number of the other device that a case copies to, among those of its device's backend.
    fn peer(&self, _case: &Case) -> Option<u32> {
        None
    }

    /// When the host waits while this case is timed.
    fn wait(&self, _case: &Case) -> Wait {
        Wait::AfterAll
    }

    /// How finely this case is timed.
    fn detail(&self, _case: &Case) -> Detail {
        Detail::Whole
    }

    /// The operations that a case's program is made of, where it is timed step by step.
    fn operations(&self, _case: &Case) -> Vec<Operation> {
        Vec::new()
    }

    /// The name of the operation that each step of a program belongs to, in the order of the steps.
    fn operation_names(&self, _program: &Program) -> Vec<&'static str> {
        Vec::new()
    }

    /// Compares the outputs with a float64 (or exact integer) reference. Called before and after timing.
    fn check(&self, case: &Case, outputs: &mut dyn Outputs) -> Result<CheckPassed, CheckError>;
}

/// Every combination of the axes' values: the user's where given, else the profile's. The last axis
/// varies fastest.
pub fn expand(id: &'static str, request: &Request, axes: &[(&'static str, Vec<AxisValue>)]) -> Vec<Case> {
    let mut points: Vec<Vec<(&'static str, AxisValue)>> = vec![Vec::new()];
    for (name, defaults) in axes {
        let values = request.axes.get(*name).unwrap_or(defaults);
        points = points
            .into_iter()
            .flat_map(|point| {
                values.iter().map(move |value| {
                    let mut point = point.clone();
                    point.push((*name, value.clone()));
                    point
                })
            })
            .collect();
    }
    points.into_iter().map(|point| Case::new(id, point, request.seed)).collect()
}
