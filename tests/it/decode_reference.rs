//! The kernels of a decode step in binary64, as their contracts in `kernels/*/README.md` state them and nothing faster: what
//! the devices' kernels are held against. Every function gives the numbers, and how far binary32 arithmetic may stray.

/// A number, and by how much arithmetic in binary32 may miss it before it is rounded.
#[derive(Debug, Clone, Copy)]
pub struct About(pub f64, pub f64);

/// The relative error of a rounding to binary32.
const ULP: f64 = 1.0 / (1 << 24) as f64;

/// The table's row of each token, plus `position` where there is one.
pub fn embed(tokens: &[u32], table: &[f64], position: Option<&[f64]>, width: usize) -> Vec<About> {
    let row = |token: &u32| &table[*token as usize * width..][..width];
    let add = |index: usize| position.map_or(0.0, |position| position[index]);
    tokens
        .iter()
        .flat_map(|token| row(token).iter().enumerate().map(|(j, x)| About(x + add(j), 4.0 * ULP * add(j).abs())))
        .collect()
}

/// `input + delta + bias`, before the rounding.
pub fn add(input: &[f64], delta: &[f64], bias: Option<&[f64]>, width: usize) -> Vec<About> {
    let sum = |index: usize| {
        let terms = [input[index], delta[index], bias.map_or(0.0, |bias| bias[index % width])];
        About(terms.iter().sum(), 2.0 * ULP * terms.iter().map(|term| term.abs()).sum::<f64>())
    };
    (0..input.len()).map(sum).collect()
}

/// A row by its root of the mean square, times gain; or with `shift` about its mean by its standard deviation, plus shift.
pub fn norm(row: &[f64], gain: &[f64], shift: Option<&[f64]>) -> Vec<About> {
    let width = row.len() as f64;
    let mean = shift.map_or(0.0, |_| row.iter().sum::<f64>() / width);
    let square = row.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / width;
    let root = (square + 1e-5).sqrt();
    let largest = row.iter().fold(0.0_f64, |largest, x| largest.max(x.abs()));
    let number = |index: usize| {
        let scaled = (row[index] - mean) / root * gain[index];
        let added = shift.map_or(0.0, |shift| shift[index]);
        About(scaled + added, 16.0 * ULP * (scaled.abs() + added.abs() + largest / root * gain[index].abs()))
    };
    (0..row.len()).map(number).collect()
}

/// The sizes of a layer's attention.
#[derive(Debug, Clone, Copy)]
pub struct Heads {
    pub heads: usize,
    pub kv_heads: usize,
    pub head_dim: usize,
}

/// One row of query, key and value heads: each query and key turned by the angles' (cosine, sine), where there are any.
pub fn rotate(row: &[f64], bias: Option<&[f64]>, angles: Option<&[f64]>, of: Heads) -> Vec<About> {
    let biased: Vec<f64> = (0..row.len()).map(|at| row[at] + bias.map_or(0.0, |bias| bias[at])).collect();
    let half = of.head_dim / 2;
    let number = |at: usize| {
        let (head, within) = (at / of.head_dim, at % of.head_dim);
        let angles = angles.filter(|_| head < of.heads + of.kv_heads);
        let Some(angles) = angles else { return About(biased[at], 2.0 * ULP * biased[at].abs()) };
        let (c, s) = (angles[within % half * 2], angles[within % half * 2 + 1]);
        let first = at - within + within % half;
        let (x, y) = (biased[first], biased[first + half]);
        let turned = if within < half { x * c - y * s } else { y * c + x * s };
        About(turned, 6.0 * ULP * (x.abs() + y.abs()))
    };
    (0..row.len()).map(number).collect()
}

/// What a band of tokens comes to for one query: its largest score, the sum of exponentials, and the weighted values.
pub struct Band {
    pub top: About,
    pub weight: About,
    pub values: Vec<About>,
}

/// Softmax and sum over some tokens' keys and values, each `head_dim` numbers.
pub fn band(query: &[f64], tokens: &[(&[f64], &[f64])]) -> Band {
    let root = (query.len() as f64).sqrt();
    let scores: Vec<f64> =
        tokens.iter().map(|(key, _)| query.iter().zip(*key).map(|(q, k)| q * k).sum::<f64>() / root).collect();
    let size = |key: &[f64]| query.iter().zip(key).map(|(q, k)| (q * k).abs()).sum::<f64>() / root;
    let largest = tokens.iter().map(|(key, _)| size(key)).fold(0.0, f64::max);
    let top = scores.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let weights: Vec<f64> = scores.iter().map(|score| (score - top).exp()).collect();
    // What a score misses, an exponential of it does in proportion.
    let stray = ULP * (32.0 + 8.0 * largest);
    let weight = weights.iter().sum::<f64>();
    let value = |index: usize| {
        let terms = || weights.iter().zip(tokens).map(|(weight, (_, value))| weight * value[index]);
        About(terms().sum(), stray * terms().map(f64::abs).sum::<f64>())
    };
    Band {
        top: About(top, 8.0 * ULP * largest),
        weight: About(weight, stray * weight),
        values: (0..query.len()).map(value).collect(),
    }
}

/// What attention gives for one query.
pub fn attend(query: &[f64], tokens: &[(&[f64], &[f64])]) -> Vec<About> {
    let Band { weight, values, .. } = band(query, tokens);
    let share = weight.1 / weight.0;
    values
        .iter()
        .map(|value| About(value.0 / weight.0, value.1 / weight.0 + share * (value.0 / weight.0).abs()))
        .collect()
}

/// Bands of (largest score, sum of exponentials, weighted values) as one.
pub fn join(bands: &[(f64, f64, &[f64])]) -> Vec<About> {
    let top = bands.iter().map(|band| band.0).fold(f64::NEG_INFINITY, f64::max);
    let scales: Vec<f64> = bands.iter().map(|band| (band.0 - top).exp()).collect();
    let weight = scales.iter().zip(bands).map(|(scale, band)| scale * band.1).sum::<f64>();
    let number = |index: usize| {
        let terms = || scales.iter().zip(bands).map(|(scale, band)| scale * band.2[index] / weight);
        let apart = bands.iter().filter(|band| band.1 > 0.0).map(|band| top - band.0).fold(0.0, f64::max);
        About(terms().sum(), ULP * (32.0 + 8.0 * apart) * terms().map(f64::abs).sum::<f64>())
    };
    (0..bands[0].2.len()).map(number).collect()
}

/// SwiGLU of a row of gates and others, or GELU of a row, after the bias.
pub fn activate(row: &[f64], bias: Option<&[f64]>, gated: bool) -> Vec<About> {
    let at = |index: usize| row[index] + bias.map_or(0.0, |bias| bias[index]);
    let inner = if gated { row.len() / 2 } else { row.len() };
    let number = |index: usize| {
        let x = at(index);
        if gated {
            let value = x / (1.0 + (-x).exp()) * at(inner + index);
            About(value, ULP * (16.0 + 4.0 * x.abs()) * (value.abs() + x.abs().min(at(inner + index).abs())))
        } else {
            let inside = (2.0 / std::f64::consts::PI).sqrt() * (x + 0.044715 * x.powi(3));
            let value = x / 2.0 * (1.0 + inside.tanh());
            // 1 + tanh may cancel: an error of the tanh is one of x.
            About(value, ULP * (16.0 * value.abs() * (1.0 + inside.abs()) + 4.0 * x.abs()))
        }
    };
    (0..inner).map(number).collect()
}
