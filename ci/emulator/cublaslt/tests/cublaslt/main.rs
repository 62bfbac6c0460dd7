//! The emulated cuBLASLt through the C functions that programs call, as other bindings than ours declare them, on the
//! emulated driver; each test in a process of its own.

mod faults;
mod formats;
mod lives;
mod products;
mod rules;
mod streams;
mod support;

#[allow(dead_code, reason = "the emulator's own tests need more of it")]
#[path = "../../../tests/emulator/raw.rs"]
mod raw;
