//! The CUDA driver: found at run time, asked for what it lacks before it is used, and its errors in words.
//!
//! cudarc panics where the library or one of its functions is missing, so both are looked for first.

use std::ffi::CStr;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::OnceLock;

use cudarc::driver::sys::{self, CUresult};

use crate::device::DeviceError;

/// Every function that is called without asking whether it is there. All are in drivers for CUDA 11.4 and later.
const NEEDED: &[&str] = &[
    "cuCtxDisablePeerAccess",
    "cuCtxEnablePeerAccess",
    "cuCtxSetCurrent",
    "cuDeviceCanAccessPeer",
    "cuDeviceGet",
    "cuDeviceGetAttribute",
    "cuDeviceGetCount",
    "cuDeviceGetName",
    "cuDeviceGetPCIBusId",
    "cuDeviceGetUuid_v2",
    "cuDevicePrimaryCtxRelease_v2",
    "cuDevicePrimaryCtxRetain",
    "cuDeviceTotalMem_v2",
    "cuDriverGetVersion",
    "cuEventCreate",
    "cuEventDestroy_v2",
    "cuEventElapsedTime",
    "cuEventQuery",
    "cuEventRecord",
    "cuFuncSetAttribute",
    "cuGetErrorName",
    "cuGetErrorString",
    "cuGraphDestroy",
    "cuGraphExecDestroy",
    "cuGraphInstantiateWithFlags",
    "cuGraphLaunch",
    "cuInit",
    "cuLaunchKernel",
    "cuMemAlloc_v2",
    "cuMemFreeHost",
    "cuMemFree_v2",
    "cuMemGetInfo_v2",
    "cuMemHostAlloc",
    "cuMemHostGetDevicePointer_v2",
    "cuMemcpyDtoDAsync_v2",
    "cuMemcpyDtoHAsync_v2",
    "cuMemcpyDtoH_v2",
    "cuMemcpyHtoDAsync_v2",
    "cuMemcpyHtoD_v2",
    "cuMemcpyPeerAsync",
    "cuModuleGetFunction",
    "cuModuleLoadDataEx",
    "cuModuleUnload",
    "cuStreamBeginCapture_v2",
    "cuStreamCreate",
    "cuStreamDestroy_v2",
    "cuStreamEndCapture",
    "cuStreamQuery",
    "cuStreamWaitEvent",
];

/// `cuEventElapsedTime` in its first form, which every driver has; cudarc knows the second only, of CUDA 12.8.
type ElapsedTime = unsafe extern "C" fn(*mut f32, sys::CUevent, sys::CUevent) -> CUresult;

/// A driver that is there and complete.
#[derive(Clone, Copy)]
pub(super) struct Driver {
    /// CUDA version it is for: 12040 is 12.4.
    pub version: u32,
    /// Whether it is an emulator that answers right and tells no true time.
    pub emulated: bool,
    elapsed_v1: ElapsedTime,
    has_elapsed_v2: bool,
}

impl Driver {
    /// Loads and starts the driver, once in a process. The error says what is missing, with the way out.
    pub fn get() -> Result<Self, String> {
        static DRIVER: OnceLock<Result<Driver, String>> = OnceLock::new();
        DRIVER.get_or_init(Self::load).clone()
    }

    fn load() -> Result<Self, String> {
        // SAFETY: loading a library runs its initialisers; it is the driver's own, by its usual name.
        if !unsafe { sys::is_culib_present() } {
            return Err(
                "no CUDA driver is installed (libcuda.so.1); on a machine with an NVIDIA GPU install the GPU's \
                        driver, in a container start it with the GPU (docker run --gpus all)"
                    .to_owned(),
            );
        }
        let missing: Vec<_> = NEEDED.iter().copied().filter(|name| !has(name)).collect();
        if !missing.is_empty() {
            return Err(format!(
                "the CUDA driver is too old: it lacks {}; rooflint needs one for CUDA 11.4 or later (470.42 on Linux)",
                missing.join(", ")
            ));
        }
        // SAFETY: found just now; the type is that of the driver's header.
        let elapsed_v1 = unsafe { sys::culib().get::<ElapsedTime>(b"cuEventElapsedTime\0") }
            .map(|found| *found)
            .map_err(|error| error.to_string())?;
        // SAFETY: the first call to a driver, with the only flags there are.
        call("cuInit", || unsafe { sys::cuInit(0) }).map_err(|error| match error {
            Failed { code: CUresult::CUDA_ERROR_NO_DEVICE, .. } => no_device(),
            other => format!("the CUDA driver does not start: {other}"),
        })?;
        let mut version = 0;
        // SAFETY: the driver writes one number.
        call("cuDriverGetVersion", || unsafe { sys::cuDriverGetVersion(&mut version) })
            .map_err(|error| error.to_string())?;
        Ok(Self {
            version: version.unsigned_abs(),
            emulated: has("rooflintEmulator"),
            elapsed_v1,
            has_elapsed_v2: has("cuEventElapsedTime_v2"),
        })
    }

    /// The version as it is written: `12.4`.
    pub fn version_text(&self) -> String {
        format!("{}.{}", self.version / 1000, self.version % 1000 / 10)
    }

    /// Milliseconds between two events that have both been reached.
    pub fn elapsed_ms(&self, start: sys::CUevent, end: sys::CUevent) -> Result<f32, Failed> {
        let mut elapsed = 0.0;
        // SAFETY: both events are alive, and the driver writes one number.
        call("cuEventElapsedTime", || unsafe {
            match self.has_elapsed_v2 {
                true => sys::cuEventElapsedTime_v2(&mut elapsed, start, end),
                false => (self.elapsed_v1)(&mut elapsed, start, end),
            }
        })?;
        Ok(elapsed)
    }
}

/// Whether the driver's library has a symbol.
pub(super) fn has(name: &str) -> bool {
    let name = format!("{name}\0");
    // SAFETY: the library is loaded, and the symbol is looked for, not used.
    unsafe { sys::culib().get::<*const ()>(name.as_bytes()) }.is_ok()
}

/// Why a started driver shows no device.
pub(super) fn no_device() -> String {
    let visible = std::env::var("CUDA_VISIBLE_DEVICES");
    match visible {
        Ok(list) if list.trim().is_empty() || list.trim() == "-1" => {
            "CUDA_VISIBLE_DEVICES hides every GPU: unset it, or give the GPU's number or UUID".to_owned()
        }
        Ok(list) => format!(
            "no CUDA device; CUDA_VISIBLE_DEVICES={list} may name one that is not here (see 'nvidia-smi -L'): unset it"
        ),
        Err(_) => {
            "the CUDA driver finds no device; 'nvidia-smi' should list one. In a container start it with the GPU \
                   (docker run --gpus all)"
                .to_owned()
        }
    }
}

/// A call that did not succeed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Failed {
    /// Which.
    pub call: &'static str,
    /// The driver's code.
    pub code: CUresult,
    /// The status of cuBLASLt, where it was its call: `code` then says that the driver has nothing to add.
    status: Option<u32>,
}

impl Failed {
    /// A call of cuBLASLt. What it did to the device, if anything, the next call of the driver tells.
    pub const fn of_library(call: &'static str, status: u32) -> Self {
        Self { call, code: CUresult::CUDA_ERROR_NOT_SUPPORTED, status: Some(status) }
    }
}

impl std::fmt::Display for Failed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if let Some(status) = self.status {
            return write!(f, "{}: {} ({status})", self.call, super::vendor::name_of(status));
        }
        let text = |ask: unsafe fn(CUresult, *mut *const std::ffi::c_char) -> CUresult| {
            let mut text = std::ptr::null();
            // SAFETY: the driver points to a text of its own that lives as long as it, or to nothing.
            let found = unsafe { ask(self.code, &mut text) } == CUresult::CUDA_SUCCESS && !text.is_null();
            // SAFETY: as above.
            found.then(|| unsafe { CStr::from_ptr(text) }.to_string_lossy().into_owned())
        };
        let name = text(sys::cuGetErrorName).unwrap_or_else(|| format!("error {}", self.code as u32));
        let words = text(sys::cuGetErrorString).unwrap_or_default();
        write!(f, "{}: {name} ({words})", self.call)?;
        match self.code {
            CUresult::CUDA_ERROR_DEVICE_UNAVAILABLE => {
                write!(
                    f,
                    "; another process holds the GPU exclusively (see 'nvidia-smi'): end it, or set its compute mode to default"
                )
            }
            CUresult::CUDA_ERROR_SYSTEM_NOT_READY => {
                write!(f, "; on machines with NVSwitch the fabric manager must run (nvidia-fabricmanager)")
            }
            CUresult::CUDA_ERROR_UNSUPPORTED_PTX_VERSION => {
                write!(f, "; the driver is too old for this kernel: update it")
            }
            _ => Ok(()),
        }
    }
}

/// Codes after which a context answers nothing else.
const FATAL: &[CUresult] = &[
    CUresult::CUDA_ERROR_DEINITIALIZED,
    CUresult::CUDA_ERROR_DEVICE_UNAVAILABLE,
    CUresult::CUDA_ERROR_INVALID_CONTEXT,
    CUresult::CUDA_ERROR_ECC_UNCORRECTABLE,
    CUresult::CUDA_ERROR_NVLINK_UNCORRECTABLE,
    CUresult::CUDA_ERROR_ILLEGAL_ADDRESS,
    CUresult::CUDA_ERROR_LAUNCH_TIMEOUT,
    CUresult::CUDA_ERROR_CONTEXT_IS_DESTROYED,
    CUresult::CUDA_ERROR_ASSERT,
    CUresult::CUDA_ERROR_HARDWARE_STACK_ERROR,
    CUresult::CUDA_ERROR_ILLEGAL_INSTRUCTION,
    CUresult::CUDA_ERROR_MISALIGNED_ADDRESS,
    CUresult::CUDA_ERROR_INVALID_ADDRESS_SPACE,
    CUresult::CUDA_ERROR_INVALID_PC,
    CUresult::CUDA_ERROR_LAUNCH_FAILED,
    CUresult::CUDA_ERROR_EXTERNAL_DEVICE,
    CUresult::CUDA_ERROR_UNKNOWN,
];

impl From<Failed> for DeviceError {
    fn from(failed: Failed) -> Self {
        match failed.code {
            code if FATAL.contains(&code) => Self::Lost(failed.to_string()),
            _ => Self::Call { call: failed.call, message: failed.to_string() },
        }
    }
}

/// Makes a call. A function that cudarc does not find is an error like another: it panics there.
pub(super) fn call(name: &'static str, work: impl FnOnce() -> CUresult) -> Result<(), Failed> {
    let code = catch_unwind(AssertUnwindSafe(work)).unwrap_or(CUresult::CUDA_ERROR_NOT_FOUND);
    if code == CUresult::CUDA_SUCCESS { Ok(()) } else { Err(Failed { call: name, code, status: None }) }
}
