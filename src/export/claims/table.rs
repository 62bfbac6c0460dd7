//! Tables for reading in a terminal, or for `grep` where there is none: a claim a line.

use super::Format;
use crate::report::ClaimsView;
use crate::report::terminal::claims::table;

pub(super) const FORMAT: Format =
    Format { id: "table", render: |judged, terminal| Ok(table(&ClaimsView::of(judged), terminal)) };
