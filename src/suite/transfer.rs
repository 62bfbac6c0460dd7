//! `transfer`: copies between the host's memory and the device's, within it, and to other devices.

use super::check::seed_of;
use super::memory::{check_words, check_words_of};
use super::sizes::last_cache;
use super::{Axis, Benchmark, CheckError, Meta, Outputs, Profile, Request, Stop, WORDS_ONLY, expand, has};
use crate::device::{BufferId, Device, Pattern, Place, Program, Slot, Step, Submit};
use crate::record::{AxisValue, Case, CheckPassed, DeviceInfo, Quantity, Work};
use crate::units::ByteCount;

/// The row of this benchmark.
pub(super) struct Transfer;

static META: Meta = Meta {
    id: "transfer",
    question: "How fast do data move between the host's memory and this device's, and from it to other devices?",
    formula: "size / median time of a copy between host and device, or to a peer: each byte crosses the link once. Both \
              directions at once: 2 x size / median time until both copies are done. Within the device each byte is read \
              and written, and both count: 2 x size.",
    caveats: &[
        "Pinned memory is what a device can reach by itself; pageable memory passes through a pinned buffer of the \
         driver's, and the time includes that.",
        "The copy is the device's own (a copy engine, on GPUs). Within a device it may be slower than a kernel that \
         copies: see memory.",
        "Copies within a device go through pairs of buffers that together exceed its last cache four times. Small copies \
         measure the start of a copy, and where two go at once also their meeting.",
        "A copy to a peer is started by the device it is a case of. With access on the two devices reach each other's \
         memory; with access off the driver stages the copy through the host's. What the peer is busy with counts: it \
         should be idle.",
        "A CPU's memory is the host's: there is nothing to transfer, and the benchmark is skipped.",
    ],
    quantity: Quantity::Bandwidth,
    axes: &[
        Axis { name: "route", about: "from where to where", words: &ROUTES, range: WORDS_ONLY },
        Axis { name: "size", about: "bytes copied, in each direction", words: &[], range: [64, 1 << 40] },
        Axis {
            name: "peer",
            about: "number of the device copied to, as in its selector",
            words: &[],
            range: [0, 1023],
        },
        Axis {
            name: "access",
            about: "whether the two devices reach each other's memory (on), or the driver stages copies to a peer (off)",
            words: &ACCESS,
            range: WORDS_ONLY,
        },
    ],
};

const ROUTES: [&str; 7] = [
    "pinned_to_device",
    "device_to_pinned",
    "pageable_to_device",
    "device_to_pageable",
    "device_to_device",
    BOTH,
    PEER,
];
/// Pinned memory to the device and the device to pinned memory, at the same time.
const BOTH: &str = "both_directions";
/// The device's memory to that of another.
const PEER: &str = "device_to_peer";
/// Whether a peer's memory is reached, or copies are staged.
const ACCESS: [&str; 2] = ["on", "off"];

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
        let (both, peers) = (has(device, WAYS), peers(device));
        let usual = |route: &&&str| (**route != BOTH || both) && (**route != PEER || !peers.is_empty());
        let routes = routes.iter().filter(usual).map(|route| AxisValue::from(*route)).collect();
        let sizes = sizes.iter().map(|size| AxisValue::Count(*size)).collect();
        let mut cases = expand(META.id, request, &[("route", routes), ("size", sizes)]);
        if request.profile == Profile::Standard && !request.axes.contains_key("size") {
            // Each pair of devices is asked once.
            cases.retain(|case| case.word("route") != Some(PEER) || case.count("size") == Some(SIZES[3]));
        }
        cases.into_iter().flat_map(|case| to_peers(case, &peers, request)).collect()
    }

    fn crosses_link(&self, case: &Case) -> bool {
        case.word("route") != Some("device_to_device")
    }

    fn peer(&self, case: &Case) -> Option<u32> {
        match places(case) {
            [_, Place::Peer { device, .. }] => Some(device),
            _ => None,
        }
    }

    fn work(&self, case: &Case) -> Work {
        let (size, [from, to]) = (size_of(case), places(case));
        let bytes_written_b = ByteCount(if from == to { size } else { 0 });
        Work { bytes_read_b: ByteCount(directions(case) * size), bytes_written_b, ..Work::default() }
    }

    fn footprint(&self, device: &DeviceInfo, case: &Case) -> ByteCount {
        ByteCount(2 * size_of(case) * directions(case) * pairs(device, case))
    }

    fn prepare(&self, case: &Case, device: &mut dyn Device) -> Result<Program, Stop> {
        if device.is_host() {
            return Err(Stop::Skip(
                "this device's memory is the host's: nothing is transferred; see memory".to_owned(),
            ));
        }
        if let Some(reason) = lacks(device.info(), case) {
            return Err(Stop::Skip(reason.to_owned()));
        }
        let (size, [from, to], pairs) = (ByteCount(size_of(case)), places(case), pairs(device.info(), case));
        let mut pair = |from, to, stream| -> Result<[BufferId; 2], Stop> {
            let from = device.alloc(size, from)?;
            device.fill(from, pattern(case, stream))?;
            let to = device.alloc(size, to)?;
            device.fill(to, Pattern::Poison)?;
            Ok([from, to])
        };
        let program =
            |step, bindings, outputs| Program { steps: vec![step], bindings, outputs, submit: Submit::Stream };
        if directions(case) == 2 {
            let (there, back) = (pair(from, to, 0)?, pair(to, from, 1)?);
            let step = Step::Copies { first: [Slot(0), Slot(1)], second: [Slot(2), Slot(3)], bytes: size };
            return Ok(program(step, vec![[there, back].concat()], vec![there[1], back[1]]));
        }
        let mut bindings = Vec::new();
        for _ in 0..pairs {
            bindings.push(pair(from, to, 0)?.to_vec());
        }
        let outputs = bindings.first().and_then(|pair| pair.last()).copied().into_iter().collect();
        Ok(program(Step::Copy { from: Slot(0), to: Slot(1), bytes: size }, bindings, outputs))
    }

    fn check(&self, case: &Case, outputs: &mut dyn Outputs) -> Result<CheckPassed, CheckError> {
        let words = size_of(case) / 4;
        let mut passed = check_words(|start, block| pattern(case, 0).words_into(start, block), words, outputs)?;
        if directions(case) == 2 {
            let expected = |start, block: &mut [u32]| pattern(case, 1).words_into(start, block);
            passed.compared += check_words_of(1, "back", expected, words, outputs)?.compared;
        }
        Ok(passed)
    }
}

/// The feature of devices that copy both ways at once.
const WAYS: &str = "copies_both_ways";

/// Numbers of the other devices that a device says it can copy to.
fn peers(device: &DeviceInfo) -> Vec<u64> {
    device.features.iter().filter_map(|feature| feature.strip_prefix("peer_")?.parse().ok()).collect()
}

/// A case for every peer with access on and off; other cases, and those where there is no peer, are left as they are.
fn to_peers(case: Case, peers: &[u64], request: &Request) -> Vec<Case> {
    let usual_peers = || peers.iter().map(|peer| AxisValue::Count(*peer)).collect();
    let peers: Vec<AxisValue> = request.axes.get("peer").cloned().unwrap_or_else(usual_peers);
    if case.word("route") != Some(PEER) || peers.is_empty() {
        return vec![case];
    }
    let usual_access = || ACCESS.iter().map(|word| AxisValue::from(*word)).collect();
    let access: Vec<AxisValue> = request.axes.get("access").cloned().unwrap_or_else(usual_access);
    let with = |peer: &AxisValue| case.with("peer", peer.clone());
    peers
        .iter()
        .map(with)
        .flat_map(|case| access.iter().map(move |access| case.with("access", access.clone())))
        .collect()
}

/// What a device lacks for a case, if it lacks something.
fn lacks(device: &DeviceInfo, case: &Case) -> Option<&'static str> {
    match case.word("route") {
        Some(BOTH) if !has(device, WAYS) => {
            Some("this device, or the way it is reached, has no two engines that copy at once")
        }
        Some(PEER) if case.count("peer").is_none() => Some("there is no second device here to copy to"),
        _ => None,
    }
}

/// Directions in which a case copies at once.
fn directions(case: &Case) -> u64 {
    if case.word("route") == Some(BOTH) { 2 } else { 1 }
}

/// Whole words.
fn size_of(case: &Case) -> u64 {
    case.count("size").unwrap_or(0) / 4 * 4
}

/// Where a copy begins and ends; the first, where there are two.
fn places(case: &Case) -> [Place; 2] {
    match case.word("route") {
        Some("pinned_to_device" | BOTH) => [Place::HostPinned, Place::Device],
        Some("device_to_pinned") => [Place::Device, Place::HostPinned],
        Some("pageable_to_device") => [Place::HostPageable, Place::Device],
        Some("device_to_pageable") => [Place::Device, Place::HostPageable],
        Some(PEER) => {
            let device = case.count("peer").and_then(|peer| u32::try_from(peer).ok()).unwrap_or(u32::MAX);
            [Place::Device, Place::Peer { device, access: case.word("access") != Some("off") }]
        }
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

/// What is copied; different data in each direction.
fn pattern(case: &Case, stream: u64) -> Pattern {
    Pattern::Words { seed: seed_of(case, stream) }
}
