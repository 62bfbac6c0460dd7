//! Checks on all of the host's processors: a GPU's gigabyte would otherwise take longer to check than to measure.

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

/// `work` of every number below `parts`, on as many threads as there are processors; the answers in order.
pub(super) fn map<T: Send>(parts: usize, work: impl Fn(usize) -> T + Sync) -> Vec<T> {
    let threads = std::thread::available_parallelism().map_or(1, usize::from).min(parts);
    if threads <= 1 {
        return (0..parts).map(work).collect();
    }
    let next = AtomicUsize::new(0);
    let answers = Mutex::new(Vec::with_capacity(parts));
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                loop {
                    let part = next.fetch_add(1, Ordering::Relaxed);
                    if part >= parts {
                        break;
                    }
                    let answer = work(part);
                    answers.lock().unwrap_or_else(std::sync::PoisonError::into_inner).push((part, answer));
                }
            });
        }
    });
    let mut answers = answers.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner);
    answers.sort_unstable_by_key(|(part, _)| *part);
    answers.into_iter().map(|(_, answer)| answer).collect()
}

#[cfg(test)]
mod tests {
    #[test]
    fn answers_come_in_order_and_every_part_once() {
        for parts in [0, 1, 2, 3, 100, 1001] {
            assert!(super::map(parts, |part| part * part).into_iter().eq((0..parts).map(|part| part * part)));
        }
    }
}
