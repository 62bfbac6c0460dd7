//! Breaks the CUDA kernels of `kernels/ptx`, one instruction at a time, and sees that verification notices.
//!
//! `rooflint-mutants [--kernel NAME] [--part I/N] [--jobs N] [--verbose]`; see `ci/mutants`.

mod cases;
mod clocks;
mod operators;
mod ptx;
mod serve;
mod trial;
mod worker;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::operators::Mutant;
use crate::ptx::File;
use crate::worker::{Fate, Worker};

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let done = match arguments.first().map(String::as_str) {
        Some("serve") => serve::serve().map(|()| true),
        _ => Asked::of(&arguments).and_then(|asked| run(&asked)),
    };
    match done {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(why) => {
            eprintln!("rooflint-mutants: {why}");
            ExitCode::FAILURE
        }
    }
}

/// What is asked for.
struct Asked {
    kernel: Option<String>,
    jobs: usize,
    verbose: bool,
}

impl Asked {
    fn of(arguments: &[String]) -> Result<Self, String> {
        let mut asked =
            Self { kernel: None, jobs: std::thread::available_parallelism().map_or(1, usize::from), verbose: false };
        let mut rest = arguments.iter();
        while let Some(argument) = rest.next() {
            let mut value = || rest.next().ok_or(format!("{argument} needs a value"));
            match argument.as_str() {
                "--kernel" => asked.kernel = Some(value()?.clone()),
                "--jobs" => asked.jobs = value()?.parse().map_err(|why| format!("--jobs: {why}"))?,
                "--verbose" => asked.verbose = true,
                other => return Err(format!("'{other}' is not known")),
            }
        }
        Ok(asked)
    }
}

fn files() -> Result<Vec<File>, String> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../kernels/ptx");
    let entries = std::fs::read_dir(&folder).map_err(|why| format!("{}: {why}", folder.display()))?;
    let mut paths: Vec<PathBuf> = entries.filter_map(|entry| Some(entry.ok()?.path())).collect();
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "ptx"));
    paths.sort();
    let read = |path: &PathBuf| {
        let text = std::fs::read_to_string(path).map_err(|why| format!("{}: {why}", path.display()))?;
        Ok(File::new(&path.file_stem().unwrap_or_default().to_string_lossy(), &text))
    };
    paths.iter().map(read).collect()
}

fn run(asked: &Asked) -> Result<bool, String> {
    let mut files = files()?;
    files.retain(|file| asked.kernel.as_ref().is_none_or(|kernel| file.kernel == *kernel));
    // Each entry point as it is comes first: what catches that would catch anything.
    let mut jobs = Vec::new();
    for file in &files {
        for entry in &file.entries {
            jobs.push((file, entry, None));
            jobs.extend(operators::mutants(file, entry).into_iter().map(|mutant| (file, entry, Some(mutant))));
        }
    }
    let fates: Mutex<Vec<(Option<Mutant>, String, Fate)>> = Mutex::new(Vec::new());
    let next = AtomicUsize::new(0);
    let folder = std::env::temp_dir().join(format!("rooflint-mutants-{}", std::process::id()));
    let began = std::time::Instant::now();
    let work = |number: usize| -> Result<(), String> {
        let mut worker = Worker::new(&folder.join(number.to_string()))?;
        while let Some((file, entry, mutant)) = jobs.get(next.fetch_add(1, Ordering::Relaxed)) {
            let text = match mutant {
                None => file.alone(entry),
                Some(mutant) => file.with(entry, mutant.line, &mutant.after),
            };
            let started = std::time::Instant::now();
            let fate = worker.attempt(&file.kernel, &entry.name, &text)?;
            if asked.verbose {
                let what = mutant
                    .as_ref()
                    .map(|m| format!("{} {} '{}' -> '{}'", m.operator, m.line, m.before, m.after.join(" ")));
                println!("{:.3} {} {:?}: {fate:?}", started.elapsed().as_secs_f64(), entry.name, what);
            }
            fates.lock().map_err(|why| why.to_string())?.push((mutant.clone(), entry.name.clone(), fate));
        }
        Ok(())
    };
    std::thread::scope(|scope| {
        let work = &work;
        let workers: Vec<_> = (0..asked.jobs).map(|number| scope.spawn(move || work(number))).collect();
        workers.into_iter().try_for_each(|worker| worker.join().map_err(|_| "a thread panicked".to_owned())?)
    })?;
    let _ = std::fs::remove_dir_all(&folder);
    let fates = fates.into_inner().map_err(|why| why.to_string())?;
    let mut counts: BTreeMap<(&str, &str), [usize; 3]> = BTreeMap::new();
    for (mutant, entry, fate) in &fates {
        let Some(mutant) = mutant else {
            if *fate != Fate::Survived {
                println!("AS IT IS {entry}: {fate:?}");
            }
            continue;
        };
        let count = counts.entry((&mutant.kernel, mutant.operator)).or_default();
        match fate {
            Fate::Caught(_) => count[0] += 1,
            Fate::Survived => count[1] += 1,
            Fate::Broken(_) => count[2] += 1,
        }
    }
    for ((kernel, operator), count) in counts {
        println!("{kernel} {operator}: {count:?}");
    }
    println!("{:.1} s", began.elapsed().as_secs_f64());
    Ok(true)
}
