//! Modules and the functions in them.

use std::ffi::{CStr, c_char, c_void};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use super::context::Context;
use super::{Answer, Code, Handle, Handles, answer, context, put};
use crate::code;
use crate::module::{Kernel, Module};
use crate::ptx;

/// A kernel as the program configures it.
pub struct Function {
    pub kernel: Arc<Kernel>,
    /// Keeps the module's variables.
    pub module: Arc<Module>,
    /// Dynamic shared memory it may be launched with.
    pub dynamic_limit: AtomicU32,
    pub carveout: AtomicU32,
}

struct Loaded {
    module: Arc<Module>,
    functions: std::sync::Mutex<Vec<(String, Handle)>>,
}

static MODULES: Handles<Loaded> = Handles::new();
pub static FUNCTIONS: Handles<Function> = Handles::new();

/// Shared memory a block has without asking for more.
pub const SHARED_DEFAULT: u32 = 48 << 10;

/// A handle for a kernel, with the driver's defaults.
pub fn offer(kernel: Arc<Kernel>, module: Arc<Module>) -> Handle {
    let dynamic_limit = AtomicU32::new(SHARED_DEFAULT.saturating_sub(kernel.shared_bytes as u32));
    FUNCTIONS.insert(Arc::new(Function { kernel, module, dynamic_limit, carveout: AtomicU32::new(u32::MAX) }))
}

/// Why a module was refused.
pub struct Refusal(Code, String);

impl Refusal {
    /// Its code; the reason is printed where that is asked for.
    pub fn said(&self) -> Code {
        let Self(code, why) = self;
        if std::env::var_os("ROOFLINT_EMULATOR_LOG").is_some_and(|value| value != "0") {
            eprintln!("rooflint-emulator: module refused ({code}): {why}");
        }
        *code
    }
}

/// `sm_90a` as (90, true): features of that architecture alone.
fn target(text: &str) -> Option<(u32, bool)> {
    let digits = text.strip_prefix("sm_").or_else(|| text.strip_prefix("compute_"))?;
    let number = digits.trim_end_matches(|letter: char| letter.is_ascii_alphabetic());
    // `f` is a family: within it, later members execute it too.
    Some((number.parse().ok()?, digits.ends_with('a')))
}

/// Parses and decodes a module for a context's device.
pub fn load(context: &Context, text: &str) -> Result<Module, Refusal> {
    let source = ptx::parse(text).map_err(|why| Refusal(code::INVALID_PTX, why))?;
    let personality = super::device::personality().map_err(|code| Refusal(code, String::new()))?;
    if source.version > personality.ptx {
        let ((major, minor), (newest, newest_minor)) = (source.version, personality.ptx);
        let why = format!("PTX {major}.{minor} is newer than this driver's {newest}.{newest_minor}");
        return Err(Refusal(code::UNSUPPORTED_PTX_VERSION, why));
    }
    let (number, exact) =
        target(&source.target).ok_or_else(|| Refusal(code::INVALID_PTX, format!("no target: {}", source.target)))?;
    let (major, minor) = context.model.capability;
    let device = major * 10 + minor;
    if number > device || exact && number != device {
        let why = format!("{} does not run on a device of capability {major}.{minor}", source.target);
        return Err(Refusal(code::NO_BINARY_FOR_GPU, why));
    }
    Module::load(&source, context.device).map_err(|why| Refusal(code::INVALID_PTX, why))
}

/// The text of an image: PTX that ends in NUL. What is compiled for a device cannot be executed here: the program is
/// told that there is nothing for this device in it.
unsafe fn text_of<'a>(image: *const c_void) -> Result<&'a str, Refusal> {
    if image.is_null() {
        return Err(Refusal(code::INVALID_VALUE, "no image".into()));
    }
    // SAFETY: an image has at least four bytes.
    let magic = unsafe { image.cast::<[u8; 4]>().read_unaligned() };
    if magic == *b"\x7fELF" || magic == [0x50, 0xED, 0x55, 0xBA] {
        return Err(Refusal(code::NO_BINARY_FOR_GPU, "a compiled image, of which only PTX can be executed".into()));
    }
    // SAFETY: the API's contract: text ends in NUL.
    let text = unsafe { CStr::from_ptr(image.cast()) };
    text.to_str().map_err(|_| Refusal(code::INVALID_IMAGE, "the image is no text".into()))
}

/// What a program asks of the compiler that is answered: where the log goes.
#[derive(Default)]
struct Log {
    buffer: Option<*mut c_char>,
    size: Option<*mut *mut c_void>,
    bytes: usize,
}

impl Log {
    /// # Safety
    /// `count` options with their values.
    unsafe fn of(count: u32, options: *const u32, values: *mut *mut c_void) -> Self {
        let mut log = Self::default();
        for index in 0..count as usize {
            // SAFETY: the caller's promise.
            let (option, value) = unsafe { (*options.add(index), values.add(index)) };
            // SAFETY: as above.
            let given = unsafe { *value };
            // CU_JIT_ERROR_LOG_BUFFER is 5, its size 6.
            match option {
                5 => log.buffer = Some(given.cast()),
                6 => (log.size, log.bytes) = (Some(value), given as usize),
                _ => {}
            }
        }
        log
    }

    /// # Safety
    /// The buffer and its size are as the options said.
    unsafe fn write(&self, text: &str) {
        if let (Some(buffer), Some(size)) = (self.buffer, self.size) {
            let length = text.len().min(self.bytes.saturating_sub(1));
            // SAFETY: the caller's promise; the size is given back in place, as the API does.
            unsafe {
                if super::put_text(buffer, self.bytes, text).is_ok() {
                    size.write(length as *mut c_void);
                }
            }
        }
    }
}

/// # Safety
/// As `cuModuleLoadDataEx`.
unsafe fn load_data(module: *mut Handle, image: *const c_void, log: &Log) -> Answer {
    let context = context::current()?;
    // SAFETY: the caller's promise.
    let loaded = unsafe { text_of(image) }.and_then(|text| load(&context, text));
    match loaded {
        Ok(loaded) => {
            let loaded = Loaded { module: Arc::new(loaded), functions: Default::default() };
            // SAFETY: the caller's promise.
            unsafe {
                log.write("");
                put(module, MODULES.insert(Arc::new(loaded)))
            }
        }
        Err(refusal) => {
            // SAFETY: the caller's promise.
            unsafe { log.write(&refusal.1) };
            Err(refusal.said())
        }
    }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuModuleLoadData(module: *mut Handle, image: *const c_void) -> Code {
    // SAFETY: the API's contract.
    answer(|| unsafe { load_data(module, image, &Log::default()) })
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuModuleLoadDataEx(
    module: *mut Handle,
    image: *const c_void,
    count: u32,
    options: *mut u32,
    values: *mut *mut c_void,
) -> Code {
    // SAFETY: the API's contract.
    answer(|| unsafe { load_data(module, image, &Log::of(count, options, values)) })
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuModuleLoad(module: *mut Handle, path: *const c_char) -> Code {
    answer(|| {
        if path.is_null() {
            return Err(code::INVALID_VALUE);
        }
        // SAFETY: the API's contract: a C string.
        let path = unsafe { CStr::from_ptr(path) }.to_string_lossy().into_owned();
        let mut bytes = std::fs::read(path).map_err(|_| code::FILE_NOT_FOUND)?;
        bytes.extend([0; 4]);
        // SAFETY: the bytes end in NUL.
        unsafe { load_data(module, bytes.as_ptr().cast(), &Log::default()) }
    })
}

#[unsafe(no_mangle)]
pub extern "C" fn cuModuleUnload(module: Handle) -> Code {
    answer(|| {
        context::current()?;
        let loaded = MODULES.remove(module)?;
        for (_, function) in super::lock(&loaded.functions).drain(..) {
            let _ = FUNCTIONS.remove(function);
        }
        Ok(())
    })
}

/// # Safety
/// A C string or null.
unsafe fn name_of<'a>(name: *const c_char) -> Answer<&'a str> {
    if name.is_null() {
        return Err(code::INVALID_VALUE);
    }
    // SAFETY: the caller's promise.
    unsafe { CStr::from_ptr(name) }.to_str().map_err(|_| code::INVALID_VALUE)
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuModuleGetFunction(function: *mut Handle, module: Handle, name: *const c_char) -> Code {
    answer(|| {
        let context = context::current()?;
        let loaded = MODULES.get(module)?;
        // SAFETY: the API's contract.
        let name = unsafe { name_of(name) }?;
        if let Some(replaced) = super::replace::function(&context, name)? {
            // SAFETY: the API's contract.
            return unsafe { put(function, replaced) };
        }
        let mut functions = super::lock(&loaded.functions);
        let handle = match functions.iter().find(|(known, _)| known == name) {
            Some((_, handle)) => *handle,
            None => {
                let kernel = Arc::clone(loaded.module.kernels.get(name).ok_or(code::NOT_FOUND)?);
                let handle = offer(kernel, Arc::clone(&loaded.module));
                functions.push((name.to_owned(), handle));
                handle
            }
        };
        // SAFETY: the API's contract.
        unsafe { put(function, handle) }
    })
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuModuleGetGlobal_v2(
    pointer: *mut u64,
    size: *mut usize,
    module: Handle,
    name: *const c_char,
) -> Code {
    answer(|| {
        context::current()?;
        let loaded = MODULES.get(module)?;
        // SAFETY: the API's contract.
        let name = unsafe { name_of(name) }?;
        let placed = loaded.module.variables.get(name).ok_or(code::NOT_FOUND)?;
        // SAFETY: the API's contract; either may be null.
        unsafe {
            if !pointer.is_null() {
                put(pointer, placed.address)?;
            }
            if size.is_null() { Ok(()) } else { put(size, placed.size) }
        }
    })
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuFuncGetAttribute(value: *mut i32, attribute: u32, function: Handle) -> Code {
    answer(|| {
        let context = context::current()?;
        let function = FUNCTIONS.get(function)?;
        let kernel = &function.kernel;
        let known = match attribute {
            0 => kernel.max_threads.map_or(1024, |(threads, _)| threads), // MAX_THREADS_PER_BLOCK
            1 => kernel.shared_bytes as u32,                              // SHARED_SIZE_BYTES
            2 | 7 => 0,                                                   // CONST_SIZE_BYTES, CACHE_MODE_CA
            3 => (kernel.local_bytes - crate::decode::LOCAL_BASE) as u32, // LOCAL_SIZE_BYTES
            4 => kernel.register_estimate,                                // NUM_REGS
            5 => function.module.version.0 * 10 + function.module.version.1, // PTX_VERSION
            6 => context.model.capability.0 * 10 + context.model.capability.1, // BINARY_VERSION
            8 => function.dynamic_limit.load(Ordering::Acquire),          // MAX_DYNAMIC_SHARED_SIZE_BYTES
            9 => function.carveout.load(Ordering::Acquire),               // PREFERRED_SHARED_MEMORY_CARVEOUT
            10..=15 => 0,                                                 // of clusters
            _ => return Err(code::INVALID_VALUE),
        };
        // SAFETY: the API's contract.
        unsafe { put(value, known as i32) }
    })
}

#[unsafe(no_mangle)]
pub extern "C" fn cuFuncSetAttribute(function: Handle, attribute: u32, value: i32) -> Code {
    answer(|| {
        let context = context::current()?;
        let function = FUNCTIONS.get(function)?;
        match attribute {
            8 => {
                let limit = context.model.shared_opt_in
                    - (function.kernel.shared_bytes as u32).min(context.model.shared_opt_in);
                if value < 0 || value as u32 > limit {
                    return Err(code::INVALID_VALUE);
                }
                function.dynamic_limit.store(value as u32, Ordering::Release);
            }
            9 => function.carveout.store(value as u32, Ordering::Release),
            10..=15 => {}
            _ => return Err(code::INVALID_VALUE),
        }
        Ok(())
    })
}

#[unsafe(no_mangle)]
pub extern "C" fn cuFuncSetCacheConfig(function: Handle, _config: u32) -> Code {
    answer(|| FUNCTIONS.get(function).map(|_| ()))
}
