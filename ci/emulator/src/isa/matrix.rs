//! Matrix fragments and their products within a warp. PTX ISA 9.7.14 `mma`, `ldmatrix`, `stmatrix`.

use std::sync::OnceLock;

use crate::code;
use crate::decode::{Decoded, Decoder, Modifiers};
use crate::exec::race::Proxy;
use crate::exec::{Ctx, Flow, Lanes, Register, Run, Source, Trap};
use crate::number::{E4M3, E5M2, F16, Rounding};
use crate::ptx::{Operand, Statement, Type, sign_extend, truncate};

/// A warp does it as one, or not at all.
pub fn whole_warp(ctx: &Ctx<'_>) -> Option<Flow> {
    (ctx.exec != !0).then_some(Flow::Gather(!0))
}

/// The registers of `{a, b, …}`.
pub fn registers(d: &mut Decoder<'_>, operand: &Operand) -> Decoded<Vec<Register>> {
    match operand {
        Operand::Vector(parts) => parts.iter().map(|part| d.register(part)).collect(),
        other => Ok(vec![d.register(other)?]),
    }
}

/// The values of `{a, b, …}`.
pub fn sources(d: &mut Decoder<'_>, operand: &Operand) -> Decoded<Vec<Source>> {
    match operand {
        Operand::Vector(parts) => parts.iter().map(|part| d.source(part, Type::B32)).collect(),
        other => Ok(vec![d.source(other, Type::B32)?]),
    }
}

fn count(m: &mut Modifiers<'_>) -> Decoded<usize> {
    if !m.flag("m8n8") {
        return Err("only .m8n8 is covered".into());
    }
    match m.one_of(&["x1", "x2", "x4"]) {
        Some("x1") => Ok(1),
        Some("x2") => Ok(2),
        Some(_) => Ok(4),
        None => Err(".x1, .x2 or .x4 is missing".into()),
    }
}

/// Eight rows of 16 bytes for each matrix: lane `8 * i + r` has the address of row `r` of matrix `i`.
pub fn ldmatrix(d: &mut Decoder<'_>, s: &Statement, m: &mut Modifiers<'_>) -> Decoded<Run> {
    m.flag("aligned");
    let count = count(m)?;
    let transposed = m.flag("trans");
    m.one_of(&["shared", "shared::cta"]);
    if m.ty()? != Type::B16 {
        return Err("only .b16 is covered".into());
    }
    let to = registers(d, &s.operands[0])?;
    let address = d.address(s.operands.get(1).ok_or("an operand is missing")?)?;
    if to.len() != count {
        return Err(format!("{} registers for {count} matrices", to.len()));
    }
    d.accesses_shared(16);
    Ok(Box::new(move |ctx| {
        if let Some(flow) = whole_warp(ctx) {
            return Ok(flow);
        }
        let bases = *ctx.get(address.base);
        for (matrix, to) in to.iter().enumerate() {
            let mut rows = [[0u16; 8]; 8];
            for (row, elements) in rows.iter_mut().enumerate() {
                let bytes = ctx.read_shared(bases[8 * matrix + row].wrapping_add(address.offset), 16, 16)?;
                for (element, pair) in elements.iter_mut().zip(bytes.chunks(2)) {
                    *element = u16::from_le_bytes([pair[0], pair[1]]);
                }
            }
            let element = |lane: usize, part: usize| {
                let (group, within) = (lane / 4, 2 * (lane % 4) + part);
                u64::from(if transposed { rows[within][group] } else { rows[group][within] })
            };
            ctx.set(*to, &std::array::from_fn(|lane| element(lane, 0) | element(lane, 1) << 16));
        }
        Ok(Flow::Next)
    }))
}

pub fn stmatrix(d: &mut Decoder<'_>, s: &Statement, m: &mut Modifiers<'_>) -> Decoded<Run> {
    m.flag("aligned");
    let count = count(m)?;
    let transposed = m.flag("trans");
    m.one_of(&["shared", "shared::cta"]);
    if m.ty()? != Type::B16 {
        return Err("only .b16 is covered".into());
    }
    let address = d.address(&s.operands[0])?;
    let from = sources(d, s.operands.get(1).ok_or("an operand is missing")?)?;
    if from.len() != count {
        return Err(format!("{} registers for {count} matrices", from.len()));
    }
    d.accesses_shared(16);
    Ok(Box::new(move |ctx| {
        if let Some(flow) = whole_warp(ctx) {
            return Ok(flow);
        }
        let bases = *ctx.get(address.base);
        for (matrix, from) in from.iter().enumerate() {
            let values = *ctx.get(*from);
            for row in 0..8 {
                let mut bytes = [0; 16];
                for (column, pair) in bytes.chunks_mut(2).enumerate() {
                    let (group, within) = if transposed { (column, row) } else { (row, column) };
                    let value = values[group * 4 + within / 2] >> (16 * (within % 2));
                    pair.copy_from_slice(&(value as u16).to_le_bytes());
                }
                ctx.write_shared(bases[8 * matrix + row].wrapping_add(address.offset), &bytes, 16)?;
            }
        }
        Ok(Flow::Next)
    }))
}

/// What an element of a product's inputs is, and how wide.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Element(pub Type);

impl Element {
    pub fn of(ty: Type) -> Decoded<Self> {
        use Type::*;
        match ty {
            F16 | Bf16 | Tf32 | E4m3 | E5m2 | S8 | U8 | F64 => Ok(Self(ty)),
            _ => Err(format!("products of {ty:?} are not covered")),
        }
    }

    pub fn bits(self) -> u32 {
        self.0.bits()
    }

    pub fn integer(self) -> bool {
        matches!(self.0, Type::S8 | Type::U8)
    }

    /// The value of an element's bits; integers of 8 bits are exact too.
    #[inline]
    pub fn value(self, bits: u64) -> f64 {
        match self.0 {
            Type::F16 => f64::from(table(&HALVES, |bits| F16.decode(bits), 16)[bits as usize & 0xFFFF]),
            Type::Bf16 => f64::from(f32::from_bits((bits as u32) << 16)),
            // The product looks at the upper 19 bits only.
            Type::Tf32 => f64::from(f32::from_bits(bits as u32 & !0x1FFF)),
            Type::E4m3 => f64::from(table(&E4M3S, |bits| E4M3.decode(bits), 8)[bits as usize & 0xFF]),
            Type::E5m2 => f64::from(table(&E5M2S, |bits| E5M2.decode(bits), 8)[bits as usize & 0xFF]),
            Type::F64 => f64::from_bits(bits),
            Type::S8 => sign_extend(bits, 8) as i64 as f64,
            _ => truncate(bits, 8) as f64,
        }
    }
}

static HALVES: OnceLock<Vec<f32>> = OnceLock::new();
static E4M3S: OnceLock<Vec<f32>> = OnceLock::new();
static E5M2S: OnceLock<Vec<f32>> = OnceLock::new();

/// All values of a narrow format.
fn table(cell: &'static OnceLock<Vec<f32>>, decode: fn(u32) -> f64, bits: u32) -> &'static [f32] {
    cell.get_or_init(|| (0..1 << bits).map(|pattern| decode(pattern) as f32).collect())
}

/// What a product is added to and given as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Accumulator(pub Type);

impl Accumulator {
    pub fn of(ty: Type) -> Decoded<Self> {
        match ty {
            Type::F32 | Type::F16 | Type::S32 | Type::F64 => Ok(Self(ty)),
            _ => Err(format!("accumulation in {ty:?} is not covered")),
        }
    }

    /// Elements a register holds.
    pub fn per_register(self) -> usize {
        if self.0 == Type::F16 { 2 } else { 1 }
    }

    pub fn value(self, register: u64, part: usize) -> f64 {
        match self.0 {
            Type::F16 => F16.decode((register >> (16 * part)) as u32 & 0xFFFF),
            Type::F32 => f64::from(f32::from_bits(register as u32)),
            Type::S32 => f64::from(register as i32),
            _ => f64::from_bits(register),
        }
    }

    /// The bits of a sum, rounded once; hardware rounds along the way, so programs must allow for a difference.
    pub fn bits(self, value: f64, saturate: bool) -> u64 {
        match self.0 {
            Type::F16 => F16.encode(value, Rounding::NearestEven, false).into(),
            Type::F32 => {
                let value = value as f32;
                u64::from(if value.is_nan() { 0x7FFF_FFFF } else { value.to_bits() })
            }
            // The sums are exact integers far below 2^53.
            Type::S32 if saturate => u64::from(value.clamp(f64::from(i32::MIN), f64::from(i32::MAX)) as i32 as u32),
            Type::S32 => truncate(value as i64 as u64, 32),
            _ => value.to_bits(),
        }
    }
}

/// `mMnNkK` as three numbers.
pub fn shape(m: &mut Modifiers<'_>) -> Decoded<[usize; 3]> {
    let is_shape = |word: &str| word.starts_with('m') && word.contains('n') && word.contains('k');
    let word = m.matching(is_shape).ok_or("the shape is missing")?;
    let parts: Vec<usize> = word[1..].split(['n', 'k']).filter_map(|part| part.parse().ok()).collect();
    parts.try_into().map_err(|_| format!("'{word}' is no shape"))
}

/// The fragments of a product: registers hold elements as the figures of PTX ISA 9.7.14 "Matrix Fragments
/// for mma" draw them, which one rule covers.
struct Product {
    k: usize,
    a: (Element, Vec<Source>),
    b: (Element, Vec<Source>),
    c: Vec<Source>,
    d: Vec<Register>,
    accumulator: Accumulator,
    saturate: bool,
}

/// Row and column of element `e` of a lane's part of A, of which a register holds `w`.
pub fn place_a(lane: usize, e: usize, w: usize) -> (usize, usize) {
    let register = e / w;
    (lane / 4 + 8 * (register & 1), (lane % 4) * w + e % w + 4 * w * (register >> 1))
}

/// K and column of element `e` of a lane's part of B.
pub fn place_b(lane: usize, e: usize, w: usize) -> (usize, usize) {
    ((lane % 4) * w + e % w + 4 * w * (e / w), lane / 4)
}

/// Row and column of sum `e` of a lane.
pub fn place_c(lane: usize, e: usize) -> (usize, usize) {
    (lane / 4 + 8 * (e >> 1), (lane % 4) * 2 + (e & 1))
}

pub fn mma(d: &mut Decoder<'_>, s: &Statement, m: &mut Modifiers<'_>) -> Decoded<Run> {
    m.flag("aligned");
    let [rows, columns, k] = shape(m)?;
    if m.0.first() != Some(&"row") || m.0.get(1) != Some(&"col") {
        return Err("only .row.col is covered".into());
    }
    m.0.drain(..2);
    let saturate = m.flag("satfinite");
    let (result, a, b, c) = (Accumulator::of(m.ty()?)?, Element::of(m.ty()?)?, Element::of(m.ty()?)?, m.ty()?);
    let [to, from_a, from_b, from_c] = s.operands.as_slice() else { return Err("four operands are expected".into()) };
    if c != result.0 || a.bits() != b.bits() || a.integer() != (result.0 == Type::S32) {
        return Err("these types do not go together here".into());
    }
    let expected: &[usize] = match a.bits() {
        8 => &[16, 32],
        16 => &[8, 16],
        32 => &[4, 8],
        _ => return Err("products of f64 are not covered".into()),
    };
    if (rows, columns) != (16, 8) || !expected.contains(&k) {
        return Err(format!("the shape m{rows}n{columns}k{k} is not covered for {:?}", a.0));
    }
    let product = Product {
        k,
        a: (a, sources(d, from_a)?),
        b: (b, sources(d, from_b)?),
        c: sources(d, from_c)?,
        d: registers(d, to)?,
        accumulator: result,
        saturate,
    };
    let words = k * a.bits() as usize / 128;
    let results = 4 / result.per_register();
    let lengths = [product.a.1.len(), product.b.1.len(), product.c.len(), product.d.len()];
    if lengths != [2 * words, words, results, results] {
        return Err(format!("fragments of {lengths:?} registers, not {:?}", [2 * words, words, results, results]));
    }
    Ok(Box::new(move |ctx| {
        if let Some(flow) = whole_warp(ctx) {
            return Ok(flow);
        }
        product.compute(ctx);
        Ok(Flow::Next)
    }))
}

impl Product {
    fn compute(&self, ctx: &mut Ctx<'_>) {
        let (mut a, mut b) = ([[0f64; 32]; 16], [[0f64; 32]; 8]);
        let w = (32 / self.a.0.bits()) as usize;
        let each = |values: &Lanes, element: Element, lane: usize, part: usize| {
            element.value(truncate(values[lane] >> (part as u32 * element.bits()), element.bits()))
        };
        for (index, source) in self.a.1.iter().enumerate() {
            let values = ctx.get(*source);
            for (lane, part) in (0..32).flat_map(|lane| (0..w).map(move |part| (lane, part))) {
                let (row, column) = place_a(lane, index * w + part, w);
                a[row][column] = each(values, self.a.0, lane, part);
            }
        }
        for (index, source) in self.b.1.iter().enumerate() {
            let values = ctx.get(*source);
            for (lane, part) in (0..32).flat_map(|lane| (0..w).map(move |part| (lane, part))) {
                let (row, column) = place_b(lane, index * w + part, w);
                b[column][row] = each(values, self.b.0, lane, part);
            }
        }
        let per_register = self.accumulator.per_register();
        let mut results = vec![[0u64; 32]; self.d.len()];
        for (index, source) in self.c.iter().enumerate() {
            let values = ctx.get(*source);
            for (lane, part) in (0..32).flat_map(|lane| (0..per_register).map(move |part| (lane, part))) {
                let (row, column) = place_c(lane, index * per_register + part);
                let sum: f64 = a[row][..self.k].iter().zip(&b[column][..self.k]).map(|(a, b)| a * b).sum();
                let total = self.accumulator.value(values[lane], part) + sum;
                results[index][lane] |= self.accumulator.bits(total, self.saturate) << (16 * part);
            }
        }
        for (register, values) in self.d.iter().zip(&results) {
            ctx.set(*register, values);
        }
    }
}

/// Reads bytes of shared memory through the asynchronous proxy.
pub fn read_async(ctx: &mut Ctx<'_>, address: u64, size: usize) -> Result<usize, Trap> {
    let at = ctx.shared_at(address, size, 1)?;
    let raced = ctx.block.race.read(ctx.warp.index, at, size, Proxy::Async);
    raced.map_err(|why| Trap::new(code::LAUNCH_FAILED, why))?;
    Ok(at)
}
