//! Mixtures of experts: what a batch reads, what each expert sees, and batches against the ridge.

use super::{Formula, FormulaError, Spec, Work, formula, needs, takes};
use crate::claims::unit::Kind;
use crate::cost::{Roofline, moe, serving};
use crate::llm::Weights;

pub(super) const SHARED: Spec = needs("shared", Kind::Parameters, "parameters every token reads");
pub(super) const EXPERT: Spec = needs("expert", Kind::Parameters, "parameters of one expert");
pub(super) const EXPERTS: Spec = needs("experts", Kind::Count, "experts");
pub(super) const ROUTED: Spec = needs("routed", Kind::Count, "experts each token is sent to");
pub(super) const BATCH: Spec = needs("batch", Kind::Tokens, "tokens that meet a layer together");
const BYTES: Spec = needs("bytes", Kind::BytesPerParameter, "bytes of a stored parameter");
const CEILINGS: &[Spec] =
    &[needs("compute", Kind::FlopRate, "matrix throughput"), needs("bandwidth", Kind::ByteRate, "memory bandwidth")];
const MIXTURE: &[Spec] = &[SHARED, EXPERT, EXPERTS, ROUTED];

pub(super) static FORMULAS: &[Formula] = &[
    formula("moe_parameters", "shared + experts x expert", Kind::Parameters, &[&[SHARED, EXPERT, EXPERTS]], |work| {
        let experts = work.get("experts")? * work.get("expert")?;
        work.step("experts x expert", experts, "parameters");
        Ok(work.get("shared")? + experts)
    }),
    formula(
        "forward_flop",
        "2 x parameters",
        Kind::Flop,
        &[&[needs("parameters", Kind::Parameters, "parameters read for a token")]],
        |work| Ok(serving::flop_per_token(work.figure("parameters")?)?.value()),
    ),
    formula("tokens_per_expert", "batch x routed / experts", Kind::Tokens, &[&[BATCH, EXPERTS, ROUTED]], |work| {
        Ok(moe::tokens_per_expert(work.whole("experts")?, work.whole("routed")?, work.figure("batch")?)?.value())
    }),
    formula(
        "experts_read",
        "E (1 - (1 - k/E)^b): distinct experts a batch reaches under uniform routing",
        Kind::Count,
        &[&[BATCH, EXPERTS, ROUTED]],
        experts_read,
    ),
    formula(
        "idle_experts",
        "(1 - k/E)^b: share of experts that get no token under uniform routing",
        Kind::Ratio,
        &[&[BATCH, EXPERTS, ROUTED]],
        |work| {
            let read = experts_read(work)?;
            work.step("experts reached", read, "experts");
            Ok(1.0 - read / work.divisor("experts")?)
        },
    ),
    formula(
        "weights_read",
        "(shared + expert x experts reached) / all parameters",
        Kind::Ratio,
        &[MIXTURE, &[BATCH]],
        |work| {
            let mixture = mixture(work)?;
            let read = moe::parameters_read(&mixture, work.figure("batch")?, moe::Routing::Uniform)?;
            Ok(work.note("parameters read", read, "parameters") / mixture.total())
        },
    ),
    formula(
        "expert_load_spread",
        "sqrt((1 - k/E) / (b k/E)): standard deviation of an expert's load over its mean, uniform routing",
        Kind::Ratio,
        &[&[BATCH, EXPERTS, ROUTED]],
        |work| {
            let share = work.get("routed")? / work.divisor("experts")?;
            work.step("tokens an expert sees on average", work.get("batch")? * share, "tokens");
            Ok(((1.0 - share) / (work.divisor("batch")? * share)).sqrt())
        },
    ),
    formula(
        "busiest_expert",
        "expected tokens of the busiest expert under uniform routing, exactly",
        Kind::Tokens,
        &[&[BATCH, EXPERTS, ROUTED]],
        |work| Ok(load(work)?.busiest_mean),
    ),
    formula(
        "busiest_expert_at_least",
        "probability that some expert sees that many tokens or more under uniform routing, exactly",
        Kind::Ratio,
        &[&[BATCH, EXPERTS, ROUTED, needs("at_least", Kind::Tokens, "that many")]],
        |work| Ok(load(work)?.at_least(work.whole("at_least")? as usize)),
    ),
    formula(
        "all_on_one_expert",
        "probability that some expert sees the whole batch, its tokens choosing evenly and independently in groups \
         that choose alike",
        Kind::Ratio,
        &[&[BATCH, EXPERTS, ROUTED, takes("groups_of", Kind::Tokens, "tokens that choose the same experts", 1.0)]],
        all_on_one_expert,
    ),
    formula(
        "ridge_batch",
        "compute / bandwidth x bytes / 2: the batch at which reading and computing a dense model take as long",
        Kind::Tokens,
        &[CEILINGS, &[BYTES]],
        ridge_batch,
    ),
    formula(
        "batch_over_ridge",
        "batch / (compute / bandwidth x bytes / 2)",
        Kind::Ratio,
        &[&[BATCH], CEILINGS, &[BYTES]],
        |work| {
            let ridge = ridge_batch(work)?;
            Ok(work.get("batch")? / work.step("ridge batch", ridge, "tokens"))
        },
    ),
    formula(
        "expert_batch_over_ridge",
        "(batch x routed / experts) / (compute / bandwidth x bytes / 2)",
        Kind::Ratio,
        &[&[BATCH, EXPERTS, ROUTED], CEILINGS, &[BYTES]],
        |work| {
            let ridge = ridge_batch(work)?;
            work.step("ridge batch", ridge, "tokens");
            let (experts, routed) = (work.whole("experts")?, work.whole("routed")?);
            let each = moe::tokens_per_expert(experts, routed, work.figure("batch")?)?;
            Ok(work.note("tokens an expert sees", each, "tokens") / ridge)
        },
    ),
    formula(
        "dense_intensity",
        "2 x batch / bytes: operations per byte of weights read",
        Kind::Intensity,
        &[&[BATCH, BYTES]],
        |work| Ok(2.0 * work.get("batch")? / work.divisor("bytes")?),
    ),
    formula(
        "moe_intensity",
        "2 x batch x active / (parameters read x bytes), uniform routing",
        Kind::Intensity,
        &[MIXTURE, &[BATCH, BYTES]],
        |work| {
            let (mixture, batch) = (mixture(work)?, work.figure("batch")?);
            let read = moe::parameters_read(&mixture, batch, moe::Routing::Uniform)?;
            work.note("parameters read", read, "parameters");
            Ok(moe::intensity_flop_b(&mixture, batch, work.divisor("bytes")?, moe::Routing::Uniform)?.value())
        },
    ),
    formula(
        "compute_over_read",
        "(2 x batch / bytes) / (compute / bandwidth): computing time over reading time of a dense step",
        Kind::Ratio,
        &[&[BATCH], CEILINGS, &[BYTES]],
        |work| {
            let intensity = 2.0 * work.get("batch")? / work.divisor("bytes")?;
            work.step("operations per byte read", intensity, "FLOP/B");
            let roofline = ceilings(work)?;
            work.note("the balance of the chip", roofline.ridge_flop_b()?, "FLOP/B");
            Ok(serving::compute_over_read(&roofline, crate::cost::Figure::exact(intensity)?)?.value())
        },
    ),
];

fn mixture(work: &Work<'_>) -> Result<Weights, FormulaError> {
    let (shared, expert) = (work.get("shared")?, work.get("expert")?);
    Ok(Weights::mixture(shared, work.whole("experts")?, work.whole("routed")?, expert))
}

fn ceilings(work: &Work<'_>) -> Result<Roofline, FormulaError> {
    Ok(Roofline { bandwidth_b_s: work.figure("bandwidth")?, compute_flop_s: work.figure("compute")? })
}

fn experts_read(work: &mut Work<'_>) -> Result<f64, FormulaError> {
    let (experts, routed) = (work.whole("experts")?, work.whole("routed")?);
    Ok(moe::experts_read(experts, routed, work.figure("batch")?, moe::Routing::Uniform)?.value())
}

fn ridge_batch(work: &mut Work<'_>) -> Result<f64, FormulaError> {
    let roofline = ceilings(work)?;
    work.note("the balance of the chip", roofline.ridge_flop_b()?, "FLOP/B");
    Ok(roofline.ridge_batch(work.get("bytes")?)?.value())
}

fn load(work: &mut Work<'_>) -> Result<moe::Load, FormulaError> {
    let load = moe::load(work.whole("experts")?, work.whole("routed")?, work.whole("batch")?)?;
    work.step("share of experts that see none", load.idle_share, "%");
    Ok(load)
}

fn all_on_one_expert(work: &mut Work<'_>) -> Result<f64, FormulaError> {
    let groups = work.get("batch")? / work.divisor("groups_of")?;
    work.step("independent choices", groups, "1");
    let (experts, share) = (work.get("experts")?, work.get("routed")? / work.divisor("experts")?);
    // Two experts can both see all only if k > 1; at these odds counting both once is the union bound, capped.
    Ok((experts * share.powf(groups)).min(1.0))
}
