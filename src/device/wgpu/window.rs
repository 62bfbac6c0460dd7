//! Timed windows: a program's repeats as compute passes, and what each sample cost.
//!
//! A sample is one pass, or several where it would hold the device for so long that a watchdog might end it;
//! each pass is a submission of its own. All passes of a window are recorded before the first is submitted,
//! so that little lies between one's end and the next one's begin. While the host waits after each repeat
//! ([`Wait::AfterEachRepeat`]) recording, submitting and waiting are what is measured, by the host's clock.

use std::ops::Range;
use std::time::{Duration, Instant};

use super::gpu::Gpu;
use super::program::Recorded;
use super::timer::{self, Stamps};
use crate::device::{Detail, DeviceError, Timing, Wait, Window};
use crate::units::Seconds;

/// Longest time that one submission is to hold the device, in seconds: watchdogs wait for two.
const SUBMISSION_S: f64 = 0.25;
/// Dispatches of one pass, at most.
const PASS_MAX: u64 = 50_000;
/// Dispatches recorded ahead, at most, for the host's memory's sake.
const AHEAD_MAX: u64 = 200_000;
/// Time recorded ahead, at most, so that a deadline is noticed.
const AHEAD_S: f64 = 2.0;

/// A part of a sample that is submitted as one pass.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Chunk {
    sample: usize,
    /// The step it belongs to, where steps are timed.
    step: usize,
    /// Dispatches, counted over all samples.
    range: Range<u64>,
}

/// Where passes must end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    Sample,
    Repeat,
    Step,
}

/// Cuts a window into chunks of at most `most` dispatches.
struct Cut<'a> {
    /// The step of each dispatch of a repeat.
    steps: &'a [usize],
    repeats: u64,
    samples: u64,
    end: End,
    most: u64,
    at: u64,
}

impl Iterator for Cut<'_> {
    type Item = Chunk;

    fn next(&mut self) -> Option<Chunk> {
        let per_repeat = self.steps.len() as u64;
        let per_sample = per_repeat * self.repeats;
        if self.at >= per_sample * self.samples {
            return None;
        }
        let (sample, within) = (self.at / per_sample, (self.at % per_repeat) as usize);
        let step = self.steps[within];
        let border = match self.end {
            End::Sample => (sample + 1) * per_sample,
            End::Repeat => self.at - within as u64 + per_repeat,
            End::Step => {
                let rest = self.steps[within..].iter().take_while(|other| **other == step).count();
                self.at + rest as u64
            }
        };
        let range = self.at..border.min(self.at + self.most.max(1));
        self.at = range.end;
        Some(Chunk { sample: sample as usize, step, range })
    }
}

/// What a sample has cost so far.
#[derive(Debug, Clone, Default)]
struct Cost {
    /// Seconds of the device's clock, or why there is no such number.
    device_s: f64,
    /// A reading that cannot be.
    unreadable: bool,
    host_s: f64,
    steps_s: Vec<f64>,
}

/// A window's time limit.
struct Watch {
    start: Instant,
    deadline: Seconds,
}

impl Watch {
    /// What is left of it.
    fn left(&self) -> Result<Duration, DeviceError> {
        let deadline = Duration::try_from_secs_f64(self.deadline.get()).unwrap_or(Duration::MAX);
        match deadline.checked_sub(self.start.elapsed()) {
            Some(left) if left > Duration::ZERO => Ok(left),
            _ => Err(DeviceError::Deadline(self.deadline)),
        }
    }

    fn wait(&self, gpu: &Gpu, submission: wgpu::SubmissionIndex) -> Result<(), DeviceError> {
        gpu.wait("run", Some(submission), self.left()?).map_err(|error| match error {
            DeviceError::Deadline(_) => DeviceError::Deadline(self.deadline),
            other => other,
        })
    }
}

/// Runs a window and gives a timing per sample. Without stamps the host's clock times each pass, which is then
/// submitted only when the one before it has ended.
pub(super) fn run(
    gpu: &Gpu,
    stamps: Option<&Stamps>,
    program: &mut Recorded,
    window: &Window,
) -> Result<Vec<Timing>, DeviceError> {
    let watch = Watch { start: Instant::now(), deadline: window.deadline };
    let per_step = window.detail == Detail::PerStep;
    let interactive = window.wait == Wait::AfterEachRepeat;
    let stamps = stamps.filter(|_| !interactive);
    let cut = Cut {
        steps: &program.steps,
        repeats: u64::from(window.repeats),
        samples: u64::from(window.samples),
        end: match (per_step, interactive) {
            (true, _) => End::Step,
            (false, true) => End::Repeat,
            (false, false) => End::Sample,
        },
        most: ((SUBMISSION_S / program.dispatch_s.max(1e-9)) as u64).clamp(1, PASS_MAX),
        at: 0,
    };
    let empty = Cost { steps_s: vec![0.0; if per_step { program.step_count } else { 0 }], ..Cost::default() };
    let mut costs = vec![empty; window.samples as usize];
    let mut chunks = cut.peekable();
    let mut dispatches = 0;
    while chunks.peek().is_some() {
        let ahead = match stamps {
            Some(_) => Ahead { passes: timer::PASSES as usize, dispatches: AHEAD_MAX, seconds: AHEAD_S },
            None => Ahead { passes: 1, dispatches: 1, seconds: 0.0 },
        };
        let batch = ahead.take(&mut chunks, program.dispatch_s);
        dispatches += batch.iter().map(|chunk| chunk.range.end - chunk.range.start).sum::<u64>();
        match stamps {
            Some(stamps) => stamped(gpu, stamps, program, &batch, &watch, &mut costs)?,
            None => by_host(gpu, program, &batch, &watch, &mut costs)?,
        }
    }
    let host_s: f64 = costs.iter().map(|cost| cost.host_s).sum();
    if dispatches > 0 {
        program.dispatch_s = host_s / dispatches as f64;
    }
    Ok(costs.into_iter().map(|cost| timing(cost, stamps.is_some())).collect())
}

/// How much is recorded before it is submitted.
struct Ahead {
    passes: usize,
    dispatches: u64,
    seconds: f64,
}

impl Ahead {
    /// The next chunks: at least one.
    fn take(&self, chunks: &mut impl Iterator<Item = Chunk>, dispatch_s: f64) -> Vec<Chunk> {
        let mut batch = Vec::new();
        let mut dispatches = 0;
        while batch.len() < self.passes
            && (batch.is_empty() || dispatches < self.dispatches && dispatches as f64 * dispatch_s < self.seconds)
        {
            let Some(chunk) = chunks.next() else { break };
            dispatches += chunk.range.end - chunk.range.start;
            batch.push(chunk);
        }
        batch
    }
}

/// Records a chunk as one pass.
fn encode(
    gpu: &Gpu,
    program: &Recorded,
    chunk: &Chunk,
    writes: Option<wgpu::ComputePassTimestampWrites<'_>>,
) -> Result<wgpu::CommandBuffer, DeviceError> {
    let (per_repeat, rows) = (program.steps.len() as u64, program.rows.len() as u64);
    gpu.guarded("run", |gpu| {
        let mut encoder = gpu.device.create_command_encoder(&Default::default());
        let mut pass =
            encoder.begin_compute_pass(&wgpu::ComputePassDescriptor { label: None, timestamp_writes: writes });
        let (mut pipeline, mut group) = (None, None);
        for position in chunk.range.clone() {
            let row = (position / per_repeat % rows) as usize;
            let bound = &program.rows[row][(position % per_repeat) as usize];
            if pipeline != Some(&bound.pipeline) {
                pass.set_pipeline(&bound.pipeline);
                pipeline = Some(&bound.pipeline);
                group = None;
            }
            if group != Some(&bound.group) {
                pass.set_bind_group(0, &bound.group, &[]);
                group = Some(&bound.group);
            }
            pass.dispatch_workgroups(bound.grid[0], bound.grid[1], bound.grid[2]);
        }
        drop(pass);
        encoder.finish()
    })
}

/// Runs chunks one after another, timed by the device.
fn stamped(
    gpu: &Gpu,
    stamps: &Stamps,
    program: &Recorded,
    batch: &[Chunk],
    watch: &Watch,
    costs: &mut [Cost],
) -> Result<(), DeviceError> {
    let mut commands = Vec::with_capacity(batch.len());
    for (query, chunk) in (0..).step_by(2).zip(batch) {
        watch.left()?;
        let writes = wgpu::ComputePassTimestampWrites {
            query_set: &stamps.set,
            beginning_of_pass_write_index: Some(query),
            end_of_pass_write_index: Some(query + 1),
        };
        commands.push(encode(gpu, program, chunk, Some(writes))?);
    }
    let mut host_s = Vec::with_capacity(batch.len());
    for command in commands {
        // One at a time: some drivers do the work inside the submission, and the host's clock could not tell one
        // pass from the next.
        let start = Instant::now();
        let submission = gpu.guarded("run", |gpu| gpu.queue.submit([command]))?;
        watch.wait(gpu, submission)?;
        let elapsed_s = start.elapsed().as_secs_f64();
        host_s.push(elapsed_s - stamps.round_trip_s.min(elapsed_s / 2.0));
    }
    for ((chunk, pair), host_s) in batch.iter().zip(stamps.read(gpu, batch.len() as u32)?).zip(host_s) {
        let device_s = timer::between(pair, stamps.period_s, host_s);
        add(&mut costs[chunk.sample], chunk.step, device_s, host_s);
    }
    Ok(())
}

/// Runs chunks one by one, each recorded, submitted and waited for while the host's clock runs.
fn by_host(
    gpu: &Gpu,
    program: &Recorded,
    batch: &[Chunk],
    watch: &Watch,
    costs: &mut [Cost],
) -> Result<(), DeviceError> {
    for chunk in batch {
        watch.left()?;
        let start = Instant::now();
        let command = encode(gpu, program, chunk, None)?;
        let submission = gpu.guarded("run", |gpu| gpu.queue.submit([command]))?;
        watch.wait(gpu, submission)?;
        let host_s = start.elapsed().as_secs_f64();
        add(&mut costs[chunk.sample], chunk.step, Some(host_s), host_s);
    }
    Ok(())
}

fn add(cost: &mut Cost, step: usize, device_s: Option<f64>, host_s: f64) {
    cost.host_s += host_s;
    match device_s {
        Some(seconds) => {
            cost.device_s += seconds;
            if let Some(total) = cost.steps_s.get_mut(step) {
                *total += seconds;
            }
        }
        None => cost.unreadable = true,
    }
}

/// A sample whose stamps cannot be is given no time, which the protocol rejects.
fn timing(cost: Cost, by_device: bool) -> Timing {
    let seconds = |value: f64| Seconds::new(value).unwrap_or(Seconds::ZERO);
    let elapsed = match (by_device, cost.unreadable) {
        (true, true) => Seconds::ZERO,
        (true, false) => seconds(cost.device_s),
        (false, _) => seconds(cost.host_s),
    };
    Timing {
        elapsed,
        host_elapsed: seconds(cost.host_s),
        clock: None,
        preempted: None,
        steps: cost.steps_s.into_iter().map(seconds).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cut(steps: &[usize], end: End, most: u64) -> Vec<Chunk> {
        Cut { steps, repeats: 3, samples: 2, end, most, at: 0 }.collect()
    }

    #[test]
    fn chunks_cover_a_window_in_order_and_end_where_they_must() {
        let steps = [0, 0, 1, 2];
        for end in [End::Sample, End::Repeat, End::Step] {
            for most in [1, 2, 3, 5, 100] {
                let chunks = cut(&steps, end, most);
                let mut next = 0;
                for chunk in &chunks {
                    assert_eq!(chunk.range.start, next);
                    next = chunk.range.end;
                    assert!(next - chunk.range.start <= most);
                    let last = next - 1;
                    assert_eq!([chunk.range.start / 12, last / 12], [chunk.sample as u64; 2], "{end:?}");
                    if end != End::Sample {
                        assert_eq!(chunk.range.start / 4, last / 4, "{end:?}");
                    }
                    if end == End::Step {
                        assert_eq!(steps[(chunk.range.start % 4) as usize], chunk.step);
                        assert_eq!(steps[(last % 4) as usize], chunk.step);
                    }
                }
                assert_eq!(next, 24, "{end:?} {most}");
            }
        }
        assert_eq!(cut(&steps, End::Sample, 100).len(), 2);
        assert_eq!(cut(&steps, End::Repeat, 100).len(), 6);
        assert_eq!(cut(&steps, End::Step, 100).len(), 18);
    }

    #[test]
    fn a_sample_with_an_unreadable_pass_has_no_time() {
        let mut cost = Cost { steps_s: vec![0.0; 2], ..Cost::default() };
        add(&mut cost, 0, Some(0.25), 0.5);
        add(&mut cost, 1, Some(0.5), 0.5);
        let whole = timing(cost.clone(), true);
        assert_eq!((whole.elapsed.get(), whole.host_elapsed.get()), (0.75, 1.0));
        assert_eq!(whole.steps.iter().map(|step| step.get()).collect::<Vec<_>>(), [0.25, 0.5]);
        assert_eq!(timing(cost.clone(), false).elapsed.get(), 1.0);
        add(&mut cost, 0, None, 0.5);
        assert_eq!(timing(cost, true).elapsed, Seconds::ZERO);
    }
}
