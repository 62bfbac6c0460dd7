//! The device's clock: timestamps at the borders of compute passes, and whether they can be trusted.

use super::gpu::Gpu;
use crate::device::DeviceError;

/// Passes that can be timed before their stamps must be read.
pub(super) const PASSES: u32 = 512;

/// Difference from the host clock beyond which a reading, or the clock, is not believed.
pub(super) const DISAGREE: f64 = 0.02;

/// Timestamps of passes, two each.
pub(super) struct Stamps {
    pub set: wgpu::QuerySet,
    resolved: wgpu::Buffer,
    staging: wgpu::Buffer,
    /// Seconds of a tick.
    pub period_s: f64,
    /// What the host spends, in seconds, on submitting a pass that does nothing and on waiting for it: it is no part of
    /// the time that the two clocks are compared on. Zero until measured.
    pub round_trip_s: f64,
}

/// What a pass wrote at its begin and its end, in ticks.
pub(super) type Pair = [u64; 2];

impl Stamps {
    /// `None` where the device has no timestamps, or does not tell their period.
    pub fn new(gpu: &Gpu) -> Result<Option<Self>, DeviceError> {
        let period_s = f64::from(gpu.queue.get_timestamp_period()) * 1e-9;
        if !gpu.facts.features.contains(wgpu::Features::TIMESTAMP_QUERY) || !(period_s > 0.0) {
            return Ok(None);
        }
        use wgpu::BufferUsages as Usage;
        let size = u64::from(PASSES) * 16;
        let descriptor = wgpu::QuerySetDescriptor { label: None, ty: wgpu::QueryType::Timestamp, count: PASSES * 2 };
        let set = gpu.guarded("open", |gpu| gpu.device.create_query_set(&descriptor))?;
        let resolved = gpu.buffer(size, Usage::QUERY_RESOLVE | Usage::COPY_SRC)?;
        let staging = gpu.buffer(size, Usage::COPY_DST | Usage::MAP_READ)?;
        Ok(Some(Self { set, resolved, staging, period_s, round_trip_s: 0.0 }))
    }

    /// The stamps of the first `passes` passes, once they have run.
    pub fn read(&self, gpu: &Gpu, passes: u32) -> Result<Vec<Pair>, DeviceError> {
        let size = u64::from(passes) * 16;
        gpu.guarded("read timestamps", |gpu| {
            let mut encoder = gpu.device.create_command_encoder(&Default::default());
            encoder.resolve_query_set(&self.set, 0..passes * 2, &self.resolved, 0);
            encoder.copy_buffer_to_buffer(&self.resolved, 0, &self.staging, 0, size);
            gpu.queue.submit([encoder.finish()])
        })?;
        let mut bytes = vec![0; size as usize];
        gpu.map("read timestamps", &self.staging, &mut bytes)?;
        let stamps: Vec<u64> = bytes.as_chunks::<8>().0.iter().map(|bytes| u64::from_le_bytes(*bytes)).collect();
        Ok(stamps.as_chunks::<2>().0.to_vec())
    }
}

/// Seconds between two stamps. `None` for a reading that cannot be: one that was never written (zero), one that
/// does not come after the other, unless the counter wrapped in between. Counters have 36 to 64 bits and do not
/// say how many: a wrap is believed only if the time that follows agrees with the host's.
pub(super) fn between([begin, end]: Pair, period_s: f64, host_s: f64) -> Option<f64> {
    if begin == 0 || end == 0 || begin == end {
        return None;
    }
    if end > begin {
        return Some((end - begin) as f64 * period_s);
    }
    let wrapped = |bits: u32| ((1_u128 << bits) + u128::from(end) - u128::from(begin)) as f64 * period_s;
    (36..=64)
        .filter(|bits| u128::from(begin) < 1_u128 << bits)
        .map(wrapped)
        .find(|seconds| (seconds / host_s - 1.0).abs() <= DISAGREE)
}

/// The step of the clock in ticks: the largest number that divides every difference of stamps. `None` if there is
/// no difference.
pub(super) fn step(pairs: &[Pair]) -> Option<u64> {
    let stamps = pairs.as_flattened();
    let first = *stamps.first()?;
    let divisor = stamps.iter().map(|stamp| stamp.abs_diff(first)).fold(0, greatest_common_divisor);
    Some(divisor).filter(|divisor| *divisor > 0)
}

fn greatest_common_divisor(a: u64, b: u64) -> u64 {
    if b == 0 { a } else { greatest_common_divisor(b, a % b) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn readings_that_cannot_be_are_rejected() {
        let second = |pair| between(pair, 1e-9, 0.01);
        assert_eq!(second([1, 10_000_001]), Some(0.01));
        assert_eq!(second([0, 10_000_000]), None);
        assert_eq!(second([10_000_000, 0]), None);
        assert_eq!(second([0, 0]), None);
        assert_eq!(second([5, 5]), None);
        // Swapped.
        assert_eq!(second([10_000_001, 1]), None);
    }

    #[test]
    fn a_counter_that_wraps_is_followed_if_the_host_agrees() {
        for bits in [36, 40, 48, 56] {
            let pair = [(1_u64 << bits) - 4_000_000, 6_000_000];
            let seconds = between(pair, 1e-9, 0.0101).unwrap();
            assert!((seconds - 0.01).abs() < 1e-12, "{bits} bits: {seconds}");
            assert_eq!(between(pair, 1e-9, 0.02), None, "{bits} bits, the host says twice as long");
        }
        let seconds = between([u64::MAX - 3_999_999, 6_000_000], 1e-9, 0.0099).unwrap();
        assert!((seconds - 0.01).abs() < 1e-9);
    }

    #[test]
    fn the_step_divides_all_differences() {
        assert_eq!(step(&[[1000, 1064], [2024, 1128]]), Some(64));
        assert_eq!(step(&[[7, 7]]), None);
        assert_eq!(step(&[]), None);
    }
}
