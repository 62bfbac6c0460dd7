//! What a device can do for a benchmark, and the backends that can do it.
//!
//! A [`Device`] holds buffers and runs recorded [`Program`]s. The trait is object safe and its handles
//! are plain integers, so one implementation per backend is all there is. `run` is called once per
//! group of samples: the loop over repeats is inside the backend, and no dynamic dispatch sits in a
//! timed window.
//!
//! What is offered to later backends and not used by the CPU (graphs, queued starts, grouped matmul)
//! is answered by a backend that lacks it with [`DeviceError::Unsupported`], never by pretending.

mod cpu;
#[cfg(feature = "cuda")]
mod cuda;
mod fake;
mod pattern;
#[cfg(any(feature = "cuda", feature = "wgpu"))]
mod readback;
#[cfg(feature = "wgpu")]
mod wgpu;

use std::collections::BTreeMap;
use std::fmt;

pub use pattern::Pattern;

use crate::record::{DeviceInfo, Precision, TimerInfo};
use crate::units::{ByteCount, Hertz, Ratio, Seconds};

/// A buffer on a device.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BufferId(pub u32);

/// A recorded program on a device.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ProgramId(pub u32);

/// A point in the order of allocations: everything after it can be freed at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Mark(pub u32);

/// A place in a row of bindings: argument `Slot(i)` is buffer `bindings[repeat % rows][i]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Slot(pub u32);

/// Where a buffer lives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Place {
    /// The device's own memory.
    Device,
    /// Host memory the device can copy from without the operating system's help.
    HostPinned,
    /// Ordinary host memory.
    HostPageable,
    /// The memory of another device of the same backend.
    Peer {
        /// Its number, as in its selector.
        device: u32,
        /// Each of the two devices may reach the other's memory; otherwise the driver stages copies through the host's.
        access: bool,
    },
}

/// A value handed to a kernel.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Arg {
    /// A buffer.
    Buffer(Slot),
    /// A 32-bit number.
    U32(u32),
    /// A 64-bit number.
    U64(u64),
    /// A binary32 number.
    F32(f32),
    /// A binary64 number.
    F64(f64),
}

/// Who computes a matrix product: part of the case's key, since the two are different products.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Provider {
    /// The library users get: a crate on the CPU, cuBLASLt on NVIDIA.
    Vendor,
    /// This project's own kernel.
    Own,
}

/// A matrix product `c[m, n] = a[m, k] b[k, n]`; all row-major unless transposed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct MatmulDesc {
    /// Rows of `a` and `c`.
    pub m: u64,
    /// Columns of `b` and `c`.
    pub n: u64,
    /// Columns of `a`, rows of `b`.
    pub k: u64,
    /// Format of `a`.
    pub a: Precision,
    /// Format of `b`.
    pub b: Precision,
    /// Format of `c`.
    pub c: Precision,
    /// Format of the sums.
    pub accumulate: Precision,
    /// `b` is stored as `[n, k]`, as the weights of a linear layer are.
    pub b_transposed: bool,
    /// Sums of 8-bit floating-point products keep all bits of `accumulate`. Otherwise they may keep what the matrix units
    /// keep, which on compute capability 9.0 is fewer.
    pub full_sums: bool,
    /// Who computes it.
    pub provider: Provider,
}

impl MatmulDesc {
    /// Multiplications and additions: `2 m n k`.
    pub const fn flop(&self) -> u64 {
        2 * self.m * self.n * self.k
    }
}

/// One thing a device does.
#[derive(Debug, Clone, PartialEq)]
pub enum Step {
    /// Starts a kernel.
    Launch {
        /// The kernel's id: the name of its folder under `kernels/`.
        kernel: &'static str,
        /// Which of the device's ways to run it; empty before [`Device::options`] has named them.
        variant: &'static str,
        /// Its arguments, in order.
        args: Vec<Arg>,
        /// Work groups in each dimension. The CPU reads `grid[0]` as threads; 0 means all.
        grid: [u32; 3],
        /// Threads of a work group in each dimension. The CPU ignores it.
        block: [u32; 3],
        /// Shared memory of a work group.
        shared: ByteCount,
    },
    /// One matrix product.
    Matmul {
        /// Its shape and formats.
        desc: MatmulDesc,
        /// Which of the device's plans; empty before [`Device::options`] has named them.
        plan: String,
        /// Left operand.
        a: Slot,
        /// Right operand.
        b: Slot,
        /// Result.
        c: Slot,
    },
    /// One matrix product per group, the groups' row ranges being data on the device.
    GroupedMatmul {
        /// Shape of all groups together (`m` is their sum).
        desc: MatmulDesc,
        /// Number of groups.
        groups: u32,
        /// Row offsets, `groups + 1` of them.
        offsets: Slot,
        /// Left operands, one after another.
        a: Slot,
        /// Right operands, one per group.
        b: Slot,
        /// Results.
        c: Slot,
    },
    /// A copy.
    Copy {
        /// Source.
        from: Slot,
        /// Destination.
        to: Slot,
        /// How much.
        bytes: ByteCount,
    },
    /// Two copies at the same time, each of so many bytes. The step is done when both are.
    Copies {
        /// Source and destination of one.
        first: [Slot; 2],
        /// Source and destination of the other.
        second: [Slot; 2],
        /// How much each copies.
        bytes: ByteCount,
    },
}

impl Step {
    /// A launch on all of the device with nothing chosen yet.
    pub fn launch(kernel: &'static str, args: Vec<Arg>) -> Self {
        Self::Launch { kernel, variant: "", args, grid: [0; 3], block: [0; 3], shared: ByteCount::ZERO }
    }

    /// What is run: the kernel's id, or the kind of step.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Launch { kernel, .. } => kernel,
            Self::Matmul { .. } => "matmul",
            Self::GroupedMatmul { .. } => "grouped_matmul",
            Self::Copy { .. } => "copy",
            Self::Copies { .. } => "copies",
        }
    }

    /// What it does, whatever its buffers: equal for steps that are alike but for those.
    pub fn unbound(&self) -> Self {
        let mut step = self.clone();
        step.slots_mut(&mut |slot| *slot = Slot(0));
        step
    }

    /// This step, run the way another is that is alike but for its buffers.
    pub fn in_the_way_of(&self, other: &Self) -> Self {
        let mut slots = Vec::new();
        self.clone().slots_mut(&mut |slot| slots.push(*slot));
        let (mut step, mut slots) = (other.clone(), slots.into_iter());
        step.slots_mut(&mut |slot| *slot = slots.next().unwrap_or(*slot));
        step
    }

    /// Every slot that it names, in order.
    fn slots_mut(&mut self, each: &mut dyn FnMut(&mut Slot)) {
        match self {
            Self::Launch { args, .. } => {
                for arg in args {
                    if let Arg::Buffer(slot) = arg {
                        each(slot);
                    }
                }
            }
            Self::Matmul { a, b, c, .. } => [a, b, c].into_iter().for_each(each),
            Self::GroupedMatmul { offsets, a, b, c, .. } => [offsets, a, b, c].into_iter().for_each(each),
            Self::Copy { from, to, .. } => [from, to].into_iter().for_each(each),
            Self::Copies { first, second, .. } => first.iter_mut().chain(second).for_each(each),
        }
    }

    /// The name of the chosen way, for the race's table: the variant or the plan.
    pub fn variant(&self) -> &str {
        match self {
            Self::Launch { variant, .. } => variant,
            Self::Matmul { plan, .. } => plan,
            Self::GroupedMatmul { .. } | Self::Copy { .. } | Self::Copies { .. } => "",
        }
    }
}

/// How a program's repeats reach the device.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Submit {
    /// Launch by launch.
    Stream,
    /// As one graph.
    Graph,
}

/// A sequence of steps over buffers, ready to be recorded.
#[derive(Debug, Clone, PartialEq)]
pub struct Program {
    /// The steps, in order.
    pub steps: Vec<Step>,
    /// Rows of buffers: repeat `i` of a window, counted across its samples, uses row `i % rows`, so that
    /// no repeat finds its data in a cache. Every window begins with row 0.
    pub bindings: Vec<Vec<BufferId>>,
    /// Buffers that the check reads: those that row 0 writes.
    pub outputs: Vec<BufferId>,
    /// How repeats are submitted.
    pub submit: Submit,
}

/// How finely a window is timed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Detail {
    /// The window as a whole.
    Whole,
    /// Every step by itself: a measurement of its own, since it adds gaps.
    PerStep,
}

/// When a window's work may begin.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Start {
    /// Once all of it is queued, where the device can; elsewhere as `Immediate`.
    Queued,
    /// As soon as it is submitted, while the rest is still being queued: one sample follows another without a pause.
    Immediate,
}

/// When the host waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Wait {
    /// Once, at the end of the window.
    AfterAll,
    /// After each repeat, as an interactive caller would.
    AfterEachRepeat,
}

/// What `run` is to time.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Window {
    /// Samples, one directly after another.
    pub samples: u32,
    /// Repeats of the program in each sample.
    pub repeats: u32,
    /// How finely to time.
    pub detail: Detail,
    /// When work may begin.
    pub start: Start,
    /// When the host waits.
    pub wait: Wait,
    /// Give up after this long.
    pub deadline: Seconds,
}

/// One timed sample, as the device saw it.
#[derive(Debug, Clone, PartialEq)]
pub struct Timing {
    /// Device time of all repeats.
    pub elapsed: Seconds,
    /// Host time around the same work.
    pub host_elapsed: Seconds,
    /// Clock measured beside the sample.
    pub clock: Option<Hertz>,
    /// Share of the sample in which a measuring thread was ready but not running.
    pub preempted: Option<Ratio>,
    /// Time of each step, under [`Detail::PerStep`].
    pub steps: Vec<Seconds>,
}

/// What a device could not do.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum DeviceError {
    /// There is not enough memory.
    #[error("out of memory: {asked} asked for, {available} available; choose a smaller size with --axis")]
    OutOfMemory {
        /// What was asked for.
        asked: ByteCount,
        /// What there was.
        available: ByteCount,
    },
    /// This device has no way to do it: a case that needs it is skipped.
    #[error("{0}")]
    Unsupported(String),
    /// A call failed; the device can go on.
    #[error("{call}: {message}")]
    Call {
        /// Which call.
        call: &'static str,
        /// What the driver or the system said.
        message: String,
    },
    /// The window outlasted its deadline.
    #[error("a window ran longer than its deadline of {0}")]
    Deadline(Seconds),
    /// The device is gone; so must be the process that used it.
    #[error("device lost: {0}")]
    Lost(String),
}

impl DeviceError {
    /// Whether the process that met it can go on using the device.
    pub fn is_fatal(&self) -> bool {
        matches!(self, Self::Lost(_) | Self::Deadline(_))
    }
}

/// Holds buffers and runs recorded programs on one device.
pub trait Device {
    /// What the device is.
    fn info(&self) -> &DeviceInfo;

    /// Whether its memory is the host's own, so that nothing is transferred between them.
    fn is_host(&self) -> bool {
        false
    }

    /// Its clock, measured when it was opened.
    fn timer(&self) -> &TimerInfo;

    /// A buffer of at least `size` bytes, aligned for every kernel. Its contents are undefined until filled.
    fn alloc(&mut self, size: ByteCount, place: Place) -> Result<BufferId, DeviceError>;

    /// Fills a whole buffer, on the device; [`Pattern`] gives the same bits on the host.
    fn fill(&mut self, to: BufferId, pattern: Pattern) -> Result<(), DeviceError>;

    /// Writes bytes at an offset.
    fn write(&mut self, to: BufferId, at: ByteCount, bytes: &[u8]) -> Result<(), DeviceError>;

    /// Reads bytes from an offset.
    fn read(&mut self, from: BufferId, at: ByteCount, into: &mut [u8]) -> Result<(), DeviceError>;

    /// The ways to run a step: kernel variants, tiles, library algorithms. None: it cannot.
    fn options(&mut self, step: &Step) -> Result<Vec<Step>, DeviceError>;

    /// Makes a program ready: everything that must not be timed, and one run of each step.
    fn record(&mut self, program: &Program) -> Result<ProgramId, DeviceError>;

    /// Runs and times. Samples follow one another without a gap.
    fn run(&mut self, program: ProgramId, window: &Window) -> Result<Vec<Timing>, DeviceError>;

    /// What is worth recording of the surroundings of the buffers now allocated: page size,
    /// denormal mode. Text by name.
    fn conditions(&self) -> BTreeMap<String, String>;

    /// Marks the current point of allocation.
    fn mark(&self) -> Mark;

    /// Frees every buffer and program made after the mark: weights outlive the cases that share them.
    fn release(&mut self, to: Mark) -> Result<(), DeviceError>;
}

/// What looking for a backend's devices found. Absence is a fact to report, not an error.
#[derive(Debug, Clone, PartialEq)]
pub enum Probe {
    /// These devices.
    Present(Vec<DeviceInfo>),
    /// None, and why.
    Absent {
        /// The reason, with the way out where there is one.
        reason: String,
    },
}

/// A way to reach devices.
pub struct Backend {
    /// Its name, the first part of a selector.
    pub id: &'static str,
    /// What it is, in a line.
    pub about: &'static str,
    /// Whether listings leave it out: the fake, which measures nothing.
    pub hidden: bool,
    /// Looks for devices without starting work on them.
    pub probe: fn() -> Probe,
    /// Opens the device named by what follows the colon of a selector (empty if nothing does), and
    /// measures its clock.
    pub open: fn(&str) -> Result<Box<dyn Device>, DeviceError>,
    /// Describes that device without opening it.
    pub describe: fn(&str) -> Result<DeviceInfo, DeviceError>,
    /// What else it found or lacks, a line each: libraries that it would use.
    pub notes: fn() -> Vec<String>,
}

/// Every backend. To add one: its file or folder, and a row here.
pub static BACKENDS: &[Backend] = &[
    cpu::BACKEND,
    #[cfg(feature = "cuda")]
    cuda::BACKEND,
    #[cfg(feature = "wgpu")]
    wgpu::BACKEND,
    fake::BACKEND,
];

/// A selector split into its backend and the rest: `cpu`, `wgpu:0`, `fake:slow`.
pub fn select(selector: &str) -> Result<(&'static Backend, &str), UnknownDevice> {
    let (id, rest) = selector.split_once(':').unwrap_or((selector, ""));
    match BACKENDS.iter().find(|backend| backend.id == id) {
        Some(backend) => Ok((backend, rest)),
        None => Err(UnknownDevice(selector.to_owned())),
    }
}

/// A selector that names no backend.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnknownDevice(pub String);

impl fmt::Display for UnknownDevice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let known: Vec<_> = BACKENDS.iter().filter(|backend| !backend.hidden).map(|backend| backend.id).collect();
        write!(f, "unknown device '{}'; known: {} (see 'rooflint devices')", self.0, known.join(", "))
    }
}

impl std::error::Error for UnknownDevice {}
