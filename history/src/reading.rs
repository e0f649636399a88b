//! How a history is to be read: what recorders disagree about.
//!
//! The same file can have another verdict under another reading, so every verdict says which was used.

use std::fmt;
use std::str::FromStr;

use crate::Value;
use crate::suggest::hint;

/// What a cas that failed on its precondition says.
///
/// Only a fail whose reason is [`precondition`](crate::Reason::PRECONDITION) is meant; one that timed out or was
/// refused never says anything.
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

/// How a history is to be read. The default is how squall writes its own.
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

/// Says that a switch has no such setting.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("unknown setting {found:?}{}", hint(found, known.iter().copied()))]
pub struct UnknownReading {
    /// What was asked for.
    pub found: String,
    /// The settings that there are.
    pub known: [&'static str; 2],
}

impl FromStr for FailedCas {
    type Err = UnknownReading;

    fn from_str(word: &str) -> Result<FailedCas, UnknownReading> {
        match word {
            "observation" => Ok(FailedCas::Observation),
            "dropped" => Ok(FailedCas::Dropped),
            _ => Err(UnknownReading { found: word.to_owned(), known: ["observation", "dropped"] }),
        }
    }
}

impl FromStr for NilRead {
    type Err = UnknownReading;

    fn from_str(word: &str) -> Result<NilRead, UnknownReading> {
        match word {
            "absent" => Ok(NilRead::Absent),
            "unknown" => Ok(NilRead::Unknown),
            _ => Err(UnknownReading { found: word.to_owned(), known: ["absent", "unknown"] }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reading_is_told_in_half_a_sentence() {
        let ours = Reading { initial: Value::Int(0), ..Reading::default() };

        assert_eq!(
            ours.to_string(),
            "a failed cas is an observation, a read of nil saw nothing there, the initial value is 0"
        );
        assert_eq!(
            Reading::jepsen().to_string(),
            "a failed cas is dropped, a read of nil saw anything"
        );
    }

    #[test]
    fn switches_are_read_by_name_and_a_wrong_name_is_told() {
        assert_eq!("dropped".parse(), Ok(FailedCas::Dropped));
        assert_eq!("observation".parse(), Ok(FailedCas::Observation));
        assert_eq!("absent".parse(), Ok(NilRead::Absent));
        assert_eq!("unknown".parse(), Ok(NilRead::Unknown));
        assert_eq!(
            "droped".parse::<FailedCas>().unwrap_err().to_string(),
            r#"unknown setting "droped"; did you mean "dropped"?"#
        );
    }
}
