//! A block: its shared memory, its barriers, its warps in turn.

use std::collections::HashMap;

use super::grid::Grid;
use super::late::Queue;
use super::race::Race;
use super::warp::{Turn, Warp};
use super::{Mask, Trap};
use crate::code;
use crate::isa::mbarrier::Mbarrier;
use crate::memory::Cursor;

/// Shared addresses start here, so that a null pointer is no shared address; the driver reserves as much since 8.0.
pub const SHARED_BASE: u64 = 1024;

/// A named barrier. PTX ISA 9.7.13 `barrier`.
#[derive(Clone, Copy, Default)]
pub struct Barrier {
    /// How often it was completed.
    pub generation: u64,
    arrived: u32,
    /// Threads it waits for, if the instruction named a number.
    expected: Option<u32>,
    /// Threads whose predicate was true, of the generation under way and of the last complete one.
    votes: u32,
    pub result: (u32, u32),
}

pub struct Block {
    pub index: [u32; 3],
    pub shared: Vec<u8>,
    pub barriers: [Barrier; 16],
    /// Barriers in shared memory, by address.
    pub mbarriers: HashMap<u64, Mbarrier>,
    pub race: Race,
    /// Executed, and not seen by others yet.
    pub late: Queue,
    alive: u32,
}

/// A block under way.
pub struct Running {
    block: Block,
    warps: Vec<Warp>,
}

impl Block {
    /// Counts `threads` as arrived. Returns the generation they wait to pass.
    pub fn arrive(&mut self, warp: u32, id: u32, threads: u32, expected: Option<u32>, votes: u32) -> Result<u64, Trap> {
        let barrier = &mut self.barriers[id as usize];
        if barrier.arrived > 0 && barrier.expected != expected {
            return Err(Trap::new(code::LAUNCH_FAILED, format!("barrier {id} is used with two thread counts at once")));
        }
        let generation = barrier.generation;
        barrier.expected = expected;
        barrier.arrived += threads;
        barrier.votes += votes;
        let last = barrier.arrived >= expected.unwrap_or(self.alive);
        if last {
            barrier.complete();
        }
        self.race.barrier_arrived(warp, id, last);
        Ok(generation)
    }

    /// Threads that exit are no longer waited for.
    pub fn exited(&mut self, threads: u32) {
        self.alive -= threads;
        for (id, barrier) in self.barriers.iter_mut().enumerate() {
            if barrier.arrived > 0 && barrier.expected.is_none() && barrier.arrived >= self.alive {
                barrier.complete();
                self.race.barrier_completed(id as u32);
            }
        }
    }
}

impl Barrier {
    fn complete(&mut self) {
        self.result = (self.votes, self.arrived);
        self.generation += 1;
        self.arrived = 0;
        self.votes = 0;
    }
}

impl Running {
    /// A block that has not begun, in the storage of one that is done if there is one: registers keep what was in
    /// them, memory does not.
    pub fn new(grid: &Grid, linear: u64, done: Option<Self>) -> Self {
        let [x, y, _] = grid.blocks.map(u64::from);
        let index = [(linear % x) as u32, (linear / x % y) as u32, (linear / x / y) as u32];
        let threads = grid.threads_per_block();
        let in_warp = |warp: u32| (threads - warp * 32).min(32);
        let (mut warps, mut shared, mut race) = match done {
            Some(Self { block, warps }) => (warps, block.shared, block.race),
            None => {
                let count = threads.div_ceil(32);
                let warps = (0..count).map(|warp| Warp::new(grid, warp)).collect();
                (
                    warps,
                    vec![0; grid.shared_bytes],
                    Race::new(count as usize, grid.shared_bytes, grid.kernel.race_shift),
                )
            }
        };
        (0..).zip(&mut warps).for_each(|(index, warp): (u32, &mut Warp)| warp.start(in_warp(index)));
        shared.fill(0xFF);
        race.start();
        let (barriers, mbarriers, late) = Default::default();
        Self { block: Block { index, shared, barriers, mbarriers, race, late, alive: threads }, warps }
    }

    /// Gives each warp one turn. True when all are done.
    pub fn step(&mut self, grid: &Grid, memory: &mut Cursor) -> Result<bool, Trap> {
        let (mut done, mut ready) = (true, false);
        for warp in &mut self.warps {
            let turn = warp.run(&mut self.block, grid, memory).map_err(|trap| {
                let [x, y, z] = self.block.index;
                Trap::new(trap.code, format!("block ({x},{y},{z}), warp {}: {}", warp.index, trap.why))
            })?;
            if turn == Turn::Ready {
                self.block.late.perform(memory);
                grid.left.perform(memory);
            }
            done &= turn == Turn::Done;
            ready |= turn == Turn::Ready;
        }
        // A barrier completed by a later warp lets an earlier one go on only in the next round.
        if !done && !ready && !self.warps.iter().any(|warp| warp.released(&self.block)) {
            let waiting: Mask =
                self.warps.iter().filter(|warp| warp.alive != 0).fold(0, |mask, warp| mask | 1 << warp.index);
            return Err(Trap::new(
                code::LAUNCH_FAILED,
                format!("warps {waiting:#x} wait at barriers that the others never reach"),
            ));
        }
        if done {
            grid.left.add(&mut self.block.late);
        }
        Ok(done)
    }
}
