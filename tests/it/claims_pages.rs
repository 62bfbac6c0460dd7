//! The claims as pages and commands: what is shown is what was judged, and every curve runs through its figure.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use rooflint::claims::{Evidence, Judgement, Library, Rank, measured, parse};
use rooflint::record::{DeviceKind, Precision, Provenance};
use rooflint::report::terminal::{Signs, Style, Terminal};
use rooflint::report::view::{Curves, Drawn, Stacks};
use rooflint::report::{ClaimsView, Judged, html, markdown, plots, render_claims, terminal};
use rooflint::units::ByteCount;

use crate::sample_run::{CACHE, device, matmul, memory, realistic, run};

fn judged() -> Vec<Judgement> {
    Library::embedded().unwrap().judge(&Evidence::datasheets().unwrap())
}

fn view_of(library: &Library, judgements: &[Judgement]) -> ClaimsView {
    ClaimsView::of(&Judged { library, evidence: &Evidence::datasheets().unwrap(), judgements })
}

fn view() -> ClaimsView {
    view_of(&Library::embedded().unwrap(), &judged())
}

fn page(view: &ClaimsView) -> String {
    let drawings: Vec<_> = view.plots.iter().map(|plot| (plot.name.as_str(), plots::draw(plot).unwrap())).collect();
    html::claims::render(view, &drawings)
}

fn curves<'a>(view: &'a ClaimsView, name: &str) -> &'a Curves {
    match &view.plots.iter().find(|plot| plot.name == name).expect("the plot is there").drawn {
        Drawn::Curves(curves) => curves,
        other => panic!("not curves: {other:?}"),
    }
}

fn found(id: &str, part: &str) -> f64 {
    let judgements = judged();
    let judgement = judgements.iter().find(|judgement| judgement.claim.id == id).expect("a claim");
    judgement.found(part).expect("a figure").value
}

fn near(a: f64, b: f64) {
    assert!((a / b - 1.0).abs() < 1e-6, "{a} is not {b}");
}

#[test]
fn cost_curves_end_at_the_judged_cost_and_pass_the_claimed_points() {
    let view = view();
    let data = curves(&view, "claims-cost");
    assert_eq!(data.curves.len(), 4);
    for (curve, id) in [(&data.curves[1], "g4.cost-a100"), (&data.curves[3], "g4.cost-h100")] {
        let (_, cost) = *curve.points.last().unwrap();
        near(cost, found(id, "cost") * 1e3);
        let falls = curve.points.windows(2).all(|pair| pair[1].1 <= pair[0].1 * (1.0 + 1e-9));
        assert!(falls, "a larger batch costs more");
    }
    for ((mark, threshold), claimed) in data.marks.iter().zip(&data.thresholds).zip([0.0049, 0.0021]) {
        near(mark.y, claimed);
        near(threshold.y, claimed);
        // The fitted curve ends a hair from the claimed point: its context is rounded to hundreds of tokens.
        let ends = data.curves.iter().map(|curve| *curve.points.last().unwrap());
        let nearest = ends.map(|(x, y)| (x / mark.x - 1.0).abs().max((y / mark.y - 1.0).abs())).fold(1.0, f64::min);
        assert!(nearest < 0.05, "{} is off every curve by {nearest}", mark.name);
    }
}

#[test]
fn user_rates_fall_to_the_judged_bound_and_then_to_the_compute_ceiling() {
    let view = view();
    let data = curves(&view, "claims-user-rate");
    assert_eq!(data.curves.len(), 4);
    let (batch, rate) = *data.curves[0].points.last().unwrap();
    near(batch, 4096.0);
    // Two operations for each of 277e9 parameters and 4096 tokens, on a stage's eight GPUs at 312 TFLOP/s, times 16 stages.
    near(rate, 312e12 * 8.0 / (2.0 * 277e9 * 4096.0));
    let (_, flat) = *data.curves[0].points.iter().find(|point| point.0 > 256.0).unwrap();
    assert!((flat / found("x.speed-vs-cost", "rate") - 1.0).abs() < 1e-6, "every expert is read by then");
    near(data.curves[0].points[0].1, found("x.speed-vs-cost", "alone"));
    near(data.thresholds[0].y, 30.0);
    assert!(data.curves.iter().all(|curve| curve.points.last().unwrap().1 < 30.0));
}

#[test]
fn memory_adds_up_to_the_judged_figures() {
    let view = view();
    let plot = view.plots.iter().find(|plot| plot.name == "claims-memory").expect("the plot is there");
    let Drawn::Stacks(Stacks { stacks, .. }) = &plot.drawn else { panic!("not stacks") };
    assert_eq!(stacks.len(), 5);
    let total = |index: usize| -> f64 { stacks[index].segments.iter().map(|segment| segment.value).sum() };
    near(total(0), found("g4.train-fit", "state"));
    assert!(total(0) > stacks[0].limit && total(1) < stacks[1].limit, "one sharding fits and the other does not");
    near(stacks[2].segments[0].value, found("g4.serve-fit", "weights"));
    // 4096 sequences need as many times the free memory as they are more than those that fit.
    let free = 40e9 - stacks[2].segments[0].value;
    near(stacks[2].segments[1].value / free, 4096.0 / found("x.batch-vs-memory", "sequences"));
    near(total(3), 700e9 / 9.0 + 2048.0 * 2.0 * 96.0 * 12288.0 * 4.0 / 9.0);
    near(total(4), 1400e9 / 16.0);
}

#[test]
fn a_picture_without_its_claims_is_left_out() {
    let library = Library::embedded().unwrap();
    let mut judgements = judged();
    judgements.retain(|judgement| judgement.claim.document == "chatgpt-20b");
    let view = view_of(&library, &judgements);
    assert!(view.plots.is_empty());
    assert_eq!(view.documents.len(), 1);
    assert!(page(&view).contains("What chatgpt-20b claims"));
}

fn attribute<'a>(page: &'a str, name: &str) -> Vec<&'a str> {
    let start = format!(" {name}=\"");
    page.split(&start).skip(1).filter_map(|rest| rest.split('"').next()).collect()
}

#[test]
fn the_page_has_every_claim_and_no_dead_link() {
    let page = page(&view());
    let ids = attribute(&page, "id");
    let unique: BTreeSet<&str> = ids.iter().copied().collect();
    assert_eq!(ids.len(), unique.len(), "an id stands twice");
    for judgement in judged() {
        assert!(unique.contains(judgement.claim.id.as_str()), "{} is missing", judgement.claim.id);
    }
    for target in attribute(&page, "href") {
        assert!(target.starts_with('#') && unique.contains(&target[1..]), "{target} leads nowhere");
    }
    for plot in ["claims-cost", "claims-user-rate", "claims-memory"] {
        assert!(view().plots.iter().any(|known| known.name == plot), "{plot}");
    }
    assert_eq!(page.matches("<svg ").count(), 3);
    assert!(!page.contains("NaN") && !page.contains(">inf"), "a number that is none");
}

#[test]
fn the_tally_counts_every_claim_once() {
    let view = view();
    let numbers = |row: &rooflint::report::view::Row| -> Vec<usize> {
        let text = |cell: &rooflint::report::view::Cell| match cell {
            rooflint::report::view::Cell::Text(text) => text.parse().ok(),
            _ => None,
        };
        row.cells.iter().filter_map(text).collect()
    };
    let tally = view.tally.as_ref().expect("all claims are shown");
    let (all, documents) = tally.rows.split_last().expect("rows");
    let all = numbers(all);
    assert_eq!(all[0], judged().len());
    assert_eq!(all[0], all[1..].iter().sum::<usize>());
    for (column, sum) in all.iter().enumerate() {
        assert_eq!(*sum, documents.iter().map(|row| numbers(row)[column]).sum::<usize>());
    }
    assert_eq!(view.claims().count(), all[0]);
}

#[test]
fn each_pair_is_shown_once_and_every_conflict_is_in_one() {
    let pairs = view().pairs;
    let known: BTreeSet<BTreeSet<String>> =
        pairs.iter().map(|pair| pair.sides.iter().map(|side| side.id.clone()).collect()).collect();
    assert_eq!(known.len(), pairs.len(), "a pair stands twice");
    for judgement in judged() {
        for conflict in &judgement.claim.conflicts {
            let pair = BTreeSet::from([judgement.claim.id.clone(), conflict.id.clone()]);
            assert!(known.contains(&pair), "{pair:?} is missing");
        }
    }
}

#[test]
fn markdown_and_terminal_show_the_same_claims() {
    let view = view();
    let document = markdown::claims::render(&view, markdown::Plots::Linked);
    let plain = Terminal { width: Some(100), signs: Signs::Ascii, style: Style::Plain };
    let text = terminal::claims::table(&view, &Terminal::UNLIMITED);
    for claim in view.claims() {
        let row = |line: &&str| line.contains(&claim.id) && line.contains(&claim.verdict);
        assert!(document.lines().any(|line| row(&line)), "{} in Markdown", claim.id);
        assert!(text.lines().any(|line| row(&line)), "{} in the terminal", claim.id);
    }
    let words = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
    for finding in &view.findings {
        assert!(words(&text).contains(&words(&finding.sentence)), "{}", finding.sentence);
    }
    let narrow = terminal::claims::table(&view, &plain);
    assert!(narrow.lines().all(|line| line.chars().count() <= 100), "a line is too wide");
    assert!(narrow.is_ascii(), "signs that the terminal lacks");
    let files = render_claims(&view).unwrap();
    for shown in document.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
        assert!(files.iter().any(|file| file.path == shown), "{shown} is not written");
    }
    assert!(files.iter().any(|file| file.path == "claims.html"));
}

const HOSTILE: &str = r#"
[document]
id = "mine"
title = "<script>alert(1)</script>"
source = "my | desk"
speaker = "me"
as_of = "today"
about = "A <b>test</b>."

[[claim]]
id = "my.half"
lines = [1]
says = "<img src=x onerror=alert(1)> | half"
check = "arithmetic"

[[claim.part]]
name = "half"
value = 2
unit = "x"
formula = "quotient"
inputs.numerator = { stated = 4, unit = "GPUs", why = "<i>because</i>" }
inputs.denominator = { stated = 4, unit = "GPUs" }
"#;

#[test]
fn a_users_text_stays_text() {
    let library = Library::embedded().unwrap().with([parse(HOSTILE, "mine.toml").unwrap()]).unwrap();
    let judgements = library.judge(&Evidence::datasheets().unwrap());
    let view = view_of(&library, &judgements);
    let page = page(&view);
    for element in ["<script", "<img", "<i>because"] {
        assert!(!page.contains(element), "{element}");
    }
    let document = markdown::claims::render(&view, markdown::Plots::Omitted);
    assert!(!document.contains("<img") && document.contains("\\| half"));
    let commanding = HOSTILE.replace("because", "\\u001b[2J");
    let error = parse(&commanding, "mine.toml").unwrap_err().to_string();
    assert!(error.starts_with("mine.toml:21: ") && error.contains("control characters"), "{error}");
}

#[test]
fn a_run_is_evidence_for_the_devices_it_names() {
    let gpu = |name: &str, kind| {
        let sizes = [CACHE * 2, CACHE * 4, CACHE * 8];
        let mut records: Vec<_> = sizes.iter().map(|size| memory("read", *size, 1.4e12)).collect();
        records.push(matmul(Precision::F16, [4096; 3], 2.5e14));
        run(vec![device(kind, name)], records)
    };
    let mut real = gpu("NVIDIA A100-SXM4-40GB", DeviceKind::Hardware);
    real.header.devices[0].backend = "cuda".to_owned();
    real.header.devices[0].memory_b = Some(ByteCount::mib(40960));
    let facts = measured(&real).unwrap();
    let other = facts.iter().find(|fact| fact.gpu == "a100_sxm_80gb").expect("capacities are read alike");
    assert_eq!((other.quantity.id, other.value.value), ("memory_capacity", 81920.0 * 1048576.0));
    let facts: Vec<_> = facts.into_iter().filter(|fact| fact.gpu == "a100_sxm_40gb").collect();
    let fact = |id: &str| facts.iter().find(|fact| fact.quantity.id == id && fact.rank == Rank::Measured);
    let bandwidth = fact("memory_bandwidth").expect("bandwidth");
    assert_eq!((bandwidth.gpu.as_str(), bandwidth.rank), ("a100_sxm_40gb", Rank::Measured));
    assert!((bandwidth.value.value / 1.4e12 - 1.0).abs() < 0.05);
    assert!(fact("matmul_f16").is_some() && fact("memory_capacity").is_some() && fact("matmul_f32").is_none());

    let evidence = Evidence::datasheets().unwrap().with(facts);
    let judgements = Library::embedded().unwrap().judge(&evidence);
    let cost = judgements.iter().find(|judgement| judgement.claim.id == "g4.cost-a100").unwrap();
    let used = cost.part("cost").unwrap().inputs.iter().find(|input| input.name == "bandwidth").unwrap();
    assert_eq!(used.rank, Some(Rank::Measured));
    assert!(found("g4.cost-a100", "cost") < cost.found("cost").unwrap().value, "slower memory must cost more");

    // A slow GPU, or a slow program, says nothing against what others reached.
    let mut slow = gpu("NVIDIA A100-SXM4-80GB", DeviceKind::Hardware);
    slow.header.devices[0].backend = "cuda".to_owned();
    slow.records.pop();
    slow.records.push(matmul(Precision::F16, [4096; 3], 1.15e14));
    let judgements =
        Library::embedded().unwrap().judge(&Evidence::datasheets().unwrap().with(measured(&slow).unwrap()));
    for id in ["bm.llama-mfu", "gs.opt", "gs.megatron", "gs.a100-peak"] {
        let judgement = judgements.iter().find(|judgement| judgement.claim.id == id).unwrap();
        assert_eq!(judgement.verdict.word(), "holds", "{id}");
    }

    let mut imported = real.clone();
    let (source, version, licence) = ("a table".to_owned(), "1".to_owned(), "MIT".to_owned());
    imported.header.provenance = Provenance::Imported { source, version, licence };
    assert!(measured(&imported).unwrap().iter().all(|fact| fact.rank == Rank::Reference));
    imported.header.provenance = Provenance::Claimed { document: "d".to_owned() };
    assert!(measured(&imported).unwrap().is_empty(), "a statement is no evidence");

    for (name, kind) in [
        ("NVIDIA A100-SXM4-40GB", DeviceKind::Emulated),
        ("NVIDIA A100-SXM4-40GB", DeviceKind::Fake),
        ("NVIDIA A100", DeviceKind::Hardware),
    ] {
        let mut other = gpu(name, kind);
        other.header.devices[0].backend = "cuda".to_owned();
        assert!(measured(&other).unwrap().is_empty(), "{name} {kind:?}");
    }
    // Inside the cache nothing is known of memory.
    let mut cached = real.clone();
    cached.records.truncate(1);
    assert!(measured(&cached).unwrap().iter().all(|fact| fact.quantity.id != "memory_bandwidth"));
    let mut host = realistic();
    host.header.devices[0].backend = "cpu".to_owned();
    assert!(measured(&host).unwrap().iter().all(|fact| fact.gpu == "cpu"));
}

/// Runs with arguments separated by spaces; gives exit code, standard output, standard error.
fn call(folder: &Path, arguments: &str) -> (i32, String, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_rooflint"));
    command.current_dir(folder).env("NO_COLOR", "1").stdin(Stdio::null()).args(arguments.split_whitespace());
    let output = command.output().expect("runs");
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("text");
    (output.status.code().unwrap_or(-1), text(output.stdout), text(output.stderr))
}

#[test]
fn the_command_lists_filters_and_fails_on_request() {
    let folder = tempfile::tempdir().unwrap();
    let here = |arguments: &str| call(folder.path(), arguments);
    let (code, all, err) = here("claims");
    assert_eq!(code, 0, "{err}");
    for document in ["gpt4-leak", "chatgpt-20b", "behind-the-millions", "gpt35-sizing"] {
        assert!(all.contains(&format!("({document})")), "{document}");
    }
    let (_, some, _) = here("claims --document chatgpt-20b --verdict diverges,inconclusive");
    assert!(some.contains("c20.half") && !some.contains("c20.shrink") && !some.contains("g4.params"), "{some}");
    assert!(some.contains(" claims of the 19") && !some.contains(" hold,"), "a part was counted as the whole: {some}");
    assert_eq!(here("claims --document chatgpt-20b --fail-on diverges").0, 1);
    assert_eq!(here("claims --document chatgpt-20b --verdict holds --fail-on diverges").0, 0);

    let (_, json, _) = here("claims --format json");
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    let claims = json["claims"].as_array().unwrap();
    let ids: Vec<&str> = claims.iter().filter_map(|claim| claim["id"].as_str()).collect();
    let expected: Vec<String> = judged().into_iter().map(|judgement| judgement.claim.id).collect();
    assert_eq!(ids, expected);
    let slip = claims.iter().find(|claim| claim["id"] == "g4.forward-flop").unwrap();
    assert_eq!(slip["verdict"], "diverges");
    assert_eq!(slip["factor"], slip["parts"][0]["factor"]);
    let (_, md, _) = here("claims --format md --document gpt35-sizing");
    assert!(md.starts_with("# ") && md.contains("gs.idle-room"), "{md}");
}

#[test]
fn bad_requests_name_the_thing_and_the_way_out() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("twice.toml"), HOSTILE.replace("my.half", "g4.params")).unwrap();
    fs::write(folder.path().join("odd.toml"), HOSTILE.replace("\"quotient\"", "\"quotent\"")).unwrap();
    let cases = [
        ("claims --document nothing", "known: gpt4-leak"),
        ("claims --verdict maybe", "holds, diverges"),
        ("claims --format xml", "known: table, json, md"),
        ("claims nowhere", "nowhere"),
        ("claims g4.cost-h100", "claims explain g4.cost-h100"),
        ("claims explain g4.nothing-known", "rooflint claims"),
        ("claims explain g4.cost", "did you mean"),
        ("claims --claims absent.toml", "absent.toml"),
        ("claims --claims twice.toml", "g4.params"),
        ("claims --claims odd.toml", "odd.toml:20"),
    ];
    for (arguments, words) in cases {
        let (code, out, err) = call(folder.path(), arguments);
        assert_eq!(code, 2, "{arguments}: {err}");
        assert!(out.is_empty() && err.contains(words), "{arguments}: {err}");
        assert!(!err.contains("panicked"), "{err}");
    }
}

#[test]
fn each_surprise_can_be_explained() {
    let folder = tempfile::tempdir().unwrap();
    for finding in view().findings {
        for id in finding.claims {
            let (code, out, err) = call(folder.path(), &format!("claims explain {id}"));
            assert_eq!(code, 0, "{id}: {err}");
            assert!(out.starts_with(&id) && out.contains("said by"), "{out}");
        }
    }
}

#[test]
fn a_report_without_a_run_is_the_claims_alone() {
    let folder = tempfile::tempdir().unwrap();
    let (code, out, err) = call(folder.path(), "report --out here");
    assert_eq!(code, 0, "{err}");
    assert!(out.trim().ends_with("claims.html"), "{out}");
    let there = |name: &str| folder.path().join("here").join(name).exists();
    assert!(there("claims.html") && there("claims.md") && there("plots/claims-cost.png") && !there("report.html"));
}
