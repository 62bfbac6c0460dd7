//! `rooflint devices`: what can be measured here.

use clap::{Args, FromArgMatches};

use super::{Command, Exit, Failure, print};
use crate::device::{BACKENDS, Probe};
use crate::record::{DeviceInfo, DeviceKind};

pub const COMMAND: Command = Command {
    name: "devices",
    declare: |command| Arguments::augment_args(command.about("List the devices that can be measured here")),
    run: |matches| run(&Arguments::from_arg_matches(matches).map_err(Failure::usage)?),
};

#[derive(Args)]
struct Arguments {
    /// Print JSON instead of text
    #[arg(long)]
    json: bool,
}

fn run(arguments: &Arguments) -> Result<Exit, Failure> {
    let mut found: Vec<DeviceInfo> = Vec::new();
    let mut absent = Vec::new();
    for backend in BACKENDS.iter().filter(|backend| !backend.hidden) {
        match (backend.probe)() {
            Probe::Present(devices) => found.extend(devices),
            Probe::Absent { reason } => absent.push((backend.id, reason)),
        }
    }
    let exit = if found.is_empty() { Exit::Unfit } else { Exit::Fine };
    if arguments.json {
        let absent: Vec<_> =
            absent.iter().map(|(id, reason)| serde_json::json!({ "backend": id, "reason": reason })).collect();
        let document = serde_json::json!({ "devices": found, "absent": absent });
        print(&serde_json::to_string_pretty(&document).map_err(Failure::usage)?)?;
        return Ok(exit);
    }
    let mut text: String = found.iter().map(describe).collect();
    for (id, reason) in &absent {
        text += &format!("{id}: absent: {reason}\n");
    }
    print(&text)?;
    Ok(exit)
}

/// One device in two lines.
fn describe(device: &DeviceInfo) -> String {
    let memory = device.memory_b.map_or("memory unknown".to_owned(), |memory| format!("{memory} memory"));
    let caches: Vec<_> = device
        .caches
        .iter()
        .map(|cache| match cache.instances {
            1 => format!("L{} {}", cache.level, cache.size_b),
            several => format!("L{} {several} x {}", cache.level, cache.size_b),
        })
        .collect();
    let caches = if caches.is_empty() { "caches unknown".to_owned() } else { caches.join(", ") };
    // A backend that places work itself may not be told how many units there are.
    let places = device.features.iter().any(|feature| feature == "workgroups");
    let units = match places && device.compute_units <= 1 {
        true => "compute units unknown".to_owned(),
        false => format!("{} compute units", device.compute_units),
    };
    let kind = match device.kind {
        DeviceKind::Software => " (software, on the CPU)",
        DeviceKind::Emulated => " (emulated: right answers, meaningless times)",
        DeviceKind::Hardware | DeviceKind::Fake => "",
    };
    let driver = device.driver.as_ref().map_or(String::new(), |driver| format!(", driver {driver}"));
    format!(
        "{}: {}{kind}\n    {}, {units}, {memory}, {caches}{driver}\n",
        device.selector, device.name, device.architecture
    )
}
