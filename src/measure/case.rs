//! One case on an open device, from its buffers to its outcome.

use serde::{Deserialize, Serialize};

use crate::device::{BufferId, Detail, Device, DeviceError, Mark, Pattern, Program, Start, Window};
use crate::measure::race;
use crate::measure::sampling::{Energy, Sampler};
use crate::measure::settings::Settings;
use crate::record::{Case, CheckFailure, CheckPassed, Link, Measurement, OperationWork, Outcome, Sample};
use crate::suite::{Benchmark, CheckError, Keep, Load, Operation, Outputs, Stop};
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

/// Steps of a program beyond which its variants are listed once each.
const VARIANTS_SHOWN: usize = 8;

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

/// Buffers that cases share, as long as they ask for the same.
#[derive(Debug, Default)]
pub struct Kept(Option<Held>);

#[derive(Debug)]
struct Held {
    keep: Keep,
    before: Mark,
    buffers: Vec<BufferId>,
}

impl Kept {
    /// The buffers that a case shares with those before it: theirs, or new ones in their place.
    fn of(&mut self, device: &mut dyn Device, benchmark: &dyn Benchmark, case: &Case) -> Result<Vec<BufferId>, Stop> {
        let wanted = benchmark.keeps(case);
        match (&self.0, &wanted) {
            (Some(held), Some(wanted)) if held.keep.what == wanted.what && held.keep.amount >= wanted.amount => {
                return Ok(held.buffers.clone());
            }
            _ => self.release(device)?,
        }
        let Some(keep) = wanted else { return Ok(Vec::new()) };
        let before = device.mark();
        match benchmark.keep(case, device) {
            Ok(buffers) => {
                self.0 = Some(Held { keep, before, buffers: buffers.clone() });
                Ok(buffers)
            }
            Err(stop) => {
                device.release(before)?;
                Err(stop)
            }
        }
    }

    /// Whether more is kept than a case asks for.
    fn is_more_than(&self, wanted: Option<Keep>) -> bool {
        self.0.as_ref().zip(wanted).is_some_and(|(held, wanted)| held.keep.amount > wanted.amount)
    }

    fn release(&mut self, device: &mut dyn Device) -> Result<(), DeviceError> {
        self.0.take().map_or(Ok(()), |held| device.release(held.before))
    }
}

/// Measures a case. Everything it allocates is released again, whatever happens; but for what it keeps for the next.
pub fn measure(
    device: &mut dyn Device,
    kept: &mut Kept,
    benchmark: &dyn Benchmark,
    case: &Case,
    settings: &Settings,
    watch: &mut dyn FnMut(Phase),
) -> Ended {
    watch(Phase::Preparing);
    let held = kept.of(device, benchmark, case);
    let mark = device.mark();
    let result = match held {
        Ok(held) => match attempt(device, &held, benchmark, case, settings, watch) {
            // What is kept may be more than this case needs, and be in its way.
            Err(End::Device(DeviceError::OutOfMemory { .. })) if kept.is_more_than(benchmark.keeps(case)) => {
                return again(device, kept, mark, benchmark, case, settings, watch);
            }
            result => result,
        },
        Err(stop) => Err(stop.into()),
    };
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

/// Measures a case once more, with only what it needs kept.
fn again(
    device: &mut dyn Device,
    kept: &mut Kept,
    mark: Mark,
    benchmark: &dyn Benchmark,
    case: &Case,
    settings: &Settings,
    watch: &mut dyn FnMut(Phase),
) -> Ended {
    match device.release(mark).and_then(|()| kept.release(device)) {
        Ok(()) => measure(device, kept, benchmark, case, settings, watch),
        Err(error) => Ended { outcome: Outcome::Failed(error.to_string()), lost: true },
    }
}

fn attempt(
    device: &mut dyn Device,
    held: &[BufferId],
    benchmark: &dyn Benchmark,
    case: &Case,
    settings: &Settings,
    watch: &mut dyn FnMut(Phase),
) -> Result<Measurement, End> {
    let (protocol, deadline, wait) = (&settings.protocol, settings.deadline_s, benchmark.wait(case));
    let program = benchmark.prepare_with(case, device, held)?;
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
    sampler.detail = benchmark.detail(case);
    let (warm_up, mut samples, stop) = match Load::of(case) {
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
    let operations = by_operation(benchmark, case, &program, &mut samples);
    let mut variants: Vec<_> =
        program.steps.iter().map(|step| step.variant()).filter(|name| !name.is_empty()).collect();
    // Layers run their steps the same ways.
    if variants.len() > VARIANTS_SHOWN {
        variants.sort_unstable();
        variants.dedup();
    }
    Ok(Measurement {
        variant: variants.join(", "),
        races,
        timer,
        protocol: protocol.clone(),
        operations,
        repeats,
        warm_up,
        samples,
        stop,
        check,
        conditions,
    })
}

/// Adds up the times of steps that belong to one operation, in samples that have them; the operations are the answer.
fn by_operation(
    benchmark: &dyn Benchmark,
    case: &Case,
    program: &Program,
    samples: &mut [Sample],
) -> Vec<OperationWork> {
    if benchmark.detail(case) != Detail::PerStep {
        return Vec::new();
    }
    let (operations, names) = (benchmark.operations(case), benchmark.operation_names(program));
    for sample in samples {
        let mut sums = vec![Seconds::ZERO; operations.len()];
        for (time, name) in sample.steps_s.iter().zip(&names) {
            for (sum, _) in sums.iter_mut().zip(&operations).filter(|(_, operation)| operation.name == *name) {
                *sum = *sum + *time;
            }
        }
        sample.steps_s = sums;
    }
    operations.into_iter().map(|Operation { name, work }| OperationWork { name: name.to_owned(), work }).collect()
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
