//! Recorded programs: every step on every row of bindings with its arguments laid out, nothing left to look up in a
//! timed window.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::c_void;
use std::ptr::null_mut;
use std::rc::Rc;

use cudarc::driver::sys::{self, CUcontext, CUdeviceptr, CUfunction, CUresult};

use super::devices::Found;
use super::driver::{self, Driver, Failed, call};
use super::handles::{DeviceMemory, Event, Graph, Module, Stream};
use super::images;
use super::kernels::{self, Value};
use super::library::Library;
use super::memory::{Memory, Storage};
use super::products;
use super::vendor::{Product, Vendor};
use crate::device::{Arg, BufferId, DeviceError, MatmulDesc, Program, Provider, Slot, Step, Submit};

/// Loaded modules, and how each came to be.
#[derive(Default)]
pub(super) struct Code {
    modules: BTreeMap<&'static str, Module>,
    /// `cubin sm_90a`, or `PTX compiled by the driver`.
    pub origins: BTreeSet<String>,
    /// cuBLASLt, started when a product first asks for it.
    vendor: Option<Vendor>,
}

impl Code {
    /// cuBLASLt on this device; the error says why there is none.
    fn vendor(&mut self) -> Result<&mut Vendor, DeviceError> {
        if let Some(ref mut vendor) = self.vendor {
            return Ok(vendor);
        }
        let library = Driver::get().and_then(|driver| Library::get(&driver)).map_err(DeviceError::Unsupported)?;
        let vendor = Vendor::new(library)?;
        self.origins.insert(format!("cuBLASLt {} from {}", library.version, library.origin));
        Ok(self.vendor.insert(vendor))
    }

    /// An entry point of a kernel's module, which is loaded when it is first asked for.
    pub fn function(&mut self, id: &str, entry: &str, device: &Found) -> Result<CUfunction, DeviceError> {
        let image = images::find(id).ok_or_else(|| DeviceError::Unsupported(format!("CUDA has no kernel '{id}'")))?;
        if !self.modules.contains_key(image.id) {
            let (module, origin) = load(image, device)?;
            self.modules.insert(image.id, module);
            self.origins.insert(origin);
        }
        match self.modules.get(image.id) {
            Some(module) => {
                let function = module.function(entry)?;
                if ["cache_read", "chase"].contains(&image.id) {
                    prefer_cache(function)?;
                }
                Ok(function)
            }
            None => Err(DeviceError::Unsupported(format!("CUDA has no kernel '{id}'"))),
        }
    }
}

/// Leaves none of the memory that caches and work groups share to work groups.
fn prefer_cache(function: CUfunction) -> Result<(), Failed> {
    let carve_out = sys::CUfunction_attribute::CU_FUNC_ATTRIBUTE_PREFERRED_SHARED_MEMORY_CARVEOUT;
    // SAFETY: the function's module is loaded.
    call("cuFuncSetAttribute", || unsafe { sys::cuFuncSetAttribute(function, carve_out, 0) })
}

/// Lets a launch have so many bytes of shared memory, and leaves all that there is to work groups.
fn prefer_shared(function: CUfunction, bytes: u32) -> Result<(), Failed> {
    let limit = sys::CUfunction_attribute::CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES;
    // SAFETY: the function's module is loaded.
    call("cuFuncSetAttribute", || unsafe { sys::cuFuncSetAttribute(function, limit, bytes as i32) })?;
    let carve_out = sys::CUfunction_attribute::CU_FUNC_ATTRIBUTE_PREFERRED_SHARED_MEMORY_CARVEOUT;
    // SAFETY: as above; the value is a percentage.
    call("cuFuncSetAttribute", || unsafe { sys::cuFuncSetAttribute(function, carve_out, 100) })
}

/// Blocks of a function that a multiprocessor runs at once; `None` where the driver does not tell.
fn resident(function: CUfunction, threads: u32, shared: u32) -> Option<u32> {
    let name = "cuOccupancyMaxActiveBlocksPerMultiprocessor";
    let mut blocks = 0;
    // SAFETY: the function's module is loaded, and the driver writes one number.
    let asked = || unsafe {
        sys::cuOccupancyMaxActiveBlocksPerMultiprocessor(&mut blocks, function, threads as i32, shared as usize)
    };
    let told = driver::has(name) && call("cuOccupancyMaxActiveBlocksPerMultiprocessor", asked).is_ok();
    told.then_some(blocks.max(0).unsigned_abs())
}

/// Loads the machine code made for the device, or has the driver compile the PTX.
fn load(image: &images::Image, device: &Found) -> Result<(Module, String), DeviceError> {
    if let Some((major, minor)) = image.only.filter(|only| *only != device.capability) {
        return Err(DeviceError::Unsupported(format!(
            "kernel '{}' is for compute capability {major}.{minor} alone; the device has {}.{}",
            image.id, device.capability.0, device.capability.1
        )));
    }
    let made_for = image.cubins.iter().find(|(capability, _)| *capability == device.capability);
    if let Some(((major, minor), cubin)) = made_for {
        match Module::load(cubin) {
            Ok(module) => return Ok((module, format!("cubin sm_{major}{minor}"))),
            // A driver may refuse machine code, each with a code of its own, and take the text.
            Err((error, _)) => {
                let error = DeviceError::from(error);
                if error.is_fatal() {
                    return Err(error);
                }
            }
        }
    }
    match Module::load(image.ptx.as_bytes()) {
        Ok(module) => Ok((module, "PTX compiled by the driver".to_owned())),
        Err((Failed { code: CUresult::CUDA_ERROR_NO_BINARY_FOR_GPU, .. }, _)) => {
            Err(DeviceError::Unsupported(format!(
                "kernel '{}' needs compute capability 8.0 or later; the device has {}.{}",
                image.id, device.capability.0, device.capability.1
            )))
        }
        Err((error, said)) => {
            let said = if said.is_empty() { said } else { format!("; the compiler says: {said}") };
            let message = format!("kernel '{}': {error}{said}", image.id);
            Err(DeviceError::Call { call: "load", message })
        }
    }
}

/// Something put into a stream.
pub(super) enum Work {
    /// A launch, with its arguments in eight bytes each, and bytes of shared memory beside the kernel's own.
    Launch { function: CUfunction, blocks: u32, threads: u32, shared: u32, values: Vec<u64> },
    /// A matrix product by cuBLASLt.
    Product(Product),
    /// A copy within the device.
    Within { from: CUdeviceptr, to: CUdeviceptr, bytes: usize },
    /// A copy from the host's memory.
    ToDevice { from: *const u8, to: CUdeviceptr, bytes: usize },
    /// A copy into the host's memory.
    ToHost { from: CUdeviceptr, to: *mut u8, bytes: usize },
    /// A copy between this device and another, each with its context.
    Between { from: (CUdeviceptr, CUcontext), to: (CUdeviceptr, CUcontext), bytes: usize },
    /// Two things at once, the second in a stream of its own.
    Both { first: Box<Work>, second: Box<Work>, side: Rc<Side> },
}

/// A stream beside the one that windows run in, and the points at which they part and meet.
pub(super) struct Side {
    stream: Stream,
    parted: Event,
    met: Event,
}

impl Side {
    fn new() -> Result<Self, Failed> {
        Ok(Self { stream: Stream::new()?, parted: Event::untimed()?, met: Event::untimed()? })
    }
}

impl Work {
    /// Puts it at the end of a stream.
    pub fn queue(&self, stream: &Stream) -> Result<(), Failed> {
        match self {
            Self::Launch { function, blocks, threads, shared, values } => {
                let mut pointers = [null_mut::<c_void>(); ARGUMENTS_MAX];
                for (pointer, value) in pointers.iter_mut().zip(values) {
                    *pointer = std::ptr::from_ref(value).cast_mut().cast();
                }
                let parameters = pointers.as_mut_ptr();
                // SAFETY: the arguments are those of the kernel's contract, which was held against its buffers; the
                // driver reads them before it returns.
                call("cuLaunchKernel", || unsafe {
                    let (blocks, threads) = (*blocks, *threads);
                    sys::cuLaunchKernel(
                        *function,
                        blocks,
                        1,
                        1,
                        threads,
                        1,
                        1,
                        *shared,
                        stream.0,
                        parameters,
                        null_mut(),
                    )
                })
            }
            Self::Product(product) => product.queue(stream.0),
            Self::Within { from, to, bytes } => {
                // SAFETY: both ranges lie within their buffers, which outlive the program.
                call("cuMemcpyDtoDAsync", || unsafe { sys::cuMemcpyDtoDAsync_v2(*to, *from, *bytes, stream.0) })
            }
            Self::ToDevice { from, to, bytes } => {
                // SAFETY: as above.
                call("cuMemcpyHtoDAsync", || unsafe { sys::cuMemcpyHtoDAsync_v2(*to, from.cast(), *bytes, stream.0) })
            }
            Self::ToHost { from, to, bytes } => {
                // SAFETY: as above.
                call("cuMemcpyDtoHAsync", || unsafe { sys::cuMemcpyDtoHAsync_v2(to.cast(), *from, *bytes, stream.0) })
            }
            Self::Between { from, to, bytes } => {
                // SAFETY: as above; both contexts are held for as long as their memory.
                call("cuMemcpyPeerAsync", || unsafe {
                    sys::cuMemcpyPeerAsync(to.0, to.1, from.0, from.1, *bytes, stream.0)
                })
            }
            Self::Both { first, second, side } => {
                side.parted.record(stream)?;
                side.stream.wait_for(&side.parted)?;
                first.queue(stream)?;
                second.queue(&side.stream)?;
                side.met.record(&side.stream)?;
                stream.wait_for(&side.met)
            }
        }
    }
}

/// Entries that the library makes of a product: parts of its sums may be cleared, made and added up by kernels of their own.
const PRODUCT_ENTRIES: u64 = 4;
/// Entries that two things at once are in each of their streams.
const BOTH_ENTRIES: u64 = 3;
/// Arguments of a kernel, at most.
const ARGUMENTS_MAX: usize = 16;

/// A program ready to run.
pub(super) struct Recorded {
    /// A row per row of bindings; in each what every step does.
    pub rows: Vec<Vec<Work>>,
    /// Repeats go as graphs.
    pub as_graph: bool,
    /// Why a step holds the host until it is done, if one does: it cannot wait behind a latch.
    pub holds_the_host: Option<&'static str>,
    /// Graphs made so far, by first row and repeats.
    pub graphs: BTreeMap<(usize, u64), Graph>,
    /// Entries of a stream that a step is, at most.
    pub entries: u64,
    /// How often a product fills the device with work groups, where that is known.
    pub waves: Option<f64>,
    /// Memory that products keep parts of their sums in, with its bytes: steps follow one another, so they share it.
    parts: Vec<(u64, DeviceMemory)>,
    /// The stream beside, where a step needs one.
    side: Option<Rc<Side>>,
}

/// The ways to run a step; none if there is no code for it.
///
/// # Errors
///
/// `Unsupported` says what the device lacks for it.
pub(super) fn options(step: &Step, code: &mut Code, device: &Found) -> Result<Vec<Step>, DeviceError> {
    Ok(match step {
        Step::Launch { kernel, args, grid, block, shared, .. } => {
            // Buffers are not known yet; which variants there are does not depend on them.
            let values: Vec<_> = args.iter().map(|arg| scalar(arg).unwrap_or(Value::Buffer(0, 0))).collect();
            let launch = |variant| Step::Launch {
                kernel,
                variant,
                args: args.clone(),
                grid: *grid,
                block: *block,
                shared: *shared,
            };
            kernels::variants(kernel, &values, device)?.into_iter().map(launch).collect()
        }
        Step::Copy { .. } | Step::Copies { .. } => vec![step.clone()],
        Step::Matmul { desc, a, b, c, .. } => {
            let plans: Vec<String> = match desc.provider {
                Provider::Vendor => code.vendor()?.ways(desc)?,
                Provider::Own => products::ways(desc, device)?.into_iter().map(|way| way.name.to_owned()).collect(),
            };
            plans.into_iter().map(|plan| Step::Matmul { desc: *desc, plan, a: *a, b: *b, c: *c }).collect()
        }
        Step::GroupedMatmul { .. } => Vec::new(),
    })
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
    /// A program of rows that goes launch by launch.
    pub fn of(rows: Vec<Vec<Work>>) -> Self {
        Self {
            rows,
            as_graph: false,
            holds_the_host: None,
            graphs: BTreeMap::new(),
            entries: 1,
            waves: None,
            parts: Vec::new(),
            side: None,
        }
    }

    /// Steps of a repeat.
    pub fn steps(&self) -> u64 {
        self.rows.first().map_or(0, Vec::len) as u64
    }

    /// Binds a program's steps to memory. Nothing runs yet.
    pub fn new(program: &Program, memory: &Memory, code: &mut Code, device: &Found) -> Result<Self, DeviceError> {
        // A program without buffers still has its one row.
        let none = [Vec::new()];
        let bindings = if program.bindings.is_empty() { &none[..] } else { &program.bindings };
        let mut recorded = Self { as_graph: program.submit == Submit::Graph, ..Self::of(Vec::new()) };
        for slots in bindings {
            let row = Row { slots, memory };
            let steps: Result<Vec<_>, _> =
                program.steps.iter().map(|step| recorded.bind(&row, step, code, device)).collect();
            recorded.rows.push(steps?);
        }
        Ok(recorded)
    }

    fn bind(&mut self, row: &Row<'_>, step: &Step, code: &mut Code, device: &Found) -> Result<Work, DeviceError> {
        match step {
            Step::Launch { kernel, variant, args, grid, .. } => {
                let values = args.iter().map(|arg| row.value(arg)).collect::<Result<Vec<_>, _>>()?;
                let geometry = kernels::geometry(kernel, variant, &values, grid[0], device)?;
                Ok(Work::Launch {
                    function: code.function(geometry.module, geometry.entry, device)?,
                    blocks: geometry.blocks,
                    threads: geometry.threads,
                    shared: 0,
                    values: values.into_iter().take(ARGUMENTS_MAX).map(Value::bits).collect(),
                })
            }
            Step::Copy { from, to, bytes } => self.bind_copy(row, [*from, *to], bytes.0),
            Step::Copies { first, second, bytes } => {
                let (first, second) = (self.bind_copy(row, *first, bytes.0)?, self.bind_copy(row, *second, bytes.0)?);
                let side = match &self.side {
                    Some(side) => Rc::clone(side),
                    None => Rc::clone(self.side.insert(Rc::new(Side::new()?))),
                };
                self.entries = self.entries.max(BOTH_ENTRIES);
                Ok(Work::Both { first: Box::new(first), second: Box::new(second), side })
            }
            Step::Matmul { desc, plan, a, b, c } => self.bind_product(row, desc, plan, [*a, *b, *c], code, device),
            Step::GroupedMatmul { .. } => {
                Err(DeviceError::Unsupported("there is no grouped matrix product through CUDA yet".to_owned()))
            }
        }
    }
}

impl Recorded {
    fn bind_copy(&mut self, row: &Row<'_>, [from, to]: [Slot; 2], bytes: u64) -> Result<Work, DeviceError> {
        let (from, to) = (row.end(from, bytes)?, row.end(to, bytes)?);
        let (bytes, home) = (bytes as usize, row.memory.peers.home());
        self.holds_the_host = self.holds_the_host.or(match (&from, &to) {
            (End::Pageable(_), _) | (_, End::Pageable(_)) => Some("copies of pageable memory hold the host"),
            (End::Peer { direct: false, .. }, _) | (_, End::Peer { direct: false, .. }) => {
                Some("copies that the driver stages may hold the host")
            }
            _ => None,
        });
        match (from, to) {
            (End::Device(from), End::Device(to)) => Ok(Work::Within { from, to, bytes }),
            (End::Pinned(from) | End::Pageable(from), End::Device(to)) => Ok(Work::ToDevice { from, to, bytes }),
            (End::Device(from), End::Pinned(to) | End::Pageable(to)) => Ok(Work::ToHost { from, to, bytes }),
            (End::Device(from), End::Peer { pointer, context, .. }) => {
                Ok(Work::Between { from: (from, home), to: (pointer, context), bytes })
            }
            (End::Peer { pointer, context, .. }, End::Device(to)) => {
                Ok(Work::Between { from: (pointer, context), to: (to, home), bytes })
            }
            _ => Err(DeviceError::Unsupported("a copy with neither end on this device is not its work".to_owned())),
        }
    }

    /// A product by the plan of a name, the first for an empty one.
    fn bind_product(
        &mut self,
        row: &Row<'_>,
        desc: &MatmulDesc,
        plan: &str,
        slots: [Slot; 3],
        code: &mut Code,
        device: &Found,
    ) -> Result<Work, DeviceError> {
        let operands = row.operands(desc, slots)?;
        if desc.provider == Provider::Vendor {
            let product = code.vendor()?.product(desc, plan, operands)?;
            self.waves = Some(product.waves());
            self.entries = PRODUCT_ENTRIES;
            return Ok(Work::Product(product));
        }
        let ways = products::ways(desc, device)?;
        let way = ways.iter().find(|way| plan.is_empty() || way.name == plan).ok_or_else(|| {
            let known: Vec<_> = ways.iter().map(|way| way.name).collect();
            DeviceError::Unsupported(format!("no plan '{plan}' for this product here; known: {}", known.join(", ")))
        })?;
        let cut = way.cut(desc, device.info.compute_units)?;
        let mut values = operands.to_vec();
        values.push(self.parts_of(cut.parts_b)?);
        values.extend([desc.m, desc.n, desc.k, cut.splits.into()]);
        let function = code.function(way.module, &format!("matmul_{}_{}", desc.a, way.name), device)?;
        if way.shared_b > 0 {
            prefer_shared(function, way.shared_b)?;
        }
        let at_once = resident(function, way.threads, way.shared_b).map(|blocks| blocks * device.info.compute_units);
        self.waves = at_once.filter(|at_once| *at_once > 0).map(|at_once| f64::from(cut.blocks) / f64::from(at_once));
        Ok(Work::Launch { function, blocks: cut.blocks, threads: way.threads, shared: way.shared_b, values })
    }

    /// The address of memory for so many bytes of sums; nothing reads the address where it is for none.
    fn parts_of(&mut self, bytes: u64) -> Result<CUdeviceptr, DeviceError> {
        if bytes == 0 {
            return Ok(0);
        }
        if let Some((_, memory)) = self.parts.iter().find(|(has, _)| *has >= bytes) {
            return Ok(memory.pointer);
        }
        let memory = DeviceMemory::new(bytes as usize)?;
        let pointer = memory.pointer;
        self.parts.push((bytes, memory));
        Ok(pointer)
    }
}

/// One end of a copy.
enum End {
    Device(CUdeviceptr),
    Pinned(*mut u8),
    Pageable(*mut u8),
    Peer { pointer: CUdeviceptr, context: CUcontext, direct: bool },
}

/// A row of bindings and the memory behind it.
struct Row<'a> {
    slots: &'a [BufferId],
    memory: &'a Memory,
}

impl Row<'_> {
    fn buffer(&self, slot: Slot) -> Result<&super::memory::Buffer, DeviceError> {
        let unknown = || invalid(format!("slot {} names no buffer", slot.0));
        self.memory.get(*self.slots.get(slot.0 as usize).ok_or_else(unknown)?, "record")
    }

    /// An argument; kernels are lent the device's memory and pinned memory.
    fn value(&self, arg: &Arg) -> Result<Value, DeviceError> {
        let Arg::Buffer(slot) = arg else {
            return scalar(arg).ok_or_else(|| invalid(format!("{arg:?} is no argument")));
        };
        let buffer = self.buffer(*slot)?;
        match &buffer.storage {
            Storage::Device(memory) => Ok(Value::Buffer(memory.pointer, buffer.size / 4)),
            Storage::Pinned(memory) => Ok(Value::Buffer(memory.device, buffer.size / 4)),
            Storage::Pageable(_) => {
                Err(DeviceError::Unsupported("kernels do not reach pageable memory of the host".to_owned()))
            }
            Storage::Peer(_) => {
                Err(DeviceError::Unsupported("kernels are not lent the memory of other devices".to_owned()))
            }
        }
    }

    /// The addresses of a product's operands, which must be large enough.
    fn operands(&self, desc: &MatmulDesc, slots: [Slot; 3]) -> Result<[CUdeviceptr; 3], DeviceError> {
        let needs = [(desc.m * desc.k, desc.a), (desc.k * desc.n, desc.b), (desc.m * desc.n, desc.c)];
        let mut operands = [0; 3];
        for ((slot, (elements, format)), operand) in slots.into_iter().zip(needs).zip(&mut operands) {
            let Value::Buffer(address, _) = self.value(&Arg::Buffer(slot))? else { continue };
            let (size, needed) = (self.buffer(slot)?.size, elements * format.size());
            if needed > size {
                return Err(invalid(format!("{needed} bytes are more than slot {} has", slot.0)));
            }
            *operand = address;
        }
        Ok(operands)
    }

    fn end(&self, slot: Slot, bytes: u64) -> Result<End, DeviceError> {
        let buffer = self.buffer(slot)?;
        if bytes > buffer.size {
            return Err(invalid(format!("{bytes} bytes are more than slot {} has", slot.0)));
        }
        Ok(match &buffer.storage {
            Storage::Device(memory) => End::Device(memory.pointer),
            Storage::Pinned(memory) => End::Pinned(memory.host),
            Storage::Pageable(bytes) => End::Pageable(bytes.as_ptr().cast_mut()),
            Storage::Peer(memory) => {
                End::Peer { pointer: memory.pointer(), context: memory.peer.context(), direct: memory.is_direct() }
            }
        })
    }
}

fn invalid(message: String) -> DeviceError {
    DeviceError::Call { call: "record", message }
}
