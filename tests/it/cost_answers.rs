//! Whole answers for models and GPUs of the catalogues.

use rooflint::cost::answer::{
    self, Accelerator, Capacity, DemandQuestion, MemoryQuestion, ServeQuestion, TrainQuestion, WeightFormat,
};
use rooflint::cost::memory::Zero;
use rooflint::cost::moe::Routing;
use rooflint::cost::{CostError, Figure};
use rooflint::hardware::{self, Rate};
use rooflint::llm::{self, Layout, ModelError};

use crate::figures::{between, exact, ranges, reads};

fn accelerator(id: &str, rate: Rate) -> Accelerator {
    Accelerator::datasheet(&hardware::find(id).unwrap(), rate, Capacity::Sold).unwrap()
}

fn llama_training() -> TrainQuestion {
    TrainQuestion {
        model: llm::find("llama_65b").unwrap(),
        accelerator: accelerator("a100_sxm_80gb", Rate::Bf16),
        gpus: exact(2048.0),
        tokens: exact(1.4e12),
        mfu: exact(0.471),
        price_usd_h: exact(3.93),
        layout: Layout::new(8, 1).unwrap(),
        zero: Zero::Gradients,
        context: exact(2048.0),
        batch_tokens: Some(exact(4e6)),
        interleaved: 1,
    }
}

fn davinci_serving() -> ServeQuestion {
    ServeQuestion {
        model: llm::find("gpt_3_175b").unwrap(),
        accelerator: accelerator("a100_sxm_80gb", Rate::F16),
        layout: Layout::new(8, 1).unwrap(),
        bytes_per_parameter: 2.0,
        bytes_per_kv_value: 2.0,
        context: exact(2048.0),
        batch: None,
        routing: Routing::Uniform,
        price_usd_h: exact(1.0),
        overhead_s: exact(0.0),
    }
}

#[test]
fn training() {
    let answer = answer::train(&llama_training()).unwrap();
    // Twenty-one days and 4.06 million USD, as behind-the-millions has it.
    reads("days", answer.time_s.scaled(1.0 / 86_400.0).unwrap(), 21.0, 1.0);
    reads("cost", answer.cost_usd, 4.06e6, 0.05e6);
    reads("rate", answer.achieved_flop_s, 147e12, 1e12);
    reads("hours", answer.gpu_hours, 1.036e6, 1e4);
    assert_eq!(answer.idle_share.unwrap().value(), 0.0);
    assert_eq!(answer.replicas.value(), 256.0);
    let uncertain = TrainQuestion { mfu: between(0.45, 0.4, 0.5), ..llama_training() };
    let answer = answer::train(&uncertain).unwrap();
    let flop = answer.flop.value();
    ranges("hours", answer.gpu_hours, flop / 312e12 / 0.5 / 3600.0, flop / 312e12 / 0.4 / 3600.0, 1e-3);
    let tight = TrainQuestion {
        accelerator: accelerator("a100_sxm_40gb", Rate::Bf16),
        layout: Layout::ONE,
        ..llama_training()
    };
    let error = answer::train(&tight).unwrap_err();
    assert!(matches!(error, CostError::DoesNotFit { what: "training state", .. }), "{error}");
    let odd = TrainQuestion { layout: Layout::new(3, 1).unwrap(), ..llama_training() };
    assert!(matches!(answer::train(&odd), Err(CostError::Model(ModelError::Indivisible { .. }))));
    let few = TrainQuestion { gpus: exact(4.0), ..llama_training() };
    let error = answer::train(&few).unwrap_err().to_string();
    assert_eq!(error, "GPUs of one replica is 8, and must be at most the 4 GPUs there are");
    let free = TrainQuestion { price_usd_h: exact(0.0), ..llama_training() };
    assert!(matches!(answer::train(&free), Err(CostError::Zero { what: "the price of a GPU-hour" })));
    let perfect = TrainQuestion { mfu: exact(1.01), ..llama_training() };
    assert!(matches!(answer::train(&perfect), Err(CostError::AboveOne { what: "MFU", .. })));
}

#[test]
fn serving() {
    let answer = answer::serve(&davinci_serving()).unwrap();
    reads("cost", answer.usd_per_1000_tokens, 0.0029, 1e-4);
    reads("batch", answer.batch, 30.0, 1.0);
    // The curve ends where memory does, and never gets dearer on the way there.
    let batches: Vec<f64> = answer.curve.iter().map(|point| point.batch.value()).collect();
    assert_eq!(&batches[..5], [1.0, 2.0, 4.0, 8.0, 16.0]);
    assert_eq!(answer.curve.last().unwrap().batch, answer.batch_full);
    assert!(answer.curve.is_sorted_by(|a, b| a.usd_per_1000_tokens.value() > b.usd_per_1000_tokens.value()));
    assert!(answer.curve.is_sorted_by(|a, b| a.user_tok_s.value() > b.user_tok_s.value()));
    let crowded = ServeQuestion { batch: Some(exact(100.0)), ..davinci_serving() };
    let error = answer::serve(&crowded).unwrap_err().to_string();
    assert!(error.starts_with("the batch's KV cache with the weights needs 164."), "{error}");
    assert!(error.ends_with("too much"), "{error}");
    let small = ServeQuestion { layout: Layout::new(4, 1).unwrap(), ..davinci_serving() };
    let error = answer::serve(&small).unwrap_err();
    assert!(matches!(error, CostError::DoesNotFit { what: "the fullest rank", .. }), "{error}");
    // One sequence of a mixture reads two experts of eight.
    let mixtral = ServeQuestion {
        model: llm::find("mixtral_8x7b").unwrap(),
        layout: Layout::new(2, 1).unwrap(),
        batch: Some(exact(1.0)),
        ..davinci_serving()
    };
    let answer = answer::serve(&mixtral).unwrap();
    assert_eq!(answer.served.parameters_read, answer.parameters_active);
    // A window bounds the cache: beyond it context costs nothing.
    let mistral = |context| ServeQuestion {
        model: llm::find("mistral_7b").unwrap(),
        layout: Layout::ONE,
        context: exact(context),
        ..davinci_serving()
    };
    let cost = |context| answer::serve(&mistral(context)).unwrap().usd_per_1000_tokens.value();
    assert_eq!(cost(4096.0), cost(30_000.0));
    assert!(cost(2048.0) < cost(4096.0));
}

#[test]
fn memory() {
    let question = MemoryQuestion {
        model: llm::find("llama_2_70b").unwrap(),
        accelerator: accelerator("a100_sxm_80gb", Rate::F16),
        layout: Layout::new(2, 1).unwrap(),
        bytes_per_parameter: 2.0,
        bytes_per_kv_value: 2.0,
        context: exact(4096.0),
        training_gpus: exact(64.0),
    };
    let answer = answer::memory(&question).unwrap();
    reads("weights", answer.weights_b, 69.0e9, 1e8);
    // 80 layers, 8 KV heads of 128, half of them here: 163 840 bytes a token.
    assert_eq!(answer.kv_token_b.value(), 163_840.0);
    assert_eq!(answer.kv_copies, 1.0);
    let sequences = answer.sequences.unwrap().value();
    assert!((sequences - answer.free_b.unwrap().value() / (163_840.0 * 4096.0)).abs() < 1e-9);
    assert_eq!(answer.least_gpus.value(), 2.0);
    let totals: Vec<f64> = answer.training.iter().map(|under| under.state.total_b.value()).collect();
    assert!(totals.is_sorted_by(|a, b| a > b));
    let fits: Vec<bool> = answer.training.iter().map(|under| under.fits).collect();
    assert_eq!(fits, [false, false, false, true]);
    let one = answer::memory(&MemoryQuestion { layout: Layout::ONE, ..question }).unwrap();
    assert!(one.free_b.is_none() && one.sequences.is_none());
    reads("missing", one.missing_b.unwrap(), 58.0e9, 1e8);
}

#[test]
fn the_stage_with_most_layers_sets_the_batch_of_all() {
    // 96 layers over 5 stages: one has 20, the others 19.
    let serving = ServeQuestion {
        accelerator: accelerator("mi300x", Rate::F16),
        layout: Layout::new(1, 5).unwrap(),
        ..davinci_serving()
    };
    let question = MemoryQuestion {
        model: serving.model.clone(),
        accelerator: serving.accelerator.clone(),
        layout: serving.layout,
        bytes_per_parameter: serving.bytes_per_parameter,
        bytes_per_kv_value: serving.bytes_per_kv_value,
        context: serving.context,
        training_gpus: exact(5.0),
    };
    let (served, held) = (answer::serve(&serving).unwrap(), answer::memory(&question).unwrap());
    let [served, held] = [served.batch_full, held.sequences.unwrap()].map(|sequences| sequences.value());
    assert!((served / held - 1.0).abs() < 1e-9, "{served} sequences are served where {held} fit");
}

#[test]
fn demand() {
    let question = DemandQuestion {
        model: llm::find("gpt_3_175b").unwrap(),
        accelerator: accelerator("a100_sxm_80gb", Rate::F16),
        users: exact(13e6),
        tokens_each: exact(1000.0 / 0.75),
        peak_factor: exact(5.0),
        utilisation: exact(0.51),
        price_usd_h: exact(1.5),
    };
    let answer = answer::demand(&question).unwrap();
    // gpt35-sizing's 2195, with 174.6e9 parameters instead of 175e9 and nothing rounded on the way.
    reads("GPUs", answer.gpus, 2201.0, 1.0);
    reads("cost", answer.usd_per_1000_tokens, 0.0046, 1e-4);
    let users = DemandQuestion { users: between(13e6, 10e6, 20e6), ..question.clone() };
    let answer = answer::demand(&users).unwrap();
    assert!(answer.usd_per_1000_tokens.is_exact() && !answer.gpus.is_exact());
    assert!(matches!(
        answer::demand(&DemandQuestion { users: exact(0.0), ..question }),
        Err(CostError::Zero { what: "users" })
    ));
}

#[test]
fn answers_are_plain_data() {
    let json = serde_json::to_value(answer::serve(&davinci_serving()).unwrap()).unwrap();
    let cost = &json["usd_per_1000_tokens"];
    assert!(cost["low"].as_f64() <= cost["value"].as_f64());
    assert_eq!(json["served"]["bound"], "memory");
    serde_json::to_string(&answer::train(&llama_training()).unwrap()).unwrap();
}

#[test]
fn a_rate_the_datasheet_lacks_is_named() {
    let a100 = hardware::find("a100_sxm_80gb").unwrap();
    let error = Accelerator::datasheet(&a100, Rate::Fp8, Capacity::Sold).unwrap_err().to_string();
    assert!(error.contains("A100 SXM 80 GB") && error.contains("fp8") && error.contains("bf16"), "{error}");
    let reported = Accelerator::datasheet(&a100, Rate::F16, Capacity::Reported).unwrap();
    assert_eq!(reported.capacity_b, Figure::exact(85_899_345_920.0).unwrap());
}

#[test]
fn four_bits_shrink_by_less_than_four() {
    let bytes = |name| WeightFormat::named(name).unwrap().bytes_per_parameter;
    reads("c20.int4-size", exact(bytes("f16") / bytes("i4")), 3.88, 0.01);
    assert_eq!(WeightFormat::named("f12"), None);
    for format in WeightFormat::ALL {
        assert_eq!(WeightFormat::named(format.name), Some(format));
    }
}
