//! Comparison and selection. PTX ISA 9.7.6 and 9.7.7.

use std::cmp::Ordering;

use super::integer::ternary;
use crate::decode::{Condition, Decoded, Decoder, Modifiers};
use crate::exec::{Ctx, Flow, Mask, Run, Source};
use crate::number::{BF16, F16, Format};
use crate::ptx::{Operand, Statement, Type, sign_extend, truncate};

/// What a comparison accepts: less, equal, greater, unordered.
#[derive(Clone, Copy)]
struct Accepts(u8);

impl Accepts {
    fn named(name: &str, ty: Type) -> Option<Self> {
        let unsigned_alias = !ty.float() && !packed(ty);
        Some(Self(match name {
            "eq" => 0b0010,
            "ne" => 0b0101,
            "lt" => 0b0001,
            "le" => 0b0011,
            "gt" => 0b0100,
            "ge" => 0b0110,
            "lo" if unsigned_alias => 0b0001,
            "ls" if unsigned_alias => 0b0011,
            "hi" if unsigned_alias => 0b0100,
            "hs" if unsigned_alias => 0b0110,
            "equ" => 0b1010,
            "neu" => 0b1101,
            "ltu" => 0b1001,
            "leu" => 0b1011,
            "gtu" => 0b1100,
            "geu" => 0b1110,
            "num" => 0b0111,
            "nan" => 0b1000,
            _ => return None,
        }))
    }

    #[inline(always)]
    fn take(self, order: Option<Ordering>) -> bool {
        let bit = match order {
            Some(Ordering::Less) => 0,
            Some(Ordering::Equal) => 1,
            Some(Ordering::Greater) => 2,
            None => 3,
        };
        self.0 >> bit & 1 == 1
    }
}

fn packed(ty: Type) -> bool {
    matches!(ty, Type::F16x2 | Type::Bf16x2)
}

const NAMES: [&str; 18] = [
    "eq", "ne", "lt", "le", "gt", "ge", "lo", "ls", "hi", "hs", "equ", "neu", "ltu", "leu", "gtu", "geu", "num", "nan",
];

type Compare = Box<dyn Fn(&Ctx<'_>, [Source; 2]) -> Mask + Send + Sync>;

/// The comparison an instruction names, of its type.
fn comparison(name: &str, ty: Type, flush: bool) -> Decoded<Compare> {
    let accepts = Accepts::named(name, ty).ok_or_else(|| format!("'.{name}' is not for {ty:?}"))?;
    let half = |format: Format| -> Compare {
        let value = move |bits: u64| format.decode(bits as u32 & 0xFFFF);
        Box::new(move |ctx, from| ctx.test2(from, |a, b| accepts.take(value(a).partial_cmp(&value(b)))))
    };
    Ok(match ty {
        Type::F32 => Box::new(move |ctx, from| {
            let value = |bits: u64| {
                let value = f32::from_bits(bits as u32);
                if flush && value.abs() < f32::MIN_POSITIVE { 0.0 } else { value }
            };
            ctx.test2(from, |a, b| accepts.take(value(a).partial_cmp(&value(b))))
        }),
        Type::F64 => Box::new(move |ctx, from| {
            ctx.test2(from, |a, b| accepts.take(f64::from_bits(a).partial_cmp(&f64::from_bits(b))))
        }),
        Type::F16 => half(F16),
        Type::Bf16 => half(BF16),
        _ if !ty.integer() => return Err(format!("not covered for {ty:?}")),
        Type::U32 | Type::B32 => {
            Box::new(move |ctx, from| ctx.test2(from, |a, b| accepts.take(Some((a as u32).cmp(&(b as u32))))))
        }
        Type::S32 => Box::new(move |ctx, from| ctx.test2(from, |a, b| accepts.take(Some((a as i32).cmp(&(b as i32)))))),
        _ if ty.signed() => Box::new(move |ctx, from| {
            let value = |word| sign_extend(word, ty.bits()) as i64;
            ctx.test2(from, |a, b| accepts.take(Some(value(a).cmp(&value(b)))))
        }),
        _ => Box::new(move |ctx, from| {
            let value = |word| truncate(word, ty.bits());
            ctx.test2(from, |a, b| accepts.take(Some(value(a).cmp(&value(b)))))
        }),
    })
}

type Combine = fn(Mask, Mask) -> Mask;

/// How the comparison's result is combined with a predicate.
fn combination(m: &mut Modifiers<'_>) -> Option<Combine> {
    m.one_of(&["and", "or", "xor"]).map(|word| -> Combine {
        match word {
            "and" => |a, b| a & b,
            "or" => |a, b| a | b,
            _ => |a, b| a ^ b,
        }
    })
}

/// Parts of `set` and `setp`: the comparison, its operands, and what it is combined with.
struct Parts {
    compare: Compare,
    from: [Source; 2],
    with: Option<(Combine, Condition)>,
}

impl Parts {
    fn decode(d: &mut Decoder<'_>, s: &Statement, m: &mut Modifiers<'_>, name: &str, ty: Type) -> Decoded<Self> {
        let combine = combination(m);
        let flush = m.flag("ftz");
        let from = d.sources(&s.operands[1..], ty)?;
        let with = match (combine, s.operands.get(3)) {
            (None, None) => None,
            (Some(combine), Some(operand)) => Some((combine, d.condition(operand)?)),
            _ => return Err("the operation and its predicate do not go together".into()),
        };
        Ok(Self { compare: comparison(name, ty, flush)?, from, with })
    }

    /// The result, and that of the opposite comparison.
    fn evaluate(&self, ctx: &Ctx<'_>) -> (Mask, Mask) {
        let mask = (self.compare)(ctx, self.from);
        match self.with {
            None => (mask, !mask),
            Some((combine, condition)) => (combine(mask, condition.get(ctx)), combine(!mask, condition.get(ctx))),
        }
    }
}

pub fn setp(d: &mut Decoder<'_>, s: &Statement, m: &mut Modifiers<'_>) -> Decoded<Run> {
    let name = m.one_of(&NAMES).ok_or("the comparison is missing")?;
    let ty = m.ty()?;
    if packed(ty) {
        return Err(format!("not covered for {ty:?}"));
    }
    let (to, opposite) = match &s.operands[0] {
        Operand::Pair(to, opposite) => (d.predicate(to)?, Some(d.predicate(opposite)?)),
        other => (d.predicate(other)?, None),
    };
    let parts = Parts::decode(d, s, m, name, ty)?;
    Ok(Box::new(move |ctx| {
        let (mask, inverse) = parts.evaluate(ctx);
        ctx.set_predicate(to, mask);
        if let Some(opposite) = opposite {
            ctx.set_predicate(opposite, inverse);
        }
        Ok(Flow::Next)
    }))
}

/// As `setp`, with a word for the result: ones or 1.0 if it holds.
pub fn set(d: &mut Decoder<'_>, s: &Statement, m: &mut Modifiers<'_>) -> Decoded<Run> {
    let name = m.one_of(&NAMES).ok_or("the comparison is missing")?;
    let (result, ty) = (m.ty()?, m.ty()?);
    let to = d.register(&s.operands[0])?;
    let truth: u64 = match result {
        Type::U32 | Type::S32 => 0xFFFF_FFFF,
        Type::F32 => 1f32.to_bits().into(),
        _ => return Err(format!("not covered for {result:?}")),
    };
    let parts = Parts::decode(d, s, m, name, ty)?;
    Ok(Box::new(move |ctx| {
        let (mask, _) = parts.evaluate(ctx);
        ctx.set(to, &std::array::from_fn(|lane| if mask >> lane & 1 == 1 { truth } else { 0 }));
        Ok(Flow::Next)
    }))
}

pub fn selp(d: &mut Decoder<'_>, s: &Statement, m: &mut Modifiers<'_>) -> Decoded<Run> {
    let ty = m.ty()?;
    let to = d.register(&s.operands[0])?;
    let [a, b] = d.sources(&s.operands[1..3], ty)?;
    let condition = d.condition(s.operands.get(3).ok_or("an operand is missing")?)?;
    Ok(Box::new(move |ctx| {
        let mask = condition.get(ctx);
        let (a, b) = (ctx.get(a), ctx.get(b));
        let values = std::array::from_fn(|lane| if mask >> lane & 1 == 1 { a[lane] } else { b[lane] });
        ctx.set(to, &values);
        Ok(Flow::Next)
    }))
}

/// The first if the third is not negative.
pub fn slct(d: &mut Decoder<'_>, s: &Statement, m: &mut Modifiers<'_>) -> Decoded<Run> {
    m.flag("ftz");
    let (ty, test) = (m.ty()?, m.ty()?);
    if test == Type::F32 {
        return ternary(d, s, ty, |a, b, c| if f32::from_bits(c as u32) >= 0.0 { a } else { b });
    }
    ternary(d, s, ty, |a, b, c| if c as i32 >= 0 { a } else { b })
}
