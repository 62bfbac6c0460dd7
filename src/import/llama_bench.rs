//! What llama.cpp's llama-bench writes with `-o json` or `-o jsonl`.
//!
//! Each test is a case and each of its repetitions a sample. Where it only generates, every token reads the model's
//! weights, which are declared; what a prompt computes is not, since the precision is not told. The model's file name,
//! which may hold a user's folder, is not taken over.

use serde::Deserialize;

use super::{Import, ImportError, Origin, Source, Stamp, device_named, json, taken};
use crate::hardware;
use crate::record::{AxisValue, Case, Quantity, Record, Work};
use crate::units::ByteCount;

/// The row of this source.
pub static SOURCE: Source = Source { id: "llama-bench", about: "llama-bench's JSON (-o json or -o jsonl)" };

#[derive(Deserialize)]
struct Test {
    build_commit: Option<String>,
    #[serde(default)]
    cpu_info: String,
    #[serde(default)]
    gpu_info: String,
    model_type: String,
    #[serde(default)]
    model_size: u64,
    #[serde(default)]
    n_batch: u64,
    #[serde(default)]
    n_gpu_layers: i64,
    type_k: Option<String>,
    type_v: Option<String>,
    n_prompt: u64,
    n_gen: u64,
    #[serde(default)]
    n_depth: u64,
    #[serde(default)]
    avg_ns: f64,
    #[serde(default)]
    samples_ns: Vec<f64>,
}

/// Reads a file; `name` is what messages call it.
///
/// # Errors
/// [`ImportError`] if it is no such file, or no test in it has a time.
pub fn read(bytes: &[u8], name: &str, stamp: &Stamp) -> Result<Import, ImportError> {
    const WANTED: &str = "JSON of llama-bench";
    let lines = bytes.trim_ascii_start().starts_with(b"{");
    let tests: Vec<Test> = match lines {
        false => json::read(bytes, name, WANTED)?,
        true => {
            let lines = bytes.split(|byte| *byte == b'\n').filter(|line| !line.trim_ascii().is_empty());
            lines.map(|line| json::read(line, name, WANTED)).collect::<Result<_, _>>()?
        }
    };
    let Some(first) = tests.first() else {
        return Err(ImportError::Nothing { name: name.to_owned(), problem: "it holds no test".to_owned() });
    };
    let device = if first.gpu_info.is_empty() { &first.cpu_info } else { &first.gpu_info };
    let sheet = hardware::identify(device).ok().flatten();
    let origin = Origin {
        source: "llama-bench".to_owned(),
        version: first.build_commit.clone().unwrap_or_else(|| "not told".to_owned()),
        licence: "not told".to_owned(),
        framework: None,
    };
    let device = device_named(device, sheet.as_ref());
    Import::of(name, &origin, vec![device], tests.iter().map(record).collect(), stamp)
}

fn record(test: &Test) -> Record {
    let mut axes: Vec<(&'static str, AxisValue)> = vec![
        ("model", test.model_type.as_str().into()),
        ("prompt", test.n_prompt.into()),
        ("generate", test.n_gen.into()),
        ("depth", test.n_depth.into()),
        ("batch", test.n_batch.into()),
        ("gpu_layers", u64::try_from(test.n_gpu_layers).unwrap_or(0).into()),
    ];
    axes.extend(test.type_k.as_deref().map(|word| ("type_k", word.into())));
    axes.extend(test.type_v.as_deref().map(|word| ("type_v", word.into())));
    let read = if test.n_prompt == 0 { test.model_size.saturating_mul(test.n_gen) } else { 0 };
    let work = Work { bytes_read_b: ByteCount(read), ..Work::default() };
    let quantity = if read > 0 { Quantity::Bandwidth } else { Quantity::Duration };
    let mean = [test.avg_ns];
    let times: Vec<f64> =
        if test.samples_ns.is_empty() { &mean[..] } else { &test.samples_ns }.iter().map(|time| time / 1e9).collect();
    taken::record(Case::new("llama_bench", axes, 0), quantity, work, "not told", &times)
}
