//! Records to ceilings, ridge points and the working-set check.

use rooflint::fit::{Ceilings, HOLDS, PLATEAU_TOLERANCE, staircases};
use rooflint::record::{AxisValue, Outcome, Precision, Quantity, Record};

use crate::sample_run;
use crate::support::{case, record, run, work};

const MIB: u64 = 1 << 20;

/// A memory record that moves `size` bytes a stream at `rate` bytes per second, give or take `noise`.
fn memory(kernel: &'static str, size: u64, rate: f64, noise: f64) -> Record {
    let (reads, writes) = match kernel {
        "read" => (1, 0),
        "write" => (0, 1),
        "copy" => (1, 1),
        _ => (2, 1),
    };
    let flop = [(Precision::F64, size / 4)];
    let work = work(reads * size, writes * size, if kernel == "triad" { &flop } else { &[] });
    let time = work.bytes().0 as f64 / rate;
    let axes = [("kernel", kernel.into()), ("size", AxisValue::Count(size))];
    record(case("memory", &axes), work, Quantity::Bandwidth, &around(time, noise))
}

/// Twenty times whose median is `time` and whose interval is `time` give or take about `noise`.
fn around(time: f64, noise: f64) -> Vec<f64> {
    (0..21).map(|i| time * (1.0 + noise * (f64::from(i * 8 % 21) - 10.0) / 5.0)).collect()
}

/// A compute record at `rate` operations per second.
fn fma(precision: Precision, threads: u64, rate: f64) -> Record {
    let axes = [("precision", precision.name().into()), ("threads", AxisValue::Count(threads))];
    let times = around(1e9 / rate, 0.01);
    record(case("fma", &axes), work(0, 0, &[(precision, 1_000_000_000)]), Quantity::Throughput, &times)
}

fn matmul(precision: Precision, n: u64, rate: f64) -> Record {
    let axes = [("precision", precision.name().into()), ("m", n.into()), ("n", n.into()), ("k", n.into())];
    let flop = 2 * n * n * n;
    let work = work(2 * n * n * precision.size(), n * n * precision.size(), &[(precision, flop)]);
    record(case("matmul", &axes), work, Quantity::Throughput, &around(flop as f64 / rate, 0.01))
}

fn close(a: f64, b: f64) -> bool {
    (a - b).abs() <= 1e-9 * b.abs()
}

#[test]
fn memory_ceilings_are_those_of_the_largest_working_set() {
    let run = run(vec![
        memory("read", 8 * MIB, 200e9, 0.01),
        memory("copy", 128 * MIB, 40e9, 0.01),
        memory("read", 128 * MIB, 50e9, 0.01),
        memory("read", 64 * MIB, 51e9, 0.01),
        memory("triad", 64 * MIB, 45e9, 0.01),
    ]);
    let ceilings = Ceilings::of(&run, 0);
    let found: Vec<_> = ceilings.memory.iter().map(|m| (m.kernel.as_str(), m.rate.value, m.case.as_str())).collect();
    assert_eq!(found.iter().map(|f| f.0).collect::<Vec<_>>(), ["read", "triad", "copy"], "fastest first");
    assert!(close(found[0].1, 50e9) && close(found[1].1, 45e9) && close(found[2].1, 40e9), "{found:?}");
    assert_eq!(found[0].2, "memory kernel=read size=134217728");
}

/// A product of `m` rows with a square matrix of side `n`.
fn skinny(precision: Precision, m: u64, n: u64, rate: f64) -> Record {
    let axes = [("precision", precision.name().into()), ("m", m.into()), ("n", n.into()), ("k", n.into())];
    let flop = 2 * m * n * n;
    let work = work((m * n + n * n) * precision.size(), m * n * precision.size(), &[(precision, flop)]);
    record(case("matmul", &axes), work, Quantity::Throughput, &around(flop as f64 / rate, 0.01))
}

#[test]
fn a_product_that_waits_for_memory_is_no_compute_ceiling() {
    let records = || vec![memory("read", 256 * MIB, 50e9, 0.01), fma(Precision::F32, 8, 400e9)];
    // One row in bf16: 1 FLOP/byte, 90 % of what memory allows; the only product in that format.
    let mut waits = records();
    waits.push(skinny(Precision::Bf16, 1, 4096, 45e9));
    let found = Ceilings::of(&run(waits), 0).compute;
    assert!(found.iter().all(|ceiling| ceiling.precision != Precision::Bf16), "{found:?}");
    // 64 rows: 62 FLOP/byte, right of the ridge point, a tenth of what memory allows.
    let mut computes = records();
    computes.push(skinny(Precision::Bf16, 64, 4096, 300e9));
    let found = Ceilings::of(&run(computes), 0).compute;
    assert!(found.iter().any(|ceiling| ceiling.precision == Precision::Bf16), "{found:?}");
    // Right of the ridge point of the vector units, and yet at what memory allows.
    let mut fast = records();
    fast.push(skinny(Precision::Bf16, 16, 4096, 700e9));
    let found = Ceilings::of(&run(fast), 0).compute;
    assert!(found.iter().all(|ceiling| ceiling.precision != Precision::Bf16), "{found:?}");
}

#[test]
fn compute_ceilings_are_the_best_of_each_benchmark_and_precision() {
    let run = run(vec![
        fma(Precision::F32, 1, 50e9),
        fma(Precision::F32, 8, 400e9),
        fma(Precision::F64, 8, 200e9),
        fma(Precision::I32, 8, 300e9),
        matmul(Precision::F32, 512, 350e9),
        matmul(Precision::F32, 1024, 380e9),
    ]);
    let ceilings = Ceilings::of(&run, 0);
    let found: Vec<_> = ceilings.compute.iter().map(|c| (c.benchmark.as_str(), c.precision)).collect();
    let expected =
        [("fma", Precision::F32), ("matmul", Precision::F32), ("fma", Precision::I32), ("fma", Precision::F64)];
    assert_eq!(found, expected);
    assert!(close(ceilings.compute[0].rate.value, 400e9) && close(ceilings.compute[1].rate.value, 380e9));
    assert_eq!(ceilings.compute[1].case, "matmul k=1024 m=1024 n=1024 precision=f32");
    assert_eq!(ceilings.ridges, [], "no memory ceiling to meet");
}

#[test]
fn only_random_data_make_a_ceiling() {
    let mut zeros = matmul(Precision::F32, 1024, 500e9);
    zeros.case.axes.insert("data".to_owned(), "zeros".into());
    let mut random = matmul(Precision::F32, 1024, 380e9);
    random.case.axes.insert("data".to_owned(), "random".into());
    let ceilings = Ceilings::of(&run(vec![zeros, random]), 0);
    assert_eq!(ceilings.compute.len(), 1);
    assert!(close(ceilings.compute[0].rate.value, 380e9), "{:?}", ceilings.compute);
}

#[test]
fn a_ridge_is_compute_over_memory_with_both_intervals() {
    let run = run(vec![
        memory("write", 128 * MIB, 80e9, 0.01),
        memory("read", 128 * MIB, 50e9, 0.01),
        fma(Precision::F32, 8, 400e9),
        fma(Precision::F64, 8, 200e9),
    ]);
    let ceilings = Ceilings::of(&run, 0);
    let values: Vec<_> = ceilings.ridges.iter().map(|r| (r.compute, r.intensity.value)).collect();
    assert!(close(values[0].1, 8.0) && close(values[1].1, 4.0), "against read, not the faster write: {values:?}");
    assert_eq!((values[0].0, values[1].0), (0, 1));
    let (ridge, flat) = (&ceilings.ridges[0].intensity, ceilings.compute[0].rate);
    let slope = ceilings.memory.iter().find(|m| m.kernel == "read").expect("read").rate;
    assert!(close(ridge.low, flat.low / slope.high) && close(ridge.high, flat.high / slope.low));
    assert!(ridge.low < ridge.value && ridge.value < ridge.high, "{ridge:?}");
}

#[test]
fn without_a_read_ceiling_the_fastest_is_taken() {
    let records = vec![memory("copy", MIB, 40e9, 0.0), memory("write", MIB, 80e9, 0.0), fma(Precision::F32, 8, 400e9)];
    let ceilings = Ceilings::of(&run(records), 0);
    assert!(close(ceilings.ridges[0].intensity.value, 5.0), "{:?}", ceilings.ridges);
}

#[test]
fn points_compute_and_move_bytes() {
    let run = run(vec![
        memory("read", 64 * MIB, 50e9, 0.01),
        memory("triad", 64 * MIB, 48e9, 0.01),
        fma(Precision::F32, 8, 400e9),
        matmul(Precision::F64, 512, 100e9),
    ]);
    let points = Ceilings::of(&run, 0).points;
    assert_eq!(points.iter().map(|p| p.benchmark.as_str()).collect::<Vec<_>>(), ["memory", "matmul"]);
    // Triad: one FMA per 24 bytes; its bandwidth headline becomes an operation rate.
    assert!(close(points[0].intensity, 2.0 / 24.0), "{}", points[0].intensity);
    assert!(close(points[0].rate.value, 48e9 * 2.0 / 24.0), "{:?}", points[0].rate);
    assert!(points[0].rate.low < points[0].rate.value && points[0].rate.value < points[0].rate.high);
    assert!(close(points[1].intensity, 2.0 * 512.0 / 24.0), "{}", points[1].intensity);
    assert!(close(points[1].rate.value, 100e9));
    assert_eq!((points[0].precision, points[1].precision), (Precision::F64, Precision::F64));
}

#[test]
fn mixed_work_counts_under_its_main_precision() {
    let mut mixed = matmul(Precision::F32, 256, 100e9);
    mixed.work = work(100, 100, &[(Precision::Bf16, 9000), (Precision::F32, 1000)]);
    let ceilings = Ceilings::of(&run(vec![mixed]), 0);
    assert_eq!(ceilings.points[0].precision, Precision::Bf16);
    assert_eq!(ceilings.compute, [], "no ceiling of one precision");
}

/// The plateau of read bandwidths over these sizes (MiB); the cache has 32 MiB.
fn plateau(rows: &[(u64, f64)], noise: f64) -> Option<rooflint::fit::Plateau> {
    let records = rows.iter().map(|(mib, rate)| memory("read", mib * MIB, *rate, noise)).collect();
    Ceilings::of(&run(records), 0).plateau
}

#[test]
fn the_plateau_compares_the_two_largest_working_sets() {
    let flat = plateau(&[(128, 50e9), (8, 200e9), (64, 50.5e9)], 0.001).expect("three working sets");
    assert_eq!(flat.steps.iter().map(|(size, _)| *size).collect::<Vec<_>>(), [0.25, 2.0, 4.0]);
    assert!(close(flat.drift, 0.01) && flat.flat && flat.shows_memory(), "{flat:?}");

    let falling = plateau(&[(8, 200e9), (64, 60e9), (128, 50e9)], 0.001).expect("three working sets");
    assert!(close(falling.drift, 0.2) && !falling.flat && !falling.shows_memory(), "{falling:?}");

    let rising = plateau(&[(64, 40e9), (128, 50e9)], 0.001).expect("two working sets");
    assert!(close(rising.drift, -0.2) && rising.shows_memory(), "no cache makes the smaller one slower: {rising:?}");

    let edge = plateau(&[(64, 50e9 * (1.0 + PLATEAU_TOLERANCE * 1.05)), (128, 50e9)], 0.001).expect("two");
    assert!(!edge.flat, "{edge:?}");
}

#[test]
fn a_difference_within_the_noise_is_flat() {
    let noisy = plateau(&[(64, 53e9), (128, 50e9)], 0.1).expect("two working sets");
    assert!(noisy.drift > PLATEAU_TOLERANCE && noisy.flat, "{noisy:?}");
}

#[test]
fn a_plateau_inside_the_cache_shows_no_memory() {
    let cached = plateau(&[(8, 200e9), (16, 200e9)], 0.001).expect("two working sets");
    assert!(cached.flat && !cached.shows_memory(), "{cached:?}");
    let straddling = plateau(&[(16, 200e9), (64, 200e9)], 0.001).expect("two working sets");
    assert!(!straddling.shows_memory(), "one of the two fits in the cache");
}

#[test]
fn no_plateau_without_two_working_sets_or_a_cache() {
    assert_eq!(plateau(&[(64, 50e9)], 0.001), None);
    assert_eq!(plateau(&[(64, 50e9), (64, 51e9)], 0.001), None, "one size, twice");
    let records = vec![memory("read", 64 * MIB, 50e9, 0.0), memory("read", 128 * MIB, 50e9, 0.0)];
    let mut uncached = run(records);
    uncached.header.devices[0].caches.clear();
    assert_eq!(Ceilings::of(&uncached, 0).plateau, None);
}

#[test]
fn other_devices_and_other_outcomes_are_passed_over() {
    let mut elsewhere = memory("read", 128 * MIB, 900e9, 0.01);
    elsewhere.device = 1;
    let mut failed = fma(Precision::F32, 8, 400e9);
    failed.outcome = Outcome::Failed("lost".to_owned());
    let launch = record(case("launch", &[("threads", 8.into())]), work(0, 0, &[]), Quantity::Duration, &[1e-6; 20]);
    let mut run = run(vec![elsewhere, failed, launch]);
    assert_eq!(Ceilings::of(&run, 0), Ceilings::default());
    assert!(close(Ceilings::of(&run, 1).memory[0].rate.value, 900e9), "even of a device the header does not list");
    run.records.clear();
    assert_eq!(Ceilings::of(&run, 0), Ceilings::default());
}

/// The staircases of the made-up two cores.
fn stairs(records: Vec<Record>) -> Vec<rooflint::fit::Staircase> {
    let device = sample_run::device(rooflint::record::DeviceKind::Hardware, "Chip");
    staircases(&sample_run::run(vec![device], records), 0)
}

#[test]
fn a_staircase_has_a_level_for_every_cache_and_memory() {
    let all = stairs(sample_run::staircases());
    let names: Vec<_> = all.iter().map(|stairs| (stairs.benchmark.as_str(), stairs.steps.len())).collect();
    assert_eq!(names, [("cache", 21), ("latency", 21), ("latency", 18)]);
    for (stairs, values, instances) in
        [(&all[0], [240e9, 130e9, 95e9, 48e9], 2), (&all[1], [1.2e-9, 4.4e-9, 18e-9, 110e-9], 1)]
    {
        let capacities = [instances * (32 << 10), instances * MIB, 32 * MIB].map(|bytes| bytes as f64);
        assert!(stairs.caches.iter().map(|(_, bytes)| *bytes).eq(capacities), "{:?}", stairs.caches);
        assert!(stairs.steps.is_sorted_by_key(|step| step.size_b));
        let names: Vec<_> = stairs.levels.iter().map(|level| level.name.as_str()).collect();
        assert_eq!(names, ["L1", "L2", "L3", "memory"]);
        for (level, value) in stairs.levels.iter().zip(values) {
            assert!((level.value.value / value - 1.0).abs() < 0.02, "{}: {:?}", level.name, level.value);
        }
        for (level, capacity) in stairs.levels.iter().zip(capacities) {
            // The largest size measured that the cache holds: sizes grow by less than 1.6.
            let reach = level.reach.expect("a cache ends somewhere").0 as f64;
            assert!(reach <= capacity && reach > capacity / 1.6, "{}: {reach}", level.name);
        }
        assert_eq!(stairs.levels[3].reach, None);
    }
    // One line in 4 KiB: a cache of 32 KiB holds those of 2 MiB.
    assert_eq!(all[2].caches[0].1, 2.0 * MIB as f64);
}

#[test]
fn accesses_that_follow_from_the_size_split_no_curve() {
    let mut records = sample_run::staircases();
    for record in records.iter_mut().filter(|record| record.case.benchmark == "latency") {
        let size = record.case.count("size").unwrap();
        if size < 100_000 {
            record.case = record.case.with("accesses", 512 * size / 64);
        }
    }
    let steps = |all: Vec<rooflint::fit::Staircase>| all.iter().map(|stairs| stairs.steps.len()).collect::<Vec<_>>();
    assert_eq!(steps(stairs(records)), steps(stairs(sample_run::staircases())));
}

#[test]
fn a_cache_that_is_smaller_than_it_says_shows_in_its_reach() {
    // The last cache gives out at 10 MiB of 32.
    let records = (0..18).map(|index| {
        let size = (100.0 * 1024.0 * (f64::from(index) * 0.6).exp2()) as u64;
        let rate = if size <= 2 * MIB {
            130e9
        } else if size <= 10 * MIB {
            95e9
        } else {
            48e9
        };
        sample_run::cache(size, "private", rate)
    });
    let all = stairs(records.collect());
    let last = all[0].levels.iter().find(|level| level.name == "L3").expect("points within it");
    assert!(last.value.value > 90e9 && last.reach.expect("ends").0 <= 10 * MIB, "{last:?}");
    const { assert!(HOLDS > 48.0 / 95.0) };
}

#[test]
fn staircases_need_points_and_claim_no_level_without_them() {
    assert_eq!(stairs(vec![sample_run::cache(20_000, "private", 1e9), sample_run::cache(30_000, "private", 1e9)]), []);
    let below = (1..4).map(|size| sample_run::cache(size * 16_384, "private", 240e9)).collect();
    let all = stairs(below);
    assert_eq!(all[0].levels.iter().map(|level| level.name.as_str()).collect::<Vec<_>>(), ["L1"]);
    let series = |slice| (1..4).map(move |size| sample_run::cache(size * 16_384, slice, 240e9));
    assert_eq!(stairs(series("private").chain(series("shared")).collect()).len(), 2, "curves are not mixed");
    assert_eq!(stairs(vec![memory("read", MIB, 1e9, 0.0); 5]), []);
}
