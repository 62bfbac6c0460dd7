//! Matrix products by our own WGSL: tiles in work-group memory, strips without it, and split sums for few rows.

use super::{ALIGNED_WORDS, Binding, Code, Dispatch, Facts, constants};
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

const PLANS: [Plan; 7] = [
    Plan { name: "tile_128x128", entry: "tile", side: 2, rows: 1, tile: [128, 128] },
    Plan { name: "tile_64x64", entry: "tile", side: 1, rows: 1, tile: [64, 64] },
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
            ("strip", 8) => desc.m > 4,
            ("strip", 4) => (2..=4).contains(&desc.m),
            ("strip", _) => desc.m == 1,
            (_, 8) => (5..=64).contains(&desc.m),
            _ => desc.m <= 4,
        }
    }
}

/// Whether there is code for it; says why if there is not.
fn supported(desc: &MatmulDesc) -> Result<(), String> {
    if desc.provider != Provider::Own {
        return Err("there is no library of matrix products behind wgpu".to_owned());
    }
    let formats = [desc.a, desc.b, desc.c, desc.accumulate];
    match formats.iter().all(|format| *format == Precision::F32) {
        true => Ok(()),
        false => Err(format!("wgpu multiplies matrices of f32, not {}", desc.a)),
    }
}

/// Names of the ways to compute a product; none if there is no code for it.
pub(in super::super) fn plans(desc: &MatmulDesc) -> Vec<&'static str> {
    match supported(desc) {
        Ok(()) => PLANS.iter().filter(|plan| plan.suits(desc)).map(|plan| plan.name).collect(),
        Err(_) => Vec::new(),
    }
}

/// k's that one dispatch adds up, at most: its loops stay below 65 535 turns.
const DEPTH_MAX: u64 = 32_768;

/// The dispatches of a product of buffers of so many words: bands of rows, each in parts of the k's.
pub(in super::super) fn product(
    desc: &MatmulDesc,
    name: &str,
    buffers: [u64; 3],
    facts: &Facts,
) -> Result<Vec<Dispatch>, DeviceError> {
    supported(desc).map_err(DeviceError::Unsupported)?;
    let suitable = |plan: &&Plan| if name.is_empty() { plan.suits(desc) } else { plan.name == name };
    let unknown = || DeviceError::Unsupported(format!("no plan '{name}' for this matrix product"));
    let plan = PLANS.iter().find(suitable).ok_or_else(unknown)?;
    let (m, n, k) = (desc.m, desc.n, desc.k);
    for (operand, words, [rows, columns]) in
        [("a", buffers[0], [m, k]), ("b", buffers[1], [k, n]), ("c", buffers[2], [m, n])]
    {
        let needed = u128::from(rows) * u128::from(columns);
        if needed > u128::from(words) {
            let message = format!("{operand} needs {} bytes, its buffer has {}", needed * 4, words * 4);
            return Err(DeviceError::Call { call: "record", message });
        }
    }
    // Cuts are at multiples of 64 rows or k's, so that bindings start on their alignment.
    let words = facts.binding / 4;
    let depth = match desc.b_transposed {
        true => DEPTH_MAX,
        false => DEPTH_MAX.min(words / n / ALIGNED_WORDS * ALIGNED_WORDS),
    };
    let by_flop = facts.dispatch_flop / (2 * n * k.min(depth).max(1));
    let by_grid = u64::from(facts.groups) * plan.tile[0];
    let rows = (words / n.max(k)).min(by_flop.max(128)).min(by_grid) / ALIGNED_WORDS * ALIGNED_WORDS;
    if depth == 0 || (rows == 0 && m > words / n.max(k)) || (desc.b_transposed && n * k > words) {
        let limit = facts.binding >> 20;
        return Err(DeviceError::Unsupported(format!("its operands do not fit bindings of {limit} MiB")));
    }
    let rows = if rows == 0 { m } else { rows };
    let transposed = format!("const B_TRANSPOSED: bool = {};\n", desc.b_transposed);
    let code = Code {
        prefix: constants(&[("TILE", plan.side), ("ROWS", plan.rows)]) + &transposed,
        text: include_str!("../../../../kernels/matmul/wgpu.wgsl"),
    };
    let mut dispatches = Vec::new();
    for top in (0..m).step_by(rows as usize) {
        let band = rows.min(m - top);
        for first in (0..k).step_by(depth as usize) {
            let part = depth.min(k - first);
            let region = |start: u64, count: u64| {
                start * 4..(start + count).next_multiple_of(ALIGNED_WORDS).max(start + ALIGNED_WORDS) * 4
            };
            let (b_words, b_first) = if desc.b_transposed { (n * k, 0) } else { (part * n, first * n) };
            let regions = [region(top * k, band * k), region(b_first, b_words), region(top * n, band * n)];
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
