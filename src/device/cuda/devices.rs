//! The CUDA devices there are, each by its PCI address.

use std::ffi::CStr;

use cudarc::driver::sys::{self, CUdevice, CUdevice_attribute as Attribute, CUresult};
use sha2::{Digest, Sha256};

use super::driver::{Driver, Failed, call, no_device};
use super::library::Library;
use super::peers::can_access;
use crate::device::{DeviceError, Probe};
use crate::record::{Cache, DeviceInfo, DeviceKind};
use crate::units::{ByteCount, Hertz};

/// A device and what is known of it.
pub(super) struct Found {
    /// The driver's handle: good within this process.
    pub handle: CUdevice,
    /// Compute capability, as major and minor.
    pub capability: (u32, u32),
    /// Its description, selector included.
    pub info: DeviceInfo,
}

/// Every device that the driver shows, in its order.
fn find(driver: &Driver) -> Result<Vec<Found>, Failed> {
    let mut count = 0;
    // SAFETY: the driver writes one number.
    let counted = call("cuDeviceGetCount", || unsafe { sys::cuDeviceGetCount(&mut count) });
    match counted {
        Err(Failed { code: CUresult::CUDA_ERROR_NO_DEVICE, .. }) => return Ok(Vec::new()),
        other => other?,
    }
    let mut found = (0..count).map(|ordinal| describe(driver, ordinal)).collect::<Result<Vec<_>, _>>()?;
    let handles: Vec<_> = found.iter().map(|found| found.handle).collect();
    for (own, device) in found.iter_mut().enumerate() {
        for (number, handle) in handles.iter().enumerate().filter(|(number, _)| *number != own) {
            device.info.features.push(format!("peer_{number}"));
            if can_access(device.handle, *handle)? {
                device.info.features.push(format!("peer_access_{number}"));
            }
        }
        device.info.features.sort_unstable();
    }
    Ok(found)
}

fn describe(driver: &Driver, ordinal: i32) -> Result<Found, Failed> {
    let mut handle = 0;
    // SAFETY: the driver writes one handle.
    call("cuDeviceGet", || unsafe { sys::cuDeviceGet(&mut handle, ordinal) })?;
    let text = |name, ask: &dyn Fn(*mut std::ffi::c_char, i32) -> CUresult| {
        let mut bytes = [0_u8; 256];
        call(name, || ask(bytes.as_mut_ptr().cast(), bytes.len() as i32 - 1))?;
        Ok(CStr::from_bytes_until_nul(&bytes).unwrap_or_default().to_string_lossy().into_owned())
    };
    // SAFETY: the driver writes at most as many bytes as it is told.
    let name = text("cuDeviceGetName", &|to, most| unsafe { sys::cuDeviceGetName(to, most, handle) })?;
    // SAFETY: as above.
    let address = text("cuDeviceGetPCIBusId", &|to, most| unsafe { sys::cuDeviceGetPCIBusId(to, most, handle) })?;
    let number = |attribute| attribute_of(handle, attribute);
    let capability = (
        number(Attribute::CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR)?,
        number(Attribute::CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR)?,
    );
    let mut memory = 0;
    // SAFETY: the driver writes one number.
    call("cuDeviceTotalMem", || unsafe { sys::cuDeviceTotalMem_v2(&mut memory, handle) })?;
    let units = number(Attribute::CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT)?;
    let second = number(Attribute::CU_DEVICE_ATTRIBUTE_L2_CACHE_SIZE)?;
    let clock = number(Attribute::CU_DEVICE_ATTRIBUTE_CLOCK_RATE)?;
    let first = first_cache(capability).map(|size_b| Cache { level: 1, size_b, instances: units });
    let second = (second > 0).then_some(Cache { level: 2, size_b: ByteCount(second.into()), instances: 1 });
    let info = DeviceInfo {
        backend: "cuda".to_owned(),
        selector: format!("cuda:{ordinal}"),
        identity: Some(identity(handle, &name, &address)?),
        name,
        architecture: format!("sm_{}{}", capability.0, capability.1),
        kind: if driver.emulated { DeviceKind::Emulated } else { DeviceKind::Hardware },
        compute_units: units,
        memory_b: Some(ByteCount(memory as u64)),
        caches: first.into_iter().chain(second).collect(),
        clock_max_hz: Hertz::new(f64::from(clock) * 1e3).filter(|clock| clock.get() > 0.0),
        driver: Some(format!("CUDA {}", driver.version_text())),
        features: features(driver, capability, number(Attribute::CU_DEVICE_ATTRIBUTE_ASYNC_ENGINE_COUNT)?),
    };
    Ok(Found { handle, capability, info })
}

pub(super) fn attribute_of(device: CUdevice, attribute: Attribute) -> Result<u32, Failed> {
    let mut value = 0;
    // SAFETY: the driver writes one number.
    call("cuDeviceGetAttribute", || unsafe { sys::cuDeviceGetAttribute(&mut value, attribute, device) })?;
    Ok(value.max(0).unsigned_abs())
}

/// The PCI address; for a slice of a GPU (MIG), which shares the address with others, a hash of its UUID.
fn identity(device: CUdevice, name: &str, address: &str) -> Result<String, Failed> {
    if !name.contains("MIG") {
        return Ok(address.to_lowercase());
    }
    let mut uuid = sys::CUuuid { bytes: [0; 16] };
    // SAFETY: the driver writes 16 bytes.
    call("cuDeviceGetUuid", || unsafe { sys::cuDeviceGetUuid_v2(&mut uuid, device) })?;
    let digest = Sha256::digest(uuid.bytes.map(|byte| byte.cast_unsigned()));
    Ok(digest.iter().take(8).map(|byte| format!("{byte:02x}")).collect())
}

/// The unified first-level cache and shared memory of a multiprocessor. The driver does not tell it: CUDA C++
/// Programming Guide, "Technical Specifications per Compute Capability" (unified data cache size).
fn first_cache(capability: (u32, u32)) -> Option<ByteCount> {
    let kib = match capability {
        (7, 0 | 2) => 128,
        (7, 5) => 96,
        (8, 0 | 7) => 192,
        (8, 6 | 9) => 128,
        (9 | 10, _) => 256,
        (11 | 12, _) => 128,
        _ => return None,
    };
    Some(ByteCount(kib << 10))
}

/// What kernels may use, by the names of [`DeviceInfo::features`]. `workgroups`: a launch is spread over all units by
/// the device itself. `matrix_units`: products of 16-bit numbers have units of their own, and `fp8_e4m3`: of 8-bit ones.
/// `long_loops`: a kernel may take as many turns as it likes. `copies_both_ways`: there are engines for two copies at once.
/// `cublaslt_` with a version: that library multiplies matrices. Where there are other devices `peer_` with the number of
/// each, and `peer_access_` where its memory can be reached.
fn features(driver: &Driver, capability: (u32, u32), copy_engines: u32) -> Vec<String> {
    let mut features = vec!["f32", "f64", "graph", "i32", "workgroups"];
    if capability >= (8, 0) {
        features.extend(["bf16", "f16", "i8", "matrix_units"]);
    }
    if [(8, 9), (9, 0)].contains(&capability) {
        features.push("fp8_e4m3");
    }
    if copy_engines >= 2 {
        features.push("copies_both_ways");
    }
    if !driver.emulated {
        features.push("long_loops");
    }
    let library = Library::get(driver).ok().map(|library| format!("cublaslt_{}", library.version));
    let mut features: Vec<String> = features.into_iter().map(str::to_owned).chain(library).collect();
    features.sort_unstable();
    features
}

/// What `doctor` says of the library.
pub(super) fn notes() -> Vec<String> {
    let Ok(driver) = Driver::get() else { return Vec::new() };
    vec![match Library::get(&driver) {
        Ok(library) => format!("cuBLASLt {} from {} multiplies matrices", library.version, library.origin),
        Err(reason) => format!("no cuBLASLt, rooflint's own kernels multiply matrices: {reason}"),
    }]
}

/// The row of `devices` and `doctor`.
pub(super) fn probe() -> Probe {
    let found = Driver::get().and_then(|driver| find(&driver).map_err(|error| error.to_string()));
    match found {
        Ok(found) if found.is_empty() => Probe::Absent { reason: no_device() },
        Ok(found) => Probe::Present(found.into_iter().map(|found| found.info).collect()),
        Err(reason) => Probe::Absent { reason },
    }
}

/// The device that a selector names: its number, its PCI address, or nothing for the first.
pub(super) fn select(selector: &str) -> Result<(Driver, Found), DeviceError> {
    let failed = |message| DeviceError::Call { call: "open", message };
    let driver = Driver::get().map_err(failed)?;
    let mut found = find(&driver)?;
    if found.is_empty() {
        return Err(failed(no_device()));
    }
    let known: Vec<_> = found.iter().map(|found| format!("{} ({})", found.info.selector, found.info.name)).collect();
    let wanted = selector.to_lowercase();
    let named = |found: &Found| {
        selector.is_empty()
            || found.info.selector.strip_prefix("cuda:") == Some(selector)
            || found.info.identity.as_deref() == Some(&wanted)
    };
    match found.iter().position(named) {
        Some(position) => Ok((driver, found.swap_remove(position))),
        None => Err(failed(format!("there is no CUDA device '{selector}'; known: {}", known.join(", ")))),
    }
}
