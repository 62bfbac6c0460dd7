//! What surprises most, in a sentence each, and only where the judgements at hand bear it out.
//!
//! A finding is a condition on judgements and a sentence made of their numbers: better evidence changes the
//! numbers, and may silence it.

use std::cell::Cell;

use super::claim::Bound;
use super::evidence::Rank;
use super::judge::GIB_LABEL;
use super::judgement::{Found, Judgement, Movement, PartJudgement};
use super::unit::number;
use super::verdict::{Verdict, show_factor};

/// The average context at which both quoted serving costs come out, as the claim files label it.
pub const FITTED: &str = "5.7k tokens of average context";

/// A finding in one sentence.
#[derive(Debug, Clone, PartialEq)]
pub struct Finding {
    /// Its name, for links.
    pub id: &'static str,
    /// The sentence.
    pub sentence: String,
    /// The claims it rests on.
    pub claims: &'static [&'static str],
    /// The weakest evidence of a GPU among them; `None` where arithmetic suffices.
    pub evidence: Option<Rank>,
}

/// A finding's condition and sentence.
struct Rule {
    id: &'static str,
    claims: &'static [&'static str],
    /// The sentence, or `None` where the judgements do not bear it out.
    say: fn(&View<'_>) -> Option<String>,
}

/// The most surprising first.
static RULES: &[Rule] = &[
    Rule { id: "cheap_or_fast", claims: &["x.speed-vs-cost", "g4.read-speed"], say: cheap_or_fast },
    Rule { id: "costs_add_up", claims: &["g4.cost-a100", "g4.cost-h100", "g4.h100-gain"], say: costs_add_up },
    Rule { id: "layout_does_not_fit", claims: &["g4.train-fit"], say: layout_does_not_fit },
    Rule {
        id: "low_is_the_pipeline",
        claims: &["g4.bubble", "g4.mfu-ceiling", "bm.llama-mfu"],
        say: low_is_the_pipeline,
    },
    Rule { id: "long_context_runs", claims: &["g4.32k-fit", "x.batch-vs-memory"], say: long_context_runs },
    Rule { id: "drafts_on_experts", claims: &["g4.spec-moe"], say: drafts_on_experts },
    Rule { id: "price_is_no_size", claims: &["c20.price", "x.size-vs-price", "c20.size"], say: price_is_no_size },
    Rule {
        id: "fleet_by_training",
        claims: &["gs.decode-util", "gs.trendforce", "x.users-vs-util", "x.price-vs-fleet"],
        say: fleet_by_training,
    },
    Rule { id: "thousandfold_slip", claims: &["g4.forward-flop"], say: thousandfold_slip },
    Rule { id: "projection_asks_much", claims: &["g4.h100-rate", "g4.h100-train", "x.mfu"], say: projection_asks_much },
    Rule { id: "faster_than_reading", claims: &["g4.read-speed", "bm.local", "g4.iphone"], say: faster_than_reading },
    Rule { id: "capacity_counts", claims: &["g4.capacity"], say: capacity_counts },
    Rule { id: "one_conversation", claims: &["gs.idle-room", "gs.serve-gpus"], say: one_conversation },
    Rule { id: "one_sentence_two_sizes", claims: &["g4.node-params", "g4.gpu-bytes"], say: one_sentence_two_sizes },
    Rule { id: "rule_not_followed", claims: &["x.kaplan"], say: rule_not_followed },
    Rule { id: "days_for_the_money", claims: &["g4.train-cost"], say: days_for_the_money },
];

/// The findings that the judgements bear out, the most surprising first.
pub fn findings(judgements: &[Judgement]) -> Vec<Finding> {
    let borne_out = RULES.iter().filter_map(|rule| {
        let view = View { judgements, evidence: Cell::new(None) };
        let sentence = (rule.say)(&view)?;
        Some(Finding { id: rule.id, sentence, claims: rule.claims, evidence: view.evidence.get() })
    });
    borne_out.collect()
}

/// Judgements by name. Every look-up of what is not there silences the finding that asks, and every figure looked
/// up counts its evidence.
struct View<'a> {
    judgements: &'a [Judgement],
    evidence: Cell<Option<Rank>>,
}

impl<'a> View<'a> {
    fn claim(&self, id: &str) -> Option<&'a Judgement> {
        self.judgements.iter().find(|judgement| judgement.claim.id == id)
    }

    fn figure(&self, part: &PartJudgement) -> Option<Found> {
        self.evidence.set(self.evidence.get().max(part.evidence()));
        part.found
    }

    fn found(&self, id: &str, part: &str) -> Option<Found> {
        self.figure(self.claim(id)?.part(part)?)
    }

    fn value(&self, id: &str, part: &str) -> Option<f64> {
        Some(self.found(id, part)?.value)
    }

    fn claimed(&self, id: &str, part: &str) -> Option<f64> {
        Some(self.claim(id)?.part(part)?.claimed?.middle())
    }

    /// What is claimed, in its unit: `32 to 36 %`.
    fn says(&self, id: &str, part: &str) -> Option<String> {
        let part = self.claim(id)?.part(part)?;
        let bound = match part.claimed? {
            Bound::AtLeast(value) | Bound::AtMost(value) => Bound::Value(value),
            bound => bound,
        };
        Some(bound.show(part.unit))
    }

    fn movement(&self, id: &str, label: &str) -> Option<&'a Movement> {
        self.claim(id)?.movement(label)
    }

    fn moved(&self, id: &str, label: &str, part: &str) -> Option<f64> {
        let movement = self.movement(id, label)?;
        Some(self.figure(movement.parts.iter().find(|other| other.name == part)?)?.value)
    }

    fn holds(&self, id: &str) -> Option<()> {
        matches!(self.claim(id)?.verdict, Verdict::Holds).then_some(())
    }

    fn factor(&self, id: &str) -> Option<f64> {
        match self.claim(id)?.verdict {
            Verdict::Diverges { factor } => Some(factor),
            _ => None,
        }
    }
}

/// Three significant digits, for prose.
fn about(value: f64) -> String {
    if value == 0.0 {
        return "0".to_owned();
    }
    let step = 10_f64.powi(value.abs().log10().floor() as i32 - 2);
    number((value / step).round() * step)
}

fn percent(share: f64) -> String {
    format!("{:.1} %", share * 100.0)
}

fn cheap_or_fast(view: &View<'_>) -> Option<String> {
    let id = "x.speed-vs-cost";
    let slow = view.moved(id, "A100s with 40 GB in int8", "rate")?;
    let fast = view.moved(id, "H100s in FP8", "rate")?;
    let asked = view.claimed(id, "rate")?;
    (slow.max(fast) < asked).then(|| {
        format!(
            "Cheap or fast, not both: at the batch that the quoted serving costs need, each user of the leaked GPT-4 gets at \
             most {} tokens/s (A100s, int8) to {} (H100s, FP8), where the same article has people need about {}.",
            about(slow),
            about(fast),
            number(asked)
        )
    })
}

fn costs_add_up(view: &View<'_>) -> Option<String> {
    let (a100, h100) = (view.movement("g4.cost-a100", FITTED)?, view.movement("g4.cost-h100", FITTED)?);
    let both = [a100, h100].iter().all(|movement| matches!(movement.verdict, Verdict::Holds));
    view.holds("g4.h100-gain")?;
    both.then_some(())?;
    let context = a100.parts.iter().find(|part| part.name == "cost")?.values().get("context").copied()?;
    let price = |id: &str| Some(number(*view.claim(id)?.part("cost")?.values().get("price")?));
    Some(format!(
        "Both leaked serving costs can be had together: at {} and {} USD an hour, the article's prices for training, with \
         one-byte weights, one KV head, memory full and a fitted average context of {} tokens, 1000 tokens cost {} USD on A100s \
         and {} on H100s, where {} and {} are quoted; the {}-fold gain of an H100 comes out at {} without that fit.",
        price("g4.cost-a100")?,
        price("g4.cost-h100")?,
        about(context),
        about(view.moved("g4.cost-a100", FITTED, "cost")? * 1e3),
        about(view.moved("g4.cost-h100", FITTED, "cost")? * 1e3),
        number(view.claimed("g4.cost-a100", "cost")? * 1e3),
        number(view.claimed("g4.cost-h100", "cost")? * 1e3),
        number(view.claimed("g4.h100-gain", "gain")?),
        about(view.value("g4.h100-gain", "gain")?)
    ))
}

fn layout_does_not_fit(view: &View<'_>) -> Option<String> {
    let id = "g4.train-fit";
    let (needs, has) = (view.value(id, "state")?, view.claimed(id, "state")?);
    let sharded = view.claim(id)?.movements.iter().find(|movement| matches!(movement.verdict, Verdict::Holds))?;
    let fits = sharded.found("state")?.value;
    (needs > has).then(|| {
        format!(
            "Under ZeRO stage 1 alone the training layout takes {} GB of weights, gradients and optimizer on each {} GB GPU, \
             before any activation; with gradients sharded too, which the article also names as possible, {} GB.",
            about(needs / 1e9),
            number(has / 1e9),
            about(fits / 1e9)
        )
    })
}

fn low_is_the_pipeline(view: &View<'_>) -> Option<String> {
    view.holds("g4.bubble")?;
    let (idle, batches) = (view.value("g4.bubble", "idle")?, view.value("g4.bubble", "micro_batches")?);
    let (busy, llama) = (view.found("g4.mfu-ceiling", "without_bubble")?, view.value("bm.llama-mfu", "utilisation")?);
    let stages = view.says("g4.train-parallel", "pipeline")?;
    (busy.low <= llama && llama <= busy.high).then(|| {
        format!(
            "The pipeline alone could account for the “extremely low” utilisation: the article's own batch leaves {} \
             micro-batches for {}, which then idle {} of every step (one sequence per micro-batch, not interleaved); without \
             that it is {:.1} to {}, and LLaMA's was {}. The article names bubbles beside failures and all-reduces.",
            about(batches),
            stages,
            percent(idle),
            busy.low * 100.0,
            percent(busy.high),
            percent(llama)
        )
    })
}

fn long_context_runs(view: &View<'_>) -> Option<String> {
    view.factor("g4.32k-fit")?;
    view.factor("x.batch-vs-memory")?;
    let long = view.value("g4.32k-fit", "sequences")?;
    let (batch, each) =
        (view.claimed("x.batch-vs-memory", "sequences")?, view.value("x.batch-vs-memory", "tokens_each")?);
    Some(format!(
        "32k context “certainly cannot run” on 40 GB A100s, yet beside FP16 weights, with one KV head and no memory kept for \
         other things, {:.0} such sequences fit the cluster; the batch of {} that the article takes as usual fits with {} \
         tokens each at most.",
        long.floor(),
        number(batch),
        number(each.floor())
    ))
}

fn drafts_on_experts(view: &View<'_>) -> Option<String> {
    let id = "g4.spec-moe";
    let (one, many, bytes) = (view.value(id, "at_1")?, view.value(id, "at_32")?, view.value(id, "bytes_at_1")?);
    let inputs = view.claim(id)?.part("at_1")?.values();
    let (length, accepted) = (inputs.get("length")?, inputs.get("acceptance")?);
    (one < 1.0 && many > 1.0).then(|| {
        format!(
            "On this mixture of experts {} tokens wake {} times the weights of one, so that under uniform routing drafts of {} \
             tokens, accepted {} of the time, give {} times the speed at batch 1, and {} times at batch 32.",
            number(length + 1.0),
            about(bytes),
            number(*length),
            percent(*accepted),
            about(one),
            about(many)
        )
    })
}

fn price_is_no_size(view: &View<'_>) -> Option<String> {
    let id = "c20.price";
    let (share, context) = (view.moved(id, "175e9 parameters", "utilisation")?, view.value(id, "context_175")?);
    (share < 1.0 && context >= 1.0).then(|| {
        format!(
            "0.002 USD per 1000 tokens does not single out 20e9 parameters: 175e9 break even at {} of the A100's peak and, \
             generating on eight of them, up to {} tokens of average context.",
            percent(share),
            about(context)
        )
    })
}

fn fleet_by_training(view: &View<'_>) -> Option<String> {
    let shorter = "1333 tokens of average context";
    let taken = view.claimed("gs.decode-util", "utilisation")?;
    let (low, high) =
        (view.value("gs.decode-util", "utilisation")?, view.moved("gs.decode-util", shorter, "utilisation")?);
    let (most, least) = (view.value("gs.trendforce", "gpus")?, view.moved("gs.trendforce", shorter, "gpus")?);
    let quoted = view.claimed("gs.trendforce", "gpus")?;
    let derived = view.claimed("x.users-vs-util", "gpus")?;
    (high < taken && least > derived).then(|| {
        format!(
            "{} GPUs for ChatGPT take over a utilisation of training. If its tokens are generated, eight 80 GB A100s with memory \
             full at 1333 to 2048 tokens each reach at most {} to {:.1} % of the peak, not {}, which asks for {} to {} GPUs; the \
             {} called absurd are {} to {} times that.",
            number(derived),
            percent(high),
            low * 100.0,
            percent(taken),
            about(least),
            about(most),
            number(quoted),
            about(quoted / most),
            about(quoted / least)
        )
    })
}

fn thousandfold_slip(view: &View<'_>) -> Option<String> {
    let factor = view.factor("g4.forward-flop")?;
    let (claimed, found) = (view.claimed("g4.forward-flop", "forward")?, view.value("g4.forward-flop", "forward")?);
    (900.0..1100.0).contains(&factor).then(|| {
        format!(
            "{} TFLOP per token are {} GFLOP, a slip of {}.",
            number(claimed / 1e12),
            about(found / 1e9),
            show_factor(factor)
        )
    })
}

fn projection_asks_much(view: &View<'_>) -> Option<String> {
    let (share, fp8) = (view.value("g4.h100-rate", "utilisation")?, view.value("g4.h100-rate", "fp8")?);
    let best = view.claimed("gs.megatron", "share")?;
    (share > best).then_some(())?;
    Some(format!(
        "{} on {} H100s ask for {} of their BF16 peak ({} of FP8's); the best run of the four documents, on A100s, reached {}.",
        view.says("g4.h100-train", "days")?,
        number(view.claimed("g4.h100-train", "gpus")?),
        percent(share),
        percent(fp8),
        percent(best)
    ))
}

fn faster_than_reading(view: &View<'_>) -> Option<String> {
    let (times, asked) = (view.value("g4.read-speed", "times_reading")?, view.claimed("g4.read-speed", "rate")?);
    (times >= 2.0).then_some(())?;
    let phone = view.value("bm.local", "rate").map_or_else(String::new, |rate| {
        format!(
            "; an iPhone 14's bandwidth bounds LLaMA-7B in 4 bits at {} tokens/s, and the leak takes models above 4e9 int4 \
             parameters for impractical on phones",
            about(rate)
        )
    });
    Some(format!(
        "{} tokens/s are {} times the speed at which adults read English{phone}.",
        number(asked),
        about(times)
    ))
}

fn capacity_counts(view: &View<'_>) -> Option<String> {
    let id = "g4.capacity";
    view.factor(id)?;
    let cluster = view.claim(id)?.part("rate_80")?.values();
    Some(format!(
        "{} GPUs of 80 GB in place of 40 GB serve {} times the tokens for {} times the bandwidth (FP16, full 8k context; {} \
         times in int8).",
        number(cluster.get("tensor")? * cluster.get("pipeline")?),
        about(view.value(id, "gain")?),
        about(view.value(id, "bandwidth_gain")?),
        about(view.moved(id, "int8 weights", "gain")?)
    ))
}

fn one_conversation(view: &View<'_>) -> Option<String> {
    let tokens = view.value("gs.idle-room", "tokens")?;
    let (gpus, in_gib) = (view.claimed("gs.serve-gpus", "gpus")?, view.moved("gs.idle-room", GIB_LABEL, "tokens")?);
    let conversation = view.claimed("gs.idle-room", "tokens")?;
    (in_gib < 4.0 * conversation).then(|| {
        format!(
            "{} A100s that hold GPT-3 in FP32 have room beside it for {} tokens in all as their memory is sold, {} as drivers \
             report it: one to three full conversations.",
            number(gpus),
            number(tokens.floor()),
            number(in_gib.floor())
        )
    })
}

fn one_sentence_two_sizes(view: &View<'_>) -> Option<String> {
    let id = "g4.node-params";
    let (gb, gib) = (view.value(id, "fp16_in_gb")?, view.value(id, "fp16_in_gib")?);
    let most = view.claimed("g4.gpu-bytes", "fp16")?;
    (gb > most).then(|| {
        format!(
            "About {} on eight GPUs are {} GB each in FP16 ({} GiB), a little over the {} GB of the same sentence.",
            view.says(id, "per_node").unwrap_or_default(),
            about(gb / 1e9),
            about(gib / (1_u64 << 30) as f64),
            number(most / 1e9)
        )
    })
}

fn rule_not_followed(view: &View<'_>) -> Option<String> {
    let factor = view.factor("x.kaplan")?;
    Some(format!(
        "GPT-3 had {} tokens per parameter, {} times fewer than the {} called OpenAI's rule.",
        about(view.value("x.kaplan", "tokens_per_parameter")?),
        show_factor(factor),
        number(view.claimed("c20.kaplan", "rule")?)
    ))
}

fn days_for_the_money(view: &View<'_>) -> Option<String> {
    let days = view.value("g4.train-cost", "days_needed")? / super::unit::DAY;
    let stated = view.claim("g4.mfu")?.part("days")?.claimed?;
    (days * super::unit::DAY > stated.ends().1).then_some(())?;
    Some(format!(
        "{} at {} USD an hour are {} days of {} A100s; the article has {}, all of them rounded.",
        view.says("g4.train-cost", "cost")?,
        number(view.claimed("g4.train-cost", "price")?),
        about(days),
        number(view.claimed("g4.mfu", "gpus")?),
        view.says("g4.mfu", "days")?
    ))
}
