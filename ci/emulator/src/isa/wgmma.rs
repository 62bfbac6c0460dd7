//! Products of a warpgroup from shared memory. PTX ISA 9.7.15.
//!
//! Each warp computes its own 16 rows. A product is computed when it is waited for: until then its registers hold no
//! number, and what is in shared memory by then is what it reads.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use super::matrix::{Accumulator, Element, place_a, read_async, registers, shape, sources, whole_warp};
use crate::code;
use crate::decode::{Condition, Decoded, Decoder, Modifiers};
use crate::exec::{Ctx, Flow, Lanes, Register, Run, Source, Trap};
use crate::ptx::{Operand, Statement, Type, truncate};

/// What a warp has under way.
#[derive(Default)]
pub struct Products {
    fenced: bool,
    open: Vec<Product>,
    committed: VecDeque<Vec<Product>>,
    /// Accumulators of products under way, by their first register, and those last written back.
    under_way: HashMap<u32, Held>,
    written: HashMap<u32, Vec<Lanes>>,
}

/// Accumulators taken from their registers.
struct Held {
    kind: Arc<Kind>,
    values: Vec<Lanes>,
}

/// One product that has been started.
struct Product {
    kind: Arc<Kind>,
    a: Input,
    b: u64,
    keeps: bool,
}

enum Input {
    Shared(u64),
    Registers(Vec<Lanes>),
}

/// What an instruction says of all its executions.
struct Kind {
    columns: usize,
    k: usize,
    a: Element,
    b: Element,
    accumulator: Accumulator,
    d: Vec<Register>,
    negate: [bool; 2],
    /// The other dimension than K is contiguous.
    transposed: [bool; 2],
    saturate: bool,
}

/// A matrix in shared memory, as a descriptor tells. PTX ISA 9.7.15 "Matrix Descriptor Format".
#[derive(Clone, Copy)]
pub struct Descriptor {
    start: u64,
    leading: u64,
    stride: u64,
    /// Bytes of a row of the swizzle's atom: 16 (none), 32, 64 or 128.
    pitch: u64,
}

impl Descriptor {
    /// What the bits say.
    pub fn of(bits: u64) -> Result<Self, Trap> {
        let field = |from: u32| (bits >> from & 0x3FFF) << 4;
        if bits >> 49 & 7 != 0 {
            return Err(Trap::new(code::NOT_SUPPORTED, "a matrix descriptor with a base offset"));
        }
        let pitch = [16, 128, 64, 32][(bits >> 62) as usize];
        Ok(Self { start: field(0), leading: field(16), stride: field(32), pitch })
    }

    /// The address of the 16 bytes that hold an element: `across` counts rows (of M or N), `byte` is the place in K;
    /// of a transposed matrix `byte` is the place in M or N, and `across` counts K.
    pub fn chunk(self, across: u64, byte: u64, transposed: bool) -> u64 {
        let (group, row) = (across / 8, across % 8);
        let unswizzled = match (self.pitch, transposed) {
            (16, false) => group * self.stride + byte / 16 * self.leading + row * 16,
            (16, true) => group * self.leading + byte / 16 * self.stride + row * 16,
            (pitch, false) => group * self.stride + row * pitch + byte / 16 * 16,
            (pitch, true) => group * self.stride + byte / pitch * self.leading + row * pitch + byte % pitch / 16 * 16,
        };
        let address = self.start + unswizzled;
        // The swizzle exchanges 16-byte units by the address bits from 7 on: as many as there are units in a row.
        address ^ (address >> 3 & (self.pitch - 16))
    }
}

/// Row and column of sum `e` of a lane, among the 16 rows of its warp.
pub fn place_d(lane: usize, e: usize) -> (usize, usize) {
    (lane / 4 + 8 * (e >> 1 & 1), 8 * (e >> 2) + 2 * (lane & 3) + (e & 1))
}

pub fn fence(_: &mut Decoder<'_>, _: &Statement, m: &mut Modifiers<'_>) -> Decoded<Run> {
    m.flag("aligned");
    Ok(Box::new(|ctx| {
        if let Some(flow) = whole_warp(ctx) {
            return Ok(flow);
        }
        ctx.warp.products.fenced = true;
        Ok(Flow::Next)
    }))
}

pub fn commit(_: &mut Decoder<'_>, _: &Statement, m: &mut Modifiers<'_>) -> Decoded<Run> {
    m.flag("aligned");
    Ok(Box::new(|ctx| {
        if let Some(flow) = whole_warp(ctx) {
            return Ok(flow);
        }
        let products = &mut ctx.warp.products;
        let group = std::mem::take(&mut products.open);
        products.committed.push_back(group);
        Ok(Flow::Next)
    }))
}

pub fn wait(_: &mut Decoder<'_>, s: &Statement, m: &mut Modifiers<'_>) -> Decoded<Run> {
    m.flag("aligned");
    let [Operand::Int(pending)] = s.operands.as_slice() else { return Err("a number is expected".into()) };
    let pending = *pending as usize;
    Ok(Box::new(move |ctx| {
        if let Some(flow) = whole_warp(ctx) {
            return Ok(flow);
        }
        while ctx.warp.products.committed.len() > pending {
            for product in ctx.warp.products.committed.pop_front().unwrap_or_default() {
                product.compute(ctx)?;
            }
        }
        ctx.write_back();
        Ok(Flow::Next)
    }))
}

/// A literal 1 or -1, or 0 or 1.
fn literal(operand: Option<&Operand>) -> Decoded<i128> {
    match operand {
        Some(Operand::Int(value)) => Ok(*value),
        _ => Err("a literal is expected".into()),
    }
}

pub fn mma_async(d: &mut Decoder<'_>, s: &Statement, m: &mut Modifiers<'_>) -> Decoded<Run> {
    m.flag("aligned");
    let [rows, columns, k] = shape(m)?;
    let saturate = m.flag("satfinite");
    let (accumulator, a, b) = (Accumulator::of(m.ty()?)?, Element::of(m.ty()?)?, Element::of(m.ty()?)?);
    let fits = rows == 64 && columns % 8 == 0 && (8..=256).contains(&columns) && k * a.bits() as usize == 256;
    if !fits || a.bits() != b.bits() || a.integer() != (accumulator.0 == Type::S32) {
        return Err(format!("m{rows}n{columns}k{k} of {:?} and {:?} is not covered", a.0, b.0));
    }
    let [to, from_a, from_b, keeps, rest @ ..] = s.operands.as_slice() else {
        return Err("operands are missing".into());
    };
    let to = registers(d, to)?;
    if to.len() != columns / 2 / accumulator.per_register() {
        return Err(format!("{} registers for {columns} columns", to.len()));
    }
    let fragments: Option<Vec<Source>> = match from_a {
        Operand::Vector(_) => Some(sources(d, from_a)?),
        _ => None,
    };
    let a_descriptor = if fragments.is_none() { Some(d.source(from_a, Type::B64)?) } else { None };
    let b_descriptor = d.source(from_b, Type::B64)?;
    let keeps: Condition = d.condition(keeps)?;
    let mut rest = rest.iter();
    let mut negate = [false; 2];
    if !a.integer() {
        negate = [literal(rest.next())? < 0, literal(rest.next())? < 0];
    }
    let mut transposed = [false; 2];
    if a.bits() == 16 {
        if fragments.is_none() {
            transposed[0] = literal(rest.next())? != 0;
        }
        transposed[1] = literal(rest.next())? != 0;
    }
    let kind = Arc::new(Kind { columns, k, a, b, accumulator, d: to, negate, transposed, saturate });
    d.accesses_shared(16);
    Ok(Box::new(move |ctx| {
        if let Some(flow) = whole_warp(ctx) {
            return Ok(flow);
        }
        let input = match (&fragments, a_descriptor) {
            (Some(fragments), _) => Input::Registers(fragments.iter().map(|source| *ctx.get(*source)).collect()),
            (None, Some(descriptor)) => Input::Shared(ctx.get(descriptor)[0]),
            (None, None) => return Err(Trap::new(code::ILLEGAL_INSTRUCTION, "no first factor")),
        };
        let b = ctx.get(b_descriptor)[0];
        let keeps = keeps.get(ctx) & 1 == 1;
        let product = Product { kind: Arc::clone(&kind), a: input, b, keeps };
        product.start(ctx)
    }))
}

impl Product {
    /// Looks at what it will read, and takes the accumulators away until it is waited for.
    fn start(self, ctx: &mut Ctx<'_>) -> Result<Flow, Trap> {
        self.read(ctx)?;
        let key = self.kind.d[0].0;
        if !ctx.warp.products.under_way.contains_key(&key) {
            let now: Vec<Lanes> = self.kind.d.iter().map(|register| *ctx.get((*register).into())).collect();
            let products = &mut ctx.warp.products;
            let changed = self.keeps && products.written.get(&key).is_some_and(|written| *written != now);
            if !products.fenced && (changed || !products.written.contains_key(&key)) {
                return Err(Trap::new(code::LAUNCH_FAILED, "no wgmma.fence after the accumulators were written"));
            }
            products.under_way.insert(key, Held { kind: Arc::clone(&self.kind), values: now });
            for register in &self.kind.d {
                ctx.warp.registers[register.0 as usize] = [0xFFFF_FFFF; 32];
            }
        }
        ctx.warp.products.open.push(self);
        Ok(Flow::Next)
    }

    /// The factors: A by rows of this warp, B by columns.
    fn read(&self, ctx: &mut Ctx<'_>) -> Result<[Vec<f64>; 2], Trap> {
        let kind = &self.kind;
        let first_row = 16 * (ctx.warp.index as usize % 4);
        let a = match &self.a {
            Input::Shared(bits) => kind.matrix(ctx, *bits, kind.a, first_row, 16, kind.transposed[0])?,
            Input::Registers(fragments) => {
                let (w, bits) = ((32 / kind.a.bits()) as usize, kind.a.bits());
                let mut a = vec![0.0; 16 * kind.k];
                for (index, values) in fragments.iter().enumerate() {
                    for (lane, part) in (0..32).flat_map(|lane| (0..w).map(move |part| (lane, part))) {
                        let (row, column) = place_a(lane, index * w + part, w);
                        let element = truncate(values[lane] >> (part as u32 * bits), bits);
                        a[row * kind.k + column] = kind.a.value(element);
                    }
                }
                a
            }
        };
        let b = kind.matrix(ctx, self.b, kind.b, 0, kind.columns, kind.transposed[1])?;
        Ok([a, b])
    }

    fn compute(&self, ctx: &mut Ctx<'_>) -> Result<(), Trap> {
        let kind = Arc::clone(&self.kind);
        let [a, b] = self.read(ctx)?;
        let sign = if kind.negate[0] != kind.negate[1] { -1.0 } else { 1.0 };
        let per_register = kind.accumulator.per_register();
        let Some(held) = ctx.warp.products.under_way.get_mut(&kind.d[0].0) else { return Ok(()) };
        for (index, values) in held.values.iter_mut().enumerate() {
            for (lane, register) in values.iter_mut().enumerate() {
                let mut word = 0;
                for part in 0..per_register {
                    let e = index * per_register + part;
                    let (row, column) = place_d(lane, e);
                    let (a, b) = (&a[row * kind.k..][..kind.k], &b[column * kind.k..][..kind.k]);
                    let sum: f64 = a.iter().zip(b).map(|(a, b)| a * b).sum();
                    let before = if self.keeps { kind.accumulator.value(*register, part) } else { 0.0 };
                    word |= kind.accumulator.bits(before + sign * sum, kind.saturate) << (16 * part);
                }
                *register = word;
            }
        }
        Ok(())
    }
}

impl Kind {
    /// Elements of a matrix in shared memory: `count` rows from `first` on, each of K.
    fn matrix(
        &self,
        ctx: &mut Ctx<'_>,
        bits: u64,
        element: Element,
        first: usize,
        count: usize,
        transposed: bool,
    ) -> Result<Vec<f64>, Trap> {
        let descriptor = Descriptor::of(bits)?;
        let size = element.bits() as usize / 8;
        let per_chunk = 16 / size;
        let mut out = vec![0.0; count * self.k];
        // Along the contiguous dimension, 16 bytes at a time.
        let (lines, along) = if transposed { (self.k, count) } else { (count, self.k) };
        for line in 0..lines {
            for chunk in 0..along / per_chunk {
                let (across, byte) =
                    if transposed { (line, first * size + chunk * 16) } else { (first + line, chunk * 16) };
                let at = read_async(ctx, descriptor.chunk(across as u64, byte as u64, transposed), 16)?;
                for (index, bytes) in ctx.block.shared[at..at + 16].chunks(size).enumerate() {
                    let mut word = [0; 8];
                    word[..size].copy_from_slice(bytes);
                    let place = chunk * per_chunk + index;
                    let to = if transposed { place * self.k + line } else { line * self.k + place };
                    out[to] = element.value(u64::from_le_bytes(word));
                }
            }
        }
        Ok(out)
    }
}

impl Ctx<'_> {
    /// Gives back the accumulators of which no product is under way.
    fn write_back(&mut self) {
        let products = &mut self.warp.products;
        let busy: Vec<u32> =
            products.committed.iter().flatten().chain(&products.open).map(|product| product.kind.d[0].0).collect();
        let done: Vec<u32> = products.under_way.keys().copied().filter(|key| !busy.contains(key)).collect();
        for key in done {
            let Some(Held { kind, values }) = products.under_way.remove(&key) else { continue };
            for (register, values) in kind.d.iter().zip(&values) {
                self.warp.registers[register.0 as usize] = *values;
            }
            products.written.insert(key, values);
            products.fenced = false;
        }
    }
}
