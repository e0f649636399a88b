//! State Machine Safety: if a server has applied a log entry at a given index, no other server will ever apply a
//! different entry at that index (paper §5.4.3).
//!
//! Conflicts: two entries applied, or reported committed, at one index; two states after the same index; a node that
//! applies what is not in its own log, or goes back. Within an unbroken boot also: applied before committed, and an entry
//! of its log passed over that others applied.

use hashbrown::HashMap;
use squall_history::Claim;
use squall_history::trace::{EntryHash, Epoch, TraceEvent};

use super::check::{Check, End, Ruling, count};
use super::facts::Facts;
use super::findings::{Findings, Said, said};
use super::place::Place;
use super::settled::Chosen;

/// What was applied at an index.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Applied {
    term: Epoch,
    hash: EntryHash,
}

/// What was said at each index: one thing inline, other things aside.
#[derive(Debug)]
struct Ledger<T> {
    one: HashMap<u64, (T, Place), foldhash::fast::FixedState>,
    others: HashMap<u64, Vec<(T, Place)>, foldhash::fast::FixedState>,
}

impl<T> Default for Ledger<T> {
    fn default() -> Ledger<T> {
        Ledger { one: HashMap::default(), others: HashMap::default() }
    }
}

impl<T: Copy + PartialEq> Ledger<T> {
    fn note(&mut self, index: u64, what: T, at: Place) {
        let (known, first) = self.one.entry(index).or_insert((what, at));
        if *known == what {
            *first = (*first).min(at);
            return;
        }
        let others = self.others.entry(index).or_default();
        match others.iter_mut().find(|(other, _)| *other == what) {
            Some((_, first)) => *first = (*first).min(at),
            None => others.push((what, at)),
        }
    }

    /// Returns the first index strictly between two at which something was said, and where first.
    fn first_between(&self, from: u64, to: u64) -> Option<(u64, Place)> {
        let known = |index: u64| self.one.get(&index).map(|(_, at)| (index, *at));
        match to - from > self.one.len() as u64 {
            false => (from + 1..to).find_map(known),
            true => self
                .one
                .keys()
                .copied()
                .filter(|index| from < *index && *index < to)
                .min()
                .and_then(known),
        }
    }

    /// Returns each index at which two things were said, with the first two.
    fn disputes(&self) -> impl Iterator<Item = (u64, [(T, Place); 2])> {
        self.others.iter().map(|(index, others)| {
            let mut all = vec![self.one[index]];
            all.extend(others);
            all.sort_by_key(|(_, at)| *at);
            (*index, [all[0], all[1]])
        })
    }
}

#[derive(Debug, Default)]
pub(super) struct StateMachineSafety {
    applied: Ledger<Applied>,
    digests: Ledger<EntryHash>,
    /// What nodes passed over, in complete stretches: from the last applied entry to the next.
    skips: Vec<Skip>,
    findings: Findings,
}

/// A node applied `to` next after `from`.
#[derive(Clone, Copy, Debug)]
struct Skip {
    from: u64,
    from_at: Place,
    to: u64,
    at: Place,
}

impl Check for StateMachineSafety {
    fn look(&mut self, at: Place, event: &TraceEvent, facts: &Facts) {
        let TraceEvent::Apply { index, term, hash, digest } = event else { return };
        let applied = Applied { term: *term, hash: *hash };
        self.applied.note(*index, applied, at);
        if let Some(digest) = digest {
            self.digests.note(*index, *digest, at);
        }
        self.against_own_log(at, *index, applied, facts);
        self.against_own_order(at, *index, facts);
        self.against_own_commit(at, *index, *term, facts);
    }

    fn rule(&self, end: &End<'_>) -> Ruling {
        let mut findings = self.findings.clone();
        self.two_applied(&mut findings, end.facts);
        self.two_states(&mut findings, end.facts);
        self.skipped(&mut findings, end.facts);
        two_committed(&mut findings, end);
        let (indices, applies) = (self.applied.one.len() as u64, end.facts.traced.applies);
        let scope = match (applies, end.settled.len()) {
            (0, 0) => Err("no commit and no application was traced".to_owned()),
            (0, committed) => Ok(format!(
                "{} committed, the same by every node; no application was traced",
                count(committed as u64, "entry", "entries")
            )),
            _ => Ok(format!(
                "{} applied at {}, the same entry each",
                count(applies, "entry", "entries"),
                count(indices, "index", "indices")
            )),
        };
        let states = self.digests.one.is_empty().then(|| "states: no digest was traced".to_owned());
        Ruling::new(Claim::StateMachineSafety, findings, scope)
            .figure("applied", applies)
            .figure("indices", indices)
            .figure("digests", self.digests.one.len() as u64)
            .not_judged(states)
    }
}

impl StateMachineSafety {
    fn against_own_log(&mut self, at: Place, index: u64, applied: Applied, facts: &Facts) {
        let Some(slot) = facts.server(at.node).log.slot_at(index) else { return };
        let own = facts.entries.get(slot);
        if (own.term, own.hash) == (applied.term, applied.hash) {
            return;
        }
        self.findings.add(at, || {
            let node = facts.name(at.node);
            let Applied { term, hash } = applied;
            let summary = format!(
                "{node} applied {index}@{term}, command {hash}, but its log has {index}@{}, command {}",
                own.term, own.hash
            );
            let lines = vec![
                Said::Had(slot),
                said(at, format!("{node} applies {index}@{term}")),
            ];
            (summary, lines)
        });
    }

    /// lastApplied increases monotonically (paper Figure 2).
    fn against_own_order(&mut self, at: Place, index: u64, facts: &Facts) {
        let server = facts.server(at.node);
        let Some((last, last_at)) = server.applied else { return };
        if index > last {
            // An entry that is not even in the log was brought by a snapshot that was not told.
            if server.gapless && index - last > 1 && server.log.slot_at(last + 1).is_some() {
                self.skips.push(Skip { from: last, from_at: last_at, to: index, at });
            }
            return;
        }
        self.findings.add(at, || {
            let node = facts.name(at.node);
            let summary = format!("{node} applied {index} after it had applied {last}");
            let lines = vec![
                said(last_at, format!("{node} has applied up to {last}")),
                said(at, format!("{node} applies {index}")),
            ];
            (summary, lines)
        });
    }

    /// Only committed entries are applied (paper §5.3). The first commit of a boot tells where the commit index is.
    fn against_own_commit(&mut self, at: Place, index: u64, term: Epoch, facts: &Facts) {
        let server = facts.server(at.node);
        let Some((commit, commit_at)) = server.commit.filter(|_| server.gapless) else { return };
        if index <= commit.max(server.installed) {
            return;
        }
        self.findings.add(at, || {
            let node = facts.name(at.node);
            let summary =
                format!("{node} applied {index}@{term}, but had committed only up to {commit}");
            let lines = vec![
                said(commit_at, format!("{node} commits up to {commit}")),
                said(at, format!("{node} applies {index}@{term}")),
            ];
            (summary, lines)
        });
    }

    /// An entry that others applied is no no-op that a system does not tell of.
    fn skipped(&self, findings: &mut Findings, facts: &Facts) {
        for skip in &self.skips {
            let Skip { from, from_at, to, at } = *skip;
            let Some((index, other_at)) = self.applied.first_between(from, to) else { continue };
            findings.add(at, || {
                let (node, other) = (facts.name(at.node), facts.name(other_at.node));
                let summary =
                    format!("{node} applied {from} and then {to}, but {other} applied {index}");
                let lines = vec![
                    said(other_at, format!("{other} applies {index}")),
                    said(from_at, format!("{node} applies {from}")),
                    said(at, format!("{node} applies {to} next")),
                ];
                (summary, lines)
            });
        }
    }

    fn two_applied(&self, findings: &mut Findings, facts: &Facts) {
        for (index, [(one, one_at), (two, two_at)]) in self.applied.disputes() {
            findings.add(two_at, || {
                let (first, second) = (facts.name(one_at.node), facts.name(two_at.node));
                let summary = format!(
                    "{first} applied {index}@{} and {second} applied {index}@{}: different entries at one index",
                    one.term, two.term
                );
                let line = |at: Place, applied: Applied| {
                    let Applied { term, hash } = applied;
                    let node = facts.name(at.node);
                    said(at, format!("{node} applies {index}@{term}, command {hash}"))
                };
                (summary, vec![line(one_at, one), line(two_at, two)])
            });
        }
    }

    fn two_states(&self, findings: &mut Findings, facts: &Facts) {
        for (index, [(one, one_at), (two, two_at)]) in self.digests.disputes() {
            findings.add(two_at, || {
                let (first, second) = (facts.name(one_at.node), facts.name(two_at.node));
                let summary =
                    format!("{first} and {second} are in different states after index {index}");
                let line = |at: Place, digest: EntryHash| {
                    let node = facts.name(at.node);
                    said(at, format!("{node} has state {digest} after index {index}"))
                };
                (summary, vec![line(one_at, one), line(two_at, two)])
            });
        }
    }
}

fn two_committed(findings: &mut Findings, end: &End<'_>) {
    for (one, two) in end.settled.disputes() {
        findings.add(one.at.max(two.at), || committed_differently(one, two, end.facts));
    }
}

fn committed_differently(one: &Chosen<'_>, two: &Chosen<'_>, facts: &Facts) -> (String, Vec<Said>) {
    let index = one.entry.index;
    let (first, second) = (facts.name(one.at.node), facts.name(two.at.node));
    let summary = format!(
        "{first} committed {index}@{} and {second} committed {index}@{}: different entries at one index",
        one.entry.term, two.entry.term
    );
    let line = |chosen: &Chosen<'_>| {
        let node = facts.name(chosen.at.node);
        let text = format!(
            "{node}@{} commits {index}@{}, command {}",
            chosen.since, chosen.entry.term, chosen.entry.hash
        );
        said(chosen.at, text)
    };
    (summary, vec![line(one), line(two)])
}
