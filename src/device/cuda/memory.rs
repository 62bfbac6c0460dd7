//! Buffers: allocation, and bytes in and out.

use std::collections::BTreeMap;

use cudarc::driver::sys::{self, CUdeviceptr, CUresult};

use super::driver::{Failed, call};
use super::handles::{Context, DeviceMemory, PinnedMemory};
use super::peers::{PeerMemory, Peers};
use crate::device::readback::{BLOCK, Readback, check_range};
use crate::device::{BufferId, DeviceError, Pattern, Place};
use crate::units::ByteCount;

/// Buffers are whole multiples of this: kernels go through memory in packs of 16 bytes.
const GRAIN: u64 = 256;

/// Where a buffer is.
pub(super) enum Storage {
    Device(DeviceMemory),
    Pinned(PinnedMemory),
    Pageable(Vec<u8>),
    Peer(PeerMemory),
}

/// A buffer.
pub(super) struct Buffer {
    /// Bytes asked for.
    pub size: u64,
    /// Bytes it has.
    pub padded: u64,
    pub storage: Storage,
}

/// All buffers, and the last block read from one.
pub(super) struct Memory {
    // Dropped before the peers whose memory some of them are.
    buffers: BTreeMap<u32, Buffer>,
    read: Readback,
    pub peers: Peers,
}

fn failed(call: &'static str, message: String) -> DeviceError {
    DeviceError::Call { call, message }
}

/// Free memory of the device, in bytes.
fn free() -> u64 {
    let (mut free, mut total) = (0, 0);
    // SAFETY: the driver writes two numbers.
    let asked = call("cuMemGetInfo", || unsafe { sys::cuMemGetInfo_v2(&mut free, &mut total) });
    asked.map_or(0, |()| free as u64)
}

impl Memory {
    pub fn new(context: &Context) -> Self {
        Self { buffers: BTreeMap::new(), read: Readback::default(), peers: Peers::new(context) }
    }

    pub fn get(&self, id: BufferId, call: &'static str) -> Result<&Buffer, DeviceError> {
        self.buffers.get(&id.0).ok_or_else(|| failed(call, format!("no buffer {}", id.0)))
    }

    fn get_mut(&mut self, id: BufferId, call: &'static str) -> Result<&mut Buffer, DeviceError> {
        self.buffers.get_mut(&id.0).ok_or_else(|| failed(call, format!("no buffer {}", id.0)))
    }

    /// Forgets what was read: the device is about to write.
    pub fn forget(&mut self) {
        self.read.forget();
    }

    pub fn alloc(&mut self, number: u32, size: ByteCount, place: Place) -> Result<(), DeviceError> {
        let padded = size.0.checked_next_multiple_of(GRAIN).unwrap_or(u64::MAX / GRAIN * GRAIN).max(GRAIN);
        let refused = |error: Failed| match error.code {
            CUresult::CUDA_ERROR_OUT_OF_MEMORY => {
                DeviceError::OutOfMemory { asked: size, available: ByteCount(free()) }
            }
            _ => error.into(),
        };
        let storage = match place {
            Place::Device => Storage::Device(DeviceMemory::new(padded as usize).map_err(refused)?),
            Place::HostPinned => Storage::Pinned(PinnedMemory::new(padded as usize).map_err(refused)?),
            Place::HostPageable => {
                let mut bytes = Vec::new();
                let none = DeviceError::OutOfMemory { asked: size, available: ByteCount::ZERO };
                bytes.try_reserve_exact(padded as usize).map_err(|_| none)?;
                bytes.resize(padded as usize, 0);
                Storage::Pageable(bytes)
            }
            Place::Peer { device, access } => {
                Storage::Peer(self.peers.alloc(device, access, padded as usize, refused)?)
            }
        };
        self.buffers.insert(number, Buffer { size: size.0, padded, storage });
        Ok(())
    }

    pub fn release(&mut self, from: u32) {
        self.forget();
        drop(self.buffers.split_off(&from));
    }

    /// The bytes of a buffer of host memory; `None` for one of the device's.
    pub fn host(&mut self, id: BufferId) -> Result<Option<&mut [u8]>, DeviceError> {
        self.forget();
        Ok(match &mut self.get_mut(id, "fill")?.storage {
            Storage::Device(_) | Storage::Peer(_) => None,
            Storage::Pinned(pinned) => Some(pinned.bytes_mut()),
            Storage::Pageable(bytes) => Some(bytes),
        })
    }

    /// Fills memory of a peer from here; false for memory that is no peer's.
    pub fn fill_peer(&mut self, to: BufferId, pattern: Pattern) -> Result<bool, DeviceError> {
        let buffer = self.get(to, "fill")?;
        let Storage::Peer(_) = &buffer.storage else { return Ok(false) };
        let words = buffer.size / 4;
        let mut block = vec![0_u32; words.min(BLOCK / 4) as usize];
        let mut at = 0;
        while at < words {
            let block = &mut block[..(words - at).min(BLOCK / 4) as usize];
            pattern.words_into(at, block);
            let bytes: Vec<u8> = block.iter().flat_map(|word| word.to_le_bytes()).collect();
            self.write(to, ByteCount(4 * at), &bytes)?;
            at += block.len() as u64;
        }
        Ok(true)
    }

    pub fn write(&mut self, to: BufferId, at: ByteCount, bytes: &[u8]) -> Result<(), DeviceError> {
        check_range(to, self.get(to, "write")?.size, at, bytes.len(), "write")?;
        self.forget();
        let start = at.0 as usize;
        match &mut self.get_mut(to, "write")?.storage {
            Storage::Pinned(pinned) => pinned.bytes_mut()[start..][..bytes.len()].copy_from_slice(bytes),
            Storage::Pageable(held) => held[start..][..bytes.len()].copy_from_slice(bytes),
            Storage::Device(device) => copy_in(device.pointer + at.0, bytes)?,
            Storage::Peer(memory) => memory.peer.within(|| copy_in(memory.pointer() + at.0, bytes))?,
        }
        Ok(())
    }

    pub fn read(&mut self, from: BufferId, at: ByteCount, into: &mut [u8]) -> Result<(), DeviceError> {
        let unknown = || failed("read", format!("no buffer {}", from.0));
        let buffer = self.buffers.get(&from.0).ok_or_else(unknown)?;
        check_range(from, buffer.size, at, into.len(), "read")?;
        self.read.read(from, at.0, into, |start| {
            let count = BLOCK.min(buffer.padded.saturating_sub(start)) as usize;
            let part = start as usize..start as usize + count;
            match &buffer.storage {
                Storage::Pinned(pinned) => Ok(pinned.bytes()[part].to_vec()),
                Storage::Pageable(bytes) => Ok(bytes[part].to_vec()),
                Storage::Device(device) => {
                    let mut bytes = vec![0; count];
                    copy_out(device.pointer + start, &mut bytes)?;
                    Ok(bytes)
                }
                Storage::Peer(memory) => {
                    let mut bytes = vec![0; count];
                    memory.peer.within(|| copy_out(memory.pointer() + start, &mut bytes))?;
                    Ok(bytes)
                }
            }
        })
    }
}

/// Waits for what the default stream was given.
fn finish_default_stream() -> Result<(), Failed> {
    loop {
        // SAFETY: the default stream is always there.
        match call("cuStreamQuery", || unsafe { sys::cuStreamQuery(std::ptr::null_mut()) }) {
            Err(Failed { code: CUresult::CUDA_ERROR_NOT_READY, .. }) => std::thread::yield_now(),
            other => return other,
        }
    }
}

/// Copies bytes to an address of the current context's device that has room for as many.
fn copy_in(to: CUdeviceptr, bytes: &[u8]) -> Result<(), Failed> {
    // SAFETY: the caller keeps within a buffer, and the host's bytes are as many.
    call("cuMemcpyHtoD", || unsafe { sys::cuMemcpyHtoD_v2(to, bytes.as_ptr().cast(), bytes.len()) })?;
    // It may return once the bytes are in the driver's hands, and our stream does not wait for this one.
    finish_default_stream()
}

/// Copies bytes from an address of the device that has as many.
fn copy_out(from: CUdeviceptr, into: &mut [u8]) -> Result<(), Failed> {
    // SAFETY: the caller keeps within a buffer, and the host has room for as many bytes.
    call("cuMemcpyDtoH", || unsafe { sys::cuMemcpyDtoH_v2(into.as_mut_ptr().cast(), from, into.len()) })
}
