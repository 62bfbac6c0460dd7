//! What is known of a GPU, and how well: its own measurement, a reference for it, its datasheet.
//!
//! The judge asks for one quantity of one GPU and takes the best that is there, in that order. What
//! fills the list (a run's ceilings, imported references, datasheets) is no business of the judge.

use super::unit::Kind;
use crate::hardware::{self, Gpu, HardwareError, Rate};
use crate::summary::Estimate;

/// Something that can be known of a device.
#[derive(Debug, PartialEq)]
pub struct Quantity {
    /// Its name in claim files.
    pub id: &'static str,
    /// What it measures.
    pub kind: Kind,
    /// What it is.
    pub about: &'static str,
}

const fn quantity(id: &'static str, kind: Kind, about: &'static str) -> Quantity {
    Quantity { id, kind, about }
}

/// Every quantity the claims ask for. To add one: a row here, and whoever supplies it.
pub static QUANTITIES: &[Quantity] = &[
    quantity("memory_bandwidth", Kind::ByteRate, "bandwidth of reading memory"),
    quantity("memory_capacity", Kind::Bytes, "memory capacity"),
    quantity("link_bandwidth", Kind::ByteRate, "bandwidth to the other GPUs of its server, one direction"),
    quantity("matmul_f32", Kind::FlopRate, "FP32 matrix product"),
    quantity("matmul_f16", Kind::FlopRate, "FP16 or BF16 dense matrix product"),
    quantity("matmul_fp8", Kind::FlopRate, "FP8 dense matrix product"),
    quantity("matmul_i8", Kind::FlopRate, "INT8 dense matrix product"),
    quantity("decode_over_read", Kind::Ratio, "decode step at batch 1 over the time to read its weights"),
    quantity("decode_latency_gain", Kind::Ratio, "tokens/s of the largest batch over those of batch 1"),
    quantity("decode_i8_gain", Kind::Ratio, "decode step with FP16 over INT8 weights at batch 1"),
    quantity("decode_i4_gain", Kind::Ratio, "decode step with FP16 over INT4 weights at batch 1"),
    quantity("prefill_gain", Kind::Ratio, "prefill tokens/s over decode tokens/s at batch 1"),
    quantity("moe_step_spread", Kind::Ratio, "standard deviation of a step's time under random routing over its mean"),
    quantity("fusion_gain", Kind::Ratio, "a chain of element-wise operations, one kernel each, over the fused one"),
];

impl Quantity {
    /// The quantity of that name.
    pub fn find(id: &str) -> Option<&'static Self> {
        QUANTITIES.iter().find(|quantity| quantity.id == id)
    }

    /// Whether its datasheet figure is a ceiling that no program passes, and not a property.
    pub fn is_ceiling(&self) -> bool {
        matches!(self.kind, Kind::ByteRate | Kind::FlopRate)
    }
}

/// How well something is known: the order in which the judge takes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Rank {
    /// Measured on the very device.
    Measured,
    /// Measured by others on a GPU of this kind.
    Reference,
    /// The maker's figure: for a rate, an upper bound.
    Datasheet,
}

impl Rank {
    /// Its word in reports.
    pub fn word(self) -> &'static str {
        match self {
            Self::Measured => "measured",
            Self::Reference => "reference",
            Self::Datasheet => "datasheet",
        }
    }
}

/// The GPU id under which a quantity is asked for when any device will do: a claim of shape.
pub const ANY: &str = "any";

/// The id under which the processor of a host without a GPU is asked for.
pub const HOST: &str = "cpu";

/// One thing known of one GPU.
#[derive(Debug, Clone, PartialEq)]
pub struct Fact {
    /// The GPU's id in the hardware catalogue.
    pub gpu: String,
    /// What is known.
    pub quantity: &'static Quantity,
    /// Its value and interval, in the base unit.
    pub value: Estimate,
    /// How well.
    pub rank: Rank,
    /// Who says so: a run, a publication, a datasheet.
    pub source: String,
    /// The single figures it is made of, each with its conditions and its source; none where `source` says all.
    pub behind: Vec<String>,
}

/// A datasheet's facts.
fn sheet(gpu: &Gpu) -> Vec<Fact> {
    let rate = |rate: Rate| gpu.peak(rate).map(|peak| peak.get());
    let figures = [
        ("memory_bandwidth", gpu.bandwidth().map(|bandwidth| bandwidth.get())),
        ("memory_capacity", Some(gpu.capacity_sold().0 as f64)),
        ("link_bandwidth", gpu.link_one_way().map(|link| link.get())),
        ("matmul_f32", rate(Rate::F32)),
        ("matmul_f16", rate(Rate::F16)),
        ("matmul_fp8", rate(Rate::Fp8)),
        ("matmul_i8", rate(Rate::I8)),
    ];
    let known = figures.into_iter().filter_map(|(id, value)| Some((Quantity::find(id)?, value?)));
    known
        .map(|(quantity, value)| Fact {
            gpu: gpu.id.clone(),
            quantity,
            value: Estimate { value, low: value, high: value },
            rank: Rank::Datasheet,
            source: gpu.source.clone(),
            behind: Vec::new(),
        })
        .collect()
}

/// All that is known.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Evidence {
    facts: Vec<Fact>,
}

impl Evidence {
    /// These facts and no others. Of two of one rank the first is taken.
    pub fn of(facts: impl IntoIterator<Item = Fact>) -> Self {
        Self { facts: facts.into_iter().collect() }
    }

    /// What the datasheets say: the least that every report has.
    ///
    /// # Errors
    /// None for the datasheets as committed.
    pub fn datasheets() -> Result<Self, HardwareError> {
        Ok(Self::of(hardware::catalogue()?.iter().flat_map(sheet)))
    }

    /// The same with more facts.
    #[must_use]
    pub fn with(mut self, facts: impl IntoIterator<Item = Fact>) -> Self {
        self.facts.extend(facts);
        self
    }

    /// Everything known.
    pub fn facts(&self) -> &[Fact] {
        &self.facts
    }

    /// The datasheets alone: what is known without a measurement of anyone's.
    #[must_use]
    pub fn sheets_alone(&self) -> Self {
        Self::of(self.facts.iter().filter(|fact| fact.rank == Rank::Datasheet).cloned())
    }

    /// The best known of a quantity of a GPU; of any measured device if the GPU is [`ANY`].
    pub fn best(&self, gpu: &str, quantity: &Quantity) -> Option<&Fact> {
        self.from(gpu, quantity, Rank::Measured)
    }

    /// The best known of a quantity of a GPU that is of a rank or below it; where there is none, the best of all.
    pub fn at(&self, gpu: &str, quantity: &Quantity, rank: Rank) -> Option<&Fact> {
        self.from(gpu, quantity, rank).or_else(|| self.best(gpu, quantity))
    }

    fn from(&self, gpu: &str, quantity: &Quantity, rank: Rank) -> Option<&Fact> {
        let fits = |fact: &&Fact| match gpu {
            ANY => fact.rank != Rank::Datasheet,
            gpu => fact.gpu == gpu && fact.rank >= rank,
        };
        // min_by_key keeps the first of equals.
        self.facts.iter().filter(|fact| fact.quantity.id == quantity.id).filter(fits).min_by_key(|fact| fact.rank)
    }

    /// The datasheet's figure of a quantity of a GPU.
    pub fn datasheet(&self, gpu: &str, quantity: &Quantity) -> Option<&Fact> {
        let mut known = self.facts.iter().filter(|fact| fact.rank == Rank::Datasheet);
        known.find(|fact| fact.quantity.id == quantity.id && fact.gpu == gpu)
    }
}
