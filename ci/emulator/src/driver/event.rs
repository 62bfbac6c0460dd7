//! Events: stamped when a stream reaches them.

use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Instant;

use super::graph::Capture;
use super::stream::{self, Task};
use super::{Answer, Code, Handle, Handles, answer, context, lock, put};
use crate::code;

pub struct Event {
    timing: bool,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    /// How often it was recorded, and how often that was reached.
    recorded: u64,
    completed: u64,
    stamp: Option<Instant>,
    /// Recorded last in a stream that is being captured.
    captured: Option<Arc<Capture>>,
}

pub static EVENTS: Handles<Event> = Handles::new();

impl Event {
    /// How often it was recorded; None: never.
    pub fn recorded(&self) -> Option<u64> {
        let recorded = lock(&self.state).recorded;
        (recorded > 0).then_some(recorded)
    }

    pub fn captured(&self) -> Option<Arc<Capture>> {
        lock(&self.state).captured.clone()
    }

    pub fn wait_until(&self, count: u64) {
        let mut state = lock(&self.state);
        while state.completed < count {
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn complete(&self, count: u64) {
        let mut state = lock(&self.state);
        if count > state.completed {
            state.completed = count;
            state.stamp = Some(Instant::now());
        }
        self.changed.notify_all();
    }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuEventCreate(event: *mut Handle, flags: u32) -> Code {
    answer(|| {
        context::current()?;
        // CU_EVENT_DISABLE_TIMING is 2.
        let new = Event { timing: flags & 2 == 0, state: Mutex::default(), changed: Condvar::new() };
        // SAFETY: the API's contract.
        unsafe { put(event, EVENTS.insert(Arc::new(new))) }
    })
}

#[unsafe(no_mangle)]
pub extern "C" fn cuEventDestroy_v2(event: Handle) -> Code {
    answer(|| EVENTS.remove(event).map(|_| ()))
}

#[unsafe(no_mangle)]
pub extern "C" fn cuEventRecord(event: Handle, stream: Handle) -> Code {
    answer(|| {
        let (event, stream) = (EVENTS.get(event)?, stream::find(stream)?);
        if let Some(capture) = lock(&stream.capture).as_ref() {
            lock(&event.state).captured = Some(Arc::clone(capture));
            return Ok(());
        }
        let count = {
            let mut state = lock(&event.state);
            state.captured = None;
            state.recorded += 1;
            state.recorded
        };
        stream.submit(Task {
            work: Arc::new(move || {
                event.complete(count);
                Ok(())
            }),
            always: true,
        })
    })
}

#[unsafe(no_mangle)]
pub extern "C" fn cuEventRecordWithFlags(event: Handle, stream: Handle, _flags: u32) -> Code {
    cuEventRecord(event, stream)
}

#[unsafe(no_mangle)]
pub extern "C" fn cuEventQuery(event: Handle) -> Code {
    answer(|| {
        context::current()?;
        let event = EVENTS.get(event)?;
        let state = lock(&event.state);
        if state.captured.is_some() {
            return Err(code::CAPTURED_EVENT);
        }
        if state.completed < state.recorded { Err(code::NOT_READY) } else { Ok(()) }
    })
}

#[unsafe(no_mangle)]
pub extern "C" fn cuEventSynchronize(event: Handle) -> Code {
    answer(|| {
        let context = context::current()?;
        let event = EVENTS.get(event)?;
        if event.captured().is_some() {
            return Err(code::CAPTURED_EVENT);
        }
        event.wait_until(event.recorded().unwrap_or(0));
        match context.failed() {
            0 => Ok(()),
            code => Err(code),
        }
    })
}

/// Seconds between two events that were reached.
fn elapsed(start: Handle, end: Handle) -> Answer<f64> {
    context::current()?;
    let (start, end) = (EVENTS.get(start)?, EVENTS.get(end)?);
    let stamp = |event: &Event| {
        let state = lock(&event.state);
        if !event.timing || state.recorded == 0 || state.captured.is_some() {
            return Err(code::INVALID_HANDLE);
        }
        if state.completed < state.recorded {
            return Err(code::NOT_READY);
        }
        state.stamp.ok_or(code::NOT_READY)
    };
    let (start, end) = (stamp(&start)?, stamp(&end)?);
    Ok(if end >= start { (end - start).as_secs_f64() } else { -(start - end).as_secs_f64() })
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuEventElapsedTime(milliseconds: *mut f32, start: Handle, end: Handle) -> Code {
    // SAFETY: the API's contract.
    answer(|| unsafe { put(milliseconds, (elapsed(start, end)? * 1e3) as f32) })
}

/// Newer than 12.0: absent from the library placed as an old driver.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuEventElapsedTime_v2(milliseconds: *mut f32, start: Handle, end: Handle) -> Code {
    // SAFETY: the API's contract.
    unsafe { cuEventElapsedTime(milliseconds, start, end) }
}
