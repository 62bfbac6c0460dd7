//! The driver's own functions, as the bindings give them, with codes as numbers.

use std::ffi::{CString, c_void};

use cudarc::driver::sys;

/// Fails on a code other than success.
pub fn ok(code: sys::CUresult) {
    assert_eq!(code as u32, 0, "{code:?}");
}

/// A context made current, and a stream of it that waits for no other.
pub struct Raw {
    pub stream: sys::CUstream,
}

impl Raw {
    pub fn open() -> Self {
        let mut raw = Self { stream: std::ptr::null_mut() };
        let mut context = std::ptr::null_mut();
        // SAFETY: as the driver's manual has it.
        unsafe {
            ok(sys::cuInit(0));
            ok(sys::cuDevicePrimaryCtxRetain(&mut context, 0));
            ok(sys::cuCtxSetCurrent(context));
            ok(sys::cuStreamCreate(&mut raw.stream, 1));
        }
        raw
    }

    /// Loads PTX text, or any other image. The error comes with the compiler's log.
    pub fn module(&self, image: &[u8]) -> Result<sys::CUmodule, (u32, String)> {
        let mut image = image.to_vec();
        image.extend([0; 8]);
        let mut module = std::ptr::null_mut();
        let mut log = vec![0u8; 512];
        let mut options =
            [sys::CUjit_option::CU_JIT_ERROR_LOG_BUFFER, sys::CUjit_option::CU_JIT_ERROR_LOG_BUFFER_SIZE_BYTES];
        let mut values = [log.as_mut_ptr().cast::<c_void>(), log.len() as *mut c_void];
        // SAFETY: two options with their values, and an image that ends in NUL.
        let code = unsafe {
            sys::cuModuleLoadDataEx(&mut module, image.as_ptr().cast(), 2, options.as_mut_ptr(), values.as_mut_ptr())
        };
        let length = values[1] as usize;
        if code as u32 == 0 {
            return Ok(module);
        }
        Err((code as u32, String::from_utf8_lossy(&log[..length.min(log.len())]).into_owned()))
    }

    /// A kernel out of PTX text.
    pub fn function(&self, text: &str, name: &str) -> sys::CUfunction {
        self.find(text, name).expect("a kernel")
    }

    /// The same; `None` if the driver finds none of the name.
    pub fn find(&self, text: &str, name: &str) -> Option<sys::CUfunction> {
        let module = self.module(text.as_bytes()).unwrap_or_else(|(code, log)| panic!("{code}: {log}"));
        let name = CString::new(name).expect("a name");
        let mut function = std::ptr::null_mut();
        // SAFETY: a module and a C string.
        let code = unsafe { sys::cuModuleGetFunction(&mut function, module, name.as_ptr()) };
        (code as u32 == 0).then_some(function)
    }

    /// Launches with arguments of 8 bytes each. Gives the code.
    pub fn launch(&self, function: sys::CUfunction, [blocks, threads]: [u32; 2], arguments: &[u64]) -> u32 {
        let mut arguments = arguments.to_vec();
        let mut list: Vec<_> = arguments.iter_mut().map(|argument| (argument as *mut u64).cast::<c_void>()).collect();
        // SAFETY: a pointer for each argument.
        let code = unsafe {
            let extra = std::ptr::null_mut();
            sys::cuLaunchKernel(function, blocks, 1, 1, threads, 1, 1, 0, self.stream, list.as_mut_ptr(), extra)
        };
        code as u32
    }

    pub fn synchronize(&self) -> u32 {
        // SAFETY: a stream of this context.
        unsafe { sys::cuStreamSynchronize(self.stream) as u32 }
    }

    pub fn allocate(&self, bytes: usize) -> Result<u64, u32> {
        let mut pointer = 0;
        // SAFETY: a place for the result.
        match unsafe { sys::cuMemAlloc_v2(&mut pointer, bytes) } as u32 {
            0 => Ok(pointer),
            code => Err(code),
        }
    }

    /// Words of device memory, after all that was launched.
    pub fn words(&self, from: u64, count: usize) -> Vec<u32> {
        let mut words = vec![0u32; count];
        // SAFETY: as many words as are copied.
        unsafe {
            ok(sys::cuMemcpyDtoHAsync_v2(words.as_mut_ptr().cast(), from, count * 4, self.stream));
            ok(sys::cuStreamSynchronize(self.stream));
        }
        words
    }

    /// Zeroed pinned memory the device reaches at the same address.
    pub fn pinned(&self, words: usize) -> *mut u32 {
        let mut host = std::ptr::null_mut();
        let mut device = 0;
        // SAFETY: places for the results.
        unsafe {
            ok(sys::cuMemHostAlloc(&mut host, words * 4, 0));
            ok(sys::cuMemHostGetDevicePointer_v2(&mut device, host, 0));
            std::ptr::write_bytes(host.cast::<u32>(), 0, words);
        }
        assert_eq!(host as u64, device);
        host.cast()
    }

    pub fn event(&self) -> sys::CUevent {
        let mut event = std::ptr::null_mut();
        // SAFETY: a place for the result.
        unsafe { ok(sys::cuEventCreate(&mut event, 0)) };
        event
    }

    pub fn record(&self, event: sys::CUevent) {
        // SAFETY: an event and a stream of this context.
        unsafe { ok(sys::cuEventRecord(event, self.stream)) };
    }
}
