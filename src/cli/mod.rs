//! The command line: one file per subcommand. Parse, wire, print, exit code; nothing else prints or exits.

mod claims;
mod completions;
mod cost;
mod describe;
mod devices;
mod doctor;
mod fit;
mod health;
mod import;
mod list;
mod matmul_max;
mod progress;
mod report;
mod run;
mod schema;
mod shapes;
mod show;
mod values;
mod worker;

use std::fmt;
use std::io::{self, Write};
use std::path::Path;
use std::process::ExitCode;

use clap::ArgMatches;

use crate::record::Run;
use crate::store::{self, StoreError};

/// A subcommand. To add one: its file, and a row in [`COMMANDS`].
struct Command {
    name: &'static str,
    declare: fn(clap::Command) -> clap::Command,
    run: fn(&ArgMatches) -> Result<Exit, Failure>,
}

/// Every subcommand, in the order help lists them.
static COMMANDS: &[Command] = &[
    run::COMMAND,
    matmul_max::COMMAND,
    devices::COMMAND,
    doctor::COMMAND,
    health::COMMAND,
    list::COMMAND,
    describe::COMMAND,
    show::COMMAND,
    fit::COMMAND,
    report::COMMAND,
    claims::COMMAND,
    cost::COMMAND,
    import::COMMAND,
    schema::COMMAND,
    completions::COMMAND,
    worker::COMMAND,
];

/// What an exit code says; the same everywhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Exit {
    /// All is well.
    Fine = 0,
    /// The tool found something: a wrong result, a failed case.
    Finding = 1,
    /// The request or its input cannot be used.
    Usage = 2,
    /// Nothing can be said either way.
    Inconclusive = 3,
    /// The device is absent or busy, or the environment unfit.
    Unfit = 4,
    /// Nothing was measured.
    Nothing = 5,
    /// The user interrupted; everything finished is kept.
    Interrupted = 130,
}

/// Why a command could not do its work: a message that names the thing and the way out.
#[derive(Debug)]
struct Failure {
    exit: Exit,
    message: String,
}

impl Failure {
    fn usage(message: impl fmt::Display) -> Self {
        Self { exit: Exit::Usage, message: message.to_string() }
    }

    fn unfit(message: impl fmt::Display) -> Self {
        Self { exit: Exit::Unfit, message: message.to_string() }
    }
}

/// The whole command line, for the parser and for completions.
fn declare() -> clap::Command {
    let root = clap::Command::new("rooflint")
        .version(env!("CARGO_PKG_VERSION"))
        .about(
            "Measures what a device really achieves (memory bandwidth, arithmetic, matmul), and judges what articles \
             claim of GPUs.",
        )
        .after_help(
            "Start with 'rooflint run': it measures the CPU in under a minute and writes a report.\n\
             Exit codes: 0 fine, 1 a finding, 2 usage or input, 3 inconclusive, 4 device absent or busy, 5 nothing measured, \
             130 interrupted.",
        )
        .subcommand_required(true)
        .arg_required_else_help(true);
    with_subcommands(root, COMMANDS)
}

/// A command with these below it.
fn with_subcommands(parent: clap::Command, commands: &[Command]) -> clap::Command {
    commands
        .iter()
        .fold(parent, |parent, command| parent.subcommand((command.declare)(clap::Command::new(command.name))))
}

/// Runs the one of these that the arguments name.
fn run_subcommand(matches: &ArgMatches, commands: &[Command]) -> Result<Exit, Failure> {
    let chosen = matches.subcommand().and_then(|(name, matches)| {
        let command = commands.iter().find(|command| command.name == name)?;
        Some((command.run)(matches))
    });
    chosen.unwrap_or(Ok(Exit::Usage))
}

/// Parses the arguments, runs the subcommand, and turns its result into an exit code.
pub fn main() -> ExitCode {
    let exit = run_subcommand(&declare().get_matches(), COMMANDS).unwrap_or_else(|failure| {
        complain(&format!("error: {}", failure.message));
        failure.exit
    });
    ExitCode::from(exit as u8)
}

/// Writes a result to standard output. A reader that has gone away (`| head`) is no error.
fn print(text: &str) -> Result<(), Failure> {
    let mut out = anstream::stdout().lock();
    let newline = if text.ends_with('\n') { "" } else { "\n" };
    match write!(out, "{text}{newline}").and_then(|()| out.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(Failure::usage(format!("cannot write to standard output: {error}")))
        }
        _ => Ok(()),
    }
}

/// Writes a message to standard error; there is nowhere to report that this failed.
fn complain(text: &str) {
    let _ = writeln!(anstream::stderr().lock(), "{text}");
}

/// The run of a file or folder; what is to be noted of it goes to standard error. `failed` says what a file that is no run
/// means to the command.
fn load(path: &Path, failed: impl Fn(StoreError) -> Failure) -> Result<Run, Failure> {
    let loaded = store::load(path).map_err(failed)?;
    loaded.warnings.iter().for_each(|warning| complain(&format!("note: {warning}")));
    Ok(loaded.run)
}

/// Columns of the terminal that standard output goes to; `None` if it goes elsewhere.
fn terminal_width() -> Option<usize> {
    terminal_size::terminal_size_of(io::stdout()).map(|(width, _)| usize::from(width.0))
}
