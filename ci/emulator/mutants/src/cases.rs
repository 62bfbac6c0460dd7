//! The cases and launches that reach every edge of each kernel on the emulated device of four multiprocessors: less than
//! a tile, whole tiles, more tiles than warps, rows, packs and words that are left; more work than blocks.

use rooflint::device::{Arg, Pattern, Slot, Step};
use rooflint::record::{AxisValue, Case, Precision};

/// A launch on buffers of its own, with the words of each and what is in them.
pub struct Direct {
    kernel: &'static str,
    pub buffers: Vec<(usize, Filling)>,
    numbers: Vec<Arg>,
    grid: u32,
}

/// What a buffer holds.
pub enum Filling {
    Pattern(Pattern),
    /// A function of each word's index.
    Words(fn(u32) -> u32),
}

impl Direct {
    pub fn step(&self) -> Step {
        let buffers = (0..self.buffers.len() as u32).map(|slot| Arg::Buffer(Slot(slot)));
        let args = buffers.chain(self.numbers.iter().copied()).collect();
        let mut step = Step::launch(self.kernel, args);
        if let Step::Launch { grid, .. } = &mut step {
            grid[0] = self.grid;
        }
        step
    }
}

impl std::fmt::Debug for Direct {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} of {:?} in {} blocks", self.kernel, self.numbers, self.grid)
    }
}

fn case(benchmark: &str, counts: &[(&'static str, u64)], words: &[(&'static str, &str)]) -> Case {
    let counts = counts.iter().map(|(name, count)| (*name, AxisValue::Count(*count)));
    let words = words.iter().map(|(name, word)| (*name, AxisValue::from(*word)));
    Case::new(benchmark, counts.chain(words), 42)
}

/// Words of a stream of `memory`: few, then whole tiles of every size, then so many that a warp has several.
const STREAMED_WORDS: [u64; 9] = [4099, 64, 1, 1000, 12_288, 65_537, 131_072, 500_003, 600_000];
/// For sums of chunks: slices of one tile, and of several.
const SUMMED_WORDS: [u64; 8] = [4099, 64, 1, 17, 70_001, 262_144, 2_400_007, 6_291_456];

/// The benchmark's cases for an entry point.
pub fn of(kernel: &str, entry: &str) -> Vec<Case> {
    let memory = |word: &str, words: &[u64]| -> Vec<_> {
        words.iter().map(|words| case("memory", &[("size", 4 * words)], &[("kernel", word)])).collect()
    };
    match kernel {
        "memory_read" => memory("read", &SUMMED_WORDS),
        "memory_write" => memory("write", &STREAMED_WORDS),
        "memory_copy" => memory("copy", &STREAMED_WORDS),
        "memory_triad" => memory("triad", &STREAMED_WORDS),
        "cache_read" => cached(),
        "chase" => [(64, 64, 1), (16 << 10, 64, 3), (1 << 20, 4096, 8)]
            .map(|(size, stride, chains)| {
                case("latency", &[("size", size), ("stride", stride), ("chains", chains)], &[])
            })
            .to_vec(),
        "empty" => [1, 3, 4]
            .map(|threads| case("launch", &[("threads", threads)], &[("wait", "after_all"), ("submit", "stream")]))
            .to_vec(),
        "fma" => vec![case("fma", &[("threads", 1)], &[("precision", precision(entry).1)])],
        "intensity" => {
            let points = [(8, 4099), (1, 4099), (24, 17), (2, 64), (4, 70_001), (40, 600_000), (64, 2_400_007)];
            points.map(|(fmas, words)| case("intensity", &[("fmas", fmas), ("size", 4 * words)], &[])).to_vec()
        }
        _ => Vec::new(),
    }
}

fn cached() -> Vec<Case> {
    let shapes =
        [("private", 4099, 3), ("shared", 4099, 3), ("private", 100, 1), ("private", 65_536, 8), ("shared", 20_480, 2)];
    shapes
        .map(|(slice, words, units)| case("cache", &[("size", 4 * words), ("threads", units)], &[("slice", slice)]))
        .to_vec()
}

/// The argument that asks for a format of fma, and its name as an axis has it.
fn precision(entry: &str) -> (u32, &'static str) {
    match entry.split('_').nth(1) {
        Some("f64") => (0, "f64"),
        Some("f32") => (1, "f32"),
        Some("i32") => (2, "i32"),
        Some("f16") => (3, "f16"),
        Some("dot4") => (4, "i8"),
        _ => (5, "bf16"),
    }
}

/// Kernels that programs launch.
const LAUNCHED: &[&str] =
    &["cache_read", "chase", "empty", "fma", "intensity", "memory_copy", "memory_read", "memory_triad", "memory_write"];

const POISON: Filling = Filling::Pattern(Pattern::Poison);

/// Launches that no benchmark makes, within the kernel's contract: more work than blocks have threads, numbers of
/// steps and lanes that fill no turn and no block, buffers with room behind what the kernel may touch.
pub fn direct(kernel: &str, entry: &str) -> Vec<Direct> {
    let Some(kernel) = LAUNCHED.iter().find(|launched| **launched == kernel) else { return Vec::new() };
    let words = || Filling::Pattern(Pattern::Words { seed: 3 });
    let reals = |seed| Filling::Pattern(Pattern::Uniform { precision: Precision::F32, seed });
    let of = |buffers, numbers: Vec<Arg>, grid| Direct { kernel, buffers, numbers, grid };
    let (wide, short) = (Arg::U64, Arg::U32);
    match *kernel {
        "memory_read" => vec![of(vec![(6000, words()), (300, POISON)], vec![wide(4099)], 0)],
        "memory_write" => {
            let of = |count| of(vec![(6000, POISON)], vec![wide(count), short(5)], 0);
            [1, 2, 3, 4099, 5120].map(of).into()
        }
        "memory_copy" => {
            let of = |count| of(vec![(6000, words()), (6000, POISON)], vec![wide(count)], 0);
            [1, 2, 3, 4099, 5120].map(of).into()
        }
        "memory_triad" => {
            let numbers = |count| vec![wide(count), Arg::F32(0.25)];
            let of = |count| of(vec![(6000, reals(1)), (6000, reals(2)), (6000, POISON)], numbers(count), 0);
            [1, 2, 3, 4099, 5120].map(of).into()
        }
        "cache_read" => {
            let numbers = |shared| vec![wide(30_011), wide(3), wide(5), short(shared)];
            let of = |shared| of(vec![(30_100, words()), (100, POISON)], numbers(shared), 2);
            [0, 1].map(of).into()
        }
        "chase" => {
            // A ring of 1000 places, 7 apart, and a start for each chain.
            let next = || Filling::Words(|index| (index + 7) % 1000 * 4);
            let start = || Filling::Words(|index| index * 4);
            let of = |steps| of(vec![(1000, next()), (100, start()), (100, POISON)], vec![wide(steps), wide(5)], 2);
            (0..=17).map(of).collect()
        }
        "empty" => vec![of(vec![(2000, POISON)], vec![wide(100), short(5)], 2)],
        "fma" => {
            let format = precision(entry).0;
            let (factor, term) = if [2, 4].contains(&format) { (5459.0, 3.0) } else { (1.0, 0.125) };
            let numbers =
                |lanes, steps| vec![short(format), wide(lanes), wide(steps), Arg::F64(factor), Arg::F64(term)];
            let of = |(lanes, steps)| of(vec![(30_000, POISON)], numbers(lanes, steps), 0);
            [(5003, 7), (1, 1), (1030, 300), (12_000, 515)].map(of).into()
        }
        "intensity" => {
            let numbers = |steps, every| {
                vec![wide(4099), short(steps), short(every), Arg::F32(-1.0), Arg::F32(1.0), Arg::F32(1.25)]
            };
            let of = |(steps, every)| of(vec![(6000, reals(1)), (300, POISON)], numbers(steps, every), 0);
            [(0, 1), (1, 4), (31, 1), (48, 2)].map(of).into()
        }
        _ => Vec::new(),
    }
}

/// Words of buffers that are filled. Few first, then more than all threads store at once.
pub const FILLED_WORDS: [usize; 5] = [64, 1026, 2, 40_006, 100_000];

/// Everything a buffer can be filled with.
pub fn patterns() -> Vec<Pattern> {
    let mut all = vec![Pattern::Zeros, Pattern::Poison];
    for seed in [7, u64::MAX / 3] {
        all.push(Pattern::Words { seed });
        let numbers = [Precision::F64, Precision::F32, Precision::F16, Precision::Bf16];
        all.extend(numbers.into_iter().filter_map(|form| Pattern::uniform(form, seed)));
        all.extend(numbers.into_iter().chain([Precision::I32]).filter_map(|form| Pattern::integers(form, seed)));
    }
    all
}
