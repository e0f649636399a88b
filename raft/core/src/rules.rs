//! The decisions on which safety rests, one small pure rule each.
//!
//! The defaults are the paper's; [`Paper`] takes all of them. A planted bug is another implementation of one rule
//! (see [`crate::planted`]): the code around the rules is the same for both, and cannot tell them apart.

use std::fmt;

use crate::Role;
use crate::log::Log;
use crate::quorum;
use crate::types::{Entry, HardState, Index, Membership, NodeId, Position, Term};

/// The rules as the paper and the thesis give them.
#[derive(Clone, Copy, Debug, Default)]
pub struct Paper;

impl Rules for Paper {}

/// A candidate's request, as far as it decides about the vote.
#[derive(Clone, Copy, Debug)]
pub struct VoteRequest {
    /// Who asks.
    pub candidate: NodeId,
    /// The term of the election.
    pub term: Term,
    /// The end of the candidate's log.
    pub last: Position,
}

/// A follower's refusal of AppendEntries, as far as it decides where to try next.
#[derive(Clone, Copy, Debug)]
pub struct Rejection {
    /// Where the logs did not match.
    pub prev_log_index: Index,
    /// The term of the follower's entry there; none where its log is too short.
    pub conflict_term: Option<Term>,
    /// The follower's first index of that term; where its log is too short, the index after its end.
    pub conflict_index: Index,
}

/// What a leader knows when it asks how far its log is committed.
#[derive(Clone, Copy)]
pub struct CommitView<'a> {
    /// How far it is known to be.
    pub commit_index: Index,
    /// The leader's term.
    pub term: Term,
    /// The leader's log.
    pub log: &'a Log,
    /// Who votes.
    pub membership: &'a Membership,
    /// How far each server's durable log is known to match, the leader's own included.
    pub match_index: &'a dyn Fn(NodeId) -> Index,
}

/// How a read is served.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReadPath {
    /// From what is applied here, without asking anybody.
    Local,
    /// After a round of heartbeats has confirmed that this server still leads.
    Round,
    /// After this server, which leads as far as is known, has named a read index.
    Forward(NodeId),
    /// Not here, not now.
    Refuse,
}

/// The decisions on which safety rests.
pub trait Rules: fmt::Debug + Send + Sync {
    /// Term and vote after a message of a term was seen. A higher term is adopted, and nobody has the vote in it
    /// yet; nothing else touches either (paper §5.1, Figure 2 "All Servers").
    fn hard_state_after(&self, own: HardState, seen: Term) -> HardState {
        if seen > own.term { HardState { term: seen, voted_for: None } } else { own }
    }

    /// Whether a candidate gets the vote: one candidate a term, and only one whose log is up to date (paper §5.2,
    /// §5.4.1).
    fn grants_vote(&self, request: &VoteRequest, own: HardState, own_last: Position) -> bool {
        let free = own.voted_for.is_none_or(|holder| holder == request.candidate);
        request.term == own.term && free && self.log_is_up_to_date(request.last, own_last)
    }

    /// Whether a candidate's log is at least as up to date as the voter's: the later last term wins, and with equal
    /// terms the longer log (paper §5.4.1). So a winner holds all that is committed.
    fn log_is_up_to_date(&self, candidate_last: Position, own_last: Position) -> bool {
        candidate_last >= own_last
    }

    /// Whether a reply counts as a vote for the candidate of `term`: a grant of that very term (paper §5.2).
    fn counts_vote(&self, granted: bool, reply_term: Term, term: Term) -> bool {
        granted && reply_term == term
    }

    /// How many of so many voters decide an election, a commitment, a confirmation (paper §5.2).
    fn quorum(&self, voters: usize) -> usize {
        quorum::majority(voters)
    }

    /// Where a leader puts its next entry: behind all others. It never overwrites or deletes (paper §5.3, Leader
    /// Append-Only).
    fn next_entry_index(&self, log: &Log, _term: Term) -> Index {
        log.last_index().next()
    }

    /// Whether entries may follow on `prev`: only if the follower's log has the same entry there (paper §5.3). What
    /// stands below the base is committed, so it is the same.
    fn accepts_entries(&self, prev: Position, log: &Log) -> bool {
        prev.index < log.base().index || log.term(prev.index) == Some(prev.term)
    }

    /// From where a follower's log must go to make place for a leader's entries: from the first that conflicts with
    /// one of them (paper §5.3). Nothing goes where none conflicts: the message may be an old one, and what follows
    /// in the log may be acknowledged since.
    fn truncates_from(&self, _prev: Position, entries: &[Entry], log: &Log) -> Option<Index> {
        let conflicts =
            |entry: &&Entry| log.term(entry.index).is_some_and(|term| term != entry.term);
        entries.iter().find(conflicts).map(|entry| entry.index)
    }

    /// Up to where a follower vouches for its log: the last entry that the message covered, for only so far is it
    /// known to be the leader's (paper §5.3). `last_new` is that entry's index.
    fn acknowledges(&self, last_new: Index, _log: &Log) -> Index {
        last_new
    }

    /// A follower's commit index after it accepted a message: what the leader has committed, but not beyond the last
    /// entry that the message covered; what follows may be another leader's (paper Figure 2, AppendEntries 5).
    fn follower_commit_index(
        &self,
        commit_index: Index,
        leader_commit: Index,
        last_new: Index,
        _log: &Log,
    ) -> Index {
        commit_index.max(leader_commit.min(last_new))
    }

    /// Whether an acknowledgement counts for the leader of `term`: only one of that very term. An older one may speak
    /// of entries that were replaced since (paper §5.1).
    fn counts_acknowledgement(&self, reply_term: Term, term: Term) -> bool {
        reply_term == term
    }

    /// From where to try next after a refusal: past the entries of the conflicting term where the leader has that
    /// term too, else before the follower's first entry of it (paper §5.3, end). Always lower than before.
    fn next_index_after(&self, rejection: &Rejection, log: &Log) -> Index {
        let prev = rejection.prev_log_index;
        let shared = rejection.conflict_term.and_then(|term| log.last_of_term(term, prev));
        shared.map_or(rejection.conflict_index, Index::next).min(prev)
    }

    /// A leader's commit index: the highest that is durable on a majority, if its entry is of the leader's own term.
    ///
    /// An older entry on a majority can still be overwritten (paper §5.4.2, Figure 8; the script
    /// `commit/figure_8_an_old_entry_on_a_majority_may_still_be_lost`). It commits with the first of ours.
    fn leader_commit_index(&self, view: &CommitView<'_>) -> Index {
        let quorum = self.quorum(view.membership.voters.len());
        let index = quorum::highest_reached(view.membership, quorum, view.match_index);
        if index > view.commit_index && view.log.term(index) == Some(view.term) {
            index
        } else {
            view.commit_index
        }
    }

    /// How a read is served: the leader confirms that it leads, everybody else asks the leader (thesis §6.4).
    fn read_path(&self, role: Role, leader: Option<NodeId>) -> ReadPath {
        match (role, leader) {
            (Role::Leader, _) => ReadPath::Round,
            (Role::Follower, Some(leader)) => ReadPath::Forward(leader),
            (Role::Follower | Role::PreCandidate | Role::Candidate, _) => ReadPath::Refuse,
        }
    }

    /// Whether reads must wait before a read index is taken: until an entry of the leader's own term is committed.
    /// Only then does it know all that its predecessors have committed (thesis §6.4, step 1; paper §8).
    fn read_waits_for_noop(&self, commit_term: Option<Term>, term: Term) -> bool {
        commit_term != Some(term)
    }

    /// Whether so many voters, the leader included, confirm by their answers to a round that was begun after the
    /// reads came that nobody else led before it (thesis §6.4, step 3).
    fn confirms_round(&self, confirmations: usize, voters: usize) -> bool {
        confirmations >= self.quorum(voters)
    }
}
