//! Where the tables lie, and which of them an import is made of.

use std::collections::{BTreeMap, BTreeSet};

use super::table::SPECS;
use crate::import::{Archive, ImportError};

/// What a user asks for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Choice {
    /// The system: `h100_sxm`.
    pub system: String,
    /// The framework; all of them where none is named.
    pub framework: Option<String>,
    /// Its version; where none is named, the one with the most kinds of tables, and of several the newest.
    pub version: Option<String>,
}

/// The tables of one system, framework and version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Selection {
    /// The system.
    pub system: String,
    /// The framework; `nccl` for its tables, which belong to none.
    pub framework: String,
    /// The framework's version.
    pub version: String,
    /// The package's version; `not told` where a folder does not tell.
    pub package: String,
    /// The package's licence; `not told` where a folder does not tell.
    pub licence: String,
    /// The tables' names in the archive.
    pub members: Vec<String>,
}

impl Selection {
    /// `h100_sxm, vllm 0.24.0`.
    pub fn describe(&self) -> String {
        format!("{}, {} {}", self.system, self.framework, self.version)
    }
}

/// A table's place: `[…/]<system>/<family>/<framework>/<version>/<table>.parquet`.
fn place(member: &str) -> Option<[&str; 3]> {
    let mut parts = member.rsplit('/');
    let (file, version, framework, family) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
    let table = file.strip_suffix(".parquet")?;
    let known = SPECS.iter().any(|spec| spec.table == table && spec.family == family);
    known.then_some([parts.next()?, framework, version])
}

/// Numbers of a version, so that 1.3.0rc20 is newer than 1.3.0rc9; a release is newer than its candidates.
fn order(version: &str) -> (Vec<u64>, bool, Vec<u64>) {
    let numbers = |text: &str| -> Vec<u64> {
        text.split(|letter: char| !letter.is_ascii_digit()).filter_map(|digits| digits.parse().ok()).collect()
    };
    match version.split_once("rc") {
        Some((release, candidate)) => (numbers(release), false, numbers(candidate)),
        None => (numbers(version), true, Vec::new()),
    }
}

/// Members of each version of each framework.
type Versions<'a> = BTreeMap<&'a str, BTreeMap<&'a str, Vec<&'a String>>>;

/// The imports that a choice makes of an archive: one for each framework.
///
/// # Errors
/// [`ImportError::Unknown`] for a system, framework or version that is not there, with those that are;
/// [`ImportError::Nothing`] if there are no tables at all.
pub fn select(archive: &mut dyn Archive, choice: &Choice) -> Result<Vec<Selection>, ImportError> {
    let whose = archive.name().to_owned();
    let mut members = archive.members();
    members.sort();
    let places: Vec<([&str; 3], &String)> =
        members.iter().filter_map(|member| Some((place(member)?, member))).collect();
    if places.is_empty() {
        let problem = "no table lies at <system>/<family>/<framework>/<version>/<table>.parquet; give the wheel of \
                       aiconfigurator-core, or the folder that holds its systems";
        return Err(ImportError::Nothing { name: whose, problem: problem.to_owned() });
    }
    let unknown = |what, asked: &str, known: Vec<&str>| {
        let known = known.into_iter().map(str::to_owned).collect();
        Err(ImportError::Unknown { whose: whose.clone(), what, asked: asked.to_owned(), known })
    };
    let mut versions = Versions::new();
    for ([system, framework, version], member) in &places {
        if *system == choice.system {
            versions.entry(framework).or_default().entry(version).or_default().push(member);
        }
    }
    if versions.is_empty() {
        let systems: BTreeSet<&str> = places.iter().map(|([system, ..], _)| *system).collect();
        return unknown("system", &choice.system, systems.into_iter().collect());
    }
    if let Some(asked) = choice.framework.as_deref().filter(|asked| !versions.contains_key(asked)) {
        return unknown("framework", asked, versions.into_keys().collect());
    }
    versions.retain(|framework, _| choice.framework.as_deref().is_none_or(|asked| asked == *framework));
    let mut chosen = Vec::new();
    for (framework, versions) in &versions {
        let version = match &choice.version {
            Some(asked) => versions.get_key_value(asked.as_str()),
            None => versions.iter().max_by_key(|(version, members)| (members.len(), order(version))),
        };
        chosen.extend(version.map(|(version, members)| (*framework, *version, members.clone())));
    }
    if let (Some(asked), true) = (&choice.version, chosen.is_empty()) {
        let known: BTreeSet<&str> = versions.values().flat_map(|versions| versions.keys().copied()).collect();
        return unknown("version", asked, known.into_iter().collect());
    }
    let (package, licence) = package(archive, &members)?;
    let selection = |(framework, version, members): (&str, &str, Vec<&String>)| Selection {
        system: choice.system.clone(),
        framework: framework.to_owned(),
        version: version.to_owned(),
        package: package.clone(),
        licence: licence.clone(),
        members: members.into_iter().cloned().collect(),
    };
    Ok(chosen.into_iter().map(selection).collect())
}

/// Version and licence by the wheel's metadata.
fn package(archive: &mut dyn Archive, members: &[String]) -> Result<(String, String), ImportError> {
    let metadata = members.iter().find(|member| {
        let mut parts = member.rsplit('/');
        parts.next() == Some("METADATA")
            && parts.next().is_some_and(|folder| folder.starts_with("aiconfigurator_core-"))
    });
    let text = match metadata {
        Some(member) => String::from_utf8_lossy(&archive.read(member)?).into_owned(),
        None => String::new(),
    };
    let field = |name: &str| {
        let line = text.lines().take_while(|line| !line.is_empty()).find_map(|line| line.strip_prefix(name));
        line.map_or_else(|| "not told".to_owned(), |value| value.trim().to_owned())
    };
    Ok((field("Version:"), field("License-Expression:")))
}
