//! Execution of decoded kernels: warps of 32 lanes in lockstep, blocks of warps, grids of blocks.

pub mod block;
pub mod grid;
pub mod late;
pub mod race;
pub mod shared;
pub mod warp;

use crate::memory::Cursor;
use block::Block;
use grid::Grid;
use warp::Warp;

/// One value for each lane of a warp. Narrower values fill the low bits; what lies above them is zero.
pub type Lanes = [u64; 32];
/// One bit for each lane.
pub type Mask = u32;

/// A register of a warp, or a value that is the same for all (a literal, an address), told apart by the top bit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Source(pub u32);

/// A register of a warp.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Register(pub u32);

/// A predicate register of a warp.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Predicate(pub u32);

impl Source {
    const CONSTANT: u32 = 1 << 31;

    /// Whether it is the same for all lanes.
    pub fn is_constant(self) -> bool {
        self.0 & Self::CONSTANT != 0
    }

    pub fn constant(index: usize) -> Self {
        Self(index as u32 | Self::CONSTANT)
    }
}

impl From<Register> for Source {
    fn from(register: Register) -> Self {
        Self(register.0)
    }
}

/// Why a kernel stopped: the driver's code, and what happened.
#[derive(Clone, Debug)]
pub struct Trap {
    pub code: u32,
    pub why: String,
}

impl Trap {
    pub fn new(code: u32, why: impl Into<String>) -> Self {
        Self { code, why: why.into() }
    }
}

/// What follows an instruction.
#[derive(Debug)]
pub enum Flow {
    Next,
    /// The executing lanes go to this instruction.
    Jump(u32),
    /// The executing lanes are done.
    Exit,
    /// The executing lanes wait until the barrier of this number has passed this generation, then go on.
    Barrier(u32, u64),
    /// Not all lanes that this instruction needs are here: the others go first.
    Gather(Mask),
    /// Tried again later, after other warps had their turn.
    Retry,
    /// As `Next`, after other warps had their turn.
    Yield,
}

pub type Step = Result<Flow, Trap>;

/// A decoded instruction.
pub type Run = Box<dyn Fn(&mut Ctx<'_>) -> Step + Send + Sync>;

/// An instruction with its guard.
pub struct Inst {
    pub guard: Option<(Predicate, bool)>,
    pub run: Run,
    /// The index of the opcode's text and the line, for messages.
    pub text: u32,
    pub line: u32,
}

/// What an instruction sees: its warp, its block, its grid, and which lanes execute.
pub struct Ctx<'a> {
    pub warp: &'a mut Warp,
    pub block: &'a mut Block,
    pub grid: &'a Grid,
    pub memory: &'a mut Cursor,
    pub exec: Mask,
}

/// The lanes of a mask, in order.
pub fn lanes(mut mask: Mask) -> impl Iterator<Item = usize> {
    std::iter::from_fn(move || {
        (mask != 0).then(|| {
            let lane = mask.trailing_zeros() as usize;
            mask &= mask - 1;
            lane
        })
    })
}

impl Ctx<'_> {
    pub fn get(&self, source: Source) -> &Lanes {
        if source.0 & Source::CONSTANT == 0 {
            &self.warp.registers[source.0 as usize]
        } else {
            &self.grid.kernel.constants[(source.0 & !Source::CONSTANT) as usize]
        }
    }

    /// Writes the executing lanes.
    pub fn set(&mut self, register: Register, values: &Lanes) {
        let exec = self.exec;
        let to = &mut self.warp.registers[register.0 as usize];
        if exec == !0 {
            *to = *values;
        } else {
            for lane in lanes(exec) {
                to[lane] = values[lane];
            }
        }
    }

    pub fn predicate(&self, predicate: Predicate) -> Mask {
        self.warp.predicates[predicate.0 as usize]
    }

    /// Writes the executing lanes.
    pub fn set_predicate(&mut self, predicate: Predicate, values: Mask) {
        let to = &mut self.warp.predicates[predicate.0 as usize];
        *to = *to & !self.exec | values & self.exec;
    }

    /// A function of one value, for each lane: it is computed for all and kept for those that execute.
    #[inline(always)]
    pub fn map1(&mut self, d: Register, a: Source, f: impl Fn(u64) -> u64) -> Step {
        let a = self.get(a);
        let out = std::array::from_fn(|lane| f(a[lane]));
        self.set(d, &out);
        Ok(Flow::Next)
    }

    /// As `map1`, of two values.
    #[inline(always)]
    pub fn map2(&mut self, d: Register, [a, b]: [Source; 2], f: impl Fn(u64, u64) -> u64) -> Step {
        let (a, b) = (self.get(a), self.get(b));
        let out = std::array::from_fn(|lane| f(a[lane], b[lane]));
        self.set(d, &out);
        Ok(Flow::Next)
    }

    /// As `map1`, of three values.
    #[inline(always)]
    pub fn map3(&mut self, d: Register, [a, b, c]: [Source; 3], f: impl Fn(u64, u64, u64) -> u64) -> Step {
        let (a, b, c) = (self.get(a), self.get(b), self.get(c));
        let out = std::array::from_fn(|lane| f(a[lane], b[lane], c[lane]));
        self.set(d, &out);
        Ok(Flow::Next)
    }

    /// The executing lanes for which a test of two values holds.
    #[inline(always)]
    pub fn test2(&self, [a, b]: [Source; 2], f: impl Fn(u64, u64) -> bool) -> Mask {
        let (a, b) = (self.get(a), self.get(b));
        let mut mask = 0;
        for lane in 0..32 {
            mask |= u32::from(f(a[lane], b[lane])) << lane;
        }
        mask & self.exec
    }

    /// Makes sure that all of `wanted`, as far as it has not exited, executes this together.
    pub fn gather(&self, wanted: Mask) -> Option<Flow> {
        let wanted = wanted & self.warp.alive;
        (self.exec != wanted).then_some(Flow::Gather(wanted))
    }
}
