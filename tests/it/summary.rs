//! Hand-made records to figures and flags.

use proptest::prelude::*;
use rooflint::record::{Case, CheckFailure, Outcome, Precision, Quantity, Record, Rejection};
use rooflint::summary::{Estimate, Flag, Summary, WIDE, rate_label};
use rooflint::units::{Intensity, Ratio};

use crate::support::{case, measured, noisy, ratio, record, reject, seconds, work};

fn triad() -> Case {
    case("memory", &[("kernel", "triad".into()), ("size", 1000.into())])
}

/// Triad over 1000-byte streams: 2000 bytes read, 1000 written, 250 operations.
fn triad_record(quantity: Quantity, times_s: &[f64]) -> Record {
    record(triad(), work(2000, 1000, &[(Precision::F64, 250)]), quantity, times_s)
}

fn summary(record: &Record) -> Summary {
    Summary::of(record).expect("a measured record")
}

fn near(a: Estimate, value: f64, low: f64, high: f64) -> bool {
    [(a.value, value), (a.low, low), (a.high, high)].iter().all(|(a, b)| (a - b).abs() <= 1e-12 * b.abs())
}

/// 1 to 2 ms in steps of 0.1, out of order: median 1.5 ms, ranks 2 and 10 of 11 are 1.1 and 1.9.
const STEPS: [f64; 11] = [1.5e-3, 1.0e-3, 2.0e-3, 1.2e-3, 1.8e-3, 1.4e-3, 1.6e-3, 1.1e-3, 1.9e-3, 1.3e-3, 1.7e-3];

#[test]
fn a_rate_is_work_over_the_median_time() {
    let s = summary(&triad_record(Quantity::Bandwidth, &STEPS));
    assert!(near(s.time, 1.5e-3, 1.1e-3, 1.9e-3), "{:?}", s.time);
    assert!(near(s.headline, 2e6, 3.0 / 1.9e-6, 3.0 / 1.1e-6), "{:?}", s.headline);
    assert_eq!((s.unit, s.quantity, s.precision), ("B/s", Quantity::Bandwidth, Some(Precision::F64)));
    assert_eq!(s.intensity, Intensity::new(250.0 / 3000.0));
    assert_eq!((s.accepted, s.rejected, s.effective), (11, 0, 11.0));
    for (quantile, expected) in s.quantiles.iter().zip([1.0e-3, 1.25e-3, 1.5e-3, 1.75e-3, 2.0e-3]) {
        assert!((quantile.get() - expected).abs() < 1e-15, "{:?}", s.quantiles);
    }
    assert!((s.spread.get() - 0.5 / 1.5).abs() < 1e-12, "{}", s.spread);
    assert_eq!(s.display_headline(), "2 MB/s");
}

#[test]
fn the_interval_of_a_few_samples_is_their_range() {
    let s = summary(&triad_record(Quantity::Duration, &STEPS[..9]));
    assert!(near(s.headline, 1.5e-3, 1.0e-3, 2.0e-3), "{:?}", s.headline);
    assert!(s.flags.contains(&Flag::FewSamples(9)));
}

#[test]
fn each_quantity_has_its_unit() {
    let of = |quantity, flop: &[(Precision, u64)]| {
        let s = summary(&record(triad(), work(2000, 1000, flop), quantity, &STEPS));
        (s.headline.value, s.unit, s.display_headline(), s.precision)
    };
    use Precision::{Bf16, F32, I8};
    use Quantity::{Duration, Throughput};
    assert_eq!(of(Throughput, &[(F32, 3000)]), (2e6, "FLOP/s", "2 MFLOP/s".to_owned(), Some(F32)));
    assert_eq!(of(Throughput, &[(I8, 3000)]), (2e6, "OP/s", "2 MOP/s".to_owned(), Some(I8)));
    assert_eq!(of(Throughput, &[(F32, 1000), (Bf16, 2000)]), (2e6, "FLOP/s", "2 MFLOP/s".to_owned(), None));
    assert_eq!(of(Duration, &[]), (1.5e-3, "s", "1.5 ms".to_owned(), None));
    assert_eq!(rate_label(125.0, "s"), "2 min 05 s");
    assert_eq!(rate_label(52.1e9, "B/s"), "52.1 GB/s");
}

#[test]
fn a_sample_is_all_its_repeats() {
    let mut r = triad_record(Quantity::Bandwidth, &STEPS);
    measured(&mut r).repeats = 1000;
    assert!(near(summary(&r).time, 1.5e-6, 1.1e-6, 1.9e-6));
    assert!(near(summary(&r).headline, 2e9, 3.0 / 1.9e-9, 3.0 / 1.1e-9));
}

#[test]
fn only_measured_records_with_usable_samples_have_a_summary() {
    let good = triad_record(Quantity::Bandwidth, &STEPS);
    let failure = CheckFailure { place: "a[0]".to_owned(), expected: "1".to_owned(), found: "NaN".to_owned() };
    let outcomes =
        [Outcome::Skipped("no memory".to_owned()), Outcome::Failed("lost".to_owned()), Outcome::Wrong(failure)];
    for outcome in outcomes {
        assert_eq!(Summary::of(&Record { outcome, ..good.clone() }), None);
    }
    assert_eq!(Summary::of(&triad_record(Quantity::Bandwidth, &[])), None);
    assert_eq!(Summary::of(&triad_record(Quantity::Bandwidth, &[0.0, 0.0])), None);
    let mut no_repeats = good.clone();
    measured(&mut no_repeats).repeats = 0;
    assert_eq!(Summary::of(&no_repeats), None);
    let idle = record(triad(), work(0, 0, &[]), Quantity::Bandwidth, &STEPS);
    assert_eq!(Summary::of(&idle), None, "no bytes, no bandwidth");
    assert!(Summary::of(&Record { quantity: Quantity::Duration, ..idle }).is_some());
    assert_eq!(Summary::of(&triad_record(Quantity::Bandwidth, &[5e-324; 3])), None, "the rate overflows");
}

#[test]
fn rejected_samples_do_not_count_unless_they_are_the_majority() {
    let mut times = vec![1e-3; 20];
    times[..10].fill(9e-3);
    let mut r = triad_record(Quantity::Bandwidth, &times);
    reject(&mut r, 4);
    let s = summary(&r);
    assert_eq!((s.accepted, s.rejected, s.time.value), (16, 4, 1e-3));
    assert!(s.flags.contains(&Flag::Rejected(ratio(0.2))), "{:?}", s.flags);

    reject(&mut r, 10);
    let s = summary(&r);
    assert_eq!((s.accepted, s.time.value), (10, 1e-3), "just half: the accepted ones");
    assert_eq!(s.flags, [Flag::Rejected(ratio(0.5))]);

    reject(&mut r, 11);
    let s = summary(&r);
    assert_eq!((s.accepted, s.rejected, s.time.value), (9, 11, 5e-3), "more than half: all of them");
    assert_eq!(s.flags[0], Flag::Disturbed(ratio(0.55)));
    assert!(!s.flags.iter().any(|flag| matches!(flag, Flag::Rejected(_))), "{:?}", s.flags);

    reject(&mut r, 20);
    assert_eq!(summary(&r).flags[0], Flag::Disturbed(ratio(1.0)));
}

#[test]
fn a_sample_of_no_length_is_never_used() {
    let mut r = triad_record(Quantity::Bandwidth, &[0.0, 0.0, 2e-3]);
    for sample in &mut measured(&mut r).samples[..2] {
        sample.rejected = Some(Rejection::TimerDisagrees);
    }
    let s = summary(&r);
    assert_eq!(s.time.value, 2e-3);
    assert_eq!(s.headline.high, 1.5e6, "no infinite rate");
    assert!(s.flags.contains(&Flag::FewSamples(1)), "{:?}", s.flags);
}

#[test]
fn a_quiet_record_has_no_flag() {
    let s = summary(&triad_record(Quantity::Bandwidth, &noisy(1e-3, 0.005, 40, 1)));
    assert_eq!(s.flags, []);
    assert!(s.half_width().get() < WIDE);
    assert_eq!(summary(&triad_record(Quantity::Bandwidth, &[1e-3; 40])).half_width(), Ratio::ZERO);
}

#[test]
fn each_defect_has_its_flag() {
    let flags = |times: &[f64]| summary(&triad_record(Quantity::Bandwidth, times)).flags;
    let wide = flags(&noisy(1e-3, 0.2, 20, 3));
    assert!(matches!(wide[..], [Flag::Wide(width)] if width.get() > WIDE), "{wide:?}");
    assert_eq!(flags(&[1e-3; 9]), [Flag::FewSamples(9)]);

    let drifting: Vec<f64> = (0..40).map(|i| 1e-3 * (1.0 + 0.001 * f64::from(i))).collect();
    let drift = flags(&drifting);
    assert!(matches!(drift[0], Flag::Drift(share) if (0.025..0.028).contains(&share.get())), "{drift:?}");
    let creeping: Vec<f64> = (0..40).map(|i| 1e-3 * (1.0 + 0.0001 * f64::from(i))).collect();
    assert_eq!(flags(&creeping), [], "a drift of 0.3 %");

    let mut modes = noisy(1e-3, 0.002, 60, 4);
    modes.iter_mut().step_by(3).for_each(|time| *time *= 1.1);
    assert_eq!(flags(&modes)[0], Flag::Bimodal);

    let mut r = triad_record(Quantity::Bandwidth, &[1e-3; 20]);
    measured(&mut r).warm_up.settled = false;
    assert_eq!(summary(&r).flags, [Flag::Unsettled]);
}

#[test]
fn a_sample_is_short_for_the_timer_below_a_hundred_steps() {
    let mut r = triad_record(Quantity::Bandwidth, &[1e-3; 20]);
    measured(&mut r).timer.resolution_s = seconds(0.99e-5);
    assert_eq!(summary(&r).flags, []);
    measured(&mut r).timer.resolution_s = seconds(1.01e-5);
    assert_eq!(summary(&r).flags, [Flag::ShortForTimer]);
    // The whole window counts, not one repeat of it.
    measured(&mut r).repeats = 100;
    assert_eq!(summary(&r).flags, [Flag::ShortForTimer]);
    measured(&mut r).timer.resolution_s = seconds(1e-6);
    assert_eq!(summary(&r).flags, []);
}

#[test]
fn flags_say_what_to_do() {
    let wide = Flag::Wide(ratio(0.042)).to_string();
    assert_eq!(wide, "the interval is wide (±4.2 %): close other programs or use --profile standard");
    assert!(Flag::FewSamples(1).to_string().starts_with("only 1 sample,"));
    let all = [
        Flag::Rejected(ratio(0.12)),
        Flag::Disturbed(ratio(0.6)),
        Flag::Unsettled,
        Flag::Drift(ratio(0.05)),
        Flag::Bimodal,
        Flag::FewSamples(4),
        Flag::ShortForTimer,
    ];
    for flag in all {
        let text = flag.to_string();
        assert!(text.contains(": ") && !text.contains("  ") && !text.ends_with('.'), "{text}");
    }
}

proptest! {
    #[test]
    fn the_order_of_magnitude_is_no_matter(
        ticks in prop::collection::vec(100_u32..200, 1..40), magnitude in prop::sample::select(vec![1.0, 1e-3, 1e-6, 1e-9]),
    ) {
        let times: Vec<f64> = ticks.iter().map(|tick| f64::from(*tick)).collect();
        let scaled: Vec<f64> = times.iter().map(|time| time * magnitude).collect();
        let (a, b) = (
            summary(&triad_record(Quantity::Bandwidth, &times)), summary(&triad_record(Quantity::Bandwidth, &scaled)),
        );
        prop_assert!(near(b.time, a.time.value * magnitude, a.time.low * magnitude, a.time.high * magnitude));
        prop_assert!(near(b.headline, a.headline.value / magnitude, a.headline.low / magnitude, a.headline.high / magnitude));
        prop_assert!((a.half_width().get() - b.half_width().get()).abs() < 1e-12);
    }

    #[test]
    fn the_ends_enclose_the_value(times in prop::collection::vec(1e-9_f64..1.0, 1..60), rejected in 0_usize..60) {
        for quantity in [Quantity::Bandwidth, Quantity::Throughput, Quantity::Duration] {
            let mut r = triad_record(quantity, &times);
            reject(&mut r, rejected.min(times.len()));
            let s = summary(&r);
            prop_assert!(s.headline.low <= s.headline.value && s.headline.value <= s.headline.high);
            prop_assert!(s.quantiles.is_sorted() && (s.accepted + s.rejected) as usize == times.len());
            prop_assert!(s.effective >= 1.0);
        }
    }
}
