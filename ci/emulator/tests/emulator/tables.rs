//! Where elements of matrix instructions lie, against tables made with an independent package: see `tests/tables/make`.

use rooflint_emulator::isa::matrix::{place_a, place_b, place_c};
use rooflint_emulator::isa::wgmma::{Descriptor, place_d};

use crate::bench::words;

const LAYOUTS: &str = include_str!("../tables/layouts.txt");

/// The numbers of the line with a name.
fn numbers(name: &str) -> Vec<usize> {
    let line = LAYOUTS.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "));
    let numbers = line.unwrap_or_else(|| panic!("no line '{name}'")).split(' ');
    numbers.map(|number| number.parse().expect("a number")).collect()
}

/// Bits of an element, for each format of a warp's products.
const FORMATS: [(&str, usize); 6] = [("f16", 16), ("bf16", 16), ("tf32", 32), ("i8", 8), ("e4m3", 8), ("e5m2", 8)];

#[test]
fn fragments_of_a_warp_are_those_of_the_tables() {
    for (name, bits) in FORMATS {
        let (w, k) = (32 / bits, 256 / bits);
        let each = |part: &str, count: usize, place: &dyn Fn(usize, usize) -> usize| {
            let expected = numbers(&format!("fragment {name} {part}"));
            assert_eq!(expected.len(), 32 * count, "{name} {part}");
            for (index, expected) in expected.into_iter().enumerate() {
                let (lane, e) = (index / count, index % count);
                assert_eq!(place(lane, e), expected, "{name} {part}: element {e} of lane {lane}");
            }
        };
        each("a", 16 * k / 32, &|lane, e| {
            let (row, column) = place_a(lane, e, w);
            row + 16 * column
        });
        each("b", 8 * k / 32, &|lane, e| {
            let (row, column) = place_b(lane, e, w);
            column + 8 * row
        });
        each("c", 4, &|lane, e| {
            let (row, column) = place_c(lane, e);
            row + 16 * column
        });
    }
}

#[test]
fn sums_of_a_warpgroup_are_where_the_table_has_them() {
    for (index, expected) in numbers("fragment warpgroup c").into_iter().enumerate() {
        let (thread, e) = (index / 64, index % 64);
        let (row, column) = place_d(thread % 32, e);
        assert_eq!(16 * (thread / 32) + row + 64 * column, expected, "sum {e} of thread {thread}");
    }
}

/// Runs `ldmatrix` over elements that are their own index, and compares every register of every lane.
#[test]
fn ldmatrix_gives_the_elements_of_the_table() {
    for (name, option) in [("plain", ""), ("transposed", ".trans")] {
        let expected = numbers(&format!("ldmatrix {name}"));
        for register in 0..4 {
            // Lane l fills row l with 8 l, 8 l + 1, …: 16 bytes of it, and is the one to give that row's address.
            let mut body = String::from("mov.u32 %r2, buffer;\nshl.b32 %r3, %r1, 4;\nadd.u32 %r2, %r2, %r3;\n");
            for pair in 0..4 {
                let low = 2 * pair;
                body += &format!(
                    "mad.lo.u32 %r4, %r1, 8, {low};\nadd.u32 %r5, %r4, 1;\nshl.b32 %r5, %r5, 16;\n\
                     or.b32 %r4, %r4, %r5;\nst.shared.u32 [%r2+{}], %r4;\n",
                    4 * pair
                );
            }
            body += &format!(
                "bar.warp.sync -1;\n\
                 ldmatrix.sync.aligned.m8n8.x4{option}.shared.b16 {{%r10, %r11, %r12, %r13}}, [%r2];\n\
                 mov.u32 %r0, %r1{register};\n"
            );
            let found = words(32, &body).expect("a run");
            for (lane, word) in found.into_iter().enumerate() {
                let pair = [word & 0xffff, word >> 16].map(|element| element as usize);
                assert_eq!(
                    pair[..],
                    expected[8 * lane + 2 * register..][..2],
                    "{name}: register {register}, lane {lane}"
                );
            }
        }
    }
}

#[test]
fn descriptors_lead_to_the_chunks_of_the_tables() {
    let mut compared = 0;
    for line in LAYOUTS.lines().filter_map(|line| line.strip_prefix("descriptor ")) {
        let (name, expected) = line.split_once(": ").expect("a name");
        let [swizzle, major, leading, stride] = name.split(' ').collect::<Vec<_>>()[..] else { panic!("{name}") };
        let [leading, stride] = [leading, stride].map(|number| number.parse::<u64>().expect("a number"));
        let code = ["none", "128", "64", "32"].iter().position(|known| *known == swizzle).expect("a swizzle") as u64;
        let start = 0x8000;
        let bits = code << 62 | (stride / 16) << 32 | (leading / 16) << 16 | (start / 16);
        let descriptor = Descriptor::of(bits).expect("a descriptor");
        let transposed = major == "mn";
        let chunks = if transposed { 8 } else { 2 };
        for (index, expected) in (0..).zip(expected.split(' ')) {
            let (across, chunk) = (index / chunks, index % chunks);
            let found = descriptor.chunk(across, 16 * chunk, transposed);
            assert_eq!(found - start, expected.parse::<u64>().expect("a number"), "{name}: {across}, chunk {chunk}");
            compared += 1;
        }
    }
    assert!(compared > 1000, "{compared}");
}
