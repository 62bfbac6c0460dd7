//! Plots: labels where they can be read, colours that follow the reader's theme, images with something on them.

use resvg::tiny_skia::Pixmap;
use resvg::usvg::roxmltree::{Document, Node};
use rooflint::record::{DeviceKind, Precision, Record, Run};
use rooflint::report::{View, plots, render};

use crate::sample_run::{CACHE, cache, device, fma, intensities, latency, matmul, memory, realistic, run, staircases};

/// A plot's SVG file.
fn svg(run: &Run, name: &str) -> String {
    let view = View::of(std::slice::from_ref(run));
    let plot = view.devices[0].plots.iter().find(|plot| plot.name == name).unwrap();
    plots::draw(plot).unwrap().file()
}

/// A text's box: left, top, right, bottom.
type Area = [f64; 4];

fn number(node: &Node<'_, '_>, name: &str) -> f64 {
    node.attribute(name).unwrap().parse().unwrap()
}

/// The boxes of all texts but watermarks, by a middling width of characters.
fn texts(svg: &str) -> (Vec<(String, Area)>, f64, f64) {
    let document = Document::parse(svg).unwrap();
    let root = document.root_element();
    let mut texts = Vec::new();
    for node in document.descendants().filter(|node| node.has_tag_name("text")) {
        if node.parent().unwrap().attribute("class") == Some("watermark") {
            continue;
        }
        let text = node.text().unwrap_or_default().trim().to_owned();
        let (x, y, size) = (number(&node, "x"), number(&node, "y"), number(&node, "font-size"));
        let length = text.chars().count() as f64 * size * 0.52;
        let start = match node.attribute("text-anchor").unwrap() {
            "start" => 0.0,
            "middle" => -length / 2.0,
            _ => -length,
        };
        let half = size / 2.0;
        let area = match node.attribute("transform") {
            None => [x + start, y - half, x + start + length, y + half],
            Some(_) => [x - half, y - start - length, x + half, y - start],
        };
        texts.push((text, area));
    }
    (texts, number(&root, "width"), number(&root, "height"))
}

fn assert_legible(name: &str, svg: &str) {
    let (texts, width, height) = texts(svg);
    assert!(texts.len() > 4, "{name}: {texts:?}");
    for (index, (text, [left, top, right, bottom])) in texts.iter().enumerate() {
        assert!(*left >= 0.0 && *top >= 0.0 && *right <= width && *bottom <= height, "{name}: '{text}' is cut off");
        for (other, area) in &texts[..index] {
            let apart = area[2] <= *left || *right <= area[0] || area[3] <= *top || *bottom <= area[1];
            assert!(apart, "{name}: '{text}' lies over '{other}'");
        }
    }
}

/// Runs whose rooflines crowd, coincide, lack a part, or reach far.
fn crowded() -> Vec<(&'static str, Vec<Record>)> {
    let slope = |scale: f64| memory("read", 8 * CACHE, 5e10 * scale);
    let rates = [1e11, 1.001e11, 1.002e11, 1.003e11, 1.004e11, 1.005e11, 1.006e11, 1.007e11, 1.008e11];
    let same: Vec<Record> =
        Precision::ALL.iter().zip(rates).map(|((precision, _), rate)| fma(*precision, 2, rate)).collect();
    let products = (1..=24).map(|m| matmul(Precision::F32, [m, 4096, 4096], 2.2e10 * m as f64));
    vec![
        ("the usual", realistic().records),
        ("a whole suite", realistic().records.into_iter().chain(staircases()).chain(intensities()).collect()),
        ("equal ceilings", same.into_iter().chain([slope(1.0)]).collect()),
        ("many products", products.chain([slope(1.0), fma(Precision::F32, 2, 2e11)]).collect()),
        ("memory alone", vec![slope(1.0), memory("write", 8 * CACHE, 4.99e10)]),
        ("compute alone", vec![fma(Precision::F32, 1, 1e11), fma(Precision::F64, 1, 5e10)]),
        (
            "a large device",
            vec![slope(160.0), fma(Precision::F32, 2, 67e12), matmul(Precision::F16, [8192; 3], 990e12)],
        ),
        ("a tiny device", vec![slope(1e-6), fma(Precision::F32, 1, 2e3)]),
    ]
}

#[test]
fn roofline_labels_are_whole_and_apart() {
    for (name, records) in crowded() {
        let run = run(vec![device(DeviceKind::Hardware, "Chip")], records);
        assert_legible(name, &svg(&run, "roofline"));
    }
}

#[test]
fn labels_of_the_other_plots_are_whole_and_apart() {
    let mut run = realistic();
    let long = "a word too long for the margin that is left for it ".repeat(4);
    run.records[0].case.axes.insert("kernel".to_owned(), long.as_str().into());
    for name in ["matmul", "heat", "samples"] {
        assert_legible(name, &svg(&run, name));
    }
}

#[test]
fn axes_use_units_that_people_read() {
    let (labels, ..) = texts(&svg(&realistic(), "roofline"));
    let labels: Vec<&str> = labels.iter().map(|(text, _)| text.as_str()).collect();
    for expected in ["Throughput (GFLOP/s)", "Operational intensity (FLOP/B)", "0.1", "1000", "f32 231.4 GFLOP/s"] {
        assert!(labels.contains(&expected), "{expected} in {labels:?}");
    }
    assert!(!labels.iter().any(|label| label.contains("000000")), "{labels:?}");
}

#[test]
fn every_point_tells_its_case() {
    let svg = svg(&realistic(), "roofline");
    let document = Document::parse(&svg).unwrap();
    let points = document.descendants().filter(|node| node.attribute("class") == Some("point"));
    let titles: Vec<String> = points
        .map(|node| node.children().find(|child| child.has_tag_name("title")).unwrap().text().unwrap().to_owned())
        .collect();
    assert_eq!(titles.len(), 4 + 6 + 13, "triads, fma and products");
    let product = titles.iter().find(|title| title.starts_with("matmul k=2048 m=2048 n=2048 precision=f32: ")).unwrap();
    assert!(product.contains("GFLOP/s at 341.3 FLOP/B, 97 % of its roof"), "{product}");
    assert_eq!(document.root_element().attribute("role"), Some("img"));
    assert!(document.root_element().attribute("aria-label").unwrap().starts_with("Roofline."));
}

#[test]
fn pages_get_variables_and_files_get_colours() {
    let view = View::of(&[realistic()]);
    let (light, dark) = plots::css_variables();
    for plot in &view.devices[0].plots {
        let drawing = plots::draw(plot).unwrap();
        let (inline, file) = (drawing.inline(), drawing.file());
        assert!(!inline.contains("\"#"), "{}: a colour that cannot follow the theme", plot.name);
        for variable in inline.split("var(").skip(1).filter_map(|rest| rest.split(')').next()) {
            assert!(light.contains(&format!("{variable}:#")) && dark.contains(&format!("{variable}:#")), "{variable}");
        }
        assert!(!file.contains("var("), "{}: not every viewer knows variables", plot.name);
        assert!(file.contains("prefers-color-scheme:dark"), "{}", plot.name);
    }
}

#[test]
fn images_show_something() {
    let files = render(&[realistic()]).unwrap();
    let images: Vec<_> = files.iter().filter(|file| file.path.ends_with(".png")).collect();
    assert_eq!(images.len(), 5);
    for image in images {
        let pixels = Pixmap::decode_png(&image.bytes).unwrap();
        let vector = files.iter().find(|file| file.path == image.path.replace(".png", ".svg")).unwrap();
        let (_, width, height) = texts(std::str::from_utf8(&vector.bytes).unwrap());
        assert_eq!(
            (f64::from(pixels.width()), f64::from(pixels.height())),
            (2.0 * width, 2.0 * height),
            "{}",
            image.path
        );
        let dark =
            pixels.pixels().iter().filter(|pixel| pixel.red() < 100 && pixel.green() < 100 && pixel.blue() < 100);
        // Lines alone come to far fewer dark pixels: text was drawn with the font we carry.
        assert!(dark.count() > 6000, "{}: little or no text", image.path);
        assert!(pixels.pixels().iter().all(|pixel| pixel.alpha() == 255), "{}: see-through", image.path);
    }
}

#[test]
fn hostile_names_leave_the_drawing_whole() {
    let mut run = realistic();
    let name = "\"/><script>alert(1)</script>&'";
    for record in &mut run.records {
        record.case.axes.insert("provider".to_owned(), name.into());
    }
    for plot in ["roofline", "matmul", "heat", "samples"] {
        let svg = svg(&run, plot);
        let document = Document::parse(&svg).unwrap();
        assert!(!document.descendants().any(|node| node.has_tag_name("script")), "{plot}");
    }
}

#[test]
fn rejected_samples_are_drawn_and_far_ones_counted() {
    let mut run = realistic();
    if let rooflint::record::Outcome::Measured(measurement) = &mut run.records[0].outcome {
        let far = measurement.samples[0].elapsed_s.get() * 3.0;
        measurement.samples[0].elapsed_s = crate::sample_run::seconds(far);
    }
    let (labels, ..) = texts(&svg(&run, "samples"));
    assert!(labels.iter().any(|(text, _)| text == "1 →"), "{labels:?}");
    assert!(labels.iter().any(|(text, _)| text == "rejected"), "{labels:?}");
}

#[test]
fn staircase_labels_are_whole_and_apart() {
    let runs = [
        ("cache", staircases()),
        ("latency", staircases()),
        ("cache", (1..9).map(|index| cache(4096 << index, "shared", 1e9)).collect()),
        ("latency", (0..6).map(|index| latency(64 << (5 * index), 64, 1e-9 * 10f64.powi(index))).collect()),
        // Two sizes a byte apart, or all the same, give axes without extent.
        ("cache", (0..8).map(|index| cache((1 << 20) + index % 2, "private", 1e9)).collect()),
    ];
    for (name, records) in runs {
        assert_legible(name, &svg(&run(vec![device(DeviceKind::Hardware, "Chip")], records), name));
    }
}

#[test]
fn a_staircase_names_its_caches_and_what_they_give() {
    let drawn = svg(&run(vec![device(DeviceKind::Hardware, "Chip")], staircases()), "cache");
    let (texts, ..) = texts(&drawn);
    let texts: Vec<&str> = texts.iter().map(|(text, _)| text.as_str()).collect();
    for wanted in ["L1", "L2", "L3", "memory", "130 GB/s", "1 MiB", "Working set", "private, 2 threads"] {
        assert!(texts.iter().any(|text| text.replace(".0 G", " G") == wanted), "{wanted} in {texts:?}");
    }
}

#[test]
fn a_grid_shows_each_product_by_its_share_of_the_best_of_its_precision() {
    let mut records = Vec::new();
    for (m, rates) in [(1, [4e9, 8e9, 9e9]), (8, [30e9, 60e9, 70e9]), (512, [80e9, 150e9, 76e9])] {
        for (precision, rate) in [Precision::F32, Precision::Bf16, Precision::F16].into_iter().zip(rates) {
            records.push(matmul(precision, [m, 4096, 4096], rate));
        }
    }
    records.push(matmul(Precision::F32, [2048; 3], 81e9));
    let run = run(vec![device(DeviceKind::Hardware, "Chip")], records);
    let drawn = svg(&run, "heat");
    assert_legible("heat", &drawn);
    let document = Document::parse(&drawn).unwrap();
    let cells: Vec<_> = document.descendants().filter(|node| node.attribute("class") == Some("cell")).collect();
    assert_eq!(cells.len(), 10);
    let opacity = |key: &str| -> f64 {
        let cell = cells.iter().find(|cell| {
            cell.children().any(|child| child.has_tag_name("title") && child.text().unwrap().starts_with(key))
        });
        let area = cell.unwrap().children().find(|child| child.has_tag_name("rect")).unwrap();
        area.attribute("opacity").unwrap().parse().unwrap()
    };
    let [least, middle, most] =
        ["m=1 ", "m=8 ", "m=512 "].map(|m| opacity(&format!("matmul k=4096 {m}n=4096 precision=bf16: ")));
    assert!(least < middle && middle < most, "{least} {middle} {most}");
    // Each precision has its own best.
    let best = |m: &str, precision: &str| opacity(&format!("matmul k=4096 m={m} n=4096 precision={precision}: "));
    assert!((best("512", "f16") - most).abs() < 1e-9 && best("512", "f32") < most);
    let (texts, ..) = texts(&drawn);
    for wanted in ["512 × 4096 × 4096", "2048 × 2048 × 2048", "bf16", "–"] {
        assert!(texts.iter().any(|(text, _)| text == wanted), "{wanted} in {texts:?}");
    }
    let bests = texts.iter().filter(|(text, _)| text.ends_with(", 100 %")).count();
    assert_eq!(bests, 3, "one of each precision: {texts:?}");
    // What colours say is in a table too.
    let view = View::of(std::slice::from_ref(&run));
    let plot = view.devices[0].plots.iter().find(|plot| plot.name == "heat").unwrap();
    let table = plot.table().unwrap();
    assert_eq!((table.columns.len(), table.rows.len()), (4, 4));
    let files = render(std::slice::from_ref(&run)).unwrap();
    let page = files.iter().find(|file| file.path == "report.html").unwrap();
    let page = std::str::from_utf8(&page.bytes).unwrap();
    assert!(page.contains("aria-label=\"Throughput by shape and precision") && page.contains("GFLOP/s, 40 %"));
}

#[test]
fn products_of_one_precision_or_shape_have_no_grid() {
    for records in [
        (1..5).map(|m| matmul(Precision::F32, [m, 64, 64], 1e9)).collect::<Vec<_>>(),
        [Precision::F32, Precision::F64].map(|precision| matmul(precision, [64; 3], 1e9)).to_vec(),
    ] {
        let run = run(vec![device(DeviceKind::Hardware, "Chip")], records);
        let view = View::of(std::slice::from_ref(&run));
        assert!(view.devices[0].plots.iter().all(|plot| plot.name != "heat"));
    }
}
