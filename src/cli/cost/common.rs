//! What the questions share: options and what they resolve to, refusals, and the two ways to print an answer.

use std::path::Path;

use clap::Args;
use clap::builder::{PossibleValuesParser, TypedValueParser};
use serde::Serialize;

use super::law;
use super::sheet::{Row, Sheet, fact, row};
use super::words::{byte_rate, bytes, flop_rate, large, tokens, usd};
use crate::claims::number;
use crate::cli::{Exit, Failure, print, terminal_width, values};
use crate::cost::answer::{Accelerator, Capacity, WeightFormat};
use crate::cost::{CostError, Figure};
use crate::fit::Calibration;
use crate::hardware::{self, Gpu, Rate};
use crate::llm::{self, Layout, Model, ModelError, Split};

/// What a question is about, and how its answer is printed.
#[derive(Args)]
pub struct About {
    /// Model: a name of the catalogue, a TOML file (FILE or FILE#ID), or a Hugging Face config.json
    #[arg(long, value_name = "MODEL")]
    model: String,
    /// GPU: a name of the catalogue (datasheet:NAME says the same), a TOML file with its datasheet (FILE or FILE#ID), what
    /// others measured on one (reference:NAME), a calibration of 'rooflint fit' (FILE.json), or a run that is fitted first
    /// (its folder or FILE.jsonl)
    #[arg(long, value_name = "GPU")]
    gpu: String,
    /// Format of the weights; its peak is the compute ceiling
    #[arg(long, value_name = "FORMAT", default_value = "f16", value_parser = word(weight_formats()))]
    weights: WeightFormat,
    /// How to print the answer
    #[arg(long, value_name = "FORMAT", default_value = "table", value_parser = word(vec![("table", Format::Table), ("json", Format::Json)]))]
    pub format: Format,
}

/// How an answer is printed.
#[derive(Clone, Copy)]
pub enum Format {
    Table,
    Json,
}

/// Which of a datasheet's capacities counts.
#[derive(Args)]
pub struct Memory {
    /// Memory of a GPU: as sold, in 10^9 bytes, or as its driver reports it
    #[arg(long, value_name = "WHICH", default_value = "sold", value_parser = word(vec![("sold", Capacity::Sold), ("reported", Capacity::Reported)]))]
    pub capacity: Capacity,
}

/// Format of the KV cache.
#[derive(Args)]
pub struct KvCache {
    /// Format of the KV cache
    #[arg(long, value_name = "FORMAT", default_value = "f16", value_parser = word(value_formats()))]
    pub kv: WeightFormat,
}

/// How one replica of the model is split.
#[derive(Args)]
pub struct Ranks {
    /// GPUs that share each matrix
    #[arg(long, value_name = "RANKS", default_value_t = 1)]
    tensor: u32,
    /// Stages that share the layers
    #[arg(long, value_name = "STAGES", default_value_t = 1)]
    pipeline: u32,
    /// Ranks that share the experts of a layer, each with tokens of its own
    #[arg(long, value_name = "RANKS", default_value_t = 1)]
    expert: u32,
    /// Take average shares where heads or layers do not divide, as an estimate on paper does
    #[arg(long)]
    average: bool,
}

/// Tokens of a sequence.
#[derive(Args)]
pub struct Context {
    /// Tokens of an average sequence [default: 2048, or all the model was made for if fewer]
    #[arg(long, value_name = "TOKENS", value_parser = values::figure, allow_negative_numbers = true)]
    context: Option<Figure>,
}

/// Rent of a GPU.
#[derive(Args)]
pub struct Rent {
    /// Rent of one GPU for an hour, in USD [default: the latest on record for that GPU]
    #[arg(long, value_name = "USD", value_parser = values::figure, allow_negative_numbers = true)]
    price: Option<Figure>,
}

/// One of these words; help and completions list them.
pub fn word<T: Copy + Send + Sync + 'static>(table: Vec<(&'static str, T)>) -> impl TypedValueParser<Value = T> {
    let words: Vec<_> = table.iter().map(|(name, _)| *name).collect();
    PossibleValuesParser::new(words).try_map(move |word| {
        let found = table.iter().find(|(name, _)| *name == word);
        found.map(|(_, value)| *value).ok_or_else(|| format!("unknown word '{word}'"))
    })
}

fn weight_formats() -> Vec<(&'static str, WeightFormat)> {
    WeightFormat::ALL.iter().map(|format| (format.name, *format)).collect()
}

/// Formats of a single value: those that take whole bytes. The rest share a scale among weights.
fn value_formats() -> Vec<(&'static str, WeightFormat)> {
    weight_formats().into_iter().filter(|(_, format)| format.bytes_per_parameter.fract() == 0.0).collect()
}

/// What a question is about, found.
#[derive(Serialize)]
pub struct Subject {
    pub model: Model,
    pub gpu: Gpu,
    pub weights: WeightFormat,
    pub capacity: Capacity,
    /// The ceilings that the answer rests on.
    pub accelerator: Accelerator,
    /// Whether a calibration was named that this question does not use.
    #[serde(skip)]
    unused: bool,
}

impl About {
    /// Finds the model and the GPU, which computes at the peak of the weights' format.
    pub fn subject(&self, capacity: Capacity) -> Result<Subject, Failure> {
        self.found(gpu(&self.gpu)?, self.weights.rate, capacity)
    }

    /// The same, decoding by the law of a calibration where one is named.
    /// With `skew`, tokens choose experts as unevenly as the calibration's mixtures had them do.
    pub fn decoding(&self, capacity: Capacity, kv: WeightFormat, skew: bool) -> Result<Subject, Failure> {
        let (gpu, calibration) = gpu(&self.gpu)?;
        let mut subject = self.found((gpu, None), self.weights.rate, capacity)?;
        if let Some(calibration) = calibration {
            let step = law::step(&calibration, self.weights, kv, skew)?;
            subject.accelerator = subject.accelerator.fitted(step).map_err(Failure::usage)?;
        } else if skew {
            return Err(Failure::usage(
                "--routing fitted takes what a calibration tells: name one with --gpu (a run, FILE.json, reference:NAME), or \
                 give the skew (--routing 0.6)",
            ));
        }
        Ok(subject)
    }

    /// The same where nothing is computed: weights may be kept in a format that the GPU has no peak for.
    pub fn kept(&self, capacity: Capacity) -> Result<Subject, Failure> {
        let (found, rate) = (gpu(&self.gpu)?, self.weights.rate);
        let peaks = &found.0.peaks;
        let stated = peaks.get_key_value(&rate).or_else(|| peaks.first_key_value()).map(|(rate, _)| *rate);
        self.found(found, stated.unwrap_or(rate), capacity)
    }

    fn found(&self, gpu: (Gpu, Option<Calibration>), rate: Rate, capacity: Capacity) -> Result<Subject, Failure> {
        let (gpu, calibration) = gpu;
        let accelerator = accelerator(&gpu, rate, capacity)?;
        let (model, weights, unused) = (model(&self.model)?, self.weights, calibration.is_some());
        Ok(Subject { model, gpu, weights, capacity, accelerator, unused })
    }
}

/// The ceilings of a GPU: its datasheet's.
fn accelerator(gpu: &Gpu, rate: Rate, capacity: Capacity) -> Result<Accelerator, Failure> {
    Accelerator::datasheet(gpu, rate, capacity).map_err(|error| Failure::usage(format!("{error} (--weights)")))
}

impl Subject {
    /// The model, its size, and the GPU: what every answer begins with.
    pub fn rows(&self) -> Vec<Row> {
        let weights = self.model.weights();
        let total = Figure::exact(weights.total()).ok();
        let active = Figure::exact(weights.active()).ok().filter(|active| Some(*active) != total);
        let mut rows = vec![fact("model", &self.model.name, &self.model.source)];
        rows.extend(total.map(|total| row("parameters", total, large, "counted from its shape")));
        rows.extend(active.map(|active| row("active per token", active, large, "shared, and the routed experts'")));
        rows.push(fact("GPU", &self.accelerator.name, &self.gpu.source));
        rows
    }

    /// The format that weights are stored in.
    pub fn stored(&self) -> Row {
        fact("weights", self.weights.name, format!("{} each", self.width()))
    }

    /// What one GPU computes at most.
    pub fn compute(&self) -> Row {
        let how = match self.accelerator.law {
            Some(_) => format!("fitted to measured products, {}", self.rate()),
            None => format!("its datasheet's peak, dense {}", self.rate()),
        };
        row("compute ceiling", self.accelerator.roofline.compute_flop_s, flop_rate, how)
    }

    /// What one GPU's memory moves at most.
    pub fn bandwidth(&self) -> Row {
        let how = match self.accelerator.law {
            Some(_) => "fitted to measured products",
            None => "its datasheet's peak, of memory",
        };
        row("bandwidth ceiling", self.accelerator.roofline.bandwidth_b_s, byte_rate, how)
    }

    /// What one GPU's memory holds.
    pub fn memory(&self) -> Row {
        let how = match self.capacity {
            Capacity::Sold => "as sold",
            Capacity::Reported => "as its driver reports it, or as sold where no report is known",
        };
        row("memory", self.accelerator.capacity_b, bytes, how)
    }

    /// The format of its products.
    pub fn rate(&self) -> &'static str {
        self.weights.rate.name()
    }

    /// Bytes of one parameter.
    pub fn width(&self) -> String {
        format!("{} B", number(self.weights.bytes_per_parameter))
    }

    /// What must be known of the model and the GPU.
    pub fn notes(&self) -> Vec<String> {
        let assumed = self.model.assumed.as_ref().map(|assumed| format!("assumed of the model: {assumed}."));
        let gpu = self.gpu.note.as_ref().map(|note| format!("of the {}: {note}.", self.gpu.name));
        let unused =
            "of the calibration only the GPU's name is used: its laws are of decoding, which 'cost serve' asks for.";
        assumed.into_iter().chain(gpu).chain(self.unused.then(|| unused.to_owned())).collect()
    }
}

/// The model of that name or file.
pub fn model(text: &str) -> Result<Model, Failure> {
    if text.ends_with(".json") {
        let model = llm::parse_hf_config(&read(text)?, text).map_err(Failure::usage)?;
        // Most of these files are called config.json and name no model: the path says which one it is.
        let name = if model.name == "config" { text.to_owned() } else { model.name };
        return Ok(Model { name, ..model });
    }
    match toml_file(text) {
        Some((file, id)) => {
            let models = llm::parse_toml(&read(file)?, file).map_err(Failure::usage)?;
            chosen(models, |model| &model.id, file, id, "model")
        }
        None => llm::find(text).map_err(|error| unfound(text, error, ".toml, or in .json for a config.json")),
    }
}

/// The GPU of that name or file, with its calibration where the name is that of one.
fn gpu(text: &str) -> Result<(Gpu, Option<Calibration>), Failure> {
    if let Some(calibration) = law::calibration(text)? {
        let id = calibration.gpu.as_deref().ok_or_else(|| {
            let device = &calibration.device;
            Failure::usage(format!(
                "{text} is of the {device}, which has no datasheet: its memory and its rent are not known"
            ))
        })?;
        let gpu = hardware::find(id).map_err(Failure::usage)?;
        return Ok((gpu, Some(calibration)));
    }
    let text = text.strip_prefix("datasheet:").unwrap_or(text);
    let gpu = match toml_file(text) {
        Some((file, id)) => {
            let gpus = hardware::parse_toml(&read(file)?, file).map_err(Failure::usage)?;
            chosen(gpus, |gpu| &gpu.id, file, id, "gpu")
        }
        None => hardware::find(text).map_err(|error| unfound(text, error, ".toml")),
    }?;
    Ok((gpu, None))
}

fn read(path: &str) -> Result<String, Failure> {
    std::fs::read_to_string(path).map_err(|error| Failure::usage(format!("cannot read {path}: {error}")))
}

/// The file and the id in `FILE.toml` or `FILE.toml#ID`.
fn toml_file(text: &str) -> Option<(&str, Option<&str>)> {
    if text.ends_with(".toml") {
        return Some((text, None));
    }
    let (file, id) = text.rsplit_once('#')?;
    file.ends_with(".toml").then_some((file, Some(id)))
}

/// The one with that id, or the only one.
fn chosen<T>(mut all: Vec<T>, id_of: fn(&T) -> &str, file: &str, id: Option<&str>, what: &str) -> Result<T, Failure> {
    let at = match id {
        Some(id) => all.iter().position(|one| id_of(one) == id),
        None => (all.len() == 1).then_some(0),
    };
    if let Some(at) = at {
        return Ok(all.swap_remove(at));
    }
    let known: Vec<&str> = all.iter().map(id_of).collect();
    Err(Failure::usage(match (id, known.first()) {
        (_, None) => format!("{file} holds no {what}; describe one in a [[{what}]] block"),
        (Some(id), _) => format!("{file} holds no {what} `{id}`; it has {}", known.join(", ")),
        (None, Some(first)) => {
            format!("{file} holds several {what}s: {}; choose one, such as {file}#{first}", known.join(", "))
        }
    }))
}

/// The refusal of a name that is in no catalogue, but may be that of a file.
fn unfound(text: &str, error: impl std::fmt::Display, endings: &str) -> Failure {
    match Path::new(text).exists() {
        true => Failure::usage(format!("{text} is in no catalogue; as a file its name must end in {endings}")),
        false => Failure::usage(error),
    }
}

impl Ranks {
    /// The layout they make.
    pub fn layout(&self) -> Result<Layout, Failure> {
        let layout = Layout::new(self.tensor, self.pipeline).and_then(|layout| layout.with_expert(self.expert));
        let layout = layout.map_err(Failure::usage)?;
        Ok(if self.average { layout.averaged() } else { layout })
    }
}

/// A layout in words.
pub fn layout_words(layout: Layout) -> String {
    let shares = if layout.split() == Split::Average { ", average shares" } else { "" };
    let [tensor, pipeline, expert] = [layout.tensor(), layout.pipeline(), layout.expert()];
    format!("a replica: {tensor} tensor x {pipeline} pipeline x {expert} expert{shares}")
}

/// A layout's GPUs and their name: `4 H100 SXM 80 GB`.
pub fn gpus_words(gpus: u32, subject: &Subject) -> String {
    format!("{gpus} {}", subject.accelerator.name)
}

impl Context {
    /// Tokens, where nothing is asked for a plain number of them.
    pub fn of(&self, model: &Model) -> Figure {
        const USUAL: u32 = 2048;
        self.context.unwrap_or_else(|| model.context.map_or(USUAL, |most| most.min(USUAL)).into())
    }
}

/// A note on a context that the model was not made for, or does not look back on.
pub fn context_note(context: Figure, model: &Model) -> Option<String> {
    let beyond = |most: &u32| context.high() > f64::from(*most);
    let window = || {
        let window = model.window.filter(beyond)?;
        Some(format!("the model looks back {window} tokens: no more of a sequence is kept or read."))
    };
    let made_for = model.context.filter(beyond);
    let made_for =
        made_for.map(|most| format!("the model was made for {most} tokens, fewer than a sequence has here."));
    made_for.or_else(window)
}

/// Rent of one GPU, and who says so.
#[derive(Serialize)]
pub struct Price {
    pub usd_per_h: Figure,
    pub source: String,
    /// The day, month or year of that statement; absent for the user's own.
    pub as_of: Option<String>,
}

impl Rent {
    /// The user's, or the latest on record.
    pub fn price(&self, gpu: &Gpu) -> Result<Price, Failure> {
        if let Some(usd_per_h) = self.price {
            return Ok(Price { usd_per_h, source: "--price".to_owned(), as_of: None });
        }
        let prices =
            hardware::prices().map_err(Failure::usage)?.into_iter().filter(|price| price.gpus.contains(&gpu.id));
        let rents = prices.filter_map(|price| price.usd_per_hour.map(|span| (span, price)));
        // Years, months and days are written from large to small, so that text sorts by time.
        let latest = rents.max_by(|(_, one), (_, other)| one.as_of.cmp(&other.as_of));
        let (span, price) = latest.ok_or_else(|| {
            Failure::usage(format!("no rent of the {} is on record; give --price USD, for one GPU and hour", gpu.name))
        })?;
        let (low, high) = (span.low.get(), span.high.get());
        let usd_per_h = Figure::between(f64::midpoint(low, high), low, high).map_err(Failure::usage)?;
        Ok(Price { usd_per_h, source: price.source, as_of: Some(price.as_of) })
    }
}

impl Price {
    /// It as a row.
    pub fn row(&self) -> Row {
        let how = match &self.as_of {
            Some(as_of) => format!("as of {as_of}: {}", self.source),
            None => self.source.clone(),
        };
        row("price of a GPU", self.usd_per_h, |value| format!("{} an hour", usd(value)), how)
    }
}

/// A context as a row.
pub fn context_row(context: Figure) -> Row {
    row("context", context, tokens, "of an average sequence; --context")
}

/// A cost's error as a refusal. `room` says what makes room for something that does not fit.
pub fn refused(error: &CostError, room: &str) -> Failure {
    match error {
        CostError::DoesNotFit { .. } => Failure::usage(format!("{error}; {room}")),
        CostError::Model(ModelError::Indivisible { over: "tensor ranks", .. }) => {
            Failure::usage(format!("{error}; or take average shares with --average"))
        }
        _ => Failure::usage(error),
    }
}

/// An answer with its question, as another program reads it.
#[derive(Serialize)]
struct Document<'a, I, A> {
    question: &'static str,
    inputs: &'a I,
    answer: &'a A,
    sentence: &'a str,
    notes: &'a [String],
}

/// Prints an answer.
pub fn show<I: Serialize, A: Serialize>(
    format: Format,
    question: &'static str,
    inputs: &I,
    answer: &A,
    sheet: &Sheet,
) -> Result<Exit, Failure> {
    let document = Document { question, inputs, answer, sentence: &sheet.sentence, notes: &sheet.notes };
    let text = match format {
        Format::Table => sheet.text(terminal_width()),
        Format::Json => serde_json::to_string_pretty(&document).map_err(Failure::usage)?,
    };
    print(&text)?;
    Ok(Exit::Fine)
}
