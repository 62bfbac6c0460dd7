//! The fastest of many cases: successive halving chooses it, and then it is measured afresh.

use crate::measure::halving::{Fate, Halving, Trial};
use crate::measure::plan::Plan;
use crate::measure::settings::Settings;
use crate::record::{Outcome, Record};
use crate::store::StoreError;
use crate::suite::{Load, Profile};
use crate::summary::Summary;
use crate::units::Seconds;

/// Candidates that are measured afresh.
pub const FINALISTS: usize = 3;

/// The stage at which they are.
pub const FINALS: &str = "finals";

/// Share of the budget for choosing them; what is left is for measuring them.
const CHOOSING: f64 = 0.65;

/// A case under both loads: places in a plan.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Candidate {
    /// In bursts.
    pub burst: usize,
    /// Under sustained load.
    pub sustained: usize,
}

/// One of the last, measured afresh.
#[derive(Debug, Clone, PartialEq)]
pub struct Finalist {
    /// Which of the candidates.
    pub candidate: usize,
    /// Its record in bursts; `None` where no time was left.
    pub burst: Option<Record>,
    /// Its record under sustained load; `None` where no time was left.
    pub sustained: Option<Record>,
}

/// What a search came to.
#[derive(Debug, Clone, PartialEq)]
pub struct Found {
    /// What became of each candidate, in the order given; `None` where the user stopped the search before.
    pub fates: Vec<Option<Fate>>,
    /// How many candidates each rung measured.
    pub sizes: Vec<usize>,
    /// The last, the fastest of the last rung first.
    pub finalists: Vec<Finalist>,
    /// The highest rate met while choosing, with its candidate.
    pub best_so_far: Option<(usize, f64)>,
    /// Reasons why candidates gave no rate, in order.
    pub failures: Vec<String>,
    /// Time of all its cases, set-up and checks included.
    pub spent: Seconds,
    /// Whether the user stopped it.
    pub interrupted: bool,
}

/// What is to be measured.
#[derive(Debug, Clone, PartialEq)]
pub struct Wanted {
    /// Which case of the plan.
    pub index: usize,
    /// How.
    pub settings: Settings,
    /// Why, for whoever watches: `round 2`, `finals`.
    pub stage: String,
}

/// Measures a case of the plan; `None` if the user stopped it.
pub type Measure<'a> = dyn FnMut(&Wanted) -> Result<Option<Record>, StoreError> + 'a;

/// The plan's cases in pairs: each in bursts and the same under sustained load.
pub fn candidates(plan: &Plan) -> Vec<Candidate> {
    let axes = |index: usize| {
        let mut axes = plan.cases[index].case.axes.clone();
        axes.remove("load");
        axes
    };
    let of = |load| (0..plan.cases.len()).filter(move |index| Load::of(&plan.cases[*index].case) == load);
    let with_sustained = |burst: usize| {
        let sustained = of(Load::Sustained).find(|index| axes(*index) == axes(burst))?;
        Some(Candidate { burst, sustained })
    };
    of(Load::Burst).filter_map(with_sustained).collect()
}

/// Finds the fastest of some candidates within a budget, which is kept as far as set-up, checks and the least number of
/// measurements allow. What it decides depends on the records alone, so that it decides the same again when it is given
/// the same records.
///
/// # Errors
/// Those of `measure`.
pub fn search(
    candidates: &[Candidate],
    budget: Seconds,
    deadline: Seconds,
    measure: &mut Measure<'_>,
) -> Result<Found, StoreError> {
    let order = scattered(candidates.len());
    let choosing = budget.scaled(CHOOSING).unwrap_or(budget);
    let mut halving = Halving::new(candidates.len(), FINALISTS, choosing);
    let mut found = Found {
        fates: vec![None; candidates.len()],
        sizes: Vec::new(),
        finalists: Vec::new(),
        best_so_far: None,
        failures: Vec::new(),
        spent: Seconds::ZERO,
        interrupted: false,
    };
    while let Some(trial) = halving.next(found.spent) {
        let Trial { candidate, rung, effort } = trial;
        let settings = Settings::of(Profile::Quick, effort, deadline);
        let wanted =
            Wanted { index: candidates[order[candidate]].burst, settings, stage: format!("round {}", rung + 1) };
        let Some(record) = measure(&wanted)? else {
            found.interrupted = true;
            break;
        };
        let rate = found.take(&record);
        if let Some(rate) = rate.filter(|rate| found.best_so_far.is_none_or(|(_, best)| *rate > best)) {
            found.best_so_far = Some((order[candidate], rate));
        }
        halving.heard(trial, rate);
    }
    for (place, fate) in halving.fates().iter().enumerate() {
        found.fates[order[place]] = *fate;
    }
    found.sizes = halving.sizes().to_vec();
    let last = halving.finalists().into_iter().map(|place| order[place]);
    found.finalists = last.map(|candidate| Finalist { candidate, burst: None, sustained: None }).collect();
    if !found.interrupted {
        finals(candidates, budget, deadline, &mut found, measure)?;
    }
    Ok(found)
}

/// Measures the finalists, all in bursts and then all under sustained load. The first of them is measured whatever time
/// is left.
fn finals(
    candidates: &[Candidate],
    budget: Seconds,
    deadline: Seconds,
    found: &mut Found,
    measure: &mut Measure<'_>,
) -> Result<(), StoreError> {
    let whole = Settings::of(Profile::Standard, 1.0, deadline);
    let count = found.finalists.len();
    for load in [Load::Burst, Load::Sustained] {
        for place in 0..count {
            if found.spent >= budget && place > 0 {
                continue;
            }
            let behind = if load == Load::Burst { count } else { 0 };
            let wanted = whole.estimate(1.0).get() * (count - place + behind) as f64;
            let settings = Settings::of(Profile::Standard, budget.saturating_sub(found.spent).get() / wanted, deadline);
            let candidate = candidates[found.finalists[place].candidate];
            let index = if load == Load::Burst { candidate.burst } else { candidate.sustained };
            let Some(record) = measure(&Wanted { index, settings, stage: FINALS.to_owned() })? else {
                found.interrupted = true;
                return Ok(());
            };
            found.take(&record);
            let finalist = &mut found.finalists[place];
            match load {
                Load::Burst => finalist.burst = Some(record),
                _ => finalist.sustained = Some(record),
            }
        }
    }
    Ok(())
}

impl Found {
    /// Counts a record's time, and gives its rate.
    fn take(&mut self, record: &Record) -> Option<f64> {
        self.spent = self.spent + record.elapsed_s;
        match &record.outcome {
            Outcome::Skipped(reason) | Outcome::Failed(reason) => self.failures.push(reason.clone()),
            Outcome::Wrong(failure) => self.failures.push(failure.to_string()),
            Outcome::Measured(_) => {}
        }
        let rate = Summary::of(record).map(|summary| summary.headline.value);
        if rate.is_none() && record.outcome.measurement().is_some() {
            self.failures.push("it kept no usable sample".to_owned());
        }
        rate
    }

    /// How many candidates have a fate that answers to `which`.
    pub fn count(&self, which: impl Fn(&Fate) -> bool) -> usize {
        self.fates.iter().flatten().filter(|fate| which(fate)).count()
    }
}

/// The numbers below `count` in an order whose every beginning is spread over all of them: steps of the golden section,
/// rounded to one that meets each once. Neighbours of a grid are alike, and time may end before it does.
fn scattered(count: usize) -> Vec<usize> {
    const GOLDEN: f64 = 0.618_033_988_749_895;
    fn common(a: usize, b: usize) -> usize {
        if b == 0 { a } else { common(b, a % b) }
    }
    let wanted = ((count as f64 * GOLDEN) as usize).max(1);
    let step = (wanted..).find(|step| common(*step, count.max(1)) == 1).unwrap_or(1);
    (0..count).map(|index| index * step % count).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scattered_numbers_are_all_there_and_spread_from_the_beginning() {
        for count in [0, 1, 2, 3, 7, 12, 60, 97] {
            let order = scattered(count);
            let mut sorted = order.clone();
            sorted.sort_unstable();
            assert_eq!(sorted, (0..count).collect::<Vec<_>>());
            // The first quarter leaves no gap of more than a third.
            let mut begun = order[..count / 4].to_vec();
            begun.sort_unstable();
            assert!(
                count < 12 || begun.windows(2).all(|pair| pair[1] - pair[0] <= count / 3 + 1),
                "{count}: {begun:?}"
            );
        }
    }
}
