//! Where and how a run was measured, as names and values.

use std::collections::BTreeMap;

use super::text::{clean, list};
use super::{Fact, FactGroup};
use crate::record::{DeviceInfo, DeviceKind, Provenance, Run, TimerInfo};
use crate::report::number;

pub(super) fn environment(runs: &[Run]) -> Vec<FactGroup> {
    let mut groups = Vec::new();
    for run in runs {
        let suffix = if runs.len() > 1 { format!(", run {}", clean(&run.header.run_id)) } else { String::new() };
        groups.push(FactGroup { title: format!("Run{suffix}"), facts: run_facts(run) });
        groups.push(FactGroup { title: format!("Machine{suffix}"), facts: machine_facts(run) });
        for (index, device) in (0u32..).zip(&run.header.devices) {
            let title = format!("Device {}{suffix}", clean(&device.selector));
            groups.push(FactGroup { title, facts: device_facts(run, index, device) });
        }
    }
    groups
}

fn run_facts(run: &Run) -> Vec<Fact> {
    let (header, request) = (&run.header, &run.header.request);
    let mut facts = vec![Fact::new("Run", clean(&header.run_id)), Fact::new("Started", clean(&header.started_at))];
    match &run.footer {
        Some(footer) => facts.push(Fact::new("Finished", clean(&footer.finished_at))),
        None => facts.push(Fact::new("Finished", "no: it was cut off")),
    }
    facts.push(Fact::new("Profile", clean(&request.profile)));
    facts.extend(request.budget_s.map(|budget| Fact::new("Time allowed", budget.to_string())));
    let all = |texts: &[String], none: &str| {
        if texts.is_empty() {
            none.to_owned()
        } else {
            texts.iter().map(|text| clean(text)).collect::<Vec<_>>().join(", ")
        }
    };
    facts.push(Fact::new("Benchmarks", all(&request.benchmarks, "all")));
    facts.push(Fact::new("Devices asked for", all(&request.devices, "all")));
    for (axis, values) in &request.axes {
        let values: Vec<String> = values.iter().map(ToString::to_string).collect();
        facts.push(Fact::new(&format!("Axis {}", clean(axis)), all(&values, "none")));
    }
    facts.push(Fact::new("Seed", request.seed.to_string()));
    facts.push(Fact::new("Cases", format!("{} of {} planned", run.records.len(), header.planned)));
    let build = if header.tool.optimised { "optimised" } else { "not optimised" };
    let (version, target) = (clean(&header.tool.version), clean(&header.tool.target));
    facts.push(Fact::new("Tool", format!("rooflint {version}, {build}, for {target}")));
    facts.push(Fact::new("Origin of the figures", provenance(&header.provenance)));
    let framework = header.framework.as_ref();
    facts.extend(
        framework.map(|named| Fact::new("Kernels of", format!("{} {}", clean(&named.name), clean(&named.version)))),
    );
    facts.push(Fact::new("Schema of the run file", header.schema.to_string()));
    facts
}

fn provenance(provenance: &Provenance) -> String {
    match provenance {
        Provenance::Measured => "measured by this tool".to_owned(),
        Provenance::Imported { source, version, licence } => {
            format!("imported from {} ({}), under {}", clean(source), clean(version), clean(licence))
        }
        Provenance::Datasheet { source } => format!("the maker's datasheet, {}", clean(source)),
        Provenance::Claimed { document } => format!("claimed by {}", clean(document)),
    }
}

fn machine_facts(run: &Run) -> Vec<Fact> {
    let machine = &run.header.environment;
    let told = |value: &Option<String>| value.as_ref().map_or_else(|| "not told".to_owned(), |text| clean(text));
    let mut facts = vec![
        Fact::new("Operating system", clean(&machine.os)),
        Fact::new("Processor", clean(&machine.cpu)),
        Fact::new("Cores", format!("{} usable of {}", machine.cores_usable, machine.cores_total)),
    ];
    facts.extend(machine.memory_b.map(|memory| {
        let free = machine.memory_available_b.map(|free| format!(", {free} free when it started"));
        Fact::new("Memory", format!("{memory}{}", free.unwrap_or_default()))
    }));
    let hypervisor = match machine.virtual_machine {
        Some(true) => "yes",
        Some(false) => "no",
        None => "not told",
    };
    facts.push(Fact::new("Virtual machine", hypervisor));
    facts.extend(
        machine.quota_cores.map(|quota| Fact::new("CPU quota", format!("{} cores", crate::units::digits(quota.get())))),
    );
    facts.push(Fact::new("Frequency governor", told(&machine.governor)));
    facts.push(Fact::new("Transparent huge pages", told(&machine.huge_pages)));
    facts.extend(
        machine.other_load.map(|load| {
            Fact::new("Other processes before the run", format!("{} of a core", number::percent(load.get())))
        }),
    );
    facts
}

fn device_facts(run: &Run, index: u32, device: &DeviceInfo) -> Vec<Fact> {
    let kind = match device.kind {
        DeviceKind::Hardware => "hardware",
        DeviceKind::Software => "software renderer",
        DeviceKind::Emulated => "emulator",
        DeviceKind::Fake => "fake",
    };
    let mut facts = vec![
        Fact::new("Name", clean(&device.name)),
        Fact::new("Backend", clean(&device.backend)),
        Fact::new("Kind", kind),
        Fact::new("Architecture", clean(&device.architecture)),
        Fact::new("Compute units", device.compute_units.to_string()),
    ];
    facts.extend(device.memory_b.map(|memory| Fact::new("Memory", memory.to_string())));
    let caches: Vec<String> = device.caches.iter().map(cache).collect();
    if !caches.is_empty() {
        facts.push(Fact::new("Caches", caches.join(", ")));
    }
    facts.extend(device.clock_max_hz.map(|clock| Fact::new("Highest clock stated", clock.to_string())));
    facts.extend(device.driver.as_ref().map(|driver| Fact::new("Driver", clean(driver))));
    facts.extend(device.identity.as_ref().map(|identity| Fact::new("Identity", clean(identity))));
    if !device.features.is_empty() {
        let features: Vec<String> = device.features.iter().map(|feature| clean(feature)).collect();
        facts.push(Fact::new("Features", features.join(", ")));
    }
    let before = &run.header.environment.other_processes;
    let after = run.footer.as_ref().map_or(&[][..], |footer| &footer.other_processes);
    for (when, told) in [("before", before.as_slice()), ("after", after)] {
        let of = told.iter().filter(|told| told.device == index);
        facts.extend(of.map(|told| Fact::new(&format!("Other processes on it {when} the run"), told.processes.list())));
    }
    facts.extend(measuring(run, index));
    facts
}

fn cache(cache: &crate::record::Cache) -> String {
    match cache.instances {
        1 => format!("L{} {}", cache.level, cache.size_b),
        instances => format!("L{} {instances} × {}", cache.level, cache.size_b),
    }
}

/// What the measurements themselves say of their surroundings: the clock used, and conditions such as page
/// size, with the number of cases where they differ.
fn measuring(run: &Run, index: u32) -> Vec<Fact> {
    let records = run.records.iter().filter(|record| record.device == index);
    let measured: Vec<_> = records.filter_map(|record| record.outcome.measurement()).collect();
    let mut facts: Vec<Fact> =
        measured.first().map(|first| Fact::new("Timer", timer(&first.timer))).into_iter().collect();
    let mut conditions: BTreeMap<&str, BTreeMap<&str, usize>> = BTreeMap::new();
    for (name, value) in measured.iter().flat_map(|measurement| &measurement.conditions) {
        *conditions.entry(name).or_default().entry(value).or_default() += 1;
    }
    for (name, values) in conditions {
        let counted =
            |(value, cases): (&&str, &usize)| format!("{} ({cases} of {} cases)", clean(value), measured.len());
        let text = match values.iter().next() {
            Some((value, cases)) if *cases == measured.len() => clean(value),
            _ => list(&values.iter().map(counted).collect::<Vec<_>>()),
        };
        facts.push(Fact::new(&sentence(&clean(name)), text));
    }
    facts
}

fn timer(timer: &TimerInfo) -> String {
    let agreement = timer.agreement.map(|ratio| format!(", {ratio} of host time")).unwrap_or_default();
    format!("{}, resolution {}, overhead {}{agreement}", clean(&timer.clock), timer.resolution_s, timer.overhead_s)
}

/// `page_size` as `Page size`.
fn sentence(id: &str) -> String {
    let spaced = id.replace('_', " ");
    let mut letters = spaced.chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}
