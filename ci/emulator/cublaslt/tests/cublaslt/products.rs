//! Every format, layout and algorithm against sums in `f64`.

use cudarc::cublaslt::sys as lt;

use crate::formats::*;
use crate::support::{Case, Lt, Made, configured, emulated};

/// Checks D against plain sums of the values as they are multiplied, and that nothing else was written.
fn check(made: &Made, what: &str) {
    let input = |value| input(made.case.compute, value);
    let (case, d) = (&made.case, made.d());
    let ([m, n, k], size) = (case.sides, bytes_of(case.types[3]));
    let factor: f64 = case.factors.iter().flatten().map(|factor| f64::from(*factor)).product();
    let a: Vec<f64> = (0..m * k)
        .map(|at| (at / k, at % k))
        .map(|(i, p)| input(if case.transposes[0] { made.value(0, p, i) } else { made.value(0, i, p) }))
        .collect();
    let b: Vec<f64> = (0..n * k)
        .map(|at| (at / k, at % k))
        .map(|(j, p)| input(if case.transposes[1] { made.value(1, j, p) } else { made.value(1, p, j) }))
        .collect();
    let mut written = vec![false; case.elements(3)];
    for (i, j) in (0..m * n).map(|at| (at / n, at % n)) {
        let (row, column) = (&a[i * k..][..k], &b[j * k..][..k]);
        let terms = row.iter().zip(column).map(|(x, y)| x * y);
        let (sum, sizes) = terms.fold((0.0, 0.0), |(sum, sizes), term| (sum + term, sizes + term.abs()));
        let added = if case.beta == 0.0 { 0.0 } else { case.beta * made.value(2, i, j) };
        let limit = if case.types[3] == I8 { (-128.0, 127.0) } else { (f64::NEG_INFINITY, f64::INFINITY) };
        let expected = (case.alpha * factor * sum + added).clamp(limit.0, limit.1);
        let at = case.index(3, i, j);
        written[at] = true;
        let got = decode(case.types[3], &d[at * size..][..size]);
        // Whole numbers are exact, as are their sums here.
        let whole = [I8, I32].contains(&case.types[0]);
        let sums = if whole { 0.0 } else { 4e-16 * k as f64 * sizes * (case.alpha * factor).abs() };
        let tolerance = rounding(case.types[3], expected) * 1.0001 + sums;
        let error = (got - expected).abs();
        assert!(error <= tolerance, "{what}: ({i}, {j}) is {got}, not {expected}: {case:?}");
    }
    let untouched = (0..case.elements(3)).filter(|at| !written[*at]);
    untouched.for_each(|at| assert_eq!(d[at * size..][..size], [0xFF; 8][..size], "{what}: padding at {at}"));
}

/// Runs every algorithm the heuristic gives, with the workspace it asks for, and checks each.
fn check_all(lt: &Lt, case: Case) -> usize {
    let made = Made::new(lt, case);
    made.allow(64 << 20);
    let found = made.heuristic(8).unwrap_or_else(|status| panic!("{status}: {:?}", made.case));
    for (rank, result) in found.iter().enumerate() {
        made.clear();
        let workspace =
            if result.workspaceSize == 0 { 0 } else { lt.raw.allocate(result.workspaceSize).expect("memory") };
        let status = made.matmul(Some(&result.algo), (workspace, result.workspaceSize));
        assert_eq!(status, 0, "algorithm {rank} of {:?}", made.case);
        check(&made, &format!("algorithm {rank}"));
    }
    // Without an algorithm the library chooses.
    made.clear();
    assert_eq!(made.matmul(None, (0, 0)), 0);
    check(&made, "its own choice");
    found.len()
}

/// Compute type, scale type, and types of A, B, C and D.
const PLAIN: [(i32, u32, [u32; 4]); 11] = [
    (70, F64, [F64; 4]),
    (68, F32, [F32; 4]),
    (74, F32, [F32; 4]),
    (75, F32, [F32; 4]),
    (77, F32, [F32; 4]),
    (68, F32, [F16; 4]),
    (68, F32, [BF16; 4]),
    (68, F32, [F16, F16, F32, F32]),
    (68, F32, [BF16, BF16, F32, F32]),
    (64, F16, [F16; 4]),
    (68, F32, [I8, I8, F32, F32]),
];

#[test]
fn every_format_at_awkward_sizes() {
    emulated("products::every_format_at_awkward_sizes", "small", "", || {
        let lt = Lt::open();
        for (compute, scale, types) in PLAIN {
            for sides in [[37, 29, 53], [1, 1, 1], [1, 77, 130], [65, 1, 7], [96, 80, 160]] {
                let case = Case { alpha: 0.75, beta: -1.5, ..Case::new(compute, scale, types, sides) };
                let found = check_all(&lt, case.clone());
                assert!(found >= 3, "{found} algorithms for {case:?}");
            }
        }
    });
}

#[test]
fn every_order_transpose_and_padding() {
    emulated("products::every_order_transpose_and_padding", "small", "", || {
        let lt = Lt::open();
        for choice in 0..64u32 {
            let bit = |index: u32| choice >> index & 1 == 1;
            let case = Case {
                transposes: [bit(0), bit(1)],
                rows: [bit(2), bit(3), bit(4), bit(4)],
                pads: if bit(5) { [3, 5, 1, 7] } else { [0; 4] },
                beta: 0.5,
                ..Case::new(68, F32, [BF16, BF16, F32, F32], [24, 18, 33])
            };
            check_all(&lt, case);
        }
    });
}

#[test]
fn whole_numbers_are_exact() {
    emulated("products::whole_numbers_are_exact", "a100", "", || {
        let lt = Lt::open();
        for sides in [[4, 1, 4], [36, 29, 52], [64, 64, 256]] {
            let plain = Case::new(72, I32, [I8, I8, I32, I32], sides);
            check_all(&lt, plain.clone());
            check_all(&lt, Case { alpha: 3.0, beta: -7.0, ..plain });
            // Rounded to 8 bits, some of them out of range.
            check_all(&lt, Case { alpha: 0.015_625, beta: 1.0, ..Case::new(72, F32, [I8; 4], sides) });
        }
    });
}

#[test]
fn fp8_with_factors_read_when_the_product_runs() {
    emulated("products::fp8_with_factors_read_when_the_product_runs", "h100", "", || {
        let lt = Lt::open();
        let factors = [Some(0.25), Some(3.0), None];
        for (a, b) in [(E4M3, E4M3), (E4M3, E5M2), (E5M2, E4M3)] {
            for d in [BF16, F16, F32] {
                for fast in [false, true] {
                    let plain = Case { fast, ..Case::new(68, F32, [a, b, d, d], [48, 16, 96]) };
                    check_all(&lt, plain.clone());
                    check_all(&lt, Case { factors, alpha: 2.0, beta: 1.0, ..plain });
                }
            }
            let narrow = Case {
                factors: [Some(0.5), None, Some(0.125)],
                ..Case::new(68, F32, [a, b, BF16, E4M3], [32, 48, 64])
            };
            check_all(&lt, narrow);
        }
    });
}

#[test]
fn algorithms_differ_and_always_come_in_one_order() {
    emulated("products::algorithms_differ_and_always_come_in_one_order", "small", "", || {
        use lt::cublasLtMatmulAlgoConfigAttributes_t as Attribute;
        let lt = Lt::open();
        let made = Made::new(&lt, Case::new(68, F32, [F16; 4], [256, 256, 256]));
        let describe = |found: &[lt::cublasLtMatmulHeuristicResult_t]| -> Vec<[u32; 4]> {
            let attributes = [
                Attribute::CUBLASLT_ALGO_CONFIG_ID,
                Attribute::CUBLASLT_ALGO_CONFIG_TILE_ID,
                Attribute::CUBLASLT_ALGO_CONFIG_SPLITK_NUM,
                Attribute::CUBLASLT_ALGO_CONFIG_STAGES_ID,
            ];
            found.iter().map(|result| attributes.map(|attribute| configured(&result.algo, attribute))).collect()
        };
        let without = made.heuristic(8).expect("algorithms");
        assert!(without.iter().all(|result| result.workspaceSize == 0));
        made.allow(32 << 20);
        let found = made.heuristic(8).expect("algorithms");
        assert_eq!(found.len(), 8);
        let described = describe(&found);
        assert_eq!(described, describe(&made.heuristic(8).expect("algorithms")));
        assert_eq!(described[..3], describe(&made.heuristic(3).expect("algorithms")));
        let distinct: std::collections::BTreeSet<_> = described.iter().collect();
        assert_eq!(distinct.len(), 8);
        for (result, [_, _, parts, _]) in found.iter().zip(&described) {
            let needed = if *parts > 1 { *parts as usize * 256 * 256 * 8 } else { 0 };
            assert_eq!((result.workspaceSize, result.state as i32), (needed, 0));
            assert!(result.wavesCount > 0.0);
        }
        assert!(described.iter().any(|[_, _, parts, _]| *parts > 1));
        // Four multiprocessors: a tile of 64 x 64 and no parts is 16 blocks, four turns.
        let small = described.iter().position(|[id, ..]| *id == 1006).expect("the tile of 64 x 64");
        assert_eq!(found[small].wavesCount, 4.0);
        // What is asked for less workspace is given no algorithm that needs more.
        made.allow(2 * 256 * 256 * 8);
        let least = made.heuristic(8).expect("algorithms");
        assert!(least.iter().any(|result| result.workspaceSize == 2 * 256 * 256 * 8));
        assert!(least.iter().all(|result| result.workspaceSize <= 2 * 256 * 256 * 8));
    });
}

#[test]
fn parts_go_through_the_workspace_and_nowhere_else() {
    emulated("products::parts_go_through_the_workspace_and_nowhere_else", "small", "", || {
        let lt = Lt::open();
        let made = Made::new(&lt, Case::new(68, F32, [F16; 4], [64, 64, 256]));
        made.allow(32 << 20);
        let found = made.heuristic(8).expect("algorithms");
        let split = found.iter().find(|result| result.workspaceSize > 0).expect("one with parts");
        let size = split.workspaceSize;
        let workspace = lt.upload(&vec![0xAA; size + 512]);
        assert_eq!(made.matmul(Some(&split.algo), (workspace, size)), 0);
        check(&made, "in parts");
        let after = lt.download(workspace, size + 512);
        assert_eq!(after[size..], [0xAA; 512]);
        // The parts' sums are there, and are the result.
        let parts: Vec<f64> = after[..size].chunks(8).map(|bytes| decode(F64, bytes)).collect();
        let (cells, first) = (64 * 64, made.d());
        let sum: f64 = parts.iter().step_by(cells).sum();
        let got = decode(F16, &first[..2]);
        assert!((sum - got).abs() <= rounding(F16, sum) * 1.0001, "{sum} in the workspace, {got} in D");
    });
}

#[test]
fn in_place_c_is_d() {
    emulated("products::in_place_c_is_d", "small", "", || {
        let lt = Lt::open();
        let case = Case { beta: 2.0, pads: [0, 0, 4, 4], ..Case::new(68, F32, [F16; 4], [40, 24, 64]) };
        let made = Made::new(&lt, case);
        let [a, b, c, _] = made.at;
        assert_eq!(made.matmul_at([a, b, c, c], None, (0, 0)), 0);
        let result = made.d_of(c);
        assert_eq!(made.matmul_at(made.at_with_fresh_c(), None, (0, 0)), 0);
        let expected = made.d();
        for (i, j) in (0..40 * 24).map(|at| (at / 24, at % 24)) {
            let at = made.case.index(3, i, j) * 2;
            assert_eq!(result[at..at + 2], expected[at..at + 2], "({i}, {j})");
        }
    });
}
