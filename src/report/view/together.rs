//! Rooflines of several devices or runs on one plane.

use super::Subject;
use super::plots::{Curve, Curves, Drawn, Plot};
use super::text::Anchors;
use crate::hardware::{self, Gpu};
use crate::record::Precision;
use crate::report::number;
use crate::summary::Estimate;

/// How far the plane reaches left of the least ridge point and right of the greatest.
const MARGIN: f64 = 30.0;

/// The roofline of one device in a few numbers.
pub(super) struct Silhouette {
    name: String,
    slope: Estimate,
    flats: Vec<(Precision, Estimate)>,
}

impl Subject<'_> {
    /// The device's roofline; `None` without a memory ceiling.
    pub(super) fn silhouette(&self) -> Option<Silhouette> {
        let flats = self.roofs().into_iter().map(|(_, roof)| (roof.precision, roof.rate)).collect();
        Some(Silhouette { name: self.name.clone(), slope: self.memory()?.rate, flats })
    }
}

/// The rooflines of GPUs that others measured, to stand beside those of devices that are hardware.
pub(super) fn references() -> Vec<Silhouette> {
    let (Ok(facts), Ok(catalogue)) = (crate::claims::references(), hardware::catalogue()) else { return Vec::new() };
    let of = |gpu: &str, quantity: &str| {
        let fact = facts.iter().find(|fact| fact.gpu == gpu && fact.quantity.id == quantity);
        fact.map(|fact| fact.value)
    };
    let silhouette = |gpu: Gpu| {
        let (slope, flat) = (of(&gpu.id, "memory_bandwidth")?, of(&gpu.id, "matmul_f16")?);
        let flats = [Precision::F16, Precision::Bf16].map(|precision| (precision, flat)).to_vec();
        Some(Silhouette { name: format!("{}, by others", gpu.name), slope, flats })
    };
    catalogue.into_iter().filter_map(silhouette).collect()
}

/// All rooflines in the first precision that two of them have; none if there are no two.
pub(super) fn together(
    own: &[Silhouette],
    others: &[Silhouette],
    watermark: Option<String>,
    anchors: &mut Anchors,
) -> Vec<Plot> {
    let in_precision = |precision: Precision| -> Vec<(&Silhouette, Estimate)> {
        let flat = |one: &Silhouette| one.flats.iter().find(|(own, _)| *own == precision).map(|(_, rate)| *rate);
        // Others' are beside something, or not at all.
        let others = if own.iter().any(|one| flat(one).is_some()) { others } else { &[] };
        own.iter().chain(others).filter_map(|one| Some((one, flat(one)?))).collect()
    };
    let shared = super::ceilings::SPOKESMEN.into_iter().map(|precision| (precision, in_precision(precision)));
    let Some((precision, roofs)) = shared.into_iter().find(|(_, roofs)| roofs.len() > 1) else { return Vec::new() };
    let ridges = || roofs.iter().map(|(one, flat)| flat.value / one.slope.value);
    let (low, high) = (ridges().fold(f64::INFINITY, f64::min) / MARGIN, ridges().fold(0.0, f64::max) * MARGIN);
    let top = roofs.iter().map(|(_, flat)| flat.value).fold(0.0, f64::max);
    let (scale, prefix) = crate::units::prefix(top);
    let unit = precision.rate_unit();
    let curve = |(one, flat): &(&Silhouette, Estimate)| {
        let (slope, flat_rate) = (one.slope.value, flat.value);
        let points = [low, flat_rate / slope, high].map(|x| (x, (slope * x).min(flat_rate) / scale));
        let (memory, compute) = (number::brief(one.slope, "B/s"), number::brief(*flat, unit));
        Curve { name: format!("{}: {memory}, {compute}", one.name), points: points.into(), band: Vec::new() }
    };
    let drawn = Drawn::Curves(Curves {
        x: "Operational intensity (FLOP/B)".to_owned(),
        y: format!("Throughput in {precision} ({prefix}{unit})"),
        curves: roofs.iter().map(curve).collect(),
        marks: Vec::new(),
        marked: String::new(),
        thresholds: Vec::new(),
    });
    let caption = format!(
        "What each can reach in {precision} by operations per byte of memory traffic: the lower of its memory and its \
         compute ceiling. Both axes are logarithmic. Where one line is above another, that device is faster for kernels \
         of that operational intensity.{}",
        match others {
            [] => "",
            _ =>
                " GPUs by others are those of which measurements come with this program: medians of what was published \
                 and fitted, by which claims are judged.",
        }
    );
    let anchor = anchors.take("plot-together");
    vec![Plot {
        name: "together".to_owned(),
        anchor,
        title: "Rooflines side by side".to_owned(),
        caption,
        watermark,
        drawn,
    }]
}
