//! `cache_read`: a work group per unit.

use super::{ALIGNED_WORDS, Binding, Code, Dispatch, Facts, Kernel, Value, constants, refuse};
use crate::device::DeviceError;
use crate::units::ByteCount;

pub(in super::super) static KERNEL: Kernel = Kernel { id: "cache_read", variants, dispatches };

/// Name, invocations of a work group.
const VARIANTS: [(&str, u64); 3] = [("vec4_64", 64), ("vec4_256", 256), ("vec4_1024", 1024)];

/// Words of a line, and sums of a unit.
const LANES: u64 = 16;
/// Turns of an invocation's loops in one dispatch, at most: well below what ends a loop.
const TURNS_MAX: u64 = 30_000;

fn variants(_args: &[Value], facts: &Facts) -> Vec<&'static str> {
    VARIANTS.iter().filter(|(_, group)| *group <= facts.group).map(|(name, _)| *name).collect()
}

/// The border before part `unit`, as in the kernel's contract.
fn border(words: u64, unit: u64, units: u64) -> u64 {
    if unit == units { words } else { words * unit / units / LANES * LANES }
}

/// The units of a dispatch, and the words bound to it.
struct Part {
    units: std::ops::Range<u64>,
    words: std::ops::Range<u64>,
}

/// Cuts the working set into bindings of whole units.
fn parts(words: u64, units: u64, shared: bool, facts: &Facts) -> Result<Vec<Part>, DeviceError> {
    let most = facts.binding / 4;
    let too_large = |words: u64| {
        let [asked, most] = [words * 4, facts.binding].map(ByteCount);
        DeviceError::Unsupported(format!(
            "a unit reads {asked}, which does not fit one binding; on this device that is at most {most}"
        ))
    };
    let span = |first: u64, last: u64| {
        let start = border(words, first, units) / ALIGNED_WORDS * ALIGNED_WORDS;
        start..border(words, last, units).next_multiple_of(ALIGNED_WORDS).max(start + ALIGNED_WORDS)
    };
    let fits = |range: &std::ops::Range<u64>| range.end - range.start <= most;
    if shared {
        let all = span(0, units);
        return if fits(&all) { Ok(vec![Part { units: 0..units, words: all }]) } else { Err(too_large(words)) };
    }
    let mut parts = Vec::new();
    let mut first = 0;
    while first < units {
        let last = (first + 1..=units).rfind(|last| fits(&span(first, *last)));
        let last = last.ok_or_else(|| too_large(words / units))?;
        parts.push(Part { units: first..last, words: span(first, last) });
        first = last;
    }
    Ok(parts)
}

fn dispatches(args: &[Value], name: &str, facts: &Facts) -> Result<Vec<Dispatch>, DeviceError> {
    const SIGNATURE: &str = "cache_read(in, out, words: U64, passes: U64, units: U64, shared: U32) with in of words \
                             or more and out of 16 words per unit or more";
    let [Value::Buffer(from), Value::Buffer(out), Value::U64(words), rest @ ..] = args else {
        return refuse(SIGNATURE);
    };
    let [Value::U64(passes), Value::U64(units), Value::U32(shared)] = rest else { return refuse(SIGNATURE) };
    let fits = words <= from
        && *words <= u64::from(u32::MAX)
        && (1..=u64::from(facts.groups)).contains(units)
        && units * LANES <= *out;
    if !fits {
        return refuse(SIGNATURE);
    }
    let (_, group) = *VARIANTS.iter().find(|(known, _)| *known == name).unwrap_or(&VARIANTS[0]);
    let code = Code {
        prefix: constants(&[("GROUP", group as u32)]),
        text: include_str!("../../../../kernels/cache_read/wgpu.wgsl"),
    };
    let sums = (units * LANES).next_multiple_of(ALIGNED_WORDS) * 4;
    let sums = Binding { number: 2, argument: 1, bytes: 0..sums };
    let uniform = |first: u64, passes: u64, base: u64| {
        [*words, *units, first, passes, u64::from(*shared != 0), base, 0].map(|number| number as u32).to_vec()
    };
    let mut dispatches = vec![Dispatch {
        code: code.clone(),
        entry: "clear",
        uniform: uniform(0, 0, 0),
        bindings: vec![sums.clone()],
        grid: [(units * LANES).div_ceil(group) as u32, 1, 1],
    }];
    for Part { units: range, words: bound } in parts(*words, *units, *shared != 0, facts)? {
        let longest = if *shared != 0 { *words } else { words / units + 2 * LANES };
        // Turns of one pass: four packs each; and beside those, single ones and the ends of two loops in either part, the
        // ends of the parts, and the pass itself. The software driver counts the end of a loop as a turn.
        let turns = longest / (16 * group) + 16;
        let most = (TURNS_MAX / turns).max(1);
        for done in (0..*passes).step_by(most as usize) {
            dispatches.push(Dispatch {
                code: code.clone(),
                entry: "main",
                uniform: uniform(range.start, most.min(passes - done), bound.start),
                bindings: vec![Binding { number: 1, argument: 0, bytes: bound.start * 4..bound.end * 4 }, sums.clone()],
                grid: [(range.end - range.start) as u32, 1, 1],
            });
        }
    }
    Ok(dispatches)
}

#[cfg(test)]
mod tests {
    use super::super::tests::facts;
    use super::*;

    #[test]
    fn parts_hold_every_unit_once_and_its_words() {
        for (words, units) in [(16, 1), (1000, 3), (4099, 7), (65_536, 8)] {
            let parts = parts(words, units, false, &facts(64 << 10)).unwrap();
            let mut next = 0;
            for part in &parts {
                assert_eq!(part.units.start, next);
                assert!(part.words.start <= border(words, part.units.start, units));
                assert!(part.words.end >= border(words, part.units.end, units));
                assert!(part.words.end - part.words.start <= 16 << 10 && part.words.start.is_multiple_of(64));
                next = part.units.end;
            }
            assert_eq!(next, units);
        }
        assert!(parts(65_536, 8, true, &facts(64 << 10)).is_err());
        assert!(parts(65_536, 1, false, &facts(64 << 10)).is_err());
    }

    #[test]
    fn passes_are_cut_below_what_ends_a_loop() {
        for (words, passes, shared) in [(16, 1 << 18, 0), (4096, 8192, 0), (1 << 20, 40, 1), (1 << 22, 3, 1)] {
            let args = [
                Value::Buffer(words),
                Value::Buffer(64),
                Value::U64(words),
                Value::U64(passes),
                Value::U64(4),
                Value::U32(shared),
            ];
            for (name, group) in VARIANTS {
                let dispatches = dispatches(&args, name, &facts(128 << 20)).unwrap();
                let done: u64 = dispatches.iter().map(|dispatch| u64::from(dispatch.uniform[3])).sum();
                assert_eq!(done, passes);
                for dispatch in dispatches {
                    let part = if shared == 1 { words } else { words / 4 };
                    let turns = u64::from(dispatch.uniform[3]) * (part / (16 * group) + 2 * (3 + 2) + 3 + 1);
                    assert!(turns < 65_535, "{turns} turns");
                }
            }
        }
    }
}
