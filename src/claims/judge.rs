//! The judge: evidence in, verdicts out.
//!
//! A part of a claim is recomputed by its formula from inputs that each know where they come from. Where an
//! input is a span of the document's own, the result is a span; where it is measured with an interval, every
//! end of the interval must agree on the verdict. Then each assumption's alternatives are tried one by one,
//! and capacities are read as GiB where they were read as GB: what moves is shown, and what the document
//! leaves open and turns the verdict makes it inconclusive.

use std::cell::RefCell;
use std::collections::BTreeMap;

use super::claim::{Bound, Check, Claim, Input, Origin, Part, Role, Source, Target};
use super::evidence::{ANY, Evidence, Fact, Quantity, Rank};
use super::formulas::{Formula, Step, Work};
use super::judgement::{Backing, Found, InputUsed, Judgement, Movement, PartJudgement, outcome};
use super::library::Library;
use super::unit::{self, Unit};
use super::verdict::{Side, Verdict, compare, verdict};
use crate::llm::Model;

/// How many bytes a GiB has for each of a GB.
pub const GIB_PER_GB: f64 = (1_u64 << 30) as f64 / 1e9;

/// The name of every input that is a GPU's memory, as marketing spells it: 80 GB may mean 80 GiB.
pub const CAPACITY: &str = "capacity";

/// What is otherwise than the claim file takes it.
#[derive(Clone, Copy, Default)]
struct Otherwise<'a> {
    set: &'a [(Target, Input)],
    tolerance: Option<f64>,
    capacity_in_gib: bool,
}

impl Otherwise<'_> {
    fn is_nothing(&self) -> bool {
        self.set.is_empty() && self.tolerance.is_none() && !self.capacity_in_gib
    }
}

/// Why a part was not recomputed.
#[derive(Debug, Clone)]
struct Unknown(String);

/// A part recomputed: its value, and its span at each end of the uncertainty (the first: at the middle).
#[derive(Debug, Clone)]
struct Recomputed {
    value: f64,
    spans: Vec<(f64, f64)>,
    inputs: Vec<InputUsed>,
    steps: Vec<Step>,
}

impl Recomputed {
    fn found(&self) -> Found {
        let (low, high) =
            self.spans.iter().fold((self.value, self.value), |(low, high), span| (low.min(span.0), high.max(span.1)));
        Found { value: self.value, low, high, uncertain: self.spans.len() > 1 }
    }
}

/// What was recomputed before, by document and claim.
type Memo<'a> = BTreeMap<(&'a str, &'a str), Result<Recomputed, Unknown>>;

/// Judges claims by one body of evidence.
pub struct Judge<'a> {
    library: &'a Library,
    evidence: &'a Evidence,
    models: Vec<Model>,
    memo: RefCell<Memo<'a>>,
}

impl<'a> Judge<'a> {
    /// A judge of the library's claims.
    pub fn new(library: &'a Library, evidence: &'a Evidence) -> Self {
        // The catalogue is part of the program; should it not be readable, what needs it is not testable and says so.
        let models = crate::llm::catalogue().unwrap_or_default();
        Self { library, evidence, models, memo: RefCell::default() }
    }

    /// The judgement of one of the library's claims.
    pub fn claim(&self, claim: &'a Claim) -> Judgement {
        let (parts, as_taken, headline) = self.taken(claim, Otherwise::default());
        let movements = self.movements(claim, &parts);
        let verdict = weigh(&as_taken, &parts, headline, &movements);
        let judged = parts.iter().filter(|part| part.verdict.is_some() && part.role == Role::Claim);
        let evidence = judged.filter_map(PartJudgement::evidence).max();
        Judgement { claim: claim.clone(), verdict, as_taken, parts, headline, movements, evidence }
    }

    /// Every part, and what they come to together.
    fn taken(&self, claim: &'a Claim, otherwise: Otherwise<'_>) -> (Vec<PartJudgement>, Verdict, Option<usize>) {
        let parts: Vec<_> = claim.parts.iter().map(|part| self.part(claim, part, otherwise)).collect();
        let (verdict, headline) = match claim.check {
            Check::Context => (Verdict::Context, parts.iter().position(|part| part.claimed.is_some())),
            _ => together(&parts),
        };
        (parts, verdict, headline)
    }

    fn movements(&self, claim: &'a Claim, taken: &[PartJudgement]) -> Vec<Movement> {
        let mut movements = Vec::new();
        let mut add = |assumption: &str, label: &str, decides, otherwise| {
            let (parts, verdict, headline) = self.taken(claim, otherwise);
            let (assumption, label) = (assumption.to_owned(), label.to_owned());
            movements.push(Movement { assumption, label, decides, verdict, parts, headline });
        };
        for assumption in &claim.assumptions {
            for alternative in &assumption.alternatives {
                let otherwise =
                    Otherwise { set: &alternative.set, tolerance: alternative.tolerance, capacity_in_gib: false };
                add(&assumption.text, &alternative.label, assumption.decides, otherwise);
            }
        }
        let mut capacities = claim.parts.iter().filter_map(|part| part.inputs.get(CAPACITY));
        let marketed = claim.parts.iter().any(|part| part.marketed) || capacities.any(|input| self.is_marketed(input));
        if claim.check != Check::Context && marketed {
            let otherwise = Otherwise { capacity_in_gib: true, ..Otherwise::default() };
            add(GB_TAKEN, GIB_LABEL, true, otherwise);
        }
        // Where GB or GiB make no difference to any figure there is nothing to show.
        movements.retain(|movement| movement.label != GIB_LABEL || differ(taken, &movement.parts));
        movements
    }

    /// Whether a capacity is the round number on the box: a measured one is exact.
    fn is_marketed(&self, input: &Input) -> bool {
        match &input.source {
            Source::Ceiling { gpu, quantity, .. } => {
                self.evidence.best(gpu, quantity).is_some_and(|fact| fact.rank == Rank::Datasheet)
            }
            _ => true,
        }
    }

    /// The rank at which a claim takes a quantity: the best that every GPU it names has. What one GPU was seen to do, set
    /// against what another's maker promises, would be a comparison of neither.
    fn rank(&self, claim: &Claim, wanted: &Quantity, otherwise: Otherwise<'_>) -> Rank {
        let mut rank = Rank::Measured;
        for part in &claim.parts {
            for (name, own) in &part.inputs {
                let swapped = otherwise.set.iter().find(|(target, _)| target.input == *name && target.applies_to(part));
                let input = swapped.map_or(own, |(_, input)| input);
                if let Source::Ceiling { gpu, quantity, .. } = &input.source
                    && quantity.id == wanted.id
                    && let Some(fact) = self.evidence.best(gpu, quantity)
                {
                    rank = rank.max(fact.rank);
                }
            }
        }
        rank
    }

    fn part(&self, claim: &'a Claim, part: &'a Part, otherwise: Otherwise<'_>) -> PartJudgement {
        let mut judged = PartJudgement {
            name: part.name.clone(),
            about: part.about.clone(),
            role: part.role,
            unit: part.unit,
            worded: part.worded,
            claimed: part.bound.map(|bound| match part.marketed && otherwise.capacity_in_gib {
                true => bound.scaled(GIB_PER_GB),
                false => bound,
            }),
            found: None,
            missing: None,
            comparison: None,
            verdict: None,
            formula: part.formula,
            inputs: Vec::new(),
            steps: Vec::new(),
        };
        if part.formula.is_none() {
            return judged;
        }
        let tolerance = otherwise.tolerance.unwrap_or(claim.tolerance);
        match self.recompute(claim, part, otherwise) {
            Ok(recomputed) => {
                judged.found = Some(recomputed.found());
                if let Some(bound) = judged.claimed {
                    let at = |span: &(f64, f64)| compare(bound, tolerance, span.0, recomputed.value, span.1);
                    let comparisons: Vec<_> = recomputed.spans.iter().map(at).collect();
                    judged.comparison = comparisons.first().copied();
                    judged.verdict = Some(verdict(&comparisons, tolerance));
                }
                judged.inputs = recomputed.inputs;
                judged.steps = recomputed.steps;
            }
            Err(Unknown(why)) => {
                judged.missing = Some(why.clone());
                judged.verdict = part.bound.map(|_| Verdict::NotTestable { why });
            }
        }
        if claim.check == Check::Context {
            judged.verdict = None;
        }
        judged
    }

    fn recompute(&self, claim: &'a Claim, part: &'a Part, otherwise: Otherwise<'_>) -> Result<Recomputed, Unknown> {
        if !otherwise.is_nothing() {
            return self.recompute_afresh(claim, part, otherwise);
        }
        let key = (claim.id.as_str(), part.name.as_str());
        if let Some(known) = self.memo.borrow().get(&key) {
            return known.clone();
        }
        let fresh = self.recompute_afresh(claim, part, otherwise);
        self.memo.borrow_mut().insert(key, fresh.clone());
        fresh
    }

    fn recompute_afresh(
        &self,
        claim: &'a Claim,
        part: &'a Part,
        otherwise: Otherwise<'_>,
    ) -> Result<Recomputed, Unknown> {
        let formula = part.formula.ok_or_else(|| Unknown("nothing recomputes it".to_owned()))?;
        let mut inputs = Vec::new();
        let swapped = |name: &str| {
            let mut set = otherwise.set.iter().filter(|(target, _)| target.input == name && target.applies_to(part));
            set.next().map(|(_, input)| input)
        };
        let named = formula.specs().map(|spec| spec.name);
        let free = part
            .inputs
            .keys()
            .map(String::as_str)
            .filter(|name| formula.variadic || formula.specs().all(|s| s.name != *name));
        for name in named.chain(free) {
            let spec = formula.specs().find(|spec| spec.name == name);
            let about = spec.map_or_else(|| name.replace('_', " "), |spec| spec.about.to_owned());
            let input = swapped(name).or_else(|| part.inputs.get(name));
            let mut used = match (input, spec.and_then(|spec| spec.default)) {
                (Some(input), _) => self.resolve(claim, input, otherwise)?,
                (None, Some(default)) => {
                    let unit = unit::base(spec.map_or(unit::Kind::Ratio, |spec| spec.kind));
                    point(default, unit, Backing::Default)
                }
                (None, None) => return Err(Unknown(format!("input `{name}` is missing"))),
            };
            if otherwise.capacity_in_gib && name == CAPACITY && input.is_some_and(|input| self.is_marketed(input)) {
                used = InputUsed {
                    value: used.value * GIB_PER_GB,
                    low: used.low * GIB_PER_GB,
                    high: used.high * GIB_PER_GB,
                    ..used
                };
            }
            inputs.push(InputUsed { name: name.to_owned(), about, ..used });
        }
        spread(formula, inputs).map_err(Unknown)
    }

    /// An input's value with its origin.
    fn resolve(&self, claim: &'a Claim, input: &Input, otherwise: Otherwise<'_>) -> Result<InputUsed, Unknown> {
        let used = match &input.source {
            Source::Given { bound, origin } => {
                let unit = input.unit.unwrap_or_else(|| unit::base(unit::Kind::Ratio));
                spanned(*bound, unit, Backing::Given(*origin))
            }
            Source::Claimed { id, part } => {
                let (_, part) = self.find(id, part.as_deref())?;
                let bound = part.bound.ok_or_else(|| Unknown(format!("`{id}` states no such figure")))?;
                spanned(bound, part.unit, Backing::Claimed { id: id.clone() })
            }
            Source::Found { id, part } => {
                let (other, part) = self.find(id, part.as_deref())?;
                // Another part of the same claim moves with it.
                let otherwise = if other.id == claim.id { otherwise } else { Otherwise::default() };
                let recomputed = self.recompute(other, part, otherwise)?;
                let found = recomputed.found();
                let used = point(found.value, part.unit, Backing::Found { id: id.clone() });
                let rank = recomputed.inputs.iter().filter_map(|input| input.rank).max();
                InputUsed { low: found.low, high: found.high, uncertain: found.uncertain, rank, ..used }
            }
            Source::Ceiling { gpu, quantity, otherwise: unknown } => {
                match (self.evidence.at(gpu, quantity, self.rank(claim, quantity, otherwise)), unknown) {
                    (Some(fact), _) => known(fact, input.unit),
                    (None, Some(value)) => {
                        let unit = input.unit.unwrap_or_else(|| unit::readable(quantity.kind));
                        point(*value, unit, Backing::Given(Origin::Assumed))
                    }
                    (None, None) => {
                        let whose = if gpu == ANY {
                            "no device was measured for it".to_owned()
                        } else {
                            format!("nothing is known of {gpu}")
                        };
                        return Err(Unknown(format!("needs a measurement ({}); {whose}", quantity.about)));
                    }
                }
            }
            Source::Model { model, quantity } => {
                let value = self.models.iter().find(|known| known.id == *model).map(|known| (quantity.of)(known));
                let value = value.ok_or_else(|| Unknown(format!("there is no model `{model}`")))?;
                let value = value.map_err(|error| Unknown(error.to_string()))?;
                point(
                    value,
                    unit::readable(quantity.kind),
                    Backing::Model { model: model.clone(), about: quantity.about },
                )
            }
            Source::Datasheet { gpu, quantity } => match self.evidence.datasheet(gpu, quantity) {
                Some(fact) => {
                    let backing = Backing::Sheet { gpu: fact.gpu.clone(), source: fact.source.clone() };
                    point(fact.value.value, input.unit.unwrap_or_else(|| unit::readable(quantity.kind)), backing)
                }
                None => return Err(Unknown(format!("the datasheet of {gpu} gives no {}", quantity.about))),
            },
        };
        Ok(InputUsed { why: input.why.clone(), ..used })
    }

    fn find(&self, id: &str, part: Option<&str>) -> Result<(&'a Claim, &'a Part), Unknown> {
        let claim = self.library.claim(id).ok_or_else(|| Unknown(format!("there is no claim `{id}`")))?;
        let part = claim.part(part).ok_or_else(|| Unknown(format!("`{id}` has no such part")))?;
        Ok((claim, part))
    }
}

/// Whether any figure or bound is another one.
fn differ(one: &[PartJudgement], other: &[PartJudgement]) -> bool {
    one.iter().zip(other).any(|(one, other)| one.found != other.found || one.claimed != other.claimed)
}

/// The assumption behind every capacity taken from a datasheet.
pub const GB_TAKEN: &str = "GB of memory are taken as 10^9 bytes";
/// The label of its alternative.
pub const GIB_LABEL: &str = "GB of memory read as GiB";

fn point(value: f64, unit: &'static Unit, backing: Backing) -> InputUsed {
    let (name, about) = (String::new(), String::new());
    InputUsed { name, about, value, low: value, high: value, uncertain: false, unit, backing, rank: None, why: None }
}

fn spanned(bound: Bound, unit: &'static Unit, backing: Backing) -> InputUsed {
    let (low, high) = match bound {
        Bound::Range(low, high) => (low, high),
        other => (other.middle(), other.middle()),
    };
    InputUsed { low, high, ..point(bound.middle(), unit, backing) }
}

fn known(fact: &Fact, unit: Option<&'static Unit>) -> InputUsed {
    let backing = Backing::Known {
        gpu: fact.gpu.clone(),
        rank: fact.rank,
        source: fact.source.clone(),
        behind: fact.behind.clone(),
        upper_bound: fact.rank == Rank::Datasheet && fact.quantity.is_ceiling(),
    };
    let unit = unit.unwrap_or_else(|| unit::readable(fact.quantity.kind));
    let used = point(fact.value.value, unit, backing);
    let (low, high) = (fact.value.low, fact.value.high);
    InputUsed { low, high, uncertain: low < high, rank: Some(fact.rank), ..used }
}

/// The formula's results at the middle of all inputs, over the document's spans, and at each end of what is uncertain.
/// Exact for a formula monotone in each input, which every one here is.
fn spread(formula: &'static Formula, inputs: Vec<InputUsed>) -> Result<Recomputed, String> {
    let ends = |uncertain| -> Vec<usize> {
        (0..inputs.len()).filter(|&i| inputs[i].low < inputs[i].high && inputs[i].uncertain == uncertain).collect()
    };
    let (spans, intervals) = (ends(false), ends(true));
    let mut at: BTreeMap<String, f64> = inputs.iter().map(|input| (input.name.clone(), input.value)).collect();
    let value_at = |at: &BTreeMap<String, f64>| -> Result<(f64, Vec<Step>), String> {
        let mut work = Work::new(at);
        let value = (formula.evaluate)(&mut work).map_err(|error| format!("{}: {error}", formula.id))?;
        match value.is_finite() && value >= 0.0 {
            true => Ok((value, work.into_steps())),
            false => Err(format!("{} gives {value}", formula.id)),
        }
    };
    let (value, steps) = value_at(&at)?;
    let mut results = Vec::new();
    // The middle first, then every corner of the uncertain inputs.
    let corners = if intervals.is_empty() { 0 } else { 1_usize << intervals.len() };
    for corner in std::iter::once(None).chain((0..corners).map(Some)) {
        for (bit, &i) in intervals.iter().enumerate() {
            let input = &inputs[i];
            let end = corner.map_or(input.value, |corner| if corner >> bit & 1 == 1 { input.high } else { input.low });
            at.insert(input.name.clone(), end);
        }
        let mut span = (f64::INFINITY, f64::NEG_INFINITY);
        for corner in 0..1_usize << spans.len() {
            for (bit, &i) in spans.iter().enumerate() {
                let input = &inputs[i];
                at.insert(input.name.clone(), if corner >> bit & 1 == 1 { input.high } else { input.low });
            }
            let (value, _) = value_at(&at)?;
            span = (span.0.min(value), span.1.max(value));
        }
        results.push(span);
    }
    Ok(Recomputed { value, spans: results, inputs, steps })
}

/// The verdict on all parts that count, and the part it rests on.
fn together(parts: &[PartJudgement]) -> (Verdict, Option<usize>) {
    let counted: Vec<(usize, &Verdict)> = parts
        .iter()
        .enumerate()
        .filter(|(_, part)| part.role == Role::Claim)
        .filter_map(|(i, part)| Some((i, part.verdict.as_ref()?)))
        .collect();
    let worst = counted.iter().filter_map(|(i, verdict)| match verdict {
        Verdict::Diverges { factor } => Some((*factor, *i)),
        _ => None,
    });
    if let Some((factor, i)) = worst.max_by(|a, b| a.0.total_cmp(&b.0)) {
        return (Verdict::Diverges { factor }, Some(i));
    }
    let with = |word: &str| counted.iter().find(|(_, verdict)| verdict.word() == word).copied();
    let untested = counted.iter().filter(|(_, verdict)| verdict.word() == "not_testable").count();
    match (with("inconclusive"), with("not_testable"), with("holds")) {
        (Some((i, verdict)), _, _) => (verdict.clone(), Some(i)),
        (None, Some((_, missing)), Some((i, _))) => {
            let held = counted.len() - untested;
            let needs = missing.why().unwrap_or("is not tested");
            let why =
                format!("{held} of {} parts hold{}; the rest {needs}", counted.len(), if held == 1 { "s" } else { "" });
            (Verdict::Inconclusive { why }, Some(i))
        }
        (None, Some((i, verdict)), None) => (verdict.clone(), Some(i)),
        (None, None, Some((i, _))) => (Verdict::Holds, Some(i)),
        (None, None, None) => (Verdict::NotTestable { why: "no part of it can be recomputed".to_owned() }, None),
    }
}

/// The verdict once what the document leaves open is weighed: it must not turn on a choice made here.
fn weigh(as_taken: &Verdict, parts: &[PartJudgement], headline: Option<usize>, movements: &[Movement]) -> Verdict {
    if matches!(as_taken, Verdict::Context | Verdict::NotTestable { .. }) {
        return as_taken.clone();
    }
    let side = |parts: &[PartJudgement], at: Option<usize>| Some(parts.get(at?)?.comparison?.side);
    let turns = |movement: &&Movement| {
        let sides = (side(parts, headline), side(&movement.parts, movement.headline));
        let opposite = matches!(
            sides,
            (Some(Side::ClaimHigher), Some(Side::ClaimLower)) | (Some(Side::ClaimLower), Some(Side::ClaimHigher))
        );
        let testable = !matches!(movement.verdict, Verdict::NotTestable { .. });
        movement.decides && testable && (movement.verdict.word() != as_taken.word() || opposite)
    };
    let open = parts.iter().filter(|part| part.role == Role::Open);
    for other in open.filter_map(|part| Some((part, part.verdict.as_ref()?))) {
        let (part, verdict) = other;
        if verdict.word() != as_taken.word() {
            let why = format!(
                "turns on how it is read: {}, but {verdict} as {}",
                outcome(as_taken, parts, headline),
                part.about
            );
            return Verdict::Inconclusive { why };
        }
    }
    match movements.iter().find(turns) {
        Some(movement) => Verdict::Inconclusive {
            why: format!(
                "turns on what is not said. {}: {}. {}: {}",
                movement.assumption,
                outcome(as_taken, parts, headline),
                movement.label,
                outcome(&movement.verdict, &movement.parts, movement.headline)
            ),
        },
        None => as_taken.clone(),
    }
}
