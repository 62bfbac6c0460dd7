//! The management library (NVML) beside the emulated driver: the same devices, with nothing amiss but what is asked for.
//! The link to the host sleeps unless data move over it, and is slow to wake: who looks once sees it at rest whenever that is.
//!
//! `ROOFLINT_EMULATOR` and `ROOFLINT_EMULATOR_FAULT` mean what they mean to the driver: `nvml_not_permitted` refuses all
//! that is asked of a device, `nvml_not_supported` what some cards do not tell, `nvml_link_generation:N` and
//! `nvml_link_width:N` hold the link down, `nvml_processes:N` has N others compute; and a device the driver has lost is
//! lost here too. NVML API Reference Guide.

#![allow(clippy::missing_safety_doc, reason = "the NVML API specifies its functions")]

#[allow(dead_code, reason = "the driver needs more of it")]
#[path = "../../src/personality.rs"]
mod personality;

use std::ffi::{CStr, c_char, c_void};
use std::sync::atomic::{AtomicBool, Ordering};

use personality::{Model, Personality};

/// `nvmlReturn_t` as a number.
type Code = u32;
type Answer<T = ()> = Result<T, Code>;

const UNINITIALIZED: Code = 1;
const INVALID_ARGUMENT: Code = 2;
const NOT_SUPPORTED: Code = 3;
const NO_PERMISSION: Code = 4;
const NOT_FOUND: Code = 6;
const INSUFFICIENT_SIZE: Code = 7;
const DRIVER_NOT_LOADED: Code = 9;
const GPU_IS_LOST: Code = 15;

/// A device's handle: its number and one, so that none is null.
type Device = usize;

static INITIALISED: AtomicBool = AtomicBool::new(false);

fn answer(f: impl FnOnce() -> Answer) -> Code {
    f().err().unwrap_or(0)
}

fn system() -> Answer<&'static Personality> {
    if !INITIALISED.load(Ordering::Acquire) {
        return Err(UNINITIALIZED);
    }
    personality::chosen().ok_or(DRIVER_NOT_LOADED)
}

/// The number and the model of a handle, if the device may be asked.
fn device(handle: Device) -> Answer<(u32, &'static Model)> {
    let index = handle.checked_sub(1).ok_or(INVALID_ARGUMENT)?;
    let model = system()?.devices.get(index).ok_or(INVALID_ARGUMENT)?;
    if fault("nvml_not_permitted").is_some() {
        return Err(NO_PERMISSION);
    }
    if driver_says(c"rooflintEmulatorLost") { Err(GPU_IS_LOST) } else { Ok((index as u32, model)) }
}

/// The number of a fault, if it is asked for.
fn fault(kind: &str) -> Option<u32> {
    let faults = std::env::var("ROOFLINT_EMULATOR_FAULT").unwrap_or_default();
    faults.split(',').find_map(|fault| {
        let (name, number) = fault.split_once(':').unwrap_or((fault, "1"));
        (name.trim() == kind).then(|| number.trim().parse().unwrap_or(1))
    })
}

/// Refuses what some cards do not tell, where that is asked for.
fn told<T>(value: T) -> Answer<T> {
    if fault("nvml_not_supported").is_some() { Err(NOT_SUPPORTED) } else { Ok(value) }
}

/// What the driver in this process, if there is one, answers to a question of our own.
fn driver_says(question: &CStr) -> bool {
    // SAFETY: asks for a library that is loaded already, and for a function of the signature the emulated driver gives
    // it; another driver has no such function.
    unsafe {
        let library = libc::dlopen(c"libcuda.so.1".as_ptr(), libc::RTLD_NOLOAD | libc::RTLD_LAZY);
        if library.is_null() {
            return false;
        }
        let function = libc::dlsym(library, question.as_ptr());
        !function.is_null() && std::mem::transmute::<*mut c_void, extern "C" fn() -> u32>(function)() != 0
    }
}

/// Whether data have been seen to move over the link to the host.
static WOKEN: AtomicBool = AtomicBool::new(false);

/// The generation of the link to the host: the first while nothing moves over it, and for the first that looks while
/// something does.
fn link_generation(model: &Model) -> Answer<u32> {
    let moves = driver_says(c"rooflintEmulatorCopying");
    let awake = moves && WOKEN.swap(true, Ordering::AcqRel);
    told(if awake { fault("nvml_link_generation").unwrap_or(model.pcie_generation) } else { 1 })
}

/// # Safety
/// The pointer is null or one the API may write a `T` through.
unsafe fn put<T>(to: *mut T, value: T) -> Answer {
    if to.is_null() {
        return Err(INVALID_ARGUMENT);
    }
    // SAFETY: the caller's promise.
    unsafe { to.write(value) };
    Ok(())
}

/// # Safety
/// The buffer has `size` bytes.
unsafe fn put_text(to: *mut c_char, size: u32, text: &str) -> Answer {
    if to.is_null() || text.len() >= size as usize {
        return Err(INSUFFICIENT_SIZE);
    }
    // SAFETY: the text and its NUL fit.
    unsafe {
        std::ptr::copy_nonoverlapping(text.as_ptr().cast(), to, text.len());
        to.add(text.len()).write(0);
    }
    Ok(())
}

#[unsafe(no_mangle)]
pub extern "C" fn nvmlInit_v2() -> Code {
    answer(|| {
        personality::chosen().ok_or(DRIVER_NOT_LOADED)?;
        INITIALISED.store(true, Ordering::Release);
        Ok(())
    })
}

#[unsafe(no_mangle)]
pub extern "C" fn nvmlInitWithFlags(_flags: u32) -> Code {
    nvmlInit_v2()
}

#[unsafe(no_mangle)]
pub extern "C" fn nvmlShutdown() -> Code {
    answer(|| {
        system()?;
        INITIALISED.store(false, Ordering::Release);
        Ok(())
    })
}

#[unsafe(no_mangle)]
pub extern "C" fn nvmlErrorString(code: Code) -> *const c_char {
    match code {
        0 => c"Success",
        UNINITIALIZED => c"Uninitialized",
        INVALID_ARGUMENT => c"Invalid Argument",
        NOT_SUPPORTED => c"Not Supported",
        NO_PERMISSION => c"Insufficient Permissions",
        NOT_FOUND => c"Not Found",
        INSUFFICIENT_SIZE => c"Insufficient Size",
        DRIVER_NOT_LOADED => c"Driver Not Loaded",
        GPU_IS_LOST => c"GPU is lost",
        _ => c"Unknown Error",
    }
    .as_ptr()
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn nvmlSystemGetDriverVersion(text: *mut c_char, size: u32) -> Code {
    let version = |old| if old { "525.60.13" } else { "580.65.06" };
    // SAFETY: the API's contract.
    answer(|| unsafe { put_text(text, size, version(system()?.old)) })
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn nvmlSystemGetNVMLVersion(text: *mut c_char, size: u32) -> Code {
    let version = |old| if old { "12.525.60.13" } else { "13.580.65.06" };
    // SAFETY: the API's contract.
    answer(|| unsafe { put_text(text, size, version(system()?.old)) })
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn nvmlSystemGetCudaDriverVersion_v2(version: *mut i32) -> Code {
    // SAFETY: the API's contract.
    answer(|| unsafe { put(version, system()?.driver_version) })
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn nvmlDeviceGetCount_v2(count: *mut u32) -> Code {
    // SAFETY: the API's contract.
    answer(|| unsafe { put(count, system()?.devices.len() as u32) })
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn nvmlDeviceGetHandleByIndex_v2(index: u32, handle: *mut Device) -> Code {
    answer(|| {
        device(index as usize + 1)?;
        // SAFETY: the API's contract.
        unsafe { put(handle, index as usize + 1) }
    })
}

/// Finds the device whose own text ends the one asked for.
///
/// # Safety
/// A C string, and a pointer the API may write through.
unsafe fn find(text: *const c_char, handle: *mut Device, of: fn(&Model, u32) -> String) -> Answer {
    if text.is_null() {
        return Err(INVALID_ARGUMENT);
    }
    // SAFETY: the caller's promise.
    let wanted = unsafe { CStr::from_ptr(text) }.to_string_lossy().to_ascii_uppercase();
    let mut devices = (0..).zip(system()?.devices);
    let found = devices.find(|(index, model)| wanted.ends_with(&of(model, *index).to_ascii_uppercase()));
    let (index, _) = found.ok_or(NOT_FOUND)?;
    device(index as usize + 1)?;
    // SAFETY: the caller's promise.
    unsafe { put(handle, index as usize + 1) }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn nvmlDeviceGetHandleByPciBusId_v2(id: *const c_char, handle: *mut Device) -> Code {
    // SAFETY: the API's contract.
    answer(|| unsafe { find(id, handle, |_, index| Model::pci_address(index)) })
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn nvmlDeviceGetHandleByUUID(uuid: *const c_char, handle: *mut Device) -> Code {
    // SAFETY: the API's contract.
    answer(|| unsafe { find(uuid, handle, uuid_text) })
}

/// `GPU-` and the UUID in groups of 8, 4, 4, 4 and 12 digits.
fn uuid_text(model: &Model, index: u32) -> String {
    let digits: String = model.uuid(index).iter().map(|byte| format!("{byte:02x}")).collect();
    format!("GPU-{}-{}-{}-{}-{}", &digits[..8], &digits[8..12], &digits[12..16], &digits[16..20], &digits[20..])
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn nvmlDeviceGetName(handle: Device, text: *mut c_char, size: u32) -> Code {
    // SAFETY: the API's contract.
    answer(|| unsafe { put_text(text, size, device(handle)?.1.name) })
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn nvmlDeviceGetUUID(handle: Device, text: *mut c_char, size: u32) -> Code {
    answer(|| {
        let (index, model) = device(handle)?;
        // SAFETY: the API's contract.
        unsafe { put_text(text, size, &uuid_text(model, index)) }
    })
}

/// `nvmlPciInfo_t`.
#[repr(C)]
pub struct PciInfo {
    legacy_id: [u8; 16],
    domain: u32,
    bus: u32,
    device: u32,
    device_id: u32,
    subsystem_id: u32,
    id: [u8; 32],
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn nvmlDeviceGetPciInfo_v3(handle: Device, info: *mut PciInfo) -> Code {
    answer(|| {
        let (index, model) = device(handle)?;
        let short = Model::pci_address(index);
        let long = format!("0000{short}");
        let (mut legacy_id, mut id) = ([0; 16], [0; 32]);
        legacy_id[..short.len()].copy_from_slice(short.as_bytes());
        id[..long.len()].copy_from_slice(long.as_bytes());
        let bus = Model::pci_bus(index);
        let value =
            PciInfo { legacy_id, domain: 0, bus, device: 0, device_id: model.pci_id, subsystem_id: model.pci_id, id };
        // SAFETY: the API's contract.
        unsafe { put(info, value) }
    })
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn nvmlDeviceGetCudaComputeCapability(handle: Device, major: *mut i32, minor: *mut i32) -> Code {
    answer(|| {
        let (x, y) = device(handle)?.1.capability;
        // SAFETY: the API's contract.
        unsafe {
            put(major, x as i32)?;
            put(minor, y as i32)
        }
    })
}

/// Clocks in MHz: graphics and multiprocessors (0, 1), memory (2), video (3).
fn clock(model: &Model, which: u32) -> Answer<u32> {
    match which {
        0 | 1 | 3 => Ok(model.clock_khz / 1000),
        2 => told(model.memory_clock_khz / 1000),
        _ => Err(INVALID_ARGUMENT),
    }
}

macro_rules! clocks {
    ($($name:ident;)*) => {$(
        #[unsafe(no_mangle)]
        pub unsafe extern "C" fn $name(handle: Device, which: u32, clock_mhz: *mut u32) -> Code {
            // SAFETY: the API's contract.
            answer(|| unsafe { put(clock_mhz, clock(device(handle)?.1, which)?) })
        }
    )*};
}

clocks! {
    nvmlDeviceGetClockInfo;
    nvmlDeviceGetMaxClockInfo;
    nvmlDeviceGetApplicationsClock;
    nvmlDeviceGetDefaultApplicationsClock;
}

macro_rules! values {
    ($($name:ident, $ty:ty, |$model:ident, $index:ident| $value:expr;)*) => {$(
        #[unsafe(no_mangle)]
        pub unsafe extern "C" fn $name(handle: Device, value: *mut $ty) -> Code {
            answer(|| {
                #[allow(unused_variables, reason = "not every value depends on both")]
                let ($index, $model) = device(handle)?;
                // SAFETY: the API's contract.
                unsafe { put(value, $value) }
            })
        }
    )*};
}

values! {
    nvmlDeviceGetIndex, u32, |model, index| index;
    nvmlDeviceGetMinorNumber, u32, |model, index| index;
    // NVML_BRAND_NVIDIA; architectures Ampere (7) and Hopper (9).
    nvmlDeviceGetBrand, u32, |model, index| 14;
    nvmlDeviceGetArchitecture, u32, |model, index| if model.capability.0 >= 9 { 9 } else { 7 };
    nvmlDeviceGetNumGpuCores, u32, |model, index| model.multiprocessors * if model.capability.0 >= 9 { 128 } else { 64 };
    // In milliwatts: a third of the limit, as a device at rest with its clocks up.
    nvmlDeviceGetPowerUsage, u32, |model, index| told(model.power_limit_mw / 3)?;
    nvmlDeviceGetPowerManagementLimit, u32, |model, index| model.power_limit_mw;
    nvmlDeviceGetPowerManagementDefaultLimit, u32, |model, index| model.power_limit_mw;
    nvmlDeviceGetEnforcedPowerLimit, u32, |model, index| model.power_limit_mw;
    nvmlDeviceGetCurrentClocksThrottleReasons, u64, |model, index| told(0)?;
    nvmlDeviceGetCurrentClocksEventReasons, u64, |model, index| told(0)?;
    nvmlDeviceGetSupportedClocksThrottleReasons, u64, |model, index| 0x1FF;
    nvmlDeviceGetTotalEnergyConsumption, u64, |model, index| told(energy_mj(model))?;
    nvmlDeviceGetCurrPcieLinkGeneration, u32, |model, index| link_generation(model)?;
    nvmlDeviceGetMaxPcieLinkGeneration, u32, |model, index| model.pcie_generation;
    nvmlDeviceGetCurrPcieLinkWidth, u32, |model, index| told(fault("nvml_link_width").unwrap_or(16))?;
    nvmlDeviceGetMaxPcieLinkWidth, u32, |model, index| 16;
    nvmlDeviceGetMemoryBusWidth, u32, |model, index| model.bus_bits;
    nvmlDeviceGetPerformanceState, u32, |model, index| 0;
    nvmlDeviceGetPersistenceMode, u32, |model, index| 1;
    nvmlDeviceGetComputeMode, u32, |model, index| 0;
    nvmlDeviceGetDisplayActive, u32, |model, index| 0;
    nvmlDeviceGetMultiGpuBoard, u32, |model, index| 0;
}

/// Millijoules since the process first asked, at the power the device draws.
fn energy_mj(model: &Model) -> u64 {
    static START: std::sync::OnceLock<std::time::Instant> = std::sync::OnceLock::new();
    let seconds = START.get_or_init(std::time::Instant::now).elapsed().as_secs_f64();
    (seconds * f64::from(model.power_limit_mw / 3)) as u64
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn nvmlDeviceGetPowerManagementLimitConstraints(
    handle: Device,
    least: *mut u32,
    most: *mut u32,
) -> Code {
    answer(|| {
        let limit = device(handle)?.1.power_limit_mw;
        // SAFETY: the API's contract.
        unsafe {
            put(least, limit / 4)?;
            put(most, limit)
        }
    })
}

/// In degrees Celsius; sensor 0 is the chip, the only one there is.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nvmlDeviceGetTemperature(handle: Device, sensor: u32, temperature_c: *mut u32) -> Code {
    answer(|| {
        device(handle)?;
        // SAFETY: the API's contract.
        if sensor == 0 { unsafe { put(temperature_c, 40) } } else { Err(INVALID_ARGUMENT) }
    })
}

/// `nvmlMemory_v2_t`, in bytes.
#[repr(C)]
pub struct Memory {
    version: u32,
    total: u64,
    reserved: u64,
    free: u64,
    used: u64,
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn nvmlDeviceGetMemoryInfo_v2(handle: Device, memory: *mut Memory) -> Code {
    answer(|| {
        let total = device(handle)?.1.memory_bytes;
        let version = size_of::<Memory>() as u32 | 2 << 24;
        // SAFETY: the API's contract: the caller says which version it made room for.
        unsafe {
            // 25: another version of the structure.
            if memory.is_null() || (*memory).version != version {
                return Err(25);
            }
            put(memory, Memory { version, total, reserved: 0, free: total, used: 0 })
        }
    })
}

/// Two values at once: what is now and what will be after a restart.
macro_rules! pairs {
    ($($name:ident, $value:expr;)*) => {$(
        #[unsafe(no_mangle)]
        pub unsafe extern "C" fn $name(handle: Device, current: *mut u32, pending: *mut u32) -> Code {
            answer(|| {
                device(handle)?;
                // SAFETY: the API's contract.
                unsafe {
                    put(current, $value)?;
                    put(pending, $value)
                }
            })
        }
    )*};
}

pairs! {
    nvmlDeviceGetEccMode, 1;
    nvmlDeviceGetMigMode, 0;
}

/// `nvmlUtilization_t`, in percent.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nvmlDeviceGetUtilizationRates(handle: Device, rates: *mut [u32; 2]) -> Code {
    answer(|| {
        device(handle)?;
        // SAFETY: the API's contract.
        unsafe { put(rates, [0, 0]) }
    })
}

/// `nvmlViolationTime_t`: nothing has been held back.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nvmlDeviceGetViolationStatus(handle: Device, _policy: u32, times: *mut [u64; 2]) -> Code {
    answer(|| {
        device(handle)?;
        // SAFETY: the API's contract.
        unsafe { put(times, told([0, 0])?) }
    })
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn nvmlDeviceGetTotalEccErrors(
    handle: Device,
    _kind: u32,
    _counter: u32,
    count: *mut u64,
) -> Code {
    answer(|| {
        device(handle)?;
        // SAFETY: the API's contract.
        unsafe { put(count, 0) }
    })
}

/// `nvmlProcessInfo_t`: no instance of a slice, hence all bits set.
#[repr(C)]
pub struct ProcessInfo {
    pid: u32,
    memory: u64,
    gpu_instance: u32,
    compute_instance: u32,
}

/// Nobody else uses the device, unless that is asked for: each of them with as many GiB as its number.
fn processes() -> Vec<ProcessInfo> {
    let others = 1..=fault("nvml_processes").unwrap_or(0);
    let of = |number: u32| ProcessInfo {
        pid: 4_000_000 + number,
        memory: u64::from(number) << 30,
        gpu_instance: u32::MAX,
        compute_instance: u32::MAX,
    };
    others.map(of).collect()
}

macro_rules! processes {
    ($($name:ident, $found:expr;)*) => {$(
        #[unsafe(no_mangle)]
        pub unsafe extern "C" fn $name(handle: Device, count: *mut u32, infos: *mut ProcessInfo) -> Code {
            answer(|| {
                device(handle)?;
                let found: Vec<ProcessInfo> = told($found)?;
                // SAFETY: the API's contract: there is room for as many as the count says, and it is told how many there are.
                unsafe {
                    let room = if count.is_null() { return Err(INVALID_ARGUMENT) } else { *count };
                    put(count, found.len() as u32)?;
                    if found.is_empty() {
                        return Ok(());
                    }
                    if infos.is_null() || (room as usize) < found.len() {
                        return Err(INSUFFICIENT_SIZE);
                    }
                    for (index, info) in found.into_iter().enumerate() {
                        infos.add(index).write(info);
                    }
                }
                Ok(())
            })
        }
    )*};
}

processes! {
    nvmlDeviceGetComputeRunningProcesses_v2, processes();
    nvmlDeviceGetComputeRunningProcesses_v3, processes();
    nvmlDeviceGetGraphicsRunningProcesses_v3, Vec::new();
}
