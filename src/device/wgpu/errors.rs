//! What goes wrong on a GPU, turned into [`DeviceError`]s: wgpu's own default is to panic.

use std::future::Future;
use std::pin::pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Waker};

use crate::device::DeviceError;
use crate::units::ByteCount;

/// What handlers heard, from whichever thread called them.
#[derive(Debug, Default)]
pub(super) struct Faults {
    lost: Mutex<Option<String>>,
    uncaptured: Mutex<Option<String>>,
}

fn note(into: &Mutex<Option<String>>, message: String) {
    into.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(message);
}

impl Faults {
    /// Listens to a device from now on.
    pub fn of(device: &wgpu::Device) -> Arc<Self> {
        let faults = Arc::new(Self::default());
        let heard = faults.clone();
        device.set_device_lost_callback(move |reason, message| {
            // Destroying a device on purpose is told in the same way.
            if reason != wgpu::DeviceLostReason::Destroyed {
                note(&heard.lost, message);
            }
        });
        let heard = faults.clone();
        device.on_uncaptured_error(Arc::new(move |error: wgpu::Error| note(&heard.uncaptured, in_words(&error))));
        faults
    }

    /// Fails if the device was lost, or if something went wrong outside every scope.
    pub fn check(&self, call: &'static str) -> Result<(), DeviceError> {
        if let Some(reason) = self.lost.lock().unwrap_or_else(PoisonError::into_inner).clone() {
            return Err(DeviceError::Lost(reason));
        }
        match self.uncaptured.lock().unwrap_or_else(PoisonError::into_inner).take() {
            Some(message) => Err(DeviceError::Call { call, message }),
            None => Ok(()),
        }
    }
}

/// Does some work on a device and gives its first error, whichever kind it is. `asked` is the memory the
/// work needs, for the message where there is none left.
pub(super) fn guarded<T>(
    device: &wgpu::Device,
    faults: &Faults,
    call: &'static str,
    asked: ByteCount,
    work: impl FnOnce() -> T,
) -> Result<T, DeviceError> {
    faults.check(call)?;
    let filters = [wgpu::ErrorFilter::Internal, wgpu::ErrorFilter::Validation, wgpu::ErrorFilter::OutOfMemory];
    let scopes = filters.map(|filter| device.push_error_scope(filter));
    let done = work();
    let mut found = None;
    // Scopes are closed in reverse order.
    for scope in scopes.into_iter().rev() {
        found = found.or(now(scope.pop()).flatten());
    }
    faults.check(call)?;
    match found {
        None => Ok(done),
        // The driver does not tell what is left: nothing that can be counted on.
        Some(wgpu::Error::OutOfMemory { .. }) => Err(DeviceError::OutOfMemory { asked, available: ByteCount::ZERO }),
        Some(error) => Err(DeviceError::Call { call, message: in_words(&error) }),
    }
}

/// An error and its causes on one line.
fn in_words(error: &wgpu::Error) -> String {
    let text = error.to_string();
    text.lines().map(str::trim).filter(|line| !line.is_empty()).collect::<Vec<_>>().join(" ")
}

/// The value of a future that wgpu makes for the web's sake: natively it is ready when it is made. `None` if
/// it never is.
pub(super) fn now<T>(future: impl Future<Output = T>) -> Option<T> {
    let mut future = pin!(future);
    let mut context = Context::from_waker(Waker::noop());
    for _ in 0..1000 {
        if let Poll::Ready(value) = future.as_mut().poll(&mut context) {
            return Some(value);
        }
        std::thread::yield_now();
    }
    None
}
