//! The one integration crate: one module per part of the product.

mod conformance; // what every backend must do
mod cpu; // the CPU backend
mod suite; // the benchmarks and their checks
