//! Transfers through CUDA on the emulator: both directions at once, and to another device with access on and off. Left out
//! where the emulator is not.

use std::fs::File;

use rooflint::record::Outcome;

use crate::cuda::{emulated, outcomes};

fn transfer(axes: &str) -> String {
    format!("run --device cuda:0 --bench transfer {axes} --axis size=64KiB --budget 90s --out here")
}

#[test]
fn both_directions_are_under_way_at_once() {
    // With this fault a copy begins only once as many have begun in the other direction: in one stream none ever would.
    let meet = [("ROOFLINT_EMULATOR_FAULT", "copies_meet")];
    let Some((code, text, folder)) = emulated(&transfer("--axis route=both_directions"), &meet) else { return };
    assert_eq!(code, 0, "{text}");
    let outcomes = outcomes(&folder);
    let [Outcome::Measured(measured)] = outcomes.as_slice() else { panic!("{outcomes:?}") };
    assert_eq!(measured.check.compared, 2 * 16_384, "both buffers");
    assert!(measured.conditions["submission"].contains("latch"), "{:?}", measured.conditions);
    // One direction alone never meets another.
    let one = transfer("--axis route=pinned_to_device").replace("90s", "90s --deadline 60s");
    let Some((code, text, folder)) = emulated(&one, &meet) else { return };
    assert_ne!(code, 0, "{text}");
    assert!(matches!(self::outcomes(&folder).as_slice(), [Outcome::Failed(_)]), "{text}");
}

/// What became of copies to the second device with access on and off, under a fault.
fn to_peer(personality: &str, fault: &str) -> Option<[Outcome; 2]> {
    let environment = [("ROOFLINT_EMULATOR", personality), ("ROOFLINT_EMULATOR_FAULT", fault)];
    let (_, text, folder) = emulated(&transfer("--axis route=device_to_peer"), &environment)?;
    let run = rooflint::store::load(&folder.path().join("here")).unwrap().run;
    let keys: Vec<_> = run.records.iter().map(|record| record.case.key()).collect();
    let key = |access: &str| format!("transfer access={access} peer=1 route=device_to_peer size=65536");
    assert_eq!(keys, [key("on"), key("off")], "{text}");
    outcomes(&folder).try_into().ok()
}

#[test]
fn copies_to_a_peer_are_direct_with_access_and_staged_without() {
    let Some([on, off]) = to_peer("small-two", "") else { return };
    let (on, off) = (on.measurement().expect("on"), off.measurement().expect("off"));
    assert!(on.conditions["submission"].contains("latch"), "{:?}", on.conditions);
    assert!(off.conditions["submission"].contains("stages"), "{:?}", off.conditions);
    assert_eq!([on.check.compared, off.check.compared], [16_384; 2]);
    // What goes wrong on one of the two ways is found out on that way alone.
    let Some([on, off]) = to_peer("small-two", "peer_direct_wrong") else { return };
    assert!(matches!((&on, &off), (Outcome::Wrong(_), Outcome::Measured(_))), "{on:?} {off:?}");
    let Some([on, off]) = to_peer("small-two", "peer_staged_wrong") else { return };
    assert!(matches!((&on, &off), (Outcome::Measured(_), Outcome::Wrong(_))), "{on:?} {off:?}");
}

#[test]
fn devices_that_do_not_reach_one_another_stage() {
    let Some([on, off]) = to_peer("small-apart", "") else { return };
    let Outcome::Skipped(reason) = &on else { panic!("{on:?}") };
    assert!(reason.contains("do not reach each other's memory"), "{reason}");
    assert!(off.measurement().is_some(), "{off:?}");
}

#[test]
fn without_a_second_device_there_is_no_peer() {
    let one = [("ROOFLINT_EMULATOR", "small")];
    for (axes, told) in [
        ("--axis route=device_to_peer", "no second device"),
        ("--axis route=device_to_peer --axis peer=3", "no CUDA device 3"),
        ("--axis route=device_to_peer --axis peer=0", "no peer of it"),
    ] {
        let Some((_, text, folder)) = emulated(&transfer(axes), &one) else { return };
        let outcomes = outcomes(&folder);
        let told_so = |outcome: &Outcome| matches!(outcome, Outcome::Skipped(reason) if reason.contains(told));
        assert!(!outcomes.is_empty() && outcomes.iter().all(told_so), "{text}");
    }
}

#[test]
fn a_peer_that_another_run_measures_is_left_alone() {
    let two = [("ROOFLINT_EMULATOR", "small-two")];
    let run = transfer("--axis route=device_to_peer,pinned_to_device");
    let Some((code, text, folder)) = emulated(&run, &two) else { return };
    assert_eq!(code, 0, "{text}");
    // Each device has been locked, by its address, and has the number of the process that held it.
    let mut locks: Vec<_> = std::fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().path()).collect();
    locks.retain(|path| path.extension().is_some_and(|extension| extension == "lock"));
    locks.sort();
    let [_, peer] = locks.as_slice() else { panic!("{locks:?}") };
    assert!(std::fs::read_to_string(peer).unwrap().trim().parse::<u32>().is_ok());
    // Another run holds the second one, and has a right to copy to the first: neither waits.
    let held = tempfile::tempdir().unwrap();
    let lock = File::create(held.path().join(peer.file_name().unwrap())).unwrap();
    lock.lock().unwrap();
    std::io::Write::write_all(&mut &lock, b"4711\n").unwrap();
    let runtime = held.path().to_str().unwrap();
    let Some((_, text, folder)) = emulated(&run, &[two[0], ("XDG_RUNTIME_DIR", runtime)]) else { return };
    let outcomes = outcomes(&folder);
    let (skipped, others): (Vec<_>, Vec<_>) = outcomes.iter().partition(|outcome| match outcome {
        Outcome::Skipped(reason) => reason.contains("cuda:1") && reason.contains("another run (process 4711)"),
        _ => false,
    });
    assert_eq!((skipped.len(), others.len()), (2, 1), "{text}");
    assert!(others[0].measurement().is_some(), "{text}");
    // Devices of one run are each other's peers, though both are locked from its beginning.
    let both = run.replace("--device cuda:0", "--device cuda:all");
    let Some((code, text, folder)) = emulated(&both, &two) else { return };
    assert_eq!(code, 0, "{text}");
    assert!(self::outcomes(&folder).iter().all(|outcome| outcome.measurement().is_some()), "{text}");
}
