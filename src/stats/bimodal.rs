//! Whether a sample is two samples.

use super::Sorted;

/// Share of the samples that each group must hold: fewer are outliers, not a mode.
const GROUP_SHARE: f64 = 0.2;

/// Samples that each group must hold, whatever its share.
const GROUP_MIN: usize = 4;

/// Share of the samples that may lie in the middle third between the groups' medians. A single peak of
/// any common shape has 15 % or more there.
const VALLEY_SHARE: f64 = 0.05;

/// Distance of the groups' medians in sums of their MADs, at least: about 3.4 for the halves of a normal
/// sample, 4 for those of a uniform one.
const SEPARATION: f64 = 4.0;

/// Added to [`SEPARATION`], over the number of samples: small samples look clumped by chance.
const SEPARATION_SMALL: f64 = 40.0;

/// Distance of the groups' medians as a share of the whole median, at least: below it two modes are a
/// timer's steps, or of no interest.
const DISTANCE: f64 = 0.01;

/// Whether the samples fall into two groups with little between them.
///
/// The sample is cut in two where the variance between the groups is largest (Otsu 1979), each keeping
/// at least a fifth of it. The groups count as two modes if their medians are far apart against the
/// spread within them (a robust form of Ashman's D), at least 1 % apart, and hardly a sample lies half
/// way. By simulation, of 20 samples of one skewed peak some 2 % are called bimodal, of 50 hardly any
/// (of coarsely quantised times up to 4 %, and 1 %); two peaks 8 standard deviations apart are seen in
/// about 60 % of cases with 20 samples, 95 % with 50.
pub fn bimodal(sample: &Sorted) -> bool {
    let values = sample.as_slice();
    let Some(cut) = best_cut(values) else {
        return false;
    };
    let (Some(lower), Some(upper)) =
        (Sorted::new(values[..cut].iter().copied()), Sorted::new(values[cut..].iter().copied()))
    else {
        return false;
    };
    let (left, right) = (lower.median(), upper.median());
    let distance = right - left;
    let n = values.len() as f64;
    let needed = (SEPARATION + SEPARATION_SMALL / n) * (lower.mad() + upper.mad());
    // Counted by where they lie, not by the cut: a few outliers drag a cut into the one mode there is.
    let third = distance / 3.0;
    let near_left = values.partition_point(|value| *value < left + third);
    let near_right = values.len() - values.partition_point(|value| *value <= right - third);
    let between = values.len() - near_left - near_right;
    distance > needed
        && distance > DISTANCE * sample.median().abs()
        && near_left.min(near_right) >= least(values.len())
        && between as f64 <= VALLEY_SHARE * n
}

/// Samples that a group must hold, of `n`.
fn least(n: usize) -> usize {
    GROUP_MIN.max((n as f64 * GROUP_SHARE).ceil() as usize)
}

/// Where the variance between the two groups is largest, among the cuts that leave both large enough and
/// part no equal values.
fn best_cut(values: &[f64]) -> Option<usize> {
    let n = values.len();
    let least = least(n);
    // Sums of distances from the smallest value, so that a large common offset costs no digits.
    let total: f64 = values.iter().map(|value| value - values[0]).sum();
    let mut below = 0.0;
    let mut best: Option<(f64, usize)> = None;
    for cut in 1..n {
        below += values[cut - 1] - values[0];
        if cut < least || n - cut < least || values[cut] == values[cut - 1] {
            continue;
        }
        let (left, right) = (cut as f64, (n - cut) as f64);
        let between = left * right * ((total - below) / right - below / left).powi(2);
        if best.is_none_or(|(most, _)| between > most) {
            best = Some((between, cut));
        }
    }
    best.map(|(_, cut)| cut)
}
