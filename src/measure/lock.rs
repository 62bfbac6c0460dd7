//! Two runs never measure one device: each holds a lock file named after the device while it runs.

use std::fs::{File, OpenOptions, TryLockError};
use std::io;
use std::path::PathBuf;

use crate::record::{DeviceInfo, DeviceKind};

/// Held for as long as a device is measured; the system lets go of it when the process ends, however it ends.
#[derive(Debug)]
pub struct DeviceLock {
    // `None` for a scripted device, of which there can be any number.
    _file: Option<File>,
}

/// Why a device could not be locked.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    /// Another run measures it.
    #[error("{device} is being measured by another run; wait for it to end, or choose another --device")]
    Busy {
        /// Which device.
        device: String,
    },
    /// The lock file cannot be used.
    #[error("cannot use the lock file {}: {source}; set XDG_RUNTIME_DIR to a folder you can write", path.display())]
    File {
        /// Which file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

impl DeviceLock {
    /// Takes the lock of a device, or says who is in the way.
    pub fn take(device: &DeviceInfo) -> Result<Self, LockError> {
        if device.kind == DeviceKind::Fake {
            return Ok(Self { _file: None });
        }
        let path = path_of(device);
        let failed = |source| LockError::File { path: path.clone(), source };
        // Another user's file can be read and locked, though not written.
        let file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(&path);
        let file = file.or_else(|_| File::open(&path)).map_err(failed)?;
        match file.try_lock() {
            Ok(()) => Ok(Self { _file: Some(file) }),
            Err(TryLockError::WouldBlock) => {
                Err(LockError::Busy { device: format!("{} ({})", device.selector, device.name) })
            }
            Err(TryLockError::Error(source)) => Err(failed(source)),
        }
    }
}

fn path_of(device: &DeviceInfo) -> PathBuf {
    let folder = std::env::var_os("XDG_RUNTIME_DIR").map(PathBuf::from).filter(|folder| folder.is_dir());
    let folder = folder.unwrap_or_else(std::env::temp_dir);
    // One GPU has one address, whichever backend reaches it; what has none is known to its backend alone.
    let identity = device.identity.clone().unwrap_or_else(|| format!("{}-{}", device.backend, device.selector));
    let plain: String =
        identity.chars().map(|letter| if letter.is_ascii_alphanumeric() { letter } else { '-' }).collect();
    folder.join(format!("rooflint-{plain}.lock"))
}
