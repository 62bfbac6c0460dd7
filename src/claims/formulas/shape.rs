//! What a transformer's parameter counts say of its shape.

use super::{Formula, FormulaError, Spec, Work, formula, needs, takes};
use crate::claims::unit::Kind;

const LAYERS: Spec = needs("layers", Kind::Count, "transformer layers");
const HIDDEN: Spec = needs("hidden", Kind::Count, "width of the residual stream");
const HEAD_SIZE: Spec = needs("head_size", Kind::Count, "values per attention head");
const PARAMETERS: Spec = needs("parameters", Kind::Parameters, "parameters of all layers together");

pub(super) static FORMULAS: &[Formula] = &[
    formula(
        "hidden_size",
        "sqrt(parameters / (layers x squares)): the width d when a layer holds `squares` d^2 parameters",
        Kind::Count,
        &[&[PARAMETERS, LAYERS, needs("squares", Kind::Ratio, "parameters of a layer over d^2")]],
        hidden_size,
    ),
    formula(
        "hidden_size_one_kv_head",
        "the width d at which layers x (2 d^2 + 2 d x head size) are the parameters: attention with one KV head",
        Kind::Count,
        &[&[PARAMETERS, LAYERS, HEAD_SIZE]],
        hidden_size_one_kv_head,
    ),
    formula(
        "attention_parameters",
        "layers x (2 d^2 + 2 d x KV heads x head size)",
        Kind::Parameters,
        &[&[LAYERS, HIDDEN, HEAD_SIZE, needs("kv_heads", Kind::Count, "heads with keys and values of their own")]],
        attention_parameters,
    ),
    formula(
        "mlp_parameters",
        "layers x 2 x d x (expansion x d)",
        Kind::Parameters,
        &[&[LAYERS, HIDDEN, takes("expansion", Kind::Ratio, "inner width of the MLP over d", 4.0)]],
        |work| Ok(work.get("layers")? * 2.0 * work.get("expansion")? * work.get("hidden")?.powi(2)),
    ),
    formula(
        "mlp_expansion",
        "parameters / (layers x 2 x d^2): inner width of the MLP over d",
        Kind::Ratio,
        &[&[PARAMETERS, LAYERS, HIDDEN]],
        |work| Ok(work.get("parameters")? / (work.divisor("layers")? * 2.0 * work.divisor("hidden")?.powi(2))),
    ),
];

fn hidden_size(work: &mut Work<'_>) -> Result<f64, FormulaError> {
    let each = work.get("parameters")? / work.divisor("layers")?;
    work.step("parameters of a layer", each, "parameters");
    Ok((each / work.divisor("squares")?).sqrt())
}

fn hidden_size_one_kv_head(work: &mut Work<'_>) -> Result<f64, FormulaError> {
    let each = work.get("parameters")? / work.divisor("layers")?;
    work.step("parameters of a layer", each, "parameters");
    // 2 d^2 + 2 h d = P, solved for its positive root.
    let half = work.get("head_size")? / 2.0;
    Ok((half * half + each / 2.0).sqrt() - half)
}

fn attention_parameters(work: &mut Work<'_>) -> Result<f64, FormulaError> {
    let (hidden, width) = (work.get("hidden")?, work.get("kv_heads")? * work.get("head_size")?);
    let each = 2.0 * hidden * hidden + 2.0 * hidden * width;
    work.step("queries and output 2 d^2, keys and values 2 d x their width", each, "parameters");
    Ok(work.get("layers")? * each)
}
