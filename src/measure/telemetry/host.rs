//! Processor time taken from this machine or process: by the hypervisor (steal), by a container's quota,
//! by other processes. Read from `/proc` and the control group; each is `None` where it cannot be read.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Instant;

use crate::units::{Ratio, Seconds};

/// What was taken between two readings, as shares of the time between them.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct HostShare {
    /// Share of the machine's processor time that the hypervisor gave to others.
    pub stolen: Option<Ratio>,
    /// Share of wall time for which the quota held this control group back (can exceed 1 with many threads).
    pub quota_throttled: Option<Ratio>,
}

/// A reader that remembers its last reading.
#[derive(Debug)]
pub struct Host {
    group: Option<PathBuf>,
    at: Instant,
    processor: Option<Processor>,
    throttled: Option<f64>,
}

impl Host {
    /// Takes a first reading.
    pub fn start() -> Self {
        let group = group_folder();
        let throttled = group.as_deref().and_then(throttled_seconds);
        Self { group, at: Instant::now(), processor: Processor::read(), throttled }
    }

    /// What was taken since the last call, or since the start.
    pub fn since_last(&mut self) -> HostShare {
        let (processor, now) = (Processor::read(), Instant::now());
        let throttled = self.group.as_deref().and_then(throttled_seconds);
        let stolen = match (&self.processor, &processor) {
            (Some(before), Some(after)) => Ratio::new((after.steal - before.steal) / (after.total - before.total)),
            _ => None,
        };
        let wall = (now - self.at).as_secs_f64();
        let quota_throttled = match (self.throttled, throttled) {
            (Some(before), Some(after)) => Ratio::new((after - before) / wall),
            _ => None,
        };
        (self.at, self.processor, self.throttled) = (now, processor, throttled);
        HostShare { stolen, quota_throttled }
    }
}

/// The machine's processor time since it started, in ticks of all cores together.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Processor {
    /// Everything.
    pub total: f64,
    /// Spent idle or waiting for input and output.
    pub idle: f64,
    /// Given to other machines by the hypervisor.
    pub steal: f64,
}

impl Processor {
    /// The first line of `/proc/stat`: user nice system idle iowait irq softirq steal (guest time is part of user).
    pub fn read() -> Option<Self> {
        let text = fs::read_to_string("/proc/stat").ok()?;
        let fields = text.lines().next()?.strip_prefix("cpu ")?;
        let ticks: Vec<f64> = fields.split_whitespace().take(8).map_while(|field| field.parse().ok()).collect();
        let &[_, _, _, idle, iowait, _, _, steal] = ticks.as_slice() else { return None };
        Some(Self { total: ticks.iter().sum(), idle: idle + iowait, steal })
    }

    /// Cores' worth of work done between two readings, by anyone, in a time: 1.0 is one busy core.
    pub fn busy_cores(&self, since: &Self, elapsed: Seconds) -> Option<Ratio> {
        // Ticks are hundredths of a second on every Linux a user meets (USER_HZ).
        let busy = (self.total - self.idle) - (since.total - since.idle);
        Ratio::new(busy / 100.0 / elapsed.get())
    }
}

/// The folder of this process's control group (version 2), or of its version 1 `cpu` controller.
fn group_folder() -> Option<PathBuf> {
    let text = fs::read_to_string("/proc/self/cgroup").ok()?;
    let rows = text.lines().filter_map(|line| {
        let mut parts = line.splitn(3, ':').skip(1);
        Some((parts.next()?, parts.next()?.trim_start_matches('/')))
    });
    let folders = rows.filter_map(|(controllers, path)| match controllers {
        "" => Some(PathBuf::from("/sys/fs/cgroup").join(path)),
        list if list.split(',').any(|name| name == "cpu") => Some(PathBuf::from("/sys/fs/cgroup/cpu").join(path)),
        _ => None,
    });
    folders.into_iter().find(|folder| folder.join("cpu.stat").exists())
}

/// Seconds for which the group was held back, from `throttled_usec` (version 2) or `throttled_time` in
/// nanoseconds (version 1). The root group has neither.
fn throttled_seconds(group: &Path) -> Option<f64> {
    let text = fs::read_to_string(group.join("cpu.stat")).ok()?;
    text.lines().find_map(|line| {
        let (name, value) = line.split_once(' ')?;
        let value: f64 = value.trim().parse().ok()?;
        match name {
            "throttled_usec" => Some(value * 1e-6),
            "throttled_time" => Some(value * 1e-9),
            _ => None,
        }
    })
}
