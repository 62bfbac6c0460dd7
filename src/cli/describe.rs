//! `rooflint describe`: one benchmark's question, formula, axes and caveats.

use clap::{Args, FromArgMatches};

use super::{Command, Exit, Failure, print};
use crate::suite::{self, Axis};

pub const COMMAND: Command = Command {
    name: "describe",
    declare: |command| Arguments::augment_args(command.about("Explain a benchmark: its question, formula and caveats")),
    run: |matches| run(&Arguments::from_arg_matches(matches).map_err(Failure::usage)?),
};

#[derive(Args)]
struct Arguments {
    /// Benchmark, as 'rooflint list' lists it
    benchmark: String,
}

fn run(arguments: &Arguments) -> Result<Exit, Failure> {
    let Some(benchmark) = suite::find(&arguments.benchmark) else {
        let known: Vec<_> = suite::ALL.iter().map(|benchmark| benchmark.meta().id).collect();
        return Err(Failure::usage(format!(
            "unknown benchmark '{}'; known: {}",
            arguments.benchmark,
            known.join(", ")
        )));
    };
    let meta = benchmark.meta();
    let axes: String = meta.axes.iter().map(describe).collect();
    let caveats: String = meta.caveats.iter().map(|caveat| format!("  - {caveat}\n")).collect();
    print(&format!(
        "{}: {}\n\nFormula\n  {}\n\nAxes\n{axes}\nCaveats\n{caveats}",
        meta.id, meta.question, meta.formula
    ))?;
    Ok(Exit::Fine)
}

fn describe(axis: &Axis) -> String {
    let takes = match axis.words {
        [] => format!("numbers from {} to {}", axis.range[0], axis.range[1]),
        words => words.join(", "),
    };
    format!("  --axis {}=…  {} ({takes})\n", axis.name, axis.about)
}
