//! The only code that reads or writes files of ours.

mod runs;

pub use runs::{Loaded, RunWriter, StoreError, load, parse, write_whole};
