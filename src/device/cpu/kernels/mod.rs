//! The CPU's dialect of every kernel, and what they share.
//!
//! A kernel lists the ways to run it that were made ahead of time. Each is the same generic loop
//! compiled for one instruction set and one memory access pattern; which of them the processor can run
//! is asked at run time. What the arguments mean is in `kernels/<id>/README.md`.

mod activate;
mod add_norm;
mod attention;
mod attention_join;
mod cache_read;
mod chase;
mod embed;
mod empty;
mod fma;
mod intensity;
mod memory_copy;
mod memory_read;
mod memory_triad;
mod memory_write;
mod rotate;
mod stored;
mod vector;

use std::ops::Range;

use super::memory::Span;
use super::pool::Place;
use crate::device::Pattern;

/// Every kernel. To add one: its file, and a row here.
static KERNELS: &[&Kernel] = &[
    &memory_read::KERNEL,
    &memory_write::KERNEL,
    &memory_copy::KERNEL,
    &memory_triad::KERNEL,
    &cache_read::KERNEL,
    &chase::KERNEL,
    &fma::KERNEL,
    &intensity::KERNEL,
    &empty::KERNEL,
    &embed::KERNEL,
    &add_norm::KERNEL,
    &rotate::KERNEL,
    &attention::KERNEL,
    &attention_join::KERNEL,
    &activate::KERNEL,
];

/// The kernel with an id.
pub(super) fn find(id: &str) -> Option<&'static Kernel> {
    KERNELS.iter().copied().find(|kernel| kernel.id == id)
}

/// A kernel's argument, its slot resolved to memory.
#[derive(Clone, Copy, Debug)]
pub(super) enum Value {
    /// A buffer.
    Buffer(Span),
    /// A 32-bit number.
    U32(u32),
    /// A 64-bit number.
    U64(u64),
    /// A binary32 number.
    F32(f32),
    /// A binary64 number.
    F64(f64),
}

/// What one worker does of a launch. The caller joins the workers when they return.
///
/// # Safety
/// The arguments must have passed the kernel's check, their buffers must be alive and used by nobody
/// else, the processor must have what the variant needs, and all of the team must call it.
pub(super) type Run = unsafe fn(&[Value], Place<'_>);

/// A kernel of the suite.
pub(super) struct Kernel {
    /// Its id.
    pub id: &'static str,
    /// Says what is wrong with arguments, if anything is; [`Run`]s may rely on it.
    pub check: fn(&[Value]) -> Result<(), String>,
    /// The ways to run it, best guess first.
    pub variants: &'static [Variant],
}

/// A way to run a kernel.
pub(super) struct Variant {
    /// Its name.
    pub name: &'static str,
    /// What the processor must have.
    pub needs: Needs,
    /// The code.
    pub run: Run,
}

/// An instruction set.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Needs {
    /// Nothing: portable code.
    Nothing,
    /// AVX2 and FMA.
    #[cfg(target_arch = "x86_64")]
    Avx2,
    /// The foundation of AVX-512.
    #[cfg(target_arch = "x86_64")]
    Avx512,
}

impl Needs {
    /// Whether this processor has it.
    pub fn are_met(self) -> bool {
        match self {
            Self::Nothing => true,
            #[cfg(target_arch = "x86_64")]
            Self::Avx2 => is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma"),
            #[cfg(target_arch = "x86_64")]
            Self::Avx512 => is_x86_feature_detected!("avx512f"),
        }
    }
}

impl Kernel {
    /// The ways to run it on this processor; never empty, as portable code is among them.
    pub fn usable(&'static self) -> impl Iterator<Item = &'static Variant> {
        self.variants.iter().filter(|variant| variant.needs.are_met())
    }
}

/// The words that a worker takes of `words`: contiguous, as equal as whole cache lines allow. First
/// touch, filling and kernels all use this one rule.
pub(super) fn share(words: u64, place: Place<'_>) -> Range<u64> {
    let (index, team) = (place.index as u64, place.team as u64);
    cut(words, index, team)..cut(words, index + 1, team)
}

/// Words in a cache line.
const LINE: u64 = 16;

/// The `index`-th of `parts + 1` borders that cut `words` into parts: `words * index / parts` rounded
/// down to a cache line, and the last border is `words` itself.
fn cut(words: u64, index: u64, parts: u64) -> u64 {
    if index == parts {
        return words;
    }
    let exact = u128::from(words) * u128::from(index) / u128::from(parts);
    exact as u64 / LINE * LINE
}

/// A variant: its name, what it needs, and the generic code compiled for that.
macro_rules! variant {
    ($name:literal, $needs:ident, $body:expr) => {
        $crate::device::cpu::kernels::Variant {
            name: $name,
            needs: $crate::device::cpu::kernels::Needs::$needs,
            run: $crate::device::cpu::kernels::compiled_for!($needs, $body),
        }
    };
}

/// Generic code whose registers are the compiler's choice, in all instruction sets, widest first.
macro_rules! every_set {
    ($body:expr) => {
        &[
            #[cfg(target_arch = "x86_64")]
            $crate::device::cpu::kernels::variant!("avx512", Avx512, $body),
            #[cfg(target_arch = "x86_64")]
            $crate::device::cpu::kernels::variant!("avx2", Avx2, $body),
            $crate::device::cpu::kernels::variant!("portable", Nothing, $body),
        ]
    };
}

/// A function that is compiled for an instruction set and calls code that is always inlined into it.
macro_rules! compiled_for {
    (Nothing, $body:expr) => { $crate::device::cpu::kernels::compiled_for!(@ [] $body) };
    (Avx2, $body:expr) => { $crate::device::cpu::kernels::compiled_for!(@ [#[target_feature(enable = "avx2,fma")]] $body) };
    (Avx512, $body:expr) => { $crate::device::cpu::kernels::compiled_for!(@ [#[target_feature(enable = "avx512f")]] $body) };
    (@ [$(#[$feature:meta])?] $body:expr) => {{
        $(#[$feature])?
        unsafe fn compiled(args: &[$crate::device::cpu::kernels::Value], place: $crate::device::cpu::pool::Place<'_>) {
            // SAFETY: the same contract; what the code needs is enabled here.
            unsafe { $body(args, place) }
        }
        compiled
    }};
}

use {compiled_for, every_set, variant};

/// Fails with the kernel's signature unless `fits`.
fn require(fits: bool, signature: &str) -> Result<(), String> {
    if fits { Ok(()) } else { Err(format!("arguments do not fit {signature}")) }
}

/// Fills a worker's share of a span, compiled for the widest instruction set there is.
pub(super) fn fill(span: Span, pattern: Pattern, place: Place<'_>) {
    let range = share(span.word_count(), place);
    let count = (range.end - range.start) as usize;
    // SAFETY: the share lies within the span and is this worker's only.
    let words = unsafe { std::slice::from_raw_parts_mut(span.words().add(range.start as usize), count) };
    fill_words(pattern, range.start, words);
    let rest = span.len % 4;
    if place.index == 0 && rest > 0 {
        let bytes = pattern.word(span.word_count()).to_le_bytes();
        // SAFETY: the last `rest` bytes of the span, which are in no share.
        unsafe { span.start.as_ptr().add(span.len - rest).copy_from_nonoverlapping(bytes.as_ptr(), rest) };
    }
}

#[cfg(target_arch = "x86_64")]
fn fill_words(pattern: Pattern, start: u64, words: &mut [u32]) {
    #[target_feature(enable = "avx512f,avx512vl,avx512dq,avx512bw")]
    fn avx512(pattern: Pattern, start: u64, words: &mut [u32]) {
        pattern.words_into(start, words);
    }
    #[target_feature(enable = "avx2")]
    fn avx2(pattern: Pattern, start: u64, words: &mut [u32]) {
        pattern.words_into(start, words);
    }
    let avx512_is_there = is_x86_feature_detected!("avx512f")
        && is_x86_feature_detected!("avx512vl")
        && is_x86_feature_detected!("avx512dq")
        && is_x86_feature_detected!("avx512bw");
    if avx512_is_there {
        // SAFETY: asked just above.
        unsafe { avx512(pattern, start, words) }
    } else if Needs::Avx2.are_met() {
        // SAFETY: asked just above.
        unsafe { avx2(pattern, start, words) }
    } else {
        pattern.words_into(start, words);
    }
}

#[cfg(not(target_arch = "x86_64"))]
fn fill_words(pattern: Pattern, start: u64, words: &mut [u32]) {
    pattern.words_into(start, words);
}
