//! Launches of many like rows, cut where a binding ends.

use std::ops::Range;

use super::{ALIGNMENT, Binding, Facts};
use crate::device::DeviceError;
use crate::units::ByteCount;

/// Rows that one dispatch works on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Band {
    /// Rows before them.
    pub first: u64,
    /// How many.
    pub count: u64,
}

impl Band {
    /// The binding of these rows in an argument that has so many bytes to a row.
    pub fn of(&self, argument: usize, row_bytes: u64) -> Binding {
        span(argument, self.first * row_bytes..(self.first + self.count) * row_bytes)
    }
}

/// The binding of a part of an argument that starts on the alignment.
pub(super) fn span(argument: usize, bytes: Range<u64>) -> Binding {
    let end = bytes.end.next_multiple_of(ALIGNMENT).max(bytes.start + ALIGNMENT);
    Binding { number: argument as u32 + 1, argument, bytes: bytes.start..end }
}

/// Cuts rows into bands of at most `most` rows whose bindings fit and start on the alignment. `row_bytes` are those of a row
/// in each argument that is cut.
///
/// # Errors
///
/// `Unsupported`, where not even the fewest rows that can be cut off fit a binding.
pub(super) fn bands(rows: u64, row_bytes: &[u64], most: u64, facts: &Facts) -> Result<Vec<Band>, DeviceError> {
    let longest = row_bytes.iter().copied().max().unwrap_or(1).max(1);
    let most = most.min(facts.binding / longest);
    // The power of two that every argument's rows must be taken by.
    let aligned = row_bytes.iter().map(|bytes| ALIGNMENT >> bytes.trailing_zeros().min(8)).max().unwrap_or(1);
    let step = if most >= rows { rows.max(1) } else { most / aligned * aligned };
    if step == 0 {
        let [asked, limit] = [longest * aligned.min(rows), facts.binding].map(ByteCount);
        return Err(DeviceError::Unsupported(format!(
            "rows of {asked} do not fit one binding, which on this device is at most {limit}"
        )));
    }
    Ok((0..rows).step_by(step as usize).map(|first| Band { first, count: step.min(rows - first) }).collect())
}

#[cfg(test)]
mod tests {
    use super::super::tests::facts;
    use super::*;

    #[test]
    fn bands_cover_every_row_once_and_start_on_the_alignment() {
        for rows in [1, 2, 15, 16, 17, 100, 4096] {
            for row_bytes in [[16, 16], [48, 8], [256, 128], [264, 1024]] {
                for most in [64, 65_535] {
                    let bands = bands(rows, &row_bytes, most, &facts(1 << 17)).unwrap();
                    let mut next = 0;
                    for band in &bands {
                        assert_eq!(band.first, next);
                        assert!(band.count > 0 && band.count <= most);
                        for bytes in row_bytes {
                            let binding = band.of(2, bytes);
                            assert_eq!((binding.number, binding.bytes.start % ALIGNMENT), (3, 0), "{rows} {bytes}");
                            assert!(binding.bytes.end >= (band.first + band.count) * bytes);
                            assert!(binding.bytes.end - binding.bytes.start <= 1 << 17);
                        }
                        next += band.count;
                    }
                    assert_eq!(next, rows);
                }
            }
        }
        assert!(matches!(bands(64, &[8, 4096], 64, &facts(4096)), Err(DeviceError::Unsupported(_))));
    }
}
