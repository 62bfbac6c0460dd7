//! Another run's cases foretold by fitted laws: as holding them out would, and refused where it means nothing.

use std::collections::BTreeSet;
use std::fs;

use rooflint::fit::{Allowed, Calibration, ForetellError, Foretold};
use rooflint::hardware;
use rooflint::record::{DeviceKind, Record, Run};
use rooflint::summary::Estimate;

use super::fit_cli::{call, write};
use super::fit_laws::{ROWS, SIDES, WORLD, h100, products, steps};
use super::support::measured;

fn fitted(run: &Run) -> Calibration {
    let gpu = hardware::find("h100_sxm").expect("a datasheet");
    Calibration::of(std::slice::from_ref(run), Some(&gpu), Allowed::default()).expect("a calibration")
}

fn foretold(calibration: &Calibration, records: Vec<Record>) -> Result<Vec<Foretold>, ForetellError> {
    let gpu = hardware::find("h100_sxm").expect("a datasheet");
    calibration.foretell(&[], &other(records), Some(&gpu))
}

/// A run of its own.
fn other(records: Vec<Record>) -> Run {
    let mut run = h100(records);
    "fedcba9876543210".clone_into(&mut run.header.run_id);
    run
}

#[test]
fn a_model_is_foretold_as_it_is_when_held_out() {
    let all = steps("h100_sxm", "vllm");
    let model = |record: &Record| record.case.word("model").expect("a model").to_owned();
    let models: BTreeSet<String> = all.iter().map(model).collect();
    assert_eq!(models.len(), 4);
    let (mut sum, mut cases, mut inside) = (0.0, 0, 0);
    for held in &models {
        let (unseen, seen): (Vec<Record>, Vec<Record>) = all.iter().cloned().partition(|record| model(record) == *held);
        let count = unseen.len();
        let found = foretold(&fitted(&h100(seen)), unseen).expect("foretold");
        let [one] = found.as_slice() else { panic!("{found:?}") };
        assert_eq!(
            (one.operation.as_str(), one.subject.as_str(), one.group.as_str()),
            ("decode_step", "bf16", &**held)
        );
        assert_eq!(one.cases.len(), count);
        assert!(one.worst() >= one.errors.mean && one.errors.mean > 0.0, "{held}: {:?}", one.errors);
        assert!(
            one.cases.iter().all(|(_, predicted)| predicted.low < predicted.value && predicted.value < predicted.high)
        );
        sum += one.errors.mean * count as f64;
        cases += count;
        inside += one.inside();
    }
    let whole = fitted(&h100(all));
    let held = &whole.law("decode_step", "bf16").expect("a law").held_out;
    // Three models may do without the field that four are given: about as much.
    assert!(
        (sum / cases as f64 / held.errors.mean - 1.0).abs() < 0.2,
        "{} for {}",
        sum / cases as f64,
        held.errors.mean
    );
    // Three models tell less of a fourth than four of a fifth: about as many as the interval says.
    assert!((0.8..=1.0).contains(&(inside as f64 / cases as f64)), "{inside} of {cases}");
}

#[test]
fn a_case_that_is_slower_than_foretold_shows() {
    let calibration = fitted(&h100(products(WORLD, &SIDES[..4], &ROWS, 11)));
    let unseen = products(WORLD, &SIDES[4..], &ROWS, 12);
    let right = foretold(&calibration, unseen.clone()).expect("foretold");
    let [right] = right.as_slice() else { panic!("{right:?}") };
    assert_eq!((right.group.as_str(), right.cases.len()), ("n=8192 k=8192", ROWS.len()));
    assert!(right.errors.mean < 0.12 && right.inside() + 2 >= ROWS.len(), "{right:?}");
    let mut slow = unseen;
    for sample in &mut measured(&mut slow[3]).samples {
        sample.elapsed_s = (3.0 * sample.elapsed_s.get()).try_into().expect("a time");
    }
    let slow = foretold(&calibration, slow).expect("foretold");
    let above = |cases: &[(f64, Estimate)]| cases[3].0 > cases[3].1.high;
    assert!(slow[0].worst() > 0.5 && above(&slow[0].cases) && !above(&right.cases), "{slow:?}");
    assert_eq!(slow[0].cases[4], right.cases[4], "the others stay");
}

#[test]
fn what_cannot_be_foretold_is_refused() {
    let records = products(WORLD, &SIDES[..4], &ROWS, 11);
    let calibration = fitted(&h100(records.clone()));
    let gpu = hardware::find("h100_sxm").expect("a datasheet");
    let same = calibration.foretell(&[], &h100(records.clone()), Some(&gpu));
    assert!(matches!(&same, Err(ForetellError::Seen(id)) if id == "0123456789abcdef"), "{same:?}");
    // The same sizes measured again are no news.
    let again = calibration.foretell(&[h100(records.clone())], &other(records.clone()), Some(&gpu)).expect("foretold");
    assert!(again.len() == 16 && again.iter().all(|of| of.seen), "{again:?}");
    let mut emulated = other(records.clone());
    emulated.header.devices[0].kind = DeviceKind::Emulated;
    let refused = calibration.foretell(&[], &emulated, Some(&gpu)).expect_err("no hardware").to_string();
    assert!(refused.contains("the run to foretell is of NVIDIA H100 80GB HBM3 (not hardware)"), "{refused}");
    let mut elsewhere = other(records);
    "NVIDIA H200".clone_into(&mut elsewhere.header.devices[0].name);
    let elsewhere = calibration.foretell(&[], &elsewhere, Some(&gpu));
    assert!(matches!(&elsewhere, Err(ForetellError::Device { run, .. }) if run == "NVIDIA H200"), "{elsewhere:?}");
    let nothing = foretold(&calibration, steps("h100_sxm", "vllm"));
    assert!(matches!(&nothing, Err(ForetellError::Nothing(_, laws)) if laws.contains("matmul bf16")), "{nothing:?}");
}

#[test]
fn the_command_prints_what_was_foretold_and_writes_nothing_where_it_cannot() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    write(&h100(products(WORLD, &SIDES[..4], &ROWS, 43)), &at("seen.jsonl"));
    write(&other(products(WORLD, &SIDES[4..], &ROWS, 44)), &at("unseen.jsonl"));
    let (code, told, complaint) = call(folder.path(), "fit seen.jsonl --foretell unseen.jsonl");
    assert_eq!(code, 0, "{complaint}");
    for word in ["foretell of the other run", "n=8192 k=8192", "of 8", "Worst"] {
        assert!(told.contains(word), "{word}: {told}");
    }
    assert!(!told.contains("(seen)"), "{told}");
    let (code, _, complaint) = call(folder.path(), "fit seen.jsonl --foretell seen.jsonl --out laws.json");
    assert_eq!(code, 2);
    assert!(complaint.contains("is one of those the laws are fitted to"), "{complaint}");
    assert!(!fs::exists(at("laws.json")).unwrap(), "nothing is written");
    let (code, _, complaint) = call(folder.path(), "fit seen.jsonl --foretell missing.jsonl");
    assert!(code == 2 && complaint.contains("missing.jsonl"), "{complaint}");
}
