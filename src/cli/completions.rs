//! `rooflint completions`: a completion script for a shell.

use clap::{Args, FromArgMatches};
use clap_complete::Shell;

use super::{Command, Exit, Failure, declare, print};

pub const COMMAND: Command = Command {
    name: "completions",
    declare: |command| {
        Arguments::augment_args(
            command
                .about("Print a completion script for a shell")
                .after_help("Example: rooflint completions bash > ~/.local/share/bash-completion/completions/rooflint"),
        )
    },
    run: |matches| run(&Arguments::from_arg_matches(matches).map_err(Failure::usage)?),
};

#[derive(Args)]
struct Arguments {
    /// Shell
    shell: Shell,
}

fn run(arguments: &Arguments) -> Result<Exit, Failure> {
    let mut script = Vec::new();
    clap_complete::generate(arguments.shell, &mut declare(), "rooflint", &mut script);
    print(&String::from_utf8_lossy(&script))?;
    Ok(Exit::Fine)
}
