//! What happens around a sample that its own times cannot show.

#[cfg(feature = "nvml")]
pub mod gpu;
mod host;

pub use host::{Host, HostShare, Processor};

use crate::record::{Card, DeviceInfo, Link, OtherProcesses, Reading, Unknown};
use crate::units::{Celsius, Hertz, Watts};

/// The reason for a low clock that is the card's own: it draws all the power it may.
pub const POWER_CAP: &str = "power_cap";

/// What happened around a window.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Around {
    /// Processor time taken from this process.
    pub host: HostShare,
    /// Power the device drew at its end.
    pub power: Option<Watts>,
    /// Temperature of the device at its end.
    pub temperature: Option<Celsius>,
    /// Clock of the device's memory at its end.
    pub memory_clock: Option<Hertz>,
    /// Reasons for which the device's clock was held down, sorted.
    pub throttle: Vec<String>,
    /// One of them is a fault of the surroundings.
    pub faulty: bool,
}

impl Around {
    /// Whether the power limit held the clock down.
    pub fn is_capped(&self) -> bool {
        self.throttle.iter().any(|reason| reason == POWER_CAP)
    }
}

/// A reader of all that happens around the windows of one device.
pub struct Telemetry {
    host: Host,
    #[cfg(feature = "nvml")]
    gpu: Result<gpu::Gpu, Unknown>,
    /// What the device's driver has not told, each with the reason; none where nobody is there to be asked.
    untold: Vec<String>,
}

impl Telemetry {
    /// Takes a first reading.
    pub fn start(device: &DeviceInfo) -> Self {
        #[cfg(feature = "nvml")]
        let (gpu, why) = match find(device) {
            Ok(gpu) => (Ok(gpu), None),
            Err(why) => (Err(why), Some(why)),
        };
        #[cfg(not(feature = "nvml"))]
        let why = Some(Unknown::NotSupported);
        // Of other devices there is nobody to be asked.
        let untold = why.filter(|_| is_managed(device)).map(|why| format!("clocks, power, heat and limits: {why}"));
        Self {
            host: Host::start(),
            #[cfg(feature = "nvml")]
            gpu,
            untold: untold.into_iter().collect(),
        }
    }

    /// Joules that the device has drawn since its driver started, where it counts them.
    pub fn energy_j(&self) -> Option<f64> {
        #[cfg(feature = "nvml")]
        return self.gpu.as_ref().ok().and_then(gpu::Gpu::energy_j);
        #[cfg(not(feature = "nvml"))]
        None
    }

    /// What the device's driver has not told so far, each with the reason.
    pub fn untold(&self) -> &[String] {
        &self.untold
    }

    /// What happened since the last call, or since the start.
    pub fn since_last(&mut self) -> Around {
        let around = Around { host: self.host.since_last(), ..Around::default() };
        #[cfg(feature = "nvml")]
        if let Ok(gpu) = &mut self.gpu {
            let state = gpu.state();
            self.untold = state.untold();
            return Around {
                power: state.power_w.value().and_then(Watts::new),
                temperature: state.temperature_c.value().and_then(Celsius::new),
                memory_clock: state.memory_clock_hz.value().and_then(Hertz::new),
                throttle: state.throttle.value().unwrap_or_default(),
                faulty: state.faulty,
                ..around
            };
        }
        around
    }
}

/// Whether a device has a management library that can be asked: an NVIDIA GPU reached through CUDA.
fn is_managed(device: &DeviceInfo) -> bool {
    device.backend == "cuda"
}

/// The GPU behind a device; only an NVIDIA GPU answers to its address.
#[cfg(feature = "nvml")]
fn find(device: &DeviceInfo) -> Result<gpu::Gpu, Unknown> {
    gpu::Gpu::find(device.identity.as_deref().ok_or(Unknown::NotSupported)?)
}

/// What the card of a device is set to, and who uses it; all unknown where nothing tells.
#[cfg_attr(not(feature = "nvml"), expect(unused_variables, reason = "only NVML asks which device it is"))]
pub fn card(device: &DeviceInfo) -> Card {
    #[cfg(feature = "nvml")]
    return find(device).map_or_else(Card::unknown, |gpu| gpu.card());
    #[cfg(not(feature = "nvml"))]
    Card::unknown(Unknown::NotSupported)
}

/// The processes of others that compute on each of a run's devices; nothing of devices that nobody can be asked about.
pub fn other_processes(devices: &[DeviceInfo]) -> Vec<OtherProcesses> {
    let of = |(device, info): (u32, &DeviceInfo)| OtherProcesses { device, processes: card_users(info) };
    (0..).zip(devices).filter(|(_, info)| is_managed(info)).map(of).collect()
}

#[cfg_attr(not(feature = "nvml"), expect(unused_variables, reason = "only NVML asks which device it is"))]
fn card_users(device: &DeviceInfo) -> Reading<Vec<crate::record::Process>> {
    #[cfg(feature = "nvml")]
    return find(device).map_or_else(Unknown::reading, |gpu| gpu.other_processes());
    #[cfg(not(feature = "nvml"))]
    Unknown::NotSupported.reading()
}

/// Does something that moves data between a device and the host, and tells how the link between them was meanwhile; `None`
/// of devices that nobody can be asked about.
pub fn link_during<T>(device: &DeviceInfo, work: impl FnOnce() -> T) -> (T, Option<Link>) {
    if !is_managed(device) {
        return (work(), None);
    }
    #[cfg(feature = "nvml")]
    match find(device) {
        Ok(gpu) => {
            let (result, link) = gpu.link_during(work);
            (result, Some(link))
        }
        Err(why) => (work(), Some(Link::unknown(why))),
    }
    #[cfg(not(feature = "nvml"))]
    (work(), Some(Link::unknown(Unknown::NotSupported)))
}
