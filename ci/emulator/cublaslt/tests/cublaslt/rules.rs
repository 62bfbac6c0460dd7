//! What the real library refuses, and how.

use cudarc::cublaslt::sys as lt;

use crate::formats::*;
use crate::support::*;

const ID: lt::cublasLtMatmulAlgoConfigAttributes_t = lt::cublasLtMatmulAlgoConfigAttributes_t::CUBLASLT_ALGO_CONFIG_ID;

/// The status for a case, which the heuristic and the product must give alike.
fn status(lt: &Lt, case: Case, edit: impl Fn(&Made)) -> i32 {
    let made = Made::new(lt, case);
    edit(&made);
    let asked = made.heuristic(8).err().unwrap_or(0);
    assert_eq!(made.matmul(None, (0, 0)), asked, "{:?}", made.case);
    if asked != 0 {
        assert!(made.d().iter().all(|byte| *byte == 0xFF));
    }
    asked
}

fn f16(sides: [usize; 3]) -> Case {
    Case::new(68, F32, [F16; 4], sides)
}

fn int8(sides: [usize; 3]) -> Case {
    Case::new(72, I32, [I8, I8, I32, I32], sides)
}

fn fp8(sides: [usize; 3]) -> Case {
    Case::new(68, F32, [E4M3, E4M3, BF16, BF16], sides)
}

#[test]
fn shapes_must_agree() {
    emulated("rules::shapes_must_agree", "a100", "", || {
        let lt = Lt::open();
        let edited = |matrix: usize, attribute: u32, value: u64| {
            status(&lt, f16([16, 24, 32]), |made| {
                assert_eq!(set_layout(made.layouts[matrix], attribute, &value.to_le_bytes()), 0);
            })
        };
        assert_eq!(edited(0, 2, 32), 0);
        assert_eq!(edited(3, 4, 16), 0);
        for (matrix, attribute, value) in [
            (0, 2, 31),
            (0, 3, 15),
            (1, 2, 31),
            (1, 3, 25),
            (2, 2, 15),
            (2, 3, 23),
            (3, 2, 15),
            (3, 3, 23),
            (0, 2, 0),
            (1, 3, 0),
            (3, 3, 1 << 40),
        ] {
            assert_eq!(edited(matrix, attribute, value), INVALID_VALUE, "matrix {matrix}: {attribute} = {value}");
        }
        // Leading dimensions: A has 32 rows as it is stored, C and D have 16.
        for (matrix, least) in [(0, 32i64), (1, 32), (2, 16), (3, 16)] {
            let mut padded = f16([16, 24, 32]);
            padded.pads[matrix] = 8;
            assert_eq!(status(&lt, padded, |_| ()), 0);
            for short in [least - 1, 0, -least] {
                assert_eq!(edited(matrix, 4, short as u64), INVALID_VALUE, "matrix {matrix}: {short}");
            }
        }
        let row_major = Case { rows: [true; 4], ..f16([16, 24, 32]) };
        let short = |made: &Made| assert_eq!(set_layout(made.layouts[0], 4, &15u64.to_le_bytes()), 0);
        assert_eq!((status(&lt, row_major.clone(), |_| ()), status(&lt, row_major, short)), (0, INVALID_VALUE));
        // C and D in different orders.
        assert_eq!(status(&lt, Case { rows: [false, false, true, false], ..f16([16, 16, 32]) }, |_| ()), INVALID_VALUE);
    });
}

#[test]
fn values_that_mean_nothing_and_what_is_not_offered() {
    emulated("rules::values_that_mean_nothing_and_what_is_not_offered", "a100", "", || {
        let lt = Lt::open();
        let operation = |attribute: u32, bytes: &[u8]| {
            status(&lt, f16([16, 16, 32]), |made| assert_eq!(set_operation(made.operation, attribute, bytes), 0))
        };
        let layout = |attribute: u32, value: i32| {
            status(&lt, f16([16, 16, 32]), |made| {
                assert_eq!(set_layout(made.layouts[0], attribute, &value.to_le_bytes()), 0);
            })
        };
        assert_eq!(operation(3, &9i32.to_le_bytes()), INVALID_VALUE);
        assert_eq!(operation(4, &(-1i32).to_le_bytes()), INVALID_VALUE);
        assert_eq!(operation(2, &9i32.to_le_bytes()), INVALID_VALUE);
        // The conjugate transpose of real numbers.
        assert_eq!(operation(3, &2i32.to_le_bytes()), 0);
        // A device's alpha, C transposed, a triangle, ReLU, scales by blocks.
        for (attribute, value) in [(2, 1i32), (5, 1), (6, 0), (7, 2), (31, 1), (32, 2)] {
            assert_eq!(operation(attribute, &value.to_le_bytes()), NOT_SUPPORTED, "attribute {attribute}");
        }
        assert_eq!(operation(21, &4096u64.to_le_bytes()), NOT_SUPPORTED);
        // Orders of Turing's, and none at all; batches.
        assert_eq!((layout(1, 2), layout(1, 5), layout(1, -1)), (NOT_SUPPORTED, INVALID_VALUE, INVALID_VALUE));
        assert_eq!((layout(5, 2), layout(5, 0), layout(5, -1)), (NOT_SUPPORTED, INVALID_VALUE, INVALID_VALUE));
        // Scales belong to FP8.
        for attribute in 17..=20 {
            assert_eq!(operation(attribute, &lt.upload(&[0; 4]).to_le_bytes()), INVALID_VALUE);
        }
    });
}

#[test]
fn formats_that_do_not_go_together() {
    emulated("rules::formats_that_do_not_go_together", "h100", "", || {
        let lt = Lt::open();
        let of = |compute, scale, types| status(&lt, Case::new(compute, scale, types, [16, 16, 32]), |_| ());
        assert_eq!(of(68, F32, [F16; 4]), 0);
        for (compute, scale, types) in [
            (68, F32, [F16, BF16, F16, F16]),
            (68, F32, [F16, F16, BF16, BF16]),
            (68, F32, [F16, F16, F16, F32]),
            (68, F32, [F32, F32, F16, F16]),
            (68, F16, [F16; 4]),
            (68, F32, [F64; 4]),
            (64, F32, [F16; 4]),
            (64, F16, [BF16; 4]),
            (64, F16, [E4M3, E4M3, F16, F16]),
            (70, F64, [F32; 4]),
            (70, F32, [F64; 4]),
            (72, F32, [I8, I8, I32, I32]),
            (72, I32, [F16; 4]),
            (77, F32, [F16; 4]),
            (68, F32, [E4M3; 4]),
            (68, F32, [E5M2, E5M2, BF16, BF16]),
            (68, F32, [E4M3, E4M3, BF16, E5M2]),
            (68, F32, [E4M3, E4M3, F32, E4M3]),
            (68, F32, [E4M3, BF16, BF16, BF16]),
            (999, F32, [F32; 4]),
        ] {
            assert_eq!(of(compute, scale, types), NOT_SUPPORTED, "{compute} {scale} {types:?}");
        }
    });
}

#[test]
fn whole_numbers_have_kernels_of_their_own() {
    emulated("rules::whole_numbers_have_kernels_of_their_own", "a100", "", || {
        let lt = Lt::open();
        let plain = |case| status(&lt, case, |_| ());
        assert_eq!(plain(int8([8, 3, 12])), 0);
        assert_eq!((plain(int8([6, 4, 12])), plain(int8([8, 4, 10]))), (NOT_SUPPORTED, NOT_SUPPORTED));
        for transposes in [[false, false], [false, true], [true, true]] {
            assert_eq!(plain(Case { transposes, ..int8([8, 8, 8]) }), NOT_SUPPORTED);
        }
        for matrix in 0..3 {
            let mut case = int8([8, 8, 8]);
            case.pads[matrix] = 2;
            assert_eq!(plain(case.clone()), NOT_SUPPORTED, "matrix {matrix}");
            case.pads[matrix] = 4;
            assert_eq!(plain(case), 0, "matrix {matrix}");
        }
        assert_eq!(plain(Case { rows: [true; 4], ..int8([8, 8, 8]) }), NOT_SUPPORTED);
        let made = Made::new(&lt, int8([8, 8, 8]));
        let mut off = made.at;
        off[0] += 2;
        assert_eq!(made.matmul_at(off, None, (0, 0)), INVALID_VALUE);
    });
}

#[test]
fn fp8_is_for_devices_that_have_it() {
    emulated("rules::fp8_is_for_devices_that_have_it", "a100", "", || {
        let lt = Lt::open();
        assert_eq!(status(&lt, fp8([32, 32, 32]), |_| ()), NOT_SUPPORTED);
    });
}

#[test]
fn fp8_is_transposed_times_not_in_multiples_of_16() {
    emulated("rules::fp8_is_transposed_times_not_in_multiples_of_16", "h100", "", || {
        let lt = Lt::open();
        let plain = |case| status(&lt, case, |_| ());
        assert_eq!(plain(fp8([32, 16, 48])), 0);
        for sides in [[24, 32, 32], [32, 24, 32], [32, 32, 24], [32, 1, 32], [33, 32, 32]] {
            assert_eq!(plain(fp8(sides)), NOT_SUPPORTED, "{sides:?}");
        }
        for transposes in [[false, false], [false, true], [true, true]] {
            assert_eq!(plain(Case { transposes, ..fp8([32, 32, 32]) }), NOT_SUPPORTED, "{transposes:?}");
        }
        for rows in [[true; 4], [true, false, false, false], [false, false, true, true]] {
            assert_eq!(plain(Case { rows, ..fp8([32, 32, 32]) }), NOT_SUPPORTED, "{rows:?}");
        }
        for (matrix, pad) in [(0, 8), (1, 8), (3, 4)] {
            let mut case = fp8([32, 32, 32]);
            case.pads[matrix] = pad;
            assert_eq!(plain(case), NOT_SUPPORTED, "matrix {matrix}");
        }
        for matrix in 0..4 {
            let made = Made::new(&lt, fp8([32, 32, 32]));
            let mut off = made.at;
            off[matrix] += 8;
            assert_eq!(made.matmul_at(off, None, (0, 0)), INVALID_VALUE, "matrix {matrix}");
            assert_eq!(set_preference(made.preference, 5 + matrix as u32, &8u32.to_le_bytes()), 0);
            assert_eq!(made.heuristic(8).err(), Some(NOT_SUPPORTED), "matrix {matrix}");
        }
    });
}

#[test]
fn pointers_are_aligned_as_the_algorithm_was_promised() {
    emulated("rules::pointers_are_aligned_as_the_algorithm_was_promised", "a100", "", || {
        let lt = Lt::open();
        let mut made = Made::new(&lt, Case { beta: 1.0, ..f16([64, 64, 64]) });
        // Room to move them.
        made.at = [0; 4].map(|_| lt.upload(&[0; 64 * 64 * 2 + 16]));
        let promised = made.heuristic(8).expect("algorithms");
        let refused = |found: &[lt::cublasLtMatmulHeuristicResult_t], at| -> Vec<bool> {
            found.iter().map(|result| made.matmul_at(at, Some(&result.algo), (0, 0)) == INVALID_VALUE).collect()
        };
        assert!(refused(&promised, made.at).iter().all(|refused| !refused));
        for matrix in 0..4 {
            let mut off = made.at;
            off[matrix] += 2;
            let some = refused(&promised, off);
            assert!(some[0] && some.contains(&false), "matrix {matrix}: {some:?}");
            let able = some.iter().filter(|refused| !**refused).count();
            let mut odd = made.at;
            odd[matrix] += 1;
            assert!(refused(&promised, odd).iter().all(|refused| *refused), "matrix {matrix}");
            // What is promised less is given what needs no more.
            let made = Made::new(&lt, f16([64, 64, 64]));
            assert_eq!(set_preference(made.preference, 5 + matrix as u32, &2u32.to_le_bytes()), 0);
            let humble = made.heuristic(8).expect("algorithms");
            assert_eq!(humble.len(), able);
            assert!(humble.iter().all(|result| configured(&result.algo, ID) != configured(&promised[0].algo, ID)));
            assert_eq!(set_preference(made.preference, 5 + matrix as u32, &1u32.to_le_bytes()), 0);
            assert_eq!(made.heuristic(8).err(), Some(NOT_SUPPORTED));
        }
    });
}

#[test]
fn a_workspace_must_be_there_and_large_enough() {
    emulated("rules::a_workspace_must_be_there_and_large_enough", "small", "", || {
        let lt = Lt::open();
        let made = Made::new(&lt, f16([64, 64, 256]));
        made.allow(32 << 20);
        let found = made.heuristic(8).expect("algorithms");
        let split = found.iter().find(|result| result.workspaceSize > 0).expect("one with parts");
        let size = split.workspaceSize;
        let workspace = lt.raw.allocate(size + 256).expect("memory");
        let given = |at, size| made.matmul(Some(&split.algo), (at, size));
        assert_eq!(given(workspace, size), 0);
        assert_eq!(given(workspace, size - 1), INVALID_VALUE);
        assert_eq!(given(0, size), INVALID_VALUE);
        assert_eq!(given(workspace, 0), INVALID_VALUE);
        assert_eq!(given(workspace + 128, size), INVALID_VALUE);
        assert_eq!(given(workspace + 256, size), 0);
        assert_eq!(lt.raw.synchronize(), 0);
        // None of the algorithms that may use nothing needs something; a reduction that is not allowed is not given.
        assert_eq!(set_preference(made.preference, 3, &1u32.to_le_bytes()), 0);
        assert!(made.heuristic(8).expect("algorithms").iter().all(|result| result.workspaceSize == 0));
        // Nor one that fills the device too often.
        assert_eq!(set_preference(made.preference, 9, &0.2f32.to_le_bytes()), 0);
        let few = made.heuristic(8).err();
        assert_eq!(few, Some(NOT_SUPPORTED));
        assert_eq!(set_preference(made.preference, 9, &0.25f32.to_le_bytes()), 0);
        assert!(made.heuristic(8).expect("algorithms").iter().all(|result| result.wavesCount <= 0.25));
    });
}

#[test]
fn an_algorithm_is_for_problems_it_applies_to() {
    emulated("rules::an_algorithm_is_for_problems_it_applies_to", "a100", "", || {
        let lt = Lt::open();
        let given = |sides| Made::new(&lt, f16(sides)).heuristic(8).expect("algorithms");
        let (aligned, odd) = (given([64, 64, 64]), given([37, 29, 53]));
        let ids: Vec<u32> = odd.iter().map(|result| configured(&result.algo, ID)).collect();
        let wide = aligned.iter().find(|result| !ids.contains(&configured(&result.algo, ID))).expect("a wide one");
        let status = |sides| Made::new(&lt, f16(sides)).matmul(Some(&wide.algo), (0, 0));
        assert_eq!((status([37, 29, 53]), status([128, 8, 96])), (INVALID_VALUE, 0));
    });
}

#[test]
fn pointers_that_are_missing() {
    emulated("rules::pointers_that_are_missing", "a100", "", || {
        let lt = Lt::open();
        let made = Made::new(&lt, f16([16, 16, 16]));
        let [a, b, c, d] = made.at;
        for at in [[0, b, c, d], [a, 0, c, d], [a, b, c, 0]] {
            assert_eq!(made.matmul_at(at, None, (0, 0)), INVALID_VALUE);
        }
        // C is not read where beta is zero.
        assert_eq!(made.matmul_at([a, b, 0, d], None, (0, 0)), 0);
        let added = Made::new(&lt, Case { beta: 1.0, ..f16([16, 16, 16]) });
        assert_eq!(added.matmul_at([a, b, 0, d], None, (0, 0)), INVALID_VALUE);
        // In place, layouts are one.
        let padded = Made::new(&lt, Case { beta: 1.0, pads: [0, 0, 0, 8], ..f16([16, 16, 16]) });
        let [a, b, _, d] = padded.at;
        assert_eq!(padded.matmul_at([a, b, d, d], None, (0, 0)), INVALID_VALUE);
        assert_eq!((made.heuristic(0).err(), made.heuristic(-1).err()), (Some(INVALID_VALUE), Some(INVALID_VALUE)));
        // Without a layout of C, D's is taken.
        let mut without = Made::new(&lt, f16([16, 16, 16]));
        without.layouts[2] = std::ptr::null_mut();
        assert_eq!((without.heuristic(8).is_ok(), without.matmul(None, (0, 0))), (true, 0));
    });
}
