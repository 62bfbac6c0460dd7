//! `rooflint worker`: the process that holds a device. Started by `run`, not by people.

use std::io::{self, BufRead, Write};
use std::sync::mpsc;
use std::thread;

use clap::{Args, FromArgMatches};

use super::{Command, Exit, Failure};
use crate::measure::worker::{self, Order};

pub const COMMAND: Command = Command {
    name: "worker",
    declare: |command| Arguments::augment_args(command.hide(true).about("Holds a device for 'run'")),
    run: |matches| run(&Arguments::from_arg_matches(matches).map_err(Failure::usage)?),
};

#[derive(Args)]
struct Arguments {
    /// Device selector
    device: String,
}

fn run(arguments: &Arguments) -> Result<Exit, Failure> {
    let (sender, receiver) = mpsc::channel();
    // Orders are read beside the measurement, so that a supervisor that has gone ends this process even
    // in the middle of a case that never would.
    thread::spawn(move || {
        for line in io::stdin().lock().lines() {
            let order = line.and_then(|line| serde_json::from_str::<Order>(&line).map_err(io::Error::from));
            if sender.send(order).is_err() {
                return;
            }
        }
        drop(sender);
        thread::sleep(GRACE);
        std::process::exit(Exit::Interrupted as i32);
    });
    let mut out = io::stdout();
    let mut say = |message: &worker::Message| {
        let mut line = serde_json::to_vec(message)?;
        line.push(b'\n');
        out.write_all(&line)?;
        out.flush()
    };
    let served = worker::serve(&arguments.device, &mut receiver.into_iter(), &mut say);
    served.map(|()| Exit::Fine).map_err(Failure::usage)
}

/// Time an idle worker has to close its device after its input ended.
const GRACE: std::time::Duration = std::time::Duration::from_secs(2);
