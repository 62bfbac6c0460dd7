//! The legend below a plot.

use super::axis::text_width;
use super::canvas::{Anchor, Area, Canvas, Shape};
use super::theme::Role;
use crate::report::ReportError;

/// What stands before an entry's text.
#[derive(Debug, Clone, Copy)]
pub(super) enum Mark {
    Line {
        role: Role,
        width: u32,
        dashes: &'static str,
    },
    Sign {
        shape: Shape,
        role: Role,
    },
    /// The upright tick of a limit.
    Tick,
}

/// One line of a legend.
#[derive(Debug, Clone)]
pub(super) struct Entry {
    pub mark: Mark,
    pub text: String,
}

const SIZE: i32 = 12;
const ROW: i32 = 20;
const MARK_WIDTH: i32 = 30;
const GAP: i32 = 22;

/// Where each entry goes in a width, and the height of all.
pub(super) fn flow(entries: &[Entry], width: i32) -> (Vec<(i32, i32)>, i32) {
    let (mut x, mut y) = (0, 0);
    let mut places = Vec::new();
    for entry in entries {
        let needed = MARK_WIDTH + text_width(&entry.text, SIZE);
        if x > 0 && x + needed > width {
            (x, y) = (0, y + ROW);
        }
        places.push((x, y));
        x += needed + GAP;
    }
    (places, if entries.is_empty() { 0 } else { y + ROW })
}

/// Draws the entries into an area whose height [`flow`] gave.
pub(super) fn draw(canvas: &mut Canvas, entries: &[Entry], area: Area) -> Result<(), ReportError> {
    let (places, _) = flow(entries, area.right - area.left);
    for (entry, (x, y)) in entries.iter().zip(places) {
        let (x, y) = (area.left + x, area.top + y + ROW / 2);
        match entry.mark {
            Mark::Line { role, width, dashes } => {
                canvas
                    .group(&[("stroke-dasharray", dashes)], None, |pen| pen.line((x, y), (x + 24, y), role, width))?;
            }
            Mark::Tick => canvas.plain(|pen| pen.line((x + 12, y - 8), (x + 12, y + 8), Role::Ink, 3))?,
            Mark::Sign { shape, role } => canvas.plain(|pen| pen.sign(shape, (x + 12, y), 5, role))?,
        }
        canvas.plain(|pen| pen.text((x + MARK_WIDTH, y), &entry.text, SIZE, Anchor::Start, Role::Ink))?;
    }
    Ok(())
}
