//! Runs a plan: starts a worker per device, hands it case after case, keeps each result as it comes, and
//! replaces a worker that dies, hangs or loses its device. One lost worker costs the case it was at.

use std::ffi::OsString;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::path::PathBuf;
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::thread;
use std::time::{Duration, Instant};

use crate::measure::case::Phase;
use crate::measure::lock::DeviceLock;
use crate::measure::plan::{Plan, Planned};
use crate::measure::settings::Settings;
use crate::measure::together;
use crate::measure::worker::{Message, Order};
use crate::record::{Outcome, Record};
use crate::store::StoreError;
use crate::suite::{Load, Profile};
use crate::units::Seconds;

/// Longest a device may take to open: drivers load libraries and initialise cards.
const OPEN_MAX: Duration = Duration::from_secs(120);

/// How a worker is started: a program, and what precedes the selector in its arguments.
#[derive(Debug, Clone)]
pub struct WorkerCommand {
    /// The program.
    pub program: PathBuf,
    /// Its arguments before the device selector.
    pub arguments: Vec<OsString>,
}

/// How a run is to be carried out.
#[derive(Debug, Clone)]
pub struct Conduct {
    /// The profile's parameters apply to every case.
    pub profile: Profile,
    /// Time allowed for all cases.
    pub budget: Option<Seconds>,
    /// Time allowed for one case.
    pub deadline: Seconds,
    /// How workers are started.
    pub worker: WorkerCommand,
}

/// Hears of the progress of a run.
pub trait Watch {
    /// A case begins.
    fn begins(&mut self, index: usize, planned: &Planned);
    /// The case in hand has come to a phase.
    fn phase(&mut self, planned: &Planned, phase: Phase);
    /// A case has ended.
    fn ended(&mut self, index: usize, record: &Record);
}

/// Something that happened while the supervisor waited.
pub(super) enum Event {
    Said(u32, Message),
    /// The worker's output ended.
    Silent(u32),
    Interrupt,
}

/// Ends a run early from another thread: hand it to a signal handler.
#[derive(Debug, Clone)]
pub struct Interrupter(Sender<Event>);

impl std::fmt::Debug for Event {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Event")
    }
}

impl Interrupter {
    /// Ends the run after what is finished has been kept.
    pub fn interrupt(&self) {
        // A supervisor that is gone has nothing left to interrupt.
        let _ = self.0.send(Event::Interrupt);
    }
}

/// Whether the plan was carried out to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Finish {
    /// Every case has an outcome.
    Complete,
    /// The user stopped it.
    Interrupted,
}

/// Carries out plans.
pub struct Supervisor {
    conduct: Conduct,
    sender: Sender<Event>,
    pub(super) events: Receiver<Event>,
    workers: u32,
    /// What [`Supervisor::one`] has in hand.
    hand: Hand,
}

/// A running worker.
pub(super) struct Worker {
    pub number: u32,
    child: Child,
    orders: ChildStdin,
    complaints: thread::JoinHandle<String>,
}

/// The worker in hand, and a device that has refused to open.
#[derive(Default)]
struct Hand {
    worker: Option<(u32, Worker)>,
    unusable: Option<(u32, String)>,
}

impl Hand {
    fn let_go(&mut self) {
        self.worker.take().into_iter().for_each(|(_, worker)| worker.end());
    }
}

/// Whether the second of two cases is to run at the same time as the first: on the next device, where all are to be busy.
fn at_once((_, first): &(usize, &Planned), (_, second): &(usize, &Planned)) -> bool {
    [first, second].iter().all(|planned| Load::of(&planned.case) == Load::Together) && first.device < second.device
}

/// Why a case has no outcome from its worker.
pub(super) enum Trouble {
    Died(String),
    Late,
    Interrupted,
}

impl Supervisor {
    /// A supervisor and the handle that interrupts it.
    pub fn new(conduct: Conduct) -> (Self, Interrupter) {
        let (sender, events) = mpsc::channel();
        let interrupter = Interrupter(sender.clone());
        (Self { conduct, sender, events, workers: 0, hand: Hand::default() }, interrupter)
    }

    /// Measures every planned case that `wanted` accepts; `keep` stores each record as it comes.
    pub fn run(
        &mut self,
        plan: &Plan,
        wanted: &dyn Fn(&Planned) -> bool,
        keep: &mut dyn FnMut(&Record) -> Result<(), StoreError>,
        watch: &mut dyn Watch,
    ) -> Result<Finish, StoreError> {
        let start = Instant::now();
        let todo: Vec<(usize, &Planned)> = plan.cases.iter().enumerate().filter(|(_, case)| wanted(case)).collect();
        let mut hand = Hand::default();
        let mut position = 0;
        for group in todo.chunk_by(at_once) {
            group.iter().for_each(|(index, planned)| watch.begins(*index, planned));
            let began = Instant::now();
            let settings = self.settings(&todo[position..], start.elapsed().into());
            position += group.len();
            let outcomes = match (settings, group) {
                (None, group) => {
                    let reason = "the budget was used up before this case; --resume measures what is missing";
                    Some(group.iter().map(|_| Outcome::Skipped(reason.to_owned())).collect())
                }
                (Some(settings), [(_, planned)]) if Load::of(&planned.case) != Load::Together => {
                    self.alone(&mut hand, plan, planned, &settings, watch).map(|outcome| vec![outcome])
                }
                (Some(settings), group) => {
                    hand.let_go();
                    let group: Vec<_> = group.iter().map(|(_, planned)| *planned).collect();
                    together::measure(self, plan, &group, &settings, watch)
                }
            };
            let Some(outcomes) = outcomes else { return Ok(Finish::Interrupted) };
            for ((index, planned), outcome) in group.iter().zip(outcomes) {
                let record = recorded(planned, start, began, outcome);
                keep(&record)?;
                watch.ended(*index, &record);
            }
        }
        hand.let_go();
        Ok(Finish::Complete)
    }

    /// Measures one case of a plan with settings of its own, for whoever chooses the next case by what came before;
    /// `None` if the user stopped it. The worker is kept for the next one until [`Self::let_go`]. `start` is when the
    /// run began.
    pub fn one(
        &mut self,
        plan: &Plan,
        index: usize,
        settings: &Settings,
        start: Instant,
        watch: &mut dyn Watch,
    ) -> Option<Record> {
        let planned = &plan.cases[index];
        watch.begins(index, planned);
        let began = Instant::now();
        let mut hand = std::mem::take(&mut self.hand);
        let outcome = self.alone(&mut hand, plan, planned, settings, watch);
        self.hand = hand;
        let record = recorded(planned, start, began, outcome?);
        watch.ended(index, &record);
        Some(record)
    }

    /// Lets the worker of [`Self::one`] end.
    pub fn let_go(&mut self) {
        self.hand.let_go();
    }

    /// Measures a case whose device has nothing else to do; `None` if the user stopped it.
    fn alone(
        &mut self,
        hand: &mut Hand,
        plan: &Plan,
        planned: &Planned,
        settings: &Settings,
        watch: &mut dyn Watch,
    ) -> Option<Outcome> {
        if hand.worker.as_ref().is_some_and(|(device, _)| *device != planned.device) {
            hand.let_go();
        }
        if let Some((device, reason)) = &hand.unusable
            && *device == planned.device
        {
            return Some(Outcome::Failed(reason.clone()));
        }
        let device = &plan.devices[planned.device as usize];
        // Who measures that one too would spoil both figures. It is not waited for: he may want this one.
        let peer = planned.benchmark.peer(&planned.case).map(|peer| DeviceLock::take_peer(peer, device, &plan.devices));
        let _peer = match peer.transpose() {
            Ok(lock) => lock,
            Err(error) => return Some(Outcome::Skipped(format!("the peer cannot be had: {error}"))),
        };
        let selector = &device.selector;
        match self.attempt(&mut hand.worker, selector, planned, settings, watch) {
            Attempt::Ended(outcome) => Some(outcome),
            Attempt::Unusable(reason) => {
                hand.unusable = Some((planned.device, reason.clone()));
                Some(Outcome::Failed(reason))
            }
            Attempt::Interrupted => None,
        }
    }

    /// The parameters for the first of the cases that are left; `None` once the budget is used up. What is
    /// left of the budget is shared by effort, so that cases which stop early lengthen those after them.
    fn settings(&self, left: &[(usize, &Planned)], spent: Seconds) -> Option<Settings> {
        let of = |scale| Settings::of(self.conduct.profile, scale, self.conduct.deadline);
        let effort = left.first()?.1.benchmark.effort();
        let Some(budget) = self.conduct.budget else { return Some(of(effort)) };
        let whole = of(1.0);
        let wanted: Seconds = left.iter().map(|(_, planned)| whole.estimate(planned.benchmark.effort())).sum();
        let scale = budget.saturating_sub(spent).get() / wanted.get();
        (spent < budget).then(|| of(effort * scale.min(1.0)))
    }

    /// Has one case measured, on the worker in hand or a new one.
    fn attempt(
        &mut self,
        slot: &mut Option<(u32, Worker)>,
        selector: &str,
        planned: &Planned,
        settings: &Settings,
        watch: &mut dyn Watch,
    ) -> Attempt {
        let mut worker = match slot.take() {
            Some((_, worker)) => worker,
            None => match self.start(selector) {
                Ok(Ok(worker)) => worker,
                Ok(Err(Trouble::Interrupted)) => return Attempt::Interrupted,
                Ok(Err(Trouble::Late)) => {
                    return Attempt::Unusable(format!("the device did not open within {} s", OPEN_MAX.as_secs()));
                }
                Ok(Err(Trouble::Died(reason))) => return Attempt::Unusable(reason),
                Err(error) => return Attempt::Unusable(format!("cannot start a worker process: {error}")),
            },
        };
        let order = Order::Measure { case: planned.case.clone(), settings: settings.clone() };
        let until = Instant::now() + Duration::from(settings.deadline_s);
        // A worker that cannot be written to has died; waiting for it says how.
        let _ = worker.tell(&order);
        match self.wait(&worker, until, &mut |phase| watch.phase(planned, phase)) {
            Ok((outcome, lost)) => {
                match lost {
                    true => worker.end(),
                    false => *slot = Some((planned.device, worker)),
                }
                Attempt::Ended(outcome)
            }
            Err(Trouble::Interrupted) => {
                worker.kill();
                Attempt::Interrupted
            }
            Err(Trouble::Late) => {
                worker.kill();
                let deadline = settings.deadline_s;
                let reason =
                    format!("not finished within its deadline of {deadline} and stopped; --deadline raises it");
                Attempt::Ended(Outcome::Failed(reason))
            }
            Err(Trouble::Died(_)) => {
                let reason = worker.last_words();
                Attempt::Ended(Outcome::Failed(format!("the worker process died: {reason}")))
            }
        }
    }

    /// Starts a worker and waits until its device is open.
    pub(super) fn start(&mut self, selector: &str) -> io::Result<Result<Worker, Trouble>> {
        let worker = self.spawn(selector)?;
        let until = Instant::now() + OPEN_MAX;
        loop {
            match self.next(&worker, until) {
                Ok(Message::Opened) => return Ok(Ok(worker)),
                Ok(Message::NotOpened { reason }) => {
                    worker.end();
                    return Ok(Err(Trouble::Died(reason)));
                }
                Ok(_) => {}
                Err(Trouble::Died(_)) => {
                    let reason = format!("the worker process died while opening the device: {}", worker.last_words());
                    return Ok(Err(Trouble::Died(reason)));
                }
                Err(trouble) => {
                    worker.kill();
                    return Ok(Err(trouble));
                }
            }
        }
    }

    fn spawn(&mut self, selector: &str) -> io::Result<Worker> {
        let mut command = Command::new(&self.conduct.worker.program);
        command.args(&self.conduct.worker.arguments).arg(selector);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        // A process group of its own: Ctrl-C reaches the supervisor alone, which decides what is kept.
        #[cfg(unix)]
        std::os::unix::process::CommandExt::process_group(&mut command, 0);
        let mut child = command.spawn()?;
        let taken = || io::Error::other("the worker's pipes are missing");
        let (orders, output) = (child.stdin.take().ok_or_else(taken)?, child.stdout.take().ok_or_else(taken)?);
        let complaints = child.stderr.take().ok_or_else(taken)?;
        self.workers += 1;
        let (number, sender) = (self.workers, self.sender.clone());
        thread::spawn(move || {
            for line in BufReader::new(output).lines().map_while(Result::ok) {
                // A line that is no message can only be a stray print of a library: not ours to judge.
                if let Ok(message) = serde_json::from_str(&line) {
                    let _ = sender.send(Event::Said(number, message));
                }
            }
            let _ = sender.send(Event::Silent(number));
        });
        let complaints = thread::spawn(move || tail(complaints));
        Ok(Worker { number, child, orders, complaints })
    }

    /// Waits for the outcome of the case in hand.
    fn wait(&self, worker: &Worker, until: Instant, phase: &mut dyn FnMut(Phase)) -> Result<(Outcome, bool), Trouble> {
        loop {
            match self.next(worker, until)? {
                Message::Ended { outcome, lost } => return Ok((*outcome, lost)),
                Message::Phase(reached) => phase(reached),
                Message::Opened | Message::NotOpened { .. } => {}
            }
        }
    }

    /// The worker's next message.
    fn next(&self, worker: &Worker, until: Instant) -> Result<Message, Trouble> {
        loop {
            match self.events.recv_timeout(until.saturating_duration_since(Instant::now())) {
                Ok(Event::Said(number, message)) if number == worker.number => return Ok(message),
                Ok(Event::Silent(number)) if number == worker.number => return Err(Trouble::Died(String::new())),
                // Left over from a worker that was replaced.
                Ok(Event::Said(..) | Event::Silent(_)) => {}
                Ok(Event::Interrupt) => return Err(Trouble::Interrupted),
                Err(RecvTimeoutError::Timeout) => return Err(Trouble::Late),
                // Cannot be: this supervisor holds a sender itself.
                Err(RecvTimeoutError::Disconnected) => return Err(Trouble::Interrupted),
            }
        }
    }
}

/// The record of a case that began at `began`, in a run that began at `start`.
fn recorded(planned: &Planned, start: Instant, began: Instant, outcome: Outcome) -> Record {
    Record {
        case: planned.case.clone(),
        device: planned.device,
        quantity: planned.benchmark.meta().quantity,
        work: planned.benchmark.work(&planned.case),
        started_s: Seconds::from(began - start),
        elapsed_s: Seconds::from(began.elapsed()),
        outcome,
    }
}

/// How an attempt at a case came out.
enum Attempt {
    Ended(Outcome),
    Unusable(String),
    Interrupted,
}

impl Worker {
    pub fn tell(&mut self, order: &Order) -> io::Result<()> {
        let mut line = serde_json::to_vec(order)?;
        line.push(b'\n');
        self.orders.write_all(&line)?;
        self.orders.flush()
    }

    /// Lets a worker end by itself: closing its input tells it that there is nothing more to do.
    pub fn end(self) {
        let Self { mut child, orders, .. } = self;
        drop(orders);
        let until = Instant::now() + Duration::from_secs(5);
        while Instant::now() < until {
            match child.try_wait() {
                Ok(None) => thread::sleep(Duration::from_millis(5)),
                _ => return,
            }
        }
        let _ = child.kill();
        let _ = child.wait();
    }

    pub fn kill(mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// How a dead worker ended, and the end of what it wrote to standard error.
    pub fn last_words(mut self) -> String {
        let _ = self.child.kill();
        let status = self.child.wait().map_or_else(|error| error.to_string(), describe);
        let complaints = self.complaints.join().unwrap_or_default();
        let complaints: Vec<_> = complaints.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
        match complaints.as_slice() {
            [] => status,
            lines => format!("{status}; it said: {}", lines[lines.len().saturating_sub(3)..].join(" / ")),
        }
    }
}

/// An exit status in words.
fn describe(status: ExitStatus) -> String {
    #[cfg(unix)]
    if let Some(signal) = std::os::unix::process::ExitStatusExt::signal(&status) {
        let meaning = match signal {
            4 => " (illegal instruction)",
            6 => " (aborted)",
            7 => " (bus error)",
            9 => " (killed, perhaps for lack of memory)",
            11 => " (segmentation fault)",
            _ => "",
        };
        return format!("signal {signal}{meaning}");
    }
    match status.code() {
        Some(code) => format!("exit status {code}"),
        None => status.to_string(),
    }
}

/// The last few thousand bytes of a stream.
fn tail(mut stream: impl Read) -> String {
    const KEPT: usize = 4096;
    let (mut kept, mut chunk) = (Vec::new(), [0; KEPT]);
    while let Ok(count @ 1..) = stream.read(&mut chunk) {
        kept.extend_from_slice(&chunk[..count]);
        let excess = kept.len().saturating_sub(KEPT);
        kept.drain(..excess);
    }
    String::from_utf8_lossy(&kept).into_owned()
}
