//! Launches of one kernel by every way that a device offers, on every device, and what their buffers then hold.

use half::{bf16, f16};
use rooflint::device::{self, Arg, BufferId, Device, Place, Probe, Program, Slot, Step, Submit};
use rooflint::record::Precision;
use rooflint::stats::SplitMix64;
use rooflint::units::ByteCount;

use crate::conformance::once;
use crate::decode_reference::About;

/// Backends whose devices must have the kernels.
const BACKENDS: &[&str] = &["cpu", "cuda", "wgpu"];

/// The formats that the kernels take.
pub const FORMATS: [Precision; 3] = [Precision::F32, Precision::F16, Precision::Bf16];

/// Every device of the backends; where one has none the tests say so, and `ROOFLINT_REQUIRE` makes that a failure.
pub fn each_device(test: impl Fn(&mut dyn Device)) {
    for id in BACKENDS {
        let Ok((backend, _)) = device::select(id) else { continue };
        match (backend.probe)() {
            Probe::Present(found) => {
                for info in found {
                    let (_, rest) = device::select(&info.selector).unwrap();
                    println!("{}", info.selector);
                    test((backend.open)(rest).unwrap().as_mut());
                }
            }
            Probe::Absent { reason } => {
                let required = std::env::var("ROOFLINT_REQUIRE").unwrap_or_default();
                assert!(!required.split(',').any(|name| name == *id), "{id} is required and absent: {reason}");
                println!("left out, {id} is absent: {reason}");
            }
        }
    }
}

/// What a kernel's `precision` argument spells.
pub fn code(format: Precision) -> u32 {
    match format {
        Precision::F32 => 1,
        Precision::F16 => 3,
        _ => 5,
    }
}

pub fn encode(format: Precision, numbers: &[f64]) -> Vec<u8> {
    let bytes = |x: &f64| match format {
        Precision::F32 => (*x as f32).to_le_bytes().to_vec(),
        Precision::F16 => f16::from_f64(*x).to_le_bytes().to_vec(),
        _ => bf16::from_f64(*x).to_le_bytes().to_vec(),
    };
    numbers.iter().flat_map(bytes).collect()
}

pub fn decode(format: Precision, bytes: &[u8]) -> Vec<f64> {
    let number = |bytes: &[u8]| match format {
        Precision::F32 => f64::from(f32::from_le_bytes(bytes.try_into().unwrap())),
        Precision::F16 => f16::from_le_bytes(bytes.try_into().unwrap()).to_f64(),
        _ => bf16::from_le_bytes(bytes.try_into().unwrap()).to_f64(),
    };
    bytes.chunks_exact(format.size() as usize).map(number).collect()
}

/// A buffer of a launch: what it holds before, as bytes of one format.
#[derive(Clone)]
pub struct Held {
    pub format: Precision,
    pub bytes: Vec<u8>,
}

impl Held {
    /// Numbers as near to these as the format has.
    pub fn of(format: Precision, numbers: &[f64]) -> Self {
        Self { format, bytes: encode(format, numbers) }
    }

    /// So many numbers of [-scale, scale).
    pub fn random(format: Precision, count: usize, scale: f64, seed: u64) -> Self {
        let mut random = SplitMix64::new(seed);
        Self::of(format, &(0..count).map(|_| scale * (2.0 * random.next_f64() - 1.0)).collect::<Vec<_>>())
    }

    /// Room for so many numbers and some more, every one a NaN.
    pub fn poison(format: Precision, count: usize) -> Self {
        Self::of(format, &vec![f64::NAN; count + 8])
    }

    pub fn words(words: &[u32]) -> Self {
        Self { format: Precision::I32, bytes: words.iter().flat_map(|word| word.to_le_bytes()).collect() }
    }

    pub fn numbers(&self) -> Vec<f64> {
        decode(self.format, &self.bytes)
    }
}

/// Runs a launch by every way that the device offers, and hands what its buffers then hold to `check`.
pub fn every_way(
    device: &mut dyn Device,
    kernel: &'static str,
    held: &[Held],
    numbers: Vec<Arg>,
    check: impl Fn(&[Held]),
) {
    let mark = device.mark();
    let buffers = (0..held.len() as u32).map(|slot| Arg::Buffer(Slot(slot)));
    let step = Step::launch(kernel, buffers.chain(numbers).collect());
    let row: Vec<BufferId> =
        held.iter().map(|held| device.alloc(ByteCount(held.bytes.len() as u64), Place::Device).unwrap()).collect();
    let write = |device: &mut dyn Device| {
        for (buffer, held) in row.iter().zip(held) {
            device.write(*buffer, ByteCount::ZERO, &held.bytes).unwrap();
        }
    };
    let options = device.options(&step).unwrap();
    assert!(!options.is_empty(), "{} has no way to run {kernel}", device.info().selector);
    for option in options {
        println!("{kernel} by {} with {:?}", option.variant(), &step);
        let program =
            Program { steps: vec![option], bindings: vec![row.clone()], outputs: Vec::new(), submit: Submit::Stream };
        // Whoever records a program runs it once: tokens and pages must be there, and outputs are poisoned anew.
        write(device);
        let recorded = device.record(&program).unwrap();
        write(device);
        device.run(recorded, &once(1)).unwrap();
        let after: Vec<_> = row
            .iter()
            .zip(held)
            .map(|(buffer, held)| {
                let mut after = held.clone();
                device.read(*buffer, ByteCount::ZERO, &mut after.bytes).unwrap();
                after
            })
            .collect();
        check(&after);
    }
    device.release(mark).unwrap();
}

/// That a buffer holds these numbers from the first on, as exactly as its format can, and the rest what it held before.
pub fn assert_holds(found: &Held, before: &Held, expected: &[About], what: &str) {
    let places = expected.iter().copied().enumerate();
    assert_holds_at(found, before, places, what);
}

/// Likewise of some places: (number of the place, what is to be there).
pub fn assert_holds_at(found: &Held, before: &Held, expected: impl Iterator<Item = (usize, About)>, what: &str) {
    let (relative, least) = match found.format {
        Precision::F32 => (2.0_f64.powi(-24), 2.0_f64.powi(-126)),
        Precision::F16 => (2.0_f64.powi(-11), 2.0_f64.powi(-25)),
        _ => (2.0_f64.powi(-8), 2.0_f64.powi(-126)),
    };
    let numbers = found.numbers();
    let size = found.format.size() as usize;
    let mut untouched = vec![true; numbers.len()];
    for (at, About(number, stray)) in expected {
        let tolerance = stray + (number.abs() + stray) * relative + least;
        let error = (numbers[at] - number).abs();
        assert!(error <= tolerance, "{what} at {at}: {} for {number}, off by {error:e} > {tolerance:e}", numbers[at]);
        untouched[at] = false;
    }
    for at in (0..numbers.len()).filter(|at| untouched[*at]) {
        let [after, before] = [found, before].map(|held| &held.bytes[at * size..][..size]);
        assert_eq!(after, before, "{what} was touched at {at}");
    }
}

pub fn assert_untouched(found: &[Held], before: &[Held], which: &[usize]) {
    for at in which {
        assert!(found[*at].bytes == before[*at].bytes, "argument {at} was touched");
    }
}
