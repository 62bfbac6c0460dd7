//! The one form every operation's time takes, with its derivatives: fixed costs and terms of their own, added to a
//! smooth joint of reading and computing.
//!
//! `t = sum of (time each x amount) + sum of (bytes / rate) + (tm^p + tc^p)^(1/p)`, with `tm = bytes / bandwidth` and
//! `tc = FLOP / throughput`. `p = 1` is the plain sum, `p` without end the roofline's hard maximum. Source of the form:
//! of five compared on 46 published tables of matrix products this one had the lowest error (`docs/METHOD.md`).

/// Kinds of amounts a law can add: fixed costs, and bytes that move at a rate of their own.
pub const AMOUNTS: usize = 4;

/// Skews at which [`Reached`] holds distinct experts: evenly spaced from 0.
pub const SKEWS: usize = 7;

/// Distance of two skews in [`Reached`].
pub const SKEW_STEP: f64 = 0.25;

/// Distinct experts that a batch reaches, by how unevenly tokens choose.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Reached {
    /// Bytes of one expert.
    pub each_b: f64,
    /// Experts reached at skews 0, 0.25 … 1.5.
    pub experts: [f64; SKEWS],
}

impl Reached {
    /// Bytes of the experts reached at a skew, and their derivative by it.
    fn bytes(&self, skew: f64) -> (f64, f64) {
        let place = (skew / SKEW_STEP).clamp(0.0, (SKEWS - 1) as f64 - 1e-9);
        let (below, part) = (place as usize, place.fract());
        let rise = self.experts[below + 1] - self.experts[below];
        (self.each_b * (self.experts[below] + part * rise), self.each_b * rise / SKEW_STEP)
    }
}

/// A measured case as a law sees it.
#[derive(Debug, Clone, PartialEq)]
pub struct Row {
    /// Time of one repeat, in seconds.
    pub time_s: f64,
    /// What it shares with rows that err alike: a matrix, a model. Rows of one are resampled and held out together.
    pub cluster: String,
    /// Amounts of the added terms.
    pub amounts: [f64; AMOUNTS],
    /// Bytes read and written in the joint, but for experts.
    pub bytes: f64,
    /// Operations in the joint.
    pub flop: f64,
    /// Experts read in the joint.
    pub reached: Option<Reached>,
    /// Where it lies among its like: base-2 logarithms of its sizes.
    pub at: [f64; 3],
    /// Whether decoding is made of such rows.
    pub decodes: bool,
}

/// What a parameter does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// Seconds for each of an amount.
    Time(usize),
    /// Bytes per second of an amount that is bytes.
    Rate(usize),
    /// Bytes per second of the joint.
    Bandwidth,
    /// Operations per second of the joint.
    Throughput,
    /// The joint's exponent.
    Exponent,
    /// How unevenly tokens choose experts: the exponent of a power law over them.
    Skew,
}

/// A parameter, with what is known of it before any row is seen.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Parameter {
    /// Its name in files: `bandwidth`.
    pub name: &'static str,
    /// Its unit.
    pub unit: &'static str,
    /// What it does.
    pub role: Role,
    /// Its likeliest value beforehand.
    pub prior: f64,
    /// How far it may be from that: the standard deviation of its natural logarithm.
    pub sigma: f64,
    /// What no true value exceeds.
    pub limit: Option<f64>,
}

/// How reading and computing join.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Join {
    /// By the exponent.
    Smooth,
    /// The longer of the two: the textbook's roofline.
    Maximum,
    /// One after the other.
    Sum,
}

/// The form of an operation's time.
#[derive(Debug, Clone, PartialEq)]
pub struct Law {
    /// Its parameters.
    pub parameters: Vec<Parameter>,
    /// How its joint is made.
    pub join: Join,
}

impl Law {
    /// The same with another joint.
    pub fn joined(&self, join: Join) -> Self {
        Self { join, ..self.clone() }
    }

    /// Its parameters' logarithms beforehand.
    pub fn prior(&self) -> Vec<f64> {
        self.parameters.iter().map(|parameter| parameter.prior.ln()).collect()
    }

    /// The law at parameters of these logarithms.
    pub fn at(&self, logs: &[f64]) -> At<'_> {
        let values: Vec<f64> = logs.iter().map(|log| log.exp()).collect();
        let mut joint = Joint { bandwidth: 1.0, throughput: 1.0, exponent: 1.0, skew: 0.0 };
        for (parameter, value) in self.parameters.iter().zip(&values) {
            match parameter.role {
                Role::Time(_) | Role::Rate(_) => {}
                Role::Bandwidth => joint.bandwidth = *value,
                Role::Throughput => joint.throughput = *value,
                Role::Exponent => joint.exponent = *value,
                Role::Skew => joint.skew = *value,
            }
        }
        At { law: self, values, joint }
    }

    /// Whether a row is faster than the limits of the rates allow.
    pub fn is_beyond_physics(&self, row: &Row) -> bool {
        let least = |role: Role, limit: f64| match role {
            Role::Rate(amount) => row.amounts[amount] / limit,
            Role::Bandwidth => row.bytes / limit,
            Role::Throughput => row.flop / limit,
            Role::Time(_) | Role::Exponent | Role::Skew => 0.0,
        };
        self.parameters.iter().any(|parameter| parameter.limit.is_some_and(|l| least(parameter.role, l) > row.time_s))
    }
}

/// A law at some values of its parameters.
pub struct At<'a> {
    law: &'a Law,
    values: Vec<f64>,
    joint: Joint,
}

impl At<'_> {
    /// The time of a row, in seconds; `gradient` receives its derivatives by the parameters' logarithms.
    pub fn time(&self, row: &Row, gradient: &mut [f64]) -> f64 {
        let (time, by) = self.joint.time(row, self.law.join);
        let mut total = time;
        for ((parameter, value), slope) in self.law.parameters.iter().zip(&self.values).zip(gradient) {
            *slope = match parameter.role {
                Role::Time(amount) => row.amounts[amount] * value,
                Role::Rate(amount) => -row.amounts[amount] / value,
                Role::Bandwidth => by.bandwidth,
                Role::Throughput => by.throughput,
                Role::Exponent => by.exponent,
                Role::Skew => by.skew,
            };
            if matches!(parameter.role, Role::Time(_) | Role::Rate(_)) {
                total += slope.abs();
            }
        }
        total
    }
}

/// The joint's parameters, or its derivatives by their logarithms.
#[derive(Debug, Clone, Copy, Default)]
struct Joint {
    bandwidth: f64,
    throughput: f64,
    exponent: f64,
    skew: f64,
}

impl Joint {
    fn time(&self, row: &Row, join: Join) -> (f64, Self) {
        let (experts, by_skew) = row.reached.map_or((0.0, 0.0), |reached| reached.bytes(self.skew));
        let (read, compute) = ((row.bytes + experts) / self.bandwidth, row.flop / self.throughput);
        let longer = read.max(compute);
        if longer <= 0.0 {
            return (0.0, Self::default());
        }
        // Derivatives of the joint by each of the two times, and by the logarithm of the exponent.
        let (time, by_read, by_compute, by_exponent) = match join {
            Join::Sum => (read + compute, 1.0, 1.0, 0.0),
            Join::Maximum => (longer, f64::from(read >= compute), f64::from(read < compute), 0.0),
            Join::Smooth => {
                let p = self.exponent;
                // Over the longer of the two: it is 1, and the other a share r with r^p = power.
                let log = (read.min(compute) / longer).ln();
                let power = (p * log).exp();
                let sum = 1.0 + power;
                let sum_log = power.ln_1p();
                let root = (sum_log / p).exp();
                // (part / whole)^(p - 1) of the longer and of the shorter.
                let by_longer = root / sum;
                let by_shorter = if power > 0.0 { by_longer * (p * log - log).exp() } else { 0.0 };
                let by_p = if power > 0.0 { power * log / (p * sum) } else { 0.0 } - sum_log / (p * p);
                let time = longer * root;
                let (by_read, by_compute) =
                    if read >= compute { (by_longer, by_shorter) } else { (by_shorter, by_longer) };
                (time, by_read, by_compute, p * time * by_p)
            }
        };
        let by = Self {
            bandwidth: -by_read * read,
            throughput: -by_compute * compute,
            exponent: by_exponent,
            skew: by_read * by_skew * self.skew / self.bandwidth,
        };
        (time, by)
    }
}
