//! Who led which term, with which log.

use std::collections::BTreeMap;

use squall_history::trace::{Epoch, LogPosition};

use super::log::Terms;
use super::place::{Id, Place};

/// A leader of a term.
#[derive(Clone, Debug)]
pub(super) struct Leader {
    pub(super) term: Epoch,
    /// Where it said that it had won.
    pub(super) at: Place,
    /// The end of its log at its election, by its own word.
    pub(super) last: LogPosition,
    /// What is known of its log at its election.
    pub(super) log: Terms,
    /// The indices of the first and last entry that it made.
    pub(super) own: Option<(u64, u64)>,
    /// How far its own log was durable while it led.
    pub(super) durable: u64,
    /// It won the same term twice, so that its log in it is not one log.
    pub(super) again: bool,
}

impl Leader {
    /// Returns the term of the entry at an index of its log while it led, where that is known.
    pub(super) fn term_at(&self, index: u64) -> Option<Epoch> {
        if self.again {
            return None;
        }
        match self.own {
            Some((first, last)) if first <= index => (index <= last).then_some(self.term),
            _ => self.log.term_at(index),
        }
    }

    /// Returns the last index of its log while it led, as far as was told.
    pub(super) fn end(&self) -> u64 {
        self.own.map_or(self.last.index, |(_, last)| last.max(self.last.index))
    }
}

/// All leaders.
#[derive(Debug, Default)]
pub(super) struct Leaders {
    list: BTreeMap<(Epoch, Id), Leader>,
}

impl Leaders {
    pub(super) fn elect(&mut self, term: Epoch, at: Place, last: LogPosition, log: Terms) {
        match self.list.get_mut(&(term, at.node)) {
            Some(leader) => leader.again = true,
            None => {
                let leader = Leader { term, at, last, log, own: None, durable: 0, again: false };
                self.list.insert((term, at.node), leader);
            }
        }
    }

    pub(super) fn appended(&mut self, term: Epoch, node: Id, first: u64, last: u64) {
        if let Some(leader) = self.list.get_mut(&(term, node)) {
            let own = leader.own.get_or_insert((first, last));
            *own = (own.0.min(first), own.1.max(last));
        }
    }

    pub(super) fn durable(&mut self, term: Epoch, node: Id, upto: u64) {
        if let Some(leader) = self.list.get_mut(&(term, node)) {
            leader.durable = leader.durable.max(upto);
        }
    }

    pub(super) fn get(&self, term: Epoch, node: Id) -> Option<&Leader> {
        self.list.get(&(term, node))
    }

    /// Returns all leaders in the order of their terms.
    pub(super) fn iter(&self) -> impl Iterator<Item = &Leader> {
        self.list.values()
    }

    /// Returns the leaders of a term; there should be one at most.
    pub(super) fn of(&self, term: Epoch) -> impl Iterator<Item = &Leader> {
        self.list.range((term, Id(0))..=(term, Id(u16::MAX))).map(|(_, leader)| leader)
    }

    /// Returns how many terms had a leader.
    pub(super) fn terms(&self) -> usize {
        let mut terms: Vec<Epoch> = self.iter().map(|leader| leader.term).collect();
        terms.dedup();
        terms.len()
    }
}
