//! An acknowledged AppendEntries is true: the follower's log matches the leader's up to it (paper §5.3).
//!
//! An acknowledgement of index a to the leader of term t is right if the follower's entry at a has the same term as the
//! one in that leader's log. Two known entries that differ are a conflict; an index that the leader never reached, or
//! the follower's own log does not, is an absence. An answer below the RPC's entries, as of what is committed, is legal.
//! An answer that waited for the disk while the follower's term went on is not judged: its log may have changed since.

use squall_history::Claim;
use squall_history::trace::{Epoch, TraceEvent};

use super::acks::{Ack, Given};
use super::check::{Check, End, Ruling, count};
use super::facts::Facts;
use super::findings::{Findings, Said, said};
use super::leaders::Leader;
use super::place::{Id, Place};

#[derive(Debug, Default)]
pub(super) struct TrueAcks {
    findings: Findings,
}

impl Check for TrueAcks {
    /// A follower that acknowledges what its own log does not reach needs no leader to be wrong.
    fn look(&mut self, at: Place, event: &TraceEvent, facts: &Facts) {
        let TraceEvent::Ack { index, term, .. } = event else { return };
        let server = facts.server(at.node);
        let late = server.term.is_some_and(|current| current > *term);
        if late || !server.gapless || !server.log.is_whole() {
            return;
        }
        let Some(last) = server.log.last().filter(|last| last.index < *index) else { return };
        self.findings.add(at, || {
            let node = facts.name(at.node);
            let summary = format!(
                "{node} acknowledged {index} in term {term}, but its log ended at {}@{}",
                last.index, last.term
            );
            let slot = server.log.slot_at(last.index);
            let mut lines: Vec<Said> = slot.map(Said::Had).into_iter().collect();
            lines.push(said(at, format!("{node} acknowledges entries up to {index}")));
            (summary, lines)
        });
    }

    fn rule(&self, end: &End<'_>) -> Ruling {
        let facts = end.facts;
        let mut tally = Tally { findings: self.findings.clone(), judged: 0, unknown: 0 };
        for (term, leader, follower, given) in facts.acks.iter() {
            tally.unknown += given.unknown;
            match facts.leaders.get(term, leader) {
                Some(leader) => tally.compare(leader, follower, given, facts),
                None => tally.unknown += 1,
            }
        }
        let Tally { findings, judged, unknown } = tally;
        let scope = match (facts.traced.acks, judged) {
            (0, _) => Err("acknowledgements: not traced".to_owned()),
            (_, 0) => Err("no acknowledgement of a known entry to a traced leader".to_owned()),
            (acks, _) => Ok(format!(
                "{} as far as the logs of both sides are known",
                count(acks, "acknowledgement", "acknowledgements")
            )),
        };
        let not_known = (unknown > 0).then(|| {
            let acks = count(unknown, "acknowledgement", "acknowledgements");
            format!("{acks} of entries that are not known on both sides")
        });
        let mut ruling = Ruling::new(Claim::TrueAcks, findings, scope)
            .figure("acknowledgements", facts.traced.acks)
            .figure("compared", judged)
            .not_judged(not_known);
        ruling.not_judged.extend(facts.incomplete("acknowledgements beyond the leader's log"));
        ruling
    }
}

struct Tally {
    findings: Findings,
    judged: u64,
    unknown: u64,
}

impl Tally {
    fn compare(&mut self, leader: &Leader, follower: Id, given: &Given, facts: &Facts) {
        let ends = [given.lowest_own, given.highest_own];
        for ack in given.older.iter().copied().chain(ends.into_iter().flatten()) {
            match leader.term_at(ack.index) {
                Some(entry) if entry == ack.entry => self.judged += 1,
                Some(entry) => {
                    self.judged += 1;
                    self.wrong(leader, follower, ack, Some(entry), facts);
                }
                None if beyond(leader, ack, facts) => {
                    self.judged += 1;
                    self.wrong(leader, follower, ack, None, facts);
                }
                None => self.unknown += 1,
            }
        }
    }

    fn wrong(
        &mut self,
        leader: &Leader,
        follower: Id,
        ack: Ack,
        entry: Option<Epoch>,
        facts: &Facts,
    ) {
        self.findings.add(ack.at.max(leader.at), || {
            let (node, to) = (facts.name(follower), facts.name(leader.at.node));
            let Ack { index, entry: own, .. } = ack;
            let term = leader.term;
            let theirs = match entry {
                Some(entry) => format!("{to}@{term} had {index}@{entry}"),
                None => format!("the log of {to}@{term} never went beyond {}", leader.end()),
            };
            let summary = format!(
                "{node} acknowledged {index} to {to}@{term} with {index}@{own} in its log, but {theirs}"
            );
            let last = leader.last;
            let text = format!(
                "{to} becomes leader of term {term} with a log that ends at {}@{}",
                last.index, last.term
            );
            let lines = vec![
                said(leader.at, text),
                said(ack.at, format!("{node} acknowledges up to {index}; its entry there is of term {own}")),
            ];
            (summary, lines)
        });
    }
}

/// The leader, of whose boot nothing is missing, never had an entry at this index while it led.
fn beyond(leader: &Leader, ack: Ack, facts: &Facts) -> bool {
    let complete = facts.complete_boot(leader.at.node, leader.at.boot).is_ok();
    complete && !leader.again && leader.end() < ack.index
}
