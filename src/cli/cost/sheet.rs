//! An answer as text: a sentence, a table of figures that says how each is found, more tables, notes. Pure.

use comfy_table::{CellAlignment, ContentArrangement, LineStyle, Table, presets};

use super::words::spanned;
use crate::cost::Figure;

/// What a terminal shows of an answer.
pub struct Sheet {
    /// Answers the question.
    pub sentence: String,
    /// The figures behind it.
    pub groups: Vec<Group>,
    /// The same over a range, if there is one.
    pub grid: Option<Grid>,
    /// What a reader must know before believing it.
    pub notes: Vec<String>,
}

/// Figures that belong together.
pub struct Group {
    title: &'static str,
    rows: Vec<Row>,
}

/// One figure, or one fact.
pub struct Row {
    name: &'static str,
    value: String,
    how: String,
}

/// A table of its own.
pub struct Grid {
    /// What the columns hold.
    pub heads: Vec<&'static str>,
    /// Their cells.
    pub rows: Vec<Vec<String>>,
}

/// A space at which a table does not break a line; an ordinary one once it is laid out.
const FIXED: &str = "\u{a0}";

/// A group.
pub fn group(title: &'static str, rows: impl IntoIterator<Item = Row>) -> Group {
    Group { title, rows: rows.into_iter().collect() }
}

/// A figure, in the words of its unit.
pub fn row(name: &'static str, figure: Figure, word: fn(f64) -> String, how: impl Into<String>) -> Row {
    // A number and its unit stay on one line.
    Row { name, value: spanned(figure, |value| word(value).replace(' ', FIXED)), how: how.into() }
}

/// A fact that is no figure.
pub fn fact(name: &'static str, value: impl Into<String>, how: impl Into<String>) -> Row {
    Row { name, value: value.into(), how: how.into() }
}

impl Sheet {
    /// The text, in lines of at most `width` columns where a terminal has so many.
    pub fn text(&self, width: Option<usize>) -> String {
        let mut parts = vec![wrapped(&self.sentence, width), self.figures(width)];
        parts.extend(self.grid.as_ref().map(|grid| grid.text(width)));
        let notes: Vec<String> = self.notes.iter().map(|note| wrapped(&format!("Note: {note}"), width)).collect();
        if !notes.is_empty() {
            parts.push(notes.join("\n"));
        }
        parts.join("\n\n") + "\n"
    }

    fn figures(&self, width: Option<usize>) -> String {
        let mut table = ruled(width);
        table.set_header(["Figure", "Value", "From"]);
        for group in self.groups.iter().filter(|group| !group.rows.is_empty()) {
            table.add_row([group.title, "", ""]);
            for row in &group.rows {
                table.add_row([&format!("{FIXED}{FIXED}{}", row.name), &row.value, &row.how]);
            }
        }
        laid_out(&table)
    }
}

impl Grid {
    fn text(&self, width: Option<usize>) -> String {
        let mut table = ruled(width);
        table.set_header(&self.heads);
        for row in &self.rows {
            table.add_row(row);
        }
        table.column_iter_mut().for_each(|column| column.set_cell_alignment(CellAlignment::Right));
        laid_out(&table)
    }
}

/// A table with a rule under its head.
fn ruled(width: Option<usize>) -> Table {
    let mut table = Table::new();
    table.load_style(presets::NOTHING.header_separator(LineStyle::new('─', '─', '─', '─')));
    if let Some(width) = width {
        table.set_content_arrangement(ContentArrangement::Dynamic).set_width(width.clamp(40, 500) as u16);
    }
    table
}

fn laid_out(table: &Table) -> String {
    table.lines().map(|line| line.replace(FIXED, " ").trim_end().to_owned()).collect::<Vec<_>>().join("\n")
}

/// Text in lines of at most `width` columns, broken between words; in one line without a width.
pub fn wrapped(text: &str, width: Option<usize>) -> String {
    let width = width.unwrap_or(usize::MAX).max(40);
    let mut lines = vec![String::new()];
    for word in text.split(' ') {
        match lines.last_mut() {
            Some(line) if line.is_empty() => line.push_str(word),
            Some(line) if line.chars().count() + 1 + word.chars().count() <= width => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sheet() -> Sheet {
        let long = "a sentence of so many words that no terminal of forty columns shows it in one line";
        let figure = Figure::between(35.28e9, 30e9, 40e9).unwrap();
        Sheet {
            sentence: long.to_owned(),
            groups: vec![
                group("memory", [row("weights", figure, super::super::words::bytes, long)]),
                group("nothing", []),
            ],
            grid: Some(Grid { heads: vec!["Batch", "Cost"], rows: vec![vec!["8".to_owned(), "0.25".to_owned()]] }),
            notes: vec![long.to_owned()],
        }
    }

    #[test]
    fn text_keeps_to_the_terminal_and_a_number_to_its_unit() {
        let text = sheet().text(Some(60));
        assert!(text.lines().all(|line| line.chars().count() <= 60), "{text}");
        assert!(text.contains("35.28 GB"), "{text}");
        assert!(text.contains("Note: a sentence"), "{text}");
        assert!(!text.contains("nothing") && !text.contains(FIXED), "{text}");
    }

    #[test]
    fn text_for_a_file_has_no_limit() {
        let text = sheet().text(None);
        assert!(text.lines().any(|line| line == sheet().sentence), "{text}");
        assert!(text.lines().any(|line| line.starts_with("    weights ") && line.ends_with("in one line")), "{text}");
        assert!(text.contains("35.28 GB (30 GB to 40 GB)"), "{text}");
    }
}
