//! What a search found, as text.

use comfy_table::{CellAlignment, ContentArrangement, LineStyle, Table, presets};

use crate::cli::cost::wrapped;
use crate::hardware::{Gpu, Rate, identify};
use crate::measure::halving::Fate;
use crate::measure::plan::Plan;
use crate::measure::search::{Candidate, Found};
use crate::record::{Case, Precision, Record, Sample};
use crate::report::number::{brief, shown};
use crate::stats::Sorted;
use crate::summary::Summary;
use crate::units::{Hertz, Seconds, prefix, with_prefix};

/// The search among the shapes of one precision.
pub struct Group<'a> {
    pub precision: &'a str,
    pub candidates: &'a [Candidate],
    pub found: Found,
}

/// What a datasheet says of a precision.
struct Peak<'a> {
    sheet: &'a Gpu,
    rate: Rate,
}

/// A finalist's figures under one load, in operations per second.
struct Figures {
    summary: Summary,
    /// Operations over the mean time.
    mean: f64,
    /// Operations over the shortest time.
    best: f64,
    clock: Option<Hertz>,
    power_w: Option<f64>,
}

/// A sentence, a table and an account for each precision.
pub fn text(plan: &Plan, groups: &[Group<'_>], width: Option<usize>) -> String {
    let device = &plan.devices[0];
    let sheet = identify(&device.name).ok().flatten().filter(|sheet| sheet.units == device.compute_units);
    let mark = if device.is_publishable() { "" } else { " (NOT HARDWARE: these times mean nothing)" };
    let mut text = format!("{}{mark}\n", device.name);
    for group in groups {
        let rate = group.precision.parse().ok().and_then(rate_of);
        let peak = sheet.as_ref().zip(rate).map(|(sheet, rate)| Peak { sheet, rate });
        let peak = peak.filter(|peak| peak.sheet.peak(peak.rate).is_some());
        text += &format!("\n{}\n", wrapped(&verdict(plan, group, peak.as_ref()), width));
        if let Some(table) = finalists(plan, group, peak.as_ref(), width) {
            text += &format!("\n{table}\n");
        }
        text += &format!("\n{}\n", wrapped(&account(group), width));
    }
    text
}

/// The shape and its rates in a sentence.
fn verdict(plan: &Plan, group: &Group<'_>, peak: Option<&Peak<'_>>) -> String {
    let precision = group.precision;
    let Some(first) = group.found.finalists.first() else {
        return match best_so_far(plan, group) {
            Some((shape, rate)) if group.found.interrupted => format!(
                "{precision}: the search is not finished. So far {shape} was the fastest, at {}: of short samples, and \
                 the best of many.",
                with_prefix(rate, "FLOP/s")
            ),
            _ => format!("{precision}: nothing was measured."),
        };
    };
    let shape = shape(&plan.cases[group.candidates[first.candidate].burst].case);
    let of = |record: Option<&Record>, load: &str| {
        let summary = Summary::of(record?)?;
        let share = peak.and_then(|peak| Some(summary.headline.value / peak.sheet.peak(peak.rate)?.get()));
        let share = share.map_or(String::new(), |share| format!(" ({} of the datasheet's)", percent(share)));
        Some(format!("{} {load}{share}", brief(summary.headline, summary.unit)))
    };
    let said = [of(first.sustained.as_ref(), "sustained"), of(first.burst.as_ref(), "in bursts")];
    let said: Vec<String> = said.into_iter().flatten().collect();
    match said.is_empty() {
        true => format!("{precision}: {shape} was the fastest, and could not be measured afresh."),
        false => format!("{precision}: {} with m × n × k = {shape}.", said.join(", ")),
    }
}

/// The candidate with the highest rate of a search that has no finalists yet.
fn best_so_far(plan: &Plan, group: &Group<'_>) -> Option<(String, f64)> {
    let (candidate, rate) = group.found.best_so_far?;
    Some((shape(&plan.cases[group.candidates[candidate].burst].case), rate))
}

/// The finalists' figures, measured afresh.
fn finalists(plan: &Plan, group: &Group<'_>, peak: Option<&Peak<'_>>, width: Option<usize>) -> Option<String> {
    let mut rows: Vec<(String, &str, Figures)> = Vec::new();
    for finalist in &group.found.finalists {
        let name = shape(&plan.cases[group.candidates[finalist.candidate].burst].case);
        for (load, record) in [("burst", &finalist.burst), ("sustained", &finalist.sustained)] {
            let Some(figures) = record.as_ref().and_then(Figures::of) else { continue };
            let again = rows.last().is_some_and(|(_, last, _)| *last == "burst") && load == "sustained";
            rows.push((if again { String::new() } else { name.clone() }, load, figures));
        }
    }
    let largest = rows.iter().map(|(_, _, figures)| figures.best).reduce(f64::max)?;
    let (scale, prefix) = prefix(largest);
    let unit = rows.first().map_or("FLOP/s", |(_, _, figures)| figures.summary.unit);
    let mut table = Table::new();
    table.load_style(presets::NOTHING.header_separator(LineStyle::new('─', '─', '─', '─')));
    if let Some(width) = width {
        table.set_content_arrangement(ContentArrangement::Dynamic).set_width(width.clamp(40, 500) as u16);
    }
    let median = format!("Median ({prefix}{unit})");
    let mut header = vec!["m × n × k", "Load", &median, "±", "Mean", "Best"];
    let clocked = rows.iter().any(|(_, _, figures)| figures.clock.is_some());
    let powered = rows.iter().any(|(_, _, figures)| figures.power_w.is_some());
    let optional = [
        (peak.is_some(), "Of datasheet"),
        (peak.is_some() && clocked, "At its clock"),
        (clocked, "Clock"),
        (powered, "Power"),
    ];
    header.extend(optional.iter().filter(|(wanted, _)| *wanted).map(|(_, name)| *name));
    table.set_header(&header);
    for (name, load, figures) in &rows {
        let value = shown(figures.summary.headline, scale);
        let number = |rate: f64| with_places(rate / scale, &value.value);
        let mut cells = vec![name.clone(), (*load).to_owned(), value.value.clone(), value.half.clone()];
        cells.extend([number(figures.mean), number(figures.best)]);
        if let Some(peak) = peak {
            let whole = peak.sheet.peak(peak.rate).map(|peak| figures.summary.headline.value / peak.get());
            cells.push(whole.map_or(String::new(), percent));
            let at_clock = figures.clock.and_then(|clock| peak.sheet.peak_at(peak.rate, clock));
            let share = at_clock.map(|peak| figures.summary.headline.value / peak.get());
            cells.extend(clocked.then(|| share.map_or(String::new(), percent)));
        }
        cells.extend(clocked.then(|| figures.clock.map_or(String::new(), |clock| clock.to_string())));
        cells.extend(powered.then(|| figures.power_w.map_or(String::new(), |power| format!("{power:.0} W"))));
        table.add_row(cells);
    }
    for column in 2..header.len() {
        table.column_mut(column).into_iter().for_each(|column| {
            column.set_cell_alignment(CellAlignment::Right);
        });
    }
    Some(table.lines().map(|line| line.trim_end().to_owned()).collect::<Vec<_>>().join("\n"))
}

/// How many shapes, what became of them, and how long it took.
fn account(group: &Group<'_>) -> String {
    let found = &group.found;
    let all = group.candidates.len();
    let [unreached, cut, failed] = [
        found.count(|fate| matches!(fate, Fate::NotReached)),
        found.count(|fate| matches!(fate, Fate::CutOff { .. })),
        found.count(|fate| matches!(fate, Fate::Failed { .. })),
    ];
    let rounds: Vec<String> = found.sizes.iter().map(usize::to_string).collect();
    let mut text = format!("Of {all} shapes");
    text += &match rounds.as_slice() {
        [] => " none was finished with".to_owned(),
        [one] => format!(" {one} were tried in one round"),
        [most @ .., last] => format!(" {} were tried, in rounds of {} and {last}", found.sizes[0], most.join(", ")),
    };
    text += &format!(", in {}.", found.spent);
    if !found.finalists.is_empty() {
        text += " The figures are of fresh samples, taken after the choice.";
    }
    let mut more = |number: usize, what: &str| {
        if number > 0 {
            text += &format!(" {number} {what}.");
        }
    };
    more(unreached, "were not reached in the time: a longer --budget reaches more");
    more(cut, "were not measured again, since the time of a round was up");
    let reason = found.failures.first().map_or("", String::as_str);
    more(failed, &format!("gave no rate: {reason}"));
    let unmeasured = found.finalists.iter().flat_map(|finalist| [&finalist.burst, &finalist.sustained]);
    let unmeasured = unmeasured.filter(|record| record.is_none()).count();
    let why = if found.interrupted { "the search was interrupted" } else { "the time was up" };
    more(unmeasured, &format!("of the last figures are missing: {why}"));
    if let Some(faster) = faster(group) {
        text += &format!(
            " One that the choice put behind the first was {} faster when measured afresh: a longer --budget tells them \
             apart.",
            percent(faster)
        );
    }
    text
}

/// By how much another finalist is faster in bursts than the first, beyond both intervals.
fn faster(group: &Group<'_>) -> Option<f64> {
    let mut bursts = group.found.finalists.iter().map(|finalist| Summary::of(finalist.burst.as_ref()?));
    let first = bursts.next()??.headline;
    let others =
        bursts.flatten().filter(|other| other.headline.value > first.value && !other.headline.overlaps(&first));
    others.map(|other| other.headline.value / first.value - 1.0).reduce(f64::max)
}

impl Figures {
    fn of(record: &Record) -> Option<Self> {
        let summary = Summary::of(record)?;
        let measurement = record.outcome.measurement()?;
        // Those that the median is of: where most were rejected, all of them.
        let all = measurement.samples.iter().filter(|sample| sample.rejected.is_none()).count() * 2
            < measurement.samples.len();
        let used: Vec<&Sample> = measurement
            .samples
            .iter()
            .filter(|sample| (all || sample.rejected.is_none()) && sample.elapsed_s > Seconds::ZERO)
            .collect();
        let operations = record.work.operations().0 as f64;
        let total: f64 = used.iter().map(|sample| sample.elapsed_s.get()).sum();
        let mean_s = total / used.len() as f64 / f64::from(measurement.repeats);
        let median = |values: Vec<f64>| Some(Sorted::new(values)?.median());
        let clock = median(used.iter().filter_map(|sample| sample.clock_hz).map(f64::from).collect());
        let power_w = median(used.iter().filter_map(|sample| sample.power_w).map(f64::from).collect());
        Some(Self {
            mean: operations / mean_s,
            best: operations / summary.quantiles[0].get(),
            clock: clock.and_then(Hertz::new),
            power_w,
            summary,
        })
    }
}

/// Sides of a product, and what else tells it from others of its precision.
fn shape(case: &Case) -> String {
    let side = |axis| case.count(axis).unwrap_or(0);
    let mut text = format!("{} × {} × {}", side("m"), side("n"), side("k"));
    for (name, value) in &case.axes {
        let usual = name == "data" && case.word("data") == Some("random");
        if !(["m", "n", "k", "precision", "load"].contains(&name.as_str()) || usual) {
            text += &format!(" {value}");
        }
    }
    text
}

/// The peak that products of a precision are held against.
fn rate_of(precision: Precision) -> Option<Rate> {
    match precision {
        Precision::F64 => Some(Rate::F64Tensor),
        Precision::F32 => Some(Rate::F32),
        Precision::Tf32 => Some(Rate::Tf32),
        Precision::F16 => Some(Rate::F16),
        Precision::Bf16 => Some(Rate::Bf16),
        Precision::Fp8E4m3 | Precision::Fp8E5m2 => Some(Rate::Fp8),
        Precision::I8 => Some(Rate::I8),
        Precision::I32 => None,
    }
}

/// A number with as many decimals as another has.
fn with_places(number: f64, like: &str) -> String {
    let places = like.split_once('.').map_or(0, |(_, decimals)| decimals.len());
    format!("{number:.places$}")
}

fn percent(share: f64) -> String {
    format!("{:.1} %", share * 100.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::measure::plan::Planned;
    use crate::measure::search::Finalist;
    use crate::record::Outcome;
    use crate::units::ByteCount;

    /// The table of a search on an H100 that found one product, at 300 TFLOP/s and these clocks.
    fn shown(clock_hz: Option<f64>) -> String {
        let folder =
            std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("reports/gpu-nvidia-h100-80gb-hbm3-20261122");
        let run = crate::store::load(&folder).unwrap().run;
        let is_large = |record: &&Record| {
            let case = &record.case;
            case.benchmark == "matmul" && case.count("m") == Some(4096) && case.word("precision") == Some("f16")
        };
        let mut record = run.records.iter().find(is_large).unwrap().clone();
        let Outcome::Measured(measured) = &mut record.outcome else { panic!("measured") };
        let elapsed_s = 2.0 * 4096_f64.powi(3) * f64::from(measured.repeats) / 300e12;
        for sample in &mut measured.samples {
            sample.elapsed_s = Seconds::new(elapsed_s).unwrap();
            sample.clock_hz = clock_hz.and_then(Hertz::new);
            sample.rejected = None;
        }
        let benchmark = crate::suite::find("matmul").unwrap();
        let planned = || Planned { device: 0, benchmark, case: record.case.clone(), footprint: ByteCount::ZERO };
        let plan = Plan { devices: run.header.devices.clone(), cases: vec![planned(), planned()] };
        let finalist = Finalist { candidate: 0, burst: Some(record.clone()), sustained: Some(record.clone()) };
        let found = Found {
            fates: vec![None],
            sizes: vec![1],
            finalists: vec![finalist],
            best_so_far: None,
            failures: Vec::new(),
            spent: Seconds::ZERO,
            interrupted: false,
        };
        let candidates = [Candidate { burst: 0, sustained: 1 }];
        text(&plan, &[Group { precision: "f16", candidates: &candidates, found }], None)
    }

    #[test]
    fn a_rate_stands_against_the_peak_at_its_clock() {
        // The datasheet's 989.4 TFLOP/s are at 1830 MHz: half of them at half of that.
        let text = shown(Some(915e6));
        let line = text.lines().find(|line| line.contains("4096 own   burst")).unwrap();
        assert!(text.contains("At its clock"), "{text}");
        let cells: Vec<_> = line.split("  ").map(str::trim).filter(|cell| !cell.is_empty()).collect();
        let shares: Vec<_> = cells.iter().filter(|cell| cell.ends_with('%')).collect();
        assert_eq!(shares, [&"30.3 %", &"60.6 %"], "{text}");
        assert!(line.contains("915 MHz"), "{text}");
        let text = shown(None);
        assert!(text.contains("Of datasheet") && !text.contains("At its clock") && !text.contains("60.6 %"), "{text}");
    }
}
