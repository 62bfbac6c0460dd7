//! Files by name, out of a wheel or out of a folder.

use std::io::{Read, Seek};

use zip::ZipArchive;

use super::ImportError;

/// A set of files by name.
pub trait Archive {
    /// What messages call it.
    fn name(&self) -> &str;

    /// The names of its files, with `/` between folders.
    fn members(&self) -> Vec<String>;

    /// A file's bytes.
    ///
    /// # Errors
    /// [`ImportError::Format`] if it cannot be read.
    fn read(&mut self, member: &str) -> Result<Vec<u8>, ImportError>;
}

/// A Python wheel: a zip archive.
#[derive(Debug)]
pub struct Wheel<R> {
    name: String,
    zip: ZipArchive<R>,
}

/// Largest file read from an archive: what claims to be larger is no table.
const LARGEST: u64 = 1 << 30;

impl<R: Read + Seek> Wheel<R> {
    /// Reads the archive's directory; `name` is what messages call it.
    ///
    /// # Errors
    /// [`ImportError::Format`] if it is no zip archive.
    pub fn open(name: &str, from: R) -> Result<Self, ImportError> {
        let zip = ZipArchive::new(from).map_err(|error| ImportError::Format {
            name: name.to_owned(),
            wanted: "a wheel (a zip archive), nor a folder",
            problem: error.to_string(),
        })?;
        Ok(Self { name: name.to_owned(), zip })
    }
}

impl<R: Read + Seek> Archive for Wheel<R> {
    fn name(&self) -> &str {
        &self.name
    }

    fn members(&self) -> Vec<String> {
        self.zip.file_names().filter_map(|name| Some(name.ok()?.into_owned())).collect()
    }

    fn read(&mut self, member: &str) -> Result<Vec<u8>, ImportError> {
        let failed = |problem: String| ImportError::Format {
            name: format!("{} in {}", member, self.name),
            wanted: "a readable file",
            problem,
        };
        let mut bytes = Vec::new();
        match self.zip.by_name(member) {
            Ok(file) => file.take(LARGEST).read_to_end(&mut bytes).map_err(|error| failed(error.to_string()))?,
            Err(error) => return Err(failed(error.to_string())),
        };
        Ok(bytes)
    }
}
