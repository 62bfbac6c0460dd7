//! A warp: registers of 32 lanes, and groups of lanes that stand at the same instruction.
//!
//! The group furthest behind runs first, so that lanes meet again where branches join; groups that stand at the same
//! instruction become one. A group that spins while others wait gives way after a while, as on hardware since Volta.

use super::block::Block;
use super::grid::Grid;
use super::shared::Copies;
use super::{Ctx, Flow, Lanes, Mask, Trap};
use crate::isa::wgmma::Products;
use crate::memory::Cursor;
use crate::{code, fault};

/// Instructions a warp executes before another has its turn.
const TURN: u32 = 4096;
/// What registers hold before they are written.
const POISON: u64 = 0xFFFF_FFFF;

pub struct Warp {
    pub registers: Vec<Lanes>,
    pub predicates: Vec<Mask>,
    /// Lanes that exist and have not exited.
    pub alive: Mask,
    /// The place of the warp in its block.
    pub index: u32,
    /// The bytes of each lane's local memory, lane by lane.
    pub local: Vec<u8>,
    pub copies: Copies,
    /// Bulk copies out of shared memory.
    pub stores: Copies,
    pub products: Products,
    /// Looks at barriers in shared memory that were in vain.
    pub looks: u32,
    /// Instructions of turns that it used up.
    spent: u64,
    groups: Vec<Group>,
    /// Lanes that ran until the last turn ended.
    behind: Mask,
}

#[derive(Clone, Copy, Debug)]
struct Group {
    pc: u32,
    mask: Mask,
    state: State,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum State {
    Ready,
    /// Waits at a collective for the other lanes it names.
    Parked(Mask),
    /// Waits for a barrier to reach a generation.
    Barrier(u32, u64),
}

/// How a warp's turn ended.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Turn {
    /// It could go on.
    Ready,
    /// It waits at a barrier.
    Waits,
    Done,
}

impl Warp {
    pub fn new(grid: &Grid, index: u32) -> Self {
        let kernel = &grid.kernel;
        Self {
            registers: vec![[POISON; 32]; kernel.registers],
            predicates: vec![!0; kernel.predicates],
            alive: 0,
            index,
            local: vec![0xFF; kernel.local_bytes * 32],
            copies: Copies::default(),
            stores: Copies::default(),
            products: Products::default(),
            looks: 0,
            spent: 0,
            groups: Vec::new(),
            behind: 0,
        }
    }

    /// Puts so many threads at the kernel's beginning.
    pub fn start(&mut self, threads: u32) {
        self.alive = if threads >= 32 { !0 } else { (1 << threads) - 1 };
        self.local.fill(0xFF);
        (self.copies, self.stores, self.products) = Default::default();
        self.groups = vec![Group { pc: 0, mask: self.alive, state: State::Ready }];
        self.behind = 0;
        self.spent = 0;
    }

    /// Runs for one turn.
    pub fn run(&mut self, block: &mut Block, grid: &Grid, memory: &mut Cursor) -> Result<Turn, Trap> {
        let mut left = TURN;
        while let Some(chosen) = self.choose(block)? {
            if let Some(turn) = self.run_group(chosen, &mut left, block, grid, memory)? {
                return Ok(turn);
            }
        }
        Ok(if self.groups.is_empty() { Turn::Done } else { Turn::Waits })
    }

    /// The ready group furthest behind. None if all are done or wait at a barrier.
    fn choose(&mut self, block: &mut Block) -> Result<Option<usize>, Trap> {
        for group in &mut self.groups {
            if let State::Barrier(id, generation) = group.state
                && block.barriers[id as usize].generation > generation
            {
                *group = Group { pc: group.pc + 1, mask: group.mask, state: State::Ready };
                block.race.barrier_passed(self.index, id);
            }
        }
        self.merge();
        let ready = self.groups.iter().enumerate().filter(|(_, group)| group.state == State::Ready);
        let order = |group: &Group| (group.mask & self.behind != 0, group.pc);
        let chosen = ready.min_by_key(|(_, group)| order(group)).map(|(index, _)| index);
        if chosen.is_none()
            && let Some((wanted, here)) = self.groups.iter().find_map(|group| match group.state {
                State::Parked(wanted) => Some((wanted, group.mask)),
                _ => None,
            })
        {
            return Err(Trap::new(
                code::LAUNCH_FAILED,
                format!(
                    "divergent collective: lanes {wanted:#010x} are to execute it together, only {here:#010x} came"
                ),
            ));
        }
        Ok(chosen)
    }

    /// Makes one group of those that stand at the same instruction.
    fn merge(&mut self) {
        let mut index = 0;
        while index < self.groups.len() {
            let group = self.groups[index];
            let same = |other: &Group| {
                other.pc == group.pc
                    && !matches!(other.state, State::Barrier(..))
                    && !matches!(group.state, State::Barrier(..))
            };
            if let Some(other) = (index + 1..self.groups.len()).find(|other| same(&self.groups[*other])) {
                let other = self.groups.swap_remove(other);
                // A parked group that met others tries again.
                self.groups[index] = Group { pc: group.pc, mask: group.mask | other.mask, state: State::Ready };
            } else {
                index += 1;
            }
        }
    }

    /// Runs a group until it ends, waits, meets another or another is behind it. Some: the warp's turn is over.
    fn run_group(
        &mut self,
        chosen: usize,
        left: &mut u32,
        block: &mut Block,
        grid: &Grid,
        memory: &mut Cursor,
    ) -> Result<Option<Turn>, Trap> {
        let code = &grid.kernel.code;
        let Group { mut pc, mask, .. } = self.groups.swap_remove(chosen);
        // Up to here no other group is met or passed.
        let limit = self.groups.iter().map(|group| group.pc).filter(|other| *other > pc).min().unwrap_or(u32::MAX);
        loop {
            if *left == 0 {
                self.spent += u64::from(TURN);
                if self.spent > fault::timeout() {
                    return Err(Trap::new(code::LAUNCH_TIMEOUT, "more instructions than the watchdog allows"));
                }
                return Ok(self.give_way(&[Group { pc, mask, state: State::Ready }]));
            }
            *left -= 1;
            let Some(inst) = code.get(pc as usize) else {
                return Err(Trap::new(code::INVALID_PC, "ran past the end of the kernel"));
            };
            let exec = match inst.guard {
                None => mask,
                Some((predicate, negated)) => {
                    let value = self.predicates[predicate.0 as usize];
                    mask & if negated { !value } else { value }
                }
            };
            if exec == 0 {
                pc += 1;
            } else {
                let mut ctx = Ctx { warp: self, block, grid, memory, exec };
                let flow = (inst.run)(&mut ctx).map_err(|trap| {
                    let text = &grid.kernel.texts[inst.text as usize];
                    Trap::new(trap.code, format!("{}: '{text}' (PTX line {})", trap.why, inst.line))
                })?;
                if let Flow::Next = flow {
                    pc += 1;
                } else {
                    let rest = Group { pc: pc + 1, mask: mask & !exec, state: State::Ready };
                    let mine = |pc, state| Group { pc, mask: exec, state };
                    match flow {
                        Flow::Jump(target)
                            if exec == mask && target < limit && self.groups.iter().all(|other| other.pc > pc) =>
                        {
                            pc = target;
                            continue;
                        }
                        Flow::Jump(target) => self.split(&[mine(target, State::Ready), rest]),
                        Flow::Exit => {
                            self.alive &= !exec;
                            block.exited(exec.count_ones());
                            self.split(&[rest]);
                        }
                        Flow::Barrier(id, generation) => {
                            self.split(&[mine(pc, State::Barrier(id, generation)), rest]);
                        }
                        Flow::Gather(wanted) => self.split(&[mine(pc, State::Parked(wanted)), rest]),
                        Flow::Retry => {
                            return Ok(self.give_way(&[mine(pc, State::Ready), rest]));
                        }
                        Flow::Yield => {
                            return Ok(self.give_way(&[mine(pc + 1, State::Ready), rest]));
                        }
                        Flow::Next => {}
                    }
                    return Ok(None);
                }
            }
            if pc >= limit {
                self.split(&[Group { pc, mask, state: State::Ready }]);
                return Ok(None);
            }
        }
    }

    fn split(&mut self, groups: &[Group]) {
        self.groups.extend(groups.iter().filter(|group| group.mask != 0));
    }

    /// Ends a turn: the lanes that ran may spin for the others, so those go first in the next one.
    fn give_way(&mut self, groups: &[Group]) -> Option<Turn> {
        self.behind = groups[0].mask;
        self.split(groups);
        Some(Turn::Ready)
    }
}

impl Warp {
    /// Whether a barrier it waits at has been completed.
    pub fn released(&self, block: &Block) -> bool {
        self.groups.iter().any(|group| match group.state {
            State::Barrier(id, generation) => block.barriers[id as usize].generation > generation,
            _ => false,
        })
    }
}
