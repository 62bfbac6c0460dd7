//! `latency`: what one access costs when the next depends on it.

use super::check::{read_words, seed_of, wrong};
use super::sizes::{PAST_THE_CACHE, last_cache, nearest, staircase, stride, well_within};
use super::{
    Axis, Benchmark, CheckError, Meta, Outputs, Profile, Request, Stop, THREADS, expand, has, places_work_groups,
};
use crate::device::{Arg, BufferId, Device, DeviceError, Pattern, Place, Program, Slot, Step, Submit};
use crate::record::{AxisValue, Case, CheckPassed, DeviceInfo, Quantity, Work};
use crate::units::{ByteCount, Ratio};

/// The row of this benchmark.
pub(super) struct Latency;

static META: Meta = Meta {
    id: "latency",
    question: "How long does one access to each cache and to memory take, when the next depends on it?",
    formula: "median time of a repeat / its accesses. Each access loads the place of the next, along one random cycle \
              through all places: one in every stride bytes of size. Repeats go on where the one before ended, until \
              the whole cycle is done.",
    caveats: &[
        "stride=64 visits every line: far past the caches each access also looks up an address translation, and the \
         time includes it. stride=4096 visits one line of each 4 KiB: it fills the translation tables long before the \
         caches. What huge pages were granted is in the case's conditions.",
        "chains=1 is one access at a time on an idle device. More chains run on as many compute units at once, from \
         different places of the same cycle: what an access costs while others load, per chain.",
        "Processors fetch lines in pairs or ahead of a pattern; a random cycle leaves them little to guess.",
        "A launch finds the caches of a GPU's units empty. Where the range fits them, a repeat therefore goes around the cycle \
         hundreds of times (accesses tells how many accesses that is): the first time is one of 512 for ranges up to \
         128 KiB, one of 256 at twice that.",
        "The clock matters to the caches, which are counted in its cycles; it is recorded beside the samples.",
    ],
    quantity: Quantity::Duration,
    axes: &[
        Axis {
            name: "size",
            about: "bytes of the range that the accesses are spread over",
            words: &[],
            range: [LINE, 4 << 30],
        },
        Axis {
            name: "stride",
            about: "bytes from one place to the next, in whole lines of 64",
            words: &[],
            range: [LINE, 1 << 20],
        },
        Axis {
            name: "chains",
            about: "chains at once, one per compute unit: 1 to all of the device's; on a GPU one per work group",
            words: &[],
            range: THREADS,
        },
        Axis {
            name: "accesses",
            about: "accesses of a chain in a repeat, where they are not a share of the cycle",
            words: &[],
            range: [1, WARM_MOST],
        },
    ],
};

/// Bytes of a line.
const LINE: u64 = 64;
/// Bytes of the smallest page.
const PAGE: u64 = 4096;
/// Words from one chain's slot to the next.
const SLOT: u64 = 16;
/// A repeat has at least this many accesses, so that the start of a launch vanishes …
const STEPS_LEAST: u64 = 1 << 14;
/// … and at most this many: some drivers end longer loops silently.
const STEPS_MOST: u64 = 65_535;
/// Times around a cycle that a unit's own cache may hold, on a device that takes so many turns …
const WARM: u64 = 512;
/// … and the most accesses for it.
const WARM_MOST: u64 = 1 << 20;
/// Repeats that the cycle is cut into, unless they get too long.
const SEGMENTS: u64 = 64;
/// Chains at once on a GPU: on as many of its units as there are, or most of them.
const GPU_CHAINS: u64 = 64;
/// The least range.
const LEAST: u64 = 16 << 10;
/// The least range of the series over pages: fewer pages than this are in any translation table.
const LEAST_PAGES: u64 = 16 * PAGE;

impl Benchmark for Latency {
    fn meta(&self) -> &'static Meta {
        &META
    }

    fn effort(&self) -> f64 {
        super::CURVE_EFFORT
    }

    fn cases(&self, device: &DeviceInfo, request: &Request) -> Vec<Case> {
        let most = PAST_THE_CACHE * last_cache(device);
        let lines = staircase(LEAST, most, LINE, stride(request.profile));
        let pages = staircase(LEAST_PAGES, most, PAGE, 2 * stride(request.profile));
        let all = if places_work_groups(device) { GPU_CHAINS } else { u64::from(device.compute_units.max(1)) };
        let (lines, pages) = match request.profile {
            Profile::Quick => (quick(device, &lines), Vec::new()),
            _ => (lines, pages),
        };
        let mut chains = vec![1];
        if request.profile == Profile::Full && all > 1 {
            chains.push(all);
        }
        let counts = |values: &[u64]| values.iter().copied().map(AxisValue::Count).collect::<Vec<_>>();
        let strides = request.axes.get("stride").cloned().unwrap_or_else(|| counts(&[LINE, PAGE]));
        let mut cases = Vec::new();
        for stride in strides {
            let sizes = if stride == AxisValue::Count(PAGE) { &pages } else { &lines };
            let mut request = request.clone();
            request.axes.remove("stride");
            let axes = [("stride", vec![stride]), ("chains", counts(&chains)), ("size", counts(sizes))];
            cases.extend(expand(META.id, &request, &axes));
        }
        let asked = request.axes.get("accesses");
        let told = |case: &Case| -> Vec<Case> {
            match (asked, warm(device, case)) {
                (Some(asked), _) => asked.iter().map(|accesses| case.with("accesses", accesses.clone())).collect(),
                (None, Some(accesses)) => vec![case.with("accesses", AxisValue::Count(accesses))],
                (None, None) => vec![case.clone()],
            }
        };
        cases.iter().flat_map(told).collect()
    }

    fn work(&self, case: &Case) -> Work {
        Work { accesses: Shape::of(case).steps, ..Work::default() }
    }

    fn footprint(&self, _device: &DeviceInfo, case: &Case) -> ByteCount {
        let shape = Shape::of(case);
        ByteCount(shape.size() + 2 * shape.repeats() * shape.slots())
    }

    fn prepare(&self, case: &Case, device: &mut dyn Device) -> Result<Program, Stop> {
        let (shape, all) = (Shape::of(case), u64::from(device.info().compute_units));
        if shape.chains > all && !places_work_groups(device.info()) {
            return Err(Stop::Skip(format!("{} chains asked for, the device has {all} compute units", shape.chains)));
        }
        let order = shape.order();
        let cycle = device.alloc(ByteCount(shape.size()), Place::Device)?;
        shape.write_cycle(device, cycle, &order)?;
        let mut bindings = Vec::new();
        for repeat in 0..shape.repeats() {
            let starts = device.alloc(ByteCount(shape.slots()), Place::Device)?;
            let mut bytes = vec![0; shape.slots() as usize];
            for (chain, slot) in (0..shape.chains).zip(bytes.chunks_exact_mut(4 * SLOT as usize)) {
                let place = order[shape.start(repeat, chain) as usize];
                slot[..4].copy_from_slice(&shape.offset(place).to_le_bytes());
            }
            device.write(starts, ByteCount::ZERO, &bytes)?;
            let out = device.alloc(ByteCount(shape.slots()), Place::Device)?;
            device.fill(out, Pattern::Poison)?;
            bindings.push(vec![cycle, starts, out]);
        }
        let mut args: Vec<Arg> = (0..3).map(|slot| Arg::Buffer(Slot(slot))).collect();
        args.extend([Arg::U64(shape.steps), Arg::U64(shape.chains)]);
        let mut step = Step::launch("chase", args);
        if let Step::Launch { grid, .. } = &mut step {
            grid[0] = shape.chains as u32;
        }
        let outputs = bindings.first().and_then(|row| row.last()).copied().into_iter().collect();
        Ok(Program { steps: vec![step], bindings, outputs, submit: Submit::Stream })
    }

    fn check(&self, case: &Case, outputs: &mut dyn Outputs) -> Result<CheckPassed, CheckError> {
        let shape = Shape::of(case);
        let order = shape.order();
        let (mut bytes, mut slot) = ([0; 8], [0; 2]);
        for chain in 0..shape.chains {
            read_words(outputs, 0, SLOT * chain, &mut bytes, &mut slot)?;
            let start = shape.start(0, chain);
            let visited = (start + 1..=start + shape.steps)
                .map(|position| shape.offset(order[(position % shape.places) as usize]));
            let (end, sum) = visited.fold((0, 0_u32), |(_, sum), offset| (offset, sum.wrapping_add(offset)));
            for (word, (expected, found)) in (0..).zip([(end, slot[0]), (sum, slot[1])]) {
                if expected != found {
                    let place = SLOT * chain + word;
                    return Err(wrong("out", place, format!("{expected:#010x}"), format!("{found:#010x}")).into());
                }
            }
        }
        Ok(CheckPassed { compared: 2 * shape.chains, worst: Ratio::ZERO })
    }
}

/// The accesses of a case whose range a unit's own cache may hold; `None` for others, and where loops must be short.
fn warm(device: &DeviceInfo, case: &Case) -> Option<u64> {
    let shape = Shape::of(case);
    let own = device.caches.iter().find(|cache| cache.instances > 1)?;
    // One line of each place is what a cache holds.
    let fits = has(device, "long_loops") && shape.places * LINE <= 2 * own.size_b.0;
    fits.then(|| (WARM * shape.places).clamp(STEPS_LEAST, WARM_MOST))
}

/// The grid's sizes nearest to half of each cache, and one well past the last.
fn quick(device: &DeviceInfo, grid: &[u64]) -> Vec<u64> {
    let halves = device.caches.iter().map(|cache| well_within(device, cache));
    let past = last_cache(device) * 5 / 2;
    let mut sizes: Vec<u64> = halves.chain([past]).filter_map(|size| nearest(grid, size)).collect();
    sizes.sort_unstable();
    sizes.dedup();
    sizes
}

/// The axes of a case, and the cycle that follows from them.
struct Shape {
    /// Places that the cycle goes through.
    places: u64,
    /// Lines from one place to the next.
    lines: u64,
    chains: u64,
    /// Accesses of a chain in a repeat.
    steps: u64,
    seed: u64,
}

impl Shape {
    fn of(case: &Case) -> Self {
        let lines = case.count("stride").unwrap_or(LINE) / LINE;
        let places = (case.count("size").unwrap_or(0) / LINE / lines.max(1)).max(1);
        let share = places.div_ceil(SEGMENTS).clamp(STEPS_LEAST, STEPS_MOST);
        let steps = case.count("accesses").unwrap_or(share);
        Self { places, lines, chains: case.count("chains").unwrap_or(1), steps, seed: seed_of(case, 0) }
    }

    /// Bytes of the range: whole strides.
    fn size(&self) -> u64 {
        self.places * self.lines * LINE
    }

    /// Bytes of a slot for each chain.
    fn slots(&self) -> u64 {
        4 * SLOT * self.chains
    }

    /// Repeats that together go through the whole cycle: each begins where the one before ended.
    fn repeats(&self) -> u64 {
        self.places.div_ceil(self.steps)
    }

    /// Where in the cycle a chain begins a repeat. Chains are spread evenly over the cycle.
    fn start(&self, repeat: u64, chain: u64) -> u64 {
        (self.places * chain / self.chains + repeat * self.steps) % self.places
    }

    /// The byte offset of a place: a hashed line of its stride, so that places a page apart are spread
    /// over all sets of a cache.
    fn offset(&self, place: u32) -> u32 {
        let line = u64::from(Pattern::Words { seed: !self.seed }.word(u64::from(place))) % self.lines;
        ((u64::from(place) * self.lines + line) * LINE) as u32
    }

    /// The places in the order of the cycle, shuffled (Fisher and Yates): closed to a ring, every cycle
    /// through all places is as likely as any other, as by Sattolo's algorithm.
    fn order(&self) -> Vec<u32> {
        let random = Pattern::Words { seed: self.seed };
        let mut order: Vec<u32> = (0..self.places as u32).collect();
        for last in (1..order.len()).rev() {
            let other = (u64::from(random.word(last as u64)) * (last as u64 + 1)) >> 32;
            order.swap(last, other as usize);
        }
        order
    }

    /// Writes the ring: at each place the offset of the next.
    fn write_cycle(&self, device: &mut dyn Device, cycle: BufferId, order: &[u32]) -> Result<(), DeviceError> {
        let mut next = vec![0; order.len()];
        for (place, following) in order.iter().zip(order.iter().cycle().skip(1)) {
            next[*place as usize] = *following;
        }
        let stride = (self.lines * LINE) as usize;
        let places = (BLOCK / stride).max(1);
        let mut bytes = vec![0; places * stride];
        for (block, following) in next.chunks(places).enumerate() {
            let first = block * places;
            for (index, following) in following.iter().enumerate() {
                let at = self.offset((first + index) as u32) as usize - first * stride;
                bytes[at..at + 4].copy_from_slice(&self.offset(*following).to_le_bytes());
            }
            device.write(cycle, ByteCount((first * stride) as u64), &bytes[..following.len() * stride])?;
        }
        Ok(())
    }
}

/// Bytes written at a time.
const BLOCK: usize = 1 << 20;
