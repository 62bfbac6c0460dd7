//! What a kernel is put through: the benchmarks' own cases with the benchmarks' own checks, then launches that no
//! benchmark makes, whose results must be those of the kernel as it is.

use std::collections::BTreeMap;

use rooflint::device::{
    BufferId, Detail, Device, DeviceError, Pattern, Place, Program, Start, Step, Submit, Wait, Window,
};
use rooflint::record::Case;
use rooflint::suite::{self, Benchmark, Outputs};
use rooflint::units::{ByteCount, Seconds};

use crate::cases::{self, Direct, Filling};
use crate::{clocks, products};

/// Whether what runs is right.
pub enum Verdict {
    Right,
    /// What was noticed.
    Wrong(String),
    /// The device is lost to this process; why.
    Lost(String),
}

impl From<DeviceError> for Verdict {
    fn from(error: DeviceError) -> Self {
        if error.is_fatal() { Self::Lost(error.to_string()) } else { Self::Wrong(error.to_string()) }
    }
}

/// Buffers after a launch.
type Results = Vec<Vec<u8>>;

/// Cases of an entry point that are run by every way.
const EVERY_WAY: usize = 4;

/// A device that kernels are tried on.
pub struct Bench {
    device: Box<dyn Device>,
    /// What kernels leave as they are, by entry point and launch.
    right: BTreeMap<(String, usize), Results>,
}

impl Bench {
    pub fn new(device: Box<dyn Device>) -> Self {
        Self { device, right: BTreeMap::new() }
    }

    /// Tries an entry point of a kernel; if `brief`, a product's on its first cases alone. `aside` has the kernel's own code run for as long as the work takes.
    pub fn trial(&mut self, kernel: &str, entry: &str, brief: bool, aside: &dyn Fn(&mut dyn FnMut())) -> Verdict {
        let mark = self.device.mark();
        let verdict = match self.attempt(kernel, entry, brief, aside) {
            Ok(()) => Verdict::Right,
            Err(verdict) => verdict,
        };
        match self.device.release(mark) {
            Err(error) if !matches!(verdict, Verdict::Lost(_)) => Verdict::Lost(error.to_string()),
            _ => verdict,
        }
    }

    fn attempt(
        &mut self,
        kernel: &str,
        entry: &str,
        brief: bool,
        aside: &dyn Fn(&mut dyn FnMut()),
    ) -> Result<(), Verdict> {
        match kernel {
            "pattern" => return self.patterns(),
            "latch" | "stamp" => return clocks::tell(self.device.as_mut()),
            _ => {}
        }
        let units = self.device.info().compute_units;
        let (mut cases, directs) = (cases::of(kernel, entry, units), cases::direct(kernel, entry, units));
        if brief && kernel.starts_with("matmul") {
            cases.truncate(products::WITHOUT_EDGES);
        }
        let mut ways = 0;
        // Those of fma are a thousandth of its case.
        let directs_first = kernel == "fma";
        for directs_now in [directs_first, !directs_first] {
            if directs_now {
                for (index, direct) in directs.iter().enumerate() {
                    ways += self.direct(index, direct, entry, aside)?;
                }
            } else {
                for (index, case) in cases.iter().enumerate() {
                    ways += self.case(case, entry, index)?;
                }
            }
        }
        if ways == 0 { Err(Verdict::Wrong(format!("nothing runs '{entry}'"))) } else { Ok(()) }
    }

    /// Runs a case: the first ones by every way that uses the entry point, later ones, which are larger, by the first.
    /// The number of ways.
    fn case(&mut self, case: &Case, entry: &str, index: usize) -> Result<usize, Verdict> {
        let device = self.device.as_mut();
        let unknown = || Verdict::Wrong(format!("no benchmark '{}'", case.benchmark));
        let benchmark = suite::find(&case.benchmark).ok_or_else(unknown)?;
        let mark = device.mark();
        let stopped = |stop| match stop {
            suite::Stop::Device(error) => Verdict::from(error),
            suite::Stop::Skip(why) => Verdict::Wrong(why),
        };
        let mut program = benchmark.prepare(case, device).map_err(stopped)?;
        // Copies of an operand are for caches, and there are none.
        if matches!(program.steps[0], Step::Matmul { .. }) {
            program.bindings.truncate(1);
        }
        let mut ways = ways(device, &program.steps[0], entry)?;
        if index >= EVERY_WAY {
            ways.truncate(1);
        }
        for way in &ways {
            let inner = device.mark();
            program.steps[0] = way.clone();
            // Every step of every row runs once as it is made ready.
            let recorded = device.record(&program)?;
            check(device, benchmark, case, &program)?;
            poison(device, &program)?;
            if index == 0 {
                // What one launch leaves behind is there for the next.
                device.run(recorded, &window(1, program.bindings.len() as u32 + 1))?;
                check(device, benchmark, case, &program)?;
                poison(device, &program)?;
            }
            device.release(inner)?;
        }
        device.release(mark)?;
        Ok(ways.len())
    }

    /// As [`Bench::case`], by the first way, for a launch that no benchmark makes.
    fn direct(
        &mut self,
        index: usize,
        direct: &Direct,
        entry: &str,
        aside: &dyn Fn(&mut dyn FnMut()),
    ) -> Result<usize, Verdict> {
        let ways = ways(self.device.as_mut(), &direct.step(), entry)?;
        for way in ways.iter().take(1) {
            let key = (entry.to_owned(), index);
            if !self.right.contains_key(&key) {
                let mut right = Ok(Vec::new());
                aside(&mut || right = results(self.device.as_mut(), direct, way));
                self.right.insert(key.clone(), right?);
            }
            let found = results(self.device.as_mut(), direct, way)?;
            let differs = found.iter().zip(&self.right[&key]).position(|(found, right)| found != right);
            if let Some(buffer) = differs {
                return Err(Verdict::Wrong(format!("{direct:?}: output {buffer} is not what the kernel leaves")));
            }
        }
        Ok(ways.len())
    }

    /// Fills buffers of many sizes with every pattern.
    fn patterns(&mut self) -> Result<(), Verdict> {
        let device = self.device.as_mut();
        for words in cases::FILLED_WORDS {
            let mut expected = vec![0; words];
            for pattern in cases::patterns() {
                let mark = device.mark();
                let buffer = device.alloc(ByteCount(4 * words as u64), Place::Device)?;
                device.fill(buffer, pattern)?;
                pattern.words_into(0, &mut expected);
                let found = bytes(device, buffer, words)?;
                let found = found.as_chunks::<4>().0.iter().map(|word| u32::from_le_bytes(*word));
                if let Some(word) = found.zip(&expected).position(|(found, expected)| found != *expected) {
                    return Err(Verdict::Wrong(format!("word {word} of {words} of {pattern:?}")));
                }
                device.release(mark)?;
            }
        }
        Ok(())
    }
}

/// The ways to run a step that use an entry point: their names begin with the last part of its name, or are what a
/// product's ends with. Ways that are no more than a number of threads differ in nothing but that.
fn ways(device: &mut dyn Device, step: &Step, entry: &str) -> Result<Vec<Step>, DeviceError> {
    let part = entry.rsplit('_').next().unwrap_or(entry);
    let uses = |option: &Step| match option {
        Step::Matmul { plan, .. } => entry.ends_with(plan),
        other => {
            let first = other.variant().split('_').next();
            first == Some(part) || ["only", "threads"].map(Some).contains(&first)
        }
    };
    Ok(device.options(step)?.into_iter().filter(uses).collect())
}

pub fn window(samples: u32, repeats: u32) -> Window {
    let deadline = Seconds::new(20.0).unwrap_or(Seconds::ZERO);
    Window { samples, repeats, detail: Detail::Whole, start: Start::Queued, wait: Wait::AfterAll, deadline }
}

fn poison(device: &mut dyn Device, program: &Program) -> Result<(), DeviceError> {
    program.outputs.iter().try_for_each(|output| device.fill(*output, Pattern::Poison))
}

fn check(device: &mut dyn Device, benchmark: &dyn Benchmark, case: &Case, program: &Program) -> Result<(), Verdict> {
    match benchmark.check(case, &mut Held { device, buffers: &program.outputs }) {
        Ok(_) => Ok(()),
        Err(suite::CheckError::Device(error)) => Err(error.into()),
        Err(suite::CheckError::Wrong(failure)) => Err(Verdict::Wrong(format!("{}: {failure:?}", case.key()))),
    }
}

/// A program's outputs, read from the device.
struct Held<'a> {
    device: &'a mut dyn Device,
    buffers: &'a [BufferId],
}

impl Outputs for Held<'_> {
    fn read(&mut self, index: usize, at: ByteCount, into: &mut [u8]) -> Result<(), DeviceError> {
        self.device.read(self.buffers[index], at, into)
    }
}

/// What a launch leaves in the buffers that it writes: those that were poisoned.
fn results(device: &mut dyn Device, direct: &Direct, way: &Step) -> Result<Results, DeviceError> {
    let mark = device.mark();
    let mut row = Vec::new();
    for (words, filling) in &direct.buffers {
        let buffer = device.alloc(ByteCount(4 * *words as u64), Place::Device)?;
        match filling {
            Filling::Pattern(pattern) => device.fill(buffer, *pattern)?,
            Filling::Words(word) => {
                let bytes: Vec<u8> = (0..*words as u32).flat_map(|index| word(index).to_le_bytes()).collect();
                device.write(buffer, ByteCount::ZERO, &bytes)?;
            }
        }
        row.push(buffer);
    }
    let program =
        Program { steps: vec![way.clone()], bindings: vec![row.clone()], outputs: vec![], submit: Submit::Stream };
    device.record(&program)?;
    let outputs = row.iter().zip(&direct.buffers).filter(|(_, (_, filling))| filling.is_poison());
    let held = outputs.map(|(buffer, (words, _))| bytes(device, *buffer, *words)).collect::<Result<_, _>>()?;
    device.release(mark)?;
    Ok(held)
}

fn bytes(device: &mut dyn Device, buffer: BufferId, words: usize) -> Result<Vec<u8>, DeviceError> {
    let mut bytes = vec![0; 4 * words];
    device.read(buffer, ByteCount::ZERO, &mut bytes)?;
    Ok(bytes)
}
