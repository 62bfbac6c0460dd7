//! The management library through `nvml-wrapper`.

use nvml_wrapper::Nvml;
use nvml_wrapper::bitmasks::device::ThrottleReasons;
use nvml_wrapper::enum_wrappers::device::{Clock, PerformancePolicy, TemperatureSensor};
use nvml_wrapper::enums::device::UsedGpuMemory;
use nvml_wrapper::error::NvmlError;

use crate::support::{device, emulated, kernel, shape};

#[test]
fn a_device_is_found_by_its_address_and_described() {
    emulated("nvml::a_device_is_found_by_its_address_and_described", "h100", "", || {
        let nvml = Nvml::init().expect("the library");
        assert_eq!(nvml.sys_driver_version().expect("a version"), "580.65.06");
        assert_eq!(nvml.device_count().expect("a count"), 1);
        let device = nvml.device_by_pci_bus_id("0000:07:00.0").expect("a device");
        assert!(device.name().expect("a name").starts_with("Emulated H100"));
        assert!(device.uuid().expect("a UUID").starts_with("GPU-"));
        assert_eq!(device.pci_info().expect("PCI").bus, 7);
        assert_eq!(device.clock_info(Clock::SM).expect("a clock"), 1980);
        assert_eq!(device.clock_info(Clock::Memory).expect("a clock"), 2619);
        assert_eq!(device.power_management_limit_default().expect("a limit"), 700_000);
        assert_eq!(device.power_management_limit().expect("a limit"), 700_000);
        assert!(device.power_usage().expect("a power") < 700_000);
        assert_eq!(device.temperature(TemperatureSensor::Gpu).expect("a temperature"), 40);
        assert_eq!(device.current_throttle_reasons().expect("reasons"), ThrottleReasons::empty());
        assert_eq!(device.violation_status(PerformancePolicy::Thermal).expect("a status").violation_time, 0);
        assert_eq!(device.memory_info().expect("memory").total, 80 << 30);
        assert!(device.is_ecc_enabled().expect("ECC").currently_enabled);
        assert_eq!(device.mig_mode().expect("MIG").current, 0);
        assert_eq!(
            (device.current_pcie_link_gen().expect("PCIe"), device.max_pcie_link_gen().expect("PCIe")),
            (1, 5),
            "it sleeps"
        );
        assert_eq!(
            (device.current_pcie_link_width().expect("PCIe"), device.max_pcie_link_width().expect("PCIe")),
            (16, 16)
        );
        assert_eq!(device.memory_bus_width().expect("a width"), 5120);
        assert!(device.running_compute_processes().expect("processes").is_empty());
        assert!(matches!(nvml.device_by_pci_bus_id("0000:99:00.0"), Err(NvmlError::NotFound)));
    });
}

#[test]
fn two_devices_are_two() {
    emulated("nvml::two_devices_are_two", "two", "", || {
        let nvml = Nvml::init().expect("the library");
        let uuid = |index| nvml.device_by_index(index).expect("a device").uuid().expect("a UUID");
        assert_eq!(nvml.device_count().expect("a count"), 2);
        assert_ne!(uuid(0), uuid(1));
    });
}

#[test]
fn a_refusal_is_a_refusal() {
    emulated("nvml::a_refusal_is_a_refusal", "a100", "nvml_not_permitted", || {
        let nvml = Nvml::init().expect("the library");
        assert!(matches!(nvml.device_by_pci_bus_id("0000:07:00.0"), Err(NvmlError::NoPermission)));
    });
}

#[test]
fn others_and_the_width_of_the_link_are_as_asked_for() {
    let (test, faults) =
        ("nvml::others_and_the_width_of_the_link_are_as_asked_for", "nvml_processes:2,nvml_link_width:8");
    emulated(test, "a100", faults, || {
        let nvml = Nvml::init().expect("the library");
        let device = nvml.device_by_index(0).expect("a device");
        let others = device.running_compute_processes().expect("processes");
        let memory = others.iter().map(|other| other.used_gpu_memory.clone()).collect::<Vec<_>>();
        assert_eq!(memory, [1, 2].map(|gib| UsedGpuMemory::Used(gib << 30)));
        assert_eq!(device.current_pcie_link_width().expect("PCIe"), 8);
    });
}

#[test]
fn the_link_wakes_while_data_move() {
    emulated("nvml::the_link_wakes_while_data_move", "a100", "nvml_link_generation:3", || {
        let nvml = Nvml::init().expect("the library");
        let watched = nvml.device_by_index(0).expect("a device");
        let (context, stream) = device();
        let bytes = vec![1u8; 64 << 20];
        let mut held = stream.alloc_zeros::<u8>(bytes.len()).expect("memory");
        let stop = std::sync::atomic::AtomicBool::new(false);
        let seen = std::thread::scope(|scope| {
            let watcher = scope.spawn(|| {
                let mut seen = std::collections::BTreeSet::new();
                while !stop.load(std::sync::atomic::Ordering::Relaxed) {
                    seen.insert(watched.current_pcie_link_gen().expect("PCIe"));
                }
                seen
            });
            for _ in 0..20 {
                stream.memcpy_htod(&bytes, &mut held).expect("a copy");
                stream.synchronize().expect("an end");
            }
            stop.store(true, std::sync::atomic::Ordering::Relaxed);
            watcher.join().expect("a thread")
        });
        assert!(seen.contains(&3) && seen.iter().all(|generation| [1, 3].contains(generation)), "{seen:?}");
        drop(context);
    });
}

#[test]
fn what_some_cards_do_not_tell_is_not_supported_when_asked_for() {
    emulated("nvml::what_some_cards_do_not_tell_is_not_supported_when_asked_for", "a100", "nvml_not_supported", || {
        let nvml = Nvml::init().expect("the library");
        let device = nvml.device_by_index(0).expect("a device");
        assert!(matches!(device.clock_info(Clock::Memory), Err(NvmlError::NotSupported)));
        assert!(matches!(device.power_usage(), Err(NvmlError::NotSupported)));
        assert!(matches!(device.current_pcie_link_gen(), Err(NvmlError::NotSupported)));
        assert!(matches!(device.running_compute_processes(), Err(NvmlError::NotSupported)));
        assert_eq!(device.clock_info(Clock::SM).expect("a clock"), 1410);
    });
}

#[test]
fn a_device_the_driver_lost_is_lost() {
    emulated("nvml::a_device_the_driver_lost_is_lost", "a100", "lost:1", || {
        let nvml = Nvml::init().expect("the library");
        let watched = nvml.device_by_index(0).expect("a device");
        let (context, stream) = device();
        let f = kernel(&context, ".version 7.0\n.target sm_80\n.address_size 64\n.visible .entry k() { ret; }", "k");
        assert!(watched.power_usage().is_ok());
        // SAFETY: the kernel has no arguments.
        unsafe { stream.launch_builder(&f).launch(shape(1, 1)) }.expect("a launch");
        assert!(stream.synchronize().is_err());
        assert!(matches!(watched.power_usage(), Err(NvmlError::GpuLost)));
    });
}
