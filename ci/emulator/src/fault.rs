//! Faults on demand: `ROOFLINT_EMULATOR_FAULT` = a list like `out_of_memory:3,hang:7`, each at the given allocation or
//! kernel execution of the process, counted from 1. `timeout:N` is no fault but a watchdog: see [`timeout`].

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Condvar, Mutex, OnceLock, PoisonError};
use std::time::Duration;

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
const KINDS: [&str; 17] = [
    "out_of_memory",
    "illegal_address",
    "hang",
    "lost",
    "ecc",
    "timeout",
    "copies_meet",
    "peer_direct_wrong",
    "peer_staged_wrong",
    "nvml_not_permitted",
    "nvml_not_supported",
    "nvml_processes",
    "nvml_link_generation",
    "nvml_link_width",
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

fn asked(kind: &str) -> bool {
    wanted().iter().any(|(wanted, _)| wanted == kind)
}

/// Whether a copy between devices, direct or staged, is to go wrong.
pub fn peer_copy_is_wrong(direct: bool) -> bool {
    asked(if direct { "peer_direct_wrong" } else { "peer_staged_wrong" })
}

/// Longest wait of a copy for its counterpart.
const MEETING: Duration = Duration::from_secs(10);

/// With `copies_meet` a copy between pinned memory and a device begins once as many were begun in the other direction:
/// copies that wait for one another in one stream never meet.
pub fn meet(from_device: bool) -> Result<(), Trap> {
    static BEGUN: Mutex<[u64; 2]> = Mutex::new([0; 2]);
    static CHANGED: Condvar = Condvar::new();
    if !asked("copies_meet") {
        return Ok(());
    }
    let mut begun = BEGUN.lock().unwrap_or_else(PoisonError::into_inner);
    let (own, other) = (usize::from(from_device), usize::from(!from_device));
    begun[own] += 1;
    let mine = begun[own];
    CHANGED.notify_all();
    let met = CHANGED.wait_timeout_while(begun, MEETING, |begun| begun[other] < mine);
    if met.unwrap_or_else(PoisonError::into_inner).1.timed_out() {
        return Err(Trap::new(code::LAUNCH_TIMEOUT, "no copy came in the other direction, as asked for"));
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
