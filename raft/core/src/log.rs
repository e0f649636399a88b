//! The log: entries above a snapshot base.
//!
//! ```text
//!   index      …  4 │ 5   6   7
//!   term       …  2 │ 2   3   3
//!              base ┘ └ entries
//! ```
//! What stands at or below the base is committed and gone; of it only the base's own term is known.

use crate::types::{Entry, Index, Position, Term};

/// A server's log.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Log {
    base: Position,
    entries: Vec<Entry>,
}

impl Log {
    /// Returns a log of entries that follow on a base.
    pub fn new(base: Position, entries: Vec<Entry>) -> Log {
        let mut log = Log { base, entries: Vec::new() };
        for entry in entries {
            log.append(entry);
        }
        log
    }

    /// Returns the place before the first entry.
    pub fn base(&self) -> Position {
        self.base
    }

    /// Returns the index of the last entry, or of the base.
    pub fn last_index(&self) -> Index {
        Index(self.base.index.0 + self.entries.len() as u64)
    }

    /// Returns the place of the last entry, or the base.
    pub fn last(&self) -> Position {
        self.entries.last().map_or(self.base, Entry::position)
    }

    /// Returns the term at an index; none above the end and below the base.
    pub fn term(&self, index: Index) -> Option<Term> {
        if index == self.base.index {
            return Some(self.base.term);
        }
        self.entry(index).map(|entry| entry.term)
    }

    /// Returns the entry at an index.
    pub fn entry(&self, index: Index) -> Option<&Entry> {
        self.entries.get(self.offset(index)?)
    }

    /// Returns at most so many entries from an index on; none where the first is not here.
    pub fn slice(&self, from: Index, max_entries: usize) -> &[Entry] {
        let Some(start) = self.offset(from).filter(|start| *start < self.entries.len()) else {
            return &[];
        };
        let end = self.entries.len().min(start.saturating_add(max_entries));
        &self.entries[start..end]
    }

    /// Returns all entries above the base.
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// Returns the first index of the run of entries that share the term of the one at `index`.
    pub fn first_of_term_at(&self, index: Index) -> Index {
        let term = self.term(index);
        let mut first = index;
        while first > self.base.index.next() && self.term(first.prev()) == term {
            first = first.prev();
        }
        first
    }

    /// Returns the last index at or below `limit` whose entry has the given term.
    pub fn last_of_term(&self, term: Term, limit: Index) -> Option<Index> {
        let end = self.offset(limit.min(self.last_index()))?;
        // Terms never fall along a log, so the search may stop at the first lower one.
        let candidates = self.entries[..=end].iter().rev();
        candidates
            .take_while(|entry| entry.term >= term)
            .find(|entry| entry.term == term)
            .map(|entry| entry.index)
    }

    /// Appends an entry, which must follow on the last.
    pub(crate) fn append(&mut self, entry: Entry) {
        assert!(entry.index == self.last_index().next(), "a gap in the log before {entry}");
        self.entries.push(entry);
    }

    /// Deletes the entry at an index and all that follow.
    pub(crate) fn truncate_from(&mut self, index: Index) {
        assert!(index > self.base.index, "the log is cut at {index}, below its base");
        self.entries.truncate((index.0 - self.base.index.0 - 1) as usize);
    }

    fn offset(&self, index: Index) -> Option<usize> {
        index.0.checked_sub(self.base.index.0 + 1).map(|offset| offset as usize)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::EntryKind;

    fn log(base: (u64, u64), terms: &[u64]) -> Log {
        let entry = |(offset, term): (usize, &u64)| Entry {
            index: Index(base.0 + 1 + offset as u64),
            term: Term(*term),
            kind: EntryKind::Command,
            data: Vec::new(),
        };
        let base_position = Position { term: Term(base.1), index: Index(base.0) };
        Log::new(base_position, terms.iter().enumerate().map(entry).collect())
    }

    #[test]
    fn of_what_is_below_the_base_only_the_bases_term_is_known() {
        let log = log((4, 2), &[2, 3, 3]);
        assert_eq!(log.term(Index(3)), None);
        assert_eq!(log.term(Index(4)), Some(Term(2)));
        assert_eq!(log.term(Index(6)), Some(Term(3)));
        assert_eq!(log.term(Index(8)), None);
        assert_eq!(log.last().to_string(), "7@3");
    }

    #[test]
    fn an_empty_log_ends_at_its_base() {
        assert_eq!(log((4, 2), &[]).last().to_string(), "4@2");
        assert_eq!(log((0, 0), &[]).last().to_string(), "0@0");
    }

    #[test]
    fn a_slice_ends_with_the_log_or_the_limit() {
        let log = log((4, 2), &[2, 3, 3]);
        assert_eq!(log.slice(Index(6), 1).len(), 1);
        assert_eq!(log.slice(Index(6), 9).len(), 2);
        assert!(log.slice(Index(8), 9).is_empty());
        assert!(log.slice(Index(4), 9).is_empty(), "the base itself is gone");
    }

    #[test]
    fn runs_of_a_term_are_found_from_both_ends() {
        let log = log((4, 2), &[2, 3, 3, 5]);
        assert_eq!(log.first_of_term_at(Index(7)), Index(6));
        assert_eq!(
            log.first_of_term_at(Index(5)),
            Index(5),
            "the run does not reach below the base"
        );
        assert_eq!(log.last_of_term(Term(3), Index(8)), Some(Index(7)));
        assert_eq!(log.last_of_term(Term(3), Index(6)), Some(Index(6)));
        assert_eq!(log.last_of_term(Term(4), Index(8)), None);
        assert_eq!(log.last_of_term(Term(4), Index(99)), None);
    }
}
