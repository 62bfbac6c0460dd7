//! The numbers of a decode step: which buffer holds what, the same on the device and in the reference.
//!
//! Matrices are evenly spread over [-1, 1) and stored `[k, n]`, rows of what goes in. The gains of the norms carry the
//! scale: about `sqrt(3 / hidden)`, so that products come out of size 1. Every buffer's data
//! depends on the seed, its kind and its layer alone, not on batch or context, so that all cases of a model share them.

use crate::device::Pattern;
use crate::llm::{DecodeShape, Norm};
use crate::record::{Case, Precision};
use crate::suite::Stop;
use crate::suite::check::seed_of;

/// A matrix, a table, or a cache.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Large {
    /// The embedding, `[vocab, hidden]`.
    Table,
    /// Learned positions, `[positions, hidden]`.
    Positions,
    /// The head, `[hidden, vocab]`.
    Head,
    /// What comes from the stage before, `[batch, hidden]`.
    Entry,
    /// Products of a layer, by their order: qkv, attention_output, mlp_up, mlp_down.
    Matrix(u64, usize),
    /// Keys of a layer, as they lie in the cache.
    Keys(u64),
    /// Values of a layer.
    Values(u64),
}

/// A vector that is as long as a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Small {
    /// Of the norm behind the embedding.
    EntryGain,
    /// Likewise.
    EntryShift,
    /// Of the last norm.
    FinalGain,
    /// Likewise.
    FinalShift,
    /// Of a layer's norms: before attention, before the MLP.
    Gain(u64, usize),
    /// Likewise.
    Shift(u64, usize),
    /// Of a layer's products.
    Bias(u64, usize),
}

/// A buffer that is kept from case to case.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Tensor {
    Large(Large),
    Small(Small),
}

/// A layer's products in order.
pub(super) const PRODUCTS: [&str; 4] = ["qkv", "attention_output", "mlp_up", "mlp_down"];

/// The numbers of a model's share.
#[derive(Debug, Clone)]
pub(super) struct Numbers {
    /// The share.
    pub shape: DecodeShape,
    /// What all of it is stored as.
    pub precision: Precision,
    seed: Case,
}

/// Seeds of a layer.
const LAYER: u64 = 32;
/// The first of them.
const LAYERS: u64 = 64;

impl Numbers {
    pub fn new(shape: DecodeShape, precision: Precision, case: &Case) -> Self {
        Self { shape, precision, seed: Case::new("decode", [], case.seed) }
    }

    /// What a large buffer is filled with.
    ///
    /// # Errors
    /// [`Stop::Skip`] in a format without filling.
    pub fn pattern(&self, large: Large) -> Result<Pattern, Stop> {
        let stream = match large {
            Large::Table => 1,
            Large::Positions => 2,
            Large::Head => 3,
            Large::Entry => 4,
            Large::Matrix(layer, product) => LAYERS + layer * LAYER + product as u64,
            Large::Keys(layer) => LAYERS + layer * LAYER + 8,
            Large::Values(layer) => LAYERS + layer * LAYER + 9,
        };
        let unknown = || Stop::Skip(format!("there is no filling for {}", self.precision));
        Pattern::uniform(self.precision, seed_of(&self.seed, stream)).ok_or_else(unknown)
    }

    /// How many numbers a kept buffer has; 0 where the model has no such buffer.
    pub fn count(&self, tensor: Tensor) -> u64 {
        let shape = &self.shape;
        match tensor {
            Tensor::Large(Large::Table) if shape.embeds => shape.vocab * shape.hidden,
            Tensor::Large(Large::Positions) if shape.embeds => shape.positions * shape.hidden,
            Tensor::Large(Large::Head) => shape.vocab * shape.hidden,
            Tensor::Large(Large::Matrix(_, product)) => {
                shape.product(PRODUCTS[product]).map_or(0, |product| product.n * product.k)
            }
            Tensor::Large(_) => 0,
            Tensor::Small(small) => self.length(small),
        }
    }

    /// A small vector, as binary64 numbers of the stored format.
    pub fn vector(&self, small: Small) -> Vec<f64> {
        let stream = match small {
            Small::EntryGain => 5,
            Small::EntryShift => 6,
            Small::FinalGain => 7,
            Small::FinalShift => 8,
            Small::Gain(layer, norm) => LAYERS + layer * LAYER + 16 + norm as u64,
            Small::Shift(layer, norm) => LAYERS + layer * LAYER + 20 + norm as u64,
            Small::Bias(layer, product) => LAYERS + layer * LAYER + 24 + product as u64,
        };
        let uniform = Pattern::Uniform { precision: Precision::F32, seed: seed_of(&self.seed, stream) };
        let scale = (3.0 / self.shape.hidden as f64).sqrt();
        let number = |index: u64| {
            let uniform = f64::from(uniform.f32_at(index));
            round(
                self.precision,
                match small {
                    // Between a half and one and a half: none is left out, none is another's.
                    Small::EntryGain | Small::FinalGain | Small::Gain(..) => scale * (1.0 + uniform / 2.0),
                    Small::EntryShift | Small::FinalShift | Small::Shift(..) => scale * uniform / 4.0,
                    Small::Bias(..) => uniform,
                },
            )
        };
        (0..self.length(small)).map(number).collect()
    }

    fn length(&self, small: Small) -> u64 {
        let shape = &self.shape;
        let layer_norm = shape.norm == Norm::Layer;
        match small {
            Small::EntryGain if shape.embedding_norm && shape.embeds => shape.hidden,
            Small::EntryShift if shape.embedding_norm && shape.embeds && layer_norm => shape.hidden,
            Small::EntryGain | Small::EntryShift => 0,
            Small::FinalGain | Small::Gain(..) => shape.hidden,
            Small::FinalShift | Small::Shift(..) => {
                if layer_norm {
                    shape.hidden
                } else {
                    0
                }
            }
            Small::Bias(_, product) => {
                let id = PRODUCTS[product];
                if shape.has_bias(id) { shape.product(id).map_or(0, |product| product.n) } else { 0 }
            }
        }
    }

    /// The token of a sequence.
    pub fn token(&self, row: u64) -> u32 {
        let words = Pattern::Words { seed: seed_of(&self.seed, 9) };
        (u64::from(words.word(row)) % self.shape.vocab.max(1)) as u32
    }

    /// Cosine and sine of every pair of a head at a position.
    pub fn angles(&self, position: u64) -> Vec<(f64, f64)> {
        const BASE: f64 = 10_000.0;
        let dim = self.shape.head_dim;
        let angle = |pair: u64| position as f64 * BASE.powf(-2.0 * pair as f64 / dim as f64);
        let pair = |pair: u64| {
            let (sine, cosine) = angle(pair).sin_cos();
            (f64::from(cosine as f32), f64::from(sine as f32))
        };
        (0..dim / 2).map(pair).collect()
    }
}

/// The number of a format nearest to `number`.
pub(super) fn round(precision: Precision, number: f64) -> f64 {
    match precision {
        Precision::F16 => half::f16::from_f64(number).to_f64(),
        Precision::Bf16 => half::bf16::from_f64(number).to_f64(),
        _ => f64::from(number as f32),
    }
}

/// The bytes of numbers as a format stores them.
pub(super) fn stored(precision: Precision, numbers: &[f64]) -> Vec<u8> {
    let each = |number: &f64| match precision {
        Precision::F16 => half::f16::from_f64(*number).to_le_bytes().to_vec(),
        Precision::Bf16 => half::bf16::from_f64(*number).to_le_bytes().to_vec(),
        _ => (*number as f32).to_le_bytes().to_vec(),
    };
    numbers.iter().flat_map(each).collect()
}

/// The numbers that bytes of a format hold.
pub(in crate::suite) fn loaded(precision: Precision, bytes: &[u8]) -> Vec<f64> {
    let half = |bytes: &[u8; 2]| u16::from_le_bytes(*bytes);
    match precision {
        Precision::F16 => bytes.as_chunks().0.iter().map(|b| half::f16::from_bits(half(b)).to_f64()).collect(),
        Precision::Bf16 => bytes.as_chunks().0.iter().map(|b| half::bf16::from_bits(half(b)).to_f64()).collect(),
        _ => bytes.as_chunks().0.iter().map(|b| f64::from(f32::from_le_bytes(*b))).collect(),
    }
}

/// Where the tokens of sequences lie in a cache's buffer.
#[derive(Debug, Clone, Copy)]
pub(in crate::suite) struct Pages {
    /// Tokens of a page.
    pub page: u64,
    /// Pages of a sequence.
    pub each: u64,
    /// Whether pages are shuffled, as a server's are that came and went.
    pub shuffled: bool,
    /// Sequences.
    pub batch: u64,
}

/// The prime nearest to 2^64 over the golden ratio: larger than any number of pages, and far from a simple part of one.
const STRIDE: u64 = 11_400_714_819_323_198_549;

impl Pages {
    /// The cache of `batch` sequences with `context` tokens, in pages of `page`, or whole where that is 0.
    pub fn new(batch: u64, context: u64, page: u64) -> Self {
        match page {
            0 => Self { page: context.next_multiple_of(16), each: 1, shuffled: false, batch },
            page => Self { page, each: context.div_ceil(page), shuffled: true, batch },
        }
    }

    /// The page that holds the `index`-th page of a sequence: a walk over all pages by a prime stride, which meets each once.
    pub fn number(&self, sequence: u64, index: u64) -> u64 {
        let (all, place) = (self.batch * self.each, sequence * self.each + index);
        if !self.shuffled {
            return place;
        }
        (u128::from(place) * u128::from(STRIDE) % u128::from(all)) as u64
    }

    /// The first number of a token's vector in the keys or values of a layer.
    pub fn vector(&self, kv_heads: u64, head_dim: u64, sequence: u64, kv_head: u64, token: u64) -> u64 {
        let page = self.number(sequence, token / self.page);
        ((page * kv_heads + kv_head) * self.page + token % self.page) * head_dim
    }

    /// Numbers of a layer's keys, or values.
    pub fn numbers(&self, kv_heads: u64, head_dim: u64) -> u64 {
        self.batch * self.each * self.page * kv_heads * head_dim
    }
}
