//! Memory of devices and pinned memory of the host.

use std::ffi::c_void;
use std::sync::Arc;

use super::stream::{self, Work};
use super::{Answer, Code, Handle, answer, context, put};
use crate::memory::{Place, space};
use crate::{code, fault};

/// New memory on the current device.
fn allocate(size: usize) -> Answer<u64> {
    let context = context::current()?;
    if size == 0 {
        return Err(code::INVALID_VALUE);
    }
    let used = space().used(context.device);
    if !fault::allocation() || used.saturating_add(size as u64) > context.model.memory_bytes {
        return Err(code::OUT_OF_MEMORY);
    }
    space().allocate(context.device, size).ok_or(code::OUT_OF_MEMORY)
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuMemAlloc_v2(pointer: *mut u64, size: usize) -> Code {
    // SAFETY: the API's contract.
    answer(|| unsafe { put(pointer, allocate(size)?) })
}

/// In stream order: made at once, which no program can tell from made in its turn.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuMemAllocAsync(pointer: *mut u64, size: usize, stream: Handle) -> Code {
    answer(|| {
        stream::find(stream)?;
        // SAFETY: the API's contract.
        unsafe { put(pointer, allocate(size)?) }
    })
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuMemAllocFromPoolAsync(
    pointer: *mut u64,
    size: usize,
    _pool: Handle,
    stream: Handle,
) -> Code {
    // SAFETY: the API's contract.
    unsafe { cuMemAllocAsync(pointer, size, stream) }
}

#[unsafe(no_mangle)]
pub extern "C" fn cuMemFree_v2(pointer: u64) -> Code {
    answer(|| {
        let context = context::current()?;
        if pointer == 0 {
            return Ok(());
        }
        // As on hardware, work under way is waited for.
        context.synchronize()?;
        match space().free(pointer, false) {
            Some(_) => Ok(()),
            None => space().free(pointer, true).map(|_| ()).ok_or(code::INVALID_VALUE),
        }
    })
}

#[unsafe(no_mangle)]
pub extern "C" fn cuMemFreeAsync(pointer: u64, stream: Handle) -> Code {
    answer(|| {
        let stream = stream::find(stream)?;
        if space().find(pointer).is_none_or(|mapping| mapping.start != pointer) {
            return Err(code::INVALID_VALUE);
        }
        let free: Work = Arc::new(move || {
            space().free(pointer, false);
            Ok(())
        });
        stream.enqueue(free)
    })
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuMemGetInfo_v2(free: *mut usize, total: *mut usize) -> Code {
    answer(|| {
        let context = context::current()?;
        let all = context.model.memory_bytes;
        // SAFETY: the API's contract.
        unsafe {
            put(free, (all - space().used(context.device)) as usize)?;
            put(total, all as usize)
        }
    })
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuMemAllocHost_v2(pointer: *mut *mut c_void, size: usize) -> Code {
    // SAFETY: the API's contract.
    unsafe { cuMemHostAlloc(pointer, size, 0) }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuMemHostAlloc(pointer: *mut *mut c_void, size: usize, _flags: u32) -> Code {
    answer(|| {
        context::current()?;
        if size == 0 {
            return Err(code::INVALID_VALUE);
        }
        if !fault::allocation() {
            return Err(code::OUT_OF_MEMORY);
        }
        let host = space().allocate_host(size).ok_or(code::OUT_OF_MEMORY)?;
        // SAFETY: the API's contract.
        unsafe { put(pointer, host.cast()) }
    })
}

/// Taken as pinned memory: reachable from both sides at one address.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuMemAllocManaged(pointer: *mut u64, size: usize, _flags: u32) -> Code {
    // SAFETY: the API's contract; a device pointer is as wide as a pointer.
    unsafe { cuMemHostAlloc(pointer.cast(), size, 0) }
}

#[unsafe(no_mangle)]
pub extern "C" fn cuMemFreeHost(pointer: *mut c_void) -> Code {
    answer(|| {
        context::current()?.synchronize()?;
        space().free(pointer as u64, true).map(|_| ()).ok_or(code::INVALID_VALUE)
    })
}

#[unsafe(no_mangle)]
pub extern "C" fn cuMemHostRegister_v2(pointer: *mut c_void, size: usize, _flags: u32) -> Code {
    answer(|| {
        context::current()?;
        // 712: already registered.
        if space().register_host(pointer.cast(), size) { Ok(()) } else { Err(712) }
    })
}

#[unsafe(no_mangle)]
pub extern "C" fn cuMemHostUnregister(pointer: *mut c_void) -> Code {
    answer(|| {
        context::current()?.synchronize()?;
        // 713: not registered.
        space().free(pointer as u64, true).map(|_| ()).ok_or(713)
    })
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuMemHostGetDevicePointer_v2(device: *mut u64, host: *mut c_void, _flags: u32) -> Code {
    answer(|| {
        context::current()?;
        let mapping = space().find(host as u64).ok_or(code::INVALID_VALUE)?;
        if mapping.place != Place::Host {
            return Err(code::INVALID_VALUE);
        }
        // SAFETY: the API's contract.
        unsafe { put(device, host as u64) }
    })
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuMemGetAddressRange_v2(base: *mut u64, size: *mut usize, pointer: u64) -> Code {
    answer(|| {
        context::current()?;
        let mapping = space().find(pointer).ok_or(code::NOT_FOUND)?;
        // SAFETY: the API's contract.
        unsafe {
            put(base, mapping.start)?;
            put(size, mapping.size as usize)
        }
    })
}

/// `CU_POINTER_ATTRIBUTE_MEMORY_TYPE` (2), `_DEVICE_POINTER` (3), `_HOST_POINTER` (4) and `_DEVICE_ORDINAL` (9).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuPointerGetAttribute(data: *mut c_void, attribute: u32, pointer: u64) -> Code {
    answer(|| {
        let context = context::current()?;
        let mapping = space().find(pointer).ok_or(code::INVALID_VALUE)?;
        let host = mapping.place == Place::Host;
        // SAFETY: the API's contract: each attribute has its type.
        unsafe {
            match attribute {
                2 => put(data.cast(), if host { 1u32 } else { 2 }),
                3 => put(data.cast(), pointer),
                4 if host => put(data.cast(), pointer),
                9 => put(data.cast(), if let Place::Device(device) = mapping.place { device } else { context.device }),
                _ => Err(code::INVALID_VALUE),
            }
        }
    })
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuDeviceGetDefaultMemPool(pool: *mut Handle, device: i32) -> Code {
    // SAFETY: the API's contract.
    answer(|| unsafe { put(pool, 0x200 + 0x10 * device as usize) })
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuDeviceGetMemPool(pool: *mut Handle, device: i32) -> Code {
    // SAFETY: the API's contract.
    unsafe { cuDeviceGetDefaultMemPool(pool, device) }
}

#[unsafe(no_mangle)]
pub extern "C" fn cuMemPoolTrimTo(_pool: Handle, _keep: usize) -> Code {
    answer(|| context::current().map(|_| ()))
}

#[unsafe(no_mangle)]
pub extern "C" fn cuMemPoolSetAttribute(_pool: Handle, _attribute: u32, _value: *mut c_void) -> Code {
    answer(|| context::current().map(|_| ()))
}

/// The pool holds what is allocated, all of it in use; its other attributes are zero.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuMemPoolGetAttribute(_pool: Handle, attribute: u32, value: *mut c_void) -> Code {
    answer(|| {
        let context = context::current()?;
        let used = if matches!(attribute, 5..=8) { space().used(context.device) } else { 0 };
        // SAFETY: the API's contract: 64 bits from the fourth attribute on, before that 32.
        unsafe { if attribute >= 4 { put(value.cast(), used) } else { put(value.cast(), 0u32) } }
    })
}
