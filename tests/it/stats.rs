//! Statistics against tables, simulations with fixed seeds, and properties.

use proptest::prelude::*;
use rooflint::stats::{
    Interval, Sorted, SplitMix64, Stop, StoppingRule, bimodal, effective_count, lag1, median_interval, median_ratio,
    settled, student, theil_sen,
};

use crate::support::{noisy, normal};

/// Seconds, milliseconds, microseconds, nanoseconds.
const MAGNITUDES: [f64; 4] = [1.0, 1e-3, 1e-6, 1e-9];

fn sorted(values: &[f64]) -> Sorted {
    Sorted::new(values.iter().copied()).expect("finite values")
}

fn close(a: f64, b: f64) -> bool {
    (a - b).abs() <= 1e-12 * a.abs().max(b.abs())
}

/// `n` values of a process whose neighbours correlate by `rho`.
fn correlated(n: usize, rho: f64, random: &mut SplitMix64) -> Vec<f64> {
    let mut value = normal(random);
    let mut step = || {
        value = rho * value + (1.0 - rho * rho).sqrt() * normal(random);
        value
    };
    (0..n).map(|_| step()).collect()
}

#[test]
fn order_statistics_match_numpy() {
    let sample = sorted(&[4.0, 1.0, 3.0, 2.0]);
    assert_eq!(sample.as_slice(), [1.0, 2.0, 3.0, 4.0]);
    assert_eq!((sample.len(), sample.min(), sample.max(), sample.median()), (4, 1.0, 4.0, 2.5));
    // numpy.quantile([1, 2, 3, 4], q)
    for (q, expected) in [(0.0, 1.0), (0.1, 1.3), (0.25, 1.75), (0.5, 2.5), (0.95, 3.85), (1.0, 4.0)] {
        assert!(close(sample.quantile(q), expected), "quantile {q}: {}", sample.quantile(q));
    }
    assert_eq!((sample.quantile(-1.0), sample.quantile(2.0)), (1.0, 4.0));
    assert_eq!(sorted(&[1.0, 1.0, 2.0, 2.0, 4.0, 6.0, 9.0]).mad(), 1.0);
    assert_eq!((sorted(&[7.0]).median(), sorted(&[7.0]).mad(), sorted(&[7.0]).quantile(0.3)), (7.0, 0.0, 7.0));
}

#[test]
fn no_sample_holds_what_is_not_finite() {
    for bad in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
        assert_eq!(Sorted::new([1.0, bad, 2.0]), None);
    }
    assert_eq!(Sorted::new([]), None);
}

#[test]
fn interval_takes_the_binomial_ranks() {
    // Ranks of the 95 % interval from tables of the sign test; below 6 samples there is only the range.
    let table = [(1, 1, 1), (2, 1, 2), (5, 1, 5), (6, 1, 6), (8, 1, 8), (9, 2, 8), (10, 2, 9), (15, 4, 12)];
    let large = [(20, 6, 15), (30, 10, 21), (50, 18, 33), (100, 40, 61), (5000, 2431, 2570)];
    for (n, low, high) in table.into_iter().chain(large) {
        let sample = Sorted::new((1..=n).map(f64::from)).expect("finite");
        let interval = median_interval(&sample, f64::from(n), 0.95);
        assert_eq!(interval, Interval { low: f64::from(low), high: f64::from(high) }, "n = {n}");
    }
    let hundred = Sorted::new((1..=100).map(f64::from)).expect("finite");
    assert_eq!(median_interval(&hundred, 100.0, 0.99), Interval { low: 37.0, high: 64.0 });
}

#[test]
fn correlation_widens_the_interval() {
    let sample = Sorted::new((1..=100).map(f64::from)).expect("finite");
    let width = |effective| {
        let interval = median_interval(&sample, effective, 0.95);
        interval.high - interval.low
    };
    let widths: Vec<f64> = [100.0, 80.0, 50.0, 25.0, 10.0, 4.0, 1.0].map(width).to_vec();
    assert!(widths.is_sorted(), "{widths:?}");
    // A quarter of the information doubles the distance of the ranks, rounded outwards.
    assert_eq!((widths[0], widths[3], widths[6]), (21.0, 43.0, 99.0));
    assert_eq!(width(1e9), widths[0], "no credit beyond independence");
    assert_eq!(width(f64::NAN), 99.0, "not knowing means the range");
}

#[test]
fn interval_covers_the_median_as_often_as_it_says() {
    let mut random = SplitMix64::new(20);
    // The binomial gives the exact coverage of the ranks, whatever the distribution.
    for (n, exact) in [(10, 0.9785), (20, 0.9586), (30, 0.9572)] {
        for skewed in [false, true] {
            let covered = (0..6000)
                .filter(|_| {
                    let draw = || normal(&mut random);
                    let values = std::iter::repeat_with(draw).take(n).map(|z| if skewed { z.exp() } else { z });
                    let sample = Sorted::new(values).expect("finite");
                    median_interval(&sample, n as f64, 0.95).contains(if skewed { 1.0 } else { 0.0 })
                })
                .count();
            let share = covered as f64 / 6000.0;
            assert!((share - exact).abs() < 0.009, "n = {n}, skewed {skewed}: {share}, exactly {exact}");
        }
    }
}

#[test]
fn discounting_correlation_restores_the_coverage() {
    let mut random = SplitMix64::new(21);
    for (n, rho) in [(30, 0.5), (50, 0.5), (100, 0.8)] {
        let (mut plain, mut discounted) = (0, 0);
        for _ in 0..1000 {
            let series = correlated(n, rho, &mut random);
            let sample = sorted(&series);
            plain += i32::from(median_interval(&sample, n as f64, 0.95).contains(0.0));
            discounted += i32::from(median_interval(&sample, effective_count(&series), 0.95).contains(0.0));
        }
        assert!(plain < 880, "n = {n}: correlation did no harm ({plain}), so this shows nothing");
        assert!(discounted > 925, "n = {n}, rho = {rho}: {discounted} of 1000");
    }
}

#[test]
fn effective_count_of_known_series() {
    for n in [0, 1, 2, 3, 50] {
        assert_eq!(effective_count(&vec![2.5; n]), n as f64, "{n} equal samples");
        assert_eq!(lag1(&vec![2.5; n]), 0.0);
    }
    let mut random = SplitMix64::new(3);
    let independent = correlated(2000, 0.0, &mut random);
    assert!(effective_count(&independent) > 1600.0, "{}", effective_count(&independent));
    assert!(lag1(&independent).abs() < 0.05);
    // An AR(1) process is worth n (1 - rho) / (1 + rho) samples: 222 of 2000 at 0.8.
    let dependent = correlated(2000, 0.8, &mut random);
    assert!((150.0..300.0).contains(&effective_count(&dependent)), "{}", effective_count(&dependent));
    assert!((lag1(&dependent) - 0.78).abs() < 0.05, "{}", lag1(&dependent));
    let ramp: Vec<f64> = (0..100).map(f64::from).collect();
    assert!(effective_count(&ramp) < 5.0, "{}", effective_count(&ramp));
    let alternating: Vec<f64> = (0..100).map(|i| f64::from(i % 2)).collect();
    assert_eq!(effective_count(&alternating), 100.0, "alternation earns no credit");
    assert!(lag1(&alternating) < -0.9);
}

#[test]
fn one_spike_does_not_hide_correlation() {
    let mut series = correlated(200, 0.8, &mut SplitMix64::new(4));
    let before = (effective_count(&series), lag1(&series));
    series[100] = 1e9;
    let after = (effective_count(&series), lag1(&series));
    assert!((after.0 / before.0 - 1.0).abs() < 0.2, "{before:?} {after:?}");
    assert!((after.1 - before.1).abs() < 0.05, "{before:?} {after:?}");
}

#[test]
fn theil_sen_finds_a_line_and_knows_when_there_is_none() {
    let line: Vec<f64> = (0..10).map(|i| 3.0 + 0.5 * f64::from(i)).collect();
    let trend = theil_sen(&line).expect("a trend");
    assert_eq!((trend.slope, trend.interval), (0.5, Some(Interval { low: 0.5, high: 0.5 })));
    let mut spiked = line.clone();
    spiked[4] = 1e6;
    assert_eq!(theil_sen(&spiked).expect("a trend").slope, 0.5);
    assert_eq!(theil_sen(&line[..5]).expect("a trend").interval, None);
    assert_eq!((theil_sen(&[]), theil_sen(&[1.0]), theil_sen(&[1.0, f64::NAN])), (None, None, None));

    let misses = (0..500)
        .filter(|seed| {
            let trend = theil_sen(&noisy(1.0, 0.1, 12, *seed)).expect("a trend");
            !trend.interval.expect("12 points give one").contains(0.0)
        })
        .count();
    assert!(misses < 40, "noise has a trend in {misses} of 500 series; 25 expected");
}

#[test]
fn settled_wants_agreement_and_no_trend() {
    let table: [(&[f64], bool); 10] = [
        (&[], false),
        (&[1.0, 1.0], false),
        (&[1.0, 1.0, 1.0], true),
        (&[1.0, 1.009, 0.999], true),
        (&[1.0, 1.0, 1.02], false),
        // Cold at first, then steady.
        (&[2.0, 1.3, 1.0, 1.0, 1.0], true),
        (&[2.0, 1.3, 1.0], false),
        // Each step is small, together they are not.
        (&[1.0, 1.004, 1.008, 1.012, 1.016, 1.020, 1.024, 1.028], false),
        // A trend within the tolerance does no harm.
        (&[1.0, 1.001, 1.002, 1.003, 1.004, 1.005, 1.006, 1.007], true),
        (&[1.0, f64::NAN, 1.0], false),
    ];
    for (blocks, expected) in table {
        assert_eq!(settled(blocks, 0.01), expected, "{blocks:?}");
        for magnitude in MAGNITUDES {
            let scaled: Vec<f64> = blocks.iter().map(|block| block * magnitude * 3.0).collect();
            assert_eq!(settled(&scaled, 0.01), expected, "{scaled:?}");
        }
    }
}

/// Feeds a series to a rule one sample at a time: why it stopped, and after how many.
fn stop(mut rule: StoppingRule, series: &[f64]) -> Option<(Stop, usize)> {
    (0..=series.len()).find_map(|n| rule.decide(&series[..n]).map(|stop| (stop, n)))
}

fn rule() -> StoppingRule {
    StoppingRule::new(10, 320, 0.01, 0.95)
}

#[test]
fn stopping_on_known_series() {
    assert_eq!(stop(rule(), &[1.0; 400]), Some((Stop::Precise, 10)), "constant");
    assert_eq!(stop(rule(), &[1.0; 9]), None, "too few");
    assert_eq!(stop(rule(), &[0.0; 20]), Some((Stop::Precise, 10)), "constant zero");
    assert_eq!(stop(StoppingRule::new(10, 4, 0.01, 0.95), &[1.0, 2.0, 1.5, 3.0]), Some((Stop::SampleLimit, 4)));
    // Two ticks of a coarse timer 0.1 % apart.
    let ticks: Vec<f64> = (0..100).map(|i| if i % 3 == 0 { 1.001 } else { 1.0 }).collect();
    assert_eq!(stop(rule(), &ticks), Some((Stop::Precise, 10)), "ties");
    // A drift makes the interval wider with every sample.
    let drifting: Vec<f64> = (0..400).map(|i| 1.0 + 0.01 * f64::from(i)).collect();
    assert_eq!(stop(rule(), &drifting), Some((Stop::Plateau, 40)), "drifting");
    let mut poisoned = vec![1.0; 400];
    poisoned[3] = f64::NAN;
    assert_eq!(stop(rule(), &poisoned), Some((Stop::SampleLimit, 320)), "not finite");
    let mut late = StoppingRule::new(0, 0, 0.01, 0.95);
    assert_eq!(late.decide(&[]), Some(Stop::SampleLimit), "no samples allowed");
}

#[test]
fn the_rule_looks_at_doublings_only() {
    let mut rule = rule();
    let series = noisy(1.0, 0.2, 400, 5);
    let mut looks = Vec::new();
    for n in 0..=160 {
        let before = rule.next_look();
        assert_eq!(rule.decide(&series[..n]), None, "20 % noise never satisfies 1 % so early");
        if rule.next_look() != before {
            looks.push(n);
        }
    }
    assert_eq!(looks, [10, 20, 40, 80, 160]);
    assert_eq!(rule.next_look(), 320);
}

#[test]
fn stopping_on_noise_is_rarely_a_false_plateau_and_keeps_the_coverage() {
    let (mut precise, mut plateau, mut missed) = (0, 0, 0);
    for seed in 0..1000 {
        let series = noisy(1.0, 0.02, 320, seed);
        let (why, n) = stop(rule(), &series).expect("the limit stops it at the latest");
        precise += i32::from(why == Stop::Precise);
        plateau += i32::from(why == Stop::Plateau);
        let used = &series[..n];
        missed += i32::from(!median_interval(&sorted(used), effective_count(used), 0.95).contains(1.0));
    }
    assert!(precise > 900, "2 % noise needs some 40 to 160 samples for 1 %: {precise}");
    assert!(plateau < 80, "{plateau} false plateaus in 1000");
    assert!(missed < 60, "stopping early costs coverage: {missed} of 1000 intervals miss");
}

#[test]
fn two_clear_modes_are_seen() {
    let mixture = |share: f64, n: usize, seed: u64| {
        let mut random = SplitMix64::new(seed);
        let mut draw = || if random.next_f64() < share { 25.5 } else { 22.5 } + 0.15 * normal(&mut random);
        Sorted::new((0..n).map(|_| draw())).expect("finite")
    };
    for (share, n, least) in [(0.5, 20, 190), (0.3, 20, 170), (0.5, 50, 200), (0.3, 100, 198), (0.5, 200, 200)] {
        let seen = (0..200).filter(|seed| bimodal(&mixture(share, n, *seed))).count();
        assert!(seen >= least, "{share} of {n}: seen in {seen} of 200");
    }
}

#[test]
fn one_mode_is_rarely_called_two() {
    type Draw = fn(&mut SplitMix64) -> f64;
    let shapes: [(&str, Draw); 6] = [
        ("normal", normal),
        ("uniform", SplitMix64::next_f64),
        ("exponential", |random| -(1.0 - random.next_f64()).ln()),
        ("log-normal", |random| (0.6 * normal(random)).exp()),
        ("spiked", |random| 0.1 * normal(random) + if random.next_f64() < 0.03 { 3.0 } else { 0.0 }),
        ("tailed", |random| if random.next_f64() < 0.1 { 5.0 * random.next_f64() } else { 0.1 * normal(random) }),
    ];
    for (name, draw) in shapes {
        for (n, most) in [(20, 25), (30, 8), (50, 2), (200, 0)] {
            let mut random = SplitMix64::new(n as u64);
            let mut alarm = || bimodal(&Sorted::new((0..n).map(|_| 10.0 + draw(&mut random))).expect("finite"));
            let alarms = (0..1000).filter(|_| alarm()).count();
            assert!(alarms <= most, "{name}, n = {n}: {alarms} false alarms in 1000");
        }
    }
}

#[test]
fn modes_that_do_not_matter_are_not_seen() {
    let ticks = |high: f64| Sorted::new((0..40).map(|i| if i % 2 == 0 { 1.0 } else { high })).expect("finite");
    assert!(!bimodal(&ticks(1.005)), "two ticks half a per cent apart");
    assert!(bimodal(&ticks(1.1)), "two ticks 10 % apart");
    assert!(!bimodal(&sorted(&[1.0; 40])), "constant");
    assert!(!bimodal(&sorted(&[1.0, 1.0, 1.0, 2.0, 2.0, 2.0])), "too few to say");
    let peaks = (0..30).map(|i| f64::from(1 + i % 2) + 0.001 * f64::from(i));
    assert!(bimodal(&Sorted::new(peaks.clone()).expect("finite")));
    let bridged = peaks.chain((0..10).map(|i| 1.4 + 0.02 * f64::from(i)));
    assert!(!bimodal(&Sorted::new(bridged).expect("finite")), "a quarter lies half way");
    let outliers: Vec<f64> = (0..40).map(|i| if i < 6 { 9.0 } else { 1.0 + 0.001 * f64::from(i) }).collect();
    assert!(!bimodal(&sorted(&outliers)), "15 % are outliers, not a mode");
}

#[test]
fn generator_matches_its_reference() {
    let mut random = SplitMix64::new(1_234_567);
    let expected = [
        6_457_827_717_110_365_317,
        3_203_168_211_198_807_973,
        9_817_491_932_198_370_423,
        4_593_380_528_125_082_431,
        16_408_922_859_458_223_821,
    ];
    assert_eq!(expected.map(|_| random.next_u64()), expected);
    assert!((0..1000).all(|_| (0.0..1.0).contains(&random.next_f64())));
}

#[test]
fn ratio_of_medians() {
    let (slow, fast) = (sorted(&noisy(1.1e-6, 0.02, 40, 1)), sorted(&noisy(1e-6, 0.02, 40, 2)));
    let interval = median_ratio(&slow, &fast, 0.95, 7).expect("positive times");
    assert!(interval.contains(1.1) && !interval.contains(1.0), "{interval:?}");
    assert!(interval.high - interval.low < 0.05, "{interval:?}");
    assert_eq!(median_ratio(&slow, &fast, 0.95, 7), Some(interval), "a seed gives one interval");
    assert_ne!(median_ratio(&slow, &fast, 0.95, 8), Some(interval), "another seed another");
    let wider = median_ratio(&slow, &fast, 0.99, 7).expect("positive times");
    assert!(wider.low < interval.low && wider.high > interval.high, "{wider:?}");
    let constant = sorted(&[2.0; 10]);
    assert_eq!(median_ratio(&constant, &constant, 0.95, 1), Some(Interval { low: 1.0, high: 1.0 }));
    assert_eq!(median_ratio(&constant, &sorted(&[0.0, 1.0]), 0.95, 1), None);
    // Four draws of 1 or 3 have the median 1, 2 or 3 with chances 5, 6 and 5 in 16.
    let even = median_ratio(&sorted(&[1.0, 1.0, 3.0, 3.0]), &sorted(&[1.0]), 0.2, 1);
    assert_eq!(even, Some(Interval { low: 2.0, high: 2.0 }));
}

#[test]
fn ratio_of_medians_covers() {
    let covered = (0..300)
        .filter(|seed| {
            let (a, b) = (sorted(&noisy(3.0, 0.1, 20, 2 * seed)), sorted(&noisy(1.0, 0.1, 20, 2 * seed + 1)));
            median_ratio(&a, &b, 0.95, *seed).expect("positive").contains(3.0)
        })
        .count();
    assert!(covered > 270, "{covered} of 300");
}

/// Times in whole timer ticks, with ties.
fn ticks() -> impl Strategy<Value = Vec<f64>> {
    prop::collection::vec((100_u32..400).prop_map(f64::from), 1..60)
}

proptest! {
    #[test]
    fn order_does_not_matter(values in ticks(), seed: u64) {
        let mut shuffled = values.clone();
        let mut random = SplitMix64::new(seed);
        shuffled.sort_by_cached_key(|_| random.next_u64());
        let (a, b) = (sorted(&values), sorted(&shuffled));
        prop_assert_eq!(&a, &b);
        prop_assert_eq!(median_ratio(&a, &b, 0.95, seed), median_ratio(&b, &a, 0.95, seed));
        prop_assert_eq!(bimodal(&a), bimodal(&b));
    }

    #[test]
    fn scaling_the_samples_scales_the_statistics(values in ticks(), factor in 0.5_f64..2.0, q in 0.0_f64..1.0) {
        for magnitude in MAGNITUDES {
            let k = factor * magnitude;
            let scaled: Vec<f64> = values.iter().map(|value| value * k).collect();
            let (a, b) = (sorted(&values), sorted(&scaled));
            let pairs = [
                (a.median(), b.median()), (a.quantile(q), b.quantile(q)), (a.min(), b.min()), (a.max(), b.max()),
            ];
            prop_assert!(pairs.iter().all(|(a, b)| close(a * k, *b)), "{pairs:?}");
            // Differences of nearly equal numbers keep their digits relative to the numbers.
            prop_assert!((a.mad() * k - b.mad()).abs() <= 1e-12 * b.max());
            prop_assert_eq!(effective_count(&values), effective_count(&scaled));
            prop_assert_eq!(lag1(&values), lag1(&scaled));
            let (i, j) = (median_interval(&a, 10.0, 0.95), median_interval(&b, 10.0, 0.95));
            prop_assert!(close(i.low * k, j.low) && close(i.high * k, j.high));
            prop_assert!((i.half_width_of(a.median()) - j.half_width_of(b.median())).abs() <= 1e-12);
        }
        // Powers of two scale exactly, so even a decision on the edge must be the same.
        let halved: Vec<f64> = values.iter().map(|value| value * 2.0_f64.powi(-30)).collect();
        prop_assert_eq!(bimodal(&sorted(&values)), bimodal(&sorted(&halved)));
        prop_assert_eq!(stop(rule(), &values), stop(rule(), &halved));
        prop_assert_eq!(settled(&values, 0.01), settled(&halved, 0.01));
    }

    #[test]
    fn interval_holds_the_median_and_lies_in_the_range(values in ticks(), effective in 0.0_f64..80.0, confidence in 0.5_f64..0.999) {
        let sample = sorted(&values);
        let interval = median_interval(&sample, effective, confidence);
        prop_assert!(sample.min() <= interval.low && interval.high <= sample.max());
        prop_assert!(interval.contains(sample.median()));
    }

    #[test]
    fn effective_count_stays_between_one_and_all(values in prop::collection::vec(any::<f64>(), 1..80)) {
        let effective = effective_count(&values);
        prop_assert!((1.0..=values.len() as f64).contains(&effective), "{}", effective);
        prop_assert!(lag1(&values).abs() <= 1.0);
    }

    #[test]
    fn arbitrary_numbers_never_panic(values in prop::collection::vec(any::<f64>(), 0..40)) {
        let _ = (settled(&values, 0.01), theil_sen(&values), stop(rule(), &values));
        if let Some(sample) = Sorted::new(values.iter().copied()) {
            let _ = (bimodal(&sample), sample.mad(), median_ratio(&sample, &sample, 0.95, 1));
        }
    }
}

#[test]
fn students_quantiles_are_those_of_the_tables() {
    // Quantiles at (i + 1/2) / count: of ten the last is that of 95 %, of twenty that of 97.5 %, of a hundred that of 99.5 %.
    for (freedom, t) in [
        (1, [6.3138, 12.7062, 63.6567]),
        (2, [2.9200, 4.3027, 9.9248]),
        (3, [2.3534, 3.1824, 5.8409]),
        (4, [2.1318, 2.7764, 4.6041]),
        (8, [1.8595, 2.3060, 3.3554]),
        (30, [1.6973, 2.0423, 2.7500]),
    ] {
        for (count, t) in [10, 20, 100].into_iter().zip(t) {
            let quantiles = student(freedom, count);
            assert_eq!(quantiles.len(), count);
            let last = quantiles[count - 1];
            assert!((last / t - 1.0).abs() < 1e-3, "{freedom} degrees of freedom, {count} quantiles: {last} for {t}");
            assert!((quantiles[0] / t + 1.0).abs() < 1e-3, "as far below: {}", quantiles[0]);
            assert!(quantiles.windows(2).all(|pair| pair[0] < pair[1]), "in order");
        }
        assert!(student(freedom, 1)[0].abs() < 1e-9, "half lie below nothing");
    }
}
