//! `decode`: the time of one step of decoding.
//!
//! `weights` says what every buffer holds, `program` allocates them and makes the steps (`steps` those of attention), `reference` computes the same in
//! binary64, `check` compares, `choice` says which cases a profile has. What the operations of a share of a model are is [`crate::llm::DecodeShape`]'s business.

mod check;
mod choice;
mod program;
mod reference;
mod steps;
mod weights;

pub(super) use check::{ATTENTION, rounding};
pub(super) use reference::attended;
pub(super) use steps::{attend, splits};
pub(super) use weights::{Pages, loaded};

use self::weights::Numbers;
use super::{Axis, Benchmark, CheckError, Keep, Meta, Operation, Outputs, Request, Stop, WORDS_ONLY};
use crate::device::{BufferId, Detail, Device, Program, Submit};
use crate::llm::{self, DecodeShape};
use crate::record::{Case, CheckPassed, DeviceInfo, DeviceKind, Precision, Quantity, Work};
use crate::units::{ByteCount, FlopCount};

/// The row of this benchmark.
pub(super) struct Decode;

/// Models of the catalogue whose step can be measured, small to large: a test holds this list against it.
const MODELS: &[&str] = &[
    "stories_15m",
    "gpt_2_124m",
    "smollm2_135m",
    "smollm2_360m",
    "llama_3_2_1b",
    "llama_3_2_3b",
    "llama_7b",
    "llama_2_7b",
    "mistral_7b",
    "llama_3_1_8b",
    "llama_13b",
    "chatgpt_20b",
    "llama_33b",
    "llama_65b",
    "llama_2_70b",
    "llama_3_1_70b",
    "gpt_3_175b",
    "opt_175b",
    "bloom_176b",
    "llama_3_1_405b",
];

/// How the KV cache lies in memory.
pub(super) const PAGE: Axis = Axis {
    name: "page",
    about: "tokens of a page of the KV cache, a multiple of 16; 0 for a contiguous one",
    words: &[],
    range: [0, 4096],
};

static META: Meta = Meta {
    id: "decode",
    question: "How long does a language model take for the next token of every sequence of a batch?",
    formula: "Median time of a step: one new token for each of batch sequences, whose context tokens (the new one among \
              them) are in the KV cache. Bytes: every parameter of the measured layers and of the head once, a row of the \
              embedding for each sequence, keys and values of all tokens that attention sees, those of the new tokens \
              written; activations, which caches may keep, are not counted. FLOP: two per multiply-add of matrix \
              products and attention. Weights are stored [k, n].",
    caveats: &[
        "Weights are random numbers: time does not depend on them, and the text would be nonsense.",
        "All sequences are equally long, and the token is not chosen: sampling, scheduling and text processing of a server \
         come on top.",
        "With tensor or pipeline above 1 one GPU's share is measured, without what passes between GPUs.",
        "Where a model has more layers than are measured, its step is extrapolated from two numbers of layers.",
        "Positions that a model adds as a bias (ALiBi) are measured as rotations.",
    ],
    quantity: Quantity::Duration,
    axes: &[
        Axis { name: "model", about: "whose layers, of the catalogue", words: MODELS, range: WORDS_ONLY },
        Axis {
            name: "precision",
            about: "number format of weights, KV cache and activations",
            words: &["f32", "f16", "bf16"],
            range: WORDS_ONLY,
        },
        Axis { name: "batch", about: "sequences of a step", words: &[], range: [1, 4096] },
        Axis {
            name: "context",
            about: "tokens of a sequence, the new one among them",
            words: &[],
            range: [1, 131_072],
        },
        Axis { name: "layers", about: "layers measured", words: &[], range: [1, 1024] },
        Axis { name: "tensor", about: "GPUs that share every layer", words: &[], range: [1, 128] },
        Axis {
            name: "pipeline",
            about: "stages that share the layers; the last is measured",
            words: &[],
            range: [1, 128],
        },
        PAGE,
        Axis {
            name: "submit",
            about: "how the step reaches the device: launch by launch, or as one graph",
            words: &["stream", "graph"],
            range: WORDS_ONLY,
        },
        Axis {
            name: "detail",
            about: "what is timed: the whole step, or every operation by itself, which adds gaps",
            words: &["whole", "operations"],
            range: WORDS_ONLY,
        },
    ],
};

/// Share of a device's memory that a step may fill.
const ROOM: f64 = 0.85;
/// The same of the host's, which others use too.
const ROOM_HOST: f64 = 0.6;

/// A case's point.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Point {
    model: String,
    tensor: u32,
    pipeline: u32,
    layers: Option<u64>,
    /// Sequences.
    pub batch: u64,
    /// Tokens of each.
    pub context: u64,
    page: u64,
    precision: Precision,
    /// How it reaches the device.
    pub submit: Submit,
}

impl Point {
    fn of(case: &Case) -> Self {
        let count = |axis| case.count(axis).and_then(|count| u32::try_from(count).ok()).unwrap_or(1);
        Self {
            model: case.word("model").unwrap_or("").to_owned(),
            tensor: count("tensor"),
            pipeline: count("pipeline"),
            layers: case.count("layers"),
            batch: case.count("batch").unwrap_or(1).max(1),
            context: case.count("context").unwrap_or(1).max(1),
            page: case.count("page").unwrap_or(0),
            precision: case.word("precision").and_then(|word| word.parse().ok()).unwrap_or(Precision::F32),
            submit: if case.word("submit") == Some("graph") { Submit::Graph } else { Submit::Stream },
        }
    }

    fn shape(&self) -> Result<DecodeShape, llm::ModelError> {
        DecodeShape::new(&llm::find(&self.model)?, self.tensor, self.pipeline, self.layers)
    }

    /// The KV cache.
    pub fn pages(&self) -> Pages {
        Pages::new(self.batch, self.context, self.page)
    }
}

/// The numbers and the point of a case.
fn numbers(case: &Case) -> Result<(Numbers, Point), Stop> {
    let point = Point::of(case);
    let shape = point.shape().map_err(|error| Stop::Skip(error.to_string()))?;
    Ok((Numbers::new(shape, point.precision, case), point))
}

impl Benchmark for Decode {
    fn meta(&self) -> &'static Meta {
        &META
    }

    fn effort(&self) -> f64 {
        super::CURVE_EFFORT
    }

    fn cases(&self, device: &DeviceInfo, request: &Request) -> Vec<Case> {
        let choice = choice::Choice { device, request };
        choice.cases()
    }

    fn refuses(&self, device: &DeviceInfo, case: &Case) -> Option<String> {
        let point = Point::of(case);
        let shape = match point.shape() {
            Ok(shape) => shape,
            Err(error) => return Some(error.to_string()),
        };
        let longest = llm::find(&point.model).ok().and_then(|model| model.context);
        if let Some(longest) = longest.filter(|longest| point.context > u64::from(*longest)) {
            return Some(format!(
                "{} was made for contexts of up to {longest} tokens, not {}: --axis context={longest}",
                point.model, point.context
            ));
        }
        if !point.page.is_multiple_of(16) {
            return Some(format!("a page is a multiple of 16 tokens, not {}", point.page));
        }
        let needed = self.footprint(device, case);
        let room = room(device)?;
        (needed.0 > room).then(|| {
            let fits = |tensor: &u32| {
                let share = case.with("tensor", u64::from(*tensor));
                Point { tensor: *tensor, ..point.clone() }.shape().is_ok() && self.footprint(device, &share).0 <= room
            };
            let way_out = match (1..=128).find(fits) {
                Some(tensor) => format!("a share of {tensor} GPUs would fit: --axis tensor={tensor}"),
                None => format!("fewer of its {} layers may fit: --axis layers=N", shape.layers),
            };
            format!(
                "the decode step of {} with batch {} and context {} needs {needed}, {} more than the {} that may be used \
                 of the device's memory; {way_out}",
                point.model,
                point.batch,
                point.context,
                ByteCount(needed.0 - room),
                ByteCount(room),
            )
        })
    }

    fn work(&self, case: &Case) -> Work {
        operations(case).iter().fold(Work::default(), |mut sum, operation| {
            sum.bytes_read_b = sum.bytes_read_b + operation.work.bytes_read_b;
            sum.bytes_written_b = sum.bytes_written_b + operation.work.bytes_written_b;
            for (precision, flop) in &operation.work.flop {
                let all = sum.flop.entry(*precision).or_insert(FlopCount(0));
                *all = FlopCount(all.0 + flop.0);
            }
            sum
        })
    }

    fn footprint(&self, _device: &DeviceInfo, case: &Case) -> ByteCount {
        numbers(case).map_or(ByteCount::ZERO, |(numbers, point)| {
            program::kept_bytes(&numbers) + program::own_bytes(&numbers, &point)
        })
    }

    fn keeps(&self, case: &Case) -> Option<Keep> {
        let (numbers, point) = numbers(case).ok()?;
        let Point { model, tensor, pipeline, precision, .. } = point;
        let what = format!("{model} tensor={tensor} pipeline={pipeline} {precision} seed={}", case.seed);
        Some(Keep { what, amount: numbers.shape.layers })
    }

    fn keep(&self, case: &Case, device: &mut dyn Device) -> Result<Vec<BufferId>, Stop> {
        program::keep(&numbers(case)?.0, device)
    }

    fn prepare(&self, case: &Case, device: &mut dyn Device) -> Result<Program, Stop> {
        let kept = self.keep(case, device)?;
        self.prepare_with(case, device, &kept)
    }

    fn prepare_with(&self, case: &Case, device: &mut dyn Device, kept: &[BufferId]) -> Result<Program, Stop> {
        let (numbers, point) = numbers(case)?;
        program::prepare(&numbers, &point, case, device, kept)
    }

    fn detail(&self, case: &Case) -> Detail {
        if case.word("detail") == Some("operations") { Detail::PerStep } else { Detail::Whole }
    }

    fn operations(&self, case: &Case) -> Vec<Operation> {
        operations(case)
    }

    fn operation_names(&self, program: &Program) -> Vec<&'static str> {
        steps::names(&program.steps)
    }

    fn check(&self, case: &Case, outputs: &mut dyn Outputs) -> Result<CheckPassed, CheckError> {
        let failed = |stop: Stop| crate::record::CheckFailure {
            place: "case".to_owned(),
            expected: "a model that can be measured".to_owned(),
            found: stop.to_string(),
        };
        let (numbers, point) = numbers(case).map_err(failed)?;
        check::check(case, &numbers, &point, outputs)
    }
}

/// The operations of a case's step, each with all that its instances take.
fn operations(case: &Case) -> Vec<Operation> {
    let Ok((numbers, point)) = numbers(case) else { return Vec::new() };
    let size = numbers.precision.size();
    let all = numbers.shape.operations(point.batch, point.context).into_iter();
    let operation = |operation: llm::DecodeOperation| {
        let times = operation.instances;
        let flop = FlopCount(times * operation.flop);
        Operation {
            name: operation.id,
            work: Work {
                bytes_read_b: ByteCount(times * (operation.weights + operation.kv_read) * size),
                bytes_written_b: ByteCount(times * operation.kv_written * size),
                flop: (flop.0 > 0).then_some((numbers.precision, flop)).into_iter().collect(),
                ..Work::default()
            },
        }
    };
    all.map(operation).collect()
}

/// Bytes of a device's memory that a step may fill; `None` where it does not tell.
fn room(device: &DeviceInfo) -> Option<u64> {
    let share = if super::places_work_groups(device) && device.kind == DeviceKind::Hardware { ROOM } else { ROOM_HOST };
    device.memory_b.map(|memory| (memory.0 as f64 * share) as u64)
}
