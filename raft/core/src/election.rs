//! Leader election (thesis §3.4), pre-vote (§9.6), and leaders that are left in peace (§4.2.3).
//!
//! ```text
//!              silence                 a majority would           a majority votes
//!   Follower ──────────► PreCandidate ──────────────────► Candidate ──────────────► Leader
//!       ▲                  no new term       term + 1, own vote                       │
//!       └────────── a leader of this term, or any sign of a higher term ──────────────┘
//! ```

use std::collections::BTreeSet;
use std::ops::RangeInclusive;

use rand::RngExt;
use rand_chacha::ChaCha8Rng;

use crate::message::Message;
use crate::quorum;
use crate::raft::{Raft, RoleState};
use crate::rules::VoteRequest;
use crate::types::{HardState, NodeId, Term};

/// Counts a follower's silent ticks.
#[derive(Debug)]
pub(crate) struct Timer {
    elapsed: u32,
    timeout: u32,
    /// Ticks since the current leader was heard.
    pub(crate) since_leader: u32,
}

impl Timer {
    pub(crate) fn new(election_ticks: &RangeInclusive<u32>, random: &mut ChaCha8Rng) -> Timer {
        Timer { elapsed: 0, timeout: random.random_range(election_ticks.clone()), since_leader: 0 }
    }

    fn tick(&mut self) -> bool {
        self.elapsed += 1;
        self.since_leader = self.since_leader.saturating_add(1);
        self.elapsed >= self.timeout
    }
}

/// The votes of an election, or the promises before one. A set, because a reply may come twice.
#[derive(Debug, Default)]
pub(crate) struct Ballot {
    granted: BTreeSet<NodeId>,
    answered: BTreeSet<NodeId>,
    ticks: u32,
}

impl Ballot {
    fn of(candidate: NodeId) -> Ballot {
        let own = BTreeSet::from([candidate]);
        Ballot { granted: own.clone(), answered: own, ticks: 0 }
    }
}

impl Raft {
    /// Lets a tick pass for everybody but a leader.
    pub(crate) fn tick_election(&mut self) {
        if self.timer.tick() {
            self.stand();
        } else {
            self.ask_again();
        }
    }

    /// Draws the next timeout. Candidates that waited equally long once will not do so again (paper §5.2).
    pub(crate) fn reset_timer(&mut self) {
        let since_leader = self.timer.since_leader;
        self.timer = Timer::new(&self.config.election_ticks, &mut self.random);
        self.timer.since_leader = since_leader;
    }

    /// Adopts what a message of a term obliges to (paper §5.1).
    pub(crate) fn adopt_term(&mut self, seen: Term) {
        let before = self.hard_state;
        self.set_hard_state(self.rules.hard_state_after(before, seen));
        if self.term() != before.term {
            self.follow(None);
        }
    }

    /// Becomes a follower, of nobody known or of a leader.
    ///
    /// The timer goes on: only a leader's word and a granted vote reset it, else a loud candidate that cannot win
    /// would keep the others from standing. A leader starts it afresh, for it had none.
    pub(crate) fn follow(&mut self, leader: Option<NodeId>) {
        if std::mem::replace(&mut self.leader, leader) != leader {
            self.refuse_forwarded_reads();
        }
        match &self.role {
            RoleState::Follower => {}
            RoleState::PreCandidate(_) | RoleState::Candidate(_) => {
                self.become_role(RoleState::Follower);
            }
            RoleState::Leader(_) => {
                self.refuse_led_reads();
                self.reset_timer();
                self.become_role(RoleState::Follower);
            }
        }
    }

    /// Whether a message is as if it had never arrived: a candidate's, while a leader is alive. A server that missed
    /// heartbeats alone must not depose a leader that all others hear (thesis §4.2.3).
    pub(crate) fn ignores(&self, term: Term, message: &Message) -> bool {
        let disrupts = matches!(message, Message::RequestVote { pre_vote: false, .. });
        self.config.check_quorum && disrupts && term > self.term() && self.hears_leader()
    }

    /// Whether a leader was heard within the shortest election timeout; a leader hears itself.
    fn hears_leader(&self) -> bool {
        let heard_lately = self.timer.since_leader < *self.config.election_ticks.start();
        match self.role {
            RoleState::Leader(_) => true,
            RoleState::Follower | RoleState::PreCandidate(_) | RoleState::Candidate(_) => {
                self.leader.is_some() && heard_lately
            }
        }
    }

    /// The timeout is over: nobody leads, as far as this server can tell.
    fn stand(&mut self) {
        self.reset_timer();
        if !self.membership.voters.contains(&self.id()) {
            return;
        }
        self.leader = None;
        self.refuse_forwarded_reads();
        if self.config.pre_vote { self.become_pre_candidate() } else { self.become_candidate() }
    }

    fn become_pre_candidate(&mut self) {
        self.become_role(RoleState::PreCandidate(Ballot::of(self.id())));
        self.ask_again_now();
        self.count_ballot();
    }

    fn become_candidate(&mut self) {
        let term = self.term().next();
        self.set_hard_state(HardState { term, voted_for: Some(self.id()) });
        self.become_role(RoleState::Candidate(Ballot::of(self.id())));
        self.ask_again_now();
        self.count_ballot();
    }

    /// Sends the requests once more where answers are missing (paper §5.5: RPCs are retried until they succeed).
    fn ask_again(&mut self) {
        let retry_ticks = self.config.retry_ticks;
        let Some(ballot) = self.ballot() else { return };
        ballot.ticks += 1;
        if ballot.ticks.is_multiple_of(retry_ticks) {
            self.ask_again_now();
        }
    }

    fn ask_again_now(&mut self) {
        let Some(answered) = self.ballot().map(|ballot| ballot.answered.clone()) else { return };
        for peer in self.peers() {
            if !answered.contains(&peer) {
                self.request_vote(peer);
            }
        }
    }

    fn request_vote(&mut self, to: NodeId) {
        let last = self.log.last();
        let pre_vote = matches!(self.role, RoleState::PreCandidate(_));
        let message =
            Message::RequestVote { last_log_index: last.index, last_log_term: last.term, pre_vote };
        if pre_vote {
            // It claims nothing, so it need not wait for the disk.
            let term = self.term().next();
            self.send_now_in(term, to, message);
        } else {
            self.send(to, message);
        }
    }

    /// Answers whether a candidate would get the vote. That binds nobody and resets no timer.
    pub(crate) fn on_pre_vote(&mut self, request: VoteRequest) {
        let own = self.rules.hard_state_after(self.hard_state, request.term);
        let vote_granted =
            !self.hears_leader() && self.rules.grants_vote(&request, own, self.log.last());
        let reply = Message::RequestVoteReply { vote_granted, pre_vote: true };
        if vote_granted {
            self.send_now_in(request.term, request.candidate, reply);
        } else {
            // It shows the own term, which may not be durable yet.
            self.send(request.candidate, reply);
        }
    }

    /// Votes, or refuses (paper Figure 2, RequestVote).
    pub(crate) fn on_request_vote(&mut self, request: VoteRequest) {
        let vote_granted = self.rules.grants_vote(&request, self.hard_state, self.log.last());
        if vote_granted {
            let voted_for = Some(request.candidate);
            self.set_hard_state(HardState { term: self.term(), voted_for });
            self.reset_timer();
        }
        let reply = Message::RequestVoteReply { vote_granted, pre_vote: false };
        self.send(request.candidate, reply);
    }

    pub(crate) fn on_pre_vote_reply(&mut self, from: NodeId, term: Term, vote_granted: bool) {
        // A grant names the term that was asked for; one of an earlier round does not count.
        let next = self.term().next();
        let RoleState::PreCandidate(ballot) = &mut self.role else { return };
        ballot.answered.insert(from);
        if vote_granted && term == next {
            ballot.granted.insert(from);
        }
        self.count_ballot();
    }

    pub(crate) fn on_request_vote_reply(&mut self, from: NodeId, term: Term, vote_granted: bool) {
        let counts = self.rules.counts_vote(vote_granted, term, self.term());
        let RoleState::Candidate(ballot) = &mut self.role else { return };
        ballot.answered.insert(from);
        if counts {
            ballot.granted.insert(from);
        }
        self.count_ballot();
    }

    /// Goes on where a majority agrees.
    fn count_ballot(&mut self) {
        let (RoleState::PreCandidate(ballot) | RoleState::Candidate(ballot)) = &self.role else {
            return;
        };
        if quorum::count(&self.membership, |id| ballot.granted.contains(&id)) < self.quorum() {
            return;
        }
        if matches!(self.role, RoleState::PreCandidate(_)) {
            self.become_candidate();
        } else {
            self.become_leader();
        }
    }

    fn ballot(&mut self) -> Option<&mut Ballot> {
        match &mut self.role {
            RoleState::PreCandidate(ballot) | RoleState::Candidate(ballot) => Some(ballot),
            RoleState::Follower | RoleState::Leader(_) => None,
        }
    }
}
