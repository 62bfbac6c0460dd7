//! A device that answers by script: real buffers and right results, invented times and faults.
//!
//! It wraps the CPU backend, which computes; the times come from a deterministic formula, and the
//! script adds noise and trouble. A selector carries the script: `fake:noise=0.01,fail=17`.
//! `docs/ARCHITECTURE.md` says what tests use it for; its results are watermarked everywhere.

use std::collections::BTreeMap;

use super::{
    Backend, BufferId, Detail, Device, DeviceError, Mark, Pattern, Place, Probe, Program, ProgramId, Step, Timing,
    Window, cpu,
};
use crate::record::{Cache, DeviceInfo, DeviceKind, TimerInfo};
use crate::units::{ByteCount, Hertz, Ratio, Seconds};

/// The fake device's row in the table of backends.
pub(super) const BACKEND: Backend = Backend {
    id: "fake",
    about: "scripted times and faults over real results, for tests",
    hidden: true,
    probe: || Probe::Present(vec![info("")]),
    open: |script| Ok(Box::new(FakeDevice::open(script)?)),
    describe: |script| Script::parse(script).map(|_| info(script)),
    notes: Vec::new,
};

/// What a script may say. Every item is `name=value`; items are separated by commas.
#[derive(Debug, Clone, PartialEq, Default)]
struct Script {
    /// Relative standard deviation of the times.
    noise: f64,
    /// Factor on every time.
    slow: f64,
    /// Growth of the time from sample to sample, as a share.
    drift: f64,
    /// Share of samples in which other work preempts the device.
    preempt: f64,
    /// Every second sample takes longer by this share.
    bimodal: f64,
    /// The device call, counted from 1, that fails.
    fail: Option<u64>,
    /// The device call, counted from 1, that loses the device.
    lose: Option<u64>,
    /// A step by this name kills the process.
    crash: Option<String>,
    /// A step by this name never ends.
    hang: Option<String>,
    /// A step by this name leaves a wrong result.
    wrong: Option<String>,
    /// A step by this name gives a wrong result from the second window on, as overheated hardware does.
    wrong_later: Option<String>,
    /// A step by this name cannot be run.
    unsupported: Option<String>,
}

impl Script {
    fn parse(text: &str) -> Result<Self, DeviceError> {
        let mut script = Self { slow: 1.0, ..Self::default() };
        for item in text.split(',').filter(|item| !item.is_empty()) {
            let (name, value) = item.split_once('=').unwrap_or((item, ""));
            let bad =
                || DeviceError::Call { call: "fake device", message: format!("cannot read '{item}' of its script") };
            let number = || value.parse::<f64>().ok().filter(|number| number.is_finite()).ok_or_else(bad);
            let count = || value.parse::<u64>().map(Some).map_err(|_| bad());
            let step = || Some(value.to_owned());
            match name {
                "noise" => script.noise = number()?,
                "slow" => script.slow = number()?,
                "drift" => script.drift = number()?,
                "preempt" => script.preempt = number()?,
                "bimodal" => script.bimodal = number()?,
                "fail" => script.fail = count()?,
                "lose" => script.lose = count()?,
                "crash" => script.crash = step(),
                "hang" => script.hang = step(),
                "wrong" => script.wrong = step(),
                "wrong_later" => script.wrong_later = step(),
                "unsupported" => script.unsupported = step(),
                _ => return Err(bad()),
            }
        }
        Ok(script)
    }
}

/// Caches small enough that every default case is tiny.
fn info(script: &str) -> DeviceInfo {
    let cache = |level, size_b| Cache { level, size_b, instances: 1 };
    DeviceInfo {
        backend: "fake".to_owned(),
        selector: if script.is_empty() { "fake".to_owned() } else { format!("fake:{script}") },
        identity: None,
        name: "scripted device".to_owned(),
        architecture: "none".to_owned(),
        kind: DeviceKind::Fake,
        compute_units: 1,
        memory_b: Some(ByteCount::mib(64)),
        caches: vec![cache(1, ByteCount::kib(4)), cache(2, ByteCount::kib(32))],
        clock_max_hz: Hertz::new(1e9),
        driver: None,
        features: vec!["f32".to_owned(), "f64".to_owned(), "i32".to_owned()],
    }
}

/// Bytes per second by which the formula turns bound buffers into time.
const BYTE_RATE: f64 = 50e9;
/// Operations per second by which the formula turns matrix products into time.
const FLOP_RATE: f64 = 1e12;
/// What every repeat costs beside its data.
const REPEAT_S: f64 = 1e-6;

struct FakeDevice {
    script: Script,
    inner: Box<dyn Device>,
    info: DeviceInfo,
    timer: TimerInfo,
    sizes: Vec<(BufferId, ByteCount)>,
    programs: BTreeMap<ProgramId, (Program, u64)>,
    /// The program whose results the buffers hold, with the repeats that made them, if nothing was written since.
    computed: Option<(ProgramId, u32)>,
    calls: u64,
    samples: u64,
}

impl FakeDevice {
    fn open(script: &str) -> Result<Self, DeviceError> {
        let timer = TimerInfo {
            clock: "scripted".to_owned(),
            resolution_s: Seconds::from_nanos(10),
            overhead_s: Seconds::from_nanos(20),
            agreement: Ratio::new(1.0),
        };
        Ok(Self {
            script: Script::parse(script)?,
            inner: (cpu::BACKEND.open)("")?,
            info: info(script),
            timer,
            sizes: Vec::new(),
            programs: BTreeMap::new(),
            computed: None,
            calls: 0,
            samples: 0,
        })
    }

    /// Counts a call and fails it if the script says so.
    fn call(&mut self, call: &'static str) -> Result<(), DeviceError> {
        self.calls += 1;
        if self.script.lose == Some(self.calls) {
            return Err(DeviceError::Lost(format!("scripted at call {}", self.calls)));
        }
        if self.script.fail == Some(self.calls) {
            return Err(DeviceError::Call { call, message: format!("scripted failure of call {}", self.calls) });
        }
        Ok(())
    }

    /// Time of one repeat by formula: what its buffers and products would take.
    fn repeat_time(&self, program: &Program) -> f64 {
        let bound = program.bindings.first().map_or(&[][..], Vec::as_slice);
        let bytes: u64 = self.sizes.iter().filter(|(id, _)| bound.contains(id)).map(|(_, size)| size.0).sum();
        let flop: u64 =
            program.steps.iter().map(|step| if let Step::Matmul { desc, .. } = step { desc.flop() } else { 0 }).sum();
        REPEAT_S + bytes as f64 / BYTE_RATE + flop as f64 / FLOP_RATE
    }

    /// One invented sample: the formula's time under the script's trouble.
    fn sample(&mut self, repeat_s: f64, repeats: u32) -> Timing {
        let index = self.samples;
        self.samples += 1;
        // A sum of four uniform numbers is near enough to a normal one; its deviation is the square root of 4/3.
        let random = |lane: u64| f64::from(Pattern::Words { seed: lane }.word(index)) / f64::from(u32::MAX);
        let normal = (0..4).map(|lane| 2.0 * random(lane) - 1.0).sum::<f64>() / (4.0_f64 / 3.0).sqrt();
        let preempted = random(4) < self.script.preempt;
        let factor = self.script.slow
            * (1.0 + self.script.noise * normal).max(0.1)
            * (1.0 + self.script.drift * index as f64)
            * if index % 2 == 1 { 1.0 + self.script.bimodal } else { 1.0 }
            * if preempted { 1.5 } else { 1.0 };
        let elapsed = Seconds::new(repeat_s * f64::from(repeats) * factor).unwrap_or(Seconds::ZERO);
        Timing {
            elapsed,
            host_elapsed: elapsed,
            clock: Hertz::new(1e9),
            preempted: Ratio::new(if preempted { 0.33 } else { 0.0 }),
            steps: Vec::new(),
        }
    }
}

/// A timing whose time is spread evenly over its steps.
fn split(timing: Timing, steps: usize) -> Timing {
    let each = timing.elapsed.scaled(1.0 / steps as f64).unwrap_or(Seconds::ZERO);
    Timing { steps: vec![each; steps], ..timing }
}

/// Whether a script names a step of this program.
fn names(script: &Option<String>, program: &Program) -> bool {
    script.as_deref().is_some_and(|name| program.steps.iter().any(|step| step.name() == name))
}

impl Device for FakeDevice {
    fn info(&self) -> &DeviceInfo {
        &self.info
    }

    fn timer(&self) -> &TimerInfo {
        &self.timer
    }

    fn alloc(&mut self, size: ByteCount, place: Place) -> Result<BufferId, DeviceError> {
        self.call("alloc")?;
        let used: ByteCount = self.sizes.iter().map(|(_, size)| *size).sum();
        let available = ByteCount(self.info.memory_b.unwrap_or_default().0.saturating_sub(used.0));
        if size > available {
            return Err(DeviceError::OutOfMemory { asked: size, available });
        }
        let id = self.inner.alloc(size, place)?;
        self.sizes.push((id, size));
        Ok(id)
    }

    fn fill(&mut self, to: BufferId, pattern: Pattern) -> Result<(), DeviceError> {
        self.call("fill")?;
        self.computed = None;
        self.inner.fill(to, pattern)
    }

    fn write(&mut self, to: BufferId, at: ByteCount, bytes: &[u8]) -> Result<(), DeviceError> {
        self.call("write")?;
        self.computed = None;
        self.inner.write(to, at, bytes)
    }

    fn read(&mut self, from: BufferId, at: ByteCount, into: &mut [u8]) -> Result<(), DeviceError> {
        self.call("read")?;
        self.inner.read(from, at, into)
    }

    fn options(&mut self, step: &Step) -> Result<Vec<Step>, DeviceError> {
        self.call("options")?;
        if self.script.unsupported.as_deref() == Some(step.name()) {
            return Ok(Vec::new());
        }
        self.inner.options(step)
    }

    fn record(&mut self, program: &Program) -> Result<ProgramId, DeviceError> {
        self.call("record")?;
        let id = self.inner.record(program)?;
        self.programs.insert(id, (program.clone(), 0));
        Ok(id)
    }

    fn run(&mut self, id: ProgramId, window: &Window) -> Result<Vec<Timing>, DeviceError> {
        self.call("run")?;
        let unknown = || DeviceError::Call { call: "run", message: format!("no program {}", id.0) };
        let (program, windows) = self.programs.get_mut(&id).ok_or_else(unknown)?;
        *windows += 1;
        let (program, later) = (program.clone(), *windows > 2);
        if names(&self.script.crash, &program) {
            std::process::abort();
        }
        if names(&self.script.hang, &program) {
            loop {
                std::thread::park();
            }
        }
        // The results are real, and computed once: every row that the window uses, ending with its last.
        let (total, rows) = (window.samples.saturating_mul(window.repeats), program.bindings.len() as u32);
        let repeats = if total < rows { total } else { rows + total % rows };
        if self.computed != Some((id, repeats)) {
            self.inner.run(id, &Window { samples: 1, repeats, ..*window })?;
            self.computed = Some((id, repeats));
        }
        if names(&self.script.wrong, &program) || later && names(&self.script.wrong_later, &program) {
            for output in &program.outputs {
                self.inner.write(*output, ByteCount::ZERO, &[0x5a; 4])?;
            }
        }
        let repeat_s = self.repeat_time(&program);
        let timings: Vec<Timing> = (0..window.samples).map(|_| self.sample(repeat_s, window.repeats)).collect();
        if timings.iter().map(|timing| timing.elapsed).sum::<Seconds>() > window.deadline {
            return Err(DeviceError::Deadline(window.deadline));
        }
        Ok(match window.detail {
            Detail::Whole => timings,
            Detail::PerStep => timings.into_iter().map(|timing| split(timing, program.steps.len())).collect(),
        })
    }

    fn conditions(&self) -> BTreeMap<String, String> {
        BTreeMap::from([("times".to_owned(), "scripted".to_owned())])
    }

    fn mark(&self) -> Mark {
        self.inner.mark()
    }

    fn release(&mut self, to: Mark) -> Result<(), DeviceError> {
        self.call("release")?;
        self.inner.release(to)?;
        self.sizes.retain(|(id, _)| id.0 < to.0);
        self.programs.retain(|id, _| id.0 < to.0);
        Ok(())
    }
}
