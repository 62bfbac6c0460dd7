//! Matrix products, split over the pool's workers: binary32 and binary64 by the `gemm` crate, the 16-bit formats by our
//! own kernels, since no library of the language multiplies bfloat16 or reads 16-bit weights at the speed of memory.

mod block;
mod cut;
mod few;
mod lanes;
mod library;
mod narrow;

use self::cut::Cut;
use self::narrow::Narrow;
use super::memory::Span;
use super::pool::Place;
use crate::device::{DeviceError, MatmulDesc, Provider};
use crate::record::Precision;

/// The memory of a product.
#[derive(Clone, Copy, Debug)]
struct Operands {
    a: Span,
    b: Span,
    c: Span,
}

/// A matrix product over buffers that are large enough for it.
#[derive(Debug)]
pub(super) struct Product {
    desc: MatmulDesc,
    operands: Operands,
    way: Way,
}

/// Who computes it, and how it is cut.
#[derive(Debug)]
enum Way {
    Library(Cut),
    Own(Narrow),
}

/// Names of the ways to compute a product with a team of workers, best guess first; none if there is no code for it.
pub(super) fn plans(desc: &MatmulDesc, team: usize) -> Vec<String> {
    match (supported(desc), desc.provider) {
        (Err(_), _) => Vec::new(),
        (Ok(()), Provider::Vendor) => Cut::suitable(desc, team).into_iter().map(|(_, name)| name.to_owned()).collect(),
        (Ok(()), Provider::Own) => narrow::plans(desc, team),
    }
}

/// Whether there is code for it; says why if there is not.
fn supported(desc: &MatmulDesc) -> Result<(), String> {
    let formats = [desc.a, desc.b, desc.c];
    let (known, sums, who) = match desc.provider {
        Provider::Vendor => ([Precision::F32, Precision::F64], desc.a, "a library"),
        Provider::Own => ([Precision::F16, Precision::Bf16], Precision::F32, "our own kernels"),
    };
    match known.contains(&desc.a) && formats.iter().all(|format| *format == desc.a) && desc.accumulate == sums {
        true => Ok(()),
        false => Err(format!("the CPU has no such product of {} by {who}", desc.a)),
    }
}

impl Product {
    /// A product by a plan, or by the best guess where none is named.
    pub fn new(desc: &MatmulDesc, plan: &str, [a, b, c]: [Span; 3], team: usize) -> Result<Self, DeviceError> {
        supported(desc).map_err(DeviceError::Unsupported)?;
        let way = match desc.provider {
            Provider::Vendor => {
                let mut suitable = Cut::suitable(desc, team).into_iter();
                suitable.find(|(_, known)| plan.is_empty() || *known == plan).map(|(cut, _)| Way::Library(cut))
            }
            Provider::Own => Narrow::named(desc, plan, team).map(Way::Own),
        };
        let unknown = || DeviceError::Unsupported(format!("no plan '{plan}' for this matrix product here"));
        let way = way.ok_or_else(unknown)?;
        for (name, span, rows, columns) in
            [("a", a, desc.m, desc.k), ("b", b, desc.k, desc.n), ("c", c, desc.m, desc.n)]
        {
            let needed = u128::from(rows) * u128::from(columns) * u128::from(desc.a.size());
            if needed > span.len as u128 {
                let message = format!("{name} needs {needed} bytes, its buffer has {}", span.len);
                return Err(DeviceError::Call { call: "record", message });
            }
        }
        Ok(Self { desc: *desc, operands: Operands { a, b, c }, way })
    }

    /// Computes the worker's part.
    ///
    /// # Safety
    /// The buffers must be alive and c used by nobody else; all of the team must call it, and meet after it.
    pub unsafe fn run(&self, place: Place<'_>) {
        // SAFETY: `new` held the operands against their buffers; the rest is the caller's.
        unsafe {
            match &self.way {
                Way::Library(cut) => library::run(&self.desc, *cut, &self.operands, place),
                Way::Own(narrow) => narrow.run(&self.operands, place),
            }
        }
    }
}
