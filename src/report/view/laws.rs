//! The laws fitted to a run's cases: their constants, how well they foretell what they have not seen, what is missing, and
//! how near products come to what the laws' rates allow.

use std::collections::BTreeMap;

use super::plots::{Curve, Curves, Strip, Strips};
use super::{Badge, Cell, Column, Level, Row, Subject, Table, clean};
use crate::fit::{CONFIDENCE, Calibration, Constant, Fitted, products};
use crate::report::number::percent;

/// Curves of products in one picture: more cannot be told apart.
const CURVES: usize = 6;

/// Fewest points of a curve.
const POINTS: usize = 3;

impl Subject<'_> {
    /// Tables of the laws; none for a device that is no hardware, whose times mean nothing.
    pub(super) fn laws(&self) -> Vec<Table> {
        match &self.calibration {
            None => Vec::new(),
            Some(Err(why)) => vec![nothing(&why.to_string())],
            Some(Ok(calibration)) => {
                let tables = [Some(constants(calibration)), Some(errors(calibration)), missing(calibration)];
                tables.into_iter().flatten().collect()
            }
        }
    }

    /// Errors of each law on cases held out.
    pub(super) fn residuals(&self) -> Option<(Strips, String)> {
        let calibration = self.calibration.as_ref()?.as_ref().ok()?;
        let strips: Vec<Strip> = calibration.laws.iter().map(strip).collect();
        let caption = format!(
            "How far measured times lay from those that a law foretold which had not seen their shape, size or model. A \
             taller block is more cases; the bar below holds {} of them. Right of the middle a case took longer than \
             foretold.",
            percent(CONFIDENCE)
        );
        (!strips.is_empty()).then_some((Strips { strips }, caption))
    }

    /// How much of the fitted rates products reach, by their rows.
    pub(super) fn reached(&self) -> Option<(Curves, String)> {
        let calibration = self.calibration.as_ref()?.as_ref().ok()?;
        let laws = calibration.laws.iter().filter(|law| law.operation == "matmul");
        let law = laws.max_by_key(|law| law.rows)?;
        let mut shapes: BTreeMap<(u64, u64), Vec<(f64, f64)>> = BTreeMap::new();
        for product in products(self.run, self.index, &law.subject) {
            let roof = law.roof_s(product.bytes, product.flop)?;
            let [m, n, k] = product.shape;
            shapes.entry((n, k)).or_default().push((m as f64, 100.0 * roof / product.time_s));
        }
        let mut known: Vec<_> = shapes.into_iter().filter(|(_, points)| points.len() >= POINTS).collect();
        known.sort_by_key(|((n, k), _)| u128::from(*n) * u128::from(*k));
        // Spread over the sizes there are.
        let step = known.len().div_ceil(CURVES).max(1);
        let curves: Vec<Curve> = known
            .into_iter()
            .step_by(step)
            .map(|((n, k), mut points)| {
                points.sort_by(|one, other| one.0.total_cmp(&other.0));
                Curve { name: format!("n = {n}, k = {k}"), points, band: Vec::new() }
            })
            .collect();
        let caption = format!(
            "Time that the law of {} allows products at its fitted rates ({}), over the time they took: small products \
             pay the fixed cost, and near the ridge reading and computing do not overlap wholly.",
            clean(&name(law)),
            rates(law)
        );
        let (x, y) = ("Rows m of a product".to_owned(), "Share of the fitted roofline (%)".to_owned());
        let curves = Curves { x, y, curves, marks: Vec::new(), marked: String::new(), thresholds: Vec::new() };
        (!curves.curves.is_empty()).then_some((curves, caption))
    }
}

fn name(law: &Fitted) -> String {
    named(&law.operation, &law.subject)
}

fn named(operation: &str, subject: &str) -> String {
    format!("{operation} {subject}").trim_end().to_owned()
}

/// The rates of a law in words.
fn rates(law: &Fitted) -> String {
    let rates = law.constants.iter().filter(|constant| ["bandwidth", "throughput"].contains(&constant.name.as_str()));
    rates.map(|constant| constant.words()[0].clone()).collect::<Vec<_>>().join(" and ")
}

fn strip(law: &Fitted) -> Strip {
    let held = &law.held_out;
    let mut residuals: Vec<f64> = held.residuals.iter().map(|log| log.exp() - 1.0).collect();
    residuals.sort_by(f64::total_cmp);
    let at = |share: f64| {
        let last = residuals.len().saturating_sub(1);
        residuals.get((share * last as f64).round() as usize).copied().unwrap_or(0.0)
    };
    let tail = (1.0 - CONFIDENCE) / 2.0;
    Strip {
        group: clean(&law.operation),
        label: clean(&law.subject),
        case: clean(&name(law)),
        low: at(tail),
        high: at(1.0 - tail),
        median: format!("mean error {}", percent(held.errors.mean)),
        accepted: residuals,
        rejected: Vec::new(),
    }
}

fn constants(calibration: &Calibration) -> Table {
    let mut rows = Vec::new();
    for law in &calibration.laws {
        for (at, constant) in law.constants.iter().enumerate() {
            let first = |text: String| if at == 0 { Cell::text(text) } else { Cell::Empty };
            let [value, interval] = constant.words();
            let cells = vec![
                first(clean(&name(law))),
                first(format!("{} of {}", law.rows, law.clusters)),
                Cell::text(constant.name.clone()),
                Cell::text(value),
                Cell::text(interval),
                rests(constant),
            ];
            rows.push(Row { anchor: None, cells });
        }
    }
    let caption = format!(
        "Fitted laws: what each operation takes, as constants with their {} intervals, from so many cases of so many \
         shapes, sizes or models. A constant that the cases say little of rests on what was supposed before: a \
         micro-benchmark of this run, or the datasheet.",
        percent(CONFIDENCE)
    );
    let columns = vec![
        Column::text("Law"),
        Column::number("Cases"),
        Column::text("Constant"),
        Column::number("Value"),
        Column::number("Interval"),
        Column::text("Rests on"),
    ];
    Table { caption, columns, rows }
}

fn rests(constant: &Constant) -> Cell {
    match &constant.unsupported {
        None => Cell::text("its cases"),
        Some(measure) => Cell::Badges {
            badges: vec![Badge { level: Level::Caution, text: "its prior".to_owned() }],
            detail: Some(format!("measure {measure}")),
        },
    }
}

fn errors(calibration: &Calibration) -> Table {
    let rows = calibration.laws.iter().map(|law| {
        let held = &law.held_out;
        let cells = [
            clean(&name(law)),
            held.groups.to_string(),
            percent(held.errors.mean),
            percent(held.errors.median),
            percent(held.maximum.mean),
            percent(held.sum.mean),
            percent(held.coverage),
            percent(held.width),
        ];
        Row { anchor: None, cells: cells.into_iter().map(Cell::text).collect() }
    });
    let heads = ["Groups held out", "Mean error", "Median error", "Hard maximum", "Plain sum", "In interval", "Width"];
    Table {
        caption:
            "Errors of times foretold for shapes, sizes or models that the fit had not seen; the same with a hard \
                  maximum and with a plain sum of reading and computing; and the share of cases inside the interval \
                  given, with its width."
                .to_owned(),
        columns: std::iter::once(Column::text("Law")).chain(heads.map(Column::number)).collect(),
        rows: rows.collect(),
    }
}

fn missing(calibration: &Calibration) -> Option<Table> {
    let rows: Vec<Row> = calibration
        .missing
        .iter()
        .map(|lacks| {
            let cells = [clean(&named(&lacks.operation, &lacks.subject)), clean(&lacks.why), clean(&lacks.measure)];
            Row { anchor: None, cells: cells.into_iter().map(Cell::text).collect() }
        })
        .collect();
    let columns = ["Law", "Why", "Measure"].map(Column::text).to_vec();
    let caption = "What could not be fitted, and what to measure for it.".to_owned();
    (!rows.is_empty()).then_some(Table { caption, columns, rows })
}

/// What is said where nothing was fitted.
fn nothing(why: &str) -> Table {
    let row = Row { anchor: None, cells: vec![Cell::text(clean(why))] };
    Table {
        caption: "Fitted laws: none.".to_owned(),
        columns: vec![Column::text("Why, and what to measure")],
        rows: vec![row],
    }
}
