//! Staircases over the working set: the plots, and the curves read in words.

use super::Subject;
use super::text::clean;
use crate::fit::{Level, Staircase};
use crate::record::Quantity;
use crate::report::number;
use crate::units::ByteCount;

/// Points below which a curve is told in words only.
const DRAWN: usize = 6;

/// Curves over the working set.
#[derive(Debug, Clone, PartialEq)]
pub struct Stairs {
    /// What is measured, for the vertical axis.
    pub title: String,
    /// Its unit.
    pub unit: &'static str,
    /// The curves, the one that the levels are read from first.
    pub curves: Vec<StairCurve>,
    /// Capacities at which the first curve should bend: name and bytes of the working set.
    pub caches: Vec<(String, f64)>,
    /// What the first curve reads on each flat part.
    pub levels: Vec<LevelMark>,
}

/// One curve.
#[derive(Debug, Clone, PartialEq)]
pub struct StairCurve {
    /// What tells it from the others.
    pub name: String,
    /// Its points, smallest working set first.
    pub points: Vec<StairPoint>,
}

/// One point of a curve.
#[derive(Debug, Clone, PartialEq)]
pub struct StairPoint {
    /// Key of its case.
    pub case: String,
    /// Bytes of the working set.
    pub size_b: u64,
    /// What was measured.
    pub value: crate::summary::Estimate,
}

/// A level of the memory hierarchy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LevelMark {
    /// `L1` … or `memory`.
    pub name: String,
    /// What it gives, with the unit.
    pub value: String,
}

impl Subject<'_> {
    /// A benchmark's staircases, the one that speaks for it first: the parts of their own of most threads, the
    /// single chain over lines.
    pub(super) fn stairs_of(&self, benchmark: &str) -> Vec<&Staircase> {
        let mut stairs: Vec<&Staircase> =
            self.staircases.iter().filter(|stairs| stairs.benchmark == benchmark).collect();
        let rank = |stairs: &&Staircase| {
            let word = |axis: &str| stairs.series.get(axis).map_or("", String::as_str);
            let number = |axis: &str| word(axis).parse::<i64>().unwrap_or(0);
            (word("slice") == "shared", number("stride"), number("chains"), -number("threads"))
        };
        stairs.sort_by_key(rank);
        stairs
    }

    /// The curves of `cache` and `latency` read in words, a sentence each.
    pub(super) fn stairs_in_words(&self) -> Vec<String> {
        let said = |benchmark| self.stairs_of(benchmark).into_iter().find_map(|stairs| self.in_words(stairs));
        ["cache", "latency"].into_iter().filter_map(said).collect()
    }

    /// `L1 reads 243 GB/s up to 60 KiB, L2 129 GB/s up to 1.8 MiB, memory 47 GB/s.`
    fn in_words(&self, stairs: &Staircase) -> Option<String> {
        let (first, rest) = stairs.levels.split_first()?;
        // A few points show what a level gives, not where it ends.
        let reach = |level: &Level| match level.reach.filter(|_| stairs.steps.len() >= DRAWN) {
            Some(reach) => format!(" up to {}", size(reach)),
            None => String::new(),
        };
        let each = |level: &Level, unit| format!("{}{}", number::brief(level.value, unit), reach(level));
        if stairs.quantity == Quantity::Duration {
            let said = stairs.levels.iter().map(|level| format!("{} in {}", each(level, "s"), level.name));
            return Some(format!("One access takes {}.", said.collect::<Vec<_>>().join(", ")));
        }
        let mut said = vec![format!("{} reads {}", first.name, each(first, "B/s"))];
        said.extend(rest.iter().map(|level| format!("{} {}", level.name, each(level, "B/s"))));
        let memory = self.memory().filter(|_| stairs.levels.iter().all(|level| level.name != "memory"));
        said.extend(memory.map(|memory| format!("memory {}", number::brief(memory.rate, "B/s"))));
        Some(format!("{}.", said.join(", ")))
    }

    /// What a benchmark's staircases show as a plot, with its caption; `None` if there are too few points.
    pub(super) fn stairs(&self, benchmark: &str) -> Option<(Stairs, String)> {
        let all = self.stairs_of(benchmark);
        let drawn: Vec<&Staircase> = all.into_iter().filter(|stairs| stairs.steps.len() >= DRAWN).collect();
        let first = *drawn.first()?;
        let (title, unit) = match first.quantity {
            Quantity::Duration => ("Time of an access", "s"),
            _ => ("Read bandwidth", "B/s"),
        };
        let level = |level: &Level| LevelMark { name: clean(&level.name), value: number::brief(level.value, unit) };
        let stairs = Stairs {
            title: title.to_owned(),
            unit,
            curves: drawn.iter().map(|stairs| curve(stairs)).collect(),
            caches: first.caches.iter().map(|(name, bytes)| (clean(name), *bytes)).collect(),
            levels: first.levels.iter().map(level).collect(),
        };
        let words = self.in_words(first).map(|words| format!("{words} ")).unwrap_or_default();
        let caption = format!(
            "{words}{title} by the bytes of the working set, with the interval of each median. Dashed lines mark what \
             the device says its caches hold{}. Both axes are logarithmic.",
            if drawn.len() > 1 { format!(", for the curve {}", name(first)) } else { String::new() }
        );
        Some((stairs, caption))
    }
}

fn curve(stairs: &Staircase) -> StairCurve {
    let point =
        |step: &crate::fit::Step| StairPoint { case: clean(&step.case), size_b: step.size_b, value: step.value };
    StairCurve { name: name(stairs), points: stairs.steps.iter().map(point).collect() }
}

/// What tells a curve from others of its benchmark: `private, 2 threads`, `a line each 64 B`.
fn name(stairs: &Staircase) -> String {
    let words = stairs.series.iter().map(|(axis, value)| match (axis.as_str(), value.as_str()) {
        ("stride", bytes) => format!("one line in {bytes} B"),
        ("threads" | "chains", "1") => format!("1 {}", axis.trim_end_matches('s')),
        ("threads" | "chains", count) => format!("{} {axis}", clean(count)),
        (_, word) => clean(word),
    });
    words.collect::<Vec<_>>().join(", ")
}

/// A size in three digits at most.
fn size(bytes: ByteCount) -> String {
    let unit = [1_u64 << 30, 1 << 20, 1 << 10].into_iter().find(|unit| bytes.0 >= *unit).unwrap_or(1);
    let number = bytes.0 as f64 / unit as f64;
    let rounded = if number >= 10.0 { number.round() } else { (number * 10.0).round() / 10.0 };
    ByteCount((rounded * unit as f64) as u64).to_string()
}
