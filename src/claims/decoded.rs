//! What measured decode steps say of the shape of decoding, as facts for the judge: how much longer a step of one
//! sequence takes than reading its weights, and what more sequences gain.

use super::evidence::{Fact, Quantity, Rank};
use crate::fit::{Ceilings, DecodeCurve, DecodeStep, decode_curves};
use crate::record::Run;
use crate::summary::Estimate;

/// A step that reads less than this many times the last cache says nothing of memory.
const CACHES_LEAST: f64 = 4.0;

/// Sequences that a gain is told of, and more: what few gain says nothing of what many would.
const BATCH_LEAST: u64 = 64;

/// The facts of a run's device; `gpu` is the device's id, and `whose` names the measurement. Of several models the one with
/// the most weights speaks, at its shortest context; none does whose weights a cache holds, or of which fewer than half of
/// the layers were measured. Over reading is told only where memory's bandwidth was shown.
pub fn decoded(run: &Run, index: u32, gpu: &str, rank: Rank, whose: &str) -> Vec<Fact> {
    let cache = run.header.devices.get(index as usize).and_then(|info| info.last_cache()).map_or(0.0, |b| b.0 as f64);
    let curves = decode_curves(run, index);
    let most_layers = |curve: &&DecodeCurve| curve.share_layers.is_some_and(|share| 2 * curve.layers >= share);
    let usual = curves.iter().filter(|curve| curve.unusual.is_empty()).filter(most_layers);
    let alone = usual.filter_map(|curve| Some((curve, curve.steps.first().filter(|step| step.batch == 1)?)));
    let past = alone.filter(|(_, first)| weights(first) >= CACHES_LEAST * cache);
    let larger = |(a, first): &(&DecodeCurve, &DecodeStep), (b, second): &(&DecodeCurve, &DecodeStep)| {
        weights(first).total_cmp(&weights(second)).then(b.context.cmp(&a.context))
    };
    let Some((curve, first)) = past.max_by(larger) else { return Vec::new() };
    let told = |id: &str, value: Estimate, what: String, behind: Vec<String>| {
        let source = format!("{what} ({whose})");
        Some(Fact { gpu: gpu.to_owned(), quantity: Quantity::find(id)?, value, rank, source, behind })
    };
    let name = format!("{} layers of {} in {}, {} tokens", curve.layers, curve.model, curve.precision, curve.context);
    let over_read = over_read(run, index, first).and_then(|(value, read)| {
        let what = format!("a step of one sequence over its weights at the measured bandwidth: {name}");
        told("decode_over_read", value, what, vec![first.case.clone(), read])
    });
    let gain = gain(curve, first).and_then(|(value, most)| {
        let what = format!("{} sequences over one: {name}", most.batch);
        told("decode_latency_gain", value, what, vec![first.case.clone(), most.case.clone()])
    });
    over_read.into_iter().chain(gain).collect()
}

/// Bytes of weights that a step reads: all but keys and values.
fn weights(step: &DecodeStep) -> f64 {
    step.work.bytes().0.saturating_sub(step.kv_b.unwrap_or(0)) as f64
}

/// A step's time over that of reading its weights at the measured bandwidth, and the case behind that.
fn over_read(run: &Run, index: u32, step: &DecodeStep) -> Option<(Estimate, String)> {
    let ceilings = Ceilings::of(run, index);
    let read = ceilings.shown_read()?;
    let of = |time: f64, rate: f64| time * rate / weights(step);
    let (time, rate) = (step.time, read.rate);
    let value =
        Estimate { value: of(time.value, rate.value), low: of(time.low, rate.low), high: of(time.high, rate.high) };
    Some((value, read.case.clone()))
}

/// Tokens a second of the largest batch over those of one sequence.
fn gain<'a>(curve: &'a DecodeCurve, first: &DecodeStep) -> Option<(Estimate, &'a DecodeStep)> {
    let most = curve.steps.last().filter(|step| step.batch >= BATCH_LEAST)?;
    let of = |alone: f64, together: f64| most.batch as f64 * alone / together;
    let value = Estimate {
        value: of(first.time.value, most.time.value),
        low: of(first.time.low, most.time.high),
        high: of(first.time.high, most.time.low),
    };
    Some((value, most))
}
