//! An NVIDIA GPU's power, heat and limits, as its driver's management library (NVML) tells them.
//!
//! The GPU is found by its PCI address, never by a number. Nothing is ever set. Calls take a lock that launches need,
//! so they are made between windows only, and at most every tenth of a second; the link, which sleeps when nothing moves,
//! is watched in a window that nobody times.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use nvml_wrapper::bitmasks::device::ThrottleReasons;
use nvml_wrapper::enum_wrappers::device::{Clock, PerformancePolicy, TemperatureSensor};
use nvml_wrapper::enums::device::UsedGpuMemory;
use nvml_wrapper::error::NvmlError;
use nvml_wrapper::{Device, Nvml};

use super::POWER_CAP;
use crate::record::{Card, Link, Process, Reading, Unknown};
use crate::units::ByteCount;

/// Least time between two readings.
const PAUSE: Duration = Duration::from_millis(100);
/// Time between two looks at the link.
const LOOK: Duration = Duration::from_millis(10);

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
    /// Clock of the memory, in Hz.
    pub memory_clock_hz: Reading<f64>,
    /// Names of the reasons for which the clock is held down, sorted; what it was held down for since the last state is
    /// among them, where that is counted.
    pub throttle: Reading<Vec<String>>,
    /// One of them is a fault: heat, the power supply, or the board's own protection.
    pub faulty: bool,
}

impl State {
    /// What is not told, each with the reason.
    pub fn untold(&self) -> Vec<String> {
        let readings = [
            ("clock of the memory", self.memory_clock_hz.unknown()),
            ("power", self.power_w.unknown()),
            ("temperature", self.temperature_c.unknown()),
            ("what holds clocks down", self.throttle.unknown()),
        ];
        readings.iter().filter_map(|(name, why)| Some(format!("{name}: {}", (*why)?))).collect()
    }
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
        let bits = read(self.device.current_throttle_reasons());
        let held = bits.value().unwrap_or(ThrottleReasons::empty());
        let mut throttle: Vec<_> =
            REASONS.iter().filter(|(_, bit, _)| held.contains(*bit)).map(|(name, ..)| (*name).to_owned()).collect();
        let mut faulty = REASONS.iter().any(|(_, bit, fault)| *fault && held.contains(*bit));
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
        let mhz = |clock: u32| f64::from(clock) * 1e6;
        let state = State {
            power_w: watts(self.device.power_usage()),
            temperature_c: read(self.device.temperature(TemperatureSensor::Gpu)).map(f64::from),
            memory_clock_hz: read(self.device.clock_info(Clock::Memory)).map(mhz),
            throttle: match (throttle.is_empty(), bits) {
                (true, Reading::NotSupported) => Reading::NotSupported,
                (true, Reading::NotPermitted) => Reading::NotPermitted,
                _ => Reading::Value(throttle),
            },
            faulty,
        };
        self.last = Some((Instant::now(), state.clone()));
        state
    }

    /// What it is set to, and who else uses it.
    pub fn card(&self) -> Card {
        let device = &self.device;
        Card {
            power_limit_w: watts(device.power_management_limit()),
            power_limit_default_w: watts(device.power_management_limit_default()),
            ecc: read(device.is_ecc_enabled()).map(|state| state.currently_enabled),
            mig: read(device.mig_mode()).map(|mode| mode.current != 0),
            link: self.link(),
            bus_width: read(device.memory_bus_width()),
            memory: read(device.memory_info()).map(|memory| ByteCount(memory.total)),
            other_processes: self.other_processes(),
        }
    }

    /// Who else computes on it. In a container the numbers are the host's, and may not be told at all.
    pub fn other_processes(&self) -> Reading<Vec<Process>> {
        let own = std::process::id();
        let processes = read(self.device.running_compute_processes());
        processes.map(|list| {
            let others = list.iter().filter(|process| process.pid != own);
            let of = |process: &nvml_wrapper::struct_wrappers::device::ProcessInfo| Process {
                pid: process.pid,
                memory_b: match process.used_gpu_memory {
                    UsedGpuMemory::Used(bytes) => Some(ByteCount(bytes)),
                    UsedGpuMemory::Unavailable => None,
                },
            };
            others.map(of).collect()
        })
    }

    /// The link to the host as it is now.
    fn link(&self) -> Link {
        let device = &self.device;
        Link {
            generation: [read(device.current_pcie_link_gen()), read(device.max_pcie_link_gen())],
            width: [read(device.current_pcie_link_width()), read(device.max_pcie_link_width())],
        }
    }

    /// The link at its best while something is done, and what that gave.
    pub fn link_during<T>(&self, work: impl FnOnce() -> T) -> (T, Link) {
        let done = AtomicBool::new(false);
        std::thread::scope(|scope| {
            let watcher = scope.spawn(|| {
                let mut best = self.link();
                while !done.load(Ordering::Acquire) {
                    best = better(best, self.link());
                    std::thread::sleep(LOOK);
                }
                best
            });
            let result = work();
            done.store(true, Ordering::Release);
            (result, watcher.join().unwrap_or_else(|_| Link::unknown(Unknown::NotSupported)))
        })
    }
}

/// The higher generation and the larger width of two looks at one link.
fn better(one: Link, other: Link) -> Link {
    let higher = |[one, most]: [Reading<u32>; 2], [other, _]: [Reading<u32>; 2]| {
        [if other.value() > one.value() { other } else { one }, most]
    };
    Link { generation: higher(one.generation, other.generation), width: higher(one.width, other.width) }
}
