//! What the pages about claims show, as plain data: the tally, the findings, every claim with its derivation, the
//! claims that cannot both be true, and three pictures.

mod figures;
mod rows;

pub use rows::ClaimView;

use super::plots::Plot;
use super::text::{clean, count, list};
use super::{Cell, Column, Row, Table};
use crate::claims::{
    Backing, Basis, EDGE, Evidence, Fact, Finding, Ground, HEDGED, Judge, Judgement, Kind, Library, PLAIN, Rank,
    Verdict, findings, number, sentence,
};
use crate::report::number::percent;
use crate::units::with_prefix;

/// Claims, judged, with what they were judged by.
pub struct Judged<'a> {
    /// The documents and their claims.
    pub library: &'a Library,
    /// What was known of GPUs.
    pub evidence: &'a Evidence,
    /// The judgements to show, in the library's order: all of them, or a selection.
    pub judgements: &'a [Judgement],
}

impl Judged<'_> {
    /// Whether a judgement shown took a fact.
    fn uses(&self, fact: &Fact) -> bool {
        let inputs = || self.judgements.iter().flat_map(|judgement| &judgement.parts).flat_map(|part| &part.inputs);
        inputs().any(|input| match &input.backing {
            Backing::Known { gpu, rank, source, .. } => {
                *gpu == fact.gpu && *rank == fact.rank && *source == fact.source
            }
            _ => false,
        })
    }
}

/// Everything the pages about claims show.
#[derive(Debug, Clone, PartialEq)]
pub struct ClaimsView {
    /// The heading.
    pub title: String,
    /// The result in a few sentences, the most important first.
    pub verdict: Vec<String>,
    /// What the verdicts rest on.
    pub basis: Vec<String>,
    /// Verdicts that would be others if only datasheets were known, each with both.
    pub changes: Vec<String>,
    /// Verdicts by document; `None` where not all claims of a document are shown.
    pub tally: Option<Table>,
    /// What surprises most.
    pub findings: Vec<FindingView>,
    /// Pictures, in order.
    pub plots: Vec<Plot>,
    /// The claims by document.
    pub documents: Vec<DocumentView>,
    /// Claims that cannot both be true.
    pub pairs: Vec<PairView>,
    /// How a verdict comes about.
    pub method: Vec<String>,
}

/// A finding with the claims behind it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FindingView {
    /// The sentence.
    pub sentence: String,
    /// Ids of the claims it draws on.
    pub claims: Vec<String>,
    /// What it rests on.
    pub evidence: String,
}

/// A document with its claims.
#[derive(Debug, Clone, PartialEq)]
pub struct DocumentView {
    /// Its short name, and the anchor of its part.
    pub id: String,
    /// Title.
    pub title: String,
    /// Where it was published, who speaks, and of when.
    pub origin: String,
    /// What a reader must know before holding anyone to it.
    pub about: String,
    /// Its claims.
    pub claims: Vec<ClaimView>,
}

/// Two claims that cannot both be true. That is no verdict on either.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PairView {
    /// Id, document and words of each.
    pub sides: [SideView; 2],
    /// Why not both.
    pub why: String,
}

/// One side of a pair.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SideView {
    /// The claim's id.
    pub id: String,
    /// Its document.
    pub document: String,
    /// What it says.
    pub says: String,
}

/// The part of it that a run's report shows, with the name of the page that holds the rest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClaimsTeaser {
    /// The result in a few sentences.
    pub verdict: Vec<String>,
    /// The findings that surprise most.
    pub findings: Vec<String>,
}

/// Findings in a teaser.
const TEASER: usize = 3;

impl ClaimsView {
    /// The view of judged claims.
    pub fn of(judged: &Judged<'_>) -> Self {
        let documents: Vec<DocumentView> =
            judged.library.documents().filter_map(|document| rows::document(judged, document)).collect();
        Self {
            title: title(&documents),
            verdict: selection(judged).map_or_else(|| verdict(judged.judgements), |sentence| vec![sentence]),
            basis: basis(judged),
            changes: changes(judged),
            tally: selection(judged).is_none().then(|| tally(judged, &documents)),
            findings: findings(judged.judgements).into_iter().map(|found| finding(judged, found)).collect(),
            plots: figures::plots(judged.judgements),
            pairs: pairs(judged),
            documents,
            method: method(),
        }
    }

    /// The result, short, for a page about something else.
    pub fn teaser(&self) -> ClaimsTeaser {
        let findings = self.findings.iter().take(TEASER).map(|finding| finding.sentence.clone());
        ClaimsTeaser { verdict: self.verdict.clone(), findings: findings.collect() }
    }

    /// Every claim, in order.
    pub fn claims(&self) -> impl Iterator<Item = &ClaimView> {
        self.documents.iter().flat_map(|document| &document.claims)
    }
}

/// How a verdict comes about, for a reader who doubts one.
fn method() -> Vec<String> {
    let (plain, hedged, edge) = (percent(PLAIN), percent(HEDGED), number(EDGE * 100.0));
    vec![
        "Each claim is recomputed from the document's own figures or from those of the document it cites, and where it \
         speaks of a GPU from what is known of that GPU: its own measurement, else a labelled reference, else the datasheet, \
         whose rates are upper bounds."
            .to_owned(),
        format!(
            "The factor is the larger of claim over recomputation and recomputation over claim. A claim holds up to {plain}, \
             up to {hedged} where the document hedges (about, nearly, roughly), or inside the range it states. Within {edge} \
             points of that edge it is inconclusive; beyond, it diverges by the factor."
        ),
        "What a document leaves unsaid is assumed, and each assumption is named with what else it could be. Where the \
         verdict turns on one of them and no reading is plainly the document's, it is inconclusive; elsewhere what would turn \
         it is shown."
            .to_owned(),
        "Sentences are ours; only facts and figures are the documents'. What follows from a document without being said in \
         it is marked as derived, and a verdict on it is no error of the document. Verdicts name the speaker: articles relay \
         others."
            .to_owned(),
        "Two claims that cannot both be true are shown as a pair, which is no verdict on either.".to_owned(),
    ]
}

fn title(documents: &[DocumentView]) -> String {
    match documents {
        [] => "No claim to judge".to_owned(),
        [one] => format!("What {} claims, and what of it holds", one.id),
        // The comparisons are no document's.
        more => {
            let stated = more.iter().filter(|document| document.claims.iter().any(|claim| !claim.comparison)).count();
            format!("What {stated} documents claim, and what of it holds")
        }
    }
}

/// How many claims are shown of how many, where some of a document's are left out: counting verdicts would mislead.
fn selection(judged: &Judged<'_>) -> Option<String> {
    let shown = judged.judgements.len();
    let has = |id: &str| judged.judgements.iter().any(|judgement| judgement.claim.document == id);
    let all = judged.library.claims().iter().filter(|claim| has(&claim.document)).count();
    (shown < all || shown == 0).then(|| match shown {
        0 => "No claim to show.".to_owned(),
        _ => format!("Shown: {} of the {all} of these documents.", count(shown, "claim")),
    })
}

/// How many judgements got each verdict.
fn counts<'a>(judgements: impl Iterator<Item = &'a Judgement>) -> [usize; Verdict::WORDS.len()] {
    let mut counts = [0; Verdict::WORDS.len()];
    for judgement in judgements {
        let word = judgement.verdict.word();
        if let Some(at) = Verdict::WORDS.iter().position(|known| *known == word) {
            counts[at] += 1;
        }
    }
    counts
}

/// Whether a document says it; what is derived here must not count against one.
fn is_statement(judgement: &Judgement) -> bool {
    judgement.claim.basis == Basis::Stated && !judgement.claim.lines.is_empty()
}

fn verdict(judgements: &[Judgement]) -> Vec<String> {
    let statements = || judgements.iter().filter(|judgement| is_statement(judgement));
    let [holds, diverges, inconclusive, untestable, context] = counts(statements());
    let judged = holds + diverges + inconclusive;
    let mut sentences = vec![format!(
        "Of {} that can be recomputed {holds} hold, {diverges} diverge and {inconclusive} {} inconclusive.",
        count(judged, "statement"),
        if inconclusive == 1 { "is" } else { "are" }
    )];
    let derived = judgements.len() - statements().count();
    let parts = [
        (untestable, "cannot be tested by what is known here"),
        (context, "are recorded as context"),
        (derived, "are comparisons and derivations of our own"),
    ];
    let parts: Vec<String> =
        parts.iter().filter(|(number, _)| *number > 0).map(|(number, what)| format!("{number} {what}")).collect();
    if !parts.is_empty() {
        sentences.push(format!("Another {}.", list(&parts)));
    }
    sentences
}

/// What is known of GPUs beyond datasheets, and that datasheets are bounds.
fn basis(judged: &Judged<'_>) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for rank in [Rank::Measured, Rank::Reference] {
        let of_rank = judged.evidence.facts().iter().filter(|fact| fact.rank == rank);
        for fact in of_rank.filter(|fact| rank == Rank::Measured || judged.uses(fact)) {
            let value = with_prefix(fact.value.value, base_unit(fact.quantity.kind));
            lines.push(format!(
                "{}: {} of {}, {value} ({})",
                rank.word(),
                fact.quantity.about,
                fact.gpu,
                clean(&fact.source)
            ));
        }
    }
    let rests = |rank| judged.judgements.iter().filter(|judgement| judgement.evidence == Some(rank)).count();
    match rests(Rank::Datasheet) {
        0 => {}
        number => lines.push(format!(
            "datasheet: {} on figures of the GPU's maker, which for rates are upper bounds no program reaches",
            if number == 1 { "1 verdict rests".to_owned() } else { format!("{number} verdicts rest") }
        )),
    }
    lines
}

/// Verdicts that measurements and references changed.
fn changes(judged: &Judged<'_>) -> Vec<String> {
    let sheets = judged.evidence.sheets_alone();
    let judge = Judge::new(judged.library, &sheets);
    let rests = judged.judgements.iter().filter(|judgement| judgement.rests_on_more_than_sheets());
    let changed = rests.filter_map(|judgement| {
        let claim = judged.library.claim(&judgement.claim.id)?;
        let before = judge.claim(claim);
        let now = judgement.verdict.to_string();
        (before.verdict.word() != judgement.verdict.word())
            .then(|| format!("{}: {}, and {now} now", claim.id, before.verdict))
    });
    changed.collect()
}

/// The unit that takes a prefix; none where a number has none.
fn base_unit(kind: Kind) -> &'static str {
    match kind {
        Kind::ByteRate => "B/s",
        Kind::FlopRate => "FLOP/s",
        Kind::Bytes => "B",
        _ => "",
    }
}

fn tally(judged: &Judged<'_>, documents: &[DocumentView]) -> Table {
    let mut columns = vec![Column::text("Document"), Column::number("Claims")];
    columns.extend(Verdict::WORDS.iter().map(|word| Column::number(&sentence(&word.replace('_', " ")))));
    let row = |name: &str, counts: [usize; Verdict::WORDS.len()]| {
        let total: usize = counts.iter().sum();
        let mut cells = vec![Cell::text(name), Cell::text(total.to_string())];
        cells.extend(counts.iter().map(|number| Cell::text(number.to_string())));
        Row { anchor: None, cells }
    };
    let all = || judged.judgements.iter();
    let of = |id: &str| counts(all().filter(|judgement| is_statement(judgement) && judgement.claim.document == id));
    let named = documents.iter().filter(|document| of(&document.id).iter().sum::<usize>() > 0);
    let mut rows: Vec<Row> = named.map(|document| row(&document.id, of(&document.id))).collect();
    let derived = counts(all().filter(|judgement| !is_statement(judgement)));
    if derived.iter().sum::<usize>() > 0 {
        rows.push(row("derived here", derived));
    }
    if rows.len() > 1 {
        rows.push(row("all", counts(all())));
    }
    Table { caption: "Verdicts by document".to_owned(), columns, rows }
}

fn finding(judged: &Judged<'_>, finding: Finding) -> FindingView {
    let behind = judged.judgements.iter().filter(|judgement| finding.claims.contains(&judgement.claim.id.as_str()));
    let ground = behind.map(Judgement::ground).max().unwrap_or(Ground::Documents);
    FindingView {
        sentence: finding.sentence,
        claims: finding.claims.iter().map(|&id| id.to_owned()).collect(),
        evidence: rows::evidence(finding.evidence, ground).to_owned(),
    }
}

/// Each pair once, however often its claims name each other.
fn pairs(judged: &Judged<'_>) -> Vec<PairView> {
    let side = |id: &str| {
        let claim = judged.library.claim(id)?;
        Some(SideView { id: claim.id.clone(), document: clean(&claim.document), says: clean(&claim.says) })
    };
    let mut pairs: Vec<PairView> = Vec::new();
    for judgement in judged.judgements {
        for conflict in &judgement.claim.conflicts {
            let known = |pair: &PairView| {
                let has = |id: &str| pair.sides.iter().any(|side| side.id == id);
                has(&judgement.claim.id) && has(&conflict.id)
            };
            if pairs.iter().any(known) {
                continue;
            }
            if let (Some(one), Some(other)) = (side(&judgement.claim.id), side(&conflict.id)) {
                pairs.push(PairView { sides: [one, other], why: clean(&conflict.why) });
            }
        }
    }
    pairs
}
