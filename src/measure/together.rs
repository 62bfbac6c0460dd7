//! Cases that several devices run at the same moment: what they share, power and cooling above all, changes the answer.
//!
//! Each worker prepares and checks its case alone, and waits; once all are ready they are let go.

use std::sync::mpsc::RecvTimeoutError;
use std::time::Instant;

use crate::measure::case::Phase;
use crate::measure::plan::{Plan, Planned};
use crate::measure::settings::Settings;
use crate::measure::supervisor::{Event, Supervisor, Trouble, Watch, Worker};
use crate::measure::worker::{Message, Order};
use crate::record::Outcome;

/// A device's part.
struct Member<'a> {
    planned: &'a Planned,
    worker: Option<Worker>,
    ready: bool,
    outcome: Option<Outcome>,
}

impl Member<'_> {
    fn fail(&mut self, reason: String) {
        self.outcome.get_or_insert(Outcome::Failed(reason));
    }
}

/// Measures a group of cases, one per device, all at once. `None` if the user stopped it.
///
/// A figure of fewer devices than asked for would be another figure: where one of them fails, none is kept.
pub(super) fn measure(
    supervisor: &mut Supervisor,
    plan: &Plan,
    group: &[&Planned],
    settings: &Settings,
    watch: &mut dyn Watch,
) -> Option<Vec<Outcome>> {
    if group.len() < 2 {
        let reason = "it asks for two devices or more at once: choose them, as with '--device cuda:all'";
        return Some(group.iter().map(|_| Outcome::Skipped(reason.to_owned())).collect());
    }
    let mut members: Vec<Member<'_>> = Vec::new();
    for planned in group {
        let mut member = Member { planned, worker: None, ready: false, outcome: None };
        match supervisor.start(&plan.devices[planned.device as usize].selector) {
            Ok(Ok(worker)) => member.worker = Some(worker),
            Ok(Err(Trouble::Interrupted)) => {
                end(members);
                return None;
            }
            Ok(Err(Trouble::Late)) => member.fail("the device did not open in time".to_owned()),
            Ok(Err(Trouble::Died(reason))) => member.fail(reason),
            Err(error) => member.fail(format!("cannot start a worker process: {error}")),
        }
        members.push(member);
    }
    if members.iter().all(|member| member.outcome.is_none()) {
        for member in &mut members {
            let order = Order::Measure { case: member.planned.case.clone(), settings: settings.clone() };
            // A worker that cannot be written to has died; its silence says so.
            let _ = member.worker.as_mut().map(|worker| worker.tell(&order));
        }
        if !carry_out(supervisor, &mut members, settings, watch) {
            end(members);
            return None;
        }
    }
    let outcomes = outcomes(&members);
    end(members);
    Some(outcomes)
}

/// Listens until every member has an outcome, or one has failed. Whether it was not interrupted.
fn carry_out(supervisor: &Supervisor, members: &mut [Member<'_>], settings: &Settings, watch: &mut dyn Watch) -> bool {
    let until = Instant::now() + settings.deadline_s.into();
    let mut waiting = true;
    while members.iter().any(|member| member.outcome.is_none()) && !members.iter().any(has_failed) {
        let event = supervisor.events.recv_timeout(until.saturating_duration_since(Instant::now()));
        let by = |members: &mut [Member<'_>], number: u32| {
            members.iter().position(|member| member.worker.as_ref().is_some_and(|worker| worker.number == number))
        };
        match event {
            Ok(Event::Interrupt) | Err(RecvTimeoutError::Disconnected) => return false,
            Err(RecvTimeoutError::Timeout) => {
                let deadline = settings.deadline_s;
                for member in members.iter_mut() {
                    member.fail(format!("not finished within its deadline of {deadline}; --deadline raises it"));
                }
            }
            Ok(Event::Silent(number)) => {
                let Some(index) = by(members, number) else { continue };
                let words = members[index].worker.take().map(Worker::last_words).unwrap_or_default();
                members[index].fail(format!("the worker process died: {words}"));
            }
            Ok(Event::Said(number, message)) => {
                let Some(index) = by(members, number) else { continue };
                match message {
                    Message::Phase(phase) => {
                        members[index].ready |= phase == Phase::Ready;
                        watch.phase(members[index].planned, phase);
                    }
                    Message::Ended { outcome, .. } => members[index].outcome = Some(*outcome),
                    Message::Opened | Message::NotOpened { .. } => {}
                }
            }
        }
        if waiting && members.iter().all(|member| member.ready) {
            waiting = false;
            for worker in members.iter_mut().filter_map(|member| member.worker.as_mut()) {
                let _ = worker.tell(&Order::Go);
            }
        }
    }
    true
}

fn has_failed(member: &Member<'_>) -> bool {
    member.outcome.as_ref().is_some_and(|outcome| outcome.measurement().is_none())
}

/// What became of each: its own outcome, unless another's failure has made it meaningless.
fn outcomes(members: &[Member<'_>]) -> Vec<Outcome> {
    let failed = members.iter().any(has_failed);
    let outcome = |member: &Member<'_>| match &member.outcome {
        Some(outcome) if !failed || has_failed(member) => outcome.clone(),
        _ => Outcome::Skipped("another device could not take part, so they were not all busy at once".to_owned()),
    };
    members.iter().map(outcome).collect()
}

/// Lets go of every worker that is left. Those that still measure are stopped.
fn end(members: Vec<Member<'_>>) {
    for member in members {
        match (member.worker, member.outcome) {
            (Some(worker), Some(Outcome::Measured(_))) => worker.end(),
            (Some(worker), _) => worker.kill(),
            (None, _) => {}
        }
    }
}
