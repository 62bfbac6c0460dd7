//! The one integration crate: one module per part of the product.

/// Records to ceilings, ridge points and the working-set check.
mod fit;
/// Order statistics, intervals, stopping rules.
mod stats;
/// Records to figures and flags.
mod summary;
/// Hand-made records and runs for the other modules.
mod support;
/// Quantities: what may enter, how they read.
mod units;
