//! What a run says of its devices, as facts for the judge.

use super::decoded::decoded;
use super::evidence::{Fact, HOST, Quantity, Rank};
use super::shapes::shapes;
use crate::fit::{Allowed, Calibration, Ceilings};
use crate::hardware::{self, HardwareError};
use crate::record::{DeviceInfo, DeviceKind, Precision, Provenance, Run};
use crate::summary::Estimate;

/// Precisions of a matrix product that answer for a quantity.
const MATMUL: &[(&str, &[Precision])] = &[
    ("matmul_f32", &[Precision::F32]),
    ("matmul_f16", &[Precision::F16, Precision::Bf16]),
    ("matmul_fp8", &[Precision::Fp8E4m3, Precision::Fp8E5m2]),
    ("matmul_i8", &[Precision::I8]),
];

/// The facts of a run. Of every device that is real hardware: the shape of decoding by its measured steps and by the laws
/// fitted to its products. Of those that have a name in the catalogue, or are the host's processor: memory capacity,
/// bandwidth of reading memory, and the fastest matrix product of each precision.
///
/// Bandwidth counts only if the run shows that memory was measured and not a cache ([`Ceilings::shown_read`]).
///
/// # Errors
/// None for the datasheets as committed.
pub fn measured(run: &Run) -> Result<Vec<Fact>, HardwareError> {
    let (rank, whose) = match &run.header.provenance {
        Provenance::Measured => (Rank::Measured, format!("run {}", run.header.run_id)),
        Provenance::Imported { source, version, .. } => (Rank::Reference, format!("{source} {version}")),
        // What is only stated is no evidence against a statement.
        Provenance::Datasheet { .. } | Provenance::Claimed { .. } => return Ok(Vec::new()),
    };
    let mut facts = Vec::new();
    let mut driver_capacity = false;
    for (index, device) in (0_u32..).zip(&run.header.devices) {
        facts.extend(of_shape(run, index, rank, &whose)?);
        let Some(gpu) = name_of(device)? else { continue };
        let ceilings = Ceilings::of(run, index);
        let read = ceilings.shown_read().map(|read| ("memory_bandwidth", read.rate, read.case.as_str()));
        let capacity = device.memory_b.map(|bytes| {
            let value = bytes.0 as f64;
            ("memory_capacity", Estimate { value, low: value, high: value }, "as its driver reports it")
        });
        let matmul = MATMUL.iter().filter_map(|(id, precisions)| {
            // What our own kernels reach says nothing against a card.
            let mut known = ceilings.compute.iter().filter(|ceiling| ceiling.benchmark == "matmul" && !ceiling.own);
            // Fastest first.
            let ceiling = known.find(|ceiling| precisions.contains(&ceiling.precision))?;
            Some((*id, ceiling.rate, ceiling.case.as_str()))
        });
        driver_capacity |= gpu != HOST && capacity.is_some();
        for (id, value, how) in capacity.into_iter().chain(read).chain(matmul) {
            let Some(quantity) = Quantity::find(id) else { continue };
            let source = format!("{whose}, {how}");
            facts.push(Fact { gpu: gpu.clone(), quantity, value, rank, source, behind: Vec::new() });
        }
    }
    if driver_capacity {
        facts.extend(reported_capacities()?);
    }
    Ok(facts)
}

/// What a device says of the shape of decoding, whatever hardware it is. Measured steps come before laws: of two facts of a
/// quantity the first is taken.
fn of_shape(run: &Run, index: u32, rank: Rank, whose: &str) -> Result<Vec<Fact>, HardwareError> {
    let Some(device) = run.header.devices.get(index as usize).filter(|one| one.kind == DeviceKind::Hardware) else {
        return Ok(Vec::new());
    };
    let id = name_of(device)?.unwrap_or_else(|| device.name.clone());
    let mut facts = decoded(run, index, &id, rank, whose);
    let gpu = hardware::identify(&device.name)?;
    // Where nothing can be fitted the claims stay untested, and the report says what to measure.
    if let Ok(calibration) = Calibration::of_device(run, index, gpu.as_ref(), Allowed::default()) {
        facts.extend(shapes(&calibration, &id, rank, whose));
    }
    Ok(facts)
}

/// Every GPU's memory as its driver reports it: beside a measured capacity another GPU's must not be the round number on
/// the box, or a comparison of both would mix GiB with GB.
fn reported_capacities() -> Result<Vec<Fact>, HardwareError> {
    let Some(quantity) = Quantity::find("memory_capacity") else { return Ok(Vec::new()) };
    let reported = hardware::catalogue()?.into_iter().filter_map(|gpu| {
        let value = gpu.capacity_reported()?.0 as f64;
        let value = Estimate { value, low: value, high: value };
        let source = format!("as drivers report it: {}", gpu.source);
        Some(Fact { gpu: gpu.id, quantity, value, rank: Rank::Reference, source, behind: Vec::new() })
    });
    Ok(reported.collect())
}

/// The name under which claims ask for a device; `None` for one that no claim can be about.
fn name_of(device: &DeviceInfo) -> Result<Option<String>, HardwareError> {
    if device.kind != DeviceKind::Hardware {
        return Ok(None);
    }
    match device.backend.as_str() {
        "cpu" => Ok(Some(HOST.to_owned())),
        _ => Ok(hardware::identify(&device.name)?.map(|gpu| gpu.id)),
    }
}
