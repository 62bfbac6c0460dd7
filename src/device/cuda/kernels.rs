//! Every kernel that programs launch: what arguments fit it, and how a launch of it is cut into blocks.

use super::devices::Found;
use super::layers;
use super::variants::{self, Blocks, Issue, Variant};
use crate::device::DeviceError;

/// An argument, its slot resolved.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Value {
    /// A buffer: its address, and the whole words it has.
    Buffer(u64, u64),
    /// A 32-bit number.
    U32(u32),
    /// A 64-bit number.
    U64(u64),
    /// A binary32 number.
    F32(f32),
    /// A binary64 number.
    F64(f64),
}

impl Value {
    /// The bits handed over, in the low end of eight bytes.
    pub fn bits(self) -> u64 {
        match self {
            Self::Buffer(address, _) => address,
            Self::U32(number) => number.into(),
            Self::U64(number) => number,
            Self::F32(number) => number.to_bits().into(),
            Self::F64(number) => number.to_bits(),
        }
    }
}

/// A kernel: what arguments fit it, and how it can be run with them.
pub(super) struct Kernel {
    pub id: &'static str,
    pub signature: &'static str,
    pub fits: fn(&[Value]) -> bool,
    pub variants: fn(&[Value], &Found) -> Result<&'static [Variant], DeviceError>,
}

/// Every kernel that programs launch, but for those of a decode step ([`layers`]). To add one: its entry points, and a row
/// here.
static KERNELS: &[Kernel] = &[
    Kernel {
        id: "memory_read",
        signature: "memory_read(in, out, words: U64) with in of words or more and out of 256 words",
        fits: |args| {
            matches!(args, [Value::Buffer(_, from), Value::Buffer(_, out), Value::U64(words)]
                if words <= from && *out >= PARTS)
        },
        variants: |_, _| Ok(variants::MEMORY_READ),
    },
    Kernel {
        id: "memory_write",
        signature: "memory_write(out, words: U64, key: U32) with out of words or more",
        fits: |args| matches!(args, [Value::Buffer(_, out), Value::U64(words), Value::U32(_)] if words <= out),
        variants: |_, _| Ok(variants::MEMORY_WRITE),
    },
    Kernel {
        id: "memory_copy",
        signature: "memory_copy(in, out, words: U64) with buffers of words or more",
        fits: |args| {
            matches!(args, [Value::Buffer(_, from), Value::Buffer(_, to), Value::U64(words)]
                if words <= from && words <= to)
        },
        variants: |_, _| Ok(variants::MEMORY_COPY),
    },
    Kernel {
        id: "memory_triad",
        signature: "memory_triad(b, c, out, words: U64, scalar: F32) with buffers of words or more",
        fits: |args| {
            matches!(args, [Value::Buffer(_, b), Value::Buffer(_, c), Value::Buffer(_, out), Value::U64(words),
                Value::F32(_)] if [b, c, out].iter().all(|buffer| words <= *buffer))
        },
        variants: |_, _| Ok(variants::MEMORY_TRIAD),
    },
    Kernel {
        id: "cache_read",
        signature: "cache_read(in, out, words: U64, passes: U64, units: U64, shared: U32) with in of words or more and \
                    out of 16 words per unit or more",
        fits: |args| {
            matches!(args, [Value::Buffer(_, from), Value::Buffer(_, out), Value::U64(words), Value::U64(_),
                Value::U64(units), Value::U32(_)]
                if words <= from && *units > 0 && units.checked_mul(16).is_some_and(|sums| sums <= *out))
        },
        variants: |_, _| Ok(variants::CACHE_READ),
    },
    Kernel {
        id: "chase",
        signature: "chase(cycle, starts, out, steps: U64 up to 65535, chains: U64) with starts and out of 16 words per \
                    chain or more",
        fits: |args| {
            matches!(args, [Value::Buffer(..), Value::Buffer(_, starts), Value::Buffer(_, out), Value::U64(0..=65_535),
                Value::U64(chains)] if chains.checked_mul(16).is_some_and(|words| words <= *starts && words <= *out))
        },
        variants: |_, _| Ok(variants::CHASE),
    },
    Kernel {
        id: "intensity",
        signature: "intensity(in, out, words: U64, steps: U32, every: U32 of 1 to 8, factor: F32, even: F32, odd: F32) \
                    with in of words or more and out of 256 words",
        fits: |args| {
            matches!(args, [Value::Buffer(_, from), Value::Buffer(_, out), Value::U64(words), Value::U32(_),
                Value::U32(1..=8), Value::F32(_), Value::F32(_), Value::F32(_)] if words <= from && *out >= PARTS)
        },
        variants: |_, _| Ok(variants::INTENSITY),
    },
    Kernel {
        id: "empty",
        signature: "empty(out, slots: U64, token: U32) with out of 16 words per slot or more",
        fits: |args| {
            matches!(args, [Value::Buffer(_, out), Value::U64(slots), Value::U32(_)]
                if slots.checked_mul(16).is_some_and(|words| words <= *out))
        },
        variants: |_, _| Ok(variants::EMPTY),
    },
    Kernel {
        id: "fma",
        signature: "fma(out, precision: U32 of 0 to 5, lanes: U64, iterations: U64, factor: F64, term: F64) with out \
                    of lanes numbers or more",
        fits: |args| {
            matches!(args, [Value::Buffer(_, out), Value::U32(precision), Value::U64(lanes), Value::U64(_),
                Value::F64(_), Value::F64(_)]
                if bytes_of(*precision).and_then(|bytes| lanes.checked_mul(bytes)).is_some_and(|bytes| bytes <= 4 * out))
        },
        variants: |args, _| {
            Ok(match args.get(1) {
                Some(Value::U32(precision)) => variants::FMA.get(*precision as usize).copied().unwrap_or_default(),
                _ => &[],
            })
        },
    },
    Kernel {
        id: "mma",
        signature: "mma(out, format: U32 of 0 to 5, tiles: U64, rounds: U64 up to 65535) with out of 16384 words per \
                    tile or more, and fewer than 2^16 tiles",
        fits: |args| {
            matches!(args, [Value::Buffer(_, out), Value::U32(0..=5), Value::U64(tiles @ 0..=0xffff),
                Value::U64(0..=0xffff)] if tiles * 16_384 <= *out)
        },
        variants: |args, device| {
            let Some(Value::U32(format)) = args.get(1) else { return Ok(&[]) };
            let issue = variants::issue(*format, device.capability).map_err(DeviceError::Unsupported)?;
            let table = if issue == Issue::Groups { &variants::MMA_GROUPS } else { &variants::MMA_WARPS };
            Ok(table.get(*format as usize).copied().unwrap_or_default())
        },
    },
];

/// Chunks whose sums a kernel leaves.
const PARTS: u64 = 256;

/// Bytes of a number, by what the `precision` argument of `fma` spells.
fn bytes_of(precision: u32) -> Option<u64> {
    [8, 4, 4, 2, 4, 2].get(precision as usize).copied()
}

fn find(id: &str) -> Option<&'static Kernel> {
    KERNELS.iter().chain(layers::KERNELS).find(|kernel| kernel.id == id)
}

/// Names of the ways to run a kernel; none if there is no such kernel.
///
/// # Errors
///
/// `Unsupported` says what the device lacks for it.
pub(super) fn variants(id: &str, args: &[Value], device: &Found) -> Result<Vec<&'static str>, DeviceError> {
    let variants = find(id).map_or(Ok(&[][..]), |kernel| (kernel.variants)(args, device))?;
    Ok(variants.iter().map(|variant| variant.name).collect())
}

/// A launch: what runs, in how many blocks of how many threads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Geometry {
    /// The module of the entry point.
    pub module: &'static str,
    /// The entry point.
    pub entry: &'static str,
    /// Blocks, in one dimension.
    pub blocks: u32,
    /// Threads of a block.
    pub threads: u32,
}

/// The launch of a kernel by a variant (the first for an empty name). `asked` is the grid that the step asks for.
pub(super) fn geometry(
    id: &str,
    name: &str,
    args: &[Value],
    asked: u32,
    device: &Found,
) -> Result<Geometry, DeviceError> {
    let kernel = find(id).ok_or_else(|| DeviceError::Unsupported(format!("CUDA has no kernel '{id}'")))?;
    if !(kernel.fits)(args) {
        let message = format!("the arguments do not fit {}", kernel.signature);
        return Err(DeviceError::Call { call: "record", message });
    }
    let variants = (kernel.variants)(args, device)?;
    let variant = variants.iter().find(|variant| name.is_empty() || variant.name == name).ok_or_else(|| {
        let known: Vec<_> = variants.iter().map(|variant| variant.name).collect();
        DeviceError::Unsupported(format!("no variant '{name}' of '{id}' here; known: {}", known.join(", ")))
    })?;
    let blocks = match variant.blocks {
        Blocks::PerUnit(blocks) => blocks * device.info.compute_units.max(1),
        Blocks::Asked => asked.max(1),
        Blocks::Of(_) if asked > 0 => asked,
        Blocks::Of(blocks) => {
            u32::try_from(blocks(args, variant.threads).max(1)).unwrap_or(i32::MAX as u32).min(i32::MAX as u32)
        }
        Blocks::Words(each) | Blocks::Lanes(each) => {
            let work = args.iter().find_map(|arg| if let Value::U64(work) = arg { Some(*work) } else { None });
            let each = u64::from(each) * u64::from(variant.threads);
            u32::try_from(work.unwrap_or(0).div_ceil(each).max(1)).unwrap_or(i32::MAX as u32).min(i32::MAX as u32)
        }
    };
    let module = if variant.module.is_empty() { kernel.id } else { variant.module };
    Ok(Geometry { module, entry: variant.entry, blocks, threads: variant.threads })
}
