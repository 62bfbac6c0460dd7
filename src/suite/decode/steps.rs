//! Steps that need no buffers of a model: attention's, which a benchmark of its own has too, and the names of all.

use super::weights::{PRODUCTS, Pages};
use crate::device::{Arg, Slot, Step};
use crate::record::Precision;
use crate::suite::spelled;

/// Pieces of attention for each unit of a device: enough that none waits long for the last.
const PIECES_PER_UNIT: u64 = 4;
/// Fewest tokens of a band.
const BAND_LEAST: u64 = 64;

/// Bands that attention is cut into, so that few sequences fill a device.
pub(in crate::suite) fn splits(pieces: u64, context: u64, units: u64) -> u64 {
    (PIECES_PER_UNIT * units).div_ceil(pieces.max(1)).clamp(1, context.div_ceil(BAND_LEAST))
}

/// Attention in one launch or, cut into bands, in two. Buffers: queries, keys, values, pages, parts, output. Sizes:
/// sequences, heads, KV heads, numbers of a head.
pub(in crate::suite) fn attend(
    buffers: [Slot; 6],
    sizes: [u64; 4],
    tokens: [u64; 2],
    cache: &Pages,
    splits: u64,
    precision: Precision,
) -> Vec<Step> {
    let mut args = buffers.map(Arg::Buffer).to_vec();
    args.extend(sizes.into_iter().chain(tokens).chain([cache.page, cache.each, splits]).map(Arg::U64));
    args.push(Arg::U32(spelled(precision)));
    let mut steps = vec![Step::launch("attention", args)];
    if splits > 1 {
        let [_, _, _, _, parts, out] = buffers;
        let [rows, heads, _, head_dim] = sizes;
        let mut args = vec![Arg::Buffer(parts), Arg::Buffer(out)];
        args.extend([rows, heads, head_dim, splits].map(Arg::U64));
        args.push(Arg::U32(spelled(precision)));
        steps.push(Step::launch("attention_join", args));
    }
    steps
}

/// Which operation of [`crate::llm::DecodeShape::operations`] each step belongs to.
pub(super) fn names(steps: &[Step]) -> Vec<&'static str> {
    let norms = steps.iter().filter(|step| step.name() == "add_norm").count();
    // An odd number of norms: two a layer and the last; an even one has the embedding's too.
    let first = norms % 2;
    let (mut norm, mut product) = (0, 0);
    let products = steps.iter().filter(|step| step.name() == "matmul").count();
    let name = |step: &Step| match step.name() {
        "embed" => "embedding",
        "rotate" => "rotate",
        "activate" => "activation",
        "add_norm" => {
            norm += 1;
            match norm {
                1 if first == 0 => "embedding_norm",
                last if last == norms => "final_norm",
                other if other % 2 == first => "attention_norm",
                _ => "mlp_norm",
            }
        }
        "matmul" => {
            product += 1;
            if product == products && products % 4 == 1 { "head" } else { PRODUCTS[(product - 1) % 4] }
        }
        _ => "attention",
    };
    steps.iter().map(name).collect()
}
