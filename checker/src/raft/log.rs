//! What is known of a node's log, from what the node said of it.
//!
//! Knowledge only: where lines are missing the log is forgotten, and an index of which nothing is known is neither
//! present nor absent.

use squall_history::trace::{Epoch, LogPosition};

/// Neighbouring entries of one term.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Run {
    /// The index of the first.
    pub(super) start: u64,
    pub(super) term: Epoch,
}

/// A log: entries `first ..` without gaps above a base.
#[derive(Clone, Debug, Default)]
pub(super) struct Log {
    first: u64,
    /// For each entry, its place among all entries.
    slots: Vec<u32>,
    /// The terms of the entries; a log has few.
    runs: Vec<Run>,
    /// The entry before the first, where it is known: a snapshot's last, or 0@0.
    base: Option<LogPosition>,
    /// Nothing stands behind the last known entry, and nothing unknown above the base.
    whole: bool,
}

/// The terms of a log at one moment.
#[derive(Clone, Debug)]
pub(super) struct Terms {
    base: Option<LogPosition>,
    runs: Vec<Run>,
    /// The index behind the last known one.
    end: u64,
}

impl Log {
    /// Forgets everything.
    pub(super) fn forget(&mut self) {
        *self = Log::default();
    }

    /// Begins anew above a base.
    pub(super) fn reset(&mut self, base: LogPosition, whole: bool) {
        *self =
            Log { base: Some(base), first: base.index.saturating_add(1), whole, ..Log::default() };
    }

    /// Returns whether the last known entry is the last.
    pub(super) fn is_whole(&self) -> bool {
        self.whole
    }

    /// Recovery speaks of the log, so it speaks of all of it.
    pub(super) fn set_whole(&mut self) {
        self.whole = true;
    }

    /// Returns the last known entry.
    pub(super) fn last(&self) -> Option<LogPosition> {
        match self.runs.last() {
            Some(run) => Some(LogPosition { index: self.end() - 1, term: run.term }),
            None => self.base,
        }
    }

    /// Returns the index of the first known entry above the base.
    pub(super) fn first(&self) -> u64 {
        self.first
    }

    fn end(&self) -> u64 {
        self.first + self.slots.len() as u64
    }

    /// Returns the term of the entry at an index, where it is known.
    pub(super) fn term_at(&self, index: u64) -> Option<Epoch> {
        term_at(self.base, &self.runs, self.end(), index)
    }

    /// Returns the entry at an index, where it is known.
    pub(super) fn slot_at(&self, index: u64) -> Option<u32> {
        let offset = index.checked_sub(self.first)?;
        self.slots.get(usize::try_from(offset).ok()?).copied()
    }

    /// Returns the known entries with indices in `from ..= to`.
    pub(super) fn slots(&self, from: u64, to: u64) -> &[u32] {
        let from = from.max(self.first);
        let to = to.saturating_add(1).min(self.end());
        if from >= to {
            return &[];
        }
        let offset = |index: u64| (index - self.first) as usize;
        &self.slots[offset(from)..offset(to)]
    }

    /// Returns the terms as they are now.
    pub(super) fn terms(&self) -> Terms {
        Terms { base: self.base, runs: self.runs.clone(), end: self.end() }
    }

    /// Puts entries of one term at the end, where the last one ends just before `index`; else what is known begins
    /// with them.
    pub(super) fn append(&mut self, index: u64, term: Epoch, prev_term: Epoch, slots: &[u32]) {
        let follows = self.last().is_some_and(|last| last.index.checked_add(1) == Some(index));
        if !follows {
            let base = LogPosition { index: index.saturating_sub(1), term: prev_term };
            *self = Log { base: Some(base), first: index, ..Log::default() };
        }
        if self.runs.last().is_none_or(|run| run.term != term) && !slots.is_empty() {
            self.runs.push(Run { start: index, term });
        }
        self.slots.extend_from_slice(slots);
    }

    /// Removes the entries from an index on.
    pub(super) fn truncate(&mut self, from: u64) {
        if self.base.is_some_and(|base| from <= base.index) {
            return self.forget();
        }
        let keep = usize::try_from(from.saturating_sub(self.first)).unwrap_or(usize::MAX);
        self.slots.truncate(keep);
        while self.runs.last().is_some_and(|run| run.start >= from) {
            self.runs.pop();
        }
    }

    /// Takes the node's word for the end of its log. Where it ends later than was known, the rest was not told.
    pub(super) fn confirm(&mut self, last: LogPosition, gapless: bool) {
        match self.last() {
            Some(known) if known == last => self.whole |= gapless,
            Some(known) if known.index >= last.index => {}
            _ => self.reset(last, false),
        }
    }
}

impl Terms {
    /// Returns the term of the entry at an index, where it is known.
    pub(super) fn term_at(&self, index: u64) -> Option<Epoch> {
        term_at(self.base, &self.runs, self.end, index)
    }

    /// Returns the first index in `from ..= to` whose entry is known to be of another term, with that term.
    pub(super) fn first_other(&self, from: u64, to: u64, term: Epoch) -> Option<(u64, Epoch)> {
        if let Some(base) = self.base
            && (from..=to).contains(&base.index)
            && base.term != term
        {
            return Some((base.index, base.term));
        }
        let last = to.min(self.end.checked_sub(1)?);
        let after = self.runs.partition_point(|run| run.start <= from).saturating_sub(1);
        let runs = self.runs[after.min(self.runs.len())..].iter();
        let other = runs.take_while(|run| run.start <= last).find(|run| run.term != term)?;
        let index = other.start.max(from);
        (index <= last).then_some((index, other.term))
    }
}

fn term_at(base: Option<LogPosition>, runs: &[Run], end: u64, index: u64) -> Option<Epoch> {
    if let Some(base) = base.filter(|base| base.index == index) {
        return Some(base.term);
    }
    if index >= end {
        return None;
    }
    let after = runs.partition_point(|run| run.start <= index);
    Some(runs.get(after.checked_sub(1)?)?.term)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn position(index: u64, term: u64) -> LogPosition {
        LogPosition { index, term: term.into() }
    }

    fn log() -> Log {
        let mut log = Log::default();
        log.reset(position(0, 0), true);
        log.append(1, Epoch(1, 0), Epoch(0, 0), &[10, 11, 12]);
        log.append(4, Epoch(3, 0), Epoch(1, 0), &[13, 14]);
        log
    }

    #[test]
    fn a_log_tells_the_term_and_the_entry_at_each_index() {
        let log = log();
        let terms: Vec<_> = (0..7).map(|index| log.term_at(index).map(|term| term.0)).collect();
        assert_eq!(terms, [Some(0), Some(1), Some(1), Some(1), Some(3), Some(3), None]);
        assert_eq!(log.slot_at(4), Some(13));
        assert_eq!(log.slot_at(0), None);
        assert_eq!(log.last(), Some(position(5, 3)));
        assert_eq!(log.slots(2, 4), [11, 12, 13]);
        assert_eq!(log.slots(5, u64::MAX), [14]);
    }

    #[test]
    fn a_truncation_removes_the_suffix_and_nothing_else() {
        let mut log = log();
        log.truncate(3);
        assert_eq!(log.last(), Some(position(2, 1)));
        log.append(3, Epoch(4, 0), Epoch(1, 0), &[20]);
        assert_eq!((log.term_at(2), log.term_at(3)), (Some(Epoch(1, 0)), Some(Epoch(4, 0))));
        log.truncate(1);
        assert_eq!(log.last(), Some(position(0, 0)));
        assert!(log.is_whole());
    }

    #[test]
    fn an_append_that_does_not_follow_is_where_knowledge_begins() {
        let mut log = log();
        log.append(9, Epoch(4, 0), Epoch(3, 0), &[30]);
        assert_eq!(log.term_at(5), None);
        assert_eq!(log.term_at(8), Some(Epoch(3, 0)));
        assert_eq!(log.term_at(9), Some(Epoch(4, 0)));
        assert!(!log.is_whole());
    }

    #[test]
    fn a_node_that_names_a_later_end_has_entries_that_it_never_told() {
        let mut log = log();
        log.confirm(position(9, 4), true);
        assert_eq!(log.term_at(3), None);
        assert_eq!(log.last(), Some(position(9, 4)));
        assert!(!log.is_whole());
    }
}
