//! All laws of one device: what `rooflint fit` writes and `rooflint cost` reads.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::fitted::{Fitted, Missing, Prepared, rounded};
use super::known::Known;
use super::{Ceilings, Measured, attention, bandwidth, collective, experts, matmul, measured, step};
use crate::hardware::Gpu;
use crate::record::{DeviceInfo, Provenance, Run};
use crate::summary::Estimate;

/// The version of a calibration file's layout.
pub const CALIBRATION_VERSION: u32 = 1;

/// What a device achieves, as laws with their uncertainty.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Calibration {
    /// The layout's version: [`CALIBRATION_VERSION`].
    pub calibration: u32,
    /// The device's name.
    pub device: String,
    /// The id of its datasheet, if it is in the catalogue.
    pub gpu: Option<String>,
    /// Whether the device is real. Laws of an emulator or a scripted device mean nothing of hardware.
    pub publishable: bool,
    /// The runs behind it.
    pub sources: Vec<Source>,
    /// Measured ceilings.
    pub ceilings: Vec<Ceiling>,
    /// Fitted laws, by operation.
    pub laws: Vec<Fitted>,
    /// What could not be fitted, and what to measure for it.
    pub missing: Vec<Missing>,
}

/// A run behind a calibration.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Source {
    /// Its random name.
    pub run_id: String,
    /// When it started, UTC, RFC 3339.
    pub started_at: String,
    /// Where its figures come from.
    pub provenance: Provenance,
}

/// The best that was measured of one kind.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Ceiling {
    /// The benchmark behind it: `memory`, `fma`, `matmul`.
    pub benchmark: String,
    /// Kernel or precision.
    pub subject: String,
    /// `B/s`, `FLOP/s` or `OP/s`.
    pub unit: String,
    /// The median.
    pub value: f64,
    /// Lower end of its 95 % interval.
    pub low: f64,
    /// Upper end of its 95 % interval.
    pub high: f64,
    /// Key of the case.
    pub case: String,
}

/// Why runs give no calibration.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum FitError {
    /// No record was measured.
    #[error("{0} holds no measured case; measure with 'rooflint run', or import measurements")]
    Empty(String),
    /// Several devices.
    #[error(
        "the runs are of several devices: {}; fit each alone, or say --together if they are alike", .0.join(", ")
    )]
    Devices(Vec<String>),
    /// A device that is none.
    #[error(
        "{0} is not hardware: its times mean nothing; --allow-emulated fits them all the same, and marks the result"
    )]
    NotHardware(String),
    /// Measured cases, but none that a law could rest on.
    #[error("nothing can be fitted to these cases. {0}")]
    Nothing(String),
}

/// What may be fitted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Allowed {
    /// Devices that are no hardware.
    pub emulated: bool,
    /// Several devices as if they were one.
    pub together: bool,
}

impl Calibration {
    /// The calibration of one device from its runs, with the datasheet's limits and priors where there is one.
    ///
    /// # Errors
    /// [`FitError`] for no measured case, several devices, an emulated one, or nothing to fit.
    pub fn of(runs: &[Run], gpu: Option<&Gpu>, allowed: Allowed) -> Result<Self, FitError> {
        let devices = runs.iter().flat_map(|run| (0..run.header.devices.len() as u32).map(move |device| (run, device)));
        Self::of_devices(&devices.collect::<Vec<_>>(), gpu, allowed)
    }

    /// The same of the run's `device`-th device alone.
    ///
    /// # Errors
    /// As [`Calibration::of`].
    pub fn of_device(run: &Run, device: u32, gpu: Option<&Gpu>, allowed: Allowed) -> Result<Self, FitError> {
        Self::of_devices(&[(run, device)], gpu, allowed)
    }

    fn of_devices(devices: &[(&Run, u32)], gpu: Option<&Gpu>, allowed: Allowed) -> Result<Self, FitError> {
        let device = device(devices, allowed)?;
        let known = Known::of(devices, gpu);
        let items: Vec<Measured> = devices.iter().flat_map(|(run, device)| measured(run, *device)).collect();
        let mut runs: Vec<&Run> = devices.iter().map(|(run, _)| *run).collect();
        runs.dedup_by_key(|run| run.header.run_id.as_str());
        if items.is_empty() {
            let names: Vec<&str> = runs.iter().map(|run| run.header.run_id.as_str()).collect();
            return Err(FitError::Empty(format!("run {}", names.join(", "))));
        }
        let (mut laws, mut missing) = (Vec::new(), Vec::new());
        let mut fit = |prepared: Vec<Prepared>, laws: &mut Vec<Fitted>| {
            for prepared in prepared {
                match prepared.fit() {
                    Ok(fitted) => laws.push(fitted),
                    Err(lacks) => missing.push(lacks),
                }
            }
        };
        fit(operations(&known, &items, last_cache_b(devices)), &mut laws);
        let dependents = dependents(&known, &items, &laws);
        fit(dependents, &mut laws);
        missing.extend(absent(&laws, &missing));
        if laws.is_empty() {
            let needs =
                missing.iter().map(|lacks| format!("{}: {}; measure {}", lacks.operation, lacks.why, lacks.measure));
            return Err(FitError::Nothing(needs.collect::<Vec<_>>().join(". ")));
        }
        let publishable = infos(devices).all(DeviceInfo::is_publishable);
        Ok(Self {
            calibration: CALIBRATION_VERSION,
            device,
            gpu: gpu.map(|gpu| gpu.id.clone()),
            publishable,
            sources: runs.into_iter().map(source).collect(),
            ceilings: devices.iter().flat_map(|(run, device)| ceilings(run, *device)).collect(),
            laws,
            missing,
        })
    }

    /// The law of an operation's kind.
    pub fn law(&self, operation: &str, subject: &str) -> Option<&Fitted> {
        self.laws.iter().find(|law| law.operation == operation && law.subject == subject)
    }
}

/// The operations whose laws rest on no other.
pub(super) fn operations(known: &Known, items: &[Measured], last_cache_b: f64) -> Vec<Prepared> {
    let each = [
        bandwidth::prepare(known, items, last_cache_b),
        matmul::prepare(known, items),
        attention::prepare(known, items),
        experts::prepare(known, items),
    ];
    each.into_iter().flatten().collect()
}

/// The others: those laws are the priors of some of them.
pub(super) fn dependents(known: &Known, items: &[Measured], laws: &[Fitted]) -> Vec<Prepared> {
    let each = [
        experts::prepare_uneven(known, items, laws),
        collective::prepare(known, items),
        step::prepare(known, items, laws),
    ];
    each.into_iter().flatten().collect()
}

/// What the devices tell of themselves.
fn infos<'a>(devices: &'a [(&'a Run, u32)]) -> impl Iterator<Item = &'a DeviceInfo> {
    devices.iter().filter_map(|(run, device)| run.header.devices.get(*device as usize))
}

/// The name of the one device.
fn device(devices: &[(&Run, u32)], allowed: Allowed) -> Result<String, FitError> {
    let mut names: Vec<String> = Vec::new();
    let mut identities: Vec<&str> = Vec::new();
    for info in infos(devices) {
        if !allowed.emulated && !info.is_publishable() {
            return Err(FitError::NotHardware(info.name.clone()));
        }
        if !names.contains(&info.name) {
            names.push(info.name.clone());
        }
        identities.extend(info.identity.as_deref().filter(|identity| !identities.contains(identity)));
    }
    let several = names.len() > 1 || identities.len() > 1;
    match names.first() {
        None => Err(FitError::Empty("a run without a device".to_owned())),
        Some(_) if several && !allowed.together => {
            let shown = if names.len() > 1 { names } else { vec![format!("{} ({})", names[0], identities.join(", "))] };
            Err(FitError::Devices(shown))
        }
        Some(_) => Ok(names.join(" and ")),
    }
}

/// The largest last cache of the devices.
pub(super) fn last_cache_b(devices: &[(&Run, u32)]) -> f64 {
    let caches = infos(devices).filter_map(DeviceInfo::last_cache);
    caches.map(|cache| cache.0 as f64).fold(0.0, f64::max)
}

fn source(run: &Run) -> Source {
    let header = &run.header;
    let (run_id, started_at) = (header.run_id.clone(), header.started_at.clone());
    Source { run_id, started_at, provenance: header.provenance.clone() }
}

/// Operations that no case is of.
fn absent(laws: &[Fitted], missing: &[Missing]) -> Vec<Missing> {
    const OPERATIONS: [(&str, &str); 5] = [
        (matmul::ID, "matmul at three or more sizes n x k of 4 million elements and more"),
        (attention::DECODE, "attention while decoding, or import it"),
        (experts::ID, "moe, or import it; only mixtures of experts need it"),
        (collective::ID, "collectives, or import them; only several GPUs need them"),
        (step::ID, "decode of three or more models: what norms, activations and the host add to a layer"),
    ];
    let known =
        |id: &str| laws.iter().any(|law| law.operation == id) || missing.iter().any(|lacks| lacks.operation == id);
    let lacks = |(id, measure): &(&str, &str)| Missing {
        operation: (*id).to_owned(),
        subject: String::new(),
        why: "no case of it was measured".to_owned(),
        measure: (*measure).to_owned(),
    };
    OPERATIONS.iter().filter(|(id, _)| !known(id)).map(lacks).collect()
}

fn ceilings(run: &Run, device: u32) -> Vec<Ceiling> {
    let ceilings = Ceilings::of(run, device);
    let ceiling = |benchmark: &str, subject: String, unit: &str, rate: Estimate, case: &str| Ceiling {
        benchmark: benchmark.to_owned(),
        subject,
        unit: unit.to_owned(),
        value: rounded(rate.value),
        low: rounded(rate.low),
        high: rounded(rate.high),
        case: case.to_owned(),
    };
    let memory = ceilings.memory.iter();
    let memory = memory.map(|of| ceiling("memory", of.kernel.clone(), "B/s", of.rate, &of.case));
    let compute = ceilings.compute.iter();
    let compute =
        compute.map(|of| ceiling(&of.benchmark, of.precision.to_string(), of.precision.rate_unit(), of.rate, &of.case));
    memory.chain(compute).collect()
}
