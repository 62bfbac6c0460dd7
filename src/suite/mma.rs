//! `mma`: the rate at which matrix units take their instructions.

use super::check::{for_each_block, wrong};
use super::{
    Axis, Benchmark, CheckError, Meta, Outputs, Profile, Request, Stop, WORDS_ONLY, expand, has, load, units_told,
};
use crate::device::{Arg, Device, Pattern, Place, Program, Slot, Step, Submit};
use crate::record::{AxisValue, Case, CheckPassed, DeviceInfo, DeviceKind, Precision, Quantity, Work};
use crate::units::{ByteCount, FlopCount, Ratio};

/// The row of this benchmark.
pub(super) struct Mma;

static META: Meta = Meta {
    id: "mma",
    question: "How fast can the matrix units multiply when their operands are already there?",
    formula: "2 x 64 x 256 x tiles x k x (30 x rounds + 1) / median time of a repeat: every tile of 64 x 256 sums takes \
              30 products a round and one more, each with 32 bytes' worth of k's: 16 of f16 and bf16, 8 of tf32, 32 of \
              8-bit formats. Bytes: the sums written once.",
    caveats: &[
        "This is what the units can issue, not what a program gets: operands come from registers, or from shared memory \
         that nothing refills. matmul is what a program gets.",
        "The instruction is the native one: mma.sync on compute capability 8.0 to 8.9, wgmma with 128 or 256 columns on \
         9.0, where products of warps reach less and those of 8-bit floating point are emulated by those of 16 bits. \
         Newer units whose instructions there is no kernel for are skipped, not measured by others.",
        "Operands are small whole numbers, so that every sum is exact and is compared with its reference; fewer bits \
         toggle than with full significands, and a device limited by its power may be some per cent faster here than \
         with those.",
        "The rate depends on the clock under load: compare with the datasheet's at the clock measured beside it. What the \
         power limit leaves of it shows under sustained load, of which a burst sees little.",
    ],
    quantity: Quantity::Throughput,
    axes: &[
        Axis {
            name: "precision",
            about: "number format of the operands; f64 and f32 are no formats of theirs, and skipped",
            words: &["f16", "bf16", "tf32", "i8", "fp8_e4m3", "fp8_e5m2", "f64", "f32"],
            range: WORDS_ONLY,
        },
        Axis {
            name: "tiles",
            about: "tiles of 64 x 256 sums; two for every unit where the device tells how many it has",
            words: &[],
            range: [1, 0xffff],
        },
        Axis {
            name: "rounds",
            about: "rounds of 30 products that every sum takes; more than 511 are not exact in 8-bit floating point",
            words: &[],
            range: [1, ROUNDS],
        },
        load::AXIS,
    ],
};

/// Formats, in the order of the numbers that spell them for the kernel.
const FORMATS: [&str; 6] = ["f16", "bf16", "tf32", "i8", "fp8_e4m3", "fp8_e5m2"];
/// Rows of a tile.
const ROWS: u64 = 64;
/// Columns of all sums.
const COLUMNS: u64 = 256;
/// Bytes of the k's of a product.
const DEPTH_B: u64 = 32;
/// Products of a round, after which the sums have grown by the difference's product once.
const ROUND: u64 = 30;
/// Rounds of a case. Units that keep 13 bits behind the point of their largest term, as those of 8-bit floating point
/// do on compute capability 9.0, still have every sum exactly.
const ROUNDS: u64 = 511;
/// Tiles for each unit: two warpgroups, or 32 warps of sixteen rows by 64 columns.
const TILES_PER_UNIT: u64 = 2;
/// Tiles where the device does not tell its units.
const TILES: u64 = 256;
/// Tiles and rounds on an emulated device, where they are counted and not timed.
const EMULATED: [u64; 2] = [1, 1];

impl Benchmark for Mma {
    fn meta(&self) -> &'static Meta {
        &META
    }

    fn cases(&self, device: &DeviceInfo, request: &Request) -> Vec<Case> {
        // Devices without such units would say so six times; a precision is asked of other benchmarks too.
        let asked = ["tiles", "rounds"].iter().any(|axis| request.axes.contains_key(*axis));
        if !asked && !has(device, "matrix_units") {
            return Vec::new();
        }
        let [tiles, rounds] = match device.kind {
            DeviceKind::Emulated => EMULATED,
            _ => [units_told(device).map_or(TILES, |units| TILES_PER_UNIT * units), ROUNDS],
        };
        let precisions = FORMATS.map(AxisValue::from).to_vec();
        let [tiles, rounds] = [tiles, rounds].map(|count| vec![AxisValue::Count(count)]);
        let cases = expand(META.id, request, &[("precision", precisions), ("tiles", tiles), ("rounds", rounds)]);
        let headlines = request.profile != Profile::Quick && !asked;
        load::under_loads(cases, device, request, |_| headlines)
    }

    fn work(&self, case: &Case) -> Work {
        let shape = Shape::of(case);
        let products = ROUND * shape.rounds + 1;
        let flop = FlopCount(2 * shape.sums() * shape.depth() * products);
        let bytes_written_b = ByteCount(4 * shape.sums());
        Work { bytes_written_b, flop: [(shape.precision, flop)].into(), ..Work::default() }
    }

    fn footprint(&self, _device: &DeviceInfo, case: &Case) -> ByteCount {
        self.work(case).bytes()
    }

    fn prepare(&self, case: &Case, device: &mut dyn Device) -> Result<Program, Stop> {
        let shape = Shape::of(case);
        let unknown = || Stop::Skip(format!("matrix units take no {}", shape.precision));
        let format = FORMATS.iter().position(|name| *name == shape.precision.name()).ok_or_else(unknown)?;
        let args = vec![Arg::Buffer(Slot(0)), Arg::U32(format as u32), Arg::U64(shape.tiles), Arg::U64(shape.rounds)];
        let step = Step::launch("mma", args);
        if device.options(&step)?.is_empty() {
            return Err(Stop::Skip("the device has no matrix units that its backend reaches".to_owned()));
        }
        let output = device.alloc(self.footprint(device.info(), case), Place::Device)?;
        device.fill(output, Pattern::Poison)?;
        Ok(Program { steps: vec![step], bindings: vec![vec![output]], outputs: vec![output], submit: Submit::Stream })
    }

    fn check(&self, case: &Case, outputs: &mut dyn Outputs) -> Result<CheckPassed, CheckError> {
        let shape = Shape::of(case);
        let reference = Reference::new(&shape);
        for_each_block(outputs, 0, shape.sums(), |start, block| {
            for (index, bits) in (start..).zip(block) {
                let expected = reference.sum(index / COLUMNS, index % COLUMNS) as f64;
                let found = match shape.precision {
                    Precision::I8 => f64::from(bits.cast_signed()),
                    _ => f64::from(f32::from_bits(*bits)),
                };
                if !(found == expected) {
                    return Err(wrong("out", index, expected, found));
                }
            }
            Ok(())
        })?;
        Ok(CheckPassed { compared: shape.sums(), worst: Ratio::ZERO })
    }
}

/// The axes of a case.
struct Shape {
    precision: Precision,
    tiles: u64,
    rounds: u64,
}

impl Shape {
    fn of(case: &Case) -> Self {
        let precision = case.word("precision").and_then(|word| word.parse().ok()).unwrap_or(Precision::F16);
        Self { precision, tiles: case.count("tiles").unwrap_or(1), rounds: case.count("rounds").unwrap_or(1) }
    }

    fn sums(&self) -> u64 {
        self.tiles * ROWS * COLUMNS
    }

    /// The k's of a product.
    fn depth(&self) -> u64 {
        DEPTH_B / self.precision.size()
    }

    /// Largest elements of a and of b, which the format has exactly.
    fn limits(&self) -> [u32; 2] {
        match self.precision {
            Precision::Fp8E4m3 => [15, 7],
            Precision::Fp8E5m2 => [7, 7],
            _ => [100, 100],
        }
    }
}

/// What every sum must be, in whole numbers: one product of a and b, and for every round that of the difference, which
/// has a single one in each row.
struct Reference {
    depth: u64,
    rounds: i64,
    limit_a: u32,
    /// Columns of b, one after another.
    b: Vec<i64>,
}

impl Reference {
    fn new(shape: &Shape) -> Self {
        let [limit_a, limit_b] = shape.limits();
        let depth = shape.depth();
        let element = |index: u64| small(1 << 31 | (index / depth * 32 + index % depth) as u32, limit_b);
        let b = (0..COLUMNS * depth).map(element).collect();
        Self { depth, rounds: shape.rounds.cast_signed(), limit_a, b }
    }

    fn sum(&self, row: u64, column: u64) -> i64 {
        let b = &self.b[(column * self.depth) as usize..][..self.depth as usize];
        let a = (0..self.depth).map(|k| small((row * 32 + k) as u32, self.limit_a));
        let product: i64 = a.zip(b).map(|(a, b)| a * b).sum();
        self.rounds * b[(row % self.depth) as usize] + product
    }
}

/// A whole number from `-limit` to `limit`: the mixer of [`Pattern`]'s words.
fn small(index: u32, limit: u32) -> i64 {
    let mut x = index;
    x ^= x >> 16;
    x = x.wrapping_mul(0x7feb_352d);
    x ^= x >> 15;
    x = x.wrapping_mul(0x846c_a68b);
    x ^= x >> 16;
    i64::from(x % (2 * limit + 1)) - i64::from(limit)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Units that keep 13 bits behind the point of their largest term have whole numbers up to 2^13 exactly.
    #[test]
    fn sums_of_every_step_are_exact_in_their_accumulators() {
        for (precision, most) in [
            (Precision::F16, 1 << 23),
            (Precision::Bf16, 1 << 23),
            (Precision::Tf32, 1 << 23),
            (Precision::Fp8E4m3, 1 << 13),
            (Precision::Fp8E5m2, 1 << 13),
        ] {
            let shape = Shape { precision, tiles: 1, rounds: ROUNDS };
            let [a, b] = shape.limits().map(u64::from);
            // A product, and the differences' up to the round's eighth.
            let largest = shape.depth() * (a + 1) * b + (ROUNDS + 8) * b;
            assert!(largest < most, "{precision}: {largest}");
        }
    }

    /// The order of a round's products in the kernels' contract: what it adds, and that none can be left out.
    #[test]
    fn a_round_adds_the_difference_once() {
        let (a, difference) = (37_i64, 1_i64);
        let forms = [a, difference - a, -difference - a];
        let round: Vec<i64> = (0..15).flat_map(|pair| [forms[0], forms[1 + pair % 2]]).collect();
        assert_eq!(round.len() as u64, ROUND);
        let total: i64 = round.iter().sum();
        assert_eq!(total, difference);
        assert!(round.iter().all(|left_out| total - left_out != difference));
    }
}
