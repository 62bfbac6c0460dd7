//! Buffers: allocation, and bytes in and out.

use std::collections::BTreeMap;

use cudarc::driver::sys::{self, CUdeviceptr, CUresult};

use super::driver::{Failed, call};
use super::handles::{DeviceMemory, PinnedMemory};
use crate::device::readback::{BLOCK, Readback, check_range};
use crate::device::{BufferId, DeviceError, Place};
use crate::units::ByteCount;

/// Buffers are whole multiples of this: kernels go through memory in packs of 16 bytes.
const GRAIN: u64 = 256;

/// Where a buffer is.
pub(super) enum Storage {
    Device(DeviceMemory),
    Pinned(PinnedMemory),
    Pageable(Vec<u8>),
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
#[derive(Default)]
pub(super) struct Memory {
    buffers: BTreeMap<u32, Buffer>,
    read: Readback,
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
            Storage::Device(_) => None,
            Storage::Pinned(pinned) => Some(pinned.bytes_mut()),
            Storage::Pageable(bytes) => Some(bytes),
        })
    }

    pub fn write(&mut self, to: BufferId, at: ByteCount, bytes: &[u8]) -> Result<(), DeviceError> {
        check_range(to, self.get(to, "write")?.size, at, bytes.len(), "write")?;
        self.forget();
        let start = at.0 as usize;
        match &mut self.get_mut(to, "write")?.storage {
            Storage::Pinned(pinned) => pinned.bytes_mut()[start..][..bytes.len()].copy_from_slice(bytes),
            Storage::Pageable(held) => held[start..][..bytes.len()].copy_from_slice(bytes),
            Storage::Device(device) => {
                let to = device.pointer + at.0;
                // SAFETY: the range was held against the buffer's size, and the host's bytes are as many.
                call("cuMemcpyHtoD", || unsafe { sys::cuMemcpyHtoD_v2(to, bytes.as_ptr().cast(), bytes.len()) })?;
                // It may return once the bytes are in the driver's hands, and our stream does not wait for this one.
                finish_default_stream()?;
            }
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

/// Copies bytes from an address of the device that has as many.
fn copy_out(from: CUdeviceptr, into: &mut [u8]) -> Result<(), Failed> {
    // SAFETY: the caller keeps within a buffer, and the host has room for as many bytes.
    call("cuMemcpyDtoH", || unsafe { sys::cuMemcpyDtoH_v2(into.as_mut_ptr().cast(), from, into.len()) })
}
