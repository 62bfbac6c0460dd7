//! A product as the driver executes it: in its stream's turn, on the memory of the device, which is reached as kernels
//! reach it.

use std::ffi::c_void;

use crate::algorithm::Algorithm;
use crate::element::{Compute, Element};
use crate::fault;
use crate::guest::{Guest, Memory};
use crate::problem::{Matrix, Problem};
use crate::product::{multiply, parts};

const ILLEGAL_ADDRESS: u32 = 700;
const MISALIGNED_ADDRESS: u32 = 716;
const LAUNCH_FAILED: u32 = 719;
const UNKNOWN: u32 = 999;

/// All that a call of `cublasLtMatmul` said.
#[derive(Debug)]
pub struct Launch {
    pub problem: Problem,
    pub algorithm: Algorithm,
    pub alpha: f64,
    pub beta: f64,
    /// Addresses on the device.
    pub a: u64,
    pub b: u64,
    pub c: u64,
    pub d: u64,
    pub workspace: u64,
}

/// The driver's code for what went wrong, and what that was.
type Trap = (u32, String);

/// A part of the device's memory that a product may use.
#[derive(Clone, Copy)]
struct Span {
    name: &'static str,
    start: u64,
    bytes: u64,
    host: *mut u8,
}

impl Span {
    fn new(memory: &Memory, name: &'static str, start: u64, bytes: u64, unit: usize) -> Result<Self, Trap> {
        if !start.is_multiple_of(unit as u64) {
            return Err((MISALIGNED_ADDRESS, format!("{name} is at {start:#x}, of elements of {unit} bytes")));
        }
        // SAFETY: the driver's function with its own state.
        let host = unsafe { (memory.find)(memory.state, start, bytes) };
        if host.is_null() {
            return Err((
                ILLEGAL_ADDRESS,
                format!("{name}: {bytes} bytes at {start:#x} are not all in one allocation"),
            ));
        }
        Ok(Self { name, start, bytes, host })
    }

    fn matrix(memory: &Memory, name: &'static str, start: u64, matrix: &Matrix) -> Result<Self, Trap> {
        Self::new(memory, name, start, matrix.bytes(), matrix.element.bytes())
    }

    /// An element, counted from the first.
    fn read(&self, element: Element, index: usize) -> u64 {
        let size = element.bytes();
        assert!(((index + 1) * size) as u64 <= self.bytes, "{}: element {index}", self.name);
        let mut word = [0u8; 8];
        // SAFETY: inside the span, which the driver keeps while the product runs; the word is elsewhere.
        unsafe { std::ptr::copy_nonoverlapping(self.host.add(index * size), word.as_mut_ptr(), size) };
        u64::from_le_bytes(word)
    }

    fn write(&self, element: Element, index: usize, bits: u64) {
        let size = element.bytes();
        assert!(((index + 1) * size) as u64 <= self.bytes, "{}: element {index}", self.name);
        // SAFETY: as in `read`.
        unsafe { std::ptr::copy_nonoverlapping(bits.to_le_bytes().as_ptr(), self.host.add(index * size), size) };
    }

    fn overlaps(&self, other: &Self) -> bool {
        self.start < other.start + other.bytes && other.start < self.start + self.bytes
    }
}

/// Values of a matrix, rows after each other; with `transposed` columns.
fn values(span: Span, matrix: &Matrix, transposed: bool, compute: Compute) -> Vec<f64> {
    let (rows, columns) = (matrix.rows as usize, matrix.columns as usize);
    let value =
        |row, column| compute.input(matrix.element.decode(span.read(matrix.element, matrix.index(row, column))));
    if transposed {
        (0..columns).flat_map(|column| (0..rows).map(move |row| (row, column))).map(|(r, c)| value(r, c)).collect()
    } else {
        (0..rows).flat_map(|row| (0..columns).map(move |column| (row, column))).map(|(r, c)| value(r, c)).collect()
    }
}

impl Launch {
    /// Hands it to the driver.
    pub fn into_guest(self) -> Guest {
        Guest { data: Box::into_raw(Box::new(self)).cast(), run: run_guest, release: release_guest }
    }

    fn run(&self, memory: &Memory) -> Result<(), Trap> {
        let problem = &self.problem;
        let a = Span::matrix(memory, "A", self.a, &problem.a)?;
        let b = Span::matrix(memory, "B", self.b, &problem.b)?;
        let d = Span::matrix(memory, "D", self.d, &problem.d)?;
        let c = if self.beta == 0.0 { None } else { Some(Span::matrix(memory, "C", self.c, &problem.c)?) };
        let bytes = self.algorithm.scheme.workspace(problem);
        let workspace = match bytes {
            0 => None,
            _ => Some(Span::new(memory, "the workspace", self.workspace, bytes, 256)?),
        };
        apart(&[a, b], c, d, workspace)?;
        let factor = self.factor(memory)?;
        let (left, right) = (
            values(a, &problem.a, problem.transpose_a, problem.compute),
            values(b, &problem.b, problem.transpose_b, problem.compute),
        );
        let sums = self.sums(&left, &right, workspace);
        self.finish(&sums, factor, c, d);
        Ok(())
    }

    /// The product of the scale factors, which are read when the product runs.
    fn factor(&self, memory: &Memory) -> Result<f64, Trap> {
        let given = self.problem.factors.iter().filter(|pointer| **pointer != 0);
        let read =
            |pointer: &u64| Span::new(memory, "a scale factor", *pointer, 4, 4).map(|at| at.read(Element::F32, 0));
        given.map(|pointer| read(pointer).map(|bits| Element::F32.decode(bits))).product()
    }

    /// Sums of products. Those of parts go through the workspace, where another product that is given the same one at
    /// the same time spoils them.
    fn sums(&self, left: &[f64], right: &[f64], workspace: Option<Span>) -> Vec<f64> {
        let [n, k] = [self.problem.n, self.problem.k].map(|side| side as usize);
        let Some(workspace) = workspace else { return multiply(left, right, k, n, 0..k) };
        let count = self.algorithm.scheme.parts as usize;
        let mut cells = 0;
        for part in parts(k, count) {
            for sum in multiply(left, right, k, n, part) {
                workspace.write(Element::F64, cells, sum.to_bits());
                cells += 1;
            }
        }
        std::thread::yield_now();
        let each = cells / count;
        let sum = |cell| (0..count).map(|part| f64::from_bits(workspace.read(Element::F64, part * each + cell))).sum();
        (0..each).map(sum).collect()
    }

    /// Scales, adds and stores.
    fn finish(&self, sums: &[f64], factor: f64, c: Option<Span>, d: Span) {
        let (problem, n) = (&self.problem, self.problem.n as usize);
        let wrong = fault::wrong(self.algorithm.rank);
        for (cell, sum) in sums.iter().enumerate() {
            let (row, column) = (cell / n, cell % n);
            let added = c.map(|c| problem.c.element.decode(c.read(problem.c.element, problem.c.index(row, column))));
            let mut bits = self.result(*sum, factor, added);
            if wrong && (3 * row + 5 * column) % 8 == 0 {
                let element = problem.d.element;
                bits = element.encode(-2.0 * element.decode(bits) - 1.0);
            }
            d.write(problem.d.element, problem.d.index(row, column), bits);
        }
    }

    fn result(&self, sum: f64, factor: f64, added: Option<f64>) -> u64 {
        if self.problem.scalars == Element::I32 {
            // Sums of products of 8 bits are whole in `f64`; what exceeds 32 bits is lost, as in the accumulators.
            let scaled = (self.alpha as i64).wrapping_mul(sum as i64);
            let added = (self.beta as i64).wrapping_mul(added.unwrap_or(0.0) as i64);
            return u64::from(scaled.wrapping_add(added) as u32);
        }
        let added = added.map_or(0.0, |value| self.beta * value);
        self.problem.d.element.encode(self.alpha * factor * sum + added)
    }
}

/// Refuses what would depend on the order in which blocks happen to run.
fn apart(inputs: &[Span], c: Option<Span>, d: Span, workspace: Option<Span>) -> Result<(), Trap> {
    // In place, an element of C is read where that of D is written, and nowhere else.
    let read: Vec<Span> = inputs.iter().copied().chain(c.filter(|c| c.start != d.start)).collect();
    let pairs = read.iter().map(|span| (*span, d));
    let used = workspace.into_iter().flat_map(|workspace| read.iter().chain([&d]).map(move |span| (*span, workspace)));
    match pairs.chain(used).find(|(x, y)| x.overlaps(y)) {
        Some((x, y)) => Err((LAUNCH_FAILED, format!("{} overlaps {}", x.name, y.name))),
        None => Ok(()),
    }
}

/// # Safety
/// The data is a [`Launch`], and the memory the driver's.
unsafe extern "C" fn run_guest(data: *const c_void, memory: *const Memory) -> u32 {
    // SAFETY: the caller's promise.
    let (launch, memory) = unsafe { (&*data.cast::<Launch>(), &*memory) };
    let run = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| launch.run(memory)));
    let (code, why) = match run {
        Ok(Ok(())) => return 0,
        Ok(Err(trap)) => trap,
        Err(_) => (UNKNOWN, "the emulated library panicked".to_owned()),
    };
    let why = format!("cublasLtMatmul: {why}");
    // SAFETY: the driver's function with its own state, and a text that lives.
    unsafe { (memory.explain)(memory.state, why.as_ptr(), why.len()) };
    code
}

/// # Safety
/// The data is a [`Launch`] that `into_guest` made, and nothing uses it any more.
unsafe extern "C" fn release_guest(data: *mut c_void) {
    // SAFETY: the caller's promise.
    drop(unsafe { Box::from_raw(data.cast::<Launch>()) });
}
