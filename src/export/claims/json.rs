//! JSON for programs: every judgement with its numbers in the unit named beside them.

use serde::Serialize;

use super::Format;
use crate::claims::{Basis, Bound, Judgement, Movement, PartJudgement, Rank, Unit, Verdict};

pub(super) const FORMAT: Format = Format {
    id: "json",
    render: |judged, _| {
        let claims: Vec<Claim<'_>> = judged.judgements.iter().map(Claim::of).collect();
        Ok(serde_json::to_string_pretty(&Claims { claims })? + "\n")
    },
};

#[derive(Serialize)]
struct Claims<'a> {
    claims: Vec<Claim<'a>>,
}

#[derive(Serialize)]
struct Claim<'a> {
    id: &'a str,
    document: &'a str,
    lines: &'a [u32],
    compares: &'a [String],
    said_by: &'a str,
    as_of: &'a str,
    says: &'a str,
    /// Whether it is derived here and no sentence of the document.
    derived: bool,
    check: &'static str,
    hedge: Option<&'a str>,
    tolerance: f64,
    #[serde(flatten)]
    verdict: &'a Verdict,
    /// The weakest evidence of a GPU behind the verdict.
    evidence: Option<&'static str>,
    /// The part the verdict rests on.
    rests_on: Option<&'a str>,
    parts: Vec<Part<'a>>,
    /// What else each assumption could be.
    otherwise: Vec<Otherwise<'a>>,
    conflicts_with: Vec<&'a str>,
    note: Option<&'a str>,
}

/// A number or a span; an open end is missing.
#[derive(Serialize)]
struct Span {
    #[serde(skip_serializing_if = "Option::is_none")]
    low: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    high: Option<f64>,
}

#[derive(Serialize)]
struct Part<'a> {
    name: &'a str,
    about: &'a str,
    unit: &'static str,
    claimed: Option<Span>,
    /// Whether the document says it in words, and the number is how they are read here.
    worded: bool,
    found: Option<FoundIn>,
    /// Claim over recomputation, middle over middle.
    ratio: Option<f64>,
    /// The larger of that and its inverse, nearest ends.
    factor: Option<f64>,
    verdict: Option<&'static str>,
    formula: Option<&'static str>,
}

#[derive(Serialize)]
struct FoundIn {
    value: f64,
    low: f64,
    high: f64,
}

#[derive(Serialize)]
struct Otherwise<'a> {
    assumption: &'a str,
    label: &'a str,
    #[serde(flatten)]
    verdict: &'a Verdict,
}

impl<'a> Claim<'a> {
    fn of(judgement: &'a Judgement) -> Self {
        let claim = &judgement.claim;
        Self {
            id: &claim.id,
            document: &claim.document,
            lines: &claim.lines,
            compares: &claim.compares,
            said_by: &claim.said_by,
            as_of: &claim.as_of,
            says: &claim.says,
            derived: claim.basis == Basis::Implied,
            check: claim.check.word(),
            hedge: claim.hedge.as_deref(),
            tolerance: claim.tolerance,
            verdict: &judgement.verdict,
            evidence: judgement.evidence.map(Rank::word),
            rests_on: judgement.headline().map(|part| part.name.as_str()),
            parts: judgement.parts.iter().map(Part::of).collect(),
            otherwise: judgement.movements.iter().map(Otherwise::of).collect(),
            conflicts_with: claim.conflicts.iter().map(|conflict| conflict.id.as_str()).collect(),
            note: claim.note.as_deref(),
        }
    }
}

impl<'a> Part<'a> {
    fn of(part: &'a PartJudgement) -> Self {
        let unit = part.unit;
        Self {
            name: &part.name,
            about: &part.about,
            unit: unit.name,
            worded: part.worded,
            claimed: part.claimed.map(|bound| span(bound, unit)),
            found: part.found.map(|found| FoundIn {
                value: unit.of(found.value),
                low: unit.of(found.low),
                high: unit.of(found.high),
            }),
            ratio: part.comparison.map(|comparison| comparison.ratio),
            factor: part.comparison.map(|comparison| comparison.factor),
            verdict: part.verdict.as_ref().map(Verdict::word),
            formula: part.formula.map(|formula| formula.id),
        }
    }
}

fn span(bound: Bound, unit: &Unit) -> Span {
    let (low, high) = match bound {
        Bound::Value(value) => (Some(value), Some(value)),
        Bound::Range(low, high) => (Some(low), Some(high)),
        Bound::AtLeast(low) => (Some(low), None),
        Bound::AtMost(high) => (None, Some(high)),
    };
    Span { low: low.map(|value| unit.of(value)), high: high.map(|value| unit.of(value)) }
}

impl<'a> Otherwise<'a> {
    fn of(movement: &'a Movement) -> Self {
        Self { assumption: &movement.assumption, label: &movement.label, verdict: &movement.verdict }
    }
}
