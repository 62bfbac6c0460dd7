//! Copies and fills, at once and in stream order.

use std::ffi::c_void;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use super::context::Context;
use super::stream::{self, Stream, Work};
use super::{Answer, Code, Handle, answer, context, lock};
use crate::memory::{Mapping, Place, space};
use crate::{code, fault};

/// Copies under way between the host's memory and a device's.
static OVER_THE_LINK: AtomicU32 = AtomicU32::new(0);

/// Whether data move over the link to the host, for the NVML beside it.
#[unsafe(no_mangle)]
pub extern "C" fn rooflintEmulatorCopying() -> u32 {
    OVER_THE_LINK.load(Ordering::Acquire)
}

/// Bytes of the host's or a device's memory.
#[derive(Clone)]
struct Span {
    host: *mut u8,
    size: usize,
    /// Keeps an allocation alive; None: the program's own pageable memory.
    mapping: Option<Arc<Mapping>>,
}

// SAFETY: the program promises that the memory may be accessed when the copy is due.
unsafe impl Send for Span {}
// SAFETY: as above.
unsafe impl Sync for Span {}

impl Span {
    /// Bytes at an address a device can reach.
    fn device(address: u64, size: usize) -> Answer<Self> {
        let (host, mapping) = space().range(address, size).ok_or(code::INVALID_VALUE)?;
        Ok(Self { host, size, mapping: Some(mapping) })
    }

    /// Bytes at an address of the host's.
    fn host(pointer: *const c_void, size: usize) -> Answer<Self> {
        if pointer.is_null() {
            return Err(code::INVALID_VALUE);
        }
        match space().range(pointer as u64, size) {
            Some((host, mapping)) if mapping.place == Place::Host => Ok(Self { host, size, mapping: Some(mapping) }),
            Some(_) => Err(code::INVALID_VALUE),
            None => Ok(Self { host: pointer.cast_mut().cast(), size, mapping: None }),
        }
    }

    /// Bytes at an address of either kind.
    fn any(address: u64, size: usize) -> Answer<Self> {
        Self::device(address, size).or_else(|_| Self::host(address as *const c_void, size))
    }

    /// The device whose memory it is; None: the host's.
    fn device_of(&self) -> Option<u32> {
        match self.mapping.as_ref()?.place {
            Place::Device(device) => Some(device),
            Place::Host => None,
        }
    }

    fn copy_from(&self, from: &Span) {
        let over_the_link = self.device_of().is_some() != from.device_of().is_some();
        OVER_THE_LINK.fetch_add(over_the_link.into(), Ordering::AcqRel);
        // SAFETY: both spans have `size` bytes, as looked up or promised by the program; they may overlap.
        unsafe { std::ptr::copy(from.host, self.host, self.size.min(from.size)) };
        OVER_THE_LINK.fetch_sub(over_the_link.into(), Ordering::AcqRel);
    }

    /// Copies from another device, through the host's memory unless that is direct.
    fn copy_from_peer(&self, from: &Span, direct: bool) {
        if direct {
            self.copy_from(from);
        } else {
            let mut staged = vec![0u8; from.size];
            let through = Span { host: staged.as_mut_ptr(), size: staged.len(), mapping: None };
            through.copy_from(from);
            self.copy_from(&through);
        }
        if fault::peer_copy_is_wrong(direct) && self.size > 0 {
            // SAFETY: the last byte of the span.
            unsafe {
                let last = self.host.add(self.size - 1);
                last.write(!last.read());
            }
        }
    }

    fn fill(&self, pattern: &[u8]) {
        for chunk in (0..self.size / pattern.len()).map(|index| index * pattern.len()) {
            // SAFETY: inside the span; the source is a slice elsewhere.
            unsafe { std::ptr::copy_nonoverlapping(pattern.as_ptr(), self.host.add(chunk), pattern.len()) };
        }
    }
}

/// Copies in stream order. Pageable memory is read before this returns, and written before this returns, as the driver
/// does by staging.
fn copy(stream: &Arc<Stream>, to: Span, from: Span) -> Answer {
    let (pageable_to, pageable_from) = (to.mapping.is_none(), from.mapping.is_none());
    let capturing = lock(&stream.capture).is_some();
    if pageable_from && !capturing {
        let mut staged = vec![0u8; from.size];
        // SAFETY: the program promises that many readable bytes.
        unsafe { std::ptr::copy_nonoverlapping(from.host, staged.as_mut_ptr(), from.size) };
        let work: Work = Arc::new(move || {
            let from = Span { host: staged.as_ptr().cast_mut(), size: staged.len(), mapping: None };
            to.copy_from(&from);
            Ok(())
        });
        return stream.enqueue(work);
    }
    let pinned = !pageable_to && !pageable_from;
    let ways = (from.device_of().is_some(), to.device_of().is_some());
    stream.enqueue(Arc::new(move || {
        if pinned && ways.0 != ways.1 {
            fault::meet(ways.0)?;
        }
        to.copy_from(&from);
        Ok(())
    }))?;
    if pageable_to && !capturing { stream.synchronize() } else { Ok(()) }
}

/// Copies between devices in stream order; the pointers must be of their contexts.
fn copy_between(stream: &Arc<Stream>, to: (u64, Handle), from: (u64, Handle), size: usize) -> Answer {
    let (theirs, ours) = (context::of_handle(to.1)?, context::of_handle(from.1)?);
    let span = |address, context: &Context| {
        let span = Span::device(address, size)?;
        let fits = span.device_of().is_none_or(|device| device == context.device);
        if fits { Ok(span) } else { Err(code::INVALID_VALUE) }
    };
    let (to, from) = (span(to.0, &theirs)?, span(from.0, &ours)?);
    // The device that carries it out is the stream's, and reaches the other's memory if it was given access.
    let carrier = stream.context()?;
    let direct = [&theirs, &ours].iter().all(|end| end.device == carrier.device || carrier.reaches(end));
    stream.enqueue(Arc::new(move || {
        to.copy_from_peer(&from, direct);
        Ok(())
    }))
}

/// Copies and waits.
fn copy_now(to: Answer<Span>, from: Answer<Span>) -> Answer {
    let stream = context::current()?.default_stream();
    copy(&stream, to?, from?)?;
    stream.synchronize()
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuMemcpyHtoD_v2(to: u64, from: *const c_void, size: usize) -> Code {
    answer(|| copy_now(Span::device(to, size), Span::host(from, size)))
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuMemcpyDtoH_v2(to: *mut c_void, from: u64, size: usize) -> Code {
    answer(|| copy_now(Span::host(to, size), Span::device(from, size)))
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuMemcpyDtoD_v2(to: u64, from: u64, size: usize) -> Code {
    answer(|| copy_now(Span::device(to, size), Span::device(from, size)))
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuMemcpy(to: u64, from: u64, size: usize) -> Code {
    answer(|| copy_now(Span::any(to, size), Span::any(from, size)))
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuMemcpyPeer(
    to: u64,
    to_context: Handle,
    from: u64,
    from_context: Handle,
    size: usize,
) -> Code {
    answer(|| {
        let stream = context::current()?.default_stream();
        copy_between(&stream, (to, to_context), (from, from_context), size)?;
        stream.synchronize()
    })
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuMemcpyHtoDAsync_v2(to: u64, from: *const c_void, size: usize, stream: Handle) -> Code {
    answer(|| copy(&stream::find(stream)?, Span::device(to, size)?, Span::host(from, size)?))
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuMemcpyDtoHAsync_v2(to: *mut c_void, from: u64, size: usize, stream: Handle) -> Code {
    answer(|| copy(&stream::find(stream)?, Span::host(to, size)?, Span::device(from, size)?))
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuMemcpyDtoDAsync_v2(to: u64, from: u64, size: usize, stream: Handle) -> Code {
    answer(|| copy(&stream::find(stream)?, Span::device(to, size)?, Span::device(from, size)?))
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuMemcpyAsync(to: u64, from: u64, size: usize, stream: Handle) -> Code {
    answer(|| copy(&stream::find(stream)?, Span::any(to, size)?, Span::any(from, size)?))
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuMemcpyPeerAsync(
    to: u64,
    to_context: Handle,
    from: u64,
    from_context: Handle,
    size: usize,
    stream: Handle,
) -> Code {
    answer(|| copy_between(&stream::find(stream)?, (to, to_context), (from, from_context), size))
}

/// Fills `count` values; the address must be a multiple of their size.
fn fill(stream: &Arc<Stream>, to: u64, pattern: Vec<u8>, count: usize) -> Answer {
    if !to.is_multiple_of(pattern.len() as u64) {
        return Err(code::INVALID_VALUE);
    }
    let span = Span::device(to, count * pattern.len())?;
    stream.enqueue(Arc::new(move || {
        span.fill(&pattern);
        Ok(())
    }))
}

fn fill_now(to: u64, pattern: Vec<u8>, count: usize) -> Answer {
    let stream = context::current()?.default_stream();
    fill(&stream, to, pattern, count)?;
    stream.synchronize()
}

macro_rules! fills {
    ($($now:ident, $later:ident, $ty:ty;)*) => {$(
        #[unsafe(no_mangle)]
        pub extern "C" fn $now(to: u64, value: $ty, count: usize) -> Code {
            answer(|| fill_now(to, value.to_le_bytes().to_vec(), count))
        }

        #[unsafe(no_mangle)]
        pub extern "C" fn $later(to: u64, value: $ty, count: usize, stream: Handle) -> Code {
            answer(|| fill(&stream::find(stream)?, to, value.to_le_bytes().to_vec(), count))
        }
    )*};
}

fills! {
    cuMemsetD8_v2, cuMemsetD8Async, u8;
    cuMemsetD16_v2, cuMemsetD16Async, u16;
    cuMemsetD32_v2, cuMemsetD32Async, u32;
}
