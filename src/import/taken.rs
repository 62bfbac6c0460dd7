//! What others took, as records: a time is a sample, and how it was taken is not told.

use std::collections::BTreeMap;

use super::lint::Reason;
use crate::record::{Case, CheckPassed, Measurement, Outcome, Quantity, Record, Sample, StopReason, Work};
use crate::units::Seconds;

/// A published time as a sample.
pub(super) fn sample(time: Seconds) -> Sample {
    Sample {
        at_s: Seconds::ZERO,
        elapsed_s: time,
        host_elapsed_s: time,
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

/// A measurement of others, who do not tell how they timed it.
pub(super) fn taken(variant: &str, samples: Vec<Sample>, conditions: BTreeMap<String, String>) -> Measurement {
    Measurement {
        variant: variant.to_owned(),
        races: Vec::new(),
        timer: Default::default(),
        protocol: Default::default(),
        operations: Vec::new(),
        repeats: 1,
        warm_up: Default::default(),
        samples,
        stop: StopReason::SampleLimit,
        check: CheckPassed::default(),
        conditions,
    }
}

/// A record of times in seconds; one that is zero, negative or not a number quarantines it.
pub(super) fn record(case: Case, quantity: Quantity, work: Work, variant: &str, times_s: &[f64]) -> Record {
    let mut samples = Vec::with_capacity(times_s.len());
    let mut fault = times_s.is_empty().then(|| "no time at all".to_owned());
    for time_s in times_s {
        match Seconds::new(*time_s).filter(|time| *time > Seconds::ZERO) {
            Some(time) => samples.push(sample(time)),
            None => fault = Some(format!("a time of {time_s} s")),
        }
    }
    let outcome = match fault {
        Some(what) => Outcome::Failed(Reason::NoTime.quarantine(&what)),
        None => Outcome::Measured(Box::new(taken(variant, samples, BTreeMap::new()))),
    };
    Record { case, device: 0, quantity, work, started_s: Seconds::ZERO, elapsed_s: Seconds::ZERO, outcome }
}

/// Records of one case and device become one, with the samples of all; the first's work counts. One that was quarantined
/// stands alone: it has no samples to give.
pub(super) fn joined(records: Vec<Record>) -> Vec<Record> {
    let mut known: BTreeMap<(u32, String), usize> = BTreeMap::new();
    let mut joined: Vec<Record> = Vec::new();
    for record in records {
        let key = (record.device, record.case.key());
        let at = *known.entry(key).or_insert(joined.len());
        match (joined.get_mut(at).map(|first| &mut first.outcome), record.outcome) {
            (None, outcome) => joined.push(Record { outcome, ..record }),
            (Some(Outcome::Measured(first)), Outcome::Measured(more)) => first.samples.extend(more.samples),
            // What is wrong with one row of a case is told of the case.
            (Some(first), outcome @ Outcome::Failed(_)) => *first = outcome,
            (Some(_), _) => {}
        }
    }
    joined
}
