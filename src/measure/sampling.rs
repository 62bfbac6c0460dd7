//! Samples of one recorded program: how many repeats each needs, the warm-up, the sampling itself, and
//! the rules that reject a sample.

use std::time::Instant;

use crate::device::{Detail, Device, DeviceError, ProgramId, Start, Timing, Wait, Window};
use crate::measure::telemetry::{Around, POWER_CAP, Telemetry, link_during};
use crate::record::{Link, Protocol, Rejection, Sample, StopReason, TimerInfo, WarmUp};
use crate::stats::{Sorted, Stop, StoppingRule, median_interval, settled};
use crate::summary::{CONFIDENCE, Estimate};
use crate::units::{Ratio, Seconds};

/// Length aimed at for one window: long against the accounting of stolen time (10 ms steps), short
/// against drift.
const WINDOW_S: f64 = 0.2;

/// A sample must last this many steps of the timer, so that a step is 0.1 % of it.
const RESOLUTIONS: f64 = 1000.0;

/// Samples in a block of the warm-up: enough for a median.
const WARM_UP_BLOCK: u32 = 3;

/// Fewest blocks of a warm-up that is called unsettled.
const WARM_UP_BLOCKS: usize = 4;

/// Change between blocks of the warm-up below which the rate counts as settled.
const SETTLED: f64 = 0.01;

/// Length of the window in which the link is looked at: it wakes within milliseconds, and is looked at every ten.
const LINK_S: f64 = 0.15;

/// Share of a sample lost to other work above which it is rejected: well above timer interrupts, below
/// what moves a median visibly.
const LOST_MAX: f64 = 0.02;

/// What a device drew in a sustained window.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Energy {
    /// Joules.
    pub drawn_j: f64,
    /// Seconds in which it drew them.
    pub lasted_s: f64,
}

/// After a window in which the power limit held the clock down, a burst rests for so many times the window: without a
/// rest its samples would be half burst, half sustained load. (On an H100 the clock fell further after about half a second of them.)
const RESTS: f64 = 2.0;

/// Clock, as a share of the case's median clock, below which a sample is rejected.
const CLOCK_LEAST: f64 = 0.9;

/// Disagreement of device and host time at which a sample is rejected. Host time includes submission, so
/// only samples of some length are held against it.
const CLOCKS_DISAGREE: f64 = 0.02;

/// Shortest sample whose device time is held against the host clock.
const COMPARABLE_S: f64 = 0.005;

/// A program under measurement, with the number of repeats that makes a sample long enough.
pub struct Sampler<'a> {
    device: &'a mut dyn Device,
    program: ProgramId,
    wait: Wait,
    deadline: Seconds,
    /// Rows of bindings.
    rows: u32,
    /// How finely samples are timed; everything before them as a whole.
    pub detail: Detail,
    /// Repeats in each sample.
    pub repeats: u32,
    /// The shorter of the two samples that set the number of repeats.
    pub took: Seconds,
    /// What the device drew in a sustained window, where it counts that.
    pub energy: Option<Energy>,
    /// What the device's driver did not tell of its state, each with the reason.
    pub untold: Vec<String>,
    per_window: u32,
}

impl<'a> Sampler<'a> {
    /// Finds the number of repeats at which one sample lasts `sample_min`, and a thousand steps of the timer.
    pub fn calibrate(
        device: &'a mut dyn Device,
        program: ProgramId,
        rows: u32,
        wait: Wait,
        sample_min: Seconds,
        deadline: Seconds,
    ) -> Result<Self, DeviceError> {
        let wanted = sample_min.get().max(device.timer().resolution_s.get() * RESOLUTIONS);
        let mut sampler = Self::resume(device, program, rows, wait, 1, deadline);
        // Grows at most tenfold at a time: the first repeats are cold and slow, and would set too few.
        let mut took = sampler.shortest()?;
        while took < wanted {
            let factor = (1.05 * wanted / took.max(1e-9)).clamp(1.0, 10.0);
            let repeats = (f64::from(sampler.repeats) * factor).ceil();
            if repeats > f64::from(u32::MAX / 64) {
                break;
            }
            sampler.repeats = (repeats as u32).max(sampler.repeats + 1);
            took = sampler.shortest()?;
        }
        sampler.took = Seconds::new(took).unwrap_or(Seconds::ZERO);
        sampler.per_window = ((WINDOW_S / took.max(1e-9)).clamp(1.0, 16.0) as u32).max(sampler.rotation());
        Ok(sampler)
    }

    /// A program whose number of repeats is known.
    pub fn resume(
        device: &'a mut dyn Device,
        program: ProgramId,
        rows: u32,
        wait: Wait,
        repeats: u32,
        deadline: Seconds,
    ) -> Self {
        Self {
            device,
            program,
            wait,
            deadline,
            rows,
            detail: Detail::Whole,
            repeats,
            took: Seconds::ZERO,
            energy: None,
            untold: Vec::new(),
            per_window: 1,
        }
    }

    /// Samples that a window needs to go through all rows of bindings: with fewer, the first rows would be
    /// used over and over, and stay in a cache.
    pub fn rotation(&self) -> u32 {
        self.rows.div_ceil(self.repeats)
    }

    /// Shortest of two samples, in seconds.
    fn shortest(&mut self) -> Result<f64, DeviceError> {
        let timings = self.window(2, Detail::Whole)?;
        Ok(timings.iter().map(|timing| timing.elapsed.get()).fold(f64::INFINITY, f64::min))
    }

    /// Runs one window of samples.
    pub fn window(&mut self, samples: u32, detail: Detail) -> Result<Vec<Timing>, DeviceError> {
        self.window_from(Start::Queued, samples, detail)
    }

    fn window_from(&mut self, start: Start, samples: u32, detail: Detail) -> Result<Vec<Timing>, DeviceError> {
        let Self { repeats, wait, deadline, .. } = *self;
        self.device.run(self.program, &Window { samples, repeats, detail, start, wait, deadline })
    }

    /// How the link to the host is while the program runs, in a window of its own that nobody times: asking takes a lock
    /// that launches need. `None` of devices that nobody can be asked about.
    pub fn link(&mut self) -> Result<Option<Link>, DeviceError> {
        let took = self.shortest()?;
        let samples = (LINK_S / took.max(1e-9)).ceil().clamp(1.0, f64::from(u32::MAX)) as u32;
        let device = self.device.info().clone();
        let (ran, link) = link_during(&device, || self.window_from(Start::Immediate, samples, Detail::Whole));
        ran.map(|_| link)
    }

    /// Runs short blocks until the rate settles, at least and at most for the protocol's times; never fewer
    /// blocks than it takes to see that it has settled.
    pub fn warm_up(&mut self, protocol: &Protocol) -> Result<WarmUp, DeviceError> {
        let (mut spent, mut windows, mut medians) = (Seconds::ZERO, 0, Vec::new());
        loop {
            let timings = self.window(self.per_window.min(WARM_UP_BLOCK).max(self.rotation()), Detail::Whole)?;
            spent = timings.iter().map(|timing| timing.host_elapsed).sum::<Seconds>() + spent;
            windows += 1;
            // A window that goes through many rows of bindings is long enough to show by itself whether the rate settles.
            let block = timings.len().div_ceil(WARM_UP_BLOCKS).max(WARM_UP_BLOCK as usize);
            medians.extend(timings.chunks(block).filter_map(median));
            let settled = settled(&medians, SETTLED);
            let late = spent >= protocol.warm_up_max_s && medians.len() >= WARM_UP_BLOCKS;
            if spent >= protocol.warm_up_min_s && settled || late {
                return Ok(WarmUp { elapsed_s: spent, windows, settled });
            }
        }
    }

    /// Keeps the device busy without a pause: one window as a warm-up, then one that counts, each of about `lasting`.
    pub fn sustain(
        &mut self,
        protocol: &Protocol,
        lasting: Seconds,
    ) -> Result<(WarmUp, Vec<Sample>, StopReason), DeviceError> {
        let took = self.shortest()?;
        let wanted = (lasting.get() / took.max(1e-9)).ceil().clamp(1.0, f64::from(u32::MAX)) as u32;
        let samples =
            wanted.clamp(protocol.samples_min, protocol.samples_max.max(protocol.samples_min)).max(self.rotation());
        let before = self.window_from(Start::Immediate, samples, Detail::Whole)?;
        let mut telemetry = Telemetry::start(self.device.info());
        let drawn = telemetry.energy_j();
        let begun = Instant::now();
        let timings = self.window_from(Start::Immediate, samples, Detail::Whole)?;
        let lasted_s = begun.elapsed().as_secs_f64();
        // A counter moves a few times a second: a window cut short tells nothing.
        let whole = lasted_s >= lasting.get();
        self.energy = drawn
            .zip(telemetry.energy_j())
            .filter(|_| whole)
            .map(|(before, after)| Energy { drawn_j: after - before, lasted_s });
        let around = telemetry.since_last();
        self.untold = telemetry.untold().to_vec();

        let third = before.len().div_ceil(3);
        let medians: Vec<f64> = before.chunks(third.max(1)).filter_map(median).collect();
        let elapsed_s = before.iter().map(|timing| timing.host_elapsed).sum();
        let warm_up = WarmUp { elapsed_s, windows: 1, settled: settled(&medians, SETTLED) };
        let (mut taken, mut spent): (Vec<Sample>, _) = (Vec::new(), Seconds::ZERO);
        for timing in timings {
            let length = timing.host_elapsed;
            taken.push(sample_of(timing, spent, &around, self.device.timer()));
            spent = spent + length;
        }
        reject_low_clocks(&mut taken);
        let series: Vec<f64> = accepted(&taken).collect();
        let precise = estimate(&series, self.repeats)
            .is_some_and(|estimate| estimate.half_width().get() <= protocol.half_width_target.get());
        Ok((warm_up, taken, if precise { StopReason::Precise } else { StopReason::TimeLimit }))
    }

    /// Takes samples until the stopping rule or the time limit ends it. `progress` hears the running
    /// estimate of a repeat's time after every window.
    pub fn sample(
        &mut self,
        protocol: &Protocol,
        progress: &mut dyn FnMut(u32, Option<Estimate>),
    ) -> Result<(Vec<Sample>, StopReason), DeviceError> {
        let (least, most) = (protocol.samples_min as usize, protocol.samples_max as usize);
        let mut rule = StoppingRule::new(least, most, protocol.half_width_target.get(), CONFIDENCE);
        // Asked by a reader of its own: what it reads is kept for a while, and must not pass for the first window's.
        let mut capped = Telemetry::start(self.device.info()).since_last().is_capped();
        let mut telemetry = Telemetry::start(self.device.info());
        let (mut samples, mut spent): (Vec<Sample>, _) = (Vec::new(), Seconds::ZERO);
        let mut window_s = protocol.warm_up_min_s;
        loop {
            if capped {
                std::thread::sleep(std::time::Duration::from_secs_f64(RESTS * window_s.get()));
            }
            let left = protocol.samples_max.saturating_sub(samples.len() as u32).max(1);
            let timings = self.window(self.per_window.min(left).max(self.rotation()), self.detail)?;
            let around = telemetry.since_last();
            self.untold = telemetry.untold().to_vec();
            capped = around.is_capped();
            window_s = timings.iter().map(|timing| timing.host_elapsed).sum();
            for timing in timings {
                samples.push(sample_of(timing, spent, &around, self.device.timer()));
                spent = spent + samples.last().map_or(Seconds::ZERO, |sample| sample.host_elapsed_s);
            }
            reject_low_clocks(&mut samples);
            let series: Vec<f64> = accepted(&samples).collect();
            progress(samples.len() as u32, estimate(&series, self.repeats));
            let stop = match rule.decide(&series) {
                Some(Stop::Precise) => Some(StopReason::Precise),
                Some(Stop::Plateau) => Some(StopReason::Plateau),
                Some(Stop::SampleLimit) => Some(StopReason::SampleLimit),
                None if samples.len() as u32 >= protocol.samples_max => Some(StopReason::SampleLimit),
                None if spent >= protocol.time_max_s => Some(StopReason::TimeLimit),
                None => None,
            };
            if let Some(stop) = stop {
                return Ok((samples, stop));
            }
        }
    }
}

/// The median time of some samples; `None` of none.
fn median(timings: &[Timing]) -> Option<f64> {
    Sorted::new(timings.iter().map(|timing| timing.elapsed.get())).map(|sorted| sorted.median())
}

fn accepted(samples: &[Sample]) -> impl Iterator<Item = f64> {
    samples.iter().filter(|sample| sample.rejected.is_none()).map(|sample| sample.elapsed_s.get())
}

/// The running estimate of a repeat's time; `None` before there is an accepted sample.
fn estimate(series: &[f64], repeats: u32) -> Option<Estimate> {
    let sorted = Sorted::new(series.iter().map(|elapsed| elapsed / f64::from(repeats)))?;
    let interval = median_interval(&sorted, sorted.len() as f64, CONFIDENCE);
    Some(Estimate { value: sorted.median(), low: interval.low, high: interval.high })
}

/// A device's timing as a sample, judged by what happened around it.
fn sample_of(timing: Timing, at: Seconds, around: &Around, timer: &TimerInfo) -> Sample {
    let host = &around.host;
    let over = |share: Option<Ratio>| share.is_some_and(|share| !(share.get() <= LOST_MAX));
    let rejected = if !(timing.elapsed > Seconds::ZERO) || disagrees(&timing, timer) {
        Some(Rejection::TimerDisagrees)
    } else if around.faulty {
        Some(Rejection::Throttled)
    } else if over(host.quota_throttled) {
        Some(Rejection::QuotaThrottled)
    } else if over(host.stolen) {
        Some(Rejection::Stolen)
    } else if over(timing.preempted) {
        Some(Rejection::Preempted)
    } else {
        None
    };
    Sample {
        at_s: at,
        elapsed_s: timing.elapsed,
        host_elapsed_s: timing.host_elapsed,
        clock_hz: timing.clock,
        memory_clock_hz: around.memory_clock,
        power_w: around.power,
        temperature_c: around.temperature,
        preempted: timing.preempted,
        stolen: host.stolen,
        quota_throttled: host.quota_throttled,
        throttle: around.throttle.clone(),
        steps_s: timing.steps,
        rejected,
    }
}

/// Whether a device clock that is not the host's own contradicts it.
fn disagrees(timing: &Timing, timer: &TimerInfo) -> bool {
    let (device, host) = (timing.elapsed.get(), timing.host_elapsed.get());
    timer.agreement.is_some() && host >= COMPARABLE_S && !((device / host - 1.0).abs() <= CLOCKS_DISAGREE)
}

/// Rejects samples whose clock is well below the median of all, and takes that judgement back where the
/// median has moved. A clock that the power limit holds down is the card's own, and no disturbance.
fn reject_low_clocks(samples: &mut [Sample]) {
    let Some(clocks) = Sorted::new(samples.iter().filter_map(|sample| sample.clock_hz).map(f64::from)) else { return };
    let least = CLOCK_LEAST * clocks.median();
    for sample in samples {
        let capped = sample.throttle.iter().any(|reason| reason == POWER_CAP);
        let low = !capped && sample.clock_hz.is_some_and(|clock| clock.get() < least);
        match sample.rejected {
            None if low => sample.rejected = Some(Rejection::ClockDropped),
            Some(Rejection::ClockDropped) if !low => sample.rejected = None,
            _ => {}
        }
    }
}
