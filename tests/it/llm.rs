//! Models: published parameter counts, counts of a step, layouts, and what bad files are told.

use rooflint::llm::{self, Layout, Model, ModelError, Step, Widths};

const FP16: Widths = Widths { weight_b: 2.0, kv_b: 2.0, activation_b: 2.0 };
const ONE: Layout = Layout::ONE;

fn model(id: &str) -> Model {
    llm::find(id).unwrap()
}

fn decode(sequences: u64, cached: u64) -> Step {
    Step { sequences, queries: 1, cached, experts_read: 0.0 }
}

#[test]
fn every_total_is_the_published_one() {
    let models = llm::catalogue().unwrap();
    assert_eq!(models.len(), 24);
    for model in models {
        let published = model.published.unwrap();
        let (counted, told) = (model.parameters() as f64, published.parameters);
        let off = (counted - told).abs() / told;
        assert!(off <= published.rounding, "{}: counted {counted}, published {told}, off by {off}", model.id);
        assert!(!model.source.is_empty());
    }
}

#[test]
fn exact_totals() {
    let exact = [
        ("llama-2-7b", 6_738_415_616),
        ("llama-2-70b", 68_976_648_192),
        ("llama-3.1-8b", 8_030_261_248),
        ("llama-3.1-70b", 70_553_706_496),
        ("llama-3.1-405b", 405_853_388_800),
        ("mistral-7b", 7_241_732_096),
        ("mixtral-8x7b", 46_702_792_704),
        ("bloom-176b", 176_247_271_424),
        ("llama-65b", 65_285_660_672),
    ];
    for (id, told) in exact {
        assert_eq!(model(id).parameters(), told, "{id}");
    }
    // Mixtral's card gives 12.9e9 used per token.
    assert_eq!((model("mixtral-8x7b").parameters_active() as f64 / 1e8).round(), 129.0);
}

#[test]
fn claimed_gpt4_implies_multi_head_attention() {
    let multi_head = model("gpt-4-claimed").weights();
    let experts = multi_head.experts.unwrap();
    assert_eq!((multi_head.shared / 1e8).round(), 555.0);
    assert_eq!((experts.each / 1e8).round(), 1110.0);
    assert_eq!((experts.count, experts.routed), (16, 2));
    let multi_query = model("gpt-4-claimed").with_kv_heads(1).unwrap();
    assert_eq!((multi_query.weights().shared / 1e8).round(), 281.0);
    assert_eq!(multi_query.kv(2.0).bytes_per_token(), 61_440.0);
    assert!(matches!(model("gpt-4-claimed").with_kv_heads(5), Err(ModelError::Indivisible { .. })));
}

#[test]
fn decoding_counts_two_per_weight_and_the_cache_once() {
    let llama = model("llama-2-7b");
    let step = llama.step(&decode(1, 0), ONE, FP16).unwrap();
    let embedding = 32_000 * 4096;
    let norms = (2 * 32 + 1) * 4096;
    let products = llama.parameters() - embedding - norms;
    // One key to score: four operations per layer and value of attention's width.
    assert_eq!(step.flop(), 2.0 * products as f64 + (4 * 32 * 4096) as f64);
    // All weights but the embedding, of which one row is read.
    assert_eq!(step.weights_b(), 2.0 * (products + norms + 4096) as f64);
    let long = llama.step(&decode(8, 4095), ONE, FP16).unwrap();
    assert_eq!(long.kv_read_b(), 8.0 * 4096.0 * llama.kv(2.0).bytes_per_token());
    assert_eq!(long.kv_written_b(), 8.0 * llama.kv(2.0).bytes_per_token());
    assert_eq!(long.weights_b(), step.weights_b() + 7.0 * 2.0 * 4096.0);
    assert_eq!(llama.kv(2.0).bytes_per_token(), 524_288.0);
}

#[test]
fn prefill_does_half_the_pairs() {
    let llama = model("llama-2-7b");
    let prompt = Step { sequences: 2, queries: 1024, cached: 0, experts_read: 0.0 };
    let count = llama.step(&prompt, ONE, FP16).unwrap();
    let attention = count.operations.iter().find(|operation| operation.id == "attention").unwrap();
    assert_eq!(attention.flop, 4.0 * 4096.0 * 2.0 * (1024.0 * 1025.0 / 2.0));
    // The head works on the last token of each sequence only.
    let head = count.operations.iter().find(|operation| operation.id == "head").unwrap();
    assert_eq!(head.flop, 2.0 * 2.0 * 4096.0 * 32_000.0);
}

#[test]
fn a_window_bounds_what_is_read() {
    let mistral = model("mistral-7b");
    let read = |cached| mistral.step(&decode(1, cached), ONE, FP16).unwrap().kv_read_b();
    let token = mistral.kv(2.0).bytes_per_token();
    assert_eq!(read(4094), 4095.0 * token);
    assert_eq!(read(4095), 4096.0 * token);
    assert_eq!(read(30_000), 4096.0 * token);
    let attention = |queries, cached| {
        let step = Step { sequences: 1, queries, cached, experts_read: 0.0 };
        mistral.step(&step, ONE, FP16).unwrap().operations.iter().find(|op| op.id == "attention").unwrap().flop
    };
    // A prefill in two halves scores as many pairs as in one piece.
    assert_eq!(attention(6000, 0), attention(3000, 0) + attention(3000, 3000));
}

#[test]
fn ranks_share_all_work() {
    let llama = model("llama-2-70b");
    let one = llama.step(&decode(4, 1000), ONE, FP16).unwrap();
    let eight = llama.step(&decode(4, 1000), Layout::new(8, 1).unwrap(), FP16).unwrap();
    assert_eq!(eight.flop() * 8.0, one.flop());
    assert_eq!(eight.kv_read_b() * 8.0, one.kv_read_b());
    // Sixteen ranks outnumber the eight KV heads: each head is kept and read twice, and projected twice.
    let sixteen = llama.step(&decode(4, 1000), Layout::new(16, 1).unwrap(), FP16).unwrap();
    assert_eq!(sixteen.kv_read_b() * 16.0, 2.0 * one.kv_read_b());
    assert!(sixteen.flop() * 16.0 > one.flop());
    let (whole, rank) = (llama.parameters() as f64, llama.rank_parameters(Layout::new(8, 1).unwrap()).unwrap());
    let norms = ((2 * 80 + 1) * 8192) as f64;
    assert_eq!(rank * 8.0, whole + 7.0 * norms);
    // Over stages, the fullest has half the layers and one of the two big tables.
    let half = llama.rank_parameters(Layout::new(1, 2).unwrap()).unwrap();
    assert_eq!(half, (whole - 2.0 * 32_000.0 * 8192.0 - 8192.0) / 2.0 + 32_000.0 * 8192.0 + 8192.0);
}

#[test]
fn a_tied_head_is_a_copy_where_stages_part_it_from_the_embedding() {
    let bloom = model("bloom_176b");
    let table = 250_880.0 * 14_336.0;
    let rest = bloom.parameters() as f64 - table - 4.0 * 14_336.0;
    // Embedding and its norm on one stage, final norm and the copied head on the other: both as large.
    let half = bloom.rank_parameters(Layout::new(1, 2).unwrap()).unwrap();
    assert_eq!(half, rest / 2.0 + table + 2.0 * 14_336.0);
    // Without a norm or positions beside the embedding, the last stage is the fuller.
    let tiny = llm::parse_toml(TINY, "my.toml").unwrap().remove(0);
    let layer = (tiny.parameters() - 100 * 64 - 64) / 2;
    let last = tiny.rank_parameters(Layout::new(1, 2).unwrap()).unwrap();
    assert_eq!(last, (layer + 100 * 64 + 64) as f64);
    // A step reads the table as the head's weights, owned or not, and one row of it as an embedding.
    let read = |layout| bloom.step(&decode(1, 0), layout, FP16).unwrap().weights_b();
    assert_eq!(read(ONE), 2.0 * (bloom.parameters() as f64 + 14_336.0));
}

#[test]
fn expert_ranks_share_experts_only() {
    let mixtral = model("mixtral-8x7b");
    let step = Step { experts_read: 8.0, ..decode(64, 100) };
    let one = mixtral.step(&step, ONE, FP16).unwrap();
    let four = mixtral.step(&step, Layout::new(1, 1).unwrap().with_expert(4).unwrap(), FP16).unwrap();
    let weights = |count: &llm::StepCount, id: &str| count.operations.iter().find(|op| op.id == id).unwrap().weights_b;
    assert_eq!(weights(&four, "mlp_up") * 4.0, weights(&one, "mlp_up"));
    assert_eq!(weights(&four, "qkv"), weights(&one, "qkv"));
    assert_eq!(four.flop(), one.flop());
    let odd = Layout::new(1, 1).unwrap().with_expert(3).unwrap();
    let error = mixtral.check(odd).unwrap_err();
    assert_eq!(error.to_string(), "8 experts do not divide over 3 expert ranks; use a divisor: 1, 2, 4, 8");
}

#[test]
fn layouts_that_do_not_divide_are_named() {
    let gpt4 = model("gpt-4-claimed");
    let layout = Layout::new(8, 16).unwrap();
    let error = gpt4.check(layout).unwrap_err().to_string();
    assert!(
        error.starts_with("84 KV heads do not divide over 8 tensor ranks; use a divisor: 1, 2, 3, 4, 6, 7"),
        "{error}"
    );
    gpt4.check(layout.averaged()).unwrap();
    assert_eq!(layout.averaged().kv_heads_per_rank(84).unwrap(), 10.5);
    assert_eq!(layout.averaged().layers_per_stage(120).unwrap(), 7.5);
    assert_eq!(layout.layers_per_stage(120).unwrap(), 8.0);
    let error = model("llama-2-7b").check(Layout::new(1, 33).unwrap()).unwrap_err();
    assert_eq!(error.to_string(), "pipeline stages is 33, and must be at most the 32 layers");
    let error = Layout::new(0, 1).unwrap_err();
    assert_eq!(error.to_string(), "tensor ranks is 0, and must be at least 1");
    assert!(Layout::new(u32::MAX, 2).is_err());
    let error = model("llama-33b").check(Layout::new(8, 1).unwrap()).unwrap_err();
    assert!(error.to_string().contains("52 KV heads"), "{error}");
}

#[test]
fn an_unknown_model_lists_what_there_is() {
    assert_eq!(model("Llama-3.1 8B").id, "llama_3_1_8b");
    let error = llm::find("gpt-5").unwrap_err().to_string();
    assert!(error.contains("gpt-5") && error.contains("llama_2_7b") && error.contains("config.json"), "{error}");
}

const TINY: &str = r#"# mine
[[model]]
id = "tiny"
name = "Tiny"
source = "me"
layers = 2
hidden = 64
heads = 4
kv_heads = 2
head_dim = 16
intermediate = 128
gated = true
vocab = 100
tied = true
positions = "fixed"
bias = "nowhere"
norm = "rms"
"#;

/// File, line, key and text of a file's error.
fn told(result: Result<Vec<Model>, ModelError>) -> (usize, String, String) {
    match result.unwrap_err() {
        ModelError::File { file, line, key, problem } => {
            assert_eq!(file, "my.toml");
            (line, key.unwrap_or_default(), problem)
        }
        other => panic!("{other}"),
    }
}

#[test]
fn a_users_toml_reads_as_the_catalogue_does() {
    let tiny = llm::parse_toml(TINY, "my.toml").unwrap().remove(0);
    let layer = 64 * (64 + 2 * 2 * 16) + 64 * 64 + 3 * 64 * 128 + 2 * 64;
    assert_eq!(tiny.parameters(), 2 * layer + 100 * 64 + 64);
    let again = serde_json::to_string(&tiny).unwrap();
    assert_eq!(serde_json::from_str::<Model>(&again).unwrap(), tiny);
}

#[test]
fn a_bad_toml_names_line_and_key() {
    let with = |from: &str, to: &str| llm::parse_toml(&TINY.replace(from, to), "my.toml");
    let (line, key, _) = told(with("layers = 2", "layers = \"two\""));
    assert_eq!((line, key.as_str()), (6, "layers"));
    let (line, key, problem) = told(with("layers = 2", "layer = 2"));
    assert_eq!((line, key.as_str()), (6, "layer"));
    assert!(problem.contains("`layers`"), "{problem}");
    let (line, key, _) = told(with("layers = 2\n", ""));
    assert_eq!((line, key.as_str()), (2, "layers"));
    let (line, key, problem) = told(with("kv_heads = 2", "kv_heads = 3"));
    assert_eq!((line, key.as_str()), (8, "heads"));
    assert!(problem.contains("4 heads do not divide over 3 kv_heads"), "{problem}");
    let (line, key, _) = told(with("hidden = 64", "hidden = 0"));
    assert_eq!((line, key.as_str()), (7, "hidden"));
    let (line, _, _) = told(with("vocab = 100", "vocab = = 100"));
    assert_eq!(line, 13);
    let (line, key, _) = told(with("vocab = 100", "vocab = -100"));
    assert_eq!((line, key.as_str()), (13, "vocab"));
    let (line, key, problem) = told(with("head_dim = 16", "head_dim = 4294967295"));
    assert_eq!((line, key.as_str()), (10, "head_dim"), "{problem}");
    let wide = TINY.replace("hidden = 64", "hidden = 4294967295").replace("= 128", "= 4294967295");
    let (line, key, problem) = told(llm::parse_toml(&wide, "my.toml"));
    assert_eq!((line, key.as_str()), (7, "hidden"), "{problem}");
    let twice = format!("{TINY}\n{TINY}");
    let (line, key, problem) = told(llm::parse_toml(&twice, "my.toml"));
    assert_eq!((line, key.as_str()), (21, "id"), "{problem}");
}

fn config(text: &str) -> Result<Model, ModelError> {
    llm::parse_hf_config(text, "models/mine/config.json")
}

const MIXTRAL: &str = r#"{
  "architectures": ["MixtralForCausalLM"],
  "attention_dropout": 0.0,
  "hidden_size": 4096,
  "intermediate_size": 14336,
  "max_position_embeddings": 32768,
  "model_type": "mixtral",
  "num_attention_heads": 32,
  "num_experts_per_tok": 2,
  "num_hidden_layers": 32,
  "num_key_value_heads": 8,
  "num_local_experts": 8,
  "rope_parameters": { "hidden_size": "nested keys are not this model's" },
  "sliding_window": null,
  "tie_word_embeddings": false,
  "vocab_size": 32000
}
"#;

#[test]
fn hugging_face_configs_give_published_counts() {
    let mixtral = config(MIXTRAL).unwrap();
    let catalogued = model("mixtral-8x7b");
    assert_eq!(mixtral.parameters(), catalogued.parameters());
    assert_eq!((mixtral.experts, mixtral.kv_heads, mixtral.window), (catalogued.experts, 8, None));

    let told = [
        (
            r#"{"model_type":"llama","hidden_size":4096,"intermediate_size":11008,"num_attention_heads":32,
             "num_hidden_layers":32,"vocab_size":32000,"tie_word_embeddings":false}"#,
            6_738_415_616,
        ),
        (
            r#"{"model_type":"mistral","hidden_size":4096,"intermediate_size":14336,"num_attention_heads":32,
             "num_hidden_layers":32,"num_key_value_heads":8,"sliding_window":4096,"vocab_size":32000}"#,
            7_241_732_096,
        ),
        (
            r#"{"model_type":"qwen2","hidden_size":3584,"intermediate_size":18944,"num_attention_heads":28,
             "num_hidden_layers":28,"num_key_value_heads":4,"sliding_window":131072,"use_sliding_window":false,
             "tie_word_embeddings":false,"vocab_size":152064}"#,
            7_615_616_512,
        ),
        (
            r#"{"model_type":"qwen3","hidden_size":4096,"intermediate_size":12288,"num_attention_heads":32,
             "num_hidden_layers":36,"num_key_value_heads":8,"head_dim":128,"vocab_size":151936}"#,
            8_190_735_360,
        ),
        (
            r#"{"model_type":"gpt2","n_embd":768,"n_layer":12,"n_head":12,"n_positions":1024,"vocab_size":50257}"#,
            124_439_808,
        ),
        (
            r#"{"model_type":"gpt_neox","hidden_size":6144,"intermediate_size":24576,"num_attention_heads":64,
             "num_hidden_layers":44,"max_position_embeddings":2048,"vocab_size":50432}"#,
            20_554_567_680,
        ),
        (
            r#"{"model_type":"opt","hidden_size":768,"ffn_dim":3072,"num_attention_heads":12,"num_hidden_layers":12,
             "max_position_embeddings":2048,"word_embed_proj_dim":768,"vocab_size":50272}"#,
            125_239_296,
        ),
        (r#"{"model_type":"bloom","hidden_size":1024,"n_layer":24,"n_head":16,"vocab_size":250880}"#, 559_214_592),
    ];
    for (text, parameters) in told {
        let model = config(text).unwrap();
        assert_eq!(model.parameters(), parameters, "{text}");
        assert_eq!(model.id, "config");
    }
}

#[test]
fn a_bad_config_names_line_and_key() {
    let told = |from: &str, to: &str| match config(&MIXTRAL.replace(from, to)).unwrap_err() {
        ModelError::File { file, line, key, problem } => {
            assert_eq!(file, "models/mine/config.json");
            (line, key.unwrap_or_default(), problem)
        }
        other => panic!("{other}"),
    };
    let (line, key, _) = told("\"hidden_size\": 4096", "\"hidden_size\": \"4096\"");
    assert_eq!((line, key.as_str()), (4, "hidden_size"));
    let (line, key, problem) = told("  \"hidden_size\": 4096,\n", "");
    assert_eq!((line, key.as_str()), (16, "hidden_size"));
    assert!(problem.contains("missing"), "{problem}");
    let (line, key, problem) = told("\"mixtral\"", "\"mamba\"");
    assert_eq!((line, key.as_str()), (7, "model_type"));
    assert!(problem.contains("mixtral") && problem.contains("TOML"), "{problem}");
    let (line, key, _) = told("\"num_hidden_layers\": 32", "\"num_hidden_layers\": 0");
    assert_eq!((line, key.as_str()), (10, "num_hidden_layers"));
    let (line, key, _) = told("\"num_hidden_layers\": 32", "\"num_hidden_layers\": -1");
    assert_eq!((line, key.as_str()), (10, "num_hidden_layers"));
    let (line, key, problem) = told("\"num_key_value_heads\": 8", "\"num_key_value_heads\": 5");
    assert_eq!((line, key.as_str()), (8, "num_attention_heads"));
    assert!(problem.contains('5'), "{problem}");
    let (line, key, _) = told("\"num_experts_per_tok\": 2", "\"num_experts_per_tok\": 9");
    assert_eq!((line, key.as_str()), (9, "num_experts_per_tok"));
    let (line, key, problem) = told("\"num_attention_heads\": 32", "\"num_attention_heads\": 30");
    assert_eq!((line, key.as_str()), (8, "num_attention_heads"));
    assert!(problem.contains("head_dim"), "{problem}");
    let (line, _, problem) = told("\"vocab_size\": 32000", "\"vocab_size\": 32000,,");
    assert_eq!(line, 16, "{problem}");
    assert!(matches!(config("[]"), Err(ModelError::File { .. })));
    assert!(matches!(config(""), Err(ModelError::File { line: 1, .. })));
}
