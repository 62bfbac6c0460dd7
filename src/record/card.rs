//! What a GPU is set to, and who uses it, as its driver's management library tells.

use crate::units::ByteCount;

/// What a question to a management library was answered with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
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
            Self::NotSupported => "not supported".to_owned(),
            Self::NotPermitted => "not permitted".to_owned(),
        }
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
    /// Generation of the link to the host now, and the most it can do.
    pub pcie_generation: [Reading<u32>; 2],
    /// Lanes of the link now, and the most.
    pub pcie_width: [Reading<u32>; 2],
    /// Width of the path to memory, in bits.
    pub bus_width: Reading<u32>,
    /// Memory of the board, all of it.
    pub memory: Reading<ByteCount>,
    /// Processes that compute on it, this one not counted.
    pub other_processes: Reading<usize>,
}

/// Why nothing is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unknown {
    /// Nothing tells.
    NotSupported,
    /// This user may not ask.
    NotPermitted,
}

impl Unknown {
    fn reading<T>(self) -> Reading<T> {
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
            pcie_generation: [why.reading(), why.reading()],
            pcie_width: [why.reading(), why.reading()],
            bus_width: why.reading(),
            memory: why.reading(),
            other_processes: why.reading(),
        }
    }
}
