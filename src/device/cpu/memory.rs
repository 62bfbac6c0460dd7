//! Buffers: a mapping each, so that huge pages can be asked for and streams do not alias.

use std::fs;
use std::ptr::NonNull;

use super::pool::Pool;
use crate::device::DeviceError;
use crate::units::ByteCount;

/// Size of a huge page on x86-64 and, with 4 KiB base pages, on arm64.
const HUGE: usize = 2 << 20;

/// Buffer starts differ by this much from one buffer to the next, so that loads from one stream and
/// stores to another never share the low twelve bits of their addresses, which would hold loads back.
const STAGGER: usize = 256;
const STAGGERS: usize = 4096 / STAGGER;

/// Memory the machine keeps when a buffer is allocated: an allocation that leaves less is refused
/// before the system kills a process for it.
const RESERVE: u64 = 128 << 20;

/// A piece of a buffer as kernels see it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Span {
    /// Its first byte; aligned to 64 bytes if it starts the buffer.
    pub start: NonNull<u8>,
    /// Its length in bytes.
    pub len: usize,
}

// SAFETY: a span is an address and a length; those who use it see to it that threads touch different parts.
unsafe impl Send for Span {}
// SAFETY: as above.
unsafe impl Sync for Span {}

impl Span {
    /// The span as 32-bit words.
    pub fn words(self) -> *mut u32 {
        self.start.as_ptr().cast()
    }

    /// How many whole 32-bit words it holds.
    pub fn word_count(self) -> u64 {
        self.len as u64 / 4
    }
}

/// Memory for one buffer, touched by the workers that will use it.
pub(super) struct Buffer {
    mapping: Mapping,
    offset: usize,
    len: usize,
}

impl Buffer {
    /// Maps `size` bytes, asks for huge pages, and lets each worker touch its share first.
    pub fn new(size: ByteCount, sequence: u32, pool: &mut Pool) -> Result<Self, DeviceError> {
        let available = super::topology::memory_available();
        let short = || DeviceError::OutOfMemory {
            asked: size,
            available: ByteCount(available.map_or(0, |available| available.0.saturating_sub(RESERVE))),
        };
        if available.is_some_and(|available| size.0 > available.0.saturating_sub(RESERVE)) {
            return Err(short());
        }
        let offset = sequence as usize % STAGGERS * STAGGER;
        let len = usize::try_from(size.0).map_err(|_| short())?;
        let mapped = len.max(1).checked_add(offset).ok_or_else(short)?;
        let buffer = Self { mapping: Mapping::new(mapped).ok_or_else(short)?, offset, len };
        buffer.touch(pool)?;
        Ok(buffer)
    }

    /// All of the buffer.
    pub fn span(&self) -> Span {
        // SAFETY: the offset lies within the mapping.
        Span { start: unsafe { self.mapping.start.add(self.offset) }, len: self.len }
    }

    /// Writes a byte per page, each page from the worker whose share it is in, which puts it on that
    /// worker's memory node.
    fn touch(&self, pool: &mut Pool) -> Result<(), DeviceError> {
        const PAGE: usize = 4096;
        let span = self.span();
        let team = pool.size();
        pool.run(team, &move |place| {
            let share = super::kernels::share(span.word_count(), place);
            for at in (share.start as usize * 4..share.end as usize * 4).step_by(PAGE) {
                // SAFETY: within the span; no other worker's share.
                unsafe { span.start.add(at).write_volatile(0) };
            }
        })
    }
}

/// Pages of the process's own.
struct Mapping {
    start: NonNull<u8>,
    len: usize,
}

// SAFETY: the mapping is owned; access is ordered by those who hold spans of it.
unsafe impl Send for Mapping {}

#[cfg(target_os = "linux")]
impl Mapping {
    /// Zeroed pages starting at a huge page's border; `None` if the system has no room.
    fn new(len: usize) -> Option<Self> {
        let len = len.checked_next_multiple_of(4096)?;
        let slack = if len >= HUGE { HUGE } else { 0 };
        // SAFETY: a new anonymous mapping touches no memory of others.
        let raw = unsafe {
            libc::mmap(
                std::ptr::null_mut(),
                len.checked_add(slack)?,
                libc::PROT_READ | libc::PROT_WRITE,
                libc::MAP_PRIVATE | libc::MAP_ANONYMOUS,
                -1,
                0,
            )
        };
        if raw == libc::MAP_FAILED {
            return None;
        }
        let lead = if slack == 0 { 0 } else { raw.cast::<u8>().align_offset(HUGE) };
        let start = raw.cast::<u8>().wrapping_add(lead);
        // SAFETY: `lead` is less than the slack, so both pieces and the rest lie within the new mapping;
        // failing to give back address space, or to get huge pages, does no harm.
        unsafe {
            if lead > 0 {
                libc::munmap(raw, lead);
            }
            if slack > lead {
                libc::munmap(start.add(len).cast(), slack - lead);
            }
            if len >= HUGE {
                libc::madvise(start.cast(), len, libc::MADV_HUGEPAGE);
            }
        }
        NonNull::new(start).map(|start| Self { start, len })
    }
}

#[cfg(target_os = "linux")]
impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: unmaps what `new` mapped, once.
        unsafe { libc::munmap(self.start.as_ptr().cast(), self.len) };
    }
}

#[cfg(not(target_os = "linux"))]
impl Mapping {
    /// Zeroed memory aligned to a page; `None` if the system has no room.
    fn new(len: usize) -> Option<Self> {
        let len = len.checked_next_multiple_of(4096)?;
        let layout = std::alloc::Layout::from_size_align(len, 4096).ok()?;
        // SAFETY: the layout's size is not zero.
        let start = unsafe { std::alloc::alloc_zeroed(layout) };
        NonNull::new(start).map(|start| Self { start, len })
    }
}

#[cfg(not(target_os = "linux"))]
impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: the layout is the one `new` was given, which was valid then.
        unsafe {
            let layout = std::alloc::Layout::from_size_align_unchecked(self.len, 4096);
            std::alloc::dealloc(self.start.as_ptr(), layout);
        }
    }
}

/// The share of the buffers' memory that lies on huge pages; `None` if there are no buffers of at least
/// a huge page, or the system does not tell.
pub(super) fn huge_share<'a>(buffers: impl Iterator<Item = &'a Buffer>) -> Option<f64> {
    let ranges: Vec<(usize, usize)> = buffers
        .filter(|buffer| buffer.mapping.len >= HUGE)
        .map(|buffer| (buffer.mapping.start.as_ptr() as usize, buffer.mapping.len))
        .collect();
    let smaps = fs::read_to_string("/proc/self/smaps").ok()?;
    let (mut resident, mut huge, mut ours) = (0_u64, 0_u64, false);
    for line in smaps.lines() {
        if let Some((from, to)) = mapping_bounds(line) {
            ours = ranges.iter().any(|(start, len)| from < start + len && *start < to);
        } else if ours {
            resident += kilobytes(line, "Rss:");
            huge += kilobytes(line, "AnonHugePages:") + kilobytes(line, "Private_Hugetlb:");
        }
    }
    (resident > 0).then(|| huge as f64 / resident as f64)
}

/// `7f00-7fff rw-p …` as two addresses.
fn mapping_bounds(line: &str) -> Option<(usize, usize)> {
    let (from, to) = line.split_whitespace().next()?.split_once('-')?;
    Some((usize::from_str_radix(from, 16).ok()?, usize::from_str_radix(to, 16).ok()?))
}

fn kilobytes(line: &str, field: &str) -> u64 {
    let number = line.strip_prefix(field).and_then(|rest| rest.trim().strip_suffix("kB"));
    number.and_then(|number| number.trim().parse().ok()).unwrap_or(0)
}
