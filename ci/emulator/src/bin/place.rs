//! Puts the emulated libraries into a folder, under the names the loader looks for.
//!
//! `rooflint-emulator LIBRARIES OUT [SYMBOL …]` copies from the folder the build left them in; the symbols named are
//! taken out of the driver library, or out of cuBLASLt, so that it looks like one that never had them. `rooflint-emulator --newer-symbols`
//! prints those that a driver of CUDA 12.0 lacks. `rooflint-emulator --check PTX …` says which files it cannot execute.

use std::path::Path;
use std::process::ExitCode;

use rooflint_emulator::module::Module;
use rooflint_emulator::personality::NEWER_SYMBOLS;
use rooflint_emulator::place::place;
use rooflint_emulator::ptx;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let done = match words.as_slice() {
        ["--newer-symbols"] => {
            println!("{}", NEWER_SYMBOLS.join(" "));
            Ok(())
        }
        ["--check", files @ ..] => files.iter().try_for_each(|file| check(file)),
        [from, out, without @ ..] => place(Path::new(from), Path::new(out), without),
        _ => Err("usage: rooflint-emulator LIBRARIES OUT [SYMBOL …] | --newer-symbols | --check PTX …".to_owned()),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("rooflint-emulator: {why}");
            ExitCode::FAILURE
        }
    }
}

/// Parses and decodes a file of PTX.
fn check(file: &str) -> Result<(), String> {
    let text = std::fs::read_to_string(file).map_err(|why| format!("{file}: {why}"))?;
    let source = ptx::parse(&text).map_err(|why| format!("{file}: {why}"))?;
    Module::load(&source, 0).map(|_| ()).map_err(|why| format!("{file}: {why}"))
}
