//! The vocabulary: terms, indices, entries, and who votes.

use std::collections::BTreeSet;
use std::fmt;

use serde::{Deserialize, Serialize};

/// A term: Raft's logical clock (paper §5.1).
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize,
)]
pub struct Term(pub u64);

impl Term {
    /// Returns the term after this one.
    pub fn next(self) -> Term {
        Term(self.0 + 1)
    }
}

/// A position in the log, counted from 1; 0 stands before the first entry.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize,
)]
pub struct Index(pub u64);

impl Index {
    /// Returns the index after this one.
    pub fn next(self) -> Index {
        Index(self.0 + 1)
    }

    /// Returns the index before this one; 0 stays 0.
    pub fn prev(self) -> Index {
        Index(self.0.saturating_sub(1))
    }
}

/// A server of the cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct NodeId(pub u64);

/// Names a request of the shell within this boot, so that its answer finds the way back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Token(pub u64);

/// What an entry is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum EntryKind {
    /// Starts a leader's term (paper §8); the state machine skips it.
    Noop,
    /// Holds a command of the state machine.
    Command,
    /// Holds a configuration (thesis ch. 4); nobody proposes one yet.
    Config,
}

/// A log entry.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Entry {
    /// Its position.
    pub index: Index,
    /// The term of the leader that made it.
    pub term: Term,
    /// What it is for.
    pub kind: EntryKind,
    /// The command's bytes; the core never looks inside.
    pub data: Vec<u8>,
}

/// A place in a log: an index and the term of the entry there.
///
/// Ordered by term first, as logs are compared in §5.4.1 of the paper.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize,
)]
pub struct Position {
    /// The term of the entry.
    pub term: Term,
    /// Its index.
    pub index: Index,
}

/// What must be durable apart from the log: the current term and the vote in it (paper Figure 2).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct HardState {
    /// The latest term that the server has seen.
    pub term: Term,
    /// The candidate that got its vote in that term.
    pub voted_for: Option<NodeId>,
}

/// Who votes. A value and not a constant: a later step changes it (thesis ch. 4).
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Membership {
    /// The servers whose majority decides.
    pub voters: BTreeSet<NodeId>,
}

impl Entry {
    /// Returns where it stands.
    pub fn position(&self) -> Position {
        Position { term: self.term, index: self.index }
    }
}

impl FromIterator<NodeId> for Membership {
    fn from_iter<I: IntoIterator<Item = NodeId>>(ids: I) -> Membership {
        Membership { voters: ids.into_iter().collect() }
    }
}

impl fmt::Display for Term {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

impl fmt::Display for Index {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

/// Prints `n1`.
impl fmt::Display for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "n{}", self.0)
    }
}

/// Prints index and term: `7@3`.
impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}", self.index, self.term)
    }
}

/// Prints index and term: `7@3`.
impl fmt::Display for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}", self.index, self.term)
    }
}
