//! Fundamental, alternate and packed types. PTX ISA 5.2.

/// The type a register, variable or instruction is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Type {
    U8,
    U16,
    U32,
    U64,
    S8,
    S16,
    S32,
    S64,
    B8,
    B16,
    B32,
    B64,
    B128,
    F16,
    F16x2,
    Bf16,
    Bf16x2,
    Tf32,
    E4m3,
    E5m2,
    E4m3x2,
    E5m2x2,
    F32,
    F64,
    Pred,
}

use Type::*;

const NAMES: &[(&str, Type)] = &[
    ("u8", U8),
    ("u16", U16),
    ("u32", U32),
    ("u64", U64),
    ("s8", S8),
    ("s16", S16),
    ("s32", S32),
    ("s64", S64),
    ("b8", B8),
    ("b16", B16),
    ("b32", B32),
    ("b64", B64),
    ("b128", B128),
    ("f16", F16),
    ("f16x2", F16x2),
    ("bf16", Bf16),
    ("bf16x2", Bf16x2),
    ("tf32", Tf32),
    ("e4m3", E4m3),
    ("e5m2", E5m2),
    ("e4m3x2", E4m3x2),
    ("e5m2x2", E5m2x2),
    ("f32", F32),
    ("f64", F64),
    ("pred", Pred),
];

impl Type {
    /// The type named, without its dot.
    pub fn named(name: &str) -> Option<Type> {
        NAMES.iter().find(|(word, _)| *word == name).map(|(_, ty)| *ty)
    }

    pub fn bits(self) -> u32 {
        match self {
            U8 | S8 | B8 | E4m3 | E5m2 => 8,
            U16 | S16 | B16 | F16 | Bf16 | E4m3x2 | E5m2x2 => 16,
            U32 | S32 | B32 | F16x2 | Bf16x2 | Tf32 | F32 => 32,
            U64 | S64 | B64 | F64 => 64,
            B128 => 128,
            Pred => 1,
        }
    }

    pub fn bytes(self) -> usize {
        (self.bits() as usize).div_ceil(8)
    }

    pub fn signed(self) -> bool {
        matches!(self, S8 | S16 | S32 | S64)
    }

    /// Whether a number literal given for it is a floating-point one.
    pub fn float(self) -> bool {
        matches!(self, F16 | Bf16 | Tf32 | F32 | F64)
    }

    pub fn integer(self) -> bool {
        matches!(self, U8 | U16 | U32 | U64 | S8 | S16 | S32 | S64 | B8 | B16 | B32 | B64)
    }
}

/// Keeps the low `bits` bits of a value.
pub fn truncate(value: u64, bits: u32) -> u64 {
    if bits >= 64 { value } else { value & ((1 << bits) - 1) }
}

/// Extends a value of `bits` bits by its sign.
pub fn sign_extend(value: u64, bits: u32) -> u64 {
    let unused = 64 - bits.min(64);
    ((value << unused) as i64 >> unused) as u64
}
