//! Run files: what is kept, what is refused, and what a cut-off file still gives.

use std::fs;

use rooflint::record::{Footer, Line, Outcome, Quantity, Record, SCHEMA_VERSION};
use rooflint::store::{self, RunWriter, StoreError};

use crate::support;

fn memory_read(times_s: &[f64]) -> Record {
    let case = support::case("memory", &[("kernel", "read".into()), ("size", 4096.into())]);
    support::record(case, support::work(4096, 0, &[]), Quantity::Bandwidth, times_s)
}

fn launch(times_s: &[f64]) -> Record {
    let case = support::case("launch", &[("threads", 1.into())]);
    support::record(case, support::work(0, 0, &[]), Quantity::Duration, times_s)
}

/// The lines of a small run, as its file holds them.
fn lines() -> Vec<String> {
    let run = support::run(vec![memory_read(&[1e-3, 1.1e-3]), launch(&[1e-6])]);
    let header = Line::Header(Box::new(run.header.clone()));
    let records = run.records.iter().map(|record| Line::Record(Box::new(record.clone())));
    let footer = Line::Footer(Footer {
        finished_at: "2026-01-01T00:00:00Z".to_owned(),
        interrupted: false,
        other_processes: Vec::new(),
    });
    let all = std::iter::once(header).chain(records).chain(std::iter::once(footer));
    all.map(|line| serde_json::to_string(&line).expect("serialises") + "\n").collect()
}

fn parse(text: &str) -> Result<store::Loaded, StoreError> {
    store::parse(text.as_bytes(), "run.jsonl")
}

#[test]
fn a_whole_file_loads_without_warnings() {
    let loaded = parse(&lines().concat()).expect("loads");
    assert_eq!(loaded.warnings, Vec::<String>::new());
    assert_eq!(loaded.run.records.len(), 2);
    assert!(loaded.run.footer.is_some());
}

#[test]
fn a_file_cut_anywhere_after_its_header_keeps_every_whole_line() {
    let lines = lines();
    let whole = lines.concat();
    let header = lines[0].len();
    for length in header..whole.len() {
        let loaded = parse(&whole[..length]).unwrap_or_else(|error| panic!("cut at {length}: {error}"));
        let complete = whole[..length].matches('\n').count();
        // A line whose newline alone is missing is whole.
        let kept = loaded.run.records.len() + usize::from(loaded.run.footer.is_some()) + 1;
        assert!(kept == complete || kept == complete + 1, "cut at {length}: {kept} lines of {complete}");
        assert!(!loaded.warnings.is_empty() || loaded.run.footer.is_some(), "cut at {length} is not said");
    }
}

#[test]
fn broken_files_are_refused_with_their_line() {
    let lines = lines();
    let with = |position: usize, text: &str| {
        let mut lines = lines.clone();
        lines[position] = format!("{text}\n");
        lines.concat()
    };
    let nan = with(1, &lines[1].trim_end().replacen("\"elapsed_s\":", "\"elapsed_s\":NaN,\"was\":", 1));
    let negative = with(1, &lines[1].trim_end().replacen("\"elapsed_s\":", "\"elapsed_s\":-1.0,\"was\":", 1));
    let device = with(1, &lines[1].trim_end().replacen("\"device\":0", "\"device\":7", 1));
    for (text, line) in [
        (String::new(), 1),
        ("not json\n".to_owned(), 1),
        ("{\"a\":1}\n".to_owned(), 1),
        ("\u{0}\u{1}\u{2}".to_owned(), 1),
        (lines[1].clone(), 1),
        (with(1, "{}"), 2),
        (with(1, "half a li"), 2),
        (with(2, &lines[0]), 3),
        (nan, 2),
        (negative, 2),
        (device, 2),
    ] {
        match parse(&text) {
            Err(StoreError::Malformed { name, line: found, .. }) => {
                assert_eq!((name.as_str(), found), ("run.jsonl", line), "of {text:.80}");
            }
            other => panic!("{text:.80} gave {other:?}"),
        }
    }
}

#[test]
fn a_newer_schema_is_named_even_if_its_lines_cannot_be_read() {
    let newer = SCHEMA_VERSION + 1;
    let readable = lines()[0].replace(&format!("\"schema\":{SCHEMA_VERSION}"), &format!("\"schema\":{newer}"));
    let unreadable = format!("{{\"line\":\"header\",\"schema\":{newer},\"unheard_of\":true}}\n");
    for text in [readable, unreadable] {
        let error = parse(&text).expect_err("is refused");
        assert!(matches!(error, StoreError::Newer { found, .. } if found == u64::from(newer)), "{error}");
        assert!(error.to_string().contains("update rooflint"), "{error}");
    }
}

#[test]
fn a_later_record_of_a_case_replaces_the_earlier() {
    let mut lines = lines();
    let mut again = memory_read(&[1.0]);
    again.outcome = Outcome::Failed("later".to_owned());
    lines.insert(3, serde_json::to_string(&Line::Record(Box::new(again))).expect("serialises") + "\n");
    let loaded = parse(&lines.concat()).expect("loads");
    assert_eq!(loaded.run.records.len(), 2);
    assert_eq!(loaded.run.records[0].outcome, Outcome::Failed("later".to_owned()));
}

#[test]
fn a_writer_never_overwrites_and_resumes_after_the_last_whole_line() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("run.jsonl");
    let run = support::run(vec![memory_read(&[1e-3]), launch(&[1e-6])]);
    let mut writer = RunWriter::create(&path, &run.header).expect("creates");
    writer.append(&Line::Record(Box::new(run.records[0].clone()))).expect("appends");
    drop(writer);
    assert!(matches!(RunWriter::create(&path, &run.header), Err(StoreError::Write { .. })));

    let mut torn = fs::read(&path).expect("reads");
    torn.extend_from_slice(b"{\"line\":\"record\",\"ca");
    fs::write(&path, torn).expect("writes");
    let mut writer = RunWriter::resume(&path).expect("resumes");
    writer.append(&Line::Record(Box::new(run.records[1].clone()))).expect("appends");
    let loaded = store::load(folder.path()).expect("a folder loads too");
    assert_eq!(loaded.run.records, run.records);
}

#[test]
fn every_schema_version_has_a_golden_file_that_loads() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data");
    for version in 1..=SCHEMA_VERSION {
        let loaded = store::load(&folder.join(format!("run-v{version}.jsonl"))).expect("loads");
        assert_eq!(loaded.run.header.schema, version);
        assert!(loaded.run.records.iter().any(|record| matches!(record.outcome, Outcome::Measured(_))));
    }
}
