//! The matrix products of a model, as serving engines run them on one of the GPUs that share it.

use serde::Serialize;

use super::{Kind, Layout, Model, ModelError};

/// A product of a step: its activations, one row for each token, by this matrix.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Product {
    /// The operation it belongs to: `qkv`, `attention_output`, `mlp_up`, `mlp_down`, `head`.
    pub id: &'static str,
    /// Columns of the matrix on one GPU: values of a token that come out.
    pub n: u64,
    /// Rows of it: values of a token that go in.
    pub k: u64,
}

/// Engines pad a vocabulary to a multiple of this, so that its matrix is one of whole packs (vLLM's
/// `DEFAULT_VOCAB_PADDING_SIZE`).
const VOCABULARY_PADDING: u64 = 64;

/// Most tensor ranks that a message proposes.
const RANKS_SHOWN: u32 = 128;

impl Model {
    /// The products of one layer and the head's, on one of `tensor` GPUs. Queries, keys and values are one product, and
    /// so are gate and up; they and the head are split by columns, the other two by rows (Megatron-LM,
    /// arXiv:1909.08053, section 3). KV heads are copied where there are fewer than GPUs. Experts' products, whose rows
    /// depend on the routing, are left out.
    ///
    /// # Errors
    /// [`ModelError::Indivisible`] for heads or MLP columns that do not divide, with the numbers of GPUs that would fit;
    /// [`ModelError::Number`] without a GPU.
    pub fn products(&self, tensor: u32) -> Result<Vec<Product>, ModelError> {
        let layout = Layout::new(tensor, 1)?;
        self.check(layout).map_err(|error| self.with_fitting(error))?;
        let kv_heads = layout.kv_heads_per_rank(self.kv_heads)? as u64;
        let ranks = u64::from(tensor);
        let product = |operation: &super::Operation| {
            let (inputs, outputs) = (operation.inputs, operation.outputs);
            let [n, k] = match (operation.kind, operation.id) {
                (Kind::Columns, "qkv") => {
                    let own = u64::from(self.heads) / ranks;
                    [(own + 2 * kv_heads) * u64::from(self.head_dim), inputs]
                }
                (Kind::Columns, "head") => {
                    let shared = ranks * VOCABULARY_PADDING / common_divisor(ranks, VOCABULARY_PADDING);
                    [outputs.next_multiple_of(shared) / ranks, inputs]
                }
                (Kind::Columns, _) => [outputs / ranks, inputs],
                (Kind::Rows, _) => [outputs, inputs / ranks],
                _ => return None,
            };
            (operation.copies == 1).then_some(Product { id: operation.id, n, k })
        };
        Ok(self.operations().iter().filter_map(product).collect())
    }

    /// An error about tensor ranks, with the numbers of them that suit the whole model.
    fn with_fitting(&self, error: ModelError) -> ModelError {
        let fits = |ranks: &u32| Layout::new(*ranks, 1).and_then(|layout| self.check(layout)).is_ok();
        match error {
            ModelError::Indivisible { what, count, ranks, over, .. } => {
                let fitting: Vec<String> =
                    (1..=self.heads.min(RANKS_SHOWN)).filter(fits).map(|ranks| ranks.to_string()).collect();
                ModelError::Indivisible { what, count, ranks, over, divisors: fitting.join(", ") }
            }
            error => error,
        }
    }
}

fn common_divisor(a: u64, b: u64) -> u64 {
    if b == 0 { a } else { common_divisor(b, a % b) }
}
