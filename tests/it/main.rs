//! The one integration crate: one module per part of the product.

/// The command line as a user meets it: output, messages, exit codes, files.
mod cli;
/// What every backend must do: one list, run on each that is present.
mod conformance;
/// The CPU backend.
mod cpu;
/// What goes wrong costs the case it happened in and nothing else.
mod faults;
/// Records to ceilings, ridge points and the working-set check.
mod fit;
/// Order statistics, intervals, stopping rules.
mod stats;
/// Run files: what is kept, what is refused.
mod store;
/// The benchmarks and their checks.
mod suite;
/// Records to figures and flags.
mod summary;
/// Hand-made records and runs for the other modules.
mod support;
/// The invariants of the architecture, read off the source text.
mod tidy;
/// Quantities: what may enter, how they read.
mod units;
