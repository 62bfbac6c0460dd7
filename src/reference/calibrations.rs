//! The calibrations that come with the program: laws fitted to the imported runs of a GPU, with their draws.
//!
//! They are of vLLM's tables, the only framework whose tables are whole on all four GPUs and free for anyone to measure
//! again, and of NCCL's. `ci/references` makes them.

use super::{Figure, ReferenceError, run_named};
use crate::fit::{Allowed, Calibration, Fitted};
use crate::hardware;
use crate::record::Run;

/// A calibration that comes with the program.
#[derive(Debug, Clone, Copy)]
pub struct Calibrated {
    /// The GPU's id in the hardware catalogue.
    pub gpu: &'static str,
    /// Names of the runs it is fitted to.
    pub runs: &'static [&'static str],
    /// The file as committed.
    text: &'static str,
}

/// A file below `reports/reference/calibrations/`, by the GPU's id, and the runs it is fitted to.
macro_rules! calibrated {
    ($($gpu:literal: $runs:expr),* $(,)?) => {
        &[$(Calibrated {
            gpu: $gpu,
            runs: &$runs,
            text: include_str!(concat!("../../reports/reference/calibrations/", $gpu, ".json")),
        }),*]
    };
}

/// Every calibration that comes with the program.
pub static CALIBRATED: &[Calibrated] = calibrated![
    "a100_sxm_80gb": ["a100_sxm-vllm-0.14.0", "a100_sxm-nccl-2.27.3"],
    "h100_sxm": ["h100_sxm-vllm-0.24.0", "h100_sxm-nccl-2.29.2"],
    "h200_sxm": ["h200_sxm-vllm-0.24.0", "h200_sxm-nccl-2.29.2"],
    "l40s": ["l40s-vllm-0.24.0", "l40s-nccl-2.27.3"],
];

/// The calibration of a GPU, by its id in the hardware catalogue; `None` where none comes with the program.
///
/// # Errors
/// None for the files as committed.
pub fn calibration(gpu: &str) -> Result<Option<Calibration>, ReferenceError> {
    CALIBRATED.iter().find(|one| one.gpu == gpu).map(Calibrated::calibration).transpose()
}

impl Calibrated {
    /// It, as committed.
    ///
    /// # Errors
    /// None for the files as committed.
    pub fn calibration(&self) -> Result<Calibration, ReferenceError> {
        serde_json::from_str(self.text).map_err(|error| self.fault(error.to_string()))
    }

    /// It, fitted afresh to the runs as committed.
    ///
    /// # Errors
    /// None for the files as committed.
    pub fn fitted_afresh(&self) -> Result<Calibration, ReferenceError> {
        let gpu = hardware::find(self.gpu).map_err(|error| self.fault(error.to_string()))?;
        let runs = self.runs.iter().map(|name| run_named(name)).collect::<Result<Vec<Run>, _>>()?;
        Calibration::of(&runs, Some(&gpu), Allowed::default()).map_err(|error| self.fault(error.to_string()))
    }

    fn fault(&self, problem: String) -> ReferenceError {
        ReferenceError { name: format!("calibrations/{}.json", self.gpu), problem }
    }
}

/// Quantities that a constant of a law answers for: the quantity, operation, subjects, constant. Links are none of them: NCCL
/// changes its way with the size, and a law over all sizes tells what is usual and not what a link gives.
const CONSTANTS: [(&str, &str, &[&str], &str); 4] = [
    ("memory_bandwidth", "matmul", &["bf16", "f16"], "bandwidth"),
    ("matmul_f16", "matmul", &["bf16", "f16"], "throughput"),
    ("matmul_fp8", "matmul", &["fp8_e4m3"], "throughput"),
    ("matmul_i8", "matmul", &["i8"], "throughput"),
];

/// Puts a fitted constant with its interval in the place of a single row. A constant that rests on its prior says nothing of
/// the GPU, and leaves the figure as it is.
pub(super) fn fitted(figure: &mut Figure, calibrated: &Calibrated, calibration: &Calibration) {
    let found = CONSTANTS.iter().filter(|(quantity, ..)| *quantity == figure.quantity).find_map(
        |(_, operation, subjects, constant)| {
            let law = subjects.iter().find_map(|subject| calibration.law(operation, subject))?;
            let constant = law.constants.iter().find(|one| one.name == *constant && one.unsupported.is_none())?;
            Some((law, constant))
        },
    );
    let Some((law, constant)) = found else { return };
    figure.value = constant.value;
    figure.interval = Some((constant.low, constant.high));
    figure.statistic = format!("fitted to {}", cases(law));
    figure.what = format!(
        "{} of the law of {} {}, reports/reference/calibrations/{}.json",
        constant.name, law.operation, law.subject, calibrated.gpu
    );
}

fn cases(law: &Fitted) -> String {
    format!("{} cases of {} kinds", law.rows, law.clusters)
}
