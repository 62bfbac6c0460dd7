//! Graphs by stream capture. What was captured runs in the order it was captured in, which is one order the graph
//! allows.

use std::ffi::c_char;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use super::stream::{self, Stream, Task};
use super::{Answer, Code, Handle, Handles, answer, lock, put};
use crate::code;

/// What streams under capture have been given.
#[derive(Default)]
pub struct Capture {
    tasks: Mutex<Vec<Task>>,
    ended: AtomicBool,
    /// The stream it began in.
    origin: usize,
}

impl Capture {
    pub fn add(&self, task: Task) -> Answer {
        if self.ended.load(Ordering::Acquire) {
            return Err(code::STREAM_CAPTURE_INVALIDATED);
        }
        lock(&self.tasks).push(task);
        Ok(())
    }
}

struct Graph(Vec<Task>);

static GRAPHS: Handles<Graph> = Handles::new();
static EXECUTABLES: Handles<Graph> = Handles::new();

fn identity(stream: &Arc<Stream>) -> usize {
    Arc::as_ptr(stream) as usize
}

#[unsafe(no_mangle)]
pub extern "C" fn cuStreamBeginCapture_v2(stream: Handle, _mode: u32) -> Code {
    answer(|| {
        if stream <= 1 {
            return Err(code::STREAM_CAPTURE_UNSUPPORTED);
        }
        let stream = stream::find(stream)?;
        let mut capture = lock(&stream.capture);
        if capture.is_some() {
            return Err(code::STREAM_CAPTURE_UNSUPPORTED);
        }
        *capture = Some(Arc::new(Capture { origin: identity(&stream), ..Capture::default() }));
        Ok(())
    })
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuStreamEndCapture(stream: Handle, graph: *mut Handle) -> Code {
    answer(|| {
        let stream = stream::find(stream)?;
        let capture = lock(&stream.capture).take().ok_or(code::STREAM_CAPTURE_UNMATCHED)?;
        if capture.origin != identity(&stream) {
            return Err(code::STREAM_CAPTURE_UNMATCHED);
        }
        capture.ended.store(true, Ordering::Release);
        // Streams that joined leave with it.
        for other in stream.context()?.streams() {
            let mut joined = lock(&other.capture);
            if joined.as_ref().is_some_and(|joined| Arc::ptr_eq(joined, &capture)) {
                *joined = None;
            }
        }
        let tasks = std::mem::take(&mut *lock(&capture.tasks));
        // SAFETY: the API's contract.
        unsafe { put(graph, GRAPHS.insert(Arc::new(Graph(tasks)))) }
    })
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuStreamIsCapturing(stream: Handle, status: *mut u32) -> Code {
    answer(|| {
        let capturing = lock(&stream::find(stream)?.capture).is_some();
        // SAFETY: the API's contract.
        unsafe { put(status, capturing.into()) }
    })
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuGraphInstantiateWithFlags(executable: *mut Handle, graph: Handle, _flags: u64) -> Code {
    answer(|| {
        let graph = Graph(GRAPHS.get(graph)?.0.clone());
        // SAFETY: the API's contract.
        unsafe { put(executable, EXECUTABLES.insert(Arc::new(graph))) }
    })
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuGraphInstantiate_v2(
    executable: *mut Handle,
    graph: Handle,
    _node: *mut Handle,
    _log: *mut c_char,
    _size: usize,
) -> Code {
    // SAFETY: the API's contract.
    unsafe { cuGraphInstantiateWithFlags(executable, graph, 0) }
}

#[unsafe(no_mangle)]
pub extern "C" fn cuGraphLaunch(executable: Handle, stream: Handle) -> Code {
    answer(|| {
        let (graph, stream) = (EXECUTABLES.get(executable)?, stream::find(stream)?);
        stream.enqueue(Arc::new(move || graph.0.iter().try_for_each(|task| (task.work)())))
    })
}

#[unsafe(no_mangle)]
pub extern "C" fn cuGraphUpload(executable: Handle, _stream: Handle) -> Code {
    answer(|| EXECUTABLES.get(executable).map(|_| ()))
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuGraphGetNodes(graph: Handle, _nodes: *mut Handle, count: *mut usize) -> Code {
    // SAFETY: the API's contract.
    answer(|| unsafe { put(count, GRAPHS.get(graph)?.0.len()) })
}

#[unsafe(no_mangle)]
pub extern "C" fn cuGraphExecDestroy(executable: Handle) -> Code {
    answer(|| EXECUTABLES.remove(executable).map(|_| ()))
}

#[unsafe(no_mangle)]
pub extern "C" fn cuGraphDestroy(graph: Handle) -> Code {
    answer(|| GRAPHS.remove(graph).map(|_| ()))
}
