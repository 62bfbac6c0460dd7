//! How a model is split over GPUs.

use serde::Serialize;

use super::ModelError;

/// What to do where layers or heads do not divide evenly.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Split {
    /// Heads and layers are whole: heads must divide over the tensor ranks, and the stage with most
    /// layers decides. What a program that runs would do.
    Whole,
    /// Every rank gets its average share, of a layer or of a head too. What an estimate on paper does:
    /// 120 layers over 16 stages are 7.5 each, 84 heads over 8 ranks 10.5.
    Average,
}

/// Ranks among which one replica of a model is split.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Layout {
    tensor: u32,
    pipeline: u32,
    expert: u32,
    split: Split,
}

impl Layout {
    /// One GPU.
    pub const ONE: Self = Self { tensor: 1, pipeline: 1, expert: 1, split: Split::Whole };

    /// A layout of `tensor` times `pipeline` GPUs with whole heads and layers.
    ///
    /// # Errors
    /// [`ModelError::Number`] when either is zero.
    pub fn new(tensor: u32, pipeline: u32) -> Result<Self, ModelError> {
        Self { tensor, pipeline, expert: 1, split: Split::Whole }.checked()
    }

    /// The same with the experts of a layer spread over `expert` ranks, each of which has the whole of
    /// the rest and its own tokens.
    ///
    /// # Errors
    /// [`ModelError::Number`] when it is zero.
    pub fn with_expert(self, expert: u32) -> Result<Self, ModelError> {
        Self { expert, ..self }.checked()
    }

    /// The same with average shares where heads or layers do not divide.
    pub fn averaged(self) -> Self {
        Self { split: Split::Average, ..self }
    }

    fn checked(self) -> Result<Self, ModelError> {
        let ranks = [("tensor ranks", self.tensor), ("pipeline stages", self.pipeline), ("expert ranks", self.expert)];
        match ranks.into_iter().find(|(_, count)| *count == 0) {
            Some((what, _)) => Err(ModelError::Number { what, value: 0, must: "at least 1".to_owned() }),
            None => {
                let gpus: u128 = ranks.iter().map(|(_, count)| u128::from(*count)).product();
                let must = format!("at most {}", u32::MAX);
                let what = "the product of all ranks";
                let value = u64::try_from(gpus).unwrap_or(u64::MAX);
                if gpus > u128::from(u32::MAX) { Err(ModelError::Number { what, value, must }) } else { Ok(self) }
            }
        }
    }

    /// Ranks that share each matrix.
    pub const fn tensor(self) -> u32 {
        self.tensor
    }

    /// Stages that share the layers.
    pub const fn pipeline(self) -> u32 {
        self.pipeline
    }

    /// Ranks that share the experts of a layer.
    pub const fn expert(self) -> u32 {
        self.expert
    }

    /// What happens where shares are uneven.
    pub const fn split(self) -> Split {
        self.split
    }

    /// GPUs of one replica.
    pub const fn gpus(self) -> u32 {
        self.tensor * self.pipeline * self.expert
    }

    /// Layers of the stage that has most, or of the average stage.
    ///
    /// # Errors
    /// [`ModelError::Number`] with more stages than layers.
    pub fn layers_per_stage(self, layers: u32) -> Result<f64, ModelError> {
        if self.pipeline > layers {
            let must = format!("at most the {layers} layers");
            return Err(ModelError::Number { what: "pipeline stages", value: u64::from(self.pipeline), must });
        }
        Ok(match self.split {
            Split::Whole => f64::from(layers.div_ceil(self.pipeline)),
            Split::Average => f64::from(layers) / f64::from(self.pipeline),
        })
    }

    /// Heads of one tensor rank. KV heads are copied once ranks outnumber them, so that every rank has
    /// at least one.
    ///
    /// # Errors
    /// [`ModelError::Indivisible`] for whole shares that do not divide.
    pub fn kv_heads_per_rank(self, kv_heads: u32) -> Result<f64, ModelError> {
        let whole = match kv_heads >= self.tensor {
            true => kv_heads.is_multiple_of(self.tensor),
            false => kv_heads > 0 && self.tensor.is_multiple_of(kv_heads),
        };
        if self.split == Split::Whole && !whole {
            return Err(ModelError::indivisible("KV heads", kv_heads, self.tensor, "tensor ranks"));
        }
        Ok((f64::from(kv_heads) / f64::from(self.tensor)).max(1.0))
    }
}
