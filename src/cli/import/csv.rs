//! `rooflint import csv`: a table of the user's own.

use std::path::PathBuf;

use clap::{Args, FromArgMatches};

use super::{Command, Exit, Failure, file, stamp, target, write};
use crate::import::csv::{SOURCE, read};

pub const COMMAND: Command = Command {
    name: "csv",
    declare: |command| {
        Arguments::augment_args(command.about(SOURCE.about).after_help(
            "The map, in TOML:\n  \
             benchmark = \"matmul\"   (or attention, moe, collective, memory)\n  \
             time = \"latency_us\"    the column of the times\n  \
             unit = \"us\"            s, ms, us or ns\n  \
             device = \"NVIDIA H100 80GB HBM3\"\n  \
             source = \"…\"  version = \"…\"  licence = \"…\"\n  \
             [columns]              axis = column: m = \"M\", n = \"N\", k = \"K\"\n  \
             [values]               axis = value of every row: precision = \"bf16\"",
        ))
    },
    run: |matches| run(&Arguments::from_arg_matches(matches).map_err(Failure::usage)?),
};

#[derive(Args)]
struct Arguments {
    /// Comma-separated values with a line of column names
    file: PathBuf,
    /// Which column is what, as TOML
    #[arg(long, value_name = "MAP")]
    map: PathBuf,
    /// File for the run, or an existing folder; by default the table's name with -imported.jsonl here
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

fn run(arguments: &Arguments) -> Result<Exit, Failure> {
    let (table, map) = (file::bytes(&arguments.file)?, file::bytes(&arguments.map)?);
    let (name, map_name) = (arguments.file.display().to_string(), arguments.map.display().to_string());
    let map = String::from_utf8(map).map_err(|error| Failure::usage(format!("{map_name} is no text: {error}")))?;
    let import = read(&table, &name, &map, &map_name, &stamp()?).map_err(Failure::usage)?;
    let path = target(arguments.out.as_deref(), &import);
    write(import, &path)?;
    Ok(Exit::Fine)
}
