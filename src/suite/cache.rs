//! `cache`: the bandwidth of every level of the memory hierarchy, as a staircase over working sets.

use super::check::{BLOCK, for_each_block, seed_of, wrong};
use super::sizes::{PAST_THE_CACHE, STRIDE_MOST, last_cache, nearest, staircase, stride, well_within};
use super::{
    Axis, Benchmark, CheckError, Meta, Outputs, Profile, Request, Stop, THREADS, WORDS_ONLY, expand,
    places_work_groups, units_told,
};
use crate::device::{Arg, Device, Pattern, Place, Program, Slot, Step, Submit};
use crate::record::{AxisValue, Case, CheckPassed, DeviceInfo, DeviceKind, Quantity, Work};
use crate::units::{ByteCount, Ratio};

/// The row of this benchmark.
pub(super) struct Cache;

static META: Meta = Meta {
    id: "cache",
    question: "How fast does each cache of this device read, and up to which working set?",
    formula: "bytes / median time of a repeat. A repeat reads the working set as often as it takes for every compute \
              unit to read 16 MiB, and at least once; all passes count.",
    caveats: &[
        "size is what the device touches in all. With slice=private every compute unit reads its own part of it, so \
         that a cache of its own holds size / threads; with slice=shared all of them read all of it, so that it holds \
         size, and a shared cache serves several with one line.",
        "On a CPU the private slices are the question asked by default: cores seldom stream through the same data. \
         Shared ones are in the full profile, or --axis slice=shared. On a GPU both are asked: shared slices show the \
         caches of the units, each of which holds all of a small set; private ones show what the device holds together.",
        "A GPU places work groups itself: there, threads is the number of work groups, several for every unit of the \
         largest. They share a unit's cache.",
        "A working set just past a cache measures a mixture. Read the flat parts; the sizes are off powers of two.",
        "On a shared machine the last cache is shared with strangers, and may be smaller than it is said to be.",
    ],
    quantity: Quantity::Bandwidth,
    axes: &[
        Axis {
            name: "size",
            about: "bytes of the working set, of all units together",
            words: &[],
            range: [64, 1 << 44],
        },
        Axis {
            name: "slice",
            about: "whether a unit reads a part of its own (private) or all of it (shared)",
            words: &["private", "shared"],
            range: WORDS_ONLY,
        },
        Axis {
            name: "threads",
            about: "compute units used: 1 to all of the device's; on a GPU the number of work groups",
            words: &[],
            range: THREADS,
        },
    ],
};

/// What a unit reads in a repeat at least: long against the start and the end of a launch.
const UNIT_BYTES: u64 = 16 << 20;
/// Sums of a unit.
const LANES: u64 = 16;
/// The least part of a unit.
const LEAST_PART: u64 = 8 << 10;
/// The least working set of units that all read the whole of it.
const LEAST_SHARED: u64 = 16 << 10;
/// The largest on a GPU: past any cache of a unit, and so little that all its work groups are done with it in well
/// under a watchdog's time.
const MOST_SHARED: u64 = 16 << 20;
/// Work groups of a GPU: about four for every unit of the largest, so that all run at once and hardly any unit has
/// one more than another.
const GPU_UNITS: u64 = 512;
/// Work groups for each unit of a GPU that tells how many it has.
const GROUPS_PER_UNIT: u64 = 2;
/// The same for a renderer that runs on the cores of a CPU.
const SOFTWARE_UNITS: u64 = 8;
/// A unit's part is a multiple of this, so that no pass ends with a few words.
const PART_GRAIN: u64 = 512;

impl Benchmark for Cache {
    fn meta(&self) -> &'static Meta {
        &META
    }

    fn effort(&self) -> f64 {
        super::CURVE_EFFORT
    }

    fn cases(&self, device: &DeviceInfo, request: &Request) -> Vec<Case> {
        let units = match (places_work_groups(device), device.kind) {
            (false, _) => u64::from(device.compute_units.max(1)),
            (true, DeviceKind::Software | DeviceKind::Emulated) => SOFTWARE_UNITS,
            (true, _) => units_told(device).map_or(GPU_UNITS, |units| GROUPS_PER_UNIT * units),
        };
        let both = places_work_groups(device) || request.profile == Profile::Full;
        let asked = request.axes.get("slice").cloned();
        let slices = asked.unwrap_or_else(|| {
            let slices: &[&str] = if both { &["private", "shared"] } else { &["private"] };
            slices.iter().map(|slice| AxisValue::from(*slice)).collect()
        });
        let cases = |slice: AxisValue| {
            let shared = slice == AxisValue::from("shared");
            let grid = grid(device, request.profile, units, shared);
            let sizes = if request.profile == Profile::Quick { quick(device, &grid, shared) } else { grid };
            let mut request = request.clone();
            request.axes.remove("slice");
            let axes = [
                ("slice", vec![slice]),
                ("threads", vec![AxisValue::Count(units)]),
                ("size", sizes.into_iter().map(AxisValue::Count).collect()),
            ];
            expand(META.id, &request, &axes)
        };
        slices.into_iter().flat_map(cases).collect()
    }

    fn work(&self, case: &Case) -> Work {
        let Shape { words, units, passes, shared } = Shape::of(case);
        let readers = if shared { units } else { 1 };
        Work {
            bytes_read_b: ByteCount(4 * words * readers * passes),
            bytes_written_b: ByteCount(4 * LANES * units),
            ..Work::default()
        }
    }

    fn footprint(&self, _device: &DeviceInfo, case: &Case) -> ByteCount {
        let Shape { words, units, .. } = Shape::of(case);
        ByteCount(4 * words + 4 * LANES * units)
    }

    fn prepare(&self, case: &Case, device: &mut dyn Device) -> Result<Program, Stop> {
        let Shape { words, units, passes, shared } = Shape::of(case);
        let all = u64::from(device.info().compute_units);
        if units > all && !places_work_groups(device.info()) {
            return Err(Stop::Skip(format!("{units} threads asked for, the device has {all} compute units")));
        }
        let input = device.alloc(ByteCount(4 * words), Place::Device)?;
        device.fill(input, pattern(case))?;
        let output = device.alloc(ByteCount(4 * LANES * units), Place::Device)?;
        device.fill(output, Pattern::Poison)?;
        let args = vec![
            Arg::Buffer(Slot(0)),
            Arg::Buffer(Slot(1)),
            Arg::U64(words),
            Arg::U64(passes),
            Arg::U64(units),
            Arg::U32(u32::from(shared)),
        ];
        let mut step = Step::launch("cache_read", args);
        if let Step::Launch { grid, .. } = &mut step {
            grid[0] = units as u32;
        }
        let bindings = vec![vec![input, output]];
        Ok(Program { steps: vec![step], bindings, outputs: vec![output], submit: Submit::Stream })
    }

    fn check(&self, case: &Case, outputs: &mut dyn Outputs) -> Result<CheckPassed, CheckError> {
        let Shape { words, units, passes, shared } = Shape::of(case);
        let mut all = shared.then(|| sums(pattern(case), 0, words));
        for_each_block(outputs, 0, LANES * units, |start, block| {
            // Blocks are whole lines.
            for (unit, found) in (start / LANES..).zip(block.chunks(LANES as usize)) {
                let own = || sums(pattern(case), border(words, unit, units), border(words, unit + 1, units));
                let expected = all.get_or_insert_with(own);
                for (lane, (found, sum)) in (0..).zip(found.iter().zip(&*expected)) {
                    let expected = sum.wrapping_mul(passes as u32);
                    if expected != *found {
                        let place = LANES * unit + lane;
                        return Err(wrong("out", place, format!("{expected:#010x}"), format!("{found:#010x}")));
                    }
                }
                if !shared {
                    all = None;
                }
            }
            Ok(())
        })?;
        Ok(CheckPassed { compared: LANES * units, worst: Ratio::ZERO })
    }
}

/// The working sets of a curve.
fn grid(device: &DeviceInfo, profile: Profile, units: u64, shared: bool) -> Vec<u64> {
    let most = PAST_THE_CACHE * last_cache(device);
    let stride = match (device.kind, profile) {
        // Its caches are those of the CPU that it runs on, which the CPU's own curve shows in full.
        (DeviceKind::Software, Profile::Quick | Profile::Standard) => STRIDE_MOST,
        _ => stride(profile),
    };
    match shared && places_work_groups(device) {
        true => staircase(LEAST_SHARED, most.min(MOST_SHARED), PART_GRAIN, stride),
        false => staircase(LEAST_PART * units, most, PART_GRAIN * units, stride),
    }
}

/// The grid's sizes nearest to half of each cache, all instances together; where the device tells of none, the
/// least. Main memory is `memory`'s.
fn quick(device: &DeviceInfo, grid: &[u64], shared: bool) -> Vec<u64> {
    let instances = |instances: u32| if shared { 1 } else { u64::from(instances) };
    let halves = device.caches.iter().map(|cache| well_within(device, cache) * instances(cache.instances));
    let mut sizes: Vec<u64> = halves.filter_map(|half| nearest(grid, half)).collect();
    sizes.dedup();
    if sizes.is_empty() { grid.iter().take(1).copied().collect() } else { sizes }
}

/// The axes of a case.
struct Shape {
    words: u64,
    units: u64,
    passes: u64,
    shared: bool,
}

impl Shape {
    fn of(case: &Case) -> Self {
        let (size, units) = (case.count("size").unwrap_or(0), case.count("threads").unwrap_or(1));
        let shared = case.word("slice") == Some("shared");
        let part = if shared { size } else { size / units };
        Self { words: size / 4, units, passes: UNIT_BYTES.div_ceil(part.max(1)).max(1), shared }
    }
}

fn pattern(case: &Case) -> Pattern {
    Pattern::Words { seed: seed_of(case, 0) }
}

/// The border before part `unit`: `words * unit / units` rounded down to 16 words, the last one `words`.
fn border(words: u64, unit: u64, units: u64) -> u64 {
    if unit == units { words } else { (u128::from(words) * u128::from(unit) / u128::from(units)) as u64 / 16 * 16 }
}

/// The sums of the words from `start` (the first of a line) to `end`, by their place in a line.
fn sums(pattern: Pattern, start: u64, end: u64) -> [u32; LANES as usize] {
    let mut sums = [0_u32; LANES as usize];
    let mut block = vec![0_u32; BLOCK.min((end - start) as usize)];
    let mut at = start;
    while at < end {
        let block = &mut block[..(end - at).min(BLOCK as u64) as usize];
        pattern.words_into(at, block);
        for line in block.chunks(LANES as usize) {
            for (sum, word) in sums.iter_mut().zip(line) {
                *sum = sum.wrapping_add(*word);
            }
        }
        at += block.len() as u64;
    }
    sums
}
