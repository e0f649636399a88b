//! What the node says of itself, as `squall-trace/1` (docs/trace.md): written where it takes effect, one write a step.

use std::fs::File;
use std::io::{self, Write};

use guest_api::Args;
use raft::eraftpb::{Entry, HardState, Message, MessageType};
use raft::storage::MemStorage;
use raft::{Raft, ReadState, StateRole, Storage};
use serde_json::{Map, Value, json};

/// The trace of one boot. Without `SQUALL_TRACE` it says nothing.
pub(crate) struct Trace {
    file: Option<File>,
    lines: Vec<u8>,
    seq: u64,
    names: Vec<String>,
    role: (u64, StateRole),
    commit: u64,
    /// The end of the log in memory, with its term.
    last: (u64, u64),
}

impl Trace {
    /// Begins the trace of a boot with what the disk gave back.
    pub(crate) fn open(args: &Args, memory: &MemStorage) -> io::Result<Trace> {
        let path = std::env::var_os("SQUALL_TRACE");
        let file = path.as_ref().map(File::create_new).transpose()?;
        let boot = path.and_then(|path| boot(&path.into_string().ok()?)).unwrap_or(0);
        let names: Vec<_> = args.peers.iter().map(|(id, _)| id.clone()).collect();
        let role = (0, StateRole::Follower);
        let mut trace =
            Trace { file, lines: Vec::new(), seq: 0, names, role, commit: 0, last: (0, 0) };
        let header =
            json!({"squall": "trace/1", "node": args.id, "boot": boot, "write": "through"});
        writeln!(trace.lines, "{header}")?;
        trace.boot(memory).map_err(io::Error::other)?;
        trace.flush()?;
        Ok(trace)
    }

    fn boot(&mut self, memory: &MemStorage) -> raft::Result<()> {
        let hard = memory.initial_state()?.hard_state;
        let config = json!({ "voters": self.names });
        let mut fields = json!({"term": hard.term, "applied": 0, "config": config});
        if let Some(name) = self.name(hard.vote) {
            fields["vote"] = name;
        }
        self.role.0 = hard.term;
        self.event("boot", fields);
        let end = memory.last_index()? + 1;
        if end > 1 {
            let context = raft::GetEntriesContext::empty(false);
            let entries = memory.entries(1, end, None, context)?;
            self.append(&entries, json!({"recovered": true}));
            self.event("durable", json!({"upto": end - 1}));
        }
        Ok(())
    }

    /// What is true in memory, before anything is sent or synced: changes of role, new entries, the commit index.
    pub(crate) fn before_sync(
        &mut self,
        raft: &Raft<MemStorage>,
        entries: &[Entry],
    ) -> io::Result<()> {
        if self.role != (raft.term, raft.state) {
            self.role = (raft.term, raft.state);
            self.event(became(raft.state), json!({"term": raft.term, "last": last(self.last)}));
        }
        if let Some(first) = entries.first() {
            if first.index <= self.last.0 {
                self.event("truncate", json!({"from": first.index}));
                self.last = (first.index - 1, raft.raft_log.term(first.index - 1).unwrap_or(0));
            }
            self.append(entries, json!({}));
        }
        self.commit(raft)
    }

    /// What is durable now, and what is about to be sent because it is.
    pub(crate) fn after_sync(
        &mut self,
        entries: &[Entry],
        hard: Option<&HardState>,
        messages: &[Message],
    ) -> io::Result<()> {
        if let Some(hard) = hard {
            let mut fields = json!({"term": hard.term});
            if let Some(name) = self.name(hard.vote) {
                fields["vote"] = name;
            }
            self.event("hard_state", fields);
        }
        if !entries.is_empty() {
            self.event("durable", json!({"upto": self.last.0}));
        }
        for message in messages.iter().filter(|message| !message.reject) {
            self.reply(message);
        }
        self.flush()
    }

    fn reply(&mut self, message: &Message) {
        let Some(to) = self.name(message.to) else { return };
        match message.get_msg_type() {
            MessageType::MsgRequestVoteResponse => {
                self.event("vote", json!({"to": to, "term": message.term}));
            }
            MessageType::MsgAppendResponse => {
                let (index, term) = (message.index, message.term);
                self.event("ack", json!({"to": to, "index": index, "term": term}));
            }
            _ => {}
        }
    }

    /// The commit index, if it has moved.
    pub(crate) fn commit(&mut self, raft: &Raft<MemStorage>) -> io::Result<()> {
        if raft.raft_log.committed > self.commit {
            self.commit = raft.raft_log.committed;
            let by = if raft.state == StateRole::Leader { "count" } else { "leader" };
            self.event("commit", json!({"index": self.commit, "term": raft.term, "by": by}));
        }
        self.flush()
    }

    /// An entry, after the map's step.
    pub(crate) fn apply(&mut self, entry: &Entry) -> io::Result<()> {
        let (index, term) = (entry.index, entry.term);
        self.event("apply", json!({"index": index, "term": term, "hash": hash(entry)}));
        self.flush()
    }

    /// A read that a leader of this term has confirmed.
    pub(crate) fn read_index(&mut self, state: &ReadState, term: u64) -> io::Result<()> {
        let token = String::from_utf8_lossy(&state.request_ctx);
        let (index, mode) = (state.index, "read_index");
        let fields = json!({"token": token, "index": index, "term": term, "mode": mode});
        self.event("read_index", fields);
        self.flush()
    }

    fn append(&mut self, entries: &[Entry], more: Value) {
        for entry in entries {
            let mut fields = more.clone();
            fields["index"] = entry.index.into();
            fields["term"] = entry.term.into();
            fields["prev_term"] = self.last.1.into();
            fields["hash"] = hash(entry).into();
            self.event("append", fields);
            self.last = (entry.index, entry.term);
        }
    }

    fn event(&mut self, name: &str, fields: Value) {
        let mut line = Map::new();
        line.insert("seq".to_owned(), self.seq.into());
        line.insert("time".to_owned(), now().into());
        line.insert("event".to_owned(), name.into());
        if let Value::Object(fields) = fields {
            line.extend(fields);
        }
        self.seq += 1;
        self.lines.extend(Value::Object(line).to_string().into_bytes());
        self.lines.push(b'\n');
    }

    fn flush(&mut self) -> io::Result<()> {
        if let Some(file) = &mut self.file {
            file.write_all(&self.lines)?;
        }
        self.lines.clear();
        Ok(())
    }

    fn name(&self, number: u64) -> Option<Value> {
        let place = usize::try_from(number.checked_sub(1)?).ok()?;
        Some(self.names.get(place)?.clone().into())
    }
}

/// Reads the number of the boot from the file's name: `n1.3.jsonl`.
fn boot(path: &str) -> Option<u64> {
    path.strip_suffix(".jsonl")?.rsplit('.').next()?.parse().ok()
}

fn became(role: StateRole) -> &'static str {
    match role {
        StateRole::Follower => "become_follower",
        StateRole::PreCandidate => "become_pre_candidate",
        StateRole::Candidate => "become_candidate",
        StateRole::Leader => "become_leader",
    }
}

fn last((index, term): (u64, u64)) -> Value {
    json!({"index": index, "term": term})
}

/// FNV-1a over the request's name and its command, so that two alike commands differ.
fn hash(entry: &Entry) -> String {
    let bytes = entry.context.iter().chain(entry.data.iter());
    let step = |hash: u64, byte: &u8| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
    format!("{:016x}", bytes.fold(0xcbf2_9ce4_8422_2325, step))
}

/// CLOCK_MONOTONIC in nanoseconds.
fn now() -> u64 {
    let spec = nix::time::clock_gettime(nix::time::ClockId::CLOCK_MONOTONIC);
    spec.map_or(0, |time| time.tv_sec() as u64 * 1_000_000_000 + time.tv_nsec() as u64)
}
