//! Hand-made records and runs, so that a test states only what it is about.

use std::collections::BTreeMap;

use rooflint::record::{
    AxisValue, Cache, Case, CheckPassed, DeviceInfo, DeviceKind, Environment, Header, Measurement, Outcome, Precision,
    Protocol, Provenance, Quantity, Record, Rejection, Run, RunRequest, SCHEMA_VERSION, Sample, StopReason, TimerInfo,
    ToolInfo, WarmUp, Work,
};
use rooflint::stats::SplitMix64;
use rooflint::units::{ByteCount, FlopCount, Ratio, Seconds};

/// Seconds that are known to be valid.
pub fn seconds(value: f64) -> Seconds {
    Seconds::new(value).expect("a test's time is finite and not negative")
}

/// A ratio that is known to be valid.
pub fn ratio(value: f64) -> Ratio {
    Ratio::new(value).expect("a test's ratio is finite and not negative")
}

/// A case of `benchmark` at the given axes.
pub fn case(benchmark: &str, axes: &[(&'static str, AxisValue)]) -> Case {
    Case::new(benchmark, axes.iter().cloned(), 1)
}

/// Work of so many bytes read and written and so many operations.
pub fn work(bytes_read: u64, bytes_written: u64, flop: &[(Precision, u64)]) -> Work {
    Work {
        bytes_read_b: ByteCount(bytes_read),
        bytes_written_b: ByteCount(bytes_written),
        flop: flop.iter().map(|(precision, count)| (*precision, FlopCount(*count))).collect(),
        accesses: 0,
    }
}

/// A case measured on device 0, one repeat a sample, with these times in seconds. The timer is perfect,
/// the warm-up settled and no sample is rejected.
pub fn record(case: Case, work: Work, quantity: Quantity, times_s: &[f64]) -> Record {
    let outcome = Outcome::Measured(Box::new(measurement(times_s)));
    let (started_s, elapsed_s) = (Seconds::ZERO, seconds(times_s.iter().sum()));
    Record { case, device: 0, quantity, work, started_s, elapsed_s, outcome }
}

/// The measurement behind [`record`].
pub fn measurement(times_s: &[f64]) -> Measurement {
    let mut at_s = 0.0;
    let samples = times_s.iter().map(|time| {
        let sample = sample(at_s, *time);
        at_s += time;
        sample
    });
    Measurement {
        variant: "only".to_owned(),
        races: Vec::new(),
        operations: Vec::new(),
        timer: TimerInfo {
            clock: "scripted".to_owned(),
            resolution_s: Seconds::ZERO,
            overhead_s: Seconds::ZERO,
            agreement: None,
        },
        protocol: Protocol {
            sample_min_s: seconds(1e-3),
            samples_min: 10,
            samples_max: 100,
            time_max_s: seconds(1.0),
            half_width_target: ratio(0.01),
            warm_up_min_s: Seconds::ZERO,
            warm_up_max_s: seconds(1.0),
        },
        repeats: 1,
        warm_up: WarmUp { elapsed_s: Seconds::ZERO, windows: 3, settled: true },
        samples: samples.collect(),
        stop: StopReason::Precise,
        check: CheckPassed { compared: 64, worst: Ratio::ZERO },
        conditions: BTreeMap::new(),
    }
}

/// An accepted sample that only knows its times.
pub fn sample(at_s: f64, elapsed_s: f64) -> Sample {
    Sample {
        at_s: seconds(at_s),
        elapsed_s: seconds(elapsed_s),
        host_elapsed_s: seconds(elapsed_s),
        clock_hz: None,
        power_w: None,
        memory_clock_hz: None,
        temperature_c: None,
        preempted: None,
        stolen: None,
        quota_throttled: None,
        throttle: Vec::new(),
        steps_s: Vec::new(),
        rejected: None,
    }
}

/// The record's measurement, to be changed.
pub fn measured(record: &mut Record) -> &mut Measurement {
    match &mut record.outcome {
        Outcome::Measured(measurement) => measurement,
        other => panic!("not a measured record: {other:?}"),
    }
}

/// Rejects the first `count` samples.
pub fn reject(record: &mut Record, count: usize) {
    for sample in measured(record).samples.iter_mut().take(count) {
        sample.rejected = Some(Rejection::Preempted);
    }
}

/// A made-up processor: 8 cores, 32 MiB of last-level cache.
pub fn device() -> DeviceInfo {
    DeviceInfo {
        backend: "fake".to_owned(),
        selector: "fake".to_owned(),
        identity: None,
        name: "Scripted processor".to_owned(),
        architecture: "none".to_owned(),
        kind: DeviceKind::Fake,
        compute_units: 8,
        memory_b: Some(ByteCount::gib(16)),
        caches: vec![
            Cache { level: 1, size_b: ByteCount::kib(32), instances: 8 },
            Cache { level: 3, size_b: ByteCount::mib(16), instances: 2 },
        ],
        clock_max_hz: None,
        driver: None,
        features: Vec::new(),
    }
}

/// A finished-looking run of these records on [`device`].
pub fn run(records: Vec<Record>) -> Run {
    let request = RunRequest {
        profile: "quick".to_owned(),
        budget_s: None,
        seed: 1,
        devices: vec!["fake".to_owned()],
        benchmarks: Vec::new(),
        axes: BTreeMap::new(),
        shapes: Vec::new(),
    };
    let header = Header {
        schema: SCHEMA_VERSION,
        run_id: "0123456789abcdef".to_owned(),
        started_at: "2026-01-01T00:00:00Z".to_owned(),
        tool: ToolInfo { version: "0.0.0".to_owned(), optimised: true, target: "none".to_owned() },
        provenance: Provenance::Measured,
        request,
        environment: Environment::default(),
        devices: vec![device()],
        planned: records.len() as u32,
        framework: None,
    };
    Run { header, records, footer: None }
}

/// A draw from the standard normal distribution (Box and Muller).
pub fn normal(random: &mut SplitMix64) -> f64 {
    let radius = (-2.0 * (1.0 - random.next_f64()).ln()).sqrt();
    radius * (std::f64::consts::TAU * random.next_f64()).cos()
}

/// `count` times around `centre_s` with a relative standard deviation of `deviation`, never negative.
pub fn noisy(centre_s: f64, deviation: f64, count: usize, seed: u64) -> Vec<f64> {
    let mut random = SplitMix64::new(seed);
    (0..count).map(|_| centre_s * (deviation * normal(&mut random)).exp()).collect()
}
