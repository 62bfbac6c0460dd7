//! Contexts: one primary context for each device, current on threads.

use std::cell::RefCell;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, OnceLock, Weak};

use super::stream::Stream;
use super::{Answer, Code, Handle, answer, lock, put};
use crate::exec::Trap;
use crate::memory::{View, space};
use crate::personality::Model;
use crate::{code, fault};

pub struct Context {
    pub device: u32,
    pub model: &'static Model,
    /// The error that ended it; every call after gives it again.
    failure: AtomicU32,
    default_stream: OnceLock<Arc<Stream>>,
    streams: Mutex<Vec<Weak<Stream>>>,
    /// Devices whose memory kernels may reach, one bit each.
    pub peers: AtomicU32,
    retained: AtomicU32,
}

/// The primary contexts, by device.
fn primaries() -> Answer<&'static [Arc<Context>]> {
    static PRIMARIES: OnceLock<Vec<Arc<Context>>> = OnceLock::new();
    let devices = super::device::personality()?.devices;
    let make = || {
        (0..)
            .zip(devices)
            .map(|(device, model)| {
                Arc::new(Context {
                    device,
                    model,
                    failure: AtomicU32::new(0),
                    default_stream: OnceLock::new(),
                    streams: Mutex::default(),
                    peers: AtomicU32::new(0),
                    retained: AtomicU32::new(0),
                })
            })
            .collect()
    };
    Ok(PRIMARIES.get_or_init(make))
}

thread_local! {
    static CURRENT: RefCell<Vec<Arc<Context>>> = const { RefCell::new(Vec::new()) };
}

impl Context {
    /// A handle that is not zero.
    fn handle(&self) -> Handle {
        0x100 + 0x10 * self.device as usize
    }

    pub fn default_stream(self: &Arc<Self>) -> Arc<Stream> {
        Arc::clone(self.default_stream.get_or_init(|| Stream::new(self, true, 0)))
    }

    /// Counts a stream as this context's.
    pub fn adopt(&self, stream: &Arc<Stream>) {
        let mut streams = lock(&self.streams);
        streams.retain(|stream| stream.strong_count() > 0);
        streams.push(Arc::downgrade(stream));
    }

    pub fn streams(self: &Arc<Self>) -> Vec<Arc<Stream>> {
        let streams: Vec<_> = lock(&self.streams).iter().filter_map(Weak::upgrade).collect();
        streams.into_iter().chain([self.default_stream()]).collect()
    }

    /// What work of a stream must wait for: the default stream and blocking ones wait for each other.
    pub fn dependencies(self: &Arc<Self>, stream: &Arc<Stream>) -> Vec<(Arc<Stream>, u64)> {
        let default = self.default_stream();
        let others = if Arc::ptr_eq(stream, &default) {
            self.streams()
        } else if stream.blocking {
            vec![default]
        } else {
            return Vec::new();
        };
        let others = others.into_iter().filter(|other| other.blocking && !Arc::ptr_eq(other, stream));
        others.filter_map(|other| other.pending().map(|count| (other, count))).collect()
    }

    /// The error that ended it, or 0.
    pub fn failed(&self) -> Code {
        if fault::lost() { code::UNKNOWN } else { self.failure.load(Ordering::Acquire) }
    }

    /// Ends it: the first error stays.
    pub fn fail(&self, trap: &Trap) {
        let first = self.failure.compare_exchange(0, trap.code, Ordering::AcqRel, Ordering::Acquire).is_ok();
        if first {
            let name = code::describe(trap.code).map_or("unknown", |(name, _)| name.trim_end_matches('\0'));
            eprintln!("rooflint-emulator: {name}: {}", trap.why);
        }
    }

    /// Whether it can be given access to the memory of another.
    fn may_reach(&self, peer: &Self) -> Answer<bool> {
        Ok(self.device != peer.device && !super::device::personality()?.apart)
    }

    /// Whether it was given access to the memory of another.
    pub fn reaches(&self, peer: &Self) -> bool {
        self.peers.load(Ordering::Acquire) >> peer.device & 1 == 1
    }

    /// What its kernels may reach.
    pub fn view(&self) -> View {
        View { device: self.device, peers: self.peers.load(Ordering::Acquire) }
    }

    /// Waits for all its streams.
    pub fn synchronize(self: &Arc<Self>) -> Answer {
        for stream in self.streams() {
            if lock(&stream.capture).is_some() {
                return Err(code::STREAM_CAPTURE_UNSUPPORTED);
            }
            if let Some(count) = stream.pending() {
                stream.wait_until(count);
            }
        }
        self.check()
    }

    fn check(&self) -> Answer {
        match self.failed() {
            0 => Ok(()),
            code => Err(code),
        }
    }
}

/// The calling thread's context, if it is sound.
pub fn current() -> Answer<Arc<Context>> {
    let context = CURRENT.with_borrow(|stack| stack.last().cloned()).ok_or(code::INVALID_CONTEXT)?;
    context.check()?;
    Ok(context)
}

fn of_device(device: i32) -> Answer<Arc<Context>> {
    let index = usize::try_from(device).map_err(|_| code::INVALID_DEVICE)?;
    primaries()?.get(index).cloned().ok_or(code::INVALID_DEVICE)
}

/// The context of a handle.
pub fn of_handle(handle: Handle) -> Answer<Arc<Context>> {
    primaries()?.iter().find(|context| context.handle() == handle).cloned().ok_or(code::INVALID_CONTEXT)
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuDevicePrimaryCtxRetain(context: *mut Handle, device: i32) -> Code {
    answer(|| {
        let found = of_device(device)?;
        found.check()?;
        found.retained.fetch_add(1, Ordering::AcqRel);
        // SAFETY: the API's contract.
        unsafe { put(context, found.handle()) }
    })
}

#[unsafe(no_mangle)]
pub extern "C" fn cuDevicePrimaryCtxRelease_v2(device: i32) -> Code {
    answer(|| {
        let context = of_device(device)?;
        let less = |count: u32| count.checked_sub(1);
        match context.retained.fetch_update(Ordering::AcqRel, Ordering::Acquire, less) {
            Ok(1) => reset(&context),
            Ok(_) => Ok(()),
            Err(_) => Err(code::INVALID_CONTEXT),
        }
    })
}

/// Frees all it holds. A context that failed stays so for the life of the process, as the driver's documentation of
/// these errors has it.
fn reset(context: &Arc<Context>) -> Answer {
    context.synchronize()?;
    space().clear(context.device);
    context.peers.store(0, Ordering::Release);
    Ok(())
}

#[unsafe(no_mangle)]
pub extern "C" fn cuDevicePrimaryCtxReset_v2(device: i32) -> Code {
    answer(|| reset(&of_device(device)?))
}

#[unsafe(no_mangle)]
pub extern "C" fn cuDevicePrimaryCtxSetFlags_v2(device: i32, _flags: u32) -> Code {
    answer(|| of_device(device).map(|_| ()))
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuDevicePrimaryCtxGetState(device: i32, flags: *mut u32, active: *mut i32) -> Code {
    answer(|| {
        let retained = of_device(device)?.retained.load(Ordering::Acquire);
        // SAFETY: the API's contract.
        unsafe {
            put(flags, 0)?;
            put(active, i32::from(retained > 0))
        }
    })
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuCtxGetCurrent(context: *mut Handle) -> Code {
    answer(|| {
        super::device::personality()?;
        let handle = CURRENT.with_borrow(|stack| stack.last().map_or(0, |context| context.handle()));
        // SAFETY: the API's contract.
        unsafe { put(context, handle) }
    })
}

#[unsafe(no_mangle)]
pub extern "C" fn cuCtxSetCurrent(context: Handle) -> Code {
    answer(|| {
        super::device::personality()?;
        let new = if context == 0 { None } else { Some(of_handle(context)?) };
        CURRENT.with_borrow_mut(|stack| {
            stack.pop();
            stack.extend(new);
        });
        Ok(())
    })
}

#[unsafe(no_mangle)]
pub extern "C" fn cuCtxPushCurrent_v2(context: Handle) -> Code {
    answer(|| {
        let new = of_handle(context)?;
        CURRENT.with_borrow_mut(|stack| stack.push(new));
        Ok(())
    })
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuCtxPopCurrent_v2(context: *mut Handle) -> Code {
    answer(|| {
        let old = CURRENT.with_borrow_mut(Vec::pop).ok_or(code::INVALID_CONTEXT)?;
        if context.is_null() {
            return Ok(());
        }
        // SAFETY: the API's contract.
        unsafe { put(context, old.handle()) }
    })
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuCtxGetDevice(device: *mut i32) -> Code {
    // SAFETY: the API's contract.
    answer(|| unsafe { put(device, current()?.device as i32) })
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuCtxGetApiVersion(_context: Handle, version: *mut u32) -> Code {
    // SAFETY: the API's contract.
    answer(|| unsafe { put(version, super::device::personality()?.driver_version as u32) })
}

#[unsafe(no_mangle)]
pub extern "C" fn cuCtxSynchronize() -> Code {
    answer(|| current()?.synchronize())
}

#[unsafe(no_mangle)]
pub extern "C" fn cuCtxSetFlags(_flags: u32) -> Code {
    answer(|| current().map(|_| ()))
}

#[unsafe(no_mangle)]
pub extern "C" fn cuCtxSetCacheConfig(_config: u32) -> Code {
    answer(|| current().map(|_| ()))
}

#[unsafe(no_mangle)]
pub extern "C" fn cuCtxSetLimit(_limit: u32, _value: usize) -> Code {
    answer(|| current().map(|_| ()))
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuCtxGetStreamPriorityRange(least: *mut i32, greatest: *mut i32) -> Code {
    answer(|| {
        current()?;
        // SAFETY: the API's contract.
        unsafe {
            put(least, 0)?;
            put(greatest, -5)
        }
    })
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuDeviceCanAccessPeer(can: *mut i32, device: i32, peer: i32) -> Code {
    answer(|| {
        let (device, peer) = (of_device(device)?, of_device(peer)?);
        // SAFETY: the API's contract.
        unsafe { put(can, device.may_reach(&peer)?.into()) }
    })
}

#[unsafe(no_mangle)]
pub extern "C" fn cuCtxEnablePeerAccess(peer: Handle, flags: u32) -> Code {
    answer(|| {
        let (context, peer) = (current()?, of_handle(peer)?);
        if context.device == peer.device {
            return Err(code::INVALID_CONTEXT);
        }
        if flags != 0 {
            return Err(code::INVALID_VALUE);
        }
        if !context.may_reach(&peer)? {
            return Err(code::PEER_ACCESS_UNSUPPORTED);
        }
        let bit = 1 << peer.device;
        if context.peers.fetch_or(bit, Ordering::AcqRel) & bit != 0 {
            return Err(code::PEER_ACCESS_ALREADY_ENABLED);
        }
        Ok(())
    })
}

#[unsafe(no_mangle)]
pub extern "C" fn cuCtxDisablePeerAccess(peer: Handle) -> Code {
    answer(|| {
        let (context, peer) = (current()?, of_handle(peer)?);
        let bit = 1 << peer.device;
        if context.peers.fetch_and(!bit, Ordering::AcqRel) & bit == 0 {
            return Err(code::PEER_ACCESS_NOT_ENABLED);
        }
        Ok(())
    })
}
