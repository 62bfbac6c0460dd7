//! Transformers as arithmetic: their shapes, and exactly how many parameters, operations and bytes follow.
//!
//! A [`Model`] comes from the embedded [`catalogue()`], from a TOML file of the same form
//! ([`parse_toml`]), or from a Hugging Face `config.json` ([`parse_hf_config`]). [`Layout`] says how
//! it is split over GPUs. Counts are of one rank, the fullest; a layout of one rank is the model.
//!
//! Operations are those of matrix products, two per multiply-add, as every published FLOP count
//! takes them; normalisation, softmax and activation functions are left out.

mod catalogue;
mod count;
mod decode;
mod error;
mod hugging_face;
mod implied;
mod kv;
mod layout;
mod model;
mod products;

pub use catalogue::{catalogue, find, parse_toml};
pub use count::{Kind, Operation, OperationCount, Step, StepCount, Widths};
pub use decode::{DecodeOperation, DecodeShape};
pub use error::ModelError;
pub use hugging_face::parse_hf_config;
pub use implied::{hidden_from, hidden_from_multi_query};
pub use kv::KvShape;
pub use layout::{Layout, Split};
pub use model::{Bias, ExpertWeights, Experts, Model, Norm, Positions, Published, Weights};
pub use products::Product;
