//! The references that come with the program, as facts for the judge.
//!
//! A fact is the median of the figures that count, one for each source, and its interval their range, with the intervals of
//! those that were fitted: what GPUs of this kind were seen to do. It is an achieved figure. It is evidence where a claim is about what a GPU does, and none
//! against a claim about its datasheet, whose inputs name the datasheet.

use std::collections::BTreeMap;

use super::evidence::{Fact, Quantity, Rank};
use super::shapes::shapes;
use super::unit;
use crate::reference::{CALIBRATED, Figure, ReferenceError, figures, median};
use crate::summary::Estimate;

/// The facts.
///
/// # Errors
/// None for the references as committed.
pub fn references() -> Result<Vec<Fact>, ReferenceError> {
    let mut facts = facts(&figures()?);
    for calibrated in CALIBRATED {
        let whose = format!("reports/reference/calibrations/{}.json", calibrated.gpu);
        facts.extend(shapes(&calibrated.calibration()?, calibrated.gpu, Rank::Reference, &whose));
    }
    Ok(facts)
}

/// One fact for each GPU and quantity of these figures; quantities that no claim asks for are passed over.
fn facts(figures: &[Figure]) -> Vec<Fact> {
    let mut groups: BTreeMap<(&str, &str), Vec<&Figure>> = BTreeMap::new();
    for figure in figures {
        groups.entry((&figure.gpu, &figure.quantity)).or_default().push(figure);
    }
    let fact = |((gpu, quantity), figures): ((&str, &str), Vec<&Figure>)| {
        let quantity = Quantity::find(quantity)?;
        let counting: Vec<&&Figure> = figures.iter().filter(|figure| figure.excluded.is_none()).collect();
        let value = median(&counting.iter().map(|figure| figure.value).collect::<Vec<_>>())?;
        let ends = counting.iter().map(|figure| figure.interval.unwrap_or((figure.value, figure.value)));
        let (low, high) = ends.fold((value, value), |(low, high), ends| (low.min(ends.0), high.max(ends.1)));
        let unit = unit::readable(quantity.kind);
        let source = match (counting.len(), low < high) {
            (1, false) => "one figure by others".to_owned(),
            (1, true) => format!("one figure by others, {}", unit.show_span(low, high)),
            (number, _) => format!("median of {number} figures by others, {}", unit.show_span(low, high)),
        };
        Some(Fact {
            gpu: gpu.to_owned(),
            quantity,
            value: Estimate { value, low, high },
            rank: Rank::Reference,
            source,
            behind: figures.iter().flat_map(|figure| lines(figure, unit)).collect(),
        })
    };
    groups.into_iter().filter_map(fact).collect()
}

/// Rows of a figure that are named; the rest is counted.
const NAMED: usize = 4;

/// A figure with its conditions and its source, then rows it is worked out from.
fn lines(figure: &Figure, unit: &unit::Unit) -> Vec<String> {
    let not = figure.excluded.as_ref().map_or(String::new(), |why| format!("; not counted: {why}"));
    let interval =
        figure.interval.map_or(String::new(), |(low, high)| format!(" (90 %: {})", unit.show_span(low, high)));
    let mut lines = vec![format!(
        "{}{interval}, {}: {} [{}; version {}; licence {}]{not}",
        unit.show(figure.value),
        figure.statistic,
        figure.what,
        figure.source,
        figure.version,
        figure.licence
    )];
    lines.extend(figure.rows.iter().take(NAMED).map(|(key, value)| format!("  {}: {key}", unit.show(*value))));
    if figure.rows.len() > NAMED {
        lines.push(format!("  and {} more", figure.rows.len() - NAMED));
    }
    lines
}
