//! Serving costs against the figures that the documents' own inputs give.

use rooflint::cost::moe::{self, Routing};
use rooflint::cost::serving::{self, Deployment, Load};
use rooflint::cost::{CostError, Figure, Roofline, memory, money, speculation};
use rooflint::llm::{KvShape, Layout, Weights};

pub(crate) fn exact(value: f64) -> Figure {
    Figure::exact(value).unwrap()
}

/// `found` is `told` within half a unit of the last digit told.
#[track_caller]
pub(crate) fn reads(found: Figure, told: f64, last_digit: f64) {
    let found = found.value();
    assert!((found - told).abs() <= 0.5 * last_digit * (1.0 + 1e-9), "found {found}, told {told}");
}

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

fn gpt4() -> Weights {
    Weights::mixture(55e9, 16, 2, 111e9)
}

/// The cluster as claimed: 8-way tensor, 120 layers over `stages` stages, multi-query attention, every expert read.
fn leak(gpu: Gpu, bytes_per_parameter: f64, stages: u32, kv_heads: u32) -> Deployment {
    Deployment {
        weights: gpt4(),
        bytes_per_parameter,
        kv: KvShape { layers: 120, kv_heads, head_dim: 128, bytes_per_value: 2.0 },
        layout: Layout::new(8, stages).unwrap().averaged(),
        routing: Routing::EveryExpert,
        roofline: Roofline { bandwidth_b_s: exact(gpu.bandwidth), compute_flop_s: exact(gpu.compute) },
        attention_width: 0,
        overhead_s: exact(0.0),
    }
}

fn cost_full(gpu: Gpu, bytes: f64) -> Figure {
    let deployment = leak(gpu, bytes, 16, 1);
    let served = serving::decode_full(&deployment, exact(gpu.capacity), exact(8192.0)).unwrap();
    money::usd_per_1000_tokens(deployment.gpus(), exact(gpu.price), served.throughput_tok_s).unwrap()
}

#[test]
fn leaked_costs_at_a_full_8k() {
    reads(cost_full(A100_40, 2.0), 0.0296, 1e-4);
    reads(cost_full(A100_40_INT8, 1.0), 0.0071, 1e-4);
    reads(cost_full(A100_80, 2.0), 0.0054, 1e-4);
    reads(cost_full(A100_80_INT8, 1.0), 0.0025, 1e-4);
    reads(cost_full(H100, 2.0), 0.0066, 1e-4);
    reads(cost_full(H100_FP8, 1.0), 0.0030, 1e-4);
}

#[test]
fn leaked_costs_hold_at_one_average_context() {
    let at = |gpu: Gpu, bytes, usd| {
        let d = leak(gpu, bytes, 16, 1);
        let context = serving::context_at_cost(&d, exact(gpu.capacity), exact(gpu.price), exact(usd)).unwrap();
        (context, d.room(exact(gpu.capacity)).unwrap().sequences(context).unwrap())
    };
    let (context, sequences) = at(A100_40_INT8, 1.0, 0.0049);
    reads(context, 5.6e3, 100.0);
    reads(sequences, 1190.0, 10.0);
    let (context, sequences) = at(A100_40, 2.0, 0.0049);
    reads(context, 1.35e3, 10.0);
    reads(sequences, 2190.0, 10.0);
    reads(at(H100_FP8, 1.0, 0.0021).0, 5.7e3, 100.0);
}

#[test]
fn speculation_window() {
    let d = leak(A100_40, 2.0, 16, 1);
    let d = Deployment { routing: Routing::Uniform, ..d };
    let ratio = |b: f64| {
        speculation::check_ratio(&d, Load { micro_batches: Some(1), ..Load::new(exact(b), exact(0.0)) }, 4).unwrap()
    };
    reads(ratio(1.0), 3.32, 0.01);
    reads(ratio(2.0), 2.89, 0.01);
    reads(ratio(32.0), 1.01, 0.01);
    let load = moe::load(16, 2, 8).unwrap();
    assert!((load.busiest.iter().sum::<f64>() - 1.0).abs() < 1e-12);
    reads(exact(load.busiest_mean), 2.955, 0.001);
    reads(exact(load.at_least(4)), 0.1739, 1e-4);
    reads(exact(load.idle_share), 0.34, 0.01);
    reads(exact(load.all_on_one * 1e7), 9.5, 0.1);
}

#[test]
fn room_and_errors() {
    let d = leak(A100_40, 2.0, 16, 84);
    reads(d.room(exact(40e9)).unwrap().kv_token_b, 40320.0, 1.0);
    let error = d.room(exact(20e9)).unwrap_err();
    assert!(matches!(error, CostError::DoesNotFit { .. }), "{error}");
    let _ = memory::MIXED_ADAM;
}
