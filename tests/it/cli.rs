//! The command line as a user meets it: output, messages, exit codes, and files left behind.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use rooflint::record::Outcome;
use rooflint::store;

/// The program, with a lock folder of its own so that tests do not stand in each other's way.
fn rooflint(folder: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_rooflint"));
    command.current_dir(folder).env("XDG_RUNTIME_DIR", folder).env("NO_COLOR", "1").stdin(Stdio::null());
    command
}

fn folder() -> tempfile::TempDir {
    tempfile::tempdir().expect("a folder")
}

/// Every benchmark at sizes whose results are computed in no time.
const SMALL: &str = "--axis size=1MiB --axis m=32 --axis n=32 --axis k=32";

/// Runs with arguments separated by spaces; gives exit code, standard output, standard error.
fn call(folder: &Path, arguments: &str) -> (i32, String, String) {
    let output = rooflint(folder).args(arguments.split_whitespace()).output().expect("runs");
    told(&output)
}

fn told(output: &Output) -> (i32, String, String) {
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).expect("text");
    (output.status.code().unwrap_or(-1), text(&output.stdout), text(&output.stderr))
}

fn outcomes(run: &Path) -> Vec<(String, Outcome)> {
    let records = store::load(run).expect("loads").run.records;
    records.into_iter().map(|record| (record.case.benchmark.clone(), record.outcome)).collect()
}

#[test]
fn a_run_writes_its_files_and_prints_only_its_summary() {
    let folder = folder();
    let (code, out, err) = call(folder.path(), &format!("run --device fake:noise=0.01 --out here {SMALL}"));
    assert_eq!(code, 0, "{err}");
    for name in ["run.jsonl", "report.html", "report.md"] {
        assert!(folder.path().join("here").join(name).exists(), "{name} is missing");
    }
    assert!(out.contains("memory") && out.contains("matmul"), "{out}");
    assert!(!out.contains('\u{1b}'), "colours in a pipe");
    assert!(err.contains("report.html") && err.contains("[1/"), "{err}");
    let run = store::load(&folder.path().join("here")).expect("loads");
    assert_eq!(run.warnings, Vec::<String>::new());
    assert_eq!(run.run.records.len(), run.run.header.planned as usize);
}

#[test]
fn bad_requests_name_the_thing_and_the_way_out() {
    let folder = folder();
    fs::create_dir(folder.path().join("full")).expect("makes");
    fs::write(folder.path().join("full/file"), "x").expect("writes");
    fs::write(folder.path().join("junk.jsonl"), "junk\n").expect("writes");
    fs::write(folder.path().join("shapes.csv"), b"1,2,3\n\xff\xfe,2,3\n").expect("writes");
    for (arguments, code, words) in [
        ("run --device tpu", 2, &["'tpu'", "known: cpu"][..]),
        ("run --device cpu:9", 4, &["cpu:9"]),
        ("run --device fake --device fake", 2, &["twice"]),
        ("run --device fake --bench nosuch", 2, &["'nosuch'", "known: memory"]),
        ("run --device fake --axis nosuch=1", 2, &["'nosuch'", "memory.size"]),
        ("run --device fake --axis kernel=scan", 2, &["'kernel'", "'scan'", "read"]),
        ("run --device fake --axis m=0", 2, &["'m'", "'0'", "from 1"]),
        ("run --device fake --axis m=99999999999", 2, &["'m'", "to 1048576"]),
        ("run --device fake --axis m", 2, &["m=1,8,64"]),
        ("run --device fake --shapes nowhere.csv", 2, &["nowhere.csv"]),
        ("run --device fake --shapes full", 2, &["full"]),
        ("run --device fake --shapes shapes.csv", 2, &["shapes.csv, line 2", "8,4096,4096"]),
        ("run --device fake --shapes shapes.csv --bench fma", 2, &["'matmul'"]),
        ("run --device fake --shapes shapes.csv --axis m=1", 2, &["--axis m"]),
        ("run --device fake --data ones", 2, &["'data'", "'ones'", "zeros"]),
        ("run --device fake --profile slow", 2, &["slow", "quick"]),
        ("run --device fake --budget 0", 2, &["positive duration"]),
        ("run --device fake --budget=-5s", 2, &["positive duration"]),
        ("run --device fake --price=-1", 2, &["positive price"]),
        ("run --device fake:nonsense", 4, &["nonsense"]),
        ("run --device fake --out full", 2, &["full", "not empty", "--out"]),
        ("run --device fake --out junk.jsonl/below", 2, &["junk.jsonl/below"]),
        ("run --resume nowhere", 2, &["nowhere"]),
        ("run --resume junk.jsonl", 2, &["junk.jsonl", "line 1"]),
        ("show nowhere", 2, &["nowhere"]),
        ("show junk.jsonl", 2, &["junk.jsonl", "line 1"]),
        ("show junk.jsonl --format tsv", 2, &["'tsv'", "csv"]),
        ("report junk.jsonl --out x", 2, &["junk.jsonl"]),
        ("describe nosuch", 2, &["'nosuch'", "memory"]),
        ("completions nosuch", 2, &["nosuch", "bash"]),
        ("nosuch", 2, &["nosuch"]),
        ("", 2, &["Usage"]),
    ] {
        let (found, out, err) = call(folder.path(), arguments);
        assert_eq!(found, code, "'{arguments}': {out}{err}");
        for word in words {
            assert!(err.contains(word), "'{arguments}' does not say {word}: {err}");
        }
        assert!(!err.contains("panicked"), "'{arguments}': {err}");
        assert_eq!(out, "", "'{arguments}' wrote a result");
    }
    assert!(!folder.path().join("x").exists(), "a failed report left a folder");
}

#[test]
fn a_worker_killed_in_a_case_costs_that_case() {
    let folder = folder();
    let (code, _, err) = call(folder.path(), &format!("run --device fake:crash=fma --out here {SMALL}"));
    assert_eq!(code, 1, "{err}");
    for (benchmark, outcome) in outcomes(&folder.path().join("here")) {
        match benchmark.as_str() {
            "fma" => assert!(matches!(&outcome, Outcome::Failed(reason) if reason.contains("signal 6")), "{outcome:?}"),
            _ => assert!(matches!(outcome, Outcome::Measured(_)), "{benchmark}: {outcome:?}"),
        }
    }
}

#[test]
fn a_case_that_hangs_is_stopped_at_its_deadline() {
    let folder = folder();
    let (code, _, err) = call(
        folder.path(),
        "run --device fake:hang=memory_copy --bench memory,launch --axis size=1MiB --deadline 2s --out here",
    );
    assert_eq!(code, 1, "{err}");
    let outcomes = outcomes(&folder.path().join("here"));
    let failed: Vec<_> = outcomes.iter().filter(|(_, outcome)| !matches!(outcome, Outcome::Measured(_))).collect();
    assert!(matches!(failed.as_slice(), [(_, Outcome::Failed(reason))] if reason.contains("deadline")), "{failed:?}");
}

#[test]
fn nothing_measured_and_wrong_results_have_their_exit_codes() {
    let folder = folder();
    let (code, ..) = call(folder.path(), "run --device fake:unsupported=fma --bench fma --out none");
    assert_eq!(code, 5);
    let (code, out, _) = call(folder.path(), "run --device fake:wrong=fma --bench fma,launch --out wrong");
    assert_eq!(code, 1);
    assert!(out.to_lowercase().contains("wrong"), "{out}");
}

#[test]
fn a_budget_is_kept_and_what_it_left_out_can_be_resumed() {
    let folder = folder();
    let (_, _, err) = call(folder.path(), &format!("run --device fake --budget 0.000001s --out here {SMALL}"));
    let before = outcomes(&folder.path().join("here"));
    assert!(
        before.iter().any(|(_, outcome)| matches!(outcome, Outcome::Skipped(reason) if reason.contains("budget"))),
        "{err}"
    );
    let (code, _, err) = call(folder.path(), "run --resume here --budget 10m");
    assert_eq!(code, 0, "{err}");
    let after = outcomes(&folder.path().join("here"));
    assert_eq!(before.len(), after.len());
    assert!(after.iter().all(|(_, outcome)| matches!(outcome, Outcome::Measured(_))));
}

#[test]
fn a_run_cut_off_in_the_middle_of_a_line_resumes() {
    let folder = folder();
    call(folder.path(), &format!("run --device fake --out here {SMALL}"));
    let file = folder.path().join("here/run.jsonl");
    let whole = fs::read(&file).expect("reads");
    fs::write(&file, &whole[..whole.len() / 2]).expect("writes");
    let (code, _, err) = call(folder.path(), "show here");
    assert_eq!(code, 0, "{err}");
    assert!(err.contains("cut off") || err.contains("no end"), "{err}");
    let (code, _, err) = call(folder.path(), "run --resume here");
    assert_eq!(code, 0, "{err}");
    let run = store::load(&file).expect("loads");
    assert_eq!(run.warnings, Vec::<String>::new());
    assert_eq!(run.run.records.len(), run.run.header.planned as usize);
}

#[test]
fn a_dry_run_prints_the_plan_with_time_and_cost_and_measures_nothing() {
    let folder = folder();
    let (code, out, _) = call(folder.path(), "run --device fake --dry-run --price 2.00");
    assert_eq!(code, 0);
    assert!(out.contains("cases, about") && out.contains("USD") && out.contains("memory"), "{out}");
    assert_eq!(fs::read_dir(folder.path()).expect("reads").count(), 0, "a dry run left files");
}

/// Waits until a file exists and holds some lines.
fn wait_for_lines(file: &Path, lines: usize) {
    let until = Instant::now() + Duration::from_secs(60);
    while fs::read_to_string(file).map_or(0, |text| text.lines().count()) < lines {
        assert!(Instant::now() < until, "{} never had {lines} lines", file.display());
        std::thread::sleep(Duration::from_millis(10));
    }
}

#[cfg(unix)]
#[test]
fn an_interrupt_keeps_what_is_finished_and_the_rest_resumes() {
    let folder = folder();
    // The third benchmark hangs: the interrupt always comes in the middle of a case.
    let mut child = rooflint(folder.path())
        .args(["run", "--device", "fake:hang=matmul", "--out", "here"])
        .args(SMALL.split(' '))
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("starts");
    let file = folder.path().join("here/run.jsonl");
    wait_for_lines(&file, 4);
    let killed = Command::new("kill").args(["-INT", &child.id().to_string()]).status().expect("kill runs");
    assert!(killed.success());
    let code = child.wait().expect("ends").code();
    assert_eq!(code, Some(130));
    let run = store::load(&file).expect("loads").run;
    assert!(run.footer.expect("a footer").interrupted);
    assert!(run.records.len() >= 3 && run.records.iter().all(|record| matches!(record.outcome, Outcome::Measured(_))));
}

#[cfg(unix)]
#[test]
fn a_disk_that_fills_up_is_said_and_what_was_written_stays() {
    let folder = folder();
    let script = format!(
        "trap '' XFSZ; ulimit -f 40; exec {} run --device fake:noise=0.01 --out here {SMALL}",
        env!("CARGO_BIN_EXE_rooflint")
    );
    let output = Command::new("sh").args(["-c", &script]).current_dir(folder.path()).output().expect("runs");
    let (code, _, err) = told(&output);
    assert_eq!(code, 2, "{err}");
    assert!(err.contains("cannot write") && err.contains("here/"), "{err}");
    let run = store::load(&folder.path().join("here")).expect("what was written loads").run;
    assert!(!run.records.is_empty());
}

#[test]
fn two_runs_of_one_device_are_refused() {
    let folder = folder();
    let (backend, rest) = rooflint::device::select("cpu").expect("a backend");
    let info = (backend.describe)(rest).expect("a CPU");
    let file = folder.path().join(format!("rooflint-cpu-{}.lock", info.selector));
    let held = fs::File::create(&file).expect("makes");
    held.lock().expect("locks");
    let (code, _, err) = call(folder.path(), "run --bench launch --out here");
    assert_eq!(code, 4, "{err}");
    assert!(err.contains("another run"), "{err}");
    let (code, out, _) = call(folder.path(), "doctor");
    assert_eq!(code, 4);
    assert!(out.contains("BUSY"), "{out}");
}

#[test]
fn the_cpu_runs_end_to_end() {
    let folder = folder();
    let (code, out, err) = call(folder.path(), "run --bench launch,memory --axis size=1MiB --out here");
    assert_eq!(code, 0, "{out}{err}");
    assert!(outcomes(&folder.path().join("here")).iter().all(|(_, outcome)| matches!(outcome, Outcome::Measured(_))));
}

#[test]
fn the_small_commands_answer() {
    let folder = folder();
    for (arguments, words) in [
        ("devices", &["cpu", "compute units", "L1"][..]),
        ("devices --json", &["\"backend\": \"cpu\"", "\"absent\""]),
        ("doctor", &["ok    cpu", "load of others"]),
        ("list", &["memory", "fma", "matmul", "launch", "?"]),
        ("describe memory", &["Formula", "--axis size", "Caveats"]),
        ("schema", &["\"$schema\"", "elapsed_s"]),
        ("completions bash", &["complete -F", "rooflint"]),
        ("--help", &["run", "report", "Exit codes"]),
        ("run --help", &["--budget", "Examples"]),
    ] {
        let (code, out, err) = call(folder.path(), arguments);
        assert_eq!(code, 0, "'{arguments}': {err}");
        for word in words {
            assert!(out.contains(word), "'{arguments}' does not say {word}: {out}");
        }
    }
}

#[test]
fn every_line_of_a_run_file_meets_the_published_schema() {
    let folder = folder();
    call(folder.path(), &format!("run --device fake:noise=0.01,preempt=0.2 --out here {SMALL}"));
    let (_, schema, _) = call(folder.path(), "schema");
    let schema = serde_json::from_str(&schema).expect("a schema");
    let validator = jsonschema::validator_for(&schema).expect("a valid schema");
    for line in fs::read_to_string(folder.path().join("here/run.jsonl")).expect("reads").lines() {
        let value = serde_json::from_str(line).expect("JSON");
        if let Err(error) = validator.validate(&value) {
            panic!("{error} in {line:.200}");
        }
    }
}

#[test]
fn a_run_file_names_no_host_user_or_folder() {
    let folder = folder();
    call(folder.path(), "run --device fake --bench launch --out here");
    let text = fs::read_to_string(folder.path().join("here/run.jsonl")).expect("reads");
    let home: Option<PathBuf> = std::env::var_os("HOME").map(PathBuf::from);
    let secrets = [
        Some(folder.path().display().to_string()),
        home.map(|home| home.display().to_string()),
        fs::read_to_string("/proc/sys/kernel/hostname").ok().map(|name| name.trim().to_owned()),
    ];
    for secret in secrets.into_iter().flatten().filter(|secret| secret.len() > 4) {
        assert!(!text.contains(&secret), "the run file holds '{secret}'");
    }
}

#[test]
fn show_prints_every_format_and_report_writes_once() {
    let folder = folder();
    call(folder.path(), &format!("run --device fake --out here {SMALL}"));
    for format in rooflint::export::FORMATS {
        let (code, out, err) = call(folder.path(), &format!("show here --format {}", format.id));
        assert_eq!(code, 0, "{}: {err}", format.id);
        assert!(out.contains("memory") && out.contains("launch"), "{}: {out}", format.id);
    }
    let (code, out, _) = call(folder.path(), "report here here/run.jsonl --out there");
    assert_eq!((code, out.trim()), (0, "there/report.html"));
    let (code, ..) = call(folder.path(), "report here --out there");
    assert_eq!(code, 2, "a second report overwrote the first");
}

#[test]
fn a_file_of_shapes_is_measured_and_resumed() {
    let folder = folder();
    fs::write(folder.path().join("mine.csv"), "8,32,32\n16,32,48,f64\n").expect("writes");
    let (code, _, err) = call(folder.path(), "run --device fake --bench matmul --shapes mine.csv --out here");
    assert_eq!(code, 0, "{err}");
    let keys = |run: &Path| -> Vec<String> {
        store::load(run).expect("loads").run.records.iter().map(|record| record.case.key()).collect()
    };
    let expected =
        ["matmul data=random k=32 m=8 n=32 precision=f32", "matmul data=random k=48 m=16 n=32 precision=f64"];
    let here = folder.path().join("here");
    assert_eq!(keys(&here), expected);
    // The run remembers its shapes: the file is not needed to finish it.
    fs::remove_file(folder.path().join("mine.csv")).expect("removes");
    let file = here.join("run.jsonl");
    let text = fs::read_to_string(&file).expect("reads");
    let first: Vec<&str> = text.lines().take(2).collect();
    fs::write(&file, first.join("\n") + "\n").expect("writes");
    let (code, _, err) = call(folder.path(), "run --resume here");
    assert_eq!(code, 0, "{err}");
    assert_eq!(keys(&here), expected);
}
