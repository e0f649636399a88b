//! Linearizable reads without log entries: ReadIndex (thesis §6.4).
//!
//! 1. The leader waits until an entry of its own term is committed; then it knows all that is committed.
//! 2. It takes its commit index as the reads' read index, and begins a round of heartbeats *after* the reads came.
//! 3. When a majority has answered the round, nobody else can have led before it began.
//! 4. Whoever has applied the read index may serve the reads; a follower asks its leader for steps 1 to 3.
//!
//! Reads that come together share a round. Rounds are numbered by the leader and never reused, and a follower's name
//! for a forwarded read is drawn anew each boot: an answer that comes late can only be taken for what it is.

use std::collections::BTreeMap;

use rand::RngExt;
use rand_chacha::ChaCha8Rng;

use crate::effects::Answer;
use crate::message::{Message, Round};
use crate::quorum;
use crate::raft::{Raft, RoleState};
use crate::rules::ReadPath;
use crate::types::{Index, NodeId, Term, Token};

/// How many rounds may be under way. Reads that come while all are share the next one.
const MAX_ROUNDS: usize = 2;

/// Who wants to know the read index.
#[derive(Clone, Copy, Debug)]
enum Reader {
    /// A read at this server.
    Here(Token),
    /// A read at a follower.
    There(NodeId, Token),
}

/// A read at a leader.
#[derive(Clone, Copy, Debug)]
pub(crate) struct WaitingRead {
    reader: Reader,
    asked_at: u64,
}

/// Reads whose round is under way.
#[derive(Debug)]
pub(crate) struct ReadRound {
    round: Round,
    index: Index,
    reads: Vec<WaitingRead>,
}

/// A read that a follower has asked its leader about.
#[derive(Debug)]
struct ForwardedRead {
    token: Token,
    asked_at: u64,
}

/// A read whose index is known, and not applied yet.
#[derive(Debug)]
struct IndexedRead {
    token: Token,
    index: Index,
    term: Term,
    asked_at: u64,
}

/// The reads at this server, apart from those that only a leader has.
#[derive(Debug)]
pub(crate) struct Reads {
    next_name: u64,
    forwarded: BTreeMap<Token, ForwardedRead>,
    indexed: Vec<IndexedRead>,
}

impl Reads {
    /// Begins to count names of forwarded reads at a random number. A restarted server would else give the names of
    /// its former life again, and take a late answer for a fresh one.
    pub(crate) fn new(random: &mut ChaCha8Rng) -> Reads {
        Reads { next_name: random.random(), forwarded: BTreeMap::new(), indexed: Vec::new() }
    }

    fn name(&mut self) -> Token {
        self.next_name = self.next_name.wrapping_add(1);
        Token(self.next_name)
    }
}

impl Raft {
    /// A client reads here.
    pub(crate) fn on_read(&mut self, token: Token) {
        match self.rules.read_path(self.role(), self.leader) {
            ReadPath::Local => {
                self.serve_when_applied(token, self.last_applied, self.term(), self.now);
            }
            ReadPath::Round => self.await_round(Reader::Here(token)),
            ReadPath::Forward(leader) => self.forward_read(token, leader),
            ReadPath::Refuse => self.refuse_read(token),
        }
    }

    /// A follower asks for a read index.
    pub(crate) fn on_read_index(&mut self, from: NodeId, token: Token) {
        match self.rules.read_path(self.role(), self.leader) {
            ReadPath::Local => self.reply_read_index(from, token, Some(self.last_applied)),
            ReadPath::Round => self.await_round(Reader::There(from, token)),
            ReadPath::Forward(_) | ReadPath::Refuse => self.reply_read_index(from, token, None),
        }
    }

    fn await_round(&mut self, reader: Reader) {
        let read = WaitingRead { reader, asked_at: self.now };
        let RoleState::Leader(leading) = &mut self.role else { return };
        leading.waiting_reads.push(read);
        self.begin_round();
    }

    /// Begins a round for all reads that wait for one, if they need not wait any longer.
    pub(crate) fn begin_round(&mut self) {
        let waits = self.rules.read_waits_for_noop(self.log.term(self.commit_index), self.term());
        let RoleState::Leader(leading) = &mut self.role else { return };
        if waits || leading.waiting_reads.is_empty() || leading.rounds.len() >= MAX_ROUNDS {
            return;
        }
        self.round = Round(self.round.0 + 1);
        let reads = std::mem::take(&mut leading.waiting_reads);
        leading.rounds.push_back(ReadRound { round: self.round, index: self.commit_index, reads });
        self.broadcast_heartbeat();
        self.finish_rounds();
    }

    /// A follower has answered a round, and so all rounds before it.
    pub(crate) fn confirm_round(&mut self, from: NodeId, round: Round) {
        let RoleState::Leader(leading) = &mut self.role else { return };
        let Some(progress) = leading.progress.get_mut(&from) else { return };
        progress.round = progress.round.max(round);
        self.finish_rounds();
    }

    fn finish_rounds(&mut self) {
        while let Some(round) = self.next_confirmed_round() {
            for read in round.reads {
                self.serve_confirmed(read, round.index);
            }
            self.begin_round();
        }
    }

    fn next_confirmed_round(&mut self) -> Option<ReadRound> {
        let own = self.id();
        let RoleState::Leader(leading) = &mut self.role else { return None };
        let round = leading.rounds.front()?.round;
        let confirms =
            |id| id == own || leading.progress.get(&id).is_some_and(|one| one.round >= round);
        let confirmations = quorum::count(&self.membership, confirms);
        let voters = self.membership.voters.len();
        self.rules.confirms_round(confirmations, voters).then(|| leading.rounds.pop_front())?
    }

    fn serve_confirmed(&mut self, read: WaitingRead, index: Index) {
        match read.reader {
            Reader::Here(token) => {
                self.serve_when_applied(token, index, self.term(), read.asked_at);
            }
            Reader::There(follower, token) => self.reply_read_index(follower, token, Some(index)),
        }
    }

    fn reply_read_index(&mut self, to: NodeId, token: Token, index: Option<Index>) {
        let reply = Message::ReadIndexReply { token, index };
        match index {
            // A leader's term is durable, and the index is no news of its own.
            Some(_) => self.send_now(to, reply),
            None => self.send(to, reply),
        }
    }

    fn forward_read(&mut self, token: Token, leader: NodeId) {
        let name = self.reads.name();
        self.reads.forwarded.insert(name, ForwardedRead { token, asked_at: self.now });
        self.send(leader, Message::ReadIndex { token: name });
    }

    /// The leader has answered, for a read that may be over by now.
    pub(crate) fn on_read_index_reply(&mut self, term: Term, name: Token, index: Option<Index>) {
        if term != self.term() {
            return;
        }
        let Some(read) = self.reads.forwarded.remove(&name) else { return };
        match index {
            Some(index) => self.serve_when_applied(read.token, index, term, read.asked_at),
            None => self.refuse_read(read.token),
        }
    }

    fn serve_when_applied(&mut self, token: Token, index: Index, term: Term, asked_at: u64) {
        self.reads.indexed.push(IndexedRead { token, index, term, asked_at });
    }

    /// Answers the reads whose index is applied; called after `apply`.
    pub(crate) fn answer_applied_reads(&mut self) {
        if self.reads.indexed.is_empty() {
            return;
        }
        let applied = self.last_applied;
        for read in self.reads.indexed.extract_if(.., |read| read.index <= applied) {
            let IndexedRead { token, index, term, .. } = read;
            self.effects.answer.push(Answer::ReadReady { token, index, term });
        }
    }

    /// Lets a tick pass for reads: those that nobody answers are asked for again, or given up.
    pub(crate) fn tick_reads(&mut self) {
        self.ask_leader_again();
        let now = self.now;
        let timeout = u64::from(self.config.read_ticks);
        let is_over = |asked_at: u64| now - asked_at >= timeout;
        let mut over: Vec<Token> = Vec::new();
        self.reads.forwarded.retain(|_, read| {
            over.extend(is_over(read.asked_at).then_some(read.token));
            !is_over(read.asked_at)
        });
        self.reads.indexed.retain(|read| {
            over.extend(is_over(read.asked_at).then_some(read.token));
            !is_over(read.asked_at)
        });
        if let RoleState::Leader(leading) = &mut self.role {
            let in_rounds = leading.rounds.iter_mut().map(|round| &mut round.reads);
            for reads in in_rounds.chain([&mut leading.waiting_reads]) {
                over.extend(reads.extract_if(.., |read| is_over(read.asked_at)).filter_map(local));
            }
        }
        over.into_iter().for_each(|token| self.refuse_read(token));
    }

    /// Asks for read indexes once more whose answers are late: request or reply may be lost.
    fn ask_leader_again(&mut self) {
        let Some(leader) = self.leader.filter(|leader| *leader != self.id()) else { return };
        let retry = u64::from(self.config.retry_ticks);
        let late = |read: &ForwardedRead| {
            let waited = self.now - read.asked_at;
            waited > 0 && waited.is_multiple_of(retry)
        };
        let names = self.reads.forwarded.iter().filter(|(_, read)| late(read));
        for token in names.map(|(name, _)| *name).collect::<Vec<_>>() {
            self.send(leader, Message::ReadIndex { token });
        }
    }

    /// Refuses the reads that wait for a leader's word: it leads no longer, as far as is known.
    pub(crate) fn refuse_forwarded_reads(&mut self) {
        for read in std::mem::take(&mut self.reads.forwarded).into_values() {
            self.refuse_read(read.token);
        }
    }

    /// Refuses the reads that wait for a confirmation that this server leads: it does not.
    pub(crate) fn refuse_led_reads(&mut self) {
        let RoleState::Leader(leading) = &mut self.role else { return };
        let waiting = std::mem::take(&mut leading.waiting_reads);
        let rounds = std::mem::take(&mut leading.rounds);
        for read in rounds.into_iter().flat_map(|round| round.reads).chain(waiting) {
            match read.reader {
                Reader::Here(token) => self.refuse_read(token),
                Reader::There(follower, token) => self.reply_read_index(follower, token, None),
            }
        }
    }

    fn refuse_read(&mut self, token: Token) {
        self.effects.answer.push(Answer::ReadRefused { token, hint: self.leader });
    }
}

fn local(read: WaitingRead) -> Option<Token> {
    match read.reader {
        Reader::Here(token) => Some(token),
        Reader::There(..) => None,
    }
}
