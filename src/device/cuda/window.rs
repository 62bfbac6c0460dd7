//! Timed windows: a program's repeats in a stream, between events.
//!
//! Launches queue behind a latch, a kernel that waits for the host: when it opens, all that follows is there, and the
//! host's speed has no part in what is measured. A stream takes about a thousand entries and then holds the host, which
//! would never open the latch: so a window goes in batches of [`LATCHED_MAX`] entries at most, and a sample longer
//! than that is the sum of its pieces. What the device itself needs from one launch to the next stays, and is part
//! of the result.

use std::ops::Range;
use std::time::{Duration, Instant};

use cudarc::driver::sys::CUfunction;

use super::driver::{Driver, Failed};
use super::handles::{Event, Graph, PinnedMemory, Stream};
use super::program::{Recorded, Work};
use crate::device::{Detail, DeviceError, Start, Timing, Wait, Window};
use crate::units::{Hertz, Seconds};

/// Entries that wait behind a latch, at most: launches, graphs and events.
const LATCHED_MAX: u64 = 512;
/// The same with no latch to open: a full stream then holds the host only until the device has done some of it.
const FREE_MAX: u64 = 1 << 16;
/// Launches of one graph, at most.
const GRAPH_MAX: u64 = 512;
/// After this long a latch gives up, so that a host that died leaves no kernel running.
const LATCH_TIMEOUT_NS: u64 = 2_000_000_000;
/// Bytes that a work group of a stamp writes.
const STAMP_SIZE: u64 = 24;
/// Shortest time over which the clock of a multiprocessor is counted: a step of the device's timer is at most 1 µs.
const COUNTED_NS: u64 = 200_000;
/// How long the host asks without pause whether work is done; after that it sleeps in between.
const EAGER: Duration = Duration::from_millis(20);
/// Sleep between two questions.
const PAUSE: Duration = Duration::from_micros(10);

/// A part of a sample that lies between two events.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Piece {
    sample: usize,
    /// The step it belongs to, where steps are timed.
    step: usize,
    /// Steps, counted over all repeats of all samples.
    range: Range<u64>,
}

/// Cuts a window into pieces.
struct Cut {
    /// Steps of a repeat.
    steps: u64,
    repeats: u64,
    samples: u64,
    /// Pieces end with every step.
    per_step: bool,
    /// Steps of a piece, at most.
    most: u64,
    at: u64,
}

impl Iterator for Cut {
    type Item = Piece;

    fn next(&mut self) -> Option<Piece> {
        let per_sample = self.steps * self.repeats;
        if self.at >= per_sample * self.samples {
            return None;
        }
        let sample = self.at / per_sample;
        let border = if self.per_step { self.at + 1 } else { (sample + 1) * per_sample };
        let range = self.at..border.min(self.at + self.most);
        let step = (self.at % self.steps) as usize;
        self.at = range.end;
        Some(Piece { sample: sample as usize, step, range })
    }
}

/// What a sample has cost so far.
#[derive(Debug, Clone, Default)]
struct Cost {
    device_s: f64,
    host_s: f64,
    /// A latch gave up before the host opened it: its times mean nothing.
    spoiled: bool,
    clock_hz: Option<f64>,
    steps_s: Vec<f64>,
}

/// A window's time limit.
struct Watch {
    start: Instant,
    deadline: Seconds,
}

impl Watch {
    fn new(deadline: Seconds) -> Self {
        Self { start: Instant::now(), deadline }
    }

    fn check(&self) -> Result<(), DeviceError> {
        match self.start.elapsed().as_secs_f64() < self.deadline.get() {
            true => Ok(()),
            false => {
                // What runs on the device would be waited for.
                super::handles::abandon();
                Err(DeviceError::Deadline(self.deadline))
            }
        }
    }

    /// Asks until the answer is yes, or the time is up.
    fn wait(&self, done: impl Fn() -> Result<bool, Failed>) -> Result<(), DeviceError> {
        let begun = Instant::now();
        while !done()? {
            self.check()?;
            match begun.elapsed() < EAGER {
                true => std::thread::yield_now(),
                false => std::thread::sleep(PAUSE),
            }
        }
        Ok(())
    }
}

/// The stream that windows run in, and what their times are taken with.
pub(super) struct Queue {
    driver: Driver,
    pub stream: Stream,
    latch: CUfunction,
    stamp: CUfunction,
    /// What the latch waits for, and what it says at its end: one word each.
    gate: PinnedMemory,
    /// Two stamps of several work groups, so that one multiprocessor is among both: time in ns, clock ticks,
    /// multiprocessor of each.
    stamps: PinnedMemory,
    /// Work groups of a stamp: one for each multiprocessor.
    units: u32,
    events: Vec<Event>,
    /// What the host's clock adds to a batch.
    pub round_trip_s: f64,
    /// Why no latch is used, if none is.
    pub unlatched: Option<String>,
}

impl Queue {
    pub fn new(
        driver: Driver,
        latch: CUfunction,
        stamp: CUfunction,
        units: u32,
        patience: Seconds,
    ) -> Result<Self, DeviceError> {
        let mut queue = Self {
            driver,
            stream: Stream::new()?,
            latch,
            stamp,
            gate: PinnedMemory::new(256)?,
            stamps: PinnedMemory::new(2 * STAMP_SIZE as usize * units as usize)?,
            units,
            events: Vec::new(),
            round_trip_s: 0.0,
            unlatched: held_back(),
        };
        // Drivers load a kernel when it is first launched, and may wait for all else to end: not behind a latch.
        queue.stamp(0)?;
        queue.close()?;
        queue.open();
        Watch::new(patience).wait(|| queue.stream.is_done())?;
        Ok(queue)
    }

    /// Runs every step of every row once and waits: first uses may wait for the whole context, which behind a latch
    /// would never end.
    pub fn run_once(&mut self, program: &Recorded, patience: Seconds) -> Result<(), DeviceError> {
        let watch = Watch::new(patience);
        for work in program.rows.iter().flatten() {
            work.queue(&self.stream)?;
        }
        watch.wait(|| self.stream.is_done())
    }

    /// Runs a window and gives a timing per sample.
    pub fn run(&mut self, program: &mut Recorded, window: &Window) -> Result<Vec<Timing>, DeviceError> {
        let watch = Watch::new(window.deadline);
        if window.wait == Wait::AfterEachRepeat {
            return self.by_host(program, window, &watch);
        }
        let per_step = window.detail == Detail::PerStep;
        let steps = program.steps();
        let as_graph = program.as_graph && !per_step;
        let (latched_max, graph_max) = (LATCHED_MAX / program.entries, GRAPH_MAX / program.entries);
        // Graphs hold whole repeats.
        let most = if as_graph { (graph_max / steps.max(1)).max(1) * steps } else { latched_max - 8 };
        let cut = Cut { steps, repeats: window.repeats.into(), samples: window.samples.into(), per_step, most, at: 0 };
        let latched = window.start == Start::Queued && self.unlatched.is_none() && program.holds_the_host.is_none();
        let empty = Cost { steps_s: vec![0.0; if per_step { steps as usize } else { 0 }], ..Cost::default() };
        let mut costs = vec![empty; window.samples as usize];
        let mut pieces = cut.peekable();
        while pieces.peek().is_some() {
            let mut batch = Vec::new();
            let mut entries = 4;
            let entries_max = if latched { latched_max } else { FREE_MAX };
            let fits = |entries: u64, piece: &Piece| entries + weight(piece) <= entries_max;
            while let Some(piece) = pieces.next_if(|piece| batch.is_empty() || fits(entries, piece)) {
                entries += weight(&piece);
                batch.push(piece);
            }
            if as_graph {
                self.make_graphs(program, &batch, &watch)?;
            }
            self.run_batch(program, as_graph, latched, &batch, &watch, &mut costs)?;
        }
        Ok(costs.into_iter().map(timing).collect())
    }

    /// The graphs that a batch needs and that are not there yet. Each runs once: a first launch brings it to the device,
    /// which behind a latch might never end.
    fn make_graphs(&mut self, program: &mut Recorded, batch: &[Piece], watch: &Watch) -> Result<(), DeviceError> {
        let steps = program.steps();
        for piece in batch {
            let key = graph_of(piece, steps, program.rows.len());
            if !program.graphs.contains_key(&key) {
                let works = piece.range.clone().map(|position| work_at(program, steps, position));
                let graph =
                    Graph::capture(&self.stream, || works.into_iter().try_for_each(|work| work.queue(&self.stream)))?;
                graph.launch(&self.stream)?;
                watch.wait(|| self.stream.is_done())?;
                program.graphs.insert(key, graph);
            }
        }
        Ok(())
    }

    fn run_batch(
        &mut self,
        program: &Recorded,
        as_graph: bool,
        latched: bool,
        batch: &[Piece],
        watch: &Watch,
        costs: &mut [Cost],
    ) -> Result<(), DeviceError> {
        while self.events.len() <= batch.len() {
            self.events.push(Event::new()?);
        }
        let mut begun = Instant::now();
        self.clear_stamps();
        if latched {
            self.close()?;
        }
        let queued = self.queue_batch(program, as_graph, batch, watch);
        // It says how it ended: by now it must not have.
        let held = self.word(1) == 0;
        if latched {
            begun = Instant::now();
            self.open();
        }
        queued?;
        watch.wait(|| self.stream.is_done())?;
        let elapsed_s = begun.elapsed().as_secs_f64();
        let host_s = elapsed_s - self.round_trip_s.min(elapsed_s / 2.0);
        let spoiled = latched && !(held && self.word(1) == 1);
        if spoiled {
            // What held the host once will do so again: better a labelled time than none.
            self.unlatched =
                Some("a latch did not hold until all was queued: times include the host's part".to_owned());
        }
        let clock_hz = self.clock_hz();
        let mut times_s = Vec::with_capacity(batch.len());
        for pair in self.events.windows(2).take(batch.len()) {
            times_s.push(f64::from(self.driver.elapsed_ms(pair[0].0, pair[1].0)?) * 1e-3);
        }
        let total_s: f64 = times_s.iter().sum();
        for (piece, device_s) in batch.iter().zip(times_s) {
            let cost = &mut costs[piece.sample];
            cost.device_s += device_s;
            cost.host_s += host_s * if total_s > 0.0 { device_s / total_s } else { 1.0 / batch.len() as f64 };
            cost.spoiled |= spoiled;
            cost.clock_hz = match (cost.clock_hz, clock_hz) {
                (Some(before), Some(now)) => Some(before.min(now)),
                (before, now) => before.or(now),
            };
            if let Some(step) = cost.steps_s.get_mut(piece.step) {
                *step += device_s;
            }
        }
        Ok(())
    }

    fn queue_batch(
        &self,
        program: &Recorded,
        as_graph: bool,
        batch: &[Piece],
        watch: &Watch,
    ) -> Result<(), DeviceError> {
        let steps = program.steps();
        self.stamp(0)?;
        self.events[0].record(&self.stream)?;
        for (piece, event) in batch.iter().zip(&self.events[1..]) {
            watch.check()?;
            match program.graphs.get(&graph_of(piece, steps, program.rows.len())).filter(|_| as_graph) {
                Some(graph) => graph.launch(&self.stream)?,
                None => {
                    for position in piece.range.clone() {
                        work_at(program, steps, position).queue(&self.stream)?;
                    }
                }
            }
            event.record(&self.stream)?;
        }
        Ok(self.stamp(1)?)
    }

    /// Repeats one by one, each queued and waited for while the host's clock runs.
    fn by_host(&self, program: &Recorded, window: &Window, watch: &Watch) -> Result<Vec<Timing>, DeviceError> {
        let steps = program.rows.first().map_or(0, Vec::len);
        let per_step = window.detail == Detail::PerStep;
        let mut costs = Vec::new();
        for sample in 0..u64::from(window.samples) {
            let mut steps_s = vec![0.0; if per_step { steps } else { 0 }];
            let start = Instant::now();
            for repeat in 0..u64::from(window.repeats) {
                let row = ((sample * u64::from(window.repeats) + repeat) % program.rows.len() as u64) as usize;
                for (step, work) in program.rows[row].iter().enumerate() {
                    let begun = Instant::now();
                    work.queue(&self.stream)?;
                    if let Some(spent) = steps_s.get_mut(step) {
                        watch.wait(|| self.stream.is_done())?;
                        *spent += begun.elapsed().as_secs_f64();
                    }
                }
                watch.wait(|| self.stream.is_done())?;
            }
            let elapsed_s = start.elapsed().as_secs_f64();
            costs.push(Cost { device_s: elapsed_s, host_s: elapsed_s, steps_s, ..Cost::default() });
        }
        Ok(costs.into_iter().map(timing).collect())
    }

    /// Two events with nothing in between: their time and the host's, in seconds.
    pub fn empty_batch(&mut self, patience: Seconds) -> Result<(f64, f64), DeviceError> {
        let nothing = Recorded::of(vec![Vec::new()]);
        let piece = Piece { sample: 0, step: 0, range: 0..0 };
        let mut costs = [Cost::default()];
        let watch = Watch::new(patience);
        self.run_batch(&nothing, false, self.unlatched.is_none(), &[piece], &watch, &mut costs)?;
        Ok((costs[0].device_s, costs[0].host_s))
    }

    fn stamp(&self, index: u64) -> Result<(), Failed> {
        let values = vec![self.stamps.device + STAMP_SIZE * u64::from(self.units) * index];
        let (function, blocks) = (self.stamp, self.units);
        Work::Launch { function, blocks, threads: 32, shared: 0, values }.queue(&self.stream)
    }

    /// Puts into every word of the stamps what no pair of them makes a clock of, no two on one multiprocessor: one that is
    /// not written must not leave that of an earlier batch.
    fn clear_stamps(&mut self) {
        for (word, index) in self.stamps.bytes_mut().as_chunks_mut::<8>().0.iter_mut().zip(0_u64..) {
            *word = (u64::MAX - index).to_le_bytes();
        }
    }

    /// Shuts the latch and puts it into the stream.
    fn close(&mut self) -> Result<(), Failed> {
        self.gate.bytes_mut()[..8].fill(0);
        let values = vec![self.gate.device, self.gate.device + 4, LATCH_TIMEOUT_NS];
        Work::Launch { function: self.latch, blocks: 1, threads: 32, shared: 0, values }.queue(&self.stream)
    }

    fn open(&mut self) {
        // SAFETY: the first word of the gate, aligned; volatile, since the device reads it meanwhile.
        unsafe { self.gate.host.cast::<u32>().write_volatile(1) };
        std::sync::atomic::fence(std::sync::atomic::Ordering::SeqCst);
    }

    /// A word of the gate.
    fn word(&self, index: usize) -> u32 {
        // SAFETY: within the gate, aligned; the device has written it.
        unsafe { self.gate.host.cast::<u32>().add(index).read_volatile() }
    }

    /// The clock of the multiprocessors over the batch, the median of those that both stamps came to; `None` where it
    /// cannot be told.
    fn clock_hz(&self) -> Option<f64> {
        let words = self.stamps.bytes().as_chunks::<8>().0.iter().map(|word| u64::from_le_bytes(*word));
        let words: Vec<u64> = words.collect();
        let (first, second) = words.as_chunks::<3>().0.split_at(self.units as usize);
        clock_hz(first, second)
    }
}

/// The upper median of the clocks of the multiprocessors that both stamps came to; `None` if there is none, or the time between the
/// stamps is too short to count in.
fn clock_hz(first: &[[u64; 3]], second: &[[u64; 3]]) -> Option<f64> {
    let clock = |before: &[u64; 3]| {
        let after = second.iter().find(|after| after[2] == before[2])?;
        let (time, ticks) = (after[0].checked_sub(before[0])?, after[1].checked_sub(before[1])?);
        (time >= COUNTED_NS).then(|| ticks as f64 / (time as f64 * 1e-9))
    };
    let mut clocks: Vec<f64> = first.iter().filter_map(clock).collect();
    clocks.sort_by(f64::total_cmp);
    clocks.get(clocks.len() / 2).copied()
}

/// Why launches cannot wait behind a latch: each would then hold the host until it is done.
fn held_back() -> Option<String> {
    let set = |name: &str| std::env::var_os(name).is_some_and(|value| !value.is_empty() && value != "0");
    const WATCHED: [&str; 4] = [
        "CUDA_LAUNCH_BLOCKING",
        "CUDA_INJECTION64_PATH",
        "NSYS_PROFILING_SESSION_ID",
        "NV_COMPUTE_PROFILER_PERFWORKS_DIR",
    ];
    let name = WATCHED.into_iter().find(|name| set(name))?;
    Some(format!("{name} is set, so launches do not wait for one another: times include the host's part"))
}

/// Entries of a piece. Those of a graph count one by one: how many a closed latch holds of them is nowhere promised.
fn weight(piece: &Piece) -> u64 {
    piece.range.end - piece.range.start + 1
}

/// The graph of a piece: its first row and its repeats.
fn graph_of(piece: &Piece, steps: u64, rows: usize) -> (usize, u64) {
    let repeats = (piece.range.end - piece.range.start) / steps.max(1);
    ((piece.range.start / steps.max(1) % rows.max(1) as u64) as usize, repeats)
}

/// The step at a place in the sequence of all steps of all repeats.
fn work_at(program: &Recorded, steps: u64, position: u64) -> &Work {
    let row = (position / steps % program.rows.len() as u64) as usize;
    &program.rows[row][(position % steps) as usize]
}

/// A spoiled sample is given no time, which the protocol rejects.
fn timing(cost: Cost) -> Timing {
    let seconds = |value: f64| Seconds::new(value).unwrap_or(Seconds::ZERO);
    Timing {
        elapsed: if cost.spoiled { Seconds::ZERO } else { seconds(cost.device_s) },
        host_elapsed: seconds(cost.host_s),
        clock: cost.clock_hz.and_then(Hertz::new),
        preempted: None,
        steps: cost.steps_s.into_iter().map(seconds).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_clock_is_counted_where_both_stamps_were() {
        let first = [[1_000_000, 500, 3], [1_000_010, 900, 7], [1_000_020, 100, 9]];
        // Other multiprocessors began first this time; one of them was not there before, one is gone.
        let second = [[2_000_000, 1_800_900, 7], [2_000_005, 1_500_500, 3], [2_000_009, 40, 11]];
        let clock = clock_hz(&first, &second).unwrap();
        assert!((clock / 1.8e9 - 1.0).abs() < 1e-3, "the upper median: {clock}");
        assert_eq!(clock_hz(&first, &second[2..]), None);
        assert_eq!(clock_hz(&first, &first), None, "no time has passed");
    }

    #[test]
    fn pieces_cover_a_window_in_order_and_end_with_samples_or_steps() {
        for (steps, repeats, samples, per_step, most) in [
            (1, 10, 3, false, 4),
            (3, 5, 2, false, 6),
            (3, 5, 2, true, 6),
            (2, 700, 2, false, 504),
            (1, 1, 1, false, 1),
        ] {
            let pieces: Vec<_> = Cut { steps, repeats, samples, per_step, most, at: 0 }.collect();
            let mut next = 0;
            for piece in &pieces {
                assert_eq!(piece.range.start, next);
                next = piece.range.end;
                let length = next - piece.range.start;
                assert!(length <= most && length > 0 && (!per_step || length == 1));
                let per_sample = steps * repeats;
                assert_eq!([piece.range.start / per_sample, (next - 1) / per_sample], [piece.sample as u64; 2]);
                assert_eq!(piece.step as u64, piece.range.start % steps);
            }
            assert_eq!(next, steps * repeats * samples);
        }
    }

    #[test]
    fn a_graph_is_told_by_its_first_row_and_its_repeats() {
        let piece = |range| Piece { sample: 0, step: 0, range };
        assert_eq!(graph_of(&piece(0..12), 3, 4), (0, 4));
        assert_eq!(graph_of(&piece(15..21), 3, 4), (1, 2));
    }

    #[test]
    fn a_sample_whose_latch_gave_up_has_no_time() {
        let cost = Cost { device_s: 0.5, host_s: 0.6, ..Cost::default() };
        assert_eq!(timing(cost.clone()).elapsed.get(), 0.5);
        assert_eq!(timing(Cost { spoiled: true, ..cost }).elapsed, Seconds::ZERO);
    }
}
