//! `rooflint cost serve`: what a token costs, and how fast tokens come.

use clap::{Args, FromArgMatches};
use serde::Serialize;

use super::common::{
    About, Context, KvCache, Memory, Price, Ranks, Rent, Subject, context_note, context_row, gpus_words, layout_words,
    refused, show,
};
use super::sheet::{Grid, Group, Sheet, fact, group, row};
use super::words::{bytes, large, percent, spanned, time, token_rate, tokens, usd};
use crate::claims::number;
use crate::cli::{Command, Exit, Failure, values};
use crate::cost::answer::{self, ServeAnswer, ServeQuestion, WeightFormat};
use crate::cost::moe::Routing;
use crate::cost::serving::Bound;
use crate::cost::{Figure, money};
use crate::llm::Layout;
use crate::reference::CALIBRATED;
use crate::units::{Seconds, digits};

pub const QUESTION: Command = Command {
    name: "serve",
    declare: |command| {
        // Last, since flattened options leave their own descriptions behind.
        Arguments::augment_args(command)
            .about("What does serving a model cost, and how fast is it for one user?")
            .after_help("Example: rooflint cost serve --model llama-3.1-70b --gpu h100_sxm --tensor 4 --context 4096")
    },
    run: |matches| run(&Arguments::from_arg_matches(matches).map_err(Failure::usage)?),
};

#[derive(Args)]
struct Arguments {
    #[command(flatten)]
    about: About,
    #[command(flatten)]
    rent: Rent,
    #[command(flatten)]
    ranks: Ranks,
    #[command(flatten)]
    context: Context,
    #[command(flatten)]
    cache: KvCache,
    #[command(flatten)]
    memory: Memory,
    /// Sequences in flight [default: as many as fit]
    #[arg(long, value_name = "SEQUENCES", value_parser = values::figure, allow_negative_numbers = true)]
    batch: Option<Figure>,
    /// How tokens choose experts: evenly at random (uniform), so that a step reads every expert (every), as unevenly as a
    /// calibration tells (fitted), or by a power law with this exponent (0.6)
    #[arg(long, value_name = "HOW", default_value = "uniform", value_parser = routing, allow_negative_numbers = true)]
    routing: Chosen,
    /// Time each stage takes whatever it serves, such as 5us for launches and all-reduces [default: none]
    #[arg(long, value_name = "TIME", value_parser = values::duration)]
    overhead: Option<Seconds>,
}

/// How tokens choose experts, as asked for.
#[derive(Clone, Copy)]
enum Chosen {
    By(Routing),
    Fitted,
}

fn routing(text: &str) -> Result<Chosen, String> {
    match text {
        "uniform" => Ok(Chosen::By(Routing::Uniform)),
        "every" => Ok(Chosen::By(Routing::EveryExpert)),
        "fitted" => Ok(Chosen::Fitted),
        number => match number.parse::<f64>() {
            Ok(skew) if (0.0..=SKEW_MOST).contains(&skew) => Ok(Chosen::By(Routing::Skewed { skew })),
            _ => Err(format!("'{text}' is not uniform, every, fitted, or an exponent from 0 to {SKEW_MOST}")),
        },
    }
}

/// Largest exponent of a power law over experts: beyond, all tokens meet the same few.
const SKEW_MOST: f64 = 5.0;

#[derive(Serialize)]
struct Inputs {
    #[serde(flatten)]
    subject: Subject,
    layout: Layout,
    kv: WeightFormat,
    context: Figure,
    /// Sequences asked for; null for as many as fit.
    batch: Option<Figure>,
    routing: Routing,
    overhead_s: Figure,
    price: Price,
}

const MAKES_ROOM: &str = "more GPUs (--tensor, --pipeline) or fewer bits (--weights, --kv) make room";

fn run(arguments: &Arguments) -> Result<Exit, Failure> {
    let fitted = matches!(arguments.routing, Chosen::Fitted);
    let subject = arguments.about.decoding(arguments.memory.capacity, arguments.cache.kv, fitted)?;
    let told = subject.accelerator.law.as_ref().and_then(|law| law.best.skew);
    let inputs = Inputs {
        layout: arguments.ranks.layout()?,
        kv: arguments.cache.kv,
        context: arguments.context.of(&subject.model),
        batch: arguments.batch,
        routing: match arguments.routing {
            Chosen::By(routing) => routing,
            Chosen::Fitted => told.map_or(Routing::Uniform, |skew| Routing::Skewed { skew }),
        },
        overhead_s: arguments.overhead.unwrap_or(Seconds::ZERO).into(),
        price: arguments.rent.price(&subject.gpu)?,
        subject,
    };
    if let Some(batch) = inputs.batch.filter(|batch| batch.low() < 1.0) {
        return Err(Failure::usage(format!("--batch is {}; at least 1 sequence is served", batch.low())));
    }
    let answer = answer::serve(&inputs.question()).map_err(|error| refused(&error, MAKES_ROOM))?;
    if answer.batch_full.value() < 1.0 {
        return Err(Failure::usage(format!(
            "beside the weights {} of a GPU are left: room for {} of a sequence of {}; {MAKES_ROOM}",
            bytes(answer.room.free_b.value()),
            number(answer.batch_full.value()),
            tokens(inputs.context.value())
        )));
    }
    show(arguments.about.format, "serve", &inputs, &answer, &inputs.sheet(&answer))
}

impl Inputs {
    fn question(&self) -> ServeQuestion {
        ServeQuestion {
            model: self.subject.model.clone(),
            accelerator: self.subject.accelerator.clone(),
            layout: self.layout,
            bytes_per_parameter: self.subject.weights.bytes_per_parameter,
            bytes_per_kv_value: self.kv.bytes_per_parameter,
            context: self.context,
            batch: self.batch,
            routing: self.routing,
            price_usd_h: self.price.usd_per_h,
            overhead_s: self.overhead_s,
        }
    }

    fn sheet(&self, answer: &ServeAnswer) -> Sheet {
        Sheet {
            sentence: self.sentence(answer),
            groups: vec![self.asked(answer), self.room(answer), self.speed(answer), cost(answer)],
            grid: Some(curve(answer)),
            notes: self.notes(),
        }
    }

    fn sentence(&self, answer: &ServeAnswer) -> String {
        // A datasheet's ceilings bound; a fitted law foretells.
        let (least, most) = if self.subject.accelerator.law.is_some() { ("", "") } else { ("at least ", "at most ") };
        format!(
            "Serving {} in {} on {} costs {least}{} per 1000 tokens ({} per million) at batch {} of {} each, bound \
             by {}; one user sees {most}{}.",
            self.subject.model.name,
            self.subject.weights.name,
            gpus_words(self.layout.gpus(), &self.subject),
            spanned(answer.usd_per_1000_tokens, usd),
            spanned(answer.usd_per_1000_tokens, |each| usd(each * PER_MILLION)),
            spanned(answer.batch, number),
            spanned(self.context, tokens),
            bound(answer),
            spanned(answer.served.user_tok_s, token_rate),
        )
    }

    fn asked(&self, answer: &ServeAnswer) -> Group {
        let subject = &self.subject;
        let mut rows = subject.rows();
        rows.extend([subject.compute(), subject.bandwidth(), subject.memory(), subject.stored()]);
        rows.push(row("GPUs", answer.gpus, large, layout_words(self.layout)));
        rows.extend([self.price.row(), context_row(self.context)]);
        group("what is served", rows)
    }

    fn room(&self, answer: &ServeAnswer) -> Group {
        let room = &answer.room;
        // Every expert rank has the whole of the rest, and sequences of its own.
        let ranks = if self.layout.expert() == 1 { "" } else { "expert ranks x " };
        let token = format!("2 x layers x KV heads x head size of a GPU, {} B each", self.kv.bytes_per_parameter);
        group(
            "memory of one GPU",
            [
                row(
                    "weights",
                    room.weights_b,
                    bytes,
                    format!("parameters of the fullest rank x {}", self.subject.width()),
                ),
                row("left for the KV cache", room.free_b, bytes, "memory - weights"),
                row("KV cache of one token", room.kv_token_b, bytes, token),
                row(
                    "sequences that fit",
                    answer.batch_full,
                    large,
                    format!("{ranks}what is left / (context x KV cache of a token)"),
                ),
            ],
        )
    }

    fn speed(&self, answer: &ServeAnswer) -> Group {
        let served = &answer.served;
        let batch = if self.batch.is_some() { "--batch" } else { "as many as fit" };
        let how = match self.subject.accelerator.law {
            Some(_) => "per step + per layer + weights read and worked on + KV cache read, each fitted; + overhead",
            None => "max(bytes / bandwidth, FLOP / compute) + overhead",
        };
        let read = match (self.subject.model.experts, self.routing) {
            (None, _) => "all of them".to_owned(),
            (Some(_), Routing::Uniform) => {
                "shared, and the experts that the micro-batch's tokens are expected to reach".to_owned()
            }
            (Some(_), Routing::Skewed { skew }) => {
                format!(
                    "shared, and the experts that tokens are expected to reach, some likelier: skew {}",
                    digits(skew)
                )
            }
            (Some(_), Routing::EveryExpert) => "shared, and every expert".to_owned(),
        };
        group(
            "speed",
            [
                row("batch", answer.batch, large, batch),
                row("micro-batch", served.micro_batch, large, "batch / stages"),
                row("parameters read", served.parameters_read, large, read),
                row("time of a stage", served.stage_time_s, time, how),
                row("time between tokens", served.token_latency_s, time, "stages x time of a stage"),
                row("one user", served.user_tok_s, token_rate, "1 / time between tokens"),
                row("all users", served.throughput_tok_s, token_rate, "batch / time between tokens"),
                row("utilisation", served.utilisation, percent, "2 x active parameters x tokens/s / compute ceilings"),
                fact("bound by", bound(answer), "the longer of reading and computing"),
            ],
        )
    }

    fn notes(&self) -> Vec<String> {
        let ceilings = match &self.subject.accelerator.law {
            Some(law) => format!("{}. Spans hold 90 % of what the measurements leave open.", law.source),
            None => "the ceilings are a datasheet's, upper bounds that no program reaches: real costs are higher."
                .to_owned(),
        };
        let mut notes = vec![
            ceilings,
            "this is decoding alone; reading the prompts (prefill) and idle hours come on top.".to_owned(),
        ];
        let gpu = &self.subject.gpu.id;
        if self.subject.accelerator.law.is_none() && CALIBRATED.iter().any(|one| one.gpu == gpu) {
            notes.push(format!("others have measured this GPU: --gpu reference:{gpu} foretells, with an interval."));
        }
        notes.extend(context_note(self.context, &self.subject.model));
        notes.extend(self.subject.notes());
        notes
    }
}

/// Thousands of tokens in a million.
const PER_MILLION: f64 = 1e6 / money::PRICED_TOKENS;

fn cost(answer: &ServeAnswer) -> Group {
    let each = answer.usd_per_1000_tokens;
    group(
        "cost",
        [
            row("1000 tokens", each, usd, "GPUs x price / tokens per hour x 1000"),
            row("1 million tokens", each, |each| usd(each * PER_MILLION), "the same, as prices are listed"),
        ],
    )
}

fn bound(answer: &ServeAnswer) -> &'static str {
    match answer.served.bound {
        Bound::Memory => "memory bandwidth",
        Bound::Compute => "compute",
    }
}

/// What other batches cost.
fn curve(answer: &ServeAnswer) -> Grid {
    let rows = answer.curve.iter().map(|point| {
        vec![
            spanned(point.batch, number),
            spanned(point.usd_per_1000_tokens, digits),
            spanned(point.user_tok_s, number),
            spanned(point.throughput_tok_s, number),
        ]
    });
    let heads = vec!["Batch", "USD/1000 tokens", "Tokens/s of one user", "Tokens/s of all"];
    Grid { heads, rows: rows.collect() }
}
