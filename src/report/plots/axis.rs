//! Axes and the widths of texts: the layout that plotters leaves to others.

use super::canvas::{Anchor, Area, At};
use crate::units::{digits, prefix};

/// An axis from values to pixels.
#[derive(Debug, Clone, Copy)]
pub(super) struct Axis {
    low: f64,
    high: f64,
    log: bool,
    from: i32,
    to: i32,
}

impl Axis {
    /// A logarithmic axis; both ends are positive.
    pub fn log(low: f64, high: f64, from: i32, to: i32) -> Self {
        Self { low: low.log10(), high: high.log10(), log: true, from, to }
    }

    pub fn linear(low: f64, high: f64, from: i32, to: i32) -> Self {
        Self { low, high, log: false, from, to }
    }

    /// The pixel of a value, at the nearer end for one beyond the axis.
    pub fn at(&self, value: f64) -> i32 {
        let value = if self.log { value.max(f64::MIN_POSITIVE).log10() } else { value };
        let share = ((value - self.low) / (self.high - self.low)).clamp(0.0, 1.0);
        self.from + (share * f64::from(self.to - self.from)).round() as i32
    }

    /// The same axis with its pixels divided into `steps`.
    pub fn finer(&self, steps: i32) -> Self {
        Self { from: self.from * steps, to: self.to * steps, ..*self }
    }

    /// The least value on it.
    pub fn low(&self) -> f64 {
        if self.log { 10f64.powf(self.low) } else { self.low }
    }

    /// The greatest value on it.
    pub fn high(&self) -> f64 {
        if self.log { 10f64.powf(self.high) } else { self.high }
    }

    /// Values to mark: on a logarithmic axis the powers of ten, and 2 and 5 times those where decades are
    /// few; on a linear one about six round numbers.
    pub fn ticks(&self) -> Vec<f64> {
        if !self.log {
            return round_ticks(self.low, self.high);
        }
        let steps: &[f64] = if self.high - self.low < 2.5 { &[1.0, 2.0, 5.0] } else { &[1.0] };
        self.decades(steps)
    }

    /// Values for faint lines between the marked ones of a logarithmic axis.
    pub fn minor_ticks(&self) -> Vec<f64> {
        if self.log { self.decades(&[2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 9.0]) } else { Vec::new() }
    }

    fn decades(&self, steps: &[f64]) -> Vec<f64> {
        let decades = self.low.floor() as i32..=self.high.ceil() as i32;
        let values = decades.flat_map(|decade| steps.iter().map(move |step| step * 10f64.powi(decade)));
        let (low, high) = (self.low - 1e-9, self.high + 1e-9);
        values.filter(|value| (low..=high).contains(&value.log10())).collect()
    }
}

fn round_ticks(low: f64, high: f64) -> Vec<f64> {
    let raw = (high - low) / 6.0;
    let decade = 10f64.powf(raw.log10().floor());
    let step = [1.0, 2.0, 5.0, 10.0].map(|step| step * decade).into_iter().find(|step| *step >= raw).unwrap_or(raw);
    let (first, last) = ((low / step - 1e-9).ceil() as i64, (high / step + 1e-9).floor() as i64);
    (first..=last).map(|index| index as f64 * step).collect()
}

/// The prefix that suits the largest marked value, so that all of an axis reads in one unit.
pub(super) fn axis_unit(ticks: &[f64], unit: &str) -> (f64, String) {
    let (scale, prefix) = prefix(ticks.iter().copied().fold(0.0, f64::max));
    (scale, format!("{prefix}{unit}"))
}

/// A tick's number in the axis' unit.
pub(super) fn tick_label(value: f64, scale: f64) -> String {
    digits(value / scale)
}

/// Widths of ASCII from the space on, in hundredths of the font's size: of each character the widest in
/// DejaVu Sans, Inter and Liberation Sans, so that a layout made for them fits whichever the reader has.
const WIDTHS: [u8; 95] = [
    32, 41, 46, 84, 64, 96, 78, 28, 40, 40, 50, 84, 32, 47, 32, 36, 64, 64, 64, 64, 65, 64, 64, 64, 64, 64, 34, 34, 84,
    84, 84, 56, 102, 69, 69, 73, 78, 67, 62, 78, 76, 30, 55, 67, 57, 89, 76, 79, 67, 79, 73, 67, 65, 75, 69, 99, 69,
    67, 69, 40, 36, 40, 84, 56, 50, 62, 64, 56, 64, 62, 37, 64, 64, 28, 28, 58, 28, 98, 64, 62, 64, 64, 42, 53, 40, 64,
    60, 82, 60, 60, 55, 64, 34, 64, 84,
];

/// An upper estimate of a text's width in pixels.
pub(super) fn text_width(text: &str, size: i32) -> i32 {
    let hundredths = text.chars().map(|c| match (c as usize).checked_sub(32).and_then(|index| WIDTHS.get(index)) {
        Some(width) => i32::from(*width),
        None if (c as u32) < 0x1100 => 84,
        None => 105,
    });
    (hundredths.sum::<i32>() * size + 99) / 100
}

/// The box of a text drawn by [`super::canvas::Pen::text`].
pub(super) fn text_area(at: At, text: &str, size: i32, anchor: Anchor) -> Area {
    let width = text_width(text, size);
    let left = match anchor {
        Anchor::Start => at.0,
        Anchor::Middle => at.0 - width / 2,
        Anchor::End => at.0 - width,
    };
    let half = size * 6 / 10;
    Area { left, top: at.1 - half, right: left + width, bottom: at.1 + half }
}

/// A text that fits into `width`, cut with an ellipsis if it must be.
pub(super) fn fitted(text: &str, size: i32, width: i32) -> String {
    if text_width(text, size) <= width {
        return text.to_owned();
    }
    let mut kept = String::new();
    for c in text.chars() {
        kept.push(c);
        if text_width(&kept, size) + size > width {
            kept.pop();
            break;
        }
    }
    format!("{}…", kept.trim_end())
}
