//! One step of decoding on one GPU's share of a dense model: its operations in order, with the numbers they read and write.
//!
//! Tensor ranks share heads, MLP columns and the vocabulary (Megatron-LM, arXiv:1909.08053, section 3); KV heads are copied
//! where there are fewer than ranks. Pipeline stages share layers, and the share is that of the fullest stage, the last:
//! it has the head, and with several stages no embedding. What passes between GPUs is no part of it.

use super::{Bias, Layout, Model, ModelError, Norm, Positions, Product};

/// Sizes of a GPU's share of a model.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DecodeShape {
    /// Layers of the share, or as many of them as are asked for.
    pub layers: u64,
    /// Layers of the whole share.
    pub share_layers: u64,
    /// Width of the residual stream.
    pub hidden: u64,
    /// Query heads.
    pub heads: u64,
    /// KV heads.
    pub kv_heads: u64,
    /// Numbers of a head.
    pub head_dim: u64,
    /// Inner width of the MLP.
    pub inner: u64,
    /// Whether the MLP has a gate.
    pub gated: bool,
    /// Rows of the embedding and columns of the head, padded to whole packs; 0 without them.
    pub vocab: u64,
    /// Whether the share begins with the embedding.
    pub embeds: bool,
    /// Rows of learned positions; 0 where positions are rotations.
    pub positions: u64,
    /// Whether the embedding is normalised.
    pub embedding_norm: bool,
    /// Kind of normalisation.
    pub norm: Norm,
    /// Which linear layers have a bias.
    pub bias: Bias,
    /// Most tokens that attention looks back.
    pub window: Option<u64>,
    products: Vec<Product>,
}

/// An operation of a step, each time it occurs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DecodeOperation {
    /// `embedding`, `embedding_norm`, `attention_norm`, `qkv`, `rotate`, `attention`, `attention_output`, `mlp_norm`,
    /// `mlp_up`, `activation`, `mlp_down`, `final_norm`, `head`.
    pub id: &'static str,
    /// How often it occurs.
    pub instances: u64,
    /// Operations of matrix products and attention, two per multiply-add.
    pub flop: u64,
    /// Parameters read.
    pub weights: u64,
    /// Numbers of keys and values read.
    pub kv_read: u64,
    /// Numbers of keys and values written.
    pub kv_written: u64,
}

impl DecodeShape {
    /// The share of one of `tensor` times `pipeline` GPUs; of its layers only the first `layers`, where given.
    ///
    /// # Errors
    /// [`ModelError::Indivisible`] and [`ModelError::Number`] for a layout or a number of layers that the model does not
    /// allow; [`ModelError::Undecodable`] for a model with experts, relative positions, normalised queries or sizes that are
    /// no multiples of 8.
    pub fn new(model: &Model, tensor: u32, pipeline: u32, layers: Option<u64>) -> Result<Self, ModelError> {
        let undecodable = |why: &str| ModelError::Undecodable { id: model.id.clone(), why: why.to_owned() };
        if model.experts.is_some() {
            return Err(undecodable("it has experts, and only dense models are measured"));
        }
        if model.positions == Positions::Relative {
            return Err(undecodable("its positions are relative (Transformer-XL), for which there is no kernel"));
        }
        if model.qk_norm {
            return Err(undecodable("it normalises queries and keys, for which there is no kernel"));
        }
        let layout = Layout::new(tensor, pipeline)?;
        let products = model.products(tensor)?;
        let share_layers = layout.layers_per_stage(model.layers)? as u64;
        let layers = layers.unwrap_or(share_layers);
        if layers == 0 || layers > share_layers {
            let must = format!("at least 1 and at most the {share_layers} of this share");
            return Err(ModelError::Number { what: "layers", value: layers, must });
        }
        let ranks = u64::from(tensor);
        let shape = Self {
            layers,
            share_layers,
            hidden: model.hidden.into(),
            heads: u64::from(model.heads) / ranks,
            kv_heads: layout.kv_heads_per_rank(model.kv_heads)? as u64,
            head_dim: model.head_dim.into(),
            inner: u64::from(model.intermediate) / ranks,
            gated: model.gated,
            vocab: products.iter().find(|product| product.id == "head").map_or(0, |product| product.n),
            embeds: model.vocab > 0 && pipeline == 1,
            positions: match model.positions {
                Positions::Learned(rows) => rows.into(),
                _ => 0,
            },
            embedding_norm: model.embedding_norm,
            norm: model.norm,
            bias: model.bias,
            window: model.window.map(u64::from),
            products,
        };
        let sizes = [("hidden", shape.hidden), ("head_dim", shape.head_dim), ("intermediate", shape.inner)];
        match sizes.into_iter().find(|(_, size)| !size.is_multiple_of(8)) {
            Some((what, size)) => Err(undecodable(&format!("{what} is {size} on a GPU, and no multiple of 8"))),
            None => Ok(shape),
        }
    }

    /// The products of a layer, and the head's.
    pub fn products(&self) -> &[Product] {
        &self.products
    }

    /// A product's columns and rows of its matrix: what comes out and what goes in.
    pub fn product(&self, id: &str) -> Option<Product> {
        self.products.iter().copied().find(|product| product.id == id)
    }

    /// Tokens that attention reads with `context` tokens of a sequence, the newest among them.
    pub fn seen(&self, context: u64) -> u64 {
        self.window.map_or(context, |window| context.min(window))
    }

    /// Whether a product has a bias.
    pub fn has_bias(&self, id: &str) -> bool {
        match self.bias {
            Bias::Nowhere => false,
            Bias::Qkv => id == "qkv",
            Bias::Everywhere => id != "head",
        }
    }

    /// Parameters of a norm.
    fn norm_size(&self) -> u64 {
        if self.norm == Norm::Layer { 2 * self.hidden } else { self.hidden }
    }

    /// Parameters of a product: matrix and bias.
    fn matrix(&self, id: &str) -> u64 {
        self.product(id).map_or(0, |product| product.n * product.k + if self.has_bias(id) { product.n } else { 0 })
    }

    /// Parameters that the measured layers and both ends hold. An embedding and a head that are one matrix count twice:
    /// one is read by rows, the other by columns, and kept so.
    pub fn parameters(&self) -> u64 {
        let products = ["qkv", "attention_output", "mlp_up", "mlp_down"].map(|id| self.matrix(id));
        let layer = products.iter().sum::<u64>() + 2 * self.norm_size();
        let tables = if self.embeds { 2 } else { 1 } * self.vocab * self.hidden;
        let entry = if self.embeds { self.positions * self.hidden } else { 0 };
        let norms = 1 + u64::from(self.embedding_norm && self.embeds);
        self.layers * layer + tables + entry + norms * self.norm_size()
    }

    /// Numbers of keys and values that `batch` sequences keep, for `context` tokens each, in the measured layers.
    pub fn kv(&self, batch: u64, context: u64) -> u64 {
        2 * self.layers * batch * context * self.kv_heads * self.head_dim
    }

    /// The operations of a step for `batch` sequences, each of `context` tokens with the new one, in order of their first
    /// occurrence.
    pub fn operations(&self, batch: u64, context: u64) -> Vec<DecodeOperation> {
        let none = DecodeOperation { id: "", instances: 1, flop: 0, weights: 0, kv_read: 0, kv_written: 0 };
        let once = |id, weights| DecodeOperation { id, weights, ..none };
        let layer = |id, weights| DecodeOperation { instances: self.layers, ..once(id, weights) };
        let product = |id: &'static str, instances| {
            let flop = self.product(id).map_or(0, |product| 2 * batch * product.n * product.k);
            DecodeOperation { instances, flop, ..once(id, self.matrix(id)) }
        };
        let vectors = 2 * batch * self.kv_heads * self.head_dim;
        let seen = self.seen(context);
        let mut all = Vec::new();
        if self.embeds {
            let rows = if self.positions > 0 { batch + 1 } else { batch };
            all.push(once("embedding", rows * self.hidden));
            if self.embedding_norm {
                all.push(once("embedding_norm", self.norm_size()));
            }
        }
        all.push(layer("attention_norm", self.norm_size()));
        all.push(product("qkv", self.layers));
        all.push(DecodeOperation { kv_written: vectors, ..layer("rotate", 0) });
        all.push(DecodeOperation {
            flop: 4 * batch * self.heads * self.head_dim * seen,
            kv_read: vectors * seen,
            ..layer("attention", 0)
        });
        all.push(product("attention_output", self.layers));
        all.push(layer("mlp_norm", self.norm_size()));
        all.push(product("mlp_up", self.layers));
        all.push(layer("activation", 0));
        all.push(product("mlp_down", self.layers));
        all.push(once("final_norm", self.norm_size()));
        if self.vocab > 0 {
            all.push(product("head", 1));
        }
        all
    }
}
