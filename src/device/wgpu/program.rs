//! Recorded programs: every row of bindings as dispatches, nothing left to look up in a timed window.

use super::gpu::{Bound, Gpu};
use super::kernels::{self, Value};
use super::memory::{Memory, Storage};
use crate::device::{Arg, BufferId, DeviceError, Program, Slot, Step};

/// A program ready to run.
pub(super) struct Recorded {
    /// The dispatches of a repeat on each row of bindings; equally many in each row.
    pub rows: Vec<Vec<Bound>>,
    /// The step that each dispatch of a repeat belongs to.
    pub steps: Vec<usize>,
    /// Steps of a repeat.
    pub step_count: usize,
    /// What the longest dispatch is expected to take, in seconds: what has been seen last.
    pub dispatch_s: f64,
}

/// The ways to run a step; none if there is no code for it.
pub(super) fn options(step: &Step, gpu: &Gpu) -> Vec<Step> {
    match step {
        Step::Launch { kernel, args, grid, block, shared, .. } => {
            // Buffers are not known yet; which variants there are does not depend on their sizes.
            let values: Vec<_> = args.iter().map(|arg| scalar(arg).unwrap_or(Value::Buffer(0))).collect();
            let names = kernels::find(kernel).map_or_else(Vec::new, |found| (found.variants)(&values, &gpu.facts));
            let launch = |variant| Step::Launch {
                kernel,
                variant,
                args: args.clone(),
                grid: *grid,
                block: *block,
                shared: *shared,
            };
            names.into_iter().map(launch).collect()
        }
        Step::Matmul { desc, a, b, c, .. } => {
            let plan = |name: &str| Step::Matmul { desc: *desc, plan: name.to_owned(), a: *a, b: *b, c: *c };
            kernels::plans(desc, &gpu.facts).into_iter().map(plan).collect()
        }
        Step::Copy { .. } => vec![step.clone()],
        Step::GroupedMatmul { .. } | Step::Copies { .. } => Vec::new(),
    }
}

fn scalar(arg: &Arg) -> Option<Value> {
    match arg {
        Arg::Buffer(_) => None,
        Arg::U32(number) => Some(Value::U32(*number)),
        Arg::U64(number) => Some(Value::U64(*number)),
        Arg::F32(number) => Some(Value::F32(*number)),
        Arg::F64(number) => Some(Value::F64(*number)),
    }
}

impl Recorded {
    /// Binds a program's steps to memory, and runs every dispatch of every row once: compiling, and the zeroing
    /// of memory that is used for the first time, must not be in a timed window.
    pub fn new(program: &Program, memory: &mut Memory, gpu: &mut Gpu) -> Result<Self, DeviceError> {
        memory.forget();
        let mut steps = Vec::new();
        // A program without buffers still has its one row.
        let none = [Vec::new()];
        let bindings = if program.bindings.is_empty() { &none[..] } else { &program.bindings };
        let mut rows = Vec::new();
        for slots in bindings {
            let row = Row { slots, memory };
            let mut dispatches = Vec::new();
            steps.clear();
            for (index, step) in program.steps.iter().enumerate() {
                dispatches.extend(row.bind(step, gpu)?);
                steps.resize(dispatches.len(), index);
            }
            rows.push(dispatches);
        }
        if rows.iter().any(|row: &Vec<Bound>| row.len() != steps.len()) {
            return Err(invalid("its rows of bindings differ in their number of dispatches".to_owned()));
        }
        let longest = gpu.run_once("record", rows.iter().flatten())?;
        Ok(Self { rows, steps, step_count: program.steps.len(), dispatch_s: longest.as_secs_f64() })
    }
}

/// A row of bindings and the memory behind it.
struct Row<'a> {
    slots: &'a [BufferId],
    memory: &'a Memory,
}

impl Row<'_> {
    /// A slot's buffer, and the bytes it has.
    fn buffer(&self, slot: Slot) -> Result<(&wgpu::Buffer, u64), DeviceError> {
        let unknown = || invalid(format!("slot {} names no buffer", slot.0));
        let buffer = self.memory.get(*self.slots.get(slot.0 as usize).ok_or_else(unknown)?, "record")?;
        match &buffer.storage {
            Storage::Device(device) => Ok((device, buffer.size)),
            Storage::Host(..) => {
                Err(DeviceError::Unsupported("kernels through wgpu reach the device's own memory only".to_owned()))
            }
        }
    }

    fn bind(&self, step: &Step, gpu: &mut Gpu) -> Result<Vec<Bound>, DeviceError> {
        match step {
            Step::Launch { kernel, variant, args, .. } => self.bind_launch(kernel, variant, args, gpu),
            Step::Matmul { desc, plan, a, b, c } => {
                let [a, b, c] = [self.buffer(*a), self.buffer(*b), self.buffer(*c)];
                // What cannot be computed is unsupported whatever its buffers are.
                let bytes = [&a, &b, &c].map(|found| found.as_ref().map_or(0, |(_, bytes)| *bytes));
                let dispatches = kernels::product(desc, plan, bytes, &gpu.facts)?;
                gpu.bind(&dispatches, &[a?.0, b?.0, c?.0])
            }
            Step::GroupedMatmul { .. } => {
                Err(DeviceError::Unsupported("wgpu has no grouped matrix product".to_owned()))
            }
            Step::Copies { .. } => {
                Err(DeviceError::Unsupported("wgpu has one queue, and copies one after another".to_owned()))
            }
            // Among launches: the queue's own copies have no place in a timed pass, so a kernel does it.
            Step::Copy { from, to, bytes } => {
                if !bytes.0.is_multiple_of(4) {
                    return Err(DeviceError::Unsupported("copies through wgpu are of whole words".to_owned()));
                }
                let args = [Arg::Buffer(*from), Arg::Buffer(*to), Arg::U64(bytes.0 / 4)];
                self.bind_launch("memory_copy", "", &args, gpu)
            }
        }
    }

    fn bind_launch(&self, id: &str, variant: &str, args: &[Arg], gpu: &mut Gpu) -> Result<Vec<Bound>, DeviceError> {
        let kernel = kernels::find(id).ok_or_else(|| DeviceError::Unsupported(format!("wgpu has no kernel '{id}'")))?;
        let mut values = Vec::new();
        let mut buffers = Vec::new();
        for arg in args {
            values.push(match (scalar(arg), arg) {
                (Some(value), _) => value,
                (None, Arg::Buffer(slot)) => {
                    let (buffer, bytes) = self.buffer(*slot)?;
                    buffers.push(buffer);
                    Value::Buffer(bytes / 4)
                }
                (None, other) => return Err(invalid(format!("{other:?} is no argument"))),
            });
        }
        let known = (kernel.variants)(&values, &gpu.facts);
        let chosen = known.iter().find(|known| variant.is_empty() || **known == variant);
        let Some(chosen) = chosen else {
            // Wrong arguments are told as such.
            (kernel.dispatches)(&values, variant, &gpu.facts)?;
            let known = known.join(", ");
            return Err(DeviceError::Unsupported(format!("no variant '{variant}' of '{id}' here; known: {known}")));
        };
        let dispatches = (kernel.dispatches)(&values, chosen, &gpu.facts)?;
        gpu.bind(&dispatches, &buffers)
    }
}

fn invalid(message: String) -> DeviceError {
    DeviceError::Call { call: "record", message }
}
