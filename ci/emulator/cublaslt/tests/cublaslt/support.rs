//! What the tests share: a process that finds the emulated libraries, and a product with all that belongs to it.

use std::ffi::c_void;
use std::path::PathBuf;
use std::process::Command;
use std::ptr::{null, null_mut};
use std::sync::OnceLock;

use cudarc::cublaslt::sys as lt;
use cudarc::driver::sys as cu;
use rooflint_emulator::place::place;

use crate::formats::{bytes_of, decode, encode, filled};
use crate::raw::{Raw, ok};

pub const INVALID_VALUE: i32 = 7;
pub const NOT_SUPPORTED: i32 = 15;

/// The folder with the libraries, without some symbols.
pub fn libraries(name: &str, without: &[&str]) -> PathBuf {
    // What cargo built lies beside the test itself.
    let built = std::env::current_exe().expect("a test");
    let out = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name);
    place(built.parent().expect("a folder"), &out, without).expect("the libraries");
    out
}

/// Runs the body in a process of its own that finds the emulated driver and cuBLASLt. `test` is the calling test's full
/// name. What it printed comes back, in the outer process.
pub fn emulated(test: &str, personality: &str, fault: &str, body: impl FnOnce()) -> Option<String> {
    static PLACED: OnceLock<PathBuf> = OnceLock::new();
    if std::env::var("EMULATED_TEST").as_deref() == Ok(test) {
        body();
        return None;
    }
    let out = PLACED.get_or_init(|| libraries("cublaslt-emulator", &[]));
    Some(in_process(test, &format!("{0}:{0}/cublaslt", out.display()), personality, fault))
}

/// Runs a test in a process that looks for libraries in these folders.
pub fn in_process(test: &str, folders: &str, personality: &str, fault: &str) -> String {
    let output = Command::new(std::env::current_exe().expect("a test"))
        .args([test, "--exact", "--nocapture", "--test-threads=1"])
        .env("EMULATED_TEST", test)
        .env("LD_LIBRARY_PATH", folders)
        .env("ROOFLINT_EMULATOR", personality)
        .env("ROOFLINT_EMULATOR_FAULT", fault)
        .env("ROOFLINT_EMULATOR_LOG", "1")
        .output()
        .expect("a process");
    let text = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{test} under {personality} ({fault}):\n{text}");
    assert!(text.contains("1 passed"), "{test} is no test's full name:\n{text}");
    text
}

/// A context with a handle of the library.
pub struct Lt {
    pub raw: Raw,
    pub handle: lt::cublasLtHandle_t,
}

impl Lt {
    pub fn open() -> Self {
        let raw = Raw::open();
        let mut handle = null_mut();
        // SAFETY: a place for the result.
        assert_eq!(unsafe { lt::cublasLtCreate(&mut handle) } as i32, 0);
        Self { raw, handle }
    }

    /// Device memory with these bytes.
    pub fn upload(&self, bytes: &[u8]) -> u64 {
        let at = self.raw.allocate(bytes.len()).expect("memory");
        // SAFETY: as many bytes as were allocated.
        unsafe { ok(cu::cuMemcpyHtoD_v2(at, bytes.as_ptr().cast(), bytes.len())) };
        at
    }

    pub fn download(&self, from: u64, size: usize) -> Vec<u8> {
        let mut bytes = vec![0; size];
        // SAFETY: as many bytes as are copied.
        unsafe { ok(cu::cuMemcpyDtoH_v2(bytes.as_mut_ptr().cast(), from, size)) };
        bytes
    }
}

/// A number that the library keeps.
pub type Number = *mut c_void;

pub fn set_layout(layout: Number, attribute: u32, bytes: &[u8]) -> i32 {
    type Set = unsafe extern "C" fn(Number, u32, *const c_void, usize) -> i32;
    // SAFETY: the function of this name has this type; the bytes are as many as said.
    unsafe {
        let set = lt::culib().get::<Set>(b"cublasLtMatrixLayoutSetAttribute\0").expect("a function");
        set(layout, attribute, bytes.as_ptr().cast(), bytes.len())
    }
}

pub fn set_operation(operation: Number, attribute: u32, bytes: &[u8]) -> i32 {
    type Set = unsafe extern "C" fn(Number, u32, *const c_void, usize) -> i32;
    // SAFETY: as above.
    unsafe {
        let set = lt::culib().get::<Set>(b"cublasLtMatmulDescSetAttribute\0").expect("a function");
        set(operation, attribute, bytes.as_ptr().cast(), bytes.len())
    }
}

pub fn set_preference(preference: Number, attribute: u32, bytes: &[u8]) -> i32 {
    type Set = unsafe extern "C" fn(Number, u32, *const c_void, usize) -> i32;
    // SAFETY: as above.
    unsafe {
        let set = lt::culib().get::<Set>(b"cublasLtMatmulPreferenceSetAttribute\0").expect("a function");
        set(preference, attribute, bytes.as_ptr().cast(), bytes.len())
    }
}

/// What is to be multiplied, in the numbers of the API.
#[derive(Clone, Debug)]
pub struct Case {
    pub compute: i32,
    pub scale: u32,
    /// Data types of A, B, C and D.
    pub types: [u32; 4],
    pub sides: [usize; 3],
    pub transposes: [bool; 2],
    /// Row-major: A, B, C, D.
    pub rows: [bool; 4],
    /// Added to the leading dimensions.
    pub pads: [usize; 4],
    pub alpha: f64,
    pub beta: f64,
    /// Of A, B and D.
    pub factors: [Option<f32>; 3],
    pub fast: bool,
}

impl Case {
    /// A product of this compute type, in columns, of A transposed and B not.
    pub fn new(compute: i32, scale: u32, types: [u32; 4], sides: [usize; 3]) -> Self {
        Self {
            compute,
            scale,
            types,
            sides,
            transposes: [true, false],
            rows: [false; 4],
            pads: [0; 4],
            alpha: 1.0,
            beta: 0.0,
            factors: [None; 3],
            fast: false,
        }
    }

    /// Rows and columns of A, B, C and D as they are stored.
    pub fn stored(&self) -> [(usize, usize); 4] {
        let [m, n, k] = self.sides;
        let a = if self.transposes[0] { (k, m) } else { (m, k) };
        let b = if self.transposes[1] { (n, k) } else { (k, n) };
        [a, b, (m, n), (m, n)]
    }

    pub fn leading(&self, matrix: usize) -> usize {
        let (rows, columns) = self.stored()[matrix];
        self.pads[matrix] + if self.rows[matrix] { columns } else { rows }
    }

    /// Elements of a matrix with its padding.
    pub fn elements(&self, matrix: usize) -> usize {
        let (rows, columns) = self.stored()[matrix];
        self.leading(matrix) * if self.rows[matrix] { rows } else { columns }
    }

    pub fn index(&self, matrix: usize, row: usize, column: usize) -> usize {
        let leading = self.leading(matrix);
        if self.rows[matrix] { row * leading + column } else { column * leading + row }
    }

    /// A scalar in the format of alpha and beta.
    fn scalar(&self, value: f64) -> [u8; 8] {
        let mut bytes = [0; 8];
        let encoded = encode(self.scale, value);
        bytes[..encoded.len()].copy_from_slice(&encoded);
        bytes
    }
}

/// A case with its descriptors and its memory.
pub struct Made<'a> {
    pub lt: &'a Lt,
    pub case: Case,
    pub operation: Number,
    pub layouts: [Number; 4],
    pub preference: Number,
    /// The bytes of A, B and C, and where they and D are.
    pub inputs: [Vec<u8>; 3],
    pub at: [u64; 4],
}

impl<'a> Made<'a> {
    pub fn new(lt: &'a Lt, case: Case) -> Self {
        let (mut operation, mut preference) = (null_mut(), null_mut());
        let mut layouts = [null_mut(); 4];
        // SAFETY: places for the results. What is not known to the bindings is set by number below.
        unsafe {
            let (compute, scale) = (lt::cublasComputeType_t::CUBLAS_COMPUTE_32F, lt::cudaDataType_t::CUDA_R_32F);
            assert_eq!(lt::cublasLtMatmulDescCreate(&mut operation, compute, scale) as i32, 0);
            assert_eq!(lt::cublasLtMatmulPreferenceCreate(&mut preference) as i32, 0);
            for (matrix, layout) in layouts.iter_mut().enumerate() {
                let ((rows, columns), leading) = (case.stored()[matrix], case.leading(matrix));
                let made = lt::cublasLtMatrixLayoutCreate(layout, scale, rows as u64, columns as u64, leading as i64);
                assert_eq!(made as i32, 0);
            }
        }
        let (operation, preference) = (operation.cast::<c_void>(), preference.cast::<c_void>());
        let layouts = layouts.map(|layout| layout.cast::<c_void>());
        let set = |attribute: u32, bytes: &[u8]| assert_eq!(set_operation(operation, attribute, bytes), 0);
        set(0, &case.compute.to_le_bytes());
        set(1, &case.scale.to_le_bytes());
        set(3, &i32::from(case.transposes[0]).to_le_bytes());
        set(4, &i32::from(case.transposes[1]).to_le_bytes());
        if case.fast {
            set(25, &[1]);
        }
        for (attribute, factor) in [17, 18, 20].into_iter().zip(case.factors) {
            if let Some(factor) = factor {
                set(attribute, &lt.upload(&factor.to_le_bytes()).to_le_bytes());
            }
        }
        for (matrix, layout) in layouts.iter().enumerate() {
            assert_eq!(set_layout(*layout, 0, &case.types[matrix].to_le_bytes()), 0);
            assert_eq!(set_layout(*layout, 1, &i32::from(case.rows[matrix]).to_le_bytes()), 0);
        }
        let inputs = [0, 1, 2].map(|matrix| filled(case.types[matrix], case.elements(matrix), matrix as u64 + 1));
        let d = lt.raw.allocate(case.elements(3) * bytes_of(case.types[3])).expect("memory");
        let at = [lt.upload(&inputs[0]), lt.upload(&inputs[1]), lt.upload(&inputs[2]), d];
        Self { lt, case, operation, layouts, preference, inputs, at }
    }

    /// Allows so much workspace.
    pub fn allow(&self, bytes: u64) {
        assert_eq!(set_preference(self.preference, 1, &bytes.to_le_bytes()), 0);
    }

    /// What the heuristic gives for so many algorithms.
    pub fn heuristic(&self, count: i32) -> Result<Vec<lt::cublasLtMatmulHeuristicResult_t>, i32> {
        let [a, b, c, d] = self.layouts.map(<*mut c_void>::cast);
        let mut found = Vec::with_capacity(count.max(1) as usize);
        let mut given = -1;
        // SAFETY: a place for each result.
        let status = unsafe {
            let (operation, preference) = (self.operation.cast(), self.preference.cast());
            let to = found.as_mut_ptr();
            lt::cublasLtMatmulAlgoGetHeuristic(self.lt.handle, operation, a, b, c, d, preference, count, to, &mut given)
        };
        if status as i32 != 0 {
            assert!(count <= 0 || given == 0, "a refusal with {given} results");
            return Err(status as i32);
        }
        assert!((1..=count.min(8)).contains(&given), "{given} of {count}");
        // SAFETY: as many were written.
        unsafe { found.set_len(given as usize) };
        Ok(found)
    }

    /// Queues the product with these addresses.
    pub fn matmul_at(
        &self,
        [a, b, c, d]: [u64; 4],
        algorithm: Option<&lt::cublasLtMatmulAlgo_t>,
        (workspace, size): (u64, usize),
    ) -> i32 {
        let (alpha, beta) = (self.case.scalar(self.case.alpha), self.case.scalar(self.case.beta));
        let [a_layout, b_layout, c_layout, d_layout] = self.layouts.map(<*mut c_void>::cast);
        let pointer = |address: u64| address as *mut c_void;
        // SAFETY: all are what the function asks for, or what it is to refuse.
        let status = unsafe {
            lt::cublasLtMatmul(
                self.lt.handle,
                self.operation.cast(),
                alpha.as_ptr().cast(),
                pointer(a),
                a_layout,
                pointer(b),
                b_layout,
                beta.as_ptr().cast(),
                pointer(c),
                c_layout,
                pointer(d),
                d_layout,
                algorithm.map_or(null(), |algorithm| algorithm),
                pointer(workspace),
                size,
                self.lt.raw.stream.cast(),
            )
        };
        status as i32
    }

    pub fn matmul(&self, algorithm: Option<&lt::cublasLtMatmulAlgo_t>, workspace: (u64, usize)) -> i32 {
        self.matmul_at(self.at, algorithm, workspace)
    }

    /// All of D, with its padding, after all that was queued.
    pub fn d(&self) -> Vec<u8> {
        self.d_of(self.at[3])
    }

    /// What is at another address than D's, of D's size.
    pub fn d_of(&self, at: u64) -> Vec<u8> {
        assert_eq!(self.lt.raw.synchronize(), 0);
        self.lt.download(at, self.case.elements(3) * bytes_of(self.case.types[3]))
    }

    /// The addresses, with C as it was at first.
    pub fn at_with_fresh_c(&self) -> [u64; 4] {
        let [a, b, _, d] = self.at;
        [a, b, self.lt.upload(&self.inputs[2]), d]
    }

    /// Fills D with ones in every bit again.
    pub fn clear(&self) {
        let bytes = self.case.elements(3) * bytes_of(self.case.types[3]);
        // SAFETY: as many bytes as were allocated.
        unsafe { ok(cu::cuMemsetD8_v2(self.at[3], 0xFF, bytes)) };
    }

    /// An input's value, as stored.
    pub fn value(&self, matrix: usize, row: usize, column: usize) -> f64 {
        let size = bytes_of(self.case.types[matrix]);
        let from = self.case.index(matrix, row, column) * size;
        decode(self.case.types[matrix], &self.inputs[matrix][from..from + size])
    }
}

/// An attribute of an algorithm.
pub fn configured(algorithm: &lt::cublasLtMatmulAlgo_t, attribute: lt::cublasLtMatmulAlgoConfigAttributes_t) -> u32 {
    let (mut value, mut written) = (0u32, 0);
    // SAFETY: four bytes for a value of four bytes.
    let status = unsafe {
        let to = (&raw mut value).cast();
        lt::cublasLtMatmulAlgoConfigGetAttribute(algorithm, attribute, to, 4, &mut written)
    };
    assert_eq!((status as i32, written), (0, 4));
    value
}
