//! What NVBench writes with `--json`.
//!
//! Each state is a case, with its axes by name; its mean GPU time over cold runs is the one sample. Bytes are worked back from
//! the bandwidth it reports.

use serde::Deserialize;

use super::{Import, ImportError, Origin, Source, Stamp, device_named, json, taken};
use crate::hardware;
use crate::record::{AxisValue, Case, Outcome, Quantity, Record, Work};
use crate::units::{ByteCount, Seconds};

/// The row of this source.
pub static SOURCE: Source = Source { id: "nvbench", about: "NVBench's JSON (--json FILE)" };

#[derive(Deserialize)]
struct File {
    #[serde(default)]
    meta: Meta,
    devices: Vec<Device>,
    benchmarks: Vec<Benchmark>,
}

#[derive(Deserialize, Default)]
struct Meta {
    version: Option<Versions>,
}

#[derive(Deserialize)]
struct Versions {
    nvbench: Option<Version>,
}

#[derive(Deserialize)]
struct Version {
    string: Option<String>,
}

#[derive(Deserialize)]
struct Device {
    id: i64,
    name: String,
}

#[derive(Deserialize)]
struct Benchmark {
    name: String,
    states: Vec<State>,
}

#[derive(Deserialize)]
struct State {
    device: Option<i64>,
    #[serde(default)]
    axis_values: Option<Vec<Axis>>,
    #[serde(default)]
    summaries: Option<Vec<Summary>>,
    #[serde(default)]
    is_skipped: bool,
    skip_reason: Option<String>,
}

#[derive(Deserialize)]
struct Axis {
    name: String,
    value: Scalar,
}

#[derive(Deserialize)]
struct Summary {
    tag: String,
    data: Vec<Datum>,
}

#[derive(Deserialize)]
struct Datum {
    name: String,
    value: Scalar,
}

/// Numbers are written as text in some versions.
#[derive(Deserialize)]
#[serde(untagged)]
enum Scalar {
    Number(f64),
    Text(String),
}

impl Scalar {
    fn number(&self) -> Option<f64> {
        match self {
            Self::Number(number) => Some(*number),
            Self::Text(text) => text.parse().ok(),
        }
    }

    fn axis(&self) -> AxisValue {
        match (self, self.number()) {
            (_, Some(number)) if number >= 0.0 && number.fract() == 0.0 && number < 2_f64.powi(53) => {
                AxisValue::Count(number as u64)
            }
            (Self::Text(text), _) => AxisValue::Word(text.clone()),
            (Self::Number(number), _) => AxisValue::Word(number.to_string()),
        }
    }
}

/// Reads a file; `name` is what messages call it.
///
/// # Errors
/// [`ImportError`] if it is no such file, or no state in it has a time.
pub fn read(bytes: &[u8], name: &str, stamp: &Stamp) -> Result<Import, ImportError> {
    let file: File = json::read(bytes, name, "JSON of NVBench")?;
    let mut records = Vec::new();
    for benchmark in &file.benchmarks {
        for state in &benchmark.states {
            let place = file.devices.iter().position(|device| Some(device.id) == state.device).unwrap_or(0);
            records.push(record(benchmark, state, u32::try_from(place).unwrap_or(0)));
        }
    }
    let devices: Vec<_> = file
        .devices
        .iter()
        .map(|device| device_named(&device.name, hardware::identify(&device.name).ok().flatten().as_ref()))
        .collect();
    if devices.is_empty() {
        return Err(ImportError::Nothing { name: name.to_owned(), problem: "it lists no device".to_owned() });
    }
    let version = file.meta.version.and_then(|version| version.nvbench).and_then(|version| version.string);
    let origin = Origin {
        source: "NVBench".to_owned(),
        version: version.unwrap_or_else(|| "not told".to_owned()),
        licence: "not told".to_owned(),
        framework: None,
    };
    Import::of(name, &origin, devices, records, stamp)
}

fn record(benchmark: &Benchmark, state: &State, device: u32) -> Record {
    let mut case = Case::new("nvbench", [("name", benchmark.name.as_str().into())], 0);
    let axes = state.axis_values.iter().flatten();
    case.axes.extend(axes.map(|axis| (axis.name.clone(), axis.value.axis())));
    if state.is_skipped {
        let why = state.skip_reason.clone().unwrap_or_else(|| "no reason given".to_owned());
        let (work, quantity, outcome) = (Work::default(), Quantity::Duration, Outcome::Skipped(why));
        return Record { case, device, quantity, work, started_s: Seconds::ZERO, elapsed_s: Seconds::ZERO, outcome };
    }
    let figure = |tag: &str| {
        let summary = state.summaries.iter().flatten().find(|summary| summary.tag == tag)?;
        summary.data.iter().find(|datum| datum.name == "value")?.value.number()
    };
    let time = figure("nv/cold/time/gpu/mean");
    let bytes =
        figure("nv/cold/bw/global/bytes_per_second").zip(time).map_or(0.0, |(rate, time)| (rate * time).round());
    let work = Work { bytes_read_b: ByteCount(bytes as u64), ..Work::default() };
    let quantity = if bytes > 0.0 { Quantity::Bandwidth } else { Quantity::Duration };
    let times: Vec<f64> = time.into_iter().collect();
    Record { device, ..taken::record(case, quantity, work, "not told", &times) }
}
