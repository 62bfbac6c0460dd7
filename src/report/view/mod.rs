//! What a report says, as plain data: every page shows the same view, and none of them decides anything
//! about content.
//!
//! All text that comes from a run file passes [`text::clean`] on its way in. What is special in HTML,
//! Markdown or SVG is escaped by the writer of that format.

mod cases;
mod ceilings;
mod claims;
mod decoding;
mod facts;
mod heat;
mod laws;
mod method;
mod notices;
mod peaks;
mod plots;
mod staircases;
mod text;
mod together;
mod transfers;

pub(crate) use cases::cause;
pub use cases::{BenchmarkView, CaseView, ResultView};
pub use claims::{ClaimView, ClaimsTeaser, ClaimsView, DocumentView, FindingView, Judged, PairView, SideView};
pub use heat::{Heat, HeatCell, HeatRow};
pub use plots::{
    Bar, Bars, ComputeRoof, Curve, Curves, Drawn, Mark, MemoryRoof, Plot, Point, Ridge, Roofline, Segment, Stack,
    Stacks, Strip, Strips, Threshold,
};
pub use staircases::{LevelMark, StairCurve, StairPoint, Stairs};
pub use text::clean;

use crate::fit::{Allowed, Calibration, Ceilings, DecodeCurve, FitError, Staircase, decode_curves, staircases};
use crate::hardware;
use crate::record::{DeviceInfo, DeviceKind, Run};
use decoding::Decoding;
use text::Anchors;

/// Everything a report shows of one or more runs.
#[derive(Debug, Clone, PartialEq)]
pub struct View {
    /// The devices' names.
    pub title: String,
    /// Set when a result speaks of no hardware: to be shown so that nobody overlooks it.
    pub watermark: Option<String>,
    /// Plots of several devices at once.
    pub together: Vec<Plot>,
    /// One part per device of each run.
    pub devices: Vec<DeviceView>,
    /// What a reader must know, worst first, each with what to do.
    pub notices: Vec<Notice>,
    /// Where and how it was measured.
    pub environment: Vec<FactGroup>,
    /// How figures come about.
    pub method: Vec<Fact>,
    /// What became of the documents' claims, if they were judged.
    pub claims: Option<ClaimsTeaser>,
}

/// One device of one run.
#[derive(Debug, Clone, PartialEq)]
pub struct DeviceView {
    /// Its name; with selector and run where names alone would not tell devices apart.
    pub name: String,
    /// Anchor of its part.
    pub anchor: String,
    /// Set when its results speak of no hardware.
    pub watermark: Option<String>,
    /// The result in a few sentences, the most important first.
    pub verdict: Vec<String>,
    /// Key numbers.
    pub cards: Vec<Card>,
    /// Plots, in order.
    pub plots: Vec<Plot>,
    /// Measured ceilings and ridge points.
    pub ceilings: Option<Table>,
    /// Bandwidth against working set: whether memory was measured, not a cache.
    pub plateau: Option<Table>,
    /// Arithmetic against the datasheet.
    pub peaks: Option<Table>,
    /// Transfers by route and size.
    pub transfers: Option<Table>,
    /// Decode steps: by batch, by layer, by operation.
    pub decoding: Vec<Table>,
    /// Laws fitted to its cases: constants, errors, what is missing.
    pub laws: Vec<Table>,
    /// One part per benchmark.
    pub benchmarks: Vec<BenchmarkView>,
}

/// A key number.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Card {
    /// What it is.
    pub label: String,
    /// The number with its unit.
    pub value: String,
    /// Half-width of its interval, if it has one.
    pub half: Option<String>,
    /// One line on where it comes from.
    pub detail: String,
    /// Anchor of the part that holds more.
    pub anchor: Option<String>,
}

/// How much a reader should mind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// Something is broken or missing.
    Fault,
    /// A figure is less certain than it looks.
    Caution,
    /// Good to know.
    Note,
}

impl Level {
    /// The word that goes with the colour, for those who see none.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Fault => "fault",
            Self::Caution => "caution",
            Self::Note => "note",
        }
    }

    /// A sign that goes with the colour.
    pub const fn symbol(self) -> &'static str {
        match self {
            Self::Fault => "✗",
            Self::Caution => "!",
            Self::Note => "i",
        }
    }
}

/// Something a reader must know, grouped by cause.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Notice {
    /// How much to mind.
    pub level: Level,
    /// Which device, where there are several.
    pub device: Option<String>,
    /// What happened.
    pub what: String,
    /// What to do about it.
    pub action: String,
    /// The cases it is about.
    pub cases: Vec<CaseRef>,
}

/// A case named in a notice.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CaseRef {
    /// Its key.
    pub key: String,
    /// Anchor of its row.
    pub anchor: String,
    /// What is particular to it.
    pub detail: Option<String>,
}

/// A short mark beside a figure.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Badge {
    /// How much to mind.
    pub level: Level,
    /// Its text.
    pub text: String,
}

/// Facts under a heading.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FactGroup {
    /// The heading.
    pub title: String,
    /// The facts.
    pub facts: Vec<Fact>,
}

/// A name and what is known under it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fact {
    /// The name.
    pub name: String,
    /// The value or text.
    pub value: String,
}

impl Fact {
    fn new(name: &str, value: impl Into<String>) -> Self {
        Self { name: name.to_owned(), value: value.into() }
    }
}

/// A table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Table {
    /// What it shows.
    pub caption: String,
    /// Heads of its columns.
    pub columns: Vec<Column>,
    /// Its rows.
    pub rows: Vec<Row>,
}

/// Head of a column.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Column {
    /// Its title, with the unit.
    pub title: String,
    /// Whether it holds numbers.
    pub numeric: bool,
}

impl Column {
    fn text(title: &str) -> Self {
        Self { title: title.to_owned(), numeric: false }
    }

    fn number(title: &str) -> Self {
        Self { title: title.to_owned(), numeric: true }
    }
}

/// A row of a table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    /// Where links to it go.
    pub anchor: Option<String>,
    /// Its cells. Where there are fewer than columns, the last spans the rest.
    pub cells: Vec<Cell>,
}

/// A cell of a table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Cell {
    /// Nothing.
    Empty,
    /// Words or a number.
    Text(String),
    /// A case's key, with the anchor of its row.
    Case(CaseRef),
    /// A value with the half-width of its interval.
    Interval {
        /// The value.
        value: String,
        /// The half-width.
        half: String,
    },
    /// Marks, perhaps with an explanation.
    Badges {
        /// The marks.
        badges: Vec<Badge>,
        /// More words.
        detail: Option<String>,
    },
}

impl Cell {
    fn text(text: impl Into<String>) -> Self {
        let text = text.into();
        if text.is_empty() { Self::Empty } else { Self::Text(text) }
    }
}

/// What a benchmark asks, for the pages to explain it: the suite's words, handed over by the caller, since
/// a report may be of benchmarks that this program does not have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct About {
    /// The benchmark's id.
    pub id: &'static str,
    /// The question it answers.
    pub question: &'static str,
    /// How its headline is computed.
    pub formula: &'static str,
    /// What to know before trusting it.
    pub caveats: &'static [&'static str],
}

impl View {
    /// The view of one or more runs.
    pub fn of(runs: &[Run]) -> Self {
        let several = runs.iter().map(|run| run.header.devices.len()).sum::<usize>() > 1;
        let mut anchors = Anchors::default();
        for fixed in ["top", "claims", "environment", "method", "warnings"] {
            anchors.take(fixed);
        }
        let (mut devices, mut silhouettes) = (Vec::new(), Vec::new());
        let mut found = Vec::new();
        for run in runs {
            let about = several.then(|| format!("run {}", clean(&run.header.run_id)));
            notices::of_run(run, about.as_deref(), &mut found);
            for (index, info) in (0u32..).zip(&run.header.devices) {
                let subject = Subject::new(run, index, info, runs, several);
                let (device, notices) = subject.view(devices.len(), &mut anchors);
                devices.push(device);
                silhouettes.extend(subject.silhouette());
                found.extend(notices);
            }
        }
        found.sort_by_key(|notice: &Notice| notice.level);
        let watermark = watermark(runs.iter().flat_map(|run| &run.header.devices));
        let others = if watermark.is_none() { together::references() } else { Vec::new() };
        Self {
            title: title(&devices),
            together: together::together(&silhouettes, &others, watermark.clone(), &mut anchors),
            watermark,
            devices,
            notices: found,
            environment: facts::environment(runs),
            method: method::method(runs),
            claims: None,
        }
    }

    /// The same view with a word on the documents' claims, which have a page of their own.
    #[must_use]
    pub fn with_claims(self, claims: &ClaimsView) -> Self {
        Self { claims: Some(claims.teaser()), ..self }
    }

    /// The same view with each benchmark's question, formula and caveats in the suite's words.
    #[must_use]
    pub fn explained(mut self, abouts: &[About]) -> Self {
        for benchmark in self.devices.iter_mut().flat_map(|device| &mut device.benchmarks) {
            if let Some(about) = abouts.iter().find(|about| about.id == benchmark.id) {
                benchmark.explain(about);
            }
        }
        self
    }

    /// Every plot: those of several devices, then each device's.
    pub fn plots(&self) -> impl Iterator<Item = &Plot> {
        self.together.iter().chain(self.devices.iter().flat_map(|device| &device.plots))
    }

    /// The devices' benchmark parts, in order.
    pub fn benchmarks(&self) -> impl Iterator<Item = &BenchmarkView> {
        self.devices.iter().flat_map(|device| &device.benchmarks)
    }
}

/// One device of one run, with what is derived from it once.
struct Subject<'a> {
    run: &'a Run,
    index: u32,
    info: &'a DeviceInfo,
    name: String,
    several: bool,
    ceilings: Ceilings,
    staircases: Vec<Staircase>,
    decodes: Vec<DecodeCurve>,
    /// Laws of its operations, or why there are none; nothing for a device that is no hardware.
    calibration: Option<Result<Calibration, FitError>>,
}

impl<'a> Subject<'a> {
    fn new(run: &'a Run, index: u32, info: &'a DeviceInfo, runs: &[Run], several: bool) -> Self {
        let bare = device_name(info);
        let namesakes = runs.iter().flat_map(|run| &run.header.devices).filter(|other| device_name(other) == bare);
        let name = match namesakes.count() {
            0 | 1 => bare,
            _ => format!("{bare} ({}, run {})", clean(&info.selector), clean(&run.header.run_id)),
        };
        let (ceilings, staircases) = (Ceilings::of(run, index), staircases(run, index));
        let decodes = decode_curves(run, index);
        let calibration = info.is_publishable().then(|| {
            // A catalogue that cannot be read takes the limits of physics away, and no more.
            let gpu = hardware::identify(&info.name).ok().flatten();
            Calibration::of_device(run, index, gpu.as_ref(), Allowed::default())
        });
        Self { run, index, info, name, several, ceilings, staircases, decodes, calibration }
    }

    fn decoding(&self) -> Decoding<'_> {
        let matrix_units = self.info.features.iter().any(|feature| feature == "matrix_units");
        Decoding { curves: &self.decodes, ceilings: &self.ceilings, matrix_units }
    }

    fn view(&self, position: usize, anchors: &mut Anchors) -> (DeviceView, Vec<Notice>) {
        let anchor = anchors.take(&format!("device-{}", clean(&self.info.selector)));
        let cases = self.cases();
        let plots = self.plots(position, &cases, anchors);
        let benchmarks = self.benchmarks(&cases, anchors);
        let notices = self.notices(&benchmarks);
        let device = DeviceView {
            name: self.name.clone(),
            anchor,
            watermark: watermark(std::iter::once(self.info)),
            verdict: self.verdict(&cases),
            cards: self.cards(&cases, &benchmarks),
            ceilings: self.ceilings_table(&benchmarks),
            plateau: self.plateau_table(),
            peaks: peaks::table(self.info, &cases),
            transfers: transfers::table(&cases),
            decoding: self.decoding().tables(),
            laws: self.laws(),
            plots,
            benchmarks,
        };
        (device, notices)
    }
}

fn device_name(info: &DeviceInfo) -> String {
    match clean(&info.name) {
        name if name.is_empty() => "unnamed device".to_owned(),
        name => name,
    }
}

fn title(devices: &[DeviceView]) -> String {
    match devices {
        [] => "no device".to_owned(),
        [one] => one.name.clone(),
        [one, other] => format!("{} and {}", one.name, other.name),
        more => format!("{} devices", more.len()),
    }
}

/// The warning that results of these devices speak of no hardware; the worst kind counts.
fn watermark<'a>(devices: impl Iterator<Item = &'a DeviceInfo>) -> Option<String> {
    let mut emulated = false;
    for device in devices {
        match device.kind {
            DeviceKind::Fake => return Some("FAKE DEVICE: scripted times, not a measurement".to_owned()),
            DeviceKind::Emulated => emulated = true,
            DeviceKind::Hardware | DeviceKind::Software => {}
        }
    }
    emulated.then(|| "EMULATED DEVICE: right answers, meaningless times".to_owned())
}
