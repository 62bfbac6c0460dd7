//! Handles and descriptors: what they take, and how they end.

use std::ffi::{CStr, c_void};
use std::ptr::{null, null_mut};

use cudarc::cublaslt::sys as lt;

use crate::formats::*;
use crate::support::*;

/// The size of each attribute from 0 on, 0 where there is none: what the real library (13.10) takes.
const LAYOUT: [usize; 16] = [4, 4, 8, 8, 8, 4, 8, 8, 4, 8, 8, 8, 4, 4, 0, 0];
const OPERATION: [usize; 43] = [
    4, 4, 4, 4, 4, 4, 4, 4, 8, 0, 8, 8, 8, 8, 8, 4, 4, 8, 8, 8, 8, 8, 4, 8, 8, 1, 4, 0, 0, 0, 0, 4, 4, 4, 4, 4, 8, 4,
    8, 8, 8, 4, 0,
];
const PREFERENCE: [usize; 17] = [4, 8, 0, 4, 0, 4, 4, 4, 4, 4, 0, 0, 8, 8, 8, 8, 0];

fn same(case: &Case) -> Case {
    case.clone()
}

#[test]
fn attributes_have_the_real_library_s_sizes() {
    emulated("lives::attributes_have_the_real_library_s_sizes", "a100", "", || {
        let lt = Lt::open();
        let made = Made::new(&lt, Case::new(68, F32, [F32; 4], [4, 4, 4]));
        type Set = fn(Number, u32, &[u8]) -> i32;
        let kinds: [(&[usize], Set, Number); 3] = [
            (&LAYOUT, set_layout, made.layouts[0]),
            (&OPERATION, set_operation, made.operation),
            (&PREFERENCE, set_preference, made.preference),
        ];
        for (sizes, set, number) in kinds {
            for (attribute, right) in (0..).zip(sizes) {
                for size in 0..=17 {
                    let expected = if size == *right && size > 0 { 0 } else { INVALID_VALUE };
                    let given = set(number, attribute, &[0; 17][..size]);
                    assert_eq!(given, expected, "attribute {attribute} of {size} bytes");
                }
            }
        }
        // SAFETY: a null buffer is to be refused.
        let status = unsafe {
            let attribute = lt::cublasLtMatrixLayoutAttribute_t::CUBLASLT_MATRIX_LAYOUT_LD;
            lt::cublasLtMatrixLayoutSetAttribute(made.layouts[0].cast(), attribute, null(), 8)
        };
        assert_eq!(status as i32, INVALID_VALUE);
    });
}

#[test]
fn algorithms_say_what_they_are_in_the_right_sizes() {
    emulated("lives::algorithms_say_what_they_are_in_the_right_sizes", "a100", "", || {
        let lt = Lt::open();
        let made = Made::new(&lt, Case::new(68, F32, [F32; 4], [64, 64, 64]));
        let found = made.heuristic(1).expect("an algorithm");
        type Get = unsafe extern "C" fn(*const c_void, u32, *mut c_void, usize, *mut usize) -> i32;
        let mut value = [0u8; 8];
        // SAFETY: the function of this name has this type; the buffer is as large as any size given.
        unsafe {
            let get = lt::culib().get::<Get>(b"cublasLtMatmulAlgoConfigGetAttribute\0").expect("a function");
            let algorithm = (&raw const found[0].algo).cast();
            for (attribute, right) in (0..).zip([4, 4, 4, 4, 4, 4, 4, 2, 2]) {
                for size in 0..=8 {
                    let mut written = 77;
                    let status = get(algorithm, attribute, value.as_mut_ptr().cast(), size, &mut written);
                    let fits = size == right || size == 0;
                    assert_eq!((status == 0, written), (fits, if fits { right } else { 77 }), "{attribute} of {size}");
                }
                assert_eq!(get(algorithm, attribute, null_mut(), 0, null_mut()), INVALID_VALUE);
                assert_eq!(get(algorithm, attribute, null_mut(), right, null_mut()), INVALID_VALUE);
                assert_eq!(get(algorithm, attribute, value.as_mut_ptr().cast(), right, null_mut()), 0);
            }
            assert_eq!(get(algorithm, 9, value.as_mut_ptr().cast(), 4, null_mut()), INVALID_VALUE);
            assert_eq!(get(null(), 0, value.as_mut_ptr().cast(), 4, null_mut()), INVALID_VALUE);
            // What the heuristic did not give is no algorithm.
            let zeros = [0u64; 8];
            assert_eq!(get(zeros.as_ptr().cast(), 0, value.as_mut_ptr().cast(), 4, null_mut()), INVALID_VALUE);
        }
        let forged = lt::cublasLtMatmulAlgo_t { data: [7; 8] };
        assert_eq!(made.matmul(Some(&forged), (0, 0)), INVALID_VALUE);
    });
}

#[test]
fn what_was_destroyed_or_is_another_is_noticed() {
    let said = emulated("lives::what_was_destroyed_or_is_another_is_noticed", "a100", "", || {
        let lt = Lt::open();
        let case = Case::new(68, F32, [F32; 4], [8, 8, 8]);
        let good = Made::new(&lt, same(&case));
        assert_eq!(good.matmul(None, (0, 0)), 0);
        type Destroy = unsafe extern "C" fn(*const c_void) -> i32;
        // SAFETY: the functions of these names have this type.
        let destroy =
            |name: &[u8], number: Number| unsafe { lt::culib().get::<Destroy>(name).expect("a function")(number) };
        // Ending nothing is no error; ending what is not there, or is another, is.
        let ends: [(&[u8], Number); 3] = [
            (b"cublasLtMatrixLayoutDestroy\0", good.operation),
            (b"cublasLtMatmulDescDestroy\0", good.preference),
            (b"cublasLtMatmulPreferenceDestroy\0", good.layouts[0]),
        ];
        for (name, other) in ends {
            assert_eq!(destroy(name, null_mut()), 0);
            assert_eq!(destroy(name, other), INVALID_VALUE);
            assert_eq!(destroy(name, 0x1234 as Number), INVALID_VALUE);
        }
        assert_eq!(good.matmul(None, (0, 0)), 0);
        // Each part in turn destroyed, and each of another kind.
        for part in 0..7 {
            let mut made = Made::new(&lt, same(&case));
            match part {
                0 => assert_eq!(destroy(b"cublasLtMatmulDescDestroy\0", made.operation), 0),
                1..=4 => assert_eq!(destroy(b"cublasLtMatrixLayoutDestroy\0", made.layouts[part - 1]), 0),
                5 => made.operation = made.layouts[0],
                _ => made.layouts[1] = made.preference,
            }
            assert_eq!(made.matmul(None, (0, 0)), INVALID_VALUE, "part {part}");
            assert_eq!(made.heuristic(8).err(), Some(INVALID_VALUE), "part {part}");
            if part == 0 {
                assert_eq!(set_operation(made.operation, 3, &[0; 4]), INVALID_VALUE);
                assert_eq!(destroy(b"cublasLtMatmulDescDestroy\0", made.operation), INVALID_VALUE);
            }
        }
        let made = Made::new(&lt, case);
        assert_eq!(destroy(b"cublasLtMatmulPreferenceDestroy\0", made.preference), 0);
        assert_eq!(made.heuristic(8).err(), Some(INVALID_VALUE));
        // The handle last.
        assert_eq!(destroy(b"cublasLtDestroy\0", null_mut()), INVALID_VALUE);
        assert_eq!(destroy(b"cublasLtDestroy\0", lt.handle.cast()), 0);
        assert_eq!(good.matmul(None, (0, 0)), INVALID_VALUE);
        assert_eq!(destroy(b"cublasLtDestroy\0", lt.handle.cast()), INVALID_VALUE);
        let nothing = Lt { handle: null_mut(), raw: lt.raw };
        let made = Made::new(&nothing, Case::new(68, F32, [F32; 4], [8, 8, 8]));
        // CUBLAS_STATUS_NOT_INITIALIZED
        assert_eq!(made.matmul(None, (0, 0)), 1);
    });
    if let Some(said) = said {
        assert!(said.contains("cublasLtMatmul refused (7)") && said.contains("destroyed already"), "{said}");
    }
}

#[test]
fn the_version_and_the_words_for_statuses() {
    emulated("lives::the_version_and_the_words_for_statuses", "a100", "", || {
        // SAFETY: functions without conditions; the texts live for ever.
        unsafe {
            assert_eq!(lt::cublasLtGetVersion(), 130_100);
            type Text = unsafe extern "C" fn(i32) -> *const std::ffi::c_char;
            let text = lt::culib().get::<Text>(b"cublasLtGetStatusString\0").expect("a function");
            let words = |status| CStr::from_ptr(text(status)).to_str().expect("a text");
            assert_eq!(words(0), "success");
            assert_eq!(words(15), "the requested functionality is not supported");
            assert_eq!(words(99), "unrecognized status");
        }
    });
}

/// What `cublasLtCreate` gives.
fn created() -> i32 {
    let mut handle = null_mut();
    // SAFETY: a place for the result.
    unsafe { lt::cublasLtCreate(&mut handle) as i32 }
}

#[test]
fn without_a_device_or_a_driver_there_is_no_handle() {
    let test = "lives::without_a_device_or_a_driver_there_is_no_handle";
    if std::env::var("EMULATED_TEST").as_deref() == Ok(test) {
        // Descriptors need no driver.
        let mut operation = null_mut();
        // SAFETY: a place for the result.
        unsafe {
            let (compute, scale) = (lt::cublasComputeType_t::CUBLAS_COMPUTE_32F, lt::cudaDataType_t::CUDA_R_32F);
            assert_eq!(lt::cublasLtMatmulDescCreate(&mut operation, compute, scale) as i32, 0);
            assert_eq!(lt::cublasLtCreate(null_mut()) as i32, INVALID_VALUE);
        }
        return assert_eq!(created(), 1);
    }
    let out = libraries("cublaslt-alone", &[]);
    let (driver, library) = (out.display(), out.join("cublaslt"));
    in_process(test, &format!("{driver}:{}", library.display()), "none", "");
    in_process(test, &library.display().to_string(), "a100", "");
}

#[test]
fn a_thread_without_a_context_gets_the_first_device_s() {
    emulated("lives::a_thread_without_a_context_gets_the_first_device_s", "two", "", || {
        assert_eq!(created(), 0);
        let mut device = -1;
        // SAFETY: a place for the result.
        unsafe { assert_eq!(cudarc::driver::sys::cuCtxGetDevice(&mut device) as u32, 0) };
        assert_eq!(device, 0);
    });
}

#[test]
fn a_library_may_lack_symbols() {
    let test = "lives::a_library_may_lack_symbols";
    if std::env::var("EMULATED_TEST").as_deref() == Ok(test) {
        type Any = unsafe extern "C" fn();
        // SAFETY: looked up, not called.
        let offers = |name: &[u8]| unsafe { lt::culib().get::<Any>(name).is_ok() };
        assert!(!offers(b"cublasLtMatmulAlgoGetHeuristic\0"));
        assert!(offers(b"cublasLtMatmul\0") && offers(b"cublasLtMatmulAlgoConfigGetAttribute\0"));
        return;
    }
    let out = libraries("cublaslt-lacking", &["cublasLtMatmulAlgoGetHeuristic"]);
    in_process(test, &format!("{0}:{0}/cublaslt", out.display()), "a100", "");
}
