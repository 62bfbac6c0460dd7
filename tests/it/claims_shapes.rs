//! Claims of shape: how times grow, by the laws fitted to whatever device was measured.

use rooflint::claims::{Evidence, HOST, Library, Rank, measured, references, shapes};
use rooflint::fit::{Allowed, Calibration};
use rooflint::record::{DeviceKind, Quantity, Record, Run};
use rooflint::units::ByteCount;

use super::decode_curves::step;
use super::fit_laws::{ROWS, SIDES, WORLD, h100, products};
use super::support::{self, case, record, work};

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

/// Bytes of keys and values of a sequence of [`step`]: 30 layers, 3 KV heads of 64, 256 tokens, 2 bytes, both.
const KV: u64 = 30 * 3 * 64 * 256 * 2 * 2;

/// Reading at 50 GB/s at two working sets past the cache, and steps of a model that take 1.2 and, with 64 sequences, 4.8 times
/// as long as reading their weights.
fn decoding() -> Run {
    let reads = [(64 << 20, 50.5e9), (256 << 20, 50e9)];
    let mut records: Vec<Record> = reads.map(|(size, rate)| reading(size, rate)).to_vec();
    records
        .extend([(1, 1.2), (64, 4.8)].map(|(batch, times)| step(batch, 30, times * (270_001_000 - KV) as f64 / 50e9)));
    let mut run = support::run(records);
    let device = &mut run.header.devices[0];
    device.kind = DeviceKind::Hardware;
    "cpu".clone_into(&mut device.backend);
    "A processor".clone_into(&mut device.name);
    run
}

fn reading(size: u64, rate: f64) -> Record {
    let case = case("memory", &[("kernel", "read".into()), ("size", size.into())]);
    let time = size as f64 / rate;
    record(case, work(size, 0, &[]), Quantity::Bandwidth, &[time * 0.999, time, time * 1.001])
}

#[test]
fn measured_steps_are_evidence_before_any_law() {
    let known = |run: &Run| -> Vec<(&'static str, f64)> {
        let facts = measured(run).unwrap();
        let shapes = facts.iter().filter(|fact| fact.quantity.id.starts_with("decode_"));
        shapes.map(|fact| (fact.quantity.id, (1e6 * fact.value.value).round() / 1e6)).collect()
    };
    assert_eq!(known(&decoding()), [("decode_over_read", 1.2), ("decode_latency_gain", 16.0)]);
    let facts = measured(&decoding()).unwrap();
    assert!(facts.iter().all(|fact| fact.value.low < fact.value.high || fact.quantity.id == "memory_capacity"));
    let over = facts.iter().find(|fact| fact.quantity.id == "decode_over_read").unwrap();
    assert!(over.gpu == HOST && over.source.contains("smollm2_135m") && over.behind.len() == 2, "{over:?}");

    // Beside products the law has its say only of what no step tells.
    let mut both = decoding();
    both.records.extend(products(WORLD, &SIDES, &ROWS, 41));
    assert_eq!(known(&both)[..2], known(&decoding()));
    let evidence = Evidence::datasheets().unwrap().with(measured(&both).unwrap());
    let judged = Library::embedded().unwrap().judge(&evidence);
    let word = |id: &str| judged.iter().find(|one| one.claim.id == id).expect("a claim").verdict.word().to_owned();
    // 1.2 is at most 2, as reading bounds batch 1, and not the 2 that overhead is said to cost.
    assert_eq!((word("g4.batch1-bound").as_str(), word("g4.overhead").as_str()), ("holds", "diverges"));
    let gain = judged.iter().find(|one| one.claim.id == "g4.latency-util").expect("a claim");
    let inputs = gain.parts.iter().flat_map(|part| &part.inputs);
    assert!(inputs.map(|input| input.value).any(|value| (value - 16.0).abs() < 1e-9), "{gain:?}");

    // A model that a cache holds, a bandwidth that was not shown, and what is unusual say nothing of memory.
    let mut cached = decoding();
    cached.header.devices[0].caches[1].size_b = ByteCount(100_000_000);
    cached.header.devices[0].caches[1].instances = 1;
    assert_eq!(known(&cached), []);
    let mut unshown = decoding();
    unshown.records.remove(0);
    assert_eq!(known(&unshown), [("decode_latency_gain", 16.0)]);
    // A few sequences gain little by arithmetic alone, and a law may say more; so may a model of which there is a part.
    let mut few = decoding();
    let last = few.records.last_mut().unwrap();
    last.case = last.case.with("batch", 2);
    assert_eq!(known(&few), [("decode_over_read", 1.2)]);
    let mut part = decoding();
    for record in part.records.iter_mut().filter(|record| record.case.benchmark == "decode") {
        record.case = record.case.with("layers", 14);
    }
    assert_eq!(known(&part), []);
    let mut graphs = decoding();
    for record in graphs.records.iter_mut().filter(|record| record.case.benchmark == "decode") {
        record.case = record.case.with("submit", "graph");
    }
    assert_eq!(known(&graphs), []);
}
