//! Buffers: allocation, filling, and bytes in and out.

use std::collections::BTreeMap;

use super::gpu::Gpu;
use super::kernels;
use crate::device::readback::{BLOCK, Readback, check_range};
use crate::device::{BufferId, DeviceError, Pattern, Place};
use crate::record::Precision;
use crate::units::ByteCount;

/// Buffers are whole multiples of this, so that bindings can end on their alignment.
const GRAIN: u64 = 256;

/// A buffer.
pub(super) struct Buffer {
    /// Bytes asked for.
    pub size: u64,
    /// Where it is.
    pub storage: Storage,
}

/// Where a buffer is. wgpu lends no host memory to a kernel, so such buffers can be filled, written, read and copied,
/// and no more.
pub(super) enum Storage {
    Device(wgpu::Buffer),
    /// Pinned or pageable memory, and what it holds.
    Host(Place, Vec<u8>),
}

/// All buffers, and the last block read from one.
pub(super) struct Memory {
    buffers: BTreeMap<u32, Buffer>,
    staging: wgpu::Buffer,
    read: Readback,
}

fn failed(call: &'static str, message: String) -> DeviceError {
    DeviceError::Call { call, message }
}

impl Memory {
    pub fn new(gpu: &Gpu) -> Result<Self, DeviceError> {
        let staging = gpu.buffer(BLOCK, wgpu::BufferUsages::MAP_READ | wgpu::BufferUsages::COPY_DST)?;
        Ok(Self { buffers: BTreeMap::new(), staging, read: Readback::default() })
    }

    pub fn get(&self, id: BufferId, call: &'static str) -> Result<&Buffer, DeviceError> {
        self.buffers.get(&id.0).ok_or_else(|| failed(call, format!("no buffer {}", id.0)))
    }

    /// What a buffer of host memory holds.
    pub fn host(&mut self, id: BufferId) -> Result<&mut [u8], DeviceError> {
        self.forget();
        match self.buffers.get_mut(&id.0).map(|buffer| &mut buffer.storage) {
            Some(Storage::Host(_, held)) => Ok(held),
            _ => Err(failed("run", format!("buffer {} is not of host memory", id.0))),
        }
    }

    /// Forgets what was read: the device is about to write.
    pub fn forget(&mut self) {
        self.read.forget();
    }

    pub fn alloc(&mut self, gpu: &Gpu, number: u32, size: ByteCount, place: Place) -> Result<(), DeviceError> {
        let most = gpu.limits.max_buffer_size / GRAIN * GRAIN;
        // Words are counted in 32 bits on the device.
        let most = most.min(u64::from(u32::MAX) * 4 / GRAIN * GRAIN);
        if size.0 > most {
            return Err(DeviceError::OutOfMemory { asked: size, available: ByteCount(most) });
        }
        let padded = size.0.next_multiple_of(GRAIN).max(GRAIN);
        let storage = match place {
            Place::Device => {
                use wgpu::BufferUsages as Usage;
                Storage::Device(gpu.buffer(padded, Usage::STORAGE | Usage::COPY_SRC | Usage::COPY_DST)?)
            }
            Place::Peer { .. } => {
                return Err(DeviceError::Unsupported("devices of wgpu do not share memory".to_owned()));
            }
            Place::HostPinned | Place::HostPageable => {
                let mut bytes = Vec::new();
                let refused = DeviceError::OutOfMemory { asked: size, available: ByteCount::ZERO };
                bytes.try_reserve_exact(padded as usize).map_err(|_| refused)?;
                bytes.resize(padded as usize, 0);
                Storage::Host(place, bytes)
            }
        };
        self.buffers.insert(number, Buffer { size: size.0, storage });
        Ok(())
    }

    pub fn release(&mut self, from: u32) {
        self.forget();
        drop(self.buffers.split_off(&from));
    }

    pub fn fill(&mut self, gpu: &mut Gpu, to: BufferId, pattern: Pattern) -> Result<(), DeviceError> {
        self.forget();
        let unknown = || failed("fill", format!("no buffer {}", to.0));
        match &mut self.buffers.get_mut(&to.0).ok_or_else(unknown)?.storage {
            Storage::Device(buffer) => {
                if let Pattern::Uniform { precision: Precision::Fp8E4m3, .. }
                | Pattern::Integers { precision: Precision::Fp8E4m3, .. } = pattern
                {
                    return Err(DeviceError::Unsupported(
                        "no kernel fills memory with fp8_e4m3 through wgpu".to_owned(),
                    ));
                }
                let dispatches = kernels::fill(pattern, buffer.size() / 4, &gpu.facts);
                let bound = gpu.bind(&dispatches, &[buffer])?;
                gpu.run_once("fill", bound.iter()).map(drop)
            }
            Storage::Host(_, bytes) => {
                for (index, word) in (0..).zip(bytes.as_chunks_mut::<4>().0) {
                    *word = pattern.word(index).to_le_bytes();
                }
                Ok(())
            }
        }
    }

    pub fn write(&mut self, gpu: &Gpu, to: BufferId, at: ByteCount, bytes: &[u8]) -> Result<(), DeviceError> {
        check_range(to, self.get(to, "write")?.size, at, bytes.len(), "write")?;
        // The device is written in whole words: those at both ends keep what is theirs.
        let start = at.0 / 4 * 4;
        let lead = (at.0 - start) as usize;
        let mut whole = vec![0; (lead + bytes.len()).next_multiple_of(4)];
        if whole.len() != bytes.len() {
            self.read_padded(gpu, to, start, &mut whole)?;
        }
        whole[lead..lead + bytes.len()].copy_from_slice(bytes);
        self.forget();
        match self.buffers.get_mut(&to.0).map(|buffer| &mut buffer.storage) {
            Some(Storage::Host(_, held)) => held[start as usize..][..whole.len()].copy_from_slice(&whole),
            Some(Storage::Device(buffer)) => {
                let index = gpu.guarded("write", |gpu| {
                    gpu.queue.write_buffer(buffer, start, &whole);
                    gpu.queue.submit([])
                })?;
                gpu.wait("write", Some(index), super::gpu::PATIENCE)?;
            }
            None => {}
        }
        Ok(())
    }

    pub fn read(&mut self, gpu: &Gpu, from: BufferId, at: ByteCount, into: &mut [u8]) -> Result<(), DeviceError> {
        check_range(from, self.get(from, "read")?.size, at, into.len(), "read")?;
        self.read_padded(gpu, from, at.0, into)
    }

    /// Reads a range that lies within the padded buffer.
    fn read_padded(&mut self, gpu: &Gpu, from: BufferId, at: u64, into: &mut [u8]) -> Result<(), DeviceError> {
        let unknown = || failed("read", format!("no buffer {}", from.0));
        let storage = &self.buffers.get(&from.0).ok_or_else(unknown)?.storage;
        let staging = &self.staging;
        self.read.read(from, at, into, |start| match storage {
            Storage::Host(_, bytes) => Ok(bytes[start as usize..].iter().take(BLOCK as usize).copied().collect()),
            Storage::Device(buffer) => {
                let size = BLOCK.min(buffer.size().saturating_sub(start));
                let mut bytes = vec![0; size as usize];
                gpu.guarded("read", |gpu| {
                    let mut encoder = gpu.device.create_command_encoder(&Default::default());
                    encoder.copy_buffer_to_buffer(buffer, start, staging, 0, size);
                    gpu.queue.submit([encoder.finish()])
                })?;
                gpu.map("read", staging, &mut bytes)?;
                Ok(bytes)
            }
        })
    }
}
