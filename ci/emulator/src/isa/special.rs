//! Special registers. PTX ISA chapter 10.

use std::sync::OnceLock;
use std::time::Instant;

use crate::exec::{Ctx, Flow, Register, Run};

/// Reads a special register for one lane.
pub type Read = fn(&Ctx<'_>, u32) -> u64;

/// Nanoseconds of the host's monotonic clock since the emulator was first asked.
pub fn global_timer() -> u64 {
    static START: OnceLock<Instant> = OnceLock::new();
    // Away from zero, which programs take for "not yet stamped".
    START.get_or_init(Instant::now).elapsed().as_nanos() as u64 + 1_000_000_000
}

fn thread(ctx: &Ctx<'_>, lane: u32, axis: usize) -> u64 {
    let linear = ctx.warp.index * 32 + lane;
    let [x, y, _] = ctx.grid.threads;
    u64::from([linear % x, linear / x % y, linear / x / y][axis])
}

/// It goes on between kernels, as on hardware, at a rate that does not change and from a start of each multiprocessor's
/// own.
fn clock(ctx: &Ctx<'_>) -> u64 {
    const START: u64 = 1 << 44;
    let unit = block(ctx) % u64::from(ctx.grid.machine.multiprocessors);
    START + (unit << 32) + (global_timer() as f64 * 1e-9 * ctx.grid.machine.clock_hz) as u64
}

fn block(ctx: &Ctx<'_>) -> u64 {
    let ([x, y, z], [width, height, _]) = (ctx.block.index.map(u64::from), ctx.grid.blocks.map(u64::from));
    (z * height + y) * width + x
}

/// The register of a name.
pub fn named(name: &str) -> Option<Read> {
    Some(match name {
        "%tid.x" => |ctx, lane| thread(ctx, lane, 0),
        "%tid.y" => |ctx, lane| thread(ctx, lane, 1),
        "%tid.z" => |ctx, lane| thread(ctx, lane, 2),
        "%ntid.x" => |ctx, _| ctx.grid.threads[0].into(),
        "%ntid.y" => |ctx, _| ctx.grid.threads[1].into(),
        "%ntid.z" => |ctx, _| ctx.grid.threads[2].into(),
        "%ctaid.x" => |ctx, _| ctx.block.index[0].into(),
        "%ctaid.y" => |ctx, _| ctx.block.index[1].into(),
        "%ctaid.z" => |ctx, _| ctx.block.index[2].into(),
        "%nctaid.x" => |ctx, _| ctx.grid.blocks[0].into(),
        "%nctaid.y" => |ctx, _| ctx.grid.blocks[1].into(),
        "%nctaid.z" => |ctx, _| ctx.grid.blocks[2].into(),
        "%laneid" => |_, lane| lane.into(),
        "%warpid" => |ctx, _| ctx.warp.index.into(),
        "%nwarpid" => |_, _| 64,
        "%smid" => |ctx, _| block(ctx) % u64::from(ctx.grid.machine.multiprocessors),
        "%nsmid" => |ctx, _| ctx.grid.machine.multiprocessors.into(),
        "%gridid" => |_, _| 1,
        "%lanemask_eq" => |_, lane| 1 << lane,
        "%lanemask_lt" => |_, lane| (1 << lane) - 1,
        "%lanemask_le" => |_, lane| (2 << lane) - 1,
        "%lanemask_gt" => |_, lane| 0xFFFF_FFFF & !((2u64 << lane) - 1),
        "%lanemask_ge" => |_, lane| 0xFFFF_FFFF & !((1u64 << lane) - 1),
        "%clock" => |ctx, _| clock(ctx) & 0xFFFF_FFFF,
        "%clock_hi" => |ctx, _| clock(ctx) >> 32,
        "%clock64" => |ctx, _| clock(ctx),
        "%globaltimer" => |_, _| global_timer(),
        "%globaltimer_lo" => |_, _| global_timer() & 0xFFFF_FFFF,
        "%globaltimer_hi" => |_, _| global_timer() >> 32,
        "%dynamic_smem_size" => |ctx, _| (ctx.grid.shared_bytes - ctx.grid.kernel.shared_bytes) as u64,
        "%total_smem_size" => |ctx, _| ctx.grid.shared_bytes as u64,
        "%is_explicit_cluster" => |_, _| 0,
        "%cluster_ctaid.x" | "%cluster_ctaid.y" | "%cluster_ctaid.z" | "%cluster_ctarank" => |_, _| 0,
        "%cluster_nctaid.x" | "%cluster_nctaid.y" | "%cluster_nctaid.z" | "%cluster_nctarank" => |_, _| 1,
        _ => return None,
    })
}

/// Moves it to a register.
pub fn read(to: Register, read: Read) -> Run {
    Box::new(move |ctx| {
        let values = std::array::from_fn(|lane| read(ctx, lane as u32));
        ctx.set(to, &values);
        Ok(Flow::Next)
    })
}
