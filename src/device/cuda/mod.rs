//! NVIDIA GPUs through the CUDA driver, and nothing but the driver: no toolkit is needed to build or to run.
//!
//! Kernels are compiled ahead of time and embedded ([`images`]). Windows are timed by events in a stream whose launches
//! wait behind a latch ([`window`]).

mod devices;
mod driver;
mod handles;
mod images;
mod kernels;
mod layers;
mod library;
mod memory;
mod peers;
mod products;
mod program;
mod variants;
mod vendor;
mod window;

use std::collections::BTreeMap;

use self::devices::Found;
use self::handles::Context;
use self::memory::{Memory, Storage};
use self::program::{Code, Recorded, Work};
use self::window::Queue;
use super::{
    Backend, BufferId, Detail, Device, DeviceError, Mark, Pattern, Place, Program, ProgramId, Start, Step, Timing,
    Wait, Window,
};
use crate::record::{DeviceInfo, Precision, TimerInfo};
use crate::units::{ByteCount, Ratio, Seconds};

/// The row of this backend.
pub(super) const BACKEND: Backend = Backend {
    id: "cuda",
    about: "NVIDIA GPUs through the CUDA driver",
    hidden: false,
    probe: devices::probe,
    open: |selector| Ok(Box::new(CudaDevice::open(selector)?)),
    describe: |selector| devices::select(selector).map(|(_, found)| found.info),
    notes: devices::notes,
};

/// Longest wait for work that no window times: fills and first runs.
const PATIENCE_S: f64 = 30.0;

// Fields are dropped in this order: the context last.
struct CudaDevice {
    programs: BTreeMap<u32, Recorded>,
    memory: Memory,
    queue: Queue,
    code: Code,
    timer: TimerInfo,
    next: u32,
    found: Found,
    _context: Context,
}

impl CudaDevice {
    fn open(selector: &str) -> Result<Self, DeviceError> {
        let (driver, found) = devices::select(selector)?;
        let context = Context::retain(found.handle)?;
        let mut code = Code::default();
        let latch = code.function("latch", "latch", &found)?;
        let stamp = code.function("stamp", "stamp", &found)?;
        let queue = Queue::new(driver, latch, stamp, found.info.compute_units.max(1), patience())?;
        let timer = TimerInfo {
            clock: "cuda_event".to_owned(),
            resolution_s: Seconds::ZERO,
            overhead_s: Seconds::ZERO,
            agreement: None,
        };
        let (programs, memory) = (BTreeMap::new(), Memory::new(&context));
        let mut device = Self { programs, memory, queue, code, timer, next: 0, found, _context: context };
        device.calibrate()?;
        Ok(device)
    }

    /// A number for a buffer or a program. Never used twice, so that a stale handle is seen as such.
    fn number(&mut self) -> Result<u32, DeviceError> {
        let number = self.next;
        self.next = number.checked_add(1).ok_or_else(|| DeviceError::Lost("all handles are used up".to_owned()))?;
        Ok(number)
    }

    /// Measures the clock of events, on nothing and on a kernel that fills memory.
    fn calibrate(&mut self) -> Result<(), DeviceError> {
        let mut empty = Vec::new();
        let mut added = Vec::new();
        let mut latched = self.queue.unlatched.is_none();
        for round in 0..2 * EMPTY_BATCHES {
            if round >= EMPTY_BATCHES && empty.len() >= (EMPTY_BATCHES / 2) as usize {
                break;
            }
            let (device_s, host_s) = self.queue.empty_batch(patience())?;
            if latched && self.queue.unlatched.is_some() {
                // The latch does not work here: what it measured so far is its timeout.
                (latched, empty, added) = (false, Vec::new(), Vec::new());
                continue;
            }
            // The first few load what the driver loads late.
            if round >= EMPTY_BATCHES / 4 {
                empty.push(device_s);
                added.push(host_s - device_s);
            }
        }
        let (overhead_s, round_trip_s) = (median(&mut empty), median(&mut added));
        self.queue.round_trip_s = round_trip_s.max(0.0);
        // Events tell time in steps; the driver's documentation says about half a microsecond.
        empty.dedup();
        let steps = empty.windows(2).map(|pair| pair[1] - pair[0]).filter(|step| *step > 1e-10);
        let resolution_s = steps.fold(0.5e-6, f64::min);
        let mark = self.mark();
        let agreement = self.compare_clocks();
        self.release(mark)?;
        self.timer.resolution_s = Seconds::new(resolution_s).unwrap_or(Seconds::ZERO);
        self.timer.overhead_s = Seconds::new(overhead_s).unwrap_or(Seconds::ZERO);
        // What is no number agrees with nothing.
        self.timer.agreement = Ratio::new(agreement?).or(Some(Ratio::ZERO));
        Ok(())
    }

    /// Time by events over time by the host's clock, across [`COMPARED_S`]: the best of a few tries, since other work
    /// on the host can spoil one.
    fn compare_clocks(&mut self) -> Result<f64, DeviceError> {
        let buffer = self.alloc(ByteCount::mib(32), Place::Device)?;
        let work = self.filling(buffer, Pattern::Words { seed: 1 })?;
        let mut load = Recorded::of(vec![vec![work]]);
        self.queue.run_once(&load, patience())?;
        let window = |repeats| Window {
            samples: 1,
            repeats,
            detail: Detail::Whole,
            start: Start::Queued,
            wait: Wait::AfterAll,
            deadline: patience(),
        };
        let mut best = f64::NAN;
        for _ in 0..ATTEMPTS {
            let first = self.queue.run(&mut load, &window(4))?;
            let repeat_s = first.iter().map(|timing| timing.host_elapsed.get()).sum::<f64>() / 4.0;
            let repeats = (COMPARED_S / repeat_s.max(1e-6)).ceil().clamp(1.0, 1e6) as u32;
            let timings = self.queue.run(&mut load, &window(repeats))?;
            let total = |of: fn(&Timing) -> Seconds| timings.iter().map(of).sum::<Seconds>().get();
            let agreement = total(|timing| timing.elapsed) / total(|timing| timing.host_elapsed);
            if !((best - 1.0).abs() <= (agreement - 1.0).abs()) {
                best = agreement;
            }
            if (best - 1.0).abs() <= AGREED {
                break;
            }
        }
        Ok(best)
    }

    /// The launch that fills a buffer of the device's.
    fn filling(&mut self, to: BufferId, pattern: Pattern) -> Result<Work, DeviceError> {
        let function = self.code.function("pattern", "pattern", &self.found)?;
        let buffer = self.memory.get(to, "fill")?;
        let Storage::Device(memory) = &buffer.storage else {
            return Err(DeviceError::Unsupported("memory of the host is filled by the host".to_owned()));
        };
        let (kind, value, seed) = match pattern {
            Pattern::Zeros | Pattern::Poison => (0, pattern.word(0), 0),
            Pattern::Words { seed } => (1, 0, seed),
            Pattern::Uniform { precision: Precision::F64, seed } => (3, 0, seed),
            Pattern::Uniform { precision: Precision::F16, seed } => (7, 0, seed),
            Pattern::Uniform { precision: Precision::Bf16, seed } => (8, 0, seed),
            Pattern::Uniform { precision: Precision::Fp8E4m3, seed } => (11, 0, seed),
            Pattern::Integers { precision: Precision::Fp8E4m3, seed } => (12, 0, seed),
            Pattern::Uniform { seed, .. } => (2, 0, seed),
            Pattern::Integers { precision: Precision::I32, seed } => (4, 0, seed),
            Pattern::Integers { precision: Precision::F64, seed } => (6, 0, seed),
            Pattern::Integers { precision: Precision::F16, seed } => (9, 0, seed),
            Pattern::Integers { precision: Precision::Bf16, seed } => (10, 0, seed),
            Pattern::Integers { seed, .. } => (5, 0, seed),
        };
        let values = vec![memory.pointer, buffer.padded / 4, kind, value.into(), seed];
        let blocks = FILL_BLOCKS * self.found.info.compute_units.max(1);
        Ok(Work::Launch { function, blocks, threads: FILL_THREADS, shared: 0, values })
    }
}

/// Batches that measure what events and the host add.
const EMPTY_BATCHES: u32 = 32;
/// Times at which the device's clock is compared with the host's before it is given up.
const ATTEMPTS: u32 = 3;
/// Length of one comparison.
const COMPARED_S: f64 = 0.12;
/// Difference at which the two clocks count as agreed.
const AGREED: f64 = 0.01;
/// Threads of a block that fills memory.
const FILL_THREADS: u32 = 256;
/// Its blocks for every multiprocessor.
const FILL_BLOCKS: u32 = 8;

/// After an error that no call survives nothing is given back, since the driver would wait for it.
fn given_up(error: &DeviceError) {
    if error.is_fatal() {
        handles::abandon();
    }
}

fn patience() -> Seconds {
    Seconds::new(PATIENCE_S).unwrap_or(Seconds::ZERO)
}

fn median(values: &mut [f64]) -> f64 {
    values.sort_unstable_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(0.0)
}

impl Device for CudaDevice {
    fn info(&self) -> &DeviceInfo {
        &self.found.info
    }

    fn timer(&self) -> &TimerInfo {
        &self.timer
    }

    fn alloc(&mut self, size: ByteCount, place: Place) -> Result<BufferId, DeviceError> {
        let number = self.number()?;
        self.memory.alloc(number, size, place)?;
        Ok(BufferId(number))
    }

    fn fill(&mut self, to: BufferId, pattern: Pattern) -> Result<(), DeviceError> {
        if let Some(bytes) = self.memory.host(to)? {
            for (index, word) in (0..).zip(bytes.as_chunks_mut::<4>().0) {
                *word = pattern.word(index).to_le_bytes();
            }
            return Ok(());
        }
        if self.memory.fill_peer(to, pattern)? {
            return Ok(());
        }
        let filling = Recorded::of(vec![vec![self.filling(to, pattern)?]]);
        self.queue.run_once(&filling, patience()).inspect_err(given_up)
    }

    fn write(&mut self, to: BufferId, at: ByteCount, bytes: &[u8]) -> Result<(), DeviceError> {
        self.memory.write(to, at, bytes)
    }

    fn read(&mut self, from: BufferId, at: ByteCount, into: &mut [u8]) -> Result<(), DeviceError> {
        self.memory.read(from, at, into)
    }

    fn options(&mut self, step: &Step) -> Result<Vec<Step>, DeviceError> {
        program::options(step, &mut self.code, &self.found)
    }

    fn record(&mut self, program: &Program) -> Result<ProgramId, DeviceError> {
        self.memory.forget();
        let recorded = Recorded::new(program, &self.memory, &mut self.code, &self.found)?;
        self.queue.run_once(&recorded, patience()).inspect_err(given_up)?;
        let number = self.number()?;
        self.programs.insert(number, recorded);
        Ok(ProgramId(number))
    }

    fn run(&mut self, program: ProgramId, window: &Window) -> Result<Vec<Timing>, DeviceError> {
        self.memory.forget();
        let message = || format!("no program {}", program.0);
        let recorded =
            self.programs.get_mut(&program.0).ok_or_else(|| DeviceError::Call { call: "run", message: message() })?;
        self.queue.run(recorded, window).inspect_err(given_up)
    }

    fn conditions(&self) -> BTreeMap<String, String> {
        let holds_the_host = self.programs.values().find_map(|program| program.holds_the_host);
        let submission = match self.queue.unlatched.as_deref().or(holds_the_host) {
            Some(reason) => format!("as queued: {reason}"),
            None if self.programs.values().any(|program| program.as_graph) => "graphs behind a latch".to_owned(),
            None => "launches behind a latch".to_owned(),
        };
        let code = self.code.origins.iter().cloned().collect::<Vec<_>>().join(", ");
        let mut conditions = BTreeMap::from([("code".to_owned(), code), ("submission".to_owned(), submission)]);
        // The tail is what the last wave leaves idle.
        if let Some(waves) = self.programs.values().find_map(|program| program.waves) {
            conditions.insert("waves".to_owned(), format!("{waves:.2}"));
        }
        conditions
    }

    fn mark(&self) -> Mark {
        Mark(self.next)
    }

    fn release(&mut self, to: Mark) -> Result<(), DeviceError> {
        drop(self.programs.split_off(&to.0));
        self.memory.release(to.0);
        Ok(())
    }
}
