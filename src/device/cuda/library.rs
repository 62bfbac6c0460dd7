//! cuBLASLt, the library that users multiply matrices with: found at run time where a toolkit or a Python environment has
//! brought it, never needed.
//!
//! Its functions are looked up here, with the types of cudarc, and not called through cudarc: that looks for the
//! library by name alone, and stops the program where a function is missing.

use std::ffi::{c_int, c_void};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use cudarc::cublaslt::sys::{
    cublasComputeType_t, cublasLtHandle_t, cublasLtMatmulAlgo_t, cublasLtMatmulDesc_t, cublasLtMatmulPreference_t,
    cublasLtMatrixLayout_t, cudaDataType_t,
};
use cudarc::driver::sys::CUstream;

use super::driver::Driver;

/// What a function answers: 0 for success.
pub(super) type Status = u32;

/// Names the library's file, or `none` for no library.
const CHOICE: &str = "ROOFLINT_CUBLASLT";
/// Major versions whose functions are the ones declared here.
const KNOWN: [usize; 2] = [13, 12];

/// The functions used, as they are declared in `cublasLt.h`.
pub(super) struct Functions {
    /// To the handle.
    pub create: unsafe extern "C" fn(*mut cublasLtHandle_t) -> Status,
    /// Of a handle.
    pub destroy: unsafe extern "C" fn(cublasLtHandle_t) -> Status,
    /// To the layout; format, rows, columns, elements from one column to the next.
    pub layout_create: unsafe extern "C" fn(*mut cublasLtMatrixLayout_t, cudaDataType_t, u64, u64, i64) -> Status,
    /// Of a layout.
    pub layout_destroy: unsafe extern "C" fn(cublasLtMatrixLayout_t) -> Status,
    /// To the description; how sums are made, format of the factors alpha and beta.
    pub desc_create: unsafe extern "C" fn(*mut cublasLtMatmulDesc_t, cublasComputeType_t, cudaDataType_t) -> Status,
    /// Attribute, value, bytes of the value.
    pub desc_set: unsafe extern "C" fn(cublasLtMatmulDesc_t, u32, *const c_void, usize) -> Status,
    /// Of a description.
    pub desc_destroy: unsafe extern "C" fn(cublasLtMatmulDesc_t) -> Status,
    /// To the preference.
    pub preference_create: unsafe extern "C" fn(*mut cublasLtMatmulPreference_t) -> Status,
    /// Attribute, value, bytes of the value.
    pub preference_set: unsafe extern "C" fn(cublasLtMatmulPreference_t, u32, *const c_void, usize) -> Status,
    /// Of a preference.
    pub preference_destroy: unsafe extern "C" fn(cublasLtMatmulPreference_t) -> Status,
    /// Description, layouts of A, B, C and D, preference, results asked for, to the results and to their number.
    pub heuristic: unsafe extern "C" fn(
        cublasLtHandle_t,
        cublasLtMatmulDesc_t,
        cublasLtMatrixLayout_t,
        cublasLtMatrixLayout_t,
        cublasLtMatrixLayout_t,
        cublasLtMatrixLayout_t,
        cublasLtMatmulPreference_t,
        c_int,
        *mut Suggestion,
        *mut c_int,
    ) -> Status,
    /// Algorithm, attribute, to the value, its bytes, to the bytes written.
    pub algorithm_get: unsafe extern "C" fn(*const cublasLtMatmulAlgo_t, u32, *mut c_void, usize, *mut usize) -> Status,
    /// Description, alpha, A, B, beta, C, D each with its layout, algorithm, workspace and its bytes, stream.
    pub matmul: unsafe extern "C" fn(
        cublasLtHandle_t,
        cublasLtMatmulDesc_t,
        *const c_void,
        *const c_void,
        cublasLtMatrixLayout_t,
        *const c_void,
        cublasLtMatrixLayout_t,
        *const c_void,
        *const c_void,
        cublasLtMatrixLayout_t,
        *mut c_void,
        cublasLtMatrixLayout_t,
        *const cublasLtMatmulAlgo_t,
        *mut c_void,
        usize,
        CUstream,
    ) -> Status,
}

/// `cublasLtMatmulHeuristicResult_t`, with a status that may be any number.
#[repr(C)]
#[derive(Clone, Copy)]
pub(super) struct Suggestion {
    /// The algorithm, opaque.
    pub algorithm: cublasLtMatmulAlgo_t,
    /// Bytes of workspace that it needs.
    pub workspace_b: usize,
    /// Whether it can be used.
    pub status: Status,
    /// How often it fills the device with work groups.
    pub waves: f32,
    reserved: [c_int; 4],
}

impl Suggestion {
    /// Room for one.
    pub const fn none() -> Self {
        let algorithm = cublasLtMatmulAlgo_t { data: [0; 8] };
        Self { algorithm, workspace_b: 0, status: Status::MAX, waves: 0.0, reserved: [0; 4] }
    }
}

impl Functions {
    fn of(library: &libloading::Library) -> Result<Self, String> {
        // SAFETY: each field has the type that the library's header declares for the function.
        unsafe {
            Ok(Self {
                create: find(library, "cublasLtCreate")?,
                destroy: find(library, "cublasLtDestroy")?,
                layout_create: find(library, "cublasLtMatrixLayoutCreate")?,
                layout_destroy: find(library, "cublasLtMatrixLayoutDestroy")?,
                desc_create: find(library, "cublasLtMatmulDescCreate")?,
                desc_set: find(library, "cublasLtMatmulDescSetAttribute")?,
                desc_destroy: find(library, "cublasLtMatmulDescDestroy")?,
                preference_create: find(library, "cublasLtMatmulPreferenceCreate")?,
                preference_set: find(library, "cublasLtMatmulPreferenceSetAttribute")?,
                preference_destroy: find(library, "cublasLtMatmulPreferenceDestroy")?,
                heuristic: find(library, "cublasLtMatmulAlgoGetHeuristic")?,
                algorithm_get: find(library, "cublasLtMatmulAlgoConfigGetAttribute")?,
                matmul: find(library, "cublasLtMatmul")?,
            })
        }
    }
}

/// A function of a library.
///
/// # Safety
///
/// `T` must be the type of the function.
unsafe fn find<T: Copy>(library: &libloading::Library, name: &str) -> Result<T, String> {
    // SAFETY: the caller vouches for the type.
    unsafe { library.get::<T>(format!("{name}\0").as_bytes()) }
        .map(|found| *found)
        .map_err(|_| format!("it lacks {name}"))
}

/// A library that is loaded and complete.
pub(super) struct Library {
    /// Its functions.
    pub functions: Functions,
    /// `13.1.0`.
    pub version: String,
    /// What brought it, in words.
    pub origin: &'static str,
    // The functions are the library's: it stays loaded.
    _library: libloading::Library,
}

impl Library {
    /// Finds and loads the library, once in a process. The error says where it was looked for and why none will do.
    pub fn get(driver: &Driver) -> Result<&'static Self, String> {
        static LIBRARY: OnceLock<Result<Library, String>> = OnceLock::new();
        LIBRARY.get_or_init(|| Self::find(driver)).as_ref().map_err(Clone::clone)
    }

    fn find(driver: &Driver) -> Result<Self, String> {
        let candidates = match std::env::var_os(CHOICE) {
            Some(choice) if choice == "none" => return Err(format!("{CHOICE}=none leaves it out")),
            Some(choice) => vec![(PathBuf::from(choice), "the file that ROOFLINT_CUBLASLT names")],
            None => candidates(),
        };
        let mut refused = Vec::new();
        for (path, origin) in candidates {
            match Self::load(&path, origin, driver) {
                Ok(library) => return Ok(library),
                // Most places have none, which is no news; of those that have, a reader wants to know why not.
                Err(reason) if path.is_absolute() => refused.push(format!("{}: {reason}", origin)),
                Err(_) => {}
            }
        }
        if refused.is_empty() {
            return Err("neither the system, a CUDA toolkit nor a Python environment has libcublasLt; 'pip install \
                        nvidia-cublas' in an active environment brings it"
                .to_owned());
        }
        Err(refused.join("; "))
    }

    fn load(path: &Path, origin: &'static str, driver: &Driver) -> Result<Self, String> {
        // SAFETY: loading a library runs its initialisers; this one is NVIDIA's, by its name.
        let library = unsafe { libloading::Library::new(path) }.map_err(|error| {
            let cause = std::error::Error::source(&error).map(|cause| format!(": {cause}"));
            format!("{error}{}", cause.unwrap_or_default())
        })?;
        // SAFETY: the type is the one that the library's header declares.
        let version: unsafe extern "C" fn() -> usize = unsafe { find(&library, "cublasLtGetVersion") }?;
        // SAFETY: it takes nothing and gives a number.
        let number = unsafe { version() };
        let (major, minor, patch) = (number / 10_000, number / 100 % 100, number % 100);
        let version = format!("{major}.{minor}.{patch}");
        if !KNOWN.contains(&major) {
            return Err(format!("cuBLASLt {version} is not of a major version that rooflint knows (12 and 13)"));
        }
        let newest = driver.version / 1000;
        if major > newest as usize {
            return Err(format!("cuBLASLt {version} needs a driver for CUDA {major}; this one is for {newest}"));
        }
        // The emulator multiplies through a stand-in of its own; the real library would look for a real device.
        // SAFETY: the symbol is looked for, not used.
        if driver.emulated != unsafe { library.get::<*const ()>(b"rooflintEmulatorCublaslt\0") }.is_ok() {
            return Err(format!("cuBLASLt {version} is not for this driver: one of the two is emulated"));
        }
        let functions = Functions::of(&library).map_err(|lack| format!("cuBLASLt {version} is of no use: {lack}"))?;
        Ok(Self { functions, version, origin, _library: library })
    }
}

/// Places that may have the library, the likeliest to be the user's choice first.
fn candidates() -> Vec<(PathBuf, &'static str)> {
    let names = KNOWN.map(|major| format!("libcublasLt.so.{major}"));
    let mut found: Vec<_> =
        names.iter().map(|name| (PathBuf::from(name), "the system, where libraries are looked for")).collect();
    let existing = |folder: PathBuf, origin| {
        names.iter().map(move |name| (folder.join(name), origin)).filter(|(path, _)| path.exists()).collect::<Vec<_>>()
    };
    for folder in toolkits().into_iter().flat_map(|root| [root.join("lib64"), root.join("targets/x86_64-linux/lib")]) {
        found.extend(existing(folder, "a CUDA toolkit"));
    }
    for packages in python_packages() {
        for folder in ["cu13", "cu12", "cublas"] {
            found.extend(existing(packages.join("nvidia").join(folder).join("lib"), "a Python environment"));
        }
    }
    found
}

/// Folders of toolkits: those that are named, then those in the usual place.
fn toolkits() -> Vec<PathBuf> {
    let mut roots: Vec<PathBuf> =
        ["CUDA_HOME", "CUDA_PATH"].iter().filter_map(std::env::var_os).map(Into::into).collect();
    roots.push("/usr/local/cuda".into());
    roots.extend(folders(Path::new("/usr/local"), "cuda-"));
    roots
}

/// Folders of Python packages: of the active environment, and of every `python3` in the path.
fn python_packages() -> Vec<PathBuf> {
    let active = ["VIRTUAL_ENV", "CONDA_PREFIX"].iter().filter_map(std::env::var_os).map(PathBuf::from);
    let path = std::env::var_os("PATH").unwrap_or_default();
    let in_path = std::env::split_paths(&path)
        .filter(|folder| folder.join("python3").exists())
        .filter_map(|folder| folder.parent().map(Path::to_owned));
    let prefixes: Vec<PathBuf> = active.chain(in_path).collect();
    let versions = prefixes.iter().flat_map(|prefix| folders(&prefix.join("lib"), "python3"));
    versions.flat_map(|version| [version.join("site-packages"), version.join("dist-packages")]).collect()
}

/// Folders with names that begin so, sorted, the last (the newest version) first.
fn folders(within: &Path, start: &str) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(within).into_iter().flatten().flatten().map(|entry| entry.path());
    let named = |path: &PathBuf| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(start));
    let mut found: Vec<_> = entries.filter(named).collect();
    found.sort_unstable_by(|a, b| b.cmp(a));
    found
}
