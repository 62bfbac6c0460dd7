//! The search for the fastest product: which candidates it keeps, what it says of the others, and the command.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use rooflint::measure::halving::{Fate, Halving};
use rooflint::measure::search::{Candidate, FINALISTS, Found, Wanted, search};
use rooflint::record::{DeviceKind, Outcome, Precision, Quantity, Record};
use rooflint::stats::SplitMix64;
use rooflint::store;
use rooflint::suite::{Load, grid};
use rooflint::units::Seconds;

use crate::support::{case, device, normal, record, seconds, work};

/// Carries a search out: `rate` is asked for candidate and rung, and every trial costs `cost` seconds.
fn carry_out(halving: &mut Halving, cost: f64, mut rate: impl FnMut(usize, u32) -> Option<f64>) -> f64 {
    let mut spent = 0.0;
    while let Some(trial) = halving.next(seconds(spent)) {
        assert_eq!(halving.next(seconds(spent)), Some(trial), "asked again, it says the same");
        spent += cost;
        halving.heard(trial, rate(trial.candidate, trial.rung));
    }
    spent
}

const AMPLE: f64 = 1e9;

#[test]
fn the_best_of_a_grid_or_one_within_a_percent_is_found_through_noise() {
    let mut random = SplitMix64::new(7);
    for round in 0..200 {
        let count = 20 + round % 60;
        let truth: Vec<f64> = (0..count).map(|_| 600.0 + 200.0 * random.next_f64()).collect();
        let best = truth.iter().copied().fold(0.0, f64::max);
        let mut halving = Halving::new(count, 3, seconds(AMPLE));
        // Short samples are noisier than long ones.
        carry_out(&mut halving, 1.0, |candidate, rung| {
            Some(truth[candidate] * (1.0 + 0.01 / f64::from(rung + 1) * normal(&mut random)))
        });
        let finalists = halving.finalists();
        assert_eq!(finalists.len(), 3);
        let found = finalists.iter().map(|candidate| truth[*candidate]).fold(0.0, f64::max);
        assert!(found >= 0.99 * best, "round {round}: {found} of {best}");
        assert!(halving.fates().iter().all(Option::is_some));
    }
}

#[test]
fn a_rung_keeps_a_third_and_each_is_measured_three_times_as_long() {
    let mut halving = Halving::new(72, 3, seconds(AMPLE));
    let mut efforts: BTreeMap<u32, f64> = BTreeMap::new();
    let mut trials = 0;
    while let Some(trial) = halving.next(Seconds::ZERO) {
        trials += 1;
        efforts.insert(trial.rung, trial.effort);
        halving.heard(trial, Some(1.0 + trial.candidate as f64));
    }
    assert_eq!(halving.sizes(), [72, 24, 8]);
    assert_eq!(efforts.into_values().collect::<Vec<_>>(), [1.0 / 9.0, 1.0 / 3.0, 1.0]);
    assert_eq!(halving.finalists(), [71, 70, 69]);
    assert_eq!(trials, Halving::trials(72, 3));
    assert_eq!(halving.fates()[0], Some(Fate::Out { rung: 0, rate: 1.0 }));
}

#[test]
fn the_budget_is_kept_and_nothing_is_dropped_unsaid() {
    for budget in [0.0, 1.0, 10.0, 30.0, 100.0] {
        let mut halving = Halving::new(100, 3, seconds(budget));
        let spent = carry_out(&mut halving, 1.0, |candidate, _| Some(1.0 + (candidate * 37 % 100) as f64));
        // The first rung measures as many as are to be kept, and every rung one at least.
        assert!(spent <= budget.max(3.0) + 3.0, "{budget}: {spent}");
        let fates: Vec<Fate> = halving.fates().iter().map(|fate| fate.unwrap()).collect();
        let unreached = fates.iter().filter(|fate| **fate == Fate::NotReached).count();
        assert_eq!(unreached, 100 - halving.sizes()[0], "{budget}");
        assert!((1..=3).contains(&halving.finalists().len()), "{budget}");
        let first = halving.finalists()[0];
        let reached = |at: usize| fates[at] != Fate::NotReached;
        let rate = |at: usize| at * 37 % 100;
        if budget < 3.0 {
            let best = (0..100).filter(|at| reached(*at)).max_by_key(|at| rate(*at));
            assert_eq!(Some(first), best, "{budget}");
        }
    }
}

#[test]
fn a_rung_that_is_cut_off_says_who_had_no_turn() {
    let mut halving = Halving::new(30, 3, seconds(100.0));
    let mut spent = 0.0;
    let mut second = 0;
    while let Some(trial) = halving.next(seconds(spent)) {
        // The first rung is quick, and every candidate of the second takes a third of all time.
        second += usize::from(trial.rung == 1);
        spent += if trial.rung == 0 { 0.1 } else { 33.0 };
        halving.heard(trial, Some(1.0 + trial.candidate as f64));
    }
    let cut: Vec<usize> =
        (0..30).filter(|at| matches!(halving.fates()[*at], Some(Fate::CutOff { rung: 1, .. }))).collect();
    assert_eq!(halving.sizes(), [30, second]);
    assert_eq!(cut.len(), 10 - second);
    // Those were the slowest of the rung before.
    assert_eq!(cut, (20..30 - second).collect::<Vec<_>>());
}

#[test]
fn ties_failures_and_rates_that_are_none() {
    let mut tied = Halving::new(10, 3, seconds(AMPLE));
    carry_out(&mut tied, 1.0, |_, _| Some(5.0));
    assert_eq!(tied.finalists(), [0, 1, 2], "of equals the earlier ones stay");

    let strange = [None, Some(f64::NAN), Some(f64::INFINITY), Some(0.0), Some(-1.0)];
    let mut halving = Halving::new(12, 3, seconds(AMPLE));
    carry_out(&mut halving, 1.0, |candidate, rung| match strange.get(candidate) {
        Some(rate) => *rate,
        // One that was fast breaks later.
        None if candidate == 11 && rung == 1 => None,
        None => Some(candidate as f64),
    });
    for candidate in 0..strange.len() {
        assert_eq!(halving.fates()[candidate], Some(Fate::Failed { rung: 0 }), "{candidate}");
    }
    assert_eq!(halving.fates()[11], Some(Fate::Failed { rung: 1 }));
    assert_eq!(halving.finalists(), [10, 9]);

    let mut hopeless = Halving::new(5, 3, seconds(AMPLE));
    carry_out(&mut hopeless, 1.0, |_, _| None);
    assert_eq!(hopeless.finalists(), [0; 0]);
    assert!(Halving::new(0, 3, seconds(AMPLE)).next(Seconds::ZERO).is_none());
}

#[test]
fn what_was_not_asked_for_is_not_taken() {
    let mut halving = Halving::new(5, 1, seconds(AMPLE));
    let trial = halving.next(Seconds::ZERO).unwrap();
    halving.heard(trial, Some(1.0));
    // The same trial again is nobody's any more.
    halving.heard(trial, Some(100.0));
    carry_out(&mut halving, 1.0, |candidate, _| Some(2.0 + candidate as f64));
    assert_eq!(halving.finalists(), [4]);
}

/// Searches among cases of these rates, each of which takes `cost` seconds; gives what was found and what was asked for.
fn found(rates: &[f64], budget: f64, cost: f64) -> (Found, Vec<Wanted>) {
    let candidates: Vec<Candidate> =
        (0..rates.len()).map(|at| Candidate { burst: 2 * at, sustained: 2 * at + 1 }).collect();
    let mut asked = Vec::new();
    let found = search(&candidates, seconds(budget), seconds(60.0), &mut |wanted| {
        asked.push(wanted.clone());
        Ok(Some(made_up(rates[wanted.index / 2], wanted, asked.len(), cost)))
    });
    (found.unwrap(), asked)
}

/// A record of that rate; its first time is off by the number of the measurement, so that records can be told apart.
fn made_up(rate: f64, wanted: &Wanted, number: usize, cost: f64) -> Record {
    let one = case("matmul", &[("m", (wanted.index as u64).into())]);
    let mut times = vec![1e9 / rate; 20];
    times[0] *= 1.0 + number as f64 * 1e-6;
    let record = record(one, work(8, 8, &[(Precision::F32, 1_000_000_000)]), Quantity::Throughput, &times);
    Record { elapsed_s: seconds(cost), ..record }
}

#[test]
fn the_last_are_measured_afresh_in_bursts_and_then_under_load() {
    let rates: Vec<f64> = (0..40).map(|at| 1e9 * (1.0 + f64::from(at * 7 % 40))).collect();
    let (found, asked) = found(&rates, AMPLE, 1.0);
    let fastest = rates.iter().position(|rate| *rate == 40e9).unwrap();
    assert_eq!(found.finalists[0].candidate, fastest);
    let last: Vec<&Wanted> = asked.iter().rev().take(2 * FINALISTS).rev().collect();
    assert!(last.iter().all(|wanted| wanted.stage == "finals"));
    let of = |find: fn(&Candidate) -> usize| -> Vec<usize> {
        let candidate = |at: usize| Candidate { burst: 2 * at, sustained: 2 * at + 1 };
        found.finalists.iter().map(|finalist| find(&candidate(finalist.candidate))).collect()
    };
    let expected = [of(|candidate| candidate.burst), of(|candidate| candidate.sustained)].concat();
    assert_eq!(last.iter().map(|wanted| wanted.index).collect::<Vec<_>>(), expected);
    // The figures are those of the last measurements, not of any that decided.
    let burst = found.finalists[0].burst.as_ref().unwrap();
    assert_eq!(*burst, made_up(40e9, last[0], asked.len() - 2 * FINALISTS + 1, 1.0));
    // Longer from round to round, and longest at the end.
    let times: Vec<f64> = asked.iter().map(|wanted| wanted.settings.protocol.time_max_s.get()).collect();
    assert!(times.is_sorted() && times[0] < 0.2 * times[times.len() - 1], "{times:?}");
    assert_eq!(found.spent, seconds(asked.len() as f64));
}

#[test]
fn a_short_budget_still_measures_the_first_under_both_loads() {
    let rates: Vec<f64> = (1..=40).map(|at| f64::from(at) * 1e9).collect();
    let (found, asked) = found(&rates, 2.0, 5.0);
    assert_eq!(found.sizes, [FINALISTS]);
    assert_eq!(asked.len(), FINALISTS + 2);
    assert!(found.finalists[0].burst.is_some() && found.finalists[0].sustained.is_some());
    assert!(found.finalists[1..].iter().all(|last| last.burst.is_none() && last.sustained.is_none()));
    assert_eq!(found.count(|fate| *fate == Fate::NotReached), 40 - FINALISTS);
}

#[test]
fn the_same_records_lead_to_the_same_decisions() {
    let mut random = SplitMix64::new(3);
    let rates: Vec<f64> = (0..50).map(|_| 1e9 * (1.0 + random.next_f64())).collect();
    let (one, first) = found(&rates, 60.0, 1.0);
    let (other, second) = found(&rates, 60.0, 1.0);
    assert!(one == other && first == second);
    assert!(one.count(|fate| *fate == Fate::NotReached) > 0);
}

#[test]
fn a_grid_has_no_product_that_a_device_cannot_hold_or_that_is_too_small() {
    let mut gpu = rooflint::record::DeviceInfo { kind: DeviceKind::Hardware, compute_units: 132, ..device() };
    gpu.features = vec!["matrix_units".to_owned(), "workgroups".to_owned()];
    assert_eq!(grid::precisions(&gpu), [Precision::Bf16]);
    let shapes = grid::shapes(&gpu, Precision::Bf16);
    assert!((40..120).contains(&shapes.len()), "{}", shapes.len());
    // One wave of 128 x 256 tiles over 132 multiprocessors.
    assert!(shapes.iter().any(|shape| (shape.m, shape.n) == (1536, 2816)));
    for shape in &shapes {
        // Read and write far less than is computed, and in whole packs of any format.
        let [m, n, k] = [shape.m, shape.n, shape.k].map(|side| side as f64);
        assert!(2.0 * m * n * k / (2.0 * (m * k + k * n + m * n)) > 600.0, "{shape:?}");
        assert!([shape.m, shape.n, shape.k].iter().all(|side| side % 128 == 0));
    }
    gpu.memory_b = Some(rooflint::units::ByteCount::mib(256));
    let few = grid::shapes(&gpu, Precision::Bf16);
    assert!(!few.is_empty() && few.len() < shapes.len());
    for kind in [DeviceKind::Software, DeviceKind::Emulated, DeviceKind::Fake] {
        let small = grid::shapes(&rooflint::record::DeviceInfo { kind, ..device() }, Precision::F32);
        assert!((4..=32).contains(&small.len()), "{kind:?}: {}", small.len());
    }
    for units in [1, 2, 8, 64, 256] {
        let cpu = rooflint::record::DeviceInfo { kind: DeviceKind::Hardware, compute_units: units, ..device() };
        let shapes = grid::shapes(&cpu, Precision::F32);
        assert!((10..120).contains(&shapes.len()), "{units}: {}", shapes.len());
    }
}

/// The program with a lock folder of its own; exit code, standard output, standard error.
fn call(folder: &Path, arguments: &str) -> (i32, String, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_rooflint"));
    command.current_dir(folder).env("XDG_RUNTIME_DIR", folder).env("NO_COLOR", "1").stdin(Stdio::null());
    let output = command.args(arguments.split(' ')).output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (output.status.code().unwrap_or(-1), text(&output.stdout), text(&output.stderr))
}

/// A scripted device computes 1 TFLOP/s and reads 50 GB/s: its fastest product is the one with most operations per byte.
#[test]
fn the_fastest_product_of_a_scripted_device_is_found_and_shown() {
    let folder = tempfile::tempdir().unwrap();
    let (code, out, err) =
        call(folder.path(), "matmul-max --device fake:noise=0.001 --precision f32,f64 --budget 10m --out here");
    assert_eq!(code, 0, "{out}{err}");
    assert!(err.contains("f32, round 1: ") && err.contains("f64, finals: "), "{err}");
    assert!(out.contains("NOT HARDWARE"), "{out}");
    let loaded = store::load(&folder.path().join("here")).unwrap();
    let shapes = grid::shapes(&loaded.run.header.devices[0], Precision::F32);
    let time =
        |m: u64, n: u64, k: u64| ((m * k + k * n + m * n) * 4) as f64 / 50e9 + (2 * m * n * k) as f64 / 1e12 + 1e-6;
    let rate = |m: u64, n: u64, k: u64| (2 * m * n * k) as f64 / time(m, n, k);
    let fastest = shapes.iter().max_by(|a, b| rate(a.m, a.n, a.k).total_cmp(&rate(b.m, b.n, b.k))).unwrap();
    let named = format!("m × n × k = {} × {} × {}", fastest.m, fastest.n, fastest.k);
    assert!(out.lines().any(|line| line.starts_with("f32: ") && line.contains(&named)), "{named}: {out}");
    for word in ["Median", "Mean", "Best", "burst", "sustained", "rounds of"] {
        assert!(out.contains(word), "{word}: {out}");
    }
    // Every measurement is an ordinary case of an ordinary run, and those of the finals are the last of their cases.
    let (run, replaced) = (loaded.run, loaded.replaced);
    assert_eq!(run.header.request.profile, "matmul_max");
    assert!(run.records.iter().all(|record| record.case.benchmark == "matmul"));
    let sustained = run.records.iter().filter(|record| Load::of(&record.case) == Load::Sustained).count();
    assert_eq!(sustained, 2 * FINALISTS);
    let time = |record: &Record| record.outcome.measurement().unwrap().protocol.time_max_s;
    for earlier in &replaced {
        let last = run.records.iter().find(|record| record.case.key() == earlier.case.key()).unwrap();
        assert!(time(earlier) < time(last), "{}", earlier.case.key());
    }
    for others in ["show here", "report here --out there"] {
        let (code, _, err) = call(folder.path(), others);
        assert_eq!(code, 0, "{others}: {err}");
    }
}

#[test]
fn a_search_cut_off_anywhere_ends_as_if_it_had_not_been() {
    let folder = tempfile::tempdir().unwrap();
    let (code, whole, err) = call(folder.path(), "matmul-max --device fake --budget 10m --out here");
    assert_eq!(code, 0, "{err}");
    let verdict = |text: &str| text.lines().find(|line| line.starts_with("f32: ")).unwrap().to_owned();
    let file = folder.path().join("here/run.jsonl");
    let text = fs::read_to_string(&file).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    for kept in [1, 5, lines.len() / 2, lines.len() - 3] {
        fs::write(&file, lines[..kept].join("\n") + "\n").unwrap();
        let (code, out, err) = call(folder.path(), "matmul-max --resume here");
        assert_eq!(code, 0, "{kept}: {err}");
        assert_eq!(verdict(&out), verdict(&whole), "{kept}");
        let again = fs::read_to_string(&file).unwrap();
        assert_eq!(again.lines().count(), lines.len(), "{kept}: what was measured is not measured again");
    }
    let (code, _, err) = call(folder.path(), "run --resume here");
    assert_eq!(code, 2);
    assert!(err.contains("matmul-max --resume"), "{err}");
}

#[cfg(unix)]
#[test]
fn an_interrupt_keeps_what_is_finished_and_shows_it() {
    let folder = tempfile::tempdir().unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_rooflint"));
    command.current_dir(folder.path()).env("XDG_RUNTIME_DIR", folder.path()).stdin(Stdio::null());
    command.args("matmul-max --device cpu --precision f32 --budget 10m --out here".split(' '));
    let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let file = folder.path().join("here/run.jsonl");
    let until = Instant::now() + Duration::from_secs(120);
    while fs::read_to_string(&file).map_or(0, |text| text.lines().count()) < 3 {
        assert!(Instant::now() < until, "no case was finished");
        std::thread::sleep(Duration::from_millis(20));
    }
    assert!(Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap().success());
    let output = child.wait_with_output().unwrap();
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert_eq!(output.status.code(), Some(130), "{out}{err}");
    assert!(out.contains("not finished. So far") && err.contains("matmul-max --resume here"), "{out}{err}");
    let run = store::load(&file).unwrap().run;
    assert!(run.footer.unwrap().interrupted);
    assert!(run.records.iter().all(|record| matches!(record.outcome, Outcome::Measured(_))));
}

#[test]
fn faults_cost_the_case_they_happen_in_and_bad_requests_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let (code, out, err) = call(folder.path(), "matmul-max --device fake:fail=40 --budget 10m --out fails");
    assert_eq!(code, 1, "{out}{err}");
    assert!(out.contains("gave no rate") && out.contains("m × n × k ="), "{out}");
    let (code, out, err) = call(folder.path(), "matmul-max --device fake:wrong=matmul --budget 10m --out wrong");
    assert_eq!(code, 5, "{out}{err}");
    assert!(out.contains("nothing was measured") && out.contains("wrong result"), "{out}");
    for (arguments, code, words) in [
        ("matmul-max --device fake --precision i4", 2, &["i4", "known: f64"][..]),
        ("matmul-max --device fake --axis m=64", 2, &["decides 'm'"]),
        ("matmul-max --device fake --axis nosuch=1", 2, &["'nosuch'", "matmul.data"]),
        ("matmul-max --device fake --budget 0", 2, &["positive duration"]),
        ("matmul-max --device nosuch", 2, &["'nosuch'"]),
        ("matmul-max --resume nowhere", 2, &["nowhere"]),
        ("matmul-max --resume fails --seed 2", 2, &["--seed"]),
    ] {
        let (found, out, err) = call(folder.path(), arguments);
        assert_eq!(found, code, "'{arguments}': {out}{err}");
        for word in words {
            assert!(err.contains(word), "'{arguments}' does not say {word}: {err}");
        }
    }
    call(folder.path(), "run --device fake --bench launch --out run");
    let (code, _, err) = call(folder.path(), "matmul-max --resume run");
    assert_eq!(code, 2);
    assert!(err.contains("rooflint run --resume"), "{err}");
}

#[test]
fn the_emulator_is_searched_too() {
    let arguments = "matmul-max --device cuda:0 --precision f16 --budget 2m --out here";
    let Some((code, text, folder)) = crate::cuda::emulated(arguments, &[("ROOFLINT_EMULATOR", "h100")]) else { return };
    assert_eq!(code, 0, "{text}");
    assert!(text.contains("NOT HARDWARE") && text.contains("f16: ") && text.contains("sustained"), "{text}");
    let run = store::load(&folder.path().join("here")).unwrap().run;
    assert!(run.records.iter().all(|record| record.outcome.measurement().is_some()), "{text}");
}
