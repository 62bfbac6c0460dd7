//! `rooflint matmul-max`: the fastest matrix product of a device, searched for within a budget.

mod table;

use std::collections::{BTreeMap, VecDeque};
use std::path::PathBuf;
use std::time::Instant;

use clap::{Args, FromArgMatches};

use self::table::Group;
use super::progress::Progress;
use super::run::{begin, close, conduct, describe, heed_interrupts, lock, resume, selectors};
use super::{Command, Exit, Failure, complain, print, report, terminal_width, values};
use crate::measure::halving::Halving;
use crate::measure::plan::{Plan, plan};
use crate::measure::search::{self, Candidate, FINALISTS, Wanted, candidates, search};
use crate::measure::supervisor::Supervisor;
use crate::record::{AxisValue, Line, MatmulShape, Outcome, Precision, Record, RunRequest};
use crate::store::{self, Loaded, RunWriter, StoreError};
use crate::suite::{self, Profile, Request, grid};
use crate::units::Seconds;

pub const COMMAND: Command = Command {
    name: "matmul-max",
    declare: |command| {
        Arguments::augment_args(command.about("Find the fastest matrix product of a device, in minutes").after_help(
            "Examples:\n  \
             rooflint matmul-max                                      the GPU, or the CPU, in its usual formats\n  \
             rooflint matmul-max --precision bf16,f16 --budget 10m    more formats, more shapes\n  \
             rooflint matmul-max --resume here                        finish a search that was cut off",
        ))
    },
    run: |matches| run(&Arguments::from_arg_matches(matches).map_err(Failure::usage)?),
};

/// The profile's name in a run file of a search.
pub const PROFILE: &str = "matmul_max";

/// The benchmark.
const MATMUL: &str = "matmul";

#[derive(Args)]
struct Arguments {
    /// Device to search on, as 'rooflint devices' lists it. By default the first NVIDIA GPU, or the CPU where there is none
    #[arg(long, value_name = "DEVICE")]
    device: Option<String>,
    /// Number formats, one search for each; by default bf16 and fp8_e4m3 on a GPU with units for them, else f32
    #[arg(long, value_name = "FORMAT", value_delimiter = ',', value_parser = precision)]
    precision: Vec<Precision>,
    /// Time for all of it; more time reaches more shapes
    #[arg(long, value_name = "TIME", default_value = "3m", value_parser = values::duration)]
    budget: Seconds,
    /// Values of another axis of 'matmul', such as data=zeros; repeatable
    #[arg(long, value_name = "NAME=VALUES", value_parser = values::axis)]
    axis: Vec<(String, Vec<AxisValue>)>,
    /// Seed of all data
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Folder for the run file and the report; it must not exist yet, or be empty
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Finish a search that was cut off: its folder or file
    #[arg(long, value_name = "RUN", conflicts_with_all = ["device", "precision", "budget", "axis", "seed", "out"])]
    resume: Option<PathBuf>,
    /// Print the shapes that would be searched, and stop
    #[arg(long)]
    dry_run: bool,
    /// Longest time for one case before it is stopped and counted as failed
    #[arg(long, value_name = "TIME", default_value = "2m", value_parser = values::duration)]
    deadline: Seconds,
}

fn precision(text: &str) -> Result<Precision, String> {
    let axes = suite::find(MATMUL).map_or(&[][..], |benchmark| benchmark.meta().axes);
    let known = axes.iter().find(|axis| axis.name == "precision").map_or(&[][..], |axis| axis.words);
    let found = text.parse().ok().filter(|_| known.contains(&text));
    found.ok_or_else(|| format!("no format of matrix products; known: {}", known.join(", ")))
}

fn run(arguments: &Arguments) -> Result<Exit, Failure> {
    let resumed = match &arguments.resume {
        Some(path) => Some(searched(path)?),
        None => None,
    };
    let asked = match &resumed {
        Some(loaded) => loaded.run.header.request.clone(),
        None => asked(arguments)?,
    };
    let plan = planned(&asked)?;
    let groups = groups(&plan);
    if arguments.dry_run {
        print(&forecast(&plan, &groups))?;
        return Ok(Exit::Fine);
    }
    let _locks = lock(&plan.devices)?;
    let deadline = arguments.deadline;
    let (mut supervisor, interrupter) = Supervisor::new(conduct(Profile::Quick, None, deadline)?);
    let budget = asked.budget_s.unwrap_or(arguments.budget);
    let history = resumed.as_ref().map(history).unwrap_or_default();
    let (folder, mut run, writer) = match (&arguments.resume, resumed) {
        (Some(path), Some(loaded)) => resume(path, loaded.run, &plan.devices)?,
        _ => {
            let expected: usize = groups.iter().map(|(_, group)| group.len() + FINALISTS.min(group.len())).sum();
            begin(arguments.out.as_deref(), asked, &plan.devices, expected)?
        }
    };
    heed_interrupts(interrupter)?;
    let mut session = Session {
        plan: &plan,
        supervisor: &mut supervisor,
        records: std::mem::take(&mut run.records),
        history,
        writer,
        watch: Progress::of_search(),
        begun: Instant::now(),
        stage: String::new(),
    };
    let found = session.search(&groups, budget, deadline).map_err(Failure::usage)?;
    let Session { records, mut writer, watch, .. } = session;
    drop(watch);
    supervisor.let_go();
    run.records = records;
    let interrupted = found.iter().any(|group| group.found.interrupted);
    close(&mut run, &mut writer, interrupted)?;
    let failed = |record: &Record| matches!(record.outcome, Outcome::Failed(_) | Outcome::Wrong(_));
    let any_failed = run.records.iter().any(failed);
    let measured = found.iter().any(|group| !group.found.finalists.is_empty());
    report::write(&folder, &[run])?;
    print(&table::text(&plan, &found, terminal_width()))?;
    let (page, file) = (folder.join("report.html"), folder.join("run.jsonl"));
    complain(&format!("Report: {}. Run file: {}", page.display(), file.display()));
    Ok(match (interrupted, measured, any_failed) {
        (true, ..) => {
            complain(&format!("interrupted; 'rooflint matmul-max --resume {}' measures the rest", folder.display()));
            Exit::Interrupted
        }
        (_, false, _) => Exit::Nothing,
        (_, _, true) => Exit::Finding,
        _ => Exit::Fine,
    })
}

/// A search's run file.
fn searched(path: &std::path::Path) -> Result<Loaded, Failure> {
    let loaded = store::load(path).map_err(Failure::usage)?;
    if loaded.run.header.request.profile != PROFILE {
        let shown = path.display();
        return Err(Failure::usage(format!("{shown} is no search: 'rooflint run --resume {shown}' finishes it")));
    }
    Ok(loaded)
}

/// What the arguments ask for: the whole grid, whatever part of it is reached.
fn asked(arguments: &Arguments) -> Result<RunRequest, Failure> {
    let given: Vec<String> = arguments.device.iter().cloned().collect();
    let devices = selectors(&given)?;
    let [device] = describe(&devices)?
        .try_into()
        .map_err(|_| Failure::usage("matmul-max searches on one device at a time: choose one with --device"))?;
    let mut axes: BTreeMap<String, Vec<AxisValue>> = BTreeMap::new();
    for (name, values) in &arguments.axis {
        if ["m", "n", "k", "precision", "load"].contains(&name.as_str()) {
            return Err(Failure::usage(format!("the search itself decides '{name}'; precisions are --precision")));
        }
        axes.entry(name.clone()).or_default().extend(values.iter().cloned());
    }
    let mut precisions = arguments.precision.clone();
    if precisions.is_empty() {
        precisions = grid::precisions(&device);
    }
    let shapes = precisions.iter().flat_map(|precision| grid::shapes(&device, *precision));
    Ok(RunRequest {
        profile: PROFILE.to_owned(),
        budget_s: Some(arguments.budget),
        seed: arguments.seed,
        devices,
        benchmarks: vec![MATMUL.to_owned()],
        axes,
        shapes: shapes.collect(),
    })
}

/// Every case that the search may measure: the grid under both loads.
fn planned(asked: &RunRequest) -> Result<Plan, Failure> {
    let benchmark = suite::find(MATMUL).ok_or_else(|| Failure::usage("this program has no matrix products"))?;
    let mut axes = asked.axes.clone();
    axes.insert("load".to_owned(), ["burst", "sustained"].map(AxisValue::from).to_vec());
    let shapes: Vec<MatmulShape> = asked.shapes.clone();
    let request = Request { profile: Profile::Quick, axes, shapes, seed: asked.seed };
    plan(describe(&asked.devices)?, &[benchmark], &request).map_err(Failure::usage)
}

/// The candidates of each precision, in the order asked for.
fn groups(plan: &Plan) -> Vec<(String, Vec<Candidate>)> {
    let mut groups: Vec<(String, Vec<Candidate>)> = Vec::new();
    for candidate in candidates(plan) {
        let precision = plan.cases[candidate.burst].case.word("precision").unwrap_or("?");
        match groups.iter_mut().find(|(known, _)| known == precision) {
            Some((_, group)) => group.push(candidate),
            None => groups.push((precision.to_owned(), vec![candidate])),
        }
    }
    groups
}

fn forecast(plan: &Plan, groups: &[(String, Vec<Candidate>)]) -> String {
    let mut text = String::new();
    for (precision, group) in groups {
        for candidate in group {
            let planned = &plan.cases[candidate.burst];
            text += &format!("{}  {}\n", planned.case.label(), planned.footprint);
        }
        text += &format!("{precision}: {} shapes\n", group.len());
    }
    text
}

/// Records of an earlier attempt, by case and in order.
type History = BTreeMap<String, VecDeque<Record>>;

/// What an earlier attempt measured, oldest first.
fn history(loaded: &Loaded) -> History {
    let mut history = History::new();
    for record in loaded.replaced.iter().chain(&loaded.run.records) {
        history.entry(record.case.key()).or_default().push_back(record.clone());
    }
    history
}

/// A search under way.
struct Session<'a> {
    plan: &'a Plan,
    supervisor: &'a mut Supervisor,
    records: Vec<Record>,
    history: History,
    writer: RunWriter,
    watch: Progress,
    begun: Instant,
    stage: String,
}

impl Session<'_> {
    /// Searches in each group, with an equal share of the time that is left.
    fn search<'g>(
        &mut self,
        groups: &'g [(String, Vec<Candidate>)],
        budget: Seconds,
        deadline: Seconds,
    ) -> Result<Vec<Group<'g>>, StoreError> {
        let mut left = budget;
        let mut all: Vec<Group<'g>> = Vec::new();
        for (at, (precision, group)) in groups.iter().enumerate() {
            let share = left.scaled(1.0 / (groups.len() - at) as f64).unwrap_or(left);
            let later: usize = groups[at + 1..].iter().map(|(_, group)| expected(group)).sum();
            let mut taken = 0;
            let found = search(group, share, deadline, &mut |wanted| {
                let rest = if wanted.stage == search::FINALS {
                    2 * FINALISTS.min(group.len())
                } else {
                    expected(group) - taken
                };
                self.announce(&format!("{precision}, {}", wanted.stage), rest + later);
                taken += 1;
                self.measure(wanted)
            })?;
            left = left.saturating_sub(found.spent);
            let interrupted = found.interrupted;
            all.push(Group { precision, candidates: group, found });
            if interrupted {
                break;
            }
        }
        Ok(all)
    }

    /// Shows the stage when it changes.
    fn announce(&mut self, stage: &str, left: usize) {
        if self.stage != stage {
            stage.clone_into(&mut self.stage);
            self.watch.stage(stage, left);
        }
    }

    /// The record of an earlier attempt, or a new one that is kept.
    fn measure(&mut self, wanted: &Wanted) -> Result<Option<Record>, StoreError> {
        let key = self.plan.cases[wanted.index].case.key();
        if let Some(record) = self.history.get_mut(&key).and_then(VecDeque::pop_front) {
            return Ok(Some(record));
        }
        let (plan, settings) = (self.plan, &wanted.settings);
        let Some(record) = self.supervisor.one(plan, wanted.index, settings, self.begun, &mut self.watch) else {
            return Ok(None);
        };
        self.writer.append(&Line::Record(Box::new(record.clone())))?;
        self.records.retain(|older| older.case.key() != key);
        self.records.push(record.clone());
        Ok(Some(record))
    }
}

/// Cases of a search that no time limit cuts.
fn expected(group: &[Candidate]) -> usize {
    Halving::trials(group.len(), FINALISTS) + 2 * FINALISTS.min(group.len())
}
