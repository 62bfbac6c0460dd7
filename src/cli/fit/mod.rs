//! `rooflint fit`: what runs measured, as laws that foretell what they did not.

mod table;

use std::fs::OpenOptions;
use std::io::Write;
use std::path::{Path, PathBuf};

use clap::{Args, FromArgMatches};

use super::{Command, Exit, Failure, load, print, terminal_width};
use crate::fit::{Allowed, Calibration};
use crate::hardware::{self, Gpu};
use crate::record::Run;

pub const COMMAND: Command = Command {
    name: "fit",
    declare: |command| {
        Arguments::augment_args(command)
            .about("Fit laws of each operation's time to what runs measured, with the uncertainty of every constant")
            .after_help("Example: rooflint fit h100_sxm-vllm.jsonl --out h100.json --evaluate")
    },
    run: |matches| run(&Arguments::from_arg_matches(matches).map_err(Failure::usage)?),
};

#[derive(Args)]
struct Arguments {
    /// Runs of one device, measured or imported: their folders or their run.jsonl files
    #[arg(required = true, value_name = "RUN")]
    runs: Vec<PathBuf>,
    /// File for the calibration, which 'rooflint cost --gpu' reads; it must not exist yet
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Print how well the laws foretell shapes and models held out, beside a hard maximum and a plain sum
    #[arg(long)]
    evaluate: bool,
    /// Foretell this run's cases by the laws fitted to the others, and print the errors: say, a model that they have not seen
    #[arg(long, value_name = "RUN")]
    foretell: Option<PathBuf>,
    /// Fit several devices as if they were one
    #[arg(long)]
    together: bool,
    /// Fit an emulated or scripted device all the same; the result is marked
    #[arg(long)]
    allow_emulated: bool,
}

fn run(arguments: &Arguments) -> Result<Exit, Failure> {
    let allowed = Allowed { emulated: arguments.allow_emulated, together: arguments.together };
    let runs = all(&arguments.runs)?;
    let calibration = fitted(&runs, allowed)?;
    let foretold = arguments.foretell.as_ref().map(|path| {
        let run = load(path, Failure::usage)?;
        calibration.foretell(&runs, &run, identified(&run)?.as_ref()).map_err(Failure::usage)
    });
    let foretold = foretold.transpose()?;
    if let Some(out) = &arguments.out {
        write(&calibration, out)?;
    }
    let mut text = table::constants(&calibration, terminal_width());
    if arguments.evaluate {
        text.push_str(&table::errors(&calibration, terminal_width()));
    }
    if let Some(foretold) = &foretold {
        text.push_str(&table::foretold(foretold, terminal_width()));
    }
    text.push_str(&table::missing(&calibration, terminal_width()));
    print(&text)?;
    Ok(Exit::Fine)
}

/// The calibration of runs that files hold.
pub fn of(paths: &[PathBuf], allowed: Allowed) -> Result<Calibration, Failure> {
    fitted(&all(paths)?, allowed)
}

fn all(paths: &[PathBuf]) -> Result<Vec<Run>, Failure> {
    paths.iter().map(|path| load(path, Failure::usage)).collect()
}

fn fitted(runs: &[Run], allowed: Allowed) -> Result<Calibration, Failure> {
    let named = runs.iter().find(|run| !run.header.devices.is_empty());
    let gpu = named.map(identified).transpose()?.flatten();
    Calibration::of(runs, gpu.as_ref(), allowed).map_err(Failure::usage)
}

/// The datasheet of a run's first device, if the catalogue has it.
fn identified(run: &Run) -> Result<Option<Gpu>, Failure> {
    let name = run.header.devices.first().map_or("", |info| info.name.as_str());
    hardware::identify(name).map_err(Failure::usage)
}

/// Writes a calibration to a new file.
fn write(calibration: &Calibration, path: &Path) -> Result<(), Failure> {
    let failed = |error: std::io::Error| Failure::usage(format!("cannot write {}: {error}", path.display()));
    let text = serde_json::to_string(calibration).map_err(Failure::usage)?;
    let mut file = OpenOptions::new().write(true).create_new(true).open(path).map_err(failed)?;
    file.write_all(text.as_bytes()).and_then(|()| file.write_all(b"\n")).map_err(failed)
}
