//! Values as users type them: durations, sizes, axes.

use crate::cost::Figure;
use crate::record::AxisValue;
use crate::units::{ByteCount, Seconds, Usd};

/// A positive duration: `90s`, `2m`, `1h30m`, or a bare number of seconds.
pub fn duration(text: &str) -> Result<Seconds, String> {
    let bare = text.trim().parse::<f64>().ok();
    let seconds = match bare {
        Some(seconds) => seconds,
        None => {
            let parsed: jiff::SignedDuration = text.parse().map_err(|_| duration_help(text))?;
            parsed.as_secs_f64()
        }
    };
    Seconds::new(seconds).filter(|seconds| *seconds > Seconds::ZERO).ok_or_else(|| duration_help(text))
}

fn duration_help(text: &str) -> String {
    format!("'{text}' is not a positive duration; write 90s, 2m or 1h30m")
}

/// A positive price per hour in US dollars.
pub fn price(text: &str) -> Result<Usd, String> {
    let price = text.parse().ok().and_then(Usd::new).filter(|price| *price > Usd::ZERO);
    price.ok_or_else(|| format!("'{text}' is not a positive price in USD per hour; write 2.00"))
}

/// A number above zero, or a span of them: `0.4`, `40%`, `1.4e12`, `300B`, `0.3..0.5`. A span's value is its middle.
pub fn figure(text: &str) -> Result<Figure, String> {
    let ends = match text.split_once("..") {
        Some((low, high)) => number(low).zip(number(high)),
        None => number(text).map(|value| (value, value)),
    };
    let figure = ends.and_then(|(low, high)| Figure::between(f64::midpoint(low, high), low, high).ok());
    figure.filter(|figure| figure.low() > 0.0).ok_or_else(|| {
        format!("'{text}' is not a number above zero; write 2.5, 40%, 1.4e12, 300B or a span such as 0.3..0.5")
    })
}

/// A number, with a suffix that scales it or without.
fn number(text: &str) -> Option<f64> {
    const SUFFIXES: [(&str, f64); 5] = [("%", 0.01), ("k", 1e3), ("M", 1e6), ("B", 1e9), ("T", 1e12)];
    let scaled =
        || SUFFIXES.iter().find_map(|(suffix, scale)| Some(text.strip_suffix(suffix)?.parse::<f64>().ok()? * scale));
    text.parse().ok().or_else(scaled)
}

/// An axis with its values: `m=1,8,64`, `size=64MiB`, `kernel=read`.
pub fn axis(text: &str) -> Result<(String, Vec<AxisValue>), String> {
    let help = || format!("'{text}' is not an axis with values; write NAME=VALUE[,VALUE…], such as m=1,8,64");
    let (name, values) = text.split_once('=').ok_or_else(help)?;
    if name.is_empty() || values.is_empty() || values.split(',').any(str::is_empty) {
        return Err(help());
    }
    Ok((name.to_owned(), values.split(',').map(axis_value).collect()))
}

/// A number, a size with a binary suffix, or a word.
fn axis_value(text: &str) -> AxisValue {
    const SUFFIXES: [(&str, u64); 3] =
        [("KiB", ByteCount::kib(1).0), ("MiB", ByteCount::mib(1).0), ("GiB", ByteCount::gib(1).0)];
    let size =
        SUFFIXES.iter().find_map(|(suffix, scale)| text.strip_suffix(suffix)?.parse::<u64>().ok()?.checked_mul(*scale));
    match text.parse().ok().or(size) {
        Some(count) => AxisValue::Count(count),
        None => AxisValue::Word(text.to_owned()),
    }
}
