//! Instructions one by one, each against the same thing in plain arithmetic, over values that include the awkward ones.

use rooflint_emulator::isa::OPCODES;

use crate::bench::{Buffer, around, run, words};

/// Bit patterns with edges of integers and floats among them.
fn values(seed: u32) -> Vec<u32> {
    let edges = [0, 1, 2, 31, 32, 33, 0x7FFF_FFFF, 0x8000_0000, 0x8000_0001, 0xFFFF_FFFF, 0x3F80_0000, 0x7F80_0000];
    let more = [0x7FC0_0000, 0x0000_0001, 0x8080_0000, 0x4B80_0001, 0xC2F6_E979, 0x0102_0304, 0xFF80_0000, 0x3DFC_0000];
    let mut state = seed;
    let mut next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        state ^ state >> 15
    };
    let mut values: Vec<u32> = edges.into_iter().chain(more).collect();
    values.extend((values.len()..256).map(|_| next()));
    let turn = seed as usize % 20;
    values[..20].rotate_left(turn);
    values
}

/// Runs a body that finds three words in `%r2`, `%r3`, `%r4` and the same in `%f2`, `%f3`, `%f4`, for 256 triples.
fn check(body: &str, expected: impl Fn(u32, u32, u32) -> u32) {
    check_near(body, expected, |result, expected| result == expected);
}

fn check_near(body: &str, expected: impl Fn(u32, u32, u32) -> u32, near: impl Fn(u32, u32) -> bool) {
    let inputs = [values(1), values(7), values(13)];
    let (out, buffer) = (Buffer::new(256 * 4), Buffer::of(&inputs.concat()));
    let load = "ld.param.u64 %rd9, [in]; mul.wide.u32 %rd8, %r1, 4; add.s64 %rd9, %rd9, %rd8;\n\
                ld.global.u32 %r2, [%rd9]; ld.global.u32 %r3, [%rd9+1024]; ld.global.u32 %r4, [%rd9+2048];\n\
                mov.b32 %f2, %r2; mov.b32 %f3, %r3; mov.b32 %f4, %r4;\n";
    let text = around(&format!("{load}{body}")).replace("(.param .u64 out)", "(.param .u64 out, .param .u64 in)");
    run(&text, [1, 256], &[&out, &buffer]).unwrap_or_else(|trap| panic!("{body}: {}", trap.why));
    for (thread, result) in out.read::<u32>().into_iter().enumerate() {
        let [a, b, c] = [0, 1, 2].map(|index: usize| inputs[index][thread]);
        let expected = expected(a, b, c);
        assert!(near(result, expected), "{body} of {a:#x}, {b:#x}, {c:#x}: {result:#x} for {expected:#x}");
    }
}

/// As `check`, of floats: any NaN will do for a NaN, else as many units in the last place off as allowed.
fn check_float(body: &str, units: u32, expected: impl Fn(f32, f32, f32) -> f32) {
    let body = format!("{body}\nmov.b32 %r0, %f0;");
    let value = f32::from_bits;
    check_near(
        &body,
        |a, b, c| expected(value(a), value(b), value(c)).to_bits(),
        |result, expected| {
            let both = value(result).is_nan() && value(expected).is_nan();
            both || result.abs_diff(expected) <= units || value(result) == 0.0 && value(expected) == 0.0
        },
    );
}

/// The low word of 64 bits made of two words each: `%rd0` of (a, b), `%rd1` of (b, c).
fn check_wide(body: &str, expected: impl Fn(u64, u64) -> u64) {
    let wide = |low: u32, high: u32| u64::from(high) << 32 | u64::from(low);
    let before = "mov.b64 %rd0, {%r2, %r3}; mov.b64 %rd1, {%r3, %r4};";
    check(&format!("{before} {body} mov.b64 {{%r0, %r5}}, %rd2;"), |a, b, c| expected(wide(a, b), wide(b, c)) as u32);
    check(&format!("{before} {body} mov.b64 {{%r5, %r0}}, %rd2;"), |a, b, c| {
        (expected(wide(a, b), wide(b, c)) >> 32) as u32
    });
}

fn s(value: u32) -> i32 {
    value as i32
}

#[test]
fn integers_of_32_bits() {
    check("add.u32 %r0, %r2, %r3;", |a, b, _| a.wrapping_add(b));
    check("sub.s32 %r0, %r2, %r3;", |a, b, _| a.wrapping_sub(b));
    check("add.sat.s32 %r0, %r2, %r3;", |a, b, _| s(a).saturating_add(s(b)) as u32);
    check("mul.lo.s32 %r0, %r2, %r3;", |a, b, _| a.wrapping_mul(b));
    check("mul.hi.u32 %r0, %r2, %r3;", |a, b, _| ((u64::from(a) * u64::from(b)) >> 32) as u32);
    check("mul.hi.s32 %r0, %r2, %r3;", |a, b, _| ((i64::from(s(a)) * i64::from(s(b))) >> 32) as u32);
    check("mad.lo.u32 %r0, %r2, %r3, %r4;", |a, b, c| a.wrapping_mul(b).wrapping_add(c));
    check("mad.hi.u32 %r0, %r2, %r3, %r4;", |a, b, c| (((u64::from(a) * u64::from(b)) >> 32) as u32).wrapping_add(c));
    check("div.u32 %r0, %r2, %r3;", |a, b, _| a.checked_div(b).unwrap_or(u32::MAX));
    check("div.s32 %r0, %r2, %r3;", |a, b, _| if b == 0 { u32::MAX } else { s(a).wrapping_div(s(b)) as u32 });
    check("rem.u32 %r0, %r2, %r3;", |a, b, _| a.checked_rem(b).unwrap_or(a));
    check("rem.s32 %r0, %r2, %r3;", |a, b, _| if b == 0 { a } else { s(a).wrapping_rem(s(b)) as u32 });
    check("abs.s32 %r0, %r2;", |a, _, _| s(a).unsigned_abs());
    check("neg.s32 %r0, %r2;", |a, _, _| s(a).wrapping_neg() as u32);
    check("min.s32 %r0, %r2, %r3;", |a, b, _| s(a).min(s(b)) as u32);
    check("max.u32 %r0, %r2, %r3;", |a, b, _| a.max(b));
    check("sad.u32 %r0, %r2, %r3, %r4;", |a, b, c| a.abs_diff(b).wrapping_add(c));
    check("add.u32 %r0, %r2, -5;", |a, _, _| a.wrapping_sub(5));
    check("add.cc.u32 %r5, %r2, %r3; addc.u32 %r0, %r4, 0;", |a, b, c| c.wrapping_add(a.overflowing_add(b).1.into()));
    check("mul24.lo.u32 %r0, %r2, %r3;", |a, b, _| (a & 0xFF_FFFF).wrapping_mul(b & 0xFF_FFFF));
}

#[test]
fn integers_of_64_and_16_bits() {
    check_wide("add.u64 %rd2, %rd0, %rd1;", |a, b| a.wrapping_add(b));
    check_wide("mul.lo.u64 %rd2, %rd0, %rd1;", |a, b| a.wrapping_mul(b));
    check_wide("mul.hi.u64 %rd2, %rd0, %rd1;", |a, b| ((u128::from(a) * u128::from(b)) >> 64) as u64);
    check_wide("mul.hi.s64 %rd2, %rd0, %rd1;", |a, b| ((i128::from(a as i64) * i128::from(b as i64)) >> 64) as u64);
    check_wide(
        "div.s64 %rd2, %rd0, %rd1;",
        |a, b| {
            if b == 0 { u64::MAX } else { (a as i64).wrapping_div(b as i64) as u64 }
        },
    );
    check_wide("rem.u64 %rd2, %rd0, %rd1;", |a, b| a.checked_rem(b).unwrap_or(a));
    check_wide("min.s64 %rd2, %rd0, %rd1;", |a, b| (a as i64).min(b as i64) as u64);
    check_wide("mul.wide.s32 %rd2, %r2, %r3;", |a, _| (i64::from(a as i32) * i64::from((a >> 32) as i32)) as u64);
    check_wide("mad.wide.u32 %rd2, %r2, %r3, %rd1;", |a, b| {
        (u64::from(a as u32) * u64::from((a >> 32) as u32)).wrapping_add(b)
    });
    let halves = "mov.b32 {%h0, %h1}, %r2; mov.b32 {%h2, %h3}, %r3;";
    check(&format!("{halves} mul.lo.u16 %h4, %h0, %h2; cvt.u32.u16 %r0, %h4;"), |a, b, _| {
        u32::from((a as u16).wrapping_mul(b as u16))
    });
    check(&format!("{halves} max.s16 %h4, %h1, %h3; cvt.s32.s16 %r0, %h4;"), |a, b, _| {
        i32::from(((a >> 16) as i16).max((b >> 16) as i16)) as u32
    });
    check(&format!("{halves} mul.wide.s16 %r0, %h0, %h2;"), |a, b, _| {
        (i32::from(a as i16) * i32::from(b as i16)) as u32
    });
}

#[test]
fn bits() {
    check("and.b32 %r0, %r2, %r3;", |a, b, _| a & b);
    check("not.b32 %r0, %r2;", |a, _, _| !a);
    check("cnot.b32 %r0, %r2;", |a, _, _| u32::from(a == 0));
    check("lop3.b32 %r0, %r2, %r3, %r4, 0xE8;", |a, b, c| a & b | a & c | b & c);
    check("lop3.b32 %r0, %r2, %r3, %r4, 0x1A;", |a, b, c| {
        (0..32)
            .map(|bit| {
                let index = (a >> bit & 1) << 2 | (b >> bit & 1) << 1 | c >> bit & 1;
                (0x1A >> index & 1) << bit
            })
            .sum()
    });
    check("shl.b32 %r0, %r2, %r3;", |a, b, _| a.checked_shl(b).unwrap_or(0));
    check("shr.u32 %r0, %r2, %r3;", |a, b, _| a.checked_shr(b).unwrap_or(0));
    check("shr.s32 %r0, %r2, %r3;", |a, b, _| (s(a) >> b.min(31)) as u32);
    check_wide("shr.s64 %rd2, %rd0, %r4;", |a, b| ((a as i64) >> ((b >> 32) as u32).min(63)) as u64);
    check("shf.l.wrap.b32 %r0, %r2, %r3, %r4;", |a, b, c| {
        ((u64::from(b) << 32 | u64::from(a)) << (c & 31) >> 32) as u32
    });
    check("shf.r.clamp.b32 %r0, %r2, %r3, %r4;", |a, b, c| ((u64::from(b) << 32 | u64::from(a)) >> c.min(32)) as u32);
    check("popc.b32 %r0, %r2;", |a, _, _| a.count_ones());
    check("clz.b32 %r0, %r2;", |a, _, _| a.leading_zeros());
    check("brev.b32 %r0, %r2;", |a, _, _| a.reverse_bits());
    check("bfind.u32 %r0, %r2;", |a, _, _| a.checked_ilog2().unwrap_or(u32::MAX));
    check("bfind.s32 %r0, %r2;", |a, _, _| (if s(a) < 0 { !a } else { a }).checked_ilog2().unwrap_or(u32::MAX));
    // The manual's own loop, bit by bit.
    for (signed, body) in [(false, "bfe.u32 %r0, %r2, %r3, %r4;"), (true, "bfe.s32 %r0, %r2, %r3, %r4;")] {
        check(body, move |a, b, c| {
            let (from, length) = (b & 0xFF, c & 0xFF);
            let sign = if !signed || length == 0 { 0 } else { a >> (from + length - 1).min(31) & 1 };
            let bit = |i: u32| if i < length && from + i <= 31 { a >> (from + i) & 1 } else { sign };
            (0..32).map(|i| bit(i) << i).sum()
        });
    }
    check("bfi.b32 %r0, %r2, %r3, %r4, 7;", |a, b, c| {
        let from = c & 0xFF;
        (0..7).filter(|i| from + i <= 31).fold(b, |word, i| word & !(1 << (from + i)) | (a >> i & 1) << (from + i))
    });
    check("prmt.b32 %r0, %r2, %r3, %r4;", |a, b, c| {
        let bytes = (u64::from(b) << 32 | u64::from(a)).to_le_bytes();
        u32::from_le_bytes(std::array::from_fn(|i| {
            let select = c >> (4 * i) & 0xF;
            let byte = bytes[(select & 7) as usize];
            if select & 8 == 0 { byte } else { ((byte as i8) >> 7) as u8 }
        }))
    });
    check("prmt.b32.f4e %r0, %r2, %r3, %r4;", |a, b, c| ((u64::from(b) << 32 | u64::from(a)) >> (8 * (c & 3))) as u32);
}

#[test]
fn dot_products_of_bytes() {
    let bytes = |word: u32| word.to_le_bytes();
    check("dp4a.s32.s32 %r0, %r2, %r3, %r4;", move |a, b, c| {
        let products = bytes(a).into_iter().zip(bytes(b)).map(|(a, b)| i32::from(a as i8) * i32::from(b as i8));
        products.fold(s(c), i32::wrapping_add) as u32
    });
    check("dp4a.u32.s32 %r0, %r2, %r3, %r4;", move |a, b, c| {
        let products = bytes(a).into_iter().zip(bytes(b)).map(|(a, b)| i32::from(a) * i32::from(b as i8));
        products.fold(s(c), i32::wrapping_add) as u32
    });
    check("dp2a.hi.s32.u32 %r0, %r2, %r3, %r4;", move |a, b, c| {
        let a = [a as i16, (a >> 16) as i16];
        let products = (0..2).map(|i| i32::from(a[i]) * i32::from(bytes(b)[2 + i]));
        products.fold(s(c), i32::wrapping_add) as u32
    });
}

#[test]
fn floats() {
    check_float("add.f32 %f0, %f2, %f3;", 0, |a, b, _| a + b);
    check_float("sub.rn.f32 %f0, %f2, %f3;", 0, |a, b, _| a - b);
    check_float("mul.f32 %f0, %f2, %f3;", 0, |a, b, _| a * b);
    check_float("fma.rn.f32 %f0, %f2, %f3, %f4;", 0, f32::mul_add);
    check_float("div.rn.f32 %f0, %f2, %f3;", 0, |a, b, _| a / b);
    check_float("rcp.approx.f32 %f0, %f2;", 1, |a, _, _| 1.0 / a);
    check_float("sqrt.rn.f32 %f0, %f2;", 0, |a, _, _| a.sqrt());
    check_float("rsqrt.approx.f32 %f0, %f2;", 1, |a, _, _| (1.0 / f64::from(a).sqrt()) as f32);
    check_float("ex2.approx.f32 %f0, %f2;", 1, |a, _, _| f64::from(a).exp2() as f32);
    check_float("lg2.approx.f32 %f0, %f2;", 1, |a, _, _| f64::from(a).log2() as f32);
    check_float("abs.f32 %f0, %f2;", 0, |a, _, _| a.abs());
    check_float("neg.f32 %f0, %f2;", 0, |a, _, _| -a);
    check_float("min.f32 %f0, %f2, %f3;", 0, |a, b, _| a.min(b));
    check_float("max.f32 %f0, %f2, %f3;", 0, |a, b, _| a.max(b));
    check_float("max.NaN.f32 %f0, %f2, %f3;", 0, |a, b, _| if a.is_nan() || b.is_nan() { f32::NAN } else { a.max(b) });
    check_float("add.sat.f32 %f0, %f2, %f3;", 0, |a, b, _| if a + b > 0.0 { (a + b).min(1.0) } else { 0.0 });
    check_float("copysign.f32 %f0, %f2, %f3;", 0, |a, b, _| b.copysign(a));
    let flush = |value: f32| if value.abs() < f32::MIN_POSITIVE { 0.0 } else { value };
    check_float("mul.ftz.f32 %f0, %f2, %f3;", 0, move |a, b, _| flush(flush(a) * flush(b)));
    let double = "cvt.f64.f32 %fd0, %f2; cvt.f64.f32 %fd1, %f3; cvt.f64.f32 %fd2, %f4;";
    check_float(&format!("{double} fma.rn.f64 %fd3, %fd0, %fd1, %fd2; cvt.rn.f32.f64 %f0, %fd3;"), 0, |a, b, c| {
        f64::from(a).mul_add(f64::from(b), f64::from(c)) as f32
    });
    check_float("add.f32 %f0, %f2, 0f3F000000;", 0, |a, _, _| a + 0.5);
}

/// A half's value and the half nearest to a value, by the formats' own definition (`number` has its own tests).
fn half(bits: u32) -> f64 {
    rooflint_emulator::number::F16.decode(bits & 0xFFFF)
}

fn to_half(value: f64) -> u32 {
    rooflint_emulator::number::F16.encode(value, rooflint_emulator::number::Rounding::NearestEven, false)
}

#[test]
fn halves_in_pairs() {
    let nan = |word: u32| (word & 0x7FFF) > 0x7C00;
    let near = move |result: u32, expected: u32| {
        (0..2).all(|part| {
            let (result, expected) = (result >> (16 * part) & 0xFFFF, expected >> (16 * part) & 0xFFFF);
            result == expected || nan(result) && nan(expected)
        })
    };
    let pairs = |f: fn(f64, f64, f64) -> f64| {
        move |a: u32, b: u32, c: u32| {
            (0..2)
                .map(|part| {
                    to_half(f(half(a >> (16 * part)), half(b >> (16 * part)), half(c >> (16 * part)))) << (16 * part)
                })
                .sum()
        }
    };
    check_near("add.f16x2 %r0, %r2, %r3;", pairs(|a, b, _| a + b), near);
    check_near("mul.rn.f16x2 %r0, %r2, %r3;", pairs(|a, b, _| a * b), near);
    check_near("fma.rn.f16x2 %r0, %r2, %r3, %r4;", pairs(|a, b, c| rooflint_emulator::number::add_odd(a * b, c)), near);
    check("neg.f16x2 %r0, %r2;", |a, _, _| a ^ 0x8000_8000);
    let single = "cvt.rn.f16.f32 %h0, %f2; cvt.rn.f16.f32 %h1, %f3; mov.b32 %r0, {%h0, %h1};";
    check_near(
        single,
        |a, b, _| {
            let half = |bits| to_half(f64::from(f32::from_bits(bits)));
            half(b) << 16 | half(a)
        },
        near,
    );
    check_near(
        "cvt.rn.f16x2.f32 %r0, %f2, %f3;",
        |a, b, _| {
            let half = |bits| to_half(f64::from(f32::from_bits(bits)));
            half(a) << 16 | half(b)
        },
        near,
    );
    check_near(
        "cvt.rn.bf16x2.f32 %r0, %f2, %f3;",
        |a, b, _| {
            // Rounded by hand: the upper half of the word, up if the lower is above the middle or the half is odd.
            let upper = |bits: u32| (bits + 0x7FFF + (bits >> 16 & 1)) >> 16;
            let part = |bits: u32| if f32::from_bits(bits).is_nan() { 0x7FFF } else { upper(bits) };
            part(a) << 16 | part(b)
        },
        |result, expected| result == expected,
    );
}

#[test]
fn comparisons() {
    for (name, holds) in [
        ("eq", (|a, b| a == b) as fn(i32, i32) -> bool),
        ("ne", |a, b| a != b),
        ("lt", |a, b| a < b),
        ("le", |a, b| a <= b),
        ("gt", |a, b| a > b),
        ("ge", |a, b| a >= b),
    ] {
        check(&format!("setp.{name}.s32 %p0, %r2, %r3; selp.u32 %r0, 1, 0, %p0;"), |a, b, _| holds(s(a), s(b)).into());
        check(&format!("set.{name}.u32.s32 %r0, %r2, %r3;"), |a, b, _| if holds(s(a), s(b)) { u32::MAX } else { 0 });
    }
    check("setp.hi.u32 %p0, %r2, %r3; selp.b32 %r0, %r2, %r3, %p0;", |a, b, _| a.max(b));
    check("setp.lt.f32 %p0, %f2, %f3; selp.u32 %r0, 1, 0, %p0;", |a, b, _| {
        (f32::from_bits(a) < f32::from_bits(b)).into()
    });
    check("setp.geu.f32 %p0, %f2, %f3; selp.u32 %r0, 1, 0, %p0;", |a, b, _| {
        u32::from(!(f32::from_bits(a) < f32::from_bits(b)))
    });
    check("setp.nan.f32 %p0, %f2, %f3; selp.u32 %r0, 1, 0, %p0;", |a, b, _| {
        (f32::from_bits(a).is_nan() || f32::from_bits(b).is_nan()).into()
    });
    check(
        "setp.lt.u32 %p1, %r2, %r4; setp.lt.and.u32 %p0|%p2, %r2, %r3, %p1; selp.u32 %r0, 1, 0, %p0; @%p2 add.u32 %r0, %r0, 2;",
        |a, b, c| u32::from(a < b && a < c) + 2 * u32::from(a >= b && a < c),
    );
    check("setp.lt.u32 %p1, %r2, %r4; not.pred %p0, %p1; selp.u32 %r0, 1, 0, %p0;", |a, _, c| (a >= c).into());
    check("slct.u32.s32 %r0, %r2, %r3, %r4;", |a, b, c| if s(c) >= 0 { a } else { b });
    check("testp.subnormal.f32 %p0, %f2; selp.u32 %r0, 1, 0, %p0;", |a, _, _| f32::from_bits(a).is_subnormal().into());
}

#[test]
fn conversions() {
    let f = f32::from_bits;
    check("cvt.rzi.s32.f32 %r0, %f2;", move |a, _, _| f(a) as i32 as u32);
    check("cvt.rni.s32.f32 %r0, %f2;", move |a, _, _| f(a).round_ties_even() as i32 as u32);
    check("cvt.rmi.u32.f32 %r0, %f2;", move |a, _, _| f(a).floor() as u32);
    check_float("cvt.rn.f32.s32 %f0, %r2;", 0, |a, _, _| a.to_bits() as i32 as f32);
    check_float("cvt.rn.f32.u32 %f0, %r2;", 0, |a, _, _| a.to_bits() as f32);
    check_float("cvt.rz.f32.u32 %f0, %r2;", 0, |a, _, _| {
        let near = a.to_bits() as f32;
        if f64::from(near) > f64::from(a.to_bits()) { near.next_down() } else { near }
    });
    check_float("cvt.rpi.f32.f32 %f0, %f2;", 0, |a, _, _| a.ceil());
    check_float("cvt.sat.f32.f32 %f0, %f2;", 0, |a, _, _| if a > 0.0 { a.min(1.0) } else { 0.0 });
    check_wide("cvt.s64.s32 %rd2, %r2;", |a, _| i64::from(a as i32) as u64);
    check_wide("cvt.u64.u32 %rd2, %r2;", |a, _| u64::from(a as u32));
    check("cvt.s32.s8 %r0, %r2;", |a, _, _| i32::from(a as i8) as u32);
    check("cvt.u32.u8 %r0, %r2;", |a, _, _| a & 0xFF);
    check("cvt.sat.s8.s32 %r0, %r2;", |a, _, _| s(a).clamp(-128, 127) as u32);
    check("cvt.sat.u8.s32 %r0, %r2;", |a, _, _| s(a).clamp(0, 255) as u32);
    check("cvt.rn.satfinite.e4m3x2.f32 %h0, %f2, %f3; cvt.u32.u16 %r0, %h0;", move |a, b, _| {
        use rooflint_emulator::number::{E4M3, Rounding};
        let byte = |bits| E4M3.encode(f64::from(f(bits)), Rounding::NearestEven, true);
        byte(a) << 8 | byte(b)
    });
    check("cvt.u16.u32 %h0, %r2; cvt.rn.f16x2.e5m2x2 %r0, %h0;", |a, _, _| {
        // e5m2 is the upper byte of f16, and NaNs are made canonical.
        let half = |byte: u32| if byte & 0x7F > 0x7C { 0x7FFF } else { byte << 8 };
        half(a >> 8 & 0xFF) << 16 | half(a & 0xFF)
    });
    check("cvt.rna.tf32.f32 %r0, %f2;", move |a, _, _| {
        if f(a).is_nan() {
            0x7FFF_E000
        } else if f(a).is_infinite() {
            a
        } else {
            (a + 0x1000) & !0x1FFF
        }
    });
}

#[test]
fn shuffles_and_votes() {
    let lane = |thread: u32| thread & 31;
    let each = |body: &str, f: &dyn Fn(u32) -> u32| {
        let results = words(64, body).unwrap_or_else(|trap| panic!("{body}: {}", trap.why));
        let expected: Vec<u32> = (0..64).map(f).collect();
        assert_eq!(results, expected, "{body}");
    };
    each("shfl.sync.bfly.b32 %r0, %r1, 5, 31, 0xFFFFFFFF;", &|t| t ^ 5);
    each("shfl.sync.idx.b32 %r0, %r1, 3, 31, -1;", &|t| t / 32 * 32 + 3);
    each("shfl.sync.up.b32 %r0|%p0, %r1, 2, 0, -1;", &|t| if lane(t) >= 2 { t - 2 } else { t });
    each("shfl.sync.down.b32 %r2|%p0, %r1, 4, 0x181F, -1; selp.u32 %r0, %r2, 99, %p0;", &|t| {
        // Segments of eight lanes.
        if t % 8 < 4 { t + 4 } else { 99 }
    });
    each("and.b32 %r2, %r1, 3; setp.eq.u32 %p0, %r2, 1; vote.sync.ballot.b32 %r0, %p0, -1;", &|_| 0x2222_2222);
    each("setp.lt.u32 %p0, %r1, 40; vote.sync.all.pred %p1, %p0, -1; selp.u32 %r0, 1, 0, %p1;", &|t| (t < 32).into());
    each("setp.eq.u32 %p0, %r1, 40; vote.sync.any.pred %p1, %p0, -1; selp.u32 %r0, 1, 0, %p1;", &|t| (t >= 32).into());
    each("redux.sync.add.u32 %r0, %r1, -1;", &|t| if t < 32 { 496 } else { 496 + 1024 });
    each("sub.s32 %r2, %r1, 20; redux.sync.min.s32 %r0, %r2, -1;", &|t| if t < 32 { -20i32 as u32 } else { 12 });
    each("shr.u32 %r2, %r1, 2; match.any.sync.b32 %r0, %r2, -1;", &|t| 0xF << (lane(t) / 4 * 4));
    each("elect.sync %r2|%p0, 0xFFFFFFF0; selp.u32 %r0, 7, %r2, %p0;".replace("0xFFFFFFF0", "-1").as_str(), &|t| {
        if lane(t) == 0 { 7 } else { 0 }
    });
    // A part of the warp, under a branch, with its own mask.
    each(
        "and.b32 %r2, %r1, 1; setp.eq.u32 %p0, %r2, 0; @%p0 bra EVEN; activemask.b32 %r0; bra DONE;\n\
         EVEN: shfl.sync.bfly.b32 %r0, %r1, 2, 31, 0x55555555; DONE:",
        &|t| if t % 2 == 0 { t ^ 2 } else { 0xAAAA_AAAA },
    );
}

#[test]
fn branches_meet_again() {
    // Each lane goes round as often as its number says; the shuffle behind the loop needs them all.
    let body = "mov.u32 %r2, 0; and.b32 %r3, %r1, 31;\nLOOP: setp.ge.u32 %p0, %r2, %r3; @%p0 bra OUT;\n\
                add.u32 %r2, %r2, 1; bra LOOP;\nOUT: shfl.sync.idx.b32 %r0, %r2, 31, 31, -1; add.u32 %r0, %r0, %r2;";
    assert_eq!(words(32, body).expect("a result"), (0..32).map(|lane| 31 + lane).collect::<Vec<u32>>());
    // A lane waits for another of its warp, which is behind it.
    let body = "mov.u64 %rd0, buffer; setp.eq.u32 %p0, %r1, 0; @%p0 st.shared.u32 [buffer], 0; bar.warp.sync -1;\n\
                setp.eq.u32 %p1, %r1, 31; @%p1 bra LAST;\n\
                SPIN: ld.volatile.shared.u32 %r2, [buffer]; setp.eq.u32 %p2, %r2, 0; @%p2 bra SPIN; bra DONE;\n\
                LAST: st.volatile.shared.u32 [buffer], 5; mov.u32 %r2, 5;\nDONE: mov.u32 %r0, %r2;";
    assert_eq!(words(32, body).expect("a result"), [5; 32]);
}

#[test]
fn calls_are_put_in_place() {
    let text = ".version 8.0\n.target sm_80\n.address_size 64\n\
        .func (.param .b32 result) twice(.param .b32 x) { .reg .b32 %r<3>; .reg .pred %p; ld.param.u32 %r0, [x];\n\
          setp.lt.u32 %p, %r0, 10; @%p bra SMALL; mov.u32 %r1, 1; st.param.b32 [result+0], %r1; ret;\n\
          SMALL: add.u32 %r1, %r0, %r0; st.param.b32 [result+0], %r1; ret; }\n\
        .visible .entry k(.param .u64 out) { .reg .b32 %r<5>; .reg .b64 %rd<3>; .local .align 4 .b8 frame[8];\n\
          mov.u32 %r0, %tid.x;\n\
          { .param .b32 argument; st.param.b32 [argument+0], %r0; .param .b32 answer;\n\
            call.uni (answer), twice, (argument); ld.param.b32 %r1, [answer+0]; }\n\
          st.local.u32 [frame+4], %r1; ld.local.u32 %r2, [frame+4];\n\
          ld.param.u64 %rd0, [out]; mul.wide.u32 %rd1, %r0, 4; add.s64 %rd2, %rd0, %rd1; st.global.u32 [%rd2], %r2; ret; }";
    let out = Buffer::new(32 * 4);
    run(text, [1, 32], &[&out]).unwrap_or_else(|trap| panic!("{}", trap.why));
    assert_eq!(out.read::<u32>(), (0..32).map(|x| if x < 10 { 2 * x } else { 1 }).collect::<Vec<u32>>());
}

#[test]
fn each_opcode_is_in_the_table_once() {
    for (index, opcode) in OPCODES.iter().enumerate() {
        assert!(opcode.section.starts_with("9.7."), "{}", opcode.name);
        assert!(OPCODES[..index].iter().all(|other| other.name != opcode.name), "{} twice", opcode.name);
    }
}
