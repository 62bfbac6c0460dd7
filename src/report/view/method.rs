//! How the figures of a report come about. Every number here is a constant of the code or a parameter of
//! the run, so that the text cannot drift from what was done.

use super::Fact;
use crate::fit::PLATEAU_TOLERANCE;
use crate::record::{Protocol, Run};
use crate::report::number;
use crate::summary::{CONFIDENCE, WIDE};
use crate::units::Seconds;

pub(super) fn method(runs: &[Run]) -> Vec<Fact> {
    let confidence = number::percent(CONFIDENCE);
    let mut facts = vec![
        Fact::new(
            "Headline",
            format!(
                "The median over the samples, with the interval that holds it at {confidence} confidence, from order \
                 statistics and with autocorrelation discounted. Never the best sample. ± is the larger half of that interval."
            ),
        ),
        Fact::new(
            "Bytes and operations",
            "Declared by each benchmark: the compulsory traffic and the arithmetic of the problem, a fused multiply-add \
             being two operations. GB is 10⁹ bytes, GiB 2³⁰. Integers count as OP, not FLOP.",
        ),
        Fact::new(
            "Samples",
            "Every sample is kept in the run file, the rejected ones with their reason. Inputs are pseudo-random \
             numbers, not zeros. Working sets exceed the caches, or rotate through buffers that do, except where a \
             size is chosen to fit one.",
        ),
        Fact::new(
            "Checks",
            "Each case's result is compared with a reference before and after it is timed. A case that computes \
             something wrong has no times.",
        ),
        Fact::new(
            "Ceilings",
            format!(
                "Memory: the bandwidth at a working set past the caches, called a plateau when the two largest sets \
                 differ by at most {}. Compute: the highest throughput in a precision. A ridge point is their quotient.",
                number::percent(PLATEAU_TOLERANCE)
            ),
        ),
        Fact::new(
            "Flags",
            format!(
                "A figure is flagged where its interval exceeds ±{}, where samples were rejected, where its rate drifted \
                 or had not settled, where samples fall into two groups, are few, or are short for the timer.",
                number::percent(WIDE)
            ),
        ),
    ];
    facts.extend(protocol(runs));
    facts
}

/// The protocol's parameters over all cases: one value, or the range.
fn protocol(runs: &[Run]) -> Option<Fact> {
    let records = runs.iter().flat_map(|run| &run.records);
    let protocols: Vec<&Protocol> =
        records.filter_map(|record| record.outcome.measurement()).map(|found| &found.protocol).collect();
    if protocols.is_empty() {
        return None;
    }
    let seconds = |of: fn(&Protocol) -> Seconds| range(protocols.iter().map(|protocol| of(protocol)));
    let count = |of: fn(&Protocol) -> u32| range(protocols.iter().map(|protocol| of(protocol)));
    let target = range(protocols.iter().map(|protocol| protocol.half_width_target));
    let text = format!(
        "Samples of at least {}, from {} to {} of them and for at most {} per case, ending when the interval's \
         half-width is {target} of the median. Warm-up from {} to {}, until the rate settles.",
        seconds(|protocol| protocol.sample_min_s),
        count(|protocol| protocol.samples_min),
        count(|protocol| protocol.samples_max),
        seconds(|protocol| protocol.time_max_s),
        seconds(|protocol| protocol.warm_up_min_s),
        seconds(|protocol| protocol.warm_up_max_s),
    );
    Some(Fact::new("Protocol of this run", text))
}

fn range<T: Ord + Copy + std::fmt::Display>(values: impl Iterator<Item = T> + Clone) -> String {
    match (values.clone().min(), values.max()) {
        (Some(least), Some(most)) if least != most => format!("{least} to {most}"),
        (Some(only), _) => only.to_string(),
        _ => String::new(),
    }
}
