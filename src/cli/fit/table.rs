//! A calibration as text: the constants with their intervals, the errors on what was held out, what is missing.

use comfy_table::{ContentArrangement, LineStyle, Table, presets};

use crate::fit::{Calibration, Errors, Fitted, Foretold, HeldOut};

/// The laws' constants.
pub fn constants(calibration: &Calibration, width: Option<usize>) -> String {
    let mut table = ruled(width);
    table.set_header(["Law", "Cases", "Constant", "Value", "90 % interval", "Rests on"]);
    for law in &calibration.laws {
        for (at, constant) in law.constants.iter().enumerate() {
            let [value, interval] = constant.words();
            let (name, cases) = if at == 0 { (name(law), cases(law)) } else { (String::new(), String::new()) };
            let rests = if constant.unsupported.is_some() { "its prior" } else { "the cases" };
            table.add_row([name, cases, constant.name.clone(), value, interval, rests.to_owned()]);
        }
    }
    let kind = if calibration.publishable { "" } else { " (NOT HARDWARE: these times mean nothing)" };
    format!("{}{kind}\n\n{}\n", calibration.device, laid_out(&table))
}

/// How well the laws foretell what they have not seen.
pub fn errors(calibration: &Calibration, width: Option<usize>) -> String {
    let mut table = ruled(width);
    table.set_header(["Law", "Held out", "Error", "Smooth", "Maximum", "Sum", "Decode", "In interval", "Width"]);
    for law in &calibration.laws {
        let held = &law.held_out;
        table.add_row([
            name(law),
            format!("{} groups", held.groups),
            error(&held.errors),
            error(&held.smooth),
            error(&held.maximum),
            error(&held.sum),
            held.decode.as_ref().map_or(String::new(), error),
            inside(held),
            percent(held.width),
        ]);
    }
    format!(
        "\nErrors of predicted times on groups held out, mean (median): of the law, of its smooth joint alone, of a hard \
         maximum and of a plain sum in its place, and of the law on decode's cases. The 90 % interval holds this share \
         of them, and is this wide.\n\n{}\n",
        laid_out(&table)
    )
}

/// How well the laws foretell another run's cases.
pub fn foretold(foretold: &[Foretold], width: Option<usize>) -> String {
    let mut table = ruled(width);
    table.set_header(["Law", "Of", "Cases", "Error", "Worst", "In interval"]);
    for of in foretold {
        let (inside, cases) = (of.inside(), of.cases.len());
        table.add_row([
            format!("{} {}", of.operation, of.subject),
            format!("{}{}", of.group, if of.seen { " (seen)" } else { "" }),
            cases.to_string(),
            error(&of.errors),
            percent(of.worst()),
            format!("{inside} of {cases}"),
        ]);
    }
    format!(
        "\nErrors of the times that these laws foretell of the other run, mean (median), and how many of its cases lie in \
         their 90 % interval. Of what is marked as seen the laws know other cases.\n\n{}\n",
        laid_out(&table)
    )
}

/// What could not be fitted, and what to measure for it.
pub fn missing(calibration: &Calibration, width: Option<usize>) -> String {
    let lacks = calibration.missing.iter().map(|lacks| {
        let subject = if lacks.subject.is_empty() { String::new() } else { format!(" ({})", lacks.subject) };
        [format!("{}{subject}", lacks.operation), lacks.why.clone(), lacks.measure.clone()]
    });
    let unsupported = calibration.laws.iter().flat_map(|law| {
        law.constants.iter().filter_map(|constant| {
            let why = format!("the cases say little of its {}", constant.name);
            Some([name(law), why, constant.unsupported.clone()?])
        })
    });
    let rows: Vec<[String; 3]> = lacks.chain(unsupported).collect();
    if rows.is_empty() {
        return String::new();
    }
    let mut table = ruled(width);
    table.set_header(["Not fitted", "Why", "Measure"]);
    rows.into_iter().for_each(|row| {
        table.add_row(row);
    });
    format!("\n{}\n", laid_out(&table))
}

fn name(law: &Fitted) -> String {
    format!("{} {}", law.operation, law.subject)
}

fn cases(law: &Fitted) -> String {
    match law.beyond_physics {
        0 => format!("{} of {}", law.rows, law.clusters),
        beyond => format!("{} of {}; {beyond} beyond physics left out", law.rows, law.clusters),
    }
}

fn error(errors: &Errors) -> String {
    format!("{} ({})", percent(errors.mean), percent(errors.median))
}

/// The share in the interval, and the shares that may be true.
fn inside(held: &HeldOut) -> String {
    let [low, high] = held.coverage_within.map(|share| 100.0 * share);
    format!("{} ({low:.0} to {high:.0})", percent(held.coverage))
}

fn percent(share: f64) -> String {
    format!("{:.1} %", share * 100.0)
}

/// A table with a rule under its head.
fn ruled(width: Option<usize>) -> Table {
    let mut table = Table::new();
    table.load_style(presets::NOTHING.header_separator(LineStyle::new('─', '─', '─', '─')));
    if let Some(width) = width {
        table.set_content_arrangement(ContentArrangement::Dynamic).set_width(width.clamp(40, 500) as u16);
    }
    table
}

fn laid_out(table: &Table) -> String {
    table.lines().map(|line| line.trim_end().to_owned()).collect::<Vec<_>>().join("\n")
}
