//! What the laws fitted to a device say of the shape of decoding, as facts for the judge: a claim of shape asks how a time
//! grows, not how long it is, and is tested on any device that was measured.
//!
//! Times are put together from the products of a model's layers. Norms, activations, attention and the host are left out:
//! they are alike for one sequence and for many to a degree that products are not, so that both figures are of products
//! alone, and say so.

use super::evidence::{Fact, Quantity, Rank};
use crate::fit::{CONFIDENCE, Calibration, DRAWS, Fitted};
use crate::llm::{self, Model};
use crate::stats::Sorted;
use crate::summary::Estimate;

/// The model whose layers are put together.
const MODEL: &str = "llama_3_1_8b";

/// Sequences of the largest batch while decoding, and tokens of a prompt.
const BATCH: f64 = 64.0;
const PROMPT: f64 = 2048.0;

/// Bytes of a value in the formats of these laws.
const FORMATS: [(&str, f64); 3] = [("bf16", 2.0), ("f16", 2.0), ("f32", 4.0)];

/// The facts of a calibration; none where it has no law of products, or one that rests on what was supposed before. `gpu` is the device's id, and
/// `whose` names the measurement.
pub fn shapes(calibration: &Calibration, gpu: &str, rank: Rank, whose: &str) -> Vec<Fact> {
    // The catalogue is part of the program; without it the claims stay untested and say so.
    let Ok(model) = llm::find(MODEL) else { return Vec::new() };
    let told = |law: &&Fitted| {
        let rates = ["bandwidth", "throughput"].map(|name| law.constants.iter().find(|constant| constant.name == name));
        rates.iter().any(|constant| constant.is_some_and(|constant| constant.unsupported.is_none()))
    };
    let law = FORMATS.iter().find_map(|(format, size)| Some((calibration.law("matmul", format).filter(told)?, *size)));
    let Some((law, size)) = law else { return Vec::new() };
    let fact = |(id, rows, what): (&str, f64, &str)| {
        let value = gain(law, &model, size, rows)?;
        let source = format!(
            "products of a layer of {} with {what}, by the law of matmul {} fitted to {} cases ({whose})",
            model.name, law.subject, law.rows
        );
        let behind = law.constants.iter().map(|constant| {
            let [value, interval] = constant.words();
            format!("{}: {value} (90 %: {interval})", constant.name)
        });
        let (gpu, quantity, behind) = (gpu.to_owned(), Quantity::find(id)?, behind.collect());
        Some(Fact { gpu, quantity, value, rank, source, behind })
    };
    let asked = [
        ("decode_latency_gain", BATCH, "64 sequences, over those with one"),
        ("prefill_gain", PROMPT, "2048 tokens of a prompt, over those with one token"),
    ];
    asked.into_iter().filter_map(fact).collect()
}

/// Tokens a second of so many rows over those of one, with the interval that the draws span.
fn gain(law: &Fitted, model: &Model, size: f64, rows: f64) -> Option<Estimate> {
    let at =
        |draw: Option<usize>| Some(rows * layer(law, model, size, 1.0, draw)? / layer(law, model, size, rows, draw)?);
    let value = at(None)?;
    let drawn = Sorted::new((0..DRAWS).map(|draw| at(Some(draw))).collect::<Option<Vec<f64>>>()?)?;
    let tail = (1.0 - CONFIDENCE) / 2.0;
    let (low, high) = (drawn.quantile(tail).min(value), drawn.quantile(1.0 - tail).max(value));
    Some(Estimate { value, low, high })
}

/// Time of a layer's products with so many rows: queries, keys and values; attention's output; the MLP up and down.
fn layer(law: &Fitted, model: &Model, size: f64, rows: f64, draw: Option<usize>) -> Option<f64> {
    let [hidden, heads, kv_heads, head, inner] =
        [model.hidden, model.heads, model.kv_heads, model.head_dim, model.intermediate].map(f64::from);
    let up = if model.gated { 2.0 } else { 1.0 };
    let products =
        [((heads + 2.0 * kv_heads) * head, hidden), (hidden, heads * head), (up * inner, hidden), (hidden, inner)];
    let time = |(n, k): (f64, f64)| law.time_s(size * (rows * k + n * k + rows * n), 2.0 * rows * n * k, draw);
    products.into_iter().map(time).sum()
}
