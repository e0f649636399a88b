//! `history.jsonl`: one event a line, behind a first line that names format and version.
//!
//! ```text
//! {"squall":"history/1"}
//! {"time":1234567,"process":3,"type":"invoke","f":"write","key":"7","value":5,"node":"n1"}
//! {"time":1301200,"process":3,"type":"ok","f":"write","key":"7","value":5,"node":"n1","pos":118}
//! ```
//!
//! A run writes millions of lines, all of one shape, so a scanner made for that shape reads them; serde reads whatever
//! it does not recognise, and is the judge of what is JSON.

mod line;
mod scan;

use std::io::{self, BufRead, Write};

use serde::{Deserialize, Serialize};

use crate::{History, Invoke, Malformed, Outcome, Return};
use line::{Line, Type};
use scan::Reader;

/// The name and version in the first line.
pub const FORMAT: &str = "history/1";

/// A longer line than this is no event, and reading it would only fill the memory.
const MAX_LINE: usize = 64 << 20;

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

/// Writes events as they happen, each with one write of a whole line.
#[derive(Debug)]
pub struct Writer<W: Write> {
    out: W,
    line: Vec<u8>,
}

impl<W: Write> Writer<W> {
    /// Writes the first line.
    pub fn new(mut out: W) -> io::Result<Writer<W>> {
        serde_json::to_writer(&mut out, &Header::of(FORMAT))?;
        out.write_all(b"\n")?;
        Ok(Writer { out, line: Vec::with_capacity(256) })
    }

    /// Writes an invocation.
    pub fn invoke(&mut self, invoke: &Invoke) -> io::Result<()> {
        self.line(&Line::of(invoke, invoke.time, Type::Invoke))
    }

    /// Writes the return of an invocation.
    pub fn complete(&mut self, invoke: &Invoke, ret: &Return) -> io::Result<()> {
        let mut line = Line::of(invoke, ret.time, Type::of(&ret.outcome));
        line.process = ret.process;
        line.pos = ret.pos;
        match &ret.outcome {
            Outcome::Ok(value) => line.value = value,
            Outcome::Fail { error, seen } => {
                line.error = Some(error);
                line.seen = seen.as_ref();
            }
            Outcome::Info { error } => line.error = Some(error),
        }
        self.line(&line)
    }

    fn line(&mut self, line: &Line<'_>) -> io::Result<()> {
        self.line.clear();
        serde_json::to_writer(&mut self.line, line)?;
        self.line.push(b'\n');
        self.out.write_all(&self.line)
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
///
/// ```
/// let file = r#"{"squall":"history/1"}
/// {"time":5,"process":0,"type":"invoke","f":"write","key":"x","value":1}
/// {"time":9,"process":0,"type":"ok","f":"write","key":"x","value":1}
/// {"time":12,"process":0,"type":"inv"#;
/// let read = squall_history::jsonl::read(file.as_bytes())?;
/// assert_eq!(read.history.operations().len(), 1);
/// assert_eq!(read.torn, Some(4));
/// # Ok::<(), squall_history::jsonl::ReadError>(())
/// ```
pub fn read(mut input: impl BufRead) -> Result<Read, ReadError> {
    let mut reader = Reader::default();
    // A line that began in an earlier piece of the file.
    let mut begun = Vec::new();
    loop {
        let piece = input.fill_buf()?;
        if piece.is_empty() {
            break;
        }
        let mut start = 0;
        for end in memchr::memchr_iter(b'\n', piece) {
            if begun.is_empty() {
                reader.line(&piece[start..end])?;
            } else {
                begun.extend_from_slice(&piece[start..end]);
                reader.line(&begun)?;
                begun.clear();
            }
            start = end + 1;
        }
        begun.extend_from_slice(&piece[start..]);
        if begun.len() > MAX_LINE {
            return Err(reader.too_long());
        }
        let consumed = piece.len();
        input.consume(consumed);
    }
    reader.end(&begun)
}

#[cfg(test)]
mod tests;
