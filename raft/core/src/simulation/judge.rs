//! The laws that span servers and boots: Figure 3 of the paper, and what they rest on.
//!
//! The judge sees everything at once, so each law is checked in the form in which it is stated, at the moment at
//! which it could first be broken.

use std::collections::BTreeMap;

use super::StepRecord;
use super::server::Server;
use crate::effects::{Answer, Input, Role, Transition};
use crate::invariants::Broken;
use crate::log::Log;
use crate::message::{Envelope, Message};
use crate::quorum;
use crate::types::{Entry, Index, NodeId, Position, Term, Token};

type Verdict = Result<(), Broken>;

/// A leader's log at its election.
#[derive(Debug)]
struct Elected {
    node: NodeId,
    log: Vec<Entry>,
}

/// An entry that some server knows to be committed.
#[derive(Debug)]
struct Committed {
    entry: Entry,
    /// The smallest current term of any server that said so.
    term: Term,
}

/// What has happened so far, as far as later events must agree with it.
#[derive(Debug, Default)]
pub(super) struct Judge {
    leaders: BTreeMap<Term, Elected>,
    /// Each entry with the term of its predecessor.
    entries: BTreeMap<Position, (Entry, Term)>,
    committed: BTreeMap<Index, Committed>,
    applied: BTreeMap<Index, Entry>,
    votes: BTreeMap<(NodeId, Term), NodeId>,
    /// What was committed when a read was asked, by server, boot and token.
    reads: BTreeMap<(NodeId, u32, Token), Index>,
}

fn broken(law: &'static str, detail: String) -> Verdict {
    Err(Broken { law, detail })
}

impl Judge {
    /// Returns the highest index that is known to be committed.
    pub(super) fn committed_index(&self) -> Index {
        self.committed.last_key_value().map_or(Index(0), |(index, _)| *index)
    }

    /// Judges a step when it is taken: what it decided, and what leaves before it is durable.
    pub(super) fn on_step(
        &mut self,
        record: &StepRecord,
        log: &Log,
        servers: &[Server],
    ) -> Verdict {
        if let Input::Read { token } = record.input {
            self.reads.insert((record.node, record.boot, token), self.committed_index());
        }
        let mut commit_index = record.before.commit_index;
        for transition in &record.effects.transitions {
            match *transition {
                Transition::Role { role: Role::Leader, term, last_index, .. } => {
                    self.on_elected(record.node, term, log.slice(Index(1), last_index.0 as usize))?;
                }
                Transition::Role { .. } => {}
                Transition::Commit { index, term, counted } => {
                    if counted {
                        check_commit_quorum(index, log, servers)?;
                        check_commit_rule(index, term, log)?;
                    }
                    self.on_committed(log, commit_index, index, term)?;
                    commit_index = index;
                }
            }
        }
        let server = &servers[record.node.0 as usize - 1];
        record.effects.send_now.iter().try_for_each(|envelope| self.on_sent(envelope, server))
    }

    /// Judges a step when what it must persist is durable: what it promised, applied and answered.
    pub(super) fn on_durable(&mut self, record: &StepRecord, server: &Server) -> Verdict {
        self.on_entries(record.prev.term, &record.effects.persist.append)?;
        for envelope in &record.effects.send {
            self.on_sent(envelope, server)?;
        }
        record.effects.apply.iter().try_for_each(|entry| self.on_applied(record.node, entry))?;
        record.effects.answer.iter().try_for_each(|answer| self.on_answer(record, answer, server))
    }

    /// Election Safety: at most one leader a term (§5.2). Leader Completeness, seen from the leader (§5.4).
    fn on_elected(&mut self, node: NodeId, term: Term, log: &[Entry]) -> Verdict {
        if let Some(other) = self.leaders.get(&term).filter(|other| other.node != node) {
            return broken(
                "election-safety",
                format!("{} and {node} lead term {term}", other.node),
            );
        }
        let elected = Elected { node, log: log.to_vec() };
        for committed in self.committed.values().filter(|committed| committed.term < term) {
            check_leader_has(&elected, term, committed)?;
        }
        self.leaders.insert(term, elected);
        Ok(())
    }

    /// State Machine Safety, before anything is applied; Leader Completeness, seen from the entry.
    fn on_committed(&mut self, log: &Log, from: Index, to: Index, term: Term) -> Verdict {
        for entry in log.slice(from.next(), to.0.saturating_sub(from.0) as usize) {
            let committed = self
                .committed
                .entry(entry.index)
                .or_insert_with(|| Committed { entry: entry.clone(), term });
            if committed.entry != *entry {
                let detail = format!("{} and {entry} are both committed", committed.entry);
                return broken("state-machine-safety", detail);
            }
            committed.term = committed.term.min(term);
            let later = self.leaders.range(committed.term.next()..);
            for (leader_term, elected) in later {
                check_leader_has(elected, *leader_term, committed)?;
            }
        }
        Ok(())
    }

    /// Log Matching, in its local form: an index and a term name one entry with one predecessor (§5.3).
    fn on_entries(&mut self, mut prev_term: Term, entries: &[Entry]) -> Verdict {
        for entry in entries {
            let known =
                self.entries.entry(entry.position()).or_insert_with(|| (entry.clone(), prev_term));
            if *known != (entry.clone(), prev_term) {
                let detail = format!(
                    "{entry} holds {:?} after term {} and {:?} after term {prev_term}",
                    known.0.data, known.1, entry.data
                );
                return broken("log-matching", detail);
            }
            prev_term = entry.term;
        }
        Ok(())
    }

    /// A message leaves: what it promises is on its sender's disk, and agrees with all that was promised before.
    fn on_sent(&mut self, envelope: &Envelope, server: &Server) -> Verdict {
        check_promise(envelope, server)?;
        match &envelope.message {
            Message::AppendEntries { prev_log_term, entries, .. } => {
                self.on_entries(*prev_log_term, entries)
            }
            Message::RequestVote { pre_vote: false, .. } => {
                self.on_vote(envelope.from, envelope.term, envelope.from)
            }
            Message::RequestVoteReply { pre_vote: false, vote_granted: true } => {
                self.on_vote(envelope.from, envelope.term, envelope.to)
            }
            Message::RequestVote { .. }
            | Message::RequestVoteReply { .. }
            | Message::AppendEntriesAccepted { .. }
            | Message::AppendEntriesRejected { .. }
            | Message::ReadIndex { .. }
            | Message::ReadIndexReply { .. } => Ok(()),
        }
    }

    /// One vote a term and server, over all its boots (§5.2).
    fn on_vote(&mut self, voter: NodeId, term: Term, candidate: NodeId) -> Verdict {
        let first = *self.votes.entry((voter, term)).or_insert(candidate);
        if first == candidate {
            return Ok(());
        }
        broken("vote-once", format!("{voter} votes for {first} and {candidate} in term {term}"))
    }

    /// State Machine Safety: no two servers apply different entries at an index (§5.4.3).
    fn on_applied(&mut self, node: NodeId, entry: &Entry) -> Verdict {
        let first = self.applied.entry(entry.index).or_insert_with(|| entry.clone());
        if first == entry {
            return Ok(());
        }
        broken("state-machine-safety", format!("{node} applies {entry}, others applied {first}"))
    }

    /// A read covers what was committed before it was asked (thesis §6.4), and is served from what is applied.
    fn on_answer(&mut self, record: &StepRecord, answer: &Answer, server: &Server) -> Verdict {
        let Answer::ReadReady { token, index, .. } = *answer else { return Ok(()) };
        let (node, asked) = (record.node, self.reads.remove(&(record.node, record.boot, token)));
        let floor = asked.unwrap_or_default();
        if index < floor {
            return broken("read-index", format!("{node} serves a read at {index} after {floor}"));
        }
        if index > server.applied {
            let applied = server.applied;
            return broken(
                "read-applied",
                format!("{node} serves {index} from a state at {applied}"),
            );
        }
        Ok(())
    }
}

fn check_leader_has(elected: &Elected, term: Term, committed: &Committed) -> Verdict {
    let entry = &committed.entry;
    if elected.log.get(entry.index.0 as usize - 1) == Some(entry) {
        return Ok(());
    }
    let detail = format!(
        "{entry}, committed in term {}, is missing at {}, leader of term {term}",
        committed.term, elected.node
    );
    broken("leader-completeness", detail)
}

/// A committed entry is durable on a majority (§5.3).
fn check_commit_quorum(index: Index, log: &Log, servers: &[Server]) -> Verdict {
    let holders = servers.iter().filter(|server| server.disk.entry(index) == log.entry(index));
    let (holders, quorum) = (holders.count(), quorum::majority(servers.len()));
    if holders >= quorum {
        return Ok(());
    }
    broken("commit-quorum", format!("{index} is committed, and durable on {holders} of {quorum}"))
}

/// Only entries of the leader's own term are committed by counting (§5.4.2).
fn check_commit_rule(index: Index, term: Term, log: &Log) -> Verdict {
    if log.term(index) == Some(term) {
        return Ok(());
    }
    broken("commit-rule", format!("{index} is committed by counting in term {term}"))
}

/// A message promises only what its sender's disk holds (Figure 2): its term, a vote, acknowledged entries.
fn check_promise(envelope: &Envelope, server: &Server) -> Verdict {
    let disk = &server.disk;
    let voted = |candidate| {
        disk.hard_state.term > envelope.term || disk.hard_state.voted_for == Some(candidate)
    };
    let kept = match &envelope.message {
        // A pre-vote speaks of a term that nobody is in yet.
        Message::RequestVote { pre_vote: true, .. }
        | Message::RequestVoteReply { pre_vote: true, vote_granted: true } => return Ok(()),
        Message::RequestVote { pre_vote: false, .. } => voted(envelope.from),
        Message::RequestVoteReply { pre_vote: false, vote_granted: true } => voted(envelope.to),
        Message::AppendEntriesAccepted { match_index, .. } => *match_index <= disk.last_index(),
        Message::RequestVoteReply { vote_granted: false, .. }
        | Message::AppendEntries { .. }
        | Message::AppendEntriesRejected { .. }
        | Message::ReadIndex { .. }
        | Message::ReadIndexReply { .. } => true,
    };
    if kept && disk.hard_state.term >= envelope.term {
        return Ok(());
    }
    let detail = format!("{envelope:?} leaves, and the disk has {:?}", disk.hard_state);
    broken("durable-before-sent", detail)
}
