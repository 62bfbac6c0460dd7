//! Matrix products by shape and precision: which shapes come near the best of their precision, and which do not.

use super::cases::CaseData;
use super::plots::is_product;
use super::{Cell, Column, Row, Table};
use crate::record::Precision;
use crate::report::number::{percent, with_half};
use crate::summary::Estimate;

/// Throughput of products as a grid: a row per shape, a column per precision.
#[derive(Debug, Clone, PartialEq)]
pub struct Heat {
    /// Precisions of the columns, widest first.
    pub precisions: Vec<Precision>,
    /// The rows: square shapes, then others, each by size.
    pub rows: Vec<HeatRow>,
    /// The same as a table.
    pub table: Table,
}

/// One shape.
#[derive(Debug, Clone, PartialEq)]
pub struct HeatRow {
    /// Its sides: `m × n × k`.
    pub shape: String,
    /// A cell for each precision; `None` where it was not measured.
    pub cells: Vec<Option<HeatCell>>,
}

/// One product.
#[derive(Debug, Clone, PartialEq)]
pub struct HeatCell {
    /// Key of its case.
    pub case: String,
    /// Operations per second.
    pub rate: Estimate,
    /// The rate over the best rate of this precision.
    pub share: f64,
}

/// A measured product.
struct Product<'a> {
    sides: [u64; 3],
    precision: Precision,
    rate: Estimate,
    case: &'a str,
}

/// The grid of a device's products; `None` below two shapes or two precisions, of which bars show as much.
pub(super) fn heat(cases: &[CaseData<'_>]) -> Option<Heat> {
    let products: Vec<Product<'_>> = cases.iter().filter(|case| is_product(case)).filter_map(product).collect();
    let precisions = sorted(products.iter().map(|product| product.precision).collect());
    let shapes = sorted(products.iter().map(|product| order(product.sides)).collect());
    if precisions.len() < 2 || shapes.len() < 2 {
        return None;
    }
    let best: Vec<f64> = precisions.iter().map(|precision| best_of(&products, *precision)).collect();
    let row = |(_, _, sides): &(bool, u128, [u64; 3])| {
        let cell = |(precision, best): (&Precision, &f64)| {
            let same = products.iter().filter(|product| product.sides == *sides && product.precision == *precision);
            // Cases that differ in other axes than these: the fastest stands for all.
            let product = same.max_by(|one, other| one.rate.value.total_cmp(&other.rate.value))?;
            let (case, rate) = (product.case.to_owned(), product.rate);
            (*best > 0.0).then(|| HeatCell { case, rate, share: rate.value / best })
        };
        let [m, n, k] = sides;
        HeatRow { shape: format!("{m} × {n} × {k}"), cells: precisions.iter().zip(&best).map(cell).collect() }
    };
    let rows: Vec<HeatRow> = shapes.iter().map(row).collect();
    let table = table(&precisions, &rows);
    Some(Heat { precisions, rows, table })
}

fn product<'a>(case: &'a CaseData<'_>) -> Option<Product<'a>> {
    let summary = case.summary.as_ref()?;
    let [m, n, k] = ["m", "n", "k"].map(|axis| case.record.case.count(axis));
    Some(Product { sides: [m?, n?, k?], precision: summary.precision?, rate: summary.headline, case: &case.key })
}

/// What rows are ordered by: square ones first, then by size.
fn order(sides: [u64; 3]) -> (bool, u128, [u64; 3]) {
    let [m, n, k] = sides;
    (!(m == n && n == k), sides.iter().map(|side| u128::from(*side)).product(), sides)
}

fn sorted<T: Ord>(mut values: Vec<T>) -> Vec<T> {
    values.sort_unstable();
    values.dedup();
    values
}

fn best_of(products: &[Product<'_>], precision: Precision) -> f64 {
    let rates = products.iter().filter(|product| product.precision == precision).map(|product| product.rate.value);
    rates.fold(0.0, f64::max)
}

fn table(precisions: &[Precision], rows: &[HeatRow]) -> Table {
    let columns = precisions.iter().map(|precision| Column::number(precision.name()));
    let row = |row: &HeatRow| {
        let cell = |(cell, precision): (&Option<HeatCell>, &Precision)| match cell {
            Some(HeatCell { rate, share, .. }) => {
                Cell::Text(format!("{}, {}", with_half(*rate, precision.rate_unit()), percent(*share)))
            }
            None => Cell::Empty,
        };
        let cells = std::iter::once(Cell::Text(row.shape.clone())).chain(row.cells.iter().zip(precisions).map(cell));
        Row { anchor: None, cells: cells.collect() }
    };
    Table {
        caption: "Throughput by shape and precision, with its share of the best of the precision".to_owned(),
        columns: std::iter::once(Column::text("m × n × k")).chain(columns).collect(),
        rows: rows.iter().map(row).collect(),
    }
}
