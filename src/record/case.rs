//! One point of a benchmark's axes, and the work it declares.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::units::{ByteCount, FlopCount, Intensity};

/// The value of one axis: a number, or a word from a closed list.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum AxisValue {
    /// A count or a size.
    Count(u64),
    /// A word.
    Word(String),
}

impl fmt::Display for AxisValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Count(count) => f.pad(&count.to_string()),
            Self::Word(word) => f.pad(word),
        }
    }
}

impl From<u64> for AxisValue {
    fn from(count: u64) -> Self {
        Self::Count(count)
    }
}

impl From<&str> for AxisValue {
    fn from(word: &str) -> Self {
        Self::Word(word.to_owned())
    }
}

/// One point of a benchmark's axes: what a record is about.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Case {
    /// The benchmark's id.
    pub benchmark: String,
    /// Every axis with its value.
    pub axes: BTreeMap<String, AxisValue>,
    /// The seed of the data this case works on.
    pub seed: u64,
}

impl Case {
    /// A case of `benchmark` at the given point.
    pub fn new(benchmark: &str, axes: impl IntoIterator<Item = (&'static str, AxisValue)>, seed: u64) -> Self {
        let axes = axes.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
        Self { benchmark: benchmark.to_owned(), axes, seed }
    }

    /// The canonical text that names this case in every run: `matmul k=64 m=1 n=64`. Axes are sorted by
    /// name; the seed is no part of it, since another seed asks the same question.
    pub fn key(&self) -> String {
        let axes = self.axes.iter().map(|(name, value)| format!(" {name}={value}"));
        std::iter::once(self.benchmark.clone()).chain(axes).collect()
    }

    /// The same for people: sizes in binary units, words without their axis.
    pub fn label(&self) -> String {
        let axes = self.axes.iter().map(|(name, value)| match value {
            AxisValue::Word(word) => format!(" {word}"),
            AxisValue::Count(count) if name == "size" => format!(" {}", ByteCount(*count)),
            AxisValue::Count(count) => format!(" {name}={count}"),
        });
        std::iter::once(self.benchmark.clone()).chain(axes).collect()
    }

    /// The same case with another value on an axis, or with one more axis.
    pub fn with(&self, axis: &str, value: impl Into<AxisValue>) -> Self {
        let mut case = self.clone();
        case.axes.insert(axis.to_owned(), value.into());
        case
    }

    /// The number on an axis; `None` if the axis is missing or holds a word.
    pub fn count(&self, axis: &str) -> Option<u64> {
        match self.axes.get(axis) {
            Some(AxisValue::Count(count)) => Some(*count),
            _ => None,
        }
    }

    /// The word on an axis; `None` if the axis is missing or holds a number.
    pub fn word(&self, axis: &str) -> Option<&str> {
        match self.axes.get(axis) {
            Some(AxisValue::Word(word)) => Some(word),
            _ => None,
        }
    }
}

/// A number format, by the names the field uses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Precision {
    /// IEEE 754 binary64.
    F64,
    /// IEEE 754 binary32.
    F32,
    /// NVIDIA's 19-bit format, stored in 32 bits.
    Tf32,
    /// IEEE 754 binary16.
    F16,
    /// The upper half of binary32.
    Bf16,
    /// OCP 8-bit, 4 exponent and 3 mantissa bits.
    Fp8E4m3,
    /// OCP 8-bit, 5 exponent and 2 mantissa bits.
    Fp8E5m2,
    /// 32-bit two's complement.
    I32,
    /// 8-bit two's complement.
    I8,
}

impl Precision {
    /// Every precision with its name, widest first.
    pub const ALL: [(Self, &'static str); 9] = [
        (Self::F64, "f64"),
        (Self::F32, "f32"),
        (Self::Tf32, "tf32"),
        (Self::F16, "f16"),
        (Self::Bf16, "bf16"),
        (Self::Fp8E4m3, "fp8_e4m3"),
        (Self::Fp8E5m2, "fp8_e5m2"),
        (Self::I32, "i32"),
        (Self::I8, "i8"),
    ];

    /// The name used in axes, files and reports.
    pub fn name(self) -> &'static str {
        Self::ALL.iter().find(|(precision, _)| *precision == self).map_or("?", |(_, name)| name)
    }

    /// Bytes of one stored element.
    pub const fn size(self) -> u64 {
        match self {
            Self::F64 => 8,
            Self::F32 | Self::Tf32 | Self::I32 => 4,
            Self::F16 | Self::Bf16 => 2,
            Self::Fp8E4m3 | Self::Fp8E5m2 | Self::I8 => 1,
        }
    }

    /// Whether operations on it are counted as OP and not as FLOP.
    pub const fn is_integer(self) -> bool {
        matches!(self, Self::I32 | Self::I8)
    }

    /// The unit of its rate: `FLOP/s`, or `OP/s` for integers.
    pub const fn rate_unit(self) -> &'static str {
        if self.is_integer() { "OP/s" } else { "FLOP/s" }
    }
}

impl fmt::Display for Precision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for Precision {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let found = Self::ALL.iter().find(|(_, name)| *name == text);
        found.map(|(precision, _)| *precision).ok_or_else(|| {
            let names: Vec<_> = Self::ALL.iter().map(|(_, name)| *name).collect();
            format!("unknown precision '{text}'; known: {}", names.join(", "))
        })
    }
}

/// What one repeat of a case's program must move and compute: declared by the benchmark, never inferred.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub struct Work {
    /// Compulsory bytes read from memory.
    pub bytes_read_b: ByteCount,
    /// Compulsory bytes written to memory.
    pub bytes_written_b: ByteCount,
    /// Arithmetic operations, by the precision of their inputs. A fused multiply-add is two.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub flop: BTreeMap<Precision, FlopCount>,
    /// Accesses that wait for one another: a duration is shown per access. None where a duration is that of
    /// the whole repeat.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub accesses: u64,
}

/// Signature by serde's demand.
fn is_zero(number: &u64) -> bool {
    *number == 0
}

impl Work {
    /// Bytes read and written.
    pub fn bytes(&self) -> ByteCount {
        self.bytes_read_b + self.bytes_written_b
    }

    /// Operations of all precisions.
    pub fn operations(&self) -> FlopCount {
        self.flop.values().copied().sum()
    }

    /// Operational intensity; `None` when no byte moves.
    pub fn intensity(&self) -> Option<Intensity> {
        self.operations().per_byte(self.bytes())
    }

    /// The one precision this work computes in; `None` if there is none, or more than one.
    pub fn precision(&self) -> Option<Precision> {
        match self.flop.len() {
            1 => self.flop.keys().next().copied(),
            _ => None,
        }
    }
}

/// Which figure answers a benchmark's question.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Quantity {
    /// Bytes per second: declared bytes over the median time of a repeat.
    Bandwidth,
    /// Operations per second: declared operations over the median time of a repeat.
    Throughput,
    /// The median time of a repeat itself.
    Duration,
}
