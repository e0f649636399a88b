//! The RPCs, by their paper names.
//!
//! A request and its reply are two messages: nothing waits, and each may be lost, doubled or late.

use serde::{Deserialize, Serialize};

use crate::types::{Entry, Index, NodeId, Term, Token};

/// A message on its way.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Envelope {
    /// The sender.
    pub from: NodeId,
    /// The receiver.
    pub to: NodeId,
    /// The sender's current term (for a pre-vote request, and for the grant that answers it: the term that the
    /// candidate would stand in).
    pub term: Term,
    /// What is said.
    pub message: Message,
}

/// Names a round of heartbeats that confirms a leader (thesis §6.4). Made by the leader, never used twice.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize,
)]
pub struct Round(pub u64);

/// What servers say to each other.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Message {
    /// A candidate asks for a vote (paper §5.2, §5.4.1), or whether it would get one (PreVote, thesis §9.6).
    RequestVote {
        /// The end of the candidate's log.
        last_log_index: Index,
        /// The term of the entry there.
        last_log_term: Term,
        /// Binds nobody.
        pre_vote: bool,
    },
    /// The answer to `RequestVote`.
    RequestVoteReply {
        /// Whether the candidate has the vote.
        vote_granted: bool,
        /// The answer is to a pre-vote.
        pre_vote: bool,
    },
    /// A leader replicates entries, and says that it lives (paper §5.3).
    AppendEntries {
        /// The position before the first entry.
        prev_log_index: Index,
        /// The term of the entry there.
        prev_log_term: Term,
        /// The entries; none in a heartbeat.
        entries: Vec<Entry>,
        /// The leader's commit index.
        leader_commit: Index,
        /// The latest round of ReadIndex that this message may confirm.
        round: Round,
    },
    /// The logs match up to an index.
    AppendEntriesAccepted {
        /// `prev_log_index` plus the number of entries of the request.
        match_index: Index,
        /// The request's round.
        round: Round,
    },
    /// The logs do not match at `prev_log_index`.
    AppendEntriesRejected {
        /// The request's `prev_log_index`, which tells a stale refusal from a fresh one.
        prev_log_index: Index,
        /// The term of the conflicting entry; none where the log is too short (paper §5.3, end).
        conflict_term: Option<Term>,
        /// The first index of that term; where the log is too short, the index after its end.
        conflict_index: Index,
        /// The request's round: a refusal confirms the leader's term as well as a success.
        round: Round,
    },
    /// A follower asks its leader for a read index (thesis §6.4).
    ReadIndex {
        /// The follower's name for the read.
        token: Token,
    },
    /// The answer to `ReadIndex`.
    ReadIndexReply {
        /// The follower's name for the read.
        token: Token,
        /// The read index; none where the asked server does not lead.
        index: Option<Index>,
    },
}
