//! Reads and writes `schedule.jsonl`.

use std::io::{self, BufRead, Write};

use super::{FORMAT, Line};
use crate::jsonl::Header;

/// Writes what is planned and what becomes of it, as it happens.
#[derive(Debug)]
pub struct Writer<W: Write> {
    out: W,
}

impl<W: Write> Writer<W> {
    /// Writes the first line.
    pub fn new(mut out: W) -> io::Result<Writer<W>> {
        write_line(&mut out, &Header::of(FORMAT))?;
        Ok(Writer { out })
    }

    /// Writes a line and hands it to the kernel, where it survives us.
    pub fn line(&mut self, line: &Line) -> io::Result<()> {
        write_line(&mut self.out, line)
    }
}

/// Writes a line at once, so that a kill tears none but the last.
fn write_line(out: &mut impl Write, line: &impl serde::Serialize) -> io::Result<()> {
    let mut bytes = serde_json::to_vec(line)?;
    bytes.push(b'\n');
    out.write_all(&bytes)?;
    out.flush()
}

/// Says what is wrong with a schedule, and where.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The file could not be read.
    #[error("failed to read the schedule")]
    Io(#[from] io::Error),
    /// The first line does not name a version that we know.
    #[error("line 1: expected {{\"squall\":\"{FORMAT}\"}}, found {found:?}")]
    Header {
        /// What stands there.
        found: String,
    },
    /// A line is none of the format.
    #[error(
        "line {line}: expected a plan such as {{\"plan\":{{\"id\":1,\"at\":\"2s\",\"fault\":\"kill\",\"target\":\"leader\",\"for\":\"1s\"}}}}, or a resolved or outcome line: {why}"
    )]
    Line {
        /// Where.
        line: u32,
        /// What the parser said.
        why: String,
    },
}

/// What was read, and whether the last line was torn.
#[derive(Clone, Debug, PartialEq)]
pub struct Read {
    /// The lines behind the first.
    pub lines: Vec<Line>,
    /// The last line was cut off and has been left out; say so to the user.
    pub torn: Option<u32>,
}

/// Reads a whole schedule. A torn last line is tolerated, any other broken line is an error; empty lines are skipped.
pub fn read(mut input: impl BufRead) -> Result<Read, ReadError> {
    let mut buffer = Vec::new();
    input.read_until(b'\n', &mut buffer)?;
    check_header(&buffer)?;
    let mut lines = Vec::new();
    for number in 2.. {
        buffer.clear();
        if input.read_until(b'\n', &mut buffer)? == 0 {
            break;
        }
        if buffer.trim_ascii().is_empty() {
            continue;
        }
        let complete = buffer.ends_with(b"\n");
        match serde_json::from_slice(&buffer) {
            Ok(line) => lines.push(line),
            Err(_) if !complete => return Ok(Read { lines, torn: Some(number) }),
            Err(error) => return Err(ReadError::Line { line: number, why: error.to_string() }),
        }
    }
    Ok(Read { lines, torn: None })
}

fn check_header(line: &[u8]) -> Result<(), ReadError> {
    match serde_json::from_slice::<Header>(line) {
        Ok(header) if header.squall == FORMAT => Ok(()),
        Ok(_) | Err(_) => {
            let found = String::from_utf8_lossy(line.trim_ascii()).chars().take(80).collect();
            Err(ReadError::Header { found })
        }
    }
}
