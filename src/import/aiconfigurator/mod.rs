//! NVIDIA's latency tables of single operations: the package `aiconfigurator-core`, as its wheel or a folder.
//!
//! Below `systems/data/<system>/` lies a folder for each family of operations, each framework and each of its versions,
//! with one parquet table per operation. An import joins the tables of one system, framework and version.

mod layout;
mod table;

use std::collections::BTreeMap;

pub use layout::{Choice, Selection, select};
pub use table::Table;

use super::{Archive, Import, ImportError, Origin, Rows, Source, Stamp, device_named};
use crate::hardware::{self, Gpu};
use crate::record::{AxisValue, DeviceInfo, Framework};

/// The row of this source.
pub static SOURCE: Source = Source {
    id: "aiconfigurator",
    about: "latency tables of operations from the Python package aiconfigurator-core: its wheel, or a folder with its systems",
};

/// Which GPU of the catalogue a system's name means.
const SYSTEMS: [(&str, &str); 8] = [
    ("a100_sxm", "a100_sxm_80gb"),
    ("a100_pcie", "a100_pcie_80gb"),
    ("h100_sxm", "h100_sxm"),
    ("h100_pcie", "h100_pcie"),
    ("h200_sxm", "h200_sxm"),
    ("b200_sxm", "b200_sxm"),
    ("l4", "l4"),
    ("l40s", "l40s"),
];

/// The datasheet of a device in a table: by its own name, or by its system's where a table names none.
fn sheet(system: &str, device: Option<&str>) -> Option<Gpu> {
    let named = device.and_then(|name| hardware::identify(name).ok().flatten());
    let of_system = || {
        let (_, id) = SYSTEMS.iter().find(|(name, _)| *name == system)?;
        hardware::find(id).ok()
    };
    match device {
        Some(_) => named,
        None => of_system(),
    }
}

/// Reads the tables of one selection.
///
/// # Errors
/// [`ImportError`] if a table cannot be read, lacks a column, holds another type, or is empty; and if no row of any table
/// has a latency.
pub fn read(archive: &mut dyn Archive, selection: &Selection, stamp: &Stamp) -> Result<Import, ImportError> {
    let mut tables = Vec::new();
    let mut devices: Vec<DeviceInfo> = Vec::new();
    for member in &selection.members {
        let bytes = archive.read(member)?;
        let mut table = Table::read(bytes, member, selection)?;
        table.place_devices(|name| {
            let gpu = sheet(&selection.system, name);
            let name = name.or(gpu.as_ref().and_then(|gpu| gpu.device_names.first()).map(String::as_str));
            let device = device_named(name.unwrap_or(&selection.system), gpu.as_ref());
            let known = devices.iter().position(|known| known.name == device.name);
            known.unwrap_or_else(|| {
                devices.push(device);
                devices.len() - 1
            }) as u32
        });
        tables.push(table);
    }
    let rows = tables.iter().map(Table::rows).sum();
    if !tables.iter().any(Table::has_a_latency) {
        let problem = format!("none of its {rows} rows has a latency above zero");
        return Err(ImportError::Nothing { name: selection.describe(), problem });
    }
    let mut benchmarks: Vec<String> = tables.iter().map(|table| table.benchmark().to_owned()).collect();
    benchmarks.dedup();
    let origin = Origin {
        source: "aiconfigurator-core".to_owned(),
        version: selection.package.clone(),
        licence: selection.licence.clone(),
        framework: Some(Framework { name: selection.framework.clone(), version: selection.version.clone() }),
    };
    let name = format!("{}-{}-{}", selection.system, selection.framework, selection.version);
    let asked = [("system", &selection.system), ("framework", &selection.framework), ("version", &selection.version)];
    let asked: BTreeMap<String, Vec<AxisValue>> =
        asked.into_iter().map(|(axis, word)| (axis.to_owned(), vec![AxisValue::from(word.as_str())])).collect();
    let cases = tables.iter().map(Table::cases).sum();
    let header = origin.header(&name, asked, benchmarks, devices, cases, stamp);
    Ok(Import { name, header, rows, records: Rows::Tables(tables), subset: false })
}
