//! Atomics on global memory whose old value nobody reads: the block that performs one need not wait for it, so others
//! may see what it does later. PTX ISA 8.10, "Causality order".
//!
//! Here they do see it late: such an operation is performed at the block's next fence for the device, when the block
//! itself comes back to the address, or when a warp's turn is over, since others may be waiting for it; what is left at
//! the end of a block when another's turn is over, or the grid ends. So a kernel that tells others that something is
//! done, and has no fence before, is wrong here as it may be on hardware.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use crate::memory::Cursor;

/// The new value from the old one and the operands.
pub type Update = Arc<dyn Fn(u64, u64, u64) -> u64 + Send + Sync>;

/// An operation that was executed and not performed.
pub struct Late {
    pub address: u64,
    pub size: usize,
    pub update: Update,
    pub operands: [u64; 2],
}

/// Replaces a value of 4 or 8 bytes by a function of it. Returns the old one.
///
/// # Safety
/// The address is aligned and inside a live allocation.
pub unsafe fn replace(host: *mut u8, size: usize, f: impl Fn(u64) -> u64) -> u64 {
    // SAFETY: the caller's promise.
    unsafe {
        if size == 4 {
            let word = AtomicU32::from_ptr(host.cast());
            let old = word.fetch_update(Ordering::AcqRel, Ordering::Acquire, |old| Some(f(old.into()) as u32));
            old.unwrap_or_default().into()
        } else {
            let word = AtomicU64::from_ptr(host.cast());
            word.fetch_update(Ordering::AcqRel, Ordering::Acquire, |old| Some(f(old))).unwrap_or_default()
        }
    }
}

/// Operations in their order.
#[derive(Default)]
pub struct Queue {
    operations: Vec<Late>,
    /// All their addresses lie between these.
    low: u64,
    high: u64,
}

impl Queue {
    pub fn add(&mut self, late: Late) {
        let (start, end) = (late.address, late.address + late.size as u64);
        let none = self.operations.is_empty();
        (self.low, self.high) = if none { (start, end) } else { (self.low.min(start), self.high.max(end)) };
        self.operations.push(late);
    }

    /// Whether one of them is for some of these bytes.
    #[inline]
    pub fn reaches(&self, address: u64, size: usize) -> bool {
        let end = address.saturating_add(size as u64);
        let reaches = |late: &Late| late.address < end && address < late.address + late.size as u64;
        !self.operations.is_empty() && address < self.high && end > self.low && self.operations.iter().any(reaches)
    }

    pub fn perform(&mut self, memory: &mut Cursor) {
        for Late { address, size, update, operands: [b, c] } in self.operations.drain(..) {
            // It was looked up when it was executed; what has been freed since is nobody's.
            if let Some(host) = memory.find(address, size as u64) {
                // SAFETY: its alignment was checked when it was executed, and `find` gave as many bytes.
                unsafe { replace(host, size, |old| update(old, b, c)) };
            }
        }
    }
}

/// Those of blocks that are done.
#[derive(Default)]
pub struct Left(Mutex<Queue>);

impl Left {
    pub fn add(&self, late: &mut Queue) {
        if !late.operations.is_empty() {
            let mut left = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            late.operations.drain(..).for_each(|operation| left.add(operation));
        }
    }

    pub fn perform(&self, memory: &mut Cursor) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).perform(memory);
    }
}
