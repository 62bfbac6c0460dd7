//! The report as one HTML file: offline, no script, light or dark as the reader prefers, readable on a phone
//! and on paper. Every text passes maud's escaping; only our own drawings and style sheet do not.

pub mod claims;

use maud::{DOCTYPE, Markup, PreEscaped, html};

use super::number;
use super::plots::{Drawing, css_variables};
use super::view::{
    Badge, BenchmarkView, Card, CaseRef, Cell, ClaimsTeaser, DeviceView, Fact, FactGroup, Level, Notice, Plot, Table,
    View,
};

static STYLE: &str = include_str!("../assets/style.css");

/// Cases of a notice shown at once; more are folded away.
const FOLD: usize = 6;

/// The page. `drawings` holds each plot by its name.
pub fn render(view: &View, drawings: &[(&str, Drawing)]) -> String {
    let main = html! {
        (head(view))
        (contents(view))
        @for plot in &view.together { (figure(plot, drawings)) }
        @for device in &view.devices { (device_part(view, device, drawings)) }
        @if let Some(claims) = &view.claims { (teaser(claims)) }
        section id="environment" { h2 { "Environment" } (groups(&view.environment)) }
        section id="method" { h2 { "Method" } (facts(&view.method, "method")) }
        (warnings(&view.notices))
    };
    page(&view.title, view.watermark.as_deref(), &main, "Made by rooflint from the run file; every sample is in it.")
}

/// A page of the report around its main part.
fn page(title: &str, watermark: Option<&str>, main: &Markup, made: &str) -> String {
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                meta name="generator" content="rooflint";
                title { (title) " · rooflint" }
                style { (PreEscaped(style())) }
            }
            body id="top" {
                @if let Some(watermark) = watermark { div.watermark role="alert" { (watermark) } }
                main { (main) }
                footer { (made) " " a href="#top" { "Back to the top" } }
            }
        }
    };
    page.into_string()
}

/// A word on the claims, whose page lies beside this one.
fn teaser(claims: &ClaimsTeaser) -> Markup {
    html! {
        section id="claims" {
            h2 { "What published articles claim" }
            p { @for sentence in &claims.verdict { (sentence) " " } a href="claims.html" { "Every claim with its derivation" } }
            ul { @for finding in &claims.findings { li { (finding) } } }
        }
    }
}

/// The style sheet, with the plots' colours in front.
fn style() -> String {
    let (light, dark) = css_variables();
    format!(
        ":root{{{light}}}\n@media (prefers-color-scheme:dark){{:root{{{dark}}}}}\n{STYLE}\n@media print{{:root{{{light}}}}}\n"
    )
}

fn head(view: &View) -> Markup {
    html! {
        header {
            p.kicker { "rooflint report" }
            h1 { (view.title) }
            @for device in &view.devices {
                @if view.devices.len() > 1 { h2.device { a href={ "#" (device.anchor) } { (device.name) } } }
                @for (index, sentence) in device.verdict.iter().enumerate() {
                    p.verdict[index == 0].more[index > 0] { (sentence) }
                }
                (cards(&device.cards))
            }
            (alerts(&view.notices))
        }
    }
}

/// What is wrong, where nobody overlooks it; the rest waits under its heading.
fn alerts(notices: &[Notice]) -> Markup {
    let number = |level: Level| notices.iter().filter(|notice| notice.level == level).count();
    let (faults, cautions) = (number(Level::Fault), number(Level::Caution));
    html! {
        @if faults > 0 {
            ul.alerts {
                @for notice in notices.iter().filter(|notice| notice.level == Level::Fault) {
                    li { span.word { (Level::Fault.symbol()) " " (Level::Fault.word()) } " " (said_by(notice)) (code(&notice.what)) }
                }
            }
        }
        @if faults + cautions > 0 {
            p.pointer { a href="#warnings" { (count(faults + cautions, "warning")) ", each with what to do" } }
        }
    }
}

fn cards(cards: &[Card]) -> Markup {
    html! {
        ul.cards {
            @for card in cards {
                li {
                    span.label { @match &card.anchor { Some(anchor) => a href={ "#" (anchor) } { (card.label) }, None => (card.label) } }
                    span.value {
                        (card.value)
                        @if let Some(half) = &card.half { " " span.half { "±\u{a0}" (half) } }
                    }
                    span.detail { (card.detail) }
                }
            }
        }
    }
}

fn contents(view: &View) -> Markup {
    html! {
        nav aria-label="Contents" {
            @for plot in &view.together { a href={ "#" (plot.anchor) } { (plot.title) } }
            @for device in &view.devices {
                @for plot in &device.plots { a href={ "#" (plot.anchor) } { (plot.title) } }
                @for part in &device.benchmarks { a href={ "#" (part.anchor) } { (part.id) } }
            }
            @if view.claims.is_some() { a href="#claims" { "Claims" } }
            a href="#environment" { "Environment" }
            a href="#method" { "Method" }
            @if !view.notices.is_empty() { a href="#warnings" { "Warnings" } }
        }
    }
}

fn device_part(view: &View, device: &DeviceView, drawings: &[(&str, Drawing)]) -> Markup {
    html! {
        div.part id=(device.anchor) {
            @if view.devices.len() > 1 {
                h2.device { (device.name) }
                @if let Some(watermark) = &device.watermark { p.watermark { (watermark) } }
            }
            @for plot in &device.plots {
                (figure(plot, drawings))
                @if let Some(same) = plot.table() { (table(same)) }
                @if plot.name.starts_with("residuals") { @for laws in &device.laws { (table(laws)) } }
                @if plot.name.starts_with("roofline") {
                    @if let Some(ceilings) = &device.ceilings { (table(ceilings)) }
                    @if let Some(plateau) = &device.plateau { (table(plateau)) }
                }
            }
            @if let Some(peaks) = &device.peaks { (table(peaks)) }
            @if let Some(transfers) = &device.transfers { (table(transfers)) }
            @for decoding in &device.decoding { (table(decoding)) }
            @if !device.plots.iter().any(|plot| plot.name.starts_with("residuals")) {
                @for laws in &device.laws { (table(laws)) }
            }
            @for part in &device.benchmarks { (benchmark(part)) }
        }
    }
}

fn figure(plot: &Plot, drawings: &[(&str, Drawing)]) -> Markup {
    let drawing = drawings.iter().find(|(name, _)| *name == plot.name).map(|(_, drawing)| drawing.inline());
    html! {
        section id=(plot.anchor) {
            h2 { (plot.title) }
            figure {
                div.scroll tabindex="0" role="region" aria-label=(plot.title) { (PreEscaped(drawing.unwrap_or_default())) }
                figcaption { (plot.caption) }
            }
        }
    }
}

fn benchmark(part: &BenchmarkView) -> Markup {
    html! {
        section id=(part.anchor) {
            h2 { (part.id) }
            @if !part.question.is_empty() { p.question { (part.question) } }
            @if !part.formula.is_empty() { p.formula { (code(&part.formula)) } }
            (table(&part.table()))
            @if !part.caveats.is_empty() { ul.caveats { @for caveat in &part.caveats { li { (code(caveat)) } } } }
            @if let Some(races) = &part.races { details { summary { (races.caption) } (table(races)) } }
        }
    }
}

fn table(table: &Table) -> Markup {
    let decimals: Vec<usize> = (0..table.columns.len()).map(|column| most_decimals(table, column)).collect();
    html! {
        // Beside the table and not in it: there it would scroll away with the table.
        p.caption { (table.caption) }
        div.scroll tabindex="0" role="region" aria-label=(table.caption) {
            table aria-label=(table.caption) {
                thead { tr { @for column in &table.columns { th scope="col" class=[class(column.numeric)] { (column.title) } } } }
                tbody {
                    @for row in &table.rows {
                        tr id=[row.anchor.as_ref()] {
                            @for (index, (column, cell)) in table.columns.iter().zip(&row.cells).enumerate() {
                                @let rest = table.columns.len() - index;
                                @if index == 0 {
                                    th scope="row" class=[class(column.numeric)] { (contents_of(cell, decimals[index])) }
                                } @else if index + 1 == row.cells.len() && rest > 1 {
                                    td colspan=(rest) { (contents_of(cell, decimals[index])) }
                                } @else {
                                    td class=[class(column.numeric).or(wrapped(cell))] { (contents_of(cell, decimals[index])) }
                                }
                            }
                        }
                    }
                }
            }
        }
    }
}

/// The most decimals among the values of a column.
fn most_decimals(table: &Table, column: usize) -> usize {
    let cells = table.rows.iter().filter_map(|row| row.cells.get(column));
    let decimals = cells.map(|cell| match cell {
        Cell::Interval { value, .. } => number::decimals(value),
        _ => 0,
    });
    decimals.max().unwrap_or(0)
}

/// Room for the decimals a value has fewer than others of its column, so that points align. A digit is 1ch
/// wide, the point about half of that.
fn padding(value: &str, most: usize) -> Option<String> {
    match (number::decimals(value), most) {
        (own, most) if own == most => None,
        (0, most) => Some(format!("padding-right:{most}.5ch")),
        (own, most) => Some(format!("padding-right:{}ch", most - own)),
    }
}

fn class(numeric: bool) -> Option<&'static str> {
    numeric.then_some("num")
}

/// Characters of a cell that would make its table wider than a page.
const LONG: usize = 60;

/// The class of a cell whose words go over several lines.
fn wrapped(cell: &Cell) -> Option<&'static str> {
    let text = match cell {
        Cell::Text(text) => text,
        Cell::Badges { detail: Some(detail), .. } => detail,
        _ => return None,
    };
    (text.chars().count() > LONG).then_some("long")
}

fn contents_of(cell: &Cell, decimals: usize) -> Markup {
    html! {
        @match cell {
            Cell::Empty => {}
            Cell::Text(text) => (text),
            Cell::Case(case) => (reference(case)),
            Cell::Interval { value, half } => { span style=[padding(value, decimals)] { (value) } " " span.half { "± " (half) } }
            Cell::Badges { badges: marks, detail } => {
                (badges(marks))
                @if let Some(detail) = detail { span.detail { (detail) } }
            }
        }
    }
}

fn badges(badges: &[Badge]) -> Markup {
    html! {
        @for badge in badges {
            span class={ "badge " (badge.level.word()) } { (badge.level.symbol()) " " (badge.text) } " "
        }
    }
}

fn reference(case: &CaseRef) -> Markup {
    html! { a.case href={ "#" (case.anchor) } { (case.key) } }
}

fn groups(groups: &[FactGroup]) -> Markup {
    html! {
        div.groups { @for group in groups { div { h3 { (group.title) } (facts(&group.facts, "facts")) } } }
    }
}

fn facts(facts: &[Fact], class: &str) -> Markup {
    html! {
        dl class=(class) { @for fact in facts { div { dt { (fact.name) } dd { (fact.value) } } } }
    }
}

fn warnings(notices: &[Notice]) -> Markup {
    html! {
        section id="warnings" {
            h2 { "Warnings" }
            @if notices.is_empty() { p { "Nothing to warn of." } }
            ul.notices { @for notice in notices { (warning(notice)) } }
        }
    }
}

fn warning(notice: &Notice) -> Markup {
    let cases = html! {
        @for case in &notice.cases {
            li { (reference(case)) @if let Some(detail) = &case.detail { ": " (detail) } }
        }
    };
    html! {
        li class=(notice.level.word()) {
            p { span.word { (notice.level.symbol()) " " (notice.level.word()) } " " (said_by(notice)) (code(&notice.what)) }
            @if !notice.action.is_empty() { p.action { "→ " (code(&notice.action)) } }
            @if notice.cases.len() > FOLD {
                details { summary { (notice.cases.len()) " cases" } ul { (cases) } }
            } @else if !notice.cases.is_empty() {
                ul { (cases) }
            }
        }
    }
}

fn said_by(notice: &Notice) -> Markup {
    html! { @if let Some(device) = &notice.device { strong { (device) ": " } } }
}

/// Text in which what stands between back quotes is code.
fn code(text: &str) -> Markup {
    html! {
        @for (index, part) in text.split('`').enumerate() {
            @if index % 2 == 0 { (part) } @else { code { (part) } }
        }
    }
}

fn count(number: usize, noun: &str) -> String {
    if number == 1 { format!("1 {noun}") } else { format!("{number} {noun}s") }
}
