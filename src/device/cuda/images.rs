//! Compiled kernels: PTX that any driver compiles for its device, and machine code for the devices it was made for
//! ahead of time, so that a newer driver does not change what is measured. Made by `ci/kernels --write`.

/// A kernel's module.
pub(super) struct Image {
    /// The name of the kernel's folder.
    pub id: &'static str,
    /// Text for compute capability 8.0 and later.
    pub ptx: &'static str,
    /// Machine code, by compute capability.
    pub cubins: [((u32, u32), &'static [u8]); 3],
}

/// The row of a kernel: its files in `kernels/ptx/`.
macro_rules! image {
    ($id:literal) => {
        Image {
            id: $id,
            ptx: include_str!(concat!("../../../kernels/ptx/", $id, ".ptx")),
            cubins: [
                ((8, 0), include_bytes!(concat!("../../../kernels/ptx/", $id, ".sm_80.cubin"))),
                ((8, 9), include_bytes!(concat!("../../../kernels/ptx/", $id, ".sm_89.cubin"))),
                ((9, 0), include_bytes!(concat!("../../../kernels/ptx/", $id, ".sm_90a.cubin"))),
            ],
        }
    };
}

/// Every module. To add one: its `cuda.cu`, `ci/kernels --write`, and a row here.
static IMAGES: &[Image] = &[
    image!("cache_read"),
    image!("chase"),
    image!("empty"),
    image!("fma"),
    image!("intensity"),
    image!("latch"),
    image!("memory_copy"),
    image!("memory_read"),
    image!("memory_triad"),
    image!("memory_write"),
    image!("pattern"),
    image!("stamp"),
];

/// The module of a kernel.
pub(super) fn find(id: &str) -> Option<&'static Image> {
    IMAGES.iter().find(|image| image.id == id)
}
