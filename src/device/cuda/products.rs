//! Matrix products by our own kernels (`kernels/matmul`): the ways there are for a product on a device, and how one is
//! cut into blocks.

use super::devices::Found;
use crate::device::{DeviceError, MatmulDesc, Provider};
use crate::record::Precision;

/// A way to multiply: an entry point and its tile.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Way {
    /// What the entry's name has behind `matmul_<format>_`, and the plan's name.
    pub name: &'static str,
    /// The module it is in.
    pub module: &'static str,
    /// Rows and columns of c that a block computes.
    tile: [u64; 2],
    /// Bytes of a row of `a` that a block goes through at a time.
    step_b: u64,
    /// Threads of a block.
    pub threads: u32,
    /// Dynamic shared memory of a block, in bytes.
    pub shared_b: u32,
}

const fn way(name: &'static str, tile: [u64; 2], step_b: u64, threads: u32, shared_kib: u32) -> Way {
    Way { name, module: "matmul", tile, step_b, threads, shared_b: shared_kib << 10 }
}

impl Way {
    const fn within(self, module: &'static str) -> Self {
        Self { module, ..self }
    }
}

// Tiles, steps, threads and shared memory are those of the entry points: see `cores.cuh` (steps of 16 and 64 elements),
// `warps.cuh` and `cuda_sm_90a.cu`.

const fn cores(name: &'static str, side: u64, size: u64) -> Way {
    way(name, [side, side], 16 * size, 256, 0)
}

/// A warp's columns of b fill 512 bytes.
const fn rows(name: &'static str, rows: u64, size: u64) -> Way {
    way(name, [rows, 512 / size], 64 * size, 256, 0)
}

const WARPS_128X256: Way = way("warps_128x256", [128, 256], 64, 256, 3 * 24);
const WARPS_128X128: Way = way("warps_128x128", [128, 128], 64, 128, 4 * 16);
const WARPS_64X64: Way = way("warps_64x64", [64, 64], 128, 128, 4 * 16);
const WARPS_16X64: Way = way("warps_16x64", [16, 64], 128, 128, 6 * 10);
const GROUPS_128X256: Way = way("groups_128x256", [128, 256], 128, 256, 4 * 48).within("matmul_sm_90a");
const GROUPS_128X128: Way = way("groups_128x128", [128, 128], 128, 256, 5 * 32).within("matmul_sm_90a");
const GROUPS_64X128: Way = way("groups_64x128", [64, 128], 128, 128, 4 * 24).within("matmul_sm_90a");

/// A product with more rows than this is cut into large tiles.
const FEW_ROWS: u64 = 64;
/// The same for the narrowest tiles of the matrix units.
const FEWEST_ROWS: u64 = 16;

/// The format of c for a format of a and b.
fn result_of(precision: Precision) -> Precision {
    if precision == Precision::Fp8E4m3 { Precision::Bf16 } else { precision }
}

/// The ways to compute a product on a device; none where there is no kernel for its layout or formats.
///
/// # Errors
///
/// `Unsupported` says what of the product the device or its kernels lack.
pub(super) fn ways(desc: &MatmulDesc, device: &Found) -> Result<Vec<Way>, DeviceError> {
    let MatmulDesc { m, n, k, a, b, c, accumulate, b_transposed, full_sums, provider } = *desc;
    let wide = if a == Precision::F64 { Precision::F64 } else { Precision::F32 };
    let eight_bits = a == Precision::Fp8E4m3;
    let formats = a == b && c == result_of(a) && accumulate == wide && b_transposed == eight_bits;
    let sides = [m, n, k].iter().all(|side| (1..=u64::from(u32::MAX / 2)).contains(side));
    if provider != Provider::Own || !formats || !sides || full_sums {
        return Ok(Vec::new());
    }
    let pack = 16 / a.size();
    let packs = n % pack == 0 && k % pack == 0;
    Ok(match a {
        Precision::F64 | Precision::F32 if m <= 8 && packs && k % 8 == 0 => {
            vec![if m == 1 { rows("rows_1", 1, a.size()) } else { rows("rows_8", 8, a.size()) }]
        }
        Precision::F32 if m > FEW_ROWS => vec![cores("cores_128x128", 128, 4), cores("cores_64x64", 64, 4)],
        Precision::F64 | Precision::F32 => vec![cores("cores_64x64", 64, a.size())],
        Precision::F16 | Precision::Bf16 if !packs => vec![cores("cores_64x64", 64, 2)],
        Precision::F16 | Precision::Bf16 => sixteen_bits(m, n, device.capability),
        Precision::Fp8E4m3 if !packs => {
            return Err(DeviceError::Unsupported(format!(
                "products of fp8_e4m3 need n and k that are multiples of 16; these are {n} and {k}"
            )));
        }
        Precision::Fp8E4m3 => match device.capability {
            (8, 9) => warps(m, n).into_iter().map(|way| way.within("matmul_sm_89")).collect(),
            (9, 0) => groups(m, n),
            (major, minor) => {
                return Err(DeviceError::Unsupported(format!(
                    "there are products of fp8_e4m3 for compute capability 8.9 and 9.0; this device has {major}.{minor}"
                )));
            }
        },
        _ => Vec::new(),
    })
}

fn sixteen_bits(m: u64, n: u64, capability: (u32, u32)) -> Vec<Way> {
    let few = match m {
        1 => vec![rows("rows_1", 1, 2)],
        2..=4 => vec![rows("rows_4", 4, 2)],
        _ => Vec::new(),
    };
    let units = match (capability, m <= FEWEST_ROWS) {
        // The few rows wait for memory by either instruction.
        ((9, 0), true) => [warps(m, n), groups(m, n)].concat(),
        ((9, 0), false) => groups(m, n),
        _ => warps(m, n),
    };
    [few, units].concat()
}

/// Products of warps: one tile for few rows, else the large ones that c fills.
fn warps(m: u64, n: u64) -> Vec<Way> {
    if m <= FEWEST_ROWS {
        vec![WARPS_16X64]
    } else if m <= FEW_ROWS {
        vec![WARPS_64X64]
    } else if n > 128 {
        vec![WARPS_128X128, WARPS_128X256]
    } else {
        vec![WARPS_128X128]
    }
}

/// Likewise of warpgroups.
fn groups(m: u64, n: u64) -> Vec<Way> {
    match m {
        0..=FEW_ROWS => vec![GROUPS_64X128],
        _ if n > 128 => vec![GROUPS_128X256, GROUPS_128X128],
        _ => vec![GROUPS_128X128],
    }
}

/// How a product is cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Cut {
    /// Blocks, in one dimension.
    pub blocks: u32,
    /// Parts of the k's, each a block's work for a tile.
    pub splits: u32,
    /// Bytes for the parts' sums; none where there is one part.
    pub parts_b: u64,
}

/// The kernels count blocks of so many tiles where the k's are in parts.
const SPLIT_TILES: u64 = 4096;
/// Most bytes that the parts' sums may take.
const PARTS_MAX_B: u64 = 64 << 20;
/// Fewest steps of a part: with fewer, filling its pipeline takes longer than what it does.
const STEPS_MIN: u64 = 4;

impl Way {
    /// Cuts a product for a device of so many multiprocessors: into its tiles, and where they leave multiprocessors
    /// without work into parts of the k's as well, two blocks for each multiprocessor.
    pub fn cut(&self, desc: &MatmulDesc, units: u32) -> Result<Cut, DeviceError> {
        let tiles = desc.m.div_ceil(self.tile[0]) * desc.n.div_ceil(self.tile[1]);
        let steps = (desc.k * desc.a.size()).div_ceil(self.step_b);
        let sums_b = desc.m * desc.n * desc.accumulate.size();
        let wanted = if tiles < u64::from(units) && tiles <= SPLIT_TILES { 2 * u64::from(units) / tiles } else { 1 };
        let most = (steps / STEPS_MIN).min(PARTS_MAX_B / sums_b).max(1);
        // As many parts as have steps.
        let splits = steps.div_ceil(steps.div_ceil(wanted.clamp(1, most)));
        let parts_b = if splits > 1 { splits * sums_b } else { 0 };
        match (u32::try_from(tiles * splits), u32::try_from(splits)) {
            (Ok(blocks), Ok(splits)) if blocks <= i32::MAX as u32 => Ok(Cut { blocks, splits, parts_b }),
            _ => Err(DeviceError::Unsupported(format!("{tiles} tiles are more than a launch can have"))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn product(m: u64, n: u64, k: u64) -> MatmulDesc {
        let (a, c) = (Precision::F16, Precision::F16);
        let accumulate = Precision::F32;
        MatmulDesc { m, n, k, a, b: a, c, accumulate, b_transposed: false, full_sums: false, provider: Provider::Own }
    }

    #[test]
    fn every_part_of_the_ks_has_steps_and_tiles_fill_the_device() {
        for (way, m) in [(WARPS_16X64, 1), (WARPS_64X64, 64), (GROUPS_64X128, 33), (rows("rows_1", 1, 2), 1)] {
            for (n, k) in [(4096, 4096), (64, 14_336), (28_672, 4096), (8, 8), (1024, 72)] {
                let cut = way.cut(&product(m, n, k), 132).unwrap();
                let steps = (2 * k).div_ceil(way.step_b);
                let each = steps.div_ceil(cut.splits.into());
                assert!(each * u64::from(cut.splits - 1) < steps, "{} {n} {k}: {cut:?}", way.name);
                let tiles = m.div_ceil(way.tile[0]) * n.div_ceil(way.tile[1]);
                assert_eq!(u64::from(cut.blocks), tiles * u64::from(cut.splits));
                assert!(cut.blocks >= 132 || each < 2 * STEPS_MIN, "{} {n} {k}: {cut:?}", way.name);
                assert!(cut.parts_b <= PARTS_MAX_B && (cut.parts_b == 0) == (cut.splits == 1));
            }
        }
        let whole = WARPS_128X128.cut(&product(4096, 4096, 4096), 108).unwrap();
        assert_eq!(whole, Cut { blocks: 1024, splits: 1, parts_b: 0 });
    }
}
