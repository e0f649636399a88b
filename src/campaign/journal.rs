//! `campaign.jsonl`: what a campaign did, a line each, written as it happens. A campaign goes on from here after any death.

use std::fmt;
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::Path;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use squall_checker::Signature;

use super::seen::Added;
use crate::child::Figures;
use crate::exit_code::ExitCode;
use crate::lie::Lie;

/// Which run of a campaign.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum RunId {
    /// A storm, by its number.
    Storm(u64),
    /// A try of a planted bug, counted from 1.
    Canary(String, u32),
    /// A repetition of a storm that failed in a new way, counted from 1.
    Again(u64, u32),
    /// A copy of a valid storm in which somebody lies.
    Lie(u64, Lie),
}

impl fmt::Display for RunId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            RunId::Storm(number) => write!(f, "storm-{number}"),
            RunId::Canary(bug, attempt) => write!(f, "canary-{bug}-{attempt}"),
            RunId::Again(number, attempt) => write!(f, "again-{number}-{attempt}"),
            RunId::Lie(number, lie) => write!(f, "lie-{lie}-{number}"),
        }
    }
}

impl FromStr for RunId {
    type Err = String;

    fn from_str(text: &str) -> Result<RunId, String> {
        let wrong =
            || format!("expected storm-N, canary-BUG-N, again-N-N or lie-KIND-N, found {text:?}");
        let (kind, rest) = text.split_once('-').ok_or_else(wrong)?;
        let two = || rest.rsplit_once('-').ok_or_else(wrong);
        match kind {
            "storm" => rest.parse().map(RunId::Storm).map_err(|_| wrong()),
            "canary" => {
                let (bug, attempt) = two()?;
                Ok(RunId::Canary(bug.to_owned(), attempt.parse().map_err(|_| wrong())?))
            }
            "again" => {
                let (number, attempt) = two()?;
                let number = number.parse().map_err(|_| wrong())?;
                Ok(RunId::Again(number, attempt.parse().map_err(|_| wrong())?))
            }
            "lie" => {
                let (lie, number) = two()?;
                Ok(RunId::Lie(number.parse().map_err(|_| wrong())?, lie.parse()?))
            }
            _ => Err(wrong()),
        }
    }
}

impl Serialize for RunId {
    fn serialize<S: serde::Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for RunId {
    fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<RunId, D::Error> {
        String::deserialize(from)?.parse().map_err(serde::de::Error::custom)
    }
}

/// What became of a run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Ended {
    /// Which.
    pub run: RunId,
    /// When, on the campaign's clock, in seconds.
    pub at: f64,
    /// How long it took, judgement included, in seconds.
    pub took: f64,
    /// How it ended.
    pub outcome: ExitCode,
    /// The headline, or why the harness failed.
    pub says: String,
    /// The combination that it was.
    pub label: String,
    /// The arguments behind `squall`.
    pub args: Vec<String>,
    /// What stands behind its failure, in words.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub evidence: Vec<String>,
    /// Which checks failed, by name.
    #[serde(default)]
    pub broken: Vec<String>,
    /// What broke.
    #[serde(default)]
    pub signatures: Vec<Signature>,
    /// How much it exercised.
    #[serde(default)]
    pub figures: Figures,
    /// Whether it was undecided only because it exercised too little for a verdict of its own.
    #[serde(default)]
    pub thin: bool,
    /// What a storm added to what was visited.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub visited: Option<Added>,
    /// Whether its directory was kept.
    pub kept: bool,
}

/// What a campaign was asked for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Header {
    /// `campaign/1`.
    pub squall: String,
    /// The version of squall.
    pub version: String,
    /// The campaign's seed.
    pub seed: u64,
    /// This shard, counted from 1, and how many there are.
    pub shard: (u64, u64),
    /// The time that was asked for instead of the file's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub time: Option<String>,
    /// The bug that is planted in every storm.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bug: Option<String>,
}

impl Header {
    /// The name and version in the field `squall`.
    pub(crate) const FORMAT: &'static str = "campaign/1";
}

/// A line behind the first.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Line {
    /// The campaign was started, or went on.
    Session {
        /// UTC time, ISO 8601.
        started: String,
        /// The campaign's clock, in seconds.
        at: f64,
    },
    /// A run began.
    Began {
        /// Which.
        run: RunId,
    },
    /// A run ended.
    Ended(Box<Ended>),
    /// Something that a reader of the results should know.
    Note {
        /// When, in seconds.
        at: f64,
        /// What.
        text: String,
    },
}

/// A journal as it was found.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Recorded {
    pub header: Header,
    pub lines: Vec<Line>,
}

impl Recorded {
    /// Returns the runs that ended.
    pub(crate) fn ended(&self) -> impl Iterator<Item = &Ended> {
        self.lines.iter().filter_map(|line| match line {
            Line::Ended(ended) => Some(&**ended),
            Line::Session { .. } | Line::Began { .. } | Line::Note { .. } => None,
        })
    }

    /// Returns what was noted.
    pub(crate) fn notes(&self) -> impl Iterator<Item = &str> {
        self.lines.iter().filter_map(|line| match line {
            Line::Note { text, .. } => Some(text.as_str()),
            Line::Session { .. } | Line::Began { .. } | Line::Ended(_) => None,
        })
    }

    /// Returns how far the campaign's clock got, in seconds.
    pub(crate) fn clock(&self) -> f64 {
        let at = |line: &Line| match line {
            Line::Session { at, .. } | Line::Note { at, .. } => *at,
            Line::Ended(ended) => ended.at,
            Line::Began { .. } => 0.0,
        };
        self.lines.iter().map(at).fold(0.0, f64::max)
    }
}

/// Reads a journal. A torn last line is left out: its run is done again.
pub(crate) fn read(path: &Path) -> anyhow::Result<Recorded> {
    let text = std::fs::read_to_string(path)?;
    let whole = text.rfind('\n').map_or("", |end| &text[..end]);
    let mut lines = whole.lines().enumerate();
    let Some((_, first)) = lines.next() else { anyhow::bail!("{} is empty", path.display()) };
    let header: Header = serde_json::from_str(first)
        .map_err(|error| anyhow::anyhow!("{}:1: {error}", path.display()))?;
    if header.squall != Header::FORMAT {
        let (format, found) = (Header::FORMAT, &header.squall);
        anyhow::bail!("{}:1: expected {format:?}, found {found:?}", path.display());
    }
    let line = |(n, text): (usize, &str)| {
        serde_json::from_str(text)
            .map_err(|error| anyhow::anyhow!("{}:{}: {error}", path.display(), n + 1))
    };
    let lines = lines.map(line).collect::<anyhow::Result<_>>()?;
    Ok(Recorded { header, lines })
}

/// Writes the journal: each line is on disk before anything is built on it.
#[derive(Debug)]
pub(crate) struct Journal {
    file: File,
}

impl Journal {
    /// Begins a journal.
    pub(crate) fn create(path: &Path, header: &Header) -> io::Result<Journal> {
        let file = OpenOptions::new().append(true).create_new(true).open(path)?;
        let mut journal = Journal { file };
        journal.line(&serde_json::to_string(header).expect("a header is plain data"))?;
        Ok(journal)
    }

    /// Goes on with a journal, without its torn last line.
    pub(crate) fn resume(path: &Path) -> io::Result<Journal> {
        let text = std::fs::read(path)?;
        let whole = text.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1);
        let file = OpenOptions::new().append(true).open(path)?;
        file.set_len(whole as u64)?;
        Ok(Journal { file })
    }

    /// Adds a line.
    pub(crate) fn write(&mut self, line: &Line) -> io::Result<()> {
        self.line(&serde_json::to_string(line).expect("a line is plain data"))
    }

    fn line(&mut self, text: &str) -> io::Result<()> {
        self.file.write_all(format!("{text}\n").as_bytes())?;
        self.file.sync_data()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header() -> Header {
        Header {
            squall: Header::FORMAT.to_owned(),
            version: "0".to_owned(),
            seed: 7,
            shard: (1, 1),
            time: None,
            bug: None,
        }
    }

    #[test]
    fn a_run_is_named_as_its_directory() {
        let ids = [RunId::Storm(17), RunId::Canary("no-dedup".into(), 2), RunId::Again(17, 3)];
        assert_eq!(
            ids.clone().map(|id| id.to_string()),
            ["storm-17", "canary-no-dedup-2", "again-17-3"]
        );
        for id in ids {
            assert_eq!(id.to_string().parse(), Ok(id));
        }
        assert!("storm-x".parse::<RunId>().is_err());
    }

    #[test]
    fn a_torn_last_line_is_left_out_and_overwritten_when_the_campaign_goes_on() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("campaign.jsonl");
        let note = |text: &str| Line::Note { at: 1.5, text: text.to_owned() };
        Journal::create(&path, &header()).and_then(|mut j| j.write(&note("one"))).expect("written");
        let torn = std::fs::read_to_string(&path).expect("a file") + "{\"note\":{\"at\":9";
        std::fs::write(&path, torn).expect("written");

        assert_eq!(read(&path).expect("readable").lines, [note("one")]);
        Journal::resume(&path).and_then(|mut j| j.write(&note("two"))).expect("written");

        let recorded = read(&path).expect("readable");
        assert_eq!(recorded.lines, [note("one"), note("two")]);
        assert_eq!(recorded.header, header());
        assert_eq!(recorded.clock(), 1.5);
    }

    #[test]
    fn a_broken_line_in_the_middle_and_another_version_are_refused_with_their_place() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("campaign.jsonl");
        Journal::create(&path, &header()).expect("written");
        let text = std::fs::read_to_string(&path).expect("a file");
        std::fs::write(&path, format!("{text}nonsense\n")).expect("written");
        let error = read(&path).expect_err("broken").to_string();
        assert!(error.contains("campaign.jsonl:2: "), "{error}");
        std::fs::write(&path, text.replace("campaign/1", "campaign/9")).expect("written");
        let error = read(&path).expect_err("another version").to_string();
        assert!(error.contains("expected \"campaign/1\", found \"campaign/9\""), "{error}");
    }
}
