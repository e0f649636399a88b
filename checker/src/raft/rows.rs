//! Rulings as rows of a verdict.

use squall_history::Nanos;

use super::check::{End, Ruling, count};
use super::findings::{Finding, Said};
use super::place::Place;
use super::{CLAIMS, ENGINE};
use crate::{Evidence, Row, Source, Verdict};

/// Returns the rows of a run without traces.
pub(super) fn without_traces(left_out: &[String]) -> Vec<Row> {
    let row = |claim| {
        let mut row = Row::new(claim, Verdict::NotJudged, ENGINE, "no node wrote a trace");
        row.not_judged = left_out.to_vec();
        row
    };
    CLAIMS.into_iter().map(row).collect()
}

/// Returns the row of a ruling.
pub(super) fn row(ruling: Ruling, end: &End<'_>, left_out: &[String], history_file: &str) -> Row {
    let Ruling { claim, findings, scope, figures, mut not_judged } = ruling;
    let (verdict, summary, evidence) = match (findings.first(), scope) {
        (Some(found), _) => {
            (Verdict::Invalid, summary(found, findings.count()), evidence(found, end, history_file))
        }
        (None, Ok(scope)) => (Verdict::Valid, scope, Vec::new()),
        (None, Err(why)) => (Verdict::NotJudged, why, Vec::new()),
    };
    not_judged.extend_from_slice(left_out);
    let mut row = Row::new(claim, verdict, ENGINE, summary);
    row.evidence = evidence;
    row.not_judged = not_judged;
    row.figures.insert("events".to_owned(), end.facts.traced.events as f64);
    if verdict == Verdict::Invalid {
        row.figures.insert("contradictions".to_owned(), findings.count() as f64);
    }
    for (name, value) in figures {
        row.figures.insert(name.to_owned(), value as f64);
    }
    row
}

fn summary(found: &Finding, count_of_all: u64) -> String {
    match count_of_all {
        0 | 1 => found.summary.clone(),
        more => format!("{} (and {} more)", found.summary, count(more - 1, "time", "times")),
    }
}

fn evidence(found: &Finding, end: &End<'_>, history_file: &str) -> Vec<Evidence> {
    found.lines.iter().map(|said| line(said, end, history_file)).collect()
}

fn line(said: &Said, end: &End<'_>, history_file: &str) -> Evidence {
    match said {
        Said::Node(at, text) => Evidence {
            text: text.clone(),
            file: file(*at, end),
            line: u64::from(at.line),
            time: Some(Nanos(at.time.saturating_sub(end.origin))),
            source: Source::Reported,
        },
        Said::Had(slot) => {
            let entry = end.facts.entries.get(*slot);
            let node = end.facts.name(entry.seen.node);
            let text = format!(
                "{node} has {}@{} in its log, command {}",
                entry.index, entry.term, entry.hash
            );
            line(&Said::Node(entry.seen, text), end, history_file)
        }
        Said::Client { line, time, text } => Evidence {
            text: text.clone(),
            file: history_file.to_owned(),
            line: u64::from(*line),
            time: Some(*time),
            source: Source::Observed,
        },
    }
}

fn file(at: Place, end: &End<'_>) -> String {
    let boots = &end.facts.server(at.node).boots;
    let boot = boots.iter().find(|boot| boot.number == at.boot);
    boot.map_or(String::new(), |boot| boot.file.clone())
}
