//! What a claim is: who says what of which quantity, and what it is to be recomputed from.

use std::collections::BTreeMap;
use std::fmt;

use super::evidence::Quantity;
use super::formulas::Formula;
use super::model::ModelQuantity;
use super::unit::Unit;

/// A place in a claim file.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// The file's name, as the caller gave it.
    pub file: String,
    /// Line, from 1.
    pub line: usize,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.file, self.line)
    }
}

/// A document whose claims are judged.
#[derive(Debug, Clone, PartialEq)]
pub struct Document {
    /// Short name.
    pub id: String,
    /// Title, in English.
    pub title: String,
    /// Where it was published.
    pub source: String,
    /// Whose figures they are, unless a claim names someone else.
    pub speaker: String,
    /// The date its prices and forecasts speak of, unless a claim gives another.
    pub as_of: String,
    /// What a reader must know before holding anyone to it.
    pub about: String,
}

/// How a claim is judged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Check {
    /// Recomputed from stated figures; needs no device.
    Arithmetic,
    /// A figure of a GPU, set against what that GPU does.
    Hardware,
    /// The cost model's prediction from the ceilings of the GPU the claim names.
    Model,
    /// How something scales: a ratio, a crossover, a trend.
    Shape,
    /// Recorded with its reason; nothing here can test it, or nothing is asserted.
    Context,
}

impl Check {
    /// Every kind of check with its word.
    pub const ALL: [(Self, &'static str); 5] = [
        (Self::Arithmetic, "arithmetic"),
        (Self::Hardware, "hardware"),
        (Self::Model, "model"),
        (Self::Shape, "shape"),
        (Self::Context, "context"),
    ];

    /// Its word in files and reports.
    pub fn word(self) -> &'static str {
        Self::ALL.iter().find(|(check, _)| *check == self).map_or("?", |(_, word)| word)
    }
}

/// Whether the document says it, or it follows from what the document says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Basis {
    /// A sentence of the document.
    Stated,
    /// Derived here from the document's figures: a verdict on it is no error of the document.
    Implied,
}

/// What a part of a claim asserts, in the base unit of its kind.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Bound {
    /// This value.
    Value(f64),
    /// Somewhere in this range.
    Range(f64, f64),
    /// This or more.
    AtLeast(f64),
    /// This or less.
    AtMost(f64),
}

impl Bound {
    /// Both ends: an open side is infinite (or zero: nothing here is negative).
    pub fn ends(self) -> (f64, f64) {
        match self {
            Self::Value(value) => (value, value),
            Self::Range(low, high) => (low, high),
            Self::AtLeast(low) => (low, f64::INFINITY),
            Self::AtMost(high) => (0.0, high),
        }
    }

    /// The one number that stands for it: the middle of a range, the finite end of an open one.
    pub fn middle(self) -> f64 {
        match self {
            Self::Value(value) | Self::AtLeast(value) | Self::AtMost(value) => value,
            Self::Range(low, high) => (low + high) / 2.0,
        }
    }

    /// Every end times a factor.
    #[must_use]
    pub fn scaled(self, factor: f64) -> Self {
        match self {
            Self::Value(value) => Self::Value(value * factor),
            Self::Range(low, high) => Self::Range(low * factor, high * factor),
            Self::AtLeast(low) => Self::AtLeast(low * factor),
            Self::AtMost(high) => Self::AtMost(high * factor),
        }
    }

    /// In a unit: `at most 30 GB`.
    pub fn show(self, unit: &Unit) -> String {
        match self {
            Self::Value(value) => unit.show(value),
            Self::Range(low, high) => unit.show_span(low, high),
            Self::AtLeast(low) => format!("at least {}", unit.show(low)),
            Self::AtMost(high) => format!("at most {}", unit.show(high)),
        }
    }
}

/// How a part of a claim counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// It is judged, and the claim holds only if it does.
    Claim,
    /// Another way to read the same words: judged and shown, without deciding.
    Reading,
    /// Another way to read the same words that is as good as the first: where they disagree, the claim is inconclusive.
    Open,
    /// A figure that follows and helps to see the claim in proportion: shown, not judged.
    Shown,
}

/// One quantity of a claim.
#[derive(Debug, Clone)]
pub struct Part {
    /// Its name, unique in the claim.
    pub name: String,
    /// What it is, in words.
    pub about: String,
    /// How it counts.
    pub role: Role,
    /// What is asserted; `None` where only a recomputed figure is shown.
    pub bound: Option<Bound>,
    /// The unit both sides are shown in.
    pub unit: &'static Unit,
    /// Whether the document says it in words, and the number is how they are read here.
    pub worded: bool,
    /// Whether what is asserted is a GPU's memory as marketing spells it, so that its GB may mean GiB.
    pub marketed: bool,
    /// What recomputes it; `None` for a figure that is only recorded.
    pub formula: Option<&'static Formula>,
    /// The formula's inputs by name.
    pub inputs: BTreeMap<String, Input>,
    /// Where it stands.
    pub place: Place,
}

/// Where a given number comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// The claim's own document says it.
    Stated,
    /// No document says it; it is taken so here, and the report says that.
    Assumed,
    /// It comes from outside the documents, with a source.
    Outside,
    /// A definition: hours in a day, bits in a byte.
    Exact,
}

impl Origin {
    /// The key that gives a number this origin in a claim file, and its word in reports.
    pub fn word(self) -> &'static str {
        match self {
            Self::Stated => "stated",
            Self::Assumed => "assumed",
            Self::Outside => "outside",
            Self::Exact => "exact",
        }
    }
}

/// Where an input's value comes from.
#[derive(Debug, Clone, PartialEq)]
pub enum Source {
    /// A number, or the document's own span of it, in the base unit.
    Given {
        /// The number or span.
        bound: Bound,
        /// Who stands behind it.
        origin: Origin,
    },
    /// What another claim states.
    Claimed {
        /// Its id.
        id: String,
        /// Which part; the first if not said.
        part: Option<String>,
    },
    /// What was recomputed for another claim.
    Found {
        /// Its id.
        id: String,
        /// Which part; the first if not said.
        part: Option<String>,
    },
    /// What a GPU does, by the best evidence at hand.
    Ceiling {
        /// The GPU's id.
        gpu: String,
        /// What of it.
        quantity: &'static Quantity,
        /// Taken where there is no evidence at all, in the base unit.
        otherwise: Option<f64>,
    },
    /// What a GPU's datasheet says, whatever was measured: the denominator of a utilisation.
    Datasheet {
        /// The GPU's id.
        gpu: String,
        /// What of it.
        quantity: &'static Quantity,
    },
    /// What follows from a model's shape in the catalogue.
    Model {
        /// The model's id.
        model: String,
        /// What of it.
        quantity: &'static ModelQuantity,
    },
}

/// One input of a formula.
#[derive(Debug, Clone, PartialEq)]
pub struct Input {
    /// Where its value comes from.
    pub source: Source,
    /// The unit it was given in; `None` where its source knows.
    pub unit: Option<&'static Unit>,
    /// Why this value, or where exactly it is from.
    pub why: Option<String>,
    /// Where it stands.
    pub place: Place,
}

/// Something the document leaves open, and what else it could be.
#[derive(Debug, Clone)]
pub struct Assumption {
    /// What is taken, and that it is not said.
    pub text: String,
    /// Whether the verdict is inconclusive if it turns on this: the document leaves it open, and no
    /// reading of its words is the plain one.
    pub decides: bool,
    /// What else it could be.
    pub alternatives: Vec<Alternative>,
    /// Where it stands.
    pub place: Place,
}

/// Another value for what an assumption takes.
#[derive(Debug, Clone)]
pub struct Alternative {
    /// What it is, in words.
    pub label: String,
    /// Inputs it replaces.
    pub set: Vec<(Target, Input)>,
    /// The tolerance it would allow, if it is one about wording.
    pub tolerance: Option<f64>,
}

/// An input that an alternative replaces: of one part, or of every part that takes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// The one part; `None` for all.
    pub part: Option<String>,
    /// The input's name.
    pub input: String,
}

impl Target {
    /// Whether the part takes this input.
    pub fn applies_to(&self, part: &Part) -> bool {
        let takes = || {
            let known = part.formula.is_some_and(|formula| formula.specs().any(|spec| spec.name == self.input));
            known || part.inputs.contains_key(&self.input)
        };
        self.part.as_ref().is_none_or(|name| *name == part.name) && takes()
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.part {
            Some(part) => write!(f, "{part}.{}", self.input),
            None => f.write_str(&self.input),
        }
    }
}

/// A claim that cannot be true together with another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Conflict {
    /// The other's id.
    pub id: String,
    /// Why not.
    pub why: String,
}

/// One claim of a document.
#[derive(Debug, Clone)]
pub struct Claim {
    /// Unique name: the document's prefix, a dot, a word.
    pub id: String,
    /// The document's id.
    pub document: String,
    /// Lines of the document.
    pub lines: Vec<u32>,
    /// The claims a comparison across documents sets against each other.
    pub compares: Vec<String>,
    /// Who says it.
    pub said_by: String,
    /// The date it speaks of.
    pub as_of: String,
    /// Said, or derived here.
    pub basis: Basis,
    /// What it says, in our words.
    pub says: String,
    /// The document's hedge: about, nearly, roughly.
    pub hedge: Option<String>,
    /// How far claim and recomputation may be apart: 0.05 is 5 %.
    pub tolerance: f64,
    /// How it is judged.
    pub check: Check,
    /// Its quantities.
    pub parts: Vec<Part>,
    /// What it leaves open.
    pub assumptions: Vec<Assumption>,
    /// Claims it cannot be true with.
    pub conflicts: Vec<Conflict>,
    /// What a verdict on it does not say.
    pub note: Option<String>,
    /// Where it stands.
    pub place: Place,
}

/// Tolerance of a figure given without a hedge.
pub const PLAIN: f64 = 0.05;
/// Tolerance of a figure given with one.
pub const HEDGED: f64 = 0.10;

impl Claim {
    /// The part of that name, or the first.
    pub fn part(&self, name: Option<&str>) -> Option<&Part> {
        match name {
            Some(name) => self.parts.iter().find(|part| part.name == name),
            None => self.parts.first(),
        }
    }
}
