//! A truncation never removes a committed entry (paper §5.4).
//!
//! Below the node's own commit index it is always wrong. Of an entry that others committed, it is wrong if the leader
//! for whom the node truncates has a term in which the entry was committed, or a later one: that leader holds it.
//!
//! What a reading of a node's files shows below its commit index is in every later reading too: below the base of its log,
//! in a snapshot, or where it was. An entry that is not there counts only where all of the files was read.

use std::collections::BTreeMap;

use squall_history::Claim;
use squall_history::trace::{Epoch, TraceEvent};

use super::check::{Check, End, Ruling, count};
use super::facts::{Appended, Facts};
use super::findings::{Findings, Said, said};
use super::place::{Id, Place};
use super::server::Closed;

/// A suffix was removed.
#[derive(Clone, Copy, Debug)]
struct Truncation {
    from: u64,
    /// The term of the first entry that went.
    entry: Epoch,
    /// The leader's term, at least.
    by: Epoch,
    at: Place,
}

/// Entries that a node's files showed below its commit index.
#[derive(Debug)]
struct Kept {
    /// The index of the first.
    first: u64,
    slots: Vec<u32>,
    /// Where the commit index was read.
    at: Place,
}

#[derive(Debug, Default)]
pub(super) struct TruncateNotCommitted {
    kept: BTreeMap<Id, Kept>,
    truncations: Vec<Truncation>,
    /// The last truncation of each node, with its unbroken stretch: the append that follows tells more of the leader.
    open: BTreeMap<Id, (usize, u32)>,
    findings: Findings,
    total: u64,
}

impl Check for TruncateNotCommitted {
    fn look(&mut self, at: Place, event: &TraceEvent, facts: &Facts) {
        match event {
            TraceEvent::Truncate { from } => self.truncates(at, *from, Epoch::default(), facts),
            TraceEvent::Append { index, term, prev_term, hashes, recovered: false } => {
                self.learn(at, *term, facts);
                let append = Appended::new(*index, *term, *prev_term, hashes);
                let conflict = append.and_then(|append| facts.first_conflict(at.node, &append));
                if let Some(conflict) = conflict {
                    self.truncates(at, conflict, *term, facts);
                }
            }
            _ => {}
        }
    }

    fn close(&mut self, reading: Closed, facts: &Facts) {
        self.against_earlier(reading, facts);
        self.keep(reading.at.node, facts);
    }

    fn rule(&self, end: &End<'_>) -> Ruling {
        let mut findings = self.findings.clone();
        for truncation in &self.truncations {
            let Truncation { from, entry, by, at } = *truncation;
            let Some((since, since_at, mut lines)) = end.settled.since(from, entry) else {
                continue;
            };
            if since > by {
                continue;
            }
            findings.add(at.max(since_at), || {
                let node = end.facts.name(at.node);
                let summary = format!(
                    "{node}@{by} removed {from}@{entry}, which was committed in term {since}"
                );
                lines.truncate(4);
                lines.push(said(at, format!("{node}@{by} removes its entries from {from} on")));
                (summary, lines)
            });
        }
        let scope = match (end.facts.traced.commits, end.facts.traced.appends) {
            (0, _) => Err("no commit was traced".to_owned()),
            (_, 0) => Err("no append was traced".to_owned()),
            _ => Ok(format!(
                "{}, none of a committed entry",
                count(self.total, "truncation", "truncations")
            )),
        };
        Ruling::new(Claim::TruncateNotCommitted, findings, scope).figure("truncations", self.total)
    }
}

impl TruncateNotCommitted {
    /// Holds a reading against what those before it showed to be committed.
    fn against_earlier(&mut self, reading: Closed, facts: &Facts) {
        let log = &facts.server(reading.at.node).log;
        let (Some(kept), Some(last)) = (self.kept.get(&reading.at.node), log.last()) else {
            return;
        };
        let kept_at = kept.at;
        let above_base = (kept.first..).zip(&kept.slots).filter(|(at, _)| *at >= log.first());
        let other = above_base.map(|(at, slot)| (at, *slot, log.slot_at(at)));
        match { other }.find(|(_, known, now)| *now != Some(*known)) {
            Some((index, known, Some(now))) => {
                self.changed(index, [known, now], kept_at, reading.at, facts);
            }
            Some((index, known, None)) if reading.files.whole => {
                self.lost(index, known, last.index, kept_at, reading.at, facts);
            }
            Some((_, _, None)) | None => {}
        }
    }

    /// Remembers what this reading shows to be committed.
    fn keep(&mut self, node: Id, facts: &Facts) {
        let server = facts.server(node);
        let Some((commit, at)) = server.commit else { return };
        let next = match self.kept.get(&node) {
            Some(kept) => kept.first + kept.slots.len() as u64,
            None => server.log.first(),
        };
        let more = server.log.slots(next, commit);
        if more.is_empty() {
            return;
        }
        match self.kept.get_mut(&node).filter(|_| server.log.first() <= next) {
            Some(kept) => {
                kept.slots.extend_from_slice(more);
                kept.at = at;
            }
            None => {
                let first = server.log.first().max(next);
                self.kept.insert(node, Kept { first, slots: more.to_vec(), at });
            }
        }
    }

    fn changed(
        &mut self,
        index: u64,
        [known, now]: [u32; 2],
        kept_at: Place,
        at: Place,
        facts: &Facts,
    ) {
        self.findings.add(at, || {
            let node = facts.name(at.node);
            let (was, is) = (facts.entries.get(known).term, facts.entries.get(now).term);
            let summary = format!(
                "{node} had committed {index}@{was}, and its files have another entry there later, {index}@{is}"
            );
            let lines = vec![
                said(kept_at, format!("{node}'s files say that it has committed {index}@{was}")),
                Said::Had(known),
                Said::Had(now),
            ];
            (summary, lines)
        });
    }

    fn lost(
        &mut self,
        index: u64,
        known: u32,
        last: u64,
        kept_at: Place,
        at: Place,
        facts: &Facts,
    ) {
        self.findings.add(at, || {
            let node = facts.name(at.node);
            let was = facts.entries.get(known).term;
            let summary = format!(
                "{node} had committed {index}@{was}, and its log on disk ends at {last} later"
            );
            let lines = vec![
                said(kept_at, format!("{node}'s files say that it has committed {index}@{was}")),
                Said::Had(known),
                said(at, format!("{node}'s log on disk ends at {last}")),
            ];
            (summary, lines)
        });
    }

    fn truncates(&mut self, at: Place, from: u64, by: Epoch, facts: &Facts) {
        let server = facts.server(at.node);
        if server.log.last().is_some_and(|last| last.index < from) {
            return;
        }
        self.total += 1;
        if let Some((commit, commit_at)) = server.commit.filter(|(commit, _)| from <= *commit) {
            self.below_own_commit(at, from, commit, commit_at, facts);
        }
        let Some(entry) = server.log.term_at(from) else { return };
        let by = server.term.map_or(by, |term| term.max(by));
        self.open.insert(at.node, (self.truncations.len(), server.stretch));
        self.truncations.push(Truncation { from, entry, by, at });
    }

    /// The entries that fill the place are none of a later leader than the one who made the node truncate.
    fn learn(&mut self, at: Place, term: Epoch, facts: &Facts) {
        if let Some((last, stretch)) = self.open.remove(&at.node)
            && stretch == facts.server(at.node).stretch
        {
            let by = &mut self.truncations[last].by;
            *by = term.max(*by);
        }
    }

    fn below_own_commit(
        &mut self,
        at: Place,
        from: u64,
        commit: u64,
        commit_at: Place,
        facts: &Facts,
    ) {
        self.findings.add(at, || {
            let node = facts.name(at.node);
            let summary = format!(
                "{node} removed its entries from {from} on, but had committed up to {commit}"
            );
            let lines = vec![
                said(commit_at, format!("{node} commits up to {commit}")),
                said(at, format!("{node} removes its entries from {from} on")),
            ];
            (summary, lines)
        });
    }
}
