//! Amounts that add up, a row each, against what there is room for.

use super::axis::{Axis, axis_unit, text_width, tick_label};
use super::canvas::{Anchor, Area, Canvas};
use super::legend::{self, Entry, Mark};
use super::rows::{LEFT, RIGHT, Rows, TEXT, WIDTH};
use super::theme::{Role, SERIES};
use crate::report::ReportError;
use crate::report::view::{Stack, Stacks};
use crate::units::with_prefix;

const ROW: i32 = 30;
/// Half the height of a bar.
const HALF: i32 = 9;

pub(super) fn draw(data: &Stacks) -> Result<Canvas, ReportError> {
    let names = names(data);
    let mut entries: Vec<Entry> = names
        .iter()
        .zip(SERIES.into_iter().cycle())
        .map(|(name, role)| Entry { mark: Mark::Line { role, width: 10, dashes: "none" }, text: (*name).to_owned() })
        .collect();
    if data.stacks.iter().any(|stack| stack.limit.is_finite()) {
        entries.push(Entry { mark: Mark::Tick, text: "what there is".to_owned() });
    }
    let (_, legend_height) = legend::flow(&entries, WIDTH - LEFT - 20);
    let rows = Rows::of(data.stacks.iter().map(|stack| stack.group.as_str()), ROW);
    let mut canvas = rows.canvas(legend_height)?;
    let limits = data.stacks.iter().map(|stack| stack.limit).filter(|limit| limit.is_finite());
    let most = data.stacks.iter().map(total).chain(limits).fold(0.0, f64::max);
    let axis = Axis::linear(0.0, if most > 0.0 { most * 1.02 } else { 1.0 }, LEFT, RIGHT);
    let (scale, unit) = axis_unit(&axis.ticks(), &data.unit);
    let labels = data.stacks.iter().map(|stack| stack.label.as_str());
    rows.frame(&mut canvas, &axis, scale, &format!("{} ({unit})", data.x), labels)?;
    for (stack, y) in data.stacks.iter().zip(&rows.middles) {
        draw_stack(&mut canvas, data, stack, *y, &names, &axis, scale)?;
    }
    legend::draw(&mut canvas, &entries, rows.legend(legend_height))?;
    Ok(canvas)
}

/// What the segments are, in the order they first appear.
fn names(data: &Stacks) -> Vec<&str> {
    let mut names: Vec<&str> = Vec::new();
    for segment in data.stacks.iter().flat_map(|stack| &stack.segments) {
        if !names.contains(&segment.name.as_str()) {
            names.push(&segment.name);
        }
    }
    names
}

fn total(stack: &Stack) -> f64 {
    stack.segments.iter().map(|segment| segment.value).sum()
}

fn draw_stack(
    canvas: &mut Canvas,
    data: &Stacks,
    stack: &Stack,
    y: i32,
    names: &[&str],
    axis: &Axis,
    scale: f64,
) -> Result<(), ReportError> {
    let (mut start, all) = (0.0, total(stack));
    for segment in &stack.segments {
        let index = names.iter().position(|name| *name == segment.name).unwrap_or(0);
        let (from, to) = (axis.at(start), axis.at(start + segment.value));
        start += segment.value;
        let (role, amount) = (SERIES[index % SERIES.len()], with_prefix(segment.value, &data.unit));
        canvas.group(&[("class", "bar")], Some(&format!("{}, {}: {amount}", stack.label, segment.name)), |pen| {
            pen.fill(Area { left: from, top: y - HALF, right: to, bottom: y + HALF }, role, 0.85)
        })?;
        let number = tick_label((segment.value / scale * 10.0).round() / 10.0, 1.0);
        if to - from > text_width(&number, TEXT) + 8 {
            canvas.plain(|pen| pen.text(((from + to) / 2, y), &number, TEXT, Anchor::Middle, Role::Surface))?;
        }
    }
    if !stack.limit.is_finite() {
        return Ok(());
    }
    let limit = axis.at(stack.limit);
    canvas.plain(|pen| pen.line((limit, y - HALF - 4), (limit, y + HALF + 4), Role::Ink, 3))?;
    let number = |value: f64| tick_label((value / scale * 10.0).round() / 10.0, 1.0);
    let (text, role) = match all <= stack.limit {
        true => (format!("{} of {}: fits", number(all), number(stack.limit)), Role::Ink),
        false => (format!("{} of {}: too much", number(all), number(stack.limit)), Role::Alert),
    };
    canvas.plain(|pen| pen.text((RIGHT + 10, y), &text, TEXT, Anchor::Start, role))
}
