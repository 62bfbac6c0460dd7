//! Plots: each drawn once, shown three ways.
//!
//! plotters' SVG backend draws every shape in the light theme's colours. From that one document come the
//! SVG inside a page (colours as CSS variables), the SVG file (light colours, and dark ones where the
//! reader prefers them), and the PNG. Axes, labels and legends are laid out here: plotters' own come out
//! cut off, and without prefixes.

mod axis;
mod canvas;
mod curves;
mod heat;
mod legend;
mod matmul;
mod png;
mod roofline;
mod rows;
mod samples;
mod stacks;
mod staircase;
mod theme;

pub use canvas::Drawing;
pub use theme::css_variables;

use super::ReportError;
use super::view::{Drawn, Plot};

/// Draws a plot.
///
/// # Errors
///
/// When the SVG backend reports one, which it has no known reason to.
pub fn draw(plot: &Plot) -> Result<Drawing, ReportError> {
    let mut canvas = match &plot.drawn {
        Drawn::Roofline(roofline) => roofline::draw(roofline)?,
        Drawn::Matmul(bars) => matmul::draw(bars)?,
        Drawn::Heat(grid) => heat::draw(grid)?,
        Drawn::Staircase(stairs) => staircase::draw(stairs)?,
        Drawn::Samples(strips) => samples::draw(strips, &samples::SAMPLES)?,
        Drawn::Residuals(strips) => samples::draw(strips, &samples::RESIDUALS)?,
        Drawn::Curves(data) => curves::draw(data)?,
        Drawn::Stacks(data) => stacks::draw(data)?,
    };
    if let Some(watermark) = &plot.watermark {
        canvas.watermark(watermark)?;
    }
    Ok(canvas.finish(&plot.title, &plot.caption))
}
