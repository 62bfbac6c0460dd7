//! What is to be multiplied: descriptors taken together, and what the real library says of those that do not fit.
//! cuBLAS Library, section "cublasLtMatmul()": its tables of types, and the requirements of IMMA and FP8 kernels.

use crate::descriptor::{Descriptor, layout, operation};
use crate::driver::Device;
use crate::element::{Compute, Element};
use crate::status::{Answer, INVALID_VALUE, NOT_SUPPORTED, require};

/// A matrix in memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Matrix {
    pub element: Element,
    pub rows: u64,
    pub columns: u64,
    /// Elements from one column to the next, or from one row to the next.
    pub leading: u64,
    pub row_major: bool,
}

impl Matrix {
    /// Takes a layout that makes sense by itself.
    fn new(name: char, of: &Descriptor) -> Answer<Self> {
        let element = Element::of(of.get(layout::TYPE))?;
        let (rows, columns, leading) = (of.get(layout::ROWS), of.get(layout::COLS), of.get(layout::LD));
        let order = of.get(layout::ORDER);
        require(order <= 4, INVALID_VALUE, format!("{name}: there is no order {order}"))?;
        require(order <= 1, NOT_SUPPORTED, format!("{name}: order {order} is not offered here"))?;
        let (shortest, batches) = (if order == 0 { rows } else { columns }, of.get(layout::BATCH_COUNT) as u32 as i32);
        let sides = [rows, columns].iter().all(|side| (1..=i32::MAX as u64).contains(side));
        require(sides, INVALID_VALUE, format!("{name}: {rows} x {columns}"))?;
        let fits = leading as i64 >= shortest as i64;
        require(fits, INVALID_VALUE, format!("{name}: leading dimension {} of {shortest}", leading as i64))?;
        require(batches > 0, INVALID_VALUE, format!("{name}: {batches} batches"))?;
        let plain = batches == 1 && of.get(layout::PLANE_OFFSET) == 0 && of.get(layout::BATCH_MODE) == 0;
        require(plain, NOT_SUPPORTED, format!("{name}: batches and planes are not offered here"))?;
        Ok(Self { element, rows, columns, leading, row_major: order == 1 })
    }

    /// Elements before the one at a row and a column.
    pub fn index(&self, row: usize, column: usize) -> usize {
        let leading = self.leading as usize;
        if self.row_major { row * leading + column } else { column * leading + row }
    }

    /// Bytes from its first element to behind its last.
    pub fn bytes(&self) -> u64 {
        let (inner, outer) = if self.row_major { (self.columns, self.rows) } else { (self.rows, self.columns) };
        (outer - 1).saturating_mul(self.leading).saturating_add(inner).saturating_mul(self.element.bytes() as u64)
    }

    /// Whether all its columns, or rows, start at multiples of so many bytes if the first does.
    pub fn keeps_alignment(&self, bytes: u64) -> bool {
        (self.leading % bytes * self.element.bytes() as u64).is_multiple_of(bytes)
    }

    fn same_shape(&self, other: &Self) -> bool {
        (self.rows, self.columns, self.row_major) == (other.rows, other.columns, other.row_major)
    }
}

/// D = alpha * op(A) * op(B) + beta * C.
#[derive(Clone, Debug)]
pub struct Problem {
    pub a: Matrix,
    pub b: Matrix,
    pub c: Matrix,
    pub d: Matrix,
    pub transpose_a: bool,
    pub transpose_b: bool,
    pub m: u64,
    pub n: u64,
    pub k: u64,
    pub compute: Compute,
    /// The format of alpha and beta.
    pub scalars: Element,
    /// Device pointers to factors of A, B and D, or 0.
    pub factors: [u64; 3],
}

impl Problem {
    /// Takes descriptors together. `matrices` are those of A, B, C and D.
    pub fn new(device: Device, of: &Descriptor, matrices: [&Descriptor; 4]) -> Answer<Self> {
        let transposed = |name: char, attribute: u32| {
            let operation = of.get(attribute);
            // Of real elements the conjugate transpose is the transpose.
            require(operation <= 2, INVALID_VALUE, format!("{name}: there is no operation {operation}"))?;
            Answer::Ok(operation != 0)
        };
        let (transpose_a, transpose_b) = (transposed('A', operation::TRANSA)?, transposed('B', operation::TRANSB)?);
        let [a, b, c, d] = matrices;
        let (a, b) = (Matrix::new('A', a)?, Matrix::new('B', b)?);
        let (c, d) = (Matrix::new('C', c)?, Matrix::new('D', d)?);
        let (m, k) = if transpose_a { (a.columns, a.rows) } else { (a.rows, a.columns) };
        let (inner, n) = if transpose_b { (b.columns, b.rows) } else { (b.rows, b.columns) };
        let (compute, scalars) = (of.get(operation::COMPUTE_TYPE), of.get(operation::SCALE_TYPE));
        let (compute, scalars) = (Compute::of(compute)?, Element::of(scalars)?);
        let factors = [operation::A_SCALE_POINTER, operation::B_SCALE_POINTER, operation::D_SCALE_POINTER];
        let factors = factors.map(|attribute| of.get(attribute));
        let problem = Self { a, b, c, d, transpose_a, transpose_b, m, n, k, compute, scalars, factors };
        let agree = inner == k && (d.rows, d.columns) == (m, n) && c.same_shape(&d);
        let why =
            format!("{m} x {k} times {inner} x {n} and C are not D ({} x {}), in order or shape", d.rows, d.columns);
        require(agree, INVALID_VALUE, why)?;
        offered(of)?;
        problem.factors_apply(of)?;
        require(problem.formats_go_together(), NOT_SUPPORTED, format!("{:?}", problem.formats()))?;
        problem.kernels_exist(device)?;
        Ok(problem)
    }

    fn formats(&self) -> (Compute, Element, [Element; 4]) {
        (self.compute, self.scalars, [self.a.element, self.b.element, self.c.element, self.d.element])
    }

    fn is_fp8(&self) -> bool {
        self.a.element.is_fp8() || self.b.element.is_fp8()
    }

    /// The tables of types.
    fn formats_go_together(&self) -> bool {
        use Element::{Bf16, E5m2, F16, F32, F64, I8, I32};
        match self.formats() {
            (Compute::F16, F16, all) => all == [F16; 4],
            (Compute::F64, F64, all) => all == [F64; 4],
            (Compute::Rounded(_), F32, all) => all == [F32; 4],
            (Compute::I32, I32, all) => all == [I8, I8, I32, I32],
            (Compute::I32, F32, all) => all == [I8; 4],
            (Compute::F32, F32, [a, b, c, d]) if a.is_fp8() && b.is_fp8() => {
                // FP8 results keep C wide, and are E5M2 only if a factor is.
                let narrow = d.is_fp8() && [Bf16, F16].contains(&c) && (d != E5m2 || [a, b].contains(&E5m2));
                let wide = c == d && [Bf16, F16, F32].contains(&d);
                (a, b) != (E5m2, E5m2) && (wide || narrow)
            }
            (Compute::F32, F32, [a, b, c, d]) => {
                a == b && c == d && matches!((a, c), (Bf16, Bf16 | F32) | (F16, F16 | F32) | (I8, F32) | (F32, F32))
            }
            _ => false,
        }
    }

    /// Factors are of FP8 matrices.
    fn factors_apply(&self, of: &Descriptor) -> Answer {
        let given = |pointer: u64, matrix: &Matrix| pointer != 0 && !matrix.element.is_fp8();
        let [a, b, d] = self.factors;
        let c = of.get(operation::C_SCALE_POINTER);
        let stray = given(a, &self.a) || given(b, &self.b) || given(c, &self.c) || given(d, &self.d);
        require(!stray, INVALID_VALUE, "a scale pointer for a matrix that is not FP8")
    }

    /// Bytes that every algorithm needs A, B, C and D aligned to.
    pub fn alignment(&self) -> [u64; 4] {
        if self.is_fp8() {
            return [16; 4];
        }
        let at_least = if self.compute == Compute::I32 { 4 } else { 1 };
        [&self.a, &self.b, &self.c, &self.d].map(|matrix| at_least.max(matrix.element.bytes() as u64))
    }

    /// What the kernels of 8-bit formats require.
    fn kernels_exist(&self, device: Device) -> Answer {
        let (fp8, imma) = (self.is_fp8(), self.compute == Compute::I32);
        if !fp8 && !imma {
            return Ok(());
        }
        let (major, minor) = device.capability;
        let able = !fp8 || device.capability >= (8, 9);
        require(able, NOT_SUPPORTED, format!("a device of capability {major}.{minor} has no FP8"))?;
        let columns = [&self.a, &self.b, &self.c, &self.d].iter().all(|matrix| !matrix.row_major);
        let tn = self.transpose_a && !self.transpose_b && columns;
        require(tn, NOT_SUPPORTED, "8-bit formats need A transposed, B not, and all in columns")?;
        let (m, n, k) = (self.m, self.n, self.k);
        let unit = if fp8 { 16 } else { 4 };
        let sides = [m, k].iter().all(|side| side % unit == 0) && (!fp8 || n % unit == 0);
        require(sides, NOT_SUPPORTED, format!("{m} x {n} x {k}: sides must be multiples of {unit}"))?;
        let aligned = if fp8 {
            [&self.a, &self.b, &self.c, &self.d].iter().all(|matrix| matrix.keeps_alignment(unit))
        } else {
            [&self.a, &self.b, &self.c].iter().all(|matrix| matrix.leading % unit == 0)
        };
        require(aligned, NOT_SUPPORTED, format!("leading dimensions must be multiples of {unit}"))
    }
}

/// Refuses what the real library knows and this one does not.
fn offered(of: &Descriptor) -> Answer {
    let plain = |attribute: u32, value: u64, what: &str| {
        require(of.get(attribute) == value, NOT_SUPPORTED, format!("{what} is not offered here"))
    };
    let mode = of.get(operation::POINTER_MODE);
    require(mode <= 4, INVALID_VALUE, format!("there is no pointer mode {mode}"))?;
    plain(operation::POINTER_MODE, 0, "alpha and beta in device memory")?;
    plain(operation::TRANSC, 0, "transposing C")?;
    plain(operation::FILL_MODE, 2, "filling a triangle")?;
    plain(operation::EPILOGUE, 1, "an epilogue")?;
    plain(operation::AMAX_D_POINTER, 0, "the largest element of D")?;
    operation::SCALE_MODES.into_iter().try_for_each(|mode| plain(mode, 0, "scaling by blocks"))
}
