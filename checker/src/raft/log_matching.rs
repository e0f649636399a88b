//! Log Matching: two logs that hold an entry with the same index and term are identical up to it (paper §5.3).
//!
//! Judged where it is local: an index and a term name one command and one predecessor, in all logs; by induction that is
//! the property, and it survives compaction. An append is provisional until the node reports it durable, promises it,
//! or another node has it: an entry that was never sent and lost in a crash may be made again, differently.

use squall_history::Claim;
use squall_history::trace::{Epoch, TraceEvent};

use super::check::{Check, End, Ruling, count};
use super::entries::Entry;
use super::facts::Facts;
use super::findings::{Findings, Said, said};
use super::place::Place;

#[derive(Debug, Default)]
pub(super) struct LogMatching {
    findings: Findings,
}

impl Check for LogMatching {
    /// A node that names another predecessor than the one in its own log has skipped the consistency check.
    fn look(&mut self, at: Place, event: &TraceEvent, facts: &Facts) {
        let TraceEvent::Append { index, term, prev_term, hashes, .. } = event else { return };
        let Some(before) = index.checked_sub(1).filter(|_| !hashes.is_empty()) else { return };
        let log = &facts.server(at.node).log;
        if let Some(own) = log.term_at(before)
            && own != *prev_term
        {
            let slot = log.slot_at(before);
            self.mismatch(at, (*index, *term), (before, own, *prev_term), slot, facts);
        }
    }

    fn rule(&self, end: &End<'_>) -> Ruling {
        let facts = end.facts;
        let mut findings = self.findings.clone();
        let mut provisional = 0;
        for mut twins in facts.entries.twins() {
            twins.sort_unstable_by_key(|entry| entry.seen);
            let firm: Vec<&Entry> = twins.iter().copied().filter(|entry| entry.firm).collect();
            match firm[..] {
                [one, two, ..] => findings.add(two.seen, || tell(one, two, facts)),
                _ => provisional += 1,
            }
        }
        let entries = facts.entries.len() as u64;
        let logs = facts.servers.iter().filter(|server| !server.boots.is_empty()).count() as u64;
        let scope = match entries {
            0 => Err("no append was traced".to_owned()),
            _ => Ok(format!(
                "{} in {}: one command and one predecessor at each index and term",
                count(entries, "entry", "entries"),
                count(logs, "log", "logs")
            )),
        };
        let remade = (provisional > 0).then(|| {
            let entries = count(provisional, "entry", "entries");
            format!(
                "{entries} made again differently, of which the first was never durable nor sent"
            )
        });
        Ruling::new(Claim::LogMatching, findings, scope)
            .figure("entries", entries)
            .not_judged(remade)
    }
}

impl LogMatching {
    fn mismatch(
        &mut self,
        at: Place,
        (index, term): (u64, Epoch),
        (before, own, claimed): (u64, Epoch, Epoch),
        slot: Option<u32>,
        facts: &Facts,
    ) {
        self.findings.add(at, || {
            let node = facts.name(at.node);
            let summary = format!(
                "{node} appended {index}@{term} as what follows {before}@{claimed}, but its log has {before}@{own} there"
            );
            let mut lines: Vec<Said> = slot.map(Said::Had).into_iter().collect();
            let text = format!("{node} appends {index}@{term} behind {before}@{claimed}");
            lines.push(said(at, text));
            (summary, lines)
        });
    }
}

fn tell(one: &Entry, two: &Entry, facts: &Facts) -> (String, Vec<Said>) {
    let Entry { index, term, .. } = one;
    let what = match one.hash == two.hash {
        true => "two predecessors",
        false => "two commands",
    };
    let (first, second) = (facts.name(one.seen.node), facts.name(two.seen.node));
    let summary =
        format!("{index}@{term} has {what}: in the log of {first} and in that of {second}");
    let line = |entry: &Entry| {
        let holder = facts.name(entry.seen.node);
        let before = entry.index.saturating_sub(1);
        let text = format!(
            "{holder} has {index}@{term}: command {} behind {before}@{}",
            entry.hash, entry.prev_term
        );
        said(entry.seen, text)
    };
    (summary, vec![line(one), line(two)])
}
