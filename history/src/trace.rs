//! What a Raft node says of itself: `squall-trace/1`, one JSON line an event, one file a boot.
//!
//! A fact is written after it is durable where it claims durability, and before the message that reveals it is sent.
//! `docs/trace.md` explains the format for the author of another Raft.

mod flat;
pub mod import;
mod read;

use std::fmt;

use serde::de::{Error as _, SeqAccess, Visitor};
use serde::{Deserialize, Serialize};

use crate::NodeName;

pub use read::{Missing, ReadError, Reader, Survey, Trace, read};

/// The name and version in the first line.
pub const FORMAT: &str = "trace/1";

/// The first line of a trace.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Header {
    /// `trace/1`.
    pub squall: String,
    /// Whose trace.
    pub node: NodeName,
    /// Which boot of it, counted from 0.
    pub boot: u32,
    /// `through` where each step is one write(2), so that kill -9 loses nothing; absence is judged only then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub write: Option<String>,
    /// For events read from a node's files: [`DEAD`], [`PAUSED`] or [`UNREAD`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state: Option<String>,
    /// For events read from a node's files: how many bytes at the end were no whole write.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub torn: Option<u64>,
}

/// The state of a node that did not run while its files were read.
pub const DEAD: &str = "dead";
/// The state of a node that stood still while its files were read, and went on.
pub const PAUSED: &str = "paused";
/// Stands for the state where the files could not be read; a note says why.
pub const UNREAD: &str = "unread";

/// One line after the first.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Line {
    /// Counted without gaps within a boot, from 0.
    pub seq: u64,
    /// CLOCK_MONOTONIC in ns. For display and merging, never for a verdict.
    pub time: u64,
    /// What happened.
    #[serde(flatten)]
    pub event: TraceEvent,
}

/// A term; for systems whose leaders are ordered by more than a number, a pair compared lexicographically.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Epoch(pub u64, pub u64);

impl From<u64> for Epoch {
    fn from(term: u64) -> Epoch {
        Epoch(term, 0)
    }
}

impl fmt::Display for Epoch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.1 {
            0 => write!(f, "{}", self.0),
            minor => write!(f, "{}.{minor}", self.0),
        }
    }
}

impl Serialize for Epoch {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.1 {
            0 => serializer.serialize_u64(self.0),
            _ => (self.0, self.1).serialize(serializer),
        }
    }
}

impl<'de> Deserialize<'de> for Epoch {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Epoch, D::Error> {
        deserializer.deserialize_any(EpochForm)
    }
}

struct EpochForm;

impl<'de> Visitor<'de> for EpochForm {
    type Value = Epoch;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a term: a number, or a pair of numbers")
    }

    fn visit_u64<E>(self, term: u64) -> Result<Epoch, E> {
        Ok(Epoch(term, 0))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut pair: A) -> Result<Epoch, A::Error> {
        let missing = |n| A::Error::invalid_length(n, &self);
        let term = pair.next_element()?.ok_or_else(|| missing(0))?;
        let minor = pair.next_element()?.ok_or_else(|| missing(1))?;
        match pair.next_element::<serde::de::IgnoredAny>()? {
            None => Ok(Epoch(term, minor)),
            Some(_) => Err(missing(3)),
        }
    }
}

/// A stable 64-bit hash of a command's bytes, written as 16 hexadecimal digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct EntryHash(pub u64);

impl fmt::Display for EntryHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

impl Serialize for EntryHash {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for EntryHash {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<EntryHash, D::Error> {
        deserializer.deserialize_str(HexDigits)
    }
}

struct HexDigits;

impl Visitor<'_> for HexDigits {
    type Value = EntryHash;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("16 hex digits")
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<EntryHash, E> {
        u64::from_str_radix(text, 16)
            .map(EntryHash)
            .map_err(|_| E::custom(format!("expected 16 hex digits, found {text:?}")))
    }
}

/// The position of an entry: an index and the term of the entry there.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize,
)]
pub struct LogPosition {
    /// The index.
    pub index: u64,
    /// The term of the entry at it.
    pub term: Epoch,
}

/// Who votes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Voters {
    /// Those whose majority decides.
    pub voters: Vec<NodeName>,
    /// Those who only follow.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub learners: Vec<NodeName>,
    /// In a joint configuration, the voters of the old one, whose majority must decide too.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub old: Vec<NodeName>,
}

/// What moved a commit index.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CommitBy {
    /// A leader counted replicas.
    Count,
    /// A follower was told by its leader.
    Leader,
    /// A snapshot was installed.
    Snapshot,
}

/// What a node may say of itself. Kinds that are missing switch off the checks that need them, and the verdict says so.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum TraceEvent {
    /// Recovery is done; the entries above the snapshot follow as `Append { recovered: true }`.
    Boot {
        /// Current term, as recovered.
        term: Epoch,
        /// Vote in that term.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        vote: Option<NodeName>,
        /// The base of the log.
        #[serde(default)]
        snapshot: LogPosition,
        /// Last applied index.
        #[serde(default)]
        applied: u64,
        /// The configuration in force.
        #[serde(default)]
        config: Voters,
    },
    /// Term and vote are durable.
    HardState {
        /// Current term.
        term: Epoch,
        /// Vote in it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        vote: Option<NodeName>,
    },
    /// The node asks whether it could win.
    BecomePreCandidate {
        /// Its current term.
        term: Epoch,
        /// The end of its log.
        last: LogPosition,
    },
    /// The node stands for election.
    BecomeCandidate {
        /// The term of the election.
        term: Epoch,
        /// The end of its log.
        last: LogPosition,
    },
    /// The node has won.
    BecomeLeader {
        /// The term that it leads.
        term: Epoch,
        /// The end of its log at its election, before the no-op.
        last: LogPosition,
    },
    /// The node follows.
    BecomeFollower {
        /// Its current term.
        term: Epoch,
        /// The end of its log.
        last: LogPosition,
    },
    /// Entries `index .. index + hashes.len()`, all of `term`, are in the log, in memory.
    Append {
        /// The index of the first.
        index: u64,
        /// Their term.
        term: Epoch,
        /// The term of the entry before the first.
        prev_term: Epoch,
        /// A hash of each command.
        hashes: Vec<EntryHash>,
        /// They were read back from disk at boot.
        #[serde(default, skip_serializing_if = "is_false")]
        recovered: bool,
    },
    /// The log is fsynced up to here.
    Durable {
        /// The last durable index.
        upto: u64,
    },
    /// The suffix from here on is gone.
    Truncate {
        /// The first index that is gone.
        from: u64,
    },
    /// A grant is about to be sent.
    Vote {
        /// The candidate.
        to: NodeName,
        /// The term of the election.
        term: Epoch,
        /// The grant is of a pre-vote, which binds nobody.
        #[serde(default, skip_serializing_if = "is_false")]
        prevote: bool,
    },
    /// A successful AppendEntries answer is about to be sent.
    Ack {
        /// The leader.
        to: NodeName,
        /// The index up to which the logs match.
        index: u64,
        /// The term of the RPC.
        term: Epoch,
        /// The RPC's prev_log_index.
        #[serde(default)]
        prev: u64,
        /// How many entries the RPC carried.
        #[serde(default)]
        entries: u64,
    },
    /// The commit index moves up to here.
    Commit {
        /// The new commit index.
        index: u64,
        /// The node's current term.
        term: Epoch,
        /// What moved it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        by: Option<CommitBy>,
    },
    /// The state machine took an entry.
    Apply {
        /// Its index.
        index: u64,
        /// Its term.
        term: Epoch,
        /// A hash of its command.
        hash: EntryHash,
        /// A digest of the state after it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        digest: Option<EntryHash>,
    },
    /// A snapshot was taken.
    Snapshot {
        /// The last index in it.
        index: u64,
        /// The term of that entry.
        term: Epoch,
        /// A digest of the state.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        digest: Option<EntryHash>,
        /// The configuration in it.
        #[serde(default)]
        config: Voters,
    },
    /// A snapshot was installed.
    Install {
        /// The last index in it.
        index: u64,
        /// The term of that entry.
        term: Epoch,
        /// A digest of the state.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        digest: Option<EntryHash>,
        /// The configuration in it.
        #[serde(default)]
        config: Voters,
    },
    /// A configuration comes into force.
    Config {
        /// The index of its entry.
        index: u64,
        /// `append`, `apply` or `revert`.
        at: String,
        /// Who votes.
        #[serde(flatten)]
        config: Voters,
    },
    /// A read arrived.
    ReadRequest {
        /// Names the read within this boot, or the client's request.
        token: String,
    },
    /// A read may be served from a state that has applied `index`.
    ReadIndex {
        /// The read's token.
        token: String,
        /// The read index.
        index: u64,
        /// The term of the leader that confirmed the round.
        term: Epoch,
        /// `read_index`, `lease` or `local`.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        mode: Option<String>,
    },
    /// Anything; shown in the report.
    Note {
        /// The text.
        text: String,
    },
}

fn is_false(flag: &bool) -> bool {
    !flag
}

#[cfg(test)]
mod tests;
