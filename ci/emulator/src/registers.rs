//! How many registers a kernel may need: the most values alive at once, from the text alone.
//!
//! The compiler of the real driver decides otherwise in detail; occupancy computed from this is an estimate.

use std::collections::HashMap;

use crate::ptx::{Function, Item, Type};

/// Registers of 32 bits per thread, between 16 and 255, in steps of 8.
pub fn estimate(function: &Function) -> u32 {
    let mut flat = Flat::default();
    flat.items(function.body.as_deref().unwrap_or_default());
    flat.extend_over_loops();
    let mut changes: HashMap<usize, i64> = HashMap::new();
    for (name, (first, last)) in &flat.ranges {
        let words = i64::from(flat.words.get(name).copied().unwrap_or(0));
        *changes.entry(*first).or_default() += words;
        *changes.entry(*last + 1).or_default() -= words;
    }
    let mut points: Vec<_> = changes.into_iter().collect();
    points.sort_unstable();
    let (mut alive, mut most) = (0, 0);
    for (_, change) in points {
        alive += change;
        most = most.max(alive);
    }
    // Addresses and the stack pointer take a few more.
    (most as u32 + 4).next_multiple_of(8).clamp(16, 255)
}

/// A body as a line of instructions, with where each register is first and last named.
#[derive(Default)]
struct Flat {
    at: usize,
    words: HashMap<String, u32>,
    ranges: HashMap<String, (usize, usize)>,
    labels: HashMap<String, usize>,
    jumps: Vec<(usize, String)>,
}

impl Flat {
    fn items(&mut self, items: &[Item]) {
        for item in items {
            match item {
                Item::Scope(items) => self.items(items),
                Item::Label(name) => {
                    self.labels.insert(name.clone(), self.at);
                }
                Item::Registers { ty, name, count } => {
                    let words = if *ty == Type::Pred { 0 } else { ty.bits().div_ceil(32) };
                    match count {
                        None => self.words.extend([(name.clone(), words)]),
                        Some(count) => self.words.extend((0..*count).map(|index| (format!("{name}{index}"), words))),
                    }
                }
                Item::Variable(_) => {}
                Item::Statement(statement) => {
                    for name in statement.names() {
                        if statement.opcode[0] == "bra" {
                            self.jumps.push((self.at, name.to_owned()));
                        } else if self.words.contains_key(name) {
                            let range = self.ranges.entry(name.to_owned()).or_insert((self.at, self.at));
                            range.1 = self.at;
                        }
                    }
                    self.at += 1;
                }
            }
        }
    }

    /// What is alive when a loop starts and named inside is alive to its end.
    fn extend_over_loops(&mut self) {
        for (from, label) in &self.jumps {
            let Some(start) = self.labels.get(label).filter(|start| *start <= from) else { continue };
            for (first, last) in self.ranges.values_mut() {
                if *first < *start && *last >= *start && *last < *from {
                    *last = *from;
                }
            }
        }
    }
}
