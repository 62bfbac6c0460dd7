//! The table of transfers: routes down, sizes across.

use std::collections::BTreeSet;

use super::cases::CaseData;
use super::text::clean;
use super::{Cell, Column, Row, Table};
use crate::record::Quantity;
use crate::report::number;
use crate::units::ByteCount;

/// Routes in the table's order, in the reader's words.
const ROUTES: [(&str, &str); 5] = [
    ("pinned_to_device", "host to device, pinned"),
    ("pageable_to_device", "host to device, pageable"),
    ("device_to_pinned", "device to host, pinned"),
    ("device_to_pageable", "device to host, pageable"),
    ("device_to_device", "within the device, read and written"),
];

/// Every transfer measured; `None` where one number says it all, or there is none.
pub(super) fn table(cases: &[CaseData<'_>]) -> Option<Table> {
    let measured: Vec<_> = cases
        .iter()
        .filter_map(|data| {
            let case = &data.record.case;
            let summary = data.summary.as_ref().filter(|summary| summary.quantity == Quantity::Bandwidth)?;
            let known = case.benchmark == "transfer";
            known.then_some((case.word("route")?, case.count("size")?, summary.headline))
        })
        .collect();
    let sizes: BTreeSet<u64> = measured.iter().map(|(_, size, _)| *size).collect();
    let cell = |route: &str, size: u64| {
        let found = measured.iter().find(|(other, at, _)| (*other, *at) == (route, size));
        found.map_or(Cell::Empty, |(.., rate)| {
            let number::Shown { value, half } = number::shown(*rate, 1e9);
            Cell::Interval { value, half }
        })
    };
    let mut routes: Vec<(&str, String)> = ROUTES.iter().map(|(id, words)| (*id, (*words).to_owned())).collect();
    for (route, ..) in &measured {
        if !routes.iter().any(|(known, _)| known == route) {
            routes.push((*route, clean(route)));
        }
    }
    let rows =
        routes.into_iter().filter(|(id, _)| measured.iter().any(|(route, ..)| route == id)).map(|(id, words)| {
            let cells = std::iter::once(Cell::text(words)).chain(sizes.iter().map(|size| cell(id, *size)));
            Row { anchor: None, cells: cells.collect() }
        });
    let sizes = sizes.iter().map(|size| Column::number(&format!("{} (GB/s)", ByteCount(*size))));
    let columns = std::iter::once(Column::text("Route")).chain(sizes).collect();
    let caption = "Transfers: bandwidth by route and size".to_owned();
    (measured.len() > 1).then(|| Table { caption, columns, rows: rows.collect() })
}
