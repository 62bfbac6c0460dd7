//! What the emulated management library (NVML) tells of the card, and how it comes into records, report and `health`. Left
//! out where the emulator is not.

use rooflint::record::{Measurement, Reading, Run};

use crate::cuda::emulated;

const COPY: &str = "run --device cuda:0 --bench transfer --axis route=pinned_to_device --axis size=1MiB --budget 60s --out \
                    here";

/// A run of copies from the host under a fault, and its report.
fn copied(fault: &str) -> Option<(Run, String)> {
    let environment = [("ROOFLINT_EMULATOR", "small"), ("ROOFLINT_EMULATOR_FAULT", fault)];
    let (code, text, folder) = emulated(&COPY.split_whitespace().collect::<Vec<_>>().join(" "), &environment)?;
    assert_eq!(code, 0, "{text}");
    let run = rooflint::store::load(&folder.path().join("here")).unwrap().run;
    let page = std::fs::read_to_string(folder.path().join("here/report.html")).unwrap();
    Some((run, page))
}

fn measured(run: &Run) -> &Measurement {
    run.records[0].outcome.measurement().unwrap()
}

#[test]
fn the_link_is_read_while_data_move() {
    // At rest the emulated link is in its first generation, and so it is for the first that looks while data move: one look,
    // whenever it is, does not find it awake.
    let Some((run, page)) = copied("") else { return };
    let conditions = &measured(&run).conditions;
    assert_eq!([&conditions["pcie_generation"], &conditions["pcie_width"]], ["4 of 4", "16 of 16"]);
    assert!(!page.contains("The link to the host was") && !conditions.contains_key("not_told"), "{conditions:?}");
    let Some((run, page)) = copied("nvml_link_generation:3,nvml_link_width:8") else { return };
    let conditions = &measured(&run).conditions;
    assert_eq!([&conditions["pcie_generation"], &conditions["pcie_width"]], ["3 of 4", "8 of 16"]);
    assert!(page.contains("The link to the host was x8, generation 3"));
}

#[test]
fn clocks_of_the_memory_stand_beside_those_of_the_multiprocessors() {
    let Some((run, _)) = copied("") else { return };
    let clocks = measured(&run).samples.iter().map(|sample| sample.memory_clock_hz.map(|clock| clock.get()));
    assert!(
        clocks.clone().count() > 0 && clocks.clone().all(|clock| clock == Some(1.593e9)),
        "{:?}",
        measured(&run).samples
    );
}

#[test]
fn what_is_not_told_is_said_with_the_reason() {
    let Some((run, _)) = copied("nvml_not_supported") else { return };
    let conditions = &measured(&run).conditions;
    assert_eq!([&conditions["pcie_generation"], &conditions["pcie_width"]], ["not supported"; 2]);
    let untold = &conditions["not_told"];
    assert!(
        untold.contains("clock of the memory: not supported") && untold.contains("power: not supported"),
        "{untold}"
    );
    assert!(!untold.contains("temperature"), "{untold}");
    assert_eq!(run.header.environment.other_processes[0].processes, Reading::NotSupported);
    let Some((run, page)) = copied("nvml_not_permitted") else { return };
    let conditions = &measured(&run).conditions;
    assert_eq!([&conditions["pcie_generation"], &conditions["pcie_width"]], ["not permitted"; 2]);
    assert!(conditions["not_told"].contains("not permitted"), "{conditions:?}");
    assert_eq!(run.header.environment.other_processes[0].processes, Reading::NotPermitted);
    assert!(page.contains("not permitted"));
}

#[test]
fn others_on_the_device_are_recorded_before_and_after() {
    let Some((run, page)) = copied("nvml_processes:2") else { return };
    for told in [&run.header.environment.other_processes, &run.footer.as_ref().unwrap().other_processes] {
        assert_eq!(told[0].device, 0);
        let Reading::Value(list) = &told[0].processes else { panic!("{told:?}") };
        assert_eq!(list.iter().map(|process| process.memory_b.unwrap().0 >> 30).collect::<Vec<_>>(), [1, 2]);
    }
    assert!(page.contains("Other processes computed on this device"));
    let Some((run, page)) = copied("") else { return };
    assert_eq!(run.footer.unwrap().other_processes[0].processes, Reading::Value(Vec::new()));
    assert!(!page.contains("Other processes computed on this device"));
}

#[test]
fn health_sees_others_and_the_link() {
    let environment = [("ROOFLINT_EMULATOR_FAULT", "nvml_processes:1,nvml_link_width:4")];
    let Some((code, text, _)) = emulated("health", &environment) else { return };
    assert_eq!(code, 3, "{text}");
    assert!(text.contains("NOTE  link to the host: x4, generation 4  (expected x16, generation 4)"), "{text}");
    assert!(text.contains("NOTE  other processes: 1 (process 4000001 with 1 GiB)"), "{text}");
    assert!(text.contains("other processes compute on it"), "{text}");
}
