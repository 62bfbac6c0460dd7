//! An open adapter: the device, its queue, its compiled kernels, and how to wait for it.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::adapters;
use super::errors::{Faults, guarded, now};
use super::kernels::{Code, Dispatch, Facts};
use crate::device::DeviceError;
use crate::units::{ByteCount, Seconds};

/// Longest wait for work that no window times: fills, copies, first runs.
pub(super) const PATIENCE: Duration = Duration::from_secs(120);

/// An open adapter.
pub(super) struct Gpu {
    pub device: wgpu::Device,
    pub queue: wgpu::Queue,
    pub facts: Facts,
    pub limits: wgpu::Limits,
    pub faults: Arc<Faults>,
    pipelines: BTreeMap<(Code, &'static str), wgpu::ComputePipeline>,
}

/// A dispatch with its pipeline and its memory.
#[derive(Debug, Clone)]
pub(super) struct Bound {
    pub pipeline: wgpu::ComputePipeline,
    pub group: wgpu::BindGroup,
    pub grid: [u32; 3],
}

impl Gpu {
    /// Opens an adapter with all its limits.
    pub fn open(adapter: &wgpu::Adapter) -> Result<Self, DeviceError> {
        let mut limits = adapter.limits();
        // DX12 sets memory aside for every binding that may ever be.
        limits.max_non_sampler_bindings = limits.max_non_sampler_bindings.min(100_000);
        let features = adapters::features(adapter);
        let descriptor = wgpu::DeviceDescriptor {
            label: None,
            required_features: features,
            required_limits: limits.clone(),
            experimental_features: wgpu::ExperimentalFeatures::disabled(),
            memory_hints: wgpu::MemoryHints::Performance,
            trace: wgpu::Trace::Off,
        };
        let failed = |message: String| DeviceError::Call { call: "open", message };
        let (device, queue) = now(adapter.request_device(&descriptor))
            .ok_or_else(|| failed("the driver does not answer".to_owned()))?
            .map_err(|error| failed(error.to_string()))?;
        let large = matches!(adapter.get_info().device_type, wgpu::DeviceType::DiscreteGpu);
        let downlevel = adapter.get_downlevel_capabilities().flags;
        let facts = Facts {
            features,
            converts_halves: downlevel.contains(wgpu::DownlevelFlags::SHADER_F16_IN_F32),
            binding: limits.max_storage_buffer_binding_size.min(limits.max_buffer_size).min(1 << 34) / 256 * 256,
            groups: limits.max_compute_workgroups_per_dimension,
            group: limits.max_compute_invocations_per_workgroup.min(limits.max_compute_workgroup_size_x).into(),
            // A quarter of a second at 1 TFLOP/s, or at 70 GFLOP/s.
            dispatch_flop: if large { 1 << 38 } else { 1 << 34 },
        };
        let faults = Faults::of(&device);
        Ok(Self { device, queue, facts, limits, faults, pipelines: BTreeMap::new() })
    }

    /// Does some work and gives its first error.
    pub fn guarded<T>(&self, call: &'static str, work: impl FnOnce(&Self) -> T) -> Result<T, DeviceError> {
        guarded(&self.device, &self.faults, call, ByteCount::ZERO, || work(self))
    }

    /// A buffer; out of memory is an error like another.
    pub fn buffer(&self, size: u64, usage: wgpu::BufferUsages) -> Result<wgpu::Buffer, DeviceError> {
        guarded(&self.device, &self.faults, "alloc", ByteCount(size), || {
            self.device.create_buffer(&wgpu::BufferDescriptor { label: None, size, usage, mapped_at_creation: false })
        })
    }

    /// Compiles an entry point once.
    fn pipeline(&mut self, code: &Code, entry: &'static str) -> Result<wgpu::ComputePipeline, DeviceError> {
        let key = (code.clone(), entry);
        if let Some(known) = self.pipelines.get(&key) {
            return Ok(known.clone());
        }
        let source = wgpu::ShaderSource::Wgsl(format!("{}{}", code.prefix, code.text).into());
        let pipeline = self.guarded("compile", |gpu| {
            let descriptor = wgpu::ShaderModuleDescriptor { label: None, source };
            // SAFETY: only this crate's texts come here; their indices stay within their bindings, which the
            // kernels' Rust side cuts to fit, and their loops end.
            let module =
                unsafe { gpu.device.create_shader_module_trusted(descriptor, wgpu::ShaderRuntimeChecks::unchecked()) };
            gpu.device.create_compute_pipeline(&wgpu::ComputePipelineDescriptor {
                label: None,
                layout: None,
                module: &module,
                entry_point: Some(entry),
                compilation_options: wgpu::PipelineCompilationOptions {
                    // Kernels write work-group memory before they read it.
                    zero_initialize_workgroup_memory: false,
                    ..Default::default()
                },
                cache: None,
            })
        })?;
        self.pipelines.insert(key, pipeline.clone());
        Ok(pipeline)
    }

    /// Joins dispatches with their memory. The buffers are the launch's arguments.
    pub fn bind(&mut self, dispatches: &[Dispatch], buffers: &[&wgpu::Buffer]) -> Result<Vec<Bound>, DeviceError> {
        let slot = u64::from(self.limits.min_uniform_buffer_offset_alignment.max(256));
        let usage = wgpu::BufferUsages::UNIFORM | wgpu::BufferUsages::COPY_DST;
        let uniforms = self.buffer(slot * dispatches.len().max(1) as u64, usage)?;
        let mut bound = Vec::with_capacity(dispatches.len());
        for (offset, dispatch) in (0..).step_by(slot as usize).zip(dispatches) {
            let pipeline = self.pipeline(&dispatch.code, dispatch.entry)?;
            let bytes: Vec<u8> = dispatch.uniform.iter().flat_map(|word| word.to_le_bytes()).collect();
            let group = self.guarded("record", |gpu| {
                let part = |buffer, offset, size: u64| {
                    wgpu::BindingResource::Buffer(wgpu::BufferBinding { buffer, offset, size: size.try_into().ok() })
                };
                let mut entries = Vec::new();
                if !bytes.is_empty() {
                    gpu.queue.write_buffer(&uniforms, offset, &bytes);
                    entries.push(wgpu::BindGroupEntry { binding: 0, resource: part(&uniforms, offset, slot) });
                }
                for binding in &dispatch.bindings {
                    if let Some(buffer) = buffers.get(binding.argument) {
                        let resource = part(buffer, binding.bytes.start, binding.bytes.end - binding.bytes.start);
                        entries.push(wgpu::BindGroupEntry { binding: binding.number, resource });
                    }
                }
                gpu.device.create_bind_group(&wgpu::BindGroupDescriptor {
                    label: None,
                    layout: &pipeline.get_bind_group_layout(0),
                    entries: &entries,
                })
            })?;
            bound.push(Bound { pipeline, group, grid: dispatch.grid });
        }
        Ok(bound)
    }

    /// Runs dispatches now, each as a submission of its own, and waits. Gives the longest time that one took.
    pub fn run_once<'a>(
        &self,
        call: &'static str,
        dispatches: impl Iterator<Item = &'a Bound>,
    ) -> Result<Duration, DeviceError> {
        let mut longest = Duration::ZERO;
        for dispatch in dispatches {
            let start = Instant::now();
            let index = self.guarded(call, |gpu| {
                let mut encoder = gpu.device.create_command_encoder(&Default::default());
                let mut pass = encoder.begin_compute_pass(&Default::default());
                pass.set_pipeline(&dispatch.pipeline);
                pass.set_bind_group(0, &dispatch.group, &[]);
                pass.dispatch_workgroups(dispatch.grid[0], dispatch.grid[1], dispatch.grid[2]);
                drop(pass);
                gpu.queue.submit([encoder.finish()])
            })?;
            self.wait(call, Some(index), PATIENCE)?;
            longest = longest.max(start.elapsed());
        }
        Ok(longest)
    }

    /// Waits for a submission, or for all of them.
    pub fn wait(
        &self,
        call: &'static str,
        submission: Option<wgpu::SubmissionIndex>,
        patience: Duration,
    ) -> Result<(), DeviceError> {
        let wait = wgpu::PollType::Wait { submission_index: submission, timeout: Some(patience) };
        // A lost device makes wgpu panic here.
        let polled = catch_unwind(AssertUnwindSafe(|| self.device.poll(wait)));
        self.faults.check(call)?;
        match polled {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(wgpu::PollError::Timeout)) => {
                Err(DeviceError::Deadline(Seconds::new(patience.as_secs_f64()).unwrap_or(Seconds::ZERO)))
            }
            Ok(Err(error)) => Err(DeviceError::Call { call, message: error.to_string() }),
            Err(_) => Err(DeviceError::Lost(format!("the driver failed during '{call}'"))),
        }
    }

    /// Writes all of a buffer that the host can map.
    pub fn put(&self, call: &'static str, buffer: &wgpu::Buffer, bytes: &[u8]) -> Result<(), DeviceError> {
        let size = bytes.len() as u64;
        self.guarded(call, |_| buffer.map_async(wgpu::MapMode::Write, 0..size, |_| {}))?;
        self.wait(call, None, PATIENCE)?;
        let failed = |error: wgpu::MapRangeError| DeviceError::Call { call, message: error.to_string() };
        let written = buffer.get_mapped_range_mut(0..size).map(|mut view| view.copy_from_slice(bytes));
        buffer.unmap();
        written.map_err(failed)
    }

    /// Copies the bytes of a staging buffer, once the device has done all it was given.
    pub fn map(&self, call: &'static str, staging: &wgpu::Buffer, into: &mut [u8]) -> Result<(), DeviceError> {
        let size = into.len() as u64;
        self.guarded(call, |_| staging.map_async(wgpu::MapMode::Read, 0..size, |_| {}))?;
        self.wait(call, None, PATIENCE)?;
        let failed = |error: wgpu::MapRangeError| DeviceError::Call { call, message: error.to_string() };
        let copied = staging.get_mapped_range(0..size).map(|view| into.copy_from_slice(&view));
        staging.unmap();
        copied.map_err(failed)
    }
}
