//! Three rules that nobody ever got wrong in just this way, for laws that none of the planted bugs breaks. They prove
//! that the checks of these laws can fail.

use crate::log::Log;
use crate::rules::Rules;
use crate::types::{HardState, Index, Position, Term};

/// Breaks Leader Append-Only: a leader puts its entry in the place of an earlier leader's at the end of its log.
#[derive(Clone, Copy, Debug)]
pub struct LeaderOverwrites;

impl Rules for LeaderOverwrites {
    fn next_entry_index(&self, log: &Log, term: Term) -> Index {
        let last = log.last();
        if last.index > log.base().index && last.term < term {
            last.index
        } else {
            last.index.next()
        }
    }
}

/// Breaks Log Matching: a follower looks whether it has an entry before the new ones, not whether it is the same.
#[derive(Clone, Copy, Debug)]
pub struct IgnoresPrevTerm;

impl Rules for IgnoresPrevTerm {
    fn accepts_entries(&self, prev: Position, log: &Log) -> bool {
        prev.index <= log.last_index()
    }
}

/// Breaks the order of terms: a server adopts the term of whatever message it sees last.
#[derive(Clone, Copy, Debug)]
pub struct AdoptsAnyTerm;

impl Rules for AdoptsAnyTerm {
    fn hard_state_after(&self, own: HardState, seen: Term) -> HardState {
        if seen == own.term { own } else { HardState { term: seen, voted_for: None } }
    }
}
