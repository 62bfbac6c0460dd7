//! Measurements by others that come with the program: figures as published, and a small part of imported tables.
//!
//! `reports/reference/published.toml` holds single figures with their statistic; `reports/reference/imported/` run files
//! made by `ci/references`. A figure has one source: what is worked out from a table names that table alone.

mod calibrations;

pub use calibrations::{CALIBRATED, Calibrated, calibration};

use serde::Deserialize;

use crate::hardware;
use crate::record::{Line, Precision, Provenance, Record, Run};
use crate::units::ByteCount;

const PUBLISHED: &str = include_str!("../../reports/reference/published.toml");

/// A run file below `reports/reference/imported/`, by its name.
macro_rules! imported {
    ($($name:literal),* $(,)?) => {
        &[$(($name, include_str!(concat!("../../reports/reference/imported/", $name, ".jsonl")))),*]
    };
}

/// The imported tables' parts.
const IMPORTED: &[(&str, &str)] = imported![
    "a100_sxm-nccl-2.27.3",
    "a100_sxm-sglang-0.5.10",
    "a100_sxm-trtllm-1.0.0",
    "a100_sxm-vllm-0.14.0",
    "h100_sxm-nccl-2.29.2",
    "h100_sxm-sglang-0.5.14",
    "h100_sxm-trtllm-1.3.0rc20",
    "h100_sxm-vllm-0.24.0",
    "h200_sxm-nccl-2.29.2",
    "h200_sxm-sglang-0.5.14",
    "h200_sxm-trtllm-1.3.0rc20",
    "h200_sxm-vllm-0.24.0",
    "l40s-nccl-2.27.3",
    "l40s-sglang-0.5.14",
    "l40s-trtllm-1.3.0rc20",
    "l40s-vllm-0.24.0",
];

/// Why a reference cannot be read, which a test rules out for those that come with the program.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("reference {name}: {problem}")]
pub struct ReferenceError {
    name: String,
    problem: String,
}

/// One figure of one GPU by one source.
#[derive(Debug, Clone, PartialEq)]
pub struct Figure {
    /// The GPU's id in the hardware catalogue.
    pub gpu: String,
    /// What of it: `memory_bandwidth`, `matmul_f16` …
    pub quantity: String,
    /// Bytes or operations per second.
    pub value: f64,
    /// The 90 % interval of a value that was fitted.
    pub interval: Option<(f64, f64)>,
    /// Which statistic: `median of 8`.
    pub statistic: String,
    /// What was measured, and under which conditions.
    pub what: String,
    /// Who published it.
    pub source: String,
    /// Which version of it.
    pub version: String,
    /// Its licence.
    pub licence: String,
    /// Why it is shown but is no evidence; `None` if it is.
    pub excluded: Option<String>,
    /// The rows of a table it is worked out from, each with its value; none for a figure as published.
    pub rows: Vec<(String, f64)>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    figure: Vec<Entry>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    gpu: String,
    quantity: String,
    value: f64,
    unit: String,
    statistic: String,
    what: String,
    source: String,
    version: String,
    licence: String,
    #[serde(default = "counts")]
    counts: bool,
    why: Option<String>,
}

fn counts() -> bool {
    true
}

/// The figures as published.
///
/// # Errors
/// None for the file as committed.
pub fn published() -> Result<Vec<Figure>, ReferenceError> {
    let fault = |problem: String| ReferenceError { name: "published.toml".to_owned(), problem };
    let file: File = toml::from_str(PUBLISHED).map_err(|error| fault(error.to_string()))?;
    let figure = |entry: Entry| {
        let scale = match entry.unit.as_str() {
            "GB/s" => 1e9,
            "TFLOP/s" => 1e12,
            other => return Err(fault(format!("unit '{other}' is not GB/s or TFLOP/s"))),
        };
        if entry.counts == entry.why.is_some() {
            return Err(fault(format!(
                "'{}' of {}: what does not count says why, and what does, nothing",
                entry.what, entry.gpu
            )));
        }
        Ok(Figure {
            gpu: entry.gpu,
            quantity: entry.quantity,
            value: entry.value * scale,
            interval: None,
            statistic: entry.statistic,
            what: entry.what,
            source: entry.source,
            version: entry.version,
            licence: entry.licence,
            excluded: entry.why,
            rows: Vec::new(),
        })
    };
    file.figure.into_iter().map(figure).collect()
}

/// The runs made of imported tables, each with its name.
///
/// # Errors
/// None for the files as committed.
pub fn runs() -> Result<Vec<(&'static str, Run)>, ReferenceError> {
    IMPORTED.iter().map(|(name, text)| Ok((*name, run(name, text)?))).collect()
}

fn run(name: &str, text: &str) -> Result<Run, ReferenceError> {
    let fault = |problem: String| ReferenceError { name: name.to_owned(), problem };
    let (mut header, mut records, mut footer) = (None, Vec::new(), None);
    for line in text.lines() {
        match serde_json::from_str(line).map_err(|error| fault(error.to_string()))? {
            Line::Header(first) => header = Some(*first),
            Line::Record(record) => records.push(*record),
            Line::Footer(last) => footer = Some(last),
        }
    }
    let header = header.ok_or_else(|| fault("it has no header".to_owned()))?;
    Ok(Run { header, records, footer })
}

/// Every figure: those published, and those worked out from the imported runs. Of a run that a calibration is fitted to,
/// the fitted constants take the place of single rows.
///
/// # Errors
/// None for the files as committed.
pub fn figures() -> Result<Vec<Figure>, ReferenceError> {
    let mut figures = published()?;
    for (name, run) in runs()? {
        let mut found = of_run(&run).map_err(|problem| ReferenceError { name: name.to_owned(), problem })?;
        if let Some(calibrated) = CALIBRATED.iter().find(|one| one.runs.contains(&name)) {
            let calibration = calibrated.calibration()?;
            found.iter_mut().for_each(|figure| calibrations::fitted(figure, calibrated, &calibration));
        }
        figures.extend(found);
    }
    Ok(figures)
}

/// The run of that name.
fn run_named(name: &str) -> Result<Run, ReferenceError> {
    let text = IMPORTED.iter().find(|(known, _)| *known == name).map_or("", |(_, text)| text);
    run(name, text)
}

/// Working sets of this many last caches and more say what memory does.
pub const CACHES: u64 = 8;

/// Rows of a product from which on it is one of arithmetic, on any GPU: beyond the ridge point of 16-bit weights.
const ROWS: u64 = 1024;

/// What an imported run says of its GPU: the bandwidth of reading memory, from products of one row whose weights are at least
/// [`CACHES`] times the last cache; the fastest product of each precision; and what an all-gather of the largest
/// message over the most GPUs moves over their links. Quarantined rows count nowhere.
///
/// # Errors
/// None for the datasheets as committed.
pub fn of_run(run: &Run) -> Result<Vec<Figure>, String> {
    let Provenance::Imported { source, version, licence } = &run.header.provenance else { return Ok(Vec::new()) };
    let mut figures = Vec::new();
    for (index, device) in (0_u32..).zip(&run.header.devices) {
        let gpu = hardware::identify(&device.name).map_err(|error| error.to_string())?;
        let Some((gpu, cache)) = gpu.zip(device.last_cache()) else { continue };
        let framework = run.header.framework.as_ref();
        let whose = framework.map_or(String::new(), |framework| format!(", {} {}", framework.name, framework.version));
        let mut add = |quantity: &str, (what, statistic, value, rows): Found| {
            figures.push(Figure {
                gpu: gpu.id.clone(),
                quantity: quantity.to_owned(),
                value,
                interval: None,
                statistic,
                what,
                source: format!("{source}{whose}"),
                version: version.clone(),
                licence: licence.clone(),
                excluded: None,
                rows,
            });
        };
        let records: Vec<&Record> = run.records.iter().filter(|record| record.device == index).collect();
        reading(&records, ByteCount(cache.0.saturating_mul(CACHES)))
            .into_iter()
            .for_each(|found| add("memory_bandwidth", found));
        for (quantity, precisions) in MATMUL {
            product(&records, precisions).into_iter().for_each(|found| add(quantity, found));
        }
        link(&records).into_iter().for_each(|found| add("link_bandwidth", found));
    }
    Ok(figures)
}

/// What was measured, which statistic, its value, and the rows behind it.
type Found = (String, String, f64, Vec<(String, f64)>);

/// Precisions whose products answer for a quantity.
const MATMUL: [(&str, &[Precision]); 3] = [
    ("matmul_f16", &[Precision::F16, Precision::Bf16]),
    ("matmul_fp8", &[Precision::Fp8E4m3, Precision::Fp8E5m2]),
    ("matmul_i8", &[Precision::I8]),
];

/// Median time of a measured record's samples.
fn time(record: &Record) -> Option<f64> {
    let measurement = record.outcome.measurement()?;
    let mut times: Vec<f64> = measurement.samples.iter().map(|sample| sample.elapsed_s.get()).collect();
    times.sort_by(f64::total_cmp);
    times.get(times.len() / 2).map(|time| time / f64::from(measurement.repeats)).filter(|time| *time > 0.0)
}

fn reading(records: &[&Record], least: ByteCount) -> Option<Found> {
    let wanted = |record: &&&Record| {
        let case = &record.case;
        let wide = matches!(case.word("precision"), Some("bf16" | "f16")) && case.word("weights").is_none();
        case.benchmark == "matmul" && case.count("m") == Some(1) && wide && record.work.bytes() >= least
    };
    let mut rows: Vec<(String, f64)> = records
        .iter()
        .filter(wanted)
        .filter_map(|record| Some((record.case.key(), record.work.bytes().0 as f64 / time(record)?)))
        .collect();
    rows.sort_by(|a, b| a.1.total_cmp(&b.1));
    let value = median(&rows.iter().map(|(_, rate)| *rate).collect::<Vec<_>>())?;
    let what = format!("products of one row in 16 bits, weights of {CACHES} times the last cache and more");
    Some((what, format!("median of {}", rows.len()), value, rows))
}

fn product(records: &[&Record], precisions: &[Precision]) -> Option<Found> {
    let rates = records.iter().filter_map(|record| {
        let precision = record.work.precision().filter(|precision| precisions.contains(precision))?;
        let large = record.case.benchmark == "matmul" && record.case.count("m")? >= ROWS;
        let stored = record.case.word("weights").is_none_or(|weights| weights.starts_with(precision.name()));
        (large && stored).then_some((record.case.key(), record.work.operations().0 as f64 / time(record)?))
    });
    let rates: Vec<(String, f64)> = rates.collect();
    let number = rates.len();
    let fastest = rates.into_iter().max_by(|a, b| a.1.total_cmp(&b.1))?;
    let what = format!("products of {ROWS} rows and more, shapes chosen beforehand");
    Some((what, format!("fastest of {number}"), fastest.1, vec![fastest]))
}

/// Not an all-reduce: switches that add take part of its traffic from the links.
fn link(records: &[&Record]) -> Option<Found> {
    let gathers = records.iter().filter(|record| {
        record.case.word("operation") == Some("all_gather") && record.case.word("library") == Some("nccl")
    });
    let rates = gathers.filter_map(|record| {
        let rank = (record.case.count("gpus")?, record.case.count("size")?);
        Some((rank, record.case.key(), record.work.bytes().0 as f64 / time(record)?))
    });
    let (_, key, rate) = rates.max_by_key(|(rank, ..)| *rank)?;
    let what = "NCCL all-gather over the most GPUs, largest message: what each GPU receives";
    Some((what.to_owned(), "one row".to_owned(), rate, vec![(key, rate)]))
}

/// The middle value, or the mean of the two in the middle; `None` of nothing.
pub fn median(values: &[f64]) -> Option<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let (low, high) = (sorted.get(sorted.len().checked_sub(1)? / 2)?, sorted.get(sorted.len() / 2)?);
    Some((low + high) / 2.0)
}
