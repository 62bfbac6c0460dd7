//! Reading a GPU's buffers: in whole blocks, since checks read in small pieces, one after another.

use super::{BufferId, DeviceError};
use crate::units::ByteCount;

/// Bytes of a block.
pub(super) const BLOCK: u64 = 4 << 20;

/// The last block read, and of which buffer.
#[derive(Default)]
pub(super) struct Readback(Option<(u32, u64, Vec<u8>)>);

impl Readback {
    /// Forgets what was read: the device is about to write.
    pub fn forget(&mut self) {
        self.0 = None;
    }

    /// Reads bytes from an offset. `load` gives a buffer's block at an offset, shorter at the buffer's end.
    pub fn read(
        &mut self,
        from: BufferId,
        at: u64,
        into: &mut [u8],
        mut load: impl FnMut(u64) -> Result<Vec<u8>, DeviceError>,
    ) -> Result<(), DeviceError> {
        let (mut at, mut into) = (at, into);
        while !into.is_empty() {
            let start = at / BLOCK * BLOCK;
            if !self.0.as_ref().is_some_and(|(id, held, _)| (*id, *held) == (from.0, start)) {
                self.0 = Some((from.0, start, load(start)?));
            }
            let held = self.0.as_ref().map_or(&[][..], |(_, _, bytes)| bytes);
            let held = held.get((at - start) as usize..).unwrap_or(&[]);
            let count = held.len().min(into.len());
            if count == 0 {
                let message = format!("buffer {} ends before byte {at}", from.0);
                return Err(DeviceError::Call { call: "read", message });
            }
            let (now, later) = into.split_at_mut(count);
            now.copy_from_slice(&held[..count]);
            (at, into) = (at + count as u64, later);
        }
        Ok(())
    }
}

/// Holds a range against a buffer's size.
pub(super) fn check_range(
    buffer: BufferId,
    size: u64,
    at: ByteCount,
    len: usize,
    call: &'static str,
) -> Result<(), DeviceError> {
    match at.0.checked_add(len as u64) {
        Some(end) if end <= size => Ok(()),
        _ => {
            let message = format!("{len} bytes at {} reach past the {size} bytes of buffer {}", at.0, buffer.0);
            Err(DeviceError::Call { call, message })
        }
    }
}
