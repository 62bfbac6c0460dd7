//! The report as Markdown, for repositories and pull requests: the same content as the HTML page.

pub mod claims;

use super::view::{BenchmarkView, Card, CaseRef, Cell, DeviceView, Fact, Level, Notice, Plot, Table, View};

/// What becomes of the plots.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Plots {
    /// Images in files beside the document, as [`super::render`] makes them.
    Linked,
    /// Left out: the document stands alone.
    Omitted,
}

/// The document.
pub fn render(view: &View, plots: Plots) -> String {
    let mut blocks = vec![format!("# {}", escape(&view.title))];
    blocks.extend(view.watermark.as_ref().map(|watermark| format!("> **{}**", escape(watermark))));
    for device in &view.devices {
        if view.devices.len() > 1 {
            blocks.push(format!("## {}", escape(&device.name)));
        }
        blocks.extend(verdict(device));
        blocks.push(cards(&device.cards));
    }
    let faults = view.notices.iter().filter(|notice| notice.level == Level::Fault);
    let faults: Vec<String> = faults
        .map(|notice| format!("> **{}** {}{}", Level::Fault.word(), device_of(notice), text(&notice.what)))
        .collect();
    if !faults.is_empty() {
        blocks.push(faults.join("\n>\n"));
    }
    blocks.extend(view.together.iter().filter(|_| plots == Plots::Linked).map(plot));
    for device in &view.devices {
        blocks.extend(device_part(view, device, plots));
    }
    if let Some(claims) = &view.claims {
        blocks.push("## What published articles claim".to_owned());
        let link = if plots == Plots::Linked { " [Every claim with its derivation](claims.md)" } else { "" };
        blocks.push(escape(&claims.verdict.join(" ")) + link);
        blocks.push(
            claims.findings.iter().map(|finding| format!("- {}", escape(finding))).collect::<Vec<_>>().join("\n"),
        );
    }
    blocks.push("## Environment".to_owned());
    for group in &view.environment {
        blocks.push(format!("### {}", escape(&group.title)));
        blocks.push(facts(&group.facts));
    }
    blocks.push("## Method".to_owned());
    blocks.push(
        view.method
            .iter()
            .map(|fact| format!("- **{}**: {}", escape(&fact.name), escape(&fact.value)))
            .collect::<Vec<_>>()
            .join("\n"),
    );
    blocks.push("## Warnings".to_owned());
    match view.notices.as_slice() {
        [] => blocks.push("Nothing to warn of.".to_owned()),
        notices => blocks.push(notices.iter().map(warning).collect::<Vec<_>>().join("\n")),
    }
    blocks.join("\n\n") + "\n"
}

fn verdict(device: &DeviceView) -> Option<String> {
    let (first, rest) = device.verdict.split_first()?;
    let rest: String = rest.iter().map(|sentence| format!(" {}", escape(sentence))).collect();
    Some(format!("**{}**{rest}", escape(first)))
}

fn cards(cards: &[Card]) -> String {
    let row = |card: &Card| {
        let half = card.half.as_ref().map(|half| format!(" ± {half}")).unwrap_or_default();
        format!("| {} | {}{} | {} |", escape(&card.label), escape(&card.value), escape(&half), escape(&card.detail))
    };
    let rows: Vec<String> = cards.iter().map(row).collect();
    format!("| | | |\n|---|---:|---|\n{}", rows.join("\n"))
}

fn device_part(view: &View, device: &DeviceView, plots: Plots) -> Vec<String> {
    let mut blocks = Vec::new();
    if view.devices.len() > 1 {
        blocks.push(format!("## {}: results", escape(&device.name)));
    }
    if plots == Plots::Linked {
        blocks.extend(device.plots.iter().map(plot));
    }
    blocks.extend(device.plots.iter().filter_map(Plot::table).map(table));
    blocks.extend(device.ceilings.iter().map(table));
    blocks.extend(device.plateau.iter().map(table));
    blocks.extend(device.peaks.iter().map(table));
    blocks.extend(device.decoding.iter().map(table));
    blocks.extend(device.transfers.iter().map(table));
    blocks.extend(device.laws.iter().map(table));
    for part in &device.benchmarks {
        blocks.extend(benchmark(part));
    }
    blocks
}

fn plot(plot: &Plot) -> String {
    let (title, name) = (escape(&plot.title), &plot.name);
    format!("## {title}\n\n![{title}](plots/{name}.svg)\n\n{}", escape(&plot.caption))
}

fn benchmark(part: &BenchmarkView) -> Vec<String> {
    let mut blocks = vec![format!("## {}", escape(&part.id))];
    for words in [&part.question, &part.formula].into_iter().filter(|words| !words.is_empty()) {
        blocks.push(text(words));
    }
    blocks.push(table(&part.table()));
    if !part.caveats.is_empty() {
        blocks.push(part.caveats.iter().map(|caveat| format!("- {}", text(caveat))).collect::<Vec<_>>().join("\n"));
    }
    blocks.extend(part.races.iter().map(table));
    blocks
}

fn table(table: &Table) -> String {
    let heads: Vec<String> = table.columns.iter().map(|column| escape(&column.title)).collect();
    let rules: Vec<&str> = table.columns.iter().map(|column| if column.numeric { "---:" } else { "---" }).collect();
    let rows = table.rows.iter().map(|row| {
        let mut cells: Vec<String> = row.cells.iter().map(cell).collect();
        cells.resize(table.columns.len(), String::new());
        format!("| {} |", cells.join(" | "))
    });
    let lines: Vec<String> =
        [format!("| {} |", heads.join(" | ")), format!("| {} |", rules.join(" | "))].into_iter().chain(rows).collect();
    format!("{}\n\n{}", escape(&table.caption), lines.join("\n"))
}

fn cell(cell: &Cell) -> String {
    match cell {
        Cell::Empty => String::new(),
        Cell::Text(text) => escape(text),
        Cell::Case(case) => code(&case.key),
        Cell::Interval { value, half } => escape(&format!("{value} ± {half}")),
        Cell::Badges { badges, detail } => {
            let badges = badges.iter().map(|badge| badge.text.clone());
            let parts: Vec<String> = badges.chain(detail.clone()).collect();
            escape(&parts.join("; "))
        }
    }
}

fn facts(facts: &[Fact]) -> String {
    let row = |fact: &Fact| format!("| {} | {} |", escape(&fact.name), escape(&fact.value));
    format!("| | |\n|---|---|\n{}", facts.iter().map(row).collect::<Vec<_>>().join("\n"))
}

fn warning(notice: &Notice) -> String {
    let mut lines = vec![format!("- **{}** {}{}", notice.level.word(), device_of(notice), text(&notice.what))];
    if !notice.action.is_empty() {
        lines.push(format!("  → {}", text(&notice.action)));
    }
    let detail =
        |case: &CaseRef| case.detail.as_ref().map(|detail| format!(": {}", escape(detail))).unwrap_or_default();
    lines.extend(notice.cases.iter().map(|case| format!("  - {}{}", code(&case.key), detail(case))));
    lines.join("\n")
}

fn device_of(notice: &Notice) -> String {
    notice.device.as_ref().map(|device| format!("{}: ", escape(device))).unwrap_or_default()
}

/// Text in which what stands between back quotes is code.
fn text(text: &str) -> String {
    let part = |(index, part): (usize, &str)| if index % 2 == 0 { escape(part) } else { code(part) };
    text.split('`').enumerate().map(part).collect()
}

/// A code span, where the text can be one; plain text else.
fn code(text: &str) -> String {
    if text.is_empty() || text.contains(['`', '|', '\n']) { escape(text) } else { format!("`{text}`") }
}

/// Text that Markdown and the HTML within it take literally, on one line. An underscore within a word is
/// no emphasis and stays as it is.
pub(crate) fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    let mut last = ' ';
    let mut letters = text.chars().peekable();
    while let Some(c) = letters.next() {
        let word = |c: char| c.is_alphanumeric();
        match c {
            '\n' | '\r' => escaped.push(' '),
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '_' if word(last) && letters.peek().is_some_and(|next| word(*next)) => escaped.push('_'),
            '\\' | '`' | '*' | '_' | '{' | '}' | '[' | ']' | '#' | '|' | '~' | '!' => escaped.extend(['\\', c]),
            c => escaped.push(c),
        }
        last = c;
    }
    escaped
}
