//! What published documents claim, as data, and what becomes of each claim under the evidence at hand.
//!
//! Each document is a TOML file of claims; each claim names the formula that recomputes it and where every input
//! comes from. [`Library`] joins files, [`Judge`] recomputes and compares, [`explain()`] shows the derivation,
//! [`findings()`] says in a sentence each what surprises. Nothing here knows a device or a file: evidence is a value.

mod claim;
mod decoded;
mod evidence;
mod explain;
mod findings;
mod formulas;
mod judge;
mod judgement;
mod library;
mod measured;
mod model;
mod parse;
mod references;
mod shapes;
mod unit;
mod verdict;

pub use claim::{
    Alternative, Assumption, Basis, Bound, Check, Claim, Conflict, Document, HEDGED, Input, Origin, PLAIN, Part, Place,
    Role, Source, Target,
};
pub use evidence::{ANY, Evidence, Fact, HOST, QUANTITIES, Quantity, Rank};
pub use explain::{AlternativeLine, Derivation, Explanation, InputLine, UnknownClaim, explain, sentence, show_lines};
pub use findings::{FITTED, Finding, findings};
pub use formulas::{FORMULAS, Formula, FormulaError, Spec, Step, Work, deployed, evaluate};
pub use judge::{CAPACITY, GB_TAKEN, GIB_LABEL, GIB_PER_GB, Judge};
pub use judgement::{Backing, Found, Ground, InputUsed, Judgement, Movement, PartJudgement, outcome};
pub use library::{EMBEDDED, Library};
pub use measured::measured;
pub use model::{MODEL_QUANTITIES, ModelQuantity};
pub use parse::{ClaimError, ClaimFile, parse};
pub use references::references;
pub use shapes::shapes;
pub use unit::{Kind, UNITS, Unit, number};
pub use verdict::{Comparison, EDGE, Side, Verdict, compare, show_factor};

/// Every claim of the documents that come with the program, judged by the evidence.
///
/// # Errors
/// None for the files as committed; a test reads them.
pub fn judge_all(evidence: &Evidence) -> Result<Vec<Judgement>, ClaimError> {
    Ok(Library::embedded()?.judge(evidence))
}
