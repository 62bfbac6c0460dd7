//! Compiled kernels: PTX that any driver compiles for its device, and machine code for the devices it was made for
//! ahead of time, so that a newer driver does not change what is measured. Made by `ci/kernels --write`.

/// A kernel's module.
pub(super) struct Image {
    /// The name of the kernel's folder.
    pub id: &'static str,
    /// Text for compute capability 8.0 and later, or for `only`.
    pub ptx: &'static str,
    /// The one compute capability it is for. Elsewhere its instructions are missing, or emulated by slower ones, which
    /// must not be measured in their name.
    pub only: Option<(u32, u32)>,
    /// Machine code, by compute capability.
    pub cubins: &'static [((u32, u32), &'static [u8])],
}

/// The row of a kernel: its files in `kernels/ptx/`; or of a module for one compute capability, with its target.
macro_rules! image {
    ($id:literal) => {
        Image {
            id: $id,
            ptx: include_str!(concat!("../../../kernels/ptx/", $id, ".ptx")),
            only: None,
            cubins: &[
                ((8, 0), include_bytes!(concat!("../../../kernels/ptx/", $id, ".sm_80.cubin"))),
                ((8, 9), include_bytes!(concat!("../../../kernels/ptx/", $id, ".sm_89.cubin"))),
                ((9, 0), include_bytes!(concat!("../../../kernels/ptx/", $id, ".sm_90a.cubin"))),
            ],
        }
    };
    ($id:literal, $major:literal, $minor:literal, $target:literal) => {
        Image {
            id: $id,
            ptx: include_str!(concat!("../../../kernels/ptx/", $id, ".ptx")),
            only: Some(($major, $minor)),
            cubins: &[(
                ($major, $minor),
                include_bytes!(concat!("../../../kernels/ptx/", $id, ".", $target, ".cubin")),
            )],
        }
    };
}

/// Every module. To add one: its `cuda.cu`, `ci/kernels --write`, and a row here.
static IMAGES: &[Image] = &[
    image!("activate"),
    image!("add_norm"),
    image!("attention"),
    image!("attention_join"),
    image!("cache_read"),
    image!("chase"),
    image!("embed"),
    image!("empty"),
    image!("fma"),
    image!("intensity"),
    image!("latch"),
    image!("matmul"),
    image!("matmul_sm_89", 8, 9, "sm_89"),
    image!("matmul_sm_90a", 9, 0, "sm_90a"),
    image!("memory_copy"),
    image!("memory_read"),
    image!("memory_triad"),
    image!("memory_write"),
    image!("mma"),
    image!("mma_sm_89", 8, 9, "sm_89"),
    image!("mma_sm_90a", 9, 0, "sm_90a"),
    image!("pattern"),
    image!("rotate"),
    image!("stamp"),
];

/// The module of a kernel.
pub(super) fn find(id: &str) -> Option<&'static Image> {
    IMAGES.iter().find(|image| image.id == id)
}
