//! Quantities: what may enter, how they compute, how they read.

use std::time::Duration;

use proptest::prelude::*;
use rooflint::units::{
    ByteCount, ByteRate, Celsius, FlopCount, FlopRate, Hertz, Intensity, Joules, Ratio, Seconds, Usd, Watts, digits,
    with_prefix,
};

fn seconds(value: f64) -> Seconds {
    Seconds::new(value).expect("valid seconds")
}

#[test]
fn only_finite_numbers_that_are_not_negative_enter() {
    for bad in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, -1.0, -f64::MIN_POSITIVE] {
        assert_eq!(Seconds::new(bad), None);
        let refusals = [
            Seconds::try_from(bad).map(f64::from),
            ByteRate::try_from(bad).map(f64::from),
            FlopRate::try_from(bad).map(f64::from),
            Intensity::try_from(bad).map(f64::from),
            Hertz::try_from(bad).map(f64::from),
            Watts::try_from(bad).map(f64::from),
            Joules::try_from(bad).map(f64::from),
            Celsius::try_from(bad).map(f64::from),
            Ratio::try_from(bad).map(f64::from),
            Usd::try_from(bad).map(f64::from),
        ];
        assert!(refusals.iter().all(Result::is_err), "{bad}: {refusals:?}");
    }
    let refusal = Seconds::try_from(-1.0).expect_err("negative").to_string();
    assert_eq!(refusal, "-1 is not a valid number of seconds: it must be finite and not negative");
    assert_eq!((Seconds::new(0.0), seconds(1.5).get()), (Some(Seconds::ZERO), 1.5));
    assert_eq!(seconds(1.0).scaled(f64::NAN), None);
    assert_eq!(seconds(1.0).scaled(-1.0), None);
    assert_eq!(seconds(1e300).scaled(1e300), None);
    assert_eq!(seconds(2.0).scaled(1.5), Seconds::new(3.0));
}

#[test]
fn nothing_divides_by_zero() {
    let bytes = ByteCount(3_000_000_000);
    assert_eq!(bytes.per(seconds(1.5)), ByteRate::new(2e9));
    assert_eq!(bytes.per(Seconds::ZERO), None);
    assert_eq!(ByteCount::ZERO.per(Seconds::ZERO), None);
    assert_eq!(FlopCount(6).per(seconds(2.0)), FlopRate::new(3.0));
    assert_eq!(FlopCount(6).per(Seconds::ZERO), None);
    assert_eq!(FlopCount(6).per_byte(ByteCount(4)), Intensity::new(1.5));
    assert_eq!(FlopCount(6).per_byte(ByteCount::ZERO), None);
    assert_eq!(seconds(3.0).ratio_to(seconds(2.0)), Ratio::new(1.5));
    assert_eq!(seconds(3.0).ratio_to(Seconds::ZERO), None);
    assert_eq!(Seconds::ZERO.ratio_to(Seconds::ZERO), None);
}

#[test]
fn the_ridge_is_where_slope_and_ceiling_meet() {
    let (compute, memory) = (FlopRate::new(312e12).expect("valid"), ByteRate::new(2e12).expect("valid"));
    let ridge = compute.ridge(memory).expect("a memory ceiling");
    assert_eq!(ridge.get(), 156.0);
    assert_eq!(memory * ridge, compute);
    assert_eq!(compute.ridge(ByteRate::ZERO), None);
}

#[test]
fn time_converts_to_and_from_durations() {
    assert_eq!(Seconds::from(Duration::from_millis(1500)), seconds(1.5));
    assert_eq!(Duration::from(seconds(1.5)), Duration::from_millis(1500));
    assert_eq!(Duration::from(seconds(1e300)), Duration::MAX);
    assert_eq!(Seconds::from_nanos(2_000_000_000), seconds(2.0));
    assert_eq!(seconds(1.0).saturating_sub(seconds(3.0)), Seconds::ZERO);
    assert_eq!(Watts::new(300.0).expect("valid").during(seconds(2.0)), Joules::new(600.0).expect("valid"));
}

#[test]
fn digits_keeps_four_and_no_trailing_zeros() {
    let table = [
        (0.0, "0"),
        (1.0, "1"),
        (10.0, "10"),
        (100.0, "100"),
        (1.5, "1.5"),
        (2.71929, "2.719"),
        (27.1929, "27.19"),
        (271.929, "271.9"),
        (2719.29, "2719"),
        (9.9996, "10"),
        (0.001234567, "0.001235"),
        (-2.5, "-2.5"),
    ];
    for (value, expected) in table {
        assert_eq!(digits(value), expected, "{value}");
    }
}

#[test]
fn prefixes_change_at_a_thousand_as_printed() {
    let table = [
        (0.0, "0 B/s"),
        (-0.0, "0 B/s"),
        (1.0, "1 B/s"),
        (999.0, "999 B/s"),
        (999.94, "999.9 B/s"),
        (999.96, "1 kB/s"),
        (1000.0, "1 kB/s"),
        (999.94e6, "999.9 MB/s"),
        (999.96e6, "1 GB/s"),
        (52.1e9, "52.1 GB/s"),
        (2.039e12, "2.039 TB/s"),
        (1.6e15, "1.6 PB/s"),
        (2e18, "2000 PB/s"),
        (0.0125, "12.5 mB/s"),
        (3.3e-7, "330 nB/s"),
        (1.5e-10, "0.15 nB/s"),
        (-2.5e9, "-2.5 GB/s"),
    ];
    for (value, expected) in table {
        assert_eq!(with_prefix(value, "B/s"), expected, "{value}");
    }
}

#[test]
fn quantities_read_as_the_field_writes_them() {
    let times = [
        (0.0, "0 s"),
        (8e-10, "0.8 ns"),
        (812e-9, "812 ns"),
        (0.99996, "1 s"),
        (1.0, "1 s"),
        (59.96, "59.96 s"),
        (99.4, "99.4 s"),
        (99.5, "1 min 40 s"),
        (125.0, "2 min 05 s"),
        (3599.6, "1 h 00 min"),
        (7261.0, "2 h 01 min"),
    ];
    for (value, expected) in times {
        assert_eq!(seconds(value).to_string(), expected, "{value}");
    }
    let counts = [(0, "0 B"), (1023, "1023 B"), (1024, "1 KiB"), (3 << 29, "1.5 GiB"), (1 << 40, "1 TiB")];
    for (count, expected) in counts {
        assert_eq!(ByteCount(count).to_string(), expected);
    }
    assert_eq!(ByteCount::mib(512).to_string(), "512 MiB");
    assert_eq!(FlopRate::new(19.5e12).expect("valid").to_string(), "19.5 TFLOP/s");
    assert_eq!(Intensity::new(0.125).expect("valid").to_string(), "0.125 FLOP/B");
    assert_eq!(Ratio::new(0.0423).expect("valid").to_string(), "4.23 %");
    assert_eq!(Hertz::new(1.98e9).expect("valid").to_string(), "1.98 GHz");
    assert_eq!(Celsius::new(64.0).expect("valid").to_string(), "64 °C");
    assert_eq!(FlopCount(2_000_000).to_string(), "2 MFLOP");
    let prices = [(0.0, "0 USD"), (0.00125, "0.00125 USD"), (2.5, "2.50 USD"), (12_500.0, "12.5 kUSD")];
    for (value, expected) in prices {
        assert_eq!(Usd::new(value).expect("valid").to_string(), expected);
    }
    assert_eq!(format!("[{:>10}]", seconds(0.0025)), "[    2.5 ms]");
    assert_eq!(format!("[{:<10}]", ByteCount::kib(2)), "[2 KiB     ]");
}

#[test]
fn a_file_cannot_smuggle_in_what_is_no_quantity() {
    for text in ["-1.0", "-1e-300", "null", "\"1.0\"", "1e999", "NaN", "Infinity", "[1.0]"] {
        assert!(serde_json::from_str::<Seconds>(text).is_err(), "{text}");
        assert!(serde_json::from_str::<Ratio>(text).is_err(), "{text}");
    }
    for text in ["-1", "1.5", "18446744073709551616", "null"] {
        assert!(serde_json::from_str::<ByteCount>(text).is_err(), "{text}");
    }
    assert_eq!(serde_json::from_str::<Seconds>("2").expect("a number"), seconds(2.0));
    assert_eq!(serde_json::to_string(&seconds(0.1)).expect("a number"), "0.1");
}

/// Every finite number that is not negative, down to the smallest.
fn valid() -> impl Strategy<Value = f64> {
    use prop::num::f64::{NORMAL, POSITIVE, SUBNORMAL, ZERO};
    POSITIVE | NORMAL | SUBNORMAL | ZERO
}

proptest! {
    #[test]
    fn a_file_keeps_every_bit(value in valid(), count: u64) {
        let text = serde_json::to_string(&seconds(value)).expect("a number");
        let back: Seconds = serde_json::from_str(&text).expect("what was written");
        prop_assert_eq!(back.get().to_bits(), value.to_bits());
        let text = serde_json::to_string(&ByteCount(count)).expect("a number");
        prop_assert_eq!(serde_json::from_str::<ByteCount>(&text).expect("what was written"), ByteCount(count));
    }

    #[test]
    fn order_is_the_numbers_order(a in valid(), b in valid()) {
        prop_assert_eq!(seconds(a).cmp(&seconds(b)), a.partial_cmp(&b).expect("no NaN"));
    }

    #[test]
    fn what_is_read_is_near_what_was_printed(value in 1e-9_f64..1e15) {
        let text = with_prefix(value, "B/s");
        let (number, unit) = text.split_once(' ').expect("a number and a unit");
        let scale = match unit.strip_suffix("B/s").expect("the unit") {
            "P" => 1e15, "T" => 1e12, "G" => 1e9, "M" => 1e6, "k" => 1e3, "" => 1.0, "m" => 1e-3, "µ" => 1e-6, _ => 1e-9,
        };
        let number: f64 = number.parse().expect("a number");
        prop_assert!((number * scale / value - 1.0).abs() < 6e-4, "{value} as {text}");
        prop_assert!((0.9999..1000.0).contains(&number), "{value} as {text}");
        prop_assert!(text.chars().filter(char::is_ascii_digit).count() <= 5, "{value} as {text}");
    }

    #[test]
    fn printing_never_fails(value in valid()) {
        prop_assert!(!seconds(value).to_string().is_empty());
        prop_assert!(!digits(value).is_empty());
        prop_assert!(!with_prefix(value, "W").contains("NaN"));
    }

    #[test]
    fn rate_times_time_is_the_count(count in 1_u64..1 << 50, time in 1e-9_f64..1e4) {
        let rate = ByteCount(count).per(seconds(time)).expect("a time that is not zero");
        prop_assert!((rate.get() * time / count as f64 - 1.0).abs() < 1e-12);
    }
}
