//! Recorded programs: every step with its code and its memory, nothing left to look up in a timed window.

use std::collections::BTreeMap;

use super::kernels::{self, Run, Value};
use super::matmul::{self, Product};
use super::memory::{Buffer, Span};
use super::pool::Place;
use crate::device::{Arg, BufferId, DeviceError, Program, Slot, Step};

/// A step ready to run.
#[derive(Debug)]
enum Bound {
    Launch { run: Run, args: Vec<Value> },
    Matmul(Product),
    Copy { from: Span, to: Span, bytes: usize },
}

/// A program ready to run.
#[derive(Debug)]
pub(super) struct Recorded {
    rows: Vec<Vec<Bound>>,
    /// Workers it runs on.
    pub team: usize,
    /// Steps of one repeat.
    pub steps: usize,
}

impl Recorded {
    /// Binds a program's steps to memory, for a pool of `workers`.
    pub fn new(program: &Program, buffers: &BTreeMap<u32, Buffer>, workers: usize) -> Result<Self, DeviceError> {
        let team = team(program, workers)?;
        let bind_row = |row: &Vec<BufferId>| {
            let memory = Row { slots: row, buffers };
            program.steps.iter().map(|step| memory.bind(step, team)).collect::<Result<Vec<_>, _>>()
        };
        // A program without buffers still has its one row.
        let rows = match program.bindings.is_empty() {
            true => vec![bind_row(&Vec::new())?],
            false => program.bindings.iter().map(bind_row).collect::<Result<_, _>>()?,
        };
        Ok(Self { rows, team, steps: program.steps.len() })
    }

    /// Rows of bindings.
    pub fn row_count(&self) -> usize {
        self.rows.len()
    }

    /// One worker's part of a step of a repeat.
    ///
    /// # Safety
    /// All of the team must call it, and meet after it; nobody else may use the buffers meanwhile.
    #[inline]
    pub unsafe fn run_step(&self, repeat: usize, step: usize, place: Place<'_>) {
        match &self.rows[repeat % self.rows.len()][step] {
            // SAFETY: arguments were checked and the variant found usable when the step was bound;
            // buffers live as long as the programs over them; the rest is the caller's.
            Bound::Launch { run, args } => unsafe { run(args, place) },
            // SAFETY: as above.
            Bound::Matmul(product) => unsafe { product.run(place) },
            Bound::Copy { from, to, bytes } => {
                let border = |index: usize| (*bytes as u128 * index as u128 / place.team as u128) as usize;
                let (start, end) = (border(place.index), border(place.index + 1));
                // SAFETY: both spans have `bytes` bytes; workers copy different parts.
                unsafe {
                    std::ptr::copy(from.start.as_ptr().add(start), to.start.as_ptr().add(start), end - start);
                }
            }
        }
    }
}

/// The workers a program runs on: all, unless its launches ask for fewer.
fn team(program: &Program, workers: usize) -> Result<usize, DeviceError> {
    let mut asked = program.steps.iter().filter_map(|step| match step {
        Step::Launch { grid, .. } if grid[0] > 0 => Some(grid[0] as usize),
        _ => None,
    });
    let Some(team) = asked.next() else { return Ok(workers) };
    if asked.any(|other| other != team) {
        return Err(DeviceError::Unsupported("the steps of a program on the CPU share their number of threads".into()));
    }
    match team <= workers {
        true => Ok(team),
        false => Err(DeviceError::Unsupported(format!("{team} threads asked for, {workers} cores are usable"))),
    }
}

/// The ways to run a step; none if there is no code for it.
pub(super) fn options(step: &Step, workers: usize) -> Vec<Step> {
    match step {
        Step::Launch { kernel, args, grid, block, shared, .. } => {
            let variants = kernels::find(kernel).into_iter().flat_map(|kernel| kernel.usable());
            let launch = |variant: &'static kernels::Variant| Step::Launch {
                kernel,
                variant: variant.name,
                args: args.clone(),
                grid: *grid,
                block: *block,
                shared: *shared,
            };
            variants.map(launch).collect()
        }
        Step::Matmul { desc, a, b, c, .. } => {
            let plans = matmul::plans(desc, workers).into_iter();
            plans.map(|plan| Step::Matmul { desc: *desc, plan, a: *a, b: *b, c: *c }).collect()
        }
        Step::Copy { .. } => vec![step.clone()],
        Step::GroupedMatmul { .. } | Step::Copies { .. } => Vec::new(),
    }
}

/// A row of bindings and the memory behind it.
struct Row<'a> {
    slots: &'a [BufferId],
    buffers: &'a BTreeMap<u32, Buffer>,
}

impl Row<'_> {
    fn span(&self, slot: Slot) -> Result<Span, DeviceError> {
        let buffer = self.slots.get(slot.0 as usize).and_then(|id| self.buffers.get(&id.0));
        buffer.map(Buffer::span).ok_or_else(|| invalid(format!("slot {} names no buffer", slot.0)))
    }

    fn bind(&self, step: &Step, team: usize) -> Result<Bound, DeviceError> {
        match step {
            Step::Launch { kernel, variant, args, .. } => self.bind_launch(kernel, variant, args),
            Step::Matmul { desc, plan, a, b, c } => {
                let operands = [self.span(*a)?, self.span(*b)?, self.span(*c)?];
                Product::new(desc, plan, operands, team).map(Bound::Matmul)
            }
            Step::GroupedMatmul { .. } => {
                Err(DeviceError::Unsupported("the CPU has no grouped matrix product".to_owned()))
            }
            Step::Copies { .. } => {
                Err(DeviceError::Unsupported("the CPU has no engines that copy beside one another".to_owned()))
            }
            Step::Copy { from, to, bytes } => {
                let (from, to) = (self.span(*from)?, self.span(*to)?);
                match usize::try_from(bytes.0) {
                    Ok(bytes) if bytes <= from.len && bytes <= to.len => Ok(Bound::Copy { from, to, bytes }),
                    _ => Err(invalid(format!("a copy of {} bytes reaches past its buffers", bytes.0))),
                }
            }
        }
    }

    fn bind_launch(&self, id: &str, variant: &str, args: &[Arg]) -> Result<Bound, DeviceError> {
        let kernel =
            kernels::find(id).ok_or_else(|| DeviceError::Unsupported(format!("the CPU has no kernel '{id}'")))?;
        let chosen = kernel.usable().find(|usable| variant.is_empty() || usable.name == variant).ok_or_else(|| {
            let known: Vec<_> = kernel.usable().map(|usable| usable.name).collect();
            DeviceError::Unsupported(format!("no variant '{variant}' of '{id}' here; known: {}", known.join(", ")))
        })?;
        let args = args.iter().map(|arg| self.value(arg)).collect::<Result<Vec<_>, _>>()?;
        (kernel.check)(&args).map_err(invalid)?;
        Ok(Bound::Launch { run: chosen.run, args })
    }

    fn value(&self, arg: &Arg) -> Result<Value, DeviceError> {
        Ok(match arg {
            Arg::Buffer(slot) => Value::Buffer(self.span(*slot)?),
            Arg::U32(number) => Value::U32(*number),
            Arg::U64(number) => Value::U64(*number),
            Arg::F32(number) => Value::F32(*number),
            Arg::F64(number) => Value::F64(*number),
        })
    }
}

fn invalid(message: String) -> DeviceError {
    DeviceError::Call { call: "record", message }
}
