//! `rooflint report`: the report of one or more runs, written to a folder.

use std::path::{Path, PathBuf};

use clap::{Args, FromArgMatches};

use super::{Command, Exit, Failure, complain, print};
use crate::record::Run;
use crate::{report, store};

pub const COMMAND: Command = Command {
    name: "report",
    declare: |command| Arguments::augment_args(command.about("Write the report of one or more runs to a folder")),
    run: |matches| run(&Arguments::from_arg_matches(matches).map_err(Failure::usage)?),
};

#[derive(Args)]
struct Arguments {
    /// Runs: their folders or their run.jsonl files
    #[arg(required = true)]
    runs: Vec<PathBuf>,
    /// Folder for the report; it must not exist yet, or be empty
    #[arg(long, value_name = "DIR", required = true)]
    out: PathBuf,
}

fn run(arguments: &Arguments) -> Result<Exit, Failure> {
    let mut runs = Vec::new();
    for path in &arguments.runs {
        let loaded = store::load(path).map_err(Failure::usage)?;
        loaded.warnings.iter().for_each(|warning| complain(&format!("note: {warning}")));
        runs.push(loaded.run);
    }
    make_folder(&arguments.out, "choose another --out")?;
    write(&arguments.out, &runs)?;
    print(&arguments.out.join("report.html").display().to_string())?;
    Ok(Exit::Fine)
}

/// Makes a folder for results; one that holds anything is refused, so that no result is overwritten.
pub fn make_folder(folder: &Path, way_out: &str) -> Result<(), Failure> {
    let shown = folder.display();
    let refuse = |error: std::io::Error| Failure::usage(format!("cannot make the folder {shown}: {error}"));
    match folder.read_dir() {
        Ok(mut entries) if entries.next().is_some() => {
            Err(Failure::usage(format!("the folder {shown} exists and is not empty; {way_out}")))
        }
        Ok(_) => Ok(()),
        Err(_) => std::fs::create_dir_all(folder).map_err(refuse),
    }
}

/// Writes the report's files into a folder, in place of an earlier report of the same run.
pub fn write(folder: &Path, runs: &[Run]) -> Result<(), Failure> {
    for (name, bytes) in report::render(runs).map_err(Failure::usage)? {
        let path = folder.join(&name);
        let failed = |error: std::io::Error| Failure::usage(format!("cannot write {}: {error}", path.display()));
        path.parent().map_or(Ok(()), std::fs::create_dir_all).map_err(failed)?;
        std::fs::write(&path, bytes).map_err(failed)?;
    }
    Ok(())
}
