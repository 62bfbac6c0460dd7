//! Each personality and each fault.

use std::ffi::c_void;
use std::time::Duration;

use cudarc::driver::{CudaContext, sys};
use rooflint_emulator::place::remove;

use crate::raw::{Raw, ok};
use crate::support::emulated;

const KERNEL: &str = ".version 7.0
.target sm_80
.address_size 64
.visible .entry load(.param .u64 from, .param .u64 to) {
    .reg .b32 %r; .reg .b64 %rd<2>;
    ld.param.u64 %rd0, [from];
    ld.param.u64 %rd1, [to];
    ld.global.u32 %r, [%rd0];
    st.global.u32 [%rd1], %r;
    ret;
}";

fn name() -> String {
    CudaContext::new(0).expect("a device").name().expect("a name")
}

#[test]
fn devices_say_what_they_are() {
    emulated("personalities::devices_say_what_they_are", "h100", "", || {
        assert_eq!(name(), "Emulated H100-SXM5-80GB (PTX interpreter)");
        let context = CudaContext::new(0).expect("a device");
        assert_eq!(context.compute_capability().expect("a capability"), (9, 0));
        assert_eq!(context.total_mem().expect("a size"), 80 << 30);
        let attribute = |which| context.attribute(which).expect("an attribute");
        assert_eq!(attribute(sys::CUdevice_attribute::CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT), 132);
        assert_eq!(attribute(sys::CUdevice_attribute::CU_DEVICE_ATTRIBUTE_L2_CACHE_SIZE), 50 << 20);
        assert_eq!(attribute(sys::CUdevice_attribute::CU_DEVICE_ATTRIBUTE_CLOCK_RATE), 1_980_000);
        let shared = sys::CUdevice_attribute::CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_BLOCK_OPTIN;
        assert_eq!(attribute(shared), 227 << 10);
    });
}

#[test]
fn a_small_device_is_small() {
    emulated("personalities::a_small_device_is_small", "small", "", || {
        let context = CudaContext::new(0).expect("a device");
        let count = sys::CUdevice_attribute::CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT;
        assert_eq!((context.attribute(count), context.total_mem()), (Ok(4), Ok(2 << 30)));
        assert!(name().starts_with("Emulated"));
    });
}

#[test]
fn no_device_is_an_error_of_its_own() {
    emulated("personalities::no_device_is_an_error_of_its_own", "none", "", || {
        // SAFETY: as the driver's manual has it.
        assert_eq!(unsafe { sys::cuInit(0) } as u32, 100);
        assert!(CudaContext::new(0).is_err());
    });
}

#[test]
fn a_personality_nobody_knows_is_refused() {
    emulated("personalities::a_personality_nobody_knows_is_refused", "voodoo2", "", || {
        // SAFETY: as the driver's manual has it.
        assert_eq!(unsafe { sys::cuInit(0) } as u32, 803);
    });
}

#[test]
fn a_fault_nobody_knows_is_refused() {
    emulated("personalities::a_fault_nobody_knows_is_refused", "a100", "out_of_luck:1", || {
        // SAFETY: as the driver's manual has it.
        assert_eq!(unsafe { sys::cuInit(0) } as u32, 803);
    });
}

#[test]
fn an_old_driver_lacks_what_is_newer() {
    emulated("personalities::an_old_driver_lacks_what_is_newer", "old-driver", "", || {
        let raw = Raw::open();
        let mut version = 0;
        // SAFETY: a place for the result; symbols are looked up by C strings.
        unsafe {
            ok(sys::cuDriverGetVersion(&mut version));
            assert_eq!(version, 12_000);
            assert!(sys::culib().get::<unsafe extern "C" fn()>(b"cuEventElapsedTime_v2\0").is_err());
            assert!(sys::culib().get::<unsafe extern "C" fn()>(b"cuEventElapsedTime\0").is_ok());
        }
        let newer = KERNEL.replace(".version 7.0", ".version 8.1");
        assert_eq!(raw.module(newer.as_bytes()).expect_err("too new").0, 222);
        assert!(raw.module(KERNEL.as_bytes()).is_ok());
    });
}

#[test]
fn only_a_symbol_there_is_can_be_removed() {
    let library = std::env::current_exe().expect("a test").with_file_name("librooflint_emulator.so");
    let mut bytes = std::fs::read(library).expect("the library");
    assert!(remove(&mut bytes, "cuInit").is_ok());
    assert!(remove(&mut bytes, "cuNothing").is_err());
}

/// Reads memory of the second device in a kernel on the first. The code, and the word.
fn read_from_peer(enable: bool) -> (u32, Option<u32>) {
    let raw = Raw::open();
    let load = raw.function(KERNEL, "load");
    let mine = raw.allocate(4).expect("memory");
    let (mut first, mut second, mut can) = (std::ptr::null_mut(), std::ptr::null_mut(), 0);
    // SAFETY: objects of these contexts.
    let theirs = unsafe {
        ok(sys::cuDeviceCanAccessPeer(&mut can, 0, 1));
        assert_eq!(can, 1);
        ok(sys::cuCtxGetCurrent(&mut first));
        ok(sys::cuDevicePrimaryCtxRetain(&mut second, 1));
        ok(sys::cuCtxSetCurrent(second));
        let theirs = raw.allocate(4).expect("memory");
        ok(sys::cuMemsetD32_v2(theirs, 11, 1));
        ok(sys::cuCtxSetCurrent(first));
        if enable {
            ok(sys::cuCtxEnablePeerAccess(second, 0));
            assert_eq!(sys::cuCtxEnablePeerAccess(second, 0) as u32, 704);
        }
        // A copy needs no leave.
        ok(sys::cuMemcpyPeerAsync(mine, first, theirs, second, 4, raw.stream));
        assert_eq!(raw.words(mine, 1), [11]);
        ok(sys::cuMemsetD32_v2(mine, 0, 1));
        theirs
    };
    assert_eq!(raw.launch(load, [1, 1], &[theirs, mine]), 0);
    let code = raw.synchronize();
    (code, (code == 0).then(|| raw.words(mine, 1)[0]))
}

#[test]
fn a_peer_is_out_of_reach_without_leave() {
    emulated("personalities::a_peer_is_out_of_reach_without_leave", "two", "", || {
        assert_eq!(read_from_peer(false), (700, None));
    });
}

#[test]
fn a_peer_is_reached_with_leave() {
    emulated("personalities::a_peer_is_reached_with_leave", "two", "", || {
        assert_eq!(read_from_peer(true), (0, Some(11)));
    });
}

/// Contexts of both devices.
fn contexts() -> [sys::CUcontext; 2] {
    let mut contexts = [std::ptr::null_mut(); 2];
    for (device, context) in (0..).zip(&mut contexts) {
        // SAFETY: a place for the result.
        unsafe { ok(sys::cuDevicePrimaryCtxRetain(context, device)) };
    }
    contexts
}

#[test]
fn leave_is_given_and_taken_with_the_drivers_codes() {
    emulated("personalities::leave_is_given_and_taken_with_the_drivers_codes", "small-two", "", || {
        let _raw = Raw::open();
        let [own, peer] = contexts();
        // SAFETY: contexts of this driver.
        unsafe {
            assert_eq!(sys::cuCtxDisablePeerAccess(peer) as u32, 705);
            assert_eq!(sys::cuCtxEnablePeerAccess(own, 0) as u32, 201);
            assert_eq!(sys::cuCtxEnablePeerAccess(peer, 1) as u32, 1);
            assert_eq!(sys::cuCtxEnablePeerAccess(std::ptr::null_mut(), 0) as u32, 201);
            ok(sys::cuCtxEnablePeerAccess(peer, 0));
            assert_eq!(sys::cuCtxEnablePeerAccess(peer, 0) as u32, 704);
            ok(sys::cuCtxDisablePeerAccess(peer));
            assert_eq!(sys::cuCtxDisablePeerAccess(peer) as u32, 705);
        }
    });
}

#[test]
fn devices_that_are_apart_get_no_leave() {
    emulated("personalities::devices_that_are_apart_get_no_leave", "small-apart", "", || {
        let _raw = Raw::open();
        let ([_, peer], mut can) = (contexts(), 1);
        // SAFETY: contexts of this driver, and a place for the result.
        unsafe {
            ok(sys::cuDeviceCanAccessPeer(&mut can, 0, 1));
            assert_eq!((can, sys::cuCtxEnablePeerAccess(peer, 0) as u32), (0, 217));
        }
    });
}

/// What a copy from the first device to the second leaves of one byte, without leave and with it.
fn copied_to_peer() -> [u8; 2] {
    let raw = Raw::open();
    let ([own, peer], mine) = (contexts(), raw.allocate(4).expect("memory"));
    // SAFETY: objects of these contexts.
    unsafe {
        ok(sys::cuMemsetD32_v2(mine, 0x0505_0505, 1));
        ok(sys::cuCtxSetCurrent(peer));
        let theirs = raw.allocate(4).expect("memory");
        ok(sys::cuCtxSetCurrent(own));
        // Each address must be of its own context's device.
        assert_eq!(sys::cuMemcpyPeerAsync(theirs, own, mine, peer, 4, raw.stream) as u32, 1);
        assert_eq!(sys::cuMemcpyPeerAsync(theirs, std::ptr::null_mut(), mine, own, 4, raw.stream) as u32, 201);
        [false, true].map(|leave| {
            if leave {
                ok(sys::cuCtxEnablePeerAccess(peer, 0));
            }
            ok(sys::cuMemcpyPeerAsync(theirs, peer, mine, own, 4, raw.stream));
            (raw.words(theirs, 1)[0] >> 24) as u8
        })
    }
}

#[test]
fn a_copy_to_a_peer_is_staged_without_leave_and_direct_with_it() {
    emulated("personalities::a_copy_to_a_peer_is_staged_without_leave_and_direct_with_it", "small-two", "", || {
        assert_eq!(copied_to_peer(), [5, 5]);
    });
}

#[test]
fn a_staged_copy_goes_wrong_when_asked_to() {
    emulated("personalities::a_staged_copy_goes_wrong_when_asked_to", "small-two", "peer_staged_wrong", || {
        assert_eq!(copied_to_peer(), [!5, 5]);
    });
}

#[test]
fn a_direct_copy_goes_wrong_when_asked_to() {
    emulated("personalities::a_direct_copy_goes_wrong_when_asked_to", "small-two", "peer_direct_wrong", || {
        assert_eq!(copied_to_peer(), [5, !5]);
    });
}

#[test]
fn copies_in_both_directions_meet_when_asked_to() {
    emulated("personalities::copies_in_both_directions_meet_when_asked_to", "small", "copies_meet", || {
        let raw = Raw::open();
        let (memory, host) = (raw.allocate(8).expect("memory"), raw.pinned(2).cast::<c_void>());
        let mut beside = std::ptr::null_mut();
        // SAFETY: memory and streams of this context.
        unsafe {
            ok(sys::cuStreamCreate(&mut beside, 1));
            ok(sys::cuMemcpyHtoDAsync_v2(memory, host, 4, raw.stream));
            ok(sys::cuMemcpyDtoHAsync_v2(host.add(4), memory + 4, 4, beside));
            assert_eq!(raw.synchronize(), 0);
            // In one stream the first would wait for the second for ever.
            ok(sys::cuMemcpyHtoDAsync_v2(memory, host, 4, raw.stream));
            ok(sys::cuMemcpyDtoHAsync_v2(host.add(4), memory + 4, 4, raw.stream));
            assert_eq!(raw.synchronize(), 702);
        }
    });
}

#[test]
fn memory_runs_out_when_asked_to_and_when_it_does() {
    emulated("personalities::memory_runs_out_when_asked_to_and_when_it_does", "a100", "out_of_memory:3", || {
        let raw = Raw::open();
        let results: Vec<_> = (0..4).map(|_| raw.allocate(64).err()).collect();
        assert_eq!(results, [None, None, Some(2), None]);
        assert_eq!(raw.allocate(81 << 30), Err(2));
    });
}

/// Runs three kernels and gives the code of each.
fn three(raw: &Raw) -> Vec<u32> {
    let load = raw.function(KERNEL, "load");
    let memory = raw.allocate(8).expect("memory");
    (0..3)
        .map(|_| match raw.launch(load, [1, 1], &[memory, memory + 4]) {
            0 => raw.synchronize(),
            code => code,
        })
        .collect()
}

#[test]
fn an_illegal_address_comes_when_asked_for() {
    emulated("personalities::an_illegal_address_comes_when_asked_for", "a100", "illegal_address:2", || {
        assert_eq!(three(&Raw::open()), [0, 700, 700]);
    });
}

#[test]
fn a_memory_error_comes_when_asked_for() {
    emulated("personalities::a_memory_error_comes_when_asked_for", "a100", "ecc:2", || {
        assert_eq!(three(&Raw::open()), [0, 214, 214]);
    });
}

#[test]
fn a_device_is_lost_when_asked_for() {
    emulated("personalities::a_device_is_lost_when_asked_for", "a100", "lost:3", || {
        let raw = Raw::open();
        assert_eq!(three(&raw), [0, 0, 999]);
        assert_eq!(raw.allocate(4), Err(999));
    });
}

#[test]
fn a_kernel_hangs_when_asked_for() {
    emulated("personalities::a_kernel_hangs_when_asked_for", "a100", "hang:1", || {
        let raw = Raw::open();
        let load = raw.function(KERNEL, "load");
        let memory = raw.allocate(8).expect("memory");
        assert_eq!(raw.launch(load, [1, 1], &[memory, memory + 4]), 0);
        std::thread::sleep(Duration::from_millis(200));
        // SAFETY: a stream of this context.
        assert_eq!(unsafe { sys::cuStreamQuery(raw.stream) } as u32, 600);
    });
}

/// What the kernel of a file leaves; `None` if there is none to be had.
fn replaced(raw: &Raw) -> Option<u32> {
    let load = raw.find(KERNEL, "load")?;
    let memory = raw.allocate(8).expect("memory");
    // SAFETY: memory of this context.
    ok(unsafe { sys::cuMemsetD32_v2(memory, 11, 2) });
    assert_eq!(raw.launch(load, [1, 1], &[memory, memory + 4]), 0);
    assert_eq!(raw.synchronize(), 0);
    Some(raw.words(memory + 4, 1)[0])
}

#[test]
fn a_kernel_in_a_file_stands_in_for_the_programs_own() {
    emulated("personalities::a_kernel_in_a_file_stands_in_for_the_programs_own", "tiny", "", || {
        let folder = std::env::temp_dir().join(format!("rooflint-emulator-test-{}", std::process::id()));
        std::fs::create_dir_all(&folder).expect("a folder");
        // SAFETY: no other thread of this process reads or writes its environment.
        unsafe { std::env::set_var("ROOFLINT_EMULATOR_PTX", &folder) };
        let (raw, file) = (Raw::open(), folder.join("load.ptx"));
        let put = |text: &str| std::fs::write(&file, text).expect("a file");
        assert_eq!(replaced(&raw), Some(11));
        put(&KERNEL.replace("[%rd1], %r", "[%rd1], 5"));
        assert_eq!(replaced(&raw), Some(5));
        put(&KERNEL.replace("[%rd1], %r", "[%rd1], 6"));
        assert_eq!(replaced(&raw), Some(6));
        // Without the entry point it hides the program's.
        put(&KERNEL.replace(".entry load", ".entry other"));
        assert_eq!(replaced(&raw), None);
        std::fs::remove_file(&file).expect("the file");
        assert_eq!(replaced(&raw), Some(11));
        std::fs::remove_dir_all(&folder).expect("the folder");
    });
}

#[test]
fn a_watchdog_ends_a_kernel_that_does_not_end() {
    emulated("personalities::a_watchdog_ends_a_kernel_that_does_not_end", "tiny", "timeout:100000", || {
        let raw = Raw::open();
        let endless = KERNEL.replace("    ret;", "again:\n    bra again;");
        let load = raw.function(&endless, "load");
        let memory = raw.allocate(8).expect("memory");
        assert_eq!(raw.launch(load, [1, 1], &[memory, memory + 4]), 0);
        assert_eq!(raw.synchronize(), 702);
    });
}
