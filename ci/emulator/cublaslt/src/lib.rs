//! cuBLASLt beside the emulated driver: descriptors, a heuristic and matrix products on the emulated memory, with the
//! real library's rules and statuses. cuBLAS Library, chapter "Using the cuBLASLt API", release 13.
//!
//! `ROOFLINT_EMULATOR` and `ROOFLINT_EMULATOR_FAULT` mean what they mean to the driver; the faults of this library are
//! in `fault.rs`. `ROOFLINT_EMULATOR_LOG=1` prints why a call was refused.

#![allow(clippy::missing_safety_doc, reason = "the cuBLASLt API specifies its functions")]

mod algorithm;
mod descriptor;
mod driver;
mod element;
mod fault;
mod heuristic;
mod launch;
mod library;
mod matmul;
mod object;
mod problem;
mod product;
mod status;

#[path = "../../src/guest.rs"]
mod guest;
#[allow(dead_code, reason = "the driver needs more of it")]
#[path = "../../src/number.rs"]
mod number;
