//! The cases and launches that reach every edge of each kernel on the emulated device of four multiprocessors: less than
//! a tile, whole tiles, more tiles than warps, rows, packs and words that are left; more work than blocks.

use crate::{layers, products};
use rooflint::device::{Arg, Pattern, Slot, Step};
use rooflint::record::{AxisValue, Case, Precision};

/// A launch on buffers of its own, with the words of each and what is in them.
pub struct Direct {
    pub kernel: &'static str,
    pub buffers: Vec<(usize, Filling)>,
    pub numbers: Vec<Arg>,
    pub grid: u32,
}

/// What a buffer holds.
pub enum Filling {
    Pattern(Pattern),
    /// A function of each word's index.
    Words(Box<dyn Fn(u32) -> u32>),
}

impl Filling {
    /// A function of each word's index.
    pub fn words(of: impl Fn(u32) -> u32 + 'static) -> Self {
        Self::Words(Box::new(of))
    }

    /// Whether the kernel is to write it.
    pub fn is_poison(&self) -> bool {
        matches!(self, Self::Pattern(Pattern::Poison))
    }
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

/// A case of a benchmark.
pub fn case(benchmark: &str, counts: &[(&'static str, u64)], words: &[(&'static str, &str)]) -> Case {
    let counts = counts.iter().map(|(name, count)| (*name, AxisValue::Count(*count)));
    let words = words.iter().map(|(name, word)| (*name, AxisValue::from(*word)));
    Case::new(benchmark, counts.chain(words), 42)
}

/// Words of a stream of `memory`: few, then whole tiles of every size, then so many that a warp has several.
const STREAMED_WORDS: [u64; 8] = [4099, 64, 1, 1000, 12_288, 65_537, 100_003, 150_016];

/// Words that are summed in chunks, of which `memory_read` takes tiles of 256 or 320 packs and `intensity` tiles of 128
/// or 256. The last chunk may have three packs more than the others.
const SUMMED_WORDS: [u64; 26] = [
    // Words and packs that are left.
    4099, 18, 64, 1, // One tile more in the last chunk than in the others.
    131_071, 262_143, 327_679, // In the last chunk a pack less than whole tiles, and one more.
    126_988, 258_060, 323_596, 520_204, 651_276, 131_076, 262_148, 327_684,
    // Every row of a tile is the last that has packs, up to the end of the buffer.
    20_480, 53_248, 86_016, 118_784, 151_552, 184_320, 217_088, 249_856, 282_624, 315_392,
    // Slices of several tiles, and several slices.
    1_400_000,
];

/// The benchmark's cases for an entry point, on a device of so many multiprocessors. Many show warps with no work, to
/// which launches that no benchmark makes are enough.
pub fn of(kernel: &str, entry: &str, units: u32) -> Vec<Case> {
    let memory = |word: &str, words: &[u64]| -> Vec<_> {
        words.iter().map(|words| case("memory", &[("size", 4 * words)], &[("kernel", word)])).collect()
    };
    match kernel {
        _ if kernel.starts_with("matmul") => products::matmul(entry),
        _ if kernel.starts_with("mma") => products::mma(entry, units),
        _ if units > 1 => Vec::new(),
        "memory_read" => memory("read", &SUMMED_WORDS),
        "memory_write" => memory("write", &STREAMED_WORDS),
        "memory_copy" => memory("copy", &STREAMED_WORDS),
        "memory_triad" => memory("triad", &STREAMED_WORDS),
        "cache_read" => {
            let of = |(slice, words, units): (_, u64, u64)| {
                case("cache", &[("size", 4 * words), ("threads", units)], &[("slice", slice)])
            };
            [("private", 4099, 2), ("shared", 2500, 1)].map(of).into()
        }
        "chase" => {
            let of = |(size, stride, chains)| {
                case("latency", &[("size", size), ("stride", stride), ("chains", chains)], &[])
            };
            [(64, 64, 1), (16 << 10, 64, 3), (1 << 20, 4096, 8)].map(of).into()
        }
        "empty" => vec![case("launch", &[("threads", 1)], &[("wait", "after_all"), ("submit", "stream")])],
        "fma" => vec![case("fma", &[("threads", 1)], &[("precision", precision(entry).1)])],
        "intensity" => {
            let of = |(fmas, words): (_, u64)| case("intensity", &[("fmas", fmas), ("size", 4 * words)], &[]);
            [(8, 4099), (1, 4099), (24, 17), (2, 64), (4, 70_001), (40, 18)].map(of).into()
        }
        _ => Vec::new(),
    }
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

/// Kernels that programs launch, but for those of a decode step.
const LAUNCHED: &[&str] =
    &["cache_read", "chase", "empty", "fma", "intensity", "memory_copy", "memory_read", "memory_triad", "memory_write"];

const POISON: Filling = Filling::Pattern(Pattern::Poison);

/// Launches that no benchmark makes, within the kernel's contract: more work than blocks have threads, numbers of
/// steps and lanes that fill no turn and no block, buffers with room behind what the kernel may touch.
pub fn direct(kernel: &str, entry: &str, units: u32) -> Vec<Direct> {
    if let Some(launches) = layers::direct(kernel, entry) {
        return launches;
    }
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
            let of = |(count, passes, units, shared, blocks)| {
                let numbers = vec![wide(count), wide(passes), wide(units), short(shared)];
                of(vec![(40_000, words()), (800, POISON)], numbers, blocks)
            };
            let mut all = vec![(30_011, 3, 5, 0, 2), (30_011, 3, 5, 1, 2), (4099, 2, 3, 0, 9), (100, 2, 1, 0, 1)];
            // Rows of 128 words up to two tiles and more, and words that fill no row.
            all.extend((0..=18).map(|rows| (128 * rows + 77, 3, 1, 0, 1)));
            // No pass, and passes that fill turns of four or not.
            all.extend([0, 1, 4, 5, 6, 7].map(|passes| (205, passes, 1, 0, 1)));
            // Fewer words than units, and units whose shares differ by more than a line.
            all.extend([(7, 2, 20, 0, 3), (40 * 130 + 39, 2, 40, 0, 4)]);
            all.into_iter().map(of).collect()
        }
        "chase" => {
            // A ring of 1000 places, 7 apart, and a start for each chain.
            let next = || Filling::words(|index| (index + 7) % 1000 * 4);
            let start = || Filling::words(|index| index * 4);
            let of = |(steps, blocks)| {
                of(vec![(1000, next()), (100, start()), (100, POISON)], vec![wide(steps), wide(5)], blocks)
            };
            (0..=17).map(|steps| (steps, 2)).chain([(9, 7)]).map(of).collect()
        }
        "empty" => [100, 5].map(|slots| of(vec![(2000, POISON)], vec![wide(slots), short(5)], 2)).into(),
        "fma" => {
            let format = precision(entry).0;
            let (factor, term) = if [2, 4].contains(&format) { (5459.0, 3.0) } else { (1.0, 0.125) };
            let numbers =
                |lanes, steps| vec![short(format), wide(lanes), wide(steps), Arg::F64(factor), Arg::F64(term)];
            let of = |(lanes, steps)| of(vec![(2 * lanes as usize + 100, POISON)], numbers(lanes, steps), 0);
            // The last lane in each part of a block's chains, alone in its register and with another where two fit; steps
            // that fill no turn, and some turns and rounds.
            let parts = (0..17).flat_map(|part| [256 * part + 101, 256 * part + 102]);
            let few = [(1, 0), (1, 512), (1, 513)];
            parts.flat_map(|lanes| [(lanes, 5), (lanes, 300 + lanes / 16)]).chain(few).map(of).collect()
        }
        "intensity" => {
            let numbers = |words, steps, every| {
                vec![wide(words), short(steps), short(every), Arg::F32(-1.0), Arg::F32(1.0), Arg::F32(1.25)]
            };
            let of = |(words, steps, every)| {
                let input = (words as usize + 200, reals(1));
                of(vec![input, (300, POISON)], numbers(words, steps, every), 0)
            };
            let all = [(0, 1), (1, 4), (31, 1), (48, 2)].map(|(steps, every)| (4099, steps, every));
            // Few steps of every size, and every length of a walk over whole tiles.
            let sizes =
                SUMMED_WORDS[4..].iter().map(|words| (*words, 3, 1)).chain([(263_000, 47, 1), (263_000, 31, 2)]);
            let sizes = sizes.filter(|_| units == 1);
            all.into_iter().chain(sizes).map(of).collect()
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
        let numbers = [Precision::F64, Precision::F32, Precision::F16, Precision::Bf16, Precision::Fp8E4m3];
        all.extend(numbers.into_iter().filter_map(|form| Pattern::uniform(form, seed)));
        all.extend(numbers.into_iter().chain([Precision::I32]).filter_map(|form| Pattern::integers(form, seed)));
    }
    // Numbers 28 and 29 of these are so near to zero that the upper word tells of the lower half's hash.
    all.extend([54_912, 54_914].into_iter().filter_map(|seed| Pattern::uniform(Precision::F64, seed)));
    all
}
