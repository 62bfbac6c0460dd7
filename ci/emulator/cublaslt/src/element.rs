//! Formats of elements and of arithmetic, through `f64`, which holds each of their values.

use crate::number::{BF16, E4M3, E5M2, F16, Format, Rounding, TF32};
use crate::status::{Answer, NOT_SUPPORTED, refuse};

/// A format of matrix elements or scalars: `cudaDataType_t`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Element {
    F64,
    F32,
    F16,
    Bf16,
    E4m3,
    E5m2,
    I8,
    I32,
}

impl Element {
    pub fn of(number: u64) -> Answer<Self> {
        Ok(match number {
            0 => Self::F32,
            1 => Self::F64,
            2 => Self::F16,
            3 => Self::I8,
            10 => Self::I32,
            14 => Self::Bf16,
            28 => Self::E4m3,
            29 => Self::E5m2,
            _ => return refuse(NOT_SUPPORTED, format!("data type {number} is not offered here")),
        })
    }

    pub fn bytes(self) -> usize {
        match self {
            Self::F64 => 8,
            Self::F32 | Self::I32 => 4,
            Self::F16 | Self::Bf16 => 2,
            Self::E4m3 | Self::E5m2 | Self::I8 => 1,
        }
    }

    pub fn is_fp8(self) -> bool {
        matches!(self, Self::E4m3 | Self::E5m2)
    }

    /// The value of the low bits.
    pub fn decode(self, bits: u64) -> f64 {
        match self {
            Self::F64 => f64::from_bits(bits),
            Self::F32 => f64::from(f32::from_bits(bits as u32)),
            Self::F16 => F16.decode(bits as u32),
            Self::Bf16 => BF16.decode(bits as u32),
            Self::E4m3 => E4M3.decode(bits as u32),
            Self::E5m2 => E5M2.decode(bits as u32),
            Self::I8 => f64::from(bits as u8 as i8),
            Self::I32 => f64::from(bits as u32 as i32),
        }
    }

    /// The bits of a value, rounded to nearest. Of FP8 and integers the largest stands for all that is larger.
    pub fn encode(self, value: f64) -> u64 {
        let narrow = |format: Format, finite| u64::from(format.encode(value, Rounding::NearestEven, finite));
        match self {
            Self::F64 => value.to_bits(),
            Self::F32 => u64::from((value as f32).to_bits()),
            Self::F16 => narrow(F16, false),
            Self::Bf16 => narrow(BF16, false),
            Self::E4m3 => narrow(E4M3, true),
            Self::E5m2 => narrow(E5M2, true),
            Self::I8 => u64::from(value.round_ties_even() as i8 as u8),
            Self::I32 => u64::from(value.round_ties_even() as i32 as u32),
        }
    }
}

/// What is computed with: `cublasComputeType_t`, of which the pedantic ones are taken as the others.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Compute {
    F16,
    F32,
    /// Elements of 32 bits are rounded before they are multiplied.
    Rounded(Format),
    F64,
    I32,
}

impl Compute {
    pub fn of(number: u64) -> Answer<Self> {
        Ok(match number {
            64 | 65 => Self::F16,
            68 | 69 => Self::F32,
            70 | 71 => Self::F64,
            72 | 73 => Self::I32,
            74 => Self::Rounded(F16),
            75 => Self::Rounded(BF16),
            77 => Self::Rounded(TF32),
            _ => return refuse(NOT_SUPPORTED, format!("compute type {number} is not offered here")),
        })
    }

    /// A value as the multipliers take it.
    pub fn input(self, value: f64) -> f64 {
        match self {
            Self::Rounded(format) => format.decode(format.encode(value, Rounding::NearestEven, false)),
            _ => value,
        }
    }
}
