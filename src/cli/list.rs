//! `rooflint list`: the benchmarks, with the question each answers.

use clap::{Args, FromArgMatches};

use super::{Command, Exit, Failure, print};
use crate::suite;

pub const COMMAND: Command = Command {
    name: "list",
    declare: |command| Arguments::augment_args(command.about("List the benchmarks")),
    run: |matches| Arguments::from_arg_matches(matches).map_err(Failure::usage).and_then(|_| run()),
};

#[derive(Args)]
struct Arguments {}

fn run() -> Result<Exit, Failure> {
    let width = suite::ALL.iter().map(|benchmark| benchmark.meta().id.len()).max().unwrap_or(0);
    let lines = suite::ALL.iter().map(|benchmark| {
        let meta = benchmark.meta();
        format!("{:width$}  {}\n", meta.id, meta.question)
    });
    print(&lines.collect::<String>())?;
    Ok(Exit::Fine)
}
