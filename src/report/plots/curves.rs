//! Curves over a quantity, both axes logarithmic, with marked points and thresholds.

use super::axis::{Axis, text_area, tick_label};
use super::canvas::{Anchor, Area, At, Canvas, FINE, Shape};
use super::legend::{self, Entry, Mark as LegendMark};
use super::theme::{Role, SERIES};
use crate::report::ReportError;
use crate::report::view::{Curves, Mark, Threshold};
use crate::units::digits;

const WIDTH: i32 = 960;
const DATA: Area = Area { left: 84, top: 20, right: 930, bottom: 430 };
const LEGEND_TOP: i32 = 486;
const TEXT: i32 = 12;
/// Dashes that tell curves apart without colour.
const DASHES: [&str; 4] = ["none", "8 4", "2 3", "9 3 2 3"];

pub(super) fn draw(data: &Curves) -> Result<Canvas, ReportError> {
    let entries = entries(data);
    let (_, legend_height) = legend::flow(&entries, WIDTH - DATA.left - 20);
    let mut canvas = Canvas::new(WIDTH, LEGEND_TOP + legend_height + 12)?;
    let plane = Plane::of(data);
    plane.grid(&mut canvas, data)?;
    for threshold in &data.thresholds {
        plane.threshold(&mut canvas, data, threshold)?;
    }
    for (index, curve) in data.curves.iter().enumerate().filter(|(_, curve)| !curve.band.is_empty()) {
        let lower = curve.band.iter().map(|(x, low, _)| (plane.x.at(*x), plane.y.at(*low)));
        let upper = curve.band.iter().rev().map(|(x, _, high)| (plane.x.at(*x), plane.y.at(*high)));
        canvas.plain(|pen| pen.polygon(lower.chain(upper).collect(), style(index).0, 0.18))?;
    }
    for (index, curve) in data.curves.iter().enumerate() {
        let (role, dashes) = style(index);
        let title = match curve.points.last() {
            Some((x, y)) => format!("{}: {} at {}", curve.name, digits(*y), digits(x.round())),
            None => curve.name.clone(),
        };
        let (x, y) = (plane.x.finer(FINE), plane.y.finer(FINE));
        let points = curve.points.iter().map(|point| (x.at(point.0), y.at(point.1))).collect();
        canvas.curve(points, role, 2, dashes, &title)?;
    }
    for (index, curve) in data.curves.iter().enumerate() {
        if let Some((x, y)) = curve.points.last() {
            let at = (plane.x.at(*x), plane.y.at(*y));
            canvas.plain(|pen| pen.sign(Shape::Disc, at, 4, style(index).0))?;
        }
    }
    let mut taken: Vec<Area> = data.curves.iter().flat_map(|curve| plane.along(&curve.points)).collect();
    for mark in &data.marks {
        plane.mark(&mut canvas, mark, &mut taken)?;
    }
    let area = Area { left: DATA.left, top: LEGEND_TOP, right: WIDTH - 20, bottom: LEGEND_TOP + legend_height };
    legend::draw(&mut canvas, &entries, area)?;
    Ok(canvas)
}

/// Colour and dashes of a curve.
fn style(index: usize) -> (Role, &'static str) {
    (SERIES[index % SERIES.len()], DASHES[index % DASHES.len()])
}

fn entries(data: &Curves) -> Vec<Entry> {
    let curves = data.curves.iter().enumerate().map(|(index, curve)| {
        let (role, dashes) = style(index);
        Entry { mark: LegendMark::Line { role, width: 3, dashes }, text: curve.name.clone() }
    });
    let marked = data.marks.first().map(|_| Entry {
        mark: LegendMark::Sign { shape: Shape::Diamond, role: Role::Alert },
        text: data.marked.clone(),
    });
    curves.chain(marked).collect()
}

struct Plane {
    x: Axis,
    y: Axis,
}

impl Plane {
    /// Axes that hold everything.
    fn of(data: &Curves) -> Self {
        let points = || {
            let curves = data.curves.iter().flat_map(|curve| curve.points.iter().copied());
            curves.chain(data.marks.iter().map(|mark| (mark.x, mark.y)))
        };
        let bands = || data.curves.iter().flat_map(|curve| &curve.band).flat_map(|(_, low, high)| [*low, *high]);
        let heights =
            || points().map(|(_, y)| y).chain(data.thresholds.iter().map(|threshold| threshold.y)).chain(bands());
        let span = |values: &mut dyn Iterator<Item = f64>| {
            let usable = values.filter(|value| value.is_finite() && *value > 0.0);
            usable.fold((f64::INFINITY, 0.0_f64), |(low, high), value| (low.min(value), high.max(value)))
        };
        let (left, right) = span(&mut points().map(|(x, _)| x));
        let (low, high) = span(&mut heights());
        let sound = |(low, high): (f64, f64)| if low <= high { (low, high) } else { (1.0, 10.0) };
        let ((left, right), (low, high)) = (sound((left, right)), sound((low, high)));
        Self {
            x: Axis::log(left, right * 1.6, DATA.left, DATA.right),
            y: Axis::log(low / 1.6, high * 1.6, DATA.bottom, DATA.top),
        }
    }

    fn grid(&self, canvas: &mut Canvas, data: &Curves) -> Result<(), ReportError> {
        canvas.group(&[("stroke-opacity", "0.45")], None, |pen| {
            for value in self.x.minor_ticks() {
                pen.line((self.x.at(value), DATA.top), (self.x.at(value), DATA.bottom), Role::Grid, 1)?;
            }
            self.y.minor_ticks().into_iter().try_for_each(|value| {
                pen.line((DATA.left, self.y.at(value)), (DATA.right, self.y.at(value)), Role::Grid, 1)
            })
        })?;
        canvas.plain(|pen| {
            for value in self.x.ticks() {
                let x = self.x.at(value);
                pen.line((x, DATA.top), (x, DATA.bottom + 4), Role::Grid, 1)?;
                pen.text((x, DATA.bottom + 16), &tick_label(value, 1.0), TEXT, Anchor::Middle, Role::Muted)?;
            }
            for value in self.y.ticks() {
                let y = self.y.at(value);
                pen.line((DATA.left - 4, y), (DATA.right, y), Role::Grid, 1)?;
                pen.text((DATA.left - 8, y), &tick_label(value, 1.0), TEXT, Anchor::End, Role::Muted)?;
            }
            pen.line((DATA.left, DATA.bottom), (DATA.right, DATA.bottom), Role::Muted, 1)?;
            pen.line((DATA.left, DATA.top), (DATA.left, DATA.bottom), Role::Muted, 1)?;
            let middle = ((DATA.left + DATA.right) / 2, DATA.bottom + 38);
            pen.text(middle, &data.x, TEXT, Anchor::Middle, Role::Ink)?;
            pen.text_upwards((16, (DATA.top + DATA.bottom) / 2), &data.y, TEXT, Role::Ink)
        })
    }

    /// A level line with its name at the end where no curve runs through it.
    fn threshold(&self, canvas: &mut Canvas, data: &Curves, threshold: &Threshold) -> Result<(), ReportError> {
        let y = self.y.at(threshold.y);
        let ends = [((DATA.right - 6, y - 9), Anchor::End), ((DATA.left + 6, y - 9), Anchor::Start)];
        let free = |(at, anchor): &(At, Anchor)| {
            let area = text_area(*at, &threshold.name, TEXT, *anchor);
            let near = Area { left: area.left - 8, top: area.top - 8, right: area.right + 8, bottom: area.bottom + 8 };
            let mut points = data.curves.iter().flat_map(|curve| &curve.points);
            !points.any(|point| near.has((self.x.at(point.0), self.y.at(point.1))))
        };
        let (at, anchor) = ends.into_iter().find(free).unwrap_or(ends[0]);
        canvas.group(&[("stroke-dasharray", "5 5")], Some(&threshold.name), |pen| {
            pen.line((DATA.left, y), (DATA.right, y), Role::Ink, 1)
        })?;
        canvas.haloed(|pen| pen.text(at, &threshold.name, TEXT, anchor, Role::Ink))
    }

    /// Small areas along a curve, which names keep off.
    fn along(&self, points: &[(f64, f64)]) -> Vec<Area> {
        const APART: f64 = 6.0;
        let at: Vec<(f64, f64)> =
            points.iter().map(|(x, y)| (f64::from(self.x.at(*x)), f64::from(self.y.at(*y)))).collect();
        let between = |pair: &[(f64, f64)]| {
            let [(x, y), (to_x, to_y)] = [pair[0], pair[1]];
            let pieces = ((to_x - x).hypot(to_y - y) / APART).ceil().max(1.0) as i32;
            let place = move |piece: i32| {
                let share = f64::from(piece) / f64::from(pieces);
                ((x + share * (to_x - x)) as i32, (y + share * (to_y - y)) as i32)
            };
            (0..=pieces).map(place)
        };
        let places = at.windows(2).flat_map(between);
        places.map(|(x, y)| Area { left: x - 1, top: y - 1, right: x + 1, bottom: y + 1 }).collect()
    }

    /// A marked point with its name, above or below it where others leave room.
    fn mark(&self, canvas: &mut Canvas, mark: &Mark, taken: &mut Vec<Area>) -> Result<(), ReportError> {
        let (x, y) = (self.x.at(mark.x), self.y.at(mark.y));
        canvas
            .group(&[("class", "point")], Some(&mark.name), |pen| pen.sign(Shape::Diamond, (x, y), 6, Role::Alert))?;
        let places = [
            ((x - 12, y + 14), Anchor::End),
            ((x - 12, y), Anchor::End),
            ((x, y - 16), Anchor::Middle),
            ((x + 12, y), Anchor::Start),
            ((x - 12, y + 30), Anchor::End),
            ((x + 12, y + 14), Anchor::Start),
            ((x - 12, y - 16), Anchor::End),
            ((x + 12, y + 30), Anchor::Start),
        ];
        let fits = |(at, anchor): &((i32, i32), Anchor)| {
            let area = text_area(*at, &mark.name, TEXT, *anchor);
            DATA.holds(&area) && !taken.iter().any(|other| other.meets(&area))
        };
        let (at, anchor) = places.into_iter().find(fits).unwrap_or(places[0]);
        taken.push(text_area(at, &mark.name, TEXT, anchor));
        canvas.haloed(|pen| pen.text(at, &mark.name, TEXT, anchor, Role::Ink))
    }
}
