//! `rooflint import aiconfigurator`: NVIDIA's latency tables of operations.

use std::fs::File;
use std::io::BufReader;
use std::path::PathBuf;

use clap::{Args, FromArgMatches};

use super::folder::Folder;
use super::{Command, Exit, Failure, stamp, target, write};
use crate::import::aiconfigurator::{Choice, SOURCE, read, select};
use crate::import::{Archive, Wheel};

pub const COMMAND: Command = Command {
    name: SOURCE.id,
    declare: |command| Arguments::augment_args(command.about(SOURCE.about)),
    run: |matches| run(&Arguments::from_arg_matches(matches).map_err(Failure::usage)?),
};

#[derive(Args)]
struct Arguments {
    /// The wheel of aiconfigurator-core, or a folder that holds its systems
    path: PathBuf,
    /// GPU and form factor, as the package calls it: h100_sxm
    #[arg(long, value_name = "SYSTEM")]
    system: String,
    /// Framework whose kernels were measured: trtllm, vllm, sglang, or nccl for its collectives; each in a file of its own
    /// where none is named
    #[arg(long, value_name = "FRAMEWORK")]
    framework: Option<String>,
    /// Version of the framework; by default the one with the most tables, and of several the newest
    #[arg(long, value_name = "VERSION")]
    version: Option<String>,
    /// Only a small grid of shapes, chosen whatever their time: what the program's own references are made of
    #[arg(long)]
    subset: bool,
    /// File for the run, or an existing folder; by default SYSTEM-FRAMEWORK-VERSION.jsonl here
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

fn run(arguments: &Arguments) -> Result<Exit, Failure> {
    let mut archive = open(&arguments.path)?;
    let choice = Choice {
        system: arguments.system.clone(),
        framework: arguments.framework.clone(),
        version: arguments.version.clone(),
    };
    let selections = select(archive.as_mut(), &choice).map_err(Failure::usage)?;
    let out = arguments.out.as_deref();
    if let (Some(out), true) = (out.filter(|out| !out.is_dir()), selections.len() > 1) {
        let all: Vec<_> = selections.iter().map(|selection| selection.framework.as_str()).collect();
        return Err(Failure::usage(format!(
            "{} is one file, and there are several frameworks ({}); choose one with --framework, or give --out a folder",
            out.display(),
            all.join(", ")
        )));
    }
    let stamp = stamp()?;
    let mut written = Vec::new();
    for selection in &selections {
        let import = read(archive.as_mut(), selection, &stamp).map_err(Failure::usage);
        let import = import.and_then(|import| {
            let import = if arguments.subset { import.subset() } else { import };
            let path = target(out, &import);
            write(import, &path).map(|()| path)
        });
        match import {
            Ok(path) => written.push(path),
            Err(failure) => {
                // All or nothing: half of what was asked for is not left behind.
                written.iter().for_each(|path| drop(std::fs::remove_file(path)));
                return Err(failure);
            }
        }
    }
    Ok(Exit::Fine)
}

fn open(path: &std::path::Path) -> Result<Box<dyn Archive>, Failure> {
    if path.is_dir() {
        return Ok(Box::new(Folder::open(path).map_err(Failure::usage)?));
    }
    let name = path.display().to_string();
    let file = File::open(path).map_err(|error| Failure::usage(format!("cannot read {name}: {error}")))?;
    Ok(Box::new(Wheel::open(&name, BufReader::new(file)).map_err(Failure::usage)?))
}
