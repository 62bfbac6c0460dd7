//! The benchmarks: what they declare, and that their checks accept the right answer and no other.

use std::collections::BTreeMap;

use rooflint::device::{BufferId, Device, DeviceError, Pattern, Program, Step};
use rooflint::record::{AxisValue, Case, DeviceInfo, Precision, Work};
use rooflint::suite::{self, Axis, Benchmark, CheckError, Outputs, Profile, Request, Stop};
use rooflint::units::{ByteCount, FlopCount};

use crate::conformance::once;
use crate::cpu::open;

pub fn find(id: &str) -> &'static dyn Benchmark {
    suite::find(id).unwrap()
}

fn case(id: &str, axes: &[(&'static str, AxisValue)]) -> Case {
    Case::new(id, axes.iter().cloned(), 42)
}

fn memory(kernel: &str, size: u64) -> Case {
    case("memory", &[("kernel", kernel.into()), ("size", size.into())])
}

fn fma(precision: &str, threads: u64) -> Case {
    case("fma", &[("precision", precision.into()), ("threads", threads.into())])
}

fn matmul([m, n, k]: [u64; 3], precision: &str) -> Case {
    case("matmul", &[("m", m.into()), ("n", n.into()), ("k", k.into()), ("precision", precision.into())])
}

fn matmul_of(shape: [u64; 3], precision: &str, data: &'static str) -> Case {
    let mut case = matmul(shape, precision);
    case.axes.insert("data".to_owned(), data.into());
    case
}

fn launch(threads: u64, wait: &str) -> Case {
    case("launch", &[("threads", threads.into()), ("wait", wait.into())])
}

pub fn cache(size: u64, slice: &str, threads: u64) -> Case {
    case("cache", &[("size", size.into()), ("slice", slice.into()), ("threads", threads.into())])
}

pub fn latency(size: u64, stride: u64, chains: u64) -> Case {
    case("latency", &[("size", size.into()), ("stride", stride.into()), ("chains", chains.into())])
}

pub fn intensity(fmas: u64, size: u64) -> Case {
    case("intensity", &[("fmas", fmas.into()), ("size", size.into())])
}

pub fn request(profile: Profile, axes: &[(&str, Vec<AxisValue>)]) -> Request {
    let axes = axes.iter().map(|(name, values)| ((*name).to_owned(), values.clone())).collect();
    Request { profile, axes, shapes: Vec::new(), seed: 42 }
}

/// Outputs held in memory, to be spoiled.
#[derive(Clone)]
pub struct Held(pub Vec<Vec<u8>>);

impl Outputs for Held {
    fn read(&mut self, index: usize, at: ByteCount, into: &mut [u8]) -> Result<(), DeviceError> {
        let bytes = self.0.get(index).and_then(|buffer| buffer.get(at.0 as usize..at.0 as usize + into.len()));
        let missing = || DeviceError::Call { call: "read", message: "past the end".to_owned() };
        into.copy_from_slice(bytes.ok_or_else(missing)?);
        Ok(())
    }
}

/// The bytes of an output that a case's check looks at.
pub fn output_bytes(case: &Case) -> usize {
    match case.benchmark.as_str() {
        "launch" => case.count("threads").unwrap() as usize * 64,
        "latency" => case.count("chains").unwrap() as usize * 64 - 56,
        "transfer" => case.count("size").unwrap() as usize / 4 * 4,
        _ => find(&case.benchmark).work(case).bytes_written_b.0 as usize,
    }
}

pub fn held(device: &mut dyn Device, outputs: &[BufferId], bytes: usize) -> Held {
    let read = |buffer: &BufferId| {
        let mut held = vec![0; bytes];
        device.read(*buffer, ByteCount::ZERO, &mut held).unwrap();
        held
    };
    Held(outputs.iter().map(read).collect())
}

/// Runs a case's program, every step by the `option`-th of its ways (the last if there are fewer), on
/// poisoned outputs.
pub fn outputs_of(device: &mut dyn Device, case: &Case, option: usize, repeats: u32) -> (Held, String) {
    let mut program = find(&case.benchmark).prepare(case, device).unwrap();
    let mut name = String::new();
    for step in &mut program.steps {
        let options = device.options(step).unwrap();
        *step = options[option.min(options.len() - 1)].clone();
        name = step.variant().to_owned();
    }
    let recorded = device.record(&program).unwrap();
    for output in &program.outputs {
        device.fill(*output, Pattern::Poison).unwrap();
    }
    device.run(recorded, &once(repeats)).unwrap();
    (held(device, &program.outputs, output_bytes(case)), name)
}

fn ways(device: &mut dyn Device, case: &Case) -> usize {
    let mark = device.mark();
    let program = find(&case.benchmark).prepare(case, device).unwrap();
    let count = program.steps.iter().map(|step| device.options(step).unwrap().len()).max().unwrap();
    device.release(mark).unwrap();
    count
}

#[test]
fn every_way_to_run_every_kernel_is_right_at_awkward_sizes() {
    let mut cpu = open();
    let all = u64::from(cpu.info().compute_units);
    let mut cases = Vec::new();
    for kernel in ["read", "write", "copy", "triad"] {
        let words =
            [1, 2, 7, 15, 16, 17, 31, 33, 63, 100, 255, 256, 257, 1000, 4095, 4096, 4099, 8191, 65_537, 300_017];
        cases.extend(words.map(|words| memory(kernel, words * 4)));
        cases.push(memory(kernel, 1 << 20));
    }
    for precision in ["f64", "f32", "i32", "i8"] {
        cases.extend([fma(precision, 1), fma(precision, all)]);
    }
    cases.extend([1, all].into_iter().filter_map(|threads| pairs(cpu.info(), threads)));
    let shapes =
        [[1, 1, 1], [1, 5, 3], [3, 1, 7], [1, 100, 50], [100, 1, 50], [17, 19, 23], [64, 48, 80], [33, 257, 65]];
    for precision in ["f64", "f32", "f16", "bf16"] {
        cases.extend(shapes.map(|shape| matmul(shape, precision)));
        cases.extend(["random", "integers", "zeros"].map(|data| matmul_of([17, 19, 23], precision, data)));
    }
    // More than one segment of signed sums, and one of other length.
    cases.extend(["f16", "bf16"].map(|precision| matmul([3, 300, 400], precision)));
    // Several strips over several blocks of k's, and more rows and columns than a block has.
    cases.extend(["f16", "bf16"].map(|precision| matmul([20, 130, 600], precision)));
    cases.extend(["f16", "bf16"].map(|precision| matmul([100, 1000, 30], precision)));
    cases.extend(["after_all", "after_each"].map(|wait| launch(all, wait)));
    for words in [16, 17, 100, 255, 256, 1000, 4099, 70_001] {
        cases.extend([1, all].map(|threads| cache(words * 4, "private", threads)));
        cases.push(cache(words * 4, "shared", all));
    }
    for (size, stride) in [(64, 64), (128, 64), (16 << 10, 64), (100_000, 192), (1 << 20, 4096), (3 << 20, 64)] {
        cases.extend([1, all].map(|chains| latency(size, stride, chains)));
    }
    for fmas in [1, 2, 4, 8, 16, 24, 40, 1024] {
        cases.extend([1, 16, 17, 129, 1000, 4099, 70_001].map(|words| intensity(fmas, words * 4)));
    }
    every_way_is_right(cpu.as_mut(), &cases);
}

/// The case of pairs of bfloat16, where this processor multiplies them.
fn pairs(info: &DeviceInfo, threads: u64) -> Option<Case> {
    let there = info.features.iter().any(|feature| feature == "avx512_bf16");
    there.then(|| fma("bf16", threads).with("sum", "f32"))
}

/// Runs every case in every way a device offers, and checks each result.
pub fn every_way_is_right(device: &mut dyn Device, cases: &[Case]) {
    for case in cases {
        let count = ways(device, case);
        assert!(count > 0, "{}: no way to run it", case.key());
        for option in 0..count {
            let mark = device.mark();
            let (mut outputs, name) = outputs_of(device, case, option, 2);
            let passed = find(&case.benchmark).check(case, &mut outputs);
            let passed = passed.unwrap_or_else(|error| panic!("{} by {name}: {error}", case.key()));
            assert!(passed.compared > 0 && passed.worst.get() <= 1.0, "{} by {name}: {passed:?}", case.key());
            device.release(mark).unwrap();
        }
    }
}

#[test]
fn a_check_of_rotated_weights_accepts_every_copy() {
    let mut cpu = open();
    for case in ["f32", "f16", "bf16"].map(|precision| matmul([8, 40, 24], precision)) {
        for repeats in 1..=4 {
            let mark = cpu.mark();
            let (mut outputs, _) = outputs_of(cpu.as_mut(), &case, 0, repeats);
            find("matmul").check(&case, &mut outputs).unwrap();
            cpu.release(mark).unwrap();
        }
    }
}

/// One case of each check there is, small enough to spoil every element.
fn sabotaged_cases(info: &DeviceInfo) -> Vec<Case> {
    let mut cases: Vec<_> = ["read", "write", "copy", "triad"].map(|kernel| memory(kernel, 4 * 4099)).to_vec();
    cases.extend(["f64", "f32", "i32", "i8"].map(|precision| fma(precision, 1)));
    cases.extend(pairs(info, 1));
    // An even number of 16-bit elements: poison and zero are whole words.
    cases.extend(["f64", "f32"].map(|precision| matmul([9, 13, 21], precision)));
    cases.extend(["f16", "bf16"].map(|precision| matmul([6, 13, 21], precision)));
    cases.push(matmul_of([9, 13, 21], "f32", "integers"));
    cases.push(matmul_of([6, 13, 21], "f16", "integers"));
    cases.push(launch(1, "after_all"));
    cases.extend([cache(4 * 4099, "private", 1), cache(4 * 4099, "shared", 1)]);
    cases.extend([latency(16 << 10, 64, 1), latency(1 << 20, 4096, 1)]);
    // Many times around the cycle, and a part of one more.
    cases.push(latency(4096, 64, 1).with("accesses", 1000));
    // An even and an odd number of steps, of all lines and of some.
    cases.extend([1, 8, 24, 64].map(|fmas| intensity(fmas, 4 * 4099)));
    cases
}

/// The format of a case's output.
fn format_of(case: &Case) -> Precision {
    match (case.benchmark.as_str(), case.word("kernel"), case.word("precision")) {
        // Four packed bytes are one lane.
        ("fma", _, Some("i8")) => Precision::I32,
        // Pairs have their sums in binary32.
        ("fma", _, Some("bf16")) => Precision::F32,
        (_, _, Some(word)) => word.parse().unwrap(),
        (_, Some("triad"), _) => Precision::F32,
        _ => Precision::I32,
    }
}

/// Bytes from one checked element to the next.
fn stride(case: &Case) -> usize {
    if case.benchmark == "launch" { 64 } else { format_of(case).size() as usize }
}

/// Changes an element by far less than its size, and by more than rounding does.
fn nudge(case: &Case, bytes: &mut [u8]) {
    let whole = if case.word("data") == Some("integers") { 1.0 } else { 0.0 };
    match format_of(case) {
        Precision::F64 => {
            let number = f64::from_le_bytes(bytes[..8].try_into().unwrap()) + 1e-8;
            bytes[..8].copy_from_slice(&number.to_le_bytes());
        }
        Precision::F32 => {
            let number = f32::from_le_bytes(bytes[..4].try_into().unwrap()) + 2e-3;
            bytes[..4].copy_from_slice(&number.to_le_bytes());
        }
        // Beyond the rounding of thirteen elements, which their signed sum allows.
        Precision::F16 => {
            let number = half::f16::from_le_bytes(bytes[..2].try_into().unwrap()).to_f32() * 1.01 + 0.1 + whole;
            bytes[..2].copy_from_slice(&half::f16::from_f32(number).to_le_bytes());
        }
        Precision::Bf16 => {
            let number = half::bf16::from_le_bytes(bytes[..2].try_into().unwrap()).to_f32() * 1.01 + 0.3 + whole;
            bytes[..2].copy_from_slice(&half::bf16::from_f32(number).to_le_bytes());
        }
        _ => bytes[0] ^= 1,
    }
}

pub fn assert_wrong(case: &Case, outputs: &Held, sabotage: &str) {
    let verdict = find(&case.benchmark).check(case, &mut outputs.clone());
    assert!(matches!(verdict, Err(CheckError::Wrong(_))), "{}: {sabotage} gave {verdict:?}", case.key());
}

#[test]
fn checks_reject_one_element_off_anywhere() {
    let mut cpu = open();
    for case in sabotaged_cases(cpu.info()) {
        let (right, _) = outputs_of(cpu.as_mut(), &case, 0, 1);
        find(&case.benchmark).check(&case, &mut right.clone()).unwrap();
        let elements = right.0[0].len() / stride(&case);
        // Every element of the small outputs; of the large ones a sample and both ends.
        let step = if elements > 2000 { 397 } else { 1 };
        for element in (0..elements).step_by(step).chain([elements - 1]) {
            let mut spoiled = right.clone();
            nudge(&case, &mut spoiled.0[0][element * stride(&case)..]);
            assert_wrong(&case, &spoiled, &format!("element {element} off"));
        }
    }
}

#[test]
fn checks_reject_nan_zero_poison_and_stale_outputs() {
    let mut cpu = open();
    for case in sabotaged_cases(cpu.info()) {
        let (right, _) = outputs_of(cpu.as_mut(), &case, 0, 1);
        let words = |word: u32| Held(vec![word.to_le_bytes().repeat(right.0[0].len() / 4)]);
        assert_wrong(&case, &words(0), "all zero");
        assert_wrong(&case, &words(Pattern::Poison.word(0)), "poison");
        let other_seed = Case { seed: 43, ..case.clone() };
        let (stale, _) = outputs_of(cpu.as_mut(), &other_seed, 0, 1);
        if case.benchmark != "fma" {
            assert_wrong(&case, &stale, "the output of other data");
        }
        let size = format_of(&case).size() as usize;
        for at in [0, right.0[0].len() / stride(&case) / 2, right.0[0].len() / stride(&case) - 1] {
            let mut spoiled = right.clone();
            let nan = match size {
                8 => f64::NAN.to_le_bytes().to_vec(),
                // A NaN in either 16-bit format.
                2 => 0x7fc0_u16.to_le_bytes().to_vec(),
                _ => f32::NAN.to_le_bytes().to_vec(),
            };
            spoiled.0[0][at * stride(&case)..][..size].copy_from_slice(&nan);
            assert_wrong(&case, &spoiled, "NaN");
        }
    }
}

#[test]
fn checks_do_not_pass_a_truncated_output() {
    let mut cpu = open();
    for case in sabotaged_cases(cpu.info()) {
        let (mut outputs, _) = outputs_of(cpu.as_mut(), &case, 0, 1);
        let short = outputs.0[0].len() - stride(&case);
        outputs.0[0].truncate(short);
        let verdict = find(&case.benchmark).check(&case, &mut outputs);
        assert!(matches!(verdict, Err(CheckError::Device(_))), "{}: {verdict:?}", case.key());
    }
}

/// A chain cut short by a hundredth must not pass: its rate would be claimed for work not done.
#[test]
fn fma_notices_missing_iterations() {
    let mut cpu = open();
    let pairs = pairs(cpu.info(), 1);
    for case in ["f64", "f32", "i32", "i8"].map(|precision| fma(precision, 1)).into_iter().chain(pairs) {
        let mut program: Program = find("fma").prepare(&case, cpu.as_mut()).unwrap();
        if let Step::Launch { args, .. } = &mut program.steps[0] {
            for arg in args.iter_mut() {
                if *arg == rooflint::device::Arg::U64(4096) {
                    *arg = rooflint::device::Arg::U64(4055);
                }
            }
        }
        cpu.record(&program).unwrap();
        let outputs = held(cpu.as_mut(), &program.outputs, output_bytes(&case));
        assert_wrong(&case, &outputs, "1 % of the iterations missing");
    }
}

#[test]
fn work_is_what_a_hand_count_gives() {
    let work = |case: &Case| find(&case.benchmark).work(case);
    let bytes = |read: u64, written: u64| Work {
        bytes_read_b: ByteCount(read),
        bytes_written_b: ByteCount(written),
        ..Work::default()
    };
    assert_eq!(work(&memory("read", 4096)), bytes(4096, 1024));
    assert_eq!(work(&memory("write", 4096)), bytes(0, 4096));
    assert_eq!(work(&memory("copy", 4096)), bytes(4096, 4096));
    // 1024 elements, a product and a sum each.
    let triad = Work { flop: [(Precision::F32, FlopCount(2048))].into(), ..bytes(8192, 4096) };
    assert_eq!(work(&memory("triad", 4096)), triad);
    // A size that is no whole number of words is rounded down.
    assert_eq!(work(&memory("copy", 4099)), bytes(4096, 4096));
    // 12288 lanes a thread, 4096 steps, 2 FLOP a step.
    let two = Work { flop: [(Precision::F64, FlopCount(2 * 12_288 * 4096 * 2))].into(), ..bytes(0, 2 * 12_288 * 8) };
    assert_eq!(work(&fma("f64", 2)), two);
    assert_eq!(work(&fma("i32", 1)).flop[&Precision::I32], FlopCount(100_663_296));
    // Four products and four sums a step, in a word a lane.
    let packed = Work { flop: [(Precision::I8, FlopCount(8 * 12_288 * 4096))].into(), ..bytes(0, 12_288 * 4) };
    assert_eq!(work(&fma("i8", 1)), packed);
    // Two products and two sums a step, in a binary32 number a lane.
    let paired = Work { flop: [(Precision::Bf16, FlopCount(4 * 12_288 * 4096))].into(), ..bytes(0, 12_288 * 4) };
    assert_eq!(work(&fma("bf16", 1).with("sum", "f32")), paired);
    let narrow = Work { flop: [(Precision::Bf16, FlopCount(60))].into(), ..bytes(50, 12) };
    assert_eq!(work(&matmul([2, 3, 5], "bf16")), narrow);
    // 2*3*5 products and as many sums; 2*5 + 5*3 numbers in, 2*3 out.
    let small = Work { flop: [(Precision::F32, FlopCount(60))].into(), ..bytes(100, 24) };
    assert_eq!(work(&matmul([2, 3, 5], "f32")), small);
    assert_eq!(work(&launch(2, "after_all")), Work::default());
    // Two units read 16 MiB each, 8 KiB at a time, and leave a line each.
    assert_eq!(work(&cache(16 << 10, "private", 2)), bytes(2048 * (16 << 10), 128));
    assert_eq!(work(&cache(16 << 10, "shared", 2)), bytes(1024 * 2 * (16 << 10), 128));
    assert_eq!(work(&cache(64 << 20, "private", 2)), bytes(64 << 20, 128));
    // 2^21 lines of 64 bytes in 64 repeats; 2^8 lines again and again.
    assert_eq!(work(&latency(128 << 20, 64, 2)), Work { accesses: 1 << 15, ..Work::default() });
    assert_eq!(work(&latency(16 << 10, 64, 1)), Work { accesses: 1 << 14, ..Work::default() });
    // 1000 numbers: lines 0, 8, … 56 of 62.5 take one step; all take three.
    let flop = |count| Work { flop: [(Precision::F32, FlopCount(count))].into(), ..bytes(4000, 1024) };
    assert_eq!(work(&intensity(1, 4000)), flop(2 * 8 * 16));
    assert_eq!(work(&intensity(24, 4000)), flop(2 * 3 * 1000));
}

#[test]
fn footprint_is_what_prepare_allocates() {
    /// Counts what is allocated.
    struct Counting(Box<dyn Device>, u64);
    impl Counting {
        fn of(case: &Case) -> (u64, u64) {
            let mut counting = Self(open(), 0);
            let declared = find(&case.benchmark).footprint(counting.0.info(), case).0;
            find(&case.benchmark).prepare(case, &mut counting).unwrap();
            (declared, counting.1)
        }
    }
    impl Device for Counting {
        fn info(&self) -> &DeviceInfo {
            self.0.info()
        }
        fn timer(&self) -> &rooflint::record::TimerInfo {
            self.0.timer()
        }
        fn alloc(&mut self, size: ByteCount, place: rooflint::device::Place) -> Result<BufferId, DeviceError> {
            self.1 += size.0;
            self.0.alloc(size, place)
        }
        fn fill(&mut self, to: BufferId, pattern: Pattern) -> Result<(), DeviceError> {
            self.0.fill(to, pattern)
        }
        fn write(&mut self, to: BufferId, at: ByteCount, bytes: &[u8]) -> Result<(), DeviceError> {
            self.0.write(to, at, bytes)
        }
        fn read(&mut self, from: BufferId, at: ByteCount, into: &mut [u8]) -> Result<(), DeviceError> {
            self.0.read(from, at, into)
        }
        fn options(&mut self, step: &Step) -> Result<Vec<Step>, DeviceError> {
            self.0.options(step)
        }
        fn record(&mut self, program: &Program) -> Result<rooflint::device::ProgramId, DeviceError> {
            self.0.record(program)
        }
        fn run(
            &mut self,
            program: rooflint::device::ProgramId,
            window: &rooflint::device::Window,
        ) -> Result<Vec<rooflint::device::Timing>, DeviceError> {
            self.0.run(program, window)
        }
        fn conditions(&self) -> BTreeMap<String, String> {
            self.0.conditions()
        }
        fn mark(&self) -> rooflint::device::Mark {
            self.0.mark()
        }
        fn release(&mut self, to: rooflint::device::Mark) -> Result<(), DeviceError> {
            self.0.release(to)
        }
    }
    for case in sabotaged_cases(open().info()) {
        let (declared, allocated) = Counting::of(&case);
        assert_eq!(declared, allocated, "{}", case.key());
    }
}

#[test]
fn cases_are_distinct_and_within_their_axes() {
    let cpu = open();
    for benchmark in suite::ALL {
        let meta = benchmark.meta();
        for (profile, _) in Profile::ALL {
            let mut info = cpu.info().clone();
            if meta.id == "mma" {
                // Its cases are for devices that have such units.
                assert!(benchmark.cases(&info, &request(profile, &[])).is_empty());
                info.features.push("matrix_units".to_owned());
            }
            let cases = benchmark.cases(&info, &request(profile, &[]));
            assert!(!cases.is_empty());
            let keys: std::collections::BTreeSet<_> = cases.iter().map(Case::key).collect();
            assert_eq!(keys.len(), cases.len(), "{} has a case twice", meta.id);
            for case in cases {
                assert_eq!((case.benchmark.as_str(), case.seed), (meta.id, 42));
                // Bursts do not say that they are, nor do others what is usual.
                let usual = [
                    "load",
                    "accesses",
                    "accumulate",
                    "library",
                    "page",
                    "tensor",
                    "pipeline",
                    "detail",
                    "peer",
                    "access",
                    "sum",
                ];
                let by_launches = |axis: &Axis| meta.id == "decode" && axis.name == "submit";
                let told = |axis: &&Axis| {
                    case.axes.contains_key(axis.name) || !usual.contains(&axis.name) && !by_launches(axis)
                };
                let named = meta.axes.iter().filter(told).map(|axis| axis.name);
                assert!(case.axes.keys().eq(sorted(named).iter()), "{}", case.key());
                for axis in meta.axes.iter().filter(told) {
                    match &case.axes[axis.name] {
                        AxisValue::Word(word) => assert!(axis.words.contains(&word.as_str()), "{}", case.key()),
                        AxisValue::Count(count) => {
                            assert!(axis.words.is_empty() && (axis.range[0]..=axis.range[1]).contains(count))
                        }
                    }
                }
            }
        }
        assert!(meta.question.ends_with('?') && !meta.formula.is_empty() && !meta.caveats.is_empty());
        assert_eq!(suite::find(meta.id).unwrap().meta().id, meta.id);
    }
}

fn sorted<'a>(names: impl Iterator<Item = &'a str>) -> Vec<&'a str> {
    let mut names: Vec<_> = names.collect();
    names.sort_unstable();
    names
}

#[test]
fn larger_profiles_hold_the_smaller_ones() {
    let cpu = open();
    for benchmark in suite::ALL {
        let keys = |profile| -> std::collections::BTreeSet<String> {
            benchmark.cases(cpu.info(), &request(profile, &[])).iter().map(Case::key).collect()
        };
        let (quick, standard, full) = (keys(Profile::Quick), keys(Profile::Standard), keys(Profile::Full));
        assert!(quick.is_subset(&standard) && standard.is_subset(&full), "{}", benchmark.meta().id);
    }
}

#[test]
fn the_users_axes_replace_the_profiles() {
    let cpu = open();
    let keys = |id: &str, axes: &[(&str, Vec<AxisValue>)]| -> Vec<String> {
        find(id).cases(cpu.info(), &request(Profile::Quick, axes)).iter().map(Case::key).collect()
    };
    let sizes = vec![AxisValue::Count(4096), AxisValue::Count(8192)];
    assert_eq!(
        keys("memory", &[("kernel", vec!["copy".into(), "read".into()]), ("size", sizes)]),
        [
            "memory kernel=copy size=4096",
            "memory kernel=copy size=8192",
            "memory kernel=read size=4096",
            "memory kernel=read size=8192"
        ]
    );
    assert_eq!(
        keys("matmul", &[("m", vec![1.into(), 8.into()])]),
        ["matmul data=random k=4096 m=1 n=4096 precision=f32", "matmul data=random k=4096 m=8 n=4096 precision=f32"]
    );
    assert_eq!(keys("fma", &[("precision", vec!["i32".into()]), ("threads", vec![1.into()])]).len(), 1);
    assert_eq!(keys("launch", &[("wait", vec!["after_all".into()]), ("threads", vec![1.into()])]).len(), 1);
}

#[test]
fn memory_sizes_follow_the_last_cache() {
    let mut info = open().info().clone();
    info.caches = vec![rooflint::record::Cache { level: 3, size_b: ByteCount::mib(100), instances: 2 }];
    let cases = find("memory").cases(&info, &request(Profile::Quick, &[]));
    let read: Vec<_> = cases.iter().filter(|case| case.word("kernel") == Some("read")).collect();
    let sizes: Vec<_> = read.iter().map(|case| case.count("size").unwrap() >> 20).collect();
    assert_eq!(sizes, [200, 400, 800, 1600]);
    info.caches[0].size_b = ByteCount::mib(1);
    let cases = find("memory").cases(&info, &request(Profile::Quick, &[]));
    assert_eq!(cases.iter().filter_map(|case| case.count("size")).max(), Some(256 << 20));
}

#[test]
fn what_the_device_cannot_do_is_skipped_and_named() {
    let mut cpu = open();
    let too_many = u64::from(cpu.info().compute_units) + 1;
    for case in [fma("f32", too_many), launch(too_many, "after_all"), matmul([2, 2, 2], "fp8_e4m3"), fma("bf16", 1)] {
        match find(&case.benchmark).prepare(&case, cpu.as_mut()) {
            Err(Stop::Skip(reason)) => assert!(!reason.is_empty()),
            other => panic!("{}: {other:?}", case.key()),
        }
    }
}
