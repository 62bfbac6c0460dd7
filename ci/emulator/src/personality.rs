//! Which driver and devices are presented: `ROOFLINT_EMULATOR` = `a100` (the default), `h100`, `small`, `tiny`,
//! `small-ada`, `tiny-ada`, `small-hopper`, `tiny-hopper`, `two`, `small-two`, `small-apart`, `none` or `old-driver`.

use std::sync::OnceLock;

/// A device as its data sheet and the driver's own queries describe it.
#[derive(Clone, Copy, Debug)]
pub struct Model {
    pub name: &'static str,
    pub capability: (u32, u32),
    pub multiprocessors: u32,
    pub memory_bytes: u64,
    pub clock_khz: u32,
    pub memory_clock_khz: u32,
    pub bus_bits: u32,
    pub l2_bytes: u32,
    /// Shared memory of a multiprocessor, and the most one block may ask for.
    pub shared_per_multiprocessor: u32,
    pub shared_opt_in: u32,
    /// PCI vendor and device id, as NVML gives them.
    pub pci_id: u32,
    /// The most power the board may draw, in milliwatts.
    pub power_limit_mw: u32,
    pub pcie_generation: u32,
}

const A100: Model = Model {
    name: "Emulated A100-SXM4-80GB (PTX interpreter)",
    capability: (8, 0),
    multiprocessors: 108,
    memory_bytes: 80 << 30,
    clock_khz: 1_410_000,
    memory_clock_khz: 1_593_000,
    bus_bits: 5120,
    l2_bytes: 40 << 20,
    shared_per_multiprocessor: 164 << 10,
    shared_opt_in: 163 << 10,
    pci_id: 0x20B2_10DE,
    power_limit_mw: 400_000,
    pcie_generation: 4,
};

const H100: Model = Model {
    name: "Emulated H100-SXM5-80GB (PTX interpreter)",
    capability: (9, 0),
    multiprocessors: 132,
    memory_bytes: 80 << 30,
    clock_khz: 1_980_000,
    memory_clock_khz: 2_619_000,
    bus_bits: 5120,
    l2_bytes: 50 << 20,
    shared_per_multiprocessor: 228 << 10,
    shared_opt_in: 227 << 10,
    pci_id: 0x2330_10DE,
    power_limit_mw: 700_000,
    pcie_generation: 5,
};

/// A part of an A100: kernels that fill the device end in a fraction of the time, and its memory is soon full.
const SMALL: Model = Model {
    name: "Emulated A100-4MP-2GB (PTX interpreter)",
    multiprocessors: 4,
    memory_bytes: 2 << 30,
    bus_bits: 512,
    l2_bytes: 1 << 20,
    ..A100
};

/// One multiprocessor: little work is many turns for each of its warps.
const TINY: Model = Model {
    name: "Emulated A100-1MP-2GB (PTX interpreter)",
    multiprocessors: 1,
    memory_bytes: 2 << 30,
    bus_bits: 512,
    l2_bytes: 256 << 10,
    ..A100
};

/// Parts of an L40S, of compute capability 8.9.
const SMALL_ADA: Model = Model {
    name: "Emulated L40S-4MP-2GB (PTX interpreter)",
    capability: (8, 9),
    shared_per_multiprocessor: 100 << 10,
    shared_opt_in: 99 << 10,
    pci_id: 0x26B9_10DE,
    ..SMALL
};

const TINY_ADA: Model =
    Model { name: "Emulated L40S-1MP-2GB (PTX interpreter)", multiprocessors: 1, l2_bytes: TINY.l2_bytes, ..SMALL_ADA };

/// Parts of an H100.
const SMALL_HOPPER: Model = Model {
    name: "Emulated H100-4MP-2GB (PTX interpreter)",
    multiprocessors: 4,
    memory_bytes: 2 << 30,
    bus_bits: 512,
    l2_bytes: 1 << 20,
    ..H100
};

const TINY_HOPPER: Model = Model {
    name: "Emulated H100-1MP-2GB (PTX interpreter)",
    multiprocessors: 1,
    l2_bytes: TINY.l2_bytes,
    ..SMALL_HOPPER
};

/// A driver with its devices.
#[derive(Clone, Copy, Debug)]
pub struct Personality {
    /// As `cuDriverGetVersion` gives it.
    pub driver_version: i32,
    /// The newest PTX it accepts.
    pub ptx: (u32, u32),
    pub devices: &'static [Model],
    /// No device can reach another's memory.
    pub apart: bool,
    /// It has no symbols newer than its version: the library must have been placed without them.
    pub old: bool,
}

const NEW: Personality =
    Personality { driver_version: 13_000, ptx: (9, 0), devices: &[A100], apart: false, old: false };

/// Symbols a driver of CUDA 12.0 lacks, of those offered here.
pub const NEWER_SYMBOLS: &[&str] = &["cuEventElapsedTime_v2"];

/// The personality of a name.
pub fn named(name: &str) -> Option<Personality> {
    Some(match name {
        "a100" => NEW,
        "h100" => Personality { devices: &[H100], ..NEW },
        "small" => Personality { devices: &[SMALL], ..NEW },
        "tiny" => Personality { devices: &[TINY], ..NEW },
        "small-ada" => Personality { devices: &[SMALL_ADA], ..NEW },
        "tiny-ada" => Personality { devices: &[TINY_ADA], ..NEW },
        "small-hopper" => Personality { devices: &[SMALL_HOPPER], ..NEW },
        "tiny-hopper" => Personality { devices: &[TINY_HOPPER], ..NEW },
        "two" => Personality { devices: &[A100, A100], ..NEW },
        "small-two" => Personality { devices: &[SMALL, SMALL], ..NEW },
        "small-apart" => Personality { devices: &[SMALL, SMALL], apart: true, ..NEW },
        "none" => Personality { devices: &[], ..NEW },
        "old-driver" => Personality { driver_version: 12_000, ptx: (8, 0), old: true, ..NEW },
        _ => return None,
    })
}

/// The personality of this process. None: the environment names one there is not.
pub fn chosen() -> Option<&'static Personality> {
    static CHOSEN: OnceLock<Option<Personality>> = OnceLock::new();
    let read = || named(std::env::var("ROOFLINT_EMULATOR").as_deref().unwrap_or("a100"));
    CHOSEN.get_or_init(read).as_ref()
}

impl Model {
    /// 16 bytes that tell devices of a kind apart.
    pub fn uuid(&self, ordinal: u32) -> [u8; 16] {
        let mut uuid = *b"rooflint-emu\0\0\0\0";
        uuid[12] = self.capability.0 as u8;
        uuid[15] = ordinal as u8;
        uuid
    }

    pub fn pci_bus(ordinal: u32) -> u32 {
        0x07 + 0x08 * ordinal
    }

    /// `domain:bus:device.function`.
    pub fn pci_address(ordinal: u32) -> String {
        format!("0000:{:02X}:00.0", Self::pci_bus(ordinal))
    }
}
