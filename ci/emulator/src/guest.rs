//! Kernels that another library gives the emulated driver, as cuBLASLt has some of its own: the types that both sides
//! have to agree on. Neither side is linked to the other.

use std::ffi::c_void;

/// A kernel that is no PTX. The driver calls `run` as often as a stream or a graph comes to it, on a thread of its own,
/// and `release` once, when nothing can come to it any more.
#[repr(C)]
pub struct Guest {
    pub data: *mut c_void,
    /// Gives 0, or the driver's code for what went wrong.
    pub run: unsafe extern "C" fn(data: *const c_void, memory: *const Memory) -> u32,
    pub release: unsafe extern "C" fn(data: *mut c_void),
}

/// The memory that one execution may reach.
#[repr(C)]
pub struct Memory {
    pub state: *mut c_void,
    /// The host's address of so many bytes of one allocation, which stays until `run` returns; null: outside.
    pub find: unsafe extern "C" fn(state: *mut c_void, address: u64, size: u64) -> *mut u8,
    /// Says in UTF-8 why `run` is about to give a code.
    pub explain: unsafe extern "C" fn(state: *mut c_void, text: *const u8, length: usize),
}
