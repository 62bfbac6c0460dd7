//! Initialisation, version, and what devices say about themselves.

use std::ffi::{CStr, c_char};
use std::sync::atomic::{AtomicBool, Ordering};

use super::{Answer, Code, answer, offers, put, put_text};
use crate::personality::{self, Model, Personality};
use crate::{code, fault};

static INITIALISED: AtomicBool = AtomicBool::new(false);

/// The driver presented, once it is initialised.
pub fn personality() -> Answer<&'static Personality> {
    if !INITIALISED.load(Ordering::Acquire) {
        return Err(code::NOT_INITIALIZED);
    }
    personality::chosen().ok_or(code::NOT_INITIALIZED)
}

/// A setting that would not do what it says is refused with a message.
fn settings() -> Answer<&'static Personality> {
    let refuse = |what: &str| {
        eprintln!("rooflint-emulator: {what}");
        Err(code::SYSTEM_DRIVER_MISMATCH)
    };
    if let Some(kind) = fault::unknown() {
        return refuse(&format!("ROOFLINT_EMULATOR_FAULT: no fault '{kind}'"));
    }
    let Some(personality) = personality::chosen() else {
        return refuse("ROOFLINT_EMULATOR: no such personality: its README lists them");
    };
    if personality.old && offers(c"cuEventElapsedTime_v2") {
        return refuse("old-driver needs the library placed without newer symbols: the folder old-driver");
    }
    Ok(personality)
}

#[unsafe(no_mangle)]
pub extern "C" fn cuInit(flags: u32) -> Code {
    answer(|| {
        if flags != 0 {
            return Err(code::INVALID_VALUE);
        }
        let personality = settings()?;
        if personality.devices.is_empty() {
            return Err(code::NO_DEVICE);
        }
        INITIALISED.store(true, Ordering::Release);
        Ok(())
    })
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuDriverGetVersion(version: *mut i32) -> Code {
    // SAFETY: the API's contract.
    answer(|| unsafe { put(version, settings()?.driver_version) })
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuDeviceGetCount(count: *mut i32) -> Code {
    // SAFETY: the API's contract.
    answer(|| unsafe { put(count, personality()?.devices.len() as i32) })
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuDeviceGet(device: *mut i32, ordinal: i32) -> Code {
    answer(|| {
        model(ordinal)?;
        // SAFETY: the API's contract.
        unsafe { put(device, ordinal) }
    })
}

fn model(device: i32) -> Answer<&'static Model> {
    let devices = personality()?.devices;
    usize::try_from(device).ok().and_then(|index| devices.get(index)).ok_or(code::INVALID_DEVICE)
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuDeviceGetName(name: *mut c_char, length: i32, device: i32) -> Code {
    // SAFETY: the API's contract.
    answer(|| unsafe { put_text(name, usize::try_from(length).unwrap_or(0), model(device)?.name) })
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuDeviceGetUuid(uuid: *mut [u8; 16], device: i32) -> Code {
    // SAFETY: the API's contract.
    answer(|| unsafe { put(uuid, model(device)?.uuid(device as u32)) })
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuDeviceGetUuid_v2(uuid: *mut [u8; 16], device: i32) -> Code {
    // SAFETY: the API's contract.
    unsafe { cuDeviceGetUuid(uuid, device) }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuDeviceTotalMem_v2(bytes: *mut usize, device: i32) -> Code {
    // SAFETY: the API's contract.
    answer(|| unsafe { put(bytes, model(device)?.memory_bytes as usize) })
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuDeviceComputeCapability(major: *mut i32, minor: *mut i32, device: i32) -> Code {
    answer(|| {
        let (x, y) = model(device)?.capability;
        // SAFETY: the API's contract.
        unsafe {
            put(major, x as i32)?;
            put(minor, y as i32)
        }
    })
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuDeviceGetPCIBusId(id: *mut c_char, length: i32, device: i32) -> Code {
    answer(|| {
        model(device)?;
        // SAFETY: the API's contract.
        unsafe { put_text(id, usize::try_from(length).unwrap_or(0), &Model::pci_address(device as u32)) }
    })
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuDeviceGetByPCIBusId(device: *mut i32, id: *const c_char) -> Code {
    answer(|| {
        if id.is_null() {
            return Err(code::INVALID_VALUE);
        }
        // SAFETY: the API's contract: a C string.
        let id = unsafe { CStr::from_ptr(id) }.to_string_lossy().to_ascii_uppercase();
        let mut ordinals = 0..personality()?.devices.len() as u32;
        let found = ordinals.find(|ordinal| id.ends_with(&Model::pci_address(*ordinal))).ok_or(code::INVALID_DEVICE)?;
        // SAFETY: the API's contract.
        unsafe { put(device, found as i32) }
    })
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuDeviceGetAttribute(value: *mut i32, attribute: u32, device: i32) -> Code {
    answer(|| {
        let known = attribute_of(model(device)?, attribute, device as u32).ok_or(code::INVALID_VALUE)?;
        // SAFETY: the API's contract.
        unsafe { put(value, known) }
    })
}

/// An attribute by its number in `CUdevice_attribute`. None: there is none of that number.
fn attribute_of(model: &Model, attribute: u32, ordinal: u32) -> Option<i32> {
    let hopper = i32::from(model.capability.0 >= 9);
    Some(match attribute {
        1..=3 => 1024, // MAX_THREADS_PER_BLOCK, MAX_BLOCK_DIM_X, _Y
        4 => 64,       // MAX_BLOCK_DIM_Z
        5 => i32::MAX, // MAX_GRID_DIM_X
        6 | 7 => 65_535,
        8 => 48 << 10,                                // MAX_SHARED_MEMORY_PER_BLOCK
        9 => 64 << 10,                                // TOTAL_CONSTANT_MEMORY
        10 => 32,                                     // WARP_SIZE
        11 => i32::MAX,                               // MAX_PITCH
        12 | 82 => 65_536,                            // MAX_REGISTERS_PER_BLOCK, _PER_MULTIPROCESSOR
        13 => model.clock_khz as i32,                 // CLOCK_RATE
        14 => 512,                                    // TEXTURE_ALIGNMENT
        15 => 1,                                      // GPU_OVERLAP
        16 => model.multiprocessors as i32,           // MULTIPROCESSOR_COUNT
        17 | 18 | 20 => 0,                            // KERNEL_EXEC_TIMEOUT, INTEGRATED, COMPUTE_MODE
        19 | 31 | 32 | 41 => 1, // CAN_MAP_HOST_MEMORY, CONCURRENT_KERNELS, ECC, UNIFIED_ADDRESSING
        33 => Model::pci_bus(ordinal) as i32, // PCI_BUS_ID
        34 | 50 => 0,           // PCI_DEVICE_ID, PCI_DOMAIN_ID
        35 => 0,                // TCC_DRIVER
        36 => model.memory_clock_khz as i32, // MEMORY_CLOCK_RATE
        37 => model.bus_bits as i32, // GLOBAL_MEMORY_BUS_WIDTH
        38 => model.l2_bytes as i32, // L2_CACHE_SIZE
        39 => 2048,             // MAX_THREADS_PER_MULTIPROCESSOR
        40 => 3,                // ASYNC_ENGINE_COUNT
        75 => model.capability.0 as i32, // COMPUTE_CAPABILITY_MAJOR
        76 => model.capability.1 as i32, // COMPUTE_CAPABILITY_MINOR
        78..=80 => 1,           // STREAM_PRIORITIES, GLOBAL_L1, LOCAL_L1
        81 => model.shared_per_multiprocessor as i32, // MAX_SHARED_MEMORY_PER_MULTIPROCESSOR
        83 => 1,                // MANAGED_MEMORY
        87 => 2,                // SINGLE_TO_DOUBLE_PRECISION_PERF_RATIO
        91 | 95 | 99 => 1,      // HOST_POINTER_FOR_REGISTERED_MEM, COOPERATIVE_LAUNCH, HOST_REGISTER
        97 => model.shared_opt_in as i32, // MAX_SHARED_MEMORY_PER_BLOCK_OPTIN
        106 => 32,              // MAX_BLOCKS_PER_MULTIPROCESSOR
        108 => (model.l2_bytes / 4 * 3) as i32, // MAX_PERSISTING_L2_CACHE_SIZE
        111 => 1024,            // RESERVED_SHARED_MEMORY_PER_BLOCK
        115 => 1,               // MEMORY_POOLS_SUPPORTED
        120 | 127 => hopper,    // CLUSTER_LAUNCH, TENSOR_MAP_ACCESS_SUPPORTED
        21..=162 => 0,          // of textures and of what is not offered
        _ => return None,
    })
}
