//! What every backend must do, whatever it runs on. One list, run on each backend present.

use rooflint::device::{
    Arg, BufferId, Detail, Device, DeviceError, MatmulDesc, Pattern, Place, Program, Provider, Slot, Start, Step,
    Submit, Wait, Window,
};
use rooflint::record::Precision;
use rooflint::units::{ByteCount, Seconds};

/// A thing a backend must do.
type Item = (&'static str, fn(&mut dyn Device));

/// Runs the whole list on a device. The deadline comes last: it may cost the device.
pub fn run(device: &mut dyn Device) {
    let list: &[Item] = &[
        ("the timer is described", timer_is_described),
        ("bytes written come back", bytes_written_come_back),
        ("ranges outside a buffer are refused", ranges_are_checked),
        ("patterns have the same bits on device and host", patterns_agree_with_the_host),
        ("arguments keep their order", arguments_keep_their_order),
        ("arguments that do not fit are refused", arguments_are_checked),
        ("steps run in order", steps_run_in_order),
        ("a step waits for all of the step before", a_step_waits_for_all_of_the_step_before),
        ("copies copy", copies_copy),
        ("every option can be recorded", every_option_can_be_recorded),
        ("repeats rotate through the bindings", repeats_rotate),
        ("time passes, and more with more repeats", time_grows_with_repeats),
        ("every step is timed when asked", steps_are_timed_when_asked),
        ("the host can wait after each repeat", the_host_can_wait_after_each_repeat),
        ("release frees what came later, and nothing else", release_frees_what_came_later),
        ("too large an allocation is an error to survive", too_large_an_allocation_is_survived),
        ("what cannot be done is said to be unsupported", unsupported_is_said),
        ("a deadline is kept", a_deadline_is_kept),
    ];
    for (name, test) in list {
        println!("{}: {name}", device.info().selector);
        let mark = device.mark();
        test(device);
        // After its deadline a device may be gone.
        if *name != "a deadline is kept" {
            device.release(mark).unwrap();
        }
    }
}

/// A window of one sample.
pub fn once(repeats: u32) -> Window {
    Window {
        samples: 1,
        repeats,
        detail: Detail::Whole,
        start: Start::Immediate,
        wait: Wait::AfterAll,
        deadline: Seconds::new(60.0).unwrap(),
    }
}

/// A buffer's words.
pub fn words(device: &mut dyn Device, buffer: BufferId, count: usize) -> Vec<u32> {
    let mut bytes = vec![0; count * 4];
    device.read(buffer, ByteCount::ZERO, &mut bytes).unwrap();
    bytes.chunks_exact(4).map(|word| u32::from_le_bytes(word.try_into().unwrap())).collect()
}

fn filled(device: &mut dyn Device, bytes: u64, pattern: Pattern) -> BufferId {
    let buffer = device.alloc(ByteCount(bytes), Place::Device).unwrap();
    device.fill(buffer, pattern).unwrap();
    buffer
}

fn write_step(out: u32, words: u64, key: u32) -> Step {
    Step::launch("memory_write", vec![Arg::Buffer(Slot(out)), Arg::U64(words), Arg::U32(key)])
}

fn copy_step(from: u32, to: u32, words: u64) -> Step {
    Step::launch("memory_copy", vec![Arg::Buffer(Slot(from)), Arg::Buffer(Slot(to)), Arg::U64(words)])
}

fn program(steps: Vec<Step>, bindings: Vec<Vec<BufferId>>) -> Program {
    Program { steps, bindings, outputs: Vec::new(), submit: Submit::Stream }
}

fn timer_is_described(device: &mut dyn Device) {
    let timer = device.timer();
    assert!(!timer.clock.is_empty());
    assert!(timer.resolution_s > Seconds::ZERO);
    assert!(!device.info().name.is_empty());
    assert!(device.info().compute_units > 0);
}

fn bytes_written_come_back(device: &mut dyn Device) {
    for place in [Place::Device, Place::HostPinned, Place::HostPageable] {
        let buffer = device.alloc(ByteCount(1000), place).unwrap();
        device.fill(buffer, Pattern::Zeros).unwrap();
        let bytes: Vec<u8> = (0..100).collect();
        device.write(buffer, ByteCount(200), &bytes).unwrap();
        let mut back = vec![0xff; 1000];
        device.read(buffer, ByteCount::ZERO, &mut back).unwrap();
        assert!(back[..200].iter().chain(&back[300..]).all(|byte| *byte == 0), "{place:?}");
        assert_eq!(back[200..300], bytes, "{place:?}");
    }
}

fn ranges_are_checked(device: &mut dyn Device) {
    let buffer = filled(device, 256, Pattern::Zeros);
    for at in [253, 257, u64::MAX - 3, u64::MAX] {
        assert!(matches!(device.read(buffer, ByteCount(at), &mut [0; 4]), Err(DeviceError::Call { .. })), "{at}");
        assert!(matches!(device.write(buffer, ByteCount(at), &[0; 4]), Err(DeviceError::Call { .. })), "{at}");
    }
    assert!(matches!(device.fill(BufferId(u32::MAX), Pattern::Zeros), Err(DeviceError::Call { .. })));
}

fn patterns_agree_with_the_host(device: &mut dyn Device) {
    let mut patterns = vec![Pattern::Zeros, Pattern::Poison];
    for seed in [0, 7, u64::MAX / 3] {
        patterns.push(Pattern::Words { seed });
        let numbers = [Precision::F64, Precision::F32, Precision::F16, Precision::Bf16];
        patterns.extend(numbers.map(|form| Pattern::uniform(form, seed).unwrap()));
        patterns.extend(numbers.map(|form| Pattern::integers(form, seed).unwrap()));
        patterns.push(Pattern::integers(Precision::I32, seed).unwrap());
        patterns.push(Pattern::uniform(Precision::Fp8E4m3, seed).unwrap());
        patterns.push(Pattern::integers(Precision::Fp8E4m3, seed).unwrap());
    }
    for pattern in patterns {
        for count in [2_usize, 62, 1026, 40_006] {
            let buffer = device.alloc(ByteCount(count as u64 * 4), Place::Device).unwrap();
            let narrow = matches!(pattern, Pattern::Uniform { precision: Precision::Fp8E4m3, .. })
                || matches!(pattern, Pattern::Integers { precision: Precision::Fp8E4m3, .. });
            match device.fill(buffer, pattern) {
                // Not every backend has 8-bit numbers: one that has must have the right ones.
                Err(DeviceError::Unsupported(_)) if narrow && device.info().backend == "wgpu" => continue,
                filled => filled.unwrap(),
            }
            let expected: Vec<u32> = (0..count as u64).map(|index| pattern.word(index)).collect();
            assert!(words(device, buffer, count) == expected, "{pattern:?}, {count} words");
        }
    }
}

fn arguments_keep_their_order(device: &mut dyn Device) {
    let [b, c] = [1, 2].map(|seed| Pattern::uniform(Precision::F32, seed).unwrap());
    let row = vec![filled(device, 4096, b), filled(device, 4096, c), filled(device, 4096, Pattern::Poison)];
    let out = row[2];
    let args = vec![Arg::Buffer(Slot(0)), Arg::Buffer(Slot(1)), Arg::Buffer(Slot(2)), Arg::U64(1000), Arg::F32(0.25)];
    let recorded = device.record(&program(vec![Step::launch("memory_triad", args)], vec![row])).unwrap();
    device.run(recorded, &once(1)).unwrap();
    let out = words(device, out, 1024);
    for index in 0..1000 {
        let expected = b.f32_at(index) + 0.25 * c.f32_at(index);
        assert!((f32::from_bits(out[index as usize]) - expected).abs() <= 2.0 * f32::EPSILON, "at {index}");
    }
    assert!(out[1000..].iter().all(|word| *word == Pattern::Poison.word(0)), "wrote past the words it was given");
}

fn arguments_are_checked(device: &mut dyn Device) {
    let buffer = filled(device, 400, Pattern::Zeros);
    let wrong_type = Step::launch("memory_write", vec![Arg::Buffer(Slot(0)), Arg::F32(1.0), Arg::U32(0)]);
    for step in [write_step(0, 101, 0), write_step(1, 10, 0), wrong_type, Step::launch("memory_write", Vec::new())] {
        let refused = device.record(&program(vec![step.clone()], vec![vec![buffer]]));
        assert!(matches!(refused, Err(DeviceError::Call { .. })), "{step:?}: {refused:?}");
    }
}

fn steps_run_in_order(device: &mut dyn Device) {
    const WORDS: usize = 50_000;
    let row: Vec<_> = (0..3).map(|_| filled(device, WORDS as u64 * 4, Pattern::Poison)).collect();
    let (first, last) = (row[0], row[2]);
    let count = WORDS as u64;
    let steps = vec![write_step(0, count, 5), copy_step(0, 1, count), copy_step(1, 2, count), write_step(0, count, 9)];
    let recorded = device.record(&program(steps, vec![row])).unwrap();
    device.run(recorded, &once(3)).unwrap();
    let numbers = |key: u32| (0..WORDS as u32).map(move |index| index.wrapping_add(key));
    assert!(words(device, last, WORDS).into_iter().eq(numbers(5)));
    assert!(words(device, first, WORDS).into_iter().eq(numbers(9)));
}

/// A product needs all of `b`, whoever copied which part of it. Two rows of bindings alternate, so that a
/// `b` not yet replaced is the other row's.
fn a_step_waits_for_all_of_the_step_before(device: &mut dyn Device) {
    const SIDE: u64 = 128;
    let desc = |provider| MatmulDesc {
        m: SIDE,
        n: SIDE,
        k: SIDE,
        a: Precision::F32,
        b: Precision::F32,
        c: Precision::F32,
        accumulate: Precision::F32,
        b_transposed: false,
        full_sums: false,
        provider,
    };
    let product = [Provider::Vendor, Provider::Own].into_iter().find_map(|provider| {
        let step = Step::Matmul { desc: desc(provider), plan: String::new(), a: Slot(0), b: Slot(2), c: Slot(3) };
        match device.options(&step) {
            // A library that is not installed.
            Err(DeviceError::Unsupported(_)) if provider == Provider::Vendor => None,
            options => options.unwrap().into_iter().next(),
        }
    });
    let Some(product) = product else {
        println!("    left out: no matrix product of f32 here");
        return;
    };
    let bytes = SIDE * SIDE * 4;
    let uniform = |seed: u64| Pattern::uniform(Precision::F32, seed).unwrap();
    let sources = [2, 3].map(|seed| filled(device, bytes, uniform(seed)));
    let [a, b, c] = [
        filled(device, bytes, uniform(1)),
        filled(device, bytes, Pattern::Poison),
        filled(device, bytes, Pattern::Poison),
    ];
    let steps = vec![copy_step(1, 2, SIDE * SIDE), product];
    let results = sources.map(|source| {
        device.record(&program(steps.clone(), vec![vec![a, source, b, c]])).unwrap();
        words(device, c, (SIDE * SIDE) as usize)
    });
    let rows = sources.map(|source| vec![a, source, b, c]).to_vec();
    let recorded = device.record(&program(steps, rows)).unwrap();
    for wait in [Wait::AfterAll, Wait::AfterEachRepeat] {
        for repeats in 1..=40 {
            device.run(recorded, &Window { wait, ..once(repeats) }).unwrap();
            let expected = &results[(repeats as usize - 1) % 2];
            let found = words(device, c, (SIDE * SIDE) as usize);
            let near =
                |(found, expected): (&u32, &u32)| (f32::from_bits(*found) - f32::from_bits(*expected)).abs() <= 1e-4;
            assert!(found.iter().zip(expected).all(near), "{repeats} repeats, {wait:?}");
        }
    }
}

fn copies_copy(device: &mut dyn Device) {
    let from = filled(device, 10_007, Pattern::Words { seed: 3 });
    let to = filled(device, 10_007, Pattern::Zeros);
    let step = Step::Copy { from: Slot(0), to: Slot(1), bytes: ByteCount(9_000) };
    assert!(!device.options(&step).unwrap().is_empty());
    let recorded = device.record(&program(vec![step], vec![vec![from, to]])).unwrap();
    device.run(recorded, &once(1)).unwrap();
    let expected: Vec<u32> = (0..2250).map(|index| Pattern::Words { seed: 3 }.word(index)).collect();
    let found = words(device, to, 2501);
    assert_eq!(found[..2250], expected);
    assert!(found[2250..].iter().all(|word| *word == 0));
}

fn every_option_can_be_recorded(device: &mut dyn Device) {
    let row: Vec<_> = (0..2).map(|_| filled(device, 4096, Pattern::Zeros)).collect();
    let options = device.options(&copy_step(0, 1, 1024)).unwrap();
    assert!(!options.is_empty());
    for option in options {
        assert!(!option.variant().is_empty());
        device.record(&program(vec![option], vec![row.clone()])).unwrap();
    }
}

fn repeats_rotate(device: &mut dyn Device) {
    let buffers: Vec<_> = (0..3).map(|_| filled(device, 400, Pattern::Poison)).collect();
    let rows = buffers.iter().map(|buffer| vec![*buffer]).collect();
    let recorded = device.record(&program(vec![write_step(0, 100, 1)], rows)).unwrap();
    for repeats in [1, 2, 3, 7] {
        for buffer in &buffers {
            device.fill(*buffer, Pattern::Poison).unwrap();
        }
        device.run(recorded, &once(repeats)).unwrap();
        for (row, buffer) in buffers.iter().enumerate() {
            let expected = if row < repeats as usize { 1 } else { Pattern::Poison.word(0) };
            assert_eq!(words(device, *buffer, 1)[0], expected, "row {row} after {repeats} repeats");
        }
    }
}

fn time_grows_with_repeats(device: &mut dyn Device) {
    let buffer = filled(device, 1 << 20, Pattern::Zeros);
    let recorded = device.record(&program(vec![write_step(0, 1 << 18, 1)], vec![vec![buffer]])).unwrap();
    let mut fastest = |repeats: u32| {
        let timings = device.run(recorded, &Window { samples: 5, ..once(repeats) }).unwrap();
        assert_eq!(timings.len(), 5);
        for timing in &timings {
            assert!(timing.elapsed > Seconds::ZERO && timing.host_elapsed > Seconds::ZERO, "{timing:?}");
            assert!(timing.steps.is_empty());
        }
        timings.iter().map(|timing| timing.elapsed).min().unwrap()
    };
    let (one, many) = (fastest(1), fastest(200));
    assert!(many > one, "200 repeats took {many}, one took {one}");
}

fn steps_are_timed_when_asked(device: &mut dyn Device) {
    let row: Vec<_> = (0..2).map(|_| filled(device, 1 << 16, Pattern::Zeros)).collect();
    let steps = vec![write_step(0, 1 << 14, 1), copy_step(0, 1, 1 << 14)];
    let recorded = device.record(&program(steps, vec![row])).unwrap();
    for timing in device.run(recorded, &Window { samples: 3, detail: Detail::PerStep, ..once(5) }).unwrap() {
        assert_eq!(timing.steps.len(), 2);
        assert!(timing.steps.iter().all(|step| *step > Seconds::ZERO));
        let sum: Seconds = timing.steps.iter().copied().sum();
        assert!(sum.get() <= timing.elapsed.get() * 1.001, "{timing:?}");
    }
}

fn the_host_can_wait_after_each_repeat(device: &mut dyn Device) {
    let row: Vec<_> = (0..2).map(|_| filled(device, 4096, Pattern::Poison)).collect();
    let out = row[1];
    let steps = vec![write_step(0, 1000, 3), copy_step(0, 1, 1000)];
    let recorded = device.record(&program(steps, vec![row])).unwrap();
    for detail in [Detail::Whole, Detail::PerStep] {
        device.fill(out, Pattern::Poison).unwrap();
        let window = Window { samples: 2, wait: Wait::AfterEachRepeat, detail, ..once(3) };
        let timings = device.run(recorded, &window).unwrap();
        assert_eq!(timings.len(), 2);
        assert!(timings.iter().all(|timing| timing.elapsed > Seconds::ZERO));
        assert_eq!(words(device, out, 1000)[999], 1002);
    }
}

fn release_frees_what_came_later(device: &mut dyn Device) {
    let kept = filled(device, 400, Pattern::Words { seed: 1 });
    let keeper = device.record(&program(vec![write_step(0, 50, 1)], vec![vec![kept]])).unwrap();
    let mark = device.mark();
    let freed = filled(device, 400, Pattern::Zeros);
    let gone = device.record(&program(vec![copy_step(0, 1, 100)], vec![vec![kept, freed]])).unwrap();
    device.release(mark).unwrap();
    assert!(device.read(freed, ByteCount::ZERO, &mut [0; 4]).is_err());
    assert!(device.run(gone, &once(1)).is_err());
    let renewed = filled(device, 400, Pattern::Zeros);
    assert_ne!(renewed, kept);
    device.run(keeper, &once(1)).unwrap();
    let found = words(device, kept, 100);
    assert_eq!((found[49], found[50]), (50, Pattern::Words { seed: 1 }.word(50)));
}

fn too_large_an_allocation_is_survived(device: &mut dyn Device) {
    for size in [ByteCount(1 << 50), ByteCount(u64::MAX)] {
        match device.alloc(size, Place::Device) {
            Err(DeviceError::OutOfMemory { asked, available }) => assert!(asked == size && available < size),
            other => panic!("{size} gave {other:?}"),
        }
    }
    bytes_written_come_back(device);
}

fn unsupported_is_said(device: &mut dyn Device) {
    let buffer = filled(device, 4096, Pattern::Zeros);
    let desc = MatmulDesc {
        m: 4,
        n: 4,
        k: 4,
        a: Precision::I8,
        b: Precision::F64,
        c: Precision::Fp8E4m3,
        accumulate: Precision::F16,
        b_transposed: false,
        full_sums: false,
        provider: Provider::Own,
    };
    let steps = [
        Step::launch("no_such_kernel", Vec::new()),
        Step::Matmul { desc, plan: String::new(), a: Slot(0), b: Slot(0), c: Slot(0) },
        Step::GroupedMatmul { desc, groups: 2, offsets: Slot(0), a: Slot(0), b: Slot(0), c: Slot(0) },
    ];
    for step in steps {
        assert_eq!(device.options(&step), Ok(Vec::new()), "{step:?}");
        let refused = device.record(&program(vec![step.clone()], vec![vec![buffer]]));
        assert!(matches!(refused, Err(DeviceError::Unsupported(_))), "{step:?}: {refused:?}");
    }
    let mut unknown = write_step(0, 8, 0);
    if let Step::Launch { variant, .. } = &mut unknown {
        *variant = "no_such_variant";
    }
    let refused = device.record(&program(vec![unknown], vec![vec![buffer]]));
    assert!(matches!(refused, Err(DeviceError::Unsupported(_))), "{refused:?}");
}

fn a_deadline_is_kept(device: &mut dyn Device) {
    let buffer = filled(device, 1 << 20, Pattern::Zeros);
    let recorded = device.record(&program(vec![write_step(0, 1 << 18, 1)], vec![vec![buffer]])).unwrap();
    let deadline = Seconds::new(0.02).unwrap();
    let late = device.run(recorded, &Window { deadline, ..once(1_000_000_000) });
    assert_eq!(late, Err(DeviceError::Deadline(deadline)));
    assert!(DeviceError::Deadline(deadline).is_fatal());
}
