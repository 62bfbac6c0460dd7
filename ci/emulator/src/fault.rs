//! Faults on demand: `ROOFLINT_EMULATOR_FAULT` = a list like `out_of_memory:3,hang:7`, each at the given allocation or
//! kernel execution of the process, counted from 1. `timeout:N` is no fault but a watchdog: see [`timeout`].

use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use crate::code;
use crate::exec::Trap;

static ALLOCATIONS: AtomicU64 = AtomicU64::new(0);
static LAUNCHES: AtomicU64 = AtomicU64::new(0);
static LOST: AtomicBool = AtomicBool::new(false);

/// Each fault and when it strikes.
fn wanted() -> &'static [(String, u64)] {
    static WANTED: OnceLock<Vec<(String, u64)>> = OnceLock::new();
    WANTED.get_or_init(|| {
        let text = std::env::var("ROOFLINT_EMULATOR_FAULT").unwrap_or_default();
        let parts = text.split(',').filter(|part| !part.is_empty());
        parts
            .map(|part| {
                let (kind, at) = part.split_once(':').unwrap_or((part, "1"));
                (kind.trim().to_owned(), at.trim().parse().unwrap_or(1))
            })
            .collect()
    })
}

/// Those of the libraries beside the driver are theirs to look for.
const KINDS: [&str; 10] = [
    "out_of_memory",
    "illegal_address",
    "hang",
    "lost",
    "ecc",
    "timeout",
    "nvml_not_permitted",
    "cublaslt_algorithm",
    "cublaslt_wrong",
    "cublaslt_version",
];

/// A fault that is not known here would be asked for in vain.
pub fn unknown() -> Option<&'static str> {
    wanted().iter().map(|(kind, _)| kind.as_str()).find(|kind| !KINDS.contains(kind))
}

fn strikes(kind: &str, now: u64) -> bool {
    wanted().iter().any(|(wanted, at)| wanted == kind && *at == now)
}

/// Counts an allocation. False: it is to fail.
pub fn allocation() -> bool {
    !strikes("out_of_memory", ALLOCATIONS.fetch_add(1, Ordering::Relaxed) + 1)
}

/// Counts a kernel execution, which may fail or never end.
pub fn launch() -> Result<(), Trap> {
    let now = LAUNCHES.fetch_add(1, Ordering::Relaxed) + 1;
    if strikes("hang", now) {
        loop {
            std::thread::park();
        }
    }
    if strikes("lost", now) {
        LOST.store(true, Ordering::Release);
        return Err(Trap::new(code::UNKNOWN, "the device has fallen off the bus, as asked for"));
    }
    if strikes("ecc", now) {
        return Err(Trap::new(code::ECC_UNCORRECTABLE, "an uncorrectable memory error, as asked for"));
    }
    if strikes("illegal_address", now) {
        return Err(Trap::new(code::ILLEGAL_ADDRESS, "an illegal address, as asked for"));
    }
    Ok(())
}

/// Instructions that a warp may execute without ever waiting before its kernel is ended, as by a display's watchdog.
pub fn timeout() -> u64 {
    static TIMEOUT: OnceLock<u64> = OnceLock::new();
    let find = || wanted().iter().find(|(kind, _)| kind == "timeout").map_or(u64::MAX, |(_, limit)| *limit);
    *TIMEOUT.get_or_init(find)
}

/// Whether the device has been lost.
pub fn lost() -> bool {
    LOST.load(Ordering::Acquire)
}
