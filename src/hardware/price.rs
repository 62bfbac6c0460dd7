//! What GPUs were said to cost.

use serde::{Deserialize, Serialize};

use crate::units::Usd;

/// A price as somebody stated it at some time.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Price {
    /// The datasheets it can be about.
    pub gpus: Vec<String>,
    /// Rent of one GPU for an hour, in USD.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub usd_per_hour: Option<Span>,
    /// Price of one GPU, in USD.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub usd_to_buy: Option<Span>,
    /// The day, month or year it is of: `2023-07`.
    pub as_of: String,
    /// Who said so, and where.
    pub source: String,
}

/// From the lowest to the highest stated.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Span {
    /// Lowest.
    pub low: Usd,
    /// Highest.
    pub high: Usd,
}
