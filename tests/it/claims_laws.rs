//! Laws of the judge: what no evidence and no tolerance may break.

use proptest::prelude::*;
use rooflint::claims::{
    Bound, Evidence, Fact, Judgement, Library, Quantity, Rank, Side, Verdict, compare, findings, parse,
};
use rooflint::summary::Estimate;

fn sheets() -> Evidence {
    Evidence::datasheets().unwrap()
}

fn fact(gpu: &str, quantity: &str, low: f64, value: f64, high: f64, rank: Rank) -> Fact {
    let quantity = Quantity::find(quantity).unwrap();
    Fact {
        gpu: gpu.to_owned(),
        quantity,
        value: Estimate { value, low, high },
        rank,
        source: "a test".to_owned(),
        behind: Vec::new(),
    }
}

fn judge(evidence: &Evidence) -> Vec<Judgement> {
    Library::embedded().unwrap().judge(evidence)
}

fn one<'a>(judgements: &'a [Judgement], id: &str) -> &'a Judgement {
    judgements.iter().find(|judgement| judgement.claim.id == id).unwrap()
}

/// Every GPU's bandwidth times a factor.
fn faster(factor: f64) -> Evidence {
    Evidence::of(sheets().facts().iter().cloned().map(|mut fact| {
        if fact.quantity.id == "memory_bandwidth" {
            let value = fact.value.value * factor;
            fact.value = Estimate { value, low: value, high: value };
        }
        fact
    }))
}

/// A document of one claim that a product of two numbers recomputes.
fn product(claimed: f64, tolerance: f64, a: f64, b: f64) -> Judgement {
    let text = format!(
        r#"
[document]
id = "law"
title = "t"
source = "s"
speaker = "p"
as_of = "now"
about = "a"
[[claim]]
id = "law.product"
lines = [1]
says = "A product."
tolerance = {tolerance:?}
check = "arithmetic"
[[claim.part]]
name = "product"
value = {claimed:?}
unit = "1"
formula = "product"
inputs.a = {{ stated = {a:?}, unit = "1" }}
inputs.b = {{ stated = {b:?}, unit = "1" }}
"#
    );
    let library = Library::default().with([parse(&text, "law.toml").unwrap()]).unwrap();
    library.judge(&Evidence::default()).remove(0)
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(128) })]

    #[test]
    fn a_claim_equal_to_its_prediction_holds_at_any_tolerance(
        a in 1e-6..1e12_f64, b in 1e-6..1e12_f64, tolerance in 0.0..0.5_f64,
    ) {
        let judgement = product(a * b, tolerance, a, b);
        prop_assert_eq!(judgement.verdict, Verdict::Holds);
    }

    #[test]
    fn the_factor_is_the_same_whichever_side_is_higher(a in 1e-3..1e3_f64, off in 1.001..50.0_f64, tolerance in 0.0..0.5_f64) {
        let (above, below) = (product(a * off, tolerance, a, 1.0), product(a / off, tolerance, a, 1.0));
        let at = |judgement: &Judgement| judgement.headline().unwrap().comparison.unwrap();
        prop_assert!((at(&above).factor - off).abs() < 1e-9 * off && (at(&below).factor - off).abs() < 1e-9 * off);
        prop_assert!((at(&above).ratio * at(&below).ratio - 1.0).abs() < 1e-9);
        prop_assert_eq!(above.verdict.word(), below.verdict.word());
        let beyond = off - 1.0 - tolerance;
        let expected = if beyond.abs() < 0.0049 { "inconclusive" } else if beyond > 0.0 { "diverges" } else { "holds" };
        if (beyond.abs() - 0.005).abs() > 1e-4 {
            prop_assert_eq!(above.verdict.word(), expected);
        }
    }

    #[test]
    fn a_span_is_judged_by_its_nearest_end(low in 1.0..10.0_f64, width in 0.0..5.0_f64, claim in 0.1..100.0_f64) {
        let high = low + width;
        let found = compare(Bound::Value(claim), 0.05, low, (low + high) / 2.0, high);
        let nearest = if claim < low { low / claim } else if claim > high { claim / high } else { 1.0 };
        prop_assert!((found.factor - nearest).abs() < 1e-9);
        prop_assert!(found.factor > 1.0 || found.side == Side::Within);
    }

    #[test]
    fn bounds_hold_on_their_side(found in 0.1..100.0_f64, bound in 0.1..100.0_f64) {
        let least = compare(Bound::AtLeast(bound), 0.0, found, found, found);
        let most = compare(Bound::AtMost(bound), 0.0, found, found, found);
        prop_assert_eq!(least.factor > 1.0, found < bound);
        prop_assert_eq!(most.factor > 1.0, found > bound);
    }
}

proptest! {
    // Each case judges all documents several times over.
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(12) })]

    #[test]
    fn more_bandwidth_never_raises_a_predicted_cost(slow in 0.3..3.0_f64, more in 1.0..4.0_f64) {
        let (before, after) = (judge(&faster(slow)), judge(&faster(slow * more)));
        for (id, part) in [("g4.cost-a100", "cost"), ("g4.cost-h100", "cost"), ("g4.vs-davinci-cost", "davinci")] {
            let (before, after) = (one(&before, id).found(part).unwrap(), one(&after, id).found(part).unwrap());
            prop_assert!(after.value <= before.value * (1.0 + 1e-12), "{id}: {} then {}", before.value, after.value);
        }
        let rate = |judgements: &[Judgement]| one(judgements, "x.speed-vs-cost").found("rate").unwrap().value;
        prop_assert!(rate(&after) >= rate(&before) * (1.0 - 1e-12));
    }

    #[test]
    fn an_interval_widens_what_is_found_and_never_narrows_a_verdict(width in 0.0..0.3_f64) {
        let bandwidth = 3.0e12;
        let measured = fact(
            "h100_sxm", "memory_bandwidth",
            bandwidth * (1.0 - width), bandwidth, bandwidth * (1.0 + width), Rank::Measured,
        );
        let judgements = judge(&sheets().with([measured]));
        let found = one(&judgements, "g4.cost-h100").found("cost").unwrap();
        prop_assert!(found.low <= found.value && found.value <= found.high);
        prop_assert_eq!(found.low < found.high, width > 0.0);
        let part = one(&judgements, "g4.h100-spec").part("bandwidth_achieved").unwrap();
        // The claim of 3 TB/s stands at 5 %: an interval that leaves that band leaves it open.
        let (inside, outside) = (width < 0.04, width > 0.06);
        if inside { prop_assert_eq!(part.verdict.as_ref().unwrap(), &Verdict::Holds); }
        if outside { prop_assert_eq!(part.verdict.as_ref().unwrap().word(), "inconclusive"); }
    }
}

/// The order of evidence: the GPU's own measurement, a reference for it, its datasheet.
#[test]
fn better_evidence_takes_the_place_of_worse() {
    let reference = fact("h100_sxm", "memory_bandwidth", 2.9e12, 2.95e12, 3.0e12, Rank::Reference);
    let measured = fact("h100_sxm", "memory_bandwidth", 3.04e12, 3.05e12, 3.06e12, Rank::Measured);
    let other = fact("a100_sxm_80gb", "memory_bandwidth", 1.7e12, 1.75e12, 1.8e12, Rank::Measured);
    let found = |evidence: &Evidence| {
        let judgements = judge(evidence);
        let judgement = one(&judgements, "g4.h100-spec");
        let part = judgement.part("bandwidth_achieved").unwrap();
        (part.found.unwrap().value, part.verdict.clone().unwrap())
    };
    assert_eq!(found(&sheets()).0, 3.35e12);
    assert!(matches!(found(&sheets()).1, Verdict::Diverges { .. }));
    assert_eq!(found(&sheets().with([reference.clone()])), (2.95e12, Verdict::Holds));
    assert_eq!(found(&sheets().with([reference, measured])).0, 3.05e12);
    // A measurement of another GPU says nothing of this one.
    assert_eq!(found(&sheets().with([other])).0, 3.35e12);
}

#[test]
fn without_evidence_a_gpus_figures_are_not_testable() {
    let judgements = judge(&Evidence::default());
    for id in ["g4.h100-spec", "gs.a100-peak", "g4.cost-a100", "x.speed-vs-cost", "g4.capacity"] {
        let verdict = &one(&judgements, id).verdict;
        assert!(matches!(verdict, Verdict::NotTestable { .. }), "{id}: {verdict}");
    }
    assert_eq!(one(&judgements, "g4.params").verdict, Verdict::Holds);
    let said: Vec<_> = findings(&judgements).into_iter().map(|finding| finding.id).collect();
    assert!(!said.contains(&"cheap_or_fast") && said.contains(&"thousandfold_slip"), "{said:?}");
}

/// What later measurements will feed: the shape claims turn testable without any change to the judge.
#[test]
fn measured_shapes_make_their_claims_testable() {
    let shape = |quantity, value| fact("some_gpu", quantity, value * 0.99, value, value * 1.01, Rank::Measured);
    let evidence = sheets().with([
        shape("decode_over_read", 1.3),
        shape("prefill_gain", 40.0),
        shape("decode_latency_gain", 60.0),
        shape("fusion_gain", 3.0),
        shape("decode_i8_gain", 1.7),
        shape("moe_step_spread", 0.2),
    ]);
    let judgements = judge(&evidence);
    let untested = judgements.iter().filter(|judgement| matches!(judgement.verdict, Verdict::NotTestable { .. }));
    assert_eq!(untested.count(), 0);
    assert!(
        matches!(one(&judgements, "g4.overhead").verdict, Verdict::Diverges { factor } if (factor - 1.538).abs() < 0.01)
    );
    for id in ["g4.prefill-parallel", "bm.fusion", "bm.quant-speed", "g4.batch1-bound", "g4.moe-imbalance"] {
        assert_eq!(one(&judgements, id).verdict, Verdict::Holds, "{id}");
    }
    // A datasheet is no measurement of any device.
    let sheet = fact("some_gpu", "decode_over_read", 1.3, 1.3, 1.3, Rank::Datasheet);
    let judgements = judge(&sheets().with([sheet]));
    assert!(matches!(one(&judgements, "g4.overhead").verdict, Verdict::NotTestable { .. }));
}
