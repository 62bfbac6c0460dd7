//! The CPU backend: always there, needs nothing installed.
//!
//! One worker per usable core, each kept on its core, first to touch the memory it will use, and
//! running the same share of every kernel. Programs submitted as a graph run as a stream, since there
//! is nothing between the steps that a graph could save. All places of memory are one.

mod format;
mod kernels;
mod matmul;
mod memory;
mod pool;
mod program;
mod timer;
mod topology;
mod window;

use std::collections::BTreeMap;

use self::memory::Buffer;
use self::pool::Pool;
use self::program::Recorded;
use super::{
    Backend, BufferId, Device, DeviceError, Mark, Pattern, Place, Probe, Program, ProgramId, Step, Timing, Window,
};
use crate::record::{DeviceInfo, TimerInfo};
use crate::units::ByteCount;

/// The row of this backend.
pub(super) const BACKEND: Backend = Backend {
    id: "cpu",
    about: "the processor this program runs on, all usable cores",
    hidden: false,
    probe: || Probe::Present(vec![topology::describe()]),
    open: |selector| Ok(Box::new(CpuDevice::open(selector)?)),
    describe: |selector| known(selector).map(|()| topology::describe()),
    notes: Vec::new,
};

/// There is one CPU.
fn known(selector: &str) -> Result<(), DeviceError> {
    match selector {
        "" | "0" => Ok(()),
        other => {
            let message = format!("there is no CPU device '{other}'; use 'cpu'");
            Err(DeviceError::Call { call: "open", message })
        }
    }
}

struct CpuDevice {
    info: DeviceInfo,
    timer: TimerInfo,
    denormals: &'static str,
    // Programs and buffers go before the pool, though none of them runs by itself.
    programs: BTreeMap<u32, Recorded>,
    buffers: BTreeMap<u32, Buffer>,
    next: u32,
    pool: Pool,
}

impl CpuDevice {
    fn open(selector: &str) -> Result<Self, DeviceError> {
        known(selector)?;
        let mut pool = Pool::new(&topology::usable_cores())?;
        let timer = window::calibrate(&mut pool)?;
        Ok(Self {
            info: topology::describe(),
            timer,
            denormals: timer::denormal_mode(),
            programs: BTreeMap::new(),
            buffers: BTreeMap::new(),
            next: 0,
            pool,
        })
    }

    /// A number for a buffer or a program. Never used twice, so that a stale handle is seen as such.
    fn number(&mut self) -> Result<u32, DeviceError> {
        let number = self.next;
        self.next = number.checked_add(1).ok_or_else(|| DeviceError::Lost("all handles are used up".to_owned()))?;
        Ok(number)
    }

    fn buffer(&self, id: BufferId, call: &'static str) -> Result<&Buffer, DeviceError> {
        let message = || format!("no buffer {}", id.0);
        self.buffers.get(&id.0).ok_or_else(|| DeviceError::Call { call, message: message() })
    }

    /// The address of `len` bytes at an offset of a buffer.
    fn range(&self, id: BufferId, at: ByteCount, len: usize, call: &'static str) -> Result<*mut u8, DeviceError> {
        let span = self.buffer(id, call)?.span();
        let start =
            usize::try_from(at.0).ok().filter(|start| start.checked_add(len).is_some_and(|end| end <= span.len));
        let message = || format!("{len} bytes at {} reach past the {} bytes of buffer {}", at.0, span.len, id.0);
        let start = start.ok_or_else(|| DeviceError::Call { call, message: message() })?;
        // SAFETY: within the span.
        Ok(unsafe { span.start.as_ptr().add(start) })
    }
}

impl Device for CpuDevice {
    fn info(&self) -> &DeviceInfo {
        &self.info
    }

    fn is_host(&self) -> bool {
        true
    }

    fn timer(&self) -> &TimerInfo {
        &self.timer
    }

    fn alloc(&mut self, size: ByteCount, place: Place) -> Result<BufferId, DeviceError> {
        if let Place::Peer { .. } = place {
            return Err(DeviceError::Unsupported("the CPU has no peers".to_owned()));
        }
        let number = self.number()?;
        let buffer = Buffer::new(size, number, &mut self.pool)?;
        self.buffers.insert(number, buffer);
        Ok(BufferId(number))
    }

    fn fill(&mut self, to: BufferId, pattern: Pattern) -> Result<(), DeviceError> {
        let span = self.buffer(to, "fill")?.span();
        let team = self.pool.size();
        self.pool.run(team, &move |place| kernels::fill(span, pattern, place))
    }

    fn write(&mut self, to: BufferId, at: ByteCount, bytes: &[u8]) -> Result<(), DeviceError> {
        let start = self.range(to, at, bytes.len(), "write")?;
        // SAFETY: the range is the buffer's; no worker runs while the caller is here.
        unsafe { start.copy_from_nonoverlapping(bytes.as_ptr(), bytes.len()) };
        Ok(())
    }

    fn read(&mut self, from: BufferId, at: ByteCount, into: &mut [u8]) -> Result<(), DeviceError> {
        let start = self.range(from, at, into.len(), "read")?;
        // SAFETY: the range is the buffer's, mapped zeroed; no worker runs while the caller is here.
        unsafe { start.copy_to_nonoverlapping(into.as_mut_ptr(), into.len()) };
        Ok(())
    }

    fn options(&mut self, step: &Step) -> Result<Vec<Step>, DeviceError> {
        Ok(program::options(step, self.pool.size()))
    }

    fn record(&mut self, program: &Program) -> Result<ProgramId, DeviceError> {
        let recorded = Recorded::new(program, &self.buffers, self.pool.size())?;
        window::rehearse(&mut self.pool, &recorded)?;
        let number = self.number()?;
        self.programs.insert(number, recorded);
        Ok(ProgramId(number))
    }

    fn run(&mut self, program: ProgramId, window: &Window) -> Result<Vec<Timing>, DeviceError> {
        let message = || format!("no program {}", program.0);
        let recorded =
            self.programs.get(&program.0).ok_or_else(|| DeviceError::Call { call: "run", message: message() })?;
        window::run(&mut self.pool, recorded, window)
    }

    fn conditions(&self) -> BTreeMap<String, String> {
        let mut conditions = BTreeMap::from([
            ("denormals".to_owned(), self.denormals.to_owned()),
            ("threads".to_owned(), self.pool.size().to_string()),
            ("pinned".to_owned(), if self.pool.pinned() { "yes" } else { "no" }.to_owned()),
        ]);
        if let Some(share) = memory::huge_share(self.buffers.values()) {
            conditions.insert("huge_page_share".to_owned(), format!("{share:.2}"));
        }
        conditions
    }

    fn mark(&self) -> Mark {
        Mark(self.next)
    }

    fn release(&mut self, to: Mark) -> Result<(), DeviceError> {
        // Programs first: they hold addresses of the buffers.
        drop(self.programs.split_off(&to.0));
        drop(self.buffers.split_off(&to.0));
        Ok(())
    }
}
