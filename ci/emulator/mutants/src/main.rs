//! Breaks the CUDA kernels of `kernels/ptx`, one instruction at a time, and sees that verification notices.
//!
//! Each mutant takes the place of the program's own kernel on the emulated device. The program's own code prepares,
//! launches and verifies the benchmarks' cases by every way that uses the kernel; then come launches that no benchmark
//! makes, whose results must be those of the kernel as it is. A mutant is caught if a check fails, the device reports an
//! error, or a deadline passes. What is not caught must be in `survivors.toml`, with the reason; what is there must
//! exist, and survive.
//!
//! `rooflint-mutants [--kernel NAME] [--every N | --listed] [--jobs N] [--verbose]`; see `ci/mutants`.

mod cases;
mod clocks;
mod layers;
mod listed;
mod operators;
mod products;
mod ptx;
mod serve;
mod trial;
mod worker;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use crate::listed::Listed;
use crate::operators::Mutant;
use crate::ptx::{Entry, File};
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
    /// One kernel; all if none is named.
    kernel: Option<String>,
    /// Of mutants that leave every barrier, wait and fence, one of so many.
    every: usize,
    /// Of all mutants those that are listed.
    listed: bool,
    jobs: usize,
    verbose: bool,
}

impl Asked {
    fn of(arguments: &[String]) -> Result<Self, String> {
        let jobs = std::thread::available_parallelism().map_or(1, usize::from);
        let mut asked = Self { kernel: None, every: 1, listed: false, jobs, verbose: false };
        let mut rest = arguments.iter();
        while let Some(argument) = rest.next() {
            let mut value = || rest.next().ok_or(format!("{argument} needs a value"));
            let number = |text: &String| match text.parse::<usize>() {
                Ok(number) if number > 0 => Ok(number),
                _ => Err(format!("{argument}: '{text}' is no number above 0")),
            };
            match argument.as_str() {
                "--kernel" => asked.kernel = Some(value()?.clone()),
                "--every" => asked.every = number(value()?)?,
                "--listed" => asked.listed = true,
                "--jobs" => asked.jobs = number(value()?)?,
                "--verbose" => asked.verbose = true,
                other => return Err(format!("'{other}' is not known")),
            }
        }
        Ok(asked)
    }
}

/// A kernel to try: an entry point as it is, or broken.
struct Job<'a> {
    file: &'a File,
    entry: &'a Entry,
    mutant: Option<Mutant>,
}

impl std::fmt::Display for Job<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.mutant {
            None => write!(f, "{} as it is", self.entry.name),
            Some(mutant) => write!(f, "{} line {}: {}", self.entry.name, mutant.line, mutant.key),
        }
    }
}

fn run(asked: &Asked) -> Result<bool, String> {
    let began = Instant::now();
    let home = Path::new(env!("CARGO_MANIFEST_DIR"));
    let listed = listed::read(&home.join("survivors.toml"))?;
    let mut files = files(&home.join("../../../kernels/ptx"))?;
    files.retain(|file| asked.kernel.as_ref().is_none_or(|kernel| file.kernel == *kernel));
    files.retain(|file| !listed.without_cases.contains(&file.kernel));
    // Each entry point as it is comes first: what finds fault with that would find fault with anything.
    let mut all = Vec::new();
    for file in &files {
        for entry in &file.entries {
            all.push(Job { file, entry, mutant: None });
            all.extend(operators::mutants(file, entry).into_iter().map(|mutant| Job {
                file,
                entry,
                mutant: Some(mutant),
            }));
        }
    }
    let mut problems = unknown(&all, &listed, asked.kernel.is_none());
    let made = all.iter().filter(|job| job.mutant.is_some()).count();
    let taken = |(index, job): &(usize, Job<'_>)| {
        let Some(mutant) = &job.mutant else { return true };
        // A sample of all leaves out what proves nothing: kernels whose survivors are not known, and those that are.
        let known = asked.kernel.is_some() || !listed.unexamined.contains(&job.file.kernel);
        let is_listed = listed.reasons.contains_key(&(job.entry.name.clone(), mutant.key.clone()));
        match mutant.operator == "order" {
            _ if asked.listed => is_listed,
            _ if asked.every == 1 => true,
            _ if is_listed => false,
            orders => orders || known && index.is_multiple_of(asked.every),
        }
    };
    let jobs: Vec<_> = all.into_iter().enumerate().filter(taken).map(|(_, job)| job).collect();
    let fates = carry_out(&jobs, asked, &listed)?;
    problems.extend(jobs.iter().zip(&fates).filter_map(|(job, fate)| problem(job, fate, &listed)));
    print_table(&jobs, &fates);
    print_new(&jobs, &fates, &listed);
    for problem in &problems {
        println!("FAILED {problem}");
    }
    let ran = jobs.iter().filter(|job| job.mutant.is_some()).count();
    println!("{ran} of {made} mutants in {:.0} s; {} failures", began.elapsed().as_secs_f64(), problems.len());
    if !listed.without_cases.is_empty() {
        println!("no mutants for want of cases: {}", listed.without_cases.join(", "));
    }
    if !listed.unexamined.is_empty() {
        println!("survivors not gone through yet: those of {}", listed.unexamined.join(", "));
    }
    Ok(problems.is_empty())
}

fn files(folder: &Path) -> Result<Vec<File>, String> {
    let entries = std::fs::read_dir(folder).map_err(|why| format!("{}: {why}", folder.display()))?;
    let mut paths: Vec<PathBuf> = entries.filter_map(|entry| Some(entry.ok()?.path())).collect();
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "ptx"));
    paths.sort();
    let read = |path: &PathBuf| {
        let text = std::fs::read_to_string(path).map_err(|why| format!("{}: {why}", path.display()))?;
        Ok(File::new(&path.file_stem().unwrap_or_default().to_string_lossy(), &text))
    };
    paths.iter().map(read).collect()
}

/// Listed mutants that are not made; `all` says whether those of every kernel are.
fn unknown(jobs: &[Job<'_>], listed: &Listed, all: bool) -> Vec<String> {
    let made = |entry: &str, key: &str| {
        let is = |mutant: &Mutant| mutant.key == key;
        jobs.iter().any(|job| job.entry.name == entry && job.mutant.as_ref().is_some_and(is))
    };
    let here = |entry: &str| all || jobs.iter().any(|job| job.entry.name == entry);
    let unknown = listed.reasons.keys().filter(|(entry, key)| here(entry) && !made(entry, key));
    unknown.map(|(entry, key)| format!("{entry}: '{key}' is listed, and is no mutant")).collect()
}

/// Whether nothing notices a mutant that is not listed.
fn is_new(job: &Job<'_>, fate: &Fate, listed: &Listed) -> bool {
    let is_listed = |mutant: &Mutant| listed.reasons.contains_key(&(job.entry.name.clone(), mutant.key.clone()));
    *fate == Fate::Survived && job.mutant.as_ref().is_some_and(|mutant| !is_listed(mutant))
}

/// What is wrong with a fate, if anything is.
fn problem(job: &Job<'_>, fate: &Fate, listed: &Listed) -> Option<String> {
    let key = job.mutant.as_ref().map(|mutant| (job.entry.name.clone(), mutant.key.clone()));
    let is_listed = key.is_some_and(|key| listed.reasons.contains_key(&key) && !listed.by_chance.contains(&key));
    let orders = job.mutant.as_ref().is_some_and(|mutant| mutant.operator == "order");
    match fate {
        Fate::Broken(why) => Some(format!("{job}: this is no kernel: {why}")),
        Fate::Caught(why) if job.mutant.is_none() => Some(format!("{job}: {why}")),
        Fate::Caught(why) if is_listed => Some(format!("{job}: is listed as a survivor, and is noticed: {why}")),
        Fate::Survived if is_new(job, fate, listed) && (orders || !listed.unexamined.contains(&job.file.kernel)) => {
            Some(format!("{job}: nothing notices it"))
        }
        _ => None,
    }
}

/// Survivors that are not listed, as they would be.
fn print_new(jobs: &[Job<'_>], fates: &[Fate], listed: &Listed) {
    let mut new: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for (job, _) in jobs.iter().zip(fates).filter(|(job, fate)| is_new(job, fate, listed)) {
        new.entry(&job.entry.name).or_default().extend(job.mutant.as_ref().map(|mutant| mutant.key.as_str()));
    }
    if !new.is_empty() {
        println!("survivors that are not listed:");
    }
    for (entry, keys) in new {
        println!("{entry} = [");
        keys.iter().for_each(|key| println!("    \"{key}\","));
        println!("]");
    }
}

/// The fate of every job, in order.
fn carry_out(jobs: &[Job<'_>], asked: &Asked, listed: &Listed) -> Result<Vec<Fate>, String> {
    let folder = std::env::temp_dir().join(format!("rooflint-mutants-{}", std::process::id()));
    let (next, fates) = (AtomicUsize::new(0), Mutex::new(BTreeMap::new()));
    let work = |number: usize| -> Result<(), String> {
        let mut worker = Worker::new(&folder.join(number.to_string()))?;
        loop {
            let index = next.fetch_add(1, Ordering::Relaxed);
            let Some(job) = jobs.get(index) else { return Ok(()) };
            let text = match &job.mutant {
                None => job.file.alone(job.entry),
                Some(mutant) => job.file.with(job.entry, mutant.line, &mutant.after),
            };
            let began = Instant::now();
            // In a sample of all, of a kernel that is not known, nothing but barriers, waits and fences is looked at.
            let brief = asked.every > 1 && asked.kernel.is_none() && listed.unexamined.contains(&job.file.kernel);
            let fate = worker.attempt(&job.file.kernel, &job.entry.name, &text, brief)?;
            if asked.verbose {
                println!("{:6.2} s {job}: {fate:?}", began.elapsed().as_secs_f64());
            }
            fates.lock().map_err(|why| why.to_string())?.insert(index, fate);
        }
    };
    let done = std::thread::scope(|scope| {
        let work = &work;
        let workers: Vec<_> = (0..asked.jobs).map(|number| scope.spawn(move || work(number))).collect();
        let ended =
            workers.into_iter().map(|worker| worker.join().unwrap_or_else(|_| Err("a thread panicked".to_owned())));
        ended.collect::<Result<Vec<()>, String>>()
    });
    // Whatever happened, nothing is left behind.
    let _ = std::fs::remove_dir_all(&folder);
    done?;
    Ok(fates.into_inner().map_err(|why| why.to_string())?.into_values().collect())
}

/// How many of each kernel's mutants were caught, by operator.
fn print_table(jobs: &[Job<'_>], fates: &[Fate]) {
    let mut counts: BTreeMap<(&str, &str), [usize; 2]> = BTreeMap::new();
    for (job, fate) in jobs.iter().zip(fates) {
        if let Some(mutant) = &job.mutant {
            counts.entry((&job.file.kernel, mutant.operator)).or_default()[usize::from(*fate == Fate::Survived)] += 1;
        }
    }
    println!("{:14} {:8} {:>6} {:>8}", "kernel", "operator", "caught", "survived");
    for ((kernel, operator), [caught, survived]) in counts {
        println!("{kernel:14} {operator:8} {caught:6} {survived:8}");
    }
}
