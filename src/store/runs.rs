//! Run files: JSON lines, one per finished case, written as they come.
//!
//! A line is written and flushed whole before the next case begins, so a killed run keeps every finished
//! case. Resuming appends to the same file; where a case has several records the last one counts.

use std::collections::HashMap;
use std::fs::{File, OpenOptions};
use std::io::{self, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use crate::record::{Footer, Header, Line, Record, Run, SCHEMA_VERSION};

/// What is wrong with a run file, or with writing one.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The file cannot be read.
    #[error("cannot read {}: {source}", path.display())]
    Read {
        /// Which file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The file cannot be written.
    #[error("cannot write {}: {source}; everything written before is kept", path.display())]
    Write {
        /// Which file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The file holds something else.
    #[error("{name}, line {line}: not a run file ({message}); expected JSON lines written by 'rooflint run'")]
    Malformed {
        /// Which file.
        name: String,
        /// Which line, from 1.
        line: usize,
        /// What is wrong with it.
        message: String,
    },
    /// The file was written by a newer program.
    #[error("{name}: schema {found} is newer than this program's {SCHEMA_VERSION}; update rooflint to read it")]
    Newer {
        /// Which file.
        name: String,
        /// Its schema version.
        found: u64,
    },
}

/// A run read from a file, with what was wrong with the file.
#[derive(Debug, Clone, PartialEq)]
pub struct Loaded {
    /// The run, as far as the file goes.
    pub run: Run,
    /// Records that later ones of the same case replace, in order.
    pub replaced: Vec<Record>,
    /// What the user should know: a cut-off last line, a missing footer.
    pub warnings: Vec<String>,
}

/// Reads a run file, or the `run.jsonl` of a folder.
pub fn load(path: &Path) -> Result<Loaded, StoreError> {
    let file = if path.is_dir() { path.join("run.jsonl") } else { path.to_owned() };
    let bytes = std::fs::read(&file).map_err(|source| StoreError::Read { path: file.clone(), source })?;
    parse(&bytes, &file.display().to_string())
}

/// Reads a run from bytes; `name` is what messages call it.
pub fn parse(bytes: &[u8], name: &str) -> Result<Loaded, StoreError> {
    let malformed =
        |line: usize, message: &str| StoreError::Malformed { name: name.to_owned(), line, message: message.to_owned() };
    let mut warnings = Vec::new();
    let (mut header, mut footer): (Option<Header>, Option<Footer>) = (None, None);
    let mut records: Vec<Record> = Vec::new();
    let mut replaced = Vec::new();
    let mut place: HashMap<(u32, String), usize> = HashMap::new();
    for (index, bytes) in bytes.split_inclusive(|byte| *byte == b'\n').enumerate() {
        let number = index + 1;
        if bytes.iter().all(u8::is_ascii_whitespace) {
            continue;
        }
        let line: Line = match serde_json::from_slice(bytes) {
            Ok(line) => line,
            // Only the last line can lack its newline: the writer was cut off in the middle of it.
            Err(_) if header.is_some() && !bytes.ends_with(b"\n") => {
                warnings.push(format!("{name} is cut off in line {number}; read up to there"));
                break;
            }
            Err(error) => {
                return Err(newer_schema(bytes, name).unwrap_or_else(|| malformed(number, &error.to_string())));
            }
        };
        match (line, &header) {
            (Line::Header(_), Some(_)) => return Err(malformed(number, "a second header")),
            (Line::Header(first), None) if first.schema > SCHEMA_VERSION => {
                return Err(StoreError::Newer { name: name.to_owned(), found: first.schema.into() });
            }
            (Line::Header(first), None) => header = Some(*first),
            (_, None) => return Err(malformed(number, "the first line is not a header")),
            (Line::Footer(last), Some(_)) => footer = Some(last),
            (Line::Record(record), Some(header)) => {
                if record.device as usize >= header.devices.len() {
                    let devices = header.devices.len();
                    let message = format!("device {} of a run with {devices}", record.device);
                    return Err(malformed(number, &message));
                }
                match place.get(&(record.device, record.case.key())) {
                    Some(&earlier) => replaced.push(std::mem::replace(&mut records[earlier], *record)),
                    None => {
                        place.insert((record.device, record.case.key()), records.len());
                        records.push(*record);
                    }
                }
            }
        }
    }
    let Some(header) = header else { return Err(malformed(1, "the file is empty")) };
    if footer.is_none() {
        let (done, planned) = (records.len(), header.planned);
        warnings.push(format!(
            "{name} has no end: the run was killed after {done} of {planned} cases; 'rooflint run --resume' finishes it"
        ));
    }
    Ok(Loaded { run: Run { header, records, footer }, replaced, warnings })
}

/// A line this version cannot read may simply be of a later one: say so instead of calling it broken.
fn newer_schema(line: &[u8], name: &str) -> Option<StoreError> {
    let value: serde_json::Value = serde_json::from_slice(line).ok()?;
    let found = value.get("schema")?.as_u64()?;
    (found > u64::from(SCHEMA_VERSION)).then(|| StoreError::Newer { name: name.to_owned(), found })
}

/// Writes a whole run file at once: it is there complete, or not at all. An existing file is an error.
///
/// # Errors
/// [`StoreError::Write`] if the file exists, or its folder cannot be written to.
pub fn write_whole(
    path: &Path,
    header: Header,
    records: impl Iterator<Item = Record>,
    footer: Footer,
) -> Result<(), StoreError> {
    let failed = |source| StoreError::Write { path: path.to_owned(), source };
    if path.exists() {
        let exists = "it exists, and no run file is overwritten: choose another name";
        return Err(failed(io::Error::new(io::ErrorKind::AlreadyExists, exists)));
    }
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(format!(".{}.partial", std::process::id()));
    let partial = path.with_file_name(name);
    let header = std::iter::once(Line::Header(Box::new(header)));
    let footer = std::iter::once(Line::Footer(footer));
    let lines = header.chain(records.map(|record| Line::Record(Box::new(record)))).chain(footer);
    let written = write_lines(&partial, lines).and_then(|()| std::fs::rename(&partial, path));
    written.map_err(|source| {
        // Best effort: what could not be written is not left behind half.
        let _ = std::fs::remove_file(&partial);
        failed(source)
    })
}

fn write_lines(path: &Path, lines: impl Iterator<Item = Line>) -> io::Result<()> {
    let mut out = io::BufWriter::with_capacity(1 << 20, OpenOptions::new().write(true).create_new(true).open(path)?);
    for line in lines {
        serde_json::to_writer(&mut out, &line)?;
        out.write_all(b"\n")?;
    }
    out.into_inner().map_err(io::IntoInnerError::into_error)?.sync_all()
}

/// Appends lines to a run file.
#[derive(Debug)]
pub struct RunWriter {
    file: File,
    path: PathBuf,
}

impl RunWriter {
    /// A new file with its header. An existing file is an error: no run overwrites another.
    pub fn create(path: &Path, header: &Header) -> Result<Self, StoreError> {
        let file = OpenOptions::new().write(true).create_new(true).open(path);
        let file = file.map_err(|source| StoreError::Write { path: path.to_owned(), source })?;
        let mut writer = Self { file, path: path.to_owned() };
        writer.append(&Line::Header(Box::new(header.clone())))?;
        Ok(writer)
    }

    /// An existing file, to be continued after its last whole line.
    pub fn resume(path: &Path) -> Result<Self, StoreError> {
        let failed = |source| StoreError::Write { path: path.to_owned(), source };
        let bytes = std::fs::read(path).map_err(|source| StoreError::Read { path: path.to_owned(), source })?;
        let whole = bytes.iter().rposition(|byte| *byte == b'\n').map_or(0, |last| last + 1);
        let mut file = OpenOptions::new().write(true).open(path).map_err(failed)?;
        file.set_len(whole as u64).map_err(failed)?;
        file.seek(SeekFrom::End(0)).map_err(failed)?;
        Ok(Self { file, path: path.to_owned() })
    }

    /// Writes one line and hands it to the operating system.
    pub fn append(&mut self, line: &Line) -> Result<(), StoreError> {
        let mut text = serde_json::to_vec(line).map_err(io::Error::from).map_err(|source| self.failed(source))?;
        text.push(b'\n');
        self.file.write_all(&text).map_err(|source| self.failed(source))?;
        self.file.flush().map_err(|source| self.failed(source))
    }

    fn failed(&self, source: io::Error) -> StoreError {
        StoreError::Write { path: self.path.clone(), source }
    }
}
