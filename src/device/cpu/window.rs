//! Timed windows: a program's repeats on a team of workers, and what each sample cost.
//!
//! While the host waits for the whole window ([`Wait::AfterAll`]) the team itself goes through all
//! samples and repeats and meets at a barrier after every step; the caller sleeps. When it waits after
//! each repeat, the calling thread starts and joins the sleeping team each time, as an interactive
//! caller would, and the cost of waking threads is part of the figure.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use super::pool::{Padded, Place, Pool};
use super::program::Recorded;
use super::timer;
use crate::device::{Detail, DeviceError, Timing, Wait, Window};
use crate::record::TimerInfo;
use crate::units::{Hertz, Ratio, Seconds};

/// Runs a window and gives a timing per sample.
pub(super) fn run(pool: &mut Pool, program: &Recorded, window: &Window) -> Result<Vec<Timing>, DeviceError> {
    match window.wait {
        Wait::AfterAll => by_team(pool, program, window),
        Wait::AfterEachRepeat => by_caller(pool, program, window),
    }
}

/// Runs every step once on every row of bindings, untimed.
pub(super) fn rehearse(pool: &mut Pool, program: &Recorded) -> Result<(), DeviceError> {
    pool.run(program.team, &|place| {
        for row in 0..program.row_count() {
            repeat(program, row, place);
        }
    })
}

/// Resolution of the clock, and the cost of a window with one step that does nothing.
pub(super) fn calibrate(pool: &mut Pool) -> Result<TimerInfo, DeviceError> {
    const WINDOWS: usize = 501;
    let costs = Mutex::new(Vec::with_capacity(WINDOWS));
    let team = pool.size();
    pool.run(team, &|place| {
        for _ in 0..WINDOWS {
            let start = start_together(place);
            place.barrier.wait();
            if let Some(start) = start {
                lock(&costs).push(timer::now_ns() - start);
            }
        }
    })?;
    let mut costs = costs.into_inner().unwrap_or_else(PoisonError::into_inner);
    costs.sort_unstable();
    Ok(TimerInfo {
        clock: timer::CLOCK.to_owned(),
        resolution_s: timer::resolution(),
        overhead_s: Seconds::from_nanos(costs.get(WINDOWS / 2).copied().unwrap_or(0)),
        agreement: None,
    })
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Lets the team go at once. The leader gets the time at which it did.
#[inline]
fn start_together(place: Place<'_>) -> Option<u64> {
    if place.index == 0 {
        return Some(place.barrier.open(timer::now_ns));
    }
    place.barrier.wait();
    None
}

/// One repeat on one worker, joined after each step.
#[inline]
fn repeat(program: &Recorded, number: usize, place: Place<'_>) {
    for step in 0..program.steps {
        // SAFETY: all of the team run this, meet after each step, and the device lends its buffers to
        // nobody else while a program runs.
        unsafe { program.run_step(number, step, place) };
        place.barrier.wait();
    }
}

/// What a worker says of a sample.
struct Report {
    /// Its core's clock in hertz, as bits; 0 for none.
    clock: AtomicU64,
    /// Share of the sample in which it did not run, as bits.
    preempted: AtomicU64,
}

/// What the team shares during a window.
struct Team<'a> {
    program: &'a Recorded,
    window: &'a Window,
    reports: Vec<Padded<Report>>,
    timings: Mutex<Vec<Timing>>,
    /// The repeat with which the window ends because its deadline passed; `usize::MAX` while it has not. A
    /// number and no flag: the leader may be a repeat ahead of a worker that has yet to look.
    last_repeat: AtomicUsize,
}

fn by_team(pool: &mut Pool, program: &Recorded, window: &Window) -> Result<Vec<Timing>, DeviceError> {
    let blank = || Padded(Report { clock: AtomicU64::new(0), preempted: AtomicU64::new(0) });
    let team = Team {
        program,
        window,
        reports: (0..program.team).map(|_| blank()).collect(),
        timings: Mutex::new(Vec::with_capacity(window.samples as usize)),
        last_repeat: AtomicUsize::new(usize::MAX),
    };
    pool.run(program.team, &|place| team.samples(place))?;
    if team.deadline_passed() {
        return Err(DeviceError::Deadline(window.deadline));
    }
    Ok(team.timings.into_inner().unwrap_or_else(PoisonError::into_inner))
}

impl Team<'_> {
    /// A worker's way through the window.
    fn samples(&self, place: Place<'_>) {
        let mut watch = Watch::new(self.window.deadline);
        for sample in 0..self.window.samples as usize {
            let report = &self.reports[place.index].0;
            report.clock.store(timer::core_clock().map_or(0.0, Hertz::get).to_bits(), Ordering::Relaxed);
            place.barrier.wait();
            let usage = Usage::now();
            let start = start_together(place);
            let mut steps = vec![0; if self.per_step() && start.is_some() { self.program.steps } else { 0 }];
            let first = sample * self.window.repeats as usize;
            self.repeats(first, place, start.unwrap_or(0), &mut steps, &mut watch);
            let end = timer::now_ns();
            report.preempted.store(usage.idle_share().to_bits(), Ordering::Relaxed);
            place.barrier.wait();
            if self.deadline_passed() {
                return;
            }
            if let Some(start) = start {
                lock(&self.timings).push(self.timing(end - start, &steps));
            }
        }
    }

    fn per_step(&self) -> bool {
        self.window.detail == Detail::PerStep
    }

    /// The timed part. Before the last join of a repeat the leader looks at the time; after it all know
    /// whether to go on.
    #[inline]
    fn repeats(&self, first: usize, place: Place<'_>, start: u64, steps: &mut [u64], watch: &mut Watch) {
        let mut last = start;
        for number in first..first + self.window.repeats as usize {
            for step in 0..self.program.steps {
                // SAFETY: all of the team run this, meet after each step, and the device lends its
                // buffers to nobody else while a program runs.
                unsafe { self.program.run_step(number, step, place) };
                if step + 1 == self.program.steps && place.index == 0 && watch.expired() {
                    self.last_repeat.store(number, Ordering::Relaxed);
                }
                place.barrier.wait();
                if let Some(slot) = steps.get_mut(step) {
                    let now = timer::now_ns();
                    *slot += now - last;
                    last = now;
                }
            }
            if self.last_repeat.load(Ordering::Relaxed) <= number {
                return;
            }
        }
    }

    fn deadline_passed(&self) -> bool {
        self.last_repeat.load(Ordering::Relaxed) != usize::MAX
    }

    fn timing(&self, elapsed: u64, steps: &[u64]) -> Timing {
        let read = |bits: &AtomicU64| f64::from_bits(bits.load(Ordering::Relaxed));
        let slowest = self.reports.iter().map(|report| read(&report.0.clock)).reduce(f64::min);
        let preempted = self.reports.iter().map(|report| read(&report.0.preempted)).reduce(f64::max);
        Timing {
            elapsed: Seconds::from_nanos(elapsed),
            host_elapsed: Seconds::from_nanos(elapsed),
            clock: slowest.filter(|clock| *clock > 0.0).and_then(Hertz::new),
            preempted: preempted.and_then(Ratio::new),
            steps: steps.iter().map(|step| Seconds::from_nanos(*step)).collect(),
        }
    }
}

fn by_caller(pool: &mut Pool, program: &Recorded, window: &Window) -> Result<Vec<Timing>, DeviceError> {
    let mut watch = Watch::new(window.deadline);
    let mut timings = Vec::with_capacity(window.samples as usize);
    for sample in 0..window.samples as usize {
        let first = sample * window.repeats as usize;
        let clock = slowest_clock(pool, program.team)?;
        let totals: Vec<AtomicU64> = (0..program.steps).map(|_| AtomicU64::new(0)).collect();
        let start = timer::now_ns();
        for number in first..first + window.repeats as usize {
            match window.detail {
                Detail::Whole => pool.run(program.team, &|place| repeat(program, number, place))?,
                Detail::PerStep => pool.run(program.team, &|place| timed_repeat(program, number, place, &totals))?,
            }
            if watch.expired() {
                return Err(DeviceError::Deadline(window.deadline));
            }
        }
        let elapsed = Seconds::from_nanos(timer::now_ns() - start);
        let per_step = window.detail == Detail::PerStep;
        let steps = totals.iter().filter(|_| per_step).map(|total| Seconds::from_nanos(total.load(Ordering::Relaxed)));
        // The team sleeps between repeats, so time it did not run says nothing of other work.
        timings.push(Timing { elapsed, host_elapsed: elapsed, clock, preempted: None, steps: steps.collect() });
    }
    Ok(timings)
}

/// [`repeat`], the leader adding each step's time to its total.
fn timed_repeat(program: &Recorded, number: usize, place: Place<'_>, totals: &[AtomicU64]) {
    for (step, total) in totals.iter().enumerate() {
        let start = timer::now_ns();
        // SAFETY: as in `repeat`.
        unsafe { program.run_step(number, step, place) };
        place.barrier.wait();
        if place.index == 0 {
            total.fetch_add(timer::now_ns() - start, Ordering::Relaxed);
        }
    }
}

fn slowest_clock(pool: &mut Pool, team: usize) -> Result<Option<Hertz>, DeviceError> {
    let clocks = Mutex::new(Vec::with_capacity(team));
    pool.run(team, &|_| lock(&clocks).extend(timer::core_clock()))?;
    let clocks = clocks.into_inner().unwrap_or_else(PoisonError::into_inner);
    Ok(clocks.into_iter().min())
}

/// How much a thread had run at some time.
struct Usage {
    wall: u64,
    running: Option<u64>,
}

impl Usage {
    fn now() -> Self {
        Self { wall: timer::now_ns(), running: timer::thread_cpu_ns() }
    }

    /// The share of the time since in which the thread, always ready, did not run.
    fn idle_share(&self) -> f64 {
        let (Some(before), Some(now)) = (self.running, timer::thread_cpu_ns()) else { return 0.0 };
        let wall = timer::now_ns() - self.wall;
        if wall == 0 { 0.0 } else { (1.0 - (now - before) as f64 / wall as f64).max(0.0) }
    }
}

/// Tells when a deadline has passed, reading the clock about once a millisecond however short repeats are.
struct Watch {
    start: u64,
    limit: u64,
    asked: u64,
    next: u64,
}

impl Watch {
    fn new(deadline: Seconds) -> Self {
        Self { start: timer::now_ns(), limit: (deadline.get() * 1e9) as u64, asked: 0, next: 0 }
    }

    #[inline]
    fn expired(&mut self) -> bool {
        self.asked += 1;
        if self.asked < self.next {
            return false;
        }
        const MILLISECOND: u64 = 1_000_000;
        let elapsed = timer::now_ns() - self.start;
        self.next = self.asked + (MILLISECOND * self.asked / elapsed.max(1)).max(1);
        elapsed > self.limit
    }
}
