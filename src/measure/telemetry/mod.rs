//! What happens around a sample that its own times cannot show.

mod host;

pub use host::{Host, HostShare, Processor};
