//! Launches: what is asked for is checked, then queued.

use std::ffi::c_void;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::module::{FUNCTIONS, Function};
use super::occupancy::blocks_per_multiprocessor;
use super::{Answer, Code, Handle, answer, context, stream};
use crate::exec::grid::{Grid, Machine};
use crate::{code, fault};

/// `CUlaunchConfig`.
#[repr(C)]
pub struct LaunchConfig {
    blocks: [u32; 3],
    threads: [u32; 3],
    shared_bytes: u32,
    stream: Handle,
    attributes: *const LaunchAttribute,
    attribute_count: u32,
}

/// `CUlaunchAttribute`: 64 bytes of value behind the id.
#[repr(C)]
pub struct LaunchAttribute {
    id: u32,
    pad: [u8; 4],
    value: [u32; 16],
}

/// Copies the parameters, given as a list of pointers or as one buffer.
///
/// # Safety
/// As `cuLaunchKernel`.
unsafe fn parameters(function: &Function, list: *mut *mut c_void, extra: *mut *mut c_void) -> Answer<Vec<u8>> {
    let kernel = &function.kernel;
    let mut bytes = vec![0; kernel.param_bytes()];
    if bytes.is_empty() {
        return Ok(bytes);
    }
    if !list.is_null() {
        for (index, (offset, size)) in kernel.params.iter().enumerate() {
            // SAFETY: the list has a pointer for each parameter, by the caller's promise.
            let from = unsafe { *list.add(index) };
            if from.is_null() {
                return Err(code::INVALID_VALUE);
            }
            // SAFETY: each pointer leads to a value of the parameter's size.
            unsafe { std::ptr::copy_nonoverlapping(from.cast(), bytes[*offset..].as_mut_ptr(), *size) };
        }
        return Ok(bytes);
    }
    if extra.is_null() {
        return Err(code::INVALID_VALUE);
    }
    // SAFETY: pairs of a tag and a value, ended by a tag of 0: 1 is the buffer, 2 its size.
    unsafe {
        let (mut at, mut buffer, mut size) = (extra, std::ptr::null(), 0);
        while !(*at).is_null() {
            match *at as usize {
                1 => buffer = *at.add(1),
                2 => size = *(*at.add(1)).cast::<usize>(),
                _ => return Err(code::INVALID_VALUE),
            }
            at = at.add(2);
        }
        if buffer.is_null() || size < bytes.len() {
            return Err(code::INVALID_VALUE);
        }
        std::ptr::copy_nonoverlapping(buffer.cast(), bytes.as_mut_ptr(), bytes.len());
    }
    Ok(bytes)
}

/// # Safety
/// As `cuLaunchKernel`.
unsafe fn launch(
    function: Handle,
    [blocks, threads]: [[u32; 3]; 2],
    shared_bytes: u32,
    stream: Handle,
    [list, extra]: [*mut *mut c_void; 2],
    cooperative: bool,
) -> Answer {
    let context = context::current()?;
    let function = FUNCTIONS.get(function)?;
    let kernel = &function.kernel;
    let per_block: u64 = threads.iter().map(|count| u64::from(*count)).product();
    let bad_grid = blocks.contains(&0) || blocks[0] > i32::MAX as u32 || blocks[1] > 65_535 || blocks[2] > 65_535;
    let bad_block =
        threads.contains(&0) || threads[2] > 64 || threads[0] > 1024 || threads[1] > 1024 || per_block > 1024;
    if bad_grid || bad_block || shared_bytes > function.dynamic_limit.load(Ordering::Acquire) {
        return Err(code::INVALID_VALUE);
    }
    let refused = match kernel.max_threads {
        Some((limit, false)) => per_block > u64::from(limit),
        Some((exact, true)) => per_block != u64::from(exact),
        None => false,
    };
    if refused || per_block * u64::from(kernel.register_estimate) > 65_536 {
        return Err(code::LAUNCH_OUT_OF_RESOURCES);
    }
    if kernel.cluster.is_some_and(|cluster| cluster != [1; 3]) {
        return Err(code::NOT_SUPPORTED);
    }
    let resident = blocks_per_multiprocessor(context.model, &function, per_block as u32, shared_bytes as usize);
    let resident = resident * context.model.multiprocessors;
    let count: u64 = blocks.iter().map(|count| u64::from(*count)).product();
    if cooperative && count > u64::from(resident) {
        return Err(code::COOPERATIVE_LAUNCH_TOO_LARGE);
    }
    // SAFETY: the caller's promise.
    let params = unsafe { parameters(&function, list, extra) }?;
    let machine = Machine::new(context.model, resident);
    let stream = stream::find(stream)?;
    let view = context.view();
    stream.enqueue(Arc::new(move || {
        fault::launch()?;
        let kernel = Arc::clone(&function.kernel);
        let grid = Grid::new(kernel, [blocks, threads], params.clone(), shared_bytes as usize, machine, view.clone());
        Arc::new(grid).run().map_err(|trap| {
            crate::exec::Trap::new(trap.code, format!("kernel '{}': {}", function.kernel.name, trap.why))
        })
    }))
}

#[unsafe(no_mangle)]
#[allow(clippy::too_many_arguments, reason = "the API's signature")]
pub unsafe extern "C" fn cuLaunchKernel(
    function: Handle,
    blocks_x: u32,
    blocks_y: u32,
    blocks_z: u32,
    threads_x: u32,
    threads_y: u32,
    threads_z: u32,
    shared_bytes: u32,
    stream: Handle,
    list: *mut *mut c_void,
    extra: *mut *mut c_void,
) -> Code {
    let shape = [[blocks_x, blocks_y, blocks_z], [threads_x, threads_y, threads_z]];
    // SAFETY: the API's contract.
    answer(|| unsafe { launch(function, shape, shared_bytes, stream, [list, extra], false) })
}

#[unsafe(no_mangle)]
#[allow(clippy::too_many_arguments, reason = "the API's signature")]
pub unsafe extern "C" fn cuLaunchCooperativeKernel(
    function: Handle,
    blocks_x: u32,
    blocks_y: u32,
    blocks_z: u32,
    threads_x: u32,
    threads_y: u32,
    threads_z: u32,
    shared_bytes: u32,
    stream: Handle,
    list: *mut *mut c_void,
) -> Code {
    let shape = [[blocks_x, blocks_y, blocks_z], [threads_x, threads_y, threads_z]];
    // SAFETY: the API's contract.
    answer(|| unsafe { launch(function, shape, shared_bytes, stream, [list, std::ptr::null_mut()], true) })
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuLaunchKernelEx(
    config: *const LaunchConfig,
    function: Handle,
    list: *mut *mut c_void,
    extra: *mut *mut c_void,
) -> Code {
    answer(|| {
        if config.is_null() {
            return Err(code::INVALID_VALUE);
        }
        // SAFETY: the API's contract.
        let config = unsafe { &*config };
        let mut cooperative = false;
        for index in 0..config.attribute_count as usize {
            // SAFETY: the API's contract: as many attributes.
            let attribute = unsafe { &*config.attributes.add(index) };
            match attribute.id {
                2 => cooperative = attribute.value[0] != 0,
                // A cluster of one block is no cluster; others are not offered.
                4 if attribute.value[..3] != [1; 3] => return Err(code::NOT_SUPPORTED),
                _ => {}
            }
        }
        let shape = [config.blocks, config.threads];
        // SAFETY: the API's contract.
        unsafe { launch(function, shape, config.shared_bytes, config.stream, [list, extra], cooperative) }
    })
}
