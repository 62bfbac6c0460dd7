//! What happens around a sample that its own times cannot show.

#[cfg(feature = "nvml")]
pub mod gpu;
mod host;

pub use host::{Host, HostShare, Processor};

use crate::record::{Card, DeviceInfo, Unknown};
use crate::units::{Celsius, Watts};

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
    gpu: Option<gpu::Gpu>,
}

impl Telemetry {
    /// Takes a first reading.
    #[cfg_attr(not(feature = "nvml"), expect(unused_variables, reason = "only NVML asks which device it is"))]
    pub fn start(device: &DeviceInfo) -> Self {
        Self {
            host: Host::start(),
            // Only an NVIDIA GPU answers to its address.
            #[cfg(feature = "nvml")]
            gpu: device.identity.as_deref().and_then(|address| gpu::Gpu::find(address).ok()),
        }
    }

    /// Joules that the device has drawn since its driver started, where it counts them.
    pub fn energy_j(&self) -> Option<f64> {
        #[cfg(feature = "nvml")]
        return self.gpu.as_ref().and_then(gpu::Gpu::energy_j);
        #[cfg(not(feature = "nvml"))]
        None
    }

    /// What happened since the last call, or since the start.
    pub fn since_last(&mut self) -> Around {
        let around = Around { host: self.host.since_last(), ..Around::default() };
        #[cfg(feature = "nvml")]
        if let Some(gpu) = &mut self.gpu {
            let state = gpu.state();
            return Around {
                power: state.power_w.value().and_then(Watts::new),
                temperature: state.temperature_c.value().and_then(Celsius::new),
                throttle: state.throttle,
                faulty: state.faulty,
                ..around
            };
        }
        around
    }
}

/// What the card of a device is set to, and who uses it; all unknown where nothing tells.
#[cfg_attr(not(feature = "nvml"), expect(unused_variables, reason = "only NVML asks which device it is"))]
pub fn card(device: &DeviceInfo) -> Card {
    #[cfg(feature = "nvml")]
    if let Some(address) = device.identity.as_deref() {
        return gpu::Gpu::find(address).map_or_else(Card::unknown, |gpu| gpu.card());
    }
    Card::unknown(Unknown::NotSupported)
}
