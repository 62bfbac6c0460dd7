//! A user's own matrix products: a file with one shape per line.

use super::{PRECISIONS, SIDE};
use crate::record::{MatmulShape, Precision};

/// A line that is no shape.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {what}; write m,n,k or m,n,k,precision, such as 8,4096,4096,f32")]
pub struct ShapeError {
    /// Which line, from 1.
    pub line: usize,
    /// What is wrong with it.
    pub what: String,
}

/// Longest piece of a line shown in a message.
const SHOWN: usize = 40;

/// The shapes of a text: `m,n,k[,precision]` per line. Empty lines, what follows a `#`, and a first line
/// `m,n,k` or `m,n,k,precision` are passed over.
///
/// # Errors
///
/// Names the first line that is no shape, or line 1 of a text without any.
pub fn parse(text: &str) -> Result<Vec<MatmulShape>, ShapeError> {
    let mut shapes = Vec::new();
    for (line, text) in (1..).zip(text.lines()) {
        let text = text.split('#').next().unwrap_or("").trim();
        let fields: Vec<&str> = text.split(',').map(str::trim).collect();
        let heading = shapes.is_empty() && matches!(fields[..], ["m", "n", "k"] | ["m", "n", "k", "precision"]);
        if text.is_empty() || heading {
            continue;
        }
        shapes.push(shape(&fields).map_err(|what| ShapeError { line, what })?);
    }
    match shapes.is_empty() {
        true => Err(ShapeError { line: 1, what: "there is no shape".to_owned() }),
        false => Ok(shapes),
    }
}

fn shape(fields: &[&str]) -> Result<MatmulShape, String> {
    let (m, n, k, precision) = match fields {
        [m, n, k] => (m, n, k, None),
        [m, n, k, precision] => (m, n, k, Some(self::precision(precision)?)),
        _ => return Err(format!("3 or 4 values are needed, this has {}", fields.len())),
    };
    Ok(MatmulShape { m: side(m)?, n: side(n)?, k: side(k)?, precision })
}

fn side(text: &str) -> Result<u64, String> {
    let [least, most] = SIDE;
    let side = text.parse().ok().filter(|side| (least..=most).contains(side));
    side.ok_or_else(|| format!("'{}' is not a whole number from {least} to {most}", shown(text)))
}

fn precision(text: &str) -> Result<Precision, String> {
    let known = text.parse().ok().filter(|_| PRECISIONS.contains(&text));
    known.ok_or_else(|| format!("'{}' is not a precision; known: {}", shown(text), PRECISIONS.join(", ")))
}

/// The beginning of a text, without what a terminal would act upon.
fn shown(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { '?' } else { c }).take(SHOWN).collect()
}
