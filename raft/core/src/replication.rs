//! Log replication (thesis §3.5), pipelined (§10.2.1), and a leader's care for its quorum (§6.2).
//!
//! A leader sends entries as they come, to each follower at its own pace ([`crate::progress`]). Where a message was
//! lost or the logs differ, a follower refuses, and the leader looks for the match with empty AppendEntries. A
//! heartbeat is one of these: it stands before the next entry to send, so that its answer tells of any loss.

use std::collections::{BTreeMap, VecDeque};

use crate::effects::Answer;
use crate::message::{Message, Round};
use crate::progress::Progress;
use crate::quorum;
use crate::raft::{Raft, RoleState};
use crate::read::{ReadRound, WaitingRead};
use crate::rules::Rejection;
use crate::types::{Entry, EntryKind, Index, NodeId, Position, Term, Token};

/// What only a leader knows.
#[derive(Debug, Default)]
pub(crate) struct Leadership {
    pub(crate) progress: BTreeMap<NodeId, Progress>,
    /// Reads that wait for the no-op, or for room among the rounds.
    pub(crate) waiting_reads: Vec<WaitingRead>,
    /// Rounds of heartbeats that wait for a majority, oldest first.
    pub(crate) rounds: VecDeque<ReadRound>,
    heartbeat_elapsed: u32,
    quorum_elapsed: u32,
}

/// The AppendEntries RPC.
#[derive(Debug)]
pub(crate) struct AppendEntries {
    pub(crate) prev: Position,
    pub(crate) entries: Vec<Entry>,
    pub(crate) leader_commit: Index,
    pub(crate) round: Round,
}

impl AppendEntries {
    /// Returns the index of the last entry that the message covers.
    fn last_new(&self) -> Index {
        Index(self.prev.index.0 + self.entries.len() as u64)
    }

    fn is_contiguous(&self) -> bool {
        self.entries
            .iter()
            .zip(self.prev.index.0 + 1..)
            .all(|(entry, index)| entry.index.0 == index)
    }
}

impl Raft {
    /// Takes over, and says so with the first entry of the term (paper §5.2, §8).
    pub(crate) fn become_leader(&mut self) {
        let next_index = self.log.last_index().next();
        let progress = self.peers().into_iter().map(|id| (id, Progress::new(next_index)));
        let leading = Leadership { progress: progress.collect(), ..Leadership::default() };
        self.leader = Some(self.id());
        self.become_role(RoleState::Leader(leading));
        self.append_own(EntryKind::Noop, Vec::new());
    }

    /// Puts a client's command into the log, or says who can.
    pub(crate) fn on_propose(&mut self, token: Token, data: Vec<u8>) {
        let answer = match self.role {
            RoleState::Leader(_) => {
                let Position { term, index } = self.append_own(EntryKind::Command, data);
                Answer::Proposed { token, index, term }
            }
            RoleState::Follower | RoleState::PreCandidate(_) | RoleState::Candidate(_) => {
                Answer::NotLeader { token, hint: self.leader }
            }
        };
        self.effects.answer.push(answer);
    }

    /// Appends an entry of the own term and sends it at once. The own disk works meanwhile (thesis §10.2.1): the term
    /// is durable since before the votes were asked for.
    fn append_own(&mut self, kind: EntryKind, data: Vec<u8>) -> Position {
        let index = self.rules.next_entry_index(&self.log, self.term());
        let entry = Entry { index, term: self.term(), kind, data };
        let position = entry.position();
        self.append(&[entry]);
        for peer in self.peers() {
            self.replicate_to(peer);
        }
        position
    }

    /// The disk holds the log up to an entry, if that is still the entry there. Only now it counts for the leader
    /// itself.
    pub(crate) fn on_persisted(&mut self, index: Index, term: Term) {
        if self.log.term(index) == Some(term) && index > self.durable_index {
            self.durable_index = index;
            self.advance_leader_commit();
        }
    }

    /// Lets a tick pass for a leader.
    pub(crate) fn tick_leader(&mut self) {
        if self.lost_its_quorum() {
            self.follow(None);
            return;
        }
        let silent = self.silent_followers();
        let heartbeat_ticks = self.config.heartbeat_ticks;
        let RoleState::Leader(leading) = &mut self.role else { return };
        leading.heartbeat_elapsed += 1;
        if leading.heartbeat_elapsed >= heartbeat_ticks {
            self.broadcast_heartbeat();
        } else {
            silent.into_iter().for_each(|peer| self.send_heartbeat(peer));
        }
    }

    /// Whether an election timeout went by in which less than a majority answered: somebody else may lead by now, and
    /// clients had better look for it (thesis §6.2).
    fn lost_its_quorum(&mut self) -> bool {
        let (own, quorum) = (self.id(), self.quorum());
        let RoleState::Leader(leading) = &mut self.role else { return false };
        leading.quorum_elapsed += 1;
        if !self.config.check_quorum || leading.quorum_elapsed < *self.config.election_ticks.end() {
            return false;
        }
        leading.quorum_elapsed = 0;
        let progress = &mut leading.progress;
        let is_active = |id| id == own || progress.get(&id).is_some_and(|one| one.active);
        let active = quorum::count(&self.membership, is_active);
        progress.values_mut().for_each(|one| one.active = false);
        active < quorum
    }

    /// Returns the followers whose answers are overdue, each now to be probed.
    fn silent_followers(&mut self) -> Vec<NodeId> {
        let retry_ticks = self.config.retry_ticks;
        let RoleState::Leader(leading) = &mut self.role else { return Vec::new() };
        let overdue = leading
            .progress
            .iter_mut()
            .filter_map(|(id, one)| one.tick(retry_ticks).then_some(*id));
        overdue.collect()
    }

    /// Speaks to all followers, with the latest round and the commit index.
    pub(crate) fn broadcast_heartbeat(&mut self) {
        if let RoleState::Leader(leading) = &mut self.role {
            leading.heartbeat_elapsed = 0;
        }
        for peer in self.peers() {
            self.send_heartbeat(peer);
        }
    }

    /// Sends all entries that the follower has room for.
    fn replicate_to(&mut self, to: NodeId) {
        while let Some(message) = self.next_entries(to) {
            self.send_now(to, message);
        }
    }

    fn next_entries(&mut self, to: NodeId) -> Option<Message> {
        let RoleState::Leader(leading) = &mut self.role else { return None };
        let progress = leading.progress.get_mut(&to)?;
        if !progress.has_room(self.config.max_inflight) {
            return None;
        }
        let prev = progress.next_index.prev();
        let entries = self.log.slice(progress.next_index, self.config.max_entries).to_vec();
        progress.sent(entries.last()?.index);
        self.append_entries(prev, entries)
    }

    fn send_heartbeat(&mut self, to: NodeId) {
        let RoleState::Leader(leading) = &self.role else { return };
        let Some(progress) = leading.progress.get(&to) else { return };
        let prev = progress.next_index.prev();
        if let Some(message) = self.append_entries(prev, Vec::new()) {
            self.send_now(to, message);
        }
    }

    /// Returns the message for entries that follow on `prev`; none where the log no longer reaches so far back: that
    /// follower needs a snapshot.
    fn append_entries(&self, prev: Index, entries: Vec<Entry>) -> Option<Message> {
        Some(Message::AppendEntries {
            prev_log_index: prev,
            prev_log_term: self.log.term(prev)?,
            entries,
            leader_commit: self.commit_index,
            round: self.round,
        })
    }

    /// Takes over a leader's entries (paper Figure 2, AppendEntries).
    pub(crate) fn on_append_entries(&mut self, from: NodeId, term: Term, rpc: AppendEntries) {
        if term < self.term() {
            // The reply tells the sender that its term is over (paper §5.1).
            self.reject(from, &rpc);
            return;
        }
        // Two leaders in a term would be a broken promise, and are for others to find; neither follows the other.
        if matches!(self.role, RoleState::Leader(_)) || !rpc.is_contiguous() {
            return;
        }
        self.follow(Some(from));
        self.timer.since_leader = 0;
        self.reset_timer();
        if !self.rules.accepts_entries(rpc.prev, &self.log) {
            self.reject(from, &rpc);
            return;
        }
        self.store(&rpc);
        let last_new = rpc.last_new();
        let commit_index = self.rules.follower_commit_index(
            self.commit_index,
            rpc.leader_commit,
            last_new,
            &self.log,
        );
        self.commit_to(commit_index, false);
        let match_index = self.rules.acknowledges(last_new, &self.log);
        self.send(from, Message::AppendEntriesAccepted { match_index, round: rpc.round });
    }

    fn store(&mut self, rpc: &AppendEntries) {
        if let Some(from) = self.rules.truncates_from(rpc.prev, &rpc.entries, &self.log) {
            self.truncate_from(from);
        }
        let last_index = self.log.last_index();
        let known = rpc.entries.partition_point(|entry| entry.index <= last_index);
        self.append(&rpc.entries[known..]);
    }

    /// Refuses, and says where the leader had better look (paper §5.3, end).
    fn reject(&mut self, to: NodeId, rpc: &AppendEntries) {
        let conflict_term = self.log.term(rpc.prev.index);
        let conflict_index = match conflict_term {
            Some(_) => self.log.first_of_term_at(rpc.prev.index),
            None => self.log.last_index().next(),
        };
        let prev_log_index = rpc.prev.index;
        let round = rpc.round;
        self.send(
            to,
            Message::AppendEntriesRejected { prev_log_index, conflict_term, conflict_index, round },
        );
    }

    /// A follower has the entries.
    pub(crate) fn on_append_entries_accepted(
        &mut self,
        from: NodeId,
        term: Term,
        match_index: Index,
        round: Round,
    ) {
        if !self.rules.counts_acknowledgement(term, self.term())
            || match_index > self.log.last_index()
        {
            return;
        }
        let Some(progress) = self.progress_mut(from) else { return };
        progress.active = true;
        progress.accepted(match_index);
        self.advance_leader_commit();
        self.replicate_to(from);
        self.confirm_round(from, round);
    }

    /// A follower's log does not match there: look further back.
    pub(crate) fn on_append_entries_rejected(
        &mut self,
        from: NodeId,
        term: Term,
        rejection: Rejection,
        round: Round,
    ) {
        if term != self.term() {
            return;
        }
        let next_index = self.rules.next_index_after(&rejection, &self.log);
        let lowest = self.log.base().index.next();
        let Some(progress) = self.progress_mut(from) else { return };
        progress.active = true;
        if progress.is_fresh(rejection.prev_log_index) {
            progress.probe(next_index.max(lowest));
            self.send_heartbeat(from);
        }
        self.confirm_round(from, round);
    }

    fn progress_mut(&mut self, id: NodeId) -> Option<&mut Progress> {
        match &mut self.role {
            RoleState::Leader(leading) => leading.progress.get_mut(&id),
            RoleState::Follower | RoleState::PreCandidate(_) | RoleState::Candidate(_) => None,
        }
    }
}
