//! Clocks: the one samples are timed with, a thread's own processor time, and the core's clock as a
//! chain of dependent additions shows it.

use crate::units::{Hertz, Seconds};

/// The name of the clock that samples are timed with.
#[cfg(target_os = "linux")]
pub(super) const CLOCK: &str = "clock_monotonic_raw";
/// The name of the clock that samples are timed with.
#[cfg(not(target_os = "linux"))]
pub(super) const CLOCK: &str = "instant";

/// Nanoseconds of the sample clock since an arbitrary start. Raw: no time daemon bends its rate.
#[cfg(target_os = "linux")]
#[inline]
pub(super) fn now_ns() -> u64 {
    read_clock(libc::CLOCK_MONOTONIC_RAW)
}

/// Nanoseconds of the sample clock since an arbitrary start.
#[cfg(not(target_os = "linux"))]
pub(super) fn now_ns() -> u64 {
    static START: std::sync::OnceLock<std::time::Instant> = std::sync::OnceLock::new();
    let start = START.get_or_init(std::time::Instant::now);
    u64::try_from(start.elapsed().as_nanos()).unwrap_or(u64::MAX)
}

/// Nanoseconds the calling thread has spent running; `None` where the system does not tell.
#[cfg(target_os = "linux")]
pub(super) fn thread_cpu_ns() -> Option<u64> {
    Some(read_clock(libc::CLOCK_THREAD_CPUTIME_ID))
}

/// Nanoseconds the calling thread has spent running; `None` where the system does not tell.
#[cfg(not(target_os = "linux"))]
pub(super) fn thread_cpu_ns() -> Option<u64> {
    None
}

#[cfg(target_os = "linux")]
#[inline]
fn read_clock(id: libc::clockid_t) -> u64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: writes one `timespec`; both clocks exist since Linux 2.6.28.
    unsafe { libc::clock_gettime(id, &raw mut time) };
    time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
}

/// The smallest step seen between two different readings.
pub(super) fn resolution() -> Seconds {
    let mut smallest = u64::MAX;
    let mut last = now_ns();
    for _ in 0..10_000 {
        let now = now_ns();
        if now > last {
            smallest = smallest.min(now - last);
        }
        last = now;
    }
    // A clock that never moved in ten thousand readings is no better than a microsecond.
    Seconds::from_nanos(if smallest == u64::MAX { 1_000 } else { smallest })
}

/// Additions in one chain: about 10 µs at 3 GHz.
const CHAIN: u64 = 32 * 1024;
/// Chains timed per reading; the fastest counts, since an interruption only ever slows one.
const CHAINS: u32 = 3;

/// The clock of the core that the caller runs on: each addition waits for the one before it and takes
/// one cycle, whatever else the core can do at once. About 30 µs. `None` on architectures without it.
pub(super) fn core_clock() -> Option<Hertz> {
    let mut fastest = u64::MAX;
    for _ in 0..CHAINS {
        let start = now_ns();
        if !dependent_additions() {
            return None;
        }
        fastest = fastest.min(now_ns() - start);
    }
    Hertz::new(CHAIN as f64 / (fastest.max(1) as f64 * 1e-9))
}

/// Runs `CHAIN` dependent additions. Register to register: recent cores fold additions of constants
/// away while renaming.
#[cfg(target_arch = "x86_64")]
fn dependent_additions() -> bool {
    // SAFETY: touches the named registers and flags only.
    unsafe {
        std::arch::asm!(
            "2:",
            ".rept 32",
            "add {sum}, {step}",
            ".endr",
            "dec {left}",
            "jnz 2b",
            sum = inout(reg) 0_u64 => _,
            step = in(reg) 3_u64,
            left = inout(reg) CHAIN / 32 => _,
            options(nomem, nostack),
        );
    }
    true
}

/// Runs `CHAIN` dependent additions.
#[cfg(target_arch = "aarch64")]
fn dependent_additions() -> bool {
    // SAFETY: touches the named registers and flags only.
    unsafe {
        std::arch::asm!(
            "2:",
            ".rept 32",
            "add {sum}, {sum}, {step}",
            ".endr",
            "subs {left}, {left}, #1",
            "b.ne 2b",
            sum = inout(reg) 0_u64 => _,
            step = in(reg) 3_u64,
            left = inout(reg) CHAIN / 32 => _,
            options(nomem, nostack),
        );
    }
    true
}

/// No chain whose latency is known to be one cycle.
#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
fn dependent_additions() -> bool {
    false
}

/// How the processor treats denormal numbers on the calling thread, as recorded beside every case.
#[cfg(target_arch = "x86_64")]
pub(super) fn denormal_mode() -> &'static str {
    let mut mxcsr = 0_u32;
    // SAFETY: stores the 32-bit control register to a local.
    unsafe { std::arch::asm!("stmxcsr [{}]", in(reg) &raw mut mxcsr, options(nostack, preserves_flags)) };
    const FLUSH_TO_ZERO: u32 = 1 << 15;
    const DENORMALS_ARE_ZERO: u32 = 1 << 6;
    match (mxcsr & FLUSH_TO_ZERO != 0, mxcsr & DENORMALS_ARE_ZERO != 0) {
        (false, false) => "kept",
        (true, false) => "results flushed to zero",
        (false, true) => "operands taken as zero",
        (true, true) => "flushed to zero",
    }
}

/// How the processor treats denormal numbers on the calling thread.
#[cfg(not(target_arch = "x86_64"))]
pub(super) fn denormal_mode() -> &'static str {
    "not readable"
}
