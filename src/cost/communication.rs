//! What GPUs exchange: all-reduce by rings, in bytes each GPU sends, and in time.
//!
//! Source: the ring algorithm's volume, 2(n-1)/n of the data per rank (Patarasuk and Yuan, 2009), as
//! NCCL counts bus bandwidth.

use super::CostError;
use super::figure::{Figure, corner, positive};

/// Bytes of an activation as it is exchanged: 16-bit formats are what models compute in.
pub const ACTIVATION_B: f64 = 2.0;

/// Bytes each of `ranks` sends to all-reduce `bytes` on every one: `2 (n-1)/n x bytes`.
///
/// # Errors
/// [`CostError::Zero`] without ranks.
pub fn all_reduce_bytes(bytes: Figure, ranks: Figure) -> Result<Figure, CostError> {
    let ranks = positive("ranks", ranks)?;
    // A share of a rank, as 25 000/120 replicas give, counts as it is; less than one sends nothing.
    corner([bytes, ranks], |[bytes, ranks]| 2.0 * ((ranks - 1.0) / ranks).max(0.0) * bytes)
}

/// Seconds of that all-reduce at `link_b_s` bytes per second sent by each GPU, `latency_s` included once.
///
/// # Errors
/// [`CostError::Zero`] without ranks or bandwidth.
pub fn all_reduce_time_s(
    bytes: Figure,
    ranks: Figure,
    link_b_s: Figure,
    latency_s: Figure,
) -> Result<Figure, CostError> {
    let sent = all_reduce_bytes(bytes, ranks)?;
    corner([sent, positive("link bandwidth", link_b_s)?, latency_s], |[sent, link, latency]| sent / link + latency)
}

/// Bytes each tensor rank sends for `tokens` through `layers` layers forward: two all-reduces a layer of
/// the activations, `tokens x hidden x bytes`. Backward sends as much again.
///
/// # Errors
/// [`CostError::Zero`] without ranks.
pub fn tensor_forward_bytes(
    layers: Figure,
    hidden: u32,
    tokens: Figure,
    bytes_per_value: f64,
    ranks: u32,
) -> Result<Figure, CostError> {
    let activations = tokens.scaled(f64::from(hidden) * bytes_per_value)?;
    let each = all_reduce_bytes(activations, ranks.into())?;
    corner([each, layers], |[each, layers]| 2.0 * layers * each)
}
