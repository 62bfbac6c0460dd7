//! `rooflint cost`: what it answers is what first principles give, what it prints is what it answers, and what it
//! refuses it refuses by name.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use rooflint::{hardware, llm};
use serde_json::Value;

/// Runs `rooflint cost` with arguments separated by spaces; gives exit code, standard output, standard error.
fn call(folder: &Path, arguments: &str) -> (i32, String, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_rooflint"));
    command.current_dir(folder).env("NO_COLOR", "1").stdin(Stdio::null());
    let output = command.arg("cost").args(arguments.split_whitespace()).output().expect("runs");
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("text");
    (output.status.code().unwrap_or(-1), text(output.stdout), text(output.stderr))
}

/// An answer in both forms: its JSON, and its table.
struct Told {
    json: Value,
    table: String,
}

#[track_caller]
fn ask_in(folder: &Path, arguments: &str) -> Told {
    let (code, table, err) = call(folder, arguments);
    assert_eq!((code, err.as_str()), (0, ""), "'{arguments}'");
    let (code, json, _) = call(folder, &format!("{arguments} --format json"));
    assert_eq!(code, 0, "'{arguments}'");
    let json: Value = serde_json::from_str(&json).expect("JSON");
    assert_eq!(table.lines().next(), json["sentence"].as_str(), "the table begins with the sentence");
    Told { json, table }
}

#[track_caller]
fn ask(arguments: &str) -> Told {
    ask_in(Path::new("."), arguments)
}

/// What a table's number and unit stand for.
#[track_caller]
fn read(cell: &str) -> f64 {
    const UNITS: [(&str, f64); 20] = [
        ("", 1.0),
        ("tokens", 1.0),
        ("tokens/s", 1.0),
        ("FLOP", 1.0),
        ("USD", 1.0),
        ("million", 1e6),
        ("billion", 1e9),
        ("trillion", 1e12),
        ("million USD", 1e6),
        ("kB", 1e3),
        ("MB", 1e6),
        ("GB", 1e9),
        ("TB", 1e12),
        ("TFLOP/s", 1e12),
        ("PFLOP/s", 1e15),
        ("%", 0.01),
        ("ms", 1e-3),
        ("µs", 1e-6),
        ("days", 86_400.0),
        ("trillion tokens", 1e12),
    ];
    let (number, unit) = cell.split_once(' ').unwrap_or((cell, ""));
    let scale = UNITS.iter().find(|(name, _)| *name == unit).unwrap_or_else(|| panic!("unit of '{cell}'")).1;
    number.parse::<f64>().unwrap_or_else(|_| panic!("number of '{cell}'")) * scale
}

impl Told {
    /// The value of a row of a group of the table.
    #[track_caller]
    fn cell(&self, group: &str, name: &str) -> &str {
        let mut lines = self.table.lines().skip_while(|line| line.trim() != group).skip(1);
        let row = lines.find_map(|line| line.trim().strip_prefix(name)?.strip_prefix("  "));
        let row = row.unwrap_or_else(|| panic!("no '{name}' under '{group}' in\n{}", self.table));
        row.trim_start().split("  ").next().expect("a cell")
    }

    #[track_caller]
    fn value(&self, key: &str) -> f64 {
        let pointer = format!("/answer/{}/value", key.replace('.', "/"));
        self.json.pointer(&pointer).and_then(Value::as_f64).unwrap_or_else(|| panic!("no {key} in {:#}", self.json))
    }

    /// A figure is what the test works out, in the JSON exactly and in the table to its four digits.
    #[track_caller]
    fn is(&self, key: &str, (group, name): (&str, &str), worked_out: f64) {
        let value = self.value(key);
        assert!((value / worked_out - 1.0).abs() < 1e-12, "{key}: {value} is not {worked_out}");
        let cell = read(self.cell(group, name));
        assert!((cell / worked_out - 1.0).abs() < 5.1e-4, "{name}: '{}' is not {worked_out}", self.cell(group, name));
    }
}

/// Parameters of the models asked about, from their published shapes.
const LLAMA_65B: f64 = 65_285_660_672.0;
const LLAMA_70B: f64 = 70_553_706_496.0;

fn gpt_3() -> f64 {
    let d = 12_288.0;
    (50_257.0 + 2048.0) * d + 96.0 * (12.0 * d * d + 13.0 * d) + 2.0 * d
}

/// Shared parameters, and those of one expert of every layer.
fn mixtral() -> (f64, f64) {
    let d = 4096.0;
    let attention = d * (d + 2.0 * 1024.0) + d * d;
    let shared = 2.0 * 32_000.0 * d + 32.0 * (attention + 2.0 * d + 8.0 * d) + d;
    (shared, 32.0 * 3.0 * d * 14_336.0)
}

fn gpt_4() -> (f64, f64) {
    let d = 10_752.0;
    (120.0 * (4.0 * d * d + 2.0 * d + 16.0 * d) + d, 120.0 * 8.0 * d * d)
}

#[test]
fn the_first_try_answers() {
    let told = ask("serve --model llama-3.1-70b --gpu h100_sxm --tensor 4");
    let sentence = told.table.lines().next().unwrap();
    assert!(sentence.starts_with("Serving Llama 3.1 70B in f16 on 4 H100 SXM 80 GB costs at least 0.0"), "{sentence}");
    assert!(sentence.contains("of 2048 tokens each, bound by memory bandwidth"), "{sentence}");
    assert!(told.table.contains("upper bounds that no program reaches"), "{}", told.table);
    assert!(!told.table.contains('\u{1b}'), "colours in a pipe");
}

#[test]
fn serving() {
    let told = ask("serve --model llama-3.1-70b --gpu h100-sxm --tensor 4 --batch 64 --context 2048 --price 2.5");
    // 80 layers, 8 KV heads over 4 ranks, of 128, in 2 bytes.
    let (weights, token) = (LLAMA_70B * 2.0 / 4.0, 2.0 * 80.0 * 2.0 * 128.0 * 2.0);
    // Every rank keeps the norms whole: two of each layer and the last.
    let norms = (2.0 * 80.0 + 1.0) * 8192.0;
    let held = weights + norms * 2.0 * (1.0 - 1.0 / 4.0);
    let bytes = weights + 64.0 * 2048.0 * token;
    let flop = (2.0 * LLAMA_70B + 4.0 * 80.0 * 8192.0 * 2048.0) * 64.0 / 4.0;
    let time = f64::max(bytes / 3.35e12, flop / 989.4e12);
    assert_eq!(told.json["answer"]["served"]["bound"], "memory");
    told.is("parameters", ("what is served", "parameters"), LLAMA_70B);
    told.is("room.weights_b", ("memory of one GPU", "weights"), held);
    told.is("room.free_b", ("memory of one GPU", "left for the KV cache"), 80e9 - held);
    told.is("room.kv_token_b", ("memory of one GPU", "KV cache of one token"), token);
    told.is("batch_full", ("memory of one GPU", "sequences that fit"), (80e9 - held) / token / 2048.0);
    told.is("served.token_latency_s", ("speed", "time between tokens"), time);
    told.is("served.user_tok_s", ("speed", "one user"), 1.0 / time);
    told.is("served.throughput_tok_s", ("speed", "all users"), 64.0 / time);
    told.is("served.utilisation", ("speed", "utilisation"), 2.0 * LLAMA_70B * 64.0 / time / (4.0 * 989.4e12));
    let cost = 4.0 * 2.5 / (3600.0 * 64.0 / time) * 1000.0;
    told.is("usd_per_1000_tokens", ("cost", "1000 tokens"), cost);
    assert!((read(told.cell("cost", "1 million tokens")) / (1000.0 * cost) - 1.0).abs() < 0.005);
}

#[test]
fn the_curve_ends_where_memory_is_full() {
    let told = ask("serve --model llama-3.1-70b --gpu h100_sxm --tensor 4");
    let curve = told.json["answer"]["curve"].as_array().unwrap();
    let lines: Vec<Vec<f64>> = told
        .table
        .lines()
        .skip_while(|line| !line.contains("Tokens/s of all"))
        .skip(2)
        .take_while(|line| !line.is_empty())
        .map(|line| line.split_whitespace().map(read).collect())
        .collect();
    assert_eq!(lines.len(), curve.len());
    assert!(lines.len() > 8, "{}", told.table);
    for (line, point) in lines.iter().zip(curve) {
        for (cell, key) in line.iter().zip(["batch", "usd_per_1000_tokens", "user_tok_s", "throughput_tok_s"]) {
            let value = point[key]["value"].as_f64().unwrap();
            assert!((cell / value - 1.0).abs() < 5.1e-4, "{key}: {cell} is not {value}");
        }
    }
    let last = curve.last().unwrap();
    assert_eq!(last["batch"], told.json["answer"]["batch_full"]);
    assert_eq!(last["usd_per_1000_tokens"], told.json["answer"]["usd_per_1000_tokens"]);
}

#[test]
fn a_mixture_reads_the_experts_its_tokens_reach() {
    let asked = "serve --model Mixtral-8x7B --gpu a100_sxm_80gb --tensor 2 --price 1 --batch";
    let (shared, each) = mixtral();
    let told = ask(&format!("{asked} 1"));
    told.is("parameters", ("what is served", "parameters"), shared + 8.0 * each);
    told.is("parameters_active", ("what is served", "active per token"), shared + 2.0 * each);
    told.is("served.parameters_read", ("speed", "parameters read"), shared + 2.0 * each);
    let reached = 8.0 * (1.0 - 0.75_f64.powi(16));
    let told = ask(&format!("{asked} 16"));
    told.is("served.parameters_read", ("speed", "parameters read"), shared + reached * each);
    let told = ask(&format!("{asked} 16 --routing every"));
    told.is("served.parameters_read", ("speed", "parameters read"), shared + 8.0 * each);
    // Two expert ranks of one GPU each keep half the experts and all of the rest.
    let told = ask("serve --model mixtral-8x7b --gpu a100_sxm_80gb --expert 2 --price 1");
    told.is("room.weights_b", ("memory of one GPU", "weights"), (shared + 4.0 * each) * 2.0);
}

#[test]
fn formats_and_overhead_count() {
    let asked = "serve --model llama-3.1-8b --gpu h100_sxm --batch 8";
    let stage = |more: &str| ask(&format!("{asked} {more}")).value("served.stage_time_s");
    let late = stage("--overhead 50us") - stage("");
    assert!((late - 50e-6).abs() < 1e-12, "{late}");
    let eight = ask(&format!("{asked} --weights fp8 --kv fp8"));
    // 32 layers, 8 KV heads of 128, one byte.
    eight.is("room.kv_token_b", ("memory of one GPU", "KV cache of one token"), 2.0 * 32.0 * 8.0 * 128.0);
    eight.is("room.weights_b", ("memory of one GPU", "weights"), 8_030_261_248.0);
    assert_eq!(eight.json["inputs"]["accelerator"]["roofline"]["compute_flop_s"]["value"], 1978.9 * 1e12);
    let four = ask(&format!("{asked} --weights i4"));
    four.is("room.weights_b", ("memory of one GPU", "weights"), 8_030_261_248.0 * 4.125 / 8.0);
    four.is("room.kv_token_b", ("memory of one GPU", "KV cache of one token"), 2.0 * 32.0 * 8.0 * 128.0 * 2.0);
}

#[test]
fn training() {
    let told =
        ask("train --model llama-65b --gpu a100_sxm_80gb --gpus 2048 --tokens 1.4T --mfu 47% --price 3.93 --tensor 8 \
         --zero gradients --batch-tokens 4M --weights bf16");
    let flop = 6.0 * LLAMA_65B * 1.4e12;
    let rate = 312e12 * 0.47;
    let (own, replicas) = (LLAMA_65B / 8.0, 2048.0 / 8.0);
    let state = own * 2.0 + own * (2.0 + 12.0) / replicas;
    told.is("flop", ("time and cost", "operations"), flop);
    told.is("achieved_flop_s", ("time and cost", "achieved by a GPU"), rate);
    told.is("time_s", ("time and cost", "time"), flop / (2048.0 * rate));
    told.is("gpu_hours", ("time and cost", "GPU-hours"), flop / rate / 3600.0);
    told.is("cost_usd", ("time and cost", "cost"), flop / rate / 3600.0 * 3.93);
    told.is("tokens_best", ("time and cost", "best at"), 20.0 * LLAMA_65B);
    told.is("state.weights_b", ("memory of one GPU", "weights"), own * 2.0);
    told.is("state.total_b", ("memory of one GPU", "training state"), state);
    told.is("replicas", ("parallelism", "replicas"), replicas);
    let micro = 4e6 / (2048.0 * replicas);
    told.is("micro_batches", ("parallelism", "micro-batches of a step"), micro);
    assert_eq!(told.cell("parallelism", "share a stage waits"), "0 %");
    let sentence = told.table.lines().next().unwrap();
    assert!(sentence.contains("on 1.4 trillion tokens with 2048 A100 SXM 80 GB takes 2"), "{sentence}");
    assert!(sentence.contains("at an MFU of 47 % of the datasheet's bf16 peak"), "{sentence}");
    let piped =
        ask("train --model llama-65b --gpu a100_sxm_80gb --gpus 2048 --tokens 1.4T --pipeline 8 --batch-tokens 4M \
         --interleaved 2");
    piped.is("idle_share", ("parallelism", "share a stage waits"), 7.0 / (2.0 * micro + 7.0));
}

#[test]
fn the_claimed_gpt_4_with_average_shares() {
    let (shared, each) = gpt_4();
    let told = ask(
        "train --model gpt_4_claimed --gpu a100_sxm_40gb --gpus 25000 --tokens 13T --mfu 0.34 --price 1 --tensor 8 \
         --pipeline 15 --average",
    );
    let flop = 6.0 * (shared + 2.0 * each) * 13e12;
    told.is("time_s", ("time and cost", "time"), flop / (25_000.0 * 312e12 * 0.34));
    told.is("cost_usd", ("time and cost", "cost"), flop / (312e12 * 0.34) / 3600.0);
    assert!(told.table.contains("average shares") && told.table.contains("assumed of the model"), "{}", told.table);
    let told =
        ask("serve --model GPT-4-claimed --gpu a100_sxm_80gb --price 1 --tensor 8 --pipeline 16 --average --batch 128");
    // 7.5 layers of a stage, 10.5 heads of a rank, of 128, in 2 bytes.
    told.is("room.kv_token_b", ("memory of one GPU", "KV cache of one token"), 2.0 * 7.5 * 10.5 * 128.0 * 2.0);
    // Every rank keeps its stage's norms and routers whole, and the last stage's norm is in the fullest.
    let (d, stage) = (10_752.0, 7.5);
    let small = stage * 18.0 * d + d;
    let held = (shared + 16.0 * each - (120.0 * 18.0 * d + d)) * 2.0 / 128.0 + small * 2.0;
    told.is("room.weights_b", ("memory of one GPU", "weights"), held);
}

#[test]
fn memory() {
    let told =
        ask("memory --model llama-2-70b --gpu a100_sxm_80gb --tensor 2 --context 4096 --training-gpus 64 --kv f16");
    let token = 2.0 * 80.0 * 4.0 * 128.0 * 2.0;
    told.is("kv_token_b", ("KV cache", "one token, on one GPU"), token);
    told.is("kv_sequence_b", ("KV cache", "one sequence, on all"), token * 4096.0 * 2.0);
    let left = told.value("free_b");
    told.is("sequences", ("KV cache", "sequences that fit"), left / (token * 4096.0));
    told.is("weights_b", ("weights on one GPU", "weights"), 80e9 - left);
    // Half of everything but the norms, which both ranks keep: 80 layers of two, and the last.
    let norms = (2.0 * 80.0 + 1.0) * 8192.0;
    told.is("rank_parameters", ("weights on one GPU", "parameters of a GPU"), (68_976_648_192.0 + norms) / 2.0);
    let row = |word: &str| {
        let line = told.table.lines().find(|line| line.trim_start().starts_with(&format!("{word}  ")));
        line.unwrap_or_else(|| panic!("no {word} in\n{}", told.table)).trim().to_owned()
    };
    let own = 68_976_648_192.0 / 2.0;
    for (at, (word, bytes)) in [
        ("none", own * 16.0),
        ("optimizer", own * (4.0 + 12.0 / 32.0)),
        ("gradients", own * (2.0 + 14.0 / 32.0)),
        ("weights", own * 16.0 / 32.0),
    ]
    .into_iter()
    .enumerate()
    {
        let under = &told.json["answer"]["training"][at];
        let value = under["state"]["total_b"]["value"].as_f64().unwrap();
        assert!((value / bytes - 1.0).abs() < 1e-12, "{word}: {value} is not {bytes}");
        assert_eq!(under["fits"].as_bool(), Some(bytes < 80e9), "{word}");
        if word != "weights" {
            let cells: Vec<String> = row(word).split("  ").filter(|cell| !cell.is_empty()).map(str::to_owned).collect();
            assert_eq!(
                cells.last().map(|cell| cell.trim()),
                Some(if bytes < 80e9 { "yes" } else { "no" }),
                "{cells:?}"
            );
            assert!((read(cells[4].trim()) / bytes - 1.0).abs() < 5.1e-4, "{cells:?} is not {bytes}");
        }
    }
}

#[test]
fn what_does_not_fit_is_an_answer_about_memory() {
    let told = ask("memory --model llama-3.1-70b --gpu h100_sxm");
    let sentence = told.table.lines().next().unwrap();
    assert!(sentence.contains("does not fit on 1 H100 SXM 80 GB"), "{sentence}");
    assert!(sentence.contains("141.1 GB per GPU of 80 GB is 61.11 GB too much; at least 2 of them"), "{sentence}");
    told.is("missing_b", ("weights on one GPU", "missing"), LLAMA_70B * 2.0 - 80e9);
    assert_eq!(told.json["answer"]["free_b"], Value::Null);
    // What an A100 cannot compute in it can still store.
    let told = ask("memory --model llama-3.1-70b --gpu a100_sxm_80gb --weights fp8");
    told.is("weights_b", ("weights on one GPU", "weights"), LLAMA_70B);
    told.is("kv_token_b", ("KV cache", "one token, on one GPU"), 2.0 * 80.0 * 8.0 * 128.0 * 2.0);
    told.is("training/0/state/total_b", ("to train it instead", "state of one GPU"), LLAMA_70B * 16.0);
    let told = ask("memory --model llama-3.1-70b --gpu h100_sxm --tensor 4 --capacity reported");
    assert_eq!(told.value("capacity_b"), 81_559.0 * 1_048_576.0);
}

#[test]
fn demand() {
    let asked = "demand --model gpt-3-175b --gpu a100_sxm_80gb --tokens-each 1333 --peak 5 --utilisation 0.51";
    let told = ask(&format!("{asked} --price 1.5 --users 13M"));
    let rate = 13e6 * 1333.0 / 86_400.0;
    let flop_s = rate * 2.0 * gpt_3() / 0.51;
    let gpus = 5.0 * flop_s / 312e12;
    told.is("tokens_per_day", ("what it takes", "tokens of a day"), 13e6 * 1333.0);
    told.is("mean_tok_s", ("what it takes", "on average"), rate);
    told.is("mean_flop_s", ("what it takes", "ceiling for the mean"), flop_s);
    told.is("gpus", ("what it takes", "GPUs"), gpus);
    assert_eq!(told.cell("what it takes", "GPUs"), format!("{}", gpus.ceil()));
    told.is("usd_per_day", ("what it takes", "cost of a day"), gpus * 24.0 * 1.5);
    told.is("usd_per_1000_tokens", ("what it takes", "1000 tokens"), gpus * 1.5 / (3600.0 * rate) * 1000.0);
    // A span of users makes no token dearer, and is shown.
    let told = ask(&format!("{asked} --price 1.5 --users 10M..20M"));
    let found = &told.json["answer"]["gpus"];
    let [low, value, high] = ["low", "value", "high"].map(|end| found[end].as_f64().unwrap());
    assert!((value / low - 1.5).abs() < 1e-12 && (high / low - 2.0).abs() < 1e-12, "{found}");
    assert!(told.cell("what it takes", "GPUs").ends_with(&format!("({} to {})", low.ceil(), high.ceil())));
    let cost = &told.json["answer"]["usd_per_1000_tokens"];
    assert_eq!(cost["low"], cost["high"]);
}

#[test]
fn a_price_says_whose_it_is() {
    let price = |arguments: &str| {
        let told = ask(&format!("demand --model llama-7b --users 1M --tokens-each 1k --utilisation 0.1 {arguments}"));
        let price = told.json["inputs"]["price"].clone();
        assert!(told.cell("what is asked for", "price of a GPU").ends_with("an hour"), "{}", told.table);
        let source = price["source"].as_str().unwrap();
        assert!(told.table.contains(source), "{source} is not in\n{}", told.table);
        (price["usd_per_h"]["value"].as_f64().unwrap(), source.to_owned(), price["as_of"].clone())
    };
    // Of several statements about a GPU the latest counts.
    for id in ["h100_sxm", "a100_sxm_80gb"] {
        let (value, source, as_of) = price(&format!("--gpu {id}"));
        let stated = hardware::prices().unwrap();
        let rents =
            stated.iter().filter(|price| price.gpus.iter().any(|gpu| gpu == id) && price.usd_per_hour.is_some());
        let latest = rents.max_by_key(|price| price.as_of.clone()).unwrap();
        assert_eq!(source, latest.source);
        assert_eq!(as_of, latest.as_of.as_str());
        let span = latest.usd_per_hour.unwrap();
        assert!(span.low.get() <= value && value <= span.high.get());
    }
    assert_eq!(price("--gpu h100_sxm --price 1.25"), (1.25, "--price".to_owned(), Value::Null));
}

fn model_is_small(id: &str) -> bool {
    llm::find(id).unwrap().parameters() < 6_000_000_000
}

#[test]
fn every_model_and_every_gpu_has_an_answer() {
    let models = llm::catalogue().unwrap();
    let gpus = hardware::catalogue().unwrap();
    let pairs = models.iter().map(|model| (model.id.as_str(), "mi300x"));
    let pairs = pairs.chain(gpus.iter().map(|gpu| ("llama_3_1_8b", gpu.id.as_str())));
    for (model, gpu) in pairs {
        let about = format!("--model {model} --gpu {gpu}");
        ask(&format!("memory {about}"));
        ask(&format!("demand {about} --users 1M --tokens-each 1000 --utilisation 0.1 --price 2"));
        ask(&format!("train {about} --gpus 4096 --tokens 300B --price 2"));
        // Whole heads and layers: 60 of 120, 84 of 84. Small models have too few of both.
        let layout = if model_is_small(model) { "--tensor 1" } else { "--tensor 4 --pipeline 5" };
        ask(&format!("serve {about} {layout} --price 2 --context 256"));
    }
}

#[test]
fn help_has_an_example_that_runs() {
    for question in ["train", "serve", "memory", "demand"] {
        let (code, out, _) = call(Path::new("."), &format!("{question} --help"));
        assert_eq!(code, 0);
        assert!(out.lines().next().is_some_and(|line| line.ends_with('?')), "not a question: {out}");
        let (_, example) = out.split_once("Example: rooflint cost ").unwrap_or_else(|| panic!("{out}"));
        assert!(example.starts_with(question), "{out}");
        ask(example.trim());
    }
}

/// A model as a user describes it.
fn model_toml(id: &str, heads: u32) -> String {
    format!(
        "[[model]]\nid = \"{id}\"\nname = \"{id}\"\nsource = \"ours\"\nlayers = 12\nhidden = 768\nheads = {heads}\n\
         kv_heads = {heads}\nhead_dim = 64\nintermediate = 3072\ngated = false\nvocab = 1000\ntied = true\n\
         positions = \"fixed\"\nbias = \"nowhere\"\nnorm = \"rms\"\n"
    )
}

/// Llama 3.1 8B, as its repository has it but for keys that change no count.
const CONFIG: &str = r#"{
  "model_type": "llama",
  "hidden_size": 4096,
  "num_hidden_layers": 32,
  "num_attention_heads": 32,
  "num_key_value_heads": 8,
  "intermediate_size": 14336,
  "vocab_size": 128256,
  "tie_word_embeddings": false
}
"#;

const GPU: &str = r#"[[gpu]]
id = "ours"
name = "Our GPU"
device_names = []
source = "a drawing"
units = 10
boost_mhz = 1000
memory = "HBM9"
capacity_gb = 500
bandwidth_gb_s = 10000
l2_mib = 1
power_w = 100
link = { kind = "wire", gb_s = 1 }
[gpu.peaks]
f16 = { tflop_s = 1000, per_unit_clock = 1, clock_mhz = 1000 }
"#;

fn files() -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    let write = |name: &str, text: &str| fs::write(folder.path().join(name), text).expect("writes");
    write("one.toml", &model_toml("tiny", 12));
    write("two.toml", &(model_toml("tiny", 12) + &model_toml("other", 6)));
    write("none.toml", "model = []\n");
    write("zero.toml", &model_toml("tiny", 0));
    write("key.toml", &model_toml("tiny", 12).replace("hidden = 768", "hiden = 768"));
    write("gpu.toml", GPU);
    write("flat.toml", &GPU.replace("10000", "0"));
    fs::create_dir(folder.path().join("llama")).expect("makes");
    write("llama/config.json", CONFIG);
    write("text.json", &CONFIG.replace("\"num_hidden_layers\": 32", "\"num_hidden_layers\": \"32\""));
    write("missing.json", &CONFIG.replace("\"hidden_size\"", "\"hidden\""));
    write("strange.json", &CONFIG.replace("\"llama\"", "\"mamba\""));
    write("cut.json", &CONFIG[..CONFIG.len() / 2]);
    fs::create_dir(folder.path().join("folder.toml")).expect("makes");
    folder
}

#[test]
fn models_and_gpus_of_the_users_own() {
    let folder = files();
    let parameters = |model: &str| {
        let told = ask_in(folder.path(), &format!("memory --gpu h100_sxm --model {model}"));
        (told.json["inputs"]["model"]["name"].as_str().unwrap().to_owned(), told.value("parameters"))
    };
    // 12 layers of four squares of attention, two matrices of an MLP, two norms; a last norm, a tied embedding.
    let tiny = |heads: f64| 12.0 * (4.0 * 768.0 * heads * 64.0 + 2.0 * 768.0 * 3072.0 + 2.0 * 768.0) + 768.0 + 768e3;
    assert_eq!(parameters("one.toml"), ("tiny".to_owned(), tiny(12.0)));
    assert_eq!(parameters("one.toml#tiny"), ("tiny".to_owned(), tiny(12.0)));
    assert_eq!(parameters("two.toml#other"), ("other".to_owned(), tiny(6.0)));
    assert_eq!(parameters("llama/config.json"), ("llama/config.json".to_owned(), 8_030_261_248.0));
    let told = ask_in(folder.path(), "serve --model one.toml --gpu gpu.toml --price 1 --batch 1 --context 1");
    let token = 2.0 * 12.0 * 768.0 * 2.0;
    told.is("served.token_latency_s", ("speed", "time between tokens"), (tiny(12.0) * 2.0 + token) / 1e13);
    assert!(told.table.contains("a drawing"), "{}", told.table);
}

#[test]
fn bad_requests_name_the_thing_and_the_way_out() {
    let folder = files();
    let serve = "serve --gpu h100_sxm --model";
    let memory = "memory --gpu h100_sxm --model";
    let train = "train --gpu h100_sxm --model llama-7b --gpus 8 --tokens";
    let demand = "demand --gpu h100_sxm --model llama-7b --users";
    for (arguments, words) in [
        // Names and files.
        (format!("{serve} gpt-9"), &["`gpt-9`", "llama_3_1_70b", "TOML", "config.json"][..]),
        ("serve --model llama-7b --gpu h300".to_owned(), &["`h300`", "h100_sxm", "TOML"]),
        (format!("{memory} nowhere.toml"), &["cannot read nowhere.toml", "No such file"]),
        (format!("{memory} nowhere.json"), &["cannot read nowhere.json"]),
        (format!("{memory} folder.toml"), &["cannot read folder.toml"]),
        (format!("{memory} llama"), &["llama is in no catalogue", ".toml", "config.json"]),
        (format!("{memory} two.toml"), &["two.toml holds several models: tiny, other", "two.toml#tiny"]),
        (format!("{memory} two.toml#third"), &["two.toml holds no model `third`", "tiny, other"]),
        (format!("{memory} none.toml"), &["none.toml holds no model", "[[model]]"]),
        (format!("{memory} zero.toml"), &["zero.toml:7", "`heads`"]),
        (format!("{memory} key.toml"), &["key.toml:6", "`hiden`"]),
        (format!("{memory} text.json"), &["text.json:4: `num_hidden_layers`", "\"32\"", "whole number"]),
        (format!("{memory} missing.json"), &["missing.json:10: `hidden_size`", "is missing"]),
        (format!("{memory} strange.json"), &["strange.json:2: `model_type`", "`mamba`", "mixtral"]),
        (format!("{memory} cut.json"), &["cut.json:", "not valid JSON"]),
        ("memory --model llama-7b --gpu flat.toml".to_owned(), &["flat.toml:1", "`bandwidth_gb_s`", "more than zero"]),
        ("serve --model llama-7b --gpu gpu.toml".to_owned(), &["no rent of the Our GPU", "--price"]),
        ("serve --model llama-7b --gpu gpu.toml --weights fp8".to_owned(), &["Our GPU", "no peak for fp8", "f16"]),
        // Layouts.
        (format!("{serve} llama-7b --tensor 5"), &["32 KV heads do not divide over 5 tensor ranks", "--average"]),
        (format!("{serve} gpt-4-claimed --tensor 8"), &["84 KV heads do not divide over 8", "--average"]),
        (format!("{serve} mixtral-8x7b --expert 3"), &["8 experts do not divide over 3 expert ranks"]),
        (format!("{serve} llama-7b --tensor 0"), &["tensor ranks is 0", "at least 1"]),
        (format!("{serve} llama-7b --pipeline 33"), &["pipeline stages is 33", "the 32 layers"]),
        (format!("{serve} llama-7b --tensor 99999 --pipeline 99999"), &["the product of all ranks"]),
        // What does not fit, and by how much.
        (format!("{serve} llama-3.1-70b"), &["141.1 GB per GPU of 80 GB: 61.11 GB too much", "--tensor"]),
        (format!("{serve} llama-7b --batch 1000"), &["per GPU of 80 GB", "too much"]),
        (
            format!("{serve} llama-3.1-70b --tensor 2 --context 131072"),
            &["9.445 GB of a GPU are left: room for 0.4398 of a sequence of 131072 tokens", "--tensor"],
        ),
        (
            "train --model llama-65b --gpu h100_sxm --gpus 8 --tokens 1T --zero none".to_owned(),
            &["training state needs 1.045 TB per GPU of 80 GB: 964.6 GB too much", "--zero"],
        ),
        // Numbers.
        (format!("{serve} llama-7b --price 0"), &["--price", "'0' is not a number above zero"]),
        (format!("{serve} llama-7b --price -1"), &["--price", "'-1' is not a number above zero"]),
        (format!("{serve} llama-7b --price=-1"), &["--price", "'-1' is not a number above zero"]),
        (format!("{serve} llama-7b --price NaN"), &["--price", "'NaN' is not a number above zero"]),
        (format!("{serve} llama-7b --price inf"), &["--price", "'inf'"]),
        (format!("{serve} llama-7b --price cheap"), &["--price", "'cheap'"]),
        (format!("{serve} llama-7b --price 3..2"), &["--price", "'3..2'"]),
        (format!("{serve} llama-7b --price 0..2"), &["--price", "'0..2'"]),
        (format!("{serve} llama-7b --batch 0.5"), &["--batch is 0.5", "at least 1"]),
        (format!("{serve} llama-7b --context 0"), &["--context", "'0'"]),
        (format!("{serve} llama-7b --overhead never"), &["--overhead", "'never'"]),
        (format!("{serve} llama-7b --weights f12"), &["f12", "bf16"]),
        (format!("{serve} llama-7b --kv i4"), &["i4", "fp8"]),
        (format!("{serve} llama-7b --routing none"), &["none", "uniform"]),
        (format!("{serve} llama-7b --format csv"), &["csv", "json"]),
        (format!("{train} 0"), &["--tokens", "'0' is not a number above zero"]),
        (format!("{train} 1T --mfu 1.2"), &["MFU is 1.2; it must not be above 1"]),
        (format!("{train} 1T --mfu 0"), &["--mfu", "'0'"]),
        (format!("{train} 1T --tensor 16"), &["GPUs of one replica is 16", "the 8 GPUs"]),
        (format!("{train} 1T --weights i4"), &["training in i4 is not modelled", "bf16"]),
        (format!("{train} 1T --batch-tokens 100"), &["--batch-tokens", "at least one"]),
        (format!("{train} 1T --interleaved 2"), &["--batch-tokens"]),
        (format!("{train} 1T --batch-tokens 4M --interleaved 0"), &["interleaved chunks"]),
        (format!("{memory} llama-7b --tensor 4 --training-gpus 2"), &["--training-gpus is 2", "the 4 GPUs"]),
        (format!("{demand} 0 --tokens-each 1 --utilisation 0.1"), &["--users", "'0'"]),
        (format!("{demand} 1 --tokens-each 1 --utilisation 40"), &["utilisation is 40; it must not be above 1"]),
        (format!("{demand} 1 --tokens-each 1 --utilisation 0.1 --peak 0.5"), &["--peak is 0.5"]),
        (format!("{demand} 1 --tokens-each 1"), &["--utilisation"]),
        ("serve --model llama-7b".to_owned(), &["--gpu"]),
        ("rent".to_owned(), &["rent"]),
        (String::new(), &["Usage"]),
    ] {
        let (code, out, err) = call(folder.path(), &arguments);
        assert_eq!(code, 2, "'{arguments}': {out}{err}");
        for word in words {
            assert!(err.contains(word), "'{arguments}' does not say {word}: {err}");
        }
        assert!(!err.contains("panicked"), "'{arguments}': {err}");
        assert_eq!(out, "", "'{arguments}' wrote a result");
    }
}
