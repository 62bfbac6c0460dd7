//! `rooflint import`: others' results as run files.

mod aiconfigurator;
mod csv;
mod file;
mod folder;

use std::path::{Path, PathBuf};

use clap::ArgMatches;

use super::{Command, Exit, Failure, complain, print, run_subcommand, with_subcommands};
use crate::import::lint::{Lint, Reason, Tally};
use crate::import::{Import, Stamp, google_benchmark, llama_bench, nvbandwidth, nvbench};
use crate::record::{Footer, ToolInfo};
use crate::store;

pub const COMMAND: Command = Command {
    name: "import",
    declare: |command| {
        let command = command
            .about("Read others' measurements into run files, each row held against physics")
            .after_help(
                "Examples:\n  \
                 pip download aiconfigurator-core==0.12.0 --no-deps\n  \
                 rooflint import aiconfigurator aiconfigurator_core-0.12.0-*.whl --system h100_sxm --framework vllm\n\
                 Rows that physics forbids stay in the file as failed cases with the reason, and count nowhere.",
            )
            .subcommand_required(true)
            .arg_required_else_help(true);
        with_subcommands(command, SOURCES)
    },
    run: |matches: &ArgMatches| run_subcommand(matches, SOURCES),
};

/// The subcommand of every source, in the order of `import::SOURCES`.
static SOURCES: &[Command] = &[
    aiconfigurator::COMMAND,
    csv::COMMAND,
    Command {
        name: google_benchmark::SOURCE.id,
        declare: |command| file::declare(command, &google_benchmark::SOURCE),
        run: |matches| file::run(matches, google_benchmark::read),
    },
    Command {
        name: nvbench::SOURCE.id,
        declare: |command| file::declare(command, &nvbench::SOURCE),
        run: |matches| file::run(matches, nvbench::read),
    },
    Command {
        name: nvbandwidth::SOURCE.id,
        declare: |command| file::declare(command, &nvbandwidth::SOURCE),
        run: |matches| file::run(matches, nvbandwidth::read),
    },
    Command {
        name: llama_bench::SOURCE.id,
        declare: |command| file::declare(command, &llama_bench::SOURCE),
        run: |matches| file::run(matches, llama_bench::read),
    },
];

/// When this import happens, and by which program. `SOURCE_DATE_EPOCH` (seconds since 1970) stands in for the clock, so
/// that a file can be made again to the byte.
fn stamp() -> Result<Stamp, Failure> {
    let at = match std::env::var("SOURCE_DATE_EPOCH") {
        Ok(text) => {
            let second = text.parse().ok().and_then(|second| jiff::Timestamp::from_second(second).ok());
            second.ok_or_else(|| {
                Failure::usage(format!("SOURCE_DATE_EPOCH is '{text}', and should be seconds since 1970"))
            })?
        }
        Err(_) => jiff::Timestamp::now(),
    };
    Ok(Stamp {
        at: at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string(),
        tool: ToolInfo {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            optimised: !cfg!(debug_assertions),
            target: format!("{}-{}", std::env::consts::ARCH, std::env::consts::OS),
        },
    })
}

/// Where an import's file goes: the name the user gave, or the import's own.
fn target(out: Option<&Path>, import: &Import) -> PathBuf {
    let own = format!("{}.jsonl", import.name);
    match out {
        Some(folder) if folder.is_dir() => folder.join(own),
        Some(file) => file.to_owned(),
        None => PathBuf::from(own),
    }
}

/// Judges every record of an import, writes the run file, and says what became of its rows.
fn write(import: Import, path: &Path) -> Result<(), Failure> {
    let mut lint = Lint::new(&import.header.devices);
    import.every_record().for_each(|record| lint.observe(&record));
    let mut tally = Tally::default();
    let records = import.records().map(|record| lint.judge(record)).inspect(|record| tally.count(record));
    let footer =
        Footer { finished_at: import.header.started_at.clone(), interrupted: false, other_processes: Vec::new() };
    store::write_whole(path, import.header.clone(), records, footer).map_err(Failure::usage)?;
    for (index, device) in (0_u32..).zip(&import.header.devices) {
        if !lint.knows(index) {
            complain(&format!("note: no datasheet of '{}': of its rows only the times were checked", device.name));
        }
    }
    print(&account(&import, &tally, path))
}

/// What became of the rows, in words.
fn account(import: &Import, tally: &Tally, path: &Path) -> String {
    let joined = import.rows - import.header.planned as usize;
    let joined =
        if joined > 0 { format!(" ({joined} repeat another's and are its further samples)") } else { String::new() };
    let mut lines = vec![format!("{}: {} rows{joined}", path.display(), import.rows)];
    lines.push(format!("  {:>8}  measured", tally.measured));
    for (reason, count) in &tally.quarantined {
        lines.push(format!("  {count:>8}  quarantined, {reason}: {}", reason.meaning()));
        if let Some((key, text)) = tally.examples.get(reason) {
            lines.push(format!("            such as {key}: {}", detail(*reason, text)));
        }
    }
    lines.extend(tally.skipped.iter().map(|(why, count)| format!("  {count:>8}  skipped: {why}")));
    lines.join("\n")
}

/// A quarantined record's text without the reason's word.
fn detail(reason: Reason, text: &str) -> &str {
    let start = reason.quarantine("");
    text.strip_prefix(start.as_str()).unwrap_or(text)
}
