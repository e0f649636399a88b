//! The contract with the shell: what goes in, and what the caller then owes, in which order.

use crate::message::Envelope;
use crate::types::{Entry, HardState, Index, NodeId, Term, Token};

/// What may happen to a server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Input {
    /// A tick of the clock went by.
    Tick,
    /// A message arrived.
    Receive(Envelope),
    /// A client wants a command in the log.
    Propose {
        /// The shell's name for it.
        token: Token,
        /// The command.
        data: Vec<u8>,
    },
    /// A client wants to read.
    Read {
        /// The shell's name for it.
        token: Token,
    },
    /// The log is durable up to an entry. The term guards against a late notice for what was replaced since.
    Persisted {
        /// The last durable index.
        index: Index,
        /// The term of the entry there.
        term: Term,
    },
}

/// What the caller must now do, in the order of the fields.
///
/// `send_now` may leave at once. Everything after `persist` waits until `persist` is on disk: a message in `send`
/// claims it. The shell writes its trace between the two.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Effects {
    /// Messages that claim nothing unpersisted; a leader's AppendEntries once its term is durable (thesis §10.2.1).
    pub send_now: Vec<Envelope>,
    /// What must be durable before the rest is done.
    pub persist: Persist,
    /// What changed in the server, in order, for the trace.
    pub transitions: Vec<Transition>,
    /// Messages that claim what `persist` holds.
    pub send: Vec<Envelope>,
    /// Entries for the state machine, in order, each exactly once a boot.
    pub apply: Vec<Entry>,
    /// Answers to proposals and reads. Results of commands are the shell's, after it applied them.
    pub answer: Vec<Answer>,
}

/// What must reach the disk.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Persist {
    /// Term and vote, where they changed.
    pub hard_state: Option<HardState>,
    /// The log is cut: this index and all after it are gone. Comes before `append`.
    pub truncate_from: Option<Index>,
    /// Entries at the end of the log.
    pub append: Vec<Entry>,
}

impl Persist {
    /// Returns whether there is nothing to write.
    pub fn is_empty(&self) -> bool {
        self.hard_state.is_none() && self.truncate_from.is_none() && self.append.is_empty()
    }
}

/// A change that the trace tells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Transition {
    /// The role changed. Index and term are those of the last entry at that moment (for a leader: before its no-op).
    Role {
        /// The new role.
        role: Role,
        /// The current term.
        term: Term,
        /// The last index.
        last_index: Index,
        /// The term of the entry there.
        last_term: Term,
    },
    /// The commit index moved.
    Commit {
        /// To where.
        index: Index,
        /// The current term.
        term: Term,
        /// By counting replicas, as leaders do; else by word of the leader.
        counted: bool,
    },
}

/// What a server is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Role {
    /// Follows a leader, or waits for one.
    #[default]
    Follower,
    /// Asks whether it could win (thesis §9.6).
    PreCandidate,
    /// Stands for election.
    Candidate,
    /// Leads its term.
    Leader,
}

/// An answer to a request of the shell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// The command stands in the leader's log; it takes effect if this very entry is committed.
    Proposed {
        /// The shell's name.
        token: Token,
        /// Where it stands.
        index: Index,
        /// In which term.
        term: Term,
    },
    /// The server does not lead; the command was not proposed, and never will be.
    NotLeader {
        /// The shell's name.
        token: Token,
        /// Who leads, as far as is known.
        hint: Option<NodeId>,
    },
    /// The read may be served from a state machine that has applied `index`, which it has: `apply` comes first.
    ReadReady {
        /// The shell's name.
        token: Token,
        /// The read index.
        index: Index,
        /// The term of the leader that confirmed the round.
        term: Term,
    },
    /// The read cannot be served here now.
    ReadRefused {
        /// The shell's name.
        token: Token,
        /// Who leads, as far as is known.
        hint: Option<NodeId>,
    },
}
