//! Mixtures of experts: a batch reads the distinct experts its tokens choose, fewer the more unevenly they choose.

use std::array;
use std::collections::BTreeMap;

use super::Measured;
use super::fitted::{Fitted, Prepared};
use super::kinds::{Kinds, kernel, named};
use super::known::{Known, exponent};
use super::law::{Join, Law, Parameter, Reached, Role, Row, SKEW_STEP, SKEWS};
use crate::record::Precision;

/// Its id.
pub const ID: &str = "moe";

/// The routing that spreads tokens evenly.
const BALANCED: &str = "balanced";

/// Most tokens of a batch that decodes: beyond, every expert is read and arithmetic decides.
const TOKENS_MOST: u64 = 512;

/// Layers of experts whose tokens are spread evenly, by precision and format of the weights; kernels but for the usual one
/// apart.
pub fn prepare(known: &Known, items: &[Measured]) -> Vec<Prepared> {
    of_routing(known, items, |routing| routing == BALANCED, &[])
}

/// The same of every other routing. `laws` are those of even routing: the same kernels read the same experts.
pub fn prepare_uneven(known: &Known, items: &[Measured], laws: &[Fitted]) -> Vec<Prepared> {
    of_routing(known, items, |routing| routing != BALANCED, laws)
}

/// A kind of mixture: precision, format of the weights, routing.
type Kind = (Precision, String, String);

fn of_routing(known: &Known, items: &[Measured], wanted: fn(&str) -> bool, laws: &[Fitted]) -> Vec<Prepared> {
    let mut kinds = Kinds::default();
    let mut reached = Cache::default();
    for item in items.iter().filter(|item| item.record.case.benchmark == ID) {
        let Some(precision) = item.summary.precision else { continue };
        let case = &item.record.case;
        let routing = case.word("routing").unwrap_or(BALANCED).to_owned();
        if wanted(&routing) {
            let row = row(item, precision, &routing, &mut reached);
            let weights = case.word("weights").map_or(String::new(), |weights| format!(", weights {weights}"));
            kinds.add((precision, weights, routing), kernel(item), row);
        }
    }
    let each = kinds.into_each().into_iter();
    each.map(|(kind, kernel, rows)| prepared(known, kind, kernel, rows, laws)).collect()
}

/// Distinct experts of layers seen before: many cases share one.
type Cache = BTreeMap<[u64; 3], [f64; SKEWS]>;

/// A layer on one GPU, as a row.
fn row(item: &Measured, precision: Precision, routing: &str, cache: &mut Cache) -> Option<Row> {
    let case = &item.record.case;
    let names = ["tokens", "hidden", "intermediate", "top_k", "experts"];
    let [tokens, hidden, intermediate, top_k, experts] = names.map(|axis| case.count(axis).unwrap_or(0));
    let alone = ["tensor", "expert_parallel"].iter().all(|axis| case.count(axis).is_none_or(|ranks| ranks == 1));
    if !alone || tokens == 0 || tokens > TOKENS_MOST || top_k == 0 || top_k > experts || hidden * intermediate == 0 {
        return None;
    }
    let width = precision.size() as f64;
    let [t, h, i, k] = [tokens, hidden, intermediate, top_k].map(|count| count as f64);
    let spread = *cache.entry([experts, top_k, tokens]).or_insert_with(|| distinct(experts, top_k, t));
    // What a case declares is tokens, and the experts reached without a skew: that tells the bytes of one.
    let (experts_read, declared) = match routing {
        BALANCED => ([(t * k).min(experts as f64); SKEWS], (t * k).min(experts as f64)),
        _ => (spread, spread[0]),
    };
    let weights = item.record.work.bytes_read_b.0 as f64 - t * h * width.max(2.0);
    let matrices = case.count("matrices").unwrap_or(3) as f64;
    (weights > 0.0).then(|| Row {
        time_s: item.summary.time.value,
        cluster: format!("hidden={hidden} intermediate={intermediate} top_k={top_k} experts={experts}"),
        amounts: [1.0, 0.0, 0.0, 0.0],
        // Tokens in and out once, and each routed copy's way through the expert.
        bytes: width * (2.0 * t * h + 2.0 * t * k * (h + (matrices - 1.0) * i)),
        flop: item.record.work.operations().0 as f64,
        reached: Some(Reached { each_b: weights / declared, experts: experts_read }),
        at: [t.log2(), (h * i).log2(), (experts as f64).log2()],
        decodes: true,
    })
}

/// Distinct experts that `tokens` reach at each skew `s`, where the chance of the i-th expert falls as `i^-s`:
/// `sum of 1 - (1 - q)^T`, with `q = top_k` times that chance. At no skew it is `E (1 - (1 - k/E)^T)`.
fn distinct(experts: u64, top_k: u64, tokens: f64) -> [f64; SKEWS] {
    array::from_fn(|step| {
        let skew = SKEW_STEP * step as f64;
        let chance = |expert: u64| (expert as f64).powf(-skew);
        let all: f64 = (1..=experts).map(chance).sum();
        let meets = |expert| (top_k as f64 * chance(expert) / all).min(1.0);
        (1..=experts).map(|expert| 1.0 - (1.0 - meets(expert)).powf(tokens)).sum()
    })
}

fn prepared(known: &Known, kind: Kind, kernel: Option<String>, rows: Vec<Row>, laws: &[Fitted]) -> Prepared {
    let (precision, weights, routing) = kind;
    let subject = |routing: &str| named(format!("{precision}{weights}, {routing}"), kernel.clone());
    let even = laws.iter().find(|law| law.operation == ID && law.subject == subject(BALANCED));
    let read = |row: &Row| row.bytes + row.reached.map_or(0.0, |reached| reached.each_b * reached.experts[SKEWS / 2]);
    // Kernels for many small products may read far below what memory gives, and even routing shows how fast they do. How
    // uneven another routing is and how fast it has the experts read show alike in most cases: what is known of the
    // bandwidth tells them apart.
    let width = if routing == BALANCED { 0.4 } else { 0.05 };
    let bandwidth = known.bandwidth(Role::Bandwidth, width, &rows, read);
    let mut parameters = vec![
        known.fixed("fixed", 0, 4.0),
        Parameter { prior: even.and_then(|law| law.value("bandwidth")).unwrap_or(bandwidth.prior), ..bandwidth },
        known.throughput(precision, 0.6, 0.4, &rows),
        exponent(),
    ];
    if routing != BALANCED {
        parameters.push(Parameter { name: "skew", unit: "", role: Role::Skew, prior: 0.6, sigma: 0.5, limit: None });
    }
    let subject = subject(&routing);
    let measure = format!("moe in {subject}, at three or more layers, over batches of 1 to 512");
    Prepared { operation: ID, subject, law: Law { parameters, join: Join::Smooth }, rows, smooth: true, measure }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distinct_experts_are_the_formula_without_skew_and_fewer_with_it() {
        let reached = distinct(16, 2, 8.0);
        let uniform = 16.0 * (1.0 - (1.0 - 2.0_f64 / 16.0).powi(8));
        assert!((reached[0] - uniform).abs() < 1e-9, "{reached:?}");
        assert!(reached.windows(2).all(|pair| pair[1] < pair[0]), "{reached:?}");
        assert!((distinct(16, 2, 1.0)[0] - 2.0).abs() < 1e-9, "one token reaches its own experts");
    }
}
