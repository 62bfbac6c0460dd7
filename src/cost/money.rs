//! Money: rent, the price of a token, and where a price breaks even.
//!
//! Source: the definitions; the break-even size is how chatgpt-20b argues from price to parameters.

use super::CostError;
use super::figure::{Figure, corner, positive, share};
use super::training::FLOP_PER_PARAMETER_SERVED;

/// Seconds of an hour: GPUs are priced by it.
pub const HOUR_S: f64 = 3600.0;

/// Tokens that a price is told for.
pub const PRICED_TOKENS: f64 = 1000.0;

/// Rent of `gpus` for `time_s` at `price_usd_h` each, in USD.
///
/// # Errors
/// [`CostError::Zero`] for a price of zero.
pub fn rent_usd(gpus: Figure, time_s: Figure, price_usd_h: Figure) -> Result<Figure, CostError> {
    corner([gpus, time_s, price(price_usd_h)?], |[gpus, time, price]| gpus * time / HOUR_S * price)
}

/// USD per 1000 tokens of `gpus` that serve `tokens_s` together: `GPUs x price / tokens per hour x 1000`.
///
/// # Errors
/// [`CostError::Zero`] for a price or a rate of zero.
pub fn usd_per_1000_tokens(gpus: Figure, price_usd_h: Figure, tokens_s: Figure) -> Result<Figure, CostError> {
    let inputs = [gpus, price(price_usd_h)?, positive("tokens per second", tokens_s)?];
    corner(inputs, |[gpus, price, rate]| gpus * price / (HOUR_S * rate) * PRICED_TOKENS)
}

/// Tokens per second that a stated cost per 1000 tokens implies of `gpus` together.
///
/// # Errors
/// [`CostError::Zero`] for a price or a cost of zero.
pub fn implied_tokens_s(gpus: Figure, price_usd_h: Figure, usd_per_1000: Figure) -> Result<Figure, CostError> {
    let inputs = [gpus, price(price_usd_h)?, cost(usd_per_1000)?];
    corner(inputs, |[gpus, price, cost]| gpus * price / (HOUR_S * cost) * PRICED_TOKENS)
}

/// Utilisation of peak at which `parameters` just earn `usd_per_1000`: `tokens/s per GPU x 2N / peak`.
/// Above 1: they cannot.
///
/// # Errors
/// [`CostError::Zero`] for a price, cost or peak of zero.
pub fn break_even_utilisation(
    parameters: Figure,
    price_usd_h: Figure,
    usd_per_1000: Figure,
    peak_flop_s: Figure,
) -> Result<Figure, CostError> {
    let rate = implied_tokens_s(1.into(), price_usd_h, usd_per_1000)?;
    corner([rate, parameters, positive("peak FLOP/s", peak_flop_s)?], |[rate, n, peak]| {
        rate * FLOP_PER_PARAMETER_SERVED * n / peak
    })
}

/// The largest model that breaks even at a utilisation:
/// `N = utilisation x peak x 3.6 x USD per 1000 tokens / (2 x price per hour)`.
///
/// # Errors
/// [`CostError::Zero`] for a price or cost of zero, [`CostError::AboveOne`] for a utilisation above 1.
pub fn break_even_parameters(
    utilisation: Figure,
    peak_flop_s: Figure,
    price_usd_h: Figure,
    usd_per_1000: Figure,
) -> Result<Figure, CostError> {
    let rate = implied_tokens_s(1.into(), price_usd_h, usd_per_1000)?;
    corner([share("utilisation", utilisation)?, peak_flop_s, rate], |[utilisation, peak, rate]| {
        utilisation * peak / (FLOP_PER_PARAMETER_SERVED * rate)
    })
}

/// The smallest batch at which reading the weights alone lets one GPU earn `usd_per_1000`:
/// `tokens/s x N x bytes / bandwidth`. A lower bound: the KV cache adds to it.
///
/// # Errors
/// [`CostError::Zero`] for a price, cost or bandwidth of zero.
pub fn break_even_batch(
    parameters: Figure,
    bytes_per_parameter: f64,
    bandwidth_b_s: Figure,
    price_usd_h: Figure,
    usd_per_1000: Figure,
) -> Result<Figure, CostError> {
    let rate = implied_tokens_s(1.into(), price_usd_h, usd_per_1000)?;
    corner([rate, parameters, positive("memory bandwidth", bandwidth_b_s)?], |[rate, n, bandwidth]| {
        rate * n * bytes_per_parameter / bandwidth
    })
}

/// What a price falls to after several cuts: the product of what each leaves.
///
/// # Errors
/// [`CostError::AboveOne`] for a cut that leaves more than there was.
pub fn after_cuts(left: &[Figure]) -> Result<Figure, CostError> {
    left.iter().try_fold(Figure::from(1), |product, &factor| {
        corner([product, share("what a price cut leaves", factor)?], |[product, factor]| product * factor)
    })
}

fn price(price_usd_h: Figure) -> Result<Figure, CostError> {
    positive("the price of a GPU-hour", price_usd_h)
}

fn cost(usd_per_1000: Figure) -> Result<Figure, CostError> {
    positive("the cost of 1000 tokens", usd_per_1000)
}
