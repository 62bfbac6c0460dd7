//! Any GPU through wgpu: Vulkan, Metal or DX12.
//!
//! Drivers are loaded when a device is looked for or opened, never before. A launch becomes one or more
//! dispatches of WGSL kernels; samples are compute passes timed by the device's own timestamps, or, where
//! those cannot be trusted, by the host's clock, and the timer's name says which.

mod adapters;
mod errors;
mod gpu;
mod kernels;
mod memory;
mod program;
mod timer;
mod transfer;
mod window;

use std::collections::BTreeMap;
use std::time::Instant;

use self::gpu::Gpu;
use self::memory::Memory;
use self::program::Recorded;
use self::timer::Stamps;
use self::transfer::Transfers;
use super::{
    Backend, BufferId, Detail, Device, DeviceError, Mark, Pattern, Place, Program, ProgramId, Start, Step, Timing,
    Wait, Window,
};
use crate::record::{DeviceInfo, TimerInfo};
use crate::units::{ByteCount, Ratio, Seconds};

/// The row of this backend.
pub(super) const BACKEND: Backend = Backend {
    id: "wgpu",
    about: "any GPU through Vulkan, Metal or DX12",
    hidden: false,
    probe: adapters::probe,
    open: |selector| Ok(Box::new(WgpuDevice::open(selector)?)),
    describe: |selector| adapters::select(selector).map(|found| found.info),
    notes: Vec::new,
};

/// A program ready to run.
enum Ready {
    Kernels(Recorded),
    Copies(Transfers),
}

struct WgpuDevice {
    info: DeviceInfo,
    timer: TimerInfo,
    /// Why the host's clock is used, if it is.
    clock_note: Option<String>,
    stamps: Option<Stamps>,
    programs: BTreeMap<u32, Ready>,
    memory: Memory,
    next: u32,
    gpu: Gpu,
}

impl WgpuDevice {
    fn open(selector: &str) -> Result<Self, DeviceError> {
        let found = adapters::select(selector)?;
        let mut gpu = Gpu::open(&found.adapter)?;
        let mut stamps = Stamps::new(&gpu)?;
        let memory = Memory::new(&gpu)?;
        let (timer, distrust) = calibrate(&mut gpu, stamps.as_mut())?;
        let clock_note = if stamps.is_none() { Some("the device has no timestamps".to_owned()) } else { distrust };
        let stamps = stamps.filter(|_| clock_note.is_none());
        Ok(Self { info: found.info, timer, clock_note, stamps, programs: BTreeMap::new(), memory, next: 0, gpu })
    }

    /// A number for a buffer or a program. Never used twice, so that a stale handle is seen as such.
    fn number(&mut self) -> Result<u32, DeviceError> {
        let number = self.next;
        self.next = number.checked_add(1).ok_or_else(|| DeviceError::Lost("all handles are used up".to_owned()))?;
        Ok(number)
    }
}

/// Times at which the device's clock is compared with the host's before it is given up: other work on the host
/// can spoil a comparison.
const ATTEMPTS: u32 = 3;
/// Length of one comparison.
const COMPARED_S: f64 = 0.12;
/// Samples it is made of.
const COMPARED_SAMPLES: u32 = 4;

/// Measures the clock on a kernel that fills memory. Without stamps, or where they disagree with the host's clock,
/// the host's is described; the text says by how much they disagreed.
fn calibrate(gpu: &mut Gpu, stamps: Option<&mut Stamps>) -> Result<(TimerInfo, Option<String>), DeviceError> {
    let mut load = probe(gpu, 8 << 20)?;
    let mut idle = probe(gpu, 256)?;
    let window = |samples, repeats| Window {
        samples,
        repeats,
        detail: Detail::Whole,
        start: Start::Queued,
        wait: Wait::AfterAll,
        deadline: Seconds::new(gpu::PATIENCE.as_secs_f64()).unwrap_or(Seconds::ZERO),
    };
    let mut distrust = None;
    if let Some(stamps) = stamps {
        let empty = window::run(gpu, Some(stamps), &mut idle, &window(51, 1))?;
        let mut round_trips: Vec<_> =
            empty.iter().map(|timing| timing.host_elapsed.get() - timing.elapsed.get()).collect();
        round_trips.sort_unstable_by(f64::total_cmp);
        stamps.round_trip_s = round_trips[round_trips.len() / 2].max(0.0);
        for _ in 0..ATTEMPTS {
            let first = window::run(gpu, Some(stamps), &mut load, &window(1, 8))?;
            let repeat_s = total(&first, |timing| timing.host_elapsed) / 8.0;
            let repeats = (COMPARED_S / f64::from(COMPARED_SAMPLES) / repeat_s.max(1e-7)).ceil() as u32;
            let timings = window::run(gpu, Some(stamps), &mut load, &window(COMPARED_SAMPLES, repeats.max(1)))?;
            let agreement = total(&timings, |timing| timing.elapsed) / total(&timings, |timing| timing.host_elapsed);
            let step = timer::step(&stamps.read(gpu, COMPARED_SAMPLES)?);
            if let (true, Some(step)) = ((agreement - 1.0).abs() <= timer::DISAGREE, step) {
                let info = TimerInfo {
                    clock: "wgpu_timestamp".to_owned(),
                    resolution_s: Seconds::new(step as f64 * stamps.period_s).unwrap_or(Seconds::ZERO),
                    overhead_s: median(&empty),
                    agreement: Ratio::new(agreement),
                };
                return Ok((info, None));
            }
            distrust = Some(format!("timestamps give {agreement:.3} of the time the host's clock gives"));
        }
    }
    let empty = window::run(gpu, None, &mut idle, &window(51, 1))?;
    let info = TimerInfo {
        clock: "host".to_owned(),
        resolution_s: host_resolution(),
        overhead_s: median(&empty),
        agreement: None,
    };
    Ok((info, distrust))
}

/// A program that fills a buffer of its own.
fn probe(gpu: &mut Gpu, size: u64) -> Result<Recorded, DeviceError> {
    let buffer = gpu.buffer(size, wgpu::BufferUsages::STORAGE)?;
    let dispatches = kernels::fill(Pattern::Words { seed: 1 }, size / 4, &gpu.facts);
    let row = gpu.bind(&dispatches, &[&buffer])?;
    let longest = gpu.run_once("open", row.iter())?;
    Ok(Recorded { steps: vec![0; row.len()], rows: vec![row], step_count: 1, dispatch_s: longest.as_secs_f64() })
}

fn total(timings: &[Timing], of: impl Fn(&Timing) -> Seconds) -> f64 {
    timings.iter().map(of).sum::<Seconds>().get()
}

fn median(timings: &[Timing]) -> Seconds {
    let mut times: Vec<_> = timings.iter().map(|timing| timing.elapsed).collect();
    times.sort_unstable();
    times.get(times.len() / 2).copied().unwrap_or(Seconds::ZERO)
}

/// The smallest step seen between two different readings of the host's clock.
fn host_resolution() -> Seconds {
    let start = Instant::now();
    let readings: Vec<_> = (0..10_000).map(|_| start.elapsed()).collect();
    let steps = readings.windows(2).map(|pair| pair[1] - pair[0]).filter(|step| !step.is_zero());
    steps.min().map_or(Seconds::from_nanos(1_000), Seconds::from)
}

impl Device for WgpuDevice {
    fn info(&self) -> &DeviceInfo {
        &self.info
    }

    fn timer(&self) -> &TimerInfo {
        &self.timer
    }

    fn alloc(&mut self, size: ByteCount, place: Place) -> Result<BufferId, DeviceError> {
        let number = self.number()?;
        self.memory.alloc(&self.gpu, number, size, place)?;
        Ok(BufferId(number))
    }

    fn fill(&mut self, to: BufferId, pattern: Pattern) -> Result<(), DeviceError> {
        self.memory.fill(&mut self.gpu, to, pattern)
    }

    fn write(&mut self, to: BufferId, at: ByteCount, bytes: &[u8]) -> Result<(), DeviceError> {
        self.memory.write(&self.gpu, to, at, bytes)
    }

    fn read(&mut self, from: BufferId, at: ByteCount, into: &mut [u8]) -> Result<(), DeviceError> {
        self.memory.read(&self.gpu, from, at, into)
    }

    fn options(&mut self, step: &Step) -> Result<Vec<Step>, DeviceError> {
        Ok(program::options(step, &self.gpu))
    }

    fn record(&mut self, program: &Program) -> Result<ProgramId, DeviceError> {
        let ready = match transfer::is_made_of_copies(program) {
            true => Ready::Copies(Transfers::new(program, &mut self.memory, &self.gpu)?),
            false => Ready::Kernels(Recorded::new(program, &mut self.memory, &mut self.gpu)?),
        };
        let number = self.number()?;
        self.programs.insert(number, ready);
        Ok(ProgramId(number))
    }

    fn run(&mut self, program: ProgramId, window: &Window) -> Result<Vec<Timing>, DeviceError> {
        self.memory.forget();
        let message = || format!("no program {}", program.0);
        let ready =
            self.programs.get_mut(&program.0).ok_or_else(|| DeviceError::Call { call: "run", message: message() })?;
        match ready {
            Ready::Kernels(recorded) => window::run(&self.gpu, self.stamps.as_ref(), recorded, window),
            Ready::Copies(transfers) => transfers.run(window, &mut self.memory, &self.gpu),
        }
    }

    fn conditions(&self) -> BTreeMap<String, String> {
        let mut conditions = BTreeMap::from([
            ("interface".to_owned(), self.info.architecture.split(' ').next().unwrap_or_default().to_owned()),
            ("shader_checks".to_owned(), "off: bounds, endless loops, division, zeroed work-group memory".to_owned()),
            ("binding_max".to_owned(), ByteCount(self.gpu.facts.binding).to_string()),
        ]);
        if self.programs.values().any(|ready| matches!(ready, Ready::Copies(_))) {
            conditions
                .insert("clock".to_owned(), "the host's: copies are timed from submission to completion".to_owned());
        } else if let Some(note) = &self.clock_note {
            conditions.insert("clock".to_owned(), format!("the host's: {note}"));
        }
        conditions
    }

    fn mark(&self) -> Mark {
        Mark(self.next)
    }

    fn release(&mut self, to: Mark) -> Result<(), DeviceError> {
        drop(self.programs.split_off(&to.0));
        self.memory.release(to.0);
        // wgpu gives memory back when it is next asked what has ended.
        self.gpu.wait("release", None, gpu::PATIENCE)
    }
}
