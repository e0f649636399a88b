//! The commit rule: only log entries from the leader's current term are committed by counting replicas (paper §5.4.2).
//!
//! Judged where a leader says that it counted, from the term of the entry in its own log. Figure 8 of the paper shows
//! what becomes of the others.

use squall_history::Claim;
use squall_history::trace::{CommitBy, Epoch, TraceEvent};

use super::check::{Check, End, Ruling, count};
use super::facts::Facts;
use super::findings::{Findings, Said, said};
use super::place::Place;

#[derive(Debug, Default)]
pub(super) struct CommitRule {
    findings: Findings,
    judged: u64,
    unknown: u64,
    untold: u64,
}

impl Check for CommitRule {
    fn look(&mut self, at: Place, event: &TraceEvent, facts: &Facts) {
        let TraceEvent::Commit { index, term, by } = event else { return };
        match (by, facts.server(at.node).log.term_at(*index)) {
            (None, _) => self.untold += 1,
            (Some(CommitBy::Leader | CommitBy::Snapshot), _) => {}
            (Some(CommitBy::Count), None) => self.unknown += 1,
            (Some(CommitBy::Count), Some(entry)) => {
                self.judged += 1;
                if entry != *term {
                    self.broken(at, *index, *term, entry, facts);
                }
            }
        }
    }

    fn rule(&self, _end: &End<'_>) -> Ruling {
        let scope = match self.judged {
            0 => Err("no commit by counting was traced".to_owned()),
            judged => Ok(format!(
                "{} by counting, each of an entry of the leader's own term",
                count(judged, "commit", "commits")
            )),
        };
        let unknown = (self.unknown > 0).then(|| {
            format!("{} of entries that are not known", count(self.unknown, "commit", "commits"))
        });
        let untold = (self.untold > 0).then(|| {
            format!("{} that do not say by what", count(self.untold, "commit", "commits"))
        });
        Ruling::new(Claim::CommitRule, self.findings.clone(), scope)
            .figure("commits", self.judged)
            .not_judged(unknown)
            .not_judged(untold)
    }
}

impl CommitRule {
    fn broken(&mut self, at: Place, index: u64, term: Epoch, entry: Epoch, facts: &Facts) {
        self.findings.add(at, || {
            let node = facts.name(at.node);
            let summary = format!(
                "{node}@{term} committed {index}@{entry} by counting, an entry of another term than its own"
            );
            let slot = facts.server(at.node).log.slot_at(index);
            let mut lines: Vec<Said> = slot.map(Said::Had).into_iter().collect();
            lines.push(said(at, format!("{node}@{term} counts replicas and commits up to {index}")));
            (summary, lines)
        });
    }
}
