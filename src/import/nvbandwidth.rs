//! What nvbandwidth writes with `--json`.
//!
//! Every cell of a test's matrix is a case. It tells rates and no times or sizes: a sample is the time of 10^9 bytes at that rate.

use serde::Deserialize;
use serde_json::Value;

use super::{Import, ImportError, Origin, Source, Stamp, device_named, json, taken};
use crate::hardware;
use crate::record::{Case, Outcome, Quantity, Record, Work};
use crate::units::{ByteCount, Seconds};

/// The row of this source.
pub static SOURCE: Source = Source { id: "nvbandwidth", about: "nvbandwidth's JSON (--json)" };

#[derive(Deserialize)]
struct File {
    nvbandwidth: Body,
}

#[derive(Deserialize)]
struct Body {
    git_version: Option<String>,
    #[serde(rename = "GPU Device list", default)]
    devices: Vec<String>,
    testcases: Vec<Test>,
}

#[derive(Deserialize)]
struct Test {
    name: String,
    #[serde(default)]
    status: String,
    #[serde(default)]
    bandwidth_matrix: Vec<Vec<Value>>,
}

/// Bytes that stand for those it does not tell.
const BYTES: u64 = 1_000_000_000;

/// Reads a file; `name` is what messages call it.
///
/// # Errors
/// [`ImportError`] if it is no such file, or no test in it has a rate.
pub fn read(bytes: &[u8], name: &str, stamp: &Stamp) -> Result<Import, ImportError> {
    let file: File = json::read(bytes, name, "JSON of nvbandwidth")?;
    let mut records = Vec::new();
    for test in &file.nvbandwidth.testcases {
        let before = records.len();
        for (row, cells) in (0_u64..).zip(&test.bandwidth_matrix) {
            for (column, cell) in (0_u64..).zip(cells) {
                records.extend(record(test, row, column, cell));
            }
        }
        if records.len() == before {
            let case = Case::new("nvbandwidth", [("test", test.name.as_str().into())], 0);
            let why = if test.status.is_empty() { "it tells no rate" } else { test.status.as_str() };
            let (work, quantity, outcome) = (Work::default(), Quantity::Bandwidth, Outcome::Skipped(why.to_owned()));
            records.push(Record {
                case,
                device: 0,
                quantity,
                work,
                started_s: Seconds::ZERO,
                elapsed_s: Seconds::ZERO,
                outcome,
            });
        }
    }
    // `0: NVIDIA A100-SXM4-80GB (00000000:07:00)`: the address is of one machine and is left out.
    let device = file.nvbandwidth.devices.first().map_or("GPU not told", |text| {
        let text = text.split_once(": ").map_or(text.as_str(), |(_, name)| name);
        text.split_once(" (").map_or(text, |(name, _)| name)
    });
    let sheet = hardware::identify(device).ok().flatten();
    let origin = Origin {
        source: "nvbandwidth".to_owned(),
        version: file.nvbandwidth.git_version.unwrap_or_else(|| "not told".to_owned()),
        licence: "not told".to_owned(),
        framework: None,
    };
    Import::of(name, &origin, vec![device_named(device, sheet.as_ref())], records, stamp)
}

/// A cell; `None` for one that holds no number: a GPU is not asked for its link to itself.
fn record(test: &Test, row: u64, column: u64, cell: &Value) -> Option<Record> {
    let gigabytes = cell.as_f64().or_else(|| cell.as_str()?.trim().parse().ok())?;
    let axes = [("test", test.name.as_str().into()), ("row", row.into()), ("column", column.into())];
    let work = Work { bytes_read_b: ByteCount(BYTES), ..Work::default() };
    let time = BYTES as f64 / (gigabytes * 1e9);
    let case = Case::new("nvbandwidth", axes, 0);
    let mut record = taken::record(case, Quantity::Bandwidth, work, "not told", &[time]);
    if let Outcome::Measured(measurement) = &mut record.outcome {
        measurement.conditions.insert("told".to_owned(), "a rate alone; the time is that of 10^9 bytes".to_owned());
    }
    Some(record)
}
