//! Products of many rows: both operands are packed as lanes, in the order a register-sized product reads them: a block of
//! a, which stays in the second cache, and strips of b, each in the first (K. Goto, R. van de Geijn, "Anatomy of
//! High-Performance Matrix Multiplication", 2008).
//!
//! A strip is packed piece by piece while the one before it is multiplied: b comes from memory, and its rows often lie a
//! power of two apart, so that few of them fit the caches at a time.

use std::ops::Range;

use super::cut::Cut;
use super::lanes::{LANES_MOST, Lanes};
use super::narrow::{Memory, Task};
use crate::device::cpu::format::Format;
use crate::device::cpu::pool::Place;

/// Lanes along k of a block. One strip of b then takes 24 KiB at most.
const DEPTH: usize = 128;
/// Rows of a block: a multiple of every register tile's.
const HEIGHT: usize = 96;
/// Columns of a block: a multiple of every register tile's, which have up to three registers of up to sixteen lanes.
/// Many more than rows, as a number of a takes longer to pack than one of b. All of it fits a second cache of 1 MiB.
const WIDTH: usize = 960;
/// Columns of the widest strip.
const STRIP: usize = 3 * LANES_MOST;

/// Words that a worker needs: a block of a, two strips of b, a block of sums.
pub(super) const SCRATCH: usize = DEPTH * HEIGHT + 2 * DEPTH * STRIP + HEIGHT * WIDTH;

/// Numbers of 16 bits in a cache line.
const LINE: usize = 32;

/// A part of one dimension.
#[derive(Clone, Copy)]
struct Part {
    start: usize,
    count: usize,
}

/// A worker's tile of c by products of `ROWS` rows and `REGISTERS` registers of columns.
///
/// # Safety
/// As for the product, and the processor must have the instructions.
#[inline(always)]
pub(super) unsafe fn run<L: Lanes, F: Format, const ROWS: usize, const REGISTERS: usize>(
    task: &Task,
    cut: Cut,
    memory: Memory<'_>,
    place: Place<'_>,
) {
    let [row, rows, column, columns] = cut.tile([task.m, task.n], place);
    let mut top = 0;
    while top < rows {
        let height = Part { start: row + top, count: HEIGHT.min(rows - top) };
        let mut left = 0;
        while left < columns {
            let width = Part { start: column + left, count: WIDTH.min(columns - left) };
            // SAFETY: the block lies within this worker's tile.
            unsafe { block::<L, F, ROWS, REGISTERS>(task, height, width, memory, place) };
            left += WIDTH;
        }
        top += HEIGHT;
    }
}

/// One block of c, over all k's.
#[inline(always)]
unsafe fn block<L: Lanes, F: Format, const ROWS: usize, const REGISTERS: usize>(
    task: &Task,
    height: Part,
    width: Part,
    memory: Memory<'_>,
    place: Place<'_>,
) {
    let wide = REGISTERS * L::COUNT;
    let pieces = height.count.div_ceil(ROWS);
    // The strip at some columns of the block and the k's from `first`; `None` past the last.
    let strip = |first: usize, left: usize| Strip {
        depth: Part { start: first, count: (DEPTH * L::DEPTH).min(task.k - first) },
        width: Part { start: width.start + left, count: wide.min(width.count - left) },
        wide,
    };
    // SAFETY: as for `run`; scratch is as large as `SCRATCH` says.
    unsafe {
        let a = memory.scratch.of(place.index);
        let mut strips = [a.add(DEPTH * HEIGHT), a.add(DEPTH * HEIGHT + DEPTH * STRIP)];
        let sums = a.add(DEPTH * HEIGHT + 2 * DEPTH * STRIP);
        for at in (0..height.count.next_multiple_of(ROWS) * WIDTH).step_by(L::COUNT) {
            L::splat(0).store(sums.add(at));
        }
        let mut now = strip(0, 0);
        now.pack::<L, F>(task, now.piece::<L>(0, 1), memory.b, strips[0]);
        let (mut first, mut left) = (0, 0);
        while first < task.k {
            if left == 0 {
                pack_a::<L, F, ROWS>(task, height, now.depth, memory.a, a);
            }
            let at = left;
            (first, left) = if left + wide < width.count { (first, left + wide) } else { (first + now.depth.count, 0) };
            let next = (first < task.k).then(|| strip(first, left));
            let steps = now.depth.count / L::DEPTH;
            for piece in 0..pieces {
                if let Some(next) = &next {
                    next.ask::<L>(task, next.piece::<L>(piece, pieces), memory.b);
                }
                let top = piece * ROWS;
                tile::<L, ROWS, REGISTERS>(steps, a.add(top * steps), strips[0], sums.add(top * WIDTH + at));
                if let Some(next) = &next {
                    next.pack::<L, F>(task, next.piece::<L>(piece, pieces), memory.b, strips[1]);
                }
            }
            strips.swap(0, 1);
            now = next.unwrap_or(now);
        }
        for row in 0..height.count {
            for column in 0..width.count {
                let sum = f32::from_bits(sums.add(row * WIDTH + column).read());
                let at = (height.start + row) * task.n + width.start + column;
                memory.c.add(at).write(F::narrow(sum));
            }
        }
    }
}

/// Adds the product of a strip of a and one of b to a tile of sums, which is kept in registers.
#[inline(always)]
unsafe fn tile<L: Lanes, const ROWS: usize, const REGISTERS: usize>(
    steps: usize,
    mut a: *const u32,
    mut b: *const u32,
    to: *mut u32,
) {
    // SAFETY: strips are `steps` long, and the sums have whole tiles.
    unsafe {
        let mut sums = [[L::splat(0); REGISTERS]; ROWS];
        for _ in 0..steps {
            let mut columns = [L::splat(0); REGISTERS];
            for (index, column) in columns.iter_mut().enumerate() {
                *column = L::load(b.add(index * L::COUNT));
            }
            for (row, sums) in sums.iter_mut().enumerate() {
                let factor = L::splat(a.add(row).read());
                for (sum, column) in sums.iter_mut().zip(&columns) {
                    *sum = sum.multiply_add(factor, *column);
                }
            }
            a = a.add(ROWS);
            b = b.add(REGISTERS * L::COUNT);
        }
        for (row, sums) in sums.iter().enumerate() {
            for (index, sum) in sums.iter().enumerate() {
                let to = to.add(row * WIDTH + index * L::COUNT);
                L::load(to).add(*sum).store(to);
            }
        }
    }
}

/// Strips of `ROWS` rows, the rows of a step side by side; zeros past the last row.
#[inline(always)]
unsafe fn pack_a<L: Lanes, F: Format, const ROWS: usize>(
    task: &Task,
    height: Part,
    depth: Part,
    a: *const u16,
    to: *mut u32,
) {
    let steps = depth.count / L::DEPTH;
    // SAFETY: reads within the part of a; writes whole strips of scratch.
    unsafe {
        for top in (0..height.count).step_by(ROWS) {
            let strip = to.add(top * steps);
            for row in 0..ROWS {
                if top + row >= height.count {
                    for step in 0..steps {
                        strip.add(step * ROWS + row).write(0);
                    }
                    continue;
                }
                let from = a.add((height.start + top + row) * task.k + depth.start);
                let mut step = 0;
                while step + L::COUNT <= steps {
                    let mut lanes = [0_u32; LANES_MOST];
                    L::along::<F>(from.add(step * L::DEPTH)).store(lanes.as_mut_ptr());
                    for (index, lane) in lanes.iter().enumerate().take(L::COUNT) {
                        strip.add((step + index) * ROWS + row).write(*lane);
                    }
                    step += L::COUNT;
                }
                for step in step..steps {
                    let number = from.add(step * L::DEPTH);
                    let lane = L::lane::<F>(number.read(), number.add(L::DEPTH - 1).read());
                    strip.add(step * ROWS + row).write(lane);
                }
            }
        }
    }
}

/// A strip of b: as many columns as a register tile has, or what is left of them, over the k's of a block.
#[derive(Clone, Copy)]
struct Strip {
    depth: Part,
    width: Part,
    /// Columns of a register tile.
    wide: usize,
}

impl Strip {
    /// Steps of the `index`-th of so many pieces.
    #[inline(always)]
    fn piece<L: Lanes>(&self, index: usize, pieces: usize) -> Range<usize> {
        let steps = self.depth.count / L::DEPTH;
        steps * index / pieces..steps * (index + 1) / pieces
    }

    /// Asks memory for some steps.
    #[inline(always)]
    unsafe fn ask<L: Lanes>(&self, task: &Task, steps: Range<usize>, b: *const u16) {
        let first = self.depth.start + steps.start * L::DEPTH;
        let count = (steps.end - steps.start) * L::DEPTH;
        // Lines along which the numbers lie side by side, and numbers of each.
        let (lines, across) = match task.b_transposed {
            false => (first..first + count, [self.width.start, self.width.count]),
            true => (self.width.start..self.width.start + self.width.count, [first, count]),
        };
        let row = if task.b_transposed { task.k } else { task.n };
        // SAFETY: hints, within b.
        unsafe {
            for line in lines {
                for at in (0..across[1]).step_by(LINE) {
                    L::prefetch(b.add(line * row + across[0] + at));
                }
                L::prefetch(b.add(line * row + across[0] + across[1].saturating_sub(1)));
            }
        }
    }

    /// Packs some steps, the columns of a step side by side; zeros past the last column.
    #[inline(always)]
    unsafe fn pack<L: Lanes, F: Format>(&self, task: &Task, steps: Range<usize>, b: *const u16, to: *mut u32) {
        // SAFETY: passed on.
        unsafe {
            match task.b_transposed {
                false => self.pack_rows::<L, F>(task, steps, b, to),
                true => self.pack_columns::<L, F>(task, steps, b, to),
            }
        }
    }

    #[inline(always)]
    unsafe fn pack_rows<L: Lanes, F: Format>(&self, task: &Task, steps: Range<usize>, b: *const u16, to: *mut u32) {
        // SAFETY: reads within the part of b, or from a copy of its end; writes within the strip's scratch.
        unsafe {
            for step in steps {
                let from = b.add((self.depth.start + step * L::DEPTH) * task.n + self.width.start);
                for column in (0..self.wide).step_by(L::COUNT) {
                    let to = to.add(step * self.wide + column);
                    let left = self.width.count.saturating_sub(column).min(L::COUNT);
                    if left == L::COUNT {
                        L::across::<F>(from.add(column), task.n).store(to);
                        continue;
                    }
                    let mut rest = [[0_u16; LANES_MOST]; 2];
                    for (row, rest) in rest.iter_mut().take(L::DEPTH).enumerate() {
                        for (index, number) in rest.iter_mut().take(left).enumerate() {
                            *number = from.add(row * task.n + column + index).read();
                        }
                    }
                    L::across::<F>(rest.as_ptr().cast(), LANES_MOST).store(to);
                }
            }
        }
    }

    /// The same of a b that is stored by columns.
    #[inline(always)]
    unsafe fn pack_columns<L: Lanes, F: Format>(&self, task: &Task, steps: Range<usize>, b: *const u16, to: *mut u32) {
        // SAFETY: as for `pack_rows`.
        unsafe {
            for column in 0..self.wide {
                let to = to.add(column);
                if column >= self.width.count {
                    for step in steps.clone() {
                        to.add(step * self.wide).write(0);
                    }
                    continue;
                }
                let from = b.add((self.width.start + column) * task.k + self.depth.start);
                for step in steps.clone() {
                    let number = from.add(step * L::DEPTH);
                    let lane = L::lane::<F>(number.read(), number.add(L::DEPTH - 1).read());
                    to.add(step * self.wide).write(lane);
                }
            }
        }
    }
}
