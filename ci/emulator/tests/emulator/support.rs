//! What the tests share: a process with the emulated driver on its search path, and a context in it.

use std::path::PathBuf;
use std::process::Command;
use std::sync::{Arc, OnceLock};

use cudarc::driver::{CudaContext, CudaFunction, CudaStream, LaunchConfig};
use cudarc::nvrtc::Ptx;
use rooflint_emulator::personality::NEWER_SYMBOLS;
use rooflint_emulator::place::place;

/// The folder with the libraries; a personality of an old driver has its own.
fn libraries(old: bool) -> PathBuf {
    // What cargo built lies beside the test itself.
    let built = std::env::current_exe().expect("a test");
    let built = built.parent().expect("a folder");
    let out = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(if old { "emulator-old" } else { "emulator" });
    static PLACED: [OnceLock<()>; 2] = [OnceLock::new(), OnceLock::new()];
    PLACED[usize::from(old)].get_or_init(|| {
        place(built, &out, if old { NEWER_SYMBOLS } else { &[] }).expect("the libraries");
    });
    out
}

/// Runs the body in a process of its own that finds the emulated driver. `test` is the calling test's full name.
pub fn emulated(test: &str, personality: &str, fault: &str, body: impl FnOnce()) {
    if std::env::var("EMULATED_TEST").as_deref() == Ok(test) {
        return body();
    }
    let output = Command::new(std::env::current_exe().expect("a test"))
        .args([test, "--exact", "--nocapture", "--test-threads=1"])
        .env("EMULATED_TEST", test)
        .env("LD_LIBRARY_PATH", libraries(personality == "old-driver"))
        .env("ROOFLINT_EMULATOR", personality)
        .env("ROOFLINT_EMULATOR_FAULT", fault)
        .env("ROOFLINT_EMULATOR_LOG", "1")
        .output()
        .expect("a process");
    let text = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{test} under {personality} ({fault}):\n{text}");
    assert!(text.contains("1 passed"), "{test} is no test's full name:\n{text}");
}

/// The first device's context and a stream of it.
pub fn device() -> (Arc<CudaContext>, Arc<CudaStream>) {
    let context = CudaContext::new(0).expect("a device");
    let stream = context.new_stream().expect("a stream");
    (context, stream)
}

/// A kernel out of PTX text.
pub fn kernel(context: &Arc<CudaContext>, text: &str, name: &str) -> CudaFunction {
    context.load_module(Ptx::from_src(text)).expect("a module").load_function(name).expect("a kernel")
}

/// A launch of so many blocks of so many threads.
pub fn shape(blocks: u32, threads: u32) -> LaunchConfig {
    LaunchConfig { grid_dim: (blocks, 1, 1), block_dim: (threads, 1, 1), shared_mem_bytes: 0 }
}

/// Numbers that look random and are always the same.
pub fn numbers(count: usize, seed: u64) -> Vec<f32> {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    let mut next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 40) as f32 / (1u64 << 24) as f32 * 2.0 - 1.0
    };
    (0..count).map(|_| next()).collect()
}
