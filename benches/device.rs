//! Eight representative cases of the suite on the CPU, by device time: what `rooflint run` measures,
//! under Criterion's statistics. For working on kernels; figures to publish come from `rooflint run`.

use std::time::Duration;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use rooflint::device::{self, Detail, Device, Program, Start, Window};
use rooflint::record::{AxisValue, Case};
use rooflint::suite::{self, Benchmark};
use rooflint::units::Seconds;

/// The benchmark and the axes of each case. `threads` 0 stands for all.
const CASES: [(&str, &[(&str, Axis)]); 8] = [
    ("memory", &[("kernel", Axis::Word("read")), ("size", Axis::Count(256 << 20))]),
    ("memory", &[("kernel", Axis::Word("copy")), ("size", Axis::Count(256 << 20))]),
    ("memory", &[("kernel", Axis::Word("triad")), ("size", Axis::Count(256 << 20))]),
    ("fma", &[("precision", Axis::Word("f64")), ("threads", Axis::Count(0))]),
    ("fma", &[("precision", Axis::Word("f32")), ("threads", Axis::Count(0))]),
    (
        "matmul",
        &[
            ("m", Axis::Count(1024)),
            ("n", Axis::Count(1024)),
            ("k", Axis::Count(1024)),
            ("precision", Axis::Word("f32")),
        ],
    ),
    (
        "matmul",
        &[("m", Axis::Count(8)), ("n", Axis::Count(4096)), ("k", Axis::Count(4096)), ("precision", Axis::Word("f32"))],
    ),
    ("launch", &[("threads", Axis::Count(0)), ("wait", Axis::Word("after_all"))]),
];

#[derive(Clone, Copy)]
enum Axis {
    Count(u64),
    Word(&'static str),
}

fn case_on(device: &dyn Device, id: &str, axes: &[(&'static str, Axis)]) -> Case {
    let all = u64::from(device.info().compute_units);
    let value = |name: &str, axis: Axis| match axis {
        Axis::Count(0) if name == "threads" => AxisValue::Count(all),
        Axis::Count(count) => AxisValue::Count(count),
        Axis::Word(word) => AxisValue::from(word),
    };
    Case::new(id, axes.iter().map(|(name, axis)| (*name, value(name, *axis))), 1)
}

fn window(benchmark: &dyn Benchmark, case: &Case, repeats: u32) -> Window {
    Window {
        samples: 1,
        repeats,
        detail: Detail::Whole,
        start: Start::Queued,
        wait: benchmark.wait(case),
        deadline: Seconds::from(Duration::from_secs(120)),
    }
}

/// The fastest of the device's ways to run a program's only step, by the least of three samples.
fn fastest(device: &mut dyn Device, benchmark: &dyn Benchmark, case: &Case, program: Program) -> Program {
    let options = device.options(&program.steps[0]).expect("the step has options");
    let candidates = options.into_iter().map(|step| Program { steps: vec![step], ..program.clone() });
    let time = |candidate: &Program| {
        let recorded = device.record(candidate).expect("the program is sound");
        let samples = Window { samples: 3, ..window(benchmark, case, 1) };
        let timings = device.run(recorded, &samples).expect("the program runs");
        timings.iter().map(|timing| timing.elapsed).min()
    };
    candidates.min_by_key(time).expect("there is at least one option")
}

fn cases(criterion: &mut Criterion) {
    let (backend, rest) = device::select("cpu").expect("the CPU is always there");
    let mut device = (backend.open)(rest).expect("the CPU opens");
    for (id, axes) in CASES {
        let case = case_on(device.as_ref(), id, axes);
        let benchmark = suite::find(id).expect("the benchmark is in the table");
        let mark = device.mark();
        let program = benchmark.prepare(&case, device.as_mut()).expect("there is memory for the case");
        let program = fastest(device.as_mut(), benchmark, &case, program);
        let recorded = device.record(&program).expect("the program is sound");
        let work = benchmark.work(&case);
        let mut group = criterion.benchmark_group(id);
        let (bytes, operations) = (work.bytes().0, work.operations().0);
        if id != "memory" && operations > 0 {
            group.throughput(Throughput::Elements(operations));
        } else if bytes > 0 {
            group.throughput(Throughput::Bytes(bytes));
        }
        group.bench_function(case.key(), |bencher| {
            bencher.iter_custom(|repeats| {
                let repeats = u32::try_from(repeats).unwrap_or(u32::MAX);
                let timings = device.run(recorded, &window(benchmark, &case, repeats)).expect("the program runs");
                timings.iter().map(|timing| Duration::from(timing.elapsed)).sum()
            });
        });
        group.finish();
        device.release(mark).expect("the device lets go of its buffers");
    }
}

criterion_group! {
    name = benches;
    config = Criterion::default().warm_up_time(Duration::from_millis(500)).measurement_time(Duration::from_secs(2)).sample_size(20);
    targets = cases
}
criterion_main!(benches);
