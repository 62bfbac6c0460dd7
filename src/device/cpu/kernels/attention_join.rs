//! `attention_join`: the bands of `attention` together.

use super::stored::{F32, Stored, exp, holds, part, start, whole, with_stored};
use super::{Kernel, Value, every_set, require};
use crate::device::cpu::pool::Place;

pub(super) static KERNEL: Kernel = Kernel { id: "attention_join", check, variants: every_set!(run) };

fn check(args: &[Value]) -> Result<(), String> {
    let fits = match args {
        [
            Value::Buffer(parts),
            Value::Buffer(out),
            Value::U64(rows),
            Value::U64(heads),
            Value::U64(head_dim),
            Value::U64(splits),
            Value::U32(precision),
        ] => {
            *splits > 0
                && (8..=super::attention::DIM_MOST as u64).contains(head_dim)
                && head_dim.is_multiple_of(8)
                && holds(out, &[*rows, *heads, *head_dim], *precision)
                && holds(parts, &[*rows, *heads, *splits, *head_dim + 2], F32)
        }
        _ => false,
    };
    require(
        fits,
        "attention_join(parts, out, rows: U64, heads: U64, head_dim: U64 of a multiple of 8 up to 256, splits: U64, \
         precision: U32 of 1, 3, 5) with buffers that hold them",
    )
}

#[inline(always)]
unsafe fn run(args: &[Value], place: Place<'_>) {
    // SAFETY: passed on.
    unsafe { with_stored!(whole(args, 6) as u32, heads[], args, place) }
}

#[inline(always)]
unsafe fn heads<S: Stored>(args: &[Value], place: Place<'_>) {
    let (parts, out) = (start::<f32>(args, 0), start::<S::Bits>(args, 1));
    let [rows, heads, head_dim, splits] = [2, 3, 4, 5].map(|index| whole(args, index));
    // SAFETY: the check held the buffers against the shape.
    unsafe {
        for head in part(rows * heads, place) {
            let band = |index: usize| parts.add((head * splits + index) * (head_dim + 2));
            let most = (0..splits).map(|index| band(index).read()).fold(f32::NEG_INFINITY, f32::max);
            let (mut sum, mut values) = (0.0, [0.0_f32; super::attention::DIM_MOST]);
            for index in 0..splits {
                let band = band(index);
                let factor = exp(band.read() - most);
                sum += factor * band.add(1).read();
                for (at, value) in values.iter_mut().enumerate().take(head_dim) {
                    // An empty band's numbers are zeros.
                    *value += factor * band.add(2 + at).read();
                }
            }
            for (at, value) in values.iter().enumerate().take(head_dim) {
                out.add(head * head_dim + at).write(S::narrow(value / sum));
            }
        }
    }
}
