//! Matrix products by cuBLASLt ([`library`](super::library)): what it is told of a product, the ways it suggests, and the
//! product as a piece of a stream's work.
//!
//! cuBLASLt takes matrices by columns. A matrix stored by rows is its transpose stored by columns, so `c = a b` by rows is
//! asked for as `cᵀ = bᵀ aᵀ`: b comes first, and nothing is moved.

use std::collections::HashMap;
use std::ffi::{c_int, c_void};
use std::ptr::{from_ref, null_mut};
use std::rc::Rc;

use cudarc::cublaslt::sys::{
    cublasComputeType_t as Sums, cublasLtHandle_t, cublasLtMatmulAlgo_t,
    cublasLtMatmulAlgoConfigAttributes_t as Config, cublasLtMatmulDesc_t, cublasLtMatmulDescAttributes_t as Attribute,
    cublasLtMatmulPreference_t, cublasLtMatmulPreferenceAttributes_t as Preference, cublasLtMatrixLayout_t,
    cudaDataType_t as Format,
};
use cudarc::driver::sys::{self, CUdeviceptr, CUstream};

use super::driver::{Failed, call};
use super::handles::DeviceMemory;
use super::library::{Library, Status, Suggestion};
use crate::device::{DeviceError, MatmulDesc};
use crate::record::Precision;

/// Ways that are asked for and raced.
const WAYS: usize = 8;
/// Memory that a way may use beside its operands: what the library's documentation recommends for Hopper, and enough
/// for any way on Ampere.
const WORKSPACE_B: usize = 32 << 20;

/// The library on a device.
pub(super) struct Vendor {
    library: &'static Library,
    handle: cublasLtHandle_t,
    /// Factors in the device's memory that 8-bit operands are multiplied with: 1 for both.
    scale: DeviceMemory,
    workspace: Option<DeviceMemory>,
    known: HashMap<MatmulDesc, Rc<Known>>,
}

/// What the library said about a product.
struct Known {
    layouts: Layouts,
    ways: Vec<Way>,
}

/// A way that the library suggests.
struct Way {
    /// Its rank among the suggestions, and what is told of it.
    name: String,
    algorithm: cublasLtMatmulAlgo_t,
    workspace_b: usize,
    /// How often it fills the device with work groups.
    waves: f32,
}

/// A product as a piece of work: everything that a call needs, alive as long as it.
pub(super) struct Product {
    library: &'static Library,
    handle: cublasLtHandle_t,
    known: Rc<Known>,
    way: usize,
    operands: [CUdeviceptr; 3],
    workspace: CUdeviceptr,
    /// The factors alpha (1) and beta (0), in the format of the sums.
    factors: [[u8; 8]; 2],
}

/// The library's description of a product, and of its operands in the library's order: b, a, c.
struct Layouts {
    library: &'static Library,
    desc: cublasLtMatmulDesc_t,
    operands: Vec<cublasLtMatrixLayout_t>,
}

impl Drop for Layouts {
    fn drop(&mut self) {
        let functions = &self.library.functions;
        for layout in &self.operands {
            // SAFETY: made by the library, and not used again.
            unsafe { (functions.layout_destroy)(*layout) };
        }
        if !self.desc.is_null() {
            // SAFETY: as above.
            unsafe { (functions.desc_destroy)(self.desc) };
        }
    }
}

/// What a product is called by the library.
struct Terms {
    sums: Sums,
    factors: Format,
    a: Format,
    c: Format,
}

/// `None` for a product that the library does not compute in this way.
fn terms(product: &MatmulDesc) -> Option<Terms> {
    let MatmulDesc { a, b, c, accumulate, b_transposed, .. } = *product;
    if a != b {
        return None;
    }
    let format = |precision| match precision {
        Precision::F64 => Format::CUDA_R_64F,
        Precision::F32 | Precision::Tf32 => Format::CUDA_R_32F,
        Precision::F16 => Format::CUDA_R_16F,
        Precision::Bf16 => Format::CUDA_R_16BF,
        Precision::Fp8E4m3 => Format::CUDA_R_8F_E4M3,
        Precision::Fp8E5m2 => Format::CUDA_R_8F_E5M2,
        Precision::I32 => Format::CUDA_R_32I,
        Precision::I8 => Format::CUDA_R_8I,
    };
    let (sums, factors) = match (a, accumulate, c) {
        (Precision::F64, Precision::F64, Precision::F64) => (Sums::CUBLAS_COMPUTE_64F, Format::CUDA_R_64F),
        (Precision::F32, Precision::F32, Precision::F32) => (Sums::CUBLAS_COMPUTE_32F, Format::CUDA_R_32F),
        (Precision::Tf32, Precision::F32, Precision::F32) => (Sums::CUBLAS_COMPUTE_32F_FAST_TF32, Format::CUDA_R_32F),
        (Precision::F16, Precision::F16, Precision::F16) => (Sums::CUBLAS_COMPUTE_16F, Format::CUDA_R_16F),
        (Precision::F16 | Precision::Bf16, Precision::F32, _) if c == a => {
            (Sums::CUBLAS_COMPUTE_32F, Format::CUDA_R_32F)
        }
        // Of 8-bit operands the library takes b by columns alone.
        (Precision::Fp8E4m3, Precision::F32, Precision::Bf16) if b_transposed => {
            (Sums::CUBLAS_COMPUTE_32F, Format::CUDA_R_32F)
        }
        (Precision::I8, Precision::I32, Precision::I32) if b_transposed => {
            (Sums::CUBLAS_COMPUTE_32I, Format::CUDA_R_32I)
        }
        _ => return None,
    };
    Some(Terms { sums, factors, a: format(a), c: format(c) })
}

/// One and zero in a format of factors, in the first of eight bytes.
fn factors(format: Format) -> [[u8; 8]; 2] {
    let padded = |bytes: &[u8]| {
        let mut padded = [0; 8];
        padded[..bytes.len()].copy_from_slice(bytes);
        padded
    };
    let one = match format {
        Format::CUDA_R_64F => 1.0_f64.to_le_bytes(),
        Format::CUDA_R_16F => padded(&half::f16::ONE.to_le_bytes()),
        Format::CUDA_R_32I => padded(&1_i32.to_le_bytes()),
        _ => padded(&1.0_f32.to_le_bytes()),
    };
    [one, [0; 8]]
}

impl Vendor {
    /// Starts the library on the current device.
    pub fn new(library: &'static Library) -> Result<Self, DeviceError> {
        let mut handle = null_mut();
        // SAFETY: the library writes one handle.
        said("cublasLtCreate", unsafe { (library.functions.create)(&mut handle) })?;
        let scale = DeviceMemory::new(256)?;
        let one = 1.0_f32;
        // SAFETY: the memory is larger than what is copied.
        call("cuMemcpyHtoD", || unsafe {
            sys::cuMemcpyHtoD_v2(scale.pointer, from_ref(&one).cast(), size_of::<f32>())
        })?;
        // A way that needs none is still there where there is no room for it.
        let workspace = DeviceMemory::new(WORKSPACE_B).ok();
        Ok(Self { library, handle, scale, workspace, known: HashMap::new() })
    }

    /// The ways to compute a product, the library's favourite first; none where it does not compute it.
    ///
    /// # Errors
    ///
    /// The library's own, with its name.
    pub fn ways(&mut self, product: &MatmulDesc) -> Result<Vec<String>, DeviceError> {
        let Some(known) = self.known(product)? else { return Ok(Vec::new()) };
        Ok(known.ways.iter().map(|way| way.name.clone()).collect())
    }

    /// A product of operands at addresses (a, b, c), by the way of a name, the favourite for an empty one.
    pub fn product(
        &mut self,
        product: &MatmulDesc,
        plan: &str,
        [a, b, c]: [CUdeviceptr; 3],
    ) -> Result<Product, DeviceError> {
        let known = self.known(product)?;
        let place = |known: &Rc<Known>| known.ways.iter().position(|way| plan.is_empty() || way.name == plan);
        let Some((known, way)) = known.and_then(|known| place(&known).map(|way| (known, way))) else {
            return Err(DeviceError::Unsupported(format!("cuBLASLt has no plan '{plan}' for this product here")));
        };
        Ok(Product {
            library: self.library,
            handle: self.handle,
            way,
            operands: [b, a, c],
            workspace: self.workspace.as_ref().map_or(0, |memory| memory.pointer),
            factors: factors(terms(product).map_or(Format::CUDA_R_32F, |terms| terms.factors)),
            known,
        })
    }

    /// Asks the library about a product, once.
    fn known(&mut self, product: &MatmulDesc) -> Result<Option<Rc<Known>>, DeviceError> {
        let Some(terms) = terms(product) else { return Ok(None) };
        if let Some(known) = self.known.get(product) {
            return Ok(Some(Rc::clone(known)));
        }
        let layouts = self.layouts(product, &terms)?;
        let ways = self.suggestions(&layouts)?;
        let known = Rc::new(Known { layouts, ways });
        self.known.insert(*product, Rc::clone(&known));
        Ok(Some(known))
    }

    fn layouts(&self, product: &MatmulDesc, terms: &Terms) -> Result<Layouts, DeviceError> {
        let MatmulDesc { m, n, k, a, b_transposed, full_sums, .. } = *product;
        let functions = &self.library.functions;
        let mut layouts = Layouts { library: self.library, desc: null_mut(), operands: Vec::new() };
        // SAFETY: the library writes one handle.
        said("cublasLtMatmulDescCreate", unsafe {
            (functions.desc_create)(&mut layouts.desc, terms.sums, terms.factors)
        })?;
        // CUBLAS_OP_T and CUBLAS_OP_N, as the C header numbers them.
        layouts.set(Attribute::CUBLASLT_MATMUL_DESC_TRANSA, &u32::from(b_transposed))?;
        layouts.set(Attribute::CUBLASLT_MATMUL_DESC_TRANSB, &0_u32)?;
        if a.size() == 1 && !a.is_integer() {
            layouts.set(Attribute::CUBLASLT_MATMUL_DESC_A_SCALE_POINTER, &self.scale.pointer)?;
            layouts.set(Attribute::CUBLASLT_MATMUL_DESC_B_SCALE_POINTER, &self.scale.pointer)?;
            // One byte, as the documentation of the attribute says.
            layouts.set(Attribute::CUBLASLT_MATMUL_DESC_FAST_ACCUM, &i8::from(!full_sums))?;
        }
        // By columns: rows, columns, and elements from one column to the next.
        let b = if b_transposed { (k, n, k) } else { (n, k, n) };
        for (format, (rows, columns, apart)) in [(terms.a, b), (terms.a, (k, m, k)), (terms.c, (n, m, n))] {
            let mut layout = null_mut();
            // SAFETY: the library writes one handle.
            said("cublasLtMatrixLayoutCreate", unsafe {
                (functions.layout_create)(&mut layout, format, rows, columns, apart.cast_signed())
            })?;
            layouts.operands.push(layout);
        }
        Ok(layouts)
    }

    /// What the library's heuristic suggests, best first. None where it says that the device cannot compute it.
    fn suggestions(&self, layouts: &Layouts) -> Result<Vec<Way>, DeviceError> {
        let functions = &self.library.functions;
        let preference = Preferred::new(self.library, if self.workspace.is_some() { WORKSPACE_B } else { 0 })?;
        let mut found = [Suggestion::none(); WAYS];
        let mut count: c_int = 0;
        let [first, second, third] = layouts.operands[..] else { return Ok(Vec::new()) };
        // SAFETY: every handle is alive, and there is room for as many suggestions as are asked for.
        let status = unsafe {
            (functions.heuristic)(
                self.handle,
                layouts.desc,
                first,
                second,
                third,
                third,
                preference.handle,
                WAYS as c_int,
                found.as_mut_ptr(),
                &mut count,
            )
        };
        if status == NOT_SUPPORTED {
            return Ok(Vec::new());
        }
        said("cublasLtMatmulAlgoGetHeuristic", status)?;
        let usable = found.iter().take(count.max(0) as usize).filter(|suggestion| suggestion.status == 0);
        Ok(usable.zip(1..).map(|(suggestion, rank)| self.way(suggestion, rank)).collect())
    }

    fn way(&self, suggestion: &Suggestion, rank: usize) -> Way {
        let told = |attribute: Config| {
            let (mut value, mut written) = (0_u32, 0);
            // SAFETY: the library writes four bytes at most.
            let status = unsafe {
                (self.library.functions.algorithm_get)(
                    &suggestion.algorithm,
                    attribute as u32,
                    (&raw mut value).cast(),
                    size_of::<u32>(),
                    &mut written,
                )
            };
            if status == 0 { value.to_string() } else { "x".to_owned() }
        };
        let name = format!(
            "lt{rank}_id{}_tile{}_stages{}_split{}",
            told(Config::CUBLASLT_ALGO_CONFIG_ID),
            told(Config::CUBLASLT_ALGO_CONFIG_TILE_ID),
            told(Config::CUBLASLT_ALGO_CONFIG_STAGES_ID),
            told(Config::CUBLASLT_ALGO_CONFIG_SPLITK_NUM),
        );
        let Suggestion { algorithm, workspace_b, waves, .. } = *suggestion;
        Way { name, algorithm, workspace_b, waves }
    }
}

impl Drop for Vendor {
    fn drop(&mut self) {
        super::handles::unless_abandoned(|| {
            // SAFETY: made by the library; no product is queued again.
            unsafe { (self.library.functions.destroy)(self.handle) };
        });
    }
}

impl Layouts {
    /// Sets an attribute of the product.
    fn set<T>(&self, attribute: Attribute, value: &T) -> Result<(), DeviceError> {
        // SAFETY: the description is alive, and the library copies the value.
        said("cublasLtMatmulDescSetAttribute", unsafe {
            (self.library.functions.desc_set)(self.desc, attribute as u32, from_ref(value).cast(), size_of::<T>())
        })
        .map_err(DeviceError::from)
    }
}

/// What the heuristic is told beside the product.
struct Preferred {
    library: &'static Library,
    handle: cublasLtMatmulPreference_t,
}

impl Preferred {
    fn new(library: &'static Library, workspace_b: usize) -> Result<Self, DeviceError> {
        let mut preferred = Self { library, handle: null_mut() };
        // SAFETY: the library writes one handle.
        said("cublasLtMatmulPreferenceCreate", unsafe {
            (library.functions.preference_create)(&mut preferred.handle)
        })?;
        // SAFETY: the handle was made just now, and the library copies the value.
        said("cublasLtMatmulPreferenceSetAttribute", unsafe {
            (library.functions.preference_set)(
                preferred.handle,
                Preference::CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES as u32,
                from_ref(&workspace_b).cast(),
                size_of::<usize>(),
            )
        })?;
        Ok(preferred)
    }
}

impl Drop for Preferred {
    fn drop(&mut self) {
        if !self.handle.is_null() {
            // SAFETY: made by the library, and not used again.
            unsafe { (self.library.functions.preference_destroy)(self.handle) };
        }
    }
}

impl Product {
    /// How often it fills the device with work groups, as the library says.
    pub fn waves(&self) -> f64 {
        self.known.ways[self.way].waves.into()
    }

    /// Puts it at the end of a stream.
    pub fn queue(&self, stream: CUstream) -> Result<(), Failed> {
        let [first, second, third] = self.known.layouts.operands[..] else { return Ok(()) };
        let way = &self.known.ways[self.way];
        let pointer = |address: CUdeviceptr| address as *mut c_void;
        let [b, a, c] = self.operands.map(pointer);
        let [alpha, beta] = [&self.factors[0], &self.factors[1]].map(|factor| factor.as_ptr().cast());
        // SAFETY: every handle is alive; the operands lie within buffers that outlive the program; the library reads the
        // factors and the algorithm before it returns.
        said("cublasLtMatmul", unsafe {
            (self.library.functions.matmul)(
                self.handle,
                self.known.layouts.desc,
                alpha,
                b,
                first,
                a,
                second,
                beta,
                c,
                third,
                c,
                third,
                &way.algorithm,
                pointer(self.workspace),
                way.workspace_b,
                stream,
            )
        })
    }
}

/// `CUBLAS_STATUS_NOT_SUPPORTED`.
const NOT_SUPPORTED: Status = 15;

fn said(call: &'static str, status: Status) -> Result<(), Failed> {
    if status == 0 { Ok(()) } else { Err(Failed::of_library(call, status)) }
}

/// A status by its name in `cublas_api.h`.
pub(super) fn name_of(status: Status) -> &'static str {
    match status {
        1 => "CUBLAS_STATUS_NOT_INITIALIZED",
        3 => "CUBLAS_STATUS_ALLOC_FAILED",
        7 => "CUBLAS_STATUS_INVALID_VALUE",
        8 => "CUBLAS_STATUS_ARCH_MISMATCH",
        11 => "CUBLAS_STATUS_MAPPING_ERROR",
        13 => "CUBLAS_STATUS_EXECUTION_FAILED",
        14 => "CUBLAS_STATUS_INTERNAL_ERROR",
        NOT_SUPPORTED => "CUBLAS_STATUS_NOT_SUPPORTED",
        16 => "CUBLAS_STATUS_LICENSE_ERROR",
        _ => "an unknown status",
    }
}
