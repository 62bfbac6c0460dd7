//! `rooflint health`: is this card what I pay for?

use clap::{Args, FromArgMatches};

use super::run::{conduct, describe, heed_interrupts, lock, selectors};
use super::{Command, Exit, Failure, print, progress};
use crate::health::{Health, Mark, Verdict, judge};
use crate::measure::plan::{Plan, plan};
use crate::measure::supervisor::{Finish, Supervisor};
use crate::measure::telemetry;
use crate::record::{AxisValue, Record};
use crate::suite::{self, Profile, Request};
use crate::units::Seconds;

pub const COMMAND: Command = Command {
    name: "health",
    declare: |command| {
        Arguments::augment_args(
            command.about("Check whether a GPU is what its owner pays for, in under a minute").after_help(
                "Reads what the card says of itself, measures its bandwidth and its arithmetic, and holds both against \
                 healthy cards of its model.\nExit codes: 0 healthy, 1 slow, 3 not comparable, 4 no such device.",
            ),
        )
    },
    run: |matches| run(&Arguments::from_arg_matches(matches).map_err(Failure::usage)?),
};

#[derive(Args)]
struct Arguments {
    /// Device to check, as 'rooflint devices' lists it
    #[arg(long, value_name = "DEVICE", default_value = "cuda")]
    device: String,
    /// Print it as JSON
    #[arg(long)]
    json: bool,
}

/// Longest time for one case.
const DEADLINE_S: f64 = 60.0;
/// Time for all cases.
const BUDGET_S: f64 = 30.0;

fn run(arguments: &Arguments) -> Result<Exit, Failure> {
    let devices = describe(&selectors(std::slice::from_ref(&arguments.device))?)?;
    let _locks = lock(&devices)?;
    let [device] = devices.as_slice() else {
        return Err(Failure::usage("health is asked of one device at a time"));
    };
    let device = device.clone();
    let before = telemetry::card(&device);
    let records = measure(&devices)?;
    // The worker is gone, so that nobody is taken for another.
    let after = telemetry::card(&device);
    let health = judge(&device, &before, &after, &records).map_err(Failure::usage)?;
    let text = match arguments.json {
        true => serde_json::to_string_pretty(&health).map_err(Failure::usage)? + "\n",
        false => words(&health),
    };
    print(&text)?;
    Ok(match health.verdict {
        Verdict::Healthy => Exit::Fine,
        Verdict::Slow { .. } => Exit::Finding,
        Verdict::Unknown { .. } => Exit::Inconclusive,
    })
}

/// A benchmark, its axes, and whether it is for devices with matrix units alone.
type Measured = (&'static str, &'static [(&'static str, &'static str)], bool);

/// What is measured.
const MEASURED: [Measured; 6] = [
    ("transfer", &[("route", "pinned_to_device")], false),
    ("memory", &[("kernel", "copy")], false),
    ("memory", &[("kernel", "triad")], false),
    ("fma", &[("precision", "f32")], false),
    ("mma", &[("precision", "bf16")], true),
    ("matmul", &[("precision", "bf16"), ("library", "vendor")], true),
];

/// The cases of all that is measured: of products the largest square one of the quick profile, by the vendor's library
/// where there is one.
fn cases(devices: &[crate::record::DeviceInfo]) -> Result<Plan, Failure> {
    let has = |wanted: &str| devices.iter().all(|device| device.features.iter().any(|has| has.starts_with(wanted)));
    let mut whole = Plan { devices: devices.to_vec(), cases: Vec::new() };
    for (id, axes, units) in MEASURED {
        let by_library = axes.contains(&("library", "vendor"));
        if units && !has("matrix_units") || by_library && !has("cublaslt_") {
            continue;
        }
        let axes = axes.iter().map(|(name, word)| ((*name).to_owned(), vec![AxisValue::from(*word)])).collect();
        let request = Request { profile: Profile::Quick, axes, shapes: Vec::new(), seed: 1 };
        let benchmarks: Vec<_> = suite::find(id).into_iter().collect();
        let mut part = plan(devices.to_vec(), &benchmarks, &request).map_err(Failure::usage)?;
        if by_library {
            part.cases.retain(|planned| planned.case.count("m") == planned.case.count("n"));
            part.cases.sort_by_key(|planned| planned.footprint);
            part.cases.drain(..part.cases.len().saturating_sub(1));
        }
        whole.cases.append(&mut part.cases);
    }
    Ok(whole)
}

/// Measures them.
fn measure(devices: &[crate::record::DeviceInfo]) -> Result<Vec<Record>, Failure> {
    let plan = cases(devices)?;
    let seconds = |value| Seconds::new(value).unwrap_or(Seconds::ZERO);
    let (mut supervisor, interrupter) =
        Supervisor::new(conduct(Profile::Quick, Some(seconds(BUDGET_S)), seconds(DEADLINE_S))?);
    heed_interrupts(interrupter)?;
    let mut records = Vec::new();
    let mut watch = progress::watch(&plan, plan.cases.len());
    let mut keep = |record: &Record| {
        records.push(record.clone());
        Ok(())
    };
    let finish = supervisor.run(&plan, &|_| true, &mut keep, watch.as_mut()).map_err(Failure::usage)?;
    drop(watch);
    match finish {
        Finish::Complete => Ok(records),
        Finish::Interrupted => Err(Failure { exit: Exit::Interrupted, message: "interrupted".to_owned() }),
    }
}

/// The checks as lines, then the verdict with its reasons.
fn words(health: &Health) -> String {
    let mut text = String::new();
    for check in &health.checks {
        let mark = match check.mark {
            Mark::Fine => "ok  ",
            Mark::Note => "NOTE",
            Mark::Low => "LOW ",
        };
        let expected = check.expected.as_ref().map_or(String::new(), |expected| format!("  (expected {expected})"));
        text += &format!("{mark}  {}: {}{expected}\n", check.name, check.found);
    }
    let (verdict, why): (_, &[String]) = match &health.verdict {
        Verdict::Healthy => ("Healthy.", &[]),
        Verdict::Slow { why } => ("Slow:", why),
        Verdict::Unknown { why } => ("Not comparable:", why),
    };
    text += verdict;
    text += "\n";
    for reason in why {
        text += &format!("  {reason}\n");
    }
    text
}
