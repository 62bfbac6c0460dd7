//! One claim as the pages show it: what is said, what was found, how far apart, on what evidence.

use super::{DocumentView, Judged};
use crate::claims::{Basis, Check, Document, Explanation, Ground, Judgement, Rank, Verdict, show_factor, show_lines};
use crate::report::view::text::clean;

/// One claim.
#[derive(Debug, Clone, PartialEq)]
pub struct ClaimView {
    /// Its id, which is the anchor of its row too.
    pub id: String,
    /// Where it stands: `line 35`, or what it compares.
    pub place: String,
    /// Who says it, where that is not the document's speaker.
    pub said_by: Option<String>,
    /// What it says, in our words.
    pub says: String,
    /// Whether no document says it: it follows from what one says.
    pub derived: bool,
    /// Whether it sets claims of several documents, or of one, against each other.
    pub comparison: bool,
    /// The verdict's word, as files and flags spell it.
    pub word: &'static str,
    /// The verdict with its factor.
    pub verdict: String,
    /// What is claimed, with its unit.
    pub claimed: String,
    /// Whether the document says it in words, and the number is how they are read here.
    pub worded: bool,
    /// What was recomputed.
    pub found: String,
    /// Claim over recomputation, where that is a number to show.
    pub factor: String,
    /// What the verdict rests on.
    pub evidence: &'static str,
    /// Why it is inconclusive or not testable.
    pub why: Option<String>,
    /// What the verdict does not say.
    pub note: Option<String>,
    /// The derivation.
    pub explanation: Explanation,
}

/// What a verdict rests on, in a word or two.
pub(super) fn evidence(rank: Option<Rank>, ground: Ground) -> &'static str {
    match (rank, ground) {
        (Some(Rank::Measured), _) => "measurement",
        (Some(Rank::Reference), _) => "reference measurement",
        (Some(Rank::Datasheet), _) => "datasheet",
        (None, Ground::Assumptions) => "assumptions",
        (None, Ground::Outside) => "outside source",
        (None, Ground::Documents) => "the documents",
    }
}

/// A document with those of its claims that are to be shown; `None` if none is.
pub(super) fn document(judged: &Judged<'_>, document: &Document) -> Option<DocumentView> {
    let own = judged.judgements.iter().filter(|judgement| judgement.claim.document == document.id);
    let claims: Vec<ClaimView> = own.map(|judgement| claim(judged, document, judgement)).collect();
    (!claims.is_empty()).then(|| DocumentView {
        id: clean(&document.id),
        title: clean(&document.title),
        origin: format!("{}; {}; as of {}", clean(&document.source), clean(&document.speaker), clean(&document.as_of)),
        about: clean(&document.about),
        claims,
    })
}

/// The verdict with its factor. A comparison sets claims against each other, and none of them diverges from anything.
fn shown_verdict(verdict: &Verdict, comparison: bool) -> String {
    match verdict {
        Verdict::Diverges { factor } if comparison => format!("apart ×{}", show_factor(*factor)),
        verdict => verdict.to_string().replace(" x", " ×"),
    }
}

fn claim(judged: &Judged<'_>, document: &Document, judgement: &Judgement) -> ClaimView {
    let claim = &judgement.claim;
    let part = judgement.headline();
    let comparison = part.and_then(|part| part.comparison);
    let shown = |comparison: crate::claims::Comparison| match claim.check {
        Check::Context => String::new(),
        _ => show_factor(comparison.factor),
    };
    let rests = match judgement.verdict {
        Verdict::Context | Verdict::NotTestable { .. } => "",
        _ => evidence(judgement.evidence, judgement.ground()),
    };
    ClaimView {
        id: clean(&claim.id),
        place: match claim.lines.as_slice() {
            [] => format!("compares {}", claim.compares.join(", ")),
            lines => show_lines(lines),
        },
        said_by: (claim.said_by != document.speaker).then(|| clean(&claim.said_by)),
        says: clean(&claim.says),
        derived: claim.basis == Basis::Implied,
        comparison: claim.lines.is_empty(),
        word: judgement.verdict.word(),
        verdict: shown_verdict(&judgement.verdict, claim.lines.is_empty()),
        worded: part.is_some_and(|part| part.worded),
        claimed: part.and_then(|part| part.show_claimed()).unwrap_or_default(),
        found: part.and_then(|part| Some(part.found?.show(part.unit))).unwrap_or_default(),
        factor: comparison.map(shown).unwrap_or_default(),
        evidence: rests,
        why: judgement.verdict.why().map(clean),
        note: claim.note.as_deref().map(clean),
        explanation: Explanation::of(judgement, judged.library),
    }
}
