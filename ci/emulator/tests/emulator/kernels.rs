//! Kernels compiled by `nvcc`, against plain arithmetic.

use cudarc::driver::PushKernelArg;

use crate::checks;
use crate::support::{device, emulated, kernel, numbers, shape};

#[test]
fn triad_is_exact() {
    emulated("kernels::triad_is_exact", "a100", "", || {
        let (context, stream) = device();
        let f = kernel(&context, include_str!("../kernels/triad.ptx"), "triad");
        let count = 1 << 20;
        let (b, c) = (numbers(count, 1), numbers(count, 2));
        let (device_b, device_c) = (stream.clone_htod(&b).expect("copy"), stream.clone_htod(&c).expect("copy"));
        let mut a = stream.alloc_zeros::<f32>(count).expect("memory");
        let mut launch = stream.launch_builder(&f);
        let n4 = count / 4;
        launch.arg(&mut a).arg(&device_b).arg(&device_c).arg(&3f32).arg(&n4);
        let started = std::time::Instant::now();
        // SAFETY: the arguments are the kernel's.
        unsafe { launch.launch(shape(64, 256)) }.expect("a launch");
        let a = stream.clone_dtoh(&a).expect("copy");
        println!("{:?}", started.elapsed());
        for index in 0..count {
            assert_eq!(a[index], 3f32.mul_add(c[index], b[index]), "element {index}");
        }
    });
}

#[test]
fn fma_peak_follows_the_recurrence() {
    emulated("kernels::fma_peak_follows_the_recurrence", "h100", "", || {
        let (context, stream) = device();
        let f = kernel(&context, include_str!("../kernels/fma_peak.ptx"), "fma_peak");
        let (blocks, iterations) = (8, 100);
        let mut out = stream.alloc_zeros::<f32>(blocks as usize * 256).expect("memory");
        let mut launch = stream.launch_builder(&f);
        launch.arg(&mut out).arg(&0.999f32).arg(&0.001f32).arg(&iterations);
        let started = std::time::Instant::now();
        // SAFETY: the arguments are the kernel's.
        unsafe { launch.launch(shape(blocks, 256)) }.expect("a launch");
        let out = stream.clone_dtoh(&out).expect("copy");
        let instructions = f64::from(blocks) * 256.0 * f64::from(iterations) * 128.0;
        println!("{:?}, {:.0} M/s", started.elapsed(), instructions / started.elapsed().as_secs_f64() / 1e6);
        for (index, value) in out.iter().enumerate() {
            let start = |i: usize| (index % 256) as f64 * 1e-3 + i as f64;
            let chain =
                |i: usize| (0..iterations * 16).fold(start(i), |r, _| r * f64::from(0.999f32) + f64::from(0.001f32));
            let expected: f64 = (0..8).map(chain).sum();
            assert!((f64::from(*value) - expected).abs() <= 1e-4 * expected, "thread {index}: {value} for {expected}");
        }
    });
}

#[test]
fn chase_follows_the_chain() {
    emulated("kernels::chase_follows_the_chain", "a100", "", || {
        let (context, stream) = device();
        let f = kernel(&context, include_str!("../kernels/chase.ptx"), "chase");
        let count = 4096u32;
        let next: Vec<u32> = (0..count).map(|index| (index * 1237 + 331) % count).collect();
        let device_next = stream.clone_htod(&next).expect("copy");
        let (mut out, mut cycles) =
            (stream.alloc_zeros::<u32>(1).expect("memory"), stream.alloc_zeros::<i64>(1).expect("memory"));
        let steps = 1003;
        let mut launch = stream.launch_builder(&f);
        launch.arg(&device_next).arg(&7u32).arg(&steps).arg(&mut out).arg(&mut cycles);
        // SAFETY: the arguments are the kernel's.
        unsafe { launch.launch(shape(1, 1)) }.expect("a launch");
        let end = (0..steps).fold(7, |at, _| next[at as usize]);
        assert_eq!(stream.clone_dtoh(&out).expect("copy"), [end]);
        assert!(stream.clone_dtoh(&cycles).expect("copy")[0] > 0);
    });
}

macro_rules! right {
    ($($name:ident, $file:literal, $check:path;)*) => {$(
        #[test]
        fn $name() {
            $check(include_str!(concat!("../kernels/", $file))).unwrap_or_else(|trap| panic!("{} {}", trap.code, trap.why));
        }
    )*};
}

right! {
    rmsnorm_in_bf16_is_right, "rmsnorm.ptx", checks::rmsnorm;
    attention_in_f16_is_right, "decode_attn.ptx", checks::attention;
    a_product_of_f16_through_ldmatrix_is_right, "gemm_mma.ptx", checks::gemm;
    a_product_of_e4m3_is_right, "fp8_mma.ptx", checks::fp8;
    a_warpgroup_product_with_swizzle_is_right, "wgmma_gemm.ptx", checks::warpgroup;
    a_warpgroup_product_without_swizzle_is_right, "wgmma_gemm_plain.ptx", checks::warpgroup;
}
