//! The laws in a report: constants, errors, residuals, what is missing, and others' GPUs beside the user's.

use rooflint::record::{DeviceKind, Run};
use rooflint::report::view::{Cell, Drawn, Table};
use rooflint::report::{View, html, markdown, plots};

use super::fit_laws::{ROWS, SIDES, WORLD, attention, h100, products};
use super::sample_run::{CACHE, memory};

/// Products, attention and memory of an H100.
fn run() -> Run {
    let mut records = products(WORLD, &SIDES[..4], &ROWS, 43);
    records.extend(attention(11e-6, 2.6e12, &[256, 1024, 4096, 16384], 0.03));
    records.extend([2, 4, 8].map(|times| memory("read", CACHE * times, 2.9e12)));
    let mut run = h100(records);
    run.header.devices[0].backend = "cuda".to_owned();
    run
}

fn words(table: &Table) -> String {
    let cells = table.rows.iter().flat_map(|row| &row.cells);
    let text = cells.map(|cell| match cell {
        Cell::Text(text) => text.clone(),
        Cell::Badges { badges, detail } => {
            let badges: Vec<&str> = badges.iter().map(|badge| badge.text.as_str()).collect();
            format!("{} {}", badges.join(" "), detail.clone().unwrap_or_default())
        }
        _ => String::new(),
    });
    text.collect::<Vec<_>>().join(" | ")
}

#[test]
fn laws_residuals_and_reached_shares_are_shown() {
    let view = View::of(&[run()]);
    let device = &view.devices[0];
    let [constants, errors, missing] = device.laws.as_slice() else { panic!("{:?}", device.laws) };
    for word in ["matmul bf16", "decode_attention bf16", "throughput", "its cases", "TB/s"] {
        assert!(words(constants).contains(word), "{word}: {}", words(constants));
    }
    assert!(words(errors).contains("matmul bf16") && words(errors).contains('%'));
    assert!(words(missing).contains("decode of three or more models"), "{}", words(missing));

    let plot = |name: &str| device.plots.iter().find(|plot| plot.name == name).unwrap_or_else(|| panic!("{name}"));
    let Drawn::Residuals(strips) = &plot("residuals").drawn else { panic!("strips") };
    for strip in &strips.strips {
        assert!(strip.low < 0.0 && strip.high > 0.0 && strip.accepted.len() > 100, "{strip:?}");
        let inside = strip.accepted.iter().filter(|one| (strip.low..=strip.high).contains(one)).count();
        let share = inside as f64 / strip.accepted.len() as f64;
        assert!((share - 0.9).abs() < 0.03, "{share} of {} is in its interval", strip.case);
    }
    let Drawn::Curves(reached) = &plot("reached").drawn else { panic!("curves") };
    assert!(!reached.curves.is_empty() && reached.curves.len() <= 6);
    for curve in &reached.curves {
        assert_eq!(curve.points.len(), ROWS.len());
        assert!(curve.points.windows(2).all(|pair| pair[0].0 < pair[1].0), "from left to right");
        assert!(curve.points.iter().all(|(_, share)| (20.0..130.0).contains(share)), "{curve:?}");
        // At the ridge both times are paid in part; far from it one of them.
        let least = curve.points.iter().map(|(_, share)| *share).fold(f64::INFINITY, f64::min);
        assert!(least < 95.0 && curve.points.iter().any(|(_, share)| *share > 90.0), "{curve:?}");
    }

    let Drawn::Curves(together) = &view.together[0].drawn else { panic!("curves") };
    let names: Vec<&str> = together.curves.iter().map(|curve| curve.name.as_str()).collect();
    assert!(names[0].starts_with("NVIDIA H100") && names.len() == 5, "{names:?}");
    assert_eq!(names.iter().filter(|name| name.contains(", by others")).count(), 4, "{names:?}");

    let drawings: Vec<_> = view.plots().map(|plot| (plot.name.as_str(), plots::draw(plot).unwrap())).collect();
    let page = html::render(&view, &drawings);
    let text = markdown::render(&view, markdown::Plots::Linked);
    for page in [&page, &text] {
        for word in ["Fitted laws", "What the fitted laws leave over", "What could not be fitted", "by others"] {
            assert!(page.contains(word), "{word}");
        }
    }
}

#[test]
fn too_few_cases_say_what_to_measure_and_no_hardware_has_no_laws() {
    let mut poor = run();
    poor.records.truncate(4);
    let view = View::of(&[poor]);
    let [nothing] = view.devices[0].laws.as_slice() else { panic!("{:?}", view.devices[0].laws) };
    assert!(words(nothing).contains("matmul in bf16 at three or more sizes"), "{}", words(nothing));
    let text = markdown::render(&view, markdown::Plots::Linked);
    assert!(text.contains("Fitted laws: none"), "{text}");

    for kind in [DeviceKind::Emulated, DeviceKind::Fake] {
        let mut other = run();
        other.header.devices[0].kind = kind;
        let view = View::of(&[other]);
        assert!(view.devices[0].laws.is_empty() && view.together.is_empty(), "{kind:?}");
        assert!(view.plots().all(|plot| plot.name != "residuals" && plot.name != "reached"), "{kind:?}");
    }
}
