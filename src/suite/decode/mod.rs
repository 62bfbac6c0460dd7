//! `decode`: the time of one step of decoding.
//!
//! `weights` says what every buffer holds, `program` allocates them and makes the steps, `reference` computes the same in
//! binary64, `check` compares. What the operations of a share of a model are is [`crate::llm::DecodeShape`]'s business.

mod check;
mod program;
mod reference;
mod weights;

pub(super) use check::{ATTENTION, rounding};
pub(super) use program::{attend, splits};
pub(super) use reference::attended;
pub(super) use weights::{Pages, loaded};

use self::weights::Numbers;
use super::{Axis, Benchmark, CheckError, Keep, Meta, Operation, Outputs, Profile, Request, Stop, WORDS_ONLY, has};
use crate::device::{BufferId, Detail, Device, Program, Submit};
use crate::llm::{self, DecodeShape};
use crate::record::{AxisValue, Case, CheckPassed, DeviceInfo, DeviceKind, Precision, Quantity, Work};
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
        let choice = Choice { device, request };
        let models = choice.words("model", || choice.model().into_iter().collect());
        let mut cases = Vec::new();
        for model in &models {
            for precision in choice.words("precision", || vec![choice.precision().name().to_owned()]) {
                for tensor in choice.counts("tensor", || vec![1]) {
                    for pipeline in choice.counts("pipeline", || vec![1]) {
                        cases.extend(choice.share(model, &precision, tensor, pipeline));
                    }
                }
            }
        }
        cases
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
                "{} was made for contexts of up to {longest} tokens, not {}",
                point.model, point.context
            ));
        }
        if point.page % 16 != 0 {
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
        program::prepare(&numbers, &point, device, kept)
    }

    fn detail(&self, case: &Case) -> Detail {
        if case.word("detail") == Some("operations") { Detail::PerStep } else { Detail::Whole }
    }

    fn operations(&self, case: &Case) -> Vec<Operation> {
        operations(case)
    }

    fn operations_of(&self, case: &Case, program: &Program) -> Vec<usize> {
        let names: Vec<_> = operations(case).iter().map(|operation| operation.name).collect();
        let of = program::names(&program.steps).into_iter();
        of.filter_map(|name| names.iter().position(|known| *known == name)).collect()
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

/// The cases of a device and a request.
struct Choice<'a> {
    device: &'a DeviceInfo,
    request: &'a Request,
}

/// What a profile asks of a kind of device.
struct Extent {
    /// Models, the first that fits in this order.
    models: &'static [&'static str],
    batches: &'static [u64],
    contexts: &'static [u64],
    /// Most FLOP of a step: what takes longer tells nothing new.
    flop_most: f64,
    /// Layers measured, at most.
    layers_most: u64,
}

const BATCHES: &[u64] = &[1, 2, 4, 8, 16, 32, 64, 96, 128, 192, 256, 384, 512, 1024, 2048, 4096];

impl Choice<'_> {
    fn counts(&self, axis: &str, or: impl Fn() -> Vec<u64>) -> Vec<u64> {
        let count = |value: &AxisValue| match value {
            AxisValue::Count(count) => Some(*count),
            AxisValue::Word(_) => None,
        };
        self.request.axes.get(axis).map_or_else(or, |values| values.iter().filter_map(count).collect())
    }

    fn words(&self, axis: &str, or: impl Fn() -> Vec<String>) -> Vec<String> {
        self.request.axes.get(axis).map_or_else(or, |values| values.iter().map(ToString::to_string).collect())
    }

    fn extent(&self) -> Extent {
        let quick = self.request.profile == Profile::Quick;
        match self.device.kind {
            // An emulator's answers are the same at any size.
            DeviceKind::Emulated => Extent {
                models: &["stories_15m"],
                batches: if quick { &[1, 3] } else { &[1, 3, 32] },
                contexts: &[32],
                flop_most: 1e12,
                layers_most: 2,
            },
            DeviceKind::Software => Extent {
                models: &["stories_15m"],
                batches: if quick { &[1, 4, 16, 64] } else { BATCHES },
                contexts: if quick { &[128] } else { &[128, 256] },
                flop_most: 2e9,
                layers_most: u64::MAX,
            },
            _ if super::places_work_groups(self.device) => Extent {
                models: &[
                    "llama_3_1_8b",
                    "llama_3_2_3b",
                    "llama_3_2_1b",
                    "smollm2_360m",
                    "smollm2_135m",
                    "stories_15m",
                ],
                batches: if quick { &[1, 4, 16, 64, 256] } else { BATCHES },
                contexts: if quick { &[1024] } else { &[1024, 8192] },
                flop_most: f64::INFINITY,
                layers_most: u64::MAX,
            },
            _ if quick => Extent {
                models: &["smollm2_135m", "stories_15m"],
                batches: &[1, 2, 4, 8, 16, 32, 64],
                contexts: &[256],
                flop_most: 2.5e10,
                layers_most: u64::MAX,
            },
            _ => Extent {
                models: &["llama_3_2_1b", "smollm2_360m", "smollm2_135m", "stories_15m"],
                batches: BATCHES,
                contexts: &[512],
                flop_most: 2e11,
                layers_most: u64::MAX,
            },
        }
    }

    /// The format that the device computes products in best.
    fn precision(&self) -> Precision {
        match (self.device.kind, super::places_work_groups(self.device)) {
            (DeviceKind::Software, _) => Precision::F32,
            (_, true) if has(self.device, "bf16") => Precision::Bf16,
            (_, true) => Precision::F16,
            (_, false) => Precision::Bf16,
        }
    }

    /// The largest model of the profile of which half the layers fit with a batch of one.
    fn model(&self) -> Option<String> {
        let extent = self.extent();
        let precision = self.precision();
        let fits = |model: &&&str| {
            let whole = self.case(model, precision.name(), 1, 1, 1, extent.contexts[0], 1);
            let shape = Point { layers: None, ..Point::of(&whole) }.shape();
            shape.is_ok_and(|shape| self.layers(model, precision.name(), 1, 1, extent.contexts[0]) >= shape.layers / 2)
        };
        extent.models.iter().find(fits).map(|model| (*model).to_owned())
    }

    /// Layers of a share that fit with a batch of one.
    fn layers(&self, model: &str, precision: &str, tensor: u64, pipeline: u64, context: u64) -> u64 {
        let of = |layers| self.case(model, precision, tensor, pipeline, 1, context, layers);
        let whole = Point { layers: None, ..Point::of(&of(1)) }.shape().map_or(1, |shape| shape.layers);
        let needed = |layers| Decode.footprint(self.device, &of(layers)).0;
        let (one, two) = (needed(1), needed(2.min(whole)));
        let (each, room) = ((two - one).max(1), room(self.device).unwrap_or(u64::MAX));
        (1 + room.saturating_sub(one) / each).clamp(1, whole.min(self.extent().layers_most))
    }

    #[expect(clippy::too_many_arguments, reason = "the axes of a case")]
    fn case(
        &self,
        model: &str,
        precision: &str,
        tensor: u64,
        pipeline: u64,
        batch: u64,
        context: u64,
        layers: u64,
    ) -> Case {
        let mut axes = vec![
            ("model", AxisValue::from(model)),
            ("precision", precision.into()),
            ("batch", batch.into()),
            ("context", context.into()),
            ("layers", layers.into()),
        ];
        // What is usual is not said.
        for (axis, count) in [("tensor", tensor), ("pipeline", pipeline)] {
            if count != 1 || self.request.axes.contains_key(axis) {
                axes.push((axis, count.into()));
            }
        }
        Case::new(META.id, axes, self.request.seed)
    }

    /// The cases of a share: every context and batch with all layers, some with half of them, and some operation by
    /// operation.
    fn share(&self, model: &str, precision: &str, tensor: u64, pipeline: u64) -> Vec<Case> {
        let extent = self.extent();
        let mut cases = Vec::new();
        for context in self.counts("context", || extent.contexts.to_vec()) {
            let all = self.layers(model, precision, tensor, pipeline, context);
            let fits = |case: &Case| {
                let work = Decode.work(case).operations().0 as f64;
                let room = room(self.device).unwrap_or(u64::MAX);
                work <= extent.flop_most && Decode.footprint(self.device, case).0 <= room
            };
            let of = |batch: u64, layers: u64| self.case(model, precision, tensor, pipeline, batch, context, layers);
            let asked = self.request.axes.contains_key("batch");
            let batches = self.counts("batch", || extent.batches.to_vec());
            let batches: Vec<u64> = batches.into_iter().filter(|batch| asked || fits(&of(*batch, all))).collect();
            for layers in self.counts("layers", || vec![all]) {
                cases.extend(batches.iter().map(|batch| of(*batch, layers)));
            }
            let ends = |batch: &&u64| Some(*batch) == batches.first() || Some(*batch) == batches.last();
            let named = |axis| self.request.axes.contains_key(axis);
            let brief = self.request.profile == Profile::Quick;
            if !named("layers") && all > 1 {
                let some = batches.iter().filter(|batch| {
                    if brief {
                        **batch == 1
                    } else {
                        ends(batch) || batch.trailing_zeros() % 2 == 0 && batch.is_power_of_two()
                    }
                });
                cases.extend(some.map(|batch| of(*batch, all / 2)));
            }
            if !named("detail") {
                let by_operation =
                    batches.iter().filter(ends).map(|batch| of(*batch, all).with("detail", "operations"));
                cases.extend(by_operation.collect::<Vec<_>>());
            }
            if !named("submit") && has(self.device, "graph") {
                cases.extend(batches.iter().map(|batch| of(*batch, all).with("submit", "graph")));
            }
        }
        for axis in ["page", "submit", "detail"] {
            let Some(values) = self.request.axes.get(axis) else { continue };
            cases = cases.iter().flat_map(|case| values.iter().map(|value| case.with(axis, value.clone()))).collect();
        }
        cases
    }
}
