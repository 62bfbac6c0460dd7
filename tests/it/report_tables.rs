//! Tables of a report that are arranged otherwise than case by case.

use rooflint::record::{Case, DeviceKind, Quantity, Record, Work};
use rooflint::report::{View, markdown};

use crate::sample_run::{self, device, run};

/// A copy over a route at `rate` bytes per second.
fn transfer(route: &'static str, size: u64, rate: f64) -> Record {
    let case = Case::new("transfer", [("route", route.into()), ("size", size.into())], 1);
    let work = Work { bytes_read_b: rooflint::units::ByteCount(size), ..Work::default() };
    sample_run::measured(case, Quantity::Bandwidth, work, size as f64 / rate, 20, 0.001)
}

#[test]
fn transfers_stand_in_a_table_of_routes_and_sizes() {
    const MIB: u64 = 1 << 20;
    let gpu = || vec![device(DeviceKind::Hardware, "Some GPU")];
    let records = vec![
        transfer("device_to_pinned", 16 * MIB, 21e9),
        transfer("pinned_to_device", 256 * MIB, 26e9),
        transfer("pinned_to_device", 16 * MIB, 22e9),
        transfer("through_a_<wormhole>", 16 * MIB, 23e9),
    ];
    let view = View::of(&[run(gpu(), records)]);
    let table = view.devices[0].transfers.clone().expect("a table");
    let columns: Vec<_> = table.columns.iter().map(|column| column.title.as_str()).collect();
    assert_eq!(columns, ["Route", "16 MiB (GB/s)", "256 MiB (GB/s)"]);
    let text = markdown::render(&view, markdown::Plots::Omitted);
    let rows: Vec<_> = text.lines().filter(|line| line.contains("pinned |") || line.contains("wormhole")).collect();
    assert!(
        rows[0].contains("host to device, pinned") && rows[0].contains("21.9") && rows[0].contains("26.0"),
        "{rows:?}"
    );
    assert!(rows[1].contains("device to host, pinned") && rows[1].contains("21.0"), "{rows:?}");
    assert!(!text.contains("<wormhole>"), "{rows:?}");
    let one = View::of(&[run(gpu(), vec![transfer("pinned_to_device", MIB, 1e9)])]);
    assert_eq!(one.devices[0].transfers, None, "one number says it all");
}
