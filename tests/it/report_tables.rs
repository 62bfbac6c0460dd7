//! Tables of a report that are arranged otherwise than case by case.

use rooflint::record::{
    Case, DeviceKind, OtherProcesses, Outcome, Process, Quantity, Reading, Record, Rejection, Work,
};
use rooflint::report::{View, markdown};
use rooflint::units::Hertz;

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

#[test]
fn transfers_both_ways_and_to_peers_have_rows_of_their_own() {
    let record = transfer("both_directions", 1 << 28, 50e9);
    let to_peer = |peer: u64, access: &'static str, rate| {
        let mut record = transfer("device_to_peer", 1 << 28, rate);
        record.case = record.case.with("peer", peer).with("access", access);
        record
    };
    let records = vec![to_peer(1, "on", 270e9), to_peer(1, "off", 21e9), to_peer(0, "on", 260e9), record];
    let view = View::of(&[run(vec![device(DeviceKind::Hardware, "Some GPU")], records)]);
    let text = markdown::render(&view, markdown::Plots::Omitted);
    let at = |words: &str, rate: &str| {
        let found = text.lines().position(|line| line.contains(words) && line.contains(rate));
        found.unwrap_or_else(|| panic!("no '{words}' with {rate} in {text}"))
    };
    let order = [
        at("both directions at once, pinned", "49.99"),
        at("to device 0, its memory reached directly", "260"),
        at("to device 1, its memory reached directly", "270"),
        at("to device 1, staged through the host", "21."),
    ];
    assert!(order.is_sorted(), "{order:?}");
}

#[test]
fn a_slow_link_and_others_on_the_device_are_told_with_what_to_do() {
    let mut slow = transfer("pinned_to_device", 1 << 28, 12e9);
    let Outcome::Measured(measured) = &mut slow.outcome else { panic!("measured") };
    let words = [("pcie_generation", "3 of 4"), ("pcie_width", "16 of 16")];
    measured.conditions.extend(words.map(|(name, words)| (name.to_owned(), words.to_owned())));
    let mut run = run(vec![device(DeviceKind::Hardware, "Some GPU")], vec![slow]);
    let other = |pid| Process { pid, memory_b: Some(rooflint::units::ByteCount::gib(2)) };
    let others = |list| vec![OtherProcesses { device: 0, processes: list }];
    run.header.environment.other_processes = others(Reading::Value(vec![other(17), other(18)]));
    run.footer.as_mut().unwrap().other_processes = others(Reading::NotPermitted);
    let view = View::of(std::slice::from_ref(&run));
    let told: Vec<_> = view.notices.iter().map(|notice| notice.what.as_str()).collect();
    let link = "The link to the host was x16, generation 3 while data moved over it; it can be x16, generation 4.";
    assert!(told.contains(&link), "{told:#?}");
    let company =
        "Other processes computed on this device: before the run 2 (process 17 with 2 GiB, process 18 with 2 GiB).";
    assert!(told.contains(&company), "{told:#?}");
    let text = markdown::render(&view, markdown::Plots::Omitted);
    assert!(text.contains("Other processes on it after the run") && text.contains("not permitted"), "{text}");
    // In order and alone: nothing to say.
    run.header.environment.other_processes = others(Reading::Value(Vec::new()));
    let Outcome::Measured(measured) = &mut run.records[0].outcome else { panic!("measured") };
    measured.conditions.insert("pcie_generation".to_owned(), "4 of 4".to_owned());
    let view = View::of(&[run]);
    assert!(view.notices.iter().all(|notice| !notice.what.contains("link") && !notice.what.contains("processes")));
}

/// Every run on hardware under `reports` is told of in its README, and rendered whole.
#[test]
fn runs_on_hardware_are_whole_and_told_of() {
    let reports = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("reports");
    let told = std::fs::read_to_string(reports.join("README.md")).unwrap();
    let folders = std::fs::read_dir(&reports).unwrap().map(|entry| entry.unwrap().path());
    let runs: Vec<_> = folders.filter(|path| path.file_name().unwrap().to_string_lossy().starts_with("gpu-")).collect();
    assert!(!runs.is_empty());
    for folder in runs {
        let name = folder.file_name().unwrap().to_string_lossy().into_owned();
        assert!(told.contains(&format!("`{name}/`")), "{name} is not in reports/README.md");
        let loaded = rooflint::store::load(&folder).unwrap();
        assert!(loaded.run.footer.is_some(), "{name} is cut off");
        let view = View::of(std::slice::from_ref(&loaded.run));
        assert!(view.watermark.is_none(), "{name}: {:?}", view.watermark);
        assert!(markdown::render(&view, markdown::Plots::Omitted).contains(&loaded.run.header.devices[0].name));
    }
}

#[test]
fn arithmetic_stands_against_the_datasheet_and_the_clock() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("reports/gpu-nvidia-h100-80gb-hbm3-20261122");
    let mut run = rooflint::store::load(&folder).unwrap().run;
    let table = View::of(std::slice::from_ref(&run)).devices[0].peaks.clone().expect("a table");
    assert!(table.caption.contains("H100 SXM"), "{}", table.caption);
    let shown = |name: &str| -> Vec<String> {
        let text = markdown::render(&View::of(std::slice::from_ref(&run)), markdown::Plots::Omitted);
        let line = text.lines().find(|line| line.starts_with(&format!("| {name}"))).unwrap_or_default().to_owned();
        line.split('|').map(|cell| cell.trim().to_owned()).collect()
    };
    // 864 TFLOP/s of 989.4 at 1830 MHz; at the 1614 MHz that the power limit left, of 874.
    let f16 = shown("mma f16 rounds");
    assert_eq!((f16[3].as_str(), f16[4].as_str(), f16[5].as_str()), ("87 %", "1614", "99 %"), "{f16:?}");
    let f32 = shown("fma f32 528");
    assert_eq!((f32[3].as_str(), f32[5].as_str()), ("98 %", "98 %"), "{f32:?}");

    // The clock is the median of the samples that count, and a case whose clock was not measured has no peak at it.
    let with_clocks = |clocks: &dyn Fn(usize) -> (Option<Hertz>, Option<Rejection>)| {
        let mut run = run.clone();
        for Record { case, outcome, .. } in &mut run.records {
            let Outcome::Measured(measured) = outcome else { continue };
            if case.benchmark != "mma" || case.word("precision") != Some("f16") {
                continue;
            }
            for (at, sample) in measured.samples.iter_mut().enumerate() {
                (sample.clock_hz, sample.rejected) = clocks(at);
            }
        }
        let text = markdown::render(&View::of(&[run]), markdown::Plots::Omitted);
        let line = text.lines().find(|line| line.starts_with("| mma f16 rounds")).unwrap_or_default().to_owned();
        line.split('|').map(|cell| cell.trim().to_owned()).collect::<Vec<_>>()
    };
    let half = Hertz::new(915e6);
    // A third of the samples, the slowest of all, was rejected; of the others less than half were at the lower clock.
    let mixed = with_clocks(&|at| match at % 3 {
        0 => (Hertz::new(100e6), Some(Rejection::Stolen)),
        1 => (half, None),
        _ => (if at % 9 == 2 { half } else { Hertz::new(457.5e6) }, None),
    });
    assert_eq!((mixed[3].as_str(), mixed[4].as_str(), mixed[5].as_str()), ("87 %", "915", "175 %"), "{mixed:?}");
    let unknown = with_clocks(&|_| (None, None));
    assert_eq!((unknown[3].as_str(), unknown[4].as_str(), unknown[5].as_str()), ("87 %", "", ""), "{unknown:?}");

    // That driver's run told no waves; where one case has them there is a column.
    assert!(table.columns.iter().all(|column| column.title != "Waves"));
    let told = run.records.iter_mut().find(|record| record.case.benchmark == "matmul").unwrap();
    let rooflint::record::Outcome::Measured(measured) = &mut told.outcome else { panic!("measured") };
    measured.conditions.insert("waves".to_owned(), "1.94".to_owned());
    let text = markdown::render(&View::of(std::slice::from_ref(&run)), markdown::Plots::Omitted);
    assert!(text.lines().any(|line| line.contains("| 1.94 |")) && text.contains("Waves"));

    run.header.devices[0].name = "Some GPU".to_owned();
    assert!(View::of(std::slice::from_ref(&run)).devices[0].peaks.is_none(), "no datasheet, no shares");
}

#[test]
fn a_renderer_in_software_is_said_to_be_no_gpu() {
    for (kind, told) in [(DeviceKind::Software, true), (DeviceKind::Hardware, false)] {
        let view =
            View::of(&[run(vec![device(kind, "Some renderer")], vec![transfer("device_to_pinned", 1 << 20, 21e9)])]);
        assert_eq!(view.devices[0].verdict.iter().any(|sentence| sentence.contains("no GPU")), told);
    }
}
