//! What the checks share: reading outputs in blocks, and saying where a result went wrong.

use super::{CheckError, Outputs, parallel};
use crate::record::{Case, CheckFailure};
use crate::units::ByteCount;

/// Words read at a time: large enough for the call to cost nothing, small enough for a cache.
pub(super) const BLOCK: usize = 1 << 16;

/// The seed of a case's `stream`-th buffer: different data in each.
pub(super) fn seed_of(case: &Case, stream: u64) -> u64 {
    case.seed.wrapping_add(stream.wrapping_mul(0x9e37_79b9_7f4a_7c15))
}

/// Hands the first `words` 32-bit words of an output to `judge`, block by block with the index of each
/// block's first word.
pub(super) fn for_each_block(
    outputs: &mut dyn Outputs,
    index: usize,
    words: u64,
    mut judge: impl FnMut(u64, &[u32]) -> Result<(), CheckFailure>,
) -> Result<(), CheckError> {
    let mut bytes = vec![0_u8; BLOCK * 4];
    let mut block = vec![0_u32; BLOCK];
    let mut at = 0;
    while at < words {
        let count = (words - at).min(BLOCK as u64) as usize;
        read_words(outputs, index, at, &mut bytes[..count * 4], &mut block[..count])?;
        judge(at, &block[..count])?;
        at += count as u64;
    }
    Ok(())
}

/// The same where blocks are judged alone: many are read, and then judged at once. What they answer comes in their order,
/// and of failures the first.
pub(super) fn for_all_blocks<T: Send>(
    outputs: &mut dyn Outputs,
    index: usize,
    words: u64,
    judge: impl Fn(u64, &[u32]) -> Result<T, CheckFailure> + Sync,
) -> Result<Vec<T>, CheckError> {
    let most = (words as usize).min(BLOCK * BLOCKS_AT_ONCE);
    let (mut bytes, mut read) = (vec![0_u8; most * 4], vec![0_u32; most]);
    let mut answers = Vec::new();
    let mut at = 0;
    while at < words {
        let read = &mut read[..(words - at).min(most as u64) as usize];
        read_words(outputs, index, at, &mut bytes[..read.len() * 4], read)?;
        let blocks: Vec<&[u32]> = read.chunks(BLOCK).collect();
        for answer in parallel::map(blocks.len(), |block| judge(at + (block * BLOCK) as u64, blocks[block])) {
            answers.push(answer?);
        }
        at += read.len() as u64;
    }
    Ok(answers)
}

/// Blocks read before they are judged.
const BLOCKS_AT_ONCE: usize = 64;

/// Reads words from the word `at` on; `bytes` is scratch of four times the length.
pub(super) fn read_words(
    outputs: &mut dyn Outputs,
    index: usize,
    at: u64,
    bytes: &mut [u8],
    into: &mut [u32],
) -> Result<(), CheckError> {
    outputs.read(index, ByteCount(at * 4), bytes)?;
    for (word, bytes) in into.iter_mut().zip(bytes.as_chunks::<4>().0) {
        *word = u32::from_le_bytes(*bytes);
    }
    Ok(())
}

/// A failure at element `index` of an output.
pub(super) fn wrong(
    output: &str,
    index: u64,
    expected: impl std::fmt::Display,
    found: impl std::fmt::Display,
) -> CheckFailure {
    CheckFailure { place: format!("{output}[{index}]"), expected: expected.to_string(), found: found.to_string() }
}

/// Whether an error is allowed. False for NaN, so that no comparison lets one through.
pub(super) fn within(error: f64, tolerance: f64) -> bool {
    error <= tolerance
}
