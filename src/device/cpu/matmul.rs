//! Matrix products by the `gemm` crate, split over the pool's workers.
//!
//! A plan is a way to cut the result into one tile per worker; each worker computes its tile with the
//! crate's single-threaded product. The crate's own threads are not used: they are not kept on cores.

use gemm::Parallelism;

use super::memory::Span;
use super::pool::Place;
use crate::device::{MatmulDesc, Provider};
use crate::record::Precision;

/// How the result is cut.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Plan {
    /// Into bands of rows.
    Rows,
    /// Into bands of columns.
    Columns,
    /// Into a grid as square as the number of workers allows.
    Grid,
}

impl Plan {
    /// Every plan with its name.
    const ALL: [(Self, &'static str); 3] = [(Self::Rows, "rows"), (Self::Columns, "columns"), (Self::Grid, "grid")];

    /// The plan with a name; the first that suits the shape for an empty one.
    pub fn named(name: &str, desc: &MatmulDesc, team: usize) -> Option<Self> {
        let mut suitable = Self::suitable(desc, team).into_iter();
        suitable.find(|(_, known)| name.is_empty() || *known == name).map(|(plan, _)| plan)
    }

    /// The plans that give every worker of a team something to do, or the one that comes nearest.
    pub fn suitable(desc: &MatmulDesc, team: usize) -> Vec<(Self, &'static str)> {
        let team_u64 = team as u64;
        let (down, across) = near_square(team);
        let fits = |(plan, _): &(Self, &'static str)| match plan {
            Self::Rows => desc.m >= team_u64,
            Self::Columns => desc.n >= team_u64,
            Self::Grid => down > 1 && desc.m >= down as u64 && desc.n >= across as u64,
        };
        let mut plans: Vec<_> = Self::ALL.into_iter().filter(fits).collect();
        if plans.is_empty() {
            plans.push(Self::ALL[if desc.m > desc.n { 0 } else { 1 }]);
        }
        plans
    }

    /// The tile of a worker as first row, rows, first column, columns.
    fn tile(self, desc: &MatmulDesc, place: Place<'_>) -> [usize; 4] {
        let (index, team) = (place.index, place.team);
        let (down, across) = match self {
            Self::Rows => (team, 1),
            Self::Columns => (1, team),
            Self::Grid => near_square(team),
        };
        let (row, rows) = band(desc.m as usize, index / across, down);
        let (column, columns) = band(desc.n as usize, index % across, across);
        [row, rows, column, columns]
    }
}

/// A team as rows times columns of tiles, rows not more than columns.
fn near_square(team: usize) -> (usize, usize) {
    let down = (1..=team.isqrt()).rfind(|down| team.is_multiple_of(*down)).unwrap_or(1);
    (down, team / down)
}

/// Band `index` of `bands` over `length`: start and length, borders on multiples of a register tile.
fn band(length: usize, index: usize, bands: usize) -> (usize, usize) {
    const TILE: usize = 16;
    let border = |index: usize| match index == bands {
        true => length,
        false => (length * index / bands).next_multiple_of(if length / bands >= TILE { TILE } else { 1 }).min(length),
    };
    (border(index), border(index + 1) - border(index))
}

/// A matrix product over buffers that are large enough for it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Product {
    desc: MatmulDesc,
    plan: Plan,
    a: Span,
    b: Span,
    c: Span,
}

impl Product {
    /// Whether there is code for it; says why if there is not.
    pub fn supported(desc: &MatmulDesc) -> Result<(), String> {
        if desc.provider != Provider::Vendor {
            return Err("the CPU multiplies matrices by a library only".to_owned());
        }
        let formats = [desc.a, desc.b, desc.c, desc.accumulate];
        match formats.iter().all(|format| *format == desc.a) && matches!(desc.a, Precision::F32 | Precision::F64) {
            true => Ok(()),
            false => Err(format!("the CPU multiplies matrices of f32 or f64, not {}", desc.a)),
        }
    }

    /// A product; says which operand's buffer is too small if one is.
    pub fn new(desc: MatmulDesc, plan: Plan, [a, b, c]: [Span; 3]) -> Result<Self, String> {
        let operands = [("a", a, desc.m, desc.k), ("b", b, desc.k, desc.n), ("c", c, desc.m, desc.n)];
        for (name, span, rows, columns) in operands {
            let needed = u128::from(rows) * u128::from(columns) * u128::from(desc.a.size());
            if needed > span.len as u128 {
                return Err(format!("{name} needs {needed} bytes, its buffer has {}", span.len));
            }
        }
        Ok(Self { desc, plan, a, b, c })
    }

    /// Computes the worker's tile.
    ///
    /// # Safety
    /// The buffers must be alive and `c` used by nobody else.
    pub unsafe fn run(&self, place: Place<'_>) {
        // SAFETY: passed on.
        unsafe {
            match self.desc.a {
                Precision::F64 => self.tile::<f64>(place, 1.0),
                _ => self.tile::<f32>(place, 1.0),
            }
        }
    }

    /// # Safety
    /// As for [`Product::run`], and `T` is the format of the operands.
    unsafe fn tile<T: Copy + 'static + Default>(&self, place: Place<'_>, one: T) {
        let [row, rows, column, columns] = self.plan.tile(&self.desc, place);
        if rows == 0 || columns == 0 {
            return;
        }
        let (n, k) = (self.desc.n as usize, self.desc.k as usize);
        let (b_row, b_column) = if self.desc.b_transposed { (1, k) } else { (n, 1) };
        // SAFETY: all offsets lie within the operands, which `new` held against their buffers; tiles of
        // different workers do not overlap.
        unsafe {
            let a = self.a.start.as_ptr().cast::<T>().add(row * k);
            let b = self.b.start.as_ptr().cast::<T>().add(column * b_column);
            let c = self.c.start.as_ptr().cast::<T>().add(row * n + column);
            gemm::gemm(
                rows,
                columns,
                k,
                c,
                1,
                n as isize,
                false,
                a,
                1,
                k as isize,
                b,
                b_column as isize,
                b_row as isize,
                T::default(),
                one,
                false,
                false,
                false,
                Parallelism::None,
            );
        }
    }
}
