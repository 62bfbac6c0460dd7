//! What a run says, for people: one HTML file, a Markdown document, plots, and a text for the terminal.
//!
//! A [`View`] holds everything the pages show, as plain data; [`html`], [`markdown`] and [`terminal`] only
//! lay it out. All of it is pure: the same runs give the same bytes, and the caller writes the files.

pub mod html;
pub mod markdown;
pub mod number;
pub mod plots;
pub mod terminal;
pub mod view;

pub use view::{About, ClaimsView, Judged, View};

use crate::record::Run;
use plots::Drawing;
use view::Plot;

/// A file of a report: its path within the report's folder, with `/` between parts, and its bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct File {
    /// Where it goes.
    pub path: String,
    /// What is in it.
    pub bytes: Vec<u8>,
}

/// Why a report could not be made.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReportError {
    /// A plot could not be drawn.
    #[error("a plot could not be drawn: {0}")]
    Draw(String),
}

/// The report of one or more runs: `report.html`, `report.md`, and every plot as `plots/*.svg` and `plots/*.png`.
///
/// # Errors
///
/// When a plot cannot be drawn.
pub fn render(runs: &[Run]) -> Result<Vec<File>, ReportError> {
    render_view(&View::of(runs))
}

/// The report of a view: [`render`] for callers that added the suite's words with [`View::explained`].
///
/// # Errors
///
/// When a plot cannot be drawn.
pub fn render_view(view: &View) -> Result<Vec<File>, ReportError> {
    let drawings = draw(view.devices.iter().flat_map(|device| &device.plots))?;
    let page = html::render(view, &drawings);
    files("report", page, markdown::render(view, markdown::Plots::Linked), &drawings)
}

/// The pages of judged claims: `claims.html`, `claims.md`, and their plots beside the report's.
///
/// # Errors
///
/// When a plot cannot be drawn.
pub fn render_claims(view: &ClaimsView) -> Result<Vec<File>, ReportError> {
    let drawings = draw(view.plots.iter())?;
    let page = html::claims::render(view, &drawings);
    files("claims", page, markdown::claims::render(view, markdown::Plots::Linked), &drawings)
}

fn draw<'a>(plots: impl Iterator<Item = &'a Plot>) -> Result<Vec<(&'a str, Drawing)>, ReportError> {
    plots.map(|plot| Ok((plot.name.as_str(), plots::draw(plot)?))).collect()
}

/// A document in both formats, with its drawings in both.
fn files(stem: &str, html: String, md: String, drawings: &[(&str, Drawing)]) -> Result<Vec<File>, ReportError> {
    let mut files = vec![
        File { path: format!("{stem}.html"), bytes: html.into_bytes() },
        File { path: format!("{stem}.md"), bytes: md.into_bytes() },
    ];
    for (name, drawing) in drawings {
        files.push(File { path: format!("plots/{name}.svg"), bytes: drawing.file().into_bytes() });
        files.push(File { path: format!("plots/{name}.png"), bytes: drawing.png()? });
    }
    Ok(files)
}
