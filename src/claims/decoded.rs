//! What measured decode steps say of the shape of decoding, as facts for the judge: how much longer a step of one
//! sequence takes than reading what it reads, and what more sequences gain.

use super::evidence::{Fact, Quantity, Rank};
use crate::fit::{Ceilings, DecodeCurve, DecodeStep, decode_curves};
use crate::record::Run;
use crate::summary::Estimate;

/// A step that reads less than this many times the last cache says nothing of memory.
const CACHES_LEAST: f64 = 4.0;

/// The facts of a run's device; `gpu` is the device's id, and `whose` names the measurement. Of several models the largest
/// speaks; none does where a cache holds it, or where memory's bandwidth was not shown.
pub fn decoded(run: &Run, index: u32, gpu: &str, rank: Rank, whose: &str) -> Vec<Fact> {
    let cache = run.header.devices.get(index as usize).and_then(|info| info.last_cache()).map_or(0.0, |b| b.0 as f64);
    let curves = decode_curves(run, index);
    let usual = curves.iter().filter(|curve| curve.unusual.is_empty());
    let alone = usual.filter_map(|curve| Some((curve, curve.steps.first().filter(|step| step.batch == 1)?)));
    let past = alone.filter(|(_, first)| bytes(first) >= CACHES_LEAST * cache);
    let Some((curve, first)) = past.max_by(|(_, a), (_, b)| bytes(a).total_cmp(&bytes(b))) else { return Vec::new() };
    let told = |id: &str, value: Estimate, what: String, behind: Vec<String>| {
        let source = format!("{what} ({whose})");
        Some(Fact { gpu: gpu.to_owned(), quantity: Quantity::find(id)?, value, rank, source, behind })
    };
    let name = format!("{} layers of {} in {}, {} tokens", curve.layers, curve.model, curve.precision, curve.context);
    let over_read = over_read(run, index, first).and_then(|(value, read)| {
        let what = format!("a step of one sequence over its bytes at the measured bandwidth: {name}");
        told("decode_over_read", value, what, vec![first.case.clone(), read])
    });
    let gain = gain(curve, first).and_then(|(value, most)| {
        let what = format!("{} sequences over one: {name}", most.batch);
        told("decode_latency_gain", value, what, vec![first.case.clone(), most.case.clone()])
    });
    over_read.into_iter().chain(gain).collect()
}

fn bytes(step: &DecodeStep) -> f64 {
    step.work.bytes().0 as f64
}

/// A step's time over that of reading its bytes at the measured bandwidth, and the case behind that.
fn over_read(run: &Run, index: u32, step: &DecodeStep) -> Option<(Estimate, String)> {
    let ceilings = Ceilings::of(run, index);
    let shown = ceilings.plateau.as_ref().is_some_and(|plateau| plateau.shows_memory());
    let read = ceilings.memory.iter().find(|memory| memory.kernel == "read").filter(|_| shown)?;
    let of = |time: f64, rate: f64| time * rate / bytes(step);
    let (time, rate) = (step.time, read.rate);
    let value =
        Estimate { value: of(time.value, rate.value), low: of(time.low, rate.low), high: of(time.high, rate.high) };
    Some((value, read.case.clone()))
}

/// Tokens a second of the largest batch over those of one sequence.
fn gain<'a>(curve: &'a DecodeCurve, first: &DecodeStep) -> Option<(Estimate, &'a DecodeStep)> {
    let most = curve.steps.last().filter(|step| step.batch > 1)?;
    let of = |alone: f64, together: f64| most.batch as f64 * alone / together;
    let value = Estimate {
        value: of(first.time.value, most.time.value),
        low: of(first.time.low, most.time.high),
        high: of(first.time.high, most.time.low),
    };
    Some((value, most))
}
