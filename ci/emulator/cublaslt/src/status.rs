//! What calls give: `cublasStatus_t`, and why.

use std::ffi::{CStr, c_int};
use std::panic::{AssertUnwindSafe, catch_unwind};

/// `cublasStatus_t` as a number.
pub type Status = c_int;

pub const SUCCESS: Status = 0;
pub const NOT_INITIALIZED: Status = 1;
pub const INVALID_VALUE: Status = 7;
pub const EXECUTION_FAILED: Status = 13;
pub const INTERNAL_ERROR: Status = 14;
pub const NOT_SUPPORTED: Status = 15;

/// A status other than success, with the reason.
#[derive(Debug)]
pub struct Refusal {
    pub status: Status,
    pub why: String,
}

pub type Answer<T = ()> = Result<T, Refusal>;

/// What a call is refused with.
pub fn refuse<T>(status: Status, why: impl Into<String>) -> Answer<T> {
    Err(Refusal { status, why: why.into() })
}

/// Refuses with `status` unless the condition holds.
pub fn require(holds: bool, status: Status, why: impl Into<String>) -> Answer {
    if holds { Ok(()) } else { refuse(status, why) }
}

/// Runs a function of the API and says, where that is asked for, why it was refused. A panic never crosses into C.
pub fn answer(function: &str, f: impl FnOnce() -> Answer) -> Status {
    let refusal = match catch_unwind(AssertUnwindSafe(f)) {
        Ok(Ok(())) => return SUCCESS,
        Ok(Err(refusal)) => refusal,
        Err(_) => Refusal { status: INTERNAL_ERROR, why: "the emulated library panicked".to_owned() },
    };
    if std::env::var_os("ROOFLINT_EMULATOR_LOG").is_some_and(|value| value != "0") {
        eprintln!("rooflint-emulator: {function} refused ({}): {}", refusal.status, refusal.why);
    }
    refusal.status
}

/// The real library's words (13.10).
pub fn text(status: Status) -> &'static CStr {
    match status {
        SUCCESS => c"success",
        NOT_INITIALIZED => c"the library was not initialized",
        3 => c"the resource allocation failed",
        INVALID_VALUE => c"an unsupported value or parameter was passed to the function",
        8 => c"the function requires an architectural feature absent from the device",
        11 => c"an access to GPU memory space failed",
        EXECUTION_FAILED => c"the function failed to launch on the GPU",
        INTERNAL_ERROR => c"an internal operation failed",
        NOT_SUPPORTED => c"the requested functionality is not supported",
        16 => c"the license check failed",
        _ => c"unrecognized status",
    }
}
