//! A short contest between the ways to run a step. It chooses; it does not measure: the winner's figure
//! comes from fresh samples, or the best of many lucky ones would be reported.

use crate::device::{Detail, Device, DeviceError, Program, ProgramId, Start, Step, Wait, Window};
use crate::measure::sampling::Sampler;
use crate::record::{Candidate, Race};
use crate::stats::Sorted;
use crate::suite::Stop;
use crate::units::Seconds;

/// Length of one sample in the race.
const SAMPLE_S: f64 = 0.004;

/// Rounds, interleaved, so that a disturbance falls on all.
const ROUNDS: usize = 7;

/// A candidate this much slower than the best in the first round runs no further rounds.
const OUT: f64 = 1.25;

/// A program of more kinds of steps than this has some that are not worth a race: those that take less than
/// [`SHARE_LEAST`] of its time.
const KINDS_FEW: usize = 3;

/// See [`KINDS_FEW`].
const SHARE_LEAST: f64 = 0.03;

/// Of steps that are alike, as many race: enough that none finds the data of the turn before in a cache.
const ALIKE_MOST: usize = 8;

/// The program with every step's fastest way chosen, and the races that chose it.
pub fn tune(
    device: &mut dyn Device,
    program: &Program,
    wait: Wait,
    time_max: Seconds,
    deadline: Seconds,
) -> Result<(Program, Vec<Race>), Stop> {
    let mut tuned = program.clone();
    let first = |position: &usize| {
        let step = &program.steps[*position];
        !program.steps[..*position].iter().any(|earlier| earlier.is_alike(step))
    };
    let kinds = (0..program.steps.len()).filter(first).count().max(1);
    let shares = if kinds > KINDS_FEW { shares(device, program, wait, deadline)? } else { Vec::new() };
    let slight = |position: usize| shares.get(position).is_some_and(|share| *share < SHARE_LEAST);
    let mut races = Vec::new();
    for position in 0..program.steps.len() {
        let step = &program.steps[position];
        // A step that occurs again, be it on other buffers, is run the same way again.
        if let Some(earlier) = program.steps[..position].iter().position(|earlier| earlier.is_alike(step)) {
            tuned.steps[position] = step.in_the_way_of(&tuned.steps[earlier]);
            continue;
        }
        let alike = program.steps[position..].iter().filter(|other| other.is_alike(step));
        let alike: Vec<&Step> = alike.take(ALIKE_MOST).collect();
        let mut options = device.options(step)?;
        let chosen = match options.len() {
            0 => return Err(Stop::Skip(format!("this device has no way to run '{}'", step.name()))),
            1 => 0,
            // The first is the best guess.
            _ if slight(position) => 0,
            _ => {
                let share = Seconds::new(time_max.get() / kinds as f64).unwrap_or(Seconds::ZERO);
                let (chosen, race) = race(device, program, &alike, &options, wait, share, deadline)?;
                races.push(race);
                chosen
            }
        };
        tuned.steps[position] = options.swap_remove(chosen);
    }
    Ok((tuned, races))
}

/// The share of a program's time that each step takes, with those that are alike; by the first of every step's ways.
fn shares(device: &mut dyn Device, program: &Program, wait: Wait, deadline: Seconds) -> Result<Vec<f64>, Stop> {
    let mut first = program.clone();
    for step in &mut first.steps {
        let mut options = device.options(step)?;
        if options.is_empty() {
            return Err(Stop::Skip(format!("this device has no way to run '{}'", step.name())));
        }
        *step = options.swap_remove(0);
    }
    let id = device.record(&first)?;
    let window = Window { samples: 2, repeats: 1, detail: Detail::PerStep, start: Start::Queued, wait, deadline };
    let timings = device.run(id, &window)?;
    let Some(times) = timings.last().map(|timing| &timing.steps).filter(|times| times.len() == first.steps.len())
    else {
        return Ok(Vec::new());
    };
    let all: f64 = times.iter().map(|time| time.get()).sum();
    let alike = |step: &Step| {
        let of = program.steps.iter().zip(times).filter(|(other, _)| other.is_alike(step));
        of.map(|(_, time)| time.get()).sum::<f64>() / all
    };
    Ok(program.steps.iter().map(alike).collect())
}

/// One candidate's state in the race.
struct Runner {
    program: Result<ProgramId, String>,
    repeats: u32,
    times: Vec<f64>,
}

/// Races the options of steps that are alike, all of them in turn so that each finds its data where the program would; gives
/// the index of the fastest.
fn race(
    device: &mut dyn Device,
    program: &Program,
    alike: &[&Step],
    options: &[Step],
    wait: Wait,
    time_max: Seconds,
    deadline: Seconds,
) -> Result<(usize, Race), Stop> {
    let rows = program.bindings.len() as u32;
    let sample_min = Seconds::new(SAMPLE_S).unwrap_or(Seconds::ZERO);
    let mut runners = Vec::new();
    for option in options {
        let steps = alike.iter().map(|step| step.in_the_way_of(option)).collect();
        let alone = Program { steps, ..program.clone() };
        let runner = match device.record(&alone) {
            Ok(id) => {
                let sampler = Sampler::calibrate(device, id, rows, wait, sample_min, deadline)?;
                // One repeat is long: what it took is a time already, and a slow candidate need not take it again.
                let took = sampler.took.get();
                let times = if sampler.repeats == 1 && took > 0.0 { vec![took] } else { Vec::new() };
                Runner { program: Ok(id), repeats: sampler.repeats, times }
            }
            Err(error) if error.is_fatal() => return Err(error.into()),
            Err(error) => Runner { program: Err(error.to_string()), repeats: 1, times: Vec::new() },
        };
        runners.push(runner);
    }
    let mut spent = 0.0;
    for round in 0..ROUNDS {
        let best = runners.iter().filter_map(Runner::median).fold(f64::INFINITY, f64::min);
        for runner in &mut runners {
            let judged = round > 0 || !runner.times.is_empty();
            let slow = judged && runner.median().is_none_or(|median| !(median <= OUT * best));
            let Ok(id) = runner.program else { continue };
            if slow {
                continue;
            }
            let mut sampler = Sampler::resume(device, id, rows, wait, runner.repeats, deadline);
            for timing in sampler.window(sampler.rotation(), Detail::Whole)? {
                // No time at all is a reading that failed: it must not win.
                if timing.elapsed.get() > 0.0 {
                    runner.times.push(timing.elapsed.get() / f64::from(runner.repeats));
                }
                spent += timing.host_elapsed.get();
            }
        }
        // One whole round always, so that every candidate has a time.
        if spent >= time_max.get() {
            break;
        }
    }
    let median = |index: &usize| runners[*index].median();
    let chosen = (0..runners.len())
        .filter(|index| runners[*index].program.is_ok())
        .min_by(|a, b| median(a).unwrap_or(f64::INFINITY).total_cmp(&median(b).unwrap_or(f64::INFINITY)))
        .ok_or_else(|| Stop::Device(all_failed(&runners)))?;
    let candidates = options.iter().zip(&runners).map(|(option, runner)| Candidate {
        variant: option.variant().to_owned(),
        median_s: runner.median().and_then(Seconds::new),
        failure: runner.program.as_ref().err().cloned(),
    });
    Ok((chosen, Race { step: options[chosen].name().to_owned(), candidates: candidates.collect() }))
}

impl Runner {
    fn median(&self) -> Option<f64> {
        Sorted::new(self.times.iter().copied()).map(|sorted| sorted.median())
    }
}

fn all_failed(runners: &[Runner]) -> DeviceError {
    let reasons: Vec<_> = runners.iter().filter_map(|runner| runner.program.as_ref().err().cloned()).collect();
    DeviceError::Call { call: "race", message: format!("every way to run it failed: {}", reasons.join("; ")) }
}
