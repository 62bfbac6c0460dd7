//! Comma-separated values: one row per case, figures in SI units named in the head.

use std::collections::BTreeSet;

use super::{ExportError, Format};
use crate::record::{AxisValue, Outcome, Quantity, Record, Run};
use crate::report::view::{cause, clean};
use crate::summary::Summary;

pub(super) const FORMAT: Format =
    Format { id: "csv", about: "one row per case, for spreadsheets and data frames", render };

/// The columns before the axes.
const FIRST: [&str; 5] = ["run_id", "device", "device_kind", "benchmark", "case"];

/// The columns after the axes.
const LAST: [&str; 24] = [
    "outcome",
    "reason",
    "quantity",
    "headline",
    "unit",
    "low",
    "high",
    "time_s",
    "time_low_s",
    "time_high_s",
    "time_min_s",
    "time_q1_s",
    "time_median_s",
    "time_q3_s",
    "time_max_s",
    "samples_accepted",
    "samples_rejected",
    "samples_effective",
    "intensity_flop_per_b",
    "bytes_read_b",
    "bytes_written_b",
    "operations",
    "variant",
    "flags",
];

fn render(run: &Run) -> Result<String, ExportError> {
    let axes: BTreeSet<&str> =
        run.records.iter().flat_map(|record| record.case.axes.keys().map(String::as_str)).collect();
    let heads = axes.iter().map(|axis| format!("axis_{}", clean(axis)));
    let heads = FIRST.into_iter().map(str::to_owned).chain(heads).chain(LAST.into_iter().map(str::to_owned));
    let failed = |error: &dyn std::fmt::Display| ExportError::Csv(error.to_string());
    let mut writer = ::csv::Writer::from_writer(Vec::new());
    writer.write_record(heads).map_err(|error| failed(&error))?;
    for record in &run.records {
        writer.write_record(row(run, record, &axes)).map_err(|error| failed(&error))?;
    }
    let bytes = writer.into_inner().map_err(|error| failed(&error))?;
    String::from_utf8(bytes).map_err(|error| failed(&error))
}

fn row(run: &Run, record: &Record, axes: &BTreeSet<&str>) -> Vec<String> {
    let device = run.device(record);
    let kind = device.and_then(|device| serde_json::to_value(device.kind).ok()?.as_str().map(str::to_owned));
    let name = device.map(|device| clean(&device.name)).unwrap_or_default();
    let case = &record.case;
    let mut row =
        vec![clean(&run.header.run_id), name, kind.unwrap_or_default(), clean(&case.benchmark), clean(&case.key())];
    let value = |axis: &&str| match case.axes.get(*axis) {
        Some(AxisValue::Count(count)) => count.to_string(),
        Some(AxisValue::Word(word)) => clean(word),
        None => String::new(),
    };
    row.extend(axes.iter().map(value));
    row.extend([record.outcome.word().to_owned(), reason(&record.outcome), quantity(record.quantity).to_owned()]);
    row.extend(figures(record));
    row
}

fn reason(outcome: &Outcome) -> String {
    match outcome {
        Outcome::Measured(_) => String::new(),
        Outcome::Skipped(reason) | Outcome::Failed(reason) => clean(reason),
        Outcome::Wrong(failure) => clean(&failure.to_string()),
    }
}

const fn quantity(quantity: Quantity) -> &'static str {
    match quantity {
        Quantity::Bandwidth => "bandwidth",
        Quantity::Throughput => "throughput",
        Quantity::Duration => "duration",
    }
}

/// The columns from the headline on; empty where there is no summary, except for the declared work.
fn figures(record: &Record) -> Vec<String> {
    let summary = Summary::of(record);
    let summary = summary.as_ref();
    let number = |of: &dyn Fn(&Summary) -> f64| summary.map(|summary| of(summary).to_string()).unwrap_or_default();
    let flags = summary.map(|summary| summary.flags.iter().map(cause).collect::<Vec<_>>().join(";"));
    let mut figures = vec![
        number(&|summary| summary.headline.value),
        summary.map(|summary| summary.unit.to_owned()).unwrap_or_default(),
        number(&|summary| summary.headline.low),
        number(&|summary| summary.headline.high),
        number(&|summary| summary.time.value),
        number(&|summary| summary.time.low),
        number(&|summary| summary.time.high),
    ];
    figures.extend((0..5).map(|index| number(&|summary| summary.quantiles[index].get())));
    figures.push(number(&|summary| f64::from(summary.accepted)));
    figures.push(number(&|summary| f64::from(summary.rejected)));
    figures.push(number(&|summary| summary.effective));
    let intensity = record.work.intensity().map(|intensity| intensity.get().to_string());
    figures.push(intensity.unwrap_or_default());
    figures.push(record.work.bytes_read_b.0.to_string());
    figures.push(record.work.bytes_written_b.0.to_string());
    figures.push(record.work.operations().0.to_string());
    figures.push(record.outcome.measurement().map(|measurement| clean(&measurement.variant)).unwrap_or_default());
    figures.push(flags.unwrap_or_default());
    figures
}
