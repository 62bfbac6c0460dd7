//! Others' results: what becomes of rows, which work they declare, what physics forbids, and bad input.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Output;

use rooflint::import::lint::{Lint, Reason};
use rooflint::import::operations::{self, NoWork};
use rooflint::import::{Import, ImportError, Stamp, google_benchmark};
use rooflint::import::{SOURCES, csv, device_named, llama_bench, nvbandwidth, nvbench};
use rooflint::record::{AxisValue, Case, Outcome, Precision, Provenance, Quantity, Record, Run, ToolInfo};
use rooflint::store;

fn data(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/import").join(name)
}

fn rooflint(arguments: &[&str], folder: &Path) -> Output {
    let mut command = assert_cmd::Command::cargo_bin("rooflint").unwrap();
    command.args(arguments).current_dir(folder).env("SOURCE_DATE_EPOCH", "1788220800").output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

/// Imports a selection of the fixtures' tables; the run and what was printed.
fn imported(arguments: &[&str]) -> (Run, String) {
    let folder = tempfile::tempdir().unwrap();
    let path = data("systems");
    let mut all = vec!["import", "aiconfigurator", path.to_str().unwrap(), "--out", "run.jsonl"];
    all.extend(arguments);
    let output = rooflint(&all, folder.path());
    assert!(output.status.success(), "{}", text(&output.stderr));
    let loaded = store::load(&folder.path().join("run.jsonl")).unwrap();
    assert_eq!(loaded.warnings, Vec::<String>::new());
    (loaded.run, text(&output.stdout))
}

fn find<'a>(run: &'a Run, key: &str) -> &'a Record {
    let keys = || run.records.iter().map(|record| record.case.key()).collect::<Vec<_>>().join("\n");
    run.records.iter().find(|record| record.case.key() == key).unwrap_or_else(|| panic!("no {key} in\n{}", keys()))
}

fn times(record: &Record) -> Vec<f64> {
    let samples = &record.outcome.measurement().unwrap().samples;
    samples.iter().map(|sample| sample.elapsed_s.get()).collect()
}

#[test]
fn a_row_is_a_case_with_its_time_work_and_source() {
    let (run, told) = imported(&["--system", "h100_sxm", "--framework", "vllm"]);
    assert!(told.contains("6 rows") && told.contains("6  measured"), "{told}");
    let header = &run.header;
    let Provenance::Imported { source, .. } = &header.provenance else { panic!("{:?}", header.provenance) };
    let framework = header.framework.as_ref().unwrap();
    assert_eq!(
        (source.as_str(), framework.name.as_str(), framework.version.as_str()),
        ("aiconfigurator-core", "vllm", "0.24.0")
    );
    assert_eq!((header.planned, header.devices[0].name.as_str()), (6, "NVIDIA H100 80GB HBM3"));
    assert_eq!(header.started_at, "2026-09-01T00:00:00Z");

    // 8192 x 8192 weights of two bytes, a row in and a row out; the table has 0.0486 ms or so.
    let kernel = "kernel_source=torch.nn.functional.linear";
    let record = find(&run, &format!("matmul k=8192 {kernel} m=1 n=8192 precision=bf16"));
    let weights = 8192 * 8192 * 2;
    assert_eq!((record.work.bytes_read_b.0, record.work.bytes_written_b.0), (weights + 16384, 16384));
    assert_eq!(record.work.flop[&Precision::Bf16].0, 2 * 8192 * 8192);
    let rate = record.work.bytes().0 as f64 / times(record)[0];
    assert!(rate > 2e12 && rate < 3.35e12, "{rate}");
    // In blocks of FP8 half the weights, the same operations.
    let blocks = run.records.iter().find(|record| record.case.word("weights") == Some("fp8_e4m3_block")).unwrap();
    assert_eq!(blocks.case.word("precision"), Some("fp8_e4m3"));
    assert_eq!(blocks.work.precision(), Some(Precision::Fp8E4m3));
}

#[test]
fn each_kind_of_table_keeps_to_its_axes() {
    let (run, _) = imported(&["--system", "a100_sxm", "--framework", "trtllm"]);
    let axes = |benchmark: &str, extra: &[&str]| {
        let record = run.records.iter().find(|record| {
            record.case.benchmark == benchmark && extra.iter().all(|word| record.case.key().contains(word))
        });
        record.unwrap().case.axes.keys().cloned().collect::<Vec<_>>().join(" ")
    };
    assert_eq!(
        axes("attention", &["phase=decode"]),
        "batch context head_dim heads kv_heads kv_precision phase precision"
    );
    assert_eq!(axes("moe", &[]), "expert_parallel experts hidden intermediate precision routing tensor tokens top_k");
    assert_eq!(axes("collective", &[]), "gpus library operation precision size");
    assert_eq!(axes("matmul", &["weights=i4"]), "k kernel_source m n precision weights");
    assert!(run.records.iter().any(|record| record.case.word("weights") == Some("i8")));
    // SmoothQuant computes in 8 bits: nothing is stored otherwise.
    let smooth = run.records.iter().find(|record| record.case.word("precision") == Some("i8")).unwrap();
    assert_eq!(smooth.case.word("weights"), None);
    // Every case declares the work its axes give.
    for record in &run.records {
        assert_eq!(operations::work(&record.case).unwrap(), record.work, "{}", record.case.key());
    }
}

#[test]
fn experts_without_a_gate_have_two_matrices() {
    let (run, _) = imported(&["--system", "h200_sxm", "--framework", "vllm"]);
    let of = |hidden: u64| run.records.iter().filter(move |record| record.case.count("hidden") == Some(hidden));
    for (hidden, matrices) in [(2688, Some(2)), (1024, Some(2)), (4096, None)] {
        assert_eq!(of(hidden).count(), 2, "hidden {hidden}");
        assert!(of(hidden).all(|record| record.case.count("matrices") == matrices), "hidden {hidden}");
    }
    // With a third matrix 64 tokens through those of Nemotron 3 Nano would be 1.3 times as fast as memory.
    let record = of(2688).max_by_key(|record| record.case.count("tokens")).unwrap();
    let rate = record.work.bytes().0 as f64 / times(record)[0];
    assert!((4.0e12..4.2e12).contains(&rate), "{rate}");
    // Earlier tables of vLLM gave the same layer a gate.
    let (run, _) = imported(&["--system", "a100_sxm", "--framework", "vllm"]);
    let gated = run.records.iter().filter(|record| record.case.count("hidden") == Some(2688)).collect::<Vec<_>>();
    assert!(gated.len() == 1 && gated[0].case.count("matrices").is_none(), "{gated:?}");
}

#[test]
fn messages_are_counted_in_bytes_and_collectives_stand_alone() {
    let (run, _) = imported(&["--system", "a100_sxm", "--framework", "nccl"]);
    let sizes: Vec<u64> = run.records.iter().filter_map(|record| record.case.count("size")).collect();
    // The table counts elements: 16-bit ones are two bytes each.
    let half = run.records.iter().filter(|record| record.case.word("precision") == Some("f16"));
    assert!(half.clone().all(|record| record.case.count("size").unwrap() % 2 == 0) && half.count() > 0);
    assert_eq!(sizes.len(), run.records.len());
    let record = run.records.iter().find(|record| record.case.word("precision") == Some("f16")).unwrap();
    let size = record.case.count("size").unwrap();
    assert_eq!(record.work.bytes_read_b.0, size * 14 / 8, "{}", record.case.key());
    assert_eq!(record.quantity, Quantity::Duration);
}

#[test]
fn rows_that_repeat_a_case_are_its_samples() {
    let (run, told) = imported(&["--system", "a100_sxm", "--framework", "vllm"]);
    assert!(run.records.iter().any(|record| times(record).len() == 2), "{told}");
    let samples: usize = run.records.iter().map(|record| times(record).len()).sum();
    assert_eq!(samples, 9);
    assert!(told.contains("9 rows (") && told.contains("are its further samples"), "{told}");
}

#[test]
fn a_table_taken_over_from_another_framework_says_so() {
    let (run, _) = imported(&["--system", "h100_sxm", "--framework", "sglang"]);
    for record in &run.records {
        let measurement = record.outcome.measurement().unwrap();
        assert_eq!(measurement.conditions["measured_with"], "TRTLLM 1.2.0rc5");
    }
}

#[test]
fn a_label_that_physics_forbids_is_quarantined_with_all_that_bear_it() {
    let (run, told) = imported(&["--system", "a100_sxm", "--framework", "trtllm"]);
    let decode: Vec<&Record> =
        run.records.iter().filter(|record| record.case.word("phase") == Some("decode")).collect();
    assert!(decode.len() > 20);
    for record in &decode {
        assert_eq!(Reason::of(record), Some(Reason::Mislabelled), "{}", record.case.key());
    }
    // Its time is kept in words, and the command tells of it.
    let Outcome::Failed(why) = &decode[0].outcome else { panic!() };
    assert!(why.starts_with("quarantined (mislabelled): ") && why.contains("its time is"), "{why}");
    assert!(told.contains(&format!("{}  quarantined, mislabelled", decode.len())), "{told}");
    // The others are not.
    let others = run.records.iter().filter(|record| record.case.word("phase") != Some("decode"));
    assert!(others.clone().count() > 20 && others.clone().all(|record| Reason::of(record).is_none()));
}

/// A record of a product on an H100 that takes so long.
fn product(m: u64, n: u64, precision: &str, time_s: f64) -> Record {
    let words = [("precision", AxisValue::from(precision))];
    let counts = [("m", m), ("n", n), ("k", 8192)].map(|(axis, count)| (axis, AxisValue::Count(count)));
    let case = Case::new("matmul", words.into_iter().chain(counts), 0);
    judged_record(case, time_s)
}

fn judged_record(case: Case, time_s: f64) -> Record {
    let work = operations::work(&case).unwrap();
    let quantity = operations::quantity(&case.benchmark).unwrap();
    let measurement = crate::sample_run::measurement([time_s], 1);
    let outcome = Outcome::Measured(Box::new(measurement));
    crate::sample_run::record(case, quantity, work, outcome)
}

fn reason(record: Record) -> Option<Reason> {
    let sheet = rooflint::hardware::find("h100_sxm").unwrap();
    let lint = Lint::new(&[device_named("NVIDIA H100 80GB HBM3", Some(&sheet))]);
    Reason::of(&lint.judge(record))
}

#[test]
fn each_limit_is_where_the_datasheet_puts_it() {
    let flop = 2.0 * 8192_f64.powi(3);
    // At 1980 MHz 132 x 4096 operations a cycle: 1070.5 TFLOP/s.
    assert_eq!(reason(product(8192, 8192, "bf16", flop / 1.07e15)), None);
    // FP8 reaches it, so the label is wrong; nothing reaches 3 PFLOP/s.
    assert_eq!(reason(product(8192, 8192, "bf16", flop / 1.08e15)), Some(Reason::Mislabelled));
    assert_eq!(reason(product(8192, 8192, "bf16", flop / 3.0e15)), Some(Reason::AbovePeak));
    assert_eq!(reason(product(8192, 8192, "fp8_e4m3", flop / 1.08e15)), None);

    let bytes = 65536.0 * 8192.0 * 2.0;
    assert_eq!(reason(product(1, 65536, "bf16", bytes / 3.3e12)), None);
    assert_eq!(reason(product(1, 65536, "bf16", bytes / 3.2e12)), None);
    assert_eq!(reason(product(1, 65536, "bf16", bytes / 3.4e12)), Some(Reason::AboveBandwidth));
    // 16 MiB fit into the cache of 50 MiB: fast is possible there, but it is no figure of memory.
    let small = 1024.0 * 8192.0 * 2.0;
    assert_eq!(reason(product(1, 1024, "bf16", small / 3.4e12)), Some(Reason::InCache));
    assert_eq!(reason(product(1, 1024, "bf16", small / 2.0e12)), None);
    // A figure of memory from inside the cache is none, however slow.
    let read = |size: u64, rate: f64| {
        let case = Case::new("memory", [("kernel", "read".into()), ("size", size.into())], 0);
        judged_record(case, size as f64 / rate)
    };
    assert_eq!(reason(read(32 << 20, 1e12)), Some(Reason::InCache));
    assert_eq!(reason(read(1 << 30, 3e12)), None);
    // 450 GB/s each way: 7/8 of a message must leave each of eight GPUs.
    let gather = |rate: f64| {
        let axes = [("operation", "all_gather".into()), ("gpus", 8.into()), ("size", (1_u64 << 30).into())];
        judged_record(Case::new("collective", axes, 0), (1_u64 << 30) as f64 * 7.0 / 8.0 / rate)
    };
    assert_eq!(reason(gather(4.4e11)), None);
    assert_eq!(reason(gather(4.6e11)), Some(Reason::AboveBandwidth));
}

#[test]
fn work_follows_the_formulas() {
    let case = |benchmark: &str, words: &[(&'static str, &str)], counts: &[(&'static str, u64)]| {
        let words = words.iter().map(|(axis, word)| (*axis, AxisValue::from(*word)));
        let counts = counts.iter().map(|(axis, count)| (*axis, AxisValue::Count(*count)));
        Case::new(benchmark, words.chain(counts), 0)
    };
    let bf16 = [("precision", "bf16"), ("kv_precision", "fp8_e4m3")];
    let shape = [("batch", 3), ("heads", 32), ("kv_heads", 8), ("head_dim", 128), ("context", 1000)];
    let decode = case("attention", &[&bf16[..], &[("phase", "decode")]].concat(), &shape);
    let work = operations::work(&decode).unwrap();
    assert_eq!(work.bytes_read_b.0, 3 * 32 * 128 * 2 + 2 * 3 * 1000 * 8 * 128);
    assert_eq!((work.bytes_written_b.0, work.operations().0), (3 * 32 * 128 * 2, 4 * 3 * 32 * 128 * 1000));
    // A window of 100 keeps the last 100 only.
    let mut windowed = decode.clone();
    windowed.axes.insert("window".to_owned(), 100.into());
    assert_eq!(operations::work(&windowed).unwrap().operations().0, 4 * 3 * 32 * 128 * 100);
    // In the context phase each token meets itself and all before: n (n + 1) / 2 pairs.
    let prompt = case("attention", &[&bf16[..], &[("phase", "context")]].concat(), &shape);
    assert_eq!(operations::work(&prompt).unwrap().operations().0, 4 * 3 * 32 * 128 * (1000 * 1001 / 2));
    let mut windowed = prompt;
    windowed.axes.insert("window".to_owned(), 10.into());
    assert_eq!(operations::work(&windowed).unwrap().operations().0, 4 * 3 * 32 * 128 * (55 + 990 * 10));

    let experts = |routing: &str, tokens: u64| {
        let counts = [
            ("tokens", tokens),
            ("hidden", 1024),
            ("intermediate", 2048),
            ("top_k", 2),
            ("experts", 8),
            ("tensor", 1),
            ("expert_parallel", 1),
        ];
        operations::work(&case("moe", &[("precision", "bf16"), ("routing", routing)], &counts)).unwrap()
    };
    let expert = 3 * 1024 * 2048 * 2;
    assert_eq!(experts("balanced", 2).bytes_read_b.0, 4 * expert + 2 * 1024 * 2);
    assert_eq!(experts("balanced", 100).bytes_read_b.0, 8 * expert + 100 * 1024 * 2);
    // Two tokens choosing 2 of 8 at random reach 8 (1 - (3/4)^2) = 3.5 on average.
    assert_eq!(experts("power_law_1.2", 2).bytes_read_b.0, expert * 7 / 2 + 2 * 1024 * 2);
    assert_eq!(experts("balanced", 2).operations().0, 2 * 2 * 2 * 3 * 1024 * 2048);

    // Of a layer on four GPUs each has a quarter of the weights and of the work, and all tokens.
    let counts = [("tokens", 100), ("hidden", 1024), ("intermediate", 2048), ("top_k", 2), ("experts", 8)];
    let counts = [&counts[..], &[("tensor", 2), ("expert_parallel", 2)]].concat();
    let quarter = operations::work(&case("moe", &[("precision", "bf16"), ("routing", "balanced")], &counts)).unwrap();
    assert_eq!(quarter.bytes_read_b.0, 8 * expert / 4 + 100 * 1024 * 2);
    assert_eq!(4 * quarter.operations().0, experts("balanced", 100).operations().0);
    // Products of 8-bit numbers are written in 16 bits.
    let narrow = case("matmul", &[("precision", "fp8_e4m3")], &[("m", 3), ("n", 5), ("k", 7)]);
    assert_eq!(operations::work(&narrow).unwrap().bytes_written_b.0, 3 * 5 * 2);

    let nothing = operations::work(&case("matmul", &[("precision", "nvfp4")], &[("m", 1), ("n", 1), ("k", 1)]));
    assert_eq!(nothing, Err(NoWork::Precision("nvfp4".to_owned())));
    // A table's largest numbers overflow nothing.
    let absurd = [("m", u64::MAX), ("n", u64::MAX), ("k", u64::MAX)];
    assert_eq!(operations::work(&case("matmul", &[("precision", "bf16")], &absurd)).unwrap().operations().0, u64::MAX);
}

#[test]
fn a_wheel_gives_what_its_folder_gives_and_its_version_and_licence() {
    let folder = tempfile::tempdir().unwrap();
    let wheel = folder.path().join("aiconfigurator_core-0.12.0-any.whl");
    let mut zip = zip::ZipWriter::new(std::fs::File::create(&wheel).unwrap());
    let options = zip::write::SimpleFileOptions::default();
    let mut add = |name: &str, bytes: &[u8]| {
        zip.start_file(name, options).unwrap();
        zip.write_all(bytes).unwrap();
    };
    let table = "systems/data/h100_sxm/gemm/vllm/0.24.0/gemm_perf.parquet";
    add(&format!("aiconfigurator_core/{table}"), &std::fs::read(data(table)).unwrap());
    let metadata = b"Metadata-Version: 2.4\nName: aiconfigurator-core\nVersion: 0.12.0\nLicense-Expression: Apache-2.0\n\nVersion: not this";
    add("aiconfigurator_core-0.12.0.dist-info/METADATA", metadata);
    zip.finish().unwrap();

    let arguments = ["import", "aiconfigurator", wheel.to_str().unwrap(), "--system", "h100_sxm"];
    let output = rooflint(&arguments, folder.path());
    assert!(output.status.success(), "{}", text(&output.stderr));
    let run = store::load(&folder.path().join("h100_sxm-vllm-0.24.0.jsonl")).unwrap().run;
    let Provenance::Imported { version, licence, .. } = &run.header.provenance else { panic!() };
    assert_eq!((version.as_str(), licence.as_str()), ("0.12.0", "Apache-2.0"));
    let (other, _) = imported(&["--system", "h100_sxm", "--framework", "vllm"]);
    assert_eq!(run.records, other.records);
    // A second time nothing is overwritten.
    let again = rooflint(&arguments, folder.path());
    assert_eq!(again.status.code(), Some(2));
    assert!(text(&again.stderr).contains("no run file is overwritten"), "{}", text(&again.stderr));
}

/// What a refused import says; it must leave nothing behind.
fn refused(arguments: &[&str]) -> String {
    let folder = tempfile::tempdir().unwrap();
    let output = rooflint(arguments, folder.path());
    let told = text(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{arguments:?}: {told}");
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0, "{arguments:?} left something behind");
    told
}

#[test]
fn bad_tables_are_refused_by_name_with_the_way_out() {
    let broken = |name: &str| {
        let path = data("broken").join(name);
        refused(&["import", "aiconfigurator", path.to_str().unwrap(), "--system", "h100_sxm"])
    };
    for (name, told) in [
        ("missing_column", "no column 'n'; it has: framework, version"),
        ("wrong_type", "column 'm': it holds text, where whole numbers are expected"),
        ("empty", "gemm_perf.parquet holds nothing to import: the table has no rows"),
        ("negative_count", "column 'm', row 1: -1024 is negative"),
        ("empty_cell", "column 'n': 1 of its cells are empty"),
        ("no_good_latency", "none of its 6 rows has a latency above zero"),
    ] {
        let found = broken(name);
        assert!(found.contains(told), "{name}: {found}");
    }
}

#[test]
fn what_is_not_there_is_answered_with_what_is() {
    let systems = data("systems");
    let systems = systems.to_str().unwrap();
    let ask = |arguments: &[&str]| refused(&[&["import", "aiconfigurator", systems][..], arguments].concat());
    assert!(ask(&["--system", "h800"]).contains("no system 'h800'; it has: a100_sxm, h100_sxm"));
    let told = ask(&["--system", "h100_sxm", "--framework", "trtllm"]);
    assert!(told.contains("no framework 'trtllm'; it has: sglang, vllm"), "{told}");
    let told = ask(&["--system", "h100_sxm", "--framework", "vllm", "--version", "9"]);
    assert!(told.contains("no version '9'; it has: 0.24.0"), "{told}");
    // Several frameworks into one file.
    let told = ask(&["--system", "a100_sxm", "--out", "one.jsonl"]);
    assert!(told.contains("choose one with --framework"), "{told}");

    let junk = data("README.md");
    let told = refused(&["import", "aiconfigurator", junk.to_str().unwrap(), "--system", "h100_sxm"]);
    assert!(told.contains("is not a wheel"), "{told}");
    let told = refused(&["import", "aiconfigurator", "nowhere.whl", "--system", "h100_sxm"]);
    assert!(told.contains("cannot read nowhere.whl"), "{told}");
    let empty = tempfile::tempdir().unwrap();
    let told = refused(&["import", "aiconfigurator", empty.path().to_str().unwrap(), "--system", "h100_sxm"]);
    assert!(told.contains("holds nothing to import: no table lies at"), "{told}");
}

#[test]
fn a_row_without_a_time_is_quarantined_and_the_rest_goes_in() {
    let folder = tempfile::tempdir().unwrap();
    let path = data("broken/some_bad_latencies");
    let output = rooflint(&["import", "aiconfigurator", path.to_str().unwrap(), "--system", "h100_sxm"], folder.path());
    assert!(text(&output.stdout).contains("4  quarantined, no_time"), "{}", text(&output.stdout));
    let run = store::load(&folder.path().join("h100_sxm-vllm-0.24.0.jsonl")).unwrap().run;
    let counted = run.records.iter().filter(|record| record.outcome.measurement().is_some()).count();
    assert_eq!((run.records.len(), counted), (6, 2));
}

fn stamp() -> Stamp {
    let tool = ToolInfo { version: "test".to_owned(), optimised: false, target: "test".to_owned() };
    Stamp { at: "2026-09-01T00:00:00Z".to_owned(), tool }
}

fn records(import: Result<Import, ImportError>) -> Vec<Record> {
    import.unwrap().records().collect()
}

#[test]
fn google_benchmark_gives_repetitions_and_no_name_of_the_host() {
    let bytes = std::fs::read(data("google_benchmark.json")).unwrap();
    let import = google_benchmark::read(&bytes, "google_benchmark.json", &stamp()).unwrap();
    assert!(!serde_json::to_string(&import.header).unwrap().contains("secret"));
    let records = records(Ok(import));
    assert_eq!(times(&records[0]), [100e-6, 102e-6]);
    // The rate is over the processor's time.
    assert_eq!((records[0].work.bytes().0, records[0].quantity), (1_960_000, Quantity::Bandwidth));
    assert_eq!((times(&records[1]), records[1].quantity), (vec![5e-3], Quantity::Duration));
    assert_eq!(records[2].outcome, Outcome::Failed("its own error: no file".to_owned()));
    assert_eq!(records.len(), 3);
}

#[test]
fn nvbench_states_are_cases_and_its_cache_figures_are_caught() {
    let folder = tempfile::tempdir().unwrap();
    let output = rooflint(&["import", "nvbench", data("nvbench.json").to_str().unwrap()], folder.path());
    assert!(output.status.success(), "{}", text(&output.stderr));
    let run = store::load(&folder.path().join("nvbench-imported.jsonl")).unwrap().run;
    let record = find(&run, "nvbench Elements=268435456 T=F32 name=copy");
    assert_eq!((times(record), record.work.bytes().0), (vec![0.000725], 2_147_450_000));
    assert_eq!(Reason::of(find(&run, "nvbench Elements=1048576 T=F32 name=copy")), Some(Reason::InCache));
    let skipped = find(&run, "nvbench Elements=1099511627776 name=copy");
    assert_eq!(skipped.outcome, Outcome::Skipped("out of memory".to_owned()));
    let bytes = std::fs::read(data("nvbench.json")).unwrap();
    assert_eq!(records(nvbench::read(&bytes, "nvbench.json", &stamp())).len(), 3);
}

#[test]
fn nvbandwidth_cells_are_cases_at_the_rate_it_tells() {
    let bytes = std::fs::read(data("nvbandwidth.json")).unwrap();
    let import = nvbandwidth::read(&bytes, "nvbandwidth.json", &stamp()).unwrap();
    assert_eq!(import.header.devices[0].name, "NVIDIA H100 80GB HBM3");
    assert!(!serde_json::to_string(&import.header).unwrap().contains("0a:00"));
    let records = records(Ok(import));
    let rate = |record: &Record| record.work.bytes().0 as f64 / times(record)[0];
    assert!((rate(&records[0]) / 55.63e9 - 1.0).abs() < 1e-12);
    // Two numbers of the four cells, and one test that did not run.
    assert_eq!(records.len(), 4);
    assert_eq!(records[3].outcome, Outcome::Skipped("Waived".to_owned()));
}

#[test]
fn llama_bench_generation_reads_the_weights_and_names_no_folder() {
    let bytes = std::fs::read(data("llama_bench.json")).unwrap();
    let import = llama_bench::read(&bytes, "llama_bench.json", &stamp()).unwrap();
    let all: Vec<String> = import.records().map(|record| serde_json::to_string(&record).unwrap()).collect();
    assert!(!all.join("").contains("someone") && !serde_json::to_string(&import.header).unwrap().contains("someone"));
    let records = records(Ok(import));
    assert_eq!((records[0].quantity, times(&records[0]).len()), (Quantity::Duration, 2));
    assert_eq!(records[1].work.bytes_read_b.0, 13_476_823_040 * 128);
    assert_eq!(times(&records[1]), [0.7, 0.701, 0.699]);
    // Lines of JSON are read as well.
    let array: serde_json::Value = serde_json::from_slice(&bytes).unwrap();
    let lines: Vec<String> = array.as_array().unwrap().iter().map(|test| test.to_string()).collect();
    let again = self::records(llama_bench::read(lines.join("\n").as_bytes(), "x.jsonl", &stamp()));
    assert_eq!(again, records);
}

#[test]
fn a_table_of_ones_own_is_read_by_its_map() {
    let folder = tempfile::tempdir().unwrap();
    let (table, map) = (data("table.csv"), data("table.toml"));
    let arguments = ["import", "csv", table.to_str().unwrap(), "--map", map.to_str().unwrap(), "--out", "mine.jsonl"];
    let output = rooflint(&arguments, folder.path());
    assert!(output.status.success(), "{}", text(&output.stderr));
    let run = store::load(&folder.path().join("mine.jsonl")).unwrap().run;
    assert_eq!(times(find(&run, "matmul k=8192 m=1024 n=8192 precision=bf16")), [190.7e-6, 191e-6]);
    assert_eq!(Reason::of(find(&run, "matmul k=8192 m=8192 n=8192 precision=bf16")), Some(Reason::AbovePeak));
    assert_eq!(Reason::of(find(&run, "matmul k=8192 m=64 n=8192 precision=bf16")), Some(Reason::NoTime));
    let Provenance::Imported { source, version, licence } = &run.header.provenance else { panic!() };
    assert_eq!([source, version, licence], ["a table of ours", "2026-09", "CC0-1.0"]);
}

#[test]
fn a_bad_map_or_table_is_refused() {
    let map = std::fs::read_to_string(data("table.toml")).unwrap();
    let table = std::fs::read(data("table.csv")).unwrap();
    let said = |table: &[u8], map: &str| csv::read(table, "t.csv", map, "m.toml", &stamp()).unwrap_err().to_string();
    let told = said(&table, map.split("[columns]").next().unwrap());
    assert!(told.starts_with("m.toml is not a map of a table: it names no column"), "{told}");
    for (from, to, told) in [
        ("m = \"M\"", "m = \"rows\"", "t.csv has no column 'rows'; it has: M, N, K, latency_us, comment"),
        ("\"latency_us\"", "\"time\"", "t.csv has no column 'time'"),
        ("\"us\"", "\"hours\"", "no unit of time 'hours'; it has: s, ms, us, ns"),
        ("\"matmul\"", "\"sort\"", "'sort'; it has: matmul, attention"),
        ("n = \"N\"", "n = \"comment\"", "t.csv, column '(the axes)', row 1: axis 'n' is missing, or is no number"),
        ("licence = \"CC0-1.0\"", "", "missing field `licence`"),
        ("benchmark", "bench", "unknown field `bench`"),
    ] {
        let found = said(&table, &map.replacen(from, to, 1));
        assert!(found.contains(told), "{from} -> {to}: {found}");
    }
    assert!(said(b"M,N,K,latency_us\n", &map).contains("the table has no rows"));
    assert!(said(b"M,N,K,latency_us\n1,2,3,fast\n", &map).contains("row 1: 'fast' is no number; a time in us"));
    assert!(said(b"M,N,K,latency_us\n1,2,3,nan\n", &map).contains("none of its 1 rows has a time above zero"));
    assert!(said(b"M,N,K,latency_us\n1,2\n", &map).contains("is not a table of comma-separated values"));
}

#[test]
fn junk_is_refused_by_every_format() {
    let junk = data("README.md");
    for source in SOURCES.iter().filter(|source| !["aiconfigurator", "csv"].contains(&source.id)) {
        let told = refused(&["import", source.id, junk.to_str().unwrap()]);
        assert!(told.contains("README.md is not JSON of") && told.contains("line 1"), "{}: {told}", source.id);
    }
    // Another tool's JSON is junk too.
    let told = refused(&["import", "nvbench", data("llama_bench.json").to_str().unwrap()]);
    assert!(told.contains("is not JSON of NVBench"), "{told}");
}
