//! What does serving cost, and how fast is it for one user?

use serde::Serialize;

use super::Accelerator;
use crate::cost::fitted::decode_fitted;
use crate::cost::memory::{Room, fits, room_beside};
use crate::cost::moe::Routing;
use crate::cost::serving::{self, Deployment, Load, Served};
use crate::cost::{CostError, Figure, money};
use crate::llm::{Layout, Model};

/// A served model.
#[derive(Debug, Clone, PartialEq)]
pub struct ServeQuestion {
    /// What is served.
    pub model: Model,
    /// On what.
    pub accelerator: Accelerator,
    /// How it is split; its GPUs are those that are paid.
    pub layout: Layout,
    /// Bytes of one parameter.
    pub bytes_per_parameter: f64,
    /// Bytes of one value in the KV cache.
    pub bytes_per_kv_value: f64,
    /// Average tokens of a sequence.
    pub context: Figure,
    /// Sequences in flight; `None` for as many as fit.
    pub batch: Option<Figure>,
    /// How tokens choose experts.
    pub routing: Routing,
    /// Rent of one GPU for an hour.
    pub price_usd_h: Figure,
    /// Time each stage takes whatever it serves.
    pub overhead_s: Figure,
}

/// One batch size and what comes of it.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct CurvePoint {
    /// Sequences in flight.
    pub batch: Figure,
    /// Cost of 1000 tokens.
    pub usd_per_1000_tokens: Figure,
    /// Tokens per second that one user sees.
    pub user_tok_s: Figure,
    /// Tokens per second of the whole.
    pub throughput_tok_s: Figure,
}

/// What it takes and gives.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ServeAnswer {
    /// The model's parameters.
    pub parameters: Figure,
    /// Those active per token.
    pub parameters_active: Figure,
    /// GPUs of the replica.
    pub gpus: Figure,
    /// What one GPU holds and has left.
    pub room: Room,
    /// Sequences in flight.
    pub batch: Figure,
    /// Sequences that would fill the memory.
    pub batch_full: Figure,
    /// What the GPUs achieve at that batch.
    pub served: Served,
    /// Cost of 1000 tokens.
    pub usd_per_1000_tokens: Figure,
    /// The same over batch sizes: powers of two, then the full one.
    pub curve: Vec<CurvePoint>,
}

impl ServeQuestion {
    /// The deployment it is about.
    ///
    /// # Errors
    /// [`CostError::Model`] for a layout that does not divide the model.
    pub fn deployment(&self) -> Result<Deployment, CostError> {
        self.model.check(self.layout)?;
        Ok(Deployment {
            weights: self.model.weights(),
            bytes_per_parameter: self.bytes_per_parameter,
            kv: self.model.kv(self.bytes_per_kv_value),
            layout: self.layout,
            routing: self.routing,
            roofline: self.accelerator.roofline,
            attention_width: self.model.attention_width(),
            overhead_s: self.overhead_s,
        })
    }

    /// Tokens of an average sequence that are kept and read: all, or a window's.
    fn kept(&self) -> Result<Figure, CostError> {
        let window = self.model.window.map_or(f64::INFINITY, f64::from);
        let context = self.context;
        Figure::between(context.value().min(window), context.low().min(window), context.high().min(window))
    }
}

/// Answers.
///
/// # Errors
/// [`CostError::DoesNotFit`] for weights, or a batch's KV cache beside them, that exceed the memory, by how much;
/// [`CostError::Model`] for a layout that does not divide the model; [`CostError::Zero`] for what must not be.
pub fn serve(question: &ServeQuestion) -> Result<ServeAnswer, CostError> {
    let deployment = question.deployment()?;
    let context = question.kept()?;
    let fullest = question.model.rank_parameters(question.layout)? * question.bytes_per_parameter;
    fits("the fullest rank", Figure::exact(fullest)?, question.accelerator.capacity_b)?;
    // The stage with most layers sets the batch of all.
    let room = room_beside(fullest, &deployment.kv, question.layout, question.accelerator.capacity_b)?;
    let batch_full = room.sequences(context)?;
    let batch = question.batch.unwrap_or(batch_full);
    let cached = batch.value() * context.value() * room.kv_token_b.value() / f64::from(question.layout.expert());
    if question.batch.is_some() {
        let needed = Figure::exact(room.weights_b.value() + cached)?;
        fits("the batch's KV cache with the weights", needed, question.accelerator.capacity_b)?;
    }
    let decode = |batch: Figure| match &question.accelerator.law {
        Some(law) => decode_fitted(&deployment, Load::new(batch, context), law, question.model.hidden),
        None => serving::decode(&deployment, Load::new(batch, context)),
    };
    let at = |batch: Figure| -> Result<CurvePoint, CostError> {
        let served = decode(batch)?;
        let price = question.price_usd_h;
        Ok(CurvePoint {
            batch,
            usd_per_1000_tokens: money::usd_per_1000_tokens(deployment.gpus(), price, served.throughput_tok_s)?,
            user_tok_s: served.user_tok_s,
            throughput_tok_s: served.throughput_tok_s,
        })
    };
    let doublings = (0..31).map(|power| 1_u32 << power).take_while(|&batch| f64::from(batch) < batch_full.value());
    let mut curve = doublings.map(|batch| at(batch.into())).collect::<Result<Vec<_>, _>>()?;
    curve.push(at(batch_full)?);
    Ok(ServeAnswer {
        parameters: Figure::exact(deployment.weights.total())?,
        parameters_active: Figure::exact(deployment.weights.active())?,
        gpus: deployment.gpus(),
        room,
        batch,
        batch_full,
        served: decode(batch)?,
        usd_per_1000_tokens: at(batch)?.usd_per_1000_tokens,
        curve,
    })
}
