//! A Raft node says what it does, in a file that squall holds to the Raft paper: `squall-trace/1`.
//!
//! `docs/trace.md` says when to write which event; its one rule is that a fact is written after it is true, and before
//! any message that shows it is sent. So a loop says what a batch did, and flushes, at two places: before anything is
//! sent, and after the sync.
//!
//! ```
//! use squall_trace::{LogPosition, TraceEvent, Tracer, hash};
//!
//! # fn main() -> std::io::Result<()> {
//! // Nothing is written unless squall has set SQUALL_TRACE.
//! let mut trace = Tracer::from_env()?;
//!
//! let nothing = LogPosition::default();
//! trace.say(TraceEvent::Boot {
//!     term: 0.into(),
//!     vote: None,
//!     snapshot: nothing,
//!     applied: 0,
//!     config: squall_trace::voters(["n1", "n2", "n3"]),
//! });
//! trace.flush()?;
//!
//! // Later, when this node has won an election and taken its first command:
//! trace.say(TraceEvent::BecomeLeader { term: 1.into(), last: nothing });
//! let (index, term, prev_term) = (1, 1.into(), 0.into());
//! let hashes = vec![hash(b"set x 5")];
//! trace.say(TraceEvent::Append { index, term, prev_term, hashes, recovered: false });
//! trace.flush()?;
//! // … fsync, and then, before the messages that wait for it:
//! trace.say(TraceEvent::Durable { upto: 1 });
//! trace.flush()
//! # }
//! ```

use std::fs::File;
use std::io::{self, Write};
use std::path::Path;

use nix::time::{ClockId, clock_gettime};
use squall_history::trace::{FORMAT, Header, Line};

pub use squall_history::NodeName;
pub use squall_history::trace::{CommitBy, EntryHash, Epoch, LogPosition, TraceEvent, Voters};

/// The variable with the path of the file.
pub const VARIABLE: &str = "SQUALL_TRACE";

/// A node's trace on its way to a file; or nowhere, where nobody asked for it.
#[derive(Debug)]
pub struct Tracer {
    to: Option<(File, Lines)>,
}

impl Tracer {
    /// Opens the file that squall asks for in `$SQUALL_TRACE`: `…/n1.3.jsonl` is the fourth boot of n1. Without that
    /// variable nothing is written.
    ///
    /// # Errors
    ///
    /// The file cannot be made, or its name is not of that form. A node should not go on then: one that goes on in silence
    /// looks like one that did nothing.
    pub fn from_env() -> io::Result<Tracer> {
        match std::env::var_os(VARIABLE) {
            Some(path) => Tracer::create(Path::new(&path)),
            None => Ok(Tracer { to: None }),
        }
    }

    /// Makes the file of one boot, named `<node>.<boot>.jsonl`.
    ///
    /// # Errors
    ///
    /// The file cannot be made, or its name is not of that form.
    pub fn create(path: &Path) -> io::Result<Tracer> {
        let (node, boot) = named(path).ok_or_else(|| {
            let expected =
                "expected a file named like n1.0.jsonl: a node, and the number of its boot";
            io::Error::new(io::ErrorKind::InvalidInput, format!("{}: {expected}", path.display()))
        })?;
        let lines = Lines::new(&node, boot);
        let mut tracer = Tracer { to: Some((File::create(path)?, lines)) };
        tracer.flush()?;
        Ok(tracer)
    }

    /// Returns whether anybody reads it, so that what is costly to tell can be left out.
    pub fn is_on(&self) -> bool {
        self.to.is_some()
    }

    /// Says that something happened, now. It reaches the kernel with the next [`Tracer::flush`].
    pub fn say(&mut self, event: TraceEvent) {
        if let Some((_, lines)) = &mut self.to {
            lines.say(now(), event);
        }
    }

    /// Hands the lines to the kernel with one write(2), where they survive kill -9.
    ///
    /// # Errors
    ///
    /// The file cannot be written. The node should stop.
    pub fn flush(&mut self) -> io::Result<()> {
        let Some((file, lines)) = &mut self.to else { return Ok(()) };
        let lines = lines.take();
        if lines.is_empty() { Ok(()) } else { file.write_all(&lines) }
    }
}

/// The lines of a trace, without a file and a clock, for a simulation that keeps its own.
#[derive(Debug, Default)]
pub struct Lines {
    seq: u64,
    bytes: Vec<u8>,
}

impl Lines {
    /// Begins with the header. It promises that each step is written before the next one.
    pub fn new(node: &NodeName, boot: u32) -> Lines {
        let mut lines = Lines::default();
        lines.json(&Header {
            squall: FORMAT.to_owned(),
            node: node.clone(),
            boot,
            write: Some("through".to_owned()),
            state: None,
            torn: None,
        });
        lines
    }

    /// Says that something happened at a moment of CLOCK_MONOTONIC, in nanoseconds.
    pub fn say(&mut self, time: u64, event: TraceEvent) {
        let line = Line { seq: self.seq, time, event };
        self.seq += 1;
        self.json(&line);
    }

    /// Takes what was said since the last call: whole lines, for one write.
    pub fn take(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.bytes)
    }

    fn json(&mut self, line: &impl serde::Serialize) {
        serde_json::to_writer(&mut self.bytes, line).expect("a trace line is plain data");
        self.bytes.push(b'\n');
    }
}

/// Returns a hash of a command's bytes: FNV-1a. Let the bytes of two proposals differ even if their commands are alike.
pub fn hash(command: &[u8]) -> EntryHash {
    let fold = |hash: u64, byte: &u8| (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3);
    EntryHash(command.iter().fold(0xcbf2_9ce4_8422_2325, fold))
}

/// Returns a configuration of these voters.
pub fn voters<'a>(names: impl IntoIterator<Item = &'a str>) -> Voters {
    let voters = names.into_iter().map(NodeName::from).collect();
    Voters { voters, ..Voters::default() }
}

/// Returns CLOCK_MONOTONIC in nanoseconds.
pub fn now() -> u64 {
    let time = clock_gettime(ClockId::CLOCK_MONOTONIC).expect("Linux has CLOCK_MONOTONIC");
    time.tv_sec() as u64 * 1_000_000_000 + time.tv_nsec() as u64
}

/// Returns the node and the boot that a trace is named by.
fn named(path: &Path) -> Option<(NodeName, u32)> {
    let (node, boot) = path.file_name()?.to_str()?.strip_suffix(".jsonl")?.rsplit_once('.')?;
    Some((NodeName::from(node), boot.parse().ok()?))
}
