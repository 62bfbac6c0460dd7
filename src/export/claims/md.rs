//! One Markdown document without plots, for an issue or a pull request.

use super::Format;
use crate::report::ClaimsView;
use crate::report::markdown::{Plots, claims::render};

pub(super) const FORMAT: Format =
    Format { id: "md", render: |judged, _| Ok(render(&ClaimsView::of(judged), Plots::Omitted)) };
