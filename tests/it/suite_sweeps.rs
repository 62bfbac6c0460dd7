//! The benchmarks that sweep: what their cases are, that work left out is noticed, and the user's own shapes.

use rooflint::device::{self, Arg, BufferId, Device, Step};
use rooflint::record::{Case, DeviceInfo, DeviceKind};
use rooflint::suite::{self, Profile, Request, Stop};
use rooflint::units::ByteCount;

use crate::conformance::{once, words};
use crate::cpu::open;
use crate::suite::{Held, assert_wrong, cache, find, held, intensity, latency, output_bytes, request};

/// Runs a case with one of its kernel's arguments changed, and gives what it leaves.
fn outputs_with(device: &mut dyn Device, case: &Case, from: Arg, to: Arg) -> Held {
    let mut program = find(&case.benchmark).prepare(case, device).unwrap();
    let Step::Launch { args, .. } = &mut program.steps[0] else { panic!("{} launches nothing", case.key()) };
    let place = args.iter().position(|arg| *arg == from).unwrap_or_else(|| panic!("{from:?} in {args:?}"));
    args[place] = to;
    device.record(&program).unwrap();
    held(device, &program.outputs, output_bytes(case))
}

/// Work left out must not pass: its rate would be claimed for work not done.
#[test]
fn passes_accesses_and_steps_left_out_are_noticed() {
    let mut cpu = open();
    let rows = [
        (cache(16 << 10, "private", 1), Arg::U64(1024), Arg::U64(1023)),
        (cache(16 << 10, "private", 1), Arg::U64(1024), Arg::U64(1)),
        (cache(16 << 10, "private", 1), Arg::U64(4096), Arg::U64(4095)),
        (latency(1 << 20, 64, 1), Arg::U64(16_384), Arg::U64(16_383)),
        (latency(1 << 20, 64, 1), Arg::U64(16_384), Arg::U64(0)),
        (intensity(8192, 1 << 16), Arg::U32(1024), Arg::U32(1014)),
        (intensity(8192, 1 << 16), Arg::U32(1024), Arg::U32(1023)),
        (intensity(2, 1 << 16), Arg::U32(4), Arg::U32(8)),
        (intensity(8, 1 << 16), Arg::U64(1 << 14), Arg::U64((1 << 14) - 1)),
    ];
    for (case, from, to) in rows {
        let right = outputs_with(cpu.as_mut(), &case, from, from);
        find(&case.benchmark).check(&case, &mut right.clone()).unwrap();
        let spoiled = outputs_with(cpu.as_mut(), &case, from, to);
        assert_wrong(&case, &spoiled, &format!("{to:?} instead of {from:?}"));
    }
}

/// Followed from any place, the cycle comes back after as many steps as it has places, and not before; its
/// repeats follow one another through all of it.
#[test]
fn a_chase_goes_through_every_place_once() {
    let mut cpu = open();
    for (size, stride, chains) in [(16 << 10, 64, 1), (1 << 20, 4096, 1), (5 << 20, 64, 1), (100_032, 192, 1)] {
        let case = latency(size, stride, chains);
        let program = find("latency").prepare(&case, cpu.as_mut()).unwrap();
        let cycle = words(cpu.as_mut(), program.bindings[0][0], size as usize / 4);
        let places = size / stride;
        let start = |row: &Vec<BufferId>, cpu: &mut dyn Device| words(cpu, row[1], 1)[0];
        let mut at = start(&program.bindings[0], cpu.as_mut());
        let first = at;
        let steps = find("latency").work(&case).accesses;
        let mut seen = std::collections::BTreeSet::new();
        for step in 0..places {
            if step % steps == 0 {
                let row = &program.bindings[(step / steps) as usize];
                assert_eq!(at, start(row, cpu.as_mut()), "a repeat begins where the one before ended");
            }
            assert!(at % 64 == 0 && seen.insert(u64::from(at) / stride), "{} came to {at} twice", case.key());
            at = cycle[at as usize / 4];
        }
        assert_eq!((at, seen.len() as u64), (first, places), "{}", case.key());
        assert_eq!(program.bindings.len() as u64, places.div_ceil(steps));
    }
}

#[test]
fn staircases_stay_off_powers_of_two_and_hold_every_cache() {
    let info = open().info().clone();
    for (id, unit) in [("cache", u64::from(info.compute_units) * 8192), ("latency", 16 << 10)] {
        let cases = find(id).cases(&info, &request(Profile::Standard, &[]));
        let first = cases[0].clone();
        let same = |case: &&Case| ["slice", "stride"].iter().all(|axis| case.axes.get(*axis) == first.axes.get(*axis));
        let sizes: Vec<u64> = cases.iter().filter(same).map(|case| case.count("size").unwrap()).collect();
        assert!(sizes.is_sorted() && sizes.len() >= 12, "{id}: {sizes:?}");
        assert!(sizes.iter().all(|size| !size.is_power_of_two()), "{id}: {sizes:?}");
        let last = info.last_cache().map_or(32 << 20, |cache| cache.0);
        assert!(sizes[0] < 2 * unit && sizes[sizes.len() - 1] >= 4 * last, "{id}: {sizes:?}");
        let steps = sizes.windows(2).map(|pair| pair[1] as f64 / pair[0] as f64);
        assert!(steps.into_iter().all(|step| (1.3..2.2).contains(&step)), "{id}: {sizes:?}");
    }
}

#[test]
fn intensities_reach_from_a_sixteenth_to_a_thousand() {
    let cases = find("intensity").cases(open().info(), &request(Profile::Standard, &[]));
    let intensities: Vec<f64> =
        cases.iter().map(|case| find("intensity").work(case).intensity().unwrap().get()).collect();
    assert!(intensities.len() >= 20 && intensities.is_sorted(), "{intensities:?}");
    assert!((intensities[0] / (1.0 / 16.0) - 1.0).abs() < 1e-3, "{intensities:?}");
    // What is written counts too, and shows where little is read.
    assert!((intensities[intensities.len() - 1] / 1024.0 - 1.0).abs() < 1e-2, "{intensities:?}");
    let mut cpu = open();
    for fmas in [3, 5, 12] {
        let case = intensity(fmas, 4096);
        assert!(matches!(find("intensity").prepare(&case, cpu.as_mut()), Err(Stop::Skip(_))), "{fmas}");
    }
}

#[test]
fn a_users_shapes_replace_the_profiles() {
    let text = "m,n,k,precision\n# decode\n\n1,4096,4096\n 8 , 64,32 , f64 # warm\r\n1048576,1,1,f32\n";
    let shapes = suite::shapes::parse(text).unwrap();
    let request = Request { shapes, ..request(Profile::Standard, &[]) };
    let cases = find("matmul").cases(open().info(), &request);
    let keys: Vec<String> = cases.iter().map(Case::key).collect();
    assert_eq!(
        keys,
        [
            "matmul data=random k=4096 m=1 n=4096 precision=f32",
            "matmul data=random k=32 m=8 n=64 precision=f64",
            "matmul data=random k=1 m=1048576 n=1 precision=f32"
        ]
    );
    // An axis of precisions is for those that name none.
    let request = Request { axes: [("precision".to_owned(), vec!["f64".into()])].into(), ..request };
    let precisions = find("matmul").cases(open().info(), &request);
    let precisions: Vec<_> = precisions.iter().map(|case| case.word("precision").unwrap()).collect();
    assert_eq!(precisions, ["f64", "f64", "f32"]);
}

#[test]
fn junk_among_shapes_is_named_with_its_line() {
    let rows = [
        ("", 1, "no shape"),
        ("# nothing\n\n", 1, "no shape"),
        ("1,2,3\n4,5\n", 2, "has 2"),
        ("1,2,3,f32,x", 1, "has 5"),
        ("1,2,3\n\n0,2,3", 3, "'0'"),
        ("1,2,-3", 1, "'-3'"),
        ("1,2,1048577", 1, "to 1048576"),
        ("1,2,99999999999999999999999", 1, "'9999"),
        ("1,2,3,f99", 1, "'f99'"),
        ("1,2,3,i32", 1, "known: f64, f32, tf32, f16, bf16, fp8_e4m3, i8"),
        ("1 2 3", 1, "has 1"),
        ("1,2,3\nm,n,k", 2, "'m'"),
        ("\u{1b}[31m,2,3", 1, "'?[31m'"),
        ("\u{fffd}\u{0},2,3", 1, "'\u{fffd}?'"),
    ];
    for (text, line, what) in rows {
        let error = suite::shapes::parse(text).unwrap_err();
        assert!(error.line == line && error.what.contains(what), "{text:?}: {error}");
        assert!(error.to_string().contains("8,4096,4096,f32"), "{error}");
    }
}

/// On the fake, whose places are real buffers of the CPU's.
#[test]
fn every_route_is_copied_checked_and_counted() {
    let (backend, script) = device::select("fake").unwrap();
    let mut fake = (backend.open)(script).unwrap();
    let cases = find("transfer").cases(fake.info(), &request(Profile::Full, &[("size", vec![4099.into()])]));
    assert_eq!(cases.len(), 5);
    for case in cases {
        let within = case.word("route") == Some("device_to_device");
        let work = find("transfer").work(&case);
        assert_eq!((work.bytes_read_b.0, work.bytes_written_b.0), (4096, if within { 4096 } else { 0 }));
        let program = find("transfer").prepare(&case, fake.as_mut()).unwrap();
        let before = held(fake.as_mut(), &program.outputs, 4096);
        assert_wrong(&case, &before, "nothing copied");
        let recorded = fake.record(&program).unwrap();
        fake.run(recorded, &once(1)).unwrap();
        let right = held(fake.as_mut(), &program.outputs, 4096);
        find("transfer").check(&case, &mut right.clone()).unwrap();
        for byte in [0, 2048, 4095] {
            let mut spoiled = right.clone();
            spoiled.0[0][byte] ^= 1;
            assert_wrong(&case, &spoiled, "one bit off");
        }
        let stale = Case { seed: 43, ..case.clone() };
        assert_wrong(&stale, &right, "other data");
    }
}

/// A device that says it has these features too.
fn with(info: &DeviceInfo, features: &[&str]) -> DeviceInfo {
    let features = features.iter().map(|name| (*name).to_owned());
    DeviceInfo { features: info.features.iter().cloned().chain(features).collect(), ..info.clone() }
}

#[test]
fn transfers_both_ways_and_to_peers_are_asked_of_devices_that_can() {
    let (backend, script) = device::select("fake").unwrap();
    let fake = (backend.open)(script).unwrap();
    let transfer = find("transfer");
    let routes = |info: &DeviceInfo, profile| -> Vec<String> {
        let cases = transfer.cases(info, &request(profile, &[]));
        let text = |case: &Case| {
            let at = case.count("size").unwrap() >> 20;
            format!("{} {at} {:?} {:?}", case.word("route").unwrap(), case.count("peer"), case.word("access"))
        };
        cases.iter().map(text).filter(|text| text.starts_with("both") || text.contains("peer")).collect()
    };
    let able = with(fake.info(), &["copies_both_ways", "peer_0", "peer_2", "peer_access_2"]);
    for (profile, _) in Profile::ALL {
        assert!(routes(fake.info(), profile).is_empty(), "one device, one engine");
    }
    assert!(routes(&able, Profile::Quick).is_empty());
    let expected = [
        "both_directions 0 None None",
        "both_directions 16 None None",
        "both_directions 256 None None",
        "device_to_peer 256 Some(0) Some(\"on\")",
        "device_to_peer 256 Some(0) Some(\"off\")",
        "device_to_peer 256 Some(2) Some(\"on\")",
        "device_to_peer 256 Some(2) Some(\"off\")",
    ];
    assert_eq!(routes(&able, Profile::Standard), expected);
    assert_eq!(routes(&able, Profile::Full).len(), 4 + 4 * 2 * 2);
    // What the user says of peers is of no other route.
    let axes = [("peer", vec![2.into()]), ("access", vec!["off".into()]), ("size", vec![4096.into()])];
    let cases = transfer.cases(&able, &request(Profile::Standard, &axes));
    let peers: Vec<_> = cases.iter().filter(|case| case.count("peer").is_some()).map(Case::key).collect();
    assert_eq!(peers, ["transfer access=off peer=2 route=device_to_peer size=4096"]);
    assert_eq!(cases.len(), 7);
}

#[test]
fn both_directions_are_checked_each_for_itself() {
    let (backend, script) = device::select("fake").unwrap();
    let mut fake = (backend.open)(script).unwrap();
    let case = Case::new("transfer", [("route", "both_directions".into()), ("size", 4096.into())], 42);
    let transfer = find("transfer");
    assert_eq!(transfer.work(&case).bytes_read_b.0, 8192);
    let skipped = [case.clone(), Case::new("transfer", [("route", "device_to_peer".into())], 1)];
    for case in skipped {
        assert!(matches!(transfer.prepare(&case, fake.as_mut()), Err(Stop::Skip(_))), "{}", case.key());
    }
    // The bytes of both patterns, as a device that copies right leaves them.
    let held = |spoil: &dyn Fn(&mut [Vec<u8>; 2])| {
        let bytes = |seed: u64| -> Vec<u8> {
            let pattern = device::Pattern::Words { seed };
            (0..1024).flat_map(|index| pattern.word(index).to_le_bytes()).collect()
        };
        let mut both = [bytes(case.seed), bytes(case.seed.wrapping_add(0x9e37_79b9_7f4a_7c15))];
        spoil(&mut both);
        Held(both.to_vec())
    };
    assert_eq!(transfer.check(&case, &mut held(&|_| ())).unwrap().compared, 2048);
    for output in 0..2 {
        for byte in [0, 2048, 4095] {
            assert_wrong(&case, &held(&|both| both[output][byte] ^= 1), "one bit off");
        }
    }
    assert_wrong(&case, &held(&|both| both.swap(0, 1)), "each in the other's place");
}

#[test]
fn a_cpu_has_nothing_to_transfer() {
    let mut cpu = open();
    for (profile, _) in Profile::ALL {
        let cases = find("transfer").cases(cpu.info(), &request(profile, &[]));
        assert_eq!(cases.len(), 1);
        match find("transfer").prepare(&cases[0], cpu.as_mut()) {
            Err(Stop::Skip(reason)) => assert!(reason.contains("the host's"), "{reason}"),
            other => panic!("{other:?}"),
        }
    }
}

/// A CPU multiplies bf16, a GPU f16; the other format is left to the full profile, and a renderer gets a taste.
#[test]
fn the_16_bit_format_that_suits_the_device_is_in_every_profile() {
    let cpu = open().info().clone();
    let mut gpu = cpu.clone();
    gpu.features.push("workgroups".to_owned());
    let software = DeviceInfo { kind: DeviceKind::Software, ..gpu.clone() };
    let of = |info: &DeviceInfo, profile: Profile, precision: &str| {
        let cases = find("matmul").cases(info, &request(profile, &[]));
        cases.iter().filter(|case| case.word("precision") == Some(precision)).count()
    };
    for (info, first, second) in [(&cpu, "bf16", "f16"), (&gpu, "f16", "bf16")] {
        assert_eq!((of(info, Profile::Quick, first), of(info, Profile::Quick, second)), (1, 0));
        assert!(of(info, Profile::Standard, first) >= 10 && of(info, Profile::Standard, second) == 0);
        assert_eq!(of(info, Profile::Full, first), of(info, Profile::Full, "f32"));
        assert_eq!(of(info, Profile::Full, second), of(info, Profile::Full, "f32"));
    }
    assert_eq!((of(&software, Profile::Quick, "f16"), of(&software, Profile::Standard, "f16")), (0, 2));
    // A precision that the user asks for is the only one.
    let asked = find("matmul").cases(&cpu, &request(Profile::Quick, &[("precision", vec!["f16".into()])]));
    assert!(asked.iter().all(|case| case.word("precision") == Some("f16")) && !asked.is_empty(), "{asked:?}");
    assert_eq!(asked.len(), of(&cpu, Profile::Quick, "f32"));
}

#[test]
fn ranges_that_a_units_own_cache_may_hold_are_gone_around_often() {
    let caches = vec![
        rooflint::record::Cache { level: 1, size_b: ByteCount::kib(256), instances: 132 },
        rooflint::record::Cache { level: 2, size_b: ByteCount::mib(50), instances: 1 },
    ];
    let features = ["long_loops", "workgroups"].map(str::to_owned).to_vec();
    let gpu =
        DeviceInfo { kind: DeviceKind::Hardware, compute_units: 132, caches, features, ..crate::support::device() };
    let bounded = DeviceInfo { features: vec!["workgroups".to_owned()], ..gpu.clone() };
    let cases = |device: &DeviceInfo| find("latency").cases(device, &request(Profile::Standard, &[]));
    for case in cases(&gpu) {
        let (size, accesses) = (case.count("size").unwrap(), case.count("accesses"));
        let places = size / case.count("stride").unwrap();
        assert_eq!(accesses.is_some(), places * 64 <= 512 << 10, "{}", case.key());
        assert!(accesses.is_none_or(|accesses| accesses >= (128 * places).max(1 << 14)), "{}", case.key());
    }
    assert!(cases(&bounded).iter().all(|case| case.count("accesses").is_none()), "loops there are short");
}
