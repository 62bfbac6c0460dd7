//! The memory of other devices: each by its own primary context, reached directly or through the host's memory.

use std::collections::BTreeMap;
use std::ptr::null_mut;
use std::rc::{Rc, Weak};

use cudarc::driver::sys::{self, CUcontext, CUdevice, CUdeviceptr};

use super::driver::{Failed, call};
use super::handles::{Context, DeviceMemory, give_back};
use crate::device::DeviceError;

/// A device and its primary context.
#[derive(Clone, Copy)]
struct End {
    device: CUdevice,
    context: CUcontext,
}

impl End {
    /// Makes its context the thread's.
    fn enter(self) -> Result<(), Failed> {
        // SAFETY: the context is retained for as long as this lives.
        call("cuCtxSetCurrent", || unsafe { sys::cuCtxSetCurrent(self.context) })
    }
}

/// Another device, whose primary context is held.
pub(super) struct Peer {
    there: End,
    here: End,
}

impl Peer {
    fn new(number: u32, here: End) -> Result<Self, DeviceError> {
        let mut device = 0;
        let ordinal = i32::try_from(number).unwrap_or(i32::MAX);
        // SAFETY: the driver writes one handle.
        call("cuDeviceGet", || unsafe { sys::cuDeviceGet(&mut device, ordinal) })
            .map_err(|_| DeviceError::Unsupported(format!("there is no CUDA device {number} to copy to")))?;
        if device == here.device {
            return Err(DeviceError::Unsupported(format!("CUDA device {number} is this device, and no peer of it")));
        }
        let mut context = null_mut();
        // SAFETY: the driver writes one handle.
        call("cuDevicePrimaryCtxRetain", || unsafe { sys::cuDevicePrimaryCtxRetain(&mut context, device) })?;
        Ok(Self { there: End { device, context }, here })
    }

    /// Its primary context.
    pub fn context(&self) -> CUcontext {
        self.there.context
    }

    /// Does something in its context, and comes back.
    pub fn within<T>(&self, work: impl FnOnce() -> Result<T, Failed>) -> Result<T, Failed> {
        self.there.enter()?;
        let done = work();
        self.here.enter()?;
        done
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        // SAFETY: retained once; all of its memory was given back before, since that holds it.
        give_back("cuDevicePrimaryCtxRelease", || unsafe { sys::cuDevicePrimaryCtxRelease_v2(self.there.device) });
    }
}

/// Leave for two devices to reach each other's memory, until it is dropped.
struct Access {
    peer: Rc<Peer>,
    /// Whether the second way, from the peer to this device, was opened too.
    both: bool,
}

impl Access {
    fn new(peer: &Rc<Peer>) -> Result<Self, DeviceError> {
        let (here, there) = (peer.here, peer.there);
        if !(can_access(here.device, there.device)? && can_access(there.device, here.device)?) {
            return Err(DeviceError::Unsupported(
                "these two devices do not reach each other's memory; see access=off, where copies are staged through the \
                 host's"
                    .to_owned(),
            ));
        }
        enable(there.context)?;
        let mut access = Self { peer: Rc::clone(peer), both: false };
        peer.within(|| enable(here.context))?;
        access.both = true;
        Ok(access)
    }
}

impl Drop for Access {
    fn drop(&mut self) {
        let (here, there) = (self.peer.here.context, self.peer.there.context);
        if self.both {
            // There is nothing to be done about an error.
            let _ = self.peer.within(|| {
                disable(here);
                Ok(())
            });
        }
        disable(there);
    }
}

fn enable(peer: CUcontext) -> Result<(), Failed> {
    // SAFETY: both contexts are alive; there are no flags.
    call("cuCtxEnablePeerAccess", || unsafe { sys::cuCtxEnablePeerAccess(peer, 0) })
}

fn disable(peer: CUcontext) {
    // SAFETY: both contexts are alive; nothing that uses the access runs any more.
    give_back("cuCtxDisablePeerAccess", || unsafe { sys::cuCtxDisablePeerAccess(peer) });
}

/// Whether a device can reach the memory of another.
pub(super) fn can_access(from: CUdevice, to: CUdevice) -> Result<bool, Failed> {
    let mut can = 0;
    // SAFETY: the driver writes one number.
    call("cuDeviceCanAccessPeer", || unsafe { sys::cuDeviceCanAccessPeer(&mut can, from, to) })?;
    Ok(can != 0)
}

/// Memory of another device.
pub(super) struct PeerMemory {
    memory: Option<DeviceMemory>,
    /// Whose it is.
    pub peer: Rc<Peer>,
    /// The leave to reach it, where it was asked for.
    access: Option<Rc<Access>>,
}

impl PeerMemory {
    /// Where it is.
    pub fn pointer(&self) -> CUdeviceptr {
        self.memory.as_ref().map_or(0, |memory| memory.pointer)
    }

    /// Whether copies need not be staged through the host's memory.
    pub fn is_direct(&self) -> bool {
        self.access.is_some()
    }
}

impl Drop for PeerMemory {
    fn drop(&mut self) {
        let memory = self.memory.take();
        // There is nothing to be done about an error.
        let _ = self.peer.within(|| {
            drop(memory);
            Ok(())
        });
    }
}

/// The other devices that were asked for memory.
pub(super) struct Peers {
    here: End,
    known: BTreeMap<u32, Rc<Peer>>,
    access: BTreeMap<u32, Weak<Access>>,
}

impl Peers {
    pub fn new(here: &Context) -> Self {
        let here = End { device: here.device, context: here.handle };
        Self { here, known: BTreeMap::new(), access: BTreeMap::new() }
    }

    /// This device's own context.
    pub fn home(&self) -> CUcontext {
        self.here.context
    }

    /// Another device, held from now on.
    fn peer(&mut self, number: u32) -> Result<Rc<Peer>, DeviceError> {
        if let Some(peer) = self.known.get(&number) {
            return Ok(Rc::clone(peer));
        }
        let peer = Rc::new(Peer::new(number, self.here)?);
        self.known.insert(number, Rc::clone(&peer));
        Ok(peer)
    }

    /// New memory on another device. `refused` makes an error of the driver's refusal, in that device's context.
    pub fn alloc(
        &mut self,
        number: u32,
        access: bool,
        bytes: usize,
        refused: impl Fn(Failed) -> DeviceError,
    ) -> Result<PeerMemory, DeviceError> {
        let peer = self.peer(number)?;
        let access = match (access, self.access.get(&number).and_then(Weak::upgrade)) {
            (true, None) => Some(self.leave(number, &peer)?),
            (true, open) => open,
            (false, None) => None,
            (false, Some(_)) => {
                let message = format!("memory of CUDA device {number} is in reach already, and would not be staged");
                return Err(DeviceError::Call { call: "alloc", message });
            }
        };
        let mut error = None;
        let memory =
            peer.within(|| Ok(DeviceMemory::new(bytes).map_err(|failed| error = Some(refused(failed))).ok()))?;
        match error {
            Some(error) => Err(error),
            None => Ok(PeerMemory { memory, peer, access }),
        }
    }

    /// A leave to reach a peer's memory, for all of it.
    fn leave(&mut self, number: u32, peer: &Rc<Peer>) -> Result<Rc<Access>, DeviceError> {
        let access = Rc::new(Access::new(peer)?);
        self.access.insert(number, Rc::downgrade(&access));
        Ok(access)
    }
}
