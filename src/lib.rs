//! Measures what a device really achieves and says which published claims about it hold.
//!
//! Data flows one way: [`device`] opens a device, [`suite`] asks a question, [`measure`] runs the
//! protocol, [`record`] keeps every sample; from there on all is pure: [`summary`] and [`fit`] turn
//! records into figures, [`report`] and [`export`] show them. [`cli`] alone prints and exits.
//! `docs/ARCHITECTURE.md` says where a thing lives and which absences are invariants.

pub mod claims;
pub mod cli;
pub mod cost;
pub mod device;
pub mod export;
pub mod fit;
pub mod hardware;
pub mod health;
pub mod import;
pub mod llm;
pub mod measure;
pub mod record;
pub mod reference;
pub mod report;
pub mod stats;
pub mod store;
pub mod suite;
pub mod summary;
pub mod units;
