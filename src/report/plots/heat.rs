//! Throughput of matrix products as a grid: a row per shape, a column per precision, and the share of the precision's
//! best as the depth of a cell's colour.

use super::axis::{axis_unit, fitted, text_width};
use super::canvas::{Anchor, Area, Canvas};
use super::rows::{LEFT, RIGHT, TEXT, WIDTH};
use super::theme::Role;
use crate::report::ReportError;
use crate::report::number::{percent, shown, with_half};
use crate::report::view::{Heat, HeatCell};

const TOP: i32 = 36;
const ROW: i32 = 28;
const FOOT: i32 = 44;
/// Widest cell.
const CELL: i32 = 180;
/// Steps of the legend.
const STEPS: i32 = 4;
/// Width of a step of the legend.
const SWATCH: i32 = 52;

pub(super) fn draw(heat: &Heat) -> Result<Canvas, ReportError> {
    let bottom = TOP + ROW * heat.rows.len() as i32;
    let mut canvas = Canvas::new(WIDTH, bottom + FOOT)?;
    let width = ((RIGHT - LEFT) / heat.precisions.len().max(1) as i32).min(CELL);
    let rates: Vec<f64> =
        heat.rows.iter().flat_map(|row| row.cells.iter().flatten()).map(|cell| cell.rate.value).collect();
    let units: Vec<&str> = heat.precisions.iter().map(|precision| precision.rate_unit()).collect();
    let unit = if units.iter().all(|unit| *unit == units[0]) { units[0] } else { "FLOP/s or OP/s" };
    let (scale, unit) = axis_unit(&rates, unit);
    canvas.plain(|pen| {
        pen.text((LEFT - 10, TOP - 14), "m × n × k", TEXT, Anchor::End, Role::Muted)?;
        for (precision, x) in heat.precisions.iter().zip((LEFT..).step_by(width as usize)) {
            pen.text((x + width / 2, TOP - 14), precision.name(), TEXT, Anchor::Middle, Role::Ink)?;
        }
        Ok(())
    })?;
    for (row, top) in heat.rows.iter().zip((TOP..).step_by(ROW as usize)) {
        let label = fitted(&row.shape, TEXT, LEFT - 24);
        canvas.plain(|pen| pen.text((LEFT - 10, top + ROW / 2), &label, TEXT, Anchor::End, Role::Ink))?;
        for ((cell, precision), left) in row.cells.iter().zip(&heat.precisions).zip((LEFT..).step_by(width as usize)) {
            // A gap between cells tells them apart where their colours do not.
            let area = Area { left: left + 1, top: top + 1, right: left + width - 1, bottom: top + ROW - 1 };
            draw_cell(&mut canvas, cell.as_ref(), precision.rate_unit(), area, scale)?;
        }
    }
    legend(&mut canvas, bottom, &unit)?;
    Ok(canvas)
}

fn draw_cell(
    canvas: &mut Canvas,
    cell: Option<&HeatCell>,
    unit: &str,
    area: Area,
    scale: f64,
) -> Result<(), ReportError> {
    let middle = ((area.left + area.right) / 2, (area.top + area.bottom) / 2);
    let Some(cell) = cell else {
        return canvas.plain(|pen| pen.text(middle, "–", TEXT, Anchor::Middle, Role::Muted));
    };
    let share = percent(cell.share);
    let title = format!("{}: {}, {share} of the best of its precision", cell.case, with_half(cell.rate, unit));
    let value = shown(cell.rate, scale).value;
    let long = format!("{value}, {share}");
    let text = if text_width(&long, TEXT) <= area.right - area.left - 6 { long } else { value };
    canvas.group(&[("class", "cell")], Some(&title), |pen| {
        pen.fill(area, Role::Blue, depth(cell.share))?;
        pen.text(middle, &text, TEXT, Anchor::Middle, Role::Ink)
    })
}

/// How much of a cell's colour covers the surface: never so much that the number on it is hard to read.
fn depth(share: f64) -> f64 {
    0.03 + 0.42 * share.clamp(0.0, 1.0)
}

fn legend(canvas: &mut Canvas, bottom: i32, unit: &str) -> Result<(), ReportError> {
    let y = bottom + FOOT / 2;
    canvas.plain(|pen| {
        for step in 0..=STEPS {
            let share = f64::from(step) / f64::from(STEPS);
            let left = LEFT + step * SWATCH;
            pen.fill(Area { left, top: y - 10, right: left + SWATCH - 2, bottom: y + 10 }, Role::Blue, depth(share))?;
            pen.text((left + SWATCH / 2 - 1, y), &percent(share), TEXT, Anchor::Middle, Role::Ink)?;
        }
        let text = format!("of the best of the precision; numbers are {unit}");
        pen.text((LEFT + (STEPS + 1) * SWATCH + 12, y), &text, TEXT, Anchor::Start, Role::Ink)
    })
}
