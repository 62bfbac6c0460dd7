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
    let firsts = firsts(&program.steps);
    let kinds = firsts.iter().enumerate().filter(|(position, first)| position == *first).count().max(1);
    let time_max = Seconds::new(time_max.get() / kinds as f64).unwrap_or(Seconds::ZERO);
    let shares = if kinds > KINDS_FEW { shares(device, program, &firsts, wait, deadline)? } else { Vec::new() };
    let mut races = Vec::new();
    for (position, step) in program.steps.iter().enumerate() {
        // A step that occurs again, be it on other buffers, is run the same way again.
        if firsts[position] < position {
            tuned.steps[position] = step.in_the_way_of(&tuned.steps[firsts[position]]);
            continue;
        }
        let mut options = ways(device, step)?;
        // The first is the best guess.
        let slight = shares.get(position).is_some_and(|share| *share < SHARE_LEAST);
        let chosen = if options.len() == 1 || slight {
            0
        } else {
            let alike = program.steps.iter().zip(&firsts).filter(|(_, first)| **first == position);
            let alike: Vec<&Step> = alike.map(|(step, _)| step).take(ALIKE_MOST).collect();
            let (chosen, race) = race(device, program, &alike, &options, wait, time_max, deadline)?;
            races.push(race);
            chosen
        };
        tuned.steps[position] = options.swap_remove(chosen);
    }
    Ok((tuned, races))
}

/// For each step the position of the first that is alike but for its buffers; its own, where it is that.
fn firsts(steps: &[Step]) -> Vec<usize> {
    let mut kinds: Vec<(usize, Step)> = Vec::new();
    let first = |(position, step): (usize, &Step)| {
        let unbound = step.unbound();
        match kinds.iter().find(|(_, kind)| *kind == unbound) {
            Some((first, _)) => *first,
            None => {
                kinds.push((position, unbound));
                position
            }
        }
    };
    steps.iter().enumerate().map(first).collect()
}

/// The ways to run a step: at least one.
fn ways(device: &mut dyn Device, step: &Step) -> Result<Vec<Step>, Stop> {
    let ways = device.options(step)?;
    match ways.is_empty() {
        true => Err(Stop::Skip(format!("this device has no way to run '{}'", step.name()))),
        false => Ok(ways),
    }
}

/// The share of a program's time that each step takes, with those that are alike; by the first of every step's ways. None
/// where one of those fails: which do is for the race to find out.
fn shares(
    device: &mut dyn Device,
    program: &Program,
    firsts: &[usize],
    wait: Wait,
    deadline: Seconds,
) -> Result<Vec<f64>, Stop> {
    let mut guessed = program.clone();
    for (position, step) in program.steps.iter().enumerate() {
        guessed.steps[position] = match firsts[position] {
            first if first < position => step.in_the_way_of(&guessed.steps[first]),
            _ => ways(device, step)?.swap_remove(0),
        };
    }
    let window = Window { samples: 2, repeats: 1, detail: Detail::PerStep, start: Start::Queued, wait, deadline };
    let timings = match device.record(&guessed).and_then(|id| device.run(id, &window)) {
        Ok(timings) => timings,
        Err(error) if error.is_fatal() => return Err(error.into()),
        Err(_) => return Ok(Vec::new()),
    };
    let Some(timing) = timings.last().filter(|timing| timing.steps.len() == firsts.len()) else {
        return Ok(Vec::new());
    };
    let all: f64 = timing.steps.iter().map(|time| time.get()).sum();
    let mut shares = vec![0.0; firsts.len()];
    for (time, first) in timing.steps.iter().zip(firsts) {
        shares[*first] += time.get() / all;
    }
    Ok(shares)
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
