//! What the driver lends: a context, streams, events, modules, memory. Each is given back when it is dropped.
//!
//! A handle is used only while the context is current on this thread, which it is from the moment it is retained: a
//! worker process has one device and one thread that speaks to it. What cannot be given back is the driver's to
//! clean up when the process ends.

use std::ffi::{CString, c_void};
use std::ptr::null_mut;
use std::sync::atomic::{AtomicBool, Ordering};

use cudarc::driver::sys::{self, CUjit_option, CUresult};

use super::driver::{Failed, call};
use crate::device::DeviceError;

/// Set once the device is lost or hangs: the driver would then wait for ever to take something back.
static ABANDONED: AtomicBool = AtomicBool::new(false);

/// Leaves everything that was lent to the end of the process.
pub(super) fn abandon() {
    ABANDONED.store(true, Ordering::Relaxed);
}

/// Does something unless all is left to the end of the process.
pub(super) fn unless_abandoned(work: impl FnOnce()) {
    if !ABANDONED.load(Ordering::Relaxed) {
        work();
    }
}

pub(super) fn give_back(name: &'static str, work: impl FnOnce() -> CUresult) {
    unless_abandoned(|| {
        // There is nothing to be done about an error.
        let _ = call(name, work);
    });
}

/// The device's primary context.
pub(super) struct Context {
    pub device: sys::CUdevice,
    pub handle: sys::CUcontext,
}

impl Context {
    pub fn retain(device: sys::CUdevice) -> Result<Self, Failed> {
        let mut handle = null_mut();
        // SAFETY: the driver writes one handle.
        call("cuDevicePrimaryCtxRetain", || unsafe { sys::cuDevicePrimaryCtxRetain(&mut handle, device) })?;
        let retained = Self { device, handle };
        // SAFETY: the context was retained just now.
        call("cuCtxSetCurrent", || unsafe { sys::cuCtxSetCurrent(handle) })?;
        Ok(retained)
    }
}

impl Drop for Context {
    fn drop(&mut self) {
        // SAFETY: retained once; every other handle is dropped before (see the order of fields of the device).
        give_back("cuDevicePrimaryCtxRelease", || unsafe { sys::cuDevicePrimaryCtxRelease_v2(self.device) });
    }
}

/// A stream that does not wait for the default one.
pub(super) struct Stream(pub sys::CUstream);

impl Stream {
    pub fn new() -> Result<Self, Failed> {
        let mut stream = null_mut();
        let flags = sys::CUstream_flags::CU_STREAM_NON_BLOCKING as u32;
        // SAFETY: the driver writes one handle.
        call("cuStreamCreate", || unsafe { sys::cuStreamCreate(&mut stream, flags) })?;
        Ok(Self(stream))
    }

    /// What follows waits for an event that was recorded in another stream.
    pub fn wait_for(&self, event: &Event) -> Result<(), Failed> {
        // SAFETY: both are alive; there are no flags.
        call("cuStreamWaitEvent", || unsafe { sys::cuStreamWaitEvent(self.0, event.0, 0) })
    }

    /// Whether all that was queued is done.
    pub fn is_done(&self) -> Result<bool, Failed> {
        // SAFETY: the stream is alive.
        done(call("cuStreamQuery", || unsafe { sys::cuStreamQuery(self.0) }))
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        // SAFETY: the stream is alive, and not used again.
        give_back("cuStreamDestroy", || unsafe { sys::cuStreamDestroy_v2(self.0) });
    }
}

/// A point in a stream whose time is taken.
pub(super) struct Event(pub sys::CUevent);

impl Event {
    pub fn new() -> Result<Self, Failed> {
        Self::with(0)
    }

    /// One that streams wait for, whose time nobody asks.
    pub fn untimed() -> Result<Self, Failed> {
        Self::with(sys::CUevent_flags::CU_EVENT_DISABLE_TIMING as u32)
    }

    fn with(flags: u32) -> Result<Self, Failed> {
        let mut event = null_mut();
        // SAFETY: the driver writes one handle.
        call("cuEventCreate", || unsafe { sys::cuEventCreate(&mut event, flags) })?;
        Ok(Self(event))
    }

    /// Puts the point at the end of what is queued.
    pub fn record(&self, stream: &Stream) -> Result<(), Failed> {
        // SAFETY: both are alive.
        call("cuEventRecord", || unsafe { sys::cuEventRecord(self.0, stream.0) })
    }
}

impl Drop for Event {
    fn drop(&mut self) {
        // SAFETY: the event is alive, and not used again.
        give_back("cuEventDestroy", || unsafe { sys::cuEventDestroy_v2(self.0) });
    }
}

fn done(queried: Result<(), Failed>) -> Result<bool, Failed> {
    match queried {
        Ok(()) => Ok(true),
        Err(Failed { code: CUresult::CUDA_ERROR_NOT_READY, .. }) => Ok(false),
        Err(error) => Err(error),
    }
}

/// Memory of the device.
pub(super) struct DeviceMemory {
    pub pointer: sys::CUdeviceptr,
}

impl DeviceMemory {
    pub fn new(bytes: usize) -> Result<Self, Failed> {
        let mut pointer = 0;
        // SAFETY: the driver writes one address.
        call("cuMemAlloc", || unsafe { sys::cuMemAlloc_v2(&mut pointer, bytes) })?;
        Ok(Self { pointer })
    }
}

impl Drop for DeviceMemory {
    fn drop(&mut self) {
        // SAFETY: allocated by the driver, and not used again.
        give_back("cuMemFree", || unsafe { sys::cuMemFree_v2(self.pointer) });
    }
}

/// Memory of the host that the device reaches by itself.
pub(super) struct PinnedMemory {
    /// Where the host finds it.
    pub host: *mut u8,
    /// Where the device finds it.
    pub device: sys::CUdeviceptr,
    pub bytes: usize,
}

impl PinnedMemory {
    /// Memory that is all zero.
    pub fn new(bytes: usize) -> Result<Self, Failed> {
        let mut host: *mut c_void = null_mut();
        let flags = sys::CU_MEMHOSTALLOC_DEVICEMAP | sys::CU_MEMHOSTALLOC_PORTABLE;
        // SAFETY: the driver writes one address.
        call("cuMemHostAlloc", || unsafe { sys::cuMemHostAlloc(&mut host, bytes, flags) })?;
        let mut pinned = Self { host: host.cast(), device: 0, bytes };
        // SAFETY: as many bytes were allocated.
        unsafe { pinned.host.write_bytes(0, bytes) };
        // SAFETY: the driver writes one address.
        call("cuMemHostGetDevicePointer", || unsafe {
            sys::cuMemHostGetDevicePointer_v2(&mut pinned.device, host, 0)
        })?;
        Ok(pinned)
    }

    pub fn bytes(&self) -> &[u8] {
        // SAFETY: as many bytes were allocated and written; nothing runs on the device while they are lent.
        unsafe { std::slice::from_raw_parts(self.host, self.bytes) }
    }

    pub fn bytes_mut(&mut self) -> &mut [u8] {
        // SAFETY: as above, and the borrow is exclusive.
        unsafe { std::slice::from_raw_parts_mut(self.host, self.bytes) }
    }
}

impl Drop for PinnedMemory {
    fn drop(&mut self) {
        // SAFETY: allocated by the driver, and not used again.
        give_back("cuMemFreeHost", || unsafe { sys::cuMemFreeHost(self.host.cast()) });
    }
}

/// Loaded code.
pub(super) struct Module(sys::CUmodule);

impl Module {
    /// Loads a cubin, or PTX that the driver compiles. The error has what the compiler said.
    pub fn load(image: &[u8]) -> Result<Self, (Failed, String)> {
        // PTX ends at its first zero; a cubin knows its own length.
        let image: Vec<u8> = image.iter().copied().chain([0]).collect();
        let mut log = vec![0_u8; 4096];
        let mut options = [CUjit_option::CU_JIT_ERROR_LOG_BUFFER, CUjit_option::CU_JIT_ERROR_LOG_BUFFER_SIZE_BYTES];
        let mut values: [*mut c_void; 2] = [log.as_mut_ptr().cast(), log.len() as *mut c_void];
        let mut module = null_mut();
        let loaded = call("cuModuleLoadDataEx", || {
            // SAFETY: the image ends with a zero, the options are as many as said, and the log has the room named.
            unsafe {
                sys::cuModuleLoadDataEx(
                    &mut module,
                    image.as_ptr().cast(),
                    options.len() as u32,
                    options.as_mut_ptr(),
                    values.as_mut_ptr(),
                )
            }
        });
        let said = || log.split(|byte| *byte == 0).next().map(|text| String::from_utf8_lossy(text).trim().to_owned());
        loaded.map(|()| Self(module)).map_err(|error| (error, said().unwrap_or_default()))
    }

    /// An entry point; alive as long as the module.
    pub fn function(&self, name: &str) -> Result<sys::CUfunction, DeviceError> {
        let text = CString::new(name).unwrap_or_default();
        let mut function = null_mut();
        // SAFETY: the module is alive, and the name ends with a zero.
        call("cuModuleGetFunction", || unsafe { sys::cuModuleGetFunction(&mut function, self.0, text.as_ptr()) })
            .map_err(|error| DeviceError::Call { call: error.call, message: format!("{error}: '{name}'") })?;
        Ok(function)
    }
}

impl Drop for Module {
    fn drop(&mut self) {
        // SAFETY: the module is alive, and none of its functions is used again.
        give_back("cuModuleUnload", || unsafe { sys::cuModuleUnload(self.0) });
    }
}

/// Launches as one graph, ready to be started.
pub(super) struct Graph(sys::CUgraphExec);

impl Graph {
    /// Captures what `queue` puts into the stream.
    pub fn capture(stream: &Stream, queue: impl FnOnce() -> Result<(), Failed>) -> Result<Self, Failed> {
        let mode = sys::CUstreamCaptureMode::CU_STREAM_CAPTURE_MODE_RELAXED;
        // SAFETY: the stream is alive.
        call("cuStreamBeginCapture", || unsafe { sys::cuStreamBeginCapture_v2(stream.0, mode) })?;
        let queued = queue();
        let mut graph = null_mut();
        // SAFETY: the stream is capturing; the driver writes one handle.
        let ended = call("cuStreamEndCapture", || unsafe { sys::cuStreamEndCapture(stream.0, &mut graph) });
        queued?;
        ended?;
        let mut ready = null_mut();
        // SAFETY: the graph is alive; the driver writes one handle.
        let made = call("cuGraphInstantiate", || unsafe { sys::cuGraphInstantiateWithFlags(&mut ready, graph, 0) });
        // SAFETY: the graph is alive, and not used again: what was made of it stands by itself.
        give_back("cuGraphDestroy", || unsafe { sys::cuGraphDestroy(graph) });
        made.map(|()| Self(ready))
    }

    pub fn launch(&self, stream: &Stream) -> Result<(), Failed> {
        // SAFETY: both are alive.
        call("cuGraphLaunch", || unsafe { sys::cuGraphLaunch(self.0, stream.0) })
    }
}

impl Drop for Graph {
    fn drop(&mut self) {
        // SAFETY: the graph is alive, and not used again.
        give_back("cuGraphExecDestroy", || unsafe { sys::cuGraphExecDestroy(self.0) });
    }
}
