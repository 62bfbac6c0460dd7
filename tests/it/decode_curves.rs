//! Decode steps as curves: the crossover, what a layer costs, and where the time goes.

use rooflint::fit::{CROSSOVER, Ceilings, decode_curves};
use rooflint::record::{Case, OperationWork, Precision, Quantity, Record, Run, Work};
use rooflint::report::View;
use rooflint::report::view::Drawn;
use rooflint::units::{ByteCount, FlopCount};

use crate::support::{case, measured, record, run, seconds, work};

const LAYERS: u64 = 30;

pub fn step(batch: u64, layers: u64, time_s: f64) -> Record {
    let axes = [
        ("model", "smollm2_135m".into()),
        ("precision", "bf16".into()),
        ("batch", batch.into()),
        ("context", 256_u64.into()),
        ("layers", layers.into()),
    ];
    let work = work(270_000_000, 1000, &[(Precision::Bf16, batch * 270_000_000)]);
    record(case("decode", &axes), work, Quantity::Duration, &[time_s * 0.99, time_s, time_s * 1.01, time_s, time_s])
}

fn with(record: &Record, axis: &str, value: &str) -> Record {
    let case: Case = record.case.with(axis, value);
    Record { case, ..record.clone() }
}

/// Ten milliseconds for the parameters, then one for every sixteen sequences; a layer takes a fortieth of a step.
fn time_of(batch: u64, layers: u64) -> f64 {
    let flat = 0.0025 + 0.0075 * layers as f64 / LAYERS as f64;
    f64::max(flat, batch as f64 / 16.0 * 0.01)
}

fn sample() -> Run {
    let mut records: Vec<Record> = [64, 1, 8, 16, 32].map(|batch| step(batch, LAYERS, time_of(batch, LAYERS))).to_vec();
    records.push(step(1, 15, time_of(1, 15)));
    let mut operations = with(&step(1, LAYERS, 0.012), "detail", "operations");
    let measurement = measured(&mut operations);
    let named = |name: &str, bytes: u64| OperationWork {
        name: name.to_owned(),
        work: Work {
            bytes_read_b: ByteCount(bytes),
            flop: [(Precision::Bf16, FlopCount(7))].into(),
            ..Work::default()
        },
    };
    measurement.operations = vec![named("mlp_up", 200_000_000), named("attention", 1_000_000)];
    for sample in &mut measurement.samples {
        let repeats = f64::from(measurement.repeats);
        sample.steps_s = vec![seconds(0.007 * repeats), seconds(0.0026 * repeats)];
    }
    records.push(operations);
    run(records)
}

fn near(found: f64, expected: f64) {
    assert!((found / expected - 1.0).abs() <= 1e-9, "{found} is not {expected}");
}

#[test]
fn the_crossover_lies_between_the_batches_around_it() {
    let curves = decode_curves(&sample(), 0);
    assert_eq!(curves.len(), 1);
    let curve = &curves[0];
    let batches: Vec<u64> = curve.steps.iter().map(|step| step.batch).collect();
    assert_eq!((batches, curve.layers, curve.share_layers), (vec![1, 8, 16, 32, 64], 30, Some(30)));
    // From ten milliseconds at 16 to twenty at 32, a straight line of slope one in logarithms.
    let crossover = curve.crossover.unwrap();
    near(crossover.value, 16.0 * CROSSOVER);
    assert!(crossover.low < crossover.value && crossover.value < crossover.high, "{crossover:?}");
    // Nothing is said where no batch is past it.
    let mut flat = sample();
    flat.records.retain(|record| record.case.count("batch").unwrap() <= 16);
    assert_eq!(decode_curves(&flat, 0)[0].crossover, None);
}

#[test]
fn keys_and_values_of_a_step_are_those_of_the_share() {
    let kv = |record: Record| decode_curves(&run(vec![record]), 0)[0].steps[0].kv_b;
    // 30 layers, 3 KV heads of 64, 256 tokens, 2 bytes, both.
    let whole = 30 * 3 * 64 * 256 * 2 * 2;
    assert_eq!(kv(step(1, LAYERS, 0.01)), Some(whole));
    assert_eq!(kv(step(8, 15, 0.01)), Some(8 * whole / 2));
    let one_of_three = step(1, LAYERS, 0.01);
    let one_of_three = Record { case: one_of_three.case.with("tensor", 3), ..one_of_three };
    assert_eq!(kv(one_of_three), Some(whole / 3));
    assert_eq!(kv(with(&step(1, LAYERS, 0.01), "model", "unheard_of")), None);
}

#[test]
fn a_curve_is_fitted_as_two_rates() {
    // 270 MB and, for each sequence, as many operations: 0.25 of the former's time at 64.
    let rates = (27e9, 432e9);
    let time = |batch: u64| {
        let (read, compute) = (270.001e6 / rates.0, batch as f64 * 270e6 / rates.1);
        (read * read + compute * compute).sqrt()
    };
    let batches = [1, 16, 64, 256, 1024];
    let curve = |count: usize| {
        let steps = batches[..count].iter().map(|batch| step(*batch, LAYERS, time(*batch)));
        decode_curves(&run(steps.collect()), 0).remove(0)
    };
    let whole = curve(5);
    let fit = whole.fit.expect("enough batches");
    assert!((fit.bandwidth / rates.0 - 1.0).abs() < 0.05 && (fit.throughput / rates.1 - 1.0).abs() < 0.05, "{fit:?}");
    for (step, fitted) in whole.steps.iter().zip(&fit.times_s) {
        assert!((fitted / time(step.batch) - 1.0).abs() < 0.03, "{}: {fitted}", step.batch);
    }
    assert!(curve(3).fit.is_none(), "three batches have no fit of three constants");
    // Said beside the picture; the throughput only where arithmetic takes part.
    let told = |batches: &[u64]| {
        let steps = batches.iter().map(|batch| step(*batch, LAYERS, time(*batch)));
        let view = View::of(&[run(steps.collect())]);
        view.plots().map(|plot| plot.caption.clone()).collect::<String>()
    };
    let (wide, narrow) = (told(&batches), told(&[1, 2, 3, 4]));
    assert!(
        wide.contains("The fit of smollm2_135m bf16, context 256 reads at 27") && wide.contains("computes at 4"),
        "{wide}"
    );
    assert!(narrow.contains("is bound by arithmetic at none of these batches"), "{narrow}");
}

#[test]
fn layers_and_the_rest_of_a_step_are_told_apart() {
    let mut partial = sample();
    // Of a model with more layers than were measured, the whole is extrapolated.
    let cost = decode_curves(&partial, 0)[0].costs[0].clone();
    near(cost.layer.value, 0.0075 / 30.0);
    near(cost.step.value, 0.0025);
    near(cost.whole.value, 0.01);
    assert!(cost.step.low < cost.step.value && cost.step.high > cost.step.value);
    partial.records = vec![step(1, 10, time_of(1, 10)), step(1, 20, time_of(1, 20))];
    let curve = &decode_curves(&partial, 0)[0];
    near(curve.costs[0].whole.value, 0.01);
    assert!(curve.costs[0].whole.high - curve.costs[0].whole.low > curve.steps[0].time.high - curve.steps[0].time.low);
}

#[test]
fn what_operations_leave_is_not_attributed() {
    let mut run = sample();
    let breakdown = decode_curves(&run, 0)[0].breakdowns[0].clone();
    near(breakdown.operations[0].1, 0.007);
    near(breakdown.not_attributed_s().unwrap(), 0.01 - 0.0096);
    // Of samples that were all disturbed, all count, as for every other figure.
    let last = run.records.last_mut().unwrap();
    let count = measured(last).samples.len();
    crate::support::reject(last, count);
    near(decode_curves(&run, 0)[0].breakdowns[0].operations[1].1, 0.0026);
}

#[test]
fn steps_are_held_against_the_devices_own_ceilings() {
    let mut run = sample();
    let memory = case("memory", &[("kernel", "read".into()), ("size", (1_u64 << 30).into())]);
    run.records.push(record(memory, work(54_000_000_000, 0, &[]), Quantity::Bandwidth, &[1.0, 1.0, 1.0]));
    let fma = case("fma", &[("precision", "f32".into()), ("threads", 2_u64.into())]);
    run.records.push(record(
        fma,
        work(0, 8, &[(Precision::F32, 270_000_000_000)]),
        Quantity::Throughput,
        &[1.0, 1.0, 1.0],
    ));
    let ceilings = Ceilings::of(&run, 0);
    let curve = &decode_curves(&run, 0)[0];
    let first = &curve.steps[0];
    // 270 MB at 54 GB/s are five of ten milliseconds; of 64 sequences the arithmetic is 64 of 40 … the larger counts.
    assert!((curve.of_bandwidth(first, &ceilings).unwrap() - 0.5).abs() < 1e-3);
    assert!((curve.of_bound(first, &ceilings, false).unwrap() - 0.5).abs() < 1e-3);
    let last = curve.steps.last().unwrap();
    // No ceiling of bf16 was measured, and matrix units have another than f32.
    assert_eq!(curve.utilisation(last, &ceilings, true), None);
    near(curve.utilisation(last, &ceilings, false).unwrap(), 64e-3 / 0.04);
    near(curve.of_bound(last, &ceilings, false).unwrap(), 64e-3 / 0.04);
}

#[test]
fn unlike_steps_are_curves_of_their_own() {
    let mut run = sample();
    run.records.push(with(&step(1, LAYERS, 0.009), "submit", "graph"));
    let curves = decode_curves(&run, 0);
    let unusual: Vec<&str> = curves.iter().map(|curve| curve.unusual.as_str()).collect();
    assert_eq!(unusual, ["", "submit=graph"]);
}

#[test]
fn a_report_shows_the_curve_the_layers_and_the_operations() {
    let view = View::of(&[sample()]);
    let device = &view.devices[0];
    let captions: Vec<&str> = device.decoding.iter().map(|table| table.caption.as_str()).collect();
    assert_eq!(captions.len(), 3, "{captions:?}");
    assert!(captions[0].contains("1.25 times") && captions[0].contains("20"), "{captions:?}");
    let names: Vec<&str> = device.plots.iter().map(|plot| plot.name.as_str()).collect();
    for name in ["decode", "tokens", "breakdown"] {
        assert!(names.contains(&name), "{names:?}");
    }
    let stacks = device.plots.iter().find(|plot| plot.name == "breakdown").unwrap();
    let Drawn::Stacks(stacks) = &stacks.drawn else { panic!("stacks") };
    let sum: f64 = stacks.stacks[0].segments.iter().map(|segment| segment.value).sum();
    assert!((sum - 100.0).abs() < 1e-9, "{sum}");
    assert!(device.verdict.iter().any(|sentence| sentence.contains("decode step")), "{:?}", device.verdict);
    let rows: Vec<String> = device.decoding[2].rows.iter().map(|row| format!("{:?}", row.cells[0])).collect();
    assert!(rows.last().unwrap().contains("not attributed"), "{rows:?}");
}
