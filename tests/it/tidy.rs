//! The invariants of `docs/ARCHITECTURE.md`, most of them absences, read off the source text.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// Every Rust file below a folder, with its text.
fn sources(folder: &str) -> Vec<(String, String)> {
    fn walk(folder: &Path, into: &mut Vec<PathBuf>) {
        for entry in fs::read_dir(folder).expect("a folder of ours") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                walk(&path, into);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                into.push(path);
            }
        }
    }
    let mut paths = Vec::new();
    walk(&root().join(folder), &mut paths);
    paths.sort();
    let relative = |path: &Path| path.strip_prefix(root()).expect("below the root").display().to_string();
    paths.iter().map(|path| (relative(path), fs::read_to_string(path).expect("text"))).collect()
}

/// The module a file under `src/` belongs to: its first folder, or its stem.
fn module(file: &str) -> &str {
    let rest = file.strip_prefix("src/").unwrap_or(file);
    rest.split_once('/').map_or(rest.trim_end_matches(".rs"), |(folder, _)| folder)
}

/// Lines of code: no comments, and nothing from a test module at the end of a file.
fn code(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let lines = (1..).zip(text.lines()).take_while(|(_, line)| line.trim() != "#[cfg(test)]");
    lines.filter(|(_, line)| !line.trim_start().starts_with("//"))
}

/// What each module may use. An arrow may be skipped, never reversed.
const MAY_USE: &[(&str, &[&str])] = &[
    ("units", &[]),
    ("stats", &["units"]),
    ("record", &["units"]),
    ("hardware", &["units"]),
    ("llm", &["units"]),
    ("summary", &["units", "stats", "record"]),
    ("fit", &["units", "stats", "record", "hardware", "llm", "summary"]),
    ("cost", &["units", "stats", "record", "hardware", "llm", "summary"]),
    ("import", &["units", "stats", "record", "hardware", "llm", "summary"]),
    ("health", &["units", "stats", "record", "hardware", "summary"]),
    ("reference", &["units", "record", "hardware", "fit"]),
    ("claims", &["units", "stats", "record", "hardware", "llm", "summary", "reference", "fit", "cost"]),
    ("report", &["units", "stats", "record", "hardware", "llm", "summary", "reference", "fit", "cost", "claims"]),
    ("export", &["units", "stats", "record", "hardware", "llm", "summary", "fit", "cost", "claims", "report"]),
    ("store", &["units", "record"]),
    ("device", &["units", "record"]),
    ("suite", &["units", "record", "llm", "device"]),
    ("measure", &["units", "stats", "record", "summary", "store", "device", "suite"]),
];

#[test]
fn modules_use_only_what_lies_below_them() {
    let table: BTreeMap<_, _> = MAY_USE.iter().copied().collect();
    let mut wrong = Vec::new();
    for (file, text) in sources("src") {
        let module = module(&file);
        if matches!(module, "cli" | "lib" | "main") {
            continue;
        }
        let Some(allowed) = table.get(module) else {
            panic!("{file}: module '{module}' is not in the table of layers")
        };
        for (number, line) in code(&text) {
            for part in line.split("crate::").skip(1) {
                let used: String =
                    part.chars().take_while(|letter| letter.is_alphanumeric() || *letter == '_').collect();
                if !used.is_empty() && used != module && !allowed.contains(&used.as_str()) {
                    wrong.push(format!("{file}:{number}: '{module}' uses '{used}'"));
                }
            }
            // A grouped import would hide names from the scan above.
            assert!(!line.contains("crate::{"), "{file}:{number}: import from one module per line");
        }
    }
    assert!(wrong.is_empty(), "arrows reversed:\n{}", wrong.join("\n"));
}

/// Files below `src/` in which a word of code may not stand, unless `allowed` says so.
fn absent(words: &[&str], allowed: impl Fn(&str) -> bool) {
    let mut found = Vec::new();
    for (file, text) in sources("src") {
        if allowed(&file) {
            continue;
        }
        for (number, line) in code(&text) {
            if let Some(word) = words.iter().find(|word| line.contains(**word)) {
                found.push(format!("{file}:{number}: {word}"));
            }
        }
    }
    assert!(found.is_empty(), "not allowed here:\n{}", found.join("\n"));
}

#[test]
fn the_pure_modules_touch_no_device_file_clock_thread_or_environment() {
    const PURE: [&str; 14] = [
        "units",
        "stats",
        "record",
        "summary",
        "hardware",
        "llm",
        "fit",
        "cost",
        "health",
        "import",
        "reference",
        "claims",
        "report",
        "export",
    ];
    absent(
        &["std::fs", "std::env", "std::thread", "std::process", "Instant", "SystemTime", "std::net", "crate::device"],
        |file| !PURE.contains(&module(file)),
    );
}

#[test]
fn only_backends_contain_unsafe_code() {
    absent(&["unsafe {", "unsafe fn", "unsafe impl", "unsafe extern"], |file| file.starts_with("src/device/"));
}

#[test]
fn only_its_backend_names_a_library_of_gpus() {
    absent(&["wgpu::"], |file| file.starts_with("src/device/wgpu/") || file == "src/device/mod.rs");
    absent(&["cudarc::"], |file| file.starts_with("src/device/cuda/"));
    absent(&["nvml_wrapper::"], |file| file.starts_with("src/measure/telemetry/"));
}

#[test]
fn no_gpu_kernel_depends_on_the_size_of_a_subgroup() {
    let mut kernels = 0;
    for folder in fs::read_dir(root().join("kernels")).expect("a folder of ours") {
        let path = folder.expect("an entry").path().join("wgpu.wgsl");
        if let Ok(text) = fs::read_to_string(&path) {
            kernels += 1;
            assert!(!text.contains("subgroup"), "{}", path.display());
        }
    }
    assert!(kernels > 0);
}

#[test]
fn only_the_command_line_prints_or_exits() {
    absent(&["println!", "eprintln!", " print!(", "eprint!(", "process::exit", "dbg!("], |file| {
        file.starts_with("src/cli/")
    });
}

#[test]
fn nothing_panics_on_purpose_outside_tests() {
    absent(&[".unwrap()", ".expect(", "todo!(", "unimplemented!(", "panic!("], |_| false);
}

#[test]
fn files_are_short_enough_to_read() {
    let long: Vec<_> = ["src", "tests", "benches"]
        .iter()
        .flat_map(|folder| sources(folder))
        .filter(|(_, text)| text.lines().count() > 600)
        .map(|(file, text)| format!("{file}: {} lines", text.lines().count()))
        .collect();
    assert!(long.is_empty(), "files over 600 lines:\n{}", long.join("\n"));
}

/// Stems of the Rust files of a folder, but for `mod` and the names given.
fn stems(folder: &str, but: &[&str]) -> Vec<String> {
    let mut stems: Vec<_> = fs::read_dir(root().join(folder))
        .expect("a folder of ours")
        .map(|entry| entry.expect("an entry").path())
        .map(|path| path.file_stem().expect("a name").to_string_lossy().into_owned())
        .filter(|stem| stem != "mod" && !but.contains(&stem.as_str()))
        .collect();
    stems.sort();
    stems
}

fn sorted<'a>(ids: impl Iterator<Item = &'a str>) -> Vec<String> {
    let mut ids: Vec<_> = ids.map(str::to_owned).collect();
    ids.sort();
    ids
}

#[test]
fn tables_and_folders_agree() {
    let benchmarks = rooflint::suite::ALL.iter().map(|benchmark| benchmark.meta().id);
    assert_eq!(sorted(benchmarks), stems("src/suite", &["check", "grid", "load", "parallel", "shapes", "sizes"]));
    let backends = rooflint::device::BACKENDS.iter().map(|backend| backend.id);
    assert_eq!(sorted(backends), stems("src/device", &["pattern", "readback"]));
    let formats = rooflint::export::FORMATS.iter().map(|format| format.id);
    assert_eq!(sorted(formats), stems("src/export", &["claims"]));
    let sources = rooflint::import::SOURCES.iter().map(|source| source.id.replace('-', "_"));
    let others = ["archive", "columns", "error", "json", "lint", "operations", "origin", "subset", "taken"];
    assert_eq!(sorted(sources.collect::<Vec<_>>().iter().map(String::as_str)), stems("src/import", &others));
    let formats = rooflint::export::claims::FORMATS.iter().map(|format| format.id);
    assert_eq!(sorted(formats), stems("src/export/claims", &[]));
}

#[test]
fn help_lists_every_subcommand_file() {
    let help = assert_cmd::Command::cargo_bin("rooflint").expect("the program").arg("--help").output().expect("runs");
    let help = String::from_utf8(help.stdout).expect("text");
    for command in stems("src/cli", &["progress", "shapes", "values", "worker"]) {
        let command = command.replace('_', "-");
        assert!(help.lines().any(|line| line.trim_start().starts_with(&command)), "{command} is not in:\n{help}");
    }
}
