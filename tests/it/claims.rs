//! The claims as data and as judged: every id is there, every figure and verdict is the one a calculator gives.

use std::collections::BTreeSet;

use rooflint::claims::{
    Basis, Check, Evidence, Explanation, GIB_PER_GB, Judgement, Library, Rank, Role, Verdict, explain, findings,
    judge_all, parse,
};

const RECOMPUTED: &str = include_str!("../data/claims_recomputed.tsv");
const VERDICTS: &str = include_str!("../data/claims_verdicts.tsv");
const NOT_TESTABLE: &str = include_str!("../data/not_testable.txt");

/// The documents' claims judged by datasheets alone.
pub fn judged() -> Vec<Judgement> {
    judge_all(&Evidence::datasheets().unwrap()).unwrap()
}

fn rows(table: &str) -> impl Iterator<Item = Vec<&str>> {
    table.lines().filter(|line| !line.starts_with('#') && !line.is_empty()).map(|line| line.split('\t').collect())
}

fn find<'a>(judgements: &'a [Judgement], id: &str) -> &'a Judgement {
    judgements.iter().find(|judgement| judgement.claim.id == id).unwrap_or_else(|| panic!("no claim {id}"))
}

/// A figure as printed, with half a unit of its last digit.
fn printed(text: &str) -> (f64, f64) {
    let value: f64 = text.parse().unwrap();
    let (mantissa, exponent) = text.split_once('e').unwrap_or((text, "0"));
    let decimals = mantissa.split_once('.').map_or(0, |(_, decimals)| decimals.len() as i32);
    (value, 0.5 * 10_f64.powi(exponent.parse::<i32>().unwrap() - decimals))
}

/// Whether a figure reads as printed. A trace more than half a unit, since 16.45 may be printed as 16.5.
fn reads(found: f64, text: &str) -> bool {
    let (value, half) = printed(text);
    (found - value).abs() <= half * 1.002 + value.abs() * 1e-9
}

#[test]
fn every_claim_is_there_once_with_its_line() {
    let library = Library::embedded().unwrap();
    let ids: Vec<&str> = library.claims().iter().map(|claim| claim.id.as_str()).collect();
    let expected: Vec<&str> = rows(VERDICTS).map(|row| row[0]).collect();
    assert_eq!(ids, expected);
    assert_eq!(ids.iter().collect::<BTreeSet<_>>().len(), 152);
    for claim in library.claims() {
        let compared = claim.compares.iter().map(|id| library.claim(id).unwrap());
        assert!(!claim.lines.is_empty() || claim.compares.len() > 1, "{} stands nowhere", claim.id);
        assert!(compared.into_iter().all(|other| !other.lines.is_empty()), "{}", claim.id);
        assert!(!claim.said_by.is_empty() && !claim.as_of.is_empty() && !claim.says.is_empty(), "{}", claim.id);
    }
}

#[test]
fn every_figure_is_the_one_a_calculator_gives() {
    let judgements = judged();
    let mut wrong = Vec::new();
    for row in rows(RECOMPUTED) {
        let [id, label, part, expected] = row[..] else { panic!("{row:?}") };
        let judgement = find(&judgements, id);
        let parts = match label {
            "" => &judgement.parts,
            label => &judgement.movement(label).unwrap_or_else(|| panic!("{id} has no alternative {label}")).parts,
        };
        let part = parts.iter().find(|other| other.name == part).unwrap_or_else(|| panic!("{id} has no part {part}"));
        let found = part.found.unwrap_or_else(|| panic!("{id} {}: nothing found, {:?}", part.name, part.verdict));
        let in_unit = |value: f64| part.unit.of(value);
        let met = match expected.split_once("..") {
            Some((low, high)) => reads(in_unit(found.low), low) && reads(in_unit(found.high), high),
            None => reads(in_unit(found.value), expected),
        };
        if !met {
            wrong.push(format!("{id} [{label}] {}: {} where {expected} was expected", part.name, in_unit(found.value)));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_verdict_is_the_expected_one() {
    let judgements = judged();
    let mut wrong = Vec::new();
    for row in rows(VERDICTS) {
        let judgement = find(&judgements, row[0]);
        let met = match (&judgement.verdict, row.get(2)) {
            (Verdict::Diverges { factor }, Some(expected)) => row[1] == "diverges" && reads(*factor, expected),
            (verdict, None) => verdict.word() == row[1],
            _ => false,
        };
        if !met {
            let why = judgement.verdict.why().unwrap_or("");
            wrong.push(format!("{}: {} {why} where {:?} was expected", row[0], judgement.verdict, &row[1..]));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn what_cannot_be_tested_is_listed() {
    let judgements = judged();
    let untested = |judgement: &&Judgement| matches!(judgement.verdict, Verdict::NotTestable { .. });
    let found: Vec<&str> = judgements.iter().filter(untested).map(|judgement| judgement.claim.id.as_str()).collect();
    let listed: Vec<&str> = NOT_TESTABLE.lines().filter(|line| !line.starts_with('#')).collect();
    assert_eq!(found, listed, "tests/data/not_testable.txt lists what datasheets and arithmetic cannot test");
}

#[test]
fn no_figure_is_missing_but_those_that_need_a_measurement() {
    for judgement in judged() {
        for part in judgement.parts.iter().chain(judgement.movements.iter().flat_map(|movement| &movement.parts)) {
            let why = part.missing.as_deref().unwrap_or("");
            let known = part.formula.is_none() || part.found.is_some() || why.starts_with("needs a measurement");
            assert!(known, "{} {}: {why}", judgement.claim.id, part.name);
        }
    }
}

/// The rules of fairness that the data carries.
#[test]
fn the_data_is_fair() {
    let library = Library::embedded().unwrap();
    let implied = ["g4.shape", "g4.dense-ratio", "g4.h100-rate", "g4.h100-gain", "g4.mqa", "gs.idle-room"];
    for id in implied {
        assert_eq!(library.claim(id).unwrap().basis, Basis::Implied, "{id} is our derivation");
    }
    for claim in library.claims() {
        assert_eq!(claim.id.starts_with("x."), claim.document == "across", "{}", claim.id);
        assert!(!claim.id.starts_with("x.") || claim.basis == Basis::Implied, "{}", claim.id);
        if claim.hedge.is_some() && claim.tolerance < 0.10 {
            assert!(claim.note.is_some(), "{} is hedged; its narrower tolerance needs a reason", claim.id);
        }
        for conflict in &claim.conflicts {
            assert!(!conflict.why.is_empty(), "{}", claim.id);
        }
        if claim.check == Check::Context {
            let reason = claim.note.is_some();
            assert!(reason, "{} is context without a reason", claim.id);
        }
    }
    let speakers = [
        ("c20.size", "CodeFusion"),
        ("c20.chinchilla", "irresponsible"),
        ("bm.gpt3-cost", "Lambda"),
        ("gs.flop-rule", "Guosen"),
        ("gs.demand", "Similarweb"),
        ("gs.trendforce", "TrendForce"),
        ("gs.train-cost", "Puchao"),
        ("g4.cost-a100", "SemiAnalysis"),
    ];
    for (id, speaker) in speakers {
        assert!(library.claim(id).unwrap().said_by.contains(speaker), "{id} names its speaker");
    }
    let dates = [
        ("g4.cost-a100", "July 2023"),
        ("c20.size", "October 2023"),
        ("bm.llama-cost", "31 March 2023"),
        ("gs.rent", "March 2023"),
    ];
    for (id, date) in dates {
        assert!(library.claim(id).unwrap().as_of.contains(date), "{id} has its date");
    }
}

/// An edge must not flip on rounding: the claim that sits on it is inconclusive, the one near it is not.
#[test]
fn edges_are_inconclusive() {
    let judgements = judged();
    let cost = find(&judgements, "g4.train-cost");
    assert!(cost.verdict.why().unwrap().contains("edge"), "{:?}", cost.verdict);
    assert!((cost.headline().unwrap().comparison.unwrap().factor - 1.05).abs() < 1e-9);
    let chinchilla = find(&judgements, "c20.chinchilla").headline().unwrap().comparison.unwrap();
    assert!((chinchilla.factor - 1.0417).abs() < 1e-4 && (chinchilla.ratio - 0.96).abs() < 1e-9);
}

#[test]
fn capacities_are_read_both_ways_and_never_flip_a_verdict_silently() {
    for judgement in judged() {
        let Some(gib) = judgement.movement(rooflint::claims::GIB_LABEL) else { continue };
        if gib.verdict.word() != judgement.as_taken.word() {
            assert!(matches!(judgement.verdict, Verdict::Inconclusive { .. }), "{}", judgement.claim.id);
        }
    }
    // The swap is the one a reader would make by hand: 80 GiB in the datasheets' place.
    let sheets = Evidence::datasheets().unwrap();
    let swapped = Evidence::of(sheets.facts().iter().cloned().map(|mut fact| {
        if fact.quantity.id == "memory_capacity" {
            fact.value.value *= GIB_PER_GB;
            fact.value.low *= GIB_PER_GB;
            fact.value.high *= GIB_PER_GB;
        }
        fact
    }));
    let (before, after) = (judged(), judge_all(&swapped).unwrap());
    let mut flipped = Vec::new();
    for (before, after) in before.iter().zip(&after) {
        if before.as_taken.word() != after.as_taken.word() {
            flipped.push(before.claim.id.as_str());
            assert_eq!(before.verdict.word(), "inconclusive", "{}", before.claim.id);
            assert!(before.movement(rooflint::claims::GIB_LABEL).is_some(), "{}", before.claim.id);
        }
    }
    assert_eq!(flipped, ["bm.serve-gpus"]);
}

#[test]
fn evidence_is_named_and_datasheets_are_upper_bounds() {
    let judgements = judged();
    assert_eq!(find(&judgements, "g4.cost-a100").evidence, Some(Rank::Datasheet));
    assert_eq!(find(&judgements, "g4.params").evidence, None);
    let library = Library::embedded().unwrap();
    let evidence = Evidence::datasheets().unwrap();
    let text = explain("g4.cost-h100", &library, &evidence).unwrap().to_string();
    for part in [
        "datasheet of h100_sxm, an upper bound",
        "assumed",
        "claimed in g4.experts (gpt4-leak, lines 43 and 47)",
        "5.7k tokens of average context",
    ] {
        assert!(text.contains(part), "{part} is not in\n{text}");
    }
}

#[test]
fn explanations_show_every_number_with_its_origin() {
    let (library, judgements) = (Library::embedded().unwrap(), judged());
    for judgement in &judgements {
        let explanation = Explanation::of(judgement, &library);
        assert!(explanation.origin.contains(&judgement.claim.said_by));
        for derivation in &explanation.derivations {
            assert!(!derivation.equation.is_empty() && !derivation.result.is_empty(), "{}", explanation.id);
            assert!(derivation.inputs.iter().all(|input| !input.origin.is_empty()), "{}", explanation.id);
        }
        let judged = judgement.parts.iter().any(|part| part.comparison.is_some() && part.role == Role::Claim);
        if judged && judgement.claim.check != Check::Context {
            assert!(explanation.would_change.is_some(), "{}", explanation.id);
        }
    }
    let unknown = explain("g4.cost", &library, &Evidence::datasheets().unwrap()).unwrap_err().to_string();
    assert!(unknown.contains("g4.cost-a100"), "{unknown}");
}

#[test]
fn findings_say_only_what_the_judgements_bear_out() {
    let all = findings(&judged());
    let ids: Vec<&str> = all.iter().map(|finding| finding.id).collect();
    let expected = [
        "cheap_or_fast",
        "costs_add_up",
        "layout_does_not_fit",
        "low_is_the_pipeline",
        "long_context_runs",
        "drafts_on_experts",
        "price_is_no_size",
        "fleet_by_training",
        "thousandfold_slip",
        "projection_asks_much",
        "faster_than_reading",
        "capacity_counts",
        "one_conversation",
        "one_sentence_two_sizes",
        "rule_not_followed",
        "days_for_the_money",
    ];
    assert_eq!(ids, expected);
    let figures = [
        (0, ["6.79", "14.6", "30"]),
        (1, ["4.67", "4.76", "5700"]),
        (2, ["40 GB", "60.9", "31"]),
        (3, ["35.2", "28.5 %", "47.1 %"]),
        (4, ["90 such", "4096", "724"]),
        (5, ["3.32", "0.95", "2.77"]),
        (6, ["23.4 %", "940", "single out"]),
        (7, ["16.5 % to 10.7 %", "51.0 %", "2.86 to 4.39"]),
        (8, ["560 GFLOP", "1000", "slip"]),
        (9, ["55.8 %", "27.9 %", "51.4 %"]),
        (10, ["5.67", "9.74", "30"]),
    ];
    for (at, words) in figures {
        for word in words {
            assert!(all[at].sentence.contains(word), "{word} is not in: {}", all[at].sentence);
        }
    }
    // A cluster a hundred times as fast would leave nothing of the first sentence.
    let fast = Evidence::of(Evidence::datasheets().unwrap().facts().iter().cloned().map(|mut fact| {
        if fact.quantity.id == "memory_bandwidth" {
            let value = fact.value.value * 100.0;
            fact.value = rooflint::summary::Estimate { value, low: value, high: value };
        }
        fact
    }));
    let silenced = findings(&judge_all(&fast).unwrap());
    assert!(silenced.iter().all(|finding| finding.id != "cheap_or_fast" && finding.id != "costs_add_up"));
    assert!(findings(&[]).is_empty());
}

#[test]
fn a_users_own_document_joins_the_others() {
    let text = r#"
[document]
id = "mine"
title = "My document"
source = "my desk"
speaker = "me"
as_of = "today"
about = "A test."

[[claim]]
id = "my.double"
lines = [1]
says = "Twice GPT-4's parameters are 3.6e12."
check = "arithmetic"

[[claim.part]]
name = "double"
value = 3.6e12
unit = "parameters"
formula = "product"
inputs.parameters = { claim = "g4.params" }
inputs.two = { exact = 2, unit = "1" }
"#;
    let file = parse(text, "mine.toml").unwrap();
    let library = Library::embedded().unwrap().with([file]).unwrap();
    let judgements = library.judge(&Evidence::datasheets().unwrap());
    assert_eq!(judgements.len(), 153);
    assert_eq!(find(&judgements, "my.double").verdict, Verdict::Holds);
}
