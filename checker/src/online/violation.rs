//! What a monitor may say.

use std::fmt;

use squall_history::Key;

/// An event that no order of the operations so far explains.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// The event, counted from 1.
    pub event: u32,
    /// The key, where the history has keys.
    pub key: Option<Key>,
    /// The events that invoked the operations which contradict each other, as far as they are still known.
    pub operations: Vec<u32>,
    /// The contradiction, in one sentence.
    pub why: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "event {}: {}", self.event, self.why)?;
        self.key.iter().try_for_each(|key| write!(f, " (key {key})"))
    }
}

/// Prints what is no longer followed from where on: `key 3 from event 17 on, because …`.
impl fmt::Display for GaveUp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.key {
            Some(key) => write!(f, "key {key}")?,
            None => f.write_str("nothing")?,
        }
        write!(f, " from event {} on, because {}", self.event, self.why)
    }
}

/// Why a monitor is silent about a key, or about everything where there is none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GaveUp {
    /// The event that it could not follow, counted from 1.
    pub event: u32,
    /// The key that it no longer follows.
    pub key: Option<Key>,
    /// What it could not follow.
    pub why: String,
}

/// Why an engine goes no further.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Halt {
    /// No order explains what was seen.
    Broken {
        /// The events that invoked the operations.
        operations: Vec<u32>,
        /// The contradiction.
        why: String,
    },
    /// The engine's precondition does not hold.
    GaveUp(&'static str),
}

/// Says that operations contradict each other.
pub(super) fn broken(operations: impl IntoIterator<Item = u32>, why: String) -> Halt {
    Halt::Broken { operations: operations.into_iter().collect(), why }
}
