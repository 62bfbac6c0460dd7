//! Faults on demand.

use cudarc::cublaslt::sys as lt;

use crate::formats::*;
use crate::support::*;

fn case() -> Case {
    Case::new(68, F32, [F16; 4], [64, 48, 128])
}

/// D of each of the heuristic's algorithms, or the status it is refused with.
fn results(lt: &Lt) -> Vec<Result<Vec<u8>, i32>> {
    let made = Made::new(lt, case());
    made.allow(32 << 20);
    let each = |result: &lt::cublasLtMatmulHeuristicResult_t| {
        made.clear();
        let workspace = lt.raw.allocate(result.workspaceSize.max(256)).expect("memory");
        match made.matmul(Some(&result.algo), (workspace, result.workspaceSize)) {
            0 => Ok(made.d()),
            status => Err(status),
        }
    };
    made.heuristic(8).expect("algorithms").iter().map(each).collect()
}

#[test]
fn an_algorithm_fails() {
    emulated("faults::an_algorithm_fails", "a100", "cublaslt_algorithm:3,cublaslt_algorithm:5", || {
        let results = results(&Lt::open());
        let failed: Vec<usize> =
            (1..).zip(&results).filter(|(_, result)| result.is_err()).map(|(rank, _)| rank).collect();
        assert_eq!((failed, results.len()), (vec![3, 5], 8));
        // CUBLAS_STATUS_INTERNAL_ERROR
        assert_eq!(results[2], Err(14));
    });
}

#[test]
fn an_algorithm_is_wrong_in_an_eighth() {
    emulated("faults::an_algorithm_is_wrong_in_an_eighth", "a100", "cublaslt_wrong:2", || {
        let results: Vec<Vec<u8>> = results(&Lt::open()).into_iter().map(|result| result.expect("a result")).collect();
        let value = |bytes: &[u8]| decode(F16, bytes);
        let off = |result: &[u8]| {
            let pairs = result.chunks(2).zip(results[0].chunks(2));
            pairs
                .filter(|(got, right)| !((value(got) - value(right)).abs() <= 2.1 * rounding(F16, value(right))))
                .count()
        };
        let counts: Vec<usize> = results.iter().map(|result| off(result)).collect();
        assert_eq!(counts, [0, 64 * 48 / 8, 0, 0, 0, 0, 0, 0]);
    });
}

#[test]
fn a_library_of_another_version() {
    emulated("faults::a_library_of_another_version", "a100", "cublaslt_version:11", || {
        // SAFETY: a function without conditions.
        assert_eq!(unsafe { lt::cublasLtGetVersion() } / 10_000, 11);
    });
}

#[test]
fn a_product_is_a_kernel_to_the_driver_s_faults() {
    emulated("faults::a_product_is_a_kernel_to_the_driver_s_faults", "a100", "illegal_address:2", || {
        let lt = Lt::open();
        let made = Made::new(&lt, case());
        assert_eq!(made.matmul(None, (0, 0)), 0);
        assert_eq!(lt.raw.synchronize(), 0);
        assert_eq!(made.matmul(None, (0, 0)), 0);
        assert_eq!(lt.raw.synchronize(), 700);
    });
}

#[test]
fn a_device_that_is_lost_has_no_library() {
    emulated("faults::a_device_that_is_lost_has_no_library", "a100", "lost:1", || {
        let lt = Lt::open();
        let made = Made::new(&lt, case());
        assert_eq!(made.matmul(None, (0, 0)), 0);
        assert_eq!(lt.raw.synchronize(), 999);
        assert_eq!(made.matmul(None, (0, 0)), 13);
        let mut again = std::ptr::null_mut();
        // SAFETY: a place for the result.
        assert_eq!(unsafe { lt::cublasLtCreate(&mut again) } as i32, 1);
    });
}
