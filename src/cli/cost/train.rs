//! `rooflint cost train`: what a training run takes.

use clap::{Args, FromArgMatches};
use serde::Serialize;

use super::common::{
    About, Context, Memory, Price, Ranks, Rent, Subject, context_note, context_row, layout_words, refused, show, word,
};
use super::sheet::{Group, Sheet, group, row};
use super::words::{bytes, flop, flop_rate, large, percent, spanned, time, tokens, usd};
use crate::claims::number;
use crate::cli::{Command, Exit, Failure, values};
use crate::cost::Figure;
use crate::cost::answer::{self, TrainAnswer, TrainQuestion};
use crate::cost::memory::{MIXED_ADAM, Zero};
use crate::llm::Layout;

pub const QUESTION: Command = Command {
    name: "train",
    declare: |command| {
        // Last, since flattened options leave their own descriptions behind.
        Arguments::augment_args(command).about("What does training a model take: time, money, memory?").after_help(
            "Example: rooflint cost train --model llama-65b --gpu a100_sxm_80gb --gpus 2048 --tokens 1.4T --mfu 0.47",
        )
    },
    run: |matches| run(&Arguments::from_arg_matches(matches).map_err(Failure::usage)?),
};

#[derive(Args)]
struct Arguments {
    #[command(flatten)]
    about: About,
    /// GPUs of the run
    #[arg(long, value_name = "GPUS", value_parser = values::figure, allow_negative_numbers = true)]
    gpus: Figure,
    /// Tokens it is trained on, such as 1.4T or 300B
    #[arg(long, value_name = "TOKENS", value_parser = values::figure, allow_negative_numbers = true)]
    tokens: Figure,
    /// Model FLOP utilisation: share of the compute ceiling that training reaches
    #[arg(long, value_name = "SHARE", default_value = "0.4", value_parser = values::figure, allow_negative_numbers = true)]
    mfu: Figure,
    #[command(flatten)]
    rent: Rent,
    #[command(flatten)]
    ranks: Ranks,
    /// What replicas share instead of keeping their own; each word includes those before it (ZeRO stages 0 to 3)
    #[arg(long, value_name = "WHAT", default_value = "weights", value_parser = word(ZERO.to_vec()))]
    zero: Zero,
    #[command(flatten)]
    context: Context,
    /// Tokens of one optimizer step, for the share of it in which the pipeline waits
    #[arg(long, value_name = "TOKENS", value_parser = values::figure, allow_negative_numbers = true)]
    batch_tokens: Option<Figure>,
    /// Chunks of layers interleaved on each pipeline stage
    #[arg(long, value_name = "CHUNKS", default_value_t = 1, requires = "batch_tokens")]
    interleaved: u32,
    #[command(flatten)]
    memory: Memory,
}

/// ZeRO's stages by what replicas share.
pub const ZERO: [(&str, Zero); 4] = [
    ("none", Zero::Nothing),
    ("optimizer", Zero::Optimizer),
    ("gradients", Zero::Gradients),
    ("weights", Zero::Weights),
];

#[derive(Serialize)]
struct Inputs {
    #[serde(flatten)]
    subject: Subject,
    gpus: Figure,
    tokens: Figure,
    mfu: Figure,
    layout: Layout,
    zero: Zero,
    context: Figure,
    batch_tokens: Option<Figure>,
    interleaved: u32,
    price: Price,
}

const MAKES_ROOM: &str = "split a replica (--tensor, --pipeline) or share more among replicas (--zero)";

fn run(arguments: &Arguments) -> Result<Exit, Failure> {
    let subject = arguments.about.subject(arguments.memory.capacity)?;
    if !TRAINED_IN.contains(&subject.weights.name) {
        return Err(Failure::usage(format!(
            "training in {} is not modelled: weights and gradients are counted in 16 bits; --weights can be {}",
            subject.weights.name,
            TRAINED_IN.join(", ")
        )));
    }
    let inputs = Inputs {
        gpus: arguments.gpus,
        tokens: arguments.tokens,
        mfu: arguments.mfu,
        layout: arguments.ranks.layout()?,
        zero: arguments.zero,
        context: arguments.context.of(&subject.model),
        batch_tokens: arguments.batch_tokens,
        interleaved: arguments.interleaved,
        price: arguments.rent.price(&subject.gpu)?,
        subject,
    };
    let answer = answer::train(&inputs.question()).map_err(|error| refused(&error, MAKES_ROOM))?;
    if let Some(few) = answer.micro_batches.filter(|count| count.low() < 1.0) {
        return Err(Failure::usage(format!(
            "--batch-tokens gives each of {} replicas {} of a sequence of {}; it must be at least one",
            number(answer.replicas.value()),
            number(few.low()),
            tokens(inputs.context.value())
        )));
    }
    show(arguments.about.format, "train", &inputs, &answer, &inputs.sheet(&answer))
}

/// Formats whose products mixed-precision training computes: beside them it keeps 16-bit weights.
const TRAINED_IN: [&str; 3] = ["f16", "bf16", "fp8"];

impl Inputs {
    fn question(&self) -> TrainQuestion {
        TrainQuestion {
            model: self.subject.model.clone(),
            accelerator: self.subject.accelerator.clone(),
            gpus: self.gpus,
            tokens: self.tokens,
            mfu: self.mfu,
            price_usd_h: self.price.usd_per_h,
            layout: self.layout,
            zero: self.zero,
            context: self.context,
            batch_tokens: self.batch_tokens,
            interleaved: self.interleaved,
        }
    }

    fn sheet(&self, answer: &TrainAnswer) -> Sheet {
        let mut notes = vec![
            "the compute ceiling is a datasheet's, and the MFU a share of it that is assumed, not measured.".to_owned(),
            "failures, restarts, evaluation and other runs come on top of time and cost.".to_owned(),
            "activations come on top of the training state.".to_owned(),
        ];
        notes.extend(context_note(self.context, &self.subject.model));
        notes.extend(self.subject.notes());
        Sheet {
            sentence: self.sentence(answer),
            groups: vec![self.asked(), self.work(answer), self.state(answer), self.steps(answer)],
            grid: None,
            notes,
        }
    }

    fn sentence(&self, answer: &TrainAnswer) -> String {
        format!(
            "Training {} on {} with {} {} takes {} and costs {}, at an MFU of {} of the datasheet's {} peak.",
            self.subject.model.name,
            spanned(self.tokens, tokens),
            spanned(self.gpus, large),
            self.subject.accelerator.name,
            spanned(answer.time_s, time),
            spanned(answer.cost_usd, usd),
            spanned(self.mfu, percent),
            self.subject.rate(),
        )
    }

    fn asked(&self) -> Group {
        let mut rows = self.subject.rows();
        rows.extend([self.subject.compute(), self.subject.memory()]);
        rows.push(row("GPUs", self.gpus, large, layout_words(self.layout)));
        rows.push(self.price.row());
        rows.push(row("tokens", self.tokens, large, "--tokens"));
        rows.push(row(
            "MFU",
            self.mfu,
            percent,
            "--mfu; 21 % (GPT-3) to 46 % (PaLM) were published, arXiv 2204.02311 table 3",
        ));
        rows.push(context_row(self.context));
        group("what is trained", rows)
    }

    fn work(&self, answer: &TrainAnswer) -> Group {
        group(
            "time and cost",
            [
                row("operations", answer.flop, flop, "6 x active parameters x tokens"),
                row(
                    "attention on top",
                    answer.attention_flop,
                    flop,
                    "6 x layers x width x context x tokens; not in MFU",
                ),
                row("achieved by a GPU", answer.achieved_flop_s, flop_rate, "MFU x compute ceiling"),
                row("time", answer.time_s, time, "operations / (GPUs x achieved)"),
                row("GPU-hours", answer.gpu_hours, large, "GPUs x time"),
                row("cost", answer.cost_usd, usd, "GPU-hours x price"),
                row("tokens per parameter", answer.tokens_per_parameter, number, "tokens / parameters"),
                row("best at", answer.tokens_best, tokens, "20 per parameter (Hoffmann et al., arXiv 2203.15556)"),
            ],
        )
    }

    fn state(&self, answer: &TrainAnswer) -> Group {
        let state = &answer.state;
        let each = |bytes: f64, from: Zero| {
            let shared = if self.zero >= from { " / replicas" } else { "" };
            format!("parameters x {bytes} B / GPUs of a replica{shared}")
        };
        group(
            "memory of one GPU",
            [
                row("weights", state.weights_b, bytes, each(MIXED_ADAM.weights, Zero::Weights)),
                row("gradients", state.gradients_b, bytes, each(MIXED_ADAM.gradients, Zero::Gradients)),
                row("optimizer", state.optimizer_b, bytes, each(MIXED_ADAM.optimizer, Zero::Optimizer)),
                row("training state", state.total_b, bytes, "all three, in mixed precision with Adam"),
            ],
        )
    }

    fn steps(&self, answer: &TrainAnswer) -> Group {
        let sent = match self.zero {
            Zero::Weights => "2 x (replicas - 1) / replicas x gradients; sharing weights sends half as much again",
            _ => "2 x (replicas - 1) / replicas x gradients",
        };
        let mut rows = vec![
            row("replicas", answer.replicas, large, "GPUs / GPUs of a replica"),
            row("sent by a GPU in a step", answer.gradients_sent_b, bytes, sent),
        ];
        rows.extend(answer.micro_batches.map(|count| {
            row("micro-batches of a step", count, number, "--batch-tokens / (context x replicas), one sequence each")
        }));
        rows.extend(answer.idle_share.map(|share| {
            let how = "(stages - 1) / (chunks x micro-batches + stages - 1); part of what the MFU loses";
            row("share a stage waits", share, percent, how)
        }));
        group("parallelism", rows)
    }
}
