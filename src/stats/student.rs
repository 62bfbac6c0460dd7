//! Student's distribution of `t`.

use std::f64::consts::PI;

/// Steps of the integral: a quantile in the middle 98 % is right to four digits.
const STEPS: usize = 20_000;

/// Quantiles of Student's `t` at `(i + 1/2) / count` for `i` below `count`, in order, with `freedom` degrees of freedom.
///
/// With `t = sqrt(freedom) tan(angle)` its density becomes `cos(angle)^(freedom - 1)` between right angles left and right,
/// which is summed by the midpoint rule (Student, Biometrika 6, 1908, has this form of it).
pub fn student(freedom: usize, count: usize) -> Vec<f64> {
    let freedom = freedom.max(1) as f64;
    let angle = |step: f64| PI * (step / STEPS as f64 - 0.5);
    let weights: Vec<f64> = (0..STEPS).map(|step| angle(step as f64 + 0.5).cos().powf(freedom - 1.0)).collect();
    let all: f64 = weights.iter().sum();
    let (mut step, mut below) = (0, 0.0);
    let quantile = |i: usize| {
        let wanted = (i as f64 + 0.5) / count as f64 * all;
        while step + 1 < STEPS && below + weights[step] < wanted {
            below += weights[step];
            step += 1;
        }
        let within = (wanted - below) / weights[step];
        freedom.sqrt() * angle(step as f64 + within).tan()
    };
    (0..count).map(quantile).collect()
}
