//! One JSON document: the run as its file holds it, with each case's key and derived figures.

use serde::Serialize;

use super::{ExportError, Format};
use crate::fit::Ceilings;
use crate::record::{Footer, Header, Precision, Quantity, Record, Run};
use crate::summary::{CONFIDENCE, Estimate, Summary};
use crate::units::{Intensity, Ratio, Seconds};

pub(super) const FORMAT: Format =
    Format { id: "json", about: "one JSON document: every sample, and the figures derived from them", render };

fn render(run: &Run) -> Result<String, ExportError> {
    let records = run.records.iter().map(|record| RecordOut {
        key: record.case.key(),
        record,
        summary: Summary::of(record).map(SummaryOut::from),
    });
    let document = Document {
        header: &run.header,
        confidence: CONFIDENCE,
        records: records.collect(),
        ceilings: (0u32..).zip(&run.header.devices).map(|(device, _)| CeilingsOut::of(run, device)).collect(),
        footer: run.footer.as_ref(),
    };
    Ok(serde_json::to_string_pretty(&document)? + "\n")
}

#[derive(Serialize)]
struct Document<'a> {
    header: &'a Header,
    /// Of every interval.
    confidence: f64,
    records: Vec<RecordOut<'a>>,
    /// One per device, in the header's order.
    ceilings: Vec<CeilingsOut>,
    footer: Option<&'a Footer>,
}

#[derive(Serialize)]
struct RecordOut<'a> {
    key: String,
    #[serde(flatten)]
    record: &'a Record,
    summary: Option<SummaryOut>,
}

/// An estimate whose unit stands in the name of the field that holds it, or beside it.
#[derive(Serialize)]
struct EstimateOut {
    value: f64,
    low: f64,
    high: f64,
}

impl From<Estimate> for EstimateOut {
    fn from(Estimate { value, low, high }: Estimate) -> Self {
        Self { value, low, high }
    }
}

#[derive(Serialize)]
struct SummaryOut {
    quantity: Quantity,
    unit: &'static str,
    headline: EstimateOut,
    time_s: EstimateOut,
    time_quantiles_s: [Seconds; 5],
    spread: Ratio,
    samples_accepted: u32,
    samples_rejected: u32,
    samples_effective: f64,
    intensity_flop_per_b: Option<Intensity>,
    precision: Option<Precision>,
    flags: Vec<&'static str>,
}

impl From<Summary> for SummaryOut {
    fn from(summary: Summary) -> Self {
        Self {
            quantity: summary.quantity,
            unit: summary.unit,
            headline: summary.headline.into(),
            time_s: summary.time.into(),
            time_quantiles_s: summary.quantiles,
            spread: summary.spread,
            samples_accepted: summary.accepted,
            samples_rejected: summary.rejected,
            samples_effective: summary.effective,
            intensity_flop_per_b: summary.intensity,
            precision: summary.precision,
            flags: summary.flags.iter().map(crate::report::view::cause).collect(),
        }
    }
}

#[derive(Serialize)]
struct CeilingsOut {
    device: u32,
    memory: Vec<MemoryOut>,
    compute: Vec<ComputeOut>,
    /// Whether bandwidth had stopped changing at the largest working set, past the last cache; null where
    /// the run cannot tell.
    memory_is_plateau: Option<bool>,
}

#[derive(Serialize)]
struct MemoryOut {
    kernel: String,
    case: String,
    rate_b_per_s: EstimateOut,
}

#[derive(Serialize)]
struct ComputeOut {
    benchmark: String,
    precision: Precision,
    case: String,
    rate_flop_per_s: EstimateOut,
    ridge_flop_per_b: Option<EstimateOut>,
}

impl CeilingsOut {
    fn of(run: &Run, device: u32) -> Self {
        let ceilings = Ceilings::of(run, device);
        let ridge = |index: usize| {
            ceilings.ridges.iter().find(|ridge| ridge.compute == index).map(|ridge| ridge.intensity.into())
        };
        let compute = ceilings.compute.iter().enumerate().map(|(index, ceiling)| ComputeOut {
            benchmark: ceiling.benchmark.clone(),
            precision: ceiling.precision,
            case: ceiling.case.clone(),
            rate_flop_per_s: ceiling.rate.into(),
            ridge_flop_per_b: ridge(index),
        });
        let memory = ceilings.memory.iter().map(|ceiling| MemoryOut {
            kernel: ceiling.kernel.clone(),
            case: ceiling.case.clone(),
            rate_b_per_s: ceiling.rate.into(),
        });
        Self {
            device,
            memory: memory.collect(),
            compute: compute.collect(),
            memory_is_plateau: ceilings.plateau.as_ref().map(crate::fit::Plateau::shows_memory),
        }
    }
}
