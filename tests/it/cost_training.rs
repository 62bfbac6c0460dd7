//! Training costs against the figures that the documents' own inputs give. Each line names its claim.

use rooflint::cost::memory::{self, MIXED_ADAM, StateBytes, Zero};
use rooflint::cost::training::{DAY_S, PF_DAY_FLOP};
use rooflint::cost::{CostError, Figure, communication, moe, money, pipeline, training};
use rooflint::llm::{self, Layout, Weights};

use crate::figures::{between, exact, ranges, reads};

const A100: f64 = 312e12;
const YEAR_S: f64 = 365.0 * DAY_S;

fn days(days: f64) -> Figure {
    exact(days * DAY_S)
}

fn gpt4_flop() -> Figure {
    exact(2.15e25)
}

/// 90 to 100 days, 95 in the middle.
fn gpt4_time() -> Figure {
    between(95.0 * DAY_S, 90.0 * DAY_S, 100.0 * DAY_S)
}

#[test]
fn operations() {
    let gpt4 = Weights::mixture(55e9, 16, 2, 111e9);
    assert_eq!((gpt4.total(), gpt4.active()), (1.831e12, 277e9));
    reads("g4.train-flop", training::flop(exact(277e9), exact(13e12)).unwrap(), 2.16e25, 1e23);
    reads("g4.batch", moe::tokens_per_expert(16, 2, exact(60e6)).unwrap(), 7.5e6, 1e4);
    reads("gs.pfdays", exact(3640.0 * PF_DAY_FLOP), 3.145e23, 1e20);
    reads("gs.pfdays from 6ND", training::flop(exact(174.6e9), exact(300e9)).unwrap(), 3.14e23, 1e21);
    let tokens = training::tokens(exact(3640.0 * PF_DAY_FLOP), exact(174.6e9)).unwrap();
    reads("c20.kaplan", tokens, 300e9, 1e9);
    // GPT-3's attention adds 2 % at 2048 tokens, half of it where the causal half is skipped.
    let attention = training::attention_flop(96, 12_288, exact(2048.0), exact(300e9), false).unwrap().value();
    assert_eq!(attention, 12.0 * 96.0 * 12_288.0 * 2048.0 * 300e9);
    let half = training::attention_flop(96, 12_288, exact(2048.0), exact(300e9), true).unwrap().value();
    assert_eq!(half * 2.0, attention);
}

#[test]
fn hidden_sizes_behind_the_counts() {
    reads("g4.shape", exact(llm::hidden_from(55e9, 120, 4).unwrap()), 10_704.0, 1.0);
    reads("g4.shape", exact(llm::hidden_from(111e9, 120, 8).unwrap()), 10_753.0, 1.0);
    reads("g4.shape", exact(llm::hidden_from_multi_query(55e9, 120, 128).unwrap()), 15_074.0, 1.0);
    assert!(llm::hidden_from(1.0, 0, 4).is_err());
}

#[test]
fn utilisation_and_rates() {
    let mfu = training::mfu(gpt4_flop(), exact(25_000.0), exact(A100), gpt4_time()).unwrap();
    ranges("g4.mfu", mfu, 0.319, 0.354, 1e-3);
    let h100 = training::achieved_flop_s(gpt4_flop(), exact(8192.0), days(55.0)).unwrap();
    reads("g4.h100-rate", h100, 552e12, 1e12);
    let of_peak = |peak| training::mfu(gpt4_flop(), exact(8192.0), exact(peak), days(55.0)).unwrap();
    reads("g4.h100-rate BF16", of_peak(989.4e12), 0.558, 1e-3);
    reads("g4.h100-rate FP8", of_peak(1978.9e12), 0.279, 1e-3);
    let llama = training::flop(exact(65e9), exact(1.4e12)).unwrap();
    reads("bm.llama-mfu", training::achieved_flop_s(llama, exact(2048.0), days(21.0)).unwrap(), 147e12, 1e12);
    reads("bm.llama-mfu", training::mfu(llama, exact(2048.0), exact(A100), days(21.0)).unwrap(), 0.471, 1e-3);
    let gpt3 = exact(3.14e23);
    reads("bm.gpt3-cost", training::achieved_flop_s(gpt3, exact(1.0), exact(355.0 * YEAR_S)).unwrap(), 28e12, 1e12);
    let years = training::gpu_seconds(gpt3, exact(0.16e15)).unwrap().scaled(1.0 / YEAR_S).unwrap();
    reads("bm.gpt3-cost at the A100 rate", years, 62.0, 1.0);
    let gpu_days = training::gpu_seconds(exact(3640.0 * PF_DAY_FLOP), exact(0.16e15)).unwrap().scaled(1.0 / DAY_S);
    reads("gs.train-days", gpu_days.clone().unwrap(), 22_750.0, 1.0);
    reads("gs.train-gpus", gpu_days.unwrap().scaled(1.0 / 30.0).unwrap(), 758.3, 0.1);
    let opt = training::time_s(exact(3640.0 * PF_DAY_FLOP), exact(992.0), exact(A100), exact(147.0 / 312.0)).unwrap();
    reads("gs.train-1000", opt.scaled(1.0 / DAY_S).unwrap(), 25.0, 1.0);
    let cpus = |years: f64| training::achieved_flop_s(llama, exact(2048.0), exact(years * YEAR_S)).unwrap();
    reads("bm.cpu-decades", cpus(30.0), 0.28e12, 0.01e12);
    reads("bm.cpu-decades", cpus(20.0), 0.42e12, 0.01e12);
    let at_two = training::time_s(llama, exact(2048.0), exact(2e12), exact(1.0)).unwrap();
    reads("bm.cpu-decades", at_two.scaled(1.0 / YEAR_S).unwrap(), 4.2, 0.1);
}

#[test]
fn the_pipeline_explains_the_utilisation() {
    let replicas = pipeline::replicas(exact(25_000.0), 120).unwrap();
    let micro_batches = pipeline::micro_batches(exact(60e6), exact(8192.0), replicas).unwrap();
    reads("g4.bubble m", micro_batches, 35.2, 0.1);
    let idle = |interleaved| pipeline::idle_share(15, micro_batches, interleaved).unwrap();
    for (interleaved, told) in [(1, 0.285), (2, 0.166), (4, 0.091), (8, 0.047)] {
        reads("g4.bubble", idle(interleaved), told, 1e-3);
    }
    let pairs = pipeline::micro_batches(exact(60e6), exact(2.0 * 8192.0), replicas).unwrap();
    reads("g4.bubble, two sequences", pipeline::idle_share(15, pairs, 1).unwrap(), 0.443, 1e-3);
    let mfu = training::mfu(gpt4_flop(), exact(25_000.0), exact(A100), gpt4_time()).unwrap();
    ranges("g4.mfu-ceiling", pipeline::busy_mfu(mfu, idle(1)).unwrap(), 0.446, 0.496, 1e-3);
    let middle = training::mfu(gpt4_flop(), exact(25_000.0), exact(A100), days(95.0)).unwrap();
    reads("surprise 4", pipeline::busy_mfu(middle, idle(1)).unwrap(), 0.47, 1e-2);
    assert_eq!(pipeline::idle_share(1, exact(8.0), 1).unwrap().value(), 0.0);
    assert!(matches!(pipeline::idle_share(8, exact(0.0), 1), Err(CostError::Zero { what: "micro-batches" })));
}

#[test]
fn state_under_zero() {
    let state = |zero, bytes| memory::training_state(exact(1.8e12), 120, exact(25_000.0 / 120.0), zero, bytes).unwrap();
    let gb = |figure: Figure| figure.scaled(1e-9).unwrap();
    reads("g4.train-parallel", gb(state(Zero::Nothing, MIXED_ADAM).weights_b), 30.0, 0.1);
    reads("g4.train-fit", gb(state(Zero::Optimizer, MIXED_ADAM).total_b), 60.9, 0.1);
    reads("g4.train-fit ZeRO-2", gb(state(Zero::Gradients, MIXED_ADAM).total_b), 31.0, 0.1);
    let fp32_gradients = StateBytes { gradients: 4.0, ..MIXED_ADAM };
    reads("g4.train-fit FP32 gradients", gb(state(Zero::Optimizer, fp32_gradients).total_b), 90.9, 0.1);
    // Stage 0 keeps 16 bytes a parameter, stage 3 shares them all.
    assert_eq!(state(Zero::Nothing, MIXED_ADAM).total_b.value(), 16.0 * 15e9);
    let shared = state(Zero::Weights, MIXED_ADAM).total_b.value();
    assert!((shared - 16.0 * 15e9 / (25_000.0 / 120.0)).abs() < 1.0);
    let total = state(Zero::Optimizer, MIXED_ADAM).total_b;
    let error = memory::fits("training state", total, exact(40e9)).unwrap_err().to_string();
    assert_eq!(error, "training state needs 60.86 GB per GPU of 40 GB: 20.86 GB too much");
    memory::fits("training state", total, exact(80e9)).unwrap();
    let layout = Layout::new(8, 15).unwrap();
    assert_eq!(memory::weights_b(&Weights::dense(1.8e12), 2.0, layout), 30e9);
    reads("g4.pp15 weights", memory::least_stages(exact(3.6e12), 8, exact(40e9)).unwrap(), 12.0, 1.0);
    reads("g4.pp15 gradients too", memory::least_stages(exact(7.2e12), 8, exact(40e9)).unwrap(), 23.0, 1.0);
}

#[test]
fn all_reduce() {
    let replicas = exact(208.0);
    let sent = communication::all_reduce_bytes(exact(30e9), replicas).unwrap();
    reads("g4.allreduce", sent, 59.7e9, 0.1e9);
    let time = |link| communication::all_reduce_time_s(exact(30e9), replicas, exact(link), exact(0.0)).unwrap();
    reads("g4.allreduce 200 Gb/s each", time(25e9), 2.4, 0.1);
    reads("g4.allreduce 200 Gb/s for eight", time(25e9 / 8.0), 19.0, 1.0);
    let step = training::step_time_s(days(95.0), exact(60e6), exact(13e12)).unwrap();
    reads("g4.allreduce step", step, 37.9, 0.1);
    assert_eq!(communication::all_reduce_bytes(exact(30e9), exact(1.0)).unwrap().value(), 0.0);
    // Two all-reduces a layer of the activations of one token at 8 ranks: 2 x 80 x 2 x 7/8 x 8192 x 2 bytes.
    let tensor = communication::tensor_forward_bytes(exact(80.0), 8192, exact(1.0), 2.0, 8).unwrap();
    assert_eq!(tensor.value(), 2.0 * 80.0 * 1.75 * 16_384.0);
}

#[test]
fn rents() {
    let rent = |gpus, time, price| money::rent_usd(exact(gpus), time, exact(price)).unwrap();
    ranges("g4.train-cost", rent(25_000.0, gpt4_time(), 1.0), 54e6, 60e6, 1e6);
    reads("g4.train-cost, 105 days", rent(25_000.0, days(105.0), 1.0), 63e6, 1e5);
    reads("g4.h100-train", rent(8192.0, days(55.0), 2.0), 21.63e6, 1e4);
    reads("bm.llama-cost", rent(2048.0, days(21.0), 3.93), 4.0565e6, 1e2);
    reads("bm.gpt3-cost", rent(1.0, exact(355.0 * 8760.0 * 3600.0), 1.5), 4.66e6, 1e4);
    reads("gs.rent", rent(10_000.0, days(1.0), 1.5), 360_000.0, 1.0);
    for (price, told) in [(1.0, 0.55e6), (1.5, 0.82e6), (3.93, 2.15e6)] {
        reads("gs.train-cost, x.hourly-price", rent(1.0, days(22_750.0), price), told, 1e4);
    }
    reads("g4.meta-cluster", exact(8192.0 * 55.0 / 25_000.0), 18.0, 1.0);
    let error = money::rent_usd(exact(1.0), days(1.0), exact(0.0)).unwrap_err().to_string();
    assert_eq!(error, "the price of a GPU-hour is zero (or its interval reaches zero); it must be more");
}
