//! Products of 16-bit operands by our own kernels, summed in binary32 and rounded once.
//!
//! Few rows are bound by reading b: `stream` goes through whole rows of it, several at a time, and keeps the sums in
//! the first cache; `split` does so with a part of the k's for each worker, so that each reads one piece of memory, and
//! joins the workers' sums. More rows are bound by arithmetic: `block` packs blocks of both operands for a
//! register-sized product. Each is compiled for several instruction sets; the best are raced.

use std::cell::UnsafeCell;

use super::cut::{Cut, TILE};
use super::lanes::{Lanes, Portable};
#[cfg(target_arch = "x86_64")]
use super::lanes::{Pairs, Ymm, Zmm};
use super::{Operands, block, few};
use crate::device::MatmulDesc;
use crate::device::cpu::format::{Bf16, F16, Format};
use crate::device::cpu::pool::Place;
use crate::record::Precision;

/// What a worker needs to know of a product.
#[derive(Clone, Copy, Debug)]
pub(super) struct Task {
    /// Rows of a and c.
    pub m: usize,
    /// Columns of b and c.
    pub n: usize,
    /// Columns of a, rows of b.
    pub k: usize,
    /// b is stored as `[n, k]`.
    pub b_transposed: bool,
    /// How the work is done.
    pub method: Method,
}

/// A way to do the work.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Method {
    /// Few rows, each worker a band of columns.
    Stream,
    /// Few rows, each worker a band of k's.
    Split,
    /// Blocks, each worker a tile of c.
    Block(Cut),
}

/// Most rows that are few.
pub(super) const FEW: usize = 8;
/// With fewer rows than this, reading b is nearly all of the work.
const FEWEST: u64 = 5;

/// A product ready to run.
#[derive(Debug)]
pub(super) struct Narrow {
    task: Task,
    run: Run,
    scratch: Scratch,
}

/// The memory of a worker.
#[derive(Clone, Copy)]
pub(super) struct Memory<'a> {
    /// Left operand.
    pub a: *const u16,
    /// Right operand.
    pub b: *const u16,
    /// Result.
    pub c: *mut u16,
    /// Scratch of the whole team.
    pub scratch: &'a Scratch,
}

type Run = unsafe fn(&Task, Memory<'_>, Place<'_>);

/// Code for an instruction set.
struct Build {
    name: &'static str,
    /// Whether this processor can run it.
    usable: fn() -> bool,
    /// k's in a lane of an operand, as [`Lanes::DEPTH`].
    depth: u64,
    /// For binary16, if there is such code, and for bfloat16.
    run: [Option<Run>; 2],
}

/// A function compiled for an instruction set, with the rows and registers of its register-sized product.
macro_rules! compiled {
    ([$(#[$feature:meta])?] $lanes:ty, $format:ty, $rows:literal, $registers:literal) => {{
        $(#[$feature])?
        unsafe fn compiled(task: &Task, memory: Memory<'_>, place: Place<'_>) {
            // SAFETY: the same contract; what the code needs is enabled here.
            unsafe { run::<$lanes, $format, $rows, $registers>(task, memory, place) }
        }
        Some(compiled as Run)
    }};
}

/// Every build, best first.
static BUILDS: &[Build] = &[
    #[cfg(target_arch = "x86_64")]
    Build {
        name: "avx512_bf16",
        usable: || is_x86_feature_detected!("avx512f") && is_x86_feature_detected!("avx512bf16"),
        depth: 2,
        run: [None, compiled!([#[target_feature(enable = "avx512f,avx512bf16")]] Pairs, Bf16, 8, 3)],
    },
    #[cfg(target_arch = "x86_64")]
    Build {
        name: "avx512",
        usable: || is_x86_feature_detected!("avx512f"),
        depth: 1,
        run: [
            compiled!([#[target_feature(enable = "avx512f")]] Zmm, F16, 8, 3),
            compiled!([#[target_feature(enable = "avx512f")]] Zmm, Bf16, 8, 3),
        ],
    },
    #[cfg(target_arch = "x86_64")]
    Build {
        name: "avx2",
        usable: || ["avx2", "fma", "f16c"].iter().all(|feature| has(feature)),
        depth: 1,
        run: [
            compiled!([#[target_feature(enable = "avx2,fma,f16c")]] Ymm, F16, 4, 3),
            compiled!([#[target_feature(enable = "avx2,fma,f16c")]] Ymm, Bf16, 4, 3),
        ],
    },
    Build {
        name: "portable",
        usable: || true,
        depth: 1,
        run: [compiled!([] Portable, F16, 4, 1), compiled!([] Portable, Bf16, 4, 1)],
    },
];

#[cfg(target_arch = "x86_64")]
fn has(feature: &str) -> bool {
    match feature {
        "avx2" => is_x86_feature_detected!("avx2"),
        "fma" => is_x86_feature_detected!("fma"),
        _ => is_x86_feature_detected!("f16c"),
    }
}

impl Build {
    /// Its code for a product, if it has any and this processor can run it.
    fn code(&self, desc: &MatmulDesc) -> Option<Run> {
        // A pair of k's has no half.
        let code = self.run[usize::from(desc.a == Precision::Bf16)];
        code.filter(|_| desc.k.is_multiple_of(self.depth) && (self.usable)())
    }
}

/// Methods for a product by a team, by name, best guess first.
fn methods(desc: &MatmulDesc, team: usize) -> Vec<(String, Method)> {
    let mut methods = Vec::new();
    if desc.m <= FEW as u64 {
        methods.push(("stream".to_owned(), Method::Stream));
        if team > 1 && !desc.b_transposed && desc.k >= (team * TILE) as u64 {
            methods.push(("split".to_owned(), Method::Split));
        }
    }
    if desc.m >= FEWEST {
        let cuts = Cut::suitable(desc, team).into_iter();
        methods.extend(cuts.map(|(cut, name)| (format!("block_{name}"), Method::Block(cut))));
    }
    methods
}

/// Names of the ways to compute a product: every method by the best builds, which are the first and, where that
/// multiplies pairs, the first that does not.
pub(super) fn plans(desc: &MatmulDesc, team: usize) -> Vec<String> {
    let usable: Vec<&Build> = BUILDS.iter().filter(|build| build.code(desc).is_some()).collect();
    let pairs = usable.first().is_some_and(|build| build.depth > 1);
    let best = &usable[..usable.len().min(if pairs { 2 } else { 1 })];
    let named = methods(desc, team).into_iter().map(|(method, _)| method);
    named.flat_map(|method| best.iter().map(move |build| format!("{method}_{}", build.name))).collect()
}

impl Narrow {
    /// The product by a plan's name, also one that is not raced; by the best guess for an empty name.
    pub fn named(desc: &MatmulDesc, name: &str, team: usize) -> Option<Self> {
        for (method_name, method) in methods(desc, team) {
            for build in BUILDS {
                let Some(run) = build.code(desc) else { continue };
                if name.is_empty() || name == format!("{method_name}_{}", build.name) {
                    let [m, n, k] = [desc.m, desc.n, desc.k].map(|side| side as usize);
                    let task = Task { m, n, k, b_transposed: desc.b_transposed, method };
                    let words = match method {
                        Method::Block(_) => block::SCRATCH,
                        Method::Stream | Method::Split => few::scratch(&task),
                    };
                    return Some(Self { task, run, scratch: Scratch::new(words, team) });
                }
            }
        }
        None
    }

    /// Computes the worker's part.
    ///
    /// # Safety
    /// The operands must be as large as the task says, alive, and c used by nobody else; all of the team must call
    /// it, and meet after it.
    pub unsafe fn run(&self, operands: &Operands, place: Place<'_>) {
        let memory = Memory {
            a: operands.a.start.as_ptr().cast(),
            b: operands.b.start.as_ptr().cast(),
            c: operands.c.start.as_ptr().cast(),
            scratch: &self.scratch,
        };
        // SAFETY: the build was found usable; the rest is the caller's.
        unsafe { (self.run)(&self.task, memory, place) }
    }
}

/// A worker's part, for one instruction set and format.
///
/// # Safety
/// As for [`Narrow::run`], and the processor must have the instructions.
#[inline(always)]
unsafe fn run<L: Lanes, F: Format, const ROWS: usize, const REGISTERS: usize>(
    task: &Task,
    memory: Memory<'_>,
    place: Place<'_>,
) {
    // SAFETY: passed on; no more rows are few than the largest number here.
    unsafe {
        match (task.method, task.m) {
            (Method::Block(cut), _) => block::run::<L, F, ROWS, REGISTERS>(task, cut, memory, place),
            (_, 1) => few::run::<L, F, 1>(task, memory, place),
            (_, 2) => few::run::<L, F, 2>(task, memory, place),
            (_, 3..=4) => few::run::<L, F, 4>(task, memory, place),
            _ => few::run::<L, F, 8>(task, memory, place),
        }
    }
}

/// Words of their own for every worker of a team, each on lines of its own.
#[derive(Debug)]
pub(super) struct Scratch {
    lines: Box<[UnsafeCell<Line>]>,
    /// Lines of a worker.
    each: usize,
}

#[derive(Clone, Copy, Debug)]
#[repr(align(64))]
struct Line(#[expect(dead_code, reason = "reached by pointer")] [u32; 16]);

// SAFETY: workers write their own lines only, and read others' after a barrier.
unsafe impl Sync for Scratch {}

impl Scratch {
    fn new(words: usize, team: usize) -> Self {
        // Two more lines: neighbours are fetched in pairs.
        let each = words.div_ceil(16) + 2;
        let lines = (0..each * team).map(|_| UnsafeCell::new(Line([0; 16]))).collect();
        Self { lines, each }
    }

    /// The words of a worker.
    pub fn of(&self, worker: usize) -> *mut u32 {
        self.lines.get(worker * self.each).map_or(std::ptr::null_mut(), |line| line.get().cast())
    }
}
