//! The one integration crate: one module per part of the product.

// The cost of serving: memory, decode, experts, speculation.
mod cost_serving;
// Datasheets: consistency with their clocks, identification, prices.
mod hardware;
// Models: parameter counts, counts of a step, layouts, files.
mod llm;
