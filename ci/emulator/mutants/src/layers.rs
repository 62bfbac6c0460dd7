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
    let launches = match kernel {
        "embed" => {
            let launch = |(rows, width, learned): (u64, u64, u32)| {
                let tokens = (rows as usize, Filling::Words(|index| (index * 5 + 2) % 7));
                let buffers = vec![tokens, reals(7 * width, 1), reals(3 * width, 2), room(words(rows * width))];
                of("embed", buffers, &[rows, width, 2], &[code, learned])
            };
            [(1, 8, 0), (2, 1032, 1), (5, 2064, 0), (3, 264, 1)].map(launch).into()
        }
        "add_norm" => {
            let launch = |(rows, width, flags): (u64, u64, u32)| {
                let of_row = |seed| reals(width, seed);
                let matrix = |seed| reals(rows * width, seed);
                let (sum, out) = (room(words(rows * width)), room(words(rows * width)));
                let buffers = vec![matrix(1), matrix(2), of_row(3), of_row(4), of_row(5), sum, out];
                of("add_norm", buffers, &[rows, width], &[code, flags])
            };
            [(1, 8, 0), (2, 520, 7), (3, 2056, 1), (2, 8200, 7), (2, 9000, 0), (2, 1032, 4), (1030, 8, 0)]
                .map(launch)
                .into()
        }
        "rotate" => {
            let launch = |(rows, heads, kv_heads, dim, position, page, flags): (u64, u64, u64, u64, u64, u64, u32)| {
                let width = (heads + 2 * kv_heads) * dim;
                let pages_each = position / page + 1;
                let cache = words((rows * pages_each + 1) * page * kv_heads * dim);
                let pages = ((rows * pages_each) as usize, Filling::Words(|index| index ^ 1));
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
            all.map(launch).into()
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
                let pages = ((rows * pages_each) as usize, Filling::Words(|index| index ^ 1));
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
                let parts = (count as usize, Filling::Words(|index| (1.0 + (index % 13) as f32 / 8.0).to_bits()));
                of("attention_join", vec![parts, room(words(rows * heads * dim))], &[rows, heads, dim, splits], &[code])
            };
            [(1, 1, 8, 2), (2, 3, 48, 3), (5, 4, 64, 1), (2, 2, 256, 9)].map(launch).into()
        }
        "activate" => {
            let launch = |(rows, inner, flags): (u64, u64, u32)| {
                let halves = if flags & 1 != 0 { 2 } else { 1 };
                let buffers =
                    vec![reals(rows * halves * inner, 1), reals(halves * inner, 2), room(words(rows * inner))];
                of("activate", buffers, &[rows, inner], &[code, flags])
            };
            [(1, 8, 3), (2, 1032, 1), (3, 2056, 2), (2, 520, 0), (5, 264, 3)].map(launch).into()
        }
        _ => return None,
    };
    Some(launches)
}
