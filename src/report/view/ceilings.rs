//! Verdict, key numbers and the tables of ceilings.

use super::cases::CaseData;
use super::text::{clean, list};
use super::{BenchmarkView, Card, CaseRef, Cell, Column, Row, Subject, Table};
use crate::fit::{ComputeCeiling, MemoryCeiling, PLATEAU_TOLERANCE, Ridge};
use crate::record::{DeviceKind, Outcome, Precision, Provenance, Quantity};
use crate::report::number;
use crate::summary::{Estimate, Flag};

/// Precisions in the order in which one is chosen to speak for a device.
pub(super) const SPOKESMEN: [Precision; 7] = [
    Precision::F32,
    Precision::F64,
    Precision::Tf32,
    Precision::Bf16,
    Precision::F16,
    Precision::Fp8E4m3,
    Precision::Fp8E5m2,
];

/// Precisions in the order in which four of them get a card.
const ON_CARDS: [Precision; 9] = [
    Precision::Bf16,
    Precision::Fp8E4m3,
    Precision::F32,
    Precision::F64,
    Precision::F16,
    Precision::I8,
    Precision::I32,
    Precision::Tf32,
    Precision::Fp8E5m2,
];

impl Subject<'_> {
    /// The memory ceiling the roofline stands on: read, or the fastest where read was not measured.
    pub(super) fn memory(&self) -> Option<&MemoryCeiling> {
        let read = self.ceilings.memory.iter().find(|ceiling| ceiling.kernel == "read");
        read.or(self.ceilings.memory.first())
    }

    /// The compute ceilings of the roofline: per precision the highest, whichever benchmark reached it.
    pub(super) fn roofs(&self) -> Vec<(usize, &ComputeCeiling)> {
        let mut roofs: Vec<(usize, &ComputeCeiling)> = Vec::new();
        for (index, ceiling) in self.ceilings.compute.iter().enumerate() {
            match roofs.iter_mut().find(|(_, known)| known.precision == ceiling.precision) {
                Some(known) if known.1.rate.value < ceiling.rate.value => *known = (index, ceiling),
                Some(_) => {}
                None => roofs.push((index, ceiling)),
            }
        }
        roofs
    }

    fn compute(&self, precision: Precision) -> Option<(usize, &ComputeCeiling)> {
        self.roofs().into_iter().find(|(_, ceiling)| ceiling.precision == precision)
    }

    /// The compute ceiling that speaks for the device.
    pub(super) fn spokesman(&self) -> Option<(usize, &ComputeCeiling)> {
        SPOKESMEN.iter().find_map(|precision| self.compute(*precision))
    }

    pub(super) fn ridge(&self, compute: usize) -> Option<&Ridge> {
        self.ceilings.ridges.iter().find(|ridge| ridge.compute == compute)
    }

    /// What the roofline allows at an operational intensity.
    pub(super) fn roof(&self, precision: Precision, intensity: f64) -> Option<f64> {
        let (_, compute) = self.compute(precision)?;
        let slope = self.memory()?.rate.value * intensity;
        Some(slope.min(compute.rate.value))
    }

    pub(super) fn verdict(&self, cases: &[CaseData<'_>]) -> Vec<String> {
        let mut sentences = vec![self.headline(cases)];
        if self.info.kind == DeviceKind::Software {
            sentences.push("It draws and computes in software, on the CPU: no GPU was measured.".to_owned());
        }
        sentences.extend(self.disturbed(cases));
        sentences.extend(self.best_product(cases).and_then(|(case, estimate, precision)| {
            let (_, ceiling) = self.compute(precision)?;
            let share = number::percent(estimate.value / ceiling.rate.value);
            let rate = number::brief(estimate, precision.rate_unit());
            let own = ceiling.case == case.record.case.key();
            let of = if own { String::new() } else { format!(", {share} of its {precision} ceiling") };
            Some(format!("Its best matrix product ({}) reaches {rate}{of}.", case.label))
        }));
        sentences.extend(super::decoding::sentence(&self.decodes));
        sentences.extend(data_in_words(cases));
        sentences.extend(self.stairs_in_words());
        if self.ceilings.plateau.as_ref().is_some_and(|plateau| !plateau.shows_memory()) {
            sentences.push(
                "Bandwidth had not come to rest past the last cache: take the memory figure as a bound.".to_owned(),
            );
        }
        sentences.push(tally(cases));
        sentences
    }

    /// Whether the figures of the headline are those of a machine that was doing other work.
    fn disturbed(&self, cases: &[CaseData<'_>]) -> Option<String> {
        let memory = self.memory().map(|memory| memory.case.as_str());
        let compute = self.spokesman().map(|(_, compute)| compute.case.as_str());
        let behind = cases.iter().filter(|case| [memory, compute].contains(&Some(&case.record.case.key())));
        let disturbed = behind.filter_map(|case| case.summary.as_ref()).any(|summary| {
            let disturbed = |flag: &Flag| matches!(flag, Flag::Disturbed(_));
            summary.flags.iter().any(disturbed)
        });
        disturbed.then(|| "The machine was doing other work meanwhile: it can do better than this.".to_owned())
    }

    fn headline(&self, cases: &[CaseData<'_>]) -> String {
        let name = match &self.run.header.provenance {
            Provenance::Measured => self.name.clone(),
            Provenance::Imported { source, .. } => format!("According to {}, {}", clean(source), self.name),
            Provenance::Datasheet { source } => format!("By its datasheet ({}), {}", clean(source), self.name),
            Provenance::Claimed { document } => format!("As {} claims, {}", clean(document), self.name),
        };
        let memory = self.memory().map(|memory| {
            let verb = match memory.kernel.as_str() {
                "read" => "reads memory".to_owned(),
                "write" => "writes memory".to_owned(),
                kernel => format!("moves memory ({})", clean(kernel)),
            };
            format!("{verb} at {}", number::brief(memory.rate, "B/s"))
        });
        let compute = self.spokesman().map(|(index, compute)| {
            let rate = number::brief(compute.rate, compute.precision.rate_unit());
            (format!("computes {rate} in {}", compute.precision), index)
        });
        match (memory, compute) {
            (Some(memory), Some((compute, index))) => match self.ridge(index) {
                Some(ridge) => {
                    let ridge = number::brief(ridge.intensity, "");
                    format!("{name} {memory} and {compute}: kernels below {ridge} FLOP/B are bound by memory.")
                }
                None => format!("{name} {memory} and {compute}."),
            },
            (Some(memory), None) => format!("{name} {memory}; no compute ceiling was measured."),
            (None, Some((compute, _))) => format!("{name} {compute}; no memory ceiling was measured."),
            (None, None) if cases.iter().any(|case| case.summary.is_some()) => {
                format!("{name}: neither a memory nor a compute ceiling was measured.")
            }
            (None, None) => format!("Nothing was measured on {}.", self.name),
        }
    }

    /// The fastest matrix product in the precision that speaks for the device, else in any.
    fn best_product<'c, 'd>(&self, cases: &'c [CaseData<'d>]) -> Option<(&'c CaseData<'d>, Estimate, Precision)> {
        let products = cases.iter().filter(|case| super::plots::is_product(case)).filter_map(|case| {
            let summary = case.summary.as_ref()?;
            Some((case, summary.headline, summary.precision?))
        });
        // Matrix units are there for products of 16 bits.
        let narrow = [Precision::Bf16, Precision::F16].into_iter().find(|narrow| {
            let has_units = self.info.features.iter().any(|feature| feature == "matrix_units");
            has_units && products.clone().any(|(.., precision)| precision == *narrow)
        });
        let spoken = narrow.or_else(|| self.spokesman().map(|(_, compute)| compute.precision));
        products.max_by(|a, b| {
            let rank =
                |(_, estimate, precision): &(_, Estimate, Precision)| (Some(*precision) == spoken, estimate.value);
            let ((a_spoken, a_rate), (b_spoken, b_rate)) = (rank(a), rank(b));
            a_spoken.cmp(&b_spoken).then(a_rate.total_cmp(&b_rate))
        })
    }

    pub(super) fn cards(&self, cases: &[CaseData<'_>], benchmarks: &[BenchmarkView]) -> Vec<Card> {
        let anchor = |id: &str| benchmarks.iter().find(|part| part.id == id).map(|part| part.anchor.clone());
        let mut cards: Vec<Card> = self.memory_card(anchor("memory")).into_iter().collect();
        let mut roofs = self.roofs();
        let place =
            |precision: &Precision| ON_CARDS.iter().position(|known| known == precision).unwrap_or(ON_CARDS.len());
        roofs.sort_by_key(|(_, roof)| place(&roof.precision));
        for (index, roof) in roofs.into_iter().take(4) {
            let unit = if roof.precision.is_integer() { "OP/B" } else { "FLOP/B" };
            let detail = self.ridge(index).map(|ridge| format!("ridge at {}", number::brief(ridge.intensity, unit)));
            let label = format!("Compute, {}", roof.precision);
            let detail = detail.unwrap_or_else(|| clean(&roof.case));
            cards.push(card(&label, roof.rate, roof.precision.rate_unit(), detail, anchor(&roof.benchmark)));
        }
        cards.extend(self.best_product(cases).map(|(case, estimate, precision)| {
            let share = self.compute(precision).map(|(_, ceiling)| estimate.value / ceiling.rate.value);
            let of = share.map(|share| format!(", {} of ceiling", number::percent(share))).unwrap_or_default();
            let id = &case.record.case.benchmark;
            card("Best matrix product", estimate, precision.rate_unit(), format!("{}{of}", case.label), anchor(id))
        }));
        cards.extend(launch(cases).map(|(case, estimate, others)| {
            let detail = std::iter::once(case.label.clone()).chain(others).collect::<Vec<_>>().join("; ");
            card("Starting and joining work", estimate, "s", detail, anchor(&case.record.case.benchmark))
        }));
        let measured = cases.iter().filter(|case| case.summary.is_some()).count();
        cards.push(Card {
            label: "Cases measured".to_owned(),
            value: format!("{measured} of {}", cases.len()),
            half: None,
            detail: others(cases).unwrap_or_else(|| "all checked against a reference".to_owned()),
            anchor: None,
        });
        cards
    }

    fn memory_card(&self, anchor: Option<String>) -> Option<Card> {
        let memory = self.memory()?;
        let others = self.ceilings.memory.iter().filter(|other| other.kernel != memory.kernel);
        let others: Vec<String> =
            others.map(|other| format!("{} {}", clean(&other.kernel), number::brief(other.rate, "B/s"))).collect();
        let detail = if others.is_empty() { clean(&memory.case) } else { others.join(", ") };
        Some(card(&format!("Memory {}", clean(&memory.kernel)), memory.rate, "B/s", detail, anchor))
    }

    pub(super) fn ceilings_table(&self, benchmarks: &[BenchmarkView]) -> Option<Table> {
        let memory = self.ceilings.memory.iter().map(|ceiling| {
            let name = format!("memory {}", clean(&ceiling.kernel));
            ceiling_row(&name, ceiling.rate, "B/s", None, reference(&ceiling.case, benchmarks))
        });
        let stairs = self.stairs_of("cache").into_iter().next().map_or(&[][..], |stairs| &stairs.levels);
        let caches = stairs.iter().filter(|level| level.name != "memory").map(|level| {
            let name = format!("{} read", clean(&level.name));
            ceiling_row(&name, level.value, "B/s", None, reference(&level.case, benchmarks))
        });
        let compute = self.ceilings.compute.iter().enumerate().map(|(index, ceiling)| {
            let own = if ceiling.own { " (own kernels)" } else { "" };
            let name = format!("{} {}{own}", clean(&ceiling.benchmark), ceiling.precision);
            let ridge = self.ridge(index).map(|ridge| ridge.intensity);
            ceiling_row(&name, ceiling.rate, ceiling.precision.rate_unit(), ridge, reference(&ceiling.case, benchmarks))
        });
        let rows: Vec<Row> = memory.chain(caches).chain(compute).collect();
        if rows.is_empty() {
            return None;
        }
        let columns = vec![
            Column::text("Ceiling"),
            Column::number("Rate"),
            Column::text("Unit"),
            Column::number("Ridge (operations per byte)"),
            Column::text("Case"),
        ];
        Some(Table { caption: "Measured ceilings and ridge points".to_owned(), columns, rows })
    }

    pub(super) fn plateau_table(&self) -> Option<Table> {
        let plateau = self.ceilings.plateau.as_ref()?;
        let row = |(times, rate): &(f64, Estimate)| {
            let number::Shown { value, half } = number::shown(*rate, 1e9);
            let cells = vec![
                Cell::text(format!("{} ×", crate::units::digits((times * 100.0).round() / 100.0))),
                Cell::Interval { value, half },
            ];
            Row { anchor: None, cells }
        };
        let verdict = match (plateau.shows_memory(), plateau.flat) {
            (true, _) if plateau.drift.abs() <= PLATEAU_TOLERANCE => "a plateau",
            (true, _) if plateau.drift < 0.0 => "past the cache, and still rising",
            (true, _) => "no change beyond the intervals",
            (false, true) => "flat, but not past the cache",
            (false, false) => "no plateau",
        };
        let drift = number::percent(plateau.drift.abs());
        let caption = format!("Bandwidth against working set: {verdict}, {drift} between the two largest");
        let columns = vec![Column::text("Working set over last cache"), Column::number("Bandwidth (GB/s)")];
        Some(Table { caption, columns, rows: plateau.steps.iter().map(row).collect() })
    }
}

/// `With zeros instead of random data, f32 2048³ runs at 1.02 times the rate; with integers, at 1 times.`: for
/// the largest product measured with several kinds of data.
fn data_in_words(cases: &[CaseData<'_>]) -> Option<String> {
    let rate = |case: &CaseData<'_>| case.summary.as_ref().map(|summary| summary.headline.value);
    let same_but_data = |one: &CaseData<'_>, other: &CaseData<'_>| {
        let others = |case: &CaseData<'_>| {
            let axes = case.record.case.axes.clone().into_iter();
            axes.filter(|(name, _)| name != "data").collect::<Vec<_>>()
        };
        one.record.case.benchmark == other.record.case.benchmark && others(one) == others(other)
    };
    let of =
        |data: &str| cases.iter().filter(move |case| case.record.case.word("data") == Some(data)).collect::<Vec<_>>();
    let mut random = of("random");
    random.sort_by_key(|case| std::cmp::Reverse(case.record.work.operations()));
    random.into_iter().find_map(|random| {
        let base = rate(random)?;
        let said = ["zeros", "integers"].into_iter().filter_map(|data| {
            let other = of(data).into_iter().find(|other| same_but_data(random, other))?;
            Some((data, number::times(rate(other)? / base)))
        });
        let said: Vec<_> = said.collect();
        let ((first, ratio), rest) = said.split_first()?;
        let rest: Vec<String> = rest.iter().map(|(data, ratio)| format!("; with {data}, at {ratio}")).collect();
        let label = &random.label;
        Some(format!("With {first} instead of random data, {label} runs at {ratio} the rate{}.", rest.concat()))
    })
}

fn reference(key: &str, benchmarks: &[BenchmarkView]) -> Option<CaseRef> {
    let key = clean(key);
    let case = benchmarks.iter().flat_map(|part| &part.cases).find(|case| case.key == key);
    case.map(|case| case.reference(None))
}

fn ceiling_row(name: &str, rate: Estimate, unit: &str, ridge: Option<Estimate>, case: Option<CaseRef>) -> Row {
    let (scale, prefix) = crate::units::prefix(rate.value);
    let number::Shown { value, half } = number::shown(rate, scale);
    let ridge = ridge.map(|ridge| number::shown(ridge, 1.0));
    let cells = vec![
        Cell::text(name),
        Cell::Interval { value, half },
        Cell::text(format!("{prefix}{unit}")),
        ridge.map_or(Cell::Empty, |ridge| Cell::Interval { value: ridge.value, half: ridge.half }),
        case.map_or(Cell::Empty, Cell::Case),
    ];
    Row { anchor: None, cells }
}

fn card(label: &str, estimate: Estimate, unit: &str, detail: String, anchor: Option<String>) -> Card {
    let (scale, prefix) = crate::units::prefix(estimate.value);
    let number::Shown { value, half } = number::shown(estimate, scale);
    Card { label: label.to_owned(), value: format!("{value} {prefix}{unit}"), half: Some(half), detail, anchor }
}

/// The first of the cases that tell what starting work costs on the most threads, and the others in short.
fn launch<'c, 'd>(cases: &'c [CaseData<'d>]) -> Option<(&'c CaseData<'d>, Estimate, Vec<String>)> {
    let threads = |case: &CaseData<'_>| case.record.case.count("threads");
    let timed = cases.iter().filter_map(|case| Some((case, case.summary.as_ref()?)));
    let timed: Vec<_> = timed
        .filter(|(case, summary)| case.record.case.benchmark == "launch" && summary.quantity == Quantity::Duration)
        .collect();
    let most = timed.iter().map(|(case, _)| threads(case)).max()?;
    let mut widest = timed.into_iter().filter(|(case, _)| threads(case) == most);
    let (first, summary) = widest.next()?;
    let others = widest.map(|(case, summary)| format!("{} {}", case.label, number::brief(summary.headline, "s")));
    Some((first, summary.headline, others.collect()))
}

/// `All 38 cases were measured and checked.`, or how many were not and why.
fn tally(cases: &[CaseData<'_>]) -> String {
    let measured = cases.iter().filter(|case| case.summary.is_some()).count();
    match (others(cases), cases.len()) {
        (_, 0) => "The run holds no case for it.".to_owned(),
        (None, 1) => "Its one case was measured, and its result checked.".to_owned(),
        (None, all) => format!("All {all} cases were measured, and their results checked."),
        (Some(others), 1) => format!("Its one case was not measured: {others}."),
        (Some(others), all) => format!("{measured} of {all} cases were measured: {others}."),
    }
}

/// `1 failed, 2 were skipped`: `None` when every case was measured.
fn others(cases: &[CaseData<'_>]) -> Option<String> {
    let number = |wanted: fn(&CaseData<'_>) -> bool| cases.iter().filter(|case| wanted(case)).count();
    let kinds: [(usize, &str); 4] = [
        (number(|case| matches!(case.record.outcome, Outcome::Wrong(_))), "wrong"),
        (number(|case| matches!(case.record.outcome, Outcome::Failed(_))), "failed"),
        (
            number(|case| matches!(case.record.outcome, Outcome::Measured(_)) && case.summary.is_none()),
            "without a sample",
        ),
        (number(|case| matches!(case.record.outcome, Outcome::Skipped(_))), "skipped"),
    ];
    let parts: Vec<String> = kinds.iter().filter(|(n, _)| *n > 0).map(|(n, word)| format!("{n} {word}")).collect();
    if parts.is_empty() { None } else { Some(list(&parts)) }
}
