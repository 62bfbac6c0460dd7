//! Laws that rest on few models, and kernels that are slower than memory: what is foretold of the next one, and how surely.

use rooflint::fit::{Calibration, HeldOut};
use rooflint::hardware::{self, Rate};
use rooflint::record::{AxisValue, Precision, Quantity, Record};
use rooflint::stats::SplitMix64;
use rooflint::units::Hertz;
use serde_json::Value;

use super::fit_laws::{ROWS, SIDES, WORLD, World, attention, fit, joint, law, mixtures, products};
use super::support::{case, measured, normal, record, seconds, work};

/// Layers, and parameters of a layer, of models like those that are served.
const MODELS: [(&str, u64, u64); 4] =
    [("small", 32, 218_000_000), ("narrow", 36, 193_000_000), ("middle", 64, 487_000_000), ("large", 80, 856_000_000)];

/// Decode steps on an H100 of a model for each spread, whose own factor that is; each case has noise, and takes as much
/// longer as `quirk` says of its batch and context.
pub fn steps(own: &[f64], noise: f64, seed: u64, quirk: impl Fn(u64, u64) -> f64) -> Vec<Record> {
    let mut random = SplitMix64::new(seed);
    let mut records = Vec::new();
    for ((model, layers, parameters), own) in MODELS.into_iter().zip(own) {
        for batch in [1_u64, 4, 16, 64, 256] {
            for context in [512_u64, 2048, 8192] {
                let (weights, kv) = (2 * layers * parameters, 4096 * layers * batch * context);
                let flop = weights * batch;
                let fixed = 1e-4 + layers as f64 * (35e-6 + 1e-7 * batch as f64);
                let time = fixed + joint(weights as f64 / 2.8e12, flop as f64 / 800e12, 2.1) + kv as f64 / 2.9e12;
                let time = time * quirk(batch, context) * (own + noise * normal(&mut random)).exp();
                let counts = [("layers", layers), ("batch", batch), ("context", context), ("kv_bytes", kv)];
                let mut axes = counts.map(|(name, count)| (name, AxisValue::Count(count))).to_vec();
                axes.push(("model", AxisValue::from(model)));
                let work = work(weights + kv, 0, &[(Precision::Bf16, flop)]);
                records.push(record(case("decode_step", &axes), work, Quantity::Duration, &[time]));
            }
        }
    }
    records
}

fn held_out(records: Vec<Record>) -> HeldOut {
    law(&fit(records), "decode_step", "bf16").held_out.clone()
}

#[test]
fn a_batch_that_every_model_finds_slow_is_foretold_for_the_next_model() {
    // As attention that stops splitting contexts, and products whose rows just do not fill a tile.
    let quirk = |batch: u64, context: u64| if batch == 16 && context > 1000 { 1.25 } else { 1.0 };
    let records = steps(&[0.0; 4], 0.005, 3, quirk);
    let calibration = fit(records);
    let law = law(&calibration, "decode_step", "bf16");
    assert!(law.held_out.errors.mean < 0.7 * law.held_out.smooth.mean, "{:?}", law.held_out);
    let field = law.discrepancy.as_ref().expect("a discrepancy");
    let [slow, usual] = [[4.0, 12.0, 0.0], [0.0, 9.0, 0.0]].map(|place| field.at(place));
    assert!(slow > usual + 0.08, "{slow} and {usual}");
    // It goes with batch and context alone: a model of any depth has it.
    assert_eq!(field.nodes[2], 1, "{field:?}");
}

#[test]
fn intervals_from_three_models_hold_nine_tenths_of_a_fourths_steps() {
    const SEEDS: u64 = 60;
    let mut random = SplitMix64::new(5);
    let (mut share, mut low, mut high) = (0.0, 0.0, 0.0);
    for seed in 0..SEEDS {
        let own: Vec<f64> = (0..4).map(|_| 0.05 * normal(&mut random)).collect();
        let held = held_out(steps(&own, 0.02, 100 + seed, |_, _| 1.0));
        let [least, most] = held.coverage_within;
        assert!(least < held.coverage + 1e-9 && held.coverage < most + 1e-9, "{held:?}");
        assert!(most - least > 0.1, "four models cannot tell so well: {held:?}");
        (share, low, high) = (share + held.coverage, low + least, high + most);
    }
    let [share, low, high] = [share, low, high].map(|sum| sum / SEEDS as f64);
    assert!((0.85..=0.95).contains(&share), "90 % intervals hold {share} of a model not seen");
    assert!(low < 0.8 && high > 0.93, "{low} to {high}");
}

#[test]
fn models_that_differ_more_have_wider_intervals_and_many_shapes_tell_their_share_closely() {
    let width = |own: &[f64]| held_out(steps(own, 0.01, 7, |_, _| 1.0)).width;
    let (alike, apart) = (width(&[0.0; 4]), width(&[0.06, -0.06, 0.05, -0.05]));
    // Cases alone: 1.645 standard deviations either way. Models: twice Student's 2.1 times six hundredths.
    assert!((0.02..0.06).contains(&alike), "{alike}");
    assert!((0.2..0.5).contains(&apart), "{apart}");

    let shapes = fit(products(WORLD, &SIDES, &ROWS, 3));
    let held = &law(&shapes, "matmul", "bf16").held_out;
    let [low, high] = held.coverage_within;
    assert!(low > 0.7 && high < 0.99 && (low..=high).contains(&held.coverage), "{held:?}");
}

#[test]
fn a_calibration_from_before_says_nothing_of_how_sure_a_share_is() {
    let calibration = fit(steps(&[0.0; 4], 0.01, 9, |_, _| 1.0));
    let mut value = serde_json::to_value(&calibration).unwrap();
    let held = value["laws"][0]["held_out"].as_object_mut().unwrap();
    assert!(held.remove("coverage_within").is_some_and(|within: Value| within.as_array().unwrap().len() == 2));
    let old: Calibration = serde_json::from_value(value).unwrap();
    assert_eq!(old.laws[0].held_out.coverage_within, [0.0, 1.0]);
}

/// Mixtures in bf16 whose kernel reads experts at a fraction of what memory gives.
fn slow_mixtures(routing: &str, skew: f64, bandwidth: f64) -> Vec<Record> {
    let world = World { fixed: 100e-6, bandwidth, throughput: 500e12, exponent: 2.0, noise: [0.0, 0.02] };
    mixtures(world, routing, skew, 11)
}

#[test]
fn a_kernel_that_reads_experts_slowly_is_slow_and_not_uneven() {
    let slow = 0.65e12;
    let mut records = slow_mixtures("balanced", 0.0, slow);
    records.extend(slow_mixtures("power_law_1.01", 0.75, slow));
    let calibration = fit(records);
    for subject in ["bf16, balanced", "bf16, power_law_1.01"] {
        let law = law(&calibration, "moe", subject);
        let found = law.value("bandwidth").unwrap();
        assert!((found / slow - 1.0).abs() < 0.1, "{subject}: {:?}", law.constants);
        assert!(law.held_out.errors.mean < 0.05, "{subject}: {:?}", law.held_out.errors);
    }
    let skew = law(&calibration, "moe", "bf16, power_law_1.01").value("skew").unwrap();
    assert!((skew - 0.75).abs() < 0.15, "{skew}");
}

#[test]
fn a_model_is_tried_on_an_interval_that_it_had_no_part_in() {
    // Held out with it among the others' fits, its tenth would show in their errors and widen its own interval.
    let held = held_out(steps(&[0.1, 0.0, 0.0, 0.0], 0.02, 13, |_, _| 1.0));
    assert!((0.7..0.85).contains(&held.coverage), "{held:?}");
    // One model of four: that says very little of the next.
    assert!(held.coverage_within[0] < 0.5 && held.coverage_within[1] > 0.85, "{held:?}");
}

#[test]
fn errors_come_in_an_order_that_goes_with_no_draw() {
    let shapes = fit(products(WORLD, &SIDES, &ROWS, 3));
    let residuals = &law(&shapes, "matmul", "bf16").held_out.residuals;
    let middle = (residuals.len() - 1) as f64 / 2.0;
    let product = |(at, residual): (usize, &f64)| (at as f64 - middle) * residual;
    let (along, square) = (residuals.iter().enumerate().map(product).sum::<f64>(), |values: Vec<f64>| {
        values.iter().map(|value| value * value).sum::<f64>().sqrt()
    });
    let places = square((0..residuals.len()).map(|at| at as f64 - middle).collect());
    assert!((along / (places * square(residuals.clone()))).abs() < 0.25, "{residuals:?}");
}

#[test]
fn a_tenth_of_the_cases_four_times_as_slow_moves_no_constant_far() {
    let mut records = products(WORLD, &SIDES, &ROWS, 17);
    for record in records.iter_mut().step_by(10) {
        let slow = record.outcome.measurement().unwrap().samples[0].elapsed_s.get() * 4.0;
        measured(record).samples[0].elapsed_s = seconds(slow);
    }
    let calibration = fit(records);
    let law = law(&calibration, "matmul", "bf16");
    // Least squares would take all to be 15 % slower.
    for (name, truth) in [("bandwidth", 2.8e12), ("throughput", 700e12)] {
        let found = law.value(name).unwrap();
        assert!((found / truth - 1.0).abs() < 0.06, "{name}: {:?}", law.constants);
    }
}

#[test]
fn no_draw_is_faster_than_the_datasheet() {
    // Cases that say next to nothing of a bandwidth leave it as wide as its prior.
    let calibration = fit(attention(2e-3, 2.8e12, &[64], 0.01));
    let law = law(&calibration, "decode_attention", "bf16");
    let draws: Vec<f64> = (0..law.draws.len()).filter_map(|at| law.draw("bandwidth", at)).collect();
    assert!(draws.iter().all(|draw| *draw <= 3.35e12) && draws.len() == law.draws.len(), "{draws:?}");
    assert!(draws.contains(&3.35e12), "the limit is within their reach: {draws:?}");
}

#[test]
fn errors_of_nine_shapes_are_widened_for_the_tenth() {
    let shapes = fit(products(WORLD, &SIDES[1..4], &ROWS, 19));
    let held = &law(&shapes, "matmul", "bf16").held_out;
    let given: f64 = held.residuals.iter().map(|residual| ((-residual).exp() - 1.0).abs()).sum();
    let ratio = given / held.residuals.len() as f64 / held.errors.mean;
    assert!((1.05..1.4).contains(&ratio), "{ratio}");
}

#[test]
fn steps_on_several_gpus_or_with_other_gaps_are_none_of_the_usual_ones() {
    let records = steps(&[0.0; 4], 0.01, 23, |_, _| 1.0);
    let usual = fit(records.clone());
    for (axis, value) in [
        ("tensor", AxisValue::Count(2)),
        ("submit", AxisValue::from("graph")),
        ("detail", AxisValue::from("operations")),
    ] {
        let mut all = records.clone();
        for mut other in steps(&[0.7; 4], 0.01, 29, |_, _| 1.0) {
            other.case.axes.insert(axis.to_owned(), value.clone());
            all.push(other);
        }
        let found = fit(all);
        assert_eq!(law(&found, "decode_step", "bf16"), law(&usual, "decode_step", "bf16"), "{axis}");
    }
}

#[test]
fn rows_that_a_law_does_not_speak_of_leave_it_as_it_is() {
    let mut records = slow_mixtures("balanced", 0.0, 2.8e12);
    records.extend(products(WORLD, &SIDES[..3], &ROWS, 31));
    let usual = fit(records.clone());
    let with = |axis: &str, value: AxisValue, of: Vec<Record>| {
        let mut all = records.clone();
        for mut other in of {
            // Three times as slow: a law that took them would show it.
            let slow = other.outcome.measurement().unwrap().samples[0].elapsed_s.get() * 3.0;
            measured(&mut other).samples[0].elapsed_s = seconds(slow);
            other.case.axes.insert(axis.to_owned(), value.clone());
            all.push(other);
        }
        fit(all)
    };
    let moe = || slow_mixtures("balanced", 0.0, 2.8e12);
    for (axis, value) in [("tensor", 2), ("expert_parallel", 4), ("tokens", 1024)] {
        let found = with(axis, AxisValue::Count(value), moe());
        assert_eq!(law(&found, "moe", "bf16, balanced"), law(&usual, "moe", "bf16, balanced"), "{axis}");
    }
    let matmul = |sides: &[u64]| products(WORLD, sides, &ROWS, 37);
    for (axis, value, of) in [
        // Zeros flatter a device; small weights lie in a cache.
        ("data", AxisValue::from("zeros"), matmul(&SIDES[..3])),
        ("data", AxisValue::from("random"), matmul(&[512, 1024])),
    ] {
        let found = with(axis, value, of);
        assert_eq!(law(&found, "matmul", "bf16"), law(&usual, "matmul", "bf16"), "{axis}");
    }
}

#[test]
fn what_was_measured_here_is_what_a_law_supposes_beforehand() {
    let mut records = products(WORLD, &SIDES[..3], &ROWS, 41);
    for (threads, time) in [(1, 9e-6), (2, 3e-6)] {
        let axes = [("threads", AxisValue::Count(threads))];
        records.push(record(case("launch", &axes), work(0, 0, &[]), Quantity::Duration, &[time]));
    }
    let axes = [("kernel", AxisValue::from("read")), ("size", AxisValue::Count(1 << 32))];
    records.push(record(
        case("memory", &axes),
        work(1 << 32, 0, &[]),
        Quantity::Bandwidth,
        &[(1_u64 << 32) as f64 / 3e12],
    ));
    let calibration = fit(records);
    let constants = &law(&calibration, "matmul", "bf16").constants;
    let prior = |name: &str| constants.iter().find(|constant| constant.name == name).unwrap().prior;
    // The peak that nothing exceeds is that at the highest clock, 1980 MHz, and 0.8 of it is usual.
    let gpu = hardware::find("h100_sxm").unwrap();
    let peak = gpu.peak_at(Rate::Bf16, Hertz::new(gpu.boost_mhz * 1e6).unwrap()).unwrap().get();
    assert!(peak > 1.05 * gpu.peak(Rate::Bf16).unwrap().get(), "the datasheet's is at a lower one");
    for (name, supposed) in [("fixed", 3e-6), ("bandwidth", 3e12), ("throughput", 0.8 * peak)] {
        assert!((prior(name) / supposed - 1.0).abs() < 1e-3, "{name}: {} for {supposed}", prior(name));
    }
}

#[test]
fn attention_over_a_window_or_next_to_no_context_is_none_of_the_usual() {
    let records = attention(11e-6, 2.6e12, &[256, 1024, 4096], 0.01);
    let usual = fit(records.clone());
    let with = |others: Vec<Record>| {
        let calibration = fit(records.iter().cloned().chain(others).collect());
        law(&calibration, "decode_attention", "bf16").clone()
    };
    let mut windowed = attention(90e-6, 2.6e12, &[2048], 0.01);
    windowed.iter_mut().for_each(|other| {
        other.case.axes.insert("window".to_owned(), AxisValue::Count(512));
    });
    let usual = law(&usual, "decode_attention", "bf16");
    assert_eq!(&with(windowed), usual);
    assert_eq!(&with(attention(90e-6, 2.6e12, &[16, 32], 0.01)), usual);
}
