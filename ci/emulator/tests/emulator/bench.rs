//! Runs PTX text on the interpreter itself, without the driver, and keeps the result of each run apart.

use std::sync::Arc;
use std::time::Instant;

use rooflint_emulator::exec::Trap;
use rooflint_emulator::exec::grid::{Grid, Machine};
use rooflint_emulator::memory::{View, space};
use rooflint_emulator::module::Module;
use rooflint_emulator::ptx;

/// Memory of device 0, freed at the end.
pub struct Buffer {
    pub address: u64,
    bytes: usize,
}

impl Buffer {
    pub fn new(bytes: usize) -> Self {
        Self { address: space().allocate(0, bytes).expect("memory"), bytes }
    }

    pub fn of<T: Copy>(values: &[T]) -> Self {
        let buffer = Self::new(std::mem::size_of_val(values));
        let (host, _mapping) = space().range(buffer.address, buffer.bytes).expect("the buffer");
        // SAFETY: the buffer has as many bytes.
        unsafe { std::ptr::copy_nonoverlapping(values.as_ptr().cast(), host, buffer.bytes) };
        buffer
    }

    pub fn read<T: Copy>(&self) -> Vec<T> {
        let (host, _mapping) = space().range(self.address, self.bytes).expect("the buffer");
        let count = self.bytes / size_of::<T>();
        // SAFETY: device memory is aligned to 512 bytes and has as many.
        unsafe { std::slice::from_raw_parts(host.cast::<T>(), count) }.to_vec()
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        space().free(self.address, false);
    }
}

/// A kernel's argument, as bytes.
pub trait Argument {
    fn bytes(&self) -> Vec<u8>;
}

impl Argument for Buffer {
    fn bytes(&self) -> Vec<u8> {
        self.address.to_le_bytes().to_vec()
    }
}

macro_rules! arguments {
    ($($ty:ty),*) => {$(
        impl Argument for $ty {
            fn bytes(&self) -> Vec<u8> {
                self.to_le_bytes().to_vec()
            }
        }
    )*};
}

arguments!(u32, i32, u64, f32, f64);

/// Runs the only kernel of a text.
pub fn run(text: &str, [blocks, threads]: [u32; 2], arguments: &[&dyn Argument]) -> Result<(), Trap> {
    let source = ptx::parse(text).unwrap_or_else(|why| panic!("{why}"));
    let module = Module::load(&source, 0).unwrap_or_else(|why| panic!("{why}"));
    let kernel = Arc::clone(module.kernels.values().next().expect("a kernel"));
    let mut params = vec![0; kernel.param_bytes()];
    assert_eq!(kernel.params.len(), arguments.len());
    for ((offset, size), argument) in kernel.params.iter().zip(arguments) {
        params[*offset..offset + size].copy_from_slice(&argument.bytes());
    }
    let machine = Machine { multiprocessors: 108, clock_hz: 1.41e9, resident: 64 };
    let view = View { device: 0, peers: 0 };
    let started = Instant::now();
    let done = Arc::new(Grid::new(kernel, [[blocks, 1, 1], [threads, 1, 1]], params, 0, machine, view)).run();
    println!("{:?}", started.elapsed());
    done
}

/// As `run`, with a grid of two dimensions.
pub fn run_2d(text: &str, blocks: [u32; 2], threads: u32, arguments: &[&dyn Argument]) -> Result<(), Trap> {
    let source = ptx::parse(text).unwrap_or_else(|why| panic!("{why}"));
    let module = Module::load(&source, 0).unwrap_or_else(|why| panic!("{why}"));
    let kernel = Arc::clone(module.kernels.values().next().expect("a kernel"));
    let mut params = vec![0; kernel.param_bytes()];
    for ((offset, size), argument) in kernel.params.iter().zip(arguments) {
        params[*offset..offset + size].copy_from_slice(&argument.bytes());
    }
    let machine = Machine { multiprocessors: 108, clock_hz: 1.41e9, resident: 64 };
    let shape = [[blocks[0], blocks[1], 1], [threads, 1, 1]];
    Arc::new(Grid::new(kernel, shape, params, 0, machine, View { device: 0, peers: 0 })).run()
}

/// A kernel of one block that computes one word for each thread: `body` leaves it in `%r0`, knows the thread in `%r1`,
/// and may use `%r2` to `%r19`, `%rd0` to `%rd9`, `%f0` to `%f9`, `%fd0` to `%fd9`, `%h0` to `%h9` and `%p0` to `%p9`.
pub fn words(threads: u32, body: &str) -> Result<Vec<u32>, Trap> {
    let out = Buffer::new(threads as usize * 4);
    run(&around(body), [1, threads], &[&out])?;
    Ok(out.read())
}

/// The kernel `words` makes of a body.
pub fn around(body: &str) -> String {
    format!(
        ".version 8.0\n.target sm_80\n.address_size 64\n.visible .entry k(.param .u64 out)\n{{\n\
         .reg .b32 %r<20>;\n.reg .b64 %rd<10>, %out, %at;\n.reg .f32 %f<10>;\n.reg .f64 %fd<10>;\n.reg .b16 %h<10>;\n\
         .reg .pred %p<10>;\n.shared .align 16 .b8 buffer[4096];\n\
         mov.u32 %r1, %tid.x;\nmov.u32 %r0, 0;\n{body}\n\
         ld.param.u64 %out, [out];\nmul.wide.u32 %at, %r1, 4;\nadd.s64 %out, %out, %at;\nst.global.u32 [%out], %r0;\nret;\n}}\n"
    )
}

/// A module's text, from which kernels are run by name.
pub struct Text {
    module: Module,
}

impl Text {
    pub fn new(text: &str) -> Self {
        let source = ptx::parse(text).unwrap_or_else(|why| panic!("{why}"));
        Self { module: Module::load(&source, 0).unwrap_or_else(|why| panic!("{why}")) }
    }

    /// Runs a kernel with so many bytes of dynamic shared memory.
    pub fn run(
        &self,
        entry: &str,
        [blocks, threads]: [u32; 2],
        shared_bytes: usize,
        arguments: &[&dyn Argument],
    ) -> Result<(), Trap> {
        let kernel = Arc::clone(self.module.kernels.get(entry).unwrap_or_else(|| panic!("no kernel {entry}")));
        let mut params = vec![0; kernel.param_bytes()];
        assert_eq!(kernel.params.len(), arguments.len());
        for ((offset, size), argument) in kernel.params.iter().zip(arguments) {
            params[*offset..offset + size].copy_from_slice(&argument.bytes());
        }
        let machine = Machine { multiprocessors: 108, clock_hz: 1.41e9, resident: 64 };
        let view = View { device: 0, peers: 0 };
        let shape = [[blocks, 1, 1], [threads, 1, 1]];
        Arc::new(Grid::new(kernel, shape, params, shared_bytes, machine, view)).run()
    }
}
