//! Leader Append-Only: a leader never overwrites or deletes entries in its log; it only appends (paper §5.3).
//!
//! A conflict within one node's unbroken lines. Some systems tell a truncation before the loss of the lead that brought
//! it, so a leader's truncation counts only once the node has acted as leader of that term again, or at the end of a boot
//! of which nothing is missing.

use std::collections::BTreeMap;

use squall_history::Claim;
use squall_history::trace::{CommitBy, Epoch, TraceEvent};

use super::check::{Check, End, Ruling, count};
use super::facts::{Appended, Facts};
use super::findings::{Findings, Said, said};
use super::place::{Id, Place};
use super::server::Role;

/// A leader's log lost entries, and it is not known yet whether it still led.
#[derive(Clone, Copy, Debug)]
struct Pending {
    term: Epoch,
    elected: Place,
    lost: Place,
    from: u64,
    last: u64,
    stretch: u32,
}

#[derive(Debug, Default)]
pub(super) struct LeaderAppendOnly {
    pending: BTreeMap<Id, Pending>,
    /// Those with which a boot ended.
    ended: Vec<Pending>,
    findings: Findings,
    /// Entries that leaders appended.
    appended: u64,
}

impl Check for LeaderAppendOnly {
    fn look(&mut self, at: Place, event: &TraceEvent, facts: &Facts) {
        if !self.pending.is_empty() {
            self.resolve(at, event, facts);
        }
        let Role::Leader(term, elected) = facts.server(at.node).role else { return };
        match event {
            TraceEvent::Truncate { from } => self.loses(at, term, elected, *from, facts),
            TraceEvent::Append { index, term: entries, prev_term, hashes, .. } => {
                let Some(append) = Appended::new(*index, *entries, *prev_term, hashes) else {
                    return;
                };
                if *entries == term {
                    self.appended += hashes.len() as u64;
                }
                let Some(conflict) = facts.first_conflict(at.node, &append) else { return };
                if *entries < term {
                    self.loses(at, term, elected, conflict, facts);
                } else if *entries == term {
                    self.overwrites(at, term, elected, conflict, facts);
                }
            }
            _ => {}
        }
    }

    fn rule(&self, end: &End<'_>) -> Ruling {
        let leaders = end.facts.leaders.iter().count() as u64;
        let scope = match (leaders, end.facts.traced.appends) {
            (0, _) => Err("no election was traced".to_owned()),
            (_, 0) => Err("no append was traced".to_owned()),
            _ => Ok(format!(
                "{} appended {} and removed none",
                count(leaders, "leader", "leaders"),
                count(self.appended, "entry", "entries")
            )),
        };
        let mut findings = self.findings.clone();
        for pending in self.ended.iter().chain(self.pending.values()) {
            let Place { node, boot, .. } = pending.lost;
            if end.facts.complete_boot(node, boot).is_ok() {
                accuse(&mut findings, *pending, None, end.facts);
            }
        }
        Ruling::new(Claim::LeaderAppendOnly, findings, scope)
            .figure("leaders", leaders)
            .figure("entries", self.appended)
    }
}

impl LeaderAppendOnly {
    fn loses(&mut self, lost: Place, term: Epoch, elected: Place, from: u64, facts: &Facts) {
        let server = facts.server(lost.node);
        let Some(last) = server.log.last().filter(|last| from <= last.index) else { return };
        let stretch = server.stretch;
        let pending = Pending { term, elected, lost, from, last: last.index, stretch };
        self.pending.entry(lost.node).or_insert(pending);
    }

    fn resolve(&mut self, at: Place, event: &TraceEvent, facts: &Facts) {
        let Some(pending) = self.pending.get(&at.node).copied() else { return };
        if at.boot != pending.lost.boot {
            self.pending.remove(&at.node);
            self.ended.push(pending);
            return;
        }
        let broken = facts.server(at.node).stretch != pending.stretch;
        if broken || steps_down(event, pending.term) {
            self.pending.remove(&at.node);
        } else if leads(event, pending.term) {
            self.pending.remove(&at.node);
            accuse(&mut self.findings, pending, Some(at), facts);
        }
    }

    fn overwrites(&mut self, at: Place, term: Epoch, elected: Place, index: u64, facts: &Facts) {
        let node = facts.name(at.node);
        let slot = facts.server(at.node).log.slot_at(index);
        let old_term = facts.server(at.node).log.term_at(index).unwrap_or_default();
        self.findings.add(at, || {
            let summary = format!(
                "{node}@{term} overwrote {index}@{old_term} with {index}@{term} while it led"
            );
            let mut lines = vec![said(elected, format!("{node} becomes leader of term {term}"))];
            if let Some(slot) = slot {
                lines.insert(0, Said::Had(slot));
            }
            lines.push(said(at, format!("{node} puts another entry at {index}: {index}@{term}")));
            (summary, lines)
        });
    }
}

/// Tells of a leader's truncation, and where it acted as leader again.
fn accuse(findings: &mut Findings, pending: Pending, again: Option<Place>, facts: &Facts) {
    let Pending { term, elected, lost, from, last, .. } = pending;
    let node = facts.name(lost.node);
    findings.add(lost, || {
        let summary = format!("{node}@{term} removed entries {from} to {last} while it led");
        let text = format!("{node} removes the entries from {from} on; its log ended at {last}");
        let mut lines =
            vec![said(elected, format!("{node} becomes leader of term {term}")), said(lost, text)];
        if let Some(again) = again {
            lines.push(said(again, format!("{node} still acts as leader of term {term}")));
        }
        (summary, lines)
    });
}

/// The node shows that it leads the term no more.
fn steps_down(event: &TraceEvent, led: Epoch) -> bool {
    match event {
        TraceEvent::BecomeFollower { .. }
        | TraceEvent::BecomeCandidate { .. }
        | TraceEvent::BecomePreCandidate { .. }
        | TraceEvent::BecomeLeader { .. }
        | TraceEvent::Boot { .. }
        | TraceEvent::Install { .. } => true,
        TraceEvent::HardState { term, .. }
        | TraceEvent::Append { term, .. }
        | TraceEvent::Vote { term, prevote: false, .. }
        | TraceEvent::Commit { term, .. } => *term > led,
        // A leader acknowledges nothing to others.
        TraceEvent::Ack { .. } => true,
        TraceEvent::Vote { prevote: true, .. }
        | TraceEvent::Durable { .. }
        | TraceEvent::Truncate { .. }
        | TraceEvent::Apply { .. }
        | TraceEvent::Snapshot { .. }
        | TraceEvent::Config { .. }
        | TraceEvent::ReadRequest { .. }
        | TraceEvent::ReadIndex { .. }
        | TraceEvent::Note { .. } => false,
    }
}

/// The node does what only the leader of the term does.
fn leads(event: &TraceEvent, led: Epoch) -> bool {
    match event {
        TraceEvent::Append { term, recovered: false, .. } => *term == led,
        TraceEvent::Commit { term, by: Some(CommitBy::Count), .. } => *term == led,
        _ => false,
    }
}
