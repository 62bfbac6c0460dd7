//! Products of binary32 and binary64 by the `gemm` crate.
//!
//! Each worker computes its tile with the crate's single-threaded product. The crate's own threads are not used: they
//! are not kept on cores.

use gemm::Parallelism;

use super::Operands;
use super::cut::Cut;
use crate::device::MatmulDesc;
use crate::device::cpu::pool::Place;
use crate::record::Precision;

/// Computes a worker's tile.
///
/// # Safety
/// The operands must be as large as `desc` says, alive, of its one format (`F64` or `F32`), and c used by nobody else.
pub(super) unsafe fn run(desc: &MatmulDesc, cut: Cut, operands: &Operands, place: Place<'_>) {
    // SAFETY: passed on.
    unsafe {
        match desc.a {
            Precision::F64 => tile::<f64>(desc, cut, operands, place, 1.0),
            _ => tile::<f32>(desc, cut, operands, place, 1.0),
        }
    }
}

/// # Safety
/// As for [`run`], and `T` is the format of the operands.
unsafe fn tile<T: Copy + 'static + Default>(
    desc: &MatmulDesc,
    cut: Cut,
    operands: &Operands,
    place: Place<'_>,
    one: T,
) {
    let (n, k) = (desc.n as usize, desc.k as usize);
    let [row, rows, column, columns] = cut.tile([desc.m as usize, n], place);
    if rows == 0 || columns == 0 {
        return;
    }
    let (b_row, b_column) = if desc.b_transposed { (1, k) } else { (n, 1) };
    // SAFETY: all offsets lie within the operands; tiles of different workers do not overlap.
    unsafe {
        let a = operands.a.start.as_ptr().cast::<T>().add(row * k);
        let b = operands.b.start.as_ptr().cast::<T>().add(column * b_column);
        let c = operands.c.start.as_ptr().cast::<T>().add(row * n + column);
        gemm::gemm(
            rows,
            columns,
            k,
            c,
            1,
            n as isize,
            false,
            a,
            1,
            k as isize,
            b,
            b_column as isize,
            b_row as isize,
            T::default(),
            one,
            false,
            false,
            false,
            Parallelism::None,
        );
    }
}
