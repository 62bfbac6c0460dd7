//! Plain arithmetic on what documents state.

use super::{Formula, FormulaError, Spec, Work, formula, needs};
use crate::claims::unit::Kind;

const FRACTION: &[Spec] =
    &[needs("numerator", Kind::Any, "what is divided"), needs("denominator", Kind::Any, "what it is divided by")];

pub(super) static FORMULAS: &[Formula] = &[
    formula("as_known", "the figure itself", Kind::Any, &[&[needs("figure", Kind::Any, "the figure")]], |work| {
        work.get("figure")
    }),
    formula("quotient", "numerator / denominator", Kind::Any, &[FRACTION], quotient),
    formula(
        "whole_quotient",
        "numerator / denominator, rounded up: how many it takes",
        Kind::Any,
        &[FRACTION],
        whole_quotient,
    ),
    formula(
        "difference",
        "whole - part",
        Kind::Any,
        &[&[needs("whole", Kind::Any, "what is taken from"), needs("part", Kind::Any, "what is taken")]],
        difference,
    ),
    formula(
        "power",
        "base ^ exponent",
        Kind::Any,
        &[&[needs("base", Kind::Any, "the base"), needs("exponent", Kind::Any, "the exponent")]],
        |work| Ok(work.get("base")?.powf(work.get("exponent")?)),
    ),
    Formula {
        id: "product",
        about: "the product of all inputs",
        result: Kind::Any,
        inputs: &[],
        variadic: true,
        evaluate: |work| Ok(work.each().map(|(_, value)| value).product()),
    },
    Formula {
        id: "sum",
        about: "the sum of all inputs",
        result: Kind::Any,
        inputs: &[],
        variadic: true,
        evaluate: |work| Ok(work.each().map(|(_, value)| value).sum()),
    },
];

fn quotient(work: &mut Work<'_>) -> Result<f64, FormulaError> {
    Ok(work.get("numerator")? / work.divisor("denominator")?)
}

fn whole_quotient(work: &mut Work<'_>) -> Result<f64, FormulaError> {
    let exact = quotient(work)?;
    work.step("numerator / denominator", exact, "1");
    // 8.000000001 of a thing is 8 of it: what is left is rounding.
    Ok((exact - 1e-9).ceil())
}

fn difference(work: &mut Work<'_>) -> Result<f64, FormulaError> {
    match work.get("whole")? - work.get("part")? {
        rest if rest >= 0.0 => Ok(rest),
        rest => Err(FormulaError::Domain(format!("the part exceeds the whole by {}", -rest))),
    }
}
