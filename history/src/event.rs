//! What happened, as it happened: invocations and returns, in the order of one clock.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::{NodeName, Op, Request, Value};

/// Nanoseconds since the start of the run on the recorder's monotonic clock.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Nanos(pub u64);

impl Nanos {
    /// Returns the time in seconds, for people.
    pub fn as_secs_f64(self) -> f64 {
        self.0 as f64 / 1e9
    }
}

impl From<std::time::Duration> for Nanos {
    fn from(since_start: std::time::Duration) -> Nanos {
        Nanos(u64::try_from(since_start.as_nanos()).unwrap_or(u64::MAX))
    }
}

/// Prints seconds with milliseconds: `12.418 s`.
impl fmt::Display for Nanos {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.3} s", self.as_secs_f64())
    }
}

/// Jepsen's process: a logical thread of one client. It has at most one operation open, and none after an info.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Process(pub u64);

impl fmt::Display for Process {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

/// Says why an operation failed or is in doubt: `precondition`, `not-leader`, `refused`, `timeout`, `reset`, …
///
/// Only `precondition` is an observation.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Reason(pub Arc<str>);

impl Reason {
    /// The one reason that is an observation: a cas saw another value.
    pub const PRECONDITION: &'static str = "precondition";

    /// Returns whether this fail observed the state (a failed cas).
    pub fn is_precondition(&self) -> bool {
        &*self.0 == Reason::PRECONDITION
    }
}

impl From<&str> for Reason {
    fn from(reason: &str) -> Reason {
        Reason(reason.into())
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// How an operation ended, as far as its client can know.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// It happened, and this is what it returned (for a write or cas: its argument).
    Ok(Value),
    /// It certainly did not happen.
    Fail {
        /// Why.
        error: Reason,
        /// The value that a failed cas saw, where the system tells it.
        seen: Option<Value>,
    },
    /// Nobody knows: it may have happened, or happen later, or never.
    Info {
        /// Why.
        error: Reason,
    },
}

/// An operation begins. Stamped before its first byte is sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Invoke {
    /// When.
    pub time: Nanos,
    /// Who asks.
    pub process: Process,
    /// What is asked.
    pub op: Op,
    /// Which node is asked.
    pub node: Option<NodeName>,
    /// The identity of the command, where the same one may be sent again.
    pub request: Option<Request>,
}

/// An operation ends. Stamped after its last byte was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Return {
    /// When.
    pub time: Nanos,
    /// Whose operation.
    pub process: Process,
    /// How.
    pub outcome: Outcome,
    /// The log position at which it took effect, where the system tells it.
    pub pos: Option<u64>,
}

/// One line of a history. Only a return carries an outcome.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// An operation begins.
    Invoke(Invoke),
    /// An operation ends.
    Return(Return),
}

impl Event {
    /// Returns when the event happened.
    pub fn time(&self) -> Nanos {
        match self {
            Event::Invoke(invoke) => invoke.time,
            Event::Return(ret) => ret.time,
        }
    }

    /// Returns whose event it is.
    pub fn process(&self) -> Process {
        match self {
            Event::Invoke(invoke) => invoke.process,
            Event::Return(ret) => ret.process,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn times_are_printed_in_seconds() {
        assert_eq!(Nanos::from(Duration::from_micros(12_418_499)).to_string(), "12.418 s");
        assert_eq!(Nanos(0).to_string(), "0.000 s");
    }

    #[test]
    fn a_time_beyond_584_years_is_the_last_one() {
        assert_eq!(Nanos::from(Duration::MAX), Nanos(u64::MAX));
    }

    #[test]
    fn only_a_failed_precondition_observes() {
        assert!(Reason::from("precondition").is_precondition());
        for reason in ["timeout", "not-leader", "Precondition", "precondition failed", ""] {
            assert!(!Reason::from(reason).is_precondition(), "{reason}");
        }
    }
}
