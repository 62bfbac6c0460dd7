//! Why a cost has no answer.

use crate::llm::ModelError;
use crate::units::with_prefix;

/// Why a formula has no answer. Every message names the thing that is wrong.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum CostError {
    /// A figure that is none: negative, not finite, or outside its own interval.
    #[error(
        "{value} in [{low}, {high}] is not a usable figure: it must be finite, not negative, and lie in its interval"
    )]
    Invalid {
        /// The value.
        value: f64,
        /// Lower end of its interval.
        low: f64,
        /// Upper end of its interval.
        high: f64,
    },
    /// A figure that must be more than zero.
    #[error("{what} is zero (or its interval reaches zero); it must be more")]
    Zero {
        /// Which.
        what: &'static str,
    },
    /// A stated number that must be more than zero, and is not, or is no number.
    #[error("{what} is {value}; it must be a number above zero")]
    NotPositive {
        /// Which.
        what: &'static str,
        /// What was stated.
        value: f64,
    },
    /// A share or probability above 1.
    #[error("{what} is {value}; it must not be above 1")]
    AboveOne {
        /// Which.
        what: &'static str,
        /// How much it is.
        value: f64,
    },
    /// More than there is room for.
    #[error("{what} needs {} per GPU of {}: {} too much", gb(*needs_b), gb(*has_b), gb(needs_b - has_b))]
    DoesNotFit {
        /// What.
        what: &'static str,
        /// Bytes it needs on one GPU.
        needs_b: f64,
        /// Bytes one GPU has.
        has_b: f64,
    },
    /// A target that no value in the searched range reaches.
    #[error("no {what} between {} and {} reaches {target}", with_prefix(*low, ""), with_prefix(*high, ""))]
    Unreachable {
        /// What was looked for.
        what: &'static str,
        /// Smallest value tried.
        low: f64,
        /// Largest value tried.
        high: f64,
        /// What it should have reached, in words.
        target: String,
    },
    /// A size beyond what can be worked out exactly.
    #[error("{what} is {value}; at most {most} can be worked out exactly")]
    TooLarge {
        /// Which.
        what: &'static str,
        /// How much it is.
        value: u64,
        /// The largest that can be.
        most: u64,
    },
    /// A datasheet without the peak asked for.
    #[error("the datasheet of the {gpu} states no peak for {rate}; it has {has}")]
    NoPeak {
        /// Whose datasheet.
        gpu: String,
        /// Which rate.
        rate: &'static str,
        /// The rates it states.
        has: String,
    },
    /// A model or layout that is wrong in itself.
    #[error(transparent)]
    Model(#[from] ModelError),
}

/// Bytes in decimal gigabytes, the unit in which memory is sold.
fn gb(bytes: f64) -> String {
    with_prefix(bytes, "B")
}
