//! The buffers of a decode step, and its steps in order.

use super::Point;
use super::steps::{attend, splits};
use super::weights::{Large, Numbers, Small, Tensor, stored};
use crate::device::{Arg, BufferId, Device, DeviceError, MatmulDesc, Place, Program, Slot, Step};
use crate::llm::{DecodeShape, Norm, Product};
use crate::record::Case;
use crate::suite::{Stop, matmul, spelled};
use crate::units::ByteCount;

/// What `add_norm`, `rotate` and `activate` take as flags.
const ADD: u32 = 1;
const NORM_BIAS: u32 = 2;
const LAYER: u32 = 4;
const ROTARY: u32 = 1;
const ROTATE_BIAS: u32 = 2;
const GATED: u32 = 1;
const ACTIVATE_BIAS: u32 = 2;

/// A layer's buffers that are kept from case to case.
#[derive(Debug, Clone, Copy)]
struct Layer<T> {
    matrices: [T; 4],
    biases: [T; 4],
    gains: [T; 2],
    shifts: [T; 2],
}

/// The buffers that are kept: alike in every case of a model and precision.
#[derive(Debug, Clone)]
pub(super) struct Kept<T> {
    table: T,
    positions: T,
    entry_gain: T,
    entry_shift: T,
    final_gain: T,
    final_shift: T,
    head: T,
    layers: Vec<Layer<T>>,
}

/// Goes through the kept buffers in their order: layers last, so that a share of fewer layers has the first of them.
fn kept<T, E>(numbers: &Numbers, each: &mut dyn FnMut(Tensor) -> Result<T, E>) -> Result<Kept<T>, E> {
    let mut ends = Kept {
        table: each(Tensor::Large(Large::Table))?,
        positions: each(Tensor::Large(Large::Positions))?,
        entry_gain: each(Tensor::Small(Small::EntryGain))?,
        entry_shift: each(Tensor::Small(Small::EntryShift))?,
        final_gain: each(Tensor::Small(Small::FinalGain))?,
        final_shift: each(Tensor::Small(Small::FinalShift))?,
        head: each(Tensor::Large(Large::Head))?,
        layers: Vec::new(),
    };
    for layer in 0..numbers.shape.layers {
        let mut matrix = |product| each(Tensor::Large(Large::Matrix(layer, product)));
        let matrices = [matrix(0)?, matrix(1)?, matrix(2)?, matrix(3)?];
        let mut bias = |product| each(Tensor::Small(Small::Bias(layer, product)));
        let biases = [bias(0)?, bias(1)?, bias(2)?, bias(3)?];
        let mut gain = |norm| each(Tensor::Small(Small::Gain(layer, norm)));
        let gains = [gain(0)?, gain(1)?];
        let mut shift = |norm| each(Tensor::Small(Small::Shift(layer, norm)));
        let shifts = [shift(0)?, shift(1)?];
        ends.layers.push(Layer { matrices, biases, gains, shifts });
    }
    Ok(ends)
}

/// Numbers that a buffer has room for: an absent one still has a few, so that it can be bound.
const ROOM_LEAST: u64 = 8;

/// Bytes of the kept buffers.
pub(super) fn kept_bytes(numbers: &Numbers) -> ByteCount {
    let mut count = 0;
    let counted: Result<_, std::convert::Infallible> = kept(numbers, &mut |tensor| {
        count += numbers.count(tensor).max(ROOM_LEAST);
        Ok(())
    });
    let Ok(_) = counted;
    ByteCount(count * numbers.precision.size())
}

/// Allocates and fills the kept buffers.
pub(super) fn keep(numbers: &Numbers, device: &mut dyn Device) -> Result<Vec<BufferId>, Stop> {
    let mut buffers = Vec::new();
    kept(numbers, &mut |tensor| -> Result<(), Stop> {
        let count = numbers.count(tensor);
        let buffer = device.alloc(ByteCount(count.max(ROOM_LEAST) * numbers.precision.size()), Place::Device)?;
        buffers.push(buffer);
        match tensor {
            _ if count == 0 => {}
            Tensor::Large(large) => device.fill(buffer, numbers.pattern(large)?)?,
            Tensor::Small(small) => {
                device.write(buffer, ByteCount::ZERO, &stored(numbers.precision, &numbers.vector(small)))?;
            }
        }
        Ok(())
    })?;
    Ok(buffers)
}

/// What one operation leaves for the next: a case's own buffers, of which the last layer's numbers and those of both ends are
/// there when the step is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Output {
    Entry,
    Before,
    AttentionIn,
    Qkv,
    Q,
    Attended,
    AttentionOut,
    Between,
    MlpIn,
    Up,
    Activated,
    MlpOut,
    After,
    HeadIn,
    Logits,
}

const OUTPUTS: [Output; 15] = [
    Output::Entry,
    Output::Before,
    Output::AttentionIn,
    Output::Qkv,
    Output::Q,
    Output::Attended,
    Output::AttentionOut,
    Output::Between,
    Output::MlpIn,
    Output::Up,
    Output::Activated,
    Output::MlpOut,
    Output::After,
    Output::HeadIn,
    Output::Logits,
];

/// What a step of this shape writes, and the program has as outputs in this order: without an embedding the entry is data,
/// the only layer reads it, and without a vocabulary there are no logits.
pub(super) fn written(shape: &DecodeShape) -> Vec<Output> {
    let idle = |output: &Output| match output {
        Output::Entry => !shape.embeds,
        Output::Before => shape.layers == 1,
        Output::Logits => shape.vocab == 0,
        _ => false,
    };
    OUTPUTS.into_iter().filter(|output| !idle(output)).collect()
}

impl Output {
    /// Numbers of a row.
    pub fn width(self, shape: &DecodeShape) -> u64 {
        let n = |id: &str| shape.product(id).map_or(0, |product| product.n);
        match self {
            Self::Qkv => n("qkv"),
            Self::Q | Self::Attended => shape.heads * shape.head_dim,
            Self::Up => n("mlp_up"),
            Self::Activated => shape.inner,
            Self::Logits => shape.vocab,
            _ => shape.hidden,
        }
    }
}

/// Bytes of a case's own buffers, but for the small ones: tokens, page numbers, what bands of attention leave.
pub(super) fn own_bytes(numbers: &Numbers, point: &Point) -> ByteCount {
    let size = numbers.precision.size();
    let rows: u64 = OUTPUTS.iter().map(|output| output.width(&numbers.shape)).sum();
    let cache = 2 * numbers.shape.layers * point.pages().numbers(numbers.shape.kv_heads, numbers.shape.head_dim);
    ByteCount((point.batch * rows + cache) * size)
}

/// Allocates a case's own buffers, and gives the program over them and the kept ones.
pub(super) fn prepare(
    numbers: &Numbers,
    point: &Point,
    case: &Case,
    device: &mut dyn Device,
    held: &[BufferId],
) -> Result<Program, Stop> {
    let shape = &numbers.shape;
    let mut row = Row { buffers: held.to_vec(), size: numbers.precision.size() };
    let mut next = 0..;
    let no_slot = || Stop::Skip("a decode step of too many buffers".to_owned());
    let kept = kept(numbers, &mut |_| next.next().map(Slot).ok_or_else(no_slot))?;
    let units = u64::from(device.info().compute_units.max(1));
    let splits = splits(point.batch * shape.kv_heads, shape.seen(point.context), units);
    let own = allocate(numbers, point, splits, device, &mut row)?;
    // One for all layers: a library is asked how it would do each.
    let product = |product: &Product| -> Result<(&'static str, MatmulDesc), Stop> {
        let sides = [point.batch, product.n, product.k];
        Ok((product.id, matmul::product(case, sides, numbers.precision, device)?))
    };
    let products = shape.products().iter().map(product).collect::<Result<_, _>>()?;
    let steps = Build { numbers, point, kept: &kept, own: &own, splits, products }.steps()?;
    let outputs = written(shape).into_iter().map(|output| row.buffer(own.of(output))).collect();
    Ok(Program { steps, bindings: vec![row.buffers], outputs, submit: point.submit })
}

/// The only row of bindings, as it grows.
struct Row {
    buffers: Vec<BufferId>,
    size: u64,
}

impl Row {
    fn add(&mut self, device: &mut dyn Device, numbers: u64) -> Result<Slot, DeviceError> {
        let buffer = device.alloc(ByteCount(numbers.max(ROOM_LEAST) * self.size), Place::Device)?;
        self.buffers.push(buffer);
        Ok(Slot(self.buffers.len() as u32 - 1))
    }

    fn add_bytes(&mut self, device: &mut dyn Device, bytes: &[u8]) -> Result<Slot, DeviceError> {
        let buffer = device.alloc(ByteCount((bytes.len() as u64).max(16)), Place::Device)?;
        device.write(buffer, ByteCount::ZERO, bytes)?;
        self.buffers.push(buffer);
        Ok(Slot(self.buffers.len() as u32 - 1))
    }

    fn buffer(&self, slot: Slot) -> BufferId {
        self.buffers[slot.0 as usize]
    }
}

/// A case's own buffers.
struct Own {
    /// In the order of [`OUTPUTS`].
    outputs: Vec<Slot>,
    /// What the embedding leaves where it is normalised before the first layer.
    embedded: Slot,
    /// Nobody's: where an operation has nothing to write.
    idle: Slot,
    tokens: Slot,
    angles: Slot,
    pages: Slot,
    parts: Slot,
    caches: Vec<[Slot; 2]>,
}

impl Own {
    fn of(&self, output: Output) -> Slot {
        self.outputs[output as usize]
    }
}

fn allocate(
    numbers: &Numbers,
    point: &Point,
    splits: u64,
    device: &mut dyn Device,
    row: &mut Row,
) -> Result<Own, Stop> {
    let shape = &numbers.shape;
    let mut outputs = Vec::new();
    for output in OUTPUTS {
        outputs.push(row.add(device, point.batch * output.width(shape))?);
    }
    let entry = outputs[Output::Entry as usize];
    if !shape.embeds {
        device.fill(row.buffer(entry), numbers.pattern(Large::Entry)?)?;
    }
    let words = |words: Vec<u32>| words.into_iter().flat_map(u32::to_le_bytes).collect::<Vec<u8>>();
    let embedded = row.add(device, if shape.embedding_norm { point.batch * shape.hidden } else { 0 })?;
    let idle = row.add(device, 0)?;
    let tokens = words((0..point.batch).map(|sequence| numbers.token(sequence)).collect());
    let tokens = row.add_bytes(device, &tokens)?;
    let angles = numbers.angles(point.context - 1).into_iter().flat_map(|(cosine, sine)| [cosine, sine]);
    let angles: Vec<u8> = angles.flat_map(|number| (number as f32).to_le_bytes()).collect();
    let angles = row.add_bytes(device, &angles)?;
    let cache = point.pages();
    let pages =
        (0..point.batch).flat_map(|sequence| (0..cache.each).map(move |index| cache.number(sequence, index) as u32));
    let pages = row.add_bytes(device, &words(pages.collect()))?;
    let parts = if splits > 1 { point.batch * shape.heads * splits * (shape.head_dim + 2) * 4 } else { 0 };
    let parts = row.add(device, parts.div_ceil(row.size))?;
    let mut caches = Vec::new();
    for layer in 0..shape.layers {
        let mut fill = |large| -> Result<Slot, Stop> {
            let slot = row.add(device, cache.numbers(shape.kv_heads, shape.head_dim))?;
            device.fill(row.buffer(slot), numbers.pattern(large)?)?;
            Ok(slot)
        };
        caches.push([fill(Large::Keys(layer))?, fill(Large::Values(layer))?]);
    }
    Ok(Own { outputs, embedded, idle, tokens, angles, pages, parts, caches })
}

/// Makes the steps.
struct Build<'a> {
    numbers: &'a Numbers,
    point: &'a Point,
    kept: &'a Kept<Slot>,
    own: &'a Own,
    splits: u64,
    products: Vec<(&'static str, MatmulDesc)>,
}

impl Build<'_> {
    fn steps(&self) -> Result<Vec<Step>, Stop> {
        let (kept, own, shape) = (self.kept, self.own, &self.numbers.shape);
        let mut steps = self.embed();
        let mut input = own.of(Output::Entry);
        for (layer, weights) in kept.layers.iter().enumerate() {
            // The first layer reads what comes in, the others add what the one before them left.
            if layer > 0 {
                input = own.of(Output::Before);
            }
            steps.extend(self.attention(layer, weights, input)?);
            steps.extend(self.mlp(weights, input)?);
        }
        let head_in = own.of(Output::HeadIn);
        steps.push(self.norm(
            own.of(Output::Between),
            Some(self.last_bias()),
            own.of(Output::After),
            head_in,
            kept.final_gain,
            kept.final_shift,
        ));
        if shape.vocab > 0 {
            steps.push(self.product("head", head_in, kept.head, own.of(Output::Logits))?);
        }
        Ok(steps)
    }

    fn embed(&self) -> Vec<Step> {
        let (kept, own, shape) = (self.kept, self.own, &self.numbers.shape);
        if !shape.embeds {
            return Vec::new();
        }
        let to = if shape.embedding_norm { own.embedded } else { own.of(Output::Entry) };
        let args = vec![
            Arg::Buffer(own.tokens),
            Arg::Buffer(kept.table),
            Arg::Buffer(kept.positions),
            Arg::Buffer(to),
            Arg::U64(self.point.batch),
            Arg::U64(shape.hidden),
            Arg::U64(self.point.context - 1),
            Arg::U32(self.code()),
            Arg::U32(u32::from(shape.positions > 0)),
        ];
        let mut steps = vec![Step::launch("embed", args)];
        if shape.embedding_norm {
            let entry = own.of(Output::Entry);
            steps.push(self.norm(own.embedded, None, own.idle, entry, kept.entry_gain, kept.entry_shift));
        }
        steps
    }

    fn attention(&self, layer: usize, weights: &Layer<Slot>, input: Slot) -> Result<Vec<Step>, Stop> {
        let (own, shape, point) = (self.own, &self.numbers.shape, self.point);
        let [attention_in, qkv] = [Output::AttentionIn, Output::Qkv].map(|output| own.of(output));
        let [q, attended] = [Output::Q, Output::Attended].map(|output| own.of(output));
        let [keys, values] = own.caches[layer];
        let [gain, shift] = [weights.gains[0], weights.shifts[0]];
        let mut steps = vec![if layer == 0 {
            self.norm(input, None, own.idle, attention_in, gain, shift)
        } else {
            let bias = self.kept.layers[layer - 1].biases[3];
            self.norm(own.of(Output::Between), Some(bias), input, attention_in, gain, shift)
        }];
        steps.push(self.product("qkv", attention_in, weights.matrices[0], qkv)?);
        let rotary = if shape.positions == 0 { ROTARY } else { 0 };
        let bias = if shape.has_bias("qkv") { ROTATE_BIAS } else { 0 };
        let cache = point.pages();
        let mut args: Vec<Arg> =
            [qkv, weights.biases[0], own.angles, q, keys, values, own.pages].map(Arg::Buffer).to_vec();
        args.extend([point.batch, shape.heads, shape.kv_heads, shape.head_dim, point.context - 1].map(Arg::U64));
        args.extend([Arg::U64(cache.page), Arg::U64(cache.each), Arg::U32(self.code()), Arg::U32(rotary | bias)]);
        steps.push(Step::launch("rotate", args));
        let first = point.context - shape.seen(point.context);
        steps.extend(attend(
            [q, keys, values, own.pages, own.parts, attended],
            [point.batch, shape.heads, shape.kv_heads, shape.head_dim],
            [first, point.context],
            &cache,
            self.splits,
            self.numbers.precision,
        ));
        steps.push(self.product("attention_output", attended, weights.matrices[1], own.of(Output::AttentionOut))?);
        Ok(steps)
    }

    fn mlp(&self, weights: &Layer<Slot>, input: Slot) -> Result<Vec<Step>, Stop> {
        let (own, shape) = (self.own, &self.numbers.shape);
        let [mlp_in, up, activated] = [Output::MlpIn, Output::Up, Output::Activated].map(|output| own.of(output));
        let [gain, shift] = [weights.gains[1], weights.shifts[1]];
        let add = Add {
            stream: input,
            delta: own.of(Output::AttentionOut),
            bias: weights.biases[1],
            has_bias: shape.has_bias("attention_output"),
        };
        let norm = self.add_norm(Some(add), input, own.of(Output::Between), mlp_in, gain, shift);
        let gated = if shape.gated { GATED } else { 0 };
        let bias = if shape.has_bias("mlp_up") { ACTIVATE_BIAS } else { 0 };
        let mut args: Vec<Arg> = [up, weights.biases[2], activated].map(Arg::Buffer).to_vec();
        args.extend([Arg::U64(self.point.batch), Arg::U64(shape.inner), Arg::U32(self.code()), Arg::U32(gated | bias)]);
        Ok(vec![
            norm,
            self.product("mlp_up", mlp_in, weights.matrices[2], up)?,
            Step::launch("activate", args),
            self.product("mlp_down", activated, weights.matrices[3], own.of(Output::MlpOut))?,
        ])
    }

    /// The bias of the last layer's last product.
    fn last_bias(&self) -> Slot {
        self.kept.layers.last().map_or(self.kept.final_gain, |layer| layer.biases[3])
    }

    /// A norm of `stream`, or where a bias is given of `stream` plus the MLP's output, which is left in `sum`.
    fn norm(&self, stream: Slot, bias: Option<Slot>, sum: Slot, out: Slot, gain: Slot, shift: Slot) -> Step {
        let delta = self.own.of(Output::MlpOut);
        let has_bias = self.numbers.shape.has_bias("mlp_down");
        let add = bias.map(|bias| Add { stream, delta, bias, has_bias });
        self.add_norm(add, stream, sum, out, gain, shift)
    }

    fn add_norm(&self, add: Option<Add>, input: Slot, sum: Slot, out: Slot, gain: Slot, shift: Slot) -> Step {
        let shape = &self.numbers.shape;
        let layer = if shape.norm == Norm::Layer { LAYER } else { 0 };
        let (buffers, flags) = match add {
            Some(Add { stream, delta, bias, has_bias }) => {
                ([stream, delta, bias, gain, shift, sum, out], ADD | if has_bias { NORM_BIAS } else { 0 })
            }
            // What the flags leave out may be any buffer that is not written.
            None => ([input, input, gain, gain, shift, sum, out], 0),
        };
        let mut args = buffers.map(Arg::Buffer).to_vec();
        args.extend([
            Arg::U64(self.point.batch),
            Arg::U64(shape.hidden),
            Arg::U32(self.code()),
            Arg::U32(flags | layer),
        ]);
        Step::launch("add_norm", args)
    }

    fn product(&self, id: &str, a: Slot, b: Slot, c: Slot) -> Result<Step, Stop> {
        let found = self.products.iter().find(|(known, _)| *known == id);
        let (_, desc) = found.ok_or_else(|| Stop::Skip(format!("the model has no product {id}")))?;
        Ok(Step::Matmul { desc: *desc, plan: String::new(), a, b, c })
    }

    fn code(&self) -> u32 {
        spelled(self.numbers.precision)
    }
}

/// What an `add_norm` adds.
struct Add {
    stream: Slot,
    delta: Slot,
    bias: Slot,
    has_bias: bool,
}
