//! Judged claims as text: a table per document, then the tally and what surprises, where the reader's eye ends up.

use anstyle::{AnsiColor, Style as Ansi};
use comfy_table::{Cell, CellAlignment, ColumnConstraint, ContentArrangement, Table, Width, presets};

use super::{BOLD, DIM, Terminal};
use crate::claims::Explanation;
use crate::report::view;
use crate::report::view::{ClaimView, ClaimsView, DocumentView};

/// Claims in tables, then the tally, the findings and the pairs.
pub fn table(view: &ClaimsView, terminal: &Terminal) -> String {
    let mut parts: Vec<String> = view.documents.iter().map(|document| document_table(document, terminal)).collect();
    parts.extend(view.tally.iter().map(|table| tally(table, terminal)));
    if !view.findings.is_empty() {
        let mut lines = vec![terminal.styled(BOLD, "What surprises")];
        for finding in &view.findings {
            lines.extend(terminal.wrapped(&format!("- {}", finding.sentence), 0, 2));
        }
        parts.push(lines.join("\n"));
    }
    if !view.pairs.is_empty() {
        let mut lines = vec![terminal.styled(BOLD, "Set against each other (no verdict on either)")];
        for pair in &view.pairs {
            let [one, other] = &pair.sides;
            lines.extend(terminal.wrapped(&format!("- {} against {}: {}", one.id, other.id, pair.why), 0, 2));
        }
        parts.push(lines.join("\n"));
    }
    if !view.changes.is_empty() {
        let mut lines = vec![terminal.styled(BOLD, "By datasheets alone these were")];
        for line in &view.changes {
            lines.extend(terminal.wrapped(&format!("- {line}"), 0, 2));
        }
        parts.push(lines.join("\n"));
    }
    let mut last = Vec::new();
    for line in &view.basis {
        last.extend(terminal.wrapped(line, 0, 2));
    }
    for (index, sentence) in view.verdict.iter().enumerate() {
        let style = if index == 0 { BOLD } else { Ansi::new() };
        last.extend(terminal.wrapped(sentence, 0, 0).iter().map(|line| terminal.styled(style, line)));
    }
    last.extend(terminal.wrapped("'rooflint claims explain ID' shows any derivation.", 0, 0));
    parts.push(last.join("\n"));
    parts.join("\n\n") + "\n"
}

/// A derivation, in lines no longer than the terminal.
pub fn explanation(explanation: &Explanation, terminal: &Terminal) -> String {
    let text = explanation.to_string();
    if terminal.width.is_none() {
        return terminal.text(&text);
    }
    let wrapped = text.lines().flat_map(|line| {
        let indent = line.len() - line.trim_start().len();
        match line.trim().is_empty() {
            true => vec![String::new()],
            false => terminal.wrapped(line, indent, indent + 2),
        }
    });
    wrapped.collect::<Vec<_>>().join("\n") + "\n"
}

/// Least share of the width for what a claim says, in percent.
const CLAIM_SHARE: Width = Width::Percentage(38);

const HEADS: [&str; 6] = ["Verdict", "Id", "Claim", "Claimed", "Found", "By"];

fn document_table(document: &DocumentView, terminal: &Terminal) -> String {
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    if let Some(width) = terminal.width {
        table.set_content_arrangement(ContentArrangement::Dynamic).set_width(width.clamp(40, 500) as u16);
    }
    table.set_header(HEADS);
    for claim in &document.claims {
        let cells =
            [&claim.verdict, &claim.id, &words(claim), &claim.claimed, &claim.found, &claim.evidence.to_owned()];
        table.add_row(cells.map(|cell| Cell::new(terminal.text(cell))));
    }
    // The sentence is the longest text, and unreadable in a narrow column.
    if terminal.width.is_some() {
        let widths = [(1, ColumnConstraint::ContentWidth), (2, ColumnConstraint::LowerBoundary(CLAIM_SHARE))];
        for (index, constraint) in widths {
            table.column_mut(index).map(|column| column.set_constraint(constraint));
        }
    }
    let title = terminal.styled(BOLD, &terminal.text(&format!("{} ({})", document.title, document.id)));
    let lines = table.lines().enumerate().map(|(index, line)| {
        let line = line.trim_end();
        match index {
            0 => terminal.styled(DIM, line),
            _ => coloured(line, terminal),
        }
    });
    let about = terminal.wrapped(&document.about, 0, 0).join("\n");
    format!("{title}\n{about}\n{}", lines.collect::<Vec<_>>().join("\n"))
}

/// What a claim says, with what a reader must know to be fair.
fn words(claim: &ClaimView) -> String {
    let derived = if claim.derived && !claim.comparison { " (derived here)" } else { "" };
    format!("{}{derived}", claim.says)
}

/// The line with the verdict it begins with in its colour. Colours are put in after layout, which counts every
/// character.
fn coloured(line: &str, terminal: &Terminal) -> String {
    let style = |colour: AnsiColor| colour.on_default();
    let verdicts = [
        (" holds", style(AnsiColor::Green)),
        (" diverges", style(AnsiColor::Red)),
        (" apart", style(AnsiColor::Red)),
        (" inconclusive", style(AnsiColor::Yellow)),
    ];
    match verdicts.iter().find(|(word, _)| line.starts_with(word)) {
        Some((word, style)) => format!("{}{}", terminal.styled(*style, word), &line[word.len()..]),
        None => line.to_owned(),
    }
}

fn tally(tally: &view::Table, terminal: &Terminal) -> String {
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    table.set_header(tally.columns.iter().map(|column| column.title.as_str()));
    for row in &tally.rows {
        table.add_row(row.cells.iter().zip(&tally.columns).map(|(cell, column)| {
            let text = match cell {
                view::Cell::Text(text) => text.as_str(),
                _ => "",
            };
            let cell = Cell::new(text);
            if column.numeric { cell.set_alignment(CellAlignment::Right) } else { cell }
        }));
    }
    let lines: Vec<String> = table.lines().map(|line| line.trim_end().to_owned()).collect();
    format!("{}\n{}", terminal.styled(BOLD, &tally.caption), lines.join("\n"))
}
