//! The latch and the stamp, which no check of a result sees: what a window says of them.

use rooflint::device::{Arg, Device, Pattern, Place, Program, Slot, Step, Submit};
use rooflint::units::ByteCount;

use crate::trial::{Verdict, window};

/// The clock of the emulated device's multiprocessors, which never changes.
const CLOCK_HZ: f64 = 1.41e9;

/// Windows of many short launches. A latch that opens by itself shows only if it runs before the host opens it, and the
/// host may be faster.
const WINDOWS: u32 = 60;

/// Runs windows: launches must have waited behind the latch in all of them, and in one that is long enough for it the
/// clock must be counted, and be the device's.
pub fn tell(device: &mut dyn Device) -> Result<(), Verdict> {
    let words = 1 << 16;
    let buffer = device.alloc(ByteCount(4 * words), Place::Device)?;
    device.fill(buffer, Pattern::Zeros)?;
    let mut program = |count| {
        let steps = vec![Step::launch("memory_write", vec![Arg::Buffer(Slot(0)), Arg::U64(count), Arg::U32(1)])];
        let (bindings, outputs) = (vec![vec![buffer]], vec![buffer]);
        device.record(&Program { steps, bindings, outputs, submit: Submit::Stream })
    };
    let (short, long) = (program(64)?, program(words)?);
    for _ in 0..WINDOWS {
        device.run(short, &window(1, 200))?;
    }
    let timings = device.run(long, &window(5, 30))?;
    let submission = &device.conditions()["submission"];
    if submission != "launches behind a latch" {
        return Err(Verdict::Wrong(format!("submission: {submission}")));
    }
    if timings.iter().any(|timing| !(timing.elapsed.get() > 0.0)) {
        return Err(Verdict::Wrong("a sample without a time".to_owned()));
    }
    // The host may be held up in the middle of a stamp: most of the samples must be right.
    let right = |hz: f64| (hz / CLOCK_HZ - 1.0).abs() <= 0.02;
    let clocks: Vec<_> = timings.iter().map(|timing| timing.clock.map_or(0.0, |clock| clock.get())).collect();
    match clocks.iter().filter(|hz| right(**hz)).count() * 2 > clocks.len() {
        true => Ok(()),
        false => Err(Verdict::Wrong(format!("clocks of {clocks:?} Hz"))),
    }
}
