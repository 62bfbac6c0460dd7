//! The cases that reach every edge of the kernels of matrix products, on emulated devices of one and of four
//! multiprocessors.
//!
//! Compilers unroll these kernels: each row and column of sums of a thread, each copy of a stage and each stage that is
//! filled ahead has bounds of its own. An edge of the product must fall into each of them in turn, so there are many
//! small products and no large one. The first has more steps than stages, and nearly everything in it.

use crate::cases::case;
use rooflint::record::Case;

/// A product's m, n and k.
type Sides = [u64; 3];

/// Steps of the k's with which a device of four multiprocessors cuts them into two parts, if it has fewer than four
/// tiles; with four fewer it does not. See `Way::cut` of the device's products.
const PARTED: u64 = 8;
/// Steps that make 3, 5, 6, 7 and 8 parts of one tile.
const PARTS: [u64; 5] = [13, 20, 24, 28, 32];

/// Of the cases of a product, so many tell the lack of every barrier, wait and fence that can be told: all that the loop,
/// its pipeline and the sums of parts do, without the edges.
pub const WITHOUT_EDGES: usize = 3;

/// The cases of an entry point `matmul_<format>_<family>_<tile>`.
pub fn matmul(entry: &str) -> Vec<Case> {
    let name = entry.trim_start_matches("matmul_");
    let parted = ["_cores_", "_rows_", "_warps_", "_groups_"]
        .into_iter()
        .find_map(|family| name.split_once(family).map(|(format, tile)| (format, family.trim_matches('_'), tile)));
    let Some((format, family, tile)) = parted else { return Vec::new() };
    let bytes = match format {
        "f64" => 8,
        "f32" => 4,
        "fp8_e4m3" => 1,
        _ => 2,
    };
    let sides = match family {
        "cores" if tile == "128x128" => cores(128),
        "cores" => cores(64),
        "rows" => rows(tile.parse().unwrap_or(1), 16 / bytes),
        _ => staged(&Staged::new(family, tile, bytes)),
    };
    let of = |[m, n, k]: Sides| {
        case("matmul", &[("m", m), ("n", n), ("k", k)], &[("library", "own"), ("precision", format)])
    };
    sides.into_iter().map(of).collect()
}

/// Tiles of `side` by the plain units, 16 k's a step: any shape. Of 16-bit formats other kernels take what is in whole
/// packs, which these are not.
fn cores(side: u64) -> Vec<Sides> {
    let mut all = vec![[side - 27, side - 13, 35]];
    all.extend(PARTS.map(|steps| [side - 3, 5, 16 * steps - 3]));
    all.extend([[side, 2 * side, 35], [side, side + 3, 32]]);
    // Every block of 16 rows and of columns, and every place in four, is the last one once; of the k's likewise.
    let edge = |block: u64, place: u64| 16 * (block % (side / 16)) + place % 4 + 1;
    let last_k = |block: u64| if side == 128 { 2 * block + 1 } else { 4 * (block % 4) + 2 };
    for block in 0..8 {
        let [m, n] = [side + edge(block, block), side + edge(block, block + 2)];
        all.extend([0, 16].map(|steps| [m, n, steps + last_k(block)]));
        all.push([m, edge(block, block + 2), 16 * PARTED - 5]);
    }
    // More rows of tiles than a band has.
    all.extend([0, 1].map(|more| [8 * side + 1, side + more, 3]));
    all
}

/// Up to `most` rows, of 32 packs of columns; 64 k's a step, eight for each warp.
fn rows(most: u64, pack: u64) -> Vec<Sides> {
    let width = 32 * pack;
    let mut all = vec![[most, width + 3 * pack, 168]];
    all.extend(PARTS.map(|steps| [most, width, 64 * steps - 8]));
    all.push([most, 2 * width, 128]);
    for block in 0..8 {
        let m = if most == 1 { 1 } else { 2 + block % (most - 1) };
        all.push([m, width + pack * (block + 1), 64 * (block % 3) + 8 * (block + 1)]);
        all.push([m, width * (block % 2) + pack * (2 * block + 1), 64 * PARTED - 8 * block]);
    }
    all
}

/// Tiles that asynchronous copies fill ahead.
struct Staged {
    tile: [u64; 2],
    /// The k's of a step.
    step: u64,
    /// Places where a stage is filled: those ahead of the loop, and the loop.
    fills: u64,
    /// Elements of 16 bytes: n and k are multiples of it.
    pack: u64,
    /// Of warpgroups, whose warps have all columns of a tile.
    groups: bool,
}

impl Staged {
    fn new(family: &str, tile: &str, bytes: u64) -> Self {
        let groups = family == "groups";
        let (tile, step_b, fills) = match (groups, tile) {
            (false, "128x256") => ([128, 256], 64, 3),
            (false, "128x128") => ([128, 128], 64, 4),
            (false, "64x64") => ([64, 64], 128, 4),
            (false, _) => ([16, 64], 128, 6),
            (true, "128x256") => ([128, 256], 128, 3),
            (true, "128x128") => ([128, 128], 128, 4),
            (true, _) => ([64, 128], 128, 3),
        };
        Self { tile, step: step_b / bytes, fills, pack: 16 / bytes, groups }
    }

    /// Rows whose last is in another block of eight, and of those that one copy takes, for each number below eight;
    /// within what the device takes this tile for.
    fn rows(&self, block: u64) -> u64 {
        match (self.tile[0], self.groups) {
            (128, _) => [67, 83, 99, 115, 139, 155, 171, 187][block as usize % 8],
            (64, false) => 19 + 8 * (block % 6),
            (64, true) => 3 + 8 * (block % 8),
            _ => 3 + 8 * (block % 2),
        }
    }
}

fn staged(way: &Staged) -> Vec<Sides> {
    let Staged { tile: [down, across], step, fills, pack, groups } = *way;
    let few = match down {
        128 => 101,
        64 => 45,
        _ => 13,
    };
    let mut all = vec![[few, across - 2 * pack, 6 * step + pack]];
    all.extend(PARTS.map(|steps| [few, across / 2 + pack, steps * step]));
    all.push([down, 2 * across, 2 * step]);
    // The last step is filled in each of the places; in each of these the edges fall on every part of a copy.
    for index in 0..(8 * fills).max(32) {
        let block = index / fills;
        let columns = match pack {
            // Columns are what a copy's rows are.
            16 if across > 64 => 32 * (block % 8) + 16,
            16 => 16 * (block % 8 + 1),
            _ => 8 * (index % 32 + 1),
        };
        let k = index % fills * step + step / 4 * (block % 4) + pack;
        all.push([way.rows(block), across / 2 + columns, k]);
    }
    // In parts: every column of a thread's sums is the last one.
    let columns = if groups { across / pack } else { 8 };
    for index in 0..columns.max(8) {
        let m = if down == 128 { 67 + 8 * (index % 8) } else { way.rows(index) };
        all.push([m, across / 2 + pack * (index + 1), PARTED * step - step / 2]);
    }
    if down == 128 {
        // More rows of tiles than a band has.
        all.extend([0, pack].map(|more| [8 * down + 1, across + more, pack]));
    }
    all
}

/// The cases of an entry point `mma_<format>_<way>`: tiles that leave warps and warpgroups without one, or give them
/// several; no rounds, and so many that a loop goes round.
pub fn mma(entry: &str, units: u32) -> Vec<Case> {
    let name = entry.trim_start_matches("mma_");
    let format = name.rsplit_once('_').map_or(name, |(format, _)| format);
    let of = |(tiles, rounds)| case("mma", &[("rounds", rounds), ("tiles", tiles)], &[("precision", format)]);
    let all: &[(u64, u64)] = if units == 1 { &[(1, 0), (1, 2), (3, 0), (6, 1)] } else { &[(1, 0), (3, 3)] };
    all.iter().copied().map(of).collect()
}
