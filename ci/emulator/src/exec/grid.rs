//! A launch: blocks handed out to threads of the host, several of them under way on each so that blocks may wait for
//! one another as far as they would all be resident.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError};

use super::Trap;
use super::block::Running;
use super::late::Left;
use crate::memory::{Cursor, View};
use crate::module::Kernel;
use crate::personality::Model;

/// Turns all warps of a block have before the next block is started beside it.
const PATIENCE: u32 = 64;

/// What a device is to the kernels that run on it.
#[derive(Clone, Copy, Debug)]
pub struct Machine {
    pub multiprocessors: u32,
    pub clock_hz: f64,
    /// Blocks that may be resident at a time.
    pub resident: u32,
}

impl Machine {
    /// As a device's model describes it, with so many blocks resident at a time.
    pub fn new(model: &Model, resident: u32) -> Self {
        let clock_hz = f64::from(model.clock_khz) * 1e3;
        Self { multiprocessors: model.multiprocessors, clock_hz, resident: resident.max(1) }
    }
}

pub struct Grid {
    pub kernel: Arc<Kernel>,
    pub blocks: [u32; 3],
    pub threads: [u32; 3],
    pub params: Vec<u8>,
    /// Static and dynamic shared memory of a block.
    pub shared_bytes: usize,
    pub machine: Machine,
    pub view: View,
    pub left: Left,
    next: AtomicU64,
    finished: Mutex<Finished>,
    changed: Condvar,
}

#[derive(Default)]
struct Finished {
    /// Threads at work on it.
    working: u32,
    /// No further thread may begin.
    closed: bool,
    trap: Option<Trap>,
}

impl Grid {
    pub fn new(
        kernel: Arc<Kernel>,
        [blocks, threads]: [[u32; 3]; 2],
        params: Vec<u8>,
        dynamic_shared: usize,
        machine: Machine,
        view: View,
    ) -> Self {
        let shared_bytes = kernel.shared_bytes + dynamic_shared;
        let (left, next, finished, changed) = Default::default();
        Self { kernel, blocks, threads, params, shared_bytes, machine, view, left, next, finished, changed }
    }

    pub fn threads_per_block(&self) -> u32 {
        self.threads.iter().product()
    }

    pub fn block_count(&self) -> u64 {
        self.blocks.iter().map(|count| u64::from(*count)).product()
    }

    /// Executes blocks until none is left, on the calling thread.
    fn work(&self) -> Result<(), Trap> {
        let mut memory = Cursor::new(self.view.clone());
        let (mut running, mut done): (Vec<Running>, Option<Running>) = Default::default();
        let mut exhausted = false;
        loop {
            if !exhausted && running.len() < self.machine.resident as usize {
                let block = self.next.fetch_add(1, Ordering::Relaxed);
                exhausted = block >= self.block_count();
                if !exhausted {
                    running.push(Running::new(self, block, done.take()));
                }
            }
            if running.is_empty() {
                return Ok(());
            }
            for index in (0..running.len()).rev() {
                for _ in 0..PATIENCE {
                    memory.refresh();
                    if running[index].step(self, &mut memory)? {
                        done = Some(running.swap_remove(index));
                        break;
                    }
                }
            }
        }
    }

    fn finished(&self) -> MutexGuard<'_, Finished> {
        self.finished.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes part, unless it is over.
    fn help(&self) {
        {
            let mut finished = self.finished();
            if finished.closed {
                return;
            }
            finished.working += 1;
        }
        let result = self.work();
        let mut finished = self.finished();
        finished.working -= 1;
        if let Err(trap) = result {
            // The other threads take no further block.
            self.next.store(self.block_count(), Ordering::Relaxed);
            finished.trap.get_or_insert(trap);
        }
        self.changed.notify_all();
    }

    /// Executes the launch and waits for its end.
    pub fn run(self: &Arc<Self>) -> Result<(), Trap> {
        for _ in 1..cores().min(self.block_count()) {
            let grid = Arc::clone(self);
            // The receiver lives as long as the process.
            let _ = helpers().send(Box::new(move || grid.help()));
        }
        self.help();
        let mut finished = self.finished();
        finished.closed = true;
        while finished.working > 0 {
            finished = self.changed.wait(finished).unwrap_or_else(PoisonError::into_inner);
        }
        self.left.perform(&mut Cursor::new(self.view.clone()));
        finished.trap.take().map_or(Ok(()), Err)
    }
}

type Job = Box<dyn FnOnce() + Send>;

fn cores() -> u64 {
    std::thread::available_parallelism().map_or(1, usize::from) as u64
}

/// Threads that help with launches of several blocks, shared by all streams.
fn helpers() -> &'static Sender<Job> {
    static HELPERS: OnceLock<Sender<Job>> = OnceLock::new();
    HELPERS.get_or_init(|| {
        let (jobs, receiver) = channel::<Job>();
        let receiver = Arc::new(Mutex::new(receiver));
        for _ in 1..cores() {
            let receiver = Arc::clone(&receiver);
            std::thread::spawn(move || {
                loop {
                    let job = receiver.lock().unwrap_or_else(PoisonError::into_inner).recv();
                    match job {
                        Ok(job) => job(),
                        Err(_) => return,
                    }
                }
            });
        }
        jobs
    })
}
