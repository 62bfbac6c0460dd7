//! The axis `load`: bursts, sustained load, and several devices at once, by the command line on scripted devices.

use rooflint::record::{Outcome, Record, StopReason};
use rooflint::suite::Load;

/// The records of a run with these devices and loads, and what was printed.
fn run(devices: &[&str], loads: Option<&str>, more: &[&str]) -> (Vec<Record>, String) {
    let folder = tempfile::tempdir().unwrap();
    let mut command = assert_cmd::Command::cargo_bin("rooflint").unwrap();
    command.current_dir(folder.path()).env("XDG_RUNTIME_DIR", folder.path());
    command.args("run --bench fma --axis precision=f32 --axis threads=1 --out here".split(' '));
    command.args(devices.iter().flat_map(|device| ["--device", device]));
    command.args(loads.iter().flat_map(|loads| ["--axis".to_owned(), format!("load={loads}")]));
    let output = command.args(more).output().unwrap();
    let text = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    let loaded = rooflint::store::load(&folder.path().join("here")).unwrap_or_else(|error| panic!("{error}: {text}"));
    (loaded.run.records, text)
}

/// Device and load of each record.
fn order(records: &[Record]) -> Vec<(u32, Load)> {
    records.iter().map(|record| (record.device, Load::of(&record.case))).collect()
}

const TWO: [&str; 2] = ["fake:noise=0.001", "fake:noise=0.002"];

#[test]
fn without_a_word_devices_that_keep_their_clock_are_measured_in_bursts() {
    let (records, text) = run(&TWO, None, &[]);
    assert_eq!(order(&records), [(0, Load::Burst), (1, Load::Burst)], "{text}");
    assert!(!records[0].case.key().contains("load"));
}

#[test]
fn sustained_load_is_one_window_of_many_samples() {
    let (records, text) = run(&TWO[..1], Some("burst,sustained"), &[]);
    assert_eq!(order(&records), [(0, Load::Burst), (0, Load::Sustained)], "{text}");
    let sustained = records[1].outcome.measurement().unwrap();
    // A burst of this steady device ends as soon as it is precise.
    assert!(sustained.samples.len() > records[0].outcome.measurement().unwrap().samples.len());
    assert_eq!((sustained.warm_up.windows, sustained.stop), (1, StopReason::Precise));
    assert!(sustained.warm_up.settled);
}

#[test]
fn a_device_that_slows_down_under_load_has_not_settled() {
    let (records, text) = run(&["fake:drift=0.01"], Some("sustained"), &[]);
    assert!(!records[0].outcome.measurement().unwrap().warm_up.settled, "{text}");
}

#[test]
fn all_devices_at_once_come_last_and_each_has_its_figure() {
    let (records, text) = run(&TWO, Some("sustained,together"), &[]);
    let wanted = [(0, Load::Sustained), (1, Load::Sustained), (0, Load::Together), (1, Load::Together)];
    assert_eq!(order(&records), wanted, "{text}");
    assert!(records.iter().all(|record| record.outcome.measurement().is_some()), "{text}");
    // Both were under way in the same stretch of time.
    assert_eq!(records[2].started_s, records[3].started_s);
}

#[test]
fn where_one_device_fails_none_was_measured_together() {
    for fault in ["crash=fma", "wrong=fma", "wrong_later=fma", "lose=3", "unsupported=fma"] {
        let (records, text) = run(&[TWO[0], &format!("fake:{fault}")], Some("together"), &[]);
        let outcomes: Vec<_> = records.iter().map(|record| &record.outcome).collect();
        let [Outcome::Skipped(first), second] = outcomes.as_slice() else { panic!("{fault}: {outcomes:?} {text}") };
        assert!(first.contains("another device"), "{fault}: {first}");
        assert!(second.measurement().is_none(), "{fault}: {second:?}");
        assert!(!format!("{second:?}").contains("another device"), "{fault}: {second:?}");
    }
}

#[test]
fn a_device_that_hangs_is_stopped_at_the_deadline_and_so_are_the_others() {
    let (records, text) = run(&[TWO[0], "fake:hang=fma"], Some("together"), &["--deadline", "3s"]);
    assert!(records.iter().all(|record| record.outcome.measurement().is_none()), "{text}");
    assert!(matches!(&records[1].outcome, Outcome::Failed(reason) if reason.contains("deadline")), "{records:?}");
}

#[test]
fn one_device_alone_is_not_together() {
    let (records, text) = run(&TWO[..1], Some("together"), &[]);
    let [Record { outcome: Outcome::Skipped(reason), .. }] = records.as_slice() else { panic!("{records:?} {text}") };
    assert!(reason.contains("two devices"), "{reason}");
}
