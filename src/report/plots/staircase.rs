//! Staircases: what a working set of each size gets, with the caches that hold it.

use super::axis::{Axis, axis_unit, text_width, tick_label};
use super::canvas::{Anchor, Area, Canvas, SHAPES, Shape};
use super::legend::{self, Entry, Mark};
use super::theme::{Role, SERIES};
use crate::report::ReportError;
use crate::report::number::with_half;
use crate::report::view::{StairCurve, StairPoint, Stairs};
use crate::units::ByteCount;

const WIDTH: i32 = 960;
const DATA: Area = Area { left: 84, top: 56, right: 936, bottom: 400 };
const LEGEND_TOP: i32 = 458;
const SMALL: i32 = 11;
const TEXT: i32 = 12;

pub(super) fn draw(stairs: &Stairs) -> Result<Canvas, ReportError> {
    let entries = entries(stairs);
    let (_, legend_height) = legend::flow(&entries, WIDTH - DATA.left - 20);
    let mut canvas = Canvas::new(WIDTH, LEGEND_TOP + legend_height + 12)?;
    let plane = Plane::of(stairs);
    plane.grid(&mut canvas, stairs)?;
    plane.levels(&mut canvas, stairs)?;
    for (index, curve) in stairs.curves.iter().enumerate().rev() {
        plane.curve(&mut canvas, stairs, index, curve)?;
    }
    let area = Area { left: DATA.left, top: LEGEND_TOP, right: WIDTH - 20, bottom: LEGEND_TOP + legend_height };
    legend::draw(&mut canvas, &entries, area)?;
    Ok(canvas)
}

const fn colour(index: usize) -> Role {
    SERIES[index % SERIES.len()]
}

const fn sign(index: usize) -> Shape {
    SHAPES[index % SHAPES.len()]
}

fn entries(stairs: &Stairs) -> Vec<Entry> {
    let curve = |(index, curve): (usize, &StairCurve)| Entry {
        mark: Mark::Sign { shape: sign(index), role: colour(index) },
        text: curve.name.clone(),
    };
    let mut entries: Vec<Entry> = stairs.curves.iter().enumerate().map(curve).collect();
    if !stairs.caches.is_empty() {
        let mark = Mark::Line { role: Role::Muted, width: 1, dashes: "4 4" };
        entries.push(Entry { mark, text: "what the caches hold".to_owned() });
    }
    entries
}

/// The plane of working sets and what they get.
struct Plane {
    x: Axis,
    y: Axis,
}

impl Plane {
    fn of(stairs: &Stairs) -> Self {
        let points = || stairs.curves.iter().flat_map(|curve| &curve.points);
        let sizes = points().map(|point| point.size_b as f64);
        let (least, most) = sizes.fold((f64::INFINITY, 1.0_f64), |(low, high), size| (low.min(size), high.max(size)));
        let low = points().map(|point| point.value.low).fold(f64::INFINITY, f64::min);
        let high = points().map(|point| point.value.high).fold(f64::MIN_POSITIVE, f64::max);
        let low = low.clamp(high * 1e-9, high);
        Self {
            x: Axis::log(least.min(most).max(1.0) / 1.4, most * 1.4, DATA.left, DATA.right),
            y: Axis::log(low / 1.5, high * 1.5, DATA.bottom, DATA.top),
        }
    }

    /// Powers of four bytes.
    fn size_ticks(&self) -> Vec<u64> {
        let within = |size: &u64| (self.x.low()..=self.x.high()).contains(&(*size as f64));
        let all: Vec<u64> = (0..31).map(|power| 1_u64 << (2 * power)).filter(within).collect();
        if all.len() > 1 { all } else { (0..62).map(|power| 1_u64 << power).filter(within).collect() }
    }

    fn grid(&self, canvas: &mut Canvas, stairs: &Stairs) -> Result<(), ReportError> {
        let (scale, unit) = axis_unit(&self.y.ticks(), stairs.unit);
        canvas.plain(|pen| {
            for size in self.size_ticks() {
                let x = self.x.at(size as f64);
                pen.line((x, DATA.top), (x, DATA.bottom + 4), Role::Grid, 1)?;
                pen.text((x, DATA.bottom + 16), &ByteCount(size).to_string(), TEXT, Anchor::Middle, Role::Muted)?;
            }
            for value in self.y.ticks() {
                let y = self.y.at(value);
                pen.line((DATA.left - 4, y), (DATA.right, y), Role::Grid, 1)?;
                pen.text((DATA.left - 8, y), &tick_label(value, scale), TEXT, Anchor::End, Role::Muted)?;
            }
            pen.line((DATA.left, DATA.bottom), (DATA.right, DATA.bottom), Role::Muted, 1)?;
            pen.line((DATA.left, DATA.top), (DATA.left, DATA.bottom), Role::Muted, 1)?;
            let middle = ((DATA.left + DATA.right) / 2, DATA.bottom + 38);
            pen.text(middle, "Working set", TEXT, Anchor::Middle, Role::Ink)?;
            let title = format!("{} ({unit})", stairs.title);
            pen.text_upwards((16, (DATA.top + DATA.bottom) / 2), &title, TEXT, Role::Ink)
        })
    }

    /// What each cache holds, and above the plane what is read between the borders.
    fn levels(&self, canvas: &mut Canvas, stairs: &Stairs) -> Result<(), ReportError> {
        let within = |bytes: f64| self.x.low() < bytes && bytes < self.x.high();
        let mut left = DATA.left;
        let mut last = None;
        for (name, bytes) in &stairs.caches {
            let x = self.x.at(*bytes);
            if within(*bytes) {
                canvas.group(
                    &[("stroke-dasharray", "4 4")],
                    Some(&format!("{name}: {}", ByteCount(*bytes as u64))),
                    |pen| pen.line((x, DATA.top - 34), (x, DATA.bottom), Role::Muted, 1),
                )?;
            }
            self.level(canvas, stairs, name, left, x)?;
            (left, last) = (x, Some(name));
        }
        if last.is_some() {
            self.level(canvas, stairs, "memory", left, DATA.right)?;
        }
        Ok(())
    }

    /// The name of a level and what it gives, between two borders, where there is room.
    fn level(
        &self,
        canvas: &mut Canvas,
        stairs: &Stairs,
        name: &str,
        left: i32,
        right: i32,
    ) -> Result<(), ReportError> {
        let value = stairs.levels.iter().find(|level| level.name == name).map_or("", |level| &level.value);
        let needed = text_width(name, TEXT).max(text_width(value, SMALL)) + 8;
        if right - left < needed {
            return Ok(());
        }
        let x = (left + right) / 2;
        canvas.plain(|pen| {
            pen.text((x, DATA.top - 30), name, TEXT, Anchor::Middle, Role::Ink)?;
            if value.is_empty() {
                Ok(())
            } else {
                pen.text((x, DATA.top - 14), value, SMALL, Anchor::Middle, Role::Muted)
            }
        })
    }

    fn curve(&self, canvas: &mut Canvas, stairs: &Stairs, index: usize, curve: &StairCurve) -> Result<(), ReportError> {
        let at = |point: &StairPoint| (self.x.at(point.size_b as f64), self.y.at(point.value.value));
        canvas.plain(|pen| {
            curve.points.windows(2).try_for_each(|pair| pen.line(at(&pair[0]), at(&pair[1]), colour(index), 2))
        })?;
        curve.points.iter().try_for_each(|point| {
            let (x, y) = at(point);
            let title = format!("{}: {}", point.case, with_half(point.value, stairs.unit));
            canvas.group(&[("class", "point")], Some(&title), |pen| {
                pen.line((x, self.y.at(point.value.low)), (x, self.y.at(point.value.high)), colour(index), 1)?;
                pen.sign(sign(index), (x, y), 4, colour(index))
            })
        })
    }
}
