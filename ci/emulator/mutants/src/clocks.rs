//! The latch and the stamp, which no check of a result sees: what a window says of them.

use rooflint::device::{Arg, Device, Pattern, Place, Program, Slot, Step, Submit};
use rooflint::units::ByteCount;

use crate::trial::{Verdict, window};

/// The clock of the emulated device's multiprocessors, which never changes.
const CLOCK_HZ: f64 = 1.41e9;

/// Runs a window that is long enough for its clock to be counted: launches must have waited for one another, and the
/// clock must be the device's.
pub fn tell(device: &mut dyn Device) -> Result<(), Verdict> {
    let words = 1 << 16;
    let buffer = device.alloc(ByteCount(4 * words), Place::Device)?;
    device.fill(buffer, Pattern::Zeros)?;
    let steps = vec![Step::launch("memory_write", vec![Arg::Buffer(Slot(0)), Arg::U64(words), Arg::U32(1)])];
    let (bindings, outputs) = (vec![vec![buffer]], vec![buffer]);
    let recorded = device.record(&Program { steps, bindings, outputs, submit: Submit::Stream })?;
    let timings = device.run(recorded, &window(5, 30))?;
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
