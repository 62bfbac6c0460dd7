//! Products of many rows: blocks of both operands are packed as lanes, in the order a register-sized product reads
//! them, and stay in the caches until all of it is done (K. Goto, R. van de Geijn, "Anatomy of High-Performance Matrix
//! Multiplication", 2008).

use super::cut::Cut;
use super::lanes::{LANES_MOST, Lanes};
use super::narrow::{Memory, Task};
use crate::device::cpu::format::Format;
use crate::device::cpu::pool::Place;

/// Lanes along k of a block. One strip of b then takes 24 KiB of the first cache at most.
const DEPTH: usize = 128;
/// Rows of a block: a multiple of every register tile's.
const HEIGHT: usize = 96;
/// Columns of a block: a multiple of every register tile's, which have up to three registers of up to sixteen lanes.
/// Many more than rows, as a number of a takes longer to pack than one of b. All three blocks fit a second cache of
/// 1 MiB.
const WIDTH: usize = 960;

/// Words that a worker needs: a block of a, one of b, one of sums.
pub(super) const SCRATCH: usize = DEPTH * HEIGHT + DEPTH * WIDTH + HEIGHT * WIDTH;

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
    let strip = REGISTERS * L::COUNT;
    // SAFETY: as for `run`; scratch is as large as `SCRATCH` says.
    unsafe {
        let a = memory.scratch.of(place.index);
        let b = a.add(DEPTH * HEIGHT);
        let sums = b.add(DEPTH * WIDTH);
        for at in (0..height.count.next_multiple_of(ROWS) * WIDTH).step_by(L::COUNT) {
            L::splat(0).store(sums.add(at));
        }
        let mut first = 0;
        while first < task.k {
            let depth = Part { start: first, count: (DEPTH * L::DEPTH).min(task.k - first) };
            let steps = depth.count / L::DEPTH;
            pack_a::<L, F, ROWS>(task, height, depth, memory.a, a);
            match task.b_transposed {
                false => pack_b::<L, F>(task, width, depth, strip, memory.b, b),
                true => pack_b_transposed::<L, F>(task, width, depth, strip, memory.b, b),
            }
            first += depth.count;
            for left in (0..width.count).step_by(strip) {
                if !task.b_transposed && first < task.k {
                    // This strip of the next block, while the arithmetic of this one lasts.
                    let rows = (DEPTH * L::DEPTH).min(task.k - first);
                    for row in first..first + rows {
                        L::prefetch(memory.b.add(row * task.n + width.start + left));
                    }
                }
                for top in (0..height.count).step_by(ROWS) {
                    let (a, b) = (a.add(top * steps), b.add(left * steps));
                    tile::<L, ROWS, REGISTERS>(steps, a, b, sums.add(top * WIDTH + left));
                }
            }
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

/// Strips of `strip` columns, the columns of a step side by side; zeros past the last column.
#[inline(always)]
unsafe fn pack_b<L: Lanes, F: Format>(
    task: &Task,
    width: Part,
    depth: Part,
    strip: usize,
    b: *const u16,
    to: *mut u32,
) {
    let steps = depth.count / L::DEPTH;
    // SAFETY: reads within the part of b, or from a copy of its end; writes whole strips of scratch.
    unsafe {
        for step in 0..steps {
            let from = b.add((depth.start + step * L::DEPTH) * task.n + width.start);
            for column in (0..width.count.next_multiple_of(strip)).step_by(L::COUNT) {
                let to = to.add(column / strip * strip * steps + step * strip + column % strip);
                let left = width.count.saturating_sub(column).min(L::COUNT);
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

/// The same for a b that is stored by columns.
#[inline(always)]
unsafe fn pack_b_transposed<L: Lanes, F: Format>(
    task: &Task,
    width: Part,
    depth: Part,
    strip: usize,
    b: *const u16,
    to: *mut u32,
) {
    let steps = depth.count / L::DEPTH;
    // SAFETY: as for `pack_b`.
    unsafe {
        for column in 0..width.count.next_multiple_of(strip) {
            let to = to.add(column / strip * strip * steps + column % strip);
            if column >= width.count {
                for step in 0..steps {
                    to.add(step * strip).write(0);
                }
                continue;
            }
            let from = b.add((width.start + column) * task.k + depth.start);
            for step in 0..steps {
                let number = from.add(step * L::DEPTH);
                let lane = L::lane::<F>(number.read(), number.add(L::DEPTH - 1).read());
                to.add(step * strip).write(lane);
            }
        }
    }
}
