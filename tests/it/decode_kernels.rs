//! The kernels of a decode step, on every device that has them: each way that a device offers, in every format, at many
//! shapes, against binary64; and every byte that a kernel must leave alone.

use rooflint::device::{Arg, Place, Program, Slot, Step, Submit};
use rooflint::record::Precision;
use rooflint::stats::SplitMix64;
use rooflint::units::ByteCount;

use crate::conformance::once;
use crate::decode_launch::{
    FORMATS, Held, assert_holds, assert_holds_at, assert_untouched, code, each_device, every_way,
};
use crate::decode_reference::{self as reference, About, Heads};

#[test]
fn embed_copies_rows_and_adds_positions() {
    each_device(|device| {
        for (rows, width) in [(1, 8), (2, 48), (5, 264), (5, 1024), (2, 2056)] {
            for (format, learned) in FORMATS.into_iter().flat_map(|format| [(format, 0), (format, 1)]) {
                let tokens: Vec<u32> = [6, 0, 3, 6, 1].into_iter().take(rows).collect();
                let held = [
                    Held::words(&tokens),
                    Held::random(format, 7 * width, 1.0, 1),
                    Held::random(format, 3 * width, 1.0, 2),
                    Held::poison(format, rows * width),
                ];
                let numbers = [rows as u64, width as u64, 2].map(Arg::U64);
                let numbers = numbers.into_iter().chain([code(format), learned].map(Arg::U32)).collect();
                every_way(device, "embed", &held, numbers, |found| {
                    let (table, positions) = (held[1].numbers(), held[2].numbers());
                    let position = (learned == 1).then(|| &positions[2 * width..]);
                    let expected = reference::embed(&tokens, &table, position, width);
                    assert_holds(&found[3], &held[3], &expected, "out");
                    assert_untouched(found, &held, &[0, 1, 2]);
                });
            }
        }
    });
}

const ADD: u32 = 1;
const ADD_BIAS: u32 = 2;
const LAYER: u32 = 4;

#[test]
fn add_norm_adds_and_normalises() {
    each_device(|device| {
        for (rows, width) in [(1, 8), (2, 40), (5, 576), (3, 2056), (2, 8200), (1030, 8)] {
            let every = FORMATS.into_iter().flat_map(|format| (0..8).map(move |flags| (format, flags)));
            // More rows than blocks take at once are the same in all formats.
            for (format, flags) in
                every.filter(|(format, flags)| rows < 1000 || (*format, *flags) == (Precision::Bf16, 7))
            {
                // Far from zero, so that a variance about anything but the mean shows.
                let held = |count, seed| Held::random(format, count, 2.0, seed);
                let far: Vec<f64> = held(rows * width, 1).numbers().iter().map(|x| x + 3.0).collect();
                let held = [
                    Held::of(format, &far),
                    held(rows * width, 2),
                    held(width, 3),
                    held(width, 4),
                    held(width, 5),
                    Held::poison(format, rows * width),
                    Held::poison(format, rows * width),
                ];
                let numbers = [Arg::U64(rows as u64), Arg::U64(width as u64), Arg::U32(code(format)), Arg::U32(flags)];
                every_way(device, "add_norm", &held, numbers.into(), |found| {
                    let [input, delta, bias, gain, shift] =
                        [0, 1, 2, 3, 4].map(|argument: usize| held[argument].numbers());
                    // What follows the sum takes it as the device rounded it.
                    let sums = if flags & ADD != 0 {
                        let bias = (flags & ADD_BIAS != 0).then_some(&bias[..]);
                        assert_holds(&found[5], &held[5], &reference::add(&input, &delta, bias, width), "sum");
                        found[5].numbers()
                    } else {
                        assert_untouched(found, &held, &[5]);
                        input
                    };
                    let shift = (flags & LAYER != 0).then_some(&shift[..]);
                    let rows = sums[..rows * width].chunks(width);
                    let expected: Vec<_> = rows.flat_map(|row| reference::norm(row, &gain, shift)).collect();
                    assert_holds(&found[6], &held[6], &expected, "out");
                    assert_untouched(found, &held, &[0, 1, 2, 3, 4]);
                });
            }
        }
    });
}

/// A KV cache: sequences of so many pages of so many tokens.
#[derive(Debug, Clone, Copy)]
struct Paging {
    page: usize,
    pages_each: usize,
}

impl Paging {
    /// Room for a context: one page, or many of 16 tokens.
    fn of(context: usize, paged: bool) -> Self {
        match paged {
            false => Self { page: context.next_multiple_of(16), pages_each: 1 },
            true => Self { page: 16, pages_each: context.div_ceil(16) + 1 },
        }
    }

    /// The pages of all sequences, in no order, of a cache that has one more.
    fn pages(self, rows: usize) -> Vec<u32> {
        let mut pages: Vec<u32> = (0..(rows * self.pages_each) as u32 + 1).collect();
        let mut random = SplitMix64::new(9);
        for at in (1..pages.len()).rev() {
            pages.swap(at, (random.next_f64() * (at + 1) as f64) as usize);
        }
        pages.truncate(rows * self.pages_each);
        pages
    }

    /// Numbers of a cache of keys or values.
    fn numbers(self, rows: usize, of: Heads) -> usize {
        (rows * self.pages_each + 1) * self.page * of.kv_heads * of.head_dim
    }

    /// Where a token's key or value begins.
    fn place(self, pages: &[u32], of: Heads, row: usize, kv_head: usize, token: usize) -> usize {
        let page = pages[row * self.pages_each + token / self.page] as usize;
        ((page * of.kv_heads + kv_head) * self.page + token % self.page) * of.head_dim
    }
}

#[test]
fn rotate_turns_queries_and_appends_keys_and_values() {
    each_device(|device| {
        for (rows, of, position, paged) in [
            (1, Heads { heads: 1, kv_heads: 1, head_dim: 8 }, 0, false),
            (2, Heads { heads: 4, kv_heads: 4, head_dim: 48 }, 15, false),
            (5, Heads { heads: 6, kv_heads: 2, head_dim: 64 }, 16, true),
            (3, Heads { heads: 8, kv_heads: 1, head_dim: 128 }, 99, true),
            (2, Heads { heads: 4, kv_heads: 2, head_dim: 256 }, 40, false),
        ] {
            for (format, flags) in FORMATS.into_iter().flat_map(|format| (0..4).map(move |flags| (format, flags))) {
                let paging = Paging::of(position + 1, paged);
                let (pages, cache) = (paging.pages(rows), paging.numbers(rows, of));
                let width = (of.heads + 2 * of.kv_heads) * of.head_dim;
                let angle = |index: usize| [(index as f64 * 0.37).cos(), (index as f64 * 0.37).sin()];
                let held = [
                    Held::random(format, rows * width, 2.0, 1),
                    Held::random(format, width, 1.0, 2),
                    Held::of(Precision::F32, &(0..of.head_dim / 2).flat_map(angle).collect::<Vec<_>>()),
                    Held::poison(format, rows * of.heads * of.head_dim),
                    Held::poison(format, cache),
                    Held::poison(format, cache),
                    Held::words(&pages),
                ];
                let numbers = [rows, of.heads, of.kv_heads, of.head_dim, position, paging.page, paging.pages_each];
                let numbers = numbers.map(|number| Arg::U64(number as u64)).into_iter();
                let numbers = numbers.chain([code(format), flags].map(Arg::U32)).collect();
                every_way(device, "rotate", &held, numbers, |found| {
                    let [qkv, bias, angles] = [0, 1, 2].map(|argument: usize| held[argument].numbers());
                    let (angles, bias) =
                        ((flags & 1 != 0).then_some(&angles[..]), (flags & 2 != 0).then_some(&bias[..]));
                    let mut expected = [Vec::new(), Vec::new(), Vec::new()];
                    for (r, row) in qkv.chunks(width).enumerate() {
                        for (at, number) in reference::rotate(row, bias, angles, of).into_iter().enumerate() {
                            let (head, within) = (at / of.head_dim, at % of.head_dim);
                            let place = |kv_head| paging.place(&pages, of, r, kv_head, position) + within;
                            match head.checked_sub(of.heads) {
                                None => expected[0].push((r * of.heads * of.head_dim + at, number)),
                                Some(head) if head < of.kv_heads => expected[1].push((place(head), number)),
                                Some(head) => expected[2].push((place(head - of.kv_heads), number)),
                            }
                        }
                    }
                    for ((argument, what), expected) in [(3, "q"), (4, "keys"), (5, "values")].into_iter().zip(expected)
                    {
                        assert_holds_at(&found[argument], &held[argument], expected.into_iter(), what);
                    }
                    assert_untouched(found, &held, &[0, 1, 2, 6]);
                });
            }
        }
    });
}

/// A launch of attention.
#[derive(Debug, Clone, Copy)]
struct Attention {
    rows: usize,
    of: Heads,
    first: usize,
    context: usize,
    paged: bool,
    splits: usize,
    /// Queries are of [-scale, scale).
    scale: f64,
}

impl Attention {
    /// Tokens of each band.
    fn bands(&self) -> Vec<std::ops::Range<usize>> {
        let band = (self.context - self.first).div_ceil(self.splits).next_multiple_of(16);
        let border = |split: usize| (self.first + split * band).min(self.context);
        (0..self.splits).map(|split| border(split)..border(split + 1)).collect()
    }

    fn held(&self, format: Precision) -> Vec<Held> {
        let paging = Paging::of(self.context, self.paged);
        let (numbers, cache) = (self.rows * self.of.heads * self.of.head_dim, paging.numbers(self.rows, self.of));
        let parts = self.rows * self.of.heads * self.splits * (self.of.head_dim + 2);
        // Tokens outside the context are no numbers: whoever reads one has it in the result.
        let cached = |seed: u64| {
            let mut random = SplitMix64::new(seed);
            let mut all = vec![f64::NAN; cache];
            for (row, kv_head, token) in self.tokens() {
                let place = paging.place(&paging.pages(self.rows), self.of, row, kv_head, token);
                all[place..place + self.of.head_dim].fill_with(|| 2.0 * random.next_f64() - 1.0);
            }
            Held::of(format, &all)
        };
        vec![
            Held::random(format, numbers, self.scale, 1),
            cached(2),
            cached(3),
            Held::words(&paging.pages(self.rows)),
            Held::poison(Precision::F32, parts),
            Held::poison(format, numbers),
        ]
    }

    /// Every token of the context, as (sequence, KV head, token).
    fn tokens(&self) -> impl Iterator<Item = (usize, usize, usize)> {
        let (kv_heads, first, context) = (self.of.kv_heads, self.first, self.context);
        (0..self.rows).flat_map(move |row| {
            (0..kv_heads).flat_map(move |kv_head| (first..context).map(move |token| (row, kv_head, token)))
        })
    }

    fn args(&self, format: Precision) -> Vec<Arg> {
        let Paging { page, pages_each } = Paging::of(self.context, self.paged);
        let Heads { heads, kv_heads, head_dim } = self.of;
        let sizes = [self.rows, heads, kv_heads, head_dim, self.first, self.context, page, pages_each, self.splits];
        sizes.map(|size| Arg::U64(size as u64)).into_iter().chain([Arg::U32(code(format))]).collect()
    }

    /// What each band of each head of each sequence comes to; with one split what `out` must hold.
    fn check(&self, found: &[Held], held: &[Held]) {
        let paging = Paging::of(self.context, self.paged);
        let pages = paging.pages(self.rows);
        let [q, keys, values] = [0, 1, 2].map(|argument: usize| held[argument].numbers());
        let (dim, heads) = (self.of.head_dim, self.of.heads);
        let mut parts = Vec::new();
        let mut out = Vec::new();
        for (index, query) in q.chunks(dim).enumerate() {
            let (row, kv_head) = (index / heads, index % heads * self.of.kv_heads / heads);
            let token = |token| {
                let place = paging.place(&pages, self.of, row, kv_head, token);
                (&keys[place..place + dim], &values[place..place + dim])
            };
            for (split, tokens) in self.bands().into_iter().enumerate() {
                let tokens: Vec<_> = tokens.map(token).collect();
                let band = reference::band(query, &tokens);
                let at = (index * self.splits + split) * (dim + 2);
                if !tokens.is_empty() {
                    parts.push((at, band.top));
                }
                parts.push((at + 1, band.weight));
                parts.extend((at + 2..).zip(band.values));
                if self.splits == 1 {
                    out.extend(reference::attend(query, &tokens));
                } else if tokens.is_empty() {
                    assert_eq!(found[4].numbers()[at], f64::NEG_INFINITY, "{self:?}: an empty band's largest score");
                }
            }
        }
        if self.splits == 1 {
            assert_holds(&found[5], &held[5], &out, "out");
            assert_untouched(found, held, &[0, 1, 2, 3, 4]);
        } else {
            // The place of an empty band's score, compared above.
            let mut before = held[4].clone();
            for (at, _) in before.numbers().into_iter().enumerate().filter(|(at, _)| at % (dim + 2) == 0) {
                before.bytes[4 * at..][..4].copy_from_slice(&found[4].bytes[4 * at..][..4]);
            }
            let parts_end = self.rows * heads * self.splits * (dim + 2);
            assert_eq!(found[4].bytes[4 * parts_end..], held[4].bytes[4 * parts_end..], "past the parts");
            assert_holds_at(&found[4], &before, parts.into_iter(), "parts");
            assert_untouched(found, held, &[0, 1, 2, 3, 5]);
        }
    }
}

#[test]
fn attention_weighs_values_by_their_scores() {
    let of = |heads, kv_heads, head_dim| Heads { heads, kv_heads, head_dim };
    let plain = Attention { rows: 1, of: of(1, 1, 8), first: 0, context: 1, paged: false, splits: 1, scale: 1.0 };
    let cases = [
        plain,
        Attention { rows: 2, of: of(2, 2, 64), context: 15, ..plain },
        Attention { rows: 5, of: of(4, 2, 64), context: 16, paged: true, ..plain },
        Attention { rows: 1, of: of(8, 1, 128), context: 17, paged: true, ..plain },
        Attention { rows: 2, of: of(3, 3, 48), context: 100, ..plain },
        Attention { rows: 2, of: of(18, 2, 64), context: 100, first: 37, paged: true, ..plain },
        Attention { rows: 1, of: of(4, 1, 256), context: 100, first: 99, ..plain },
        Attention { rows: 1, of: of(4, 4, 128), context: 1000, scale: 64.0, ..plain },
        Attention { rows: 2, of: of(8, 2, 128), context: 1000, first: 5, paged: true, scale: 8.0, ..plain },
        Attention { rows: 1, of: of(2, 1, 256), context: 1000, scale: 128.0, ..plain },
        Attention { rows: 2, of: of(4, 2, 64), context: 100, splits: 3, ..plain },
        Attention { rows: 5, of: of(2, 2, 48), context: 17, splits: 3, ..plain },
        // Heads that fill no whole number of registers, and groups of odd sizes.
        Attention { rows: 2, of: of(7, 1, 24), context: 37, ..plain },
        Attention { rows: 2, of: of(18, 2, 200), context: 53, ..plain },
        Attention { of: of(8, 1, 128), context: 1000, first: 3, splits: 3, paged: true, scale: 32.0, ..plain },
        Attention { rows: 1, of: of(14, 2, 64), context: 1000, splits: 70, ..plain },
        Attention { rows: 2, of: of(2, 1, 256), context: 100, splits: 9, paged: true, ..plain },
    ];
    each_device(|device| {
        for (case, format) in cases.iter().flat_map(|case| FORMATS.map(|format| (case, format))) {
            let held = case.held(format);
            every_way(device, "attention", &held, case.args(format), |found| case.check(found, &held));
        }
    });
}

#[test]
fn attention_join_joins_bands_and_passes_over_empty_ones() {
    each_device(|device| {
        for (rows, heads, dim, splits) in [(1, 1, 8, 2), (2, 3, 48, 3), (5, 4, 64, 1), (2, 8, 128, 70), (1, 2, 256, 9)]
        {
            for format in FORMATS {
                let mut parts = Held::random(Precision::F32, rows * heads * splits * (dim + 2), 20.0, 1).numbers();
                for (number, band) in parts.chunks_mut(dim + 2).enumerate() {
                    band[1] = band[1].abs() + 1.0;
                    // The first band of a head is never empty, nor are all the others.
                    if number % splits % 3 == 1 {
                        band.fill(0.0);
                        band[0] = f64::NEG_INFINITY;
                    }
                }
                let held = [Held::of(Precision::F32, &parts), Held::poison(format, rows * heads * dim)];
                let numbers = [rows, heads, dim, splits].map(|number| Arg::U64(number as u64)).into_iter();
                let numbers = numbers.chain([Arg::U32(code(format))]).collect();
                every_way(device, "attention_join", &held, numbers, |found| {
                    let join = |bands: &[f64]| {
                        let bands: Vec<_> = bands.chunks(dim + 2).map(|band| (band[0], band[1], &band[2..])).collect();
                        reference::join(&bands)
                    };
                    let expected: Vec<_> = held[0].numbers().chunks(splits * (dim + 2)).flat_map(join).collect();
                    assert_holds(&found[1], &held[1], &expected, "out");
                    assert_untouched(found, &held, &[0]);
                });
            }
        }
    });
}

/// Bands that are joined are what one launch without bands gives.
#[test]
fn bands_that_are_joined_are_the_whole() {
    let case = Attention {
        rows: 2,
        of: Heads { heads: 8, kv_heads: 2, head_dim: 64 },
        first: 11,
        context: 517,
        paged: true,
        splits: 5,
        scale: 4.0,
    };
    each_device(|device| {
        for format in FORMATS {
            let held = case.held(format);
            let whole = Attention { splits: 1, ..case };
            let parts = std::cell::RefCell::new(held[4].clone());
            every_way(device, "attention", &held, case.args(format), |found| *parts.borrow_mut() = found[4].clone());
            let numbers = [case.rows, case.of.heads, case.of.head_dim, case.splits].map(|size| Arg::U64(size as u64));
            let numbers = numbers.into_iter().chain([Arg::U32(code(format))]).collect();
            every_way(device, "attention_join", &[parts.into_inner(), held[5].clone()], numbers, |found| {
                let mut all = whole.held(format);
                let before = all.clone();
                all[5] = found[1].clone();
                whole.check(&all, &before);
            });
        }
    });
}

#[test]
fn activate_is_the_gated_or_the_plain_function() {
    each_device(|device| {
        for (rows, inner) in [(1, 8), (2, 136), (5, 1032), (2, 4096)] {
            for (format, flags) in FORMATS.into_iter().flat_map(|format| (0..4).map(move |flags| (format, flags))) {
                let halves = if flags & 1 != 0 { 2 } else { 1 };
                let mut input = Held::random(format, rows * halves * inner, 6.0, 1).numbers();
                // Where an exponential without care is no number, or nothing is left of 1 + tanh.
                input[..6].copy_from_slice(&[200.0, -200.0, 0.0, -12.0, 12.0, 1e-4]);
                let held = [
                    Held::of(format, &input),
                    Held::random(format, halves * inner, 1.0, 2),
                    Held::poison(format, rows * inner),
                ];
                let numbers = [Arg::U64(rows as u64), Arg::U64(inner as u64), Arg::U32(code(format)), Arg::U32(flags)];
                every_way(device, "activate", &held, numbers.into(), |found| {
                    let (input, bias) = (held[0].numbers(), held[1].numbers());
                    let bias = (flags & 2 != 0).then_some(&bias[..]);
                    let rows = input.chunks(halves * inner);
                    let expected: Vec<_> =
                        rows.flat_map(|row| reference::activate(row, bias, flags & 1 != 0)).collect();
                    assert_holds(&found[2], &held[2], &expected, "out");
                    assert_untouched(found, &held, &[0, 1]);
                });
            }
        }
    });
}

/// Where one binding of memory does not hold all of a table or a KV cache, all of it is reached all the same.
#[test]
fn tables_and_caches_may_be_larger_than_a_binding() {
    const FORMAT: Precision = Precision::F32;
    let of = Heads { heads: 4, kv_heads: 2, head_dim: 64 };
    // 144 MiB each; Mesa's software driver binds 128.
    let (rows, context, page) = (4_usize, 17_usize, 73_728_usize);
    let numbers = rows * of.kv_heads * page * of.head_dim;
    each_device(|device| {
        let mark = device.mark();
        let mut alloc = |numbers: usize| {
            let buffer = device.alloc(ByteCount(numbers as u64 * FORMAT.size()), Place::Device).unwrap();
            device.fill(buffer, rooflint::device::Pattern::Poison).unwrap();
            buffer
        };
        let [keys, values] = [numbers; 2].map(&mut alloc);
        let [q, out, pages, tokens] = [rows * 256, rows * 256, rows, 1].map(&mut alloc);
        let order = [2_u32, 0, 3, 1];
        let held = [1, 2, 3].map(|seed| Held::random(FORMAT, rows * of.kv_heads * context * of.head_dim, 2.0, seed));
        device.write(pages, ByteCount::ZERO, &Held::words(&order).bytes).unwrap();
        device.write(q, ByteCount::ZERO, &held[0].bytes[..rows * 1024]).unwrap();
        for (cache, held) in [(keys, &held[1]), (values, &held[2])] {
            for (place, tokens) in held.bytes.chunks(context * of.head_dim * 4).enumerate() {
                let unit = order[place / of.kv_heads] as usize * of.kv_heads + place % of.kv_heads;
                device.write(cache, ByteCount((unit * page * of.head_dim * 4) as u64), tokens).unwrap();
            }
        }
        // The keys as a table, of which a row far behind is taken.
        let table_row = order.iter().position(|page| *page == 3).unwrap() * of.kv_heads + 1;
        let last = (7 * page * of.head_dim / 1024) as u32;
        device.write(tokens, ByteCount::ZERO, &Held::words(&[last]).bytes).unwrap();
        let sizes =
            [rows, of.heads, of.kv_heads, of.head_dim, 0, context, page, 1, 1].map(|size| Arg::U64(size as u64));
        let buffers = |slots: &[u32]| slots.iter().map(|slot| Arg::Buffer(Slot(*slot))).collect::<Vec<_>>();
        let attention = [buffers(&[2, 0, 1, 4, 3, 3]), sizes.into(), vec![Arg::U32(code(FORMAT))]].concat();
        let sizes = [1, 1024, 0].map(Arg::U64);
        let embed = [buffers(&[5, 0, 0, 2]), sizes.into(), [code(FORMAT), 0].map(Arg::U32).into()].concat();
        for (kernel, args, found) in [("attention", attention, out), ("embed", embed, q)] {
            let (steps, bindings) = (vec![Step::launch(kernel, args)], vec![vec![keys, values, q, out, pages, tokens]]);
            let program = Program { steps, bindings, outputs: Vec::new(), submit: Submit::Stream };
            let recorded = device.record(&program).unwrap();
            device.run(recorded, &once(1)).unwrap();
            let mut after = Held::of(FORMAT, &vec![0.0; 1024]);
            device.read(found, ByteCount::ZERO, &mut after.bytes).unwrap();
            let [queries, keys, values] = [0, 1, 2].map(|argument: usize| held[argument].numbers());
            let unit = context * of.head_dim;
            let expected: Vec<About> = if kernel == "embed" {
                keys[table_row * unit..][..1024].iter().map(|x| About(*x, 0.0)).collect()
            } else {
                let heads = queries[..1024].chunks(of.head_dim).enumerate();
                let attend = |(index, query)| {
                    let place = index / of.heads * of.kv_heads + index % of.heads * of.kv_heads / of.heads;
                    let [keys, values] = [&keys, &values].map(|all| all[place * unit..][..unit].chunks(of.head_dim));
                    reference::attend(query, &keys.zip(values).collect::<Vec<_>>())
                };
                heads.flat_map(attend).collect()
            };
            let before = after.clone();
            assert_holds(&after, &before, &expected, kernel);
        }
        device.release(mark).unwrap();
    });
}
