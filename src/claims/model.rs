//! What a claim can ask of a model in the catalogue.

use super::unit::Kind;
use crate::llm::{Layout, Model, ModelError, Step, Widths};

/// Something that follows from a model's shape.
pub struct ModelQuantity {
    /// Its name in claim files.
    pub id: &'static str,
    /// What it measures.
    pub kind: Kind,
    /// What it is.
    pub about: &'static str,
    /// Works it out, in the base unit.
    pub of: fn(&Model) -> Result<f64, ModelError>,
}

impl std::fmt::Debug for ModelQuantity {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.id)
    }
}

impl PartialEq for ModelQuantity {
    fn eq(&self, other: &Self) -> bool {
        self.id == other.id
    }
}

/// Every quantity of a model that claims ask for. To add one: a row here.
pub static MODEL_QUANTITIES: &[ModelQuantity] = &[
    ModelQuantity {
        id: "parameters",
        kind: Kind::Parameters,
        about: "all parameters",
        of: |model| Ok(model.parameters() as f64),
    },
    ModelQuantity {
        id: "layers",
        kind: Kind::Count,
        about: "transformer layers",
        of: |model| Ok(f64::from(model.layers)),
    },
    ModelQuantity {
        id: "hidden",
        kind: Kind::Count,
        about: "width of the residual stream",
        of: |model| Ok(f64::from(model.hidden)),
    },
    ModelQuantity { id: "heads", kind: Kind::Count, about: "attention heads", of: |model| Ok(f64::from(model.heads)) },
    ModelQuantity {
        id: "kv_heads",
        kind: Kind::Count,
        about: "heads with keys and values of their own",
        of: |model| Ok(f64::from(model.kv_heads)),
    },
    ModelQuantity {
        id: "head_size",
        kind: Kind::Count,
        about: "values per head",
        of: |model| Ok(f64::from(model.head_dim)),
    },
    ModelQuantity {
        id: "decode_flop",
        kind: Kind::Flop,
        about: "operations of one token's forward pass with nothing cached",
        of: |model| Ok(first_token(model)?.0),
    },
    ModelQuantity {
        id: "decode_weight_bytes",
        kind: Kind::Bytes,
        about: "bytes of FP16 weights that one token's forward pass reads",
        of: |model| Ok(first_token(model)?.1),
    },
    ModelQuantity {
        id: "weight_bytes",
        kind: Kind::Bytes,
        about: "bytes of all parameters in FP16",
        of: |model| Ok(2.0 * model.parameters() as f64),
    },
];

/// Operations and weight bytes of a decode step at batch 1 with an empty cache, on one rank.
fn first_token(model: &Model) -> Result<(f64, f64), ModelError> {
    let widths = Widths { weight_b: 2.0, kv_b: 2.0, activation_b: 2.0 };
    let experts_read = model.experts.map_or(0.0, |experts| f64::from(experts.routed));
    let step = Step { sequences: 1, queries: 1, cached: 0, experts_read };
    let count = model.step(&step, Layout::new(1, 1)?, widths)?;
    Ok((count.flop(), count.weights_b()))
}
