//! What followers acknowledged to leaders, by term.

use std::collections::BTreeMap;

use squall_history::trace::Epoch;

use super::place::{Id, Place};

/// An acknowledgement, with the term of the follower's entry at its index.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ack {
    pub(super) index: u64,
    pub(super) entry: Epoch,
    pub(super) at: Place,
}

/// What one follower acknowledged to one leader in one term.
#[derive(Clone, Debug, Default)]
pub(super) struct Given {
    /// The first one, whatever its index: it names the leader.
    pub(super) first: Option<Place>,
    /// The highest index, and where it was first reached.
    pub(super) highest: Option<(u64, Place)>,
    /// The lowest and the highest index at which the follower had an entry of that very term.
    pub(super) lowest_own: Option<Ack>,
    pub(super) highest_own: Option<Ack>,
    /// Those of older entries.
    pub(super) older: Vec<Ack>,
    /// Those of which the follower's entry is not known.
    pub(super) unknown: u64,
}

/// All acknowledgements, folded.
#[derive(Debug, Default)]
pub(super) struct Acks {
    given: BTreeMap<(Epoch, Id, Id), Given>,
}

impl Acks {
    pub(super) fn note(
        &mut self,
        at: Place,
        to: Id,
        term: Epoch,
        index: u64,
        entry: Option<Epoch>,
    ) {
        let given = self.given.entry((term, to, at.node)).or_default();
        given.first.get_or_insert(at);
        if given.highest.is_none_or(|(highest, _)| highest < index) {
            given.highest = Some((index, at));
        }
        let Some(entry) = entry.filter(|entry| *entry <= term) else {
            given.unknown += u64::from(index > 0);
            return;
        };
        let ack = Ack { index, entry, at };
        if entry != term {
            let known =
                given.older.last().is_some_and(|last| (last.index, last.entry) == (index, entry));
            if !known && index > 0 {
                given.older.push(ack);
            }
            return;
        }
        if given.highest_own.is_none_or(|own| own.index < index) {
            given.highest_own = Some(ack);
        }
        if given.lowest_own.is_none_or(|own| index < own.index) {
            given.lowest_own = Some(ack);
        }
    }

    /// Returns what a follower acknowledged to a leader in a term.
    pub(super) fn given(&self, term: Epoch, leader: Id, follower: Id) -> Option<&Given> {
        self.given.get(&(term, leader, follower))
    }

    /// Returns everything, in the order of terms: term, leader, follower.
    pub(super) fn iter(&self) -> impl Iterator<Item = (Epoch, Id, Id, &Given)> {
        self.given
            .iter()
            .map(|((term, leader, follower), given)| (*term, *leader, *follower, given))
    }
}
