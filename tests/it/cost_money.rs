//! Prices, demand and scaling laws against the figures that the documents' own inputs give.

use rooflint::cost::scaling::{self, CHINCHILLA_TOKENS_PER_PARAMETER, KAPLAN_AS_CLAIMED_TOKENS_PER_PARAMETER};
use rooflint::cost::training::PF_DAY_FLOP;
use rooflint::cost::{CostError, Figure, demand, money, training};

use crate::figures::{exact, ranges, reads};

const A100: f64 = 312e12;

#[test]
fn implied_rates() {
    let rate = |gpus, price, cost| money::implied_tokens_s(exact(gpus), exact(price), exact(cost)).unwrap();
    reads("g4.cost-a100", rate(128.0, 1.0, 0.0049), 7256.0, 1.0);
    reads("g4.cost-a100 per GPU", rate(1.0, 1.0, 0.0049), 56.7, 0.1);
    reads("g4.cost-h100", rate(128.0, 2.0, 0.0021), 33_862.0, 1.0);
    reads("g4.cost-h100 per GPU", rate(1.0, 2.0, 0.0021), 264.6, 0.1);
    reads("g4.vs-davinci-cost", rate(1.0, 1.0, 0.0049 / 3.0), 170.0, 1.0);
    reads("c20.price", rate(1.0, 1.5, 0.002), 208.0, 1.0);
    let utilisation =
        |n, price, cost, peak| money::break_even_utilisation(exact(n), exact(price), exact(cost), exact(peak)).unwrap();
    reads("g4.cost-utilisation A100", utilisation(277e9, 1.0, 0.0049, A100), 0.101, 1e-3);
    reads("g4.cost-utilisation BF16", utilisation(277e9, 2.0, 0.0021, 989.4e12), 0.148, 1e-3);
    reads("g4.cost-utilisation FP8", utilisation(277e9, 2.0, 0.0021, 1978.9e12), 0.074, 1e-3);
    reads("g4.vs-davinci-cost", utilisation(175e9, 1.0, 0.0049 / 3.0, A100), 0.191, 1e-3);
    for (n, told) in [(10e9, 0.013), (20e9, 0.027), (120e9, 0.16), (175e9, 0.23)] {
        reads("c20.price", utilisation(n, 1.5, 0.002, A100), told, if told < 0.1 { 1e-3 } else { 1e-2 });
    }
}

#[test]
fn break_even() {
    let size =
        |utilisation| money::break_even_parameters(exact(utilisation), exact(A100), exact(1.5), exact(0.002)).unwrap();
    let leaked = money::break_even_utilisation(exact(277e9), exact(1.0), exact(0.0049), exact(A100)).unwrap().value();
    reads("x.size-vs-price", size(leaked), 75e9, 1e9);
    reads("x.size-vs-price", size(0.51), 382e9, 1e9);
    let batch = |n| money::break_even_batch(exact(n), 2.0, exact(2.039e12), exact(1.5), exact(0.002)).unwrap();
    reads("c20.price", Figure::exact(10e9 / batch(10e9).value()).unwrap(), 4.9e9, 1e8);
    for (n, told) in [(10e9, 3.0), (20e9, 5.0), (120e9, 25.0), (175e9, 36.0)] {
        assert_eq!(batch(n).value().ceil(), told);
    }
    // The size that breaks even at a utilisation needs that utilisation.
    let back = money::break_even_utilisation(size(0.3), exact(1.5), exact(0.002), exact(A100)).unwrap().value();
    assert!((back - 0.3).abs() < 1e-12);
    let cuts = money::after_cuts(&[exact(0.1), exact(0.75), exact(0.75)]).unwrap();
    reads("c20.price-cut", cuts, 0.056, 1e-3);
    reads("c20.price-cut", exact(1.0 / cuts.value()), 17.8, 0.1);
    assert!(matches!(money::after_cuts(&[exact(1.5)]), Err(CostError::AboveOne { .. })));
}

fn tokens_per_day(tokens_per_character: f64) -> Figure {
    demand::tokens_per_day(exact(13e6), exact(1000.0), exact(tokens_per_character)).unwrap()
}

#[test]
fn users_to_gpus() {
    let tokens = tokens_per_day(1.0 / 0.75);
    reads("gs.demand", tokens, 17.33e9, 1e7);
    let flop_s = demand::flop_s(exact(17.33e9), exact(175e9), exact(0.51)).unwrap();
    reads("gs.pflops", flop_s, 137.7e15, 0.1e15);
    reads("gs.serve-peak", demand::gpus(exact(137e15), exact(5.0), exact(A100)).unwrap(), 2195.5, 0.1);
    for (tokens_per_character, told) in [(0.25, 414.0), (1.0, 1655.0), (2.0, 3310.0)] {
        let flop_s = demand::flop_s(tokens_per_day(tokens_per_character), exact(175e9), exact(0.51)).unwrap();
        reads("gs.demand", demand::gpus(flop_s, exact(5.0), exact(A100)).unwrap(), told, 1.0);
    }
    let implied = demand::implied_utilisation(tokens, exact(175e9), exact(5.0), exact(30_000.0), exact(A100)).unwrap();
    reads("gs.trendforce", implied, 0.0375, 1e-4);
    // 2195 GPUs at 51 % are as many GPU-peaks as this at 10.1 %.
    let flop_s = demand::flop_s(exact(17.33e9), exact(175e9), exact(0.101)).unwrap();
    let gpus = demand::gpus(flop_s, exact(5.0), exact(A100)).unwrap().value();
    assert!((gpus / 11_170.0 - 1.0).abs() < 0.01, "x.users-vs-util: {gpus}");
    reads("c20.overtrain", demand::days_to_serve(exact(6e12), exact(17.33e9)).unwrap(), 346.0, 1.0);
    reads("g4.read-speed", demand::words_per_minute(exact(30.0), exact(0.75)).unwrap(), 1350.0, 1.0);
}

#[test]
fn fleets_against_prices() {
    let rate = exact(17.33e9 / 86_400.0);
    let price = |gpus| money::usd_per_1000_tokens(exact(gpus), exact(1.5), rate).unwrap();
    reads("x.price-vs-fleet", price(10_000.0), 0.0208, 1e-4);
    reads("x.price-vs-fleet", price(3195.0), 0.0066, 1e-4);
    reads("x.price-vs-fleet", price(2195.0), 0.0046, 1e-4);
    reads("x.price-vs-fleet", price(2195.0 / 5.0), 0.0009, 1e-4);
    assert!(matches!(
        money::usd_per_1000_tokens(exact(8.0), exact(1.5), exact(0.0)),
        Err(CostError::Zero { what: "tokens per second" })
    ));
}

#[test]
fn scaling_laws() {
    let chinchilla = exact(CHINCHILLA_TOKENS_PER_PARAMETER);
    reads("c20.chinchilla", scaling::parameters(exact(2.5e12), chinchilla).unwrap(), 125e9, 1e9);
    let kaplan = exact(KAPLAN_AS_CLAIMED_TOKENS_PER_PARAMETER);
    reads("c20.kaplan", scaling::parameters(exact(2.5e12), kaplan).unwrap(), 200e9, 1e9);
    reads("c20.llama2", scaling::parameters(exact(2e12), chinchilla).unwrap(), 100e9, 1e9);
    let per = |tokens, n| scaling::tokens_per_parameter(exact(tokens), exact(n)).unwrap();
    reads("c20.llama1", per(1.4e12, 65e9), 21.5, 0.1);
    reads("c20.llama2-break", per(2e12, 70e9), 28.6, 0.1);
    reads("c20.ratio20", per(2.5e12, 20e9), 125.0, 1.0);
    let gpt3 = training::tokens(exact(3640.0 * PF_DAY_FLOP), exact(174.6e9)).unwrap();
    let gpt3 = scaling::tokens_per_parameter(gpt3, exact(174.6e9)).unwrap();
    reads("x.kaplan", gpt3, 1.72, 0.01);
    reads("x.kaplan", exact(12.5 / gpt3.value()), 7.3, 0.1);
    reads("g4.double-tokens", scaling::tokens(exact(1.831e12), chinchilla).unwrap(), 36.6e12, 1e11);
    reads("g4.double-tokens", scaling::tokens(exact(277e9), chinchilla).unwrap(), 5.5e12, 1e11);
    reads("c20.overtrain", scaling::served_tokens_equal_to_training(exact(2e12)).unwrap(), 6e12, 1e9);
    // Best size for Chinchilla's own budget: 5.76e23 FLOP, 67e9 parameters at 20 tokens each.
    let best = scaling::parameters_for_flop(exact(5.76e23), chinchilla).unwrap();
    let spent = training::flop(best, scaling::tokens(best, chinchilla).unwrap()).unwrap();
    assert!((spent.value() / 5.76e23 - 1.0).abs() < 1e-12);
    let interval = scaling::parameters(Figure::between(2.5e12, 2e12, 3e12).unwrap(), chinchilla).unwrap();
    ranges("interval", interval, 100e9, 150e9, 1.0);
}
