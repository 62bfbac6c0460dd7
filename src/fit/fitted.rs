//! One operation's law with its constants, their intervals and draws, and what it is worth.

use std::collections::BTreeSet;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::held_out::{self, CONFIDENCE, HeldOut, held_out};
use super::law::{Law, Role, Row};
use super::solve::{draws, solve};
use crate::stats::{Discrepancy, Sorted};
use crate::units::{digits, with_prefix};

/// An operation ready to be fitted.
#[derive(Debug, Clone)]
pub struct Prepared {
    /// Which operation: `matmul`.
    pub operation: &'static str,
    /// Which of its kinds: `bf16`.
    pub subject: String,
    /// Its law.
    pub law: Law,
    /// Its rows.
    pub rows: Vec<Row>,
    /// Whether it may have a discrepancy: kernels have favourite shapes.
    pub smooth: bool,
    /// What to measure where rows are too few.
    pub measure: String,
}

/// A constant of a law.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Constant {
    /// Its name: `fixed`, `bandwidth`, `throughput`, `exponent` …
    pub name: String,
    /// Its unit, empty for a number.
    pub unit: String,
    /// The value, in SI units.
    pub value: f64,
    /// Lower end of the 90 % interval.
    pub low: f64,
    /// Upper end of the 90 % interval.
    pub high: f64,
    /// What was supposed before the rows were seen.
    pub prior: f64,
    /// Present where the rows say little of it, so that it is its prior: what to measure.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unsupported: Option<String>,
}

/// A fitted law.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Fitted {
    /// Which operation: `matmul`, `decode_attention` …
    pub operation: String,
    /// Which of its kinds: `bf16`, `bf16, weights i8`, `bf16, balanced` …
    pub subject: String,
    /// Cases it rests on.
    pub rows: u32,
    /// Shapes, models or sizes that those belong to.
    pub clusters: u32,
    /// Cases left out, since they are faster than the datasheet's limits allow.
    pub beyond_physics: u32,
    /// Its constants.
    pub constants: Vec<Constant>,
    /// Draws of the constants, each in their order.
    pub draws: Vec<Vec<f64>>,
    /// What it leaves over, where that helps on cases it has not seen.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub discrepancy: Option<Discrepancy>,
    /// How well it foretells what it has not seen.
    pub held_out: HeldOut,
}

/// An operation that could not be fitted, or a constant that could not.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Missing {
    /// Which operation.
    pub operation: String,
    /// Which of its kinds; empty where there is no case at all.
    pub subject: String,
    /// Why.
    pub why: String,
    /// What to measure.
    pub measure: String,
}

/// Fewest shapes, models or sizes that a law can rest on.
pub const CLUSTERS_LEAST: usize = 3;

/// Share of cases beyond physics above which a table is not believed: those just within it are as wrong.
const BEYOND_MOST: f64 = 0.05;

/// A constant whose draws are at least this wide, as a share of its prior's width, rests on its prior.
const RESTS_ON_PRIOR: f64 = 0.7;

/// Six significant digits: what a fit supports, and what keeps a file small.
pub fn rounded(value: f64) -> f64 {
    format!("{value:.5e}").parse().unwrap_or(value)
}

/// Four significant digits: a draw differs from the next by more.
pub fn short(value: f64) -> f64 {
    format!("{value:.3e}").parse().unwrap_or(value)
}

impl Fitted {
    /// The value of a constant.
    pub fn value(&self, name: &str) -> Option<f64> {
        Some(self.constants[self.place(name)?].value)
    }

    /// The time of so many bytes and operations by the law's constants alone, at the best estimate or at a draw: fixed cost,
    /// and reading joined with computing. `None` if it is no law of both.
    pub fn time_s(&self, bytes: f64, flop: f64, draw: Option<usize>) -> Option<f64> {
        let of = |name: &str| draw.map_or_else(|| self.value(name), |at| self.draw(name, at));
        let (read, compute, p) = (bytes / of("bandwidth")?, flop / of("throughput")?, of("exponent")?);
        let longer = read.max(compute);
        let joint = match longer > 0.0 {
            true => longer * ((read / longer).powf(p) + (compute / longer).powf(p)).powf(1.0 / p),
            false => 0.0,
        };
        Some(of("fixed")? + joint)
    }

    /// The longer of reading and computing at the law's rates: what no time undercuts where they hold.
    pub fn roof_s(&self, bytes: f64, flop: f64) -> Option<f64> {
        Some((bytes / self.value("bandwidth")?).max(flop / self.value("throughput")?))
    }

    /// A draw of a constant.
    pub fn draw(&self, name: &str, at: usize) -> Option<f64> {
        self.draws.get(at)?.get(self.place(name)?).copied()
    }

    fn place(&self, name: &str) -> Option<usize> {
        self.constants.iter().position(|constant| constant.name == name)
    }
}

impl Prepared {
    fn missing(&self, why: String, measure: &str) -> Missing {
        let (operation, subject) = (self.operation.to_owned(), self.subject.clone());
        Missing { operation, subject, why, measure: measure.to_owned() }
    }

    /// Fits it. The same rows in any order give the same result.
    ///
    /// # Errors
    /// [`Missing`] for too few clusters, rows or constants that physics forbids, or rows that no law fits.
    pub fn fit(&self) -> Result<Fitted, Missing> {
        let (beyond, mut rows): (Vec<&Row>, Vec<&Row>) =
            self.rows.iter().partition(|row| self.law.is_beyond_physics(row));
        let share = beyond.len() as f64 / self.rows.len().max(1) as f64;
        if share > BEYOND_MOST {
            let (count, all) = (beyond.len(), self.rows.len());
            let why = format!("{count} of {all} cases are faster than the datasheet's limits allow");
            return Err(self.missing(why, "the same cases again, with data that no cache holds"));
        }
        rows.sort_by(|a, b| a.cluster.cmp(&b.cluster).then(a.at[0].total_cmp(&b.at[0])));
        let clusters: BTreeSet<&str> = rows.iter().map(|row| row.cluster.as_str()).collect();
        let parameters = self.law.parameters.len();
        if clusters.len() < CLUSTERS_LEAST || rows.len() < parameters {
            let (have, cases) = (clusters.len(), rows.len());
            let plural = |count: usize, noun: &str| format!("{count} {noun}{}", if count == 1 { "" } else { "s" });
            let (cases, have) = (plural(cases, "case"), plural(have, "kind"));
            let why = format!("{cases} of {have}; {CLUSTERS_LEAST} kinds and {parameters} cases are needed");
            return Err(self.missing(why, &self.measure));
        }
        let logs =
            solve(&self.law, &rows, None).ok_or_else(|| self.missing("no law fits".to_owned(), &self.measure))?;
        self.check(&logs)?;
        let draws = draws(&self.law, &rows, &logs, SEED);
        let held = held_out(&self.law, &rows, &logs, self.smooth, SEED);
        let (held_out, keeps) = held.ok_or_else(|| self.missing("no law fits".to_owned(), &self.measure))?;
        let field = || held_out::discrepancy(&rows, &held_out::residuals(&self.law, &logs, &rows));
        Ok(Fitted {
            operation: self.operation.to_owned(),
            subject: self.subject.clone(),
            rows: rows.len() as u32,
            clusters: clusters.len() as u32,
            beyond_physics: beyond.len() as u32,
            constants: self.constants(&logs, &draws),
            draws: draws.iter().map(|draw| draw.iter().map(|log| short(log.exp())).collect()).collect(),
            discrepancy: if keeps { field() } else { None },
            held_out,
        })
    }

    /// Fails for a constant that physics forbids.
    fn check(&self, logs: &[f64]) -> Result<(), Missing> {
        for (parameter, log) in self.law.parameters.iter().zip(logs) {
            let limit = parameter.limit.unwrap_or(f64::INFINITY);
            if !(log.exp() <= limit) {
                let (value, limit) = (with_prefix(log.exp(), parameter.unit), with_prefix(limit, parameter.unit));
                let why =
                    format!("the cases fit only a {} of {value}, and {limit} is the most there can be", parameter.name);
                return Err(self.missing(why, "cases past every cache, at a clock that is recorded"));
            }
        }
        Ok(())
    }

    fn constants(&self, logs: &[f64], draws: &[Vec<f64>]) -> Vec<Constant> {
        let tail = (1.0 - CONFIDENCE) / 2.0;
        let constant = |(i, parameter): (usize, &super::law::Parameter)| {
            let drawn = Sorted::new(draws.iter().map(|draw| draw[i]))?;
            let value = logs[i];
            let (low, high) = (drawn.quantile(tail).min(value), drawn.quantile(1.0 - tail).max(value));
            // An interval of the normal distribution at this confidence is 3.29 standard deviations wide.
            let rests = (high - low) / 3.29 > RESTS_ON_PRIOR * parameter.sigma;
            Some(Constant {
                name: parameter.name.to_owned(),
                unit: parameter.unit.to_owned(),
                value: rounded(value.exp()),
                low: rounded(low.exp()),
                high: rounded(high.exp()),
                prior: rounded(parameter.prior),
                unsupported: rests.then(|| needed(parameter.role).to_owned()),
            })
        };
        self.law.parameters.iter().enumerate().filter_map(constant).collect()
    }
}

/// What a constant follows from.
fn needed(role: Role) -> &'static str {
    match role {
        Role::Time(_) => "small cases, whose time is mostly this cost",
        Role::Rate(_) | Role::Bandwidth => "large cases bound by memory: few rows of a large matrix, long contexts",
        Role::Throughput => "cases bound by arithmetic: many rows (m of 1024 and more)",
        Role::Exponent => "cases where reading and computing take equally long (m near the ridge)",
        Role::Skew => "batches of 2 to 64 tokens, which reach some of the experts",
    }
}

/// Seed of the draws and of the groups held out: a calibration is the same each time.
const SEED: u64 = 0x0007_2007;

impl Constant {
    /// The value with its interval, for people: `4.25 µs (4.1 µs to 4.4 µs)`.
    pub fn words(&self) -> [String; 2] {
        let word = |value: f64| match self.unit.as_str() {
            "" => digits(value),
            unit => with_prefix(value, unit),
        };
        [word(self.value), format!("{} to {}", word(self.low), word(self.high))]
    }
}
