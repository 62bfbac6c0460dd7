//! Bits: logic, shifts, fields, permutations. PTX ISA 9.7.1, 9.7.8 and 9.7.9 `prmt`.

use super::integer::{binary, operands, ternary, unary};
use crate::decode::{Decoded, Decoder, Modifiers};
use crate::exec::{Flow, Run};
use crate::ptx::{Statement, Type, sign_extend, truncate};

/// An operation on words, or on predicates, of which one register holds all lanes' bits.
fn words_or_predicates(
    d: &mut Decoder<'_>,
    s: &Statement,
    m: &mut Modifiers<'_>,
    f: fn(u64, u64) -> u64,
) -> Decoded<Run> {
    let ty = m.ty()?;
    if ty != Type::Pred {
        return binary(d, s, ty, f);
    }
    let to = d.predicate(&s.operands[0])?;
    let (a, b) = (d.condition(&s.operands[1])?, d.condition(s.operands.get(2).ok_or("an operand is missing")?)?);
    Ok(Box::new(move |ctx| {
        let mask = f(a.get(ctx).into(), b.get(ctx).into()) as u32;
        ctx.set_predicate(to, mask);
        Ok(Flow::Next)
    }))
}

pub fn and(d: &mut Decoder<'_>, s: &Statement, m: &mut Modifiers<'_>) -> Decoded<Run> {
    words_or_predicates(d, s, m, |a, b| a & b)
}

pub fn or(d: &mut Decoder<'_>, s: &Statement, m: &mut Modifiers<'_>) -> Decoded<Run> {
    words_or_predicates(d, s, m, |a, b| a | b)
}

pub fn xor(d: &mut Decoder<'_>, s: &Statement, m: &mut Modifiers<'_>) -> Decoded<Run> {
    words_or_predicates(d, s, m, |a, b| a ^ b)
}

pub fn not(d: &mut Decoder<'_>, s: &Statement, m: &mut Modifiers<'_>) -> Decoded<Run> {
    let ty = m.ty()?;
    if ty != Type::Pred {
        return unary(d, s, ty, move |a| truncate(!a, ty.bits()));
    }
    let to = d.predicate(&s.operands[0])?;
    let from = d.condition(s.operands.get(1).ok_or("an operand is missing")?)?;
    Ok(Box::new(move |ctx| {
        let mask = !from.get(ctx);
        ctx.set_predicate(to, mask);
        Ok(Flow::Next)
    }))
}

pub fn cnot(d: &mut Decoder<'_>, s: &Statement, m: &mut Modifiers<'_>) -> Decoded<Run> {
    let ty = m.ty()?;
    unary(d, s, ty, move |a| u64::from(truncate(a, ty.bits()) == 0))
}

/// Each bit of the result is the table's at the index the operands' bits make.
pub fn lop3(d: &mut Decoder<'_>, s: &Statement, m: &mut Modifiers<'_>) -> Decoded<Run> {
    m.ty()?;
    if s.operands.len() != 5 {
        return Err("the form with a predicate is not covered".into());
    }
    let to = d.register(&s.operands[0])?;
    let from = d.sources(&s.operands[1..4], Type::B32)?;
    let crate::ptx::Operand::Int(table) = s.operands[4] else { return Err("the table is no literal".into()) };
    Ok(Box::new(move |ctx| {
        ctx.map3(to, from, |a, b, c| {
            let mut result = 0;
            for index in 0..8u64 {
                if table >> index & 1 == 1 {
                    let pick = |word: u64, bit: u64| if index >> bit & 1 == 1 { word } else { !word };
                    result |= pick(a, 2) & pick(b, 1) & pick(c, 0);
                }
            }
            truncate(result, 32)
        })
    }))
}

/// The amount is 32 bits wide and clamped to the word's width.
pub fn shl(d: &mut Decoder<'_>, s: &Statement, m: &mut Modifiers<'_>) -> Decoded<Run> {
    let ty = m.ty()?;
    let bits = ty.bits();
    shift(d, s, ty, move |a, by| if by >= bits { 0 } else { truncate(a << by, bits) })
}

pub fn shr(d: &mut Decoder<'_>, s: &Statement, m: &mut Modifiers<'_>) -> Decoded<Run> {
    let ty = m.ty()?;
    let bits = ty.bits();
    if ty.signed() {
        shift(d, s, ty, move |a, by| truncate((sign_extend(a, bits) as i64 >> by.min(bits - 1)) as u64, bits))
    } else {
        shift(d, s, ty, move |a, by| if by >= bits { 0 } else { truncate(a, bits) >> by })
    }
}

fn shift(
    d: &mut Decoder<'_>,
    s: &Statement,
    ty: Type,
    f: impl Fn(u64, u32) -> u64 + Send + Sync + 'static,
) -> Decoded<Run> {
    let to = d.register(&s.operands[0])?;
    let a = d.source(&s.operands[1], ty)?;
    let by = d.source(s.operands.get(2).ok_or("an operand is missing")?, Type::B32)?;
    Ok(Box::new(move |ctx| ctx.map2(to, [a, by], |a, by| f(a, by as u32))))
}

/// The amount wraps at 32 or is clamped to it.
pub fn shf(d: &mut Decoder<'_>, s: &Statement, m: &mut Modifiers<'_>) -> Decoded<Run> {
    let left = m.one_of(&["l", "r"]).ok_or(".l or .r is missing")? == "l";
    let wrap = m.one_of(&["wrap", "clamp"]).ok_or(".wrap or .clamp is missing")? == "wrap";
    let ty = m.ty()?;
    ternary(d, s, ty, move |low, high, by| {
        let by = if wrap { by as u32 & 31 } else { (by as u32).min(32) };
        let both = truncate(high, 32) << 32 | truncate(low, 32);
        truncate(if left { (u128::from(both) << by >> 32) as u64 } else { both >> by }, 32)
    })
}

pub fn popc(d: &mut Decoder<'_>, s: &Statement, m: &mut Modifiers<'_>) -> Decoded<Run> {
    let ty = m.ty()?;
    unary(d, s, ty, move |a| truncate(a, ty.bits()).count_ones().into())
}

pub fn clz(d: &mut Decoder<'_>, s: &Statement, m: &mut Modifiers<'_>) -> Decoded<Run> {
    let ty = m.ty()?;
    unary(d, s, ty, move |a| u64::from(truncate(a, ty.bits()).leading_zeros() - (64 - ty.bits())))
}

/// The place of the most significant bit that differs from the sign.
pub fn bfind(d: &mut Decoder<'_>, s: &Statement, m: &mut Modifiers<'_>) -> Decoded<Run> {
    let amount = m.flag("shiftamt");
    let ty = m.ty()?;
    let bits = ty.bits();
    unary(d, s, ty, move |a| {
        let negative = ty.signed() && sign_extend(a, bits) as i64 >> 63 != 0;
        let word = truncate(if negative { !a } else { a }, bits);
        match word {
            0 => 0xFFFF_FFFF,
            _ if amount => u64::from(word.leading_zeros() - (64 - bits)),
            _ => u64::from(63 - word.leading_zeros()),
        }
    })
}

pub fn brev(d: &mut Decoder<'_>, s: &Statement, m: &mut Modifiers<'_>) -> Decoded<Run> {
    let ty = m.ty()?;
    unary(d, s, ty, move |a| a.reverse_bits() >> (64 - ty.bits()))
}

pub fn bfe(d: &mut Decoder<'_>, s: &Statement, m: &mut Modifiers<'_>) -> Decoded<Run> {
    let ty = m.ty()?;
    let to = d.register(&s.operands[0])?;
    let a = d.source(&s.operands[1], ty)?;
    let [from, length] = d.sources(&s.operands[2..], Type::B32)?;
    let bits = ty.bits();
    Ok(Box::new(move |ctx| {
        ctx.map3(to, [a, from, length], |a, from, length| {
            let (from, length) = (from as u32 & 0xFF, length as u32 & 0xFF);
            let value = if ty.signed() { sign_extend(a, bits) } else { truncate(a, bits) };
            if length == 0 {
                return 0;
            }
            // Beyond the word a signed field goes on with the word's sign.
            let shifted = if ty.signed() {
                (value as i64 >> from.min(63)) as u64
            } else if from < 64 {
                value >> from
            } else {
                0
            };
            let last = (from + length - 1).min(bits - 1);
            if !ty.signed() {
                return truncate(shifted, length);
            }
            let sign = value >> last & 1;
            let field = truncate(shifted, length.min(64));
            let width = (last + 1).saturating_sub(from).min(64);
            let fill = if sign == 1 && width < 64 { !0u64 << width } else { 0 };
            truncate(if sign == 1 { field | fill } else { truncate(field, width.max(1)) }, bits)
        })
    }))
}

pub fn bfi(d: &mut Decoder<'_>, s: &Statement, m: &mut Modifiers<'_>) -> Decoded<Run> {
    let ty = m.ty()?;
    let bits = ty.bits();
    let to = d.register(&s.operands[0])?;
    let [field, base] = d.sources(&s.operands[1..3], ty)?;
    let [from, length] = d.sources(&s.operands[3..], Type::B32)?;
    Ok(Box::new(move |ctx| {
        let lengths = *ctx.get(length);
        let froms = *ctx.get(from);
        let (fields, bases) = (*ctx.get(field), *ctx.get(base));
        let mut out = [0; 32];
        for lane in 0..32 {
            let (from, length) = (froms[lane] as u32 & 0xFF, lengths[lane] as u32 & 0xFF);
            let mask = if from < bits { truncate(truncate(!0, length) << from, bits) } else { 0 };
            let placed = if from < 64 { fields[lane] << from } else { 0 };
            out[lane] = truncate(bases[lane] & !mask | placed & mask, bits);
        }
        ctx.set(to, &out);
        Ok(Flow::Next)
    }))
}

/// Bytes of two words chosen by four selectors, or by one of six modes.
pub fn prmt(d: &mut Decoder<'_>, s: &Statement, m: &mut Modifiers<'_>) -> Decoded<Run> {
    m.ty()?;
    let mode = m.one_of(&["f4e", "b4e", "rc8", "ecl", "ecr", "rc16"]).map(str::to_owned);
    let (to, from) = operands(d, s, Type::B32)?;
    Ok(Box::new(move |ctx| {
        ctx.map3(to, from, |a, b, select| {
            let bytes = (truncate(b, 32) << 32 | truncate(a, 32)).to_le_bytes();
            let picks = picks(mode.as_deref(), select);
            (0..4).fold(0, |word, index| {
                let pick = picks[index];
                let byte = bytes[(pick & 7) as usize];
                // The top bit of a selector replicates the byte's sign.
                let byte = if pick & 8 != 0 { if byte & 0x80 != 0 { 0xFF } else { 0 } } else { byte };
                word | u64::from(byte) << (8 * index)
            })
        })
    }))
}

fn picks(mode: Option<&str>, select: u64) -> [u8; 4] {
    let n = (select & 3) as u8;
    match mode {
        None => std::array::from_fn(|index| (select >> (4 * index) & 0xF) as u8),
        Some("f4e") => std::array::from_fn(|index| n + index as u8),
        Some("b4e") => std::array::from_fn(|index| (n + 8 - index as u8) & 7),
        Some("rc8") => [n; 4],
        Some("ecl") => std::array::from_fn(|index| n.max(index as u8)),
        Some("ecr") => std::array::from_fn(|index| n.min(index as u8)),
        _ => std::array::from_fn(|index| (n & 1) * 2 + index as u8 % 2),
    }
}
