//! One case on an open device, from its buffers to its outcome.

use serde::{Deserialize, Serialize};

use crate::device::{BufferId, Detail, Device, DeviceError, Pattern, Program, Start, Window};
use crate::measure::race;
use crate::measure::sampling::{Energy, Sampler};
use crate::measure::settings::Settings;
use crate::record::{Case, CheckFailure, CheckPassed, Link, Measurement, Outcome};
use crate::suite::{Benchmark, CheckError, Load, Outputs, Stop};
use crate::units::{ByteCount, Ratio, Seconds};

/// What a case is doing, for whoever watches.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// Allocating and filling buffers.
    Preparing,
    /// Racing the ways to run it.
    Racing,
    /// Comparing results with the reference.
    Checking,
    /// Waiting until other devices are ready too.
    Ready,
    /// Bringing the device to a steady rate.
    WarmingUp,
    /// Taking samples.
    Sampling {
        /// Samples so far.
        samples: u32,
        /// Running median of a repeat's time.
        median_s: Option<Seconds>,
        /// Half-width of its interval, as a share of it.
        half_width: Option<Ratio>,
    },
}

/// How a case ended, and whether the device can be used again.
#[derive(Debug, Clone, PartialEq)]
pub struct Ended {
    /// What became of it.
    pub outcome: Outcome,
    /// The device or the process is not to be used any more.
    pub lost: bool,
}

/// Why a case has no measurement.
enum End {
    Skip(String),
    Wrong(CheckFailure),
    Device(DeviceError),
}

impl From<DeviceError> for End {
    fn from(error: DeviceError) -> Self {
        Stop::from(error).into()
    }
}

impl From<Stop> for End {
    fn from(stop: Stop) -> Self {
        match stop {
            Stop::Skip(reason) => Self::Skip(reason),
            Stop::Device(error) => Self::Device(error),
        }
    }
}

impl From<CheckError> for End {
    fn from(error: CheckError) -> Self {
        match error {
            CheckError::Wrong(failure) => Self::Wrong(failure),
            CheckError::Device(error) => error.into(),
        }
    }
}

/// Measures a case. Everything it allocates is released again, whatever happens.
pub fn measure(
    device: &mut dyn Device,
    benchmark: &dyn Benchmark,
    case: &Case,
    settings: &Settings,
    watch: &mut dyn FnMut(Phase),
) -> Ended {
    let mark = device.mark();
    let result = attempt(device, benchmark, case, settings, watch);
    let released = device.release(mark);
    let (outcome, mut lost) = match result {
        Ok(measurement) => (Outcome::Measured(Box::new(measurement)), false),
        Err(End::Skip(reason)) => (Outcome::Skipped(reason), false),
        Err(End::Wrong(failure)) => (Outcome::Wrong(failure), false),
        Err(End::Device(error)) => (Outcome::Failed(error.to_string()), error.is_fatal()),
    };
    // What cannot be released would be missing from the next case: a fresh process begins clean.
    lost |= released.is_err();
    Ended { outcome, lost }
}

fn attempt(
    device: &mut dyn Device,
    benchmark: &dyn Benchmark,
    case: &Case,
    settings: &Settings,
    watch: &mut dyn FnMut(Phase),
) -> Result<Measurement, End> {
    let (protocol, deadline, wait) = (&settings.protocol, settings.deadline_s, benchmark.wait(case));
    watch(Phase::Preparing);
    let program = benchmark.prepare(case, device)?;
    watch(Phase::Racing);
    let (program, races) = race::tune(device, &program, wait, settings.race_max_s, deadline)?;
    let id = device.record(&program)?;

    watch(Phase::Checking);
    poison(device, &program)?;
    let once = Window { samples: 1, repeats: 1, detail: Detail::Whole, start: Start::Immediate, wait, deadline };
    device.run(id, &once)?;
    check(device, benchmark, case, &program)?;
    // Poisoned again, so that the second check sees what the timed window wrote, and nothing older.
    poison(device, &program)?;

    if Load::of(case) == Load::Together {
        watch(Phase::Ready);
    }
    watch(Phase::WarmingUp);
    let timer = device.timer().clone();
    let rows = program.bindings.len() as u32;
    let lasting = settings.sustained(device.info().kind);
    let mut sampler = Sampler::calibrate(device, id, rows, wait, protocol.sample_min_s, deadline)?;
    let (warm_up, samples, stop) = match Load::of(case) {
        Load::Sustained | Load::Together => sampler.sustain(protocol, lasting)?,
        Load::Burst => {
            let warm_up = sampler.warm_up(protocol)?;
            let (samples, stop) = sampler.sample(protocol, &mut |samples, time| {
                let median_s = time.and_then(|time| Seconds::new(time.value));
                let half_width = time.and_then(|time| Ratio::new((time.high - time.low) / 2.0 / time.value));
                watch(Phase::Sampling { samples, median_s, half_width });
            })?;
            (warm_up, samples, stop)
        }
    };
    let link = if benchmark.crosses_link(case) { sampler.link()? } else { None };
    let (repeats, energy, untold) = (sampler.repeats, sampler.energy, std::mem::take(&mut sampler.untold));
    // What the timed windows met is among them.
    let mut conditions = device.conditions();
    if let Some(Energy { drawn_j, lasted_s }) = energy {
        conditions.insert("energy".to_owned(), format!("{drawn_j:.3} J in {lasted_s:.6} s"));
    }

    conditions.extend(link.iter().flat_map(Link::conditions));
    if !untold.is_empty() {
        conditions.insert("not_told".to_owned(), untold.join(", "));
    }

    watch(Phase::Checking);
    let check = check(device, benchmark, case, &program)?;
    let variants: Vec<_> = program.steps.iter().map(|step| step.variant()).filter(|name| !name.is_empty()).collect();
    Ok(Measurement {
        variant: variants.join(", "),
        races,
        timer,
        protocol: protocol.clone(),
        repeats,
        warm_up,
        samples,
        stop,
        check,
        conditions,
    })
}

fn poison(device: &mut dyn Device, program: &Program) -> Result<(), DeviceError> {
    program.outputs.iter().try_for_each(|output| device.fill(*output, Pattern::Poison))
}

fn check(
    device: &mut dyn Device,
    benchmark: &dyn Benchmark,
    case: &Case,
    program: &Program,
) -> Result<CheckPassed, CheckError> {
    benchmark.check(case, &mut DeviceOutputs { device, buffers: &program.outputs })
}

/// A program's outputs, read from the device.
struct DeviceOutputs<'a> {
    device: &'a mut dyn Device,
    buffers: &'a [BufferId],
}

impl Outputs for DeviceOutputs<'_> {
    fn read(&mut self, index: usize, at: ByteCount, into: &mut [u8]) -> Result<(), DeviceError> {
        let unknown = || DeviceError::Call { call: "check", message: format!("the program has no output {index}") };
        let buffer = *self.buffers.get(index).ok_or_else(unknown)?;
        self.device.read(buffer, at, into)
    }
}
