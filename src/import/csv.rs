//! A user's own table: comma-separated values, and a map that says which column is what.
//!
//! ```toml
//! benchmark = "matmul"            # one with a formula: matmul, attention, moe, collective, memory
//! time = "latency_us"             # the column of the times
//! unit = "us"                     # s, ms, us or ns
//! device = "NVIDIA H100 80GB HBM3"
//! source = "our cluster"
//! version = "2026-09"
//! licence = "ours"
//!
//! [columns]                       # axis = column
//! m = "M"
//! n = "N"
//! k = "K"
//!
//! [values]                        # axis = the value of every row
//! precision = "bf16"
//! ```

use std::collections::BTreeMap;

use serde::Deserialize;

use super::operations::{self, BENCHMARKS};
use super::{Import, ImportError, Origin, Source, Stamp, device_named, taken};
use crate::hardware;
use crate::record::{AxisValue, Case, Framework};

/// The row of this source.
pub static SOURCE: Source =
    Source { id: "csv", about: "a table of your own, with a map that says which column is what" };

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Map {
    benchmark: String,
    time: String,
    unit: String,
    device: String,
    source: String,
    version: String,
    licence: String,
    framework: Option<Named>,
    #[serde(default)]
    columns: BTreeMap<String, String>,
    #[serde(default)]
    values: BTreeMap<String, Value>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Named {
    name: String,
    version: String,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Value {
    Count(u64),
    Word(String),
}

/// How many of each unit of time are a second: to divide by them rounds once.
const UNITS: [(&str, f64); 4] = [("s", 1.0), ("ms", 1e3), ("us", 1e6), ("ns", 1e9)];

/// Reads a table by its map; `name` and `map_name` are what messages call the two.
///
/// # Errors
/// [`ImportError`] for a map that is none, or names a benchmark, unit or column that there is not, and for a table that is
/// empty, ragged, or whose rows are not cases of the benchmark.
pub fn read(table: &[u8], name: &str, map: &str, map_name: &str, stamp: &Stamp) -> Result<Import, ImportError> {
    let map = parse(map, map_name)?;
    let unknown = |what, asked: &str, known: Vec<&str>| ImportError::Unknown {
        whose: "an import".to_owned(),
        what,
        asked: asked.to_owned(),
        known: known.into_iter().map(str::to_owned).collect(),
    };
    let quantity = operations::quantity(&map.benchmark);
    let known = BENCHMARKS.iter().map(|(id, _)| *id).collect();
    let quantity =
        quantity.ok_or_else(|| unknown("benchmark with a formula for its work named", &map.benchmark, known))?;
    let scale = UNITS.iter().find(|(unit, _)| *unit == map.unit).map(|(_, scale)| *scale);
    let known = UNITS.iter().map(|(unit, _)| *unit).collect();
    let scale = scale.ok_or_else(|| unknown("unit of time", &map.unit, known))?;

    let broken = |problem: String| ImportError::Format {
        name: name.to_owned(),
        wanted: "a table of comma-separated values",
        problem,
    };
    let mut reader = csv::ReaderBuilder::new().trim(csv::Trim::All).from_reader(table);
    let heads = reader.headers().map_err(|error| broken(error.to_string()))?.clone();
    let place = |column: &String| {
        heads.iter().position(|head| head == column).ok_or_else(|| ImportError::Column {
            name: name.to_owned(),
            column: column.clone(),
            known: heads.iter().map(str::to_owned).collect(),
        })
    };
    let time = place(&map.time)?;
    let columns: Vec<(&String, usize)> =
        map.columns.iter().map(|(axis, column)| Ok((axis, place(column)?))).collect::<Result<_, ImportError>>()?;
    let mut records = Vec::new();
    for (row, cells) in (1..).zip(reader.records()) {
        let cells = cells.map_err(|error| broken(error.to_string()))?;
        let cell = |at: usize| cells.get(at).unwrap_or_default();
        let mut case = Case::new(&map.benchmark, [], 0);
        case.axes.extend(map.values.iter().map(|(axis, value)| (axis.clone(), axis_of(value))));
        case.axes.extend(columns.iter().map(|(axis, at)| ((*axis).clone(), axis_value(cell(*at)))));
        let wrong = |column: &str, problem: String| ImportError::Value {
            name: name.to_owned(),
            column: column.to_owned(),
            row: Some(row),
            problem,
        };
        let work = operations::work(&case).map_err(|error| wrong("(the axes)", error.to_string()))?;
        let time_told: f64 = cell(time).parse().map_err(|_| {
            wrong(&map.time, format!("'{}' is no number; a time in {} is expected", cell(time), map.unit))
        })?;
        records.push(taken::record(case, quantity, work, "not told", &[time_told / scale]));
    }
    if records.is_empty() {
        return Err(ImportError::Nothing { name: name.to_owned(), problem: "the table has no rows".to_owned() });
    }
    let sheet = hardware::identify(&map.device).ok().flatten();
    let framework = map.framework.map(|named| Framework { name: named.name, version: named.version });
    let origin = Origin { source: map.source, version: map.version, licence: map.licence, framework };
    Import::of(name, &origin, vec![device_named(&map.device, sheet.as_ref())], records, stamp)
}

fn parse(map: &str, name: &str) -> Result<Map, ImportError> {
    let format = |problem: String| ImportError::Format { name: name.to_owned(), wanted: "a map of a table", problem };
    let map: Map = toml::from_str(map).map_err(|error| format(error.to_string().trim_end().to_owned()))?;
    if map.columns.is_empty() {
        let problem = "it names no column: under [columns] each axis is given its column, such as m = \"M\"";
        return Err(format(problem.to_owned()));
    }
    Ok(map)
}

fn axis_of(value: &Value) -> AxisValue {
    match value {
        Value::Count(count) => AxisValue::Count(*count),
        Value::Word(word) => AxisValue::Word(word.clone()),
    }
}

/// A whole number is a count, all else a word.
fn axis_value(cell: &str) -> AxisValue {
    cell.parse().map_or_else(|_| AxisValue::Word(cell.to_owned()), AxisValue::Count)
}
