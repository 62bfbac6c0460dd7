//! What the processor is and which of its cores this process may use.

use std::fs;
use std::path::Path;

use crate::record::{Cache, DeviceInfo, DeviceKind};
use crate::units::{ByteCount, Hertz};

/// Describes the processor, cheaply: no thread is started and no clock is measured.
pub(super) fn describe() -> DeviceInfo {
    DeviceInfo {
        backend: "cpu".to_owned(),
        selector: "cpu".to_owned(),
        identity: None,
        name: name(),
        architecture: architecture(),
        kind: DeviceKind::Hardware,
        compute_units: u32::try_from(usable_cores().len()).unwrap_or(u32::MAX),
        memory_b: memory_total(),
        caches: caches(),
        clock_max_hz: clock_max(),
        driver: None,
        features: features(),
    }
}

/// The cores this process may run on, in order: its affinity mask, cut to the control group's quota of
/// processor time, since more threads than that only hold one another back.
pub(super) fn usable_cores() -> Vec<usize> {
    let mut cores = affinity();
    if let Some(quota) = quota_cores() {
        cores.truncate((quota.ceil() as usize).max(1));
    }
    cores
}

#[cfg(target_os = "linux")]
fn affinity() -> Vec<usize> {
    // SAFETY: an all-zero `cpu_set_t` is a valid, empty set.
    let mut set: libc::cpu_set_t = unsafe { std::mem::zeroed() };
    // SAFETY: the kernel writes at most the given size into `set`.
    let rc = unsafe { libc::sched_getaffinity(0, size_of::<libc::cpu_set_t>(), &raw mut set) };
    let most = if rc == 0 { libc::CPU_SETSIZE as usize } else { 0 };
    // SAFETY: every index is below CPU_SETSIZE.
    let cores: Vec<usize> = (0..most).filter(|&core| unsafe { libc::CPU_ISSET(core, &set) }).collect();
    if cores.is_empty() { all_cores() } else { cores }
}

#[cfg(not(target_os = "linux"))]
fn affinity() -> Vec<usize> {
    all_cores()
}

fn all_cores() -> Vec<usize> {
    (0..std::thread::available_parallelism().map_or(1, usize::from)).collect()
}

/// Keeps the calling thread on one core. False where the system does not allow it.
#[cfg(target_os = "linux")]
pub(super) fn pin(core: usize) -> bool {
    // SAFETY: an all-zero `cpu_set_t` is a valid, empty set.
    let mut set: libc::cpu_set_t = unsafe { std::mem::zeroed() };
    // SAFETY: `core` came from a set of this size, see `affinity`.
    unsafe { libc::CPU_SET(core, &mut set) };
    // SAFETY: reads `set` only.
    unsafe { libc::sched_setaffinity(0, size_of::<libc::cpu_set_t>(), &raw const set) == 0 }
}

/// Keeps the calling thread on one core. False where the system does not allow it.
#[cfg(not(target_os = "linux"))]
pub(super) fn pin(_core: usize) -> bool {
    false
}

/// The folders of this process's control groups for a controller: version 2, then version 1, each with
/// the root as a container sees it.
fn control_groups(controller: &str) -> Vec<String> {
    let table = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
    let mut folders = Vec::new();
    for line in table.lines() {
        let mut fields = line.splitn(3, ':').skip(1);
        let (Some(controllers), Some(path)) = (fields.next(), fields.next()) else { continue };
        let path = path.trim_end_matches('/');
        if controllers.is_empty() {
            folders.push(format!("/sys/fs/cgroup{path}"));
        } else if controllers.split(',').any(|name| name == controller) {
            folders.push(format!("/sys/fs/cgroup/{controller}{path}"));
            folders.push(format!("/sys/fs/cgroup/{controller}"));
        }
    }
    folders.push("/sys/fs/cgroup".to_owned());
    folders
}

/// Cores' worth of time the control group allows; `None` if it sets no limit.
fn quota_cores() -> Option<f64> {
    control_groups("cpu").iter().filter_map(|folder| quota_of(Path::new(folder))).reduce(f64::min)
}

fn quota_of(folder: &Path) -> Option<f64> {
    if let Ok(text) = fs::read_to_string(folder.join("cpu.max")) {
        let (quota, period) = text.trim().split_once(' ')?;
        return positive_ratio(quota, period);
    }
    let quota = fs::read_to_string(folder.join("cpu.cfs_quota_us")).ok()?;
    let period = fs::read_to_string(folder.join("cpu.cfs_period_us")).ok()?;
    positive_ratio(quota.trim(), period.trim())
}

fn positive_ratio(quota: &str, period: &str) -> Option<f64> {
    let (quota, period): (f64, f64) = (quota.parse().ok()?, period.parse().ok()?);
    (quota > 0.0 && period > 0.0).then_some(quota / period)
}

/// Memory that can be allocated now without pushing anything out; `None` where the system does not tell.
pub(super) fn memory_available() -> Option<ByteCount> {
    let system = meminfo("MemAvailable:");
    let group = control_groups("memory").iter().filter_map(|folder| group_memory_left(Path::new(folder))).min();
    [system, group].into_iter().flatten().min().map(ByteCount)
}

/// Memory of the machine, or of the control group if that is less.
fn memory_total() -> Option<ByteCount> {
    let limit = control_groups("memory").iter().filter_map(|folder| group_memory_limit(Path::new(folder))).min();
    [meminfo("MemTotal:"), limit].into_iter().flatten().min().map(ByteCount)
}

fn meminfo(field: &str) -> Option<u64> {
    let text = fs::read_to_string("/proc/meminfo").ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix(field))?;
    Some(line.trim().trim_end_matches("kB").trim().parse::<u64>().ok()? << 10)
}

fn number_in(path: &Path) -> Option<u64> {
    fs::read_to_string(path).ok()?.trim().parse().ok()
}

fn group_memory_limit(folder: &Path) -> Option<u64> {
    number_in(&folder.join("memory.max")).or_else(|| number_in(&folder.join("memory.limit_in_bytes")))
}

/// The limit less what is in use, page cache that can be dropped not counted as used.
fn group_memory_left(folder: &Path) -> Option<u64> {
    let limit = group_memory_limit(folder)?;
    let used = number_in(&folder.join("memory.current"))
        .or_else(|| number_in(&folder.join("memory.usage_in_bytes")))
        .unwrap_or(0);
    let stat = fs::read_to_string(folder.join("memory.stat")).unwrap_or_default();
    let inactive = stat.lines().find_map(|line| {
        line.strip_prefix("inactive_file ").or_else(|| line.strip_prefix("total_inactive_file "))?.parse::<u64>().ok()
    });
    Some(limit.saturating_sub(used.saturating_sub(inactive.unwrap_or(0))))
}

/// Data and unified caches reachable from the usable cores, nearest first.
fn caches() -> Vec<Cache> {
    let mut found: Vec<(u32, u64, String)> = Vec::new();
    for core in usable_cores() {
        for index in 0..8 {
            let folder = format!("/sys/devices/system/cpu/cpu{core}/cache/index{index}");
            let read = |name: &str| fs::read_to_string(format!("{folder}/{name}")).map(|text| text.trim().to_owned());
            let (Ok(level), Ok(kind), Ok(size)) = (read("level"), read("type"), read("size")) else { break };
            let (Ok(level), Some(size)) = (level.parse(), kibibytes(&size)) else { continue };
            let shared = read("shared_cpu_list").unwrap_or_else(|_| core.to_string());
            let instance = (level, size, shared);
            if kind != "Instruction" && !found.contains(&instance) {
                found.push(instance);
            }
        }
    }
    let mut caches: Vec<Cache> = Vec::new();
    for (level, size, _) in found {
        match caches.iter_mut().find(|cache| cache.level == level && cache.size_b.0 == size) {
            Some(cache) => cache.instances += 1,
            None => caches.push(Cache { level, size_b: ByteCount(size), instances: 1 }),
        }
    }
    caches.sort_by_key(|cache| cache.level);
    caches
}

/// `32768K` as bytes.
fn kibibytes(text: &str) -> Option<u64> {
    let (number, shift) = match text.strip_suffix('K') {
        Some(number) => (number, 10),
        None => (text.strip_suffix('M')?, 20),
    };
    Some(number.parse::<u64>().ok()? << shift)
}

fn clock_max() -> Option<Hertz> {
    let core = usable_cores().first().copied()?;
    let khz = number_in(Path::new(&format!("/sys/devices/system/cpu/cpu{core}/cpufreq/cpuinfo_max_freq")))?;
    Hertz::new(khz as f64 * 1e3)
}

#[cfg(target_arch = "x86_64")]
fn name() -> String {
    let brand = raw_cpuid::CpuId::new().get_processor_brand_string();
    brand.map_or_else(|| "x86-64 processor".to_owned(), |brand| brand.as_str().trim().to_owned())
}

#[cfg(not(target_arch = "x86_64"))]
fn name() -> String {
    let text = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = text.lines().find(|line| line.starts_with("model name")).and_then(|line| line.split_once(':'));
    model.map_or_else(|| format!("{} processor", std::env::consts::ARCH), |(_, name)| name.trim().to_owned())
}

/// The instruction sets that the kernels know, by the names the field uses.
#[cfg(target_arch = "x86_64")]
fn instruction_sets() -> Vec<&'static str> {
    let known = [
        (is_x86_feature_detected!("avx2"), "avx2"),
        (is_x86_feature_detected!("fma"), "fma"),
        (is_x86_feature_detected!("f16c"), "f16c"),
        (is_x86_feature_detected!("avx512f"), "avx512f"),
        (is_x86_feature_detected!("avx512bf16"), "avx512_bf16"),
        (is_x86_feature_detected!("avx512vnni"), "avx512_vnni"),
    ];
    known.into_iter().filter(|(present, _)| *present).map(|(_, name)| name).collect()
}

#[cfg(not(target_arch = "x86_64"))]
fn instruction_sets() -> Vec<&'static str> {
    Vec::new()
}

fn architecture() -> String {
    let widest = instruction_sets().into_iter().rfind(|set| ["avx2", "avx512f"].contains(set));
    widest.map_or_else(|| std::env::consts::ARCH.to_owned(), |set| format!("{}+{set}", std::env::consts::ARCH))
}

fn features() -> Vec<String> {
    let mut features: Vec<String> = ["f32", "f64", "i32", "i8"].map(str::to_owned).to_vec();
    features.extend(instruction_sets().into_iter().map(str::to_owned));
    features.sort();
    features
}
