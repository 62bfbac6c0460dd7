//! Gives the library the name programs ask the loader for.

fn main() {
    println!("cargo:rustc-cdylib-link-arg=-Wl,-soname,libcublasLt.so.13");
    println!("cargo:rerun-if-changed=build.rs");
}
