//! Histories of squall and of others, told apart by their content and read into one type.
//!
//! Two things that recorders write mean different things to different checkers, and can change a verdict: a failed cas,
//! and a read of nil. This module only carries them; [`Format::observes_failed_cas`] and [`Format::nil_read_is_absent`]
//! say how the checker that belongs to a format takes them.

mod etcd_log;
mod jepsen;
mod porcupine_kv;
mod recorded;

#[cfg(test)]
mod tests;

use std::fmt;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read as _};
use std::path::{Path, PathBuf};
use std::str::FromStr;

use crate::edn::{Broken, Why};
use crate::suggest::hint;
use crate::{FailedCas, History, Malformed, NilRead, Reading, Value, jsonl};

/// Names a format of histories.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Format {
    /// `squall`: our own JSON lines, `history.jsonl`.
    Squall,
    /// `edn`: a history of Jepsen, Knossos or Elle.
    JepsenEdn,
    /// `etcd-log`: lines of Jepsen's log, as in the etcd histories that porcupine tests itself with.
    EtcdLog,
    /// `porcupine-kv`: get, put and append of texts, as in porcupine's key-value histories.
    PorcupineKv,
}

impl Format {
    /// Every format, ours first.
    pub const ALL: [Format; 4] =
        [Format::Squall, Format::JepsenEdn, Format::EtcdLog, Format::PorcupineKv];

    /// Returns the name on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Format::Squall => "squall",
            Format::JepsenEdn => "edn",
            Format::EtcdLog => "etcd-log",
            Format::PorcupineKv => "porcupine-kv",
        }
    }

    /// Says in half a sentence what a file of this format is.
    pub fn about(self) -> &'static str {
        match self {
            Format::Squall => "squall's own history.jsonl",
            Format::JepsenEdn => "a history.edn of Jepsen, Knossos or Elle",
            Format::EtcdLog => "a log of Jepsen with \"jepsen.util - 4 :invoke :cas [1 3]\" in it",
            Format::PorcupineKv => "a key-value history of porcupine, with :get, :put and :append",
        }
    }

    /// Returns whether a cas that failed on its precondition says that the value was another one.
    ///
    /// True for squall, whose clients record it so, and for the etcd log, as porcupine's model of etcd takes it. False
    /// for Jepsen, where `:fail` says no more than that nothing happened. Porcupine's key-value histories have no cas.
    pub fn observes_failed_cas(self) -> bool {
        match self {
            Format::Squall | Format::EtcdLog | Format::PorcupineKv => true,
            Format::JepsenEdn => false,
        }
    }

    /// Returns whether a read that returned nil saw that nothing was there.
    ///
    /// True for squall and for porcupine's histories, whose registers begin as nil. False for Jepsen: to Knossos the
    /// value is unknown.
    pub fn nil_read_is_absent(self) -> bool {
        match self {
            Format::Squall | Format::EtcdLog | Format::PorcupineKv => true,
            Format::JepsenEdn => false,
        }
    }

    /// Returns how a history of this format is read where nobody says otherwise.
    pub fn default_reading(self) -> Reading {
        Reading {
            failed_cas: match self.observes_failed_cas() {
                true => FailedCas::Observation,
                false => FailedCas::Dropped,
            },
            nil_read: match self.nil_read_is_absent() {
                true => NilRead::Absent,
                false => NilRead::Unknown,
            },
            initial: Value::Nil,
        }
    }

    /// Returns the format of a file, judged by its content.
    pub fn detect(bytes: &[u8]) -> Option<Format> {
        // What tells formats apart stands early; a file may be long, and may be cut inside a letter.
        let bytes = &bytes[..bytes.len().min(ENOUGH_TO_TELL)];
        let text = match std::str::from_utf8(bytes) {
            Ok(text) => text,
            Err(error) => std::str::from_utf8(&bytes[..error.valid_up_to()]).unwrap_or_default(),
        };
        let text = text.trim_start_matches('\u{feff}');
        if text.lines().any(etcd_log::is_operation) {
            return Some(Format::EtcdLog);
        }
        let is_json = text.trim_start().strip_prefix('{').map(str::trim_start);
        if is_json.is_some_and(|rest| rest.starts_with('"')) {
            return Some(Format::Squall);
        }
        jepsen::detect(text)
    }
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// Says that no format has this name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("unknown format {0:?}{hint}", hint = hint(.0, Format::ALL.map(Format::name)))]
pub struct UnknownFormat(pub String);

impl FromStr for Format {
    type Err = UnknownFormat;

    fn from_str(name: &str) -> Result<Format, UnknownFormat> {
        let found = Format::ALL.into_iter().find(|format| format.name() == name);
        found.ok_or_else(|| UnknownFormat(name.to_owned()))
    }
}

/// A history, the format in which it was found, and what was left out of it.
#[derive(Debug)]
pub struct ReadHistory {
    /// The history.
    pub history: History,
    /// The format of its file.
    pub format: Format,
    /// What a person should know: a torn last line, events of the nemesis that were skipped.
    pub warnings: Vec<String>,
}

/// Says why a file is no history, where, and what to try.
#[derive(Debug, thiserror::Error)]
pub enum FormatError {
    /// The file could not be read.
    #[error("failed to read {path}")]
    Io {
        /// Which file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// No format begins like this.
    #[error(
        "{path}:1: expected a history, found {found:?}; name its format: {}",
        Format::ALL.map(Format::name).join(", ")
    )]
    Unknown {
        /// Which file.
        path: PathBuf,
        /// How it begins.
        found: String,
    },
    /// A file of ours is broken.
    #[error("{path}: {why}")]
    Squall {
        /// Which file.
        path: PathBuf,
        /// How, and where.
        why: jsonl::ReadError,
    },
    /// There is nothing in the file.
    #[error("{path}:1: expected a history, found an empty file; was it written to the end?")]
    Empty {
        /// Which file.
        path: PathBuf,
    },
    /// A line is not what it should be.
    #[error("{path}:{line}: {what}; {hint}")]
    Line {
        /// Which file.
        path: PathBuf,
        /// Where, counted from 1.
        line: u32,
        /// What was expected, and what was found.
        what: String,
        /// What to try.
        hint: String,
    },
    /// The file is not text.
    #[error(
        "{path}:{line}: expected UTF-8, found another byte at offset {offset}; re-encode the file or cut the line out"
    )]
    NotText {
        /// Which file.
        path: PathBuf,
        /// Where, counted from 1.
        line: u32,
        /// The offset of the first byte that is no text, from the start of the file.
        offset: usize,
    },
    /// The events do not make a history.
    #[error("{path}: {why}")]
    Malformed {
        /// Which file.
        path: PathBuf,
        /// Which law they break, and where.
        why: Malformed,
    },
}

/// How much of a file tells its format.
const ENOUGH_TO_TELL: usize = 1 << 16;

/// Reads a history from a file; its format is found out where none is given.
pub fn read_file(path: &Path, format: Option<Format>) -> Result<ReadHistory, FormatError> {
    let failed = |source| FormatError::Io { path: path.to_owned(), source };
    let mut file = File::open(path).map_err(failed)?;
    let mut bytes = Vec::new();
    file.by_ref().take(ENOUGH_TO_TELL as u64).read_to_end(&mut bytes).map_err(failed)?;
    let format = format.or_else(|| Format::detect(&bytes));
    if format == Some(Format::Squall) && !bytes.is_empty() {
        // Our own is read as a stream, since it may be larger than the memory.
        let rest = BufReader::with_capacity(1 << 18, file);
        return squall(path, bytes.as_slice().chain(rest));
    }
    file.read_to_end(&mut bytes).map_err(failed)?;
    read_bytes(path, &bytes, format)
}

/// Reads a history from bytes; `path` only names them in messages.
pub fn read_bytes(
    path: &Path,
    bytes: &[u8],
    format: Option<Format>,
) -> Result<ReadHistory, FormatError> {
    // In the other formats a history without events has no bytes.
    if bytes.is_empty() && format.is_none_or(|format| format == Format::Squall) {
        return Err(FormatError::Empty { path: path.to_owned() });
    }
    let Some(format) = format.or_else(|| Format::detect(bytes)) else {
        let start = String::from_utf8_lossy(&bytes[..bytes.len().min(240)]).into_owned();
        let found = start.lines().next().unwrap_or_default().chars().take(60).collect();
        return Err(FormatError::Unknown { path: path.to_owned(), found });
    };
    if format == Format::Squall {
        return squall(path, bytes);
    }
    let text = text(path, bytes)?;
    let read = match format {
        Format::Squall | Format::JepsenEdn => jepsen::read(text),
        Format::EtcdLog => etcd_log::read(text),
        Format::PorcupineKv => porcupine_kv::read(text),
    };
    let (history, notes) = read.map_err(|fault| fault.at(path))?;
    Ok(ReadHistory { history, format, warnings: notes.warnings(path) })
}

fn squall(path: &Path, input: impl BufRead) -> Result<ReadHistory, FormatError> {
    let read =
        jsonl::read(input).map_err(|why| FormatError::Squall { path: path.to_owned(), why })?;
    let notes = Notes { torn: read.torn, ..Notes::default() };
    let format = Format::Squall;
    Ok(ReadHistory { history: read.history, format, warnings: notes.warnings(path) })
}

/// Returns the bytes as text. A letter that is cut in two at the end belongs to a torn line, and is left out.
fn text<'a>(path: &Path, bytes: &'a [u8]) -> Result<&'a str, FormatError> {
    let text = match std::str::from_utf8(bytes) {
        Ok(text) => text,
        Err(error) => {
            let offset = error.valid_up_to();
            let good = &bytes[..offset];
            if error.error_len().is_some() {
                let line = memchr::memchr_iter(b'\n', good).count() as u32 + 1;
                return Err(FormatError::NotText { path: path.to_owned(), line, offset });
            }
            std::str::from_utf8(good).unwrap_or_default()
        }
    };
    Ok(text.strip_prefix('\u{feff}').unwrap_or(text))
}

/// What was left out of a history while it was read.
#[derive(Debug, Default)]
struct Notes {
    /// The last line was cut off.
    torn: Option<u32>,
    /// The last line has no end of line: it is read, but may be cut short.
    unended: Option<u32>,
    /// How many events were of no client.
    skipped: usize,
    /// How many lines were no operations.
    other_lines: usize,
}

impl Notes {
    fn warnings(&self, path: &Path) -> Vec<String> {
        let path = path.display();
        let mut warnings = Vec::new();
        if let Some(line) = self.torn {
            warnings.push(format!("{path}:{line}: the last line is cut off and was left out"));
        }
        if let Some(line) = self.unended {
            warnings.push(format!(
                "{path}:{line}: the last line has no end; it was taken as it stands, though it may be cut off"
            ));
        }
        if self.skipped > 0 {
            warnings.push(format!("{path}: {} events of the nemesis were skipped", self.skipped));
        }
        if self.other_lines > 0 {
            let lines = self.other_lines;
            warnings.push(format!("{path}: {lines} lines are not operations and were skipped"));
        }
        warnings
    }
}

/// What is wrong with a file whose name is not known here.
#[derive(Debug)]
enum Fault {
    Line { line: u32, what: String, hint: String },
    Malformed(Malformed),
}

impl Fault {
    fn line(line: u32, what: impl Into<String>, hint: impl Into<String>) -> Fault {
        Fault::Line { line, what: what.into(), hint: hint.into() }
    }

    fn at(self, path: &Path) -> FormatError {
        let path = path.to_owned();
        match self {
            Fault::Line { line, what, hint } => FormatError::Line { path, line, what, hint },
            Fault::Malformed(why) => FormatError::Malformed { path, why },
        }
    }
}

impl From<Malformed> for Fault {
    fn from(malformed: Malformed) -> Fault {
        Fault::Malformed(malformed)
    }
}

impl From<Broken> for Fault {
    fn from(broken: Broken) -> Fault {
        match broken.why {
            Why::Ends { opened } => Fault::line(
                broken.line,
                format!("the file ends inside the form that was opened on line {opened}"),
                "it is cut off; copy it again, or close what is open",
            ),
            Why::Syntax(what) => {
                Fault::line(broken.line, what, "expected EDN, as Jepsen writes it")
            }
        }
    }
}
