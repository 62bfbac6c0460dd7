//! `memory`: the bandwidth of main memory.

use super::check::{BLOCK, for_all_blocks, for_each_block, seed_of, within, wrong};
use super::sizes::last_cache;
use super::{
    Axis, Benchmark, CheckError, Meta, Outputs, Profile, Request, Stop, WORDS_ONLY, expand, load, parallel, units_told,
};
use crate::device::{Arg, Device, Pattern, Place, Program, Slot, Step, Submit};
use crate::record::{AxisValue, Case, CheckPassed, DeviceInfo, DeviceKind, Precision, Quantity, Work};
use crate::units::{ByteCount, FlopCount, Ratio};

/// The row of this benchmark.
pub(super) struct Memory;

static META: Meta = Meta {
    id: "memory",
    question: "How fast can this device read and write its main memory?",
    formula: "bytes / median time of a repeat, with size bytes per stream: read counts size (and the 1 KiB of \
              sums it writes), write size, copy 2 x size, triad 3 x size. Triad's 2 FLOP per element are declared too.",
    caveats: &[
        "Bytes are the compulsory ones. A processor's ordinary store first reads the line it writes, which is not \
         counted: variants with non-temporal stores avoid it and normally win the race; where they are missing, \
         write, copy and triad show up to 2, 1.5 and 1.33 times less than the bus carries.",
        "A size near the last cache measures partly that cache. The read sizes of 1, 2, 4 and 8 times the cache \
         show where the rate stops falling; only the largest is a figure for memory.",
        "On a shared machine the last cache and the memory bus are shared with strangers.",
        "Huge pages are asked for; the share that was granted is in the case's conditions. With small pages \
         address translation costs bandwidth.",
    ],
    quantity: Quantity::Bandwidth,
    axes: &[
        Axis {
            name: "kernel",
            about: "what is done: read (sum), write (fill), copy, triad (out = b + s c)",
            words: &KERNELS,
            range: WORDS_ONLY,
        },
        Axis { name: "size", about: "bytes of each stream", words: &[], range: [64, 1 << 44] },
        load::AXIS,
    ],
};

const KERNELS: [&str; 4] = ["read", "write", "copy", "triad"];

/// Chunks whose sums `memory_read` writes.
pub(super) const PARTS: u64 = 256;
/// The factor of triad: its binary32 product needs rounding.
const SCALAR: f32 = 0.4;
/// The largest working set is at least this, so that start-up costs vanish.
const LEAST_LARGE: u64 = 256 << 20;
/// Sizes are whole huge pages.
const GRAIN: u64 = 2 << 20;

impl Benchmark for Memory {
    fn meta(&self) -> &'static Meta {
        &META
    }

    fn cases(&self, device: &DeviceInfo, request: &Request) -> Vec<Case> {
        let (multiple, large) = (|factor: u64| multiple(device, factor), large(device));
        // A renderer on the cores of a CPU takes seconds over each.
        let times: &[u64] = if device.kind == DeviceKind::Software { &[2] } else { &[1, 2, 4] };
        let mut plateau: Vec<u64> = times.iter().map(|times| multiple(*times)).filter(|size| *size < large).collect();
        plateau.push(large);
        if request.profile == Profile::Full {
            plateau.push(large * 2);
        }
        let chosen = request.axes.get("kernel").cloned().unwrap_or_else(|| KERNELS.map(AxisValue::from).to_vec());
        let mut cases = Vec::new();
        for kernel in chosen {
            // Reading shows where memory begins; the others follow it.
            let sizes = match request.profile {
                _ if kernel == AxisValue::from("read") => &plateau[..],
                Profile::Full => &plateau[..],
                Profile::Standard => &plateau[plateau.len().saturating_sub(2)..],
                Profile::Quick => &[large],
            };
            let sizes = sizes.iter().copied().map(AxisValue::Count).collect();
            let mut request = request.clone();
            request.axes.remove("kernel");
            cases.extend(expand(META.id, &request, &[("kernel", vec![kernel]), ("size", sizes)]));
        }
        load::under_loads(cases, device, request, |case| kernel_of(case) == "read" && case.count("size") == Some(large))
    }

    fn work(&self, case: &Case) -> Work {
        let bytes = words_of(case) * 4;
        let mut work = Work::default();
        let (read, written) = match kernel_of(case) {
            "read" => (bytes, PARTS * 4),
            "write" => (0, bytes),
            "copy" => (bytes, bytes),
            _ => {
                work.flop.insert(Precision::F32, FlopCount(2 * words_of(case)));
                (2 * bytes, bytes)
            }
        };
        (work.bytes_read_b, work.bytes_written_b) = (ByteCount(read), ByteCount(written));
        work
    }

    fn footprint(&self, _device: &DeviceInfo, case: &Case) -> ByteCount {
        self.work(case).bytes()
    }

    fn prepare(&self, case: &Case, device: &mut dyn Device) -> Result<Program, Stop> {
        let words = words_of(case);
        let size = ByteCount(words * 4);
        let output_size = if kernel_of(case) == "read" { ByteCount(PARTS * 4) } else { size };
        let mut row = Vec::new();
        for pattern in inputs(case) {
            let input = device.alloc(size, Place::Device)?;
            device.fill(input, pattern)?;
            row.push(input);
        }
        let output = device.alloc(output_size, Place::Device)?;
        device.fill(output, Pattern::Poison)?;
        row.push(output);
        let mut args: Vec<Arg> = (0..row.len() as u32).map(|slot| Arg::Buffer(Slot(slot))).collect();
        args.push(Arg::U64(words));
        let kernel = match kernel_of(case) {
            "read" => "memory_read",
            "copy" => "memory_copy",
            "write" => {
                args.push(Arg::U32(key_of(case)));
                "memory_write"
            }
            _ => {
                args.push(Arg::F32(SCALAR));
                "memory_triad"
            }
        };
        let steps = vec![Step::launch(kernel, args)];
        Ok(Program { steps, bindings: vec![row], outputs: vec![output], submit: Submit::Stream })
    }

    fn check(&self, case: &Case, outputs: &mut dyn Outputs) -> Result<CheckPassed, CheckError> {
        match (kernel_of(case), inputs(case).as_slice()) {
            ("read", [input]) => check_sums(*input, words_of(case), outputs),
            ("copy", [input]) => check_words(|start, block| input.words_into(start, block), words_of(case), outputs),
            ("triad", [b, c]) => check_triad(*b, *c, words_of(case), outputs),
            _ => check_words(|start, block| written(key_of(case), start, block), words_of(case), outputs),
        }
    }
}

/// Bytes of so many last caches.
fn multiple(device: &DeviceInfo, factor: u64) -> u64 {
    (last_cache(device) * factor).next_multiple_of(GRAIN)
}

/// The least working set of headlines on a GPU that tells its units: those are fast.
const LEAST_TOLD: u64 = 1 << 30;

/// The working set of headlines: eight last caches or more.
fn large(device: &DeviceInfo) -> u64 {
    // A renderer on the cores of a CPU takes seconds over what a GPU does in milliseconds.
    match device.kind {
        DeviceKind::Software => multiple(device, 3),
        DeviceKind::Emulated => multiple(device, 4),
        // The start of a launch is not little against 400 MB at 3 TB/s.
        _ if units_told(device).is_some() => {
            let quarter = device.memory_b.map_or(u64::MAX, |memory| memory.0 / 4 / GRAIN * GRAIN);
            multiple(device, 8).max(LEAST_TOLD).min(quarter)
        }
        _ => multiple(device, 8).max(LEAST_LARGE),
    }
}

fn kernel_of(case: &Case) -> &str {
    case.word("kernel").unwrap_or("triad")
}

/// Words of each stream.
fn words_of(case: &Case) -> u64 {
    case.count("size").unwrap_or(0) / 4
}

/// What the input buffers hold.
fn inputs(case: &Case) -> Vec<Pattern> {
    let uniform = |stream| Pattern::Uniform { precision: Precision::F32, seed: seed_of(case, stream) };
    match kernel_of(case) {
        "write" => Vec::new(),
        "triad" => vec![uniform(0), uniform(1)],
        _ => vec![Pattern::Words { seed: seed_of(case, 0) }],
    }
}

/// What `memory_write` adds to each index.
fn key_of(case: &Case) -> u32 {
    Pattern::Words { seed: seed_of(case, 0) }.word(0)
}

/// What `memory_write` leaves.
fn written(key: u32, start: u64, block: &mut [u32]) {
    for (index, word) in (start as u32..).zip(block) {
        *word = index.wrapping_add(key);
    }
}

/// Every word equals what `expected` puts there.
pub(super) fn check_words(
    expected: impl Fn(u64, &mut [u32]) + Sync,
    words: u64,
    outputs: &mut dyn Outputs,
) -> Result<CheckPassed, CheckError> {
    check_words_of(0, "out", expected, words, outputs)
}

/// The same of the `index`-th output, by a name.
pub(super) fn check_words_of(
    index: usize,
    name: &str,
    expected: impl Fn(u64, &mut [u32]) + Sync,
    words: u64,
    outputs: &mut dyn Outputs,
) -> Result<CheckPassed, CheckError> {
    for_all_blocks(outputs, index, words, |start, block| {
        let mut reference = vec![0_u32; block.len()];
        expected(start, &mut reference);
        if reference == block {
            return Ok(());
        }
        let differs = block.iter().zip(&reference).position(|(found, expected)| found != expected).unwrap_or(0);
        let (expected, found) = (reference[differs], block[differs]);
        Err(wrong(name, start + differs as u64, format!("{expected:#010x}"), format!("{found:#010x}")))
    })?;
    Ok(CheckPassed { compared: words, worst: Ratio::ZERO })
}

/// The border before chunk `part`: `words * part / 256` rounded down to 16 words, the last one `words`.
pub(super) fn border(words: u64, part: u64) -> u64 {
    if part == PARTS { words } else { (u128::from(words) * u128::from(part) / u128::from(PARTS)) as u64 / 16 * 16 }
}

/// Every chunk's sum equals the sum of the words that the input was filled with.
fn check_sums(input: Pattern, words: u64, outputs: &mut dyn Outputs) -> Result<CheckPassed, CheckError> {
    check_parts(words, outputs, |at, block| {
        input.words_into(at, block);
        block.iter().fold(0_u32, |sum, word| sum.wrapping_add(*word))
    })
}

/// Every chunk's sum equals that of its blocks; `sum` is given a block's first index and room for its words.
pub(super) fn check_parts(
    words: u64,
    outputs: &mut dyn Outputs,
    sum: impl Fn(u64, &mut [u32]) -> u32 + Sync,
) -> Result<CheckPassed, CheckError> {
    let expected = parallel::map(PARTS as usize, |part| {
        let (mut at, end) = (border(words, part as u64), border(words, part as u64 + 1));
        let mut block = vec![0_u32; (end - at).min(BLOCK as u64) as usize];
        let mut expected = 0_u32;
        while at < end {
            let block = &mut block[..(end - at).min(BLOCK as u64) as usize];
            expected = expected.wrapping_add(sum(at, block));
            at += block.len() as u64;
        }
        expected
    });
    for_each_block(outputs, 0, PARTS, |_, sums| {
        for (part, (expected, found)) in (0..).zip(expected.iter().zip(sums)) {
            if expected != found {
                return Err(wrong("out", part, format!("{expected:#010x}"), format!("{found:#010x}")));
            }
        }
        Ok(())
    })?;
    Ok(CheckPassed { compared: PARTS, worst: Ratio::ZERO })
}

/// Every element is within the rounding of a product and a sum in binary32 of its binary64 value.
fn check_triad(b: Pattern, c: Pattern, words: u64, outputs: &mut dyn Outputs) -> Result<CheckPassed, CheckError> {
    // Two roundings of at most half a unit in the last place of a number no larger than 1 + SCALAR.
    let tolerance = f64::from(f32::EPSILON) * (1.0 + f64::from(SCALAR));
    let largest = for_all_blocks(outputs, 0, words, |start, block| {
        let (mut left, mut right) = (vec![0_u32; block.len()], vec![0_u32; block.len()]);
        b.words_into(start, &mut left);
        c.words_into(start, &mut right);
        let wide = |word: &u32| f64::from(f32::from_bits(*word));
        let reference = |b: &u32, c: &u32| wide(b) + f64::from(SCALAR) * wide(c);
        let mut largest = 0.0_f64;
        let mut all_near = true;
        for ((b, c), found) in left.iter().zip(&right).zip(block) {
            let error = (wide(found) - reference(b, c)).abs();
            all_near &= within(error, tolerance);
            largest = if error > largest { error } else { largest };
        }
        if all_near {
            return Ok(largest);
        }
        let off = |index: &usize| {
            let error = (wide(&block[*index]) - reference(&left[*index], &right[*index])).abs();
            !within(error, tolerance)
        };
        let index = (0..block.len()).find(off).unwrap_or(0);
        let expected = format!("{} within {tolerance:.1e}", reference(&left[index], &right[index]));
        Err(wrong("out", start + index as u64, expected, f32::from_bits(block[index])))
    })?;
    let worst = largest.into_iter().fold(0.0, f64::max);
    Ok(CheckPassed { compared: words, worst: Ratio::new(worst / tolerance).unwrap_or(Ratio::ZERO) })
}
