//! What a reader must know before trusting a figure: grouped by cause, each with the next action.

use std::collections::BTreeMap;

use super::cases::{CaseView, cause};
use super::text::{clean, count, list};
use super::{BenchmarkView, CaseRef, Level, Notice, Subject};
use crate::fit::PLATEAU_TOLERANCE;
use crate::record::{DeviceKind, Link, Precision, Record, Rejection, Run};
use crate::report::number;
use crate::summary::{Summary, WIDE};

/// Speed-up per thread below which threads do not act like cores of their own. Two threads of one core
/// share its arithmetic units and reach about half; two cores lose a few per cent to clocks and caches.
const THREAD_SHARE: f64 = 0.8;

/// Largest departure of device time from host time that goes without a remark.
const CLOCK_TOLERANCE: f64 = 0.01;

/// What can be said of a run as a whole.
pub(super) fn of_run(run: &Run, about: Option<&str>, notices: &mut Vec<Notice>) {
    let mut add = |level, what: String, action: &str| {
        let device = about.map(str::to_owned);
        notices.push(Notice { level, device, what, action: action.to_owned(), cases: Vec::new() });
    };
    if !run.header.tool.optimised {
        add(
            Level::Fault,
            "The tool was built without optimisation: its CPU kernels are slower than the machine.".to_owned(),
            "Build it with optimisation, `cargo run --release -- run`, and do not publish these figures.",
        );
    }
    let (finished, planned) = (run.records.len(), run.header.planned as usize);
    let id = clean(&run.header.run_id);
    let resume = format!("Finish it with `rooflint run --resume {id}`.");
    match &run.footer {
        None => add(Level::Fault, format!("The run was cut off after {finished} of {planned} cases."), &resume),
        Some(footer) if footer.interrupted => {
            add(
                Level::Caution,
                format!("The run was stopped by its user after {finished} of {planned} cases."),
                &resume,
            );
        }
        Some(_) if finished < planned => {
            add(Level::Fault, format!("Only {finished} of {planned} planned cases are in the run."), &resume);
        }
        Some(_) => {}
    }
    if run.header.devices.is_empty() {
        add(Level::Fault, "The run names no device.".to_owned(), "See what can be measured with `rooflint devices`.");
    }
    let orphans = run.records.iter().filter(|record| run.device(record).is_none()).count();
    if orphans > 0 {
        let what = format!("{} of a device that the run does not list are left out.", count(orphans, "record"));
        add(Level::Fault, what, "The file was changed or damaged: measure again.");
    }
    for warning in &run.header.environment.warnings {
        add(Level::Caution, clean(warning), "");
    }
}

impl Subject<'_> {
    /// What can be said of this device's cases.
    pub(super) fn notices(&self, benchmarks: &[BenchmarkView]) -> Vec<Notice> {
        let mut notices = Vec::new();
        self.kind(&mut notices);
        self.outcomes(benchmarks, &mut notices);
        self.plateau(&mut notices);
        self.flags(benchmarks, &mut notices);
        self.company(&mut notices);
        self.link(&mut notices);
        self.threads(&mut notices);
        self.clock(&mut notices);
        notices
    }

    fn notice(&self, level: Level, what: impl Into<String>, action: impl Into<String>, cases: Vec<CaseRef>) -> Notice {
        let device = self.several.then(|| self.name.clone());
        Notice { level, device, what: what.into(), action: action.into(), cases }
    }

    fn records(&self) -> impl Iterator<Item = &Record> {
        self.run.records.iter().filter(|record| record.device == self.index)
    }

    fn kind(&self, notices: &mut Vec<Notice>) {
        let (level, what, action) = match self.info.kind {
            DeviceKind::Hardware => return,
            DeviceKind::Software => (
                Level::Caution,
                "This device is a software renderer: its times are those of the CPU it runs on.",
                "Install the GPU's driver and choose it with `--device` to measure the GPU.",
            ),
            DeviceKind::Emulated => (
                Level::Fault,
                "This device is an emulator: its answers are right, its times mean nothing.",
                "Use these figures for tests only.",
            ),
            DeviceKind::Fake => {
                (Level::Fault, "This device is a fake: its times are scripted.", "Use these figures for tests only.")
            }
        };
        notices.push(self.notice(level, what, action, Vec::new()));
    }

    fn outcomes(&self, benchmarks: &[BenchmarkView], notices: &mut Vec<Notice>) {
        let of = |wanted: &dyn Fn(&CaseView) -> bool| -> Vec<CaseRef> {
            let cases = benchmarks.iter().flat_map(|part| &part.cases).filter(|case| wanted(case));
            cases.map(|case| case.reference(case.reason.clone())).collect()
        };
        let wrong = of(&|case| case.outcome == "wrong");
        let failed = of(&|case| case.outcome == "failed" || (case.outcome == "measured" && case.result.is_none()));
        let skipped = of(&|case| case.outcome == "skipped");
        if !wrong.is_empty() {
            let what = format!("{} computed a wrong result; the times are not kept.", count(wrong.len(), "case"));
            let again = again(&wrong, benchmarks);
            let action =
                format!("Run {again} again. If it stays, suspect the memory, an unstable clock or the driver.");
            notices.push(self.notice(Level::Fault, what, action, wrong));
        }
        if !failed.is_empty() {
            let what = format!("{} failed and have no result.", count(failed.len(), "case"))
                .replace("1 case failed and have", "1 case failed and has");
            let action = format!("Remove the cause named with each, then run {} again.", again(&failed, benchmarks));
            notices.push(self.notice(Level::Fault, what, action, failed));
        }
        if !skipped.is_empty() {
            let what = format!("{} skipped.", was_were(skipped.len()));
            notices.push(self.notice(Level::Note, what, "Nothing to do, unless the reason surprises.", skipped));
        }
        if benchmarks.is_empty() {
            let action = "Ask what would run with `rooflint run --dry-run`.";
            notices.push(self.notice(Level::Fault, "The run holds no case of this device.", action, Vec::new()));
        }
    }

    fn plateau(&self, notices: &mut Vec<Notice>) {
        let Some(plateau) = &self.ceilings.plateau else { return };
        let drift = number::percent(plateau.drift.abs());
        let (level, what) = match (plateau.shows_memory(), plateau.flat) {
            (true, _) if plateau.drift >= -PLATEAU_TOLERANCE => return,
            (true, _) => (
                Level::Note,
                format!(
                    "Bandwidth still rose by {drift} between the two largest working sets, as the fixed cost of a launch \
                     weighs less: memory may do a little better than the figure."
                ),
            ),
            (false, true) => {
                (Level::Caution, "The two largest working sets are not both larger than the last cache.".to_owned())
            }
            (false, false) => (
                Level::Caution,
                format!(
                    "Bandwidth still fell by {drift} between the two largest working sets: part of them may be in a cache."
                ),
            ),
        };
        let largest = self
            .records()
            .filter(|record| record.case.benchmark == "memory")
            .filter_map(|record| record.case.count("size"));
        let larger =
            largest.max().map(|size| format!(": `rooflint run --bench memory --axis size={}`", size.saturating_mul(2)));
        let action = format!("Measure a larger working set{}.", larger.unwrap_or_default());
        notices.push(self.notice(level, what, action, Vec::new()));
    }

    fn flags(&self, benchmarks: &[BenchmarkView], notices: &mut Vec<Notice>) {
        for kind in &KINDS {
            let cases = benchmarks.iter().flat_map(|part| &part.cases).filter(|case| case.flags.contains(&kind.cause));
            let cases: Vec<CaseRef> = cases.map(|case| case.reference(None)).collect();
            if cases.is_empty() {
                continue;
            }
            let mut what = (kind.what)(&count(cases.len(), "case"));
            if matches!(kind.cause, "rejected" | "disturbed") {
                what.push_str(&self.rejections(kind.cause));
            }
            let action = kind.action.replace("{again}", &again(&cases, benchmarks));
            notices.push(self.notice(kind.level, what, action, cases));
        }
    }

    /// Which causes rejected the samples of the cases that carry a flag: ` Causes: … (12), … (3).`
    fn rejections(&self, flag: &str) -> String {
        let mut causes: BTreeMap<Rejection, usize> = BTreeMap::new();
        for record in self.records() {
            let flagged = Summary::of(record).is_some_and(|summary| summary.flags.iter().any(|own| cause(own) == flag));
            let samples = record.outcome.measurement().filter(|_| flagged).map_or(&[][..], |found| &found.samples);
            for rejection in samples.iter().filter_map(|sample| sample.rejected) {
                *causes.entry(rejection).or_default() += 1;
            }
        }
        let causes: Vec<String> =
            causes.iter().map(|(cause, times)| format!("{cause} ({})", count(*times, "sample"))).collect();
        if causes.is_empty() { String::new() } else { format!(" Causes: {}.", list(&causes)) }
    }

    /// Others that computed on the device before or after, and so perhaps meanwhile.
    fn company(&self, notices: &mut Vec<Notice>) {
        let before = &self.run.header.environment.other_processes;
        let after = self.run.footer.as_ref().map_or(&[][..], |footer| &footer.other_processes);
        let told: Vec<String> = [("before", before.as_slice()), ("after", after)]
            .into_iter()
            .flat_map(|(when, told)| told.iter().map(move |told| (when, told)))
            .filter(|(_, told)| told.device == self.index)
            .filter(|(_, told)| told.processes.as_ref().value().is_some_and(|others| !others.is_empty()))
            .map(|(when, told)| format!("{when} the run {}", told.processes.list()))
            .collect();
        if !told.is_empty() {
            let what = format!("Other processes computed on this device: {}.", told.join("; "));
            let action = "End them (`nvidia-smi` names them) and measure again: what they take is missing here.";
            notices.push(self.notice(Level::Caution, what, action, Vec::new()));
        }
    }

    /// A link to the host that did less than it can while data moved over it.
    fn link(&self, notices: &mut Vec<Notice>) {
        let links = self.records().filter_map(|record| Link::of(&record.outcome.measurement()?.conditions));
        if let Some(link) = links.filter(Link::is_held_down).last() {
            let most = Link { generation: [link.generation[1]; 2], width: [link.width[1]; 2] };
            let what = format!("The link to the host was {link} while data moved over it; it can be {most}.");
            let action =
                "See how the card sits in its slot and what the slot can do; transfers are as slow as the link.";
            notices.push(self.notice(Level::Caution, what, action, Vec::new()));
        }
    }

    /// Threads that do not add up are threads of shared cores: what to know before dividing by their number.
    fn threads(&self, notices: &mut Vec<Notice>) {
        let rate = |record: &Record| Summary::of(record).map(|summary| summary.headline.value);
        for (precision, name) in Precision::ALL {
            let cases = || {
                let fma = self.records().filter(|record| record.case.benchmark == "fma");
                fma.filter(|record| {
                    record.case.word("precision") == Some(name) && record.work.precision() == Some(precision)
                })
            };
            let of = |threads| cases().find(|record| record.case.count("threads") == Some(threads)).and_then(rate);
            let Some(most) = cases().filter_map(|record| record.case.count("threads")).max().filter(|most| *most > 1)
            else {
                continue;
            };
            let (Some(one), Some(all)) = (of(1), of(most)) else { continue };
            let ratio = all / one;
            if ratio / (most as f64) >= THREAD_SHARE {
                continue;
            }
            let behave = match most {
                2 => "the two usable cores are, by this, two threads of one core".to_owned(),
                _ => format!("the {most} usable cores act like about {:.0}", ratio.round().max(1.0)),
            };
            let what = format!("{most} threads compute {} as much as one ({name}): {behave}.", number::times(ratio));
            let action =
                "Read the ceilings as those of this machine as given, and divide by physical cores, not by threads.";
            notices.push(self.notice(Level::Note, what, action, Vec::new()));
            return;
        }
    }

    fn clock(&self, notices: &mut Vec<Notice>) {
        let agreements = self.records().filter_map(|record| record.outcome.measurement()?.timer.agreement);
        let worst = agreements.map(|ratio| ratio.get() - 1.0).max_by(|a, b| a.abs().total_cmp(&b.abs()));
        if let Some(worst) = worst.filter(|worst| worst.abs() > CLOCK_TOLERANCE) {
            let what = format!("The device's clock and the host's differ by {}.", number::percent(worst.abs()));
            let action = "Distrust absolute times until `rooflint doctor` finds them in agreement.";
            notices.push(self.notice(Level::Caution, what, action, Vec::new()));
        }
    }
}

/// A cause that cases share.
struct Kind {
    cause: &'static str,
    level: Level,
    what: fn(&str) -> String,
    /// `{again}` stands for the command that measures these cases again.
    action: &'static str,
}

static KINDS: [Kind; 9] = [
    Kind {
        cause: "disturbed",
        level: Level::Caution,
        what: |cases| format!("{cases} lost more than half of the samples, and speak of the machine as it was."),
        action: "Stop what else runs on the machine, then run {again} again.",
    },
    Kind {
        cause: "wide",
        level: Level::Caution,
        what: |cases| format!("{cases}: the interval is wider than ±{} of the median.", number::percent(WIDE)),
        action: "Quiet the machine, or give it more time with `--profile full`, and run {again} again.",
    },
    Kind {
        cause: "drift",
        level: Level::Caution,
        what: |cases| format!("{cases}: the rate drifted while it was measured."),
        action: "Look for a clock that falls with heat or power; run {again} again once the device is warm.",
    },
    Kind {
        cause: "bimodal",
        level: Level::Caution,
        what: |cases| format!("{cases}: the samples fall into two groups, and the median lies in one of them."),
        action: "See the plot of samples; a second process, page placement or a clock step often explains it.",
    },
    Kind {
        cause: "unsettled",
        level: Level::Caution,
        what: |cases| format!("{cases}: the rate had not settled when warm-up ended."),
        action: "Run {again} again with `--profile full`, which warms up for longer.",
    },
    Kind {
        cause: "few_samples",
        level: Level::Caution,
        what: |cases| format!("{cases}: fewer than ten samples, so that the interval is their range."),
        action: "Allow more time with `--budget` or `--profile standard`, and run {again} again.",
    },
    Kind {
        cause: "short_for_timer",
        level: Level::Caution,
        what: |cases| format!("{cases}: a sample is short for the timer's resolution."),
        action: "Take these times as coarse.",
    },
    Kind {
        cause: "rejected",
        level: Level::Note,
        what: |cases| format!("{cases}: some samples were rejected; the figures use the rest."),
        action: "Nothing to do, unless there are many.",
    },
    Kind {
        cause: "from_cache",
        level: Level::Note,
        what: |cases| format!("{cases} above the memory ceiling: the data stayed in a cache."),
        action: "Use larger shapes to see memory.",
    },
];

/// The command that measures the benchmarks of these cases again.
fn again(cases: &[CaseRef], benchmarks: &[BenchmarkView]) -> String {
    let named = |part: &&BenchmarkView| cases.iter().any(|case| part.cases.iter().any(|own| own.anchor == case.anchor));
    let flags: Vec<String> = benchmarks.iter().filter(named).map(|part| format!(" --bench {}", part.id)).collect();
    format!("`rooflint run{}`", flags.concat())
}

fn was_were(number: usize) -> String {
    if number == 1 { "1 case was".to_owned() } else { format!("{number} cases were") }
}

/// Every flag has a notice, so that none is shown without its next action.
#[cfg(test)]
mod tests {
    use super::*;
    use crate::summary::Flag;
    use crate::units::Ratio;

    #[test]
    fn every_flag_has_its_notice() {
        let all = [
            Flag::Wide(Ratio::ZERO),
            Flag::Rejected(Ratio::ZERO),
            Flag::Disturbed(Ratio::ZERO),
            Flag::Unsettled,
            Flag::Drift(Ratio::ZERO),
            Flag::Bimodal,
            Flag::FewSamples(1),
            Flag::ShortForTimer,
        ];
        for flag in all {
            let found = KINDS.iter().filter(|kind| kind.cause == cause(&flag)).count();
            assert_eq!(found, 1, "{flag:?}");
        }
    }
}
