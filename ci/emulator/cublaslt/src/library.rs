//! The library itself, and the lives of descriptors.

use std::ffi::{c_char, c_void};

use crate::descriptor::{Descriptor, Kind, layout, operation};
use crate::status::{Answer, INVALID_VALUE, Status, answer, refuse, require, text};
use crate::{driver, fault, object};

/// A mark that NVIDIA's library does not have: a program must not take this one for it, nor that for this one.
#[unsafe(no_mangle)]
pub extern "C" fn rooflintEmulatorCublaslt() -> u32 {
    1
}

#[unsafe(no_mangle)]
pub extern "C" fn cublasLtGetVersion() -> usize {
    fault::version()
}

#[unsafe(no_mangle)]
pub extern "C" fn cublasLtGetStatusString(status: Status) -> *const c_char {
    text(status).as_ptr()
}

/// # Safety
/// The pointer is null or one the API may write through.
unsafe fn put(to: *mut usize, make: impl FnOnce() -> Answer<usize>) -> Answer {
    require(!to.is_null(), INVALID_VALUE, "no place for the result")?;
    let made = make()?;
    // SAFETY: the caller's promise.
    unsafe { to.write(made) };
    Ok(())
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn cublasLtCreate(library: *mut usize) -> Status {
    // SAFETY: the API's contract.
    answer("cublasLtCreate", || unsafe { put(library, || Ok(object::add_library(driver::open()?))) })
}

#[unsafe(no_mangle)]
pub extern "C" fn cublasLtDestroy(library: *const c_void) -> Status {
    answer("cublasLtDestroy", || object::remove_library(library))
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn cublasLtMatrixLayoutCreate(
    descriptor: *mut usize,
    element: u32,
    rows: u64,
    columns: u64,
    leading: i64,
) -> Status {
    let values =
        [(layout::TYPE, element.into()), (layout::ROWS, rows), (layout::COLS, columns), (layout::LD, leading as u64)];
    // SAFETY: the API's contract.
    answer("cublasLtMatrixLayoutCreate", || unsafe {
        put(descriptor, || Ok(object::add_descriptor(Descriptor::new(Kind::Layout, &values))))
    })
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn cublasLtMatmulDescCreate(descriptor: *mut usize, compute: u32, scale: u32) -> Status {
    let values = [(operation::COMPUTE_TYPE, compute.into()), (operation::SCALE_TYPE, scale.into())];
    // SAFETY: the API's contract.
    answer("cublasLtMatmulDescCreate", || unsafe {
        put(descriptor, || Ok(object::add_descriptor(Descriptor::new(Kind::Operation, &values))))
    })
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn cublasLtMatmulPreferenceCreate(descriptor: *mut usize) -> Status {
    // SAFETY: the API's contract.
    answer("cublasLtMatmulPreferenceCreate", || unsafe {
        put(descriptor, || Ok(object::add_descriptor(Descriptor::new(Kind::Preference, &[]))))
    })
}

/// # Safety
/// The buffer is null or has `size` bytes.
unsafe fn set(kind: Kind, number: *const c_void, attribute: u32, buffer: *const c_void, size: usize) -> Answer {
    // More than any attribute has is not read.
    if buffer.is_null() || size > 8 {
        return refuse(INVALID_VALUE, format!("{kind:?}: attribute {attribute} from {size} bytes at {buffer:?}"));
    }
    // SAFETY: the caller's promise.
    let bytes = unsafe { std::slice::from_raw_parts(buffer.cast(), size) };
    object::edit(kind, number, |descriptor| descriptor.set(attribute, bytes))
}

macro_rules! descriptors {
    ($($kind:ident, $set:ident, $destroy:ident;)*) => {$(
        #[unsafe(no_mangle)]
        pub unsafe extern "C" fn $set(
            descriptor: *const c_void,
            attribute: u32,
            buffer: *const c_void,
            size: usize,
        ) -> Status {
            // SAFETY: the API's contract.
            answer(stringify!($set), || unsafe { set(Kind::$kind, descriptor, attribute, buffer, size) })
        }

        #[unsafe(no_mangle)]
        pub extern "C" fn $destroy(descriptor: *const c_void) -> Status {
            answer(stringify!($destroy), || object::remove_descriptor(Kind::$kind, descriptor))
        }
    )*};
}

descriptors! {
    Layout, cublasLtMatrixLayoutSetAttribute, cublasLtMatrixLayoutDestroy;
    Operation, cublasLtMatmulDescSetAttribute, cublasLtMatmulDescDestroy;
    Preference, cublasLtMatmulPreferenceSetAttribute, cublasLtMatmulPreferenceDestroy;
}
