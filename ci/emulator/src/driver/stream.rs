//! Streams: work in order, on a thread of its own.

use std::collections::VecDeque;
use std::ffi::c_void;
use std::sync::{Arc, Condvar, Mutex, Weak};

use super::context::{self, Context};
use super::event::EVENTS;
use super::graph::Capture;
use super::{Answer, Code, Handle, Handles, answer, lock, put};
use crate::code;
use crate::exec::Trap;

/// Work that has been launched and not begun; one more waits, as on hardware.
const PENDING: usize = 1024;

/// Something a stream does. A graph does it again and again.
pub type Work = Arc<dyn Fn() -> Result<(), Trap> + Send + Sync>;

#[derive(Clone)]
pub struct Task {
    pub work: Work,
    /// Done although the context has failed: others may wait for it.
    pub always: bool,
}

pub struct Stream {
    context: Weak<Context>,
    /// Waits for the default stream, and it for this.
    pub blocking: bool,
    pub priority: i32,
    queue: Mutex<Queue>,
    changed: Condvar,
    pub capture: Mutex<Option<Arc<Capture>>>,
}

#[derive(Default)]
struct Queue {
    tasks: VecDeque<Task>,
    enqueued: u64,
    completed: u64,
    running: bool,
}

pub static STREAMS: Handles<Stream> = Handles::new();

impl Stream {
    pub fn new(context: &Arc<Context>, blocking: bool, priority: i32) -> Arc<Self> {
        let context = Arc::downgrade(context);
        Arc::new(Self {
            context,
            blocking,
            priority,
            queue: Mutex::default(),
            changed: Condvar::new(),
            capture: Mutex::default(),
        })
    }

    pub fn context(&self) -> Answer<Arc<Context>> {
        self.context.upgrade().ok_or(code::CONTEXT_IS_DESTROYED)
    }

    /// Puts work behind all there is; in a stream being captured, into its graph.
    pub fn enqueue(self: &Arc<Self>, work: Work) -> Answer {
        self.submit(Task { work, always: false })
    }

    pub fn submit(self: &Arc<Self>, task: Task) -> Answer {
        if let Some(capture) = lock(&self.capture).as_ref() {
            return capture.add(task);
        }
        let context = self.context()?;
        for (other, until) in context.dependencies(self) {
            let wait: Work = Arc::new(move || {
                other.wait_until(until);
                Ok(())
            });
            self.push(Task { work: wait, always: true });
        }
        self.push(task);
        Ok(())
    }

    fn push(self: &Arc<Self>, task: Task) {
        let mut queue = lock(&self.queue);
        while queue.tasks.len() >= PENDING {
            queue = self.changed.wait(queue).unwrap_or_else(std::sync::PoisonError::into_inner);
        }
        queue.tasks.push_back(task);
        queue.enqueued += 1;
        if !queue.running {
            queue.running = true;
            let stream = Arc::clone(self);
            std::thread::spawn(move || stream.work());
        }
        self.changed.notify_all();
    }

    /// The stream's thread: it ends when the queue has been empty for a while.
    fn work(self: Arc<Self>) {
        let mut queue = lock(&self.queue);
        loop {
            let Some(task) = queue.tasks.pop_front() else {
                let idle = std::time::Duration::from_millis(200);
                let (kept, waited) =
                    self.changed.wait_timeout(queue, idle).unwrap_or_else(std::sync::PoisonError::into_inner);
                queue = kept;
                if waited.timed_out() && queue.tasks.is_empty() {
                    queue.running = false;
                    return;
                }
                continue;
            };
            drop(queue);
            self.changed.notify_all();
            self.perform(&task);
            drop(task);
            queue = lock(&self.queue);
            queue.completed += 1;
            self.changed.notify_all();
        }
    }

    fn perform(&self, task: &Task) {
        let Some(context) = self.context.upgrade() else { return };
        if context.failed() != 0 && !task.always {
            return;
        }
        let done = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| (task.work)()));
        let trap = match done {
            Ok(Ok(())) => return,
            Ok(Err(trap)) => trap,
            Err(_) => Trap::new(code::UNKNOWN, "the emulator panicked"),
        };
        context.fail(&trap);
    }

    /// How much has been enqueued, if not all of it is complete.
    pub fn pending(&self) -> Option<u64> {
        let queue = lock(&self.queue);
        (queue.completed < queue.enqueued).then_some(queue.enqueued)
    }

    /// Waits until so much is complete.
    pub fn wait_until(&self, count: u64) {
        let mut queue = lock(&self.queue);
        while queue.completed < count {
            queue = self.changed.wait(queue).unwrap_or_else(std::sync::PoisonError::into_inner);
        }
    }

    /// Waits for all there is. The error is the context's.
    pub fn synchronize(&self) -> Answer {
        if lock(&self.capture).is_some() {
            return Err(code::STREAM_CAPTURE_UNSUPPORTED);
        }
        if let Some(count) = self.pending() {
            self.wait_until(count);
        }
        match self.context()?.failed() {
            0 => Ok(()),
            code => Err(code),
        }
    }
}

/// The stream of a handle; 0, 1 and 2 are default streams of the current context.
pub fn find(handle: Handle) -> Answer<Arc<Stream>> {
    let current = context::current()?;
    if handle <= 2 {
        return Ok(current.default_stream());
    }
    STREAMS.get(handle)
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuStreamCreate(stream: *mut Handle, flags: u32) -> Code {
    // SAFETY: the API's contract.
    unsafe { cuStreamCreateWithPriority(stream, flags, 0) }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuStreamCreateWithPriority(stream: *mut Handle, flags: u32, priority: i32) -> Code {
    answer(|| {
        let context = context::current()?;
        // CU_STREAM_NON_BLOCKING is 1.
        if flags > 1 {
            return Err(code::INVALID_VALUE);
        }
        let new = Stream::new(&context, flags & 1 == 0, priority.clamp(-5, 0));
        context.adopt(&new);
        // SAFETY: the API's contract.
        unsafe { put(stream, STREAMS.insert(new)) }
    })
}

#[unsafe(no_mangle)]
pub extern "C" fn cuStreamDestroy_v2(stream: Handle) -> Code {
    // Work under way goes on.
    answer(|| STREAMS.remove(stream).map(|_| ()))
}

#[unsafe(no_mangle)]
pub extern "C" fn cuStreamSynchronize(stream: Handle) -> Code {
    answer(|| find(stream)?.synchronize())
}

#[unsafe(no_mangle)]
pub extern "C" fn cuStreamQuery(stream: Handle) -> Code {
    answer(|| {
        let stream = find(stream)?;
        if lock(&stream.capture).is_some() {
            return Err(code::STREAM_CAPTURE_UNSUPPORTED);
        }
        if stream.pending().is_some() { Err(code::NOT_READY) } else { Ok(()) }
    })
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuStreamGetPriority(stream: Handle, priority: *mut i32) -> Code {
    // SAFETY: the API's contract.
    answer(|| unsafe { put(priority, find(stream)?.priority) })
}

#[unsafe(no_mangle)]
pub extern "C" fn cuStreamWaitEvent(stream: Handle, event: Handle, _flags: u32) -> Code {
    answer(|| {
        let (stream, event) = (find(stream)?, EVENTS.get(event)?);
        if let Some(capture) = event.captured() {
            // The stream joins the capture the event was recorded in.
            lock(&stream.capture).get_or_insert(capture);
            return Ok(());
        }
        let Some(count) = event.recorded() else { return Ok(()) };
        stream.submit(Task {
            work: Arc::new(move || {
                event.wait_until(count);
                Ok(())
            }),
            always: true,
        })
    })
}

/// What the program passes to a host function.
struct HostCall {
    function: unsafe extern "C" fn(*mut c_void),
    data: *mut c_void,
}

// SAFETY: the program promises that its function may be called on a thread of the driver's with its data.
unsafe impl Send for HostCall {}
// SAFETY: as above.
unsafe impl Sync for HostCall {}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuLaunchHostFunc(
    stream: Handle,
    function: Option<unsafe extern "C" fn(*mut c_void)>,
    data: *mut c_void,
) -> Code {
    answer(|| {
        let call = HostCall { function: function.ok_or(code::INVALID_VALUE)?, data };
        find(stream)?.enqueue(Arc::new(move || {
            let HostCall { function, data } = &call;
            // SAFETY: the program's promise.
            unsafe { function(*data) };
            Ok(())
        }))
    })
}
