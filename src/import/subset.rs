//! A small grid of shapes that stands for a whole table: what `reports/reference` is made of.
//!
//! Rows are chosen by their shape alone, never by their time, so that none is there because it was fast.

use crate::record::Case;

/// Rows, columns of the weights, and rows of the weights of products.
const M: [u64; 7] = [1, 8, 64, 256, 1024, 4096, 8192];
const SITES: [(u64, u64); 8] = [
    (4096, 4096),
    (8192, 8192),
    (12288, 12288),
    (16384, 16384),
    (65536, 4096),
    (65536, 8192),
    (65536, 16384),
    (16384, 65536),
];
/// Fewer for formats that are not 16 bits wide: what they add is their own ceiling.
const M_NARROW: [u64; 3] = [1, 1024, 8192];
const SITES_NARROW: [(u64, u64); 3] = [(8192, 8192), (16384, 16384), (65536, 8192)];
/// Heads of queries and of keys: 8, 70 and 7 thousand million parameters' models.
const HEADS: [(u64, u64); 3] = [(32, 8), (64, 8), (32, 32)];
/// More of them while decoding: an eighth of a 70 thousand million parameters' model, and a half of one of 7 or 8.
const HEADS_DECODE: [(u64, u64); 2] = [(8, 1), (16, 4)];
/// Hidden and inner size, experts per token and experts: Mixtral 8x7B and 8x22B, Qwen3-235B-A22B and DeepSeek-V3.
const EXPERTS: [[u64; 4]; 4] = [[4096, 14336, 2, 8], [6144, 16384, 2, 8], [4096, 1536, 8, 128], [7168, 2048, 8, 256]];

/// Whether a case is on the grid.
pub fn keeps(case: &Case) -> bool {
    let one_of = |axis: &str, values: &[u64]| case.count(axis).is_some_and(|count| values.contains(&count));
    let pair = |one: &str, other: &str| case.count(one).zip(case.count(other));
    match case.benchmark.as_str() {
        "matmul" => {
            let wide = case.word("weights").is_none() && matches!(case.word("precision"), Some("bf16" | "f16"));
            let (m, sites): (&[u64], &[_]) = if wide { (&M, &SITES) } else { (&M_NARROW, &SITES_NARROW) };
            one_of("m", m) && pair("n", "k").is_some_and(|site| sites.contains(&site))
        }
        "attention" => {
            let decodes = case.word("phase") == Some("decode");
            let lengths: &[u64] = if decodes { &[512, 2048, 8192, 32768] } else { &[512, 2048, 8192] };
            let plain = ["window", "prefix", "beam_width"].iter().all(|axis| case.count(axis).is_none());
            let heads = pair("heads", "kv_heads")
                .is_some_and(|heads| HEADS.contains(&heads) || decodes && HEADS_DECODE.contains(&heads));
            plain && heads && one_of("head_dim", &[128]) && one_of("batch", &[1, 16, 64]) && one_of("context", lengths)
        }
        "moe" => {
            let shape = ["hidden", "intermediate", "top_k", "experts"].map(|axis| case.count(axis).unwrap_or(0));
            let whole = one_of("tensor", &[1]) && one_of("expert_parallel", &[1]);
            // Of the two skewed routings the milder one: 1.2 says little more.
            let routing = case.word("routing") != Some("power_law_1.2");
            EXPERTS.contains(&shape) && whole && routing && one_of("tokens", &[1, 16, 64, 512])
        }
        "collective" => {
            let sizes = [12, 16, 20, 24, 28, 29].map(|power| 1_u64 << power);
            one_of("gpus", &[2, 8]) && one_of("size", &sizes) && case.word("precision") != Some("i8")
        }
        _ => true,
    }
}
