//! Figures as a reader sees them: four significant digits, a unit, and the interval where there is one.

use crate::claims::number;
use crate::cost::Figure;
use crate::cost::training::DAY_S;
use crate::units::{Seconds, digits, with_prefix};

/// A figure in the words of its unit, with its interval unless it is exact.
pub fn spanned(figure: Figure, word: impl Fn(f64) -> String) -> String {
    let value = word(figure.value());
    match figure.is_exact() {
        true => value,
        false => format!("{value} ({} to {})", word(figure.low()), word(figure.high())),
    }
}

/// A count as people say it: `70.55 billion`, `512`.
pub fn large(value: f64) -> String {
    const NAMES: [(f64, &str); 3] = [(1e12, "trillion"), (1e9, "billion"), (1e6, "million")];
    match NAMES.into_iter().find(|(scale, _)| value >= scale * 0.999_95) {
        Some((scale, name)) if value < 1e15 => format!("{} {name}", digits(value / scale)),
        _ => number(value),
    }
}

/// Bytes, in decimal units.
pub fn bytes(value: f64) -> String {
    with_prefix(value, "B")
}

/// Bytes per second.
pub fn byte_rate(value: f64) -> String {
    with_prefix(value, "B/s")
}

/// Operations. Those of a training run are beyond any prefix.
pub fn flop(value: f64) -> String {
    format!("{} FLOP", number(value))
}

/// Operations per second.
pub fn flop_rate(value: f64) -> String {
    with_prefix(value, "FLOP/s")
}

/// Tokens per second.
pub fn token_rate(value: f64) -> String {
    format!("{} tokens/s", number(value))
}

/// Tokens.
pub fn tokens(value: f64) -> String {
    format!("{} tokens", large(value))
}

/// A share, in percent.
pub fn percent(value: f64) -> String {
    format!("{} %", number(value * 100.0))
}

/// Money: cents where they can be read, four digits below, a word for millions.
pub fn usd(value: f64) -> String {
    match value {
        value if value >= 999_950.0 => format!("{} USD", large(value)),
        value if value >= 9_999.5 => format!("{value:.0} USD"),
        value if value >= 0.995 => format!("{value:.2} USD"),
        value => format!("{} USD", digits(value)),
    }
}

/// A time: days from two days on.
pub fn time(value: f64) -> String {
    match Seconds::new(value) {
        Some(seconds) if value < 2.0 * DAY_S => seconds.to_string(),
        _ => format!("{} days", number(value / DAY_S)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    type Reads = (fn(f64) -> String, f64, &'static str);

    #[test]
    fn figures_read_as_people_write_them() {
        let cases: [Reads; 20] = [
            (large, 70_553_706_496.0, "70.55 billion"),
            (large, 999_960_000.0, "1 billion"),
            (large, 1.4e12, "1.4 trillion"),
            (large, 512.0, "512"),
            (large, 29.69, "29.69"),
            (large, 2e16, "2e16"),
            (bytes, 35.28e9, "35.28 GB"),
            (byte_rate, 3.35e12, "3.35 TB/s"),
            (flop, 5.482e23, "5.482e23 FLOP"),
            (flop_rate, 989.4e12, "989.4 TFLOP/s"),
            (token_rate, 12_345.6, "12346 tokens/s"),
            (percent, 0.4, "40 %"),
            (usd, 4_067_000.0, "4.067 million USD"),
            (usd, 79_012.3, "79012 USD"),
            (usd, 2.0, "2.00 USD"),
            (usd, 0.001_234_56, "0.001235 USD"),
            (usd, 0.000_012_3, "0.0000123 USD"),
            (time, 1_814_400.0, "21 days"),
            (time, 7_260.0, "2 h 01 min"),
            (time, 0.0421, "42.1 ms"),
        ];
        for (word, value, told) in cases {
            assert_eq!(word(value), told);
        }
    }

    #[test]
    fn an_interval_is_shown_where_there_is_one() {
        let exact = Figure::exact(0.4).unwrap();
        assert_eq!(spanned(exact, percent), "40 %");
        let between = Figure::between(0.4, 0.3, 0.5).unwrap();
        assert_eq!(spanned(between, percent), "40 % (30 % to 50 %)");
    }
}
