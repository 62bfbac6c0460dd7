//! The formulas a claim can name: each a small function with named inputs, over the cost model.
//!
//! A formula gets plain numbers in base units and gives one number; it notes the steps on its way, so
//! that `explain` can show the derivation. Intervals are the judge's business: it asks a formula at the
//! ends of every uncertain input.

mod demand;
mod generic;
mod moe;
mod serving;
mod shape;
mod speculation;
mod training;

pub use serving::deployed;

use std::collections::BTreeMap;

use super::unit::{self, Kind, Unit};
use crate::cost::{CostError, Figure};
use crate::llm::ModelError;

/// An input a formula takes.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Spec {
    /// Its name in claim files.
    pub name: &'static str,
    /// What it must be.
    pub kind: Kind,
    /// What it is.
    pub about: &'static str,
    /// What it is taken as when a claim does not give it, in the base unit; `None`: it must be given.
    pub default: Option<f64>,
}

/// An input that must be given.
const fn needs(name: &'static str, kind: Kind, about: &'static str) -> Spec {
    Spec { name, kind, about, default: None }
}

/// An input with a default.
const fn takes(name: &'static str, kind: Kind, about: &'static str, default: f64) -> Spec {
    Spec { name, kind, about, default: Some(default) }
}

/// A formula.
pub struct Formula {
    /// Its name in claim files.
    pub id: &'static str,
    /// What it computes, as an equation in words.
    pub about: &'static str,
    /// What it gives.
    pub result: Kind,
    /// Its inputs, in groups that formulas share.
    pub inputs: &'static [&'static [Spec]],
    /// Whether it takes any number of inputs of any name: a product, a sum.
    pub variadic: bool,
    /// Computes it.
    pub evaluate: fn(&mut Work<'_>) -> Result<f64, FormulaError>,
}

impl std::fmt::Debug for Formula {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.id)
    }
}

/// Every formula, by subject. To add one: its function, and a row in its file's table.
pub static FORMULAS: &[&[Formula]] = &[
    generic::FORMULAS,
    shape::FORMULAS,
    training::FORMULAS,
    moe::FORMULAS,
    serving::FORMULAS,
    speculation::FORMULAS,
    demand::FORMULAS,
];

/// Every formula.
pub fn all() -> impl Iterator<Item = &'static Formula> {
    FORMULAS.iter().flat_map(|subject| subject.iter())
}

/// The formula of that id.
pub fn find(id: &str) -> Option<&'static Formula> {
    all().find(|formula| formula.id == id)
}

/// What the formula of that id gives for these inputs, in base units; what is not given is taken at its default. For
/// curves through a claimed point: the judge's own formula, over one of its inputs.
///
/// # Errors
/// [`FormulaError`], also for an id that no formula has.
pub fn evaluate(id: &str, inputs: &BTreeMap<String, f64>) -> Result<f64, FormulaError> {
    let formula = find(id).ok_or_else(|| FormulaError::Domain(format!("there is no formula `{id}`")))?;
    let defaults = formula.specs().filter_map(|spec| Some((spec.name.to_owned(), spec.default?)));
    let mut all: BTreeMap<String, f64> = defaults.collect();
    all.extend(inputs.iter().map(|(name, value)| (name.clone(), *value)));
    (formula.evaluate)(&mut Work::new(&all))
}

impl Formula {
    /// Its inputs, in order.
    pub fn specs(&self) -> impl Iterator<Item = &'static Spec> {
        self.inputs.iter().flat_map(|group| group.iter())
    }

    /// The inputs that must be given.
    pub fn required(&self) -> impl Iterator<Item = &'static Spec> {
        self.specs().filter(|spec| spec.default.is_none())
    }

    /// Its inputs in words: `numerator, denominator [, rest]`.
    pub fn signature(&self) -> String {
        let named = self.specs().map(|spec| match spec.default {
            None => spec.name.to_owned(),
            Some(_) => format!("[{}]", spec.name),
        });
        let free = self.variadic.then(|| "any number of inputs of any name".to_owned());
        named.chain(free).collect::<Vec<_>>().join(", ")
    }

    /// Whether an input of that name and kind belongs to it.
    ///
    /// # Errors
    /// What is wrong, and what it takes.
    pub fn accepts(&self, name: &str, kind: Kind) -> Result<(), String> {
        match self.specs().find(|spec| spec.name == name) {
            Some(spec) if kind.fits(spec.kind) => Ok(()),
            Some(spec) => Err(format!(
                "input `{name}` of formula `{}` is {}, and must be given in {}",
                self.id,
                spec.about,
                unit::names(spec.kind)
            )),
            None if self.variadic => Ok(()),
            None => Err(format!("formula `{}` takes no input `{name}`; it takes {}", self.id, self.signature())),
        }
    }
}

/// A formula of named inputs: how every row but the few variadic ones is written.
const fn formula(
    id: &'static str,
    about: &'static str,
    result: Kind,
    inputs: &'static [&'static [Spec]],
    evaluate: fn(&mut Work<'_>) -> Result<f64, FormulaError>,
) -> Formula {
    Formula { id, about, result, inputs, variadic: false, evaluate }
}

/// Why a formula has no result.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum FormulaError {
    /// An input was not given.
    #[error("input `{0}` is missing")]
    Missing(String),
    /// The inputs make no sense together.
    #[error("{0}")]
    Domain(String),
    /// The cost model cannot answer.
    #[error(transparent)]
    Cost(#[from] CostError),
    /// The model cannot be split that way.
    #[error(transparent)]
    Model(#[from] ModelError),
}

/// A line of a derivation.
#[derive(Debug, Clone, PartialEq)]
pub struct Step {
    /// What is computed, and how.
    pub text: String,
    /// Its value, in the base unit.
    pub value: f64,
    /// The unit it reads best in.
    pub unit: &'static Unit,
}

/// A formula at work: its inputs, and the steps noted so far.
pub struct Work<'a> {
    inputs: &'a BTreeMap<String, f64>,
    steps: Vec<Step>,
}

impl<'a> Work<'a> {
    /// A formula's inputs, in base units.
    pub fn new(inputs: &'a BTreeMap<String, f64>) -> Self {
        Self { inputs, steps: Vec::new() }
    }

    /// The steps noted.
    pub fn into_steps(self) -> Vec<Step> {
        self.steps
    }

    /// An input.
    fn get(&self, name: &str) -> Result<f64, FormulaError> {
        self.inputs.get(name).copied().ok_or_else(|| FormulaError::Missing(name.to_owned()))
    }

    /// An input, for the cost model.
    fn figure(&self, name: &str) -> Result<Figure, FormulaError> {
        Ok(Figure::exact(self.get(name)?)?)
    }

    /// An input that counts things whole.
    fn whole(&self, name: &str) -> Result<u32, FormulaError> {
        match self.get(name)? {
            value if value.fract() == 0.0 && (0.0..=f64::from(u32::MAX)).contains(&value) => Ok(value as u32),
            value => Err(FormulaError::Domain(format!("`{name}` must be a whole number, and is {value}"))),
        }
    }

    /// An input that is divided by.
    fn divisor(&self, name: &str) -> Result<f64, FormulaError> {
        match self.get(name)? {
            value if value > 0.0 => Ok(value),
            value => Err(FormulaError::Domain(format!("`{name}` must be more than zero, and is {value}"))),
        }
    }

    /// All inputs in order of name.
    fn each(&self) -> impl Iterator<Item = (&'a String, f64)> + use<'a> {
        self.inputs.iter().map(|(name, value)| (name, *value))
    }

    /// Notes a step and hands its value on.
    fn step(&mut self, text: impl Into<String>, value: f64, unit: &str) -> f64 {
        let unit = unit::find(unit).unwrap_or_else(|| unit::base(Kind::Ratio));
        self.steps.push(Step { text: text.into(), value, unit });
        value
    }

    /// Notes a step of the cost model and hands its value on.
    fn note(&mut self, text: impl Into<String>, value: Figure, unit: &str) -> f64 {
        self.step(text, value.value(), unit)
    }
}
