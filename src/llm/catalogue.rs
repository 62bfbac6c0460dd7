//! Models by name: the embedded catalogue, and TOML files of the same form.

use serde::Deserialize;

use super::{Model, ModelError};

const EMBEDDED: &str = include_str!("models.toml");
const EMBEDDED_NAME: &str = "models.toml";

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    model: Vec<Model>,
}

/// Every model of the catalogue, in its order.
///
/// # Errors
/// [`ModelError::File`] if the catalogue is damaged, which a test rules out.
pub fn catalogue() -> Result<Vec<Model>, ModelError> {
    parse_toml(EMBEDDED, EMBEDDED_NAME)
}

/// The model of the catalogue with this id. Upper and lower case, and `-`, `.`, space and `_` are one, so that
/// `Llama-3.1-8B` finds `llama_3_1_8b`.
///
/// # Errors
/// [`ModelError::Unknown`], listing what there is.
pub fn find(id: &str) -> Result<Model, ModelError> {
    let mut models = catalogue()?;
    let wanted = spelled(id);
    match models.iter().position(|model| model.id == wanted) {
        Some(at) => Ok(models.swap_remove(at)),
        None => {
            let known: Vec<&str> = models.iter().map(|model| model.id.as_str()).collect();
            let mut nearest = known.clone();
            nearest.sort_by_key(|known| distance(known, &wanted));
            nearest.truncate(NEAREST);
            Err(ModelError::Unknown { id: id.to_owned(), nearest: nearest.join(", "), known: known.join(", ") })
        }
    }
}

/// The models of a TOML file in the catalogue's form: a `[[model]]` block each. `name` stands for the file in
/// messages.
///
/// # Errors
/// [`ModelError::File`] with line and key.
pub fn parse_toml(text: &str, name: &str) -> Result<Vec<Model>, ModelError> {
    let file: File = toml::from_str(text).map_err(|error| {
        let line = error.span().map_or(1, |span| line_at(text, span.start));
        let key = quoted(error.message()).or_else(|| key_on(text, line));
        ModelError::File { file: name.to_owned(), line, key, problem: error.message().to_owned() }
    })?;
    let mut seen = std::collections::BTreeSet::new();
    file.model
        .into_iter()
        .enumerate()
        .map(|(block, model)| {
            let at = |key: &str, problem: String| ModelError::File {
                file: name.to_owned(),
                line: line_in_block(text, block, key),
                key: Some(key.to_owned()),
                problem,
            };
            if !seen.insert(model.id.clone()) {
                return Err(at("id", format!("`{}` is there already; give each model an id of its own", model.id)));
            }
            model.checked().map_err(|error| match &error {
                ModelError::Number { what, .. } | ModelError::Indivisible { what, .. } => at(what, error.to_string()),
                _ => error,
            })
        })
        .collect()
}

/// A name in the spelling of ids.
fn spelled(name: &str) -> String {
    let one = |character: char| if matches!(character, '-' | '.' | ' ') { '_' } else { character.to_ascii_lowercase() };
    name.chars().map(one).collect()
}

/// Names that an unknown one may have meant.
const NEAREST: usize = 3;

/// Letters to insert, leave out or replace that make one name of the other (Levenshtein).
fn distance(one: &str, other: &str) -> usize {
    let other: Vec<char> = other.chars().collect();
    let mut row: Vec<usize> = (0..=other.len()).collect();
    for (above, letter) in one.chars().enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], above + 1);
        for (column, second) in other.iter().enumerate() {
            let replaced = diagonal + usize::from(letter != *second);
            diagonal = row[column + 1];
            row[column + 1] = replaced.min(diagonal + 1).min(row[column] + 1);
        }
    }
    row[other.len()]
}

/// The line, counted from 1, of a byte of the text.
fn line_at(text: &str, byte: usize) -> usize {
    1 + text.bytes().take(byte).filter(|&byte| byte == b'\n').count()
}

/// The first name in backticks: the key that a parser's message is about, where it names one.
fn quoted(message: &str) -> Option<String> {
    let about_a_key = ["missing field", "unknown field", "duplicate"].iter().any(|start| message.starts_with(start));
    about_a_key.then(|| message.split('`').nth(1).map(str::to_owned)).flatten()
}

/// The key that a line sets.
fn key_on(text: &str, line: usize) -> Option<String> {
    let (key, _) = text.lines().nth(line - 1)?.split_once('=')?;
    Some(key.trim().to_owned())
}

/// The line on which the `block`-th model sets `key`, or that of its header where it does not.
fn line_in_block(text: &str, block: usize, key: &str) -> usize {
    let is_header = |line: &str| line.trim_start().starts_with("[[model]]");
    let headers: Vec<usize> = text.lines().enumerate().filter(|(_, line)| is_header(line)).map(|(i, _)| i).collect();
    let Some(&start) = headers.get(block) else { return 1 };
    let end = headers.get(block + 1).copied().unwrap_or(usize::MAX);
    let sets = |line: &str| line.split_once('=').is_some_and(|(left, _)| left.trim() == key);
    let found = text.lines().enumerate().skip(start).take_while(|(i, _)| *i < end).find(|(_, line)| sets(line));
    1 + found.map_or(start, |(i, _)| i)
}
