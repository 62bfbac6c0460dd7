//! The table of transfers: routes down, sizes across.

use std::collections::BTreeSet;

use super::cases::CaseData;
use super::text::clean;
use super::{Cell, Column, Row, Table};
use crate::record::Quantity;
use crate::report::number;
use crate::units::ByteCount;

/// Routes in the table's order, in the reader's words.
const ROUTES: [(&str, &str); 6] = [
    ("pinned_to_device", "host to device, pinned"),
    ("pageable_to_device", "host to device, pageable"),
    ("device_to_pinned", "device to host, pinned"),
    ("device_to_pageable", "device to host, pageable"),
    ("both_directions", "both directions at once, pinned"),
    ("device_to_device", "within the device, read and written"),
];

/// A route by its id, with the peer and the access to it where it leads to one.
type Route<'a> = (&'a str, Option<u64>, Option<&'a str>);

/// A route in the reader's words.
fn words((id, peer, access): Route<'_>) -> String {
    match (ROUTES.iter().find(|(known, _)| *known == id), peer) {
        (Some((_, words)), _) => (*words).to_owned(),
        (None, Some(peer)) if id == "device_to_peer" => {
            let how = if access == Some("off") { "staged through the host" } else { "its memory reached directly" };
            format!("to device {peer}, {how}")
        }
        (None, _) => clean(id),
    }
}

/// Every transfer measured; `None` where one number says it all, or there is none.
pub(super) fn table(cases: &[CaseData<'_>]) -> Option<Table> {
    let measured: Vec<_> = cases
        .iter()
        .filter_map(|data| {
            let case = &data.record.case;
            let summary = data.summary.as_ref().filter(|summary| summary.quantity == Quantity::Bandwidth)?;
            let known = case.benchmark == "transfer";
            let route: Route<'_> = (case.word("route")?, case.count("peer"), case.word("access"));
            known.then_some((route, case.count("size")?, summary.headline))
        })
        .collect();
    let sizes: BTreeSet<u64> = measured.iter().map(|(_, size, _)| *size).collect();
    let cell = |route: Route<'_>, size: u64| {
        let found = measured.iter().find(|(other, at, _)| (*other, *at) == (route, size));
        found.map_or(Cell::Empty, |(.., rate)| {
            let number::Shown { value, half } = number::shown(*rate, 1e9);
            Cell::Interval { value, half }
        })
    };
    // Those of the list in its order, then others as they were measured, to a peer with and without access side by side.
    let rank = |(id, peer, _): &Route<'_>| {
        (ROUTES.iter().position(|(known, _)| known == id).unwrap_or(ROUTES.len()), peer.is_some(), *peer)
    };
    let mut routes: Vec<Route<'_>> = Vec::new();
    for (route, ..) in &measured {
        if !routes.contains(route) {
            routes.push(*route);
        }
    }
    routes.sort_by_key(rank);
    let rows = routes.into_iter().map(|route| {
        let cells = std::iter::once(Cell::text(words(route))).chain(sizes.iter().map(|size| cell(route, *size)));
        Row { anchor: None, cells: cells.collect() }
    });
    let sizes = sizes.iter().map(|size| Column::number(&format!("{} (GB/s)", ByteCount(*size))));
    let columns = std::iter::once(Column::text("Route")).chain(sizes).collect();
    let caption = "Transfers: bandwidth by route and size".to_owned();
    (measured.len() > 1).then(|| Table { caption, columns, rows: rows.collect() })
}
