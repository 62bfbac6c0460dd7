//! A CUDA driver library that executes PTX on the CPU, for tests of programs that have no GPU to run on.

#![allow(clippy::missing_safety_doc, reason = "the CUDA driver API specifies its functions")]

pub mod code;
pub mod decode;
pub mod driver;
pub mod exec;
pub mod fault;
pub mod guest;
pub mod isa;
pub mod memory;
pub mod module;
pub mod number;
pub mod personality;
pub mod place;
pub mod ptx;
pub mod registers;
