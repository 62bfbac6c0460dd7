//! The driver's promises: order, asynchrony, errors that stay, and refusals.

use std::ffi::{CStr, c_void};
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use cudarc::driver::sys;

use crate::raw::{Raw, ok};
use crate::support::emulated;

/// `latch` waits for a flag; `append` adds a number to a list; `store` writes to an address.
const KERNELS: &str = "
.version 7.0
.target sm_80
.address_size 64
.global .u32 counter;
.visible .entry latch(.param .u64 flag) {
    .reg .b32 %r; .reg .b64 %rd; .reg .pred %p;
    ld.param.u64 %rd, [flag];
AGAIN:
    ld.relaxed.sys.global.u32 %r, [%rd];
    setp.ne.u32 %p, %r, 0;
    @%p bra DONE;
    nanosleep.u32 1000;
    bra AGAIN;
DONE:
    ret;
}
.visible .entry append(.param .u64 list, .param .u64 value) {
    .reg .b32 %r<3>; .reg .b64 %rd<4>;
    ld.param.u64 %rd0, [list];
    ld.param.u32 %r1, [value];
    mov.u64 %rd1, counter;
    atom.global.add.u32 %r0, [%rd1], 1;
    mul.wide.u32 %rd2, %r0, 4;
    add.s64 %rd3, %rd0, %rd2;
    st.global.u32 [%rd3], %r1;
    ret;
}
.visible .entry store(.param .u64 to) {
    .reg .b64 %rd;
    ld.param.u64 %rd, [to];
    st.global.u32 [%rd], 7;
    ret;
}
.visible .entry load(.param .u64 from, .param .u64 to) {
    .reg .b32 %r; .reg .b64 %rd<2>;
    ld.param.u64 %rd0, [from];
    ld.param.u64 %rd1, [to];
    ld.global.u32 %r, [%rd0];
    st.global.u32 [%rd1], %r;
    ret;
}
";

/// The flag a latch waits for.
fn flag(at: *mut u32) -> &'static AtomicU32 {
    // SAFETY: pinned memory of this process, never freed.
    unsafe { AtomicU32::from_ptr(at) }
}

#[test]
fn launches_return_at_once_and_run_in_order() {
    emulated("driver::launches_return_at_once_and_run_in_order", "a100", "", || {
        let raw = Raw::open();
        let (latch, append) = (raw.function(KERNELS, "latch"), raw.function(KERNELS, "append"));
        let gate = raw.pinned(1);
        let list = raw.allocate(4 * 400).expect("memory");
        let (before, after) = (raw.event(), raw.event());
        assert_eq!(raw.launch(latch, [1, 1], &[gate as u64]), 0);
        raw.record(before);
        for value in 0..400 {
            assert_eq!(raw.launch(append, [1, 1], &[list, value]), 0);
        }
        raw.record(after);
        type Elapsed = unsafe extern "C" fn(*mut f32, sys::CUevent, sys::CUevent) -> u32;
        // SAFETY: objects of this context; the older form of the function is looked up by its name.
        unsafe {
            let elapsed = sys::culib().get::<Elapsed>(b"cuEventElapsedTime\0").expect("a function");
            assert_eq!(sys::cuEventQuery(before) as u32, 600);
            assert_eq!(sys::cuStreamQuery(raw.stream) as u32, 600);
            let mut time = 0.0;
            assert_eq!(elapsed(&mut time, before, after), 600);
            flag(gate).store(1, Ordering::Release);
            ok(sys::cuEventSynchronize(after));
            assert_eq!(elapsed(&mut time, before, after), 0);
            assert!(time > 0.0);
            let mut again = 0.0;
            ok(sys::cuEventElapsedTime_v2(&mut again, before, after));
            assert_eq!(time, again);
        }
        assert_eq!(raw.words(list, 400), (0..400).collect::<Vec<u32>>());
    });
}

#[test]
fn a_launch_waits_where_a_thousand_are_pending() {
    emulated("driver::a_launch_waits_where_a_thousand_are_pending", "a100", "", || {
        let raw = Raw::open();
        let (latch, append) = (raw.function(KERNELS, "latch"), raw.function(KERNELS, "append"));
        let gate = raw.pinned(1);
        let list = raw.allocate(4 * 1200).expect("memory");
        assert_eq!(raw.launch(latch, [1, 1], &[gate as u64]), 0);
        static LAUNCHED: AtomicUsize = AtomicUsize::new(0);
        let at = gate as usize;
        let opener = std::thread::spawn(move || {
            let mut last = (0, Instant::now());
            // Open once no launch has returned for a while.
            while last.1.elapsed() < Duration::from_millis(300) {
                std::thread::sleep(Duration::from_millis(10));
                let now = LAUNCHED.load(Ordering::Acquire);
                if now != last.0 {
                    last = (now, Instant::now());
                }
            }
            flag(at as *mut u32).store(1, Ordering::Release);
            last.0
        });
        for value in 0..1200 {
            assert_eq!(raw.launch(append, [1, 1], &[list, value]), 0);
            LAUNCHED.fetch_add(1, Ordering::AcqRel);
        }
        let pending = opener.join().expect("a count");
        assert!((1000..=1026).contains(&pending), "{pending} launches returned before the first ran");
        assert_eq!(raw.words(list, 1200), (0..1200).collect::<Vec<u32>>());
    });
}

#[test]
fn an_address_outside_ends_the_context_for_good() {
    emulated("driver::an_address_outside_ends_the_context_for_good", "a100", "", || {
        let raw = Raw::open();
        let store = raw.function(KERNELS, "store");
        let memory = raw.allocate(64).expect("memory");
        assert_eq!(raw.launch(store, [1, 1], &[memory + 60]), 0);
        assert_eq!(raw.synchronize(), 0);
        // One byte behind the end is enough.
        assert_eq!(raw.launch(store, [1, 1], &[memory + 64]), 0);
        assert_eq!(raw.synchronize(), 700);
        assert_eq!(raw.synchronize(), 700);
        assert_eq!(raw.allocate(64), Err(700));
        assert_eq!(raw.launch(store, [1, 1], &[memory]), 700);
        let mut event = std::ptr::null_mut();
        // SAFETY: a place for the result.
        unsafe {
            assert_eq!(sys::cuEventCreate(&mut event, 0) as u32, 700);
            assert_eq!(sys::cuDevicePrimaryCtxReset_v2(0) as u32, 700);
            assert_eq!(sys::cuCtxSynchronize() as u32, 700);
        }
    });
}

#[test]
fn a_misaligned_address_is_refused() {
    emulated("driver::a_misaligned_address_is_refused", "a100", "", || {
        let raw = Raw::open();
        let memory = raw.allocate(64).expect("memory");
        assert_eq!(raw.launch(raw.function(KERNELS, "store"), [1, 1], &[memory + 2]), 0);
        assert_eq!(raw.synchronize(), 716);
    });
}

#[test]
fn the_host_has_nothing_at_device_addresses_and_fresh_memory_is_poisoned() {
    let name = "driver::the_host_has_nothing_at_device_addresses_and_fresh_memory_is_poisoned";
    emulated(name, "a100", "", || {
        let raw = Raw::open();
        for bytes in [4096, 40 << 20] {
            let memory = raw.allocate(bytes).expect("memory");
            assert_eq!(raw.words(memory, 4), [u32::MAX; 4]);
            assert_eq!(raw.words(memory + bytes as u64 - 16, 4), [u32::MAX; 4]);
            // SAFETY: asks whether the page is mapped.
            let mapped = unsafe { libc::msync((memory & !4095) as *mut c_void, 1, libc::MS_ASYNC) };
            assert_ne!(mapped, 0);
        }
        // A copy past the end is refused before it starts.
        let memory = raw.allocate(64).expect("memory");
        let words = [0u32; 17];
        // SAFETY: the source has as many bytes.
        assert_eq!(unsafe { sys::cuMemcpyHtoD_v2(memory, words.as_ptr().cast(), 68) } as u32, 1);
    });
}

fn module_code(text: &str) -> u32 {
    Raw::open().module(text.as_bytes()).err().map_or(0, |(code, _)| code)
}

/// A module of nothing but a version and a target.
fn empty(version: &str, target: &str) -> String {
    format!(".version {version}\n.target {target}\n.address_size 64\n.visible .entry k() {{ ret; }}\n")
}

#[test]
fn modules_that_do_not_fit_are_refused() {
    emulated("driver::modules_that_do_not_fit_are_refused", "a100", "", || {
        assert_eq!(module_code(&empty("9.0", "sm_80")), 0);
        assert_eq!(module_code(&empty("9.1", "sm_80")), 222);
        assert_eq!(module_code(&empty("8.0", "sm_90")), 209);
        assert_eq!(module_code(&empty("8.0", "sm_90a")), 209);
        assert_eq!(module_code("\u{7f}ELF and so on"), 209);
        assert_eq!(module_code("nonsense"), 218);
        let raw = Raw::open();
        let unknown = empty("8.0", "sm_80").replace("ret;", "frobnicate.u32 %r1, %r2;");
        let (code, log) = raw.module(unknown.as_bytes()).expect_err("an unknown opcode");
        assert_eq!(code, 218);
        assert!(log.contains("frobnicate.u32") && log.contains("line 4"), "{log}");
        let modifier = empty("8.0", "sm_80").replace("ret;", ".reg .b32 %r; add.nonsense.u32 %r, %r, %r;");
        let (_, log) = raw.module(modifier.as_bytes()).expect_err("an unknown modifier");
        assert!(log.contains("nonsense"), "{log}");
    });
}

#[test]
fn a_device_takes_what_is_made_for_it_alone() {
    emulated("driver::a_device_takes_what_is_made_for_it_alone", "h100", "", || {
        assert_eq!(module_code(&empty("8.0", "sm_90a")), 0);
        assert_eq!(module_code(&empty("8.0", "sm_80")), 0);
        assert_eq!(module_code(&empty("8.8", "sm_100a")), 209);
    });
}

#[test]
fn launches_that_cannot_be_are_refused() {
    emulated("driver::launches_that_cannot_be_are_refused", "a100", "", || {
        let raw = Raw::open();
        let text = empty("8.0", "sm_80").replace("k()", "k() .maxntid 128, 1, 1");
        let bounded = raw.function(&text, "k");
        assert_eq!(raw.launch(bounded, [1, 128], &[]), 0);
        assert_eq!(raw.launch(bounded, [1, 129], &[]), 701);
        let k = raw.function(&empty("8.0", "sm_80"), "k");
        assert_eq!(raw.launch(k, [1, 1025], &[]), 1);
        assert_eq!(raw.launch(k, [0, 1], &[]), 1);
        let shared = |bytes| {
            let null = std::ptr::null_mut();
            // SAFETY: a kernel with no arguments.
            unsafe { sys::cuLaunchKernel(k, 1, 1, 1, 1, 1, 1, bytes, raw.stream, null, null) as u32 }
        };
        assert_eq!((shared(48 << 10), shared((48 << 10) + 1)), (0, 1));
        let limit = sys::CUfunction_attribute::CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES;
        // SAFETY: a function of this context.
        unsafe {
            ok(sys::cuFuncSetAttribute(k, limit, 163 << 10));
            assert_eq!(sys::cuFuncSetAttribute(k, limit, (163 << 10) + 1) as u32, 1);
        }
        assert_eq!(shared(163 << 10), 0);
        assert_eq!(raw.synchronize(), 0);
    });
}

#[test]
fn a_graph_repeats_what_was_captured() {
    emulated("driver::a_graph_repeats_what_was_captured", "a100", "", || {
        let raw = Raw::open();
        let append = raw.function(KERNELS, "append");
        let list = raw.allocate(4 * 64).expect("memory");
        let (mut graph, mut executable) = (std::ptr::null_mut(), std::ptr::null_mut());
        // SAFETY: objects of this context.
        unsafe {
            let mode = sys::CUstreamCaptureMode::CU_STREAM_CAPTURE_MODE_THREAD_LOCAL;
            ok(sys::cuStreamBeginCapture_v2(raw.stream, mode));
            assert_eq!(raw.synchronize(), 900);
            (10..13).for_each(|value| assert_eq!(raw.launch(append, [1, 1], &[list, value]), 0));
            ok(sys::cuStreamEndCapture(raw.stream, &mut graph));
            assert_eq!(sys::cuStreamEndCapture(raw.stream, &mut graph) as u32, 903);
            ok(sys::cuGraphInstantiateWithFlags(&mut executable, graph, 0));
            ok(sys::cuGraphDestroy(graph));
            // Nothing has run yet.
            assert_eq!(raw.words(list, 1), [u32::MAX]);
            ok(sys::cuGraphLaunch(executable, raw.stream));
            ok(sys::cuGraphLaunch(executable, raw.stream));
            assert_eq!(raw.words(list, 6), [10, 11, 12, 10, 11, 12]);
            ok(sys::cuGraphExecDestroy(executable));
        }
    });
}

#[test]
fn streams_wait_for_events_and_for_the_default_stream() {
    emulated("driver::streams_wait_for_events_and_for_the_default_stream", "a100", "", || {
        let raw = Raw::open();
        let (latch, append) = (raw.function(KERNELS, "latch"), raw.function(KERNELS, "append"));
        let gate = raw.pinned(1);
        let list = raw.allocate(4 * 8).expect("memory");
        let mut other = Raw { stream: std::ptr::null_mut() };
        // SAFETY: objects of this context.
        unsafe {
            ok(sys::cuStreamCreate(&mut other.stream, 1));
            let event = raw.event();
            assert_eq!(raw.launch(latch, [1, 1], &[gate as u64]), 0);
            assert_eq!(raw.launch(append, [1, 1], &[list, 1]), 0);
            raw.record(event);
            ok(sys::cuStreamWaitEvent(other.stream, event, 0));
            assert_eq!(other.launch(append, [1, 1], &[list, 2]), 0);
            std::thread::sleep(Duration::from_millis(30));
            assert_eq!(sys::cuStreamQuery(other.stream) as u32, 600);
            flag(gate).store(1, Ordering::Release);
            assert_eq!(other.words(list, 2), [1, 2]);
            // A stream that blocks is behind the default stream.
            flag(gate).store(0, Ordering::Release);
            let default = Raw { stream: std::ptr::null_mut() };
            assert_eq!(default.launch(latch, [1, 1], &[gate as u64]), 0);
            assert_eq!(default.launch(append, [1, 1], &[list, 3]), 0);
            let mut blocking = Raw { stream: std::ptr::null_mut() };
            ok(sys::cuStreamCreate(&mut blocking.stream, 0));
            assert_eq!(blocking.launch(append, [1, 1], &[list, 4]), 0);
            std::thread::sleep(Duration::from_millis(30));
            assert_eq!(sys::cuStreamQuery(blocking.stream) as u32, 600);
            flag(gate).store(1, Ordering::Release);
            assert_eq!(blocking.words(list, 4), [1, 2, 3, 4]);
        }
    });
}

#[test]
fn pinned_memory_is_read_when_the_copy_is_due_and_pageable_at_once() {
    emulated("driver::pinned_memory_is_read_when_the_copy_is_due_and_pageable_at_once", "a100", "", || {
        let raw = Raw::open();
        let latch = raw.function(KERNELS, "latch");
        let (gate, pinned) = (raw.pinned(1), raw.pinned(1));
        let memory = raw.allocate(8).expect("memory");
        let mut pageable = [1u32];
        flag(pinned).store(1, Ordering::Release);
        assert_eq!(raw.launch(latch, [1, 1], &[gate as u64]), 0);
        // SAFETY: a word each.
        unsafe {
            ok(sys::cuMemcpyHtoDAsync_v2(memory, pinned.cast(), 4, raw.stream));
            ok(sys::cuMemcpyHtoDAsync_v2(memory + 4, pageable.as_ptr().cast(), 4, raw.stream));
        }
        flag(pinned).store(2, Ordering::Release);
        pageable[0] = 2;
        flag(gate).store(1, Ordering::Release);
        assert_eq!(raw.words(memory, 2), [2, 1]);
        assert_eq!(pageable, [2]);
        // SAFETY: memory of this context.
        unsafe {
            ok(sys::cuMemsetD32Async(memory, 9, 2, raw.stream));
            ok(sys::cuMemsetD16Async(memory, 3, 1, raw.stream));
            ok(sys::cuMemsetD8Async(memory + 7, 1, 1, raw.stream));
            assert_eq!(sys::cuMemsetD32Async(memory + 2, 9, 1, raw.stream) as u32, 1);
        }
        assert_eq!(raw.words(memory, 2), [3, 9 | 1 << 24]);
    });
}

#[test]
fn host_functions_run_in_their_turn() {
    emulated("driver::host_functions_run_in_their_turn", "a100", "", || {
        unsafe extern "C" fn open(data: *mut c_void) {
            flag(data.cast()).store(1, Ordering::Release);
        }
        let raw = Raw::open();
        let latch = raw.function(KERNELS, "latch");
        let gate = raw.pinned(1);
        // SAFETY: the function takes the pointer it is given.
        unsafe { ok(sys::cuLaunchHostFunc(raw.stream, Some(open), gate.cast())) };
        assert_eq!(raw.launch(latch, [1, 1], &[gate as u64]), 0);
        assert_eq!(raw.synchronize(), 0);
    });
}

#[test]
fn variables_are_found_and_handles_are_checked() {
    emulated("driver::variables_are_found_and_handles_are_checked", "a100", "", || {
        let raw = Raw::open();
        let text = format!("{}\n.global .align 4 .u32 table[3] = {{5, 6, 7}};\n", empty("8.0", "sm_80"));
        let module = raw.module(text.as_bytes()).expect("a module");
        let (mut pointer, mut size) = (0, 0);
        // SAFETY: a module and places for the results.
        unsafe {
            ok(sys::cuModuleGetGlobal_v2(&mut pointer, &mut size, module, c"table".as_ptr()));
            assert_eq!(sys::cuModuleGetGlobal_v2(&mut pointer, &mut size, module, c"no".as_ptr()) as u32, 500);
        }
        assert_eq!((size, raw.words(pointer, 3)), (12, vec![5, 6, 7]));
        let mut function = std::ptr::null_mut();
        // SAFETY: places for the results; the handles are checked.
        unsafe {
            assert_eq!(sys::cuModuleGetFunction(&mut function, module, c"no".as_ptr()) as u32, 500);
            assert_eq!(sys::cuStreamDestroy_v2(0x77 as sys::CUstream) as u32, 400);
            assert_eq!(sys::cuMemFree_v2(12345) as u32, 1);
            let mut name = std::ptr::null();
            ok(sys::cuGetErrorName(sys::CUresult::CUDA_ERROR_ILLEGAL_ADDRESS, &mut name));
            assert_eq!(CStr::from_ptr(name), c"CUDA_ERROR_ILLEGAL_ADDRESS");
        }
    });
}

#[test]
fn names_are_looked_up_in_their_newest_version() {
    emulated("driver::names_are_looked_up_in_their_newest_version", "a100", "", || {
        let (mut function, mut status) =
            (std::ptr::null_mut(), sys::CUdriverProcAddressQueryResult::CU_GET_PROC_ADDRESS_SYMBOL_NOT_FOUND);
        // SAFETY: a C string and places for the results.
        unsafe {
            ok(sys::cuGetProcAddress_v2(c"cuMemAlloc".as_ptr(), &mut function, 13_000, 0, &mut status));
            assert!(!function.is_null());
            let code = sys::cuGetProcAddress_v2(c"cuNothing".as_ptr(), &mut function, 13_000, 0, &mut status);
            assert_eq!((code as u32, function.is_null()), (500, true));
            // What tells this library from a driver.
            let mark = sys::culib().get::<extern "C" fn() -> u32>(b"rooflintEmulator\0").expect("the mark");
            assert_eq!(mark(), 1);
        }
    });
}
