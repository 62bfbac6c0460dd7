//! The emulated driver, as this process has it loaded.

use std::ffi::{CStr, c_void};
use std::sync::OnceLock;

use crate::guest::Guest;
use crate::status::{Answer, EXECUTION_FAILED, NOT_INITIALIZED, refuse, require};

/// `CUresult` as a number.
type Code = u32;

/// What is asked of the driver.
struct Driver {
    init: unsafe extern "C" fn(u32) -> Code,
    retain: unsafe extern "C" fn(*mut usize, i32) -> Code,
    set_current: unsafe extern "C" fn(usize) -> Code,
    current_device: unsafe extern "C" fn(*mut i32) -> Code,
    attribute: unsafe extern "C" fn(*mut i32, u32, i32) -> Code,
    launch: unsafe extern "C" fn(usize, Guest) -> Code,
}

/// A device, as far as products depend on it.
#[derive(Clone, Copy, Debug)]
pub struct Device {
    pub ordinal: i32,
    pub multiprocessors: u32,
    pub capability: (i32, i32),
}

/// A function of a library.
///
/// # Safety
/// `F` is the type of the function of this name.
unsafe fn function<F: Copy>(library: *mut c_void, name: &CStr) -> Option<F> {
    const { assert!(size_of::<F>() == size_of::<*mut c_void>()) };
    // SAFETY: looks a name up in a library that stays loaded.
    let at = unsafe { libc::dlsym(library, name.as_ptr()) };
    // SAFETY: the address of a function of this type, by the caller's promise.
    (!at.is_null()).then(|| unsafe { std::mem::transmute_copy::<*mut c_void, F>(&at) })
}

/// The driver; `None` where there is none, or a real one.
fn find() -> Option<Driver> {
    // SAFETY: the library's initialisers are the emulated driver's, or those of a driver that a program may load.
    let library = unsafe { libc::dlopen(c"libcuda.so.1".as_ptr(), libc::RTLD_LAZY) };
    if library.is_null() {
        return None;
    }
    // SAFETY: the emulated driver's functions have these types; another driver lacks the first.
    unsafe {
        function::<extern "C" fn() -> u32>(library, c"rooflintEmulator")?;
        Some(Driver {
            init: function(library, c"cuInit")?,
            retain: function(library, c"cuDevicePrimaryCtxRetain")?,
            set_current: function(library, c"cuCtxSetCurrent")?,
            current_device: function(library, c"cuCtxGetDevice")?,
            attribute: function(library, c"cuDeviceGetAttribute")?,
            launch: function(library, c"rooflintEmulatorLaunch")?,
        })
    }
}

fn driver() -> Answer<&'static Driver> {
    static DRIVER: OnceLock<Driver> = OnceLock::new();
    if let Some(driver) = DRIVER.get() {
        return Ok(driver);
    }
    match find() {
        Some(driver) => Ok(DRIVER.get_or_init(|| driver)),
        None => refuse(NOT_INITIALIZED, "there is no emulated driver to be had as libcuda.so.1"),
    }
}

/// The device of the current context. A thread without one gets the first device's, as the CUDA runtime under the real
/// library has it.
pub fn open() -> Answer<Device> {
    let driver = driver()?;
    let mut ordinal = 0;
    // SAFETY: calls as the driver's manual has them, with places for the results.
    let codes = unsafe {
        let init = (driver.init)(0);
        let mut code = (driver.current_device)(&mut ordinal);
        // CUDA_ERROR_INVALID_CONTEXT
        if init == 0 && code == 201 {
            let mut context = 0;
            code = (driver.retain)(&mut context, 0);
            if code == 0 {
                code = (driver.set_current)(context);
            }
            ordinal = 0;
        }
        [init, code]
    };
    require(codes == [0, 0], NOT_INITIALIZED, format!("the driver gave {codes:?}"))?;
    let ask = |number: u32| {
        let mut value = 0;
        // SAFETY: a place for the result.
        let code = unsafe { (driver.attribute)(&mut value, number, ordinal) };
        require(code == 0, NOT_INITIALIZED, format!("the driver gave {code} for attribute {number}")).map(|()| value)
    };
    // MULTIPROCESSOR_COUNT, COMPUTE_CAPABILITY_MAJOR and _MINOR
    Ok(Device { ordinal, multiprocessors: ask(16)?.max(1) as u32, capability: (ask(75)?, ask(76)?) })
}

/// Queues a kernel in a stream of the current context, which must be one of this device.
pub fn launch(device: Device, stream: *mut c_void, guest: Guest) -> Answer {
    let driver = driver()?;
    let (mut ordinal, release, data) = (0, guest.release, guest.data);
    // SAFETY: a place for the result.
    let code = unsafe { (driver.current_device)(&mut ordinal) };
    if code != 0 || ordinal != device.ordinal {
        // SAFETY: the kernel was not handed over.
        unsafe { release(data) };
        let why = format!("the current context is of device {ordinal} ({code}), the handle of {}", device.ordinal);
        return refuse(EXECUTION_FAILED, why);
    }
    // SAFETY: the kernel's functions may be called on any thread, as its maker promises.
    let code = unsafe { (driver.launch)(stream as usize, guest) };
    require(code == 0, EXECUTION_FAILED, format!("the driver gave {code} for the launch"))
}
