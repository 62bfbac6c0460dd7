//! `launch`: what it costs to start work and to wait for it.

use super::check::{for_each_block, seed_of, wrong};
use super::{Axis, Benchmark, CheckError, Meta, Outputs, Profile, Request, Stop, THREADS, WORDS_ONLY, expand};
use crate::device::{Arg, Device, Pattern, Place, Program, Slot, Step, Submit, Wait};
use crate::record::{AxisValue, Case, CheckPassed, DeviceInfo, Quantity, Work};
use crate::units::{ByteCount, Ratio};

/// The row of this benchmark.
pub(super) struct Launch;

static META: Meta = Meta {
    id: "launch",
    question: "What does it cost to start a piece of work on this device and to wait for its end?",
    formula: "median time of a repeat of a kernel in which every thread writes one word",
    caveats: &[
        "after_all: launches follow one another and the host waits once. On a CPU the threads stay awake and meet at \
         a spinning barrier.",
        "after_each: the host waits for each launch before it makes the next, as an interactive caller would. On a \
         CPU the threads sleep in between, so the system's time to wake a thread is part of it; in a virtual machine \
         that may include waking the virtual processor.",
        "submit=graph: up to 512 launches are made ready once and started as one; the time is of each launch in it.",
    ],
    quantity: Quantity::Duration,
    axes: &[
        Axis { name: "threads", about: "compute units started: 1 to all of the device's", words: &[], range: THREADS },
        Axis { name: "wait", about: "when the host waits", words: &WAITS, range: WORDS_ONLY },
        Axis {
            name: "submit",
            about: "launch by launch (stream), or many made ready as one (graph), where the device has graphs",
            words: &SUBMITS,
            range: WORDS_ONLY,
        },
    ],
};

const WAITS: [&str; 2] = ["after_all", "after_each"];
const SUBMITS: [&str; 2] = ["stream", "graph"];

/// Words from one thread's slot to the next.
const SLOT: u64 = 16;

impl Benchmark for Launch {
    fn meta(&self) -> &'static Meta {
        &META
    }

    fn cases(&self, device: &DeviceInfo, request: &Request) -> Vec<Case> {
        // A quick run starts all units, as every other benchmark does.
        let mut threads = vec![1, u64::from(device.compute_units)];
        threads.dedup();
        if request.profile == Profile::Quick {
            threads.drain(..threads.len() - 1);
        }
        let threads = threads.into_iter().map(AxisValue::Count).collect();
        let waits = WAITS.map(AxisValue::from).to_vec();
        let has_graphs = device.features.iter().any(|feature| feature == "graph");
        let submits = if has_graphs { &SUBMITS[..] } else { &SUBMITS[..1] };
        let submits = submits.iter().map(|submit| AxisValue::from(*submit)).collect();
        let mut cases = expand(META.id, request, &[("threads", threads), ("wait", waits), ("submit", submits)]);
        // The host would wait for the graph, not for each of its launches.
        cases.retain(|case| (case.word("wait"), case.word("submit")) != (Some("after_each"), Some("graph")));
        cases
    }

    fn work(&self, _case: &Case) -> Work {
        Work::default()
    }

    fn footprint(&self, _device: &DeviceInfo, case: &Case) -> ByteCount {
        ByteCount(threads_of(case) * SLOT * 4)
    }

    fn prepare(&self, case: &Case, device: &mut dyn Device) -> Result<Program, Stop> {
        let (threads, units) = (threads_of(case), u64::from(device.info().compute_units));
        if threads > units {
            return Err(Stop::Skip(format!("{threads} threads asked for, the device has {units} compute units")));
        }
        let submit = if case.word("submit") == Some("graph") { Submit::Graph } else { Submit::Stream };
        if submit == Submit::Graph && !device.info().features.iter().any(|feature| feature == "graph") {
            return Err(Stop::Skip("the device has no graphs".to_owned()));
        }
        let output = device.alloc(self.footprint(device.info(), case), Place::Device)?;
        device.fill(output, Pattern::Poison)?;
        let args = vec![Arg::Buffer(Slot(0)), Arg::U64(threads), Arg::U32(token_of(case))];
        let mut step = Step::launch("empty", args);
        if let Step::Launch { grid, .. } = &mut step {
            grid[0] = threads as u32;
        }
        Ok(Program { steps: vec![step], bindings: vec![vec![output]], outputs: vec![output], submit })
    }

    fn wait(&self, case: &Case) -> Wait {
        match case.word("wait") {
            Some("after_each") => Wait::AfterEachRepeat,
            _ => Wait::AfterAll,
        }
    }

    fn check(&self, case: &Case, outputs: &mut dyn Outputs) -> Result<CheckPassed, CheckError> {
        let (threads, token) = (threads_of(case), token_of(case));
        for_each_block(outputs, 0, threads * SLOT, |start, block| {
            for (word, found) in (start..).zip(block).step_by(SLOT as usize) {
                let expected = token.wrapping_add((word / SLOT) as u32);
                if expected != *found {
                    return Err(wrong("out", word, format!("{expected:#010x}"), format!("{found:#010x}")));
                }
            }
            Ok(())
        })?;
        Ok(CheckPassed { compared: threads, worst: Ratio::ZERO })
    }
}

fn threads_of(case: &Case) -> u64 {
    case.count("threads").unwrap_or(1)
}

/// What the first thread writes; the others add their number.
fn token_of(case: &Case) -> u32 {
    Pattern::Words { seed: seed_of(case, 0) }.word(0)
}
