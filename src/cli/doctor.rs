//! `rooflint doctor`: is this machine fit to be measured, and what would make it so?

use std::time::Duration;

use clap::{Args, FromArgMatches};

use super::{Command, Exit, Failure, print};
use crate::device::{BACKENDS, Probe};
use crate::measure::environment;
use crate::measure::lock::DeviceLock;
use crate::record::{DeviceKind, Environment};

pub const COMMAND: Command = Command {
    name: "doctor",
    declare: |command| Arguments::augment_args(command.about("Check whether this machine is fit to be measured")),
    run: |matches| Arguments::from_arg_matches(matches).map_err(Failure::usage).and_then(|_| run()),
};

#[derive(Args)]
struct Arguments {}

fn run() -> Result<Exit, Failure> {
    let mut text = String::new();
    let (mut usable, mut busy) = (0, 0);
    for backend in BACKENDS.iter().filter(|backend| !backend.hidden) {
        match (backend.probe)() {
            Probe::Present(devices) => {
                for device in devices {
                    match DeviceLock::take(&device) {
                        // A renderer on the CPU stands in for a GPU: it is not one more device to be measured.
                        Ok(_) if device.kind == DeviceKind::Software => {
                            text += &format!(
                                "ok    {}: {} (software, on the CPU: used only when asked for)\n",
                                device.selector, device.name
                            );
                        }
                        Ok(_) if device.kind == DeviceKind::Emulated => {
                            text += &format!("-     {}: {} (emulated: for tests only)\n", device.selector, device.name);
                        }
                        Ok(_) => {
                            usable += 1;
                            text += &format!("ok    {}: {}\n", device.selector, device.name);
                        }
                        Err(error) => {
                            busy += 1;
                            text += &format!("BUSY  {error}\n");
                        }
                    }
                }
            }
            Probe::Absent { reason } => text += &format!("-     {}: absent: {reason}\n", backend.id),
        }
        for note in (backend.notes)() {
            text += &format!("-     {}: {note}\n", backend.id);
        }
    }
    // Long enough for the hundredths in which the kernel counts processor time.
    let environment = environment::read(Duration::from_millis(400));
    text += &facts(&environment);
    for warning in &environment.warnings {
        text += &format!("NOTE  {warning}\n");
    }
    text += match (usable, busy, environment.warnings.len()) {
        (0, 0, _) => "No device can be measured here.\n",
        (0, ..) => "Every device is being measured by another run.\n",
        (_, _, 0) => "Fit to be measured: 'rooflint run' begins.\n",
        _ => "Fit to be measured, with the notes above.\n",
    };
    print(&text)?;
    Ok(if usable > 0 { Exit::Fine } else { Exit::Unfit })
}

/// What was looked at and needs nothing done.
fn facts(environment: &Environment) -> String {
    let unknown = || "not told".to_owned();
    let virtual_machine = match environment.virtual_machine {
        Some(true) => "yes: the hypervisor may take the cores away; samples it disturbs are rejected".to_owned(),
        Some(false) => "no".to_owned(),
        None => unknown(),
    };
    let rows = [
        ("system", environment.os.clone()),
        ("processor", environment.cpu.clone()),
        ("cores usable", format!("{} of {}", environment.cores_usable, environment.cores_total)),
        ("memory available", environment.memory_available_b.map_or_else(unknown, |memory| memory.to_string())),
        ("virtual machine", virtual_machine),
        (
            "container quota",
            environment.quota_cores.map_or("none".to_owned(), |quota| format!("{:.2} cores", quota.get())),
        ),
        ("frequency governor", environment.governor.clone().unwrap_or_else(unknown)),
        ("huge pages", environment.huge_pages.clone().unwrap_or_else(unknown)),
        ("load of others", environment.other_load.map_or_else(unknown, |load| format!("{load} of a core"))),
    ];
    rows.iter().map(|(name, value)| format!("ok    {name}: {value}\n")).collect()
}
