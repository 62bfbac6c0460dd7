//! The `rooflint` command.

fn main() {}
