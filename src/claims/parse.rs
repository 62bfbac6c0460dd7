//! A claim file's text to claims, with every mistake named by file, line and way out.
//!
//! This much needs the file alone; what points at other claims is checked when a
//! [`Library`](super::Library) puts files together.

use std::collections::BTreeMap;
use std::ops::Range;

use serde::Deserialize;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::claim::{
    Alternative, Assumption, Basis, Bound, Check, Claim, Conflict, Document, HEDGED, Input, Origin, PLAIN, Part, Place,
    Role, Source, Target,
};
use super::evidence::{QUANTITIES, Quantity};
use super::formulas::{self, Formula};
use super::model::MODEL_QUANTITIES;
use super::unit::{self, Kind, UNITS, Unit};

/// What is wrong with a claim file, and where.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{place}: {message}")]
pub struct ClaimError {
    /// Where.
    pub place: Place,
    /// What is wrong and what would be right.
    pub message: String,
}

/// A claim file, read but not yet joined with others.
#[derive(Debug, Clone)]
pub struct ClaimFile {
    /// Its document.
    pub document: Document,
    /// Where the document is declared.
    pub place: Place,
    /// Its claims, in order.
    pub claims: Vec<Claim>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawFile {
    document: Spanned<RawDocument>,
    #[serde(default)]
    sets: BTreeMap<String, BTreeMap<String, Spanned<RawInput>>>,
    #[serde(default)]
    claim: Vec<Spanned<RawClaim>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawDocument {
    id: String,
    title: String,
    source: String,
    speaker: String,
    as_of: String,
    about: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawClaim {
    id: Spanned<String>,
    document: Option<Spanned<String>>,
    #[serde(default)]
    lines: Vec<u32>,
    #[serde(default)]
    compares: Vec<String>,
    said_by: Option<String>,
    as_of: Option<String>,
    #[serde(default)]
    implied: bool,
    says: String,
    hedge: Option<String>,
    tolerance: Option<Spanned<f64>>,
    check: Spanned<String>,
    #[serde(default)]
    part: Vec<Spanned<RawPart>>,
    #[serde(default)]
    assumption: Vec<Spanned<RawAssumption>>,
    #[serde(default)]
    conflicts_with: Vec<RawConflict>,
    note: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawConflict {
    id: String,
    why: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawPart {
    name: String,
    about: Option<String>,
    role: Option<Spanned<String>>,
    value: Option<f64>,
    range: Option<[f64; 2]>,
    at_least: Option<f64>,
    at_most: Option<f64>,
    unit: Spanned<String>,
    #[serde(default)]
    worded: bool,
    #[serde(default)]
    marketed: bool,
    formula: Option<Spanned<String>>,
    #[serde(default, rename = "use")]
    uses: Vec<Spanned<String>>,
    #[serde(default)]
    inputs: BTreeMap<String, Spanned<RawInput>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawInput {
    stated: Option<Number>,
    assumed: Option<Number>,
    outside: Option<Number>,
    exact: Option<Number>,
    claim: Option<String>,
    found: Option<String>,
    part: Option<String>,
    gpu: Option<String>,
    datasheet: Option<String>,
    model: Option<String>,
    quantity: Option<String>,
    otherwise: Option<f64>,
    unit: Option<String>,
    why: Option<String>,
}

#[derive(Deserialize, Clone, Copy)]
#[serde(untagged)]
enum Number {
    Whole(i64),
    One(f64),
    Span([f64; 2]),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawAssumption {
    text: String,
    #[serde(default)]
    decides: bool,
    alternatives: Vec<Spanned<RawAlternative>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawAlternative {
    label: String,
    #[serde(default)]
    set: BTreeMap<String, Spanned<RawInput>>,
    tolerance: Option<f64>,
}

/// Reads a claim file.
///
/// # Errors
/// [`ClaimError`] for text that is no TOML, a key that is not known, an unknown formula, unit, quantity or
/// kind of check, a formula without one of its inputs or with one it does not take, and a value that is no
/// positive number.
pub fn parse(text: &str, file: &str) -> Result<ClaimFile, ClaimError> {
    let mut reader = Reader { text, file, sets: BTreeMap::new() };
    let raw: RawFile = toml::from_str(text).map_err(|error| {
        let span = error.span().unwrap_or(0..0);
        reader.error(span, error.message().to_owned())
    })?;
    let table = DeTable::parse(text).map_err(|error| reader.error(0..0, error.message().to_owned()))?;
    let mut values: Vec<&Spanned<DeValue<'_>>> = table.get_ref().values().collect();
    while let Some(value) = values.pop() {
        match value.get_ref() {
            DeValue::Table(table) => values.extend(table.values()),
            DeValue::Array(array) => values.extend(array.iter()),
            DeValue::String(text) if text.chars().any(|c| c.is_control() && c != '\n') => {
                let message = "a text holds control characters, which a terminal would obey; leave them out".to_owned();
                return Err(reader.error(value.span(), message));
            }
            _ => {}
        }
    }
    for (name, inputs) in raw.sets {
        let inputs = reader.inputs(inputs)?;
        reader.sets.insert(name, inputs);
    }
    let place = reader.place(raw.document.span());
    let RawDocument { id, title, source, speaker, as_of, about } = raw.document.into_inner();
    let document = Document { id, title, source, speaker, as_of, about };
    let claims = raw.claim.into_iter().map(|claim| reader.claim(claim, &document)).collect::<Result<_, _>>()?;
    Ok(ClaimFile { document, place, claims })
}

/// `share`, or `share` of the part `fp8`: `fp8.share`.
fn target(name: &str) -> Target {
    match name.split_once('.') {
        Some((part, input)) => Target { part: Some(part.to_owned()), input: input.to_owned() },
        None => Target { part: None, input: name.to_owned() },
    }
}

struct Reader<'a> {
    text: &'a str,
    file: &'a str,
    /// Inputs by name that parts take over together.
    sets: BTreeMap<String, BTreeMap<String, Input>>,
}

impl Reader<'_> {
    fn place(&self, span: Range<usize>) -> Place {
        let before = self.text.as_bytes().iter().take(span.start);
        Place { file: self.file.to_owned(), line: 1 + before.filter(|byte| **byte == b'\n').count() }
    }

    fn error(&self, span: Range<usize>, message: String) -> ClaimError {
        ClaimError { place: self.place(span), message }
    }

    fn claim(&self, raw: Spanned<RawClaim>, document: &Document) -> Result<Claim, ClaimError> {
        let span = raw.span();
        let raw = raw.into_inner();
        let id = raw.id.get_ref().clone();
        let check = self.check(&raw.check)?;
        let tolerance = match (&raw.tolerance, &raw.hedge) {
            (Some(tolerance), _) if (0.0..1.0).contains(tolerance.get_ref()) => *tolerance.get_ref(),
            (Some(tolerance), _) => {
                let message = format!("{id}: a tolerance is a share from 0 to below 1, as 0.05 for 5 %");
                return Err(self.error(tolerance.span(), message));
            }
            (None, Some(_)) => HEDGED,
            (None, None) => PLAIN,
        };
        if raw.lines.is_empty() && raw.compares.is_empty() {
            let message = format!("{id}: give the `lines` of the document it stands on, or the claims it `compares`");
            return Err(self.error(span, message));
        }
        let own = raw.document.map_or_else(|| document.id.clone(), Spanned::into_inner);
        let mut parts = Vec::new();
        for part in raw.part {
            let part = self.part(part, &id)?;
            if parts.iter().any(|other: &Part| other.name == part.name) {
                return Err(ClaimError {
                    message: format!("{id}: two parts are named `{}`", part.name),
                    place: part.place,
                });
            }
            parts.push(part);
        }
        let judged =
            parts.iter().any(|part| part.formula.is_some() && part.bound.is_some() && part.role == Role::Claim);
        if check != Check::Context && !judged {
            let message = format!(
                "{id}: nothing to judge: give a part both a value and a `formula`, or say `check = \"context\"`"
            );
            return Err(self.error(span, message));
        }
        let assumptions: Vec<_> =
            raw.assumption.into_iter().map(|raw| self.assumption(raw, &id)).collect::<Result<_, _>>()?;
        Ok(Claim {
            document: own,
            lines: raw.lines,
            compares: raw.compares,
            said_by: raw.said_by.unwrap_or_else(|| document.speaker.clone()),
            as_of: raw.as_of.unwrap_or_else(|| document.as_of.clone()),
            basis: if raw.implied { Basis::Implied } else { Basis::Stated },
            says: raw.says,
            hedge: raw.hedge,
            tolerance,
            check,
            parts,
            assumptions,
            conflicts: raw.conflicts_with.into_iter().map(|raw| Conflict { id: raw.id, why: raw.why }).collect(),
            note: raw.note,
            place: self.place(raw.id.span()),
            id,
        })
    }

    fn check(&self, raw: &Spanned<String>) -> Result<Check, ClaimError> {
        let found = Check::ALL.iter().find(|(_, word)| word == raw.get_ref());
        found.map(|(check, _)| *check).ok_or_else(|| {
            let known: Vec<_> = Check::ALL.iter().map(|(_, word)| *word).collect();
            let message = format!("unknown check `{}`; known: {}", raw.get_ref(), known.join(", "));
            self.error(raw.span(), message)
        })
    }

    fn unit(&self, name: &str, span: Range<usize>) -> Result<&'static Unit, ClaimError> {
        unit::find(name).ok_or_else(|| {
            let known: Vec<_> = UNITS.iter().map(|unit| unit.name).collect();
            self.error(span, format!("unknown unit `{name}`; known: {}", known.join(", ")))
        })
    }

    fn part(&self, raw: Spanned<RawPart>, id: &str) -> Result<Part, ClaimError> {
        let span = raw.span();
        let raw = raw.into_inner();
        let unit = self.unit(raw.unit.get_ref(), raw.unit.span())?;
        let bounds = [
            raw.value.map(Bound::Value),
            raw.range.map(|[low, high]| Bound::Range(low, high)),
            raw.at_least.map(Bound::AtLeast),
            raw.at_most.map(Bound::AtMost),
        ];
        let mut given = bounds.into_iter().flatten();
        let bound = given.next();
        if given.next().is_some() {
            let message = format!("{id}: give one of `value`, `range`, `at_least` and `at_most`, not two");
            return Err(self.error(span, message));
        }
        let bound = bound.map(|bound| self.bound(bound, unit, id, span.clone())).transpose()?;
        let role = match raw.role.as_ref().map(|role| (role.get_ref().as_str(), role.span())) {
            None => {
                if bound.is_some() {
                    Role::Claim
                } else {
                    Role::Shown
                }
            }
            Some(("reading", _)) => Role::Reading,
            Some(("open", _)) => Role::Open,
            Some((other, span)) => {
                let message = format!("unknown role `{other}`; known: reading, open");
                return Err(self.error(span, message));
            }
        };
        let place = self.place(span.clone());
        let inputs =
            self.part_inputs(raw.inputs, &raw.uses, raw.formula.as_ref().map(|name| name.get_ref().as_str()))?;
        let formula = raw.formula.as_ref().map(|name| self.formula(name, &inputs, unit, id)).transpose()?;
        if formula.is_none() && (bound.is_none() || !inputs.is_empty()) {
            let message = format!("{id}: part `{}` has no `formula`, and needs one", raw.name);
            return Err(self.error(span, message));
        }
        let about = raw.about.clone().unwrap_or_else(|| raw.name.replace('_', " "));
        let RawPart { name, worded, marketed, .. } = raw;
        Ok(Part { name, about, role, bound, unit, worded, marketed, formula, inputs, place })
    }

    /// A part's own inputs, and of the sets it uses those that its formula takes; its own come first, then the sets
    /// in order.
    fn part_inputs(
        &self,
        own: BTreeMap<String, Spanned<RawInput>>,
        uses: &[Spanned<String>],
        formula: Option<&str>,
    ) -> Result<BTreeMap<String, Input>, ClaimError> {
        let mut inputs = self.inputs(own)?;
        for name in uses {
            let set = self.sets.get(name.get_ref()).ok_or_else(|| {
                let known: Vec<_> = self.sets.keys().map(String::as_str).collect();
                let message = format!("no set of inputs `{}`; this file has: {}", name.get_ref(), known.join(", "));
                self.error(name.span(), message)
            })?;
            let specs = formula.and_then(formulas::find).into_iter().flat_map(Formula::specs);
            for (spec, input) in specs.filter_map(|spec| Some((spec, set.get(spec.name)?))) {
                inputs.entry(spec.name.to_owned()).or_insert_with(|| input.clone());
            }
        }
        Ok(inputs)
    }

    fn bound(&self, raw: Bound, unit: &Unit, id: &str, span: Range<usize>) -> Result<Bound, ClaimError> {
        let scaled = |number: f64| {
            let value = number * unit.scale;
            match value.is_finite() && value > 0.0 {
                true => Ok(value),
                false => {
                    let message = format!("{id}: {number} {} is no positive number, and a factor needs one", unit.name);
                    Err(self.error(span.clone(), message))
                }
            }
        };
        Ok(match raw {
            Bound::Value(value) => Bound::Value(scaled(value)?),
            Bound::AtLeast(low) => Bound::AtLeast(scaled(low)?),
            Bound::AtMost(high) => Bound::AtMost(scaled(high)?),
            Bound::Range(low, high) if low <= high => Bound::Range(scaled(low)?, scaled(high)?),
            Bound::Range(low, high) => {
                return Err(self.error(span, format!("{id}: the range from {low} to {high} is the wrong way round")));
            }
        })
    }

    fn formula(
        &self,
        name: &Spanned<String>,
        inputs: &BTreeMap<String, Input>,
        unit: &Unit,
        id: &str,
    ) -> Result<&'static Formula, ClaimError> {
        let formula = formulas::find(name.get_ref()).ok_or_else(|| {
            let known: Vec<_> = formulas::all().map(|formula| formula.id).collect();
            self.error(name.span(), format!("unknown formula `{}`; known: {}", name.get_ref(), known.join(", ")))
        })?;
        if !formula.result.fits(unit.kind) {
            let result = unit::base(formula.result).name;
            let message = format!("{id}: formula `{}` gives {result}, which is no `{}`", formula.id, unit.name);
            return Err(self.error(name.span(), message));
        }
        if let Some(missing) = formula.required().find(|spec| !inputs.contains_key(spec.name)) {
            let message = format!(
                "{id}: formula `{}` is missing its input `{}` ({}); it takes {}",
                formula.id,
                missing.name,
                missing.about,
                formula.signature()
            );
            return Err(self.error(name.span(), message));
        }
        for (input, value) in inputs {
            formula
                .accepts(input, value.unit.map_or(Kind::Any, |unit| unit.kind))
                .map_err(|message| ClaimError { place: value.place.clone(), message: format!("{id}: {message}") })?;
        }
        Ok(formula)
    }

    fn inputs(&self, raw: BTreeMap<String, Spanned<RawInput>>) -> Result<BTreeMap<String, Input>, ClaimError> {
        raw.into_iter().map(|(name, raw)| Ok((name.clone(), self.input(raw, &name)?))).collect()
    }

    fn input(&self, raw: Spanned<RawInput>, name: &str) -> Result<Input, ClaimError> {
        let span = raw.span();
        let raw = raw.into_inner();
        let fail = |message: String| self.error(span.clone(), format!("input `{name}`: {message}"));
        let asked = raw.quantity.as_deref().unwrap_or("");
        let quantity = || -> Result<&'static Quantity, ClaimError> {
            Quantity::find(asked).ok_or_else(|| {
                let known: Vec<_> = QUANTITIES.iter().map(|quantity| quantity.id).collect();
                fail(format!("unknown quantity `{asked}` of a GPU; known: {}", known.join(", ")))
            })
        };
        let given = [
            (Origin::Stated, raw.stated),
            (Origin::Assumed, raw.assumed),
            (Origin::Outside, raw.outside),
            (Origin::Exact, raw.exact),
        ];
        let mut sources = Vec::new();
        let mut unit = None;
        for (origin, number) in given.into_iter().filter_map(|(origin, number)| Some((origin, number?))) {
            let of = raw.unit.as_deref().ok_or_else(|| fail("a number needs its `unit`".to_owned()))?;
            let of = self.unit(of, span.clone())?;
            if matches!(origin, Origin::Assumed | Origin::Outside) && raw.why.is_none() {
                return Err(fail(format!("say `why` this number is {}: its reason or its source", origin.word())));
            }
            unit = Some(of);
            sources.push(Source::Given { bound: self.number(number, of, name, span.clone())?, origin });
        }
        let part = raw.part.clone();
        if let Some(id) = &raw.claim {
            sources.push(Source::Claimed { id: id.clone(), part: part.clone() });
        }
        if let Some(id) = &raw.found {
            sources.push(Source::Found { id: id.clone(), part });
        }
        if let Some(gpu) = &raw.gpu {
            let quantity = quantity()?;
            unit = Some(match raw.unit.as_deref() {
                Some(name) => self.unit(name, span.clone())?,
                None => unit::base(quantity.kind),
            });
            let otherwise = raw.otherwise.map(|value| value * unit.map_or(1.0, |unit| unit.scale));
            if otherwise.is_some() && raw.why.is_none() {
                return Err(fail("say `why` this is taken `otherwise`".to_owned()));
            }
            sources.push(Source::Ceiling { gpu: gpu.clone(), quantity, otherwise });
        }
        if let Some(gpu) = &raw.datasheet {
            let quantity = quantity()?;
            unit = Some(unit::base(quantity.kind));
            sources.push(Source::Datasheet { gpu: gpu.clone(), quantity });
        }
        if let Some(model) = &raw.model {
            let quantity = MODEL_QUANTITIES.iter().find(|quantity| quantity.id == asked).ok_or_else(|| {
                let known: Vec<_> = MODEL_QUANTITIES.iter().map(|quantity| quantity.id).collect();
                fail(format!("unknown quantity `{asked}` of a model; known: {}", known.join(", ")))
            })?;
            unit = Some(unit::base(quantity.kind));
            sources.push(Source::Model { model: model.clone(), quantity });
        }
        if sources.len() != 1 {
            let ways = "`stated`, `assumed`, `outside`, `exact`, `claim`, `found`, `gpu`, `datasheet` or `model`";
            return Err(fail(format!("give exactly one of {ways}, not {}", sources.len())));
        }
        let place = self.place(span.clone());
        Ok(Input { source: sources.remove(0), unit, why: raw.why, place })
    }

    fn number(&self, number: Number, unit: &Unit, name: &str, span: Range<usize>) -> Result<Bound, ClaimError> {
        let bound = match number {
            Number::Whole(value) => Bound::Value(value as f64),
            Number::One(value) => Bound::Value(value),
            Number::Span([low, high]) => Bound::Range(low, high),
        };
        // Zero is a fair input (no reserve, no draft cost), a fair claim it is not.
        match bound {
            Bound::Value(0.0) => Ok(bound),
            bound => self.bound(bound, unit, &format!("input `{name}`"), span),
        }
    }

    fn assumption(&self, raw: Spanned<RawAssumption>, id: &str) -> Result<Assumption, ClaimError> {
        let place = self.place(raw.span());
        let raw = raw.into_inner();
        let mut alternatives = Vec::new();
        for raw in raw.alternatives {
            let span = raw.span();
            let raw = raw.into_inner();
            let set: Vec<_> = self.inputs(raw.set)?.into_iter().map(|(name, input)| (target(&name), input)).collect();
            if set.is_empty() && raw.tolerance.is_none() {
                return Err(self.error(span, format!("{id}: an alternative must `set` something")));
            }
            alternatives.push(Alternative { label: raw.label, set, tolerance: raw.tolerance });
        }
        Ok(Assumption { text: raw.text, decides: raw.decides, alternatives, place })
    }
}
