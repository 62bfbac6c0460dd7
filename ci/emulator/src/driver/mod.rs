//! The driver API: C functions of the names and signatures of `cuda.h`, over contexts, streams and modules.

pub mod context;
pub mod copy;
pub mod device;
pub mod event;
pub mod graph;
pub mod guest;
pub mod launch;
pub mod memory;
pub mod module;
pub mod occupancy;
pub mod replace;
pub mod stream;

use std::collections::HashMap;
use std::ffi::{c_char, c_void};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::code;

/// `CUresult` as a number.
pub type Code = u32;
/// A handle: a number no object of the program has as its address.
pub type Handle = usize;

type Answer<T = ()> = Result<T, Code>;

/// Runs a function of the API; a panic is an unknown error, and never crosses into C.
fn answer(f: impl FnOnce() -> Answer) -> Code {
    match catch_unwind(AssertUnwindSafe(f)) {
        Ok(Ok(())) => 0,
        Ok(Err(code)) => code,
        Err(_) => code::UNKNOWN,
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Writes a result through a pointer of the caller's.
///
/// # Safety
/// The pointer is null or one the API may write a `T` through.
unsafe fn put<T>(to: *mut T, value: T) -> Answer {
    if to.is_null() {
        return Err(code::INVALID_VALUE);
    }
    // SAFETY: the caller's promise.
    unsafe { to.write(value) };
    Ok(())
}

/// Writes a text with its NUL into a buffer, cut to fit.
///
/// # Safety
/// The buffer has `size` bytes.
unsafe fn put_text(to: *mut c_char, size: usize, text: &str) -> Answer {
    if to.is_null() || size == 0 {
        return Err(code::INVALID_VALUE);
    }
    let length = text.len().min(size - 1);
    // SAFETY: `length + 1` bytes fit by the caller's promise.
    unsafe {
        std::ptr::copy_nonoverlapping(text.as_ptr().cast(), to, length);
        to.add(length).write(0);
    }
    Ok(())
}

/// Objects by handle.
pub struct Handles<T>(Mutex<Option<Known<T>>>);

/// The last handle given out, and the objects by theirs.
type Known<T> = (Handle, HashMap<Handle, Arc<T>>);

impl<T> Handles<T> {
    pub const fn new() -> Self {
        Self(Mutex::new(None))
    }

    pub fn insert(&self, object: Arc<T>) -> Handle {
        let mut inner = lock(&self.0);
        let (next, objects) = inner.get_or_insert_with(|| (0x1000, HashMap::new()));
        *next += 0x10;
        objects.insert(*next, object);
        *next
    }

    pub fn get(&self, handle: Handle) -> Answer<Arc<T>> {
        let inner = lock(&self.0);
        inner.as_ref().and_then(|(_, objects)| objects.get(&handle).cloned()).ok_or(code::INVALID_HANDLE)
    }

    pub fn remove(&self, handle: Handle) -> Answer<Arc<T>> {
        let mut inner = lock(&self.0);
        inner.as_mut().and_then(|(_, objects)| objects.remove(&handle)).ok_or(code::INVALID_HANDLE)
    }
}

impl<T> Default for Handles<T> {
    fn default() -> Self {
        Self::new()
    }
}

/// Marks the library as what it is: programs that publish what they measure look for this symbol. Gives its version.
#[unsafe(no_mangle)]
pub extern "C" fn rooflintEmulator() -> u32 {
    1
}

/// Whether the emulated device has been lost, for the NVML beside it.
#[unsafe(no_mangle)]
pub extern "C" fn rooflintEmulatorLost() -> u32 {
    crate::fault::lost().into()
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuGetErrorName(error: Code, text: *mut *const c_char) -> Code {
    answer(|| {
        let (name, _) = code::describe(error).ok_or(code::INVALID_VALUE)?;
        // SAFETY: the API's contract.
        unsafe { put(text, name.as_ptr().cast()) }
    })
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuGetErrorString(error: Code, text: *mut *const c_char) -> Code {
    answer(|| {
        let (_, message) = code::describe(error).ok_or(code::INVALID_VALUE)?;
        // SAFETY: the API's contract.
        unsafe { put(text, message.as_ptr().cast()) }
    })
}

/// Looks a function up by name, in its newest version.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuGetProcAddress_v2(
    symbol: *const c_char,
    function: *mut *mut c_void,
    _version: i32,
    _flags: u64,
    status: *mut u32,
) -> Code {
    answer(|| {
        if symbol.is_null() {
            return Err(code::INVALID_VALUE);
        }
        // SAFETY: the API's contract: a C string.
        let name = unsafe { std::ffi::CStr::from_ptr(symbol) }.to_str().map_err(|_| code::INVALID_VALUE)?;
        let found = ["_v3", "_v2", ""].iter().find_map(|suffix| {
            let name = std::ffi::CString::new(format!("{name}{suffix}")).ok()?;
            // SAFETY: looks a name up in this library.
            let at = unsafe { libc::dlsym(itself()?, name.as_ptr()) };
            (!at.is_null()).then_some(at)
        });
        if !status.is_null() {
            // SAFETY: the API's contract. 0: found, 1: no such symbol.
            unsafe { status.write(u32::from(found.is_none())) };
        }
        // SAFETY: the API's contract.
        unsafe { put(function, found.unwrap_or(std::ptr::null_mut())) }?;
        found.map(|_| ()).ok_or(code::NOT_FOUND)
    })
}

/// This library as the loader knows it.
fn itself() -> Option<*mut c_void> {
    // SAFETY: asks which loaded object holds a function of ours; the name it gives lives as long as the object.
    unsafe {
        let mut info: libc::Dl_info = std::mem::zeroed();
        if libc::dladdr(rooflintEmulator as *const c_void, &mut info) == 0 {
            return None;
        }
        let handle = libc::dlopen(info.dli_fname, libc::RTLD_NOLOAD | libc::RTLD_LAZY);
        (!handle.is_null()).then_some(handle)
    }
}

/// Whether this library offers a symbol.
pub fn offers(symbol: &std::ffi::CStr) -> bool {
    // SAFETY: looks a name up in this library.
    itself().is_some_and(|library| !unsafe { libc::dlsym(library, symbol.as_ptr()) }.is_null())
}
