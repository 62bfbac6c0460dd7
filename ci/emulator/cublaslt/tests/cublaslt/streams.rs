//! Products in their stream's turn, in graphs, and on memory that is not theirs.

use std::sync::atomic::{AtomicU32, Ordering};

use cudarc::driver::sys as cu;

use crate::formats::*;
use crate::raw::ok;
use crate::support::*;

/// Waits for a flag.
const LATCH: &str = ".version 7.0
.target sm_80
.address_size 64
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
}";

fn square(side: usize) -> Case {
    Case::new(68, F32, [F32; 4], [side, side, side])
}

/// D of a product of these bytes, by the library, one after the other.
fn product(made: &Made, a: &[u8]) -> Vec<u8> {
    let [_, b, c, _] = made.at;
    let size = made.d().len();
    let d = made.lt.raw.allocate(size).expect("memory");
    assert_eq!(made.matmul_at([made.lt.upload(a), b, c, d], None, (0, 0)), 0);
    assert_eq!(made.lt.raw.synchronize(), 0);
    made.lt.download(d, size)
}

#[test]
fn a_product_between_two_copies() {
    emulated("streams::a_product_between_two_copies", "a100", "", || {
        let lt = Lt::open();
        let made = Made::new(&lt, square(33));
        let other = filled(F32, 33 * 33, 77);
        let (before, expected) = (made.d(), product(&made, &other));
        let (from, to) = (lt.upload(&other), lt.raw.allocate(before.len()).expect("memory"));
        let (latch, gate) = (lt.raw.function(LATCH, "latch"), lt.raw.pinned(1));
        assert_eq!(lt.raw.launch(latch, [1, 1], &[gate as u64]), 0);
        // SAFETY: allocations of the size that is copied, in the latch's stream.
        unsafe { ok(cu::cuMemcpyDtoDAsync_v2(made.at[0], from, other.len(), lt.raw.stream)) };
        assert_eq!(made.matmul(None, (0, 0)), 0);
        // SAFETY: as above. 600: not ready. The flag is pinned memory.
        unsafe {
            ok(cu::cuMemcpyDtoDAsync_v2(to, made.at[3], before.len(), lt.raw.stream));
            assert_eq!(cu::cuStreamQuery(lt.raw.stream) as u32, 600);
            AtomicU32::from_ptr(gate).store(1, Ordering::Release);
        }
        assert_eq!(lt.raw.synchronize(), 0);
        assert_eq!(lt.download(to, before.len()), expected);
        assert_ne!(before, expected);
    });
}

#[test]
fn factors_are_read_when_the_product_runs_and_scalars_when_it_is_queued() {
    let test = "streams::factors_are_read_when_the_product_runs_and_scalars_when_it_is_queued";
    emulated(test, "h100", "", || {
        let lt = Lt::open();
        let case =
            Case { factors: [Some(1.0), None, None], ..Case::new(68, F32, [E4M3, E4M3, F32, F32], [16, 16, 32]) };
        let made = Made::new(&lt, case);
        let factor = lt.upload(&1f32.to_le_bytes());
        assert_eq!(set_operation(made.operation, 17, &factor.to_le_bytes()), 0);
        assert_eq!(made.matmul(None, (0, 0)), 0);
        let once = made.d();
        // In the product's stream, ahead of it.
        // SAFETY: four bytes of device memory.
        unsafe { ok(cu::cuMemsetD32Async(factor, 2f32.to_bits(), 1, lt.raw.stream)) };
        assert_eq!(made.matmul(None, (0, 0)), 0);
        let twice = made.d();
        for (one, two) in once.chunks(4).zip(twice.chunks(4)) {
            assert_eq!(2.0 * decode(F32, one), decode(F32, two));
        }
    });
}

#[test]
fn a_graph_replays_products_with_what_they_were_given() {
    emulated("streams::a_graph_replays_products_with_what_they_were_given", "a100", "", || {
        let lt = Lt::open();
        let mut made = Made::new(&lt, square(40));
        made.allow(32 << 20);
        let found = made.heuristic(8).expect("algorithms");
        let size = found.iter().map(|result| result.workspaceSize).max().expect("algorithms");
        let workspace = lt.raw.allocate(size.max(256)).expect("memory");
        let other = filled(F32, 40 * 40, 5);
        let (first, second) = (product(&made, &made.inputs[0].clone()), product(&made, &other));
        let (mut graph, mut executable) = (std::ptr::null_mut(), std::ptr::null_mut());
        let launch = |executable| {
            // SAFETY: an instance of a graph and a stream of this context.
            unsafe { ok(cu::cuGraphLaunch(executable, lt.raw.stream)) };
            assert_eq!(lt.raw.synchronize(), 0);
        };
        // SAFETY: as the driver's manual has it.
        unsafe {
            let mode = cu::CUstreamCaptureMode::CU_STREAM_CAPTURE_MODE_GLOBAL;
            ok(cu::cuStreamBeginCapture_v2(lt.raw.stream, mode));
            assert_eq!(made.matmul(Some(&found[0].algo), (workspace, size)), 0);
            ok(cu::cuStreamEndCapture(lt.raw.stream, &mut graph));
            ok(cu::cuGraphInstantiateWithFlags(&mut executable, graph, 0));
        }
        let mut nodes = 0;
        // SAFETY: asks for the count alone.
        unsafe { ok(cu::cuGraphGetNodes(graph, std::ptr::null_mut(), &mut nodes)) };
        assert_eq!(nodes, 1);
        // Nothing has run, and what the descriptors say from now on does not matter.
        assert!(made.d().iter().all(|byte| *byte == 0xFF));
        assert_eq!(set_operation(made.operation, 3, &0i32.to_le_bytes()), 0);
        made.case.alpha = 9.0;
        launch(executable);
        let close = |got: Vec<u8>, expected: &[u8]| {
            for (got, expected) in got.chunks(4).zip(expected.chunks(4)) {
                let (got, expected) = (decode(F32, got), decode(F32, expected));
                assert!((got - expected).abs() <= 2.1 * rounding(F32, expected), "{got} is not {expected}");
            }
        };
        close(made.d(), &first);
        // SAFETY: as many bytes as A has.
        unsafe { ok(cu::cuMemcpyHtoD_v2(made.at[0], other.as_ptr().cast(), other.len())) };
        made.clear();
        launch(executable);
        close(made.d(), &second);
    });
}

/// The driver's code for a product at these addresses, and what a product gives after it.
fn end(lt: &Lt, made: &Made, at: [u64; 4], workspace: (u64, usize)) -> u32 {
    made.allow(workspace.1 as u64);
    let found = made.heuristic(8).expect("algorithms");
    let most = found.iter().max_by_key(|result| result.workspaceSize).expect("algorithms");
    assert_eq!(made.matmul_at(at, Some(&most.algo), workspace), 0);
    let code = lt.raw.synchronize();
    // CUBLAS_STATUS_EXECUTION_FAILED: the context is lost.
    assert_eq!(made.matmul(None, (0, 0)), 13);
    code
}

/// A test in a process of its own: what each address is moved by, and how the product ends.
fn outside(test: &str, code: u32, moved: impl FnOnce(&Lt, &Made) -> ([u64; 4], (u64, usize))) {
    let said = emulated(test, "small", "", || {
        let lt = Lt::open();
        let made = Made::new(&lt, Case { beta: 1.0, ..square(64) });
        let (at, workspace) = moved(&lt, &made);
        assert_eq!(end(&lt, &made, at, workspace), code);
    });
    assert!(said.is_none_or(|said| said.contains("cublasLtMatmul: ")));
}

#[test]
fn a_outside_its_allocation() {
    outside("streams::a_outside_its_allocation", 700, |_, made| {
        let [a, b, c, d] = made.at;
        ([a + 256, b, c, d], (0, 0))
    });
}

#[test]
fn c_outside_its_allocation() {
    outside("streams::c_outside_its_allocation", 700, |_, made| {
        let [a, b, c, d] = made.at;
        ([a, b, c + 16, d], (0, 0))
    });
}

#[test]
fn d_outside_its_allocation() {
    outside("streams::d_outside_its_allocation", 700, |lt, made| {
        let [a, b, c, _] = made.at;
        ([a, b, c, lt.raw.allocate(64 * 64 * 4 - 1).expect("memory")], (0, 0))
    });
}

#[test]
fn memory_of_the_program_s_own() {
    outside("streams::memory_of_the_program_s_own", 700, |_, made| {
        let [_, b, c, d] = made.at;
        let mine = Box::leak(vec![0f32; 64 * 64 + 64].into_boxed_slice());
        ([(mine.as_ptr() as u64).next_multiple_of(256), b, c, d], (0, 0))
    });
}

#[test]
fn a_workspace_that_is_smaller_than_said() {
    outside("streams::a_workspace_that_is_smaller_than_said", 700, |lt, made| {
        (made.at, (lt.raw.allocate(1 << 10).expect("memory"), 1 << 20))
    });
}

#[test]
fn a_workspace_that_is_d() {
    outside("streams::a_workspace_that_is_d", 719, |lt, made| {
        let all = lt.raw.allocate(2 << 20).expect("memory");
        let [a, b, c, _] = made.at;
        ([a, b, c, all + 1024], (all, 1 << 20))
    });
}

#[test]
fn d_over_a() {
    outside("streams::d_over_a", 719, |_, made| {
        let [a, b, c, _] = made.at;
        ([a, b, c, a], (0, 0))
    });
}

#[test]
fn the_memory_of_another_device() {
    emulated("streams::the_memory_of_another_device", "two", "", || {
        let lt = Lt::open();
        let made = Made::new(&lt, square(16));
        let mut there = std::ptr::null_mut();
        // SAFETY: as the driver's manual has it.
        unsafe {
            ok(cu::cuDevicePrimaryCtxRetain(&mut there, 1));
            ok(cu::cuCtxPushCurrent_v2(there));
        }
        // A handle is of one device.
        assert_eq!(made.matmul(None, (0, 0)), 13);
        let [a, b, c, _] = made.at;
        let d = lt.raw.allocate(16 * 16 * 4).expect("memory");
        // SAFETY: what was pushed.
        unsafe { ok(cu::cuCtxPopCurrent_v2(&mut there)) };
        assert_eq!(made.matmul(None, (0, 0)), 0);
        assert_eq!(lt.raw.synchronize(), 0);
        assert_eq!(made.matmul_at([a, b, c, d], None, (0, 0)), 0);
        assert_eq!(lt.raw.synchronize(), 700);
    });
}
