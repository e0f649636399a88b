//! A server votes for at most one candidate in a term, over all its boots (paper §5.2).
//!
//! A conflict. A vote binds when it was granted or durable, and when its owner won; a candidacy may die with its boot
//! before it is durable, so it binds within its boot alone. Pre-votes bind nobody.
//!
//! Where a dead node's files show a vote, a later reading in the same term shows it too.

use std::collections::BTreeMap;

use squall_history::trace::{Epoch, TraceEvent};
use squall_history::{Claim, NodeName};

use super::check::{Check, End, Ruling, count};
use super::facts::Facts;
use super::findings::{Findings, said};
use super::place::{Id, Place};
use super::server::Closed;

/// A vote, and where it was said.
#[derive(Clone, Copy, Debug)]
struct Vote {
    to: Id,
    at: Place,
    how: How,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum How {
    Granted,
    Durable,
    Won,
    Stood,
}

/// A term with its vote, as a node's files have it.
#[derive(Clone, Copy, Debug, Default)]
struct Read {
    now: Option<(Epoch, Option<Id>, Place)>,
    before: Option<(Epoch, Id, Place)>,
}

#[derive(Debug, Default)]
pub(super) struct VoteOnce {
    /// By voter and term.
    votes: BTreeMap<(Id, Epoch), Vote>,
    /// Candidacies of the present boots, which are votes of a candidate for himself.
    stood: BTreeMap<Id, (Epoch, Place)>,
    /// The last hard state of the readings of a node's files: the present one, and the one before.
    read: BTreeMap<Id, Read>,
    findings: Findings,
}

impl Check for VoteOnce {
    fn look(&mut self, at: Place, event: &TraceEvent, facts: &Facts) {
        let find = |name: &Option<NodeName>| name.as_ref().and_then(|name| facts.names.find(name));
        match event {
            TraceEvent::Vote { to, term, prevote: false } => {
                if let Some(to) = facts.names.find(to) {
                    self.vote(*term, Vote { to, at, how: How::Granted }, facts);
                }
            }
            TraceEvent::Boot { term, vote, .. } => {
                self.stood.remove(&at.node);
                self.read.entry(at.node).or_default().now = None;
                if let Some(to) = find(vote) {
                    self.vote(*term, Vote { to, at, how: How::Durable }, facts);
                }
            }
            TraceEvent::HardState { term, vote } => {
                self.read.entry(at.node).or_default().now = Some((*term, find(vote), at));
                if let Some(to) = find(vote) {
                    self.vote(*term, Vote { to, at, how: How::Durable }, facts);
                }
            }
            TraceEvent::BecomeLeader { term, .. } => {
                self.vote(*term, Vote { to: at.node, at, how: How::Won }, facts);
            }
            TraceEvent::BecomeCandidate { term, .. } => {
                self.stood.insert(at.node, (*term, at));
            }
            _ => {}
        }
    }

    fn close(&mut self, reading: Closed, facts: &Facts) {
        if !(reading.files.dead && reading.files.whole) {
            return;
        }
        let read = self.read.entry(reading.at.node).or_default();
        let Some((term, vote, at)) = read.now else { return };
        if let (None, Some((known, to, known_at))) = (vote, read.before)
            && known == term
        {
            self.forgotten(term, (to, known_at), at, facts);
        }
        let read = self.read.entry(reading.at.node).or_default();
        read.before = vote.map(|to| (term, to, at)).or(read.before);
    }

    fn rule(&self, end: &End<'_>) -> Ruling {
        let votes = self.votes.len() as u64;
        let mut voters: Vec<Id> = self.votes.keys().map(|(voter, _)| *voter).collect();
        voters.dedup();
        let scope = match votes {
            0 => Err("no vote was traced".to_owned()),
            _ => Ok(format!(
                "{} of {}, one a term each",
                count(votes, "vote", "votes"),
                count(voters.len() as u64, "node", "nodes")
            )),
        };
        let granted = (end.facts.traced.votes == 0).then(|| "grants: not traced".to_owned());
        Ruling::new(Claim::VoteOnce, self.findings.clone(), scope)
            .figure("votes", votes)
            .not_judged(granted)
    }
}

impl VoteOnce {
    fn vote(&mut self, term: Epoch, vote: Vote, facts: &Facts) {
        let node = vote.at.node;
        let stood = self
            .stood
            .get(&node)
            .filter(|(stood, at)| *stood == term && at.boot == vote.at.boot && vote.to != node);
        if let Some((_, at)) = stood.copied() {
            self.twice(term, Vote { to: node, at, how: How::Stood }, vote, facts);
            return;
        }
        let first = *self.votes.entry((node, term)).or_insert(vote);
        if first.to != vote.to {
            self.twice(term, first, vote, facts);
        }
    }

    fn forgotten(&mut self, term: Epoch, (to, known_at): (Id, Place), at: Place, facts: &Facts) {
        self.findings.add(at, || {
            let (node, to) = (facts.name(at.node), facts.name(to));
            let summary = format!("{node} had voted for {to} in term {term}, and forgot it");
            let lines = vec![
                said(known_at, format!("{node}'s files have its vote for {to} in term {term}")),
                said(at, format!("{node}'s files have no vote in term {term}")),
            ];
            (summary, lines)
        });
    }

    fn twice(&mut self, term: Epoch, first: Vote, second: Vote, facts: &Facts) {
        self.findings.add(second.at, || {
            let node = facts.name(second.at.node);
            let (one, two) = (facts.name(first.to), facts.name(second.to));
            let summary = format!("{node} voted for {one} and for {two} in term {term}");
            (summary, vec![line(first, term, facts), line(second, term, facts)])
        });
    }
}

fn line(vote: Vote, term: Epoch, facts: &Facts) -> super::findings::Said {
    let (node, to) = (facts.name(vote.at.node), facts.name(vote.to));
    let boot = vote.at.boot;
    let text = match vote.how {
        How::Granted => format!("{node} votes for {to} in term {term} (boot {boot})"),
        How::Durable => format!("{node}'s vote for {to} in term {term} is durable (boot {boot})"),
        How::Won => format!("{node} wins term {term}, with its own vote (boot {boot})"),
        How::Stood => format!("{node} stands for election in term {term} (boot {boot})"),
    };
    said(vote.at, text)
}
