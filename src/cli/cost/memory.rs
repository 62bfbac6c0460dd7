//! `rooflint cost memory`: what a GPU's memory must hold, to serve a model and to train it.

use clap::{Args, FromArgMatches};
use serde::Serialize;

use super::common::{
    About, Context, KvCache, Memory, Ranks, Subject, context_note, context_row, gpus_words, layout_words, refused, show,
};
use super::sheet::{Grid, Group, Sheet, fact, group, row};
use super::train::ZERO;
use super::words::{bytes, large, spanned, tokens};
use crate::claims::number;
use crate::cli::{Command, Exit, Failure, values};
use crate::cost::Figure;
use crate::cost::answer::{self, MemoryAnswer, MemoryQuestion, StateUnder, WeightFormat};
use crate::cost::memory::MIXED_ADAM;
use crate::llm::Layout;

pub const QUESTION: Command = Command {
    name: "memory",
    declare: |command| {
        // Last, since flattened options leave their own descriptions behind.
        Arguments::augment_args(command)
            .about("What must a GPU's memory hold, and how much is left?")
            .after_help("Example: rooflint cost memory --model mixtral-8x7b --gpu a100_sxm_80gb --tensor 2")
    },
    run: |matches| run(&Arguments::from_arg_matches(matches).map_err(Failure::usage)?),
};

#[derive(Args)]
struct Arguments {
    #[command(flatten)]
    about: About,
    #[command(flatten)]
    ranks: Ranks,
    #[command(flatten)]
    context: Context,
    #[command(flatten)]
    cache: KvCache,
    #[command(flatten)]
    memory: Memory,
    /// GPUs of a training run, whose replicas share its state [default: those of one replica]
    #[arg(long, value_name = "GPUS", value_parser = values::figure, allow_negative_numbers = true)]
    training_gpus: Option<Figure>,
}

#[derive(Serialize)]
struct Inputs {
    #[serde(flatten)]
    subject: Subject,
    layout: Layout,
    kv: WeightFormat,
    context: Figure,
    training_gpus: Figure,
}

fn run(arguments: &Arguments) -> Result<Exit, Failure> {
    let subject = arguments.about.kept(arguments.memory.capacity)?;
    let layout = arguments.ranks.layout()?;
    let training_gpus = arguments.training_gpus.unwrap_or(layout.gpus().into());
    if training_gpus.low() < f64::from(layout.gpus()) {
        let (few, least) = (number(training_gpus.low()), layout.gpus());
        return Err(Failure::usage(format!("--training-gpus is {few}, fewer than the {least} GPUs of one replica")));
    }
    let context = arguments.context.of(&subject.model);
    let inputs = Inputs { layout, kv: arguments.cache.kv, context, training_gpus, subject };
    // What does not fit is part of this answer, and no refusal.
    let answer = answer::memory(&inputs.question()).map_err(|error| refused(&error, ""))?;
    show(arguments.about.format, "memory", &inputs, &answer, &inputs.sheet(&answer))
}

impl Inputs {
    fn question(&self) -> MemoryQuestion {
        MemoryQuestion {
            model: self.subject.model.clone(),
            accelerator: self.subject.accelerator.clone(),
            layout: self.layout,
            bytes_per_parameter: self.subject.weights.bytes_per_parameter,
            bytes_per_kv_value: self.kv.bytes_per_parameter,
            context: self.context,
            training_gpus: self.training_gpus,
        }
    }

    fn sheet(&self, answer: &MemoryAnswer) -> Sheet {
        let mut rows = self.subject.rows();
        rows.extend([self.subject.memory(), self.subject.stored()]);
        rows.push(row("GPUs", self.layout.gpus().into(), large, layout_words(self.layout)));
        rows.push(context_row(self.context));
        let mut notes = vec![
            "activations, the driver and the framework take memory on top: less is left than stands here.".to_owned(),
        ];
        notes.extend(context_note(self.context, &self.subject.model));
        notes.extend(self.subject.notes());
        Sheet {
            sentence: self.sentence(answer),
            groups: vec![group("what is held", rows), self.weights(answer), self.cache(answer), self.state(answer)],
            grid: self.replicated().then(|| training(answer)),
            notes,
        }
    }

    fn sentence(&self, answer: &MemoryAnswer) -> String {
        let held = format!("{} in {}", self.subject.model.name, self.subject.weights.name);
        let gpus = gpus_words(self.layout.gpus(), &self.subject);
        match (answer.sequences, answer.missing_b) {
            (Some(sequences), _) => format!(
                "{held} fits on {gpus}: {} of {} per GPU at most, which leaves room for {} sequences of {}.",
                spanned(answer.weights_b, bytes),
                spanned(answer.capacity_b, bytes),
                spanned(sequences, number),
                spanned(self.context, tokens),
            ),
            (None, missing) => format!(
                "{held} does not fit on {gpus}: {} per GPU of {} is {} too much; at least {} of them hold it.",
                spanned(answer.weights_b, bytes),
                spanned(answer.capacity_b, bytes),
                missing.map(|missing| spanned(missing, bytes)).unwrap_or_default(),
                spanned(answer.least_gpus, number),
            ),
        }
    }

    fn weights(&self, answer: &MemoryAnswer) -> Group {
        let mut rows = vec![
            row("parameters of a GPU", answer.rank_parameters, large, "on the rank that has most"),
            row("weights", answer.weights_b, bytes, format!("those x {}", self.subject.width())),
        ];
        rows.extend(answer.free_b.map(|free| row("left", free, bytes, "memory - weights")));
        rows.extend(answer.missing_b.map(|missing| row("missing", missing, bytes, "weights - memory")));
        rows.push(row("fewest GPUs", answer.least_gpus, number, "all weights / memory of one, rounded up"));
        group("weights on one GPU", rows)
    }

    fn cache(&self, answer: &MemoryAnswer) -> Group {
        let token = format!("2 x layers x KV heads x head size of a GPU, {} B each", self.kv.bytes_per_parameter);
        let copies = "tensor ranks beyond the KV heads keep copies";
        let mut rows = vec![
            row("one token, on one GPU", answer.kv_token_b, bytes, token),
            row("one sequence, on all", answer.kv_sequence_b, bytes, "context x that x tensor x pipeline ranks"),
            fact("copies of a KV head", number(answer.kv_copies), copies),
        ];
        rows.extend(
            answer.sequences.map(|count| row("sequences that fit", count, number, "of all expert ranks together")),
        );
        group("KV cache", rows)
    }

    /// Whether training has replicas that could share anything.
    fn replicated(&self) -> bool {
        self.training_gpus.high() > f64::from(self.layout.gpus())
    }

    /// What training keeps instead, where replicas share nothing; [`training`] tells what sharing makes of it.
    fn state(&self, answer: &MemoryAnswer) -> Group {
        let mut rows = vec![row("GPUs", self.training_gpus, large, "--training-gpus")];
        rows.extend(answer.training.first().map(|alone| {
            let mixed = MIXED_ADAM.weights + MIXED_ADAM.gradients + MIXED_ADAM.optimizer;
            let more = if self.replicated() { "" } else { "; --training-gpus tells what replicas save" };
            row(
                "state of one GPU",
                alone.state.total_b,
                bytes,
                format!("parameters x {} B / GPUs of a replica{more}", number(mixed)),
            )
        }));
        group("to train it instead", rows)
    }
}

/// Training state by what replicas share.
fn training(answer: &MemoryAnswer) -> Grid {
    let row = |under: &StateUnder| {
        let shared = ZERO.iter().find(|(_, zero)| *zero == under.zero).map_or("", |(name, _)| name);
        let state = &under.state;
        let mut cells = vec![shared.to_owned()];
        cells.extend([state.weights_b, state.gradients_b, state.optimizer_b, state.total_b].map(|b| spanned(b, bytes)));
        cells.push(if under.fits { "yes" } else { "no" }.to_owned());
        cells
    };
    let heads =
        vec!["Training, replicas share (ZeRO)", "Weights", "Gradients", "Optimizer", "State of one GPU", "Fits"];
    Grid { heads, rows: answer.training.iter().map(row).collect() }
}
