//! The one integration crate: one module per part of the product.

/// The command line as a user meets it: output, messages, exit codes, files.
mod cli;
/// What every backend must do: one list, run on each that is present.
mod conformance;
/// The CPU backend.
mod cpu;
/// Export formats: what other tools read back is what the run says.
mod export;
/// What goes wrong costs the case it happened in and nothing else.
mod faults;
/// Records to ceilings, ridge points and the working-set check.
mod fit;
/// Plots: legible labels, colours that follow the theme, images with something on them.
mod plots;
/// What a report says, and that no run file can make it do anything else.
mod report;
/// A made-up run that looks like a real one, for the modules above.
mod sample_run;
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
