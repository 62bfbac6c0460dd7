//! `embed`: the rows of a table that tokens name.

use super::stored::{LANES, Stored, array, holds, load, part, size_of, start, store, whole, with_stored};
use super::{Kernel, Value, every_set, require};
use crate::device::cpu::pool::Place;

pub(super) static KERNEL: Kernel = Kernel { id: "embed", check, variants: every_set!(run) };

fn check(args: &[Value]) -> Result<(), String> {
    let fits = match args {
        [
            Value::Buffer(tokens),
            Value::Buffer(table),
            Value::Buffer(positions),
            Value::Buffer(out),
            Value::U64(rows),
            Value::U64(width),
            Value::U64(position),
            Value::U32(precision),
            Value::U32(learned @ (0 | 1)),
        ] => {
            let row = |count: u64, buffer| holds(buffer, &[count, *width], *precision);
            *rows <= tokens.word_count()
                && *width > 0
                && width.is_multiple_of(8)
                && row(1, table)
                && row(*rows, out)
                && (*learned == 0 || position.checked_add(1).is_some_and(|rows| row(rows, positions)))
        }
        _ => false,
    };
    require(
        fits,
        "embed(tokens, table, positions, out, rows: U64, width: U64 of a multiple of 8, position: U64, precision: U32 of 1, \
         3, 5, learned: U32 of 0, 1) with buffers that hold them",
    )
}

#[inline(always)]
unsafe fn run(args: &[Value], place: Place<'_>) {
    // SAFETY: passed on.
    unsafe { with_stored!(whole(args, 7) as u32, rows[], args, place) }
}

#[inline(always)]
unsafe fn rows<S: Stored>(args: &[Value], place: Place<'_>) {
    let tokens = start::<u32>(args, 0);
    let [width, position, learned] = [5, 6, 8].map(|index| whole(args, index));
    let (table, positions, out) = (start::<S::Bits>(args, 1), start::<S::Bits>(args, 2), start::<S::Bits>(args, 3));
    let Some(Value::Buffer(span)) = args.get(1) else { return };
    let last = span.len / (width * size_of(whole(args, 7) as u32).unwrap_or(4) as usize) - 1;
    // SAFETY: the check held rows and positions against their buffers; a token past the table is read as its last row.
    unsafe {
        for row in part(whole(args, 4), place) {
            let from = table.add((tokens.add(row).read() as usize).min(last) * width);
            let to = out.add(row * width);
            if learned == 0 {
                to.copy_from_nonoverlapping(from, width);
            } else {
                let place = positions.add(position * width);
                for at in (0..width).step_by(LANES) {
                    let (row, place) = (load::<S>(from.add(at)), load::<S>(place.add(at)));
                    store::<S>(array(|lane| row[lane] + place[lane]), to.add(at));
                }
            }
        }
    }
}
