//! What the node says of itself: `squall-trace/1`, written from what the loop has just done.
//!
//! A batch of steps makes two writes. The first, before anything leaves: changes of role, and entries that are in the log,
//! in memory. The second, after the sync and before the messages that wait for it: term and vote, durability, votes, acks,
//! commitment, application, reads. Rules have no part in it, so a planted bug cannot forge it.

use std::fs::File;
use std::io::{self, Write};
use std::path::Path;

use squall_history::NodeName;
use squall_history::trace::{CommitBy, EntryHash, Epoch, LogPosition, TraceEvent, Voters};
use squall_raft_core::{
    Entry, EntryKind, Envelope, HardState, Membership, Message, NodeId, Persist, Recovered, Role,
    Status, Transition,
};
use squall_trace::Lines;
pub use squall_trace::now;

/// Turns effects into lines. Knows no file and no clock, so that a simulation can record too.
#[derive(Debug, Default)]
pub struct Recorder {
    lines: Lines,
    /// Terms of the entries in the log by index - 1, to name predecessors.
    terms: Vec<u64>,
}

impl Recorder {
    /// Starts a trace with its header.
    pub fn new(node: NodeId, boot: u32) -> Recorder {
        Recorder { lines: Lines::new(&name(node), boot), terms: Vec::new() }
    }

    /// Takes what was recorded since the last call: whole lines, for one write.
    pub fn take(&mut self) -> Vec<u8> {
        self.lines.take()
    }

    /// Says what recovery found.
    pub fn boot(&mut self, time: u64, recovered: &Recovered, membership: &Membership) {
        let (index, term) = recovered.base;
        let voters = membership.voters.iter().map(|id| name(*id)).collect();
        let event = TraceEvent::Boot {
            term: epoch(recovered.hard_state.term),
            vote: recovered.hard_state.voted_for.map(name),
            snapshot: LogPosition { index: index.0, term: epoch(term) },
            applied: index.0,
            config: Voters { voters, ..Voters::default() },
        };
        self.event(time, event);
        self.append(time, &recovered.entries, true);
        if let Some(last) = recovered.entries.last() {
            self.event(time, TraceEvent::Durable { upto: last.index.0 });
        }
    }

    /// Says what a step changed in memory.
    pub fn changed(&mut self, time: u64, transitions: &[Transition], persist: &Persist) {
        for transition in transitions {
            if let Transition::Role { role, term, last_index, last_term } = transition {
                let last = LogPosition { index: last_index.0, term: epoch(*last_term) };
                let term = epoch(*term);
                self.event(
                    time,
                    match role {
                        Role::Follower => TraceEvent::BecomeFollower { term, last },
                        Role::PreCandidate => TraceEvent::BecomePreCandidate { term, last },
                        Role::Candidate => TraceEvent::BecomeCandidate { term, last },
                        Role::Leader => TraceEvent::BecomeLeader { term, last },
                    },
                );
            }
        }
        if let Some(from) = persist.truncate_from {
            self.terms.truncate(from.prev().0 as usize);
            self.event(time, TraceEvent::Truncate { from: from.0 });
        }
        self.append(time, &persist.append, false);
    }

    fn append(&mut self, time: u64, entries: &[Entry], recovered: bool) {
        for run in entries.chunk_by(|a, b| a.term == b.term) {
            let first = &run[0];
            let before = first.index.prev().0;
            let prev_term = match before {
                0 => 0,
                index => self.terms.get(index as usize - 1).copied().unwrap_or(0),
            };
            // A broken rule may put an entry where one stands already: the model of the log follows what happened.
            self.terms.truncate(before as usize);
            self.terms.extend(run.iter().map(|entry| entry.term.0));
            let event = TraceEvent::Append {
                index: first.index.0,
                term: epoch(first.term),
                prev_term: prev_term.into(),
                hashes: run.iter().map(hash).collect(),
                recovered,
            };
            self.event(time, event);
        }
    }

    /// Says what a sync made durable: what was written, not what was meant.
    pub fn synced(&mut self, time: u64, hard_state: Option<HardState>, upto: Option<u64>) {
        if let Some(hard_state) = hard_state {
            let vote = hard_state.voted_for.map(name);
            self.event(time, TraceEvent::HardState { term: epoch(hard_state.term), vote });
        }
        if let Some(upto) = upto {
            self.event(time, TraceEvent::Durable { upto });
        }
    }

    /// Says what a message is about to claim.
    pub fn sends(&mut self, time: u64, envelope: &Envelope, asked: Option<Asked>) {
        let (to, term) = (name(envelope.to), epoch(envelope.term));
        match &envelope.message {
            Message::RequestVoteReply { vote_granted: true, pre_vote } => {
                self.event(time, TraceEvent::Vote { to, term, prevote: *pre_vote });
            }
            Message::AppendEntriesAccepted { match_index, .. } => {
                let Asked { prev, entries } = asked.unwrap_or_default();
                let index = match_index.0;
                self.event(time, TraceEvent::Ack { to, index, term, prev, entries });
            }
            Message::RequestVote { .. }
            | Message::RequestVoteReply { vote_granted: false, .. }
            | Message::AppendEntries { .. }
            | Message::AppendEntriesRejected { .. }
            | Message::ReadIndex { .. }
            | Message::ReadIndexReply { .. } => {}
        }
    }

    /// Says how far the log is committed.
    pub fn committed(&mut self, time: u64, transitions: &[Transition]) {
        for transition in transitions {
            if let Transition::Commit { index, term, counted } = transition {
                let by = Some(if *counted { CommitBy::Count } else { CommitBy::Leader });
                let event = TraceEvent::Commit { index: index.0, term: epoch(*term), by };
                self.event(time, event);
            }
        }
    }

    /// Says that the state machine took an entry.
    pub fn applied(&mut self, time: u64, entry: &Entry) {
        let event = TraceEvent::Apply {
            index: entry.index.0,
            term: epoch(entry.term),
            hash: hash(entry),
            digest: None,
        };
        self.event(time, event);
    }

    /// Says that a read is served.
    pub fn read_index(&mut self, time: u64, token: u64, index: u64, term: u64) {
        let event = TraceEvent::ReadIndex {
            token: token.to_string(),
            index,
            term: term.into(),
            mode: Some("read_index".to_owned()),
        };
        self.event(time, event);
    }

    fn event(&mut self, time: u64, event: TraceEvent) {
        self.lines.say(time, event);
    }
}

/// What an AppendEntries asked for, for the trace of its answer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Asked {
    /// Its prev_log_index.
    pub prev: u64,
    /// How many entries it carried.
    pub entries: u64,
}

impl Asked {
    /// Returns what a message asks for, if it is an AppendEntries.
    pub fn of(envelope: &Envelope) -> Option<Asked> {
        match &envelope.message {
            Message::AppendEntries { prev_log_index, entries, .. } => {
                Some(Asked { prev: prev_log_index.0, entries: entries.len() as u64 })
            }
            Message::RequestVote { .. }
            | Message::RequestVoteReply { .. }
            | Message::AppendEntriesAccepted { .. }
            | Message::AppendEntriesRejected { .. }
            | Message::ReadIndex { .. }
            | Message::ReadIndexReply { .. } => None,
        }
    }
}

/// A trace on its way to a file.
#[derive(Debug)]
pub struct Trace {
    /// What is to be written.
    pub recorder: Recorder,
    file: Option<File>,
}

impl Trace {
    /// Opens `$SQUALL_TRACE`, whose name ends in `.<boot>.jsonl`; without it nothing is written.
    pub fn open(node: NodeId, path: Option<&Path>) -> io::Result<Trace> {
        let boot = path.and_then(boot_of).unwrap_or(0);
        let file = path.map(File::create).transpose()?;
        Ok(Trace { recorder: Recorder::new(node, boot), file })
    }

    /// Returns whether anybody reads it.
    pub fn is_on(&self) -> bool {
        self.file.is_some()
    }

    /// Hands the lines to the kernel with one write, where they survive kill -9.
    pub fn write(&mut self) -> io::Result<()> {
        let lines = self.recorder.take();
        match &mut self.file {
            Some(file) if !lines.is_empty() => file.write_all(&lines),
            _ => Ok(()),
        }
    }
}

fn boot_of(path: &Path) -> Option<u32> {
    path.file_stem()?.to_str()?.rsplit_once('.')?.1.parse().ok()
}

/// Returns the node's name in traces: `n1`.
pub fn name(node: NodeId) -> NodeName {
    NodeName::from(node.to_string().as_str())
}

fn epoch(term: squall_raft_core::Term) -> Epoch {
    term.0.into()
}

/// Returns the hash of an entry's command: FNV-1a over its kind and its bytes.
fn hash(entry: &Entry) -> EntryHash {
    let kind = match entry.kind {
        EntryKind::Noop => 0u8,
        EntryKind::Command => 1,
        EntryKind::Config => 2,
    };
    let bytes = std::iter::once(&kind).chain(&entry.data);
    let fold = |hash: u64, byte: &u8| (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3);
    EntryHash(bytes.fold(0xcbf2_9ce4_8422_2325, fold))
}

/// Says what a node is, for the client port's `status`.
pub fn role_name(status: &Status) -> &'static str {
    match status.role {
        Role::Follower => "follower",
        Role::PreCandidate => "pre-candidate",
        Role::Candidate => "candidate",
        Role::Leader => "leader",
    }
}
