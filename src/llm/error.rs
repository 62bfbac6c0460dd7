//! What can be wrong with a model or with the way it is split.

/// Why a model cannot be read, found or laid out. Every message names the thing and the way out.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum ModelError {
    /// A file that is not what it should be.
    #[error("{file}:{line}: {}{problem}", key.as_ref().map(|key| format!("`{key}`: ")).unwrap_or_default())]
    File {
        /// Its name, as the caller gave it.
        file: String,
        /// Where, counted from 1.
        line: usize,
        /// The key that is wrong or missing, where it is one key.
        key: Option<String>,
        /// What is wrong, and what to write instead.
        problem: String,
    },
    /// No such model.
    #[error(
        "no model `{id}` in the catalogue; nearest: {nearest}; it has {known}; or give a TOML file or a Hugging Face \
         config.json"
    )]
    Unknown {
        /// What was asked for.
        id: String,
        /// The names there are that it may have meant.
        nearest: String,
        /// What there is.
        known: String,
    },
    /// A number that must not be zero, or must not be more than another.
    #[error("{what} is {value}, and must be {must}")]
    Number {
        /// Which.
        what: &'static str,
        /// What it is.
        value: u64,
        /// What it must be.
        must: String,
    },
    /// Tensor or expert ranks that do not divide what they share.
    #[error("{count} {what} do not divide over {ranks} {over}; use a divisor: {divisors}")]
    Indivisible {
        /// What is to be divided: `attention heads`, `KV heads`, `experts`.
        what: &'static str,
        /// How many there are.
        count: u32,
        /// Among how many.
        ranks: u32,
        /// Of what: `tensor ranks`, `expert ranks`.
        over: &'static str,
        /// Counts that would divide.
        divisors: String,
    },
    /// A model whose decode step has operations that are not measured.
    #[error(
        "the decode step of {id} cannot be measured: {why}; see 'rooflint describe decode' for the models that can"
    )]
    Undecodable {
        /// The model.
        id: String,
        /// What is in the way.
        why: String,
    },
}

impl ModelError {
    /// The error that `count` of `what` do not divide over `ranks`.
    pub(super) fn indivisible(what: &'static str, count: u32, ranks: u32, over: &'static str) -> Self {
        let divisors: Vec<String> =
            (1..=count.min(128)).filter(|d| count.is_multiple_of(*d)).map(|d| d.to_string()).collect();
        Self::Indivisible { what, count, ranks, over, divisors: divisors.join(", ") }
    }
}
