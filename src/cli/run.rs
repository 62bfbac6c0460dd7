//! `rooflint run`: measures devices, writes the run file and the report, prints the summary.

use std::collections::{BTreeMap, HashSet};
use std::hash::{BuildHasher, Hasher, RandomState};
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::{Args, FromArgMatches};

use super::{Command, Exit, Failure, complain, matmul_max, print, progress, report, values};
use crate::device::{self, Probe};
use crate::llm::{self, DecodeShape};
use crate::measure::environment;
use crate::measure::lock::{DeviceLock, LockError};
use crate::measure::plan::{Plan, Planned, plan};
use crate::measure::settings::Settings;
use crate::measure::supervisor::{Conduct, Finish, Interrupter, Supervisor, WorkerCommand};
use crate::measure::telemetry;
use crate::record::{
    AxisValue, DeviceInfo, DeviceKind, Footer, Header, Line, MatmulShape, Outcome, Provenance, Record, Run, RunRequest,
    SCHEMA_VERSION, ToolInfo,
};
use crate::store::{self, RunWriter};
use crate::suite::{self, Benchmark, Load, Profile, Request};
use crate::units::{ByteCount, Seconds, Usd};

pub const COMMAND: Command = Command {
    name: "run",
    declare: |command| {
        Arguments::augment_args(command.about("Measure devices, write the run file and the report").after_help(
            "Examples:\n  \
             rooflint run                                    the GPU, or the CPU, in under a minute\n  \
             rooflint run --profile standard --out here      more cases and samples, into ./here\n  \
             rooflint run --bench matmul --axis m=1,8,64     one benchmark, chosen points\n  \
             rooflint run --bench matmul --shapes mine.csv   your own products: m,n,k[,precision] per line\n  \
             rooflint run --bench matmul --shapes model:llama_3_1_70b,tensor=4\n  \
             \x20                                               those of a model, on one of 4 GPUs that share it\n  \
             rooflint run --bench decode --model llama_3_1_70b --tensor 4
  \
             \x20                                               the decode step of a model, one GPU's share of it
  \
             rooflint run --budget 90s --dry-run --price 2   what it would do, take and cost\n  \
             rooflint run --resume here                      finish a run that was cut off",
        ))
    },
    run: |matches| run(&Arguments::from_arg_matches(matches).map_err(Failure::usage)?),
};

#[derive(Args)]
struct Arguments {
    /// Device to measure, as 'rooflint devices' lists it, or all of a kind, such as cuda:all; repeatable. By default
    /// the first NVIDIA GPU, or the CPU where there is none
    #[arg(long, value_name = "DEVICE")]
    device: Vec<String>,
    /// Benchmarks to run, as 'rooflint list' lists them; all of them by default
    #[arg(long, value_name = "BENCHMARK", value_delimiter = ',')]
    bench: Vec<String>,
    /// How much to run: quick, standard or full
    #[arg(long, value_name = "PROFILE", default_value = "quick", value_parser = profile)]
    profile: Profile,
    /// Time for all cases, such as 90s or 5m: samples are shortened to fit
    #[arg(long, value_name = "TIME", value_parser = values::duration)]
    budget: Option<Seconds>,
    /// Values of an axis instead of the profile's, such as m=1,8,64; repeatable
    #[arg(long, value_name = "NAME=VALUES", value_parser = values::axis)]
    axis: Vec<(String, Vec<AxisValue>)>,
    /// What matrix products work on: random, integers or zeros; several to see what it changes
    #[arg(long, value_name = "DATA", value_delimiter = ',')]
    data: Vec<String>,
    /// Matrix products to measure instead of the profile's: a file with m,n,k, and perhaps a precision, on each line; or
    /// those of a model's layers, model:NAME with ,tensor=T and ,batch=1+8+64 as wanted: the share of one of T GPUs, for each batch (by
    /// default those of the profile), in bf16 unless --axis precision says otherwise. NAME is as for 'rooflint cost'
    #[arg(long, value_name = "SHAPES")]
    shapes: Option<String>,
    /// Model whose decode step to measure, of 'rooflint describe decode'; by default one that suits the device
    #[arg(long, value_name = "NAME")]
    model: Option<String>,
    /// GPUs that share every layer of the model: one GPU's share is measured
    #[arg(long, value_name = "GPUS", requires = "model")]
    tensor: Option<u32>,
    /// Stages that share the layers of the model: as many layers as the fullest has are measured, and the head
    #[arg(long, value_name = "STAGES", requires = "model")]
    pipeline: Option<u32>,
    /// Seed of all data
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Folder for the run file and the report; it must not exist yet, or be empty
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Finish a run that was cut off: its folder or file
    #[arg(long, value_name = "RUN", conflicts_with_all = ["device", "bench", "profile", "axis", "data", "shapes", "model", "seed", "out"])]
    resume: Option<PathBuf>,
    /// Print what would run, its time and its memory, and stop
    #[arg(long)]
    dry_run: bool,
    /// Price of the machine in USD per hour, for the cost of the run
    #[arg(long, value_name = "USD", value_parser = values::price)]
    price: Option<Usd>,
    /// Longest time for one case before it is stopped and counted as failed
    #[arg(long, value_name = "TIME", default_value = "5m", value_parser = values::duration)]
    deadline: Seconds,
}

fn profile(text: &str) -> Result<Profile, String> {
    let found = Profile::ALL.iter().find(|(_, name)| *name == text);
    found.map(|(profile, _)| *profile).ok_or_else(|| {
        let names: Vec<_> = Profile::ALL.iter().map(|(_, name)| *name).collect();
        format!("unknown profile; known: {}", names.join(", "))
    })
}

fn run(arguments: &Arguments) -> Result<Exit, Failure> {
    let resumed = match &arguments.resume {
        Some(path) => Some(store::load(path).map_err(Failure::usage)?.run),
        None => None,
    };
    if let Some((path, run)) = arguments.resume.as_ref().zip(resumed.as_ref())
        && run.header.request.profile == matmul_max::PROFILE
    {
        let shown = path.display();
        return Err(Failure::usage(format!("{shown} is a search: 'rooflint matmul-max --resume {shown}' finishes it")));
    }
    let asked = match &resumed {
        Some(run) => run.header.request.clone(),
        None => asked(arguments)?,
    };
    let devices = describe(&asked.devices)?;
    let profile = profile(&asked.profile).map_err(|message| Failure::usage(format!("{}: {message}", asked.profile)))?;
    let request = Request { profile, axes: asked.axes.clone(), shapes: asked.shapes.clone(), seed: asked.seed };
    let plan = plan(devices, &benchmarks(&asked.benchmarks)?, &request).map_err(Failure::usage)?;
    if arguments.dry_run {
        print(&forecast(&plan, &Settings::of(profile, 1.0, arguments.deadline), arguments))?;
        return Ok(Exit::Fine);
    }
    let _locks = lock(&plan.devices)?;
    let budget = arguments.budget.or(asked.budget_s);
    let conduct = conduct(profile, budget, arguments.deadline)?;
    let (folder, kept, writer) = match (&arguments.resume, resumed) {
        (Some(path), Some(run)) => resume(path, run, &plan.devices)?,
        _ => begin(arguments.out.as_deref(), asked, &plan.devices, plan.cases.len())?,
    };
    finish(&folder, carry_out(&plan, conduct, kept, writer)?, arguments.price)
}

/// What the arguments ask for.
fn asked(arguments: &Arguments) -> Result<RunRequest, Failure> {
    let mut axes: BTreeMap<String, Vec<AxisValue>> = BTreeMap::new();
    for (name, values) in &arguments.axis {
        axes.entry(name.clone()).or_default().extend(values.iter().cloned());
    }
    if !arguments.data.is_empty() {
        let data = arguments.data.iter().map(|word| AxisValue::from(word.as_str()));
        axes.entry("data".to_owned()).or_default().extend(data);
    }
    share(arguments, &mut axes)?;
    let shapes = arguments.shapes.as_deref().map(|text| shapes(text, arguments)).transpose()?.unwrap_or_default();
    let all = || suite::ALL.iter().map(|benchmark| benchmark.meta().id.to_owned()).collect();
    Ok(RunRequest {
        profile: arguments.profile.name().to_owned(),
        budget_s: arguments.budget,
        seed: arguments.seed,
        devices: selectors(&arguments.device)?,
        benchmarks: if arguments.bench.is_empty() { all() } else { arguments.bench.clone() },
        axes,
        shapes,
    })
}

/// The user's model and the layout of its share, as axes of `decode`.
fn share(arguments: &Arguments, axes: &mut BTreeMap<String, Vec<AxisValue>>) -> Result<(), Failure> {
    let Some(name) = &arguments.model else { return Ok(()) };
    if !(arguments.bench.is_empty() || arguments.bench.iter().any(|id| id == "decode")) {
        return Err(Failure::usage("--model is for the benchmark 'decode', which --bench leaves out"));
    }
    let model = llm::find(name).map_err(Failure::usage)?;
    let ranks = [("tensor", arguments.tensor), ("pipeline", arguments.pipeline)];
    let [tensor, pipeline] = ranks.map(|(_, ranks)| ranks.unwrap_or(1));
    DecodeShape::new(&model, tensor, pipeline, None).map_err(Failure::usage)?;
    axes.entry("model".to_owned()).or_default().push(model.id.as_str().into());
    for (axis, count) in ranks {
        axes.entry(axis.to_owned()).or_default().extend(count.map(|count| AxisValue::Count(count.into())));
    }
    axes.retain(|_, values| !values.is_empty());
    Ok(())
}

/// The user's matrix products.
fn shapes(text: &str, arguments: &Arguments) -> Result<Vec<MatmulShape>, Failure> {
    if !(arguments.bench.is_empty() || arguments.bench.iter().any(|id| id == "matmul")) {
        return Err(Failure::usage("--shapes is for the benchmark 'matmul', which --bench leaves out"));
    }
    let given = |axis: &str| arguments.axis.iter().any(|(name, _)| name == axis);
    if let Some(axis) = ["m", "n", "k"].into_iter().find(|axis| given(axis)) {
        return Err(Failure::usage(format!("--shapes and --axis {axis} both say which products to run: give one")));
    }
    super::shapes::shapes(text, arguments.profile, given("precision"))
}

/// The devices asked for, `all` of a kind spelled out; without any, the one that users rent a machine for.
pub fn selectors(asked: &[String]) -> Result<Vec<String>, Failure> {
    let present = |id: &str| match device::BACKENDS.iter().find(|backend| backend.id == id).map(|found| (found.probe)())
    {
        Some(Probe::Present(devices)) => Ok(devices),
        Some(Probe::Absent { reason }) => Err(reason),
        None => Err("this build leaves it out".to_owned()),
    };
    if asked.is_empty() {
        let gpus = present("cuda").unwrap_or_default();
        let gpu = gpus.into_iter().find(|device| device.kind == DeviceKind::Hardware);
        return Ok(vec![gpu.map_or("cpu".to_owned(), |device| device.selector)]);
    }
    let mut selectors = Vec::new();
    for selector in asked {
        match selector.strip_suffix(":all") {
            Some(id) => {
                device::select(id).map_err(Failure::usage)?;
                let devices = present(id).map_err(|reason| Failure::unfit(format!("device '{selector}': {reason}")))?;
                selectors.extend(devices.into_iter().map(|device| device.selector));
            }
            None => selectors.push(selector.clone()),
        }
    }
    Ok(selectors)
}

/// Their descriptions, in the order given.
pub fn describe(selectors: &[String]) -> Result<Vec<DeviceInfo>, Failure> {
    let describe = |selector: &String| {
        let (backend, rest) = device::select(selector).map_err(Failure::usage)?;
        (backend.describe)(rest).map_err(|error| Failure::unfit(format!("device '{selector}': {error}")))
    };
    let devices = selectors.iter().map(describe).collect::<Result<Vec<_>, _>>()?;
    let mut seen = HashSet::new();
    match devices.iter().find(|device| !seen.insert(device.selector.clone())) {
        Some(twice) => Err(Failure::usage(format!("device '{}' is given twice", twice.selector))),
        None => Ok(devices),
    }
}

fn benchmarks(ids: &[String]) -> Result<Vec<&'static dyn Benchmark>, Failure> {
    let find = |id: &String| {
        suite::find(id).ok_or_else(|| {
            let known: Vec<_> = suite::ALL.iter().map(|benchmark| benchmark.meta().id).collect();
            Failure::usage(format!("unknown benchmark '{id}'; known: {} (see 'rooflint list')", known.join(", ")))
        })
    };
    ids.iter().map(find).collect()
}

/// Takes the lock of each.
pub fn lock(devices: &[DeviceInfo]) -> Result<Vec<DeviceLock>, Failure> {
    devices.iter().map(DeviceLock::take).collect::<Result<_, LockError>>().map_err(Failure::unfit)
}

/// The plan as a table, with its time, memory and cost.
fn forecast(plan: &Plan, settings: &Settings, arguments: &Arguments) -> String {
    let mut table = comfy_table::Table::new();
    table.load_style(comfy_table::presets::NOTHING).set_header(["case", "device", "memory"]);
    for planned in &plan.cases {
        let device = plan.devices[planned.device as usize].selector.clone();
        table.add_row([planned.case.label(), device, planned.footprint.to_string()]);
    }
    let full = plan.estimate(settings);
    let time = arguments.budget.map_or(full, |budget| budget.min(full));
    let most = plan.cases.iter().map(|planned| planned.footprint).max().unwrap_or(ByteCount::ZERO);
    let cost = arguments.price.and_then(|price| price.scaled(time.get() / 3600.0));
    let cost = cost.map_or(String::new(), |cost| format!(", {cost}"));
    format!("{table}\n{} cases, about {time}{cost}, {most} of memory at a time\n", plan.cases.len())
}

/// How to carry out a plan: by this program as its own worker.
pub fn conduct(profile: Profile, budget: Option<Seconds>, deadline: Seconds) -> Result<Conduct, Failure> {
    let program =
        std::env::current_exe().map_err(|error| Failure::usage(format!("cannot find this program: {error}")))?;
    Ok(Conduct { profile, budget, deadline, worker: WorkerCommand { program, arguments: vec!["worker".into()] } })
}

/// The folder, the run so far, and the writer that continues it.
pub type Begun = (PathBuf, Run, RunWriter);

/// Begins a new run in a new folder.
pub fn begin(out: Option<&Path>, asked: RunRequest, devices: &[DeviceInfo], planned: usize) -> Result<Begun, Failure> {
    let now = jiff::Timestamp::now();
    let named = || PathBuf::from(now.strftime("rooflint-%Y%m%d-%H%M%S").to_string());
    let folder = out.map_or_else(named, Path::to_owned);
    report::make_folder(&folder, "choose another --out, or continue the run in it with --resume")?;
    let mut environment = environment::read(Duration::from_millis(250));
    environment.other_processes = telemetry::other_processes(devices);
    let header = Header {
        schema: SCHEMA_VERSION,
        run_id: format!("{:016x}", RandomState::new().build_hasher().finish()),
        started_at: timestamp(now),
        tool: ToolInfo {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            optimised: !cfg!(debug_assertions),
            target: format!("{}-{}", std::env::consts::ARCH, std::env::consts::OS),
        },
        provenance: Provenance::Measured,
        request: asked,
        environment,
        devices: devices.to_vec(),
        planned: planned as u32,
        framework: None,
    };
    for warning in &header.environment.warnings {
        complain(&format!("note: {warning}"));
    }
    let writer = RunWriter::create(&folder.join("run.jsonl"), &header).map_err(Failure::usage)?;
    Ok((folder, Run { header, records: Vec::new(), footer: None }, writer))
}

/// Continues a run where it was cut off, on the same devices.
pub fn resume(path: &Path, run: Run, devices: &[DeviceInfo]) -> Result<Begun, Failure> {
    let file = if path.is_dir() { path.join("run.jsonl") } else { path.to_owned() };
    let folder = file.parent().map(Path::to_owned).unwrap_or_default();
    for (before, now) in run.header.devices.iter().zip(devices) {
        if (&before.name, &before.identity) != (&now.name, &now.identity) {
            return Err(Failure::usage(format!(
                "{} was measured on '{}', and {} is '{}' here: a run is finished on the device it began on",
                file.display(),
                before.name,
                now.selector,
                now.name
            )));
        }
    }
    let writer = RunWriter::resume(&file).map_err(Failure::usage)?;
    Ok((folder, run, writer))
}

fn timestamp(at: jiff::Timestamp) -> String {
    at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

/// Writes a run's last line.
pub fn close(run: &mut Run, writer: &mut RunWriter, interrupted: bool) -> Result<(), Failure> {
    let other_processes = telemetry::other_processes(&run.header.devices);
    let footer = Footer { finished_at: timestamp(jiff::Timestamp::now()), interrupted, other_processes };
    writer.append(&Line::Footer(footer.clone())).map_err(Failure::usage)?;
    run.footer = Some(footer);
    Ok(())
}

/// Lets Ctrl-C end what a supervisor is at.
pub fn heed_interrupts(interrupter: Interrupter) -> Result<(), Failure> {
    ctrlc::set_handler(move || interrupter.interrupt())
        .map_err(|error| Failure::usage(format!("cannot listen for Ctrl-C: {error}")))
}

/// Measures what the run lacks, and closes it.
fn carry_out(plan: &Plan, conduct: Conduct, mut run: Run, mut writer: RunWriter) -> Result<Run, Failure> {
    let measured: HashSet<(u32, String)> = run
        .records
        .iter()
        .filter(|record| matches!(record.outcome, Outcome::Measured(_)))
        .map(|record| (record.device, record.case.key()))
        .collect();
    let is_measured = |planned: &Planned| measured.contains(&(planned.device, planned.case.key()));
    let shared = |planned: &Planned| Load::of(&planned.case) == Load::Together;
    // Figures of devices that were busy at once are of one moment: all of them again, or none.
    let all_shared = plan.cases.iter().filter(|planned| shared(planned)).all(is_measured);
    let wanted = |planned: &Planned| if shared(planned) { !all_shared } else { !is_measured(planned) };
    let todo = plan.cases.iter().filter(|planned| wanted(planned)).count();
    let (mut supervisor, interrupter) = Supervisor::new(conduct);
    heed_interrupts(interrupter)?;
    let mut watch = progress::watch(plan, todo);
    let records = &mut run.records;
    let mut keep = |record: &Record| {
        writer.append(&Line::Record(Box::new(record.clone())))?;
        records.retain(|older| (older.device, older.case.key()) != (record.device, record.case.key()));
        records.push(record.clone());
        Ok(())
    };
    let finish = supervisor.run(plan, &wanted, &mut keep, watch.as_mut()).map_err(Failure::usage)?;
    drop(watch);
    close(&mut run, &mut writer, finish == Finish::Interrupted)?;
    Ok(run)
}

/// Writes the report, prints the summary, and chooses the exit code.
fn finish(folder: &Path, run: Run, price: Option<Usd>) -> Result<Exit, Failure> {
    let interrupted = run.footer.as_ref().is_some_and(|footer| footer.interrupted);
    let any = |wanted: fn(&Outcome) -> bool| run.records.iter().any(|record| wanted(&record.outcome));
    let measured = any(|outcome| matches!(outcome, Outcome::Measured(_)));
    let found = any(|outcome| matches!(outcome, Outcome::Failed(_) | Outcome::Wrong(_)));
    let spent: Seconds = run.records.iter().map(|record| record.elapsed_s).sum();
    let runs = [run];
    report::write(folder, &runs)?;
    print(&report::summary(&runs))?;
    let cost = price.and_then(|price| price.scaled(spent.get() / 3600.0));
    let cost = cost.map_or(String::new(), |cost| format!(", {cost}"));
    complain(&format!(
        "{spent} of measuring{cost}. Report: {}. Run file: {}",
        folder.join("report.html").display(),
        folder.join("run.jsonl").display()
    ));
    Ok(match (interrupted, measured, found) {
        (true, ..) => {
            complain(&format!("interrupted; 'rooflint run --resume {}' measures the rest", folder.display()));
            Exit::Interrupted
        }
        (_, false, _) => Exit::Nothing,
        (_, _, true) => Exit::Finding,
        _ => Exit::Fine,
    })
}
