//! Descriptors: attributes of fixed sizes, kept as they were given. What they mean together is asked when they are used,
//! as by the real library, which takes any value of the right size.

use std::collections::BTreeMap;

use crate::status::{Answer, INVALID_VALUE, require};

/// What a descriptor describes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// `cublasLtMatrixLayout_t`
    Layout,
    /// `cublasLtMatmulDesc_t`
    Operation,
    /// `cublasLtMatmulPreference_t`
    Preference,
}

/// Numbers of `cublasLtMatrixLayoutAttribute_t`.
pub mod layout {
    pub const TYPE: u32 = 0;
    pub const ORDER: u32 = 1;
    pub const ROWS: u32 = 2;
    pub const COLS: u32 = 3;
    pub const LD: u32 = 4;
    pub const BATCH_COUNT: u32 = 5;
    pub const PLANE_OFFSET: u32 = 7;
    pub const BATCH_MODE: u32 = 8;
}

/// Numbers of `cublasLtMatmulDescAttributes_t`.
pub mod operation {
    pub const COMPUTE_TYPE: u32 = 0;
    pub const SCALE_TYPE: u32 = 1;
    pub const POINTER_MODE: u32 = 2;
    pub const TRANSA: u32 = 3;
    pub const TRANSB: u32 = 4;
    pub const TRANSC: u32 = 5;
    pub const FILL_MODE: u32 = 6;
    pub const EPILOGUE: u32 = 7;
    pub const A_SCALE_POINTER: u32 = 17;
    pub const B_SCALE_POINTER: u32 = 18;
    pub const C_SCALE_POINTER: u32 = 19;
    pub const D_SCALE_POINTER: u32 = 20;
    pub const AMAX_D_POINTER: u32 = 21;
    pub const FAST_ACCUM: u32 = 25;
    /// Of A, B, C, D and the auxiliary matrix.
    pub const SCALE_MODES: std::ops::RangeInclusive<u32> = 31..=35;
}

/// Numbers of `cublasLtMatmulPreferenceAttributes_t`.
pub mod preference {
    pub const SEARCH_MODE: u32 = 0;
    pub const MAX_WORKSPACE_BYTES: u32 = 1;
    pub const REDUCTION_SCHEME_MASK: u32 = 3;
    /// Of A; those of B, C and D follow.
    pub const MIN_ALIGNMENT_A_BYTES: u32 = 5;
    pub const MAX_WAVES_COUNT: u32 = 9;
    pub const IMPL_MASK: u32 = 12;
}

/// Bytes of an attribute, measured on release 13.10 where its header and its behaviour differ. None: there is no such
/// attribute.
fn size(kind: Kind, attribute: u32) -> Option<usize> {
    Some(match (kind, attribute) {
        (Kind::Layout, 0 | 1 | 5 | 8 | 12 | 13) => 4,
        (Kind::Layout, 2..=4 | 6 | 7 | 9..=11) => 8,
        (Kind::Operation, 0..=7 | 15 | 16 | 22 | 26 | 31..=35 | 37 | 41) => 4,
        (Kind::Operation, 8 | 10..=14 | 17..=21 | 23 | 24 | 36 | 38..=40) => 8,
        (Kind::Operation, operation::FAST_ACCUM) => 1,
        (Kind::Preference, 0 | 3 | 5..=9) => 4,
        (Kind::Preference, 1 | 12..=15) => 8,
        _ => return None,
    })
}

/// What holds until an attribute is set.
fn default(kind: Kind, attribute: u32) -> u64 {
    match (kind, attribute) {
        (Kind::Layout, layout::BATCH_COUNT) => 1,
        // CUBLAS_FILL_MODE_FULL, CUBLASLT_EPILOGUE_DEFAULT
        (Kind::Operation, operation::FILL_MODE) => 2,
        (Kind::Operation, operation::EPILOGUE) => 1,
        (Kind::Preference, preference::REDUCTION_SCHEME_MASK) => 7,
        (Kind::Preference, 5..=8) => 256,
        (Kind::Preference, preference::IMPL_MASK) => u64::MAX,
        _ => 0,
    }
}

#[derive(Clone, Debug)]
pub struct Descriptor {
    pub kind: Kind,
    /// The bytes given, zeros above them.
    values: BTreeMap<u32, u64>,
}

impl Descriptor {
    pub fn new(kind: Kind, values: &[(u32, u64)]) -> Self {
        Self { kind, values: values.iter().copied().collect() }
    }

    /// Sets an attribute, whose size must be right.
    pub fn set(&mut self, attribute: u32, bytes: &[u8]) -> Answer {
        let (expected, given) = (size(self.kind, attribute), bytes.len());
        let why = format!("{:?}: attribute {attribute} has {expected:?} bytes, not {given}", self.kind);
        require(expected == Some(given), INVALID_VALUE, why)?;
        let mut word = [0; 8];
        word[..given].copy_from_slice(bytes);
        self.values.insert(attribute, u64::from_le_bytes(word));
        Ok(())
    }

    pub fn get(&self, attribute: u32) -> u64 {
        self.values.get(&attribute).copied().unwrap_or_else(|| default(self.kind, attribute))
    }
}
