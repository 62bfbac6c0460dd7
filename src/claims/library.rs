//! Claim files joined into one body: ids are unique, and everything a claim points at is there.

use std::collections::BTreeMap;

use super::claim::{Check, Claim, Document, Input, Part, Place, Source};
use super::evidence::{ANY, Evidence, HOST};
use super::judge::Judge;
use super::judgement::Judgement;
use super::parse::{ClaimError, ClaimFile, parse};
use super::unit::Kind;
use crate::hardware;
use crate::llm;

/// The claim files that come with the program, by name and text, in the order they are reported.
pub static EMBEDDED: &[(&str, &str)] = &[
    ("gpt4_leak.toml", include_str!("documents/gpt4_leak.toml")),
    ("chatgpt_20b.toml", include_str!("documents/chatgpt_20b.toml")),
    ("behind_the_millions.toml", include_str!("documents/behind_the_millions.toml")),
    ("gpt35_sizing.toml", include_str!("documents/gpt35_sizing.toml")),
    ("across.toml", include_str!("documents/across.toml")),
];

/// What claims can name outside the claim files.
struct Catalogues {
    gpus: Vec<String>,
    models: Vec<String>,
}

impl Catalogues {
    /// Both catalogues are part of the program; one that could not be read knows nothing, and every claim that names
    /// something of it is refused.
    fn load() -> Self {
        let gpus = hardware::catalogue().unwrap_or_default().into_iter().map(|gpu| gpu.id).collect();
        let models = llm::catalogue().unwrap_or_default().into_iter().map(|model| model.id).collect();
        Self { gpus, models }
    }
}

/// Documents and their claims, ready to be judged.
#[derive(Debug, Clone, Default)]
pub struct Library {
    documents: Vec<(Document, Place)>,
    claims: Vec<Claim>,
    index: BTreeMap<String, usize>,
}

impl Library {
    /// The documents that come with the program.
    ///
    /// # Errors
    /// None for the files as committed; a test reads them.
    pub fn embedded() -> Result<Self, ClaimError> {
        let files: Vec<_> = EMBEDDED.iter().map(|(name, text)| parse(text, name)).collect::<Result<_, _>>()?;
        Self::default().with(files)
    }

    /// The same with more files, which may point at each other and at what is there.
    ///
    /// # Errors
    /// [`ClaimError`] for a document or claim id that is taken, a claim of an unknown document, and a reference to a
    /// claim, part or GPU that does not exist, is of the wrong kind, or leads back to itself.
    pub fn with(mut self, files: impl IntoIterator<Item = ClaimFile>) -> Result<Self, ClaimError> {
        for file in files {
            if let Some((_, place)) = self.documents.iter().find(|(document, _)| document.id == file.document.id) {
                let message =
                    format!("document `{}` is already declared at {place}; give it another id", file.document.id);
                return Err(ClaimError { place: file.place, message });
            }
            self.documents.push((file.document, file.place));
            for claim in file.claims {
                if let Some(other) = self.index.insert(claim.id.clone(), self.claims.len()) {
                    let taken = &self.claims[other].place;
                    let message = format!("claim `{}` is already made at {taken}; give it another id", claim.id);
                    return Err(ClaimError { place: claim.place, message });
                }
                self.claims.push(claim);
            }
        }
        self.check()?;
        Ok(self)
    }

    /// The documents, in order.
    pub fn documents(&self) -> impl Iterator<Item = &Document> {
        self.documents.iter().map(|(document, _)| document)
    }

    /// The claims, in order.
    pub fn claims(&self) -> &[Claim] {
        &self.claims
    }

    /// The claim of that id.
    pub fn claim(&self, id: &str) -> Option<&Claim> {
        self.index.get(id).map(|&at| &self.claims[at])
    }

    /// Every claim judged by the evidence, in order.
    pub fn judge(&self, evidence: &Evidence) -> Vec<Judgement> {
        let judge = Judge::new(self, evidence);
        self.claims.iter().map(|claim| judge.claim(claim)).collect()
    }

    fn check(&self) -> Result<(), ClaimError> {
        let known = Catalogues::load();
        for claim in &self.claims {
            self.check_names(claim)?;
            for part in &claim.parts {
                for (name, input) in &part.inputs {
                    self.check_input(&known, claim, part, name, input)?;
                }
            }
            for (assumption, alternative) in claim
                .assumptions
                .iter()
                .flat_map(|assumption| assumption.alternatives.iter().map(move |a| (assumption, a)))
            {
                for (target, input) in &alternative.set {
                    let mut holders = claim.parts.iter().filter(|part| target.applies_to(part)).peekable();
                    if holders.peek().is_none() {
                        let known: Vec<_> = claim.parts.iter().map(|part| part.name.as_str()).collect();
                        let message = format!(
                            "{}: no part takes an input `{target}` for this alternative to set; parts: {}",
                            claim.id,
                            known.join(", ")
                        );
                        return Err(ClaimError { place: assumption.place.clone(), message });
                    }
                    for part in holders {
                        self.check_input(&known, claim, part, &target.input, input)?;
                    }
                }
            }
        }
        self.check_cycles()
    }

    fn check_names(&self, claim: &Claim) -> Result<(), ClaimError> {
        let fail = |message| Err(ClaimError { place: claim.place.clone(), message });
        if !self.documents().any(|document| document.id == claim.document) {
            let known: Vec<_> = self.documents().map(|document| document.id.as_str()).collect();
            return fail(format!(
                "{}: unknown document `{}`; known: {}; or declare it in a [document] block of its own file",
                claim.id,
                claim.document,
                known.join(", ")
            ));
        }
        let named = claim.conflicts.iter().map(|conflict| &conflict.id).chain(&claim.compares);
        for id in named {
            if self.claim(id).is_none() {
                return fail(format!("{}: there is no claim `{id}` to set it against{}", claim.id, self.nearest(id)));
            }
        }
        Ok(())
    }

    /// A hint at ids that begin alike.
    fn nearest(&self, id: &str) -> String {
        let prefix = id.split('.').next().unwrap_or(id);
        let known: Vec<_> = self.index.keys().filter(|known| known.starts_with(prefix)).map(String::as_str).collect();
        match known.len() {
            0 => String::new(),
            _ => format!("; there are {}", known.join(", ")),
        }
    }

    fn check_input(
        &self,
        known: &Catalogues,
        claim: &Claim,
        part: &Part,
        name: &str,
        input: &Input,
    ) -> Result<(), ClaimError> {
        let fail = |message: String| {
            Err(ClaimError { place: input.place.clone(), message: format!("{}: input `{name}`: {message}", claim.id) })
        };
        let kind = match &input.source {
            Source::Given { .. } => input.unit.map_or(Kind::Any, |unit| unit.kind),
            Source::Ceiling { gpu, quantity, .. } | Source::Datasheet { gpu, quantity } => {
                if gpu != ANY && gpu != HOST && !known.gpus.contains(gpu) {
                    let known = known.gpus.join(", ");
                    return fail(format!("unknown GPU `{gpu}`; known: {known}, {ANY}, {HOST}"));
                }
                quantity.kind
            }
            Source::Model { model, quantity } => {
                if !known.models.contains(model) {
                    return fail(format!("unknown model `{model}`; known: {}", known.models.join(", ")));
                }
                quantity.kind
            }
            Source::Claimed { id, part: asked } | Source::Found { id, part: asked } => {
                let Some(other) = self.claim(id) else {
                    return fail(format!("there is no claim `{id}`{}", self.nearest(id)));
                };
                let Some(found) = other.part(asked.as_deref()) else {
                    let known: Vec<_> = other.parts.iter().map(|part| part.name.as_str()).collect();
                    return fail(format!("`{id}` has no such part; its parts: {}", known.join(", ")));
                };
                match &input.source {
                    Source::Claimed { .. } if found.bound.is_none() => {
                        return fail(format!(
                            "`{id}` states no `{}`; to take what was recomputed say `found`",
                            found.name
                        ));
                    }
                    Source::Found { .. } if found.formula.is_none() => {
                        return fail(format!(
                            "nothing recomputes `{}` of `{id}`; to take what is stated say `claim`",
                            found.name
                        ));
                    }
                    _ => found.unit.kind,
                }
            }
        };
        match part.formula.map(|formula| formula.accepts(name, kind)) {
            Some(Err(message)) => fail(message),
            _ => Ok(()),
        }
    }

    /// Fails where a recomputed figure would need itself.
    fn check_cycles(&self) -> Result<(), ClaimError> {
        let mut done = BTreeMap::new();
        for claim in self.claims.iter().filter(|claim| claim.check != Check::Context || !claim.parts.is_empty()) {
            for part in &claim.parts {
                self.visit(claim, part, &mut done)?;
            }
        }
        Ok(())
    }

    fn visit<'a>(
        &'a self,
        claim: &'a Claim,
        part: &'a Part,
        done: &mut BTreeMap<(&'a str, &'a str), bool>,
    ) -> Result<(), ClaimError> {
        let key = (claim.id.as_str(), part.name.as_str());
        match done.get(&key) {
            Some(true) => return Ok(()),
            Some(false) => {
                let message = format!("{}: what recomputes `{}` leads back to itself", claim.id, part.name);
                return Err(ClaimError { place: part.place.clone(), message });
            }
            None => done.insert(key, false),
        };
        let swapped = claim.assumptions.iter().flat_map(|assumption| &assumption.alternatives);
        let swapped = swapped.flat_map(|alternative| &alternative.set).filter(|(target, _)| target.applies_to(part));
        for input in part.inputs.values().chain(swapped.map(|(_, input)| input)) {
            if let Source::Found { id, part: asked } = &input.source
                && let Some(other) = self.claim(id)
                && let Some(found) = other.part(asked.as_deref())
            {
                self.visit(other, found, done)?;
            }
        }
        done.insert(key, true);
        Ok(())
    }
}
