//! The matrix products among which a device's fastest is sought: a coarse grid of what matrix units like.

use super::{has, units_told};
use crate::record::{DeviceInfo, DeviceKind, MatmulShape, Precision};

/// What a device's products are made of.
struct Limits {
    /// Sides of c: squares, and oblongs of one by two.
    sides: &'static [u64],
    /// Lengths of its sums.
    depths: &'static [u64],
    /// Fewest and most operations of a product.
    flop: [u64; 2],
}

/// Most operations for each multiprocessor of a GPU: 3 ms of an H100's, which does 7 TFLOP/s. What is larger takes long to
/// fill and to check, and is no faster.
const MOST: u64 = 20_000_000_000;
/// The same for a core, which takes a tenth of a second over them.
const MOST_CORE: u64 = 10_000_000_000;
/// The least is this much less: the start of a launch and the ends of its last wave weigh on smaller ones.
const LEAST: u64 = 64;
/// Units taken for a GPU that does not tell how many it has.
const UNITS_UNTOLD: u64 = 16;

/// Rows and columns of c that a multiprocessor computes at a time in the libraries' largest tiles.
const TILE: [u64; 2] = [128, 256];
/// How many tiles each unit computes, one after another: with whole ones none of them waits at the end.
const WAVES: [u64; 6] = [1, 2, 4, 8, 16, 32];
/// Longest c, in widths.
const LONGEST: f64 = 3.0;

const GPU: ([u64; 4], [u64; 5]) = ([2048, 4096, 8192, 16_384], [2048, 4096, 8192, 12_288, 16_384]);
const CPU: ([u64; 9], [u64; 4]) = ([512, 768, 1024, 1536, 2048, 3072, 4096, 8192, 16_384], [256, 1024, 2048, 4096]);
/// For a renderer on the cores of a CPU, and for devices whose times mean nothing.
const SMALL: ([u64; 3], [u64; 2]) = ([256, 512, 1024], [256, 512]);
const TINY: ([u64; 2], [u64; 2]) = ([64, 128], [64, 128]);
const FAKE: ([u64; 4], [u64; 3]) = ([32, 48, 64, 96], [32, 64, 96]);

/// The matrix units' formats that a search is about by default, or the plain format of a device without such units.
pub fn precisions(device: &DeviceInfo) -> Vec<Precision> {
    match has(device, "matrix_units") {
        true if has(device, "fp8_e4m3") => vec![Precision::Bf16, Precision::Fp8E4m3],
        true => vec![Precision::Bf16],
        false => vec![Precision::F32],
    }
}

/// Shapes that fill a device's memory by half at most, with enough operations to keep it busy and not so many that a
/// product takes long: powers of two, and on a GPU that tells its units those whose tiles are whole waves.
pub fn shapes(device: &DeviceInfo, precision: Precision) -> Vec<MatmulShape> {
    let limits = limits(device);
    let mut sides: Vec<[u64; 2]> = limits.sides.iter().flat_map(|s| [[*s, *s], [*s, 2 * s], [2 * s, *s]]).collect();
    if let Some(units) = units_told(device) {
        sides.extend(WAVES.iter().filter_map(|waves| tiled(units * waves)));
    }
    sides.sort_unstable();
    sides.dedup();
    let shapes = sides.iter().flat_map(|[m, n]| {
        limits.depths.iter().map(|k| MatmulShape { m: *m, n: *n, k: *k, precision: Some(precision) })
    });
    let [least, most] = limits.flop;
    let room = device.memory_b.map_or(u64::MAX, |memory| memory.0 / 2);
    let suits = |shape: &MatmulShape| {
        let MatmulShape { m, n, k, .. } = *shape;
        let bytes = (m * k + k * n) * precision.size() + m * n * precision.size().max(2);
        (least..=most).contains(&(2 * m * n * k)) && bytes <= room
    };
    shapes.filter(suits).collect()
}

fn limits(device: &DeviceInfo) -> Limits {
    match device.kind {
        DeviceKind::Emulated => Limits { sides: &TINY.0[..1], depths: &TINY.1, flop: [0, u64::MAX] },
        DeviceKind::Fake => Limits { sides: &FAKE.0, depths: &FAKE.1, flop: [100_000, 2_000_000] },
        DeviceKind::Software => Limits { sides: &SMALL.0, depths: &SMALL.1, flop: [50_000_000, 1_500_000_000] },
        DeviceKind::Hardware => {
            let spreads = has(device, "workgroups");
            let most = match (spreads, units_told(device)) {
                (true, told) => MOST * told.unwrap_or(UNITS_UNTOLD),
                (false, _) => MOST_CORE * u64::from(device.compute_units).max(1),
            };
            let flop = [most / LEAST, most];
            match spreads {
                true => Limits { sides: &GPU.0, depths: &GPU.1, flop },
                false => Limits { sides: &CPU.0, depths: &CPU.1, flop },
            }
        }
    }
}

/// Sides of a c of so many tiles that is as near to a square as they allow; `None` where that is far from one.
fn tiled(tiles: u64) -> Option<[u64; 2]> {
    let sides = |rows: u64| [rows * TILE[0], tiles / rows * TILE[1]];
    let length = |[m, n]: [u64; 2]| m.max(n) as f64 / m.min(n) as f64;
    let every = (1..=tiles).filter(|rows| tiles.is_multiple_of(*rows)).map(sides);
    every.min_by(|one, other| length(*one).total_cmp(&length(*other))).filter(|sides| length(*sides) <= LONGEST)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tiles_of_whole_waves_make_a_c_that_is_nearly_square() {
        // 12 x 11 tiles for the 132 multiprocessors of an H100.
        assert_eq!(tiled(132), Some([12 * 128, 11 * 256]));
        for units in [108, 114, 128, 132, 148] {
            for [m, n] in WAVES.iter().filter_map(|waves| tiled(units * waves)) {
                assert_eq!((m / 128) * (n / 256) % units, 0);
                assert!(m <= 3 * n && n <= 3 * m);
            }
        }
        // A prime number of them is a strip.
        assert_eq!(tiled(71), None);
    }
}
