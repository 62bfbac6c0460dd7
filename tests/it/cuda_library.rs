//! Products by cuBLASLt, through the stand-in beside the emulator (`ci/emulator/cublaslt`): every format, every way that the
//! heuristic suggests, and what goes wrong. On hardware the real library is asked for the same by `cuda_matmul`.

use std::path::PathBuf;

use rooflint::record::{Case, DeviceKind, Outcome, Record};

use crate::cuda::{case, devices, emulated, open};
use crate::suite::every_way_is_right;

/// The stand-in, beside the emulator that the loader found; its folder is none that is searched.
fn stand_in() -> PathBuf {
    let folders = std::env::var_os("LD_LIBRARY_PATH").unwrap_or_default();
    let library = |folder: PathBuf| folder.join("cublaslt/libcublasLt.so.13");
    std::env::split_paths(&folders).map(library).find(|path| path.exists()).expect("cuBLASLt beside the emulator")
}

/// The records of a run of products with the stand-in; `None` where there is no emulator.
fn products(arguments: &str, environment: &[(&str, &str)]) -> Option<(i32, String, Vec<Record>)> {
    let arguments = format!("run --device cuda:0 --bench matmul --budget 60s --deadline 60s --out here {arguments}");
    let is_emulated = devices().iter().any(|info| info.kind == DeviceKind::Emulated);
    let library = if is_emulated { stand_in() } else { PathBuf::new() };
    let mut all = vec![("ROOFLINT_CUBLASLT", library.to_str().unwrap()), ("ROOFLINT_EMULATOR", "h100")];
    all.extend(environment);
    let (code, text, folder) = emulated(arguments.trim(), &all)?;
    let records = rooflint::store::load(&folder.path().join("here")).map(|loaded| loaded.run.records);
    Some((code, text, records.unwrap_or_default()))
}

/// The axis that says whose product it was.
fn library(case: &Case) -> &str {
    case.word("library").unwrap_or("none")
}

#[test]
fn products_of_every_format_are_the_librarys_and_right() {
    let asked = "--axis m=1,3,128 --axis n=256 --axis k=144 --axis precision=f64,f32,tf32,f16,bf16,fp8_e4m3,i8 \
                 --axis library=vendor";
    let Some((code, text, records)) = products(&asked.split_whitespace().collect::<Vec<_>>().join(" "), &[]) else {
        return;
    };
    assert_eq!(code, 0, "{text}");
    assert_eq!(records.len(), 21);
    for record in &records {
        let key = record.case.key();
        assert_eq!(library(&record.case), "cublaslt_13.1.0", "{key}");
        // 8-bit floating point asks for rows that are multiples of 16, which the library says.
        if record.case.word("precision") == Some("fp8_e4m3") && record.case.count("m") != Some(128) {
            let Outcome::Skipped(reason) = &record.outcome else { panic!("{key}: {:?}", record.outcome) };
            assert!(reason.contains("cublaslt_13.1.0"), "{key}: {reason}");
            continue;
        }
        let measured = record.outcome.measurement().unwrap_or_else(|| panic!("{key}: {:?}", record.outcome));
        assert!(measured.variant.starts_with("lt"), "{key}: {}", measured.variant);
        assert!(measured.conditions["code"].contains("cuBLASLt 13.1.0"), "{key}: {:?}", measured.conditions);
        assert!(measured.races.iter().all(|race| (2..=8).contains(&race.candidates.len())), "{key}");
    }
}

#[test]
fn unusual_sums_are_asked_for_and_are_right() {
    for (precision, sums) in [("f16", "f16"), ("fp8_e4m3", "full")] {
        let asked = format!(
            "--axis m=128 --axis n=256 --axis k=512 --axis precision={precision} --axis accumulate={sums} --axis library=vendor"
        );
        let Some((code, text, records)) = products(&asked, &[]) else { return };
        assert_eq!(code, 0, "{text}");
        assert!(records[0].outcome.measurement().is_some(), "{text}");
        assert_eq!(records[0].case.word("accumulate"), Some(sums));
    }
}

#[test]
fn the_quick_profile_compares_the_library_with_our_own() {
    for (card, eight_bits) in [("a100", false), ("h100", true)] {
        let Some((code, text, records)) = products("--profile quick", &[("ROOFLINT_EMULATOR", card)]) else { return };
        assert_eq!(code, 0, "{text}");
        let wrong: Vec<_> = records.iter().filter(|record| matches!(record.outcome, Outcome::Failed(_))).collect();
        assert!(wrong.is_empty(), "{wrong:?}");
        for (precision, both) in
            [("bf16", true), ("f16", false), ("tf32", false), ("i8", false), ("fp8_e4m3", eight_bits)]
        {
            let of = |name: &str| {
                let here = |record: &&Record| {
                    record.case.word("precision") == Some(precision)
                        && library(&record.case) == name
                        && record.outcome.measurement().is_some()
                };
                records.iter().filter(here).count()
            };
            assert_eq!(of("cublaslt_13.1.0") > 0, precision != "fp8_e4m3" || eight_bits, "{card} {precision}");
            assert_eq!(of("own") > 0, both, "{card} {precision}");
        }
    }
}

#[test]
fn an_algorithm_that_fails_or_errs_is_raced_out_or_found_out() {
    let one = "--axis m=128 --axis n=256 --axis k=256 --axis precision=bf16 --axis library=vendor";
    let Some((code, text, records)) = products(one, &[("ROOFLINT_EMULATOR_FAULT", "cublaslt_algorithm:1")]) else {
        return;
    };
    assert_eq!(code, 0, "{text}");
    let measured = records[0].outcome.measurement().unwrap();
    assert!(!measured.variant.starts_with("lt1_"), "{}", measured.variant);
    let failed: Vec<_> =
        measured.races[0].candidates.iter().filter_map(|candidate| candidate.failure.as_deref()).collect();
    assert!(failed.len() == 1 && failed[0].contains("CUBLAS_STATUS"), "{failed:?}");

    // Any algorithm may win the race, so all of them err.
    let wrong = (1..=8).map(|rank| format!("cublaslt_wrong:{rank}")).collect::<Vec<_>>().join(",");
    let (code, text, records) = products(one, &[("ROOFLINT_EMULATOR_FAULT", &wrong)]).unwrap();
    assert_ne!(code, 0, "{text}");
    assert!(matches!(&records[0].outcome, Outcome::Wrong(_)), "{:?}", records[0].outcome);
}

#[test]
fn a_library_that_is_not_there_or_not_the_one_is_told() {
    if !devices().iter().any(|info| info.kind == DeviceKind::Emulated) {
        println!("left out: these tests are the emulator's");
        return;
    }
    let library = stand_in();
    let doctor = |choice: &str, fault: &str| {
        let environment = [("ROOFLINT_CUBLASLT", choice), ("ROOFLINT_EMULATOR_FAULT", fault)];
        emulated("doctor", &environment).unwrap().1
    };
    let here = doctor(library.to_str().unwrap(), "");
    assert!(here.contains("cuBLASLt 13.1.0 from the file that ROOFLINT_CUBLASLT names"), "{here}");
    let old = doctor(library.to_str().unwrap(), "cublaslt_version:11");
    assert!(old.contains("no cuBLASLt") && old.contains("11.") && old.contains("12 and 13"), "{old}");
    let none = doctor("none", "");
    assert!(none.contains("no cuBLASLt") && none.contains("own kernels"), "{none}");
    let missing = doctor("/nowhere/libcublasLt.so.13", "");
    assert!(missing.contains("no cuBLASLt") && missing.contains("/nowhere"), "{missing}");

    // The product is named all the same, and says what is missing.
    let one = "--axis m=64 --axis n=64 --axis k=64 --axis precision=f32 --axis library=vendor";
    let (_, text, records) = products(one, &[("ROOFLINT_CUBLASLT", "none")]).unwrap();
    assert!(matches!(&records[0].outcome, Outcome::Skipped(reason) if reason.contains("none leaves it out")), "{text}");
}

/// On whatever is here: the emulator's library is found in this process only where the loader finds it.
#[test]
fn every_way_of_the_library_here_is_right() {
    for info in devices() {
        let Some(named) = info.features.iter().find(|feature| feature.starts_with("cublaslt_")) else {
            println!("left out: no cuBLASLt for {}", info.name);
            continue;
        };
        let cases = ["f64", "f32", "tf32", "f16", "bf16", "i8"].map(|precision| {
            let mut case =
                case("matmul", &[("m", 64), ("n", 128), ("k", 256)], &[("precision", precision), ("data", "random")]);
            case.axes.insert("library".to_owned(), named.as_str().into());
            case
        });
        every_way_is_right(open(&info).as_mut(), &cases);
        let other =
            case("matmul", &[("m", 64), ("n", 64), ("k", 64)], &[("precision", "f32"), ("library", "cublaslt_1.2.3")]);
        let stopped = rooflint::suite::find("matmul").unwrap().prepare(&other, open(&info).as_mut()).unwrap_err();
        assert!(stopped.to_string().contains("cublaslt_1.2.3") && stopped.to_string().contains(named), "{stopped}");
    }
}
