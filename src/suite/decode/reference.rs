//! A decode step in binary64: every operation from its definition, and the whole step of some sequences.
//!
//! Nothing is rounded between operations. Products go through the matrices' patterns once for all sequences.

use super::Point;
use super::weights::{Large, Numbers, PRODUCTS, Pages, Small};
use crate::device::Pattern;
use crate::llm::Norm;
use crate::suite::{Stop, parallel};

/// Added to the mean square: see the contract of `add_norm`.
const LEAST: f64 = 1e-5;
/// Columns of a matrix that are summed at a time, a multiple of the numbers in a word.
const COLUMNS: u64 = 256;

/// A row normalised.
pub(super) fn norm(kind: Norm, row: &[f64], gain: &[f64], shift: &[f64]) -> Vec<f64> {
    let count = row.len() as f64;
    let mean = if kind == Norm::Layer { row.iter().sum::<f64>() / count } else { 0.0 };
    let square = row.iter().map(|number| (number - mean).powi(2)).sum::<f64>() / count;
    let factor = 1.0 / (square + LEAST).sqrt();
    let shift = shift.iter().copied().chain(std::iter::repeat(0.0));
    row.iter().zip(gain).zip(shift).map(|((number, gain), shift)| (number - mean) * factor * gain + shift).collect()
}

/// Numbers plus others, which may be none.
pub(super) fn plus(row: &[f64], other: &[f64]) -> Vec<f64> {
    let other = other.iter().copied().chain(std::iter::repeat(0.0));
    row.iter().zip(other).map(|(number, other)| number + other).collect()
}

/// A head's query or key at a position.
pub(super) fn rotated(vector: &[f64], angles: &[(f64, f64)]) -> Vec<f64> {
    let half = vector.len() / 2;
    let first = (0..half).map(|pair| vector[pair] * angles[pair].0 - vector[pair + half] * angles[pair].1);
    let second = (0..half).map(|pair| vector[pair + half] * angles[pair].0 + vector[pair] * angles[pair].1);
    first.chain(second).collect()
}

/// The function between an MLP's halves, of a row of its first.
pub(super) fn activated(gated: bool, row: &[f64]) -> Vec<f64> {
    if gated {
        let (gate, up) = row.split_at(row.len() / 2);
        return gate.iter().zip(up).map(|(gate, up)| gate / (1.0 + (-gate).exp()) * up).collect();
    }
    let gelu = |x: &f64| x / 2.0 * (1.0 + ((2.0 / std::f64::consts::PI).sqrt() * (x + 0.044_715 * x.powi(3))).tanh());
    row.iter().map(gelu).collect()
}

/// What attention makes of one head's query, and the same with every value's magnitude: the size that errors are held
/// against. `token` gives a token's key and value.
pub(in crate::suite) fn attended(
    query: &[f64],
    tokens: std::ops::Range<u64>,
    token: impl Fn(u64) -> (Vec<f64>, Vec<f64>),
) -> (Vec<f64>, Vec<f64>) {
    let scale = 1.0 / (query.len() as f64).sqrt();
    let (mut most, mut total) = (f64::NEG_INFINITY, 0.0);
    let (mut sums, mut sizes) = (vec![0.0; query.len()], vec![0.0; query.len()]);
    for index in tokens {
        let (key, value) = token(index);
        let score = scale * query.iter().zip(&key).map(|(query, key)| query * key).sum::<f64>();
        if score > most {
            let factor = (most - score).exp();
            total *= factor;
            sums.iter_mut().chain(&mut sizes).for_each(|sum| *sum *= factor);
            most = score;
        }
        let weight = (score - most).exp();
        total += weight;
        for ((sum, size), value) in sums.iter_mut().zip(&mut sizes).zip(value) {
            *sum += weight * value;
            *size += weight * value.abs();
        }
    }
    sums.iter_mut().chain(&mut sizes).for_each(|sum| *sum /= total);
    (sums, sizes)
}

/// Keys and values of one layer: the newest token's own, the others' as the cache was filled.
pub(super) struct Cache<'a> {
    numbers: &'a Numbers,
    pages: Pages,
    keys: Pattern,
    values: Pattern,
    newest: u64,
}

impl<'a> Cache<'a> {
    pub fn new(numbers: &'a Numbers, point: &Point, layer: u64) -> Result<Self, Stop> {
        let [keys, values] = [numbers.pattern(Large::Keys(layer))?, numbers.pattern(Large::Values(layer))?];
        Ok(Self { numbers, pages: point.pages(), keys, values, newest: point.context - 1 })
    }

    /// All heads of a sequence, from its row of queries, keys and values, rotated and with bias; and the sizes of the sums.
    pub fn attend(&self, sequence: u64, q: &[f64], keys: &[f64], values: &[f64]) -> (Vec<f64>, Vec<f64>) {
        let shape = &self.numbers.shape;
        let (dim, group) = (shape.head_dim as usize, shape.heads / shape.kv_heads);
        let seen = self.newest + 1 - shape.seen(self.newest + 1)..self.newest + 1;
        let heads = parallel::map(shape.heads as usize, |head| {
            let kv_head = head as u64 / group;
            let own = kv_head as usize * dim..(kv_head as usize + 1) * dim;
            attended(&q[head * dim..][..dim], seen.clone(), |token| {
                if token == self.newest {
                    return (keys[own.clone()].to_vec(), values[own.clone()].to_vec());
                }
                let first = self.pages.vector(shape.kv_heads, shape.head_dim, sequence, kv_head, token);
                let numbers = |pattern: Pattern| {
                    (first..first + shape.head_dim)
                        .map(|index| pattern.number_at(self.numbers.precision, index))
                        .collect()
                };
                (numbers(self.keys), numbers(self.values))
            })
        });
        let (sums, sizes): (Vec<_>, Vec<_>) = heads.into_iter().unzip();
        (sums.concat(), sizes.concat())
    }
}

/// Queries, keys and values of a row of their product, with bias, the first two rotated.
pub(super) fn split(numbers: &Numbers, layer: u64, qkv: &[f64], angles: &[(f64, f64)]) -> [Vec<f64>; 3] {
    let shape = &numbers.shape;
    let row = plus(qkv, &numbers.vector(Small::Bias(layer, 0)));
    let (dim, kv) = (shape.head_dim as usize, (shape.kv_heads * shape.head_dim) as usize);
    let (q, rest) = row.split_at((shape.heads * shape.head_dim) as usize);
    let (keys, values) = rest.split_at(kv);
    let turned = |row: &[f64]| {
        if shape.positions > 0 {
            row.to_vec()
        } else {
            row.chunks(dim).flat_map(|head| rotated(head, angles)).collect()
        }
    };
    [turned(q), turned(keys), values.to_vec()]
}

/// The embedding of a sequence's token, as the first layer reads it.
pub(super) fn entry(numbers: &Numbers, point: &Point, sequence: u64) -> Result<Vec<f64>, Stop> {
    let shape = &numbers.shape;
    let row = |large, row: u64| -> Result<Vec<f64>, Stop> {
        let pattern = numbers.pattern(large)?;
        Ok((row * shape.hidden..(row + 1) * shape.hidden).map(|at| pattern.number_at(numbers.precision, at)).collect())
    };
    if !shape.embeds {
        return row(Large::Entry, sequence);
    }
    let mut stream = row(Large::Table, numbers.token(sequence).into())?;
    if shape.positions > 0 {
        stream = plus(&stream, &row(Large::Positions, point.context - 1)?);
    }
    if shape.embedding_norm {
        stream = norm(shape.norm, &stream, &numbers.vector(Small::EntryGain), &numbers.vector(Small::EntryShift));
    }
    Ok(stream)
}

/// Rows times a matrix `[k, n]`.
fn product(numbers: &Numbers, large: Large, n: u64, rows: &[Vec<f64>]) -> Result<Vec<Vec<f64>>, Stop> {
    let pattern = numbers.pattern(large)?;
    let blocks = parallel::map(n.div_ceil(COLUMNS) as usize, |block| {
        let first = block as u64 * COLUMNS;
        let count = COLUMNS.min(n - first) as usize;
        let mut sums = vec![vec![0.0; count]; rows.len()];
        let mut line = Line::new(numbers, pattern, count);
        let inputs = rows.first().map_or(0, Vec::len);
        for k in 0..inputs {
            line.load(k as u64 * n + first);
            for (sums, row) in sums.iter_mut().zip(rows) {
                for (sum, number) in sums.iter_mut().zip(&line.numbers) {
                    *sum += row[k] * f64::from(*number);
                }
            }
        }
        sums
    });
    let join = |row: usize| blocks.iter().flat_map(|block| block[row].iter().copied()).collect();
    Ok((0..rows.len()).map(join).collect())
}

/// Neighbouring numbers of a pattern, all of which binary32 holds.
struct Line {
    pattern: Pattern,
    precision: crate::record::Precision,
    words: Vec<u32>,
    numbers: Vec<f32>,
}

impl Line {
    fn new(numbers: &Numbers, pattern: Pattern, count: usize) -> Self {
        let words = count * numbers.precision.size() as usize / 4;
        Self { pattern, precision: numbers.precision, words: vec![0; words], numbers: vec![0.0; count] }
    }

    /// From the number `first` on, which begins a word.
    fn load(&mut self, first: u64) {
        use crate::record::Precision;
        self.pattern.words_into(first * self.precision.size() / 4, &mut self.words);
        match self.precision {
            Precision::Bf16 => {
                for (pair, word) in self.numbers.chunks_exact_mut(2).zip(&self.words) {
                    pair[0] = f32::from_bits(word << 16);
                    pair[1] = f32::from_bits(word & 0xffff_0000);
                }
            }
            Precision::F16 => {
                for (pair, word) in self.numbers.chunks_exact_mut(2).zip(&self.words) {
                    pair[0] = half::f16::from_bits(*word as u16).to_f32();
                    pair[1] = half::f16::from_bits((word >> 16) as u16).to_f32();
                }
            }
            _ => {
                for (number, word) in self.numbers.iter_mut().zip(&self.words) {
                    *number = f32::from_bits(*word);
                }
            }
        }
    }
}

/// The whole step of some sequences: their logits, or what goes to the head where there is none.
pub(super) fn step(numbers: &Numbers, point: &Point, sequences: &[u64]) -> Result<Vec<Vec<f64>>, Stop> {
    let shape = &numbers.shape;
    let angles = numbers.angles(point.context - 1);
    let each =
        |rows: &[Vec<f64>], change: &dyn Fn(&[f64]) -> Vec<f64>| rows.iter().map(|row| change(row)).collect::<Vec<_>>();
    let multiply = |layer: u64, which: usize, rows: &[Vec<f64>]| {
        let n = shape.product(PRODUCTS[which]).map_or(0, |product| product.n);
        product(numbers, Large::Matrix(layer, which), n, rows)
    };
    let mut stream =
        sequences.iter().map(|sequence| entry(numbers, point, *sequence)).collect::<Result<Vec<_>, _>>()?;
    for layer in 0..shape.layers {
        let normed = |stream: &[Vec<f64>], which: usize| {
            let [gain, shift] =
                [Small::Gain(layer, which), Small::Shift(layer, which)].map(|small| numbers.vector(small));
            each(stream, &|row| norm(shape.norm, row, &gain, &shift))
        };
        let cache = Cache::new(numbers, point, layer)?;
        let qkv = multiply(layer, 0, &normed(&stream, 0))?;
        let attended: Vec<_> = sequences
            .iter()
            .zip(&qkv)
            .map(|(sequence, qkv)| {
                let [q, keys, values] = split(numbers, layer, qkv, &angles);
                cache.attend(*sequence, &q, &keys, &values).0
            })
            .collect();
        let add = |stream: &[Vec<f64>], delta: Vec<Vec<f64>>, bias: usize| -> Vec<Vec<f64>> {
            let bias = numbers.vector(Small::Bias(layer, bias));
            stream.iter().zip(delta).map(|(row, delta)| plus(&plus(row, &delta), &bias)).collect()
        };
        stream = add(&stream, multiply(layer, 1, &attended)?, 1);
        let up = multiply(layer, 2, &normed(&stream, 1))?;
        let bias = numbers.vector(Small::Bias(layer, 2));
        let activated = each(&up, &|row| activated(shape.gated, &plus(row, &bias)));
        stream = add(&stream, multiply(layer, 3, &activated)?, 3);
    }
    let [gain, shift] = [Small::FinalGain, Small::FinalShift].map(|small| numbers.vector(small));
    let last = each(&stream, &|row| norm(shape.norm, row, &gain, &shift));
    if shape.vocab == 0 { Ok(last) } else { product(numbers, Large::Head, shape.vocab, &last) }
}
