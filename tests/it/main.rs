//! The one integration crate: one module per part of the product.

/// Claims: the documents' data, figures, verdicts, findings.
mod claims;
/// Claims: mistakes in claim files.
mod claims_input;
/// Claims: laws of the judge.
mod claims_laws;
/// The claims as pages and commands.
mod claims_pages;
/// Claims of shape, by the laws of whatever device was measured.
mod claims_shapes;
/// The command line as a user meets it: output, messages, exit codes, files.
mod cli;
/// What every backend must do: one list, run on each that is present.
mod conformance;
/// Whole answers: train, serve, memory, demand.
mod cost_answers;
/// `rooflint cost`: figures, sources, refusals.
mod cost_cli;
/// Prices, demand and scaling laws.
mod cost_money;
/// Laws of every cost: monotone, linear, bounded.
mod cost_properties;
/// The cost of serving: memory, decode, experts, speculation.
mod cost_serving;
/// The cost of training: operations, memory, pipeline, communication.
mod cost_training;
/// The CPU backend.
mod cpu;
/// The CPU backend's matrix products.
mod cpu_matmul;
/// The CUDA backend, on a GPU or on the emulator.
mod cuda;
/// Products by cuBLASLt, on the emulator and its stand-in.
mod cuda_library;
/// The CUDA backend's matrix products and units.
mod cuda_matmul;
/// What the management library tells, in records, report and health.
mod cuda_telemetry;
/// Transfers both ways at once and to another device.
mod cuda_transfer;
/// The decode step: against a plain transformer, its check, its cases, its refusals.
mod decode;
/// Decode steps as curves, and what a report shows of them.
mod decode_curves;
/// The kernels of a decode step on every device, against binary64.
mod decode_kernels;
/// Launches of one kernel by every way, on every device.
mod decode_launch;
/// The kernels of a decode step in binary64.
mod decode_reference;
/// Export formats: what other tools read back is what the run says.
mod export;
/// What goes wrong costs the case it happened in and nothing else.
mod faults;
/// Figures shared by the tests of costs.
mod figures;
/// Records to ceilings, ridge points and the working-set check.
mod fit;
/// `rooflint fit`, and `rooflint cost` by what it wrote.
mod fit_cli;
/// Laws that rest on few models, and kernels slower than memory.
mod fit_few;
/// Records to laws: what each operation takes, and how well that is known.
mod fit_laws;
/// Another run foretold by fitted laws.
mod foretell;
/// Datasheets: consistency with their clocks, identification, prices.
mod hardware;
/// Whether a card is in order.
mod health;
/// Others' results: rows to records, the lint, bad input.
mod import;
/// Bad input of every format of other tools.
mod import_bad;
/// Models: parameter counts, counts of a step, layouts, files.
mod llm;
/// Bursts, sustained load, and several devices at once.
mod load;
/// The search for the fastest product.
mod matmul_max;
/// Products of a model's layers, and runs of them.
mod model_shapes;
/// Plots: legible labels, colours that follow the theme, images with something on them.
mod plots;
/// Others' measurements that come with the program, and what rests on them.
mod references;
/// What a report says, and that no run file can make it do anything else.
mod report;
/// Fitted laws in a report.
mod report_laws;
/// Tables arranged otherwise than case by case.
mod report_tables;
/// A made-up run that looks like a real one, for the modules above.
mod sample_run;
/// Order statistics, intervals, stopping rules.
mod stats;
/// Run files: what is kept, what is refused.
mod store;
/// The benchmarks and their checks.
mod suite;
/// The benchmarks that sweep, and the user's own shapes.
mod suite_sweeps;
/// Records to figures and flags.
mod summary;
/// Hand-made records and runs for the other modules.
mod support;
/// The invariants of the architecture, read off the source text.
mod tidy;
/// Quantities: what may enter, how they read.
mod units;
/// The wgpu backend, on whichever adapters there are.
#[cfg(feature = "wgpu")]
mod wgpu;
