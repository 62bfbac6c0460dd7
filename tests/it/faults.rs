//! What goes wrong costs the case it happened in and nothing else.
//!
//! The fake device fails its n-th call, for every n until a run gets through; a case that fails must
//! leave every other case measured and exactly one outcome for each.

use std::collections::BTreeMap;

use rooflint::device;
use rooflint::measure::plan::plan;
use rooflint::measure::settings::Settings;
use rooflint::measure::worker::{Message, Order, serve};
use rooflint::record::{AxisValue, Case, Outcome, StopReason};
use rooflint::suite::{ALL, Profile, Request};
use rooflint::summary::{Flag, Summary};

use crate::conformance;
use crate::support;

/// One small case of every benchmark, as orders for a device with this script. Not of `decode`, which makes hundreds of
/// calls, and has its own below.
fn orders(script: &str) -> Vec<Order> {
    let (backend, rest) = device::select(script).expect("the fake");
    let info = (backend.describe)(rest).expect("a script");
    // Small cases: their results are computed for real.
    let axes = [("m", 32), ("n", 32), ("k", 32), ("size", 64 << 10)];
    let axes = axes.map(|(axis, value)| (axis.to_owned(), vec![AxisValue::Count(value)]));
    let request = Request { profile: Profile::Quick, axes: BTreeMap::from(axes), shapes: Vec::new(), seed: 1 };
    let plan = plan(vec![info], ALL, &request).expect("a plan");
    let mut seen = Vec::new();
    let first_of_each = plan.cases.into_iter().filter(|planned| {
        let id = planned.benchmark.meta().id;
        let first = !seen.contains(&id) && id != "decode";
        seen.push(id);
        first
    });
    let settings = Settings::of(Profile::Quick, 1.0, support::seconds(60.0));
    first_of_each.map(|planned| Order::Measure { case: planned.case, settings: settings.clone() }).collect()
}

/// The outcomes of orders, with a new device whenever one is lost, as the supervisor would.
fn outcomes(script: &str, orders: &[Order]) -> Vec<Outcome> {
    let mut outcomes = Vec::new();
    while outcomes.len() < orders.len() {
        let before = outcomes.len();
        let mut rest = orders[before..].iter().cloned().map(Ok);
        let mut say = |message: &Message| {
            if let Message::Ended { outcome, .. } = message {
                outcomes.push(outcome.as_ref().clone());
            }
            Ok(())
        };
        serve(script, &mut rest, &mut say).expect("serves");
        assert!(outcomes.len() > before, "no progress");
    }
    outcomes
}

fn is_measured(outcome: &Outcome) -> bool {
    matches!(outcome, Outcome::Measured(_))
}

#[test]
fn the_fake_does_what_every_backend_must() {
    let (backend, rest) = device::select("fake").expect("the fake");
    conformance::run((backend.open)(rest).expect("opens").as_mut());
}

#[test]
fn a_failure_of_any_call_costs_one_case() {
    let orders = orders("fake");
    for call in 1.. {
        let outcomes = outcomes(&format!("fake:fail={call}"), &orders);
        assert_eq!(outcomes.len(), orders.len(), "call {call}");
        let unmeasured = outcomes.iter().filter(|outcome| !is_measured(outcome)).count();
        // A failure of 'release' comes after the case was measured, and one in a race only loses a candidate.
        assert!(unmeasured <= 1, "call {call}: {unmeasured} cases lost");
        for outcome in outcomes.iter().filter(|outcome| !is_measured(outcome)) {
            assert!(
                matches!(outcome, Outcome::Failed(reason) if reason.contains("scripted")),
                "call {call}: {outcome:?}"
            );
        }
        if call > 100 && unmeasured == 0 {
            break;
        }
        assert!(call < 5000, "the run never got through");
    }
}

/// A decode step of a small model: its layers, tokens of a sequence, and sequences.
fn step(layers: u64, context: u64, batch: u64) -> Order {
    let axes = [("layers", layers), ("context", context), ("batch", batch)]
        .map(|(axis, value)| (axis, AxisValue::Count(value)));
    let words = [("model", "stories_15m"), ("precision", "bf16")].map(|(axis, word)| (axis, AxisValue::from(word)));
    let case = Case::new("decode", axes.into_iter().chain(words), 1);
    Order::Measure { case, settings: Settings::of(Profile::Quick, 1.0, support::seconds(60.0)) }
}

#[test]
fn a_failure_among_kept_weights_costs_one_step() {
    // The second finds the weights where the first left them.
    let steps = [step(1, 16, 1), step(1, 16, 2)];
    for call in [2, 9, 30, 60, 90, 120, 150] {
        let outcomes = outcomes(&format!("fake:fail={call}"), &steps);
        assert_eq!(outcomes.len(), 2, "call {call}");
        let unmeasured: Vec<_> = outcomes.iter().filter(|outcome| !is_measured(outcome)).collect();
        assert!(unmeasured.len() <= 1, "call {call}: {unmeasured:?}");
    }
    for step in ["matmul", "attention", "rotate"] {
        let outcomes = outcomes(&format!("fake:wrong={step}"), &steps);
        assert!(outcomes.iter().all(|outcome| matches!(outcome, Outcome::Wrong(_))), "{step}: {outcomes:?}");
    }
    let healthy = outcomes("fake", &steps);
    assert!(healthy.iter().all(is_measured), "{healthy:?}");
}

#[test]
fn kept_weights_that_are_in_the_way_make_room() {
    // Of the fake's 64 MiB six layers and both ends take 49 MB, one layer 39 MB, and the second step's own buffers 20 MB.
    let outcomes = outcomes("fake", &[step(6, 16, 1), step(1, 256, 56)]);
    assert!(outcomes.iter().all(is_measured), "{outcomes:?}");
}

#[test]
fn a_lost_device_costs_the_case_in_hand() {
    let orders = orders("fake");
    for call in [1, 2, 3, 5, 8, 13, 21, 34, 55, 89] {
        let outcomes = outcomes(&format!("fake:lose={call}"), &orders);
        assert_eq!(outcomes.len(), orders.len(), "call {call}");
        assert!(outcomes.iter().any(|outcome| !is_measured(outcome)), "call {call}");
    }
}

#[test]
fn wrong_results_are_found_before_and_after_timing() {
    let orders = orders("fake");
    for kind in ["wrong", "wrong_later"] {
        for step in ["memory_read", "fma", "matmul", "empty"] {
            let outcomes = outcomes(&format!("fake:{kind}={step}"), &orders);
            let wrong = outcomes.iter().filter(|outcome| matches!(outcome, Outcome::Wrong(_))).count();
            assert_eq!(wrong, 1, "{kind}={step}: {outcomes:?}");
            assert_eq!(
                outcomes.iter().filter(|outcome| is_measured(outcome)).count(),
                orders.len() - 1,
                "{kind}={step}"
            );
        }
    }
}

#[test]
fn a_step_without_a_dialect_is_skipped_with_its_name() {
    let orders = orders("fake");
    let outcomes = outcomes("fake:unsupported=fma", &orders);
    let skipped: Vec<_> = outcomes.iter().filter(|outcome| !is_measured(outcome)).collect();
    assert!(matches!(skipped.as_slice(), [Outcome::Skipped(reason)] if reason.contains("'fma'")), "{skipped:?}");
}

#[test]
fn more_than_the_device_holds_is_a_failure_that_names_both_amounts() {
    let mut orders = orders("fake");
    let Order::Measure { case, .. } = &mut orders[0] else { panic!("no case") };
    case.axes.insert("size".to_owned(), AxisValue::Count(1 << 30));
    let outcomes = outcomes("fake", &orders);
    assert!(
        matches!(&outcomes[0], Outcome::Failed(reason) if reason.contains("1 GiB") && reason.contains("64 MiB")),
        "{:?}",
        outcomes[0]
    );
    assert!(outcomes[1..].iter().all(is_measured));
}

/// The only measurement of `launch` under a script.
fn launch(script: &str) -> Summary {
    let order = orders(script).pop().expect("an order");
    let outcome = outcomes(script, std::slice::from_ref(&order)).pop().expect("an outcome");
    let Order::Measure { case, .. } = order else { panic!("no case") };
    let mut record = support::record(case, support::work(0, 0, &[]), rooflint::record::Quantity::Duration, &[1.0]);
    record.outcome = outcome;
    Summary::of(&record).expect("measured")
}

#[test]
fn a_steady_device_stops_early_and_is_not_flagged() {
    let order = orders("fake:noise=0.001").pop().expect("an order");
    let outcome = outcomes("fake:noise=0.001", std::slice::from_ref(&order)).pop().expect("an outcome");
    let Outcome::Measured(measurement) = outcome else { panic!("{outcome:?}") };
    assert_eq!(measurement.stop, StopReason::Precise);
    assert!(measurement.warm_up.settled);
    assert_eq!(launch("fake:noise=0.001").flags, Vec::new());
}

#[test]
fn samples_disturbed_by_other_work_are_rejected_and_do_not_move_the_median() {
    let (quiet, busy) = (launch("fake:noise=0.001"), launch("fake:noise=0.001,preempt=0.3"));
    assert!(busy.rejected > 0 && busy.flags.iter().any(|flag| matches!(flag, Flag::Rejected(_))), "{:?}", busy.flags);
    assert!((busy.time.value / quiet.time.value - 1.0).abs() < 0.01);
}

#[test]
fn a_machine_that_is_never_quiet_is_said_to_be_disturbed() {
    let busy = launch("fake:preempt=0.9");
    assert!(busy.flags.iter().any(|flag| matches!(flag, Flag::Disturbed(_))), "{:?}", busy.flags);
}

#[test]
fn drift_and_two_modes_are_flagged() {
    let drifting = launch("fake:noise=0.001,drift=0.002");
    assert!(drifting.flags.iter().any(|flag| matches!(flag, Flag::Drift(_))), "{:?}", drifting.flags);
    let bimodal = launch("fake:noise=0.001,bimodal=0.2");
    assert!(bimodal.flags.contains(&Flag::Bimodal), "{:?}", bimodal.flags);
}

#[test]
fn twice_the_time_is_half_the_rate_and_nothing_else() {
    let (plain, slow) = (launch("fake:noise=0.01"), launch("fake:noise=0.01,slow=2"));
    assert!((slow.time.value / plain.time.value - 2.0).abs() < 0.02);
}
