//! A drawing as pixels.

use std::sync::Arc;

use resvg::tiny_skia::{Pixmap, Transform};
use resvg::usvg::{Options, Tree, fontdb::Database};

use crate::report::ReportError;

/// Latin, Greek and mathematical signs of Inter, so that text looks the same on a machine without fonts.
static FONT: &[u8] = include_bytes!("../assets/inter-subset.otf");

/// Pixels per unit of the drawing.
const SCALE: f32 = 2.0;

/// Renders an SVG document.
pub fn png(svg: &str) -> Result<Vec<u8>, ReportError> {
    let failed = |what: &str, error: &dyn std::fmt::Display| ReportError::Draw(format!("{what}: {error}"));
    let mut fonts = Database::new();
    fonts.load_font_data(FONT.to_vec());
    fonts.set_sans_serif_family("Inter");
    let options = Options { fontdb: Arc::new(fonts), font_family: "Inter".to_owned(), ..Options::default() };
    let tree = Tree::from_str(svg, &options).map_err(|error| failed("the plot is not valid SVG", &error))?;
    let size = tree.size().to_int_size();
    let size = size.scale_by(SCALE).unwrap_or(size);
    let mut pixels = Pixmap::new(size.width(), size.height())
        .ok_or_else(|| ReportError::Draw("the plot is too large for an image".to_owned()))?;
    resvg::render(&tree, Transform::from_scale(SCALE, SCALE), &mut pixels.as_mut());
    pixels.encode_png().map_err(|error| failed("the image could not be encoded", &error))
}
