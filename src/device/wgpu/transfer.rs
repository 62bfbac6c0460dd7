//! Programs of copies alone: between the host's memory and the device's, and within the device, by the queue's own
//! copies, timed by the host's clock from the submission until the device has done it.
//!
//! Pinned memory is a buffer of the program's own that both sides reach: what the host's buffer holds is put there
//! when the program is recorded, and what the device copied into it is taken out after each window. Pageable memory
//! passes through the driver's staging memory, and the time includes that.

use std::time::{Duration, Instant};

use super::gpu::Gpu;
use super::memory::{Memory, Storage};
use crate::device::{BufferId, Detail, DeviceError, Place, Program, Slot, Step, Timing, Wait, Window};
use crate::units::Seconds;

/// Copies of one submission, at most.
const COPIES_MAX: u32 = 256;
/// Bytes of one submission, at most, so that a deadline is noticed.
const BYTES_MAX: u64 = 1 << 30;

/// One copy, ready to run.
enum Copy {
    /// Between two buffers of the device's or of memory that it reaches.
    Buffers { from: wgpu::Buffer, to: wgpu::Buffer, bytes: u64 },
    /// From pageable memory.
    Write { from: Vec<u8>, to: wgpu::Buffer },
    /// Into pageable memory, by way of a staging buffer.
    Read { from: wgpu::Buffer, staging: wgpu::Buffer, to: BufferId, bytes: u64 },
}

/// A program of copies.
pub(super) struct Transfers {
    /// A row per row of bindings, a copy per step.
    rows: Vec<Vec<Copy>>,
    /// Pinned buffers that the device writes, whose they are, and how many bytes it writes.
    pinned: Vec<(wgpu::Buffer, BufferId, u64)>,
}

/// Whether a program is made of copies alone.
pub(super) fn is_made_of_copies(program: &Program) -> bool {
    !program.steps.is_empty() && program.steps.iter().all(|step| matches!(step, Step::Copy { .. }))
}

impl Transfers {
    /// Prepares every copy and runs each once.
    pub fn new(program: &Program, memory: &mut Memory, gpu: &Gpu) -> Result<Self, DeviceError> {
        let mut transfers = Self { rows: Vec::new(), pinned: Vec::new() };
        for slots in &program.bindings {
            let mut row = Vec::new();
            for step in &program.steps {
                if let Step::Copy { from, to, bytes } = step {
                    row.push(transfers.prepare([*from, *to], slots, bytes.0, memory, gpu)?);
                }
            }
            transfers.rows.push(row);
        }
        let once = Window {
            samples: 1,
            repeats: transfers.rows.len() as u32,
            detail: Detail::Whole,
            start: crate::device::Start::Immediate,
            wait: Wait::AfterEachRepeat,
            deadline: Seconds::new(super::gpu::PATIENCE.as_secs_f64()).unwrap_or(Seconds::ZERO),
        };
        transfers.run(&once, memory, gpu)?;
        Ok(transfers)
    }

    fn prepare(
        &mut self,
        slots: [Slot; 2],
        row: &[BufferId],
        bytes: u64,
        memory: &Memory,
        gpu: &Gpu,
    ) -> Result<Copy, DeviceError> {
        use wgpu::BufferUsages as Usage;
        if !bytes.is_multiple_of(4) {
            return Err(DeviceError::Unsupported("copies through wgpu are of whole words".to_owned()));
        }
        let mut ends = Vec::new();
        for slot in slots {
            let unknown = || invalid(format!("slot {} names no buffer", slot.0));
            let id = *row.get(slot.0 as usize).ok_or_else(unknown)?;
            let buffer = memory.get(id, "record")?;
            if bytes > buffer.size {
                return Err(invalid(format!("{bytes} bytes are more than buffer {} has", id.0)));
            }
            ends.push((id, &buffer.storage));
        }
        let [(from_id, from), (to_id, to)] = [ends[0], ends[1]];
        match (from, to) {
            (Storage::Device(_), Storage::Device(_)) if from_id == to_id => {
                Err(invalid("a buffer is not copied to itself".to_owned()))
            }
            (Storage::Device(from), Storage::Device(to)) => {
                Ok(Copy::Buffers { from: from.clone(), to: to.clone(), bytes })
            }
            (Storage::Host(Place::HostPinned, held), Storage::Device(to)) => {
                let pinned = gpu.buffer(held.len() as u64, Usage::MAP_WRITE | Usage::COPY_SRC)?;
                gpu.put("record", &pinned, held)?;
                Ok(Copy::Buffers { from: pinned, to: to.clone(), bytes })
            }
            (Storage::Device(from), Storage::Host(Place::HostPinned, held)) => {
                let pinned = gpu.buffer(held.len() as u64, Usage::MAP_READ | Usage::COPY_DST)?;
                self.pinned.push((pinned.clone(), to_id, bytes));
                Ok(Copy::Buffers { from: from.clone(), to: pinned, bytes })
            }
            (Storage::Host(_, held), Storage::Device(to)) => {
                Ok(Copy::Write { from: held[..bytes as usize].to_vec(), to: to.clone() })
            }
            (Storage::Device(from), Storage::Host(_, held)) => {
                let staging = gpu.buffer(held.len() as u64, Usage::MAP_READ | Usage::COPY_DST)?;
                Ok(Copy::Read { from: from.clone(), staging, to: to_id, bytes })
            }
            (Storage::Host(..), Storage::Host(..)) => {
                Err(DeviceError::Unsupported("copies within the host's memory are no device's work".to_owned()))
            }
        }
    }

    /// Runs a window and gives a timing per sample.
    pub fn run(&mut self, window: &Window, memory: &mut Memory, gpu: &Gpu) -> Result<Vec<Timing>, DeviceError> {
        let start = Instant::now();
        let deadline = Duration::try_from_secs_f64(window.deadline.get()).unwrap_or(Duration::MAX);
        let left = || match deadline.checked_sub(start.elapsed()) {
            Some(left) if left > Duration::ZERO => Ok(left),
            _ => Err(DeviceError::Deadline(window.deadline)),
        };
        let mut timings = Vec::with_capacity(window.samples as usize);
        for sample in 0..window.samples {
            let begun = Instant::now();
            let mut steps = vec![0.0; self.rows.first().map_or(0, Vec::len)];
            let mut queue = Queue { gpu, encoder: None, copies: 0, bytes: 0 };
            for repeat in 0..window.repeats {
                let number = u64::from(sample) * u64::from(window.repeats) + u64::from(repeat);
                let row = (number % self.rows.len() as u64) as usize;
                for (copy, spent) in self.rows[row].iter().zip(&mut steps) {
                    let step_begun = Instant::now();
                    queue.add(copy, memory, &left)?;
                    if window.detail == Detail::PerStep {
                        queue.finish(left()?)?;
                        *spent += step_begun.elapsed().as_secs_f64();
                    }
                }
                if window.wait == Wait::AfterEachRepeat {
                    queue.finish(left()?)?;
                }
            }
            queue.finish(left()?)?;
            let seconds = |value: f64| Seconds::new(value).unwrap_or(Seconds::ZERO);
            let elapsed = seconds(begun.elapsed().as_secs_f64());
            let per_step = window.detail == Detail::PerStep;
            timings.push(Timing {
                elapsed,
                host_elapsed: elapsed,
                clock: None,
                preempted: None,
                steps: if per_step { steps.into_iter().map(seconds).collect() } else { Vec::new() },
            });
        }
        for (pinned, to, bytes) in &self.pinned {
            gpu.map("run", pinned, &mut memory.host(*to)?[..*bytes as usize])?;
        }
        Ok(timings)
    }
}

/// Copies that are not submitted yet.
struct Queue<'a> {
    gpu: &'a Gpu,
    encoder: Option<wgpu::CommandEncoder>,
    copies: u32,
    bytes: u64,
}

impl Queue<'_> {
    fn add(
        &mut self,
        copy: &Copy,
        memory: &mut Memory,
        left: &impl Fn() -> Result<Duration, DeviceError>,
    ) -> Result<(), DeviceError> {
        let mut encode = |from: &wgpu::Buffer, to: &wgpu::Buffer, bytes: u64| {
            let encoder =
                self.encoder.get_or_insert_with(|| self.gpu.device.create_command_encoder(&Default::default()));
            encoder.copy_buffer_to_buffer(from, 0, to, 0, bytes);
            self.copies += 1;
            self.bytes += bytes;
        };
        match copy {
            Copy::Buffers { from, to, bytes } => {
                encode(from, to, *bytes);
                if self.copies >= COPIES_MAX || self.bytes >= BYTES_MAX {
                    self.finish(left()?)?;
                }
            }
            Copy::Write { from, to } => {
                self.finish(left()?)?;
                let written = self.gpu.guarded("run", |gpu| {
                    gpu.queue.write_buffer(to, 0, from);
                    gpu.queue.submit([])
                })?;
                self.gpu.wait("run", Some(written), left()?)?;
            }
            Copy::Read { from, staging, to, bytes } => {
                encode(from, staging, *bytes);
                self.finish(left()?)?;
                self.gpu.map("run", staging, &mut memory.host(*to)?[..*bytes as usize])?;
            }
        }
        Ok(())
    }

    /// Submits what there is and waits for it.
    fn finish(&mut self, patience: Duration) -> Result<(), DeviceError> {
        let Some(encoder) = self.encoder.take() else { return Ok(()) };
        (self.copies, self.bytes) = (0, 0);
        let submitted = self.gpu.guarded("run", |gpu| gpu.queue.submit([encoder.finish()]))?;
        self.gpu.wait("run", Some(submitted), patience)
    }
}

fn invalid(message: String) -> DeviceError {
    DeviceError::Call { call: "record", message }
}
