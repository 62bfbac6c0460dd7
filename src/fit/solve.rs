//! A law's parameters from rows: robust least squares in log time, with priors, and draws by cluster bootstrap.

use std::collections::BTreeMap;

use levenberg_marquardt::{LeastSquaresProblem, LevenbergMarquardt};
use nalgebra::{DMatrix, DVector, Dyn, storage::Owned};

use super::law::{At, Law, Row};
use crate::stats::SplitMix64;

/// Residuals of log time beyond this count by their size and no longer by its square (soft L1).
const SCALE: f64 = 0.1;

/// A residual larger than any that constants of this world give.
const FAR: f64 = 1e9;

/// Draws kept of every law.
pub const DRAWS: usize = 200;

/// A fit in progress: what the optimiser asks for.
struct Problem<'a> {
    law: &'a Law,
    rows: &'a [&'a Row],
    prior: Vec<f64>,
    logs: DVector<f64>,
}

/// Soft L1 of a scaled residual as a residual whose square it is, and its derivative.
fn softened(z: f64) -> (f64, f64) {
    let root = (1.0 + z * z).sqrt();
    // 2 (root - 1), without its cancellation for small z.
    let soft = z * (2.0 / (1.0 + root)).sqrt();
    let slope = if z.abs() < 1e-8 { 1.0 } else { z / (root * soft) };
    (soft, slope)
}

impl Problem<'_> {
    fn at(&self) -> At<'_> {
        self.law.at(self.logs.as_slice())
    }

    /// The scaled residual of a row under the law at the present parameters, and the derivatives of log time.
    fn residual(&self, at: &At<'_>, row: &Row, gradient: &mut [f64]) -> f64 {
        let time = at.time(row, gradient);
        gradient.iter_mut().for_each(|slope| *slope /= time);
        match (time.ln() - row.time_s.ln()) / SCALE {
            z if z.is_finite() => z,
            // A trial step may leave what a double can hold: so bad a fit is not taken.
            _ => FAR,
        }
    }
}

impl LeastSquaresProblem<f64, Dyn, Dyn> for Problem<'_> {
    type ResidualStorage = Owned<f64, Dyn>;
    type JacobianStorage = Owned<f64, Dyn, Dyn>;
    type ParameterStorage = Owned<f64, Dyn>;

    fn set_params(&mut self, logs: &DVector<f64>) {
        self.logs.copy_from(logs);
    }

    fn params(&self) -> DVector<f64> {
        self.logs.clone()
    }

    fn residuals(&self) -> Option<DVector<f64>> {
        let (at, mut gradient) = (self.at(), vec![0.0; self.logs.len()]);
        let data = self.rows.iter().map(|row| softened(self.residual(&at, row, &mut gradient)).0);
        let held = (0..self.logs.len()).map(|i| (self.logs[i] - self.prior[i]) / self.law.parameters[i].sigma);
        let all: Vec<f64> = data.chain(held).collect();
        all.iter().all(|value| value.is_finite()).then(|| DVector::from_vec(all))
    }

    fn jacobian(&self) -> Option<DMatrix<f64>> {
        let (rows, parameters) = (self.rows.len(), self.logs.len());
        let mut jacobian = DMatrix::zeros(rows + parameters, parameters);
        let (at, mut gradient) = (self.at(), vec![0.0; parameters]);
        for (i, row) in self.rows.iter().enumerate() {
            let (_, slope) = softened(self.residual(&at, row, &mut gradient));
            for (j, by) in gradient.iter().enumerate() {
                jacobian[(i, j)] = slope * by / SCALE;
            }
        }
        for (j, parameter) in self.law.parameters.iter().enumerate() {
            jacobian[(rows + j, j)] = 1.0 / parameter.sigma;
        }
        jacobian.iter().all(|value| value.is_finite()).then_some(jacobian)
    }
}

/// The logarithms of a law's parameters that fit these rows best, sought from `start`, else from the prior; `None` if none
/// do, which finite rows rule out.
pub fn solve(law: &Law, rows: &[&Row], start: Option<&[f64]>) -> Option<Vec<f64>> {
    let prior = law.prior();
    let logs = DVector::from_vec(start.unwrap_or(&prior).to_vec());
    let (problem, report) = LevenbergMarquardt::new().with_patience(200).minimize(Problem { law, rows, prior, logs });
    let usable = report.termination.was_successful() || report.objective_function.is_finite();
    usable.then(|| problem.logs.as_slice().to_vec())
}

/// What one cluster's rows say about a small change of the parameters.
struct Pull {
    curvature: DMatrix<f64>,
    slope: DVector<f64>,
}

/// Draws of the parameters' logarithms around a solution: clusters are drawn with replacement, prior centres from
/// their priors, and each draw moves by one weighted Gauss-Newton step (the fast bootstrap of robust estimates,
/// Salibian-Barrera and Zamar, Annals of Statistics 30, 2002). A parameter that no row speaks of so keeps its prior's
/// width.
pub fn draws(law: &Law, rows: &[&Row], logs: &[f64], seed: u64) -> Vec<Vec<f64>> {
    let pulls = pulls(law, rows, logs);
    let n = logs.len();
    let all = pulls.iter().fold(DVector::zeros(n), |sum: DVector<f64>, pull| sum + &pull.slope);
    let widened = few(pulls.len());
    let mut random = SplitMix64::new(seed);
    let draw = |_| {
        let (mut curvature, mut slope) = (DMatrix::zeros(n, n), DVector::zeros(n));
        for _ in 0..pulls.len() {
            let at = (random.next_f64() * pulls.len() as f64) as usize;
            curvature += &pulls[at].curvature;
            slope += &pulls[at].slope;
        }
        slope = &all + (slope - &all) * widened;
        for (i, parameter) in law.parameters.iter().enumerate() {
            let weight = parameter.sigma.powi(-2);
            let centre = parameter.prior.ln() + parameter.sigma * normal(&mut random);
            curvature[(i, i)] += weight;
            slope[i] += weight * (logs[i] - centre);
        }
        let step = curvature.cholesky().map_or_else(|| DVector::zeros(n), |solver| solver.solve(&slope));
        let bounded = |i: usize| {
            let limit = law.parameters[i].limit.map_or(f64::INFINITY, f64::ln);
            // A step beyond a factor of 20 leaves what a linearisation can speak of.
            (logs[i] - step[i].clamp(-3.0, 3.0)).min(limit.max(logs[i]))
        };
        (0..n).map(bounded).collect()
    };
    (0..DRAWS).map(draw).collect()
}

fn pulls(law: &Law, rows: &[&Row], logs: &[f64]) -> Vec<Pull> {
    let n = logs.len();
    let problem = Problem { law, rows, prior: law.prior(), logs: DVector::from_vec(logs.to_vec()) };
    let at = problem.at();
    let mut clusters: BTreeMap<&str, Pull> = BTreeMap::new();
    let mut gradient = DVector::zeros(n);
    for row in rows {
        let z = problem.residual(&at, row, gradient.as_mut_slice());
        let weight = 1.0 / (1.0 + z * z).sqrt();
        let pull = clusters
            .entry(&row.cluster)
            .or_insert_with(|| Pull { curvature: DMatrix::zeros(n, n), slope: DVector::zeros(n) });
        pull.curvature.ger(weight / (SCALE * SCALE), &gradient, &gradient, 1.0);
        pull.slope.axpy(weight * z / SCALE, &gradient, 1.0);
    }
    clusters.into_values().collect()
}

/// By how much draws from few clusters must be widened: resampling n of them spreads by a share `(n - 1)/n` too little
/// variance, and their own spread is known no better than Student's distribution says. Its 95 % point over the normal's,
/// by Cornish and Fisher's expansion.
pub fn few(clusters: usize) -> f64 {
    let n = clusters.max(2) as f64;
    let (z, freedom) = (1.644_853_6_f64, n - 1.0);
    let first = (z.powi(3) + z) / (4.0 * freedom);
    let second = (5.0 * z.powi(5) + 16.0 * z.powi(3) + 3.0 * z) / (96.0 * freedom * freedom);
    (n / freedom).sqrt() * (z + first + second) / z
}

/// A draw from the standard normal distribution (Box and Muller, 1958).
fn normal(random: &mut SplitMix64) -> f64 {
    let radius = (-2.0 * (1.0 - random.next_f64()).ln()).sqrt();
    radius * (std::f64::consts::TAU * random.next_f64()).cos()
}
