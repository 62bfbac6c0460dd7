//! The `rooflint` command.

use std::process::ExitCode;

fn main() -> ExitCode {
    rooflint::cli::main()
}
