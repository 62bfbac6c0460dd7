//! Users to GPUs, GPUs to a price, a price to a size.

use super::{Formula, Spec, formula, needs, takes};
use crate::claims::unit::Kind;
use crate::cost::{demand, money, training};

const PARAMETERS: Spec = needs("parameters", Kind::Parameters, "parameters of the model");
const TOKENS_RATE: Spec = needs("tokens", Kind::TokenRate, "tokens asked for, on average");
const UTILISATION: Spec = needs("utilisation", Kind::Ratio, "share of peak achieved");
const PEAK: Spec = needs("peak", Kind::FlopRate, "peak of one GPU");
const PEAK_FACTOR: Spec = needs("peak_factor", Kind::Ratio, "busiest moment over the mean");
const GPUS: Spec = needs("gpus", Kind::Count, "GPUs");
const PRICE: Spec = needs("price", Kind::MoneyPerHour, "price of a GPU-hour");
const COST: Spec = needs("cost", Kind::MoneyPerToken, "price of tokens");
const RATE: Spec = needs("rate", Kind::TokenRate, "tokens per second of all GPUs");
const DAY_S: f64 = training::DAY_S;

pub(super) static FORMULAS: &[Formula] = &[
    formula(
        "tokens_asked",
        "users x characters each / characters per token, a day",
        Kind::TokenRate,
        &[&[
            needs("users", Kind::Count, "users a day"),
            needs("characters", Kind::Text, "characters from each"),
            needs("characters_per_token", Kind::TextPerToken, "characters of a token"),
        ]],
        |work| {
            let each = crate::cost::Figure::exact(1.0 / work.divisor("characters_per_token")?)?;
            let tokens = demand::tokens_per_day(work.figure("users")?, work.figure("characters")?, each)?;
            Ok(work.note("tokens in a day", tokens, "tokens") / DAY_S)
        },
    ),
    formula(
        "serving_flop_rate",
        "tokens/s x 2 x parameters / utilisation",
        Kind::FlopRate,
        &[&[TOKENS_RATE, PARAMETERS, UTILISATION]],
        |work| {
            let daily = work.figure("tokens")?.scaled(DAY_S)?;
            Ok(demand::flop_s(daily, work.figure("parameters")?, work.figure("utilisation")?)?.value())
        },
    ),
    formula(
        "fleet_gpus",
        "peak factor x FLOP/s / peak of a GPU",
        Kind::Count,
        &[&[needs("rate", Kind::FlopRate, "FLOP/s needed on average"), PEAK_FACTOR, PEAK]],
        |work| Ok(demand::gpus(work.figure("rate")?, work.figure("peak_factor")?, work.figure("peak")?)?.value()),
    ),
    formula(
        "demand_gpus",
        "peak factor x tokens/s x 2 x parameters / (utilisation x peak of a GPU)",
        Kind::Count,
        &[&[TOKENS_RATE, PARAMETERS, UTILISATION, PEAK_FACTOR, PEAK]],
        |work| {
            let daily = work.figure("tokens")?.scaled(DAY_S)?;
            let rate = demand::flop_s(daily, work.figure("parameters")?, work.figure("utilisation")?)?;
            work.note("FLOP/s needed on average", rate, "PFLOP/s");
            Ok(demand::gpus(rate, work.figure("peak_factor")?, work.figure("peak")?)?.value())
        },
    ),
    formula(
        "fleet_utilisation",
        "peak factor x tokens/s x 2 x parameters / (GPUs x peak of a GPU)",
        Kind::Ratio,
        &[&[TOKENS_RATE, PARAMETERS, PEAK_FACTOR, GPUS, PEAK]],
        |work| {
            let (daily, n) = (work.figure("tokens")?.scaled(DAY_S)?, work.figure("parameters")?);
            let (factor, gpus) = (work.figure("peak_factor")?, work.figure("gpus")?);
            Ok(demand::implied_utilisation(daily, n, factor, gpus, work.figure("peak")?)?.value())
        },
    ),
    formula(
        "fleet_cost",
        "GPUs x price / tokens per hour",
        Kind::MoneyPerToken,
        &[&[GPUS, PRICE, TOKENS_RATE]],
        |work| {
            let (gpus, price) = (work.figure("gpus")?, work.figure("price")?);
            Ok(money::usd_per_1000_tokens(gpus, price, work.figure("tokens")?)?.value() / money::PRICED_TOKENS)
        },
    ),
    formula(
        "implied_token_rate",
        "GPUs x price / (3600 x cost of a token): what a stated cost demands of all GPUs together",
        Kind::TokenRate,
        &[&[takes("gpus", Kind::Count, "GPUs", 1.0), PRICE, COST]],
        |work| {
            let cost = work.figure("cost")?.scaled(money::PRICED_TOKENS)?;
            Ok(money::implied_tokens_s(work.figure("gpus")?, work.figure("price")?, cost)?.value())
        },
    ),
    formula(
        "token_rate_flop",
        "tokens/s x 2 x parameters / GPUs: what each GPU computes",
        Kind::FlopRate,
        &[&[RATE, PARAMETERS, takes("gpus", Kind::Count, "GPUs", 1.0)]],
        |work| {
            let all = work.get("rate")? * training::FLOP_PER_PARAMETER_SERVED * work.get("parameters")?;
            Ok(all / work.divisor("gpus")?)
        },
    ),
    formula(
        "token_rate_utilisation",
        "tokens/s x 2 x parameters / (GPUs x peak)",
        Kind::Ratio,
        &[&[RATE, PARAMETERS, takes("gpus", Kind::Count, "GPUs", 1.0), PEAK]],
        |work| {
            let (daily, n) = (work.figure("rate")?.scaled(DAY_S)?, work.figure("parameters")?);
            Ok(demand::implied_utilisation(daily, n, 1.into(), work.figure("gpus")?, work.figure("peak")?)?.value())
        },
    ),
    formula(
        "after_cuts",
        "the product of what each cut leaves",
        Kind::Ratio,
        &[&[
            needs("first", Kind::Ratio, "what the first leaves"),
            needs("second", Kind::Ratio, "what the second leaves"),
            needs("third", Kind::Ratio, "what the third leaves"),
        ]],
        |work| Ok(money::after_cuts(&[work.figure("first")?, work.figure("second")?, work.figure("third")?])?.value()),
    ),
    formula(
        "break_even_utilisation",
        "tokens/s per GPU that the price demands x 2 x parameters / peak",
        Kind::Ratio,
        &[&[PARAMETERS, PRICE, COST, PEAK]],
        |work| {
            let cost = work.figure("cost")?.scaled(money::PRICED_TOKENS)?;
            let rate = money::implied_tokens_s(1.into(), work.figure("price")?, cost)?;
            work.note("tokens/s a GPU must serve", rate, "tokens/s");
            let (n, price) = (work.figure("parameters")?, work.figure("price")?);
            Ok(money::break_even_utilisation(n, price, cost, work.figure("peak")?)?.value())
        },
    ),
    formula(
        "break_even_parameters",
        "utilisation x peak / (2 x tokens/s per GPU that the price demands)",
        Kind::Parameters,
        &[&[UTILISATION, PEAK, PRICE, COST]],
        |work| {
            let cost = work.figure("cost")?.scaled(money::PRICED_TOKENS)?;
            let (utilisation, price) = (work.figure("utilisation")?, work.figure("price")?);
            Ok(money::break_even_parameters(utilisation, work.figure("peak")?, price, cost)?.value())
        },
    ),
    formula(
        "break_even_batch",
        "tokens/s per GPU that the price demands x parameters x bytes / bandwidth, rounded up: batch / read time",
        Kind::Count,
        &[&[
            PARAMETERS,
            needs("bytes", Kind::BytesPerParameter, "bytes of a stored parameter"),
            needs("bandwidth", Kind::ByteRate, "memory bandwidth"),
            PRICE,
            COST,
        ]],
        |work| {
            let cost = work.figure("cost")?.scaled(money::PRICED_TOKENS)?;
            let (n, bytes, price) = (work.figure("parameters")?, work.get("bytes")?, work.figure("price")?);
            let batch = money::break_even_batch(n, bytes, work.figure("bandwidth")?, price, cost)?;
            Ok(work.note("before rounding up", batch, "sequences").ceil())
        },
    ),
];
