//! Which steps a profile measures on a device.

use std::collections::HashSet;

use super::{Decode, META, Point, room};
use crate::llm;
use crate::record::{AxisValue, Case, DeviceInfo, DeviceKind, Precision};
use crate::suite::{Benchmark, Profile, Request, has, places_work_groups};

/// The cases of a device and a request.
pub(super) struct Choice<'a> {
    pub device: &'a DeviceInfo,
    pub request: &'a Request,
}

/// What a profile asks of a kind of device beside what smaller ones ask.
struct Extent {
    /// Models: the first of which half the layers fit.
    models: &'static [&'static str],
    batches: &'static [u64],
    contexts: &'static [u64],
    /// Most FLOP of a step: what takes longer tells nothing new.
    flop_most: f64,
    /// Most layers.
    layers_most: u64,
    /// Batches that are measured with half of the layers too.
    halved: fn(u64) -> bool,
}

/// A model's share on one GPU, in a format.
#[derive(Clone)]
struct Share {
    model: String,
    precision: String,
    tensor: u64,
    pipeline: u64,
}

const BATCHES: &[u64] = &[1, 2, 4, 8, 16, 32, 64, 96, 128, 192, 256, 384, 512, 1024, 2048, 4096];
const LARGE: &[&str] = &["llama_3_1_8b", "llama_3_2_3b", "llama_3_2_1b", "smollm2_360m", "smollm2_135m", "stories_15m"];
const MIDDLE: &[&str] = &["llama_3_2_1b", "smollm2_360m", "smollm2_135m", "stories_15m"];
const SMALL: &[&str] = &["smollm2_135m", "stories_15m"];
const SMALLEST: &[&str] = &["stories_15m"];

/// Powers of four.
fn some(batch: u64) -> bool {
    batch.is_power_of_two() && batch.trailing_zeros().is_multiple_of(2)
}

fn one(batch: u64) -> bool {
    batch == 1
}

/// The contexts that a model was made for; its longest, where all are longer.
fn within(model: &str, contexts: &[u64]) -> Vec<u64> {
    let longest = llm::find(model).ok().and_then(|model| model.context).map_or(u64::MAX, u64::from);
    let fitting: Vec<u64> = contexts.iter().copied().filter(|context| *context <= longest).collect();
    if fitting.is_empty() { vec![longest] } else { fitting }
}

impl Extent {
    const fn new(models: &'static [&'static str], batches: &'static [u64], contexts: &'static [u64]) -> Self {
        Self { models, batches, contexts, flop_most: f64::INFINITY, layers_most: u64::MAX, halved: one }
    }

    const fn up_to(self, flop_most: f64) -> Self {
        Self { flop_most, ..self }
    }

    const fn some_halved(self) -> Self {
        Self { halved: some, ..self }
    }
}

impl Choice<'_> {
    /// Every case, none twice.
    pub fn cases(&self) -> Vec<Case> {
        let mut cases: Vec<Case> = self.extents().iter().flat_map(|extent| self.of_extent(extent)).collect();
        for axis in ["page", "submit", "detail"] {
            let Some(values) = self.request.axes.get(axis) else { continue };
            cases = cases.iter().flat_map(|case| values.iter().map(|value| case.with(axis, value.clone()))).collect();
        }
        // A graph has no operations that could be timed one by one.
        let by_itself = |case: &Case| case.word("submit") == Some("graph") && case.word("detail") == Some("operations");
        cases.retain(|case| !by_itself(case) || self.request.axes.contains_key("detail"));
        let mut seen = HashSet::new();
        cases.retain(|case| seen.insert(case.key()));
        cases
    }

    /// What the profile and those below it ask. What the user names is asked once.
    fn extents(&self) -> Vec<Extent> {
        let mut all = match (self.device.kind, places_work_groups(self.device)) {
            // An emulator's answers are the same at any size.
            (DeviceKind::Emulated, _) => {
                let quick = Extent { layers_most: 2, ..Extent::new(SMALLEST, &[1, 3], &[32]) };
                let standard = Extent { layers_most: 2, ..Extent::new(SMALLEST, &[32], &[32]) };
                vec![quick, standard]
            }
            // A renderer on the cores of a CPU takes as long as the CPU, and longer.
            (DeviceKind::Software, _) => vec![
                Extent::new(SMALLEST, &[1, 4, 16, 64], &[128]).up_to(2e9),
                Extent::new(SMALLEST, BATCHES, &[128, 256]).up_to(4e9).some_halved(),
            ],
            (_, true) => vec![
                Extent::new(LARGE, &[1, 4, 16, 64, 256], &[1024]),
                Extent::new(LARGE, BATCHES, &[1024, 8192]).some_halved(),
            ],
            (_, false) => vec![
                Extent::new(SMALL, &[1, 4, 8, 16, 64], &[256]).up_to(2.5e10),
                Extent::new(MIDDLE, BATCHES, &[512]).up_to(2e11).some_halved(),
                Extent::new(MIDDLE, BATCHES, &[2048, 8192]).up_to(2e12).some_halved(),
            ],
        };
        let named = ["model", "batch", "context"].iter().any(|axis| self.request.axes.contains_key(*axis));
        let count = match self.request.profile {
            Profile::Quick => 1,
            Profile::Standard => 2,
            Profile::Full => all.len(),
        };
        all.truncate(count);
        if named {
            all.drain(..all.len() - 1);
        }
        all
    }

    fn of_extent(&self, extent: &Extent) -> Vec<Case> {
        let precision = self.precision().name();
        let models = self.words("model", || self.model(extent, precision).into_iter().collect());
        let mut shares = Vec::new();
        for model in models {
            for precision in self.words("precision", || vec![precision.to_owned()]) {
                for tensor in self.counts("tensor", || vec![1]) {
                    for pipeline in self.counts("pipeline", || vec![1]) {
                        shares.push(Share { model: model.clone(), precision: precision.clone(), tensor, pipeline });
                    }
                }
            }
        }
        shares.iter().flat_map(|share| self.of_share(extent, share)).collect()
    }

    /// The cases of a share: every context and batch with all layers that fit, some with half of them, and both ends
    /// operation by operation.
    fn of_share(&self, extent: &Extent, share: &Share) -> Vec<Case> {
        let named = |axis| self.request.axes.contains_key(axis);
        let mut cases = Vec::new();
        for context in self.counts("context", || within(&share.model, extent.contexts)) {
            let all = self.layers(extent, share, context);
            let of = |batch: u64, layers: u64| self.case(share, batch, context, layers);
            let fits = |batch: &u64| {
                let case = of(*batch, all);
                let room = room(self.device).unwrap_or(u64::MAX);
                let flop = Decode.work(&case).operations().0 as f64;
                flop <= extent.flop_most && Decode.footprint(self.device, &case).0 <= room
            };
            // A model that the user names is measured, or refused with the reason.
            let least = |batch: &u64| named("model") && Some(batch) == extent.batches.first();
            let batches = self.counts("batch", || {
                extent.batches.iter().copied().filter(|batch| least(batch) || fits(batch)).collect()
            });
            for layers in self.counts("layers", || vec![all]) {
                cases.extend(batches.iter().map(|batch| of(*batch, layers)));
            }
            if !named("layers") && all > 1 {
                let halved = batches.iter().filter(|batch| (extent.halved)(**batch));
                cases.extend(halved.map(|batch| of(*batch, all / 2)));
            }
            let ends = |batch: &&u64| Some(*batch) == batches.first() || Some(*batch) == batches.last();
            if !named("detail") {
                let ends = batches.iter().filter(ends);
                cases.extend(ends.map(|batch| of(*batch, all).with("detail", "operations")));
            }
            if !named("submit") && has(self.device, "graph") {
                cases.extend(batches.iter().map(|batch| of(*batch, all).with("submit", "graph")));
            }
        }
        cases
    }

    /// The format that the device computes products in best.
    fn precision(&self) -> Precision {
        match (self.device.kind, places_work_groups(self.device)) {
            (DeviceKind::Software, _) => Precision::F32,
            (_, true) if !has(self.device, "bf16") => Precision::F16,
            _ => Precision::Bf16,
        }
    }

    /// The first model of which half the layers fit with a batch of one.
    fn model(&self, extent: &Extent, precision: &str) -> Option<String> {
        let share =
            |model: &str| Share { model: model.to_owned(), precision: precision.to_owned(), tensor: 1, pipeline: 1 };
        let fits = |model: &&&str| {
            let share = share(model);
            // With these layers or fewer the memory is no question.
            let whole = self.whole(&share, extent.contexts[0]).min(extent.layers_most);
            let layers = self.layers(extent, &share, extent.contexts[0]);
            let case = self.case(&share, 1, extent.contexts[0], layers);
            layers >= whole / 2 && Decode.footprint(self.device, &case).0 <= room(self.device).unwrap_or(u64::MAX)
        };
        extent.models.iter().find(fits).or(extent.models.last()).map(|model| (*model).to_owned())
    }

    /// Layers of a share.
    fn whole(&self, share: &Share, context: u64) -> u64 {
        let point = Point::of(&self.case(share, 1, context, 1));
        Point { layers: None, ..point }.shape().map_or(1, |shape| shape.layers)
    }

    /// Layers of a share that fit with a batch of one; at least one.
    fn layers(&self, extent: &Extent, share: &Share, context: u64) -> u64 {
        let whole = self.whole(share, context);
        let needed = |layers| Decode.footprint(self.device, &self.case(share, 1, context, layers)).0;
        let (one, two) = (needed(1), needed(2.min(whole)));
        let (each, room) = ((two - one).max(1), room(self.device).unwrap_or(u64::MAX));
        (1 + room.saturating_sub(one) / each).clamp(1, whole.min(extent.layers_most))
    }

    fn case(&self, share: &Share, batch: u64, context: u64, layers: u64) -> Case {
        let mut axes = vec![
            ("model", AxisValue::from(share.model.as_str())),
            ("precision", share.precision.as_str().into()),
            ("batch", batch.into()),
            ("context", context.into()),
            ("layers", layers.into()),
        ];
        // What is usual is not said.
        for (axis, count) in [("tensor", share.tensor), ("pipeline", share.pipeline)] {
            if count != 1 || self.request.axes.contains_key(axis) {
                axes.push((axis, count.into()));
            }
        }
        Case::new(META.id, axes, self.request.seed)
    }

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
}
