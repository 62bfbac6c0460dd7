//! The GPUs there are: one entry for each, whichever interfaces reach it.

use std::sync::Once;

use super::errors::now;
use crate::device::{DeviceError, Probe};
use crate::record::{DeviceInfo, DeviceKind};

/// The interfaces asked, the preferred one first. OpenGL is left out: it lacks what a measurement needs.
const INTERFACES: [wgpu::Backends; 3] = [wgpu::Backends::VULKAN, wgpu::Backends::METAL, wgpu::Backends::DX12];

/// What a program may use where the adapter has it, by the name it has in [`DeviceInfo::features`].
const FEATURES: [(wgpu::Features, &str); 4] = [
    (wgpu::Features::SHADER_F16, "f16"),
    (wgpu::Features::SHADER_F64, "f64"),
    (wgpu::Features::SUBGROUP, "subgroup"),
    (wgpu::Features::TIMESTAMP_QUERY, "timestamp_query"),
];

/// What every adapter has; packed dot products (`i8`) in one instruction or in several. `workgroups` says that a launch is cut into work groups which the device spreads
/// over all its units.
const ALWAYS: [&str; 4] = ["f32", "i32", "i8", "workgroups"];

/// An adapter and what is known of it.
pub(super) struct Found {
    /// The adapter, to be opened.
    pub adapter: wgpu::Adapter,
    /// Its description, selector included.
    pub info: DeviceInfo,
}

/// Mesa's layer that puts the desktop's GPU first asks a display server, and complains on standard error where there
/// is none. Every GPU is listed here, in an order of our own, so the layer is left out.
fn leave_out_device_selection() {
    static ONCE: Once = Once::new();
    // SAFETY: no driver is loaded yet, and this program's own code reads the environment through the standard
    // library alone, which keeps readers and this writer apart.
    ONCE.call_once(|| unsafe { std::env::set_var("NODEVICE_SELECT", "1") });
}

/// Every GPU, hardware first.
pub(super) fn find() -> Vec<Found> {
    leave_out_device_selection();
    let mut kept: Vec<(wgpu::Adapter, wgpu::AdapterInfo)> = Vec::new();
    for interface in INTERFACES {
        if !wgpu::Instance::enabled_backend_features().intersects(interface) {
            continue;
        }
        let instance = wgpu::Instance::new(wgpu::InstanceDescriptor {
            backends: interface,
            // No validation layers, in debug builds neither: they would be measured.
            flags: wgpu::InstanceFlags::empty(),
            // Drivers that overcommit spill into system memory, and a test of device memory becomes one of the bus.
            memory_budget_thresholds: wgpu::MemoryBudgetThresholds {
                for_resource_creation: Some(95),
                for_device_loss: None,
            },
            ..wgpu::InstanceDescriptor::new_without_display_handle()
        });
        for adapter in now(instance.enumerate_adapters(interface)).unwrap_or_default() {
            let info = adapter.get_info();
            if !kept.iter().any(|(_, other)| same_gpu(other, &info)) {
                kept.push((adapter, info));
            }
        }
    }
    kept.sort_by_key(|(_, info)| (rank(info), info.device_pci_bus_id.clone(), info.name.clone()));
    let numbered = (0..).zip(kept);
    numbered.map(|(number, (adapter, info))| Found { info: describe(&adapter, &info, number), adapter }).collect()
}

/// Whether two interfaces speak of one GPU: by its PCI address, or, where one of them does not tell it, by
/// its model.
fn same_gpu(one: &wgpu::AdapterInfo, other: &wgpu::AdapterInfo) -> bool {
    let [first, second] = [one, other].map(|info| info.device_pci_bus_id.as_str());
    match first.is_empty() || second.is_empty() {
        false => first == second,
        true => one.backend != other.backend && (one.vendor, one.device) == (other.vendor, other.device),
    }
}

/// Whether an adapter is a program on the CPU.
fn is_software(info: &wgpu::AdapterInfo) -> bool {
    const NAMES: [&str; 4] = ["llvmpipe", "lavapipe", "swiftshader", "microsoft basic render"];
    let name = info.name.to_lowercase();
    info.device_type == wgpu::DeviceType::Cpu || NAMES.iter().any(|known| name.contains(known))
}

fn rank(info: &wgpu::AdapterInfo) -> u8 {
    match info.device_type {
        _ if is_software(info) => 4,
        wgpu::DeviceType::DiscreteGpu => 0,
        wgpu::DeviceType::IntegratedGpu => 1,
        wgpu::DeviceType::VirtualGpu => 2,
        _ => 3,
    }
}

/// The features to open an adapter with.
pub(super) fn features(adapter: &wgpu::Adapter) -> wgpu::Features {
    let wanted = FEATURES.iter().fold(wgpu::Features::empty(), |all, (feature, _)| all | *feature);
    adapter.features() & wanted
}

fn describe(adapter: &wgpu::Adapter, info: &wgpu::AdapterInfo, number: u32) -> DeviceInfo {
    let present = adapter.features();
    let names = FEATURES.iter().filter(|(feature, _)| present.contains(*feature)).map(|(_, name)| *name);
    let mut features: Vec<String> = names.chain(ALWAYS).map(str::to_owned).collect();
    features.sort();
    let driver = [&info.driver, &info.driver_info].map(|text| text.trim()).join(" ");
    DeviceInfo {
        backend: "wgpu".to_owned(),
        selector: format!("wgpu:{number}"),
        identity: Some(info.device_pci_bus_id.clone()).filter(|address| !address.is_empty()),
        name: info.name.clone(),
        architecture: format!("{} {:04x}:{:04x}", info.backend, info.vendor, info.device),
        kind: if is_software(info) { DeviceKind::Software } else { DeviceKind::Hardware },
        // wgpu tells neither how many units there are nor how to keep work to some of them.
        compute_units: 1,
        memory_b: None,
        caches: Vec::new(),
        clock_max_hz: None,
        driver: Some(driver.trim().to_owned()).filter(|driver| !driver.is_empty()),
        features,
    }
}

/// The row of `devices` and `doctor`.
pub(super) fn probe() -> Probe {
    match find() {
        found if found.is_empty() => Probe::Absent { reason: absence() },
        found => Probe::Present(found.into_iter().map(|found| found.info).collect()),
    }
}

/// Why there is no adapter, and the way out.
fn absence() -> String {
    let help = if cfg!(target_os = "linux") {
        "install the GPU's Vulkan driver, or mesa-vulkan-drivers for a software one"
    } else if cfg!(target_os = "windows") {
        "install the GPU's driver"
    } else {
        "no GPU with Metal was found"
    };
    format!("no GPU answers through {}; {help}", interfaces().join(", "))
}

/// Names of the interfaces this build can ask.
fn interfaces() -> Vec<&'static str> {
    let names = [(INTERFACES[0], "Vulkan"), (INTERFACES[1], "Metal"), (INTERFACES[2], "DX12")];
    let built = wgpu::Instance::enabled_backend_features();
    names.into_iter().filter(|(interface, _)| built.intersects(*interface)).map(|(_, name)| name).collect()
}

/// The adapter that a selector names: a number as `devices` lists it, or nothing for the first that is
/// hardware. Software stands in for a GPU only where it is asked for.
pub(super) fn select(selector: &str) -> Result<Found, DeviceError> {
    let failed = |message: String| DeviceError::Call { call: "open", message };
    let mut found = find();
    if found.is_empty() {
        return Err(failed(absence()));
    }
    let known: Vec<_> = found.iter().map(|found| format!("{} ({})", found.info.selector, found.info.name)).collect();
    let position = match selector {
        "" => found.iter().position(|found| found.info.kind == DeviceKind::Hardware).ok_or_else(|| {
            failed(format!("only software adapters are here, which must be asked for: {}", known.join(", ")))
        })?,
        number => number
            .parse()
            .ok()
            .filter(|number| *number < found.len())
            .ok_or_else(|| failed(format!("there is no adapter '{number}'; known: {}", known.join(", "))))?,
    };
    Ok(found.swap_remove(position))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn adapter(backend: wgpu::Backend, address: &str, device: u32) -> wgpu::AdapterInfo {
        let mut info = wgpu::AdapterInfo::new(wgpu::DeviceType::DiscreteGpu, backend);
        info.device_pci_bus_id = address.to_owned();
        (info.vendor, info.device) = (0x10de, device);
        info
    }

    #[test]
    fn a_gpu_is_listed_once_and_equal_gpus_are_two() {
        use wgpu::Backend::{Dx12, Vulkan};
        let one = adapter(Vulkan, "0000:01:00.0", 7);
        assert!(same_gpu(&one, &adapter(Dx12, "0000:01:00.0", 7)));
        assert!(!same_gpu(&one, &adapter(Vulkan, "0000:02:00.0", 7)));
        assert!(same_gpu(&one, &adapter(Dx12, "", 7)));
        assert!(!same_gpu(&one, &adapter(Dx12, "", 8)));
        assert!(!same_gpu(&adapter(Vulkan, "", 7), &adapter(Vulkan, "", 7)));
    }

    #[test]
    fn software_is_told_by_type_or_by_name_and_comes_last() {
        let mut info = adapter(wgpu::Backend::Dx12, "", 1);
        assert!(!is_software(&info));
        info.name = "Microsoft Basic Render Driver".to_owned();
        assert!(is_software(&info) && rank(&info) == 4);
        let cpu = wgpu::AdapterInfo::new(wgpu::DeviceType::Cpu, wgpu::Backend::Vulkan);
        assert!(is_software(&cpu));
    }
}
