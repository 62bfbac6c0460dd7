//! The protocol: how a case is measured, and how a run of many cases survives what goes wrong.
//!
//! [`case`] measures one case on an open device: race, check, warm-up, samples, check again. [`plan`]
//! lists the cases of a run with their time. [`worker`] is the process that holds a device, and
//! [`supervisor`] the one that starts it, keeps its results and replaces it when it dies; `together` holds
//! several at once. [`search`] measures what is to be measured next by what was measured before: [`halving`] decides.
//! Deadlines, the store and interrupts are the supervisor's: nothing but measuring happens in a worker.

pub mod case;
pub mod environment;
pub mod halving;
pub mod lock;
pub mod plan;
mod race;
mod sampling;
pub mod search;
pub mod settings;
pub mod supervisor;
pub mod telemetry;
mod together;
pub mod worker;
