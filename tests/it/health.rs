//! Whether a card is in order: from what it says of itself and what was measured on it.

use rooflint::hardware::{self, Rate};
use rooflint::health::{Health, Mark, Verdict, judge};
use rooflint::record::{
    AxisValue, Card, Case, DeviceInfo, DeviceKind, Link, Outcome, Precision, Process, Quantity, Reading, Record, Work,
};
use rooflint::units::{ByteCount, FlopCount, Hertz, Seconds};

use crate::sample_run::{device, measurement, noise, record};

const CLOCK: f64 = 1.755e9;

/// An H100 as its driver describes it.
fn h100() -> DeviceInfo {
    DeviceInfo {
        backend: "cuda".to_owned(),
        compute_units: 132,
        memory_b: Some(ByteCount::mib(81_559)),
        ..device(DeviceKind::Hardware, "NVIDIA H100 80GB HBM3")
    }
}

/// As shipped, and alone.
fn card() -> Card {
    Card {
        power_limit_w: Reading::Value(700.0),
        power_limit_default_w: Reading::Value(700.0),
        ecc: Reading::Value(true),
        mig: Reading::Value(false),
        link: Link { generation: [Reading::Value(1), Reading::Value(5)], width: [Reading::Value(16); 2] },
        bus_width: Reading::Value(5120),
        memory: Reading::Value(ByteCount::mib(81_559)),
        other_processes: Reading::Value(Vec::new()),
    }
}

/// Records of shares of the datasheet's bandwidth, and of its arithmetic at a clock.
fn records(bandwidth: f64, arithmetic: f64, clock: f64) -> Vec<Record> {
    let sheet = hardware::find("h100_sxm").unwrap();
    let bytes = 1_u64 << 30;
    let measured = |time: f64, clock: f64| {
        let mut found = measurement(noise(3, 0.001).take(20).map(|noise| noise * time), 10);
        for sample in &mut found.samples {
            sample.clock_hz = Hertz::new(clock);
        }
        Outcome::Measured(Box::new(found))
    };
    let copy = Case::new("memory", [("kernel", AxisValue::from("copy"))], 1);
    let work = Work { bytes_read_b: ByteCount(bytes), ..Work::default() };
    let copy_time = bytes as f64 / (bandwidth * sheet.bandwidth_gb_s * 1e9);
    let fma = Case::new("fma", [("precision", AxisValue::from("f32"))], 1);
    let peak = sheet.peak_at(Rate::F32, Hertz::new(clock).unwrap()).unwrap().get();
    let flop = Work { flop: [(Precision::F32, FlopCount(1 << 40))].into(), ..Work::default() };
    let fma_time = (1_u64 << 40) as f64 / (arithmetic * peak);
    vec![
        record(copy, Quantity::Bandwidth, work, measured(copy_time, clock)),
        record(fma, Quantity::Throughput, flop, measured(fma_time, clock)),
    ]
}

fn health(card: &Card, records: &[Record]) -> Health {
    judge(&h100(), card, card, records).unwrap()
}

fn reasons(health: &Health) -> String {
    match &health.verdict {
        Verdict::Healthy => String::new(),
        Verdict::Slow { why } | Verdict::Unknown { why } => why.join("; "),
    }
}

#[test]
fn a_card_in_order_is_healthy() {
    for bandwidth in [0.861, 0.9, 0.95] {
        let found = health(&card(), &records(bandwidth, 0.98, CLOCK));
        assert_eq!(found.verdict, Verdict::Healthy, "{found:#?}");
        assert_eq!(found.sku.as_deref(), Some("H100 SXM 80 GB"));
        assert!(found.checks.iter().all(|check| check.mark == Mark::Fine), "{found:#?}");
    }
}

#[test]
fn what_is_slow_is_named_with_its_share_and_cause() {
    let slow = health(&card(), &records(0.7, 0.98, CLOCK));
    assert!(matches!(slow.verdict, Verdict::Slow { .. }));
    assert!(reasons(&slow).contains("memory bandwidth: 70.") && !reasons(&slow).contains("arithmetic:"), "{slow:#?}");
    let weak = health(&card(), &records(0.9, 0.8, CLOCK));
    assert!(reasons(&weak).contains("f32 arithmetic: 80.") && !reasons(&weak).contains("bandwidth"), "{weak:#?}");
    // The clock itself is low: arithmetic at that clock is what it should be.
    let sleepy = health(&card(), &records(0.9, 0.98, 1.2e9));
    assert!(reasons(&sleepy).contains("clock: 1.2") && !reasons(&sleepy).contains("arithmetic:"), "{sleepy:#?}");
    let mut hot = records(0.7, 0.98, CLOCK);
    if let Outcome::Measured(found) = &mut hot[0].outcome {
        found.samples[3].throttle = vec!["hardware_thermal".to_owned()];
    }
    assert!(reasons(&health(&card(), &hot)).contains("too hot"));
}

#[test]
fn a_card_that_is_not_as_shipped_is_not_comparable() {
    let usual = records(0.7, 0.98, CLOCK);
    type Change = fn(&mut Card);
    let changes: [(&str, Change); 5] = [
        ("power limit is 500 W", |card| card.power_limit_w = Reading::Value(500.0)),
        ("power limit is not permitted", |card| card.power_limit_w = Reading::NotPermitted),
        ("slices", |card| card.mig = Reading::Value(true)),
        ("other processes", |card| card.other_processes = Reading::Value(vec![Process { pid: 7, memory_b: None }])),
        ("of memory", |card| card.memory = Reading::Value(ByteCount::gib(40))),
    ];
    for (told, change) in changes {
        let mut card = card();
        change(&mut card);
        let found = health(&card, &usual);
        assert!(matches!(found.verdict, Verdict::Unknown { .. }) && reasons(&found).contains(told), "{found:#?}");
    }
    let mut sibling = h100();
    sibling.compute_units = 114;
    let found = judge(&sibling, &card(), &card(), &usual).unwrap();
    assert!(reasons(&found).contains("114 multiprocessors"), "{found:#?}");
    let mut emulated = h100();
    emulated.kind = DeviceKind::Emulated;
    assert!(reasons(&judge(&emulated, &card(), &card(), &usual).unwrap()).contains("no hardware"));
    let mut stranger = h100();
    stranger.name = "NVIDIA H100".to_owned();
    assert!(reasons(&judge(&stranger, &card(), &card(), &usual).unwrap()).contains("no datasheet"));
}

#[test]
fn the_link_is_judged_as_it_was_while_data_moved() {
    let found = |conditions: &[(&str, &str)]| {
        let mut records = records(0.9, 0.98, CLOCK);
        let route = Case::new("transfer", [("route", AxisValue::from("pinned_to_device"))], 1);
        let mut moved = measurement(noise(3, 0.001).take(20), 10);
        moved.conditions.extend(conditions.iter().map(|(name, words)| ((*name).to_owned(), (*words).to_owned())));
        let work = Work { bytes_read_b: ByteCount(1 << 24), ..Work::default() };
        records.push(record(route, Quantity::Bandwidth, work, Outcome::Measured(Box::new(moved))));
        let found = health(&card(), &records);
        found.checks.iter().find(|check| check.name == "link to the host").unwrap().clone()
    };
    let fine = found(&[("pcie_generation", "5 of 5"), ("pcie_width", "16 of 16")]);
    assert_eq!((fine.mark, fine.found.as_str()), (Mark::Fine, "x16, generation 5"));
    assert_eq!(fine.expected.as_deref(), Some("x16, generation 5"));
    for held in [
        [("pcie_generation", "3 of 5"), ("pcie_width", "16 of 16")],
        [("pcie_generation", "5 of 5"), ("pcie_width", "8 of 16")],
    ] {
        let slow = found(&held);
        assert_eq!(slow.mark, Mark::Note, "{slow:?}");
    }
    let untold = found(&[("pcie_generation", "not permitted"), ("pcie_width", "not supported")]);
    assert_eq!(untold.found, "not supported, generation not permitted");
    // Not looked at: what it says at rest, where it sleeps in the first generation.
    let rest = found(&[]);
    assert_eq!((rest.mark, rest.found.as_str()), (Mark::Fine, "x16, generation 1, at rest"));
}

#[test]
fn others_are_seen_before_and_after() {
    let usual = records(0.9, 0.98, CLOCK);
    let mut after = card();
    after.other_processes = Reading::Value(vec![Process { pid: 7, memory_b: Some(ByteCount::gib(3)) }]);
    let found = judge(&h100(), &card(), &after, &usual).unwrap();
    assert!(reasons(&found).contains("other processes"), "{found:#?}");
    let check = found.checks.iter().find(|check| check.name == "other processes").unwrap();
    assert_eq!(check.found, "none before, 1 (process 7 with 3 GiB) after");
    // That nobody may ask is no fault, and no proof.
    after.other_processes = Reading::NotPermitted;
    let found = judge(&h100(), &after, &after, &usual).unwrap();
    assert_eq!(found.verdict, Verdict::Healthy);
    let check = found.checks.iter().find(|check| check.name == "other processes").unwrap();
    assert_eq!((check.mark, check.found.as_str()), (Mark::Note, "not permitted"));
}

#[test]
fn what_was_not_measured_is_said() {
    let found = health(&card(), &[]);
    assert!(matches!(found.verdict, Verdict::Unknown { .. }), "{found:#?}");
    assert!(reasons(&found).contains("bandwidth could not") && reasons(&found).contains("arithmetic could not"));
    let twice = health(&card(), &records(0.9, 1.2, CLOCK));
    assert!(reasons(&twice).contains("more arithmetic than its clock allows"), "{twice:#?}");
}

/// The run on an H100 that is kept under `reports`, and what it says of its device and its card.
fn kept() -> (DeviceInfo, Vec<Record>) {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("reports/gpu-nvidia-h100-80gb-hbm3-20261122");
    let run = rooflint::store::load(&folder).unwrap().run;
    (run.header.devices[0].clone(), run.records)
}

#[test]
fn matrix_units_are_held_against_their_peak_at_the_clock_they_ran_at() {
    let (device, records) = kept();
    let found = judge(&device, &card(), &card(), &records).unwrap();
    assert_eq!(found.verdict, Verdict::Healthy, "{found:#?}");
    let units = found.checks.iter().find(|check| check.name == "bf16 matrix arithmetic").unwrap();
    assert!(units.found.contains("(98.") || units.found.contains("(99."), "{units:?}");
    assert!(found.checks.iter().any(|check| check.name == "bf16 matrix product"));

    // Units that take a quarter longer at the same clock.
    let mut weak = records.clone();
    for record in weak.iter_mut().filter(|record| record.case.benchmark == "mma") {
        let Outcome::Measured(measured) = &mut record.outcome else { panic!("measured") };
        for sample in &mut measured.samples {
            sample.elapsed_s = Seconds::new(sample.elapsed_s.get() * 1.25).unwrap();
        }
    }
    let found = judge(&device, &card(), &card(), &weak).unwrap();
    assert!(reasons(&found).contains("bf16 matrix arithmetic: 79."), "{found:#?}");

    // Not measured is not fine.
    let without: Vec<_> = records.into_iter().filter(|record| record.case.benchmark != "mma").collect();
    let found = judge(&device, &card(), &card(), &without).unwrap();
    assert!(matches!(found.verdict, Verdict::Unknown { .. }) && reasons(&found).contains("bf16"), "{found:#?}");
}
