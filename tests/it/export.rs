//! Export formats: what other tools read back is what the run says.

use rooflint::export::{self, FORMATS};
use rooflint::record::{DeviceKind, Run};
use rooflint::summary::Summary;
use serde_json::Value;

use crate::sample_run::{realistic, run};

fn export(run: &Run, id: &str) -> String {
    (export::find(id).unwrap().render)(run).unwrap()
}

/// The rows of the CSV export, each with a look-up by column.
fn rows(run: &Run) -> (Vec<String>, Vec<Vec<String>>) {
    let text = export(run, "csv");
    let mut reader = csv::Reader::from_reader(text.as_bytes());
    let heads = reader.headers().unwrap().iter().map(str::to_owned).collect();
    let rows = reader.records().map(|row| row.unwrap().iter().map(str::to_owned).collect()).collect();
    (heads, rows)
}

#[test]
fn ids_are_unique_and_an_unknown_one_is_answered_with_those_there_are() {
    let ids: Vec<&str> = FORMATS.iter().map(|format| format.id).collect();
    assert_eq!(ids, ["table", "json", "csv", "md"]);
    let error = export::find("xml").err().unwrap().to_string();
    assert_eq!(error, "unknown format 'xml'; known: table, json, csv, md");
}

#[test]
fn csv_reads_back_what_the_samples_say() {
    let run = realistic();
    let (heads, rows) = rows(&run);
    assert_eq!(rows.len(), run.records.len());
    let column =
        |name: &str| heads.iter().position(|head| head == name).unwrap_or_else(|| panic!("{name} in {heads:?}"));
    for (record, row) in run.records.iter().zip(&rows) {
        let at = |name: &str| row[column(name)].as_str();
        assert_eq!(at("case"), record.case.key());
        assert_eq!(at("outcome"), record.outcome.word());
        let Some(summary) = Summary::of(record) else {
            assert_eq!((at("headline"), at("time_median_s"), at("flags")), ("", "", ""), "{}", record.case.key());
            assert!(!at("reason").is_empty());
            continue;
        };
        let number = |name: &str| at(name).parse::<f64>().unwrap();
        let headline = summary.headline;
        assert_eq!((number("headline"), number("low"), number("high")), (headline.value, headline.low, headline.high));
        assert_eq!(number("time_median_s"), summary.quantiles[2].get());
        assert_eq!(at("unit"), summary.unit);
        assert_eq!(
            number("samples_accepted") + number("samples_rejected"),
            f64::from(summary.accepted + summary.rejected)
        );
        assert_eq!(at("flags").split(';').filter(|flag| !flag.is_empty()).count(), summary.flags.len());
    }
    let product = rows.iter().find(|row| row[column("benchmark")] == "matmul").unwrap();
    assert_eq!(product[column("axis_m")], "128");
    assert_eq!(product[column("axis_kernel")], "");
    assert_eq!(product[column("device_kind")], "hardware");
}

#[test]
fn csv_quotes_what_needs_it() {
    let mut run = realistic();
    run.records[0].case.axes.insert("kernel".to_owned(), "a,b\"c\nd\u{1b}[1m".into());
    let (heads, rows) = rows(&run);
    let at = heads.iter().position(|head| head == "axis_kernel").unwrap();
    assert_eq!(rows[0][at], "a,b\"c d");
}

#[test]
fn json_is_one_document_with_samples_and_figures() {
    let run = realistic();
    let document: Value = serde_json::from_str(&export(&run, "json")).unwrap();
    assert_eq!(document["header"]["run_id"], "k3v9q2");
    assert_eq!(document["confidence"], 0.95);
    let records = document["records"].as_array().unwrap();
    assert_eq!(records.len(), run.records.len());
    for (record, out) in run.records.iter().zip(records) {
        assert_eq!(out["key"], record.case.key().as_str());
        match Summary::of(record) {
            None => assert!(out["summary"].is_null()),
            Some(summary) => {
                assert_eq!(out["summary"]["headline"]["value"].as_f64().unwrap(), summary.headline.value);
                assert_eq!(out["summary"]["unit"], summary.unit);
                let samples = out["outcome"]["measured"]["samples"].as_array().unwrap();
                assert_eq!(samples.len() as u32, summary.accepted + summary.rejected);
            }
        }
    }
    let ceilings = &document["ceilings"][0];
    assert_eq!(ceilings["memory_is_plateau"], true);
    let read = ceilings["memory"].as_array().unwrap().iter().find(|row| row["kernel"] == "read").unwrap();
    let single = &ceilings["compute"][0];
    let ridge = single["rate_flop_per_s"]["value"].as_f64().unwrap() / read["rate_b_per_s"]["value"].as_f64().unwrap();
    assert_eq!(single["ridge_flop_per_b"]["value"].as_f64().unwrap(), ridge);
}

#[test]
fn texts_stand_alone() {
    let table = export(&realistic(), "table");
    assert!(table.contains("read 32 MiB") && table.contains("✗ wrong"), "{table}");
    assert!(!table.contains('\u{1b}'), "no colours in a file");
    let document = export(&realistic(), "md");
    assert!(document.contains("## memory") && !document.contains("!["), "{document}");
}

#[test]
fn a_fake_device_is_told_in_every_format() {
    let mut fake = realistic();
    fake.header.devices[0].kind = DeviceKind::Fake;
    for format in FORMATS {
        let text = (format.render)(&fake).unwrap().to_lowercase();
        assert!(text.contains("fake"), "{}", format.id);
        assert!(!(format.render)(&realistic()).unwrap().to_lowercase().contains("fake"), "{}", format.id);
    }
}

#[test]
fn an_empty_run_is_exported() {
    for format in FORMATS {
        let text = (format.render)(&run(Vec::new(), Vec::new())).unwrap();
        assert!(text.ends_with('\n'), "{}", format.id);
    }
}
