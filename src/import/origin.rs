//! What a header of imported figures says of their source and their device.

use std::collections::BTreeMap;

use sha2::{Digest, Sha256};

use crate::hardware::{Gpu, Rate};
use crate::record::{
    AxisValue, Cache, DeviceInfo, DeviceKind, Environment, Framework, Header, Provenance, RunRequest, SCHEMA_VERSION,
    ToolInfo,
};
use crate::units::{ByteCount, Hertz};

/// Where figures were published.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origin {
    /// By whom, or where.
    pub source: String,
    /// Which version of it.
    pub version: String,
    /// The licence it came under.
    pub licence: String,
    /// The framework whose kernels were measured, if any.
    pub framework: Option<Framework>,
}

/// What only the caller knows of an import: when it happens, and by which program.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stamp {
    /// When, UTC, RFC 3339.
    pub at: String,
    /// The program.
    pub tool: ToolInfo,
}

impl Origin {
    /// A run file's header. Its id follows from the source and the import's name, so that one import has one id.
    pub fn header(
        &self,
        name: &str,
        asked: BTreeMap<String, Vec<AxisValue>>,
        benchmarks: Vec<String>,
        devices: Vec<DeviceInfo>,
        planned: usize,
        stamp: &Stamp,
    ) -> Header {
        let digest = Sha256::digest(format!("{} {} {name}", self.source, self.version));
        Header {
            schema: SCHEMA_VERSION,
            run_id: digest.iter().take(8).map(|byte| format!("{byte:02x}")).collect(),
            started_at: stamp.at.clone(),
            tool: stamp.tool.clone(),
            provenance: Provenance::Imported {
                source: self.source.clone(),
                version: self.version.clone(),
                licence: self.licence.clone(),
            },
            request: RunRequest {
                profile: "imported".to_owned(),
                budget_s: None,
                seed: 0,
                devices: devices.iter().map(|device| device.selector.clone()).collect(),
                benchmarks,
                axes: asked,
                shapes: Vec::new(),
            },
            environment: Environment::default(),
            devices,
            planned: u32::try_from(planned).unwrap_or(u32::MAX),
            framework: self.framework.clone(),
        }
    }
}

/// The device behind imported figures: by its datasheet where there is one, else by its name alone.
pub fn device_named(name: &str, sheet: Option<&Gpu>) -> DeviceInfo {
    let mut device = DeviceInfo {
        backend: "imported".to_owned(),
        selector: "imported".to_owned(),
        identity: None,
        name: name.to_owned(),
        architecture: String::new(),
        kind: DeviceKind::Hardware,
        compute_units: 0,
        memory_b: None,
        caches: Vec::new(),
        clock_max_hz: None,
        driver: None,
        features: Vec::new(),
    };
    if let Some(gpu) = sheet {
        device.compute_units = gpu.units;
        device.caches.push(Cache { level: 2, size_b: ByteCount::mib(gpu.l2_mib), instances: 1 });
        if let Some(last) = gpu.last_cache_mib {
            device.caches.push(Cache { level: 3, size_b: ByteCount::mib(last), instances: 1 });
        }
        device.clock_max_hz = Hertz::new(gpu.boost_mhz * 1e6);
        device.features = Rate::ALL
            .iter()
            .filter(|(rate, _)| gpu.peaks.contains_key(rate))
            .map(|(_, name)| (*name).to_owned())
            .collect();
        device.features.sort();
    }
    device
}
