//! How many blocks fit on a multiprocessor. CUDA C++ Programming Guide, "Hardware Multithreading" and the table of
//! technical specifications per compute capability.

use super::module::{FUNCTIONS, Function};
use super::{Answer, Code, Handle, answer, context, put};
use crate::code;
use crate::personality::Model;

/// Blocks resident on a multiprocessor, by threads, registers (estimated), shared memory and their own limit.
pub fn blocks_per_multiprocessor(model: &Model, function: &Function, threads: u32, dynamic: usize) -> u32 {
    let warps = threads.div_ceil(32).max(1);
    // Registers go to warps in portions of 256.
    let registers = (function.kernel.register_estimate * 32).next_multiple_of(256) * warps;
    // Each block has 1 KiB of the driver's besides, in portions of 128 bytes.
    let shared = (function.kernel.shared_bytes + dynamic + 1024).next_multiple_of(128) as u32;
    (64 / warps).min(65_536 / registers).min(model.shared_per_multiprocessor / shared).min(32)
}

fn occupancy(function: Handle, threads: i32, dynamic: usize) -> Answer<i32> {
    let context = context::current()?;
    let function = FUNCTIONS.get(function)?;
    let limit = function.kernel.max_threads.map_or(1024, |(threads, _)| threads);
    match u32::try_from(threads) {
        Ok(0) | Err(_) => Err(code::INVALID_VALUE),
        Ok(threads) if threads > limit => Ok(0),
        Ok(threads) => Ok(blocks_per_multiprocessor(context.model, &function, threads, dynamic) as i32),
    }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuOccupancyMaxActiveBlocksPerMultiprocessor(
    blocks: *mut i32,
    function: Handle,
    threads: i32,
    dynamic: usize,
) -> Code {
    // SAFETY: the API's contract.
    answer(|| unsafe { put(blocks, occupancy(function, threads, dynamic)?) })
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuOccupancyMaxActiveBlocksPerMultiprocessorWithFlags(
    blocks: *mut i32,
    function: Handle,
    threads: i32,
    dynamic: usize,
    _flags: u32,
) -> Code {
    // SAFETY: the API's contract.
    unsafe { cuOccupancyMaxActiveBlocksPerMultiprocessor(blocks, function, threads, dynamic) }
}

/// The largest block of those that keep the most threads resident.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuOccupancyMaxPotentialBlockSize(
    grid: *mut i32,
    block: *mut i32,
    function: Handle,
    dynamic_of: Option<unsafe extern "C" fn(i32) -> usize>,
    dynamic: usize,
    limit: i32,
) -> Code {
    answer(|| {
        let context = context::current()?;
        let limit = if limit > 0 { limit.min(1024) } else { 1024 };
        let mut best = (0, 0, 0);
        for threads in (32..=limit).step_by(32) {
            // SAFETY: the API's contract.
            let dynamic = dynamic_of.map_or(dynamic, |of| unsafe { of(threads) });
            let blocks = occupancy(function, threads, dynamic)?;
            best = best.max((blocks * threads, threads, blocks));
        }
        // SAFETY: the API's contract.
        unsafe {
            put(grid, best.2 * context.model.multiprocessors as i32)?;
            put(block, best.1)
        }
    })
}
