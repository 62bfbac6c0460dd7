//! `rooflint claims`: what the documents claim and what holds, and the derivation behind one verdict.

use std::path::{Path, PathBuf};

use clap::{Args, FromArgMatches, Subcommand};

use super::{Command, Exit, Failure, load, print, report};
use crate::claims::{Evidence, Judgement, Library, Verdict, explain, measured, parse, references};
use crate::export;
use crate::record::Run;
use crate::report::Judged;
use crate::report::terminal;

pub const COMMAND: Command = Command {
    name: "claims",
    declare: |command| Arguments::augment_args(command.about("Judge what published articles claim of GPUs and models")),
    run: |matches| run(&Arguments::from_arg_matches(matches).map_err(Failure::usage)?),
};

#[derive(Args)]
#[command(
    args_conflicts_with_subcommands = true,
    after_help = "Without a run the verdicts rest on the documents, on published measurements, and on datasheets.\n\
                  'rooflint claims explain g4.cost-h100' shows one derivation; 'rooflint report --out DIR' writes the pages."
)]
struct Arguments {
    #[command(subcommand)]
    explain: Option<Explain>,
    #[command(flatten)]
    source: Sources,
    /// Only this document's claims
    #[arg(long, value_name = "ID")]
    document: Option<String>,
    /// Only claims with this verdict: holds, diverges, inconclusive, not_testable, context
    #[arg(long, value_name = "VERDICT", value_delimiter = ',', value_parser = verdict)]
    verdict: Vec<&'static str>,
    /// table, json or md
    #[arg(long, default_value = "table")]
    format: String,
    /// End with exit code 1 if a claim shown has this verdict
    #[arg(long, value_name = "VERDICT", value_delimiter = ',', value_parser = verdict)]
    fail_on: Vec<&'static str>,
}

/// What the verdicts rest on.
#[derive(Args)]
struct Sources {
    /// Runs whose measurements count as evidence: their folders or their run.jsonl files
    runs: Vec<PathBuf>,
    /// A further document with its claims, as TOML
    #[arg(long = "claims", value_name = "FILE")]
    files: Vec<PathBuf>,
}

#[derive(Subcommand)]
enum Explain {
    /// Show the derivation behind one verdict, step by step
    Explain {
        /// The claim, as 'rooflint claims' lists it
        id: String,
        #[command(flatten)]
        source: Sources,
    },
}

fn run(arguments: &Arguments) -> Result<Exit, Failure> {
    match &arguments.explain {
        Some(Explain::Explain { id, source }) => {
            let (library, evidence) = source.load()?;
            let explanation = explain(id, &library, &evidence).map_err(Failure::usage)?;
            print(&terminal::claims::explanation(&explanation, &report::terminal()))?;
            Ok(Exit::Fine)
        }
        None => list(arguments),
    }
}

fn list(arguments: &Arguments) -> Result<Exit, Failure> {
    let format = export::claims::find(&arguments.format).map_err(Failure::usage)?;
    let (library, evidence) = arguments.source.load()?;
    if let Some(id) = &arguments.document
        && !library.documents().any(|document| document.id == *id)
    {
        let known: Vec<_> = library.documents().map(|document| document.id.as_str()).collect();
        return Err(Failure::usage(format!("unknown document '{id}'; known: {}", known.join(", "))));
    }
    let mut judgements = library.judge(&evidence);
    judgements.retain(|judgement| arguments.wants(judgement));
    let judged = Judged { library: &library, evidence: &evidence, judgements: &judgements };
    print(&(format.render)(&judged, &report::terminal()).map_err(Failure::usage)?)?;
    let fails = judgements.iter().any(|judgement| arguments.fail_on.contains(&judgement.verdict.word()));
    Ok(if fails { Exit::Finding } else { Exit::Fine })
}

impl Arguments {
    fn wants(&self, judgement: &Judgement) -> bool {
        let document = self.document.as_ref().is_none_or(|id| *id == judgement.claim.document);
        document && (self.verdict.is_empty() || self.verdict.contains(&judgement.verdict.word()))
    }
}

impl Sources {
    fn load(&self) -> Result<(Library, Evidence), Failure> {
        let library = library(&self.files)?;
        let run = |path: &PathBuf| load(path, |error| not_a_run(path, &library, &error));
        let runs = self.runs.iter().map(run).collect::<Result<Vec<_>, _>>()?;
        Ok((library, evidence(&runs)?))
    }
}

/// Why a path is no run, for someone who meant to have a claim explained.
fn not_a_run(path: &Path, library: &Library, error: &dyn std::fmt::Display) -> Failure {
    let id = path.to_string_lossy();
    match library.claim(&id) {
        Some(_) => Failure::usage(format!("'{id}' is a claim, not a run; 'rooflint claims explain {id}' explains it")),
        None => Failure::usage(error),
    }
}

/// The documents that come with the program, and the user's own.
fn library(files: &[PathBuf]) -> Result<Library, Failure> {
    let mut own = Vec::new();
    for path in files {
        let name = path.display().to_string();
        let text = std::fs::read_to_string(path)
            .map_err(|error| Failure::usage(format!("cannot read the claims in {name}: {error}")))?;
        own.push(parse(&text, &name).map_err(Failure::usage)?);
    }
    Library::embedded().and_then(|library| library.with(own)).map_err(Failure::usage)
}

/// The datasheets, what the runs measured, and the references that come with the program: of two references a user's own
/// is taken, since it comes first.
fn evidence(runs: &[Run]) -> Result<Evidence, Failure> {
    let mut evidence = Evidence::datasheets().map_err(Failure::usage)?;
    for run in runs {
        evidence = evidence.with(measured(run).map_err(Failure::usage)?);
    }
    Ok(evidence.with(references().map_err(Failure::usage)?))
}

/// The pages of all claims that come with the program, judged by the runs and datasheets.
pub fn view(runs: &[Run]) -> Result<crate::report::ClaimsView, Failure> {
    let (library, evidence) = (library(&[])?, evidence(runs)?);
    let judgements = library.judge(&evidence);
    Ok(crate::report::ClaimsView::of(&Judged { library: &library, evidence: &evidence, judgements: &judgements }))
}

fn verdict(text: &str) -> Result<&'static str, String> {
    let text = text.replace([' ', '-'], "_");
    let known = Verdict::WORDS.into_iter().find(|word| *word == text);
    known.ok_or_else(|| format!("no such verdict; known: {}", Verdict::WORDS.join(", ")))
}
