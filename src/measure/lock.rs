//! Two runs never measure one device: each holds a lock file named after the device while it runs. A device that others
//! are measured against, a peer of their copies, is held for as long as such a case takes.
//!
//! Nobody ever waits for a lock: two runs that each want the other's device would wait for ever.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use crate::device;
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
    #[error("{device} is being measured by {holder}; wait for it to end, or choose another --device")]
    Busy {
        /// Which device.
        device: String,
        /// Who does: another run, with the number of its process if that is told.
        holder: String,
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
            Ok(()) => {
                // For those who find it taken. It is as good without.
                let _ = file.set_len(0).and_then(|()| writeln!(&file, "{}", std::process::id()));
                Ok(Self { _file: Some(file) })
            }
            Err(TryLockError::WouldBlock) => {
                let device = format!("{} ({})", device.selector, device.name);
                Err(LockError::Busy { device, holder: holder(&path) })
            }
            Err(TryLockError::Error(source)) => Err(failed(source)),
        }
    }

    /// Takes the lock of another device of the same backend, which a case copies to; `None` where there is nothing to
    /// lock: `ours`, the devices of this run, are locked already, and the case itself says that there is no such device.
    pub fn take_peer(number: u32, of: &DeviceInfo, ours: &[DeviceInfo]) -> Result<Option<Self>, LockError> {
        let described =
            device::select(&format!("{}:{number}", of.backend)).ok().map(|(backend, rest)| (backend.describe)(rest));
        let Some(Ok(peer)) = described else { return Ok(None) };
        if ours.iter().any(|device| path_of(device) == path_of(&peer)) {
            return Ok(None);
        }
        Self::take(&peer).map(Some)
    }
}

/// Who holds a lock, as its file says.
fn holder(path: &Path) -> String {
    let mut text = String::new();
    let read = File::open(path).and_then(|file| file.take(32).read_to_string(&mut text));
    match (read, text.trim().parse::<u32>()) {
        (Ok(_), Ok(process)) => format!("another run (process {process})"),
        _ => "another run".to_owned(),
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
