//! Every sample of every case, relative to the case's median: one row per case, blocks as high as there are
//! samples in them, so that two modes, a drift's smear and lone outliers are seen at a glance.

use std::collections::{BTreeMap, BTreeSet};

use super::axis::Axis;
use super::canvas::{Anchor, Area, At, Canvas, Shape};
use super::legend::{self, Entry, Mark};
use super::rows::{LEFT, RIGHT, Rows, TEXT, WIDTH};
use super::theme::Role;
use crate::report::ReportError;
use crate::report::number::{UNKNOWN, percent};
use crate::report::view::{Strip, Strips};

const ROW: i32 = 26;
/// Width of a block, in pixels.
const BLOCK: i32 = 4;
/// Room at both edges for the number of samples beyond.
const EDGE: i32 = 38;
/// Half the height of the highest block of a row.
const TALLEST: i32 = 8;
/// Deviations at which the axis may end, as shares of the median.
const ENDS: [f64; 7] = [0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5];
/// Share of all samples that the axis must hold; the rest are counted at its edges.
const HELD: f64 = 0.98;

/// What the same picture is called where it shows other things.
pub(super) struct Words {
    axis: &'static str,
    blocks: &'static str,
    bar: &'static str,
    /// Whether the figure beside a row is a value with the half-width of the bar.
    median: bool,
}

/// Samples of cases.
pub(super) const SAMPLES: Words = Words {
    axis: "Time of a sample against the case's median (%)",
    blocks: "samples",
    bar: "interval of the median",
    median: true,
};

/// What laws leave over.
pub(super) const RESIDUALS: Words = Words {
    axis: "Measured time against the time foretold (%)",
    blocks: "cases held out",
    bar: "interval given for a case",
    median: false,
};

pub(super) fn draw(strips: &Strips, words: &Words) -> Result<Canvas, ReportError> {
    let end = axis_end(strips);
    let entries = entries(strips, words);
    let (_, legend_height) = legend::flow(&entries, WIDTH - LEFT - 20);
    let rows = Rows::of(strips.strips.iter().map(|strip| strip.group.as_str()), ROW);
    let mut canvas = rows.canvas(legend_height)?;
    let axis = Axis::linear(-end, end, LEFT + EDGE, RIGHT - EDGE);
    rows.frame(&mut canvas, &axis, 0.01, words.axis, strips.strips.iter().map(|strip| strip.label.as_str()))?;
    canvas.plain(|pen| pen.line((axis.at(0.0), 10), (axis.at(0.0), rows.bottom), Role::Muted, 1))?;
    for (strip, y) in strips.strips.iter().zip(&rows.middles) {
        draw_strip(&mut canvas, strip, *y, &axis, end, words)?;
    }
    legend::draw(&mut canvas, &entries, rows.legend(legend_height))?;
    Ok(canvas)
}

/// The least end of the axis that holds nearly all samples.
fn axis_end(strips: &Strips) -> f64 {
    let samples = || strips.strips.iter().flat_map(|strip| &strip.accepted);
    let all = samples().count() as f64;
    let held = |end: f64| samples().filter(|deviation| deviation.abs() <= end).count() as f64 >= HELD * all;
    ENDS.into_iter().find(|end| held(*end)).unwrap_or(ENDS[ENDS.len() - 1])
}

fn draw_strip(
    canvas: &mut Canvas,
    strip: &Strip,
    y: i32,
    axis: &Axis,
    end: f64,
    words: &Words,
) -> Result<(), ReportError> {
    let half = match strip.high.max(-strip.low) {
        half if half > 0.0 => percent(half),
        _ => UNKNOWN.to_owned(),
    };
    let taken = strip.accepted.len() + strip.rejected.len();
    let figures = if words.median { format!("{} ± {half}", strip.median) } else { strip.median.clone() };
    let title = match words.median {
        true => format!("{}: median {figures}, {taken} samples", strip.case),
        false => format!("{}: {figures}", strip.case),
    };
    canvas.group(&[("class", "strip")], Some(&title), |pen| {
        pen.polygon(outline(&strip.accepted, y, axis, end), Role::Blue, 0.7)?;
        for x in crosses(&strip.rejected, axis, end) {
            pen.sign(Shape::Cross, (x, y), 3, Role::Vermilion)?;
        }
        let (low, high) = (axis.at(strip.low.max(-end)), axis.at(strip.high.min(end)));
        let foot = y + TALLEST + 2;
        pen.fill(Area { left: low, top: foot - 1, right: high, bottom: foot + 1 }, Role::Ink, 1.0)
    })?;
    let beyond = |side: f64| {
        let samples = strip.accepted.iter().chain(&strip.rejected);
        samples.filter(|deviation| **deviation * side > end).count()
    };
    let (below, above) = (beyond(-1.0), beyond(1.0));
    canvas.plain(|pen| {
        if below > 0 {
            pen.text((LEFT + 4, y), &format!("← {below}"), TEXT, Anchor::Start, Role::Muted)?;
        }
        if above > 0 {
            pen.text((RIGHT - 4, y), &format!("{above} →"), TEXT, Anchor::End, Role::Muted)?;
        }
        pen.text((RIGHT + 14, y), &figures, TEXT, Anchor::Start, Role::Ink)
    })
}

/// Where rejected samples are marked: once per block's width, however many there are.
fn crosses(samples: &[f64], axis: &Axis, end: f64) -> BTreeSet<i32> {
    let within = samples.iter().filter(|deviation| deviation.abs() <= end);
    within.map(|deviation| axis.at(*deviation) / BLOCK * BLOCK).collect()
}

/// The outline of a row's blocks, mirrored about its middle: their height goes with the root of the number
/// of samples, so that a lone one is still seen beside a hundred.
fn outline(samples: &[f64], y: i32, axis: &Axis, end: f64) -> Vec<At> {
    let mut blocks: BTreeMap<i32, u32> = BTreeMap::new();
    for deviation in samples.iter().filter(|deviation| deviation.abs() <= end) {
        *blocks.entry((axis.at(*deviation) - LEFT) / BLOCK).or_default() += 1;
    }
    let most = blocks.values().copied().max().unwrap_or(1);
    let mut upper = Vec::new();
    for (index, count) in blocks {
        let (left, right) = (LEFT + index * BLOCK, LEFT + (index + 1) * BLOCK);
        let height = (f64::from(TALLEST) * (f64::from(count) / f64::from(most)).sqrt()).round().max(2.0) as i32;
        upper.extend([(left, 0), (left, height), (right, height), (right, 0)]);
    }
    let lower = upper.iter().rev().map(|(x, height)| (*x, y + height));
    let mirrored: Vec<At> = lower.collect();
    upper.into_iter().map(|(x, height)| (x, y - height)).chain(mirrored).collect()
}

fn entries(strips: &Strips, words: &Words) -> Vec<Entry> {
    let line =
        |role, width, text: &str| Entry { mark: Mark::Line { role, width, dashes: "none" }, text: text.to_owned() };
    let mut entries = vec![line(Role::Blue, 10, words.blocks), line(Role::Ink, 2, words.bar)];
    if strips.strips.iter().any(|strip| !strip.rejected.is_empty()) {
        entries.push(Entry {
            mark: Mark::Sign { shape: Shape::Cross, role: Role::Vermilion },
            text: "rejected".to_owned(),
        });
    }
    entries
}
