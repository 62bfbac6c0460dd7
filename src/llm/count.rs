//! Parameters, operations and bytes of a model, by operation.

use serde::Serialize;

use super::{Bias, ExpertWeights, Layout, Model, ModelError, Norm, Positions, Split, Weights};

/// One kind of work a model does, in each layer or once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Operation {
    /// `embedding`, `positions`, `embedding_norm`, `attention_norm`, `qk_norm`, `qkv`, `relative`, `attention`,
    /// `attention_output`, `mlp_norm`, `router`, `mlp_up`, `mlp_down`, `final_norm`, `head`.
    pub id: &'static str,
    /// How often it occurs: once, or once a layer.
    pub instances: u32,
    /// Values of a token that go in.
    pub inputs: u64,
    /// Values of a token that come out.
    pub outputs: u64,
    /// Copies of it side by side: the experts of a layer, else 1.
    pub copies: u32,
    /// Copies that one token meets.
    pub copies_met: u32,
    /// Parameters of one copy that the model owns; a tied head owns none.
    pub parameters: u64,
    /// What it is.
    pub kind: Kind,
}

/// What an operation does with its parameters, and how tensor ranks share them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// Looks up one row of a table; ranks share the rows.
    Lookup,
    /// Scales and shifts a vector; every rank has all of it.
    Norm,
    /// Multiplies by a matrix whose columns ranks share.
    Columns,
    /// Multiplies by a matrix whose rows ranks share; the bias is added on each.
    Rows,
    /// Multiplies by a small matrix that every rank has.
    Replicated,
    /// Projects positions, not tokens: computed once and kept, so that a step does not pay for it.
    Constant,
    /// Scores queries against keys and averages values; ranks share the heads.
    Attention,
}

/// Bytes of one number.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Widths {
    /// Of a parameter: 2 for FP16, 0.5 for int4.
    pub weight_b: f64,
    /// Of a value in the KV cache.
    pub kv_b: f64,
    /// Of an activation.
    pub activation_b: f64,
}

/// What one forward step does on one data-parallel rank.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Step {
    /// Sequences in it.
    pub sequences: u64,
    /// New tokens of each: 1 when decoding, the prompt's length in a prefill.
    pub queries: u64,
    /// Tokens of each already in the KV cache.
    pub cached: u64,
    /// Distinct experts that the step's tokens reach in a layer; not used for dense models.
    pub experts_read: f64,
}

/// What one operation of a step takes on the fullest rank, each time it occurs there.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct OperationCount {
    /// The operation.
    pub id: &'static str,
    /// How often it occurs on that rank.
    pub instances: f64,
    /// Operations, two per multiply-add.
    pub flop: f64,
    /// Bytes of parameters read.
    pub weights_b: f64,
    /// Bytes of keys and values read.
    pub kv_read_b: f64,
    /// Bytes of keys and values written.
    pub kv_written_b: f64,
    /// Bytes of activations read and written, once each.
    pub activations_b: f64,
}

/// A whole step on the fullest rank: that of the last stage, which has the head.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct StepCount {
    /// By operation, in the order of execution.
    pub operations: Vec<OperationCount>,
}

impl StepCount {
    fn sum(&self, of: impl Fn(&OperationCount) -> f64) -> f64 {
        self.operations.iter().map(|operation| operation.instances * of(operation)).sum()
    }

    /// All operations, two per multiply-add.
    pub fn flop(&self) -> f64 {
        self.sum(|operation| operation.flop)
    }

    /// All bytes of parameters read.
    pub fn weights_b(&self) -> f64 {
        self.sum(|operation| operation.weights_b)
    }

    /// All bytes of keys and values read.
    pub fn kv_read_b(&self) -> f64 {
        self.sum(|operation| operation.kv_read_b)
    }

    /// All bytes of keys and values written.
    pub fn kv_written_b(&self) -> f64 {
        self.sum(|operation| operation.kv_written_b)
    }

    /// All bytes of activations read and written.
    pub fn activations_b(&self) -> f64 {
        self.sum(|operation| operation.activations_b)
    }
}

impl Model {
    /// Its operations, in the order of execution.
    pub fn operations(&self) -> Vec<Operation> {
        let (hidden, width) = (u64::from(self.hidden), u64::from(self.attention_width()));
        let kv = 2 * u64::from(self.kv_heads) * u64::from(self.head_dim);
        let inner = u64::from(self.intermediate);
        let gates = if self.gated { 2 } else { 1 };
        let everywhere = self.bias == Bias::Everywhere;
        let once = |id, kind, inputs, outputs, parameters| Operation {
            id,
            instances: 1,
            inputs,
            outputs,
            copies: 1,
            copies_met: 1,
            parameters,
            kind,
        };
        let layer = |id, kind, inputs, outputs, parameters| Operation {
            instances: self.layers,
            ..once(id, kind, inputs, outputs, parameters)
        };
        let matrix = |inputs: u64, outputs: u64, bias: bool| inputs * outputs + if bias { outputs } else { 0 };
        let norm = |size: u64| if self.norm == Norm::Layer { 2 * size } else { size };
        let (experts, routed) = self.experts.map_or((1, 1), |experts| (experts.count, experts.routed));
        let mlp = |id, kind, inputs, outputs, parameters| Operation {
            copies: experts,
            copies_met: routed,
            ..layer(id, kind, inputs, outputs, parameters)
        };
        let vocab = u64::from(self.vocab);

        let mut all = Vec::new();
        if vocab > 0 {
            all.push(once("embedding", Kind::Lookup, 0, hidden, vocab * hidden));
        }
        if let Positions::Learned(rows) = self.positions {
            all.push(once("positions", Kind::Lookup, 0, hidden, u64::from(rows) * hidden));
        }
        if self.embedding_norm {
            all.push(once("embedding_norm", Kind::Norm, hidden, hidden, norm(hidden)));
        }
        all.push(layer("attention_norm", Kind::Norm, hidden, hidden, norm(hidden)));
        let qkv_bias = self.bias != Bias::Nowhere;
        all.push(layer("qkv", Kind::Columns, hidden, width + kv, matrix(hidden, width + kv, qkv_bias)));
        if self.qk_norm {
            let both = 2 * u64::from(self.head_dim);
            all.push(layer("qk_norm", Kind::Norm, width + kv / 2, width + kv / 2, both));
        }
        if self.positions == Positions::Relative {
            all.push(layer("relative", Kind::Constant, hidden, width, hidden * width));
        }
        all.push(layer("attention", Kind::Attention, width, width, 0));
        all.push(layer("attention_output", Kind::Rows, width, hidden, matrix(width, hidden, everywhere)));
        all.push(layer("mlp_norm", Kind::Norm, hidden, hidden, norm(hidden)));
        if self.experts.is_some() {
            all.push(layer("router", Kind::Replicated, hidden, experts.into(), hidden * u64::from(experts)));
        }
        all.push(mlp("mlp_up", Kind::Columns, hidden, gates * inner, matrix(hidden, gates * inner, everywhere)));
        all.push(mlp("mlp_down", Kind::Rows, inner, hidden, matrix(inner, hidden, everywhere)));
        all.push(once("final_norm", Kind::Norm, hidden, hidden, norm(hidden)));
        if vocab > 0 {
            let own = if self.tied { 0 } else { vocab * hidden };
            all.push(once("head", Kind::Columns, hidden, vocab, own));
        }
        all
    }

    /// All its parameters, exactly.
    pub fn parameters(&self) -> u64 {
        self.operations().iter().map(|op| op.parameters * u64::from(op.copies) * u64::from(op.instances)).sum()
    }

    /// Parameters that one token meets, exactly.
    pub fn parameters_active(&self) -> u64 {
        self.operations().iter().map(|op| op.parameters * u64::from(op.copies_met) * u64::from(op.instances)).sum()
    }

    /// Its parameters as the serving formulas take them: everything but the experts is read by every token,
    /// the embedding too, as in `2 N`.
    pub fn weights(&self) -> Weights {
        let operations = self.operations();
        let own = |experts: bool| -> u64 {
            let of = operations.iter().filter(|op| (op.copies > 1) == experts);
            of.map(|op| op.parameters * u64::from(op.instances)).sum()
        };
        let experts = self.experts.filter(|experts| experts.count > 1).map(|experts| ExpertWeights {
            count: experts.count,
            routed: experts.routed,
            each: own(true) as f64,
        });
        Weights { shared: own(false) as f64, experts }
    }

    /// Fails for a layout that does not divide this model, naming what does not.
    ///
    /// # Errors
    /// [`ModelError::Indivisible`] for heads, KV heads, MLP columns or experts; [`ModelError::Number`] for more
    /// stages than layers or expert ranks without experts. Average shares need only the latter two.
    pub fn check(&self, layout: Layout) -> Result<(), ModelError> {
        layout.layers_per_stage(self.layers)?;
        layout.kv_heads_per_rank(self.kv_heads)?;
        let experts = self.experts.map_or(1, |experts| experts.count);
        if !experts.is_multiple_of(layout.expert()) {
            return Err(ModelError::indivisible("experts", experts, layout.expert(), "expert ranks"));
        }
        let shared = [("attention heads", self.heads), ("MLP columns", self.intermediate)];
        match shared.into_iter().find(|(_, count)| !count.is_multiple_of(layout.tensor())) {
            Some((what, count)) if layout.split() == Split::Whole => {
                Err(ModelError::indivisible(what, count, layout.tensor(), "tensor ranks"))
            }
            _ => Ok(()),
        }
    }

    /// Parameters on the rank that has most: with the embedding or the head, whichever is larger, where stages
    /// part them.
    ///
    /// # Errors
    /// As [`Self::check`].
    pub fn rank_parameters(&self, layout: Layout) -> Result<f64, ModelError> {
        self.check(layout)?;
        let on_rank = |op: &Operation| -> Result<f64, ModelError> {
            // A head tied to an embedding that another stage has is a copy of it.
            let copied = op.id == "head" && self.tied && layout.pipeline() > 1;
            let held = if copied { op.inputs * op.outputs } else { op.parameters };
            let copies = if op.copies > 1 { f64::from(op.copies) / f64::from(layout.expert()) } else { 1.0 };
            Ok(self.share(op, held as f64, layout)? * copies)
        };
        let (mut layers, mut first, mut last) = (0.0, 0.0, 0.0);
        for op in self.operations() {
            match op.id {
                "embedding" | "positions" | "embedding_norm" => first += on_rank(&op)?,
                "final_norm" | "head" => last += on_rank(&op)?,
                _ => layers += on_rank(&op)?,
            }
        }
        let ends: f64 = if layout.pipeline() == 1 { first + last } else { f64::max(first, last) };
        Ok(layers * layout.layers_per_stage(self.layers)? + ends)
    }

    /// What a step takes on the fullest rank, by operation.
    ///
    /// # Errors
    /// As [`Self::check`].
    pub fn step(&self, step: &Step, layout: Layout, widths: Widths) -> Result<StepCount, ModelError> {
        self.check(layout)?;
        let stage_layers = layout.layers_per_stage(self.layers)?;
        let mut operations = Vec::new();
        for op in self.operations() {
            let first_stage_only = matches!(op.id, "embedding" | "positions" | "embedding_norm");
            let instances = match op.instances {
                _ if first_stage_only && layout.pipeline() > 1 => continue,
                1 => 1.0,
                _ => stage_layers,
            };
            operations.push(OperationCount { instances, ..self.count(&op, step, layout, widths)? });
        }
        Ok(StepCount { operations })
    }

    /// What one occurrence of an operation takes.
    fn count(&self, op: &Operation, step: &Step, layout: Layout, widths: Widths) -> Result<OperationCount, ModelError> {
        let tokens = (step.sequences * step.queries) as f64;
        // The head is asked for the last token of each sequence only.
        let rows = if op.id == "head" { step.sequences as f64 } else { tokens };
        let tensor = f64::from(layout.tensor());
        let (inputs, outputs) = (op.inputs as f64, op.outputs as f64);
        let none = OperationCount {
            id: op.id,
            instances: 1.0,
            flop: 0.0,
            weights_b: 0.0,
            kv_read_b: 0.0,
            kv_written_b: 0.0,
            activations_b: (inputs + outputs) * rows * widths.activation_b,
        };
        // `inputs` and `outputs` are those of this rank.
        let product = |inputs: f64, outputs: f64, weights: f64| OperationCount {
            flop: 2.0 * inputs * outputs * rows * f64::from(op.copies_met),
            weights_b: weights * self.copies_read(op, step, layout) * widths.weight_b,
            activations_b: (inputs + outputs) * rows * f64::from(op.copies_met) * widths.activation_b,
            ..none
        };
        // A tied head owns no parameters, and reads the embedding's all the same.
        let held = op.parameters.max(op.inputs * op.outputs) as f64;
        Ok(match op.kind {
            Kind::Lookup => OperationCount { weights_b: rows * outputs * widths.weight_b, ..none },
            Kind::Norm => OperationCount { weights_b: op.parameters as f64 * widths.weight_b, ..none },
            Kind::Constant => OperationCount { activations_b: 0.0, ..none },
            Kind::Replicated => product(inputs, outputs, held),
            Kind::Columns => {
                let share = self.share(op, held, layout)?;
                product(inputs, outputs * share / held, share)
            }
            Kind::Rows => product(inputs / tensor, outputs, self.share(op, held, layout)?),
            Kind::Attention => {
                let kv_heads = layout.kv_heads_per_rank(self.kv_heads)?;
                let vector = 2.0 * kv_heads * f64::from(self.head_dim) * widths.kv_b;
                OperationCount {
                    flop: 4.0 * outputs / tensor * (self.pairs(step) * step.sequences) as f64,
                    kv_read_b: vector * (self.seen(step) * step.sequences) as f64,
                    kv_written_b: vector * tokens,
                    activations_b: none.activations_b / tensor,
                    ..none
                }
            }
        })
    }

    /// Copies of an operation's matrix that a step reads on one rank.
    fn copies_read(&self, op: &Operation, step: &Step, layout: Layout) -> f64 {
        match op.copies {
            1 => 1.0,
            copies => step.experts_read.min(f64::from(copies)) / f64::from(layout.expert()),
        }
    }

    /// What one tensor rank has of `held` numbers of an operation.
    fn share(&self, op: &Operation, held: f64, layout: Layout) -> Result<f64, ModelError> {
        let tensor = f64::from(layout.tensor());
        let even = held / tensor;
        Ok(match (op.kind, op.id) {
            (Kind::Norm | Kind::Replicated | Kind::Constant, _) | (_, "positions") => held,
            (Kind::Attention, _) => 0.0,
            // Whole rows of the vocabulary: the last rank is padded.
            (_, "embedding" | "head") if layout.split() == Split::Whole => {
                held * f64::from(self.vocab.div_ceil(layout.tensor())) / f64::from(self.vocab)
            }
            // KV heads are copied once ranks outnumber them, queries never.
            (_, "qkv") => {
                let own = f64::from(self.heads) / tensor + 2.0 * layout.kv_heads_per_rank(self.kv_heads)?;
                held * own / (f64::from(self.heads) + 2.0 * f64::from(self.kv_heads))
            }
            // The bias of rows is on every rank.
            (Kind::Rows, _) => {
                let matrix = (op.inputs * op.outputs) as f64;
                matrix / tensor + (held - matrix)
            }
            _ => even,
        })
    }

    /// Pairs of query and key that one sequence of a step scores: causal, within the window.
    fn pairs(&self, step: &Step) -> u64 {
        let most = self.window.map_or(u64::MAX, u64::from);
        // Queries see cached + 1, cached + 2 … keys until the window is full.
        let growing = step.queries.min(most.saturating_sub(step.cached));
        let full = step.queries - growing;
        growing * step.cached + growing * (growing + 1) / 2 + if full > 0 { full * most } else { 0 }
    }

    /// Keys of one sequence that a step reads at all.
    fn seen(&self, step: &Step) -> u64 {
        let all = step.cached + step.queries;
        // The first query looks back a window, the last query is the newest key.
        self.window.map_or(all, |window| all.min(u64::from(window) + step.queries - 1))
    }
}
