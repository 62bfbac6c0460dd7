//! The ways to run every kernel: the entry point, the threads of a block, and how many blocks there are.
//!
//! Entry points work with any number of blocks and threads, so a way is a row here and no code. A race chooses among
//! them: few, since each costs a race on every case.

use super::kernels::Value;

/// How many blocks a launch has.
#[derive(Clone, Copy)]
pub(super) enum Blocks {
    /// So many for every multiprocessor.
    PerUnit(u32),
    /// As many as the launch asks for.
    Asked,
    /// As many as it takes for each thread to work on so many words.
    Words(u32),
    /// As many as it takes for each thread to work on so many lanes.
    Lanes(u32),
    /// As many as the arguments say, for blocks of so many threads, unless the launch asks for a number.
    Of(fn(&[Value], u32) -> u64),
}

/// A way to run a kernel.
pub(super) struct Variant {
    pub name: &'static str,
    pub entry: &'static str,
    pub threads: u32,
    pub blocks: Blocks,
    /// The module of the entry; empty for that of the kernel's id.
    pub module: &'static str,
}

pub(super) const fn way(name: &'static str, entry: &'static str, threads: u32, blocks: Blocks) -> Variant {
    Variant { name, entry, threads, blocks, module: "" }
}

use Blocks::{Asked, Lanes, PerUnit, Words};

pub(super) static MEMORY_READ: &[Variant] = &[
    way("u8_256x4", "memory_read_u8", 256, PerUnit(4)),
    way("u8_512x2", "memory_read_u8", 512, PerUnit(2)),
    way("u8_1024x2", "memory_read_u8", 1024, PerUnit(2)),
    way("u10_256x4", "memory_read_u10", 256, PerUnit(4)),
    way("u10_512x2", "memory_read_u10", 512, PerUnit(2)),
];

pub(super) static MEMORY_WRITE: &[Variant] = &[
    way("u4_256x8", "memory_write_u4", 256, PerUnit(8)),
    way("u4_512x4", "memory_write_u4", 512, PerUnit(4)),
    way("u8_512x2", "memory_write_u8", 512, PerUnit(2)),
    way("u4_256_all", "memory_write_u4", 256, Words(16)),
];

pub(super) static MEMORY_COPY: &[Variant] = &[
    way("u8_256x4", "memory_copy_u8", 256, PerUnit(4)),
    way("u8_512x2", "memory_copy_u8", 512, PerUnit(2)),
    way("u8_1024x2", "memory_copy_u8", 1024, PerUnit(2)),
    way("u12_512x2", "memory_copy_u12", 512, PerUnit(2)),
    way("u8_256_all", "memory_copy_u8", 256, Words(32)),
];

pub(super) static MEMORY_TRIAD: &[Variant] = &[
    way("u8_256x4", "memory_triad_u8", 256, PerUnit(4)),
    way("u8_512x2", "memory_triad_u8", 512, PerUnit(2)),
    way("u12_512x2", "memory_triad_u12", 512, PerUnit(2)),
    way("u8_256_all", "memory_triad_u8", 256, Words(16)),
];

pub(super) static CACHE_READ: &[Variant] = &[
    way("u4_256", "cache_read_u4", 256, Asked),
    way("u4_512", "cache_read_u4", 512, Asked),
    way("u8_512", "cache_read_u8", 512, Asked),
    way("u8_1024", "cache_read_u8", 1024, Asked),
];

pub(super) static CHASE: &[Variant] = &[way("only", "chase", 32, Asked)];

pub(super) static INTENSITY: &[Variant] = &[
    way("u4_128x8", "intensity_u4", 128, PerUnit(8)),
    way("u4_256x8", "intensity_u4", 256, PerUnit(8)),
    way("u8_256x4", "intensity_u8", 256, PerUnit(4)),
];

pub(super) static EMPTY: &[Variant] = &[way("only", "empty", 32, Asked)];

/// By what the `precision` argument spells; of 16-bit formats a register holds two lanes.
pub(super) static FMA: [&[Variant]; 6] = [
    &[
        way("c4_256", "fma_f64_c4", 256, Lanes(4)),
        way("c8_256", "fma_f64_c8", 256, Lanes(8)),
        way("c8_512", "fma_f64_c8", 512, Lanes(8)),
    ],
    &[
        way("c4_256", "fma_f32_c4", 256, Lanes(4)),
        way("c8_256", "fma_f32_c8", 256, Lanes(8)),
        way("c8_512", "fma_f32_c8", 512, Lanes(8)),
    ],
    &[
        way("c4_256", "fma_i32_c4", 256, Lanes(4)),
        way("c8_256", "fma_i32_c8", 256, Lanes(8)),
        way("c8_512", "fma_i32_c8", 512, Lanes(8)),
    ],
    &[
        way("c4_256", "fma_f16_c4", 256, Lanes(8)),
        way("c8_128", "fma_f16_c8", 128, Lanes(16)),
        way("c8_256", "fma_f16_c8", 256, Lanes(16)),
    ],
    &[
        way("c4_256", "fma_dot4_c4", 256, Lanes(4)),
        way("c8_256", "fma_dot4_c8", 256, Lanes(8)),
        way("c8_512", "fma_dot4_c8", 512, Lanes(8)),
    ],
    &[
        way("c4_256", "fma_bf16_c4", 256, Lanes(8)),
        way("c8_128", "fma_bf16_c8", 128, Lanes(16)),
        way("c8_256", "fma_bf16_c8", 256, Lanes(16)),
    ],
];

/// What the matrix units of a device take, of the formats that the `format` argument of `mma` spells.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Issue {
    /// Products of warps (`mma.sync`), of compute capability 8.0 and later; of 8-bit floating point 8.9 alone.
    Warps,
    /// Products of warpgroups (`wgmma`), of compute capability 9.0.
    Groups,
}

/// How a device's matrix units are kept busy in a format, by the number that spells it: the native instruction alone,
/// since others are emulated by it or run below the units' rate.
///
/// # Errors
///
/// What the device, or its kernels, lack.
pub(super) fn issue(format: u32, (major, minor): (u32, u32)) -> Result<Issue, String> {
    let narrow = matches!(format, 4 | 5);
    match (major, minor) {
        (9, 0) => Ok(Issue::Groups),
        (8, 9) => Ok(Issue::Warps),
        (8 | 12, _) if !narrow => Ok(Issue::Warps),
        (8, _) => Err(format!("the matrix units of compute capability {major}.{minor} have no 8-bit floating point")),
        (10.., _) => Err(format!(
            "the matrix units of compute capability {major}.{minor} take instructions of their own, for which there is \
             no kernel in this format yet"
        )),
        _ => Err(format!("matrix units are measured from compute capability 8.0 on; the device has {major}.{minor}")),
    }
}

macro_rules! issues {
    ($format:literal, $module:literal) => {
        &[
            Variant { module: $module, ..way("c4_256x2", concat!("mma_", $format, "_c4"), 256, PerUnit(2)) },
            Variant { module: $module, ..way("c8_256x1", concat!("mma_", $format, "_c8"), 256, PerUnit(1)) },
            Variant { module: $module, ..way("c8_256x2", concat!("mma_", $format, "_c8"), 256, PerUnit(2)) },
        ]
    };
    ($format:literal) => {
        &[
            Variant { module: "mma_sm_90a", ..way("n128_512", concat!("mma_", $format, "_n128"), 512, PerUnit(1)) },
            Variant { module: "mma_sm_90a", ..way("n256_256", concat!("mma_", $format, "_n256"), 256, PerUnit(1)) },
        ]
    };
}

/// By what the `format` argument spells: products of warps.
pub(super) static MMA_WARPS: [&[Variant]; 6] = [
    issues!("f16", "mma"),
    issues!("bf16", "mma"),
    issues!("tf32", "mma"),
    issues!("i8", "mma"),
    issues!("fp8_e4m3", "mma_sm_89"),
    issues!("fp8_e5m2", "mma_sm_89"),
];

/// Likewise of warpgroups.
pub(super) static MMA_GROUPS: [&[Variant]; 6] =
    [issues!("f16"), issues!("bf16"), issues!("tf32"), issues!("i8"), issues!("fp8_e4m3"), issues!("fp8_e5m2")];
