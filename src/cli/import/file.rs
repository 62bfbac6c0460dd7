//! `rooflint import FORMAT FILE`: formats of one file that tell everything themselves.

use std::path::{Path, PathBuf};

use clap::{ArgMatches, Args, FromArgMatches};

use super::{Exit, Failure, stamp, target, write};
use crate::import::{Import, ImportError, Source, Stamp};

#[derive(Args)]
struct Arguments {
    /// File that the tool wrote
    file: PathBuf,
    /// File for the run, or an existing folder; by default the file's name with -imported.jsonl here
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

/// The subcommand's arguments.
pub fn declare(command: clap::Command, source: &Source) -> clap::Command {
    Arguments::augment_args(command.about(source.about))
}

/// Reads the file and writes the run.
pub fn run(
    matches: &ArgMatches,
    read: fn(&[u8], &str, &Stamp) -> Result<Import, ImportError>,
) -> Result<Exit, Failure> {
    let arguments = Arguments::from_arg_matches(matches).map_err(Failure::usage)?;
    let bytes = bytes(&arguments.file)?;
    let import = read(&bytes, &arguments.file.display().to_string(), &stamp()?).map_err(Failure::usage)?;
    let path = target(arguments.out.as_deref(), &import);
    write(import, &path)?;
    Ok(Exit::Fine)
}

/// A file's bytes.
pub fn bytes(path: &Path) -> Result<Vec<u8>, Failure> {
    std::fs::read(path).map_err(|error| Failure::usage(format!("cannot read {}: {error}", path.display())))
}
