//! `rooflint show`: a run as a table, or in another format.

use std::path::PathBuf;

use clap::{Args, FromArgMatches};

use super::{Command, Exit, Failure, load, print};
use crate::export;

pub const COMMAND: Command = Command {
    name: "show",
    declare: |command| Arguments::augment_args(command.about("Print a run as a table, JSON, CSV or Markdown")),
    run: |matches| run(&Arguments::from_arg_matches(matches).map_err(Failure::usage)?),
};

#[derive(Args)]
struct Arguments {
    /// Run: its folder or its run.jsonl
    run: PathBuf,
    /// Format: table, json, csv or md
    #[arg(long, default_value = "table")]
    format: String,
}

fn run(arguments: &Arguments) -> Result<Exit, Failure> {
    let format = export::find(&arguments.format).map_err(Failure::usage)?;
    let run = load(&arguments.run, Failure::usage)?;
    print(&(format.render)(&run).map_err(Failure::usage)?)?;
    Ok(Exit::Fine)
}
