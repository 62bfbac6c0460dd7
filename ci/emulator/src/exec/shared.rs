//! Shared memory as instructions see it: bounds, races, and copies that have been started but not waited for.

use super::block::SHARED_BASE;
use super::race::Proxy;
use super::{Ctx, Trap};
use crate::code;

/// Copies a warp's lanes have started. PTX ISA 9.7.9 `cp.async`.
#[derive(Default)]
pub struct Copies {
    /// For each lane: groups committed, oldest first, then the one still open.
    lanes: Vec<Lane>,
}

#[derive(Clone, Default)]
struct Lane {
    committed: std::collections::VecDeque<Vec<Copy>>,
    open: Vec<Copy>,
}

/// One copy of up to 16 bytes from global to shared memory; what the source lacks is zero.
#[derive(Clone, Copy)]
pub struct Copy {
    pub to: u64,
    pub from: u64,
    pub size: usize,
    pub source_size: usize,
}

impl Copies {
    fn lane(&mut self, lane: usize) -> &mut Lane {
        if self.lanes.is_empty() {
            self.lanes = vec![Lane::default(); 32];
        }
        &mut self.lanes[lane]
    }

    pub fn start(&mut self, lane: usize, copy: Copy) {
        self.lane(lane).open.push(copy);
    }

    pub fn commit(&mut self, lane: usize) {
        let lane = self.lane(lane);
        let group = std::mem::take(&mut lane.open);
        lane.committed.push_back(group);
    }

    /// Takes the copies that must be complete when at most `pending` groups may still be under way.
    pub fn wait(&mut self, lane: usize, pending: usize) -> Vec<Copy> {
        let lane = self.lane(lane);
        let done = lane.committed.len().saturating_sub(pending);
        lane.committed.drain(..done).flatten().collect()
    }

    /// Takes all copies, committed or not.
    pub fn wait_all(&mut self, lane: usize) -> Vec<Copy> {
        let mut copies = self.wait(lane, 0);
        copies.append(&mut self.lane(lane).open);
        copies
    }
}

impl Ctx<'_> {
    /// The place of shared bytes, after a look at bounds and alignment.
    pub fn shared_at(&self, address: u64, size: usize, align: usize) -> Result<usize, Trap> {
        if !address.is_multiple_of(align as u64) {
            return Err(misaligned("shared", address, align));
        }
        let at = address.wrapping_sub(SHARED_BASE) as usize;
        match at.checked_add(size) {
            Some(end) if end <= self.block.shared.len() => Ok(at),
            _ => Err(Trap::new(
                code::ILLEGAL_ADDRESS,
                format!("shared address {address:#x} is outside the block's {} bytes", self.block.shared.len()),
            )),
        }
    }

    /// Reads shared bytes; a race is an error.
    pub fn read_shared(&mut self, address: u64, size: usize, align: usize) -> Result<[u8; 16], Trap> {
        let at = self.shared_at(address, size, align)?;
        let raced = self.block.race.read(self.warp.index, at, size, Proxy::Generic);
        raced.map_err(|why| Trap::new(code::LAUNCH_FAILED, why))?;
        let mut bytes = [0; 16];
        bytes[..size].copy_from_slice(&self.block.shared[at..at + size]);
        Ok(bytes)
    }

    /// Writes shared bytes; a race is an error.
    pub fn write_shared(&mut self, address: u64, bytes: &[u8], align: usize) -> Result<(), Trap> {
        let at = self.shared_at(address, bytes.len(), align)?;
        let raced = self.block.race.write(self.warp.index, at, bytes.len(), Proxy::Generic);
        raced.map_err(|why| Trap::new(code::LAUNCH_FAILED, why))?;
        self.block.shared[at..at + bytes.len()].copy_from_slice(bytes);
        Ok(())
    }
}

/// The error of an address that is no multiple of what is accessed there.
pub fn misaligned(space: &str, address: u64, align: usize) -> Trap {
    Trap::new(code::MISALIGNED_ADDRESS, format!("{space} address {address:#x} is no multiple of {align}"))
}
