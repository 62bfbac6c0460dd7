//! Our own hot paths, timed by Criterion: statistics, the store, the report. No device is measured here.

use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use rooflint::fit::Ceilings;
use rooflint::record::Run;
use rooflint::stats::{Sorted, effective_count, median_interval};
use rooflint::summary::Summary;
use rooflint::{report, store};

/// A recorded run of the quick profile, also the golden file of the first schema.
const RUN: &[u8] = include_bytes!("../tests/data/run-v1.jsonl");

fn recorded() -> Run {
    store::parse(RUN, "run-v1.jsonl").expect("the golden file loads").run
}

fn statistics(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("stats");
    for count in [20_usize, 200, 5000] {
        // A sawtooth with a slow wave: neither constant nor independent.
        let series: Vec<f64> = (0..count).map(|i| 1.0 + (i * 7919 % 101) as f64 * 1e-4 + (i as f64 / 50.0).sin() * 1e-3).collect();
        group.throughput(Throughput::Elements(count as u64));
        group.bench_function(format!("median_interval/{count}"), |bencher| {
            bencher.iter(|| {
                let sorted = Sorted::new(black_box(&series).iter().copied()).expect("finite");
                median_interval(&sorted, count as f64, 0.95)
            });
        });
        group.bench_function(format!("effective_count/{count}"), |bencher| {
            bencher.iter(|| effective_count(black_box(&series)));
        });
    }
    group.finish();
}

fn files(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("store");
    group.throughput(Throughput::Bytes(RUN.len() as u64));
    group.bench_function("parse", |bencher| bencher.iter(|| store::parse(black_box(RUN), "run-v1.jsonl")));
    group.finish();
}

fn figures(criterion: &mut Criterion) {
    let run = recorded();
    let mut group = criterion.benchmark_group("figures");
    group.bench_function("summaries", |bencher| {
        bencher.iter(|| run.records.iter().filter_map(|record| Summary::of(black_box(record))).count());
    });
    group.bench_function("ceilings", |bencher| bencher.iter(|| Ceilings::of(black_box(&run), 0)));
    group.finish();
}

fn pages(criterion: &mut Criterion) {
    let runs = [recorded()];
    let mut group = criterion.benchmark_group("report");
    group.sample_size(10);
    group.bench_function("render", |bencher| bencher.iter(|| report::render(black_box(&runs)).map(|files| files.len())));
    group.finish();
}

criterion_group!(host, statistics, files, figures, pages);
criterion_main!(host);
