//! One thread per usable core, each kept there, all asleep until there is work.
//!
//! The caller's thread sleeps while a team works: every core has a worker of its own, so a caller that
//! spun would take a core from the measurement. Within one piece of work the team meets at a spinning
//! [`Barrier`], which costs well under a microsecond where each worker has its core to itself.

use std::cell::UnsafeCell;
use std::hint;
use std::panic::{self, AssertUnwindSafe};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread;

use super::topology;
use crate::device::DeviceError;

/// A value on cache lines of its own (two: processors fetch them in pairs).
#[repr(align(128))]
pub(super) struct Padded<T>(pub T);

/// Where a team's workers wait for one another. Reusable; every crossing is a full memory fence.
pub(super) struct Barrier {
    team: usize,
    arrived: Padded<AtomicUsize>,
    crossings: Padded<AtomicUsize>,
    broken: AtomicBool,
}

/// Turns of the waiting loop before the core is offered to others: some tens of microseconds, past any
/// wait on an undisturbed machine.
const SPINS: u32 = 20_000;

impl Barrier {
    fn new(team: usize) -> Self {
        Self {
            team,
            arrived: Padded(AtomicUsize::new(0)),
            crossings: Padded(AtomicUsize::new(0)),
            broken: AtomicBool::new(false),
        }
    }

    /// Waits until the whole team is here.
    ///
    /// # Panics
    /// If a member of the team panicked: its work will never come.
    #[inline]
    pub(super) fn wait(&self) {
        let crossing = self.crossings.0.load(Ordering::Relaxed);
        if self.arrived.0.fetch_add(1, Ordering::AcqRel) + 1 == self.team {
            self.arrived.0.store(0, Ordering::Relaxed);
            self.crossings.0.store(crossing.wrapping_add(1), Ordering::Release);
            return;
        }
        self.spin_while(|| self.crossings.0.load(Ordering::Acquire) == crossing);
    }

    /// The leader's way through, when the others wait: it is let in last, and `stamp` runs when all the
    /// others are here and none has gone on. A time read in it is the time at which all start.
    ///
    /// # Panics
    /// As [`Barrier::wait`].
    #[inline]
    pub(super) fn open<T>(&self, stamp: impl FnOnce() -> T) -> T {
        self.spin_while(|| self.arrived.0.load(Ordering::Acquire) + 1 != self.team);
        let stamped = stamp();
        self.arrived.0.store(0, Ordering::Relaxed);
        self.crossings.0.fetch_add(1, Ordering::Release);
        stamped
    }

    #[inline]
    fn spin_while(&self, waiting: impl Fn() -> bool) {
        let mut spins = 0;
        while waiting() {
            if spins < SPINS {
                spins += 1;
                hint::spin_loop();
            } else {
                assert!(!self.broken.load(Ordering::Relaxed), "another worker of the team panicked");
                thread::yield_now();
            }
        }
    }
}

/// A worker's place in a team.
#[derive(Clone, Copy)]
pub(super) struct Place<'a> {
    /// 0 is the leader.
    pub index: usize,
    /// Workers in the team.
    pub team: usize,
    /// Where the team meets.
    pub barrier: &'a Barrier,
}

type Work<'a> = dyn Fn(Place<'_>) + Sync + 'a;

/// What the team is to do. The pointer is good while `team` workers have not all reported back.
struct Job {
    work: *const Work<'static>,
    barrier: *const Barrier,
    team: usize,
}

struct Shared {
    job: UnsafeCell<Option<Job>>,
    left: AtomicUsize,
    panicked: AtomicBool,
    caller: Mutex<bool>,
    done: Condvar,
    pinned: AtomicUsize,
}

// SAFETY: `job` is written by the caller only while no worker runs, and read by workers only after
// they were woken for it; the bells' mutexes order the two.
unsafe impl Send for Shared {}
// SAFETY: as above.
unsafe impl Sync for Shared {}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Order {
    Sleep,
    Work,
    Quit,
}

/// What wakes one worker.
struct Bell {
    order: Mutex<Order>,
    rung: Condvar,
}

impl Bell {
    fn ring(&self, order: Order) {
        *self.order.lock().unwrap_or_else(PoisonError::into_inner) = order;
        self.rung.notify_one();
    }

    fn answer(&self) -> Order {
        let mut order = self.order.lock().unwrap_or_else(PoisonError::into_inner);
        while *order == Order::Sleep {
            order = self.rung.wait(order).unwrap_or_else(PoisonError::into_inner);
        }
        let answered = *order;
        if answered == Order::Work {
            *order = Order::Sleep;
        }
        answered
    }
}

struct Worker {
    bell: Arc<Bell>,
    thread: Option<thread::JoinHandle<()>>,
}

/// The worker threads of a CPU device.
pub(super) struct Pool {
    workers: Vec<Worker>,
    shared: Arc<Shared>,
}

impl Pool {
    /// Starts one worker per core.
    pub(super) fn new(cores: &[usize]) -> Result<Self, DeviceError> {
        let shared = Arc::new(Shared {
            job: UnsafeCell::new(None),
            left: AtomicUsize::new(0),
            panicked: AtomicBool::new(false),
            caller: Mutex::new(false),
            done: Condvar::new(),
            pinned: AtomicUsize::new(0),
        });
        let mut pool = Self { workers: Vec::new(), shared };
        for (index, &core) in cores.iter().enumerate() {
            let bell = Arc::new(Bell { order: Mutex::new(Order::Sleep), rung: Condvar::new() });
            let (theirs, shared) = (Arc::clone(&bell), Arc::clone(&pool.shared));
            let spawned = thread::Builder::new().name(format!("rooflint-cpu-{index}")).spawn(move || {
                if topology::pin(core) {
                    shared.pinned.fetch_add(1, Ordering::Relaxed);
                }
                serve(index, &theirs, &shared);
            });
            let thread = spawned
                .map_err(|error| DeviceError::Call { call: "start worker thread", message: error.to_string() })?;
            pool.workers.push(Worker { bell, thread: Some(thread) });
        }
        // One empty piece of work: every worker has pinned itself when it returns.
        pool.run(cores.len(), &|_| {})?;
        Ok(pool)
    }

    /// Number of workers.
    pub(super) fn size(&self) -> usize {
        self.workers.len()
    }

    /// Whether every worker is kept on its core.
    pub(super) fn pinned(&self) -> bool {
        self.shared.pinned.load(Ordering::Relaxed) == self.workers.len()
    }

    /// Runs `work` on the first `team` workers and sleeps until all have finished. Needs the pool for
    /// itself: two teams at once would measure each other.
    pub(super) fn run(&mut self, team: usize, work: &Work<'_>) -> Result<(), DeviceError> {
        let team = team.clamp(1, self.workers.len());
        let barrier = Barrier::new(team);
        // SAFETY: only the lifetime changes; this function does not return while a worker may use it.
        let work = unsafe { std::mem::transmute::<*const Work<'_>, *const Work<'static>>(work) };
        self.shared.left.store(team, Ordering::Relaxed);
        // SAFETY: no worker runs: the last piece of work reported back from every member.
        unsafe { *self.shared.job.get() = Some(Job { work, barrier: &raw const barrier, team }) };
        for worker in &self.workers[..team] {
            worker.bell.ring(Order::Work);
        }
        let mut done = self.shared.caller.lock().unwrap_or_else(PoisonError::into_inner);
        while !*done {
            done = self.shared.done.wait(done).unwrap_or_else(PoisonError::into_inner);
        }
        *done = false;
        if self.shared.panicked.swap(false, Ordering::Relaxed) {
            return Err(DeviceError::Lost("a worker thread of the CPU backend panicked".to_owned()));
        }
        Ok(())
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        for worker in &self.workers {
            worker.bell.ring(Order::Quit);
        }
        for worker in &mut self.workers {
            if let Some(thread) = worker.thread.take() {
                // A worker catches its panics, so there is nothing to learn from joining it.
                let _ = thread.join();
            }
        }
    }
}

/// A worker's life: sleep, work, report.
fn serve(index: usize, bell: &Bell, shared: &Shared) {
    while bell.answer() == Order::Work {
        // SAFETY: the caller wrote the job before it rang, and writes no other before all report.
        let Some(job) = (unsafe { &*shared.job.get() }) else { continue };
        // SAFETY: both pointers outlive the work, see `Job`.
        let (work, barrier) = unsafe { (&*job.work, &*job.barrier) };
        let place = Place { index, team: job.team, barrier };
        if panic::catch_unwind(AssertUnwindSafe(|| work(place))).is_err() {
            shared.panicked.store(true, Ordering::Relaxed);
            barrier.broken.store(true, Ordering::Relaxed);
        }
        if shared.left.fetch_sub(1, Ordering::AcqRel) == 1 {
            *shared.caller.lock().unwrap_or_else(PoisonError::into_inner) = true;
            shared.done.notify_one();
        }
    }
}
