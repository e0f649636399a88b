//! Reads traces: tolerant of what a killed node leaves behind, exact about what is missing.
//!
//! - A boot that was killed before its first line was whole has said nothing; its name is in the file's name.
//! - A torn last line is left out. A node writes whole lines with one write(2), so kill -9 seldom tears one; a full disk
//!   does, and then the node may have gone on in silence. So a torn line means: what this boot says is true, but not all.
//! - A torn or broken line in the middle is an error: that file is not what the node wrote.
//! - An event of a kind that this version does not know is counted by name and left out, which leaves a gap.

use std::collections::BTreeMap;
use std::fmt;
use std::fs::File;
use std::io::{self, BufRead, BufReader};
use std::path::{Path, PathBuf};

use super::flat::{Bare, Flat, KINDS, Unfit};
use super::{FORMAT, Header, Line};
use crate::NodeName;

/// How much is read from a file at once.
const BUFFER: usize = 1 << 18;

/// What a whole file says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trace {
    /// Whose trace, of which boot.
    pub header: Header,
    /// The events, each with the number of its line in the file, counted from 1.
    pub lines: Vec<(u32, Line)>,
    /// What is missing.
    pub survey: Survey,
}

impl Trace {
    /// Returns whether nothing is missing, so that absence can be judged.
    pub fn is_complete(&self) -> bool {
        self.survey.is_complete()
    }
}

/// What is missing in a trace.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Survey {
    /// Why absences cannot be judged over this boot; empty where they can.
    pub missing: Vec<Missing>,
    /// The last line, where it was cut off and has been left out.
    pub torn: Option<u32>,
    /// How many events of which unknown kinds were left out.
    pub unknown: BTreeMap<String, u64>,
}

impl Survey {
    /// Returns whether nothing is missing.
    pub fn is_complete(&self) -> bool {
        self.missing.is_empty()
    }
}

/// A reason for which a trace may not say all.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Missing {
    /// The header does not promise `"write":"through"`, so a killed node may have taken lines with it.
    Buffered,
    /// The events were read from the node's files, not written by it.
    Offline,
    /// It was imported from a format that does not number its lines, so nobody knows whether all are there.
    Foreign,
    /// The numbers of the events skip some, or go back.
    Gap {
        /// On this line.
        line: u32,
        /// The number that was due.
        expected: u64,
        /// The number that stands there.
        found: u64,
    },
    /// The last line was cut off.
    Torn {
        /// Which.
        line: u32,
    },
    /// Events of a kind that this version does not know.
    Unknown {
        /// The kinds, with commas.
        kinds: String,
    },
}

impl fmt::Display for Missing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Missing::Buffered => f.write_str("its header does not say \"write\":\"through\""),
            Missing::Offline => f.write_str("it was read from the node's files"),
            Missing::Foreign => f.write_str("its format does not number its lines"),
            Missing::Gap { line, expected, found } => {
                write!(f, "line {line} has seq {found} where {expected} was due")
            }
            Missing::Torn { line } => write!(f, "line {line} is cut off"),
            Missing::Unknown { kinds } => write!(f, "it has events of unknown kinds: {kinds}"),
        }
    }
}

/// Says what is wrong with a trace, and where.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The file could not be read.
    #[error("failed to read {}", path.display())]
    Io {
        /// Which file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The first line does not name a version that we know.
    #[error(
        "{}:1: expected {{\"squall\":\"{FORMAT}\",\"node\":\"n1\",\"boot\":0,\"write\":\"through\"}}, found {found:?}",
        path.display()
    )]
    Header {
        /// Which file.
        path: PathBuf,
        /// What stands there.
        found: String,
    },
    /// A line is no event.
    #[error(
        "{}:{line}: expected an event such as {{\"seq\":7,\"time\":1,\"event\":\"durable\",\"upto\":3}}: {why}",
        path.display()
    )]
    Line {
        /// Which file.
        path: PathBuf,
        /// Where.
        line: u32,
        /// What is wrong.
        why: String,
    },
    /// The file has more lines than can be counted.
    #[error("{}: more than {} lines", path.display(), u32::MAX)]
    TooLong {
        /// Which file.
        path: PathBuf,
    },
}

/// Reads a whole file.
pub fn read(path: &Path) -> Result<Trace, ReadError> {
    let mut reader = Reader::open(path)?;
    let lines = reader.by_ref().collect::<Result<Vec<_>, _>>()?;
    Ok(Trace { header: reader.header().clone(), lines, survey: reader.survey() })
}

/// Reads a trace event by event, so that a huge one need not be held.
///
/// Iterate to the end, then ask for the [`Reader::survey`].
#[derive(Debug)]
pub struct Reader<R> {
    input: R,
    path: PathBuf,
    header: Header,
    buffer: Vec<u8>,
    line: u32,
    /// The number of the next event.
    due: u64,
    gap: Option<Missing>,
    torn: Option<u32>,
    unknown: BTreeMap<String, u64>,
    ended: bool,
}

impl Reader<BufReader<File>> {
    /// Opens a file and reads its header.
    pub fn open(path: &Path) -> Result<Reader<BufReader<File>>, ReadError> {
        let file =
            File::open(path).map_err(|source| ReadError::Io { path: path.to_owned(), source })?;
        Reader::new(BufReader::with_capacity(BUFFER, file), path)
    }
}

impl<R: BufRead> Reader<R> {
    /// Reads the header. The path names the file in errors, and the node and boot where the file has no whole line.
    pub fn new(mut input: R, path: &Path) -> Result<Reader<R>, ReadError> {
        let mut buffer = Vec::new();
        input
            .read_until(b'\n', &mut buffer)
            .map_err(|source| ReadError::Io { path: path.to_owned(), source })?;
        let torn = !buffer.ends_with(b"\n");
        let header = header(&buffer, torn, path)?;
        Ok(Reader {
            input,
            path: path.to_owned(),
            header,
            buffer,
            line: 1,
            due: 0,
            gap: None,
            torn: torn.then_some(1),
            unknown: BTreeMap::new(),
            ended: torn,
        })
    }

    /// Returns whose trace it is.
    pub fn header(&self) -> &Header {
        &self.header
    }

    /// Returns what was missing, as far as was read.
    pub fn survey(&self) -> Survey {
        let mut missing = Vec::new();
        if self.header.state.is_some() {
            missing.push(Missing::Offline);
        } else if self.header.write.as_deref() != Some("through") {
            missing.push(Missing::Buffered);
        }
        missing.extend(self.gap.clone());
        missing.extend(self.torn.map(|line| Missing::Torn { line }));
        if !self.unknown.is_empty() {
            let kinds: Vec<&str> = self.unknown.keys().map(|kind| &**kind).collect();
            missing.push(Missing::Unknown { kinds: kinds.join(", ") });
        }
        Survey { missing, torn: self.torn, unknown: self.unknown.clone() }
    }

    fn advance(&mut self) -> Result<Option<(u32, Line)>, ReadError> {
        while !self.ended {
            self.buffer.clear();
            let read = self.input.read_until(b'\n', &mut self.buffer);
            if read.map_err(|source| ReadError::Io { path: self.path.clone(), source })? == 0 {
                break;
            }
            self.line = self
                .line
                .checked_add(1)
                .ok_or_else(|| ReadError::TooLong { path: self.path.clone() })?;
            if let Some(line) = self.event()? {
                return Ok(Some((self.line, line)));
            }
        }
        self.ended = true;
        Ok(None)
    }

    /// Returns the event on the line in the buffer, or nothing where it is to be left out.
    fn event(&mut self) -> Result<Option<Line>, ReadError> {
        match parse(&self.buffer) {
            Ok(Parsed::Line(line)) => {
                self.count(line.seq);
                Ok(Some(line))
            }
            Ok(Parsed::Blank) => Ok(None),
            Ok(Parsed::Unknown { seq, kind }) => {
                self.count(seq);
                *self.unknown.entry(kind).or_default() += 1;
                Ok(None)
            }
            Err(_) if !self.buffer.ends_with(b"\n") => {
                self.torn = Some(self.line);
                self.ended = true;
                Ok(None)
            }
            Err(why) => Err(ReadError::Line { path: self.path.clone(), line: self.line, why }),
        }
    }

    fn count(&mut self, seq: u64) {
        if seq != self.due && self.gap.is_none() {
            let (line, expected) = (self.line, self.due);
            self.gap = Some(Missing::Gap { line, expected, found: seq });
        }
        self.due = seq.saturating_add(1);
    }
}

impl<R: BufRead> Iterator for Reader<R> {
    type Item = Result<(u32, Line), ReadError>;

    fn next(&mut self) -> Option<Self::Item> {
        let next = self.advance();
        self.ended |= next.is_err();
        next.transpose()
    }
}

enum Parsed {
    Line(Line),
    Blank,
    Unknown { seq: u64, kind: String },
}

fn parse(bytes: &[u8]) -> Result<Parsed, String> {
    let bytes = bytes.strip_suffix(b"\n").unwrap_or(bytes);
    match serde_json::from_slice::<Flat<'_>>(bytes) {
        Ok(flat) => match flat.line() {
            Ok(line) => Ok(Parsed::Line(line)),
            Err(Unfit::Unknown) => unknown(bytes).unwrap_or(Err("unknown event".to_owned())),
            Err(Unfit::Missing(field)) => Err(format!("missing field `{field}`")),
        },
        Err(_) if bytes.trim_ascii().is_empty() => Ok(Parsed::Blank),
        // An event of a later version may use the name of a field in another way.
        Err(error) => unknown(bytes).unwrap_or_else(|| Err(reason(&error))),
    }
}

/// Names the column; the line of the parser is always the first, which would mislead.
fn reason(error: &serde_json::Error) -> String {
    let text = error.to_string();
    let what = text.rsplit_once(" at line ").map_or(&*text, |(what, _)| what);
    format!("{what} at column {}", error.column())
}

fn unknown(bytes: &[u8]) -> Option<Result<Parsed, String>> {
    let bare: Bare<'_> = serde_json::from_slice(bytes).ok()?;
    let known = KINDS.contains(&&*bare.event);
    (!known).then(|| Ok(Parsed::Unknown { seq: bare.seq, kind: bare.event.into_owned() }))
}

fn header(bytes: &[u8], torn: bool, path: &Path) -> Result<Header, ReadError> {
    match serde_json::from_slice::<Header>(bytes) {
        Ok(header) if header.squall == FORMAT => return Ok(header),
        Err(_) if torn => {
            if let Some(header) = header_of_name(path) {
                return Ok(header);
            }
        }
        Ok(_) | Err(_) => {}
    }
    let found = String::from_utf8_lossy(bytes.trim_ascii()).chars().take(80).collect();
    Err(ReadError::Header { path: path.to_owned(), found })
}

/// `trace/n1.3.jsonl` is the trace of boot 3 of n1, even if it was killed before it could say so.
fn header_of_name(path: &Path) -> Option<Header> {
    let (node, boot) = path.file_stem()?.to_str()?.rsplit_once('.')?;
    let (node, boot) = (NodeName::from(node), boot.parse().ok()?);
    Some(Header { squall: FORMAT.to_owned(), node, boot, write: None, state: None, torn: None })
}
