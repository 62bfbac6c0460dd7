//! The page of the claims: tally, findings, pictures, every claim with its derivation folded under it, the pairs.
//! Selecting a verdict hides the other claims by style alone; there is no script.

use maud::{Markup, html};

use super::{code, figure, page, table};
use crate::claims::{Derivation, Explanation, Role, Verdict};
use crate::report::plots::Drawing;
use crate::report::view::{ClaimView, ClaimsView, DocumentView, FindingView, PairView, SideView};

/// The page. `drawings` holds each plot by its name.
pub fn render(view: &ClaimsView, drawings: &[(&str, Drawing)]) -> String {
    let main = html! {
        header {
            p.kicker { "rooflint claims" }
            h1 { (view.title) }
            @for (index, sentence) in view.verdict.iter().enumerate() {
                p.verdict[index == 0].more[index > 0] { (sentence) }
            }
        }
        (contents(view))
        section id="tally" { h2 { "Verdicts" } @if let Some(tally) = &view.tally { (table(tally)) } (basis(view)) }
        @if !view.findings.is_empty() {
            section id="findings" {
                h2 { "What surprises" }
                ol.findings { @for finding in &view.findings { (finding_item(finding)) } }
            }
        }
        @for plot in &view.plots { (figure(plot, drawings)) }
        @if !view.documents.is_empty() { (chooser(view)) }
        @for document in &view.documents { (document_part(document)) }
        @if !view.pairs.is_empty() { (pairs(&view.pairs)) }
        section id="method" { h2 { "How a verdict comes about" } ul.method { @for line in &view.method { li { (line) } } } }
    };
    page(&view.title, None, &main, "Made by rooflint; 'rooflint claims explain ID' prints any derivation.")
}

fn contents(view: &ClaimsView) -> Markup {
    html! {
        nav aria-label="Contents" {
            a href="#tally" { "Verdicts" }
            @if !view.findings.is_empty() { a href="#findings" { "What surprises" } }
            @for plot in &view.plots { a href={ "#" (plot.anchor) } { (plot.title) } }
            @for document in &view.documents { a href={ "#" (document.id) } { (document.id) } }
            @if !view.pairs.is_empty() { a href="#pairs" { "Claims against each other" } }
            a href="#method" { "How a verdict comes about" }
        }
    }
}

fn basis(view: &ClaimsView) -> Markup {
    html! {
        @if !view.basis.is_empty() {
            p.caption { "What the verdicts rest on, beside the documents' own figures" }
            ul.caveats { @for line in &view.basis { li { (line) } } }
        }
        @if !view.changes.is_empty() {
            p.caption { "By datasheets alone these were" }
            ul.caveats { @for line in &view.changes { li { (line) } } }
        }
    }
}

fn finding_item(finding: &FindingView) -> Markup {
    html! {
        li {
            (finding.sentence) " "
            span.detail {
                @for id in &finding.claims { a href={ "#" (id) } { (id) } " " }
                "· " (finding.evidence)
            }
        }
    }
}

/// Which claims to show, as radio buttons that the style sheet reads.
fn chooser(view: &ClaimsView) -> Markup {
    let present = |word: &str| view.claims().any(|claim| claim.word == word);
    html! {
        fieldset.chooser {
            legend { "Show" }
            label { input type="radio" name="show" id="show-all" checked; " all" }
            @for word in Verdict::WORDS.into_iter().filter(|word| present(word)) {
                label { input type="radio" name="show" id={ "show-" (word) }; " " (word.replace('_', " ")) }
            }
        }
    }
}

fn document_part(document: &DocumentView) -> Markup {
    html! {
        section.document id=(document.id) {
            h2 { (document.title) }
            p.question { (document.about) }
            p.caption { (document.origin) }
            @for claim in &document.claims { (claim_part(claim)) }
        }
    }
}

fn claim_part(claim: &ClaimView) -> Markup {
    html! {
        details class={ "claim " (claim.word) } id=(claim.id) {
            summary {
                span.word { (symbol(claim.word)) " " (claim.verdict) }
                span.says {
                    (claim.says)
                    span.detail {
                        (claim.id) " · " (claim.place)
                        @if let Some(speaker) = &claim.said_by { " · " (speaker) }
                        @if claim.derived { " · derived here" }
                    }
                }
                span.figures {
                    @if !claim.claimed.is_empty() { span { @if !claim.worded { b { "claimed " } } (claim.claimed) } }
                    @if !claim.found.is_empty() { span { b { "found " } (claim.found) } }
                    @if !claim.evidence.is_empty() { span.detail { "by " (claim.evidence) } }
                }
            }
            (explanation(claim))
        }
    }
}

/// A sign that goes with the colour, for those who see none.
fn symbol(word: &str) -> &'static str {
    match word {
        "holds" => "✓",
        "diverges" => "≠",
        "inconclusive" => "?",
        "not_testable" => "–",
        _ => "·",
    }
}

fn explanation(claim: &ClaimView) -> Markup {
    let Explanation { origin, terms, summary, derivations, alternatives, would_change, conflicts, note, .. } =
        &claim.explanation;
    html! {
        div.derivation {
            p { (summary) }
            @if let Some(note) = note { p { (note) } }
            p.detail { (origin) ". " (terms) "." }
            @for part in derivations { (derivation(part)) }
            @if !alternatives.is_empty() {
                h4 { "If what is taken here were otherwise" }
                @for (index, line) in alternatives.iter().enumerate() {
                    @if index == 0 || alternatives[index - 1].assumption != line.assumption { p.taken { (line.assumption) } }
                    p.otherwise { (line.label) ": " @if line.turns { strong { (line.outcome) } } @else { (line.outcome) } }
                }
            }
            @if let Some(change) = would_change { h4 { "What would change it" } p { (change) } }
            @for conflict in conflicts { p { "Set against " (conflict) } }
        }
    }
}

fn derivation(part: &Derivation) -> Markup {
    let role = match part.role {
        Role::Claim => "",
        Role::Reading | Role::Open => " (another reading)",
        Role::Shown => " (for proportion)",
    };
    html! {
        h4 { (part.about) (role) }
        p { code { (part.equation) } }
        div.scroll {
            table {
                tbody {
                    @for input in &part.inputs {
                        tr { td { (input.about) } td.num { (input.value) } td.detail { (code(&input.origin)) } }
                    }
                    @if let Some(above) = part.above() { tr { td.detail colspan="3" { (above) } } }
                    @for (text, value) in &part.steps { tr.step { td { (text) } td.num { (value) } td {} } }
                    tr.result {
                        th scope="row" { "result" }
                        td.num { (part.result) }
                        td {
                            @if let Some(claimed) = &part.claimed { (claimed) }
                            @if let Some(verdict) = &part.verdict { ": " (verdict) }
                        }
                    }
                }
            }
        }
    }
}

fn pairs(pairs: &[PairView]) -> Markup {
    let side = |side: &SideView| {
        html! { p { (side.says) " " span.detail { a href={ "#" (side.id) } { (side.id) } " · " (side.document) } } }
    };
    html! {
        section id="pairs" {
            h2 { "Claims set against each other" }
            p.caption { "Shown as pairs; that is no verdict on either." }
            ul.pairs {
                @for pair in pairs { li { (side(&pair.sides[0])) (side(&pair.sides[1])) p.why { (pair.why) } } }
            }
        }
    }
}
