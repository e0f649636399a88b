//! Traces that other Rafts write already, told as `squall-trace/1`.
//!
//! Nothing is written to disk: the events go to the judge, and each keeps the number of the line that it comes from. What
//! the other format does not say is not made up; [`Import::caveats`] names what cannot be judged for that reason. See
//! `teller.rs` for what is told when.

mod ccf;
mod etcd_raft;
mod node;
mod teller;

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::fs::File;
use std::io::{self, BufRead, BufReader};
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::Trace;
use crate::{Claim, NodeName};
use teller::{Heard, Teller, Untold};

/// Names a format of traces.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Format {
    /// `squall-trace`: our own, `squall-trace/1`.
    Squall,
    /// `etcd-raft`: the events of etcd's Raft library, built with the tag `with_tla`.
    EtcdRaft,
    /// `ccf-raft`: the events of CCF's Raft, built with `CCF_RAFT_TRACING`.
    CcfRaft,
}

impl Format {
    /// Every format, ours first.
    pub const ALL: [Format; 3] = [Format::Squall, Format::EtcdRaft, Format::CcfRaft];

    /// Returns the name on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Format::Squall => "squall-trace",
            Format::EtcdRaft => "etcd-raft",
            Format::CcfRaft => "ccf-raft",
        }
    }

    /// Returns the format that has this name on the command line.
    pub fn by_name(name: &str) -> Option<Format> {
        Format::ALL.into_iter().find(|format| format.name() == name)
    }

    /// Returns the format of a trace, judged by how the file begins; nothing where it is no trace.
    pub fn detect(beginning: &[u8]) -> Option<Format> {
        let objects = beginning.split(|byte| *byte == b'\n').take(LINES_TO_TELL);
        objects.filter_map(|line| serde_json::from_slice(line).ok()).find_map(|line: Value| {
            let own = line.get("squall").and_then(Value::as_str);
            match own.is_some_and(|version| version.starts_with("trace/")) {
                true => Some(Format::Squall),
                false if ccf::event(&line).is_some() => Some(Format::CcfRaft),
                false => etcd_raft::event(&line).map(|_| Format::EtcdRaft),
            }
        })
    }

    /// Returns the format of a file; nothing where it is no trace, or cannot be read.
    pub fn of_file(path: &Path) -> Option<Format> {
        // A pipe can be read once, and by whoever reads it all.
        if !path.is_file() {
            return None;
        }
        let file = File::open(path).ok()?;
        let mut file = BufReader::with_capacity(BYTES_TO_TELL, file);
        Format::detect(file.fill_buf().ok()?)
    }
}

/// How much of a file tells its format.
const BYTES_TO_TELL: usize = 1 << 16;
const LINES_TO_TELL: usize = 200;

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// Says what is wrong with a foreign trace, and where.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    /// The file could not be read.
    #[error("failed to read {}", path.display())]
    Io {
        /// Which file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A line is not what such a trace has.
    #[error("{}:{line}: expected {expected}: {why}", path.display())]
    Line {
        /// Which file.
        path: PathBuf,
        /// Where, counted from 1.
        line: u32,
        /// What should stand there.
        expected: &'static str,
        /// What is wrong.
        why: String,
    },
    /// There is no event in the files.
    #[error("{}: not one event of a trace as {format} writes it", path.display())]
    NoEvent {
        /// The first file.
        path: PathBuf,
        /// As what it was read.
        format: Format,
    },
    /// The files have more lines than can be counted.
    #[error("{}: more than {} lines", path.display(), u32::MAX)]
    TooLong {
        /// Which file.
        path: PathBuf,
    },
}

/// What a line of a foreign trace says.
#[derive(Debug)]
enum Parsed {
    /// Something that a node did.
    Heard(Heard),
    /// An event of a kind that is not known here.
    Unknown(String),
    /// JSON, and no event: another line of the same log.
    NoEvent,
}

/// A foreign trace, in our words.
#[derive(Debug)]
pub struct Import {
    /// As what it was read.
    pub format: Format,
    /// A trace for each boot of each node, a node's boots in their order. Lines are counted through all files; [`Import::place`]
    /// says where one stands.
    pub boots: Vec<Trace>,
    /// How many events were understood.
    pub events: u64,
    /// How many events of which unknown kinds were left out.
    pub unknown: BTreeMap<String, u64>,
    /// How many lines of JSON were no events.
    pub other_lines: u64,
    /// What a person should know.
    pub warnings: Vec<String>,
    untold: Untold,
    /// The files, each with the number of lines before it.
    files: Vec<(PathBuf, u32)>,
}

impl Import {
    /// Returns who wrote the trace.
    pub fn nodes(&self) -> Vec<NodeName> {
        let names: BTreeSet<&NodeName> = self.boots.iter().map(|boot| &boot.header.node).collect();
        names.into_iter().cloned().collect()
    }

    /// Returns the file of a line, and its number there.
    pub fn place(&self, line: u32) -> (&Path, u32) {
        let after = self.files.partition_point(|(_, before)| *before < line);
        let (path, before) = &self.files[after.saturating_sub(1)];
        (path, line.saturating_sub(*before))
    }

    /// Says of which check what the format does not let anybody judge, and why.
    pub fn caveats(&self) -> Vec<(Claim, String)> {
        let mut caveats = vec![
            (Claim::LogMatching, "commands: the trace has no hashes".to_owned()),
            (
                Claim::LogMatching,
                "entries of followers: the trace tells how many, not their terms".to_owned(),
            ),
            (Claim::StateMachineSafety, "commands: the trace has no hashes".to_owned()),
            (
                Claim::MonotoneTerms,
                "durable terms: known where a boot recovered them, or a vote or an acknowledgement in them arrived".to_owned(),
            ),
            (
                Claim::TruncateNotCommitted,
                "truncations that a longer log hides: only a log that becomes shorter is seen".to_owned(),
            ),
            (
                Claim::CommitQuorum,
                "acknowledgements: the format does not number its lines, so one that is not there proves nothing"
                    .to_owned(),
            ),
            (
                Claim::TrueAcks,
                "acknowledgements: the trace tells how far they reach, not which entries they mean".to_owned(),
            ),
            (Claim::AckNotBeyondDurable, "fsyncs: the trace does not tell them".to_owned()),
        ];
        let Untold { elections, votes } = self.untold;
        if elections > 0 {
            let what = format!(
                "elections of which the trace does not tell where the leader's log ended: {elections}"
            );
            caveats.extend(
                [Claim::ElectionSafety, Claim::LeaderCompleteness]
                    .map(|claim| (claim, what.clone())),
            );
        }
        if votes > 0 {
            let what = format!("votes in terms that a restart took back: {votes}");
            caveats.push((Claim::VoteOnce, what));
        }
        caveats
    }
}

/// Reads traces of one cluster: one file in which the lines of all nodes stand as they happened, or one after the other.
pub fn read_files(paths: &[PathBuf], format: Format) -> Result<Import, ImportError> {
    let mut reader = Importer::new(format);
    for path in paths {
        let failed = |source| ImportError::Io { path: path.clone(), source };
        let file = File::open(path).map_err(failed)?;
        reader.file(path, BufReader::with_capacity(1 << 18, file))?;
    }
    reader.finish()
}

/// Reads a trace from bytes; `path` only names them in messages.
pub fn read_bytes(path: &Path, bytes: &[u8], format: Format) -> Result<Import, ImportError> {
    let mut reader = Importer::new(format);
    reader.file(path, bytes)?;
    reader.finish()
}

struct Importer {
    format: Format,
    teller: Teller,
    files: Vec<(PathBuf, u32)>,
    /// Lines so far, in all files.
    line: u32,
    /// The time of the first line that has one.
    origin: Option<f64>,
    events: u64,
    unknown: BTreeMap<String, u64>,
    other_lines: u64,
    warnings: Vec<String>,
}

impl Importer {
    fn new(format: Format) -> Importer {
        Importer {
            format,
            teller: Teller::default(),
            files: Vec::new(),
            line: 0,
            origin: None,
            events: 0,
            unknown: BTreeMap::new(),
            other_lines: 0,
            warnings: Vec::new(),
        }
    }

    fn file(&mut self, path: &Path, mut input: impl BufRead) -> Result<(), ImportError> {
        self.files.push((path.to_owned(), self.line));
        let mut bytes = Vec::new();
        loop {
            bytes.clear();
            let failed = |source| ImportError::Io { path: path.to_owned(), source };
            if input.read_until(b'\n', &mut bytes).map_err(failed)? == 0 {
                return Ok(());
            }
            let next = self.line.checked_add(1);
            self.line = next.ok_or_else(|| ImportError::TooLong { path: path.to_owned() })?;
            self.take(path, &bytes)?;
        }
    }

    fn take(&mut self, path: &Path, bytes: &[u8]) -> Result<(), ImportError> {
        let parsed = match serde_json::from_slice::<Value>(bytes) {
            Ok(line) => {
                let time = self.time(&line);
                self.parse(&line).map(|parsed| (time, parsed))
            }
            Err(_) if bytes.trim_ascii().is_empty() => return Ok(()),
            Err(_) if !bytes.ends_with(b"\n") => {
                let (path, line) = self.here(path);
                let torn =
                    format!("{}:{line}: the last line is cut off and was left out", path.display());
                self.warnings.push(torn);
                return Ok(());
            }
            Err(error) => Err(error.to_string()),
        };
        let (time, parsed) = parsed.map_err(|why| {
            let (path, line) = self.here(path);
            ImportError::Line { path, line, expected: self.expected(), why }
        })?;
        for parsed in parsed {
            self.note(time, parsed);
        }
        Ok(())
    }

    fn parse(&self, line: &Value) -> Result<Vec<Parsed>, String> {
        match self.format {
            Format::CcfRaft => ccf::parse(line),
            // Our own is read by its own reader.
            Format::EtcdRaft | Format::Squall => etcd_raft::parse(line),
        }
    }

    fn note(&mut self, time: u64, parsed: Parsed) {
        match parsed {
            Parsed::Heard(heard) => {
                self.events += 1;
                self.teller.hear(self.line, time, heard);
            }
            Parsed::Unknown(kind) => *self.unknown.entry(kind).or_default() += 1,
            Parsed::NoEvent => self.other_lines += 1,
        }
    }

    /// Returns when a line was written, in nanoseconds since the first; where the logger wrote no time, its number.
    fn time(&mut self, line: &Value) -> u64 {
        let Some(seconds) = line.get("ts").and_then(Value::as_f64) else {
            return u64::from(self.line);
        };
        let since = seconds - *self.origin.get_or_insert(seconds);
        // A float that is no such number becomes 0, or the largest; it is only shown.
        (since * 1e9) as u64
    }

    fn here(&self, path: &Path) -> (PathBuf, u32) {
        let before = self.files.last().map_or(0, |(_, before)| *before);
        (path.to_owned(), self.line - before)
    }

    fn expected(&self) -> &'static str {
        match self.format {
            Format::CcfRaft => {
                r#"{"tag":"raft_trace","msg":{"function":"become_leader","state":{"node_id":"0",...}}}"#
            }
            Format::EtcdRaft | Format::Squall => {
                r#"{"event":{"name":"BecomeLeader","nid":"1","state":{"term":2,"vote":"1","commit":0},...}}"#
            }
        }
    }

    fn finish(mut self) -> Result<Import, ImportError> {
        if self.events == 0 {
            let path = self.files.first().map_or_else(PathBuf::new, |(path, _)| path.clone());
            return Err(ImportError::NoEvent { path, format: self.format });
        }
        if !self.unknown.is_empty() {
            let kinds: Vec<String> =
                self.unknown.iter().map(|(kind, count)| format!("{kind} ({count})")).collect();
            self.warnings
                .push(format!("events of unknown kinds were skipped: {}", kinds.join(", ")));
        }
        if self.other_lines > 0 {
            self.warnings.push(format!(
                "lines that are no events of a trace were skipped: {}",
                self.other_lines
            ));
        }
        let (boots, untold) = self.teller.finish();
        Ok(Import {
            format: self.format,
            boots,
            events: self.events,
            unknown: self.unknown,
            other_lines: self.other_lines,
            warnings: self.warnings,
            untold,
            files: self.files,
        })
    }
}

/// Returns what a node is called here: `n1` where the trace has a mere number.
fn name(id: &str) -> NodeName {
    let number = !id.is_empty() && id.bytes().all(|byte| byte.is_ascii_digit());
    NodeName(if number { format!("n{id}").into() } else { id.into() })
}
