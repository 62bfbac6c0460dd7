//! One table: its columns, and the record of each of its cases.

use std::collections::{BTreeMap, HashMap};

use super::Selection;
use crate::import::columns::{self, Kind, Values, Wanted};
use crate::import::taken::{sample, taken};
use crate::import::{ImportError, lint, operations};
use crate::record::{AxisValue, Case, Outcome, Quantity, Record, Work};
use crate::units::Seconds;

/// A kind of table.
#[derive(Debug)]
pub(super) struct Spec {
    /// Its file's name, without the ending.
    pub table: &'static str,
    /// The folder it lies in.
    pub family: &'static str,
    /// The benchmark its rows are cases of.
    benchmark: &'static str,
    columns: &'static [Wanted],
    axes: fn(&Row<'_>) -> Vec<(&'static str, AxisValue)>,
}

const fn count(name: &'static str) -> Wanted {
    Wanted { name, kind: Kind::Count, required: true }
}

const fn word(name: &'static str) -> Wanted {
    Wanted { name, kind: Kind::Word, required: true }
}

const fn optional(wanted: Wanted) -> Wanted {
    Wanted { required: false, ..wanted }
}

/// Columns that every table may have. Latencies are milliseconds.
const COMMON: [Wanted; 5] = [
    Wanted { name: "latency", kind: Kind::Real, required: true },
    word("kernel_source"),
    optional(word("device")),
    optional(word("framework")),
    optional(word("version")),
];

const ATTENTION: &[Wanted] = &[
    count("batch_size"),
    count("isl"),
    count("num_heads"),
    count("num_key_value_heads"),
    count("head_dim"),
    count("beam_width"),
    word("attn_dtype"),
    word("kv_cache_dtype"),
    count("step"),
    optional(count("window_size")),
];

/// Every kind of table that is read.
pub(super) static SPECS: [Spec; 6] = [
    Spec {
        table: "gemm_perf",
        family: "gemm",
        benchmark: "matmul",
        columns: &[word("gemm_dtype"), count("m"), count("n"), count("k")],
        axes: |row| {
            let mut axes = formats(row.word("gemm_dtype"));
            axes.extend(["m", "n", "k"].map(|axis| (axis, row.count(axis).into())));
            axes
        },
    },
    Spec {
        table: "generation_attention_perf",
        family: "attention",
        benchmark: "attention",
        columns: ATTENTION,
        axes: |row| attention(row, "decode", row.count("isl") + row.count("step")),
    },
    Spec {
        table: "context_attention_perf",
        family: "attention",
        benchmark: "attention",
        columns: ATTENTION,
        axes: |row| {
            let mut axes = attention(row, "context", row.count("isl"));
            // Tokens already in the cache before the prompt.
            axes.extend(Some(row.count("step")).filter(|step| *step > 0).map(|step| ("prefix", step.into())));
            axes
        },
    },
    Spec {
        table: "moe_perf",
        family: "moe",
        benchmark: "moe",
        columns: &[
            word("moe_dtype"),
            count("num_tokens"),
            count("hidden_size"),
            count("inter_size"),
            count("topk"),
            count("num_experts"),
            count("moe_tp_size"),
            count("moe_ep_size"),
            word("distribution"),
        ],
        axes: moe,
    },
    Spec {
        table: "nccl_perf",
        family: "comm",
        benchmark: "collective",
        columns: &[word("nccl_dtype"), count("num_gpus"), count("message_size"), word("op_name")],
        axes: |row| collective(row, "nccl_dtype", "nccl"),
    },
    Spec {
        table: "custom_allreduce_perf",
        family: "comm",
        benchmark: "collective",
        columns: &[word("allreduce_dtype"), count("num_gpus"), count("message_size"), word("op_name")],
        axes: |row| collective(row, "allreduce_dtype", "custom"),
    },
];

/// The tables' names of number formats: what is computed in, and what weights are stored in where that differs.
const FORMATS: [(&str, &str, Option<&str>); 11] = [
    ("bfloat16", "bf16", None),
    ("half", "f16", None),
    ("float16", "f16", None),
    ("fp8", "fp8_e4m3", None),
    ("fp8_block", "fp8_e4m3", Some("fp8_e4m3_block")),
    ("int8_wo", "bf16", Some("i8")),
    ("int4_wo", "bf16", Some("i4")),
    ("sq", "i8", None),
    ("w4a16_mxfp4", "bf16", Some("mxfp4")),
    ("w4a8_mxfp4_mxfp8", "fp8_e4m3", Some("mxfp4")),
    ("w4afp8", "fp8_e4m3", Some("i4")),
];

/// The name of a format; one that is not known keeps the table's, and its rows declare no work.
fn format_of(name: &str) -> (&str, Option<&str>) {
    let int8 = (name == "int8").then_some(("i8", None));
    let known = FORMATS.iter().find(|(known, ..)| *known == name).map(|(_, precision, weights)| (*precision, *weights));
    known.or(int8).unwrap_or((name, None))
}

fn formats(name: &str) -> Vec<(&'static str, AxisValue)> {
    let (precision, weights) = format_of(name);
    let weights = weights.map(|weights| ("weights", weights.into()));
    std::iter::once(("precision", precision.into())).chain(weights).collect()
}

fn attention(row: &Row<'_>, phase: &str, context: u64) -> Vec<(&'static str, AxisValue)> {
    let mut axes = vec![
        ("phase", phase.into()),
        ("batch", row.count("batch_size").into()),
        ("heads", row.count("num_heads").into()),
        ("kv_heads", row.count("num_key_value_heads").into()),
        ("head_dim", row.count("head_dim").into()),
        ("context", context.into()),
        ("precision", format_of(row.word("attn_dtype")).0.into()),
        ("kv_precision", format_of(row.word("kv_cache_dtype")).0.into()),
    ];
    axes.extend(Some(row.count("window_size")).filter(|window| *window > 0).map(|window| ("window", window.into())));
    axes.extend(Some(row.count("beam_width")).filter(|width| *width > 1).map(|width| ("beam_width", width.into())));
    axes
}

/// Hidden and inner size, experts per token and experts of mixtures without a gate: Nemotron 3 Nano, Super and Ultra, with the
/// last's experts between narrow activations or wide. The configurations that come with the tables have squared ReLUs there
/// (`mlp_hidden_act: relu2`).
const WITHOUT_GATE: [[u64; 4]; 4] =
    [[2688, 1856, 6, 128], [1024, 2688, 22, 512], [2048, 5120, 22, 512], [8192, 5120, 22, 512]];

/// Whether a layer was measured without a gate. TensorRT-LLM's kernels are named for it. vLLM's tables of 0.24 measured those
/// mixtures as they are, by kernels named for their experts: with a third matrix their rows in bf16 would be faster than memory.
/// Earlier ones, and most of SGLang's, gave them one.
fn is_without_gate(row: &Row<'_>) -> bool {
    let layer = ["hidden_size", "inter_size", "topk", "num_experts"].map(|column| row.count(column));
    let kernel = row.word("kernel_source");
    kernel.contains("nongated")
        || kernel.starts_with("vllm_") && kernel.ends_with("experts") && WITHOUT_GATE.contains(&layer)
}

fn moe(row: &Row<'_>) -> Vec<(&'static str, AxisValue)> {
    let mut axes = formats(row.word("moe_dtype"));
    axes.extend([
        ("tokens", row.count("num_tokens").into()),
        ("hidden", row.count("hidden_size").into()),
        ("intermediate", row.count("inter_size").into()),
        ("top_k", row.count("topk").into()),
        ("experts", row.count("num_experts").into()),
        ("tensor", row.count("moe_tp_size").into()),
        ("expert_parallel", row.count("moe_ep_size").into()),
        ("routing", row.word("distribution").into()),
    ]);
    if is_without_gate(row) {
        axes.push(("matrices", 2.into()));
    }
    axes
}

/// A message's size is given in elements.
fn collective(row: &Row<'_>, format: &str, library: &str) -> Vec<(&'static str, AxisValue)> {
    let (precision, _) = format_of(row.word(format));
    let element = precision.parse::<crate::record::Precision>().map_or(1, |precision| precision.size());
    let operation = match row.word("op_name") {
        "alltoall" => "all_to_all",
        other => other,
    };
    vec![
        ("operation", operation.into()),
        ("gpus", row.count("num_gpus").into()),
        ("size", row.count("message_size").saturating_mul(element).into()),
        ("precision", precision.into()),
        ("library", library.into()),
    ]
}

/// One table's columns.
#[derive(Debug)]
pub struct Table {
    spec: &'static Spec,
    columns: Vec<(&'static str, Values)>,
    latencies_ms: Vec<f64>,
    /// Rows of each case, in the table's order. A case has several where the table repeats it.
    cases: Vec<Vec<u32>>,
    /// Which device of the header each word of the column `device` is; one for all rows without that column.
    devices: Vec<u32>,
    /// Whether kernels of several sources are in the table, so that a case must name its own.
    several_kernels: bool,
    framework: String,
    version: String,
}

/// One row of a table.
pub(super) struct Row<'a> {
    table: &'a Table,
    at: usize,
}

impl Row<'_> {
    fn values(&self, name: &str) -> Option<&Values> {
        self.table.columns.iter().find(|(known, _)| *known == name).map(|(_, values)| values)
    }

    /// The count in a column; zero without it.
    fn count(&self, name: &str) -> u64 {
        match self.values(name) {
            Some(Values::Counts(counts)) => counts.get(self.at).copied().unwrap_or(0),
            _ => 0,
        }
    }

    /// Which word of its column a row has.
    fn word_at(&self, name: &str) -> Option<usize> {
        match self.values(name) {
            Some(Values::Words(_, at)) => at.get(self.at).map(|at| *at as usize),
            _ => None,
        }
    }

    /// The word in a column; nothing without it.
    fn word(&self, name: &str) -> &str {
        match (self.values(name), self.word_at(name)) {
            (Some(Values::Words(words, _)), Some(at)) => words.get(at).map_or("", String::as_str),
            _ => "",
        }
    }
}

impl Table {
    /// Reads a table of the archive.
    ///
    /// # Errors
    /// As [`columns::read`].
    pub(super) fn read(bytes: Vec<u8>, member: &str, selection: &Selection) -> Result<Self, ImportError> {
        let stem = member.rsplit('/').next().and_then(|file| file.strip_suffix(".parquet"));
        let unknown = || ImportError::Nothing { name: member.to_owned(), problem: "no such table is known".to_owned() };
        let spec = SPECS.iter().find(|spec| Some(spec.table) == stem).ok_or_else(unknown)?;
        let wanted: Vec<Wanted> = COMMON.iter().chain(spec.columns).copied().collect();
        let values = columns::read(bytes, member, &wanted)?;
        let mut columns: Vec<(&'static str, Values)> =
            wanted.iter().zip(values).filter_map(|(wanted, values)| Some((wanted.name, values?))).collect();
        let latencies_ms = match columns.remove(0).1 {
            Values::Reals(latencies) => latencies,
            _ => Vec::new(),
        };
        let mut table = Self {
            spec,
            columns,
            latencies_ms,
            cases: Vec::new(),
            devices: Vec::new(),
            several_kernels: false,
            framework: selection.framework.clone(),
            version: selection.version.clone(),
        };
        table.several_kernels = table.words_of("kernel_source").is_some_and(|words| words.len() > 1);
        table.join();
        Ok(table)
    }

    fn words_of(&self, name: &str) -> Option<&[String]> {
        self.columns.iter().find(|(known, _)| *known == name).and_then(|(_, values)| match values {
            Values::Words(words, _) => Some(words.as_slice()),
            _ => None,
        })
    }

    /// Rows that agree in all but the latency are samples of one case.
    fn join(&mut self) {
        let mut known: HashMap<Vec<u64>, usize> = HashMap::with_capacity(self.latencies_ms.len());
        for row in 0..self.latencies_ms.len() {
            let key = self.columns.iter().map(|(_, values)| match values {
                Values::Counts(counts) => counts[row],
                Values::Words(_, at) => at[row].into(),
                Values::Reals(reals) => reals[row].to_bits(),
            });
            let case = *known.entry(key.collect()).or_insert_with(|| {
                self.cases.push(Vec::with_capacity(1));
                self.cases.len() - 1
            });
            self.cases[case].push(row as u32);
        }
    }

    /// Gives every device's name, or `None` where the table names none, its place in the header.
    pub(super) fn place_devices(&mut self, mut place: impl FnMut(Option<&str>) -> u32) {
        self.devices = match self.words_of("device") {
            Some(names) => names.iter().map(|name| place(Some(name))).collect(),
            None => vec![place(None)],
        };
    }

    /// Rows.
    pub(super) fn rows(&self) -> usize {
        self.latencies_ms.len()
    }

    /// Cases.
    pub(super) fn cases(&self) -> usize {
        self.cases.len()
    }

    /// The benchmark its rows are cases of.
    pub(super) fn benchmark(&self) -> &'static str {
        self.spec.benchmark
    }

    /// Whether any latency is one.
    pub(super) fn has_a_latency(&self) -> bool {
        self.latencies_ms.iter().any(|latency| latency.is_finite() && *latency > 0.0)
    }

    /// A record for each case.
    pub(crate) fn records(&self) -> impl Iterator<Item = Record> + '_ {
        self.cases.iter().map(|rows| self.record(rows))
    }

    fn record(&self, rows: &[u32]) -> Record {
        let row = Row { table: self, at: rows.first().map_or(0, |row| *row as usize) };
        let mut case = Case::new(self.spec.benchmark, (self.spec.axes)(&row), 0);
        if self.several_kernels {
            case.axes.insert("kernel_source".to_owned(), row.word("kernel_source").into());
        }
        let (work, outcome) = match operations::work(&case) {
            Ok(work) => (work, self.outcome(&row, rows)),
            Err(why) => (Work::default(), Outcome::Skipped(format!("{why}: its work cannot be declared"))),
        };
        let device = self.devices.get(row.word_at("device").unwrap_or(0)).copied().unwrap_or(0);
        let quantity = operations::quantity(self.spec.benchmark).unwrap_or(Quantity::Duration);
        Record { case, device, quantity, work, started_s: Seconds::ZERO, elapsed_s: Seconds::ZERO, outcome }
    }

    /// The latencies as samples, or why they are none.
    fn outcome(&self, row: &Row<'_>, rows: &[u32]) -> Outcome {
        let mut samples = Vec::with_capacity(rows.len());
        for at in rows {
            let latency_ms = self.latencies_ms[*at as usize];
            match Seconds::new(latency_ms / 1e3).filter(|time| *time > Seconds::ZERO) {
                Some(time) => samples.push(sample(time)),
                None => {
                    return Outcome::Failed(lint::Reason::NoTime.quarantine(&format!("a latency of {latency_ms} ms")));
                }
            }
        }
        let mut conditions = BTreeMap::new();
        // Some tables lie in a framework's folder and were taken from another's.
        let (framework, version) = (row.word("framework"), row.word("version"));
        let same = framework.eq_ignore_ascii_case(&self.framework) || self.framework == "nccl";
        if !version.is_empty() && !(same && version == self.version) {
            conditions.insert("measured_with".to_owned(), format!("{framework} {version}"));
        }
        Outcome::Measured(Box::new(taken(row.word("kernel_source"), samples, conditions)))
    }
}
