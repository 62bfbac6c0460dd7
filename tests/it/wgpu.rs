//! The wgpu backend: the conformance list, every variant of every kernel, and the program run on an adapter.
//! Software adapters count. Where there is none the tests say so and end; `ROOFLINT_REQUIRE=wgpu` makes that a
//! failure.

use rooflint::device::{
    self, Arg, Device, DeviceError, MatmulDesc, Pattern, Place, Probe, Program, Provider, Slot, Step, Submit,
};
use rooflint::record::{AxisValue, Case, DeviceInfo, DeviceKind, Precision};
use rooflint::suite::{self, Profile, Request};
use rooflint::units::{ByteCount, Seconds};

use crate::conformance::{self, once, words};
use crate::cpu::packed_step;
use crate::cpu_matmul::{Operands, desc as product};
use crate::suite::{Held, assert_wrong, every_way_is_right, held, outputs_of};

/// The adapters here; none is a failure where wgpu is required.
fn adapters() -> Vec<DeviceInfo> {
    let (backend, _) = device::select("wgpu").unwrap();
    match (backend.probe)() {
        Probe::Present(found) => found,
        Probe::Absent { reason } => {
            let required = std::env::var("ROOFLINT_REQUIRE").unwrap_or_default();
            assert!(!required.split(',').any(|id| id == "wgpu"), "wgpu is required and absent: {reason}");
            println!("left out, wgpu is absent: {reason}");
            Vec::new()
        }
    }
}

fn open(info: &DeviceInfo) -> Box<dyn Device> {
    let (backend, rest) = device::select(&info.selector).unwrap();
    (backend.open)(rest).unwrap()
}

#[test]
fn conforms() {
    for info in adapters() {
        conformance::run(open(&info).as_mut());
    }
}

#[test]
fn is_described_without_being_opened() {
    for (number, info) in adapters().iter().enumerate() {
        let (backend, rest) = device::select(&info.selector).unwrap();
        assert_eq!((backend.id, rest, backend.hidden), ("wgpu", number.to_string().as_str(), false));
        assert_eq!(&(backend.describe)(rest).unwrap(), info);
        assert_eq!(open(info).info(), info);
        assert!(info.features.is_sorted() && info.features.iter().any(|feature| feature == "f32"));
        let software = ["llvmpipe", "lavapipe"].iter().any(|name| info.name.contains(name));
        assert!(!software || info.kind == DeviceKind::Software, "{info:?}");
    }
}

#[test]
fn an_adapter_that_is_not_there_is_named_in_the_error() {
    let (backend, _) = device::select("wgpu").unwrap();
    for selector in ["99", "-1", "x"] {
        let (opened, described) = ((backend.open)(selector).err().unwrap(), (backend.describe)(selector).unwrap_err());
        assert_eq!(opened, described);
        let known = adapters();
        let told = if known.is_empty() { "install" } else { selector };
        assert!(opened.to_string().contains(told) || cfg!(target_os = "macos"), "{opened}");
    }
}

#[test]
fn software_is_used_only_when_asked_for() {
    let found = adapters();
    let (backend, rest) = device::select("wgpu").unwrap();
    match found.iter().find(|info| info.kind == DeviceKind::Hardware) {
        Some(info) => assert_eq!(&(backend.describe)(rest).unwrap(), info),
        None => {
            let error = (backend.describe)(rest).unwrap_err().to_string();
            assert!(found.iter().all(|info| error.contains(&info.selector)), "{error}");
        }
    }
}

#[test]
fn the_clock_is_named_and_agrees_with_the_hosts() {
    for info in adapters() {
        let wgpu = open(&info);
        let timer = wgpu.timer();
        match timer.clock.as_str() {
            "wgpu_timestamp" => assert!((timer.agreement.unwrap().get() - 1.0).abs() <= 0.02, "{timer:?}"),
            "host" => {
                assert_eq!(timer.agreement, None);
                let note = &wgpu.conditions()["clock"];
                assert!(note.contains("host"), "{note}");
                // A busy host spoils the comparison by some percent. Nothing at all is a fault of ours.
                assert!(!note.contains("give 0.000") && !note.contains("NaN"), "{note}");
            }
            other => panic!("unknown clock {other}"),
        }
        assert!(timer.overhead_s > Seconds::ZERO);
        assert!(wgpu.conditions()["shader_checks"].starts_with("off"));
    }
}

fn case(benchmark: &str, axes: &[(&'static str, AxisValue)]) -> Case {
    Case::new(benchmark, axes.iter().cloned(), 42)
}

/// A case of numbers, and a word where it has one.
fn sweep(benchmark: &str, counts: &[(&'static str, u64)], word: Option<(&'static str, &str)>) -> Case {
    let counts = counts.iter().map(|(name, count)| (*name, AxisValue::Count(*count)));
    let word = word.map(|(name, word)| (name, AxisValue::from(word)));
    Case::new(benchmark, counts.chain(word), 42)
}

#[test]
fn every_way_to_run_every_kernel_is_right_at_awkward_sizes() {
    for info in adapters() {
        let mut wgpu = open(&info);
        let mut cases = Vec::new();
        for kernel in ["read", "write", "copy", "triad"] {
            for words in [1_u64, 2, 7, 16, 17, 63, 64, 100, 255, 256, 1000, 4099, 65_537, 300_017] {
                cases.push(case("memory", &[("kernel", kernel.into()), ("size", (words * 4).into())]));
            }
        }
        for precision in
            ["f64", "f32", "f16", "i32", "i8"].into_iter().filter(|name| info.features.iter().any(|has| has == name))
        {
            for threads in [1_u64, 3] {
                cases.push(case("fma", &[("precision", precision.into()), ("threads", threads.into())]));
            }
        }
        let shapes = [
            [1_u64, 1, 1],
            [1, 5, 3],
            [3, 1, 7],
            [1, 100, 50],
            [100, 1, 50],
            [8, 64, 40],
            [17, 19, 23],
            [64, 48, 80],
            [129, 257, 65],
            [200, 130, 33],
        ];
        for sides in shapes {
            let [m, n, k] = [("m", 0), ("n", 1), ("k", 2)].map(|(name, side)| (name, AxisValue::Count(sides[side])));
            cases.push(case("matmul", &[m.clone(), n.clone(), k.clone(), ("precision", "f32".into())]));
            // Two 16-bit numbers share a word: an even number of columns.
            for precision in ["f16", "bf16"].into_iter().filter(|_| sides[1].is_multiple_of(2)) {
                cases.push(case("matmul", &[m.clone(), n.clone(), k.clone(), ("precision", precision.into())]));
            }
        }
        for wait in ["after_all", "after_each"] {
            cases.push(case("launch", &[("threads", 1_u64.into()), ("wait", wait.into())]));
        }
        for slice in ["private", "shared"] {
            for (words, units) in [(16_u64, 1), (100, 1), (4099, 3), (65_536, 8), (300_017, 7)] {
                cases.push(sweep("cache", &[("size", 4 * words), ("threads", units)], Some(("slice", slice))));
            }
        }
        for (size, stride, chains) in [(64_u64, 64_u64, 1_u64), (16 << 10, 64, 3), (1 << 20, 4096, 8)] {
            cases.push(sweep("latency", &[("size", size), ("stride", stride), ("chains", chains)], None));
        }
        for fmas in [1_u64, 2, 4, 8, 24, 64, 256, 16_384] {
            for words in [1_u64, 17, 4099, 70_000] {
                cases.push(sweep("intensity", &[("fmas", fmas), ("size", 4 * words)], None));
            }
        }
        // Its one queue copies one thing at a time, and to no other device.
        for route in &suite::find("transfer").unwrap().meta().axes[0].words[..5] {
            for words in [1_u64, 4099, 300_017] {
                cases.push(sweep("transfer", &[("size", 4 * words)], Some(("route", route))));
            }
        }
        every_way_is_right(wgpu.as_mut(), &cases);
    }
}

/// The other formats' checks are sabotaged on the CPU, which has no binary16.
#[test]
fn the_check_of_halves_rejects_every_sabotage() {
    let has_halves = |info: &&DeviceInfo| info.features.iter().any(|feature| feature == "f16");
    for info in adapters().iter().filter(has_halves) {
        let mut wgpu = open(info);
        let case = case("fma", &[("precision", "f16".into()), ("threads", 1_u64.into())]);
        let (right, _) = outputs_of(wgpu.as_mut(), &case, 0, 1);
        let bytes = right.0[0].len();
        assert_eq!(bytes, 12_288 * 2);
        for element in (0..bytes / 2).step_by(97).chain([bytes / 2 - 1]) {
            let mut spoiled = right.clone();
            spoiled.0[0][2 * element] ^= 1;
            assert_wrong(&case, &spoiled, "one bit off");
            spoiled.0[0][2 * element..][..2].copy_from_slice(&0x7e00_u16.to_le_bytes());
            assert_wrong(&case, &spoiled, "NaN");
        }
        assert_wrong(&case, &Held(vec![vec![0; bytes]]), "all zero");
        assert_wrong(&case, &Held(vec![Pattern::Poison.word(0).to_le_bytes().repeat(bytes / 4)]), "poison");
        let mut program = suite::find("fma").unwrap().prepare(&case, wgpu.as_mut()).unwrap();
        if let Step::Launch { args, .. } = &mut program.steps[0] {
            for arg in args.iter_mut().filter(|arg| **arg == Arg::U64(2048)) {
                *arg = Arg::U64(2028);
            }
        }
        wgpu.record(&program).unwrap();
        assert_wrong(&case, &held(wgpu.as_mut(), &program.outputs, bytes), "1 % of the iterations missing");
    }
}

/// Larger than a binding may be on the software driver, and no whole number of bindings.
#[test]
fn buffers_larger_than_a_binding_are_worked_on_whole() {
    for info in adapters().iter().filter(|info| info.kind == DeviceKind::Software) {
        let mut wgpu = open(info);
        let cases = ["read", "write", "copy", "triad"]
            .map(|kernel| case("memory", &[("kernel", kernel.into()), ("size", ((130_u64 << 20) + 4).into())]));
        every_way_is_right(wgpu.as_mut(), &cases);
        every_way_is_right(
            wgpu.as_mut(),
            &[
                sweep("cache", &[("size", (130 << 20) + 64), ("threads", 8)], Some(("slice", "private"))),
                sweep("intensity", &[("fmas", 8), ("size", (130 << 20) + 4)], None),
            ],
        );
    }
}

#[test]
fn matrices_are_multiplied_whichever_way_b_is_stored() {
    for info in adapters() {
        let mut wgpu = open(&info);
        let shapes = [[1, 9, 5], [6, 70, 64], [17, 33, 19], [130, 129, 7], [1, 40, 33], [9, 514, 21], [200, 130, 67]];
        for format in [Precision::F32, Precision::F16, Precision::Bf16] {
            for desc in shapes.map(|shape| MatmulDesc { provider: Provider::Own, ..product(shape, format, true) }) {
                for b_transposed in [false, true] {
                    multiplies_by_every_plan(wgpu.as_mut(), &MatmulDesc { b_transposed, ..desc });
                }
            }
        }
    }
}

fn multiplies_by_every_plan(wgpu: &mut dyn Device, desc: &MatmulDesc) {
    let mark = wgpu.mark();
    let operands = Operands::new(wgpu, desc);
    let step = Step::Matmul { desc: *desc, plan: String::new(), a: Slot(0), b: Slot(1), c: Slot(2) };
    let options = wgpu.options(&step).unwrap();
    // Two 16-bit numbers share a word of c, and no two rows do.
    if desc.a.size() == 2 && desc.n % 2 == 1 {
        assert!(options.is_empty(), "{desc:?}");
        let refused = operands.compare(wgpu, desc, "").unwrap_err();
        assert!(matches!(&refused, DeviceError::Unsupported(why) if why.contains("even")), "{refused}");
    } else {
        assert!(!options.is_empty(), "{desc:?}");
    }
    for option in options {
        operands.compare(wgpu, desc, option.variant()).unwrap();
    }
    wgpu.release(mark).unwrap();
}

/// 16-bit sums are rounded once: where all k's do not fit one dispatch, there is no product.
#[test]
fn sums_of_16_bit_numbers_are_never_rounded_between_parts() {
    for info in adapters() {
        let mut wgpu = open(&info);
        let desc = MatmulDesc { provider: Provider::Own, ..product([1, 2, 40_000], Precision::Bf16, false) };
        let operands = Operands::new(wgpu.as_mut(), &desc);
        let refused = operands.compare(wgpu.as_mut(), &desc, "").unwrap_err();
        assert!(matches!(&refused, DeviceError::Unsupported(why) if why.contains("parts")), "{refused}");
    }
}

/// Mesa's software driver ends every loop after 65 535 turns without a word; ours are cut below that.
#[test]
fn long_loops_are_not_cut_short() {
    for info in adapters() {
        let mut wgpu = open(&info);
        let deep = [("m", 1_u64), ("n", 3), ("k", 200_000)].map(|(name, side)| (name, AxisValue::Count(side)));
        let [m, n, k] = deep;
        every_way_is_right(wgpu.as_mut(), &[case("matmul", &[m, n, k, ("precision", "f32".into())])]);
        let out = wgpu.alloc(ByteCount(4096), Place::Device).unwrap();
        const STEPS: u64 = 200_003;
        let args = vec![
            Arg::Buffer(Slot(0)),
            Arg::U32(2),
            Arg::U64(1000),
            Arg::U64(STEPS),
            Arg::F64(1_664_525.0),
            Arg::F64(1_013_904_223.0),
        ];
        let expected = (0..STEPS).fold(0_u32, |x, _| x.wrapping_mul(1_664_525).wrapping_add(1_013_904_223));
        for option in wgpu.options(&Step::launch("fma", args)).unwrap() {
            wgpu.fill(out, Pattern::Poison).unwrap();
            let (steps, bindings) = (vec![option], vec![vec![out]]);
            wgpu.record(&Program { steps, bindings, outputs: vec![out], submit: Submit::Stream }).unwrap();
            let found = words(wgpu.as_mut(), out, 1024);
            assert_eq!(found[0], expected);
            assert!(found[1000..].iter().all(|word| *word == Pattern::Poison.word(0)), "wrote past its lanes");
        }
    }
}

#[test]
fn packed_bytes_are_multiplied_pair_by_pair() {
    for info in adapters() {
        let mut wgpu = open(&info);
        let out = wgpu.alloc(ByteCount(4096), Place::Device).unwrap();
        const FACTOR: u32 = 0x7f03_4d21;
        let factor = Arg::F64(f64::from(FACTOR));
        let args = vec![Arg::Buffer(Slot(0)), Arg::U32(4), Arg::U64(1000), Arg::U64(37), factor, Arg::F64(0.0)];
        for option in wgpu.options(&Step::launch("fma", args)).unwrap() {
            wgpu.fill(out, Pattern::Poison).unwrap();
            let (steps, bindings) = (vec![option], vec![vec![out]]);
            wgpu.record(&Program { steps, bindings, outputs: vec![out], submit: Submit::Stream }).unwrap();
            let found = words(wgpu.as_mut(), out, 1024);
            for lane in 0..1000_u32 {
                let expected = (0..37).fold(lane.wrapping_mul(0x9e37_79b1), |x, _| packed_step(x, FACTOR));
                assert_eq!(found[lane as usize], expected, "lane {lane}");
            }
        }
    }
}

#[test]
fn what_the_device_cannot_do_is_skipped_with_its_reason() {
    for info in adapters() {
        let mut wgpu = open(&info);
        let request = Request { profile: Profile::Quick, axes: Default::default(), shapes: Vec::new(), seed: 1 };
        for case in suite::find("fma").unwrap().cases(&info, &request) {
            let precision = case.word("precision").unwrap().to_owned();
            let mark = wgpu.mark();
            match suite::find("fma").unwrap().prepare(&case, wgpu.as_mut()) {
                Ok(_) => assert!(info.features.contains(&precision)),
                Err(stop) => assert!(!info.features.contains(&precision) && stop.to_string().contains(&precision)),
            }
            wgpu.release(mark).unwrap();
        }
    }
}

#[test]
fn host_memory_is_held_but_not_lent_to_kernels() {
    for info in adapters() {
        let mut wgpu = open(&info);
        for place in [Place::HostPinned, Place::HostPageable] {
            let buffer = wgpu.alloc(ByteCount(4096), place).unwrap();
            let steps = vec![Step::launch("memory_write", vec![Arg::Buffer(Slot(0)), Arg::U64(8), Arg::U32(0)])];
            let program = Program { steps, bindings: vec![vec![buffer]], outputs: Vec::new(), submit: Submit::Stream };
            assert!(matches!(wgpu.record(&program), Err(DeviceError::Unsupported(_))));
        }
    }
}

#[test]
fn bytes_are_written_and_read_at_any_offset() {
    for info in adapters() {
        let mut wgpu = open(&info);
        let buffer = wgpu.alloc(ByteCount((9 << 20) + 3), Place::Device).unwrap();
        wgpu.fill(buffer, Pattern::Zeros).unwrap();
        // Over the borders of words, and of the blocks that are read at a time.
        for (at, count) in [(1_u64, 1_usize), (5, 6), ((4 << 20) - 3, 9), ((8 << 20) - 1, 2), (9 << 20, 3)] {
            let bytes: Vec<u8> = (1..=count as u8).collect();
            wgpu.write(buffer, ByteCount(at), &bytes).unwrap();
            let mut back = vec![0xff; count + 2];
            let whole = at + (count as u64) < (9 << 20) + 3;
            let last = if whole { count + 2 } else { count + 1 };
            wgpu.read(buffer, ByteCount(at - 1), &mut back[..last]).unwrap();
            assert_eq!(back[1..=count], bytes, "at {at}");
            assert!(back[0] == 0 && (!whole || back[count + 1] == 0), "at {at}: {back:?}");
        }
    }
}

#[test]
fn a_device_can_be_dropped_and_opened_again() {
    for info in adapters() {
        for _ in 0..3 {
            let mut wgpu = open(&info);
            let buffer = wgpu.alloc(ByteCount(400), Place::Device).unwrap();
            wgpu.fill(buffer, Pattern::Zeros).unwrap();
            let steps = vec![Step::launch("memory_write", vec![Arg::Buffer(Slot(0)), Arg::U64(100), Arg::U32(1)])];
            let program =
                Program { steps, bindings: vec![vec![buffer]], outputs: vec![buffer], submit: Submit::Stream };
            let recorded = wgpu.record(&program).unwrap();
            wgpu.run(recorded, &once(2)).unwrap();
            assert_eq!(words(wgpu.as_mut(), buffer, 1), [1]);
        }
    }
}

/// The program itself: worker process, checks, run file and report.
#[test]
fn runs_through_the_command_line() {
    for info in adapters() {
        let folder = tempfile::tempdir().unwrap();
        let out = folder.path().join("run");
        let mut command = assert_cmd::Command::cargo_bin("rooflint").unwrap();
        let axes = [
            "kernel=copy",
            "size=1MiB",
            "m=2",
            "n=64",
            "k=64",
            "precision=f32",
            "wait=after_all",
            "slice=private",
            "stride=64",
            "fmas=8",
            "route=pinned_to_device",
        ];
        command.args(["run", "--device", &info.selector, "--out"]).arg(&out);
        for axis in axes {
            command.args(["--axis", axis]);
        }
        let done = command.env("XDG_RUNTIME_DIR", folder.path()).output().unwrap();
        let said = String::from_utf8_lossy(&done.stderr);
        assert_eq!(done.status.code(), Some(0), "{said}");
        let run = rooflint::store::load(&out).unwrap().run;
        assert_eq!(run.header.devices[0].kind, info.kind);
        for record in &run.records {
            assert!(record.outcome.measurement().is_some(), "{}: {:?}", record.case.key(), record.outcome);
        }
        let benchmarks: std::collections::BTreeSet<_> =
            run.records.iter().map(|record| record.case.benchmark.as_str()).collect();
        // Matrix units are not reached through wgpu.
        assert!(!benchmarks.contains("mma") && benchmarks.len() == suite::ALL.len() - 1, "{benchmarks:?}");
    }
}
