//! Launches of the kernels of a decode step: rows and packs that fill no block, every flag, bands of tokens that are short
//! or empty, pages in no order. No benchmark's check stands behind them here: all is compared with what the kernel leaves
//! as it is.

use rooflint::device::{Arg, Pattern};
use rooflint::record::Precision;

use crate::cases::{Direct, Filling};

/// The format of an entry point, and how arguments spell it.
fn format(entry: &str) -> (Precision, u32) {
    let has = |part: &str| entry.split('_').any(|other| other == part);
    match () {
        () if has("f32") => (Precision::F32, 1),
        () if has("f16") => (Precision::F16, 3),
        () => (Precision::Bf16, 5),
    }
}

/// A launch of a kernel on buffers, with its 64-bit and its 32-bit numbers.
type Launch<'a> = &'a dyn Fn(&'static str, Vec<(usize, Filling)>, &[u64], &[u32]) -> Direct;

/// Rows of `add_norm`. A thread keeps four packs of a row, and makes again what is behind them: each is the row's last
/// one once, and once there is none.
fn add_norm(precision: Precision, code: u32, of: Launch<'_>) -> Vec<Direct> {
    let pack = 16 / precision.size();
    let words = |numbers: u64| (numbers / pack * 4) as usize;
    let reals = |numbers, seed| (words(numbers), Filling::Pattern(Pattern::Uniform { precision, seed }));
    let room = |numbers| (words(numbers) + 64, Filling::Pattern(Pattern::Poison));
    let launch = |rows: u64, width: u64, flags, matrices: [(usize, Filling); 2], bias: (usize, Filling)| {
        let [input, delta] = matrices;
        let of_row = |seed| reals(width, seed);
        let buffers = vec![input, delta, bias, of_row(4), of_row(5), room(rows * width), room(rows * width)];
        of("add_norm", buffers, &[rows, width], &[code, flags])
    };
    let usual =
        |rows, width, flags| launch(rows, width, flags, [1, 2].map(|seed| reals(rows * width, seed)), reals(width, 3));
    // Nothing but the last pack of the row: each of its numbers tells in the sums.
    let heavy = |width, flags| {
        let last = words(width) as u32 - 4;
        let pair = match precision {
            Precision::F32 => 3_f32.to_bits(),
            Precision::F16 => 0x4300_4200,
            _ => 0x4060_4040,
        };
        let input = Filling::words(move |index| if index < last { 0 } else { pair });
        let zeros = |numbers| (words(numbers), Filling::Pattern(Pattern::Zeros));
        launch(1, width, flags, [(words(width), input), zeros(width)], zeros(width))
    };
    let mut all: Vec<_> = [(1, 8, 0), (2, 520, 7), (3, 2056, 1), (2, 9000, 0), (2, 1032, 4)]
        .map(|(rows, width, flags)| usual(rows, width, flags))
        .into();
    for kept in 1..=5 {
        // A row is a multiple of eight numbers: two packs of binary32.
        let [full, more] = [0, pack.max(8)].map(|more| 256 * kept * pack + more);
        all.extend([7, 1, 4, 0].map(|flags| usual(1, more, flags)));
        all.extend([usual(1, full, 7), heavy(more, 0), heavy(more, 4)]);
    }
    // Turns of a block, and a block without a row.
    all.extend([(7, 520, 7), (2, 520, 7)].map(|(rows, width, flags)| Direct { grid: 3, ..usual(rows, width, flags) }));
    all
}

/// The launches that reach every edge of an entry point; `None` for a kernel of another kind.
pub fn direct(kernel: &str, entry: &str) -> Option<Vec<Direct>> {
    let (precision, code) = format(entry);
    let words = |numbers: u64| (numbers * precision.size() / 4) as usize;
    let reals = |numbers: u64, seed| (words(numbers), Filling::Pattern(Pattern::Uniform { precision, seed }));
    let floats =
        |numbers: u64, seed| (numbers as usize, Filling::Pattern(Pattern::Uniform { precision: Precision::F32, seed }));
    // Room behind what may be written.
    let room = |words: usize| (words + 64, Filling::Pattern(Pattern::Poison));
    let of = |kernel, buffers, sizes: &[u64], shorts: &[u32]| {
        let numbers = sizes.iter().copied().map(Arg::U64).chain(shorts.iter().copied().map(Arg::U32)).collect();
        Direct { kernel, buffers, numbers, grid: 0 }
    };
    // So few blocks that each takes several turns; those of the last turn differ.
    let in_turns = |direct| Direct { grid: 3, ..direct };
    let launches = match kernel {
        "embed" => {
            let launch = |(rows, width, learned): (u64, u64, u32)| {
                let tokens = (rows as usize, Filling::words(|index| (index * 5 + 2) % 7));
                let buffers = vec![tokens, reals(7 * width, 1), reals(3 * width, 2), room(words(rows * width))];
                of("embed", buffers, &[rows, width, 2], &[code, learned])
            };
            let mut all: Vec<_> = [(1, 8, 0), (2, 1032, 1), (5, 2064, 0), (3, 264, 1)].map(launch).into();
            all.push(in_turns(launch((7, 1032, 1))));
            all
        }
        "add_norm" => add_norm(precision, code, &of),
        "rotate" => {
            let launch = |(rows, heads, kv_heads, dim, position, page, flags): (u64, u64, u64, u64, u64, u64, u32)| {
                let width = (heads + 2 * kv_heads) * dim;
                let pages_each = position / page + 1;
                // Of a page of more tokens than 32 bits count, the first only is touched.
                let wide = page > u64::from(u32::MAX);
                let tokens = if wide { 64 } else { (rows * pages_each + 1) * page };
                let cache = words(tokens * kv_heads * dim);
                let pages =
                    ((rows * pages_each) as usize, Filling::words(move |index| if wide { 0 } else { index ^ 1 }));
                let queries = room(words(rows * heads * dim));
                let buffers = vec![
                    reals(rows * width, 1),
                    reals(width, 2),
                    floats(dim, 3),
                    queries,
                    room(cache),
                    room(cache),
                    pages,
                ];
                let sizes = [rows, heads, kv_heads, dim, position, page, pages_each];
                of("rotate", buffers, &sizes, &[code, flags])
            };
            let all =
                [(1, 1, 1, 8, 0, 16, 3), (2, 4, 2, 64, 17, 16, 3), (4, 6, 1, 48, 5, 32, 1), (2, 8, 8, 128, 40, 16, 2)];
            let mut all: Vec<_> = all.map(launch).into();
            // One piece of work more than a block has threads; positions that are divided in 64 bits.
            all.extend([(1, 41, 1, 24, 3, 16, 3), (1, 2, 1, 8, 5, 1 << 33, 3)].map(launch));
            all.push(in_turns(launch((7, 8, 8, 128, 20, 16, 3))));
            all
        }
        "attention" => {
            let dims: &[u64] = if entry.contains("_d64") {
                &[64]
            } else if entry.contains("_d128") {
                &[128]
            } else {
                &[48, 256, 8]
            };
            let sharing: &[u64] = match entry.rsplit('_').next() {
                Some("h1") => &[1, 2],
                Some("h4") => &[4, 6],
                _ => &[8, 5],
            };
            let launch = |(dim, sharing, (first, context, splits)): (u64, u64, (u64, u64, u64))| {
                let (rows, kv_heads, page) = (2, 2, 16);
                let heads = sharing * kv_heads;
                let pages_each = context.div_ceil(page);
                let cache = (rows * pages_each + 1) * page * kv_heads * dim;
                let pages = ((rows * pages_each) as usize, Filling::words(|index| index ^ 1));
                let parts = room((rows * heads * splits * (dim + 2)) as usize);
                let buffers = vec![
                    reals(rows * heads * dim, 1),
                    reals(cache, 2),
                    reals(cache, 3),
                    pages,
                    parts,
                    room(words(rows * heads * dim)),
                ];
                let sizes = [rows, heads, kv_heads, dim, first, context, page, pages_each, splits];
                of("attention", buffers, &sizes, &[code])
            };
            let spans = [(0, 1, 1), (3, 100, 1), (0, 100, 3), (5, 40, 4), (0, 330, 1)];
            let mut all = Vec::new();
            for (at, span) in spans.into_iter().enumerate() {
                all.push(launch((dims[at % dims.len()], sharing[at % sharing.len()], span)));
            }
            all
        }
        "attention_join" => {
            let launch = |(rows, heads, dim, splits): (u64, u64, u64, u64)| {
                // Sums of exponentials are no negative numbers, wherever they stand.
                let count = rows * heads * splits * (dim + 2);
                let parts = (count as usize, Filling::words(|index| (1.0 + (index % 13) as f32 / 8.0).to_bits()));
                of("attention_join", vec![parts, room(words(rows * heads * dim))], &[rows, heads, dim, splits], &[code])
            };
            let mut all: Vec<_> = [(1, 1, 8, 2), (2, 3, 48, 3), (5, 4, 64, 1), (2, 2, 256, 9)].map(launch).into();
            all.push(in_turns(launch((7, 1, 264, 3))));
            // Largest scores so far apart that all but those of a head's own largest are nothing, and infinite or nothing
            // beside those of another head.
            let (heads, dim, splits) = (6, 48, 3);
            let part =
                move |index: u32| match (index % (dim + 2), index / (dim + 2) / splits, index / (dim + 2) % splits) {
                    (0, head, band) => (400 * head + 150 * ((band + head) % splits)) as f32,
                    (at, ..) => 1.0 + at as f32 / 8.0,
                };
            let parts = (heads * splits * (dim + 2)) as usize;
            let buffers = vec![
                (parts + 64, Filling::words(move |index| part(index).to_bits())),
                room(words((heads * dim).into())),
            ];
            all.push(of("attention_join", buffers, &[1, heads.into(), dim.into(), splits.into()], &[code]));
            all
        }
        "activate" => {
            let launch = |(rows, inner, flags): (u64, u64, u32)| {
                let halves = if flags & 1 != 0 { 2 } else { 1 };
                let buffers =
                    vec![reals(rows * halves * inner, 1), reals(halves * inner, 2), room(words(rows * inner))];
                of("activate", buffers, &[rows, inner], &[code, flags])
            };
            let all = [(1, 8, 3), (2, 1032, 1), (3, 2056, 2), (2, 520, 0), (5, 264, 3)];
            let mut all: Vec<_> = all.map(launch).into();
            all.extend([(7, 1032, 3), (7, 1032, 0)].map(launch).map(in_turns));
            all
        }
        _ => return None,
    };
    Some(launches)
}
