//! A server's state, and the step that changes it. Here is only dispatch; each section of the thesis has its file.

use std::mem;
use std::sync::Arc;

use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

use crate::config::{Config, Recovered};
use crate::effects::{Effects, Input, Role, Transition};
use crate::election::{Ballot, Timer};
use crate::log::Log;
use crate::message::{Envelope, Message, Round};
use crate::progress::Progress;
use crate::read::Reads;
use crate::replication::{AppendEntries, Leadership};
use crate::rules::{Rejection, Rules, VoteRequest};
use crate::types::{Entry, HardState, Index, Membership, NodeId, Position, Term};

/// A Raft server, without its shell.
#[derive(Debug)]
pub struct Raft {
    pub(crate) config: Config,
    pub(crate) rules: Arc<dyn Rules>,
    pub(crate) random: ChaCha8Rng,
    /// Who votes now.
    pub(crate) membership: Membership,

    // Persistent state (paper Figure 2).
    pub(crate) hard_state: HardState,
    pub(crate) log: Log,
    /// How much of the log the shell has reported durable.
    pub(crate) durable_index: Index,

    // Volatile state.
    pub(crate) commit_index: Index,
    pub(crate) last_applied: Index,
    pub(crate) role: RoleState,
    pub(crate) leader: Option<NodeId>,
    pub(crate) timer: Timer,
    /// Ticks since the start.
    pub(crate) now: u64,
    /// The latest round of ReadIndex that this server has begun.
    pub(crate) round: Round,
    pub(crate) reads: Reads,
    /// What the current step has produced so far.
    pub(crate) effects: Effects,
}

/// A role, with what only that role knows.
#[derive(Debug)]
pub(crate) enum RoleState {
    Follower,
    PreCandidate(Ballot),
    Candidate(Ballot),
    Leader(Leadership),
}

/// A server's state as it is told to others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Status {
    /// Who.
    pub id: NodeId,
    /// What it is.
    pub role: Role,
    /// Its current term.
    pub term: Term,
    /// Who has its vote in that term.
    pub voted_for: Option<NodeId>,
    /// Who leads, as far as it knows.
    pub leader: Option<NodeId>,
    /// The highest index that it knows to be committed.
    pub commit_index: Index,
    /// The highest index that was given to the state machine.
    pub last_applied: Index,
    /// The end of its log.
    pub last_index: Index,
    /// The term of the entry there.
    pub last_term: Term,
}

impl Raft {
    /// Starts a server from what its disk holds. It follows, knows no leader and no commit index; `apply` will
    /// deliver every entry above the base again.
    ///
    /// # Panics
    ///
    /// Where the configuration makes no sense ([`Config::problem`]) or the recovered log has a gap; the shell has
    /// looked at both before.
    pub fn new(config: Config, rules: Arc<dyn Rules>, recovered: Recovered, seed: u64) -> Raft {
        assert!(
            config.problem().is_none(),
            "configuration of {}: {:?}",
            config.id,
            config.problem()
        );
        let base = Position { index: recovered.base.0, term: recovered.base.1 };
        let log = Log::new(base, recovered.entries);
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        let timer = Timer::new(&config.election_ticks, &mut random);
        let reads = Reads::new(&mut random);
        Raft {
            membership: config.membership.clone(),
            config,
            rules,
            random,
            hard_state: recovered.hard_state,
            durable_index: log.last_index(),
            log,
            commit_index: base.index,
            last_applied: base.index,
            role: RoleState::Follower,
            leader: None,
            timer,
            now: 0,
            round: Round(0),
            reads,
            effects: Effects::default(),
        }
    }

    /// Takes one step. The caller owes what is returned before it may take the next message's consequences for
    /// granted; see [`Effects`].
    pub fn step(&mut self, input: Input) -> Effects {
        match input {
            Input::Tick => self.tick(),
            Input::Receive(envelope) => self.receive(envelope),
            Input::Propose { token, data } => self.on_propose(token, data),
            Input::Read { token } => self.on_read(token),
            Input::Persisted { index, term } => self.on_persisted(index, term),
        }
        self.apply_committed();
        self.answer_applied_reads();
        mem::take(&mut self.effects)
    }

    /// Returns the state as it is told to others.
    pub fn status(&self) -> Status {
        let last = self.log.last();
        Status {
            id: self.id(),
            role: self.role(),
            term: self.term(),
            voted_for: self.hard_state.voted_for,
            leader: self.leader,
            commit_index: self.commit_index,
            last_applied: self.last_applied,
            last_index: last.index,
            last_term: last.term,
        }
    }

    /// Returns the log.
    pub fn log(&self) -> &Log {
        &self.log
    }

    /// Returns who votes now.
    pub fn membership(&self) -> &Membership {
        &self.membership
    }

    /// Returns the configuration that the server was started with.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// Returns what a leader knows of its followers; nothing elsewhere.
    pub fn progress(&self) -> impl Iterator<Item = (NodeId, &Progress)> {
        let leading = match &self.role {
            RoleState::Leader(leading) => Some(leading),
            RoleState::Follower | RoleState::PreCandidate(_) | RoleState::Candidate(_) => None,
        };
        leading.into_iter().flat_map(|leading| leading.progress.iter().map(|(id, one)| (*id, one)))
    }

    /// Returns up to where the shell has reported the log durable.
    pub fn durable_index(&self) -> Index {
        self.durable_index
    }

    fn tick(&mut self) {
        self.now += 1;
        match self.role {
            RoleState::Leader(_) => self.tick_leader(),
            RoleState::Follower | RoleState::PreCandidate(_) | RoleState::Candidate(_) => {
                self.tick_election();
            }
        }
        self.tick_reads();
    }

    fn receive(&mut self, envelope: Envelope) {
        let Envelope { from, to, term, message } = envelope;
        if to != self.id() || self.ignores(term, &message) {
            return;
        }
        if shows_term_of_sender(&message) {
            self.adopt_term(term);
        }
        match message {
            Message::RequestVote { last_log_index, last_log_term, pre_vote } => {
                let last = Position { term: last_log_term, index: last_log_index };
                let request = VoteRequest { candidate: from, term, last };
                if pre_vote { self.on_pre_vote(request) } else { self.on_request_vote(request) }
            }
            Message::RequestVoteReply { vote_granted, pre_vote: true } => {
                self.on_pre_vote_reply(from, term, vote_granted);
            }
            Message::RequestVoteReply { vote_granted, pre_vote: false } => {
                self.on_request_vote_reply(from, term, vote_granted);
            }
            Message::AppendEntries {
                prev_log_index,
                prev_log_term,
                entries,
                leader_commit,
                round,
            } => {
                let prev = Position { term: prev_log_term, index: prev_log_index };
                let rpc = AppendEntries { prev, entries, leader_commit, round };
                self.on_append_entries(from, term, rpc);
            }
            Message::AppendEntriesAccepted { match_index, round } => {
                self.on_append_entries_accepted(from, term, match_index, round);
            }
            Message::AppendEntriesRejected {
                prev_log_index,
                conflict_term,
                conflict_index,
                round,
            } => {
                let rejection = Rejection { prev_log_index, conflict_term, conflict_index };
                self.on_append_entries_rejected(from, term, rejection, round);
            }
            Message::ReadIndex { token } => self.on_read_index(from, token),
            Message::ReadIndexReply { token, index } => {
                self.on_read_index_reply(term, token, index);
            }
        }
    }

    pub(crate) fn id(&self) -> NodeId {
        self.config.id
    }

    pub(crate) fn term(&self) -> Term {
        self.hard_state.term
    }

    pub(crate) fn role(&self) -> Role {
        match self.role {
            RoleState::Follower => Role::Follower,
            RoleState::PreCandidate(_) => Role::PreCandidate,
            RoleState::Candidate(_) => Role::Candidate,
            RoleState::Leader(_) => Role::Leader,
        }
    }

    /// Returns how many voters decide.
    pub(crate) fn quorum(&self) -> usize {
        self.rules.quorum(self.membership.voters.len())
    }

    /// Returns the other voters.
    pub(crate) fn peers(&self) -> Vec<NodeId> {
        self.membership.voters.iter().copied().filter(|id| *id != self.id()).collect()
    }

    /// Changes term and vote, in memory and, before anything of this step is told, on disk.
    pub(crate) fn set_hard_state(&mut self, hard_state: HardState) {
        if hard_state != self.hard_state {
            self.hard_state = hard_state;
            self.effects.persist.hard_state = Some(hard_state);
        }
    }

    /// Changes the role, and tells the trace.
    pub(crate) fn become_role(&mut self, role: RoleState) {
        self.role = role;
        let last = self.log.last();
        self.effects.transitions.push(Transition::Role {
            role: self.role(),
            term: self.term(),
            last_index: last.index,
            last_term: last.term,
        });
    }

    /// Makes the entries the end of the log. What stands from the first of them on goes, if anything does.
    pub(crate) fn append(&mut self, entries: &[Entry]) {
        let Some(first) = entries.first() else { return };
        if first.index <= self.log.last_index() {
            self.truncate_from(first.index);
        }
        for entry in entries {
            self.log.append(entry.clone());
            self.effects.persist.append.push(entry.clone());
        }
    }

    /// Cuts the log, in memory and on disk.
    pub(crate) fn truncate_from(&mut self, index: Index) {
        self.log.truncate_from(index);
        self.durable_index = self.durable_index.min(index.prev());
        let persist = &mut self.effects.persist;
        persist.append.retain(|entry| entry.index < index);
        persist.truncate_from = Some(persist.truncate_from.map_or(index, |from| from.min(index)));
    }

    /// Sends what may leave before this step is durable.
    pub(crate) fn send_now(&mut self, to: NodeId, message: Message) {
        let envelope = self.envelope(to, message);
        self.effects.send_now.push(envelope);
    }

    /// Sends what may leave at once and speaks of a term that the sender is not in.
    pub(crate) fn send_now_in(&mut self, term: Term, to: NodeId, message: Message) {
        self.effects.send_now.push(Envelope { from: self.id(), to, term, message });
    }

    /// Sends what reveals this step, or an earlier one that may not be durable yet.
    pub(crate) fn send(&mut self, to: NodeId, message: Message) {
        let envelope = self.envelope(to, message);
        self.effects.send.push(envelope);
    }

    fn envelope(&self, to: NodeId, message: Message) -> Envelope {
        Envelope { from: self.id(), to, term: self.term(), message }
    }
}

/// A pre-vote speaks of a term that nobody is in yet: the request and the grant that answers it.
fn shows_term_of_sender(message: &Message) -> bool {
    !matches!(
        message,
        Message::RequestVote { pre_vote: true, .. }
            | Message::RequestVoteReply { pre_vote: true, vote_granted: true }
    )
}
