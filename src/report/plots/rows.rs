//! Plots with one row per case: groups under headings, a label to the left of each row, an axis below.

use super::axis::{Axis, fitted, tick_label};
use super::canvas::{Anchor, Area, Canvas};
use super::theme::Role;
use crate::report::ReportError;

pub(super) const WIDTH: i32 = 960;
/// Left and right edge of the data: labels are left of them, figures right.
pub(super) const LEFT: i32 = 232;
pub(super) const RIGHT: i32 = 800;
pub(super) const TEXT: i32 = 12;
const TOP: i32 = 10;
const HEADING: i32 = 26;
const FOOT: i32 = 46;

/// The heights of rows and headings.
pub(super) struct Rows {
    /// Middle of each row.
    pub middles: Vec<i32>,
    /// Heading and the middle of its line.
    headings: Vec<(String, i32)>,
    /// Lower edge of the last row.
    pub bottom: i32,
}

impl Rows {
    /// Rows of a height, with a heading wherever the group changes.
    pub fn of<'a>(groups: impl Iterator<Item = &'a str>, row: i32) -> Self {
        let mut rows = Self { middles: Vec::new(), headings: Vec::new(), bottom: TOP };
        for group in groups {
            if rows.headings.last().is_none_or(|(last, _)| last != group) {
                rows.headings.push((group.to_owned(), rows.bottom + HEADING / 2 + 2));
                rows.bottom += HEADING;
            }
            rows.middles.push(rows.bottom + row / 2);
            rows.bottom += row;
        }
        rows
    }

    /// A canvas high enough for the rows, an axis and a legend of this height.
    pub fn canvas(&self, legend: i32) -> Result<Canvas, ReportError> {
        Canvas::new(WIDTH, self.bottom + FOOT + legend + 8)
    }

    /// Where the legend goes.
    pub fn legend(&self, height: i32) -> Area {
        Area { left: LEFT, top: self.bottom + FOOT, right: WIDTH - 20, bottom: self.bottom + FOOT + height }
    }

    /// Axis, grid, headings and labels.
    pub fn frame<'a>(
        &self,
        canvas: &mut Canvas,
        axis: &Axis,
        scale: f64,
        title: &str,
        labels: impl Iterator<Item = &'a str>,
    ) -> Result<(), ReportError> {
        let labels: Vec<&str> = labels.collect();
        canvas.plain(|pen| {
            for value in axis.ticks() {
                let x = axis.at(value);
                pen.line((x, TOP), (x, self.bottom + 4), Role::Grid, 1)?;
                pen.text((x, self.bottom + 14), &tick_label(value, scale), TEXT, Anchor::Middle, Role::Muted)?;
            }
            pen.line((LEFT, self.bottom), (RIGHT, self.bottom), Role::Muted, 1)?;
            pen.text(((LEFT + RIGHT) / 2, self.bottom + 34), title, TEXT, Anchor::Middle, Role::Ink)?;
            for (heading, y) in &self.headings {
                pen.text((12, *y), &fitted(heading, TEXT, LEFT - 24), TEXT, Anchor::Start, Role::Muted)?;
            }
            labels.iter().zip(&self.middles).try_for_each(|(label, y)| {
                pen.text((LEFT - 10, *y), &fitted(label, TEXT, LEFT - 24), TEXT, Anchor::End, Role::Ink)
            })
        })
    }
}
