//! Races in shared memory, by vector clocks (FastTrack, Flanagan and Freund 2009): two accesses from different warps,
//! one of them a write, must be ordered by a barrier or by another synchronisation both took part in.
//!
//! The asynchronous proxy (bulk copies, `wgmma`) is held to more: a write through the generic proxy must also have been
//! fenced on the way (PTX ISA 8.2.2 "Proxies" and 9.7.13 `fence.proxy`), which a second set of clocks follows.

use std::collections::HashMap;

/// For each warp of the block, up to which of its steps something is known.
pub type Clock = [u32; 32];

#[derive(Clone, Copy, Default)]
struct Cell {
    /// The last write: its warp's step (0: none) and the warp.
    write_step: u32,
    write_warp: u8,
    /// Written through the asynchronous proxy: no fence is needed before it is read that way.
    write_async: bool,
    /// Reads since then: the warps, and the step they all were at; or, from `MANY` on, an entry of `reads`.
    read_mask: u32,
    read_step: u32,
}

const MANY: u32 = 1 << 31;

#[derive(Default)]
pub struct Race {
    /// What each warp knows of the others' steps.
    now: Vec<Clock>,
    /// What each warp knows to be fenced for the asynchronous proxy.
    fenced: Vec<Clock>,
    cells: Vec<Cell>,
    /// A cell is `1 << shift` bytes.
    shift: u32,
    reads: Vec<Clock>,
    /// What is known to whoever acquires: barriers by number, and addresses that were synchronised on.
    barriers: HashMap<u32, Meeting>,
    addresses: HashMap<u64, (Clock, Clock)>,
}

/// What the warps that arrived at a barrier bring, and what those that passed it took.
#[derive(Clone, Default)]
struct Meeting {
    arriving: (Clock, Clock),
    done: (Clock, Clock),
}

/// How an access reaches shared memory. PTX ISA 8.2.2.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Proxy {
    Generic,
    Async,
}

fn join(into: &mut Clock, other: &Clock) {
    for (to, from) in into.iter_mut().zip(other) {
        *to = (*to).max(*from);
    }
}

impl Race {
    /// Follows `bytes` of shared memory of a block; one warp alone cannot race.
    pub fn new(warps: usize, bytes: usize, shift: u32) -> Self {
        let mut race = Self { shift, ..Self::default() };
        if warps > 1 && bytes > 0 {
            race.now = vec![[0; 32]; warps];
            race.fenced = vec![[0; 32]; warps];
            race.cells = vec![Cell::default(); bytes.div_ceil(1 << shift)];
        }
        race
    }

    /// Forgets all that was: a block begins.
    pub fn start(&mut self) {
        for (warp, clock) in self.now.iter_mut().enumerate() {
            *clock = [0; 32];
            clock[warp] = 1;
        }
        self.fenced.fill([0; 32]);
        self.cells.fill(Cell::default());
        self.reads.clear();
        self.barriers.clear();
        self.addresses.clear();
    }

    fn cells_of(&self, at: usize, size: usize) -> std::ops::Range<usize> {
        at >> self.shift..((at + size - 1) >> self.shift) + 1
    }

    /// A read of `size` bytes; the error says what it races with.
    pub fn read(&mut self, warp: u32, at: usize, size: usize, proxy: Proxy) -> Result<(), String> {
        if self.now.is_empty() {
            return Ok(());
        }
        let me = warp as usize;
        for index in self.cells_of(at, size) {
            let Cell { write_step, write_warp, write_async, read_mask, read_step } = self.cells[index];
            let writer = write_warp as usize;
            if writer != me && write_step > self.now[me][writer] {
                return Err(format!(
                    "race: warp {me} reads shared byte {at} that warp {writer} wrote, with no barrier between"
                ));
            }
            if proxy == Proxy::Async && write_step > 0 && !write_async && write_step > self.fenced[me][writer] {
                return Err(format!(
                    "no fence.proxy.async between warp {writer}'s write of shared byte {at} and its read through the asynchronous proxy"
                ));
            }
            let (step, bit) = (self.now[me][me], 1 << me);
            if read_mask == 0 || read_mask == bit && read_step < MANY {
                self.cells[index].read_mask = bit;
                self.cells[index].read_step = step;
            } else if read_step == step {
                self.cells[index].read_mask |= bit;
            } else {
                self.read_at_other_steps(index, me);
            }
        }
        Ok(())
    }

    fn read_at_other_steps(&mut self, index: usize, me: usize) {
        let Cell { read_mask, read_step, .. } = self.cells[index];
        let step = self.now[me][me];
        if read_step >= MANY {
            self.reads[(read_step - MANY) as usize][me] = step;
            return;
        }
        if super::lanes(read_mask).all(|reader| read_step <= self.now[me][reader]) {
            self.cells[index].read_mask = 1 << me;
            self.cells[index].read_step = step;
            return;
        }
        let mut clock = [0; 32];
        super::lanes(read_mask).for_each(|reader| clock[reader] = read_step);
        clock[me] = step;
        self.cells[index].read_step = MANY + self.reads.len() as u32;
        self.reads.push(clock);
    }

    /// A write of `size` bytes; the error says what it races with.
    pub fn write(&mut self, warp: u32, at: usize, size: usize, proxy: Proxy) -> Result<(), String> {
        if self.now.is_empty() {
            return Ok(());
        }
        let me = warp as usize;
        for index in self.cells_of(at, size) {
            let cell = self.cells[index];
            let writer = cell.write_warp as usize;
            if writer != me && cell.write_step > self.now[me][writer] {
                return Err(format!("race: warps {writer} and {me} write shared byte {at} with no barrier between"));
            }
            let unordered = if cell.read_mask == 0 {
                None
            } else if cell.read_step >= MANY {
                let clock = &self.reads[(cell.read_step - MANY) as usize];
                (0..32).find(|reader| *reader != me && clock[*reader] > self.now[me][*reader])
            } else {
                super::lanes(cell.read_mask).find(|reader| *reader != me && cell.read_step > self.now[me][*reader])
            };
            if proxy == Proxy::Async
                && cell.write_step > 0
                && !cell.write_async
                && cell.write_step > self.fenced[me][writer]
            {
                return Err(format!(
                    "no fence.proxy.async between warp {writer}'s write of shared byte {at} and one through the asynchronous proxy"
                ));
            }
            if let Some(reader) = unordered {
                return Err(format!(
                    "race: warp {me} writes shared byte {at} that warp {reader} reads, with no barrier between"
                ));
            }
            self.cells[index] = Cell {
                write_step: self.now[me][me],
                write_warp: me as u8,
                write_async: proxy == Proxy::Async,
                read_mask: 0,
                read_step: 0,
            };
        }
        Ok(())
    }

    /// `fence.proxy.async`: what the warp knows may now be read through the asynchronous proxy.
    pub fn fence_async(&mut self, warp: u32) {
        if let Some(now) = self.now.get(warp as usize) {
            let now = *now;
            join(&mut self.fenced[warp as usize], &now);
            self.tick(warp);
        }
    }

    fn tick(&mut self, warp: u32) {
        self.now[warp as usize][warp as usize] += 1;
    }

    /// The warp arrives at a barrier; `last` completes it.
    pub fn barrier_arrived(&mut self, warp: u32, barrier: u32, last: bool) {
        let me = warp as usize;
        if self.now.is_empty() {
            return;
        }
        let meeting = self.barriers.entry(barrier).or_default();
        join(&mut meeting.arriving.0, &self.now[me]);
        join(&mut meeting.arriving.1, &self.fenced[me]);
        if last {
            meeting.done = std::mem::take(&mut meeting.arriving);
        }
        self.tick(warp);
    }

    /// A barrier that was completed by the exit of the threads it lacked.
    pub fn barrier_completed(&mut self, barrier: u32) {
        if let Some(meeting) = self.barriers.get_mut(&barrier) {
            meeting.done = std::mem::take(&mut meeting.arriving);
        }
    }

    /// The warp goes on behind a barrier.
    pub fn barrier_passed(&mut self, warp: u32, barrier: u32) {
        if let (Some(now), Some(meeting)) = (self.now.get_mut(warp as usize), self.barriers.get(&barrier)) {
            join(now, &meeting.done.0);
            join(&mut self.fenced[warp as usize], &meeting.done.1);
        }
    }

    /// The warp makes what it knows available at an address (an atomic or a flag).
    pub fn release(&mut self, warp: u32, address: u64) {
        let me = warp as usize;
        if !self.now.is_empty() {
            let at = self.addresses.entry(address).or_default();
            join(&mut at.0, &self.now[me]);
            join(&mut at.1, &self.fenced[me]);
            self.tick(warp);
        }
    }

    /// The warp learns what was made available at an address.
    pub fn acquire(&mut self, warp: u32, address: u64) {
        let me = warp as usize;
        if let (false, Some(at)) = (self.now.is_empty(), self.addresses.get(&address)) {
            join(&mut self.now[me], &at.0);
            join(&mut self.fenced[me], &at.1);
        }
    }
}
