//! The one integration crate: one module per part of the product.

// Claims: the documents' data, figures, verdicts, findings.
mod claims;
// Claims: mistakes in claim files.
mod claims_input;
// Claims: laws of the judge.
mod claims_laws;
// Whole answers: train, serve, memory, demand.
mod cost_answers;
// Prices, demand and scaling laws.
mod cost_money;
// Laws of every cost: monotone, linear, bounded.
mod cost_properties;
// The cost of serving: memory, decode, experts, speculation.
mod cost_serving;
// The cost of training: operations, memory, pipeline, communication.
mod cost_training;
// Figures shared by the tests of costs.
mod figures;
// Datasheets: consistency with their clocks, identification, prices.
mod hardware;
// Models: parameter counts, counts of a step, layouts, files.
mod llm;
