//! Claims of shape: how times grow, by the laws fitted to whatever device was measured.

use rooflint::claims::{Evidence, HOST, Library, Rank, measured, references, shapes};
use rooflint::fit::{Allowed, Calibration};
use rooflint::record::{DeviceKind, Run};

use super::fit_laws::{ROWS, SIDES, WORLD, h100, products};

const SHAPES: [&str; 2] = ["g4.latency-util", "g4.prefill-parallel"];

fn run() -> Run {
    h100(products(WORLD, &SIDES, &ROWS, 41))
}

/// Verdict on each claim of shape that products decide, and the explanation's evidence.
fn verdicts(evidence: &Evidence) -> Vec<(String, Option<Rank>)> {
    let judgements = Library::embedded().unwrap().judge(evidence);
    let of = |id: &str| {
        let found = judgements.iter().find(|judgement| judgement.claim.id == id).expect("a claim");
        let ranks = found.parts.iter().flat_map(|part| &part.inputs).filter_map(|input| input.rank);
        (found.verdict.word().to_owned(), ranks.max())
    };
    SHAPES.into_iter().map(of).collect()
}

#[test]
fn gains_are_those_of_the_fitted_products_by_hand() {
    let calibration = Calibration::of(&[run()], None, Allowed::default()).unwrap();
    let facts = shapes(&calibration, "h100_sxm", Rank::Measured, "run x");
    let law = calibration.law("matmul", "bf16").unwrap();
    let [fixed, bandwidth, throughput, exponent] =
        ["fixed", "bandwidth", "throughput", "exponent"].map(|name| law.value(name).unwrap());
    let layer = |rows: f64| -> f64 {
        // Llama 3.1 8B: 32 heads, 8 of keys and of values, of 128; 14336 inside.
        let products = [(6144.0, 4096.0), (4096.0, 4096.0), (28672.0, 4096.0), (4096.0, 14336.0)];
        let time = |(n, k): (f64, f64)| {
            let read = 2.0 * (rows * k + n * k + rows * n) / bandwidth;
            let compute = 2.0 * rows * n * k / throughput;
            fixed + (read.powf(exponent) + compute.powf(exponent)).powf(1.0 / exponent)
        };
        products.into_iter().map(time).sum()
    };
    for (id, rows) in [("decode_latency_gain", 64.0), ("prefill_gain", 2048.0)] {
        let fact = facts.iter().find(|fact| fact.quantity.id == id).unwrap();
        let by_hand = rows * layer(1.0) / layer(rows);
        assert!((fact.value.value / by_hand - 1.0).abs() < 1e-3, "{id}: {:?} for {by_hand}", fact.value);
        assert!(fact.value.low < fact.value.value && fact.value.value < fact.value.high, "{:?}", fact.value);
        assert!(fact.source.contains("matmul bf16") && fact.source.contains("run x"), "{}", fact.source);
        assert_eq!(fact.behind.len(), 4, "the constants are shown");
    }
}

#[test]
fn a_run_is_judged_by_its_own_laws_then_by_references_and_never_by_a_datasheet() {
    let sheets = Evidence::datasheets().unwrap();
    assert!(verdicts(&sheets).iter().all(|(word, _)| word == "not_testable"));
    let known = sheets.clone().with(references().unwrap());
    assert!(verdicts(&known).iter().all(|(word, rank)| word == "holds" && *rank == Some(Rank::Reference)));
    let mut own = run();
    own.header.devices[0].backend = "cuda".to_owned();
    let facts = measured(&own).unwrap();
    assert!(facts.iter().filter(|fact| fact.quantity.id == "prefill_gain").all(|fact| fact.gpu == "h100_sxm"));
    let judged = sheets.clone().with(references().unwrap()).with(facts);
    assert!(verdicts(&judged).iter().all(|(word, rank)| word == "holds" && *rank == Some(Rank::Measured)));

    // A device so slow at arithmetic that every row costs what the first did gains nothing by a batch.
    let mut flat = run();
    flat.header.devices[0].backend = "cpu".to_owned();
    flat.header.devices[0].name = "A processor".to_owned();
    for record in &mut flat.records {
        let time = record.work.operations().0 as f64 / 1e10;
        let rooflint::record::Outcome::Measured(measurement) = &mut record.outcome else { panic!("measured") };
        for sample in &mut measurement.samples {
            sample.elapsed_s = rooflint::units::Seconds::new(time).unwrap();
        }
    }
    let facts = measured(&flat).unwrap();
    let gain = facts.iter().find(|fact| fact.quantity.id == "decode_latency_gain").expect("fitted");
    assert!(gain.gpu == HOST && gain.value.high < 2.0, "{gain:?}");
    let judged = sheets.clone().with(facts);
    assert!(verdicts(&judged).iter().all(|(word, _)| word == "diverges"), "{:?}", verdicts(&judged));

    // What is no hardware tells nothing, nor do too few cases.
    let mut emulated = run();
    emulated.header.devices[0].kind = DeviceKind::Emulated;
    assert!(measured(&emulated).unwrap().is_empty());
    let mut poor = run();
    poor.records.truncate(8);
    assert!(measured(&poor).unwrap().iter().all(|fact| fact.quantity.id != "prefill_gain"));
}
