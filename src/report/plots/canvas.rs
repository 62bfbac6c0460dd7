//! A drawing under way, and the finished one.

use plotters::backend::{DrawingBackend, SVGBackend};
use plotters::prelude::{Color, FontTransform};
use plotters::style::text_anchor::{HPos, Pos, VPos};
use plotters::style::{IntoTextStyle, RGBAColor, ShapeStyle, TextStyle};

use super::axis::text_width;
use super::png::png as raster;
use super::theme::{Role, dark_style, with_variables};
use crate::report::ReportError;

/// The typeface of SVG files and PNG images. In a page the reader's own takes its place.
pub(super) const TYPEFACE: &str = "Inter, Helvetica, Arial, sans-serif";

/// Size of the letters of a watermark that is not too long for it.
const MARK_SIZE: i32 = 36;

/// plotters divides the size it is given by this.
const PLOTTERS_FONT_SCALE: f64 = 1.24;

/// Steps of a pixel in which curves are drawn: plotters knows whole numbers only.
pub(super) const FINE: i32 = 16;

/// A place on the canvas, in pixels from the upper left corner.
pub(super) type At = (i32, i32);

/// A rectangle, both corners included.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Area {
    pub left: i32,
    pub top: i32,
    pub right: i32,
    pub bottom: i32,
}

impl Area {
    pub fn meets(&self, other: &Self) -> bool {
        self.left < other.right && other.left < self.right && self.top < other.bottom && other.top < self.bottom
    }

    pub fn has(&self, (x, y): At) -> bool {
        (self.left..=self.right).contains(&x) && (self.top..=self.bottom).contains(&y)
    }

    pub fn holds(&self, other: &Self) -> bool {
        self.left <= other.left && self.top <= other.top && self.right >= other.right && self.bottom >= other.bottom
    }
}

/// Which end of a text is at its place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Anchor {
    Start,
    Middle,
    End,
}

/// The sign of a series.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Shape {
    Disc,
    Square,
    Triangle,
    Diamond,
    Plus,
    Ring,
    Cross,
}

/// Signs of series, in the order they are given out.
pub(super) const SHAPES: [Shape; 6] =
    [Shape::Disc, Shape::Square, Shape::Triangle, Shape::Diamond, Shape::Plus, Shape::Ring];

/// A drawing under way: groups of shapes, each drawn by plotters.
pub(super) struct Canvas {
    width: i32,
    height: i32,
    body: String,
}

impl Canvas {
    pub fn new(width: i32, height: i32) -> Result<Self, ReportError> {
        let mut canvas = Self { width, height, body: String::new() };
        let all = Area { left: 0, top: 0, right: width, bottom: height };
        canvas.plain(|pen| pen.fill(all, Role::Surface, 1.0))?;
        Ok(canvas)
    }

    /// Shapes without anything in common.
    pub fn plain(&mut self, draw: impl FnOnce(&mut Pen) -> Result<(), ReportError>) -> Result<(), ReportError> {
        let shapes = self.shapes(draw)?;
        self.body.push_str(&shapes);
        Ok(())
    }

    /// Shapes that share attributes, such as a pattern of dashes, and a title that browsers show on hover.
    pub fn group(
        &mut self,
        attributes: &[(&str, &str)],
        title: Option<&str>,
        draw: impl FnOnce(&mut Pen) -> Result<(), ReportError>,
    ) -> Result<(), ReportError> {
        let shapes = self.shapes(draw)?;
        let attributes: String =
            attributes.iter().map(|(name, value)| format!(" {name}=\"{}\"", escape(value))).collect();
        let title = title.map(|title| format!("<title>{}</title>\n", escape(title))).unwrap_or_default();
        self.body.push_str(&format!("<g{attributes}>\n{title}{shapes}</g>\n"));
        Ok(())
    }

    /// A curve through points in units of a [`FINE`]th of a pixel, with dashes and a title that browsers show on hover.
    pub fn curve(
        &mut self,
        points: Vec<At>,
        role: Role,
        width: u32,
        dashes: &str,
        title: &str,
    ) -> Result<(), ReportError> {
        let scale = format!("scale({})", 1.0 / f64::from(FINE));
        let fine =
            |length: &str| length.parse::<i32>().map_or_else(|_| length.to_owned(), |px| (px * FINE).to_string());
        let dashes = dashes.split(' ').map(fine).collect::<Vec<_>>().join(" ");
        let attributes =
            [("transform", scale.as_str()), ("stroke-dasharray", dashes.as_str()), ("stroke-linejoin", "round")];
        self.group(&attributes, Some(title), |pen| pen.path(points, role, width * FINE.unsigned_abs()))
    }

    /// Text with a rim of the surface's colour, legible across lines.
    pub fn haloed(&mut self, draw: impl FnOnce(&mut Pen) -> Result<(), ReportError>) -> Result<(), ReportError> {
        let rim = [
            ("stroke", &*Role::Surface.hex()),
            ("stroke-width", "3"),
            ("stroke-linejoin", "round"),
            ("paint-order", "stroke"),
        ];
        self.group(&rim, None, draw)
    }

    /// Writes a text across the drawing, faint and repeated, so that no part of it can be shown without.
    pub fn watermark(&mut self, text: &str) -> Result<(), ReportError> {
        let (width, height) = (self.width, self.height);
        let lines = (height / 260).max(1);
        let size = (MARK_SIZE * width * 8 / 10 / text_width(text, MARK_SIZE).max(1)).min(MARK_SIZE);
        (0..lines).try_for_each(|line| {
            let middle = (width / 2, height * (2 * line + 1) / (2 * lines));
            let angle = format!("rotate(-14 {} {})", middle.0, middle.1);
            self.group(&[("transform", &angle), ("class", "watermark")], None, |pen| pen.watermark(middle, text, size))
        })
    }

    /// What plotters writes for these shapes, without its document around them.
    fn shapes(&self, draw: impl FnOnce(&mut Pen) -> Result<(), ReportError>) -> Result<String, ReportError> {
        let mut document = String::new();
        let size = (self.width.unsigned_abs(), self.height.unsigned_abs());
        let mut pen = Pen { backend: SVGBackend::with_string(&mut document, size) };
        draw(&mut pen)?;
        pen.backend.present().map_err(failed)?;
        drop(pen);
        let start = document.find('\n').map_or(0, |end| end + 1);
        let end = document.rfind("</svg>").unwrap_or(document.len());
        Ok(document[start..end].to_owned())
    }

    pub fn finish(self, title: &str, description: &str) -> Drawing {
        let label = format!("{title}. {description}");
        Drawing { width: self.width, height: self.height, body: self.body, label }
    }
}

/// Draws shapes of one group.
pub(super) struct Pen<'a> {
    backend: SVGBackend<'a>,
}

impl Pen<'_> {
    pub fn line(&mut self, from: At, to: At, role: Role, width: u32) -> Result<(), ReportError> {
        self.backend.draw_line(from, to, &stroke(role, width)).map_err(failed)
    }

    /// A line through many points.
    fn path(&mut self, points: Vec<At>, role: Role, width: u32) -> Result<(), ReportError> {
        self.backend.draw_path(points, &stroke(role, width)).map_err(failed)
    }

    /// A filled rectangle; one without extent gets a pixel of it.
    pub fn fill(&mut self, area: Area, role: Role, opacity: f64) -> Result<(), ReportError> {
        let corner = (area.right.max(area.left + 1), area.bottom.max(area.top + 1));
        self.backend.draw_rect((area.left, area.top), corner, &filled(role, opacity), true).map_err(failed)
    }

    pub fn polygon(&mut self, points: Vec<At>, role: Role, opacity: f64) -> Result<(), ReportError> {
        self.backend.fill_polygon(points, &filled(role, opacity)).map_err(failed)
    }

    /// The sign of a series, about `2 * radius` across.
    pub fn sign(&mut self, shape: Shape, (x, y): At, radius: i32, role: Role) -> Result<(), ReportError> {
        let solid = filled(role, 1.0);
        match shape {
            Shape::Disc => self.backend.draw_circle((x, y), radius.unsigned_abs(), &solid, true).map_err(failed),
            Shape::Ring => {
                let outline = solid.stroke_width(2);
                self.backend.draw_circle((x, y), radius.unsigned_abs(), &outline, false).map_err(failed)
            }
            Shape::Square => {
                let side = radius - 1;
                self.fill(Area { left: x - side, top: y - side, right: x + side, bottom: y + side }, role, 1.0)
            }
            Shape::Triangle => self.polygon(
                vec![(x, y - radius - 1), (x - radius - 1, y + radius), (x + radius + 1, y + radius)],
                role,
                1.0,
            ),
            Shape::Diamond => {
                let far = radius + 1;
                self.polygon(vec![(x, y - far), (x + far, y), (x, y + far), (x - far, y)], role, 1.0)
            }
            Shape::Plus => {
                self.line((x - radius, y), (x + radius, y), role, 2)?;
                self.line((x, y - radius), (x, y + radius), role, 2)
            }
            Shape::Cross => {
                self.line((x - radius, y - radius), (x + radius, y + radius), role, 1)?;
                self.line((x - radius, y + radius), (x + radius, y - radius), role, 1)
            }
        }
    }

    /// Text whose middle is at the height of `at`.
    pub fn text(&mut self, at: At, text: &str, size: i32, anchor: Anchor, role: Role) -> Result<(), ReportError> {
        let style = text_style(size, anchor, role.light().to_rgba());
        self.backend.draw_text(text, &style, at).map_err(failed)
    }

    /// Text read from bottom to top.
    pub fn text_upwards(&mut self, at: At, text: &str, size: i32, role: Role) -> Result<(), ReportError> {
        let style = text_style(size, Anchor::Middle, role.light().to_rgba()).transform(FontTransform::Rotate270);
        self.backend.draw_text(text, &style, at).map_err(failed)
    }

    fn watermark(&mut self, at: At, text: &str, size: i32) -> Result<(), ReportError> {
        let style = text_style(size, Anchor::Middle, Role::Alert.light().mix(0.22));
        self.backend.draw_text(text, &style, at).map_err(failed)
    }
}

fn text_style(size: i32, anchor: Anchor, colour: RGBAColor) -> TextStyle<'static> {
    let horizontal = match anchor {
        Anchor::Start => HPos::Left,
        Anchor::Middle => HPos::Center,
        Anchor::End => HPos::Right,
    };
    let style: TextStyle<'static> = (TYPEFACE, f64::from(size) * PLOTTERS_FONT_SCALE).into_text_style(&(1, 1));
    TextStyle { color: colour.to_backend_color(), pos: Pos::new(horizontal, VPos::Center), ..style }
}

fn stroke(role: Role, width: u32) -> ShapeStyle {
    role.light().stroke_width(width)
}

fn filled(role: Role, opacity: f64) -> ShapeStyle {
    role.light().mix(opacity).filled()
}

fn failed(error: impl std::fmt::Display) -> ReportError {
    ReportError::Draw(error.to_string())
}

/// Text as it may stand in SVG, between tags and in attributes.
fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            c => escaped.push(c),
        }
    }
    escaped
}

/// A finished drawing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Drawing {
    width: i32,
    height: i32,
    body: String,
    label: String,
}

impl Drawing {
    /// For a page that defines the colours' variables ([`super::css_variables`]).
    pub fn inline(&self) -> String {
        with_variables(&self.document("class=\"plot\"", ""))
    }

    /// For a file of its own: light, or dark where the reader prefers it.
    pub fn file(&self) -> String {
        self.document("xmlns=\"http://www.w3.org/2000/svg\"", &format!("<style>{}</style>\n", dark_style()))
    }

    /// As a PNG image, light, twice the size for sharp text.
    ///
    /// # Errors
    ///
    /// When the renderer reports one, which it has no known reason to.
    pub fn png(&self) -> Result<Vec<u8>, ReportError> {
        raster(&self.document("xmlns=\"http://www.w3.org/2000/svg\"", ""))
    }

    fn document(&self, attributes: &str, head: &str) -> String {
        let Self { width, height, body, .. } = self;
        let label = escape(&self.label);
        format!(
            "<svg {attributes} width=\"{width}\" height=\"{height}\" viewBox=\"0 0 {width} {height}\" role=\"img\" \
             aria-label=\"{label}\">\n{head}{body}</svg>\n"
        )
    }
}
