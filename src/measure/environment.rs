//! The machine around the device: what a reader needs to judge a figure, and nothing that names the host.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use crate::device::{self, Probe};
use crate::measure::telemetry::Processor;
use crate::record::Environment;
use crate::units::{ByteCount, Ratio, Seconds};

/// Load of other processes, in cores, above which the user is warned: it is what visibly moves a median.
pub const OTHER_LOAD_MAX: f64 = 0.02;

/// Reads the environment. Takes `settle` to see what other processes do; call it before any work of ours.
pub fn read(settle: Duration) -> Environment {
    let memory = |field: &str| meminfo(field).map(ByteCount);
    let mut environment = Environment {
        os: operating_system(),
        cpu: cpuinfo("model name").unwrap_or_else(|| std::env::consts::ARCH.to_owned()),
        cores_usable: usable_cores(),
        cores_total: total_cores(),
        memory_b: memory("MemTotal"),
        memory_available_b: memory("MemAvailable"),
        virtual_machine: cpuinfo("flags").map(|flags| flags.split(' ').any(|flag| flag == "hypervisor")),
        quota_cores: quota_cores(),
        governor: line("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor"),
        huge_pages: line("/sys/kernel/mm/transparent_hugepage/enabled").and_then(|text| bracketed(&text)),
        other_load: other_load(settle),
        other_processes: Vec::new(),
        warnings: Vec::new(),
    };
    environment.warnings = warnings(&environment);
    environment.warnings.extend(unusable_gpu());
    environment
}

/// What the user should know, each with what to do.
pub fn warnings(environment: &Environment) -> Vec<String> {
    let mut warnings = Vec::new();
    if let Some(load) = environment.other_load.filter(|load| load.get() > OTHER_LOAD_MAX) {
        warnings.push(format!("other processes use {load} of a core: close them, or expect wider intervals"));
    }
    if let Some(quota) = environment.quota_cores.filter(|quota| quota.get() < f64::from(environment.cores_usable)) {
        let cores = quota.get();
        warnings.push(format!(
            "the container may use {cores:.1} cores' worth of time on {} cores: rates fall once the quota is used up; \
             raise the quota, or pin the container to whole cores (--cpuset-cpus)",
            environment.cores_usable
        ));
    }
    if let Some(governor) = environment.governor.as_deref().filter(|governor| *governor != "performance") {
        warnings.push(format!(
            "the frequency governor is '{governor}': clocks may lag the load; 'cpupower frequency-set -g performance' \
             (as root) holds them up"
        ));
    }
    if environment.huge_pages.as_deref() == Some("never") {
        warnings.push(
            "transparent huge pages are off: memory bandwidth may read low; 'echo madvise > \
             /sys/kernel/mm/transparent_hugepage/enabled' (as root) allows them"
                .to_owned(),
        );
    }
    warnings
}

fn operating_system() -> String {
    let release = line("/proc/sys/kernel/osrelease");
    let name = fs::read_to_string("/etc/os-release").ok().and_then(|text| {
        let value = text.lines().find_map(|line| line.strip_prefix("PRETTY_NAME="))?;
        Some(value.trim_matches('"').to_owned())
    });
    let name = name.unwrap_or_else(|| std::env::consts::OS.to_owned());
    match release {
        Some(release) => format!("{name}, Linux {release}"),
        None => name,
    }
}

fn usable_cores() -> u32 {
    // Counts the affinity mask; the quota is reported on its own, since it does not remove a core.
    status("Cpus_allowed_list")
        .map_or_else(|| std::thread::available_parallelism().map_or(1, usize::from) as u32, |list| count_list(&list))
}

fn total_cores() -> u32 {
    line("/sys/devices/system/cpu/online").map_or_else(usable_cores, |list| count_list(&list))
}

/// The number of cores in a list such as `0-3,8`.
fn count_list(list: &str) -> u32 {
    let count = |range: &str| -> Option<u32> {
        let (first, last) = range.split_once('-').unwrap_or((range, range));
        Some(last.trim().parse::<u32>().ok()?.checked_sub(first.trim().parse().ok()?)? + 1)
    };
    list.split(',').filter_map(count).sum::<u32>().max(1)
}

fn status(field: &str) -> Option<String> {
    let text = fs::read_to_string("/proc/self/status").ok()?;
    text.lines().find_map(|line| Some(line.strip_prefix(field)?.strip_prefix(':')?.trim().to_owned()))
}

fn cpuinfo(field: &str) -> Option<String> {
    let text = fs::read_to_string("/proc/cpuinfo").ok()?;
    text.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        (name.trim() == field).then(|| value.trim().to_owned())
    })
}

fn meminfo(field: &str) -> Option<u64> {
    let text = fs::read_to_string("/proc/meminfo").ok()?;
    let value = text.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(':'))?;
    let kib: u64 = value.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kib * 1024)
}

/// Cores' worth of time the control group may use: version 2 `cpu.max`, or version 1 quota over period.
fn quota_cores() -> Option<Ratio> {
    let two =
        |quota: &str, period: &str| Ratio::new(quota.trim().parse::<f64>().ok()? / period.trim().parse::<f64>().ok()?);
    if let Some(text) = line("/sys/fs/cgroup/cpu.max") {
        let (quota, period) = text.split_once(' ')?;
        return two(quota, period);
    }
    let folder = Path::new("/sys/fs/cgroup/cpu");
    let read = |name: &str| fs::read_to_string(folder.join(name)).ok();
    two(&read("cpu.cfs_quota_us")?, &read("cpu.cfs_period_us")?)
}

fn other_load(settle: Duration) -> Option<Ratio> {
    let (before, start) = (Processor::read()?, Instant::now());
    std::thread::sleep(settle);
    Processor::read()?.busy_cores(&before, Seconds::from(start.elapsed()))
}

fn line(path: &str) -> Option<String> {
    fs::read_to_string(path).ok().map(|text| text.trim().to_owned())
}

/// The chosen word of a kernel setting such as `always [madvise] never`.
fn bracketed(text: &str) -> Option<String> {
    Some(text.split_once('[')?.1.split_once(']')?.0.to_owned())
}

/// An NVIDIA GPU on the bus that no CUDA driver reaches, with what to do about it.
fn unusable_gpu() -> Option<String> {
    let entries = fs::read_dir("/sys/bus/pci/devices").ok()?;
    let holds = |path: &Path, file: &str, start: &str| {
        fs::read_to_string(path.join(file)).is_ok_and(|text| text.trim_start().starts_with(start))
    };
    // NVIDIA's number, and the class of displays and of 3D controllers.
    let is_gpu = |path: &Path| holds(path, "vendor", "0x10de") && holds(path, "class", "0x03");
    let gpus: Vec<_> = entries.flatten().map(|entry| entry.path()).filter(|path| is_gpu(path)).collect();
    if gpus.is_empty() {
        return None;
    }
    let (backend, _) = device::select("cuda").ok()?;
    let Probe::Absent { reason } = (backend.probe)() else { return None };
    Some(format!("{} NVIDIA GPU(s) on the bus cannot be used and will not be measured: {reason}", gpus.len()))
}
