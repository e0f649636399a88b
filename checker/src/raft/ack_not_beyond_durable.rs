//! A server acknowledges only what it has made durable (paper Figure 2, thesis §3.8).
//!
//! An absence, judged within one node's unbroken lines: an acknowledged index lies within what the node had reported
//! durable, and a vote was durable before it was granted. And its next boot recovers the durable vote, what was durable
//! and committed, and, in the same term, what it had acknowledged: only a later leader may have had that removed. That the
//! disk told the truth is not judged here.

use std::collections::{BTreeMap, BTreeSet};

use squall_history::trace::{Epoch, LogPosition, TraceEvent};
use squall_history::{Claim, NodeName};

use super::check::{Check, End, Ruling, count};
use super::facts::Facts;
use super::findings::{Findings, Said, said};
use super::place::{Id, Place};
use super::server::Server;

#[derive(Debug, Default)]
struct Node {
    /// It told what is durable, of its log and of its votes.
    syncs: u64,
    hard_states: u64,
    acks: Findings,
    votes: Findings,
    /// Durable votes: term and candidate.
    durable_votes: BTreeSet<(Epoch, Id)>,
    /// The last one, if the last durable term has one.
    last_vote: Option<(Epoch, Id, Place)>,
}

#[derive(Debug, Default)]
pub(super) struct AckNotBeyondDurable {
    nodes: BTreeMap<Id, Node>,
    lost: Findings,
    acks: u64,
    votes: u64,
    boots: u64,
}

impl Check for AckNotBeyondDurable {
    fn look(&mut self, at: Place, event: &TraceEvent, facts: &Facts) {
        let recovered = matches!(event, TraceEvent::Append { recovered: true, .. });
        if facts.server(at.node).recovering && !recovered {
            self.recovered(at, facts);
        }
        match event {
            TraceEvent::Durable { .. } => self.node(at).syncs += 1,
            TraceEvent::HardState { term, vote } => {
                self.node(at).hard_states += 1;
                self.durable_vote(at, *term, vote.as_ref(), facts);
            }
            TraceEvent::Boot { term, vote, .. } => {
                self.vote_recovered(at, *term, vote.as_ref(), facts);
                self.durable_vote(at, *term, vote.as_ref(), facts);
            }
            TraceEvent::Ack { index, term, .. } => self.ack(at, *index, *term, facts),
            TraceEvent::Vote { to, term, prevote: false } => {
                if let Some(to) = facts.names.find(to) {
                    self.vote(at, to, *term, facts);
                }
            }
            _ => {}
        }
    }

    fn rule(&self, end: &End<'_>) -> Ruling {
        let mut findings = self.lost.clone();
        let mut not_judged = Vec::new();
        let (mut order, mut votes) = (false, false);
        for (id, node) in &self.nodes {
            let name = end.facts.name(*id);
            match node.syncs {
                0 => not_judged.push(format!("{name}, fsync order: not traced")),
                _ => findings.merge(&node.acks),
            }
            match node.hard_states {
                0 => not_judged.push(format!("{name}, durability of votes: not traced")),
                _ => findings.merge(&node.votes),
            }
            order |= node.syncs > 0;
            votes |= node.hard_states > 0;
        }
        let acks = if order { self.acks } else { 0 };
        let votes = if votes { self.votes } else { 0 };
        let scope = match acks + votes + self.boots {
            0 => Err("fsync order: not traced".to_owned()),
            _ => Ok(format!(
                "{}, {} and {}: durable first",
                count(acks, "acknowledgement", "acknowledgements"),
                count(votes, "vote", "votes"),
                count(self.boots, "restart", "restarts")
            )),
        };
        let mut ruling = Ruling::new(Claim::AckNotBeyondDurable, findings, scope)
            .figure("acknowledgements", acks)
            .figure("votes", votes)
            .figure("restarts", self.boots);
        ruling.not_judged = not_judged;
        ruling
    }
}

impl AckNotBeyondDurable {
    fn node(&mut self, at: Place) -> &mut Node {
        self.nodes.entry(at.node).or_default()
    }

    fn ack(&mut self, at: Place, index: u64, term: Epoch, facts: &Facts) {
        let server = facts.server(at.node);
        // An answer that waited while the term went on was true when it was made; its entry may have been cut since.
        let late = server.term.is_some_and(|current| current > term);
        let Some((durable, durable_at)) = server.durable.filter(|_| !late) else { return };
        self.acks += 1;
        if index <= durable {
            return;
        }
        self.node(at).acks.add(at, || {
            let node = facts.name(at.node);
            let summary = format!(
                "{node} acknowledged {index} in term {term}, but its log was durable only up to {durable}"
            );
            let lines = vec![
                said(durable_at, format!("{node}'s log is durable up to {durable}")),
                said(at, format!("{node} acknowledges up to {index}")),
            ];
            (summary, lines)
        });
    }

    fn durable_vote(&mut self, at: Place, term: Epoch, vote: Option<&NodeName>, facts: &Facts) {
        let vote = vote.and_then(|vote| facts.names.find(vote));
        let node = self.node(at);
        node.durable_votes.extend(vote.map(|to| (term, to)));
        node.last_vote = vote.map(|to| (term, to, at));
    }

    fn vote(&mut self, at: Place, to: Id, term: Epoch, facts: &Facts) {
        if !facts.server(at.node).gapless || to == at.node {
            return;
        }
        self.votes += 1;
        let node = self.node(at);
        if node.durable_votes.contains(&(term, to)) {
            return;
        }
        node.votes.add(at, || {
            let (name, to) = (facts.name(at.node), facts.name(to));
            let summary =
                format!("{name} granted its vote of term {term} to {to} before it was durable");
            (summary, vec![said(at, format!("{name} votes for {to} in term {term}"))])
        });
    }

    /// A durable vote is there after a restart in the same term.
    fn vote_recovered(&mut self, at: Place, term: Epoch, vote: Option<&NodeName>, facts: &Facts) {
        let recovered = vote.and_then(|vote| facts.names.find(vote));
        let Some((voted, to, voted_at)) = self.node(at).last_vote else { return };
        if voted != term || recovered == Some(to) {
            return;
        }
        self.lost.add(at, || {
            let (node, to, boot) = (facts.name(at.node), facts.name(to), at.boot);
            let instead = recovered.map_or("no vote".to_owned(), |to| {
                format!("a vote for {}", facts.name(to))
            });
            let summary = format!(
                "{node}'s vote for {to} in term {term} was durable, but boot {boot} recovered {instead}"
            );
            let lines = vec![
                said(voted_at, format!("{node}'s vote for {to} in term {term} is durable")),
                said(at, format!("{node} has recovered {instead} in term {term}")),
            ];
            (summary, lines)
        });
    }

    /// Recovery has told all: what was durable and committed must be there, and what was acknowledged in this term.
    fn recovered(&mut self, at: Place, facts: &Facts) {
        let server = facts.server(at.node);
        if !server.gapless || !server.log.is_whole() {
            return;
        }
        self.boots += u64::from(server.kept.is_some() || server.promised.is_some());
        if let Some(kept) = server.kept {
            let lines = |entry: &str| {
                vec![
                    said(kept.durable, format!("{entry} and what is before it is durable")),
                    said(kept.commit, format!("{entry} and what is before it is committed")),
                ]
            };
            self.must_hold(at, kept.last, "durable and committed", lines, facts);
        }
        // A leader of a later term may have had it removed just before the end.
        if let Some((term, last, ack)) =
            server.promised.filter(|(term, ..)| server.term == Some(*term))
        {
            let lines =
                |entry: &str| vec![said(ack, format!("{entry} is acknowledged in term {term}"))];
            self.must_hold(at, last, "acknowledged", lines, facts);
        }
    }

    fn must_hold(
        &mut self,
        at: Place,
        last: LogPosition,
        how: &str,
        lines: impl FnOnce(&str) -> Vec<Said>,
        facts: &Facts,
    ) {
        let Some(instead) = lost(facts.server(at.node), last) else { return };
        self.lost.add(at, || {
            let (node, boot) = (facts.name(at.node), at.boot);
            let entry = format!("{}@{}", last.index, last.term);
            let summary = format!("{node} had {entry} {how}, but boot {boot} recovered {instead}");
            let mut lines = lines(&entry);
            lines.push(said(at, format!("{node} has recovered {instead}")));
            (summary, lines)
        });
    }
}

/// Returns what was recovered in the place of an entry that must be there.
fn lost(server: &Server, kept: LogPosition) -> Option<String> {
    let last = server.log.last()?;
    if last.index < kept.index {
        return Some(format!("a log that ends at {}@{}", last.index, last.term));
    }
    let term = server.log.term_at(kept.index).filter(|term| *term != kept.term)?;
    Some(format!("{}@{term} there", kept.index))
}
