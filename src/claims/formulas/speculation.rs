//! Speculative decoding: what drafts gain, and up to which batch.

use super::{Formula, FormulaError, Spec, Work, formula, moe as mixture, needs, takes};
use crate::claims::unit::Kind;
use crate::cost::speculation::{self, Draft};
use crate::cost::{Figure, Roofline, moe};
use crate::llm::Weights;

const LENGTH: Spec = needs("length", Kind::Tokens, "tokens drafted before each check");
const ACCEPTANCE: Spec = needs("acceptance", Kind::Ratio, "probability that a drafted token is accepted");
const DRAFT_COST: Spec = needs("draft_cost", Kind::Ratio, "time of drafting a token over a plain step");
const DRAFT: &[Spec] = &[LENGTH, ACCEPTANCE, DRAFT_COST];
const CHECK: Spec = takes("check_ratio", Kind::Ratio, "time of a checking step over a plain one", 1.0);
const MIXTURE: &[Spec] = &[mixture::SHARED, mixture::EXPERT, mixture::EXPERTS, mixture::ROUTED];
const CEILINGS: &[Spec] = &[
    needs("compute", Kind::FlopRate, "matrix throughput"),
    needs("bandwidth", Kind::ByteRate, "memory bandwidth"),
    needs("bytes", Kind::BytesPerParameter, "bytes of a stored parameter"),
];

pub(super) static FORMULAS: &[Formula] = &[
    formula("tokens_per_check", "(1 - a^(g+1)) / (1 - a)", Kind::Tokens, &[&[LENGTH, ACCEPTANCE]], |work| {
        Ok(speculation::tokens_per_check(work.whole("length")?, work.figure("acceptance")?)?.value())
    }),
    formula(
        "whole_draft",
        "a^g: probability that all of a draft is accepted",
        Kind::Ratio,
        &[&[LENGTH, ACCEPTANCE]],
        |work| Ok(speculation::whole_draft(work.whole("length")?, work.figure("acceptance")?)?.value()),
    ),
    formula(
        "speculative_speed_up",
        "E / (c g + r), E = (1 - a^(g+1)) / (1 - a): g drafted tokens at cost c, a check at r plain steps",
        Kind::Ratio,
        &[DRAFT, &[CHECK]],
        |work| {
            let check = work.figure("check_ratio")?;
            speed_up(work, check)
        },
    ),
    formula(
        "best_draft_length",
        "the draft length with the highest speed-up, up to 32",
        Kind::Tokens,
        &[&[ACCEPTANCE, DRAFT_COST, CHECK]],
        |work| {
            let (a, cost, check) =
                (work.figure("acceptance")?, work.figure("draft_cost")?, work.figure("check_ratio")?);
            Ok(f64::from(speculation::best_length(a, cost, check, 32)?))
        },
    ),
    formula(
        "speculative_speed_up_moe",
        "E / (c g + r), r = parameters read at b (g+1) tokens / at b, uniform routing",
        Kind::Ratio,
        &[DRAFT, MIXTURE, &[mixture::BATCH]],
        |work| {
            let weights = weights(work)?;
            let (batch, length) = (work.figure("batch")?, work.whole("length")?);
            let ratio = speculation::bytes_ratio(&weights, batch, length, moe::Routing::Uniform)?;
            work.note("weights a checking step reads over a plain one's", ratio, "x");
            speed_up(work, ratio)
        },
    ),
    formula(
        "check_bytes_moe",
        "parameters read at b (g+1) tokens / at b, uniform routing",
        Kind::Ratio,
        &[&[LENGTH], MIXTURE, &[mixture::BATCH]],
        |work| {
            let (batch, length) = (work.figure("batch")?, work.whole("length")?);
            Ok(speculation::bytes_ratio(&weights(work)?, batch, length, moe::Routing::Uniform)?.value())
        },
    ),
    formula(
        "largest_batch_that_gains",
        "(E - c g) x ridge batch / (g+1): past it a dense model's check is compute-bound and dearer than it gains; \
         times (all / active) parameters for a mixture, whose every expert is read by then",
        Kind::Tokens,
        &[DRAFT, CEILINGS, &[takes("dilution", Kind::Ratio, "all parameters over active ones", 1.0)]],
        largest_batch,
    ),
];

fn weights(work: &Work<'_>) -> Result<Weights, FormulaError> {
    let (shared, expert) = (work.get("shared")?, work.get("expert")?);
    Ok(Weights::mixture(shared, work.whole("experts")?, work.whole("routed")?, expert))
}

fn draft(work: &Work<'_>) -> Result<Draft, FormulaError> {
    let (acceptance, cost) = (work.figure("acceptance")?, work.figure("draft_cost")?);
    Ok(Draft { length: work.whole("length")?, acceptance, cost })
}

fn speed_up(work: &mut Work<'_>, check: Figure) -> Result<f64, FormulaError> {
    let draft = draft(work)?;
    let gained = speculation::tokens_per_check(draft.length, draft.acceptance)?;
    work.note("tokens gained per check", gained, "tokens");
    work.step("plain steps spent: c g + r", draft.cost.value() * f64::from(draft.length) + check.value(), "1");
    Ok(speculation::speed_up(draft, check)?.value())
}

fn largest_batch(work: &mut Work<'_>) -> Result<f64, FormulaError> {
    let draft = draft(work)?;
    let ratio = speculation::break_even_check_ratio(draft)?;
    work.note("check ratio at which nothing is gained: E - c g", ratio, "x");
    let roofline = Roofline { bandwidth_b_s: work.figure("bandwidth")?, compute_flop_s: work.figure("compute")? };
    let ridge = roofline.ridge_batch(work.get("bytes")?)?;
    work.note("ridge batch", ridge, "tokens");
    Ok(ratio.value() * ridge.value() * work.get("dilution")? / (f64::from(draft.length) + 1.0))
}
