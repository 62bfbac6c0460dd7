//! The axis `load`: bursts, sustained load, and several devices at once, by the command line on scripted devices.

use rooflint::record::{Case, DeviceInfo, DeviceKind, MatmulShape, Outcome, Record, StopReason};
use rooflint::suite::{Load, Profile, Request, find};

use crate::suite::request;
use crate::support;

/// The records of a run of a short benchmark with these devices and loads, and what was printed.
fn run(devices: &[&str], loads: Option<&str>, more: &[&str]) -> (Vec<Record>, String) {
    let what = ["--bench fma --axis precision=f32 --axis threads=1"].iter().chain(more).copied().collect::<Vec<_>>();
    run_of(&what.join(" "), devices, loads)
}

fn run_of(what: &str, devices: &[&str], loads: Option<&str>) -> (Vec<Record>, String) {
    let folder = tempfile::tempdir().unwrap();
    let mut command = assert_cmd::Command::cargo_bin("rooflint").unwrap();
    command.current_dir(folder.path()).env("XDG_RUNTIME_DIR", folder.path());
    command.args("run --out here".split(' ')).args(what.split(' '));
    command.args(devices.iter().flat_map(|device| ["--device", device]));
    command.args(loads.iter().flat_map(|loads| ["--axis".to_owned(), format!("load={loads}")]));
    let output = command.output().unwrap();
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

/// A GPU with matrix units.
fn gpu() -> DeviceInfo {
    let features = ["bf16", "f16", "f32", "fp8_e4m3", "matrix_units", "workgroups"].map(str::to_owned).to_vec();
    let (backend, kind) = ("cuda".to_owned(), DeviceKind::Hardware);
    DeviceInfo { backend, kind, compute_units: 132, features, ..support::device() }
}

/// Keys of the cases under sustained load.
fn sustained(benchmark: &str, device: &DeviceInfo, request: &Request) -> Vec<String> {
    let cases = find(benchmark).unwrap().cases(device, request);
    assert!(cases.iter().any(|case| Load::of(case) == Load::Burst) || request.axes.contains_key("load"));
    cases.iter().filter(|case| Load::of(case) == Load::Sustained).map(Case::key).collect()
}

#[test]
fn one_large_product_of_each_format_of_the_matrix_units_is_sustained_too() {
    let standard = request(Profile::Standard, &[]);
    let found = sustained("matmul", &gpu(), &standard);
    let square =
        |precision| format!("matmul data=random k=8192 library=own load=sustained m=8192 n=8192 precision={precision}");
    assert_eq!(found, ["f16", "bf16", "fp8_e4m3"].map(square));
    let found = sustained("mma", &gpu(), &standard);
    assert_eq!(found.len(), 6, "{found:?}");
    for benchmark in ["matmul", "mma"] {
        assert_eq!(sustained(benchmark, &gpu(), &request(Profile::Quick, &[])), [""; 0]);
        let cpu = DeviceInfo { backend: "cpu".to_owned(), ..gpu() };
        assert_eq!(sustained(benchmark, &cpu, &standard), [""; 0]);
        // On request, every case.
        let asked = request(Profile::Quick, &[("load", vec!["sustained".into()])]);
        let every = find(benchmark).unwrap().cases(&gpu(), &request(Profile::Quick, &[])).len();
        assert_eq!(sustained(benchmark, &gpu(), &asked).len(), every);
    }
}

#[test]
fn shapes_that_the_user_chose_are_bursts_unless_asked() {
    let shape = MatmulShape { m: 512, n: 512, k: 512, precision: None };
    let chosen = Request { shapes: vec![shape], ..request(Profile::Standard, &[]) };
    assert_eq!(sustained("matmul", &gpu(), &chosen), [""; 0]);
    let sides = request(Profile::Standard, &[("m", vec![8192.into()]), ("precision", vec!["f16".into()])]);
    assert_eq!(sustained("matmul", &gpu(), &sides), [""; 0]);
    let load = ("load".to_owned(), vec!["burst".into(), "sustained".into()]);
    let asked = Request { axes: [load].into(), ..chosen };
    assert_eq!(
        sustained("matmul", &gpu(), &asked),
        ["matmul data=random k=512 library=own load=sustained m=512 n=512 precision=f32"]
    );
}

#[test]
fn a_product_under_sustained_load_is_one_window() {
    let (records, text) = run_of("--bench matmul --axis m=64 --axis n=64 --axis k=64", &TWO[..1], Some("sustained"));
    let [record] = records.as_slice() else { panic!("{text}") };
    assert_eq!(record.outcome.measurement().unwrap().warm_up.windows, 1, "{text}");
    assert!(text.contains("64³ sustained"), "{text}");
}
