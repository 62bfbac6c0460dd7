//! Text from outside, made safe to show, and names for anchors.

use std::collections::BTreeSet;

use crate::record::{AxisValue, Case};
use crate::units::{ByteCount, digits};

/// Longest text taken over from a run file; driver messages can be pages long.
const LONGEST: usize = 600;

/// Text of a run file as it may be shown anywhere: terminal escape sequences, control characters and
/// characters that reorder or hide text are gone, white space is single, and it is not endless.
/// What is special in HTML or Markdown is left to the writers of those.
pub fn clean(text: &str) -> String {
    let plain = anstream::adapter::strip_str(text).to_string();
    let spaced: String =
        plain.chars().map(|c| if c.is_control() { ' ' } else { c }).filter(|c| !is_hidden(*c)).collect();
    let single = spaced.split_whitespace().collect::<Vec<_>>().join(" ");
    match single.char_indices().nth(LONGEST) {
        Some((cut, _)) => format!("{}…", &single[..cut]),
        None => single,
    }
}

/// Zero-width characters and those that override the direction of writing.
fn is_hidden(c: char) -> bool {
    matches!(c, '\u{ad}' | '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2028}' | '\u{2029}'
        | '\u{2060}'..='\u{206f}' | '\u{feff}')
}

/// Hands out anchors, each once.
#[derive(Debug, Default)]
pub struct Anchors(BTreeSet<String>);

impl Anchors {
    /// An anchor made of `text`: lower case, with `-` for what an address should not hold. A second one of
    /// the same text gets a number.
    pub fn take(&mut self, text: &str) -> String {
        let mut slug = String::new();
        for c in text.chars() {
            match c.to_ascii_lowercase() {
                c if c.is_ascii_alphanumeric() || c == '_' => slug.push(c),
                _ if slug.ends_with('-') || slug.is_empty() => {}
                _ => slug.push('-'),
            }
        }
        let slug = slug.trim_end_matches('-');
        let slug = if slug.is_empty() { "part" } else { slug };
        let numbered = (2..).map(|number| format!("{slug}-{number}"));
        let free = std::iter::once(slug.to_owned()).chain(numbered).find(|anchor| !self.0.contains(anchor));
        let anchor = free.unwrap_or_default();
        self.0.insert(anchor.clone());
        anchor
    }
}

/// Axes in the order a reader expects; those not listed come after, by name.
const AXIS_ORDER: [&str; 13] =
    ["kernel", "precision", "provider", "slice", "m", "n", "k", "data", "fmas", "stride", "size", "threads", "chains"];

/// Where an axis stands among others.
pub fn axis_rank(name: &str) -> (usize, &str) {
    (AXIS_ORDER.iter().position(|known| *known == name).unwrap_or(AXIS_ORDER.len()), name)
}

/// The value of an axis in a table. A size is in bytes by the suite's convention.
pub fn axis_value(name: &str, value: &AxisValue) -> String {
    match value {
        AxisValue::Count(bytes) if matches!(name, "size" | "stride") => ByteCount(*bytes).to_string(),
        AxisValue::Count(count) => count.to_string(),
        AxisValue::Word(word) => clean(word),
    }
}

/// A case without its benchmark, as short as it can be read: `read 64 MiB`, `f32 1 × 4096 × 4096`, `f32 2048³`.
pub fn label(case: &Case) -> String {
    label_without(case, &BTreeSet::new())
}

/// The same without some axes.
pub fn label_without(case: &Case, omitted: &BTreeSet<&str>) -> String {
    let mut axes: Vec<_> = case.axes.iter().filter(|(name, _)| !omitted.contains(name.as_str())).collect();
    axes.sort_by_key(|(name, _)| axis_rank(name));
    let product = ["m", "n", "k"].map(|name| case.count(name));
    let mut parts = Vec::new();
    for (name, value) in axes {
        let shown = axis_value(name, value);
        match (name.as_str(), product) {
            ("m", [Some(m), Some(n), Some(k)]) if m == n && n == k => parts.push(format!("{m}³")),
            ("m", [Some(m), Some(n), Some(k)]) => parts.push(format!("{m} × {n} × {k}")),
            ("n" | "k", [Some(_), Some(_), Some(_)]) => {}
            ("threads", _) if shown == "1" => parts.push("1 thread".to_owned()),
            ("threads", _) => parts.push(format!("{shown} threads")),
            // What is usual goes without saying.
            ("data", _) if shown == "random" => {}
            ("chains", _) if shown == "1" => parts.push("1 chain".to_owned()),
            ("chains", _) => parts.push(format!("{shown} chains")),
            ("fmas", _) if case.benchmark == "intensity" => {
                parts.push(case.count("fmas").map_or(shown, |fmas| format!("{} FLOP/B", digits(fmas as f64 / 16.0))));
            }
            ("size", _) => parts.push(shown),
            (name, _) if matches!(value, AxisValue::Count(_)) => parts.push(format!("{} {shown}", clean(name))),
            _ => parts.push(shown),
        }
    }
    if parts.is_empty() { "the only case".to_owned() } else { parts.join(" ") }
}

/// `1 case`, `3 cases`.
pub fn count(number: usize, noun: &str) -> String {
    if number == 1 { format!("1 {noun}") } else { format!("{number} {noun}s") }
}

/// `a`, `a and b`, `a, b and c`.
pub fn list(parts: &[String]) -> String {
    match parts {
        [] => String::new(),
        [one] => one.clone(),
        [first @ .., last] => format!("{} and {last}", first.join(", ")),
    }
}
