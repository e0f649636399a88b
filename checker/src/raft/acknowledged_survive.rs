//! An entry that was acknowledged to a client is in the committed log to the end (paper §8).
//!
//! What clients were told, with the positions that the system gave, is held against the logs:
//!
//! - Two different commands that were acknowledged at one position cannot both be there: a conflict.
//! - A position that was acknowledged lies within what somebody reported committed: an absence.
//! - The entry that is committed there was once in the log of the node that answered: an absence.
//! - It was made by a leader of its term; where the node that answers is the one that proposed, and the request was sent
//!   only once, that leader is the node that answered. Not judged where nodes pass operations on.
//!
//! Whether the bytes of the entry are those of the operation is not judged: the logs hold hashes. Nor is the order of an
//! answer and its commit, which are lines of different processes.

use std::collections::BTreeMap;

use squall_history::trace::TraceEvent;
use squall_history::{Claim, History, Operation, Outcome, Request};

use super::check::{Check, End, Ruling, count};
use super::facts::Facts;
use super::findings::{Findings, Said, said};
use super::place::{Id, Place};
use super::settled::Chosen;

/// The facts and the history hold all; nothing is left to look at.
#[derive(Debug, Default)]
pub(super) struct AcknowledgedSurvive;

impl Check for AcknowledgedSurvive {
    fn look(&mut self, _at: Place, _event: &TraceEvent, _facts: &Facts) {}

    fn rule(&self, end: &End<'_>) -> Ruling {
        let Some(history) = end.history else {
            let scope = Err("there is no history".to_owned());
            return Ruling::new(Claim::AcknowledgedSurvive, Findings::default(), scope);
        };
        let mut survey = Survey::new(history, end);
        let acknowledged = acknowledged(history);
        for operation in &acknowledged {
            survey.shares_no_position(operation);
        }
        if end.facts.traced.commits > 0 {
            for operation in &acknowledged {
                survey.is_committed(operation);
            }
        }
        survey.ruling(acknowledged.len() as u64)
    }
}

/// Returns the acknowledged changes whose positions are known.
fn acknowledged(history: &History) -> Vec<&Operation> {
    let changes = history.operations().iter().filter(|operation| !operation.op.f.is_read());
    changes
        .filter(|operation| matches!(operation.outcome, Outcome::Ok(_)))
        .filter(|operation| operation.pos.is_some_and(|pos| pos > 0))
        .collect()
}

struct Survey<'a> {
    end: &'a End<'a>,
    /// How often each request was sent.
    sent: BTreeMap<Request, u32>,
    by_pos: BTreeMap<u64, &'a Operation>,
    /// Every trace is complete, so that what nobody reported did not happen.
    complete: bool,
    findings: Findings,
    found: u64,
}

impl<'a> Survey<'a> {
    fn new(history: &'a History, end: &'a End<'a>) -> Survey<'a> {
        let mut sent = BTreeMap::new();
        for request in history.operations().iter().filter_map(|operation| operation.request) {
            *sent.entry(request).or_default() += 1;
        }
        Survey {
            end,
            sent,
            by_pos: BTreeMap::new(),
            complete: end.facts.incomplete("").is_empty(),
            findings: Findings::default(),
            found: 0,
        }
    }

    fn shares_no_position(&mut self, operation: &'a Operation) {
        let pos = operation.pos.unwrap_or_default();
        let first = *self.by_pos.entry(pos).or_insert(operation);
        if std::ptr::eq(first, operation) || same_command(first, operation) {
            return;
        }
        let at = self.moment(operation);
        self.findings.add(at, || {
            let summary = format!(
                "{} and {} were both acknowledged at position {pos}",
                first.op, operation.op
            );
            (summary, vec![told(first, pos), told(operation, pos)])
        });
    }

    fn is_committed(&mut self, operation: &Operation) {
        let pos = operation.pos.unwrap_or_default();
        match self.end.settled.at(pos) {
            [chosen, ..] => {
                self.found += 1;
                self.answered_by_owner(operation, pos, chosen);
            }
            [] if pos > self.end.settled.end() && self.complete => self.never(operation, pos),
            [] => {}
        }
    }

    fn never(&mut self, operation: &Operation, pos: u64) {
        let end = self.end.settled.end();
        let at = self.moment(operation);
        self.findings.add(at, || {
            let summary = format!(
                "{} was acknowledged at position {pos}, but nobody committed beyond {end}",
                operation.op
            );
            (summary, vec![told(operation, pos)])
        });
    }

    fn answered_by_owner(&mut self, operation: &Operation, pos: u64, chosen: &Chosen<'_>) {
        let facts = self.end.facts;
        let Some(node) = operation.node.as_ref().and_then(|node| facts.names.find(node)) else {
            return;
        };
        if self.end.forwards {
            return;
        }
        let instead = self.made_by_another(operation, node, chosen);
        let lacking = !chosen.entry.was_held_by(node)
            && facts.server(node).installed < pos
            && facts.complete(node).is_ok();
        if instead.is_none() && !lacking {
            return;
        }
        let at = self.moment(operation).max(chosen.at);
        self.findings.add(at, || {
            let name = facts.name(node);
            let entry = format!("{pos}@{}", chosen.entry.term);
            let why = match instead {
                Some(leader) => format!("which {} made", facts.name(leader)),
                None => format!("which {name} never had"),
            };
            let summary = format!(
                "{} was acknowledged by {name} at position {pos}, but {entry} is committed there, {why}",
                operation.op
            );
            let text = format!("{} reports {entry} committed", facts.name(chosen.at.node));
            (summary, vec![told(operation, pos), said(chosen.at, text)])
        });
    }

    /// Returns the leader that made the committed entry, where it cannot be the node that answered.
    fn made_by_another(&self, operation: &Operation, node: Id, chosen: &Chosen<'_>) -> Option<Id> {
        let repeated = operation.request.is_some_and(|request| self.sent[&request] > 1);
        let mut leaders = self.end.facts.leaders.of(chosen.entry.term);
        let leader = leaders.next().map(|leader| leader.at.node)?;
        (!repeated && leaders.next().is_none() && leader != node).then_some(leader)
    }

    /// Places an operation among the lines of the traces, for display.
    fn moment(&self, operation: &Operation) -> Place {
        let time = operation.return_time.unwrap_or_default().0.saturating_add(self.end.origin);
        Place { time, node: Id(u16::MAX), boot: 0, line: operation.return_line }
    }

    fn ruling(self, acknowledged: u64) -> Ruling {
        let facts = self.end.facts;
        let scope = match (acknowledged, facts.traced.commits) {
            (0, _) => Err("no acknowledged change tells its position".to_owned()),
            (_, 0) => Err("no commit was traced".to_owned()),
            _ => Ok(format!(
                "{} of {} found in the committed log",
                count(self.found, "position", "positions"),
                count(acknowledged, "acknowledged change", "acknowledged changes")
            )),
        };
        let passed_on =
            self.end.forwards.then(|| "who made an entry: nodes pass operations on".to_owned());
        let mut ruling = Ruling::new(Claim::AcknowledgedSurvive, self.findings, scope)
            .figure("acknowledged", acknowledged)
            .figure("found", self.found)
            .not_judged(passed_on);
        ruling.not_judged.extend(facts.incomplete("entries that nobody committed"));
        ruling
    }
}

/// One command, sent twice, is acknowledged at one position; without an identity nobody can tell.
fn same_command(one: &Operation, two: &Operation) -> bool {
    match (one.request, two.request) {
        (Some(one), Some(two)) => one == two,
        _ => one.op == two.op,
    }
}

fn told(operation: &Operation, pos: u64) -> Said {
    let node = operation.node.as_ref().map_or(String::new(), |node| format!(" by {node}"));
    Said::Client {
        line: operation.return_line,
        time: operation.return_time.unwrap_or_default(),
        text: format!("{} is acknowledged at position {pos}{node}", operation.op),
    }
}
