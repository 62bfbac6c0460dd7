//! Imported rows held against physics.
//!
//! A row that cannot be is quarantined: it stays in the file as a failed case with the reason and its time, and counts
//! nowhere. What a datasheet states is a limit for bandwidths as it stands, and for arithmetic at the highest clock.

use std::collections::BTreeMap;
use std::fmt;

use crate::hardware::{self, Gpu, Rate};
use crate::record::{Case, DeviceInfo, Outcome, Precision, Quantity, Record};
use crate::units::{ByteCount, Hertz, Seconds};

/// Why a row is quarantined.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reason {
    /// Its time is zero, negative or not a number.
    NoTime,
    /// Faster than its memory, or the links between its GPUs, can move the bytes.
    AboveBandwidth,
    /// Faster than the chip computes at its highest clock.
    AbovePeak,
    /// Its data fit into the last cache, and it is called a figure of memory or is faster than memory can be.
    InCache,
    /// Possible only in a narrower number format than the one it names.
    Mislabelled,
}

impl Reason {
    /// Every reason with its word and what it means.
    pub const ALL: [(Self, &'static str, &'static str); 5] = [
        (Self::NoTime, "no_time", "a time that is zero, negative or not a number"),
        (Self::AboveBandwidth, "above_bandwidth", "faster than the datasheet's bandwidth"),
        (Self::AbovePeak, "above_peak", "faster than the peak at the highest clock"),
        (Self::InCache, "in_cache", "data inside the last cache: no figure of memory"),
        (Self::Mislabelled, "mislabelled", "possible only in a narrower number format than it names"),
    ];

    /// Its word in files.
    pub fn word(self) -> &'static str {
        Self::ALL.iter().find(|(reason, ..)| *reason == self).map_or("?", |(_, word, _)| word)
    }

    /// What it means.
    pub fn meaning(self) -> &'static str {
        Self::ALL.iter().find(|(reason, ..)| *reason == self).map_or("?", |(.., meaning)| meaning)
    }

    /// The text of a quarantined record: `quarantined (above_peak): …`.
    pub fn quarantine(self, what: &str) -> String {
        format!("quarantined ({}): {what}", self.word())
    }

    /// The reason for which a record was quarantined; `None` if it was not.
    pub fn of(record: &Record) -> Option<Self> {
        let Outcome::Failed(text) = &record.outcome else { return None };
        let word = text.strip_prefix("quarantined (")?.split_once(')')?.0;
        Self::ALL.iter().find(|(_, known, _)| *known == word).map(|(reason, ..)| *reason)
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.word())
    }
}

/// Rows beyond the cache that a group needs before its label is doubted.
const GROUP_LEAST: u64 = 20;
/// Share of a group's rows beyond the cache that must be impossible for its label to be doubted.
const GROUP_SHARE: f64 = 0.1;

/// What is known of rows that share a benchmark and number formats.
#[derive(Debug, Default)]
struct Group {
    /// Rows whose data do not fit into the last cache.
    beyond: u64,
    /// Those of them that are faster than memory.
    impossible: u64,
    /// The largest bandwidth among them over the datasheet's.
    most: f64,
}

impl Group {
    /// Whether so many rows are impossible, and all of them possible with half the bytes, that the format named cannot be
    /// the one that was measured.
    fn is_mislabelled(&self) -> bool {
        self.beyond >= GROUP_LEAST && self.impossible as f64 >= GROUP_SHARE * self.beyond as f64 && self.most <= 2.0
    }
}

/// Holds the rows of one import against the datasheets of its devices.
#[derive(Debug)]
pub struct Lint {
    /// The datasheet of each device of the header.
    sheets: Vec<Option<Gpu>>,
    groups: BTreeMap<(u32, String), Group>,
}

/// Benchmark and number formats: rows with one label.
fn label(case: &Case) -> String {
    let words = ["phase", "precision", "weights", "kv_precision"].map(|axis| case.word(axis).unwrap_or(""));
    format!("{} {}", case.benchmark, words.join(" ")).split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Capacity of the cache before memory.
fn last_cache(gpu: &Gpu) -> ByteCount {
    ByteCount::mib(gpu.last_cache_mib.unwrap_or(gpu.l2_mib))
}

/// The fastest time of a measured record.
fn fastest(record: &Record) -> Option<Seconds> {
    let measurement = record.outcome.measurement()?;
    let repeats = f64::from(measurement.repeats);
    measurement.samples.iter().map(|sample| sample.elapsed_s).min().and_then(|time| time.scaled(1.0 / repeats))
}

/// Bytes per second over the datasheet's; `None` for work that memory does not bound: collectives, and experts chosen at
/// random, whose bytes are an expectation.
fn of_bandwidth(record: &Record, gpu: &Gpu) -> Option<f64> {
    let case = &record.case;
    let bound = match case.benchmark.as_str() {
        "collective" => false,
        "moe" => case.word("routing") == Some("balanced"),
        _ => true,
    };
    let rate = record.work.bytes().per(fastest(record)?)?;
    rate.ratio_to(gpu.bandwidth()?).map(|ratio| ratio.get()).filter(|_| bound)
}

impl Lint {
    /// A lint for the devices of a header. Of a device without a datasheet only the times are looked at.
    pub fn new(devices: &[DeviceInfo]) -> Self {
        let sheets = devices.iter().map(|device| hardware::identify(&device.name).ok().flatten()).collect();
        Self { sheets, groups: BTreeMap::new() }
    }

    /// Whether a device has a datasheet.
    pub fn knows(&self, device: u32) -> bool {
        self.sheet(device).is_some()
    }

    fn sheet(&self, device: u32) -> Option<&Gpu> {
        self.sheets.get(device as usize).and_then(Option::as_ref)
    }

    /// Takes note of a row, so that its label can be judged by all that bear it. To be called with every row before the
    /// first is judged.
    pub fn observe(&mut self, record: &Record) {
        let Some(gpu) = self.sheet(record.device) else { return };
        let (beyond, ratio) = (record.work.bytes() > last_cache(gpu), of_bandwidth(record, gpu));
        let Some(ratio) = ratio.filter(|_| beyond) else { return };
        let group = self.groups.entry((record.device, label(&record.case))).or_default();
        group.beyond += 1;
        if ratio > 1.0 {
            group.impossible += 1;
            group.most = group.most.max(ratio);
        }
    }

    /// The record as it is, or quarantined.
    pub fn judge(&self, mut record: Record) -> Record {
        let Some((time, gpu)) = fastest(&record).zip(self.sheet(record.device)) else { return record };
        let fault =
            self.bandwidth(&record, gpu).or_else(|| links(&record, time, gpu)).or_else(|| peak(&record, time, gpu));
        if let Some((reason, what)) = fault {
            record.outcome = Outcome::Failed(reason.quarantine(&format!("{what}; its time is {time}")));
        }
        record
    }

    fn bandwidth(&self, record: &Record, gpu: &Gpu) -> Option<(Reason, String)> {
        let ratio = of_bandwidth(record, gpu)?;
        let (inside, cache) = (record.work.bytes() <= last_cache(gpu), last_cache(gpu));
        let limit = gpu.bandwidth()?;
        let group = self.groups.get(&(record.device, label(&record.case)));
        if let Some(group) = group.filter(|group| group.is_mislabelled()) {
            let (impossible, beyond) = (group.impossible, group.beyond);
            let what = format!(
                "{impossible} of the {beyond} larger rows called '{}' are faster than {limit}, and none with half the bytes",
                label(&record.case)
            );
            return Some((Reason::Mislabelled, what));
        }
        if inside && (ratio > 1.0 || record.quantity == Quantity::Bandwidth) {
            let what = format!("{} of data fit into the last cache of {cache}", record.work.bytes());
            return Some((Reason::InCache, what));
        }
        let rate = limit.scaled(ratio)?;
        (ratio > 1.0).then(|| (Reason::AboveBandwidth, format!("{rate}, where the datasheet has {limit}")))
    }
}

/// What a GPU must send and receive in a collective cannot be faster than its link. Switches that add take part of an
/// all-reduce's traffic from it, so that (n-1)/n of the message is the least for every operation.
fn links(record: &Record, time: Seconds, gpu: &Gpu) -> Option<(Reason, String)> {
    if record.case.benchmark != "collective" {
        return None;
    }
    let (gpus, size, limit) = (record.case.count("gpus")?, record.case.count("size")?, gpu.link_one_way()?);
    let least = ByteCount((size as f64 * gpus.saturating_sub(1) as f64 / gpus as f64) as u64);
    let rate = least.per(time)?;
    (rate > limit).then(|| (Reason::AboveBandwidth, format!("{rate} over a link of {limit}")))
}

/// The datasheet's rates for a precision, and those of narrower formats that might have been measured instead.
fn rates(precision: Precision) -> (&'static [Rate], &'static [Rate]) {
    match precision {
        Precision::F64 => (&[Rate::F64, Rate::F64Tensor], &[]),
        Precision::F32 => (&[Rate::F32], &[Rate::Tf32]),
        Precision::Tf32 => (&[Rate::Tf32], &[Rate::F16]),
        Precision::F16 | Precision::Bf16 => (&[Rate::F16, Rate::Bf16], &[Rate::Fp8, Rate::I8]),
        Precision::Fp8E4m3 | Precision::Fp8E5m2 => (&[Rate::Fp8], &[Rate::Fp4]),
        Precision::I8 => (&[Rate::I8], &[]),
        Precision::I32 => (&[], &[]),
    }
}

fn peak(record: &Record, time: Seconds, gpu: &Gpu) -> Option<(Reason, String)> {
    let precision = record.work.precision()?;
    let rate = record.work.operations().per(time)?;
    let clock = Hertz::new(gpu.boost_mhz * 1e6)?;
    let most = |rates: &[Rate]| rates.iter().filter_map(|rate| gpu.peak_at(*rate, clock).max(gpu.peak(*rate))).max();
    let (own, narrower) = rates(precision);
    let limit = most(own)?;
    if rate <= limit {
        return None;
    }
    let unit = precision.rate_unit();
    let what = format!("{:.4e} {unit} in {precision}, where {:.4e} is the peak at {clock}", rate.get(), limit.get());
    match most(narrower).is_some_and(|other| rate <= other) {
        true => Some((Reason::Mislabelled, format!("{what}; a narrower format reaches it"))),
        false => Some((Reason::AbovePeak, what)),
    }
}

/// How many rows became what.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Tally {
    /// Cases that count.
    pub measured: usize,
    /// Cases whose work cannot be declared, by what was said of them.
    pub skipped: BTreeMap<String, usize>,
    /// Quarantined cases by reason.
    pub quarantined: BTreeMap<Reason, usize>,
    /// One quarantined record of each reason: its key and its text.
    pub examples: BTreeMap<Reason, (String, String)>,
}

impl Tally {
    /// Counts a judged record.
    pub fn count(&mut self, record: &Record) {
        match (&record.outcome, Reason::of(record)) {
            (Outcome::Failed(text), Some(reason)) => {
                *self.quarantined.entry(reason).or_default() += 1;
                self.examples.entry(reason).or_insert_with(|| (record.case.key(), text.clone()));
            }
            (Outcome::Skipped(why), _) => *self.skipped.entry(why.clone()).or_default() += 1,
            _ => self.measured += 1,
        }
    }
}
