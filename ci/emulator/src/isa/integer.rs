//! Integer arithmetic, and the way from a shared name (`add`, `mul`, …) to the type's own family. PTX ISA 9.7.1.

use super::{float, half};
use crate::decode::{Decoded, Decoder, Modifiers};
use crate::exec::{Flow, Lanes, Register, Run, Source};
use crate::ptx::{Statement, Type, sign_extend, truncate};

/// A destination and `N` sources, all of the instruction's type.
pub fn operands<const N: usize>(d: &mut Decoder<'_>, s: &Statement, ty: Type) -> Decoded<(Register, [Source; N])> {
    if s.operands.len() != N + 1 {
        return Err(format!("{} operands instead of {}", s.operands.len(), N + 1));
    }
    Ok((d.register(&s.operands[0])?, d.sources(&s.operands[1..], ty)?))
}

pub fn unary(
    d: &mut Decoder<'_>,
    s: &Statement,
    ty: Type,
    f: impl Fn(u64) -> u64 + Send + Sync + 'static,
) -> Decoded<Run> {
    let (to, [a]) = operands(d, s, ty)?;
    Ok(Box::new(move |ctx| ctx.map1(to, a, &f)))
}

pub fn binary(
    d: &mut Decoder<'_>,
    s: &Statement,
    ty: Type,
    f: impl Fn(u64, u64) -> u64 + Send + Sync + 'static,
) -> Decoded<Run> {
    let (to, from) = operands(d, s, ty)?;
    Ok(Box::new(move |ctx| ctx.map2(to, from, &f)))
}

/// A function of whole warps of values.
pub fn whole(d: &mut Decoder<'_>, s: &Statement, ty: Type, f: fn(&Lanes, &Lanes, &Lanes) -> Lanes) -> Decoded<Run> {
    let (to, [a, b, c]) = operands(d, s, ty)?;
    Ok(Box::new(move |ctx| {
        let values = f(ctx.get(a), ctx.get(b), ctx.get(c));
        ctx.set(to, &values);
        Ok(Flow::Next)
    }))
}

pub fn ternary(
    d: &mut Decoder<'_>,
    s: &Statement,
    ty: Type,
    f: impl Fn(u64, u64, u64) -> u64 + Send + Sync + 'static,
) -> Decoded<Run> {
    let (to, from) = operands(d, s, ty)?;
    Ok(Box::new(move |ctx| ctx.map3(to, from, &f)))
}

/// A value of the type as a number that holds them all.
fn wide(value: u64, ty: Type) -> i128 {
    if ty.signed() { i128::from(sign_extend(value, ty.bits()) as i64) } else { i128::from(truncate(value, ty.bits())) }
}

/// Results of the widths that matter for speed are computed in them; the others through wider numbers.
macro_rules! by_width {
    ($d:expr, $s:expr, $ty:expr, $arity:ident, |$($a:ident),+| $body:expr) => {
        match $ty.bits() {
            32 => $arity($d, $s, $ty, |$($a),+| { $(let $a = $a as u32;)+ u64::from($body) }),
            64 => $arity($d, $s, $ty, |$($a),+| $body),
            _ => $arity($d, $s, $ty, |$($a),+| { $(let $a = $a as u16;)+ u64::from($body) }),
        }
    };
}

pub fn add(d: &mut Decoder<'_>, s: &Statement, m: &mut Modifiers<'_>) -> Decoded<Run> {
    let saturate = m.0.first() == Some(&"sat");
    match type_of(m)? {
        Type::F32 | Type::F64 => float::add(d, s, m),
        ty if !ty.integer() => half::add(d, s, m),
        ty if saturate => {
            m.flag("sat");
            m.ty()?;
            saturating(d, s, ty, |a, b| a + b)
        }
        ty => {
            m.ty()?;
            by_width!(d, s, ty, binary, |a, b| a.wrapping_add(b))
        }
    }
}

pub fn sub(d: &mut Decoder<'_>, s: &Statement, m: &mut Modifiers<'_>) -> Decoded<Run> {
    let saturate = m.0.first() == Some(&"sat");
    match type_of(m)? {
        Type::F32 | Type::F64 => float::sub(d, s, m),
        ty if !ty.integer() => half::sub(d, s, m),
        ty if saturate => {
            m.flag("sat");
            m.ty()?;
            saturating(d, s, ty, |a, b| a - b)
        }
        ty => {
            m.ty()?;
            by_width!(d, s, ty, binary, |a, b| a.wrapping_sub(b))
        }
    }
}

fn saturating(d: &mut Decoder<'_>, s: &Statement, ty: Type, f: fn(i128, i128) -> i128) -> Decoded<Run> {
    if ty != Type::S32 {
        return Err(format!(".sat is for s32, not {ty:?}"));
    }
    let clamp = |value: i128| value.clamp(i32::MIN.into(), i32::MAX.into()) as u32;
    binary(d, s, ty, move |a, b| u64::from(clamp(f(wide(a, Type::S32), wide(b, Type::S32)))))
}

/// The type an instruction names, left in place.
pub fn type_of(m: &Modifiers<'_>) -> Decoded<Type> {
    m.0.iter().find_map(|word| Type::named(word)).ok_or_else(|| "a type is missing".into())
}

pub fn mul(d: &mut Decoder<'_>, s: &Statement, m: &mut Modifiers<'_>) -> Decoded<Run> {
    let ty = type_of(m)?;
    match ty {
        Type::F32 | Type::F64 => return float::mul(d, s, m),
        _ if !ty.integer() => return half::mul(d, s, m),
        _ => {}
    }
    let part = m.one_of(&["lo", "hi", "wide"]).ok_or(".lo, .hi or .wide is missing")?;
    m.ty()?;
    let bits = ty.bits();
    match (part, ty) {
        ("lo", _) => by_width!(d, s, ty, binary, |a, b| a.wrapping_mul(b)),
        ("wide", Type::U32) => binary(d, s, ty, |a, b| (a as u32 as u64) * (b as u32 as u64)),
        ("wide", Type::S32) => binary(d, s, ty, |a, b| ((a as i32 as i64) * (b as i32 as i64)) as u64),
        ("wide", _) if bits == 16 => binary(d, s, ty, move |a, b| truncate((wide(a, ty) * wide(b, ty)) as u64, 32)),
        ("hi", Type::U64) => binary(d, s, ty, |a, b| ((u128::from(a) * u128::from(b)) >> 64) as u64),
        ("hi", _) => binary(d, s, ty, move |a, b| truncate(((wide(a, ty) * wide(b, ty)) >> bits) as u64, bits)),
        _ => Err(format!(".{part} is not for {ty:?}")),
    }
}

pub fn mad(d: &mut Decoder<'_>, s: &Statement, m: &mut Modifiers<'_>) -> Decoded<Run> {
    let ty = type_of(m)?;
    if !ty.integer() {
        return float::fma(d, s, m);
    }
    if m.flag("cc") {
        return Err(".cc is not covered".into());
    }
    let part = m.one_of(&["lo", "hi", "wide"]).ok_or(".lo, .hi or .wide is missing")?;
    let saturate = m.flag("sat");
    m.ty()?;
    let bits = ty.bits();
    if part == "wide" {
        // The addend is of twice the width.
        let to = d.register(&s.operands[0])?;
        let [a, b] = d.sources(&s.operands[1..], ty)?;
        let c = d.source(s.operands.get(3).ok_or("an operand is missing")?, Type::B64)?;
        return Ok(match ty {
            Type::U32 => Box::new(move |ctx| {
                ctx.map3(to, [a, b, c], |a, b, c| ((a as u32 as u64) * (b as u32 as u64)).wrapping_add(c))
            }),
            Type::S32 => Box::new(move |ctx| {
                ctx.map3(to, [a, b, c], |a, b, c| (((a as i32 as i64) * (b as i32 as i64)) as u64).wrapping_add(c))
            }),
            _ => Box::new(move |ctx| {
                ctx.map3(to, [a, b, c], move |a, b, c| {
                    truncate(((wide(a, ty) * wide(b, ty)) as u64).wrapping_add(c), 2 * bits)
                })
            }),
        });
    }
    match (part, saturate) {
        ("lo", false) => by_width!(d, s, ty, ternary, |a, b, c| a.wrapping_mul(b).wrapping_add(c)),
        ("hi", false) => ternary(d, s, ty, move |a, b, c| {
            let product = if ty == Type::U64 {
                ((u128::from(a) * u128::from(b)) >> 64) as u64
            } else {
                ((wide(a, ty) * wide(b, ty)) >> bits) as u64
            };
            truncate(product.wrapping_add(c), bits)
        }),
        _ => Err(".sat is not covered".into()),
    }
}

pub fn mul24(d: &mut Decoder<'_>, s: &Statement, m: &mut Modifiers<'_>) -> Decoded<Run> {
    let shift = if m.one_of(&["lo", "hi"]).ok_or(".lo or .hi is missing")? == "hi" { 16 } else { 0 };
    let ty = m.ty()?;
    binary(d, s, ty, move |a, b| truncate(((low24(a, ty) * low24(b, ty)) >> shift) as u64, 32))
}

pub fn mad24(d: &mut Decoder<'_>, s: &Statement, m: &mut Modifiers<'_>) -> Decoded<Run> {
    let shift = if m.one_of(&["lo", "hi"]).ok_or(".lo or .hi is missing")? == "hi" { 16 } else { 0 };
    let ty = m.ty()?;
    ternary(d, s, ty, move |a, b, c| truncate((((low24(a, ty) * low24(b, ty)) >> shift) as u64).wrapping_add(c), 32))
}

fn low24(value: u64, ty: Type) -> i128 {
    if ty.signed() { i128::from(sign_extend(value, 24) as i64) } else { i128::from(truncate(value, 24)) }
}

pub fn sad(d: &mut Decoder<'_>, s: &Statement, m: &mut Modifiers<'_>) -> Decoded<Run> {
    let ty = m.ty()?;
    ternary(d, s, ty, move |a, b, c| {
        truncate(((wide(a, ty) - wide(b, ty)).unsigned_abs() as u64).wrapping_add(c), ty.bits())
    })
}

pub fn div(d: &mut Decoder<'_>, s: &Statement, m: &mut Modifiers<'_>) -> Decoded<Run> {
    let ty = type_of(m)?;
    if !ty.integer() {
        return float::div(d, s, m);
    }
    m.ty()?;
    // By zero the result is unspecified; hardware gives ones.
    binary(d, s, ty, move |a, b| {
        let (a, b) = (wide(a, ty), wide(b, ty));
        truncate(if b == 0 { !0 } else { (a / b) as u64 }, ty.bits())
    })
}

pub fn rem(d: &mut Decoder<'_>, s: &Statement, m: &mut Modifiers<'_>) -> Decoded<Run> {
    let ty = m.ty()?;
    binary(d, s, ty, move |a, b| {
        let (a, b) = (wide(a, ty), wide(b, ty));
        truncate(if b == 0 { a } else { a % b } as u64, ty.bits())
    })
}

pub fn abs(d: &mut Decoder<'_>, s: &Statement, m: &mut Modifiers<'_>) -> Decoded<Run> {
    let ty = type_of(m)?;
    if !ty.integer() {
        return float::sign(d, s, m, |bits, sign| bits & !sign);
    }
    m.ty()?;
    unary(d, s, ty, move |a| truncate(wide(a, ty).unsigned_abs() as u64, ty.bits()))
}

pub fn neg(d: &mut Decoder<'_>, s: &Statement, m: &mut Modifiers<'_>) -> Decoded<Run> {
    let ty = type_of(m)?;
    if !ty.integer() {
        return float::sign(d, s, m, |bits, sign| bits ^ sign);
    }
    m.ty()?;
    unary(d, s, ty, move |a| truncate(a.wrapping_neg(), ty.bits()))
}

pub fn min(d: &mut Decoder<'_>, s: &Statement, m: &mut Modifiers<'_>) -> Decoded<Run> {
    let ty = type_of(m)?;
    if !ty.integer() {
        return float::least(d, s, m, true);
    }
    if m.flag("relu") {
        return Err(".relu is not covered".into());
    }
    m.ty()?;
    binary(
        d,
        s,
        ty,
        move |a, b| if wide(a, ty) <= wide(b, ty) { truncate(a, ty.bits()) } else { truncate(b, ty.bits()) },
    )
}

pub fn max(d: &mut Decoder<'_>, s: &Statement, m: &mut Modifiers<'_>) -> Decoded<Run> {
    let ty = type_of(m)?;
    if !ty.integer() {
        return float::least(d, s, m, false);
    }
    if m.flag("relu") {
        return Err(".relu is not covered".into());
    }
    m.ty()?;
    binary(
        d,
        s,
        ty,
        move |a, b| if wide(a, ty) >= wide(b, ty) { truncate(a, ty.bits()) } else { truncate(b, ty.bits()) },
    )
}

pub fn dp4a(d: &mut Decoder<'_>, s: &Statement, m: &mut Modifiers<'_>) -> Decoded<Run> {
    let (a_ty, b_ty) = (m.ty()?, m.ty()?);
    match (a_ty.signed(), b_ty.signed()) {
        (false, false) => ternary(d, s, Type::B32, bytes::<false, false>),
        (false, true) => ternary(d, s, Type::B32, bytes::<false, true>),
        (true, false) => ternary(d, s, Type::B32, bytes::<true, false>),
        (true, true) => ternary(d, s, Type::B32, bytes::<true, true>),
    }
}

pub fn dp2a(d: &mut Decoder<'_>, s: &Statement, m: &mut Modifiers<'_>) -> Decoded<Run> {
    let from = if m.one_of(&["lo", "hi"]).ok_or(".lo or .hi is missing")? == "hi" { 16 } else { 0 };
    let (a_ty, b_ty) = (m.ty()?, m.ty()?);
    ternary(d, s, Type::B32, move |a, b, c| dot(a, b, c, [(a_ty, 16, 0), (b_ty, 8, from)], 2))
}

/// `c` plus the products of the bytes of two words, each signed or not.
#[inline(always)]
fn bytes<const A: bool, const B: bool>(a: u64, b: u64, c: u64) -> u64 {
    let byte = |word: u64, index: u32, signed: bool| {
        let byte = (word >> (8 * index)) as u8;
        if signed { i32::from(byte as i8) } else { i32::from(byte) }
    };
    let product = |index| byte(a, index, A) * byte(b, index, B);
    u64::from((c as u32).wrapping_add((product(0) + product(1) + product(2) + product(3)) as u32))
}

/// `c` plus the products of the parts of two words: the parts' signedness, width and first bit.
fn dot(a: u64, b: u64, c: u64, [x, y]: [(Type, u32, u32); 2], count: u32) -> u64 {
    let part = |word: u64, (ty, bits, from): (Type, u32, u32), index: u32| {
        let value = word >> (from + index * bits);
        if ty.signed() { sign_extend(value, bits) } else { truncate(value, bits) }
    };
    let sum = (0..count).fold(c, |sum, index| sum.wrapping_add(part(a, x, index).wrapping_mul(part(b, y, index))));
    truncate(sum, 32)
}

/// The carry flag is a register beside the results. PTX ISA 9.7.2.
fn carry(d: &mut Decoder<'_>, s: &Statement, m: &mut Modifiers<'_>, takes: bool, gives: bool) -> Decoded<Run> {
    let ty = m.ty()?;
    let (to, [a, b]) = operands(d, s, ty)?;
    let flag = d.carry();
    let bits = ty.bits();
    Ok(Box::new(move |ctx| {
        let (a, b, old) = (*ctx.get(a), *ctx.get(b), *ctx.get(flag.into()));
        let (mut sums, mut carries) = ([0; 32], [0; 32]);
        for lane in 0..32 {
            let sum = u128::from(truncate(a[lane], bits))
                + u128::from(truncate(b[lane], bits))
                + if takes { u128::from(old[lane] & 1) } else { 0 };
            sums[lane] = truncate(sum as u64, bits);
            carries[lane] = (sum >> bits) as u64 & 1;
        }
        ctx.set(to, &sums);
        if gives {
            ctx.set(flag, &carries);
        }
        Ok(Flow::Next)
    }))
}

pub fn add_carry_out(d: &mut Decoder<'_>, s: &Statement, m: &mut Modifiers<'_>) -> Decoded<Run> {
    carry(d, s, m, false, true)
}

pub fn add_carry_in(d: &mut Decoder<'_>, s: &Statement, m: &mut Modifiers<'_>) -> Decoded<Run> {
    let gives = m.flag("cc");
    carry(d, s, m, true, gives)
}
