//! `zoo.jsonl`: a line for each hunt and each storm without a bug, so that a zoo of hours can be stopped and gone on with.

use std::fmt;
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::Path;
use std::time::Duration;

use anyhow::Context;
use serde::{Deserialize, Serialize};

use crate::exit_code::ExitCode;

/// The first line.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Header {
    /// `zoo/1`.
    pub squall: String,
    /// The version of squall.
    pub version: String,
    /// The seed of every hunt.
    pub seed: u64,
    /// How long a hunt may take, in seconds.
    pub budget: f64,
}

impl Header {
    const FORMAT: &'static str = "zoo/1";

    pub(super) fn new(seed: u64, budget: Duration) -> Header {
        let version = env!("CARGO_PKG_VERSION").to_owned();
        Header { squall: Header::FORMAT.to_owned(), version, seed, budget: budget.as_secs_f64() }
    }
}

/// One hunt.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Hunt {
    pub bug: String,
    /// Which hunt of this bug, counted from 1.
    pub n: u32,
    /// How many storms it took, or were tried.
    pub storms: u32,
    /// Seconds of those storms, boot and judgement included.
    pub seconds: f64,
    /// The checks that found it; none where it was not found.
    pub found_by: Vec<String>,
    /// The faults of the storm that found it.
    pub faults: Vec<String>,
    /// The storm that found it.
    pub args: Vec<String>,
    /// Storms in which the harness failed.
    pub failed: u32,
}

impl Hunt {
    pub(super) fn new(bug: &str, n: u32) -> Hunt {
        Hunt { bug: bug.to_owned(), n, ..Hunt::default() }
    }

    /// Whether the history of the clients alone was enough.
    pub(super) fn by_clients(&self) -> bool {
        self.found_by.iter().any(|claim| claim == "linearizable" || claim == "positions")
    }

    /// Whether the nodes' traces showed it.
    pub(super) fn by_traces(&self) -> bool {
        self.found_by.iter().any(|claim| claim != "linearizable" && claim != "positions")
    }
}

/// One storm without a bug.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Clean {
    pub storm: u64,
    pub outcome: ExitCode,
    pub seconds: f64,
    /// False alarms, or bugs of ours.
    pub broken: Vec<String>,
    pub args: Vec<String>,
}

/// A line behind the first.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Line {
    Hunt(Hunt),
    Clean(Clean),
}

impl Line {
    pub(super) fn hunt(&self) -> Option<(&str, u32)> {
        match self {
            Line::Hunt(hunt) => Some((&hunt.bug, hunt.n)),
            Line::Clean(_) => None,
        }
    }

    pub(super) fn clean(&self) -> Option<u64> {
        match self {
            Line::Clean(clean) => Some(clean.storm),
            Line::Hunt(_) => None,
        }
    }
}

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Line::Hunt(Hunt { bug, n, storms, seconds, found_by, .. }) if found_by.is_empty() => {
                write!(f, "{bug} {n}: not found in {storms} storms, {seconds:.0} s")
            }
            Line::Hunt(Hunt { bug, n, storms, seconds, found_by, .. }) => {
                let by = found_by.join(", ");
                write!(f, "{bug} {n}: found by {by} in {storms} storms, {seconds:.1} s")
            }
            Line::Clean(Clean { storm, outcome, broken, .. }) => {
                write!(f, "storm {storm} without a bug: {outcome:?} {}", broken.join(", "))
            }
        }
    }
}

/// The file, at its end.
#[derive(Debug)]
pub(super) struct Journal {
    file: File,
}

impl Journal {
    /// Begins a zoo, or goes on with one of the same seed and budget. A torn last line is left out.
    pub(super) fn open(path: &Path, header: &Header) -> anyhow::Result<(Journal, Vec<Line>)> {
        let told = || path.display().to_string();
        let text = match std::fs::read_to_string(path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => String::new(),
            Err(error) => return Err(error).with_context(told),
        };
        let whole = text.rfind('\n').map_or("", |end| &text[..=end]);
        let file = OpenOptions::new().append(true).create(true).open(path).with_context(told)?;
        file.set_len(whole.len() as u64).with_context(told)?;
        let mut journal = Journal { file };
        let mut lines = whole.lines().enumerate();
        let Some((_, first)) = lines.next() else {
            journal.line(header)?;
            return Ok((journal, Vec::new()));
        };
        let found: Header = serde_json::from_str(first).with_context(|| format!("{}:1", told()))?;
        if found != *header {
            anyhow::bail!(
                "{} is another zoo (version {}, budget {} s): choose another --seed or --results",
                told(),
                found.version,
                found.budget
            );
        }
        let line = |(n, text): (usize, &str)| {
            serde_json::from_str(text).with_context(|| format!("{}:{}", told(), n + 1))
        };
        let lines = lines.map(line).collect::<anyhow::Result<_>>()?;
        Ok((journal, lines))
    }

    /// Adds a line.
    pub(super) fn write(&mut self, line: &Line) -> anyhow::Result<()> {
        self.line(line)
    }

    fn line(&mut self, line: &impl Serialize) -> anyhow::Result<()> {
        let text = serde_json::to_string(line).expect("a line is plain data");
        self.file
            .write_all(format!("{text}\n").as_bytes())
            .and_then(|()| self.file.sync_data())
            .context("failed to write zoo.jsonl")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_zoo_goes_on_behind_its_last_whole_line_and_another_budget_is_another_zoo() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("zoo.jsonl");
        let header = Header::new(1, Duration::from_secs(60));
        let (mut journal, lines) = Journal::open(&path, &header).expect("made");
        assert_eq!(lines, []);
        let hunt = Line::Hunt(Hunt::new("figure8", 1));
        journal.write(&hunt).expect("written");
        let torn = std::fs::read_to_string(&path).expect("text") + "{\"hunt\":";
        std::fs::write(&path, torn).expect("written");

        let (_, lines) = Journal::open(&path, &header).expect("read");
        assert_eq!(lines, [hunt]);
        let other = Header::new(1, Duration::from_secs(61));
        let error = Journal::open(&path, &other).expect_err("another").to_string();
        assert!(error.contains("is another zoo"), "{error}");
    }
}
