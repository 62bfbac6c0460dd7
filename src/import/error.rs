//! Why something cannot be imported.

/// Why something cannot be imported: what is wrong with what, and what to do.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ImportError {
    /// The file is something else, or damaged.
    #[error("{name} is not {wanted}: {problem}")]
    Format {
        /// What it is called.
        name: String,
        /// What was expected.
        wanted: &'static str,
        /// What is wrong.
        problem: String,
    },
    /// A choice that the source does not offer.
    #[error("{whose} has no {what} '{asked}'; it has: {}", known.join(", "))]
    Unknown {
        /// The source.
        whose: String,
        /// What was chosen.
        what: &'static str,
        /// The choice.
        asked: String,
        /// What there is.
        known: Vec<String>,
    },
    /// Nothing to import in it.
    #[error("{name} holds nothing to import: {problem}")]
    Nothing {
        /// What it is called.
        name: String,
        /// What was looked for.
        problem: String,
    },
    /// A table lacks a column.
    #[error("{name} has no column '{column}'; it has: {}", known.join(", "))]
    Column {
        /// The table.
        name: String,
        /// The column.
        column: String,
        /// The columns there are.
        known: Vec<String>,
    },
    /// A value that is not what its column should hold.
    #[error("{name}, column '{column}'{}: {problem}", row.map_or(String::new(), |row| format!(", row {row}")))]
    Value {
        /// The table.
        name: String,
        /// The column.
        column: String,
        /// Which row, from 1; `None` for the whole column.
        row: Option<usize>,
        /// What is wrong.
        problem: String,
    },
}
