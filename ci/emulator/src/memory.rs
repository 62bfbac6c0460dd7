//! The address space of the devices: every allocation with its bounds, at addresses the host has nothing at.
//!
//! Pinned host memory has the same address on both sides, as under unified addressing. Fresh device memory holds ones
//! in every bit: not a number in every floating-point format, and no valid index.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError, RwLock};

/// Where device addresses start: far from what the host maps, so that the host faults on them.
const DEVICE_BASE: u64 = 0x0300_0000_0000;
/// The part of the address space each device has.
const DEVICE_SPAN: u64 = 0x0040_0000_0000;
/// Addresses between two allocations, and the alignment of an allocation.
const GAP: u64 = 4096;
const ALIGN: u64 = 512;
/// Allocations from this size on share the pages of a template until they are written.
const TEMPLATE_BYTES: usize = 16 << 20;

/// Where an allocation lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    Device(u32),
    Host,
}

/// An allocation. Its memory goes when the last user does.
#[derive(Debug)]
pub struct Mapping {
    pub start: u64,
    pub size: u64,
    pub place: Place,
    host: *mut u8,
    /// Bytes to unmap; 0 for memory of the program's own.
    mapped: usize,
}

// SAFETY: the memory is plain bytes, accessed through atomics or by copies the program has to order, as on a device.
unsafe impl Send for Mapping {}
// SAFETY: as above.
unsafe impl Sync for Mapping {}

impl Mapping {
    fn holds(&self, address: u64, size: u64) -> bool {
        address >= self.start && address - self.start <= self.size && size <= self.size - (address - self.start)
    }

    /// The host's address of a device address inside.
    fn at(&self, address: u64) -> *mut u8 {
        self.host.wrapping_add((address - self.start) as usize)
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        if self.mapped > 0 {
            // SAFETY: mapped by `map` with this length, and no other user is left.
            unsafe { libc::munmap(self.host.cast(), self.mapped) };
        }
    }
}

type Table = Arc<Vec<Arc<Mapping>>>;

/// All allocations of the process, ordered by address.
#[derive(Default)]
pub struct AddressSpace {
    table: RwLock<Table>,
    generation: AtomicU64,
    next: Mutex<Vec<u64>>,
}

/// The one address space.
pub fn space() -> &'static AddressSpace {
    static SPACE: OnceLock<AddressSpace> = OnceLock::new();
    SPACE.get_or_init(AddressSpace::default)
}

impl AddressSpace {
    fn table(&self) -> Table {
        Arc::clone(&self.table.read().unwrap_or_else(PoisonError::into_inner))
    }

    fn change(&self, edit: impl FnOnce(&mut Vec<Arc<Mapping>>)) {
        let mut table = self.table.write().unwrap_or_else(PoisonError::into_inner);
        let mut changed = table.as_ref().clone();
        edit(&mut changed);
        changed.sort_by_key(|mapping| mapping.start);
        *table = Arc::new(changed);
        self.generation.fetch_add(1, Ordering::Release);
    }

    /// New device memory; None if the host has none.
    pub fn allocate(&self, device: u32, size: usize) -> Option<u64> {
        let host = map(size, true)?;
        let start = {
            let mut next = self.next.lock().unwrap_or_else(PoisonError::into_inner);
            let devices = next.len().max(device as usize + 1);
            next.resize(devices, 0);
            let start = next[device as usize];
            next[device as usize] = (start + size as u64).next_multiple_of(ALIGN) + GAP;
            DEVICE_BASE + u64::from(device) * DEVICE_SPAN + start
        };
        let mapping = Mapping { start, size: size as u64, place: Place::Device(device), host, mapped: size };
        self.change(|table| table.push(Arc::new(mapping)));
        Some(start)
    }

    /// New pinned host memory; None if the host has none.
    pub fn allocate_host(&self, size: usize) -> Option<*mut u8> {
        let host = map(size, false)?;
        let mapping = Mapping { start: host as u64, size: size as u64, place: Place::Host, host, mapped: size };
        self.change(|table| table.push(Arc::new(mapping)));
        Some(host)
    }

    /// Makes memory of the program's own reachable. False if it overlaps what is already.
    pub fn register_host(&self, host: *mut u8, size: usize) -> bool {
        let start = host as u64;
        let free =
            self.table().iter().all(|other| other.start + other.size <= start || start + size as u64 <= other.start);
        if free {
            let mapping = Mapping { start, size: size as u64, place: Place::Host, host, mapped: 0 };
            self.change(|table| table.push(Arc::new(mapping)));
        }
        free
    }

    /// Frees the allocation that starts here. None if there is none of that place's kind.
    pub fn free(&self, start: u64, is_host: bool) -> Option<Arc<Mapping>> {
        let mut found = None;
        self.change(|table| {
            let fits = |mapping: &Arc<Mapping>| mapping.start == start && (mapping.place == Place::Host) == is_host;
            found = table.iter().position(fits).map(|index| table.remove(index));
        });
        found
    }

    /// The allocation that holds an address.
    pub fn find(&self, address: u64) -> Option<Arc<Mapping>> {
        let table = self.table();
        let index = table.partition_point(|mapping| mapping.start <= address).checked_sub(1)?;
        table[index].holds(address, 1).then(|| Arc::clone(&table[index]))
    }

    /// Bytes allocated on a device.
    pub fn used(&self, device: u32) -> u64 {
        self.table().iter().filter(|mapping| mapping.place == Place::Device(device)).map(|mapping| mapping.size).sum()
    }

    /// Frees all memory of a device.
    pub fn clear(&self, device: u32) {
        self.change(|table| table.retain(|mapping| mapping.place != Place::Device(device)));
    }

    /// The host's address of `size` bytes that lie in one allocation, and what keeps them alive.
    pub fn range(&self, address: u64, size: usize) -> Option<(*mut u8, Arc<Mapping>)> {
        let mapping = self.find(address)?;
        mapping.holds(address, size as u64).then(|| (mapping.at(address), mapping))
    }
}

/// Fresh memory of at least one byte, poisoned or zero.
fn map(size: usize, poisoned: bool) -> Option<*mut u8> {
    let (protection, flags) = (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_PRIVATE | libc::MAP_NORESERVE);
    // SAFETY: an anonymous mapping at an address of the system's choice touches nothing that exists.
    let host = unsafe { libc::mmap(std::ptr::null_mut(), size.max(1), protection, flags | libc::MAP_ANONYMOUS, -1, 0) };
    if host == libc::MAP_FAILED {
        return None;
    }
    let host = host.cast::<u8>();
    if !poisoned {
        return Some(host);
    }
    let mut at = 0;
    if size >= TEMPLATE_BYTES
        && let Some(file) = template()
    {
        while size - at >= TEMPLATE_BYTES {
            // SAFETY: replaces pages of the mapping above, inside its bounds, by private copies of the template's.
            let placed = unsafe {
                let to = host.add(at).cast();
                libc::mmap(to, TEMPLATE_BYTES, protection, flags | libc::MAP_FIXED, file, 0)
            };
            if placed == libc::MAP_FAILED {
                break;
            }
            at += TEMPLATE_BYTES;
        }
    }
    // SAFETY: the rest of the mapping above.
    unsafe { std::ptr::write_bytes(host.add(at), 0xFF, size - at) };
    Some(host)
}

/// A file of poison.
fn template() -> Option<libc::c_int> {
    static TEMPLATE: OnceLock<Option<libc::c_int>> = OnceLock::new();
    *TEMPLATE.get_or_init(|| {
        // SAFETY: the name is a C string; the call makes a new file.
        let file = unsafe { libc::memfd_create(c"poison".as_ptr(), libc::MFD_CLOEXEC) };
        if file < 0 {
            return None;
        }
        let poison = vec![0xFFu8; TEMPLATE_BYTES];
        // SAFETY: writes the bytes of a live vector.
        let written = unsafe { libc::write(file, poison.as_ptr().cast(), poison.len()) };
        (written == TEMPLATE_BYTES as isize).then_some(file)
    })
}

/// What a kernel may reach: the memory of its device, of the peers it was given access to, and pinned host memory.
#[derive(Clone, Debug)]
pub struct View {
    pub device: u32,
    /// One bit for each device.
    pub peers: u32,
}

impl View {
    fn allows(&self, mapping: &Mapping) -> bool {
        match mapping.place {
            Place::Host => true,
            Place::Device(device) => device == self.device || self.peers >> device & 1 == 1,
        }
    }

    /// The host's address of `size` bytes of one allocation, and what keeps them. None: a kernel may not reach them.
    pub fn range(&self, address: u64, size: u64) -> Option<(*mut u8, Arc<Mapping>)> {
        let (host, mapping) = space().range(address, size as usize)?;
        self.allows(&mapping).then_some((host, mapping))
    }
}

/// Looks up addresses for one thread that executes a kernel, remembering where the last was.
pub struct Cursor {
    view: View,
    table: Table,
    generation: u64,
    start: u64,
    size: u64,
    host: *mut u8,
}

impl Cursor {
    pub fn new(view: View) -> Self {
        let generation = space().generation.load(Ordering::Acquire);
        Self { view, table: space().table(), generation, start: 0, size: 0, host: std::ptr::null_mut() }
    }

    /// Takes note of allocations made and freed meanwhile.
    pub fn refresh(&mut self) {
        let generation = space().generation.load(Ordering::Acquire);
        if generation != self.generation {
            *self = Self::new(self.view.clone());
        }
    }

    /// The host's address of `size` bytes a kernel accesses. None: it may not.
    #[inline]
    pub fn find(&mut self, address: u64, size: u64) -> Option<*mut u8> {
        let at = address.wrapping_sub(self.start);
        if at < self.size && size <= self.size - at {
            return Some(self.host.wrapping_add(at as usize));
        }
        self.search(address, size)
    }

    #[cold]
    fn search(&mut self, address: u64, size: u64) -> Option<*mut u8> {
        self.refresh();
        let index = self.table.partition_point(|mapping| mapping.start <= address).checked_sub(1)?;
        let mapping = &self.table[index];
        if !self.view.allows(mapping) || !mapping.holds(address, size) {
            return None;
        }
        (self.start, self.size, self.host) = (mapping.start, mapping.size, mapping.host);
        Some(mapping.at(address))
    }
}
