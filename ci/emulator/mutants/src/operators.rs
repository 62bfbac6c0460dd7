//! The ways to break a kernel, each applied wherever it can be: a mutant differs from the kernel in one instruction.
//!
//! | operator | what it changes |
//! |---|---|
//! | `order` | removes a barrier, a wait or a fence |
//! | `bound+1`, `bound-1` | shift what a comparison, `min` or `max` compares with by one |
//! | `index` | shifts a thread's or block's number, a number added, and the address of a load or store, by one (element); a matrix in shared memory, and either end of an asynchronous copy, by 16 bytes |
//! | `step` | removes a store, an atomic, an asynchronous copy, a product of matrix units or a step of a sum: of an addition, a multiplication and addition or an exchange between lanes one operand stays |
//! | `swap` | exchanges the operands of a subtraction, a division or a selection |

use std::collections::{BTreeMap, BTreeSet};

use crate::ptx::{Entry, File, Instruction, immediate};

/// A broken kernel.
#[derive(Clone, Debug)]
pub struct Mutant {
    pub operator: &'static str,
    /// The line of the file, counted from 1, and what stands there.
    pub line: usize,
    pub before: String,
    /// What stands there instead; nothing if it was removed.
    pub after: Vec<String>,
    /// What tells it from the others of its entry point: operator and instruction, and a number if there are several.
    pub key: String,
}

/// One change of an instruction: what it is called, and what replaces the instruction.
type Change = (&'static str, Vec<String>);

/// Opcodes that order memory or threads.
const ORDERS: &[&str] =
    &["bar", "barrier", "membar", "fence", "mbarrier", "wgmma.fence", "wgmma.wait_group", "wgmma.commit_group"];
/// And copies' waits.
const WAITS: &[&str] = &["cp.async.wait", "cp.async.commit", "cp.async.bulk.wait", "cp.async.bulk.commit"];

/// Comparisons' `==` and `!=` as well: what a loop counts to.
const COMPARISONS: &[&str] = &["lt", "le", "gt", "ge", "eq", "ne", "lo", "ls", "hi", "hs"];

/// Of changes of a kind to one opcode in straight pieces of code that have the same opcodes, more than this many are
/// thinned out to so many: what a compiler unrolled is the same again and again.
const ALIKE: usize = 24;

/// All mutants of an entry point, in order.
pub fn mutants(file: &File, entry: &Entry) -> Vec<Mutant> {
    let addresses = addresses(file, entry);
    let instructions: Vec<_> = file.instructions(entry).collect();
    let mut alike: BTreeMap<(Vec<&str>, &'static str, &str), Vec<Mutant>> = BTreeMap::new();
    for piece in instructions.split_inclusive(|(_, instruction)| ["bra", "bar"].contains(&instruction.stem())) {
        let opcodes: Vec<_> = piece.iter().map(|(_, instruction)| instruction.opcode.as_str()).collect();
        for (line, instruction) in piece {
            for (operator, lines) in changes(instruction, &addresses) {
                let (line, before) = (*line, file.line(*line).to_owned());
                let mutant = Mutant { operator, line, before, after: lines, key: String::new() };
                alike.entry((opcodes.clone(), operator, &instruction.opcode)).or_default().push(mutant);
            }
        }
    }
    let mut all: Vec<_> = alike.into_values().flat_map(thinned).collect();
    all.sort_by_key(|mutant| mutant.line);
    let mut seen: BTreeMap<String, u32> = BTreeMap::new();
    for mutant in &mut all {
        let words: Vec<_> = mutant.before.split_whitespace().collect();
        mutant.key = format!("{} {}", mutant.operator, words.join(" "));
        let count = seen.entry(mutant.key.clone()).or_default();
        *count += 1;
        if *count > 1 {
            mutant.key += &format!(" #{count}");
        }
    }
    all
}

/// Evenly spread ones of many, the first and the last among them.
fn thinned(alike: Vec<Mutant>) -> Vec<Mutant> {
    let count = alike.len();
    if count <= ALIKE {
        return alike;
    }
    let kept: BTreeSet<_> = (0..ALIKE).map(|index| index * (count - 1) / (ALIKE - 1)).collect();
    alike.into_iter().enumerate().filter(|(index, _)| kept.contains(index)).map(|(_, mutant)| mutant).collect()
}

/// Registers that hold byte addresses: those of loads and stores, and what they are sums of.
fn addresses(file: &File, entry: &Entry) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let instructions: Vec<_> = file.instructions(entry).map(|(_, instruction)| instruction).collect();
    for instruction in &instructions {
        for operand in instruction.operands.iter().filter_map(|operand| operand.strip_prefix('[')) {
            found.extend(operand.split(['+', ']']).next().map(|base| base.trim().to_owned()));
        }
    }
    loop {
        let before = found.len();
        for instruction in &instructions {
            if ["add", "mov", "cvta"].contains(&instruction.stem()) && found.contains(&instruction.operands[0]) {
                found.extend(instruction.operands[1..].iter().cloned());
            }
        }
        if found.len() == before {
            return found;
        }
    }
}

fn changes(instruction: &Instruction, addresses: &BTreeSet<String>) -> Vec<Change> {
    let orders = ORDERS.contains(&instruction.stem())
        || ORDERS.iter().chain(WAITS).any(|word| word.contains('.') && instruction.opcode.starts_with(word));
    if orders {
        return vec![("order", Vec::new())];
    }
    let mut changes = Vec::new();
    changes.extend(bounds(instruction));
    changes.extend(indices(instruction, addresses).map(|lines| ("index", lines)));
    changes.extend(matrices(instruction).map(|lines| ("index", lines)));
    changes.extend(steps(instruction).map(|line| ("step", line)));
    changes.extend(swaps(instruction).map(|line| ("swap", vec![line])));
    changes
}

/// An operand one more or one less, and the instruction that makes it so, if it takes one.
fn shifted(operand: &str, by: i64, bits: u32) -> (String, Option<String>) {
    match immediate(operand) {
        Some(number) => (wrapped(number + by, bits), None),
        None => {
            let register = format!("%mutant{bits}");
            let add = format!("add.s{bits} {register}, {operand}, {by};");
            (register, Some(add))
        }
    }
}

/// A number as its width holds it, without a sign.
fn wrapped(number: i64, bits: u32) -> String {
    let mask = if bits >= 64 { u64::MAX } else { (1 << bits) - 1 };
    if number < 0 { (number.cast_unsigned() & mask).to_string() } else { number.to_string() }
}

fn bounds(instruction: &Instruction) -> impl Iterator<Item = Change> {
    let compares = instruction.stem() == "setp"
        && instruction.opcode.split('.').nth(1).is_some_and(|word| COMPARISONS.contains(&word));
    let applies = (compares || ["min", "max"].contains(&instruction.stem())) && instruction.is_integer();
    let shift = |(operator, by)| {
        let mut operands = instruction.operands.clone();
        let last = operands.pop()?;
        let (operand, add) = shifted(&last, by, instruction.bits());
        operands.push(operand);
        Some((operator, add.into_iter().chain([instruction.of(operands).to_string()]).collect()))
    };
    [("bound+1", 1), ("bound-1", -1)].into_iter().filter(move |_| applies).filter_map(shift)
}

fn indices(instruction: &Instruction, addresses: &BTreeSet<String>) -> impl Iterator<Item = Vec<String>> {
    let stem = instruction.stem();
    let operands = &instruction.operands;
    let last = operands.last().map_or("", String::as_str);
    let place = operands.iter().position(|operand| operand.starts_with('['));
    let is_number = ["%tid.", "%ctaid.", "%ntid.", "%nctaid.", "%laneid"].iter().any(|name| last.starts_with(name));
    let lines = if stem == "mov" && is_number {
        let register = &operands[0];
        Some(vec![instruction.to_string(), format!("add.s{} {register}, {register}, 1;", instruction.bits())])
    } else if ["add", "sub", "mad"].contains(&stem) && instruction.is_integer() {
        // An address's last addition is shifted where the address is used.
        immediate(last).filter(|_| stem != "add" || !addresses.contains(&operands[0])).map(|number| {
            let mut operands = operands.clone();
            operands.pop();
            operands.push(wrapped(number + 1, instruction.bits()));
            vec![instruction.of(operands).to_string()]
        })
    } else if ["ld", "st", "atom", "red"].contains(&stem) && !instruction.opcode.contains(".param") {
        place.map(|place| {
            let inner = operands[place].trim_matches(['[', ']']);
            let (base, offset) = inner.split_once('+').unwrap_or((inner, "0"));
            let offset = immediate(offset.trim()).unwrap_or(0) + instruction.bytes();
            let mut operands = operands.clone();
            operands[place] = format!("[{base}+{offset}]");
            vec![instruction.of(operands).to_string()]
        })
    } else {
        None
    };
    lines.into_iter()
}

/// Shifts a matrix in shared memory, or an end of an asynchronous copy, by 16 bytes.
fn matrices(instruction: &Instruction) -> impl Iterator<Item = Vec<String>> {
    let with = |place: usize, operand: String| {
        let mut operands = instruction.operands.clone();
        operands[place] = operand;
        instruction.of(operands).to_string()
    };
    let address = |place: usize| {
        let inner = instruction.operands[place].trim_matches(['[', ']']);
        let (base, offset) = inner.split_once('+').unwrap_or((inner, "0"));
        vec![with(place, format!("[{base}+{}]", immediate(offset.trim()).unwrap_or(0) + 16))]
    };
    // A descriptor counts in 16 bytes.
    let descriptor = |place: usize| {
        let add = format!("add.s64 %mutant64, {}, 1;", instruction.operands[place]);
        vec![add, with(place, "%mutant64".to_owned())]
    };
    let lines = match instruction.stem() {
        "ldmatrix" => vec![address(1)],
        "cp" => vec![address(0), address(1)],
        "wgmma" => vec![descriptor(1), descriptor(2)],
        _ => Vec::new(),
    };
    lines.into_iter()
}

fn steps(instruction: &Instruction) -> impl Iterator<Item = Vec<String>> {
    let kept = |operand| Some(vec![instruction.moved(operand).to_string()]);
    // Of a number added `index` makes another; zero, with which unrolled sums begin, is no step of them.
    let is_zero = |operand: &String| ["0f00000000", "0d0000000000000000"].contains(&operand.as_str());
    let is_number = |operand: &String| immediate(operand).is_some() || is_zero(operand);
    let registers = !instruction.operands.iter().skip(1).any(is_number);
    let lines = match instruction.stem() {
        // Products of matrix units add to what their result holds.
        "st" | "atom" | "red" | "cp" | "mma" | "wgmma" => Some(Vec::new()),
        "add" if registers => kept(1),
        // The chain's number is the first factor of a float, the last operand of the others.
        "fma" => kept(1),
        "mad" | "dp4a" => kept(3),
        "redux" | "shfl" => kept(1),
        _ => None,
    };
    lines.into_iter()
}

fn swaps(instruction: &Instruction) -> impl Iterator<Item = String> {
    let mut operands = instruction.operands.clone();
    let applies = ["sub", "div", "rem", "selp"].contains(&instruction.stem()) && operands[1] != operands[2];
    if applies {
        operands.swap(1, 2);
    }
    applies.then(|| instruction.of(operands).to_string()).into_iter()
}
