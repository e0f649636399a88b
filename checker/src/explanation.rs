//! Why a few operations cannot be put in any order: in sentences for people, and as a cycle that can be drawn.

use std::fmt;

use serde::{Deserialize, Serialize};
use squall_history::Nanos;

/// Why a few operations cannot be put in any order.
///
/// Part of `verdict.json`. Operations are named by their index in the history, counted from 0 in the order of their
/// invocations.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Explanation {
    /// The operations that alone contradict each other, in the order of their invocations.
    pub operations: Vec<Told>,
    /// The contradiction, in one sentence.
    pub contradiction: String,
    /// A circle of operations each of which must come before the next. Absent where none could be derived: not every
    /// contradiction is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cycle: Option<Cycle>,
}

/// One operation of an explanation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Told {
    /// Its index in the history's operations.
    pub index: usize,
    /// Who asked.
    pub process: u64,
    /// What happened, in one sentence.
    pub text: String,
    /// A few words for a drawing.
    pub label: String,
    /// The line of its invocation, counted from 1; 0 where there is no file.
    pub line: u64,
    /// The line of its return; 0 where there is none.
    pub return_line: u64,
    /// When it was invoked, for display.
    pub invoked: Nanos,
    /// When its client stopped waiting, for display.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub returned: Option<Nanos>,
}

/// A circle of operations each of which must come before the next.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cycle {
    /// The edges of the circle: each begins where the one before it ended, and the first where the last did.
    pub edges: Vec<Edge>,
    /// Further edges on which some of these rest. They need not be drawn.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub rests_on: Vec<Edge>,
}

impl Cycle {
    /// Returns the edges of the circle and those that they rest on, in the order that [`Edge::because`] counts.
    pub fn all(&self) -> impl Iterator<Item = &Edge> {
        self.edges.iter().chain(&self.rests_on)
    }
}

/// One operation that must come before another.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Edge {
    /// The index of the earlier operation in the history.
    pub from: usize,
    /// The index of the later operation in the history.
    pub to: usize,
    /// What kind of reason there is.
    pub kind: EdgeKind,
    /// The reason, in one sentence.
    pub why: String,
    /// The edges that the reason rests on, as indices into [`Cycle::all`].
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub because: Vec<usize>,
}

/// The kinds of reasons for which one operation must come before another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum EdgeKind {
    /// The earlier one left what the later one saw.
    ReadsFrom,
    /// The earlier one saw what the later one replaced: Adya's anti-dependency.
    Overwritten,
    /// The rules of the object: one write before another, first in first out, a lock that must be released first.
    Order,
    /// The earlier one had returned before the later one was invoked.
    RealTime,
}

impl EdgeKind {
    /// Returns the word of files and terminals.
    pub fn name(self) -> &'static str {
        match self {
            EdgeKind::ReadsFrom => "reads-from",
            EdgeKind::Overwritten => "overwritten",
            EdgeKind::Order => "order",
            EdgeKind::RealTime => "real-time",
        }
    }
}

impl fmt::Display for EdgeKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}
