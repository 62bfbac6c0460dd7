//! The pictures of the claims: cost against batch, what a user gets against batch, and what memory must hold.
//!
//! Every curve runs through the judge's own figures: the inputs are those of the recomputed claim, over the one on the
//! horizontal axis. A picture whose claims are not among the judgements is left out.

use std::collections::BTreeMap;

use crate::claims::{FITTED, InputUsed, Judgement, PartJudgement, deployed, evaluate, number};
use crate::cost::serving::{Load, decode};
use crate::cost::{Figure, money};
use crate::report::view::plots::{Curve, Curves, Drawn, Mark, Plot, Segment, Stack, Stacks, Threshold};

/// The other sharding that the article names as possible, as the claim file labels it.
const SHARDED: &str = "gradients sharded too: ZeRO stage 2, or the block-level FSDP the article names as possible";

/// Points of a curve.
const POINTS: u32 = 96;

/// The pictures these judgements allow.
pub(super) fn plots(judgements: &[Judgement]) -> Vec<Plot> {
    let known = Known { judgements };
    [cost(&known), user_rate(&known), memory(&known)].into_iter().flatten().collect()
}

/// Judgements by name.
struct Known<'a> {
    judgements: &'a [Judgement],
}

impl<'a> Known<'a> {
    fn claim(&self, id: &str) -> Option<&'a Judgement> {
        self.judgements.iter().find(|judgement| judgement.claim.id == id)
    }

    fn part(&self, id: &str, part: &str) -> Option<&'a PartJudgement> {
        self.claim(id)?.part(part)
    }

    fn moved(&self, id: &str, label: &str, part: &str) -> Option<&'a PartJudgement> {
        self.claim(id)?.movement(label)?.parts.iter().find(|other| other.name == part)
    }
}

/// Fewest sequences in the picture of costs: below it all curves are one.
const FEWEST: f64 = 32.0;

/// From `least` to `most`, evenly on a logarithmic scale.
fn spaced(least: f64, most: f64) -> impl Iterator<Item = f64> {
    (0..=POINTS).map(move |step| least * (most / least).max(1.0).powf(f64::from(step) / f64::from(POINTS)))
}

/// GPUs of the cluster that a part's inputs describe.
fn gpus(part: &PartJudgement) -> Option<f64> {
    let inputs = part.values();
    Some(inputs.get("tensor")? * inputs.get("pipeline")?)
}

/// USD per 1000 tokens over sequences in flight, up to a full memory; with a band where ceilings were measured.
fn cost_curve(name: &str, part: &PartJudgement) -> Option<Curve> {
    let points = costs(&part.values())?;
    let uncertain = |input: &&InputUsed| input.uncertain && ["bandwidth", "compute"].contains(&input.name.as_str());
    let ceilings: Vec<&InputUsed> = part.inputs.iter().filter(uncertain).collect();
    let at = |end: fn(&InputUsed) -> f64| {
        let mut inputs = part.values();
        inputs.extend(ceilings.iter().map(|input| (input.name.clone(), end(input))));
        costs(&inputs)
    };
    let band = match ceilings.is_empty() {
        true => Vec::new(),
        // A faster card costs less.
        false => {
            let (cheapest, dearest) = (at(|input| input.high)?, at(|input| input.low)?);
            cheapest.iter().zip(dearest).map(|((x, low), (_, high))| (*x, *low, high)).collect()
        }
    };
    Some(Curve { name: name.to_owned(), points, band })
}

/// The points of such a curve at a part's inputs.
fn costs(inputs: &BTreeMap<String, f64>) -> Option<Vec<(f64, f64)>> {
    let (deployment, capacity) = deployed(inputs).ok()?;
    let context = Figure::exact(*inputs.get("context")?).ok()?;
    let price = Figure::exact(*inputs.get("price")?).ok()?;
    let full = deployment.room(capacity).ok()?.sequences(context).ok()?.value();
    let points = spaced(FEWEST, full).map(|sequences| {
        let served = decode(&deployment, Load::new(Figure::exact(sequences)?, context))?;
        let cost = money::usd_per_1000_tokens(deployment.gpus(), price, served.throughput_tok_s)?;
        Ok((sequences, cost.value()))
    });
    points.collect::<Result<_, crate::cost::CostError>>().ok()
}

fn cost(known: &Known<'_>) -> Option<Plot> {
    let clusters = [("g4.cost-a100", "A100"), ("g4.cost-h100", "H100")];
    let mut curves = Vec::new();
    let (mut marks, mut thresholds) = (Vec::new(), Vec::new());
    for (id, name) in clusters {
        let taken = known.part(id, "cost")?;
        let fitted = known.moved(id, FITTED, "cost")?;
        let k = |part: &PartJudgement| Some(part.values().get("context")? / 1e3);
        let label = |part: &PartJudgement| {
            Some(format!("{} {name}, {}k tokens each", number(gpus(part)?), number((k(part)? * 10.0).round() / 10.0)))
        };
        curves.push(cost_curve(&label(fitted)?, fitted)?);
        curves.push(cost_curve(&label(taken)?, taken)?);
        // Where memory is full at the context that gives the quoted cost.
        let exact = known.part(id, "context_that_gives_it")?;
        let mut inputs = exact.values();
        inputs.insert("context".to_owned(), exact.found?.value);
        let y = taken.claimed?.middle() * money::PRICED_TOKENS;
        marks.push(Mark {
            name: format!("reached at {} tokens each", number(exact.found?.value.round())),
            x: evaluate("sequences_that_fit", &inputs).ok()?,
            y,
        });
        thresholds.push(Threshold { name: format!("claimed for {name}: {}", number(y)), y });
    }
    Some(Plot {
        name: "claims-cost".to_owned(),
        anchor: "cost".to_owned(),
        title: "Cost of a token against batch".to_owned(),
        caption: format!(
            "Serving the GPT-4 of the leak on {} GPUs, A100s with 40 GB: one-byte weights, one KV head, every expert read, ceilings by the best \
             evidence in hand. Curves end where memory is full. The article gives the costs (the level lines) and 8k of \
             context; both are reached at about 5.7k tokens of average context, which is fitted, and not at the full 8k. {}A datasheet's ceilings are \
             bounds: real costs are higher. Where ceilings were measured, by whomever, a band shows their interval.",
            number(gpus(known.part("g4.cost-a100", "cost")?)?),
            at_equal_batch(&curves).unwrap_or_default()
        ),
        watermark: None,
        drawn: Drawn::Curves(Curves {
            x: "Sequences in flight".to_owned(),
            y: "USD per 1000 tokens".to_owned(),
            curves,
            marks,
            marked: "where a claim is reached".to_owned(),
            thresholds,
        }),
    })
}

/// What the two kinds of GPU cost at the same batch, where that is nearly the same; it is then memory that tells them apart.
fn at_equal_batch(curves: &[Curve]) -> Option<String> {
    let first = |curve: &Curve| curve.points.first().map(|point| point.1);
    let ratio = first(curves.get(2)?)? / first(curves.first()?)?;
    (0.8..1.25).contains(&ratio).then(|| {
        format!(
            "At equal batch a token costs {} times as much on H100s as on A100s: what makes it cheaper is room for more \
             sequences. ",
            number((ratio * 100.0).round() / 100.0)
        )
    })
}

/// Largest batch of the picture of user rates: what the article calls usual for its experts.
const USUAL_BATCH: (&str, &str) = ("x.batch-vs-memory", "sequences");

fn user_rate(known: &Known<'_>) -> Option<Plot> {
    let id = "x.speed-vs-cost";
    let most = known.part(USUAL_BATCH.0, USUAL_BATCH.1)?.claimed?.middle();
    let taken = known.part(id, "rate")?;
    let shape = taken.values();
    let labels = ["A100s with 40 GB in int8", "H100s in FP16", "H100s in FP8"];
    let moved = labels.into_iter().filter_map(|label| Some((label, known.moved(id, label, "rate")?)));
    let curves = std::iter::once(("A100s with 40 GB in FP16", taken)).chain(moved).map(|(name, part)| {
        let mut inputs: BTreeMap<String, f64> = part.values();
        let points = spaced(1.0, most).map(|sequences| {
            inputs.insert("sequences".to_owned(), sequences);
            Some((sequences, evaluate("user_rate", &inputs).ok()?))
        });
        Some(Curve { name: name.to_owned(), points: points.collect::<Option<_>>()?, band: Vec::new() })
    });
    let asked = known.part("g4.read-speed", "rate")?.claimed?.middle();
    let reading = known.part("g4.read-speed", "reading")?.found?.value;
    Some(Plot {
        name: "claims-user-rate".to_owned(),
        anchor: "user-rate".to_owned(),
        title: "Tokens per second that one user gets".to_owned(),
        caption: format!(
            "The same model on the same {} GPUs: {} tensor-parallel ranks in {} pipeline stages, every stage passed for \
                  every token, experts reached under uniform routing, KV cache left out. Upper bounds. At a large batch \
                  computing takes longer than reading, and the curves fall again.",
            number(gpus(taken)?),
            number(*shape.get("tensor")?),
            number(*shape.get("pipeline")?)
        ),
        watermark: None,
        drawn: Drawn::Curves(Curves {
            x: "Sequences that meet a layer together".to_owned(),
            y: "Tokens per second of one user".to_owned(),
            curves: curves.collect::<Option<_>>()?,
            marks: Vec::new(),
            marked: "where a claim is reached".to_owned(),
            thresholds: vec![
                Threshold { name: format!("asked for: {}", number(asked)), y: asked },
                Threshold { name: format!("reading: {}", number((reading * 10.0).round() / 10.0)), y: reading },
            ],
        }),
    })
}

/// The steps of a part's derivation that are bytes held, by the words they begin with.
fn step(part: &PartJudgement, begins: &str) -> Option<f64> {
    part.steps.iter().find(|step| step.text.starts_with(begins)).map(|step| step.value)
}

fn memory(known: &Known<'_>) -> Option<Plot> {
    let stacks = [
        training(known, "ZeRO stage 1", None),
        training(known, "gradients sharded too", Some(SHARDED)),
        serving_gpt4(known),
        serving_gpt3(known, "9 A100s of 80 GB", "gs.serve-gpus"),
        serving_gpt3(known, "16 A100s of 80 GB", "bm.serve-gpus"),
    ];
    let stacks: Vec<Stack> = stacks.into_iter().flatten().collect();
    (!stacks.is_empty()).then(|| Plot {
        name: "claims-memory".to_owned(),
        anchor: "memory".to_owned(),
        title: "What one GPU must hold".to_owned(),
        caption: "The layouts as claimed, per GPU, against its memory as sold (the upright line). Training before activations; \
                  FP16 weights and gradients, Adam's 12 bytes per parameter. Serving GPT-4 with the batch of 4096 at 8k that the \
                  article takes as usual, one KV head. GPT-3 in FP32, as the articles count it."
            .to_owned(),
        watermark: None,
        drawn: Drawn::Stacks(Stacks { x: "Bytes on one GPU".to_owned(), unit: "B".to_owned(), stacks }),
    })
}

fn segments(parts: &[(&str, f64)]) -> Vec<Segment> {
    parts.iter().map(|&(name, value)| Segment { name: name.to_owned(), value }).collect()
}

fn training(known: &Known<'_>, label: &str, movement: Option<&str>) -> Option<Stack> {
    let id = "g4.train-fit";
    let part = match movement {
        None => known.part(id, "state")?,
        Some(movement) => known.moved(id, movement, "state")?,
    };
    let parts = [
        ("weights", step(part, "FP16 weights")?),
        ("gradients", step(part, "gradients")?),
        ("optimizer", step(part, "optimizer")?),
    ];
    Some(Stack {
        group: "GPT-4, training (g4.train-fit)".to_owned(),
        label: label.to_owned(),
        segments: segments(&parts),
        limit: part.claimed?.middle(),
    })
}

/// Weights, and the KV cache of the batch that the article takes as usual.
fn serving_gpt4(known: &Known<'_>) -> Option<Stack> {
    let (id, part) = USUAL_BATCH;
    let part = known.part(id, part)?;
    let inputs = part.values();
    let (batch, context) = (part.claimed?.middle(), *inputs.get("context")?);
    let tensor_and_stages = inputs.get("tensor")? * inputs.get("pipeline")?;
    let weights = step(part, "weights of one GPU")?;
    // Tokens all GPUs can keep fill what is free on each.
    let (free, tokens) = (step(part, "free for the KV cache")?, step(part, "tokens all GPUs")?);
    let parts = [("weights", weights), ("KV cache", batch * context * free / tokens)];
    Some(Stack {
        group: "GPT-4, serving (g4.serve-fit)".to_owned(),
        label: format!("FP16 on {}, batch {}", number(tensor_and_stages), number(batch)),
        segments: segments(&parts),
        limit: *inputs.get("capacity")?,
    })
}

/// GPT-3's FP32 weights on the GPUs that two articles give it: one fills them with weights, the other with activations.
fn serving_gpt3(known: &Known<'_>, label: &str, id: &str) -> Option<Stack> {
    let weights = known.part("gs.fp32", "weights")?.claimed?.middle();
    let room = known.part("gs.idle-room", "tokens")?.values();
    let (capacity, gpus) = (*room.get("capacity")?, known.part(id, "gpus")?.claimed?.middle());
    let parts = match id {
        "bm.serve-gpus" => {
            let all = *known.part(id, "gpus")?.values().get("bytes")?;
            vec![("weights", weights / gpus), ("activations and KV cache", (all - weights) / gpus)]
        }
        _ => {
            let conversation = known.part("gs.idle-room", "tokens")?.claimed?.middle() * room.get("per_token")?;
            vec![("weights", weights / gpus), ("KV cache", conversation / gpus)]
        }
    };
    Some(Stack {
        group: format!("GPT-3, serving ({id})"),
        label: label.to_owned(),
        segments: segments(&parts),
        limit: capacity,
    })
}
