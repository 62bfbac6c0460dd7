//! A judgement laid open: every number with its unit and origin, every step, and what would change the verdict.

use std::fmt;

use super::claim::{Basis, Bound, Origin, Role};
use super::evidence::{Evidence, Rank};
use super::judge::Judge;
use super::judgement::{Backing, InputUsed, Judgement, PartJudgement, outcome};
use super::library::Library;
use super::verdict::{Verdict, show_factor};

/// The derivation behind one verdict.
#[derive(Debug, Clone, PartialEq)]
pub struct Explanation {
    /// The claim.
    pub id: String,
    /// What it says, in our words.
    pub says: String,
    /// Where it stands, who says it and as of when: `gpt4-leak, line 231; said by …; July 2023`.
    pub origin: String,
    /// How it is judged: kind of check, hedge, tolerance, and whether it is our derivation.
    pub terms: String,
    /// The verdict.
    pub verdict: Verdict,
    /// Claimed, found and factor in one sentence.
    pub summary: String,
    /// Each part worked out, those that are judged first.
    pub derivations: Vec<Derivation>,
    /// What else each assumption could be.
    pub alternatives: Vec<AlternativeLine>,
    /// What the recomputed figure would have to be for another verdict; `None` where nothing was compared.
    pub would_change: Option<String>,
    /// Claims it cannot be true with, each with the reason.
    pub conflicts: Vec<String>,
    /// What the verdict does not say.
    pub note: Option<String>,
}

/// One part worked out.
#[derive(Debug, Clone, PartialEq)]
pub struct Derivation {
    /// What it is.
    pub about: String,
    /// How it counts, where that is not plain: another reading, or shown for proportion.
    pub role: Role,
    /// The equation in words.
    pub equation: String,
    /// Its inputs, but for those that an earlier derivation has shown.
    pub inputs: Vec<InputLine>,
    /// How many of its inputs an earlier derivation has shown.
    pub shown_above: usize,
    /// Its steps, each with its value.
    pub steps: Vec<(String, String)>,
    /// What comes out, or why nothing does.
    pub result: String,
    /// What is claimed, as a part of a sentence: `claimed 3 TB/s`, `read as at least 10 %`.
    pub claimed: Option<String>,
    /// The verdict on it, with factor and ratio.
    pub verdict: Option<String>,
}

/// An input as a line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InputLine {
    /// What it is.
    pub about: String,
    /// Its value with unit.
    pub value: String,
    /// Where it comes from.
    pub origin: String,
    /// The single figures it is made of; none where the origin says all.
    pub behind: Vec<String>,
}

/// An alternative as a line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AlternativeLine {
    /// What was taken.
    pub assumption: String,
    /// What else it could be.
    pub label: String,
    /// The verdict and figure then.
    pub outcome: String,
    /// Whether the verdict is another one then.
    pub turns: bool,
}

impl Derivation {
    /// That some inputs were shown before: `and 4 inputs as above`.
    pub fn above(&self) -> Option<String> {
        match (self.shown_above, self.inputs.is_empty()) {
            (0, _) => None,
            (1, true) => Some("the input is as above".to_owned()),
            (1, false) => Some("and 1 input as above".to_owned()),
            (_, true) => Some("all inputs are as above".to_owned()),
            (number, false) => Some(format!("and {number} inputs as above")),
        }
    }
}

/// No claim has that id.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("there is no claim `{id}`; {hint}")]
pub struct UnknownClaim {
    id: String,
    hint: String,
}

/// The derivation of one of the library's claims.
///
/// # Errors
/// [`UnknownClaim`], with the ids that come nearest.
pub fn explain(id: &str, library: &Library, evidence: &Evidence) -> Result<Explanation, UnknownClaim> {
    match library.claim(id) {
        Some(claim) => Ok(Explanation::of(&Judge::new(library, evidence).claim(claim), library)),
        None => {
            let word = id.split_once('.').map_or(id, |(_, word)| word);
            let alike = |known: &&str| known.contains(word) || word.contains(known.split('.').nth(1).unwrap_or(known));
            let near: Vec<&str> = library.claims().iter().map(|claim| claim.id.as_str()).filter(alike).collect();
            let hint = match near.is_empty() {
                true => "`rooflint claims` lists them all".to_owned(),
                false => format!("did you mean {}?", near.join(", ")),
            };
            Err(UnknownClaim { id: id.to_owned(), hint })
        }
    }
}

impl Explanation {
    /// The derivation behind a judgement.
    pub fn of(judgement: &Judgement, library: &Library) -> Self {
        let claim = &judgement.claim;
        let headline = judgement.headline();
        let mut order: Vec<&PartJudgement> = judgement.parts.iter().filter(|part| part.formula.is_some()).collect();
        order.sort_by_key(|part| part.role == Role::Shown);
        let alternatives = judgement.movements.iter().map(|movement| AlternativeLine {
            assumption: movement.assumption.clone(),
            label: movement.label.clone(),
            outcome: outcome(&movement.verdict, &movement.parts, movement.headline),
            turns: movement.verdict.word() != judgement.as_taken.word(),
        });
        let conflicts = claim.conflicts.iter().map(|conflict| {
            let other = library.claim(&conflict.id).map_or("", |other| other.says.as_str());
            format!("{} ({other}): {}", conflict.id, conflict.why)
        });
        let mut derivations: Vec<Derivation> = order.into_iter().map(|part| derivation(part, library)).collect();
        let mut seen: Vec<InputLine> = Vec::new();
        for derivation in &mut derivations {
            let all = derivation.inputs.len();
            derivation.inputs.retain(|input| !seen.contains(input));
            derivation.shown_above = all - derivation.inputs.len();
            seen.extend(derivation.inputs.iter().cloned());
        }
        Self {
            id: claim.id.clone(),
            says: claim.says.clone(),
            origin: origin(judgement, library),
            terms: terms(judgement),
            verdict: judgement.verdict.clone(),
            summary: summary(judgement),
            derivations,
            alternatives: alternatives.collect(),
            would_change: headline.and_then(|part| would_change(part, claim.tolerance)),
            conflicts: conflicts.collect(),
            note: claim.note.clone(),
        }
    }
}

fn origin(judgement: &Judgement, library: &Library) -> String {
    let claim = &judgement.claim;
    let place = match claim.lines.as_slice() {
        [] => {
            format!("compares {}", claim.compares.iter().map(|id| place_of(id, library)).collect::<Vec<_>>().join(", "))
        }
        lines => format!("{}, {}", claim.document, show_lines(lines)),
    };
    format!("{place}; said by {}; as of {}", claim.said_by, claim.as_of)
}

/// `line 35`, `lines 35, 43 and 47`.
pub fn show_lines(lines: &[u32]) -> String {
    let texts: Vec<_> = lines.iter().map(u32::to_string).collect();
    match texts.split_last() {
        None => "no line".to_owned(),
        Some((last, [])) => format!("line {last}"),
        Some((last, rest)) => format!("lines {} and {last}", rest.join(", ")),
    }
}

/// A claim with its document and lines: `g4.params (gpt4-leak, line 35)`.
fn place_of(id: &str, library: &Library) -> String {
    match library.claim(id) {
        Some(claim) if !claim.lines.is_empty() => format!("{id} ({}, {})", claim.document, show_lines(&claim.lines)),
        _ => id.to_owned(),
    }
}

fn terms(judgement: &Judgement) -> String {
    let claim = &judgement.claim;
    let hedge = claim.hedge.as_ref().map_or_else(|| "no hedge".to_owned(), |hedge| format!("hedged “{hedge}”"));
    let whose = match claim.basis {
        Basis::Stated => "",
        Basis::Implied => "; our derivation, not a sentence of the document",
    };
    format!(
        "{} check; {hedge}, tolerance {} %{whose}",
        claim.check.word(),
        super::unit::number(claim.tolerance * 100.0)
    )
}

fn summary(judgement: &Judgement) -> String {
    let Some(part) = judgement.headline() else { return judgement.verdict.to_string() };
    let claimed = part.claimed_phrase();
    let found = part.found.map(|found| format!("recomputed {}", found.show(part.unit)));
    let numbers: Vec<_> = [claimed, found, part.show_distance()].into_iter().flatten().collect();
    let why = judgement.verdict.why().map_or_else(String::new, |why| format!(". {}", sentence(why)));
    format!("{} ({}): {}{why}", judgement.verdict, part.about, numbers.join(", "))
}

/// With a capital.
pub fn sentence(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}

fn derivation(part: &PartJudgement, library: &Library) -> Derivation {
    let result = match (part.found, &part.missing) {
        (Some(found), _) => found.show(part.unit),
        (None, Some(why)) => why.clone(),
        (None, None) => "not known".to_owned(),
    };
    let verdict = part.verdict.as_ref().map(|verdict| match part.show_distance() {
        Some(distance) => format!("{verdict}, {distance}"),
        None => verdict.to_string(),
    });
    Derivation {
        about: part.about.clone(),
        role: part.role,
        equation: part.formula.map_or_else(String::new, |formula| formula.about.to_owned()),
        inputs: part.inputs.iter().map(|input| input_line(input, library)).collect(),
        shown_above: 0,
        steps: part.steps.iter().map(|step| (step.text.clone(), step.unit.show(step.value))).collect(),
        result,
        claimed: part.claimed_phrase(),
        verdict,
    }
}

fn input_line(input: &InputUsed, library: &Library) -> InputLine {
    let source = match &input.backing {
        Backing::Given(Origin::Stated) => "stated".to_owned(),
        Backing::Given(Origin::Assumed) => "assumed".to_owned(),
        Backing::Given(Origin::Outside) => "from outside the documents".to_owned(),
        Backing::Given(Origin::Exact) => "by definition".to_owned(),
        Backing::Claimed { id } => format!("claimed in {}", place_of(id, library)),
        Backing::Found { id } => format!("recomputed in {id}"),
        Backing::Known { gpu, rank, source, upper_bound, .. } => {
            let bound = if *upper_bound { ", an upper bound" } else { "" };
            let whose = match rank {
                Rank::Measured => format!("measured on this {gpu}"),
                Rank::Reference => format!("reference measurement of {gpu}"),
                Rank::Datasheet => format!("datasheet of {gpu}"),
            };
            format!("{whose}{bound}: {source}")
        }
        Backing::Sheet { gpu, source } => format!("datasheet of {gpu}: {source}"),
        Backing::Model { model, about } => format!("{about} of {model}, from the model catalogue"),
        Backing::Default => "taken where a claim gives none".to_owned(),
    };
    let origin = match &input.why {
        Some(why) => format!("{source}: {why}"),
        None => source,
    };
    let behind = match &input.backing {
        Backing::Known { behind, .. } => behind.clone(),
        _ => Vec::new(),
    };
    InputLine { about: input.about.clone(), value: input.unit.show_span(input.low, input.high), origin, behind }
}

/// Between which values the recomputed figure would make the claim hold.
fn would_change(part: &PartJudgement, tolerance: f64) -> Option<String> {
    let (bound, found) = (part.claimed?, part.found?);
    let comparison = part.comparison?;
    let (least, most) = bound.ends();
    let (least, most) = (least / (1.0 + tolerance), most * (1.0 + tolerance));
    let span = match bound {
        Bound::AtLeast(_) => format!("at least {}", part.unit.show(least)),
        Bound::AtMost(_) => format!("at most {}", part.unit.show(most)),
        Bound::Value(_) | Bound::Range(..) => part.unit.show_span(least, most),
    };
    Some(format!(
        "it holds for a recomputed figure of {span}; found was {}, a factor of {} where {} is allowed",
        found.show(part.unit),
        show_factor(comparison.factor),
        show_factor(1.0 + tolerance)
    ))
}

impl fmt::Display for Explanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}  {}", self.id, self.says)?;
        writeln!(f, "  {}", self.origin)?;
        writeln!(f, "  {}", self.terms)?;
        writeln!(f, "\n{}", self.summary)?;
        for derivation in &self.derivations {
            writeln!(f, "\n{derivation}")?;
        }
        if !self.alternatives.is_empty() {
            writeln!(f, "\nIf what is taken here were otherwise")?;
            let mut taken = "";
            for line in &self.alternatives {
                if line.assumption != taken {
                    taken = &line.assumption;
                    writeln!(f, "  {taken}.")?;
                }
                let turns = if line.turns { "  <- another verdict" } else { "" };
                writeln!(f, "    {}: {}{turns}", line.label, line.outcome)?;
            }
        }
        if let Some(change) = &self.would_change {
            writeln!(f, "\nWhat would change it: {change}.")?;
        }
        for conflict in &self.conflicts {
            writeln!(f, "\nSet against {conflict}.")?;
        }
        if let Some(note) = &self.note {
            writeln!(f, "\n{note}")?;
        }
        Ok(())
    }
}

impl fmt::Display for Derivation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let role = match self.role {
            Role::Claim => "",
            Role::Reading | Role::Open => " (another reading)",
            Role::Shown => " (for proportion)",
        };
        writeln!(f, "{}{role}", self.about)?;
        writeln!(f, "  = {}", self.equation)?;
        for input in &self.inputs {
            writeln!(f, "    {}: {}  [{}]", input.about, input.value, input.origin)?;
            input.behind.iter().try_for_each(|line| writeln!(f, "      {line}"))?;
        }
        if let Some(above) = self.above() {
            writeln!(f, "    {above}")?;
        }
        for (text, value) in &self.steps {
            writeln!(f, "    {text} = {value}")?;
        }
        write!(f, "  = {}", self.result)?;
        if let Some(claimed) = &self.claimed {
            write!(f, "; {claimed}")?;
        }
        if let Some(verdict) = &self.verdict {
            write!(f, ": {verdict}")?;
        }
        Ok(())
    }
}
