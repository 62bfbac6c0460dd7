//! The claims as Markdown: the same content as the HTML page but for the derivations, which `claims explain` prints.

use super::{Plots, escape, plot, table};
use crate::report::view::{Cell, ClaimView, ClaimsView, Column, DocumentView, PairView, Row, Table};

/// The document.
pub fn render(view: &ClaimsView, plots: Plots) -> String {
    let mut blocks = vec![format!("# {}", escape(&view.title))];
    if let Some((first, rest)) = view.verdict.split_first() {
        blocks.push(format!("**{}** {}", escape(first), escape(&rest.join(" "))).trim_end().to_owned());
    }
    blocks.extend(view.tally.iter().map(table));
    blocks.extend(bullets(view.basis.iter().map(|line| escape(line))));
    if !view.changes.is_empty() {
        blocks.push("By datasheets alone these were:".to_owned());
        blocks.extend(bullets(view.changes.iter().map(|line| escape(line))));
    }
    if !view.findings.is_empty() {
        blocks.push("## What surprises".to_owned());
        let lines = view.findings.iter().map(|finding| {
            let ids: Vec<String> = finding.claims.iter().map(|id| format!("`{id}`")).collect();
            format!("{} ({}; by {})", escape(&finding.sentence), ids.join(", "), escape(&finding.evidence))
        });
        blocks.extend(bullets(lines));
    }
    if plots == Plots::Linked {
        blocks.extend(view.plots.iter().map(plot));
    }
    for document in &view.documents {
        blocks.push(format!("## {}", escape(&document.title)));
        blocks.push(escape(&document.about));
        blocks.push(table(&claims(document)));
    }
    if !view.pairs.is_empty() {
        blocks.push("## Claims set against each other".to_owned());
        blocks.push("Shown as pairs; that is no verdict on either.".to_owned());
        blocks.extend(bullets(view.pairs.iter().map(pair)));
    }
    blocks.push("## How a verdict comes about".to_owned());
    blocks.extend(bullets(view.method.iter().map(|line| escape(line))));
    blocks.push("`rooflint claims explain ID` prints the derivation of any claim.".to_owned());
    blocks.join("\n\n") + "\n"
}

fn bullets(lines: impl Iterator<Item = String>) -> Option<String> {
    let lines: Vec<String> = lines.map(|line| format!("- {line}")).collect();
    (!lines.is_empty()).then(|| lines.join("\n"))
}

fn claims(document: &DocumentView) -> Table {
    let heads = ["Verdict", "Claim", "Claimed or read", "Found", "By", "Id"];
    let columns = heads.map(|title| Column { title: title.to_owned(), numeric: false }).to_vec();
    let row = |claim: &ClaimView| {
        let derived = if claim.derived && !claim.comparison { " (derived here)" } else { "" };
        let says = format!("{}{derived}", claim.says);
        let id = format!("{}, {}", claim.id, claim.place);
        let cells = [&claim.verdict, &says, &claim.claimed, &claim.found, claim.evidence, &id];
        Row { anchor: None, cells: cells.map(|text| Cell::Text(text.to_owned())).to_vec() }
    };
    let rows = document.claims.iter().map(row).collect();
    Table { caption: document.origin.clone(), columns, rows }
}

fn pair(pair: &PairView) -> String {
    let [one, other] = &pair.sides;
    let side = |side: &crate::report::view::SideView| format!("{} (`{}`)", escape(&side.says), side.id);
    format!("{} {} {}", side(one), side(other), escape(&pair.why))
}
