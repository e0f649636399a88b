//! A line as it stands in the file.

use serde::{Deserialize, Serialize};

use super::ReadError;
use crate::{
    Event, F, Invoke, Key, Nanos, NodeName, Op, Outcome, Process, Reason, Request, Return, Value,
};

/// Jepsen's `:type`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Type {
    Invoke,
    Ok,
    Fail,
    Info,
}

impl Type {
    /// Returns the type of a return.
    pub(super) fn of(outcome: &Outcome) -> Type {
        match outcome {
            Outcome::Ok(_) => Type::Ok,
            Outcome::Fail { .. } => Type::Fail,
            Outcome::Info { .. } => Type::Info,
        }
    }
}

/// A line to be written. Returns repeat what was asked, for grep and for people.
#[derive(Debug, Serialize)]
pub(super) struct Line<'a> {
    time: Nanos,
    pub(super) process: Process,
    r#type: Type,
    f: &'a F,
    #[serde(skip_serializing_if = "Option::is_none")]
    key: Option<&'a Key>,
    pub(super) value: &'a Value,
    #[serde(skip_serializing_if = "Option::is_none")]
    node: Option<&'a NodeName>,
    #[serde(skip_serializing_if = "Option::is_none")]
    request: Option<Request>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) pos: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) error: Option<&'a Reason>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) seen: Option<&'a Value>,
}

impl<'a> Line<'a> {
    /// Returns the line that says what was asked, and nothing of an outcome.
    pub(super) fn of(invoke: &'a Invoke, time: Nanos, r#type: Type) -> Line<'a> {
        Line {
            time,
            process: invoke.process,
            r#type,
            f: &invoke.op.f,
            key: invoke.op.key.as_ref(),
            value: &invoke.op.value,
            node: invoke.node.as_ref(),
            request: invoke.request,
            pos: None,
            error: None,
            seen: None,
        }
    }
}

/// A line that was read, of whatever shape JSON allows. Fields that we do not know are left to later versions.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct AnyLine {
    time: Nanos,
    process: Process,
    r#type: Type,
    f: F,
    #[serde(default)]
    key: Option<Key>,
    #[serde(default)]
    value: Value,
    #[serde(default)]
    node: Option<NodeName>,
    #[serde(default)]
    request: Option<Request>,
    #[serde(default)]
    pos: Option<u64>,
    #[serde(default)]
    error: Option<Reason>,
    #[serde(default, deserialize_with = "present")]
    seen: Option<Value>,
}

/// A value that is there, even if it is null: a cas may have seen that nothing was there.
fn present<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<Value>, D::Error> {
    Value::deserialize(deserializer).map(Some)
}

/// What a return repeats of its invocation.
pub(super) struct Asked {
    pub(super) f: F,
    pub(super) key: Option<Key>,
}

impl AnyLine {
    /// Reads a line as JSON.
    pub(super) fn parse(text: &[u8], number: u32) -> Result<AnyLine, ReadError> {
        let broken = |why| ReadError::Line { line: number, why };
        if let Err(error) = std::str::from_utf8(text) {
            return Err(broken(format!("byte {} is not UTF-8", error.valid_up_to() + 1)));
        }
        serde_json::from_slice(text).map_err(|error| broken(told(&error)))
    }

    /// Sorts the fields into an event.
    pub(super) fn event(self, number: u32) -> Result<(Event, Asked), ReadError> {
        let AnyLine { time, process, r#type, f, key, value, node, request, pos, error, seen } =
            self;
        let reason = |error: Option<Reason>| {
            error.ok_or(ReadError::Line { line: number, why: "missing field `error`".to_owned() })
        };
        let asked = Asked { f: f.clone(), key: key.clone() };
        let outcome = match r#type {
            Type::Invoke => {
                let op = Op { f, key, value };
                return Ok((Event::Invoke(Invoke { time, process, op, node, request }), asked));
            }
            Type::Ok => Outcome::Ok(value),
            Type::Fail => Outcome::Fail { error: reason(error)?, seen },
            Type::Info => Outcome::Info { error: reason(error)? },
        };
        Ok((Event::Return(Return { time, process, outcome, pos }), asked))
    }
}

/// Serde counts lines within what it was given, which is one line: only the column says something.
fn told(error: &serde_json::Error) -> String {
    let text = error.to_string();
    match text.rsplit_once(" at line 1 column ") {
        Some((what, column)) => format!("{what} (column {column})"),
        None => text,
    }
}
