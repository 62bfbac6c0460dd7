//! `survivors.toml`: mutants that nothing can notice, each with its reason.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use serde::Deserialize;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct List {
    without_cases: Vec<String>,
    unexamined: Vec<String>,
    survivors: Vec<Group>,
}

/// Mutants that survive for one reason.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Group {
    why: String,
    /// Whether some run may notice them after all.
    #[serde(default)]
    by_chance: bool,
    /// Their keys, by entry point.
    mutants: BTreeMap<String, Vec<String>>,
}

/// What is said of mutants.
pub struct Listed {
    /// Kernels that there are no cases for yet.
    pub without_cases: Vec<String>,
    /// Kernels whose survivors have not been gone through.
    pub unexamined: Vec<String>,
    /// The reason of each listed mutant, by entry point and key.
    pub reasons: BTreeMap<(String, String), String>,
    /// Those of them that some run may notice.
    pub by_chance: BTreeSet<(String, String)>,
}

/// Reads the list. A mutant listed twice is an error.
pub fn read(path: &Path) -> Result<Listed, String> {
    let text = std::fs::read_to_string(path).map_err(|why| format!("{}: {why}", path.display()))?;
    let list: List = toml::from_str(&text).map_err(|why| format!("{}: {why}", path.display()))?;
    let (mut reasons, mut by_chance) = (BTreeMap::new(), BTreeSet::new());
    for group in list.survivors {
        for (entry, keys) in group.mutants {
            for key in keys {
                if group.by_chance {
                    by_chance.insert((entry.clone(), key.clone()));
                }
                if reasons.insert((entry.clone(), key.clone()), group.why.clone()).is_some() {
                    return Err(format!("{}: '{key}' of {entry} is listed twice", path.display()));
                }
            }
        }
    }
    Ok(Listed { without_cases: list.without_cases, unexamined: list.unexamined, reasons, by_chance })
}
