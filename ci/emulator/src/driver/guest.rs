//! Kernels of other libraries: queued, captured, failed and counted as those of modules are.

use std::ffi::c_void;
use std::sync::Arc;

use super::{Code, Handle, answer, stream};
use crate::exec::Trap;
use crate::fault;
use crate::guest::{Guest, Memory};
use crate::memory::{Mapping, View};

/// A kernel that goes when the last stream or graph that holds it does.
struct Kernel(Guest);

// SAFETY: the library that gave it promises that it may be run and released on any thread.
unsafe impl Send for Kernel {}
// SAFETY: as above.
unsafe impl Sync for Kernel {}

impl Drop for Kernel {
    fn drop(&mut self) {
        // SAFETY: the library's own function and data, once, when nothing runs it.
        unsafe { (self.0.release)(self.0.data) };
    }
}

/// What one execution has reached, and why it failed.
struct Execution {
    view: View,
    held: Vec<Arc<Mapping>>,
    why: String,
}

/// # Safety
/// The state is an [`Execution`] that nothing else uses meanwhile.
unsafe extern "C" fn find(state: *mut c_void, address: u64, size: u64) -> *mut u8 {
    // SAFETY: the caller's promise.
    let execution = unsafe { &mut *state.cast::<Execution>() };
    let Some((host, mapping)) = execution.view.range(address, size) else { return std::ptr::null_mut() };
    execution.held.push(mapping);
    host
}

/// # Safety
/// As [`find`]; the text has so many bytes.
unsafe extern "C" fn explain(state: *mut c_void, text: *const u8, length: usize) {
    // SAFETY: the caller's promise.
    let (execution, text) = unsafe { (&mut *state.cast::<Execution>(), std::slice::from_raw_parts(text, length)) };
    execution.why = String::from_utf8_lossy(text).into_owned();
}

impl Kernel {
    fn run(&self, view: View) -> Result<(), Trap> {
        let mut execution = Execution { view, held: Vec::new(), why: String::new() };
        let memory = Memory { state: (&raw mut execution).cast(), find, explain };
        // SAFETY: the library's own function and data, and an execution that lives until it returns.
        match unsafe { (self.0.run)(self.0.data, &memory) } {
            0 => Ok(()),
            code => Err(Trap::new(code, std::mem::take(&mut execution.why))),
        }
    }
}

/// Queues a kernel of another library. What it returns is what `cuLaunchKernel` would; the kernel is released in any
/// case.
///
/// # Safety
/// The functions of the kernel may be called with its data on any thread.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rooflintEmulatorLaunch(stream: Handle, guest: Guest) -> Code {
    let kernel = Kernel(guest);
    answer(|| {
        let stream = stream::find(stream)?;
        let view = stream.context()?.view();
        stream.enqueue(Arc::new(move || {
            fault::launch()?;
            kernel.run(view.clone())
        }))
    })
}
