//! How long and how precisely a case is measured: one set of parameters per profile, scaled to a budget.

use serde::{Deserialize, Serialize};

use crate::record::{DeviceKind, Protocol};
use crate::suite::Profile;
use crate::units::{Ratio, Seconds};

/// Everything the protocol needs to know for one case.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Settings {
    /// What is recorded with the measurement.
    pub protocol: Protocol,
    /// Longest time spent racing variants.
    pub race_max_s: Seconds,
    /// The case fails if it takes longer than this, set-up and checks included.
    pub deadline_s: Seconds,
}

/// Set-up and both checks of an average case: buffers of some hundred MiB filled once and read twice.
const OVERHEAD_S: f64 = 0.6;

/// Shortest sustained load: power control of a GPU settles within it, and an energy counter has moved enough to be read.
const SUSTAINED_S: f64 = 2.0;
/// The same on an emulated device, which has no power to settle.
const SUSTAINED_EMULATED_S: f64 = 0.02;

/// Least share of a profile's time to which a budget may squeeze a case. Below it intervals say nothing.
const LEAST_SCALE: f64 = 0.1;

impl Settings {
    /// The parameters of a profile, with all its times multiplied by `scale` (at most 1; a budget that would
    /// need less than a tenth gets a tenth).
    ///
    /// Sources: at least 10 samples and a relative half-width of 0.5 % as in nvbench's `stdrel` criterion;
    /// a warm-up of 0.4 s brings clocks up (RRZE gpu-benches) and 3 s settles power (CUTLASS guideline).
    pub fn of(profile: Profile, scale: f64, deadline: Seconds) -> Self {
        let scale = if scale.is_finite() { scale.clamp(LEAST_SCALE, 1.0) } else { 1.0 };
        //          sample   samples    time  target  warm-up      race
        let (sample, fewest, most, time, target, warm, longest, race) = match profile {
            Profile::Quick => (0.010, 20, 200, 0.7, 0.005, 0.1, 0.4, 0.4),
            Profile::Standard => (0.020, 30, 1000, 2.0, 0.0025, 0.5, 1.2, 1.0),
            Profile::Full => (0.020, 50, 5000, 10.0, 0.001, 3.0, 10.0, 2.0),
        };
        let time_of = |seconds: f64| Seconds::new(seconds * scale).unwrap_or(Seconds::ZERO);
        Self {
            protocol: Protocol {
                sample_min_s: Seconds::new(sample).unwrap_or(Seconds::ZERO),
                samples_min: fewest,
                samples_max: most,
                time_max_s: time_of(time),
                half_width_target: Ratio::new(target).unwrap_or(Ratio::ZERO),
                warm_up_min_s: time_of(warm),
                warm_up_max_s: time_of(longest),
            },
            race_max_s: time_of(race),
            deadline_s: deadline,
        }
    }

    /// How long a sustained load is timed, and how long it lasts before that: the time of a case, and never less than
    /// power takes to settle, whatever the budget.
    pub fn sustained(&self, kind: DeviceKind) -> Seconds {
        let least = if kind == DeviceKind::Emulated { SUSTAINED_EMULATED_S } else { SUSTAINED_S };
        let least = Seconds::new(least).unwrap_or(Seconds::ZERO);
        if kind == DeviceKind::Emulated || self.protocol.time_max_s < least { least } else { self.protocol.time_max_s }
    }

    /// What a case worth an effort (1 for a whole one) is expected to take. Most stop earlier; one whose single repeat is long, such as a large
    /// matrix product, takes longer, since its race and warm-up need some repeats whatever they cost.
    pub fn estimate(&self, effort: f64) -> Seconds {
        let overhead = Seconds::new(OVERHEAD_S).unwrap_or(Seconds::ZERO);
        let measuring = self.race_max_s + self.protocol.warm_up_min_s + self.protocol.time_max_s;
        overhead + measuring.scaled(effort).unwrap_or(measuring)
    }
}
