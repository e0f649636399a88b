//! What a client wants done, as the bytes of a log entry.

use serde::{Deserialize, Serialize};

/// No command is longer, so that the most entries that one message carries fit into a frame between peers.
pub const LONGEST: usize = 64 << 10;

/// Identifies a command across attempts (thesis §6.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RequestId {
    /// The client session.
    pub session: u64,
    /// The command within the session, counted up from 1.
    pub sequence: u64,
}

/// A change of the state machine. Values are JSON texts in one spelling, so that equal values are equal texts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Change {
    /// Sets a key.
    Write {
        /// Which.
        key: String,
        /// To what.
        value: String,
    },
    /// Sets a key if it holds a value.
    Cas {
        /// Which.
        key: String,
        /// The value that it must hold; `null` where it must not exist.
        old: String,
        /// The value that it then gets.
        value: String,
    },
    /// Appends an element to the list under a key.
    Append {
        /// Which.
        key: String,
        /// The element.
        value: String,
    },
    /// Adds to the number under a key; an absent key counts as 0.
    Increment {
        /// Which.
        key: String,
        /// How much.
        by: i64,
    },
}

/// A log entry's command.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Command {
    /// Differs between any two proposals, so that two entries with the same change have different bytes and hashes.
    pub nonce: u64,
    /// The client's name for the command, where it may send it again.
    pub request: Option<RequestId>,
    /// What is to be done.
    pub change: Change,
}

impl Command {
    /// Returns the bytes for the log.
    pub fn to_bytes(&self) -> Vec<u8> {
        postcard::to_stdvec(self).expect("a command is plain data")
    }

    /// Reads the bytes of a log entry.
    pub fn from_bytes(bytes: &[u8]) -> Result<Command, postcard::Error> {
        postcard::from_bytes(bytes)
    }
}

impl Change {
    /// Returns what the change answers if that does not depend on the state.
    pub fn returns_blindly(&self) -> Option<serde_json::Value> {
        match self {
            Change::Write { value, .. } | Change::Append { value, .. } => {
                serde_json::from_str(value).ok()
            }
            Change::Cas { .. } | Change::Increment { .. } => None,
        }
    }
}
