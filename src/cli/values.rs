//! Values as users type them: durations, sizes, axes.

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
