//! The emulated driver through the bindings programs use, each test in a process of its own.

mod kernels;
mod support;
