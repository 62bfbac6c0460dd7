//! The working sets of a staircase: evenly spaced by their logarithm, and off the powers of two, where
//! streams and lines fall on one another's places in a cache.

use super::{Profile, places_work_groups};
use crate::device::Pattern;
use crate::record::{Cache, DeviceInfo, DeviceKind};

/// Sizes of the finest grid in each doubling.
const PER_OCTAVE: f64 = 3.0;
/// The coarsest grid has every so-manieth size; finer ones have a divisor of it.
pub(super) const STRIDE_MOST: usize = 4;
/// Taken for the last cache of a device that tells none.
const UNKNOWN_CACHE: u64 = 32 << 20;
/// The largest working set is this many times the last cache.
pub(super) const PAST_THE_CACHE: u64 = 4;

/// Sizes from about `least` to somewhat past `most`, whole multiples of `grain`, every `stride`-th of the
/// finest grid. The same on every machine and in every run: each lies 2 to 7 % above its place in the grid.
pub(super) fn staircase(least: u64, most: u64, grain: u64, stride: usize) -> Vec<u64> {
    let jitter = Pattern::Words { seed: 1 };
    let size = |index: u64| {
        let above = 1.02 + 0.05 * f64::from(jitter.word(index)) / f64::from(u32::MAX);
        let exact = least as f64 * (index as f64 / PER_OCTAVE).exp2() * above;
        let size = (exact as u64).next_multiple_of(grain);
        if size.is_power_of_two() { size + grain } else { size }
    };
    // The last is in the grid of every stride.
    let octaves = (most as f64 / least as f64).log2().max(0.0);
    let last = ((octaves * PER_OCTAVE).ceil() as u64).next_multiple_of(STRIDE_MOST as u64);
    (0..=last).step_by(stride).map(size).collect()
}

/// The size of a grid nearest to a wanted one, by ratio.
pub(super) fn nearest(sizes: &[u64], wanted: u64) -> Option<u64> {
    let apart = |size: &u64| (*size as f64 / wanted as f64).ln().abs();
    sizes.iter().copied().min_by(|a, b| apart(a).total_cmp(&apart(b)))
}

/// Bytes that one instance of a cache holds with room to spare: half of them. Of a cache that all units of a GPU share, a
/// quarter: NVIDIA's large ones are two halves, each of which keeps what its own units read ("NVIDIA A100 Tensor Core GPU
/// Architecture", A100 L2 cache), so that they hold half as much of what all read.
pub(super) fn well_within(device: &DeviceInfo, cache: &Cache) -> u64 {
    let shared = places_work_groups(device) && cache.instances == 1;
    cache.size_b.0 / if shared { 4 } else { 2 }
}

/// Taken for the last cache of an emulated device: its times mean nothing, so nothing need be large.
const EMULATED_CACHE: u64 = 32 << 10;

/// Bytes of the device's last cache, all instances together.
pub(super) fn last_cache(device: &DeviceInfo) -> u64 {
    if device.kind == DeviceKind::Emulated {
        return EMULATED_CACHE;
    }
    device.last_cache().map_or(UNKNOWN_CACHE, |cache| cache.0)
}

/// Every how-manieth size of the finest grid a profile measures. Each profile's divides the one before it,
/// so that a larger profile holds the smaller one's cases.
pub(super) fn stride(profile: Profile) -> usize {
    match profile {
        Profile::Quick | Profile::Standard => 2,
        Profile::Full => 1,
    }
}
