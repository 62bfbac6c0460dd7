//! `rooflint report`: the report of one or more runs, written to a folder.

use std::path::{Path, PathBuf};

use clap::{Args, FromArgMatches};

use super::{Command, Exit, Failure, claims, load, print, terminal_width};
use crate::record::Run;
use crate::report::terminal::{self, Signs, Style, Terminal};
use crate::report::{self, About, View};
use crate::suite;

pub const COMMAND: Command = Command {
    name: "report",
    declare: |command| {
        Arguments::augment_args(command.about("Write the report of runs, and the judged claims, to a folder"))
    },
    run: |matches| run(&Arguments::from_arg_matches(matches).map_err(Failure::usage)?),
};

#[derive(Args)]
struct Arguments {
    /// Runs: their folders or their run.jsonl files; without one, only the claims
    runs: Vec<PathBuf>,
    /// Folder for the report; it must not exist yet, or be empty
    #[arg(long, value_name = "DIR", required = true)]
    out: PathBuf,
}

fn run(arguments: &Arguments) -> Result<Exit, Failure> {
    let runs: Vec<Run> = arguments.runs.iter().map(|path| load(path, Failure::usage)).collect::<Result<_, _>>()?;
    make_folder(&arguments.out, "choose another --out")?;
    write(&arguments.out, &runs)?;
    let page = if runs.is_empty() { "claims.html" } else { "report.html" };
    print(&arguments.out.join(page).display().to_string())?;
    Ok(Exit::Fine)
}

/// Makes a folder for results; one that holds anything is refused, so that no result is overwritten.
pub fn make_folder(folder: &Path, way_out: &str) -> Result<(), Failure> {
    let shown = folder.display();
    let refuse = |error: std::io::Error| Failure::usage(format!("cannot make the folder {shown}: {error}"));
    match folder.read_dir().map(|mut entries| entries.next().is_some()) {
        Ok(true) => Err(Failure::usage(format!("the folder {shown} exists and is not empty; {way_out}"))),
        Ok(false) => Ok(()),
        Err(_) => std::fs::create_dir_all(folder).map_err(refuse),
    }
}

/// Writes the report's files into a folder, in place of an earlier report of the same run: the runs' own, if there are
/// any, and those of the claims.
pub fn write(folder: &Path, runs: &[Run]) -> Result<(), Failure> {
    let claims = claims::view(runs)?;
    let mut files = report::render_claims(&claims).map_err(Failure::usage)?;
    if !runs.is_empty() {
        files.extend(report::render_view(&view(runs).with_claims(&claims)).map_err(Failure::usage)?);
    }
    for report::File { path: name, bytes } in files {
        let path = folder.join(&name);
        let failed = |error: std::io::Error| Failure::usage(format!("cannot write {}: {error}", path.display()));
        path.parent().map_or(Ok(()), std::fs::create_dir_all).map_err(failed)?;
        std::fs::write(&path, bytes).map_err(failed)?;
    }
    Ok(())
}

/// The summary of runs for standard output.
pub fn summary(runs: &[Run]) -> String {
    terminal::summary(&view(runs), &terminal())
}

/// The terminal that standard output goes to.
pub fn terminal() -> Terminal {
    // Consoles that say they are dumb, and the kernel's own, lack Braille. Colours are stripped on the way
    // out where they are not wanted.
    let plain = std::env::var_os("TERM").is_some_and(|term| term == "dumb" || term == "linux");
    let signs = if plain { Signs::Ascii } else { Signs::Unicode };
    Terminal { width: terminal_width(), signs, style: Style::Colour }
}

/// What a report shows of runs, with the suite's own words about its benchmarks.
fn view(runs: &[Run]) -> View {
    let abouts = suite::ALL.iter().map(|benchmark| {
        let meta = benchmark.meta();
        About { id: meta.id, question: meta.question, formula: meta.formula, caveats: meta.caveats }
    });
    View::of(runs).explained(&abouts.collect::<Vec<_>>())
}
