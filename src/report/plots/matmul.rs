//! Throughput of matrix products: a bar per shape, its interval, and what the roofline allows.

use super::axis::{Axis, axis_unit};
use super::canvas::{Anchor, Area, Canvas};
use super::legend::{self, Entry, Mark};
use super::roofline::colour;
use super::rows::{LEFT, RIGHT, Rows, TEXT};
use super::theme::Role;
use crate::report::ReportError;
use crate::report::number::{self, percent, with_half};
use crate::report::view::{Bar, Bars};

const ROW: i32 = 24;

pub(super) fn draw(bars: &Bars) -> Result<Canvas, ReportError> {
    let entries = entries(bars);
    let (_, legend_height) = legend::flow(&entries, super::rows::WIDTH - LEFT - 20);
    let rows = Rows::of(bars.bars.iter().map(|bar| bar.group.as_str()), ROW);
    let mut canvas = rows.canvas(legend_height)?;
    let most = bars.bars.iter().map(|bar| bar.rate.high.max(bar.roof.unwrap_or(0.0))).fold(0.0, f64::max);
    let axis = Axis::linear(0.0, if most > 0.0 { most * 1.02 } else { 1.0 }, LEFT, RIGHT);
    let units: Vec<&str> = bars.bars.iter().map(|bar| bar.precision.rate_unit()).collect();
    let unit = if units.iter().all(|unit| Some(unit) == units.first()) { units[0] } else { "FLOP/s or OP/s" };
    let (scale, unit) = axis_unit(&axis.ticks(), unit);
    rows.frame(
        &mut canvas,
        &axis,
        scale,
        &format!("Throughput ({unit})"),
        bars.bars.iter().map(|bar| bar.label.as_str()),
    )?;
    for (bar, y) in bars.bars.iter().zip(&rows.middles) {
        draw_bar(&mut canvas, bar, *y, &axis, scale)?;
    }
    legend::draw(&mut canvas, &entries, rows.legend(legend_height))?;
    Ok(canvas)
}

fn draw_bar(canvas: &mut Canvas, bar: &Bar, y: i32, axis: &Axis, scale: f64) -> Result<(), ReportError> {
    let (role, end) = (colour(bar.precision), axis.at(bar.rate.value));
    let share = bar.roof.map(|roof| format!(", {} of its roof", percent(bar.rate.value / roof))).unwrap_or_default();
    let title = format!("{}: {}{share}", bar.case, with_half(bar.rate, bar.precision.rate_unit()));
    canvas.group(&[("class", "bar")], Some(&title), |pen| {
        pen.fill(Area { left: LEFT, top: y - 7, right: end, bottom: y + 7 }, role, 0.85)?;
        let (low, high) = (axis.at(bar.rate.low), axis.at(bar.rate.high));
        pen.line((low, y), (high, y), Role::Ink, 1)?;
        for x in [low, high] {
            pen.line((x, y - 4), (x, y + 4), Role::Ink, 1)?;
        }
        match bar.roof {
            Some(roof) => pen.line((axis.at(roof), y - 10), (axis.at(roof), y + 10), Role::Ink, 3),
            None => Ok(()),
        }
    })?;
    let number::Shown { value, half } = number::shown(bar.rate, scale);
    canvas.plain(|pen| pen.text((RIGHT + 14, y), &format!("{value} ± {half}"), TEXT, Anchor::Start, Role::Ink))
}

fn entries(bars: &Bars) -> Vec<Entry> {
    let mut precisions = Vec::new();
    for bar in &bars.bars {
        if !precisions.contains(&bar.precision) {
            precisions.push(bar.precision);
        }
    }
    let mut entries: Vec<Entry> = precisions
        .iter()
        .map(|precision| Entry {
            mark: Mark::Line { role: colour(*precision), width: 10, dashes: "none" },
            text: format!("{precision}, median with its interval"),
        })
        .collect();
    if bars.bars.iter().any(|bar| bar.roof.is_some()) {
        entries.push(Entry { mark: Mark::Tick, text: "what the roofline allows".to_owned() });
    }
    entries
}
