//! How long a device is kept busy while it is timed: the axis `load` of benchmarks whose figure heat and power change.

use super::{Axis, Request, WORDS_ONLY};
use crate::record::{AxisValue, Case, DeviceInfo};

/// How long a device is kept busy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Load {
    /// Short windows with pauses between them: what the device can do.
    Burst,
    /// Seconds without a pause, so that power and temperature settle: what it can keep up.
    Sustained,
    /// The same while all other devices of the run do it too: what a node can keep up.
    Together,
}

/// The axis.
pub(super) const AXIS: Axis = Axis {
    name: "load",
    about: "burst (short windows; a case's name leaves it out), sustained (seconds without a pause), together (the same \
            on all devices of the run at once)",
    words: &["burst", "sustained", "together"],
    range: WORDS_ONLY,
};

impl Load {
    /// How a case loads the device. Cases without the axis are bursts.
    pub fn of(case: &Case) -> Self {
        match case.word(AXIS.name) {
            Some("sustained") => Self::Sustained,
            Some("together") => Self::Together,
            _ => Self::Burst,
        }
    }
}

/// The cases under every load wanted: the user's loads where given, else bursts, and on GPUs reached through CUDA the
/// `headlines` under sustained load too. Other devices either keep their clock or do not tell what limits it.
pub(super) fn under_loads(
    cases: Vec<Case>,
    device: &DeviceInfo,
    request: &Request,
    headlines: impl Fn(&Case) -> bool,
) -> Vec<Case> {
    let asked = request.axes.get(AXIS.name);
    let usual = |case: &Case, word: &str| match word {
        "burst" => true,
        "sustained" => device.backend == "cuda" && headlines(case),
        // Plans of several devices ask for it.
        _ => false,
    };
    let under = |case: &Case, load: &&str| {
        let wanted = asked.map_or_else(|| usual(case, load), |loads| loads.contains(&AxisValue::from(*load)));
        wanted.then(|| with(case, load))
    };
    cases.iter().flat_map(|case| AXIS.words.iter().filter_map(|load| under(case, load))).collect()
}

/// A case under a load.
fn with(case: &Case, load: &str) -> Case {
    if load == "burst" { case.clone() } else { case.with(AXIS.name, load) }
}

/// The case that a sustained one is when all devices are busy; `None` of another.
pub fn together(case: &Case) -> Option<Case> {
    (Load::of(case) == Load::Sustained).then(|| with(case, "together"))
}
