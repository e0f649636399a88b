//! The event loop: inputs in, effects out, in the order in which the core declares them.
//!
//! One task owns everything. It drains what has arrived, steps the core for each, and carries out the batch: what may leave
//! at once leaves, one write and one fdatasync make the rest durable, then the trace, the messages that waited, the state
//! machine and the answers. Proposals that arrive during a sync are the next batch (group commit). Peers' sockets are
//! written by this task itself, so what "leaves at once" is with the kernel before the disk is asked.

use std::collections::HashMap;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use serde_json::{Value, json};
use squall_raft_core::{
    Answer, Effects, Entry, EntryKind, Envelope, HardState, Index, Input, NodeId, Position, Raft,
    Term, Token,
};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;

use crate::command::{self, Command};
use crate::config::{NodeConfig, TICK};
use crate::disk::{self, Disk, DiskError};
use crate::kv::{self, KeyValue};
use crate::peer::{self, Peers};
use crate::port;
use crate::protocol::{Asked, Reply};
use crate::rules::ShellRules;
use crate::ticks::Ticks;
use crate::trace::{self, Trace};
use crate::waiters::{Ended, Waiters};

/// Events that wait for the loop; who has more to say waits.
const EVENTS: usize = 4096;
/// How many of them make up a batch at most, so that no answer waits for long.
const BATCH: usize = 512;

/// What the loop is told.
#[derive(Debug)]
pub(crate) enum Event {
    /// A peer's message.
    Received(Envelope),
    /// A connection to a peer stands.
    Dialled(NodeId, TcpStream),
    /// A client asks.
    Client(ClientRequest),
}

/// A client's request, and the way back.
#[derive(Debug)]
pub(crate) struct ClientRequest {
    pub(crate) id: u64,
    pub(crate) asked: Asked,
    pub(crate) replies: mpsc::Sender<Vec<u8>>,
}

/// Says why a node had to stop.
#[derive(Debug, thiserror::Error)]
pub enum ServerError {
    /// An address could not be had.
    #[error("failed to listen on {address}")]
    Listen {
        /// Which.
        address: std::net::SocketAddr,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The disk failed, so nobody knows what it holds.
    #[error(transparent)]
    Disk(#[from] DiskError),
    /// The trace could not be written.
    #[error("failed to write the trace")]
    Trace(#[source] io::Error),
    /// The runtime could not be made.
    #[error("failed to start")]
    Runtime(#[source] io::Error),
}

/// Serves until the disk or the trace fails.
pub async fn serve(config: NodeConfig, trace_path: Option<&Path>) -> Result<(), ServerError> {
    let (events, mut waiting) = mpsc::channel(EVENTS);
    tokio::spawn(peer::listen(bind(config.listen).await?, events.clone()));
    let clients = bind(config.client).await?;
    let mut node = Node::start(&config, trace_path, events.clone())?;
    tokio::spawn(port::listen(clients, events));

    let start = Instant::now();
    let mut ticks = Ticks::new(start);
    let mut alarm = tokio::time::interval_at(start.into(), TICK);
    alarm.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Skip);
    loop {
        tokio::select! {
            biased;
            Some(event) = waiting.recv() => {
                node.on_event(event)?;
                for _ in 1..BATCH {
                    let Ok(event) = waiting.try_recv() else { break };
                    node.on_event(event)?;
                }
            }
            _ = alarm.tick() => {}
        }
        // Under load the channel is never empty; time passes all the same.
        if ticks.take(Instant::now()) {
            node.tick()?;
        }
        node.flush()?;
    }
}

async fn bind(address: std::net::SocketAddr) -> Result<TcpListener, ServerError> {
    TcpListener::bind(address).await.map_err(|source| ServerError::Listen { address, source })
}

/// A server with its shell.
struct Node {
    raft: Raft,
    disk: Disk,
    state: KeyValue,
    rules: Arc<dyn ShellRules>,
    trace: Trace,
    peers: Peers,
    batch: Vec<Step>,
    requests: HashMap<Token, Pending>,
    waiters: Waiters,
    /// Replies that leave once the trace of what they reveal is with the kernel.
    replies: Vec<(mpsc::Sender<Vec<u8>>, Vec<u8>)>,
    next_token: u64,
    nonce: u64,
}

/// One step's effects, not carried out yet.
struct Step {
    effects: Effects,
    asked: Option<trace::Asked>,
}

/// A client that waits.
struct Pending {
    id: u64,
    replies: mpsc::Sender<Vec<u8>>,
    /// For a read, its key; for a change, the value that it would return, should it be answered early.
    what: Want,
}

enum Want {
    Read(String),
    Change(Command),
}

impl Node {
    fn start(
        config: &NodeConfig,
        trace_path: Option<&Path>,
        events: mpsc::Sender<Event>,
    ) -> Result<Node, ServerError> {
        let own = config.core.id;
        let (disk, recovered, torn) = Disk::open(&config.data)?;
        if torn > 0 {
            tracing::warn!("cut off {torn} bytes of a record that was being written");
        }
        let mut trace = Trace::open(own, trace_path).map_err(ServerError::Trace)?;
        trace.recorder.boot(trace::now(), &recovered, &config.core.membership);
        trace.write().map_err(ServerError::Trace)?;
        let (last, term) = disk::last_of(&recovered);
        tracing::info!("{own} starts in term {} with {last}@{term}", recovered.hard_state.term);
        // Another life of this node must not draw the same timeouts, or give two proposals one nonce.
        let life = trace::now();
        let raft = Raft::new(
            config.core.clone(),
            Arc::clone(&config.rules),
            recovered,
            config.seed ^ own.0.rotate_left(32) ^ life,
        );
        Ok(Node {
            raft,
            disk,
            state: KeyValue::default(),
            rules: Arc::clone(&config.shell),
            trace,
            peers: Peers::new(own, &config.peers, events),
            batch: Vec::new(),
            requests: HashMap::new(),
            waiters: Waiters::default(),
            replies: Vec::new(),
            next_token: 0,
            nonce: life.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ own.0,
        })
    }

    fn tick(&mut self) -> Result<(), ServerError> {
        self.peers.tend();
        self.step(Input::Tick, None)
    }

    fn on_event(&mut self, event: Event) -> Result<(), ServerError> {
        match event {
            Event::Received(envelope) => {
                self.peers.heard(envelope.from);
                let asked = trace::Asked::of(&envelope);
                self.step(Input::Receive(envelope), asked)
            }
            Event::Dialled(to, stream) => {
                self.peers.connected(to, stream);
                Ok(())
            }
            Event::Client(request) => self.on_client(request),
        }
    }

    fn on_client(&mut self, request: ClientRequest) -> Result<(), ServerError> {
        let ClientRequest { id, asked, replies } = request;
        self.next_token += 1;
        let token = Token(self.next_token);
        let (what, input) = match asked {
            Asked::Status => {
                let status = self.status();
                self.reply(&replies, &Reply { id, ok: Some(&status), ..Reply::default() });
                return Ok(());
            }
            Asked::Digest => {
                let (digest, applied) = self.state.digest();
                let state = json!({ "applied": applied, "digest": format!("{digest:08x}") });
                self.reply(&replies, &Reply { id, ok: Some(&state), ..Reply::default() });
                return Ok(());
            }
            Asked::Read { key } => (Want::Read(key), Input::Read { token }),
            Asked::Change { change, request } => {
                self.nonce = self.nonce.wrapping_add(1);
                let command = Command { nonce: self.nonce, request, change };
                let data = command.to_bytes();
                if data.len() > command::LONGEST {
                    let fail = Some("malformed: the command is too long");
                    self.reply(&replies, &Reply { id, fail, ..Reply::default() });
                    return Ok(());
                }
                (Want::Change(command), Input::Propose { token, data })
            }
        };
        self.requests.insert(token, Pending { id, replies, what });
        self.step(input, None)
    }

    fn status(&self) -> Value {
        let status = self.raft.status();
        json!({
            "id": status.id.to_string(),
            "role": trace::role_name(&status),
            "term": status.term.0,
            "leader": status.leader.map(|leader| leader.to_string()),
            "commit": status.commit_index.0,
            "applied": status.last_applied.0,
            "last": status.last_index.0,
        })
    }

    /// Steps the core. What changes the past of the batch (a truncation, a vote, a role) begins a new one, so that the
    /// trace of a batch is in the order of its steps.
    fn step(&mut self, input: Input, asked: Option<trace::Asked>) -> Result<(), ServerError> {
        let effects = self.raft.step(input);
        if !self.batch.is_empty() && rewrites(&effects) {
            self.flush()?;
        }
        self.batch.push(Step { effects, asked });
        Ok(())
    }

    /// Carries out the batch, and what that brings about, until nothing is owed.
    fn flush(&mut self) -> Result<(), ServerError> {
        while !self.batch.is_empty() {
            let mut batch = std::mem::take(&mut self.batch);
            self.send_now(&mut batch)?;
            let persisted = self.persist(&mut batch)?;
            self.send(&batch)?;
            for step in batch {
                self.apply_and_answer(step.effects);
            }
            self.trace.write().map_err(ServerError::Trace)?;
            if let Some((index, term)) = persisted {
                self.step(Input::Persisted { index, term }, None)?;
            }
        }
        self.peers.flush();
        self.send_replies();
        Ok(())
    }

    /// Traces what changed in memory, then lets go what claims nothing that is not durable.
    fn send_now(&mut self, batch: &mut [Step]) -> Result<(), ServerError> {
        let now = trace::now();
        for Step { effects, asked } in batch.iter_mut() {
            if self.trace.is_on() {
                self.trace.recorder.changed(now, &effects.transitions, &effects.persist);
            }
            let rules = &self.rules;
            let early = effects.send.extract_if(.., |one| !rules.waits_for_disk(&one.message));
            for envelope in early.collect::<Vec<_>>() {
                if self.trace.is_on() {
                    self.trace.recorder.sends(now, &envelope, *asked);
                }
                effects.send_now.push(envelope);
            }
        }
        self.trace.write().map_err(ServerError::Trace)?;
        for envelope in batch.iter().flat_map(|step| &step.effects.send_now) {
            self.peers.queue(envelope);
        }
        self.peers.flush();
        Ok(())
    }

    /// Makes the batch durable, and traces that. Returns the end of the log, if it grew.
    fn persist(&mut self, batch: &mut [Step]) -> Result<Option<(Index, Term)>, ServerError> {
        let mut hard_state: Option<HardState> = None;
        let mut last = None;
        for step in batch {
            let persist = &mut step.effects.persist;
            persist.hard_state = persist.hard_state.map(|state| self.rules.persists(state));
            self.disk.stage(persist);
            hard_state = persist.hard_state.or(hard_state);
            last = persist.append.last().map(|entry| (entry.index, entry.term)).or(last);
        }
        self.disk.sync()?;
        if self.trace.is_on() {
            let upto = last.map(|(index, _)| index.0);
            self.trace.recorder.synced(trace::now(), hard_state, upto);
        }
        Ok(last)
    }

    /// Traces and sends what waited for the disk.
    fn send(&mut self, batch: &[Step]) -> Result<(), ServerError> {
        let waiting = |step: &Step| !step.effects.send.is_empty();
        if !batch.iter().any(waiting) {
            return Ok(());
        }
        let now = trace::now();
        for Step { effects, asked } in batch {
            for envelope in &effects.send {
                if self.trace.is_on() {
                    self.trace.recorder.sends(now, envelope, *asked);
                }
                self.peers.queue(envelope);
            }
        }
        self.trace.write().map_err(ServerError::Trace)?;
        self.peers.flush();
        Ok(())
    }

    fn apply_and_answer(&mut self, effects: Effects) {
        let now = trace::now();
        if self.trace.is_on() {
            self.trace.recorder.committed(now, &effects.transitions);
        }
        for entry in &effects.apply {
            let effect = self.apply(entry);
            if self.trace.is_on() {
                self.trace.recorder.applied(now, entry);
            }
            self.answer_proposal(entry, effect.as_ref());
        }
        if let Some(from) = effects.persist.truncate_from {
            self.waiters.truncated(from).into_iter().for_each(|token| self.doubt(token));
        }
        for answer in effects.answer {
            self.answer(now, answer);
        }
    }

    fn apply(&mut self, entry: &Entry) -> Option<kv::Effect> {
        let index = entry.index.0;
        let command = match entry.kind {
            EntryKind::Command => Command::from_bytes(&entry.data).ok(),
            EntryKind::Noop | EntryKind::Config => None,
        };
        let Some(command) = command else {
            self.state.skip(index);
            return None;
        };
        Some(self.state.apply(index, &command, &*self.rules))
    }

    /// Tells the client whose proposal stood at this index how it ended.
    fn answer_proposal(&mut self, entry: &Entry, effect: Option<&kv::Effect>) {
        match (self.waiters.applied(entry.position()), effect) {
            (Some(Ended::Applied(token)), Some(effect)) => self.tell_effect(token, effect),
            (Some(Ended::Applied(token) | Ended::Replaced(token)), _) => self.doubt(token),
            (None, _) => {}
        }
    }

    fn tell_effect(&mut self, token: Token, effect: &kv::Effect) {
        let Some(Pending { id, replies, .. }) = self.requests.remove(&token) else { return };
        let reply = Reply { id, pos: Some(effect.pos), ..Reply::default() };
        let reply = match &effect.reply {
            kv::Reply::Done(value) => Reply { ok: Some(value), ..reply },
            kv::Reply::Precondition { seen } => {
                Reply { fail: Some("precondition"), seen: Some(seen), ..reply }
            }
            kv::Reply::Refused(why) => Reply { fail: Some(why), ..reply },
            kv::Reply::Superseded => Reply { id, info: Some("superseded"), ..Reply::default() },
        };
        self.reply(&replies, &reply);
    }

    /// Tells a client that its proposal is gone from this log, and nobody knows what becomes of it.
    fn doubt(&mut self, token: Token) {
        let Some(Pending { id, replies, .. }) = self.requests.remove(&token) else { return };
        self.reply(&replies, &Reply { id, info: Some("replaced"), ..Reply::default() });
    }

    fn answer(&mut self, now: u64, answer: Answer) {
        match answer {
            Answer::Proposed { token, index, term } => {
                if let Some(displaced) = self.waiters.proposed(token, Position { term, index }) {
                    self.doubt(displaced);
                }
                self.answer_early(token, index);
            }
            Answer::NotLeader { token, hint } => self.refuse(token, "not-leader", hint),
            Answer::ReadRefused { token, hint } => self.refuse(token, "no-leader", hint),
            Answer::ReadReady { token, index, term } => {
                if self.trace.is_on() {
                    self.trace.recorder.read_index(now, token.0, index.0, term.0);
                }
                self.serve_read(token);
            }
        }
    }

    fn serve_read(&mut self, token: Token) {
        let Some(Pending { id, replies, what: Want::Read(key) }) = self.requests.remove(&token)
        else {
            return;
        };
        let (value, applied) = self.state.read(&key);
        let reply = Reply { id, ok: Some(&value), pos: Some(applied), ..Reply::default() };
        self.reply(&replies, &reply);
    }

    /// Answers a command that only the own log has, where the rules say so.
    fn answer_early(&mut self, token: Token, index: Index) {
        if !self.rules.answers_on_append() {
            return;
        }
        let Some(Pending { what: Want::Change(command), .. }) = self.requests.get(&token) else {
            return;
        };
        let Some(value) = command.change.returns_blindly() else { return };
        let Some(Pending { id, replies, .. }) = self.requests.remove(&token) else { return };
        let reply = Reply { id, ok: Some(&value), pos: Some(index.0), ..Reply::default() };
        self.reply(&replies, &reply);
    }

    fn refuse(&mut self, token: Token, why: &str, hint: Option<NodeId>) {
        let Some(Pending { id, replies, .. }) = self.requests.remove(&token) else { return };
        let leader = hint.map(|leader| leader.to_string());
        self.reply(&replies, &Reply { id, fail: Some(why), leader, ..Reply::default() });
    }

    /// Puts a reply with those that leave when the batch is done and traced.
    fn reply(&mut self, replies: &mpsc::Sender<Vec<u8>>, reply: &Reply<'_>) {
        self.replies.push((replies.clone(), reply.to_line()));
    }

    fn send_replies(&mut self) {
        for (replies, line) in self.replies.drain(..) {
            // A client that is gone, or does not read its replies, has given up on them.
            let _ = replies.try_send(line);
        }
    }
}

/// Whether a step changes what the trace of the steps before it speaks of.
fn rewrites(effects: &Effects) -> bool {
    let role = |transition: &squall_raft_core::Transition| {
        matches!(transition, squall_raft_core::Transition::Role { .. })
    };
    effects.persist.truncate_from.is_some()
        || effects.persist.hard_state.is_some()
        || effects.transitions.iter().any(role)
}
