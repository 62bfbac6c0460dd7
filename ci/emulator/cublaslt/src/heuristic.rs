//! `cublasLtMatmulAlgoGetHeuristic`, and what algorithms say of themselves.

use std::ffi::{c_int, c_void};

use crate::algorithm::{Algorithm, Limits, Opaque, candidates};
use crate::descriptor::{Descriptor, Kind, preference};
use crate::object;
use crate::problem::Problem;
use crate::status::{Answer, INVALID_VALUE, NOT_SUPPORTED, SUCCESS, Status, answer, require};

/// `cublasLtMatmulHeuristicResult_t`
#[repr(C)]
pub struct Found {
    algorithm: Opaque,
    workspace_bytes: usize,
    state: Status,
    waves: f32,
    reserved: [c_int; 4],
}

/// A problem out of descriptors; without C's, D's stands for it.
pub fn problem(library: *const c_void, operation: *const c_void, layouts: [*const c_void; 4]) -> Answer<Problem> {
    let device = object::library(library)?;
    let operation = object::descriptor(Kind::Operation, operation)?;
    let [a, b, c, d] = layouts;
    let c = if c.is_null() { d } else { c };
    let layout = |number| object::descriptor(Kind::Layout, number);
    let (a, b, c, d) = (layout(a)?, layout(b)?, layout(c)?, layout(d)?);
    Problem::new(device, &operation, [&a, &b, &c, &d])
}

impl Limits {
    /// The limits of a preference.
    pub fn new(of: &Descriptor) -> Answer<Self> {
        let search = of.get(preference::SEARCH_MODE);
        require(search == 0, NOT_SUPPORTED, format!("search mode {search} is not offered here"))?;
        let all = of.get(preference::IMPL_MASK) == u64::MAX;
        require(all, NOT_SUPPORTED, "a mask of implementations is not offered here")?;
        Ok(Self {
            workspace: of.get(preference::MAX_WORKSPACE_BYTES),
            alignment: [0, 1, 2, 3].map(|matrix| of.get(preference::MIN_ALIGNMENT_A_BYTES + matrix)),
            waves: f32::from_bits(of.get(preference::MAX_WAVES_COUNT) as u32),
            reductions: of.get(preference::REDUCTION_SCHEME_MASK),
        })
    }
}

#[unsafe(no_mangle)]
#[allow(clippy::too_many_arguments, reason = "the API's signature")]
pub unsafe extern "C" fn cublasLtMatmulAlgoGetHeuristic(
    library: *const c_void,
    operation: *const c_void,
    a: *const c_void,
    b: *const c_void,
    c: *const c_void,
    d: *const c_void,
    preference: *const c_void,
    requested: c_int,
    results: *mut Found,
    count: *mut c_int,
) -> Status {
    answer("cublasLtMatmulAlgoGetHeuristic", || {
        let device = object::library(library)?;
        let asked = requested > 0 && !results.is_null() && !count.is_null();
        require(asked, INVALID_VALUE, format!("{requested} algorithms asked for, or no place for them"))?;
        // SAFETY: the API's contract.
        unsafe { count.write(0) };
        let problem = problem(library, operation, [a, b, c, d])?;
        let limits = Limits::new(&object::descriptor(Kind::Preference, preference)?)?;
        let found = candidates(&problem, device, &limits);
        require(!found.is_empty(), NOT_SUPPORTED, format!("no algorithm within {limits:?}"))?;
        let given = found.len().min(requested as usize);
        for (index, algorithm) in found.into_iter().take(given).enumerate() {
            let result = Found {
                algorithm: algorithm.pack(),
                workspace_bytes: algorithm.scheme.workspace(&problem) as usize,
                state: SUCCESS,
                waves: algorithm.scheme.waves(&problem, device),
                reserved: [0; 4],
            };
            // SAFETY: the API's contract: as many places as were asked for.
            unsafe { results.add(index).write(result) };
        }
        // SAFETY: the API's contract.
        unsafe { count.write(given as c_int) };
        Ok(())
    })
}

/// An attribute of `cublasLtMatmulAlgoConfigAttributes_t`: its bytes.
fn configured(algorithm: Algorithm, attribute: u32) -> Option<(u32, usize)> {
    let scheme = algorithm.scheme;
    Some(match attribute {
        0 => (scheme.id, 4),
        1 => (scheme.tile, 4),
        2 => (scheme.parts as u32, 4),
        3 => (scheme.reduction() as u32, 4),
        // CTA_SWIZZLING, CUSTOM_OPTION
        4 | 5 => (0, 4),
        6 => (scheme.stages, 4),
        // INNER_SHAPE_ID, CLUSTER_SHAPE_ID
        7 | 8 => (0, 2),
        _ => return None,
    })
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn cublasLtMatmulAlgoConfigGetAttribute(
    algorithm: *const Opaque,
    attribute: u32,
    buffer: *mut c_void,
    size: usize,
    written: *mut usize,
) -> Status {
    answer("cublasLtMatmulAlgoConfigGetAttribute", || {
        require(!algorithm.is_null(), INVALID_VALUE, "no algorithm")?;
        // SAFETY: the API's contract.
        let algorithm = Algorithm::unpack(unsafe { &*algorithm })?;
        let Some((value, needed)) = configured(algorithm, attribute) else {
            return crate::status::refuse(INVALID_VALUE, format!("there is no attribute {attribute}"));
        };
        let room = if size == 0 { !written.is_null() } else { size == needed && !buffer.is_null() };
        require(room, INVALID_VALUE, format!("attribute {attribute} has {needed} bytes, not {size}"))?;
        // SAFETY: the API's contract: `size` bytes, and a place for the count if it is wanted.
        unsafe {
            std::ptr::copy_nonoverlapping(value.to_le_bytes().as_ptr(), buffer.cast(), size);
            if !written.is_null() {
                written.write(needed);
            }
        }
        Ok(())
    })
}
