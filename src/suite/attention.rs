//! `attention`: what a decode step's attention takes, by itself.

use super::check::{seed_of, within, wrong};
use super::decode::{ATTENTION, PAGE, Pages, attend, attended, loaded, rounding, splits};
use super::{
    Axis, Benchmark, CheckError, Meta, Outputs, Profile, Request, Stop, WORDS_ONLY, expand, has, parallel,
    places_work_groups,
};
use crate::device::{Device, Pattern, Place, Program, Slot, Submit};
use crate::record::{AxisValue, Case, CheckPassed, DeviceInfo, DeviceKind, Precision, Quantity, Work};
use crate::units::{ByteCount, FlopCount, Ratio};

/// The row of this benchmark.
pub(super) struct Attention;

static META: Meta = Meta {
    id: "attention",
    question: "How long does one step of decoding take to attend to all tokens before it?",
    formula: "Median time of one layer's attention: one query for each head of each sequence, against the keys and values of \
              context tokens. Bytes: keys and values read once each, queries read, results written. FLOP: two per \
              multiply-add of scores and weighted values.",
    caveats: &[
        "Keys and values are random: a softmax over them is flat, and no kernel may skip anything.",
        "Few sequences are cut into bands of tokens, so that they fill the device; joining them is part of the time.",
        "Copies of the KV cache are rotated, up to 64 of them, so that none is found in a cache: a very small one is all the same, \
         where caches are large.",
    ],
    quantity: Quantity::Duration,
    axes: &[
        Axis { name: "phase", about: "one token for each sequence (decode)", words: &["decode"], range: WORDS_ONLY },
        Axis { name: "batch", about: "sequences", words: &[], range: [1, 4096] },
        Axis { name: "heads", about: "query heads", words: &[], range: [1, 1024] },
        Axis { name: "kv_heads", about: "heads with keys and values of their own", words: &[], range: [1, 1024] },
        Axis { name: "head_dim", about: "numbers of a head, a multiple of 8", words: &[], range: [8, 256] },
        Axis { name: "context", about: "tokens of a sequence", words: &[], range: [1, 131_072] },
        Axis {
            name: "precision",
            about: "number format of queries, keys, values and results",
            words: &["f32", "f16", "bf16"],
            range: WORDS_ONLY,
        },
        PAGE,
    ],
};

/// Copies of the cache together are at least this many times the last cache …
const COLD: u64 = 4;
/// … but no more than this many.
const COPIES_MAX: u64 = 64;
/// Share of a device's memory that one case may fill.
const ROOM: f64 = 0.5;
/// Heads that are checked.
const CHECKED: u64 = 24;

/// The axes of a case.
struct Shape {
    batch: u64,
    heads: u64,
    kv_heads: u64,
    head_dim: u64,
    context: u64,
    precision: Precision,
    pages: Pages,
}

impl Shape {
    fn of(case: &Case) -> Self {
        let count = |axis| case.count(axis).unwrap_or(1).max(1);
        let [batch, context] = [count("batch"), count("context")];
        Self {
            batch,
            heads: count("heads"),
            kv_heads: count("kv_heads"),
            head_dim: count("head_dim"),
            context,
            precision: case.word("precision").and_then(|word| word.parse().ok()).unwrap_or(Precision::F32),
            pages: Pages::new(batch, context, case.count("page").unwrap_or(0)),
        }
    }

    /// Numbers of all queries, or results.
    fn queries(&self) -> u64 {
        self.batch * self.heads * self.head_dim
    }

    /// Numbers of all keys, or values.
    fn vectors(&self) -> u64 {
        self.pages.numbers(self.kv_heads, self.head_dim)
    }

    /// Copies of the cache that repeats rotate through.
    fn copies(&self, device: &DeviceInfo) -> u64 {
        let each = 2 * self.vectors() * self.precision.size();
        (COLD * super::sizes::last_cache(device)).div_ceil(each.max(1)).clamp(1, COPIES_MAX)
    }

    fn pattern(&self, case: &Case, stream: u64) -> Result<Pattern, Stop> {
        let unknown = || Stop::Skip(format!("there is no filling for {}", self.precision));
        Pattern::uniform(self.precision, seed_of(case, stream)).ok_or_else(unknown)
    }
}

impl Benchmark for Attention {
    fn meta(&self) -> &'static Meta {
        &META
    }

    fn effort(&self) -> f64 {
        super::CURVE_EFFORT
    }

    fn cases(&self, device: &DeviceInfo, request: &Request) -> Vec<Case> {
        let counts = |values: &[u64]| values.iter().map(|value| AxisValue::Count(*value)).collect::<Vec<_>>();
        let precision = match (device.kind, places_work_groups(device)) {
            (DeviceKind::Software, _) => "f32",
            (_, true) if !has(device, "bf16") => "f16",
            _ => "bf16",
        };
        // Multi-head, grouped-query and multi-query attention of the same width.
        let (kv_heads, batches, contexts): (&[u64], &[u64], &[u64]) = match (request.profile, device.kind) {
            (_, DeviceKind::Emulated) => (&[4, 2, 1], &[1, 3], &[40]),
            (Profile::Quick, DeviceKind::Software) => (&[8], &[1], &[2048]),
            (Profile::Quick, _) => (&[8], &[1], &[4096]),
            (Profile::Standard, DeviceKind::Software) => (&[32, 8], &[1, 4], &[512, 2048]),
            (Profile::Standard, _) => (&[32, 8, 1], &[1, 8, 64], &[512, 4096, 32_768]),
            (Profile::Full, _) => {
                (&[32, 8, 1], &[1, 2, 4, 8, 16, 32, 64, 128, 256, 512], &[128, 512, 2048, 4096, 8192, 32_768, 131_072])
            }
        };
        let heads = if device.kind == DeviceKind::Emulated { 4 } else { 32 };
        let head_dim = if device.kind == DeviceKind::Emulated { 64 } else { 128 };
        let mut axes = vec![
            ("phase", vec![AxisValue::from("decode")]),
            ("precision", vec![precision.into()]),
            ("heads", counts(&[heads])),
            ("kv_heads", counts(kv_heads)),
            ("head_dim", counts(&[head_dim])),
            ("context", counts(contexts)),
            ("batch", counts(batches)),
        ];
        if let Some(pages) = request.axes.get("page") {
            axes.push(("page", pages.clone()));
        }
        let mut cases = expand(META.id, request, &axes);
        let named = ["batch", "context", "kv_heads"].iter().any(|axis| request.axes.contains_key(*axis));
        let room = device.memory_b.map_or(u64::MAX, |memory| (memory.0 as f64 * ROOM) as u64);
        // A renderer on the cores of a CPU takes as long as the CPU; both stop at what takes about a second.
        let most = if places_work_groups(device) && device.kind == DeviceKind::Hardware { u64::MAX } else { 4 << 30 };
        cases.retain(|case| named || self.footprint(device, case).0 <= room.min(most));
        if request.profile != Profile::Quick && !request.axes.contains_key("page") {
            // Pages cost what they cost at any size: one point is enough.
            let point = match device.kind {
                DeviceKind::Emulated => [2, 3, 40],
                DeviceKind::Software => [8, 4, 2048],
                _ => [8, 8, 4096],
            };
            let at = |case: &&Case| ["kv_heads", "batch", "context"].map(|axis| case.count(axis)) == point.map(Some);
            cases.extend(cases.iter().find(at).map(|case| case.with("page", 16)).into_iter().collect::<Vec<_>>());
        }
        cases
    }

    fn refuses(&self, device: &DeviceInfo, case: &Case) -> Option<String> {
        let Shape { heads, kv_heads, head_dim, .. } = Shape::of(case);
        if !heads.is_multiple_of(kv_heads) {
            return Some(format!("{kv_heads} KV heads do not divide {heads} heads"));
        }
        if !head_dim.is_multiple_of(8) {
            return Some(format!("a head has a multiple of 8 numbers, not {head_dim}"));
        }
        let page = case.count("page").unwrap_or(0);
        if !page.is_multiple_of(16) {
            return Some(format!("a page is a multiple of 16 tokens, not {page}"));
        }
        let (needed, memory) = (self.footprint(device, case), device.memory_b?);
        (needed > memory).then(|| {
            format!("the KV cache needs {needed}, the device has {memory}: fewer sequences or tokens, --axis batch, --axis context")
        })
    }

    fn work(&self, case: &Case) -> Work {
        let shape = Shape::of(case);
        let vectors = 2 * shape.batch * shape.kv_heads * shape.head_dim * shape.context;
        let flop = FlopCount(4 * shape.queries() * shape.context);
        Work {
            bytes_read_b: ByteCount((vectors + shape.queries()) * shape.precision.size()),
            bytes_written_b: ByteCount(shape.queries() * shape.precision.size()),
            flop: [(shape.precision, flop)].into(),
            ..Work::default()
        }
    }

    fn footprint(&self, device: &DeviceInfo, case: &Case) -> ByteCount {
        let shape = Shape::of(case);
        ByteCount((2 * shape.vectors() * shape.copies(device) + 2 * shape.queries()) * shape.precision.size())
    }

    fn prepare(&self, case: &Case, device: &mut dyn Device) -> Result<Program, Stop> {
        let shape = Shape::of(case);
        let size = shape.precision.size();
        let units = u64::from(device.info().compute_units.max(1));
        let splits = splits(shape.batch * shape.kv_heads, shape.context, units);
        let q = device.alloc(ByteCount(shape.queries() * size), Place::Device)?;
        device.fill(q, shape.pattern(case, 0)?)?;
        let out = device.alloc(ByteCount(shape.queries() * size), Place::Device)?;
        let numbers: Vec<u8> = (0..shape.batch)
            .flat_map(|sequence| (0..shape.pages.each).map(move |index| (sequence, index)))
            .flat_map(|(sequence, index)| (shape.pages.number(sequence, index) as u32).to_le_bytes())
            .collect();
        let pages = device.alloc(ByteCount((numbers.len() as u64).max(16)), Place::Device)?;
        device.write(pages, ByteCount::ZERO, &numbers)?;
        let bands = if splits > 1 { shape.batch * shape.heads * splits * (shape.head_dim + 2) * 4 } else { 16 };
        let parts = device.alloc(ByteCount(bands), Place::Device)?;
        let mut bindings = Vec::new();
        // All hold the same, so that any of them leaves the same result.
        for _ in 0..shape.copies(device.info()) {
            let mut cache = |stream| {
                let buffer = device.alloc(ByteCount(shape.vectors() * size), Place::Device)?;
                device.fill(buffer, shape.pattern(case, stream)?)?;
                Ok::<_, Stop>(buffer)
            };
            bindings.push(vec![q, cache(1)?, cache(2)?, pages, parts, out]);
        }
        let steps = attend(
            [0, 1, 2, 3, 4, 5].map(Slot),
            [shape.batch, shape.heads, shape.kv_heads, shape.head_dim],
            [0, shape.context],
            &shape.pages,
            splits,
            shape.precision,
        );
        Ok(Program { steps, bindings, outputs: vec![out], submit: Submit::Stream })
    }

    fn check(&self, case: &Case, outputs: &mut dyn Outputs) -> Result<CheckPassed, CheckError> {
        let shape = Shape::of(case);
        let failed = |stop: Stop| wrong("q", 0, "a filling", stop);
        let patterns = [0, 1, 2].map(|stream| shape.pattern(case, stream).map_err(failed));
        let [q, keys, values] = patterns;
        let (q, keys, values) = (q?, keys?, values?);
        let (size, dim, all) = (shape.precision.size(), shape.head_dim, shape.batch * shape.heads);
        // The first, the last, and others evenly between.
        let count = CHECKED.min(all);
        let heads: Vec<u64> = (0..count).map(|index| index * (all - 1) / (count - 1).max(1)).collect();
        let references = parallel::map(heads.len(), |index| {
            let (sequence, kv_head) =
                (heads[index] / shape.heads, heads[index] % shape.heads * shape.kv_heads / shape.heads);
            let vector = |pattern: Pattern, first: u64| {
                (first..first + dim).map(|at| pattern.number_at(shape.precision, at)).collect::<Vec<f64>>()
            };
            attended(&vector(q, heads[index] * dim), 0..shape.context, |token| {
                let first = shape.pages.vector(shape.kv_heads, dim, sequence, kv_head, token);
                (vector(keys, first), vector(values, first))
            })
        });
        let mut passed = CheckPassed::default();
        for (head, (expected, sizes)) in heads.iter().zip(references) {
            let mut bytes = vec![0; (dim * size) as usize];
            outputs.read(0, ByteCount(head * dim * size), &mut bytes)?;
            let found = loaded(shape.precision, &bytes);
            for (at, ((found, expected), size)) in (0..).zip(found.iter().zip(&expected).zip(&sizes)) {
                let tolerance = rounding(shape.precision) * expected.abs() + ATTENTION * size;
                let error = (found - expected).abs();
                if !within(error, tolerance) {
                    let expected = format!("{expected:e} within {tolerance:e}");
                    return Err(wrong("out", head * dim + at, expected, format!("{found:e}")).into());
                }
                passed.compared += 1;
                passed.worst = passed.worst.max(Ratio::new(error / tolerance).unwrap_or(Ratio::ZERO));
            }
        }
        Ok(passed)
    }
}
