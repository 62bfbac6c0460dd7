//! The roofline in characters: Braille dots where the terminal shows them, ASCII elsewhere.

use super::{DIM, Signs, Terminal};
use crate::report::number::{plain, with_half};
use crate::report::view::{Point, Roofline};
use crate::units::{digits, prefix};

/// Columns for the numbers of the vertical axis.
const MARGIN: usize = 7;
const WIDEST: usize = 100;
const NARROWEST: usize = 44;

/// One character of the picture.
#[derive(Clone, Copy, Default)]
struct Cell {
    /// Braille dots, by the bits of the Unicode block.
    dots: u8,
    /// A character of its own, which wins.
    sign: Option<char>,
}

/// The picture: axes from decades to dots, two across and four down per character.
struct Picture {
    cells: Vec<Vec<Cell>>,
    columns: usize,
    rows: usize,
    x: (f64, f64),
    y: (f64, f64),
}

pub(super) fn draw(data: &Roofline, terminal: &Terminal) -> String {
    let width = terminal.width.unwrap_or(WIDEST).clamp(NARROWEST, WIDEST);
    let columns = width - MARGIN - 1;
    let rows = (columns / 4).clamp(10, 20);
    let mut picture = Picture::of(data, columns, rows);
    picture.ceilings(data, terminal);
    for point in &data.points {
        let at = picture.cell(point.intensity, point.rate.value);
        picture.put(at, sign(data, &point.benchmark, terminal.signs));
    }
    let mut lines = picture.lines(terminal);
    lines.extend(legend(data, terminal));
    lines.join("\n")
}

/// Benchmarks in the order of their points.
fn benchmarks(points: &[Point]) -> Vec<&str> {
    let mut names: Vec<&str> = Vec::new();
    for point in points {
        if !names.contains(&&*point.benchmark) {
            names.push(&point.benchmark);
        }
    }
    names
}

fn sign(data: &Roofline, benchmark: &str, signs: Signs) -> char {
    let all = match signs {
        Signs::Unicode => ['●', '■', '▲', '◆', '○', '□', '△', '◇'],
        Signs::Ascii => ['o', '#', '^', '*', 'x', '+', '%', '@'],
    };
    let index = benchmarks(&data.points).iter().position(|name| *name == benchmark).unwrap_or(0);
    all[index % all.len()]
}

impl Picture {
    fn of(data: &Roofline, columns: usize, rows: usize) -> Self {
        let ridges = data.ridges.iter().map(|ridge| ridge.intensity.value);
        let xs: Vec<f64> = ridges
            .chain(data.points.iter().map(|point| point.intensity))
            .chain([1.0])
            .filter(|value| *value > 0.0)
            .collect();
        let low = xs.iter().copied().fold(f64::INFINITY, f64::min) / 2.0;
        let high = xs.iter().copied().fold(0.0, f64::max) * 4.0;
        let slope = data.memory.first().map_or(0.0, |memory| memory.rate.value);
        let flats = data.compute.iter().map(|compute| compute.rate.value).fold(0.0, f64::max);
        let top = if flats > 0.0 { flats } else { slope * high };
        let rates: Vec<f64> = data.points.iter().map(|point| point.rate.value).chain([top]).collect();
        let most = rates.iter().copied().fold(f64::MIN_POSITIVE, f64::max);
        let slowest = data.compute.iter().map(|compute| compute.rate.value / 3.0);
        let least = rates
            .iter()
            .copied()
            .chain(slowest)
            .chain((slope > 0.0).then_some(slope * low))
            .fold(most, f64::min)
            .max(most * 1e-9);
        let (x, y) = ((low.log10(), high.log10()), (least.log10() - 0.1, most.log10() + 0.15));
        Self { cells: vec![vec![Cell::default(); columns]; rows], columns, rows, x, y }
    }

    /// How far along its axis a value lies.
    fn share(value: f64, (low, high): (f64, f64)) -> f64 {
        ((value.max(f64::MIN_POSITIVE).log10() - low) / (high - low)).clamp(0.0, 1.0)
    }

    /// Row and column of the character that shows a place.
    fn cell(&self, intensity: f64, rate: f64) -> (usize, usize) {
        let column = (Self::share(intensity, self.x) * (self.columns - 1) as f64).round() as usize;
        let row = ((1.0 - Self::share(rate, self.y)) * (self.rows - 1) as f64).round() as usize;
        (row, column)
    }

    fn put(&mut self, (row, column): (usize, usize), sign: char) {
        if let Some(cell) = self.cells.get_mut(row).and_then(|line| line.get_mut(column)) {
            cell.sign = Some(sign);
        }
    }

    /// Lights the dot at these dot coordinates, counted from the upper left.
    fn dot(&mut self, x: usize, y: usize) {
        const BITS: [[u8; 2]; 4] = [[0x01, 0x08], [0x02, 0x10], [0x04, 0x20], [0x40, 0x80]];
        if let Some(cell) = self.cells.get_mut(y / 4).and_then(|line| line.get_mut(x / 2)) {
            cell.dots |= BITS[y % 4][x % 2];
        }
    }

    fn ceilings(&mut self, data: &Roofline, terminal: &Terminal) {
        let slope = data.memory.first().map_or(0.0, |memory| memory.rate.value);
        let top = data.compute.iter().map(|compute| compute.rate.value).fold(0.0, f64::max);
        if slope > 0.0 {
            let end = if top > 0.0 { top } else { f64::INFINITY };
            self.curve(terminal, '/', |intensity| Some(slope * intensity).filter(|rate| *rate <= end));
        }
        for compute in &data.compute {
            let rate = compute.rate.value;
            self.curve(terminal, '-', |intensity| (slope * intensity >= rate || slope <= 0.0).then_some(rate));
        }
        for compute in &data.compute {
            self.name(compute.precision.name(), compute.rate.value);
        }
    }

    /// A curve over the whole width, without gaps where it is steep; in ASCII one sign per column.
    fn curve(&mut self, terminal: &Terminal, sign: char, rate: impl Fn(f64) -> Option<f64>) {
        let across = match terminal.signs {
            Signs::Unicode => 2 * self.columns,
            Signs::Ascii => self.columns,
        };
        let down = 4 * self.rows - 1;
        let (low, high) = self.x;
        let mut last: Option<usize> = None;
        for x in 0..across {
            let intensity = 10f64.powf(low + (high - low) * x as f64 / (across - 1).max(1) as f64);
            let Some(rate) = rate(intensity) else {
                last = None;
                continue;
            };
            if rate.log10() < self.y.0 {
                continue;
            }
            if terminal.signs == Signs::Ascii {
                let (row, _) = self.cell(intensity, rate);
                self.put((row, x), sign);
                continue;
            }
            let y = ((1.0 - Self::share(rate, self.y)) * down as f64).round() as usize;
            let from = last.map_or(y, |last| if last > y { last - 1 } else { y });
            for y in y..=from.max(y) {
                self.dot(x, y);
            }
            last = Some(y);
        }
    }

    /// Writes a name over the right end of a compute ceiling, further left where another stands.
    fn name(&mut self, name: &str, rate: f64) {
        let (row, _) = self.cell(f64::MIN_POSITIVE, rate);
        let (length, mut end) = (name.chars().count(), self.columns);
        while end > length {
            let start = end - length;
            let beside = start.saturating_sub(1)..(end + 1).min(self.columns);
            let free = self.cells[row][beside].iter().all(|cell| !cell.sign.is_some_and(char::is_alphanumeric));
            if free {
                name.chars().enumerate().for_each(|(index, sign)| self.put((row, start + index), sign));
                return;
            }
            end = end.saturating_sub(1);
        }
    }

    fn lines(&self, terminal: &Terminal) -> Vec<String> {
        let (bar, corner, across) = match terminal.signs {
            Signs::Unicode => ('┤', '└', '─'),
            Signs::Ascii => ('|', '+', '-'),
        };
        let (scale, unit) = prefix(10f64.powf(self.y.1.floor()));
        let mut labels = vec![String::new(); self.rows];
        let steps: &[f64] = if self.y.1 - self.y.0 < 2.5 { &[1.0, 2.0, 5.0] } else { &[1.0] };
        for decade in self.y.0.floor() as i32..=self.y.1.floor() as i32 {
            let values = steps.iter().map(|step| step * 10f64.powi(decade));
            for value in values.filter(|value| (self.y.0..=self.y.1).contains(&value.log10())) {
                let (row, _) = self.cell(1.0, value);
                labels[row] = digits(value / scale);
            }
        }
        let mut lines = vec![terminal.text(&format!("Throughput ({unit}FLOP/s) by operational intensity (FLOP/B)"))];
        for (label, cells) in labels.iter().zip(&self.cells) {
            let axis = if label.is_empty() && terminal.signs == Signs::Unicode { '│' } else { bar };
            let picture: String = cells.iter().map(|cell| shown(*cell)).collect();
            let start = terminal.styled(DIM, &format!("{label:>MARGIN$}{axis}"));
            lines.push(format!("{start}{}", picture.trim_end()));
        }
        let rule: String = std::iter::repeat_n(across, self.columns).collect();
        lines.push(terminal.styled(DIM, &format!("{:MARGIN$}{corner}{rule}", "")));
        lines.push(terminal.styled(DIM, self.foot().trim_end()));
        lines
    }

    /// The numbers of the horizontal axis.
    fn foot(&self) -> String {
        let mut foot: Vec<char> = vec![' '; MARGIN + 1 + self.columns];
        for decade in self.x.0.ceil() as i32..=self.x.1.floor() as i32 {
            let value = 10f64.powi(decade);
            let (_, column) = self.cell(value, 1.0);
            let label = digits(value);
            let start = (MARGIN + 1 + column).saturating_sub(label.len() / 2).min(foot.len() - label.len());
            if foot[start.saturating_sub(1)..start + label.len()].iter().all(|c| *c == ' ') {
                label.chars().enumerate().for_each(|(index, c)| foot[start + index] = c);
            }
        }
        foot.into_iter().collect()
    }
}

fn shown(cell: Cell) -> char {
    match cell.sign {
        Some(sign) => sign,
        None if cell.dots == 0 => ' ',
        None => char::from_u32(0x2800 + u32::from(cell.dots)).unwrap_or(' '),
    }
}

fn legend(data: &Roofline, terminal: &Terminal) -> Vec<String> {
    let mut lines = Vec::new();
    for (index, memory) in data.memory.iter().enumerate() {
        let drawn = if index == 0 { " (the slope)" } else { "" };
        lines.push(format!("{} {}: {}{drawn}", memory.level, memory.kernel, with_half(memory.rate, "B/s")));
    }
    for compute in &data.compute {
        let ridge = data.ridges.iter().find(|ridge| ridge.precision == compute.precision);
        let unit = if compute.precision.is_integer() { "OP/B" } else { "FLOP/B" };
        let ridge = ridge.map(|ridge| format!(", ridge at {}", plain(ridge.intensity, unit))).unwrap_or_default();
        let rate = with_half(compute.rate, compute.precision.rate_unit());
        lines.push(format!("{} ({}): {rate}{ridge}", compute.precision, compute.benchmark));
    }
    for benchmark in benchmarks(&data.points) {
        let number = data.points.iter().filter(|point| point.benchmark == benchmark).count();
        let cases = if number == 1 { "1 case".to_owned() } else { format!("{number} cases") };
        lines.push(format!("{} {benchmark}: {cases}", sign(data, benchmark, terminal.signs)));
    }
    lines.iter().flat_map(|line| terminal.wrapped(line, 2, 4)).collect()
}
