//! Products of few rows, where reading b is the work: it is read once, in order, and the sums stay in the first cache.

use super::cut::band;
use super::lanes::{LANES_MOST, Lanes};
use super::narrow::{Memory, Method, Task};
use crate::device::cpu::format::Format;
use crate::device::cpu::pool::Place;

/// Sums in the first cache: half of the smallest there is.
const SUMS: usize = 4096;
/// Rows of b, as stored, that are read side by side.
const SIDE_BY_SIDE: usize = 8;

/// Words that a worker needs: a's lanes, and its sums.
pub(super) fn scratch(task: &Task) -> usize {
    let rows = task.m.next_power_of_two();
    let sums = if task.method == Method::Split { rows * task.n.next_multiple_of(SUMS / rows) } else { SUMS };
    lanes_of_a(task, rows) + sums
}

/// Words for a's lanes: rows of whole registers.
fn lanes_of_a(task: &Task, rows: usize) -> usize {
    rows * task.k.next_multiple_of(2 * LANES_MOST)
}

/// A worker's part, with `M` rows: 1, 2, 4 or 8.
///
/// # Safety
/// As for the product, and the processor must have the instructions; the task has `M` rows at most.
#[inline(always)]
pub(super) unsafe fn run<L: Lanes, F: Format, const M: usize>(task: &Task, memory: Memory<'_>, place: Place<'_>) {
    // SAFETY: bands lie within the operands; workers' bands of columns do not overlap, and scratch is as large as
    // `scratch` says.
    unsafe {
        match (task.method, task.b_transposed) {
            (Method::Split, _) => split::<L, F, M>(task, memory, place),
            (_, true) => dots::<L, F, M>(task, memory, place),
            _ => stream::<L, F, M>(task, memory, place),
        }
    }
}

/// A band of columns of c, `SUMS / M` columns at a time.
#[inline(always)]
unsafe fn stream<L: Lanes, F: Format, const M: usize>(task: &Task, memory: Memory<'_>, place: Place<'_>) {
    let (first, columns) = band(task.n, place.index, place.team);
    let own = memory.scratch.of(place.index);
    let width = SUMS / M;
    // SAFETY: as for `run`.
    unsafe {
        let a = own;
        let sums = own.add(lanes_of_a(task, M));
        spread_a::<L, F, M>(task, memory.a, 0, task.k, a);
        let mut at = 0;
        while at < columns {
            let count = width.min(columns - at);
            let column = first + at;
            add_up::<L, F, M>(a, memory.b.add(column), task.n, task.k, count, sums);
            for row in 0..task.m {
                for index in 0..count {
                    let sum = f32::from_bits(sums.add(row * width + index).read());
                    memory.c.add(row * task.n + column + index).write(F::narrow(sum));
                }
            }
            at += count;
        }
    }
}

/// All columns over a band of k's; then, with all workers' sums, a band of columns.
#[inline(always)]
unsafe fn split<L: Lanes, F: Format, const M: usize>(task: &Task, memory: Memory<'_>, place: Place<'_>) {
    let (first, depth) = band(task.k, place.index, place.team);
    let own = memory.scratch.of(place.index);
    let (offset, width) = (lanes_of_a(task, M), SUMS / M);
    // SAFETY: as for `run`; the sums of others are read after all have written them.
    unsafe {
        spread_a::<L, F, M>(task, memory.a, first, depth, own);
        let mut at = 0;
        while at < task.n {
            let count = width.min(task.n - at);
            let b = memory.b.add(first * task.n + at);
            add_up::<L, F, M>(own, b, task.n, depth, count, own.add(offset + at * M));
            at += width;
        }
        place.barrier.wait();
        let (first, columns) = band(task.n, place.index, place.team);
        for row in 0..task.m {
            for column in first..first + columns {
                let at = offset + column / width * SUMS + row * width + column % width;
                let mut sum = 0.0_f32;
                for worker in 0..place.team {
                    sum += f32::from_bits(memory.scratch.of(worker).add(at).read());
                }
                memory.c.add(row * task.n + column).write(F::narrow(sum));
            }
        }
    }
}

/// Lanes of a for `depth` k's from `first` on, as the loops over rows of b take them: the rows of a k side by side.
#[inline(always)]
unsafe fn spread_a<L: Lanes, F: Format, const M: usize>(
    task: &Task,
    a: *const u16,
    first: usize,
    depth: usize,
    to: *mut u32,
) {
    // SAFETY: as for `run`.
    unsafe {
        for at in 0..depth / L::DEPTH {
            for row in 0..M {
                let from = a.add(row.min(task.m - 1) * task.k + first + at * L::DEPTH);
                let lane = L::lane::<F>(from.read(), from.add(L::DEPTH - 1).read());
                to.add(at * M + row).write(if row < task.m { lane } else { 0 });
            }
        }
    }
}

/// Sums over `depth` rows of b, of up to `SUMS / M` columns; row `i` of the sums begins at `i * SUMS / M`.
#[inline(always)]
unsafe fn add_up<L: Lanes, F: Format, const M: usize>(
    a: *const u32,
    b: *const u16,
    stride: usize,
    depth: usize,
    columns: usize,
    sums: *mut u32,
) {
    // SAFETY: as for `run`.
    unsafe {
        for at in (0..SUMS).step_by(L::COUNT) {
            L::splat(0).store(sums.add(at));
        }
        let steps = depth / L::DEPTH;
        let mut at = 0;
        // Fewer rows at a time for more sums: their factors must fit the registers.
        if M <= 2 && L::DEPTH == 1 {
            while at + SIDE_BY_SIDE <= steps {
                add_rows::<L, F, M, SIDE_BY_SIDE>(a.add(at * M), b.add(at * stride), stride, columns, sums);
                at += SIDE_BY_SIDE;
            }
        }
        while at + 4 <= steps {
            add_rows::<L, F, M, 4>(a.add(at * M), b.add(at * L::DEPTH * stride), stride, columns, sums);
            at += 4;
        }
        while at < steps {
            add_rows::<L, F, M, 1>(a.add(at * M), b.add(at * L::DEPTH * stride), stride, columns, sums);
            at += 1;
        }
    }
}

/// Adds `R` lanes' worth of rows of b.
#[inline(always)]
unsafe fn add_rows<L: Lanes, F: Format, const M: usize, const R: usize>(
    a: *const u32,
    b: *const u16,
    stride: usize,
    columns: usize,
    sums: *mut u32,
) {
    // SAFETY: as for `run`; what is past the columns is read from, and kept out of b by, a copy.
    unsafe {
        let mut factors = [[L::splat(0); M]; R];
        for (at, factors) in factors.iter_mut().enumerate() {
            for (row, factor) in factors.iter_mut().enumerate() {
                *factor = L::splat(a.add(at * M + row).read());
            }
        }
        // The same place some rows on: 32 KiB of b before it is needed, as rows are shorter where there are more sums.
        let ahead = (4 * M).max(SIDE_BY_SIDE) * stride;
        let mut column = 0;
        // Two registers of binary32 are a whole line of 16-bit numbers. Rows of a power of two fall on one another's
        // places in the first cache, so a line that is not used up at once may be gone the next time.
        if M <= 4 {
            while column + 2 * L::COUNT <= columns {
                add_columns::<L, F, M, R, 2>(&factors, b.add(column), stride, ahead, sums.add(column));
                column += 2 * L::COUNT;
            }
        }
        while column + L::COUNT <= columns {
            add_columns::<L, F, M, R, 1>(&factors, b.add(column), stride, ahead, sums.add(column));
            column += L::COUNT;
        }
        if column < columns {
            let mut rest = [[0_u16; LANES_MOST]; SIDE_BY_SIDE];
            for (row, rest) in rest.iter_mut().take(R * L::DEPTH).enumerate() {
                for (index, number) in rest.iter_mut().take(columns - column).enumerate() {
                    *number = b.add(row * stride + column + index).read();
                }
            }
            add_columns::<L, F, M, R, 1>(&factors, rest.as_ptr().cast(), LANES_MOST, 0, sums.add(column));
        }
    }
}

/// The same for `W` registers of columns.
#[inline(always)]
unsafe fn add_columns<L: Lanes, F: Format, const M: usize, const R: usize, const W: usize>(
    factors: &[[L; M]; R],
    b: *const u16,
    stride: usize,
    ahead: usize,
    sums: *mut u32,
) {
    // SAFETY: as for `run`.
    unsafe {
        let mut held = [[L::splat(0); W]; M];
        for (row, held) in held.iter_mut().enumerate() {
            for (index, held) in held.iter_mut().enumerate() {
                *held = L::load(sums.add(row * (SUMS / M) + index * L::COUNT));
            }
        }
        for (at, factors) in factors.iter().enumerate() {
            let row = b.add(at * L::DEPTH * stride);
            for line in 0..L::DEPTH {
                L::prefetch(row.wrapping_add(ahead + line * stride));
            }
            for index in 0..W {
                let numbers = L::across::<F>(row.add(index * L::COUNT), stride);
                for (held, factor) in held.iter_mut().zip(factors) {
                    held[index] = held[index].multiply_add(*factor, numbers);
                }
            }
        }
        for (row, held) in held.iter().enumerate() {
            for (index, held) in held.iter().enumerate() {
                held.store(sums.add(row * (SUMS / M) + index * L::COUNT));
            }
        }
    }
}

/// A band of columns of c, each the product of every row of a with a row of b as stored.
#[inline(always)]
unsafe fn dots<L: Lanes, F: Format, const M: usize>(task: &Task, memory: Memory<'_>, place: Place<'_>) {
    let (first, columns) = band(task.n, place.index, place.team);
    let a = memory.scratch.of(place.index);
    // SAFETY: as for `run`.
    unsafe {
        let lanes = row_lanes::<L>(task.k);
        for row in 0..M {
            for at in 0..lanes {
                let number = |k: usize| {
                    let real = row < task.m && k < task.k;
                    if real { memory.a.add(row * task.k + k).read() } else { 0 }
                };
                a.add(row * lanes + at).write(L::lane::<F>(number(at * L::DEPTH), number(at * L::DEPTH + 1)));
            }
        }
        let mut at = 0;
        if M <= 4 {
            while at + 4 <= columns {
                dot_rows::<L, F, M, 4>(task, a, memory, first + at);
                at += 4;
            }
        }
        while at + 2 <= columns {
            dot_rows::<L, F, M, 2>(task, a, memory, first + at);
            at += 2;
        }
        while at < columns {
            dot_rows::<L, F, M, 1>(task, a, memory, first + at);
            at += 1;
        }
    }
}

/// Lanes of a row of k's, in whole registers.
#[inline(always)]
fn row_lanes<L: Lanes>(k: usize) -> usize {
    k.div_ceil(L::DEPTH).next_multiple_of(L::COUNT)
}

/// `R` columns of c from `column` on.
#[inline(always)]
unsafe fn dot_rows<L: Lanes, F: Format, const M: usize, const R: usize>(
    task: &Task,
    a: *const u32,
    memory: Memory<'_>,
    column: usize,
) {
    let (lanes, turn) = (row_lanes::<L>(task.k), L::COUNT * L::DEPTH);
    // SAFETY: as for `run`; the k's past the last whole register are read from a copy.
    unsafe {
        let b = memory.b.add(column * task.k);
        let mut sums = [[L::splat(0); M]; R];
        let whole = task.k / turn;
        for at in 0..whole {
            for (index, sums) in sums.iter_mut().enumerate() {
                let from = b.add(index * task.k + at * turn);
                L::prefetch(from.wrapping_add(R * task.k));
                let numbers = L::along::<F>(from);
                for (row, sum) in sums.iter_mut().enumerate() {
                    *sum = sum.multiply_add(L::load(a.add(row * lanes + at * L::COUNT)), numbers);
                }
            }
        }
        let left = task.k - whole * turn;
        if left > 0 {
            for (index, sums) in sums.iter_mut().enumerate() {
                let mut rest = [0_u16; 2 * LANES_MOST];
                for (at, number) in rest.iter_mut().take(left).enumerate() {
                    *number = b.add(index * task.k + whole * turn + at).read();
                }
                let numbers = L::along::<F>(rest.as_ptr());
                for (row, sum) in sums.iter_mut().enumerate() {
                    *sum = sum.multiply_add(L::load(a.add(row * lanes + whole * L::COUNT)), numbers);
                }
            }
        }
        for (index, sums) in sums.iter().enumerate() {
            for (row, sum) in sums.iter().enumerate().take(task.m) {
                memory.c.add(row * task.n + column + index).write(F::narrow(sum.sum()));
            }
        }
    }
}
