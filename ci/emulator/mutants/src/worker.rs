//! Whoever hands kernels to a process that tries them, and starts another when one is used up.

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use crate::serve::{self, BRIEF, LOST, READY, RIGHT};

/// A process that says nothing for so long is ended.
const PATIENCE: Duration = Duration::from_secs(120);

/// Instructions that a warp may execute before the emulator ends its kernel: some twenty times the longest of a kernel
/// as it is.
const WATCHDOG: u64 = 1_000_000;

/// What became of a kernel.
#[derive(Clone, Debug, PartialEq)]
pub enum Fate {
    /// Nothing was noticed.
    Survived,
    /// What was.
    Caught(String),
    /// It is no kernel; nothing was tried.
    Broken(String),
}

pub struct Worker {
    folder: PathBuf,
    /// One for each of the devices.
    processes: [Option<Process>; 2],
    /// The entry point whose file is in the folder.
    entry: String,
}

/// The devices that a kernel is tried on, as the emulator names them: one multiprocessor, whose warps have many turns,
/// then so many that some are left without work. Matrix products are cut by the device's multiprocessors, and go into
/// parts where there are a few.
fn devices(kernel: &str) -> &'static [&'static str] {
    match kernel {
        "matmul" => &["small"],
        "matmul_sm_89" => &["small-ada"],
        "matmul_sm_90a" => &["small-hopper"],
        "mma" => &["tiny", "small"],
        "mma_sm_89" => &["tiny-ada", "small-ada"],
        "mma_sm_90a" => &["tiny-hopper", "small-hopper"],
        // Their grids grow with the device.
        "intensity" | "pattern" => &["tiny", "a100"],
        _ if kernel.starts_with("memory_") => &["tiny", "a100"],
        _ => &["tiny"],
    }
}

struct Process {
    child: Child,
    orders: ChildStdin,
    answers: Receiver<String>,
}

impl Worker {
    pub fn new(folder: &Path) -> Result<Self, String> {
        std::fs::create_dir_all(folder).map_err(|why| format!("{}: {why}", folder.display()))?;
        Ok(Self { folder: folder.to_owned(), processes: [None, None], entry: String::new() })
    }

    /// Tries a kernel; if `brief`, a product's on its first cases alone.
    pub fn attempt(&mut self, kernel: &str, entry: &str, text: &str, brief: bool) -> Result<Fate, String> {
        if self.entry != entry {
            let _ = std::fs::remove_file(serve::file(&self.folder, &self.entry));
            // Processes that know the results of another kernel are done.
            self.processes = [None, None];
            entry.clone_into(&mut self.entry);
        }
        let mut fate = Fate::Survived;
        for device in 0..devices(kernel).len() {
            if fate == Fate::Survived {
                fate = self.on(device, kernel, entry, text, brief)?;
            }
        }
        Ok(fate)
    }

    fn on(&mut self, device: usize, kernel: &str, entry: &str, text: &str, brief: bool) -> Result<Fate, String> {
        let put = || std::fs::write(serve::file(&self.folder, entry), text).map_err(|why| why.to_string());
        // What a device uses from its opening on is tried on a device of its own.
        let from_the_start = ["latch", "stamp"].contains(&kernel);
        if from_the_start {
            put()?;
        } else if self.processes[device].is_none() {
            let _ = std::fs::remove_file(serve::file(&self.folder, entry));
        }
        let mut process = match self.processes[device].take() {
            Some(process) => process,
            None => {
                let process = Process::start(&self.folder, devices(kernel)[device])?;
                match process.answer() {
                    Some(answer) if answer.starts_with(READY) => process,
                    Some(answer) if from_the_start => return Ok(fate(&answer)),
                    answer => return Err(format!("no emulated device: {answer:?}")),
                }
            }
        };
        put()?;
        let Some(answer) = process.ask(kernel, entry, brief) else {
            return Ok(Fate::Caught("the deadline".to_owned()));
        };
        if !answer.starts_with(LOST) && !from_the_start {
            self.processes[device] = Some(process);
        }
        Ok(fate(&answer))
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may hang, or have ended.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What an answer means.
fn fate(answer: &str) -> Fate {
    let (what, why) = answer.split_once(' ').unwrap_or((answer, ""));
    if why.contains("CUDA_ERROR_INVALID_PTX") || why.contains("CUDA_ERROR_NOT_FOUND") {
        return Fate::Broken(why.to_owned());
    }
    if what == RIGHT { Fate::Survived } else { Fate::Caught(why.to_owned()) }
}

impl Process {
    fn start(folder: &Path, device: &str) -> Result<Self, String> {
        let program = std::env::current_exe().map_err(|why| why.to_string())?;
        let mut child = Command::new(program)
            .arg("serve")
            .env("ROOFLINT_EMULATOR", device)
            .env("ROOFLINT_EMULATOR_PTX", folder)
            .env("ROOFLINT_EMULATOR_FAULT", format!("timeout:{WATCHDOG}"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            // The emulator says why each kernel failed.
            .stderr(Stdio::null())
            .spawn()
            .map_err(|why| why.to_string())?;
        let (orders, output) = (child.stdin.take().ok_or("no input")?, child.stdout.take().ok_or("no output")?);
        let (sender, answers) = channel();
        std::thread::spawn(move || {
            for line in BufReader::new(output).lines().map_while(Result::ok) {
                if sender.send(line).is_err() {
                    return;
                }
            }
        });
        Ok(Self { child, orders, answers })
    }

    fn answer(&self) -> Option<String> {
        self.answers.recv_timeout(PATIENCE).ok()
    }

    fn ask(&mut self, kernel: &str, entry: &str, brief: bool) -> Option<String> {
        let brief = if brief { BRIEF } else { "" };
        writeln!(self.orders, "{kernel} {entry}{brief}").and_then(|()| self.orders.flush()).ok()?;
        self.answer()
    }
}
