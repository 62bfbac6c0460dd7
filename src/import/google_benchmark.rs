//! What Google Benchmark writes with `--benchmark_format=json`.
//!
//! Each repetition is a sample of its benchmark's case; aggregates are left out, since they are worked out from those.
//! The host's name, which the file holds, is not taken over.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::{Import, ImportError, Origin, Source, Stamp, device_named, json, taken};
use crate::record::{Case, DeviceKind, Outcome, Quantity, Record, Work};
use crate::units::{ByteCount, Hertz, Seconds};

/// The row of this source.
pub static SOURCE: Source =
    Source { id: "google-benchmark", about: "Google Benchmark's JSON (--benchmark_format=json)" };

#[derive(Deserialize)]
struct File {
    context: Context,
    benchmarks: Vec<Entry>,
}

#[derive(Deserialize)]
struct Context {
    #[serde(default)]
    num_cpus: u32,
    #[serde(default)]
    mhz_per_cpu: f64,
    library_version: Option<String>,
}

#[derive(Deserialize)]
struct Entry {
    name: String,
    run_name: Option<String>,
    run_type: Option<String>,
    real_time: Option<f64>,
    cpu_time: Option<f64>,
    time_unit: Option<String>,
    bytes_per_second: Option<f64>,
    #[serde(default)]
    error_occurred: bool,
    error_message: Option<String>,
}

/// Reads a file; `name` is what messages call it.
///
/// # Errors
/// [`ImportError`] if it is no such file, or no benchmark in it has a time.
pub fn read(bytes: &[u8], name: &str, stamp: &Stamp) -> Result<Import, ImportError> {
    let file: File = json::read(bytes, name, "JSON of Google Benchmark")?;
    let single = |entry: &&Entry| entry.run_type.as_deref() != Some("aggregate");
    let records = file.benchmarks.iter().filter(single).map(|entry| record(entry, name)).collect::<Result<_, _>>()?;
    let origin = Origin {
        source: "Google Benchmark".to_owned(),
        version: file.context.library_version.unwrap_or_else(|| "not told".to_owned()),
        licence: "not told".to_owned(),
        framework: None,
    };
    let mut device = device_named(&format!("processor with {} cores", file.context.num_cpus), None);
    device.kind = DeviceKind::Hardware;
    device.compute_units = file.context.num_cpus;
    device.clock_max_hz = Hertz::new(file.context.mhz_per_cpu * 1e6).filter(|clock| *clock > Hertz::ZERO);
    Import::of(name, &origin, vec![device], records, stamp)
}

fn record(entry: &Entry, name: &str) -> Result<Record, ImportError> {
    let run = entry.run_name.as_ref().unwrap_or(&entry.name);
    let case = Case::new("google_benchmark", [("name", run.as_str().into())], 0);
    if entry.error_occurred {
        let why = entry.error_message.as_deref().unwrap_or("no reason given");
        let outcome = Outcome::Failed(format!("its own error: {why}"));
        let (work, quantity) = (Work::default(), Quantity::Duration);
        return Ok(Record {
            case,
            device: 0,
            quantity,
            work,
            started_s: Seconds::ZERO,
            elapsed_s: Seconds::ZERO,
            outcome,
        });
    }
    let scale = match entry.time_unit.as_deref() {
        Some("s") => 1.0,
        Some("ms") => 1e3,
        Some("us") => 1e6,
        Some("ns") | None => 1e9,
        Some(other) => {
            return Err(ImportError::Value {
                name: name.to_owned(),
                column: "time_unit".to_owned(),
                row: None,
                problem: format!("'{other}' of {run} is no unit of time; s, ms, us and ns are"),
            });
        }
    };
    let real = entry.real_time.unwrap_or(f64::NAN) / scale;
    // Rates are over the processor's time unless the benchmark asked for another.
    let whole = ["/real_time", "/manual_time"].iter().any(|mark| entry.name.contains(mark));
    let behind_rate = if whole { real } else { entry.cpu_time.map_or(real, |time| time / scale) };
    let bytes = entry.bytes_per_second.map_or(0.0, |rate| (rate * behind_rate).round());
    let work = Work { bytes_read_b: ByteCount(bytes as u64), flop: BTreeMap::new(), ..Work::default() };
    let quantity = if bytes > 0.0 { Quantity::Bandwidth } else { Quantity::Duration };
    Ok(taken::record(case, quantity, work, "not told", &[real]))
}
