//! `intensity`: the roofline itself, measured point by point.

use super::check::seed_of;
use super::memory::{PARTS, check_parts};
use super::sizes::last_cache;
use super::{
    Axis, Benchmark, CheckError, Meta, Outputs, Profile, Request, Stop, expand, places_work_groups, units_told,
};
use crate::device::{Arg, Device, Pattern, Place, Program, Slot, Step, Submit};
use crate::record::{AxisValue, Case, CheckPassed, DeviceInfo, DeviceKind, Precision, Quantity, Work};
use crate::units::{ByteCount, FlopCount};

/// The row of this benchmark.
pub(super) struct Intensity;

static META: Meta = Meta {
    id: "intensity",
    question: "What does this device reach at each operational intensity, from reading to computing?",
    formula: "2 x multiply-adds / median time of a repeat, in f32. fmas multiply-adds for every 8 numbers (32 bytes) \
              read: an operational intensity of fmas / 16 FLOP per byte.",
    caveats: &[
        "Where a repeat would take long, it reads less: from fmas=128 (8 FLOP per byte) on, size falls as fmas grows, \
         and repeats rotate through buffers that together exceed the last cache four times. From fmas=2048 (128 FLOP \
         per byte) on, reading takes a sixth of the time or less on any device, and there is one buffer.",
        "Every step multiplies by -1 and adds, which is exact and changes most bits of the sum, but few in the \
         multiplier: a device limited by power may run it faster than fma, whose rate is the ceiling.",
        "An integer addition per number, which proves that it was read and computed right, is not counted.",
    ],
    quantity: Quantity::Throughput,
    axes: &[
        Axis {
            name: "fmas",
            about: "multiply-adds for every 8 numbers read: 1, 2, 4 or a multiple of 8; fmas / 16 FLOP per byte",
            words: &[],
            range: [1, 1 << 17],
        },
        Axis { name: "size", about: "bytes read in a repeat", words: &[], range: [64, 1 << 44] },
    ],
};

/// 1/16 to 1024 FLOP per byte, about two in each doubling where rooflines bend.
const STANDARD: [u64; 20] =
    [1, 2, 4, 8, 16, 24, 32, 48, 64, 96, 128, 192, 256, 384, 512, 1024, 2048, 4096, 8192, 16_384];
/// One left of any ridge, one near that of processors; right of all is fma.
const QUICK: [u64; 2] = [8, 64];
/// More where rooflines bend.
const MORE: [u64; 6] = [40, 80, 112, 160, 320, 768];
/// From here on a repeat reads less the more it computes.
const LONG: u64 = 128;
/// From here on arithmetic is all that counts, wherever the data lie: the highest ridge point of a datasheet's
/// vector units in f32 is 20 FLOP/byte (H100 SXM).
const ARITHMETIC_BOUND: u64 = 2048;
/// A repeat reads at least this at low intensities, so that its start vanishes.
const LEAST_LARGE: u64 = 128 << 20;
/// Sizes are whole huge pages.
const GRAIN: u64 = 2 << 20;
/// The least of a GPU that tells how many units it has: large ones among them read a GB in a third of a millisecond.
const LEAST_TOLD: u64 = 1 << 30;
/// On a GPU a repeat reads at least this, and whole multiples: with less there is not enough work for every unit.
const LEAST_GPU: u64 = 64 << 20;
/// On an emulated device, whose times mean nothing.
const GRAIN_EMULATED: u64 = 16 << 10;
/// Rotated buffers together are at least this many times the last cache …
const COLD: u64 = 4;
/// … but no more than this many buffers.
const BUFFERS_MAX: u64 = 64;
/// What a number is multiplied by in a step.
const FACTOR: f32 = -1.0;
/// What is added in the first, third, … step.
const EVEN: f32 = 1.0;
/// What two steps add to a number: a multiple of the 2^-23 that numbers are multiples of, so small that
/// none passes 2 and every step is exact.
const SHIFT: f32 = 1.0 / 8192.0;

impl Benchmark for Intensity {
    fn meta(&self) -> &'static Meta {
        &META
    }

    fn effort(&self) -> f64 {
        super::CURVE_EFFORT
    }

    fn cases(&self, device: &DeviceInfo, request: &Request) -> Vec<Case> {
        // A quarter of a small device's memory, if that is less.
        let quarter = device.memory_b.map_or(u64::MAX, |memory| memory.0 / 4 / GRAIN * GRAIN);
        let (large, least) = match (device.kind, places_work_groups(device)) {
            (DeviceKind::Emulated, _) => (GRAIN_EMULATED, GRAIN_EMULATED),
            (DeviceKind::Software, _) | (_, false) => (LEAST_LARGE, GRAIN),
            // The start of a launch is not little against 200 MB at 3 TB/s.
            _ if units_told(device).is_some() => (LEAST_TOLD, LEAST_GPU),
            (_, true) => (LEAST_LARGE, LEAST_GPU),
        };
        let large = (COLD * last_cache(device)).max(large).min(quarter.max(least));
        let mut fmas: Vec<u64> = match request.profile {
            // A renderer on the cores of a CPU takes seconds over each.
            Profile::Quick if device.kind == DeviceKind::Software => QUICK[1..].to_vec(),
            Profile::Quick => QUICK.to_vec(),
            Profile::Standard => STANDARD.to_vec(),
            Profile::Full => STANDARD.into_iter().chain(MORE).collect(),
        };
        fmas.sort_unstable();
        let asked = request.axes.get("fmas").cloned();
        let fmas = asked.unwrap_or_else(|| fmas.into_iter().map(AxisValue::Count).collect());
        let mut request = request.clone();
        request.axes.remove("fmas");
        let point = |fmas: AxisValue| {
            let shrink = if let AxisValue::Count(fmas) = fmas { (fmas / LONG).max(1) } else { 1 };
            let size = AxisValue::Count((large / shrink).next_multiple_of(least));
            expand(META.id, &request, &[("fmas", vec![fmas]), ("size", vec![size])])
        };
        fmas.into_iter().flat_map(point).collect()
    }

    fn work(&self, case: &Case) -> Work {
        let Shape { words, steps, every } = Shape::of(case);
        let flop = FlopCount(2 * u64::from(steps) * stepping(words, every.into()));
        Work {
            bytes_read_b: ByteCount(4 * words),
            bytes_written_b: ByteCount(4 * PARTS),
            flop: [(Precision::F32, flop)].into(),
            ..Work::default()
        }
    }

    fn footprint(&self, device: &DeviceInfo, case: &Case) -> ByteCount {
        ByteCount(buffers(device, case) * 4 * (Shape::of(case).words + PARTS))
    }

    fn prepare(&self, case: &Case, device: &mut dyn Device) -> Result<Program, Stop> {
        let Shape { words, steps, every } = Shape::of(case);
        let fmas = case.count("fmas").unwrap_or(0);
        if fmas > 4 && !fmas.is_multiple_of(8) || fmas == 3 {
            return Err(Stop::Skip(format!("fmas is 1, 2, 4 or a multiple of 8, not {fmas}")));
        }
        let mut bindings = Vec::new();
        for copy in 0..buffers(device.info(), case) {
            let input = device.alloc(ByteCount(4 * words), Place::Device)?;
            device.fill(input, pattern(case, copy))?;
            let output = device.alloc(ByteCount(4 * PARTS), Place::Device)?;
            device.fill(output, Pattern::Poison)?;
            bindings.push(vec![input, output]);
        }
        let args = vec![
            Arg::Buffer(Slot(0)),
            Arg::Buffer(Slot(1)),
            Arg::U64(words),
            Arg::U32(steps),
            Arg::U32(every),
            Arg::F32(FACTOR),
            Arg::F32(EVEN),
            Arg::F32(EVEN + SHIFT),
        ];
        let outputs = bindings.first().and_then(|row| row.last()).copied().into_iter().collect();
        Ok(Program { steps: vec![Step::launch("intensity", args)], bindings, outputs, submit: Submit::Stream })
    }

    fn check(&self, case: &Case, outputs: &mut dyn Outputs) -> Result<CheckPassed, CheckError> {
        let Shape { words, steps, every } = Shape::of(case);
        let input = pattern(case, 0);
        check_parts(words, outputs, |at, block| {
            input.words_into(at, block);
            sum_of_results(at, block, steps, every.into())
        })
    }
}

/// The axes of a case.
struct Shape {
    words: u64,
    /// Steps of a number that takes any.
    steps: u32,
    /// Of how many lines one takes steps.
    every: u32,
}

impl Shape {
    fn of(case: &Case) -> Self {
        let (fmas, words) = (case.count("fmas").unwrap_or(8) as u32, case.count("size").unwrap_or(0) / 4);
        let (steps, every) = if fmas < 8 { (1, 8 / fmas.max(1)) } else { (fmas / 8, 1) };
        Self { words, steps, every }
    }
}

/// Numbers in a line: all of them take steps, or none.
const LINE: u64 = 16;

/// Numbers that take steps: those of every `every`-th line, from the first.
const fn stepping(words: u64, every: u64) -> u64 {
    let (groups, rest) = (words / (LINE * every), words % (LINE * every));
    groups * LINE + if rest < LINE { rest } else { LINE }
}

/// Buffers that repeats rotate through.
fn buffers(device: &DeviceInfo, case: &Case) -> u64 {
    if case.count("fmas").is_some_and(|fmas| fmas >= ARITHMETIC_BOUND) {
        return 1;
    }
    let bytes = case.count("size").unwrap_or(0).max(1);
    (COLD * last_cache(device)).div_ceil(bytes).clamp(1, BUFFERS_MAX)
}

fn pattern(case: &Case, copy: u64) -> Pattern {
    Pattern::Uniform { precision: Precision::F32, seed: seed_of(case, copy) }
}

/// The wrapping sum of the bits that a block of numbers ends with. `at` is the index of its first, which
/// begins a line. Every operation is exact: two steps add [`SHIFT`], a single one takes from [`EVEN`].
fn sum_of_results(at: u64, block: &[u32], steps: u32, every: u64) -> u32 {
    let shift = (steps / 2) as f32 * SHIFT;
    let mut sum = 0_u32;
    for (line, numbers) in (at / LINE..).zip(block.chunks(LINE as usize)) {
        for number in numbers {
            let shifted = f32::from_bits(*number) + shift;
            let result = match (line.is_multiple_of(every), steps.is_multiple_of(2)) {
                (false, _) => *number,
                (true, true) => shifted.to_bits(),
                (true, false) => (EVEN - shifted).to_bits(),
            };
            sum = sum.wrapping_add(result);
        }
    }
    sum
}
