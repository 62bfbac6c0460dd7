//! What the compiled kernels must compute, so that a mutated one can be told from a right one.

use rooflint_emulator::exec::Trap;
use rooflint_emulator::number::{BF16, E4M3, F16, Format, Rounding};

use crate::bench::{Buffer, run, run_2d};
use crate::support::numbers;

/// Numbers rounded to a narrow format: their bits, and their values.
fn rounded(format: Format, values: &[f32]) -> (Vec<u16>, Vec<f64>) {
    let bits: Vec<u16> =
        values.iter().map(|value| format.encode(f64::from(*value), Rounding::NearestEven, false) as u16).collect();
    let values = bits.iter().map(|bits| format.decode(u32::from(*bits))).collect();
    (bits, values)
}

/// Whether all results are as near to what is expected as the tolerance says.
fn near(results: impl IntoIterator<Item = f64>, expected: &[f64], tolerance: f64) -> Result<(), Trap> {
    for (index, (result, expected)) in results.into_iter().zip(expected).enumerate() {
        if !((result - expected).abs() <= tolerance * expected.abs().max(1.0)) {
            return Err(Trap::new(0, format!("element {index}: {result} for {expected}")));
        }
    }
    Ok(())
}

pub fn rmsnorm(text: &str) -> Result<(), Trap> {
    let (rows, width) = (3usize, 4096usize);
    let ((x_bits, x), (w_bits, w)) = (rounded(BF16, &numbers(rows * width, 1)), rounded(BF16, &numbers(width, 2)));
    let (y, x_buffer, w_buffer) = (Buffer::new(rows * width * 2), Buffer::of(&x_bits), Buffer::of(&w_bits));
    run(text, [rows as u32, 256], &[&y, &x_buffer, &w_buffer, &(width as u32), &1e-5f32])?;
    let expected: Vec<f64> = (0..rows * width)
        .map(|index| {
            let row = &x[index / width * width..][..width];
            let mean = row.iter().map(|x| x * x).sum::<f64>() / width as f64;
            x[index] / (mean + 1e-5).sqrt() * w[index % width]
        })
        .collect();
    near(y.read::<u16>().iter().map(|bits| BF16.decode(u32::from(*bits))), &expected, 8e-3)
}

pub fn attention(text: &str) -> Result<(), Trap> {
    let (heads, length, width) = (2usize, 333usize, 128usize);
    let q = numbers(heads * width, 3);
    let (k_bits, k) = rounded(F16, &numbers(heads * length * width, 4));
    let (v_bits, v) = rounded(F16, &numbers(heads * length * width, 5));
    let (out, q_buffer) = (Buffer::new(heads * width * 4), Buffer::of(&q));
    let (k_buffer, v_buffer) = (Buffer::of(&k_bits), Buffer::of(&v_bits));
    let scale = 0.5f32;
    run(text, [heads as u32, 128], &[&out, &q_buffer, &k_buffer, &v_buffer, &(length as u32), &scale])?;
    let mut expected = Vec::new();
    for head in 0..heads {
        let row = |values: &[f64], t: usize| values[(head * length + t) * width..][..width].to_vec();
        let score = |t: usize| -> f64 {
            let dot: f64 = row(&k, t).iter().zip(&q[head * width..]).map(|(k, q)| k * f64::from(*q)).sum();
            dot * f64::from(scale)
        };
        let weights: Vec<f64> = (0..length).map(|t| score(t).exp()).collect();
        let total: f64 = weights.iter().sum();
        expected.extend((0..width).map(|i| (0..length).map(|t| weights[t] * row(&v, t)[i]).sum::<f64>() / total));
    }
    near(out.read::<f32>().into_iter().map(f64::from), &expected, 1e-5)
}

pub fn gemm(text: &str) -> Result<(), Trap> {
    let (m, n, k) = (128usize, 64usize, 128usize);
    let ((a_bits, a), (b_bits, b)) = (rounded(F16, &numbers(m * k, 6)), rounded(F16, &numbers(n * k, 7)));
    let (c, a_buffer, b_buffer) = (Buffer::new(m * n * 4), Buffer::of(&a_bits), Buffer::of(&b_bits));
    let blocks = [n as u32 / 64, m as u32 / 64];
    run_2d(text, blocks, 128, &[&c, &a_buffer, &b_buffer, &(m as u32), &(n as u32), &(k as u32)])?;
    near(c.read::<f32>().into_iter().map(f64::from), &product(&a, &b, [m, n, k]), 1e-4)
}

/// `A` times the transpose of `B`, both by rows.
fn product(a: &[f64], b: &[f64], [m, n, k]: [usize; 3]) -> Vec<f64> {
    let dot = |row: usize, column: usize| (0..k).map(|i| a[row * k + i] * b[column * k + i]).sum();
    (0..m * n).map(|index| dot(index / n, index % n)).collect()
}

fn bytes(values: &[u16]) -> Vec<u8> {
    values.iter().map(|bits| *bits as u8).collect()
}

pub fn fp8(text: &str) -> Result<(), Trap> {
    let (bits, values) = rounded(E4M3, &numbers(256 * 24, 8));
    let (out, input) = (Buffer::new(256 * 4), Buffer::of(&bytes(&bits)));
    let iterations = 3;
    run(text, [1, 256], &[&out, &input, &iterations])?;
    let mut expected = Vec::new();
    for thread in 0..256 {
        let (warp, lane) = (thread / 32 * 32, thread % 32);
        // Six words a lane: four of A, two of B. PTX ISA 9.7.14 "Matrix Fragments for
        // mma.m16n8k32", element by element.
        let a = |row: usize, column: usize| {
            let (lane, part) = (row % 8 * 4 + column % 16 / 4, column % 4);
            let word = row / 8 + column / 16 * 2;
            values[(warp + lane) * 24 + word * 4 + part]
        };
        let b =
            |row: usize, column: usize| values[(warp + column * 4 + row % 16 / 4) * 24 + (4 + row / 16) * 4 + row % 4];
        let c = |row: usize, column: usize| (0..32).map(|k| a(row, k) * b(k, column)).sum::<f64>();
        let mine = |e: usize| c(lane / 4 + e / 2 * 8, lane % 4 * 2 + e % 2);
        expected.push((0..4).map(mine).sum::<f64>() * f64::from(iterations) * 8.0);
    }
    near(out.read::<f32>().into_iter().map(f64::from), &expected, 1e-4)
}

pub fn warpgroup(text: &str) -> Result<(), Trap> {
    let k = 256usize;
    let ((a_bits, a), (b_bits, b)) = (rounded(E4M3, &numbers(64 * k, 9)), rounded(E4M3, &numbers(64 * k, 10)));
    let (d, a_buffer, b_buffer) = (Buffer::new(64 * 64 * 4), Buffer::of(&bytes(&a_bits)), Buffer::of(&bytes(&b_bits)));
    run(text, [1, 128], &[&d, &a_buffer, &b_buffer, &(k as u32)])?;
    near(d.read::<f32>().into_iter().map(f64::from), &product(&a, &b, [64, 64, k]), 1e-5)
}
