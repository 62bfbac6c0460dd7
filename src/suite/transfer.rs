//! `transfer`: copies between the host's memory and the device's.

use super::check::seed_of;
use super::memory::check_words;
use super::sizes::last_cache;
use super::{Axis, Benchmark, CheckError, Meta, Outputs, Profile, Request, Stop, WORDS_ONLY, expand};
use crate::device::{Device, Pattern, Place, Program, Slot, Step, Submit};
use crate::record::{AxisValue, Case, CheckPassed, DeviceInfo, Quantity, Work};
use crate::units::ByteCount;

/// The row of this benchmark.
pub(super) struct Transfer;

static META: Meta = Meta {
    id: "transfer",
    question: "How fast do data move between the host's memory and this device's?",
    formula: "size / median time of a copy between host and device: each byte crosses the link once. Within the device \
              each byte is read and written, and both count: 2 x size.",
    caveats: &[
        "Pinned memory is what a device can reach by itself; pageable memory passes through a pinned buffer of the \
         driver's, and the time includes that.",
        "The copy is the device's own (a copy engine, on GPUs). Within a device it may be slower than a kernel that \
         copies: see memory.",
        "Copies within a device go through pairs of buffers that together exceed its last cache four times. One \
         direction at a time. Small copies measure the start of a copy.",
        "A CPU's memory is the host's: there is nothing to transfer, and the benchmark is skipped.",
    ],
    quantity: Quantity::Bandwidth,
    axes: &[
        Axis { name: "route", about: "from where to where", words: &ROUTES, range: WORDS_ONLY },
        Axis { name: "size", about: "bytes copied", words: &[], range: [64, 1 << 40] },
    ],
};

const ROUTES: [&str; 5] =
    ["pinned_to_device", "device_to_pinned", "pageable_to_device", "device_to_pageable", "device_to_device"];

/// Sizes: what starting a copy costs, and what the link carries.
const SIZES: [u64; 4] = [64 << 10, 1 << 20, 16 << 20, 256 << 20];
/// Buffers within the device are together at least this many times its last cache …
const COLD: u64 = 4;
/// … but no more than this many pairs.
const PAIRS_MAX: u64 = 64;
/// The size of headlines.
const LARGE: u64 = 16 << 20;

impl Benchmark for Transfer {
    fn meta(&self) -> &'static Meta {
        &META
    }

    fn effort(&self) -> f64 {
        super::CURVE_EFFORT
    }

    fn cases(&self, device: &DeviceInfo, request: &Request) -> Vec<Case> {
        // One case says why a CPU has none.
        let (routes, sizes): (&[&str], &[u64]) = match request.profile {
            _ if device.backend == "cpu" => (&ROUTES[..1], &[LARGE]),
            Profile::Quick => (&ROUTES[..2], &[LARGE]),
            Profile::Standard => (&ROUTES, &[SIZES[0], LARGE, SIZES[3]]),
            Profile::Full => (&ROUTES, &SIZES),
        };
        let routes = routes.iter().map(|route| AxisValue::from(*route)).collect();
        let sizes = sizes.iter().map(|size| AxisValue::Count(*size)).collect();
        expand(META.id, request, &[("route", routes), ("size", sizes)])
    }

    fn work(&self, case: &Case) -> Work {
        let (size, [from, to]) = (ByteCount(size_of(case)), places(case));
        let bytes_written_b = if from == to { size } else { ByteCount::ZERO };
        Work { bytes_read_b: size, bytes_written_b, ..Work::default() }
    }

    fn footprint(&self, device: &DeviceInfo, case: &Case) -> ByteCount {
        ByteCount(2 * size_of(case) * pairs(device, case))
    }

    fn prepare(&self, case: &Case, device: &mut dyn Device) -> Result<Program, Stop> {
        if device.is_host() {
            return Err(Stop::Skip(
                "this device's memory is the host's: nothing is transferred; see memory".to_owned(),
            ));
        }
        let (size, [from, to]) = (ByteCount(size_of(case)), places(case));
        let mut bindings = Vec::new();
        for _ in 0..pairs(device.info(), case) {
            let from = device.alloc(size, from)?;
            device.fill(from, pattern(case))?;
            let to = device.alloc(size, to)?;
            device.fill(to, Pattern::Poison)?;
            bindings.push(vec![from, to]);
        }
        let steps = vec![Step::Copy { from: Slot(0), to: Slot(1), bytes: size }];
        let outputs = bindings.first().and_then(|pair| pair.last()).copied().into_iter().collect();
        Ok(Program { steps, bindings, outputs, submit: Submit::Stream })
    }

    fn check(&self, case: &Case, outputs: &mut dyn Outputs) -> Result<CheckPassed, CheckError> {
        check_words(|start, block| pattern(case).words_into(start, block), size_of(case) / 4, outputs)
    }
}

/// Whole words.
fn size_of(case: &Case) -> u64 {
    case.count("size").unwrap_or(0) / 4 * 4
}

/// Where a copy begins and ends.
fn places(case: &Case) -> [Place; 2] {
    match case.word("route") {
        Some("pinned_to_device") => [Place::HostPinned, Place::Device],
        Some("device_to_pinned") => [Place::Device, Place::HostPinned],
        Some("pageable_to_device") => [Place::HostPageable, Place::Device],
        Some("device_to_pageable") => [Place::Device, Place::HostPageable],
        _ => [Place::Device; 2],
    }
}

/// Pairs of buffers that a case goes through. Copies within a device would otherwise stay in its last cache; all others
/// are as slow as the link.
fn pairs(device: &DeviceInfo, case: &Case) -> u64 {
    let [from, to] = places(case);
    let wanted = (COLD * last_cache(device)).div_ceil(2 * size_of(case).max(1));
    if from == to { wanted.clamp(1, PAIRS_MAX) } else { 1 }
}

fn pattern(case: &Case) -> Pattern {
    Pattern::Words { seed: seed_of(case, 0) }
}
