//! The emulated driver through the bindings programs use, each test in a process of its own.

mod bench;
mod checks;
mod driver;
mod isa;
mod kernels;
mod memory;
mod mutants;
mod nvml;
mod personalities;
mod products;
mod raw;
mod support;
mod tables;
