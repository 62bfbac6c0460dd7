//! Bad input of every format of other tools: refused by name with nothing written, or quarantined with its reason.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use rooflint::record::{Outcome, Run};
use rooflint::store;

fn sample(name: &str) -> String {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/data/import").join(name);
    fs::read_to_string(path).unwrap()
}

/// Imports a text; the run that was written, or what was said when it was refused.
fn import(format: &str, text: &str) -> Result<Run, String> {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("input.json"), text).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_rooflint"));
    let output = command.current_dir(folder.path()).args(["import", format, "input.json"]).output().unwrap();
    let others = |path: &Path| path.file_name().is_some_and(|name| name != "input.json");
    let written: Vec<PathBuf> =
        fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().path()).filter(|path| others(path)).collect();
    match output.status.code() {
        Some(0) => Ok(store::load(&written[0]).unwrap().run),
        Some(2) => {
            assert!(written.is_empty(), "{format} was refused and wrote {written:?}");
            let told = String::from_utf8(output.stderr).unwrap();
            assert!(told.contains("input.json"), "{format}: it does not name the file: {told}");
            Err(told)
        }
        code => panic!("{format}: exit code {code:?}"),
    }
}

/// Times of all samples that count.
fn times(run: &Run) -> Vec<f64> {
    let measured = run.records.iter().filter_map(|record| record.outcome.measurement());
    measured.flat_map(|measurement| measurement.samples.iter().map(|sample| sample.elapsed_s.get())).collect()
}

#[test]
fn a_time_that_is_none_counts_nowhere() {
    let formats: [(&str, &str, &str, &[&str]); 4] = [
        (
            "google-benchmark",
            "google_benchmark.json",
            "\"real_time\":5.0",
            &["\"real_time\":0.0", "\"real_time\":-5.0", "\"real_time\":NaN", "\"real_time\":\"fast\"", "\"took\":5.0"],
        ),
        ("nvbench", "nvbench.json", "\"0.000725\"", &["\"0\"", "\"-0.000725\"", "\"nan\"", "\"inf\"", "\"fast\""]),
        ("nvbandwidth", "nvbandwidth.json", "\"55.63\"", &["\"0\"", "\"-55.63\"", "\"nan\"", "\"fast\"", "[]"]),
        (
            "llama-bench",
            "llama_bench.json",
            "[42000000,42100000]",
            &["[0,42100000]", "[-1,42100000]", "[NaN]", "[\"fast\"]"],
        ),
    ];
    for (format, file, good, bad) in formats {
        let text = sample(file);
        assert!(text.contains(good), "{file} has no {good}");
        let whole = times(&import(format, &text).unwrap()).len();
        for bad in bad {
            match import(format, &text.replacen(good, bad, 1)) {
                Err(told) => assert!(told.starts_with("error: "), "{format} {bad}: {told}"),
                Ok(run) => {
                    assert!(times(&run).iter().all(|time| *time > 0.0 && time.is_finite()), "{format} {bad}");
                    assert!(times(&run).len() < whole, "{format} {bad}: it counts all the same");
                    let told = run.records.iter().any(|record| match &record.outcome {
                        Outcome::Failed(why) | Outcome::Skipped(why) => !why.is_empty(),
                        _ => false,
                    });
                    assert!(told, "{format} {bad}: nothing says what became of it");
                }
            }
        }
    }
}

#[test]
fn a_file_without_results_is_refused() {
    for (format, text) in [
        ("google-benchmark", "{\"context\":{},\"benchmarks\":[]}"),
        ("nvbench", "{\"devices\":[],\"benchmarks\":[]}"),
        ("nvbandwidth", "{\"nvbandwidth\":{\"testcases\":[]}}"),
        ("llama-bench", "[]"),
        ("google-benchmark", "{}"),
        ("nvbench", "{}"),
        ("nvbandwidth", "{}"),
        ("llama-bench", ""),
        ("llama-bench", "[{}]"),
    ] {
        let told = import(format, text).expect_err(text);
        assert!(told.starts_with("error: "), "{format} {text}: {told}");
    }
}
