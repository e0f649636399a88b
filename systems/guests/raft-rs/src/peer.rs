//! The loop that carries out what raft-rs hands over, in the order that its `Ready` asks for.

use std::collections::BTreeMap;
use std::error::Error;
use std::io;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use guest_api::{Answer, Args, Change, Refusal, Status, Store};
use raft::eraftpb::{ConfState, Entry, Message};
use raft::storage::MemStorage;
use raft::{Config, RawNode, ReadState};
use slog::{Discard, Logger, o};
use tokio::sync::oneshot;

use crate::disk::Disk;
use crate::links::Links;
use crate::trace::Trace;

/// With the library's 20 ticks, elections come after 500 ms to 1 s, and heartbeats every 50 ms.
const TICK: Duration = Duration::from_millis(25);

type Reply<T> = oneshot::Sender<Result<T, Refusal>>;
type Failure = Box<dyn Error + Send + Sync>;

/// What may happen to a node.
#[derive(Debug)]
pub(crate) enum Input {
    Message(Message),
    Unreachable(u64),
    Read { key: String, reply: Reply<(Answer, u64)> },
    Change { change: Change, reply: Reply<(Answer, u64)> },
    Status(Reply<Status>),
}

/// A read that waits for its index, and then for the state to reach it.
#[derive(Debug)]
struct Read {
    key: String,
    reply: Reply<(Answer, u64)>,
    index: Option<u64>,
}

/// One node.
pub(crate) struct Peer {
    args: Args,
    raft: RawNode<MemStorage>,
    disk: Disk,
    links: Links,
    trace: Trace,
    store: Store,
    applied: u64,
    /// Names each request of all boots of this node: the process's start, and a count.
    boot: u128,
    requests: u64,
    changes: BTreeMap<Vec<u8>, Reply<(Answer, u64)>>,
    reads: BTreeMap<Vec<u8>, Read>,
}

impl Peer {
    /// Recovers a node from its files.
    pub(crate) fn open(args: Args, links: Links) -> Result<Peer, Failure> {
        let number = args.number()?;
        let voters: Vec<_> = (1..).take(args.peers.len()).collect();
        let memory = MemStorage::new_with_conf_state(ConfState::from((voters, vec![])));
        let disk = Disk::open(&args.data.join("log"), &memory)?;
        let trace = Trace::open(&args, &memory)?;
        let config = Config { id: number, ..Config::default() };
        let raft = RawNode::new(&config, memory, &Logger::root(Discard, o!()))?;
        let boot = std::time::UNIX_EPOCH.elapsed()?.as_nanos();
        let (store, changes, reads) = (Store::default(), BTreeMap::new(), BTreeMap::new());
        Ok(Peer {
            args,
            raft,
            disk,
            links,
            trace,
            store,
            applied: 0,
            boot,
            requests: 0,
            changes,
            reads,
        })
    }

    /// Lives until something fails.
    pub(crate) fn run(mut self, inputs: &Receiver<Input>) -> Result<(), Failure> {
        let mut next_tick = Instant::now() + TICK;
        loop {
            match inputs.recv_timeout(next_tick.saturating_duration_since(Instant::now())) {
                Ok(input) => self.on_input(input),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return Ok(()),
            }
            if Instant::now() >= next_tick {
                next_tick = Instant::now() + TICK;
                self.raft.tick();
                self.changes.retain(|_, reply| !reply.is_closed());
                self.reads.retain(|_, read| !read.reply.is_closed());
            }
            // After each input, so that the trace misses no change of role between two of them.
            while self.raft.has_ready() {
                self.on_ready()?;
            }
        }
    }

    fn on_input(&mut self, input: Input) {
        match input {
            // What the library does not like about a message concerns nobody: it is as good as lost.
            Input::Message(message) => drop(self.raft.step(message)),
            Input::Unreachable(peer) => self.raft.report_unreachable(peer),
            Input::Read { key, reply } => {
                let context = self.name_request();
                self.raft.read_index(context.clone());
                self.reads.insert(context, Read { key, reply, index: None });
            }
            Input::Change { change, reply } => self.propose(&change, reply),
            Input::Status(reply) => drop(reply.send(Ok(self.status()))),
        }
    }

    /// Proposes a change; a follower's library forwards it to the leader that it knows.
    fn propose(&mut self, change: &Change, reply: Reply<(Answer, u64)>) {
        let context = self.name_request();
        let proposed =
            serde_json::to_vec(change).map_err(|error| error.to_string()).and_then(|data| {
                self.raft.propose(context.clone(), data).map_err(|error| error.to_string())
            });
        match proposed {
            Ok(()) => drop(self.changes.insert(context, reply)),
            Err(why) => drop(reply.send(Err(Refusal::NotProposed(why)))),
        }
    }

    fn name_request(&mut self) -> Vec<u8> {
        self.requests += 1;
        format!("{}-{}-{}", self.args.id, self.boot, self.requests).into_bytes()
    }

    fn status(&self) -> Status {
        let leader = self.args.name(self.raft.raft.leader_id);
        Status { id: self.args.id.clone(), leader, term: self.raft.raft.term }
    }

    fn on_ready(&mut self) -> Result<(), Failure> {
        let mut ready = self.raft.ready();
        self.trace.before_sync(&self.raft.raft, ready.entries())?;
        self.links.send(ready.take_messages());
        if !ready.snapshot().is_empty() {
            return Err("a snapshot, where nobody makes any".into());
        }
        self.disk.persist(ready.entries(), ready.hs())?;
        let persisted = ready.take_persisted_messages();
        self.trace.after_sync(ready.entries(), ready.hs(), &persisted)?;
        self.remember(&ready)?;
        self.links.send(persisted);
        let committed = ready.take_committed_entries();
        let reads = ready.take_read_states();
        self.apply(committed)?;
        self.on_read_states(reads)?;
        let mut light = self.raft.advance(ready);
        if let Some(commit) = light.commit_index() {
            self.raft.mut_store().wl().mut_hard_state().set_commit(commit);
        }
        self.trace.commit(&self.raft.raft)?;
        self.links.send(light.take_messages());
        self.apply(light.take_committed_entries())?;
        self.raft.advance_apply();
        self.serve_reads();
        Ok(())
    }

    /// Tells the library's memory what is on disk now.
    fn remember(&mut self, ready: &raft::Ready) -> raft::Result<()> {
        let mut memory = self.raft.mut_store().wl();
        memory.append(ready.entries())?;
        if let Some(hard) = ready.hs() {
            memory.set_hardstate(hard.clone());
        }
        Ok(())
    }

    fn apply(&mut self, entries: Vec<Entry>) -> Result<(), Failure> {
        for entry in entries {
            self.applied = entry.index;
            // A leader begins its term with an empty entry.
            if !entry.data.is_empty() {
                let answer = self.store.apply(serde_json::from_slice(&entry.data)?);
                if let Some(reply) = self.changes.remove(&entry.context[..]) {
                    let _gone = reply.send(Ok((answer, entry.index)));
                }
            }
            self.trace.apply(&entry)?;
        }
        Ok(())
    }

    /// Learns how far the state must be for a read. What arrived was of this term, or the library had passed over it.
    fn on_read_states(&mut self, states: Vec<ReadState>) -> io::Result<()> {
        for state in states {
            if let Some(read) = self.reads.get_mut(&state.request_ctx) {
                read.index = Some(state.index);
                self.trace.read_index(&state, self.raft.raft.term)?;
            }
        }
        Ok(())
    }

    /// Answers the reads whose index the state has reached.
    fn serve_reads(&mut self) {
        let applied = self.applied;
        let due = |read: &Read| read.index.is_some_and(|index| index <= applied);
        for (_, read) in self.reads.extract_if(.., |_, read| due(read)) {
            let value = Answer::Value(self.store.get(&read.key));
            let _gone = read.reply.send(Ok((value, applied)));
        }
    }
}
