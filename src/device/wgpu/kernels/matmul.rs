//! Matrix products by our own WGSL: tiles in work-group memory, strips and wide strips without it, and split sums for few
//! rows.

use super::numbers::pairs;
use super::{ALIGNMENT, Binding, Code, Dispatch, Facts, constants};
use crate::device::{DeviceError, MatmulDesc, Provider};
use crate::record::Precision;

/// A way to cut a product.
struct Plan {
    name: &'static str,
    entry: &'static str,
    /// `TILE` of the text.
    side: u32,
    /// `ROWS` of the text.
    rows: u32,
    /// Rows and columns of c that a work group computes.
    tile: [u64; 2],
}

const PLANS: [Plan; 8] = [
    Plan { name: "tile_128x128", entry: "tile", side: 2, rows: 1, tile: [128, 128] },
    Plan { name: "tile_64x64", entry: "tile", side: 1, rows: 1, tile: [64, 64] },
    Plan { name: "wide_16x256", entry: "wide", side: 1, rows: 16, tile: [16, 256] },
    Plan { name: "strip_8x512", entry: "strip", side: 1, rows: 8, tile: [8, 512] },
    Plan { name: "strip_4x512", entry: "strip", side: 1, rows: 4, tile: [4, 512] },
    Plan { name: "strip_1x512", entry: "strip", side: 1, rows: 1, tile: [1, 512] },
    Plan { name: "split_8x32", entry: "split", side: 1, rows: 8, tile: [8, 32] },
    Plan { name: "split_4x32", entry: "split", side: 1, rows: 4, tile: [4, 32] },
];

impl Plan {
    /// Whether it is worth a race for so many rows and columns: tiles that would be mostly empty are not, nor are
    /// short ones that would read b many times over.
    fn suits(&self, desc: &MatmulDesc) -> bool {
        let [rows, columns] = self.tile;
        match (self.entry, rows) {
            ("tile", _) => desc.m * 2 > rows && desc.n * 2 > columns,
            ("wide", _) => {
                let quads = [desc.n, desc.k].iter().all(|side| side.is_multiple_of(4));
                desc.a == Precision::F32 && quads && !desc.b_transposed && desc.m > 8
            }
            ("strip", 8) => desc.m > 4,
            ("strip", 4) => (2..=4).contains(&desc.m),
            ("strip", _) => desc.m == 1,
            (_, 8) => (5..=64).contains(&desc.m),
            _ => desc.m <= 4,
        }
    }
}

/// Whether there is code for it; says why if there is not.
fn supported(desc: &MatmulDesc, facts: &Facts) -> Result<(), String> {
    if desc.provider != Provider::Own {
        return Err("there is no library of matrix products behind wgpu".to_owned());
    }
    let known = [Precision::F32, Precision::F16, Precision::Bf16].contains(&desc.a);
    if !known || [desc.b, desc.c] != [desc.a; 2] || desc.accumulate != Precision::F32 {
        return Err(format!("wgpu multiplies matrices of f32, f16 or bf16 with sums in f32, not {}", desc.a));
    }
    if desc.a == Precision::F16 && !facts.converts_halves {
        return Err("the driver does not convert f16".to_owned());
    }
    // One invocation writes a word, which must not belong to two rows.
    match desc.a.size() == 2 && !desc.n.is_multiple_of(2) {
        true => Err("two 16-bit numbers share a word: c must have an even number of columns".to_owned()),
        false => Ok(()),
    }
}

/// Names of the ways to compute a product; none if there is no code for it.
pub(in super::super) fn plans(desc: &MatmulDesc, facts: &Facts) -> Vec<&'static str> {
    match supported(desc, facts) {
        Ok(()) => PLANS.iter().filter(|plan| plan.suits(desc)).map(|plan| plan.name).collect(),
        Err(_) => Vec::new(),
    }
}

/// k's that one dispatch adds up, at most: its loops stay below 65 535 turns.
const DEPTH_MAX: u64 = 32_768;

/// The format's part of the prefix: how numbers are read from a and b, and put into c.
fn format(precision: Precision) -> String {
    if precision == Precision::F32 {
        let words = include_str!("../../../../kernels/matmul/wgpu_words.wgsl").to_owned();
        return words + include_str!("../../../../kernels/matmul/wgpu_quads.wgsl");
    }
    pairs(precision).to_owned() + include_str!("../../../../kernels/matmul/wgpu_pairs.wgsl")
}

/// The dispatches of a product of buffers of so many bytes: bands of rows, each in parts of the k's.
pub(in super::super) fn product(
    desc: &MatmulDesc,
    name: &str,
    buffers: [u64; 3],
    facts: &Facts,
) -> Result<Vec<Dispatch>, DeviceError> {
    supported(desc, facts).map_err(DeviceError::Unsupported)?;
    let suitable = |plan: &&Plan| if name.is_empty() { plan.suits(desc) } else { plan.name == name };
    let unknown = || DeviceError::Unsupported(format!("no plan '{name}' for this matrix product"));
    let plan = PLANS.iter().find(suitable).ok_or_else(unknown)?;
    let (m, n, k, size) = (desc.m, desc.n, desc.k, desc.a.size());
    for (operand, bytes, [rows, columns]) in
        [("a", buffers[0], [m, k]), ("b", buffers[1], [k, n]), ("c", buffers[2], [m, n])]
    {
        let needed = u128::from(rows) * u128::from(columns) * u128::from(size);
        if needed > u128::from(bytes) {
            let message = format!("{operand} needs {needed} bytes, its buffer has {bytes}");
            return Err(DeviceError::Call { call: "record", message });
        }
    }
    let Parts { rows, depth } = Parts::of(desc, plan, facts)?;
    let transposed = format!("const B_TRANSPOSED: bool = {};\n", desc.b_transposed);
    let code = Code {
        prefix: constants(&[("TILE", plan.side), ("ROWS", plan.rows)]) + &transposed + &format(desc.a),
        text: include_str!("../../../../kernels/matmul/wgpu.wgsl"),
    };
    let mut dispatches = Vec::new();
    for top in (0..m).step_by(rows as usize) {
        let band = rows.min(m - top);
        for first in (0..k).step_by(depth as usize) {
            let part = depth.min(k - first);
            let region = |start: u64, count: u64| {
                let (start, end) = (start * size, (start + count) * size);
                start..end.next_multiple_of(ALIGNMENT).max(start + ALIGNMENT)
            };
            let (b_count, b_first) = if desc.b_transposed { (n * k, 0) } else { (part * n, first * n) };
            let regions = [region(top * k, band * k), region(b_first, b_count), region(top * n, band * n)];
            let bindings =
                (0..).zip(regions).map(|(argument, bytes)| Binding { number: argument as u32 + 1, argument, bytes });
            let b_stride = if desc.b_transposed { k } else { n };
            // A transposed b is bound whole.
            let numbers = [band, n, part, k, first, b_stride, u64::from(first > 0)];
            let b_offset = if desc.b_transposed { first } else { 0 };
            dispatches.push(Dispatch {
                code: code.clone(),
                entry: plan.entry,
                uniform: numbers.into_iter().chain([b_offset]).map(|number| number as u32).collect(),
                bindings: bindings.collect(),
                grid: [n.div_ceil(plan.tile[1]) as u32, band.div_ceil(plan.tile[0]) as u32, 1],
            });
        }
    }
    Ok(dispatches)
}

/// What one dispatch does of a product, at most.
struct Parts {
    rows: u64,
    depth: u64,
}

impl Parts {
    /// Parts whose operands fit bindings and whose time stays below a watchdog's. Cuts are at multiples of so many
    /// rows or k's that bindings start on their alignment.
    fn of(desc: &MatmulDesc, plan: &Plan, facts: &Facts) -> Result<Self, DeviceError> {
        let (m, n, k, size) = (desc.m, desc.n, desc.k, desc.a.size());
        let (most, aligned) = (facts.binding / size, ALIGNMENT / size);
        let depth = match desc.b_transposed {
            true => DEPTH_MAX,
            false => DEPTH_MAX.min(most / n / aligned * aligned),
        };
        let by_flop = facts.dispatch_flop / (2 * n * k.min(depth).max(1));
        let by_grid = u64::from(facts.groups) * plan.tile[0];
        let rows = (most / n.max(k)).min(by_flop.max(aligned)).min(by_grid) / aligned * aligned;
        if depth == 0 || (rows == 0 && m > most / n.max(k)) || (desc.b_transposed && n * k > most) {
            let limit = facts.binding >> 20;
            return Err(DeviceError::Unsupported(format!("its operands do not fit bindings of {limit} MiB")));
        }
        // A part's sums would be rounded to the format of c before the next are added.
        if size == 2 && depth < k {
            return Err(DeviceError::Unsupported(format!(
                "16-bit sums of more than {depth} products would need parts"
            )));
        }
        Ok(Self { rows: if rows == 0 { m } else { rows }, depth })
    }
}
