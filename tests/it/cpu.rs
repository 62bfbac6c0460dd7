//! The CPU backend: the conformance list, and every variant of every kernel.

use rooflint::device::{
    self, Arg, Detail, Device, DeviceError, Pattern, Place, Probe, Program, Slot, Step, Submit, Wait, Window,
};
use rooflint::record::DeviceKind;
use rooflint::units::{ByteCount, Seconds};

use crate::conformance::{self, once, words};

/// The CPU, opened.
pub fn open() -> Box<dyn Device> {
    let (backend, rest) = device::select("cpu").unwrap();
    (backend.open)(rest).unwrap()
}

#[test]
fn conforms() {
    conformance::run(open().as_mut());
}

#[test]
fn goes_on_after_a_deadline() {
    let mut cpu = open();
    conformance::run(cpu.as_mut());
    conformance::run(cpu.as_mut());
}

#[test]
fn is_described_without_being_opened() {
    let (backend, rest) = device::select("cpu:0").unwrap();
    assert_eq!((backend.id, rest, backend.hidden), ("cpu", "0", false));
    let Probe::Present(found) = (backend.probe)() else { panic!("the CPU is always there") };
    assert_eq!(found, [(backend.describe)("").unwrap()]);
    let cpu = &found[0];
    assert_eq!(cpu.kind, DeviceKind::Hardware);
    assert_eq!((cpu.backend.as_str(), cpu.selector.as_str()), ("cpu", "cpu"));
    assert!(cpu.features.is_sorted() && cpu.caches.is_sorted_by_key(|cache| cache.level));
    assert_eq!(&found[0], open().info());
}

#[test]
fn other_selectors_are_named_in_the_error() {
    let (backend, _) = device::select("cpu").unwrap();
    for error in [(backend.open)("1").err().unwrap(), (backend.describe)("1").unwrap_err()] {
        assert!(error.to_string().contains("'1'"), "{error}");
    }
    assert!(device::select("cpux").is_err());
}

#[test]
fn conditions_tell_threads_pages_and_denormals() {
    let mut cpu = open();
    assert!(!cpu.conditions().contains_key("huge_page_share"));
    cpu.alloc(ByteCount::mib(8), Place::Device).unwrap();
    let conditions = cpu.conditions();
    assert_eq!(conditions["threads"], cpu.info().compute_units.to_string());
    assert!(["yes", "no"].contains(&conditions["pinned"].as_str()));
    assert!(conditions.contains_key("denormals"));
    if cfg!(target_os = "linux") {
        let share: f64 = conditions["huge_page_share"].parse().unwrap();
        assert!((0.0..=1.0).contains(&share));
    }
}

#[test]
fn samples_carry_the_clock_and_what_was_taken_away() {
    let mut cpu = open();
    let out = cpu.alloc(ByteCount::mib(1), Place::Device).unwrap();
    let args = vec![Arg::Buffer(Slot(0)), Arg::U64(1 << 18), Arg::U32(1)];
    let steps = vec![Step::launch("memory_write", args)];
    let program = Program { steps, bindings: vec![vec![out]], outputs: vec![out], submit: Submit::Graph };
    let recorded = cpu.record(&program).unwrap();
    for timing in cpu.run(recorded, &Window { samples: 3, ..once(50) }).unwrap() {
        if cfg!(any(target_arch = "x86_64", target_arch = "aarch64")) {
            let clock = timing.clock.unwrap().get();
            assert!((1e8..1e10).contains(&clock), "{clock} Hz");
        }
        assert!((0.0..1.0).contains(&timing.preempted.unwrap().get()));
    }
    let waiting = Window { wait: Wait::AfterEachRepeat, detail: Detail::Whole, ..once(2) };
    assert_eq!(cpu.run(recorded, &waiting).unwrap()[0].preempted, None);
}

#[test]
fn fewer_threads_can_be_asked_for_but_not_more() {
    let mut cpu = open();
    let out = cpu.alloc(ByteCount(1 << 16), Place::Device).unwrap();
    let all = cpu.info().compute_units;
    let record = |cpu: &mut dyn Device, threads: &[u32]| {
        let launch = |threads: &u32| {
            let mut step = Step::launch("empty", vec![Arg::Buffer(Slot(0)), Arg::U64(64), Arg::U32(9)]);
            if let Step::Launch { grid, .. } = &mut step {
                grid[0] = *threads;
            }
            step
        };
        let steps = threads.iter().map(launch).collect();
        cpu.record(&Program { steps, bindings: vec![vec![out]], outputs: vec![out], submit: Submit::Stream })
    };
    for threads in [0, 1, all] {
        cpu.fill(out, Pattern::Poison).unwrap();
        let recorded = record(cpu.as_mut(), &[threads]).unwrap();
        cpu.run(recorded, &once(1)).unwrap();
        let found = words(cpu.as_mut(), out, 64 * 16);
        assert!(found.iter().step_by(16).copied().eq(9..73), "{threads} threads");
    }
    assert!(matches!(record(cpu.as_mut(), &[all + 1]), Err(DeviceError::Unsupported(_))));
    if all > 1 {
        assert!(matches!(record(cpu.as_mut(), &[1, all]), Err(DeviceError::Unsupported(_))));
    }
}

/// Runs the chains of `fma` one step after another, as the contract of the kernel says.
fn chain(lane: u64, iterations: u64, factor: f32, term: f32) -> f32 {
    let scattered = (lane as u32).wrapping_mul(0x9e37_79b1);
    (0..iterations).fold(f32::from_bits(0x3f80_0000 | scattered >> 9), |x, _| x.mul_add(factor, term))
}

#[test]
fn fma_fills_any_number_of_lanes_and_no_more() {
    let mut cpu = open();
    let out = cpu.alloc(ByteCount(4096), Place::Device).unwrap();
    for lanes in [1, 5, 15, 16, 17, 31, 97, 192, 193, 400, 1000] {
        let args =
            vec![Arg::Buffer(Slot(0)), Arg::U32(1), Arg::U64(lanes), Arg::U64(7), Arg::F64(0.75), Arg::F64(-0.5)];
        for option in cpu.options(&Step::launch("fma", args)).unwrap() {
            cpu.fill(out, Pattern::Poison).unwrap();
            let name = option.variant().to_owned();
            let steps = vec![option];
            let program = Program { steps, bindings: vec![vec![out]], outputs: vec![out], submit: Submit::Stream };
            cpu.record(&program).unwrap();
            let found = words(cpu.as_mut(), out, 1024);
            for lane in 0..lanes {
                let error = f32::from_bits(found[lane as usize]) - chain(lane, 7, 0.75, -0.5);
                assert!(error.abs() <= 1e-6, "{name}: lane {lane} of {lanes} is off by {error}");
            }
            let beyond = &found[lanes as usize..];
            assert!(beyond.iter().all(|word| *word == Pattern::Poison.word(0)), "{name} wrote past {lanes} lanes");
        }
    }
}

/// A step of `fma` on packed bytes, byte by byte. All four bytes of the factor take part, unlike the benchmark's.
pub fn packed_step(x: u32, factor: u32) -> u32 {
    let products = (0..4).map(|byte| {
        let signed = |word: u32| i32::from((word >> (8 * byte)) as u8 as i8);
        (signed(x) * signed(factor)).cast_unsigned()
    });
    products.fold(x, u32::wrapping_add)
}

/// `fma` of 1000 lanes and 37 steps in every way: each lane's word must be the expected one, and nothing written past them.
fn every_fma(cpu: &mut dyn Device, precision: u32, [factor, term]: [f64; 2], expected: impl Fn(u32) -> u32) {
    let out = cpu.alloc(ByteCount(4096), Place::Device).unwrap();
    let options = cpu.options(&Step::launch("fma", fma_args(precision, [factor, term]))).unwrap();
    assert!(!options.is_empty());
    for option in options {
        cpu.fill(out, Pattern::Poison).unwrap();
        let name = option.variant().to_owned();
        let (steps, bindings) = (vec![option], vec![vec![out]]);
        cpu.record(&Program { steps, bindings, outputs: vec![out], submit: Submit::Stream }).unwrap();
        let found = words(cpu, out, 1024);
        for lane in 0..1000_u32 {
            assert_eq!(found[lane as usize], expected(lane), "{name}: lane {lane}");
        }
        assert!(found[1000..].iter().all(|word| *word == Pattern::Poison.word(0)), "{name} wrote past its lanes");
    }
}

fn fma_args(precision: u32, [factor, term]: [f64; 2]) -> Vec<Arg> {
    let sizes = [Arg::U32(precision), Arg::U64(1000), Arg::U64(37)];
    [Arg::Buffer(Slot(0))].into_iter().chain(sizes).chain([Arg::F64(factor), Arg::F64(term)]).collect()
}

#[test]
fn fma_of_packed_bytes_is_the_sum_of_four_products() {
    let mut cpu = open();
    const FACTOR: u32 = 0x7f03_4d21;
    let spelled = |factor: u32| [f64::from(factor.cast_signed()), 0.0];
    every_fma(cpu.as_mut(), 4, spelled(FACTOR), |lane| {
        (0..37).fold(lane.wrapping_mul(0x9e37_79b1), |x, _| packed_step(x, FACTOR))
    });
    // Instructions read one operand's bytes as unsigned: a factor for which that matters is refused.
    let out = cpu.alloc(ByteCount(4096), Place::Device).unwrap();
    let steps = vec![Step::launch("fma", fma_args(4, spelled(0x8000_0001)))];
    let program = Program { steps, bindings: vec![vec![out]], outputs: vec![out], submit: Submit::Stream };
    assert!(matches!(cpu.record(&program), Err(DeviceError::Call { .. })));
}

#[test]
fn fma_of_pairs_adds_both_products_to_a_sum() {
    every_fma(open().as_mut(), 6, [1.5, -0.25], |lane| {
        let start = 1.0 + (lane.wrapping_mul(0x9e37_79b1) >> 22) as f32 / 1024.0;
        (start + 37.0 * (2.25 + 0.0625)).to_bits()
    });
}

#[test]
fn a_dropped_device_leaves_no_threads() {
    for _ in 0..20 {
        let mut cpu = open();
        let buffer = cpu.alloc(ByteCount(100), Place::Device).unwrap();
        cpu.fill(buffer, Pattern::Zeros).unwrap();
    }
    assert!(open().timer().overhead_s > Seconds::ZERO);
}
