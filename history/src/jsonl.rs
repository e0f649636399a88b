//! `history.jsonl`: one event a line, behind a first line that names format and version.
//!
//! ```text
//! {"squall":"history/1"}
//! {"time":1234567,"process":3,"type":"invoke","f":"write","key":"7","value":5,"node":"n1"}
//! {"time":1301200,"process":3,"type":"ok","f":"write","key":"7","value":5,"node":"n1","pos":118}
//! ```

use std::io::{self, BufRead, Write};

use serde::{Deserialize, Serialize};

use crate::{
    Event, F, History, Invoke, Key, Malformed, Nanos, NodeName, Op, Outcome, Pairing, Process,
    Reason, Request, Return, Value,
};

/// The name and version in the first line.
pub const FORMAT: &str = "history/1";

/// The first line of every JSON-lines file of a run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Header {
    /// Format and version, such as `history/1`.
    pub squall: String,
}

impl Header {
    /// Returns the header of a format.
    pub fn of(format: &str) -> Header {
        Header { squall: format.to_owned() }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Type {
    Invoke,
    Ok,
    Fail,
    Info,
}

/// A line as it stands in the file. Returns repeat what was asked, for grep and for people.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Line {
    time: Nanos,
    process: Process,
    r#type: Type,
    f: F,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    key: Option<Key>,
    #[serde(default)]
    value: Value,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    node: Option<NodeName>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    request: Option<Request>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pos: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    error: Option<Reason>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    seen: Option<Value>,
}

/// Writes events as they happen.
#[derive(Debug)]
pub struct Writer<W: Write> {
    out: W,
}

impl<W: Write> Writer<W> {
    /// Writes the first line.
    pub fn new(mut out: W) -> io::Result<Writer<W>> {
        serde_json::to_writer(&mut out, &Header::of(FORMAT))?;
        out.write_all(b"\n")?;
        Ok(Writer { out })
    }

    /// Writes an invocation.
    pub fn invoke(&mut self, invoke: &Invoke) -> io::Result<()> {
        self.line(&Line {
            time: invoke.time,
            process: invoke.process,
            r#type: Type::Invoke,
            f: invoke.op.f.clone(),
            key: invoke.op.key.clone(),
            value: invoke.op.value.clone(),
            node: invoke.node.clone(),
            request: invoke.request,
            pos: None,
            error: None,
            seen: None,
        })
    }

    /// Writes the return of an invocation.
    pub fn complete(&mut self, invoke: &Invoke, ret: &Return) -> io::Result<()> {
        let (r#type, value, error, seen) = match &ret.outcome {
            Outcome::Ok(value) => (Type::Ok, value.clone(), None, None),
            Outcome::Fail { error, seen } => {
                (Type::Fail, invoke.op.value.clone(), Some(error.clone()), seen.clone())
            }
            Outcome::Info { error } => {
                (Type::Info, invoke.op.value.clone(), Some(error.clone()), None)
            }
        };
        self.line(&Line {
            time: ret.time,
            process: ret.process,
            r#type,
            f: invoke.op.f.clone(),
            key: invoke.op.key.clone(),
            value,
            node: invoke.node.clone(),
            request: invoke.request,
            pos: ret.pos,
            error,
            seen,
        })
    }

    fn line(&mut self, line: &Line) -> io::Result<()> {
        serde_json::to_writer(&mut self.out, line)?;
        self.out.write_all(b"\n")
    }

    /// Makes what was written visible to readers of the file.
    pub fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

/// Says what is wrong with a history file, and where.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The file could not be read.
    #[error("failed to read the history")]
    Io(#[from] io::Error),
    /// The first line does not name a version that we know.
    #[error("line 1: expected {{\"squall\":\"{FORMAT}\"}}, found {found:?}")]
    Header {
        /// What stands there.
        found: String,
    },
    /// A line is not an event.
    #[error(
        "line {line}: expected an event such as {{\"time\":1,\"process\":0,\"type\":\"invoke\",\"f\":\"read\",\"key\":\"1\"}}: {why}"
    )]
    Line {
        /// Where.
        line: u32,
        /// What the parser said.
        why: String,
    },
    /// The events do not make a history.
    #[error(transparent)]
    Malformed(#[from] Malformed),
}

/// What was read, and whether the last line was torn.
#[derive(Debug)]
pub struct Read {
    /// The history.
    pub history: History,
    /// The last line was cut off and has been left out; say so to the user.
    pub torn: Option<u32>,
}

/// Reads a whole history. A torn last line is tolerated, any other broken line is an error.
pub fn read(mut input: impl BufRead) -> Result<Read, ReadError> {
    let mut header = String::new();
    input.read_line(&mut header)?;
    let known: Result<Header, _> = serde_json::from_str(&header);
    if known.ok().as_ref().map(|h| &*h.squall) != Some(FORMAT) {
        return Err(ReadError::Header { found: header.trim_end().chars().take(80).collect() });
    }
    let mut pairing = Pairing::default();
    let mut buffer = Vec::new();
    let mut number = 1;
    loop {
        buffer.clear();
        if input.read_until(b'\n', &mut buffer)? == 0 {
            return Ok(Read { history: pairing.finish(), torn: None });
        }
        number += 1;
        let complete = buffer.ends_with(b"\n");
        match serde_json::from_slice::<Line>(&buffer) {
            Ok(line) => pairing.push(event(line, number)?, number)?,
            Err(_) if !complete => {
                return Ok(Read { history: pairing.finish(), torn: Some(number) });
            }
            Err(error) => return Err(ReadError::Line { line: number, why: error.to_string() }),
        }
    }
}

fn event(line: Line, number: u32) -> Result<Event, ReadError> {
    let Line { time, process, r#type, f, key, value, node, request, pos, error, seen } = line;
    let reason = |error: Option<Reason>| {
        error.ok_or(ReadError::Line { line: number, why: "missing field `error`".to_owned() })
    };
    let outcome = match r#type {
        Type::Invoke => {
            return Ok(Event::Invoke(Invoke {
                time,
                process,
                op: Op { f, key, value },
                node,
                request,
            }));
        }
        Type::Ok => Outcome::Ok(value),
        Type::Fail => Outcome::Fail { error: reason(error)?, seen },
        Type::Info => Outcome::Info { error: reason(error)? },
    };
    Ok(Event::Return(Return { time, process, outcome, pos }))
}
