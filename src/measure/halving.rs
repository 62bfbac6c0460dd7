//! Successive halving: which of many candidates is fastest, found by measuring all of them shortly and the best of them
//! again and longer. Pure: told what was measured and how long it took, it says what to measure next.
//!
//! Jamieson and Talwalkar, arXiv:1502.07943. A rung keeps a third, so that with equal time for every rung each of those
//! that are left is measured three times as long as before.

use std::collections::VecDeque;

use crate::units::Seconds;

/// The share of a rung that goes on.
const KEPT: usize = 3;

/// Share of the time for the first rung: its many candidates cost more in being set up than in being timed.
const FIRST: f64 = 0.6;

/// What became of a candidate.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Fate {
    /// Never measured: the time of the first rung was up before its turn.
    NotReached,
    /// Slower than those that went on from this rung.
    Out {
        /// Which, from 0.
        rung: u32,
        /// Its rate there.
        rate: f64,
    },
    /// It went on to this rung, whose time was up before its turn.
    CutOff {
        /// Which, from 1.
        rung: u32,
        /// Its rate on the rung before.
        rate: f64,
    },
    /// It gave no rate on this rung.
    Failed {
        /// Which, from 0.
        rung: u32,
    },
    /// One of the last.
    Finalist {
        /// Its place among them, the fastest at 0.
        place: usize,
        /// Its rate on the last rung.
        rate: f64,
    },
}

/// One measurement that is wanted.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Trial {
    /// Of which candidate.
    pub candidate: usize,
    /// On which rung, from 0.
    pub rung: u32,
    /// How long: 1 on the last rung, a third of that on the one before …
    pub effort: f64,
}

/// A search in progress.
#[derive(Debug, Clone)]
pub struct Halving {
    keep: usize,
    budget: Seconds,
    /// `None` for those whose fate is open.
    fates: Vec<Option<Fate>>,
    /// Latest rate of each.
    rates: Vec<f64>,
    rung: u32,
    /// When the time of this rung is up; `None` before its first candidate.
    until: Option<f64>,
    queue: VecDeque<usize>,
    tried: usize,
    /// Candidates with a rate on this rung.
    measured: Vec<usize>,
    /// How many each rung measured, failures too.
    sizes: Vec<usize>,
    over: bool,
}

impl Halving {
    /// A search among so many candidates for the `keep` (at least 1) fastest, the first rung in the order given. `budget`
    /// is for all rungs together; it is no hard limit, since a trial that has begun is finished, the first rung measures
    /// `keep` candidates and every other at least one.
    pub fn new(candidates: usize, keep: usize, budget: Seconds) -> Self {
        Self {
            keep: keep.max(1),
            budget,
            fates: vec![None; candidates],
            rates: vec![f64::NAN; candidates],
            rung: 0,
            until: None,
            queue: (0..candidates).collect(),
            tried: 0,
            measured: Vec::new(),
            sizes: Vec::new(),
            over: candidates == 0,
        }
    }

    /// What to measure next when so much time has been spent; `None` once the search is over. The same again until
    /// [`Self::heard`] has been told of it.
    pub fn next(&mut self, spent: Seconds) -> Option<Trial> {
        while !self.over {
            let rungs = rungs(self.queue.len() + self.tried, self.keep);
            let until = *self.until.get_or_insert_with(|| {
                let left = self.budget.saturating_sub(spent).get();
                let share =
                    if rungs == 1 { 1.0 } else { (1.0 / rungs as f64).max(if self.rung == 0 { FIRST } else { 0.0 }) };
                spent.get() + left * share
            });
            let least = if self.rung == 0 { self.keep } else { 1 };
            match self.queue.front() {
                Some(candidate) if spent.get() < until || self.tried < least => {
                    let effort = (KEPT as f64).powi(1 - rungs as i32);
                    return Some(Trial { candidate: *candidate, rung: self.rung, effort });
                }
                _ => self.close(),
            }
        }
        None
    }

    /// Takes the rate of a trial; none, or one that is not positive and finite, puts the candidate out.
    pub fn heard(&mut self, trial: Trial, rate: Option<f64>) {
        let Some(at) = self.queue.iter().position(|candidate| *candidate == trial.candidate) else { return };
        self.queue.remove(at);
        self.tried += 1;
        match rate.filter(|rate| rate.is_finite() && *rate > 0.0) {
            Some(rate) => {
                self.rates[trial.candidate] = rate;
                self.measured.push(trial.candidate);
            }
            None => self.fates[trial.candidate] = Some(Fate::Failed { rung: self.rung }),
        }
    }

    /// Ends a rung: those without a turn drop out, and so do the slower ones.
    fn close(&mut self) {
        let rung = self.rung;
        let whole = self.queue.len() + self.tried;
        for candidate in std::mem::take(&mut self.queue) {
            let rate = self.rates[candidate];
            self.fates[candidate] = Some(if rung == 0 { Fate::NotReached } else { Fate::CutOff { rung, rate } });
        }
        self.sizes.push(std::mem::take(&mut self.tried));
        let mut ranked = std::mem::take(&mut self.measured);
        // Stable: of equals the earlier one stays ahead.
        ranked.sort_by(|one, other| self.rates[*other].total_cmp(&self.rates[*one]));
        let last = rungs(whole, self.keep) == 1 || ranked.len() <= self.keep;
        let going_on = if last { self.keep } else { survivors(ranked.len(), self.keep) };
        for candidate in ranked.split_off(going_on.min(ranked.len())) {
            self.fates[candidate] = Some(Fate::Out { rung, rate: self.rates[candidate] });
        }
        if last {
            for (place, candidate) in ranked.iter().enumerate() {
                self.fates[*candidate] = Some(Fate::Finalist { place, rate: self.rates[*candidate] });
            }
            self.over = true;
        }
        self.queue = ranked.into();
        (self.rung, self.until) = (rung + 1, None);
    }

    /// The last candidates, the fastest first; none before the search is over.
    pub fn finalists(&self) -> Vec<usize> {
        let mut places: Vec<(usize, usize)> = Vec::new();
        for (candidate, fate) in self.fates.iter().enumerate() {
            if let Some(Fate::Finalist { place, .. }) = fate {
                places.push((*place, candidate));
            }
        }
        places.sort_unstable();
        places.into_iter().map(|(_, candidate)| candidate).collect()
    }

    /// What became of every candidate, in the order given; `None` while that is open.
    pub fn fates(&self) -> &[Option<Fate>] {
        &self.fates
    }

    /// How many candidates each finished rung measured.
    pub fn sizes(&self) -> &[usize] {
        &self.sizes
    }

    /// Trials of a search that no time limit cuts.
    pub fn trials(candidates: usize, keep: usize) -> usize {
        let keep = keep.max(1);
        let (mut left, mut all) = (candidates, candidates);
        for _ in 1..rungs(candidates, keep) {
            left = survivors(left, keep);
            all += left;
        }
        all
    }
}

/// Those that go on from a rung of so many.
fn survivors(measured: usize, keep: usize) -> usize {
    measured.div_ceil(KEPT).max(keep)
}

/// Rungs that so many candidates need, this one too: at least one.
fn rungs(candidates: usize, keep: usize) -> usize {
    let (mut left, mut rungs) = (candidates, 0);
    while left > keep {
        left = survivors(left, keep);
        rungs += 1;
    }
    rungs.max(1)
}
