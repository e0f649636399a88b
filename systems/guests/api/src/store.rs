//! The map that is replicated: a deterministic function of the changes, in the order of the log.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// What goes through the log.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Change {
    /// Sets a key.
    Write { key: String, value: Value },
    /// Sets a key that has the old value.
    Cas { key: String, old: Value, new: Value },
}

/// What came of an operation.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Answer {
    /// It took effect.
    Done,
    /// The value that was read; null where there is no such key.
    Value(Value),
    /// A cas found another value, and changed nothing.
    Seen(Value),
}

/// The map.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Store(BTreeMap<String, Value>);

impl Store {
    /// Carries out a change.
    pub fn apply(&mut self, change: Change) -> Answer {
        match change {
            Change::Write { key, value } => {
                self.0.insert(key, value);
                Answer::Done
            }
            Change::Cas { key, old, new } => {
                let seen = self.get(&key);
                if seen != old {
                    return Answer::Seen(seen);
                }
                self.0.insert(key, new);
                Answer::Done
            }
        }
    }

    /// Returns a key's value; null where there is none.
    pub fn get(&self, key: &str) -> Value {
        self.0.get(key).cloned().unwrap_or_default()
    }
}
