//! A made-up run that looks like a real one, for the tests of what is shown. The figures resemble two
//! cores with AVX-512; the noise comes from a generator with a fixed seed.

use std::collections::BTreeMap;

use rooflint::record::{
    AxisValue, Cache, Candidate, Case, CheckFailure, CheckPassed, DeviceInfo, DeviceKind, Environment, Footer, Header,
    Measurement, Outcome, Precision, Protocol, Provenance, Quantity, Race, Record, Rejection, Run, RunRequest, Sample,
    StopReason, TimerInfo, ToolInfo, WarmUp, Work,
};
use rooflint::units::{ByteCount, FlopCount, Hertz, Ratio, Seconds};

pub const CACHE: u64 = 32 << 20;

pub fn seconds(value: f64) -> Seconds {
    Seconds::new(value).unwrap()
}

fn ratio(value: f64) -> Ratio {
    Ratio::new(value).unwrap()
}

pub fn device(kind: DeviceKind, name: &str) -> DeviceInfo {
    DeviceInfo {
        backend: "cpu".to_owned(),
        selector: "cpu".to_owned(),
        identity: None,
        name: name.to_owned(),
        architecture: "x86_64+avx512f".to_owned(),
        kind,
        compute_units: 2,
        memory_b: Some(ByteCount::gib(8)),
        caches: vec![
            Cache { level: 1, size_b: ByteCount::kib(32), instances: 2 },
            Cache { level: 2, size_b: ByteCount::mib(1), instances: 2 },
            Cache { level: 3, size_b: ByteCount(CACHE), instances: 1 },
        ],
        clock_max_hz: None,
        driver: None,
        features: vec!["avx2".to_owned(), "avx512f".to_owned(), "fma".to_owned()],
    }
}

pub fn run(devices: Vec<DeviceInfo>, records: Vec<Record>) -> Run {
    let header = Header {
        schema: 1,
        run_id: "k3v9q2".to_owned(),
        started_at: "2026-11-21T10:00:00Z".to_owned(),
        tool: ToolInfo { version: "0.1.0".to_owned(), optimised: true, target: "x86_64-unknown-linux-gnu".to_owned() },
        provenance: Provenance::Measured,
        request: RunRequest {
            profile: "standard".to_owned(),
            budget_s: None,
            seed: 1,
            devices: vec!["cpu".to_owned()],
            benchmarks: vec!["memory".to_owned(), "fma".to_owned(), "matmul".to_owned(), "launch".to_owned()],
            axes: BTreeMap::new(),
            shapes: Vec::new(),
        },
        environment: Environment {
            os: "Linux 6.8.0".to_owned(),
            cpu: "AMD EPYC 9B14".to_owned(),
            cores_usable: 2,
            cores_total: 2,
            memory_b: Some(ByteCount::gib(8)),
            memory_available_b: Some(ByteCount::gib(6)),
            virtual_machine: Some(true),
            quota_cores: None,
            governor: None,
            huge_pages: Some("madvise".to_owned()),
            other_load: Some(ratio(0.012)),
            other_processes: Vec::new(),
            warnings: Vec::new(),
        },
        devices,
        planned: records.len() as u32,
        framework: None,
    };
    let footer =
        Footer { finished_at: "2026-11-21T10:00:38Z".to_owned(), interrupted: false, other_processes: Vec::new() };
    Run { header, records, footer: Some(footer) }
}

/// Noise around 1 of a relative size: the sum of four uniform numbers, always the same for a seed.
pub fn noise(seed: u64, size: f64) -> impl Iterator<Item = f64> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut uniform = move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 11) as f64 / (1u64 << 53) as f64 - 0.5
    };
    std::iter::repeat_with(move || 1.0 + size * (uniform() + uniform() + uniform() + uniform()))
}

/// A measurement with these times of a repeat.
pub fn measurement(times: impl IntoIterator<Item = f64>, repeats: u32) -> Measurement {
    let sample = |(index, time): (usize, f64)| Sample {
        at_s: seconds(index as f64 * 0.01),
        elapsed_s: seconds(time * f64::from(repeats)),
        host_elapsed_s: seconds(time * f64::from(repeats) * 1.0001),
        clock_hz: Hertz::new(3.1e9),
        power_w: None,
        memory_clock_hz: None,
        temperature_c: None,
        preempted: Some(Ratio::ZERO),
        stolen: None,
        quota_throttled: None,
        throttle: Vec::new(),
        steps_s: Vec::new(),
        rejected: None,
    };
    Measurement {
        variant: "avx512".to_owned(),
        races: Vec::new(),
        timer: TimerInfo {
            clock: "clock_monotonic_raw".to_owned(),
            resolution_s: seconds(2e-8),
            overhead_s: seconds(4e-8),
            agreement: None,
        },
        protocol: Protocol {
            sample_min_s: seconds(0.002),
            samples_min: 10,
            samples_max: 200,
            time_max_s: seconds(1.0),
            half_width_target: ratio(0.005),
            warm_up_min_s: seconds(0.05),
            warm_up_max_s: seconds(0.5),
        },
        operations: Vec::new(),
        repeats,
        warm_up: WarmUp { elapsed_s: seconds(0.06), windows: 6, settled: true },
        samples: times.into_iter().enumerate().map(sample).collect(),
        stop: StopReason::Precise,
        check: CheckPassed { compared: 4096, worst: ratio(0.1) },
        conditions: BTreeMap::from([("page_size".to_owned(), "2 MiB".to_owned())]),
    }
}

pub fn record(case: Case, quantity: Quantity, work: Work, outcome: Outcome) -> Record {
    Record { case, device: 0, quantity, work, started_s: Seconds::ZERO, elapsed_s: seconds(0.7), outcome }
}

/// A record whose median time is near `time`, from `count` samples.
pub fn measured(case: Case, quantity: Quantity, work: Work, time: f64, count: usize, size: f64) -> Record {
    let seed = case.key().bytes().fold(7u64, |seed, byte| seed.wrapping_mul(31).wrapping_add(u64::from(byte)));
    let times = noise(seed, size).take(count).map(|factor| time * factor);
    let repeats = (0.002 / time).ceil().max(1.0) as u32;
    record(case, quantity, work, Outcome::Measured(Box::new(measurement(times, repeats))))
}

pub fn memory_case(kernel: &'static str, size: u64) -> (Case, Work) {
    let case = Case::new("memory", [("kernel", kernel.into()), ("size", size.into())], 1);
    let (read, written) = match kernel {
        "read" => (size, 1024),
        "write" => (0, size),
        "copy" => (size, size),
        _ => (2 * size, size),
    };
    let flop = (kernel == "triad").then_some((Precision::F32, FlopCount(size / 2)));
    (
        case,
        Work {
            bytes_read_b: ByteCount(read),
            bytes_written_b: ByteCount(written),
            flop: flop.into_iter().collect(),
            ..Work::default()
        },
    )
}

pub fn memory(kernel: &'static str, size: u64, rate: f64) -> Record {
    let (case, work) = memory_case(kernel, size);
    let time = work.bytes().0 as f64 / rate;
    measured(case, Quantity::Bandwidth, work, time, 40, 0.008)
}

pub fn fma(precision: Precision, threads: u64, rate: f64) -> Record {
    let axes = [("precision", precision.name().into()), ("threads", threads.into())];
    let flop = BTreeMap::from([(precision, FlopCount(1 << 30))]);
    let bytes_written_b = ByteCount((1 << 30) / 8192 * precision.size());
    let work = Work { bytes_written_b, flop, ..Work::default() };
    measured(Case::new("fma", axes, 1), Quantity::Throughput, work, (1u64 << 30) as f64 / rate, 24, 0.002)
}

pub fn matmul(precision: Precision, [m, n, k]: [u64; 3], rate: f64) -> Record {
    let axes = [("precision", precision.name().into()), ("m", m.into()), ("n", n.into()), ("k", k.into())];
    let flop = 2 * m * n * k;
    let work = Work {
        bytes_read_b: ByteCount((m * k + k * n) * precision.size()),
        bytes_written_b: ByteCount(m * n * precision.size()),
        flop: BTreeMap::from([(precision, FlopCount(flop))]),
        ..Work::default()
    };
    measured(Case::new("matmul", axes, 1), Quantity::Throughput, work, flop as f64 / rate, 30, 0.006)
}

pub fn launch(threads: u64, wait: &'static str, time: f64) -> Record {
    let axes = [("threads", AxisValue::Count(threads)), ("wait", wait.into())];
    measured(Case::new("launch", axes, 1), Quantity::Duration, Work::default(), time, 50, 0.02)
}

/// About forty cases, some of them flagged, one of each outcome.
pub fn realistic() -> Run {
    let mut records = Vec::new();
    for (times, factor) in [(1, 1.9), (2, 1.08), (4, 1.003), (8, 1.0)] {
        for (kernel, rate) in [("read", 52.4e9), ("write", 33.1e9), ("copy", 47.9e9), ("triad", 50.6e9)] {
            records.push(memory(kernel, times * CACHE, rate * factor));
        }
    }
    for (precision, rate) in [(Precision::F64, 115.8e9), (Precision::F32, 231.4e9), (Precision::I32, 114.9e9)] {
        records.push(fma(precision, 1, rate / 1.97));
        records.push(fma(precision, 2, rate));
    }
    for (size, rate) in [(128, 121e9), (256, 178e9), (512, 207e9), (1024, 219e9), (2048, 224e9), (4096, 223e9)] {
        records.push(matmul(Precision::F32, [size, size, size], rate));
    }
    for (m, rate) in [(1, 25.6e9), (8, 142e9), (64, 203e9), (256, 217e9)] {
        records.push(matmul(Precision::F32, [m, 4096, 4096], rate));
    }
    for (size, rate) in [(512, 101e9), (1024, 108e9), (2048, 111e9)] {
        records.push(matmul(Precision::F64, [size, size, size], rate));
    }
    for (wait, factor) in [("after_all", 1.0), ("after_each", 7.0)] {
        records.push(launch(1, wait, 0.21e-6 * factor));
        records.push(launch(2, wait, 0.64e-6 * factor));
    }
    disturb(&mut records);
    for record in &mut records {
        race(record);
    }
    let product = |size: u64| {
        let axes = [("precision", "f32".into()), ("m", size.into()), ("n", size.into()), ("k", size.into())];
        Case::new("matmul", axes, 1)
    };
    let wrong = CheckFailure {
        place: "c[17, 4]".to_owned(),
        expected: "0.1250 within 3e-6".to_owned(),
        found: "NaN".to_owned(),
    };
    records.push(record(product(3072), Quantity::Throughput, Work::default(), Outcome::Wrong(wrong)));
    let failed = "out of memory: 12 GiB asked for, 6 GiB available; choose a smaller size with --axis";
    records.push(record(product(32768), Quantity::Throughput, Work::default(), Outcome::Failed(failed.to_owned())));
    let skipped = "this device has no f16 arithmetic";
    let half = Case::new("fma", [("precision", "f16".into()), ("threads", 2u64.into())], 1);
    records.push(record(half, Quantity::Throughput, Work::default(), Outcome::Skipped(skipped.to_owned())));
    let mut run = run(vec![device(DeviceKind::Hardware, "AMD EPYC 9B14")], records);
    run.header.environment.warnings.push(
        "The clock could not be fixed: the machine offers no frequency governor. Compare runs of one session only."
            .to_owned(),
    );
    run
}

/// Makes some records worth a flag.
fn disturb(records: &mut [Record]) {
    let of = |records: &mut [Record], index: usize, change: &dyn Fn(&mut Measurement)| {
        if let Outcome::Measured(measurement) = &mut records[index].outcome {
            change(measurement);
        }
    };
    of(records, 3, &|measurement| {
        for sample in measurement.samples.iter_mut().step_by(9) {
            sample.rejected = Some(Rejection::Preempted);
            sample.elapsed_s = seconds(sample.elapsed_s.get() * 1.06);
        }
    });
    of(records, 9, &|measurement| {
        for sample in measurement.samples.iter_mut().skip(20) {
            sample.elapsed_s = seconds(sample.elapsed_s.get() * 1.04);
        }
    });
    of(records, 24, &|measurement| {
        for (index, sample) in measurement.samples.iter_mut().enumerate() {
            let factor = if index % 2 == 0 { 1.0 } else { 1.12 };
            sample.elapsed_s = seconds(sample.elapsed_s.get() * factor);
        }
    });
    of(records, 22, &|measurement| measurement.warm_up.settled = false);
    of(records, 30, &|measurement| measurement.samples.truncate(6));
}

fn race(record: &mut Record) {
    let median_s = Some(seconds(1.02e-3));
    if let (true, Outcome::Measured(measurement)) = (record.case.benchmark == "memory", &mut record.outcome) {
        let candidate = |variant: &str| Candidate { variant: variant.to_owned(), median_s, failure: None };
        let failed = Candidate {
            variant: "avx512_nt".to_owned(),
            median_s: None,
            failure: Some("no non-temporal form".to_owned()),
        };
        let candidates = vec![candidate("avx512"), candidate("avx2"), failed];
        measurement.races = vec![Race { step: "memory_read".to_owned(), candidates }];
    }
}

/// A point of `cache` that reads at `rate`.
pub fn cache(size: u64, slice: &'static str, rate: f64) -> Record {
    let axes = [("size", size.into()), ("slice", slice.into()), ("threads", AxisValue::Count(2))];
    let work = Work { bytes_read_b: ByteCount(size), ..Work::default() };
    measured(Case::new("cache", axes, 1), Quantity::Bandwidth, work, size as f64 / rate, 30, 0.004)
}

/// A point of `latency` whose accesses take `time` each.
pub fn latency(size: u64, stride: u64, time: f64) -> Record {
    let axes = [("size", size.into()), ("stride", stride.into()), ("chains", AxisValue::Count(1))];
    let work = Work { accesses: 16_384, ..Work::default() };
    measured(Case::new("latency", axes, 1), Quantity::Duration, work, 16_384.0 * time, 30, 0.004)
}

/// A point of `intensity` at `rate` operations per second.
pub fn intensity(fmas: u64, rate: f64) -> Record {
    let axes = [("fmas", fmas.into()), ("size", (64_u64 << 20).into())];
    let flop = (64 << 20) / 16 * fmas;
    let work = Work {
        bytes_read_b: ByteCount(64 << 20),
        flop: BTreeMap::from([(Precision::F32, FlopCount(flop))]),
        ..Work::default()
    };
    measured(Case::new("intensity", axes, 1), Quantity::Throughput, work, flop as f64 / rate, 30, 0.004)
}

/// Staircases of a device with caches of 32 KiB and 1 MiB for each of two cores and 32 MiB for both.
pub fn staircases() -> Vec<Record> {
    let mut records = Vec::new();
    for index in 0..21 {
        let size = (17.0 * 1024.0 * (f64::from(index) / 1.5).exp2()) as u64;
        let of = |[l1, l2, l3, memory]: [f64; 4], instances: u64| match size {
            size if size <= instances * (32 << 10) => l1,
            size if size <= instances * (1 << 20) => l2,
            size if size <= CACHE => l3,
            _ => memory,
        };
        records.push(cache(size, "private", of([240e9, 130e9, 95e9, 48e9], 2)));
        records.push(latency(size, 64, of([1.2e-9, 4.4e-9, 18e-9, 110e-9], 1)));
        if index >= 3 {
            records.push(latency(size / 4096 * 4096, 4096, of([1.2e-9, 1.2e-9, 6e-9, 20e-9], 1)));
        }
    }
    records
}

/// A roofline measured point by point.
pub fn intensities() -> Vec<Record> {
    let all = [1, 2, 4, 8, 16, 24, 32, 48, 64, 96, 128, 192, 256, 384, 512, 1024, 2048, 4096, 8192, 16_384];
    all.map(|fmas| intensity(fmas, (50e9 * fmas as f64 / 16.0).min(228e9))).into()
}
