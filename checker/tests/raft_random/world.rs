//! A tiny Raft cluster that tells traces: enough of the protocol to be right, and each rule can be broken.
//!
//! Messages are kept and delivered late, twice or never; nodes crash and lose what was not durable. A candidate may win
//! long after its votes were given.

use rand::seq::IndexedRandom;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use squall_history::NodeName;
use squall_history::trace::{
    CommitBy, EntryHash, Epoch, FORMAT, Header, Line, LogPosition, Survey, Trace, TraceEvent,
    Voters,
};

/// A rule that is not kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Broken {
    UpToDate,
    VoteOnce,
    VoteDurable,
    TermDurable,
    PrevTerm,
    CommitRule,
    Quorum,
    AckDurable,
    AckLogLength,
    TruncateAlways,
    CommitPastMatch,
    NoNoop,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) term: u64,
    hash: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Role {
    Follower,
    Candidate,
    Leader,
}

#[derive(Clone, Debug)]
enum Message {
    RequestVote {
        from: usize,
        to: usize,
        term: u64,
        last: (u64, usize),
    },
    Vote {
        to: usize,
        from: usize,
        term: u64,
    },
    Append {
        from: usize,
        to: usize,
        term: u64,
        prev: usize,
        prev_term: u64,
        entries: Vec<Entry>,
        commit: usize,
    },
    Ack {
        to: usize,
        from: usize,
        term: u64,
        index: usize,
    },
}

#[derive(Clone, Debug)]
pub(crate) struct Node {
    pub(crate) term: u64,
    vote: Option<usize>,
    role: Role,
    pub(crate) log: Vec<Entry>,
    durable: usize,
    /// What the disk holds: term and vote as last written, and how much of the log.
    disk: (u64, Option<usize>),
    pub(crate) commit: usize,
    applied: usize,
    votes: Vec<usize>,
    matched: Vec<usize>,
    boot: u32,
    lines: Vec<Line>,
}

pub(crate) struct World {
    random: ChaCha8Rng,
    broken: Option<Broken>,
    pub(crate) nodes: Vec<Node>,
    messages: Vec<Message>,
    time: u64,
    hashes: u64,
    traces: Vec<Trace>,
}

pub(crate) fn name(node: usize) -> NodeName {
    NodeName::from(&*format!("n{}", node + 1))
}

impl World {
    pub(crate) fn new(seed: u64, broken: Option<Broken>) -> World {
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        let count = *[1, 2, 3, 3, 4, 5, 5].choose(&mut random).expect("some");
        let node = Node {
            term: 0,
            vote: None,
            role: Role::Follower,
            log: Vec::new(),
            durable: 0,
            disk: (0, None),
            commit: 0,
            applied: 0,
            votes: Vec::new(),
            matched: vec![0; count],
            boot: 0,
            lines: Vec::new(),
        };
        let nodes = vec![node; count];
        let messages = Vec::new();
        let mut world =
            World { random, broken, nodes, messages, time: 1_000, hashes: 0, traces: Vec::new() };
        for node in 0..count {
            world.tell_boot(node);
        }
        world
    }

    /// Runs for some steps.
    pub(crate) fn run(mut self, steps: usize) -> World {
        for _ in 0..steps {
            self.step();
        }
        self
    }

    /// Returns the traces of all boots.
    pub(crate) fn traces(mut self) -> Vec<Trace> {
        for node in 0..self.nodes.len() {
            self.end_boot(node);
        }
        self.traces.sort_by_key(|trace| (trace.header.node.clone(), trace.header.boot));
        self.traces
    }

    fn is(&self, broken: Broken) -> bool {
        self.broken == Some(broken)
    }

    fn step(&mut self) {
        let node = self.random.random_range(0..self.nodes.len());
        match self.random.random_range(0..100) {
            0..4 => self.campaign(node),
            4..6 => self.crash(node),
            6..20 => self.propose(node),
            20..40 => self.replicate(node),
            40..50 => self.sync(node),
            50..58 => self.apply(node),
            58..62 => self.read(node),
            _ => self.deliver(),
        }
    }

    fn say(&mut self, node: usize, event: TraceEvent) {
        self.time += self.random.random_range(0..3);
        let time = self.time;
        let lines = &mut self.nodes[node].lines;
        lines.push(Line { seq: lines.len() as u64, time, event });
    }

    fn last(&self, node: usize) -> LogPosition {
        let log = &self.nodes[node].log;
        let term = log.last().map_or(0, |entry| entry.term);
        LogPosition { index: log.len() as u64, term: term.into() }
    }

    fn persist(&mut self, node: usize) {
        let Node { term, mut vote, .. } = self.nodes[node];
        if self.is(Broken::VoteDurable) {
            vote = None;
        }
        if self.is(Broken::TermDurable) || (term, vote) == self.nodes[node].disk {
            return;
        }
        self.nodes[node].disk = (term, vote);
        let event = TraceEvent::HardState { term: term.into(), vote: vote.map(name) };
        self.say(node, event);
    }

    fn sync(&mut self, node: usize) {
        let Node { log, durable, .. } = &mut self.nodes[node];
        if *durable < log.len() {
            *durable = log.len();
            let upto = *durable as u64;
            self.say(node, TraceEvent::Durable { upto });
            self.count(node);
        }
    }

    fn follow(&mut self, node: usize, term: u64) {
        let state = &mut self.nodes[node];
        let was = state.role;
        let newer = term > state.term;
        if newer {
            state.term = term;
            state.vote = None;
        }
        state.role = Role::Follower;
        if newer || was != Role::Follower {
            let (term, last) = (self.nodes[node].term.into(), self.last(node));
            self.say(node, TraceEvent::BecomeFollower { term, last });
        }
    }

    fn campaign(&mut self, node: usize) {
        if self.nodes[node].role == Role::Leader {
            return;
        }
        let state = &mut self.nodes[node];
        state.term += 1;
        state.vote = Some(node);
        state.role = Role::Candidate;
        state.votes = vec![node];
        let (term, last) = (state.term, self.last(node));
        self.say(node, TraceEvent::BecomeCandidate { term: term.into(), last });
        if self.random.random_bool(0.1) {
            return self.crash(node);
        }
        self.persist(node);
        let last = (last.term.0, last.index as usize);
        for to in (0..self.nodes.len()).filter(|to| *to != node) {
            self.messages.push(Message::RequestVote { from: node, to, term, last });
        }
        self.win(node);
    }

    fn win(&mut self, node: usize) {
        let Node { votes, role, term, .. } = &self.nodes[node];
        if *role != Role::Candidate || votes.len() * 2 <= self.nodes.len() {
            return;
        }
        let (term, last) = (*term, self.last(node));
        self.nodes[node].role = Role::Leader;
        self.nodes[node].matched = vec![0; self.nodes.len()];
        self.say(node, TraceEvent::BecomeLeader { term: term.into(), last });
        if !self.is(Broken::NoNoop) {
            self.put(node, 1, true);
        }
    }

    fn propose(&mut self, node: usize) {
        if self.nodes[node].role == Role::Leader {
            let count = self.random.random_range(1..4);
            self.put(node, count, false);
        }
    }

    fn put(&mut self, node: usize, count: usize, noop: bool) {
        let term = self.nodes[node].term;
        let entries: Vec<Entry> = (0..count)
            .map(|_| {
                self.hashes += 1;
                Entry { term, hash: if noop { 0 } else { self.hashes } }
            })
            .collect();
        self.extend(node, &entries);
        if self.random.random_bool(0.5) {
            self.sync(node);
        }
    }

    /// Tells entries in runs of one term.
    fn extend(&mut self, node: usize, entries: &[Entry]) {
        self.tell_entries(node, entries, false);
        self.nodes[node].log.extend(entries);
    }

    fn tell_entries(&mut self, node: usize, entries: &[Entry], recovered: bool) {
        let mut prev = match recovered {
            true => LogPosition::default(),
            false => self.last(node),
        };
        for run in entries.chunk_by(|a, b| a.term == b.term) {
            let (index, prev_term) = (prev.index + 1, prev.term);
            let term = Epoch::from(run[0].term);
            let hashes = run.iter().map(|entry| EntryHash(entry.hash)).collect();
            self.say(node, TraceEvent::Append { index, term, prev_term, hashes, recovered });
            prev = LogPosition { index: prev.index + run.len() as u64, term };
        }
    }

    fn replicate(&mut self, node: usize) {
        let state = &self.nodes[node];
        if state.role != Role::Leader {
            return;
        }
        for to in (0..self.nodes.len()).filter(|to| *to != node) {
            let state = &self.nodes[node];
            let low = state.matched[to].min(state.log.len());
            let prev = match self.random.random_bool(0.8) {
                true => low,
                false => self.random.random_range(0..=state.log.len()),
            };
            let end = self.random.random_range(prev..=state.log.len());
            let prev_term = prev.checked_sub(1).map_or(0, |at| state.log[at].term);
            let entries = state.log[prev..end].to_vec();
            let (term, commit) = (state.term, state.commit);
            self.messages.push(Message::Append {
                from: node,
                to,
                term,
                prev,
                prev_term,
                entries,
                commit,
            });
        }
    }

    fn deliver(&mut self) {
        if self.messages.is_empty() {
            return;
        }
        let at = match self.random.random_bool(0.7) {
            true => self.messages.len() - 1,
            false => self.random.random_range(0..self.messages.len()),
        };
        let message = match self.random.random_bool(0.1) {
            true => self.messages[at].clone(),
            false => self.messages.remove(at),
        };
        match message {
            Message::RequestVote { from, to, term, last } => self.on_request(from, to, term, last),
            Message::Vote { to, from, term } => {
                let state = &mut self.nodes[to];
                if state.role == Role::Candidate
                    && state.term == term
                    && !state.votes.contains(&from)
                {
                    state.votes.push(from);
                    self.win(to);
                }
            }
            Message::Append { .. } => self.on_append(message),
            Message::Ack { to, from, term, index } => {
                let state = &mut self.nodes[to];
                if state.role == Role::Leader && state.term == term {
                    state.matched[from] = state.matched[from].max(index);
                    self.count(to);
                }
            }
        }
    }

    fn on_request(&mut self, from: usize, to: usize, term: u64, last: (u64, usize)) {
        if term > self.nodes[to].term {
            self.follow(to, term);
        }
        let state = &self.nodes[to];
        let own = (state.log.last().map_or(0, |entry| entry.term), state.log.len());
        let free = state.vote.is_none() || state.vote == Some(from) || self.is(Broken::VoteOnce);
        let grants = term == state.term
            && state.role == Role::Follower
            && free
            && (last >= own || self.is(Broken::UpToDate));
        if grants {
            self.nodes[to].vote = Some(from);
        }
        self.persist(to);
        if grants {
            self.say(to, TraceEvent::Vote { to: name(from), term: term.into(), prevote: false });
            self.messages.push(Message::Vote { to: from, from: to, term });
        }
    }

    fn on_append(&mut self, message: Message) {
        let Message::Append { from, to, term, prev, prev_term, entries, commit } = message else {
            return;
        };
        if term < self.nodes[to].term {
            return;
        }
        if term > self.nodes[to].term || self.nodes[to].role == Role::Candidate {
            self.follow(to, term);
        }
        if self.nodes[to].role == Role::Leader {
            return self.persist(to);
        }
        let log = &self.nodes[to].log;
        let matches = prev == 0
            || log
                .get(prev - 1)
                .is_some_and(|own| own.term == prev_term || self.is(Broken::PrevTerm));
        if !matches {
            return self.persist(to);
        }
        self.take(to, prev, &entries);
        self.persist(to);
        let index = match self.is(Broken::AckLogLength) {
            true => self.nodes[to].log.len(),
            false => prev + entries.len(),
        };
        if !self.is(Broken::AckDurable) {
            self.sync(to);
        }
        let (prev, count) = (prev as u64, entries.len() as u64);
        let ack = TraceEvent::Ack {
            to: name(from),
            index: index as u64,
            term: term.into(),
            prev,
            entries: count,
        };
        self.say(to, ack);
        self.messages.push(Message::Ack { to: from, from: to, term, index });
        let known = match self.is(Broken::CommitPastMatch) {
            true => self.nodes[to].log.len(),
            false => (prev + count) as usize,
        };
        self.commit(to, commit.min(known), CommitBy::Leader);
    }

    fn take(&mut self, node: usize, prev: usize, entries: &[Entry]) {
        let log = &self.nodes[node].log;
        let same =
            log[prev..].iter().zip(entries).take_while(|(own, new)| own.term == new.term).count();
        let from = match self.is(Broken::TruncateAlways) {
            true => 0,
            false if same == entries.len() => return,
            false => same,
        };
        if prev + from < self.nodes[node].log.len() {
            let state = &mut self.nodes[node];
            state.log.truncate(prev + from);
            state.durable = state.durable.min(prev + from);
            self.say(node, TraceEvent::Truncate { from: (prev + from + 1) as u64 });
        }
        self.extend(node, &entries[from..]);
    }

    fn count(&mut self, node: usize) {
        let state = &self.nodes[node];
        if state.role != Role::Leader {
            return;
        }
        let mut has = state.matched.clone();
        has[node] = state.durable;
        has.sort_unstable_by(|a, b| b.cmp(a));
        let quorum = if self.is(Broken::Quorum) { has.len() / 4 } else { has.len() / 2 };
        let index = has[quorum].min(state.log.len());
        let own = index > 0 && state.log[index - 1].term == state.term;
        if own || self.is(Broken::CommitRule) {
            self.commit(node, index, CommitBy::Count);
        }
    }

    fn commit(&mut self, node: usize, index: usize, by: CommitBy) {
        let state = &mut self.nodes[node];
        if index > state.commit {
            state.commit = index;
            let term = state.term.into();
            self.say(node, TraceEvent::Commit { index: index as u64, term, by: Some(by) });
        }
    }

    fn apply(&mut self, node: usize) {
        while self.nodes[node].applied < self.nodes[node].commit {
            let state = &mut self.nodes[node];
            let Some(entry) = state.log.get(state.applied).copied() else { return };
            state.applied += 1;
            let index = state.applied as u64;
            let (term, hash) = (entry.term.into(), EntryHash(entry.hash));
            self.say(node, TraceEvent::Apply { index, term, hash, digest: None });
        }
    }

    /// A round of heartbeats, all at once.
    fn read(&mut self, node: usize) {
        let state = &self.nodes[node];
        let term = state.term;
        let last = state.commit.checked_sub(1).and_then(|last| state.log.get(last));
        let own = last.is_some_and(|entry| entry.term == term);
        if state.role != Role::Leader || !(own || self.is(Broken::NoNoop)) {
            return;
        }
        let others = self.nodes.iter().filter(|other| other.term <= term).count();
        if others * 2 > self.nodes.len() {
            let index = self.nodes[node].commit as u64;
            let token = self.time.to_string();
            let mode = Some("read_index".to_owned());
            self.say(node, TraceEvent::ReadIndex { token, index, term: term.into(), mode });
        }
    }

    /// What was not durable is gone, or some of it.
    fn crash(&mut self, node: usize) {
        self.end_boot(node);
        let Node { durable, log, .. } = &self.nodes[node];
        let kept = self.random.random_range(*durable..=log.len());
        let state = &mut self.nodes[node];
        state.log.truncate(kept);
        state.durable = kept;
        (state.term, state.vote) = state.disk;
        state.role = Role::Follower;
        state.commit = 0;
        state.applied = 0;
        state.boot += 1;
        self.tell_boot(node);
    }

    fn tell_boot(&mut self, node: usize) {
        let voters = (0..self.nodes.len()).map(name).collect();
        let Node { term, vote, log, .. } = self.nodes[node].clone();
        let boot = TraceEvent::Boot {
            term: term.into(),
            vote: vote.map(name),
            snapshot: LogPosition::default(),
            applied: 0,
            config: Voters { voters, ..Voters::default() },
        };
        self.say(node, boot);
        self.tell_entries(node, &log, true);
        if !log.is_empty() {
            self.say(node, TraceEvent::Durable { upto: log.len() as u64 });
        }
    }

    fn end_boot(&mut self, node: usize) {
        let state = &mut self.nodes[node];
        let header = Header {
            squall: FORMAT.to_owned(),
            node: name(node),
            boot: state.boot,
            write: Some("through".to_owned()),
            state: None,
            torn: None,
        };
        let lines = std::mem::take(&mut state.lines);
        let lines = (2..).zip(lines).collect();
        self.traces.push(Trace { header, lines, survey: Survey::default() });
    }
}

impl World {
    /// Returns who leads, in which terms.
    pub(crate) fn leaders(&self) -> Vec<(usize, u64)> {
        let nodes = self.nodes.iter().enumerate();
        let leaders = nodes.filter(|(_, node)| node.role == Role::Leader);
        leaders.map(|(at, node)| (at, node.term)).collect()
    }
}
