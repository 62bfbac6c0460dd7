//! The CUDA backend: the conformance list, every variant of every kernel, and the program run on a device. On a machine
//! without an NVIDIA GPU the emulator of `ci/emulator` stands in, which `ci/test` puts where libraries are looked for.
//! Where there is neither the tests say so and end; `ROOFLINT_REQUIRE=cuda` makes that a failure.

use rooflint::device::{self, Device, DeviceError, Place, Probe, Program, Slot, Step, Submit};
use rooflint::record::{AxisValue, Case, DeviceInfo, DeviceKind};
use rooflint::suite::{self, Load};
use rooflint::units::ByteCount;

use crate::conformance::{self, once, words};
use crate::suite::every_way_is_right;

/// The devices here; none is a failure where CUDA is required.
pub fn devices() -> Vec<DeviceInfo> {
    let (backend, _) = device::select("cuda").unwrap();
    match (backend.probe)() {
        Probe::Present(found) => found,
        Probe::Absent { reason } => {
            let required = std::env::var("ROOFLINT_REQUIRE").unwrap_or_default();
            assert!(!required.split(',').any(|id| id == "cuda"), "cuda is required and absent: {reason}");
            println!("left out, cuda is absent: {reason}");
            Vec::new()
        }
    }
}

pub fn open(info: &DeviceInfo) -> Box<dyn Device> {
    let (backend, rest) = device::select(&info.selector).unwrap();
    (backend.open)(rest).unwrap()
}

#[test]
fn conforms() {
    for info in devices() {
        conformance::run(open(&info).as_mut());
    }
}

#[test]
fn is_described_without_being_opened() {
    for info in devices() {
        let (backend, rest) = device::select(&info.selector).unwrap();
        assert_eq!((backend.id, backend.hidden), ("cuda", false));
        assert_eq!(&(backend.describe)(rest).unwrap(), &info);
        // The PCI address names it too.
        assert_eq!(&(backend.describe)(info.identity.as_deref().unwrap()).unwrap(), &info);
        assert!(info.features.is_sorted() && info.compute_units > 1 && info.last_cache().is_some());
        assert_eq!(info.name.contains("Emulated"), info.kind == DeviceKind::Emulated, "{info:?}");
    }
}

#[test]
fn a_device_that_is_not_there_is_named_in_the_error() {
    let (backend, _) = device::select("cuda").unwrap();
    for selector in ["99", "-1", "x", "ffff:ff:ff.f"] {
        let (opened, described) = ((backend.open)(selector).err().unwrap(), (backend.describe)(selector).unwrap_err());
        assert_eq!(opened, described);
        let told = if devices().is_empty() { "driver" } else { selector };
        assert!(opened.to_string().contains(told), "{opened}");
    }
}

#[test]
fn the_clock_is_that_of_events_and_agrees_with_the_hosts() {
    for info in devices() {
        let cuda = open(&info);
        let timer = cuda.timer();
        assert_eq!(timer.clock, "cuda_event");
        assert!((timer.agreement.unwrap().get() - 1.0).abs() <= 0.05, "{timer:?}");
        assert!(cuda.conditions()["submission"].contains("latch"), "{:?}", cuda.conditions());
        assert!(!cuda.conditions()["code"].is_empty());
    }
}

/// A case of numbers, and a word where it has one.
pub fn case(benchmark: &str, counts: &[(&'static str, u64)], words: &[(&'static str, &str)]) -> Case {
    let counts = counts.iter().map(|(name, count)| (*name, AxisValue::Count(*count)));
    let words = words.iter().map(|(name, word)| (*name, AxisValue::from(*word)));
    Case::new(benchmark, counts.chain(words), 42)
}

#[test]
fn every_way_to_run_every_kernel_is_right_at_awkward_sizes() {
    for info in devices() {
        let mut cases = Vec::new();
        for kernel in ["read", "write", "copy", "triad"] {
            for words in [1_u64, 2, 7, 16, 17, 63, 64, 100, 255, 256, 1000, 4099, 65_537] {
                cases.push(case("memory", &[("size", words * 4)], &[("kernel", kernel)]));
            }
        }
        for precision in ["f64", "f32", "f16", "bf16", "i32", "i8"].into_iter().filter(|name| {
            suite::find("fma").unwrap().meta().axes[0].words.contains(name)
                && info.features.iter().any(|has| has == name)
        }) {
            cases.push(case("fma", &[("threads", 1)], &[("precision", precision)]));
        }
        for slice in ["private", "shared"] {
            for (words, units) in [(100_u64, 1), (4099, 3), (65_536, 8)] {
                cases.push(case("cache", &[("size", 4 * words), ("threads", units)], &[("slice", slice)]));
            }
        }
        for (size, stride, chains) in [(64_u64, 64_u64, 1_u64), (16 << 10, 64, 3), (1 << 20, 4096, 8)] {
            cases.push(case("latency", &[("size", size), ("stride", stride), ("chains", chains)], &[]));
        }
        for fmas in [1_u64, 2, 4, 8, 24, 64] {
            for words in [1_u64, 17, 4099] {
                cases.push(case("intensity", &[("fmas", fmas), ("size", 4 * words)], &[]));
            }
        }
        for route in suite::find("transfer").unwrap().meta().axes[0].words {
            let peers = info.features.iter().filter_map(|has| has.strip_prefix("peer_access_")?.parse().ok());
            for words in [1_u64, 4099, 70_001] {
                match *route {
                    "both_directions" if !info.features.iter().any(|has| has == "copies_both_ways") => {}
                    "device_to_peer" => cases.extend(peers.clone().flat_map(|peer: u64| {
                        ["on", "off"].map(|access| {
                            let words_of = [("route", *route), ("access", access)];
                            case("transfer", &[("size", 4 * words), ("peer", peer)], &words_of)
                        })
                    })),
                    _ => cases.push(case("transfer", &[("size", 4 * words)], &[("route", route)])),
                }
            }
        }
        for (wait, submit) in [("after_all", "stream"), ("after_all", "graph"), ("after_each", "stream")] {
            cases.push(case("launch", &[("threads", 3)], &[("wait", wait), ("submit", submit)]));
        }
        every_way_is_right(open(&info).as_mut(), &cases);
    }
}

/// More launches than wait behind one latch, and more than one graph holds.
#[test]
fn long_windows_go_in_batches() {
    for info in devices() {
        let mut cuda = open(&info);
        for submit in [Submit::Stream, Submit::Graph] {
            let buffers: Vec<_> = (0..3).map(|_| cuda.alloc(ByteCount(4096), Place::Device).unwrap()).collect();
            let args = vec![device::Arg::Buffer(Slot(0)), device::Arg::U64(4), device::Arg::U32(7)];
            let bindings = buffers.iter().map(|buffer| vec![*buffer]).collect();
            let program =
                Program { steps: vec![Step::launch("empty", args)], bindings, outputs: buffers.clone(), submit };
            let recorded = cuda.record(&program).unwrap();
            for buffer in &buffers {
                cuda.fill(*buffer, device::Pattern::Poison).unwrap();
            }
            let window = device::Window { samples: 2, repeats: 700, ..once(1) };
            let window = device::Window { start: device::Start::Queued, ..window };
            let timings = cuda.run(recorded, &window).unwrap();
            assert_eq!(timings.len(), 2);
            assert!(timings.iter().all(|timing| timing.elapsed.get() > 0.0), "{timings:?}");
            for buffer in &buffers {
                assert_eq!(words(cuda.as_mut(), *buffer, 49)[48], 10);
            }
        }
    }
}

#[test]
fn kernels_reach_pinned_memory_and_no_pageable_one() {
    for info in devices() {
        let mut cuda = open(&info);
        for place in [Place::HostPinned, Place::HostPageable] {
            let buffer = cuda.alloc(ByteCount(4096), place).unwrap();
            let args = vec![device::Arg::Buffer(Slot(0)), device::Arg::U64(100), device::Arg::U32(5)];
            let steps = vec![Step::launch("memory_write", args)];
            let program =
                Program { steps, bindings: vec![vec![buffer]], outputs: vec![buffer], submit: Submit::Stream };
            match cuda.record(&program) {
                Ok(recorded) => {
                    assert_eq!(place, Place::HostPinned);
                    cuda.run(recorded, &once(1)).unwrap();
                    assert_eq!(words(cuda.as_mut(), buffer, 3), [5, 6, 7]);
                }
                Err(error) => {
                    assert!(matches!(error, DeviceError::Unsupported(_)) && place == Place::HostPageable, "{error}");
                }
            }
        }
    }
}

/// The program on the emulator, whose folder must be where libraries are looked for; `None` where it is not.
pub fn emulated(arguments: &str, environment: &[(&str, &str)]) -> Option<(i32, String, tempfile::TempDir)> {
    if !devices().iter().any(|info| info.kind == DeviceKind::Emulated) {
        println!("left out: these tests are the emulator's");
        return None;
    }
    let folder = tempfile::tempdir().unwrap();
    let mut command = assert_cmd::Command::cargo_bin("rooflint").unwrap();
    command.args(arguments.split(' ')).current_dir(folder.path()).env("XDG_RUNTIME_DIR", folder.path());
    let output = command.envs(environment.iter().copied()).output().unwrap();
    let text = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    Some((output.status.code().unwrap(), text, folder))
}

pub fn outcomes(folder: &tempfile::TempDir) -> Vec<rooflint::record::Outcome> {
    let run = rooflint::store::load(&folder.path().join("here")).unwrap().run;
    run.records.into_iter().map(|record| record.outcome).collect()
}

const SMALL: &str = "run --device cuda:0 --bench memory --axis kernel=copy,read,write --axis size=64KiB --budget 60s \
                     --deadline 20s --out here";

#[test]
fn a_run_on_the_emulator_is_right_and_marked_as_no_measurement() {
    let small: String = SMALL.split_whitespace().collect::<Vec<_>>().join(" ");
    let Some((code, text, folder)) = emulated(&small, &[]) else { return };
    assert_eq!(code, 0, "{text}");
    assert!(text.contains("EMULATED"), "{text}");
    assert!(outcomes(&folder).iter().all(|outcome| outcome.measurement().is_some()), "{text}");
    let page = std::fs::read_to_string(folder.path().join("here/report.html")).unwrap();
    assert!(page.contains("EMULATED"));
    let run = rooflint::store::load(&folder.path().join("here")).unwrap().run;
    let measured = run.records[0].outcome.measurement().unwrap();
    assert_eq!(measured.timer.clock, "cuda_event");
    assert!(measured.conditions["submission"].contains("latch"), "{:?}", measured.conditions);
    assert!(measured.conditions["code"].contains("PTX"), "{:?}", measured.conditions);
}

#[test]
fn what_goes_wrong_on_a_device_costs_one_case() {
    let small: String = SMALL.split_whitespace().collect::<Vec<_>>().join(" ");
    for (fault, told) in [
        ("illegal_address:200", "ILLEGAL_ADDRESS"),
        ("lost:200", "UNKNOWN"),
        ("ecc:200", "ECC"),
        ("out_of_memory:6", "out of memory"),
    ] {
        let Some((code, text, folder)) = emulated(&small, &[("ROOFLINT_EMULATOR_FAULT", fault)]) else { return };
        let outcomes = outcomes(&folder);
        assert_eq!(outcomes.len(), 3, "{fault}: {text}");
        // A new process begins with a device in order, and meets the same fault again.
        let failed = outcomes.iter().filter(|outcome| matches!(outcome, rooflint::record::Outcome::Failed(_)));
        assert!(failed.clone().count() >= 1 && code != 0, "{fault}: {code} {text}");
        for outcome in failed {
            let rooflint::record::Outcome::Failed(reason) = outcome else { continue };
            assert!(reason.contains(told), "{fault}: {reason}");
        }
    }
}

#[test]
fn a_hung_kernel_is_stopped_at_the_deadline() {
    let small = "run --device cuda:0 --bench memory --axis kernel=copy --axis size=64KiB --budget 6s --deadline 3s \
                 --out here";
    let small = small.split_whitespace().collect::<Vec<_>>().join(" ");
    let Some((code, text, folder)) = emulated(&small, &[("ROOFLINT_EMULATOR_FAULT", "hang:600")]) else { return };
    assert!(code == 1 || code == 5, "{code}: {text}");
    let outcomes = outcomes(&folder);
    assert!(matches!(outcomes.as_slice(), [rooflint::record::Outcome::Failed(_)]), "{outcomes:?}");
}

#[test]
fn absence_and_age_of_the_driver_are_told() {
    let none = [("ROOFLINT_EMULATOR", "none")];
    let Some((code, text, _)) = emulated("run --device cuda --out here", &none) else { return };
    assert_eq!(code, 4, "{text}");
    assert!(text.contains("no device") && text.contains("nvidia-smi"), "{text}");
    let Some((_, text, _)) = emulated("doctor", &none) else { return };
    assert!(text.contains("cuda: absent"), "{text}");
    let hidden = [("ROOFLINT_EMULATOR", "none"), ("CUDA_VISIBLE_DEVICES", "")];
    let Some((_, text, _)) = emulated("devices", &hidden) else { return };
    assert!(text.contains("CUDA_VISIBLE_DEVICES hides every GPU"), "{text}");
    // A driver without newer symbols, which stands in a folder of its own.
    let folders = std::env::var("LD_LIBRARY_PATH").unwrap_or_default();
    let old = folders.split(':').map(|folder| format!("{folder}/old-driver")).collect::<Vec<_>>().join(":");
    let old = [("ROOFLINT_EMULATOR", "old-driver"), ("LD_LIBRARY_PATH", old.as_str())];
    let small: String = SMALL.split_whitespace().collect::<Vec<_>>().join(" ");
    let Some((code, text, folder)) = emulated(&small, &old) else { return };
    assert_eq!(code, 0, "{text}");
    let run = rooflint::store::load(&folder.path().join("here")).unwrap().run;
    assert!(run.header.devices[0].driver.as_deref().unwrap().contains("12.0"), "{:?}", run.header.devices[0]);
}

#[test]
fn all_devices_of_a_node_are_measured() {
    let all = "run --device cuda:all --bench launch --axis wait=after_all --axis threads=1 --axis submit=stream --budget 4s --out here";
    let Some((code, text, folder)) = emulated(all, &[("ROOFLINT_EMULATOR", "two")]) else { return };
    assert_eq!(code, 0, "{text}");
    let run = rooflint::store::load(&folder.path().join("here")).unwrap().run;
    assert_eq!(run.header.devices.len(), 2);
    assert_ne!(run.header.devices[0].identity, run.header.devices[1].identity);
    assert_eq!(run.records.iter().map(|record| record.device).collect::<Vec<_>>(), [0, 1]);
}

#[test]
fn devices_of_a_node_are_measured_under_sustained_load_and_all_at_once() {
    let all = "run --device cuda:all --bench memory --axis kernel=read --budget 90s --out here";
    let Some((code, text, folder)) = emulated(all, &[("ROOFLINT_EMULATOR", "two")]) else { return };
    assert_eq!(code, 0, "{text}");
    let run = rooflint::store::load(&folder.path().join("here")).unwrap().run;
    assert!(run.records.iter().all(|record| record.outcome.measurement().is_some()), "{text}");
    let loads: Vec<_> = run.records.iter().map(|record| (Load::of(&record.case), record.device)).collect();
    let sustained: Vec<_> = loads.iter().filter(|(load, _)| *load == Load::Sustained).map(|(_, at)| *at).collect();
    assert_eq!(sustained, [0, 1], "{loads:?}");
    assert_eq!(loads[loads.len() - 2..], [(Load::Together, 0), (Load::Together, 1)], "{loads:?}");
    // Energy is counted over whole sustained windows alone: here at the power that the emulated card says it draws.
    for record in &run.records {
        let measured = record.outcome.measurement().unwrap();
        let energy = measured.conditions.get("energy");
        assert_eq!(energy.is_some(), Load::of(&record.case) != Load::Burst, "{energy:?}");
        let power = measured.samples[0].power_w.unwrap().get();
        let Some(energy) = energy else { continue };
        let (joules, seconds) = energy.strip_suffix(" s").and_then(|energy| energy.split_once(" J in ")).unwrap();
        let (joules, seconds): (f64, f64) = (joules.parse().unwrap(), seconds.parse().unwrap());
        assert!(seconds > 0.0 && (joules / seconds / power - 1.0).abs() < 0.1, "{energy} at {power} W");
    }
}

#[test]
fn health_of_an_emulated_card_is_not_comparable() {
    let Some((code, text, _)) = emulated("health", &[]) else { return };
    assert_eq!(code, 3, "{text}");
    assert!(text.contains("Not comparable") && text.contains("no hardware"), "{text}");
    let Some((code, text, _)) = emulated("health --json", &[("ROOFLINT_EMULATOR_FAULT", "nvml_not_permitted")]) else {
        return;
    };
    assert_eq!(code, 3, "{text}");
    assert!(text.contains("not permitted"), "{text}");
}

/// A folder from which the emulator takes kernels, each made from the product's own.
fn broken(kernel: &str, entries: &[&str], change: fn(&str) -> String) -> tempfile::TempDir {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("kernels/ptx/{kernel}.ptx"));
    let text = std::fs::read_to_string(path).unwrap();
    let changed = change(&text);
    assert_ne!(text, changed);
    let folder = tempfile::tempdir().unwrap();
    for entry in entries {
        std::fs::write(folder.path().join(format!("{entry}.ptx")), &changed).unwrap();
    }
    folder
}

const COPY: &str = "run --device cuda:0 --bench memory --axis kernel=copy --axis size=64KiB --budget 60s --out here";

#[test]
fn a_run_finds_out_a_broken_kernel() {
    // The last word of each pack is stored twice.
    let twice = |text: &str| text.replace("%r13, %r14, %r15, %r16}", "%r13, %r14, %r16, %r16}");
    let folder = broken("memory_copy", &["memory_copy_u8", "memory_copy_u12"], twice);
    let environment = [("ROOFLINT_EMULATOR_PTX", folder.path().to_str().unwrap())];
    let Some((code, text, run)) = emulated(COPY, &environment) else { return };
    assert_ne!(code, 0, "{text}");
    let outcomes = outcomes(&run);
    assert!(matches!(outcomes.as_slice(), [rooflint::record::Outcome::Wrong(_)]), "{outcomes:?}");
}

#[test]
fn a_latch_that_does_not_hold_is_told() {
    // Its first look at the gate finds it open.
    let open = |text: &str| text.replace("setp.ne.s32 \t%p2, %r5, 0;", "setp.ne.s32 \t%p2, %r5, 1;");
    let folder = broken("latch", &["latch"], open);
    let environment = [("ROOFLINT_EMULATOR_PTX", folder.path().to_str().unwrap())];
    let Some((code, text, run)) = emulated(COPY, &environment) else { return };
    assert_eq!(code, 0, "{text}");
    let outcomes = outcomes(&run);
    let measured = outcomes[0].measurement().unwrap();
    assert!(measured.conditions["submission"].contains("did not hold"), "{:?}", measured.conditions);
}
