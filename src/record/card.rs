//! What a GPU is set to, and who uses it, as its driver's management library tells.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::units::ByteCount;

/// What a question to a management library was answered with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Reading<T> {
    /// A value.
    Value(T),
    /// This GPU, or its driver, does not tell.
    NotSupported,
    /// This user may not ask.
    NotPermitted,
}

impl<T> Reading<T> {
    /// The answer changed, where there is one.
    pub fn map<U>(self, change: impl FnOnce(T) -> U) -> Reading<U> {
        match self {
            Self::Value(value) => Reading::Value(change(value)),
            Self::NotSupported => Reading::NotSupported,
            Self::NotPermitted => Reading::NotPermitted,
        }
    }

    /// The same, lent.
    pub fn as_ref(&self) -> Reading<&T> {
        match self {
            Self::Value(value) => Reading::Value(value),
            Self::NotSupported => Reading::NotSupported,
            Self::NotPermitted => Reading::NotPermitted,
        }
    }

    /// Why there is no value, where there is none.
    pub fn unknown(&self) -> Option<Unknown> {
        match self {
            Self::Value(_) => None,
            Self::NotSupported => Some(Unknown::NotSupported),
            Self::NotPermitted => Some(Unknown::NotPermitted),
        }
    }

    /// The value, if there is one.
    pub fn value(self) -> Option<T> {
        match self {
            Self::Value(value) => Some(value),
            Self::NotSupported | Self::NotPermitted => None,
        }
    }
}

impl<T: ToString> Reading<T> {
    /// The value or why there is none, in words.
    pub fn words(&self) -> String {
        match self {
            Self::Value(value) => value.to_string(),
            Self::NotSupported => Unknown::NotSupported.to_string(),
            Self::NotPermitted => Unknown::NotPermitted.to_string(),
        }
    }
}

/// A process that computes on a GPU, by what harms nobody to tell: no name, no user.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Process {
    /// Its number, good on that machine while it lives.
    pub pid: u32,
    /// Memory it holds on the GPU; `None` where the driver does not tell.
    pub memory_b: Option<ByteCount>,
}

/// Processes of others that compute on a device of a run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct OtherProcesses {
    /// Index into the header's devices.
    pub device: u32,
    /// All of them.
    pub processes: Reading<Vec<Process>>,
}

impl Reading<Vec<Process>> {
    /// How many they are and what they hold, in words: `2 (process 17 with 1 GiB, process 18)`.
    pub fn list(&self) -> String {
        let Reading::Value(processes) = self else { return self.as_ref().map(Vec::len).words() };
        let one = |process: &Process| {
            let memory = process.memory_b.map_or(String::new(), |memory| format!(" with {memory}"));
            format!("process {}{memory}", process.pid)
        };
        match processes.as_slice() {
            [] => "none".to_owned(),
            some => format!("{} ({})", some.len(), some.iter().map(one).collect::<Vec<_>>().join(", ")),
        }
    }
}

/// The link between a GPU and the host: as it is, and the most that both ends can do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Link {
    /// Generations of PCI Express.
    pub generation: [Reading<u32>; 2],
    /// Lanes.
    pub width: [Reading<u32>; 2],
}

impl Link {
    const NAMES: [&str; 2] = ["pcie_generation", "pcie_width"];

    /// A link of which nothing is known.
    pub fn unknown(why: Unknown) -> Self {
        Self { generation: [why.reading(), why.reading()], width: [why.reading(), why.reading()] }
    }

    /// As conditions of a measurement, by name: `4 of 5`.
    pub fn conditions(&self) -> [(String, String); 2] {
        let words = |[now, most]: &[Reading<u32>; 2]| match (now, most) {
            (Reading::Value(now), Reading::Value(most)) => format!("{now} of {most}"),
            (Reading::Value(now), _) => now.to_string(),
            (unknown, _) => unknown.words(),
        };
        let [generation, width] = Self::NAMES.map(str::to_owned);
        [(generation, words(&self.generation)), (width, words(&self.width))]
    }

    /// What the conditions of a measurement say of it; `None` where they say nothing.
    pub fn of(conditions: &BTreeMap<String, String>) -> Option<Self> {
        let read = |name: &str| {
            let text = conditions.get(name)?;
            if *text == Unknown::NotPermitted.to_string() {
                return Some([Reading::NotPermitted; 2]);
            }
            let (now, most) = text.split_once(" of ").unwrap_or((text, ""));
            Some([now, most].map(|number| number.parse().map_or(Reading::NotSupported, Reading::Value)))
        };
        Some(Self { generation: read(Self::NAMES[0])?, width: read(Self::NAMES[1])? })
    }

    /// Whether it does less than it could.
    pub fn is_held_down(&self) -> bool {
        let less = |[now, most]: [Reading<u32>; 2]| now.value().zip(most.value()).is_some_and(|(now, most)| now < most);
        less(self.generation) || less(self.width)
    }
}

impl std::fmt::Display for Link {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let width = self.width[0].map(|lanes| format!("x{lanes}")).words();
        write!(f, "{width}, generation {}", self.generation[0].words())
    }
}

/// What a GPU is set to, and who uses it. Read before and after, never between.
#[derive(Debug, Clone, PartialEq)]
pub struct Card {
    /// Power limit in force, in watts.
    pub power_limit_w: Reading<f64>,
    /// The board's own, in watts.
    pub power_limit_default_w: Reading<f64>,
    /// Whether memory errors are corrected.
    pub ecc: Reading<bool>,
    /// Whether the GPU is cut into slices.
    pub mig: Reading<bool>,
    /// The link to the host, at rest: it may sleep.
    pub link: Link,
    /// Width of the path to memory, in bits.
    pub bus_width: Reading<u32>,
    /// Memory of the board, all of it.
    pub memory: Reading<ByteCount>,
    /// Processes that compute on it, this one left out.
    pub other_processes: Reading<Vec<Process>>,
}

/// Why nothing is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unknown {
    /// Nothing tells.
    NotSupported,
    /// This user may not ask.
    NotPermitted,
}

impl std::fmt::Display for Unknown {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::NotSupported => "not supported",
            Self::NotPermitted => "not permitted",
        })
    }
}

impl Unknown {
    /// As the answer to a question.
    pub fn reading<T>(self) -> Reading<T> {
        match self {
            Self::NotSupported => Reading::NotSupported,
            Self::NotPermitted => Reading::NotPermitted,
        }
    }
}

impl Card {
    /// A card of which nothing is known.
    pub fn unknown(why: Unknown) -> Self {
        Self {
            power_limit_w: why.reading(),
            power_limit_default_w: why.reading(),
            ecc: why.reading(),
            mig: why.reading(),
            link: Link::unknown(why),
            bus_width: why.reading(),
            memory: why.reading(),
            other_processes: why.reading(),
        }
    }
}
