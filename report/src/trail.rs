//! A node's log as it grew, was cut, was lost and came back, kept small enough to hold a run of a million entries.

use std::collections::BTreeMap;

use squall_history::trace::{Epoch, TraceEvent};

/// What a log holds at an index: the term, and a hash of the command.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Held {
    pub(crate) term: Epoch,
    pub(crate) hash: u64,
}

/// One change of a log.
#[derive(Clone, Debug, PartialEq)]
struct Step {
    at: f64,
    change: Change,
}

#[derive(Clone, Debug, PartialEq)]
enum Change {
    /// The node starts with a snapshot up to `base`; what it recovers follows.
    Boot { base: u64 },
    /// Entries from `index` on, their hashes at `first..first + count`.
    Append { index: u64, term: Epoch, first: usize, count: usize, recovered: bool },
    /// Everything from here on is gone.
    Truncate { from: u64 },
}

/// Every change of one log.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Trail {
    steps: Vec<Step>,
    hashes: Vec<u64>,
    /// For each file, the log index that each line is about; 0 for none.
    lines: Vec<(String, Vec<u32>)>,
    line: u32,
}

impl Trail {
    /// Begins a file.
    pub(crate) fn open(&mut self, file: String) {
        self.lines.push((file, Vec::new()));
    }

    /// Says which line the next event stands on.
    pub(crate) fn at_line(&mut self, line: u32) {
        self.line = line;
    }

    /// Returns whether nothing is known of the log.
    pub(crate) fn is_empty(&self) -> bool {
        self.steps.is_empty()
    }

    /// Returns the log index that a line of a file is about.
    pub(crate) fn index_at(&self, file: &str, line: u64) -> Option<u64> {
        let (_, lines) = self.lines.iter().find(|(name, _)| name == file)?;
        let index = *lines.get(usize::try_from(line).ok()?)?;
        (index > 0).then_some(u64::from(index))
    }

    /// Takes the next event.
    pub(crate) fn feed(&mut self, at: f64, event: &TraceEvent) {
        if let (Some(index), Some((_, lines))) = (about(event), self.lines.last_mut()) {
            lines.resize(self.line as usize + 1, 0);
            lines[self.line as usize] = u32::try_from(index).unwrap_or(0);
        }
        let change = match event {
            TraceEvent::Boot { snapshot, .. } => Change::Boot { base: snapshot.index },
            TraceEvent::Append { index, term, hashes, recovered, .. } => {
                let (first, count) = (self.hashes.len(), hashes.len());
                self.hashes.extend(hashes.iter().map(|hash| hash.0));
                Change::Append { index: *index, term: *term, first, count, recovered: *recovered }
            }
            TraceEvent::Truncate { from } => Change::Truncate { from: *from },
            TraceEvent::HardState { .. }
            | TraceEvent::BecomePreCandidate { .. }
            | TraceEvent::BecomeCandidate { .. }
            | TraceEvent::BecomeLeader { .. }
            | TraceEvent::BecomeFollower { .. }
            | TraceEvent::Durable { .. }
            | TraceEvent::Vote { .. }
            | TraceEvent::Ack { .. }
            | TraceEvent::Commit { .. }
            | TraceEvent::Apply { .. }
            | TraceEvent::Snapshot { .. }
            | TraceEvent::Install { .. }
            | TraceEvent::Config { .. }
            | TraceEvent::ReadRequest { .. }
            | TraceEvent::ReadIndex { .. }
            | TraceEvent::Note { .. } => return,
        };
        self.steps.push(Step { at, change });
    }

    /// Returns what each index held, one thing after another, until a moment; none where it held an entry no more.
    pub(crate) fn succession(
        &self,
        indices: std::ops::RangeInclusive<u64>,
        until: f64,
    ) -> BTreeMap<u64, Vec<Option<Held>>> {
        let mut fold = Fold { from: *indices.start(), cells: BTreeMap::new(), lost: Vec::new() };
        for step in self.steps.iter().take_while(|step| step.at <= until) {
            match step.change {
                Change::Boot { base } => fold.boot(base),
                Change::Append { index, term, first, count, recovered } => {
                    if !recovered {
                        fold.settle();
                    }
                    let begin = index.max(*indices.start());
                    let end = (index + count as u64).min(indices.end().saturating_add(1));
                    for at in begin..end {
                        let hash = self.hashes[first + (at - index) as usize];
                        fold.hold(at, Held { term, hash });
                    }
                }
                Change::Truncate { from } => {
                    fold.settle();
                    fold.truncate(from);
                }
            }
        }
        fold.settle();
        fold.cells
    }

    /// Returns what the log holds at a moment from an index on.
    pub(crate) fn held_at(&self, from: u64, until: f64) -> BTreeMap<u64, Held> {
        let cells = self.succession(from..=u64::MAX, until);
        let now = |(index, held): (u64, Vec<Option<Held>>)| Some((index, (*held.last()?)?));
        cells.into_iter().filter_map(now).collect()
    }
}

/// The cells of a table of logs, as they come to be.
struct Fold {
    from: u64,
    cells: BTreeMap<u64, Vec<Option<Held>>>,
    /// What the last boot has not brought back yet.
    lost: Vec<u64>,
}

impl Fold {
    fn hold(&mut self, index: u64, held: Held) {
        // Recovery goes upwards, and `lost` downwards.
        if self.lost.last() == Some(&index) {
            self.lost.pop();
        } else if !self.lost.is_empty() {
            self.lost.retain(|lost| *lost != index);
        }
        let cell = self.cells.entry(index).or_default();
        if cell.last() != Some(&Some(held)) {
            cell.push(Some(held));
        }
    }

    fn boot(&mut self, base: u64) {
        let holds = |cell: &[Option<Held>]| matches!(cell.last(), Some(Some(_)));
        let above = self.cells.range(base.saturating_add(1).max(self.from)..);
        self.lost = above.filter(|(_, cell)| holds(cell)).map(|(index, _)| *index).collect();
        self.lost.reverse();
    }

    /// What a boot did not bring back is lost.
    fn settle(&mut self) {
        for index in std::mem::take(&mut self.lost) {
            self.cells.entry(index).or_default().push(None);
        }
    }

    fn truncate(&mut self, from: u64) {
        for cell in self.cells.range_mut(from.max(self.from)..).map(|(_, cell)| cell) {
            if matches!(cell.last(), Some(Some(_))) {
                cell.push(None);
            }
        }
    }
}

/// Returns the log index that an event is about.
fn about(event: &TraceEvent) -> Option<u64> {
    match event {
        TraceEvent::Append { index, .. }
        | TraceEvent::Ack { index, .. }
        | TraceEvent::Commit { index, .. }
        | TraceEvent::Apply { index, .. }
        | TraceEvent::Snapshot { index, .. }
        | TraceEvent::Install { index, .. }
        | TraceEvent::Config { index, .. }
        | TraceEvent::ReadIndex { index, .. } => Some(*index),
        TraceEvent::Truncate { from } => Some(*from),
        TraceEvent::Durable { upto } => Some(*upto),
        TraceEvent::BecomeLeader { last, .. }
        | TraceEvent::BecomeCandidate { last, .. }
        | TraceEvent::BecomePreCandidate { last, .. }
        | TraceEvent::BecomeFollower { last, .. } => Some(last.index),
        TraceEvent::Boot { .. }
        | TraceEvent::HardState { .. }
        | TraceEvent::Vote { .. }
        | TraceEvent::ReadRequest { .. }
        | TraceEvent::Note { .. } => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use squall_history::trace::{EntryHash, LogPosition, Voters};

    fn append(index: u64, term: u64, count: u64, recovered: bool) -> TraceEvent {
        let hashes = (index..index + count).map(EntryHash).collect();
        TraceEvent::Append { index, term: term.into(), prev_term: 0.into(), hashes, recovered }
    }

    fn boot() -> TraceEvent {
        TraceEvent::Boot {
            term: 1.into(),
            vote: None,
            snapshot: LogPosition::default(),
            applied: 0,
            config: Voters::default(),
        }
    }

    fn terms(trail: &Trail, index: u64, until: f64) -> Vec<Option<u64>> {
        let cells = trail.succession(index..=index, until);
        let cell = cells.get(&index).cloned().unwrap_or_default();
        cell.iter().map(|held| held.map(|held| held.term.0)).collect()
    }

    #[test]
    fn an_entry_that_is_replaced_leaves_both_in_its_place() {
        let mut trail = Trail::default();
        trail.feed(1.0, &append(1, 1, 3, false));
        trail.feed(2.0, &TraceEvent::Truncate { from: 2 });
        trail.feed(3.0, &append(2, 2, 1, false));
        assert_eq!(terms(&trail, 1, 9.0), [Some(1)]);
        assert_eq!(terms(&trail, 2, 9.0), [Some(1), None, Some(2)]);
        assert_eq!(terms(&trail, 2, 1.5), [Some(1)]);
        assert_eq!(trail.held_at(1, 9.0).keys().copied().collect::<Vec<_>>(), [1, 2]);
    }

    #[test]
    fn a_restart_loses_only_what_it_does_not_recover() {
        let mut trail = Trail::default();
        trail.feed(1.0, &append(1, 1, 3, false));
        trail.feed(2.0, &boot());
        trail.feed(2.0, &append(1, 1, 2, true));
        assert_eq!(terms(&trail, 2, 9.0), [Some(1)]);
        assert_eq!(terms(&trail, 3, 9.0), [Some(1), None]);
    }

    #[test]
    fn a_line_is_known_by_the_index_that_it_is_about() {
        let mut trail = Trail::default();
        trail.open("trace/n1.0.jsonl".to_owned());
        trail.at_line(7);
        trail.feed(1.0, &append(5, 1, 1, false));
        assert_eq!(trail.index_at("trace/n1.0.jsonl", 7), Some(5));
        assert_eq!(trail.index_at("trace/n1.0.jsonl", 6), None);
        assert_eq!(trail.index_at("trace/n2.0.jsonl", 7), None);
    }
}
