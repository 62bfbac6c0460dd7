//! One comparison: what is claimed, what was recomputed, how far apart, and what that is called.

use std::fmt;

use serde::Serialize;

use super::claim::Bound;

/// What is said of a claim, always with the numbers behind it.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "snake_case", tag = "verdict")]
pub enum Verdict {
    /// Claim and recomputation agree within the tolerance.
    Holds,
    /// They are this factor apart.
    Diverges {
        /// `max(claim / recomputed, recomputed / claim)`.
        factor: f64,
    },
    /// It turns on something that is not known.
    Inconclusive {
        /// On what.
        why: String,
    },
    /// What it needs is not there.
    NotTestable {
        /// What it needs.
        why: String,
    },
    /// Recorded, and nothing to judge.
    Context,
}

impl Verdict {
    /// The words of all verdicts, as files and flags spell them.
    pub const WORDS: [&'static str; 5] = ["holds", "diverges", "inconclusive", "not_testable", "context"];

    /// Its word.
    pub fn word(&self) -> &'static str {
        Self::WORDS[match self {
            Self::Holds => 0,
            Self::Diverges { .. } => 1,
            Self::Inconclusive { .. } => 2,
            Self::NotTestable { .. } => 3,
            Self::Context => 4,
        }]
    }

    /// Why, where the verdict carries a reason.
    pub fn why(&self) -> Option<&str> {
        match self {
            Self::Inconclusive { why } | Self::NotTestable { why } => Some(why),
            _ => None,
        }
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Diverges { factor } => f.pad(&format!("diverges x{}", show_factor(*factor))),
            Self::NotTestable { .. } => f.pad("not testable"),
            other => f.pad(other.word()),
        }
    }
}

/// A factor as it is printed: three significant digits, two decimals at most.
pub fn show_factor(factor: f64) -> String {
    match factor {
        f if f < 9.995 => format!("{f:.2}"),
        f if f < 99.95 => format!("{f:.1}"),
        f if f < 1e5 => format!("{f:.0}"),
        f => format!("{f:.1e}"),
    }
}

/// Half a point: so near the edge of the tolerance a verdict would turn on rounding.
pub const EDGE: f64 = 0.005;

/// Rounding of double arithmetic, which must not part two equal numbers.
const ROUNDING: f64 = 1e-9;

/// How a claim and a recomputed figure compare.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Comparison {
    /// `claim / recomputed`, middle over middle: above 1, the claim is the higher.
    pub ratio: f64,
    /// `max(claim / recomputed, recomputed / claim)` of the nearest ends; 1 inside a range or bound.
    pub factor: f64,
    /// On which side of the tolerance.
    pub side: Side,
}

/// On which side of the tolerance a comparison falls.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// Within it.
    Within,
    /// Within half a point of its edge.
    Edge,
    /// Beyond it, the claim being the higher.
    ClaimHigher,
    /// Beyond it, the claim being the lower.
    ClaimLower,
}

/// Compares a claim with a recomputed figure that the document's own inputs leave between `low` and `high`.
///
/// A span of the document's is its own latitude: any value of it counts. `middle` stands for it in the ratio.
pub fn compare(bound: Bound, tolerance: f64, low: f64, middle: f64, high: f64) -> Comparison {
    let (least, most) = bound.ends();
    // Inside or touching: factor 1. Otherwise the nearest ends.
    let (factor, higher) = if least > high {
        (least / high, true)
    } else if most < low {
        (low / most, false)
    } else {
        (1.0, false)
    };
    let edge = 1.0 + tolerance;
    let side = if factor <= 1.0 + ROUNDING {
        Side::Within
    } else if (factor - edge).abs() <= EDGE + ROUNDING {
        Side::Edge
    } else if factor < edge {
        Side::Within
    } else if higher {
        Side::ClaimHigher
    } else {
        Side::ClaimLower
    };
    Comparison { ratio: bound.middle() / middle, factor, side }
}

/// The verdict on comparisons at every end of the inputs' uncertainty, the first at its middle: one that all
/// agree on, or none.
pub fn verdict(comparisons: &[Comparison], tolerance: f64) -> Verdict {
    let Some(first) = comparisons.first() else {
        return Verdict::NotTestable { why: "nothing was recomputed".to_owned() };
    };
    if comparisons.iter().any(|other| other.side != first.side) {
        let (least, most) = comparisons
            .iter()
            .fold((f64::INFINITY, 1.0_f64), |(least, most), c| (least.min(c.factor), most.max(c.factor)));
        let why = format!(
            "the inputs are known no better than to a factor of {} to {}, and {} decides",
            show_factor(least),
            show_factor(most),
            show_factor(1.0 + tolerance)
        );
        return Verdict::Inconclusive { why };
    }
    match first.side {
        Side::Within => Verdict::Holds,
        Side::Edge => Verdict::Inconclusive {
            why: format!(
                "on the edge: a factor of {:.3}, within half a point of the {:.3} that decides",
                first.factor,
                1.0 + tolerance
            ),
        },
        Side::ClaimHigher | Side::ClaimLower => Verdict::Diverges { factor: first.factor },
    }
}
