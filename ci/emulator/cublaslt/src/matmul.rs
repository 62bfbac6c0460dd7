//! `cublasLtMatmul`: what it is given is checked, then queued.

use std::ffi::c_void;

use crate::algorithm::{Algorithm, Limits, Opaque, candidates};
use crate::descriptor::{Descriptor, Kind};
use crate::driver::{self, Device};
use crate::element::Element;
use crate::heuristic::problem;
use crate::launch::Launch;
use crate::problem::Problem;
use crate::status::{Answer, INTERNAL_ERROR, INVALID_VALUE, NOT_SUPPORTED, Status, answer, refuse, require};
use crate::{fault, object};

/// A scalar of the host's.
///
/// # Safety
/// The pointer leads to one of this format.
unsafe fn scalar(element: Element, from: *const c_void) -> f64 {
    let mut word = [0u8; 8];
    // SAFETY: the caller's promise.
    unsafe { std::ptr::copy_nonoverlapping(from.cast(), word.as_mut_ptr(), element.bytes()) };
    element.decode(u64::from_le_bytes(word))
}

/// The algorithm given, or the heuristic's first if none is.
///
/// # Safety
/// The pointer is null or leads to an algorithm.
unsafe fn chosen(given: *const Opaque, problem: &Problem, device: Device) -> Answer<Algorithm> {
    if given.is_null() {
        let limits = Limits::new(&Descriptor::new(Kind::Preference, &[]))?;
        let first = candidates(problem, device, &limits).into_iter().next();
        return first.map_or_else(|| refuse(NOT_SUPPORTED, "the heuristic has no algorithm"), Ok);
    }
    // SAFETY: the caller's promise.
    let algorithm = Algorithm::unpack(unsafe { &*given })?;
    require(algorithm.scheme.applies(problem), INVALID_VALUE, "the algorithm is for another problem")?;
    Ok(algorithm)
}

/// Addresses and sizes are what the algorithm needs.
fn checked(launch: &Launch, workspace_bytes: usize) -> Answer {
    let (scheme, problem) = (launch.algorithm.scheme, &launch.problem);
    let pointers = [('A', launch.a), ('B', launch.b), ('C', launch.c), ('D', launch.d)];
    for ((name, pointer), needed) in pointers.into_iter().zip(scheme.alignment(problem)) {
        let why = format!("{name} at {pointer:#x} is not aligned to the algorithm's {needed} bytes");
        require(pointer % needed == 0, INVALID_VALUE, why)?;
    }
    let in_place = launch.c != launch.d || problem.c == problem.d;
    require(in_place, INVALID_VALUE, "C and D are one, with different layouts")?;
    let needed = scheme.workspace(problem);
    let why = format!("a workspace of {workspace_bytes} bytes at {:#x}, of {needed} needed", launch.workspace);
    let enough = needed == 0 || workspace_bytes as u64 >= needed && launch.workspace != 0;
    require(enough && launch.workspace.is_multiple_of(256), INVALID_VALUE, why)
}

#[unsafe(no_mangle)]
#[allow(clippy::too_many_arguments, reason = "the API's signature")]
pub unsafe extern "C" fn cublasLtMatmul(
    library: *const c_void,
    operation: *const c_void,
    alpha: *const c_void,
    a: *const c_void,
    a_layout: *const c_void,
    b: *const c_void,
    b_layout: *const c_void,
    beta: *const c_void,
    c: *const c_void,
    c_layout: *const c_void,
    d: *mut c_void,
    d_layout: *const c_void,
    algorithm: *const Opaque,
    workspace: *mut c_void,
    workspace_bytes: usize,
    stream: *mut c_void,
) -> Status {
    answer("cublasLtMatmul", || {
        let device = object::library(library)?;
        let given = ![alpha, beta, a, b, d.cast_const()].iter().any(|pointer| pointer.is_null());
        require(given, INVALID_VALUE, "alpha, beta, A, B or D is null")?;
        let problem = problem(library, operation, [a_layout, b_layout, c_layout, d_layout])?;
        // SAFETY: the API's contract.
        let (alpha, beta) = unsafe { (scalar(problem.scalars, alpha), scalar(problem.scalars, beta)) };
        require(beta == 0.0 || !c.is_null(), INVALID_VALUE, "beta is not zero, and C is null")?;
        // SAFETY: the API's contract.
        let algorithm = unsafe { chosen(algorithm, &problem, device) }?;
        let [a, b, c, d, workspace] = [a, b, c, d.cast_const(), workspace.cast_const()].map(|at| at as u64);
        let launch = Launch { problem, algorithm, alpha, beta, a, b, c, d, workspace };
        checked(&launch, workspace_bytes)?;
        let rank = algorithm.rank;
        require(!fault::fails(rank), INTERNAL_ERROR, format!("algorithm {rank} fails, as asked for"))?;
        driver::launch(device, stream, launch.into_guest())
    })
}
