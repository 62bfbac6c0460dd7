//! A text table, without colours and as wide as it needs.

use super::Format;
use crate::report::{View, terminal};

pub(super) const FORMAT: Format = Format {
    id: "table",
    about: "a table of cases with their medians, for reading in a terminal",
    render: |run| Ok(terminal::table(&View::of(std::slice::from_ref(run)), &terminal::Terminal::UNLIMITED)),
};
