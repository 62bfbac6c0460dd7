//! An NVIDIA GPU's power, heat and limits, as its driver's management library (NVML) tells them.
//!
//! The GPU is found by its PCI address, never by a number. Nothing is ever set. Calls take a lock that launches need,
//! so they are made between windows only, and at most every tenth of a second.

use std::sync::OnceLock;
use std::time::{Duration, Instant};

use nvml_wrapper::bitmasks::device::ThrottleReasons;
use nvml_wrapper::enum_wrappers::device::{PerformancePolicy, TemperatureSensor};
use nvml_wrapper::error::NvmlError;
use nvml_wrapper::{Device, Nvml};

use super::POWER_CAP;
use crate::record::{Card, Reading, Unknown};
use crate::units::ByteCount;

/// Least time between two readings.
const PAUSE: Duration = Duration::from_millis(100);

/// An answer of the library.
fn read<T>(answer: Result<T, NvmlError>) -> Reading<T> {
    match answer {
        Ok(value) => Reading::Value(value),
        Err(NvmlError::NoPermission) => Reading::NotPermitted,
        Err(_) => Reading::NotSupported,
    }
}

/// What stands between a GPU and its full clock: the name it has in records, the driver's bit, and whether it is a
/// fault of the surroundings, so that a sample under it does not count.
const REASONS: [(&str, ThrottleReasons, bool); 8] = [
    ("application_clocks", ThrottleReasons::APPLICATIONS_CLOCKS_SETTING, false),
    (POWER_CAP, ThrottleReasons::SW_POWER_CAP, false),
    ("sync_boost", ThrottleReasons::SYNC_BOOST, false),
    ("display_clocks", ThrottleReasons::DISPLAY_CLOCK_SETTING, false),
    ("hardware_slowdown", ThrottleReasons::HW_SLOWDOWN, true),
    ("hardware_thermal", ThrottleReasons::HW_THERMAL_SLOWDOWN, true),
    ("software_thermal", ThrottleReasons::SW_THERMAL_SLOWDOWN, true),
    ("power_brake", ThrottleReasons::HW_POWER_BRAKE_SLOWDOWN, true),
];

/// How a GPU was at some moment.
#[derive(Debug, Clone, PartialEq)]
pub struct State {
    /// Power drawn, in watts.
    pub power_w: Reading<f64>,
    /// Temperature of the chip, in °C.
    pub temperature_c: Reading<f64>,
    /// Names of the reasons for which the clock is held down, sorted.
    pub throttle: Vec<String>,
    /// One of them is a fault: heat, the power supply, or the board's own protection.
    pub faulty: bool,
}

/// A GPU as the management library sees it.
pub struct Gpu {
    device: Device<'static>,
    last: Option<(Instant, State)>,
    /// Nanoseconds held back by power and by heat since the driver started.
    violations: [Option<u64>; 2],
}

/// The library, loaded once.
fn library() -> Option<&'static Nvml> {
    static LIBRARY: OnceLock<Option<Nvml>> = OnceLock::new();
    LIBRARY.get_or_init(|| Nvml::init().ok()).as_ref()
}

/// Powers are told in mW.
fn watts(answer: Result<u32, NvmlError>) -> Reading<f64> {
    read(answer).map(|power| f64::from(power) / 1e3)
}

impl Gpu {
    /// The GPU with a PCI address; where there is none that may be asked, what its card is known by.
    pub fn find(address: &str) -> Result<Self, Unknown> {
        let library = library().ok_or(Unknown::NotSupported)?;
        let device = library.device_by_pci_bus_id(address).map_err(|error| match error {
            NvmlError::NoPermission => Unknown::NotPermitted,
            _ => Unknown::NotSupported,
        })?;
        let mut gpu = Self { device, last: None, violations: [None; 2] };
        gpu.violations = gpu.violated();
        Ok(gpu)
    }

    fn violated(&self) -> [Option<u64>; 2] {
        [PerformancePolicy::Power, PerformancePolicy::Thermal]
            .map(|policy| self.device.violation_status(policy).ok().map(|status| status.violation_time))
    }

    /// Joules drawn since the driver started, where the card counts them.
    pub fn energy_j(&self) -> Option<f64> {
        self.device.total_energy_consumption().ok().map(|energy_mj| energy_mj as f64 / 1e3)
    }

    /// How it is now, or was less than a tenth of a second ago. What held it back in between shows too: the driver counts it.
    pub fn state(&mut self) -> State {
        if let Some((at, state)) = &self.last
            && at.elapsed() < PAUSE
        {
            return state.clone();
        }
        let bits = self.device.current_throttle_reasons().unwrap_or(ThrottleReasons::empty());
        let mut throttle: Vec<_> =
            REASONS.iter().filter(|(_, bit, _)| bits.contains(*bit)).map(|(name, ..)| (*name).to_owned()).collect();
        let mut faulty = REASONS.iter().any(|(_, bit, fault)| *fault && bits.contains(*bit));
        let violated = self.violated();
        for ((before, now), (name, fault)) in
            self.violations.iter().zip(violated).zip([(POWER_CAP, false), ("thermal_violation", true)])
        {
            if before.zip(now).is_some_and(|(before, now)| now > before) {
                throttle.push(name.to_owned());
                faulty |= fault;
            }
        }
        self.violations = violated;
        throttle.sort_unstable();
        throttle.dedup();
        let state = State {
            power_w: watts(self.device.power_usage()),
            temperature_c: read(self.device.temperature(TemperatureSensor::Gpu)).map(f64::from),
            throttle,
            faulty,
        };
        self.last = Some((Instant::now(), state.clone()));
        state
    }

    /// What it is set to, and who else uses it.
    pub fn card(&self) -> Card {
        let device = &self.device;
        let own = std::process::id();
        let processes = device.running_compute_processes();
        Card {
            power_limit_w: watts(device.power_management_limit()),
            power_limit_default_w: watts(device.power_management_limit_default()),
            ecc: read(device.is_ecc_enabled()).map(|state| state.currently_enabled),
            mig: read(device.mig_mode()).map(|mode| mode.current != 0),
            pcie_generation: [read(device.current_pcie_link_gen()), read(device.max_pcie_link_gen())],
            pcie_width: [read(device.current_pcie_link_width()), read(device.max_pcie_link_width())],
            bus_width: read(device.memory_bus_width()),
            memory: read(device.memory_info()).map(|memory| ByteCount(memory.total)),
            other_processes: read(processes).map(|list| list.iter().filter(|process| process.pid != own).count()),
        }
    }
}
