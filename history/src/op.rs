//! What a client may ask: Jepsen's `:f`, a key and a value.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::Value;

/// Names the object that an operation is about; independent keys are independent questions.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Key(pub Arc<str>);

impl From<&str> for Key {
    fn from(name: &str) -> Key {
        Key(name.into())
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Names a node as people and files do: `n1`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct NodeName(pub Arc<str>);

impl From<&str> for NodeName {
    fn from(name: &str) -> NodeName {
        NodeName(name.into())
    }
}

impl fmt::Display for NodeName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Names the function of an operation, in Jepsen's words.
///
/// Which value it takes and returns is said by the model that understands it; this list is every word that a format of
/// ours may write. A word that is not in it is kept as `Other`, so that an error can name it.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum F {
    /// Reads a key; ok carries the value.
    Read,
    /// Writes a value.
    Write,
    /// Compares and sets: the value is `[from, to]`.
    Cas,
    /// Appends an element to a list.
    Append,
    /// Removes a key.
    Delete,
    /// Adds a number to a counter.
    Increment,
    /// Adds an element to a set or a bag.
    Add,
    /// Removes an element from a set.
    Remove,
    /// Asks whether a set holds an element; ok carries a bool.
    Contains,
    /// Puts an element at the end of a queue.
    Enqueue,
    /// Takes an element from the front of a queue; ok carries it, or nil where the queue was empty.
    Dequeue,
    /// Pushes an element on a stack.
    Push,
    /// Pops an element from a stack.
    Pop,
    /// Acquires a lock; ok may carry a fencing token.
    Acquire,
    /// Releases a lock.
    Release,
    /// A transaction: a list of micro-operations.
    Txn,
    /// A word that no model of ours knows.
    Other(Arc<str>),
}

/// Every function of ours.
const KNOWN: [F; 16] = [
    F::Read,
    F::Write,
    F::Cas,
    F::Append,
    F::Delete,
    F::Increment,
    F::Add,
    F::Remove,
    F::Contains,
    F::Enqueue,
    F::Dequeue,
    F::Push,
    F::Pop,
    F::Acquire,
    F::Release,
    F::Txn,
];

impl F {
    /// Returns the word of the format.
    pub fn name(&self) -> &str {
        match self {
            F::Read => "read",
            F::Write => "write",
            F::Cas => "cas",
            F::Append => "append",
            F::Delete => "delete",
            F::Increment => "increment",
            F::Add => "add",
            F::Remove => "remove",
            F::Contains => "contains",
            F::Enqueue => "enqueue",
            F::Dequeue => "dequeue",
            F::Push => "push",
            F::Pop => "pop",
            F::Acquire => "acquire",
            F::Release => "release",
            F::Txn => "txn",
            F::Other(word) => word,
        }
    }

    /// Returns the function that a word names.
    pub fn from_name(word: &str) -> F {
        let known = KNOWN.iter().find(|known| known.name() == word);
        known.cloned().unwrap_or_else(|| F::Other(word.into()))
    }

    /// Returns whether the operation only observes, so that a timeout proves that nothing changed.
    pub fn is_read(&self) -> bool {
        matches!(self, F::Read | F::Contains)
    }
}

impl fmt::Display for F {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl Serialize for F {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}

impl<'de> Deserialize<'de> for F {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<F, D::Error> {
        let word = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        Ok(F::from_name(&word))
    }
}

/// Identifies a command across attempts: two invocations with the same request are one operation that takes effect at
/// most once (thesis §6.3). Written as `session-sequence`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Request {
    /// The client session.
    pub session: u64,
    /// The command within the session, counted up from 1.
    pub sequence: u64,
}

impl fmt::Display for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.session, self.sequence)
    }
}

impl std::str::FromStr for Request {
    type Err = String;

    fn from_str(text: &str) -> Result<Request, String> {
        let numbers = text.split_once('-').and_then(|(session, sequence)| {
            Some(Request { session: session.parse().ok()?, sequence: sequence.parse().ok()? })
        });
        numbers.ok_or_else(|| format!("expected a request such as \"3-19\", found {text:?}"))
    }
}

impl Serialize for Request {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Request {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Request, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

/// What one invocation asks of the system.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Op {
    /// What to do.
    pub f: F,
    /// To which object; none where a history has only one.
    pub key: Option<Key>,
    /// With which argument; `Nil` for a read.
    pub value: Value,
}

impl Op {
    /// Returns a read of a key.
    pub fn read(key: impl Into<Key>) -> Op {
        Op { f: F::Read, key: Some(key.into()), value: Value::Nil }
    }

    /// Returns a write of a value to a key.
    pub fn write(key: impl Into<Key>, value: impl Into<Value>) -> Op {
        Op { f: F::Write, key: Some(key.into()), value: value.into() }
    }

    /// Returns a compare-and-set of a key.
    pub fn cas(key: impl Into<Key>, from: impl Into<Value>, to: impl Into<Value>) -> Op {
        Op { f: F::Cas, key: Some(key.into()), value: Value::list([from.into(), to.into()]) }
    }

    /// Returns any operation on a history's only object: `Op::of(F::Dequeue, Value::Nil)`.
    pub fn of(f: F, value: impl Into<Value>) -> Op {
        Op { f, key: None, value: value.into() }
    }

    /// Returns an append of an element to the list under a key.
    pub fn append(key: impl Into<Key>, element: impl Into<Value>) -> Op {
        Op { f: F::Append, key: Some(key.into()), value: element.into() }
    }
}

impl fmt::Display for Op {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.f)?;
        if let Some(key) = &self.key {
            write!(f, " {key}")?;
        }
        match (&self.f, self.value.as_pair()) {
            (F::Cas, Some((from, to))) => write!(f, " {from}→{to}"),
            _ if self.value.is_nil() => Ok(()),
            _ => write!(f, " {}", self.value),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_word_names_its_function_and_back() {
        for f in KNOWN {
            assert_eq!(F::from_name(f.name()), f);
            let word = serde_json::to_string(&f).unwrap();
            assert_eq!(word, format!("{:?}", f.name()));
            assert_eq!(serde_json::from_str::<F>(&word).unwrap(), f);
        }
        assert_eq!(F::from_name("cas"), F::Cas);
    }

    #[test]
    fn an_unknown_word_is_kept_so_that_an_error_can_name_it() {
        let drain = F::from_name("drain");

        assert_eq!(drain, F::Other("drain".into()));
        assert_eq!(drain.to_string(), "drain");
        assert_eq!(serde_json::to_string(&drain).unwrap(), r#""drain""#);
    }

    #[test]
    fn only_reads_prove_by_a_timeout_that_nothing_changed() {
        let reads: Vec<F> = KNOWN.into_iter().filter(F::is_read).collect();

        assert_eq!(reads, [F::Read, F::Contains]);
    }

    #[test]
    fn operations_are_printed_as_one_speaks_of_them() {
        assert_eq!(Op::read("7").to_string(), "read 7");
        assert_eq!(Op::write("7", 5).to_string(), "write 7 5");
        assert_eq!(Op::cas("7", 2, 5).to_string(), "cas 7 2→5");
        assert_eq!(Op::append("7", "x").to_string(), r#"append 7 "x""#);
        assert_eq!(Op::of(F::Enqueue, 3).to_string(), "enqueue 3");
    }

    #[test]
    fn a_request_is_written_as_session_and_sequence() {
        let request = Request { session: 3, sequence: 19 };

        assert_eq!(request.to_string(), "3-19");
        assert_eq!("3-19".parse(), Ok(request));
        assert_eq!(serde_json::to_string(&request).unwrap(), r#""3-19""#);
        for wrong in ["", "3", "3-", "-19", "3-19-1", "3-x", "+-1"] {
            let error = wrong.parse::<Request>().unwrap_err();
            assert!(error.starts_with("expected a request such as \"3-19\""), "{error}");
        }
    }
}
