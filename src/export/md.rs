//! The report as one Markdown document without plots, for an issue or a pull request.

use super::Format;
use crate::report::{View, markdown};

pub(super) const FORMAT: Format = Format {
    id: "md",
    about: "the report as Markdown, without plots",
    render: |run| Ok(markdown::render(&View::of(std::slice::from_ref(run)), markdown::Plots::Omitted)),
};
