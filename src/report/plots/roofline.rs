//! The roofline: measured ceilings, their ridge points, and every measured kernel below them.

use super::axis::{Axis, axis_unit, text_area, text_width, tick_label};
use super::canvas::{Anchor, Area, At, Canvas, SHAPES, Shape};
use super::legend::{self, Entry, Mark};
use super::theme::{Role, SERIES};
use crate::record::Precision;
use crate::report::ReportError;
use crate::report::number::{percent, plain, with_half};
use crate::report::view::{ComputeRoof, MemoryRoof, Point, Ridge, Roofline};
use crate::units::digits;

const WIDTH: i32 = 960;
/// Where the data go; the margins hold what plotters would have cut off.
const DATA: Area = Area { left: 84, top: 20, right: 796, bottom: 470 };
const LEGEND_TOP: i32 = 528;
/// Height of one ridge label's line at the foot of the data.
const RIDGE_ROW: i32 = 17;
const SMALL: i32 = 11;
const TEXT: i32 = 12;
/// Dashes of the memory ceilings after the first, which is drawn through.
const DASHES: [&str; 4] = ["7 4", "2 3", "9 3 2 3", "4 4"];

pub(super) fn draw(roofline: &Roofline) -> Result<Canvas, ReportError> {
    let entries = entries(roofline);
    let (_, legend_height) = legend::flow(&entries, WIDTH - DATA.left - 20);
    let mut canvas = Canvas::new(WIDTH, LEGEND_TOP + legend_height + 12)?;
    let plane = Plane::of(roofline);
    plane.grid(&mut canvas)?;
    let mut taken = plane.zones(&mut canvas, roofline)?;
    for (index, memory) in roofline.memory.iter().enumerate().rev() {
        plane.slope(&mut canvas, roofline, index, memory)?;
    }
    plane.flats(&mut canvas, roofline)?;
    taken.extend(plane.ridges(&mut canvas, &roofline.ridges)?);
    plane.points(&mut canvas, roofline, taken)?;
    let area = Area { left: DATA.left, top: LEGEND_TOP, right: WIDTH - 20, bottom: LEGEND_TOP + legend_height };
    legend::draw(&mut canvas, &entries, area)?;
    Ok(canvas)
}

/// The colour of a precision: the same in every plot.
pub(super) fn colour(precision: Precision) -> Role {
    match precision {
        Precision::F32 => SERIES[0],
        Precision::F64 => SERIES[1],
        Precision::I32 => SERIES[2],
        Precision::F16 => SERIES[3],
        Precision::Bf16 | Precision::Tf32 => SERIES[4],
        Precision::Fp8E4m3 | Precision::Fp8E5m2 | Precision::I8 => SERIES[5],
    }
}

/// The benchmarks of the points, each with its sign.
fn signs(points: &[Point]) -> Vec<(&str, Shape)> {
    let mut signs: Vec<(&str, Shape)> = Vec::new();
    for point in points {
        if !signs.iter().any(|(benchmark, _)| *benchmark == point.benchmark) {
            signs.push((&point.benchmark, SHAPES[signs.len() % SHAPES.len()]));
        }
    }
    signs
}

fn sign(signs: &[(&str, Shape)], point: &Point) -> Shape {
    signs.iter().find(|(benchmark, _)| *benchmark == point.benchmark).map_or(Shape::Disc, |(_, shape)| *shape)
}

const fn dashes(index: usize) -> &'static str {
    match index {
        0 => "none",
        index => DASHES[(index - 1) % DASHES.len()],
    }
}

fn entries(roofline: &Roofline) -> Vec<Entry> {
    let memory = roofline.memory.iter().enumerate().map(|(index, memory)| Entry {
        mark: Mark::Line { role: Role::Ink, width: if index == 0 { 3 } else { 1 }, dashes: dashes(index) },
        text: format!("{} {} {}", memory.level, memory.kernel, with_half(memory.rate, "B/s")),
    });
    let compute = roofline.compute.iter().map(|compute| Entry {
        mark: Mark::Line { role: colour(compute.precision), width: 3, dashes: "none" },
        text: format!(
            "{} by {} {}",
            compute.precision,
            compute.benchmark,
            with_half(compute.rate, compute.precision.rate_unit())
        ),
    });
    let signs = signs(&roofline.points);
    let mut groups: Vec<(&str, Precision)> = Vec::new();
    for point in &roofline.points {
        if !groups.contains(&(&*point.benchmark, point.precision)) {
            groups.push((&point.benchmark, point.precision));
        }
    }
    let points = groups.iter().map(|(benchmark, precision)| {
        let shape = signs.iter().find(|(known, _)| known == benchmark).map_or(Shape::Disc, |(_, shape)| *shape);
        Entry { mark: Mark::Sign { shape, role: colour(*precision) }, text: format!("{benchmark} {precision}") }
    });
    memory.chain(compute).chain(points).collect()
}

/// The plane of operational intensity and throughput.
struct Plane {
    x: Axis,
    y: Axis,
}

impl Plane {
    /// Axes that hold everything, with room above for the names of the zones and below for the ridge labels.
    fn of(roofline: &Roofline) -> Self {
        let ridges = roofline.ridges.iter().map(|ridge| ridge.intensity.value);
        let intensities: Vec<f64> =
            ridges.chain(roofline.points.iter().map(|point| point.intensity)).filter(|value| *value > 0.0).collect();
        let low = intensities.iter().copied().fold(f64::INFINITY, f64::min).min(1.0) / 5.0;
        let high = intensities.iter().copied().fold(0.0, f64::max).max(1.0) * 6.0;
        let slope = roofline.memory.first().map(|memory| memory.rate.value);
        let slowest_slope = roofline.memory.iter().map(|memory| memory.rate.value).fold(f64::INFINITY, f64::min);
        let flats = || roofline.compute.iter().map(|compute| compute.rate.value);
        let top =
            flats().fold(0.0, f64::max).max(if flats().next().is_none() { slope.unwrap_or(1.0) * high } else { 0.0 });
        let highest = roofline.points.iter().map(|point| point.rate.high).fold(top, f64::max);
        let lowest = roofline.points.iter().map(|point| point.rate.low).fold(f64::INFINITY, f64::min);
        let lowest = lowest.min(flats().fold(f64::INFINITY, f64::min) / 4.0).min(slowest_slope * low * 2.0);
        let (above, below) = (highest.log10() + 0.45, lowest.max(highest * 1e-9).log10() - 0.1);
        let height = f64::from(DATA.bottom - DATA.top);
        let labels = f64::from(RIDGE_ROW * roofline.ridges.len() as i32 + 8);
        let below = above - (above - below) * height / (height - labels).max(height / 2.0);
        Self {
            x: Axis::log(low, high, DATA.left, DATA.right),
            y: Axis::log(10f64.powf(below), 10f64.powf(above), DATA.bottom, DATA.top),
        }
    }

    fn grid(&self, canvas: &mut Canvas) -> Result<(), ReportError> {
        let ((x_scale, x_unit), (y_scale, y_unit)) = ((1.0, "FLOP/B"), axis_unit(&self.y.ticks(), "FLOP/s"));
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
                pen.text((x, DATA.bottom + 16), &tick_label(value, x_scale), TEXT, Anchor::Middle, Role::Muted)?;
            }
            for value in self.y.ticks() {
                let y = self.y.at(value);
                pen.line((DATA.left - 4, y), (DATA.right, y), Role::Grid, 1)?;
                pen.text((DATA.left - 8, y), &tick_label(value, y_scale), TEXT, Anchor::End, Role::Muted)?;
            }
            pen.line((DATA.left, DATA.bottom), (DATA.right, DATA.bottom), Role::Muted, 1)?;
            pen.line((DATA.left, DATA.top), (DATA.left, DATA.bottom), Role::Muted, 1)?;
            let middle = ((DATA.left + DATA.right) / 2, DATA.bottom + 40);
            pen.text(middle, &format!("Operational intensity ({x_unit})"), TEXT, Anchor::Middle, Role::Ink)?;
            pen.text_upwards((16, (DATA.top + DATA.bottom) / 2), &format!("Throughput ({y_unit})"), TEXT, Role::Ink)
        })
    }

    /// Names the sides of the main ridge point, where there is room.
    fn zones(&self, canvas: &mut Canvas, roofline: &Roofline) -> Result<Vec<Area>, ReportError> {
        let Some(ridge) = roofline.ridges.iter().find(|ridge| ridge.main) else { return Ok(Vec::new()) };
        let (x, y) = (self.x.at(ridge.intensity.value), DATA.top + 14);
        let sides = [(x - 10, "← bound by memory", Anchor::End), (x + 10, "bound by compute →", Anchor::Start)];
        let placed = sides.map(|(x, text, anchor)| (x, text, anchor, text_area((x, y), text, TEXT, anchor)));
        if !placed.iter().all(|(.., area)| DATA.holds(area)) {
            return Ok(Vec::new());
        }
        canvas.group(&[("stroke-dasharray", "2 4")], None, |pen| {
            pen.line((x, DATA.top + 4), (x, self.y.at(ridge.rate)), Role::Muted, 1)
        })?;
        canvas.plain(|pen| {
            placed.iter().try_for_each(|(x, text, anchor, _)| pen.text((*x, y), text, TEXT, *anchor, Role::Muted))
        })?;
        Ok(placed.iter().map(|(.., area)| *area).collect())
    }

    /// A memory ceiling: from where it enters the plane to the highest compute ceiling.
    fn slope(
        &self,
        canvas: &mut Canvas,
        roofline: &Roofline,
        index: usize,
        memory: &MemoryRoof,
    ) -> Result<(), ReportError> {
        let [from, to] = self.slope_ends(roofline, memory);
        let title = format!("{} {}: {}", memory.level, memory.kernel, with_half(memory.rate, "B/s"));
        let width = if index == 0 { 3 } else { 1 };
        canvas.group(&[("stroke-dasharray", dashes(index))], Some(&title), |pen| pen.line(from, to, Role::Ink, width))
    }

    fn slope_ends(&self, roofline: &Roofline, memory: &MemoryRoof) -> [At; 2] {
        let rate = memory.rate.value.max(f64::MIN_POSITIVE);
        let top = roofline.compute.iter().map(|compute| compute.rate.value).fold(0.0, f64::max);
        let end = if top > 0.0 { top } else { self.y.high() };
        let (start, stop) = (self.x.low().max(self.y.low() / rate), self.x.high().min(end / rate));
        [start, stop].map(|intensity| (self.x.at(intensity), self.y.at(intensity * rate)))
    }

    fn flat_ends(&self, roofline: &Roofline, compute: &ComputeRoof) -> [At; 2] {
        let fastest = roofline.memory.iter().map(|memory| memory.rate.value).fold(0.0, f64::max);
        let start = if fastest > 0.0 { compute.rate.value / fastest } else { self.x.low() };
        let y = self.y.at(compute.rate.value);
        [(self.x.at(start), y), (DATA.right, y)]
    }

    /// Every ceiling, from left to right.
    fn lines(&self, roofline: &Roofline) -> Vec<[At; 2]> {
        let slopes = roofline.memory.iter().map(|memory| self.slope_ends(roofline, memory));
        slopes.chain(roofline.compute.iter().map(|compute| self.flat_ends(roofline, compute))).collect()
    }

    /// The compute ceilings with their names in the right margin, moved apart where they would touch.
    fn flats(&self, canvas: &mut Canvas, roofline: &Roofline) -> Result<(), ReportError> {
        let heights: Vec<i32> = roofline.compute.iter().map(|compute| self.y.at(compute.rate.value)).collect();
        let labels = spread(&heights, TEXT + 4, DATA.top + 8, DATA.bottom - 8);
        for (index, ((compute, y), label)) in roofline.compute.iter().zip(&heights).zip(labels).enumerate() {
            // A ceiling that would hide the one before lets it show through its gaps.
            let hides = heights[..index].iter().any(|other| (other - y).abs() < 4);
            let role = colour(compute.precision);
            let [from, to] = self.flat_ends(roofline, compute);
            let rate = plain(compute.rate, compute.precision.rate_unit());
            let title = format!(
                "{} by {}: {}",
                compute.precision,
                compute.benchmark,
                with_half(compute.rate, compute.precision.rate_unit())
            );
            let dashes = if hides { "12 12" } else { "none" };
            canvas.group(&[("stroke-dasharray", dashes)], Some(&title), |pen| pen.line(from, to, role, 3))?;
            canvas.plain(|pen| {
                pen.line((DATA.right, *y), (DATA.right + 10, label), role, 1)?;
                pen.text(
                    (DATA.right + 14, label),
                    &format!("{} {rate}", compute.precision),
                    TEXT,
                    Anchor::Start,
                    Role::Ink,
                )
            })?;
        }
        Ok(())
    }

    /// Ridge points, each with a line down to its label. The leftmost label is lowest, so that no line
    /// crosses another's label.
    fn ridges(&self, canvas: &mut Canvas, ridges: &[Ridge]) -> Result<Vec<Area>, ReportError> {
        let mut ordered: Vec<&Ridge> = ridges.iter().collect();
        ordered.sort_by(|a, b| a.intensity.value.total_cmp(&b.intensity.value));
        let mut areas = Vec::new();
        for (row, ridge) in (0i32..).zip(ordered) {
            let (x, top) = (self.x.at(ridge.intensity.value), self.y.at(ridge.rate));
            let y = DATA.bottom - RIDGE_ROW / 2 - 2 - RIDGE_ROW * row;
            let unit = if ridge.precision.is_integer() { "OP/B" } else { "FLOP/B" };
            let text = format!("{} ridge {}", ridge.precision, plain(ridge.intensity, unit));
            let (at, anchor) = match text_area((x + 6, y), &text, SMALL, Anchor::Start) {
                area if area.right <= DATA.right => ((x + 6, y), Anchor::Start),
                _ => ((x - 6, y), Anchor::End),
            };
            let role = colour(ridge.precision);
            let title = format!("ridge point, {}: {}", ridge.precision, with_half(ridge.intensity, unit));
            canvas.group(&[("stroke-dasharray", "2 3")], None, |pen| pen.line((x, top), (x, y + 6), role, 1))?;
            canvas.group(&[], Some(&title), |pen| pen.sign(Shape::Diamond, (x, top), 5, role))?;
            canvas.haloed(|pen| pen.text(at, &text, SMALL, anchor, Role::Ink))?;
            areas.push(text_area(at, &text, SMALL, anchor));
            areas.push(Area { left: x - 7, top: top - 7, right: x + 7, bottom: top + 7 });
        }
        Ok(areas)
    }

    /// The measured kernels: sign and interval, and a name where there is room for it.
    fn points(&self, canvas: &mut Canvas, roofline: &Roofline, mut taken: Vec<Area>) -> Result<(), ReportError> {
        let signs = signs(&roofline.points);
        let at = |point: &Point| (self.x.at(point.intensity), self.y.at(point.rate.value));
        for point in &roofline.points {
            let ((x, y), role) = (at(point), colour(point.precision));
            let (low, high) = (self.y.at(point.rate.low), self.y.at(point.rate.high));
            canvas.group(&[("class", "point")], Some(&describe(point)), |pen| {
                pen.line((x, low), (x, high), role, 1)?;
                for end in [low, high] {
                    pen.line((x - 4, end), (x + 4, end), role, 1)?;
                }
                pen.sign(sign(&signs, point), (x, y), 5, role)
            })?;
            taken.push(Area { left: x - 6, top: y.min(high) - 6, right: x + 6, bottom: y.max(low) + 6 });
        }
        let lines = self.lines(roofline);
        let mut order: Vec<&Point> = roofline.points.iter().collect();
        order.sort_by(|a, b| b.rate.value.total_cmp(&a.rate.value).then_with(|| a.case.cmp(&b.case)));
        for point in order {
            let Some((place, anchor, area)) = free(at(point), &point.label, &taken, &lines) else { continue };
            taken.push(area);
            canvas.haloed(|pen| pen.text(place, &point.label, SMALL, anchor, Role::Ink))?;
        }
        Ok(())
    }
}

fn describe(point: &Point) -> String {
    let share = point.share.map(|share| format!(", {} of its roof", percent(share))).unwrap_or_default();
    let (rate, intensity) = (with_half(point.rate, point.precision.rate_unit()), digits(point.intensity));
    format!("{}: {rate} at {intensity} FLOP/B{share}", point.case)
}

/// A place for a label beside a point that touches no other label, no sign and no ceiling.
fn free((x, y): At, text: &str, taken: &[Area], lines: &[[At; 2]]) -> Option<(At, Anchor, Area)> {
    let gap = 9;
    let places = [
        ((x + gap, y), Anchor::Start),
        ((x - gap, y), Anchor::End),
        ((x, y + gap + 5), Anchor::Middle),
        ((x, y - gap - 5), Anchor::Middle),
        ((x + gap, y + gap), Anchor::Start),
        ((x - gap, y + gap), Anchor::End),
        ((x + gap, y - gap), Anchor::Start),
        ((x - gap, y - gap), Anchor::End),
    ];
    let fits = |(_, _, area): &(At, Anchor, Area)| {
        DATA.holds(area)
            && !lines.iter().any(|line| crosses(*line, area))
            && !taken.iter().any(|other| other.meets(area))
    };
    if text.is_empty() || text_width(text, SMALL) > 220 {
        return None;
    }
    places.into_iter().map(|(at, anchor)| (at, anchor, text_area(at, text, SMALL, anchor))).find(fits)
}

/// Whether a line that runs from left to right passes through an area.
fn crosses([from, to]: [At; 2], area: &Area) -> bool {
    let (left, right) = (from.0.max(area.left), to.0.min(area.right));
    if left > right {
        return false;
    }
    let height = |x: i32| {
        f64::from(from.1) + f64::from(to.1 - from.1) * f64::from(x - from.0) / f64::from((to.0 - from.0).max(1))
    };
    let (one, other) = (height(left), height(right));
    one.min(other) <= f64::from(area.bottom) && one.max(other) >= f64::from(area.top)
}

/// Heights near the wanted ones (which descend the page in any order), at least `apart` from each other and
/// within `top` and `bottom`.
fn spread(wanted: &[i32], apart: i32, top: i32, bottom: i32) -> Vec<i32> {
    let mut order: Vec<usize> = (0..wanted.len()).collect();
    order.sort_by_key(|index| wanted[*index]);
    let mut placed = vec![0; wanted.len()];
    let mut next = top;
    for index in &order {
        placed[*index] = wanted[*index].max(next);
        next = placed[*index] + apart;
    }
    let mut limit = bottom;
    for index in order.iter().rev() {
        placed[*index] = placed[*index].min(limit);
        limit = placed[*index] - apart;
    }
    placed
}
