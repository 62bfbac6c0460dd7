//! The measurements by others that come with the program, and the verdicts that rest on them.

use std::collections::BTreeMap;
use std::path::Path;

use rooflint::claims::{Backing, Evidence, Judgement, Library, Quantity, Rank, explain, references};
use rooflint::fit::DRAWS;
use rooflint::hardware::{self, Rate};
use rooflint::import::lint::{Lint, Reason};
use rooflint::import::operations;
use rooflint::record::{AxisValue, Provenance, Record, Run};
use rooflint::reference::{CALIBRATED, figures, median, of_run, published, runs};
use rooflint::report::view::Drawn;
use rooflint::report::{ClaimsView, Judged, plots};
use rooflint::units::Hertz;
use serde_json::Value;

use super::support::{measured, seconds};

fn with_references() -> Evidence {
    Evidence::datasheets().unwrap().with(references().unwrap())
}

fn judged(evidence: &Evidence) -> Vec<Judgement> {
    Library::embedded().unwrap().judge(evidence)
}

#[test]
fn every_figure_is_possible_and_names_its_source() {
    let figures = figures().unwrap();
    let gpus: BTreeMap<String, usize> = figures.iter().fold(BTreeMap::new(), |mut count, figure| {
        *count.entry(figure.gpu.clone()).or_default() += 1;
        count
    });
    assert_eq!(gpus.keys().collect::<Vec<_>>(), ["a100_sxm_80gb", "h100_sxm", "h200_sxm", "l40s"]);
    for figure in &figures {
        let gpu = hardware::find(&figure.gpu).unwrap();
        let boost = Hertz::new(gpu.boost_mhz * 1e6).unwrap();
        let limit = match figure.quantity.as_str() {
            "memory_bandwidth" => gpu.bandwidth().unwrap().get(),
            "link_bandwidth" => gpu.link_one_way().unwrap().get(),
            "matmul_f16" => gpu.peak_at(Rate::F16, boost).unwrap().get(),
            "matmul_fp8" => gpu.peak_at(Rate::Fp8, boost).unwrap().get(),
            "matmul_i8" => gpu.peak_at(Rate::I8, boost).unwrap().get(),
            other => panic!("{other} is no quantity of a reference"),
        };
        assert!(Quantity::find(&figure.quantity).is_some());
        // GPUs without a link of their own reach a fraction of what PCIe could.
        let least = if figure.quantity == "link_bandwidth" { 0.0 } else { 0.3 * limit };
        assert!(figure.value > least && figure.value < limit, "{figure:?}");
        for text in [&figure.source, &figure.version, &figure.licence, &figure.statistic, &figure.what] {
            assert!(!text.trim().is_empty(), "{figure:?}");
        }
    }
    // Every GPU has the bandwidth of its memory and its products, from several sources.
    for gpu in gpus.keys() {
        let of = |quantity: &str| {
            figures
                .iter()
                .filter(|figure| figure.gpu == *gpu && figure.quantity == quantity && figure.excluded.is_none())
                .count()
        };
        assert!(of("memory_bandwidth") >= 3 && of("matmul_f16") >= 3, "{gpu}");
    }
}

#[test]
fn what_was_published_and_what_was_imported_stay_apart() {
    assert!(
        published().unwrap().iter().all(|figure| figure.rows.is_empty() && !figure.source.contains("aiconfigurator"))
    );
    let runs = runs().unwrap();
    assert_eq!(runs.len(), 16);
    for (name, run) in &runs {
        let Provenance::Imported { source, version, licence } = &run.header.provenance else { panic!("{name}") };
        assert_eq!([source.as_str(), version, licence], ["aiconfigurator-core", "0.12.0", "Apache-2.0"], "{name}");
        assert_eq!((run.header.planned as usize, run.footer.is_some()), (run.records.len(), true), "{name}");
        let framework = run.header.framework.as_ref().unwrap();
        assert!(name.ends_with(&format!("{}-{}", framework.name, framework.version)), "{name}");
        for figure in of_run(run).unwrap() {
            assert!(figure.source.starts_with(source.as_str()) && !figure.rows.is_empty(), "{figure:?}");
        }
    }
    // All kinds of operations are there for every GPU.
    for system in ["a100_sxm", "h100_sxm", "h200_sxm", "l40s"] {
        let records = || runs.iter().filter(|(name, _)| name.starts_with(system)).flat_map(|(_, run)| &run.records);
        for benchmark in ["matmul", "attention", "moe", "collective"] {
            assert!(records().filter(|record| record.case.benchmark == benchmark).count() >= 8, "{system} {benchmark}");
        }
    }
}

#[test]
fn the_committed_rows_pass_the_lint_or_are_quarantined() {
    let mut quarantined = BTreeMap::new();
    for (_, run) in runs().unwrap() {
        let lint = Lint::new(&run.header.devices);
        assert!(lint.knows(0));
        for record in run.records {
            if let Some(reason) = Reason::of(&record) {
                *quarantined.entry(reason).or_insert(0) += 1;
                continue;
            }
            let key = record.case.key();
            assert_eq!(Reason::of(&lint.judge(record)), None, "{key}");
        }
    }
    assert!(quarantined[&Reason::Mislabelled] > 0, "{quarantined:?}");
}

#[test]
fn the_files_are_small() {
    fn size(path: &Path) -> u64 {
        let entries = std::fs::read_dir(path).unwrap().map(|entry| entry.unwrap().path());
        entries.map(|path| if path.is_dir() { size(&path) } else { path.metadata().unwrap().len() }).sum()
    }
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("reports/reference");
    let imported = std::fs::read_dir(folder.join("imported")).unwrap().count();
    assert_eq!(imported, runs().unwrap().len(), "a file that is not part of the program, or the other way round");
    assert!(size(&folder.join("calibrations")) < 1_000_000);
    assert!(size(&folder) < 3_000_000);
}

#[test]
fn claims_about_the_a100_and_the_h100_rest_on_references() {
    let judgements = judged(&with_references());
    let rests = |gpu: &str| {
        judgements.iter().flat_map(|judgement| &judgement.parts).flat_map(|part| &part.inputs).any(
            |input| matches!(&input.backing, Backing::Known { gpu: known, rank: Rank::Reference, .. } if known == gpu),
        )
    };
    assert!(rests("a100_sxm_80gb") && rests("h100_sxm"));
    // There is none of a 40 GB A100, and nobody else's is taken for it.
    assert!(!rests("a100_sxm_40gb"));

    // The rows behind a figure are shown, of both kinds.
    let library = Library::embedded().unwrap();
    let text = explain("g4.h100-spec", &library, &with_references()).unwrap().to_string();
    for part in
        ["reference measurement of h100_sxm", "mamf-finder, FP8", "[aiconfigurator-core, vllm 0.24.0", "matmul k="]
    {
        assert!(text.contains(part), "{part} is not in\n{text}");
    }
}

#[test]
fn an_achieved_figure_refutes_no_claim_about_a_datasheet() {
    let (sheets, known) = (judged(&Evidence::datasheets().unwrap()), judged(&with_references()));
    for id in ["g4.h100-spec", "gs.a100-peak"] {
        let verdict = |judgements: &[Judgement]| {
            judgements.iter().find(|judgement| judgement.claim.id == id).map(|judgement| judgement.verdict.to_string())
        };
        assert_eq!(verdict(&sheets), verdict(&known), "{id}");
    }
    let spec = known.iter().find(|judgement| judgement.claim.id == "g4.h100-spec").unwrap();
    let achieved = spec.found("fp8_achieved").unwrap();
    // Another reading, shown beside the datasheet's: 2000 TFLOP/s are not reached, and 3 TB/s nearly.
    assert!(achieved.high < 1.7e15);
    assert_eq!(spec.part("fp8_achieved").unwrap().verdict.as_ref().unwrap().word(), "diverges");
    assert_eq!(spec.part("fp8").unwrap().verdict.as_ref().unwrap().word(), "holds");
}

#[test]
fn gpus_are_compared_at_one_rank() {
    let mut compared = 0;
    for judgement in judged(&with_references()) {
        let mut ranks: BTreeMap<&str, Vec<(Rank, &str)>> = BTreeMap::new();
        for input in judgement.parts.iter().flat_map(|part| &part.inputs) {
            if let Backing::Known { gpu, rank, .. } = &input.backing {
                ranks.entry(&input.name).or_default().push((*rank, gpu));
            }
        }
        for name in ["numerator", "denominator"] {
            let both = |name: &str| ranks.get(name).and_then(|known| known.first()).copied();
            if let (Some(one), Some(other)) = (both(name), both("denominator")) {
                compared += usize::from(one.1 != other.1);
                assert!(one.1 == other.1 || one.0 == other.0, "{}: {one:?} against {other:?}", judgement.claim.id);
            }
        }
    }
    assert!(compared > 0);
}

#[test]
fn verdicts_that_references_change_are_told() {
    let command = |arguments: &[&str]| {
        let output = assert_cmd::Command::cargo_bin("rooflint").unwrap().args(arguments).output().unwrap();
        String::from_utf8(output.stdout).unwrap()
    };
    let table = command(&["claims"]);
    let (sheets, known) = (judged(&Evidence::datasheets().unwrap()), judged(&with_references()));
    let changed: Vec<&str> = sheets
        .iter()
        .zip(&known)
        .filter(|(before, now)| before.verdict.word() != now.verdict.word())
        .map(|(before, _)| before.claim.id.as_str())
        .collect();
    assert!(!changed.is_empty());
    let told = table.split("By datasheets alone these were").nth(1).expect("the list of changes");
    for id in changed {
        assert!(told.contains(&format!("- {id}: ")), "{id} is not in\n{told}");
    }
}

/// Whether two values are the same but for the last digits of numbers, which a processor's mathematics may move; the path
/// to the first difference otherwise.
fn same(one: &Value, other: &Value, path: &str) -> Result<(), String> {
    match (one, other) {
        (Value::Number(a), Value::Number(b)) => {
            let (a, b) = (a.as_f64().unwrap(), b.as_f64().unwrap());
            // Logarithms lie around zero; all else is compared with itself.
            let logs = ["/residuals/", "/discrepancy/"].iter().any(|part| path.contains(part));
            let near = (a - b).abs() <= 2e-3 * a.abs().max(b.abs()).max(if logs { 0.5 } else { 0.0 });
            if near { Ok(()) } else { Err(format!("{path}: {a} and {b}")) }
        }
        (Value::Array(a), Value::Array(b)) if a.len() == b.len() => {
            a.iter().zip(b).enumerate().try_for_each(|(at, (a, b))| same(a, b, &format!("{path}/{at}")))
        }
        (Value::Object(a), Value::Object(b)) if a.keys().eq(b.keys()) => {
            a.iter().try_for_each(|(key, value)| same(value, &b[key], &format!("{path}/{key}")))
        }
        (one, other) if one == other => Ok(()),
        _ => Err(format!("{path}: {one} and {other}")),
    }
}

#[test]
fn the_committed_calibrations_are_what_the_committed_runs_give() {
    let files =
        std::fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("reports/reference/calibrations")).unwrap();
    assert_eq!(files.count(), CALIBRATED.len());
    for calibrated in CALIBRATED {
        let (kept, made) = (calibrated.calibration().unwrap(), calibrated.fitted_afresh().unwrap());
        assert_eq!(kept.gpu.as_deref(), Some(calibrated.gpu));
        let [kept, made] = [kept, made].map(|calibration| serde_json::to_value(calibration).unwrap());
        same(&kept, &made, calibrated.gpu).unwrap_or_else(|what| panic!("ci/references makes them again: {what}"));
    }
    // The comparison can fail.
    let value = |time: f64| serde_json::json!({"a": [1.0, time], "residuals": [0.01]});
    assert!(same(&value(2e-6), &value(2.01e-6), "").is_err_and(|what| what.starts_with("/a/1")));
    assert!(same(&value(2e-6), &value(2e-6), "").is_ok());
}

#[test]
fn a_calibration_has_what_decoding_asks_for_within_physics() {
    for calibrated in CALIBRATED {
        let calibration = calibrated.calibration().unwrap();
        let gpu = hardware::find(calibrated.gpu).unwrap();
        let least = gpu.bandwidth().unwrap().get();
        for (operation, subject) in
            [("matmul", "bf16"), ("decode_attention", "bf16"), ("collective", "all_reduce, nccl, f16")]
        {
            let law = calibration.law(operation, subject).unwrap_or_else(|| panic!("{}: {operation}", calibrated.gpu));
            assert_eq!(law.draws.len(), DRAWS);
            if operation != "collective" {
                let bandwidth = law.constants.iter().find(|constant| constant.name == "bandwidth").unwrap();
                assert!(bandwidth.low <= bandwidth.value && bandwidth.value <= bandwidth.high);
                assert!(bandwidth.high <= least && bandwidth.low > 0.5 * least, "{}: {bandwidth:?}", calibrated.gpu);
            }
        }
    }
}

#[test]
fn a_fitted_constant_stands_for_the_rows_of_its_source_with_its_interval() {
    let figures = figures().unwrap();
    for calibrated in CALIBRATED {
        let calibration = calibrated.calibration().unwrap();
        let constant = calibration.law("matmul", "bf16").unwrap().value("bandwidth").unwrap();
        let found = figures.iter().find(|figure| {
            figure.gpu == calibrated.gpu && figure.quantity == "memory_bandwidth" && figure.interval.is_some()
        });
        let found = found.unwrap_or_else(|| panic!("{}", calibrated.gpu));
        let (low, high) = found.interval.unwrap();
        assert!(found.value == constant && low < constant && constant < high && !found.rows.is_empty(), "{found:?}");
        assert!(found.source.contains("vllm") && found.what.contains(calibrated.gpu), "{found:?}");
    }
    let library = Library::embedded().unwrap();
    let text = explain("g4.ridge-batch", &library, &with_references()).unwrap().to_string();
    for part in ["(90 %: ", "fitted to", "reports/reference/calibrations/", "matmul k="] {
        assert!(text.contains(part), "{part} is not in\n{text}");
    }
}

#[test]
fn cost_curves_have_a_band_where_ceilings_were_measured() {
    let (library, evidence) = (Library::embedded().unwrap(), with_references());
    let judgements = library.judge(&evidence);
    let view = ClaimsView::of(&Judged { library: &library, evidence: &evidence, judgements: &judgements });
    let plot = view.plots.iter().find(|plot| plot.name == "claims-cost").unwrap();
    let Drawn::Curves(curves) = &plot.drawn else { panic!("curves") };
    for curve in &curves.curves {
        // The A100 of that claim has 40 GB, of which there is no reference.
        assert_eq!(curve.band.is_empty(), curve.name.contains("A100"), "{}", curve.name);
        for ((x, y), (at, low, high)) in curve.points.iter().zip(&curve.band) {
            assert!(x == at && low < y && y < high, "{}: {low} {y} {high}", curve.name);
        }
    }
    assert!(plots::draw(plot).unwrap().file().contains("<polygon"), "the band is drawn");
}

#[test]
fn rows_that_show_something_else_move_no_figure() {
    let runs = runs().unwrap();
    let named = |name: &str| runs.iter().find(|(known, _)| known.starts_with(name)).unwrap().1.clone();
    // A copy of some row a thousandth as long, with other axes and its own work.
    let with = |run: &Run, benchmark: &str, axes: &[(&str, AxisValue)]| {
        let mut run = run.clone();
        let like = |record: &&Record| {
            let case = &record.case;
            let gathers = case.word("operation").is_none_or(|operation| operation == "all_gather");
            let plain = case.word("weights").is_none() && case.word("precision").is_none_or(|one| one != "fp8_e4m3");
            case.benchmark == benchmark && gathers && plain && record.outcome.measurement().is_some()
        };
        let mut other = run.records.iter().find(like).unwrap().clone();
        for (axis, value) in axes {
            other.case.axes.insert((*axis).to_owned(), value.clone());
        }
        other.work = operations::work(&other.case).unwrap();
        let short = measured(&mut other);
        short.samples.iter_mut().for_each(|sample| sample.elapsed_s = seconds(sample.elapsed_s.get() / 1e3));
        run.records.push(other);
        of_run(&run).unwrap()
    };
    let products = named("h100_sxm-vllm");
    let count = |axis, count: u64| (axis, AxisValue::Count(count));
    let usual = of_run(&products).unwrap();
    for axes in [
        // Fewer rows than show arithmetic; weights of another format; one row of weights that a cache holds.
        vec![count("m", 512), count("n", 8192), count("k", 8192)],
        vec![count("m", 4096), count("n", 8192), count("k", 8192), ("weights", AxisValue::from("i4"))],
        vec![count("m", 1), count("n", 2048), count("k", 2048)],
    ] {
        assert_eq!(with(&products, "matmul", &axes), usual, "{axes:?}");
    }
    assert_ne!(with(&products, "matmul", &[count("m", 4096), count("n", 8192), count("k", 8192)]), usual);
    let links = named("h100_sxm-nccl");
    let usual = of_run(&links).unwrap();
    for axes in [vec![count("gpus", 2), count("size", 1 << 29)], vec![count("gpus", 8), count("size", 1 << 12)]] {
        assert_eq!(with(&links, "collective", &axes), usual, "{axes:?}");
    }
    assert_ne!(with(&links, "collective", &[count("gpus", 8), count("size", 1 << 30)]), usual);
}

#[test]
fn of_two_figures_the_median_is_between() {
    assert_eq!([&[1.0, 4.0][..], &[5.0, 1.0, 2.0], &[7.0]].map(median), [Some(2.5), Some(2.0), Some(7.0)]);
    assert_eq!(median(&[]), None);
}
