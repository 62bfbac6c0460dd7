//! GPUs by their datasheets, and what they were said to cost.
//!
//! A datasheet's figure is an upper bound: dense peaks at a stated clock, and bandwidth that no kernel reaches.
//! Capacity has two sizes, the one sold (GB, 10^9 bytes) and the one the driver reports (larger for HBM parts).

mod catalogue;
mod gpu;
mod price;

pub use catalogue::{HardwareError, catalogue, find, identify, parse_toml, prices};
pub use gpu::{Gpu, Link, Peak, Rate};
pub use price::{Price, Span};
