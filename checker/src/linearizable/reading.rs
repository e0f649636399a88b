//! The two readings on which recorders disagree, and the initial value.

use std::fmt;

use squall_history::Value;

/// What a cas that failed on its precondition says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum FailedCas {
    /// The value was not `from` (squall, and porcupine's model of etcd).
    #[default]
    Observation,
    /// Nothing (Knossos).
    Dropped,
}

/// What a read that returned nil says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum NilRead {
    /// The key was absent, or held nil (squall, porcupine).
    #[default]
    Absent,
    /// Nothing: the value is unknown (Knossos).
    Unknown,
}

/// How a history is to be read. The same file can have another verdict under another reading.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reading {
    /// What a failed cas says.
    pub failed_cas: FailedCas,
    /// What a read of nil says.
    pub nil_read: NilRead,
    /// The value before the first write; for a multi-register a map. Only registers heed it.
    pub initial: Value,
}

impl Reading {
    /// How Knossos reads a history: a failed cas did not happen, a read of nil saw anything.
    pub fn jepsen() -> Reading {
        Reading { failed_cas: FailedCas::Dropped, nil_read: NilRead::Unknown, initial: Value::Nil }
    }
}

/// Says in half a sentence which reading was used.
impl fmt::Display for Reading {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.failed_cas {
            FailedCas::Observation => "a failed cas is an observation",
            FailedCas::Dropped => "a failed cas is dropped",
        })?;
        f.write_str(match self.nil_read {
            NilRead::Absent => ", a read of nil saw nothing there",
            NilRead::Unknown => ", a read of nil saw anything",
        })?;
        if !self.initial.is_nil() {
            write!(f, ", the initial value is {}", self.initial)?;
        }
        Ok(())
    }
}
