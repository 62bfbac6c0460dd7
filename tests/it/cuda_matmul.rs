//! Matrix products and matrix units through CUDA: every way to run them, what they refuse, and whole runs. As in
//! `cuda`, the emulator stands in where there is no GPU.

use rooflint::device::{DeviceError, MatmulDesc, Pattern, Provider, Slot, Step};
use rooflint::record::{Case, DeviceKind, Outcome, Precision};
use rooflint::suite::{self, Profile, Stop};
use rooflint::units::ByteCount;

use crate::cuda::{case, devices, emulated, open};
use crate::suite::{every_way_is_right, request};

/// A product by our own kernels, whatever library is here.
fn product([m, n, k]: [u64; 3], precision: &'static str, data: &'static str) -> Case {
    case("matmul", &[("m", m), ("n", n), ("k", k)], &[("precision", precision), ("data", data), ("library", "own")])
}

fn issue(precision: &'static str, tiles: u64, rounds: u64) -> Case {
    case("mma", &[("tiles", tiles), ("rounds", rounds)], &[("precision", precision)])
}

#[test]
fn every_way_to_multiply_is_right() {
    for info in devices() {
        let mut cases = Vec::new();
        // One row, few, a tile's, and more; columns and k's that are whole packs and that are not.
        let shapes =
            [[1, 264, 72], [3, 136, 136], [7, 64, 200], [33, 72, 264], [130, 264, 72], [5, 7, 9], [70, 33, 17]];
        for precision in ["f64", "f32", "f16", "bf16"] {
            cases.extend(shapes.map(|shape| product(shape, precision, "random")));
        }
        cases.push(product([129, 136, 64], "f16", "integers"));
        cases.push(product([129, 136, 64], "f32", "zeros"));
        if info.features.iter().any(|feature| feature == "fp8_e4m3") {
            let shapes = [[1, 272, 144], [9, 64, 400], [65, 144, 272], [130, 272, 144]];
            cases.extend(shapes.map(|shape| product(shape, "fp8_e4m3", "random")));
            cases.push(product([65, 144, 272], "fp8_e4m3", "integers"));
        }
        every_way_is_right(open(&info).as_mut(), &cases);
    }
}

#[test]
fn every_way_to_keep_matrix_units_busy_is_counted() {
    for info in devices() {
        let mut cuda = open(&info);
        let (known, rest): (Vec<_>, Vec<_>) = ["f16", "bf16", "tf32", "i8", "fp8_e4m3", "fp8_e5m2"]
            .into_iter()
            .partition(|name| !name.starts_with("fp8") || info.features.iter().any(|feature| feature == "fp8_e4m3"));
        let mut cases: Vec<_> = known.into_iter().map(|precision| issue(precision, 1, 2)).collect();
        cases.push(issue("f16", 3, 1));
        every_way_is_right(cuda.as_mut(), &cases);
        for precision in rest.into_iter().chain(["f32"]) {
            let case = issue(precision, 1, 1);
            match suite::find("mma").unwrap().prepare(&case, cuda.as_mut()) {
                Err(Stop::Skip(reason)) => assert!(reason.contains("matrix units"), "{reason}"),
                other => panic!("{}: {other:?}", case.key()),
            }
        }
    }
}

/// A figure of 8-bit floating point comes from its own instructions or not at all.
#[test]
fn eight_bits_are_multiplied_by_their_own_instructions() {
    for info in devices() {
        let mut cuda = open(&info);
        let own = match info.architecture.as_str() {
            "sm_89" => Some("warps"),
            "sm_90" => Some("groups"),
            _ => None,
        };
        assert_eq!(info.features.iter().any(|feature| feature == "fp8_e4m3"), own.is_some());
        for m in [1, 64, 200] {
            let desc = MatmulDesc {
                m,
                n: 256,
                k: 256,
                a: Precision::Fp8E4m3,
                b: Precision::Fp8E4m3,
                c: Precision::Bf16,
                accumulate: Precision::F32,
                b_transposed: true,
                full_sums: false,
                provider: Provider::Own,
            };
            let step = |desc| Step::Matmul { desc, plan: String::new(), a: Slot(0), b: Slot(1), c: Slot(2) };
            match (cuda.options(&step(desc)), own) {
                (Ok(ways), Some(own)) => {
                    assert!(!ways.is_empty() && ways.iter().all(|way| way.variant().starts_with(own)), "{ways:?}");
                }
                (Err(DeviceError::Unsupported(reason)), None) => assert!(reason.contains("8.9 and 9.0"), "{reason}"),
                (other, _) => panic!("{}: {other:?}", info.architecture),
            }
            // Rows of 8-bit numbers are whole packs.
            let refused = cuda.options(&step(MatmulDesc { k: 24, ..desc }));
            assert!(matches!(refused, Err(DeviceError::Unsupported(_))), "{refused:?}");
            // Other layouts, formats and sums: nothing of ours computes them.
            for other in [
                MatmulDesc { full_sums: true, ..desc },
                MatmulDesc { b_transposed: false, ..desc },
                MatmulDesc { c: Precision::Fp8E4m3, ..desc },
                MatmulDesc { m: 0, ..desc },
            ] {
                assert!(cuda.options(&step(other)).unwrap().is_empty(), "{other:?}");
            }
        }
    }
}

#[test]
fn products_of_buffers_that_are_too_small_are_refused() {
    for info in devices() {
        let mut cuda = open(&info);
        let mut program = suite::find("matmul").unwrap().prepare(&product([8, 64, 64], "f16", "random"), cuda.as_mut());
        let program = program.as_mut().unwrap();
        let short = cuda.alloc(ByteCount(8 * 64 * 2 - 2), rooflint::device::Place::Device).unwrap();
        let long = std::mem::replace(&mut program.bindings[0][2], short);
        let refused = cuda.record(program);
        assert!(matches!(refused, Err(DeviceError::Call { .. })), "{refused:?}");
        program.bindings[0][2] = long;
        let Step::Matmul { desc, plan, .. } = &mut program.steps[0] else { panic!("no product") };
        desc.provider = Provider::Own;
        "no such way".clone_into(plan);
        let refused = cuda.record(program).unwrap_err();
        assert!(refused.to_string().contains("no such way") && refused.to_string().contains("warps"), "{refused}");
    }
}

#[test]
fn patterns_of_8_bits_are_the_hosts() {
    for info in devices() {
        let mut cuda = open(&info);
        for pattern in [Pattern::uniform, Pattern::integers].map(|of| of(Precision::Fp8E4m3, 5).unwrap()) {
            let buffer = cuda.alloc(ByteCount(4 * 1027), rooflint::device::Place::Device).unwrap();
            cuda.fill(buffer, pattern).unwrap();
            let expected: Vec<u32> = (0..1027).map(|index| pattern.word(index)).collect();
            assert!(crate::conformance::words(cuda.as_mut(), buffer, 1027) == expected, "{pattern:?}");
        }
    }
}

/// What `quick` asks of matrices, on each of the emulator's cards: everything is verified, or skipped for what the card
/// lacks.
#[test]
fn the_quick_profile_is_verified_on_both_cards() {
    for (card, lacks) in [("a100", 2), ("h100", 0)] {
        let arguments =
            "run --device cuda:0 --bench matmul --bench mma --profile quick --budget 60s --deadline 60s --out here";
        let Some((code, text, folder)) = emulated(arguments, &[("ROOFLINT_EMULATOR", card)]) else { return };
        assert_eq!(code, 0, "{card}: {text}");
        let run = rooflint::store::load(&folder.path().join("here")).unwrap().run;
        let info = &run.header.devices[0];
        assert_eq!(info.kind, DeviceKind::Emulated);
        let asked =
            ["mma", "matmul"].map(|id| suite::find(id).unwrap().cases(info, &request(Profile::Quick, &[])).len());
        assert_eq!(run.records.len(), asked.iter().sum::<usize>(), "{card}: {text}");
        let mut skipped = 0;
        for record in &run.records {
            match &record.outcome {
                Outcome::Skipped(reason) => {
                    assert!(reason.contains("8-bit floating point"), "{card}: {}: {reason}", record.case.key());
                    skipped += 1;
                }
                outcome => assert!(outcome.measurement().is_some(), "{card}: {}: {outcome:?}", record.case.key()),
            }
        }
        assert_eq!(skipped, lacks, "{card}: {text}");
    }
}
