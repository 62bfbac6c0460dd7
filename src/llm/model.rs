//! The shape of a transformer, as its configuration states it.

use serde::{Deserialize, Serialize};

use super::{KvShape, ModelError};

/// A decoder-only transformer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Model {
    /// What a user types: `llama_2_7b`.
    pub id: String,
    /// Its name in print.
    pub name: String,
    /// Where the shape comes from.
    pub source: String,
    /// What is assumed and not published; absent where the shape is published.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub assumed: Option<String>,
    /// Transformer blocks.
    pub layers: u32,
    /// Width of the residual stream.
    pub hidden: u32,
    /// Query heads.
    pub heads: u32,
    /// Heads with keys and values of their own: `heads` (multi-head), fewer (grouped-query) or 1 (multi-query).
    pub kv_heads: u32,
    /// Values per head.
    pub head_dim: u32,
    /// Inner width of the MLP, of one expert where there are experts.
    pub intermediate: u32,
    /// Whether the MLP has a gate: three matrices instead of two.
    pub gated: bool,
    /// Rows of the embedding; 0 where a claim does not count one.
    pub vocab: u32,
    /// Whether input embedding and output head are one matrix.
    pub tied: bool,
    /// How positions enter.
    pub positions: Positions,
    /// Which linear layers have a bias.
    pub bias: Bias,
    /// Kind of normalisation, two a layer and one at the end.
    pub norm: Norm,
    /// Whether the embedding is normalised too.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub embedding_norm: bool,
    /// Whether queries and keys are normalised per head.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub qk_norm: bool,
    /// Most tokens an attention layer looks back, where that is limited.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub window: Option<u32>,
    /// The mixture of experts in place of every MLP, if there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub experts: Option<Experts>,
    /// Longest context it was made for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub context: Option<u32>,
    /// The published number of parameters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub published: Option<Published>,
}

/// How positions enter a model.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Positions {
    /// By rotation or by a fixed bias: no parameters.
    Fixed,
    /// A projection of relative positions in every layer, hidden by heads times head size (Transformer-XL).
    Relative,
    /// A learned row for each position, this many.
    Learned(u32),
}

/// Which linear layers have a bias.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Bias {
    /// None.
    Nowhere,
    /// Queries, keys and values.
    Qkv,
    /// Every layer's linear layers; the head has none.
    Everywhere,
}

/// Kind of normalisation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Norm {
    /// Gain only.
    Rms,
    /// Gain and bias.
    Layer,
}

/// A mixture of experts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Experts {
    /// Experts of a layer.
    pub count: u32,
    /// Those a token is sent to.
    pub routed: u32,
}

/// A published number of parameters.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Published {
    /// The number.
    pub parameters: f64,
    /// Half a unit of its last digit, as a share of it; 0 where the exact count is published.
    pub rounding: f64,
}

/// A model's parameters, as its serving cost sees them.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Weights {
    /// Parameters that every token reads.
    pub shared: f64,
    /// Those that only routed tokens read.
    pub experts: Option<ExpertWeights>,
}

/// Expert parameters, over all layers.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct ExpertWeights {
    /// Experts of a layer.
    pub count: u32,
    /// Those a token is sent to.
    pub routed: u32,
    /// Parameters of one expert of every layer, together.
    pub each: f64,
}

impl Weights {
    /// A dense model's.
    pub fn dense(parameters: f64) -> Self {
        Self { shared: parameters, experts: None }
    }

    /// A mixture's.
    pub fn mixture(shared: f64, count: u32, routed: u32, each: f64) -> Self {
        Self { shared, experts: Some(ExpertWeights { count, routed, each }) }
    }

    /// All parameters.
    pub fn total(&self) -> f64 {
        self.shared + self.experts.map_or(0.0, |experts| f64::from(experts.count) * experts.each)
    }

    /// Parameters that one token reads.
    pub fn active(&self) -> f64 {
        self.shared + self.experts.map_or(0.0, |experts| f64::from(experts.routed) * experts.each)
    }
}

impl Model {
    /// The model, if its numbers make one.
    ///
    /// # Errors
    /// [`ModelError::Number`] for a count of zero, [`ModelError::Indivisible`] for KV heads that do not divide
    /// the heads.
    pub fn checked(self) -> Result<Self, ModelError> {
        let counts = [
            ("layers", self.layers),
            ("hidden", self.hidden),
            ("heads", self.heads),
            ("kv_heads", self.kv_heads),
            ("head_dim", self.head_dim),
            ("intermediate", self.intermediate),
        ];
        if let Some((what, _)) = counts.into_iter().find(|(_, count)| *count == 0) {
            return Err(ModelError::Number { what, value: 0, must: "at least 1".to_owned() });
        }
        if self.kv_heads > self.heads || !self.heads.is_multiple_of(self.kv_heads) {
            return Err(ModelError::indivisible("heads", self.heads, self.kv_heads, "kv_heads"));
        }
        self.check_size()?;
        match self.experts {
            Some(experts) if experts.routed == 0 || experts.routed > experts.count => Err(ModelError::Number {
                what: "routed",
                value: experts.routed.into(),
                must: format!("at least 1 and at most the {} experts", experts.count),
            }),
            _ => Ok(self),
        }
    }

    /// Fails for a model whose parameters could not be counted in 64 bits.
    fn check_size(&self) -> Result<(), ModelError> {
        const MOST: f64 = (1_u64 << 60) as f64;
        let too_large = |what, value: u32| {
            let must = "of a size that a model can have: fewer than 2^60 parameters in all".to_owned();
            Err(ModelError::Number { what, value: value.into(), must })
        };
        let width = u64::from(self.heads) * u64::from(self.head_dim);
        if width > u64::from(u32::MAX) / 4 {
            return too_large("head_dim", self.head_dim);
        }
        let widest = (3 * width).max(2 * u64::from(self.intermediate)) as f64;
        let experts = f64::from(self.experts.map_or(1, |experts| experts.count.max(1)));
        let tables = match self.positions {
            Positions::Learned(rows) => f64::from(rows),
            _ => 0.0,
        } + 2.0 * f64::from(self.vocab);
        // Fewer than eight matrices a layer, each at most hidden by widest.
        let bound = f64::from(self.hidden) * (8.0 * f64::from(self.layers) * experts * (widest + experts) + tables);
        if bound < MOST { Ok(()) } else { too_large("hidden", self.hidden) }
    }

    /// The same model with another number of KV heads: an axis where a claim leaves it open.
    ///
    /// # Errors
    /// As [`Self::checked`].
    pub fn with_kv_heads(self, kv_heads: u32) -> Result<Self, ModelError> {
        Self { kv_heads, ..self }.checked()
    }

    /// Its KV cache, at `bytes_per_value` bytes a number.
    pub fn kv(&self, bytes_per_value: f64) -> KvShape {
        KvShape { layers: self.layers, kv_heads: self.kv_heads, head_dim: self.head_dim, bytes_per_value }
    }

    /// Heads times head size: the width of attention.
    pub fn attention_width(&self) -> u32 {
        self.heads * self.head_dim
    }
}
