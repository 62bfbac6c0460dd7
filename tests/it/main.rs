//! The one integration crate: one module per part of the product.

// The cost of serving: memory, decode, experts, speculation.
mod cost_serving;
// Models: parameter counts, counts of a step, layouts, files.
mod llm;
