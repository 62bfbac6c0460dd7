//! The ways to run every kernel: the entry point, the threads of a block, and how many blocks there are.
//!
//! Entry points work with any number of blocks and threads, so a way is a row here and no code. A race chooses among
//! them: few, since each costs a race on every case.

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
}

/// A way to run a kernel.
pub(super) struct Variant {
    pub name: &'static str,
    pub entry: &'static str,
    pub threads: u32,
    pub blocks: Blocks,
}

const fn way(name: &'static str, entry: &'static str, threads: u32, blocks: Blocks) -> Variant {
    Variant { name, entry, threads, blocks }
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
