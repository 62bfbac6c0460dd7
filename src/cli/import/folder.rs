//! A folder whose files are imported as if they lay in an archive.

use std::path::{Path, PathBuf};

use crate::import::{Archive, ImportError};

/// Folders below folders that are looked into: the tables lie at most eight deep in an installed package.
const DEPTH: usize = 10;

/// The files of a folder.
#[derive(Debug)]
pub struct Folder {
    root: PathBuf,
    name: String,
    members: Vec<String>,
}

impl Folder {
    /// Lists a folder.
    ///
    /// # Errors
    /// [`ImportError::Format`] if it cannot be listed.
    pub fn open(root: &Path) -> Result<Self, ImportError> {
        let name = root.display().to_string();
        let mut members = Vec::new();
        list(root, "", DEPTH, &mut members).map_err(|error| ImportError::Format {
            name: name.clone(),
            wanted: "a readable folder",
            problem: error.to_string(),
        })?;
        Ok(Self { root: root.to_owned(), name, members })
    }
}

fn list(folder: &Path, prefix: &str, depth: usize, into: &mut Vec<String>) -> std::io::Result<()> {
    for entry in folder.read_dir()? {
        let entry = entry?;
        let member = format!("{prefix}{}", entry.file_name().to_string_lossy());
        // Links are followed by no one: a link to a folder above would never end.
        match entry.file_type()? {
            kind if kind.is_dir() && depth > 0 => list(&entry.path(), &format!("{member}/"), depth - 1, into)?,
            kind if kind.is_file() => into.push(member),
            _ => {}
        }
    }
    Ok(())
}

impl Archive for Folder {
    fn name(&self) -> &str {
        &self.name
    }

    fn members(&self) -> Vec<String> {
        self.members.clone()
    }

    fn read(&mut self, member: &str) -> Result<Vec<u8>, ImportError> {
        std::fs::read(self.root.join(member)).map_err(|error| ImportError::Format {
            name: format!("{member} in {}", self.name),
            wanted: "a readable file",
            problem: error.to_string(),
        })
    }
}
