//! The rate of burn's f32 matrix product through wgpu, as `ci/peers` compares it: `peers-burn SIDE` prints FLOP/s of
//! the median product of two matrices of that side, random over [-1, 1), after burn has tuned itself.

use std::time::Instant;

use burn::tensor::{Device, DeviceKind, Distribution, Tensor};

/// Time over which products are counted, and the fewest of them.
const LASTING_S: f64 = 2.0;
const LEAST: usize = 5;

fn main() {
    let side: usize = std::env::args().nth(1).and_then(|side| side.parse().ok()).expect("usage: peers-burn SIDE");
    // Only a software renderer counts as a CPU; elsewhere burn takes the GPU.
    let kind = match std::env::args().nth(2).as_deref() {
        Some("software") => DeviceKind::Cpu,
        _ => DeviceKind::DefaultDevice,
    };
    let device = Device::wgpu(kind);
    let random = || Tensor::<2>::random([side, side], Distribution::Uniform(-1.0, 1.0), &device);
    let (a, b) = (random(), random());
    let multiply = || {
        let start = Instant::now();
        let c = a.clone().matmul(b.clone());
        device.sync().expect("the device works");
        drop(c);
        start.elapsed().as_secs_f64()
    };
    // The first products compile kernels and race them.
    (0..3).for_each(|_| { multiply(); });
    let start = Instant::now();
    let mut times = Vec::new();
    while start.elapsed().as_secs_f64() < LASTING_S || times.len() < LEAST {
        times.push(multiply());
    }
    times.sort_by(f64::total_cmp);
    println!("{}", 2.0 * (side as f64).powi(3) / times[times.len() / 2]);
}
