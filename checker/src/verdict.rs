//! Verdicts: a list of rows, one for each claim, and the worst of them.

use serde::{Deserialize, Serialize};
use squall_history::{Claim, Nanos};

use crate::Explanation;

/// What a check says. The worst of a run's rows is the run's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// The check lacks its input; counts for nothing.
    NotJudged,
    /// The claim holds for what was recorded.
    Valid,
    /// The check could not decide, and says why.
    Unknown,
    /// The claim is broken, and the evidence shows how.
    Invalid,
}

impl Verdict {
    /// Returns the worse of two.
    pub fn worst(self, other: Verdict) -> Verdict {
        self.max(other)
    }

    /// Returns the word of files and terminals.
    pub fn name(self) -> &'static str {
        match self {
            Verdict::NotJudged => "not-judged",
            Verdict::Valid => "valid",
            Verdict::Unknown => "unknown",
            Verdict::Invalid => "invalid",
        }
    }
}

/// How squall came to know a fact (architecture invariant 12).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Source {
    /// Seen by a client, on disk or on the wire.
    Observed,
    /// Said by a node in its trace.
    Reported,
    /// Derived from the others.
    Inferred,
}

impl Source {
    /// Returns the word of files and terminals.
    pub fn name(self) -> &'static str {
        match self {
            Source::Observed => "observed",
            Source::Reported => "reported",
            Source::Inferred => "inferred",
        }
    }
}

/// One line that a verdict rests on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Evidence {
    /// The sentence, for people.
    pub text: String,
    /// The file within the run directory.
    pub file: String,
    /// Its line, counted from 1; 0 where the fact is about the whole file.
    pub line: u64,
    /// The moment on the clock of the history, for display.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub time: Option<Nanos>,
    /// How it is known.
    pub source: Source,
}

/// The verdict on one claim.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Row {
    /// Which claim.
    pub claim: Claim,
    /// The verdict.
    pub verdict: Verdict,
    /// The engine that decided.
    pub engine: String,
    /// One sentence: for an invalid row the contradiction, for a valid one how much was constrained, else why not.
    pub summary: String,
    /// The key of the history that it is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// The lines that it rests on, in the order of the story.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub evidence: Vec<Evidence>,
    /// Why the operations of the evidence contradict each other, where the claim is on their order.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub explanation: Option<Explanation>,
    /// What this row does not cover, and why.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub not_judged: Vec<String>,
    /// Figures about the check itself, by name: operations, states, milliseconds, …
    #[serde(default, skip_serializing_if = "std::collections::BTreeMap::is_empty")]
    pub figures: std::collections::BTreeMap<String, f64>,
}

impl Row {
    /// Returns a row without evidence yet.
    pub fn new(claim: Claim, verdict: Verdict, engine: &str, summary: impl Into<String>) -> Row {
        Row {
            claim,
            verdict,
            engine: engine.to_owned(),
            summary: summary.into(),
            key: None,
            evidence: Vec::new(),
            explanation: None,
            not_judged: Vec::new(),
            figures: std::collections::BTreeMap::new(),
        }
    }

    /// Returns the time of the last line that the row rests on.
    fn complete_at(&self) -> Option<Nanos> {
        self.evidence.iter().filter_map(|one| one.time).max()
    }
}

/// `verdict.json`: every row, and the worst.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RunVerdict {
    /// `verdict/1`.
    pub squall: String,
    /// The worst of the rows.
    pub verdict: Verdict,
    /// One row a claim, in the order of [`Claim::ALL`]; several where several keys are broken.
    pub rows: Vec<Row>,
    /// Warnings about the input: a torn last line, a stalled host.
    #[serde(default)]
    pub warnings: Vec<String>,
    /// Why it is invalid, told as a story.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub story: Vec<Sentence>,
}

/// One sentence of a story, and what it rests on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sentence {
    /// The sentence.
    pub text: String,
    /// How it is known.
    pub source: Source,
    /// File and line of each thing that it was derived from.
    pub places: Vec<String>,
}

impl RunVerdict {
    /// The name and version in the field `squall`.
    pub const FORMAT: &'static str = "verdict/1";

    /// Sorts the rows and takes the worst. No row at all is unknown, since nothing was judged.
    pub fn of(mut rows: Vec<Row>, warnings: Vec<String>) -> RunVerdict {
        rows.sort_by_key(|row| (row.claim, row.key.clone()));
        let worst = rows.iter().map(|row| row.verdict).max().unwrap_or(Verdict::Unknown);
        let verdict = if worst == Verdict::NotJudged { Verdict::Unknown } else { worst };
        let squall = RunVerdict::FORMAT.to_owned();
        RunVerdict { squall, verdict, rows, warnings, story: Vec::new() }
    }

    /// Returns the row whose contradiction was complete first, by the times of its evidence; for display, since a later
    /// one is often the consequence of an earlier one. Rows without times come last, in the order of their claims.
    pub fn first_bad(&self) -> Option<&Row> {
        let invalid = self.rows.iter().filter(|row| row.verdict == Verdict::Invalid);
        invalid.min_by_key(|row| row.complete_at().unwrap_or(Nanos(u64::MAX)))
    }

    /// Returns the row that makes the run what it is: the first bad one, else the first that could not be decided.
    pub fn worst(&self) -> Option<&Row> {
        let unknown = || self.rows.iter().find(|row| row.verdict == Verdict::Unknown);
        self.first_bad().or_else(unknown)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(claim: Claim, verdict: Verdict, times: &[u64]) -> Row {
        let mut row = Row::new(claim, verdict, "test", "");
        row.evidence = times
            .iter()
            .map(|time| Evidence {
                text: String::new(),
                file: String::new(),
                line: 1,
                time: Some(Nanos(*time)),
                source: Source::Reported,
            })
            .collect();
        row
    }

    #[test]
    fn the_first_bad_row_is_the_one_that_was_complete_first() {
        let rows = vec![
            row(Claim::Linearizable, Verdict::Invalid, &[]),
            row(Claim::ElectionSafety, Verdict::Valid, &[1]),
            row(Claim::LogMatching, Verdict::Invalid, &[2, 90]),
            row(Claim::VoteOnce, Verdict::Invalid, &[40, 50]),
            row(Claim::Exercised, Verdict::Unknown, &[]),
        ];
        let run = RunVerdict::of(rows, Vec::new());
        assert_eq!(run.first_bad().map(|row| row.claim), Some(Claim::VoteOnce));
        assert_eq!(run.worst().map(|row| row.claim), Some(Claim::VoteOnce));
    }

    #[test]
    fn a_run_without_a_bad_row_is_what_its_undecided_row_makes_it() {
        let rows = vec![
            row(Claim::Linearizable, Verdict::Valid, &[]),
            row(Claim::Exercised, Verdict::Unknown, &[]),
        ];
        let run = RunVerdict::of(rows, Vec::new());
        assert_eq!(run.first_bad(), None);
        assert_eq!(run.worst().map(|row| row.claim), Some(Claim::Exercised));
    }

    #[test]
    fn nothing_judged_is_not_green() {
        assert_eq!(RunVerdict::of(Vec::new(), Vec::new()).verdict, Verdict::Unknown);
        let rows = vec![row(Claim::Linearizable, Verdict::NotJudged, &[])];
        assert_eq!(RunVerdict::of(rows, Vec::new()).verdict, Verdict::Unknown);
    }
}
