//! Whoever hands kernels to a process that tries them, and starts another when one is used up.

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use crate::serve::{self, LOST, READY, RIGHT};

/// A process that says nothing for so long is ended.
const PATIENCE: Duration = Duration::from_secs(30);

/// Instructions that a warp may execute before the emulator ends its kernel: some twenty times the longest of a kernel
/// as it is.
const WATCHDOG: u64 = 8_000_000;

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
    process: Option<Process>,
    /// The entry point whose file is in the folder.
    entry: String,
}

struct Process {
    child: Child,
    orders: ChildStdin,
    answers: Receiver<String>,
}

impl Worker {
    pub fn new(folder: &Path) -> Result<Self, String> {
        std::fs::create_dir_all(folder).map_err(|why| format!("{}: {why}", folder.display()))?;
        Ok(Self { folder: folder.to_owned(), process: None, entry: String::new() })
    }

    /// Tries a kernel. What a device uses from its opening on is tried on a device of its own.
    pub fn attempt(&mut self, kernel: &str, entry: &str, text: &str) -> Result<Fate, String> {
        let from_the_start = ["latch", "stamp"].contains(&kernel);
        if from_the_start || self.entry != entry {
            self.end();
            let _ = std::fs::remove_file(serve::file(&self.folder, &self.entry));
        }
        let put = |folder: &Path| std::fs::write(serve::file(folder, entry), text).map_err(|why| why.to_string());
        entry.clone_into(&mut self.entry);
        if from_the_start {
            put(&self.folder)?;
        }
        if self.process.is_none() {
            if !from_the_start {
                let _ = std::fs::remove_file(serve::file(&self.folder, entry));
            }
            let process = Process::start(&self.folder)?;
            match process.answer() {
                Some(answer) if answer.starts_with(READY) => self.process = Some(process),
                Some(answer) if from_the_start => return Ok(fate(&answer)),
                answer => return Err(format!("no emulated device: {answer:?}")),
            }
        }
        put(&self.folder)?;
        let answer = self.process.as_mut().and_then(|process| process.ask(kernel, entry));
        let Some(answer) = answer else {
            self.end();
            return Ok(Fate::Caught("the deadline".to_owned()));
        };
        if answer.starts_with(LOST) || from_the_start {
            self.end();
        }
        Ok(fate(&answer))
    }

    fn end(&mut self) {
        if let Some(mut process) = self.process.take() {
            // It may hang, or have ended.
            let _ = process.child.kill();
            let _ = process.child.wait();
        }
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        self.end();
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
    fn start(folder: &Path) -> Result<Self, String> {
        let program = std::env::current_exe().map_err(|why| why.to_string())?;
        let mut child = Command::new(program)
            .arg("serve")
            .env("ROOFLINT_EMULATOR", "small")
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

    fn ask(&mut self, kernel: &str, entry: &str) -> Option<String> {
        writeln!(self.orders, "{kernel} {entry}").and_then(|()| self.orders.flush()).ok()?;
        self.answer()
    }
}
