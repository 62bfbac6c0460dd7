//! Serving costs against the figures that the documents' own inputs give. Each line names its claim.

use rooflint::cost::moe::{self, Routing};
use rooflint::cost::serving::{self, Bound, Deployment, Load, Served};
use rooflint::cost::speculation::{self, Draft};
use rooflint::cost::{CostError, Figure, Roofline, memory, money};
use rooflint::llm::{KvShape, Layout, ModelError, Weights};

use crate::figures::{between, exact, reads};

#[derive(Clone, Copy)]
struct Gpu {
    capacity: f64,
    bandwidth: f64,
    compute: f64,
    price: f64,
}

const A100_40: Gpu = Gpu { capacity: 40e9, bandwidth: 1.555e12, compute: 312e12, price: 1.0 };
const A100_40_INT8: Gpu = Gpu { compute: 624e12, ..A100_40 };
const A100_80: Gpu = Gpu { capacity: 80e9, bandwidth: 2.039e12, ..A100_40 };
const A100_80_INT8: Gpu = Gpu { compute: 624e12, ..A100_80 };
const H100: Gpu = Gpu { capacity: 80e9, bandwidth: 3.35e12, compute: 989.4e12, price: 2.0 };
const H100_FP8: Gpu = Gpu { compute: 1978.9e12, ..H100 };

impl Gpu {
    fn roofline(self) -> Roofline {
        Roofline { bandwidth_b_s: exact(self.bandwidth), compute_flop_s: exact(self.compute) }
    }
}

fn gpt4() -> Weights {
    Weights::mixture(55e9, 16, 2, 111e9)
}

/// The leaked cluster: 8-way tensor, 120 layers over `stages` stages, every expert read.
fn leak(gpu: Gpu, bytes_per_parameter: f64, stages: u32, kv_heads: u32) -> Deployment {
    Deployment {
        weights: gpt4(),
        bytes_per_parameter,
        kv: KvShape { layers: 120, kv_heads, head_dim: 128, bytes_per_value: 2.0 },
        layout: Layout::new(8, stages).unwrap().averaged(),
        routing: Routing::EveryExpert,
        roofline: gpu.roofline(),
        attention_width: 0,
        overhead_s: exact(0.0),
    }
}

/// GPT-3 on eight GPUs, tensor parallel.
fn davinci(gpu: Gpu, bytes_per_parameter: f64) -> Deployment {
    Deployment {
        weights: Weights::dense(175e9),
        bytes_per_parameter,
        kv: KvShape { layers: 96, kv_heads: 96, head_dim: 128, bytes_per_value: 2.0 },
        layout: Layout::new(8, 1).unwrap(),
        ..leak(gpu, 2.0, 1, 1)
    }
}

fn full(deployment: &Deployment, gpu: Gpu, context: f64) -> Served {
    serving::decode_full(deployment, exact(gpu.capacity), exact(context)).unwrap()
}

fn price(deployment: &Deployment, gpu: Gpu, served: &Served) -> Figure {
    money::usd_per_1000_tokens(deployment.gpus(), exact(gpu.price), served.throughput_tok_s).unwrap()
}

fn sequences(deployment: &Deployment, gpu: Gpu, context: f64) -> Figure {
    deployment.room(exact(gpu.capacity)).unwrap().sequences(exact(context)).unwrap()
}

#[test]
fn leaked_costs_at_a_full_8k() {
    let told = [
        ("g4.cost-a100 FP16", A100_40, 2.0, 0.0296),
        ("g4.cost-a100 int8", A100_40_INT8, 1.0, 0.0071),
        ("g4.cost-a100 80 GB FP16", A100_80, 2.0, 0.0054),
        ("g4.cost-a100 80 GB int8", A100_80_INT8, 1.0, 0.0025),
        ("g4.cost-h100 FP16", H100, 2.0, 0.0066),
        ("g4.cost-h100 FP8", H100_FP8, 1.0, 0.0030),
    ];
    for (id, gpu, bytes, told) in told {
        let deployment = leak(gpu, bytes, 16, 1);
        let served = full(&deployment, gpu, 8192.0);
        assert_eq!(served.bound, Bound::Memory, "{id}");
        reads(id, price(&deployment, gpu, &served), told, 1e-4);
    }
    // With the experts that 22.6 tokens reach on average the dearest of them is 5 % cheaper: 95.1 % of 16 are read.
    let uniform = Deployment { routing: Routing::Uniform, ..leak(A100_40, 2.0, 16, 1) };
    let served = full(&uniform, A100_40, 8192.0);
    reads("g4.cost-a100 FP16, uniform routing", price(&uniform, A100_40, &served), 0.0283, 1e-4);
}

#[test]
fn leaked_costs_hold_at_one_average_context() {
    let at = |gpu: Gpu, bytes, usd| {
        let d = leak(gpu, bytes, 16, 1);
        let context = serving::context_at_cost(&d, exact(gpu.capacity), exact(gpu.price), exact(usd)).unwrap();
        (context, sequences(&d, gpu, context.value()))
    };
    let (context, batch) = at(A100_40_INT8, 1.0, 0.0049);
    reads("g4.cost-a100 int8", context, 5.6e3, 100.0);
    reads("g4.cost-a100 int8", batch, 1190.0, 10.0);
    let (context, batch) = at(A100_40, 2.0, 0.0049);
    reads("g4.cost-a100 FP16", context, 1.35e3, 10.0);
    reads("g4.cost-a100 FP16", batch, 2190.0, 10.0);
    reads("g4.cost-h100", at(H100_FP8, 1.0, 0.0021).0, 5.7e3, 100.0);
    let unreachable = serving::context_at_cost(&leak(A100_40, 2.0, 16, 1), exact(40e9), exact(1.0), exact(1e-9));
    assert!(matches!(unreachable, Err(CostError::Unreachable { what: "average context", .. })));
}

#[test]
fn h100_over_a100() {
    let gain = |reserved: f64, unit: f64| {
        let rate = |gpu: Gpu| {
            let gpu = Gpu { capacity: gpu.capacity * unit - reserved, ..gpu };
            full(&leak(gpu, 1.0, 16, 1), gpu, 8192.0).throughput_tok_s.value()
        };
        (rate(A100_40_INT8), rate(H100_FP8))
    };
    let (a100, h100) = gain(0.0, 1.0);
    reads("g4.h100-gain A100", exact(a100), 4989.0, 1.0);
    reads("g4.h100-gain H100", exact(h100), 23_750.0, 1.0);
    reads("g4.h100-gain", exact(h100 / a100), 4.76, 0.01);
    let (a100, h100) = gain(0.0, 1.024f64.powi(3));
    reads("g4.h100-gain GiB", exact(h100 / a100), 4.61, 0.01);
    let (a100, h100) = gain(2e9, 1.0);
    reads("g4.h100-gain 2 GB reserved", exact(h100 / a100), 5.0, 0.1);
}

#[test]
fn davinci_and_the_price_of_chatgpt() {
    let fp16 = davinci(A100_80, 2.0);
    let served = full(&fp16, A100_80, 2048.0);
    reads("g4.vs-davinci-cost FP16", price(&fp16, A100_80, &served), 0.0029, 1e-4);
    reads("gs.decode-util", served.utilisation, 0.107, 1e-3);
    reads("gs.decode-util sequences", sequences(&fp16, A100_80, 2048.0), 30.0, 1.0);
    reads("gs.decode-util 1333", full(&fp16, A100_80, 1333.0).utilisation, 0.165, 1e-3);
    reads("gs.decode-util 431", full(&fp16, A100_80, 431.0).utilisation, 0.51, 1e-2);
    reads("KV per token", exact(fp16.kv.bytes_per_token()), 4.72e6, 1e4);
    let int8 = davinci(A100_80_INT8, 1.0);
    reads("g4.vs-davinci-cost int8", price(&int8, A100_80, &full(&int8, A100_80, 2048.0)), 0.0018, 1e-4);
    let context = |d: &Deployment| serving::context_at_cost(d, exact(80e9), exact(1.5), exact(0.002)).unwrap();
    reads("c20.price FP16", context(&fp16), 940.0, 10.0);
    reads("c20.price int8", context(&int8), 1500.0, 100.0);
    // GPUs for gpt35-sizing's demand at these rates.
    let gpus = |context| {
        let rate = full(&fp16, A100_80, context).throughput_tok_s.scaled(0.125).unwrap();
        rooflint::cost::demand::gpus_at_rate(exact(13e9 / 0.75), exact(5.0), rate).unwrap()
    };
    reads("gs.trendforce 1333", gpus(1333.0), 6830.0, 10.0);
    reads("gs.trendforce 2048", gpus(2048.0), 10_490.0, 10.0);
}

#[test]
fn latency_against_cost() {
    let all_experts = |gpu, bytes| {
        let deployment = leak(gpu, bytes, 16, 1);
        // One sequence per stage and no context: the fastest that reads every expert.
        serving::decode(&deployment, Load::new(exact(16.0), exact(0.0))).unwrap().user_tok_s
    };
    reads("x.speed-vs-cost A100 FP16", all_experts(A100_40, 2.0), 3.4, 0.1);
    reads("x.speed-vs-cost A100 int8", all_experts(A100_40_INT8, 1.0), 6.8, 0.1);
    reads("x.speed-vs-cost H100 FP16", all_experts(H100, 2.0), 7.3, 0.1);
    reads("x.speed-vs-cost H100 FP8", all_experts(H100_FP8, 1.0), 14.6, 0.1);
    let alone = |gpu, bytes| {
        let deployment = Deployment { routing: Routing::Uniform, ..leak(gpu, bytes, 16, 1) };
        serving::decode(&deployment, Load::new(exact(1.0), exact(0.0))).unwrap().user_tok_s
    };
    reads("x.speed-vs-cost batch 1", alone(A100_40, 2.0), 22.0, 1.0);
    reads("x.speed-vs-cost batch 1", alone(A100_40_INT8, 1.0), 45.0, 1.0);
    reads("x.speed-vs-cost batch 1", alone(H100, 2.0), 48.0, 1.0);
    reads("x.speed-vs-cost batch 1", alone(H100_FP8, 1.0), 97.0, 1.0);
}

#[test]
fn what_memory_holds() {
    let fp16 = leak(A100_40, 2.0, 16, 1);
    let int8 = leak(A100_40_INT8, 1.0, 16, 1);
    let (mha16, mha8) = (leak(A100_40, 2.0, 16, 84), leak(A100_40_INT8, 1.0, 16, 84));
    let room = |d: &Deployment| d.room(exact(40e9)).unwrap();
    reads("g4.gpu-bytes FP16", room(&fp16).weights_b, 28.6e9, 1e8);
    reads("g4.gpu-bytes FP8", room(&int8).weights_b, 14.3e9, 1e8);
    reads("g4.serve-fit", room(&fp16).free_b, 11.4e9, 1e8);
    reads("g4.serve-fit", room(&int8).free_b, 25.7e9, 1e8);
    reads("g4.serve-fit", room(&fp16).tokens, 2.97e6, 1e4);
    reads("g4.serve-fit", room(&int8).tokens, 6.69e6, 1e4);
    reads("g4.serve-fit", room(&mha16).tokens, 0.28e6, 1e4);
    reads("g4.serve-fit", room(&mha8).tokens, 0.64e6, 1e4);
    assert_eq!(room(&fp16).kv_token_b.value(), 3840.0);
    assert_eq!(room(&mha16).kv_token_b.value(), 40_320.0);
    assert_eq!(mha16.kv.bytes_per_token() / fp16.kv.bytes_per_token(), 84.0);
    assert_eq!(fp16.kv.copies(fp16.layout).unwrap(), 8.0);
    for (d, at_32k, at_8k, at_4096) in [
        (&fp16, 90.0, 362.0, 724.0),
        (&int8, 204.0, 816.0, 1634.0),
        (&mha16, 8.0, 34.0, 69.0),
        (&mha8, 19.0, 77.0, 156.0),
    ] {
        assert_eq!(room(d).sequences(exact(32_768.0)).unwrap().value().floor(), at_32k, "g4.32k-fit");
        assert_eq!(room(d).sequences(exact(8192.0)).unwrap().value().floor(), at_8k, "g4.8k-cap");
        reads("x.batch-vs-memory", room(d).context(exact(4096.0)).unwrap(), at_4096, 1.0);
    }
    // GPT-3 in FP32 on nine GPUs, its layers spread over them.
    let idle = memory::room(
        &Weights::dense(175e9),
        4.0,
        &KvShape { layers: 96, kv_heads: 96, head_dim: 128, bytes_per_value: 4.0 },
        Layout::new(1, 9).unwrap().averaged(),
        exact(80e9),
    );
    reads("gs.idle-room", idle.unwrap().tokens, 2119.0, 1.0);
    reads("gs.serve-gpus", memory::least_gpus(exact(700e9), exact(80e9)).unwrap(), 9.0, 1.0);
    reads("gs.precision-mix", memory::least_gpus(exact(350e9), exact(80e9)).unwrap(), 5.0, 1.0);
    let live = |tokens| memory::live_activations_b(exact(tokens), exact(2048.0), 12_288, 96, 4.0).unwrap();
    reads("bm.activations prefill", live(2048.0), 2.6e9, 1e8);
    let decoded = memory::live_activations_b(exact(1.0), exact(0.0), 12_288, 96, 4.0).unwrap();
    reads("bm.activations decode", decoded, 0.5e6, 1e5);
    reads("bm.activations factor", exact(700e9 / live(2048.0).value()), 267.0, 1.0);
    // Weights of 4 bits leave room for eight times the tokens once FP16 ones fill 90 % of memory.
    reads("c20.int4-speed", memory::share_for_room_gain(exact(8.0), exact(4.0)).unwrap(), 0.90, 0.01);
    let gain = memory::room_gain(exact(7.0 / 7.75), exact(4.0)).unwrap();
    assert!((gain.value() - 8.0).abs() < 1e-9);
}

#[test]
fn capacity_and_more_chips() {
    for (gpu40, gpu80, bytes, told) in [(A100_40, A100_80, 2.0, 5.5), (A100_40_INT8, A100_80_INT8, 1.0, 2.9)] {
        let rate = |gpu| full(&leak(gpu, bytes, 16, 1), gpu, 8192.0).throughput_tok_s.value();
        reads("g4.capacity", exact(rate(gpu80) / rate(gpu40)), told, 0.1);
    }
    for (gpu, bytes, faster, cheaper) in [(A100_40, 2.0, 4.4, 2.2), (A100_40_INT8, 1.0, 2.5, 1.24)] {
        let served = |stages| full(&leak(gpu, bytes, stages, 1), gpu, 8192.0);
        let gain = served(32).throughput_tok_s.value() / served(16).throughput_tok_s.value();
        reads("g4.more-chips", exact(gain), faster, 0.1);
        reads("g4.more-chips", exact(gain / 2.0), cheaper, if cheaper == 1.24 { 0.01 } else { 0.1 });
    }
    let latency = |stages| full(&leak(A100_40, 2.0, stages, 1), A100_40, 8192.0).token_latency_s;
    reads("g4.more-chips", latency(16), 0.302, 1e-3);
    reads("g4.more-chips", latency(32), 0.311, 1e-3);
    for (gpu, bytes, told) in [(A100_40_INT8, 1.0, 0.47), (H100_FP8, 1.0, 0.44)] {
        let d = leak(gpu, bytes, 16, 1);
        let load = Load::new(sequences(&d, gpu, 8192.0), exact(8192.0));
        reads("g4.low-util", serving::batch_share_at_cost(&d, load, exact(2.0)).unwrap(), told, 0.01);
    }
}

#[test]
fn rooflines() {
    let ridge = |gpu: Gpu| gpu.roofline().ridge_batch(2.0).unwrap();
    reads("g4.ridge-batch A100 40", ridge(A100_40), 201.0, 1.0);
    reads("g4.ridge-batch A100 80", ridge(A100_80), 153.0, 1.0);
    reads("g4.ridge-batch H100", ridge(H100), 295.0, 1.0);
    let claimed = Roofline { bandwidth_b_s: exact(3e12), compute_flop_s: exact(2000e12) };
    reads("g4.h100-spec", claimed.ridge_flop_b().unwrap(), 667.0, 1.0);
    reads("g4.ridge-batch", claimed.ridge_batch(1.0).unwrap(), 333.0, 1.0);
    reads("g4.h100-spec datasheet", H100_FP8.roofline().ridge_flop_b().unwrap(), 591.0, 1.0);
    let share = |gpu: Gpu, intensity| serving::compute_over_read(&gpu.roofline(), exact(intensity)).unwrap();
    reads("g4.batch1-bound H100", share(H100, 1.0), 0.003, 1e-3);
    reads("g4.batch1-bound H100 FP8", share(H100_FP8, 2.0), 0.003, 1e-3);
    reads("g4.batch1-bound A100 40", share(A100_40, 1.0), 0.005, 1e-3);
    reads("g4.batch1-bound A100 80", share(A100_80, 1.0), 0.007, 1e-3);
    let stream = |bandwidth| serving::one_stream_tok_s(exact(1e9), 2.0, exact(bandwidth)).unwrap();
    // 17.05 and 25.6 tokens per second.
    reads("g4.iphone 14", stream(34.1e9), 17.0, 0.11);
    reads("g4.iphone 14 Pro", stream(51.2e9), 25.6, 0.1);
    reads("bm.local", serving::one_stream_tok_s(exact(7e9), 0.5, exact(34.1e9)).unwrap(), 9.7, 0.1);
    reads("bm.local", serving::one_stream_tok_s(exact(7e9), 0.5, exact(51.2e9)).unwrap(), 14.6, 0.1);
    let reading = exact(238.0 / 60.0 / 0.75);
    reads("g4.iphone", serving::largest_at_rate(exact(34.1e9), 2.0, reading).unwrap(), 3.2e9, 1e8);
    reads("g4.forward-flop", serving::flop_per_token(exact(280e9)).unwrap(), 560e9, 1e9);
    assert_eq!(serving::attention_flop_per_token(96, 12_288, exact(10.0)).unwrap().value(), 40.0 * 96.0 * 12_288.0);
}

#[test]
fn experts() {
    let read = |tokens, routing| moe::experts_read(16, 2, exact(tokens), routing).unwrap();
    reads("g4.moe-batch", read(8.0, Routing::Uniform), 10.5, 0.1);
    reads("g4.moe-batch", exact(1.0 - read(8.0, Routing::Uniform).value() / 16.0), 0.34, 0.01);
    assert_eq!(read(1.0, Routing::EveryExpert).value(), 16.0);
    assert_eq!(moe::tokens_per_expert(16, 2, exact(8.0)).unwrap().value(), 1.0);
    for (experts, told) in [(16, 512.0), (64, 128.0), (128, 64.0)] {
        assert_eq!(moe::tokens_per_expert(experts, 2, exact(4096.0)).unwrap().value(), told, "g4.more-experts");
    }
    let intensity = |tokens| moe::intensity_flop_b(&gpt4(), exact(tokens), 1.0, Routing::EveryExpert).unwrap();
    reads("g4.moe-intensity", intensity(256.0), 77.0, 1.0);
    reads("g4.moe-intensity", intensity(512.0), 155.0, 1.0);
    reads("g4.moe-intensity", intensity(1692.0), 512.0, 1.0);
    let touched = moe::parameters_read(&gpt4(), exact(8.0), Routing::Uniform).unwrap();
    reads("g4.moe-intensity", exact(touched.value() / gpt4().total()), 0.67, 0.01);
    reads("g4.dense-ratio", exact(gpt4().total() / gpt4().active()), 6.61, 0.01);
    // Exact, where claims were told from 200 000 draws: 2.96 and 17.5 %.
    let load = moe::load(16, 2, 8).unwrap();
    assert!((load.busiest.iter().sum::<f64>() - 1.0).abs() < 1e-12);
    reads("g4.moe-worst", exact(load.busiest_mean), 2.955, 1e-3);
    reads("g4.moe-worst", exact(load.at_least(4)), 0.1739, 1e-4);
    reads("g4.moe-worst", exact(load.all_on_one * 1e7), 9.5, 0.1);
    reads("g4.moe-batch", exact(load.idle_share), (7.0f64 / 8.0).powi(8), 1e-12);
    // Three tokens on one of two experts each: all on one with probability 2/8.
    assert_eq!(moe::load(2, 1, 3).unwrap().busiest, [0.0, 0.0, 0.75, 0.25]);
    assert_eq!(moe::load(4, 4, 3).unwrap().busiest_mean, 3.0);
    assert!(matches!(moe::load(16, 2, 100), Err(CostError::TooLarge { value: 200, .. })));
    assert!(matches!(moe::load(2, 3, 1), Err(CostError::AboveOne { .. })));
}

#[test]
fn speculation() {
    let draft = |length, acceptance| Draft { length, acceptance: exact(acceptance), cost: exact(0.05) };
    reads("g4.spec-decode", speculation::tokens_per_check(4, exact(0.8)).unwrap(), 3.36, 0.01);
    reads("g4.spec-decode", speculation::speed_up(draft(4, 0.8), exact(1.0)).unwrap(), 2.80, 0.01);
    reads("g4.spec-decode", speculation::speed_up(draft(8, 0.8), exact(1.0)).unwrap(), 3.09, 0.01);
    let best = |acceptance| speculation::best_length(exact(acceptance), exact(0.05), exact(1.0), 32).unwrap();
    assert_eq!((best(0.8), best(0.6), best(0.0)), (8, 4, 0));
    reads("g4.spec-length", speculation::whole_draft(4, exact(0.8)).unwrap(), 0.41, 0.01);
    reads("g4.spec-length", speculation::whole_draft(8, exact(0.8)).unwrap(), 0.17, 0.01);
    reads("g4.spec-small-batch", speculation::break_even_check_ratio(draft(4, 0.8)).unwrap(), 3.16, 0.01);
    assert_eq!(speculation::tokens_per_check(4, exact(1.0)).unwrap().value(), 5.0);
    let window = |d: &Deployment, most| speculation::batches_that_pay(d, exact(0.0), draft(4, 0.8), most).unwrap();
    for (gpu, told) in [(A100_40, 126..=127), (A100_80, 96..=97), (H100, 186..=187)] {
        let runs = window(&davinci(gpu, 2.0), 512);
        assert_eq!((runs.len(), runs[0].0), (1, 1), "g4.spec-small-batch");
        assert!(told.contains(&runs[0].1), "g4.spec-small-batch: {runs:?}");
    }
    let moe = Deployment { routing: Routing::Uniform, ..leak(A100_40, 2.0, 16, 1) };
    for (batch, ratio, speed) in
        [(1.0, 3.32, 0.95), (2.0, 2.89, 1.09), (4.0, 2.16, 1.42), (8.0, 1.49, 1.99), (32.0, 1.01, 2.77)]
    {
        let bytes = speculation::bytes_ratio(&gpt4(), exact(batch), 4, Routing::Uniform).unwrap();
        reads("g4.spec-moe bytes", bytes, ratio, 0.01);
        let load = Load { micro_batches: Some(1), ..Load::new(exact(batch), exact(0.0)) };
        let check = speculation::check_ratio(&moe, load, 4).unwrap();
        assert!((check.value() - bytes.value()).abs() < 1e-12);
        reads("g4.spec-moe", speculation::speed_up(draft(4, 0.8), check).unwrap(), speed, 0.01);
    }
    let runs = window(&moe, 2000);
    assert_eq!((runs.len(), runs[0].0), (1, 2), "g4.spec-moe");
    reads("g4.spec-moe", exact(runs[0].1.into()), 840.0, 10.0);
    assert!(matches!(speculation::tokens_per_check(4, exact(1.1)), Err(CostError::AboveOne { .. })));
}

#[test]
fn what_is_wrong_is_named() {
    let d = leak(A100_40, 2.0, 16, 1);
    let error = d.room(exact(20e9)).unwrap_err().to_string();
    assert_eq!(error, "the weights' share needs 28.61 GB per GPU of 20 GB: 8.609 GB too much");
    let none = serving::decode(&d, Load::new(exact(0.0), exact(1.0))).unwrap_err().to_string();
    assert_eq!(none, "batch is zero (or its interval reaches zero); it must be more");
    let whole = Deployment { layout: Layout::new(8, 16).unwrap(), ..leak(A100_40, 2.0, 16, 84) };
    let error = whole.room(exact(40e9)).unwrap_err();
    assert!(matches!(error, CostError::Model(ModelError::Indivisible { what: "KV heads", count: 84, ranks: 8, .. })));
    assert!(matches!(
        serving::usd_per_1000_tokens(&d, Load::new(exact(16.0), exact(1.0)), exact(0.0)),
        Err(CostError::Zero { what: "the price of a GPU-hour" })
    ));
    for (value, low, high) in [(-1.0, -1.0, -1.0), (1.0, 2.0, 3.0), (4.0, 2.0, 3.0), (f64::NAN, 0.0, 1.0)] {
        assert!(Figure::between(value, low, high).is_err());
    }
    assert!(Figure::exact(f64::INFINITY).is_err());
    for value in [0.0, -2.0, f64::NAN, f64::INFINITY] {
        let error = Figure::stated("the price of a GPU-hour", value).unwrap_err().to_string();
        assert_eq!(error, format!("the price of a GPU-hour is {value}; it must be a number above zero"));
    }
    assert_eq!(Figure::stated("batch", 3.0), Figure::exact(3.0));
    let stages = Deployment { layout: Layout::new(1, 121).unwrap(), ..d };
    assert!(matches!(stages.room(exact(40e9)), Err(CostError::Model(ModelError::Number { value: 121, .. }))));
    let crowded = Deployment { weights: Weights::mixture(1e9, 2, 3, 1e9), ..d };
    assert!(matches!(serving::decode(&crowded, Load::new(exact(1.0), exact(1.0))), Err(CostError::AboveOne { .. })));
}

#[test]
fn expert_ranks_and_one_pass() {
    // Experts over 16 ranks of a single GPU: each reads its own sixteenth, all read the shared part.
    let d = Deployment { layout: Layout::new(1, 1).unwrap().with_expert(16).unwrap(), ..leak(H100, 1.0, 1, 1) };
    let served = serving::decode(&d, Load::new(exact(256.0), exact(0.0))).unwrap();
    reads("stage", served.stage_time_s, (55e9 + 111e9) / 3.35e12, 1e-6);
    reads("throughput", served.throughput_tok_s, 256.0 * 3.35e12 / 166e9, 1.0);
    // Each rank keeps and reads the cache of its own sixteenth of the sequences.
    let room = d.room(exact(192e9)).unwrap();
    assert!((room.tokens.value() - 16.0 * room.free_b.value() / d.kv.bytes_per_token()).abs() < 1e-3);
    let long = serving::decode(&d, Load::new(exact(256.0), exact(1000.0))).unwrap();
    let kv = long.stage_time_s.value() - served.stage_time_s.value();
    assert!((kv * 3.35e12 / (16.0 * 1000.0 * d.kv.bytes_per_token()) - 1.0).abs() < 1e-9);
    // A pipeline of 16 gives each stage 256 of 4096 sequences; all in one pass leave fifteen stages idle.
    let d = leak(A100_40, 2.0, 16, 1);
    let split = serving::decode(&d, Load::new(exact(4096.0), exact(0.0))).unwrap();
    let once = serving::decode(&d, Load { micro_batches: Some(1), ..Load::new(exact(4096.0), exact(0.0)) }).unwrap();
    assert_eq!((split.micro_batch.value(), once.micro_batch.value()), (256.0, 4096.0));
    assert!(split.throughput_tok_s.value() > once.throughput_tok_s.value());
    // The interval of a measured bandwidth passes through, the other way round for times.
    let measured = Roofline { bandwidth_b_s: between(1.4e12, 1.3e12, 1.5e12), ..d.roofline };
    let served = serving::decode(&Deployment { roofline: measured, ..d }, Load::new(exact(16.0), exact(0.0))).unwrap();
    let at = |bandwidth: f64| 3.662e12 / 128.0 / bandwidth;
    let stage = served.stage_time_s;
    for (found, told) in [(stage.value(), at(1.4e12)), (stage.low(), at(1.5e12)), (stage.high(), at(1.3e12))] {
        assert!((found / told - 1.0).abs() < 1e-12);
    }
}
