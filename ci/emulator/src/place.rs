//! Puts the libraries into a folder under the names the loader looks for, with or without some of their symbols.

use std::path::Path;

/// What the build calls them, and what programs do. cuBLASLt has a folder of its own: a program on a
/// rented machine has a driver and no toolkit, and tests choose which of the two they are.
const LIBRARIES: [(&str, &[&str]); 3] = [
    (DRIVER, &["libcuda.so.1", "libcuda.so"]),
    ("librooflint_emulator_nvml.so", &["libnvidia-ml.so.1", "libnvidia-ml.so"]),
    (CUBLASLT, &["cublaslt/libcublasLt.so.13"]),
];
const DRIVER: &str = "librooflint_emulator.so";
const CUBLASLT: &str = "librooflint_emulator_cublaslt.so";

/// The library that a symbol is taken out of.
fn owner(symbol: &str) -> &'static str {
    if symbol.starts_with("cublasLt") { CUBLASLT } else { DRIVER }
}

/// Copies what the build left in `from` to `out`; the symbols in `without` are taken out of the driver library, or out
/// of cuBLASLt if they are its.
pub fn place(from: &Path, out: &Path, without: &[&str]) -> Result<(), String> {
    for (built, names) in LIBRARIES {
        let path = from.join(built);
        let mut bytes = std::fs::read(&path).map_err(|why| format!("{}: {why}", path.display()))?;
        for symbol in without.iter().filter(|symbol| owner(symbol) == built) {
            remove(&mut bytes, symbol)?;
        }
        let [first, others @ ..] = names else { continue };
        replace(&out.join(first), |fresh| std::fs::write(fresh, &bytes))?;
        for name in others {
            // One file, as on real systems: under two names the loader would load it twice.
            replace(&out.join(name), |fresh| std::os::unix::fs::symlink(first, fresh))?;
        }
    }
    Ok(())
}

/// Makes a file by putting it in its place when it is whole: a running program may have the old one mapped.
fn replace(to: &Path, make: impl FnOnce(&Path) -> std::io::Result<()>) -> Result<(), String> {
    let mut fresh = to.as_os_str().to_owned();
    fresh.push(format!(".{}", std::process::id()));
    let fresh = Path::new(&fresh);
    let made = std::fs::create_dir_all(to.parent().unwrap_or(to)).and_then(|()| make(fresh));
    made.and_then(|()| std::fs::rename(fresh, to)).map_err(|why| format!("{}: {why}", to.display()))
}

fn word(bytes: &[u8], at: usize, size: usize) -> Option<usize> {
    let mut word = [0; 8];
    word[..size].copy_from_slice(bytes.get(at..at + size)?);
    Some(u64::from_le_bytes(word) as usize)
}

/// Marks a dynamic symbol of a 64-bit ELF library as undefined: the loader then looks elsewhere for it. System V ABI,
/// chapter 4, "Symbol Table".
pub fn remove(bytes: &mut [u8], symbol: &str) -> Result<(), String> {
    let entry = find(bytes, symbol).ok_or_else(|| format!("no symbol '{symbol}' to remove"))?;
    // st_shndx = SHN_UNDEF, st_value = 0.
    bytes[entry + 6..entry + 16].fill(0);
    Ok(())
}

/// Where a symbol's entry in the dynamic symbol table is.
fn find(bytes: &[u8], symbol: &str) -> Option<usize> {
    const SHT_DYNSYM: usize = 11;
    let (table, entry_size, count) = (word(bytes, 0x28, 8)?, word(bytes, 0x3A, 2)?, word(bytes, 0x3C, 2)?);
    let section = |index: usize| table + index * entry_size;
    let dynsym = (0..count).map(section).find(|at| word(bytes, at + 4, 4) == Some(SHT_DYNSYM))?;
    let strings = word(bytes, section(word(bytes, dynsym + 0x28, 4)?) + 0x18, 8)?;
    let (start, size) = (word(bytes, dynsym + 0x18, 8)?, word(bytes, dynsym + 0x20, 8)?);
    (start..start + size).step_by(24).find(|at| {
        let name = word(bytes, *at, 4).and_then(|offset| bytes.get(strings + offset..));
        name.is_some_and(|name| name.starts_with(symbol.as_bytes()) && name.get(symbol.len()) == Some(&0))
    })
}
