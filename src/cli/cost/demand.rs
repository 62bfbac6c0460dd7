//! `rooflint cost demand`: how many GPUs a demand for tokens takes.

use clap::{Args, FromArgMatches};
use serde::Serialize;

use super::common::{About, Price, Rent, Subject, refused, show};
use super::sheet::{Sheet, group, row};
use super::words::{flop_rate, large, percent, spanned, token_rate, tokens, usd};
use crate::claims::number;
use crate::cli::{Command, Exit, Failure, values};
use crate::cost::Figure;
use crate::cost::answer::{self, Capacity, DemandAnswer, DemandQuestion};

pub const QUESTION: Command = Command {
    name: "demand",
    declare: |command| {
        // Last, since flattened options leave their own descriptions behind.
        Arguments::augment_args(command).about("How many GPUs does a demand for tokens take?").after_help(
            "Example: rooflint cost demand --model gpt-3-175b --gpu a100_sxm_80gb --users 13M --tokens-each 1333 \
             --peak 5 --utilisation 0.51",
        )
    },
    run: |matches| run(&Arguments::from_arg_matches(matches).map_err(Failure::usage)?),
};

#[derive(Args)]
struct Arguments {
    #[command(flatten)]
    about: About,
    /// Users of a day, such as 13M
    #[arg(long, value_name = "USERS", value_parser = values::figure, allow_negative_numbers = true)]
    users: Figure,
    /// Tokens each of them takes a day
    #[arg(long, value_name = "TOKENS", value_parser = values::figure, allow_negative_numbers = true)]
    tokens_each: Figure,
    /// Share of the compute ceiling that serving reaches; 'rooflint cost serve' tells what a batch allows
    #[arg(long, value_name = "SHARE", value_parser = values::figure, allow_negative_numbers = true)]
    utilisation: Figure,
    /// The busiest moment over the mean; GPUs are paid for it all day
    #[arg(long, value_name = "FACTOR", default_value = "1", value_parser = values::figure, allow_negative_numbers = true)]
    peak: Figure,
    #[command(flatten)]
    rent: Rent,
}

#[derive(Serialize)]
struct Inputs {
    #[serde(flatten)]
    subject: Subject,
    users: Figure,
    tokens_each: Figure,
    utilisation: Figure,
    peak: Figure,
    price: Price,
}

fn run(arguments: &Arguments) -> Result<Exit, Failure> {
    // Memory is no part of this question.
    let subject = arguments.about.subject(Capacity::Sold)?;
    if arguments.peak.low() < 1.0 {
        let low = arguments.peak.low();
        return Err(Failure::usage(format!("--peak is {low}; the busiest moment is at least as busy as the mean")));
    }
    let inputs = Inputs {
        users: arguments.users,
        tokens_each: arguments.tokens_each,
        utilisation: arguments.utilisation,
        peak: arguments.peak,
        price: arguments.rent.price(&subject.gpu)?,
        subject,
    };
    let answer = answer::demand(&inputs.question()).map_err(|error| refused(&error, ""))?;
    show(arguments.about.format, "demand", &inputs, &answer, &inputs.sheet(&answer))
}

impl Inputs {
    fn question(&self) -> DemandQuestion {
        DemandQuestion {
            model: self.subject.model.clone(),
            accelerator: self.subject.accelerator.clone(),
            users: self.users,
            tokens_each: self.tokens_each,
            peak_factor: self.peak,
            utilisation: self.utilisation,
            price_usd_h: self.price.usd_per_h,
        }
    }

    fn sheet(&self, answer: &DemandAnswer) -> Sheet {
        let mut asked = self.subject.rows();
        asked.push(self.subject.compute());
        asked.push(self.price.row());
        asked.push(row("users", self.users, large, "of a day; --users"));
        asked.push(row("tokens each", self.tokens_each, number, "of a day; --tokens-each"));
        asked.push(row("peak", self.peak, number, "the busiest moment over the mean; --peak"));
        asked.push(row("utilisation", self.utilisation, percent, "of the compute ceiling; --utilisation"));
        let found = [
            row("tokens of a day", answer.tokens_per_day, large, "users x tokens each"),
            row("on average", answer.mean_tok_s, token_rate, "over 24 hours"),
            row(
                "ceiling for the mean",
                answer.mean_flop_s,
                flop_rate,
                "tokens/s x 2 x active parameters / utilisation",
            ),
            row("GPUs", answer.gpus, |gpus| large(gpus.ceil()), "peak x that / compute ceiling, rounded up"),
            row("cost of a day", answer.usd_per_day, usd, "GPUs, not rounded, x 24 hours x price"),
            row("1000 tokens", answer.usd_per_1000_tokens, usd, "cost of a day / tokens of a day x 1000"),
        ];
        let mut notes = vec![
            "the compute ceiling is a datasheet's, and the utilisation a share of it that is assumed, not measured."
                .to_owned(),
            "whether the model fits on these GPUs is not asked here; 'rooflint cost memory' tells.".to_owned(),
        ];
        notes.extend(self.subject.notes());
        Sheet {
            sentence: self.sentence(answer),
            groups: vec![group("what is asked for", asked), group("what it takes", found)],
            grid: None,
            notes,
        }
    }

    fn sentence(&self, answer: &DemandAnswer) -> String {
        format!(
            "{} users who each take {} a day from {} need {} {} at the busiest moment, for {} a day: {} per 1000 tokens.",
            spanned(self.users, large),
            spanned(self.tokens_each, tokens),
            self.subject.model.name,
            spanned(answer.gpus, |gpus| large(gpus.ceil())),
            self.subject.accelerator.name,
            spanned(answer.usd_per_day, usd),
            spanned(answer.usd_per_1000_tokens, usd),
        )
    }
}
