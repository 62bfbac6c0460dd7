//! `rooflint schema`: the JSON Schema of a run file's lines.

use clap::{Args, FromArgMatches};

use super::{Command, Exit, Failure, print};
use crate::record::Line;

pub const COMMAND: Command = Command {
    name: "schema",
    declare: |command| Arguments::augment_args(command.about("Print the JSON Schema of a line of a run file")),
    run: |matches| Arguments::from_arg_matches(matches).map_err(Failure::usage).and_then(|_| run()),
};

#[derive(Args)]
struct Arguments {}

fn run() -> Result<Exit, Failure> {
    let schema = schemars::schema_for!(Line);
    print(&serde_json::to_string_pretty(&schema).map_err(Failure::usage)?)?;
    Ok(Exit::Fine)
}
