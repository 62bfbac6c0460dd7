//! What is known of a device before an operation's rows are looked at: priors, and the limits that physics sets.

use std::collections::BTreeMap;

use super::law::{Parameter, Role, Row};
use super::{Ceilings, measured};
use crate::hardware::{Gpu, Rate};
use crate::record::{Precision, Run};
use crate::units::Hertz;

/// Share of a datasheet's bandwidth that programs usually reach.
const BANDWIDTH_SHARE: f64 = 0.85;
/// Share of a peak, a datasheet's or a measured one of multiply-adds, that products usually reach.
const PEAK_SHARE: f64 = 0.8;
/// The fixed cost of a launch where none was measured; its prior is as wide as a factor of e either way.
const LAUNCH_S: f64 = 5e-6;
/// The joint's usual exponent: the median of those fitted to published tables.
const EXPONENT: f64 = 2.0;

/// What other measurements and the datasheet say.
#[derive(Debug, Clone, Default)]
pub struct Known {
    /// The datasheet, if the device is one of the catalogue.
    pub gpu: Option<Gpu>,
    /// The measured memory ceiling, in bytes per second.
    read_b_s: Option<f64>,
    /// Vector throughput by precision, measured.
    vector: BTreeMap<Precision, f64>,
    /// The shortest measured launch, in seconds.
    launch_s: Option<f64>,
}

impl Known {
    /// What micro-benchmarks of these devices of runs say, beside a datasheet.
    pub fn of(devices: &[(&Run, u32)], gpu: Option<&Gpu>) -> Self {
        let mut known = Self { gpu: gpu.cloned(), ..Self::default() };
        for (run, device) in devices.iter().copied() {
            let ceilings = Ceilings::of(run, device);
            let reads = ceilings.memory.iter().filter(|ceiling| ceiling.kernel == "read");
            known.read_b_s = reads.map(|read| read.rate.value).chain(known.read_b_s).reduce(f64::max);
            for ceiling in ceilings.compute.iter().filter(|ceiling| ceiling.benchmark == "fma") {
                let best = known.vector.entry(ceiling.precision).or_default();
                *best = best.max(ceiling.rate.value);
            }
            let launches = measured(run, device);
            let launches = launches.iter().filter(|item| item.record.case.benchmark == "launch");
            known.launch_s = launches.map(|item| item.summary.time.value).chain(known.launch_s).reduce(f64::min);
        }
        known
    }

    /// The bandwidth that no reading exceeds.
    pub fn bandwidth_limit(&self) -> Option<f64> {
        Some(self.gpu.as_ref()?.bandwidth()?.get())
    }

    /// The throughput that no product exceeds: the peak at the highest clock.
    pub fn throughput_limit(&self, precision: Precision) -> Option<f64> {
        let gpu = self.gpu.as_ref()?;
        let at = |rate: Rate| {
            let clock = gpu.boost_mhz.max(gpu.peaks.get(&rate)?.clock_mhz);
            Some(gpu.peak_at(rate, Hertz::new(clock * 1e6)?)?.get())
        };
        rates(precision).iter().filter_map(|rate| at(*rate)).reduce(f64::max)
    }

    /// A fixed cost.
    pub fn fixed(&self, name: &'static str, amount: usize, times: f64) -> Parameter {
        let prior = times * self.launch_s.unwrap_or(LAUNCH_S);
        Parameter { name, unit: "s", role: Role::Time(amount), prior, sigma: 1.0, limit: None }
    }

    /// A memory bandwidth; `bytes` says which bytes of a row move at it.
    pub fn bandwidth(&self, role: Role, sigma: f64, rows: &[Row], bytes: impl Fn(&Row) -> f64) -> Parameter {
        let sheet = self.bandwidth_limit().map(|limit| BANDWIDTH_SHARE * limit);
        let best = || fastest(rows.iter().map(|row| bytes(row) / row.time_s));
        let (prior, sigma) = match self.read_b_s.or(sheet) {
            Some(prior) => (prior, sigma),
            None => (best(), 3.0 * sigma),
        };
        Parameter { name: "bandwidth", unit: "B/s", role, prior, sigma, limit: self.bandwidth_limit() }
    }

    /// A throughput of products whose inputs are of a precision.
    pub fn throughput(&self, precision: Precision, share: f64, sigma: f64, rows: &[Row]) -> Parameter {
        let limit = self.throughput_limit(precision);
        let best = fastest(rows.iter().map(|row| row.flop / row.time_s));
        let fallback = best.max(PEAK_SHARE * self.vector.get(&precision).copied().unwrap_or(0.0));
        let prior = limit.map_or(fallback, |limit| share * PEAK_SHARE * limit);
        Parameter { name: "throughput", unit: "FLOP/s", role: Role::Throughput, prior, sigma, limit }
    }
}

/// The exponent of a joint.
pub fn exponent() -> Parameter {
    Parameter { name: "exponent", unit: "", role: Role::Exponent, prior: EXPONENT, sigma: 0.3, limit: None }
}

/// The largest of some rates; 1 without any, as a stand-in that is never shown: such rows make no law.
fn fastest(rates: impl Iterator<Item = f64>) -> f64 {
    rates.filter(|rate| rate.is_finite() && *rate > 0.0).reduce(f64::max).unwrap_or(1.0)
}

/// Peaks that products of a precision may run at.
fn rates(precision: Precision) -> &'static [Rate] {
    match precision {
        Precision::F64 => &[Rate::F64, Rate::F64Tensor],
        // A product of f32 runs on the vector units, but a library may be allowed to use the matrix units.
        Precision::F32 => &[Rate::F32, Rate::Tf32],
        Precision::Tf32 => &[Rate::Tf32],
        Precision::F16 => &[Rate::F16],
        Precision::Bf16 => &[Rate::Bf16],
        Precision::Fp8E4m3 | Precision::Fp8E5m2 => &[Rate::Fp8],
        Precision::I8 => &[Rate::I8],
        Precision::I32 => &[],
    }
}
