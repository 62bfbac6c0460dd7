//! Laws that every cost obeys: more of a resource never costs more, and what is linear is exactly so.

use proptest::prelude::*;
use rooflint::cost::moe::{self, Routing};
use rooflint::cost::serving::{self, Deployment, Load, Served};
use rooflint::cost::speculation::{self, Draft};
use rooflint::cost::{Figure, Roofline, communication, demand, memory, money, pipeline, training};
use rooflint::llm::{KvShape, Layout, Weights};

use crate::figures::exact;

/// A positive number over many orders of magnitude.
fn over(low: f64, high: f64) -> impl Strategy<Value = f64> {
    (low.ln()..high.ln()).prop_map(f64::exp)
}

prop_compose! {
    fn deployments()(
        shared in over(1e8, 1e12),
        experts in prop_oneof![Just(None), (2u32..64, 1u32..3, over(1e8, 1e11)).prop_map(Some)],
        bytes in prop_oneof![Just(0.5), Just(1.0), Just(2.0)],
        layers in 32u32..128,
        kv_heads in prop_oneof![Just(1u32), Just(8), Just(64)],
        tensor in prop_oneof![Just(1u32), Just(2), Just(8)],
        pipeline in 1u32..17,
        bandwidth in over(1e11, 1e13),
        compute in over(1e12, 1e16),
        overhead in prop_oneof![Just(0.0), 0.0..1e-3],
        uniform in any::<bool>(),
        attention_width in prop_oneof![Just(0u32), Just(8192)],
    ) -> Deployment {
        Deployment {
            weights: match experts {
                Some((count, routed, each)) => Weights::mixture(shared, count, routed, each),
                None => Weights::dense(shared),
            },
            bytes_per_parameter: bytes,
            kv: KvShape { layers, kv_heads, head_dim: 128, bytes_per_value: 2.0 },
            layout: Layout::new(tensor, pipeline).unwrap().averaged(),
            routing: if uniform { Routing::Uniform } else { Routing::EveryExpert },
            roofline: Roofline { bandwidth_b_s: exact(bandwidth), compute_flop_s: exact(compute) },
            attention_width,
            overhead_s: exact(overhead),
        }
    }
}

fn served(deployment: &Deployment, batch: f64, context: f64) -> Served {
    serving::decode(deployment, Load::new(exact(batch), exact(context))).unwrap()
}

fn with(deployment: Deployment, bandwidth: f64, compute: f64) -> Deployment {
    let roofline = Roofline {
        bandwidth_b_s: deployment.roofline.bandwidth_b_s.scaled(bandwidth).unwrap(),
        compute_flop_s: deployment.roofline.compute_flop_s.scaled(compute).unwrap(),
    };
    Deployment { roofline, ..deployment }
}

/// `a` is at most `b`, but for the last digits.
fn at_most(a: f64, b: f64) -> bool {
    a <= b * (1.0 + 1e-12)
}

fn near(a: f64, b: f64) -> bool {
    (a - b).abs() <= 1e-9 * b.abs()
}

proptest! {
    #[test]
    fn more_of_a_resource_never_costs_more(
        d in deployments(), batch in over(1.0, 1e4), context in over(1.0, 1e5), more in 1.0..10.0f64, price in over(0.1, 100.0),
    ) {
        let cost = |d: &Deployment| {
            serving::usd_per_1000_tokens(d, Load::new(exact(batch), exact(context)), exact(price)).unwrap().value()
        };
        prop_assert!(at_most(cost(&with(d, more, 1.0)), cost(&d)));
        prop_assert!(at_most(cost(&with(d, 1.0, more)), cost(&d)));
        let (now, faster) = (served(&d, batch, context), served(&with(d, more, more), batch, context));
        prop_assert!(at_most(now.user_tok_s.value(), faster.user_tok_s.value()));
        // Everything twice as fast but the overhead is at most twice as fast.
        prop_assert!(at_most(faster.throughput_tok_s.value(), more * now.throughput_tok_s.value()));
    }

    #[test]
    fn more_load_is_never_free(
        d in deployments(), batch in over(1.0, 1e4), context in over(1.0, 1e5), more in 1.0..10.0f64,
    ) {
        let now = served(&d, batch, context);
        let longer = served(&d, batch, context * more);
        prop_assert!(at_most(longer.throughput_tok_s.value(), now.throughput_tok_s.value()));
        let fuller = served(&d, batch * more, context);
        prop_assert!(at_most(now.token_latency_s.value(), fuller.token_latency_s.value()));
        prop_assert!(at_most(now.throughput_tok_s.value(), fuller.throughput_tok_s.value()));
        prop_assert!(now.utilisation.value() <= 1.0 + 1e-12);
        // Every sequence gets its token each time round.
        prop_assert!(near(now.throughput_tok_s.value(), batch * now.user_tok_s.value()));
    }

    #[test]
    fn price_is_exactly_linear(
        d in deployments(), batch in over(1.0, 1e4), price in over(0.1, 100.0), more in 1.0..10.0f64,
    ) {
        let cost = |price: f64| {
            serving::usd_per_1000_tokens(&d, Load::new(exact(batch), exact(1000.0)), exact(price)).unwrap().value()
        };
        prop_assert!(near(cost(price * more), more * cost(price)));
    }

    #[test]
    fn an_interval_holds_every_answer_inside_it(
        d in deployments(), batch in over(1.0, 1e4), context in over(1.0, 1e5),
        down in 0.5..1.0f64, up in 1.0..2.0f64, at in 0.0..1.0f64,
    ) {
        let widened = |figure: Figure| {
            Figure::between(figure.value(), figure.value() * down, figure.value() * up).unwrap()
        };
        let roofline = Roofline {
            bandwidth_b_s: widened(d.roofline.bandwidth_b_s),
            compute_flop_s: widened(d.roofline.compute_flop_s),
        };
        let wide = served(&Deployment { roofline, ..d }, batch, context);
        let factor = down + at * (up - down);
        let inside = served(&with(d, factor, factor), batch, context);
        for (wide, inside) in [
            (wide.throughput_tok_s, inside.throughput_tok_s),
            (wide.token_latency_s, inside.token_latency_s),
            (wide.utilisation, inside.utilisation),
        ] {
            prop_assert!(at_most(wide.low(), inside.value()) && at_most(inside.value(), wide.high()));
        }
        prop_assert_eq!(wide.throughput_tok_s.value(), served(&d, batch, context).throughput_tok_s.value());
    }

    #[test]
    fn a_context_that_is_afforded_is_afforded(
        d in deployments(), usd in over(1e-4, 10.0), price in over(0.1, 10.0),
    ) {
        let needed = memory::weights_b(&d.weights, d.bytes_per_parameter, d.layout);
        let capacity = exact(needed * 1.5);
        if let Ok(context) = serving::context_at_cost(&d, capacity, exact(price), exact(usd)) {
            let cost = |context: f64| {
                let served = serving::decode_full(&d, capacity, exact(context)).unwrap();
                money::usd_per_1000_tokens(d.gpus(), exact(price), served.throughput_tok_s).unwrap().value()
            };
            prop_assert!(at_most(cost(context.value()), usd));
            let most = d.room(capacity).unwrap().tokens.value();
            prop_assert!(context.value() * 1.001 > most || cost(context.value() * 1.001) > usd);
        }
    }

    #[test]
    fn training_scales_exactly(
        n in over(1e8, 1e13), tokens in over(1e9, 1e14), gpus in over(1.0, 1e5), mfu in 0.01..1.0f64, more in 1.0..10.0f64,
    ) {
        let time = |n: f64, tokens: f64, gpus: f64| {
            let flop = training::flop(exact(n), exact(tokens)).unwrap();
            training::time_s(flop, exact(gpus), exact(312e12), exact(mfu)).unwrap().value()
        };
        let once = time(n, tokens, gpus);
        prop_assert!(near(time(n * more, tokens, gpus), more * once));
        prop_assert!(near(time(n, tokens * more, gpus), more * once));
        prop_assert!(near(time(n, tokens, gpus * more), once / more));
        let flop = training::flop(exact(n), exact(tokens)).unwrap();
        prop_assert!(near(training::mfu(flop, exact(gpus), exact(312e12), exact(once)).unwrap().value(), mfu));
    }

    #[test]
    fn a_pipeline_idles_less_with_more_micro_batches(
        stages in 1u32..64, m in over(1.0, 1e4), more in 1.0..10.0f64, chunks in 1u32..16,
    ) {
        let idle = |m: f64, chunks| pipeline::idle_share(stages, exact(m), chunks).unwrap().value();
        prop_assert!(at_most(idle(m * more, chunks), idle(m, chunks)));
        prop_assert!(at_most(idle(m, chunks + 1), idle(m, chunks)));
        prop_assert!((0.0..1.0).contains(&idle(m, chunks)));
        // Interleaving in two is as good as twice the micro-batches.
        prop_assert!(near(1.0 - idle(m, 2), 1.0 - idle(2.0 * m, 1)));
    }

    #[test]
    fn experts_are_covered_and_no_more(
        experts in 1u32..256, routed in 1u32..8, tokens in over(1.0, 1e5), more in 1.0..10.0f64,
    ) {
        prop_assume!(routed <= experts);
        let read = |tokens: f64| moe::experts_read(experts, routed, exact(tokens), Routing::Uniform).unwrap().value();
        prop_assert!(near(read(1.0), f64::from(routed)));
        prop_assert!(at_most(read(tokens), read(tokens * more)));
        prop_assert!(at_most(read(tokens), f64::from(experts)) && at_most(read(tokens), f64::from(routed) * tokens));
    }

    #[test]
    fn exact_loads_agree_with_elementary_chances(experts in 2u32..24, routed in 1u32..4, tokens in 1u32..8) {
        prop_assume!(routed <= experts);
        let load = moe::load(experts, routed, tokens).unwrap();
        prop_assert!(near(load.busiest.iter().sum(), 1.0));
        let idle = (1.0 - f64::from(routed) / f64::from(experts)).powi(tokens as i32);
        prop_assert!((load.idle_share - idle).abs() < 1e-12);
        let mean = f64::from(tokens * routed) / f64::from(experts);
        prop_assert!(at_most(mean, load.busiest_mean) && at_most(load.busiest_mean, tokens.into()));
    }

    #[test]
    fn speculation_is_bounded(
        length in 1u32..32, acceptance in 0.0..1.0f64, cost in 0.0..0.5f64, ratio in 1.0..8.0f64, more in 1.0..4.0f64,
    ) {
        let draft = |cost: f64| Draft { length, acceptance: exact(acceptance), cost: exact(cost) };
        let speed = |cost: f64, ratio: f64| speculation::speed_up(draft(cost), exact(ratio)).unwrap().value();
        prop_assert!(at_most(speed(cost * more, ratio), speed(cost, ratio)));
        prop_assert!(at_most(speed(cost, ratio * more), speed(cost, ratio)));
        let gained = speculation::tokens_per_check(length, exact(acceptance)).unwrap().value();
        prop_assert!((1.0..=f64::from(length) + 1.0).contains(&gained));
        if acceptance < 0.99 {
            let closed = (1.0 - acceptance.powi(length as i32 + 1)) / (1.0 - acceptance);
            prop_assert!(near(gained, closed));
        }
        if let Ok(even) = speculation::break_even_check_ratio(draft(cost)) && even.value() > 1e-6 {
            prop_assert!(near(speed(cost, even.value()), 1.0));
        }
    }

    #[test]
    fn checking_a_draft_costs_between_one_and_all_of_its_tokens(
        d in deployments(), batch in over(1.0, 1e3), context in over(1.0, 1e5), length in 1u32..16,
    ) {
        let load = Load::new(exact(batch), exact(context));
        let ratio = speculation::check_ratio(&d, load, length).unwrap().value();
        prop_assert!(at_most(1.0, ratio) && at_most(ratio, f64::from(length) + 1.0), "{}", ratio);
    }

    #[test]
    fn sharing_state_never_takes_more(
        n in over(1e8, 1e13), gpus in 1u32..1024, replicas in over(1.0, 1e4),
    ) {
        use memory::Zero::{Gradients, Nothing, Optimizer, Weights};
        let total = |zero| {
            memory::training_state(exact(n), gpus, exact(replicas), zero, memory::MIXED_ADAM).unwrap().total_b.value()
        };
        let totals = [Nothing, Optimizer, Gradients, Weights].map(total);
        prop_assert!(totals.windows(2).all(|pair| at_most(pair[1], pair[0])));
        prop_assert!(near(totals[0], 16.0 * n / f64::from(gpus)));
        prop_assert!(near(totals[3] * replicas, totals[0]));
        let sent = communication::all_reduce_bytes(exact(n), exact(replicas)).unwrap().value();
        prop_assert!(at_most(sent, 2.0 * n));
    }

    #[test]
    fn a_break_even_price_breaks_even(
        utilisation in 0.01..1.0f64, peak in over(1e12, 1e16), price in over(0.1, 100.0), usd in over(1e-5, 1.0),
    ) {
        let n = money::break_even_parameters(exact(utilisation), exact(peak), exact(price), exact(usd)).unwrap();
        let rate = utilisation * peak / (2.0 * n.value());
        let cost = money::usd_per_1000_tokens(exact(1.0), exact(price), exact(rate)).unwrap().value();
        prop_assert!(near(cost, usd));
        // What a fleet at that utilisation must have is what the demand asks of it.
        let flop_s = demand::flop_s(exact(rate * 86_400.0), n, exact(utilisation)).unwrap();
        prop_assert!(near(demand::gpus(flop_s, exact(1.0), exact(peak)).unwrap().value(), 1.0));
    }
}
