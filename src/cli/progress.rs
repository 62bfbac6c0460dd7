//! Progress on standard error: a bar with the live estimate on a terminal, one plain line per finished
//! case elsewhere.

use std::io::IsTerminal;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

use super::complain;
use crate::measure::case::Phase;
use crate::measure::plan::{Plan, Planned};
use crate::measure::supervisor::Watch;
use crate::record::{Outcome, Quantity, Record};
use crate::summary::Summary;
use crate::units::{Seconds, with_prefix};

/// The progress display that suits standard error.
pub fn watch(plan: &Plan, todo: usize) -> Box<dyn Watch> {
    Box::new(Progress::new(plan.devices.len() > 1, todo, "{pos}/{len} {elapsed}, {eta} left"))
}

/// A bar on a terminal, lines elsewhere.
pub struct Progress {
    bar: Option<ProgressBar>,
    several: bool,
    done: usize,
    todo: usize,
    /// What precedes a case's name: nothing, or the stage of a search.
    stage: String,
}

impl Progress {
    /// For a search, which ends by its time and does not know how many cases there will be.
    pub fn of_search() -> Self {
        Self::new(false, 0, "{pos} of {len} at most, {elapsed}")
    }

    /// For so many cases, of several devices or of one; `account` is what the bar says of them.
    fn new(several: bool, todo: usize, account: &str) -> Self {
        let bar = std::io::stderr().is_terminal().then(|| {
            let bar = ProgressBar::new(todo as u64);
            // A template of our own that does not parse would be a bug; the default style still shows progress.
            if let Ok(style) = ProgressStyle::with_template(&format!("{{bar:24}} {account} · {{wide_msg}}")) {
                bar.set_style(style);
            }
            bar.enable_steady_tick(Duration::from_millis(500));
            bar
        });
        Self { bar, several, done: 0, todo, stage: String::new() }
    }

    /// Names the stage of a search, and how many cases are left with it at most.
    pub fn stage(&mut self, stage: &str, left: usize) {
        self.stage = format!("{stage}: ");
        self.todo = self.done + left;
        self.bar.iter().for_each(|bar| bar.set_length(self.todo as u64));
    }

    fn message(&self, text: String) {
        self.bar.iter().for_each(|bar| bar.set_message(format!("{}{text}", self.stage)));
    }
}

impl Watch for Progress {
    fn begins(&mut self, _: usize, planned: &Planned) {
        self.message(planned.case.label());
    }

    fn phase(&mut self, planned: &Planned, phase: Phase) {
        let device = if self.several { format!("device {} ", planned.device) } else { String::new() };
        self.message(format!("{device}{}: {}", planned.case.label(), describe(planned, phase)));
    }

    fn ended(&mut self, _: usize, record: &Record) {
        self.done += 1;
        let text = format!("{}{}", self.stage, line(record));
        match &self.bar {
            Some(bar) => {
                bar.println(text);
                bar.inc(1);
            }
            None => complain(&format!("[{}/{}] {text}", self.done, self.todo)),
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.bar.iter().for_each(ProgressBar::finish_and_clear);
    }
}

fn describe(planned: &Planned, phase: Phase) -> String {
    match phase {
        Phase::Preparing => "preparing".to_owned(),
        Phase::Racing => "choosing the fastest variant".to_owned(),
        Phase::Checking => "checking results".to_owned(),
        Phase::Ready => "waiting for the other devices".to_owned(),
        Phase::WarmingUp => "warming up".to_owned(),
        Phase::Sampling { samples, median_s, half_width } => {
            let estimate = median_s.and_then(|time| rate(planned, time));
            let width = half_width.map(|width| format!(" ±{:.1} %", width.get() * 100.0));
            format!("{} ({samples} samples)", estimate.unwrap_or_default() + &width.unwrap_or_default())
        }
    }
}

/// The headline that a running median of a repeat's time amounts to.
fn rate(planned: &Planned, time: Seconds) -> Option<String> {
    let work = planned.benchmark.work(&planned.case);
    Some(match planned.benchmark.meta().quantity {
        Quantity::Bandwidth => work.bytes().per(time)?.to_string(),
        Quantity::Throughput => {
            let unit = work.precision().map_or("FLOP/s", |precision| precision.rate_unit());
            with_prefix(work.operations().per(time)?.get(), unit)
        }
        Quantity::Duration => time.scaled(1.0 / work.accesses.max(1) as f64)?.to_string(),
    })
}

/// One finished case in a line.
fn line(record: &Record) -> String {
    let what = match (&record.outcome, Summary::of(record)) {
        (_, Some(summary)) => {
            let width = summary.half_width().get() * 100.0;
            format!("{} ±{width:.1} %", summary.display_headline())
        }
        (Outcome::Skipped(reason), _) => format!("skipped: {reason}"),
        (Outcome::Failed(reason), _) => format!("FAILED: {reason}"),
        (Outcome::Wrong(failure), _) => format!("WRONG: {failure}"),
        (Outcome::Measured(_), None) => "no usable sample".to_owned(),
    };
    format!("{}: {what}", record.case.label())
}
