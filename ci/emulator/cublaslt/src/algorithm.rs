//! Algorithms: how a product is cut into tiles, and what each way of it needs.

use crate::driver::Device;
use crate::problem::Problem;
use crate::status::{Answer, INVALID_VALUE, refuse};

/// `cublasLtMatmulAlgo_t`: copied and kept by programs, which do not look into it.
pub type Opaque = [u64; 8];

/// One way to multiply.
#[derive(Debug, PartialEq, Eq)]
pub struct Scheme {
    pub id: u32,
    /// `cublasLtMatmulTile_t`, and its sides.
    pub tile: u32,
    rows: u64,
    columns: u64,
    /// Parts of K, each with sums of its own in the workspace.
    pub parts: u64,
    /// `cublasLtMatmulStages_t`
    pub stages: u32,
    /// Loads 16 bytes at once, so that every row or column must start at a multiple of them.
    wide: bool,
}

const fn scheme(id: u32, tile: (u32, u64, u64), parts: u64, stages: u32, wide: bool) -> Scheme {
    let (tile, rows, columns) = tile;
    Scheme { id, tile, rows, columns, parts, stages, wide }
}

const ALL: [Scheme; 12] = [
    scheme(1000, (23, 128, 256), 1, 15, true),
    scheme(1001, (24, 256, 128), 1, 15, true),
    scheme(1002, (20, 128, 128), 1, 16, true),
    scheme(1003, (20, 128, 128), 2, 16, true),
    scheme(1004, (18, 128, 64), 1, 16, true),
    scheme(1005, (17, 64, 128), 4, 16, true),
    scheme(1006, (15, 64, 64), 1, 17, true),
    scheme(1007, (15, 64, 64), 8, 17, true),
    scheme(1008, (15, 64, 64), 1, 9, false),
    scheme(1009, (13, 64, 32), 1, 10, false),
    scheme(1010, (11, 32, 32), 1, 4, false),
    scheme(1011, (11, 32, 32), 3, 4, false),
];

/// The least of K that a part is worth.
const PART: u64 = 16;
/// The most algorithms the heuristic gives.
pub const MOST: usize = 8;
const MAGIC: u64 = 0x726F_6F66_6C69_6E74;

/// A scheme as the heuristic gave it.
#[derive(Clone, Copy, Debug)]
pub struct Algorithm {
    pub scheme: &'static Scheme,
    /// Its place in the heuristic's list, counted from 1.
    pub rank: u32,
}

impl Algorithm {
    pub fn pack(self) -> Opaque {
        let word = u64::from(self.scheme.id) << 32 | u64::from(self.rank);
        [MAGIC, word, MAGIC ^ word.rotate_left(17), 0, 0, 0, 0, 0]
    }

    /// Takes back what was given out.
    pub fn unpack(opaque: &Opaque) -> Answer<Self> {
        let [magic, word, check, ..] = *opaque;
        let scheme = ALL.iter().find(|scheme| u64::from(scheme.id) == word >> 32);
        match scheme {
            Some(scheme) if magic == MAGIC && check == MAGIC ^ word.rotate_left(17) => {
                Ok(Self { scheme, rank: word as u32 })
            }
            _ => refuse(INVALID_VALUE, "no algorithm of this library's heuristic"),
        }
    }
}

/// What an algorithm may use and rely on: `cublasLtMatmulPreference_t`.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    pub workspace: u64,
    /// What the program promises of A, B, C and D.
    pub alignment: [u64; 4],
    /// 0: any.
    pub waves: f32,
    /// Bits of `cublasLtReductionScheme_t`.
    pub reductions: u64,
}

impl Scheme {
    fn blocks(&self, problem: &Problem) -> u64 {
        problem.m.div_ceil(self.rows) * problem.n.div_ceil(self.columns) * self.parts
    }

    /// How often it fills the device.
    pub fn waves(&self, problem: &Problem, device: Device) -> f32 {
        self.blocks(problem) as f32 / device.multiprocessors as f32
    }

    /// CUBLASLT_REDUCTION_SCHEME_COMPUTE_TYPE or _NONE.
    pub fn reduction(&self) -> u64 {
        if self.parts > 1 { 2 } else { 0 }
    }

    /// Bytes it needs for the sums of its parts, each an `f64`.
    pub fn workspace(&self, problem: &Problem) -> u64 {
        if self.parts > 1 { (problem.m * problem.n).saturating_mul(self.parts * 8) } else { 0 }
    }

    /// Bytes it needs A, B, C and D aligned to.
    pub fn alignment(&self, problem: &Problem) -> [u64; 4] {
        problem.alignment().map(|least| if self.wide { least.max(16) } else { least })
    }

    /// Whether it can execute a problem at all.
    pub fn applies(&self, problem: &Problem) -> bool {
        let matrices = [&problem.a, &problem.b, &problem.c, &problem.d];
        let aligned = matrices.iter().all(|matrix| matrix.keeps_alignment(16));
        (!self.wide || aligned) && (self.parts == 1 || problem.k >= self.parts * PART)
    }

    fn within(&self, problem: &Problem, device: Device, limits: &Limits) -> bool {
        let aligned = self.alignment(problem).iter().zip(limits.alignment).all(|(needed, given)| given >= *needed);
        let waves = limits.waves == 0.0 || self.waves(problem, device) <= limits.waves;
        let reduction = self.reduction() & !limits.reductions == 0;
        aligned && waves && reduction && self.workspace(problem) <= limits.workspace
    }

    /// What it is taken to cost: multiplications one block after another, and the sums of parts. Only the order of these
    /// figures means something.
    fn cost(&self, problem: &Problem, device: Device) -> u64 {
        let turns = self.blocks(problem).div_ceil(u64::from(device.multiprocessors));
        let work = self.rows * self.columns * problem.k.div_ceil(self.parts) * if self.wide { 1 } else { 4 };
        turns.saturating_mul(work).saturating_add(self.workspace(problem) / u64::from(device.multiprocessors))
    }
}

/// Those that can execute a problem within limits, the cheapest first, at most [`MOST`].
pub fn candidates(problem: &Problem, device: Device, limits: &Limits) -> Vec<Algorithm> {
    let able = |scheme: &&Scheme| scheme.applies(problem) && scheme.within(problem, device, limits);
    let mut schemes: Vec<&Scheme> = ALL.iter().filter(able).collect();
    schemes.sort_by_key(|scheme| (scheme.cost(problem, device), scheme.id));
    (1..).zip(schemes).take(MOST).map(|(rank, scheme)| Algorithm { scheme, rank }).collect()
}
