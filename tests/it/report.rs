//! What a report says, and that nothing in a run file can make it say or do anything else.

use std::collections::BTreeSet;

use anstream::adapter::strip_str;
use rooflint::record::{Case, CheckFailure, DeviceKind, Outcome, Precision, Quantity, Run, Work};
use rooflint::report::terminal::{self, Signs, Style, Terminal};
use rooflint::report::view::{Level, Notice};
use rooflint::report::{About, View, html, markdown, number, plots, render, render_view};
use rooflint::summary::Estimate;

use crate::sample_run::{self, CACHE, device, fma, matmul, memory, realistic, record, run};
use crate::support::reject;

const WORST: &str = "<script>alert(1)</script> & \"a\" 'b' | c\n# d \u{1b}[31mred\u{1b}]0;title\u{7}\u{9b}2J\u{85}\u{202e} ](http://x.example) `e`";

/// The HTML page, without the work of making images.
fn page(runs: &[Run]) -> String {
    let view = View::of(runs);
    let drawings: Vec<_> = view.plots().map(|plot| (plot.name.as_str(), plots::draw(plot).unwrap())).collect();
    html::render(&view, &drawings)
}

fn markdown(run: &Run) -> String {
    markdown::render(&View::of(std::slice::from_ref(run)), markdown::Plots::Linked)
}

fn terminal(run: &Run, terminal: Terminal) -> String {
    terminal::summary(&View::of(std::slice::from_ref(run)), &terminal)
}

const PLAIN: Terminal = Terminal { width: Some(100), signs: Signs::Unicode, style: Style::Plain };

/// A run in which every text that a file can hold is hostile.
fn hostile() -> Run {
    let mut run = realistic();
    let header = &mut run.header;
    let device = &mut header.devices[0];
    for text in [
        &mut header.run_id,
        &mut header.started_at,
        &mut header.tool.target,
        &mut header.environment.os,
        &mut header.environment.cpu,
        &mut header.request.profile,
        &mut device.name,
        &mut device.selector,
        &mut device.architecture,
    ] {
        WORST.clone_into(text);
    }
    header.environment.warnings = vec![WORST.to_owned()];
    header.devices[0].features = vec![WORST.to_owned()];
    for record in &mut run.records {
        match &mut record.outcome {
            Outcome::Measured(measurement) => {
                WORST.clone_into(&mut measurement.variant);
                measurement.conditions.insert(WORST.to_owned(), WORST.to_owned());
            }
            Outcome::Skipped(reason) | Outcome::Failed(reason) => WORST.clone_into(reason),
            Outcome::Wrong(failure) => WORST.clone_into(&mut failure.found),
        }
    }
    let mut alien = memory("read", CACHE, 1e10);
    WORST.clone_into(&mut alien.case.benchmark);
    alien.case.axes.insert(WORST.to_owned(), WORST.into());
    run.records.push(alien);
    run
}

#[test]
fn hostile_text_stays_text_in_html() {
    let page = page(&[hostile()]);
    for element in ["<script", "<img", "<a href=\"http", "onerror=\""] {
        assert!(!page.contains(element), "{element}");
    }
    assert!(page.contains("&lt;script&gt;alert(1)&lt;/script&gt; &amp; &quot;a&quot;"));
    assert!(!page.chars().any(|c| c.is_control() && c != '\n'), "a control character");
    assert!(!page.contains('\u{202e}'), "text that runs backwards");
}

#[test]
fn hostile_text_breaks_no_markdown() {
    let document = markdown(&hostile());
    assert!(!document.contains("<script"), "{document}");
    assert_eq!(document.lines().filter(|line| line.starts_with("# ")).count(), 1, "one title");
    assert!(!document.replace("\\]", "").contains("](http"), "a link");
    let pipes = |line: &str| line.replace("\\|", "").matches('|').count();
    let mut columns = 0;
    for line in document.lines() {
        let inside = line.starts_with('|');
        assert!(!inside || columns == 0 || pipes(line) == columns, "{columns} columns: {line}");
        columns = if inside { pipes(line) } else { 0 };
    }
}

#[test]
fn hostile_text_sends_nothing_to_the_terminal() {
    let plain = terminal(&hostile(), PLAIN);
    assert!(!plain.chars().any(|c| c.is_control() && c != '\n'), "{plain:?}");
    let coloured = terminal(&hostile(), Terminal { style: Style::Colour, ..PLAIN });
    assert!(coloured.contains("\u{1b}["), "colours were asked for");
    assert_eq!(strip_str(&coloured).to_string(), plain, "colours change no text");
}

#[test]
fn the_same_run_gives_the_same_bytes() {
    let runs = [realistic()];
    assert_eq!(render(&runs).unwrap(), render(&runs).unwrap());
}

#[test]
fn the_page_needs_nothing_from_elsewhere() {
    let page = page(&[realistic()]);
    for word in ["<script", "<link", "<iframe", "<img", "@import", "url(", "src=", "http://", "https://"] {
        assert!(!page.contains(word), "{word}");
    }
    for target in attribute(&page, "href") {
        assert!(target.starts_with('#'), "{target}");
    }
}

fn attribute<'a>(page: &'a str, name: &str) -> Vec<&'a str> {
    let start = format!(" {name}=\"");
    page.split(&start).skip(1).filter_map(|rest| rest.split('"').next()).collect()
}

#[test]
fn every_link_has_its_target_and_every_target_is_one() {
    let mut other = realistic();
    other.header.run_id = "another".to_owned();
    for runs in [vec![realistic()], vec![realistic(), other], vec![hostile()]] {
        let page = page(&runs);
        let ids = attribute(&page, "id");
        let unique: BTreeSet<&str> = ids.iter().copied().collect();
        assert_eq!(ids.len(), unique.len(), "an id stands twice");
        for target in attribute(&page, "href") {
            assert!(unique.contains(&target[1..]), "{target} leads nowhere");
        }
    }
    let page = page(&[realistic()]);
    for benchmark in ["memory", "fma", "matmul", "launch"] {
        assert!(attribute(&page, "id").contains(&benchmark), "{benchmark} can be linked to by its id");
    }
}

#[test]
fn every_plot_the_markdown_shows_is_written() {
    let files = render(&[realistic()]).unwrap();
    let document = markdown(&realistic());
    let shown: Vec<&str> = document
        .split("](")
        .skip(1)
        .filter_map(|rest| rest.split(')').next())
        .filter(|path| path.ends_with(".svg"))
        .collect();
    let plots = ["roofline", "matmul", "heat", "samples", "residuals"].map(|name| format!("plots/{name}.svg"));
    assert_eq!(shown, plots);
    for path in shown {
        assert!(files.iter().any(|file| file.path == path), "{path}");
    }
}

/// Runs with little or nothing in them.
fn sparse() -> Vec<(&'static str, Run)> {
    let hardware = || vec![device(DeviceKind::Hardware, "Chip")];
    let failed = |size: u64| {
        let (case, work) = sample_run::memory_case("read", size);
        record(case, Quantity::Bandwidth, work, Outcome::Failed("no memory".to_owned()))
    };
    let mut sampleless = memory("read", CACHE, 1e10);
    if let Outcome::Measured(measurement) = &mut sampleless.outcome {
        measurement.samples.clear();
    }
    let mut single = memory("read", CACHE, 1e10);
    if let Outcome::Measured(measurement) = &mut single.outcome {
        measurement.samples.truncate(1);
    }
    let still = sample_run::measured(
        Case::new("launch", [("threads", 1u64.into())], 1),
        Quantity::Duration,
        Work::default(),
        1e-6,
        20,
        0.0,
    );
    vec![
        ("no device", run(Vec::new(), Vec::new())),
        ("a device without cases", run(hardware(), Vec::new())),
        ("a record of no device", run(Vec::new(), vec![memory("read", CACHE, 1e10)])),
        ("only failures", run(hardware(), vec![failed(1 << 20), failed(1 << 30)])),
        ("no samples", run(hardware(), vec![sampleless])),
        ("one sample", run(hardware(), vec![single])),
        ("one case", run(hardware(), vec![memory("read", CACHE, 1e10)])),
        ("compute only", run(hardware(), vec![fma(Precision::F32, 1, 1e11)])),
        ("no spread", run(hardware(), vec![still])),
    ]
}

#[test]
fn sparse_runs_are_reported_without_gaps_in_the_text() {
    for (name, run) in sparse() {
        let files = render(std::slice::from_ref(&run)).unwrap();
        for file in files.iter().filter(|file| !file.path.ends_with(".png")) {
            let text = String::from_utf8(file.bytes.clone()).unwrap();
            let words: BTreeSet<&str> = text.split(|c: char| !c.is_alphanumeric()).collect();
            for word in ["NaN", "inf", "Infinity", "None", "Some"] {
                assert!(!words.contains(word), "{name}, {}: {word}", file.path);
            }
        }
        let summary = terminal(&run, PLAIN);
        assert!(!summary.contains("NaN") && !summary.contains("inf "), "{name}: {summary}");
    }
}

#[test]
fn the_verdict_says_what_was_found() {
    let verdict = |run: &Run| View::of(std::slice::from_ref(run)).devices[0].verdict.join(" ");
    let full = verdict(&realistic());
    assert!(
        full.starts_with("AMD EPYC 9B14 reads memory at 52.4 GB/s and computes 231 GFLOP/s in f32: kernels below 4.4"),
        "{full}"
    );
    assert!(full.contains("FLOP/B are bound by memory. Its best matrix product (f32 2048³) reaches 224 GFLOP/s, 97 % of its f32 ceiling."), "{full}");
    assert!(full.ends_with("39 of 42 cases were measured: 1 wrong, 1 failed and 1 skipped."), "{full}");

    let expected = [
        ("a device without cases", "Nothing was measured on Chip. The run holds no case for it."),
        ("only failures", "Nothing was measured on Chip. 0 of 2 cases were measured: 2 failed."),
        ("no samples", "Nothing was measured on Chip. Its one case was not measured: 1 without a sample."),
        (
            "one case",
            "Chip reads memory at 9.99 GB/s; no compute ceiling was measured. Its one case was measured, and its result checked.",
        ),
        (
            "compute only",
            "Chip computes 100 GFLOP/s in f32; no memory ceiling was measured. Its one case was measured, and its result checked.",
        ),
    ];
    for (name, expected) in expected {
        let run = sparse().into_iter().find(|(own, _)| *own == name).unwrap().1;
        assert_eq!(verdict(&run).replace(".0 G", " G"), expected, "{name}");
    }
}

fn notices(run: &Run) -> Vec<Notice> {
    View::of(std::slice::from_ref(run)).notices
}

/// The one notice that contains a text.
fn notice(run: &Run, text: &str) -> Notice {
    let all = notices(run);
    let found: Vec<&Notice> = all.iter().filter(|notice| notice.what.contains(text)).collect();
    assert_eq!(found.len(), 1, "'{text}' in {all:#?}");
    found[0].clone()
}

#[test]
fn every_warning_says_what_to_do_and_the_worst_come_first() {
    let mut run = realistic();
    run.header.environment.warnings.clear();
    let all = notices(&run);
    assert!(all.len() >= 7, "{all:#?}");
    assert!(all.iter().all(|notice| !notice.action.is_empty()), "{all:#?}");
    assert!(all.is_sorted_by_key(|notice| notice.level), "{all:#?}");
    let page = page(std::slice::from_ref(&run));
    for notice in &all {
        let shown = notice.what.replace('\'', "&#39;");
        assert!(page.contains(&shown) || shown.contains('`'), "{shown}");
    }
}

#[test]
fn what_makes_figures_doubtful_is_said() {
    let mut unoptimised = realistic();
    unoptimised.header.tool.optimised = false;
    let found = notice(&unoptimised, "built without optimisation");
    assert_eq!(found.level, Level::Fault);
    assert!(found.action.contains("cargo run --release"), "{found:?}");

    let mut cut = realistic();
    cut.footer = None;
    cut.header.planned += 3;
    let found = notice(&cut, "cut off after 42 of 45 cases");
    assert!(found.action.contains("--resume k3v9q2"), "{found:?}");

    let mut interrupted = realistic();
    interrupted.footer.as_mut().unwrap().interrupted = true;
    notice(&interrupted, "stopped by its user");

    let mut fake = realistic();
    fake.header.devices[0].kind = DeviceKind::Fake;
    assert_eq!(notice(&fake, "is a fake").level, Level::Fault);

    let mut orphan = realistic();
    orphan.records[0].device = 7;
    notice(&orphan, "1 record of a device that the run does not list");

    let found = notice(&realistic(), "1 case computed a wrong result");
    assert_eq!(found.cases[0].key, "matmul k=3072 m=3072 n=3072 precision=f32");
    assert!(found.cases[0].detail.as_ref().unwrap().contains("c[17, 4]"), "{found:?}");
    assert!(found.action.contains("`rooflint run --bench matmul`"), "{found:?}");

    let found = notice(&realistic(), "some samples were rejected");
    assert!(found.what.contains("other processes ran on the measuring cores (5 samples)"), "{found:?}");
}

#[test]
fn a_bandwidth_that_has_not_come_to_rest_is_called_a_bound() {
    let hardware = vec![device(DeviceKind::Hardware, "Chip")];
    let at = |times: u64, rate: f64| memory("read", times * CACHE, rate);
    let falling = run(hardware.clone(), vec![at(2, 9e10), at(4, 7e10), at(8, 6e10)]);
    let found = notice(&falling, "Bandwidth still fell by 17 %");
    assert!(found.action.contains(&format!("--axis size={}", 16 * CACHE)), "{found:?}");
    let view = View::of(&[falling]);
    assert!(
        view.devices[0].verdict.iter().any(|sentence| sentence.contains("as a bound")),
        "{:?}",
        view.devices[0].verdict
    );

    let small = run(hardware, vec![memory("read", CACHE / 8, 9e10), memory("read", CACHE / 4, 9e10)]);
    notice(&small, "not both larger than the last cache");
}

#[test]
fn figures_of_a_busy_machine_are_called_so() {
    let sentence = "The machine was doing other work meanwhile: it can do better than this.";
    let said = |run: &Run| View::of(std::slice::from_ref(run)).devices[0].verdict.iter().any(|own| own == sentence);
    let mut run = realistic();
    assert!(!said(&run));
    for record in run.records.iter_mut().filter(|record| record.case.benchmark == "memory") {
        reject(record, 1000);
    }
    assert!(said(&run));
}

#[test]
fn threads_that_share_a_core_are_told_from_cores() {
    let threads = |ratio: f64| {
        let records = vec![fma(Precision::F64, 1, 1e11), fma(Precision::F64, 2, ratio * 1e11)];
        run(vec![device(DeviceKind::Hardware, "Chip")], records)
    };
    let found = notice(&threads(1.05), "2 threads compute 1.05 times as much as one");
    assert!(found.what.contains("two threads of one core"), "{found:?}");
    assert!(notices(&threads(1.95)).is_empty(), "two cores are nothing to warn of");
}

#[test]
fn a_fake_device_is_marked_everywhere() {
    let mut run = realistic();
    run.header.devices[0].kind = DeviceKind::Fake;
    let mark = "FAKE DEVICE";
    assert!(page(std::slice::from_ref(&run)).contains(mark));
    assert!(markdown(&run).contains(mark));
    for plot in &View::of(std::slice::from_ref(&run)).devices[0].plots {
        assert!(plots::draw(plot).unwrap().file().contains(mark), "{}", plot.name);
    }
    let summary = terminal(&run, PLAIN);
    assert!(summary.lines().next().unwrap().contains(mark), "{summary}");
    assert!(summary.lines().last().unwrap().contains(mark), "{summary}");
    let marked = page(std::slice::from_ref(&run));
    assert_eq!(marked.matches("class=\"watermark\"").count(), 1 + marked.matches("<g transform=").count());

    run.header.devices[0].kind = DeviceKind::Emulated;
    assert!(page(std::slice::from_ref(&run)).contains("EMULATED DEVICE"));
    assert!(!page(&[realistic()]).contains("class=\"watermark\""));
}

#[test]
fn two_runs_stand_side_by_side() {
    let mut other = realistic();
    other.header.run_id = "second".to_owned();
    let view = View::of(&[realistic(), other]);
    let names: Vec<&str> = view.devices.iter().map(|device| device.name.as_str()).collect();
    assert_eq!(names, ["AMD EPYC 9B14 (cpu, run k3v9q2)", "AMD EPYC 9B14 (cpu, run second)"]);
    let plots: BTreeSet<&str> =
        view.devices.iter().flat_map(|device| &device.plots).map(|plot| plot.name.as_str()).collect();
    assert_eq!(plots.len(), 10, "{plots:?}");
    assert!(view.notices.iter().all(|notice| notice.device.is_some()), "{:#?}", view.notices);
    let files = render_view(&view).unwrap();
    let paths: BTreeSet<&str> = files.iter().map(|file| file.path.as_str()).collect();
    assert_eq!((files.len(), paths.len()), (2 + 2 * 11, 2 + 2 * 11), "every file once, and the plot of both");
}

#[test]
fn the_suites_words_are_shown_where_they_are_given() {
    let about = About { id: "fma", question: "How <fast>?", formula: "2 x lanes", caveats: &["Not `memory`."] };
    let page = html::render(&View::of(&[realistic()]).explained(&[about]), &[]);
    assert!(page.contains("How &lt;fast&gt;?") && page.contains("Not <code>memory</code>."));
}

#[test]
fn numbers_show_what_their_interval_supports() {
    let shown = |value: f64, half: f64| {
        let estimate = Estimate { value, low: value - half, high: value + half / 2.0 };
        let number::Shown { value, half } = number::shown(estimate, 1.0);
        format!("{value} ± {half}")
    };
    let rows = [
        (52.1349, 0.4, "52.1 ± 0.4"),
        (52.1349, 0.12, "52.13 ± 0.12"),
        (52.1349, 0.0123, "52.13 ± 0.01"),
        (52.1349, 0.0003, "52.13 ± <0.01"),
        (52.1349, 0.0, "52.1 ± ?"),
        (52.1349, 4.0, "52 ± 4"),
        (523.4, 40.0, "520 ± 40"),
        (523.4, 1200.0, "500 ± 1200"),
        (0.012345, 0.0002, "0.0123 ± 0.0002"),
        (999.6, 3.0, "1000 ± 3"),
        (0.0, 0.0, "0.00 ± ?"),
    ];
    for (value, half, expected) in rows {
        assert_eq!(shown(value, half), expected);
    }
    let exact = |value: f64| Estimate { value, low: value, high: value };
    assert_eq!(number::plain(exact(52.1349e9), "B/s"), "52.1 GB/s");
    assert_eq!(number::brief(Estimate { value: 52.1349e9, low: 52.13e9, high: 52.14e9 }, "B/s"), "52.1 GB/s");
    assert_eq!(number::with_half(exact(1.5e-6), "s"), "1.50 ± ? µs");
    assert_eq!([0.951, 0.0315, 0.03, 0.0001, 0.0].map(number::percent), ["95 %", "3.2 %", "3 %", "<0.1 %", "0 %"]);
}

#[test]
fn terminal_text_keeps_to_its_width_and_signs() {
    for width in [60, 80, 120] {
        for signs in [Signs::Unicode, Signs::Ascii] {
            let text = terminal(&realistic(), Terminal { width: Some(width), signs, style: Style::Plain });
            for line in text.lines() {
                assert!(line.chars().count() <= width, "{width} columns: '{line}'");
            }
            assert!(signs == Signs::Unicode || text.is_ascii(), "{text}");
        }
    }
}

#[test]
fn the_terminal_shows_cases_roofline_and_warnings() {
    let text = terminal(&realistic(), PLAIN);
    for part in [
        "  memory      read 32 MiB",
        "f32 2048³",
        "✗ wrong",
        "! drift 3.8 %",
        "Throughput (GFLOP/s) by operational intensity (FLOP/B)",
        "memory read: 52.4",
        "(the slope)",
        "f32 (fma): 231.4 ± 0.2 GFLOP/s, ridge at 4.4",
        "● memory: 4 cases",
        "✗ fault: 1 case computed a wrong result",
        "→ Run 'rooflint run --bench matmul' again.",
    ] {
        assert!(text.contains(part), "'{part}' in\n{text}");
    }
    let ascii = terminal(&realistic(), Terminal { signs: Signs::Ascii, ..PLAIN });
    assert!(ascii.contains("^ matmul: 13 cases") && ascii.contains("--------f32"), "{ascii}");
}

#[test]
fn a_product_above_the_memory_roof_is_said_to_come_from_a_cache() {
    let records = vec![
        memory("read", 8 * CACHE, 5e10),
        fma(Precision::F32, 2, 2e11),
        matmul(Precision::F32, [1, 512, 512], 6e10),
    ];
    let run = run(vec![device(DeviceKind::Hardware, "Chip")], records);
    assert_eq!(notice(&run, "above the memory ceiling").cases.len(), 1);
}

#[test]
fn a_wrong_result_shows_no_figure() {
    let failure = CheckFailure { place: "out[3]".to_owned(), expected: "1".to_owned(), found: "2".to_owned() };
    let (case, work) = sample_run::memory_case("read", CACHE);
    let run = run(
        vec![device(DeviceKind::Hardware, "Chip")],
        vec![record(case, Quantity::Bandwidth, work, Outcome::Wrong(failure))],
    );
    let view = View::of(std::slice::from_ref(&run));
    let case = &view.devices[0].benchmarks[0].cases[0];
    assert_eq!((case.outcome, &case.result), ("wrong", &None));
    assert!(page(std::slice::from_ref(&run)).contains("wrong result at out[3]: expected 1, found 2"));
}

#[test]
fn staircases_are_drawn_and_read_in_words() {
    let mut run = realistic();
    run.records.extend(sample_run::staircases());
    run.records.extend(sample_run::intensities());
    let view = View::of(std::slice::from_ref(&run));
    let names: Vec<&str> = view.devices[0].plots.iter().map(|plot| plot.name.as_str()).collect();
    assert_eq!(names, ["roofline", "cache", "latency", "matmul", "heat", "samples", "residuals"]);
    let said = |start: &str| {
        let found = view.devices[0].verdict.iter().find(|sentence| sentence.starts_with(start));
        found.unwrap_or_else(|| panic!("'{start}' in {:?}", view.devices[0].verdict)).clone()
    };
    assert_eq!(
        said("L1 reads").replace(".0 G", " G"),
        "L1 reads 240 GB/s up to 43 KiB, L2 130 GB/s up to 1.7 MiB, L3 95 GB/s up to 27 MiB, memory 48 GB/s."
    );
    assert_eq!(
        said("One access"),
        "One access takes 1.20 ns up to 27 KiB in L1, 4.40 ns up to 685 KiB in L2, 18.0 ns up to 27 MiB in L3, 110 ns \
         in memory."
    );
    let roofline = view.devices[0].plots.iter().find_map(|plot| match &plot.drawn {
        rooflint::report::view::Drawn::Roofline(roofline) => Some(roofline),
        _ => None,
    });
    let slopes: Vec<_> =
        roofline.unwrap().memory.iter().map(|roof| format!("{} {}", roof.level, roof.kernel)).collect();
    assert_eq!(slopes[0], "memory read", "the roofline stands on memory");
    for slope in ["L1 read", "L2 read", "L3 read"] {
        assert!(slopes.contains(&slope.to_owned()), "{slopes:?}");
    }
    let text = terminal(&run, PLAIN);
    assert!(text.contains("L2 read: 130"), "{text}");
    // A few points are told in words and not drawn.
    let mut few = realistic();
    few.records.extend([16, 512, 16_384].map(|kib| sample_run::cache(kib << 10, "private", 1e11)));
    let view = View::of(&[few]);
    assert!(view.devices[0].plots.iter().all(|plot| plot.name != "cache"));
    let sentence = view.devices[0].verdict.iter().find(|sentence| sentence.starts_with("L1 reads"));
    let sentence = sentence.unwrap();
    assert!(sentence.contains("memory 52.4 GB/s"), "memory's own figure stands in: {sentence}");
    assert!(!sentence.contains("up to"), "too few points to say where a level ends: {sentence}");
}

#[test]
fn what_other_data_change_is_said() {
    let of = |data: &'static str, rate: f64| {
        let mut record = matmul(Precision::F32, [2048; 3], rate);
        record.case.axes.insert("data".to_owned(), data.into());
        record
    };
    let mut small = matmul(Precision::F32, [64; 3], 3e11);
    small.case.axes.insert("data".to_owned(), "zeros".into());
    let records =
        vec![fma(Precision::F32, 2, 2e11), of("random", 1e11), of("zeros", 1.5e11), of("integers", 1e11), small];
    let view = View::of(&[run(vec![device(DeviceKind::Hardware, "Chip")], records)]);
    let verdict = &view.devices[0].verdict;
    let said = "With zeros instead of random data, f32 2048³ runs at 1.5 times the rate; with integers, at 1 times.";
    assert!(verdict.iter().any(|sentence| sentence == said), "{verdict:?}");
    assert!(
        verdict.iter().any(|sentence| sentence.contains("best matrix product (f32 2048³) reaches 99.9")),
        "{verdict:?}"
    );
}

#[test]
fn several_rooflines_share_a_plane() {
    let one = |name: &str, id: &str, rate: f64, precision| {
        let mut run = run(
            vec![device(DeviceKind::Hardware, name)],
            vec![memory("read", 8 * CACHE, rate), fma(precision, 2, 10.0 * rate)],
        );
        run.header.run_id = id.to_owned();
        run
    };
    let slow = one("Slow", "a", 50e9, Precision::F32);
    let fast = one("Fast", "b", 200e9, Precision::F32);
    let view = View::of(&[slow.clone(), fast.clone()]);
    let [plot] = view.together.as_slice() else { panic!("{:?}", view.together) };
    let rooflint::report::view::Drawn::Curves(curves) = &plot.drawn else { panic!("{plot:?}") };
    let names: Vec<&str> = curves.curves.iter().map(|curve| curve.name.as_str()).collect();
    assert!(names[0].starts_with("Slow: 50") && names[1].starts_with("Fast: 200"), "{names:?}");
    assert_eq!(curves.y, "Throughput in f32 (TFLOP/s)");
    for (curve, rate) in curves.curves.iter().zip([50e9, 200e9]) {
        let [low, ridge, high] = curve.points[..] else { panic!("{curve:?}") };
        let near = |found: f64, wanted: f64| (found / wanted - 1.0).abs() < 0.02;
        assert!(near(ridge.0, 10.0) && near(ridge.1, rate / 1e11) && near(high.1, ridge.1), "{curve:?}");
        assert!(near(low.1 / low.0, rate / 1e12), "{curve:?}");
    }
    assert!(page(&[slow.clone(), fast]).contains("Rooflines side by side"));
    // Nothing to compare in.
    assert_eq!(View::of(&[slow.clone(), one("Other", "c", 1e9, Precision::I32)]).together, []);
    assert_eq!(View::of(&[slow]).together, []);
}
