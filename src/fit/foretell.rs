//! Cases of another run, foretold by a calibration's laws and held against what was measured: what the laws are worth on
//! a model, a shape or a size that they have not seen.

use std::collections::BTreeSet;

use super::calibration::{dependents, last_cache_b, operations};
use super::fitted::{Fitted, Prepared};
use super::held_out::{CONFIDENCE, Errors};
use super::known::Known;
use super::law::Row;
use super::{Calibration, measured};
use crate::hardware::Gpu;
use crate::record::{DeviceInfo, Run};
use crate::stats::Sorted;
use crate::summary::Estimate;

/// Operation, kind and cluster.
type Group = (&'static str, String, String);

/// The cases of one shape, model or size under one law.
#[derive(Debug, Clone, PartialEq)]
pub struct Foretold {
    /// Which operation: `decode_step`.
    pub operation: String,
    /// Which of its kinds: `bf16`.
    pub subject: String,
    /// The model, shape or size.
    pub group: String,
    /// Whether the laws rest on cases of it: then nothing was foretold, and errors tell how the machine changed.
    pub seen: bool,
    /// Measured and predicted time of each case, in seconds, the prediction with its 90 % interval.
    pub cases: Vec<(f64, Estimate)>,
    /// Errors of the predictions.
    pub errors: Errors,
}

/// Why nothing was foretold.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum ForetellError {
    /// The run is one that the laws rest on.
    #[error("run {0} is one of those the laws are fitted to; foretell another, of models or shapes that they lack")]
    Seen(String),
    /// Another device.
    #[error("the laws are of {laws}, the run to foretell is of {run}")]
    Device {
        /// The calibration's device.
        laws: String,
        /// The run's devices.
        run: String,
    },
    /// No case that a law is about.
    #[error("no law is about any case of run {0}; the laws are of {1}")]
    Nothing(String, String),
}

impl Foretold {
    /// Cases whose time lies in the interval.
    pub fn inside(&self) -> usize {
        self.cases.iter().filter(|(time_s, predicted)| (predicted.low..=predicted.high).contains(time_s)).count()
    }

    /// The largest error.
    pub fn worst(&self) -> f64 {
        self.cases.iter().map(|(time_s, predicted)| (predicted.value / time_s - 1.0).abs()).fold(0.0, f64::max)
    }
}

impl Calibration {
    /// Every case of a run that a law is about, by law and group. `fitted` are the runs that the laws rest on.
    ///
    /// # Errors
    /// [`ForetellError`] for a run that the laws rest on, of another device, or without such cases.
    pub fn foretell(&self, fitted: &[Run], run: &Run, gpu: Option<&Gpu>) -> Result<Vec<Foretold>, ForetellError> {
        let id = &run.header.run_id;
        if self.sources.iter().any(|source| source.run_id == *id) {
            return Err(ForetellError::Seen(id.clone()));
        }
        let infos = &run.header.devices;
        // Of several devices fitted together the name is all of theirs. An emulator's times are no hardware's.
        let alike = |info: &DeviceInfo| {
            self.device.split(" and ").any(|name| name == info.name) && info.is_publishable() == self.publishable
        };
        let Some(device) = infos.iter().position(alike) else {
            let named = |name: &str, is_hardware| format!("{name}{}", if is_hardware { "" } else { " (not hardware)" });
            let names: Vec<String> = infos.iter().map(|info| named(&info.name, info.is_publishable())).collect();
            let laws = named(&self.device, self.publishable);
            return Err(ForetellError::Device { laws, run: names.join(", ") });
        };
        let groups = fitted.iter().flat_map(|run| {
            let devices = 0..run.header.devices.len() as u32;
            devices.flat_map(|device| self.prepared(run, device, gpu)).collect::<Vec<_>>()
        });
        let group = |prepared: Prepared| {
            let rows = prepared.rows.into_iter();
            rows.map(move |row| (prepared.operation, prepared.subject.clone(), row.cluster)).collect::<Vec<_>>()
        };
        let seen: BTreeSet<Group> = groups.flat_map(group).collect();
        let prepared = self.prepared(run, device as u32, gpu);
        let mut foretold: Vec<Foretold> = prepared.iter().flat_map(|prepared| self.cases(prepared, &seen)).collect();
        foretold.sort_by(|a, b| (&a.operation, &a.subject, &a.group).cmp(&(&b.operation, &b.subject, &b.group)));
        if foretold.is_empty() {
            let laws: Vec<String> = self.laws.iter().map(|law| format!("{} {}", law.operation, law.subject)).collect();
            return Err(ForetellError::Nothing(id.clone(), laws.join(", ")));
        }
        Ok(foretold)
    }

    /// A device's cases, by operation.
    fn prepared(&self, run: &Run, device: u32, gpu: Option<&Gpu>) -> Vec<Prepared> {
        let devices = [(run, device)];
        let (known, items) = (Known::of(&devices, gpu), measured(run, device));
        let mut prepared = operations(&known, &items, last_cache_b(&devices));
        prepared.extend(dependents(&known, &items, &self.laws));
        prepared
    }

    fn cases(&self, prepared: &Prepared, seen: &BTreeSet<Group>) -> Vec<Foretold> {
        let Some(law) = self.law(prepared.operation, &prepared.subject) else { return Vec::new() };
        let mut groups: Vec<&str> = prepared.rows.iter().map(|row| row.cluster.as_str()).collect();
        groups.sort_unstable();
        groups.dedup();
        let group = |group: &str| {
            let rows = prepared.rows.iter().filter(|row| row.cluster == group);
            let cases: Vec<_> = rows.filter_map(|row| Some((row.time_s, predicted(prepared, law, row)?))).collect();
            let errors = Errors::of(cases.iter().map(|(time_s, predicted)| (time_s / predicted.value).ln()))?;
            let (operation, subject) = (law.operation.clone(), law.subject.clone());
            let seen = seen.contains(&(prepared.operation, subject.clone(), group.to_owned()));
            Some(Foretold { operation, subject, group: group.to_owned(), seen, cases, errors })
        };
        groups.into_iter().filter_map(group).collect()
    }
}

/// The time of a row by a law, with the interval that its draws and what it left over on held-out cases span.
fn predicted(prepared: &Prepared, law: &Fitted, row: &Row) -> Option<Estimate> {
    let parameters = &prepared.law.parameters;
    let left = law.discrepancy.as_ref().map_or(0.0, |field| field.at(row.at)).exp();
    let time = |of: &dyn Fn(&str) -> Option<f64>| {
        let logs: Vec<f64> =
            parameters.iter().map(|parameter| Some(of(parameter.name)?.ln())).collect::<Option<_>>()?;
        Some(left * prepared.law.at(&logs).time(row, &mut vec![0.0; logs.len()]))
    };
    let value = time(&|name| law.value(name))?;
    let draw = |(at, residual): (usize, &f64)| Some(time(&|name| law.draw(name, at))? * residual.exp());
    let drawn = Sorted::new(law.held_out.residuals.iter().enumerate().filter_map(draw))?;
    let tail = (1.0 - CONFIDENCE) / 2.0;
    Some(Estimate { value, low: drawn.quantile(tail).min(value), high: drawn.quantile(1.0 - tail).max(value) })
}
