//! The one integration crate: one module per part of the product.

// Prices, demand and scaling laws.
mod cost_money;
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
