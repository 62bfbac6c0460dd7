//! Faults on demand, out of the list in `ROOFLINT_EMULATOR_FAULT`: `cublaslt_algorithm:N` (running the Nth algorithm of
//! the heuristic gives `CUBLAS_STATUS_INTERNAL_ERROR`), `cublaslt_wrong:N` (one element in eight of its results is
//! wrong) and `cublaslt_version:N` (the library says that it is of major version N).

use std::sync::OnceLock;

/// Each fault and its number.
fn wanted() -> &'static [(String, u64)] {
    static WANTED: OnceLock<Vec<(String, u64)>> = OnceLock::new();
    WANTED.get_or_init(|| {
        let text = std::env::var("ROOFLINT_EMULATOR_FAULT").unwrap_or_default();
        let faults = text.split(',').filter_map(|fault| fault.split_once(':'));
        faults.filter_map(|(kind, number)| Some((kind.trim().to_owned(), number.trim().parse().ok()?))).collect()
    })
}

fn strikes(kind: &str, rank: u32) -> bool {
    wanted().iter().any(|(wanted, number)| wanted == kind && *number == u64::from(rank))
}

/// Whether the algorithm of this rank, counted from 1, is to fail.
pub fn fails(rank: u32) -> bool {
    strikes("cublaslt_algorithm", rank)
}

/// Whether the algorithm of this rank is to give wrong results.
pub fn wrong(rank: u32) -> bool {
    strikes("cublaslt_wrong", rank)
}

/// `CUBLAS_VERSION`: major * 10000 + minor * 100 + patch.
pub fn version() -> usize {
    let asked = wanted().iter().find(|(kind, _)| kind == "cublaslt_version");
    asked.map_or(130_100, |(_, major)| *major as usize * 10_000 + 100)
}
