//! Sums of products, in `f64`.

use std::ops::Range;

/// Columns of the result that are kept at hand, and rows that go over them at once.
const COLUMNS: usize = 256;
const ROWS: usize = 4;

/// `left` (rows of `k`) times `right` (`k` rows of `columns`) over a part of `k`: rows of `columns` sums.
pub fn multiply(left: &[f64], right: &[f64], k: usize, columns: usize, part: Range<usize>) -> Vec<f64> {
    let rows = left.len() / k;
    let mut sums = vec![0.0; rows * columns];
    for first in (0..columns).step_by(COLUMNS) {
        let span = first..columns.min(first + COLUMNS);
        for (band, sums) in sums.chunks_mut(ROWS * columns).enumerate() {
            let left = &left[band * ROWS * k..];
            for at in part.clone() {
                let right = &right[at * columns..][span.clone()];
                for (row, sums) in sums.chunks_mut(columns).enumerate() {
                    let factor = left[row * k + at];
                    for (sum, value) in sums[span.clone()].iter_mut().zip(right) {
                        *sum += factor * value;
                    }
                }
            }
        }
    }
    sums
}

/// The parts of `k`: as equal as they can be.
pub fn parts(k: usize, count: usize) -> impl Iterator<Item = Range<usize>> {
    (0..count).map(move |part| part * k / count..(part + 1) * k / count)
}
