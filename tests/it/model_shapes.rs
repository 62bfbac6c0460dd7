//! Products of a model's layers, and `--shapes model:NAME` as a user meets it.

use std::collections::BTreeSet;
use std::fs;
use std::process::Command;

use rooflint::llm::{self, Bias, Layout, Model};
use rooflint::store;

fn model(id: &str) -> Model {
    llm::find(id).unwrap()
}

/// Name, columns and rows of each.
fn products(model: &Model, tensor: u32) -> Vec<(&'static str, u64, u64)> {
    model.products(tensor).unwrap().iter().map(|product| (product.id, product.n, product.k)).collect()
}

#[test]
fn a_gpu_of_four_has_its_share_of_llama_70b() {
    let expected = [
        // 16 of 64 query heads, 2 of 8 heads of keys and as many of values, of 128 values each.
        ("qkv", 20 * 128, 8192),
        ("attention_output", 8192, 16 * 128),
        // Gate and up in one.
        ("mlp_up", 2 * 28_672 / 4, 8192),
        ("mlp_down", 8192, 28_672 / 4),
        ("head", 128_256 / 4, 8192),
    ];
    assert_eq!(products(&model("llama_3_1_70b"), 4), expected);
    // More GPUs than heads of keys: each has one.
    assert_eq!(products(&model("llama_3_1_70b"), 16)[0], ("qkv", 6 * 128, 8192));
}

/// The matrices of all GPUs together are the model's parameters, less what is no matrix.
#[test]
fn products_are_all_of_a_dense_models_matrices() {
    let mut seen = 0;
    for model in llm::catalogue().unwrap().into_iter().filter(|model| model.experts.is_none()) {
        for tensor in [1, 2, 4, 8].into_iter().filter(|tensor| model.check(Layout::new(*tensor, 1).unwrap()).is_ok()) {
            let own = |id: &str| model.operations().into_iter().find(|op| op.id == id).unwrap();
            for (id, n, k) in products(&model, tensor).into_iter().filter(|(id, ..)| *id != "head") {
                let op = own(id);
                let bias = if op.parameters > op.inputs * op.outputs { op.outputs } else { 0 };
                assert!(bias == 0 || model.bias != Bias::Nowhere, "{}: {id}", model.id);
                // Heads of keys are copied where GPUs outnumber them.
                if id != "qkv" || u64::from(model.kv_heads) >= u64::from(tensor) {
                    assert_eq!(n * k * u64::from(tensor) + bias, op.parameters, "{}: {id}, {tensor}", model.id);
                    seen += 1;
                }
            }
            let (_, columns, _) =
                products(&model, tensor).into_iter().find(|(id, ..)| *id == "head").unwrap_or(("", 0, 0));
            let padded = columns * u64::from(tensor);
            assert!((u64::from(model.vocab)..u64::from(model.vocab) + 64).contains(&padded), "{}: {padded}", model.id);
        }
    }
    assert!(seen > 100, "{seen}");
}

#[test]
fn what_does_not_divide_is_named_with_what_would() {
    let error = model("llama_3_1_70b").products(3).unwrap_err().to_string();
    assert_eq!(error, "8 KV heads do not divide over 3 tensor ranks; use a divisor: 1, 2, 4, 8, 16, 32, 64");
    // 52 heads and 17 920 columns: every number named suits both.
    let model = model("llama_33b");
    let error = model.products(8).unwrap_err().to_string();
    let (_, named) = error.rsplit_once(": ").unwrap();
    let named: BTreeSet<u32> = named.split(", ").map(|ranks| ranks.parse().unwrap()).collect();
    assert!(named.contains(&4), "{error}");
    for ranks in 1..=52 {
        assert_eq!(named.contains(&ranks), model.products(ranks).is_ok(), "{ranks}: {error}");
    }
    assert!(model.products(0).is_err());
}

#[test]
fn experts_are_left_out() {
    let ids: Vec<_> = products(&model("mixtral_8x7b"), 2).into_iter().map(|(id, ..)| id).collect();
    assert_eq!(ids, ["qkv", "attention_output", "head"]);
}

const TINY: &str = r#"
[[model]]
id = "tiny"
name = "Tiny"
source = "made up"
layers = 2
hidden = 32
heads = 4
kv_heads = 2
head_dim = 8
intermediate = 48
gated = true
vocab = 100
tied = false
positions = "fixed"
bias = "nowhere"
norm = "rms"
"#;

/// The program in a folder with a small model and a small mixture.
fn call(folder: &tempfile::TempDir, arguments: &str) -> (i32, String) {
    fs::write(folder.path().join("tiny.toml"), TINY).unwrap();
    fs::write(folder.path().join("mixture.toml"), format!("{TINY}experts = {{ count = 4, routed = 2 }}\n")).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_rooflint"));
    command.current_dir(folder.path()).env("XDG_RUNTIME_DIR", folder.path()).env("NO_COLOR", "1");
    let output = command.args(arguments.split(' ')).output().unwrap();
    let text = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    (output.status.code().unwrap_or(-1), text)
}

fn keys(folder: &tempfile::TempDir) -> Vec<String> {
    let run = store::load(&folder.path().join("here")).unwrap().run;
    assert!(run.records.iter().all(|record| record.outcome.measurement().is_some()));
    run.records.iter().map(|record| record.case.key()).collect()
}

#[test]
fn a_models_products_are_measured_each_once() {
    let folder = tempfile::tempdir().unwrap();
    let run = "run --device fake --bench matmul --shapes model:tiny.toml,tensor=2,batch=1+3 --out here";
    let (code, text) = call(&folder, &format!("{run} --axis precision=f32"));
    assert_eq!(code, 0, "{text}");
    assert!(text.contains("products of Tiny, one GPU of 2") && text.contains("mlp_up 48 x 32"), "{text}");
    let case = |m: u64, n: u64, k: u64| format!("matmul data=random k={k} m={m} n={n} precision=f32");
    let layer = [(32, 32), (32, 16), (48, 32), (32, 24), (64, 32)];
    let expected: Vec<String> = layer.iter().flat_map(|(n, k)| [case(1, *n, *k), case(3, *n, *k)]).collect();
    assert_eq!(keys(&folder), expected);
}

#[test]
fn without_a_word_a_models_products_are_in_bf16_and_mixtures_say_what_is_missing() {
    let folder = tempfile::tempdir().unwrap();
    // On one GPU the product of queries, keys and values is 64 x 32, and the head's is 128 x 32.
    let (code, text) =
        call(&folder, "run --device cpu --bench matmul --shapes model:mixture.toml,batch=2 --budget 1m --out here");
    assert_eq!(code, 0, "{text}");
    assert!(text.contains("router and experts are not among them"), "{text}");
    let sides = [(64, 32), (32, 32), (128, 32)];
    let expected: Vec<String> =
        sides.iter().map(|(n, k)| format!("matmul data=random k={k} m=2 n={n} precision=bf16")).collect();
    assert_eq!(keys(&folder), expected);
}

#[test]
fn bad_models_and_options_are_refused_by_name() {
    let folder = tempfile::tempdir().unwrap();
    for (shapes, words) in [
        ("model:", &["names no model", "model:llama_3_1_70b,tensor=4"][..]),
        ("model:lama_3_1_70b", &["nearest: llama_3_1_70b"]),
        ("model:llama_3_1_70b,tensor=3", &["8 KV heads", "1, 2, 4, 8, 16, 32, 64"]),
        ("model:llama_3_1_70b,tensor=x", &["tensor", "'x'"]),
        ("model:llama_3_1_70b,batch=0", &["batch", "'0'", "1+8+64"]),
        ("model:llama_3_1_70b,stages=2", &["'stages'", "tensor, batch"]),
        ("model:nowhere.toml", &["nowhere.toml"]),
    ] {
        let (code, text) = call(&folder, &format!("run --device fake --bench matmul --shapes {shapes}"));
        assert_eq!(code, 2, "{shapes}: {text}");
        for word in words {
            assert!(text.contains(word), "{shapes} does not say {word}: {text}");
        }
    }
}
