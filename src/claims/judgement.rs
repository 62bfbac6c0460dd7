//! What the judge hands over: verdict, recomputed figures, origins of every input, and what moves the verdict.

use std::collections::BTreeMap;

use super::claim::{Bound, Claim, Origin, Role};
use super::evidence::Rank;
use super::formulas::{Formula, Step};
use super::unit::{self, Unit};
use super::verdict::{Comparison, Verdict, show_factor};

/// A claim, judged.
#[derive(Debug, Clone)]
pub struct Judgement {
    /// The claim.
    pub claim: Claim,
    /// The verdict.
    pub verdict: Verdict,
    /// The verdict on the inputs as taken, before what the document leaves open was weighed.
    pub as_taken: Verdict,
    /// Each part, recomputed and compared.
    pub parts: Vec<PartJudgement>,
    /// The part that the verdict rests on.
    pub headline: Option<usize>,
    /// What else each assumption could be, and what would come of it.
    pub movements: Vec<Movement>,
    /// The weakest evidence of a GPU that the verdict rests on; `None` where it rests on none.
    pub evidence: Option<Rank>,
}

/// A part of a claim, judged.
#[derive(Debug, Clone)]
pub struct PartJudgement {
    /// Its name.
    pub name: String,
    /// What it is.
    pub about: String,
    /// How it counts.
    pub role: Role,
    /// The unit both sides are shown in.
    pub unit: &'static Unit,
    /// Whether the document says it in words, and the number is how they are read here.
    pub worded: bool,
    /// What is claimed.
    pub claimed: Option<Bound>,
    /// What was recomputed.
    pub found: Option<Found>,
    /// Why nothing was, where a formula was to.
    pub missing: Option<String>,
    /// How both compare, at the middle of every uncertainty.
    pub comparison: Option<Comparison>,
    /// What is said of it; `None` for what is only recorded or shown.
    pub verdict: Option<Verdict>,
    /// The formula.
    pub formula: Option<&'static Formula>,
    /// Its inputs with their origins.
    pub inputs: Vec<InputUsed>,
    /// The derivation.
    pub steps: Vec<Step>,
}

impl PartJudgement {
    /// The weakest evidence of a GPU that it rests on; `None` where it rests on none.
    pub fn evidence(&self) -> Option<Rank> {
        self.inputs.iter().filter_map(|input| input.rank).max()
    }

    /// What is claimed, in its unit; said to be a reading where the document has words and no number.
    pub fn show_claimed(&self) -> Option<String> {
        let shown = self.claimed?.show(self.unit);
        Some(if self.worded { format!("read as {shown}") } else { shown })
    }

    /// The same as a part of a sentence: `claimed 3 TB/s`, `read as at least 10 %`.
    pub fn claimed_phrase(&self) -> Option<String> {
        let shown = self.show_claimed()?;
        Some(if self.worded { shown } else { format!("claimed {shown}") })
    }

    /// Its inputs by name, each at its middle, in base units.
    pub fn values(&self) -> BTreeMap<String, f64> {
        self.inputs.iter().map(|input| (input.name.clone(), input.value)).collect()
    }
}

/// A recomputed figure, in the base unit.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Found {
    /// From the middle of every input.
    pub value: f64,
    /// The lowest over the inputs' spans and intervals.
    pub low: f64,
    /// The highest.
    pub high: f64,
    /// Whether low and high come from measurement rather than from the document's own latitude.
    pub uncertain: bool,
}

/// An input as it was used.
#[derive(Debug, Clone, PartialEq)]
pub struct InputUsed {
    /// Its name.
    pub name: String,
    /// What it is.
    pub about: String,
    /// Its value in the base unit.
    pub value: f64,
    /// Lower end of its span or interval.
    pub low: f64,
    /// Upper end.
    pub high: f64,
    /// Whether low and high are uncertainty rather than the document's own latitude.
    pub uncertain: bool,
    /// The unit it reads best in.
    pub unit: &'static Unit,
    /// Where it comes from.
    pub backing: Backing,
    /// The weakest evidence of a GPU behind it; `None` where there is none.
    pub rank: Option<Rank>,
    /// Why this value.
    pub why: Option<String>,
}

/// Where an input's value comes from, once resolved.
#[derive(Debug, Clone, PartialEq)]
pub enum Backing {
    /// A number, with who stands behind it.
    Given(Origin),
    /// What another claim states.
    Claimed {
        /// Its id.
        id: String,
    },
    /// What was recomputed for another claim, or for another part of this one.
    Found {
        /// Its id.
        id: String,
    },
    /// What is known of a GPU.
    Known {
        /// The GPU.
        gpu: String,
        /// Of what quality.
        rank: Rank,
        /// Says who.
        source: String,
        /// The single figures behind it.
        behind: Vec<String>,
        /// Whether it is a ceiling no program passes: a datasheet's rate.
        upper_bound: bool,
    },
    /// What a datasheet says, asked for as such: the peak that a utilisation is a share of.
    Sheet {
        /// The GPU.
        gpu: String,
        /// Says who.
        source: String,
    },
    /// What follows from a model's shape.
    Model {
        /// The model.
        model: String,
        /// What it is.
        about: &'static str,
    },
    /// The formula's own default.
    Default,
}

/// What becomes of a claim if something it leaves open is otherwise.
#[derive(Debug, Clone)]
pub struct Movement {
    /// What was taken.
    pub assumption: String,
    /// What else it could be.
    pub label: String,
    /// Whether turning on this makes the claim inconclusive.
    pub decides: bool,
    /// The verdict then.
    pub verdict: Verdict,
    /// The parts then.
    pub parts: Vec<PartJudgement>,
    /// The part that verdict rests on.
    pub headline: Option<usize>,
}

/// What a verdict rests on that is no evidence of a GPU, the least certain first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Ground {
    /// The documents' own figures and definitions alone.
    Documents,
    /// Also a figure from outside them, with its source.
    Outside,
    /// Also something taken here because no document says it.
    Assumptions,
}

impl Judgement {
    /// What the parts that are judged rest on beside evidence of GPUs.
    pub fn ground(&self) -> Ground {
        let judged = self.parts.iter().filter(|part| part.verdict.is_some() && part.role == Role::Claim);
        let grounds = judged.flat_map(|part| &part.inputs).map(|input| match input.backing {
            Backing::Given(Origin::Outside) => Ground::Outside,
            Backing::Given(Origin::Assumed) => Ground::Assumptions,
            _ => Ground::Documents,
        });
        grounds.max().unwrap_or(Ground::Documents)
    }

    /// Whether anything known of a GPU beyond its datasheet went into it.
    pub fn rests_on_more_than_sheets(&self) -> bool {
        let mut ranks = self.parts.iter().flat_map(|part| &part.inputs).filter_map(|input| input.rank);
        ranks.any(|rank| rank != Rank::Datasheet)
    }

    /// The part the verdict rests on.
    pub fn headline(&self) -> Option<&PartJudgement> {
        self.parts.get(self.headline?)
    }

    /// The part of that name.
    pub fn part(&self, name: &str) -> Option<&PartJudgement> {
        self.parts.iter().find(|part| part.name == name)
    }

    /// What was recomputed for the part of that name.
    pub fn found(&self, name: &str) -> Option<Found> {
        self.part(name)?.found
    }

    /// The movement of that label.
    pub fn movement(&self, label: &str) -> Option<&Movement> {
        self.movements.iter().find(|movement| movement.label == label)
    }

    /// Movements that end in another verdict than the inputs as taken.
    pub fn turns(&self) -> impl Iterator<Item = &Movement> {
        self.movements.iter().filter(|movement| movement.verdict.word() != self.as_taken.word())
    }
}

impl Movement {
    /// What was recomputed for the part of that name.
    pub fn found(&self, name: &str) -> Option<Found> {
        self.parts.iter().find(|part| part.name == name)?.found
    }
}

/// A verdict with the figure it rests on: `diverges x1.45 (0.0071 USD/1000 tokens)`.
pub fn outcome(verdict: &Verdict, parts: &[PartJudgement], headline: Option<usize>) -> String {
    let found = headline.and_then(|at| parts.get(at)).and_then(|part| Some((part.unit, part.found?)));
    match found {
        Some((unit, found)) => format!("{verdict} ({})", found.show(unit)),
        None => verdict.to_string(),
    }
}

impl Found {
    /// In a unit: the value, or its span.
    pub fn show(&self, unit: &Unit) -> String {
        unit.show_span(self.low, self.high)
    }
}

impl PartJudgement {
    /// How far apart both sides are: `factor 1.16, claim / recomputed 1.16`.
    pub fn show_distance(&self) -> Option<String> {
        let comparison = self.comparison?;
        let ratio = unit::number(comparison.ratio);
        Some(format!("factor {}, claim / recomputed {ratio}", show_factor(comparison.factor)))
    }
}
