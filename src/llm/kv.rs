//! The KV cache: what a token leaves behind for those that follow.

use serde::Serialize;

use super::{Layout, ModelError};

/// The shape of a KV cache. Multi-head attention has as many KV heads as heads, grouped-query
/// attention fewer, multi-query attention one.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct KvShape {
    /// Layers that keep keys and values.
    pub layers: u32,
    /// Heads that have keys and values of their own.
    pub kv_heads: u32,
    /// Values in one key, and in one value vector.
    pub head_dim: u32,
    /// Bytes of one number: 2 for FP16, 1 for FP8 or int8.
    pub bytes_per_value: f64,
}

impl KvShape {
    /// Bytes of one token, kept once: `2 x layers x KV heads x head size x bytes`.
    pub fn bytes_per_token(&self) -> f64 {
        2.0 * f64::from(self.layers) * f64::from(self.kv_heads) * f64::from(self.head_dim) * self.bytes_per_value
    }

    /// Bytes of one token on one GPU: `2 x (layers/p) x max(1, KV heads/t) x head size x bytes`.
    ///
    /// # Errors
    /// [`ModelError`] when the layout does not divide the heads or has more stages than layers.
    pub fn bytes_per_token_per_gpu(&self, layout: Layout) -> Result<f64, ModelError> {
        let layers = layout.layers_per_stage(self.layers)?;
        let heads = layout.kv_heads_per_rank(self.kv_heads)?;
        Ok(2.0 * layers * heads * f64::from(self.head_dim) * self.bytes_per_value)
    }

    /// How often the tensor ranks together keep each KV head: 1 up to as many ranks as heads.
    ///
    /// # Errors
    /// [`ModelError::Indivisible`] when the heads do not divide over the ranks.
    pub fn copies(&self, layout: Layout) -> Result<f64, ModelError> {
        Ok(layout.kv_heads_per_rank(self.kv_heads)? * f64::from(layout.tensor()) / f64::from(self.kv_heads))
    }
}
