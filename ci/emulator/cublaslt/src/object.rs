//! Handles and descriptors by number: none is an address, and none is given out twice, so that one that was destroyed
//! is never taken for another.

use std::collections::HashMap;
use std::ffi::c_void;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::descriptor::{Descriptor, Kind};
use crate::driver::Device;
use crate::status::{Answer, INVALID_VALUE, NOT_INITIALIZED, refuse};

enum Object {
    /// `cublasLtHandle_t`, of one device.
    Library(Device),
    Descriptor(Descriptor),
}

/// The number given out last, and what is alive.
static OBJECTS: Mutex<Option<(usize, HashMap<usize, Object>)>> = Mutex::new(None);

fn objects() -> MutexGuard<'static, Option<(usize, HashMap<usize, Object>)>> {
    OBJECTS.lock().unwrap_or_else(PoisonError::into_inner)
}

fn add(object: Object) -> usize {
    let mut guard = objects();
    let (last, alive) = guard.get_or_insert_with(|| (0xB1A5_0000, HashMap::new()));
    *last += 0x10;
    alive.insert(*last, object);
    *last
}

pub fn add_library(device: Device) -> usize {
    add(Object::Library(device))
}

pub fn add_descriptor(descriptor: Descriptor) -> usize {
    add(Object::Descriptor(descriptor))
}

fn unknown<T>(what: &str, number: usize) -> Answer<T> {
    refuse(INVALID_VALUE, format!("{number:#x} is no {what}: never created, destroyed already, or of another kind"))
}

/// The device of a handle.
pub fn library(handle: *const c_void) -> Answer<Device> {
    if handle.is_null() {
        return refuse(NOT_INITIALIZED, "no handle");
    }
    match objects().as_ref().and_then(|(_, alive)| alive.get(&(handle as usize))) {
        Some(Object::Library(device)) => Ok(*device),
        _ => unknown("handle", handle as usize),
    }
}

/// Ends a handle.
pub fn remove_library(handle: *const c_void) -> Answer {
    let known = |object: &Object| matches!(object, Object::Library(_));
    remove(handle as usize, known).or_else(|()| unknown("handle", handle as usize))
}

/// Removes what has this number if it is of the right kind.
fn remove(number: usize, known: impl Fn(&Object) -> bool) -> Result<(), ()> {
    let mut guard = objects();
    let (_, alive) = guard.as_mut().ok_or(())?;
    alive.get(&number).filter(|object| known(object)).ok_or(())?;
    alive.remove(&number);
    Ok(())
}

/// A copy of a descriptor as it is now: what a call has taken note of cannot change under it.
pub fn descriptor(kind: Kind, number: *const c_void) -> Answer<Descriptor> {
    match objects().as_ref().and_then(|(_, alive)| alive.get(&(number as usize))) {
        Some(Object::Descriptor(found)) if found.kind == kind => Ok(found.clone()),
        _ => unknown(&format!("{kind:?} descriptor"), number as usize),
    }
}

/// Changes a descriptor.
pub fn edit(kind: Kind, number: *const c_void, edit: impl FnOnce(&mut Descriptor) -> Answer) -> Answer {
    match objects().as_mut().and_then(|(_, alive)| alive.get_mut(&(number as usize))) {
        Some(Object::Descriptor(found)) if found.kind == kind => edit(found),
        _ => unknown(&format!("{kind:?} descriptor"), number as usize),
    }
}

/// Ends a descriptor. None to end is no error.
pub fn remove_descriptor(kind: Kind, number: *const c_void) -> Answer {
    if number.is_null() {
        return Ok(());
    }
    let known = |object: &Object| matches!(object, Object::Descriptor(found) if found.kind == kind);
    remove(number as usize, known).or_else(|()| unknown(&format!("{kind:?} descriptor"), number as usize))
}
