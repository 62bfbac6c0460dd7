//! The columns of a parquet table that are asked for, and nothing else.

use std::collections::HashMap;

use parquet::basic::{ConvertedType, LogicalType, Type};
use parquet::column::reader::{ColumnReader, ColumnReaderImpl};
use parquet::data_type::DataType;
use parquet::file::reader::{FileReader, SerializedFileReader};

use super::ImportError;

/// What a column holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Counts and sizes.
    Count,
    /// Words.
    Word,
    /// Real numbers.
    Real,
}

impl Kind {
    fn words(self) -> &'static str {
        match self {
            Self::Count => "whole numbers",
            Self::Word => "text",
            Self::Real => "real numbers",
        }
    }
}

/// A column asked for.
#[derive(Debug, Clone, Copy)]
pub struct Wanted {
    /// Its name.
    pub name: &'static str,
    /// What it holds.
    pub kind: Kind,
    /// Whether a table without it is none.
    pub required: bool,
}

/// A column's values.
#[derive(Debug, Clone, PartialEq)]
pub enum Values {
    /// Counts.
    Counts(Vec<u64>),
    /// Each distinct word once, and which of them a row has.
    Words(Vec<String>, Vec<u32>),
    /// Real numbers.
    Reals(Vec<f64>),
}

/// Rows read at a time.
const BATCH: usize = 8192;

/// Reads columns: for each wanted one its values, or `None` if it is missing and need not be there.
///
/// # Errors
/// [`ImportError`] for what is no parquet table, has no rows, lacks a required column, holds another type than asked for,
/// or has empty cells.
pub fn read(bytes: Vec<u8>, name: &str, wanted: &[Wanted]) -> Result<Vec<Option<Values>>, ImportError> {
    let broken = |error: parquet::errors::ParquetError| ImportError::Format {
        name: name.to_owned(),
        wanted: "a parquet table",
        problem: error.to_string(),
    };
    let file = SerializedFileReader::new(bytes::Bytes::from(bytes)).map_err(broken)?;
    let columns = file.metadata().file_metadata().schema_descr().columns().to_vec();
    if file.metadata().file_metadata().num_rows() == 0 {
        return Err(ImportError::Nothing { name: name.to_owned(), problem: "the table has no rows".to_owned() });
    }
    let mut all = Vec::new();
    for wanted in wanted {
        let Some(at) = columns.iter().position(|column| column.name() == wanted.name) else {
            if wanted.required {
                let known = columns.iter().map(|column| column.name().to_owned()).collect();
                return Err(ImportError::Column { name: name.to_owned(), column: wanted.name.to_owned(), known });
            }
            all.push(None);
            continue;
        };
        let mut reading =
            Reading { name, wanted, text: is_text(&columns[at]), values: empty(wanted.kind), known: HashMap::new() };
        for group in 0..file.num_row_groups() {
            let group = file.get_row_group(group).map_err(broken)?;
            let rows = group.metadata().num_rows() as usize;
            reading.column(group.get_column_reader(at).map_err(broken)?, rows).map_err(|fault| match fault {
                Fault::Broken(error) => broken(error),
                Fault::Wrong(error) => error,
            })?;
        }
        all.push(Some(reading.values));
    }
    Ok(all)
}

/// Whether a column of bytes is one of text.
fn is_text(column: &parquet::schema::types::ColumnDescriptor) -> bool {
    column.physical_type() == Type::BYTE_ARRAY
        && (matches!(column.logical_type_ref(), Some(LogicalType::String))
            || column.converted_type() == ConvertedType::UTF8)
}

fn empty(kind: Kind) -> Values {
    match kind {
        Kind::Count => Values::Counts(Vec::new()),
        Kind::Word => Values::Words(Vec::new(), Vec::new()),
        Kind::Real => Values::Reals(Vec::new()),
    }
}

enum Fault {
    Broken(parquet::errors::ParquetError),
    Wrong(ImportError),
}

impl From<parquet::errors::ParquetError> for Fault {
    fn from(error: parquet::errors::ParquetError) -> Self {
        Self::Broken(error)
    }
}

/// A column while it is read.
struct Reading<'a> {
    name: &'a str,
    wanted: &'a Wanted,
    text: bool,
    values: Values,
    known: HashMap<Vec<u8>, u32>,
}

impl Reading<'_> {
    fn wrong(&self, row: Option<usize>, problem: String) -> Fault {
        let (name, column) = (self.name.to_owned(), self.wanted.name.to_owned());
        Fault::Wrong(ImportError::Value { name, column, row, problem })
    }

    fn column(&mut self, reader: ColumnReader, rows: usize) -> Result<(), Fault> {
        let found = match (&reader, self.wanted.kind) {
            (ColumnReader::Int32ColumnReader(_) | ColumnReader::Int64ColumnReader(_), Kind::Count | Kind::Real)
            | (ColumnReader::FloatColumnReader(_) | ColumnReader::DoubleColumnReader(_), Kind::Real) => None,
            (ColumnReader::ByteArrayColumnReader(_), Kind::Word) if self.text => None,
            (ColumnReader::Int32ColumnReader(_) | ColumnReader::Int64ColumnReader(_), _) => Some("whole numbers"),
            (ColumnReader::FloatColumnReader(_) | ColumnReader::DoubleColumnReader(_), _) => Some("real numbers"),
            (ColumnReader::ByteArrayColumnReader(_), _) if self.text => Some("text"),
            _ => Some("another type"),
        };
        if let Some(found) = found {
            return Err(self.wrong(None, format!("it holds {found}, where {} are expected", self.wanted.kind.words())));
        }
        match reader {
            ColumnReader::Int32ColumnReader(reader) => {
                self.cells(reader, rows, |this, value| this.whole((*value).into()))
            }
            ColumnReader::Int64ColumnReader(reader) => self.cells(reader, rows, |this, value| this.whole(*value)),
            ColumnReader::FloatColumnReader(reader) => {
                self.cells(reader, rows, |this, value| this.real((*value).into()))
            }
            ColumnReader::DoubleColumnReader(reader) => self.cells(reader, rows, |this, value| this.real(*value)),
            ColumnReader::ByteArrayColumnReader(reader) => {
                self.cells(reader, rows, |this, value| this.word(value.data()))
            }
            _ => Ok(()),
        }
    }

    fn cells<T: DataType>(
        &mut self,
        mut reader: ColumnReaderImpl<T>,
        rows: usize,
        take: impl Fn(&mut Self, &T::T) -> Result<(), Fault>,
    ) -> Result<(), Fault> {
        let (mut done, mut cells, mut levels) = (0, Vec::new(), Vec::new());
        while done < rows {
            cells.clear();
            levels.clear();
            let (records, found, _) = reader.read_records(BATCH, Some(&mut levels), None, &mut cells)?;
            if found < records {
                return Err(self.wrong(None, format!("{} of its cells are empty", records - found)));
            }
            if records == 0 {
                return Err(self.wrong(None, format!("it ends after {done} of {rows} rows")));
            }
            cells.iter().try_for_each(|cell| take(self, cell))?;
            done += records;
        }
        Ok(())
    }

    fn whole(&mut self, value: i64) -> Result<(), Fault> {
        match &mut self.values {
            Values::Counts(counts) => match u64::try_from(value) {
                Ok(count) => counts.push(count),
                Err(_) => {
                    let row = counts.len() + 1;
                    return Err(self.wrong(Some(row), format!("{value} is negative; a count is expected")));
                }
            },
            Values::Reals(reals) => reals.push(value as f64),
            Values::Words(..) => {}
        }
        Ok(())
    }

    fn real(&mut self, value: f64) -> Result<(), Fault> {
        if let Values::Reals(reals) = &mut self.values {
            reals.push(value);
        }
        Ok(())
    }

    fn word(&mut self, bytes: &[u8]) -> Result<(), Fault> {
        let Values::Words(words, at) = &mut self.values else { return Ok(()) };
        let known = match self.known.get(bytes) {
            Some(known) => *known,
            None => {
                let known = words.len() as u32;
                words.push(String::from_utf8_lossy(bytes).into_owned());
                self.known.insert(bytes.to_vec(), known);
                known
            }
        };
        at.push(known);
        Ok(())
    }
}
