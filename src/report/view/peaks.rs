//! The table of what arithmetic came to of the datasheet's peak, and of the peak at the clock that was measured beside it.

use super::cases::CaseData;
use super::text::clean;
use super::{Cell, Column, Row, Table};
use crate::hardware::{Gpu, Rate, identify};
use crate::record::{DeviceInfo, Measurement, Precision, Quantity};
use crate::report::number;
use crate::stats::Sorted;
use crate::units::Hertz;

/// Products and arithmetic out of registers against the device's datasheet; `None` for a device without one, or with
/// nothing of the kind measured.
pub(super) fn table(device: &DeviceInfo, cases: &[CaseData<'_>]) -> Option<Table> {
    // Damaged datasheets are the catalogue's to report; without one there is nothing to compare with.
    let sheet = identify(&device.name).ok().flatten()?;
    let mut rows: Vec<Row> = cases.iter().filter_map(|data| row(&sheet, data)).collect();
    let mut columns = vec![
        Column::text("Case"),
        Column::number("Rate (TFLOP/s, TOP/s)"),
        Column::number("Of the datasheet's peak"),
        Column::number("Clock (MHz)"),
        Column::number("Of the peak at that clock"),
        Column::number("Waves"),
    ];
    // Only products whose driver or library tells them have waves.
    if rows.iter().all(|row| row.cells.last() == Some(&Cell::Empty)) {
        columns.pop();
        rows.iter_mut().for_each(|row| drop(row.cells.pop()));
    }
    let caption = format!("Arithmetic against the datasheet of {} (dense rates)", clean(&sheet.name));
    (!rows.is_empty()).then_some(Table { caption, columns, rows })
}

fn row(sheet: &Gpu, data: &CaseData<'_>) -> Option<Row> {
    let summary = data.summary.as_ref().filter(|summary| summary.quantity == Quantity::Throughput)?;
    let benchmark = data.record.case.benchmark.as_str();
    let rate = peak_of(benchmark, summary.precision?)?;
    let peak = sheet.peak(rate)?.get();
    let measurement = data.record.outcome.measurement()?;
    let clock = clock(measurement);
    let at_clock = clock.and_then(|clock| sheet.peak_at(rate, clock));
    let share = |peak: f64| Cell::text(number::percent(summary.headline.value / peak));
    let number::Shown { value, half } = number::shown(summary.headline, 1e12);
    let cells = vec![
        Cell::text(clean(&format!("{benchmark} {}", data.label))),
        Cell::Interval { value, half },
        share(peak),
        clock.map_or(Cell::Empty, |clock| Cell::text(format!("{:.0}", clock.get() / 1e6))),
        at_clock.map_or(Cell::Empty, |peak| share(peak.get())),
        measurement.conditions.get("waves").map_or(Cell::Empty, |waves| Cell::text(clean(waves))),
    ];
    Some(Row { anchor: None, cells })
}

/// The peak that a benchmark in a precision is bound by. Products in binary64 may use matrix units where a device has such
/// for them, arithmetic out of registers does not.
fn peak_of(benchmark: &str, precision: Precision) -> Option<Rate> {
    match (benchmark, precision) {
        ("fma", Precision::F64) => Some(Rate::F64),
        ("fma" | "matmul", Precision::F32) => Some(Rate::F32),
        ("matmul", Precision::F64) => Some(Rate::F64Tensor),
        ("matmul" | "mma", Precision::Tf32) => Some(Rate::Tf32),
        ("matmul" | "mma", Precision::F16) => Some(Rate::F16),
        ("matmul" | "mma", Precision::Bf16) => Some(Rate::Bf16),
        ("matmul" | "mma", Precision::Fp8E4m3 | Precision::Fp8E5m2) => Some(Rate::Fp8),
        ("matmul" | "mma", Precision::I8) => Some(Rate::I8),
        _ => None,
    }
}

/// The median clock of the accepted samples.
fn clock(measurement: &Measurement) -> Option<Hertz> {
    let accepted = measurement.samples.iter().filter(|sample| sample.rejected.is_none());
    let clocks = Sorted::new(accepted.filter_map(|sample| sample.clock_hz).map(f64::from))?;
    Hertz::new(clocks.median())
}
