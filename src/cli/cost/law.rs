//! From a calibration to the law by which a GPU decodes.

use std::path::{Path, PathBuf};

use crate::cli::{Failure, fit};
use crate::cost::answer::WeightFormat;
use crate::cost::fitted::{AllReduce, StepConstants, StepLaw};
use crate::fit::{Allowed, CALIBRATION_VERSION, Calibration, DRAWS, Fitted, PRODUCTS};
use crate::hardware::{self, Rate};
use crate::reference::{self, CALIBRATED};

/// The calibration that a `--gpu` names: a file of `rooflint fit`, a run fitted now, or one that comes with the program
/// (`reference:h100_sxm`). `None` for the name of a datasheet.
///
/// # Errors
/// A file that is no calibration, a run that none can be fitted to, or a GPU that no reference is of.
pub fn calibration(text: &str) -> Result<Option<Calibration>, Failure> {
    if let Some(name) = if text == "reference" { Some("") } else { text.strip_prefix("reference:") } {
        return reference(name).map(Some);
    }
    let path = Path::new(text);
    if text.ends_with(".jsonl") || path.join("run.jsonl").is_file() {
        return fit::of(&[PathBuf::from(path)], Allowed::default()).map(Some);
    }
    if !text.ends_with(".json") {
        return Ok(None);
    }
    let bytes = std::fs::read(path).map_err(|error| Failure::usage(format!("cannot read {text}: {error}")))?;
    let version = serde_json::from_slice::<serde_json::Value>(&bytes).ok();
    let version = version.and_then(|value| value.get("calibration")?.as_u64());
    if let Some(newer) = version.filter(|version| *version > u64::from(CALIBRATION_VERSION)) {
        return Err(Failure::usage(format!(
            "{text}: calibration {newer} is newer than this program's {CALIBRATION_VERSION}; update rooflint to read it"
        )));
    }
    serde_json::from_slice(&bytes)
        .map(Some)
        .map_err(|error| Failure::usage(format!("{text} is no calibration of 'rooflint fit': {error}")))
}

/// The calibration that comes with the program of the GPU of that name.
fn reference(name: &str) -> Result<Calibration, Failure> {
    let known: Vec<String> = CALIBRATED.iter().map(|one| format!("reference:{}", one.gpu)).collect();
    let known = known.join(", ");
    if name.is_empty() {
        return Err(Failure::usage(format!("which reference? There are {known}")));
    }
    let gpu = hardware::find(name).map_err(Failure::usage)?;
    let found = reference::calibration(&gpu.id).map_err(Failure::usage)?;
    found.ok_or_else(|| {
        Failure::usage(format!(
            "no reference is of the {}: there are {known}. datasheet:{} takes its datasheet, and a run or a calibration \
             of 'rooflint fit' what was measured on one",
            gpu.name, gpu.id
        ))
    })
}

/// The law of a step with weights and cache in these formats: fitted to whole steps, or put together from those of the
/// operations. With `skew`, tokens choose experts as unevenly as measured mixtures had them do.
///
/// # Errors
/// What to measure, where the calibration lacks it.
pub fn step(
    calibration: &Calibration,
    weights: WeightFormat,
    kv: WeightFormat,
    skew: bool,
) -> Result<StepLaw, Failure> {
    let subjects = products(weights);
    let find = |operation: &str| subjects.iter().find_map(|subject| calibration.law(operation, subject));
    let reduces =
        calibration.laws.iter().filter(|law| law.operation == "collective" && law.subject.starts_with("all_reduce"));
    // An engine takes the fastest way it has: while decoding, that of the least latency.
    let latency = |law: &&Fitted| law.value("latency").unwrap_or(f64::INFINITY);
    let all_reduce = reduces.min_by(|one, other| latency(one).total_cmp(&latency(other)));
    let device = &calibration.device;
    let experts = match skew {
        true => Some(skewed(calibration, &subjects)?),
        false => None,
    };
    let others = Others { all_reduce, experts };
    if let Some(steps) = find("decode_step") {
        let source =
            format!("times are fitted to {} measured steps of {} models on the {device}", steps.rows, steps.clusters);
        return law(&Parts::Whole(steps), &others, others.told(source));
    }
    let lacks = |what: &str, subjects: &[String]| {
        let all: Vec<String> =
            calibration.laws.iter().map(|law| format!("{} {}", law.operation, law.subject)).collect();
        Failure::usage(format!(
            "the calibration of the {device} has no {what} in {}; it has {}",
            subjects.join(" or "),
            all.join("; ")
        ))
    };
    let product = find("matmul").ok_or_else(|| lacks("matmul", &subjects))?;
    let caches = caches(weights, kv);
    let attention = caches.iter().find_map(|subject| calibration.law("decode_attention", subject));
    let attention = attention.ok_or_else(|| lacks("decode_attention", &caches))?;
    let source = format!(
        "times are put together from {} measured products and {} attentions on the {device}: norms, activations and the \
         host come on top",
        product.rows, attention.rows
    );
    law(&Parts::Operations(product, attention), &others, others.told(source))
}

/// Subjects of products with weights in a format; FP16 and BF16 run at one rate.
fn products(weights: WeightFormat) -> Vec<String> {
    let names: &[&str] = match (weights.rate, weights.name) {
        (_, "i4") => &["bf16, weights i4", "f16, weights i4"],
        (Rate::Bf16, _) => &["bf16", "f16"],
        (Rate::F16, _) => &["f16", "bf16"],
        (Rate::Fp8, _) => &["fp8_e4m3"],
        (Rate::I8, _) => &["i8"],
        _ => &[weights.name],
    };
    names.iter().map(|name| (*name).to_owned()).collect()
}

/// Subjects of attention with a cache in a format.
fn caches(weights: WeightFormat, kv: WeightFormat) -> Vec<String> {
    let computed: &[&str] = if weights.name == "f32" { &["f32"] } else { &["bf16", "f16"] };
    let stored = |computed: &str| match kv.name {
        "f16" | "bf16" => computed.to_owned(),
        "fp8" => format!("{computed}, keys and values fp8_e4m3"),
        name if name == computed => name.to_owned(),
        name => format!("{computed}, keys and values {name}"),
    };
    computed.iter().map(|computed| stored(computed)).collect()
}

/// The law of mixtures that tells how unevenly tokens choose experts: of the weights' own format if there is one.
fn skewed<'a>(calibration: &'a Calibration, subjects: &[String]) -> Result<&'a Fitted, Failure> {
    let told =
        |law: &&Fitted| law.constants.iter().any(|constant| constant.name == "skew" && constant.unsupported.is_none());
    let mut laws = calibration.laws.iter().filter(|law| law.operation == "moe").filter(told);
    let own = laws.clone().find(|law| subjects.iter().any(|subject| law.subject.starts_with(subject.as_str())));
    own.or_else(|| laws.next()).ok_or_else(|| {
        Failure::usage(format!(
            "the calibration of the {} tells no skew of experts: measure or import moe with uneven routing, over batches \
             of 2 to 64 tokens, or give the skew (--routing 0.6)",
            calibration.device
        ))
    })
}

/// Laws of what is not in every step.
struct Others<'a> {
    all_reduce: Option<&'a Fitted>,
    experts: Option<&'a Fitted>,
}

impl Others<'_> {
    /// The source of a step's law, with theirs.
    fn told(&self, source: String) -> String {
        let reduce =
            self.all_reduce.map(|law| format!("; all-reduces among tensor ranks are those of {}", law.subject));
        let experts = self.experts.map(|law| format!("; tokens choose experts as in moe {}", law.subject));
        [Some(source), reduce, experts].into_iter().flatten().collect()
    }
}

/// What a step is made of.
enum Parts<'a> {
    Whole(&'a Fitted),
    /// A product and attention.
    Operations(&'a Fitted, &'a Fitted),
}

impl Parts<'_> {
    /// Its constants: the best for `None`, else a draw.
    fn constants(&self, at: Option<usize>, others: &Others) -> Option<StepConstants> {
        let of = |law: &Fitted, name: &str| match at {
            None => law.value(name),
            Some(at) => law.draw(name, at),
        };
        let error = |law: &Fitted| at.map_or(Some(0.0), |at| law.held_out.residuals.get(at).copied());
        let skew = match others.experts {
            None => None,
            Some(law) => Some(of(law, "skew")?),
        };
        let all_reduce = match others.all_reduce {
            None => None,
            Some(law) => Some(AllReduce {
                latency_s: of(law, "latency")?,
                per_gpu_s: of(law, "per_gpu")?,
                bandwidth_b_s: of(law, "bandwidth")?,
            }),
        };
        Some(match self {
            Self::Whole(law) => StepConstants {
                per_step_s: of(law, "per_step")?,
                per_layer_s: of(law, "per_layer")?,
                per_layer_sequence_s: of(law, "per_layer_sequence")?,
                bandwidth_b_s: of(law, "bandwidth")?,
                throughput_flop_s: of(law, "throughput")?,
                exponent: of(law, "exponent")?,
                kv_bandwidth_b_s: of(law, "kv_bandwidth")?,
                all_reduce,
                skew,
                error: error(law)?,
            },
            Self::Operations(product, attention) => StepConstants {
                per_step_s: 0.0,
                per_layer_s: PRODUCTS * of(product, "fixed")? + of(attention, "fixed")?,
                per_layer_sequence_s: 0.0,
                bandwidth_b_s: of(product, "bandwidth")?,
                throughput_flop_s: of(product, "throughput")?,
                exponent: of(product, "exponent")?,
                kv_bandwidth_b_s: of(attention, "bandwidth")?,
                all_reduce,
                skew,
                // Shapes differ within a step as they do among those held out, and products are most of it.
                error: error(product)?,
            },
        })
    }
}

fn law(parts: &Parts, others: &Others, source: String) -> Result<StepLaw, Failure> {
    let damaged = || Failure::usage("the calibration lacks constants that its laws must have: fit it again");
    let best = parts.constants(None, others).ok_or_else(damaged)?;
    let draws = (0..DRAWS).map(|at| parts.constants(Some(at), others));
    let draws: Option<Vec<StepConstants>> = draws.collect();
    let discrepancy = match parts {
        Parts::Whole(law) => law.discrepancy.clone(),
        Parts::Operations(..) => None,
    };
    Ok(StepLaw { best, draws: draws.ok_or_else(damaged)?, discrepancy, source })
}
