//! `rooflint fit` and `rooflint cost --gpu CALIBRATION` as a user meets them.

use std::fs;
use std::path::Path;
use std::process::Command;

use rooflint::fit::Calibration;
use rooflint::record::{DeviceKind, Line, Run};
use serde_json::Value;

use super::fit_few::steps;
use super::fit_laws::{ROWS, SIDES, WORLD, attention, fit, h100, products};

/// Writes a run as its file.
pub fn write(run: &Run, path: &Path) {
    let header = std::iter::once(Line::Header(Box::new(run.header.clone())));
    let records = run.records.iter().map(|record| Line::Record(Box::new(record.clone())));
    let lines = header.chain(records).map(|line| serde_json::to_string(&line).unwrap() + "\n");
    fs::write(path, lines.collect::<String>()).unwrap();
}

/// Products and attention on an H100 that reaches what [`WORLD`] says.
fn run() -> Run {
    let mut records = products(WORLD, &SIDES[..4], &ROWS, 43);
    records.extend(attention(11e-6, 2.6e12, &[256, 1024, 4096, 16384], 0.03));
    h100(records)
}

pub fn call(folder: &Path, arguments: &str) -> (i32, String, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_rooflint"));
    command.current_dir(folder).env("NO_COLOR", "1").args(arguments.split_whitespace());
    let output = command.output().expect("runs");
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).expect("text");
    (output.status.code().unwrap_or(-1), text(&output.stdout), text(&output.stderr))
}

#[test]
fn fit_prints_constants_and_errors_and_writes_what_cost_reads() {
    let folder = tempfile::tempdir().unwrap();
    write(&run(), &folder.path().join("run.jsonl"));
    let (code, told, complaint) = call(folder.path(), "fit run.jsonl --out h100.json --evaluate");
    assert_eq!(code, 0, "{complaint}");
    for word in ["matmul bf16", "90 % interval", "throughput", "5 groups", "decode_attention bf16", "decode_step"] {
        assert!(told.contains(word), "{word}: {told}");
    }
    let before = fs::read(folder.path().join("h100.json")).unwrap();
    let (code, _, complaint) = call(folder.path(), "fit run.jsonl --out h100.json");
    assert_eq!(code, 2);
    assert!(complaint.contains("h100.json"), "{complaint}");
    assert_eq!(fs::read(folder.path().join("h100.json")).unwrap(), before, "nothing is overwritten");

    let serve = |gpu: &str| -> Value {
        let asked =
            format!("cost serve --model llama-3.1-8b --gpu {gpu} --batch 8 --context 2048 --price 2 --format json");
        let (code, told, complaint) = call(folder.path(), &asked);
        assert_eq!(code, 0, "{gpu}: {complaint}");
        serde_json::from_str(&told).unwrap()
    };
    let (sheet, file, fly) = (serve("h100_sxm"), serve("h100.json"), serve("run.jsonl"));
    assert_eq!(file["answer"], fly["answer"], "a run is fitted as its calibration was");
    let speed = |answer: &Value, end: &str| answer["answer"]["served"]["user_tok_s"][end].as_f64().unwrap();
    assert!(speed(&file, "low") < speed(&file, "value") && speed(&file, "value") < speed(&file, "high"));
    assert!(speed(&file, "value") < 0.9 * speed(&sheet, "value"), "no program reaches a datasheet");
    // By hand: 32 layers of 4 products and an attention, all weights read, 2 GiB of cache.
    let by_hand = 32.0 * (4.0 * 4e-6 + 11e-6) + 16.06e9 / 2.8e12 + 2.147e9 / 2.6e12;
    assert!((speed(&file, "value") * by_hand - 1.0).abs() < 0.05, "{} for {}", speed(&file, "value"), 1.0 / by_hand);
    assert!(file["answer"]["curve"].as_array().unwrap().iter().all(|point| {
        let cost = &point["usd_per_1000_tokens"];
        cost["low"].as_f64() < cost["value"].as_f64() && cost["value"].as_f64() < cost["high"].as_f64()
    }));
    assert!(
        file["sentence"].as_str().unwrap().contains("one user sees ")
            && !file["sentence"].as_str().unwrap().contains("at most")
    );
}

#[test]
fn a_batch_that_steps_are_slow_at_is_served_as_slowly() {
    let folder = tempfile::tempdir().unwrap();
    // Steps of 16 sequences and more than a thousand tokens take a quarter longer in every model.
    let records = steps(&[0.0; 4], 0.005, 3, |batch, context| if batch == 16 && context > 1000 { 1.25 } else { 1.0 });
    let calibration = fit(records);
    let law = &calibration.laws[0];
    let mut plain = calibration.clone();
    plain.laws[0].discrepancy = None;
    let speed = |name: &str, calibration: &Calibration, batch: u64, end: &str| -> f64 {
        let path = folder.path().join(name);
        fs::write(&path, serde_json::to_string(calibration).unwrap()).unwrap();
        let asked =
            format!("cost serve --model llama-3.1-8b --gpu {name} --batch {batch} --context 2048 --format json");
        let (code, told, complaint) = call(folder.path(), &asked);
        assert_eq!(code, 0, "{complaint}");
        let answer: Value = serde_json::from_str(&told).unwrap();
        answer["answer"]["served"]["user_tok_s"][end].as_f64().unwrap()
    };
    for batch in [1, 16] {
        let place = [(batch as f64).log2(), 11.0, 0.0];
        let longer = law.discrepancy.as_ref().expect("a discrepancy").at(place).exp();
        for end in ["low", "value", "high"] {
            let ratio = speed("plain.json", &plain, batch, end) / speed("field.json", &calibration, batch, end);
            assert!((ratio / longer - 1.0).abs() < 1e-9, "batch {batch}, {end}: {ratio} for {longer}");
        }
        assert!(batch == 1 || longer > 1.08, "{longer}");
    }
}

#[test]
fn questions_of_peaks_keep_to_the_datasheet() {
    let folder = tempfile::tempdir().unwrap();
    write(&run(), &folder.path().join("run.jsonl"));
    assert_eq!(call(folder.path(), "fit run.jsonl --out h100.json").0, 0);
    let train = |gpu: &str| {
        let asked =
            format!("cost train --model llama-3.1-8b --gpu {gpu} --tokens 1T --gpus 64 --price 2 --format json");
        let (code, told, complaint) = call(folder.path(), &asked);
        assert_eq!(code, 0, "{complaint}");
        serde_json::from_str::<Value>(&told).unwrap()["answer"].clone()
    };
    assert_eq!(train("h100_sxm"), train("h100.json"));
}

#[test]
fn a_reference_answers_with_intervals_and_a_datasheet_by_both_its_names() {
    let folder = tempfile::tempdir().unwrap();
    let answer = |gpu: &str, more: &str| -> Value {
        let asked = format!("cost serve --model llama-3.1-8b --batch 8 --price 2 --format json --gpu {gpu} {more}");
        let (code, told, complaint) = call(folder.path(), &asked);
        assert_eq!(code, 0, "{asked}: {complaint}");
        serde_json::from_str(&told).unwrap()
    };
    let sheet = answer("h100_sxm", "");
    assert_eq!(sheet["answer"], answer("datasheet:h100-sxm", "")["answer"]);
    assert!(sheet["notes"].to_string().contains("--gpu reference:h100_sxm"), "{}", sheet["notes"]);
    let speed = |told: &Value, end: &str| told["answer"]["served"]["user_tok_s"][end].as_f64().unwrap();
    for gpu in ["a100_sxm_80gb", "h100_sxm", "h200_sxm", "l40s"] {
        let (sheet, known) = (answer(gpu, ""), answer(&format!("reference:{gpu}"), ""));
        let [low, value, high] = ["low", "value", "high"].map(|end| speed(&known, end));
        assert!(low < value && value < high, "{gpu}: {low} {value} {high}");
        // No program reaches a datasheet, and one that is half as fast would not be used.
        let share = value / speed(&sheet, "value");
        assert!(share > 0.5 && share < 1.0, "{gpu}: {share}");
        assert!(known["notes"].to_string().contains("90 %"), "{}", known["notes"]);
    }
    // Two ranks all-reduce, which costs more than nothing and less than one rank's reading.
    let both = answer("reference:h100_sxm", "--tensor 2");
    let (one, two) = (speed(&answer("reference:h100_sxm", ""), "value"), speed(&both, "value"));
    assert!(two > one && two < 2.0 * one, "{one} {two}");
    assert!(both["notes"].to_string().contains("all-reduces among tensor ranks are those of all_reduce"));
}

#[test]
fn experts_are_reached_as_unevenly_as_the_calibration_tells() {
    let folder = tempfile::tempdir().unwrap();
    let read = |gpu: &str, routing: &str| -> Value {
        let asked = format!(
            "cost serve --model mixtral-8x7b --gpu {gpu} --tensor 4 --batch 4 --price 2 --format json --routing {routing}"
        );
        let (code, told, complaint) = call(folder.path(), &asked);
        assert_eq!(code, 0, "{asked}: {complaint}");
        serde_json::from_str(&told).unwrap()
    };
    let figure = |told: &Value| told["answer"]["served"]["parameters_read"]["value"].as_f64().unwrap();
    let time = |told: &Value| told["answer"]["served"]["stage_time_s"]["value"].as_f64().unwrap();
    for gpu in ["h100_sxm", "reference:h100_sxm"] {
        let [every, uniform, none, some] = ["every", "uniform", "0", "1.2"].map(|how| read(gpu, how));
        assert_eq!(figure(&uniform), figure(&none), "no skew is even");
        assert!(figure(&every) > figure(&uniform) && figure(&uniform) > figure(&some));
        assert!(time(&every) > time(&uniform) && time(&uniform) > time(&some));
    }
    let fitted = read("reference:h100_sxm", "fitted");
    let skew = fitted["inputs"]["routing"]["skewed"]["skew"].as_f64().unwrap();
    let calibration = rooflint::reference::calibration("h100_sxm").unwrap().unwrap();
    let known = calibration.law("moe", "bf16, power_law_1.01").unwrap().value("skew").unwrap();
    assert_eq!(skew, known);
    let uniform = read("reference:h100_sxm", "uniform");
    assert!(figure(&fitted) < figure(&uniform) && time(&fitted) < time(&uniform));
    assert!(fitted["notes"].to_string().contains("tokens choose experts as in moe bf16"), "{}", fitted["notes"]);
}

#[test]
fn what_cannot_be_fitted_is_refused_and_leaves_no_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    write(&run(), &path("good.jsonl"));
    write(&h100(Vec::new()), &path("empty.jsonl"));
    let mut emulated = run();
    emulated.header.devices[0].kind = DeviceKind::Emulated;
    write(&emulated, &path("emulated.jsonl"));
    let mut other = run();
    other.header.devices[0].name = "NVIDIA H200".to_owned();
    write(&other, &path("other.jsonl"));
    let mut poor = run();
    poor.records.truncate(8);
    write(&poor, &path("poor.jsonl"));
    fs::write(path("broken.json"), "{}").unwrap();
    fs::write(path("newer.json"), r#"{"calibration": 99}"#).unwrap();
    for (arguments, said) in [
        ("fit absent.jsonl --out c.json", "cannot read"),
        ("fit broken.json --out c.json", "not a run file"),
        ("fit empty.jsonl --out c.json", "no measured case"),
        ("fit emulated.jsonl --out c.json", "--allow-emulated"),
        ("fit good.jsonl other.jsonl --out c.json", "--together"),
        ("fit poor.jsonl --out c.json", "three or more sizes"),
        ("fit --out c.json", "RUN"),
        ("cost serve --model llama-3.1-8b --gpu broken.json", "no calibration"),
        ("cost serve --model llama-3.1-8b --gpu newer.json", "newer than"),
        ("cost serve --model llama-3.1-8b --gpu absent.json", "cannot read"),
        ("cost serve --model llama-3.1-8b --gpu reference", "reference:a100_sxm_80gb, reference:h100_sxm"),
        ("cost serve --model llama-3.1-8b --gpu reference:a100_sxm_40gb", "no reference is of the A100"),
        ("cost serve --model llama-3.1-8b --gpu reference:h300", "h300"),
        ("cost serve --model llama-3.1-8b --gpu h100_sxm --routing fitted", "name one with --gpu"),
        ("cost serve --model llama-3.1-8b --gpu good.jsonl --routing fitted", "tells no skew"),
        ("cost serve --model llama-3.1-8b --gpu good.jsonl --routing -1", "routing"),
        ("cost serve --model llama-3.1-8b --gpu good.jsonl --routing NaN", "exponent from 0 to 5"),
        ("cost serve --model llama-3.1-8b --gpu good.jsonl --weights fp8", "has no matmul in fp8_e4m3"),
    ] {
        let (code, _, complaint) = call(folder.path(), arguments);
        assert_eq!(code, 2, "{arguments}: {complaint}");
        assert!(complaint.contains(said), "{arguments}: {complaint}");
        assert!(!path("c.json").exists(), "{arguments} wrote something");
    }
    let (code, told, _) = call(folder.path(), "fit emulated.jsonl --out c.json --allow-emulated");
    assert_eq!(code, 0);
    assert!(told.contains("NOT HARDWARE"), "{told}");
}
