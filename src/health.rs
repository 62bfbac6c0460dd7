//! Whether a card is what its owner pays for: what it is, what it is set to, and whether its bandwidth and arithmetic lie
//! where those of healthy cards do. Pure: what was read and measured in, a judgement out.

use crate::hardware::{Gpu, HardwareError, Rate, identify};
use crate::record::{Card, DeviceInfo, DeviceKind, Link, Outcome, Precision, Reading, Record};
use crate::summary::Summary;
use crate::units::{Hertz, with_prefix};

/// What a check came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Mark {
    /// As it should be.
    Fine,
    /// Not as shipped, or not known: no fault by itself.
    Note,
    /// Below what healthy cards do.
    Low,
}

/// One thing looked at.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
pub struct Check {
    /// What.
    pub name: &'static str,
    /// What was found, in words with units.
    pub found: String,
    /// What is expected, if anything is.
    pub expected: Option<String>,
    /// What it came to.
    pub mark: Mark,
}

/// The judgement.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
#[serde(rename_all = "snake_case", tag = "verdict")]
pub enum Verdict {
    /// Bandwidth and arithmetic lie where those of healthy cards do.
    Healthy,
    /// Something is below them.
    Slow {
        /// Which, by how much, and the likely cause.
        why: Vec<String>,
    },
    /// Nothing can be said.
    Unknown {
        /// Why the card is not comparable with others.
        why: Vec<String>,
    },
}

/// All that was looked at, and the judgement.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
pub struct Health {
    /// The datasheet it is held against, by name.
    pub sku: Option<String>,
    /// The checks, in the order they are shown.
    pub checks: Vec<Check>,
    /// The judgement.
    #[serde(flatten)]
    pub verdict: Verdict,
}

/// Least share of the peak at the clock observed that arithmetic out of registers reaches on a card in order: the
/// kernel issues a multiply-add in more than 99 of 100 slots, and 97 is what this project asks of it.
const FMA_LEAST: f64 = 0.95;
/// Most: more is a clock or a count that is wrong.
const FMA_MOST: f64 = 1.03;
/// Least share of the datasheet's clock under load.
const CLOCK_LEAST: f64 = 0.85;
/// Power limits closer than this are one, in watts.
const SAME_POWER_W: f64 = 1.0;
/// Difference in memory at which it is another board: drivers and ECC keep a few percent for themselves.
const SAME_MEMORY: f64 = 0.10;

/// Judges a card by what it says of itself before and after, and by the records of `memory`, `fma`, `mma`, `matmul`
/// and `transfer` on it.
///
/// # Errors
/// [`HardwareError`] if the embedded datasheets are damaged.
pub fn judge(device: &DeviceInfo, before: &Card, after: &Card, records: &[Record]) -> Result<Health, HardwareError> {
    let sheet = identify(&device.name)?;
    let mut findings = Findings { checks: Vec::new(), low: Vec::new(), unknown: Vec::new() };
    findings.sku(device, before, sheet.as_ref());
    findings.setting(before);
    let moving = link_of(records);
    findings.link(before, moving);
    findings.company(before, after);
    let faults = throttles(records);
    findings.throttling(&faults);
    if let Some(sheet) = &sheet {
        findings.clock(sheet, clock_of(records, &VECTOR));
        findings.bandwidth(sheet, records);
        findings.arithmetic(sheet, &VECTOR, records);
        if device.features.iter().any(|feature| feature == "matrix_units") {
            findings.arithmetic(sheet, &MATRIX, records);
            findings.product(sheet, records);
        }
    }
    if device.kind != DeviceKind::Hardware {
        findings.unknown.push("the device is no hardware: its times mean nothing".to_owned());
    }
    let causes = causes(moving.unwrap_or(before.link), &faults);
    let verdict = match (findings.unknown.is_empty(), findings.low.is_empty()) {
        (false, _) => Verdict::Unknown { why: findings.unknown },
        (true, true) => Verdict::Healthy,
        (true, false) => Verdict::Slow { why: findings.low.into_iter().chain(causes).collect() },
    };
    Ok(Health { sku: sheet.map(|sheet| sheet.name), checks: findings.checks, verdict })
}

/// What has been found so far.
struct Findings {
    checks: Vec<Check>,
    low: Vec<String>,
    unknown: Vec<String>,
}

impl Findings {
    fn add(&mut self, name: &'static str, found: String, expected: Option<String>, mark: Mark) {
        self.checks.push(Check { name, found, expected, mark });
    }

    /// Which board it is: by its name, confirmed by what tells it from its siblings.
    fn sku(&mut self, device: &DeviceInfo, card: &Card, sheet: Option<&Gpu>) {
        let Some(sheet) = sheet else {
            self.add("model", device.name.clone(), None, Mark::Note);
            self.unknown.push(format!("there is no datasheet of '{}' here to hold it against", device.name));
            return;
        };
        self.add("model", device.name.clone(), Some(sheet.name.clone()), Mark::Fine);
        let units = device.compute_units;
        let mark = if units == sheet.units { Mark::Fine } else { Mark::Note };
        self.add("multiprocessors", units.to_string(), Some(sheet.units.to_string()), mark);
        if mark != Mark::Fine {
            self.unknown.push(format!("it has {units} multiprocessors, a whole {} has {}", sheet.name, sheet.units));
        }
        let memory = card.memory.value().or(device.memory_b);
        if let Some((memory, whole)) = memory.zip(sheet.capacity_reported()) {
            let fits = (memory.0 as f64 / whole.0 as f64 - 1.0).abs() <= SAME_MEMORY;
            let mark = if fits { Mark::Fine } else { Mark::Note };
            self.add("memory", memory.to_string(), Some(whole.to_string()), mark);
            if !fits {
                self.unknown.push(format!("it has {memory} of memory, a whole {} has {whole}", sheet.name));
            }
        }
        if let Reading::Value(width) = card.bus_width {
            self.add("memory bus", format!("{width} bit"), None, Mark::Fine);
        }
    }

    /// Whether it is set as it was shipped.
    fn setting(&mut self, before: &Card) {
        let (limit, own) = (before.power_limit_w, before.power_limit_default_w);
        match (limit.value(), own.value()) {
            (Some(limit), Some(own)) if !((limit - own).abs() <= SAME_POWER_W) => {
                self.add("power limit", format!("{limit:.0} W"), Some(format!("{own:.0} W")), Mark::Note);
                self.unknown.push(format!("its power limit is {limit:.0} W, not the {own:.0} W it was shipped with"));
            }
            (Some(limit), Some(own)) => {
                self.add("power limit", format!("{limit:.0} W"), Some(format!("{own:.0} W")), Mark::Fine);
            }
            _ => {
                self.add("power limit", limit.map(|limit| format!("{limit:.0} W")).words(), None, Mark::Note);
                self.unknown.push(format!("its power limit is {}", limit.map(|_| "known, its default is not").words()));
            }
        }
        let on_off = |reading: Reading<bool>| reading.map(|on| if on { "on" } else { "off" }).words();
        self.add("ECC", on_off(before.ecc), None, Mark::Fine);
        let sliced = before.mig.value() == Some(true);
        self.add("MIG", on_off(before.mig), None, if sliced { Mark::Note } else { Mark::Fine });
        if sliced {
            self.unknown.push("it is cut into slices (MIG): a slice is no card".to_owned());
        }
    }

    /// Whether it is alone, before and after.
    fn company(&mut self, before: &Card, after: &Card) {
        let (before, after) = (&before.other_processes, &after.other_processes);
        let [first, last] = [before, after].map(|list| list.as_ref().map(Vec::len).value());
        let found = match before == after {
            true => before.list(),
            false => format!("{} before, {} after", before.list(), after.list()),
        };
        // That nobody tells is no proof that nobody is there.
        let mark = if first == Some(0) && last == Some(0) { Mark::Fine } else { Mark::Note };
        self.add("other processes", found, Some("none".to_owned()), mark);
        if first.max(last) > Some(0) {
            self.unknown.push("other processes compute on it: end them and ask again".to_owned());
        }
    }

    /// The link to the host: while data moved over it where that was looked at, since it sleeps when nothing moves.
    fn link(&mut self, card: &Card, moving: Option<Link>) {
        let link = moving.unwrap_or(card.link);
        let (rest, narrow) = match moving {
            Some(link) => ("", link.is_held_down()),
            // At rest only its width tells anything.
            None => (", at rest", Link { generation: [Reading::NotSupported; 2], ..link }.is_held_down()),
        };
        let expected = match (link.width[1], link.generation[1]) {
            (Reading::Value(width), Reading::Value(generation)) => Some(format!("x{width}, generation {generation}")),
            (Reading::Value(width), _) => Some(format!("x{width}")),
            _ => None,
        };
        self.add("link to the host", format!("{link}{rest}"), expected, if narrow { Mark::Note } else { Mark::Fine });
    }

    fn throttling(&mut self, reasons: &[String]) {
        let found = if reasons.is_empty() { "none".to_owned() } else { reasons.join(", ") };
        let mark = if reasons.is_empty() { Mark::Fine } else { Mark::Note };
        self.add("held back by", found, Some("none".to_owned()), mark);
    }

    fn clock(&mut self, sheet: &Gpu, clock: Option<Hertz>) {
        let Some(clock) = clock else {
            self.add("clock under load", "not told".to_owned(), None, Mark::Note);
            return;
        };
        let share = clock.get() / (sheet.boost_mhz * 1e6);
        let low = !(share >= CLOCK_LEAST);
        let expected = format!("{:.0} MHz at most", sheet.boost_mhz);
        self.add("clock under load", clock.to_string(), Some(expected), if low { Mark::Low } else { Mark::Fine });
        if low {
            self.low.push(format!("clock: {clock} under load, {:.0} % of the datasheet's", share * 100.0));
        }
    }

    fn bandwidth(&mut self, sheet: &Gpu, records: &[Record]) {
        let best = records
            .iter()
            .filter(|record| record.case.benchmark == "memory")
            .filter(|record| matches!(record.case.word("kernel"), Some("copy" | "triad")))
            .filter_map(|record| Summary::of(record).map(|summary| summary.headline.value))
            .fold(f64::NAN, f64::max);
        if best.is_nan() {
            self.unknown.push("its bandwidth could not be measured".to_owned());
            return;
        }
        let share = best / (sheet.bandwidth_gb_s * 1e9);
        let found = format!("{} ({:.1} %)", with_prefix(best, "B/s"), share * 100.0);
        let Some([least, most]) = sheet.healthy_bandwidth else {
            self.add("memory bandwidth", found, None, Mark::Note);
            self.unknown.push(format!("no measurements of healthy cards of {} are published", sheet.name));
            return;
        };
        let expected = format!("{:.0} to {:.0} % of {} GB/s", least * 100.0, most * 100.0, sheet.bandwidth_gb_s);
        let low = !(share >= least);
        self.add("memory bandwidth", found, Some(expected), if low { Mark::Low } else { Mark::Fine });
        if low {
            self.low.push(format!(
                "memory bandwidth: {:.1} % of the datasheet's, healthy cards reach {:.0} to {:.0} %",
                share * 100.0,
                least * 100.0,
                most * 100.0
            ));
        }
    }

    /// Arithmetic out of registers against the peak at the clock that it ran at.
    fn arithmetic(&mut self, sheet: &Gpu, units: &Units, records: &[Record]) {
        let Units { benchmark, precision, rate, name } = *units;
        let clock = clock_of(records, units);
        let peak = clock.and_then(|clock| sheet.peak_at(rate, clock));
        let best = rates(records, benchmark, precision).fold(f64::NAN, f64::max);
        if !best.is_nan() && clock.is_none() {
            self.unknown.push(format!("its clock could not be counted, so its {name} has no peak to be held against"));
            return;
        }
        let Some(peak) = peak.filter(|_| !best.is_nan()) else {
            self.unknown.push(format!("its {name} could not be measured"));
            return;
        };
        let share = best / peak.get();
        let found = format!("{} ({:.1} %)", with_prefix(best, "FLOP/s"), share * 100.0);
        let expected =
            format!("{:.0} to {:.0} % of {peak}, the peak at that clock", FMA_LEAST * 100.0, FMA_MOST * 100.0);
        let low = !(share >= FMA_LEAST);
        let mark = if low || share > FMA_MOST { Mark::Low } else { Mark::Fine };
        self.add(name, found, Some(expected), mark);
        if low {
            self.low.push(format!("{name}: {:.1} % of the peak at its clock", share * 100.0));
        } else if share > FMA_MOST {
            self.unknown.push("more arithmetic than its clock allows: its clock is not what it says".to_owned());
        }
    }

    /// The product that users get, for the reader: no figure of it tells a slow card from a slow library.
    fn product(&mut self, sheet: &Gpu, records: &[Record]) {
        let best = rates(records, "matmul", Precision::Bf16).fold(f64::NAN, f64::max);
        if let Some(peak) = sheet.peak(Rate::Bf16).filter(|_| !best.is_nan()) {
            let found =
                format!("{} ({:.1} % of the datasheet's)", with_prefix(best, "FLOP/s"), best / peak.get() * 100.0);
            self.add("bf16 matrix product", found, None, Mark::Fine);
        }
    }
}

/// Units that do arithmetic, and the benchmark that keeps them busy out of registers.
struct Units {
    benchmark: &'static str,
    precision: Precision,
    rate: Rate,
    name: &'static str,
}

const VECTOR: Units = Units { benchmark: "fma", precision: Precision::F32, rate: Rate::F32, name: "f32 arithmetic" };
const MATRIX: Units =
    Units { benchmark: "mma", precision: Precision::Bf16, rate: Rate::Bf16, name: "bf16 matrix arithmetic" };

/// Records of a benchmark in a precision.
fn of<'a>(records: &'a [Record], benchmark: &'static str, precision: Precision) -> impl Iterator<Item = &'a Record> {
    let wanted =
        move |record: &&Record| record.case.benchmark == benchmark && record.work.flop.contains_key(&precision);
    records.iter().filter(wanted)
}

/// Their headlines, in operations per second.
fn rates(records: &[Record], benchmark: &'static str, precision: Precision) -> impl Iterator<Item = f64> {
    of(records, benchmark, precision).filter_map(|record| Summary::of(record).map(|summary| summary.headline.value))
}

/// Reasons for which clocks were held down in any sample, sorted.
fn throttles(records: &[Record]) -> Vec<String> {
    let samples = records.iter().filter_map(|record| record.outcome.measurement()).flat_map(|found| &found.samples);
    let mut reasons: Vec<_> = samples.flat_map(|sample| sample.throttle.iter().cloned()).collect();
    reasons.sort_unstable();
    reasons.dedup();
    reasons
}

/// The median clock of the samples of arithmetic.
fn clock_of(records: &[Record], units: &Units) -> Option<Hertz> {
    let measured = of(records, units.benchmark, units.precision).filter_map(|record| match &record.outcome {
        Outcome::Measured(measured) => Some(measured),
        _ => None,
    });
    let mut clocks: Vec<_> =
        measured.flat_map(|measured| &measured.samples).filter_map(|sample| sample.clock_hz).collect();
    clocks.sort_unstable();
    clocks.get(clocks.len() / 2).copied()
}

/// The link to the host while data moved over it, where that was looked at.
fn link_of(records: &[Record]) -> Option<Link> {
    let measured = records.iter().filter(|record| record.case.benchmark == "transfer");
    measured.filter_map(|record| Link::of(&record.outcome.measurement()?.conditions)).next_back()
}

/// Likely causes of a low result, in plain words.
fn causes(link: Link, throttles: &[String]) -> Vec<String> {
    let because = |reason: &str| match reason {
        "hardware_slowdown" | "power_brake" => "the board protects itself: its power supply or cooling fails",
        "hardware_thermal" | "software_thermal" | "thermal_violation" => "it is too hot: cooling or airflow fails",
        "power_cap" => "it reaches its power limit",
        "application_clocks" => "its clocks are set below what it can do",
        _ => "its clock is held down",
    };
    let mut causes: Vec<_> =
        throttles.iter().map(|reason| format!("likely cause: {} ({reason})", because(reason))).collect();
    let [width, full] = link.width;
    if width.value().zip(full.value()).is_some_and(|(width, full)| width < full) {
        causes.push("its link to the host is narrower than it can be: it may sit badly in its slot".to_owned());
    }
    if causes.is_empty() {
        causes.push("the driver tells no cause: a faulty card, or one shared with other machines".to_owned());
    }
    causes
}
