//! `fma`: the rate of multiply-adds out of registers.

use super::check::{for_each_block, within, wrong};
use super::{
    Axis, Benchmark, CheckError, Meta, Outputs, Profile, Request, Stop, THREADS, WORDS_ONLY, expand, has, load,
    places_work_groups, spelled, units_told,
};
use crate::device::{Arg, Device, Pattern, Place, Program, Slot, Step, Submit};
use crate::record::{AxisValue, Case, CheckFailure, CheckPassed, DeviceInfo, DeviceKind, Precision, Quantity, Work};
use crate::units::{ByteCount, FlopCount, Ratio};

/// The row of this benchmark.
pub(super) struct Fma;

static META: Meta = Meta {
    id: "fma",
    question: "How many multiply-adds per second can this device do when nothing waits for memory?",
    formula: "2 x lanes x iterations / median time of a repeat: each lane does a chain of x = x a + b, which counts as \
              2 FLOP (2 OP for integers) a step. For bf16 with its sums in f32 a step adds two products to x: 4 FLOP. For \
              i8 a step is x plus the dot product of x's and a's four signed bytes: 8 OP. Bytes: the final value of \
              every lane.",
    caveats: &[
        "This is the ceiling of the plain vector units. Matrix units, where a device has them, are another ceiling: \
         see matmul.",
        "Integers have no fused multiply-add on most processors: a step is a multiplication and an addition.",
        "i8 is one instruction where the device has packed dot products, and several where it has not: WebGPU does not \
         say which. Two of the factor's bytes are zero, so that every chain can be checked exactly; the instruction \
         multiplies all four.",
        "The ratio of all threads to one shows what the cores share: well under their number means siblings of one \
         core, a lower clock under load, or a noisy neighbour.",
        "bf16 on a processor is its instruction for pairs, which adds two products to a sum in f32: what its products of \
         bf16 are made of. It has no arithmetic in bf16 itself.",
        "A GPU places work itself and cannot be kept to some of its units: there, threads is the amount of work, 12288 \
         lanes each: four for every unit of the device, or, where it does not tell its units, enough to fill the \
         largest.",
    ],
    quantity: Quantity::Throughput,
    axes: &[
        Axis {
            name: "precision",
            about: "number format",
            words: &["f64", "f32", "f16", "bf16", "i32", "i8"],
            range: WORDS_ONLY,
        },
        Axis {
            name: "threads",
            about: "compute units used: 1 to all of the device's; on a GPU the amount of work, in 12288 lanes",
            words: &[],
            range: THREADS,
        },
        Axis {
            name: SUM,
            about: "what sums are kept in where that is another format: f32 for pairs of bf16",
            words: &["f32"],
            range: WORDS_ONLY,
        },
        load::AXIS,
    ],
};

/// The axis of what sums are kept in.
const SUM: &str = "sum";
/// The feature of devices that multiply pairs of bfloat16 and have no arithmetic in it.
const PAIRS: &str = "avx512_bf16";
/// How the kernel's `precision` argument spells those pairs.
const PAIRS_CODE: u32 = 6;
/// The pair: each step adds the sum of both squares, ten times 2^-10, so that a chain's every sum is a number of binary32.
const PAIR: (f64, f64) = (3.0 / 32.0, 1.0 / 32.0);

/// Steps of a chain. Few enough that the rounding of a chain stays well below what it is to show.
const ITERATIONS: u32 = 4096;
/// Steps of a chain of binary16, whose steps are all exact: see [`coefficients`].
const ITERATIONS_F16: u32 = 2048;
/// Steps of a round of bfloat16: see the kernel's contract.
const ROUND_BF16: u32 = 256;
/// Lanes per compute unit: a multiple of every vector width times every number of chains in use.
const LANES: u64 = 12_288;
/// Threads' worth of lanes for a GPU: 1.6 million, several for every place that the largest has.
const GPU_THREADS: u64 = 128;
/// Threads' worth of lanes for each unit of a GPU that tells how many it has: a launch of about a millisecond, against
/// which its start is little.
const THREADS_PER_UNIT: u64 = 4;
/// The same for a renderer that runs on the cores of a CPU, which would take seconds over that many.
const SOFTWARE_THREADS: u64 = 8;

impl Benchmark for Fma {
    fn meta(&self) -> &'static Meta {
        &META
    }

    fn cases(&self, device: &DeviceInfo, request: &Request) -> Vec<Case> {
        let computes = |name: &str| has(device, name) || (name == "bf16" && pairs(device));
        // Formats that many lack are asked of devices that have them; the others would all say that they do not.
        let words = META.axes[0].words.iter().filter(|word| !["f16", "bf16", "i8"].contains(word) || computes(word));
        let precisions = words.map(|word| AxisValue::from(*word)).collect();
        let mut threads = match (places_work_groups(device), device.kind) {
            (false, _) => vec![1, u64::from(device.compute_units)],
            (true, DeviceKind::Software) => vec![SOFTWARE_THREADS],
            (true, DeviceKind::Emulated) => vec![1],
            // As much for each unit as for any other: a unit with more would be waited for.
            (true, _) => vec![units_told(device).map_or(GPU_THREADS, |units| THREADS_PER_UNIT * units)],
        };
        threads.dedup();
        let threads = threads.into_iter().map(AxisValue::Count).collect();
        let mut cases = expand(META.id, request, &[("precision", precisions), ("threads", threads)]);
        for case in cases.iter_mut().filter(|case| precision_of(case) == Precision::Bf16 && pairs(device)) {
            *case = case.with(SUM, "f32");
        }
        if let Some(sums) = request.axes.get(SUM) {
            cases.retain(|case| case.axes.get(SUM).is_some_and(|sum| sums.contains(sum)));
        }
        // What the cores share shows in one format; a quick run has no time for more.
        if request.profile == Profile::Quick
            && !places_work_groups(device)
            && !["precision", "threads"].iter().any(|axis| request.axes.contains_key(*axis))
        {
            let all = Some(u64::from(device.compute_units));
            cases.retain(|case| case.count("threads") == all || case.word("precision") == Some("f32"));
        }
        // A renderer on the cores of a CPU makes several instructions of the packed product, and takes seconds over it.
        if request.profile == Profile::Quick
            && device.kind == DeviceKind::Software
            && !request.axes.contains_key("precision")
        {
            cases.retain(|case| case.word("precision") != Some("i8"));
        }
        load::under_loads(cases, device, request, |case| case.word("precision") == Some("f32"))
    }

    fn work(&self, case: &Case) -> Work {
        let precision = precision_of(case);
        let products = match precision {
            Precision::I8 => 4,
            _ if is_paired(case) => 2,
            _ => 1,
        };
        let operations = FlopCount(2 * products * lanes_of(case) * u64::from(iterations_of(precision)));
        let bytes_written_b = ByteCount(lanes_of(case) * lane_size(case));
        Work { bytes_written_b, flop: [(precision, operations)].into(), ..Work::default() }
    }

    fn footprint(&self, _device: &DeviceInfo, case: &Case) -> ByteCount {
        self.work(case).bytes()
    }

    fn prepare(&self, case: &Case, device: &mut dyn Device) -> Result<Program, Stop> {
        let precision = precision_of(case);
        if !META.axes[0].words.contains(&precision.name()) {
            return Err(Stop::Skip(format!("fma has no form for {precision}")));
        }
        if !has(device.info(), if is_paired(case) { PAIRS } else { precision.name() }) {
            return Err(Stop::Skip(format!("the device does not compute in {precision}")));
        }
        let units = u64::from(device.info().compute_units);
        let threads = case.count("threads").unwrap_or(1);
        if threads > units && !places_work_groups(device.info()) {
            return Err(Stop::Skip(format!("{threads} threads asked for, the device has {units} compute units")));
        }
        let output = device.alloc(self.footprint(device.info(), case), Place::Device)?;
        device.fill(output, Pattern::Poison)?;
        let (factor, term) = if is_paired(case) { PAIR } else { coefficients(precision) };
        let args = vec![
            Arg::Buffer(Slot(0)),
            Arg::U32(if is_paired(case) { PAIRS_CODE } else { spelled(precision) }),
            Arg::U64(lanes_of(case)),
            Arg::U64(u64::from(iterations_of(precision))),
            Arg::F64(factor),
            Arg::F64(term),
        ];
        let mut step = Step::launch("fma", args);
        if let Step::Launch { grid, .. } = &mut step {
            grid[0] = threads as u32;
        }
        Ok(Program { steps: vec![step], bindings: vec![vec![output]], outputs: vec![output], submit: Submit::Stream })
    }

    fn check(&self, case: &Case, outputs: &mut dyn Outputs) -> Result<CheckPassed, CheckError> {
        let lanes = lanes_of(case);
        match precision_of(case) {
            Precision::I32 => check_integers(lanes, outputs),
            Precision::F16 => check_halves(lanes, outputs),
            Precision::I8 => check_packed(lanes, outputs),
            Precision::Bf16 if is_paired(case) => check_pairs(lanes, outputs),
            Precision::Bf16 => check_short(lanes, outputs),
            precision => check_floats(precision, lanes, outputs),
        }
    }
}

fn precision_of(case: &Case) -> Precision {
    case.word("precision").and_then(|word| word.parse().ok()).unwrap_or(Precision::F32)
}

fn lanes_of(case: &Case) -> u64 {
    LANES * case.count("threads").unwrap_or(1)
}

fn iterations_of(precision: Precision) -> u32 {
    if precision == Precision::F16 { ITERATIONS_F16 } else { ITERATIONS }
}

/// Whether a device multiplies pairs of bfloat16, and nothing else in that format.
fn pairs(device: &DeviceInfo) -> bool {
    has(device, PAIRS) && !has(device, Precision::Bf16.name())
}

/// Whether a case is of such pairs.
fn is_paired(case: &Case) -> bool {
    case.word(SUM).is_some()
}

/// Bytes of a lane: four packed bytes are one, and so is the sum of a pair's products.
fn lane_size(case: &Case) -> u64 {
    match precision_of(case) {
        Precision::I8 => 4,
        _ if is_paired(case) => 4,
        precision => precision.size(),
    }
}

/// The factor of packed bytes: 0x53 and 0x15, whose chains go through hundreds of values before one returns. The upper
/// two bytes are zero: see [`packed_chains`]. All are below 128, so that an instruction that takes one operand's bytes
/// as unsigned serves as well.
const PACKED_FACTOR: u32 = 0x1553;

/// Factor and term of a step. In binary16 a chain that loses half its size over its steps would be lost in their
/// rounding: it adds an eighth to multiples of an eighth instead, from -256 to 256 at most, where every one of
/// them is a number of the format. In the other formats the factor is the `ITERATIONS`-th root of one half, so that a chain goes
/// half way to its fixed point, -3, and its end tells how many steps were done. Both are numbers of the
/// precision, so that device and reference use the same.
fn coefficients(precision: Precision) -> (f64, f64) {
    let factor = (-std::f64::consts::LN_2 / f64::from(ITERATIONS)).exp();
    let term = -3.0 * (1.0 - factor);
    match precision {
        Precision::F64 => (factor, term),
        Precision::I32 => (1_664_525.0, 1_013_904_223.0),
        Precision::F16 | Precision::Bf16 => (1.0, 0.125),
        Precision::I8 => (f64::from(PACKED_FACTOR), 0.0),
        _ => (f64::from(factor as f32), f64::from(term as f32)),
    }
}

/// A 32-bit word for a lane, as the kernel makes it.
fn scatter(lane: u64) -> u32 {
    (lane as u32).wrapping_mul(0x9e37_79b1)
}

/// Where a floating-point lane starts: 1 to 2, 23 scattered bits behind the point.
fn start_of(lane: u64) -> f64 {
    1.0 + f64::from(scatter(lane) >> 9) / f64::from(1 << 23)
}

/// Every chain's end equals `a^n x + b (1 + a + … + a^(n-1))` in wrapping integers.
fn check_integers(lanes: u64, outputs: &mut dyn Outputs) -> Result<CheckPassed, CheckError> {
    let (factor, term) = coefficients(Precision::I32);
    let (factor, term) = (factor as i32, term as i32);
    let (mut power, mut sum) = (1_i32, 0_i32);
    for _ in 0..ITERATIONS {
        (power, sum) = (power.wrapping_mul(factor), sum.wrapping_mul(factor).wrapping_add(term));
    }
    for_each_block(outputs, 0, lanes, |start, block| {
        for (lane, found) in (start..).zip(block) {
            let expected = scatter(lane).cast_signed().wrapping_mul(power).wrapping_add(sum);
            if expected != found.cast_signed() {
                return Err(wrong("out", lane, expected, found.cast_signed()));
            }
        }
        Ok(())
    })?;
    Ok(CheckPassed { compared: lanes, worst: Ratio::ZERO })
}

/// Where a chain of packed bytes has come to: the lower half of its value, and what was added to the whole.
type Reached = (u16, u32);

/// What `steps` steps do to a chain of packed bytes, by the lower half of its start. With a factor whose upper bytes are
/// zero a step adds what that half alone decides, so chains of 2^16 starts stand for all; twice as many steps are the
/// steps done twice.
fn packed_chains(steps: u32) -> Vec<Reached> {
    let signed = |byte: u32| i32::from(byte as u8 as i8);
    let step = |low: u16| {
        let low = u32::from(low);
        let added = signed(low) * signed(PACKED_FACTOR) + signed(low >> 8) * signed(PACKED_FACTOR >> 8);
        (low.wrapping_add(added.cast_unsigned()) as u16, added.cast_unsigned())
    };
    let then = |first: &[Reached], second: &[Reached]| -> Vec<Reached> {
        let both = |(low, added): &Reached| {
            let (end, more) = second[usize::from(*low)];
            (end, added.wrapping_add(more))
        };
        first.iter().map(both).collect()
    };
    let mut done: Vec<Reached> = (0..=u16::MAX).map(|low| (low, 0)).collect();
    let mut doubled: Vec<Reached> = (0..=u16::MAX).map(step).collect();
    let mut left = steps;
    while left > 0 {
        if left & 1 == 1 {
            done = then(&done, &doubled);
        }
        doubled = then(&doubled, &doubled);
        left >>= 1;
    }
    done
}

/// Every chain of packed bytes ends exactly where its start leads.
fn check_packed(lanes: u64, outputs: &mut dyn Outputs) -> Result<CheckPassed, CheckError> {
    let chains = packed_chains(ITERATIONS);
    for_each_block(outputs, 0, lanes, |start, block| {
        for (lane, found) in (start..).zip(block) {
            let first = scatter(lane);
            let (_, added) = chains[usize::from(first as u16)];
            let expected = first.wrapping_add(added);
            if expected != *found {
                return Err(wrong("out", lane, expected.cast_signed(), found.cast_signed()));
            }
        }
        Ok(())
    })?;
    Ok(CheckPassed { compared: lanes, worst: Ratio::ZERO })
}

/// Every chain of binary16 ends exactly `ITERATIONS_F16` eighths above its start.
fn check_halves(lanes: u64, outputs: &mut dyn Outputs) -> Result<CheckPassed, CheckError> {
    for_each_block(outputs, 0, lanes.div_ceil(2), |start, block| {
        let halves = block.iter().flat_map(|word| [*word as u16, (word >> 16) as u16]);
        for (lane, bits) in (2 * start..lanes).zip(halves) {
            let eighths = i64::from(scatter(lane) % 2048) - 2048 + i64::from(ITERATIONS_F16);
            let (expected, found) = (eighths as f64 / 8.0, half::f16::from_bits(bits).to_f64());
            if !(found == expected) {
                return Err(wrong("out", lane, expected, found));
            }
        }
        Ok(())
    })?;
    Ok(CheckPassed { compared: lanes, worst: Ratio::ZERO })
}

/// Every chain of bfloat16 ends exactly as many eighths above its start as its rounds and the steps after them say: a
/// round of 256 steps adds one.
fn check_short(lanes: u64, outputs: &mut dyn Outputs) -> Result<CheckPassed, CheckError> {
    let added = i64::from(ITERATIONS / ROUND_BF16 + ITERATIONS % ROUND_BF16);
    for_each_block(outputs, 0, lanes.div_ceil(2), |start, block| {
        let halves = block.iter().flat_map(|word| [*word as u16, (word >> 16) as u16]);
        for (lane, bits) in (2 * start..lanes).zip(halves) {
            let eighths = i64::from(scatter(lane) % 128) - 256 + added;
            let (expected, found) = (eighths as f64 / 8.0, half::bf16::from_bits(bits).to_f64());
            if !(found == expected) {
                return Err(wrong("out", lane, expected, found));
            }
        }
        Ok(())
    })?;
    Ok(CheckPassed { compared: lanes, worst: Ratio::ZERO })
}

/// Every chain of pairs ends exactly as many sums of both squares above its start as it has steps.
fn check_pairs(lanes: u64, outputs: &mut dyn Outputs) -> Result<CheckPassed, CheckError> {
    let added = f64::from(ITERATIONS) * (PAIR.0 * PAIR.0 + PAIR.1 * PAIR.1);
    for_each_block(outputs, 0, lanes, |start, block| {
        for (lane, bits) in (start..).zip(block) {
            let expected = 1.0 + f64::from(scatter(lane) >> 22) / 1024.0 + added;
            let found = f64::from(f32::from_bits(*bits));
            if !(found == expected) {
                return Err(wrong("out", lane, expected, found));
            }
        }
        Ok(())
    })?;
    Ok(CheckPassed { compared: lanes, worst: Ratio::ZERO })
}

/// Every chain's end is within the rounding of its steps of `a^n x + b (1 + a + … + a^(n-1))`.
fn check_floats(precision: Precision, lanes: u64, outputs: &mut dyn Outputs) -> Result<CheckPassed, CheckError> {
    let (factor, term) = coefficients(precision);
    let (mut power, mut sum) = (1.0, 0.0);
    for _ in 0..ITERATIONS {
        (power, sum) = (power * factor, sum * factor + term);
    }
    let epsilon = if precision == Precision::F64 { f64::EPSILON } else { f64::from(f32::EPSILON) };
    // No value passes 2 in size; a step rounds twice at most (where nothing fuses), each by half a unit in
    // the last place; the reference adds as much again in binary64.
    let tolerance = 2.0 * f64::from(ITERATIONS) * epsilon;
    let mut worst = 0.0_f64;
    let mut judge = |lane: u64, found: f64| -> Result<(), CheckFailure> {
        let expected = start_of(lane) * power + sum;
        let error = (found - expected).abs();
        if !within(error, tolerance) {
            return Err(wrong("out", lane, format!("{expected} within {tolerance:.1e}"), found));
        }
        worst = worst.max(error);
        Ok(())
    };
    let words_each = precision.size() / 4;
    for_each_block(outputs, 0, lanes * words_each, |start, block| {
        for (lane, words) in (start / words_each..).zip(block.chunks_exact(words_each as usize)) {
            let found = match words {
                [low, high] => f64::from_bits(u64::from(*high) << 32 | u64::from(*low)),
                _ => f64::from(f32::from_bits(words[0])),
            };
            judge(lane, found)?;
        }
        Ok(())
    })?;
    Ok(CheckPassed { compared: lanes, worst: Ratio::new(worst / tolerance).unwrap_or(Ratio::ZERO) })
}
